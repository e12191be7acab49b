#version 450
// linear-scan.comp: one invocation walks one column along N.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (std430, binding = 0) readonly buffer A { float a[]; };
layout (std430, binding = 1) readonly buffer B { float b[]; };
layout (std430, binding = 2) readonly buffer Start { float start[]; };
layout (std430, binding = 3) buffer H { float h[]; };
layout (push_constant) uniform Push { uint a_offset, b_offset, start_offset, outer, n, d, reverse, has_start; };

void
main ()
{
  uint i = element_index ();

  if (i >= outer * d)
    return;
  uint column = i / d * n * d + i % d;
  float carried = has_start != 0 ? start[start_offset + i] : 0.0;

  for (uint k = 0; k < n; k++)
    {
      uint at = column + (reverse != 0 ? n - 1 - k : k) * d;

      carried = a[a_offset + at] * carried + b[b_offset + at];
      h[at] = carried;
    }
}
