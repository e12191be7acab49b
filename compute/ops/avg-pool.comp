#version 450
// avg-pool.comp: mean over a window of cells of the picture; transposed = 1 divides before it sums (the gradient).
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (constant_id = 3) const uint transposed = 0;

layout (std430, binding = 0) readonly buffer X { float x[]; };
layout (std430, binding = 1) buffer Y { float y[]; };
layout (push_constant) uniform Push
{
  uint count, rows, columns, channels, x_offset, y_offset;
  int half_rows, half_columns;
};

int
inside (int at, int reach, uint size)
{
  return min (at + reach, int (size) - 1) - max (at - reach, 0) + 1;
}

void
main ()
{
  uint i = element_index ();

  if (i >= count)
    return;
  uint channel = i % channels, picture = i / (channels * columns * rows) * rows;
  int column = int (i / channels % columns), row = int (i / (channels * columns) % rows);
  float sum = 0.0;

  for (int r = max (row - half_rows, 0); r <= min (row + half_rows, int (rows) - 1); r++)
    for (int c = max (column - half_columns, 0); c <= min (column + half_columns, int (columns) - 1); c++)
      {
        float cell = x[x_offset + ((picture + uint (r)) * columns + uint (c)) * channels + channel];

        if (transposed != 0)
          cell *= 1.0 / float (inside (r, half_rows, rows) * inside (c, half_columns, columns));
        sum += cell;
      }
  if (transposed == 0)
    sum *= 1.0 / float (inside (row, half_rows, rows) * inside (column, half_columns, columns));
  y[y_offset + i] = sum;
}
