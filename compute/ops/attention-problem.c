/* attention-problem.c: not an op: which keys a query sees and what is added to its scores, for all ops of attention.
 *
 * Interval masks are arithmetic on positions. A position counts from the start of a segment, and with a causal mask the
 * last query stands at the last key. Additive masks are made a tile at a time as [keys][lanes], queries in vector lanes
 * like the scores; distance terms are indexed by (query - key), so that they run along the lanes. */
#include "config.h"

#include "attention.h"
#include "tile.h"

#include <math.h>
#include <string.h>

static gint64
floor_to (gint64 x, gint64 unit)
{
  return x < 0 ? 0 : x / unit * unit;
}

void
fm_attention_problem_set_mask (FmAttentionProblem *p, const FmAttr *attr, FmTensor * const *mask, void * const *data)
{
  const FmTensor *layout = mask[FM_MASK_LAYOUT], *distance = mask[FM_MASK_DISTANCE], *bias = mask[FM_MASK_BIAS];

  p->causal = attr->i[0] != 0;
  p->window = attr->i[1];
  p->block = attr->i[2];
  p->dilation = attr->i[3];
  p->globals = attr->i[4];
  p->layout_block = attr->i[5];
  p->scale = (float) attr->f[0];
  p->offset = p->causal ? p->n_key - p->n_query : 0;
  p->has_lengths = mask[FM_MASK_LENGTHS] != NULL;
  p->has_layout = layout != NULL;
  p->has_distance = distance != NULL;
  p->has_bias = bias != NULL;
  if (mask[FM_MASK_SEGMENTS])
    p->n_segments = mask[FM_MASK_SEGMENTS]->shape.dims[0] - 1;
  if (layout)
    {
      p->layout_columns = layout->shape.dims[2];
      p->layout_head = layout->shape.dims[0] > 1 ? layout->shape.dims[1] * layout->shape.dims[2] : 0;
    }
  if (distance)
    p->distance_head = distance->shape.dims[0] > 1 ? distance->shape.dims[1] : 0;
  if (bias)
    for (guint i = 0; i < 3; i++)
      p->bias_stride[i] = bias->shape.dims[i] > 1 ? bias->stride[i] : 0;
  if (data)
    {
      p->lengths = data[FM_MASK_LENGTHS];
      p->segments = data[FM_MASK_SEGMENTS];
      p->key_segments = data[FM_MASK_KEY_SEGMENTS] ? data[FM_MASK_KEY_SEGMENTS] : data[FM_MASK_SEGMENTS];
      p->layout = data[FM_MASK_LAYOUT];
      p->distance = data[FM_MASK_DISTANCE];
      p->bias = data[FM_MASK_BIAS];
    }
  p->added = p->dilation > 1 || p->globals > 0 || layout || distance || bias;
  p->open = !p->added && !p->causal && p->window == 0 && p->block == 0 && !mask[FM_MASK_LENGTHS]
            && !mask[FM_MASK_SEGMENTS];
}

/* A tile of queries needs all keys that any of them sees: where each sees few, fewer queries waste less. */
static gint64
tile_of (const FmAttentionProblem *p, gint64 n_query)
{
  gint64 reach = G_MAXINT64;

  if (p->window > 0)
    reach = p->window;
  if (p->block > 0)
    reach = MIN (reach, p->block);
  if (p->n_segments > 0)
    reach = MIN (reach, n_query / p->n_segments);
  return (reach < 32 && n_query > 64) || n_query <= 16 ? 16 : 64;
}

FmAttentionProblem
fm_attention_problem (const FmNode *node, guint first, void * const *data)
{
  const FmTensor *q = node->in[0], *k = node->in[1], *v = node->in[2];
  FmAttentionProblem p = { .batch = q->shape.dims[0], .heads = q->shape.dims[1], .kv_heads = k->shape.dims[1],
                           .n_query = q->shape.dims[2], .n_key = k->shape.dims[2], .d = q->shape.dims[3],
                           .dv = v->shape.dims[3], .step = 1, .all_queries = q->shape.dims[2],
                           .all_keys = k->shape.dims[2] };

  fm_attention_problem_set_mask (&p, &node->attr, node->in + first, data ? data + first : NULL);
  p.group = p.heads / p.kv_heads;
  memcpy (p.q_stride, q->stride, sizeof p.q_stride);
  memcpy (p.k_stride, k->stride, sizeof p.k_stride);
  memcpy (p.v_stride, v->stride, sizeof p.v_stride);
  p.tile_q = tile_of (&p, p.n_query);
  return p;
}

/* --- Residues of a dilation ---------------------------------------------------------------------------------------*/

static gboolean
is_split (const FmAttentionProblem *p)
{
  return p->dilation > 1 && p->globals == 0 && !p->has_layout && !p->has_distance && !p->has_bias && p->n_segments == 0
         && p->block % p->dilation == 0;
}

gint64
fm_attention_residues (const FmAttentionProblem *p)
{
  return is_split (p) ? MIN (p->dilation, p->n_query) : 1;
}

/* How many of 0..n-1 are @residue modulo @step. */
static gint64
count_of (gint64 n, gint64 residue, gint64 step)
{
  return n > residue ? (n - residue + step - 1) / step : 0;
}

FmAttentionProblem
fm_attention_residue (const FmAttentionProblem *p, gint64 i)
{
  FmAttentionProblem r = *p;
  gint64 step = p->dilation;

  if (!is_split (p))
    return r;
  /* Query i + step n stands at position residue + step (n + offset), key n at residue + step n. */
  r.step = step;
  r.first = i;
  r.residue = ((i + p->offset) % step + step) % step;
  r.offset = (i + p->offset - r.residue) / step;
  r.n_query = count_of (p->n_query, i, step);
  r.n_key = count_of (p->n_key, r.residue, step);
  r.window = p->window / step;
  r.block = p->window > 0 && r.window == 0 ? 1 : p->block / step; /* so narrow a window holds the query's own place */
  r.dilation = 0;
  r.added = FALSE;
  r.open = !r.causal && r.window == 0 && r.block == 0 && !p->has_lengths;
  r.q_stride[2] *= step;
  r.k_stride[2] *= step;
  r.v_stride[2] *= step;
  r.tile_q = tile_of (&r, count_of (p->n_query, 0, step));
  return r;
}

/* Keys of example @b, where their number is given. */
static gint64
length_of (const FmAttentionProblem *p, gint64 b)
{
  return p->step > 1 ? count_of (p->lengths[b], p->residue, p->step) : p->lengths[b];
}

/* --- Intervals ----------------------------------------------------------------------------------------------------*/

/* The segment of position @x: the last that starts at or before it; -1 before the first, @n past the end. */
static gint64
segment_of (const gint32 *starts, gint64 n, gint64 x)
{
  gint64 low = 0, high = n; /* starts[low] <= x < starts[high] */

  if (x < starts[0])
    return -1;
  if (x >= starts[n])
    return n;
  while (high - low > 1)
    {
      gint64 middle = (low + high) / 2;

      if (starts[middle] <= x)
        low = middle;
      else
        high = middle;
    }
  return low;
}

/* Keys that one query sees, globals aside; both ends never fall as @query grows. */
static void
keys_of (const FmAttentionProblem *p, gint64 b, gint64 query, gint64 *from, gint64 *to)
{
  gint64 start = 0, count = p->n_key, i = query + p->offset;

  if (p->segments)
    {
      gint64 s = segment_of (p->segments, p->n_segments, query);

      if (s < 0 || s >= p->n_segments)
        {
          *from = *to = s < 0 ? 0 : CLAMP (p->key_segments[p->n_segments], 0, p->n_key);
          return;
        }
      start = CLAMP (p->key_segments[s], 0, p->n_key);
      count = CLAMP (p->key_segments[s + 1], start, p->n_key) - start;
      i = query - p->segments[s];
      if (p->causal)
        i += count - (p->segments[s + 1] - p->segments[s]);
    }
  *from = 0;
  *to = i < 0 ? 0 : count; /* queries before the first key (causal, more queries than keys) see nothing */
  if (p->lengths)
    *to = MIN (*to, length_of (p, b));
  if (p->causal)
    *to = MIN (*to, i + 1);
  if (p->window > 0)
    {
      *from = MAX (*from, MAX (i, 0) - p->window);
      *to = MIN (*to, i + p->window + 1);
    }
  if (p->block > 0)
    {
      *from = MAX (*from, floor_to (i, p->block));
      *to = MIN (*to, floor_to (i, p->block) + p->block);
    }
  *from += start;
  *to = MAX (*to, 0) + start;
}

/* What no window and no block takes from a query: how many keys a global one sees. */
static gint64
keys_at_most (const FmAttentionProblem *p, gint64 b, gint64 query)
{
  gint64 i = query + p->offset, to = i < 0 ? 0 : p->n_key;

  if (p->lengths)
    to = MIN (to, p->lengths[b]);
  return p->causal ? MIN (to, i + 1) : to;
}

void
fm_attention_keys (const FmAttentionProblem *p, gint64 b, gint64 q0, gint64 q1, gint64 *from, gint64 *to)
{
  gint64 unused;

  keys_of (p, b, q0, from, &unused);
  keys_of (p, b, q1 - 1, &unused, to);
  if (p->globals > 0)
    {
      gint64 last_global = MIN (q1, p->globals - p->offset) - 1;

      *from = 0;
      *to = MAX (*to, MIN (p->globals, keys_at_most (p, b, q1 - 1)));
      if (last_global >= q0)
        *to = MAX (*to, keys_at_most (p, b, last_global));
    }
}

void
fm_attention_queries (const FmAttentionProblem *p, gint64 b, gint64 j, gint64 *from, gint64 *to)
{
  gint64 low = 0, high = G_MAXINT64, start = 0, end = p->n_query, offset = p->offset; /* positions */

  if (p->segments)
    {
      gint64 s = segment_of (p->key_segments, p->n_segments, j), keys;

      if (s < 0 || s >= p->n_segments)
        {
          *from = *to = s < 0 ? 0 : p->n_query;
          return;
        }
      start = CLAMP (p->segments[s], 0, p->n_query);
      end = CLAMP (p->segments[s + 1], start, p->n_query);
      j -= p->key_segments[s];
      keys = MIN (p->key_segments[s + 1], p->n_key) - p->key_segments[s];
      offset = p->causal ? keys - (end - start) : 0;
    }
  if (p->lengths && j >= length_of (p, b))
    high = -1;
  if (p->causal)
    low = MAX (low, j);
  if (p->globals == 0 && p->window > 0)
    {
      low = MAX (low, j - p->window);
      high = MIN (high, j + p->window + 1);
    }
  if (p->globals == 0 && p->block > 0)
    {
      low = MAX (low, floor_to (j, p->block));
      high = MIN (high, floor_to (j, p->block) + p->block);
    }
  *from = start + MAX (0, low - offset);
  *to = high == G_MAXINT64 ? end : MIN (end, start + high - offset);
}

gboolean
fm_attention_sees (const FmAttentionProblem *p, gint64 b, gint64 h, gint64 query, gint64 key)
{
  gint64 from, to, i = query + p->offset;

  keys_of (p, b, query, &from, &to);
  if (!p->added)
    return key >= from && key < to;
  if (p->globals > 0 && (key < p->globals || i < p->globals))
    return key < keys_at_most (p, b, query);
  return key >= from && key < to && (p->dilation <= 1 || (i - key) % p->dilation == 0)
         && (!p->layout || p->layout[h * p->layout_head + query / p->layout_block * p->layout_columns
                                     + key / p->layout_block] != 0);
}

gdouble
fm_attention_pairs (const FmAttentionProblem *p)
{
  FmAttentionProblem shape = *p;
  gdouble pairs = 0;

  shape.lengths = shape.segments = shape.key_segments = NULL;
  if (p->n_segments > 0) /* as if all were of one length */
    {
      shape.n_query = (p->n_query + p->n_segments - 1) / p->n_segments;
      shape.n_key = (p->n_key + p->n_segments - 1) / p->n_segments;
      shape.offset = p->causal ? shape.n_key - shape.n_query : 0;
    }
  for (gint64 q = 0; q < shape.n_query; q++)
    {
      gint64 from, to;

      keys_of (&shape, 0, q, &from, &to);
      if (p->globals > 0)
        pairs += MIN (p->globals, from);
      pairs += MAX (to - from, 0) / (p->dilation > 1 ? p->dilation : 1);
    }
  return pairs * MAX (p->n_segments, 1);
}

gboolean
fm_attention_stair (const FmAttentionProblem *p, gint64 b, gint64 q0, gint64 rows, gint64 j, gint64 keys,
                    FmAttentionStair *stair)
{
  gint64 lanes = p->tile_q, first_from, first_to, last_from, last_to;

  if (p->open)
    return FALSE;
  keys_of (p, b, q0, &first_from, &first_to);
  keys_of (p, b, q0 + rows - 1, &last_from, &last_to);
  if (last_from <= j && first_to >= j + keys) /* both ends never fall: all between see all */
    return FALSE;

  for (gint64 i = 0; i < keys; i++)
    {
      gint64 low, high;

      fm_attention_queries (p, b, j + i, &low, &high);
      stair->from[i] = (gint32) CLAMP (low - q0, 0, lanes);
      stair->to[i] = high - q0 >= rows ? (gint32) lanes : (gint32) MAX (high - q0, 0);
    }
  for (gint64 g = 0; g * FM_ATTENTION_GROUP < keys; g++)
    {
      gint32 low = (gint32) lanes, high = 0;

      for (gint64 i = g * FM_ATTENTION_GROUP; i < MIN (keys, (g + 1) * FM_ATTENTION_GROUP); i++)
        if (stair->from[i] < stair->to[i])
          {
            low = MIN (low, stair->from[i]);
            high = MAX (high, stair->to[i]);
          }
      stair->lane_from[g] = low / FM_ATTENTION_GROUP * FM_ATTENTION_GROUP;
      stair->lane_to[g] = (high + FM_ATTENTION_GROUP - 1) / FM_ATTENTION_GROUP * FM_ATTENTION_GROUP;
    }
  for (gint64 l = 0; l * FM_ATTENTION_GROUP < lanes; l++)
    {
      gint64 low = keys, high = 0;

      for (gint64 g = 0; g * FM_ATTENTION_GROUP < keys; g++)
        if (stair->lane_from[g] <= l * FM_ATTENTION_GROUP && l * FM_ATTENTION_GROUP < stair->lane_to[g])
          {
            low = MIN (low, g * FM_ATTENTION_GROUP);
            high = MIN (keys, (g + 1) * FM_ATTENTION_GROUP);
          }
      /* A group of keys between these that the lanes do not see would be read: there is none, both are intervals. */
      stair->key_from[l] = (gint32) low;
      stair->key_to[l] = (gint32) high;
    }
  return TRUE;
}

/* The groups from @g on that share their interval; neighbours are one product. */
static gint64
run_of (const gint32 *from, const gint32 *to, gint64 g, gint64 groups)
{
  gint64 n = 1;

  while (g + n < groups && from[g + n] == from[g] && to[g + n] == to[g])
    n++;
  return n;
}

void
fm_attention_scores (const FmAttentionStair *stair, gint64 keys, gint64 lanes, gint64 d, const float *x,
                     gint64 x_stride, const float *turned, float *s)
{
  gint64 groups = (keys + FM_ATTENTION_GROUP - 1) / FM_ATTENTION_GROUP, n;

  if (stair == NULL)
    {
      fm_tile_gemm (keys, lanes, d, x, x_stride, 1, turned, lanes, s, lanes, FALSE);
      return;
    }
  for (gint64 g = 0; g < groups; g += n)
    {
      gint64 from = stair->lane_from[g], to = stair->lane_to[g], key = g * FM_ATTENTION_GROUP;

      n = run_of (stair->lane_from, stair->lane_to, g, groups);
      if (from < to)
        fm_tile_gemm (MIN (n * FM_ATTENTION_GROUP, keys - key), to - from, d, x + key * x_stride, x_stride, 1,
                      turned + from, lanes, s + key * lanes + from, lanes, FALSE);
    }
}

void
fm_attention_by_lanes (const FmAttentionStair *stair, gint64 keys, gint64 lanes, gint64 rows, gint64 d, const float *s,
                       const float *x, gint64 x_stride, float *y, gint64 y_stride, gboolean add)
{
  gint64 groups = (rows + FM_ATTENTION_GROUP - 1) / FM_ATTENTION_GROUP, n;

  if (stair == NULL)
    {
      fm_tile_gemm (rows, d, keys, s, 1, lanes, x, x_stride, y, y_stride, add);
      return;
    }
  for (gint64 g = 0; g < groups; g += n)
    {
      gint64 from = stair->key_from[g], to = stair->key_to[g], lane = g * FM_ATTENTION_GROUP;

      n = run_of (stair->key_from, stair->key_to, g, groups);
      if (from < to)
        fm_tile_gemm (MIN (n * FM_ATTENTION_GROUP, rows - lane), d, to - from, s + from * lanes + lane, 1, lanes,
                      x + from * x_stride, x_stride, y + lane * y_stride, y_stride, add);
    }
}

void
fm_attention_by_keys (const FmAttentionStair *stair, gint64 keys, gint64 lanes, gint64 rows, gint64 d, const float *s,
                      const float *x, gint64 x_stride, float *y, gint64 y_stride, gboolean add)
{
  gint64 groups = (keys + FM_ATTENTION_GROUP - 1) / FM_ATTENTION_GROUP, n;

  if (stair == NULL)
    {
      fm_tile_gemm (keys, d, rows, s, lanes, 1, x, x_stride, y, y_stride, add);
      return;
    }
  for (gint64 g = 0; g < groups; g += n)
    {
      gint64 from = stair->lane_from[g], to = MIN (stair->lane_to[g], rows), key = g * FM_ATTENTION_GROUP;

      n = run_of (stair->lane_from, stair->lane_to, g, groups);
      if (from < to)
        fm_tile_gemm (MIN (n * FM_ATTENTION_GROUP, keys - key), d, to - from, s + key * lanes + from, lanes, 1,
                      x + from * x_stride, x_stride, y + key * y_stride, y_stride, add);
    }
}

/* --- What is added ------------------------------------------------------------------------------------------------*/

/* By lane, what the masks ask of its query. */
typedef struct
{
  gint32 from[FM_ATTENTION_TILE_Q], to[FM_ATTENTION_TILE_Q]; /* keys by the interval masks */
  gint32 most[FM_ATTENTION_TILE_Q];                          /* keys before this are seen if anything global is met */
  gint32 residue[FM_ATTENTION_TILE_Q];                       /* position modulo the dilation */
  gint32 global[FM_ATTENTION_TILE_Q];
  gint32 allowed[FM_ATTENTION_TILE_Q];                       /* by the layout, for the block of keys at hand */
} Lanes;

/* One key against all lanes: adds -inf where it is hidden. Returns whether any lane sees it. */
FM_KERNEL (gint32, hide, (const Lanes *restrict t, gint64 lanes, gint32 key, gint32 residue, gint32 global,
                          float *restrict row),
           (t, lanes, key, residue, global, row))
{
  gint32 any = 0;

  for (gint64 l = 0; l < lanes; l++)
    {
      gint32 soft = (key >= t->from[l]) & (key < t->to[l]) & (t->residue[l] == residue) & (t->allowed[l] != 0);
      gint32 hard = (key < t->most[l]) & ((global | t->global[l]) != 0);
      gint32 seen = soft | hard;

      row[l] = seen ? row[l] : -INFINITY;
      any |= seen;
    }
  return any;
}

FM_KERNEL (void, add_row, (float *restrict row, const float *restrict x, gint64 lanes), (row, x, lanes))
{
  for (gint64 l = 0; l < lanes; l++)
    row[l] += x[l] * FM_LOG2E;
}

gboolean
fm_attention_added (const FmAttentionProblem *p, gint64 b, gint64 h, gint64 q0, gint64 rows, gint64 j, gint64 keys,
                    float *added)
{
  gint64 lanes = p->tile_q, row_of_layout = -1;
  const float *distance = p->distance ? p->distance + h * p->distance_head : NULL;
  gint32 any = 0;
  Lanes t;

  for (gint64 l = 0; l < lanes; l++)
    {
      gint64 from = 0, to = 0, most = 0, position = q0 + l + p->offset;

      if (l < rows)
        {
          keys_of (p, b, q0 + l, &from, &to);
          most = p->globals > 0 ? keys_at_most (p, b, q0 + l) : 0;
        }
      t.from[l] = (gint32) from;
      t.to[l] = (gint32) to;
      t.most[l] = (gint32) most;
      t.residue[l] = p->dilation > 1 ? (gint32) (MAX (position, 0) % p->dilation) : 0;
      t.global[l] = position < p->globals;
      t.allowed[l] = 1;
    }
  if (p->bias)
    fm_attention_turn (p->bias + b * p->bias_stride[0] + h * p->bias_stride[1] + q0 * p->bias_stride[2] + j,
                       p->bias_stride[2], rows, keys, lanes, FM_LOG2E, added);
  else
    memset (added, 0, keys * lanes * sizeof *added);
  for (gint64 i = 0; i < keys; i++)
    {
      float *row = added + i * lanes;

      if (distance)
        add_row (row, distance + q0 - (j + i) + p->n_key - 1, rows);
      if (p->layout && (j + i) / p->layout_block != row_of_layout)
        {
          const gint32 *column = p->layout + h * p->layout_head;

          row_of_layout = (j + i) / p->layout_block;
          for (gint64 l = 0; l < rows; l++)
            t.allowed[l] = column[(q0 + l) / p->layout_block * p->layout_columns + row_of_layout];
        }
      any |= hide (&t, lanes, (gint32) (j + i), p->dilation > 1 ? (gint32) ((j + i) % p->dilation) : 0,
                   j + i < p->globals, row);
    }
  return any != 0;
}

/* --- Reading an FmAttentionMask ------------------------------------------------------------------------------------*/

static gboolean
wrong (FmGraph *g, const char *what, const FmTensor *t, const char *wants)
{
  g_autofree char *shape = fm_shape_to_string (&t->shape);

  fm_graph_fail (g, "attention", "%s %s %s; wants %s", what, t->type == FM_F32 ? "f32" : "i32", shape, wants);
  return FALSE;
}

static gboolean
one_or (gint64 size, gint64 wanted)
{
  return size == 1 || wanted == 0 || size == wanted;
}

gboolean
fm_attention_mask_read (FmGraph *g, const FmAttentionMask *mask, gint64 batch, gint64 heads, gint64 n_query,
                        gint64 n_key, FmTensor **in, FmAttr *attr)
{
  static const FmAttentionMask all = { 0 };
  const gint64 sizes[] = { mask ? mask->window : 0, mask ? mask->block : 0, mask ? mask->dilation : 0,
                           mask ? mask->globals : 0, mask ? mask->layout_block : 0 };
  static const char * const names[] = { "a window", "blocks", "a dilation", "global positions", "blocks of a layout" };

  mask = mask ? mask : &all;
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    if (sizes[i] < 0 || sizes[i] > G_MAXINT32)
      {
        fm_graph_fail (g, "attention", "%s of %" G_GINT64_FORMAT "; wants a size above 0, or 0 for none", names[i],
                       sizes[i]);
        return FALSE;
      }
  if (mask->key_lengths && (mask->key_lengths->type != FM_I32 || mask->key_lengths->shape.rank != 1
                            || (batch > 0 && mask->key_lengths->shape.dims[0] != batch)))
    return wrong (g, "key lengths", mask->key_lengths, "i32 [B]");
  if (mask->key_segments && !mask->segments)
    return wrong (g, "segments of keys", mask->key_segments, "segments of the queries beside them");
  for (guint i = 0; i < 2; i++)
    {
      const FmTensor *s = i ? mask->key_segments : mask->segments;

      if (s && (s->type != FM_I32 || s->shape.rank != 1 || s->shape.dims[0] < 2
                || s->shape.dims[0] != mask->segments->shape.dims[0]))
        return wrong (g, "segments", s, "i32 [S+1], where each begins and the last ends, as many for keys as for queries");
    }
  if (mask->segments && (batch > 1 || mask->key_lengths || mask->globals > 0))
    return wrong (g, "segments", mask->segments, "a batch of 1, no key lengths and no global positions beside them");
  if ((mask->layout != NULL) != (mask->layout_block > 0))
    {
      fm_graph_fail (g, "attention", "a layout needs the size of its blocks, and that size a layout");
      return FALSE;
    }
  if (mask->layout)
    {
      const FmTensor *t = mask->layout;
      gint64 size = mask->layout_block;

      if (t->type != FM_I32 || t->shape.rank != 3 || !one_or (t->shape.dims[0], heads)
          || t->shape.dims[1] != (n_query + size - 1) / size || t->shape.dims[2] != (n_key + size - 1) / size)
        return wrong (g, "a layout", t, "i32 [1 or H, blocks of queries, blocks of keys]");
    }
  if (mask->distance && (mask->distance->type != FM_F32 || mask->distance->shape.rank != 2
                         || !one_or (mask->distance->shape.dims[0], heads)
                         || mask->distance->shape.dims[1] != n_query + n_key - 1))
    return wrong (g, "distance terms", mask->distance, "f32 [1 or H, Nq + Nk - 1]");
  if (mask->bias && (mask->bias->type != FM_F32 || mask->bias->shape.rank != 4
                     || !one_or (mask->bias->shape.dims[0], batch) || !one_or (mask->bias->shape.dims[1], heads)
                     || mask->bias->shape.dims[2] != n_query || mask->bias->shape.dims[3] != n_key))
    return wrong (g, "a bias", mask->bias, "f32 [1 or B, 1 or H, Nq, Nk]");
  attr->i[0] = mask->causal;
  attr->i[1] = mask->window;
  attr->i[2] = mask->block;
  attr->i[3] = mask->dilation;
  attr->i[4] = mask->globals;
  attr->i[5] = mask->layout_block;
  in[FM_MASK_LENGTHS] = mask->key_lengths;
  in[FM_MASK_SEGMENTS] = mask->segments;
  in[FM_MASK_KEY_SEGMENTS] = mask->key_segments;
  in[FM_MASK_LAYOUT] = mask->layout ? fm_contiguous (g, mask->layout) : NULL;
  in[FM_MASK_DISTANCE] = mask->distance ? fm_contiguous (g, mask->distance) : NULL;
  in[FM_MASK_BIAS] = mask->bias;
  return TRUE;
}

gboolean
fm_attention_heads_are_sound (FmGraph *g, const FmTensor *q, const FmTensor *k, const FmTensor *v)
{
  const gint64 *dq = q->shape.dims, *dk = k->shape.dims;

  if (q->type != FM_F32 || k->type != FM_F32 || q->shape.rank != 4 || k->shape.rank != 4 || dq[0] != dk[0]
      || dq[1] % dk[1] != 0 || dq[3] != dk[3] || dq[3] > FM_ATTENTION_MAX_WIDTH)
    {
      g_autofree char *sq = fm_shape_to_string (&q->shape), *sk = fm_shape_to_string (&k->shape);

      fm_graph_fail (g, "attention", "q %s with k %s; wants [B,H,Nq,d] and [B,Hk,Nk,d] in f32, H a multiple of Hk, d "
                     "at most %d", sq, sk, FM_ATTENTION_MAX_WIDTH);
      return FALSE;
    }
  if (v && (v->type != FM_F32 || v->shape.rank != 4 || v->shape.dims[0] != dk[0] || v->shape.dims[1] != dk[1]
            || v->shape.dims[2] != dk[2] || v->shape.dims[3] > FM_ATTENTION_MAX_WIDTH))
    {
      g_autofree char *sk = fm_shape_to_string (&k->shape), *sv = fm_shape_to_string (&v->shape);

      fm_graph_fail (g, "attention", "k %s with v %s; wants f32, equal but in the last size, at most %d", sk, sv,
                     FM_ATTENTION_MAX_WIDTH);
      return FALSE;
    }
  return TRUE;
}

/* --- The table for shaders ----------------------------------------------------------------------------------------*/

#define TABLE_HEAD 24

gsize
fm_attention_table_words (const FmAttentionProblem *p, FmTensor * const *mask)
{
  gsize words = TABLE_HEAD;

  if (!p->added && p->n_segments == 0)
    return 0;
  for (guint i = 0; i < FM_MASK_BIAS; i++)
    words += mask[i] ? (gsize) fm_shape_count (&mask[i]->shape) : 0;
  return words;
}

gboolean
fm_attention_table_write (FmVulkanRecorder *recorder, const FmAttentionProblem *p, FmTensor * const *mask,
                          FmTensor *table, guint32 at, GError **error)
{
  guint32 place[5], next = TABLE_HEAD;
  struct { guint32 to, count; gint32 head[TABLE_HEAD]; } push = { at, TABLE_HEAD, { 0 } };
  FmVulkanDispatch dispatch = { .shader = "attention-table", .bind = { table, table }, .n_bind = 2, .push = &push,
                                .push_bytes = sizeof push, .spec = { 0 }, .n_spec = 1, .groups = 1 };

  G_STATIC_ASSERT (sizeof push <= 128);
  for (guint i = 0; i < FM_MASK_BIAS; i++)
    {
      place[i] = mask[i] ? next : 0;
      next += mask[i] ? (guint32) fm_shape_count (&mask[i]->shape) : 0;
    }
  if (place[FM_MASK_SEGMENTS] && !place[FM_MASK_KEY_SEGMENTS])
    place[FM_MASK_KEY_SEGMENTS] = place[FM_MASK_SEGMENTS];
  for (guint i = 0; i < FM_MASK_BIAS; i++)
    push.head[i] = (gint32) place[i];
  push.head[5] = (gint32) p->n_segments;
  push.head[6] = (gint32) p->dilation;
  push.head[7] = (gint32) p->globals;
  push.head[8] = (gint32) p->layout_block;
  push.head[9] = (gint32) p->layout_columns;
  push.head[10] = (gint32) p->layout_head;
  push.head[11] = (gint32) p->distance_head;
  push.head[12] = p->has_bias;
  push.head[13] = p->has_bias ? (gint32) mask[FM_MASK_BIAS]->offset : 0;
  for (guint i = 0; i < 3; i++)
    push.head[14 + i] = (gint32) p->bias_stride[i];
  if (!fm_vulkan_dispatch (recorder, &dispatch, error))
    return FALSE;
  dispatch.spec[0] = 1;
  for (guint i = 0; i < FM_MASK_BIAS; i++)
    if (mask[i])
      {
        push.to = at + place[i];
        push.count = (guint32) fm_shape_count (&mask[i]->shape);
        push.head[0] = (gint32) mask[i]->offset;
        dispatch.bind[1] = mask[i];
        dispatch.groups = (push.count + 127) / 128;
        if (!fm_vulkan_dispatch (recorder, &dispatch, error))
          return FALSE;
      }
  return TRUE;
}
