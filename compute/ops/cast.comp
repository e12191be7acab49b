#version 450
// cast.comp: constant 3: 1 = f32 to i32, 0 = i32 to f32.
#include "common.glsl"
#include "elementwise.glsl"
#include "cast.glsl"
layout (constant_id = 3) const uint TO_I32 = 0;
layout (binding = 0) readonly buffer X { uint x[]; };
layout (binding = 1) writeonly buffer Y { uint y[]; };

void main ()
{
  uint i = element_index ();

  if (i < push.count)
    y[i] = fm_cast (TO_I32 == 1, x[at (0, i)]);
}
