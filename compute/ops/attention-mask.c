/* attention-mask.c: the mask of FmAttentionMask as a tensor, f32 [1 or B,1 or H,Nq,Nk]: 1 where the key is visible.
 * Inputs: the tensors of the mask. Attributes: as attention; i[6] Nq, i[7] Nk. */
#include "config.h"

#include "attention.h"

#include <string.h>

static FmAttentionProblem
mask_problem (const FmNode *node, void * const *data)
{
  FmTensor *lengths = node->in[FM_MASK_LENGTHS], *layout = node->in[FM_MASK_LAYOUT];
  FmAttentionProblem p = { .batch = lengths ? lengths->shape.dims[0] : 1,
                           .heads = layout ? layout->shape.dims[0] : 1, .n_query = node->attr.i[6],
                           .n_key = node->attr.i[7] };

  fm_attention_problem_set_mask (&p, &node->attr, node->in, data);
  return p;
}

static gboolean
mask_infer (FmNode *node)
{
  FmAttentionProblem p = mask_problem (node, NULL);

  node->out[0]->type = FM_F32;
  node->out[0]->shape = FM_SHAPE (p.batch, p.heads, p.n_query, p.n_key);
  return TRUE;
}

static void
mask_cpu (const FmNode *node, const FmCpuArgs *args)
{
  FmAttentionProblem p = mask_problem (node, args->in);
  gint64 rows = p.batch * p.heads * p.n_query;
  float *y = args->out[0];

#pragma omp parallel for schedule(static) num_threads(args->threads) if (rows * p.n_key > FM_CPU_BLOCK)
  for (gint64 row = 0; row < rows; row++)
    {
      gint64 q = row % p.n_query, h = row / p.n_query % p.heads, b = row / p.n_query / p.heads, from, to;

      memset (y + row * p.n_key, 0, p.n_key * sizeof *y);
      fm_attention_keys (&p, b, q, q + 1, &from, &to);
      for (gint64 j = from; j < to; j++)
        y[row * p.n_key + j] = !p.added || fm_attention_sees (&p, b, h, q, j) ? 1.0f : 0.0f;
    }
}

static gsize
mask_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  FmAttentionProblem p = mask_problem (node, NULL);

  return backend == FM_BACKEND_CPU ? 0 : fm_attention_table_words (&p, node->in) * sizeof (guint32);
}

static gboolean
mask_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmAttentionProblem p = mask_problem (node, NULL);
  FmTensor *lengths = node->in[FM_MASK_LENGTHS], *y = node->out[0];
  gboolean table = fm_attention_table_words (&p, node->in) > 0;
  struct
  {
    guint32 count, heads, n_query, n_key;
    gint32  causal, window, block, offset;
    guint32 mask_offset, y_offset;
  } push = { fm_shape_count (&y->shape), p.heads, p.n_query, p.n_key, p.causal, p.window, p.block, p.offset,
             lengths && !table ? lengths->offset : 0, y->offset };
  FmVulkanDispatch dispatch = { .shader = "attention-mask", .bind = { y, lengths ? lengths : y }, .n_bind = 2,
                                .push = &push, .push_bytes = sizeof push, .spec = { table ? 2 : lengths != NULL },
                                .n_spec = 1, .groups = ((guint64) push.count + 127) / 128 };

  if (table)
    {
      dispatch.bind[1] = FM_VULKAN_WORKSPACE;
      if (!fm_attention_table_write (recorder, &p, node->in, FM_VULKAN_WORKSPACE, 0, error))
        return FALSE;
    }
  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

static const FmOp attention_mask_op = {
  .name = "attention-mask", .n_in_min = FM_MASK_TENSORS, .n_in_max = FM_MASK_TENSORS, .n_out = 1,
  .infer = mask_infer, .no_gradient = "a mask has no gradient", .cpu = mask_cpu, .vulkan = mask_vulkan,
  .workspace = mask_workspace,
};

FM_OPS (attention_mask, &attention_mask_op);

FmTensor *
fm_attention_mask_tensor (FmGraph *g, gint64 n_query, gint64 n_key, const FmAttentionMask *mask)
{
  FmTensor *in[FM_MASK_TENSORS];
  FmAttr attr = { .i = { [6] = n_query, [7] = n_key } };

  if (fm_graph_failed (g))
    return g->poison;
  if (n_query < 1 || n_key < 1)
    return fm_graph_fail (g, "attention-mask", "of %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT "; wants at least 1 x 1",
                          n_query, n_key);
  if (!fm_attention_mask_read (g, mask, 0, 0, n_query, n_key, in, &attr))
    return g->poison;
  in[FM_MASK_DISTANCE] = in[FM_MASK_BIAS] = NULL; /* terms, not visibility */
  return fm_op1 (g, &attention_mask_op, &attr, FM_MASK_TENSORS, in[0], in[1], in[2], in[3], in[4], in[5]);
}
