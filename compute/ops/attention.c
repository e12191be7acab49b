/* attention.c: softmax (scale q k^T + mask) v by tiles with an online softmax; O(N) memory.
 *
 * Source: Dao et al. 2022, arXiv:2205.14135, algorithm 1; Milakov and Gimelshein 2018, arXiv:1805.02867.
 * Layout: a tile of scores lies as [keys][queries], queries in vector lanes, so that maximum, sum and masks go down
 * the lanes without a shuffle, keys and values are read where they stand, and only the queries are turned once a tile.
 * Results are [B,N,H,dv] in memory and shown as [B,H,N,dv]: merging the heads afterwards is free.
 * Work: one task per (b, h, tile of queries), each on one thread; nothing is added across tasks. */
#include "config.h"

#include "attention.h"
#include "math.h"
#include "tile.h"

#include <string.h>

static gint64
floor_to (gint64 x, gint64 unit)
{
  return x < 0 ? 0 : x / unit * unit;
}

FmAttentionProblem
fm_attention_problem (const FmNode *node, const gint32 *lengths)
{
  const FmTensor *q = node->in[0], *k = node->in[1], *v = node->in[2];
  FmAttentionProblem p = { .batch = q->shape.dims[0], .heads = q->shape.dims[1], .kv_heads = k->shape.dims[1],
                           .n_query = q->shape.dims[2], .n_key = k->shape.dims[2], .d = q->shape.dims[3],
                           .dv = v->shape.dims[3], .causal = node->attr.i[0] != 0, .window = node->attr.i[1],
                           .block = node->attr.i[2], .scale = (float) node->attr.f[0], .lengths = lengths };
  gint64 reach = G_MAXINT64;

  p.group = p.heads / p.kv_heads;
  p.offset = p.causal ? p.n_key - p.n_query : 0;
  p.open = !p.causal && p.window == 0 && p.block == 0 && !lengths;
  memcpy (p.q_stride, q->stride, sizeof p.q_stride);
  memcpy (p.k_stride, k->stride, sizeof p.k_stride);
  memcpy (p.v_stride, v->stride, sizeof p.v_stride);
  /* A tile of queries needs all keys that any of them sees: where each sees few, fewer queries waste less. */
  if (p.window > 0)
    reach = p.window;
  if (p.block > 0)
    reach = MIN (reach, p.block);
  p.tile_q = (reach < 32 && p.n_query > 64) || p.n_query <= 16 ? 16 : 64;
  return p;
}

void
fm_attention_queries (const FmAttentionProblem *p, gint64 b, gint64 j, gint64 *from, gint64 *to)
{
  gint64 low = 0, high = G_MAXINT64; /* positions */

  if (p->lengths && j >= p->lengths[b])
    high = -1;
  if (p->causal)
    low = MAX (low, j);
  if (p->window > 0)
    {
      low = MAX (low, j - p->window);
      high = MIN (high, j + p->window + 1);
    }
  if (p->block > 0)
    {
      low = MAX (low, floor_to (j, p->block));
      high = MIN (high, floor_to (j, p->block) + p->block);
    }
  *from = MAX (0, low - p->offset);
  *to = high == G_MAXINT64 ? p->n_query : MIN (p->n_query, high - p->offset);
}

void
fm_attention_keys (const FmAttentionProblem *p, gint64 b, gint64 q0, gint64 q1, gint64 *from, gint64 *to)
{
  gint64 first = MAX (q0 + p->offset, 0), last = q1 - 1 + p->offset;

  *from = 0;
  *to = last < 0 ? 0 : p->n_key; /* queries before the first key (causal, more queries than keys) see nothing */
  if (p->lengths)
    *to = MIN (*to, p->lengths[b]);
  if (p->causal)
    *to = MIN (*to, last + 1);
  if (p->window > 0)
    {
      *from = MAX (*from, first - p->window);
      *to = MIN (*to, last + p->window + 1);
    }
  if (p->block > 0)
    {
      *from = MAX (*from, floor_to (first, p->block));
      *to = MIN (*to, floor_to (last, p->block) + p->block);
    }
}

/* Four rows of four, turned; vectors of 16 bytes are the same at every level. */
typedef float Four __attribute__ ((vector_size (16), aligned (4), may_alias));

FM_INLINE void
turn_four (const float *x, gint64 stride, float *turned, gint64 lanes)
{
  Four a = *(const Four *) x, b = *(const Four *) (x + stride);
  Four c = *(const Four *) (x + 2 * stride), d = *(const Four *) (x + 3 * stride);
  Four ab0 = __builtin_shufflevector (a, b, 0, 4, 1, 5), ab1 = __builtin_shufflevector (a, b, 2, 6, 3, 7);
  Four cd0 = __builtin_shufflevector (c, d, 0, 4, 1, 5), cd1 = __builtin_shufflevector (c, d, 2, 6, 3, 7);

  *(Four *) turned = __builtin_shufflevector (ab0, cd0, 0, 1, 4, 5);
  *(Four *) (turned + lanes) = __builtin_shufflevector (ab0, cd0, 2, 3, 6, 7);
  *(Four *) (turned + 2 * lanes) = __builtin_shufflevector (ab1, cd1, 0, 1, 4, 5);
  *(Four *) (turned + 3 * lanes) = __builtin_shufflevector (ab1, cd1, 2, 3, 6, 7);
}

FM_KERNEL (void, turn, (const float *x, gint64 stride, gint64 rows, gint64 d, gint64 lanes, float *turned),
           (x, stride, rows, d, lanes, turned))
{
  gint64 full_rows = rows / 4 * 4, full_d = d / 4 * 4;

  for (gint64 r = 0; r < full_rows; r += 4)
    for (gint64 c = 0; c < full_d; c += 4)
      turn_four (x + r * stride + c, stride, turned + c * lanes + r, lanes);
  for (gint64 c = full_d; c < d; c++)
    for (gint64 r = 0; r < full_rows; r++)
      turned[c * lanes + r] = x[r * stride + c];
  for (gint64 c = 0; c < d; c++)
    {
      for (gint64 r = full_rows; r < rows; r++)
        turned[c * lanes + r] = x[r * stride + c];
      for (gint64 r = rows; r < lanes; r++)
        turned[c * lanes + r] = 0.0f;
    }
}

void
fm_attention_turn (const float *x, gint64 stride, gint64 rows, gint64 d, gint64 lanes, float *turned)
{
  turn (x, stride, rows, d, lanes, turned);
}

/* Scores s [keys,lanes] -> weights relative to the new maximum. @from, @to (nullable): lanes that see each key.
 * max, sum [lanes] are kept over tiles; @shrink is what sums of earlier tiles are multiplied by. */
FM_KERNEL (void, online_softmax, (float *restrict s, gint64 keys, gint64 lanes, const gint32 *from, const gint32 *to,
                                  float scale, float *restrict max, float *restrict sum, float *restrict shrink),
           (s, keys, lanes, from, to, scale, max, sum, shrink))
{
  float best[64];

  for (gint64 l = 0; l < lanes; l++)
    best[l] = max[l];
  for (gint64 j = 0; j < keys; j++)
    {
      float *restrict row = s + j * lanes;

      if (from && (from[j] > 0 || to[j] < lanes))
        for (gint32 l = 0; l < (gint32) lanes; l++)
          row[l] = l >= from[j] && l < to[j] ? row[l] * scale : -INFINITY;
      else
        for (gint64 l = 0; l < lanes; l++)
          row[l] *= scale;
      for (gint64 l = 0; l < lanes; l++)
        best[l] = row[l] > best[l] ? row[l] : best[l];
    }
  for (gint64 l = 0; l < lanes; l++)
    {
      shrink[l] = fm_expf (max[l] - best[l]);
      sum[l] *= shrink[l];
      max[l] = best[l];
    }
  for (gint64 j = 0; j < keys; j++)
    {
      float *restrict row = s + j * lanes;

      for (gint64 l = 0; l < lanes; l++)
        {
          float weight = fm_expf (row[l] - best[l]);

          row[l] = weight;
          sum[l] += weight;
        }
    }
}

FM_KERNEL (void, shrink_rows, (float *x, gint64 rows, gint64 d, const float *factor), (x, rows, d, factor))
{
  for (gint64 r = 0; r < rows; r++)
    for (gint64 c = 0; c < d; c++)
      x[r * d + c] *= factor[r];
}

/* Sums of a tile to their places; a query that saw nothing gets zeros. */
FM_KERNEL (void, finish, (const float *x, gint64 rows, gint64 d, const float *max, const float *sum, float *out,
                          gint64 out_stride, float *lse),
           (x, rows, d, max, sum, out, out_stride, lse))
{
  for (gint64 r = 0; r < rows; r++)
    {
      float factor = sum[r] > 0.0f ? 1.0f / sum[r] : 0.0f;

      for (gint64 c = 0; c < d; c++)
        out[r * out_stride + c] = x[r * d + c] * factor;
    }
  for (gint64 r = 0; r < rows; r++)
    lse[r] = sum[r] > 0.0f ? max[r] + fm_logf (sum[r]) : FM_ATTENTION_BLIND;
}

void
fm_attention_prefetch (const float *x, gint64 stride, gint64 rows, gint64 d)
{
  for (gint64 r = 0; r < rows; r++)
    for (gint64 c = 0; c < d; c += 16)
      __builtin_prefetch (x + r * stride + c);
}

gboolean
fm_attention_lanes (const FmAttentionProblem *p, gint64 b, gint64 q0, gint64 rows, gint64 j, gint64 keys, gint32 *from,
                    gint32 *to)
{
  gboolean masked = FALSE;

  if (p->open)
    return FALSE;
  for (gint64 i = 0; i < keys; i++)
    {
      gint64 low, high;

      fm_attention_queries (p, b, j + i, &low, &high);
      from[i] = (gint32) CLAMP (low - q0, 0, p->tile_q);
      to[i] = high - q0 >= rows ? (gint32) p->tile_q : (gint32) MAX (high - q0, 0);
      masked |= from[i] > 0 || to[i] < p->tile_q;
    }
  return masked;
}

static gsize
floats_per_thread (const FmAttentionProblem *p)
{
  return (gsize) ((p->d + FM_ATTENTION_TILE_K + p->dv + 3) * p->tile_q + 15) / 16 * 16;
}

static void
forward_tile (const FmAttentionProblem *p, gint64 b, gint64 h, gint64 q0, const float *q, const float *k,
              const float *v, float *out, float *lse, float *workspace)
{
  gint64 rows = MIN (p->tile_q, p->n_query - q0), lanes = p->tile_q, from, to, kv = h / p->group;
  float *turned = workspace, *s = turned + p->d * lanes, *o = s + FM_ATTENTION_TILE_K * lanes;
  float *max = o + p->dv * lanes, *sum = max + lanes, *shrink = sum + lanes;
  gint32 lane_from[FM_ATTENTION_TILE_K], lane_to[FM_ATTENTION_TILE_K];
  gboolean first = TRUE;

  q += b * p->q_stride[0] + h * p->q_stride[1] + q0 * p->q_stride[2];
  k += b * p->k_stride[0] + kv * p->k_stride[1];
  v += b * p->v_stride[0] + kv * p->v_stride[1];
  fm_attention_keys (p, b, q0, q0 + rows, &from, &to);
  /* Heads lie side by side, so rows of one head are apart: ask for the first tile while the queries are turned. */
  fm_attention_prefetch (k + from * p->k_stride[2], p->k_stride[2], MIN (FM_ATTENTION_TILE_K, to - from), p->d);
  fm_attention_prefetch (v + from * p->v_stride[2], p->v_stride[2], MIN (FM_ATTENTION_TILE_K, to - from), p->dv);
  turn (q, p->q_stride[2], rows, p->d, lanes, turned);
  for (gint64 l = 0; l < lanes; l++)
    {
      max[l] = -1e30f; /* below any score, and finite: -inf minus -inf would be NaN */
      sum[l] = 0.0f;
    }
  for (gint64 j = from; j < to; j += FM_ATTENTION_TILE_K)
    {
      gint64 keys = MIN (FM_ATTENTION_TILE_K, to - j);
      gboolean masked = fm_attention_lanes (p, b, q0, rows, j, keys, lane_from, lane_to);

      fm_tile_gemm (keys, lanes, p->d, k + j * p->k_stride[2], p->k_stride[2], 1, turned, lanes, s, lanes, FALSE);
      online_softmax (s, keys, lanes, masked ? lane_from : NULL, masked ? lane_to : NULL, p->scale, max, sum, shrink);
      if (!first)
        shrink_rows (o, rows, p->dv, shrink);
      fm_tile_gemm (rows, p->dv, keys, s, 1, lanes, v + j * p->v_stride[2], p->v_stride[2], o, p->dv, !first);
      first = FALSE;
    }
  if (first)
    memset (o, 0, rows * p->dv * sizeof *o);
  finish (o, rows, p->dv, max, sum, out + ((b * p->n_query + q0) * p->heads + h) * p->dv, p->heads * p->dv,
          lse + (b * p->heads + h) * p->n_query + q0);
}

static void
attention_cpu (const FmNode *node, const FmCpuArgs *args)
{
  FmAttentionProblem p = fm_attention_problem (node, args->in[3]);
  gint64 tiles = (p.n_query + p.tile_q - 1) / p.tile_q, tasks = p.batch * p.heads * tiles;

#pragma omp parallel for schedule(dynamic, 1) num_threads(args->threads) if (tasks > 1)
  for (gint64 task = 0; task < tasks; task++)
    forward_tile (&p, task / tiles / p.heads, task / tiles % p.heads, task % tiles * p.tile_q, args->in[0], args->in[1],
                  args->in[2], args->out[0], args->out[1],
                  (float *) args->workspace + omp_get_thread_num () * floats_per_thread (&p));
}

static gsize
attention_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  FmAttentionProblem p = fm_attention_problem (node, NULL);

  return backend == FM_BACKEND_CPU ? threads * floats_per_thread (&p) * sizeof (float) : 0;
}

static gboolean
attention_infer (FmNode *node)
{
  FmAttentionProblem p = fm_attention_problem (node, NULL);

  node->out[0]->type = FM_F32;
  node->out[0]->shape = FM_SHAPE (p.batch, p.n_query, p.heads, p.dv);
  node->out[1]->type = FM_F32;
  node->out[1]->shape = FM_SHAPE (p.batch, p.heads, p.n_query);
  return TRUE;
}

static void
attention_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmTensor *in[7] = { node->in[0], node->in[1], node->in[2], node->out[0], node->out[1], dy[0], node->in[3] };
  FmNode *backward = fm_node_new (g, &fm_attention_backward_op, in, 7, &node->attr);

  if (backward)
    for (guint i = 0; i < 3; i++)
      dx[i] = fm_transpose (g, backward->out[i], 1, 2);
}

gdouble
fm_attention_pairs (const FmAttentionProblem *p)
{
  gdouble pairs = 0;

  if (!p->causal && p->window == 0 && p->block == 0 && p->offset >= 0)
    return (gdouble) p->n_query * p->n_key;
  for (gint64 q = 0; q < p->n_query; q++)
    {
      gint64 from, to;

      fm_attention_keys (p, 0, q, q + 1, &from, &to);
      pairs += MAX (to - from, 0);
    }
  return pairs;
}

/* Only the products that the mask leaves. */
static void
attention_cost (const FmNode *node, FmCost *cost)
{
  FmAttentionProblem p = fm_attention_problem (node, NULL);
  gdouble pairs = fm_attention_pairs (&p);

  cost->flops = p.batch * p.heads * pairs * (2.0 * p.d + 2.0 * p.dv + 4);
  cost->bytes = 4.0 * (fm_shape_count (&node->in[0]->shape) + fm_shape_count (&node->in[1]->shape)
                       + fm_shape_count (&node->in[2]->shape) + fm_shape_count (&node->out[0]->shape));
}

static gboolean
attention_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmAttentionProblem p = fm_attention_problem (node, NULL);
  FmTensor *q = node->in[0], *k = node->in[1], *v = node->in[2], *lengths = node->in[3], *o = node->out[0],
           *lse = node->out[1];
  struct
  {
    guint32 batch, heads, group, n_query, n_key, d, dv;
    gint32  causal, window, block, offset;
    float   scale;
    guint32 q_offset, k_offset, v_offset, o_offset, lse_offset, lengths_offset;
    guint32 q_stride[3], k_stride[3], v_stride[3];
  } push = { p.batch, p.heads, p.group, p.n_query, p.n_key, p.d, p.dv, p.causal, p.window, p.block, p.offset, p.scale,
             q->offset, k->offset, v->offset, o->offset, lse->offset, lengths ? lengths->offset : 0 };
  FmVulkanDispatch dispatch = { .shader = "attention", .bind = { q, k, v, o, lse, lengths ? lengths : q }, .n_bind = 6,
                                .push = &push, .push_bytes = sizeof push, .spec = { lengths != NULL }, .n_spec = 1,
                                .local_x = 64, .groups = p.batch * p.heads * p.n_query };

  for (guint i = 0; i < 3; i++)
    {
      push.q_stride[i] = p.q_stride[i];
      push.k_stride[i] = p.k_stride[i];
      push.v_stride[i] = p.v_stride[i];
    }
  /* Tiles of 32 queries pay from a few queries on; wide values do not fit into an invocation's registers. */
  if (p.n_query >= 8 && p.dv <= 128)
    {
      dispatch.shader = "attention-tiles";
      dispatch.spec[1] = p.dv <= 32 ? 1 : p.dv <= 64 ? 2 : 4;
      dispatch.n_spec = 2;
      dispatch.groups = p.batch * p.heads * ((p.n_query + 31) / 32);
    }
  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

static const FmOp attention_op = {
  .name = "attention", .n_in_min = 4, .n_in_max = 4, .n_out = 2, .flags = FM_OP_ROWS,
  .infer = attention_infer, .gradient = attention_gradient, .cpu = attention_cpu, .vulkan = attention_vulkan,
  .workspace = attention_workspace, .cost = attention_cost,
};

/* --- Builders -----------------------------------------------------------------------------------------------------*/

gboolean
fm_attention_mask_is_sound (FmGraph *g, const FmAttentionMask *mask, gint64 batch)
{
  if (mask->window < 0 || mask->block < 0 || mask->window > G_MAXINT32 || mask->block > G_MAXINT32)
    {
      fm_graph_fail (g, "attention", "a window of %" G_GINT64_FORMAT " and blocks of %" G_GINT64_FORMAT "; wants sizes "
                     "above 0, or 0 for none", mask->window, mask->block);
      return FALSE;
    }
  if (mask->key_lengths && (mask->key_lengths->type != FM_I32 || mask->key_lengths->shape.rank != 1
                            || (batch > 0 && mask->key_lengths->shape.dims[0] != batch)))
    {
      fm_graph_fail (g, "attention", "key lengths must be i32, one for each of the batch");
      return FALSE;
    }
  return TRUE;
}

static gboolean
heads_are_sound (FmGraph *g, const FmTensor *q, const FmTensor *k)
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
  return TRUE;
}

FmTensor *
fm_attention_core (FmGraph *g, FmTensor *q, FmTensor *k, FmTensor *v, gdouble scale, const FmAttentionMask *mask)
{
  static const FmAttentionMask all = { 0 };
  FmTensor *in[4] = { q, k, v, mask ? mask->key_lengths : NULL };
  FmAttr attr = { 0 };
  FmNode *node;

  if (fm_graph_failed (g))
    return g->poison;
  mask = mask ? mask : &all;
  if (!heads_are_sound (g, q, k) || !fm_attention_mask_is_sound (g, mask, q->shape.dims[0]))
    return g->poison;
  if (v->type != FM_F32 || v->shape.rank != 4 || v->shape.dims[0] != k->shape.dims[0]
      || v->shape.dims[1] != k->shape.dims[1] || v->shape.dims[2] != k->shape.dims[2]
      || v->shape.dims[3] > FM_ATTENTION_MAX_WIDTH)
    {
      g_autofree char *sk = fm_shape_to_string (&k->shape), *sv = fm_shape_to_string (&v->shape);

      return fm_graph_fail (g, "attention", "k %s with v %s; wants f32, equal but in the last size, at most %d", sk, sv, FM_ATTENTION_MAX_WIDTH);
    }
  attr.i[0] = mask->causal;
  attr.i[1] = mask->window;
  attr.i[2] = mask->block;
  attr.f[0] = scale;
  node = fm_node_new (g, &attention_op, in, 4, &attr);
  return node ? fm_transpose (g, node->out[0], 1, 2) : g->poison;
}

FmTensor *
fm_attention_map (FmGraph *g, FmTensor *q, FmTensor *k, gdouble scale, const FmAttentionMask *mask)
{
  FmTensor *scores, *visible;
  gint64 b, h, hk, n_query, n_key;

  if (fm_graph_failed (g) || !heads_are_sound (g, q, k)
      || (mask && !fm_attention_mask_is_sound (g, mask, q->shape.dims[0])))
    return g->poison;
  b = q->shape.dims[0];
  h = q->shape.dims[1];
  hk = k->shape.dims[1];
  n_query = q->shape.dims[2];
  n_key = k->shape.dims[2];
  if (h != hk) /* [B,Hk,H/Hk,Nq,d] against [B,Hk,1,Nk,d] */
    {
      q = fm_reshape (g, q, FM_SHAPE (b, hk, h / hk, n_query, q->shape.dims[3]));
      k = fm_reshape (g, k, FM_SHAPE (b, hk, 1, n_key, k->shape.dims[3]));
    }
  scores = fm_reshape (g, fm_matmul (g, q, k, FM_TRANS_B), FM_SHAPE (b, h, n_query, n_key));
  if (mask && (mask->causal || mask->window > 0 || mask->block > 0 || mask->key_lengths))
    {
      visible = fm_attention_mask_tensor (g, n_query, n_key, mask);
      scores = fm_where (g, visible, scores,
                         fm_constant (g, FM_F32, FM_SHAPE (1, 1, 1, 1), scale < 0 ? INFINITY : -INFINITY));
    }
  return fm_softmax (g, scores, scale);
}

FM_OPS (attention, &attention_op);
