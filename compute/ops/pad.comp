#version 450
// pad.comp: y [outer,out_dim,inner] holds x [outer,in_dim,inner] from row `before` on, zeros around it.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (std430, binding = 0) readonly buffer X { uint x[]; };
layout (std430, binding = 1) buffer Y { uint y[]; };
layout (push_constant) uniform Push { uint count, inner, out_dim, in_dim, before, x_offset, y_offset; };

void
main ()
{
  uint i = element_index ();
  uint column = i % inner, row = i / inner % out_dim, outer = i / inner / out_dim;
  bool inside = row >= before && row - before < in_dim;

  if (i < count)
    y[y_offset + i] = inside ? x[x_offset + (outer * in_dim + row - before) * inner + column] : 0u;
}
