#version 450
// matmul-grouped-weights.comp: one invocation per element of dw [groups,k,m]: a sum over the rows of its group.
#include "common.glsl"
layout (push_constant) uniform Push { uint rows, groups, k, m, x_offset, dy_offset, o_offset, x_row, dy_row; };
layout (binding = 0) readonly buffer X { float x[]; };
layout (binding = 1) readonly buffer Dy { float dy[]; };
layout (binding = 2) readonly buffer Offsets { int offsets[]; };
layout (binding = 3) writeonly buffer Dw { float dw[]; };

void main ()
{
  uint i = element_index (), group = i / (k * m), row = i / m % k, column = i % m;
  float sum = 0.0;
  int start, end;

  if (i >= groups * k * m)
    return;
  start = clamp (offsets[o_offset + group], 0, int (rows));
  end = clamp (offsets[o_offset + group + 1u], start, int (rows));
  for (int t = start; t < end; t++)
    sum += x[x_offset + uint (t) * x_row + row] * dy[dy_offset + uint (t) * dy_row + column];
  dw[i] = sum;
}
