/* distributions.h: the few distributions that statements about runs rest on. Pure functions. */
#pragma once

#include "base/base.h"

G_BEGIN_DECLS

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

/** fm_f_tail: P (F > f) for @df1 and @df2 degrees of freedom. Source: Abramowitz and Stegun, 26.6.2. Error as fm_t_cdf. */
FM_API gdouble fm_f_tail (gdouble f, gdouble df1, gdouble df2);

/** fm_binomial_cdf: P (X <= k) in @n draws. Source: Abramowitz and Stegun, 26.5.24. Error as fm_t_cdf for n to 1e6. */
FM_API gdouble fm_binomial_cdf (gint64 k, gint64 n, gdouble p);

/**
 * fm_t_power:
 * @t: critical value
 * @noncentrality: the true difference over its standard error
 *
 * P (T > t) for the noncentral t: how often a one-sided test rejects. Source: Johnson and Welch, "Applications of the
 * non-central t-distribution", 1940, the integral over the chi distribution. Error: below 1e-8 absolute for df >= 1.
 */
FM_API gdouble fm_t_power (gdouble t, gdouble df, gdouble noncentrality);

G_END_DECLS
