#version 450
// random.comp: Philox4x32-10 as in base.h, four elements for each invocation.
#include "common.glsl"
#include "quantiles.h"
layout (constant_id = 3) const uint KIND = 0; // 0 uniform, 1 dropout mask, 2 normal, 3 Gumbel; see random.c
layout (push_constant) uniform Push { uint count, key_low, key_high, seed, step; float rate, keep; } push;
layout (binding = 0) readonly buffer Seed { uint seed[]; };
layout (binding = 1) readonly buffer Step { uint step_[]; };
layout (binding = 2) writeonly buffer Y { float y[]; };

const int normal_table[256] = int[] (FM_QUANTILES_NORMAL);
const int gumbel_low[256] = int[] (FM_QUANTILES_GUMBEL_LOW);
const int gumbel_high[256] = int[] (FM_QUANTILES_GUMBEL_HIGH);

// bits after the point of q to a float, dropping what 24 bits do not hold.
float fixed_to_float (int q, int bits)
{
  uint size = uint (abs (q));
  int drop = max (findMSB (size) - 23, 0);
  float scale = uintBitsToFloat (uint (127 + drop - bits) << 23);

  return (q < 0 ? -scale : scale) * float (size >> drop);
}

int coefficient (uint which, uint at)
{
  return KIND == 2 ? normal_table[at] : (which == 0 ? gumbel_low[at] : gumbel_high[at]);
}

int quantile (uint which, uint t)
{
  uint w = 2 * t + 1, octave = uint (findMSB (w));
  int f = int ((w << (31 - octave)) & 0x7FFFFFFFu), acc = coefficient (which, octave * 8 + 7);

  for (int k = 6; k >= 0; k--)
    {
      int high, low;

      imulExtended (acc, f, high, low);
      acc = coefficient (which, octave * 8 + uint (k)) + int ((uint (high) << 1) | (uint (low) >> 31));
    }
  return acc;
}

float draw (uint bits)
{
  float u = float (bits >> 8) * 5.9604644775390625e-8;
  bool upper = bits >= 0x80000000u;
  int q;

  if (KIND == 0)
    return u;
  if (KIND == 1)
    return u >= push.rate ? push.keep : 0.0;
  q = quantile (upper ? 1 : 0, upper ? ~bits : bits);
  return KIND == 2 ? fixed_to_float (upper ? -q : q, 27) : fixed_to_float (q, 26);
}

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
    y[block * 4 + k] = draw (bits[k]);
}
