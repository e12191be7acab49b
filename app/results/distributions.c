/* distributions.c: tails and quantiles of Student's t, of F and of the binomial; every one through the incomplete beta
 * function, the noncentral t by quadrature. Checked against R's pt, qt, pf, pbinom and pt (ncp =). */
#include "app/results/distributions.h"

#include <math.h>

/* Continued fraction of the incomplete beta function, Abramowitz and Stegun 26.5.8, by the modified Lentz method
 * (Thompson and Barnett 1986): numerator and denominator are kept as ratios, so neither over- nor underflows. */
static gdouble
beta_fraction (gdouble a, gdouble b, gdouble x)
{
  const gdouble tiny = 1e-300;
  gdouble c = 1.0, d = 1.0 - (a + b) * x / (a + 1.0), h;

  d = 1.0 / (fabs (d) < tiny ? tiny : d);
  h = d;
  /* Converges within about sqrt (max (a, b)) terms for x below the mean; the bound is there for absurd df alone. */
  for (int m = 1; m < 100000; m++)
    {
      gdouble even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
      gdouble odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
      gdouble step = 1.0;

      for (int half = 0; half < 2; half++)
        {
          gdouble term = half == 0 ? even : odd;

          d = 1.0 + term * d;
          d = 1.0 / (fabs (d) < tiny ? tiny : d);
          c = 1.0 + term / c;
          c = fabs (c) < tiny ? tiny : c;
          step = c * d;
          h *= step;
        }
      if (fabs (step - 1.0) < 1e-15)
        break;
    }
  return h;
}

/* Regularised incomplete beta function I_x (a, b); @y is 1 - x, given apart so that no digits are lost near 1. */
static gdouble
beta_regularised (gdouble a, gdouble b, gdouble x, gdouble y)
{
  gdouble front;

  if (x <= 0.0)
    return 0.0;
  if (y <= 0.0)
    return 1.0;
  front = exp (lgamma (a + b) - lgamma (a) - lgamma (b) + a * log (x) + b * log (y));
  if (x < (a + 1.0) / (a + b + 2.0))
    return front * beta_fraction (a, b, x) / a;
  return 1.0 - front * beta_fraction (b, a, y) / b; /* A&S 26.5.2 */
}

gdouble
fm_t_cdf (gdouble t, gdouble df)
{
  gdouble tail;

  g_return_val_if_fail (df > 0, NAN);
  if (isnan (t))
    return NAN;
  if (isinf (t))
    return t > 0 ? 1.0 : 0.0;
  tail = 0.5 * beta_regularised (df / 2, 0.5, df / (df + t * t), t * t / (df + t * t)); /* A&S 26.5.27 */
  return t > 0 ? 1.0 - tail : tail;
}

/* P (T > |t|), without the cancellation of 1 - cdf. */
static gdouble
t_tail (gdouble t, gdouble df)
{
  return fm_t_cdf (-fabs (t), df);
}

gdouble
fm_t_quantile (gdouble p, gdouble df)
{
  gdouble tail = p < 0.5 ? p : 1.0 - p, low = 0.0, high = 1.0;

  g_return_val_if_fail (p > 0 && p < 1 && df > 0, NAN);
  if (p == 0.5)
    return 0.0;
  while (t_tail (high, df) > tail && high < 1e300)
    high *= 2;
  for (int i = 0; i < 200 && high - low > 1e-13 * high; i++)
    {
      gdouble middle = 0.5 * (low + high);

      if (t_tail (middle, df) > tail)
        low = middle;
      else
        high = middle;
    }
  return (p < 0.5 ? -0.5 : 0.5) * (low + high);
}

gdouble
fm_f_tail (gdouble f, gdouble df1, gdouble df2)
{
  g_return_val_if_fail (df1 > 0 && df2 > 0, NAN);
  if (isnan (f))
    return NAN;
  if (f <= 0)
    return 1.0;
  if (isinf (f))
    return 0.0;
  return beta_regularised (df2 / 2, df1 / 2, df2 / (df2 + df1 * f), df1 * f / (df2 + df1 * f)); /* A&S 26.6.2 */
}

gdouble
fm_binomial_cdf (gint64 k, gint64 n, gdouble p)
{
  g_return_val_if_fail (n >= 0 && p >= 0 && p <= 1, NAN);
  if (k < 0)
    return 0.0;
  if (k >= n)
    return 1.0;
  return beta_regularised (n - k, k + 1, 1 - p, p); /* A&S 26.5.24 */
}

static gdouble
normal_tail (gdouble z)
{
  return 0.5 * erfc (z / G_SQRT2);
}

gdouble
fm_t_power (gdouble t, gdouble df, gdouble noncentrality)
{
  /* T = (Z + ncp) / sqrt (W / df) with W of chi squared: the mean of P (Z > t sqrt (w / df) - ncp) over W. With
   * u = log (W / df) the density is smooth and falls off fast on both sides, like exp (df u / 2) to the left and faster
   * to the right, so the trapezium rule converges exponentially (Trefethen and Weideman, "The exponentially convergent
   * trapezoidal rule", 2014). The ends are where the density has fallen below 1e-12. */
  const int steps = df < 3 ? 400 : 200;
  const gdouble half = df / 2;
  const gdouble low = -MAX (28 / half, 9 / sqrt (half)), high = log1p (8 / sqrt (half) + 28 / half);
  const gdouble front = half * log (half) - lgamma (half), h = (high - low) / steps;
  gdouble sum = 0;

  g_return_val_if_fail (df > 0, NAN);
  for (int i = 0; i <= steps; i++)
    {
      gdouble u = low + i * h, ratio = exp (u);

      sum += exp (front + half * (u - ratio)) * normal_tail (t * sqrt (ratio) - noncentrality);
    }
  return MIN (1.0, sum * h);
}
