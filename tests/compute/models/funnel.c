/* funnel.c: steps of a funnel whose probabilities multiply, from groups of fields.
 * Source: card apem: soft groups of fields, inducing vectors that read a group, squeeze and excitation, a gate of patterns
 * for each task, and the whole-space loss of a chain of steps in logarithms.
 * Shapes: B rows, F fields, e width, G groups, M inducing vectors, K steps. */
#include "models.h"

#include <math.h>

enum { B = 16, F = 6, WIDTH = 8, G = 3, M = 4, K = 3, ROWS = 50 };

/* log P_k = sum over j <= k of log sigmoid (z_j); log (1 - P_k) without ever leaving logarithms. */
static FmTensor *
chain_loss (FmGraph *g, FmTensor *z, FmTensor *label)
{
  FmTensor *yes = fm_cumsum (g, fm_log_sigmoid (g, z), -1, FALSE);
  FmTensor *no = fm_log1mexp (g, fm_minimum (g, yes, fm_constant (g, FM_F32, FM_SHAPE (1), -1e-6)));
  FmTensor *against = fm_add_scalar (g, fm_neg (g, label), 1.0);
  FmTensor *sum = fm_add (g, fm_mul (g, label, yes), fm_mul (g, against, no));

  return fm_mul_scalar (g, fm_sum_all (g, sum), -1.0 / (B * K));
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *fields = fm_graph_input (g, "fields", FM_I32, FM_SHAPE (B, F));
  FmTensor *label = fm_graph_input (g, "label", FM_F32, FM_SHAPE (B, K));
  FmTensor *x = fm_gather_rows (g, fm_param (g, "table", FM_SHAPE (ROWS, WIDTH), fm_init_normal (0.5)), fields);
  FmTensor *group = fm_softmax (g, fm_param (g, "groups", FM_SHAPE (G, F), fm_init_normal (1.0)), 1.0 / 0.5);
  FmTensor *inducing = fm_param (g, "inducing", FM_SHAPE (1, G, M, WIDTH), fm_init_normal (0.5));
  FmTensor *scaled, *h, *y, *squeezed, *pattern, *gate, *task;

  /* Each group sees every field, as much as it is its own. */
  scaled = fm_mul (g, fm_reshape (g, x, FM_SHAPE (B, 1, F, WIDTH)), fm_reshape (g, group, FM_SHAPE (1, G, F, 1)));
  inducing = fm_expand (g, inducing, FM_SHAPE (B, G, M, WIDTH));
  h = fm_attention (g, "read", inducing, scaled, scaled, 1.0 / sqrt (WIDTH), NULL);  /* [B,G,M,e] */
  y = fm_attention (g, "write", scaled, h, h, 1.0 / sqrt (WIDTH), NULL);             /* [B,G,F,e] */
  y = fm_add (g, y, scaled);

  squeezed = fm_mean (g, y, -1); /* [B,G,F] */
  squeezed = fm_sigmoid (g, fm_linear (g, fm_relu (g, fm_linear (g, squeezed, F / 2, "squeeze")), F, "excite"));
  y = fm_mul (g, y, fm_reshape (g, squeezed, FM_SHAPE (B, G, F, 1)));

  pattern = fm_tanh (g, fm_linear (g, fm_mean (g, y, 2), WIDTH, "pattern")); /* [B,G,e] */
  task = fm_param (g, "tasks", FM_SHAPE (K, 1, WIDTH), fm_init_normal (0.5));
  gate = fm_sum (g, fm_mul (g, fm_reshape (g, pattern, FM_SHAPE (B, 1, G, WIDTH)), task), -1);
  gate = fm_sigmoid (g, gate);                                               /* [B,K,G] */
  y = fm_matmul (g, gate, pattern, 0);                                       /* [B,K,e] */
  y = fm_linear (g, fm_relu (g, fm_linear (g, y, 12, "tower")), 1, "logit");
  return chain_loss (g, fm_reshape (g, y, FM_SHAPE (B, K)), label);
}

FM_MODEL (funnel, .name = "funnel", .card = "apem", .build = build,
          .inputs = { { "fields", 0, ROWS - 1 }, { "label", 0, 1 } });
