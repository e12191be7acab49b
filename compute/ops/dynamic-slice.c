/* dynamic-slice.c: a slice whose beginning is known when the program runs, its counterparts that write one, and roll.
 *
 * All see x as [outer, dim, inner] around the axis. start: i32, [1] or, for an axis behind it, one for each index of the
 * first axis. Attributes: i[0] axis, i[1] length (slice), size of the axis (place), sign of the shift (roll).
 *
 * dynamic-slice: x, start -> length elements from start on. dynamic-place: x, start -> zeros but for x from start on.
 * assign-slice: state, value, start: an effect. Here a start that would leave the axis is clamped, so that all elements
 * lie within. roll: x, shift -> element (i - sign shift) mod dim at i. */
#include "config.h"

#include "compute/compute-private.h"

#include <string.h>

enum { SLICE, PLACE, ROLL, ASSIGN }; /* as in dynamic-slice.comp */

typedef struct
{
  gint64 outer, inner;
  gint64 wide, narrow; /* sizes of the axis: the whole and the part; equal for roll */
  gint64 batch;        /* outer indices that share a start */
} Layout;

static Layout
layout_of (const FmTensor *wide, const FmTensor *narrow, const FmTensor *start, gint64 axis)
{
  Layout l = { 1, 1, wide->shape.dims[axis], narrow->shape.dims[axis], 1 };

  for (guint a = 0; a < wide->shape.rank; a++)
    if (a < axis)
      l.outer *= wide->shape.dims[a];
    else if (a > axis)
      l.inner *= wide->shape.dims[a];
  l.batch = l.outer / start->shape.dims[0];
  return l;
}

/* Checked by the builders, so that kernels can rely on it. */
static gboolean
start_is_sound (FmGraph *g, const char *what, const FmTensor *x, const FmTensor *start, gint axis)
{
  if (start->type == FM_I32 && start->shape.rank == 1
      && (start->shape.dims[0] == 1 || (axis > 0 && start->shape.dims[0] == x->shape.dims[0])))
    return TRUE;
  fm_graph_fail (g, what, "wants its position as i32 [1], or one for each index of the first axis");
  return FALSE;
}

static gint64
clamped (const gint32 *start, gint64 i, const Layout *l)
{
  return CLAMP ((gint64) start[i / l->batch], 0, l->wide - l->narrow);
}

static gboolean
record (FmVulkanRecorder *recorder, guint32 kind, FmTensor *from, FmTensor *to, FmTensor *start, const Layout *l,
        gint64 count, gint64 sign, GError **error)
{
  struct { guint32 count, inner, wide, narrow, batch, from, to, start, sign; } push = {
    (guint32) count, (guint32) l->inner, (guint32) l->wide, (guint32) l->narrow, (guint32) l->batch,
    (guint32) from->offset, (guint32) to->offset, (guint32) start->offset, sign < 0 };
  FmVulkanDispatch dispatch = { .shader = "dynamic-slice", .bind = { from, to, start }, .n_bind = 3, .push = &push,
                                .push_bytes = sizeof push, .spec = { kind }, .n_spec = 1,
                                .groups = ((guint64) count + 127) / 128 };

  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

static void
bytes_of_result (const FmNode *node, FmCost *cost)
{
  cost->flops = 0;
  cost->bytes = 8.0 * fm_shape_count (&node->out[0]->shape);
}

/* --- Slice and place, gradients of each other ---------------------------------------------------------------------*/

static gboolean
part_infer (FmNode *node)
{
  node->out[0]->type = node->in[0]->type;
  node->out[0]->shape = node->in[0]->shape;
  node->out[0]->shape.dims[node->attr.i[0]] = node->attr.i[1];
  return TRUE;
}

static void
slice_cpu (const FmNode *node, const FmCpuArgs *args)
{
  Layout l = layout_of (node->in[0], node->out[0], node->in[1], node->attr.i[0]);
  const guint32 *x = args->in[0];
  guint32 *y = args->out[0];

#pragma omp parallel for schedule(static) num_threads(args->threads) if (l.outer * l.narrow * l.inner > FM_CPU_BLOCK)
  for (gint64 i = 0; i < l.outer; i++)
    memcpy (y + i * l.narrow * l.inner, x + (i * l.wide + clamped (args->in[1], i, &l)) * l.inner,
            l.narrow * l.inner * sizeof *y);
}

static gboolean
slice_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  Layout l = layout_of (node->in[0], node->out[0], node->in[1], node->attr.i[0]);

  return record (recorder, SLICE, node->in[0], node->out[0], node->in[1], &l, l.outer * l.narrow * l.inner, 1, error);
}

static const FmOp place_op;

static void
slice_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmAttr attr = { .i = { node->attr.i[0], node->in[0]->shape.dims[node->attr.i[0]] } };

  if (node->in[0]->type == FM_F32)
    dx[0] = fm_op1 (g, &place_op, &attr, 2, dy[0], node->in[1]);
}

static const FmOp slice_op = {
  .name = "dynamic-slice", .n_in_min = 2, .n_in_max = 2, .n_out = 1, .infer = part_infer, .gradient = slice_gradient,
  .cpu = slice_cpu, .vulkan = slice_vulkan, .cost = bytes_of_result,
};

static void
place_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmAttr attr = { .i = { node->attr.i[0], node->in[0]->shape.dims[node->attr.i[0]] } };

  dx[0] = fm_op1 (g, &slice_op, &attr, 2, dy[0], node->in[1]);
}

static void
place_cpu (const FmNode *node, const FmCpuArgs *args)
{
  Layout l = layout_of (node->out[0], node->in[0], node->in[1], node->attr.i[0]);
  const guint32 *x = args->in[0];
  guint32 *y = args->out[0];

#pragma omp parallel for schedule(static) num_threads(args->threads) if (l.outer * l.wide * l.inner > FM_CPU_BLOCK)
  for (gint64 i = 0; i < l.outer; i++)
    {
      gint64 before = clamped (args->in[1], i, &l) * l.inner, here = l.narrow * l.inner;
      guint32 *row = y + i * l.wide * l.inner;

      memset (row, 0, before * sizeof *y);
      memcpy (row + before, x + i * here, here * sizeof *y);
      memset (row + before + here, 0, (l.wide * l.inner - before - here) * sizeof *y);
    }
}

static gboolean
place_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  Layout l = layout_of (node->out[0], node->in[0], node->in[1], node->attr.i[0]);

  return record (recorder, PLACE, node->in[0], node->out[0], node->in[1], &l, l.outer * l.wide * l.inner, 1, error);
}

static const FmOp place_op = {
  .name = "dynamic-place", .n_in_min = 2, .n_in_max = 2, .n_out = 1, .infer = part_infer, .gradient = place_gradient,
  .cpu = place_cpu, .vulkan = place_vulkan, .cost = bytes_of_result,
};

FmTensor *
fm_dynamic_slice (FmGraph *g, FmTensor *x, gint axis, FmTensor *start, gint64 length)
{
  FM_REFUSE_NULL (g, "dynamic slice", x, start);
  FmAttr attr = { 0 };

  if (fm_graph_failed (g))
    return g->poison;
  axis = fm_axis (x, axis, "dynamic-slice");
  if (axis < 0 || !start_is_sound (g, "dynamic-slice", x, start, axis))
    return g->poison;
  if (length < 1 || length > x->shape.dims[axis])
    return fm_graph_fail (g, "dynamic-slice", "%" G_GINT64_FORMAT " elements do not lie within axis %d of size %"
                          G_GINT64_FORMAT, length, axis, x->shape.dims[axis]);
  attr.i[0] = axis;
  attr.i[1] = length;
  return fm_op1 (g, &slice_op, &attr, 2, x, start);
}

/* --- Assignment ---------------------------------------------------------------------------------------------------*/

static gboolean
assign_infer (FmNode *node)
{
  return TRUE;
}

static void
assign_cpu (const FmNode *node, const FmCpuArgs *args)
{
  Layout l = layout_of (node->in[0], node->in[1], node->in[2], node->attr.i[0]);
  guint32 *state = args->in[0];
  const guint32 *value = args->in[1];

#pragma omp parallel for schedule(static) num_threads(args->threads) if (l.outer * l.narrow * l.inner > FM_CPU_BLOCK)
  for (gint64 i = 0; i < l.outer; i++)
    memcpy (state + (i * l.wide + clamped (args->in[2], i, &l)) * l.inner, value + i * l.narrow * l.inner,
            l.narrow * l.inner * sizeof *state);
}

static gboolean
assign_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  Layout l = layout_of (node->in[0], node->in[1], node->in[2], node->attr.i[0]);

  return record (recorder, ASSIGN, node->in[1], node->in[0], node->in[2], &l, l.outer * l.narrow * l.inner, 1, error);
}

static void
assign_cost (const FmNode *node, FmCost *cost)
{
  cost->flops = 0;
  cost->bytes = 8.0 * fm_shape_count (&node->in[1]->shape);
}

static const FmOp assign_op = {
  .name = "assign-slice", .n_in_min = 3, .n_in_max = 3, .n_out = 0, .flags = FM_OP_EFFECT, .infer = assign_infer,
  .no_gradient = "writing a variable has no result to differentiate", .cpu = assign_cpu, .vulkan = assign_vulkan,
  .cost = assign_cost,
};

void
fm_assign_slice (FmGraph *g, FmTensor *state, gint axis, FmTensor *start, FmTensor *value)
{
  FmTensor *in[] = { state, value, start };
  FmAttr attr = { 0 };
  FmShape part;

  if (fm_graph_failed (g))
    return;
  axis = fm_axis (state, axis, "assign-slice");
  if (axis < 0 || !start_is_sound (g, "assign-slice", state, start, axis))
    return;
  part = value->shape;
  if (axis < part.rank && part.dims[axis] <= state->shape.dims[axis])
    part.dims[axis] = state->shape.dims[axis];
  if (state->kind != FM_TENSOR_VARIABLE)
    fm_graph_fail (g, "assign-slice", "writes variables only, not the result of an op");
  else if (value->type != state->type || !fm_shape_equal (&part, &state->shape))
    {
      g_autofree char *got = fm_shape_to_string (&value->shape), *want = fm_shape_to_string (&state->shape);

      fm_graph_fail (g, "assign-slice", "\"%s\" is %s %s and takes a part of it along axis %d, not %s %s", state->name,
                     fm_type_name (state->type), want, axis, fm_type_name (value->type), got);
    }
  else
    {
      attr.i[0] = axis;
      fm_node_new (g, &assign_op, in, G_N_ELEMENTS (in), &attr);
    }
}

/* --- Roll ---------------------------------------------------------------------------------------------------------*/

static gboolean
roll_infer (FmNode *node)
{
  node->out[0]->type = node->in[0]->type;
  node->out[0]->shape = node->in[0]->shape;
  return TRUE;
}

static void
roll_cpu (const FmNode *node, const FmCpuArgs *args)
{
  Layout l = layout_of (node->in[0], node->out[0], node->in[1], node->attr.i[0]);
  const guint32 *x = args->in[0];
  guint32 *y = args->out[0];

#pragma omp parallel for schedule(static) num_threads(args->threads) if (l.outer * l.wide * l.inner > FM_CPU_BLOCK)
  for (gint64 i = 0; i < l.outer; i++)
    {
      gint64 shift = node->attr.i[1] * ((const gint32 *) args->in[1])[i / l.batch] % l.wide;
      const guint32 *from = x + i * l.wide * l.inner;
      guint32 *to = y + i * l.wide * l.inner;

      shift = (shift < 0 ? shift + l.wide : shift) * l.inner;
      memcpy (to + shift, from, (l.wide * l.inner - shift) * sizeof *y);
      memcpy (to, from + l.wide * l.inner - shift, shift * sizeof *y);
    }
}

static gboolean
roll_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  Layout l = layout_of (node->in[0], node->out[0], node->in[1], node->attr.i[0]);

  return record (recorder, ROLL, node->in[0], node->out[0], node->in[1], &l, l.outer * l.wide * l.inner,
                 node->attr.i[1], error);
}

static const FmOp roll_op;

static void
roll_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmAttr attr = { .i = { node->attr.i[0], -node->attr.i[1] } };

  if (node->in[0]->type == FM_F32)
    dx[0] = fm_op1 (g, &roll_op, &attr, 2, dy[0], node->in[1]);
}

static const FmOp roll_op = {
  .name = "roll", .n_in_min = 2, .n_in_max = 2, .n_out = 1, .infer = roll_infer, .gradient = roll_gradient,
  .cpu = roll_cpu, .vulkan = roll_vulkan, .cost = bytes_of_result,
};

FmTensor *
fm_dynamic_roll (FmGraph *g, FmTensor *x, gint axis, FmTensor *shift)
{
  FM_REFUSE_NULL (g, "dynamic roll", x, shift);
  FmAttr attr = { 0 };

  if (fm_graph_failed (g))
    return g->poison;
  axis = fm_axis (x, axis, "roll");
  if (axis < 0 || !start_is_sound (g, "roll", x, shift, axis))
    return g->poison;
  attr.i[0] = axis;
  attr.i[1] = 1;
  return fm_op1 (g, &roll_op, &attr, 2, x, shift);
}

FM_OPS (dynamic_slice, &slice_op, &place_op, &assign_op, &roll_op);
