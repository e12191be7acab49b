#include "app/results/resampling.h"

#include <math.h>
#include <stdlib.h>

static const struct
{
  const char *name;
  guint       columns;
  gboolean    larger_is_better, share;
} metrics[] = {
  [FM_METRIC_ACCURACY] = { "accuracy", 2, TRUE, TRUE },
  [FM_METRIC_LOSS_NATS] = { "loss in nats", 2, FALSE, FALSE },
  [FM_METRIC_BITS_PER_BYTE] = { "bits per byte", 2, FALSE, FALSE },
  [FM_METRIC_F1] = { "F1", 3, TRUE, TRUE },
  [FM_METRIC_AUC] = { "AUC", 2, TRUE, FALSE },
  [FM_METRIC_MACRO_F1] = { "macro F1", 2, TRUE, TRUE },
};

guint
fm_metric_columns (FmMetric metric)
{
  return metrics[metric].columns;
}

const char *
fm_metric_name (FmMetric metric)
{
  return metrics[metric].name;
}

gboolean
fm_metric_larger_is_better (FmMetric metric)
{
  return metrics[metric].larger_is_better;
}

gboolean
fm_metric_is_share (FmMetric metric)
{
  return metrics[metric].share;
}

typedef struct
{
  gdouble score;
  gsize   unit;
} Scored;

static int
by_score (const void *a, const void *b)
{
  const Scored *x = a, *y = b;

  return x->score != y->score ? (x->score > y->score) - (x->score < y->score)
                              : (x->unit > y->unit) - (x->unit < y->unit);
}

/* (transfer full): units by ascending score: sorted once for all resamples. NULL for metrics that need no order. */
static Scored *
rank_units (FmMetric metric, FmUnits units)
{
  Scored *order;

  if (metric != FM_METRIC_AUC)
    return NULL;
  order = g_new (Scored, units.n + 1);
  for (gsize i = 0; i < units.n; i++)
    order[i] = (Scored) { units.values[2 * i], i };
  qsort (order, units.n, sizeof *order, by_score);
  return order;
}

static gdouble
area_under_curve (FmUnits units, const guint32 *weights, const Scored *order)
{
  gdouble positives = 0, negatives = 0, won = 0; /* negatives: those of lower score so far */

  for (gsize i = 0; i < units.n;)
    {
      gdouble tied[2] = { 0, 0 };
      gsize end = i;

      for (; end < units.n && order[end].score == order[i].score; end++)
        tied[units.values[2 * order[end].unit + 1] > 0.5] += weights != NULL ? weights[order[end].unit] : 1;
      won += tied[1] * (negatives + tied[0] / 2);
      negatives += tied[0];
      positives += tied[1];
      i = MAX (end, i + 1); /* a score that is NaN equals nothing */
    }
  return positives > 0 && negatives > 0 ? won / (positives * negatives) : NAN;
}

/* Right, answered and asked by class; a unit of a class that cannot be (NaN, another model's) counts for nothing. */
static gdouble
macro_f1 (FmUnits units, const guint32 *weights)
{
  g_autofree gdouble *counts = NULL;
  gsize classes = 0;
  gdouble sum = 0, n = 0;

  for (gsize i = 0; i < 2 * units.n; i++)
    if (units.values[i] >= 0 && units.values[i] < FM_METRIC_CLASSES)
      classes = MAX (classes, (gsize) units.values[i] + 1);
  counts = g_new0 (gdouble, 3 * classes + 1);
  for (gsize i = 0; i < units.n; i++)
    {
      gdouble answer = units.values[2 * i], right = units.values[2 * i + 1], weight = weights != NULL ? weights[i] : 1;

      if (answer >= 0 && answer < FM_METRIC_CLASSES)
        counts[3 * (gsize) answer + 1] += weight;
      if (right >= 0 && right < FM_METRIC_CLASSES)
        counts[3 * (gsize) right + 2] += weight;
      if (right >= 0 && right < FM_METRIC_CLASSES && answer == right)
        counts[3 * (gsize) right] += weight;
    }
  for (gsize c = 0; c < classes; c++)
    {
      gdouble both = counts[3 * c + 1] + counts[3 * c + 2];

      sum += both > 0 ? 2 * counts[3 * c] / both : 0;
      n += both > 0;
    }
  return n > 0 ? sum / n : NAN;
}

static gdouble
compute (FmMetric metric, FmUnits units, const guint32 *weights, const Scored *order)
{
  guint columns = metrics[metric].columns;
  gdouble sums[3] = { 0 };

  if (metric == FM_METRIC_AUC)
    return area_under_curve (units, weights, order);
  if (metric == FM_METRIC_MACRO_F1)
    return macro_f1 (units, weights);
  for (gsize i = 0; i < units.n; i++)
    for (guint c = 0; c < columns; c++)
      sums[c] += units.values[i * columns + c] * (weights != NULL ? weights[i] : 1);
  if (metric == FM_METRIC_F1)
    return sums[0] + sums[1] + sums[2] > 0 ? 2 * sums[0] / (2 * sums[0] + sums[1] + sums[2]) : NAN;
  if (!(sums[1] > 0))
    return NAN;
  return sums[0] / sums[1] / (metric == FM_METRIC_BITS_PER_BYTE ? G_LN2 : 1);
}

gdouble
fm_metric_compute (FmMetric metric, FmUnits units, const guint32 *weights)
{
  g_autofree Scored *order = rank_units (metric, units);

  return compute (metric, units, weights, order);
}

gdouble
fm_mcnemar_p (gint64 only_first, gint64 only_second)
{
  return MIN (1.0, 2 * fm_binomial_cdf (MIN (only_first, only_second), only_first + only_second, 0.5));
}

FmEstimate
fm_bootstrap_paired (FmMetric metric, FmUnits first, FmUnits second, guint resamples, guint64 seed, gdouble alpha)
{
  g_autofree Scored *first_order = rank_units (metric, first), *second_order = rank_units (metric, second);
  g_autofree guint32 *weights = g_new (guint32, first.n + 1);
  g_autofree gdouble *differences = g_new (gdouble, resamples + 1);
  FmEstimate e = FM_ESTIMATE_NONE, spread;
  FmRandom random;

  g_return_val_if_fail (first.n == second.n, e);
  e.n = first.n;
  e.mean = compute (metric, second, NULL, second_order) - compute (metric, first, NULL, first_order);
  if (e.n < 2 || resamples < 2)
    return e;
  fm_random_init (&random, seed, 0);
  for (guint r = 0; r < resamples; r++)
    {
      for (gsize i = 0; i < first.n; i++)
        weights[i] = 0;
      for (gsize i = 0; i < first.n; i++)
        weights[fm_random_below (&random, first.n)]++;
      differences[r] = compute (metric, second, weights, second_order) - compute (metric, first, weights, first_order);
    }
  spread = fm_estimate (differences, resamples, 0.95);
  e.sd = spread.sd;
  e.low = fm_quantile (differences, resamples, alpha / 2);
  e.high = fm_quantile (differences, resamples, 1 - alpha / 2);
  return e;
}
