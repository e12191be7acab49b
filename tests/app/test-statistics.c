/* Statistics against published tables and against examples worked by hand. */
#include <math.h>

#include "app/results/resampling.h"

static void
near (gdouble got, gdouble want, gdouble tolerance)
{
  if (!(fabs (got - want) <= tolerance))
    g_error ("got %.12g, expected %.12g within %g", got, want, tolerance);
}

/* NIST/SEMATECH e-Handbook of Statistical Methods, section 1.3.6.7.2, upper critical values of Student's t: three
 * decimals, so half of the last one is the tolerance. Columns: 0.90 0.95 0.975 0.99 0.995 0.999. */
static void
test_t_table (void)
{
  static const gdouble p[] = { 0.90, 0.95, 0.975, 0.99, 0.995, 0.999 };
  static const struct
  {
    int     df;
    gdouble t[6];
  } rows[] = {
    { 1, { 3.078, 6.314, 12.706, 31.821, 63.657, 318.309 } }, { 2, { 1.886, 2.920, 4.303, 6.965, 9.925, 22.327 } },
    { 3, { 1.638, 2.353, 3.182, 4.541, 5.841, 10.215 } },     { 4, { 1.533, 2.132, 2.776, 3.747, 4.604, 7.173 } },
    { 5, { 1.476, 2.015, 2.571, 3.365, 4.032, 5.893 } },      { 9, { 1.383, 1.833, 2.262, 2.821, 3.250, 4.297 } },
    { 30, { 1.310, 1.697, 2.042, 2.457, 2.750, 3.385 } },     { 100, { 1.290, 1.660, 1.984, 2.364, 2.626, 3.174 } },
  };

  for (gsize r = 0; r < G_N_ELEMENTS (rows); r++)
    for (gsize c = 0; c < G_N_ELEMENTS (p); c++)
      {
        near (fm_t_quantile (p[c], rows[r].df), rows[r].t[c], 0.00051);
        near (fm_t_quantile (1 - p[c], rows[r].df), -rows[r].t[c], 0.00051);
        near (fm_t_cdf (fm_t_quantile (p[c], rows[r].df), rows[r].df), p[c], 1e-12);
      }
  near (fm_t_quantile (0.975, 1e6), 1.959966, 2e-5); /* the normal distribution's 1.959964, plus its 1/df term */
}

/* Closed forms: df = 1 is Cauchy's distribution, df = 2 has an elementary cdf. */
static void
test_t_closed_forms (void)
{
  for (gdouble t = -40; t <= 40; t += 0.7)
    {
      near (fm_t_cdf (t, 1), 0.5 + atan (t) / G_PI, 1e-13);
      near (fm_t_cdf (t, 2), 0.5 + t / (2 * sqrt (2 + t * t)), 1e-13);
    }
  near (fm_t_quantile (0.975, 1), tan (G_PI * 0.475), 1e-9);
  near (fm_t_quantile (0.975, 2), 0.95 * sqrt (2 / (1 - 0.95 * 0.95)), 1e-9);
  near (fm_t_cdf (INFINITY, 3), 1, 0);
  near (fm_t_cdf (-INFINITY, 3), 0, 0);
  near (fm_t_quantile (0.5, 7), 0, 0);
}

static void
test_estimate (void)
{
  const gdouble values[] = { 0.845, 0.839, 0.851 }, one[] = { 0.7 }, gaps[] = { NAN, 1, INFINITY, 3 };
  FmEstimate e = fm_estimate (values, 3, 0.95);

  g_assert_cmpuint (e.n, ==, 3);
  near (e.mean, 0.845, 1e-15);
  near (e.sd, 0.006, 1e-12);
  near (e.high - e.mean, 4.302653 * 0.006 / sqrt (3), 1e-8);
  near (e.mean - e.low, e.high - e.mean, 1e-15);

  e = fm_estimate (one, 1, 0.95);
  g_assert_cmpuint (e.n, ==, 1);
  near (e.mean, 0.7, 0);
  g_assert_true (isnan (e.low) && isnan (e.high) && isnan (e.sd));

  e = fm_estimate (gaps, 4, 0.95);
  g_assert_cmpuint (e.n, ==, 2);
  near (e.mean, 2, 0);

  e = fm_estimate (NULL, 0, 0.95);
  g_assert_cmpuint (e.n, ==, 0);
  g_assert_true (isnan (e.mean));
}

static void
test_quantile (void)
{
  const gdouble values[] = { 4, 1, 3, 2, NAN };
  gdouble hundred[101];

  near (fm_quantile (values, 5, 0.5), 2.5, 0);
  near (fm_quantile (values, 5, 0.25), 1.75, 1e-15); /* type 7 */
  near (fm_quantile (values, 5, 0), 1, 0);
  near (fm_quantile (values, 5, 1), 4, 0);
  for (int i = 0; i <= 100; i++)
    hundred[i] = (i * 37) % 101;
  near (fm_quantile (hundred, 101, 0.95), 95, 1e-12);
  g_assert_true (isnan (fm_quantile (values, 0, 0.5)));
  near (fm_quantile (values, 1, 0.95), 4, 0);
}

static void
test_holm (void)
{
  /* Holm 1979 on four p values: 4 x 0.005, 3 x 0.01, 2 x 0.03, then the running maximum. */
  gdouble p[] = { 0.01, NAN, 0.04, 0.03, 0.005 };

  fm_holm_adjust (p, 5);
  near (p[4], 0.02, 1e-15);
  near (p[0], 0.03, 1e-15);
  near (p[3], 0.06, 1e-15);
  near (p[2], 0.06, 1e-15);
  g_assert_true (isnan (p[1]));
}

/* --- Comparisons --------------------------------------------------------------------------------------------------*/

static const FmJudging accuracy = { 0.01, 0.05, TRUE, FALSE };

/* Row 0 is the reference of all others. */
static FmSpread
compare_all (const gdouble *values, gsize n_variants, gsize n_seeds, FmComparison *list)
{
  for (gsize v = 1; v < n_variants; v++)
    list[v - 1] = (FmComparison) { .variant = v };
  return fm_comparisons_estimate (values, n_variants, n_seeds, list, n_variants - 1, 0.01, 0.05);
}

static void
judge_all (FmComparison *list, gsize n, const FmSpread *spread, const FmJudging *how)
{
  g_autofree FmSpread *spreads = g_new (FmSpread, n + 1);

  for (gsize i = 0; i < n; i++)
    spreads[i] = *spread;
  fm_comparisons_judge (list, spreads, n, how);
}

/* Two variants: the layout is the paired t test, whatever their variances. */
static void
test_two_variants (void)
{
  const gdouble values[] = { 0.80, 0.84, 0.88, 0.83, 0.87, 0.92 }, holes[] = { 0.80, 0.84, 0.88, 0.83, NAN, NAN };
  FmComparison c;
  FmSpread spread = compare_all (values, 2, 3, &c);

  /* Differences 0.03 0.03 0.04: mean 1/30, sd 0.0057735, t = 10, df 2: p = 1 - 10 / sqrt (102). */
  g_assert_false (spread.paired);
  g_assert_true (isnan (spread.spread_p));
  near (c.difference.mean, 0.1 / 3, 1e-12);
  near (c.difference.sd, 0.01 / sqrt (3), 1e-12);
  near (c.df, 2, 0);
  near (c.p_differs, 1 - 10 / sqrt (102), 1e-9);
  near (c.p_equal, 0.5 + 7 / (2 * sqrt (2 + 49)), 1e-9); /* t of the nearer edge: (1/30 - 0.01) / (1/300) = 7 */

  compare_all (holes, 2, 3, &c);
  g_assert_cmpuint (c.difference.n, ==, 1);
  g_assert_true (isnan (c.p_differs));
}

/* A layout worked by hand: residuals 1 -1 / -1 1 / 0 0 times 0.002 sum to 0.000016 in squares on 2 degrees of freedom. */
static void
test_pooled (void)
{
  const gdouble values[] = { 0.802, 0.818, 0.808, 0.832, 0.900, 0.920 };
  FmComparison list[2];
  FmSpread spread = compare_all (values, 3, 2, list);

  g_assert_cmpuint (spread.variants, ==, 3);
  g_assert_cmpuint (spread.seeds, ==, 2);
  g_assert_cmpuint (spread.df, ==, 2);
  near (spread.sd, sqrt (0.000016 / 2), 1e-12);
  near (list[0].difference.mean, 0.01, 1e-12);
  near (list[1].error, sqrt (0.000008 * 2 / 2), 1e-12);
  near (list[1].df, 2, 0);
}

/* A missing cell takes its variant's other seeds along: the seeds' own effects are not mistaken for the variant's. */
static void
test_missing_cell (void)
{
  /* Seed 2 is worth 0.1 to everybody; variant 2 has lost it. Plain means would put it 0.033 behind. */
  const gdouble values[] = { 0.80, 0.81, 0.90, 0.82, 0.83, 0.92, 0.80, 0.81, NAN };
  FmComparison list[2];

  compare_all (values, 3, 3, list);
  near (list[0].difference.mean, 0.02, 1e-12);
  near (list[1].difference.mean, 0, 1e-12);
  g_assert_cmpuint (list[1].difference.n, ==, 2);
}

/* Two halves that share no seed say nothing of each other. */
static void
test_disconnected (void)
{
  const gdouble values[] = { 0.80, 0.81, NAN, NAN, NAN, NAN, 0.82, 0.83, NAN, NAN, 0.85, 0.87 };
  FmComparison list[2];
  FmSpread spread = compare_all (values, 3, 4, list);

  g_assert_cmpuint (spread.df, ==, 6 - 3 - 4 + 2);
  g_assert_true (isnan (list[0].p_differs) && isnan (list[1].p_differs));
  judge_all (list, 2, &spread, &accuracy);
  g_assert_cmpint (list[0].verdict, ==, FM_VERDICT_UNDECIDED);
}

/* One variant of a noisy kind among calm ones: nothing is pooled, and its noise is nobody's help. */
static void
test_spread (void)
{
  const gdouble values[] = { 0.800, 0.801, 0.802, 0.801, 0.800, 0.810, 0.812, 0.811, 0.811, 0.810,
                             0.700, 0.900, 0.780, 0.850, 0.810, 0.805, 0.806, 0.806, 0.807, 0.804 };
  FmComparison list[3];
  FmSpread spread = compare_all (values, 4, 5, list);

  g_assert_true (spread.paired);
  g_assert_cmpfloat (spread.spread_p, <, 1e-3);
  near (list[0].df, 4, 0);
  judge_all (list, 3, &spread, &accuracy);
  g_assert_cmpint (list[0].verdict, ==, FM_VERDICT_BETTER); /* about 0.010 with a spread of 0.0008 */
  g_assert_cmpint (list[1].verdict, ==, FM_VERDICT_UNDECIDED);
  g_assert_cmpint (list[2].verdict, ==, FM_VERDICT_EQUAL);
}

static void
judge_one (const gdouble *differences, FmVerdict want, gboolean larger)
{
  const gdouble values[6] = { 0, 0, 0, differences[0], differences[1], differences[2] };
  FmComparison c;
  FmSpread spread = compare_all (values, 2, 3, &c);
  FmJudging how = { 0.01, 0.05, larger, FALSE };

  judge_all (&c, 1, &spread, &how);
  g_assert_cmpstr (fm_verdict_word (c.verdict), ==, fm_verdict_word (want));
}

static void
test_verdicts (void)
{
  judge_one ((gdouble[]) { 0.030, 0.031, 0.032 }, FM_VERDICT_BETTER, TRUE);
  judge_one ((gdouble[]) { -0.030, -0.031, -0.032 }, FM_VERDICT_WORSE, TRUE);
  judge_one ((gdouble[]) { -0.030, -0.031, -0.032 }, FM_VERDICT_BETTER, FALSE);
  judge_one ((gdouble[]) { 0.001, -0.001, 0.000 }, FM_VERDICT_EQUAL, TRUE);
  judge_one ((gdouble[]) { 0.0030, 0.0031, 0.0032 }, FM_VERDICT_EQUAL, TRUE); /* certain but below the margin */
  judge_one ((gdouble[]) { 0.02, -0.01, 0.01 }, FM_VERDICT_UNDECIDED, TRUE);
  judge_one ((gdouble[]) { 0.02, NAN, NAN }, FM_VERDICT_UNDECIDED, TRUE);
  judge_one ((gdouble[]) { 0, 0, 0 }, FM_VERDICT_EQUAL, TRUE);
  judge_one ((gdouble[]) { 0.5, 0.5, 0.5 }, FM_VERDICT_BETTER, TRUE);
}

/* The edges of the rule: mean 0.004, sd 0.002, three seeds: error 0.0011547, t (0.95, 2) = 2.919986, so the 90 % interval
 * ends at 0.0073717 and a margin just above that is the smallest that reads equal. 95 % would end at 0.0089682. */
static void
test_equal_edge (void)
{
  const gdouble values[] = { 0, 0, 0, 0.002, 0.004, 0.006 };

  for (int wide = 0; wide < 2; wide++)
    {
      FmJudging how = { wide ? 0.00738 : 0.00736, 0.05, TRUE, FALSE };
      FmComparison c = { .variant = 1 };
      FmSpread spread = fm_comparisons_estimate (values, 2, 3, &c, 1, how.margin, 0.05);

      near (c.equal_high, 0.004 + 2.919986 * 0.002 / sqrt (3), 1e-8);
      near (c.difference.high, 0.004 + 4.302653 * 0.002 / sqrt (3), 1e-8);
      judge_all (&c, 1, &spread, &how);
      g_assert_cmpint (c.verdict, ==, wide ? FM_VERDICT_EQUAL : FM_VERDICT_UNDECIDED);
    }
}

/* Holm step by step: with p of 0.012, 0.02 and 0.3 the first is tested at 0.05/3, the second at 0.05/2, the third at
 * 0.05; and the interval of each leaves out zero exactly when its step rejects. */
static void
test_holm_steps (void)
{
  const gdouble p[] = { 0.02, 0.3, 0.012 }, levels[] = { 0.05 / 2, 0.05, 0.05 / 3 };
  const FmVerdict want[] = { FM_VERDICT_BETTER, FM_VERDICT_UNDECIDED, FM_VERDICT_BETTER };
  FmComparison list[3] = { { 0 } };
  FmSpread spread = { .variants = 4, .seeds = 3, .df = 6, .sd = 0.01 };

  for (int i = 0; i < 3; i++)
    {
      gdouble error = 0.01 * sqrt (2.0 / 3);

      list[i] = (FmComparison) { .error = error, .df = 6, .p_differs = p[i], .p_equal = 1 };
      list[i].difference = (FmEstimate) { 3, fm_t_quantile (1 - p[i] / 2, 6) * error, 0.01 * G_SQRT2, NAN, NAN };
    }
  judge_all (list, 3, &spread, &accuracy);
  for (int i = 0; i < 3; i++)
    {
      g_assert_cmpint (list[i].verdict, ==, want[i]);
      near (list[i].difference.mean - list[i].difference.low, fm_t_quantile (1 - levels[i] / 2, 6) * list[i].error, 1e-9);
      g_assert_cmpint (list[i].difference.low > 0, ==, want[i] == FM_VERDICT_BETTER);
    }
  near (list[0].p_adjusted, 0.04, 1e-12);
  near (list[2].p_adjusted, 0.036, 1e-12);
}

/* What cannot be tested belongs to the family all the same: the batch named it. */
static void
test_family (void)
{
  const gdouble values[] = { 0, 0, 0, 0.029, 0.034, 0.039 };
  FmComparison list[11];
  FmSpread spread;

  spread = compare_all (values, 2, 3, list);
  judge_all (list, 1, &spread, &accuracy);
  g_assert_cmpint (list[0].verdict, ==, FM_VERDICT_BETTER);

  spread = compare_all (values, 2, 3, list);
  for (int i = 1; i < 11; i++)
    list[i] = (FmComparison) { .p_differs = NAN, .verdict = i == 10 ? FM_VERDICT_FAIL : FM_VERDICT_NONE };
  judge_all (list, 11, &spread, &accuracy);
  g_assert_cmpint (list[0].verdict, ==, FM_VERDICT_UNDECIDED);
  g_assert_cmpint (list[10].verdict, ==, FM_VERDICT_FAIL);
  g_assert_cmpint (list[5].verdict, ==, FM_VERDICT_UNDECIDED);
}

/* Each of several announced looks tests at its share. */
static void
test_looks (void)
{
  const gdouble values[] = { 0, 0, 0, 0.015, 0.022, 0.029 }; /* t = 5.44, df 2: p = 0.032 */
  FmJudging third = { 0.01, 0.05 / 3, TRUE, TRUE };
  FmComparison c = { .variant = 1 };
  FmSpread spread = fm_comparisons_estimate (values, 2, 3, &c, 1, 0.01, 0.05);

  judge_all (&c, 1, &spread, &accuracy);
  g_assert_cmpint (c.verdict, ==, FM_VERDICT_BETTER);
  c = (FmComparison) { .variant = 1 };
  spread = fm_comparisons_estimate (values, 2, 3, &c, 1, 0.01, third.alpha);
  near (c.equal_high - c.difference.mean, fm_t_quantile (1 - 0.05 / 3, 2) * c.error, 1e-9);
  judge_all (&c, 1, &spread, &third);
  g_assert_cmpint (c.verdict, ==, FM_VERDICT_UNDECIDED);
  g_assert_cmpuint (c.more_seeds, >, 0);
}

/* No word prefers a variant for the seeds that it lost. */
static void
test_failed_seed (void)
{
  const gdouble better[] = { 0, 0, 0, 0, 0.030, 0.031, 0.032, NAN };
  FmComparison c = { .variant = 1, .variant_failed = TRUE };
  FmSpread spread = fm_comparisons_estimate (better, 2, 4, &c, 1, 0.01, 0.05);

  judge_all (&c, 1, &spread, &accuracy);
  g_assert_cmpint (c.verdict, ==, FM_VERDICT_UNDECIDED);
  c = (FmComparison) { .variant = 0, .reference = 1, .variant_failed = TRUE };
  spread = fm_comparisons_estimate (better, 2, 4, &c, 1, 0.01, 0.05);
  judge_all (&c, 1, &spread, &accuracy);
  g_assert_cmpint (c.verdict, ==, FM_VERDICT_WORSE);
  c = (FmComparison) { .variant = 0, .reference = 1, .reference_failed = TRUE };
  spread = fm_comparisons_estimate (better, 2, 4, &c, 1, 0.01, 0.05);
  judge_all (&c, 1, &spread, &accuracy);
  g_assert_cmpint (c.verdict, ==, FM_VERDICT_UNDECIDED);
}

/* The number of seeds that the sentence names is the smallest with 80 % power, new ones alone. A difference of 0.02 with
 * sd 0.02 of one difference, paired: power.t.test (delta = 0.02, sd = 0.02, power = 0.8, type = "paired") in R gives
 * n = 9.94, so 10; announced looks add to the three that are there. */
static void
test_more_seeds (void)
{
  const gdouble values[] = { 0, 0, 0, 0.00, 0.02, 0.04 };
  FmJudging adds = { 0.01, 0.05, TRUE, TRUE };
  FmComparison c;
  FmSpread spread = compare_all (values, 2, 3, &c);

  near (c.difference.sd, 0.02, 1e-12);
  judge_all (&c, 1, &spread, &accuracy);
  g_assert_cmpint (c.verdict, ==, FM_VERDICT_UNDECIDED);
  g_assert_cmpuint (c.more_seeds, ==, 10);
  spread = compare_all (values, 2, 3, &c);
  judge_all (&c, 1, &spread, &adds);
  g_assert_cmpuint (c.more_seeds, ==, 7);
}

/* --- Metrics over outcomes ----------------------------------------------------------------------------------------*/

static void
test_metrics (void)
{
  const gdouble answers[] = { 3, 4, 0, 1, 1, 1 }, nats[] = { 2, 4, 1, 1, 3, 3 };
  const gdouble counts[] = { 3, 1, 0, 1, 0, 2, 2, 1, 1 }, scores[] = { 0.1, 0, 0.4, 1, 0.4, 0, 0.9, 1, 0.2, 0 };
  const gdouble classes[] = { 0, 0, 1, 0, 0, 0, 1, 1, 2, 1, 2, 2, -1, 4 }, odd[] = { NAN, 1, 1e300, 1 };
  const guint32 twice[] = { 2, 1, 1 }, none[] = { 0, 0, 0, 0, 0 }, without[] = { 1, 0, 1, 1, 1, 1 };

  near (fm_metric_compute (FM_METRIC_ACCURACY, (FmUnits) { 3, answers }, NULL), 4.0 / 6, 1e-15);
  near (fm_metric_compute (FM_METRIC_ACCURACY, (FmUnits) { 3, answers }, twice), 7.0 / 10, 1e-15);
  near (fm_metric_compute (FM_METRIC_LOSS_NATS, (FmUnits) { 3, nats }, NULL), 6.0 / 8, 1e-15);
  near (fm_metric_compute (FM_METRIC_BITS_PER_BYTE, (FmUnits) { 3, nats }, NULL), 6.0 / 8 / log (2), 1e-15);
  near (fm_metric_compute (FM_METRIC_F1, (FmUnits) { 3, counts }, NULL), 2 * 6.0 / (2 * 6 + 2 + 3), 1e-15);
  /* Pairs: 0.4 beats 0.1 and 0.2 and ties with 0.4; 0.9 beats all three: 5.5 of 6. */
  near (fm_metric_compute (FM_METRIC_AUC, (FmUnits) { 5, scores }, NULL), 5.5 / 6, 1e-15);
  g_assert_true (isnan (fm_metric_compute (FM_METRIC_AUC, (FmUnits) { 5, scores }, none)));
  /* F1 of the classes: 2*2/5, 2*1/4, 2*1/3; the second unit left out: 1, 2/3, 2/3; class 4 asked once, never answered. */
  near (fm_metric_compute (FM_METRIC_MACRO_F1, (FmUnits) { 6, classes }, NULL), (0.8 + 0.5 + 2.0 / 3) / 3, 1e-15);
  near (fm_metric_compute (FM_METRIC_MACRO_F1, (FmUnits) { 6, classes }, without), (1 + 2.0 / 3 + 2.0 / 3) / 3, 1e-15);
  near (fm_metric_compute (FM_METRIC_MACRO_F1, (FmUnits) { 7, classes }, NULL), (0.8 + 0.5 + 2.0 / 3 + 0) / 4, 1e-15);
  near (fm_metric_compute (FM_METRIC_MACRO_F1, (FmUnits) { 2, odd }, NULL), 0, 1e-15);
  g_assert_true (isnan (fm_metric_compute (FM_METRIC_MACRO_F1, (FmUnits) { 5, classes }, none)));
  g_assert_true (isnan (fm_metric_compute (FM_METRIC_ACCURACY, (FmUnits) { 3, answers }, none)));
}

/* Pairs matter: two models that fail on the same units differ for certain where unpaired draws would not say so. The
 * resamples repeat, and AUC, which is sorted once, agrees with sorting each resample anew. */
static void
test_bootstrap (void)
{
  enum { N = 200 };
  gdouble first[2 * N], second[2 * N], scores[2 * N], better[2 * N];
  FmEstimate e, again;

  for (int i = 0; i < N; i++)
    {
      first[2 * i] = i % 2;
      second[2 * i] = i % 2 || i % 20 == 0;
      first[2 * i + 1] = second[2 * i + 1] = 1;
      scores[2 * i] = (i * 7) % 13, better[2 * i] = (i * 7) % 13 + 3 * (i % 2);
      scores[2 * i + 1] = better[2 * i + 1] = i % 2;
    }
  e = fm_bootstrap_paired (FM_METRIC_ACCURACY, (FmUnits) { N, first }, (FmUnits) { N, second }, 2000, 1, 0.05);
  again = fm_bootstrap_paired (FM_METRIC_ACCURACY, (FmUnits) { N, first }, (FmUnits) { N, second }, 2000, 1, 0.05);
  g_assert_cmpmem (&e, sizeof e, &again, sizeof again);
  near (e.mean, 0.05, 1e-12);
  near (e.sd, sqrt (0.05 * 0.95 / N), 0.0010);
  g_assert_cmpfloat (e.low, >, 0.01); /* unpaired the error would be 0.05 and the interval would reach below zero */
  e = fm_bootstrap_paired (FM_METRIC_AUC, (FmUnits) { N, scores }, (FmUnits) { N, better }, 500, 1, 0.05);
  g_assert_cmpfloat (e.low, >, 0);
  near (e.mean, fm_metric_compute (FM_METRIC_AUC, (FmUnits) { N, better }, NULL)
                  - fm_metric_compute (FM_METRIC_AUC, (FmUnits) { N, scores }, NULL), 1e-15);
}

static void
test_ratio (void)
{
  g_assert_cmpint (fm_ratio_verdict (104, 100, 0.05), ==, FM_VERDICT_EQUAL);
  g_assert_cmpint (fm_ratio_verdict (94, 100, 0.05), ==, FM_VERDICT_BETTER);
  g_assert_cmpint (fm_ratio_verdict (106, 100, 0.05), ==, FM_VERDICT_WORSE);
  g_assert_cmpint (fm_ratio_verdict (NAN, 100, 0.05), ==, FM_VERDICT_NONE);
  g_assert_cmpint (fm_ratio_verdict (1, 0, 0.05), ==, FM_VERDICT_NONE);
}

static void
test_columns (void)
{
  const gdouble values[] = { 1, 2, NAN, 3, 4, NAN };
  FmEstimate out[3];

  fm_estimate_columns (values, 2, 3, 0.95, out);
  near (out[0].mean, 2, 0);
  near (out[1].mean, 3, 0);
  g_assert_cmpuint (out[2].n, ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/app/statistics/t-table", test_t_table);
  g_test_add_func ("/app/statistics/t-closed-forms", test_t_closed_forms);
  g_test_add_func ("/app/statistics/estimate", test_estimate);
  g_test_add_func ("/app/statistics/quantile", test_quantile);
  g_test_add_func ("/app/statistics/holm", test_holm);
  g_test_add_func ("/app/statistics/two-variants", test_two_variants);
  g_test_add_func ("/app/statistics/pooled", test_pooled);
  g_test_add_func ("/app/statistics/missing-cell", test_missing_cell);
  g_test_add_func ("/app/statistics/disconnected", test_disconnected);
  g_test_add_func ("/app/statistics/spread", test_spread);
  g_test_add_func ("/app/statistics/verdicts", test_verdicts);
  g_test_add_func ("/app/statistics/equal-edge", test_equal_edge);
  g_test_add_func ("/app/statistics/holm-steps", test_holm_steps);
  g_test_add_func ("/app/statistics/family", test_family);
  g_test_add_func ("/app/statistics/looks", test_looks);
  g_test_add_func ("/app/statistics/failed-seed", test_failed_seed);
  g_test_add_func ("/app/statistics/more-seeds", test_more_seeds);
  g_test_add_func ("/app/statistics/metrics", test_metrics);
  g_test_add_func ("/app/statistics/bootstrap", test_bootstrap);
  g_test_add_func ("/app/statistics/ratio", test_ratio);
  g_test_add_func ("/app/statistics/columns", test_columns);
  return g_test_run ();
}
