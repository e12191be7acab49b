/* test-store-errors.c: what can be wrong with the file, its folder, its disk and its neighbours. */
#include "store-fixture.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void
close_store (Fixture *f)
{
  g_clear_pointer (&f->store, fm_store_close);
}

/* Opening fails with @code and one sentence that names the file and says @says; the file stays as it is. */
static void
expect_refused (const char *path, FmStoreMode mode, FmStorageError code, const char *says)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *before = NULL, *after = NULL;
  gsize n_before = 0, n_after = 0;
  g_autoptr (FmStore) store = NULL;

  g_file_get_contents (path, &before, &n_before, NULL);
  store = fm_store_open (path, mode, &error);
  g_assert_null (store);
  g_assert_error (error, FM_STORAGE_ERROR, (int) code);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, path));
  g_assert_nonnull (strstr (error->message, says));
  g_assert_true (g_str_has_suffix (error->message, "."));
  g_assert_null (strchr (error->message, '\n'));
  g_file_get_contents (path, &after, &n_after, NULL);
  g_assert_cmpmem (before, n_before, after, n_after);
}

static void
test_absent (Fixture *f, gconstpointer data)
{
  g_autofree char *path = g_build_filename (f->folder, "no", "such.db", NULL);
  g_autofree char *folder = g_path_get_dirname (path);
  g_autofree char *empty = g_build_filename (f->folder, "empty.db", NULL);

  expect_refused (path, FM_STORE_READ, FM_STORAGE_ERROR_ABSENT, "formarium run");
  g_assert_false (g_file_test (folder, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_set_contents (empty, "", 0, NULL));
  expect_refused (empty, FM_STORE_READ, FM_STORAGE_ERROR_ABSENT, "is empty");
}

static void
test_foreign (Fixture *f, gconstpointer data)
{
  g_autofree char *path = g_build_filename (f->folder, "other.db", NULL);
  g_autofree char *text = g_build_filename (f->folder, "text.db", NULL);
  g_autofree char *long_text = g_strnfill (10000, 'x');

  sql_do (path, "CREATE TABLE contacts (name); INSERT INTO contacts VALUES ('Ada')");
  expect_refused (path, FM_STORE_READ, FM_STORAGE_ERROR_NOT_STORE, "another program");
  expect_refused (path, FM_STORE_WRITE, FM_STORAGE_ERROR_NOT_STORE, "another program");
  g_assert_true (g_file_set_contents (text, long_text, -1, NULL));
  expect_refused (text, FM_STORE_READ, FM_STORAGE_ERROR_NOT_STORE, "not a store");
  expect_refused (text, FM_STORE_WRITE, FM_STORAGE_ERROR_NOT_STORE, "not a store");
  expect_refused (f->folder, FM_STORE_READ, FM_STORAGE_ERROR_NOT_STORE, "is a folder");
  expect_refused (f->folder, FM_STORE_WRITE, FM_STORAGE_ERROR_NOT_STORE, "is a folder");
}

static void
test_newer (Fixture *f, gconstpointer data)
{
  g_autofree char *sql = g_strdup_printf ("PRAGMA user_version = %d", FM_STORE_VERSION + 41);
  g_autofree char *found = g_strdup_printf ("schema version %d", FM_STORE_VERSION + 41);
  g_autofree char *known = g_strdup_printf ("up to %d", FM_STORE_VERSION);

  close_store (f);
  sql_do (f->path, sql);
  expect_refused (f->path, FM_STORE_READ, FM_STORAGE_ERROR_NEWER, found);
  expect_refused (f->path, FM_STORE_WRITE, FM_STORAGE_ERROR_NEWER, known);
}

/* Cut anywhere: in the header, in the first page, between pages, one byte short. */
static void
test_truncated (Fixture *f, gconstpointer data)
{
  g_autofree char *whole = NULL, *path = g_build_filename (f->folder, "cut.db", NULL);
  g_autofree char *log = g_strconcat (path, "-wal", NULL);
  gsize size;

  add_batch (f->store, "first", 2);
  close_store (f);
  g_assert_true (g_file_get_contents (f->path, &whole, &size, NULL));
  g_assert_cmpuint (size, >, 5 * 4096);
  const gsize lengths[] = { 1, 15, 16, 50, 99, 100, 511, 1024, 4095, 4096, 4097, 8192, size / 2, size - 4096,
                            size - 1 };
  for (guint i = 0; i < G_N_ELEMENTS (lengths); i++)
    {
      g_test_message ("%" G_GSIZE_FORMAT " bytes", lengths[i]);
      g_assert_true (g_file_set_contents (path, whole, lengths[i], NULL));
      expect_refused (path, FM_STORE_READ, FM_STORAGE_ERROR_NOT_STORE, "damaged, cut short");
      expect_refused (path, FM_STORE_WRITE, FM_STORAGE_ERROR_NOT_STORE, "damaged, cut short");
      g_assert_false (g_file_test (log, G_FILE_TEST_EXISTS));
    }
}

/* Pages overwritten in the middle: opening may succeed, fm_store_check() finds it. */
static void
test_damaged (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *whole = NULL;
  gsize size;

  add_batch (f->store, "first", 20);
  g_assert_true (fm_store_check (f->store, &error));
  g_assert_no_error (error);
  close_store (f);
  g_assert_true (g_file_get_contents (f->path, &whole, &size, NULL));
  memset (whole + 4096 * 3, 0x5a, size - 4096 * 4);
  g_assert_true (g_file_set_contents (f->path, whole, size, NULL));
  f->store = fm_store_open (f->path, FM_STORE_READ, &error);
  if (f->store != NULL)
    g_assert_false (fm_store_check (f->store, &error));
  g_assert_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_NOT_STORE);
}

/* --- Locked -------------------------------------------------------------------------------------------------------*/

static void
test_locked (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmStore) reader = NULL;
  g_autoptr (GPtrArray) rows = NULL;
  gint64 batch = add_batch (f->store, "first", 1);
  int ready[2];
  char byte;
  pid_t child;

  close_store (f);
  g_assert_cmpint (pipe (ready), ==, 0);
  child = fork ();
  if (child == 0)
    {
      sqlite3 *db = NULL;

      if (sqlite3_open (f->path, &db) != SQLITE_OK ||
          sqlite3_exec (db, "BEGIN EXCLUSIVE; UPDATE batch SET title = 'half'", NULL, NULL, NULL) != SQLITE_OK ||
          write (ready[1], "x", 1) != 1)
        _exit (1);
      for (;;)
        pause ();
    }
  g_assert_cmpint (read (ready[0], &byte, 1), ==, 1);
  close (ready[0]);
  close (ready[1]);

  f->store = fm_store_open (f->path, FM_STORE_WRITE, &error);
  g_assert_no_error (error);
  fm_store_set_timeout (f->store, 50);
  g_assert_false (fm_store_lease_batch (f->store, batch, &error));
  g_assert_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_BUSY);
  g_assert_nonnull (strstr (error->message, "locked by another process"));
  g_clear_error (&error);
  /* Who only reads is not disturbed, and sees nothing half-written. */
  reader = fm_store_open (f->path, FM_STORE_READ, &error);
  g_assert_no_error (error);
  rows = fm_store_load_results (reader, 0, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (((FmResultRow *) g_ptr_array_index (rows, 0))->batch, ==, "first");

  kill (child, SIGKILL);
  waitpid (child, NULL, 0);
  g_assert_true (fm_store_lease_batch (f->store, batch, &error));
  g_assert_no_error (error);
}

/* --- Read-only and without permission -----------------------------------------------------------------------------*/

#define NOBODY 65534

/* In a child without root's power over permissions; what fails there shows as its exit status. */
static gboolean
as_nobody (const char *path, FmStoreMode mode, gboolean works)
{
  pid_t child = fork ();
  int status;

  if (child == 0)
    {
      g_autoptr (GError) error = NULL;
      FmStore *store;
      GPtrArray *rows;

      if (getuid () == 0 && (setegid (NOBODY) != 0 || seteuid (NOBODY) != 0))
        _exit (10);
      store = fm_store_open (path, mode, &error);
      if (works)
        {
          rows = store ? fm_store_load_results (store, 0, &error) : NULL;
          _exit (rows != NULL && rows->len == 2 ? 0 : 11);
        }
      if (store != NULL || !g_error_matches (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_READ_ONLY))
        _exit (12);
      g_printerr ("# %s\n", error->message);
      _exit (strstr (error->message, path) || strstr (error->message, "The folder ") ? 0 : 13);
    }
  waitpid (child, &status, 0);
  g_test_message ("status %d", WEXITSTATUS (status));
  return WIFEXITED (status) && WEXITSTATUS (status) == 0;
}

static void
test_read_only (Fixture *f, gconstpointer data)
{
  g_autofree char *below = g_build_filename (f->folder, "new", "formarium.db", NULL);
  g_autofree char *log = g_strconcat (f->path, "-wal", NULL), *shared = g_strconcat (f->path, "-shm", NULL);

  add_batch (f->store, "first", 1);
  close_store (f);
  if (getuid () == 0)
    {
      g_assert_cmpint (chown (f->folder, NOBODY, NOBODY), ==, 0);
      g_assert_cmpint (chown (f->path, NOBODY, NOBODY), ==, 0);
    }
  g_assert_true (as_nobody (f->path, FM_STORE_WRITE, TRUE));

  g_chmod (f->path, 0400); /* the file */
  g_assert_true (as_nobody (f->path, FM_STORE_READ, TRUE));
  g_assert_true (as_nobody (f->path, FM_STORE_WRITE, FALSE));
  g_remove (log);
  g_remove (shared);
  g_chmod (f->folder, 0500); /* and its folder, as on a read-only disk; no log that a reader left helps here */
  g_assert_true (as_nobody (f->path, FM_STORE_READ, TRUE));
  g_assert_true (as_nobody (f->path, FM_STORE_WRITE, FALSE));
  g_chmod (f->path, 0600); /* the folder alone */
  g_assert_true (as_nobody (f->path, FM_STORE_READ, TRUE));
  g_assert_true (as_nobody (f->path, FM_STORE_WRITE, FALSE));
  g_assert_true (as_nobody (below, FM_STORE_WRITE, FALSE));
  g_chmod (f->folder, 0700);
  g_chmod (f->path, 0000); /* no permission at all */
  g_assert_true (as_nobody (f->path, FM_STORE_READ, FALSE));
  g_assert_true (as_nobody (f->path, FM_STORE_WRITE, FALSE));
}

/* --- Disk full ----------------------------------------------------------------------------------------------------*/

static void
expect_nothing (const char *path)
{
  g_assert_cmpint (sql_int (path, "SELECT count(*) FROM curve"), ==, 0);
  g_assert_cmpint (sql_int (path, "SELECT count(*) FROM metric"), ==, 0);
  g_assert_cmpint (sql_int (path, "SELECT count(*) FROM outcome"), ==, 0);
  g_assert_cmpint (sql_int (path, "SELECT state = 'running' FROM stage WHERE id = 'train-0-0'"), ==, 1);
}

/* The limit moves up one page at a time, so that each write of the transaction is once the one that fails. */
static void
test_full (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmStageResult) result = train_result (4000);
  FmClaim claim;
  guint failures = 0;
  gint64 pages;

  add_batch (f->store, "first", 1);
  g_assert_true (fm_store_claim_stage (f->store, "train-0-0", &claim, &error));
  g_assert_no_error (error);
  pages = sql_int (f->path, "PRAGMA page_count");
  for (gint64 limit = pages; limit < pages + 1000; limit++)
    {
      g_autofree char *sql = g_strdup_printf ("PRAGMA max_page_count = %" G_GINT64_FORMAT, limit);

      g_assert_cmpint (sqlite3_exec (f->store->db, sql, NULL, NULL, NULL), ==, SQLITE_OK);
      if (fm_store_finish_stage (f->store, "train-0-0", result, &error))
        break;
      failures++;
      g_assert_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_FULL);
      g_assert_nonnull (strstr (error->message, "No room"));
      g_clear_error (&error);
      expect_nothing (f->path);
      g_assert_true (fm_store_check (f->store, &error));
    }
  g_assert_no_error (error);
  g_assert_cmpuint (failures, >, 10);
  g_assert_cmpint (sql_int (f->path, "SELECT count(*) FROM curve"), ==, 4000);
  g_assert_cmpint (sql_int (f->path, "SELECT state = 'done' FROM stage WHERE id = 'train-0-0'"), ==, 1);
}

/* The operating system refuses the write: a limit on file size, as a quota or a full disk would. */
static void
test_full_disk (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  int status;
  pid_t child;

  add_batch (f->store, "first", 1);
  close_store (f);
  child = fork ();
  if (child == 0)
    {
      g_autoptr (FmStore) store = fm_store_open (f->path, FM_STORE_WRITE, &error);
      g_autoptr (FmStageResult) result = train_result (20000);
      struct rlimit limit = { 256 * 1024, 256 * 1024 };
      FmClaim claim;

      signal (SIGXFSZ, SIG_IGN);
      if (store == NULL || !fm_store_claim_stage (store, "train-0-0", &claim, NULL) || setrlimit (RLIMIT_FSIZE, &limit))
        _exit (1);
      if (fm_store_finish_stage (store, "train-0-0", result, &error))
        _exit (2);
      if (!g_error_matches (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_FULL))
        {
          g_printerr ("# %s\n", error->message);
          _exit (3);
        }
      /* The store stays usable: a small write still fits. */
      if (!fm_store_unclaim_stage (store, "train-0-0", NULL) ||
          !fm_store_claim_stage (store, "train-0-0", &claim, NULL))
        _exit (4);
      _exit (0);
    }
  waitpid (child, &status, 0);
  g_assert_true (WIFEXITED (status));
  g_assert_cmpint (WEXITSTATUS (status), ==, 0);
  f->store = fm_store_open (f->path, FM_STORE_WRITE, &error);
  g_assert_no_error (error);
  g_assert_true (fm_store_check (f->store, &error));
  g_assert_no_error (error);
  expect_nothing (f->path);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_test ("/storage/errors/absent", test_absent);
  add_test ("/storage/errors/foreign", test_foreign);
  add_test ("/storage/errors/newer", test_newer);
  add_test ("/storage/errors/truncated", test_truncated);
  add_test ("/storage/errors/damaged", test_damaged);
  add_test ("/storage/errors/locked", test_locked);
  add_test ("/storage/errors/read-only", test_read_only);
  add_test ("/storage/errors/full", test_full);
  add_test ("/storage/errors/full-disk", test_full_disk);
  return g_test_run ();
}
