/* test-measure.c: measuring in blocks of fresh processes, as a real runner does it. With -m slow: two plugins that are
 * the same to the byte but for their name, measured a hundred times. */
#include "program.h"

#include "app/results/results.h"
#include "app/run/control.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define VARIANTS "softmax-attention x mlp; pooling x mlp; local-attention x mlp; linear-attention x mlp"
#define N_VARIANTS 4

/* What must be true of every session that came to its end. */
static void
assert_session (const char *store, gint64 n_stages, gint64 n_variants)
{
  g_assert_cmpint (number (store, "SELECT count (*) FROM stage WHERE kind = 'measure' AND state = 'done'"), ==, n_stages);
  g_assert_cmpint (number (store, "SELECT count (DISTINCT session) FROM measure_process"), ==, 1);
  /* A process of every variant in each of the first five blocks, whatever its seed. */
  g_assert_cmpint (number (store, "SELECT count (*) FROM measure_process WHERE block < 5"), ==, 5 * n_variants);
  g_assert_cmpint (number (store, "SELECT count (*) FROM (SELECT 1 FROM measure_process p JOIN run r ON r.measure_stage = "
                                  "p.stage WHERE p.block < 5 GROUP BY r.variant, p.block)"), ==, 5 * n_variants);
  g_assert_cmpint (number (store, "SELECT max (block) FROM measure_process"), <, 15);
  g_assert_cmpint (number (store, "SELECT count (DISTINCT stage) FROM measure_process"), ==, n_stages);
  /* One at a time, in the order drawn: who began later in a block stands later in it. */
  g_assert_cmpint (number (store, "SELECT count (*) FROM measure_process a JOIN measure_process b ON a.block = b.block "
                                  "AND a.place < b.place AND a.started_unix_us >= b.started_unix_us"), ==, 0);
  g_assert_cmpint (number (store, "SELECT count (*) FROM measure_process WHERE warm_ups < 4 OR settled IS NULL OR "
                                  "measured_peak_bytes IS NULL"), ==, 0);
  /* Samples of each process, and its median among them. */
  g_assert_cmpint (number (store, "SELECT count (*) FROM measure_process p WHERE (SELECT count (*) FROM latency_median m "
                                  "WHERE m.stage = p.stage AND m.process = p.process AND kind IN ('batch1', "
                                  "'throughput') AND samples >= 3) <> 2"), ==, 0);
  g_assert_cmpint (number (store, "SELECT count (*) FROM latency_sample l WHERE NOT EXISTS (SELECT 1 FROM measure_process p "
                                  "WHERE p.stage = l.stage AND p.process = l.process)"), ==, 0);
  /* Whether that was enough is written down; looks are taken once. */
  g_assert_cmpint (number (store, "SELECT count (*) FROM stage WHERE kind = 'measure' AND unstable IN (0, 1)"), ==, n_stages);
  g_assert_cmpint (number (store, "SELECT count (*) FROM (SELECT stage, kind FROM artifact WHERE kind = 'maps' "
                                  "GROUP BY stage HAVING count (*) > 1)"), ==, 0);
  g_assert_cmpint (number (store, "SELECT count (DISTINCT stage) FROM op_profile"), ==, n_stages);
}

static void
test_blocks (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "blocks", VARIANTS, 2, 5, NULL);
  g_autoptr (Run) run = program ("run", path, NULL), again = NULL, json = NULL;
  g_autoptr (JsonArray) rows = NULL;
  gint64 processes;

  g_assert_cmpint (run->status, ==, 0);
  assert_session (place->store, 2 * N_VARIANTS, N_VARIANTS);
  /* Orders are drawn anew: five times the same by chance happens once in 24^4 = 331,776 runs. */
  g_assert_cmpint (number (place->store, "SELECT count (DISTINCT o) FROM (SELECT group_concat (variant) AS o FROM (SELECT "
                                         "DISTINCT p.block, p.place, r.variant FROM measure_process p JOIN run r ON "
                                         "r.measure_stage = p.stage WHERE p.block < 5 ORDER BY p.block, p.place) GROUP BY "
                                         "block)"), >, 1);
  g_assert_nonnull (strstr (run->out, "Latency ratio"));
  g_assert_nonnull (strstr (run->out, "fresh processes a variant"));
  json = program ("results", "--json", NULL);
  rows = run_rows (json);
  for (guint i = 0; i < json_array_get_length (rows); i++)
    {
      JsonObject *row = json_array_get_object_element (rows, i);

      g_assert_cmpint (json_object_get_int_member (row, "latency_blocks"), >=, 2);
      g_assert_true (json_object_get_int_member (row, "unstable") == 0 || json_object_get_int_member (row, "unstable") == 1);
    }

  /* A second time everything is there. */
  processes = number (place->store, "SELECT count (*) FROM measure_process");
  again = program ("run", path, NULL);
  g_assert_cmpint (again->status, ==, 0);
  g_assert_cmpint (number (place->store, "SELECT count (*) FROM measure_process"), ==, processes);
}

/* The worker that is at a measuring stage, 0 while there is none. */
static GPid
measuring_worker (const char *store)
{
  gint64 pid = number (store, "SELECT worker_pid FROM stage WHERE kind = 'measure' AND state = 'running' AND worker_pid > 0");

  return (GPid) MAX (pid, 0);
}

static GPid
wait_for_worker (const char *store)
{
  GPid pid = 0;

  for (guint i = 0; i < 40000 && pid == 0; i++)
    {
      pid = measuring_worker (store);
      g_usleep (2000);
    }
  g_assert_cmpint (pid, >, 0);
  return pid;
}

/* A process that dies is started again in its block; nobody else's numbers are lost. */
static void
test_death (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "death", VARIANTS, 1, 5, NULL);
  g_autoptr (GSubprocess) process = program_start ("run", path, NULL);
  GPid worker = wait_for_worker (place->store);

  g_assert_cmpint (kill (worker, SIGKILL), ==, 0);
  g_subprocess_wait (process, NULL, NULL);
  g_assert_cmpint (g_subprocess_get_exit_status (process), ==, 0);
  assert_session (place->store, N_VARIANTS, N_VARIANTS);
}

/* Interrupted in the middle: nothing half measured stays, and the next runner measures all of them together. */
static void
test_interrupted (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "interrupted", VARIANTS, 1, 5, NULL);
  g_autoptr (GSubprocess) process = program_start ("run", path, NULL);
  g_autoptr (Run) resumed = NULL;

  wait_for_worker (place->store);
  g_subprocess_send_signal (process, SIGINT);
  g_subprocess_wait (process, NULL, NULL);
  g_assert_cmpint (g_subprocess_get_exit_status (process), ==, 130);
  g_assert_cmpint (number (place->store, "SELECT count (*) FROM measure_process"), ==, 0);
  g_assert_cmpint (number (place->store, "SELECT count (*) FROM latency_sample"), ==, 0);
  g_assert_cmpint (number (place->store, "SELECT count (*) FROM stage WHERE state = 'planned'"), ==, N_VARIANTS);
  resumed = program ("resume", NULL);
  g_assert_cmpint (resumed->status, ==, 0);
  assert_session (place->store, N_VARIANTS, N_VARIANTS);
}

/* --- Pausing ------------------------------------------------------------------------------------------------------*/

static void
connected (GObject *source, GAsyncResult *result, gpointer data)
{
  FmControl **control = data;
  g_autoptr (GError) error = NULL;

  *control = fm_control_connect_finish (result, &error);
  g_assert_no_error (error);
}

static void
let_pass (guint ms)
{
  gint64 end = g_get_monotonic_time () + ms * 1000;

  while (g_get_monotonic_time () < end)
    {
      while (g_main_context_iteration (NULL, FALSE))
        ;
      g_usleep (5000);
    }
}

static void
test_paused (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "paused", VARIANTS, 1, 5, NULL), *socket = NULL;
  g_autoptr (GSubprocess) process = program_start ("run", path, NULL);
  g_autoptr (GError) error = NULL;
  FmControl *control = NULL;

  wait_for_worker (place->store);
  socket = fm_control_socket_path (place->store, 1, &error);
  g_assert_no_error (error);
  fm_control_connect_async (socket, NULL, connected, &control);
  while (control == NULL)
    g_main_context_iteration (NULL, TRUE);
  fm_control_pause (control);
  for (guint i = 0; i < 400 && fm_control_get_status (control)->phase != FM_RUN_PAUSED; i++)
    let_pass (25);
  g_assert_cmpint (fm_control_get_status (control)->phase, ==, FM_RUN_PAUSED);
  let_pass (3000); /* long enough to have ended otherwise, on a machine that is quiet */
  g_assert_cmpint (fm_control_get_status (control)->phase, ==, FM_RUN_PAUSED);
  g_assert_cmpint (number (place->store, "SELECT count (*) FROM measure_process"), ==, 0);
  /* Twice at once: a worker must not be told to measure twice. */
  fm_control_resume (control);
  fm_control_pause (control);
  fm_control_resume (control);
  let_pass (200);
  fm_control_close (control);
  g_object_unref (control);
  g_subprocess_wait (process, NULL, NULL);
  g_assert_cmpint (g_subprocess_get_exit_status (process), ==, 0);
  assert_session (place->store, N_VARIANTS, N_VARIANTS);
}

/* --- Twins --------------------------------------------------------------------------------------------------------*/

#define REPEATS 100
#define LEAST_COVERED 89

/* A copy of the pooling plugin under another name of the same length: the same code to the byte. */
static void
make_twin (Place *place)
{
  g_autofree char *file = g_build_filename (g_getenv ("FORMARIUM_BUILD_DIR"), "plugins", "pooling.so", NULL);
  g_autofree char *folder = g_build_filename (place->folder, "twins", NULL);
  g_autofree char *copy = g_build_filename (folder, "poolin2.so", NULL), *data = NULL, *paths = NULL;
  g_autoptr (GError) error = NULL;
  gsize length;
  guint found = 0;

  g_file_get_contents (file, &data, &length, &error);
  g_assert_no_error (error);
  for (gsize i = 1; i + sizeof "pooling" <= length; i++)
    if (data[i - 1] == '\0' && memcmp (data + i, "pooling", sizeof "pooling") == 0)
      {
        data[i + 6] = '2';
        found++;
      }
  g_assert_cmpuint (found, ==, 1);
  g_assert_cmpint (g_mkdir (folder, 0700), ==, 0);
  g_file_set_contents (copy, data, (gssize) length, &error);
  g_assert_no_error (error);
  paths = g_strconcat (g_getenv ("FORMARIUM_PLUGIN_PATH"), ":", folder, NULL);
  g_setenv ("FORMARIUM_PLUGIN_PATH", paths, TRUE);
}

static void
test_twins (void)
{
  g_autoptr (Place) place = place_new ();
  g_autoptr (FmStore) store = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *before = g_strdup (g_getenv ("FORMARIUM_PLUGIN_PATH"));
  guint covered = 0, unstable = 0, blocks = 0, better = 0, worse = 0, equal = 0;

  make_twin (place);
  for (gint i = 0; i < REPEATS; i++)
    {
      /* Another budget makes another stage, which must be measured anew. */
      g_autofree char *name = g_strdup_printf ("twins-%d", i);
      g_autofree char *path = place_batch (place, name, "pooling x mlp; poolin2 x mlp", 1, 1 + i, NULL);
      g_autoptr (Run) run = program ("run", path, NULL);

      if (run->status != 0)
        g_error ("repeat %d: status %d: %s", i, run->status, run->err);
    }
  store = fm_store_open (place->store, FM_STORE_READ, &error);
  g_assert_no_error (error);
  for (gint64 batch = 1; batch <= REPEATS; batch++)
    {
      g_autoptr (FmResultsTable) table = fm_results_table_load (store, batch, &error);
      const FmVariantResult *r;

      g_assert_no_error (error);
      g_assert_cmpuint (fm_results_table_get_n_rows (table), ==, 2);
      r = fm_results_row_get (fm_results_table_get_row (table, 1));
      g_assert_cmpuint (r->paired_blocks, >=, FM_BLOCKS_LEAST);
      covered += r->latency_ratio_low <= 1 && 1 <= r->latency_ratio_high;
      unstable += r->unstable;
      blocks += r->paired_blocks;
      better += r->latency_verdict == FM_VERDICT_BETTER;
      equal += r->latency_verdict == FM_VERDICT_EQUAL;
      worse += r->latency_verdict == FM_VERDICT_WORSE;
    }
  g_test_message ("1 inside %u of %d intervals; %.1f blocks, %u unstable; %u better, %u equal, %u worse",
                  covered, REPEATS, (gdouble) blocks / REPEATS, unstable, better, equal, worse);
  g_setenv ("FORMARIUM_PLUGIN_PATH", before, TRUE);
  g_assert_cmpuint (covered, >=, LEAST_COVERED);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  if (g_test_slow ())
    g_test_add_func ("/app/measure/twins", test_twins);
  else
    {
      g_test_add_func ("/app/measure/blocks", test_blocks);
      g_test_add_func ("/app/measure/death", test_death);
      g_test_add_func ("/app/measure/interrupted", test_interrupted);
      g_test_add_func ("/app/measure/paused", test_paused);
    }
  return g_test_run ();
}
