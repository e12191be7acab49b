#version 450
// pack-int4.comp: constant 3: 0 = a scale per invocation, 1 = a word of eight codes per invocation.
#include "common.glsl"
#include "int4.glsl"
layout (constant_id = 3) const uint STEP = 0;
layout (binding = 0) readonly buffer X { float x[]; };
layout (binding = 1) buffer Packed { uint packed[]; };
layout (binding = 2) buffer Scale { float scale[]; };

uint code_of (uint row, uint t)
{
  float v = x[x_offset + row * x_row + t] * (1.0 / scale[row * (k / group) + t / group]);
  uint code = 0u;

  // NaN is tested by its bits: a compiler may take comparisons of NaN apart.
  v = (floatBitsToUint (v) & 0x7FFFFFFFu) > 0x7F800000u ? 0.0 : v;
  for (uint l = 0u; l < 15u; l++)
    code += v > 0.5 * (level[l] + level[l + 1u]) ? 1u : 0u;
  return code;
}

void main ()
{
  uint i = element_index (), row, word = 0u;

  if (STEP == 0u)
    {
      float top = 0.0;

      if (i >= m * (k / group))
        return;
      row = i / (k / group);
      for (uint t = 0u; t < group; t++)
        {
          float v = x[x_offset + row * x_row + i % (k / group) * group + t];

          top = (floatBitsToUint (v) & 0x7FFFFFFFu) > 0x7F800000u ? top : max (top, abs (v));
        }
      scale[i] = top > 0.0 ? top / level[15] : 1.0;
      return;
    }
  if (i >= m * (k / 8u))
    return;
  row = i / (k / 8u);
  for (uint e = 0u; e < 4u; e++)
    {
      uint at = i % (k / 8u) * 4u + e, t = at / 16u * 32u + at % 16u;

      word |= (code_of (row, t) | code_of (row, t + 16u) << 4) << (8u * e);
    }
  packed[i] = word;
}
