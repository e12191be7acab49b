#version 450
// log-sum-exp.comp: a workgroup for each row.
#include "common.glsl"
#include "group.glsl"
#include "math.glsl"
layout (push_constant) uniform Push { uint rows, n, offset; } push;
layout (binding = 0) readonly buffer X { float x[]; };
layout (binding = 1) writeonly buffer Y { float y[]; };

void main ()
{
  uint row = group_index (), start = push.offset + row * push.n;
  float most = uintBitsToFloat (0xFF800000u), sum = 0.0;

  if (row >= push.rows)
    return;
  for (uint i = gl_LocalInvocationID.x; i < push.n; i += gl_WorkGroupSize.x)
    most = fm_is_nan (x[start + i]) ? most : max (most, x[start + i]);
  most = group_max (most);
  most = fm_is_infinite (most) ? 0.0 : most;
  for (uint i = gl_LocalInvocationID.x; i < push.n; i += gl_WorkGroupSize.x)
    sum += fm_exp (x[start + i] - most);
  sum = group_sum (sum);
  if (gl_LocalInvocationID.x == 0)
    y[row] = fm_is_nan (sum) ? sum : most + fm_log (sum);
}
