/* pad.c: zeros before and after along one axis; the gradient of a slice.
 * Attributes: i[0] axis, i[1] before, i[2] after. */
#include "config.h"

#include "movement.h"

#include <string.h>

static gboolean
pad_infer (FmNode *node)
{
  FmTensor *x = node->in[0], *y = node->out[0];

  y->type = x->type;
  y->shape = x->shape;
  y->shape.dims[node->attr.i[0]] += node->attr.i[1] + node->attr.i[2];
  return TRUE;
}

static void
pad_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  gint64 axis = node->attr.i[0];

  dx[0] = fm_slice (g, dy[0], (gint) axis, node->attr.i[1], node->in[0]->shape.dims[axis]);
}

static void
pad_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const FmTensor *x = node->in[0], *y = node->out[0];
  gint64 axis = node->attr.i[0], before = node->attr.i[1], after = node->attr.i[2];
  gint64 inner = y->stride[axis], outer = fm_shape_count (&y->shape) / (inner * y->shape.dims[axis]);
  gint64 middle = x->shape.dims[axis];
  guint32 *out = args->out[0];

  for (gint64 i = 0; i < outer; i++)
    {
      guint32 *row = out + i * y->shape.dims[axis] * inner;

      memset (row, 0, before * inner * sizeof *out);
      memset (row + (before + middle) * inner, 0, after * inner * sizeof *out);
    }
  fm_copy_region (x->shape.rank, x->shape.dims, args->in[0], x->stride, out + before * inner, y->stride, args->threads);
}

static gboolean
pad_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmTensor *x = node->in[0], *y = node->out[0];
  gint64 axis = node->attr.i[0], inner = y->stride[axis];
  guint32 count = fm_shape_count (&y->shape);
  struct { guint32 count, inner, out_dim, in_dim, before, x_offset, y_offset; } push = {
    count, inner, y->shape.dims[axis], x->shape.dims[axis], node->attr.i[1], x->offset, y->offset };
  FmVulkanDispatch dispatch = { .shader = "pad", .bind = { x, y }, .n_bind = 2, .push = &push,
                                .push_bytes = sizeof push, .groups = ((guint64) count + 127) / 128 };

  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

static void
pad_cost (const FmNode *node, FmCost *cost)
{
  cost->flops = 0;
  cost->bytes = 4.0 * (fm_shape_count (&node->in[0]->shape) + fm_shape_count (&node->out[0]->shape));
}

/* Contiguous input: the shader knows three axes only. */
static const FmOp pad_op = {
  .name = "pad", .n_in_min = 1, .n_in_max = 1, .n_out = 1,
  .infer = pad_infer, .gradient = pad_gradient, .cpu = pad_cpu, .vulkan = pad_vulkan, .cost = pad_cost,
};

FmTensor *
fm_pad (FmGraph *g, FmTensor *x, gint axis, gint64 before, gint64 after)
{
  FM_REFUSE_NULL (g, "pad", x);
  FmAttr attr = { 0 };
  gint64 sum;

  if (fm_graph_failed (g))
    return g->poison;
  axis = fm_axis (x, axis, "pad");
  if (axis < 0)
    return g->poison;
  if (before < 0 || after < 0 || __builtin_add_overflow (before, after, &sum)
      || __builtin_add_overflow (sum, x->shape.dims[axis], &sum))
    return fm_graph_fail (g, "pad", "%" G_GINT64_FORMAT " before and %" G_GINT64_FORMAT " after; wants 0 or more", before,
                          after);
  if (before == 0 && after == 0)
    return x;
  attr.i[0] = axis;
  attr.i[1] = before;
  attr.i[2] = after;
  return fm_op1 (g, &pad_op, &attr, 1, x);
}

FM_OPS (pad, &pad_op);
