/* attention-backward.c: dq, dk, dv of attention; scores are made again from the log-sum-exp, so memory stays O(N).
 *
 * Source: Dao et al. 2022, arXiv:2205.14135, algorithm 4.
 * Inputs: q, k, v [B,H,N,d] (any strides but the last), o [B,Nq,H,dv], lse [B,H,Nq], do [B,Nq,H,dv], key lengths.
 * Outputs: dq [B,Nq,H,d], dk [B,Nk,Hk,d], dv [B,Nk,Hk,dv].
 * Work: with many heads one task per (b, kv head) makes all three in one pass over the tiles. With few, dq is made by
 * tiles of queries and dk, dv by tiles of keys: 7 products for 5, but enough tasks. Which of the two follows from the
 * shape; within a task the order is fixed, so sums have one value. */
#include "config.h"

#include "attention.h"
#include "math.h"
#include "tile.h"

#include <string.h>

#define TILE_K FM_ATTENTION_TILE_K
#define MANY_HEADS 16  /* (b, kv head) pairs from here on are tasks enough */

typedef struct
{
  FmAttentionProblem p;
  const float *q, *k, *v, *o, *lse, *dy;
  gint64       dy_stride[3]; /* b, n, h */
  float       *dq, *dk, *dv;
} Backward;

/* s, g [keys,lanes]: scores and dy v^T -> weights, and the gradient by q k^T. delta is the row sum of dy times o. */
FM_KERNEL (void, weights, (float *restrict s, float *restrict grad, gint64 keys, gint64 lanes, const gint32 *from,
                           const gint32 *to, float scale, const float *restrict lse, const float *restrict delta),
           (s, grad, keys, lanes, from, to, scale, lse, delta))
{
  for (gint64 j = 0; j < keys; j++)
    {
      float *restrict sj = s + j * lanes, *restrict gj = grad + j * lanes;

      if (from && (from[j] > 0 || to[j] < lanes))
        for (gint32 l = 0; l < (gint32) lanes; l++)
          {
            float w = fm_expf (sj[l] * scale - lse[l]);

            sj[l] = l >= from[j] && l < to[j] ? w : 0.0f;
            gj[l] = sj[l] * (gj[l] - delta[l]) * scale;
          }
      else
        for (gint64 l = 0; l < lanes; l++)
          {
            float w = fm_expf (sj[l] * scale - lse[l]);

            sj[l] = w;
            gj[l] = w * (gj[l] - delta[l]) * scale;
          }
    }
}

FM_KERNEL (void, row_dots, (const float *x, gint64 x_stride, const float *y, gint64 y_stride, gint64 rows, gint64 d,
                            float *out),
           (x, x_stride, y, y_stride, rows, d, out))
{
  for (gint64 r = 0; r < rows; r++)
    {
      const float *a = x + r * x_stride, *b = y + r * y_stride;
      float lane[16] = { 0 }, sum = 0.0f;
      gint64 c = 0;

      for (; c + 16 <= d; c += 16)
        for (int l = 0; l < 16; l++)
          lane[l] += a[c + l] * b[c + l];
      for (; c < d; c++)
        sum += a[c] * b[c];
      for (int width = 8; width > 0; width /= 2)
        for (int l = 0; l < width; l++)
          lane[l] += lane[l + width];
      out[r] = sum + lane[0];
    }
}

static void
zero_rows (float *x, gint64 stride, gint64 rows, gint64 d)
{
  for (gint64 r = 0; r < rows; r++)
    memset (x + r * stride, 0, d * sizeof *x);
}

static gsize
floats_per_thread (const FmAttentionProblem *p)
{
  return (gsize) ((p->d + p->dv + 2 * TILE_K + 2) * p->tile_q + 15) / 16 * 16;
}

/* Queries [q_from,q_to) (multiples of the tile) of the heads of one kv head against keys [k_from,k_to). Makes dq and
 * dk, dv where asked. With a mask some rows may get nothing and everything is added to what the caller has zeroed;
 * without one the first tile overwrites. */
static void
backward_block (const Backward *t, gint64 b, gint64 kv, gint64 q_from, gint64 q_to, gint64 k_from, gint64 k_to,
                gboolean want_q, gboolean want_kv, float *workspace)
{
  const FmAttentionProblem *p = &t->p;
  gint64 lanes = p->tile_q, row_q = p->heads * p->d, row_k = p->kv_heads * p->d, row_v = p->kv_heads * p->dv;
  gint64 row_o = p->heads * p->dv;
  float *turned_q = workspace, *turned_dy = turned_q + p->d * lanes, *s = turned_dy + p->dv * lanes;
  float *grad = s + TILE_K * lanes, *lse = grad + TILE_K * lanes, *delta = lse + lanes;
  const float *k = t->k + b * p->k_stride[0] + kv * p->k_stride[1];
  const float *v = t->v + b * p->v_stride[0] + kv * p->v_stride[1];
  gint32 lane_from[TILE_K], lane_to[TILE_K];

  for (gint64 h = kv * p->group; h < (kv + 1) * p->group; h++)
    for (gint64 q0 = q_from; q0 < q_to; q0 += lanes)
      {
        gint64 rows = MIN (lanes, q_to - q0), from, to;
        gboolean on_top_kv = !p->open || h > kv * p->group || q0 > q_from;
        const float *q = t->q + b * p->q_stride[0] + h * p->q_stride[1] + q0 * p->q_stride[2];
        const float *dy = t->dy + b * t->dy_stride[0] + q0 * t->dy_stride[1] + h * t->dy_stride[2];

        fm_attention_keys (p, b, q0, q0 + rows, &from, &to);
        from = MAX (from, k_from);
        to = MIN (to, k_to);
        if (from >= to)
          continue;
        fm_attention_prefetch (k + from * p->k_stride[2], p->k_stride[2], MIN (TILE_K, to - from), p->d);
        fm_attention_prefetch (v + from * p->v_stride[2], p->v_stride[2], MIN (TILE_K, to - from), p->dv);
        fm_attention_turn (q, p->q_stride[2], rows, p->d, lanes, turned_q);
        fm_attention_turn (dy, t->dy_stride[1], rows, p->dv, lanes, turned_dy);
        row_dots (dy, t->dy_stride[1], t->o + ((b * p->n_query + q0) * p->heads + h) * p->dv, row_o, rows, p->dv,
                  delta);
        memcpy (lse, t->lse + (b * p->heads + h) * p->n_query + q0, rows * sizeof *lse);
        for (gint64 l = rows; l < lanes; l++)
          {
            lse[l] = FM_ATTENTION_BLIND;
            delta[l] = 0.0f;
          }
        for (gint64 j = from; j < to; j += TILE_K)
          {
            gint64 keys = MIN (TILE_K, to - j);
            gboolean masked;

            masked = fm_attention_lanes (p, b, q0, rows, j, keys, lane_from, lane_to);
            fm_tile_gemm (keys, lanes, p->d, k + j * p->k_stride[2], p->k_stride[2], 1, turned_q, lanes, s, lanes,
                          FALSE);
            fm_tile_gemm (keys, lanes, p->dv, v + j * p->v_stride[2], p->v_stride[2], 1, turned_dy, lanes, grad, lanes,
                          FALSE);
            weights (s, grad, keys, lanes, masked ? lane_from : NULL, lane_to, p->scale, lse, delta);
            if (want_kv)
              {
                fm_tile_gemm (keys, p->dv, rows, s, lanes, 1, dy, t->dy_stride[1],
                              t->dv + ((b * p->n_key + j) * p->kv_heads + kv) * p->dv, row_v, on_top_kv);
                fm_tile_gemm (keys, p->d, rows, grad, lanes, 1, q, p->q_stride[2],
                              t->dk + ((b * p->n_key + j) * p->kv_heads + kv) * p->d, row_k, on_top_kv);
              }
            if (want_q)
              fm_tile_gemm (rows, p->d, keys, grad, 1, lanes, k + j * p->k_stride[2], p->k_stride[2],
                            t->dq + ((b * p->n_query + q0) * p->heads + h) * p->d, row_q, !p->open || j > from);
          }
      }
}

static void
backward_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const FmTensor *dy = node->in[5];
  Backward t = { .p = fm_attention_problem (node, args->in[6]), .q = args->in[0], .k = args->in[1], .v = args->in[2],
                 .o = args->in[3], .lse = args->in[4], .dy = args->in[5],
                 .dy_stride = { dy->stride[0], dy->stride[1], dy->stride[2] },
                 .dq = args->out[0], .dk = args->out[1], .dv = args->out[2] };
  const FmAttentionProblem *p = &t.p;
  gint64 pairs = p->batch * p->kv_heads, per_thread = floats_per_thread (p);
  float *workspace = args->workspace;

  if (pairs >= MANY_HEADS)
    {
#pragma omp parallel for schedule(dynamic, 1) num_threads(args->threads)
      for (gint64 pair = 0; pair < pairs; pair++)
        {
          gint64 b = pair / p->kv_heads, kv = pair % p->kv_heads;

          if (!p->open)
            {
              zero_rows (t.dq + (b * p->n_query * p->heads + kv * p->group) * p->d, p->heads * p->d, p->n_query,
                         p->group * p->d);
              zero_rows (t.dk + (b * p->n_key * p->kv_heads + kv) * p->d, p->kv_heads * p->d, p->n_key, p->d);
              zero_rows (t.dv + (b * p->n_key * p->kv_heads + kv) * p->dv, p->kv_heads * p->dv, p->n_key, p->dv);
            }
          backward_block (&t, b, kv, 0, p->n_query, 0, p->n_key, TRUE, TRUE,
                          workspace + omp_get_thread_num () * per_thread);
        }
      return;
    }

  gint64 q_tiles = (p->n_query + p->tile_q - 1) / p->tile_q, k_tiles = (p->n_key + TILE_K - 1) / TILE_K;

  if (!p->open)
    {
      memset (t.dq, 0, p->batch * p->n_query * p->heads * p->d * sizeof (float));
      memset (t.dk, 0, p->batch * p->n_key * p->kv_heads * p->d * sizeof (float));
      memset (t.dv, 0, p->batch * p->n_key * p->kv_heads * p->dv * sizeof (float));
    }
#pragma omp parallel num_threads(args->threads)
  {
    float *own = workspace + omp_get_thread_num () * per_thread;

#pragma omp for schedule(dynamic, 1) nowait
    for (gint64 task = 0; task < pairs * q_tiles; task++)
      {
        gint64 pair = task / q_tiles, q0 = task % q_tiles * p->tile_q;

        backward_block (&t, pair / p->kv_heads, pair % p->kv_heads, q0, MIN (q0 + p->tile_q, p->n_query), 0, p->n_key,
                        TRUE, FALSE, own);
      }
#pragma omp for schedule(dynamic, 1)
    for (gint64 task = 0; task < pairs * k_tiles; task++)
      {
        gint64 pair = task / k_tiles, k0 = task % k_tiles * TILE_K;

        backward_block (&t, pair / p->kv_heads, pair % p->kv_heads, 0, p->n_query, k0, MIN (k0 + TILE_K, p->n_key),
                        FALSE, TRUE, own);
      }
  }
}

/* On Vulkan: pairs (lse, delta) [B,H,Nq,2]. */
static gsize
backward_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  FmAttentionProblem p = fm_attention_problem (node, NULL);

  return backend == FM_BACKEND_CPU ? threads * floats_per_thread (&p) * sizeof (float)
                                   : (gsize) (p.batch * p.heads * p.n_query) * 2 * sizeof (float);
}

static gboolean
backward_infer (FmNode *node)
{
  FmAttentionProblem p = fm_attention_problem (node, NULL);

  for (guint i = 0; i < 3; i++)
    node->out[i]->type = FM_F32;
  node->out[0]->shape = FM_SHAPE (p.batch, p.n_query, p.heads, p.d);
  node->out[1]->shape = FM_SHAPE (p.batch, p.n_key, p.kv_heads, p.d);
  node->out[2]->shape = FM_SHAPE (p.batch, p.n_key, p.kv_heads, p.dv);
  return TRUE;
}

static void
backward_cost (const FmNode *node, FmCost *cost)
{
  FmAttentionProblem p = fm_attention_problem (node, NULL);
  gdouble pairs = fm_attention_pairs (&p);

  cost->flops = p.batch * p.heads * pairs * (6.0 * p.d + 4.0 * p.dv + 6);
  cost->bytes = 8.0 * (fm_shape_count (&node->in[0]->shape) + fm_shape_count (&node->in[1]->shape)
                       + fm_shape_count (&node->in[2]->shape) + fm_shape_count (&node->in[3]->shape));
}

static gboolean
backward_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmAttentionProblem p = fm_attention_problem (node, NULL);
  FmTensor *q = node->in[0], *k = node->in[1], *v = node->in[2], *o = node->in[3], *lse = node->in[4];
  FmTensor *dy = node->in[5], *lengths = node->in[6];
  struct
  {
    guint32 batch, heads, group, n_query, n_key, d, dv;
    gint32  causal, window, block, offset;
    float   scale;
    guint32 q_offset, k_offset, v_offset, dy_offset, lengths_offset;
    guint32 q_stride[3], k_stride[3], v_stride[3], dy_stride[3];
  } push = { p.batch, p.heads, p.group, p.n_query, p.n_key, p.d, p.dv, p.causal, p.window, p.block, p.offset, p.scale,
             q->offset, k->offset, v->offset, dy->offset, lengths ? lengths->offset : 0 };
  struct { guint32 count, heads, n_query, dv, o_offset, lse_offset, dy_offset, dy_stride[3]; } push_delta = {
    p.batch * p.heads * p.n_query, p.heads, p.n_query, p.dv, o->offset, lse->offset, dy->offset,
    { dy->stride[0], dy->stride[1], dy->stride[2] } };
  FmVulkanDispatch delta = { .shader = "attention-delta", .bind = { o, lse, dy, FM_VULKAN_WORKSPACE }, .n_bind = 4,
                             .push = &push_delta, .push_bytes = sizeof push_delta,
                             .groups = ((guint64) push_delta.count + 127) / 128 };
  FmVulkanDispatch queries = { .shader = "attention-backward-q", .n_bind = 7, .push = &push, .push_bytes = sizeof push,
                               .bind = { q, k, v, dy, FM_VULKAN_WORKSPACE, lengths ? lengths : q, node->out[0] },
                               .spec = { lengths != NULL }, .n_spec = 1, .local_x = 64,
                               .groups = p.batch * p.heads * p.n_query };
  FmVulkanDispatch keys = { .shader = "attention-backward-kv", .n_bind = 8, .push = &push, .push_bytes = sizeof push,
                            .bind = { q, k, v, dy, FM_VULKAN_WORKSPACE, lengths ? lengths : q, node->out[1],
                                      node->out[2] },
                            .spec = { lengths != NULL }, .n_spec = 1, .local_x = 64,
                            .groups = p.batch * p.kv_heads * p.n_key };

  for (guint i = 0; i < 3; i++)
    {
      push.q_stride[i] = p.q_stride[i];
      push.k_stride[i] = p.k_stride[i];
      push.v_stride[i] = p.v_stride[i];
      push.dy_stride[i] = dy->stride[i];
    }
  /* As forward: tiles of 32 rows, unless the queries are few or too wide for registers. */
  if (p.n_query >= 8 && MAX (p.d, p.dv) <= 128)
    {
      queries.shader = "attention-backward-q-tiles";
      keys.shader = "attention-backward-kv-tiles";
      queries.spec[1] = keys.spec[1] = MAX (p.d, p.dv) <= 32 ? 1 : MAX (p.d, p.dv) <= 64 ? 2 : 4;
      queries.n_spec = keys.n_spec = 2;
      queries.groups = p.batch * p.heads * ((p.n_query + 31) / 32);
      keys.groups = p.batch * p.kv_heads * ((p.n_key + 31) / 32);
    }
  return fm_vulkan_dispatch (recorder, &delta, error) && fm_vulkan_dispatch (recorder, &queries, error)
         && fm_vulkan_dispatch (recorder, &keys, error);
}

const FmOp fm_attention_backward_op = {
  .name = "attention-backward", .n_in_min = 7, .n_in_max = 7, .n_out = 3, .flags = FM_OP_ROWS,
  .infer = backward_infer,
  .no_gradient = "second derivative of fused attention is not built; use fm_attention_map",
  .cpu = backward_cpu, .vulkan = backward_vulkan, .workspace = backward_workspace, .cost = backward_cost,
};

FM_OPS (attention_backward, &fm_attention_backward_op);
