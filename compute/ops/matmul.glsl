// matmul.glsl: c [n,m] = a [n,k] b [k,m] (+ bias [m]), batched, any strides on a and b, c contiguous.
// A workgroup of 8 x 8 invocations makes a tile of SIDE x SIDE, SIDE = 8 T, with T x T outputs each; both operands pass
// through shared memory 16 columns of a at a time. An invocation's rows and columns lie in runs of four, 32 apart, so
// that it reads shared memory by vec4 and neighbours read neighbours.
layout (constant_id = 3) const uint with_bias = 0;

layout (std430, binding = 0) readonly buffer A { float a[]; };
layout (std430, binding = 1) readonly buffer B { float b[]; };
layout (std430, binding = 2) buffer C { float c[]; };
layout (std430, binding = 3) readonly buffer Bias { float bias[]; };
layout (push_constant) uniform Push
{
  uint n, m, k, a_offset, b_offset, c_offset, bias_offset, a_row, a_column, b_row, b_column;
  uint batch[4], a_batch[4], b_batch[4];
};

const uint SIDE = 8 * T;
const uint DEPTH = 16;

// One more than needed, against bank conflicts of the stores.
shared vec4 tile_a[DEPTH][SIDE / 4 + 1];
shared vec4 tile_b[DEPTH][SIDE / 4 + 1];

void
main ()
{
  uint columns = (m + SIDE - 1) / SIDE, rows = (n + SIDE - 1) / SIDE;
  uint group = group_index (), local = gl_LocalInvocationID.x;
  uint column0 = group % columns * SIDE, row0 = group / columns % rows * SIDE, item = group / columns / rows;
  uint x = local % 8, y = local / 8;
  uint from_a = a_offset, from_b = b_offset, rest = item;
  vec4 sum[T][T / 4];

  if (item >= batch[0] * batch[1] * batch[2] * batch[3])
    return; // the whole workgroup: group_index () may run past the last one
  for (int i = 3; i >= 0; i--)
    {
      from_a += rest % batch[i] * a_batch[i];
      from_b += rest % batch[i] * b_batch[i];
      rest /= batch[i];
    }
  [[unroll]] for (uint i = 0; i < T; i++)
    [[unroll]] for (uint j = 0; j < T / 4; j++)
      sum[i][j] = vec4 (0.0);

  for (uint inner = 0; inner < k; inner += DEPTH)
    {
      for (uint e = local; e < SIDE * DEPTH; e += 64)
        {
          // The faster index of the load follows the unit stride of the operand.
          uint ra = a_column == 1 ? e / DEPTH : e % SIDE, ca = a_column == 1 ? e % DEPTH : e / SIDE;
          uint rb = b_column == 1 ? e / SIDE : e % DEPTH, cb = b_column == 1 ? e % SIDE : e / DEPTH;
          bool in_a = row0 + ra < n && inner + ca < k, in_b = inner + rb < k && column0 + cb < m;

          tile_a[ca][ra / 4][ra % 4] = in_a ? a[from_a + (row0 + ra) * a_row + (inner + ca) * a_column] : 0.0;
          tile_b[rb][cb / 4][cb % 4] = in_b ? b[from_b + (inner + rb) * b_row + (column0 + cb) * b_column] : 0.0;
        }
      barrier ();
      for (uint t = 0; t < DEPTH; t++)
        {
          vec4 left[T / 4], right[T / 4];

          [[unroll]] for (uint i = 0; i < T / 4; i++)
            {
              left[i] = tile_a[t][y + 8 * i];
              right[i] = tile_b[t][x + 8 * i];
            }
          [[unroll]] for (uint i = 0; i < T; i++)
            [[unroll]] for (uint j = 0; j < T / 4; j++)
              sum[i][j] = fma (vec4 (left[i / 4][i % 4]), right[j], sum[i][j]);
        }
      barrier ();
    }
  [[unroll]] for (uint i = 0; i < T; i++)
    [[unroll]] for (uint j = 0; j < T; j++)
      {
        uint row = row0 + i / 4 * 32 + y * 4 + i % 4, column = column0 + j / 4 * 32 + x * 4 + j % 4;

        if (row < n && column < m)
          c[c_offset + (item * n + row) * m + column]
            = sum[i][j / 4][j % 4] + (with_bias != 0 ? bias[bias_offset + column] : 0.0);
      }
}
