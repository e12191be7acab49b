/* pseudo-inverse.c: the inverse of a matrix, or what is nearest to one, by products alone; a composition. */
#include "config.h"

#include "compute/compute-private.h"

#include <float.h>

FM_OPS (pseudo_inverse, NULL);

#define MOST_ITERATIONS 64

/* a z b - less its product with @z from the left: c I - x. */
static FmTensor *
identity_less (FmGraph *g, FmTensor *identity, gdouble c, FmTensor *x)
{
  return fm_sub (g, fm_mul_scalar (g, identity, c), x);
}

/* Largest sum of magnitudes along @axis, as [..,1,1]. */
static FmTensor *
largest_sum (FmGraph *g, FmTensor *size, gint axis)
{
  return fm_max_keep (g, fm_sum_keep (g, size, axis), axis == -1 ? -2 : -1);
}

/**
 * fm_pseudo_inverse:
 * @a: f32 `[..,n,m]`, each matrix by itself
 * @iterations: 1 to 64
 *
 * Z = A^T / (|A|_1 |A|_inf), then Z <- Z (13 I - A Z (15 I - A Z (7 I - A Z))) / 4. What e = 1 - s z is for a singular value
 * s becomes (3 e^3 + e^4) / 4: near the end each iteration triples the digits, and a small s, for which z starts at
 * s / (|A|_1 |A|_inf), grows by 13/4 each time: a condition number c takes about 2 log c / log 3.25 + 3 iterations.
 * Directions below that, and those of singular value 0, are left out as a pseudo-inverse leaves them. Rounding sets an end
 * to it: A Z is right to 1e-6 c. Zeros give zeros. Gradients flow through all of it; kinks are where two rows' or columns'
 * sums are the largest, without effect once it has converged.
 *
 * Source: Xiong et al. 2021, arXiv:2102.03902, section 3.2, after Razavi et al. 2014, doi:10.1155/2014/563787. The scale is
 * each matrix' own, where their program takes the largest of the batch. Returns: f32 `[..,m,n]`
 */
FmTensor *
fm_pseudo_inverse (FmGraph *g, FmTensor *a, gint64 iterations)
{
  FM_REFUSE_NULL (g, "pseudo inverse", a);
  FmTensor *identity, *size, *scale, *z;
  gint64 n;

  if (fm_graph_failed (g))
    return g->poison;
  if (a->type != FM_F32 || a->shape.rank < 2 || iterations < 1 || iterations > MOST_ITERATIONS)
    {
      g_autofree char *shape = fm_shape_to_string (&a->shape);

      return fm_graph_fail (g, "pseudo-inverse", "%s, %" G_GINT64_FORMAT " iterations; wants f32 [..,n,m] and 1 to %d", shape,
                            iterations, MOST_ITERATIONS);
    }
  n = fm_tensor_get_dim (a, -2);
  identity = fm_one_hot (g, fm_iota (g, n), n);
  size = fm_abs (g, a);
  scale = fm_mul (g, largest_sum (g, size, -1), largest_sum (g, size, -2));
  scale = fm_maximum (g, scale, fm_constant (g, FM_F32, FM_SHAPE (1), FLT_MIN));
  z = fm_div (g, fm_transpose (g, a, -2, -1), scale);
  for (gint64 i = 0; i < iterations && !fm_graph_failed (g); i++)
    {
      FmTensor *az = fm_matmul (g, a, z, 0), *inner;

      inner = fm_matmul (g, az, identity_less (g, identity, 7.0, az), 0);
      inner = fm_matmul (g, az, identity_less (g, identity, 15.0, inner), 0);
      z = fm_mul_scalar (g, fm_matmul (g, z, identity_less (g, identity, 13.0, inner), 0), 0.25);
    }
  return z;
}
