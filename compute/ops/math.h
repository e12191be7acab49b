/* math.h: elementary functions that vectorise. Straight-line code without tables or calls, so that a loop over them
 * becomes vector instructions at every processor level. The polynomials are minimax fits made for these forms.
 *
 * They hold under -O3 -fno-math-errno -fno-trapping-math; -ffast-math would fold the rounding constant away. */
#pragma once

#include "compute/compute-private.h"

#include <math.h>
#include <string.h>

FM_INLINE guint32
fm_bits_of (float x)
{
  guint32 u;

  memcpy (&u, &x, sizeof u);
  return u;
}

FM_INLINE float
fm_float_of (guint32 u)
{
  float x;

  memcpy (&x, &u, sizeof x);
  return x;
}

/* Relative error at most this for every finite result that is not subnormal. */
#define FM_EXPF_MAX_ERR 1.5e-7

/**
 * fm_expf:
 *
 * e^x. 0 gives 1, -inf 0, +inf inf, NaN NaN; results below 2^-126 are subnormal, then 0.
 * x = n ln 2 + r, |r| <= ln 2 / 2; adding 1.5 * 2^23 rounds x / ln 2 to the integer n and leaves it in the low bits.
 * 2^n is applied as two factors, since n = 128 and n < -126 are no exponents of a normal number.
 */
FM_INLINE float
fm_expf (float x)
{
  const float magic = 12582912.0f;
  float t, n, r, p;
  gint32 k, k1;

  x = x > 89.0f ? 89.0f : x; /* these keep NaN, since every comparison with it is false */
  x = x < -104.0f ? -104.0f : x;
  t = x * 1.44269504f + magic;
  n = t - magic;
  r = x - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  p = 0.00138131441f;
  p = p * r + 0.00836941882f;
  p = p * r + 0.0416684568f;
  p = p * r + 0.166665148f;
  p = p * r + 0.499999931f;
  p = p * (r * r) + r;
  p = p + 1.0f;
  k = (gint32) (fm_bits_of (t) - 0x4B400000u);
  k1 = k >> 1;
  return p * fm_float_of ((guint32) (k1 + 127) << 23) * fm_float_of ((guint32) (k - k1 + 127) << 23);
}

#define FM_EXP2F_LOW_MAX_ERR 2e-7

/**
 * fm_exp2f_low:
 *
 * 2^x for x <= 127, the exponential of a softmax, whose arguments are not above 0 but for rounding: below -126 the result
 * is 0, never subnormal, so that one factor does and nothing need be clamped. NaN gives NaN or 0.
 */
FM_INLINE float
fm_exp2f_low (float x)
{
  const float magic = 12582912.0f; /* 1.5 * 2^23: rounds to an integer and leaves it in the low bits */
  float t = x + magic, r = x - (t - magic), p;

  p = 0.001326472731307149f;
  p = p * r + 0.009671512991189957f;
  p = p * r + 0.05550733581185341f;
  p = p * r + 0.24022242426872253f;
  p = p * r + 0.6931470036506653f;
  p = p * r + 1.0f;
  p = fm_float_of (fm_bits_of (p) + (fm_bits_of (t) << 23));
  return x < -126.0f ? 0.0f : p;
}

#define FM_LOGF_MAX_ERR 1.5e-7 /* relative; absolute where |log x| < 1 */

/* f^3 P(f) - f^2/2 = log (1 + f) - f for 1 + f in [sqrt 1/2, sqrt 2). */
FM_INLINE float
fm_log_tail (float f, float n)
{
  float p;

  p = 0.0692104463f;
  p = p * f - 0.117806975f;
  p = p * f + 0.118651312f;
  p = p * f - 0.123855523f;
  p = p * f + 0.142200218f;
  p = p * f - 0.166692164f;
  p = p * f + 0.200021461f;
  p = p * f - 0.249999864f;
  p = p * f + 0.333333119f;
  p = p * f * f * f;
  p = p - n * 2.12194440e-4f;
  return p - 0.5f * f * f;
}

/** fm_logf: natural logarithm. 0 gives -inf, negative NaN, +inf inf; subnormal arguments are exact. */
FM_INLINE float
fm_logf (float x)
{
  gboolean tiny = x < 1.17549435e-38f;
  float y = tiny ? x * 8388608.0f : x;
  guint32 u = fm_bits_of (y);
  gint32 e = (gint32) (u - 0x3F3504F3u) >> 23; /* so that the mantissa lies in [sqrt 1/2, sqrt 2) */
  float f = fm_float_of (u - ((guint32) e << 23)) - 1.0f;
  float n = (float) (tiny ? e - 23 : e);
  float r = f + fm_log_tail (f, n);

  r = r + n * 0.693359375f;
  r = x == INFINITY ? INFINITY : r;
  r = x == 0.0f ? -INFINITY : r;
  return x >= 0.0f ? r : NAN;
}

#define FM_TANHF_MAX_ERR 2e-7 /* relative */

/** fm_tanhf: a polynomial near 0, where 1 - 2 / (e^2x + 1) would cancel. */
FM_INLINE float
fm_tanhf (float x)
{
  float a = fabsf (x), u = x * x;
  float p, near, far;

  p = -0.00571750489f;
  p = p * u + 0.020651052f;
  p = p * u - 0.0537436634f;
  p = p * u + 0.133314937f;
  p = p * u - 0.33333284f;
  near = x + x * u * p;
  far = copysignf (1.0f - 2.0f / (fm_expf (2.0f * a) + 1.0f), x);
  return a < 0.625f ? near : (x != x ? x : far);
}

#define FM_SIGMOIDF_MAX_ERR 3e-7 /* relative */

/** fm_sigmoidf: 1 / (1 + e^-x); far below zero e^-x overflows to inf and the result is 0. */
FM_INLINE float
fm_sigmoidf (float x)
{
  return 1.0f / (1.0f + fm_expf (-x));
}

#define FM_NORMAL_MAX_ERR 1e-6 /* relative, in the lower tail down to x = -5 (1.6e-6 without FMA); absolute elsewhere */

/**
 * fm_normalf:
 * @density: (out): e^(-x^2/2) / sqrt (2 pi)
 *
 * The normal distribution function, 0.5 (1 + erf (x / sqrt 2)), and its density, from one exponential:
 * for z = |x| / sqrt 2, 0.5 erfc (z) = e^(-z^2) t P(t) with t = 1 / (1 + 0.3 z). Nothing cancels in the lower tail,
 * which is the reason not to go through erf. The exponential is that of fm_exp2f_low(), but x^2 / (2 ln 2) is rounded only
 * after its integer has been taken off: one rounding of a number up to 18 less.
 */
FM_INLINE float
fm_normalf (float x, float *density)
{
  const float magic = 12582912.0f; /* 1.5 * 2^23 */
  float a = fabsf (x);
  float t = 1.0f / (1.0f + 0.212132034f * a);
  float u = x * x, shifted = u * -0.721347520f + magic, r = u * -0.721347520f - (shifted - magic);
  float p, e;

  e = 0.001326472731307149f;
  e = e * r + 0.009671512991189957f;
  e = e * r + 0.05550733581185341f;
  e = e * r + 0.24022242426872253f;
  e = e * r + 0.6931470036506653f;
  e = e * r + 1.0f;
  e = fm_float_of (fm_bits_of (e) + (fm_bits_of (shifted) << 23));
  e = u > 174.0f ? 0.0f : e; /* below 2^-125 */

  p = -0.0647613661f;
  p = p * t + 0.242781185f;
  p = p * t - 0.256138172f;
  p = p * t + 0.273859011f;
  p = p * t - 0.0473246641f;
  p = p * t + 0.107462729f;
  p = p * t + 0.074169663f;
  p = p * t + 0.0853576024f;
  p = p * t + 0.0845940033f;
  p = p * t * e;
  *density = 0.398942280f * e;
  return x < 0.0f ? p : 1.0f - p;
}

#define FM_LOG1PF_MAX_ERR 3e-7 /* relative */

/** fm_log1pf: log (1 + x), without the loss of 1 + x near 0. */
FM_INLINE float
fm_log1pf (float x)
{
  float near = x + fm_log_tail (x, 0.0f), far = fm_logf (1.0f + x);

  return x > -0.29f && x < 0.41f ? near : far;
}

#define FM_EXPM1F_MAX_ERR 4e-7 /* relative */

/** fm_expm1f: e^x - 1, without the cancellation near 0. */
FM_INLINE float
fm_expm1f (float x)
{
  float p, far = fm_expf (x) - 1.0f;

  p = 0.000198498113f;
  p = p * x + 0.001399618f;
  p = p * x + 0.00833357905f;
  p = p * x + 0.0416653585f;
  p = p * x + 0.16666664f;
  p = p * x + 0.500000039f;
  p = p * (x * x) + x;
  return fabsf (x) < 0.5f ? p : far;
}

#define FM_ERFF_MAX_ERR 3e-7 /* relative */

/** fm_erff: a polynomial near 0; from 0.9 on one minus the tail, twice that of the normal distribution. */
FM_INLINE float
fm_erff (float x)
{
  float density, u = x * x, p, far;

  p = 7.85412994e-05f;
  p = p * u - 0.00080102825f;
  p = p * u + 0.00518833904f;
  p = p * u - 0.0268538189f;
  p = p * u + 0.112835854f;
  p = p * u - 0.376126259f;
  p = p * u + 1.12837917f;
  far = copysignf (1.0f - 2.0f * fm_normalf (-fabsf (x) * 1.41421356f, &density), x);
  return fabsf (x) < 0.9f ? p * x : far;
}

#define FM_SINF_MAX_ERR   2e-7   /* absolute, for |x| up to FM_SINF_MAX_RANGE */
#define FM_SINF_MAX_RANGE 1e5f   /* beyond it the error grows with |x|; results stay within -1.01 and 1.01 */

/**
 * fm_sin_shifted:
 * @quarter: 0 for sin (x), 1 for cos (x) = sin (x + pi/2)
 *
 * x = n pi/2 + r; pi/2 in four parts, the first three of eight bits each, so that their products with an n of sixteen
 * bits are exact (Cody and Waite's reduction). inf and NaN give NaN.
 */
FM_INLINE float
fm_sin_shifted (float x, gint32 quarter)
{
  const float magic = 12582912.0f;
  float t = x * 0.636619772f + magic, n = t - magic, r, u, s, c, y;
  gint32 k = (gint32) (fm_bits_of (t) - 0x4B400000u) + quarter;

  r = x - n * 1.5703125f;
  r = r - n * 0.000482559204f;
  r = r - n * 1.26659870e-06f;
  r = r - n * 9.92093629e-10f;
  u = r * r;
  s = -0.00019508744f;
  s = s * u + 0.00833211306f;
  s = s * u - 0.166666539f;
  s = s * (u * r) + r;
  c = 2.44256785e-05f;
  c = c * u - 0.00138872515f;
  c = c * u + 0.0416666444f;
  c = c * (u * u) + (1.0f - 0.5f * u);
  y = k & 1 ? c : s;
  y = k & 2 ? -y : y;
  return fabsf (x) <= 4e6f ? y : (fabsf (x) < INFINITY ? 0.0f : NAN); /* past 4e6 a float cannot tell its quarter */
}

FM_INLINE float
fm_sinf (float x)
{
  return fm_sin_shifted (x, 0);
}

FM_INLINE float
fm_cosf (float x)
{
  return fm_sin_shifted (x, 1);
}

#define FM_POWF_MAX_ERR 3e-7 /* relative, and 2e-7 more for each unit of |y log x| */

/** fm_powf: x^y as C has it: x^0 = 1; a negative x needs an integer y. */
FM_INLINE float
fm_powf (float x, float y)
{
  float whole = rintf (y), half = rintf (0.5f * y), r = fm_expf (y * fm_logf (fabsf (x)));

  r = y == 0.0f || x == 1.0f ? 1.0f : r;
  if (x < 0.0f)
    r = whole != y ? NAN : (2.0f * half != y ? -r : r);
  return r;
}
