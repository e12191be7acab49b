#version 450
// attention-backward-added.comp: the gradient by one entry of the bias [1 or B,1 or H,Nq,Nk] or of the distance terms
// [1 or H,Nq+Nk-1], an invocation each: the sum over the pairs that share it.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"
#include "attention-backward.glsl"

layout (constant_id = 4) const uint by_bias = 1;
layout (constant_id = 5) const uint own_batch = 0; // the first axis of the result is no 1
layout (constant_id = 6) const uint own_head = 0;  // the second, of the bias

layout (std430, binding = 7) buffer Y { float y[]; };

float
score_gradient (uint b, uint h, uint i, uint j)
{
  if (!visible (b, h, i, j))
    return 0.0;
  uint from_q = q_offset + b * q_stride[0] + h * q_stride[1] + i * q_stride[2];
  uint from_k = k_offset + b * k_stride[0] + h / group * k_stride[1] + j * k_stride[2];
  uint from_v = v_offset + b * v_stride[0] + h / group * v_stride[1] + j * v_stride[2];
  uint from_dy = dy_offset + b * dy_stride[0] + i * dy_stride[1] + h * dy_stride[2];
  vec2 row = rows[(b * heads + h) * n_query + i];
  float score = 0.0, gradient = 0.0;

  for (uint c = 0; c < d; c++)
    score = fma (q[from_q + c], k[from_k + c], score);
  for (uint c = 0; c < dv; c++)
    gradient = fma (dy[from_dy + c], v[from_v + c], gradient);
  return exp (score * scale + added (b, h, i, j) - row.x) * (gradient - row.y);
}

void
main ()
{
  uint index = element_index (), width = n_query + n_key - 1;
  float sum = 0.0;

  if (by_bias != 0)
    {
      uint j = index % n_key, i = index / n_key % n_query, matrix = index / n_key / n_query;
      uint hs = own_head != 0 ? heads : 1, hb = matrix % hs, bb = matrix / hs;

      if (bb >= (own_batch != 0 ? batch : 1))
        return;
      for (uint b = bb; b < (own_batch != 0 ? bb + 1 : batch); b++)
        for (uint h = hb; h < (own_head != 0 ? hb + 1 : heads); h++)
          sum += score_gradient (b, h, i, j);
    }
  else
    {
      uint hb = index / width, t = index % width; // i - j = t - (n_key - 1)

      if (hb >= (own_batch != 0 ? heads : 1))
        return;
      for (uint b = 0; b < batch; b++)
        for (uint h = hb; h < (own_batch != 0 ? hb + 1 : heads); h++)
          for (uint i = t >= n_key - 1 ? t - (n_key - 1) : 0; i < n_query && i <= t; i++)
            sum += score_gradient (b, h, i, i + n_key - 1 - t);
    }
  y[index] = sum;
}
