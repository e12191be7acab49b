/* affine.c: y = x W^T + b as one op: the bias lies in a block of y before the product is added to it. */
#include "config.h"

#include "gemm.h"

FmGemm
fm_affine_problem (const FmNode *node)
{
  const FmTensor *x = node->in[0], *w = node->in[1];

  return (FmGemm){ .n = x->shape.dims[0], .k = x->shape.dims[1], .m = w->shape.dims[0],
                   .a_row = x->stride[0], .a_column = x->stride[1], .b_row = w->stride[1], .b_column = w->stride[0] };
}

static gboolean
affine_infer (FmNode *node)
{
  node->out[0]->type = FM_F32;
  node->out[0]->shape = FM_SHAPE (node->in[0]->shape.dims[0], node->in[1]->shape.dims[0]);
  return TRUE;
}

static void
affine_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  dx[0] = fm_matmul (g, dy[0], node->in[1], 0);
  dx[1] = fm_matmul (g, dy[0], node->in[0], FM_TRANS_A);
  dx[2] = fm_sum (g, dy[0], 0);
}

static void
affine_cpu (const FmNode *node, const FmCpuArgs *args)
{
  FmGemm p = fm_affine_problem (node);

  fm_gemm (&p, args->in[0], args->in[1], args->in[2], args->out[0], args->workspace, args->threads);
}

static gboolean
affine_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmGemm p = fm_affine_problem (node);

  return fm_gemm_vulkan (recorder, &p, node->in[0], node->in[1], node->in[2], node->out[0], error);
}

static gsize
affine_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  FmGemm p = fm_affine_problem (node);

  return backend == FM_BACKEND_CPU ? fm_gemm_workspace (&p) : 0;
}

static void
affine_cost (const FmNode *node, FmCost *cost)
{
  gdouble n = node->in[0]->shape.dims[0], k = node->in[0]->shape.dims[1], m = node->in[1]->shape.dims[0];

  cost->flops = 2 * n * m * k + n * m;
  cost->bytes = 4 * (n * k + m * k + m + n * m);
}

const FmOp fm_affine_op = {
  .name = "affine", .n_in_min = 3, .n_in_max = 3, .n_out = 1, .flags = FM_OP_STRIDED,
  .infer = affine_infer, .gradient = affine_gradient, .cpu = affine_cpu, .vulkan = affine_vulkan,
  .workspace = affine_workspace, .cost = affine_cost,
};

FmTensor *
fm_affine (FmGraph *g, FmTensor *x, FmTensor *weight, FmTensor *bias)
{
  FM_REFUSE_NULL (g, "affine", x, weight);
  FmMatrixLayout layout;
  FmShape shape;

  if (fm_graph_failed (g))
    return g->poison;
  if (x->shape.rank < 1 || weight->shape.rank != 2 || weight->shape.dims[1] != x->shape.dims[x->shape.rank - 1]
      || (bias && (bias->shape.rank != 1 || bias->shape.dims[0] != weight->shape.dims[0])))
    {
      g_autofree char *sx = fm_shape_to_string (&x->shape), *sw = fm_shape_to_string (&weight->shape);
      g_autofree char *sb = bias ? fm_shape_to_string (&bias->shape) : g_strdup ("none");

      return fm_graph_fail (g, "affine", "x %s, weight %s, bias %s; wants [..,n], [m,n], [m] or none", sx, sw, sb);
    }
  if (x->type != FM_F32 || weight->type != FM_F32 || (bias && bias->type != FM_F32))
    return fm_graph_fail (g, "affine", "x, weight and bias must be f32");
  shape = x->shape;
  shape.dims[shape.rank - 1] = weight->shape.dims[0];
  if (!bias)
    return fm_reshape (g, fm_matmul (g, fm_reshape (g, x, FM_SHAPE (-1, weight->shape.dims[1])), weight, FM_TRANS_B),
                       shape);
  x = fm_reshape (g, x, FM_SHAPE (-1, weight->shape.dims[1]));
  if (!fm_matrix_layout (x->shape.dims[0], x->shape.dims[1], x->stride[0], x->stride[1], &layout))
    x = fm_contiguous (g, x);
  if (!fm_matrix_layout (weight->shape.dims[0], weight->shape.dims[1], weight->stride[0], weight->stride[1], &layout))
    weight = fm_contiguous (g, weight);
  return fm_reshape (g, fm_op1 (g, &fm_affine_op, NULL, 3, x, weight, fm_contiguous (g, bias)), shape);
}

FM_OPS (affine, &fm_affine_op);
