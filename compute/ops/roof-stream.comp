#version 450
// roof-stream.comp: a copy by four floats at a time, to see how fast the memory of a device is.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (std430, binding = 0) readonly buffer X { vec4 x[]; };
layout (std430, binding = 1) writeonly buffer Y { vec4 y[]; };
layout (push_constant) uniform Push { uint count; }; // of vec4

void
main ()
{
  uint e = element_index ();

  if (e < count)
    y[e] = x[e];
}
