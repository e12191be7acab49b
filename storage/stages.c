/* stages.c: planning, claiming and finishing stages. A stage moves planned -> running -> ended, and only its claimer
 * ends it; a dead claimer's stage can be claimed by the next one. */
#include "config.h"

#include "storage/storage-private.h"

#include <zstd.h>

#define COLUMNS \
  "s.id, s.kind, w.recipe, s.state, s.reason, s.attempts, s.started_unix_us, s.ended_unix_us, s.runner_pid, " \
  "s.worker_pid, s.fallbacks, s.diverged_step, s.diverged_tensor, w.provenance FROM stage s " \
  "JOIN stage_text w ON w.stage = s.id "

FmStageState
fm_stage_state_from_string (const char *text)
{
  for (guint i = FM_STAGE_PLANNED; i <= FM_STAGE_CANCELLED; i++)
    if (g_strcmp0 (text, fm_stage_state_to_string (i)) == 0)
      return i;
  return FM_STAGE_PLANNED; /* the table's CHECK allows no other text */
}

static gboolean
no_stage (GError **error, const char *id)
{
  g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT, "The store has no stage “%s”.", id);
  return FALSE;
}

/* --- Add and load -------------------------------------------------------------------------------------------------*/

static gboolean
insert_stage (FmStore *store, const FmStageRecord *record, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = NULL;

  if (!fm_store_do (store, error,
                    "INSERT INTO stage (id, kind, state) VALUES (?, ?, 'planned') ON CONFLICT DO NOTHING", "tt",
                    record->id, record->kind))
    return FALSE;
  if (sqlite3_changes (store->db) == 0)
    return TRUE;
  if (!fm_store_do (store, error, "INSERT INTO stage_text (stage, recipe) VALUES (?, ?)", "tt", record->id,
                    record->recipe))
    return FALSE;
  stmt = fm_store_prepare (store, "INSERT INTO stage_input VALUES (?, ?, ?)", error);
  if (stmt == NULL)
    return FALSE;
  for (guint i = 0; i < record->inputs->len; i++)
    {
      fm_statement_bind (stmt, "tit", record->id, (gint64) i, g_ptr_array_index (record->inputs, i));
      if (!fm_statement_run (store, stmt, error))
        return FALSE;
    }
  return TRUE;
}

gboolean
fm_store_add_stage (FmStore *store, const FmStageRecord *record, GError **error)
{
  if (!fm_store_enter (store, error))
    return FALSE;
  return fm_store_leave (store, insert_stage (store, record, error), error);
}

static FmStageRecord *
read_stage (FmStore *store, sqlite3_stmt *stmt, sqlite3_stmt *inputs, GError **error)
{
  g_autoptr (FmStageRecord) record = fm_stage_record_new ((const char *) sqlite3_column_text (stmt, 0),
                                                          (const char *) sqlite3_column_text (stmt, 1),
                                                          (const char *) sqlite3_column_text (stmt, 2));
  gboolean row;

  record->state = fm_stage_state_from_string ((const char *) sqlite3_column_text (stmt, 3));
  record->reason = fm_column_text (stmt, 4);
  record->attempts = fm_column_int (stmt, 5);
  record->started_us = fm_column_int (stmt, 6);
  record->ended_us = fm_column_int (stmt, 7);
  record->runner_pid = fm_column_int (stmt, 8);
  record->worker_pid = fm_column_int (stmt, 9);
  record->fallbacks = fm_column_int (stmt, 10);
  record->diverged_step = fm_column_int (stmt, 11);
  record->diverged_tensor = fm_column_text (stmt, 12);
  record->provenance = fm_column_text (stmt, 13);
  sqlite3_reset (inputs);
  fm_statement_bind (inputs, "t", record->id);
  while (fm_statement_next (store, inputs, &row, error))
    {
      if (!row)
        return g_steal_pointer (&record);
      g_ptr_array_add (record->inputs, fm_column_text (inputs, 0));
    }
  return NULL;
}

static GPtrArray *
load_stages (FmStore *store, sqlite3_stmt *stmt, GError **error)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_stage_record_free);
  g_autoptr (sqlite3_stmt) inputs = fm_store_prepare (store,
    "SELECT earlier_stage FROM stage_input WHERE stage = ? ORDER BY position", error);
  gboolean row;

  if (inputs == NULL)
    return NULL;
  while (fm_statement_next (store, stmt, &row, error))
    {
      FmStageRecord *record;

      if (!row)
        return g_steal_pointer (&list);
      record = read_stage (store, stmt, inputs, error);
      if (record == NULL)
        return NULL;
      g_ptr_array_add (list, record);
    }
  return NULL;
}

FmStageRecord *
fm_store_load_stage (FmStore *store, const char *id, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store, "SELECT " COLUMNS "WHERE s.id = ?", error);
  g_autoptr (GPtrArray) list = NULL;

  if (stmt == NULL)
    return NULL;
  fm_statement_bind (stmt, "t", id);
  list = load_stages (store, stmt, error);
  if (list == NULL || (list->len == 0 && !no_stage (error, id)))
    return NULL;
  return g_ptr_array_steal_index (list, 0);
}

gboolean
fm_store_load_stage_state (FmStore *store, const char *id, FmStageState *state, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store, "SELECT state FROM stage WHERE id = ?", error);
  gboolean row;

  if (stmt == NULL)
    return FALSE;
  fm_statement_bind (stmt, "t", id);
  if (!fm_statement_next (store, stmt, &row, error) || (!row && !no_stage (error, id)))
    return FALSE;
  *state = fm_stage_state_from_string ((const char *) sqlite3_column_text (stmt, 0));
  return TRUE;
}

GPtrArray *
fm_store_load_stages (FmStore *store, gint64 batch, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store,
    "SELECT " COLUMNS "JOIN run_stage x ON x.stage = s.id JOIN run r ON r.id = x.run WHERE r.batch = ? "
    "GROUP BY s.id ORDER BY min (r.position), min (x.position)", error);

  if (stmt == NULL)
    return NULL;
  fm_statement_bind (stmt, "i", batch);
  return load_stages (store, stmt, error);
}

/* --- Claim --------------------------------------------------------------------------------------------------------*/

static gboolean
load_owner (FmStore *store, const char *id, FmStageState *state, FmOwner *owner, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store,
    "SELECT state, runner_pid, runner_start, runner_machine FROM stage WHERE id = ?", error);
  gboolean row;

  if (stmt == NULL)
    return FALSE;
  fm_statement_bind (stmt, "t", id);
  if (!fm_statement_next (store, stmt, &row, error) || (!row && !no_stage (error, id)))
    return FALSE;
  *state = fm_stage_state_from_string ((const char *) sqlite3_column_text (stmt, 0));
  owner->pid = fm_column_int (stmt, 1);
  owner->start = fm_column_text (stmt, 2);
  owner->machine = fm_column_text (stmt, 3);
  return TRUE;
}

gboolean
fm_store_stage_is_live (FmStore *store, const char *id, gboolean *live, GError **error)
{
  g_auto (FmOwner) owner = { -1, NULL, NULL };
  gint64 heartbeat_us;
  FmStageState state;

  if (!load_owner (store, id, &state, &owner, error) || !fm_store_owner_heartbeat (store, &owner, &heartbeat_us, error))
    return FALSE;
  *live = state == FM_STAGE_RUNNING && fm_owner_is_alive (&owner, heartbeat_us);
  return TRUE;
}

static gboolean
clear_rows (FmStore *store, const char *id, GError **error)
{
  static const char * const tables[] = { "metric", "curve", "outcome", "latency_sample", "latency_median",
                                         "measure_process", "memory", "op_profile", "artifact" };

  for (guint i = 0; i < G_N_ELEMENTS (tables); i++)
    {
      g_autofree char *sql = g_strdup_printf ("DELETE FROM %s WHERE stage = ?", tables[i]);

      if (!fm_store_do (store, error, sql, "t", id))
        return FALSE;
    }
  return fm_store_do (store, error, "UPDATE stage_text SET provenance = NULL WHERE stage = ?", "t", id) &&
         fm_store_set_figures (store, id, error);
}

gboolean
fm_store_set_figures (FmStore *store, const char *id, GError **error)
{
  return fm_store_do (store, error,
                      "UPDATE stage SET (" FM_STORE_FIGURES ") = (SELECT " FM_STORE_FIGURES " FROM stage_figures "
                      "WHERE stage = ?1) WHERE id = ?1", "t", id);
}

static gboolean
claim_stage (FmStore *store, const char *id, FmClaim *claim, GError **error)
{
  g_auto (FmOwner) owner = { -1, NULL, NULL };
  g_auto (FmOwner) self = { -1, NULL, NULL };
  gint64 heartbeat_us;
  FmStageState state;

  if (!load_owner (store, id, &state, &owner, error) || !fm_store_owner_heartbeat (store, &owner, &heartbeat_us, error))
    return FALSE;
  if (state == FM_STAGE_DONE || state == FM_STAGE_DIVERGED)
    {
      *claim = FM_CLAIM_FINISHED;
      return TRUE;
    }
  if (state == FM_STAGE_RUNNING && fm_owner_is_alive (&owner, heartbeat_us))
    {
      *claim = FM_CLAIM_BUSY;
      return TRUE;
    }
  fm_owner_init (&self);
  *claim = FM_CLAIM_YOURS;
  return clear_rows (store, id, error) &&
         fm_store_do (store, error,
                      "UPDATE stage SET state = 'running', reason = NULL, attempts = attempts + 1, "
                      "started_unix_us = ?, ended_unix_us = NULL, runner_pid = ?, runner_start = ?, "
                      "runner_machine = ?, worker_pid = NULL, fallbacks = NULL WHERE id = ?",
                      "iittt", g_get_real_time (), self.pid, self.start, self.machine, id);
}

gboolean
fm_store_claim_stage (FmStore *store, const char *id, FmClaim *claim, GError **error)
{
  if (!fm_store_enter (store, error))
    return FALSE;
  return fm_store_leave (store, claim_stage (store, id, claim, error), error);
}

/* Only the claimer writes to a running stage. */
static gboolean
require_claim (FmStore *store, const char *id, GError **error)
{
  g_auto (FmOwner) owner = { -1, NULL, NULL };
  FmStageState state;

  if (!load_owner (store, id, &state, &owner, error))
    return FALSE;
  if (state == FM_STAGE_RUNNING && fm_owner_is_self (&owner))
    return TRUE;
  g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_LEASED,
               "Stage %s is %s and not claimed by this process.", id, fm_stage_state_to_string (state));
  return FALSE;
}

gboolean
fm_store_set_stage_worker (FmStore *store, const char *id, gint64 worker_pid, GError **error)
{
  gboolean ok;

  if (!fm_store_enter (store, error))
    return FALSE;
  ok = require_claim (store, id, error) &&
       fm_store_do (store, error, "UPDATE stage SET worker_pid = ? WHERE id = ?", "It", worker_pid, id);
  return fm_store_leave (store, ok, error);
}

static gboolean
plan_again (FmStore *store, const char *id, GError **error)
{
  return clear_rows (store, id, error) &&
         fm_store_do (store, error,
                      "UPDATE stage SET state = 'planned', started_unix_us = NULL, runner_pid = NULL, "
                      "runner_start = NULL, runner_machine = NULL, worker_pid = NULL WHERE id = ?", "t", id);
}

gboolean
fm_store_unclaim_stage (FmStore *store, const char *id, GError **error)
{
  if (!fm_store_enter (store, error))
    return FALSE;
  return fm_store_leave (store, require_claim (store, id, error) && plan_again (store, id, error), error);
}

gboolean
fm_store_free_stages (FmStore *store, gint64 batch, GError **error)
{
  g_autoptr (GPtrArray) list = fm_store_load_stages (store, batch, error);

  if (list == NULL)
    return FALSE;
  for (guint i = 0; i < list->len; i++)
    {
      const FmStageRecord *record = g_ptr_array_index (list, i);
      g_auto (FmOwner) owner = { -1, NULL, NULL };
      gint64 heartbeat_us;
      FmStageState state;

      if (record->state != FM_STAGE_RUNNING)
        continue;
      if (!load_owner (store, record->id, &state, &owner, error) ||
          !fm_store_owner_heartbeat (store, &owner, &heartbeat_us, error))
        return FALSE;
      if (!fm_owner_is_alive (&owner, heartbeat_us) && !plan_again (store, record->id, error))
        return FALSE;
    }
  return TRUE;
}

/* --- Finish -------------------------------------------------------------------------------------------------------*/

static gboolean
insert_points (FmStore *store, const char *id, const GPtrArray *points, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store, "INSERT OR REPLACE INTO curve VALUES (?, ?, ?, ?, ?)",
                                                    error);

  if (stmt == NULL)
    return FALSE;
  for (guint i = 0; i < points->len; i++)
    {
      const FmCurvePoint *point = g_ptr_array_index (points, i);

      fm_statement_bind (stmt, "tttid", id, point->name, point->tag, point->step, point->value);
      if (!fm_statement_run (store, stmt, error))
        return FALSE;
    }
  return TRUE;
}

gboolean
fm_store_append_curve (FmStore *store, const char *id, const GPtrArray *points, GError **error)
{
  if (!fm_store_enter (store, error))
    return FALSE;
  return fm_store_leave (store, require_claim (store, id, error) && insert_points (store, id, points, error), error);
}

static gboolean
insert_metrics (FmStore *store, const char *id, const GPtrArray *rows, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store, "INSERT INTO metric VALUES (?, ?, ?, ?, ?, ?)", error);

  if (stmt == NULL)
    return FALSE;
  for (guint i = 0; i < rows->len; i++)
    {
      const FmMetricRow *row = g_ptr_array_index (rows, i);

      fm_statement_bind (stmt, "tttttd", id, row->split, row->target, row->tag, row->name, row->value);
      if (!fm_statement_run (store, stmt, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
insert_outcomes (FmStore *store, const char *id, const GPtrArray *rows, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store, "INSERT INTO outcome VALUES (?, ?, ?, ?, ?)", error);

  if (stmt == NULL)
    return FALSE;
  for (guint i = 0; i < rows->len; i++)
    {
      const FmOutcomeRow *row = g_ptr_array_index (rows, i);
      g_autoptr (GBytes) packed = NULL;
      gsize size, bound, used;
      gconstpointer data = g_bytes_get_data (row->triples, &size);
      gpointer buffer;

      bound = ZSTD_compressBound (size);
      buffer = g_malloc (bound);
      used = ZSTD_compress (buffer, bound, data ? data : "", size, 6);
      g_assert (!ZSTD_isError (used)); /* the buffer is large enough by ZSTD_compressBound() */
      packed = g_bytes_new_take (buffer, used);
      fm_statement_bind (stmt, "tttib", id, row->split, row->target, (gint64) (size / (3 * sizeof (gfloat))), packed);
      if (!fm_statement_run (store, stmt, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
insert_latency (FmStore *store, const char *id, const GPtrArray *rows, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store, "INSERT INTO latency_sample VALUES (?, ?, ?, ?, ?, ?)",
                                                    error);

  if (stmt == NULL)
    return FALSE;
  for (guint i = 0; i < rows->len; i++)
    {
      const FmLatencySample *row = g_ptr_array_index (rows, i);

      fm_statement_bind (stmt, "ttiiid", id, row->kind, (gint64) i, row->process, row->rows, row->value_us);
      if (!fm_statement_run (store, stmt, error))
        return FALSE;
    }
  return TRUE;
}

/* What the view latency_medians says of one stage; asked with a stage, the view reads all of them. */
static gboolean
insert_medians (FmStore *store, const char *id, GError **error)
{
  return fm_store_do (store, error,
                      "INSERT INTO latency_median SELECT stage, kind, process, max (n), avg (value_us) FROM (SELECT stage, "
                      "kind, process, value_us, row_number () OVER (PARTITION BY kind, process ORDER BY value_us) AS place, "
                      "count (*) OVER (PARTITION BY kind, process) AS n FROM latency_sample WHERE stage = ?) WHERE place IN "
                      "((n + 1) / 2, (n + 2) / 2) GROUP BY kind, process", "t", id);
}

static gboolean
insert_processes (FmStore *store, const char *id, const GPtrArray *rows, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store,
    "INSERT INTO measure_process (stage, process, session, block, place, started_unix_us, warm_ups, settled, "
    "measured_peak_bytes, device_heap_bytes, energy_joules) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", error);

  if (stmt == NULL)
    return FALSE;
  for (guint i = 0; i < rows->len; i++)
    {
      const FmProcessRow *row = g_ptr_array_index (rows, i);

      fm_statement_bind (stmt, "titiiiIIIId", id, row->process, row->session, row->block, row->place, row->started_us,
                         row->warm_ups, row->settled, row->measured_peak_bytes, row->device_heap_bytes,
                         row->energy_joules);
      if (!fm_statement_run (store, stmt, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
insert_memory (FmStore *store, const char *id, const GPtrArray *rows, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store, "INSERT INTO memory VALUES (?, ?, ?, ?)", error);

  if (stmt == NULL)
    return FALSE;
  for (guint i = 0; i < rows->len; i++)
    {
      const FmMemoryRow *row = g_ptr_array_index (rows, i);

      fm_statement_bind (stmt, "ttII", id, row->kind, row->planned_bytes, row->measured_bytes);
      if (!fm_statement_run (store, stmt, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
insert_profile (FmStore *store, const char *id, const GPtrArray *rows, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store, "INSERT INTO op_profile VALUES (?, ?, ?, ?, ?, ?)", error);

  if (stmt == NULL)
    return FALSE;
  for (guint i = 0; i < rows->len; i++)
    {
      const FmOpProfileRow *row = g_ptr_array_index (rows, i);

      fm_statement_bind (stmt, "ttiddd", id, row->op, row->calls, row->seconds, row->flops, row->bytes);
      if (!fm_statement_run (store, stmt, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
insert_artifacts (FmStore *store, const char *id, const GPtrArray *rows, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store, "INSERT INTO artifact VALUES (?, ?, ?, ?, ?)", error);

  if (stmt == NULL)
    return FALSE;
  for (guint i = 0; i < rows->len; i++)
    {
      const FmArtifactRow *row = g_ptr_array_index (rows, i);

      fm_statement_bind (stmt, "tttit", id, row->path, row->kind, row->bytes, row->sha256);
      if (!fm_statement_run (store, stmt, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
add_artifacts (FmStore *store, const char *id, const GPtrArray *artifacts, GError **error)
{
  FmStageState state;

  if (!fm_store_load_stage_state (store, id, &state, error))
    return FALSE;
  if (state != FM_STAGE_DONE)
    {
      g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_LEASED, "Stage %s is %s; files are added to one that is done.", id,
                   fm_stage_state_to_string (state));
      return FALSE;
    }
  for (guint i = 0; i < artifacts->len; i++)
    if (!fm_store_do (store, error, "DELETE FROM artifact WHERE stage = ? AND path = ?", "tt", id,
                      ((const FmArtifactRow *) g_ptr_array_index (artifacts, i))->path))
      return FALSE;
  return insert_artifacts (store, id, artifacts, error);
}

gboolean
fm_store_add_artifacts (FmStore *store, const char *id, const GPtrArray *artifacts, GError **error)
{
  if (!fm_store_enter (store, error))
    return FALSE;
  return fm_store_leave (store, add_artifacts (store, id, artifacts, error), error);
}

static gboolean
finish_stage (FmStore *store, const char *id, const FmStageResult *result, GError **error)
{
  return require_claim (store, id, error) &&
         clear_rows (store, id, error) &&
         insert_metrics (store, id, result->metrics, error) &&
         insert_points (store, id, result->curve, error) &&
         insert_outcomes (store, id, result->outcomes, error) &&
         insert_latency (store, id, result->latency, error) &&
         insert_medians (store, id, error) &&
         insert_processes (store, id, result->processes, error) &&
         insert_memory (store, id, result->memory, error) &&
         insert_profile (store, id, result->profile, error) &&
         insert_artifacts (store, id, result->artifacts, error) &&
         fm_store_do (store, error,
                      "UPDATE stage SET state = ?, reason = ?, ended_unix_us = ?, worker_pid = NULL, fallbacks = ?, "
                      "diverged_step = ?, diverged_tensor = ? WHERE id = ?",
                      "ttiIItt", fm_stage_state_to_string (result->state), result->reason, g_get_real_time (),
                      result->fallbacks, result->diverged_step, result->diverged_tensor, id) &&
         fm_store_do (store, error, "UPDATE stage_text SET provenance = ? WHERE stage = ?", "tt", result->provenance,
                      id) &&
         fm_store_set_figures (store, id, error);
}

gboolean
fm_store_finish_stage (FmStore *store, const char *id, const FmStageResult *result, GError **error)
{
  g_return_val_if_fail (result->state >= FM_STAGE_DONE, FALSE);

  if (!fm_store_enter (store, error))
    return FALSE;
  return fm_store_leave (store, finish_stage (store, id, result, error), error);
}
