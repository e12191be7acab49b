/* test-store-kill.c: a process killed while it finishes a stage leaves all of the stage's rows or none. */
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

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_test ("/storage/kill", test_kill);
  return g_test_run ();
}
