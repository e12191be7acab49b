// unary.glsl: y = f (v) for one element, as in unary.h; @kind in the order of FM_UNARY_KINDS, @c and @d the op's
// numbers. One exponential, one logarithm and one sine serve all kinds: a driver compiles every copy before it drops
// those that a constant kind does not need, twelve times over in a fused chain.
#include "math.glsl"

float fm_gelu_tanh_inner (float x)
{
  return x * (1.59576912 + 0.0713548163 * x * x);
}

float fm_unary_exponent (uint kind, float v)
{
  switch (kind)
    {
    case 7: return 2.0 * abs (v);
    case 8: case 11: return -v;
    case 10: return -0.5 * v * v;
    case 16: return -v * v;
    case 17: return -fm_gelu_tanh_inner (v);
    case 18: return -abs (v);
    default: return v;
    }
}

float fm_unary (uint kind, float v, float c, float d)
{
  float e = fm_exp (fm_unary_exponent (kind, v)), less = fm_expm1_from (v, e), near = v, l, tail;

  // log (1 + near), or the logarithm of v or of 1 - e^v where that is better
  if (kind == 18)
    near = e;
  else if (kind == 24)
    near = -e;
  if (kind != 3 && !(kind == 24 && v > -0.6931472) && near > -0.29 && near < 0.41)
    l = near + fm_log_tail (near, 0.0);
  else
    l = fm_log (kind == 3 ? v : (kind == 24 && v > -0.6931472 ? -less : 1.0 + near));
  tail = fm_normal_from (kind == 16 ? -abs (v) * 1.41421356 : v, e).x;

  switch (kind)
    {
    case 0: return -v;
    case 1: return abs (v);
    case 2: return e;
    case 3: case 22: case 24: return l;
    case 4: return sqrt (v);
    case 5: return 1.0 / sqrt (v);
    case 6: return v * v;
    case 7: return fm_tanh_from (v, e);
    case 8: return 1.0 / (1.0 + e);
    case 9: return v < 0.0 ? 0.0 : v;
    case 10: return v * tail;
    case 11: case 17: return v * (1.0 / (1.0 + e));
    case 12: return v > 0.0 ? v : c * less;
    case 13: return v + c;
    case 14: return v * c;
    case 15: return 1.0 / v;
    case 16: return fm_erf_from (v, tail);
    case 18: return (v < 0.0 ? 0.0 : v) + l;
    case 19: return v < 0.0 ? c * v : v;
    case 20: case 21: return fm_sin_shifted (v, kind == 21 ? 1 : 0);
    case 23: return less;
    case 25: return floor (v);
    case 26: return ceil (v);
    case 27: return roundEven (v);
    default: return v > 0.0 ? 1.0 : (v < 0.0 ? -1.0 : v);
    }
}
