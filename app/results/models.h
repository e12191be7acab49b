/* models.h: two trained models of the store, compared over the examples both were scored on.
 *
 * For compression, merging and decoding, where the question is what was done to one checkpoint. What is said is about
 * these two trained models; whether one variant is better than another only seeds can tell (results.h). */
#pragma once

#include "app/results/resampling.h"
#include "storage/storage.h"

G_BEGIN_DECLS

typedef struct
{
  FmMetric   metric;
  FmEstimate difference; /* second minus first; interval of the paired bootstrap, 95 % */
  gdouble    first, second;       /* the metric of each */
  gint64     only_first, only_second; /* units that one got right and the other did not; -1: units have several answers */
  gdouble    p;          /* exact McNemar; NaN where units have several answers or the metric is no accuracy */
  FmVerdict  verdict;    /* of the second: BETTER, WORSE or UNDECIDED */
} FmModelsComparison;

/**
 * fm_models_compare:
 * @first: id of a training stage
 * @second: of another, scored on the same units
 * @split: "test"
 * @target: (nullable): the first target with outcomes where NULL
 * @metric: ACCURACY or LOSS_NATS, which the stored outcomes give; MACRO_F1, or AUC of two classes, where the answers of
 *   each example were stored, too
 *
 * Units with one answer each are judged by the exact McNemar test, others by the interval of the paired bootstrap.
 * FM_STORAGE_ERROR_ABSENT where a stage left no outcomes, or the two were not scored on the same units.
 */
FM_API gboolean fm_models_compare (FmStore *store, const char *first, const char *second, const char *split,
                                   const char *target, FmMetric metric, FmModelsComparison *comparison,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** fm_models_sentence: (transfer full): "Of these two trained models the second is better: accuracy +1.2 points [0.5, 1.9]
 * over 10,000 examples (exact McNemar, 310 against 190, p = 1e-07)." */
FM_API char *fm_models_sentence (const FmModelsComparison *comparison);

G_END_DECLS
