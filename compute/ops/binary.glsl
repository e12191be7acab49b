// binary.glsl: a OP b for one element, as a word, as in binary.h; @kind in the order of FM_BINARY_KINDS.
#include "math.glsl"

uint fm_flag (bool v)
{
  return floatBitsToUint (v ? 1.0 : 0.0);
}

uint fm_binary_f32 (uint kind, float u, float v)
{
  switch (kind)
    {
    case 0: return floatBitsToUint (u + v);
    case 1: return floatBitsToUint (u - v);
    case 2: return floatBitsToUint (u * v);
    case 3: return floatBitsToUint (u / v);
    case 4: return floatBitsToUint (fm_is_nan (u) ? u : (fm_is_nan (v) ? v : (u < v ? u : v)));
    case 5: return floatBitsToUint (fm_is_nan (u) ? u : (fm_is_nan (v) ? v : (u > v ? u : v)));
    case 6: return floatBitsToUint (fm_pow (u, v));
    case 7: return fm_flag (u < v);
    case 8: return fm_flag (u <= v);
    case 9: return fm_flag (u == v);
    default: return fm_flag (!(u == v));
    }
}

uint fm_binary_i32 (uint kind, int u, int v)
{
  switch (kind)
    {
    case 0: return uint (u + v);
    case 1: return uint (u - v);
    case 2: return uint (u * v);
    case 4: return uint (min (u, v));
    case 5: return uint (max (u, v));
    case 7: return fm_flag (u < v);
    case 8: return fm_flag (u <= v);
    case 9: return fm_flag (u == v);
    default: return fm_flag (u != v);
    }
}
