/* matmul.c: batched products with broadcast leading axes. Transposition is a matter of strides. */
#include "config.h"

#include "gemm.h"
#include "movement.h"

FmGemm
fm_matmul_problem (const FmNode *node)
{
  const FmTensor *a = node->in[0], *b = node->in[1], *c = node->out[0];
  guint ra = a->shape.rank, rb = b->shape.rank;
  FmGemm p = { .batch_rank = c->shape.rank - 2,
               .n = a->shape.dims[ra - 2], .k = a->shape.dims[ra - 1], .m = b->shape.dims[rb - 1],
               .a_row = a->stride[ra - 2], .a_column = a->stride[ra - 1],
               .b_row = b->stride[rb - 2], .b_column = b->stride[rb - 1] };

  for (guint i = 0; i < p.batch_rank; i++)
    {
      guint from_end = p.batch_rank - i + 2; /* position counted from the last axis */

      p.batch[i] = c->shape.dims[i];
      p.a_batch[i] = from_end <= ra && a->shape.dims[ra - from_end] > 1 ? a->stride[ra - from_end] : 0;
      p.b_batch[i] = from_end <= rb && b->shape.dims[rb - from_end] > 1 ? b->stride[rb - from_end] : 0;
    }
  return p;
}

static FmShape
leading (const FmTensor *t)
{
  FmShape shape = t->shape;

  shape.rank -= 2;
  return shape;
}

static gboolean
matmul_infer (FmNode *node)
{
  FmTensor *a = node->in[0], *b = node->in[1], *c = node->out[0];
  FmShape batch, la = leading (a), lb = leading (b);

  if (a->shape.dims[a->shape.rank - 1] != b->shape.dims[b->shape.rank - 2] || !fm_shape_broadcast (&la, &lb, &batch))
    {
      g_autofree char *sa = fm_shape_to_string (&a->shape), *sb = fm_shape_to_string (&b->shape);

      fm_graph_fail (node->graph, "matmul", "%s times %s: the last size of the first must be the last but one of the "
                     "second, leading sizes equal or 1", sa, sb);
      return FALSE;
    }
  c->type = FM_F32;
  c->shape = batch;
  c->shape.rank += 2;
  c->shape.dims[batch.rank] = a->shape.dims[a->shape.rank - 2];
  c->shape.dims[batch.rank + 1] = b->shape.dims[b->shape.rank - 1];
  return TRUE;
}

static void
matmul_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmTensor *a = node->in[0], *b = node->in[1];

  dx[0] = fm_sum_to (g, fm_matmul (g, dy[0], b, FM_TRANS_B), a->shape);
  dx[1] = fm_sum_to (g, fm_matmul (g, a, dy[0], FM_TRANS_A), b->shape);
}

static void
matmul_cpu (const FmNode *node, const FmCpuArgs *args)
{
  FmGemm p = fm_matmul_problem (node);

  fm_gemm (&p, args->in[0], args->in[1], NULL, args->out[0], args->workspace, args->threads);
}

static gboolean
matmul_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmGemm p = fm_matmul_problem (node);

  return fm_gemm_vulkan (recorder, &p, node->in[0], node->in[1], NULL, node->out[0], error);
}

static gsize
matmul_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  FmGemm p = fm_matmul_problem (node);

  return backend == FM_BACKEND_CPU ? fm_gemm_workspace (&p) : 0;
}

static void
matmul_cost (const FmNode *node, FmCost *cost)
{
  cost->flops = 2.0 * fm_shape_count (&node->out[0]->shape) * node->in[0]->shape.dims[node->in[0]->shape.rank - 1];
  cost->bytes = 4.0 * (fm_shape_count (&node->in[0]->shape) + fm_shape_count (&node->in[1]->shape)
                       + fm_shape_count (&node->out[0]->shape));
}

const FmOp fm_matmul_op = {
  .name = "matmul", .n_in_min = 2, .n_in_max = 2, .n_out = 1, .flags = FM_OP_STRIDED,
  .infer = matmul_infer, .gradient = matmul_gradient, .cpu = matmul_cpu, .vulkan = matmul_vulkan,
  .workspace = matmul_workspace, .cost = matmul_cost,
};

/* The operand itself where the BLAS can read it, a copy otherwise. */
static FmTensor *
readable (FmGraph *g, FmTensor *x)
{
  guint r = x->shape.rank;
  FmMatrixLayout layout;

  if (fm_matrix_layout (x->shape.dims[r - 2], x->shape.dims[r - 1], x->stride[r - 2], x->stride[r - 1], &layout))
    return x;
  return fm_contiguous (g, x);
}

FmTensor *
fm_matmul (FmGraph *g, FmTensor *a, FmTensor *b, guint flags)
{
  FM_REFUSE_NULL (g, "matmul", a, b);
  FmShape folded, result;

  if (fm_graph_failed (g))
    return g->poison;
  if (a->shape.rank < 2 || b->shape.rank < 2)
    return fm_graph_fail (g, "matmul", "operands have %u and %u axes; both need at least 2", a->shape.rank,
                          b->shape.rank);
  if (a->type != FM_F32 || b->type != FM_F32)
    return fm_graph_fail (g, "matmul", "operands must be f32");
  if (flags & FM_TRANS_A)
    a = fm_transpose (g, a, -2, -1);
  if (flags & FM_TRANS_B)
    b = fm_transpose (g, b, -2, -1);
  a = readable (g, a);
  b = readable (g, b);

  /* Many matrices times one are one tall matrix: one product instead of a batch, and one gradient for the one. */
  folded = FM_SHAPE (fm_shape_count (&a->shape) / a->shape.dims[a->shape.rank - 1], a->shape.dims[a->shape.rank - 1]);
  if (a->shape.rank > 2 && b->shape.rank == 2 && fm_reshape_is_view (a, &folded)
      && folded.dims[1] == b->shape.dims[0])
    {
      result = a->shape;
      result.dims[result.rank - 1] = b->shape.dims[1];
      a = fm_reshape (g, a, folded);
      return fm_reshape (g, fm_op1 (g, &fm_matmul_op, NULL, 2, readable (g, a), b), result);
    }
  return fm_op1 (g, &fm_matmul_op, NULL, 2, a, b);
}

FM_OPS (matmul, &fm_matmul_op);
