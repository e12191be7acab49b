/* rows.c: reading back what a stage left. Each list is filled through the adders of a result, whose struct is the one
 * place that knows how rows are made. */
#include "config.h"

#include "storage/storage-private.h"

#include <zstd.h>

/* Far above any split; keeps a damaged length from asking for all memory. */
#define MAX_OUTCOME_BYTES ((unsigned long long) 1 << 32)

typedef gboolean (*ReadRow) (FmStore *store, sqlite3_stmt *stmt, FmStageResult *into, GError **error);

static const char *
text (sqlite3_stmt *stmt, int column)
{
  return (const char *) sqlite3_column_text (stmt, column);
}

static gboolean
load_rows (FmStore *store, sqlite3_stmt *stmt, ReadRow read, FmStageResult *into, GError **error)
{
  gboolean row;

  while (fm_statement_next (store, stmt, &row, error))
    {
      if (!row)
        return TRUE;
      if (!read (store, stmt, into, error))
        return FALSE;
    }
  return FALSE;
}

static FmStageResult *
load_of_stage (FmStore *store, const char *sql, const char *stage, ReadRow read, GError **error)
{
  g_autoptr (FmStageResult) into = fm_stage_result_new (FM_STAGE_DONE);
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store, sql, error);

  if (stmt == NULL)
    return NULL;
  fm_statement_bind (stmt, "t", stage);
  return load_rows (store, stmt, read, into, error) ? g_steal_pointer (&into) : NULL;
}

static gboolean
read_metric (FmStore *store, sqlite3_stmt *stmt, FmStageResult *into, GError **error)
{
  fm_stage_result_add_metric (into, text (stmt, 0), text (stmt, 1), text (stmt, 2), text (stmt, 3),
                              fm_column_double (stmt, 4));
  return TRUE;
}

GPtrArray *
fm_store_load_metrics (FmStore *store, const char *stage, GError **error)
{
  g_autoptr (FmStageResult) into = load_of_stage (store,
    "SELECT split, target, tag, name, value FROM metric WHERE stage = ? ORDER BY split, target, tag, name", stage,
    read_metric, error);

  return into ? g_ptr_array_ref (into->metrics) : NULL;
}

static gboolean
read_point (FmStore *store, sqlite3_stmt *stmt, FmStageResult *into, GError **error)
{
  fm_stage_result_add_point (into, fm_column_int (stmt, 0), text (stmt, 1), text (stmt, 2),
                             fm_column_double (stmt, 3));
  return TRUE;
}

GPtrArray *
fm_store_load_curve (FmStore *store, const char *stage, const char *name, gint64 after_step, GError **error)
{
  g_autoptr (FmStageResult) into = fm_stage_result_new (FM_STAGE_DONE);
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store,
    "SELECT step, name, tag, value FROM curve WHERE stage = ?1 AND step > ?2 AND (?3 IS NULL OR name = ?3) "
    "ORDER BY name, tag, step", error);

  if (stmt == NULL)
    return NULL;
  fm_statement_bind (stmt, "tit", stage, after_step, name);
  return load_rows (store, stmt, read_point, into, error) ? g_ptr_array_ref (into->curve) : NULL;
}

static gboolean
read_outcome (FmStore *store, sqlite3_stmt *stmt, FmStageResult *into, GError **error)
{
  g_autoptr (GBytes) triples = NULL;
  gconstpointer packed = sqlite3_column_blob (stmt, 3);
  gsize packed_size = sqlite3_column_bytes (stmt, 3), got;
  unsigned long long size = packed ? ZSTD_getFrameContentSize (packed, packed_size) : ZSTD_CONTENTSIZE_ERROR;
  g_autofree gpointer buffer = NULL;

  if (size > MAX_OUTCOME_BYTES || size != (unsigned long long) fm_column_int (stmt, 2) * 3 * sizeof (gfloat) ||
      (buffer = g_try_malloc (size + 1)) == NULL ||
      ZSTD_isError (got = ZSTD_decompress (buffer, size, packed, packed_size)) || got != size)
    {
      g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_NOT_STORE,
                   "The store %s is damaged: the outcomes of split “%s” cannot be unpacked.", store->path,
                   text (stmt, 0));
      return FALSE;
    }
  triples = g_bytes_new_take (g_steal_pointer (&buffer), size);
  fm_stage_result_add_outcomes (into, text (stmt, 0), text (stmt, 1), triples);
  return TRUE;
}

GPtrArray *
fm_store_load_outcomes (FmStore *store, const char *stage, GError **error)
{
  g_autoptr (FmStageResult) into = load_of_stage (store,
    "SELECT split, target, units, triples_zstd FROM outcome WHERE stage = ? ORDER BY split, target", stage,
    read_outcome, error);

  return into ? g_ptr_array_ref (into->outcomes) : NULL;
}

static gboolean
read_latency (FmStore *store, sqlite3_stmt *stmt, FmStageResult *into, GError **error)
{
  fm_stage_result_add_latency (into, fm_column_int (stmt, 0), text (stmt, 1), fm_column_int (stmt, 2),
                               fm_column_double (stmt, 3));
  return TRUE;
}

GPtrArray *
fm_store_load_latency (FmStore *store, const char *stage, const char *kind, GError **error)
{
  g_autoptr (FmStageResult) into = fm_stage_result_new (FM_STAGE_DONE);
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store,
    "SELECT process, kind, rows, value_us FROM latency_sample WHERE stage = ?1 AND (?2 IS NULL OR kind = ?2) "
    "ORDER BY kind, position", error);

  if (stmt == NULL)
    return NULL;
  fm_statement_bind (stmt, "tt", stage, kind);
  return load_rows (store, stmt, read_latency, into, error) ? g_ptr_array_ref (into->latency) : NULL;
}

static gboolean
read_process (FmStore *store, sqlite3_stmt *stmt, FmStageResult *into, GError **error)
{
  FmProcessRow *row
      = fm_stage_result_add_process (into, fm_column_int (stmt, 0), text (stmt, 1), fm_column_int (stmt, 2));

  row->place = fm_column_int (stmt, 3);
  row->started_us = fm_column_int (stmt, 4);
  row->warm_ups = fm_column_int (stmt, 5);
  row->settled = fm_column_int (stmt, 6);
  row->measured_peak_bytes = fm_column_int (stmt, 7);
  row->device_heap_bytes = fm_column_int (stmt, 8);
  row->energy_joules = fm_column_double (stmt, 9);
  return TRUE;
}

GPtrArray *
fm_store_load_processes (FmStore *store, const char *stage, GError **error)
{
  g_autoptr (FmStageResult) into = load_of_stage (store,
    "SELECT process, session, block, place, started_unix_us, warm_ups, settled, measured_peak_bytes, "
    "device_heap_bytes, energy_joules FROM measure_process WHERE stage = ? ORDER BY process", stage, read_process,
    error);

  return into ? g_ptr_array_ref (into->processes) : NULL;
}

static gboolean
read_memory (FmStore *store, sqlite3_stmt *stmt, FmStageResult *into, GError **error)
{
  fm_stage_result_add_memory (into, text (stmt, 0), fm_column_int (stmt, 1), fm_column_int (stmt, 2));
  return TRUE;
}

GPtrArray *
fm_store_load_memory (FmStore *store, const char *stage, GError **error)
{
  g_autoptr (FmStageResult) into = load_of_stage (store,
    "SELECT kind, planned_bytes, measured_bytes FROM memory WHERE stage = ? ORDER BY kind", stage, read_memory, error);

  return into ? g_ptr_array_ref (into->memory) : NULL;
}

static gboolean
read_op (FmStore *store, sqlite3_stmt *stmt, FmStageResult *into, GError **error)
{
  fm_stage_result_add_op (into, text (stmt, 0), fm_column_int (stmt, 1), fm_column_double (stmt, 2),
                          fm_column_double (stmt, 3), fm_column_double (stmt, 4));
  return TRUE;
}

GPtrArray *
fm_store_load_profile (FmStore *store, const char *stage, GError **error)
{
  g_autoptr (FmStageResult) into = load_of_stage (store,
    "SELECT op, calls, seconds, flops, bytes FROM op_profile WHERE stage = ? ORDER BY seconds DESC, op", stage,
    read_op, error);

  return into ? g_ptr_array_ref (into->profile) : NULL;
}

static gboolean
read_artifact (FmStore *store, sqlite3_stmt *stmt, FmStageResult *into, GError **error)
{
  fm_stage_result_add_artifact (into, text (stmt, 0), text (stmt, 1), fm_column_int (stmt, 2), text (stmt, 3));
  return TRUE;
}

GPtrArray *
fm_store_load_artifacts (FmStore *store, const char *stage, GError **error)
{
  g_autoptr (FmStageResult) into = load_of_stage (store,
    "SELECT kind, path, bytes, sha256 FROM artifact WHERE stage = ? ORDER BY path", stage, read_artifact, error);

  return into ? g_ptr_array_ref (into->artifacts) : NULL;
}
