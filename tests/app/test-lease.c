/* test-lease.c: real runners that meet in one store: every stage is done once, whoever dies. */
#include "program.h"

#include "storage/storage.h"

#include <signal.h>

#define VARIANTS "softmax-attention x mlp; pooling x mlp; local-attention x mlp"
#define STAGES 6 /* training and measuring each */

static int
ended (GSubprocess *process)
{
  g_subprocess_wait (process, NULL, NULL);
  return g_subprocess_get_if_exited (process) ? g_subprocess_get_exit_status (process) : -1;
}

static void
assert_once (const char *store, gint64 n_stages)
{
  g_assert_cmpint (number (store, "SELECT count(*) FROM stage"), ==, n_stages);
  g_assert_cmpint (number (store, "SELECT count(*) FROM stage WHERE state = 'done' AND attempts = 1"), ==, n_stages);
}

/* Two runners on one batch: one has it, the other says so; or, had both planned it at once, they share its stages. */
static void
test_two_runners (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "both", VARIANTS, 1, 300, NULL);
  g_autoptr (GSubprocess) one = program_start ("run", path, NULL), two = program_start ("run", path, NULL);
  int first = ended (one), second = ended (two);

  g_test_message ("exit statuses %d and %d", first, second);
  g_assert_true ((first == 0 && (second == 0 || second == 2)) || (first == 2 && second == 0));
  assert_once (place->store, STAGES);
}

/* Two batches that share every stage, run at once, while a reader as the window is looks on. */
static void
test_two_batches (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *a = place_batch (place, "one", VARIANTS, 1, 300, NULL);
  g_autofree char *b = place_batch (place, "two", VARIANTS, 1, 300, NULL);
  g_autoptr (GSubprocess) one = program_start ("run", a, NULL), two = program_start ("run", b, NULL);
  g_autoptr (FmStore) reader = NULL;
  guint looks = 0;

  for (; number (place->store, "SELECT count(*) FROM batch WHERE state = 'done'") < 2 && looks < 20000; looks++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GPtrArray) rows = NULL;

      if (reader == NULL)
        reader = fm_store_open (place->store, FM_STORE_READ, NULL); /* not yet there, perhaps */
      rows = reader ? fm_store_load_results (reader, 0, &error) : NULL;
      g_assert_no_error (error);
      g_usleep (5000);
    }
  g_assert_cmpint (ended (one), ==, 0);
  g_assert_cmpint (ended (two), ==, 0);
  g_test_message ("%u looks", looks);
  g_assert_cmpint (number (place->store, "SELECT count(*) FROM run"), ==, STAGES);
  assert_once (place->store, STAGES);
}

/* The runner is killed once something is done, and another one goes on at once: what was done stays as it was, and only
 * what the dead one was at is done again. */
static void
test_killed (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "killed", VARIANTS, 1, 1500, NULL);
  g_autoptr (GSubprocess) one = program_start ("run", path, NULL);
  g_autoptr (GSubprocess) two = NULL;
  gint64 done = 0, ends;

  for (guint i = 0; i < 20000 && done < 1; i++)
    {
      done = number (place->store, "SELECT count(*) FROM stage WHERE state = 'done'");
      g_usleep (5000);
    }
  g_assert_cmpint (done, >=, 1);
  g_subprocess_send_signal (one, SIGKILL);
  two = program_start ("resume", NULL); /* the dead one is not even waited for */
  ended (one);
  done = number (place->store, "SELECT count(*) FROM stage WHERE state = 'done' AND attempts = 1");
  ends = number (place->store, "SELECT min (ended_unix_us) FROM stage WHERE state = 'done'");
  g_assert_cmpint (ended (two), ==, 0);
  g_test_message ("%" G_GINT64_FORMAT " stages were done before", done);
  g_assert_cmpint (number (place->store, "SELECT count(*) FROM stage WHERE state = 'done'"), ==, STAGES);
  g_assert_cmpint (number (place->store, "SELECT min (ended_unix_us) FROM stage"), ==, ends);
  g_assert_cmpint (number (place->store, "SELECT count(*) FROM stage WHERE attempts > 2"), ==, 0);
  g_assert_cmpint (number (place->store, "SELECT count(*) FROM stage WHERE attempts = 2"), <=, STAGES / 2);
  g_assert_cmpint (number (place->store, "SELECT count(*) FROM batch WHERE state = 'done' AND runner_pid IS NULL"), ==, 1);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/lease/two-runners", test_two_runners);
  g_test_add_func ("/lease/two-batches", test_two_batches);
  g_test_add_func ("/lease/killed", test_killed);
  return g_test_run ();
}
