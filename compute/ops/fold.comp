#version 450
// fold.comp: one invocation an element of the picture; it adds what lies in its places, in the order of the window's cells.
#extension GL_GOOGLE_include_directive : enable
#include "window.glsl"

layout (std430, binding = 0) readonly buffer U { float u[]; };
layout (std430, binding = 1) buffer X { float a[]; };

void
main ()
{
  uint i = element_index ();

  if (i >= count)
    return;
  uint channel = i % c, cell = i / c, item = cell / (x * y);
  int cy = int (cell / x % y), cx = int (cell % x);
  float sum = 0.0;

  for (int r = 0; r < rows; r++)
    for (int s = 0; s < columns; s++)
      {
        int at_y = cy + top - r * row_dilation, at_x = cx + left - s * column_dilation;

        if (at_y < 0 || at_x < 0 || at_y % row_step != 0 || at_x % column_step != 0)
          continue;
        uint py = uint (at_y / row_step), px = uint (at_x / column_step);

        if (py < oy && px < ox)
          sum += u[offset[0] + (((item * oy + py) * ox + px) * uint (rows * columns) + uint (r * columns + s)) * c + channel];
      }
  a[offset[1] + i] = sum;
}
