/* log-sum-exp.c: the logarithm of the sum of exponentials along the last axis.
 *
 * Node: in x [..,C]; out [..]. Its gradient is a softmax, so it needs no backward op, and any derivative exists. */
#include "compute/ops/math.h"
#include "compute/ops/rows.h"

static gboolean
infer (FmNode *node)
{
  if (node->in[0]->type != FM_F32)
    {
      fm_graph_fail (node->graph, "log-sum-exp", "needs f32, not %s; cast the operand",
                     fm_type_name (node->in[0]->type));
      return FALSE;
    }
  node->out[0]->type = FM_F32;
  node->out[0]->shape = fm_rows_shape (node->in[0]);
  return TRUE;
}

/* Nothing but -inf leaves -inf: the exponent of -inf - 0 is 0, whose logarithm is that; +inf and NaN stay too. */
FM_KERNEL (void, sum_rows, (gint64 rows, gint64 n, const float *x, float *y), (rows, n, x, y))
{
  for (gint64 r = 0; r < rows; r++, x += n)
    {
      float most = -INFINITY, sum = 0.0f;

#pragma omp simd reduction(max : most)
      for (gint64 i = 0; i < n; i++)
        most = x[i] > most ? x[i] : most;
      most = fabsf (most) == INFINITY ? 0.0f : most;
#pragma omp simd reduction(+ : sum)
      for (gint64 i = 0; i < n; i++)
        sum += fm_expf (x[i] - most);
      y[r] = most + fm_logf (sum);
    }
}

static void
cpu (const FmNode *node, const FmCpuArgs *args)
{
  gint64 rows = fm_rows_count (node->in[0]), n = fm_rows_width (node->in[0]), group = fm_rows_group (n);

#pragma omp parallel for schedule(static) num_threads(args->threads) if (rows * n >= 2 * FM_CPU_BLOCK)
  for (gint64 r = 0; r < rows; r += group)
    sum_rows (MIN (group, rows - r), n, (const float *) args->in[0] + r * n, (float *) args->out[0] + r);
}

static gboolean
vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  struct { guint32 rows, n, offset; } push = { (guint32) fm_rows_count (node->in[0]),
                                               (guint32) fm_rows_width (node->in[0]), (guint32) node->in[0]->offset };

  return fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){
    .shader = "log-sum-exp", .bind = { node->in[0], node->out[0] }, .n_bind = 2, .push = &push,
    .push_bytes = sizeof push, .local_x = 64, .groups = push.rows }, error);
}

static void
gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmShape shape = node->in[0]->shape;

  shape.dims[shape.rank - 1] = 1;
  dx[0] = fm_mul (g, fm_softmax (g, node->in[0], 1.0), fm_reshape (g, dy[0], shape));
}

static void
cost (const FmNode *node, FmCost *cost_)
{
  gdouble n = fm_shape_count (&node->in[0]->shape);

  cost_->flops = 3 * n;
  cost_->bytes = 4 * (n + fm_shape_count (&node->out[0]->shape));
}

static const FmOp row = {
  .name = "log-sum-exp", .n_in_min = 1, .n_in_max = 1, .n_out = 1, .infer = infer, .gradient = gradient, .cpu = cpu,
  .vulkan = vulkan, .cost = cost,
};

FM_OPS (log_sum_exp, &row);

/**
 * fm_log_sum_exp:
 * @x: f32; along other axes than the last a transposed copy is made
 *
 * Error: 2e-7 relative, and 2e-7 for the logarithm.
 * Returns: the shape of @x without @axis
 */
FmTensor *
fm_log_sum_exp (FmGraph *g, FmTensor *x, gint axis)
{
  FM_REFUSE_NULL (g, "log sum exp", x);
  FmShape shape;
  gint axes[FM_MAX_RANK];

  if (fm_graph_failed (g))
    return g->poison;
  axis = fm_axis (x, axis, "log-sum-exp");
  if (axis < 0)
    return g->poison;
  shape = fm_rows_shape (x);
  if (axis + 1 < (gint) x->shape.rank)
    {
      shape.rank = 0;
      for (guint a = 0; a < x->shape.rank; a++)
        if ((gint) a != axis)
          {
            shape.dims[shape.rank] = x->shape.dims[a];
            axes[shape.rank++] = a;
          }
      axes[shape.rank] = axis;
      x = fm_permute (g, x, axes);
    }
  return fm_reshape (g, fm_op1 (g, &row, NULL, 1, x), shape);
}
