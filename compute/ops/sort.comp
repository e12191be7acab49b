#version 450
// sort.comp: bitonic sort of rows as pairs (key, place); see sort.h for keys. Rows are padded to a power of two with pairs
// behind all others; rows shorter than a block share one. KIND 0: blocks of 1024 pairs from x, all levels up to 1024;
// 1: one exchange over a stride of a block and more; 2: the strides below a block of one level.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (constant_id = 3) const uint KIND = 0;
layout (constant_id = 4) const uint INTEGERS = 0;
layout (constant_id = 5) const uint DESCENDING = 0;
layout (constant_id = 6) const uint WRITE = 1; // places and values at the end; 0: pairs stay

layout (std430, binding = 0) readonly buffer X { uint x[]; };
layout (std430, binding = 1) buffer Value { uint value[]; };
layout (std430, binding = 2) buffer Index { uint index[]; };
layout (std430, binding = 3) buffer Pairs { uint pairs[]; };
layout (push_constant) uniform Push
{
  uint count, n, padded, level, stride, limit, x_offset, value_offset, index_offset, pairs_offset, last;
};

const uint BLOCK = 1024;
shared uvec2 block[BLOCK];

uint key_of (uint word)
{
  uint key = word ^ 0x80000000u;

  if (INTEGERS == 0)
    {
      if ((word & 0x7FFFFFFFu) > 0x7F800000u)
        key = 0xFFFFFFFFu;
      else if ((word & 0x80000000u) != 0)
        key = word == 0x80000000u ? word : ~word;
    }
  return DESCENDING != 0 ? ~key : key;
}

bool above (uvec2 a, uvec2 b)
{
  return a.x > b.x || (a.x == b.x && a.y > b.y);
}

uvec2 load (uint i)
{
  return uvec2 (pairs[pairs_offset + 2 * i], pairs[pairs_offset + 2 * i + 1]);
}

void store (uint i, uvec2 pair)
{
  pairs[pairs_offset + 2 * i] = pair.x;
  pairs[pairs_offset + 2 * i + 1] = pair.y;
}

void exchange_in_block (uint base, uint lvl, uint step)
{
  barrier ();
  for (uint t = gl_LocalInvocationID.x; t < BLOCK / 2; t += gl_WorkGroupSize.x)
    {
      uint i = t / step * 2 * step + t % step;
      bool rising = (((base + i) & (padded - 1)) & lvl) == 0;
      uvec2 a = block[i], b = block[i + step];

      if (above (a, b) == rising)
        {
          block[i] = b;
          block[i + step] = a;
        }
    }
}

void
main ()
{
  uint base = group_index () * BLOCK;

  if (KIND == 1)
    {
      uint t = element_index ();

      if (t >= count / 2)
        return;
      uint i = t / stride * 2 * stride + t % stride;
      bool rising = ((i & (padded - 1)) & level) == 0;
      uvec2 a = load (i), b = load (i + stride);

      if (above (a, b) == rising)
        {
          store (i, b);
          store (i + stride, a);
        }
      return;
    }
  for (uint e = gl_LocalInvocationID.x; e < BLOCK; e += gl_WorkGroupSize.x)
    {
      uint i = base + e, place = i % padded;

      if (KIND == 2)
        block[e] = i < count ? load (i) : uvec2 (0xFFFFFFFFu, place);
      else
        block[e] = uvec2 (i < count && place < n ? key_of (x[x_offset + i / padded * n + place]) : 0xFFFFFFFFu, place);
    }
  if (KIND == 0)
    {
      for (uint lvl = 2; lvl <= min (padded, BLOCK); lvl *= 2)
        for (uint step = lvl / 2; step > 0; step /= 2)
          exchange_in_block (base, lvl, step);
    }
  else
    for (uint step = BLOCK / 2; step > 0; step /= 2)
      exchange_in_block (base, level, step);
  barrier ();
  for (uint e = gl_LocalInvocationID.x; e < BLOCK; e += gl_WorkGroupSize.x)
    {
      uint i = base + e, place = i % padded, row = i / padded;

      if (i >= count)
        continue;
      if (last == 0 || WRITE == 0)
        store (i, block[e]);
      else if (place < limit)
        {
          index[index_offset + row * limit + place] = block[e].y;
          value[value_offset + row * limit + place] = x[x_offset + row * n + block[e].y];
        }
    }
}
