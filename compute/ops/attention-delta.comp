#version 450
// attention-delta.comp: (lse, sum of dy o less dlse) of every query, side by side, for the two passes of the backward.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (std430, binding = 0) readonly buffer O { float o[]; };
layout (std430, binding = 1) readonly buffer Lse { float lse[]; };
layout (std430, binding = 2) readonly buffer Dy { float dy[]; };
layout (std430, binding = 3) buffer Rows { vec2 rows[]; };
layout (std430, binding = 4) readonly buffer Dlse { float dlse[]; };
layout (constant_id = 3) const uint with_dlse = 0;
layout (push_constant) uniform Push
{
  uint count, heads, n_query, dv, o_offset, lse_offset, dy_offset, dlse_offset;
  uint dy_stride[3];
};

void
main ()
{
  uint index = element_index ();

  if (index >= count)
    return;
  uint i = index % n_query, h = index / n_query % heads, b = index / (n_query * heads);
  uint from_o = o_offset + ((b * n_query + i) * heads + h) * dv;
  uint from_dy = dy_offset + b * dy_stride[0] + i * dy_stride[1] + h * dy_stride[2];
  float sum = 0.0;

  for (uint c = 0; c < dv; c++)
    sum = fma (o[from_o + c], dy[from_dy + c], sum);
  if (with_dlse != 0)
    sum -= dlse[dlse_offset + index];
  rows[index] = vec2 (lse[lse_offset + index], sum);
}
