/* attention-backward.c: dq, dk, dv of attention; scores are made again from the log-sum-exp, so memory stays O(N).
 *
 * Source: Dao et al. 2022, arXiv:2205.14135, algorithm 4.
 * Inputs: q, k, v [B,H,N,d] (any strides but the last), o [B,Nq,H,dv], lse [B,H,Nq], do [B,Nq,H,dv], dlse [B,H,Nq] or
 * NULL, then the tensors of the mask.
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

#define FIRST_MASK FM_BACKWARD_FIRST_MASK

typedef struct
{
  FmAttentionBackward t;
  float *dq, *dk, *dv;
} Backward;

#define GROUP FM_ATTENTION_GROUP

FM_KERNEL (void, weights, (float *restrict s, float *restrict grad, gint64 keys, gint64 lanes,
                           const FmAttentionStair *stair, const float *restrict added, float grad_scale,
                           const float *restrict lse, const float *restrict delta),
           (s, grad, keys, lanes, stair, added, grad_scale, lse, delta))
{
  for (gint64 g = 0; g < lanes; g += GROUP)
    {
      gint64 first = stair ? stair->key_from[g / GROUP] : 0, end = stair ? stair->key_to[g / GROUP] : keys;

      for (gint64 j = first; j < end; j++)
        {
          float *restrict sj = s + j * lanes + g, *restrict gj = grad + j * lanes + g;

          if (added)
            for (int l = 0; l < GROUP; l++)
              sj[l] += added[j * lanes + g + l];
          else if (stair && (stair->from[j] > g || stair->to[j] < g + GROUP))
            for (int l = 0; l < GROUP; l++)
              sj[l] = (gint32) g + l >= stair->from[j] && (gint32) g + l < stair->to[j] ? sj[l] : -INFINITY;
          for (int l = 0; l < GROUP; l++)
            {
              float w = fm_exp2f_low (sj[l] - lse[g + l]);

              sj[l] = w;
              gj[l] = w * (gj[l] - delta[g + l]) * grad_scale;
            }
        }
    }
}

void
fm_attention_weights (float *s, float *grad, gint64 keys, gint64 lanes, const FmAttentionStair *stair,
                      const float *added, float grad_scale, const float *lse, const float *delta)
{
  weights (s, grad, keys, lanes, stair, added, grad_scale, lse, delta);
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
  return (gsize) ((p->d + p->dv + (p->added ? 3 : 2) * TILE_K + 2) * p->tile_q + 15) / 16 * 16;
}

FmAttentionBackward
fm_attention_backward_read (const FmNode *node, void * const *data)
{
  const FmTensor *dy = node->in[5];

  return (FmAttentionBackward) { .p = fm_attention_problem (node, FIRST_MASK, data), .q = data[0], .k = data[1],
                                 .v = data[2], .o = data[3], .lse = data[4], .dy = data[5], .dlse = data[6],
                                 .dy_stride = { dy->stride[0], dy->stride[1], dy->stride[2] } };
}

void
fm_attention_backward_begin (const FmAttentionBackward *t, gint64 b, gint64 h, gint64 q0, gint64 rows, float *turned_q,
                             float *turned_dy, float *lse, float *delta)
{
  const FmAttentionProblem *p = &t->p;
  const float *q = t->q + b * p->q_stride[0] + h * p->q_stride[1] + q0 * p->q_stride[2];
  const float *dy = t->dy + b * t->dy_stride[0] + q0 * t->dy_stride[1] + h * t->dy_stride[2];
  gint64 from = (b * p->heads + h) * p->all_queries + q0 * p->step;

  fm_attention_turn (q, p->q_stride[2], rows, p->d, p->tile_q, p->scale * FM_LOG2E, turned_q);
  fm_attention_turn (dy, t->dy_stride[1], rows, p->dv, p->tile_q, 1.0f, turned_dy);
  row_dots (dy, t->dy_stride[1], t->o + ((b * p->all_queries + q0 * p->step) * p->heads + h) * p->dv,
            p->step * p->heads * p->dv, rows, p->dv, delta);
  for (gint64 l = 0; t->dlse && l < rows; l++)
    delta[l] -= t->dlse[from + l * p->step]; /* the log-sum-exp grows by a score as fast as the key's weight */
  for (gint64 l = 0; l < rows; l++)
    lse[l] = t->lse[from + l * p->step] * FM_LOG2E; /* infinite where nothing is seen */
  for (gint64 l = rows; l < p->tile_q; l++)
    {
      lse[l] = FM_ATTENTION_BLIND;
      delta[l] = 0.0f;
    }
}

/* Queries [q_from,q_to) (multiples of the tile) of the heads of one kv head against keys [k_from,k_to). Makes dq and
 * dk, dv where asked. With a mask some rows may get nothing and everything is added to what the caller has zeroed;
 * without one the first tile overwrites. */
static void
backward_block (const Backward *all, gint64 b, gint64 kv, gint64 q_from, gint64 q_to, gint64 k_from, gint64 k_to,
                gboolean want_q, gboolean want_kv, float *workspace)
{
  const FmAttentionBackward *t = &all->t;
  const FmAttentionProblem *p = &t->p;
  gint64 lanes = p->tile_q, row_q = p->step * p->heads * p->d, row_k = p->step * p->kv_heads * p->d;
  gint64 row_v = p->step * p->kv_heads * p->dv;
  float *turned_q = workspace, *turned_dy = turned_q + p->d * lanes, *s = turned_dy + p->dv * lanes;
  float *grad = s + TILE_K * lanes, *lse = grad + TILE_K * lanes, *delta = lse + lanes;
  float *added = p->added ? delta + lanes : NULL;
  const float *k = t->k + b * p->k_stride[0] + kv * p->k_stride[1];
  const float *v = t->v + b * p->v_stride[0] + kv * p->v_stride[1];
  FmAttentionStair stair, *cut;

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
        fm_attention_backward_begin (t, b, h, q0, rows, turned_q, turned_dy, lse, delta);
        for (gint64 j = from; j < to; j += TILE_K)
          {
            gint64 keys = MIN (TILE_K, to - j);

            cut = NULL;
            if (added)
              {
                if (!fm_attention_added (p, b, h, q0, rows, j, keys, added))
                  continue;
              }
            else if (fm_attention_stair (p, b, q0, rows, j, keys, &stair))
              cut = &stair;
            fm_attention_scores (cut, keys, lanes, p->d, k + j * p->k_stride[2], p->k_stride[2], turned_q, s);
            fm_attention_scores (cut, keys, lanes, p->dv, v + j * p->v_stride[2], p->v_stride[2], turned_dy, grad);
            weights (s, grad, keys, lanes, cut, added, p->scale, lse, delta);
            if (want_kv)
              {
                fm_attention_by_keys (cut, keys, lanes, rows, p->dv, s, dy, t->dy_stride[1],
                                      all->dv + ((b * p->all_keys + j * p->step) * p->kv_heads + kv) * p->dv, row_v, on_top_kv);
                fm_attention_by_keys (cut, keys, lanes, rows, p->d, grad, q, p->q_stride[2],
                                      all->dk + ((b * p->all_keys + j * p->step) * p->kv_heads + kv) * p->d, row_k, on_top_kv);
              }
            if (want_q)
              fm_attention_by_lanes (cut, keys, lanes, rows, p->d, grad, k + j * p->k_stride[2], p->k_stride[2],
                                     all->dq + ((b * p->all_queries + q0 * p->step) * p->heads + h) * p->d, row_q,
                                     !p->open || j > from);
          }
      }
}

/* The problem of residue @i, if there are several. */
static Backward
residue_of (const Backward *all, gint64 i)
{
  const FmAttentionProblem *p = &all->t.p;
  FmAttentionProblem r = fm_attention_residue (p, i);
  Backward t = *all;

  t.t.p = r;
  t.t.q += r.first * p->q_stride[2];
  t.t.k += r.residue * p->k_stride[2];
  t.t.v += r.residue * p->v_stride[2];
  t.t.o += r.first * p->heads * p->dv;
  t.t.lse += r.first;
  t.t.dlse = t.t.dlse ? t.t.dlse + r.first : NULL;
  t.t.dy += r.first * t.t.dy_stride[1];
  t.t.dy_stride[1] *= r.step;
  t.dq += r.first * p->heads * p->d;
  t.dk += r.residue * p->kv_heads * p->d;
  t.dv += r.residue * p->kv_heads * p->dv;
  return t;
}

/* The rows of (b, kv) of all gradients. */
static void
zero_pair (const Backward *t, gint64 b, gint64 kv)
{
  const FmAttentionProblem *p = &t->t.p;

  zero_rows (t->dq + (b * p->n_query * p->heads + kv * p->group) * p->d, p->heads * p->d, p->n_query, p->group * p->d);
  zero_rows (t->dk + (b * p->n_key * p->kv_heads + kv) * p->d, p->kv_heads * p->d, p->n_key, p->d);
  zero_rows (t->dv + (b * p->n_key * p->kv_heads + kv) * p->dv, p->kv_heads * p->dv, p->n_key, p->dv);
}

static void
backward_cpu (const FmNode *node, const FmCpuArgs *args)
{
  Backward t = { .t = fm_attention_backward_read (node, args->in), .dq = args->out[0], .dk = args->out[1],
                 .dv = args->out[2] };
  const FmAttentionProblem *p = &t.t.p, largest = fm_attention_residue (p, 0);
  gint64 residues = fm_attention_residues (p), pairs = p->batch * p->kv_heads, per_thread = floats_per_thread (&largest);
  gint64 q_tiles = (largest.n_query + largest.tile_q - 1) / largest.tile_q;
  gint64 k_tiles = ((p->n_key + largest.step - 1) / largest.step + TILE_K - 1) / TILE_K;
  float *workspace = args->workspace;

#pragma omp parallel num_threads(args->threads)
  {
    float *own = workspace + omp_get_thread_num () * per_thread;

    if (!p->open && (residues > 1 || pairs < MANY_HEADS))
      {
#pragma omp for schedule(static)
        for (gint64 pair = 0; pair < pairs; pair++)
          zero_pair (&t, pair / p->kv_heads, pair % p->kv_heads);
      }
    if (pairs * residues >= MANY_HEADS)
      {
#pragma omp for schedule(dynamic, 1)
        for (gint64 task = 0; task < pairs * residues; task++)
          {
            Backward r = residue_of (&t, task % residues);
            gint64 pair = task / residues, b = pair / p->kv_heads, kv = pair % p->kv_heads;

            if (!p->open && residues == 1)
              zero_pair (&t, b, kv);
            backward_block (&r, b, kv, 0, r.t.p.n_query, 0, r.t.p.n_key, TRUE, TRUE, own);
          }
      }
    else
      {
#pragma omp for schedule(dynamic, 1) nowait
        for (gint64 task = 0; task < pairs * residues * q_tiles; task++)
          {
            Backward r = residue_of (&t, task / q_tiles % residues);
            gint64 pair = task / q_tiles / residues, q0 = task % q_tiles * r.t.p.tile_q;

            backward_block (&r, pair / p->kv_heads, pair % p->kv_heads, q0, MIN (q0 + r.t.p.tile_q, r.t.p.n_query), 0,
                            r.t.p.n_key, TRUE, FALSE, own);
          }
#pragma omp for schedule(dynamic, 1)
        for (gint64 task = 0; task < pairs * residues * k_tiles; task++)
          {
            Backward r = residue_of (&t, task / k_tiles % residues);
            gint64 pair = task / k_tiles / residues, k0 = task % k_tiles * TILE_K;

            backward_block (&r, pair / p->kv_heads, pair % p->kv_heads, 0, r.t.p.n_query, k0,
                            MIN (k0 + TILE_K, r.t.p.n_key), FALSE, TRUE, own);
          }
      }
  }
}

/* On Vulkan: pairs (lse, delta) [B,H,Nq,2], then the table of the mask. */
static gsize
backward_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  FmAttentionProblem p = fm_attention_problem (node, FIRST_MASK, NULL), largest = fm_attention_residue (&p, 0);

  return backend == FM_BACKEND_CPU ? threads * floats_per_thread (&largest) * sizeof (float)
                                   : (gsize) (p.batch * p.heads * p.n_query) * 2 * sizeof (float)
                                     + fm_attention_table_words (&p, node->in + FIRST_MASK) * sizeof (guint32);
}

static gboolean
backward_infer (FmNode *node)
{
  FmAttentionProblem p = fm_attention_problem (node, FIRST_MASK, NULL);

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
  FmAttentionProblem p = fm_attention_problem (node, FIRST_MASK, NULL);
  gdouble pairs = fm_attention_pairs (&p);

  cost->flops = p.batch * p.heads * pairs * (6.0 * p.d + 4.0 * p.dv + 6);
  cost->bytes = 8.0 * (fm_shape_count (&node->in[0]->shape) + fm_shape_count (&node->in[1]->shape)
                       + fm_shape_count (&node->in[2]->shape) + fm_shape_count (&node->in[3]->shape));
}

gboolean
fm_attention_delta_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmTensor *q = node->in[0], *o = node->in[3], *lse = node->in[4], *dy = node->in[5], *dlse = node->in[6];
  struct { guint32 count, heads, n_query, dv, o_offset, lse_offset, dy_offset, dlse_offset, dy_stride[3]; } push = {
    (guint32) fm_shape_count (&lse->shape), q->shape.dims[1], q->shape.dims[2], o->shape.dims[3], o->offset, lse->offset,
    dy->offset, dlse ? dlse->offset : 0, { dy->stride[0], dy->stride[1], dy->stride[2] } };
  FmVulkanDispatch dispatch = { .shader = "attention-delta",
                                .bind = { o, lse, dy, FM_VULKAN_WORKSPACE, dlse ? dlse : lse }, .n_bind = 5,
                                .push = &push, .push_bytes = sizeof push, .spec = { dlse != NULL }, .n_spec = 1,
                                .groups = ((guint64) push.count + 127) / 128 };

  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

static gboolean
backward_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmAttentionProblem p = fm_attention_problem (node, FIRST_MASK, NULL);
  FmTensor *q = node->in[0], *k = node->in[1], *v = node->in[2], *dy = node->in[5];
  FmTensor * const *mask = node->in + FIRST_MASK;
  FmTensor *lengths = mask[FM_MASK_LENGTHS], *bias = mask[FM_MASK_BIAS] ? mask[FM_MASK_BIAS] : q, *hidden;
  gboolean table = fm_attention_table_words (&p, mask) > 0;
  guint32 n_rows = (guint32) (p.batch * p.heads * p.n_query);
  struct
  {
    guint32 batch, heads, group, n_query, n_key, d, dv;
    gint32  causal, window, block, offset;
    float   scale;
    guint32 q_offset, k_offset, v_offset, dy_offset, mask_offset;
    guint32 q_stride[3], k_stride[3], v_stride[3], dy_stride[3];
  } push = { p.batch, p.heads, p.group, p.n_query, p.n_key, p.d, p.dv, p.causal, p.window, p.block, p.offset, p.scale,
             q->offset, k->offset, v->offset, dy->offset, table ? 2 * n_rows : lengths ? lengths->offset : 0 };
  FmVulkanDispatch queries = { .shader = "attention-backward-q", .n_bind = 8, .push = &push, .push_bytes = sizeof push,
                               .spec = { table ? 2 : lengths != NULL }, .n_spec = 1, .local_x = 64,
                               .groups = p.batch * p.heads * p.n_query };
  FmVulkanDispatch keys = { .shader = "attention-backward-kv", .n_bind = 9, .push = &push, .push_bytes = sizeof push,
                            .spec = { table ? 2 : lengths != NULL }, .n_spec = 1, .local_x = 64,
                            .groups = p.batch * p.kv_heads * p.n_key };

  hidden = table ? FM_VULKAN_WORKSPACE : lengths ? lengths : q;
  memcpy (queries.bind, ((FmTensor *[]) { q, k, v, dy, FM_VULKAN_WORKSPACE, hidden, bias, node->out[0] }),
          8 * sizeof (FmTensor *));
  memcpy (keys.bind, ((FmTensor *[]) { q, k, v, dy, FM_VULKAN_WORKSPACE, hidden, bias, node->out[1], node->out[2] }),
          9 * sizeof (FmTensor *));
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
  return fm_attention_delta_vulkan (node, recorder, error)
         && (!table || fm_attention_table_write (recorder, &p, mask, FM_VULKAN_WORKSPACE, 2 * n_rows, error))
         && fm_vulkan_dispatch (recorder, &queries, error) && fm_vulkan_dispatch (recorder, &keys, error);
}

/* The gradient of a gradient is rare: it is made from the unfused form, whose ops all have second gradients. The inputs
 * are cut off first, so that each stands for itself even where two are one tensor. */
static void
backward_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmTensor * const *in = node->in + FIRST_MASK;
  FmAttentionMask mask = { .causal = node->attr.i[0] != 0, .window = node->attr.i[1], .block = node->attr.i[2],
                           .key_lengths = in[FM_MASK_LENGTHS], .dilation = node->attr.i[3],
                           .globals = node->attr.i[4], .layout = in[FM_MASK_LAYOUT], .layout_block = node->attr.i[5],
                           .segments = in[FM_MASK_SEGMENTS], .key_segments = in[FM_MASK_KEY_SEGMENTS] };
  FmTensor *x[6], *first[3], *second[6], *y, *map, *loss = NULL;
  gint64 b, h, hk;

  if (node->in[6])
    {
      fm_graph_fail (g, "attention-backward", "has no second gradient through partial results; use fm_attention_map");
      return;
    }
  for (guint i = 0; i < 3; i++)
    x[i] = fm_stop_gradient (g, node->in[i]);
  x[3] = fm_stop_gradient (g, node->in[5]);
  x[4] = in[FM_MASK_DISTANCE] ? fm_stop_gradient (g, in[FM_MASK_DISTANCE]) : NULL;
  x[5] = in[FM_MASK_BIAS] ? fm_stop_gradient (g, in[FM_MASK_BIAS]) : NULL;
  mask.distance = x[4];
  mask.bias = x[5];
  map = fm_attention_map (g, x[0], x[1], node->attr.f[0], &mask);
  if (fm_graph_failed (g))
    return;
  b = x[0]->shape.dims[0];
  h = x[0]->shape.dims[1];
  hk = x[1]->shape.dims[1];
  if (h == hk)
    y = fm_matmul (g, map, x[2], 0);
  else
    y = fm_reshape (g, fm_matmul (g, fm_reshape (g, map, FM_SHAPE (b, hk, h / hk, map->shape.dims[2], map->shape.dims[3])),
                                  fm_reshape (g, x[2], FM_SHAPE (b, hk, 1, x[2]->shape.dims[2], x[2]->shape.dims[3])), 0),
                    FM_SHAPE (b, h, map->shape.dims[2], x[2]->shape.dims[3]));
  fm_grad (g, fm_sum_all (g, fm_mul (g, fm_transpose (g, y, 1, 2), x[3])), x, 3, first);
  for (guint i = 0; i < 3 && !fm_graph_failed (g); i++)
    if (dy[i])
      {
        FmTensor *part = fm_sum_all (g, fm_mul (g, fm_transpose (g, first[i], 1, 2), fm_stop_gradient (g, dy[i])));

        loss = loss ? fm_add (g, loss, part) : part;
      }
  if (loss == NULL || fm_graph_failed (g))
    return;
  fm_grad (g, loss, x, 4, second);
  if (x[4])
    fm_grad (g, loss, x + 4, 1, second + 4);
  if (x[5])
    fm_grad (g, loss, x + 5, 1, second + 5);
  if (fm_graph_failed (g))
    return;
  for (guint i = 0; i < 3; i++)
    dx[i] = second[i];
  dx[5] = second[3]; /* o and lse are functions of q, k, v: what they contribute is in these already */
  dx[FIRST_MASK + FM_MASK_DISTANCE] = x[4] ? second[4] : NULL;
  dx[FIRST_MASK + FM_MASK_BIAS] = x[5] ? second[5] : NULL;
}

const FmOp fm_attention_backward_op = {
  .name = "attention-backward", .n_in_min = FIRST_MASK + FM_MASK_TENSORS, .n_in_max = FIRST_MASK + FM_MASK_TENSORS,
  .n_out = 3, .flags = FM_OP_ROWS, .infer = backward_infer, .gradient = backward_gradient,
  .cpu = backward_cpu, .vulkan = backward_vulkan, .workspace = backward_workspace, .cost = backward_cost,
};

FM_OPS (attention_backward, &fm_attention_backward_op);
