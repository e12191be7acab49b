// unary-backward.glsl: the derivative of f where s was saved, as in unary.h; @kind in the order of FM_UNARY_KINDS, @c
// and @d the op's numbers. One exponential serves all kinds, as in unary.glsl.
#include "math.glsl"

float fm_unary_slope (uint kind, float s, float c, float d)
{
  float x = kind == 10 ? -0.5 * s * s : kind == 16 ? -s * s : kind == 17 ? -s * (1.59576912 + 0.0713548163 * s * s) : -s;
  float e = fm_exp (x), t = 1.0 / (1.0 + e);

  switch (kind)
    {
    case 1: return s > 0.0 ? 1.0 : (s < 0.0 ? -1.0 : 0.0);
    case 3: return 1.0 / s;
    case 4: return 0.5 / s;
    case 5: return -0.5 * s * s * s;
    case 6: return 2.0 * s;
    case 7: return 1.0 - s * s;
    case 8: return s * (1.0 - s);
    case 9: return s > 0.0 ? 1.0 : 0.0;
    case 10:
      {
        vec2 normal = fm_normal_from (s, e);
        return normal.x + s * normal.y;
      }
    case 11: return t * (1.0 + s * (1.0 - t));
    case 12: return s > 0.0 ? 1.0 : s + c;
    case 15: return -s * s;
    case 16: return 1.12837917 * e;
    case 17: return t * (1.0 + s * (1.0 - t) * (1.59576912 + 0.214064449 * s * s));
    case 18: return t;
    case 19: return s > 0.0 ? 1.0 : c;
    case 22: return 1.0 / (1.0 + s);
    case 23: return s + 1.0;
    case 24: return -1.0 / fm_expm1_from (-s, e);
    default: return 0.0;
    }
}
