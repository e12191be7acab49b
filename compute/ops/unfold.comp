#version 450
// unfold.comp: one invocation an element of the result.
#extension GL_GOOGLE_include_directive : enable
#include "window.glsl"

layout (std430, binding = 0) readonly buffer X { float a[]; };
layout (std430, binding = 1) buffer U { float u[]; };

void
main ()
{
  uint i = element_index ();

  if (i >= count)
    return;
  uint channel = i % c, tap = i / c % uint (rows * columns), place = i / c / uint (rows * columns);
  int py = int (place / ox % oy) * row_step - top + int (tap) / columns * row_dilation;
  int px = int (place % ox) * column_step - left + int (tap) % columns * column_dilation;
  bool inside = py >= 0 && py < int (y) && px >= 0 && px < int (x);

  u[offset[1] + i] = inside ? a[offset[0] + ((place / (ox * oy) * y + uint (py)) * x + uint (px)) * c + channel] : pad;
}
