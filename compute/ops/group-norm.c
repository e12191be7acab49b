/* group-norm.c: norms over other sets of elements than a row: groups of channels, batches, vectors of unit length.
 * Compositions over the kernels of norm.c and reduce.c; it has no op of its own. */
#include "compute/ops/rows.h"

#include <math.h>

FM_OPS (group_norm, NULL);

/**
 * fm_l2_normalize:
 * @x: f32 `[..,D]`
 * @eps: under the root; a row of zeros stays zero
 *
 * x / sqrt (sum (x^2) + eps) over the last axis: the RMS norm's kernel, whose mean square is the sum over D.
 */
FmTensor *
fm_l2_normalize (FmGraph *g, FmTensor *x, gdouble eps)
{
  FM_REFUSE_NULL (g, "l2 normalize", x);
  gdouble width = fm_tensor_get_dim (x, -1);

  return fm_mul_scalar (g, fm_rms_norm (g, x, NULL, eps / width), 1.0 / sqrt (width));
}

/**
 * fm_group_norm:
 * @x: f32 `[B,..,C]`, channels last
 * @groups: divides C; 1 takes mean and variance over all channels and positions of an example
 * @gain: (nullable): f32 `[C]`
 * @bias: (nullable): f32 `[C]`
 *
 * Source: Wu and He 2018, arXiv:1803.08494, equation 7.
 */
FmTensor *
fm_group_norm (FmGraph *g, FmTensor *x, gint64 groups, FmTensor *gain, FmTensor *bias, gdouble eps)
{
  FM_REFUSE_NULL (g, "group norm", x);
  FmShape shape;
  gint64 batch, channels, places;
  FmTensor *y;

  if (fm_graph_failed (g))
    return g->poison;
  shape = x->shape;
  batch = shape.dims[0];
  channels = fm_rows_width (x);
  places = fm_shape_count (&shape) / batch / channels;
  if (shape.rank < 2 || groups < 1 || channels % groups != 0)
    {
      g_autofree char *got = fm_shape_to_string (&shape);

      return fm_graph_fail (g, "group-norm", "needs x [B,..,C] and a number of groups that divides C, not %s and %"
                            G_GINT64_FORMAT, got, groups);
    }
  if (groups == 1)
    y = fm_reshape (g, x, FM_SHAPE (batch, places * channels));
  else
    {
      y = fm_reshape (g, x, FM_SHAPE (batch, places, groups, channels / groups));
      y = fm_reshape (g, fm_transpose (g, y, 1, 2), FM_SHAPE (batch * groups, places * (channels / groups)));
    }
  y = fm_layer_norm (g, y, NULL, NULL, eps);
  if (groups > 1)
    y = fm_transpose (g, fm_reshape (g, y, FM_SHAPE (batch, groups, places, channels / groups)), 1, 2);
  y = fm_reshape (g, y, shape);
  if (gain)
    y = fm_mul (g, y, gain);
  return bias ? fm_add (g, y, bias) : y;
}

/* Running statistics hold (1 - momentum) of what they were and momentum of this batch's; the variance that is kept is
 * the unbiased one, n / (n - 1) of the biased one that normalises, as PyTorch has it. */
static void
update_running (FmGraph *g, FmTensor *state, FmTensor *batch, gdouble momentum, gdouble factor)
{
  batch = fm_reshape (g, fm_mul_scalar (g, fm_stop_gradient (g, batch), momentum * factor), state->shape);
  fm_assign (g, state, fm_add (g, fm_mul_scalar (g, state, 1.0 - momentum), batch));
}

/**
 * fm_batch_norm:
 * @x: f32, any rank
 * @axis: the channels; all other axes are averaged over
 * @name: of the scope of its parameters and states: gain (ones), bias (zeros), mean (zeros), variance (ones), all [C]
 * @momentum: weight of this batch in the running statistics; 0.1 is usual
 * @training: TRUE: normalise by this batch and update the statistics (after the run); FALSE: normalise by them
 *
 * Source: Ioffe and Szegedy 2015, arXiv:1502.03167, algorithms 1 and 2.
 */
FmTensor *
fm_batch_norm (FmGraph *g, FmTensor *x, gint axis, const char *name, gdouble momentum, gdouble eps, gboolean training)
{
  FM_REFUSE_NULL (g, "batch norm", x);
  FmTensor *gain, *bias, *mean, *variance, *running_mean, *running_variance, *y;
  FmShape along = { 0 };
  gint64 channels, rest;

  if (fm_graph_failed (g))
    return g->poison;
  axis = fm_axis (x, axis, "batch-norm");
  if (axis < 0)
    return g->poison;
  channels = x->shape.dims[axis];
  rest = fm_shape_count (&x->shape) / channels;
  for (guint a = 0; a < x->shape.rank; a++)
    along.dims[along.rank++] = (gint) a == axis ? channels : 1;
  fm_graph_push_scope (g, "%s", name);
  gain = fm_param (g, "gain", FM_SHAPE (channels), fm_init_constant (1.0));
  bias = fm_param (g, "bias", FM_SHAPE (channels), fm_init_zeros ());
  running_mean = fm_state (g, "mean", FM_F32, FM_SHAPE (channels), fm_init_zeros ());
  running_variance = fm_state (g, "variance", FM_F32, FM_SHAPE (channels), fm_init_constant (1.0));
  fm_graph_pop_scope (g);
  if (training)
    {
      mean = fm_mul_scalar (g, fm_sum_to (g, x, along), 1.0 / rest);
      y = fm_sub (g, x, mean);
      variance = fm_mul_scalar (g, fm_sum_to (g, fm_square (g, y), along), 1.0 / rest);
      update_running (g, running_mean, mean, momentum, 1.0);
      update_running (g, running_variance, variance, momentum, rest > 1 ? (gdouble) rest / (rest - 1) : 1.0);
    }
  else
    {
      y = fm_sub (g, x, fm_reshape (g, running_mean, along));
      variance = fm_reshape (g, running_variance, along);
    }
  gain = fm_mul (g, fm_rsqrt (g, fm_add_scalar (g, variance, eps)), fm_reshape (g, gain, along));
  return fm_add (g, fm_mul (g, y, gain), fm_reshape (g, bias, along));
}
