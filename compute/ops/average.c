/* average.c: an exponential average of a variable, one step on.
 *
 * Node: in average, variable (both variables; the first is written), norm [1], step i32 [1] from 1; no output; an effect.
 * attr.f: 0 the factor a. a' = min (a, (1 + step) / (10 + step)), so that the start is soon forgotten;
 * average += (1 - a') (variable - average). A norm that is not finite leaves it as it was, like the step itself.
 * Source: Polyak and Juditsky 1992; the early factor is TensorFlow's ExponentialMovingAverage with num_updates. */
#include "compute/compute-private.h"

#include <math.h>

enum { AVERAGE, VALUE, NORM, STEP, N_IN };

static gboolean
infer (FmNode *node)
{
  for (guint k = AVERAGE; k <= VALUE; k++)
    if (node->in[k]->type != FM_F32 || node->in[k]->kind != FM_TENSOR_VARIABLE
        || !fm_shape_equal (&node->in[k]->shape, &node->in[0]->shape))
      {
        fm_graph_fail (node->graph, "average", "needs two f32 variables of one shape");
        return FALSE;
      }
  return TRUE;
}

FM_KERNEL (void, average_block, (gint64 n, float fresh, float *average, const float *value), (n, fresh, average, value))
{
#pragma omp simd
  for (gint64 i = 0; i < n; i++)
    average[i] += fresh * (value[i] - average[i]);
}

static void
cpu (const FmNode *node, const FmCpuArgs *args)
{
  gint64 n = fm_shape_count (&node->in[0]->shape);
  float *average = args->in[AVERAGE];
  const float *value = args->in[VALUE];
  gdouble t = *(const gint32 *) args->in[STEP];
  float fresh = 1.0 - MIN (node->attr.f[0], (1.0 + t) / (10.0 + t));

  if (!isfinite (*(const float *) args->in[NORM]))
    return;
#pragma omp parallel for schedule(static) num_threads(args->threads) if (n >= 2 * FM_CPU_BLOCK)
  for (gint64 i = 0; i < n; i += FM_CPU_BLOCK)
    average_block (MIN (FM_CPU_BLOCK, n - i), fresh, average + i, value + i);
}

static gboolean
vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  struct
  {
    guint32 count, norm, step;
    float   fresh;
  } push = { (guint32) fm_shape_count (&node->in[0]->shape), (guint32) node->in[NORM]->offset,
             (guint32) node->in[STEP]->offset, 1.0 - node->attr.f[0] };

  return fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){
    .shader = "average", .bind = { node->in[AVERAGE], node->in[VALUE], node->in[NORM], node->in[STEP] }, .n_bind = N_IN,
    .push = &push, .push_bytes = sizeof push, .groups = (push.count + 127) / 128 }, error);
}

static void
cost (const FmNode *node, FmCost *cost_)
{
  gdouble n = fm_shape_count (&node->in[0]->shape);

  cost_->flops = 3 * n;
  cost_->bytes = 12 * n;
}

static const FmOp row = {
  .name = "average", .n_in_min = N_IN, .n_in_max = N_IN, .n_out = 0, .flags = FM_OP_EFFECT, .infer = infer,
  .no_gradient = "it writes a variable and has no result to differentiate", .cpu = cpu, .vulkan = vulkan, .cost = cost,
};

FM_OPS (average, &row);

void
fm_average (FmGraph *g, FmTensor *average, FmTensor *param, FmTensor *norm, FmTensor *step, gdouble factor)
{
  FmTensor *in[N_IN] = { average, param, norm, step };

  fm_node_new (g, &row, in, N_IN, &(FmAttr){ .f = { factor } });
}
