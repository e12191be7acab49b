#version 450
// linear-attention.comp: three passes. 0: a tile of f(k)^T v and f(k), summed over a chunk of keys; 1: one workgroup a
// (b, h) adds the sums of chunks up (before each, or all into the first); 2: a tile of queries divides f(q) S by f(q)
// z, and where causal adds the keys of its own chunk, 32 at a time.
#extension GL_GOOGLE_include_directive : enable
#extension GL_EXT_control_flow_attributes : require
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
#define T 4
#include "tiles.glsl"

const uint CHUNK = 256;
shared float score[SIDE][SIDE + 1];
shared float divisor[SIDE];

float
feature (float x)
{
  if (feature_map == 1)
    return x > 0.0 ? x + 1.0 : exp (x);
  return feature_map == 2 ? max (x, 0.0) : x;
}

// Which product is made: f(k)^T (v and 1), f(q) S, f(q) f(k)^T, or scores by v; and where its operands lie.
const uint KEYS_VALUES = 0, QUERIES_SUMS = 1, QUERIES_KEYS = 2, SCORES_VALUES = 3;
uint what, row0, column0, key0, keys, from_q, from_k, from_v, from_sums;

float
element_a (uint row, uint t)
{
  if (what == SCORES_VALUES)
    return score[row][t];
  if (what == KEYS_VALUES)
    return row0 + row < d ? feature (k[from_k + (key0 + t) * k_stride[2] + row0 + row]) : 0.0;
  return row0 + row < n_query ? feature (q[from_q + (row0 + row) * q_stride[2] + t]) : 0.0;
}

float
element_b (uint t, uint column)
{
  if (what == QUERIES_KEYS)
    return key0 + column < keys ? feature (k[from_k + (key0 + column) * k_stride[2] + t]) : 0.0;
  if (what == QUERIES_SUMS)
    return column0 + column < dv ? sums[from_sums + t * dv + column0 + column] : 0.0;
  if (column0 + column < dv)
    return key0 + t < keys ? v[from_v + (key0 + t) * v_stride[2] + column0 + column] : 0.0;
  return column0 + column == dv ? 1.0 : 0.0;
}

void
find_head (uint head)
{
  uint h = head % heads, b = head / heads;

  keys = with_lengths != 0 ? uint (clamp (lengths[lengths_offset + b], 0, int (n_key))) : n_key;
  from_q = q_offset + b * q_stride[0] + h * q_stride[1];
  from_k = k_offset + b * k_stride[0] + h * k_stride[1];
  from_v = v_offset + b * v_stride[0] + h * v_stride[1];
}

void
sum_chunk (uint index)
{
  uint columns = (dv + SIDE) / SIDE, rows = (d + SIDE - 1) / SIDE, own = index / columns / rows; // dv + 1 columns
  uint chunk = own % chunks;

  if (own >= batch * heads * chunks)
    return;
  find_head (own / chunks);
  what = KEYS_VALUES;
  row0 = index / columns % rows * SIDE;
  column0 = index % columns * SIDE;
  key0 = chunk * CHUNK;
  tile_clear ();
  tile_product (max (min (keys, key0 + CHUNK), key0) - key0, false, false);
  [[unroll]] for (uint i = 0; i < T; i++)
    [[unroll]] for (uint j = 0; j < T; j++)
      {
        uint row = row0 + tile_row (i), column = column0 + tile_column (j);

        if (row < d && column <= dv)
          sums[own * sums_size + (column < dv ? row * dv + column : d * dv + row)] = sum[i][j / 4][j % 4];
      }
}

void
add_chunks (uint index)
{
  if (index >= batch * heads)
    return;
  for (uint e = gl_LocalInvocationID.x; e < d * (dv + 1); e += 64)
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

// The 32 keys from key0 on, each for the queries from its own on.
void
add_keys ()
{
  uint local = gl_LocalInvocationID.x;
  vec4 before[T];

  [[unroll]] for (uint i = 0; i < T; i++)
    before[i] = sum[i][0];
  what = QUERIES_KEYS;
  tile_clear ();
  tile_product (d, true, true);
  [[unroll]] for (uint i = 0; i < T; i++)
    [[unroll]] for (uint j = 0; j < T; j++)
      score[tile_row (i)][tile_column (j)] = key0 + tile_column (j) <= row0 + tile_row (i) ? sum[i][j / 4][j % 4] : 0.0;
  barrier ();
  if (local < SIDE)
    for (uint t = 0; t < SIDE; t++)
      divisor[local] += score[local][t];
  [[unroll]] for (uint i = 0; i < T; i++)
    sum[i][0] = before[i];
  what = SCORES_VALUES;
  tile_product (SIDE, true, false);
}

void
answer_queries (uint index)
{
  uint columns = (dv + SIDE - 1) / SIDE, rows = (n_query + SIDE - 1) / SIDE, head = index / columns / rows;
  uint local = gl_LocalInvocationID.x;

  if (head >= batch * heads)
    return;
  find_head (head);
  row0 = index / columns % rows * SIDE;
  column0 = index % columns * SIDE;
  from_sums = (head * chunks + (causal != 0 ? row0 / CHUNK : 0)) * sums_size;
  if (local < SIDE)
    {
      float z = 0.0;

      for (uint c = 0; c < d && row0 + local < n_query; c++)
        z = fma (feature (q[from_q + (row0 + local) * q_stride[2] + c]), sums[from_sums + d * dv + c], z);
      divisor[local] = z;
    }
  what = QUERIES_SUMS;
  tile_clear ();
  tile_product (d, true, false);
  if (causal != 0)
    for (key0 = row0 / CHUNK * CHUNK; key0 < min (keys, row0 + SIDE); key0 += SIDE)
      add_keys ();
  barrier ();
  [[unroll]] for (uint i = 0; i < T; i++)
    [[unroll]] for (uint j = 0; j < T; j++)
      {
        uint row = row0 + tile_row (i), column = column0 + tile_column (j);

        if (row < n_query && column < dv)
          y[y_offset + ((head / heads * n_query + row) * heads + head % heads) * dv + column]
            = sum[i][j / 4][j % 4] / (divisor[tile_row (i)] + eps);
      }
}

void
main ()
{
  if (pass == 0)
    sum_chunk (group_index ());
  else if (pass == 1)
    add_chunks (group_index ());
  else
    answer_queries (group_index ());
}
