/* fill.c: tensors made of nothing: constants, counters, one-hot rows.
 *
 * Nodes: constant: attr.f[0] the value, one element; iota: attr.i[0] = n; one-hot: in i32 index, attr.i[0] = classes;
 * stop-gradient: a view of x; straight-through: in hard, soft, a view of hard. */
#include "compute/ops/elementwise.h"

#include <string.h>

/* --- constant, iota -----------------------------------------------------------------------------------------------*/

static gboolean
constant_infer (FmNode *node)
{
  node->out[0]->type = node->attr.i[0];
  node->out[0]->shape = FM_SHAPE (1);
  if (fm_type_size (node->out[0]->type) < 4)
    {
      fm_graph_fail (node->graph, "constant", "is f32 or i32, not %s: fm_cast() it", fm_type_name (node->out[0]->type));
      return FALSE;
    }
  return TRUE;
}

static void
constant_cpu (const FmNode *node, const FmCpuArgs *args)
{
  if (node->out[0]->type == FM_F32)
    *(float *) args->out[0] = node->attr.f[0];
  else
    *(gint32 *) args->out[0] = node->attr.f[0];
}

typedef struct
{
  guint32 kind, count, classes, offset, word;
} FillPush;

static gboolean
constant_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FillPush push = { .kind = 0, .count = 1 };
  float f = node->attr.f[0];
  gint32 i = node->attr.f[0];

  memcpy (&push.word, node->out[0]->type == FM_F32 ? (void *) &f : (void *) &i, sizeof push.word);
  return fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){
    .shader = "fill", .bind = { node->out[0], node->out[0] }, .n_bind = 2, .push = &push, .push_bytes = sizeof push,
    .groups = 1 }, error);
}

static gboolean
iota_infer (FmNode *node)
{
  if (node->attr.i[0] < 1 || node->attr.i[0] > G_MAXINT32)
    {
      fm_graph_fail (node->graph, "iota", "length %" G_GINT64_FORMAT " is not in 1..2147483647", node->attr.i[0]);
      return FALSE;
    }
  node->out[0]->type = FM_I32;
  node->out[0]->shape = FM_SHAPE (node->attr.i[0]);
  return TRUE;
}

static void
iota_cpu (const FmNode *node, const FmCpuArgs *args)
{
  gint32 *out = args->out[0];

  for (gint64 i = 0; i < node->attr.i[0]; i++)
    out[i] = i;
}

static gboolean
iota_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FillPush push = { .kind = 1, .count = (guint32) node->attr.i[0] };

  return fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){
    .shader = "fill", .bind = { node->out[0], node->out[0] }, .n_bind = 2, .push = &push, .push_bytes = sizeof push,
    .groups = (push.count + 127) / 128 }, error);
}

/* What has no real-valued input has no gradient to give: all zeros, so nothing is set. */
static void
zero_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
}

/* --- one-hot ------------------------------------------------------------------------------------------------------*/

static gboolean
one_hot_infer (FmNode *node)
{
  FmShape shape = node->in[0]->shape;

  if (node->in[0]->type != FM_I32 || node->attr.i[0] < 1 || shape.rank >= FM_MAX_RANK)
    {
      fm_graph_fail (node->graph, "one-hot", "needs an i32 index of rank 5 at most and at least one class");
      return FALSE;
    }
  shape.dims[shape.rank++] = node->attr.i[0];
  node->out[0]->type = FM_F32;
  node->out[0]->shape = shape;
  return TRUE;
}

static void
one_hot_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const gint32 *index = args->in[0];
  float *out = args->out[0];
  gint64 n = fm_shape_count (&node->in[0]->shape), classes = node->attr.i[0];

#pragma omp parallel for schedule(static) num_threads(args->threads) if (n * classes >= 2 * FM_CPU_BLOCK)
  for (gint64 i = 0; i < n; i++)
    {
      memset (out + i * classes, 0, classes * sizeof *out);
      if (index[i] >= 0 && index[i] < classes)
        out[i * classes + index[i]] = 1.0f;
    }
}

static gboolean
one_hot_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FillPush push = { .kind = 2, .count = (guint32) fm_shape_count (&node->out[0]->shape),
                    .classes = (guint32) node->attr.i[0], .offset = (guint32) node->in[0]->offset };

  return fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){
    .shader = "fill", .bind = { node->in[0], node->out[0] }, .n_bind = 2, .push = &push, .push_bytes = sizeof push,
    .groups = (push.count + 127) / 128 }, error);
}

/* --- stop-gradient ------------------------------------------------------------------------------------------------*/

static gboolean
stop_infer (FmNode *node)
{
  const FmTensor *x = node->in[0];
  FmTensor *out = node->out[0];

  out->type = x->type;
  out->shape = x->shape;
  memcpy (out->stride, x->stride, sizeof out->stride);
  out->offset = x->offset;
  return TRUE;
}

static gboolean
straight_infer (FmNode *node)
{
  if (node->in[0]->type != FM_F32 || node->in[1]->type != FM_F32 ||
      !fm_shape_equal (&node->in[0]->shape, &node->in[1]->shape))
    {
      g_autofree char *hard = fm_shape_to_string (&node->in[0]->shape);
      g_autofree char *soft = fm_shape_to_string (&node->in[1]->shape);

      fm_graph_fail (node->graph, "straight-through", "needs two f32 operands of one shape, not %s and %s", hard, soft);
      return FALSE;
    }
  return stop_infer (node);
}

static void
straight_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  dx[1] = dy[0];
}

/* --- Rows and builders --------------------------------------------------------------------------------------------*/

static const FmOp constant_row = { .name = "constant", .n_out = 1, .infer = constant_infer, .gradient = zero_gradient,
                                   .cpu = constant_cpu, .vulkan = constant_vulkan, .family = FM_FAMILY_CONSTANT };
static const FmOp iota_row = { .name = "iota", .n_out = 1, .infer = iota_infer, .gradient = zero_gradient,
                               .cpu = iota_cpu, .vulkan = iota_vulkan };
static const FmOp one_hot_row = { .name = "one-hot", .n_in_min = 1, .n_in_max = 1, .n_out = 1, .infer = one_hot_infer,
                                  .gradient = zero_gradient, .cpu = one_hot_cpu, .vulkan = one_hot_vulkan };
static const FmOp stop_row = { .name = "stop-gradient", .n_in_min = 1, .n_in_max = 1, .n_out = 1,
                               .flags = FM_OP_VIEW | FM_OP_STRIDED | FM_OP_NARROW, .infer = stop_infer,
                               .gradient = zero_gradient };

static const FmOp straight_row = { .name = "straight-through", .n_in_min = 2, .n_in_max = 2, .n_out = 1,
                                   .flags = FM_OP_VIEW | FM_OP_STRIDED, .infer = straight_infer,
                                   .gradient = straight_gradient };

FM_OPS (fill, &constant_row, &iota_row, &one_hot_row, &stop_row, &straight_row);

/* One element, repeated by a view: elementwise ops read it from a register and no memory is planned for it. */
FmTensor *
fm_constant (FmGraph *g, FmType type, FmShape shape, gdouble value)
{
  FmTensor *one = fm_op1 (g, &constant_row, &(FmAttr){ .i = { type }, .f = { value } }, 0);

  return fm_expand (g, one, shape);
}

FmTensor *
fm_iota (FmGraph *g, gint64 n)
{
  return fm_op1 (g, &iota_row, &(FmAttr){ .i = { n } }, 0);
}

FmTensor *
fm_one_hot (FmGraph *g, FmTensor *index, gint64 classes)
{
  FM_REFUSE_NULL (g, "one hot", index);
  return fm_op1 (g, &one_hot_row, &(FmAttr){ .i = { classes } }, 1, index);
}

FmTensor *
fm_stop_gradient (FmGraph *g, FmTensor *x)
{
  FM_REFUSE_NULL (g, "stop gradient", x);
  return fm_op1 (g, &stop_row, NULL, 1, x);
}

FmTensor *
fm_straight_through (FmGraph *g, FmTensor *hard, FmTensor *soft)
{
  FM_REFUSE_NULL (g, "straight through", hard, soft);
  return fm_op1 (g, &straight_row, NULL, 2, hard, soft);
}
