#version 450
// attention.comp: one query a workgroup of 64 invocations; 64 keys at a time with an online softmax. An invocation
// scores one key, then sums some columns of the values. Memory O(N).
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (constant_id = 3) const uint with_mask = 0;

layout (std430, binding = 0) readonly buffer Q { float q[]; };
layout (std430, binding = 1) readonly buffer K { float k[]; };
layout (std430, binding = 2) readonly buffer V { float v[]; };
layout (std430, binding = 3) buffer O { float o[]; };
layout (std430, binding = 4) buffer Lse { float lse[]; };
layout (std430, binding = 5) readonly buffer Mask { int mask[]; };
layout (std430, binding = 6) readonly buffer Bias { float bias[]; };
layout (push_constant) uniform Push
{
  uint batch, heads, group, n_query, n_key, d, dv;
  int causal, window, block_size, position_offset;
  float scale;
  uint q_offset, k_offset, v_offset, o_offset, lse_offset, mask_offset;
  uint q_stride[3], k_stride[3], v_stride[3];
};
#define ADDED_TERMS
#include "attention-mask.glsl"

const float NOTHING = -1e30; // below any score, and finite

shared float query[1024];
shared float result[1024];
shared float weight[64];
shared float reduce[64];

void
main ()
{
  uint index = group_index (), local = gl_LocalInvocationID.x;

  if (index >= batch * heads * n_query)
    return;
  uint i = index % n_query, h = index / n_query % heads, b = index / (n_query * heads);
  uint from_q = q_offset + b * q_stride[0] + h * q_stride[1] + i * q_stride[2];
  uint from_k = k_offset + b * k_stride[0] + h / group * k_stride[1];
  uint from_v = v_offset + b * v_stride[0] + h / group * v_stride[1];
  ivec2 range = keys_of_tile (b, int (i), int (i)); // keys outside it are not touched
  int first = range.x, keys = range.y;
  float top = NOTHING, sum = 0.0;

  for (uint c = local; c < d; c += 64)
    query[c] = q[from_q + c];
  for (uint c = local; c < dv; c += 64)
    result[c] = 0.0;
  barrier ();

  for (int j0 = first; j0 < keys; j0 += 64)
    {
      int j = j0 + int (local);
      float score = NOTHING * 2.0;

      if (layout_hides (h, i, 1, uint (j0), uint (min (64, keys - j0))))
        continue;
      if (j < keys && visible (b, h, i, uint (j)))
        {
          float dot_product = 0.0;

          for (uint c = 0; c < d; c++)
            dot_product = fma (query[c], k[from_k + uint (j) * k_stride[2] + c], dot_product);
          score = dot_product * scale + added (b, h, i, uint (j));
        }
      reduce[local] = score;
      barrier ();
      for (uint width = 32; width > 0; width /= 2)
        {
          if (local < width)
            reduce[local] = max (reduce[local], reduce[local + width]);
          barrier ();
        }
      float new_top = max (top, reduce[0]), shrink = exp (top - new_top);
      barrier ();
      weight[local] = exp (score - new_top); // 0 where nothing is visible
      reduce[local] = weight[local];
      barrier ();
      for (uint width = 32; width > 0; width /= 2)
        {
          if (local < width)
            reduce[local] += reduce[local + width];
          barrier ();
        }
      sum = sum * shrink + reduce[0];
      top = new_top;
      for (uint c = local; c < dv; c += 64)
        {
          float part = result[c] * shrink;

          for (int t = 0; t < min (64, keys - j0); t++)
            part = fma (weight[t], v[from_v + uint (j0 + t) * v_stride[2] + c], part);
          result[c] = part;
        }
      barrier ();
    }
  for (uint c = local; c < dv; c += 64)
    o[o_offset + ((b * n_query + i) * heads + h) * dv + c] = sum > 0.0 ? result[c] / sum : 0.0;
  if (local == 0)
    lse[lse_offset + index] = sum > 0.0 ? top + log (sum) : 3e38;
}
