// attention-backward.glsl: bindings and push constants of both passes of the backward.
layout (constant_id = 3) const uint with_mask = 0;

layout (std430, binding = 0) readonly buffer Q { float q[]; };
layout (std430, binding = 1) readonly buffer K { float k[]; };
layout (std430, binding = 2) readonly buffer V { float v[]; };
layout (std430, binding = 3) readonly buffer Dy { float dy[]; };
layout (std430, binding = 4) readonly buffer Rows { vec2 rows[]; };
layout (std430, binding = 5) readonly buffer Mask { int mask[]; };
layout (std430, binding = 6) readonly buffer Bias { float bias[]; };
layout (push_constant) uniform Push
{
  uint batch, heads, group, n_query, n_key, d, dv;
  int causal, window, block_size, position_offset;
  float scale;
  uint q_offset, k_offset, v_offset, dy_offset, mask_offset;
  uint q_stride[3], k_stride[3], v_stride[3], dy_stride[3];
};
#define ADDED_TERMS
#include "attention-mask.glsl"

// Queries [x,y) that may see some key of [first,last]: by causality and windows; the rest is asked pair by pair.
ivec2
queries_of_tile (uint b, int first, int last)
{
  ivec2 queries = ivec2 (0, int (n_query));

  if (with_mask == 2)
    {
      if (at (5) > 0) // of the segments of the first and the last key
        {
          int s = segment_of (at (2), first), e = segment_of (at (2), last);

          if (s >= at (5) || e < 0)
            return ivec2 (0);
          return clamp (ivec2 (at (uint (at (1) + max (s, 0))), at (uint (at (1) + min (e + 1, at (5))))), 0,
                        int (n_query));
        }
      if (at (7) > 0)
        return queries;
    }
  if (causal != 0)
    queries.x = max (queries.x, first - position_offset);
  if (window > 0)
    queries = ivec2 (max (queries.x, first - window - position_offset),
                     min (queries.y, last + window + 1 - position_offset));
  if (block_size > 0)
    queries = ivec2 (max (queries.x, first / block_size * block_size - position_offset),
                     min (queries.y, last / block_size * block_size + block_size - position_offset));
  if (first >= length_of (b)) // padding alone
    queries.y = queries.x;
  return queries;
}
