#include "app/results/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Continued fraction of the incomplete beta function, Abramowitz and Stegun 26.5.8, by the modified Lentz method
 * (Thompson and Barnett 1986): numerator and denominator are kept as ratios, so neither over- nor underflows. */
static gdouble
beta_fraction (gdouble a, gdouble b, gdouble x)
{
  const gdouble tiny = 1e-300;
  gdouble c = 1.0, d = 1.0 - (a + b) * x / (a + 1.0), h;

  d = 1.0 / (fabs (d) < tiny ? tiny : d);
  h = d;
  /* Converges within about sqrt (max (a, b)) terms for x below the mean; the bound is there for absurd df alone. */
  for (int m = 1; m < 100000; m++)
    {
      gdouble even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
      gdouble odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
      gdouble step = 1.0;

      for (int half = 0; half < 2; half++)
        {
          gdouble term = half == 0 ? even : odd;

          d = 1.0 + term * d;
          d = 1.0 / (fabs (d) < tiny ? tiny : d);
          c = 1.0 + term / c;
          c = fabs (c) < tiny ? tiny : c;
          step = c * d;
          h *= step;
        }
      if (fabs (step - 1.0) < 1e-15)
        break;
    }
  return h;
}

/* Regularised incomplete beta function I_x (a, b); @y is 1 - x, given apart so that no digits are lost near 1. */
static gdouble
beta_regularised (gdouble a, gdouble b, gdouble x, gdouble y)
{
  gdouble front;

  if (x <= 0.0)
    return 0.0;
  if (y <= 0.0)
    return 1.0;
  front = exp (lgamma (a + b) - lgamma (a) - lgamma (b) + a * log (x) + b * log (y));
  if (x < (a + 1.0) / (a + b + 2.0))
    return front * beta_fraction (a, b, x) / a;
  return 1.0 - front * beta_fraction (b, a, y) / b; /* A&S 26.5.2 */
}

gdouble
fm_t_cdf (gdouble t, gdouble df)
{
  gdouble tail;

  g_return_val_if_fail (df > 0, NAN);
  if (isnan (t))
    return NAN;
  if (isinf (t))
    return t > 0 ? 1.0 : 0.0;
  tail = 0.5 * beta_regularised (df / 2, 0.5, df / (df + t * t), t * t / (df + t * t)); /* A&S 26.5.27 */
  return t > 0 ? 1.0 - tail : tail;
}

/* P (T > |t|), without the cancellation of 1 - cdf. */
static gdouble
t_tail (gdouble t, gdouble df)
{
  if (isinf (t))
    return 0.0;
  return fm_t_cdf (-fabs (t), df);
}

gdouble
fm_t_quantile (gdouble p, gdouble df)
{
  gdouble tail = p < 0.5 ? p : 1.0 - p, low = 0.0, high = 1.0;

  g_return_val_if_fail (p > 0 && p < 1 && df > 0, NAN);
  if (p == 0.5)
    return 0.0;
  while (t_tail (high, df) > tail && high < 1e300)
    high *= 2;
  for (int i = 0; i < 200 && high - low > 1e-13 * high; i++)
    {
      gdouble middle = 0.5 * (low + high);

      if (t_tail (middle, df) > tail)
        low = middle;
      else
        high = middle;
    }
  return (p < 0.5 ? -0.5 : 0.5) * (low + high);
}

FmEstimate
fm_estimate (const gdouble *values, gsize n, gdouble confidence)
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

void
fm_comparison_init (FmComparison *comparison, const gdouble *variant, const gdouble *baseline, gsize n,
                    gdouble margin)
{
  g_autofree gdouble *difference = g_new (gdouble, n + 1);
  FmEstimate *e = &comparison->difference;
  gdouble error;

  for (gsize i = 0; i < n; i++)
    difference[i] = variant[i] - baseline[i]; /* NaN where either is missing */
  *comparison = (FmComparison) { .difference = fm_estimate (difference, n, 1 - FM_ALPHA), .p_differs = NAN,
                                 .p_equal = NAN, .verdict = FM_VERDICT_NONE };
  if (e->n < 2)
    return;
  error = e->sd / sqrt (e->n);
  if (error > 0)
    {
      comparison->p_differs = 2 * t_tail (e->mean / error, e->n - 1);
      /* Both one-sided tests must reject, so the larger p counts: that of the nearer edge. */
      comparison->p_equal = MAX (fm_t_cdf ((e->mean - margin) / error, e->n - 1),
                                 fm_t_cdf (-(e->mean + margin) / error, e->n - 1));
    }
  else
    {
      comparison->p_differs = e->mean == 0 ? 1 : 0;
      comparison->p_equal = fabs (e->mean) < margin ? 0 : 1;
    }
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

/* Smallest number of seeds, spread and mean staying as observed, with which one of the two tests would reject at
 * @alpha over @family comparisons (the strictest step of Holm). A guide for a person, not a power analysis. */
static guint
seeds_needed (const FmEstimate *d, gdouble margin, gdouble alpha, gsize family)
{
  for (guint n = d->n + 1; n <= d->n + FM_MORE_SEEDS_MAX; n++)
    {
      gdouble error = d->sd / sqrt (n);
      gdouble differs = fm_t_quantile (1 - alpha / family / 2, n - 1) * error;
      gdouble equal = fm_t_quantile (1 - alpha / family, n - 1) * error;

      if (fabs (d->mean) > differs || fabs (d->mean) + equal < margin)
        return n - d->n;
    }
  return 0;
}

void
fm_comparisons_judge (FmComparison *comparisons, gsize n, gdouble margin, gdouble alpha, gboolean larger_is_better)
{
  g_autofree gdouble *differs = g_new (gdouble, n + 1);
  g_autofree gdouble *equal = g_new (gdouble, n + 1);
  gsize family = 0;

  for (gsize i = 0; i < n; i++)
    {
      gboolean counted = comparisons[i].verdict == FM_VERDICT_NONE;

      differs[i] = counted ? comparisons[i].p_differs : NAN;
      equal[i] = counted ? comparisons[i].p_equal : NAN;
      family += counted && !isnan (differs[i]);
    }
  fm_holm_adjust (differs, n);
  fm_holm_adjust (equal, n);
  for (gsize i = 0; i < n; i++)
    {
      FmComparison *c = &comparisons[i];

      if (c->verdict != FM_VERDICT_NONE)
        continue;
      if (isnan (c->p_differs))
        c->verdict = FM_VERDICT_UNDECIDED;
      else if (equal[i] < alpha)
        c->verdict = FM_VERDICT_EQUAL;
      else if (differs[i] < alpha)
        c->verdict = (c->difference.mean > 0) == larger_is_better ? FM_VERDICT_BETTER : FM_VERDICT_WORSE;
      else
        {
          c->verdict = FM_VERDICT_UNDECIDED;
          c->more_seeds = seeds_needed (&c->difference, margin, alpha, family);
        }
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
