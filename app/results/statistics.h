/* statistics.h: what may be said about numbers that were measured a few times: means with intervals, quantiles,
 * paired differences, and the verdict words of tables and reports. Pure functions on plain numbers.
 *
 * The seed is the unit of every statement about variants: an interval here is over seeds, never over test examples. */
#pragma once

#include "base/base.h"

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

/* --- Comparing with the baseline ----------------------------------------------------------------------------------*/

typedef enum
{
  FM_VERDICT_NONE,      /* nothing to compare: no accuracy yet, no baseline */
  FM_VERDICT_BASELINE,
  FM_VERDICT_BETTER,
  FM_VERDICT_EQUAL,
  FM_VERDICT_WORSE,
  FM_VERDICT_UNDECIDED,
  FM_VERDICT_FAIL,      /* a seed of the variant failed */
} FmVerdict;

/* One variant against the baseline, by seed. */
typedef struct
{
  FmEstimate difference; /* variant minus baseline over the seeds both have */
  gdouble    p_differs;  /* two-sided paired t test of "no difference" */
  gdouble    p_equal;    /* the larger of the two one-sided tests of "at least the margin away" (Schuirmann 1987) */
  FmVerdict  verdict;    /* set by fm_comparisons_judge() */
  guint      more_seeds; /* when undecided: about how many more would decide; 0 = unknown */
} FmComparison;

/**
 * fm_comparison_init:
 * @variant: (array length=n): one value a seed; NaN where a seed has none
 * @baseline: (array length=n): the baseline's, the same seeds in the same order
 * @margin: what counts as equal, in the unit of the values
 *
 * The difference is taken within each seed, since both saw the same batches there. Fewer than two common seeds: both
 * p are NaN and the verdict will be undecided.
 */
FM_API void fm_comparison_init (FmComparison *comparison, const gdouble *variant, const gdouble *baseline, gsize n,
                                gdouble margin);

/**
 * fm_comparisons_judge:
 * @comparisons: (array length=n): all comparisons of one table with its baseline
 * @margin: as given to fm_comparison_init()
 * @alpha: FM_ALPHA
 * @larger_is_better: TRUE for accuracy
 *
 * Sets the verdict of each. The p of "differs" are adjusted together over the table, and so are the p of "equal"
 * (Holm): of all words better and worse in the table the chance that one is wrong stays below @alpha, and so it does
 * for all words equal. A small but certain difference inside the margin reads "equal", since that is what the margin
 * says matters. Rows whose verdict is already FAIL or BASELINE are left alone and not counted.
 */
FM_API void fm_comparisons_judge (FmComparison *comparisons, gsize n, gdouble margin, gdouble alpha,
                                  gboolean larger_is_better);

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
