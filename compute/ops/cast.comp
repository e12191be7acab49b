#version 450
// cast.comp: constant 3: 1 = f32 to i32, towards zero, saturating, NaN to 0; 0 = i32 to f32.
#include "common.glsl"
#include "elementwise.glsl"
layout (constant_id = 3) const uint TO_I32 = 0;
layout (binding = 0) readonly buffer X { uint x[]; };
layout (binding = 1) writeonly buffer Y { uint y[]; };

void main ()
{
  uint i = element_index ();

  if (i >= push.count)
    return;
  if (TO_I32 == 1)
    {
      uint bits = x[at (0, i)];
      float v = uintBitsToFloat (bits);

      if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
        y[i] = 0;
      else if (v >= 2147483648.0)
        y[i] = 0x7FFFFFFFu;
      else if (v <= -2147483648.0)
        y[i] = 0x80000000u;
      else
        y[i] = uint (int (v));
    }
  else
    y[i] = floatBitsToUint (float (int (x[at (0, i)])));
}
