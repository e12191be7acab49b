/* cross-entropy.c: -log softmax (logits)[target], fused, and its backward op.
 *
 * Nodes: cross-entropy: in logits [..,C], target i32 [..]; out loss [..], and for the backward op the maximum of each
 * row and the logarithm of its sum of exponentials, kept apart: their sum would lose the digits of the smaller one.
 * cross-entropy-backward: in logits, target, maximum, log-sum, dloss; out dlogits. */
#include "compute/ops/math.h"
#include "compute/ops/rows.h"

static const FmOp forward_row, backward_row;

static gboolean
infer (FmNode *node)
{
  FmShape rows = fm_rows_shape (node->in[0]);

  if (node->in[0]->type != FM_F32 || node->in[1]->type != FM_I32 || !fm_shape_equal (&rows, &node->in[1]->shape))
    {
      g_autofree char *logits = fm_shape_to_string (&node->in[0]->shape);
      g_autofree char *target = fm_shape_to_string (&node->in[1]->shape);

      fm_graph_fail (node->graph, "cross-entropy", "needs f32 logits [..,C] and i32 targets [..], not %s and %s",
                     logits, target);
      return FALSE;
    }
  for (guint k = 0; k < 3; k++)
    {
      node->out[k]->type = FM_F32;
      node->out[k]->shape = rows;
    }
  return TRUE;
}

static gboolean
backward_infer (FmNode *node)
{
  node->out[0]->type = FM_F32;
  node->out[0]->shape = node->in[0]->shape;
  return TRUE;
}

FM_KERNEL (void, loss_rows, (gint64 rows, gint64 n, const float *x, const gint32 *target, float *loss, float *maximum,
                             float *log_sum), (rows, n, x, target, loss, maximum, log_sum))
{
  for (gint64 r = 0; r < rows; r++, x += n)
    {
      float most = -INFINITY, sum = 0.0f;

#pragma omp simd reduction(max : most)
      for (gint64 i = 0; i < n; i++)
        most = x[i] > most ? x[i] : most;
#pragma omp simd reduction(+ : sum)
      for (gint64 i = 0; i < n; i++)
        sum += fm_expf (x[i] - most);
      maximum[r] = most;
      log_sum[r] = fm_logf (sum);
      loss[r] = target[r] >= 0 && target[r] < n ? log_sum[r] - (x[target[r]] - most) : 0.0f;
    }
}

FM_KERNEL (void, backward_rows, (gint64 rows, gint64 n, const float *x, const gint32 *target, const float *maximum,
                                 const float *log_sum, const float *dloss, float *dx),
           (rows, n, x, target, maximum, log_sum, dloss, dx))
{
  for (gint64 r = 0; r < rows; r++, x += n, dx += n)
    {
      float most = maximum[r], less = log_sum[r], d = dloss[r];

      if (target[r] < 0 || target[r] >= n)
        {
          for (gint64 i = 0; i < n; i++)
            dx[i] = 0.0f;
          continue;
        }
#pragma omp simd
      for (gint64 i = 0; i < n; i++)
        dx[i] = d * fm_expf (x[i] - most - less);
      dx[target[r]] -= d;
    }
}

static void
forward_cpu (const FmNode *node, const FmCpuArgs *args)
{
  gint64 rows = fm_rows_count (node->in[0]), n = fm_rows_width (node->in[0]), group = fm_rows_group (n);

#pragma omp parallel for schedule(static) num_threads(args->threads) if (rows * n >= 2 * FM_CPU_BLOCK)
  for (gint64 r = 0; r < rows; r += group)
    loss_rows (MIN (group, rows - r), n, (const float *) args->in[0] + r * n, (const gint32 *) args->in[1] + r,
               (float *) args->out[0] + r, (float *) args->out[1] + r, (float *) args->out[2] + r);
}

static void
backward_cpu (const FmNode *node, const FmCpuArgs *args)
{
  gint64 rows = fm_rows_count (node->in[0]), n = fm_rows_width (node->in[0]), group = fm_rows_group (n);

#pragma omp parallel for schedule(static) num_threads(args->threads) if (rows * n >= 2 * FM_CPU_BLOCK)
  for (gint64 r = 0; r < rows; r += group)
    backward_rows (MIN (group, rows - r), n, (const float *) args->in[0] + r * n, (const gint32 *) args->in[1] + r,
                   (const float *) args->in[2] + r, (const float *) args->in[3] + r, (const float *) args->in[4] + r,
                   (float *) args->out[0] + r * n);
}

typedef struct
{
  guint32 rows, n, offset[5];
} Push;

static Push
make_push (const FmNode *node)
{
  Push push = { (guint32) fm_rows_count (node->in[0]), (guint32) fm_rows_width (node->in[0]) };

  for (guint k = 0; k < node->n_in; k++)
    push.offset[k] = (guint32) node->in[k]->offset;
  return push;
}

static gboolean
forward_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  Push push = make_push (node);

  return fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){
    .shader = "cross-entropy", .bind = { node->in[0], node->in[1], node->out[0], node->out[1], node->out[2] },
    .n_bind = 5, .push = &push, .push_bytes = sizeof push, .local_x = 64, .groups = push.rows }, error);
}

static gboolean
backward_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  Push push = make_push (node);

  return fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){
    .shader = "cross-entropy-backward",
    .bind = { node->in[0], node->in[1], node->in[2], node->in[3], node->in[4], node->out[0] }, .n_bind = 6,
    .push = &push, .push_bytes = sizeof push, .groups = ((guint64) push.rows * push.n + 127) / 128 }, error);
}

static FmTensor *
beside_rows (FmGraph *g, FmTensor *t, const FmTensor *x)
{
  FmShape shape = x->shape;

  shape.dims[shape.rank - 1] = 1;
  return fm_reshape (g, t, shape);
}

static FmTensor *
probabilities (FmGraph *g, FmTensor *x, FmTensor *maximum, FmTensor *log_sum)
{
  return fm_exp (g, fm_sub (g, fm_sub (g, x, beside_rows (g, maximum, x)), beside_rows (g, log_sum, x)));
}

/* Maximum and log-sum are only ever used as their sum, whose slope by the logits is the softmax: it comes back through
 * the second of them, and the first has the same gradient, which must not count twice. */
static void
forward_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmTensor *x = node->in[0];

  if (dy[0])
    dx[0] = fm_op1 (g, &backward_row, NULL, 5, x, node->in[1], node->out[1], node->out[2], dy[0]);
  if (dy[2])
    {
      FmTensor *slope = fm_mul (g, probabilities (g, x, node->out[1], node->out[2]), beside_rows (g, dy[2], x));

      dx[0] = dx[0] ? fm_add (g, dx[0], slope) : slope;
    }
}

/* As in norm.c: the equation of small ops, on copies that no gradient passes. */
static void
backward_gradient (FmGraph *g, FmNode *node, FmTensor * const *dd, FmTensor **dx)
{
  FmTensor *target = node->in[1], *wrt[4], *slopes[4], *p, *valid, *out;
  gint64 classes = fm_rows_width (node->in[0]);
  static const guint place[] = { 0, 2, 3, 4 };

  for (guint k = 0; k < 4; k++)
    wrt[k] = fm_stop_gradient (g, node->in[place[k]]);
  valid = fm_mul (g, fm_less (g, target, fm_constant (g, FM_I32, FM_SHAPE (1), classes)),
                  fm_less (g, fm_constant (g, FM_I32, FM_SHAPE (1), -1), target));
  p = fm_mul (g, probabilities (g, wrt[0], wrt[1], wrt[2]), beside_rows (g, valid, wrt[0]));
  out = fm_mul (g, fm_sub (g, p, fm_one_hot (g, target, classes)), beside_rows (g, wrt[3], wrt[0]));
  fm_grad (g, fm_sum_all (g, fm_mul (g, out, dd[0])), wrt, 4, slopes);
  for (guint k = 0; k < 4; k++)
    dx[place[k]] = slopes[k];
}

static void
cost (const FmNode *node, FmCost *cost_)
{
  gdouble n = fm_shape_count (&node->in[0]->shape);

  cost_->flops = 4 * n;
  cost_->bytes = 4 * (node->n_in == 2 ? n + 4.0 * fm_shape_count (&node->in[1]->shape) : 2 * n);
}

static const FmOp forward_row = {
  .name = "cross-entropy", .n_in_min = 2, .n_in_max = 2, .n_out = 3, .infer = infer, .gradient = forward_gradient,
  .cpu = forward_cpu, .vulkan = forward_vulkan, .cost = cost,
};

static const FmOp backward_row = {
  .name = "cross-entropy-backward", .n_in_min = 5, .n_in_max = 5, .n_out = 1, .infer = backward_infer,
  .gradient = backward_gradient, .cpu = backward_cpu, .vulkan = backward_vulkan, .cost = cost,
};

FM_OPS (cross_entropy, &forward_row, &backward_row);

FmTensor *
fm_cross_entropy (FmGraph *g, FmTensor *logits, FmTensor *target)
{
  FM_REFUSE_NULL (g, "cross entropy", logits, target);
  return fm_op1 (g, &forward_row, NULL, 2, logits, target);
}
