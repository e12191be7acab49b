#version 450
// cast-narrow.comp: between f32 and the types of storage. Constant 3: 0 = f16 to f32, 1 = f32 to f16, 2 = i8 to f32,
// 3 = f32 to i8, towards zero, saturating, NaN to 0. To a narrow type an invocation fills one word of the output.
#include "common.glsl"
#include "elementwise.glsl"
#include "half.glsl"
layout (constant_id = 3) const uint KIND = 0;
layout (binding = 0) readonly buffer X { uint x[]; };
layout (binding = 1) writeonly buffer Y { uint y[]; };

uint byte_of (float v)
{
  if ((floatBitsToUint (v) & 0x7FFFFFFFu) > 0x7F800000u)
    return 0u;
  return uint (int (clamp (v, -128.0, 127.0))) & 255u;
}

void main ()
{
  uint i = element_index (), word = 0u, each = KIND == 1u ? 2u : KIND == 3u ? 4u : 1u, from;

  if (i * each >= push.count)
    return;
  if (KIND == 0u)
    {
      from = at (0, i);
      y[i] = floatBitsToUint (half_value (x[from >> 1] >> (16u * (from & 1u))));
    }
  else if (KIND == 2u)
    {
      from = at (0, i);
      y[i] = floatBitsToUint (float (byte_value (x[from >> 2], from & 3u)));
    }
  else
    {
      for (uint e = 0u; e < each && i * each + e < push.count; e++)
        {
          float v = uintBitsToFloat (x[at (0, i * each + e)]);

          word |= KIND == 1u ? half_of (v) << (16u * e) : byte_of (v) << (8u * e);
        }
      y[i] = word;
    }
}
