/* step-chain.c: steps of a chain, each only after the one before, scored over masked events in logarithms.
 * Source: card apem: "Adaptive Pattern Extraction Multi-Task Learning for Multi-Step Conversion Estimations", 2023: the
 * product of conditional probabilities; the gate over padded events. Shapes: B users, N events, D width, K steps. */
#include "models.h"

enum { B = 12, N = 7, D = 10, K = 3 };

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (B, N, D)), *gate, *h, *reached, *missed, *skipped, *loss;
  FmTensor *label = fm_cast (g, fm_graph_input (g, "label", FM_I32, FM_SHAPE (B, K)), FM_F32);
  FmTensor *length = fm_graph_input (g, "length", FM_I32, FM_SHAPE (B, 1)), *one = fm_constant (g, FM_F32, FM_SHAPE (1), 1.0);
  FmTensor *mask = fm_greater (g, length, fm_iota (g, N)); /* [B,N] */

  gate = fm_reshape (g, fm_linear (g, fm_tanh (g, fm_linear (g, x, D, "key")), 1, "score"), FM_SHAPE (B, N));
  gate = fm_masked_softmax (g, gate, mask, 1.0);
  h = fm_reshape (g, fm_matmul (g, fm_reshape (g, gate, FM_SHAPE (B, 1, N)), x, 0), FM_SHAPE (B, D));
  h = fm_softplus (g, fm_linear (g, h, D, "hidden"));
  /* log P of reaching step k: the sum of log sigma up to it; of not reaching it: log (1 - P). */
  reached = fm_cumsum (g, fm_log_sigmoid (g, fm_linear (g, h, K, "steps")), -1, FALSE);
  missed = fm_log1mexp (g, fm_minimum (g, reached, fm_constant (g, FM_F32, FM_SHAPE (1), -1e-6)));
  skipped = fm_cummax (g, fm_sub (g, one, label), -1, NULL); /* a step that was skipped ends the chain */
  label = fm_sub (g, one, skipped);
  loss = fm_where (g, label, reached, missed);
  loss = fm_neg (g, fm_mean_all (g, loss));
  return fm_add (g, loss, fm_mean_all (g, fm_binary_cross_entropy (g, fm_linear (g, h, K, "direct"), label, 2.0)));
}

FM_MODEL (step_chain, .name = "step-chain", .card = "apem", .build = build,
          .inputs = { { "length", 1, N }, { "label", 0, 1 } });
