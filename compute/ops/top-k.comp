#version 450
// top-k.comp: an element's place is the number of elements before it in the order (larger first, then lower index
// first); each invocation counts for one element and writes it when its place is below k.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (std430, binding = 0) readonly buffer X { float x[]; };
layout (std430, binding = 1) buffer Value { float value[]; };
layout (std430, binding = 2) buffer Index { int index[]; };
layout (push_constant) uniform Push { uint count, n, k, x_offset, value_offset, index_offset; };

void
main ()
{
  uint i = element_index ();

  if (i >= count)
    return;
  uint row = i / n, column = i % n, place = 0;
  float mine = x[x_offset + i];

  for (uint j = 0; j < n; j++)
    {
      float other = x[x_offset + row * n + j];

      if (other > mine || (other == mine && j < column))
        place++;
    }
  if (place < k)
    {
      value[value_offset + row * k + place] = mine;
      index[index_offset + row * k + place] = int (column);
    }
}
