/* expect.h: a claim: what a paper says ([paper] of a batch file) and what this batch should find if it is right
 * ([expect]).
 *
 *   [paper]
 *   citation=Katharopoulos, Vyas, Pappas, Fleuret, "Transformers are RNNs", 2020
 *   arxiv=2006.16236
 *   says=Linear attention scores about as well as softmax attention, and its cost grows with N instead of its square.
 *   numbers=...                                       as the paper gives them
 *   conditions=...                                    data, size and machine of the paper
 *
 *   [expect]
 *   scale=toy: two layers of width 64, 1,000 steps, Fashion-MNIST pixels, this processor
 *   1=accuracy(linear-attention) >= accuracy(softmax-attention) - 1 points
 *   2=latency ratio(softmax-attention, linear-attention) >= 2 at N=784
 *   verdict=undecided                                 the last one that was kept, by `formarium claims --keep`
 *
 * An expectation is NAME=SIDES, where SIDES is one of
 *
 *   QUANTITY(VARIANT) >= QUANTITY(VARIANT)            either way round with <=
 *   QUANTITY(VARIANT) >= QUANTITY(VARIANT) - 1 points accuracy; loss takes nats; also with +
 *   QUANTITY(VARIANT) >= 0.5 * QUANTITY(VARIANT)      every other quantity; also 50%
 *   QUANTITY ratio(VARIANT, VARIANT) >= 2             the first one's over the second one's; every other quantity
 *   accuracy(VARIANT) >= 90%                          only where scale=as published
 *
 * and may end in `at KEY=VALUE, KEY=VALUE`. QUANTITY is accuracy, loss, latency (of one example), throughput, memory
 * (planned peak of training), inference-memory (planned peak of a forward pass), parameters or flops. A VARIANT is named
 * as tables name it ("local-attention x mlp, window=8"), without its settings, or by its mixer or feed-forward alone. A
 * condition is a setting that a variant's name shows, a parameter of the task, N (tokens of the task), task or device;
 * behind `at` it holds for both sides. A side must mean exactly one variant. Scores are compared on one task and device;
 * costs also across tasks, so that growth with N can be expected.
 *
 * Whoever runs a toy can find orders and costs, not the paper's accuracy: a score by itself is refused unless the scale
 * is the paper's. Expectations are kept with the batch in the store and cannot be changed once it is there. */
#pragma once

#include "base/base.h"

G_BEGIN_DECLS

typedef enum
{
  FM_EXPECT_ACCURACY,
  FM_EXPECT_LOSS,
  FM_EXPECT_LATENCY,
  FM_EXPECT_THROUGHPUT,
  FM_EXPECT_MEMORY,
  FM_EXPECT_INFERENCE_MEMORY,
  FM_EXPECT_PARAMETERS,
  FM_EXPECT_FLOPS,
  FM_N_EXPECTS
} FmExpectQuantity;

FM_API const char *fm_expect_quantity_name  (FmExpectQuantity quantity);
/** fm_expect_quantity_is_score: accuracy and loss: a difference over seeds, on one task; the others are costs. */
FM_API gboolean    fm_expect_quantity_is_score (FmExpectQuantity quantity);
/** fm_expect_quantity_is_exact: counted and not measured: memory as planned, parameters, FLOPs. */
FM_API gboolean    fm_expect_quantity_is_exact (FmExpectQuantity quantity);

typedef struct
{
  char      *variant;
  GPtrArray *conditions; /* char *: "N=784", "task=mqar"; those of `at` too */
} FmExpectSide;

typedef struct
{
  char            *name; /* the key: "1" */
  char            *text; /* what stands behind it */
  guint            line;
  FmExpectQuantity quantity;
  FmExpectSide    *left, *right; /* @right NULL: @left by itself */
  gboolean         at_least; /* >=; otherwise <= */
  gdouble          bound; /* of left - right (of 1, or nats) for scores, of left / right for costs, of left by itself */
} FmExpectation;

typedef struct
{
  /* [paper], each (nullable) */
  char      *citation, *arxiv, *says, *numbers, *conditions;
  /* [expect] */
  char      *scale;        /* (nullable) */
  char      *verdict;      /* (nullable): the one that was kept, in the words of fm_claim_verdict_word() */
  GPtrArray *expectations; /* FmExpectation; at least one */
} FmBatchClaim;

FM_API void          fm_batch_claim_free      (FmBatchClaim *claim);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmBatchClaim, fm_batch_claim_free)

/** fm_batch_claim_from_text: (transfer full) (nullable): of the text of a batch file as the store keeps it; NULL where
 * it expects nothing. It was checked when it was read, so what cannot be read here counts as left out. */
FM_API FmBatchClaim *fm_batch_claim_from_text (const char *text);
/** fm_batch_claim_to_string: (transfer full): the expectations, "1: accuracy(...) >= ...; 2: ..."; @claim NULL: "nothing". */
FM_API char         *fm_batch_claim_to_string (const FmBatchClaim *claim);

/** fm_batch_same_claim: do two texts of batch files ask for the same runs and expect the same of them? What [paper], scale=
 * and verdict= say does not count, nor do comments. */
FM_API gboolean fm_batch_same_claim (const char *a, const char *b);

/** fm_claim_words: (array zero-terminated=1): "reproduced", "not reproduced", "undecided". */
FM_API const char *const *fm_claim_words (void);

/**
 * fm_batch_text_set_verdict:
 * @text: of a batch file with a section [expect]
 * @word: one of fm_claim_words()
 *
 * Returns: (transfer full): @text with verdict=@word in [expect], byte for byte the same otherwise
 */
FM_API char *fm_batch_text_set_verdict (const char *text, const char *word);

/* --- Which variant a side means -----------------------------------------------------------------------------------*/

/* A variant on one ground; no ownership. */
typedef struct
{
  const char *variant; /* as the batch names it */
  const char *task, *task_parameters, *device;
} FmExpectCandidate;

#define FM_EXPECT_NONE    (-1)
#define FM_EXPECT_SEVERAL (-2)

/**
 * fm_expect_find:
 * @other: (out) (optional): a second one that is meant, where there are several
 *
 * Returns: index of the one candidate that @side means, FM_EXPECT_NONE or FM_EXPECT_SEVERAL
 */
FM_API gint fm_expect_find (const FmExpectSide *side, const FmExpectCandidate *candidates, gsize n, gsize *other);

/** fm_expect_same_ground: one task of the same parameters on one device: where scores may be compared. */
FM_API gboolean fm_expect_same_ground (const FmExpectCandidate *a, const FmExpectCandidate *b);

G_END_DECLS
