#version 450
// put-last.comp: PUT 0: zeros in y [..,n]; 1: the elements of x [..,k] go to where the index says.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (constant_id = 3) const uint PUT = 0;

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
  if (PUT == 0)
    y[y_offset + i] = 0.0;
  else
    y[y_offset + i / k * n + uint (index[index_offset + i])] = x[x_offset + i];
}
