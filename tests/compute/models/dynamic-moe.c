/* dynamic-moe.c: experts until their probabilities pass a threshold.
 * Source: card dynamic-moe: "Harder Tasks Need More Experts", 2024; the bound on kept experts, balance and entropy
 * losses.
 * Shapes: T tokens, D width, E experts, F hidden width of an expert, K = floor (p E) + 1 slots. */
#include "models.h"

enum { T = 24, D = 16, E = 8, F = 12, K = 4, CLASSES = 10 };
#define THRESHOLD 0.4

/* The shortest prefix of the sorted probabilities whose sum passes the threshold. */
static FmTensor *
gates (FmGraph *g, FmTensor *p)
{
  FmTensor *index, *slots = fm_top_p (g, p, THRESHOLD, K, &index); /* [T,K] */

  slots = fm_reshape (g, slots, FM_SHAPE (T, 1, K));
  return fm_reshape (g, fm_matmul (g, slots, fm_one_hot (g, index, E), 0), FM_SHAPE (T, E));
}

static FmTensor *
expert_product (FmGraph *g, FmTensor *x, const char *name, gint64 n, gint64 m)
{
  return fm_matmul (g, x, fm_param (g, name, FM_SHAPE (E, m, n), fm_init_normal (0.3)), FM_TRANS_B);
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_norm (g, fm_graph_input (g, "x", FM_F32, FM_SHAPE (T, D)), "norm");
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (T));
  FmTensor *p = fm_softmax (g, fm_linear_no_bias (g, x, E, "router"), 1.0), *gate = gates (g, p);
  FmTensor *h, *y, *share, *balance, *entropy, *loss;

  h = fm_reshape (g, x, FM_SHAPE (1, T, D));
  h = fm_mul (g, fm_silu (g, expert_product (g, h, "gate", D, F)), expert_product (g, h, "up", D, F));
  y = expert_product (g, h, "down", F, D); /* [E,T,D] */
  y = fm_sum (g, fm_mul (g, y, fm_reshape (g, fm_transpose (g, gate, 0, 1), FM_SHAPE (E, T, 1))), 0);

  share = fm_mean (g, fm_less (g, fm_constant (g, FM_F32, FM_SHAPE (1), 0.0), gate), 0); /* [E], no gradient */
  balance = fm_mul_scalar (g, fm_sum_all (g, fm_mul (g, share, fm_mean (g, p, 0))), E);
  entropy = fm_mul_scalar (g, fm_sum_all (g, fm_mul (g, p, fm_log (g, p))), -1.0 / T);
  loss = fm_mean (g, fm_cross_entropy (g, fm_linear (g, fm_add (g, x, y), CLASSES, "head"), target), 0);
  loss = fm_add (g, loss, fm_mul_scalar (g, balance, 1e-2));
  return fm_add (g, loss, fm_mul_scalar (g, entropy, 1e-2));
}

FM_MODEL (dynamic_moe, .name = "dynamic-moe", .card = "dynamic-moe", .build = build,
          .inputs = { { "target", 0, CLASSES - 1 } });
