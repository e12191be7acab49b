#version 450
// affine-stored.comp: y [n,m] = x w^T scale + bias, w stored as f16 (constant 5 = 1) or i8; an invocation per element.
#include "common.glsl"
#include "half.glsl"
layout (constant_id = 3) const uint WITH_SCALE = 0;
layout (constant_id = 4) const uint WITH_BIAS = 0;
layout (constant_id = 5) const uint HALF = 0;
layout (push_constant) uniform Push
{
  uint n, m, k, x_offset, w_offset, xs_offset, s_offset, b_offset, x_row, w_row;
};
layout (binding = 0) readonly buffer X { float x[]; };
layout (binding = 2) readonly buffer W { uint w[]; };
layout (binding = 3) readonly buffer Scale { float scale[]; };
layout (binding = 4) readonly buffer Bias { float bias[]; };
layout (binding = 5) buffer Y { float y[]; };

void main ()
{
  uint i = element_index (), row = i / m, column = i % m, from = w_offset + column * w_row;
  float sum = 0.0;

  if (i >= n * m)
    return;
  for (uint t = 0u; t < k; t++)
    {
      uint at = from + t;
      float value = HALF != 0u ? half_value (w[at >> 1] >> (16u * (at & 1u)))
                               : float (byte_value (w[at >> 2], at & 3u));

      sum += x[x_offset + row * x_row + t] * value;
    }
  if (WITH_SCALE != 0u)
    sum *= scale[s_offset + column];
  if (WITH_BIAS != 0u)
    sum += bias[b_offset + column];
  y[i] = sum;
}
