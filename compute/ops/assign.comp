#version 450
// assign.comp: state = value, on words.
#include "common.glsl"
layout (push_constant) uniform Push { uint count, offset; } push;
layout (binding = 0) buffer State { uint state[]; };
layout (binding = 1) readonly buffer Value { uint value[]; };

void main ()
{
  uint i = element_index ();

  if (i < push.count)
    state[i] = value[push.offset + i];
}
