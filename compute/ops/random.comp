#version 450
// random.comp: Philox4x32-10 as in base.h, four elements for each invocation.
#include "common.glsl"
layout (push_constant) uniform Push { uint count, key_low, key_high, seed, step, mask; float rate, keep; } push;
layout (binding = 0) readonly buffer Seed { uint seed[]; };
layout (binding = 1) readonly buffer Step { uint step_[]; };
layout (binding = 2) writeonly buffer Y { float y[]; };

void main ()
{
  uint block = element_index ();
  uint k0 = push.key_low ^ seed[push.seed], k1 = push.key_high ^ seed[push.seed + 1];
  uint c0 = block, c1 = 0, c2 = step_[push.step], c3 = 0;
  uint bits[4];

  if (block * 4 >= push.count)
    return;
  for (int round = 0; round < 10; round++)
    {
      uint h0, l0, h2, l2;

      umulExtended (0xD2511F53u, c0, h0, l0);
      umulExtended (0xCD9E8D57u, c2, h2, l2);
      c0 = h2 ^ c1 ^ k0;
      c2 = h0 ^ c3 ^ k1;
      c1 = l2;
      c3 = l0;
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
  bits[0] = c0;
  bits[1] = c1;
  bits[2] = c2;
  bits[3] = c3;
  for (uint k = 0; k < 4 && block * 4 + k < push.count; k++)
    {
      float u = float (bits[k] >> 8) * 5.9604644775390625e-8;

      y[block * 4 + k] = push.mask == 0 ? u : (u >= push.rate ? push.keep : 0.0);
    }
}
