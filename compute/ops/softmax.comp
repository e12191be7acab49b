#version 450
// softmax.comp: a workgroup for each row.
#include "common.glsl"
#include "group.glsl"
#include "math.glsl"
layout (push_constant) uniform Push { uint rows, n, offset, unused; float scale; } push;
layout (binding = 0) readonly buffer X { float x[]; };
layout (binding = 1) buffer Y { float y[]; };

void main ()
{
  uint row = group_index (), in_row = push.offset + row * push.n, out_row = row * push.n;
  float most = uintBitsToFloat (0xFF800000u), sum = 0.0;

  if (row >= push.rows)
    return;
  for (uint i = gl_LocalInvocationID.x; i < push.n; i += gl_WorkGroupSize.x)
    most = max (most, x[in_row + i] * push.scale);
  most = group_max (most);
  if (!(most > uintBitsToFloat (0xFF800000u)))
    {
      // Nothing is seen: zeros; but NaN stays NaN. Told apart by bits, since NaN need not compare as it should.
      float bad = 0.0;

      for (uint i = gl_LocalInvocationID.x; i < push.n; i += gl_WorkGroupSize.x)
        bad += (floatBitsToUint (x[in_row + i]) & 0x7FFFFFFFu) > 0x7F800000u ? 1.0 : 0.0;
      bad = group_sum (bad);
      for (uint i = gl_LocalInvocationID.x; i < push.n; i += gl_WorkGroupSize.x)
        y[out_row + i] = bad > 0.0 ? uintBitsToFloat (0x7FC00000u) : 0.0;
      return;
    }
  for (uint i = gl_LocalInvocationID.x; i < push.n; i += gl_WorkGroupSize.x)
    {
      float e = fm_exp (x[in_row + i] * push.scale - most);

      y[out_row + i] = e;
      sum += e;
    }
  sum = 1.0 / group_sum (sum);
  for (uint i = gl_LocalInvocationID.x; i < push.n; i += gl_WorkGroupSize.x)
    y[out_row + i] *= sum;
}
