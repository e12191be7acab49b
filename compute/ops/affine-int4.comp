#version 450
// affine-int4.comp: y [n,m] = x w^T + bias by tiles; w is unpacked on its way into one.
#extension GL_GOOGLE_include_directive : enable
#extension GL_EXT_control_flow_attributes : require
#include "common.glsl"
#include "int4.glsl"
layout (constant_id = 3) const uint WITH_BIAS = 0;
layout (binding = 0) readonly buffer X { float x[]; };
layout (binding = 1) readonly buffer Packed { uint packed[]; };
layout (binding = 2) readonly buffer Scale { float scale[]; };
layout (binding = 3) readonly buffer Bias { float bias[]; };
layout (binding = 4) buffer Y { float y[]; };
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
  uint from = min (column0 + column, m - 1), at = w_offset + from * w_row + code_byte (t);

  return level[bitfieldExtract (packed[at >> 2], int (8u * (at & 3u) + code_bit (t)), 4)]
         * scale[s_offset + from * s_row + t / group];
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
          y[row * m + column] = sum[i][j / 4][j % 4] + (WITH_BIAS != 0u ? bias[b_offset + column] : 0.0);
      }
}
