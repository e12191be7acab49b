#version 450
// recurrent.comp: a workgroup walks one row of the batch; its invocations share the units of a step. Constant 3: 0 GRU,
// 1 LSTM.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"
#include "math.glsl"

layout (constant_id = 3) const uint KIND = 0;
layout (std430, binding = 0) readonly buffer X { float x[]; };
layout (std430, binding = 1) readonly buffer Weight { float weight[]; };
layout (std430, binding = 2) readonly buffer Bias { float bias[]; };
layout (std430, binding = 3) readonly buffer H0 { float h0[]; };
layout (std430, binding = 4) readonly buffer C0 { float c0[]; };
layout (std430, binding = 5) coherent buffer H { float h[]; };
layout (std430, binding = 6) coherent buffer C { float c[]; };
layout (std430, binding = 7) buffer Saved { float saved[]; };
layout (push_constant) uniform Push { uint b, n, d, reverse, offset[8]; };

uint row;

// The state before step k of the walk: unit j.
float
before (uint k, uint j)
{
  if (k == 0)
    return h0[offset[3] + row * d + j];
  return h[offset[5] + (row * n + (reverse != 0 ? n - k : k - 1)) * d + j];
}

float
product (uint k, uint gate, uint unit)
{
  float sum = KIND == 0 ? bias[offset[2] + gate * d + unit] : 0.0;
  uint w = offset[1] + (gate * d + unit) * d;

  for (uint j = 0; j < d; j++)
    sum += weight[w + j] * before (k, j);
  return sum;
}

void
main ()
{
  row = group_index ();
  if (row >= b)
    return;
  for (uint k = 0; k < n; k++)
    {
      uint t = reverse != 0 ? n - 1 - k : k, at = row * n + t;

      for (uint i = gl_LocalInvocationID.x; i < d; i += gl_WorkGroupSize.x)
        {
          if (KIND == 0)
            {
              uint gx = offset[0] + at * 3 * d + i, s = offset[7] + at * 4 * d + i;
              float r = fm_sigmoid (x[gx] + product (k, 0, i));
              float z = fm_sigmoid (x[gx + d] + product (k, 1, i));
              float a = product (k, 2, i);
              float v = fm_tanh (x[gx + 2 * d] + r * a);

              h[offset[5] + at * d + i] = (1.0 - z) * v + z * before (k, i);
              saved[s] = r;
              saved[s + d] = z;
              saved[s + 2 * d] = v;
              saved[s + 3 * d] = a;
            }
          else
            {
              uint gx = offset[0] + at * 4 * d + i, s = offset[7] + at * 4 * d + i;
              float inside = fm_sigmoid (x[gx] + product (k, 0, i));
              float keep = fm_sigmoid (x[gx + d] + product (k, 1, i));
              float v = fm_tanh (x[gx + 2 * d] + product (k, 2, i));
              float o = fm_sigmoid (x[gx + 3 * d] + product (k, 3, i));
              float cell = k == 0 ? c0[offset[4] + row * d + i]
                                  : c[offset[6] + (row * n + (reverse != 0 ? n - k : k - 1)) * d + i];

              cell = keep * cell + inside * v;
              c[offset[6] + at * d + i] = cell;
              h[offset[5] + at * d + i] = o * fm_tanh (cell);
              saved[s] = inside;
              saved[s + d] = keep;
              saved[s + 2 * d] = v;
              saved[s + 3 * d] = o;
            }
        }
      memoryBarrierBuffer ();
      barrier ();
    }
}
