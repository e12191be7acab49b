/* test-store-power.c: the power is cut before any write, sync or deletion: what the store had reported as stored is there
 * afterwards, all of it, and of the rest nothing half. So it is with the log and, on a network file system, with the
 * rollback journal; so it is while a file is brought to a newer version; and when an operation fails in place of the power,
 * the store says so and goes on. */
#include "power-vfs.h"
#include "store-fixture.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define POINTS 12
#define STAGES 2

static const char * const stages[STAGES] = { "train-0-0", "train-1-0" };

/* What the child has been told, in memory that both see. */
static gint *reported;

static void
copy_file (const char *from, const char *to)
{
  g_autofree char *text = NULL;
  gsize size;

  g_assert_true (g_file_get_contents (from, &text, &size, NULL));
  g_assert_true (g_file_set_contents (to, text, size, NULL));
}

static void
remove_beside (const char *path)
{
  static const char * const ends[] = { "", "-wal", "-shm", "-journal" };

  for (guint i = 0; i < G_N_ELEMENTS (ends); i++)
    {
      g_autofree char *name = g_strconcat (path, ends[i], NULL);

      g_unlink (name);
    }
}

/* The work: every success is reported right when it is known. */
static gboolean
work (const char *path)
{
  g_autoptr (FmStore) store = fm_store_open (path, FM_STORE_WRITE, NULL);
  g_autoptr (FmStageResult) result = train_result (POINTS);
  FmClaim claim;

  if (store == NULL)
    return FALSE;
  for (int i = 0; i < STAGES; i++)
    {
      if (!fm_store_claim_stage (store, stages[i], &claim, NULL) ||
          !fm_store_append_curve (store, stages[i], result->curve, NULL) ||
          !fm_store_finish_stage (store, stages[i], result, NULL))
        return FALSE;
      *reported = i + 1;
    }
  return TRUE;
}

static gint64
count_of (const char *path, const char *table, const char *stage)
{
  g_autofree char *sql = g_strdup_printf ("SELECT count(*) FROM %s WHERE stage = '%s'", table, stage);

  return sql_int (path, sql);
}

static void
check_after (const char *path, guint moment)
{
  g_autofree char *shared = g_strconcat (path, "-shm", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (FmStore) store = NULL;

  g_unlink (shared); /* memory that the power took */
  store = fm_store_open (path, FM_STORE_WRITE, &error);
  g_assert_no_error (error);
  g_assert_true (fm_store_check (store, &error));
  g_assert_no_error (error);
  for (int i = 0; i < STAGES; i++)
    {
      FmStageState state;
      gboolean done;

      g_assert_true (fm_store_load_stage_state (store, stages[i], &state, &error));
      done = state == FM_STAGE_DONE;
      if (i < *reported && !done)
        g_error ("cut before operation %u: stage %d was reported as stored and is %s", moment, i,
                 fm_stage_state_to_string (state));
      g_assert_cmpint (count_of (path, "metric", stages[i]), ==, done ? 6 : 0);
      g_assert_cmpint (count_of (path, "outcome", stages[i]), ==, done ? 1 : 0);
      g_assert_cmpint (count_of (path, "artifact", stages[i]), ==, done ? 1 : 0);
      if (done)
        g_assert_cmpint (count_of (path, "curve", stages[i]), ==, POINTS);
    }
}

/* Runs @func in a child whose power is cut before operation @n; FALSE once it ends by itself. */
static gboolean
cut (const char *path, guint n, PowerMode mode, gboolean (*func) (const char *))
{
  int status;
  pid_t child;

  *reported = 0;
  child = fork ();
  if (child == 0)
    {
      g_random_set_seed (n);
      power_vfs_install ();
      power_vfs_cut_at (n, mode);
      _exit (!func (path) ? 1 : power_vfs_has_unsynced_rename () ? 9 : 0);
    }
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  g_assert_true (WIFEXITED (status));
  if (WEXITSTATUS (status) == 9)
    g_error ("cut before operation %u: a file was renamed before all of it was synced", n);
  if (WEXITSTATUS (status) != 7)
    g_assert_cmpint (WEXITSTATUS (status), ==, 0);
  return WEXITSTATUS (status) == 7;
}

static void
cut_everywhere (Fixture *f)
{
  g_autofree char *path = g_build_filename (f->folder, "cut.db", NULL);
  guint n[POWER_N_MODES];

  add_batch (f->store, "first", 1);
  g_clear_pointer (&f->store, fm_store_close);
  for (int mode = 0; mode < POWER_N_MODES; mode++)
    for (n[mode] = 1;; n[mode]++)
      {
        gboolean more;

        remove_beside (path);
        copy_file (f->path, path);
        more = cut (path, n[mode], mode, work);
        check_after (path, n[mode]);
        if (!more)
          break;
      }
  g_assert_cmpint (*reported, ==, STAGES);
  g_test_message ("%u moments, in each the unsynced writes lost or some of them lost", n[0] - 1);
  g_assert_cmpuint (n[0], >, 50);
}

static void
test_log (Fixture *f, gconstpointer data)
{
  cut_everywhere (f);
}

static void
test_journal (Fixture *f, gconstpointer data)
{
  fm_store_pretend_remote = "NFS";
  cut_everywhere (f);
  fm_store_pretend_remote = NULL;
}

static gboolean
migrate (const char *path)
{
  g_autoptr (FmStore) store = fm_store_open (path, FM_STORE_WRITE, NULL);

  *reported = store != NULL;
  return store != NULL;
}

static void
test_migration (Fixture *f, gconstpointer data)
{
  g_autofree char *script = g_test_build_filename (G_TEST_DIST, "storage", "version-1.sql", NULL), *text = NULL;
  g_autofree char *old = g_build_filename (f->folder, "old.db", NULL), *path = g_build_filename (f->folder, "cut.db", NULL);
  g_autofree char *kept = g_build_filename (f->folder, "cut.version-1.db", NULL);
  g_autofree char *part = g_strconcat (kept, ".part", NULL), *shared = g_strconcat (path, "-shm", NULL);
  guint unchanged = 0, changed = 0;

  g_assert_true (g_file_get_contents (script, &text, NULL, NULL));
  sql_do (old, text);
  for (int mode = 0; mode < POWER_N_MODES; mode++)
    for (guint n = 1;; n += n < 20 ? 1 : 3) /* a copy and a migration are long; in threes they pass all kinds of moments */
      {
        g_autoptr (GError) error = NULL;
        g_autoptr (FmStore) store = NULL;
        gboolean more;
        gint64 version;

        remove_beside (path);
        remove_beside (kept);
        remove_beside (part);
        copy_file (old, path);
        more = cut (path, n, mode, migrate);
        g_unlink (shared);
        version = sql_int (path, "PRAGMA user_version");
        if (*reported)
          g_assert_cmpint (version, ==, FM_STORE_VERSION);
        if (version > 1)
          g_assert_cmpint (sql_int (kept, "SELECT count(*) FROM run"), ==, 2); /* the copy is whole before the change */
        changed += version > 1;
        unchanged += version == 1;
        store = fm_store_open (path, FM_STORE_WRITE, &error);
        g_assert_no_error (error);
        g_assert_true (fm_store_check (store, &error));
        g_assert_cmpint (sql_int (path, "SELECT count(*) FROM results"), ==, 2);
        g_assert_cmpint (sql_int (path, "SELECT test_accuracy = 0.84 FROM results WHERE run_id = 1"), ==, 1);
        if (!more)
          break;
      }
  g_test_message ("%u moments before the change, %u after it", unchanged, changed);
  g_assert_cmpuint (unchanged, >, 20);
  g_assert_cmpuint (changed, >, 1);
}

/* Each operation fails once: an error, nothing half, and the next try succeeds, in the same process. */
static void
test_failing (Fixture *f, gconstpointer data)
{
  g_autofree char *path = g_build_filename (f->folder, "fail.db", NULL);
  guint failures = 0;
  gboolean more = TRUE;

  add_batch (f->store, "first", 1);
  g_clear_pointer (&f->store, fm_store_close);
  for (guint n = 1; more; n++)
    {
      pid_t child;
      int status;

      remove_beside (path);
      copy_file (f->path, path);
      *reported = 0;
      child = fork ();
      if (child == 0)
        {
          FmStageResult *result = train_result (POINTS);
          FmStore *store;
          FmClaim claim;
          gboolean ok = TRUE, failed;

          power_vfs_install ();
          power_vfs_fail_at (0);
          store = fm_store_open (path, FM_STORE_WRITE, NULL);
          if (store == NULL || !fm_store_claim_stage (store, stages[0], &claim, NULL))
            _exit (20);
          power_vfs_fail_at (n);
          failed = !fm_store_finish_stage (store, stages[0], result, NULL);
          if (failed)
            {
              power_vfs_fail_at (0);
              ok = count_of (path, "metric", stages[0]) == 0 && fm_store_finish_stage (store, stages[0], result, NULL);
            }
          *reported = ok;
          fm_store_close (store);
          _exit (!ok ? 21 : failed ? 8 : 0);
        }
      waitpid (child, &status, 0);
      g_assert_true (WIFEXITED (status));
      more = WEXITSTATUS (status) == 8;
      failures += more;
      if (!more)
        g_assert_cmpint (WEXITSTATUS (status), ==, 0);
      check_after (path, n);
    }
  g_test_message ("%u operations failed once each", failures);
  g_assert_cmpuint (failures, >, 10);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  reported = mmap (NULL, sizeof *reported, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  g_assert_true (reported != MAP_FAILED);
  add_test ("/storage/power/log", test_log);
  add_test ("/storage/power/journal", test_journal);
  add_test ("/storage/power/migration", test_migration);
  add_test ("/storage/power/failing", test_failing);
  return g_test_run ();
}
