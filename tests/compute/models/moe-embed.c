/* moe-embed.c: every token to one expert, by sorted rows and products grouped by segment: nothing is dropped or padded.
 * Source: card moe-embed, feed-forward of experts with enforced routing; top-1 gate as in Switch.
 * Shapes: T tokens, D width, E experts, F hidden width of an expert. */
#include "models.h"

enum { T = 30, D = 16, E = 6, F = 20, CLASSES = 10 };

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_norm (g, fm_graph_input (g, "x", FM_F32, FM_SHAPE (T, D)), "norm");
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (T));
  FmTensor *in = fm_param (g, "in.weight", FM_SHAPE (E, D, F), fm_init_normal (0.3));
  FmTensor *out = fm_param (g, "out.weight", FM_SHAPE (E, D, F), fm_init_normal (0.3));
  FmTensor *index, *gate, *place, *offsets, *y;

  gate = fm_top_k (g, fm_softmax (g, fm_linear_no_bias (g, x, E, "router"), 1.0), 1, &index); /* [T,1] */
  place = fm_group_rows (g, fm_reshape (g, index, FM_SHAPE (T)), E, &offsets);
  y = fm_scatter_add_rows (g, x, place, T); /* sorted by expert */
  y = fm_gelu (g, fm_matmul_grouped (g, y, in, offsets, 0));
  y = fm_matmul_grouped (g, y, out, offsets, FM_TRANS_B);
  y = fm_mul (g, fm_gather_rows (g, y, place), gate);
  return fm_mean (g, fm_cross_entropy (g, fm_linear (g, fm_add (g, x, y), CLASSES, "head"), target), 0);
}

FM_MODEL (moe_embed, .name = "moe-embed", .card = "moe-embed", .build = build,
          .inputs = { { "target", 0, CLASSES - 1 } });
