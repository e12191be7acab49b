#version 450
// cummax.comp: one invocation walks one line of x [outer, axis, inner] along the axis.
#include "common.glsl"
#include "math.glsl"
layout (push_constant) uniform Push { uint offset, outer, axis, inner; } push;
layout (binding = 0) readonly buffer X { float x[]; };
layout (binding = 1) writeonly buffer Y { float y[]; };
layout (binding = 2) writeonly buffer Index { int index[]; };

void main ()
{
  uint line = element_index (), start = line / push.inner * push.axis * push.inner + line % push.inner;
  float most = 0.0;
  int place = 0;

  if (line >= push.outer * push.inner)
    return;
  for (uint a = 0; a < push.axis; a++)
    {
      uint at = start + a * push.inner;
      float v = x[push.offset + at];

      if (a == 0 || (!fm_is_nan (most) && (v > most || fm_is_nan (v))))
        {
          most = v;
          place = int (a);
        }
      y[at] = most;
      index[at] = place;
    }
}
