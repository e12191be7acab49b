/* runs.c: a run is a name for a chain of stages; its state is read from them. */
#include "config.h"

#include "storage/storage-private.h"

#define COLUMNS \
  "r.id, r.batch, r.position, r.variant, r.architecture, r.task, r.device, r.seed, q.state, " \
  "coalesce (r.skip_reason, (SELECT s.reason FROM run_stage x JOIN stage s ON s.id = x.stage WHERE x.run = r.id " \
  "AND s.state IN ('failed', 'diverged', 'cancelled') ORDER BY x.position LIMIT 1)), r.name, " \
  "(SELECT group_concat (tag, ' ') FROM run_tag WHERE run = r.id), r.note " \
  "FROM run r JOIN run_state q ON q.run = r.id "

static gboolean
insert_run (FmStore *store, FmRunRecord *record, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = NULL;
  gint64 id;

  if (!fm_store_do (store, error,
                    "INSERT INTO run (batch, position, variant, architecture, task, device, seed) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?)",
                    "iitttti", record->batch, record->position, record->variant, record->architecture, record->task,
                    record->device, record->seed))
    return FALSE;
  id = sqlite3_last_insert_rowid (store->db);
  stmt = fm_store_prepare (store, "INSERT INTO run_stage VALUES (?, ?, ?)", error);
  if (stmt == NULL)
    return FALSE;
  for (guint i = 0; i < record->stages->len; i++)
    {
      fm_statement_bind (stmt, "iit", id, (gint64) i, g_ptr_array_index (record->stages, i));
      if (!fm_statement_run (store, stmt, error))
        return FALSE;
    }
  record->id = id;
  return fm_store_do (store, error,
                      "UPDATE run SET (train_stage, measure_stage, has_more_stages) = (SELECT train_stage, "
                      "measure_stage, has_more_stages FROM run_chain WHERE run = ?1) WHERE id = ?1", "i", id);
}

gboolean
fm_store_add_run (FmStore *store, FmRunRecord *record, GError **error)
{
  if (!fm_store_enter (store, error))
    return FALSE;
  return fm_store_leave (store, insert_run (store, record, error), error);
}

static gboolean
no_run (GError **error, gint64 id)
{
  g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT,
               "The store has no run %" G_GINT64_FORMAT "; `formarium results --json` shows each run_id.", id);
  return FALSE;
}

gboolean
fm_store_skip_run (FmStore *store, gint64 run, const char *reason, GError **error)
{
  if (!fm_store_require_write (store, error) ||
      !fm_store_do (store, error, "UPDATE run SET skip_reason = ? WHERE id = ?", "ti", reason, run))
    return FALSE;
  return sqlite3_changes (store->db) > 0 || no_run (error, run);
}

static FmRunRecord *
read_run (FmStore *store, sqlite3_stmt *stmt, sqlite3_stmt *stages, GError **error)
{
  g_autoptr (FmRunRecord) record = fm_run_record_new ();
  gboolean row;

  record->id = fm_column_int (stmt, 0);
  record->batch = fm_column_int (stmt, 1);
  record->position = fm_column_int (stmt, 2);
  record->variant = fm_column_text (stmt, 3);
  record->architecture = fm_column_text (stmt, 4);
  record->task = fm_column_text (stmt, 5);
  record->device = fm_column_text (stmt, 6);
  record->seed = sqlite3_column_int64 (stmt, 7);
  record->state = fm_column_text (stmt, 8);
  record->reason = fm_column_text (stmt, 9);
  record->name = fm_column_text (stmt, 10);
  record->tags = fm_column_text (stmt, 11);
  record->note = fm_column_text (stmt, 12);
  sqlite3_reset (stages);
  fm_statement_bind (stages, "i", record->id);
  while (fm_statement_next (store, stages, &row, error))
    {
      if (!row)
        return g_steal_pointer (&record);
      g_ptr_array_add (record->stages, fm_column_text (stages, 0));
    }
  return NULL;
}

static GPtrArray *
load_runs (FmStore *store, const char *sql, gint64 key, GError **error)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_run_record_free);
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store, sql, error);
  g_autoptr (sqlite3_stmt) stages = fm_store_prepare (store,
    "SELECT stage FROM run_stage WHERE run = ? ORDER BY position", stmt ? error : NULL);
  gboolean row;

  if (stmt == NULL || stages == NULL)
    return NULL;
  fm_statement_bind (stmt, "i", key);
  while (fm_statement_next (store, stmt, &row, error))
    {
      FmRunRecord *record;

      if (!row)
        return g_steal_pointer (&list);
      record = read_run (store, stmt, stages, error);
      if (record == NULL)
        return NULL;
      g_ptr_array_add (list, record);
    }
  return NULL;
}

FmRunRecord *
fm_store_load_run (FmStore *store, gint64 id, GError **error)
{
  g_autoptr (GPtrArray) list = load_runs (store, "SELECT " COLUMNS "WHERE r.id = ?", id, error);

  if (list == NULL || (list->len == 0 && !no_run (error, id)))
    return NULL;
  return g_ptr_array_steal_index (list, 0);
}

GPtrArray *
fm_store_load_runs (FmStore *store, gint64 batch, GError **error)
{
  return load_runs (store, "SELECT " COLUMNS "WHERE r.batch = ? ORDER BY r.position", batch, error);
}
