#version 450
// attention-backward-kv.comp: dk [B,Nk,Hk,d] and dv [B,Nk,Hk,dv], one key a workgroup of 64 invocations, 64 queries at a
// time, over the query heads of its group. Queries outside the interval that sees the key are not touched.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"
#include "attention-backward.glsl"

layout (std430, binding = 7) buffer Dk { float dk[]; };
layout (std430, binding = 8) buffer Dv { float dv_out[]; };

shared float key[1024];
shared float result_k[1024];
shared float result_v[1024];
shared float weight[64];
shared float score_gradient[64];

void
main ()
{
  uint kv_heads = heads / group, index = group_index (), local = gl_LocalInvocationID.x;

  if (index >= batch * kv_heads * n_key)
    return;
  uint j = index % n_key, kv = index / n_key % kv_heads, b = index / (n_key * kv_heads);
  uint from_k = k_offset + b * k_stride[0] + kv * k_stride[1] + j * k_stride[2];
  uint from_v = v_offset + b * v_stride[0] + kv * v_stride[1] + j * v_stride[2];
  ivec2 range = queries_of_tile (b, int (j), int (j));
  int first = range.x, end = range.y;

  for (uint c = local; c < d; c += 64)
    {
      key[c] = k[from_k + c];
      result_k[c] = 0.0;
    }
  for (uint c = local; c < dv; c += 64)
    result_v[c] = 0.0;
  barrier ();

  for (uint h = kv * group; h < (kv + 1) * group; h++)
    for (int i0 = first; i0 < end; i0 += 64)
      {
        uint i = uint (i0) + local;
        uint from_q = q_offset + b * q_stride[0] + h * q_stride[1];
        uint from_dy = dy_offset + b * dy_stride[0] + h * dy_stride[2];

        weight[local] = 0.0;
        score_gradient[local] = 0.0;
        if (int (i) < end && visible (b, h, i, j))
          {
            vec2 row = rows[(b * heads + h) * n_query + i];
            float score = 0.0, gradient = 0.0;

            for (uint c = 0; c < d; c++)
              score = fma (key[c], q[from_q + i * q_stride[2] + c], score);
            for (uint c = 0; c < dv; c++)
              gradient = fma (v[from_v + c], dy[from_dy + i * dy_stride[1] + c], gradient);
            weight[local] = exp (score * scale + added (b, h, i, j) - row.x);
            score_gradient[local] = weight[local] * (gradient - row.y) * scale;
          }
        barrier ();
        for (uint c = local; c < d; c += 64)
          {
            float part = result_k[c];

            for (int t = 0; t < min (64, end - i0); t++)
              part = fma (score_gradient[t], q[from_q + uint (i0 + t) * q_stride[2] + c], part);
            result_k[c] = part;
          }
        for (uint c = local; c < dv; c += 64)
          {
            float part = result_v[c];

            for (int t = 0; t < min (64, end - i0); t++)
              part = fma (weight[t], dy[from_dy + uint (i0 + t) * dy_stride[1] + c], part);
            result_v[c] = part;
          }
        barrier ();
      }
  for (uint c = local; c < d; c += 64)
    dk[((b * n_key + j) * kv_heads + kv) * d + c] = result_k[c];
  for (uint c = local; c < dv; c += 64)
    dv_out[((b * n_key + j) * kv_heads + kv) * dv + c] = result_v[c];
}
