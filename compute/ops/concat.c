/* concat.c: tensors side by side along one axis. Attribute: i[0] axis. */
#include "config.h"

#include "movement.h"

#define CONCAT_MAX 64

static gboolean
concat_infer (FmNode *node)
{
  FmTensor *y = node->out[0];
  gint64 axis = node->attr.i[0];

  y->type = node->in[0]->type;
  y->shape = node->in[0]->shape;
  for (guint i = 1; i < node->n_in; i++)
    {
      FmShape shape = node->in[i]->shape;
      gint64 size = axis < shape.rank ? shape.dims[axis] : 0;

      if (axis < shape.rank)
        shape.dims[axis] = y->shape.dims[axis];
      if (node->in[i]->type != y->type || !fm_shape_equal (&shape, &y->shape))
        {
          g_autofree char *a = fm_shape_to_string (&node->in[0]->shape), *b = fm_shape_to_string (&node->in[i]->shape);

          fm_graph_fail (node->graph, "concat", "%s and %s differ in more than axis %d", a, b, (gint) axis);
          return FALSE;
        }
      y->shape.dims[axis] += size;
    }
  return TRUE;
}

static void
concat_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  gint64 axis = node->attr.i[0], start = 0;

  for (guint i = 0; i < node->n_in; i++)
    {
      dx[i] = fm_slice (g, dy[0], (gint) axis, start, node->in[i]->shape.dims[axis]);
      start += node->in[i]->shape.dims[axis];
    }
}

static void
concat_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const FmTensor *y = node->out[0];
  gint64 axis = node->attr.i[0], start = 0;

  for (guint i = 0; i < node->n_in; i++)
    {
      const FmTensor *x = node->in[i];

      fm_copy_region (x->shape.rank, x->shape.dims, args->in[i], x->stride,
                      (guint32 *) args->out[0] + start * y->stride[axis], y->stride, args->threads);
      start += x->shape.dims[axis];
    }
}

static gboolean
concat_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmTensor *y = node->out[0];
  gint64 axis = node->attr.i[0], start = 0;

  for (guint i = 0; i < node->n_in; i++)
    {
      FmTensor *x = node->in[i];

      if (!fm_copy_region_vulkan (recorder, x->shape.rank, x->shape.dims, x, x->offset, x->stride,
                                  y, y->offset + start * y->stride[axis], y->stride, error))
        return FALSE;
      start += x->shape.dims[axis];
    }
  return TRUE;
}

static void
concat_cost (const FmNode *node, FmCost *cost)
{
  cost->flops = 0;
  cost->bytes = 8.0 * fm_shape_count (&node->out[0]->shape);
}

static const FmOp concat_op = {
  .name = "concat", .n_in_min = 1, .n_in_max = CONCAT_MAX, .n_out = 1, .flags = FM_OP_STRIDED,
  .infer = concat_infer, .gradient = concat_gradient, .cpu = concat_cpu, .vulkan = concat_vulkan, .cost = concat_cost,
};

FmTensor *
fm_concat (FmGraph *g, FmTensor * const *x, guint n, gint axis)
{
  FmAttr attr = { 0 };
  FmNode *node;

  if (fm_graph_failed (g))
    return g->poison;
  if (n < 1 || n > CONCAT_MAX)
    return fm_graph_fail (g, "concat", "%u tensors; takes 1 to %d", n, CONCAT_MAX);
  if (fm_graph_refuse_null (g, "concat", x, n))
    return g->poison;
  axis = fm_axis (x[0], axis, "concat");
  if (axis < 0)
    return g->poison;
  if (n == 1)
    return x[0];
  attr.i[0] = axis;
  node = fm_node_new (g, &concat_op, x, n, &attr);
  return node ? node->out[0] : g->poison;
}

FM_OPS (concat, &concat_op);
