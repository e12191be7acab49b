/* resampling.h: two fixed checkpoints, compared over scoring units (examples, documents, images).
 *
 * What is found here speaks of these two trained models and of nothing else: another seed of the same variant is another
 * model. Statements about variants are statistics.h's, over seeds. */
#pragma once

#include "app/results/statistics.h"

G_BEGIN_DECLS

/* Metrics that any resample of the units gives again, each from a few columns of numbers a unit. */
typedef enum
{
  FM_METRIC_ACCURACY,      /* columns: right answers, answers */
  FM_METRIC_LOSS_NATS,     /* summed cross-entropy in nats, answers */
  FM_METRIC_BITS_PER_BYTE, /* summed cross-entropy in nats, bytes */
  FM_METRIC_F1,            /* true positives, false positives, false negatives */
  FM_METRIC_AUC,           /* score, 1 for a positive unit and 0 for a negative one */
  FM_METRIC_MACRO_F1,      /* class answered, class that is right: from 0 to FM_METRIC_CLASSES - 1 */
} FmMetric;

#define FM_METRIC_CLASSES 4096 /* of a task that macro F1 is computed for, at most */

/* One vector of numbers a scoring unit. */
typedef struct
{
  gsize          n;
  const gdouble *values; /* [n, fm_metric_columns()] */
} FmUnits;

FM_API guint       fm_metric_columns (FmMetric metric);
FM_API const char *fm_metric_name    (FmMetric metric); /* "accuracy", "bits per byte" */
/** fm_metric_larger_is_better: FALSE for loss and bits per byte. */
FM_API gboolean    fm_metric_larger_is_better (FmMetric metric);
/** fm_metric_is_share: a share of 1, shown as percent and its differences as points. */
FM_API gboolean    fm_metric_is_share (FmMetric metric);

/**
 * fm_metric_compute:
 * @weights: (array length=units.n) (nullable): how often each unit is drawn; NULL: once
 *
 * Accuracy and the losses are sums over sums, so a unit with more answers weighs more. F1 = 2 TP / (2 TP + FP + FN) over
 * all units (micro; van Rijsbergen, "Information Retrieval", 1979). Macro F1 is the plain mean of the classes' F1, over
 * classes that are right or answered at least once (Opitz and Burst, "Macro F1 and Macro F1", 2019: the mean of F1, not F1
 * of the means). AUC is the Mann-Whitney statistic over pairs of a
 * positive and a negative unit, ties counting half (Hanley and McNeil, "The meaning and use of the area under a
 * receiver operating characteristic (ROC) curve", 1982).
 *
 * Returns: NaN where it does not exist: no answers, no positives
 */
FM_API gdouble fm_metric_compute (FmMetric metric, FmUnits units, const guint32 *weights);

/**
 * fm_mcnemar_p:
 * @only_first: units that only the first model got right
 * @only_second: units that only the second got right
 *
 * Exact two-sided McNemar test: the smaller of the two under a fair coin, doubled, at most 1. Source: McNemar, "Note on
 * the sampling error of the difference between correlated proportions or percentages", 1947, with the binomial itself.
 */
FM_API gdouble fm_mcnemar_p (gint64 only_first, gint64 only_second);

#define FM_BOOTSTRAP_RESAMPLES 4000

/**
 * fm_bootstrap_paired:
 * @first: units of the first model
 * @second: the same units of the second, in the same order
 * @seed: of the resamples; the same seed gives the same interval
 * @alpha: 1 - confidence
 *
 * Percentile interval of metric (second) - metric (first): units are drawn with replacement, for both models alike.
 * Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13. n counts units; sd is the standard
 * error. Resamples where the metric does not exist are left out.
 */
FM_API FmEstimate fm_bootstrap_paired (FmMetric metric, FmUnits first, FmUnits second, guint resamples, guint64 seed,
                                       gdouble alpha);

G_END_DECLS
