#version 450
// rotary-table.comp: cosine and sine of an angle a pair and position, from turns as fractions of 2^64.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"
#include "math.glsl"

layout (constant_id = 3) const uint with_positions = 0;

layout (std430, binding = 0) readonly buffer Positions { int positions[]; };
layout (std430, binding = 1) buffer C { float c[]; };
layout (std430, binding = 2) buffer S { float s[]; };
layout (push_constant) uniform Push { uint count, pairs, first[2], ratio[2], positions_offset, c_offset, s_offset; };

// The upper 64 bits of a product of 64 bits each; low word first.
uvec2
high_product (uvec2 a, uvec2 b)
{
  uint low_high, low, middle1, middle1_high, middle2, middle2_high, high, high_high, carry1, carry2, carry3;

  umulExtended (a.x, b.x, low_high, low);
  umulExtended (a.x, b.y, middle1_high, middle1);
  umulExtended (a.y, b.x, middle2_high, middle2);
  umulExtended (a.y, b.y, high_high, high);
  uint sum = uaddCarry (low_high, middle1, carry1);
  uaddCarry (sum, middle2, carry2);
  sum = uaddCarry (high, middle1_high, carry3);
  uint carries = carry3;
  sum = uaddCarry (sum, middle2_high, carry3);
  carries += carry3;
  sum = uaddCarry (sum, carry1 + carry2, carry3);
  carries += carry3;
  return uvec2 (sum, high_high + carries);
}

void
main ()
{
  uint index = element_index ();

  if (index >= count)
    return;
  uint row = index / pairs, pair = index % pairs;
  int position = with_positions != 0 ? positions[positions_offset + row] : int (row);
  uvec2 turns = uvec2 (first[0], first[1]);

  for (uint i = 0; i < pair; i++)
    turns = high_product (turns, uvec2 (ratio[0], ratio[1]));
  // The product with the position, modulo a turn; of it the upper 32 bits, in -1/2 to 1/2 turns. A negative position is
  // that of 2^64 less its size: its upper word is all ones.
  uint high, low;
  umulExtended (turns.x, uint (position), high, low);
  uint top = high + turns.y * uint (position) - (position < 0 ? turns.x : 0);
  float angle = (float (int (top)) + float (low) * 2.3283064e-10) * 1.4629180792671596e-9; // 2 pi / 2^32

  c[c_offset + index] = fm_sin_shifted (angle, 1);
  s[s_offset + index] = fm_sin_shifted (angle, 0);
}
