#version 450
// roof-fma.comp: multiply-adds from registers, to see how many a device can do. Eight chains of four hide the
// latency; the result is written so that nothing is left out.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (std430, binding = 0) readonly buffer X { float x[]; };
layout (std430, binding = 1) buffer Y { float y[]; };
layout (push_constant) uniform Push { uint count, rounds; };

void
main ()
{
  uint e = element_index ();
  vec4 a, sum[8];

  if (e >= count)
    return;
  a = vec4 (x[e]);
  for (uint i = 0; i < 8; i++)
    sum[i] = vec4 (float (i) + x[e]);
  for (uint r = 0; r < rounds; r++)
    for (uint i = 0; i < 8; i++)
      sum[i] = fma (sum[i], a, a);
  for (uint i = 1; i < 8; i++)
    sum[0] += sum[i];
  y[e] = sum[0].x + sum[0].y + sum[0].z + sum[0].w;
}
