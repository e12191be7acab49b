// matmul.glsl: the product by tiles; T says how big.
#include "matmul-push.glsl"
#include "tiles.glsl"

void
main ()
{
  if (!find_tile (SIDE, SIDE))
    return; // the whole workgroup: group_index () may run past the last one
  tile_clear ();
  tile_product (k, a_column == 1, b_column != 1);
  [[unroll]] for (uint i = 0; i < T; i++)
    [[unroll]] for (uint j = 0; j < T; j++)
      put (tile_row (i), tile_column (j), sum[i][j / 4][j % 4]);
}
