#version 450
// attention-map.comp: a rectangle of the map [B,H,rows,columns]: exp (score - lse) where the key is visible. An invocation
// makes one weight.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (constant_id = 3) const uint with_mask = 0;

layout (std430, binding = 0) readonly buffer Q { float q[]; };
layout (std430, binding = 1) readonly buffer K { float k[]; };
layout (std430, binding = 2) readonly buffer Lse { float lse[]; };
layout (std430, binding = 3) buffer Y { float y[]; };
layout (std430, binding = 4) readonly buffer Mask { int mask[]; };
layout (std430, binding = 5) readonly buffer Bias { float bias[]; };
layout (push_constant) uniform Push
{
  uint count, heads, group, n_query, n_key, d;
  int causal, window, block_size, position_offset;
  float scale;
  uint q_offset, k_offset, lse_offset, mask_offset;
  uint q_stride[3], k_stride[3];
  uint first_row, n_rows, first_column, columns;
};
#define ADDED_TERMS
#include "attention-mask.glsl"

void
main ()
{
  uint index = element_index ();

  if (index >= count)
    return;
  uint j = first_column + index % columns, i = first_row + index / columns % n_rows;
  uint h = index / (columns * n_rows) % heads, b = index / (columns * n_rows * heads);
  float w = 0.0;

  if (visible (b, h, i, j))
    {
      uint from_q = q_offset + b * q_stride[0] + h * q_stride[1] + i * q_stride[2];
      uint from_k = k_offset + b * k_stride[0] + h / group * k_stride[1] + j * k_stride[2];
      float score = 0.0;

      for (uint c = 0; c < d; c++)
        score = fma (q[from_q + c], k[from_k + c], score);
      w = exp (score * scale + added (b, h, i, j) - lse[lse_offset + (b * heads + h) * n_query + i]);
    }
  y[index] = w;
}
