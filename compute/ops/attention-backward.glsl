// attention-backward.glsl: bindings and push constants of both passes of the backward.
layout (constant_id = 3) const uint with_lengths = 0;

layout (std430, binding = 0) readonly buffer Q { float q[]; };
layout (std430, binding = 1) readonly buffer K { float k[]; };
layout (std430, binding = 2) readonly buffer V { float v[]; };
layout (std430, binding = 3) readonly buffer Dy { float dy[]; };
layout (std430, binding = 4) readonly buffer Rows { vec2 rows[]; };
layout (std430, binding = 5) readonly buffer Lengths { int lengths[]; };
layout (push_constant) uniform Push
{
  uint batch, heads, group, n_query, n_key, d, dv;
  int causal, window, block_size, position_offset;
  float scale;
  uint q_offset, k_offset, v_offset, dy_offset, lengths_offset;
  uint q_stride[3], k_stride[3], v_stride[3], dy_stride[3];
};
#include "attention-mask.glsl"

int
key_count (uint b)
{
  return with_lengths != 0 ? min (lengths[lengths_offset + b], int (n_key)) : int (n_key);
}
