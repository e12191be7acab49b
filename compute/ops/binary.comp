#version 450
// binary.comp: out = a OP b, both broadcast. Constant 3: the kind, in the order of binary.c; 4: 1 for i32 operands.
#include "common.glsl"
#include "elementwise.glsl"
layout (constant_id = 3) const uint KIND = 0;
layout (constant_id = 4) const uint INTEGER = 0;
layout (binding = 0) readonly buffer A { uint a[]; };
layout (binding = 1) readonly buffer B { uint b[]; };
layout (binding = 2) writeonly buffer Out { uint y[]; };

uint flag (bool v) { return floatBitsToUint (v ? 1.0 : 0.0); }

uint apply_f32 (float u, float v)
{
  switch (KIND)
    {
    case 0: return floatBitsToUint (u + v);
    case 1: return floatBitsToUint (u - v);
    case 2: return floatBitsToUint (u * v);
    case 3: return floatBitsToUint (u / v);
    case 4: return floatBitsToUint (u < v ? u : v);
    case 5: return floatBitsToUint (u > v ? u : v);
    case 6: return flag (u < v);
    case 7: return flag (u <= v);
    default: return flag (u == v);
    }
}

uint apply_i32 (int u, int v)
{
  switch (KIND)
    {
    case 0: return uint (u + v);
    case 1: return uint (u - v);
    case 2: return uint (u * v);
    case 4: return uint (min (u, v));
    case 5: return uint (max (u, v));
    case 6: return flag (u < v);
    case 7: return flag (u <= v);
    default: return flag (u == v);
    }
}

void main ()
{
  uint i = element_index ();

  if (i >= push.count)
    return;
  if (INTEGER == 1)
    y[i] = apply_i32 (int (a[at (0, i)]), int (b[at (1, i)]));
  else
    y[i] = apply_f32 (uintBitsToFloat (a[at (0, i)]), uintBitsToFloat (b[at (1, i)]));
}
