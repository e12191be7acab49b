/* Statistics against published tables and against examples worked by hand. */
#include <math.h>

#include "app/results/statistics.h"

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

static void
test_paired (void)
{
  const gdouble baseline[] = { 0.80, 0.84, 0.88 }, variant[] = { 0.83, 0.87, 0.92 }, holes[] = { 0.83, NAN, NAN };
  FmComparison c;

  /* Differences 0.03 0.03 0.04: mean 1/30, sd 0.0057735, t = 10, df 2: p = 1 - 10 / sqrt (102). */
  fm_comparison_init (&c, variant, baseline, 3, 0.01);
  near (c.difference.mean, 0.1 / 3, 1e-12);
  near (c.p_differs, 1 - 10 / sqrt (102), 1e-9);
  near (c.p_equal, 0.5 + 7 / (2 * sqrt (2 + 49)), 1e-9); /* t of the nearer edge: (1/30 - 0.01) / (1/300) = 7 */

  fm_comparison_init (&c, holes, baseline, 3, 0.01);
  g_assert_cmpuint (c.difference.n, ==, 1);
  g_assert_true (isnan (c.p_differs));
}

static void
judge_one (const gdouble *differences, FmVerdict want, gboolean larger)
{
  const gdouble zero[3] = { 0, 0, 0 };
  FmComparison c;

  fm_comparison_init (&c, differences, zero, 3, 0.01);
  fm_comparisons_judge (&c, 1, 0.01, 0.05, larger);
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

/* The same differences that decide alone stay undecided beside nine others: the table pays for its size. */
static void
test_family (void)
{
  const gdouble zero[3] = { 0, 0, 0 }, near_certain[3] = { 0.029, 0.034, 0.039 }, noise[3] = { 0.05, -0.05, 0.03 };
  FmComparison c[11];

  fm_comparison_init (&c[0], near_certain, zero, 3, 0.01);
  fm_comparisons_judge (c, 1, 0.01, 0.05, TRUE);
  g_assert_cmpint (c[0].verdict, ==, FM_VERDICT_BETTER);

  fm_comparison_init (&c[0], near_certain, zero, 3, 0.01);
  for (int i = 1; i < 10; i++)
    fm_comparison_init (&c[i], noise, zero, 3, 0.01);
  fm_comparison_init (&c[10], noise, zero, 3, 0.01);
  c[10].verdict = FM_VERDICT_FAIL;
  fm_comparisons_judge (c, 11, 0.01, 0.05, TRUE);
  g_assert_cmpint (c[0].verdict, ==, FM_VERDICT_UNDECIDED);
  g_assert_cmpuint (c[0].more_seeds, >, 0);
  g_assert_cmpuint (c[0].more_seeds, <, 4);
  g_assert_cmpint (c[10].verdict, ==, FM_VERDICT_FAIL);
}

/* What the words promise: under no difference at all, "better" or "worse" appears in at most 5 % of tables. */
static void
test_error_rate (void)
{
  FmRandom random;
  guint wrong = 0, tables = 2000;

  fm_random_init (&random, 5, 0);
  for (guint t = 0; t < tables; t++)
    {
      FmComparison c[4];
      gboolean claimed = FALSE;

      for (int i = 0; i < 4; i++)
        {
          gdouble baseline[3], variant[3];

          for (int s = 0; s < 3; s++)
            {
              baseline[s] = 0.8 + 0.02 * fm_random_normal (&random);
              variant[s] = 0.8 + 0.02 * fm_random_normal (&random);
            }
          fm_comparison_init (&c[i], variant, baseline, 3, 0.01);
        }
      fm_comparisons_judge (c, 4, 0.01, 0.05, TRUE);
      for (int i = 0; i < 4; i++)
        claimed |= c[i].verdict == FM_VERDICT_BETTER || c[i].verdict == FM_VERDICT_WORSE;
      wrong += claimed;
    }
  /* 5 % of 2000 is 100, standard deviation 10: 140 is four of them. Zero would mean that nothing is ever said. */
  g_assert_cmpuint (wrong, <, 140);
  g_assert_cmpuint (wrong, >, 30);
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
  g_test_add_func ("/app/statistics/paired", test_paired);
  g_test_add_func ("/app/statistics/verdicts", test_verdicts);
  g_test_add_func ("/app/statistics/family", test_family);
  g_test_add_func ("/app/statistics/error-rate", test_error_rate);
  g_test_add_func ("/app/statistics/ratio", test_ratio);
  g_test_add_func ("/app/statistics/columns", test_columns);
  return g_test_run ();
}
