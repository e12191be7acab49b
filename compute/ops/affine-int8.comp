#version 450
// affine-int8.comp: y [n,m] = (x w^T) x_scale scale + bias, x and w i8, summed in whole numbers, by tiles.
#extension GL_GOOGLE_include_directive : enable
#extension GL_EXT_control_flow_attributes : require
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
#define T 4
#define VECTOR ivec4
#define SCALAR int
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#include "tiles.glsl"

uint row0, column0;

int
element_a (uint row, uint t)
{
  uint at = x_offset + min (row0 + row, n - 1) * x_row + t;

  return byte_value (x[at >> 2], at & 3u);
}

int
element_b (uint t, uint column)
{
  uint at = w_offset + min (column0 + column, m - 1) * w_row + t;

  return byte_value (w[at >> 2], at & 3u);
}

void main ()
{
  uint columns = (m + SIDE - 1) / SIDE;

  row0 = group_index () / columns * SIDE;
  column0 = group_index () % columns * SIDE;
  if (row0 >= n)
    return;
  tile_clear ();
  tile_product (k, true, true);
  [[unroll]] for (uint i = 0; i < T; i++)
    [[unroll]] for (uint j = 0; j < T; j++)
      {
        uint row = row0 + tile_row (i), column = column0 + tile_column (j);

        if (row < n && column < m)
          y[row * m + column] = float (sum[i][j / 4][j % 4]) * x_scale[xs_offset + row] * scale[s_offset + column]
                                + (WITH_BIAS != 0u ? bias[b_offset + column] : 0.0);
      }
}
