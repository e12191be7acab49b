#version 450
// where.comp: y = mask != 0 ? a : b, on words, so that the type does not matter.
#include "common.glsl"
#include "elementwise.glsl"
layout (binding = 0) readonly buffer M { float mask[]; };
layout (binding = 1) readonly buffer A { uint a[]; };
layout (binding = 2) readonly buffer B { uint b[]; };
layout (binding = 3) writeonly buffer Y { uint y[]; };

void main ()
{
  uint i = element_index ();

  if (i >= push.count)
    return;
  if (mask[at (0, i)] != 0.0)
    y[i] = a[at (1, i)];
  else
    y[i] = b[at (2, i)];
}
