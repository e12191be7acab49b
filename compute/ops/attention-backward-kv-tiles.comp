#version 450
// attention-backward-kv-tiles.comp: what attention-backward-kv.comp computes, 32 keys a workgroup, 32 queries at a time
// over the query heads of their group, for widths up to 32 GROUPS.
#extension GL_GOOGLE_include_directive : enable
#extension GL_EXT_control_flow_attributes : require
#include "common.glsl"
#include "attention-backward.glsl"
#include "attention-tiles.glsl"

layout (std430, binding = 7) buffer Dk { float dk[]; };
layout (std430, binding = 8) buffer Dv { float dv_out[]; };

shared vec4 weight[SIDE][SIDE / 4 + 1];         // by query, then key
shared vec4 score_gradient[SIDE][SIDE / 4 + 1];

void
main ()
{
  uint kv_heads = heads / group, tiles = (n_key + SIDE - 1) / SIDE, index = group_index ();
  uint local = gl_LocalInvocationID.x, x = local % 8, y = local / 8;
  uint tile = index % tiles, kv = index / tiles % kv_heads, b = index / tiles / kv_heads;

  if (b >= batch)
    return;
  uint j0 = tile * SIDE;
  uint from_k = k_offset + b * k_stride[0] + kv * k_stride[1] + j0 * k_stride[2];
  uint from_v = v_offset + b * v_stride[0] + kv * v_stride[1] + j0 * v_stride[2];
  ivec2 range = queries_of_tile (b, int (j0), int (min (j0 + SIDE, n_key)) - 1);
  int first = range.x, end = range.y;
  vec4 result_k[4][GROUPS], result_v[4][GROUPS];

  [[unroll]] for (uint i = 0; i < 4; i++)
    [[unroll]] for (uint c = 0; c < GROUPS; c++)
      {
        result_k[i][c] = vec4 (0.0);
        result_v[i][c] = vec4 (0.0);
      }

  for (uint h = kv * group; h < (kv + 1) * group; h++)
    for (int i0 = first; i0 < end; i0 += int (SIDE))
      {
        uint from_q = q_offset + b * q_stride[0] + h * q_stride[1] + uint (i0) * q_stride[2];
        uint from_dy = dy_offset + b * dy_stride[0] + h * dy_stride[2] + uint (i0) * dy_stride[1];
        uint count = min (SIDE, uint (end - i0));
        vec4 score[4], gradient[4]; // by query, four keys each

        if (layout_hides (h, uint (i0), count, j0, min (SIDE, n_key - j0)))
          continue;
        TILE_PRODUCT (score, k, from_k, k_stride[2], n_key - j0, q, from_q, q_stride[2], count, d)
        TILE_PRODUCT (gradient, v, from_v, v_stride[2], n_key - j0, dy, from_dy, dy_stride[1], count, dv)
        [[unroll]] for (uint j = 0; j < 4; j++)
          {
            uint query = uint (i0) + x * 4 + j;
            vec2 row = rows[(b * heads + h) * n_query + min (query, n_query - 1)];
            vec4 w, ds;

            [[unroll]] for (uint i = 0; i < 4; i++)
              {
                uint key = j0 + y * 4 + i;

                w[i] = int (query) < end && key < n_key && visible (b, h, query, key)
                       ? exp (score[j][i] * scale + added (b, h, query, key) - row.x) : 0.0;
                ds[i] = w[i] * (gradient[j][i] - row.y) * scale;
              }
            weight[x * 4 + j][y] = w;
            score_gradient[x * 4 + j][y] = ds;
          }
        barrier ();
        TILE_ACCUMULATE (result_k, score_gradient, q, from_q, q_stride[2], count, d)
        TILE_ACCUMULATE (result_v, weight, dy, from_dy, dy_stride[1], count, dv)
        // The next round writes both tiles after two barriers at least.
      }
  [[unroll]] for (uint i = 0; i < 4; i++)
    [[unroll]] for (uint c = 0; c < GROUPS; c++)
      [[unroll]] for (uint e = 0; e < 4; e++)
        {
          uint key = j0 + y * 4 + i, column = c * 32 + x * 4 + e;

          if (key < n_key && column < d)
            dk[((b * n_key + key) * kv_heads + kv) * d + column] = result_k[i][c][e];
          if (key < n_key && column < dv)
            dv_out[((b * n_key + key) * kv_heads + kv) * dv + column] = result_v[i][c][e];
        }
}
