/* claims.h: does a batch find what it expects ([expect], expect.h)? Use results.h for what it found at all.
 *
 * An expectation is a region: a difference or a ratio on one side of a bound. It is reproduced when the interval lies
 * wholly inside the region, not reproduced when wholly outside, else undecided. The interval takes t at alpha/m on each
 * side, alpha being 5 % (over the looks, where the batch announced several) and m the expectations of the batch that are
 * measured; what is counted (memory as planned, parameters, FLOPs) cannot err and is compared as it is.
 *
 * Why Bonferroni and not Holm: each expectation gives two one-sided hypotheses, inside and outside, of which exactly one
 * is true, so m of the 2m are true whatever the world is. After a rejection its opposite is still among them: the closed
 * rule for such pairs (Shaffer, "Modified sequentially rejective multiple test procedures", 1986) stays at alpha/m in
 * every step. Holm's levels would let the second verdict err in its direction more often than said (Shaffer, "Control of
 * directional errors with stagewise multiple test procedures", 1980, has the case of independent statistics alone).
 *
 * Scores are compared over seeds in the layout of their ground, as all verdicts of results.h are. Latency and throughput
 * are ratios of medians of fresh processes, on the logarithm, over the blocks in which both sides were measured in turn.
 * A claim is reproduced when all its expectations are, and not reproduced when one is not. A seed that diverged, failed
 * or was left out on a side of an expectation keeps it from being reproduced. */
#pragma once

#include "app/batch/expect.h"
#include "app/results/results.h"

G_BEGIN_DECLS

typedef enum
{
  FM_CLAIM_VERDICT_OPEN, /* not run, or not all of it */
  FM_CLAIM_VERDICT_REPRODUCED,
  FM_CLAIM_VERDICT_NOT_REPRODUCED,
  FM_CLAIM_VERDICT_UNDECIDED,
} FmClaimVerdict;

/** fm_claim_verdict_word: one of fm_claim_words(), "not run yet" for OPEN. */
FM_API const char *fm_claim_verdict_word (FmClaimVerdict verdict);
/** fm_claim_verdict_sign: "✓", "✗", "?", "·". */
FM_API const char *fm_claim_verdict_sign (FmClaimVerdict verdict);

/* What was found on one expectation. Numbers are on the scale that is tested: differences, and logarithms of ratios. */
typedef struct
{
  const FmExpectation *expectation; /* no ownership: the claim's */
  char          *left, *right;      /* titles of the variants; NULL where there is none */
  gdouble        estimate;          /* NaN: nothing to say */
  gdouble        error, df;         /* of the estimate; 0 and 0: exact; NaN: unknown */
  gdouble        low, high;         /* interval at the level; NaN without one */
  guint          n;                 /* seeds or processes */
  gboolean       left_failed, right_failed; /* a seed of that side did not end well */
  FmClaimVerdict verdict;
  char          *reason;            /* (nullable): why it is undecided, where the interval alone does not tell */
  guint          more_seeds;        /* as in FmComparison */
} FmClaimFinding;

/* --- Judging, on plain numbers ------------------------------------------------------------------------------------*/

/**
 * fm_claim_findings_judge:
 * @findings: (inout) (array length=n): estimate, error, df, failures and expectation are read; low, high, verdict and,
 *   where a failure decides, reason are set
 * @alpha: level of the whole claim
 *
 * Returns: the verdict on all of them
 */
FM_API FmClaimVerdict fm_claim_findings_judge (FmClaimFinding *findings, gsize n, gdouble alpha);

/** fm_claim_finding_bound: the edge of the region, on the scale that is tested. */
FM_API gdouble fm_claim_finding_bound (const FmClaimFinding *finding);
/** fm_claim_finding_show: a number of the scale that is tested as people read it: points, nats, a ratio. */
FM_API gdouble fm_claim_finding_show  (const FmClaimFinding *finding, gdouble value);
/** fm_claim_finding_unit: " points", " nats", "×" or " %". */
FM_API const char *fm_claim_finding_unit (const FmClaimFinding *finding);
/** fm_claim_finding_text: (transfer full): "−0.9 points [−1.6, −0.2], 3 seeds; about 4 more would decide" */
FM_API char *fm_claim_finding_text (const FmClaimFinding *finding);

/* --- A batch ------------------------------------------------------------------------------------------------------*/

typedef struct
{
  FmBatchClaim  *claim;
  gint64         batch;
  GPtrArray     *findings; /* FmClaimFinding, one an expectation */
  FmClaimVerdict verdict;
  guint          measured; /* expectations with a spread: m above */
  gdouble        alpha;    /* of the whole claim, in this look */
  guint          runs, done;
} FmClaimResult;

/**
 * fm_claim_result_new:
 * @table: of one batch
 *
 * Judges by what the stored text of the batch expects.
 *
 * Returns: (transfer full) (nullable): NULL without @error when the batch expects nothing
 */
FM_API FmClaimResult *fm_claim_result_new  (FmResultsTable *table, FmStore *store, GError **error);
/** fm_claim_result_load: the same of batch @batch. */
FM_API FmClaimResult *fm_claim_result_load (FmStore *store, gint64 batch, GError **error);
FM_API void           fm_claim_result_free (FmClaimResult *result);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmClaimResult, fm_claim_result_free)

/** fm_claim_result_sentence: (transfer full): "One of two expectations is reproduced, one is undecided." */
FM_API char *fm_claim_result_sentence (const FmClaimResult *result);
/** fm_claim_result_level_text: (transfer full): how the intervals were made, in a sentence. */
FM_API char *fm_claim_result_level_text (const FmClaimResult *result);
/** fm_claim_result_to_text: (transfer full): verdict and findings for a terminal; ends with a newline. */
FM_API char *fm_claim_result_to_text (const FmClaimResult *result);

G_END_DECLS
