// unary.glsl: y = f (v) for one element, as in unary.h; @kind in the order of FM_UNARY_KINDS, @c and @d the op's numbers.
#include "math.glsl"

float fm_gelu_tanh_inner (float x)
{
  return x * (1.59576912 + 0.0713548163 * x * x);
}

float fm_unary (uint kind, float v, float c, float d)
{
  switch (kind)
    {
    case 0: return -v;
    case 1: return abs (v);
    case 2: return fm_exp (v);
    case 3: return fm_log (v);
    case 4: return sqrt (v);
    case 5: return 1.0 / sqrt (v);
    case 6: return v * v;
    case 7: return fm_tanh (v);
    case 8: return fm_sigmoid (v);
    case 9: return v < 0.0 ? 0.0 : v;
    case 10: return v * fm_normal (v).x;
    case 11: return v * fm_sigmoid (v);
    case 12: return v > 0.0 ? v : c * fm_expm1 (v);
    case 13: return v + c;
    case 14: return v * c;
    case 15: return 1.0 / v;
    case 16: return fm_erf (v);
    case 17: return v * fm_sigmoid (fm_gelu_tanh_inner (v));
    case 18: return (v < 0.0 ? 0.0 : v) + fm_log1p (fm_exp (-abs (v)));
    case 19: return v < 0.0 ? c * v : v;
    case 20: return fm_sin_shifted (v, 0);
    case 21: return fm_sin_shifted (v, 1);
    case 22: return fm_log1p (v);
    case 23: return fm_expm1 (v);
    case 24: return v > -0.6931472 ? fm_log (-fm_expm1 (v)) : fm_log1p (-fm_exp (v));
    case 25: return floor (v);
    case 26: return ceil (v);
    case 27: return roundEven (v);
    default: return v > 0.0 ? 1.0 : (v < 0.0 ? -1.0 : v);
    }
}
