#version 450
// attention-mask.comp: 1 where the query sees the key.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (constant_id = 3) const uint with_lengths = 0;

layout (std430, binding = 0) buffer Y { float y[]; };
layout (std430, binding = 1) readonly buffer Lengths { int lengths[]; };
layout (push_constant) uniform Push
{
  uint count, n_query, n_key;
  int causal, window, block_size, position_offset;
  uint lengths_offset, y_offset;
};
#include "attention-mask.glsl"

void
main ()
{
  uint i = element_index ();

  if (i >= count)
    return;
  uint item = i / (n_query * n_key);
  int keys = with_lengths != 0 ? min (lengths[lengths_offset + item], int (n_key)) : int (n_key);

  y[y_offset + i] = visible (i / n_key % n_query, i % n_key, keys) ? 1.0 : 0.0;
}
