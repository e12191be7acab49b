#version 450
// linear-attention.comp: three passes. 0: a workgroup sums f(k)^T v and f(k) over a chunk of keys; 1: one a (b, h) adds the
// sums of chunks up (before each, or all into the first); 2: one a query divides f(q) S by f(q) z, and where causal adds
// the keys of its own chunk one by one.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (constant_id = 3) const uint pass = 0;
layout (constant_id = 4) const uint causal = 0;
layout (constant_id = 5) const uint feature_map = 0; // 0 none, 1 elu + 1, 2 relu
layout (constant_id = 6) const uint with_lengths = 0;

layout (std430, binding = 0) readonly buffer Q { float q[]; };
layout (std430, binding = 1) readonly buffer K { float k[]; };
layout (std430, binding = 2) readonly buffer V { float v[]; };
layout (std430, binding = 3) readonly buffer Lengths { int lengths[]; };
layout (std430, binding = 4) buffer Sums { float sums[]; };
layout (std430, binding = 5) buffer Y { float y[]; };
layout (push_constant) uniform Push
{
  uint batch, heads, n_query, n_key, d, dv, chunks, sums_size;
  float eps;
  uint q_offset, k_offset, v_offset, y_offset, lengths_offset, q_stride[3], k_stride[3], v_stride[3];
};

const uint CHUNK = 256;
shared float query[1024];
shared float score[CHUNK];
shared float part[64];

float
feature (float x)
{
  if (feature_map == 1)
    return x > 0.0 ? x + 1.0 : exp (x);
  return feature_map == 2 ? max (x, 0.0) : x;
}

void
main ()
{
  uint index = group_index (), local = gl_LocalInvocationID.x;

  if (pass == 0)
    {
      if (index >= batch * heads * chunks)
        return;
      uint chunk = index % chunks, h = index / chunks % heads, b = index / chunks / heads;
      uint keys = with_lengths != 0 ? uint (clamp (lengths[lengths_offset + b], 0, int (n_key))) : n_key;
      uint from_k = k_offset + b * k_stride[0] + h * k_stride[1], from_v = v_offset + b * v_stride[0] + h * v_stride[1];

      for (uint e = local; e < d * (dv + 1); e += 64)
        {
          bool is_z = e >= d * dv;
          uint c = is_z ? e - d * dv : e / dv;
          float sum = 0.0;

          for (uint j = chunk * CHUNK; j < min (keys, (chunk + 1) * CHUNK); j++)
            sum += feature (k[from_k + j * k_stride[2] + c]) * (is_z ? 1.0 : v[from_v + j * v_stride[2] + e % dv]);
          sums[index * sums_size + e] = sum;
        }
    }
  else if (pass == 1)
    {
      if (index >= batch * heads)
        return;
      for (uint e = local; e < d * (dv + 1); e += 64)
        {
          float total = 0.0;

          for (uint c = 0; c < chunks; c++)
            {
              uint at = (index * chunks + c) * sums_size + e;
              float own = sums[at];

              sums[at] = total;
              total += own;
            }
          if (causal == 0)
            sums[index * chunks * sums_size + e] = total;
        }
    }
  else
    {
      if (index >= batch * heads * n_query)
        return;
      uint i = index % n_query, h = index / n_query % heads, b = index / n_query / heads;
      uint keys = with_lengths != 0 ? uint (clamp (lengths[lengths_offset + b], 0, int (n_key))) : n_key;
      uint from_q = q_offset + b * q_stride[0] + h * q_stride[1] + i * q_stride[2];
      uint from_k = k_offset + b * k_stride[0] + h * k_stride[1], from_v = v_offset + b * v_stride[0] + h * v_stride[1];
      uint first = i / CHUNK * CHUNK, own = causal != 0 ? min (i + 1, keys) : 0;
      uint at = ((b * heads + h) * chunks + (causal != 0 ? i / CHUNK : 0)) * sums_size;
      uint count = own > first ? own - first : 0;
      float divisor = 0.0;

      for (uint c = local; c < d; c += 64)
        {
          query[c] = feature (q[from_q + c]);
          divisor += query[c] * sums[at + d * dv + c];
        }
      barrier ();
      for (uint t = local; t < count; t += 64)
        {
          float sum = 0.0;

          for (uint c = 0; c < d; c++)
            sum = fma (query[c], feature (k[from_k + (first + t) * k_stride[2] + c]), sum);
          score[t] = sum;
          divisor += sum;
        }
      part[local] = divisor;
      barrier ();
      for (uint width = 32; width > 0; width /= 2)
        {
          if (local < width)
            part[local] += part[local + width];
          barrier ();
        }
      divisor = part[0] + eps;
      for (uint e = local; e < dv; e += 64)
        {
          float sum = 0.0;

          for (uint c = 0; c < d; c++)
            sum = fma (query[c], sums[at + c * dv + e], sum);
          for (uint t = 0; t < count; t++)
            sum = fma (score[t], v[from_v + (first + t) * v_stride[2] + e], sum);
          y[y_offset + ((b * n_query + i) * heads + h) * dv + e] = sum / divisor;
        }
    }
}
