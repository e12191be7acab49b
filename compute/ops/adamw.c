/* adamw.c: one step of AdamW on one variable and its moments, or on some rows of them.
 *
 * Node: in parameter, moment1, moment2 (variables, written), gradient, norm [1], rate [1], step i32 [1]; no output; an
 * effect. With rows i32 [n] as eighth input the gradient is [n,W]: row i of it belongs to row rows[i] of the variables, -1
 * to none; no row is named twice. The other rows, weight decay and moments included, stay as they are. attr.f: 0 beta1, 1 beta2, 2 eps, 3 decay, 4 clip, 5 factor on the rate.
 * Source: Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2. */
#include "compute/compute-private.h"

#include <math.h>

enum { ROWS = 7 };

static gboolean
infer (FmNode *node)
{
  gint64 width = fm_shape_count (&node->in[0]->shape) / node->in[0]->shape.dims[0];
  guint same = node->n_in > ROWS ? 3 : 4; /* inputs of the parameter's shape */

  if (same == 3 && (node->in[3]->type != FM_F32 || node->in[ROWS]->type != FM_I32
                    || fm_shape_count (&node->in[3]->shape) != fm_shape_count (&node->in[ROWS]->shape) * width))
    {
      fm_graph_fail (node->graph, "adamw", "needs a gradient of as many rows as are named");
      return FALSE;
    }
  for (guint k = 0; k < same; k++)
    if (node->in[k]->type != FM_F32 || !fm_shape_equal (&node->in[k]->shape, &node->in[0]->shape) ||
        (k < 3 && node->in[k]->kind != FM_TENSOR_VARIABLE))
      {
        fm_graph_fail (node->graph, "adamw", "needs three f32 variables and a gradient of one shape");
        return FALSE;
      }
  return TRUE;
}

typedef struct
{
  float scale;           /* of the gradient: clipping */
  float fresh1, fresh2;  /* 1 - beta: taken in double, since 1 - 0.999f is off by 5e-5 of itself */
  float eps;
  float rate1;           /* rate / (1 - beta1^t) */
  float correct2;        /* 1 / (1 - beta2^t) */
  float keep;            /* 1 - rate decay */
} Step;

FM_KERNEL (void, step_block, (gint64 n, Step s, float *p, float *m, float *v, const float *gradient),
           (n, s, p, m, v, gradient))
{
#pragma omp simd
  for (gint64 i = 0; i < n; i++)
    {
      float g = gradient[i] * s.scale;
      float first = m[i] + s.fresh1 * (g - m[i]);
      float second = v[i] + s.fresh2 * (g * g - v[i]);

      m[i] = first;
      v[i] = second;
      p[i] = p[i] * s.keep - s.rate1 * first / (sqrtf (second * s.correct2) + s.eps);
    }
}

static void
cpu (const FmNode *node, const FmCpuArgs *args)
{
  const gdouble *f = node->attr.f;
  gint64 n = fm_shape_count (&node->in[0]->shape);
  float norm = *(const float *) args->in[4];
  gdouble rate = *(const float *) args->in[5] * f[5];
  gint32 t = *(const gint32 *) args->in[6];
  Step s = { .scale = 1.0f, .fresh1 = 1.0 - f[0], .fresh2 = 1.0 - f[1], .eps = f[2] };

  if (!isfinite (norm))
    return;
  if (f[4] > 0 && norm > f[4])
    s.scale = f[4] / norm;
  s.rate1 = rate / (1.0 - pow (f[0], t));
  s.correct2 = 1.0 / (1.0 - pow (f[1], t));
  s.keep = 1.0 - rate * f[3];
  if (node->n_in > ROWS)
    {
      gint64 width = n / node->in[0]->shape.dims[0], count = fm_shape_count (&node->in[ROWS]->shape);
      const gint32 *rows = args->in[ROWS];

      gint64 cuts = (width + FM_CPU_BLOCK - 1) / FM_CPU_BLOCK;

#pragma omp parallel for schedule(dynamic, MAX (1, FM_CPU_BLOCK / width)) num_threads(args->threads) \
    if (count * width >= 2 * FM_CPU_BLOCK)
      for (gint64 i = 0; i < count * cuts; i++)
        if (rows[i / cuts] >= 0)
          {
            gint64 from = i % cuts * FM_CPU_BLOCK, to = rows[i / cuts] * width + from;

            step_block (MIN (FM_CPU_BLOCK, width - from), s, (float *) args->in[0] + to, (float *) args->in[1] + to,
                        (float *) args->in[2] + to, (const float *) args->in[3] + i / cuts * width + from);
          }
      return;
    }
#pragma omp parallel for schedule(static) num_threads(args->threads) if (n >= 2 * FM_CPU_BLOCK)
  for (gint64 i = 0; i < n; i += FM_CPU_BLOCK)
    step_block (MIN (FM_CPU_BLOCK, n - i), s, (float *) args->in[0] + i, (float *) args->in[1] + i,
                (float *) args->in[2] + i, (const float *) args->in[3] + i);
}

static gboolean
vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  const gdouble *f = node->attr.f;
  gboolean some = node->n_in > ROWS;
  struct
  {
    guint32 count, gradient, norm, rate, step, rows, width;
    float   fresh1, fresh2, eps, decay, clip, factor, log_beta1, log_beta2;
  } push = {
    (guint32) fm_shape_count (&node->in[3]->shape), (guint32) node->in[3]->offset, (guint32) node->in[4]->offset,
    (guint32) node->in[5]->offset, (guint32) node->in[6]->offset, some ? (guint32) node->in[ROWS]->offset : 0,
    (guint32) (fm_shape_count (&node->in[0]->shape) / node->in[0]->shape.dims[0]), 1.0 - f[0], 1.0 - f[1], f[2], f[3], f[4], f[5],
    log (f[0]), log (f[1])
  };
  FmVulkanDispatch dispatch = { .shader = "adamw", .n_bind = 8, .push = &push, .push_bytes = sizeof push,
                                .spec = { some }, .n_spec = 1,
                                .groups = (push.count + 127) / 128 };

  for (guint k = 0; k < 8; k++)
    dispatch.bind[k] = node->in[k < ROWS || some ? k : 6]; /* absent rows are bound and never touched */
  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

static void
cost (const FmNode *node, FmCost *cost_)
{
  gdouble n = fm_shape_count (&node->in[3]->shape);

  cost_->flops = 14 * n;
  cost_->bytes = 28 * n;
}

static const FmOp row = {
  .name = "adamw", .n_in_min = 7, .n_in_max = 8, .n_out = 0, .flags = FM_OP_EFFECT, .infer = infer,
  .no_gradient = "it writes variables and has no result to differentiate", .cpu = cpu, .vulkan = vulkan, .cost = cost,
};

FM_OPS (adamw, &row);

void
fm_adamw (FmGraph *g, FmTensor *param, FmTensor *moment1, FmTensor *moment2, FmTensor *gradient, FmTensor *rows,
          FmTensor *norm, FmTensor *rate, FmTensor *step, const FmOptimizer *options, gdouble rate_factor,
          gdouble decay_factor)
{
  FmTensor *in[] = { param, moment1, moment2, gradient, norm, rate, step, rows };
  FmAttr attr = { .f = { options->beta1, options->beta2, options->eps, options->decay * decay_factor, options->clip,
                         rate_factor } };

  fm_node_new (g, &row, in, rows ? 8 : 7, &attr);
}
