// attention-mask.glsl: which keys a query sees; include after declaring n_query, n_key, causal, window, block_size,
// position_offset. `keys` is the number of keys that are no padding.
bool
visible (uint query, uint key, int keys)
{
  int i = int (query) + position_offset, j = int (key);

  return j < keys && i >= 0 && (causal == 0 || j <= i) && (window == 0 || abs (i - j) <= window)
         && (block_size == 0 || i / block_size == j / block_size);
}
