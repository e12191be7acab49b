#version 450
// attention-mask.comp: 1 where the query sees the key.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (constant_id = 3) const uint with_mask = 0;

layout (std430, binding = 0) buffer Y { float y[]; };
layout (std430, binding = 1) readonly buffer Mask { int mask[]; };
layout (push_constant) uniform Push
{
  uint count, heads, n_query, n_key;
  int causal, window, block_size, position_offset;
  uint mask_offset, y_offset;
};
#include "attention-mask.glsl"

void
main ()
{
  uint i = element_index ();

  if (i >= count)
    return;
  uint item = i / (n_query * n_key);

  y[y_offset + i] = visible (item / heads, item % heads, i / n_key % n_query, i % n_key) ? 1.0 : 0.0;
}
