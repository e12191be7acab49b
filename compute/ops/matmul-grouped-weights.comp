#version 450
// matmul-grouped-weights.comp: dw [groups,k,m], for each group a product x^T dy over its rows, by tiles.
#extension GL_GOOGLE_include_directive : enable
#extension GL_EXT_control_flow_attributes : require
#include "common.glsl"
layout (push_constant) uniform Push { uint rows, groups, k, m, x_offset, dy_offset, o_offset, x_row, dy_row; };
layout (binding = 0) readonly buffer X { float x[]; };
layout (binding = 1) readonly buffer Dy { float dy[]; };
layout (binding = 2) readonly buffer Offsets { int offsets[]; };
layout (binding = 3) writeonly buffer Dw { float dw[]; };
#define T 4
#include "tiles.glsl"

uint row0, column0, start; // row0: in k

float
element_a (uint row, uint t)
{
  return row0 + row < k ? x[x_offset + (start + t) * x_row + row0 + row] : 0.0;
}

float
element_b (uint t, uint column)
{
  return column0 + column < m ? dy[dy_offset + (start + t) * dy_row + column0 + column] : 0.0;
}

void main ()
{
  uint columns = (m + SIDE - 1) / SIDE, bands = (k + SIDE - 1) / SIDE, group = group_index () / columns / bands;
  int end;

  if (group >= groups)
    return;
  row0 = group_index () / columns % bands * SIDE;
  column0 = group_index () % columns * SIDE;
  start = uint (clamp (offsets[o_offset + group], 0, int (rows)));
  end = clamp (offsets[o_offset + group + 1u], int (start), int (rows));
  tile_clear ();
  tile_product (uint (end) - start, false, false);
  [[unroll]] for (uint i = 0; i < T; i++)
    [[unroll]] for (uint j = 0; j < T; j++)
      {
        uint row = row0 + tile_row (i), column = column0 + tile_column (j);

        if (row < k && column < m)
          dw[(group * k + row) * m + column] = sum[i][j / 4][j % 4];
      }
}
