#version 450
// matmul-grouped.comp: one invocation per element of y [rows,m]: row times the weights of the group it lies in.
#include "common.glsl"
layout (push_constant) uniform Push
{
  uint rows, groups, k, m, x_offset, w_offset, o_offset, x_row, w_group, w_row, w_column;
};
layout (binding = 0) readonly buffer X { float x[]; };
layout (binding = 1) readonly buffer W { float w[]; };
layout (binding = 2) readonly buffer Offsets { int offsets[]; };
layout (binding = 3) writeonly buffer Y { float y[]; };

void main ()
{
  uint i = element_index (), row = i / m, column = i % m, low = 0u, high = groups;
  float sum = 0.0;

  if (i >= rows * m)
    return;
  // The last group that starts at or before the row; empty ones before it start there, too.
  while (low < high)
    {
      uint middle = (low + high) / 2u;

      if (offsets[o_offset + middle] <= int (row))
        low = middle + 1u;
      else
        high = middle;
    }
  if (low > 0u && int (row) < offsets[o_offset + low])
    {
      uint from = w_offset + (low - 1u) * w_group + column * w_column;

      for (uint t = 0u; t < k; t++)
        sum += x[x_offset + row * x_row + t] * w[from + t * w_row];
    }
  y[i] = sum;
}
