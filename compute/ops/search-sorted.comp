#version 450
// search-sorted.comp: y[i] is how many of the sorted m words are less than x[i], or not more.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (constant_id = 3) const uint INTEGERS = 0;

layout (std430, binding = 0) readonly buffer Sorted { uint sorted[]; };
layout (std430, binding = 1) readonly buffer X { uint x[]; };
layout (std430, binding = 2) buffer Y { int y[]; };
layout (push_constant) uniform Push { uint count, m, not_more, sorted_offset, x_offset, y_offset; };

bool goes_before (uint a, uint b)
{
  if (INTEGERS != 0)
    return int (a) < int (b) || (not_more != 0 && a == b);
  return uintBitsToFloat (a) < uintBitsToFloat (b) || (not_more != 0 && uintBitsToFloat (a) == uintBitsToFloat (b));
}

void
main ()
{
  uint i = element_index (), low = 0, high = m;

  if (i >= count)
    return;
  while (low < high)
    {
      uint middle = low + (high - low) / 2;

      if (goes_before (sorted[sorted_offset + middle], x[x_offset + i]))
        low = middle + 1;
      else
        high = middle;
    }
  y[y_offset + i] = int (low);
}
