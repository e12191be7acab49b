#version 450
// affine-stored.comp: y [n,m] = x w^T scale + bias, w stored as f16 (constant 5 = 1) or i8, widened on its way into a
// tile.
#extension GL_GOOGLE_include_directive : enable
#extension GL_EXT_control_flow_attributes : require
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
#define T 4
#include "tiles.glsl"

uint row0, column0;

float
element_a (uint row, uint t)
{
  return row0 + row < n ? x[x_offset + (row0 + row) * x_row + t] : 0.0;
}

float
element_b (uint t, uint column)
{
  uint at = w_offset + min (column0 + column, m - 1) * w_row + t;

  return HALF != 0u ? half_value (w[at >> 1] >> (16u * (at & 1u))) : float (byte_value (w[at >> 2], at & 3u));
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
        float value = sum[i][j / 4][j % 4];

        if (row >= n || column >= m)
          continue;
        if (WITH_SCALE != 0u)
          value *= scale[s_offset + column];
        if (WITH_BIAS != 0u)
          value += bias[b_offset + column];
        y[row * m + column] = value;
      }
}
