/* sgd.c: one step of stochastic gradient descent on one variable or some of its rows, plain, with momentum, or Nesterov's.
 *
 * Node: in parameter, moment (variables, written; the moment may be absent), gradient, norm [1], rate [1], rows (may be
 * absent; as in adamw.c); no output; an effect. attr.f: 0 momentum, 1 decay, 2 clip, 3 factor on the rate; attr.i: 0 Nesterov.
 *
 *   m = momentum m + g;  p = p (1 - rate decay) - rate (Nesterov ? g + momentum m : m)
 *
 * Source: Sutskever, Martens, Dahl, Hinton 2013, "On the importance of initialization and momentum in deep learning",
 * ICML, section 2, with the rate outside of the moment, so that a schedule does not rescale the past. */
#include "compute/compute-private.h"

#include <math.h>

enum { PARAM, MOMENT, GRADIENT, NORM, RATE, ROWS, N_IN };

static gboolean
infer (FmNode *node)
{
  gint64 width = fm_shape_count (&node->in[0]->shape) / node->in[0]->shape.dims[0];

  if (node->in[ROWS] && (node->in[GRADIENT]->type != FM_F32 || node->in[ROWS]->type != FM_I32
                         || fm_shape_count (&node->in[GRADIENT]->shape)
                            != fm_shape_count (&node->in[ROWS]->shape) * width))
    {
      fm_graph_fail (node->graph, "sgd", "needs a gradient of as many rows as are named");
      return FALSE;
    }
  for (guint k = PARAM; k <= (node->in[ROWS] ? MOMENT : GRADIENT); k++)
    if (node->in[k] && (node->in[k]->type != FM_F32 || !fm_shape_equal (&node->in[k]->shape, &node->in[0]->shape)
                        || (k != GRADIENT && node->in[k]->kind != FM_TENSOR_VARIABLE)))
      {
        fm_graph_fail (node->graph, "sgd", "needs f32 variables and a gradient of one shape");
        return FALSE;
      }
  return TRUE;
}

typedef struct
{
  float scale; /* of the gradient: clipping */
  float momentum, rate;
  float keep;  /* 1 - rate decay */
} Step;

FM_KERNEL (void, plain_block, (gint64 n, Step s, float *p, const float *gradient), (n, s, p, gradient))
{
#pragma omp simd
  for (gint64 i = 0; i < n; i++)
    p[i] = p[i] * s.keep - s.rate * (gradient[i] * s.scale);
}

FM_KERNEL (void, momentum_block, (gint64 n, Step s, gboolean nesterov, float *p, float *m, const float *gradient),
           (n, s, nesterov, p, m, gradient))
{
  float ahead = nesterov ? s.momentum : 1.0f, now = nesterov ? 1.0f : 0.0f;

#pragma omp simd
  for (gint64 i = 0; i < n; i++)
    {
      float g = gradient[i] * s.scale, moment = m[i] * s.momentum + g;

      m[i] = moment;
      p[i] = p[i] * s.keep - s.rate * (now * g + ahead * moment);
    }
}

static void
cpu (const FmNode *node, const FmCpuArgs *args)
{
  const gdouble *f = node->attr.f;
  gint64 n = fm_shape_count (&node->in[0]->shape);
  float norm = *(const float *) args->in[NORM], *p = args->in[PARAM], *m = args->in[MOMENT];
  const float *gradient = args->in[GRADIENT];
  gdouble rate = *(const float *) args->in[RATE] * f[3];
  Step s = { .scale = 1.0f, .momentum = f[0], .rate = rate, .keep = 1.0 - rate * f[1] };
  gboolean nesterov = node->attr.i[0] != 0;

  if (!isfinite (norm))
    return;
  if (f[2] > 0 && norm > f[2])
    s.scale = f[2] / norm;
  if (node->in[ROWS])
    {
      gint64 width = n / node->in[0]->shape.dims[0], count = fm_shape_count (&node->in[ROWS]->shape);
      const gint32 *rows = args->in[ROWS];

      gint64 cuts = (width + FM_CPU_BLOCK - 1) / FM_CPU_BLOCK;

#pragma omp parallel for schedule(dynamic, MAX (1, FM_CPU_BLOCK / width)) num_threads(args->threads) \
    if (count * width >= 2 * FM_CPU_BLOCK)
      for (gint64 i = 0; i < count * cuts; i++)
        if (rows[i / cuts] >= 0)
          {
            gint64 from = i % cuts * FM_CPU_BLOCK, to = rows[i / cuts] * width + from, size = MIN (FM_CPU_BLOCK, width - from);

            if (m)
              momentum_block (size, s, nesterov, p + to, m + to, gradient + i / cuts * width + from);
            else
              plain_block (size, s, p + to, gradient + i / cuts * width + from);
          }
      return;
    }
#pragma omp parallel for schedule(static) num_threads(args->threads) if (n >= 2 * FM_CPU_BLOCK)
  for (gint64 i = 0; i < n; i += FM_CPU_BLOCK)
    if (m)
      momentum_block (MIN (FM_CPU_BLOCK, n - i), s, nesterov, p + i, m + i, gradient + i);
    else
      plain_block (MIN (FM_CPU_BLOCK, n - i), s, p + i, gradient + i);
}

static gboolean
vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  const gdouble *f = node->attr.f;
  gboolean moment = node->in[MOMENT] != NULL;
  struct
  {
    guint32 count, gradient, norm, rate, rows, width;
    float   momentum, decay, clip, factor;
  } push = { (guint32) fm_shape_count (&node->in[GRADIENT]->shape), (guint32) node->in[GRADIENT]->offset,
             (guint32) node->in[NORM]->offset, (guint32) node->in[RATE]->offset,
             node->in[ROWS] ? (guint32) node->in[ROWS]->offset : 0,
             (guint32) (fm_shape_count (&node->in[0]->shape) / node->in[0]->shape.dims[0]), f[0], f[1], f[2], f[3] };
  FmVulkanDispatch dispatch = { .shader = "sgd", .n_bind = N_IN, .push = &push, .push_bytes = sizeof push,
                                .spec = { moment, node->attr.i[0] != 0, node->in[ROWS] != NULL }, .n_spec = 3,
                                .groups = (push.count + 127) / 128 };

  for (guint k = 0; k < N_IN; k++)
    dispatch.bind[k] = node->in[k] ? node->in[k] : node->in[PARAM]; /* what is absent is bound and never touched */
  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

static void
cost (const FmNode *node, FmCost *cost_)
{
  gdouble n = fm_shape_count (&node->in[GRADIENT]->shape);

  cost_->flops = (node->in[MOMENT] ? 7 : 4) * n;
  cost_->bytes = (node->in[MOMENT] ? 20 : 12) * n;
}

static const FmOp row = {
  .name = "sgd", .n_in_min = N_IN, .n_in_max = N_IN, .n_out = 0, .flags = FM_OP_EFFECT, .infer = infer,
  .no_gradient = "it writes variables and has no result to differentiate", .cpu = cpu, .vulkan = vulkan, .cost = cost,
};

FM_OPS (sgd, &row);

void
fm_sgd (FmGraph *g, FmTensor *param, FmTensor *moment, FmTensor *gradient, FmTensor *rows, FmTensor *norm, FmTensor *rate,
        const FmOptimizer *options, gdouble rate_factor, gdouble decay_factor)
{
  FmTensor *in[N_IN] = { param, moment, gradient, norm, rate, rows };
  FmAttr attr = { .i = { options->nesterov },
                  .f = { options->momentum, options->decay * decay_factor, options->clip, rate_factor } };

  fm_node_new (g, &row, in, N_IN, &attr);
}
