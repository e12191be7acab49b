#version 450
// dynamic-slice.comp: KIND 0: y takes `narrow` elements of x from a position on; 1: y is zero but for x there; 2: y is x
// turned by a shift; 3: the `narrow` elements of x go to a position of y. See dynamic-slice.c.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (constant_id = 3) const uint KIND = 0;

layout (std430, binding = 0) readonly buffer X { uint x[]; };
layout (std430, binding = 1) buffer Y { uint y[]; };
layout (std430, binding = 2) readonly buffer Start { int start[]; };
layout (push_constant) uniform Push { uint count, inner, wide, narrow, batch, x_offset, y_offset, start_offset, negative; };

void
main ()
{
  uint i = element_index ();

  if (i >= count)
    return;
  uint dim = KIND == 0 || KIND == 3 ? narrow : wide;
  uint column = i % inner, row = i / inner % dim, outer = i / inner / dim;
  int position = start[start_offset + outer / batch];
  uint first = uint (clamp (position, 0, int (wide - narrow)));

  if (KIND == 0)
    y[y_offset + i] = x[x_offset + (outer * wide + first + row) * inner + column];
  else if (KIND == 1)
    y[y_offset + i] = row >= first && row - first < narrow
                      ? x[x_offset + (outer * narrow + row - first) * inner + column] : 0u;
  else if (KIND == 2)
    {
      // Remainders of numbers that are not negative: others differ between devices.
      uint size = position < 0 ? uint (-(position + 1)) % wide + 1 : uint (position) % wide;
      bool back = (position < 0) != (negative != 0);
      uint from = (back ? row + size % wide : row + wide - size % wide) % wide;

      y[y_offset + i] = x[x_offset + (outer * wide + from) * inner + column];
    }
  else
    y[y_offset + (outer * wide + first + row) * inner + column] = x[x_offset + i];
}
