#version 450
// depthwise.comp: one invocation an element of the result. Constant 3: 0 the places, 1 the cells (transposed), 2 the weight;
// for the last, `pad` holds the number of pictures.
#extension GL_GOOGLE_include_directive : enable
#include "window.glsl"

layout (constant_id = 3) const uint KIND = 0;
layout (std430, binding = 0) readonly buffer A { float a[]; };
layout (std430, binding = 1) readonly buffer B { float b[]; };
layout (std430, binding = 2) buffer R { float result[]; };

void
main ()
{
  uint i = element_index ();

  if (i >= count)
    return;
  uint channel = i % c, at = i / c;
  float sum = 0.0;

  if (KIND == 2)
    {
      int r = int (at) / columns, s = int (at) % columns;

      for (uint item = 0; item < uint (pad); item++)
        for (uint py = 0; py < oy; py++)
          {
            int cy = int (py) * row_step - top + r * row_dilation;
            float line = 0.0;

            if (cy < 0 || cy >= int (y))
              continue;
            for (uint px = 0; px < ox; px++)
              {
                int cx = int (px) * column_step - left + s * column_dilation;

                if (cx >= 0 && cx < int (x))
                  line += a[offset[0] + ((item * y + uint (cy)) * x + uint (cx)) * c + channel]
                          * b[offset[1] + ((item * oy + py) * ox + px) * c + channel];
              }
            sum += line;
          }
      result[offset[2] + i] = sum;
      return;
    }
  for (int r = 0; r < rows; r++)
    for (int s = 0; s < columns; s++)
      {
        float w = b[offset[1] + uint (r * columns + s) * c + channel];

        if (KIND == 0)
          {
            int cy = int (at / ox % oy) * row_step - top + r * row_dilation;
            int cx = int (at % ox) * column_step - left + s * column_dilation;

            if (cy >= 0 && cy < int (y) && cx >= 0 && cx < int (x))
              sum += w * a[offset[0] + ((at / (ox * oy) * y + uint (cy)) * x + uint (cx)) * c + channel];
          }
        else
          {
            int at_y = int (at / x % y) + top - r * row_dilation, at_x = int (at % x) + left - s * column_dilation;

            if (at_y < 0 || at_x < 0 || at_y % row_step != 0 || at_x % column_step != 0)
              continue;
            uint py = uint (at_y / row_step), px = uint (at_x / column_step);

            if (py < oy && px < ox)
              sum += w * a[offset[0] + ((at / (x * y) * oy + py) * ox + px) * c + channel];
          }
      }
  result[offset[2] + i] = sum;
}
