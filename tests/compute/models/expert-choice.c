/* expert-choice.c: experts that choose their tokens, beside experts of limited room that tokens choose.
 * Source: card moe-survey: Zhou et al. 2022, arXiv:2202.09368 (each expert takes the tokens that score best); Fedus, Zoph,
 * Shazeer 2021, arXiv:2101.03961, section 2.2 (capacity).
 * Shapes: T tokens, D width, E experts of C slots, F hidden width. */
#include "models.h"

enum { T = 20, D = 12, E = 4, C = 6, F = 9, CLASSES = 6 };

/* [E,C,D] -> [E,C,D] */
static FmTensor *
experts (FmGraph *g, FmTensor *x, const char *in, const char *out)
{
  x = fm_silu (g, fm_matmul (g, x, fm_param (g, in, FM_SHAPE (E, F, D), fm_init_normal (0.3)), FM_TRANS_B));
  return fm_matmul (g, x, fm_param (g, out, FM_SHAPE (E, D, F), fm_init_normal (0.3)), FM_TRANS_B);
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_norm (g, fm_graph_input (g, "x", FM_F32, FM_SHAPE (T, D)), "norm");
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (T));
  FmTensor *p = fm_softmax (g, fm_linear_no_bias (g, x, E, "router"), 1.0), *token, *gate, *y, *slot, *chosen;

  gate = fm_expert_choice (g, p, C, &token); /* [E,C] */
  y = experts (g, fm_gather_rows (g, x, token), "choosing.in", "choosing.out");
  y = fm_scatter_add_rows (g, fm_mul (g, y, fm_reshape (g, gate, FM_SHAPE (E, C, 1))), token, T);
  x = fm_add (g, x, y);

  p = fm_softmax (g, fm_linear_no_bias (g, x, E, "second-router"), 1.0);
  gate = fm_sort (g, p, TRUE, &chosen); /* [T,E], the best first */
  chosen = fm_reshape (g, fm_slice (g, chosen, 1, 0, 1), FM_SHAPE (T));
  slot = fm_expert_slots (g, chosen, E, C);
  y = fm_reshape (g, fm_scatter_add_rows (g, x, slot, E * C), FM_SHAPE (E, C, D));
  y = fm_reshape (g, experts (g, y, "chosen.in", "chosen.out"), FM_SHAPE (E * C, D));
  x = fm_add (g, x, fm_mul (g, fm_gather_rows (g, y, slot), fm_slice (g, gate, 1, 0, 1)));
  return fm_mean (g, fm_cross_entropy (g, fm_linear (g, x, CLASSES, "head"), target), 0);
}

FM_MODEL (expert_choice, .name = "expert-choice", .card = "moe-survey", .build = build,
          .inputs = { { "target", 0, CLASSES - 1 } });
