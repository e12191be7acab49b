#version 450
// binary.comp: out = a OP b, both broadcast. Constant 3: the kind, in the order of binary.c; 4: 1 for i32 operands.
#include "common.glsl"
#include "elementwise.glsl"
#include "binary.glsl"
layout (constant_id = 3) const uint KIND = 0;
layout (constant_id = 4) const uint INTEGER = 0;
layout (binding = 0) readonly buffer A { uint a[]; };
layout (binding = 1) readonly buffer B { uint b[]; };
layout (binding = 2) writeonly buffer Out { uint y[]; };

void main ()
{
  uint i = element_index ();

  if (i >= push.count)
    return;
  if (INTEGER == 1)
    y[i] = fm_binary_i32 (KIND, int (a[at (0, i)]), int (b[at (1, i)]));
  else
    y[i] = fm_binary_f32 (KIND, uintBitsToFloat (a[at (0, i)]), uintBitsToFloat (b[at (1, i)]));
}
