#version 450
// random.comp: Philox4x32-10 as in base.h, four elements for each invocation.
#include "common.glsl"
#include "quantiles.h"
layout (constant_id = 3) const uint KIND = 0; // 0 uniform, 1 dropout mask, 2 normal, 3 Gumbel, 4 and 5 indices; see random.c
layout (push_constant) uniform Push { uint count, key_low, key_high, seed, step; float rate, keep; uint n, log_n; } push;
layout (binding = 0) readonly buffer Seed { uint seed[]; };
layout (binding = 1) readonly buffer Step { uint step_[]; };
layout (binding = 2) writeonly buffer Y { float y[]; };

// bits after the point of q to a float, dropping what 24 bits do not hold.
float fixed_to_float (int q, int bits)
{
  uint size = uint (abs (q));
  int drop = max (findMSB (size) - 23, 0);
  float scale = uintBitsToFloat (uint (127 + drop - bits) << 23);

  return (q < 0 ? -scale : scale) * float (size >> drop);
}

int horner (int acc, int f, int c)
{
  int high, low;

  imulExtended (acc, f, high, low);
  return c + int ((uint (high) << 1) | (uint (low) >> 31));
}

#define NUMBERS(k, c0, c1, c2, c3, c4, c5, c6, c7) c0, c1, c2, c3, c4, c5, c6, c7
// The polynomial of t's octave. Choices and no array: lavapipe takes minutes over an indexed array of constants.
#define PICK(k, c0, c1, c2, c3, c4, c5, c6, c7) \
  if (octave == k) \
    { \
      a = ivec4 (c0, c1, c2, c3); \
      b = ivec4 (c4, c5, c6, c7); \
    }
int quantile (bool upper, uint t)
{
  uint w = 2 * t + 1, octave = uint (findMSB (w));
  int f = int ((w << (31 - octave)) & 0x7FFFFFFFu), acc;
  ivec4 a = ivec4 (0), b = ivec4 (0);

  if (KIND == 2)
    {
      FM_QUANTILES_NORMAL (PICK)
    }
  else if (upper)
    {
      FM_QUANTILES_GUMBEL_HIGH (PICK)
    }
  else
    {
      FM_QUANTILES_GUMBEL_LOW (PICK)
    }
  acc = horner (horner (horner (b.w, f, b.z), f, b.y), f, b.x);
  return horner (horner (horner (horner (acc, f, a.w), f, a.z), f, a.y), f, a.x);
}

// See log_index () in random.c: the words of a product with 58 bits after the point.
uint log_index (uint bits)
{
  uint high, low, index;
  int f, c[8] = { FM_POWERS_OF_TWO (NUMBERS) }, acc;

  umulExtended (bits, push.log_n, high, low);
  f = int (((high << 5) | (low >> 27)) & 0x7FFFFFFFu);
  acc = horner (horner (horner (c[7], f, c[6]), f, c[5]), f, c[4]);
  acc = horner (horner (horner (horner (acc, f, c[3]), f, c[2]), f, c[1]), f, c[0]);
  index = (uint (acc) >> (29 - (high >> 26))) - 1;
  return min (index, push.n - 1);
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
  if (KIND == 4)
    {
      uint high, low;

      umulExtended (bits, push.n, high, low);
      return float (high);
    }
  if (KIND == 5)
    return float (log_index (bits));
  q = quantile (upper, upper ? ~bits : bits);
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
