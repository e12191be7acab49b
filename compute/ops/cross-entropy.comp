#version 450
// cross-entropy.comp: a workgroup for each row of logits.
#include "common.glsl"
#include "group.glsl"
#include "math.glsl"
layout (push_constant) uniform Push { uint rows, n, x_offset, target_offset; } push;
layout (binding = 0) readonly buffer X { float x[]; };
layout (binding = 1) readonly buffer Target { int target[]; };
layout (binding = 2) writeonly buffer Loss { float loss[]; };
layout (binding = 3) writeonly buffer Maximum { float maximum[]; };
layout (binding = 4) writeonly buffer LogSum { float log_sum[]; };

void main ()
{
  uint row = group_index (), start = push.x_offset + row * push.n;
  float most = uintBitsToFloat (0xFF800000u), sum = 0.0;

  if (row >= push.rows)
    return;
  for (uint i = gl_LocalInvocationID.x; i < push.n; i += gl_WorkGroupSize.x)
    most = max (most, x[start + i]);
  most = group_max (most);
  for (uint i = gl_LocalInvocationID.x; i < push.n; i += gl_WorkGroupSize.x)
    sum += fm_exp (x[start + i] - most);
  sum = fm_log (group_sum (sum));
  if (gl_LocalInvocationID.x == 0)
    {
      int t = target[push.target_offset + row];

      maximum[row] = most;
      log_sum[row] = sum;
      loss[row] = t >= 0 && t < int (push.n) ? sum - (x[start + uint (max (t, 0))] - most) : 0.0;
    }
}
