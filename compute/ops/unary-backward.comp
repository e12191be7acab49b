#version 450
// unary-backward.comp: dx = dy D(s). Constant 3: the kind, in the order of unary.c.
#include "common.glsl"
#include "elementwise.glsl"
#include "math.glsl"
layout (constant_id = 3) const uint KIND = 0;
layout (binding = 0) readonly buffer S { float saved[]; };
layout (binding = 1) readonly buffer DY { float dy[]; };
layout (binding = 2) writeonly buffer DX { float dx[]; };

float slope (float s)
{
  switch (KIND)
    {
    case 1: return sign (s);
    case 3: return 1.0 / s;
    case 4: return 0.5 / s;
    case 5: return -0.5 * s * s * s;
    case 6: return 2.0 * s;
    case 7: return 1.0 - s * s;
    case 8: return s * (1.0 - s);
    case 9: return s > 0.0 ? 1.0 : 0.0;
    case 10:
      {
        vec2 normal = fm_normal (s);
        return normal.x + s * normal.y;
      }
    case 11:
      {
        float sigmoid = fm_sigmoid (s);
        return sigmoid * (1.0 + s * (1.0 - sigmoid));
      }
    default: return s > 0.0 ? 1.0 : s + 1.0;
    }
}

void main ()
{
  uint i = element_index ();

  if (i < push.count)
    dx[i] = dy[at (1, i)] * slope (saved[at (0, i)]);
}
