/* consistency.c: two passes with different draws of experts must agree, and a teacher is listened to.
 * Source: card thor: a random expert for each pass, label smoothing, symmetric divergence between the passes; card eff-attn-kd:
 * divergence from a teacher's probabilities; card switch-dit: the Jensen-Shannon form between routers.
 * Shapes: B, D width, E experts, C classes. */
#include "models.h"

enum { B = 12, D = 10, E = 4, C = 6 };

/* Which expert a row takes, and what is dropped, follow from the draw called @name. */
static FmTensor *
pass (FmGraph *g, FmTensor *x, const char *name)
{
  FmTensor *draw = fm_floor (g, fm_mul_scalar (g, fm_uniform (g, name, FM_SHAPE (B)), E));
  FmTensor *chosen = fm_one_hot (g, fm_cast (g, draw, FM_I32), E), *weights, *y;

  weights = fm_param (g, "experts", FM_SHAPE (E, D * D), fm_init_normal (0.3));
  weights = fm_reshape (g, fm_matmul (g, chosen, weights, 0), FM_SHAPE (B, D, D));
  y = fm_reshape (g, fm_matmul (g, fm_reshape (g, x, FM_SHAPE (B, 1, D)), weights, 0), FM_SHAPE (B, D));
  y = fm_dropout (g, name, fm_add (g, x, fm_relu (g, y)), 0.1);
  return fm_linear (g, y, C, "head");
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (B, D));
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (B));
  FmTensor *teacher = fm_softmax (g, fm_graph_input (g, "teacher", FM_F32, FM_SHAPE (B, C)), 1.0);
  FmTensor *a = pass (g, x, "first"), *b = pass (g, x, "second"), *loss;

  loss = fm_add (g, fm_cross_entropy_smooth (g, a, target, 0.1), fm_cross_entropy_smooth (g, b, target, 0.1));
  loss = fm_add (g, loss, fm_symmetric_kl_from_logits (g, a, b));
  loss = fm_add (g, loss, fm_kl_divergence (g, teacher, fm_softmax (g, a, 1.0)));
  loss = fm_add (g, loss, fm_kl_from_logits (g, b, fm_log_softmax (g, a)));
  loss = fm_add (g, loss, fm_js_divergence (g, teacher, fm_softmax (g, b, 1.0)));
  return fm_mean (g, loss, 0);
}

FM_MODEL (consistency, .name = "consistency", .card = "thor", .build = build, .inputs = { { "target", 0, C - 1 } },
          .steps = 10);
