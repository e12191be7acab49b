#version 450
// matmul-subgroup.comp: the product with a in registers. Each subgroup makes 8 rows by 4 columns an invocation: a's
// part of 8 rows x 16 columns is spread over the subgroup and comes by broadcast, b's part comes through shared memory,
// which all subgroups read. So a workgroup of 64 makes 8 x 64 / SUBGROUP rows and 4 x SUBGROUP columns. Sums are made
// in the order of matmul.glsl, to the same bits. Lanes of the broadcasts are constants of the pipeline.
#extension GL_GOOGLE_include_directive : enable
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_ballot : require
#include "common.glsl"
#include "matmul-push.glsl"
layout (constant_id = 4) const uint SUBGROUP = 64; // invocations of a subgroup: 4 to 64

const uint ROWS = 8;   // of a subgroup
const uint DEPTH = 16;

shared vec4 tile_b[DEPTH * SUBGROUP];

#define LANE(r, t) ((r) * 16 + (t))
#define ROW(r, t) \
  sum[r] = fma (vec4 (subgroupBroadcast (left[LANE (r, t) / SUBGROUP], LANE (r, t) % SUBGROUP)), right, sum[r]);
#define STEP(t) \
  right = tile_b[(t) * SUBGROUP + lane]; \
  ROW (0, t) ROW (1, t) ROW (2, t) ROW (3, t) ROW (4, t) ROW (5, t) ROW (6, t) ROW (7, t)

void
main ()
{
  uint local = gl_LocalInvocationID.x, lane = gl_SubgroupInvocationID, own = gl_SubgroupID * ROWS;
  vec4 sum[ROWS], right;
  float left[ROWS * DEPTH / 4]; // the most, of subgroups of 4

  if (!find_tile (ROWS * 64 / SUBGROUP, 4 * SUBGROUP))
    return;
  [[unroll]] for (uint r = 0; r < ROWS; r++)
    sum[r] = vec4 (0.0);
  for (uint inner = 0; inner < k; inner += DEPTH)
    {
      for (uint i = 0; i < ROWS * DEPTH / SUBGROUP; i++)
        left[i] = element_a (own + (i * SUBGROUP + lane) / DEPTH, inner + (i * SUBGROUP + lane) % DEPTH);
      for (uint e = local; e < DEPTH * 4 * SUBGROUP; e += 64)
        {
          uint t = b_column == 1 ? e / (4 * SUBGROUP) : e % DEPTH;
          uint column = b_column == 1 ? e % (4 * SUBGROUP) : e / DEPTH;

          tile_b[t * SUBGROUP + column / 4][column % 4] = element_b (inner + t, column);
        }
      barrier ();
      STEP (0) STEP (1) STEP (2) STEP (3) STEP (4) STEP (5) STEP (6) STEP (7)
      STEP (8) STEP (9) STEP (10) STEP (11) STEP (12) STEP (13) STEP (14) STEP (15)
      barrier ();
    }
  [[unroll]] for (uint r = 0; r < ROWS; r++)
    [[unroll]] for (uint j = 0; j < 4; j++)
      put (own + r, lane * 4 + j, sum[r][j]);
}
