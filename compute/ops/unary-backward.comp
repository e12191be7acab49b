#version 450
// unary-backward.comp: dx = dy D(s). Constant 3: the kind, in the order of unary.c; push.c, push.d: the op's numbers.
#include "common.glsl"
#include "elementwise.glsl"
#include "math.glsl"
#include "unary-backward.glsl"
layout (constant_id = 3) const uint KIND = 0;
layout (binding = 0) readonly buffer S { float saved[]; };
layout (binding = 1) readonly buffer DY { float dy[]; };
layout (binding = 2) writeonly buffer DX { float dx[]; };

void main ()
{
  uint i = element_index ();

  if (i < push.count)
    dx[i] = dy[at (1, i)] * fm_unary_slope (KIND, saved[at (0, i)], push.c, push.d);
}
