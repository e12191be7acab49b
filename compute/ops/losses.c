/* losses.c: softmax with masks, over several tensors and as a logarithm; losses and divergences made of other ops. It
 * has no op of its own. Infinite logits are allowed wherever a probability of zero has a meaning. */
#include "compute/ops/rows.h"

#include <float.h>
#include <math.h>

FM_OPS (losses, NULL);

static FmTensor *
number (FmGraph *g, gdouble value)
{
  return fm_constant (g, FM_F32, FM_SHAPE (1), value);
}

/* @t [..] as [..,1], to go with the rows of @x. */
static FmTensor *
beside_rows (FmGraph *g, FmTensor *t, const FmTensor *x)
{
  FmShape shape = x->shape;

  if (fm_graph_failed (g))
    return g->poison;
  shape.dims[shape.rank - 1] = 1;
  return fm_reshape (g, t, shape);
}

/* -inf as the least number there is, so that -inf minus it stays -inf instead of becoming NaN. */
static FmTensor *
at_least_finite (FmGraph *g, FmTensor *x)
{
  return fm_maximum (g, x, number (g, -FLT_MAX));
}

/* --- Forms of softmax ---------------------------------------------------------------------------------------------*/

/**
 * fm_masked_softmax:
 * @x: f32 `[..,N]`
 * @mask: f32, broadcast to @x: not zero where an element takes part
 * @scale: factor applied before the exponential
 *
 * Zeros where the mask is zero, whatever @x holds there, NaN included; zeros throughout a row that takes no part.
 */
FmTensor *
fm_masked_softmax (FmGraph *g, FmTensor *x, FmTensor *mask, gdouble scale)
{
  FM_REFUSE_NULL (g, "masked softmax", x, mask);
  if (!(scale > 0.0)) /* times it -inf would become +inf or NaN */
    {
      x = fm_mul_scalar (g, x, scale);
      scale = 1.0;
    }
  return fm_softmax (g, fm_where (g, mask, x, number (g, -INFINITY)), scale);
}

/**
 * fm_joint_softmax:
 * @x: @n tensors f32 `[..,N_i]`, alike but for the last axis
 * @y: (out caller-allocates): @n tensors
 *
 * One softmax over the last axes of all, as if they were concatenated, which they are not: what is joined is a number a
 * row of each. A row of only -inf gives zeros. Error: 2e-7 relative for each unit of |scale x|.
 */
void
fm_joint_softmax (FmGraph *g, FmTensor * const *x, guint n, gdouble scale, FmTensor **y)
{
  g_autofree FmTensor **scaled = g_new (FmTensor *, MAX (n, 1)), **sums = g_new (FmTensor *, MAX (n, 1));
  FmTensor *total;

  for (guint i = 0; i < n; i++)
    {
      scaled[i] = scale == 1.0 ? x[i] : fm_mul_scalar (g, x[i], scale);
      sums[i] = beside_rows (g, fm_log_sum_exp (g, scaled[i], -1), x[i]);
    }
  total = fm_concat (g, sums, n, -1);
  total = at_least_finite (g, beside_rows (g, fm_log_sum_exp (g, total, -1), total));
  for (guint i = 0; i < n; i++)
    y[i] = fm_exp (g, fm_sub (g, scaled[i], total));
}

/* The maximum is taken off first, so that offsets cost no digits; the result does not depend on it. */
FmTensor *
fm_log_softmax (FmGraph *g, FmTensor *x)
{
  FM_REFUSE_NULL (g, "log softmax", x);
  FmTensor *z = fm_sub (g, x, fm_stop_gradient (g, at_least_finite (g, fm_max_keep (g, x, -1))));

  return fm_sub (g, z, at_least_finite (g, beside_rows (g, fm_log_sum_exp (g, z, -1), z)));
}

/* --- Classes ------------------------------------------------------------------------------------------------------*/

/**
 * fm_cross_entropy_smooth:
 * @smoothing: share of the target's probability that is spread over all classes, in [0,1)
 *
 * Source: Szegedy et al. 2015, arXiv:1512.00567, section 7. Logits must be finite where @smoothing is not 0.
 */
FmTensor *
fm_cross_entropy_smooth (FmGraph *g, FmTensor *logits, FmTensor *target, gdouble smoothing)
{
  FM_REFUSE_NULL (g, "cross entropy smooth", logits, target);
  FmTensor *loss = fm_cross_entropy (g, logits, target), *spread, *valid;

  if (fm_graph_failed (g) || smoothing == 0.0)
    return loss;
  if (!(smoothing > 0.0 && smoothing < 1.0))
    return fm_graph_fail (g, "cross-entropy", "smoothing %g is not in [0,1)", smoothing);
  valid = fm_mul (g, fm_less (g, target, fm_constant (g, FM_I32, FM_SHAPE (1), fm_rows_width (logits))),
                  fm_less (g, fm_constant (g, FM_I32, FM_SHAPE (1), -1), target));
  spread = fm_mul (g, fm_mean (g, fm_log_softmax (g, logits), -1), valid);
  return fm_sub (g, fm_mul_scalar (g, loss, 1.0 - smoothing), fm_mul_scalar (g, spread, smoothing));
}

FmTensor *
fm_weighted_mean (FmGraph *g, FmTensor *values, FmTensor *weights)
{
  FM_REFUSE_NULL (g, "weighted mean", values, weights);
  FmTensor *sum = fm_sum_all (g, fm_mul (g, fm_where (g, weights, values, number (g, 0.0)), weights));
  FmTensor *weight = fm_sum_all (g, weights);

  return fm_div (g, sum, fm_maximum (g, weight, number (g, FLT_MIN)));
}

/**
 * fm_binary_cross_entropy:
 * @logits: f32, any shape
 * @target: f32 in [0,1], broadcast
 * @positive_weight: factor on the term of the target; 1 for none
 *
 * -(w t log sigma (x) + (1 - t) log (1 - sigma (x))), element by element, finite and exact for any x but for roundings.
 */
FmTensor *
fm_binary_cross_entropy (FmGraph *g, FmTensor *logits, FmTensor *target, gdouble positive_weight)
{
  FM_REFUSE_NULL (g, "binary cross entropy", logits, target);
  FmTensor *hit = fm_mul (g, target, fm_softplus (g, fm_neg (g, logits)));
  FmTensor *miss = fm_mul (g, fm_sub (g, number (g, 1.0), target), fm_softplus (g, logits));

  return fm_add (g, positive_weight == 1.0 ? hit : fm_mul_scalar (g, hit, positive_weight), miss);
}

/**
 * fm_focal_loss:
 * @alpha: weight of positives, 1 - @alpha that of negatives; negative for no weights
 * @gamma: exponent of the probability of being wrong: 0, or at least 1
 *
 * (1 - p_t)^gamma times the binary cross-entropy. Source: Lin et al. 2017, arXiv:1708.02002, equation 5.
 */
FmTensor *
fm_focal_loss (FmGraph *g, FmTensor *logits, FmTensor *target, gdouble alpha, gdouble gamma)
{
  FM_REFUSE_NULL (g, "focal loss", logits, target);
  FmTensor *one = number (g, 1.0), *other = fm_sub (g, one, target), *wrong, *loss;

  if (!(gamma == 0.0 || gamma >= 1.0))
    return fm_graph_fail (g, "focal-loss", "gamma %g must be 0 or at least 1", gamma);
  loss = fm_binary_cross_entropy (g, logits, target, 1.0);
  if (gamma > 0.0)
    {
      wrong = fm_add (g, fm_mul (g, target, fm_sigmoid (g, fm_neg (g, logits))),
                      fm_mul (g, other, fm_sigmoid (g, logits)));
      loss = fm_mul (g, loss, fm_pow_scalar (g, wrong, gamma));
    }
  if (alpha >= 0.0)
    loss = fm_mul (g, loss, fm_add (g, fm_mul_scalar (g, target, alpha), fm_mul_scalar (g, other, 1.0 - alpha)));
  return loss;
}

/**
 * fm_dice_loss:
 * @p: f32 `[..,N]`, in [0,1]
 * @target: f32 `[..,N]`, in [0,1]
 * @smooth: added above and below, so that two empty masks agree
 *
 * 1 - (2 sum (p t) + smooth) / (sum p + sum t + smooth) over the last axis. Source: Milletari et al. 2016,
 * arXiv:1606.04797, section 3, without the squares below. Returns: f32 `[..]`
 */
FmTensor *
fm_dice_loss (FmGraph *g, FmTensor *p, FmTensor *target, gdouble smooth)
{
  FM_REFUSE_NULL (g, "dice loss", p, target);
  FmTensor *both = fm_mul_scalar (g, fm_sum (g, fm_mul (g, p, target), -1), 2.0);
  FmTensor *sizes = fm_sum (g, fm_add (g, p, target), -1);

  return fm_sub (g, number (g, 1.0), fm_div (g, fm_add_scalar (g, both, smooth), fm_add_scalar (g, sizes, smooth)));
}

/* --- Divergences --------------------------------------------------------------------------------------------------*/

/* sum (weight (a - b)) over the last axis, 0 where @mask is: log 0 - log 0 must not become NaN. */
static FmTensor *
weighted_difference (FmGraph *g, FmTensor *mask, FmTensor *weight, FmTensor *a, FmTensor *b)
{
  FmTensor *difference = fm_where (g, mask, fm_sub (g, a, b), number (g, 0.0));

  return fm_sum (g, fm_mul (g, weight, difference), -1);
}

FmTensor *
fm_kl_from_logits (FmGraph *g, FmTensor *p, FmTensor *q)
{
  FM_REFUSE_NULL (g, "kl from logits", p, q);
  FmTensor *log_p = fm_log_softmax (g, p), *weight = fm_exp (g, log_p);

  return weighted_difference (g, weight, weight, log_p, fm_log_softmax (g, q));
}

FmTensor *
fm_symmetric_kl_from_logits (FmGraph *g, FmTensor *p, FmTensor *q)
{
  FM_REFUSE_NULL (g, "symmetric kl from logits", p, q);
  FmTensor *log_p = fm_log_softmax (g, p), *log_q = fm_log_softmax (g, q), *exp_p = fm_exp (g, log_p);
  FmTensor *exp_q = fm_exp (g, log_q), *sum;

  sum = weighted_difference (g, fm_add (g, exp_p, exp_q), fm_sub (g, exp_p, exp_q), log_p, log_q);
  return fm_mul_scalar (g, sum, 0.5);
}

FmTensor *
fm_kl_divergence (FmGraph *g, FmTensor *p, FmTensor *q)
{
  FM_REFUSE_NULL (g, "kl divergence", p, q);
  FmTensor *one = number (g, 1.0);

  return weighted_difference (g, p, p, fm_log (g, fm_where (g, p, p, one)), fm_log (g, fm_where (g, p, q, one)));
}

FmTensor *
fm_js_divergence (FmGraph *g, FmTensor *p, FmTensor *q)
{
  FM_REFUSE_NULL (g, "js divergence", p, q);
  FmTensor *middle = fm_mul_scalar (g, fm_add (g, p, q), 0.5);

  return fm_mul_scalar (g, fm_add (g, fm_kl_divergence (g, p, middle), fm_kl_divergence (g, q, middle)), 0.5);
}

/* --- Distances ----------------------------------------------------------------------------------------------------*/

FmTensor *
fm_mse (FmGraph *g, FmTensor *a, FmTensor *b)
{
  FM_REFUSE_NULL (g, "mse", a, b);
  return fm_mean_all (g, fm_square (g, fm_sub (g, a, b)));
}

/* With m = min (|d|, delta) it is m (|d| - m / 2): d^2 / 2 inside, delta (|d| - delta / 2) outside. */
FmTensor *
fm_huber (FmGraph *g, FmTensor *a, FmTensor *b, gdouble delta)
{
  FM_REFUSE_NULL (g, "huber", a, b);
  FmTensor *distance = fm_abs (g, fm_sub (g, a, b)), *m;

  if (!(delta > 0.0))
    return fm_graph_fail (g, "huber", "delta %g must be positive", delta);
  m = fm_minimum (g, distance, number (g, delta));
  return fm_mul (g, m, fm_sub (g, distance, fm_mul_scalar (g, m, 0.5)));
}

FmTensor *
fm_cosine_similarity (FmGraph *g, FmTensor *a, FmTensor *b)
{
  FM_REFUSE_NULL (g, "cosine similarity", a, b);
  return fm_sum (g, fm_mul (g, fm_l2_normalize (g, a, 1e-12), fm_l2_normalize (g, b, 1e-12)), -1);
}

/**
 * fm_contrastive_loss:
 * @a: f32 `[B,D]`
 * @b: f32 `[B,D]`: row i belongs to row i of @a, the other rows are what it must not be taken for
 * @temperature: divides the cosines
 *
 * The mean of the cross-entropies of both directions. Source: Radford et al. 2021, arXiv:2103.00020, figure 3.
 * Returns: f32 `[B]`
 */
FmTensor *
fm_contrastive_loss (FmGraph *g, FmTensor *a, FmTensor *b, gdouble temperature)
{
  FM_REFUSE_NULL (g, "contrastive loss", a, b);
  FmTensor *scores, *target, *there, *back;

  if (fm_graph_failed (g))
    return g->poison;
  if (!(temperature > 0.0) || a->shape.rank != 2 || !fm_shape_equal (&a->shape, &b->shape))
    return fm_graph_fail (g, "contrastive-loss", "needs two operands [B,D] of one shape and a positive temperature");
  scores = fm_matmul (g, fm_l2_normalize (g, a, 1e-12), fm_l2_normalize (g, b, 1e-12), FM_TRANS_B);
  scores = fm_mul_scalar (g, scores, 1.0 / temperature);
  target = fm_iota (g, a->shape.dims[0]);
  there = fm_cross_entropy (g, scores, target);
  back = fm_cross_entropy (g, fm_transpose (g, scores, 0, 1), target);
  return fm_mul_scalar (g, fm_add (g, there, back), 0.5);
}
