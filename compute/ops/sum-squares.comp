#version 450
// sum-squares.comp: constant 3 = 0: push.parts workgroups share x and leave one partial sum each, from push.place on,
// and the first of them zeros for those that are missing;
// 1: one invocation for each tensor adds its partial sums up in order.
#include "common.glsl"
#include "group.glsl"
layout (constant_id = 3) const uint LAST = 0;
layout (push_constant) uniform Push { uint offset, count, place, parts; } push;
layout (binding = 0) readonly buffer X { float x[]; };
layout (binding = 1) writeonly buffer Y { float y[]; };
const uint PARTS = 64; // the size of a workgroup, too

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
  if (group_index () >= push.parts)
    return;
  if (group_index () == 0 && gl_LocalInvocationID.x >= push.parts)
    y[push.place + gl_LocalInvocationID.x] = 0.0;
  for (uint i = element_index (); i < push.count; i += push.parts * gl_WorkGroupSize.x)
    sum += x[push.offset + i] * x[push.offset + i];
  sum = group_sum (sum);
  if (gl_LocalInvocationID.x == 0)
    y[push.place + group_index ()] = sum;
}
