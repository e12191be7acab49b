#version 450
// matmul.comp: c [n,m] = a [n,k] b [k,m] (+ bias [m]), batched, any strides on a and b, c contiguous.
// A workgroup of 8 x 8 invocations makes a tile of 32 x 32, 4 x 4 outputs each; both operands pass through shared
// memory 16 columns of a at a time. Rows of the shared tiles are padded by one against bank conflicts.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (constant_id = 3) const uint with_bias = 0;

layout (std430, binding = 0) readonly buffer A { float a[]; };
layout (std430, binding = 1) readonly buffer B { float b[]; };
layout (std430, binding = 2) buffer C { float c[]; };
layout (std430, binding = 3) readonly buffer Bias { float bias[]; };
layout (push_constant) uniform Push
{
  uint n, m, k, a_offset, b_offset, c_offset, bias_offset, a_row, a_column, b_row, b_column;
  uint batch[4], a_batch[4], b_batch[4];
};

shared float tile_a[16][33];
shared float tile_b[16][33];

void
main ()
{
  uint columns = (m + 31) / 32, rows = (n + 31) / 32;
  uint group = group_index (), local = gl_LocalInvocationID.x;
  uint column0 = group % columns * 32, row0 = group / columns % rows * 32, item = group / columns / rows;
  uint x = local % 8, y = local / 8;
  uint from_a = a_offset, from_b = b_offset, rest = item;
  float sum[4][4];

  if (item >= batch[0] * batch[1] * batch[2] * batch[3])
    return; // the whole workgroup: group_index () may run past the last one
  for (int i = 3; i >= 0; i--)
    {
      from_a += rest % batch[i] * a_batch[i];
      from_b += rest % batch[i] * b_batch[i];
      rest /= batch[i];
    }
  for (uint i = 0; i < 4; i++)
    for (uint j = 0; j < 4; j++)
      sum[i][j] = 0.0;

  for (uint inner = 0; inner < k; inner += 16)
    {
      for (uint e = local; e < 512; e += 64)
        {
          // The faster index of the load follows the unit stride of the operand.
          uint ra = a_column == 1 ? e / 16 : e % 32, ca = a_column == 1 ? e % 16 : e / 32;
          uint rb = b_column == 1 ? e / 32 : e % 16, cb = b_column == 1 ? e % 32 : e / 16;
          bool in_a = row0 + ra < n && inner + ca < k, in_b = inner + rb < k && column0 + cb < m;

          tile_a[ca][ra] = in_a ? a[from_a + (row0 + ra) * a_row + (inner + ca) * a_column] : 0.0;
          tile_b[rb][cb] = in_b ? b[from_b + (inner + rb) * b_row + (column0 + cb) * b_column] : 0.0;
        }
      barrier ();
      for (uint t = 0; t < 16; t++)
        for (uint i = 0; i < 4; i++)
          for (uint j = 0; j < 4; j++)
            sum[i][j] = fma (tile_a[t][y + 8 * i], tile_b[t][x + 8 * j], sum[i][j]);
      barrier ();
    }
  for (uint i = 0; i < 4; i++)
    for (uint j = 0; j < 4; j++)
      {
        uint row = row0 + y + 8 * i, column = column0 + x + 8 * j;

        if (row < n && column < m)
          c[c_offset + (item * n + row) * m + column] = sum[i][j] + (with_bias != 0 ? bias[bias_offset + column] : 0.0);
      }
}
