#version 450
// average.comp: one invocation for each element; see average.c.
#include "common.glsl"
layout (push_constant) uniform Push
{
  uint count, norm, step;
  float fresh;
} push;
layout (binding = 0) buffer Average { float average[]; };
layout (binding = 1) readonly buffer Value { float value[]; };
layout (binding = 2) readonly buffer Norm { float norm[]; };
layout (binding = 3) readonly buffer Step { int step_[]; };

void main ()
{
  uint i = element_index ();
  float t = float (step_[push.step]), fresh = max (push.fresh, 9.0 / (10.0 + t)); // 1 - (1 + t) / (10 + t)

  if (i >= push.count || (floatBitsToUint (norm[push.norm]) & 0x7F800000u) == 0x7F800000u)
    return;
  average[i] += fresh * (value[i] - average[i]);
}
