#version 450
// quantise.comp: constant 3: 0 = scale of a row per invocation, 1 = four bytes of q per invocation. Constant 4: the
// scale is given.
#include "common.glsl"
layout (constant_id = 3) const uint STEP = 0;
layout (constant_id = 4) const uint FIXED = 0;
layout (push_constant) uniform Push { uint rows, n, x_offset, x_row, s_offset; };
layout (binding = 0) readonly buffer X { float x[]; };
layout (binding = 1) readonly buffer Fixed { float fixed_scale[]; };
layout (binding = 2) buffer Q { uint q[]; };
layout (binding = 3) buffer Scale { float scale[]; };

void main ()
{
  uint i = element_index (), word = 0u;

  if (STEP == 0u)
    {
      float top = 0.0;

      if (i >= rows)
        return;
      for (uint t = 0u; t < n && FIXED == 0u; t++)
        top = max (top, abs (x[x_offset + i * x_row + t]));
      scale[i] = FIXED != 0u ? fixed_scale[s_offset] : top > 0.0 ? top / 127.0 : 1.0;
      return;
    }
  if (i * 4u >= rows * n)
    return;
  for (uint e = 0u; e < 4u && i * 4u + e < rows * n; e++)
    {
      uint row = (i * 4u + e) / n;
      float v = x[x_offset + row * x_row + (i * 4u + e) % n];

      // NaN is tested by its bits: a compiler may take comparisons of NaN apart.
      v = (floatBitsToUint (v) & 0x7FFFFFFFu) > 0x7F800000u ? 0.0 : clamp (v * (1.0 / scale[row]), -127.0, 127.0);
      word |= (uint (int (roundEven (v))) & 255u) << (8u * e);
    }
  q[i] = word;
}
