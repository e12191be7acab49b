/* softmax.c: softmax over the last axis, and its backward op.
 *
 * Nodes: softmax: in x, out y, attr.f[0] the scale; softmax-backward: in y, dy, out dx = scale y (dy - sum (dy y)). */
#include "compute/ops/math.h"
#include "compute/ops/rows.h"

static const FmOp forward_row, backward_row;

static gboolean
infer (FmNode *node)
{
  if (node->in[0]->type != FM_F32)
    {
      fm_graph_fail (node->graph, node->op->name, "needs f32, not i32; cast the operand");
      return FALSE;
    }
  node->out[0]->type = FM_F32;
  node->out[0]->shape = node->in[0]->shape;
  return TRUE;
}

/* Three passes over a row that stays in cache: the maximum, the exponentials with their sum, the division. */
FM_KERNEL (void, softmax_rows, (gint64 rows, gint64 n, float scale, const float *x, float *y), (rows, n, scale, x, y))
{
  for (gint64 r = 0; r < rows; r++, x += n, y += n)
    {
      float most = -INFINITY, sum = 0.0f;

#pragma omp simd reduction(max : most)
      for (gint64 i = 0; i < n; i++)
        most = x[i] * scale > most ? x[i] * scale : most;
      if (most == -INFINITY) /* a query that sees nothing, or NaN, which no comparison finds and which must stay seen */
        {
          float nothing = 0.0f;

          for (gint64 i = 0; i < n; i++)
            nothing += x[i] * scale == -INFINITY ? 0.0f : NAN;
          for (gint64 i = 0; i < n; i++)
            y[i] = nothing;
          continue;
        }
#pragma omp simd reduction(+ : sum)
      for (gint64 i = 0; i < n; i++)
        {
          float e = fm_expf (x[i] * scale - most);

          y[i] = e;
          sum += e;
        }
      sum = 1.0f / sum;
#pragma omp simd
      for (gint64 i = 0; i < n; i++)
        y[i] *= sum;
    }
}

FM_KERNEL (void, backward_rows, (gint64 rows, gint64 n, float scale, const float *y, const float *dy, float *dx),
           (rows, n, scale, y, dy, dx))
{
  for (gint64 r = 0; r < rows; r++, y += n, dy += n, dx += n)
    {
      float dot = 0.0f;

#pragma omp simd reduction(+ : dot)
      for (gint64 i = 0; i < n; i++)
        dot += y[i] * dy[i];
#pragma omp simd
      for (gint64 i = 0; i < n; i++)
        dx[i] = scale * y[i] * (dy[i] - dot);
    }
}

static void
forward_cpu (const FmNode *node, const FmCpuArgs *args)
{
  gint64 rows = fm_rows_count (node->in[0]), n = fm_rows_width (node->in[0]), group = fm_rows_group (n);

#pragma omp parallel for schedule(static) num_threads(args->threads) if (rows * n >= 2 * FM_CPU_BLOCK)
  for (gint64 r = 0; r < rows; r += group)
    softmax_rows (MIN (group, rows - r), n, node->attr.f[0], (const float *) args->in[0] + r * n,
                  (float *) args->out[0] + r * n);
}

static void
backward_cpu (const FmNode *node, const FmCpuArgs *args)
{
  gint64 rows = fm_rows_count (node->in[0]), n = fm_rows_width (node->in[0]), group = fm_rows_group (n);

#pragma omp parallel for schedule(static) num_threads(args->threads) if (rows * n >= 2 * FM_CPU_BLOCK)
  for (gint64 r = 0; r < rows; r += group)
    backward_rows (MIN (group, rows - r), n, node->attr.f[0], (const float *) args->in[0] + r * n,
                   (const float *) args->in[1] + r * n, (float *) args->out[0] + r * n);
}

typedef struct
{
  guint32 rows, n, offset[2];
  float   scale;
} Push;

static gboolean
forward_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  Push push = { (guint32) fm_rows_count (node->in[0]), (guint32) fm_rows_width (node->in[0]),
                { (guint32) node->in[0]->offset }, node->attr.f[0] };

  return fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){
    .shader = "softmax", .bind = { node->in[0], node->out[0] }, .n_bind = 2, .push = &push, .push_bytes = sizeof push,
    .local_x = 64, .groups = push.rows }, error);
}

static gboolean
backward_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  Push push = { (guint32) fm_rows_count (node->in[0]), (guint32) fm_rows_width (node->in[0]),
                { (guint32) node->in[0]->offset, (guint32) node->in[1]->offset }, node->attr.f[0] };

  return fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){
    .shader = "softmax-backward", .bind = { node->in[0], node->in[1], node->out[0] }, .n_bind = 3, .push = &push,
    .push_bytes = sizeof push, .local_x = 64, .groups = push.rows }, error);
}

static void
forward_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  dx[0] = fm_op1 (g, &backward_row, &node->attr, 2, node->out[0], dy[0]);
}

/* dx = s y (dy - r), r = sum (dy y), for the incoming d: by dy it is the same op; by y it is
 * s (d (dy - r) - dy sum (d y)). */
static void
backward_gradient (FmGraph *g, FmNode *node, FmTensor * const *dd, FmTensor **dx)
{
  FmTensor *y = node->in[0], *dy = node->in[1], *d = dd[0], *r, *q;

  r = fm_sum_keep (g, fm_mul (g, dy, y), -1);
  q = fm_sum_keep (g, fm_mul (g, d, y), -1);
  dx[0] = fm_sub (g, fm_mul (g, d, fm_sub (g, dy, r)), fm_mul (g, dy, q));
  dx[0] = fm_mul_scalar (g, dx[0], node->attr.f[0]);
  dx[1] = fm_op1 (g, &backward_row, &node->attr, 2, y, d);
}

static void
cost (const FmNode *node, FmCost *cost_)
{
  gdouble n = fm_shape_count (&node->out[0]->shape);

  cost_->flops = 5 * n;
  cost_->bytes = 4 * n * (node->n_in + 1);
}

static const FmOp forward_row = {
  .name = "softmax", .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = FM_OP_INPLACE, .infer = infer,
  .gradient = forward_gradient, .cpu = forward_cpu, .vulkan = forward_vulkan, .cost = cost,
};

static const FmOp backward_row = {
  .name = "softmax-backward", .n_in_min = 2, .n_in_max = 2, .n_out = 1, .flags = FM_OP_INPLACE, .infer = infer,
  .gradient = backward_gradient, .cpu = backward_cpu, .vulkan = backward_vulkan, .cost = cost,
};

FM_OPS (softmax, &forward_row, &backward_row);

/**
 * fm_softmax:
 * @x: (transfer none): scores, f32 `[..,N]`
 * @scale: factor applied before the exponential; no unit
 *
 * Source: Milakov and Gimelshein 2018, arXiv:1805.02867 (the safe softmax of its algorithm 2).
 * Error: 1e-6 relative plus 1e-7 for each unit of |x scale|, since that product is rounded before the exponential.
 */
FmTensor *
fm_softmax (FmGraph *g, FmTensor *x, gdouble scale)
{
  FM_REFUSE_NULL (g, "softmax", x);
  return fm_op1 (g, &forward_row, &(FmAttr){ .f = { scale } }, 1, x);
}
