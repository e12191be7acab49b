/* merge.c: two stores into one. The other file is copied first and brought to this version there, so that it is only
 * read; the copy is attached and SQL moves the rows in one transaction. A file of an artifact is copied, checked and
 * synced before the row that names it is committed; when the transaction is undone, so are the files. */
#include "config.h"

#include "storage/storage-private.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct
{
  FmStore       *store;
  FmStore       *other;     /* the copy, opened on its own; in SQL it is `other` */
  char          *artifacts; /* folder of the original */
  FmMergeReport *report;
  GPtrArray     *copied;    /* char *: files made here */
  GHashTable    *only;      /* (nullable), no ref: ids of the stages that are wanted */
} Merge;

void
fm_merge_report_free (FmMergeReport *report)
{
  if (report == NULL)
    return;
  g_ptr_array_unref (report->conflicts);
  g_free (report);
}

static void
conflict (Merge *merge, const char *format, ...) G_GNUC_PRINTF (2, 3);

static void
conflict (Merge *merge, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_ptr_array_add (merge->report->conflicts, g_strdup_vprintf (format, args));
  va_end (args);
}

/* Calls @each with every row; FALSE when SQLite or @each failed. @each may change the tables that @sql reads only when
 * @sql sorts, which reads all before the first row comes: hence the `ORDER BY +` below, which no index can satisfy. */
static gboolean
for_each (Merge *merge, const char *sql, gboolean (*each) (Merge *, sqlite3_stmt *, GError **), GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (merge->store, sql, error);
  gboolean row;

  while (stmt != NULL && fm_statement_next (merge->store, stmt, &row, error))
    if (!row)
      return TRUE;
    else if (!each (merge, stmt, error))
      return FALSE;
  return FALSE;
}

static const char *
text (sqlite3_stmt *stmt, int column)
{
  const char *value = (const char *) sqlite3_column_text (stmt, column);

  return value ? value : "";
}

/* --- What is compared ---------------------------------------------------------------------------------------------*/

static gboolean
name_differing (Merge *merge, sqlite3_stmt *stmt, GError **error)
{
  conflict (merge, "The %s “%s” is described in another way there; this store's description is kept.", text (stmt, 0),
            text (stmt, 1));
  return TRUE;
}

#define DIFFERING \
  "SELECT 'device', d.id FROM main.device d JOIN other.device o ON o.id = d.id WHERE (d.label, d.name, d.driver, " \
  "d.threads) IS NOT (o.label, o.name, o.driver, o.threads) " \
  "UNION ALL SELECT 'task', t.id FROM main.task t JOIN other.task o ON o.id = t.id WHERE (t.name, t.parameters, " \
  "t.data_key, t.chance_level) IS NOT (o.name, o.parameters, o.data_key, o.chance_level) " \
  "UNION ALL SELECT 'architecture', a.id FROM main.architecture a JOIN other.architecture o ON o.id = a.id " \
  "WHERE a.skeleton IS NOT o.skeleton OR EXISTS (SELECT * FROM main.architecture_role WHERE architecture = a.id " \
  "EXCEPT SELECT * FROM other.architecture_role WHERE architecture = a.id) OR EXISTS (SELECT * FROM other.architecture_role " \
  "WHERE architecture = a.id EXCEPT SELECT * FROM main.architecture_role WHERE architecture = a.id)"

static gboolean
merge_compared (Merge *merge, GError **error)
{
  /* Parents first: into an empty table SQLite copies whole pages, without a look at who waits for these rows. */
  static const char * const moves[] = {
    "INSERT OR IGNORE INTO main.device SELECT * FROM other.device",
    "INSERT OR IGNORE INTO main.device_roof SELECT * FROM other.device_roof",
    "INSERT OR IGNORE INTO main.architecture SELECT * FROM other.architecture",
    "INSERT INTO main.architecture_role SELECT * FROM other.architecture_role WHERE architecture NOT IN "
      "(SELECT architecture FROM main.architecture_role)",
    "INSERT OR IGNORE INTO main.task SELECT * FROM other.task",
    "INSERT INTO main.task_shortcut SELECT * FROM other.task_shortcut WHERE task NOT IN "
      "(SELECT task FROM main.task_shortcut)",
  };

  if (!for_each (merge, DIFFERING, name_differing, error))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (moves); i++)
    if (!fm_store_do (merge->store, error, moves[i], ""))
      return FALSE;
  return TRUE;
}

/* --- Files --------------------------------------------------------------------------------------------------------*/

/* "<stage>/<file>" and nothing that leads elsewhere: the row comes from a stranger. */
static gboolean
is_plain_path (const char *path, const char *stage)
{
  gsize n = strlen (stage);

  return n > 0 && stage[0] != '.' && strchr (stage, '/') == NULL && strncmp (path, stage, n) == 0 && path[n] == '/' &&
         path[n + 1] != '\0' && path[n + 1] != '.' && strchr (path + n + 1, '/') == NULL;
}

static gboolean
copy_bytes (const char *from, const char *to, GError **error)
{
  g_autoptr (GFile) source = g_file_new_for_path (from), target = g_file_new_for_path (to);
  int fd;
  gboolean ok;

  if (!g_file_copy (source, target, G_FILE_COPY_OVERWRITE | G_FILE_COPY_TARGET_DEFAULT_PERMS, NULL, NULL, NULL, error))
    return FALSE;
  fd = open (to, O_RDONLY | O_CLOEXEC);
  ok = fd >= 0 && fsync (fd) == 0;
  if (!ok)
    g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_FULL, "%s cannot be written (%s).", to, g_strerror (errno));
  if (fd >= 0)
    close (fd);
  return ok;
}

/* TRUE with *@taken saying whether the file is here now. One that is missing there or damaged is named and left. */
static gboolean
take_file (Merge *merge, const char *stage, const char *path, gint64 bytes, const char *sha256, gboolean *taken,
           GError **error)
{
  g_autofree char *from = g_build_filename (merge->artifacts, path, NULL);
  g_autofree char *to = fm_store_artifact_file (merge->store, path), *draft = g_strconcat (to, ".part", NULL);
  g_autofree char *folder = g_path_get_dirname (to), *found = NULL;
  gint64 size = -1;

  *taken = FALSE;
  if (!is_plain_path (path, stage))
    {
      conflict (merge, "The artifact “%s” of stage %s has a path outside that stage's folder; it is left.", path, stage);
      return TRUE;
    }
  found = g_file_test (from, G_FILE_TEST_IS_REGULAR) ? fm_store_hash_file (from, &size, NULL) : NULL;
  if (found == NULL || size != bytes || (sha256 != NULL && !g_str_equal (found, sha256)))
    {
      conflict (merge, found ? "The artifact %s is not the file that was stored there; it is left."
                             : "The artifact %s is missing there; the stage comes without it.", path);
      return TRUE;
    }
  if (g_mkdir_with_parents (folder, 0700) != 0)
    {
      g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_READ_ONLY, "The folder %s cannot be made (%s).", folder,
                   g_strerror (errno));
      return FALSE;
    }
  g_ptr_array_add (merge->copied, g_strdup (draft));
  if (!copy_bytes (from, draft, error))
    return FALSE;
  g_ptr_array_add (merge->copied, g_strdup (to));
  if (g_rename (draft, to) != 0 || !fm_store_sync_folder (folder))
    {
      g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_FAILED, "%s cannot be kept (%s).", to, g_strerror (errno));
      return FALSE;
    }
  merge->report->files++;
  merge->report->bytes += size;
  *taken = TRUE;
  return TRUE;
}

static gboolean
take_files (Merge *merge, const char *stage, GError **error)
{
  g_autoptr (GPtrArray) rows = fm_store_load_artifacts (merge->other, stage, error);

  if (rows == NULL)
    return FALSE;
  for (guint i = 0; i < rows->len; i++)
    {
      const FmArtifactRow *row = g_ptr_array_index (rows, i);
      gboolean taken;

      if (!take_file (merge, stage, row->path, row->bytes, row->sha256, &taken, error) ||
          (taken && !fm_store_do (merge->store, error, "INSERT INTO main.artifact SELECT * FROM other.artifact "
                                  "WHERE stage = ? AND path = ?", "tt", stage, row->path)))
        return FALSE;
    }
  return TRUE;
}

/* --- Stages -------------------------------------------------------------------------------------------------------*/

/* 0 not run, 1 ended without a result, 2 final. */
static int
rank (FmStageState state)
{
  switch (state)
    {
    case FM_STAGE_DONE:
    case FM_STAGE_DIVERGED:
      return 2;
    case FM_STAGE_FAILED:
    case FM_STAGE_CANCELLED:
      return 1;
    case FM_STAGE_PLANNED:
    case FM_STAGE_RUNNING:
    default:
      return 0;
    }
}

static gboolean
take_stage (Merge *merge, const char *id, FmStageState state, gboolean known, GError **error)
{
  static const char * const tables[] = { "metric", "curve", "outcome", "latency_sample", "latency_median",
                                         "measure_process", "memory", "op_profile" };

  if (known && (!fm_store_do (merge->store, error, "DELETE FROM main.stage_input WHERE stage = ?", "t", id) ||
                !fm_store_do (merge->store, error, "DELETE FROM main.stage WHERE id = ?", "t", id)))
    return FALSE;
  /* Who runs it there does not run it here. */
  if (!fm_store_do (merge->store, error, "INSERT INTO main.stage SELECT * FROM other.stage WHERE id = ?", "t", id) ||
      !fm_store_do (merge->store, error,
                    "UPDATE main.stage SET state = CASE state WHEN 'running' THEN 'planned' ELSE state END, "
                    "runner_pid = NULL, runner_start = NULL, runner_machine = NULL, worker_pid = NULL WHERE id = ?",
                    "t", id) ||
      !fm_store_do (merge->store, error, "INSERT INTO main.stage_text SELECT * FROM other.stage_text WHERE stage = ?",
                    "t", id) ||
      !fm_store_do (merge->store, error, "INSERT INTO main.stage_input SELECT * FROM other.stage_input WHERE stage = ?",
                    "t", id))
    return FALSE;
  if (!known || rank (state) > 0)
    merge->report->stages++;
  if (rank (state) == 0) /* what it left so far belongs to its runner there */
    return TRUE;
  for (guint i = 0; i < G_N_ELEMENTS (tables); i++)
    {
      g_autofree char *sql = g_strdup_printf ("INSERT INTO main.%s SELECT * FROM other.%s WHERE stage = ?", tables[i],
                                              tables[i]);

      if (!fm_store_do (merge->store, error, sql, "t", id))
        return FALSE;
    }
  return take_files (merge, id, error);
}

static gboolean
differs_in (Merge *merge, const char *id, const char *table, const char *where, gboolean *differs, GError **error)
{
  g_autofree char *sql = g_strdup_printf (
    "SELECT EXISTS (SELECT * FROM main.%1$s WHERE stage = ?1 %2$s EXCEPT SELECT * FROM other.%1$s WHERE stage = ?1 "
    "%2$s) OR EXISTS (SELECT * FROM other.%1$s WHERE stage = ?1 %2$s EXCEPT SELECT * FROM main.%1$s WHERE stage = ?1 "
    "%2$s)",
    table, where);
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (merge->store, sql, error);
  gboolean row;

  if (stmt == NULL)
    return FALSE;
  fm_statement_bind (stmt, "t", id);
  if (!fm_statement_next (merge->store, stmt, &row, error))
    return FALSE;
  *differs = sqlite3_column_int (stmt, 0);
  return TRUE;
}

/* Another release of the compressor packs the same numbers in other bytes. */
static gboolean
outcomes_differ (Merge *merge, const char *id, gboolean *differ, GError **error)
{
  g_autoptr (GPtrArray) ours = fm_store_load_outcomes (merge->store, id, error);
  g_autoptr (GPtrArray) theirs = ours ? fm_store_load_outcomes (merge->other, id, error) : NULL;

  if (theirs == NULL)
    return FALSE;
  *differ = ours->len != theirs->len;
  for (guint i = 0; i < ours->len && !*differ; i++)
    {
      const FmOutcomeRow *a = g_ptr_array_index (ours, i), *b = g_ptr_array_index (theirs, i);

      *differ = !g_str_equal (a->split, b->split) || !g_str_equal (a->target, b->target) ||
                !g_bytes_equal (a->triples, b->triples);
    }
  return TRUE;
}

/* Both have a result. Times are of one machine and one day, so that two trainings with the same numbers are the same;
 * two measurements of latency are two. */
static gboolean
compare_results (Merge *merge, const char *id, const char *whose, GError **error)
{
  gboolean metrics, curves, outcomes, latencies;

  if (!differs_in (merge, id, "metric", "AND name NOT GLOB '*_s' AND name NOT GLOB '*_ms' AND name NOT GLOB '*_us' "
                   "AND name NOT IN ('unstable', 'energy_joules', 'device_heap_bytes')", &metrics, error) ||
      !differs_in (merge, id, "curve", "", &curves, error) ||
      !differs_in (merge, id, "outcome", "", &outcomes, error) ||
      (outcomes && !outcomes_differ (merge, id, &outcomes, error)) ||
      !differs_in (merge, id, "latency_sample", "", &latencies, error))
    return FALSE;
  if (metrics || curves || outcomes)
    conflict (merge, "Stage %s (%s) has another result there: other%s%s%s; this store's is kept.", id, whose,
              metrics ? " metrics" : "", curves ? (metrics ? " and curves" : " curves") : "",
              outcomes ? (metrics || curves ? " and outcomes" : " outcomes") : "");
  else if (latencies)
    conflict (merge, "Stage %s (%s) was measured there, too, and its latencies differ; this store's are kept.", id,
              whose);
  else
    merge->report->same++;
  return TRUE;
}

/* Columns: id, kind, variant, seed, recipe is the same, state there, state here (NULL: unknown here) */
static gboolean
merge_stage (Merge *merge, sqlite3_stmt *stmt, GError **error)
{
  g_autofree char *id = fm_column_text (stmt, 0);
  g_autofree char *whose = g_strdup_printf ("%s, %s, seed %s", text (stmt, 1), text (stmt, 2), text (stmt, 3));
  FmStageState theirs = fm_stage_state_from_string (text (stmt, 5)), ours;
  gboolean known = sqlite3_column_type (stmt, 6) != SQLITE_NULL, live;

  if (merge->only != NULL && !g_hash_table_contains (merge->only, id))
    return TRUE;
  if (!known)
    return take_stage (merge, id, theirs, FALSE, error);
  ours = fm_stage_state_from_string (text (stmt, 6));
  if (!sqlite3_column_int (stmt, 4))
    {
      conflict (merge, "Stage %s (%s) has another recipe there; this store's is kept.", id, whose);
      return TRUE;
    }
  if (rank (ours) == 2 && rank (theirs) == 2)
    {
      if (ours == theirs)
        return compare_results (merge, id, whose, error);
      conflict (merge, "Stage %s (%s) is %s here and %s there; this store's result is kept.", id, whose,
                fm_stage_state_to_string (ours), fm_stage_state_to_string (theirs));
      return TRUE;
    }
  if (rank (theirs) <= rank (ours))
    return TRUE;
  if (ours == FM_STAGE_RUNNING)
    {
      if (!fm_store_stage_is_live (merge->store, id, &live, error))
        return FALSE;
      if (live)
        {
          conflict (merge, "Stage %s (%s) is being run here; merge again when that has finished.", id, whose);
          return TRUE;
        }
    }
  return take_stage (merge, id, theirs, TRUE, error);
}

#define STAGES \
  "SELECT o.id, o.kind, r.variant, r.seed, w.recipe IS v.recipe, o.state, s.state FROM other.stage o " \
  "JOIN other.stage_text w ON w.stage = o.id LEFT JOIN main.stage s ON s.id = o.id " \
  "LEFT JOIN main.stage_text v ON v.stage = o.id LEFT JOIN other.run r ON r.id = (SELECT min (x.run) FROM " \
  "other.run_stage x WHERE x.stage = o.id) ORDER BY +o.id"

/* --- Batches and runs ---------------------------------------------------------------------------------------------*/

/* A name or note that only they have comes in; of two the one here stays. */
static gboolean
merge_labels (Merge *merge, const char *table, gint64 ours, gint64 theirs, GError **error)
{
  static const char * const columns[] = { "name", "note" };
  g_autofree char *tags = g_strdup_printf ("INSERT OR IGNORE INTO main.%s_tag SELECT ?1, tag FROM other.%s_tag "
                                           "WHERE %s = ?2", table, table, table);

  for (guint i = 0; i < G_N_ELEMENTS (columns); i++)
    {
      g_autofree char *find = g_strdup_printf ("SELECT a.%1$s, b.%1$s FROM main.%2$s a, other.%2$s b WHERE a.id = ?1 "
                                               "AND b.id = ?2 AND b.%1$s IS NOT NULL AND a.%1$s IS NOT b.%1$s",
                                               columns[i], table);
      g_autofree char *set = g_strdup_printf ("UPDATE main.%s SET %s = ? WHERE id = ?", table, columns[i]);
      g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (merge->store, find, error);
      gboolean row;

      if (stmt == NULL)
        return FALSE;
      fm_statement_bind (stmt, "ii", ours, theirs);
      if (!fm_statement_next (merge->store, stmt, &row, error))
        return FALSE;
      if (row && sqlite3_column_type (stmt, 0) != SQLITE_NULL)
        conflict (merge, "The %s of %s %" G_GINT64_FORMAT " is “%s” here and “%s” there; this store's is kept.",
                  columns[i], table, ours, text (stmt, 0), text (stmt, 1));
      else if (row && !fm_store_do (merge->store, error, set, "ti", text (stmt, 1), ours))
        return FALSE;
    }
  return fm_store_do (merge->store, error, tags, "ii", ours, theirs);
}

static gboolean
add_run (Merge *merge, gint64 batch, gint64 theirs, gint64 *id, GError **error)
{
  if (!fm_store_do (merge->store, error,
                    "INSERT INTO main.run (batch, position, variant, architecture, task, device, seed, skip_reason, "
                    "train_stage, measure_stage, has_more_stages) SELECT ?1, position, variant, architecture, task, "
                    "device, seed, skip_reason, train_stage, measure_stage, has_more_stages FROM other.run "
                    "WHERE id = ?2",
                    "ii", batch, theirs))
    return FALSE;
  *id = sqlite3_last_insert_rowid (merge->store->db);
  merge->report->runs++;
  return fm_store_do (merge->store, error, "INSERT INTO main.run_stage SELECT ?1, position, stage FROM other.run_stage "
                      "WHERE run = ?2", "ii", *id, theirs);
}

/* Runs of the other batch @theirs; a run is the same when its place in the plan and its stages are. */
#define RUNS \
  "SELECT o.id, r.id, o.variant, o.seed, o.skip_reason IS NULL AND r.skip_reason IS NOT NULL, " \
  "(r.variant, r.architecture, r.task, r.device, r.seed) IS (o.variant, o.architecture, o.task, o.device, o.seed) " \
  "AND NOT EXISTS (SELECT position, stage FROM other.run_stage WHERE run = o.id EXCEPT SELECT position, stage FROM " \
  "main.run_stage WHERE run = r.id) AND (SELECT count (*) FROM other.run_stage WHERE run = o.id) = " \
  "(SELECT count (*) FROM main.run_stage WHERE run = r.id) FROM other.run o " \
  "LEFT JOIN main.run r ON r.batch = ?1 AND r.position = o.position WHERE o.batch = ?2 ORDER BY +o.position"

static gboolean
merge_runs (Merge *merge, gint64 ours, gint64 theirs, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (merge->store, RUNS, error);
  gboolean row;

  if (stmt == NULL)
    return FALSE;
  fm_statement_bind (stmt, "ii", ours, theirs);
  while (fm_statement_next (merge->store, stmt, &row, error))
    {
      gint64 run, other;

      if (!row)
        return TRUE;
      other = sqlite3_column_int64 (stmt, 0);
      run = fm_column_int (stmt, 1);
      if (run > 0 && !sqlite3_column_int (stmt, 5))
        {
          conflict (merge, "Run %" G_GINT64_FORMAT " of batch %" G_GINT64_FORMAT " is another one there (%s, seed %s); "
                    "this store's is kept.", run, ours, text (stmt, 2), text (stmt, 3));
          continue;
        }
      if ((run < 0 && !add_run (merge, ours, other, &run, error)) ||
          /* Skipped here for want of data, run there. */
          (sqlite3_column_int (stmt, 4) &&
           !fm_store_do (merge->store, error, "UPDATE main.run SET skip_reason = NULL WHERE id = ?", "i", run)) ||
          !merge_labels (merge, "run", run, other, error))
        return FALSE;
    }
  return FALSE;
}

static gboolean
merge_batch (Merge *merge, sqlite3_stmt *stmt, GError **error)
{
  gint64 theirs = sqlite3_column_int64 (stmt, 0);
  gint64 ours = fm_store_find_batch_by_key (merge->store, text (stmt, 1), error);

  if (ours < 0)
    return FALSE;
  if (ours == 0)
    {
      if (!fm_store_do (merge->store, error,
                        "INSERT INTO main.batch (key, title, file_name, text, program_version, state, created_unix_us, "
                        "ended_unix_us) SELECT key, title, file_name, text, program_version, CASE state WHEN 'running' "
                        "THEN 'planned' ELSE state END, created_unix_us, ended_unix_us FROM other.batch WHERE id = ?",
                        "i", theirs))
        return FALSE;
      ours = sqlite3_last_insert_rowid (merge->store->db);
      merge->report->batches++;
    }
  return merge_labels (merge, "batch", ours, theirs, error) && merge_runs (merge, ours, theirs, error) &&
         /* Its last missing stages may just have come. */
         fm_store_do (merge->store, error,
                      "UPDATE main.batch SET state = 'done', ended_unix_us = ? WHERE id = ? AND runner_pid IS NULL AND "
                      "state <> 'done' AND NOT EXISTS (SELECT 1 FROM main.run r JOIN main.run_state q ON q.run = r.id "
                      "WHERE r.batch = batch.id AND q.state NOT IN ('done', 'failed', 'diverged', 'skipped'))",
                      "ii", g_get_real_time (), ours);
}

/* Each goes to the batch with the same plan, the newest if there are several. */
#define BATCHES "SELECT id, key FROM other.batch ORDER BY +id"

/* --- All of it ----------------------------------------------------------------------------------------------------*/

static gboolean
merge_all (Merge *merge, GError **error)
{
  /* Rows arrive in any order; what does not fit together in the end is refused by the commit. */
  if (!fm_store_do (merge->store, error, "PRAGMA defer_foreign_keys = ON", ""))
    return FALSE;
  if (merge->only != NULL)
    return for_each (merge, STAGES, merge_stage, error);
  return merge_compared (merge, error) &&
         for_each (merge, STAGES, merge_stage, error) &&
         for_each (merge, BATCHES, merge_batch, error);
}

static gboolean
is_same_file (const char *a, const char *b)
{
  struct stat x, y;

  return stat (a, &x) == 0 && stat (b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static void
remove_copy (const char *path)
{
  static const char * const ends[] = { "", "-wal", "-shm", "-journal" };

  for (guint i = 0; i < G_N_ELEMENTS (ends); i++)
    {
      g_autofree char *name = g_strconcat (path, ends[i], NULL);

      g_unlink (name);
    }
}

static gboolean
merge_copy (Merge *merge, const char *copy, GError **error)
{
  gboolean ok;

  if (!fm_store_do (merge->store, error, "ATTACH ? AS other", "t", copy))
    return FALSE;
  ok = fm_store_enter (merge->store, error) && fm_store_leave (merge->store, merge_all (merge, error), error);
  if (!ok)
    for (guint i = 0; i < merge->copied->len; i++)
      g_unlink (g_ptr_array_index (merge->copied, i));
  return fm_store_do (merge->store, ok ? error : NULL, "DETACH other", "") && ok;
}

FmMergeReport *
fm_store_merge (FmStore *store, const char *path, GError **error)
{
  return fm_store_merge_stages (store, path, NULL, error);
}

FmMergeReport *
fm_store_merge_stages (FmStore *store, const char *path, GHashTable *stages, GError **error)
{
  g_autoptr (FmMergeReport) report = g_new0 (FmMergeReport, 1);
  g_autoptr (GPtrArray) copied = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (FmStore) original = NULL;
  g_autofree char *copy = g_strdup_printf ("%s.merge-%d", store->path, (int) getpid ());
  Merge merge = { .store = store, .report = report, .copied = copied, .only = stages };
  gboolean ok;

  report->conflicts = g_ptr_array_new_with_free_func (g_free);
  g_return_val_if_fail (store->depth == 0, NULL);
  if (!fm_store_require_write (store, error))
    return NULL;
  if (is_same_file (store->path, path))
    {
      g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_NOT_STORE,
                   "%s is this very store; name the file of another one.", path);
      return NULL;
    }
  original = fm_store_open_as_it_is (path, error);
  if (original == NULL)
    return NULL;
  merge.artifacts = original->artifacts;
  remove_copy (copy);
  ok = fm_store_copy_database (store, original->db, copy, error) &&
       (merge.other = fm_store_open_draft (copy, error)) != NULL &&
       fm_store_check (merge.other, error) && merge_copy (&merge, copy, error);
  g_clear_pointer (&merge.other, fm_store_close);
  remove_copy (copy);
  return ok ? g_steal_pointer (&report) : NULL;
}
