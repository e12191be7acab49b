/* test-verdicts.c: what is compared with what, and what the footnote says of it, on rows made by hand. */
#include "config.h"

#include "app/results/results.h"

#include <math.h>
#include <string.h>

static void
add_run (GPtrArray *rows, const char *mixer, const char *setting, const char *parameters, gint64 seed,
         const char *state, gdouble accuracy)
{
  FmResultRow *row = g_new0 (FmResultRow, 1);

  row->batch = g_strdup ("b");
  row->variant = g_strdup_printf ("%s x mlp%s", mixer, setting);
  row->mixer = g_strdup (mixer);
  row->feedforward = g_strdup ("mlp");
  row->task = g_strdup ("mqar");
  row->task_parameters = g_strdup (parameters);
  row->device = g_strdup ("cpu");
  row->state = g_strdup (state);
  row->seed = seed;
  row->test_accuracy = accuracy;
  row->validation_accuracy = row->test_loss_nats = row->latency_us_median = row->latency_us_p95 = NAN;
  row->throughput_per_s = row->train_s = row->flops = NAN;
  row->chance_level = 0.1;
  row->best_shortcut_accuracy = strcmp (parameters, "length=64") == 0 ? 0.2 : 0.3;
  row->diverged_step = -1;
  g_ptr_array_add (rows, row);
}

static void
add_seeds (GPtrArray *rows, const char *mixer, const char *setting, const char *parameters, gdouble accuracy)
{
  for (gint64 seed = 0; seed < 3; seed++)
    add_run (rows, mixer, setting, parameters, seed, "done", accuracy + 0.001 * seed * seed);
}

static const FmVariantResult *
row_of (FmResultsTable *table, guint index)
{
  return fm_results_row_get (fm_results_table_get_row (table, index));
}

/* A task of other parameters is other data: each has its own baseline, and nobody is compared across. */
static void
test_task_parameters (void)
{
  g_autoptr (GPtrArray) rows = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_result_row_free);
  g_autoptr (FmResultsTable) table = NULL;
  g_autofree char *footnote = NULL, *text = NULL;

  add_seeds (rows, "softmax-attention", ", length=64", "length=64", 0.9);
  add_seeds (rows, "softmax-attention", ", length=128", "length=128", 0.5);
  add_seeds (rows, "linear-attention", ", length=64", "length=64", 0.7);
  add_seeds (rows, "linear-attention", ", length=128", "length=128", 0.7);
  table = fm_results_table_new (rows);
  g_assert_cmpuint (fm_results_table_get_n_rows (table), ==, 4);
  g_assert_cmpint (row_of (table, 0)->verdict, ==, FM_VERDICT_BASELINE);
  g_assert_cmpint (row_of (table, 1)->verdict, ==, FM_VERDICT_BASELINE);
  g_assert_cmpint (row_of (table, 2)->verdict, ==, FM_VERDICT_WORSE);
  g_assert_cmpint (row_of (table, 3)->verdict, ==, FM_VERDICT_BETTER);

  footnote = fm_results_table_footnote (table);
  g_assert_nonnull (strstr (footnote, "adjusted by Holm over 2 comparisons,"));
  text = fm_results_table_to_text (table, 0);
  g_assert_nonnull (strstr (text, "20.0"));
  g_assert_nonnull (strstr (text, "30.0")); /* the second task's shortcut, too */
  g_assert_nonnull (strstr (text, "Best shortcut, mqar length=128"));
}

/* A row that still runs gets no verdict, one with a diverged seed is FAIL; the batch named both comparisons before it
 * knew, so both count. */
static void
test_family (void)
{
  g_autoptr (GPtrArray) rows = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_result_row_free);
  g_autoptr (FmResultsTable) table = NULL;
  g_autofree char *footnote = NULL, *seeds = NULL;

  add_seeds (rows, "softmax-attention", "", "length=64", 0.9);
  add_seeds (rows, "linear-attention", "", "length=64", 0.7);
  add_run (rows, "pooling", "", "length=64", 0, "done", 0.5);
  add_run (rows, "pooling", "", "length=64", 1, "done", 0.5);
  add_run (rows, "pooling", "", "length=64", 2, "running", NAN);
  add_run (rows, "local-attention", "", "length=64", 0, "done", 0.9);
  add_run (rows, "local-attention", "", "length=64", 1, "diverged", NAN);
  add_run (rows, "local-attention", "", "length=64", 2, "done", 0.9);
  table = fm_results_table_new (rows);
  g_assert_cmpint (row_of (table, 1)->verdict, ==, FM_VERDICT_WORSE);
  g_assert_cmpint (row_of (table, 2)->verdict, ==, FM_VERDICT_NONE);
  g_assert_cmpint (row_of (table, 3)->verdict, ==, FM_VERDICT_FAIL);
  seeds = fm_results_row_seeds_text (fm_results_table_get_row (table, 3));
  g_assert_cmpstr (seeds, ==, "2 of 3");
  footnote = fm_results_table_footnote (table);
  g_assert_nonnull (strstr (footnote, "Holm over 3 comparisons,"));
}

/* One seed has no interval and is no comparison. */
static void
test_one_seed (void)
{
  g_autoptr (GPtrArray) rows = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_result_row_free);
  g_autoptr (FmResultsTable) table = NULL;
  g_autofree char *footnote = NULL, *verdict = NULL;

  add_run (rows, "softmax-attention", "", "length=64", 0, "done", 0.9);
  add_run (rows, "pooling", "", "length=64", 0, "done", 0.2);
  table = fm_results_table_new (rows);
  g_assert_cmpint (row_of (table, 1)->verdict, ==, FM_VERDICT_UNDECIDED);
  verdict = fm_results_row_verdict_text (fm_results_table_get_row (table, 1));
  g_assert_cmpstr (verdict, ==, "undecided, needs 2 seeds");
  footnote = fm_results_table_footnote (table);
  g_assert_null (strstr (footnote, "Holm"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/app/verdicts/task-parameters", test_task_parameters);
  g_test_add_func ("/app/verdicts/family", test_family);
  g_test_add_func ("/app/verdicts/one-seed", test_one_seed);
  return g_test_run ();
}
