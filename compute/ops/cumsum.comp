#version 450
// cumsum.comp: one invocation walks one line of x [outer, axis, inner] along the axis.
#include "common.glsl"
layout (push_constant) uniform Push { uint offset, outer, axis, inner, exclusive, reverse; } push;
layout (binding = 0) readonly buffer X { float x[]; };
layout (binding = 1) writeonly buffer Y { float y[]; };

void main ()
{
  uint line = element_index ();
  float sum = 0.0;

  if (line >= push.outer * push.inner)
    return;
  for (uint k = 0; k < push.axis; k++)
    {
      uint a = push.reverse != 0 ? push.axis - 1 - k : k;
      uint at = (line / push.inner * push.axis + a) * push.inner + line % push.inner;
      float before = sum;

      sum += x[push.offset + at];
      y[at] = push.exclusive != 0 ? before : sum;
    }
}
