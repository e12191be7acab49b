/* features.c: positive random features of the softmax kernel (FAVOR+), as compositions; it has no op of its own.
 *
 * exp (x y) is the mean of exp (w x - |x|^2 / 2) exp (w y - |y|^2 / 2) over Gaussian w: all terms are positive, so sums of
 * them never vanish. Orthogonal w's of Gaussian lengths have less variance. They are drawn on the host, in double, when the
 * state is made: orthogonalising takes divisions and roots, which backends may round differently. */
#include "config.h"

#include "compute/compute-private.h"

#include <math.h>

FM_OPS (features, NULL);

#define FLOOR 1e-6 /* keeps sums of features away from 0 where all exponents are far below the largest */

/**
 * fm_orthogonal_features:
 * @m: features; @d: width of a head
 * @draws: projections that are kept, 1 or more, m d numbers each
 * @every: steps after which the next one is taken, or 0
 *
 * Source: Choromanski et al. 2020, arXiv:2009.14794, section 2.4 (orthogonal), 4.2 (redrawn).
 */
FmTensor *
fm_orthogonal_features (FmGraph *g, const char *name, gint64 m, gint64 d, gint64 draws, gint64 every)
{
  FmTensor *all, *number, *turn;

  if (fm_graph_failed (g))
    return g->poison;
  if (m < 1 || d < 1 || draws < 1 || every < 0 || m > G_MAXINT32 || d > G_MAXINT32 || draws > 1 << 20)
    return fm_graph_fail (g, "orthogonal-features", "%" G_GINT64_FORMAT " draws of %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT
                          ", every %" G_GINT64_FORMAT " steps: the first three must be 1 or more, the last 0 or more", draws, m,
                          d, every);
  all = fm_state (g, name, FM_F32, FM_SHAPE (draws, m, d), fm_init_orthogonal_gaussian (1.0));
  if (every == 0 || draws == 1)
    return fm_reshape (g, fm_slice (g, all, 0, 0, 1), FM_SHAPE (m, d));
  /* floor (step / every) mod draws. The half keeps quotients clear of whole numbers, so that no rounding moves them:
   * exact up to step 2^22. */
  number = fm_cast (g, fm_graph_input (g, "@step", FM_I32, FM_SHAPE (1)), FM_F32);
  number = fm_floor (g, fm_mul_scalar (g, fm_add_scalar (g, number, 0.5), 1.0 / (gdouble) every));
  turn = fm_floor (g, fm_mul_scalar (g, fm_add_scalar (g, number, 0.5), 1.0 / (gdouble) draws));
  number = fm_sub (g, number, fm_mul_scalar (g, turn, (gdouble) draws));
  return fm_reshape (g, fm_gather_rows (g, all, fm_cast (g, number, FM_I32)), FM_SHAPE (m, d));
}

/**
 * fm_positive_features:
 * @x: f32 `[..,N,d]`: queries or keys
 * @projection: f32 `[m,d]`, as of fm_orthogonal_features()
 * @scale: of the scores, positive: 1 / sqrt (d) as a rule
 *
 * c cancels between numerator and divisor of linear attention, but for the floor of 1e-6, which weighs where the exponents
 * of keys lie 10 and more apart. It looks at all keys: with causal attention a later key can lift the floor of an earlier
 * one. The gradient is that of all of this.
 *
 * Source: Choromanski et al. 2020, arXiv:2009.14794, lemma 1. Returns: f32 `[..,N,m]`
 */
FmTensor *
fm_positive_features (FmGraph *g, FmTensor *x, FmTensor *projection, gdouble scale, gboolean keys)
{
  FM_REFUSE_NULL (g, "positive features", x, projection);
  FmTensor *exponent, *most;
  gint64 m;

  if (fm_graph_failed (g))
    return g->poison;
  if (x->type != FM_F32 || projection->type != FM_F32 || x->shape.rank < 2 || projection->shape.rank != 2
      || projection->shape.dims[1] != fm_tensor_get_dim (x, -1) || !(scale > 0.0))
    {
      g_autofree char *sx = fm_shape_to_string (&x->shape), *sp = fm_shape_to_string (&projection->shape);

      return fm_graph_fail (g, "positive-features", "x %s, projection %s, scale %g; wants f32 [..,N,d], [m,d] and a positive "
                            "scale", sx, sp, scale);
    }
  m = projection->shape.dims[0];
  x = fm_mul_scalar (g, x, sqrt (scale));
  exponent = fm_sub (g, fm_affine (g, x, projection, NULL), fm_mul_scalar (g, fm_sum_keep (g, fm_square (g, x), -1), 0.5));
  most = fm_max_keep (g, exponent, -1);
  if (keys)
    most = fm_max_keep (g, most, -2);
  exponent = fm_exp (g, fm_sub (g, exponent, most));
  return fm_mul_scalar (g, fm_add_scalar (g, exponent, FLOOR), 1.0 / sqrt ((gdouble) m));
}
