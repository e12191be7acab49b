/* test-tune.c: trials choose settings: how many, on what, which, and what becomes of a variant whose trials all diverge. */
#include "program.h"

#include "storage/storage.h"

#include <signal.h>
#include <string.h>

#define TUNED "evaluate=128\ntune=rate:0.0001,0.01,0.03; decay:0,0.1\nhold=trials"

static JsonObject *
row_at (JsonArray *rows, guint index)
{
  return json_array_get_object_element (rows, index);
}

static gdouble
metric (GPtrArray *metrics, const char *split, const char *target, const char *tag, const char *name)
{
  for (guint i = 0; i < metrics->len; i++)
    {
      const FmMetricRow *row = g_ptr_array_index (metrics, i);

      if (g_str_equal (row->split, split) && g_str_equal (row->target, target) && g_str_equal (row->tag, tag)
          && g_str_equal (row->name, name))
        return row->value;
    }
  return -1;
}

/* What the recipe of @train says the best of its trials had, looked up by hand: rate and decay. */
static void
find_best (FmStore *store, const char *train, gdouble *rate, gdouble *decay)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmStageRecord) stage = fm_store_load_stage (store, train, &error);
  gdouble best = -1, loss = 1e30;

  g_assert_no_error (error);
  g_assert_cmpuint (stage->inputs->len, ==, 6);
  for (guint i = 0; i < stage->inputs->len; i++)
    {
      g_autoptr (FmStageRecord) trial = fm_store_load_stage (store, g_ptr_array_index (stage->inputs, i), &error);
      g_autoptr (GPtrArray) metrics = fm_store_load_metrics (store, trial->id, &error);
      g_autoptr (JsonNode) node = json_from_string (trial->recipe, NULL);
      JsonObject *recipe = json_node_get_object (node);
      gdouble a = metric (metrics, "validation", "", "trial", "accuracy"), l = metric (metrics, "validation", "", "trial",
                                                                                      "loss");

      g_assert_cmpstr (trial->kind, ==, FM_STAGE_KIND_TRIAL);
      g_assert_cmpint (trial->state, ==, FM_STAGE_DONE);
      g_assert_cmpint (json_object_get_int_member (recipe, "seed"), ==, 1000000);
      /* Never a look at test: neither a score nor an answer. */
      for (guint k = 0; k < metrics->len; k++)
        g_assert_cmpstr (((FmMetricRow *) g_ptr_array_index (metrics, k))->split, !=, "test");
      if (a > best || (a == best && l < loss))
        {
          best = a;
          loss = l;
          *rate = g_ascii_strtod (json_object_get_string_member (recipe, "rate"), NULL);
          *decay = g_ascii_strtod (json_object_get_string_member (recipe, "decay"), NULL);
        }
    }
}

/* Counted before, killed meanwhile, finished: each variant has its own best settings, seeds share the trials, and the
 * dry run, the table and the rows say how many. */
static void
test_chosen (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "tuned", "softmax-attention x mlp; pooling x mlp", 2, 60, TUNED);
  g_autoptr (Run) dry = program ("run", path, "--dry-run", NULL), run = NULL, text = NULL, json = NULL, replayed = NULL;
  g_autoptr (GSubprocess) killed = NULL;
  g_autoptr (JsonArray) rows = NULL, planned = NULL;
  g_autoptr (FmStore) store = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (dry->status, ==, 0);
  g_assert_nonnull (strstr (dry->err, "20 stages with 12 trials"));
  g_assert_nonnull (strstr (dry->out, "rate=0.03, decay=0.1"));
  json = program ("run", path, "--dry-run", "--json", NULL);
  planned = run_rows (json);
  g_assert_cmpint (json_object_get_int_member (row_at (planned, 0), "trials"), ==, 6);
  g_assert_cmpuint (json_array_get_length (json_object_get_array_member (row_at (planned, 0), "stages")), ==, 8);

  killed = program_start ("run", path, NULL);
  g_usleep (700000);
  g_subprocess_send_signal (killed, SIGKILL);
  g_subprocess_wait (killed, NULL, NULL);
  run = program ("run", path, "--json", NULL);
  g_assert_cmpint (run->status, ==, 0);
  rows = run_rows (run);
  g_assert_cmpuint (json_array_get_length (rows), ==, 4);
  store = fm_store_open (place->store, FM_STORE_READ, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < 4; i++)
    {
      JsonObject *row = row_at (rows, i);
      const char *train = json_object_get_string_member (row, "train_stage");
      g_autoptr (GPtrArray) metrics = fm_store_load_metrics (store, train, &error);
      gdouble rate = -1, decay = -1;

      g_assert_cmpstr (json_object_get_string_member (row, "state"), ==, "done");
      g_assert_cmpint (json_object_get_int_member (row, "trials"), ==, 6);
      g_assert_cmpint (json_object_get_int_member (row, "parameters_by_n"), ==, 256); /* a vector of 16 a place */
      find_best (store, train, &rate, &decay);
      g_assert_cmpfloat (metric (metrics, "", "", "chosen", "rate"), ==, rate);
      g_assert_cmpfloat (metric (metrics, "", "", "chosen", "decay"), ==, decay);
      /* The scores are the run's own, with the run's seed. */
      g_assert_cmpfloat (json_object_get_double_member (row, "validation_accuracy"), ==,
                         metric (metrics, "validation", "value", "", "accuracy"));
    }
  /* A replay tries the trials again, chooses the same and trains to the same bits. */
  replayed = program ("reproduce", "1", "--train", NULL);
  g_assert_cmpint (replayed->status, ==, 0);
  text = program ("results", "tuned", NULL);
  g_assert_nonnull (strstr (text->out, "6 tuning trials each"));
  g_assert_nonnull (strstr (text->out, "best of 6 trials on validation"));
  g_assert_nonnull (strstr (text->out, "By length"));
}

/* A variant whose trials all diverge is a FAIL with the reason, the other one is compared. Without hold=trials the numbers
 * may differ, and the table says so. */
static void
test_none_left (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "lost", "softmax-attention x mlp; pooling x mlp", 1, 12,
                                       "warmup=0\nevaluate=64\ntune=rate:0.01\n[pooling]\ntune=rate:1e29,1e30");
  g_autoptr (Run) run = program ("run", path, "--json", NULL), text = NULL;
  g_autoptr (JsonArray) rows = run_rows (run);

  g_assert_cmpint (run->status, ==, 3);
  g_assert_cmpstr (json_object_get_string_member (row_at (rows, 0), "state"), ==, "done");
  g_assert_cmpint (json_object_get_int_member (row_at (rows, 0), "trials"), ==, 1);
  g_assert_cmpstr (json_object_get_string_member (row_at (rows, 1), "state"), ==, "diverged");
  g_assert_cmpint (json_object_get_int_member (row_at (rows, 1), "trials"), ==, 2);
  g_assert_true (g_str_has_prefix (json_object_get_string_member (row_at (rows, 1), "reason"),
                                   "No settings to train with: all trials diverged, the first (rate=1e+29) at step "));
  text = program ("results", "lost", NULL);
  g_assert_nonnull (strstr (text->out, "FAIL"));
  g_assert_nonnull (strstr (text->out, "but not tuning: 1 to 2 trials"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tune/chosen", test_chosen);
  g_test_add_func ("/tune/none-left", test_none_left);
  return g_test_run ();
}
