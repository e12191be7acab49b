#include "app/results/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/results/layout.h"

/* Mean and spread without an interval. */
static FmEstimate
describe (const gdouble *values, gsize n)
{
  FmEstimate e = FM_ESTIMATE_NONE;
  gdouble sum = 0, squares = 0;

  for (gsize i = 0; i < n; i++)
    if (isfinite (values[i]))
      {
        e.n++;
        sum += values[i];
      }
  if (e.n == 0)
    return e;
  e.mean = sum / e.n;
  if (e.n < 2)
    return e;
  for (gsize i = 0; i < n; i++)
    if (isfinite (values[i]))
      squares += (values[i] - e.mean) * (values[i] - e.mean);
  e.sd = sqrt (squares / (e.n - 1));
  return e;
}

FmEstimate
fm_estimate (const gdouble *values, gsize n, gdouble confidence)
{
  FmEstimate e = describe (values, n);

  if (e.n > 1)
    {
      gdouble half = fm_t_quantile (0.5 + confidence / 2, e.n - 1) * e.sd / sqrt (e.n);

      e.low = e.mean - half;
      e.high = e.mean + half;
    }
  return e;
}

static int
compare_doubles (const void *a, const void *b)
{
  gdouble x = *(const gdouble *) a, y = *(const gdouble *) b;

  return (x > y) - (x < y);
}

gdouble
fm_quantile (const gdouble *values, gsize n, gdouble q)
{
  g_autofree gdouble *sorted = g_new (gdouble, n + 1);
  gsize count = 0, below;
  gdouble at;

  g_return_val_if_fail (q >= 0 && q <= 1, NAN);
  for (gsize i = 0; i < n; i++)
    if (isfinite (values[i]))
      sorted[count++] = values[i];
  if (count == 0)
    return NAN;
  qsort (sorted, count, sizeof *sorted, compare_doubles);
  at = q * (count - 1);
  below = (gsize) floor (at);
  if (below + 1 >= count)
    return sorted[count - 1];
  return sorted[below] + (at - below) * (sorted[below + 1] - sorted[below]);
}

/* Rows as a matrix of their own leave out what has no cell; here only to count what the spread was taken over. */
static void
count_cells (const gdouble *values, gsize n_variants, gsize n_seeds, FmSpread *spread)
{
  g_autofree gboolean *seeds = g_new0 (gboolean, n_seeds + 1);

  for (gsize v = 0; v < n_variants; v++)
    {
      gboolean filled = FALSE;

      for (gsize s = 0; s < n_seeds; s++)
        if (isfinite (values[v * n_seeds + s]))
          filled = seeds[s] = TRUE;
      spread->variants += filled;
    }
  for (gsize s = 0; s < n_seeds; s++)
    spread->seeds += seeds[s];
}

static guint
count_row (const gdouble *row, gsize n)
{
  guint count = 0;

  for (gsize s = 0; s < n; s++)
    count += isfinite (row[s]);
  return count;
}

/* p values and intervals from difference, error and degrees of freedom. */
static void
test (FmComparison *c, gdouble margin, gdouble alpha)
{
  gdouble d = c->difference.mean, half;

  if (c->error > 0)
    {
      c->p_differs = 2 * fm_t_cdf (-fabs (d) / c->error, c->df);
      /* Both one-sided tests must reject, so the larger p counts: that of the nearer edge. */
      c->p_equal = MAX (fm_t_cdf ((d - margin) / c->error, c->df), fm_t_cdf (-(d + margin) / c->error, c->df));
    }
  else
    {
      c->p_differs = d == 0 ? 1 : 0;
      c->p_equal = fabs (d) < margin ? 0 : 1;
    }
  half = fm_t_quantile (1 - FM_ALPHA / 2, c->df) * c->error;
  c->difference.low = d - half;
  c->difference.high = d + half;
  half = fm_t_quantile (1 - alpha, c->df) * c->error;
  c->equal_low = d - half;
  c->equal_high = d + half;
}

FmSpread
fm_comparisons_estimate (const gdouble *values, gsize n_variants, gsize n_seeds, FmComparison *comparisons, gsize n,
                         gdouble margin, gdouble alpha)
{
  g_autoptr (FmLayout) layout = fm_layout_new (values, n_variants, n_seeds);
  g_autofree gdouble *differences = g_new (gdouble, n_seeds + 1);
  FmSpread spread = { .df = fm_layout_df (layout), .spread_p = fm_layout_spread_p (layout) };

  spread.sd = spread.df > 0 ? sqrt (fm_layout_rss (layout) / spread.df) : NAN;
  spread.paired = spread.spread_p < FM_SPREAD_ALPHA; /* FALSE for NaN */
  count_cells (values, n_variants, n_seeds, &spread);
  for (gsize i = 0; i < n; i++)
    {
      FmComparison *c = &comparisons[i];
      const gdouble *ours = values + c->variant * n_seeds, *theirs = values + c->reference * n_seeds;
      gdouble factor;

      for (gsize s = 0; s < n_seeds; s++)
        differences[s] = ours[s] - theirs[s]; /* NaN where either is missing */
      c->difference = fm_estimate (differences, n_seeds, 1 - FM_ALPHA);
      c->error = c->p_differs = c->p_equal = c->p_adjusted = c->equal_low = c->equal_high = NAN;
      c->df = 0;
      if (count_row (ours, n_seeds) < 2 || count_row (theirs, n_seeds) < 2)
        continue;
      if (spread.paired)
        {
          if (c->difference.n < 2)
            continue;
          c->df = c->difference.n - 1;
          c->error = c->difference.sd / sqrt (c->difference.n);
          if (c->error < 1e-13 * fabs (c->difference.mean)) /* the same difference each time, but for rounding */
            c->error = 0;
        }
      else
        {
          if (spread.df == 0
              || !fm_layout_contrast (layout, c->variant, c->reference, &c->difference.mean, &factor))
            continue;
          c->df = spread.df;
          c->error = spread.sd * sqrt (factor);
          c->difference.sd = spread.sd * G_SQRT2;
        }
      test (c, margin, alpha);
    }
  return spread;
}

static gdouble
blocks_df (gsize n)
{
  return MIN (n, FM_BLOCKS_LEAST) - 1.0;
}

/* fm_t_quantile (0.975, 1 ... 4): asked for after every block, and by simulations a million times. */
static const gdouble blocks_t[FM_BLOCKS_LEAST] = { NAN, 12.706204736174693, 4.302652729749464, 3.182446305284263,
                                                   2.776445105197793 };

FmEstimate
fm_blocks_estimate (const gdouble *log_ratios, gsize n)
{
  FmEstimate e = describe (log_ratios, n);
  gsize until = 0;

  for (guint found = 0; until < n && found < FM_BLOCKS_LEAST; until++)
    found += isfinite (log_ratios[until]) != 0;
  if (e.n > 1)
    {
      gdouble half;

      e.sd = MAX (e.sd, describe (log_ratios, until).sd);
      half = blocks_t[(guint) blocks_df (e.n)] * e.sd / sqrt (e.n);

      e.low = e.mean - half;
      e.high = e.mean + half;
    }
  return e;
}

FmSpread
fm_blocks_compare (const gdouble *values, gsize n_blocks, FmComparison *c, gdouble margin)
{
  g_autofree gdouble *differences = g_new (gdouble, n_blocks + 1);
  FmSpread spread = { .variants = 2, .spread_p = NAN, .paired = TRUE };

  for (gsize i = 0; i < n_blocks; i++)
    differences[i] = values[i] - values[n_blocks + i];
  c->difference = fm_blocks_estimate (differences, n_blocks);
  c->error = c->p_differs = c->p_equal = c->p_adjusted = c->equal_low = c->equal_high = NAN;
  c->df = 0;
  spread.seeds = c->difference.n;
  if (c->difference.n < 2)
    return spread;
  spread.df = c->df = blocks_df (c->difference.n);
  spread.sd = c->difference.sd;
  c->error = c->difference.sd / sqrt (c->difference.n);
  if (c->error < 1e-13 * fabs (c->difference.mean)) /* the same ratio each time, but for rounding */
    c->error = 0;
  test (c, margin, FM_ALPHA);
  return spread;
}

typedef struct
{
  gdouble p;
  gsize   index;
} Ranked;

void
fm_holm_adjust (gdouble *p, gsize n)
{
  g_autofree Ranked *ranked = g_new (Ranked, n + 1);
  gsize count = 0;
  gdouble running = 0;

  for (gsize i = 0; i < n; i++)
    if (!isnan (p[i]))
      ranked[count++] = (Ranked) { p[i], i };
  qsort (ranked, count, sizeof *ranked, compare_doubles); /* p comes first in Ranked */
  for (gsize i = 0; i < count; i++)
    {
      running = MAX (running, MIN (1.0, (count - i) * ranked[i].p));
      p[ranked[i].index] = running;
    }
}

/* How likely @n seeds decide, if the difference and the spread are what they seem. Better or worse: the noncentral t.
 * Equal: both one-sided tests reject at least as often as their two powers exceed one together (Bonferroni). */
static gdouble
power_with (const FmComparison *c, const FmSpread *spread, const FmJudging *judging, gdouble level, guint n)
{
  gdouble df = spread->paired ? n - 1 : (gdouble) (spread->variants - 1) * (n - 1);
  gdouble error = c->difference.sd / sqrt (n), d = fabs (c->difference.mean), equal, t;

  t = fm_t_quantile (1 - judging->alpha, df);
  equal = fm_t_power (t, df, (judging->margin - d) / error) + fm_t_power (t, df, (judging->margin + d) / error) - 1;
  return MAX (equal, fm_t_power (fm_t_quantile (1 - level / 2, df), df, d / error));
}

/* Seeds that would decide with FM_MORE_SEEDS_POWER. Seeds that nobody announced will be judged alone, so all that it
 * takes must be new; announced ones join those that are there. Were the spread known, the normal distribution would do
 * with fewer than t needs: the search begins there. */
static guint
seeds_needed (const FmComparison *c, const FmSpread *spread, const FmJudging *judging, gdouble level)
{
  const gdouble known = 1e9; /* degrees of freedom */
  guint have = judging->adds_seeds ? c->difference.n : 0;
  gdouble d = fabs (c->difference.mean), power = fm_t_quantile (FM_MORE_SEEDS_POWER, known), least, equal;

  least = (fm_t_quantile (1 - level / 2, known) + power) * c->difference.sd / d;
  equal = (fm_t_quantile (1 - judging->alpha, known) + power) * c->difference.sd / (judging->margin - d);
  if (d < judging->margin)
    least = MIN (least, equal);
  least *= least;
  if (!(least < have + FM_MORE_SEEDS_MAX + 1))
    return FM_MORE_SEEDS_MAX + 1;
  for (guint n = MAX (MAX (2, have + 1), (guint) least); n <= have + FM_MORE_SEEDS_MAX; n++)
    if (power_with (c, spread, judging, level, n) >= FM_MORE_SEEDS_POWER)
      return n - have;
  return FM_MORE_SEEDS_MAX + 1;
}

static FmVerdict
verdict_of (const FmComparison *c, const FmJudging *judging)
{
  gboolean better = (c->difference.mean > 0) == judging->larger_is_better;

  if (isnan (c->p_differs))
    return FM_VERDICT_UNDECIDED;
  if (c->p_equal < judging->alpha)
    return FM_VERDICT_EQUAL;
  if (!(c->p_adjusted < judging->alpha))
    return FM_VERDICT_UNDECIDED;
  if (better ? c->variant_failed : c->reference_failed)
    return FM_VERDICT_UNDECIDED;
  return better ? FM_VERDICT_BETTER : FM_VERDICT_WORSE;
}

void
fm_comparisons_judge (FmComparison *comparisons, const FmSpread *spread, gsize n, const FmJudging *judging)
{
  g_autofree Ranked *ranked = g_new (Ranked, n + 1);
  g_autofree gdouble *p = g_new (gdouble, n + 1);
  gboolean rejects = TRUE;
  gdouble level = judging->alpha;

  for (gsize i = 0; i < n; i++)
    {
      gboolean tested = comparisons[i].verdict == FM_VERDICT_NONE && !isnan (comparisons[i].p_differs);

      p[i] = tested ? comparisons[i].p_differs : 1;
      ranked[i] = (Ranked) { p[i], i };
    }
  fm_holm_adjust (p, n);
  qsort (ranked, n, sizeof *ranked, compare_doubles); /* p comes first in Ranked */
  for (gsize k = 0; k < n; k++)
    {
      FmComparison *c = &comparisons[ranked[k].index];

      if (rejects)
        level = judging->alpha / (n - k);
      rejects = rejects && ranked[k].p < level;
      if (c->verdict != FM_VERDICT_NONE)
        continue;
      if (!isnan (c->p_differs))
        {
          gdouble half = fm_t_quantile (1 - level / 2, c->df) * c->error;

          c->p_adjusted = p[ranked[k].index];
          c->difference.low = c->difference.mean - half;
          c->difference.high = c->difference.mean + half;
        }
      c->verdict = verdict_of (c, judging);
      if (c->verdict == FM_VERDICT_UNDECIDED && !isnan (c->p_differs) && c->error > 0)
        c->more_seeds = seeds_needed (c, &spread[ranked[k].index], judging, level);
    }
}

FmVerdict
fm_ratio_verdict (gdouble cost, gdouble baseline_cost, gdouble margin)
{
  if (!isfinite (cost) || !isfinite (baseline_cost) || baseline_cost <= 0)
    return FM_VERDICT_NONE;
  if (fabs (cost / baseline_cost - 1) <= margin)
    return FM_VERDICT_EQUAL;
  return cost < baseline_cost ? FM_VERDICT_BETTER : FM_VERDICT_WORSE;
}

const char *
fm_verdict_word (FmVerdict verdict)
{
  static const char *const words[] = { "", "baseline", "better", "equal", "worse", "undecided", "FAIL" };

  return verdict < G_N_ELEMENTS (words) ? words[verdict] : "";
}

const char *
fm_verdict_sign (FmVerdict verdict)
{
  static const char *const signs[] = { "", "", "▲", "=", "▼", "?", "✕" };

  return verdict < G_N_ELEMENTS (signs) ? signs[verdict] : "";
}

void
fm_estimate_columns (const gdouble *values, gsize n_rows, gsize n_columns, gdouble confidence, FmEstimate *out)
{
  g_autofree gdouble *column = g_new (gdouble, n_rows + 1);

  for (gsize c = 0; c < n_columns; c++)
    {
      for (gsize r = 0; r < n_rows; r++)
        column[r] = values[r * n_columns + c];
      out[c] = fm_estimate (column, n_rows, confidence);
    }
}
