// elementwise.glsl: the block of sizes that FmLoopPush fills, and where an input's element lies.
layout (push_constant) uniform Push
{
  uint count, rank;
  float c, d;
  uint dims[6];
  uint offset[3];
  uint stride[18];
} push;

// Index of input k's element for output element i.
uint at (uint k, uint i)
{
  uint index = push.offset[k];

  for (int a = int (push.rank) - 1; a > 0; a--)
    {
      index += i % push.dims[a] * push.stride[k * 6 + a];
      i /= push.dims[a];
    }
  return index + i * push.stride[k * 6];
}
