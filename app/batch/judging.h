/* judging.h: how a batch is judged, which its file says before anything runs.
 *
 *   [batch]
 *   margin=accuracy:0.5 points;latency:10%;memory:5%     what counts as equal
 *   compare=pooling x mlp vs local-attention x mlp        what is compared, `all` for every pair; else each variant
 *                                                        against the baseline
 *   looks=3                                              how often seeds may be added and all of them judged again;
 *                                                        each look tests at 5 %/3
 *
 * A side of compare= is a variant as tables name it, the same without its settings ("local-attention x mlp"), or a
 * mixer; it stands for all it names. The three are kept with the batch in the store and cannot be changed once it is
 * there. */
#pragma once

#include "base/base.h"

G_BEGIN_DECLS

#define FM_LOOKS_MAX 20

typedef struct
{
  char *variant, *reference;
} FmBatchCompared;

typedef struct
{
  gdouble    accuracy_margin;               /* of 1: 0.01 is one point */
  gdouble    latency_margin, memory_margin; /* shares of the baseline's */
  gint64     looks;
  gboolean   all_pairs;
  GPtrArray *pairs; /* FmBatchCompared; empty: each against the baseline, unless all_pairs */
} FmBatchJudging;

FM_API FmBatchJudging *fm_batch_judging_new  (void); /* defaults */
FM_API void            fm_batch_judging_free (FmBatchJudging *judging);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmBatchJudging, fm_batch_judging_free)

/** fm_batch_judging_from_text: (transfer full): of the text of a batch file as the store keeps it; it was checked when
 * it was read, so what cannot be read here counts as left out. */
FM_API FmBatchJudging *fm_batch_judging_from_text (const char *text);

/** fm_batch_judging_keys: (array zero-terminated=1): "margin", "compare", "looks". */
FM_API const char *const *fm_batch_judging_keys (void);
/** fm_batch_judging_help: one line on @key: what it takes and what it is when left out. */
FM_API const char *fm_batch_judging_help (const char *key);
FM_API gboolean    fm_batch_judging_set  (FmBatchJudging *judging, const char *key, const char *value, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

/** fm_batch_judging_to_string: (transfer full): canonical: "margin=...;looks=1"; equal texts judge alike. */
FM_API char *fm_batch_judging_to_string (const FmBatchJudging *judging);

/** fm_batch_names_variant: does @name, a side of compare=, stand for @variant? */
FM_API gboolean fm_batch_names_variant (const char *name, const char *variant);

G_END_DECLS
