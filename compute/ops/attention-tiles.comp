#version 450
// attention-tiles.comp: what attention.comp computes, 32 queries a workgroup of 8 x 8 invocations, 32 keys at a time, so
// that keys and values are read 32 times less often. For value widths up to 32 GROUPS; a single query is left to
// attention.comp. An invocation has 4 x 4 scores, and of the result 4 rows with 4 columns of every 32.
#extension GL_GOOGLE_include_directive : enable
#extension GL_EXT_control_flow_attributes : require
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
#include "attention-tiles.glsl"

const float NOTHING = -1e30; // below any score, and finite
shared vec4 weight[SIDE][SIDE / 4 + 1]; // by key, then query: scores, then their exponentials
shared float part_top[2][SIDE], part_sum[2][SIDE];
shared vec4 shrink[SIDE / 4], total[SIDE / 4];

void
main ()
{
  uint tiles = (n_query + SIDE - 1) / SIDE, index = group_index (), local = gl_LocalInvocationID.x;
  uint tile = index % tiles, h = index / tiles % heads, b = index / tiles / heads, x = local % 8, y = local / 8;

  if (b >= batch)
    return;
  uint i0 = tile * SIDE, row = local % SIDE, side = local / SIDE; // for the softmax: half a row an invocation
  uint from_q = q_offset + b * q_stride[0] + h * q_stride[1];
  uint from_k = k_offset + b * k_stride[0] + h / group * k_stride[1];
  uint from_v = v_offset + b * v_stride[0] + h / group * v_stride[1];
  ivec2 range = keys_of_tile (b, int (i0), int (min (i0 + SIDE, n_query)) - 1); // what lies outside is not touched
  int first = range.x, end = range.y;
  float top = NOTHING, sum = 0.0;
  vec4 result[4][GROUPS];

  [[unroll]] for (uint i = 0; i < 4; i++)
    [[unroll]] for (uint c = 0; c < GROUPS; c++)
      result[i][c] = vec4 (0.0);

  for (int j0 = first; j0 < end; j0 += int (SIDE))
    {
      vec4 score[4]; // by key, four queries each
      float own_top = NOTHING, own_sum = 0.0;

      if (layout_hides (h, i0, min (SIDE, n_query - i0), uint (j0), min (SIDE, uint (end - j0))))
        continue;
      TILE_PRODUCT (score, q, from_q + i0 * q_stride[2], q_stride[2], n_query - i0,
                    k, from_k + uint (j0) * k_stride[2], k_stride[2], uint (end - j0), d)
      [[unroll]] for (uint j = 0; j < 4; j++)
        {
          uint key = uint (j0) + x * 4 + j;

          [[unroll]] for (uint i = 0; i < 4; i++)
            {
              uint query = i0 + y * 4 + i;
              bool seen = query < n_query && int (key) < end && visible (b, h, query, key);

              score[j][i] = seen ? score[j][i] * scale + added (b, h, query, key) : 2.0 * NOTHING;
            }
          weight[x * 4 + j][y] = score[j];
        }
      barrier ();
      for (uint t = side * 16; t < side * 16 + 16; t++)
        own_top = max (own_top, weight[t][row / 4][row % 4]);
      part_top[side][row] = own_top;
      barrier ();
      own_top = max (top, max (part_top[0][row], part_top[1][row]));
      for (uint t = side * 16; t < side * 16 + 16; t++)
        {
          float w = exp (weight[t][row / 4][row % 4] - own_top); // 0 where nothing is visible

          weight[t][row / 4][row % 4] = w;
          own_sum += w;
        }
      part_sum[side][row] = own_sum;
      if (side == 0)
        shrink[row / 4][row % 4] = exp (top - own_top);
      barrier ();
      sum = sum * exp (top - own_top) + part_sum[0][row] + part_sum[1][row];
      top = own_top;
      [[unroll]] for (uint c = 0; c < GROUPS; c++)
        [[unroll]] for (uint i = 0; i < 4; i++)
          result[i][c] *= shrink[y][i];
      TILE_ACCUMULATE (result, weight, v, from_v + uint (j0) * v_stride[2], v_stride[2], min (SIDE, uint (end - j0)), dv)
      // The next round writes weights and the like after two barriers at least.
    }
  if (side == 0)
    {
      total[row / 4][row % 4] = sum;
      if (i0 + row < n_query)
        lse[lse_offset + (b * heads + h) * n_query + i0 + row] = sum > 0.0 ? top + log (sum) : 3e38;
    }
  barrier ();
  [[unroll]] for (uint i = 0; i < 4; i++)
    {
      uint query = i0 + y * 4 + i;
      float divisor = total[y][i];

      [[unroll]] for (uint c = 0; c < GROUPS; c++)
        [[unroll]] for (uint e = 0; e < 4; e++)
          {
            uint column = c * 32 + x * 4 + e;

            if (query < n_query && column < dv)
              o[o_offset + ((b * n_query + query) * heads + h) * dv + column] = divisor > 0.0 ? result[i][c][e] / divisor
                                                                                             : 0.0;
          }
    }
}
