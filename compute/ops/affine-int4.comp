#version 450
// affine-int4.comp: y [n,m] = x w^T + bias; an invocation per element.
#include "common.glsl"
#include "int4.glsl"
layout (constant_id = 3) const uint WITH_BIAS = 0;
layout (binding = 0) readonly buffer X { float x[]; };
layout (binding = 1) readonly buffer Packed { uint packed[]; };
layout (binding = 2) readonly buffer Scale { float scale[]; };
layout (binding = 3) readonly buffer Bias { float bias[]; };
layout (binding = 4) buffer Y { float y[]; };

void main ()
{
  uint i = element_index (), row = i / m, column = i % m, from = w_offset + column * w_row;
  float sum = 0.0;

  if (i >= n * m)
    return;
  for (uint t = 0u; t < k; t++)
    {
      uint at = from + code_byte (t);
      float value = level[bitfieldExtract (packed[at >> 2], int (8u * (at & 3u) + code_bit (t)), 4)]
                    * scale[s_offset + column * s_row + t / group];

      sum += x[x_offset + row * x_row + t] * value;
    }
  if (WITH_BIAS != 0u)
    sum += bias[b_offset + column];
  y[i] = sum;
}
