#version 450
// gru-backward.comp: a workgroup walks one row of the batch back. The gradient that a step hands to the one before it
// lies in dh0, where it ends up: first what the gates leave, then, after a barrier, the product with the weight.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (std430, binding = 0) readonly buffer Weight { float weight[]; };
layout (std430, binding = 1) readonly buffer Saved { float saved[]; };
layout (std430, binding = 2) readonly buffer H { float h[]; };
layout (std430, binding = 3) readonly buffer H0 { float h0[]; };
layout (std430, binding = 4) readonly buffer DH { float dh[]; };
layout (std430, binding = 5) buffer DX { float dx[]; };
layout (std430, binding = 6) coherent buffer DA { float da[]; };
layout (std430, binding = 7) coherent buffer Carried { float carried[]; };
layout (push_constant) uniform Push { uint b, n, d, reverse, offset[8]; };

void
main ()
{
  uint row = group_index (), first = gl_LocalInvocationID.x, step = gl_WorkGroupSize.x;

  if (row >= b)
    return;
  for (uint i = first; i < d; i += step)
    carried[offset[7] + row * d + i] = 0.0;
  for (uint left = n; left > 0; left--)
    {
      uint k = left - 1, at = row * n + (reverse != 0 ? n - 1 - k : k);
      uint last = row * n + (reverse != 0 ? n - k : k - 1);

      for (uint i = first; i < d; i += step)
        {
          uint s = offset[1] + at * 4 * d + i, gx = offset[5] + at * 3 * d + i, ga = offset[6] + at * 3 * d + i;
          float r = saved[s], z = saved[s + d], v = saved[s + 2 * d], a = saved[s + 3 * d];
          float state = k == 0 ? h0[offset[3] + row * d + i] : h[offset[2] + last * d + i];
          float g = dh[offset[4] + at * d + i] + carried[offset[7] + row * d + i];
          float dn = g * (1.0 - z) * (1.0 - v * v), dr = dn * a * r * (1.0 - r), dz = g * (state - v) * z * (1.0 - z);

          dx[gx] = dr;
          dx[gx + d] = dz;
          dx[gx + 2 * d] = dn;
          da[ga] = dr;
          da[ga + d] = dz;
          da[ga + 2 * d] = dn * r;
          carried[offset[7] + row * d + i] = g * z;
        }
      memoryBarrierBuffer ();
      barrier ();
      for (uint i = first; i < d; i += step)
        {
          float sum = carried[offset[7] + row * d + i];

          for (uint m = 0; m < 3 * d; m++)
            sum += da[offset[6] + at * 3 * d + m] * weight[offset[0] + m * d + i];
          carried[offset[7] + row * d + i] = sum;
        }
      memoryBarrierBuffer ();
      barrier ();
    }
}
