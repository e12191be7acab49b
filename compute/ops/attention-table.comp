#version 450
// attention-table.comp: the table of a mask (attention-mask.glsl): its head from the push constants, or a copy of words.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (constant_id = 3) const uint copies = 0;

layout (std430, binding = 0) buffer Table { int table[]; };
layout (std430, binding = 1) readonly buffer From { int from[]; };
layout (push_constant) uniform Push { uint to, count; int head[24]; };

void
main ()
{
  uint i = element_index ();

  if (i >= count)
    return;
  if (copies != 0)
    table[to + i] = from[uint (head[0]) + i];
  else
    table[to + i] = head[i];
}
