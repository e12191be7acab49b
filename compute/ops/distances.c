/* distances.c: squared distances of pairs, as compositions; it has no op of its own.
 *
 * From a product, |x - y|^2 = |x|^2 + |y|^2 - 2 x y loses what the squares have in common: the error is a rounding of the
 * squares, however small the distance. Both sets are therefore moved so that the mean of y is 0, which changes no distance
 * and no gradient; and few coordinates are subtracted one by one, where a product would be idle anyway. */
#include "config.h"

#include "compute/compute-private.h"

FM_OPS (distances, NULL);

#define MOST_DIRECT 8 /* coordinates; each costs a pass over [N,M], which one chain of elementwise nodes takes at once */

static FmTensor *
direct (FmGraph *g, FmTensor *x, FmTensor *y, gint64 d)
{
  FmTensor *sum = NULL;

  for (gint64 c = 0; c < d; c++)
    {
      FmTensor *square = fm_square (g, fm_sub (g, fm_slice (g, x, -1, c, 1),                         /* [..,N,1] */
                                               fm_transpose (g, fm_slice (g, y, -1, c, 1), -2, -1))); /* [..,1,M] */

      sum = sum ? fm_add (g, sum, square) : square;
    }
  return sum;
}

/**
 * fm_squared_distances:
 * @x: f32 `[..,N,D]`
 * @y: f32 `[..,M,D]`; leading axes broadcast
 *
 * Error: up to D = 8, (D + 2) roundings of the result, relative. Beyond, FM_DISTANCES_MAX_ERR times |x_i - c|^2 +
 * |y_j - c|^2 with c the mean of y's rows, absolute: pairs that lie a thousand times nearer to each other than to the rest
 * have no digits left. What rounding leaves below zero becomes 0; the gradient is that of the formula throughout, so that
 * pairs at distance 0 have a second derivative, too. Roots and logarithms want a floor: the slope of sqrt is infinite at 0.
 *
 * Returns: f32 `[..,N,M]`
 */
FmTensor *
fm_squared_distances (FmGraph *g, FmTensor *x, FmTensor *y)
{
  FM_REFUSE_NULL (g, "squared distances", x, y);
  FmTensor *centre, *both, *product, *sum;
  gint64 d;

  if (fm_graph_failed (g))
    return g->poison;
  d = fm_tensor_get_dim (x, -1);
  if (x->type != FM_F32 || y->type != FM_F32 || x->shape.rank < 2 || y->shape.rank < 2 || fm_tensor_get_dim (y, -1) != d)
    {
      g_autofree char *sx = fm_shape_to_string (&x->shape), *sy = fm_shape_to_string (&y->shape);

      return fm_graph_fail (g, "squared-distances", "x %s, y %s; wants f32 [..,N,D] and [..,M,D]", sx, sy);
    }
  if (d <= MOST_DIRECT)
    return direct (g, x, y, d);
  centre = fm_stop_gradient (g, fm_mean_keep (g, y, -2));
  x = fm_sub (g, x, centre);
  y = fm_sub (g, y, centre);
  product = fm_mul_scalar (g, fm_matmul (g, x, y, FM_TRANS_B), -2.0);
  both = fm_add (g, fm_sum_keep (g, fm_square (g, x), -1), fm_transpose (g, fm_sum_keep (g, fm_square (g, y), -1), -2, -1));
  sum = fm_add (g, product, both);
  return fm_straight_through (g, fm_maximum (g, sum, fm_constant (g, FM_F32, FM_SHAPE (1), 0.0)), sum);
}
