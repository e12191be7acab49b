/* layout.h: the two-way layout variant x seed: what all variants and seeds of a matrix say together.
 *
 * value [variant, seed] = variant effect + seed effect + residual. Seeds are blocks: what a seed does to every variant
 * alike (order of the batches, first weights) cancels from every difference. Cells may be missing: effects are those of
 * least squares, and the error of a difference is what the cells that are there leave of it. */
#pragma once

#include "base/base.h"

G_BEGIN_DECLS

typedef struct _FmLayout FmLayout;

/**
 * fm_layout_new:
 * @values: (array): `[n_variants, n_seeds]`, NaN where a cell is missing
 *
 * Source: Scheffé, "The Analysis of Variance", 1959, chapter 4: the two-way layout without interaction, by least squares
 * where cells are missing.
 */
FM_API FmLayout *fm_layout_new  (const gdouble *values, gsize n_variants, gsize n_seeds);
FM_API void      fm_layout_free (FmLayout *layout);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmLayout, fm_layout_free)

/** fm_layout_df: cells - variants - seeds + parts that no cell connects; 0: nothing is known of the residuals. */
FM_API guint   fm_layout_df  (FmLayout *layout);
/** fm_layout_rss: residual sum of squares; exactly 0 when it is rounding. */
FM_API gdouble fm_layout_rss (FmLayout *layout);

/**
 * fm_layout_contrast:
 * @difference: (out): effect of @variant minus effect of @reference, NaN when no chain of cells connects them
 * @factor: (out): variance of the difference over the residual variance; 2 / seeds when no cell is missing
 */
FM_API gboolean fm_layout_contrast (FmLayout *layout, gsize variant, gsize reference, gdouble *difference,
                                    gdouble *factor);

/**
 * fm_layout_spread_p:
 *
 * Do variances plainly differ between variants? For each variant: the residual sum of squares that it adds to the
 * layout of the others, over that of the others, each over its degrees of freedom. When all residuals have one
 * variance, the two are projections on orthogonal spaces, so the ratio follows F whatever cells are missing (Cochran,
 * "The distribution of quadratic forms in a normal system", 1934). Two-sided, times the number of variants tested
 * (Bonferroni), as Cochran, "The distribution of the largest of a set of estimated variances", 1941, does for one-way
 * layouts. With one degree of freedom only noisier is asked: shares of right answers lie on a grid, where a single
 * residual is exactly zero too often to mean calm.
 *
 * Returns: p of "all variances are the same"; NaN when it cannot be asked (fewer than three variants or two seeds)
 */
FM_API gdouble fm_layout_spread_p (FmLayout *layout);

G_END_DECLS
