/* attention-map.c: the weights of attention themselves, whole (with gradients, O(N^2) memory) or one rectangle of them.
 *
 * Op attention-tile: in q, k, lse [B,H,Nq], then the tensors of the mask; out [B,H,rows,columns], exp (score - lse) where
 * the key is visible. Attributes i[6] first row, i[7] rows, i[8] first column, i[9] columns, the others as attention.
 * The viewer asks for any rectangle of a map too large to keep: two passes over the keys of its rows, no N^2 memory. */
#include "config.h"

#include "attention.h"
#include "math.h"

#include <string.h>

#define FIRST_MASK 3

static gboolean
tile_infer (FmNode *node)
{
  node->out[0]->type = FM_F32;
  node->out[0]->shape = FM_SHAPE (node->in[0]->shape.dims[0], node->in[0]->shape.dims[1], node->attr.i[7],
                                  node->attr.i[9]);
  return TRUE;
}

static FmAttentionProblem
tile_problem (const FmNode *node, void * const *data)
{
  FmTensor *q = node->in[0], *k = node->in[1];
  FmAttentionProblem p = { .batch = q->shape.dims[0], .heads = q->shape.dims[1], .kv_heads = k->shape.dims[1],
                           .n_query = q->shape.dims[2], .n_key = k->shape.dims[2], .d = q->shape.dims[3] };

  fm_attention_problem_set_mask (&p, &node->attr, node->in + FIRST_MASK, data ? data + FIRST_MASK : NULL);
  p.group = p.heads / p.kv_heads;
  memcpy (p.q_stride, q->stride, sizeof p.q_stride);
  memcpy (p.k_stride, k->stride, sizeof p.k_stride);
  return p;
}

static void
tile_cpu (const FmNode *node, const FmCpuArgs *args)
{
  FmAttentionProblem p = tile_problem (node, args->in);
  gint64 first_row = node->attr.i[6], rows = node->attr.i[7], first_column = node->attr.i[8], columns = node->attr.i[9];
  const float *q = args->in[0], *k = args->in[1], *lse = args->in[2];
  float *y = args->out[0];

#pragma omp parallel for schedule(static) num_threads(args->threads) if (p.batch * p.heads * rows > 8)
  for (gint64 task = 0; task < p.batch * p.heads * rows; task++)
    {
      gint64 i = first_row + task % rows, h = task / rows % p.heads, b = task / rows / p.heads;
      const float *query = q + b * p.q_stride[0] + h * p.q_stride[1] + i * p.q_stride[2];
      const float *keys = k + b * p.k_stride[0] + h / p.group * p.k_stride[1];

      for (gint64 c = 0; c < columns; c++)
        {
          gint64 j = first_column + c;
          float score = 0.0f;

          if (fm_attention_sees (&p, b, h, i, j))
            {
              for (gint64 t = 0; t < p.d; t++)
                score += query[t] * keys[j * p.k_stride[2] + t];
              score *= p.scale;
              if (p.distance)
                score += p.distance[h * p.distance_head + i - j + p.n_key - 1];
              if (p.bias)
                score += p.bias[b * p.bias_stride[0] + h * p.bias_stride[1] + i * p.bias_stride[2] + j];
              y[task * columns + c] = fm_expf (score - lse[(b * p.heads + h) * p.n_query + i]);
            }
          else
            y[task * columns + c] = 0.0f;
        }
    }
}

static gsize
tile_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  FmAttentionProblem p = tile_problem (node, NULL);

  return backend == FM_BACKEND_CPU ? 0 : fm_attention_table_words (&p, node->in + FIRST_MASK) * sizeof (guint32);
}

static gboolean
tile_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmAttentionProblem p = tile_problem (node, NULL);
  FmTensor * const *mask = node->in + FIRST_MASK;
  FmTensor *q = node->in[0], *k = node->in[1], *lse = node->in[2], *y = node->out[0];
  FmTensor *lengths = mask[FM_MASK_LENGTHS], *bias = mask[FM_MASK_BIAS];
  gboolean table = fm_attention_table_words (&p, mask) > 0;
  struct
  {
    guint32 count, heads, group, n_query, n_key, d;
    gint32  causal, window, block, offset;
    float   scale;
    guint32 q_offset, k_offset, lse_offset, mask_offset;
    guint32 q_stride[3], k_stride[3];
    guint32 first_row, rows, first_column, columns;
  } push = { fm_shape_count (&y->shape), p.heads, p.group, p.n_query, p.n_key, p.d, p.causal, p.window, p.block,
             p.offset, p.scale, q->offset, k->offset, lse->offset, lengths && !table ? lengths->offset : 0,
             { p.q_stride[0], p.q_stride[1], p.q_stride[2] }, { p.k_stride[0], p.k_stride[1], p.k_stride[2] },
             node->attr.i[6], node->attr.i[7], node->attr.i[8], node->attr.i[9] };
  FmVulkanDispatch dispatch = { .shader = "attention-map", .bind = { q, k, lse, y, lengths ? lengths : q,
                                                                     bias ? bias : q },
                                .n_bind = 6, .push = &push, .push_bytes = sizeof push,
                                .spec = { table ? 2 : lengths != NULL }, .n_spec = 1,
                                .groups = ((guint64) push.count + 127) / 128 };

  if (table)
    {
      dispatch.bind[4] = FM_VULKAN_WORKSPACE;
      if (!fm_attention_table_write (recorder, &p, mask, FM_VULKAN_WORKSPACE, 0, error))
        return FALSE;
    }
  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

static void
tile_cost (const FmNode *node, FmCost *cost)
{
  gint64 d = node->in[0]->shape.dims[3], count = fm_shape_count (&node->out[0]->shape);

  cost->flops = count * (2.0 * d + 2);
  cost->bytes = 4.0 * (count + node->out[0]->shape.dims[0] * node->out[0]->shape.dims[1] * d
                               * (node->attr.i[7] + node->attr.i[9]));
}

static const FmOp attention_tile_op = {
  .name = "attention-tile", .n_in_min = FIRST_MASK + FM_MASK_TENSORS, .n_in_max = FIRST_MASK + FM_MASK_TENSORS,
  .n_out = 1, .flags = FM_OP_ROWS, .infer = tile_infer,
  .no_gradient = "a rectangle of a map is for looking at; differentiate fm_attention_map",
  .cpu = tile_cpu, .vulkan = tile_vulkan, .workspace = tile_workspace, .cost = tile_cost,
};

FM_OPS (attention_map, &attention_tile_op);

FmTensor *
fm_attention_map_tile (FmGraph *g, FmTensor *q, FmTensor *k, gdouble scale, const FmAttentionMask *mask,
                       gint64 first_row, gint64 rows, gint64 first_column, gint64 columns)
{
  FM_REFUSE_NULL (g, "attention map tile", q, k);
  FmTensor *in[FIRST_MASK + FM_MASK_TENSORS] = { q, k };
  FmAttr attr = { .i = { [6] = first_row, [7] = rows, [8] = first_column, [9] = columns }, .f = { scale } };
  FmNode *node;

  if (fm_graph_failed (g) || !fm_attention_heads_are_sound (g, q, k, NULL)
      || !fm_attention_mask_read (g, mask, q->shape.dims[0], q->shape.dims[1], q->shape.dims[2], k->shape.dims[2],
                                  in + FIRST_MASK, &attr))
    return g->poison;
  if (first_row < 0 || first_column < 0 || rows < 1 || columns < 1 || first_row + rows > q->shape.dims[2]
      || first_column + columns > k->shape.dims[2])
    return fm_graph_fail (g, "attention-tile", "rows %" G_GINT64_FORMAT " + %" G_GINT64_FORMAT " and columns %"
                          G_GINT64_FORMAT " + %" G_GINT64_FORMAT " do not lie inside a map of %" G_GINT64_FORMAT " x %"
                          G_GINT64_FORMAT, first_row, rows, first_column, columns, q->shape.dims[2], k->shape.dims[2]);
  /* Values of width 1 that nobody reads: the sums of the exponentials are what is wanted. */
  in[2] = fm_attention_partial (g, q, k, fm_slice (g, k, 3, 0, 1), scale, mask).m;
  node = fm_node_new (g, &attention_tile_op, in, G_N_ELEMENTS (in), &attr);
  return node ? node->out[0] : g->poison;
}

/* Distance terms [1 or H, Nq+Nk-1] as [1 or H, Nq, Nk]: entry i - j + Nk - 1. */
static FmTensor *
spread_distance (FmGraph *g, FmTensor *distance, gint64 n_query, gint64 n_key)
{
  FmTensor *i = fm_reshape (g, fm_iota (g, n_query), FM_SHAPE (n_query, 1));
  FmTensor *j = fm_sub (g, fm_iota (g, n_key), fm_constant (g, FM_I32, FM_SHAPE (1), (gdouble) (n_key - 1)));
  FmTensor *rows = fm_gather_rows (g, fm_transpose (g, distance, 0, 1), fm_sub (g, i, j)); /* [Nq,Nk,1 or H] */

  return fm_permute (g, rows, (const gint[]){ 2, 0, 1 });
}

FmTensor *
fm_attention_map (FmGraph *g, FmTensor *q, FmTensor *k, gdouble scale, const FmAttentionMask *mask)
{
  FM_REFUSE_NULL (g, "attention map", q, k);
  static const FmAttentionMask all = { 0 };
  FmTensor *scores, *visible, *in[FM_MASK_TENSORS];
  gint64 b, h, hk, n_query, n_key;
  FmAttr attr;

  mask = mask ? mask : &all;
  if (fm_graph_failed (g) || !fm_attention_heads_are_sound (g, q, k, NULL)
      || !fm_attention_mask_read (g, mask, q->shape.dims[0], q->shape.dims[1], q->shape.dims[2], k->shape.dims[2], in,
                                  &attr))
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
  if (mask->distance || mask->bias)
    {
      scores = fm_mul_scalar (g, scores, scale);
      scale = 1.0;
    }
  if (mask->distance)
    scores = fm_add (g, scores, spread_distance (g, mask->distance, n_query, n_key));
  if (mask->bias)
    scores = fm_add (g, scores, mask->bias);
  if (mask->causal || mask->window > 0 || mask->block > 0 || mask->key_lengths || mask->dilation > 1 || mask->layout
      || mask->segments)
    {
      visible = fm_attention_mask_tensor (g, n_query, n_key, mask);
      scores = fm_where (g, visible, scores,
                         fm_constant (g, FM_F32, FM_SHAPE (1, 1, 1, 1), scale < 0 ? INFINITY : -INFINITY));
    }
  return fm_softmax (g, scores, scale);
}
