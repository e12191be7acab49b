#version 450
// fused.comp: a chain of elementwise ops. What each link does is a specialisation constant (fused.c, instruction ()),
// so the switches fold when the pipeline is made and r[] becomes plain registers: 0..5 the inputs, 6.. the links.
#include "common.glsl"
#include "math.glsl"
#include "unary.glsl"
#include "unary-backward.glsl"
#include "binary.glsl"
#include "cast.glsl"
layout (push_constant) uniform Push
{
  uint count, rank;
  uint dims[3];
  uint offset[6];
  uint stride[18];
} push;
layout (constant_id = 3) const uint COUNTS = 0;   // inputs, links << 8
layout (constant_id = 4) const uint OUTPUTS = 0;  // link of output 0, of output 1 << 8; 255 = none
layout (constant_id = 5) const uint W0 = 0;
layout (constant_id = 6) const uint C0 = 0;
layout (constant_id = 7) const uint D0 = 0;
layout (constant_id = 8) const uint W1 = 0;
layout (constant_id = 9) const uint C1 = 0;
layout (constant_id = 10) const uint D1 = 0;
layout (constant_id = 11) const uint W2 = 0;
layout (constant_id = 12) const uint C2 = 0;
layout (constant_id = 13) const uint D2 = 0;
layout (constant_id = 14) const uint W3 = 0;
layout (constant_id = 15) const uint C3 = 0;
layout (constant_id = 16) const uint D3 = 0;
layout (constant_id = 17) const uint W4 = 0;
layout (constant_id = 18) const uint C4 = 0;
layout (constant_id = 19) const uint D4 = 0;
layout (constant_id = 20) const uint W5 = 0;
layout (constant_id = 21) const uint C5 = 0;
layout (constant_id = 22) const uint D5 = 0;
layout (constant_id = 23) const uint W6 = 0;
layout (constant_id = 24) const uint C6 = 0;
layout (constant_id = 25) const uint D6 = 0;
layout (constant_id = 26) const uint W7 = 0;
layout (constant_id = 27) const uint C7 = 0;
layout (constant_id = 28) const uint D7 = 0;
layout (constant_id = 29) const uint W8 = 0;
layout (constant_id = 30) const uint C8 = 0;
layout (constant_id = 31) const uint D8 = 0;
layout (constant_id = 32) const uint W9 = 0;
layout (constant_id = 33) const uint C9 = 0;
layout (constant_id = 34) const uint D9 = 0;
layout (constant_id = 35) const uint W10 = 0;
layout (constant_id = 36) const uint C10 = 0;
layout (constant_id = 37) const uint D10 = 0;
layout (constant_id = 38) const uint W11 = 0;
layout (constant_id = 39) const uint C11 = 0;
layout (constant_id = 40) const uint D11 = 0;
layout (binding = 0) readonly buffer In0 { uint in0[]; };
layout (binding = 1) readonly buffer In1 { uint in1[]; };
layout (binding = 2) readonly buffer In2 { uint in2[]; };
layout (binding = 3) readonly buffer In3 { uint in3[]; };
layout (binding = 4) readonly buffer In4 { uint in4[]; };
layout (binding = 5) readonly buffer In5 { uint in5[]; };
layout (binding = 6) writeonly buffer Out0 { uint out0[]; };
layout (binding = 7) writeonly buffer Out1 { uint out1[]; };
const uint N_IN = COUNTS & 255u;
const uint N_LINKS = COUNTS >> 8;

uint at (uint k, uint i)
{
  uint index = push.offset[k];

  for (int a = int (push.rank) - 1; a > 0; a--)
    {
      index += i % push.dims[a] * push.stride[k * 3 + a];
      i /= push.dims[a];
    }
  return index + i * push.stride[k * 3];
}

uint run (uint word, uint c, uint d, uint x, uint y, uint z)
{
  uint kind = (word >> 4) & 255u;
  float fx = uintBitsToFloat (x), fy = uintBitsToFloat (y), fc = uintBitsToFloat (c), fd = uintBitsToFloat (d);

  switch (word & 15u)
    {
    case 1: return floatBitsToUint (fm_unary (kind, fx, fc, fd));
    case 2: return floatBitsToUint (fy * fm_unary_slope (kind, fx, fc, fd));
    case 3: return ((word >> 12) & 1u) == 1u ? fm_binary_i32 (kind, int (x), int (y)) : fm_binary_f32 (kind, fx, fy);
    case 4: return fx != 0.0 ? y : z;
    case 5: return fm_cast (kind == 1u, x);
    default: return c;
    }
}

#define LINK(k) r[6 + k] = run (W##k, C##k, D##k, r[(W##k >> 13) & 31u], r[(W##k >> 18) & 31u], r[(W##k >> 23) & 31u]);

void main ()
{
  uint i = element_index ();
  uint r[18];

  if (i >= push.count)
    return;
  if (N_IN > 0)
    r[0] = in0[at (0, i)];
  if (N_IN > 1)
    r[1] = in1[at (1, i)];
  if (N_IN > 2)
    r[2] = in2[at (2, i)];
  if (N_IN > 3)
    r[3] = in3[at (3, i)];
  if (N_IN > 4)
    r[4] = in4[at (4, i)];
  if (N_IN > 5)
    r[5] = in5[at (5, i)];
  if (N_LINKS > 0)
    LINK (0)
  if (N_LINKS > 1)
    LINK (1)
  if (N_LINKS > 2)
    LINK (2)
  if (N_LINKS > 3)
    LINK (3)
  if (N_LINKS > 4)
    LINK (4)
  if (N_LINKS > 5)
    LINK (5)
  if (N_LINKS > 6)
    LINK (6)
  if (N_LINKS > 7)
    LINK (7)
  if (N_LINKS > 8)
    LINK (8)
  if (N_LINKS > 9)
    LINK (9)
  if (N_LINKS > 10)
    LINK (10)
  if (N_LINKS > 11)
    LINK (11)
  out0[i] = r[6 + (OUTPUTS & 255u)];
  if ((OUTPUTS >> 8) != 255u)
    out1[i] = r[6 + (OUTPUTS >> 8)];
}
