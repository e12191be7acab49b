/* cumsum.c: running sum along one axis.
 *
 * Node: in x f32, seen as [outer, axis, inner]; out of its shape. attr.i: 0 the axis, 1 exclusive (element i sums those
 * before it), 2 from the end to the start, which is the gradient of the other direction. */
#include "compute/compute-private.h"

#define COLUMNS 1024

static gboolean
infer (FmNode *node)
{
  if (node->in[0]->type != FM_F32)
    {
      fm_graph_fail (node->graph, "cumsum", "needs f32, not i32; cast the operand");
      return FALSE;
    }
  node->out[0]->type = FM_F32;
  node->out[0]->shape = node->in[0]->shape;
  return TRUE;
}

static void
sizes (const FmNode *node, gint64 *outer, gint64 *axis, gint64 *inner)
{
  const FmShape *shape = &node->in[0]->shape;

  *outer = *inner = 1;
  for (guint a = 0; a < shape->rank; a++)
    if (a < node->attr.i[0])
      *outer *= shape->dims[a];
    else if (a > node->attr.i[0])
      *inner *= shape->dims[a];
  *axis = shape->dims[node->attr.i[0]];
}

/* @step and the first row tell the direction. */
FM_KERNEL (void, scan, (gint64 n, gint64 width, gint64 step, gboolean exclusive, const float *x, float *y),
           (n, width, step, exclusive, x, y))
{
  float acc[COLUMNS];

  if (width == 1) /* one chain of additions; an array would go through memory */
    {
      float sum = 0.0f;

      for (gint64 r = 0; r < n; r++, x += step, y += step)
        {
          float before = sum;

          sum += *x;
          *y = exclusive ? before : sum;
        }
      return;
    }
  for (gint64 j = 0; j < width; j++)
    acc[j] = 0.0f;
  for (gint64 r = 0; r < n; r++, x += step, y += step)
    if (exclusive)
      {
#pragma omp simd
        for (gint64 j = 0; j < width; j++)
          {
            float v = x[j];

            y[j] = acc[j];
            acc[j] += v;
          }
      }
    else
      {
#pragma omp simd
        for (gint64 j = 0; j < width; j++)
          y[j] = acc[j] += x[j];
      }
}

static void
cpu (const FmNode *node, const FmCpuArgs *args)
{
  gint64 outer, axis, inner, width, widths;
  gboolean exclusive = node->attr.i[1] != 0, reverse = node->attr.i[2] != 0;

  sizes (node, &outer, &axis, &inner);
  width = MIN (inner, COLUMNS);
  widths = (inner + width - 1) / width;
#pragma omp parallel for schedule(static) num_threads(args->threads) if (outer * axis * inner >= 2 * FM_CPU_BLOCK)
  for (gint64 i = 0; i < outer * widths; i++)
    {
      gint64 at = i / widths * axis * inner + i % widths * width + (reverse ? (axis - 1) * inner : 0);

      scan (axis, MIN (width, inner - i % widths * width), reverse ? -inner : inner, exclusive,
            (const float *) args->in[0] + at, (float *) args->out[0] + at);
    }
}

static gboolean
vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  gint64 outer, axis, inner;
  struct { guint32 offset, outer, axis, inner, exclusive, reverse; } push;

  sizes (node, &outer, &axis, &inner);
  push.offset = (guint32) node->in[0]->offset;
  push.outer = (guint32) outer;
  push.axis = (guint32) axis;
  push.inner = (guint32) inner;
  push.exclusive = node->attr.i[1] != 0;
  push.reverse = node->attr.i[2] != 0;
  return fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){
    .shader = "cumsum", .bind = { node->in[0], node->out[0] }, .n_bind = 2, .push = &push, .push_bytes = sizeof push,
    .groups = (outer * inner + 127) / 128 }, error);
}

static const FmOp row;

static void
gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmAttr attr = node->attr;

  attr.i[2] = !attr.i[2];
  dx[0] = fm_op1 (g, &row, &attr, 1, dy[0]);
}

static const FmOp row = {
  .name = "cumsum", .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = FM_OP_INPLACE, .infer = infer,
  .gradient = gradient, .cpu = cpu, .vulkan = vulkan,
};

FM_OPS (cumsum, &row);

static FmTensor *
build (FmGraph *g, FmTensor *x, gint axis, gboolean exclusive, gboolean reverse)
{
  if (fm_graph_failed (g))
    return g->poison;
  axis = fm_axis (x, axis, "cumsum");
  if (axis < 0)
    return g->poison;
  return fm_op1 (g, &row, &(FmAttr){ .i = { axis, exclusive != FALSE, reverse } }, 1, x);
}

FmTensor *
fm_cumsum (FmGraph *g, FmTensor *x, gint axis, gboolean exclusive)
{
  FM_REFUSE_NULL (g, "cumsum", x);
  return build (g, x, axis, exclusive, FALSE);
}

FmTensor *
fm_cumsum_reverse (FmGraph *g, FmTensor *x, gint axis, gboolean exclusive)
{
  FM_REFUSE_NULL (g, "cumsum reverse", x);
  return build (g, x, axis, exclusive, TRUE);
}
