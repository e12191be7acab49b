#version 450
// unary.comp: y = f (x). Constant 3: the kind, in the order of unary.c; push.c, push.d: the numbers of the op.
#include "common.glsl"
#include "elementwise.glsl"
#include "math.glsl"
#include "unary.glsl"
layout (constant_id = 3) const uint KIND = 0;
layout (binding = 0) readonly buffer X { float x[]; };
layout (binding = 1) writeonly buffer Y { float y[]; };

void main ()
{
  uint i = element_index ();

  if (i < push.count)
    y[i] = fm_unary (KIND, x[at (0, i)], push.c, push.d);
}
