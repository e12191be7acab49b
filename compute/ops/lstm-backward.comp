#version 450
// lstm-backward.comp: as gru-backward.comp; what is carried lies in dstart, first for h, then for c.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"
#include "math.glsl"

layout (std430, binding = 0) readonly buffer Weight { float weight[]; };
layout (std430, binding = 1) readonly buffer Saved { float saved[]; };
layout (std430, binding = 2) readonly buffer C { float c[]; };
layout (std430, binding = 3) readonly buffer C0 { float c0[]; };
layout (std430, binding = 4) readonly buffer DH { float dh[]; };
layout (std430, binding = 5) readonly buffer DC { float dc[]; };
layout (std430, binding = 6) coherent buffer DX { float dx[]; };
layout (std430, binding = 7) coherent buffer Carried { float carried[]; };
layout (push_constant) uniform Push { uint b, n, d, reverse, offset[8]; };

void
main ()
{
  uint row = group_index (), first = gl_LocalInvocationID.x, step = gl_WorkGroupSize.x;

  if (row >= b)
    return;
  uint of_h = offset[7] + row * d, of_c = of_h + b * d;

  for (uint i = first; i < d; i += step)
    carried[of_h + i] = carried[of_c + i] = 0.0;
  for (uint left = n; left > 0; left--)
    {
      uint k = left - 1, at = row * n + (reverse != 0 ? n - 1 - k : k);
      uint last = row * n + (reverse != 0 ? n - k : k - 1);

      for (uint i = first; i < d; i += step)
        {
          uint s = offset[1] + at * 4 * d + i, gx = offset[6] + at * 4 * d + i;
          float inside = saved[s], keep = saved[s + d], v = saved[s + 2 * d], o = saved[s + 3 * d];
          float state = k == 0 ? c0[offset[3] + row * d + i] : c[offset[2] + last * d + i];
          float g = dh[offset[4] + at * d + i] + carried[of_h + i], t = fm_tanh (c[offset[2] + at * d + i]);
          float cell = carried[of_c + i] + dc[offset[5] + at * d + i] + g * o * (1.0 - t * t);

          dx[gx] = cell * v * inside * (1.0 - inside);
          dx[gx + d] = cell * state * keep * (1.0 - keep);
          dx[gx + 2 * d] = cell * inside * (1.0 - v * v);
          dx[gx + 3 * d] = g * t * o * (1.0 - o);
          carried[of_c + i] = cell * keep;
        }
      memoryBarrierBuffer ();
      barrier ();
      for (uint i = first; i < d; i += step)
        {
          float sum = 0.0;

          for (uint m = 0; m < 4 * d; m++)
            sum += dx[offset[6] + at * 4 * d + m] * weight[offset[0] + m * d + i];
          carried[of_h + i] = sum;
        }
      memoryBarrierBuffer ();
      barrier ();
    }
}
