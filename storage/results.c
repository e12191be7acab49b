/* results.c: the view `results` as structs, and the table of its columns that every output reads. */
#include "config.h"

#include "storage/storage-private.h"

#define TEXT(field) { #field, FM_RESULT_TEXT, G_STRUCT_OFFSET (FmResultRow, field) }
#define INT(field) { #field, FM_RESULT_INT, G_STRUCT_OFFSET (FmResultRow, field) }
#define DOUBLE(field) { #field, FM_RESULT_DOUBLE, G_STRUCT_OFFSET (FmResultRow, field) }

/* In the view's order; a test compares the names. */
static const FmResultField fields[] = {
  TEXT (batch),
  TEXT (variant),
  TEXT (mixer),
  TEXT (feedforward),
  TEXT (task),
  TEXT (device),
  INT (seed),
  TEXT (state),
  DOUBLE (test_accuracy),
  DOUBLE (validation_accuracy),
  DOUBLE (chance_level),
  DOUBLE (best_shortcut_accuracy),
  DOUBLE (test_loss_nats),
  DOUBLE (latency_us_median),
  DOUBLE (latency_us_p95),
  DOUBLE (throughput_per_s),
  DOUBLE (train_s),
  INT (planned_peak_bytes),
  INT (measured_peak_bytes),
  INT (inference_planned_peak_bytes),
  INT (inference_measured_peak_bytes),
  INT (parameters),
  DOUBLE (flops),
  INT (diverged_step),
  TEXT (diverged_tensor),
  TEXT (reason),
  INT (fallbacks),
  TEXT (mixer_parameters),
  TEXT (feedforward_parameters),
  TEXT (skeleton),
  TEXT (task_parameters),
  TEXT (device_name),
  INT (batch_id),
  INT (run_id),
  TEXT (architecture_id),
  TEXT (train_stage),
  TEXT (measure_stage),
  INT (latency_blocks),
  INT (unstable),
  DOUBLE (energy_joules),
  INT (device_heap_bytes),
  INT (trials),
  INT (parameters_by_n),
  TEXT (name),
  TEXT (tags),
  TEXT (note),
  TEXT (batch_name),
  TEXT (batch_tags),
  TEXT (batch_note),
  { NULL, FM_RESULT_TEXT, 0 },
};

const FmResultField *
fm_result_fields (void)
{
  return fields;
}

void
fm_result_row_free (FmResultRow *row)
{
  if (row == NULL)
    return;
  for (const FmResultField *field = fields; field->name; field++)
    if (field->type == FM_RESULT_TEXT)
      g_free (G_STRUCT_MEMBER (char *, row, field->offset));
  g_free (row);
}

static sqlite3_stmt *
prepare_results (FmStore *store, const char *where, GError **error)
{
  g_autoptr (GString) sql = g_string_new ("SELECT ");

  for (const FmResultField *field = fields; field->name; field++)
    g_string_append_printf (sql, "%s%s", field == fields ? "" : ", ", field->name);
  g_string_append_printf (sql, " FROM results %s", where);
  return fm_store_prepare (store, sql->str, error);
}

static GPtrArray *
load_results (FmStore *store, sqlite3_stmt *stmt, GError **error)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_result_row_free);
  gboolean row;

  while (fm_statement_next (store, stmt, &row, error))
    {
      FmResultRow *result;

      if (!row)
        return g_steal_pointer (&list);
      result = g_new0 (FmResultRow, 1);
      for (const FmResultField *field = fields; field->name; field++)
        {
          int column = field - fields;

          switch (field->type)
            {
            case FM_RESULT_TEXT:
              G_STRUCT_MEMBER (char *, result, field->offset) = fm_column_text (stmt, column);
              break;
            case FM_RESULT_INT:
              G_STRUCT_MEMBER (gint64, result, field->offset) = fm_column_int (stmt, column);
              break;
            case FM_RESULT_DOUBLE:
            default:
              G_STRUCT_MEMBER (gdouble, result, field->offset) = fm_column_double (stmt, column);
              break;
            }
        }
      g_ptr_array_add (list, result);
    }
  return NULL;
}

void
fm_block_row_free (FmBlockRow *row)
{
  if (row == NULL)
    return;
  g_free (row->stage);
  g_free (row->session);
  g_free (row->kind);
  g_free (row);
}

GPtrArray *
fm_store_load_blocks (FmStore *store, gint64 batch, const char *kind, GError **error)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_block_row_free);
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store,
    "SELECT l.stage, p.session, coalesce (p.block, l.process), l.kind, l.median_us, p.measured_peak_bytes FROM "
    "(SELECT DISTINCT measure_stage FROM run WHERE measure_stage IS NOT NULL AND (?1 = 0 OR batch = ?1)) r "
    "JOIN latency_median l ON l.stage = r.measure_stage AND l.kind = ?2 "
    "LEFT JOIN measure_process p ON p.stage = l.stage AND p.process = l.process "
    "ORDER BY l.stage, p.session, p.block", error);
  gboolean row;

  if (stmt == NULL)
    return NULL;
  fm_statement_bind (stmt, "it", batch, kind);
  while (fm_statement_next (store, stmt, &row, error))
    {
      FmBlockRow *block;

      if (!row)
        return g_steal_pointer (&list);
      block = g_new0 (FmBlockRow, 1);
      block->stage = fm_column_text (stmt, 0);
      block->session = fm_column_text (stmt, 1);
      block->block = fm_column_int (stmt, 2);
      block->kind = fm_column_text (stmt, 3);
      block->median_us = fm_column_double (stmt, 4);
      block->measured_peak_bytes = fm_column_int (stmt, 5);
      g_ptr_array_add (list, block);
    }
  return NULL;
}

GPtrArray *
fm_store_load_results (FmStore *store, gint64 batch, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = prepare_results (store, batch ? "WHERE batch_id = ?" : "", error);

  if (stmt == NULL)
    return NULL;
  if (batch)
    fm_statement_bind (stmt, "i", batch);
  return load_results (store, stmt, error);
}

GPtrArray *
fm_store_search (FmStore *store, const char *text, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = prepare_results (store,
    "WHERE instr (lower (variant || char (10) || batch || char (10) || coalesce (name, '') || char (10) || "
    "coalesce (tags, '') || char (10) || coalesce (note, '') || char (10) || coalesce (batch_name, '') || char (10) || "
    "coalesce (batch_tags, '') || char (10) || coalesce (batch_note, '')), lower (?)) > 0", error);

  if (stmt == NULL)
    return NULL;
  fm_statement_bind (stmt, "t", text);
  return load_results (store, stmt, error);
}
