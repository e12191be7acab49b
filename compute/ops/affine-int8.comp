#version 450
// affine-int8.comp: y [n,m] = (x w^T) x_scale scale + bias, x and w i8, summed in whole numbers; an invocation per element.
#include "common.glsl"
#include "half.glsl"
layout (constant_id = 4) const uint WITH_BIAS = 0;
layout (push_constant) uniform Push
{
  uint n, m, k, x_offset, w_offset, xs_offset, s_offset, b_offset, x_row, w_row;
};
layout (binding = 0) readonly buffer X { uint x[]; };
layout (binding = 1) readonly buffer XScale { float x_scale[]; };
layout (binding = 2) readonly buffer W { uint w[]; };
layout (binding = 3) readonly buffer Scale { float scale[]; };
layout (binding = 4) readonly buffer Bias { float bias[]; };
layout (binding = 5) buffer Y { float y[]; };

void main ()
{
  uint i = element_index (), row = i / m, column = i % m;
  int sum = 0;

  if (i >= n * m)
    return;
  for (uint t = 0u; t < k; t++)
    {
      uint a = x_offset + row * x_row + t, b = w_offset + column * w_row + t;

      sum += byte_value (x[a >> 2], a & 3u) * byte_value (w[b >> 2], b & 3u);
    }
  y[i] = float (sum) * x_scale[xs_offset + row] * scale[s_offset + column]
         + (WITH_BIAS != 0u ? bias[b_offset + column] : 0.0);
}
