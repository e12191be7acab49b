#version 450
// sum-squares.comp: constant 3 = 0: the workgroups share x and leave one partial sum each, from push.place on;
// 1: one invocation for each tensor adds its partial sums up in order.
#include "common.glsl"
#include "group.glsl"
layout (constant_id = 3) const uint LAST = 0;
layout (push_constant) uniform Push { uint offset, count, place; } push;
layout (binding = 0) readonly buffer X { float x[]; };
layout (binding = 1) writeonly buffer Y { float y[]; };
const uint PARTS = 16;

void main ()
{
  float sum = 0.0;

  if (LAST == 1)
    {
      uint k = element_index ();

      if (k >= push.count)
        return;
      for (uint i = 0; i < PARTS; i++)
        sum += x[k * PARTS + i];
      y[k] = sum;
      return;
    }
  if (group_index () >= PARTS)
    return;
  for (uint i = element_index (); i < push.count; i += PARTS * gl_WorkGroupSize.x)
    sum += x[push.offset + i] * x[push.offset + i];
  sum = group_sum (sum);
  if (gl_LocalInvocationID.x == 0)
    y[push.place + group_index ()] = sum;
}
