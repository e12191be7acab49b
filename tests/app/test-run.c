/* test-run.c: small batches from end to end through the built program. */
#include "app/run/control.h"
#include "app/run/explore.h"
#include "program.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

static JsonObject *
row_at (JsonArray *rows, guint index)
{
  return json_array_get_object_element (rows, index);
}

/* run, a second call that finds everything, results, report, map, routing. */
static void
test_whole (void)
{
  static const char * const fields[]
      = { "batch", "mixer", "feedforward", "task", "device", "seed", "state", "test_accuracy", "latency_us_median",
          "latency_us_p95", "train_s", "planned_peak_bytes", "measured_peak_bytes", "parameters", "flops" };
  static const char * const endings[] = { "svg", "png", "pdf", "csv", "npy", "json" };
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "whole", "softmax-attention x mlp; softmax-attention x switch", 1, 12, NULL);
  g_autofree char *report = g_build_filename (place->folder, "report.html", NULL);
  g_autoptr (Run) dry = program ("run", path, "--dry-run", "--json", NULL);
  g_autoptr (Run) first = NULL, second = NULL, results = NULL, profiled = NULL, written = NULL;
  g_autoptr (JsonArray) planned = run_rows (dry), rows = NULL, ops = NULL, again = NULL;
  guint attention = 0;
  gint64 start;

  g_assert_cmpint (dry->status, ==, 0);
  g_assert_cmpuint (json_array_get_length (planned), ==, 2);
  g_assert_false (g_file_test (place->store, G_FILE_TEST_EXISTS));

  first = program ("run", path, "--json", NULL);
  if (first->status != 0)
    g_test_message ("%s", first->err);
  g_assert_cmpint (first->status, ==, 0);
  rows = run_rows (first);
  g_assert_cmpuint (json_array_get_length (rows), ==, 2);
  for (guint i = 0; i < 2; i++)
    {
      JsonObject *row = row_at (rows, i);

      for (guint k = 0; k < G_N_ELEMENTS (fields); k++)
        {
          g_assert_true (json_object_has_member (row, fields[k]));
          g_assert_false (json_object_get_null_member (row, fields[k]));
        }
      g_assert_cmpstr (json_object_get_string_member (row, "state"), ==, "done");
      g_assert_cmpfloat (json_object_get_double_member (row, "latency_us_median"), >, 0);
      g_assert_cmpint (json_object_get_int_member (row, "measured_peak_bytes"), >, 0);
      g_assert_cmpint (json_object_get_int_member (row, "fallbacks"), ==, 0);
    }
  g_assert_nonnull (strstr (first->err, place->store)); /* names the database */

  start = g_get_monotonic_time ();
  second = program ("run", path, "--json", NULL);
  g_assert_cmpint (second->status, ==, 0);
  g_assert_cmpstr (second->out, ==, first->out);
  g_test_message ("second call: %.2f s", (g_get_monotonic_time () - start) / 1e6);

  results = program ("results", "whole", "--json", NULL);
  g_assert_cmpint (results->status, ==, 0);
  g_assert_cmpstr (results->out, ==, first->out);

  /* Both runs were profiled, against a roof that one of them measured. */
  profiled = program ("results", "whole", "--profile", "--json", NULL);
  g_assert_cmpint (profiled->status, ==, 0);
  ops = run_rows (profiled);
  for (guint i = 0; i < json_array_get_length (ops); i++)
    {
      g_assert_cmpfloat (json_object_get_double_member (row_at (ops, i), "roof_share"), >=, 0);
      if (g_str_equal (json_object_get_string_member (row_at (ops, i), "op"), "attention"))
        attention++;
    }
  g_assert_cmpuint (attention, ==, 2);

  written = program ("report", "whole", "-o", report, NULL);
  g_assert_cmpint (written->status, ==, 0);
  g_assert_true (g_file_test (report, G_FILE_TEST_IS_REGULAR));
  for (guint i = 0; i < G_N_ELEMENTS (endings); i++)
    {
      g_autofree char *map = g_strdup_printf ("%s/map.%s", place->folder, endings[i]);
      g_autofree char *routing = g_strdup_printf ("%s/routing.%s", place->folder, endings[i]);
      g_autoptr (Run) a = program ("map", "whole", "-o", map, NULL), b = program ("routing", "whole", "-o", routing, NULL);

      g_assert_cmpint (a->status, ==, 0);
      g_assert_cmpint (b->status, ==, 0);
      g_assert_true (g_file_test (map, G_FILE_TEST_IS_REGULAR));
      g_assert_true (g_file_test (routing, G_FILE_TEST_IS_REGULAR));
    }
}

/* Another optimizer, averaged weights, small batches one after another; and recomputed layers, which change no bit. */
static void
test_training_keys (void)
{
  static const char * const keys[] = {
    "optimizer=sgd\nmomentum=0.8\nnesterov=true\nrate=0.1\nschedule=linear\naverage=0.9\naccumulate=2",
    "optimizer=sgd\nmomentum=0.8\nnesterov=true\nrate=0.1\nschedule=linear\naverage=0.9\naccumulate=2\nrecompute=2",
    "schedule=constant",
  };
  g_autoptr (Place) place = place_new ();
  gint64 planned[3];
  gdouble accuracy[3];

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      g_autofree char *name = g_strdup_printf ("keys-%u", i);
      g_autofree char *path = place_batch (place, name, "softmax-attention x mlp", 1, 12, keys[i]);
      g_autoptr (Run) run = program ("run", path, "--json", NULL);
      g_autoptr (JsonArray) rows = run_rows (run);

      if (run->status != 0)
        g_test_message ("%s", run->err);
      g_assert_cmpint (run->status, ==, 0);
      g_assert_cmpstr (json_object_get_string_member (row_at (rows, 0), "state"), ==, "done");
      accuracy[i] = json_object_get_double_member (row_at (rows, 0), "test_accuracy");
      planned[i] = json_object_get_int_member (row_at (rows, 0), "planned_peak_bytes");
    }
  g_assert_cmpfloat (accuracy[0], ==, accuracy[1]);
  g_assert_cmpint (planned[1], <, planned[0]);
}

/* A rate that blows up: FAIL with step and tensor, counted, exit 3 beside a run that is fine. */
static void
test_diverged (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "diverged", "pooling x mlp", 1, 12, "rate=1e30\nwarmup=0");
  g_autoptr (Run) run = program ("run", path, "--json", NULL), again = NULL;
  g_autoptr (JsonArray) rows = run_rows (run);
  JsonObject *row = row_at (rows, 0);

  g_assert_cmpint (run->status, ==, 1);
  g_assert_cmpstr (json_object_get_string_member (row, "state"), ==, "diverged");
  g_assert_cmpint (json_object_get_int_member (row, "diverged_step"), >, 1);
  g_assert_cmpint (json_object_get_int_member (row, "diverged_step"), <=, 12);
  g_assert_cmpstr (json_object_get_string_member (row, "diverged_tensor"), !=, NULL);
  g_assert_true (json_object_get_null_member (row, "test_accuracy"));

  /* Final: the same numbers would come again. */
  again = program ("resume", "--json", NULL);
  g_assert_cmpint (again->status, ==, 1);
  g_assert_cmpstr (again->out, ==, run->out);
}

/* Long enough that a device which works beside the host is looked at every twenty steps: the step and the tensor are
 * still the ones that the processor names, which is looked at every step. */
static void
test_diverged_ahead (void)
{
  static const char * const devices[] = { "cpu", "vulkan" };
  g_autoptr (Place) place = place_new ();
  g_autofree char *tensor = NULL;
  gint64 step = 0;

  for (guint i = 0; i < G_N_ELEMENTS (devices); i++)
    {
      g_autofree char *more = g_strdup_printf ("rate=1e30\nwarmup=0\ndevice=%s", devices[i]);
      g_autofree char *path = place_batch (place, devices[i], "pooling x mlp", 1, 4000, more);
      g_autoptr (Run) run = program ("run", path, "--json", NULL);
      g_autoptr (JsonArray) rows = NULL;
      JsonObject *row;

      if (i > 0 && strstr (run->err, "no Vulkan") != NULL)
        {
          g_test_skip ("no Vulkan device is here");
          return;
        }
      rows = run_rows (run);
      row = row_at (rows, 0);
      g_assert_cmpstr (json_object_get_string_member (row, "state"), ==, "diverged");
      if (i == 0)
        {
          step = json_object_get_int_member (row, "diverged_step");
          tensor = g_strdup (json_object_get_string_member (row, "diverged_tensor"));
          g_assert_cmpint (step % 20, >, 1); /* within a stretch, neither its first nor its last */
          continue;
        }
      g_assert_cmpint (json_object_get_int_member (row, "diverged_step"), ==, step);
      g_assert_cmpstr (json_object_get_string_member (row, "diverged_tensor"), ==, tensor);
    }
}

/* What failed keeps its reason and its log, and runs again only when that is asked for. */
static void
test_retry (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "retried", "pooling x mlp; softmax-attention x mlp", 1, 6, NULL);
  g_autoptr (Run) dry = program ("run", path, "--dry-run", "--json", NULL), after = NULL, first = NULL, again = NULL;
  g_autoptr (Run) resumed = NULL, retried = NULL, last = NULL;
  g_autoptr (JsonArray) planned = run_rows (dry), rows = NULL, later = NULL;
  const char *stage = json_object_get_string_member (row_at (planned, 0), "train_stage");
  g_autofree char *folder = g_path_get_dirname (place->store);
  g_autofree char *blocker = g_build_filename (folder, "formarium.artifacts", stage, "checkpoint.safetensors", NULL);
  g_autofree char *log = g_build_filename (folder, "formarium.artifacts", stage, "worker.log", NULL), *words = NULL;
  g_autoptr (FmStageRecord) failed = NULL, kept = NULL;
  g_autoptr (FmStore) store = NULL;
  g_autoptr (GError) error = NULL;

  /* A folder where the checkpoint should be: it cannot be written. */
  g_assert_cmpint (g_mkdir_with_parents (blocker, 0700), ==, 0);
  first = program ("run", path, "--json", NULL);
  g_assert_cmpint (first->status, ==, 3);
  rows = run_rows (first);
  g_assert_cmpstr (json_object_get_string_member (row_at (rows, 0), "state"), ==, "failed");
  g_assert_cmpstr (json_object_get_string_member (row_at (rows, 1), "state"), ==, "done");
  g_assert_nonnull (strstr (first->err, log));
  g_assert_true (g_file_get_contents (log, &words, NULL, NULL));
  g_assert_nonnull (strstr (words, json_object_get_string_member (row_at (rows, 0), "reason")));
  store = fm_store_open (place->store, FM_STORE_READ, &error);
  g_assert_no_error (error);
  failed = fm_store_load_stage (store, stage, &error);
  g_assert_no_error (error);
  g_assert_cmpint (failed->attempts, ==, 1);

  /* The cause is gone, but nobody asked. */
  g_assert_cmpint (g_rmdir (blocker), ==, 0);
  again = program ("run", path, "--json", NULL);
  resumed = program ("resume", "--json", NULL);
  g_assert_cmpint (again->status, ==, 3);
  g_assert_cmpint (resumed->status, ==, 3);
  g_assert_cmpstr (again->out, ==, first->out);
  g_assert_cmpstr (resumed->out, ==, first->out);
  g_assert_nonnull (strstr (again->err, "1 stage failed earlier and was not tried again; `formarium resume 1 --retry-failed`"));
  kept = fm_store_load_stage (store, stage, &error);
  g_assert_no_error (error);
  g_assert_cmpint (kept->attempts, ==, 1);
  g_assert_cmpstr (kept->reason, ==, failed->reason);
  after = program ("run", path, "--dry-run", NULL);
  g_assert_nonnull (strstr (after->err, "0 of them to do"));
  last = program ("run", path, "--dry-run", "--retry-failed", NULL);
  g_assert_nonnull (strstr (last->err, "2 of them to do"));

  retried = program ("resume", "--retry-failed", "--json", NULL);
  g_assert_cmpint (retried->status, ==, 0);
  later = run_rows (retried);
  g_assert_cmpstr (json_object_get_string_member (row_at (later, 0), "state"), ==, "done");
}

/* A stage that is to run starts from a checkpoint that was taken away: the training stage makes it again, and keeps what it
 * found. */
static void
test_pruned (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "pruned", "softmax-attention x mlp", 1, 12, NULL);
  g_autofree char *more = place_batch (place, "measured", "softmax-attention x mlp", 1, 12, "measure=train");
  g_autofree char *folder = g_path_get_dirname (place->store);
  g_autoptr (Run) first = program ("run", path, "--json", NULL), freed = NULL, again = NULL, checked = NULL;
  g_autoptr (JsonArray) rows = run_rows (first), later = NULL;
  const char *train = json_object_get_string_member (row_at (rows, 0), "train_stage");
  g_autofree char *file = g_build_filename (folder, "formarium.artifacts", train, "checkpoint.safetensors", NULL);
  g_autofree char *before = NULL, *after = NULL;
  g_autoptr (FmStageRecord) stage = NULL;
  g_autoptr (FmStore) store = NULL;
  g_autoptr (GError) error = NULL;
  gsize n_before = 0, n_after = 0;

  g_assert_cmpint (first->status, ==, 0);
  g_assert_true (g_file_get_contents (file, &before, &n_before, NULL));
  freed = program ("store", "prune", "--checkpoints", NULL);
  g_assert_cmpint (freed->status, ==, 0);
  g_assert_false (g_file_test (file, G_FILE_TEST_EXISTS));

  again = program ("run", more, "--json", NULL);
  g_assert_cmpint (again->status, ==, 0);
  g_assert_nonnull (strstr (again->err, "Its checkpoint was taken away and is wanted: trained again"));
  g_assert_null (strstr (again->err, "not quite the one"));
  later = run_rows (again);
  g_assert_cmpstr (json_object_get_string_member (row_at (later, 0), "train_stage"), ==, train);
  g_assert_cmpstr (json_object_get_string_member (row_at (later, 0), "state"), ==, "done");
  g_assert_cmpfloat (json_object_get_double_member (row_at (later, 0), "train_s"), ==,
                     json_object_get_double_member (row_at (rows, 0), "train_s")); /* the old row stayed */
  g_assert_true (g_file_get_contents (file, &after, &n_after, NULL));
  g_assert_cmpmem (before, n_before, after, n_after);
  checked = program ("store", "check", NULL);
  g_assert_cmpint (checked->status, ==, 0);
  store = fm_store_open (place->store, FM_STORE_READ, &error);
  g_assert_no_error (error);
  stage = fm_store_load_stage (store, train, &error);
  g_assert_cmpint (stage->state, ==, FM_STAGE_DONE);
  g_assert_cmpint (stage->attempts, ==, 1);
}

/* Data that is not here: its cell is skipped and says how to add it, the other runs; later it is tried again. */
static void
test_absent (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = g_build_filename (place->folder, "absent.batch", NULL);
  g_autoptr (Run) run = NULL, again = NULL;
  g_autoptr (JsonArray) rows = NULL;
  JsonObject *absent, *there;

  g_assert_true (g_file_set_contents (path, "[batch]\ntitle=absent\ntask=fashion-mnist; mqar\nvariants=pooling x mlp\n"
                                            "layers=1\nwidth=16\nhidden=32\nbudget=steps:3\nbatch=8\nseeds=1\n\n"
                                            "[mqar]\nlength=16\npairs=2\nvocabulary=16\n", -1, NULL));
  g_setenv ("FORMARIUM_FASHION_MNIST_DIR", place->folder, TRUE);
  run = program ("run", path, "--json", NULL);
  again = program ("resume", "--json", NULL);
  g_unsetenv ("FORMARIUM_FASHION_MNIST_DIR");
  g_assert_cmpint (run->status, ==, 0);
  rows = run_rows (run);
  g_assert_cmpuint (json_array_get_length (rows), ==, 2);
  absent = row_at (rows, 0);
  there = row_at (rows, 1);
  g_assert_cmpstr (json_object_get_string_member (absent, "state"), ==, "skipped");
  g_assert_nonnull (strstr (json_object_get_string_member (absent, "reason"), "formarium data fetch fashion-mnist"));
  g_assert_cmpstr (json_object_get_string_member (there, "state"), ==, "done");
  g_assert_cmpint (again->status, ==, 0);
  g_assert_cmpstr (again->out, ==, run->out);
}

/* One model learns two tasks: each is scored on its own test, the mean is the score, and the recipe gives the same again. */
static void
test_mixture (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = g_build_filename (place->folder, "mixed.batch", NULL);
  g_autoptr (Run) run = NULL, dry = NULL, text = NULL;
  g_autoptr (JsonArray) rows = NULL;
  g_autoptr (FmStore) store = NULL;
  g_autoptr (GPtrArray) metrics = NULL, outcomes = NULL;
  g_autoptr (GError) error = NULL;
  gdouble own[2] = { -1, -1 }, mean = -1;
  guint scored = 0;

  g_assert_true (g_file_set_contents (path, "[batch]\ntitle=mixed\ntask=2*mqar + listops\nvariants=softmax-attention x mlp\n"
                                            "layers=1\nwidth=32\nbudget=steps:400\nbatch=16\nseeds=1\nrate=0.01\nevaluate=256\n\n"
                                            "[mqar]\nlength=16\npairs=2\nvocabulary=16\n\n"
                                            "[listops]\nmin_length=6\nmax_length=20\n", -1, NULL));
  dry = program ("run", path, "--dry-run", NULL);
  g_assert_nonnull (strstr (dry->out, "on 2*mqar+listops"));
  run = program ("run", path, "--json", NULL);
  g_assert_cmpint (run->status, ==, 0);
  rows = run_rows (run);
  g_assert_cmpstr (json_object_get_string_member (row_at (rows, 0), "state"), ==, "done");
  g_assert_cmpstr (json_object_get_string_member (row_at (rows, 0), "task"), ==, "2*mqar+listops");
  store = fm_store_open (place->store, FM_STORE_READ, &error);
  g_assert_no_error (error);
  metrics = fm_store_load_metrics (store, json_object_get_string_member (row_at (rows, 0), "train_stage"), &error);
  for (guint i = 0; i < metrics->len; i++)
    {
      const FmMetricRow *row = g_ptr_array_index (metrics, i);

      if (!g_str_equal (row->split, "test") || !g_str_equal (row->name, "accuracy"))
        continue;
      g_assert_cmpstr (row->tag, ==, "");
      if (g_str_equal (row->target, "mqar"))
        own[0] = row->value;
      else if (g_str_equal (row->target, "listops"))
        own[1] = row->value;
      else
        mean = row->value;
    }
  g_assert_cmpfloat_with_epsilon (mean, (own[0] + own[1]) / 2, 1e-12);
  g_assert_cmpfloat (json_object_get_double_member (row_at (rows, 0), "test_accuracy"), ==, mean);
  g_assert_cmpfloat (own[0], >, 2.0 / 16); /* both better than chance */
  g_assert_cmpfloat (own[1], >, 1.5 / 10);
  /* 256 examples of each, not of the first alone. */
  outcomes = fm_store_load_outcomes (store, json_object_get_string_member (row_at (rows, 0), "train_stage"), &error);
  for (guint i = 0; i < outcomes->len; i++)
    {
      const FmOutcomeRow *row = g_ptr_array_index (outcomes, i);

      if (!g_str_equal (row->target, "mqar") && !g_str_equal (row->target, "listops"))
        continue; /* the answers themselves stand beside */
      g_assert_cmpuint (g_bytes_get_size (row->triples), ==, 256 * 12);
      scored++;
    }
  g_assert_cmpuint (scored, ==, 4); /* two tasks, validation and test */
  text = program ("results", "mixed", NULL);
  g_assert_nonnull (strstr (text->out, "softmax-attention: listops "));
}

/* A learning model: more steps, better than chance. What is trained is what is asked for. */
static void
test_learns (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "learns", "softmax-attention x mlp", 1, 400, "rate=0.01");
  g_autoptr (Run) run = program ("run", path, "--json", NULL);
  g_autoptr (JsonArray) rows = run_rows (run);
  JsonObject *row = row_at (rows, 0);

  g_assert_cmpint (run->status, ==, 0);
  g_assert_cmpfloat (json_object_get_double_member (row, "test_accuracy"), >,
                     2 * json_object_get_double_member (row, "chance_level"));
}

/* --- The control socket --------------------------------------------------------------------------------------------*/

typedef struct
{
  GMainLoop *loop;
  FmControl *control;
  guint      points, changes;
  char      *closed; /* reason */
  gboolean   failed;
} Watch;

static void
on_connected (GObject *source, GAsyncResult *result, gpointer data)
{
  Watch *w = data;

  w->control = fm_control_connect_finish (result, NULL);
  w->failed = w->control == NULL;
  g_main_loop_quit (w->loop);
}

static void
on_point (FmControl *control, const char *stage, const char *name, const char *tag, gint64 step, gdouble value,
          gpointer data)
{
  ((Watch *) data)->points++;
}

static void
on_changed (FmControl *control, gpointer data)
{
  ((Watch *) data)->changes++;
}

static void
on_closed (FmControl *control, const char *reason, gpointer data)
{
  Watch *w = data;

  w->closed = g_strdup (reason);
  g_main_loop_quit (w->loop);
}

static gboolean
on_time (gpointer data)
{
  g_main_loop_quit (data);
  return G_SOURCE_REMOVE;
}

static void
wait_ms (Watch *w, guint ms)
{
  g_timeout_add (ms, on_time, w->loop);
  g_main_loop_run (w->loop);
}

static void
attach (Watch *w, Place *place)
{
  for (guint i = 0; i < 300 && w->control == NULL; i++)
    {
      g_autoptr (GPtrArray) sockets = fm_control_list_sockets (place->store);

      if (sockets->len == 0)
        {
          g_usleep (50000);
          continue;
        }
      fm_control_connect_async (((FmControlSocket *) g_ptr_array_index (sockets, 0))->path, NULL, on_connected, w);
      g_main_loop_run (w->loop);
    }
  g_assert_nonnull (w->control);
  g_signal_connect (w->control, "point", G_CALLBACK (on_point), w);
  g_signal_connect (w->control, "changed", G_CALLBACK (on_changed), w);
  g_signal_connect (w->control, "closed", G_CALLBACK (on_closed), w);
}

/* attach, see points, pause (no step more), resume (steps again), cancel (exit 130), then resume finishes. */
static void
test_control (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "steered", "pooling x mlp; softmax-attention x mlp", 1, 200000, NULL);
  g_autoptr (GSubprocess) process = program_start ("run", path, "--yes", NULL);
  g_autoptr (Run) other = NULL;
  g_autoptr (FmRunStatus) before = NULL;
  Watch w = { .loop = g_main_loop_new (NULL, FALSE) };
  guint points;

  attach (&w, place);
  g_assert_cmpstr (fm_control_get_status (w.control)->title, ==, "steered");
  /* Points come as they are made, the list of workers a few times a second: wait for both. */
  for (guint i = 0; i < 100 && (w.points == 0 || fm_control_get_status (w.control)->workers->len == 0); i++)
    wait_ms (&w, 100);
  g_assert_cmpuint (w.points, >, 0);
  g_assert_cmpuint (fm_control_get_status (w.control)->workers->len, >, 0);

  /* A living runner keeps a second one away. */
  other = program ("resume", NULL);
  g_assert_cmpint (other->status, ==, 2);

  fm_control_pause (w.control);
  for (guint i = 0; i < 100 && fm_control_get_status (w.control)->phase != FM_RUN_PAUSED; i++)
    wait_ms (&w, 100);
  g_assert_cmpint (fm_control_get_status (w.control)->phase, ==, FM_RUN_PAUSED);
  wait_ms (&w, 600); /* words on their way */
  points = w.points;
  before = fm_run_status_copy (fm_control_get_status (w.control));
  wait_ms (&w, 800);
  g_assert_cmpuint (w.points, ==, points);
  g_assert_cmpint (((FmRunWorker *) g_ptr_array_index (before->workers, 0))->step, ==,
                   ((FmRunWorker *) g_ptr_array_index (fm_control_get_status (w.control)->workers, 0))->step);

  fm_control_resume (w.control);
  for (guint i = 0; i < 100 && fm_control_get_status (w.control)->phase == FM_RUN_PAUSED; i++)
    wait_ms (&w, 100);
  for (guint i = 0; i < 200 && ((FmRunWorker *) g_ptr_array_index (fm_control_get_status (w.control)->workers, 0))->step
                                   == ((FmRunWorker *) g_ptr_array_index (before->workers, 0))->step; i++)
    wait_ms (&w, 100);
  g_assert_cmpint (((FmRunWorker *) g_ptr_array_index (fm_control_get_status (w.control)->workers, 0))->step, >,
                   ((FmRunWorker *) g_ptr_array_index (before->workers, 0))->step);

  fm_control_cancel (w.control);
  g_timeout_add_seconds (20, on_time, w.loop);
  g_main_loop_run (w.loop);
  g_assert_cmpstr (w.closed, ==, "");
  g_subprocess_wait (process, NULL, NULL);
  g_assert_cmpint (g_subprocess_get_exit_status (process), ==, 130);
  g_assert_cmpuint (w.changes, >, 0);
  fm_control_close (w.control);
  g_object_unref (w.control);
  g_free (w.closed);
  g_main_loop_unref (w.loop);
}

/* --- The resident worker -------------------------------------------------------------------------------------------*/

typedef struct
{
  GMainLoop       *loop;
  FmExploreAnswer *answer;
  GError          *error;
} Question;

static void
on_answer (GObject *source, GAsyncResult *result, gpointer data)
{
  Question *q = data;

  q->answer = fm_explorer_ask_finish (FM_EXPLORER (source), result, &q->error);
  g_main_loop_quit (q->loop);
}

static void
test_explore (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "explored", "softmax-attention x switch", 1, 5, NULL);
  g_autoptr (Run) run = program ("run", path, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (FmStore) store = fm_store_open (place->store, FM_STORE_READ, &error);
  g_autoptr (FmExplorer) explorer = NULL;
  Question q = { .loop = g_main_loop_new (NULL, FALSE) };
  gdouble sum = 0;

  g_assert_no_error (error);
  g_assert_cmpint (run->status, ==, 0);
  explorer = fm_explorer_new_for_run (store, 1, &error);
  g_assert_no_error (error);
  fm_explorer_ask_async (explorer, "test", 3, NULL, 0, NULL, on_answer, &q);
  g_main_loop_run (q.loop);
  g_assert_no_error (q.error);
  g_assert_cmpstr (q.answer->task, ==, "mqar");
  g_assert_cmpint (q.answer->example, ==, 3);
  for (gint64 i = 0; i < q.answer->n_classes; i++)
    sum += q.answer->probabilities[i];
  g_assert_cmpfloat_with_epsilon (sum, 1.0, 1e-4);
  g_assert_nonnull (q.answer->maps);
  g_assert_cmpint (q.answer->maps->queries, ==, 16);
  for (gint64 h = 0; h < q.answer->maps->heads; h++)
    {
      const gfloat *row = fm_maps_row (q.answer->maps, 0, h, 15);

      sum = 0;
      for (gint64 k = 0; k < 16; k++)
        sum += isnan (row[k]) ? 0 : row[k];
      g_assert_cmpfloat_with_epsilon (sum, 1.0, 1e-4);
    }
  g_assert_cmpuint (q.answer->routing->len, ==, 1);
  g_assert_cmpint (((FmExploreRouting *) g_ptr_array_index (q.answer->routing, 0))->n_tokens, ==, 16);
  g_clear_pointer (&q.answer, fm_explore_answer_free);

  /* A wrong question is answered by a sentence; the worker stays. */
  fm_explorer_ask_async (explorer, "test", 1 << 30, NULL, 0, NULL, on_answer, &q);
  g_main_loop_run (q.loop);
  g_assert_null (q.answer);
  g_assert_nonnull (q.error);
  g_clear_error (&q.error);
  fm_explorer_ask_async (explorer, "validation", 0, NULL, 0, NULL, on_answer, &q);
  g_main_loop_run (q.loop);
  g_assert_no_error (q.error);
  g_clear_pointer (&q.answer, fm_explore_answer_free);
  g_main_loop_unref (q.loop);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_message ("takes 12 s: whole batches, each stage in a process of its own; one learns to beat chance");
  g_test_add_func ("/run/whole", test_whole);
  g_test_add_func ("/run/training-keys", test_training_keys);
  g_test_add_func ("/run/diverged", test_diverged);
  g_test_add_func ("/run/diverged-ahead", test_diverged_ahead);
  g_test_add_func ("/run/retry", test_retry);
  g_test_add_func ("/run/pruned", test_pruned);
  g_test_add_func ("/run/absent", test_absent);
  g_test_add_func ("/run/mixture", test_mixture);
  g_test_add_func ("/run/learns", test_learns);
  g_test_add_func ("/run/control", test_control);
  g_test_add_func ("/run/explore", test_explore);
  return g_test_run ();
}
