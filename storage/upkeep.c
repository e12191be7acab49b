/* upkeep.c: whether the store is sound, what takes room in it, and giving room back. Rows go first and their files
 * after the commit: a crash between leaves files that no row names, never rows without a file. */
#include "config.h"

#include "storage/storage-private.h"

#include <glib/gstdio.h>
#include <string.h>

#define OLD_S 3600 /* a younger file without a row may be one that a worker is about to tell of */

/* --- Check --------------------------------------------------------------------------------------------------------*/

char *
fm_store_hash_file (const char *path, gint64 *bytes, GError **error)
{
  g_autoptr (GFile) file = g_file_new_for_path (path);
  g_autoptr (GFileInputStream) in = g_file_read (file, NULL, error);
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autofree guint8 *buffer = g_malloc (1 << 16);
  gssize n;

  *bytes = 0;
  if (in == NULL)
    return NULL;
  while ((n = g_input_stream_read (G_INPUT_STREAM (in), buffer, 1 << 16, NULL, error)) > 0)
    {
      g_checksum_update (checksum, buffer, n);
      *bytes += n;
    }
  return n < 0 ? NULL : g_strdup (g_checksum_get_string (checksum));
}

char *
fm_store_artifact_file (FmStore *store, const char *path)
{
  return g_build_filename (store->artifacts, path, NULL);
}

/* (transfer full) (nullable): what is wrong with a file, NULL for nothing. */
static char *
find_fault (FmStore *store, const char *path, gint64 bytes, const char *sha256)
{
  g_autofree char *file = fm_store_artifact_file (store, path), *found = NULL;
  g_autoptr (GError) error = NULL;
  gint64 size;

  if (!g_file_test (file, G_FILE_TEST_EXISTS))
    return g_strdup_printf ("%s is missing", path);
  found = fm_store_hash_file (file, &size, &error);
  if (found == NULL)
    return g_strdup_printf ("%s cannot be read: %s", path, error->message);
  if (size != bytes)
    return g_strdup_printf ("%s has %" G_GINT64_FORMAT " bytes instead of %" G_GINT64_FORMAT, path, size, bytes);
  if (sha256 != NULL && !g_str_equal (found, sha256))
    return g_strdup_printf ("%s is not the file that was stored: its SHA-256 is another", path);
  return NULL;
}

GPtrArray *
fm_store_check_artifacts (FmStore *store, GError **error)
{
  g_autoptr (GPtrArray) faults = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store, "SELECT path, bytes, sha256 FROM artifact ORDER BY path",
                                                    error);
  gboolean row;

  while (stmt != NULL && fm_statement_next (store, stmt, &row, error))
    {
      char *fault;

      if (!row)
        return g_steal_pointer (&faults);
      fault = find_fault (store, (const char *) sqlite3_column_text (stmt, 0), fm_column_int (stmt, 1),
                          (const char *) sqlite3_column_text (stmt, 2));
      if (fault != NULL)
        g_ptr_array_add (faults, fault);
    }
  return NULL;
}

/* --- Files without a row ------------------------------------------------------------------------------------------*/

static gboolean
is_named (FmStore *store, sqlite3_stmt *stmt, const char *path, gboolean *named, GError **error)
{
  sqlite3_reset (stmt);
  fm_statement_bind (stmt, "t", path);
  return fm_statement_next (store, stmt, named, error);
}

/* (transfer full) (element-type char *): paths in the artifacts' folder that no row names, with their bytes. Those of a
 * stage that is running are not lost yet, and neither are young ones. */
static GPtrArray *
find_leftovers (FmStore *store, gint64 *bytes, GError **error)
{
  g_autoptr (GPtrArray) found = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store,
    "SELECT 1 FROM artifact WHERE path = ?1 UNION ALL SELECT 1 FROM stage WHERE state = 'running' "
    "AND ?1 LIKE id || '/%' LIMIT 1", error);
  g_autoptr (GDir) stages = g_dir_open (store->artifacts, 0, NULL);
  gint64 now = g_get_real_time () / G_USEC_PER_SEC;
  const char *stage, *name;

  *bytes = 0;
  if (stmt == NULL)
    return NULL;
  while (stages != NULL && (stage = g_dir_read_name (stages)) != NULL)
    {
      g_autofree char *folder = g_build_filename (store->artifacts, stage, NULL);
      g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);

      while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
        {
          g_autofree char *path = g_build_filename (stage, name, NULL), *file = g_build_filename (folder, name, NULL);
          gboolean named;
          GStatBuf info;

          if (!is_named (store, stmt, path, &named, error))
            return NULL;
          if (named || g_lstat (file, &info) != 0 || !S_ISREG (info.st_mode) || now - info.st_mtime < OLD_S)
            continue;
          *bytes += info.st_size;
          g_ptr_array_add (found, g_steal_pointer (&path));
        }
    }
  return g_steal_pointer (&found);
}

/* --- Size ---------------------------------------------------------------------------------------------------------*/

static void
size_row_free (gpointer data)
{
  FmSizeRow *row = data;

  g_free (row->name);
  g_free (row);
}

void
fm_store_size_free (FmStoreSize *size)
{
  if (size == NULL)
    return;
  g_ptr_array_unref (size->kinds);
  g_ptr_array_unref (size->batches);
  g_free (size);
}

static void
add_size (GPtrArray *rows, const char *name, gint64 batch, gint64 count, gint64 bytes, gint64 alone_bytes)
{
  FmSizeRow *row = g_new (FmSizeRow, 1);

  *row = (FmSizeRow) { g_strdup (name), batch, count, bytes, alone_bytes };
  g_ptr_array_add (rows, row);
}

static gboolean
add_sizes (FmStore *store, const char *sql, GPtrArray *rows, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store, sql, error);
  gboolean row;

  while (stmt != NULL && fm_statement_next (store, stmt, &row, error))
    {
      if (!row)
        return TRUE;
      add_size (rows, (const char *) sqlite3_column_text (stmt, 0), sqlite3_column_int64 (stmt, 1),
                sqlite3_column_int64 (stmt, 2), sqlite3_column_int64 (stmt, 3), sqlite3_column_int64 (stmt, 4));
    }
  return FALSE;
}

/* dbstat tells how many pages each table has; a SQLite without it knows only the whole. */
#define BY_TABLE \
  "SELECT CASE WHEN t IN ('curve', 'outcome', 'latency_sample', 'op_profile') THEN 'rows: ' || t " \
  "ELSE 'rows: others' END AS kind, 0, 0, sum (bytes), 0 FROM (SELECT coalesce (m.tbl_name, s.name) AS t, " \
  "s.pgsize AS bytes FROM dbstat s " \
  "LEFT JOIN sqlite_schema m ON m.name = s.name WHERE s.aggregate = TRUE) GROUP BY kind ORDER BY sum (bytes) DESC"
#define BY_ARTIFACT \
  "SELECT 'files: ' || kind, 0, count (*), sum (bytes), 0 FROM artifact GROUP BY kind ORDER BY sum (bytes) DESC"
/* A stage that several batches share counts in each; what only one has is what deleting that one gives back. */
#define BY_BATCH \
  "SELECT b.title, b.id, (SELECT count (*) FROM run WHERE batch = b.id), coalesce (sum (a.bytes), 0), " \
  "coalesce (sum (CASE WHEN q.n = 1 THEN a.bytes END), 0) FROM batch b " \
  "LEFT JOIN (SELECT DISTINCT r.batch, x.stage FROM run r JOIN run_stage x ON x.run = r.id) u ON u.batch = b.id " \
  "LEFT JOIN (SELECT stage, count (DISTINCT batch) AS n FROM run_stage x JOIN run r ON r.id = x.run " \
  "GROUP BY stage) q ON q.stage = u.stage LEFT JOIN (SELECT stage, sum (bytes) AS bytes FROM artifact GROUP BY stage) a " \
  "ON a.stage = u.stage GROUP BY b.id ORDER BY b.id DESC"

FmStoreSize *
fm_store_load_size (FmStore *store, GError **error)
{
  g_autoptr (FmStoreSize) size = g_new0 (FmStoreSize, 1);
  g_autofree char *log = g_strconcat (store->path, "-wal", NULL);
  g_autoptr (GPtrArray) leftovers = NULL;
  GStatBuf info;

  size->kinds = g_ptr_array_new_with_free_func (size_row_free);
  size->batches = g_ptr_array_new_with_free_func (size_row_free);
  if (g_stat (store->path, &info) == 0)
    size->file_bytes = info.st_size;
  if (g_stat (log, &info) == 0)
    size->log_bytes = info.st_size;
  if (sqlite3_compileoption_used ("ENABLE_DBSTAT_VTAB") && !add_sizes (store, BY_TABLE, size->kinds, error))
    return NULL;
  if (!add_sizes (store, BY_ARTIFACT, size->kinds, error) || !add_sizes (store, BY_BATCH, size->batches, error))
    return NULL;
  leftovers = find_leftovers (store, &size->leftover_bytes, error);
  if (leftovers == NULL)
    return NULL;
  if (leftovers->len > 0)
    add_size (size->kinds, "files: leftovers", 0, leftovers->len, size->leftover_bytes, 0);
  return g_steal_pointer (&size);
}

/* --- Giving room back ---------------------------------------------------------------------------------------------*/

static void
remove_files (FmStore *store, GPtrArray *paths)
{
  for (guint i = 0; i < paths->len; i++)
    {
      g_autofree char *file = fm_store_artifact_file (store, g_ptr_array_index (paths, i));
      g_autofree char *folder = g_path_get_dirname (file);

      g_unlink (file);
      g_rmdir (folder); /* once it is empty */
    }
}

static gboolean
load_paths (FmStore *store, const char *sql, gint64 batch, GPtrArray *paths, FmFreed *freed, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store, sql, error);
  gboolean row;

  if (stmt == NULL)
    return FALSE;
  if (sqlite3_bind_parameter_count (stmt) > 0)
    fm_statement_bind (stmt, "i", batch);
  while (fm_statement_next (store, stmt, &row, error))
    {
      if (!row)
        return TRUE;
      g_ptr_array_add (paths, fm_column_text (stmt, 0));
      freed->files++;
      freed->bytes += sqlite3_column_int64 (stmt, 1);
    }
  return FALSE;
}

/* Ends the transaction, undone after all when it was only a rehearsal. */
static gboolean
leave (FmStore *store, gboolean ok, gboolean dry_run, GPtrArray *paths, GError **error)
{
  if (ok && dry_run)
    {
      fm_store_leave (store, FALSE, NULL);
      return TRUE;
    }
  if (!fm_store_leave (store, ok, error))
    return FALSE;
  remove_files (store, paths);
  return TRUE;
}

/* Checkpoints that no stage still to run starts from. */
#define IDLE_CHECKPOINTS \
  "FROM artifact WHERE kind = 'checkpoint' AND stage IN (SELECT id FROM stage WHERE state IN ('done', 'diverged')) " \
  "AND stage NOT IN (SELECT i.earlier_stage FROM stage_input i JOIN stage s ON s.id = i.stage " \
  "WHERE s.state NOT IN ('done', 'diverged'))"

gboolean
fm_store_prune_checkpoints (FmStore *store, gboolean dry_run, FmFreed *freed, GError **error)
{
  g_autoptr (GPtrArray) paths = g_ptr_array_new_with_free_func (g_free), leftovers = NULL;
  gboolean ok;

  *freed = (FmFreed) { 0 };
  if (!fm_store_enter (store, error))
    return FALSE;
  ok = (leftovers = find_leftovers (store, &freed->leftover_bytes, error)) != NULL &&
       load_paths (store, "SELECT path, bytes " IDLE_CHECKPOINTS, 0, paths, freed, error) &&
       fm_store_do (store, error, "DELETE " IDLE_CHECKPOINTS, "");
  for (guint i = 0; ok && i < leftovers->len; i++)
    g_ptr_array_add (paths, g_strdup (g_ptr_array_index (leftovers, i)));
  freed->leftovers = ok ? leftovers->len : 0;
  return leave (store, ok, dry_run, paths, error);
}

/* Stages of batch ?1, with those they start from, that no other batch has. */
#define OWN_STAGES \
  "WITH RECURSIVE " \
  "mine (id) AS (SELECT x.stage FROM run_stage x JOIN run r ON r.id = x.run WHERE r.batch = ?1 " \
  "UNION SELECT i.earlier_stage FROM stage_input i JOIN mine ON mine.id = i.stage), " \
  "kept (id) AS (SELECT x.stage FROM run_stage x JOIN run r ON r.id = x.run WHERE r.batch <> ?1 " \
  "UNION SELECT i.earlier_stage FROM stage_input i JOIN kept ON kept.id = i.stage) " \
  "SELECT id FROM mine EXCEPT SELECT id FROM kept"

static gboolean
count (FmStore *store, const char *sql, gint64 batch, gint64 *value, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store, sql, error);
  gboolean row;

  if (stmt == NULL)
    return FALSE;
  if (sqlite3_bind_parameter_count (stmt) > 0)
    fm_statement_bind (stmt, "i", batch);
  if (!fm_statement_next (store, stmt, &row, error))
    return FALSE;
  *value = sqlite3_column_int64 (stmt, 0);
  return TRUE;
}

static gboolean
delete_batch (FmStore *store, gint64 batch, GPtrArray *paths, FmFreed *freed, GError **error)
{
  g_autoptr (FmBatchRecord) record = fm_store_load_batch (store, batch, error);

  if (record == NULL)
    return FALSE;
  if (record->live)
    {
      g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_LEASED,
                   "Batch %" G_GINT64_FORMAT " is being run by process %" G_GINT64_FORMAT
                   "; wait for it, or cancel it first.", batch, record->runner_pid);
      return FALSE;
    }
  freed->runs = record->n_runs;
  return fm_store_do (store, error, "CREATE TEMP TABLE doomed (id TEXT PRIMARY KEY)", "") &&
         fm_store_do (store, error, "INSERT INTO doomed " OWN_STAGES, "i", batch) &&
         count (store, "SELECT count (*) FROM doomed", 0, &freed->stages, error) &&
         load_paths (store, "SELECT path, bytes FROM artifact WHERE stage IN (SELECT id FROM doomed)", 0, paths, freed,
                     error) &&
         fm_store_do (store, error, "DELETE FROM batch WHERE id = ?", "i", batch) &&
         fm_store_do (store, error, "DELETE FROM stage_input WHERE stage IN (SELECT id FROM doomed)", "") &&
         fm_store_do (store, error, "DELETE FROM stage WHERE id IN (SELECT id FROM doomed)", "") &&
         fm_store_do (store, error, "DELETE FROM architecture_role WHERE architecture NOT IN (SELECT architecture FROM "
                      "run)", "") &&
         fm_store_do (store, error, "DELETE FROM architecture WHERE id NOT IN (SELECT architecture FROM run)", "") &&
         fm_store_do (store, error, "DELETE FROM task_shortcut WHERE task NOT IN (SELECT task FROM run)", "") &&
         fm_store_do (store, error, "DELETE FROM task WHERE id NOT IN (SELECT task FROM run)", "") &&
         fm_store_do (store, error, "DELETE FROM device WHERE id NOT IN (SELECT device FROM run)", "");
}

gboolean
fm_store_delete_batch (FmStore *store, gint64 batch, gboolean dry_run, FmFreed *freed, GError **error)
{
  g_autoptr (GPtrArray) paths = g_ptr_array_new_with_free_func (g_free);
  gboolean ok;

  *freed = (FmFreed) { 0 };
  if (!fm_store_enter (store, error))
    return FALSE;
  ok = delete_batch (store, batch, paths, freed, error);
  if (ok)
    ok = fm_store_do (store, error, "DROP TABLE temp.doomed", "");
  if (!leave (store, ok, dry_run, paths, error))
    return FALSE;
  /* The file becomes smaller; where somebody reads it now or the disk is full, its empty pages are used again later. */
  if (!dry_run)
    fm_store_do (store, NULL, "VACUUM", "");
  return TRUE;
}
