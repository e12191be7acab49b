/* cummax.c: the largest element so far along one axis, and its place.
 *
 * Node: in x f32, seen as [outer, axis, inner]; out y of its shape, and i32 places in the axis. attr.i[0]: the axis.
 * Equal elements leave the first in its place; from the first NaN on everything is NaN. */
#include "compute/compute-private.h"

#include <math.h>

static gboolean
infer (FmNode *node)
{
  if (node->in[0]->type != FM_F32)
    {
      fm_graph_fail (node->graph, "cummax", "needs f32, not %s; cast the operand", fm_type_name (node->in[0]->type));
      return FALSE;
    }
  node->out[0]->type = FM_F32;
  node->out[1]->type = FM_I32;
  node->out[0]->shape = node->out[1]->shape = node->in[0]->shape;
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

/* The row before is the accumulator, in y itself; it is in cache, and columns are independent. */
FM_KERNEL (void, scan, (gint64 n, gint64 width, gint64 stride, const float *x, float *y, gint32 *at),
           (n, width, stride, x, y, at))
{
  for (gint64 j = 0; j < width; j++)
    {
      y[j] = x[j];
      at[j] = 0;
    }
  for (gint64 r = 1; r < n; r++)
    {
      x += stride;
#pragma omp simd
      for (gint64 j = 0; j < width; j++)
        {
          float v = x[j], before = y[j];
          gboolean more = v > before || (v != v && before == before);

          y[j + stride] = more ? v : before;
          at[j + stride] = more ? (gint32) r : at[j];
        }
      y += stride;
      at += stride;
    }
}

static void
cpu (const FmNode *node, const FmCpuArgs *args)
{
  gint64 outer, axis, inner, width, widths;

  sizes (node, &outer, &axis, &inner);
  width = MIN (inner, 1024);
  widths = (inner + width - 1) / width;
#pragma omp parallel for schedule(static) num_threads(args->threads) if (outer * axis * inner >= 2 * FM_CPU_BLOCK)
  for (gint64 i = 0; i < outer * widths; i++)
    {
      gint64 at = i / widths * axis * inner + i % widths * width;

      scan (axis, MIN (width, inner - i % widths * width), inner, (const float *) args->in[0] + at,
            (float *) args->out[0] + at, (gint32 *) args->out[1] + at);
    }
}

static gboolean
vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  gint64 outer, axis, inner;
  struct { guint32 offset, outer, axis, inner; } push;

  sizes (node, &outer, &axis, &inner);
  push.offset = (guint32) node->in[0]->offset;
  push.outer = (guint32) outer;
  push.axis = (guint32) axis;
  push.inner = (guint32) inner;
  return fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){
    .shader = "cummax", .bind = { node->in[0], node->out[0], node->out[1] }, .n_bind = 3, .push = &push,
    .push_bytes = sizeof push, .groups = (outer * inner + 127) / 128 }, error);
}

/* Every element's gradient goes back to the place it was taken from: seen as one long row, element (o, a, j) came from
 * (o axis + place) inner + j. */
static void
gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmShape shape = node->in[0]->shape, outer_shape;
  gint64 outer, axis, inner, n;
  FmTensor *from, *starts;

  if (dy[0] == NULL)
    return;
  sizes (node, &outer, &axis, &inner);
  n = outer * axis * inner;
  outer_shape = FM_SHAPE (outer, 1, 1);
  starts = fm_mul (g, fm_iota (g, outer), fm_constant (g, FM_I32, FM_SHAPE (1), axis));
  from = fm_add (g, fm_reshape (g, node->out[1], FM_SHAPE (outer, axis, inner)), fm_reshape (g, starts, outer_shape));
  from = fm_add (g, fm_mul (g, from, fm_constant (g, FM_I32, FM_SHAPE (1), inner)), fm_iota (g, inner));
  dx[0] = fm_scatter_add_rows (g, fm_reshape (g, dy[0], FM_SHAPE (n)), fm_reshape (g, from, FM_SHAPE (n)), n);
  dx[0] = fm_reshape (g, dx[0], shape);
}

static const FmOp row = {
  .name = "cummax", .n_in_min = 1, .n_in_max = 1, .n_out = 2, .infer = infer, .gradient = gradient, .cpu = cpu,
  .vulkan = vulkan,
};

FM_OPS (cummax, &row);

FmTensor *
fm_cummax (FmGraph *g, FmTensor *x, gint axis, FmTensor **index)
{
  if (index)
    *index = g->poison;
  FM_REFUSE_NULL (g, "cummax", x);
  FmNode *node;

  if (index)
    *index = g->poison;
  if (fm_graph_failed (g))
    return g->poison;
  axis = fm_axis (x, axis, "cummax");
  if (axis < 0)
    return g->poison;
  node = fm_node_new (g, &row, &x, 1, &(FmAttr){ .i = { axis } });
  if (node == NULL)
    return g->poison;
  if (index)
    *index = node->out[1];
  return node->out[0];
}
