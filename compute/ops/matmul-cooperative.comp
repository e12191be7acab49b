#version 450
// matmul-cooperative.comp: the product by matrix units: a and b rounded to f16, sums in f32. Only where the device
// lists 16 x 16 x 16 of these types for a subgroup and was opened for products in f16. Four subgroups make a tile of 64
// x 64, each 32 x 32 of it. The result passes through shared memory, since c may end inside a tile and may have a bias.
#extension GL_GOOGLE_include_directive : enable
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_NV_cooperative_matrix : require
#include "common.glsl"
#include "matmul-push.glsl"

const uint SIDE = 64, DEPTH = 32, UNIT = 16;

shared uint tile_a[SIDE * DEPTH / 2]; // [SIDE,DEPTH] f16, two a word
shared uint tile_b[DEPTH * SIDE / 2]; // [DEPTH,SIDE]
shared float tile_c[SIDE * SIDE];

void
main ()
{
  uint local = gl_LocalInvocationID.x, size = gl_WorkGroupSize.x;
  uint y0 = gl_SubgroupID / 2 * 32, x0 = gl_SubgroupID % 2 * 32;
  fcoopmatNV<32, gl_ScopeSubgroup, UNIT, UNIT> sum[2][2];

  if (!find_tile (SIDE, SIDE))
    return;
  [[unroll]] for (uint i = 0; i < 2; i++)
    [[unroll]] for (uint j = 0; j < 2; j++)
      sum[i][j] = fcoopmatNV<32, gl_ScopeSubgroup, UNIT, UNIT> (0.0);
  for (uint inner = 0; inner < k; inner += DEPTH)
    {
      for (uint e = local; e < SIDE * DEPTH / 2; e += size)
        {
          uint ra = a_column == 1 ? e / (DEPTH / 2) : e % SIDE, ca = a_column == 1 ? e % (DEPTH / 2) : e / SIDE;
          uint rb = b_column == 1 ? e / (SIDE / 2) : e % DEPTH, cb = b_column == 1 ? e % (SIDE / 2) : e / DEPTH;

          tile_a[ra * (DEPTH / 2) + ca]
            = packHalf2x16 (vec2 (element_a (ra, inner + 2 * ca), element_a (ra, inner + 2 * ca + 1)));
          tile_b[rb * (SIDE / 2) + cb]
            = packHalf2x16 (vec2 (element_b (inner + rb, 2 * cb), element_b (inner + rb, 2 * cb + 1)));
        }
      barrier ();
      [[unroll]] for (uint t = 0; t < DEPTH; t += UNIT)
        {
          fcoopmatNV<16, gl_ScopeSubgroup, UNIT, UNIT> left[2], right[2];

          [[unroll]] for (uint i = 0; i < 2; i++)
            {
              coopMatLoadNV (left[i], tile_a, ((y0 + i * UNIT) * DEPTH + t) / 2, DEPTH / 2, false);
              coopMatLoadNV (right[i], tile_b, (t * SIDE + x0 + i * UNIT) / 2, SIDE / 2, false);
            }
          [[unroll]] for (uint i = 0; i < 2; i++)
            [[unroll]] for (uint j = 0; j < 2; j++)
              sum[i][j] = coopMatMulAddNV (left[i], right[j], sum[i][j]);
        }
      barrier ();
    }
  [[unroll]] for (uint i = 0; i < 2; i++)
    [[unroll]] for (uint j = 0; j < 2; j++)
      coopMatStoreNV (sum[i][j], tile_c, (y0 + i * UNIT) * SIDE + x0 + j * UNIT, SIDE, false);
  barrier ();
  for (uint e = local; e < SIDE * SIDE; e += size)
    put (e / SIDE, e % SIDE, tile_c[e]);
}
