// attention-tiles.glsl: products of 32 rows with 32 rows by 8 x 8 invocations, 4 x 4 each; needs with_lengths and the
// buffers to be declared. An invocation's four rows of A begin at 4 y, its four rows of B at 4 x.
layout (constant_id = 4) const uint GROUPS = 1; // columns of the result in groups of 32: 4 an invocation and group

const uint SIDE = 32;
const uint DEPTH = 16; // columns that pass through shared memory at once

shared vec4 tile_a[DEPTH][SIDE / 4 + 1];
shared vec4 tile_b[DEPTH][SIDE / 4 + 1];

// result[j][i] = sum over WIDTH columns of A's row i times B's row j; rows from A_COUNT and B_COUNT on count as zeros.
// A macro, since GLSL passes no buffers to functions. Ends with a barrier.
#define TILE_PRODUCT(result, A, a_from, a_row, a_count, B, b_from, b_row, b_count, width) \
  [[unroll]] for (uint j = 0; j < 4; j++) \
    result[j] = vec4 (0.0); \
  for (uint inner = 0; inner < (width); inner += DEPTH) \
    { \
      for (uint e = local; e < SIDE * DEPTH; e += 64) \
        { \
          uint r = e / DEPTH, c = e % DEPTH; \
          \
          tile_a[c][r / 4][r % 4] = r < (a_count) && inner + c < (width) ? A[(a_from) + r * (a_row) + inner + c] : 0.0; \
          tile_b[c][r / 4][r % 4] = r < (b_count) && inner + c < (width) ? B[(b_from) + r * (b_row) + inner + c] : 0.0; \
        } \
      barrier (); \
      for (uint t = 0; t < DEPTH; t++) \
        { \
          vec4 left = tile_a[t][y], right = tile_b[t][x]; \
          \
          [[unroll]] for (uint j = 0; j < 4; j++) \
            result[j] = fma (left, vec4 (right[j]), result[j]); \
        } \
      barrier (); \
    }

// sum[i][c] += weight[t][i] times the row of X, for t below COUNT: columns 4 x ... 4 x + 3 of every 32.
#define TILE_ACCUMULATE(sum, weight, X, x_from, x_row, count, width) \
  for (uint t = 0; t < (count); t++) \
    { \
      vec4 w = weight[t][y]; \
      uint from = (x_from) + t * (x_row); \
      \
      [[unroll]] for (uint c = 0; c < GROUPS; c++) \
        { \
          vec4 value; \
          \
          [[unroll]] for (uint e = 0; e < 4; e++) \
            value[e] = X[from + min (c * 32 + x * 4 + e, (width) - 1)]; \
          [[unroll]] for (uint i = 0; i < 4; i++) \
            sum[i][c] = fma (vec4 (w[i]), value, sum[i][c]); \
        } \
    }
