// attention-mask.glsl: which keys a query sees and what is added to its scores; include after declaring n_query, n_key,
// causal, window, block_size, position_offset, mask_offset, the buffer `mask` (int) and, where terms are added, `bias`
// with ADDED_TERMS defined. What `mask` holds, by with_mask: 0 nothing; 1 a key length an example; 2 the table of
// attention-table.comp: places of lengths, segments, key segments, layout, distance terms (0 = none), number of
// segments, dilation, globals, block of the layout, its columns, its stride by head, the stride of distance terms by
// head, bias or not, its offset, its strides by example, head and query.
int at (uint word) { return mask[mask_offset + word]; }

int
length_of (uint b)
{
  if (with_mask == 1)
    return clamp (mask[mask_offset + b], 0, int (n_key));
  if (with_mask == 2 && at (0) != 0)
    return clamp (at (uint (at (0)) + b), 0, int (n_key));
  return int (n_key);
}

// The segment of position x among those that begin at `place` of the table: -1 before the first, n past the end.
int
segment_of (int place, int x)
{
  int n = at (5), low = 0, high = n;

  if (x < at (uint (place)))
    return -1;
  if (x >= at (uint (place + n)))
    return n;
  while (high - low > 1)
    {
      int middle = (low + high) / 2;

      if (at (uint (place + middle)) <= x)
        low = middle;
      else
        high = middle;
    }
  return low;
}

// Keys [x,y) that the interval masks leave to a query; both ends never fall as the query grows.
ivec2
keys_of (uint b, int query)
{
  int start = 0, count = int (n_key), i = query + position_offset;
  ivec2 keys;

  if (with_mask == 2 && at (5) > 0)
    {
      int s = segment_of (at (1), query);

      if (s < 0)
        return ivec2 (0);
      if (s >= at (5))
        return ivec2 (clamp (at (uint (at (2) + at (5))), 0, int (n_key)));
      int own = at (uint (at (1) + s));

      start = clamp (at (uint (at (2) + s)), 0, int (n_key));
      count = clamp (at (uint (at (2) + s + 1)), start, int (n_key)) - start;
      i = query - own;
      if (causal != 0)
        i += count - (at (uint (at (1) + s + 1)) - own);
    }
  keys = ivec2 (0, i < 0 ? 0 : min (count, length_of (b)));
  if (causal != 0)
    keys.y = min (keys.y, i + 1);
  if (window > 0)
    keys = ivec2 (max (keys.x, max (i, 0) - window), min (keys.y, i + window + 1));
  if (block_size > 0 && i >= 0)
    keys = ivec2 (max (keys.x, i / block_size * block_size), min (keys.y, i / block_size * block_size + block_size));
  return ivec2 (keys.x, max (keys.y, 0)) + start;
}

// How many keys a query sees past every window and block, for global positions.
int
keys_at_most (uint b, int query)
{
  int i = query + position_offset, most = i < 0 ? 0 : length_of (b);

  return causal != 0 ? min (most, i + 1) : most;
}

// Keys [x,y) that some query of [first,last] may see.
ivec2
keys_of_tile (uint b, int first, int last)
{
  ivec2 keys = ivec2 (keys_of (b, first).x, keys_of (b, last).y);

  if (with_mask == 2 && at (7) > 0)
    {
      int last_global = min (last, at (7) - position_offset - 1);

      keys = ivec2 (0, max (keys.y, min (at (7), keys_at_most (b, last))));
      if (last_global >= first)
        keys.y = max (keys.y, keys_at_most (b, last_global));
    }
  return keys;
}

bool
visible (uint b, uint h, uint query, uint key)
{
  int i = int (query) + position_offset, j = int (key);
  ivec2 keys = keys_of (b, int (query));

  if (with_mask != 2)
    return j >= keys.x && j < keys.y;
  if (at (7) > 0 && (j < at (7) || i < at (7)))
    return j < keys_at_most (b, int (query));
  return j >= keys.x && j < keys.y && (at (6) <= 1 || abs (i - j) % at (6) == 0)
         && (at (3) == 0 || at (uint (at (3) + int (h) * at (10) + int (query) / at (8) * at (9) + j / at (8))) != 0);
}

#ifdef ADDED_TERMS
float
added (uint b, uint h, uint query, uint key)
{
  float sum = 0.0;

  if (with_mask == 2)
    {
      if (at (4) != 0)
        sum += intBitsToFloat (at (uint (at (4) + int (h) * at (11)) + query + n_key - 1 - key));
      if (at (12) != 0)
        sum += bias[uint (at (13)) + b * uint (at (14)) + h * uint (at (15)) + query * uint (at (16)) + key];
    }
  return sum;
}
#endif

// Whether no query of [i0,i0+n) sees a key of [j0,j0+m) by the layout: such a tile is skipped.
bool
layout_hides (uint h, uint i0, uint n, uint j0, uint m)
{
  if (with_mask != 2 || at (3) == 0 || (at (7) > 0 && (int (j0) < at (7) || int (i0) + position_offset < at (7))))
    return false;
  uint size = uint (at (8));

  for (uint r = i0 / size; r <= (i0 + n - 1) / size; r++)
    for (uint c = j0 / size; c <= (j0 + m - 1) / size; c++)
      if (at (uint (at (3) + int (h) * at (10)) + r * uint (at (9)) + c) != 0)
        return false;
  return true;
}
