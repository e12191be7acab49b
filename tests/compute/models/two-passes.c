/* two-passes.c: an expert drawn for each pass, two passes over one batch, and a loss that pulls their answers together.
 * Source: card thor: "Taming Sparsely Activated Transformer with Stochastic Experts", 2021, equations 4 and 5.
 * Shapes: T tokens, D width, F hidden width, E experts. */
#include "models.h"

enum { T = 20, D = 12, F = 16, E = 3, CLASSES = 7 };

/* One expert for the whole batch: the place of u E among the experts, as a row of zeros and a one. */
static FmTensor *
pass (FmGraph *g, FmTensor *x, const char *name)
{
  FmTensor *draw = fm_mul_scalar (g, fm_uniform (g, name, FM_SHAPE (1)), E), *pick, *h;
  FmTensor *up = fm_param (g, "up", FM_SHAPE (E, D * F), fm_init_normal (0.3));
  FmTensor *down = fm_param (g, "down", FM_SHAPE (E, F * D), fm_init_normal (0.3));

  pick = fm_one_hot (g, fm_cast (g, fm_floor (g, draw), FM_I32), E); /* [1,E] */
  up = fm_reshape (g, fm_matmul (g, pick, up, 0), FM_SHAPE (D, F));
  down = fm_reshape (g, fm_matmul (g, pick, down, 0), FM_SHAPE (F, D));
  h = fm_matmul (g, fm_gelu_tanh (g, fm_matmul (g, x, up, 0)), down, 0);
  h = fm_dropout (g, name, h, 0.1);
  return fm_linear (g, fm_add (g, x, h), CLASSES, "head");
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_norm (g, fm_graph_input (g, "x", FM_F32, FM_SHAPE (T, D)), "norm");
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (T)); /* CLASSES is padding */
  FmTensor *real = fm_less (g, target, fm_constant (g, FM_I32, FM_SHAPE (1), CLASSES));
  FmTensor *one = pass (g, x, "first"), *two = pass (g, x, "second"), *loss;

  loss = fm_add (g, fm_cross_entropy_smooth (g, one, target, 0.1), fm_cross_entropy_smooth (g, two, target, 0.1));
  loss = fm_add (g, loss, fm_mul_scalar (g, fm_symmetric_kl_from_logits (g, one, two), 5.0));
  return fm_weighted_mean (g, loss, real);
}

FM_MODEL (two_passes, .name = "two-passes", .card = "thor", .build = build, .inputs = { { "target", 0, CLASSES } });
