/* test-store-upkeep.c: labels, merging, checking files, sizes, pruning, deleting, copies before a migration, network file
 * systems. */
#include "store-fixture.h"

#include <utime.h>

/* --- Files --------------------------------------------------------------------------------------------------------*/

/* A file of a stage's artifacts with its row as a result has it. */
static void
add_file (FmStore *store, FmStageResult *result, const char *stage, const char *kind, const char *name, const char *text)
{
  g_autofree char *path = fm_store_artifact_path (store, stage, name), *folder = g_path_get_dirname (path);
  g_autofree char *row = g_strdup_printf ("%s/%s", stage, name);
  g_autofree char *hash = g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, -1);

  g_assert_cmpint (g_mkdir_with_parents (folder, 0700), ==, 0);
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  fm_stage_result_add_artifact (result, kind, row, (gint64) strlen (text), hash);
}

/* As train_result(), with a checkpoint that is really there. */
static FmStageResult *
result_with_file (FmStore *store, const char *stage, const char *text)
{
  FmStageResult *result = train_result (3);

  g_ptr_array_set_size (result->artifacts, 0);
  add_file (store, result, stage, "checkpoint", "model.safetensors", text);
  return result;
}

static void
finish_with_file (FmStore *store, const char *stage, const char *text)
{
  g_autoptr (FmStageResult) result = result_with_file (store, stage, text);

  finish (store, stage, result);
}

static FmStore *
open_other (Fixture *f, const char *name)
{
  g_autofree char *path = g_build_filename (f->folder, name, NULL);
  g_autoptr (GError) error = NULL;
  FmStore *store = fm_store_open (path, FM_STORE_WRITE, &error);

  g_assert_no_error (error);
  return store;
}

/* Everything of the store's tables as text. */
static char *
dump (const char *path)
{
  g_autoptr (GPtrArray) tables = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GString) all = g_string_new (NULL);
  sqlite3_stmt *stmt = NULL;
  sqlite3 *db = NULL;

  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_prepare_v2 (db, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name", -1, &stmt,
                                       NULL), ==, SQLITE_OK);
  while (sqlite3_step (stmt) == SQLITE_ROW)
    g_ptr_array_add (tables, g_strdup ((const char *) sqlite3_column_text (stmt, 0)));
  sqlite3_finalize (stmt);
  for (guint t = 0; t < tables->len; t++)
    {
      g_autofree char *sql = g_strdup_printf ("SELECT * FROM %s ORDER BY 1, 2", (char *) g_ptr_array_index (tables, t));

      g_assert_cmpint (sqlite3_prepare_v2 (db, sql, -1, &stmt, NULL), ==, SQLITE_OK);
      while (sqlite3_step (stmt) == SQLITE_ROW)
        {
          g_string_append (all, g_ptr_array_index (tables, t));
          for (int i = 0; i < sqlite3_column_count (stmt); i++)
            g_string_append_printf (all, "|%s", (const char *) sqlite3_column_text (stmt, i));
          g_string_append_c (all, '\n');
        }
      sqlite3_finalize (stmt);
    }
  sqlite3_close (db);
  return g_string_free (g_steal_pointer (&all), FALSE);
}

static FmMergeReport *
merge (FmStore *store, const char *path)
{
  g_autoptr (GError) error = NULL;
  FmMergeReport *report = fm_store_merge (store, path, &error);

  g_assert_no_error (error);
  for (guint i = 0; i < report->conflicts->len; i++)
    g_test_message ("%s", (char *) g_ptr_array_index (report->conflicts, i));
  g_assert_true (fm_store_check (store, &error));
  g_assert_no_error (error);
  return report;
}

/* --- Labels -------------------------------------------------------------------------------------------------------*/

static guint
n_found (FmStore *store, const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) rows = fm_store_search (store, text, &error);

  g_assert_no_error (error);
  return rows->len;
}

static void
test_labels (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  gint64 first = add_batch (f->store, "first", 2);
  g_autoptr (FmBatchRecord) batch = NULL;
  g_autoptr (FmRunRecord) run = NULL;
  g_autoptr (GPtrArray) rows = NULL;
  const FmResultRow *row;

  add_batch (f->store, "second", 1);
  g_assert_true (fm_store_set_name (f->store, FM_LABELLED_BATCH, first, "Windows of March", &error));
  g_assert_true (fm_store_set_note (f->store, FM_LABELLED_BATCH, first, "cool room\nfan off", &error));
  g_assert_true (fm_store_set_tag (f->store, FM_LABELLED_BATCH, first, "paper", TRUE, &error));
  g_assert_true (fm_store_set_tag (f->store, FM_LABELLED_BATCH, first, "paper", TRUE, &error));
  g_assert_true (fm_store_set_tag (f->store, FM_LABELLED_RUN, 1, "odd", TRUE, &error));
  g_assert_true (fm_store_set_tag (f->store, FM_LABELLED_RUN, 1, "keep", TRUE, &error));
  g_assert_true (fm_store_set_note (f->store, FM_LABELLED_RUN, 1, "restarted", &error));
  g_assert_no_error (error);
  batch = fm_store_load_batch (f->store, first, &error);
  g_assert_cmpstr (batch->name, ==, "Windows of March");
  g_assert_cmpstr (batch->tags, ==, "paper");
  g_assert_cmpstr (batch->note, ==, "cool room\nfan off");
  g_assert_cmpint (batch->n_runs, ==, 4);
  run = fm_store_load_run (f->store, 1, &error);
  g_assert_cmpstr (run->tags, ==, "keep odd");
  g_assert_cmpint (fm_store_find_batch (f->store, "Windows of March", &error), ==, first);
  rows = fm_store_load_results (f->store, first, &error);
  row = g_ptr_array_index (rows, 0);
  g_assert_cmpstr (row->tags, ==, "keep odd");
  g_assert_cmpstr (row->note, ==, "restarted");
  g_assert_cmpstr (row->batch_name, ==, "Windows of March");
  g_assert_cmpstr (row->batch_tags, ==, "paper");

  g_assert_cmpuint (n_found (f->store, "march"), ==, 4); /* the batch's name finds its runs */
  g_assert_cmpuint (n_found (f->store, "FAN OFF"), ==, 4);
  g_assert_cmpuint (n_found (f->store, "keep"), ==, 1);
  g_assert_cmpuint (n_found (f->store, "restarted"), ==, 1);
  g_assert_cmpuint (n_found (f->store, "second"), ==, 2);
  g_assert_cmpuint (n_found (f->store, "100%"), ==, 0); /* no pattern */
  g_assert_cmpuint (n_found (f->store, "_"), ==, 0);

  g_assert_true (fm_store_set_tag (f->store, FM_LABELLED_RUN, 1, "odd", FALSE, &error));
  g_assert_true (fm_store_set_name (f->store, FM_LABELLED_BATCH, first, "", &error));
  g_clear_pointer (&run, fm_run_record_free);
  run = fm_store_load_run (f->store, 1, &error);
  g_assert_cmpstr (run->tags, ==, "keep");
  g_assert_cmpuint (n_found (f->store, "march"), ==, 0);

  g_assert_false (fm_store_set_name (f->store, FM_LABELLED_BATCH, first, "17", &error));
  g_clear_error (&error);
  g_assert_false (fm_store_set_tag (f->store, FM_LABELLED_RUN, 1, "two words", TRUE, &error));
  g_clear_error (&error);
  g_assert_false (fm_store_set_tag (f->store, FM_LABELLED_RUN, 99, "odd", TRUE, &error));
  g_assert_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT);
  g_clear_error (&error);
  g_assert_false (fm_store_set_note (f->store, FM_LABELLED_BATCH, 99, "x", &error));
  g_assert_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT);
}

/* --- Merge --------------------------------------------------------------------------------------------------------*/

/* Two machines, a half each of one plan, and a batch that only the other has. */
static void
test_merge (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmStore) other = open_other (f, "other.db");
  g_autoptr (FmMergeReport) report = NULL, again = NULL;
  g_autoptr (FmStageResult) failed = fm_stage_result_new (FM_STAGE_FAILED);
  g_autoptr (FmStageResult) measured = fm_stage_result_new (FM_STAGE_DONE);
  g_autoptr (FmBatchRecord) batch = NULL;
  g_autoptr (GPtrArray) faults = NULL, rows = NULL;
  g_autofree char *before = NULL, *after = NULL, *theirs_before = NULL, *theirs_after = NULL, *text = NULL;
  g_autofree char *file = fm_store_artifact_path (f->store, "train-1-0", "model.safetensors");
  FmClaim claim;

  add_batch (f->store, "first", 2);
  finish_with_file (f->store, "train-0-0", "mine");
  add_batch (other, "zeroth", 3); /* the numbers of batches and runs are others there */
  add_batch (other, "first", 2);
  finish_with_file (other, "train-1-0", "theirs");
  finish_with_file (other, "measure-1-0", "theirs too");
  fm_stage_result_add_process (measured, 0, "a session", 0)->measured_peak_bytes = 5;
  fm_stage_result_add_latency (measured, 0, "batch1", 1, 300);
  fm_stage_result_add_metric (measured, NULL, NULL, NULL, "unstable", 1);
  finish (other, "measure-1-1", measured);
  failed->reason = g_strdup ("no memory");
  finish (other, "train-1-1", failed);
  g_assert_true (fm_store_claim_stage (other, "train-0-2", &claim, &error)); /* runs there: planned here */
  g_assert_true (fm_store_set_tag (other, FM_LABELLED_BATCH, 2, "paper", TRUE, &error));
  g_assert_true (fm_store_set_note (other, FM_LABELLED_RUN, 9, "loud", &error));
  g_assert_no_error (error);
  theirs_before = dump (fm_store_get_path (other));

  report = merge (f->store, fm_store_get_path (other));
  g_assert_cmpuint (report->conflicts->len, ==, 0);
  g_assert_cmpint (report->batches, ==, 1);
  g_assert_cmpint (report->runs, ==, 6);
  g_assert_cmpint (report->stages, ==, 8);
  g_assert_cmpint (report->files, ==, 2);
  g_assert_true (g_file_get_contents (file, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "theirs");
  faults = fm_store_check_artifacts (f->store, &error);
  g_assert_cmpuint (faults->len, ==, 0);
  g_assert_cmpint (sql_int (f->path, "SELECT count(*) FROM stage WHERE state = 'running' OR runner_pid IS NOT NULL"), ==,
                   1); /* our own, whose runner's number stays */
  g_assert_cmpint (sql_int (f->path, "SELECT count(*) FROM stage WHERE state = 'failed' AND reason = 'no memory'"), ==, 1);
  g_assert_cmpint (sql_int (f->path, "SELECT count(*) FROM outcome"), ==, 3);
  g_assert_cmpint (sql_int (f->path, "SELECT count(*) FROM run_tag"), ==, 0);
  g_assert_cmpint (sql_int (f->path, "SELECT count(*) FROM measure_process WHERE session = 'a session' AND stage = "
                            "'measure-1-1'"), ==, 1);
  g_assert_cmpint (sql_int (f->path, "SELECT count(*) FROM latency_median WHERE median_us = 300"), ==, 1);
  g_assert_cmpint (sql_int (f->path, "SELECT unstable FROM stage WHERE id = 'measure-1-1'"), ==, 1);
  batch = fm_store_load_batch (f->store, 1, &error);
  g_assert_cmpstr (batch->tags, ==, "paper");
  rows = fm_store_load_results (f->store, 1, &error);
  g_assert_cmpuint (rows->len, ==, 4);
  g_assert_cmpfloat (((FmResultRow *) g_ptr_array_index (rows, 2))->test_accuracy, ==, 0.84);
  g_assert_cmpstr (((FmResultRow *) g_ptr_array_index (rows, 2))->note, ==, "loud");

  before = dump (f->path);
  again = merge (f->store, fm_store_get_path (other));
  g_assert_cmpuint (again->conflicts->len, ==, 0);
  g_assert_cmpint (again->batches + again->runs + again->stages + again->files, ==, 0);
  after = dump (f->path);
  g_assert_cmpstr (before, ==, after);
  theirs_after = dump (fm_store_get_path (other));
  g_assert_cmpstr (theirs_before, ==, theirs_after);
  g_assert_cmpint (sql_int (f->path, "SELECT count(*) FROM batch WHERE key = 'key of first'"), ==, 1);
}

static gboolean
has_conflict (const FmMergeReport *report, const char *a, const char *b)
{
  for (guint i = 0; i < report->conflicts->len; i++)
    if (strstr (g_ptr_array_index (report->conflicts, i), a) && strstr (g_ptr_array_index (report->conflicts, i), b))
      return TRUE;
  return FALSE;
}

/* Whatever both have in two ways is named, and stays as it is here. */
static void
test_merge_conflicts (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmStore) other = open_other (f, "other.db");
  g_autoptr (FmMergeReport) report = NULL;
  g_autoptr (FmStageResult) mine = train_result (3), theirs = train_result (3), diverged = NULL, measured = NULL;
  g_autofree char *before = NULL, *after = NULL, *sql = NULL;

  g_ptr_array_set_size (mine->artifacts, 0);
  g_ptr_array_set_size (theirs->artifacts, 0);
  add_batch (f->store, "first", 2);
  add_batch (other, "first", 2);
  finish (f->store, "train-0-0", mine); /* the same numbers, another day */
  ((FmMetricRow *) g_ptr_array_index (theirs->metrics, 3))->value = 99; /* train_s: a time */
  finish (other, "train-0-0", theirs);
  finish (f->store, "train-0-1", mine);
  ((FmMetricRow *) g_ptr_array_index (theirs->metrics, 0))->value = 0.85; /* test accuracy */
  finish (other, "train-0-1", theirs);
  finish (f->store, "train-1-0", mine);
  diverged = fm_stage_result_new (FM_STAGE_DIVERGED);
  finish (other, "train-1-0", diverged);
  measured = fm_stage_result_new (FM_STAGE_DONE);
  fm_stage_result_add_latency (measured, 0, "batch1", 1, 100);
  fm_stage_result_add_metric (measured, NULL, NULL, NULL, "unstable", 0);
  finish (f->store, "measure-0-0", measured);
  ((FmMetricRow *) g_ptr_array_index (measured->metrics, 0))->value = 1;
  fm_stage_result_add_latency (measured, 0, "batch1", 1, 101);
  finish (other, "measure-0-0", measured);
  g_assert_true (fm_store_set_name (f->store, FM_LABELLED_BATCH, 1, "here", &error));
  g_assert_true (fm_store_set_name (other, FM_LABELLED_BATCH, 1, "there", &error));
  sql_do (fm_store_get_path (other), "UPDATE stage_text SET recipe = 'forged' WHERE stage = 'train-1-1'; "
          "UPDATE task SET chance_level = 0.5; UPDATE run SET variant = 'another' WHERE position = 3");

  before = dump (f->path);
  report = merge (f->store, fm_store_get_path (other));
  after = dump (f->path);
  g_assert_cmpstr (before, ==, after);
  g_assert_cmpint (report->same, ==, 1);
  g_assert_true (has_conflict (report, "train-0-1", "other metrics"));
  g_assert_true (has_conflict (report, "train-1-0", "is done here and diverged there"));
  g_assert_true (has_conflict (report, "measure-0-0", "latencies differ"));
  g_assert_true (has_conflict (report, "train-1-1", "another recipe"));
  g_assert_true (has_conflict (report, "“here”", "“there”"));
  g_assert_true (has_conflict (report, "task-1", "described"));
  g_assert_true (has_conflict (report, "Run 4", "another one there"));
  g_assert_cmpuint (report->conflicts->len, ==, 7);
}

/* A file that is missing there, one that is damaged, and a row whose path leads elsewhere. */
static void
test_merge_files (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmStore) other = open_other (f, "other.db");
  g_autoptr (FmMergeReport) report = NULL;
  g_autoptr (GPtrArray) faults = NULL;
  g_autofree char *missing = fm_store_artifact_path (other, "train-0-0", "model.safetensors");
  g_autofree char *damaged = fm_store_artifact_path (other, "train-0-1", "model.safetensors");
  g_autofree char *outside = g_build_filename (f->folder, "evil", NULL);

  add_batch (other, "first", 2);
  finish_with_file (other, "train-0-0", "one");
  finish_with_file (other, "train-0-1", "two");
  finish_with_file (other, "train-1-0", "three");
  finish_with_file (other, "train-1-1", "four");
  g_unlink (missing);
  g_file_set_contents (damaged, "zwo", -1, NULL);
  sql_do (fm_store_get_path (other), "UPDATE artifact SET path = '../evil' WHERE stage = 'train-1-0'");
  report = merge (f->store, fm_store_get_path (other));
  g_assert_cmpuint (report->conflicts->len, ==, 3);
  g_assert_true (has_conflict (report, "train-0-0/model.safetensors", "missing there"));
  g_assert_true (has_conflict (report, "train-0-1/model.safetensors", "not the file"));
  g_assert_true (has_conflict (report, "../evil", "outside"));
  g_assert_false (g_file_test (outside, G_FILE_TEST_EXISTS));
  g_assert_cmpint (report->files, ==, 1);
  faults = fm_store_check_artifacts (f->store, &error);
  g_assert_cmpuint (faults->len, ==, 0);
}

/* What cannot be merged leaves store and folder as they were. */
static void
test_merge_refused (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmStore) other = open_other (f, "other.db");
  g_autofree char *path = g_strdup (fm_store_get_path (other)), *before = NULL, *after = NULL;
  g_autofree char *artifacts = g_build_filename (f->folder, "formarium.artifacts", "train-0-0", "model.safetensors", NULL);

  add_batch (f->store, "mine", 1);
  before = dump (f->path);
  g_assert_null (fm_store_merge (f->store, f->path, &error));
  g_assert_nonnull (strstr (error->message, "this very store"));
  g_clear_error (&error);
  g_assert_null (fm_store_merge (f->store, "/no/such.db", &error));
  g_assert_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT);
  g_clear_error (&error);
  add_batch (other, "first", 1);
  finish_with_file (other, "train-0-0", "one");
  g_clear_pointer (&other, fm_store_close);
  sql_do (path, "PRAGMA user_version = 99");
  g_assert_null (fm_store_merge (f->store, path, &error));
  g_assert_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_NEWER);
  g_clear_error (&error);
  /* A row of a stage that is not there: found before anything is moved. */
  sql_do (path, "PRAGMA user_version = " G_STRINGIFY (FM_STORE_VERSION) "; DELETE FROM stage WHERE id = 'measure-0-0'");
  g_assert_null (fm_store_merge (f->store, path, &error));
  g_assert_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_NOT_STORE);
  after = dump (f->path);
  g_assert_cmpstr (before, ==, after);
  g_assert_false (g_file_test (artifacts, G_FILE_TEST_EXISTS));
}

/* --- Check, size, prune, delete -----------------------------------------------------------------------------------*/

static void
test_check (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) faults = NULL;
  g_autofree char *first = fm_store_artifact_path (f->store, "train-0-0", "model.safetensors");
  g_autofree char *second = fm_store_artifact_path (f->store, "train-0-1", "model.safetensors");
  g_autofree char *third = fm_store_artifact_path (f->store, "train-1-0", "model.safetensors");

  add_batch (f->store, "first", 2);
  finish_with_file (f->store, "train-0-0", "one");
  finish_with_file (f->store, "train-0-1", "two");
  finish_with_file (f->store, "train-1-0", "three");
  finish_with_file (f->store, "train-1-1", "four");
  faults = fm_store_check_artifacts (f->store, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (faults->len, ==, 0);
  g_unlink (first);
  g_file_set_contents (second, "zwo", -1, NULL);
  g_file_set_contents (third, "thre", -1, NULL);
  g_clear_pointer (&faults, g_ptr_array_unref);
  faults = fm_store_check_artifacts (f->store, &error);
  g_assert_cmpuint (faults->len, ==, 3);
  g_assert_nonnull (strstr (g_ptr_array_index (faults, 0), "missing"));
  g_assert_nonnull (strstr (g_ptr_array_index (faults, 1), "SHA-256"));
  g_assert_nonnull (strstr (g_ptr_array_index (faults, 2), "bytes"));
}

static void
test_size (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmStoreSize) size = NULL;
  gint64 checkpoints = 0, pages = 0;

  add_batch (f->store, "first", 1);
  add_batch (f->store, "second", 2); /* shares the stages of seed 0 */
  finish_with_file (f->store, "train-0-0", "12345");
  finish_with_file (f->store, "train-0-1", "123");
  size = fm_store_load_size (f->store, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < size->kinds->len; i++)
    {
      const FmSizeRow *row = g_ptr_array_index (size->kinds, i);

      checkpoints += g_str_equal (row->name, "files: checkpoint") ? row->bytes : 0;
      pages += g_str_has_prefix (row->name, "rows: ") ? row->bytes : 0;
    }
  g_assert_cmpint (checkpoints, ==, 8);
  g_assert_cmpint (pages, ==, sql_int (f->path, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"));
  const FmSizeRow *second = g_ptr_array_index (size->batches, 0), *first = g_ptr_array_index (size->batches, 1);
  g_assert_cmpint (first->bytes, ==, 5);
  g_assert_cmpint (first->alone_bytes, ==, 0);
  g_assert_cmpint (second->bytes, ==, 8);
  g_assert_cmpint (second->alone_bytes, ==, 3);
  g_assert_cmpint (second->count, ==, 4);
}

static void
test_prune (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmStageResult) measured = fm_stage_result_new (FM_STAGE_DONE);
  g_autofree char *ended = fm_store_artifact_path (f->store, "train-0-0", "model.safetensors");
  g_autofree char *wanted = fm_store_artifact_path (f->store, "train-0-1", "model.safetensors");
  g_autofree char *maps = fm_store_artifact_path (f->store, "measure-0-0", "maps.json");
  g_autofree char *stray = fm_store_artifact_path (f->store, "gone", "model.safetensors");
  g_autofree char *young = fm_store_artifact_path (f->store, "young", "model.safetensors");
  g_autofree char *folder = g_path_get_dirname (stray), *folder_of_young = g_path_get_dirname (young);
  struct utimbuf old = { 1000000000, 1000000000 };
  FmFreed freed;

  add_batch (f->store, "first", 2);
  finish_with_file (f->store, "train-0-0", "12345");
  add_file (f->store, measured, "measure-0-0", "maps", "maps.json", "{}");
  finish (f->store, "measure-0-0", measured);
  finish_with_file (f->store, "train-0-1", "123"); /* its measuring is still to come */
  g_mkdir (folder, 0700);
  g_mkdir (folder_of_young, 0700);
  g_file_set_contents (stray, "1234567", -1, NULL);
  g_file_set_contents (young, "1234567", -1, NULL);
  g_assert_cmpint (g_utime (stray, &old), ==, 0);

  for (int dry = 1; dry >= 0; dry--)
    {
      g_assert_true (fm_store_prune_checkpoints (f->store, dry, &freed, &error));
      g_assert_no_error (error);
      g_assert_cmpint (freed.files, ==, 1);
      g_assert_cmpint (freed.bytes, ==, 5);
      g_assert_cmpint (freed.leftovers, ==, 1);
      g_assert_cmpint (freed.leftover_bytes, ==, 7);
      g_assert_cmpint (g_file_test (ended, G_FILE_TEST_EXISTS), ==, dry);
      g_assert_cmpint (g_file_test (folder, G_FILE_TEST_EXISTS), ==, dry);
    }
  g_assert_true (g_file_test (wanted, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (maps, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (young, G_FILE_TEST_EXISTS));
  g_assert_cmpint (sql_int (f->path, "SELECT count(*) FROM artifact"), ==, 2);
  g_assert_cmpint (sql_int (f->path, "SELECT count(*) FROM metric WHERE stage = 'train-0-0'"), ==, 6);
  g_assert_true (fm_store_prune_checkpoints (f->store, FALSE, &freed, &error));
  g_assert_cmpint (freed.files + freed.leftovers, ==, 0);
}

static void
test_delete (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *before = NULL, *after = NULL;
  g_autofree char *shared = fm_store_artifact_path (f->store, "train-0-0", "model.safetensors");
  g_autofree char *own = fm_store_artifact_path (f->store, "train-0-1", "model.safetensors");
  gint64 second;
  FmFreed freed;

  add_batch (f->store, "first", 1);
  before = dump (f->path);
  second = add_batch (f->store, "second", 2);
  g_assert_true (fm_store_set_tag (f->store, FM_LABELLED_BATCH, second, "odd", TRUE, &error));
  finish_with_file (f->store, "train-0-1", "123");
  g_assert_true (fm_store_lease_batch (f->store, second, &error));
  g_assert_false (fm_store_delete_batch (f->store, second, FALSE, &freed, &error));
  g_assert_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_LEASED);
  g_clear_error (&error);
  g_assert_true (fm_store_release_batch (f->store, second, FM_BATCH_DONE, &error));
  for (int dry = 1; dry >= 0; dry--)
    {
      g_assert_true (fm_store_delete_batch (f->store, second, dry, &freed, &error));
      g_assert_no_error (error);
      g_assert_cmpint (freed.runs, ==, 4);
      g_assert_cmpint (freed.stages, ==, 4);
      g_assert_cmpint (freed.files, ==, 1);
      g_assert_cmpint (freed.bytes, ==, 3);
      g_assert_cmpint (g_file_test (own, G_FILE_TEST_EXISTS), ==, dry);
    }
  sql_do (f->path, "UPDATE sqlite_sequence SET seq = CASE name WHEN 'batch' THEN 1 ELSE 2 END");
  after = dump (f->path);
  g_assert_cmpstr (before, ==, after); /* all that came with it is gone, and no more */
  g_assert_true (fm_store_check (f->store, &error));
  finish_with_file (f->store, "train-0-0", "12345");
  g_assert_true (fm_store_delete_batch (f->store, 1, FALSE, &freed, &error));
  g_assert_false (g_file_test (shared, G_FILE_TEST_EXISTS));
  g_assert_cmpint (sql_int (f->path, "SELECT (SELECT count(*) FROM stage) + (SELECT count(*) FROM architecture) + "
                            "(SELECT count(*) FROM task) + (SELECT count(*) FROM metric)"), ==, 0);
  g_assert_false (fm_store_delete_batch (f->store, 1, FALSE, &freed, &error));
  g_assert_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT);
}

/* --- Migration and place ------------------------------------------------------------------------------------------*/

/* From every version: the file as it was is kept beside, whole, and nothing is written over it. */
static void
test_backup (Fixture *f, gconstpointer data)
{
  for (int version = 1; version < FM_STORE_VERSION; version++)
    for (int mode = FM_STORE_READ; mode <= FM_STORE_WRITE; mode++)
      {
        g_autofree char *name = g_strdup_printf ("version-%d.sql", version), *stem = NULL, *path = NULL, *kept = NULL;
        g_autofree char *script = g_test_build_filename (G_TEST_DIST, "storage", name, NULL), *text = NULL;
        g_autofree char *before = NULL, *after = NULL, *occupied = NULL;
        g_autoptr (FmStore) store = NULL;
        g_autoptr (GError) error = NULL;

        stem = g_strdup_printf ("%s/from-%d-%d", f->folder, version, mode);
        path = g_strconcat (stem, ".db", NULL);
        occupied = g_strdup_printf ("%s.version-%d.db", stem, version);
        kept = g_strdup_printf ("%s.version-%d%s.db", stem, version, mode == FM_STORE_WRITE ? "-1" : "");
        if (mode == FM_STORE_WRITE)
          g_file_set_contents (occupied, "older", -1, NULL);
        g_file_get_contents (script, &text, NULL, &error);
        g_assert_no_error (error);
        sql_do (path, text);
        before = dump (path);
        store = fm_store_open (path, mode, &error);
        g_assert_no_error (error);
        g_assert_nonnull (fm_store_get_notice (store));
        g_assert_nonnull (strstr (fm_store_get_notice (store), kept));
        g_assert_cmpint (sql_int (kept, "PRAGMA user_version"), ==, version);
        after = dump (kept);
        g_assert_cmpstr (before, ==, after);
        g_clear_pointer (&store, fm_store_close);
        store = fm_store_open (path, mode, &error); /* and only once */
        g_assert_null (fm_store_get_notice (store));
        if (mode == FM_STORE_WRITE)
          {
            g_free (g_steal_pointer (&text));
            g_file_get_contents (occupied, &text, NULL, NULL);
            g_assert_cmpstr (text, ==, "older");
          }
      }
}

/* A store of an older machine is merged without being changed. */
static void
test_merge_older (Fixture *f, gconstpointer data)
{
  g_autofree char *script = g_test_build_filename (G_TEST_DIST, "storage", "version-1.sql", NULL), *text = NULL;
  g_autofree char *path = g_build_filename (f->folder, "old.db", NULL), *before = NULL, *after = NULL;
  g_autoptr (FmMergeReport) report = NULL;
  g_autoptr (GDir) dir = NULL;
  const char *name;

  g_assert_true (g_file_get_contents (script, &text, NULL, NULL));
  sql_do (path, text);
  before = dump (path);
  report = merge (f->store, path);
  g_assert_cmpint (report->batches, ==, 1);
  g_assert_cmpint (report->stages, ==, 4);
  g_assert_cmpuint (report->conflicts->len, ==, 1); /* its checkpoint was never there */
  after = dump (path);
  g_assert_cmpstr (before, ==, after);
  g_assert_cmpint (sql_int (f->path, "SELECT test_accuracy = 0.84 FROM results WHERE run_id = 1"), ==, 1);
  dir = g_dir_open (f->folder, 0, NULL);
  while ((name = g_dir_read_name (dir)))
    g_assert_null (strstr (name, "merge-"));
}

/* On a network file system: no log, said; a reader there brings a logged file over, too. */
static void
test_remote (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *log = g_strconcat (f->path, "-wal", NULL);
  g_autoptr (FmStageResult) result = train_result (3);

  add_batch (f->store, "first", 1);
  g_assert_null (fm_store_get_notice (f->store));
  g_clear_pointer (&f->store, fm_store_close);
  for (int mode = FM_STORE_READ; mode <= FM_STORE_WRITE; mode++)
    {
      sql_do (f->path, "PRAGMA journal_mode = WAL");
      fm_store_pretend_remote = "NFS";
      f->store = fm_store_open (f->path, mode, &error);
      g_assert_no_error (error);
      g_assert_nonnull (strstr (fm_store_get_notice (f->store), "NFS"));
      if (mode == FM_STORE_WRITE)
        finish (f->store, "train-0-0", result);
      g_assert_false (g_file_test (log, G_FILE_TEST_EXISTS));
      g_clear_pointer (&f->store, fm_store_close);
      fm_store_pretend_remote = NULL;
      g_assert_cmpint (sql_int (f->path, "SELECT journal_mode = 'delete' FROM pragma_journal_mode"), ==, 1);
    }
  f->store = fm_store_open (f->path, FM_STORE_WRITE, &error); /* and back on a disk of its own */
  g_assert_cmpint (sql_int (f->path, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), ==, 1);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_test ("/storage/upkeep/labels", test_labels);
  add_test ("/storage/upkeep/merge", test_merge);
  add_test ("/storage/upkeep/merge-conflicts", test_merge_conflicts);
  add_test ("/storage/upkeep/merge-files", test_merge_files);
  add_test ("/storage/upkeep/merge-refused", test_merge_refused);
  add_test ("/storage/upkeep/merge-older", test_merge_older);
  add_test ("/storage/upkeep/check", test_check);
  add_test ("/storage/upkeep/size", test_size);
  add_test ("/storage/upkeep/prune", test_prune);
  add_test ("/storage/upkeep/delete", test_delete);
  add_test ("/storage/upkeep/backup", test_backup);
  add_test ("/storage/upkeep/remote", test_remote);
  return g_test_run ();
}
