/* binary-codes.c: attention over codes of one bit, learned through the step.
 * Source: card ecoformer: queries and keys share a projection, are compared with anchors and hashed to +1 and -1 by a
 * sign
 * whose gradient is borrowed from the clamped score; inner products of codes, shifted to stay positive, are linear
 * attention. A running mean of the scores centres them, as a state that survives runs.
 * Shapes: B, N tokens, D width, C code bits, A anchors. */
#include "models.h"

enum { B = 4, N = 11, D = 16, C = 8, A = 5, CLASSES = 5 };

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_norm (g, fm_graph_input (g, "x", FM_F32, FM_SHAPE (B, N, D)), "norm");
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (B));
  FmTensor *anchor = fm_param (g, "anchors", FM_SHAPE (A, D), fm_init_normal (1.0));
  FmTensor *shared = fm_linear (g, x, D, "query-key"), *v = fm_linear (g, x, D, "value");
  FmTensor *distance, *score, *mean, *code, *kv, *norm, *y;

  distance = fm_squared_distances (g, shared, anchor);
  score = fm_linear_no_bias (g, fm_exp (g, fm_mul_scalar (g, distance, -0.05)), C, "hash");

  mean = fm_state (g, "mean", FM_F32, FM_SHAPE (C), fm_init_zeros ());
  score = fm_sub (g, score, mean);
  fm_assign (g, mean, fm_add (g, fm_mul_scalar (g, mean, 0.9),
                              fm_mul_scalar (g, fm_mean (g, fm_mean (g, fm_stop_gradient (g, score), 0), 0), 0.1)));
  code = fm_straight_through (g, fm_sign (g, score), fm_clamp (g, score, -1.0, 1.0)); /* [B,N,C] */

  /* (C + code code) / 2C is the share of equal bits, C + ... as one more column. */
  kv = fm_matmul (g, code, v, FM_TRANS_A); /* [B,C,D] */
  y = fm_add (g, fm_matmul (g, code, kv, 0), fm_mul_scalar (g, fm_sum_keep (g, v, 1), C));
  norm = fm_matmul (g, code, fm_reshape (g, fm_sum (g, code, 1), FM_SHAPE (B, C, 1)), 0);
  y = fm_div (g, y, fm_add_scalar (g, norm, C * N + 1e-3));
  y = fm_mean (g, fm_add (g, x, fm_linear (g, y, D, "out")), 1);
  return fm_mean (g, fm_cross_entropy (g, fm_linear (g, y, CLASSES, "head"), target), 0);
}

FM_MODEL (binary_codes, .name = "binary-codes", .card = "ecoformer", .build = build,
          .inputs = { { "target", 0, CLASSES - 1 } },
          .surrogate = "the sign borrows the gradient of the clamped score");
