/* attention-mask.c: the mask of FmAttentionMask as a tensor, f32 [1 or B,1,Nq,Nk]: 1 where the key is visible.
 * Attributes: i[0] causal, i[1] window, i[2] block, i[3] Nq, i[4] Nk. */
#include "config.h"

#include "attention.h"

#include <string.h>

static FmAttentionProblem
mask_problem (const FmNode *node, const gint32 *lengths)
{
  FmAttentionProblem p = { .batch = node->in[0] ? node->in[0]->shape.dims[0] : 1, .n_query = node->attr.i[3],
                           .n_key = node->attr.i[4], .causal = node->attr.i[0] != 0, .window = node->attr.i[1],
                           .block = node->attr.i[2], .lengths = lengths };

  p.offset = p.causal ? p.n_key - p.n_query : 0;
  return p;
}

static gboolean
mask_infer (FmNode *node)
{
  FmAttentionProblem p = mask_problem (node, NULL);

  node->out[0]->type = FM_F32;
  node->out[0]->shape = FM_SHAPE (p.batch, 1, p.n_query, p.n_key);
  return TRUE;
}

static void
mask_cpu (const FmNode *node, const FmCpuArgs *args)
{
  FmAttentionProblem p = mask_problem (node, args->in[0]);
  float *y = args->out[0];

#pragma omp parallel for schedule(static) num_threads(args->threads) if (p.batch * p.n_query * p.n_key > FM_CPU_BLOCK)
  for (gint64 row = 0; row < p.batch * p.n_query; row++)
    {
      gint64 q = row % p.n_query, from, to;

      memset (y + row * p.n_key, 0, p.n_key * sizeof *y);
      fm_attention_keys (&p, row / p.n_query, q, q + 1, &from, &to);
      for (gint64 j = from; j < to; j++)
        y[row * p.n_key + j] = 1.0f;
    }
}

static gboolean
mask_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmAttentionProblem p = mask_problem (node, NULL);
  FmTensor *lengths = node->in[0], *y = node->out[0];
  struct
  {
    guint32 count, n_query, n_key;
    gint32  causal, window, block, offset;
    guint32 lengths_offset, y_offset;
  } push = { fm_shape_count (&y->shape), p.n_query, p.n_key, p.causal, p.window, p.block, p.offset,
             lengths ? lengths->offset : 0, y->offset };
  FmVulkanDispatch dispatch = { .shader = "attention-mask", .bind = { y, lengths ? lengths : y }, .n_bind = 2,
                                .push = &push, .push_bytes = sizeof push, .spec = { lengths != NULL }, .n_spec = 1,
                                .groups = ((guint64) push.count + 127) / 128 };

  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

static const FmOp attention_mask_op = {
  .name = "attention-mask", .n_in_min = 1, .n_in_max = 1, .n_out = 1,
  .infer = mask_infer, .no_gradient = "a mask has no gradient", .cpu = mask_cpu, .vulkan = mask_vulkan,
};

FmTensor *
fm_attention_mask_tensor (FmGraph *g, gint64 n_query, gint64 n_key, const FmAttentionMask *mask)
{
  static const FmAttentionMask all = { 0 };
  FmAttr attr = { 0 };

  if (fm_graph_failed (g))
    return g->poison;
  mask = mask ? mask : &all;
  if (n_query < 1 || n_key < 1 || !fm_attention_mask_is_sound (g, mask, 0))
    return fm_graph_fail (g, "attention-mask", "of %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT "; wants at least 1 x 1",
                          n_query, n_key);
  attr.i[0] = mask->causal;
  attr.i[1] = mask->window;
  attr.i[2] = mask->block;
  attr.i[3] = n_query;
  attr.i[4] = n_key;
  return fm_op1 (g, &attention_mask_op, &attr, 1, mask->key_lengths);
}

FM_OPS (attention_mask, &attention_mask_op);
