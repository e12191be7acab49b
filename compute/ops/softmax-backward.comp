#version 450
// softmax-backward.comp: dx = scale y (dy - sum (dy y)); a workgroup for each row.
#include "common.glsl"
#include "group.glsl"
layout (push_constant) uniform Push { uint rows, n, y_offset, dy_offset; float scale; } push;
layout (binding = 0) readonly buffer Y { float y[]; };
layout (binding = 1) readonly buffer DY { float dy[]; };
layout (binding = 2) writeonly buffer DX { float dx[]; };

void main ()
{
  uint row = group_index (), y_row = push.y_offset + row * push.n, dy_row = push.dy_offset + row * push.n;
  float dot = 0.0;

  if (row >= push.rows)
    return;
  for (uint i = gl_LocalInvocationID.x; i < push.n; i += gl_WorkGroupSize.x)
    dot += y[y_row + i] * dy[dy_row + i];
  dot = group_sum (dot);
  for (uint i = gl_LocalInvocationID.x; i < push.n; i += gl_WorkGroupSize.x)
    dx[row * push.n + i] = push.scale * y[y_row + i] * (dy[dy_row + i] - dot);
}
