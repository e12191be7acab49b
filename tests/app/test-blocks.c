/* test-blocks.c: latency and memory over blocks of fresh processes: when a process is warm, how often an interval over
 * blocks is wrong, and what tables say of blocks that lie in a store. */
#include "config.h"

#include "app/results/results.h"
#include "app/run/run-private.h"
#include "tests/storage/store-fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- Warm? --------------------------------------------------------------------------------------------------------*/

static void
test_settled (void)
{
  const gdouble cold[] = { 900, 700, 560, 470, 410, 370, 340, 320, 305, 295 };
  const gdouble slower[] = { 300, 305, 311, 316, 322, 327, 333, 338, 344, 350 };
  const gdouble flat[] = { 300, 302, 299, 301, 300, 303, 298, 300, 301, 299 };
  const gdouble interrupted[] = { 300, 302, 4000, 301, 300, 303, 298, 2500, 301, 299 };
  const gdouble creeping[] = { 300.9, 300.8, 300.7, 300.6, 300.5, 300.4, 300.3, 300.2, 300.1, 300 }; /* 0.3 % in all */
  const gdouble after[] = { 900, 500, 350, 300, 302, 299, 301, 300, 303, 298, 300, 301, 299 };
  /* A line through these rises by 6 %, but so it does through many that only tremble. */
  const gdouble restless[] = { 300, 330, 285, 340, 290, 335, 280, 325, 310, 345 };
  const gdouble few[] = { 2e6, 1.2e6, 1.19e6 };

  g_assert_false (fm_has_settled (cold, G_N_ELEMENTS (cold)));
  g_assert_false (fm_has_settled (slower, G_N_ELEMENTS (slower)));
  g_assert_true (fm_has_settled (flat, G_N_ELEMENTS (flat)));
  g_assert_true (fm_has_settled (interrupted, G_N_ELEMENTS (interrupted)));
  g_assert_true (fm_has_settled (restless, G_N_ELEMENTS (restless)));
  g_assert_true (fm_has_settled (creeping, G_N_ELEMENTS (creeping)));
  g_assert_true (fm_has_settled (after, G_N_ELEMENTS (after)));
  g_assert_false (fm_has_settled (few, 0));
  g_assert_false (fm_has_settled (few, 1));
  g_assert_false (fm_has_settled (few, 2));
  g_assert_true (fm_has_settled (few, 3));
}

/* --- The interval itself ------------------------------------------------------------------------------------------*/

/* Half widths by hand: t (0.975, 4 degrees of freedom) = 2.776445 times the spread over the root of n. */
static void
test_interval (void)
{
  const gdouble wild_first[] = { 0.1, -0.1, 0.1, -0.1, 0, 0, NAN, 0, 0, 0, 0 }; /* spread of the first five: 0.1 */
  const gdouble wild_later[] = { 0, 0, 0, 0, 0, 0.1, -0.1, 0.1, -0.1, 0.1 }; /* of all ten: sqrt (0.049 / 9) */
  const gdouble three[] = { 0.1, 0.2, 0.3 };
  FmEstimate e = fm_blocks_estimate (wild_first, 5);

  g_assert_cmpfloat_with_epsilon (e.high - e.mean, 2.776445 * 0.1 / sqrt (5), 1e-6);
  e = fm_blocks_estimate (wild_first, G_N_ELEMENTS (wild_first));
  g_assert_cmpuint (e.n, ==, 10);
  g_assert_cmpfloat_with_epsilon (e.high - e.mean, 2.776445 * 0.1 / sqrt (10), 1e-6);
  e = fm_blocks_estimate (wild_later, G_N_ELEMENTS (wild_later));
  g_assert_cmpfloat_with_epsilon (e.mean, 0.01, 1e-12);
  g_assert_cmpfloat_with_epsilon (e.high - e.mean, 2.776445 * sqrt (0.049 / 9) / sqrt (10), 1e-6);
  e = fm_blocks_estimate (three, 3);
  g_assert_cmpfloat_with_epsilon (e.high - e.mean, 4.302653 * 0.1 / sqrt (3), 1e-6); /* 2 degrees of freedom */
  e = fm_blocks_estimate (three, 1);
  g_assert_true (isnan (e.low));
  g_assert_cmpfloat (e.mean, ==, 0.1);
}

/* --- How often is it wrong? ---------------------------------------------------------------------------------------*/

#define SESSIONS 2000
#define MOST_FALSE 123  /* as in test-calibration.c: 5 % of 2,000 and 2.36 standard deviations */
#define LEAST_FALSE 60
#define MARGIN 0.05

static gdouble
draw_normal (GRand *rand)
{
  gdouble u = 1 - g_rand_double (rand), v = g_rand_double (rand);

  return sqrt (-2 * log (u)) * cos (2 * G_PI * v);
}

typedef struct
{
  guint misses, better, equal, worse, blocks, unstable;
} Count;

/* Sessions of two variants as the runner holds them: blocks until the interval is narrow, at most FM_BLOCKS_MOST. A
 * process is off by @spread (a share), a block by far more, which both variants share; @rough: in one process of ten by
 * five times as much. */
static Count
simulate (GRand *rand, gdouble ratio, gdouble spread, gboolean rough)
{
  Count count = { 0 };

  for (guint session = 0; session < SESSIONS; session++)
    {
      gdouble values[2 * FM_BLOCKS_MOST], differences[FM_BLOCKS_MOST], packed[2 * FM_BLOCKS_MOST];
      FmComparison c = { .verdict = FM_VERDICT_NONE };
      FmJudging judging = { log1p (MARGIN), FM_ALPHA, FALSE, FALSE };
      FmEstimate e = FM_ESTIMATE_NONE;
      FmSpread s;
      guint n;

      for (n = 0; n < FM_BLOCKS_MOST; n++)
        {
          gdouble machine = 0.3 * draw_normal (rand);

          for (guint v = 0; v < 2; v++)
            {
              gdouble off = spread / G_SQRT2 * draw_normal (rand);

              if (rough && g_rand_double (rand) < 0.1)
                off *= 5;
              values[v * FM_BLOCKS_MOST + n] = log (400) + machine + off + (v == 0 ? log (ratio) : 0);
            }
          differences[n] = values[n] - values[FM_BLOCKS_MOST + n];
          e = fm_blocks_estimate (differences, n + 1);
          if (n + 1 >= FM_BLOCKS_LEAST && e.high - e.low <= judging.margin)
            {
              n++;
              break;
            }
        }
      for (guint i = 0; i < n; i++)
        {
          packed[i] = values[i];
          packed[n + i] = values[FM_BLOCKS_MOST + i];
        }
      s = fm_blocks_compare (packed, n, &c, judging.margin);
      g_assert_cmpfloat_with_epsilon (c.difference.low, e.low, 1e-12);
      count.unstable += e.high - e.low > judging.margin;
      count.misses += log (ratio) < e.low || log (ratio) > e.high;
      fm_comparisons_judge (&c, &s, 1, &judging);
      count.better += c.verdict == FM_VERDICT_BETTER;
      count.equal += c.verdict == FM_VERDICT_EQUAL;
      count.worse += c.verdict == FM_VERDICT_WORSE;
      count.blocks += n;
    }
  return count;
}

static void
test_calibration (void)
{
  static const gdouble spreads[] = { 0.003, 0.01, 0.02, 0.03, 0.04, 0.06, 0.1 };
  g_autoptr (GRand) rand = g_rand_new_with_seed (5);
  Count count;

  for (guint i = 0; i < G_N_ELEMENTS (spreads); i++)
    for (guint rough = 0; rough < 2; rough++)
      {
        count = simulate (rand, 1, spreads[i], rough);
        g_test_message ("spread %.1f %%%s: %u of %d intervals without the truth, %.1f blocks, %u unstable, %u equal, %u false",
                        100 * spreads[i], rough ? ", rough" : "", count.misses, SESSIONS,
                        (gdouble) count.blocks / SESSIONS, count.unstable, count.equal, count.better + count.worse);
        g_assert_cmpuint (count.misses, <=, MOST_FALSE);
        if (!rough && spreads[i] <= 0.02)
          g_assert_cmpuint (count.misses, >=, LEAST_FALSE);
        g_assert_cmpuint (count.better + count.worse, <=, MOST_FALSE);
        if (spreads[i] <= 0.02 && !rough)
          g_assert_cmpuint (count.equal, >=, SESSIONS * 8 / 10);
        /* A spread that no ten blocks average out is said, not hidden. */
        if (spreads[i] >= 0.06)
          g_assert_cmpuint (count.unstable, >=, SESSIONS * 8 / 10);
      }
  /* At the margin itself "equal" is the mistake. */
  for (guint i = 0; i < G_N_ELEMENTS (spreads); i++)
    {
      count = simulate (rand, 1 + MARGIN, spreads[i], FALSE);
      g_test_message ("at the margin, spread %.1f %%: %u equal", 100 * spreads[i], count.equal);
      g_assert_cmpuint (count.equal, <=, MOST_FALSE);
    }
  /* Tenth slower: found. */
  count = simulate (rand, 1.1, 0.03, FALSE);
  g_assert_cmpuint (count.worse, >=, SESSIONS * 9 / 10);
  g_assert_cmpuint (count.better, ==, 0);
}

/* --- In a store ---------------------------------------------------------------------------------------------------*/

/* What a session left of one stage: in block b the median is @log_us[b]. */
static void
add_measured (FmStore *store, const char *id, const char *session, const gdouble *us, guint n, gint64 bytes,
              gint64 more_bytes, gboolean unstable)
{
  g_autoptr (FmStageResult) result = fm_stage_result_new (FM_STAGE_DONE);

  for (guint i = 0; i < n; i++)
    {
      FmProcessRow *process = fm_stage_result_add_process (result, i, session, i);

      process->measured_peak_bytes = bytes + i * more_bytes;
      for (gint k = -1; k <= 1; k++)
        fm_stage_result_add_latency (result, i, "batch1", 1, us[i] * (1 + 0.1 * k));
    }
  fm_stage_result_add_memory (result, "peak", bytes, bytes + n * more_bytes);
  fm_stage_result_add_metric (result, NULL, NULL, NULL, "unstable", unstable);
  finish (store, id, result);
}

static FmResultsTable *
load_table (FmStore *store, gint64 batch)
{
  g_autoptr (GError) error = NULL;
  FmResultsTable *table = fm_results_table_load (store, batch, &error);

  g_assert_no_error (error);
  return table;
}

static gint64
add_trained (FmStore *store, guint seeds)
{
  gint64 batch = add_batch (store, "first", seeds);

  for (guint v = 0; v < 2; v++)
    for (guint s = 0; s < seeds; s++)
      {
        g_autoptr (FmStageResult) train = train_result (3);
        g_autofree char *id = g_strdup_printf ("train-%u-%u", v, s);

        g_ptr_array_set_size (train->artifacts, 0);
        finish (store, id, train);
      }
  return batch;
}

/* The machine doubles its pace from block to block: only pairing by block sees that the ratio is 1.2 each time. */
static void
test_paired (Fixture *f, gconstpointer data)
{
  const gdouble base[] = { 100, 200, 400, 800, 1600 }, slower[] = { 121, 240, 479, 962, 1918 };
  gint64 batch = add_trained (f->store, 1);
  g_autoptr (FmResultsTable) table = NULL;
  g_autofree char *text = NULL, *memory = NULL, *whole = NULL;
  const FmVariantResult *r;

  add_measured (f->store, "measure-0-0", "one", base, 5, 8000000, 0, FALSE);
  add_measured (f->store, "measure-1-0", "one", slower, 5, 8000000, 0, TRUE);
  table = load_table (f->store, batch);
  r = fm_results_row_get (fm_results_table_get_row (table, 1));
  g_assert_cmpint (r->latency_verdict, ==, FM_VERDICT_WORSE);
  g_assert_cmpfloat_with_epsilon (r->latency_ratio, 1.2, 0.005);
  g_assert_cmpfloat (r->latency_ratio_low, >, 1.18);
  g_assert_cmpfloat (r->latency_ratio_high, <, 1.22);
  g_assert_cmpuint (r->paired_blocks, ==, 5);
  g_assert_cmpuint (r->latency_blocks, ==, 5);
  g_assert_true (r->unstable);
  g_assert_false (fm_results_row_get (fm_results_table_get_row (table, 0))->unstable);
  text = fm_results_row_latency_text (fm_results_table_get_row (table, 1));
  g_assert_cmpstr (text, ==, "1.20× [1.20, 1.21] worse, unstable");
  memory = fm_results_row_memory_text (fm_results_table_get_row (table, 1));
  g_assert_cmpstr (memory, ==, "1.00× to the byte equal");
  whole = fm_results_table_to_text (table, 0);
  g_assert_nonnull (strstr (whole, "1.20× [1.20, 1.21] worse, unstable"));
  g_assert_nonnull (strstr (whole, "Unstable:"));
  g_assert_nonnull (strstr (whole, "5 fresh processes a variant"));
}

/* Seeds that were measured in one block are averaged in it: the block stays the unit. */
static void
test_seeds (Fixture *f, gconstpointer data)
{
  const gdouble base[] = { 100, 200, 400, 800, 1600 }, first[] = { 80, 160, 320, 640, 1280 },
                second[] = { 125, 250, 500, 1000, 2000 };
  gint64 batch = add_trained (f->store, 2);
  g_autoptr (FmResultsTable) table = NULL;
  const FmVariantResult *r;

  add_measured (f->store, "measure-0-0", "one", base, 5, 8000000, 4096, FALSE);
  add_measured (f->store, "measure-0-1", "one", base, 5, 8000000, 4096, FALSE);
  add_measured (f->store, "measure-1-0", "one", first, 5, 9000000, 8192, FALSE);
  add_measured (f->store, "measure-1-1", "one", second, 5, 9000000, 8192, FALSE);
  table = load_table (f->store, batch);
  r = fm_results_row_get (fm_results_table_get_row (table, 1));
  g_assert_cmpuint (r->paired_blocks, ==, 5);
  g_assert_cmpfloat_with_epsilon (r->latency_ratio, 1, 1e-9); /* 0.8 and 1.25 */
  g_assert_cmpint (r->latency_verdict, ==, FM_VERDICT_EQUAL);
  g_assert_cmpint (r->memory_verdict, ==, FM_VERDICT_WORSE);
  g_assert_cmpfloat_with_epsilon (r->memory_ratio, 1.125, 0.005);
}

/* Measured on different days, or by a program that knew no blocks: a ratio, and no verdict on it. */
static void
test_unpaired (Fixture *f, gconstpointer data)
{
  const gdouble base[] = { 100, 101, 99, 100, 100 }, slower[] = { 300, 301, 299, 300, 300 };
  gint64 batch = add_trained (f->store, 1);
  g_autoptr (FmResultsTable) table = NULL, later = NULL;
  g_autofree char *text = NULL;
  const FmVariantResult *r;

  add_measured (f->store, "measure-0-0", "one", base, 5, 8000000, 0, FALSE);
  add_measured (f->store, "measure-1-0", "two", slower, 5, 8000000, 0, FALSE);
  table = load_table (f->store, batch);
  r = fm_results_row_get (fm_results_table_get_row (table, 1));
  g_assert_cmpint (r->latency_verdict, ==, FM_VERDICT_UNDECIDED);
  g_assert_cmpfloat_with_epsilon (r->latency_ratio, 3, 1e-9);
  g_assert_true (isnan (r->latency_ratio_low));
  text = fm_results_row_latency_text (fm_results_table_get_row (table, 1));
  g_assert_cmpstr (text, ==, "3.00× undecided, no two blocks shared");

  sql_do (f->path, "DELETE FROM measure_process");
  later = load_table (f->store, batch);
  r = fm_results_row_get (fm_results_table_get_row (later, 1));
  g_assert_cmpint (r->latency_verdict, ==, FM_VERDICT_UNDECIDED);
}

/* Blocks that say different things decide nothing, and how many would is said. */
static void
test_undecided (Fixture *f, gconstpointer data)
{
  const gdouble base[] = { 100, 100, 100, 100, 100, 100, 100, 100, 100, 100 };
  const gdouble other[] = { 92, 109, 95, 112, 108, 90, 111, 107, 99, 108 };
  gint64 batch = add_trained (f->store, 1);
  g_autoptr (FmResultsTable) table = NULL;
  g_autofree char *text = NULL;
  const FmVariantResult *r;

  add_measured (f->store, "measure-0-0", "one", base, 10, 8000000, 0, FALSE);
  add_measured (f->store, "measure-1-0", "one", other, 10, 8000000, 0, TRUE);
  table = load_table (f->store, batch);
  r = fm_results_row_get (fm_results_table_get_row (table, 1));
  g_assert_cmpint (r->latency_verdict, ==, FM_VERDICT_UNDECIDED);
  g_assert_cmpuint (r->more_blocks, >, FM_BLOCKS_MOST);
  text = fm_results_row_latency_text (fm_results_table_get_row (table, 1));
  g_assert_nonnull (strstr (text, " undecided, "));
  g_assert_nonnull (strstr (text, "blocks, unstable"));
}

/* A variant with a seed that diverged is FAIL, however fast its other seed is. */
static void
test_diverged (Fixture *f, gconstpointer data)
{
  const gdouble base[] = { 100, 101, 99, 100, 100 }, faster[] = { 30, 30.1, 29.9, 30, 30 };
  gint64 batch = add_batch (f->store, "first", 2);
  g_autoptr (FmResultsTable) table = NULL;
  const FmVariantResult *r;

  for (guint v = 0; v < 2; v++)
    for (guint s = 0; s < 2; s++)
      {
        g_autoptr (FmStageResult) train = train_result (3);
        g_autofree char *id = g_strdup_printf ("train-%u-%u", v, s);

        if (v == 1 && s == 1)
          train->state = FM_STAGE_DIVERGED;
        finish (f->store, id, train);
      }
  add_measured (f->store, "measure-0-0", "one", base, 5, 8000000, 0, FALSE);
  add_measured (f->store, "measure-0-1", "one", base, 5, 8000000, 0, FALSE);
  add_measured (f->store, "measure-1-0", "one", faster, 5, 8000000, 0, FALSE);
  table = load_table (f->store, batch);
  r = fm_results_row_get (fm_results_table_get_row (table, 1));
  g_assert_cmpint (r->verdict, ==, FM_VERDICT_FAIL);
  g_assert_cmpint (r->latency_verdict, ==, FM_VERDICT_NONE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/app/blocks/settled", test_settled);
  g_test_add_func ("/app/blocks/interval", test_interval);
  g_test_add_func ("/app/blocks/calibration", test_calibration);
  add_test ("/app/blocks/paired", test_paired);
  add_test ("/app/blocks/seeds", test_seeds);
  add_test ("/app/blocks/unpaired", test_unpaired);
  add_test ("/app/blocks/undecided", test_undecided);
  add_test ("/app/blocks/diverged", test_diverged);
  return g_test_run ();
}
