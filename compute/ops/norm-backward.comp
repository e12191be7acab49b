#version 450
// norm-backward.comp: dx, a workgroup for each row; the equation stands in norm.c. Constants 3, 4: mean, gain.
#include "common.glsl"
#include "group.glsl"
layout (constant_id = 3) const uint CENTER = 0;
layout (constant_id = 4) const uint GAIN = 0;
layout (push_constant) uniform Push { uint rows, n, x, gain, dy, deviation, mean; float eps; uint blocks; } push;
layout (binding = 0) readonly buffer X { float x[]; };
layout (binding = 1) readonly buffer Gain { float gain[]; };
layout (binding = 2) readonly buffer DY { float dy[]; };
layout (binding = 3) readonly buffer Deviation { float deviation[]; };
layout (binding = 4) readonly buffer Mean { float mean_in[]; };
layout (binding = 5) writeonly buffer DX { float dx[]; };

void main ()
{
  uint row = group_index (), x_row = push.x + row * push.n, dy_row = push.dy + row * push.n;
  float mean = 0.0, d, sum = 0.0, dot = 0.0;

  if (row >= push.rows)
    return;
  d = deviation[push.deviation + row];
  if (CENTER == 1)
    mean = mean_in[push.mean + row];
  for (uint i = gl_LocalInvocationID.x; i < push.n; i += gl_WorkGroupSize.x)
    {
      float u = dy[dy_row + i];

      if (GAIN == 1)
        u *= gain[push.gain + i];
      sum += u;
      dot += u * (x[x_row + i] - mean);
    }
  dot = group_sum (dot) * d * d / float (push.n);
  sum = CENTER == 1 ? group_sum (sum) / float (push.n) : 0.0;
  for (uint i = gl_LocalInvocationID.x; i < push.n; i += gl_WorkGroupSize.x)
    {
      float u = dy[dy_row + i];

      if (GAIN == 1)
        u *= gain[push.gain + i];
      dx[row * push.n + i] = d * (u - sum - (x[x_row + i] - mean) * dot);
    }
}
