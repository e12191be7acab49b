/* statistics.h: what may be said about numbers that were measured a few times: means with intervals, quantiles,
 * differences between variants, and the verdict words of tables and reports. Pure functions on plain numbers. The layout
 * behind the differences is layout.h; two fixed checkpoints are compared by resampling.h.
 *
 * The seed is the unit of every statement about variants: an interval here is over seeds, never over test examples. */
#pragma once

#include "app/results/distributions.h"

G_BEGIN_DECLS

/* Mean over @n finite values with the interval that Student's t gives it. With n < 2 there is no interval: low and
 * high are NaN, as are mean and sd where they do not exist. Drawings and tables leave out what is NaN. */
typedef struct
{
  guint   n;
  gdouble mean;
  gdouble sd;   /* sample standard deviation, divisor n - 1 */
  gdouble low;  /* mean - t sd / sqrt (n) */
  gdouble high; /* mean + t sd / sqrt (n) */
} FmEstimate;

#define FM_ESTIMATE_NONE ((FmEstimate) { 0, NAN, NAN, NAN, NAN })

/* Two values count as the same accuracy when they lie within one point of 100. */
#define FM_ACCURACY_MARGIN 0.01
/* Two latencies or memory sizes count as the same within this share of the baseline's. */
#define FM_COST_MARGIN 0.05
#define FM_ALPHA 0.05
/* No variant is told to add more seeds than this; beyond it the sentence says "many". */
#define FM_MORE_SEEDS_MAX 30
/* "So many more seeds would decide" means: in this share of repeats, if difference and spread are what they seem. */
#define FM_MORE_SEEDS_POWER 0.8

/* --- Student's t -------------------------------------------------------------------------------------------------*/

/**
 * fm_t_cdf:
 * @t: any real, infinities included
 * @df: degrees of freedom, > 0
 *
 * P (T <= t) for Student's t. Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.5.27 (through the
 * incomplete beta function) and 26.5.8 (its continued fraction, evaluated by Lentz's method).
 * Error: below 1e-12 absolute for df up to 1e6.
 */
FM_API gdouble fm_t_cdf (gdouble t, gdouble df);

/** fm_t_quantile: the t with fm_t_cdf (t, df) = p, 0 < p < 1, by bisection: relative error below 1e-10. */
FM_API gdouble fm_t_quantile (gdouble p, gdouble df);

/* --- Describing a few numbers -------------------------------------------------------------------------------------*/

/**
 * fm_estimate:
 * @values: (array length=n): numbers; those that are not finite are left out and not counted
 * @confidence: 0.95 for the intervals of tables and figures
 */
FM_API FmEstimate fm_estimate (const gdouble *values, gsize n, gdouble confidence);

/**
 * fm_quantile:
 * @values: (array length=n): numbers in any order; those that are not finite are left out
 * @q: 0.5 for the median, 0.95 for p95
 *
 * Linear interpolation between order statistics, definition 7 of Hyndman and Fan, "Sample quantiles in statistical
 * packages", 1996.
 *
 * Returns: NaN for no values
 */
FM_API gdouble fm_quantile (const gdouble *values, gsize n, gdouble q);

/* --- Comparisons --------------------------------------------------------------------------------------------------*/

typedef enum
{
  FM_VERDICT_NONE,      /* nothing to compare: no accuracy yet, no baseline */
  FM_VERDICT_BASELINE,
  FM_VERDICT_BETTER,
  FM_VERDICT_EQUAL,
  FM_VERDICT_WORSE,
  FM_VERDICT_UNDECIDED,
  FM_VERDICT_FAIL,      /* a seed of the variant diverged, or none ended well */
} FmVerdict;

/* One variant against another, over seeds. */
typedef struct
{
  gsize      variant, reference; /* rows of the matrix */
  FmEstimate difference;         /* variant minus reference; n: seeds both have; sd: of one such difference; low, high:
                                  * 95 % by itself until fm_comparisons_judge() widens them for the family */
  gdouble    error, df;          /* standard error of the difference and its degrees of freedom; NaN, 0: none */
  gdouble    equal_low, equal_high; /* 90 % interval (1 - 2 alpha), which equal asks about */
  gdouble    p_differs;          /* two-sided t test of "no difference" */
  gdouble    p_equal;            /* the larger of the two one-sided tests of "at least the margin away" */
  gdouble    p_adjusted;         /* p_differs after Holm */
  FmVerdict  verdict;            /* FAIL and NONE set before fm_comparisons_judge() stay */
  gboolean   variant_failed, reference_failed; /* a seed of it failed: no word may prefer it */
  guint      more_seeds;         /* when undecided: about how many more would decide; 0 unknown, more than
                                  * FM_MORE_SEEDS_MAX: many */
} FmComparison;

/* How the residual variance of a matrix was got. */
typedef struct
{
  guint    variants, seeds; /* that have a cell */
  guint    df;              /* of the pooled residuals */
  gdouble  sd;              /* pooled residual standard deviation */
  gdouble  spread_p;        /* fm_layout_spread_p() */
  gboolean paired;          /* variances plainly differ: each comparison by its own differences, nothing pooled */
} FmSpread;

/* Variances plainly differ when the test of the layout says so at this level. Higher than 5 %, since pooling wrongly is
 * the worse mistake: among copies of which one is three times as noisy, its comparison speaks falsely in 13 % of matrices
 * of five variants and three seeds, 9 % with six seeds, 6 % with nine (test-calibration.c); with level 5 % it would be
 * 14, 10 and 6. Pairing wrongly costs power alone. */
#define FM_SPREAD_ALPHA 0.10

/**
 * fm_comparisons_estimate:
 * @values: (array): `[n_variants, n_seeds]`, NaN where a cell is missing
 * @comparisons: (inout) (array length=n): `variant` and `reference` are read, and the failed flags and verdict kept
 * @margin: what counts as equal, in the unit of the values
 * @alpha: level of one look, FM_ALPHA unless there are several
 *
 * Seeds are blocks (layout.h), and the residual variance is pooled over the matrix: t = difference / error with the
 * residuals' degrees of freedom. Where variances plainly differ each comparison is a paired t test of its own instead
 * (Student, "The probable error of a mean", 1908), n - 1 degrees of freedom. A side with fewer than two seeds gives no
 * test: one seed says nothing of its own spread. Equality: two one-sided tests (Schuirmann, "A comparison of the two
 * one-sided tests procedure and the power approach", 1987).
 */
FM_API FmSpread fm_comparisons_estimate (const gdouble *values, gsize n_variants, gsize n_seeds,
                                         FmComparison *comparisons, gsize n, gdouble margin, gdouble alpha);

/* What the comparisons of one family share. */
typedef struct
{
  gdouble  margin;
  gdouble  alpha;            /* of this look: FM_ALPHA / looks */
  gboolean larger_is_better; /* TRUE for accuracy */
  gboolean adds_seeds;       /* more seeds would be judged together with these (looks were announced), not alone */
} FmJudging;

/**
 * fm_comparisons_judge:
 * @comparisons: (array length=n): all comparisons that a batch names, estimated
 * @spread: (array length=n): of the matrix each comes from
 *
 * Sets the verdict of each. Equal: the 1 - 2 @alpha interval lies inside the margin. Better, worse: not equal, and the
 * interval adjusted for the family excludes zero. Adjusted by Holm: the k-th smallest p of m is tested at
 * @alpha / (m - k + 1), and the interval shown is the one at the level of its own step (of the first step that did not
 * reject, for all after it), so that it excludes zero exactly when Holm rejects. Comparisons that cannot be tested (yet)
 * belong to the family all the same, since the batch named them before it knew.
 */
FM_API void fm_comparisons_judge (FmComparison *comparisons, const FmSpread *spread, gsize n, const FmJudging *judging);

/* --- Over blocks --------------------------------------------------------------------------------------------------
 * Latency and memory: a block is one fresh process of every variant (app/run/runner-measure.c). */

/* So many blocks are always measured, and no more than the second: after that a ratio is not worth the time. */
#define FM_BLOCKS_LEAST 5
#define FM_BLOCKS_MOST 15

/**
 * fm_blocks_estimate:
 * @log_ratios: (array length=n): of two variants, a block each; NaN where one was not measured
 *
 * Mean and 95 % interval, what the measuring goes by: it ends when the interval is no wider than the margin. Ending on a
 * spread that happens to be small makes such an interval too narrow: with Student's t and n - 1 degrees of freedom 7 % of
 * repeats miss the truth at worst. So the spread (`sd`) is the larger one of the first FM_BLOCKS_LEAST blocks and of all,
 * and the degrees of freedom stay those of the first. Of normal numbers the mean does not depend on their spread, so
 * that whatever is made of the spread, n included, the mean is off as if n had been fixed; and the spread of the first
 * blocks alone, with their degrees of freedom, makes the level exact. Source: Stein, "A two-sample test for a linear
 * hypothesis whose power is independent of the variance", 1945. The larger one of the two can only widen it.
 */
FM_API FmEstimate fm_blocks_estimate (const gdouble *log_ratios, gsize n);

/**
 * fm_blocks_compare:
 * @values: (array): `[2, n_blocks]`, logs of the variant's and of the reference's cost; NaN where one was not measured
 * @comparison: (inout): as in fm_comparisons_estimate(), for fm_comparisons_judge()
 * @margin: on the scale of logs
 *
 * A paired t test over blocks with the degrees of freedom above.
 */
FM_API FmSpread fm_blocks_compare (const gdouble *values, gsize n_blocks, FmComparison *comparison, gdouble margin);

/**
 * fm_holm_adjust:
 * @p: (inout) (array length=n): p values, replaced by the adjusted ones; NaN stays NaN and is not counted
 *
 * Source: Holm, "A simple sequentially rejective multiple test procedure", 1979.
 */
FM_API void fm_holm_adjust (gdouble *p, gsize n);

/** fm_ratio_verdict: EQUAL within @margin of the baseline's cost, else BETTER when lower, WORSE when higher; NONE for
 * NaN. For numbers without a spread of their own, such as memory sizes. */
FM_API FmVerdict fm_ratio_verdict (gdouble cost, gdouble baseline_cost, gdouble margin);

/** fm_verdict_word: "better", "equal", "worse", "undecided", "FAIL", "baseline" or "". */
FM_API const char *fm_verdict_word (FmVerdict verdict);
/** fm_verdict_sign: the sign in front of the word (UTF-8, one column wide), or "". */
FM_API const char *fm_verdict_sign (FmVerdict verdict);

/* --- Curves over seeds --------------------------------------------------------------------------------------------*/

/**
 * fm_estimate_columns:
 * @values: (array): `[n_rows, n_columns]`, one row a seed; NaN where a seed has no value
 * @out: (out caller-allocates) (array length=n_columns): one estimate a column
 */
FM_API void fm_estimate_columns (const gdouble *values, gsize n_rows, gsize n_columns, gdouble confidence,
                                 FmEstimate *out);

G_END_DECLS
