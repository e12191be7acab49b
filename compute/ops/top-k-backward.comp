#version 450
// top-k-backward.comp: put = 1: y [..,n] is zero but for x [..,k] where the index says; put = 0: y [..,k] takes those
// elements of x [..,n].
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (constant_id = 3) const uint put = 1;

layout (std430, binding = 0) readonly buffer X { float x[]; };
layout (std430, binding = 1) readonly buffer Index { int index[]; };
layout (std430, binding = 2) buffer Y { float y[]; };
layout (push_constant) uniform Push { uint count, n, k, x_offset, index_offset, y_offset; };

void
main ()
{
  uint i = element_index ();

  if (i >= count)
    return;
  if (put != 0)
    {
      uint row = i / n;
      int column = int (i % n);
      float found = 0.0;

      for (uint j = 0; j < k; j++)
        if (index[index_offset + row * k + j] == column)
          found = x[x_offset + row * k + j];
      y[y_offset + i] = found;
    }
  else
    y[y_offset + i] = x[x_offset + i / k * n + uint (index[index_offset + i])];
}
