#version 450
// rotary.comp: pairs of numbers of x [B,H,N,d] turned by the angles of their position; the rest is copied.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (std430, binding = 0) readonly buffer X { float x[]; };
layout (std430, binding = 1) readonly buffer C { float c[]; };
layout (std430, binding = 2) readonly buffer S { float s[]; };
layout (std430, binding = 3) buffer Y { float y[]; };
layout (push_constant) uniform Push
{
  uint count, heads, n, d, pairs, table_batch, halves;
  float turn_sign;
  uint x_offset, c_offset, s_offset, y_offset, x_stride[3];
};

void
main ()
{
  uint index = element_index ();

  if (index >= count)
    return;
  uint column = index % d, row = index / d, i = row % n, h = row / n % heads, b = row / n / heads;
  uint from = x_offset + b * x_stride[0] + h * x_stride[1] + i * x_stride[2];
  float value = x[from + column];

  if (column < 2 * pairs)
    {
      bool second = halves != 0 ? column >= pairs : column % 2 == 1;
      uint pair = halves != 0 ? column % pairs : column / 2;
      uint other = halves != 0 ? (second ? column - pairs : column + pairs) : column ^ 1;
      uint at = b * table_batch + i * pairs + pair;
      float sine = s[s_offset + at] * turn_sign;

      value = value * c[c_offset + at] + x[from + other] * (second ? sine : -sine);
    }
  y[y_offset + index] = value;
}
