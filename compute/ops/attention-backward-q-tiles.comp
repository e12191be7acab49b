#version 450
// attention-backward-q-tiles.comp: what attention-backward-q.comp computes, 32 queries a workgroup, 32 keys at a time, for
// widths up to 32 GROUPS.
#extension GL_GOOGLE_include_directive : enable
#extension GL_EXT_control_flow_attributes : require
#include "common.glsl"
#include "attention-backward.glsl"
#include "attention-tiles.glsl"

layout (std430, binding = 7) buffer Dq { float dq[]; };

shared vec4 score_gradient[SIDE][SIDE / 4 + 1]; // by key, then query

void
main ()
{
  uint tiles = (n_query + SIDE - 1) / SIDE, index = group_index (), local = gl_LocalInvocationID.x;
  uint tile = index % tiles, h = index / tiles % heads, b = index / tiles / heads, x = local % 8, y = local / 8;

  if (b >= batch)
    return;
  uint i0 = tile * SIDE;
  uint from_q = q_offset + b * q_stride[0] + h * q_stride[1];
  uint from_k = k_offset + b * k_stride[0] + h / group * k_stride[1];
  uint from_v = v_offset + b * v_stride[0] + h / group * v_stride[1];
  uint from_dy = dy_offset + b * dy_stride[0] + h * dy_stride[2];
  ivec2 range = keys_of_tile (b, int (i0), int (min (i0 + SIDE, n_query)) - 1);
  int first = range.x, end = range.y;
  vec4 result[4][GROUPS];
  vec2 row[4];

  [[unroll]] for (uint i = 0; i < 4; i++)
    {
      row[i] = rows[(b * heads + h) * n_query + min (i0 + y * 4 + i, n_query - 1)];
      [[unroll]] for (uint c = 0; c < GROUPS; c++)
        result[i][c] = vec4 (0.0);
    }

  for (int j0 = first; j0 < end; j0 += int (SIDE))
    {
      vec4 score[4], gradient[4]; // by key, four queries each

      if (layout_hides (h, i0, min (SIDE, n_query - i0), uint (j0), min (SIDE, uint (end - j0))))
        continue;
      TILE_PRODUCT (score, q, from_q + i0 * q_stride[2], q_stride[2], n_query - i0,
                    k, from_k + uint (j0) * k_stride[2], k_stride[2], uint (end - j0), d)
      TILE_PRODUCT (gradient, dy, from_dy + i0 * dy_stride[1], dy_stride[1], n_query - i0,
                    v, from_v + uint (j0) * v_stride[2], v_stride[2], uint (end - j0), dv)
      [[unroll]] for (uint j = 0; j < 4; j++)
        {
          uint key = uint (j0) + x * 4 + j;
          vec4 ds;

          [[unroll]] for (uint i = 0; i < 4; i++)
            {
              uint query = i0 + y * 4 + i;
              bool seen = query < n_query && int (key) < end && visible (b, h, query, key);

              ds[i] = seen ? exp (score[j][i] * scale + added (b, h, query, key) - row[i].x)
                             * (gradient[j][i] - row[i].y) * scale : 0.0;
            }
          score_gradient[x * 4 + j][y] = ds;
        }
      barrier ();
      TILE_ACCUMULATE (result, score_gradient, k, from_k + uint (j0) * k_stride[2], k_stride[2],
                       min (SIDE, uint (end - j0)), d)
      // The next round writes score_gradient after two barriers at least.
    }
  [[unroll]] for (uint i = 0; i < 4; i++)
    [[unroll]] for (uint c = 0; c < GROUPS; c++)
      [[unroll]] for (uint e = 0; e < 4; e++)
        {
          uint query = i0 + y * 4 + i, column = c * 32 + x * 4 + e;

          if (query < n_query && column < d)
            dq[((b * n_query + query) * heads + h) * d + column] = result[i][c][e];
        }
}
