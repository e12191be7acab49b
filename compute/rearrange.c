/* rearrange.c: movements of data that are made of others: roll, repeat, tile, stack, split, flip, padding with modes,
 * triangles. */
#include "config.h"

#include "compute/compute-private.h"

/* x as [outer,dim,inner] around @axis. */
static FmShape
around (const FmTensor *x, gint axis)
{
  FmShape s = FM_SHAPE (1, x->shape.dims[axis], 1);

  for (guint a = 0; a < x->shape.rank; a++)
    if ((gint) a < axis)
      s.dims[0] *= x->shape.dims[a];
    else if ((gint) a > axis)
      s.dims[2] *= x->shape.dims[a];
  return s;
}

FmTensor *
fm_flip (FmGraph *g, FmTensor *x, gint axis)
{
  FM_REFUSE_NULL (g, "flip", x);
  gint64 dim;

  if (fm_graph_failed (g))
    return g->poison;
  axis = fm_axis (x, axis, "flip");
  if (axis < 0)
    return g->poison;
  dim = x->shape.dims[axis];
  return fm_slice_step (g, x, axis, dim - 1, dim, -1);
}

FmTensor *
fm_roll (FmGraph *g, FmTensor *x, gint axis, gint64 shift)
{
  FM_REFUSE_NULL (g, "roll", x);
  FmTensor *parts[2];
  gint64 dim;

  if (fm_graph_failed (g))
    return g->poison;
  axis = fm_axis (x, axis, "roll");
  if (axis < 0)
    return g->poison;
  dim = x->shape.dims[axis];
  shift = (shift % dim + dim) % dim;
  if (shift == 0)
    return x;
  parts[0] = fm_slice (g, x, axis, dim - shift, shift);
  parts[1] = fm_slice (g, x, axis, 0, dim - shift);
  return fm_concat (g, parts, 2, axis);
}

/* An axis of @times is put behind the repeated one (each element in turn) or before it (the whole again). */
static FmTensor *
repeated (FmGraph *g, FmTensor *x, gint axis, gint64 times, gboolean whole)
{
  FmShape flat, shape;

  if (fm_graph_failed (g))
    return g->poison;
  axis = fm_axis (x, axis, "repeat");
  if (axis < 0)
    return g->poison;
  if (times < 1 || times > G_MAXINT64 / x->shape.dims[axis])
    return fm_graph_fail (g, "repeat", "%" G_GINT64_FORMAT " times; wants at least once", times);
  if (times == 1)
    return x;
  flat = around (x, axis);
  shape = x->shape;
  shape.dims[axis] *= times;
  if (whole)
    {
      x = fm_reshape (g, x, FM_SHAPE (flat.dims[0], 1, flat.dims[1], flat.dims[2]));
      x = fm_expand (g, x, FM_SHAPE (flat.dims[0], times, flat.dims[1], flat.dims[2]));
    }
  else
    {
      x = fm_reshape (g, x, FM_SHAPE (flat.dims[0], flat.dims[1], 1, flat.dims[2]));
      x = fm_expand (g, x, FM_SHAPE (flat.dims[0], flat.dims[1], times, flat.dims[2]));
    }
  return fm_reshape (g, x, shape);
}

FmTensor *
fm_repeat (FmGraph *g, FmTensor *x, gint axis, gint64 times)
{
  FM_REFUSE_NULL (g, "repeat", x);
  return repeated (g, x, axis, times, FALSE);
}

FmTensor *
fm_tile (FmGraph *g, FmTensor *x, gint axis, gint64 times)
{
  FM_REFUSE_NULL (g, "tile", x);
  return repeated (g, x, axis, times, TRUE);
}

FmTensor *
fm_stack (FmGraph *g, FmTensor * const *x, guint n, gint axis)
{
  g_autofree FmTensor **rows = g_new (FmTensor *, MAX (n, 1));
  gint rank;

  if (fm_graph_failed (g))
    return g->poison;
  if (n < 1)
    return fm_graph_fail (g, "stack", "wants at least one tensor");
  if (fm_graph_refuse_null (g, "stack", x, n))
    return g->poison;
  rank = (gint) x[0]->shape.rank;
  if (rank == FM_MAX_RANK || axis > rank || axis < -rank - 1)
    return fm_graph_fail (g, "stack", "cannot put axis %d into %d axes; %d are the most", axis, rank, FM_MAX_RANK);
  axis = axis < 0 ? axis + rank + 1 : axis;
  for (guint i = 0; i < n; i++)
    {
      FmShape shape = { .rank = (guint) rank + 1 };

      if (!fm_shape_equal (&x[i]->shape, &x[0]->shape))
        return fm_graph_fail (g, "stack", "tensor %u has another shape than the first", i);
      for (gint a = 0; a <= rank; a++)
        shape.dims[a] = a == axis ? 1 : x[0]->shape.dims[a < axis ? a : a - 1];
      rows[i] = fm_reshape (g, x[i], shape);
    }
  return fm_concat (g, rows, n, axis);
}

void
fm_split (FmGraph *g, FmTensor *x, gint axis, guint n, FmTensor **parts)
{
  gint64 dim;

  for (guint i = 0; i < n; i++)
    parts[i] = g->poison;
  if (fm_graph_failed (g))
    return;
  axis = fm_axis (x, axis, "split");
  if (axis < 0)
    return;
  dim = x->shape.dims[axis];
  if (n < 1 || dim % n != 0)
    {
      fm_graph_fail (g, "split", "%u parts do not divide axis %d of size %" G_GINT64_FORMAT, n, axis, dim);
      return;
    }
  for (guint i = 0; i < n; i++)
    parts[i] = fm_slice (g, x, axis, i * (dim / n), dim / n);
}

FmTensor *
fm_pad_mode (FmGraph *g, FmTensor *x, gint axis, gint64 before, gint64 after, FmPadMode mode, gdouble value)
{
  FM_REFUSE_NULL (g, "pad mode", x);
  FmTensor *parts[3];
  FmShape side;
  gint64 dim, most;
  guint n = 0;

  if (fm_graph_failed (g))
    return g->poison;
  axis = fm_axis (x, axis, "pad");
  if (axis < 0)
    return g->poison;
  if (mode == FM_PAD_VALUE && value == 0.0)
    return fm_pad (g, x, axis, before, after);
  dim = x->shape.dims[axis];
  most = mode == FM_PAD_REFLECT ? dim - 1 : mode == FM_PAD_CIRCULAR ? dim : G_MAXINT64 / 4;
  if (before < 0 || after < 0 || before > most || after > most)
    return fm_graph_fail (g, "pad", "%" G_GINT64_FORMAT " before and %" G_GINT64_FORMAT " after; wants 0 to %"
                          G_GINT64_FORMAT, before, after, most);
  side = x->shape;
  side.dims[axis] = before;
  if (before > 0)
    switch (mode)
      {
      case FM_PAD_REFLECT:  parts[n++] = fm_slice_step (g, x, axis, before, before, -1); break;
      case FM_PAD_CIRCULAR: parts[n++] = fm_slice (g, x, axis, dim - before, before); break;
      case FM_PAD_EDGE:     parts[n++] = fm_expand (g, fm_slice (g, x, axis, 0, 1), side); break;
      default:              parts[n++] = fm_constant (g, x->type, side, value); break;
      }
  parts[n++] = x;
  side.dims[axis] = after;
  if (after > 0)
    switch (mode)
      {
      case FM_PAD_REFLECT:  parts[n++] = fm_slice_step (g, x, axis, dim - 2, after, -1); break;
      case FM_PAD_CIRCULAR: parts[n++] = fm_slice (g, x, axis, 0, after); break;
      case FM_PAD_EDGE:     parts[n++] = fm_expand (g, fm_slice (g, x, axis, dim - 1, 1), side); break;
      default:              parts[n++] = fm_constant (g, x->type, side, value); break;
      }
  return fm_concat (g, parts, n, axis);
}

/* f32 [n,m]: 1 where column <= row + diagonal. */
static FmTensor *
triangle (FmGraph *g, gint64 n, gint64 m, gint64 diagonal)
{
  FmTensor *row = fm_reshape (g, fm_iota (g, n), FM_SHAPE (n, 1));

  diagonal = CLAMP (diagonal, -n, m);
  return fm_less_equal (g, fm_iota (g, m), fm_add (g, row, fm_constant (g, FM_I32, FM_SHAPE (1), diagonal)));
}

FmTensor *
fm_tril (FmGraph *g, FmTensor *x, gint64 diagonal)
{
  FM_REFUSE_NULL (g, "tril", x);
  if (fm_graph_failed (g))
    return g->poison;
  if (x->shape.rank < 2)
    return fm_graph_fail (g, "triangle", "wants at least two axes");
  return fm_where (g, triangle (g, x->shape.dims[x->shape.rank - 2], x->shape.dims[x->shape.rank - 1], diagonal), x,
                   fm_constant (g, x->type, FM_SHAPE (1), 0.0));
}

FmTensor *
fm_triu (FmGraph *g, FmTensor *x, gint64 diagonal)
{
  FM_REFUSE_NULL (g, "triu", x);
  if (fm_graph_failed (g))
    return g->poison;
  if (x->shape.rank < 2)
    return fm_graph_fail (g, "triangle", "wants at least two axes");
  diagonal = diagonal > G_MININT64 ? diagonal - 1 : diagonal;
  return fm_where (g, triangle (g, x->shape.dims[x->shape.rank - 2], x->shape.dims[x->shape.rank - 1], diagonal),
                   fm_constant (g, x->type, FM_SHAPE (1), 0.0), x);
}
