// tiles.glsl: products by tiles. A workgroup of 8 x 8 invocations makes a tile of SIDE x SIDE, SIDE = 8 T, with T x T
// outputs each; both operands pass through shared memory DEPTH columns of a at a time. An invocation's rows and columns
// lie in runs of four, 32 apart, so that it reads shared memory by vec4 and neighbours read neighbours.
//
// Who includes it has included common.glsl and defined T (4 or 8), element_a (row of the tile, t) and element_b (t,
// column of the tile): 0 outside of the operand. VECTOR, SCALAR and MULTIPLY_ADD may be defined for another type than
// float.
#ifndef VECTOR
#define VECTOR vec4
#define SCALAR float
#define MULTIPLY_ADD(a, b, c) fma (a, b, c)
#endif

const uint SIDE = 8 * T;
const uint DEPTH = 16;

// One more than needed, against bank conflicts of the stores.
shared VECTOR tile_a[DEPTH][SIDE / 4 + 1];
shared VECTOR tile_b[DEPTH][SIDE / 4 + 1];

VECTOR sum[T][T / 4];

SCALAR element_a (uint row, uint t);
SCALAR element_b (uint t, uint column);

void
tile_clear ()
{
  [[unroll]] for (uint i = 0; i < T; i++)
    [[unroll]] for (uint j = 0; j < T / 4; j++)
      sum[i][j] = VECTOR (0);
}

// Adds a [SIDE,depth] b [depth,SIDE] to sum. The faster index of a load follows the unit stride: t of a where
// @a_along_t, t of b where @b_along_t. All invocations call it, and it ends with a barrier.
void
tile_product (uint depth, bool a_along_t, bool b_along_t)
{
  uint local = gl_LocalInvocationID.x, x = local % 8, y = local / 8;

  for (uint inner = 0; inner < depth; inner += DEPTH)
    {
      for (uint e = local; e < SIDE * DEPTH; e += 64)
        {
          uint ra = a_along_t ? e / DEPTH : e % SIDE, ca = a_along_t ? e % DEPTH : e / SIDE;
          uint rb = b_along_t ? e % DEPTH : e / SIDE, cb = b_along_t ? e / DEPTH : e % SIDE;

          tile_a[ca][ra / 4][ra % 4] = inner + ca < depth ? element_a (ra, inner + ca) : SCALAR (0);
          tile_b[rb][cb / 4][cb % 4] = inner + rb < depth ? element_b (inner + rb, cb) : SCALAR (0);
        }
      barrier ();
      for (uint t = 0; t < DEPTH; t++)
        {
          VECTOR left[T / 4], right[T / 4];

          [[unroll]] for (uint i = 0; i < T / 4; i++)
            {
              left[i] = tile_a[t][y + 8 * i];
              right[i] = tile_b[t][x + 8 * i];
            }
          [[unroll]] for (uint i = 0; i < T; i++)
            [[unroll]] for (uint j = 0; j < T / 4; j++)
              sum[i][j] = MULTIPLY_ADD (VECTOR (left[i / 4][i % 4]), right[j], sum[i][j]);
        }
      barrier ();
    }
}

// Row and column of the tile that sum[i][j / 4][j % 4] is.
uint tile_row (uint i) { return i / 4 * 32 + gl_LocalInvocationID.x / 8 * 4 + i % 4; }
uint tile_column (uint j) { return j / 4 * 32 + gl_LocalInvocationID.x % 8 * 4 + j % 4; }
