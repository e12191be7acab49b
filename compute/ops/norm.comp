#version 450
// norm.comp: a workgroup for each row. Constants 3, 4, 5: mean taken off, gain, bias.
#include "common.glsl"
#include "group.glsl"
layout (constant_id = 3) const uint CENTER = 0;
layout (constant_id = 4) const uint GAIN = 0;
layout (constant_id = 5) const uint BIAS = 0;
layout (push_constant) uniform Push { uint rows, n, x, gain, bias, unused3, unused4; float eps; uint blocks; } push;
layout (binding = 0) readonly buffer X { float x[]; };
layout (binding = 1) readonly buffer Gain { float gain[]; };
layout (binding = 2) readonly buffer Bias { float bias[]; };
layout (binding = 3) writeonly buffer Y { float y[]; };
layout (binding = 4) writeonly buffer Deviation { float deviation[]; };
layout (binding = 5) writeonly buffer Mean { float mean_out[]; };

void main ()
{
  uint row = group_index (), start = push.x + row * push.n;
  float mean = 0.0, square = 0.0, d;

  if (row >= push.rows)
    return;
  if (CENTER == 1)
    {
      for (uint i = gl_LocalInvocationID.x; i < push.n; i += gl_WorkGroupSize.x)
        mean += x[start + i];
      mean = group_sum (mean) / float (push.n);
    }
  for (uint i = gl_LocalInvocationID.x; i < push.n; i += gl_WorkGroupSize.x)
    square += (x[start + i] - mean) * (x[start + i] - mean);
  d = 1.0 / sqrt (group_sum (square) / float (push.n) + push.eps);
  for (uint i = gl_LocalInvocationID.x; i < push.n; i += gl_WorkGroupSize.x)
    {
      float v = (x[start + i] - mean) * d;

      if (GAIN == 1)
        v *= gain[push.gain + i];
      if (BIAS == 1)
        v += bias[push.bias + i];
      y[row * push.n + i] = v;
    }
  if (gl_LocalInvocationID.x == 0)
    {
      deviation[row] = d;
      if (CENTER == 1)
        mean_out[row] = mean;
    }
}
