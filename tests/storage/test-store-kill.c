/* test-store-kill.c: a process killed while it finishes a stage leaves all of the stage's rows or none; many processes
 * share one store. */
#include "store-fixture.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define POINTS 20000
#define MOMENTS 12

/* A child that claims and finishes a stage; it writes a byte right before fm_store_finish_stage() and one after. */
static pid_t
start (const char *path, int *ends)
{
  pid_t child;

  g_assert_cmpint (pipe (ends), ==, 0);
  child = fork ();
  if (child == 0)
    {
      FmStore *store = fm_store_open (path, FM_STORE_WRITE, NULL);
      FmStageResult *result = train_result (POINTS);
      FmClaim claim;

      if (store == NULL || !fm_store_claim_stage (store, "train-0-0", &claim, NULL) || claim != FM_CLAIM_YOURS ||
          write (ends[1], "a", 1) != 1 || !fm_store_finish_stage (store, "train-0-0", result, NULL) ||
          write (ends[1], "b", 1) != 1)
        _exit (1);
      _exit (0);
    }
  close (ends[1]);
  return child;
}

static void
await (int fd)
{
  char byte;

  g_assert_cmpint (read (fd, &byte, 1), ==, 1);
}

static void
remove_store (Fixture *f)
{
  static const char * const suffixes[] = { "", "-wal", "-shm" };

  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++)
    {
      g_autofree char *path = g_strconcat (f->path, suffixes[i], NULL);

      g_remove (path);
    }
}

static void
test_kill (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  guint nothing = 0, everything = 0;
  gint64 took_us;
  int ends[2];
  pid_t child;

  /* How long the whole takes here and now. */
  add_batch (f->store, "first", 1);
  g_clear_pointer (&f->store, fm_store_close);
  child = start (f->path, ends);
  await (ends[0]);
  took_us = g_get_monotonic_time ();
  await (ends[0]);
  took_us = g_get_monotonic_time () - took_us;
  close (ends[0]);
  waitpid (child, NULL, 0);

  for (guint i = 0; i < MOMENTS; i++)
    {
      gint64 curve, metrics, outcomes, done;

      remove_store (f);
      f->store = fm_store_open (f->path, FM_STORE_WRITE, &error);
      g_assert_no_error (error);
      add_batch (f->store, "first", 1);
      g_clear_pointer (&f->store, fm_store_close);
      child = start (f->path, ends);
      await (ends[0]);
      /* Denser towards the end, where the commit is. */
      g_usleep (took_us * (i < MOMENTS / 2 ? 1.6 * i / MOMENTS : 0.8 + 0.6 * (i - MOMENTS / 2) / MOMENTS));
      kill (child, SIGKILL);
      waitpid (child, NULL, 0);
      close (ends[0]);

      f->store = fm_store_open (f->path, FM_STORE_WRITE, &error);
      g_assert_no_error (error);
      g_assert_true (fm_store_check (f->store, &error));
      g_assert_no_error (error);
      curve = sql_int (f->path, "SELECT count(*) FROM curve");
      metrics = sql_int (f->path, "SELECT count(*) FROM metric");
      outcomes = sql_int (f->path, "SELECT count(*) FROM outcome");
      done = sql_int (f->path, "SELECT state = 'done' FROM stage WHERE id = 'train-0-0'");
      g_assert_cmpint (curve, ==, done ? POINTS : 0);
      g_assert_cmpint (metrics, ==, done ? 6 : 0);
      g_assert_cmpint (outcomes, ==, done ? 1 : 0);
      nothing += !done;
      everything += done;

      /* And the next one goes on: the dead claimer's stage can be claimed. */
      if (!done)
        {
          g_autoptr (FmStageResult) result = train_result (3);

          finish (f->store, "train-0-0", result);
        }
      g_clear_pointer (&f->store, fm_store_close);
    }
  g_test_message ("%u killed before the commit, %u after it, of %d; the whole takes %" G_GINT64_FORMAT " us", nothing,
                  everything, MOMENTS, took_us);
  /* Otherwise the moments were badly chosen and the test has shown nothing. */
  g_assert_cmpuint (nothing, >=, 3);
}

/* --- Many at once -------------------------------------------------------------------------------------------------*/

#define CROWD 4
#define SEEDS 12 /* 24 training stages */

/* One of a crowd of runners: claims whatever it gets and finishes it, until nothing is left. */
static int
serve (const char *path)
{
  FmStore *store = fm_store_open (path, FM_STORE_WRITE, NULL);
  FmStageResult *result = train_result (20);
  gboolean left = TRUE;

  while (store != NULL && left)
    {
      left = FALSE;
      for (guint i = 0; i < 2 * SEEDS; i++)
        {
          g_autofree char *id = g_strdup_printf ("train-%u-%u", i / SEEDS, i % SEEDS);
          g_autoptr (GError) error = NULL;
          FmClaim claim;

          if (!fm_store_claim_stage (store, id, &claim, &error))
            return 1;
          left = left || claim != FM_CLAIM_FINISHED;
          if (claim != FM_CLAIM_YOURS)
            continue;
          g_usleep (2000); /* work, in which others look */
          if (!fm_store_finish_stage (store, id, result, &error))
            return 2;
        }
    }
  return store != NULL ? 0 : 3;
}

/* Several processes work on one store, one of them is killed amid its work, and a reader looks on: every stage is done
 * once, but for the one that the dead process had, which another one takes over. */
static void
test_crowd (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmStore) reader = NULL;
  pid_t children[CROWD];
  guint looks = 0, done = 0;

  add_batch (f->store, "first", SEEDS);
  g_clear_pointer (&f->store, fm_store_close);
  for (guint i = 0; i < CROWD; i++)
    if ((children[i] = fork ()) == 0)
      _exit (serve (f->path));
  reader = fm_store_open (f->path, FM_STORE_READ, &error);
  g_assert_no_error (error);
  for (gboolean killed = FALSE; done < 2 * SEEDS; looks++)
    {
      g_autoptr (GPtrArray) rows = fm_store_load_results (reader, 0, &error);

      g_assert_no_error (error);
      done = 0;
      for (guint i = 0; i < rows->len; i++)
        {
          const FmResultRow *row = g_ptr_array_index (rows, i);

          done += !isnan (row->test_accuracy);
        }
      if (!killed && done >= 4)
        killed = kill (children[0], SIGKILL) == 0;
      g_usleep (1000);
    }
  for (guint i = 0; i < CROWD; i++)
    {
      int status;

      waitpid (children[i], &status, 0);
      g_assert_true (i == 0 || (WIFEXITED (status) && WEXITSTATUS (status) == 0));
    }
  g_test_message ("%u looks while %d processes worked", looks, CROWD);
  g_assert_cmpint (sql_int (f->path, "SELECT count(*) FROM stage WHERE kind = 'train' AND state = 'done'"), ==, 2 * SEEDS);
  g_assert_cmpint (sql_int (f->path, "SELECT count(*) FROM stage WHERE attempts > 1"), <=, 1);
  g_assert_cmpint (sql_int (f->path, "SELECT max (attempts) FROM stage"), <=, 2);
  g_assert_cmpint (sql_int (f->path, "SELECT count(*) FROM metric"), ==, 6 * 2 * SEEDS);
  g_assert_true (fm_store_check (reader, &error));
  g_assert_no_error (error);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_test ("/storage/kill", test_kill);
  add_test ("/storage/crowd", test_crowd);
  return g_test_run ();
}
