/* norm.c: layer norm and RMS norm over the last axis, with optional gain and bias, and their backward op.
 *
 * Nodes: layer-norm: in x, gain, bias; out y, the reciprocal deviation of each row, its mean; attr.f[0] = eps.
 * rms-norm: the same without mean and bias. The backward ops: in x, gain, dy, deviation (and mean); out dx, dgain (and
 * dbias), zeros where there is no gain (bias). attr.i[0]: is the mean taken off; i[1]: is there a bias. */
#include "compute/ops/math.h"
#include "compute/ops/reduce.h"
#include "compute/ops/rows.h"

static const FmOp layer_row, rms_row, layer_backward_row, rms_backward_row;

static gboolean
infer (FmNode *node)
{
  const FmTensor *x = node->in[0];
  FmShape width = FM_SHAPE (fm_rows_width (x));

  if (x->type != FM_F32)
    {
      fm_graph_fail (node->graph, node->op->name, "needs f32, not i32; cast the operand");
      return FALSE;
    }
  for (guint k = 1; k < node->n_in; k++)
    if (node->in[k] && !fm_shape_equal (&node->in[k]->shape, &width))
      {
        g_autofree char *got = fm_shape_to_string (&node->in[k]->shape), *want = fm_shape_to_string (&width);

        fm_graph_fail (node->graph, node->op->name, "needs a %s of shape %s, not %s", k == 1 ? "gain" : "bias", want,
                       got);
        return FALSE;
      }
  node->out[0]->type = FM_F32;
  node->out[0]->shape = x->shape;
  for (guint k = 1; k < node->n_out; k++)
    {
      node->out[k]->type = FM_F32;
      node->out[k]->shape = fm_rows_shape (x);
    }
  return TRUE;
}

static gboolean
backward_infer (FmNode *node)
{
  node->out[0]->type = FM_F32;
  node->out[0]->shape = node->in[0]->shape;
  for (guint k = 1; k < node->n_out; k++)
    {
      node->out[k]->type = FM_F32;
      node->out[k]->shape = FM_SHAPE (fm_rows_width (node->in[0]));
    }
  return TRUE;
}

/* --- CPU ----------------------------------------------------------------------------------------------------------*/

/* The variance is taken about the mean in a second pass: the difference of mean squares loses everything at large
 * offsets, and the row is in cache anyway. */
FM_KERNEL (void, norm_rows, (gboolean center, gint64 rows, gint64 n, float eps, const float *x, const float *gain,
                             const float *bias, float *y, float *deviation, float *mean_out),
           (center, rows, n, eps, x, gain, bias, y, deviation, mean_out))
{
  float share = 1.0f / n;

  for (gint64 r = 0; r < rows; r++, x += n, y += n)
    {
      float mean = 0.0f, square = 0.0f, d;

      if (center)
        {
#pragma omp simd reduction(+ : mean)
          for (gint64 i = 0; i < n; i++)
            mean += x[i];
          mean *= share;
          mean_out[r] = mean;
        }
#pragma omp simd reduction(+ : square)
      for (gint64 i = 0; i < n; i++)
        square += (x[i] - mean) * (x[i] - mean);
      d = 1.0f / sqrtf (square * share + eps);
      deviation[r] = d;
      if (gain && bias)
        {
#pragma omp simd
          for (gint64 i = 0; i < n; i++)
            y[i] = (x[i] - mean) * d * gain[i] + bias[i];
        }
      else if (gain)
        {
#pragma omp simd
          for (gint64 i = 0; i < n; i++)
            y[i] = (x[i] - mean) * d * gain[i];
        }
      else
        for (gint64 i = 0; i < n; i++)
          y[i] = (x[i] - mean) * d + (bias ? bias[i] : 0.0f);
    }
}

/* With h = (x - mean) d and u = dy gain: dx = d (u - mean (u) - h mean (u h)); dgain sums dy h, dbias sums dy. */
FM_KERNEL (void, backward_rows, (gboolean center, gint64 rows, gint64 n, const float *x, const float *gain,
                                 const float *dy, const float *deviation, const float *mean_in, float *dx,
                                 float *dgain, float *dbias),
           (center, rows, n, x, gain, dy, deviation, mean_in, dx, dgain, dbias))
{
  float share = 1.0f / n;

  for (gint64 r = 0; r < rows; r++, x += n, dy += n, dx += n)
    {
      float mean = center ? mean_in[r] : 0.0f, d = deviation[r], sum = 0.0f, dot = 0.0f;

      if (gain)
        {
#pragma omp simd reduction(+ : sum, dot)
          for (gint64 i = 0; i < n; i++)
            {
              float u = dy[i] * gain[i];

              sum += u;
              dot += u * (x[i] - mean);
            }
        }
      else
        {
#pragma omp simd reduction(+ : sum, dot)
          for (gint64 i = 0; i < n; i++)
            {
              sum += dy[i];
              dot += dy[i] * (x[i] - mean);
            }
        }
      sum = center ? sum * share : 0.0f;
      dot *= d * d * share;
      if (gain && dbias)
        {
#pragma omp simd
          for (gint64 i = 0; i < n; i++)
            {
              float v = dy[i], c = x[i] - mean;

              dgain[i] += v * c * d;
              dbias[i] += v;
              dx[i] = d * (v * gain[i] - sum - c * dot);
            }
        }
      else
        for (gint64 i = 0; i < n; i++)
          {
            float v = dy[i], c = x[i] - mean;

            if (gain)
              dgain[i] += v * c * d;
            if (dbias)
              dbias[i] += v;
            dx[i] = d * ((gain ? v * gain[i] : v) - sum - c * dot);
          }
    }
}

static void
cpu (const FmNode *node, const FmCpuArgs *args)
{
  gint64 rows = fm_rows_count (node->in[0]), n = fm_rows_width (node->in[0]), group = fm_rows_group (n);
  gboolean center = node->attr.i[0];

#pragma omp parallel for schedule(static) num_threads(args->threads) if (rows * n >= 2 * FM_CPU_BLOCK)
  for (gint64 r = 0; r < rows; r += group)
    norm_rows (center, MIN (group, rows - r), n, node->attr.f[0], (const float *) args->in[0] + r * n, args->in[1],
               center ? args->in[2] : NULL, (float *) args->out[0] + r * n, (float *) args->out[1] + r,
               center ? (float *) args->out[2] + r : NULL);
}

/* Rows of one partial sum for dgain and dbias; long enough that adding the partials up costs little. */
static gint64
backward_group (gint64 n)
{
  return MAX (16, FM_CPU_BLOCK / n);
}

static void
backward_cpu (const FmNode *node, const FmCpuArgs *args)
{
  gint64 rows = fm_rows_count (node->in[0]), n = fm_rows_width (node->in[0]), group = backward_group (n);
  gint64 groups = (rows + group - 1) / group;
  gboolean center = node->attr.i[0], bias = node->attr.i[1];
  float *parts = args->workspace; /* [groups, 2, n] */
  float *dgain = args->out[1], *dbias = center ? args->out[2] : NULL;

#pragma omp parallel for schedule(static) num_threads(args->threads) if (rows * n >= 2 * FM_CPU_BLOCK)
  for (gint64 i = 0; i < groups; i++)
    {
      gint64 r = i * group;
      float *part = parts + i * 2 * n;

      memset (part, 0, 2 * n * sizeof *part);
      backward_rows (center, MIN (group, rows - r), n, (const float *) args->in[0] + r * n, args->in[1],
                     (const float *) args->in[2] + r * n, (const float *) args->in[3] + r,
                     center ? (const float *) args->in[4] + r : NULL, (float *) args->out[0] + r * n, part,
                     bias ? part + n : NULL);
    }
  for (gint64 j = 0; j < n; j++)
    dgain[j] = 0.0f;
  for (gint64 j = 0; j < n && dbias; j++)
    dbias[j] = 0.0f;
  for (gint64 i = 0; i < groups; i++)
    {
      const float *part = parts + i * 2 * n;

      for (gint64 j = 0; j < n; j++)
        dgain[j] += part[j];
      for (gint64 j = 0; j < n && bias && dbias; j++)
        dbias[j] += part[n + j];
    }
}

/* Rows that one workgroup of norm-parameters walks down; 64 or more workgroups a column block where there are rows. */
static gint64
vulkan_group (gint64 rows)
{
  return MAX (64, rows / 64);
}

static gsize
backward_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  gint64 rows = fm_rows_count (node->in[0]), n = fm_rows_width (node->in[0]);
  gint64 group = backend == FM_BACKEND_CPU ? backward_group (n) : vulkan_group (rows);

  return (rows + group - 1) / group * 2 * n * sizeof (float);
}

static void
cost (const FmNode *node, FmCost *cost_)
{
  gdouble n = fm_shape_count (&node->in[0]->shape);

  cost_->flops = 7 * n;
  cost_->bytes = 8 * n;
}

static void
backward_cost (const FmNode *node, FmCost *cost_)
{
  gdouble n = fm_shape_count (&node->in[0]->shape);

  cost_->flops = 14 * n;
  cost_->bytes = 12 * n;
}

/* --- Vulkan -------------------------------------------------------------------------------------------------------*/

typedef struct
{
  guint32 rows, n, offset[5];
  float   eps;
  guint32 blocks, group, groups;
} Push;

static Push
make_push (const FmNode *node)
{
  Push push = { (guint32) fm_rows_count (node->in[0]), (guint32) fm_rows_width (node->in[0]),
                .eps = node->attr.f[0] };

  for (guint k = 0; k < node->n_in; k++)
    push.offset[k] = node->in[k] ? (guint32) node->in[k]->offset : 0;
  return push;
}

/* An absent operand is bound to x, which its variant of the shader does not read. */
static gboolean
vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  Push push = make_push (node);
  FmTensor *x = node->in[0], *gain = node->in[1], *bias = node->attr.i[0] ? node->in[2] : NULL;
  FmTensor *mean = node->attr.i[0] ? node->out[2] : node->out[1];

  return fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){
    .shader = "norm", .bind = { x, gain ? gain : x, bias ? bias : x, node->out[0], node->out[1], mean }, .n_bind = 6,
    .push = &push, .push_bytes = sizeof push, .spec = { node->attr.i[0], gain != NULL, bias != NULL }, .n_spec = 3,
    .local_x = 64, .groups = push.rows }, error);
}

static gboolean
backward_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  Push push = make_push (node);
  gboolean center = node->attr.i[0];
  FmTensor *x = node->in[0], *gain = node->in[1], *dy = node->in[2], *deviation = node->in[3];
  FmTensor *mean = center ? node->in[4] : deviation;

  if (!fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){
        .shader = "norm-backward", .bind = { x, gain ? gain : x, dy, deviation, mean, node->out[0] }, .n_bind = 6,
        .push = &push, .push_bytes = sizeof push, .spec = { center, gain != NULL }, .n_spec = 2, .local_x = 64,
        .groups = push.rows }, error))
    return FALSE;
  /* Partial sums [2, groups, n] in the workspace, then their sums. */
  push.blocks = (push.n + 15) / 16;
  push.group = (guint32) vulkan_group (push.rows);
  push.groups = (push.rows + push.group - 1) / push.group;
  if (!fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){
        .shader = "norm-parameters", .bind = { x, dy, deviation, mean, FM_VULKAN_WORKSPACE }, .n_bind = 5,
        .push = &push, .push_bytes = sizeof push, .spec = { center, gain != NULL, node->attr.i[1] }, .n_spec = 3,
        .local_x = 128, .groups = (guint64) push.blocks * push.groups }, error))
    return FALSE;
  if (!fm_reduce_dispatch (recorder, FM_VULKAN_WORKSPACE, 0, node->out[1], push.groups, push.n, error))
    return FALSE;
  return !center || fm_reduce_dispatch (recorder, FM_VULKAN_WORKSPACE, (guint64) push.groups * push.n, node->out[2],
                                        push.groups, push.n, error);
}

/* --- Gradients, rows, builders ------------------------------------------------------------------------------------*/

/* Sum of the last axis, kept with size 1, divided by its length. */
static FmTensor *
mean_keep (FmGraph *g, FmTensor *x)
{
  return fm_mul_scalar (g, fm_sum_keep (g, x, -1), 1.0 / fm_rows_width (x));
}

/* @t [..] as [..,1], to go with rows. */
static FmTensor *
beside_rows (FmGraph *g, FmTensor *t, const FmTensor *x)
{
  FmShape shape = x->shape;

  shape.dims[shape.rank - 1] = 1;
  return fm_reshape (g, t, shape);
}

/* The saved mean and deviation have gradients of their own when the backward op was differentiated: by x, the mean has
 * 1/n and the deviation d has -d^3 (x - mean) / n. */
static void
gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmTensor *x = node->in[0], *mean = node->attr.i[0] ? node->out[2] : NULL;
  FmTensor *in[] = { x, node->in[1], dy[0], node->out[1], mean };
  FmAttr attr = node->attr;

  attr.i[1] = node->attr.i[0] && node->in[2] != NULL;
  if (dy[0])
    {
      FmNode *back = fm_node_new (g, mean ? &layer_backward_row : &rms_backward_row, in, mean ? 5 : 4, &attr);

      if (back == NULL)
        return;
      dx[0] = back->out[0];
      if (node->in[1])
        dx[1] = back->out[1];
      if (attr.i[1])
        dx[2] = back->out[2];
    }
  if (dy[1])
    {
      FmTensor *d = beside_rows (g, node->out[1], x), *c = mean ? fm_sub (g, x, beside_rows (g, mean, x)) : x;
      FmTensor *slope = fm_mul (g, fm_mul (g, d, fm_square (g, d)), beside_rows (g, dy[1], x));

      slope = fm_mul (g, c, fm_mul_scalar (g, slope, -1.0 / fm_rows_width (x)));
      dx[0] = dx[0] ? fm_add (g, dx[0], slope) : slope;
    }
  if (mean && dy[2])
    {
      FmTensor *slope = fm_expand (g, fm_mul_scalar (g, beside_rows (g, dy[2], x), 1.0 / fm_rows_width (x)), x->shape);

      dx[0] = dx[0] ? fm_add (g, dx[0], slope) : slope;
    }
}

/* Second derivatives are rare, so they need no kernel: the backward op's equation is built of small ops on copies of
 * its operands that no gradient passes, and differentiated. */
static void
backward_gradient (FmGraph *g, FmNode *node, FmTensor * const *dd, FmTensor **dx)
{
  gboolean center = node->attr.i[0];
  FmTensor *in[5] = { NULL }, *wrt[5], *slopes[5], *out[3], *loss = NULL, *h, *u, *t;
  guint place[5], n = 0;

  for (guint k = 0; k < node->n_in; k++)
    if (node->in[k])
      {
        place[n] = k;
        wrt[n++] = in[k] = fm_stop_gradient (g, node->in[k]);
      }
  h = center ? fm_sub (g, in[0], beside_rows (g, in[4], in[0])) : in[0];
  h = fm_mul (g, h, beside_rows (g, in[3], in[0]));
  u = in[1] ? fm_mul (g, in[2], in[1]) : in[2];
  t = fm_sub (g, u, fm_mul (g, h, mean_keep (g, fm_mul (g, u, h))));
  if (center)
    t = fm_sub (g, t, mean_keep (g, u));
  out[0] = fm_mul (g, t, beside_rows (g, in[3], in[0]));
  out[1] = fm_sum_to (g, fm_mul (g, in[2], h), node->out[1]->shape);
  out[2] = center ? fm_sum_to (g, in[2], node->out[2]->shape) : NULL;
  for (guint k = 0; k < node->n_out; k++)
    if (dd[k])
      {
        t = fm_sum_all (g, fm_mul (g, out[k], dd[k]));
        loss = loss ? fm_add (g, loss, t) : t;
      }
  fm_grad (g, loss, wrt, n, slopes);
  for (guint k = 0; k < n; k++)
    dx[place[k]] = slopes[k];
}

static const FmOp layer_row = {
  .name = "layer-norm", .n_in_min = 3, .n_in_max = 3, .n_out = 3, .infer = infer, .gradient = gradient, .cpu = cpu,
  .vulkan = vulkan, .cost = cost,
};
static const FmOp rms_row = {
  .name = "rms-norm", .n_in_min = 2, .n_in_max = 2, .n_out = 2, .infer = infer, .gradient = gradient, .cpu = cpu,
  .vulkan = vulkan, .cost = cost,
};
static const FmOp layer_backward_row = {
  .name = "layer-norm-backward", .n_in_min = 5, .n_in_max = 5, .n_out = 3, .infer = backward_infer,
  .gradient = backward_gradient, .cpu = backward_cpu, .vulkan = backward_vulkan, .workspace = backward_workspace,
  .cost = backward_cost,
};
static const FmOp rms_backward_row = {
  .name = "rms-norm-backward", .n_in_min = 4, .n_in_max = 4, .n_out = 2, .infer = backward_infer,
  .gradient = backward_gradient, .cpu = backward_cpu, .vulkan = backward_vulkan, .workspace = backward_workspace,
  .cost = backward_cost,
};

FM_OPS (norm, &layer_row, &rms_row, &layer_backward_row, &rms_backward_row);

/**
 * fm_layer_norm:
 * @x: f32 `[..,D]`
 * @gain: (nullable): f32 `[D]`
 * @bias: (nullable): f32 `[D]`
 *
 * (x - mean) / sqrt (variance + eps) gain + bias. Source: Ba, Kiros, Hinton 2016, arXiv:1607.06450, equation 4.
 */
FmTensor *
fm_layer_norm (FmGraph *g, FmTensor *x, FmTensor *gain, FmTensor *bias, gdouble eps)
{
  FM_REFUSE_NULL (g, "layer norm", x);
  return fm_op1 (g, &layer_row, &(FmAttr){ .i = { 1 }, .f = { eps } }, 3, x, gain, bias);
}

/**
 * fm_rms_norm:
 *
 * x / sqrt (mean (x^2) + eps) gain. Source: Zhang and Sennrich 2019, arXiv:1910.07467, equation 4.
 */
FmTensor *
fm_rms_norm (FmGraph *g, FmTensor *x, FmTensor *gain, gdouble eps)
{
  FM_REFUSE_NULL (g, "rms norm", x);
  return fm_op1 (g, &rms_row, &(FmAttr){ .i = { 0 }, .f = { eps } }, 2, x, gain);
}
