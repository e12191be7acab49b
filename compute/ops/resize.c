/* resize.c: bilinear resizing and sampling, as compositions.
 *
 * Resizing is linear in the picture and works on rows and columns apart: two products with small matrices whose entries are
 * max (0, 1 - |source - cell|). Sampling at given points gathers four cells a point and mixes them. */
#include "config.h"

#include "compute/compute-private.h"

/* f32 [to,from]: what each new cell takes of each old one. */
static FmTensor *
resize_matrix (FmGraph *g, gint64 from, gint64 to, gboolean align_corners)
{
  FmTensor *new_cells = fm_reshape (g, fm_cast (g, fm_iota (g, to), FM_F32), FM_SHAPE (to, 1));
  FmTensor *old_cells = fm_reshape (g, fm_cast (g, fm_iota (g, from), FM_F32), FM_SHAPE (1, from));
  FmTensor *source, *zero = fm_constant (g, FM_F32, FM_SHAPE (1, 1), 0.0);

  if (align_corners) /* first onto first, last onto last */
    source = fm_mul_scalar (g, new_cells, to > 1 ? (gdouble) (from - 1) / (gdouble) (to - 1) : 0.0);
  else /* cells as areas: centres at i + 1/2 */
    source = fm_add_scalar (g, fm_mul_scalar (g, fm_add_scalar (g, new_cells, 0.5), (gdouble) from / (gdouble) to), -0.5);
  source = fm_minimum (g, fm_maximum (g, source, zero), fm_constant (g, FM_F32, FM_SHAPE (1, 1), (gdouble) (from - 1)));
  return fm_maximum (g, zero, fm_add_scalar (g, fm_neg (g, fm_abs (g, fm_sub (g, source, old_cells))), 1.0));
}

FmTensor *
fm_resize (FmGraph *g, FmTensor *x, gint64 rows, gint64 columns, gboolean align_corners)
{
  FM_REFUSE_NULL (g, "resize", x);
  gint64 b, y, w, c;

  if (fm_graph_failed (g))
    return g->poison;
  if (x->type != FM_F32 || x->shape.rank != 4 || rows < 1 || columns < 1)
    {
      g_autofree char *shape = fm_shape_to_string (&x->shape);

      return fm_graph_fail (g, "resize", "%s to %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT ": needs f32 [B,Y,X,C] and one cell "
                            "or more", shape, rows, columns);
    }
  b = x->shape.dims[0];
  y = x->shape.dims[1];
  w = x->shape.dims[2];
  c = x->shape.dims[3];
  if (rows != y)
    x = fm_reshape (g, fm_matmul (g, resize_matrix (g, y, rows, align_corners), fm_reshape (g, x, FM_SHAPE (b, y, w * c)), 0),
                    FM_SHAPE (b, rows, w, c));
  if (columns != w)
    x = fm_matmul (g, resize_matrix (g, w, columns, align_corners), x, 0);
  return x;
}

FmTensor *
fm_sample (FmGraph *g, FmTensor *x, FmTensor *points)
{
  FM_REFUSE_NULL (g, "sample", x, points);
  gint64 b, y, w, c, n;
  FmTensor *table, *item, *py, *px, *y0, *x0, *fy, *fx, *sum = NULL;

  if (fm_graph_failed (g))
    return g->poison;
  if (x->type != FM_F32 || x->shape.rank != 4 || points->type != FM_F32 || points->shape.rank != 3 || points->shape.dims[2] != 2
      || points->shape.dims[0] != x->shape.dims[0])
    {
      g_autofree char *sx = fm_shape_to_string (&x->shape), *sp = fm_shape_to_string (&points->shape);

      return fm_graph_fail (g, "sample", "needs f32 [B,Y,X,C] and points [B,K,2], not %s and %s", sx, sp);
    }
  b = x->shape.dims[0];
  y = x->shape.dims[1];
  w = x->shape.dims[2];
  c = x->shape.dims[3];
  n = points->shape.dims[1];
  table = fm_reshape (g, x, FM_SHAPE (b * y * w, c));
  item = fm_reshape (g, fm_cast (g, fm_iota (g, b), FM_F32), FM_SHAPE (b, 1));
  /* Far outside nothing is found, wherever it is: clamped so that whole numbers stay exact. */
  points = fm_clamp (g, points, -2.0, (gdouble) MAX (y, w) + 1.0);
  py = fm_reshape (g, fm_slice (g, points, 2, 0, 1), FM_SHAPE (b, n));
  px = fm_reshape (g, fm_slice (g, points, 2, 1, 1), FM_SHAPE (b, n));
  y0 = fm_stop_gradient (g, fm_floor (g, py));
  x0 = fm_stop_gradient (g, fm_floor (g, px));
  fy = fm_sub (g, py, y0);
  fx = fm_sub (g, px, x0);
  for (guint corner = 0; corner < 4; corner++)
    {
      gboolean down = corner / 2, right = corner % 2;
      FmTensor *cy = down ? fm_add_scalar (g, y0, 1.0) : y0, *cx = right ? fm_add_scalar (g, x0, 1.0) : x0;
      FmTensor *wy = down ? fy : fm_add_scalar (g, fm_neg (g, fy), 1.0), *wx = right ? fx : fm_add_scalar (g, fm_neg (g, fx), 1.0);
      FmTensor *minus_one = fm_constant (g, FM_F32, FM_SHAPE (1, 1), -1.0), *in_y, *in_x, *index, *cell;

      in_y = fm_mul (g, fm_less (g, minus_one, cy), fm_less (g, cy, fm_constant (g, FM_F32, FM_SHAPE (1, 1), (gdouble) y)));
      in_x = fm_mul (g, fm_less (g, minus_one, cx), fm_less (g, cx, fm_constant (g, FM_F32, FM_SHAPE (1, 1), (gdouble) w)));
      /* Rows are numbered in i32: f32 counts to 2^24 only. */
      index = fm_add (g, fm_mul (g, fm_cast (g, item, FM_I32), fm_constant (g, FM_I32, FM_SHAPE (1, 1), (gdouble) (y * w))),
                      fm_add (g, fm_mul (g, fm_cast (g, cy, FM_I32), fm_constant (g, FM_I32, FM_SHAPE (1, 1), (gdouble) w)),
                              fm_cast (g, cx, FM_I32)));
      index = fm_where (g, fm_mul (g, in_y, in_x), index, fm_constant (g, FM_I32, FM_SHAPE (1, 1), -1.0));
      cell = fm_mul (g, fm_gather_rows (g, table, index), fm_reshape (g, fm_mul (g, wy, wx), FM_SHAPE (b, n, 1)));
      sum = sum ? fm_add (g, sum, cell) : cell;
    }
  return sum;
}
