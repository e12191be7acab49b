/* test-kill.c: the worker or the runner is killed at random moments; `resume` finishes, redoes nothing, and every final
 * column but times and measured memory equals an undisturbed batch's. */
#include "program.h"

#include "base/base.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define VARIANTS "softmax-attention x mlp; pooling x mlp; softmax-attention x switch"

static gboolean
is_compared (const char *name)
{
  static const char * const free_ones[]
      = { "latency_us_median", "latency_us_p95", "throughput_per_s", "train_s", "measured_peak_bytes",
          "inference_measured_peak_bytes", "latency_blocks", "unstable", "batch_id", "run_id" };

  for (guint i = 0; i < G_N_ELEMENTS (free_ones); i++)
    if (g_str_equal (name, free_ones[i]))
      return FALSE;
  return TRUE;
}

static void
assert_same (JsonArray *a, JsonArray *b)
{
  g_assert_cmpuint (json_array_get_length (a), ==, json_array_get_length (b));
  for (guint i = 0; i < json_array_get_length (a); i++)
    {
      JsonObject *x = json_array_get_object_element (a, i), *y = json_array_get_object_element (b, i);
      g_autoptr (GList) names = json_object_get_members (x);

      for (GList *l = names; l; l = l->next)
        if (is_compared (l->data) && !json_node_equal (json_object_get_member (x, l->data),
                                                       json_object_get_member (y, l->data)))
          {
            g_autofree char *s = json_to_string (json_object_get_member (x, l->data), FALSE);
            g_autofree char *t = json_to_string (json_object_get_member (y, l->data), FALSE);

            g_error ("row %u: %s is %s, undisturbed it is %s", i, (char *) l->data, t, s);
          }
    }
}

/* Has @pid a stage? The worker that an estimate starts to see how long that takes is asked for nothing and says nothing. */
static gboolean
is_listened_to (const char *pid)
{
  g_autofree char *file = g_strdup_printf ("/proc/%s/fd/1", pid), *out = g_file_read_link (file, NULL);

  return out != NULL && !g_str_equal (out, "/dev/null");
}

/* A child of @parent that is a worker (it also has short-lived ones that try plugin files), 0 for none. */
static GPid
find_worker (const char *parent)
{
  g_autofree char *path = g_strdup_printf ("/proc/%s/task/%s/children", parent, parent), *text = NULL;
  g_auto (GStrv) words = NULL;
  guint n, first;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return 0;
  words = g_strsplit (g_strstrip (text), " ", -1);
  n = g_strv_length (words);
  first = n ? (guint) g_random_int_range (0, (gint) n) : 0;
  for (guint i = 0; i < n; i++)
    {
      const char *word = words[(first + i) % n];
      g_autofree char *file = g_strdup_printf ("/proc/%s/cmdline", word), *line = NULL;
      gsize length;

      /* Words of a command line are separated by zero bytes: the second one is the subcommand. */
      if (g_file_get_contents (file, &line, &length, NULL) && length > strlen (line) + 1
          && g_str_equal (line + strlen (line) + 1, "worker") && is_listened_to (word))
        return atoi (word);
    }
  return 0;
}

/* Rounds of killing: the runner, or one of its workers (which the runner then starts again by itself). */
static void
kill_some (int rounds)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "killed", VARIANTS, 1, 3000, NULL);
  g_autoptr (Run) calm = NULL;
  g_autoptr (JsonArray) wanted = NULL;
  gint64 start = g_get_monotonic_time (), length_us;

  calm = program ("run", path, "--json", NULL);
  g_assert_cmpint (calm->status, ==, 0);
  wanted = run_rows (calm);
  length_us = g_get_monotonic_time () - start;
  for (int round = 0; round < rounds; round++)
    {
      g_autofree char *store = g_strdup_printf ("%s/store-%d.db", place->folder, round);
      g_autoptr (JsonArray) rows = NULL;
      g_autoptr (Run) last = NULL;
      guint kills = 0;

      for (guint attempt = 0; attempt < 3; attempt++)
        {
          g_autoptr (GSubprocess) process = attempt == 0 ? program_start ("run", path, "--store", store, NULL)
                                                         : program_start ("resume", "--store", store, NULL);
          g_autofree char *pid = g_strdup (g_subprocess_get_identifier (process));

          g_usleep ((gulong) (g_test_rand_double () * 0.7 * (double) length_us));
          if (round % 3 == 2)
            {
              GPid worker = find_worker (pid);

              kills += worker && kill (worker, SIGKILL) == 0;
              g_usleep (200000);
            }
          else if (round % 3 == 1 && attempt == 0)
            g_subprocess_send_signal (process, SIGINT);
          kills++;
          g_subprocess_force_exit (process);
          g_subprocess_wait (process, NULL, NULL);
        }
      if (!g_file_test (store, G_FILE_TEST_EXISTS))
        last = program ("run", path, "--store", store, "--json", NULL);
      else
        {
          last = program ("resume", "--store", store, "--json", NULL);
          if (last->status == 2) /* killed before the batch was stored */
            {
              run_free (g_steal_pointer (&last));
              last = program ("run", path, "--store", store, "--json", NULL);
            }
        }
      if (last->status != 0)
        g_error ("round %d: status %d: %s", round, last->status, last->err);
      rows = run_rows (last);
      assert_same (wanted, rows);
      g_test_message ("round %d: %u kills", round, kills);
    }
}

static void
test_kill (void)
{
  kill_some (g_test_slow () ? 20 : 3);
}

/* A runner that dies leaves no worker behind. */
static void
test_orphans (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "orphans", "pooling x mlp", 1, 2000000, NULL);
  g_autoptr (GSubprocess) process = program_start ("run", path, "--yes", NULL);
  g_autofree char *pid = g_strdup (g_subprocess_get_identifier (process));
  GPid worker = 0;
  gboolean gone = FALSE;

  for (guint i = 0; i < 200 && worker == 0; i++)
    {
      g_usleep (50000);
      worker = find_worker (pid);
    }
  g_assert_cmpint (worker, >, 0);
  g_subprocess_force_exit (process);
  g_subprocess_wait (process, NULL, NULL);
  for (guint i = 0; i < 100 && !gone; i++)
    {
      g_autofree char *stat = g_strdup_printf ("/proc/%d/stat", worker), *text = NULL;

      /* Whoever adopts it may take its time to reap it: a zombie is gone, too. */
      gone = !g_file_get_contents (stat, &text, NULL, NULL) || strstr (text, ") Z ") != NULL;
      g_usleep (50000);
    }
  g_assert_true (gone);
}

/* A worker that dies each time: failed with the reason, exit 1, and resume tries again. */
static void
test_dying_worker (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "dying", "pooling x mlp", 1, 2000000, NULL);
  g_autoptr (GSubprocess) process = program_start ("run", path, "--yes", NULL);
  g_autofree char *pid = g_strdup (g_subprocess_get_identifier (process));
  g_autoptr (Run) results = NULL;
  g_autoptr (JsonArray) rows = NULL;
  GPid last = 0;
  guint killed = 0;
  JsonObject *row;

  for (guint i = 0; i < 600 && killed < 2; i++)
    {
      GPid worker = find_worker (pid);

      if (worker && worker != last && kill (worker, SIGKILL) == 0)
        {
          last = worker;
          killed++;
        }
      g_usleep (50000);
    }
  g_assert_cmpuint (killed, ==, 2);
  g_subprocess_wait (process, NULL, NULL);
  g_assert_cmpint (g_subprocess_get_exit_status (process), ==, 1);
  results = program ("results", "--json", NULL);
  rows = run_rows (results);
  row = json_array_get_object_element (rows, 0);
  g_assert_cmpstr (json_object_get_string_member (row, "state"), ==, "failed");
  g_assert_nonnull (strstr (json_object_get_string_member (row, "reason"), "signal 9"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_message ("takes half a minute: batches are killed and gone on with, each stage starting a process of its own");
  g_test_add_func ("/kill/random-moments", test_kill);
  g_test_add_func ("/kill/orphans", test_orphans);
  g_test_add_func ("/kill/dying-worker", test_dying_worker);
  return g_test_run ();
}
