#version 450
// attention-backward-q.comp: dq [B,Nq,H,d], one query a workgroup of 64 invocations, 64 keys at a time.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"
#include "attention-backward.glsl"

layout (std430, binding = 7) buffer Dq { float dq[]; };

shared float query[1024];
shared float out_gradient[1024];
shared float result[1024];
shared float score_gradient[64];

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
  uint from_dy = dy_offset + b * dy_stride[0] + i * dy_stride[1] + h * dy_stride[2];
  ivec2 range = keys_of_tile (b, int (i), int (i));
  int first = range.x, keys = range.y;
  vec2 row = rows[index];

  for (uint c = local; c < d; c += 64)
    {
      query[c] = q[from_q + c];
      result[c] = 0.0;
    }
  for (uint c = local; c < dv; c += 64)
    out_gradient[c] = dy[from_dy + c];
  barrier ();

  for (int j0 = first; j0 < keys; j0 += 64)
    {
      uint j = uint (j0) + local;

      if (layout_hides (h, i, 1, uint (j0), uint (min (64, keys - j0))))
        continue;
      score_gradient[local] = 0.0;
      if (int (j) < keys && visible (b, h, i, j))
        {
          float score = 0.0, gradient = 0.0;

          for (uint c = 0; c < d; c++)
            score = fma (query[c], k[from_k + j * k_stride[2] + c], score);
          for (uint c = 0; c < dv; c++)
            gradient = fma (out_gradient[c], v[from_v + j * v_stride[2] + c], gradient);
          score_gradient[local] = exp (score * scale + added (b, h, i, j) - row.x) * (gradient - row.y) * scale;
        }
      barrier ();
      for (uint c = local; c < d; c += 64)
        {
          float part = result[c];

          for (int t = 0; t < min (64, keys - j0); t++)
            part = fma (score_gradient[t], k[from_k + uint (j0 + t) * k_stride[2] + c], part);
          result[c] = part;
        }
      barrier ();
    }
  for (uint c = local; c < d; c += 64)
    dq[((b * n_query + i) * heads + h) * d + c] = result[c];
}
