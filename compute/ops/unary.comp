#version 450
// unary.comp: y = f (x). Constant 3: the kind, in the order of unary.c; push.c: the scalar.
#include "common.glsl"
#include "elementwise.glsl"
#include "math.glsl"
layout (constant_id = 3) const uint KIND = 0;
layout (binding = 0) readonly buffer X { float x[]; };
layout (binding = 1) writeonly buffer Y { float y[]; };

float apply (float v)
{
  switch (KIND)
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
    case 12: return v > 0.0 ? v : fm_exp (v) - 1.0;
    case 13: return v + push.c;
    default: return v * push.c;
    }
}

void main ()
{
  uint i = element_index ();

  if (i < push.count)
    y[i] = apply (x[at (0, i)]);
}
