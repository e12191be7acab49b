/* view.c: reshape, permute, transpose, slice and expand: other shapes and strides on the same memory, no kernel.
 *
 * Attributes: reshape and expand i[0] rank, i[1..] dims; permute i[k] source of axis k; slice i[0] axis, i[1] start,
 * i[2] length, i[3] step. */
#include "config.h"

#include "movement.h"

#include <string.h>

/* Strides of @shape over the memory of @x, or FALSE when no strides can say it. Axes of @x are grouped into runs that
 * lie without gaps; every new axis must fall inside one run. */
static gboolean
reshape_strides (const FmTensor *x, const FmShape *shape, gint64 *stride)
{
  gint64 dims[FM_MAX_RANK], strides[FM_MAX_RANK];
  guint n = 0, j = 0;

  for (guint i = 0; i < x->shape.rank; i++)
    if (x->shape.dims[i] != 1)
      {
        if (n > 0 && strides[n - 1] == x->stride[i] * x->shape.dims[i])
          {
            dims[n - 1] *= x->shape.dims[i];
            strides[n - 1] = x->stride[i];
          }
        else
          {
            dims[n] = x->shape.dims[i];
            strides[n++] = x->stride[i];
          }
      }
  for (guint run = 0; run < n; run++)
    {
      gint64 left = dims[run];

      while (left > 1)
        {
          if (j == shape->rank)
            return FALSE;
          if (left % shape->dims[j] != 0)
            return FALSE;
          left /= shape->dims[j];
          stride[j++] = left * strides[run];
        }
    }
  /* What is left over are axes of size 1. Those inside a run got a stride above that is as good as any. */
  for (; j < shape->rank; j++)
    stride[j] = 1;
  return TRUE;
}

gboolean
fm_reshape_is_view (const FmTensor *x, const FmShape *shape)
{
  gint64 stride[FM_MAX_RANK];

  return reshape_strides (x, shape, stride);
}

static void
shape_to_attr (const FmShape *shape, FmAttr *attr)
{
  attr->i[0] = shape->rank;
  for (guint i = 0; i < shape->rank; i++)
    attr->i[i + 1] = shape->dims[i];
}

static FmShape
shape_from_attr (const FmAttr *attr)
{
  FmShape shape = { .rank = (guint) attr->i[0] };

  for (guint i = 0; i < shape.rank; i++)
    shape.dims[i] = attr->i[i + 1];
  return shape;
}

/* --- Reshape ------------------------------------------------------------------------------------------------------*/

static gboolean
reshape_infer (FmNode *node)
{
  FmTensor *x = node->in[0], *y = node->out[0];

  y->type = x->type;
  y->shape = shape_from_attr (&node->attr);
  y->offset = x->offset;
  g_return_val_if_fail (reshape_strides (x, &y->shape, y->stride), FALSE);
  return TRUE;
}

static void
reshape_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  dx[0] = fm_reshape (g, dy[0], node->in[0]->shape);
}

static const FmOp reshape_op = {
  .name = "reshape", .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = FM_OP_VIEW | FM_OP_STRIDED | FM_OP_NARROW,
  .infer = reshape_infer, .gradient = reshape_gradient,
};

FmTensor *
fm_reshape (FmGraph *g, FmTensor *x, FmShape shape)
{
  FM_REFUSE_NULL (g, "reshape", x);
  FmAttr attr = { 0 };
  gint64 count, product = 1, stride[FM_MAX_RANK];
  gint free_axis = -1;

  if (fm_graph_failed (g))
    return g->poison;
  if (shape.rank < 1 || shape.rank > FM_MAX_RANK)
    return fm_graph_fail (g, "reshape", "to rank %u; must lie between 1 and %d", shape.rank, FM_MAX_RANK);
  count = fm_shape_count (&x->shape);
  for (guint i = 0; i < shape.rank; i++)
    {
      if (shape.dims[i] == -1 && free_axis < 0)
        free_axis = (gint) i;
      else if (shape.dims[i] < 1)
        return fm_graph_fail (g, "reshape", "axis %u has size %" G_GINT64_FORMAT "; sizes start at 1, one may be -1", i,
                              shape.dims[i]);
      else if (__builtin_mul_overflow (product, shape.dims[i], &product))
        return fm_graph_fail (g, "reshape", "the number of elements does not fit 64 bits");
    }
  if (free_axis >= 0 && count % product == 0)
    {
      shape.dims[free_axis] = count / product;
      product = count;
    }
  if (product != count || (free_axis >= 0 && shape.dims[free_axis] < 1))
    {
      g_autofree char *from = fm_shape_to_string (&x->shape), *to = fm_shape_to_string (&shape);

      return fm_graph_fail (g, "reshape", "%s has %" G_GINT64_FORMAT " elements and cannot become %s", from, count, to);
    }
  if (fm_shape_equal (&x->shape, &shape))
    return x;
  if (!reshape_strides (x, &shape, stride))
    x = fm_contiguous (g, x);
  shape_to_attr (&shape, &attr);
  return fm_op1 (g, &reshape_op, &attr, 1, x);
}

/* --- Permute ------------------------------------------------------------------------------------------------------*/

static gboolean
permute_infer (FmNode *node)
{
  FmTensor *x = node->in[0], *y = node->out[0];

  y->type = x->type;
  y->shape.rank = x->shape.rank;
  y->offset = x->offset;
  for (guint i = 0; i < x->shape.rank; i++)
    {
      y->shape.dims[i] = x->shape.dims[node->attr.i[i]];
      y->stride[i] = x->stride[node->attr.i[i]];
    }
  return TRUE;
}

static void
permute_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  gint axes[FM_MAX_RANK];

  for (guint i = 0; i < node->in[0]->shape.rank; i++)
    axes[node->attr.i[i]] = (gint) i;
  dx[0] = fm_permute (g, dy[0], axes);
}

static const FmOp permute_op = {
  .name = "permute", .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = FM_OP_VIEW | FM_OP_STRIDED | FM_OP_NARROW,
  .infer = permute_infer, .gradient = permute_gradient,
};

FmTensor *
fm_permute (FmGraph *g, FmTensor *x, const gint *axes)
{
  FM_REFUSE_NULL (g, "permute", x);
  FmAttr attr = { 0 };
  guint seen = 0;
  gboolean moved = FALSE;

  if (fm_graph_failed (g))
    return g->poison;
  for (guint i = 0; i < x->shape.rank; i++)
    {
      gint axis = fm_axis (x, axes[i], "permute");

      if (axis < 0)
        return g->poison;
      if (seen & 1u << axis)
        return fm_graph_fail (g, "permute", "axis %d is named twice; every axis must be named once", axis);
      seen |= 1u << axis;
      moved |= axis != (gint) i;
      attr.i[i] = axis;
    }
  return moved ? fm_op1 (g, &permute_op, &attr, 1, x) : x;
}

FmTensor *
fm_transpose (FmGraph *g, FmTensor *x, gint axis_a, gint axis_b)
{
  FM_REFUSE_NULL (g, "transpose", x);
  gint axes[FM_MAX_RANK];

  if (fm_graph_failed (g))
    return g->poison;
  axis_a = fm_axis (x, axis_a, "transpose");
  axis_b = fm_axis (x, axis_b, "transpose");
  if (axis_a < 0 || axis_b < 0)
    return g->poison;
  for (guint i = 0; i < x->shape.rank; i++)
    axes[i] = (gint) i;
  axes[axis_a] = axis_b;
  axes[axis_b] = axis_a;
  return fm_permute (g, x, axes);
}

/* --- Slice --------------------------------------------------------------------------------------------------------*/

static gboolean
slice_infer (FmNode *node)
{
  FmTensor *x = node->in[0], *y = node->out[0];
  gint64 axis = node->attr.i[0];

  y->type = x->type;
  y->shape = x->shape;
  memcpy (y->stride, x->stride, sizeof y->stride);
  y->shape.dims[axis] = node->attr.i[2];
  y->offset = x->offset + node->attr.i[1] * x->stride[axis];
  y->stride[axis] *= node->attr.i[3];
  return TRUE;
}

/* Back to where it came from: turned round for a negative step, zeros between for a step above one, zeros around. */
static void
slice_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  const FmShape whole = node->in[0]->shape, part = node->out[0]->shape;
  gint axis = (gint) node->attr.i[0];
  gint64 start = node->attr.i[1], length = node->attr.i[2], step = node->attr.i[3], span = length, outer = 1, inner = 1;
  FmTensor *d = dy[0];

  if (step < 0)
    {
      d = fm_slice_step (g, d, axis, length - 1, length, -1);
      start += (length - 1) * step;
      step = -step;
    }
  if (step > 1 && length > 1)
    {
      FmShape spread = part;

      for (guint a = 0; a < part.rank; a++)
        if ((gint) a < axis)
          outer *= part.dims[a];
        else if ((gint) a > axis)
          inner *= part.dims[a];
      d = fm_pad (g, fm_reshape (g, d, FM_SHAPE (outer, length, 1, inner)), 2, 0, step - 1);
      spread.dims[axis] = length * step;
      span = (length - 1) * step + 1;
      d = fm_slice (g, fm_reshape (g, d, spread), axis, 0, span);
    }
  dx[0] = fm_pad (g, d, axis, start, whole.dims[axis] - start - span);
}

static const FmOp slice_op = {
  .name = "slice", .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = FM_OP_VIEW | FM_OP_STRIDED | FM_OP_NARROW,
  .infer = slice_infer, .gradient = slice_gradient,
};

FmTensor *
fm_slice (FmGraph *g, FmTensor *x, gint axis, gint64 start, gint64 length)
{
  FM_REFUSE_NULL (g, "slice", x);
  FmAttr attr = { 0 };
  gint64 dim;

  if (fm_graph_failed (g))
    return g->poison;
  axis = fm_axis (x, axis, "slice");
  if (axis < 0)
    return g->poison;
  dim = x->shape.dims[axis];
  if (start < 0 || length < 1 || start > dim - length)
    return fm_graph_fail (g, "slice", "%" G_GINT64_FORMAT " elements from %" G_GINT64_FORMAT " do not lie within axis "
                          "%d of size %" G_GINT64_FORMAT, length, start, axis, dim);
  if (length == dim)
    return x;
  attr.i[0] = axis;
  attr.i[1] = start;
  attr.i[2] = length;
  attr.i[3] = 1;
  return fm_op1 (g, &slice_op, &attr, 1, x);
}

/* Kernels that take any strides take those above zero; one below is seen by the copy alone. */
FmTensor *
fm_slice_step (FmGraph *g, FmTensor *x, gint axis, gint64 start, gint64 length, gint64 step)
{
  FM_REFUSE_NULL (g, "slice step", x);
  FmAttr attr = { 0 };
  gint64 dim, reach;

  if (fm_graph_failed (g))
    return g->poison;
  axis = fm_axis (x, axis, "slice");
  if (axis < 0)
    return g->poison;
  dim = x->shape.dims[axis];
  if (step == 0 || step == G_MININT64)
    return fm_graph_fail (g, "slice", "a step of %" G_GINT64_FORMAT " leads nowhere", step);
  reach = start < 0 || start >= dim ? -1 : step > 0 ? dim - 1 - start : start; /* how far it may go */
  if (reach < 0 || length < 1 || length - 1 > reach / ABS (step))
    return fm_graph_fail (g, "slice", "%" G_GINT64_FORMAT " elements from %" G_GINT64_FORMAT " in steps of %"
                          G_GINT64_FORMAT " do not lie within axis %d of size %" G_GINT64_FORMAT, length, start, step,
                          axis, dim);
  if (length == 1 || step == 1)
    return fm_slice (g, x, axis, start, length);
  attr.i[0] = axis;
  attr.i[1] = start;
  attr.i[2] = length;
  attr.i[3] = step;
  x = fm_op1 (g, &slice_op, &attr, 1, x);
  return step < 0 ? fm_contiguous (g, x) : x;
}

/* --- Expand -------------------------------------------------------------------------------------------------------*/

static gboolean
expand_infer (FmNode *node)
{
  FmTensor *x = node->in[0], *y = node->out[0];
  guint added;

  y->type = x->type;
  y->shape = shape_from_attr (&node->attr);
  y->offset = x->offset;
  added = y->shape.rank - x->shape.rank;
  for (guint i = 0; i < y->shape.rank; i++)
    y->stride[i] = i < added || x->shape.dims[i - added] != y->shape.dims[i] ? 0 : x->stride[i - added];
  return TRUE;
}

static void
expand_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  dx[0] = fm_sum_to (g, dy[0], node->in[0]->shape);
}

static const FmOp expand_op = {
  .name = "expand", .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = FM_OP_VIEW | FM_OP_STRIDED | FM_OP_NARROW,
  .infer = expand_infer, .gradient = expand_gradient,
};

FmTensor *
fm_expand (FmGraph *g, FmTensor *x, FmShape shape)
{
  FM_REFUSE_NULL (g, "expand", x);
  FmAttr attr = { 0 };
  FmShape all;

  if (fm_graph_failed (g))
    return g->poison;
  if (shape.rank < 1 || shape.rank > FM_MAX_RANK)
    return fm_graph_fail (g, "expand", "to rank %u; must lie between 1 and %d", shape.rank, FM_MAX_RANK);
  if (fm_shape_equal (&x->shape, &shape))
    return x;
  if (!fm_shape_broadcast (&x->shape, &shape, &all) || !fm_shape_equal (&all, &shape))
    {
      g_autofree char *from = fm_shape_to_string (&x->shape), *to = fm_shape_to_string (&shape);

      return fm_graph_fail (g, "expand", "%s does not repeat to %s; only axes of size 1 repeat", from, to);
    }
  shape_to_attr (&shape, &attr);
  return fm_op1 (g, &expand_op, &attr, 1, x);
}

/* --- Heads: compositions ------------------------------------------------------------------------------------------*/

FmTensor *
fm_split_heads (FmGraph *g, FmTensor *x, gint64 heads)
{
  FM_REFUSE_NULL (g, "split heads", x);
  gint64 width;

  if (fm_graph_failed (g))
    return g->poison;
  if (x->shape.rank != 3)
    return fm_graph_fail (g, "split-heads", "wants [B,N,D], not %u axes", x->shape.rank);
  width = x->shape.dims[2];
  if (heads < 1 || width % heads != 0)
    return fm_graph_fail (g, "split-heads", "%" G_GINT64_FORMAT " heads do not divide width %" G_GINT64_FORMAT,
                          heads, width);
  x = fm_reshape (g, x, FM_SHAPE (x->shape.dims[0], x->shape.dims[1], heads, width / heads));
  return fm_transpose (g, x, 1, 2);
}

FmTensor *
fm_merge_heads (FmGraph *g, FmTensor *x)
{
  FM_REFUSE_NULL (g, "merge heads", x);
  gint64 b, h, n, d;

  if (fm_graph_failed (g))
    return g->poison;
  if (x->shape.rank != 4)
    return fm_graph_fail (g, "merge-heads", "wants [B,H,N,d], not %u axes", x->shape.rank);
  b = x->shape.dims[0];
  h = x->shape.dims[1];
  n = x->shape.dims[2];
  d = x->shape.dims[3];
  return fm_reshape (g, fm_transpose (g, x, 1, 2), FM_SHAPE (b, n, h * d));
}

FM_OPS (view, &reshape_op, &permute_op, &slice_op, &expand_op);
