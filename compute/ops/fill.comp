#version 450
// fill.comp: kind 0: one word everywhere; 1: 0, 1, 2, ...; 2: one-hot rows of push.classes.
#include "common.glsl"
layout (push_constant) uniform Push { uint kind, count, classes, offset, word; } push;
layout (binding = 0) readonly buffer Index { int index[]; };
layout (binding = 1) writeonly buffer Y { uint y[]; };

void main ()
{
  uint i = element_index ();

  if (i >= push.count)
    return;
  if (push.kind == 0)
    y[i] = push.word;
  else if (push.kind == 1)
    y[i] = i;
  else
    y[i] = floatBitsToUint (index[push.offset + i / push.classes] == int (i % push.classes) ? 1.0 : 0.0);
}
