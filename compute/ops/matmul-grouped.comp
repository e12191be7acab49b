#version 450
// matmul-grouped.comp: y [rows,m], each row times the weights of the group it lies in, by tiles. A tile of rows is made
// once for every group that has some of them; rows of others count as zeros and are not written.
#extension GL_GOOGLE_include_directive : enable
#extension GL_EXT_control_flow_attributes : require
#include "common.glsl"
layout (push_constant) uniform Push
{
  uint rows, groups, k, m, x_offset, w_offset, o_offset, x_row, w_group, w_row, w_column;
};
layout (binding = 0) readonly buffer X { float x[]; };
layout (binding = 1) readonly buffer W { float w[]; };
layout (binding = 2) readonly buffer Offsets { int offsets[]; };
layout (binding = 3) writeonly buffer Y { float y[]; };
#define T 4
#include "tiles.glsl"

uint row0, column0, own, first, last; // rows [first,last) are of group own

float
element_a (uint row, uint t)
{
  return row0 + row >= first && row0 + row < last ? x[x_offset + (row0 + row) * x_row + t] : 0.0;
}

float
element_b (uint t, uint column)
{
  return column0 + column < m ? w[w_offset + own * w_group + t * w_row + (column0 + column) * w_column] : 0.0;
}

void
put (bool zeros)
{
  [[unroll]] for (uint i = 0; i < T; i++)
    [[unroll]] for (uint j = 0; j < T; j++)
      {
        uint row = row0 + tile_row (i), column = column0 + tile_column (j);

        if (row >= first && row < last && column < m)
          y[row * m + column] = zeros ? 0.0 : sum[i][j / 4][j % 4];
      }
}

void main ()
{
  uint columns = (m + SIDE - 1) / SIDE, low = 0u, high = groups, end;

  row0 = group_index () / columns * SIDE;
  column0 = group_index () % columns * SIDE;
  if (row0 >= rows)
    return;
  end = min (row0 + SIDE, rows);
  // The last group that starts at or before the first row; empty ones before it start there, too.
  while (low < high)
    {
      uint middle = (low + high) / 2u;

      if (offsets[o_offset + middle] <= int (row0))
        low = middle + 1u;
      else
        high = middle;
    }
  last = row0;
  for (own = max (low, 1u) - 1u; own < groups && last < end; own++)
    {
      uint start = uint (clamp (offsets[o_offset + own], int (last), int (end)));
      uint next = uint (clamp (offsets[o_offset + own + 1u], int (start), int (end)));

      first = last;
      last = start;
      if (first < last)
        put (true);
      first = start;
      last = next;
      if (first == last)
        continue;
      tile_clear ();
      tile_product (k, true, w_column != 1u);
      put (false);
    }
  first = last;
  last = end;
  put (true);
}
