/* rounded-weights.c: training with weights and activations rounded to few levels.
 * Source: card simq-nas: scales from the range of a tensor, rounding whose gradient is borrowed; card dsformer:
 * straight-through; activations on a logarithmic scale as one of the readings.
 * Shapes: B, D inputs, F hidden, C classes. */
#include "models.h"

enum { B = 10, D = 12, F = 14, C = 5 };

static FmTensor *
scale_of (FmGraph *g, FmTensor *x, gdouble levels)
{
  FmTensor *row = fm_reshape (g, x, FM_SHAPE (1, -1));
  FmTensor *range = fm_maximum (g, fm_max (g, row, -1), fm_neg (g, fm_min (g, row, -1)));

  return fm_stop_gradient (g, fm_mul_scalar (g, fm_add_scalar (g, range, 1e-6), 1.0 / levels));
}

typedef enum { NEAREST, BELOW, ABOVE } How;

static FmTensor *
rounded (FmGraph *g, FmTensor *x, gdouble levels, How how)
{
  /* The largest number must not lie where the last bit of a quotient decides: on a level for NEAREST, amid two else. */
  FmTensor *scale = scale_of (g, x, how == NEAREST ? levels : levels + 0.5), *whole = fm_div (g, x, scale);

  whole = how == NEAREST ? fm_round (g, whole) : how == BELOW ? fm_floor (g, whole) : fm_ceil (g, whole);
  whole = fm_clamp (g, whole, -levels, levels);
  return fm_straight_through (g, fm_mul (g, whole, scale), x);
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (B, D));
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (B));
  FmTensor *up = fm_param (g, "up", FM_SHAPE (F, D), fm_init_normal (0.4));
  FmTensor *down = fm_param (g, "down", FM_SHAPE (C, F), fm_init_normal (0.4));
  FmTensor *h, *low, *logits;

  h = fm_relu (g, fm_affine (g, rounded (g, x, 15, NEAREST), rounded (g, up, 7, NEAREST), NULL));
  h = fm_expm1 (g, rounded (g, fm_log1p (g, h), 15, BELOW)); /* on a logarithmic scale */
  logits = fm_affine (g, h, rounded (g, down, 7, ABOVE), NULL);
  /* How often the answer is the least likely of all: told, not trained. */
  low = fm_equal (g, fm_argmin (g, logits, -1), target);
  fm_graph_output (g, "worst", fm_mean (g, low, 0));
  fm_graph_output (g, "all-worst", fm_all (g, low, 0));
  return fm_mean (g, fm_cross_entropy (g, logits, target), 0);
}

/* Gradients of one step agree as everywhere. In training a weight that comes to lie near the middle of two levels may
 * round the other way where last bits differ: with one BLAS core of three the loss after five steps is 2.0791, not 2.0761.
 * A level is a seventh of the largest weight, about 0.15, in one logit of a few of ten rows: some hundredths of the loss.
 */
FM_MODEL (rounded_weights, .name = "rounded-weights", .card = "simq-nas", .build = build,
          .inputs = { { "target", 0, C - 1 } }, .drift = 2e-2,
          .surrogate = "rounding borrows the gradient of what it rounds");
