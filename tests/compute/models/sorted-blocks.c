/* sorted-blocks.c: each block of tokens attends to itself and to a block that a soft permutation mixes for it.
 * Source: card lra, mixer sinkhorn: Tay et al. 2020, "Sparse Sinkhorn Attention", arXiv:2002.11296. The card leaves
 * open how sums of blocks become scores; the paper has two linear maps with a ReLU between and Gumbel noise, as here.
 * One softmax over both blocks, the card's option.
 * Shapes: B, N tokens in C blocks of W, D width. */
#include "models.h"

enum { B = 2, C = 4, W = 5, N = C * W, D = 12, CLASSES = 6 };

static FmTensor *
blocks (FmGraph *g, FmTensor *x, const char *name)
{
  return fm_reshape (g, fm_linear (g, x, D, name), FM_SHAPE (B, C, W, D));
}

static FmTensor *
mix (FmGraph *g, FmTensor *order, FmTensor *x)
{
  return fm_reshape (g, fm_matmul (g, order, fm_reshape (g, x, FM_SHAPE (B, C, W * D)), 0), FM_SHAPE (B, C, W, D));
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (B, N, D)), *h = fm_norm (g, x, "norm"), *order, *y;
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (B, N));
  FmTensor *q = blocks (g, h, "q"), *k = blocks (g, h, "k"), *v = blocks (g, h, "v"), *logits[2], *weights[2];

  order = fm_sum (g, fm_reshape (g, h, FM_SHAPE (B, C, W, D)), 2);
  order = fm_linear (g, fm_relu (g, fm_linear (g, order, D, "sort.in")), C, "sort.out"); /* [B,C,C] */
  order = fm_add (g, order, fm_mul_scalar (g, fm_gumbel (g, "noise", FM_SHAPE (B, C, C)), 0.1));
  order = fm_exp (g, fm_sinkhorn (g, fm_mul_scalar (g, order, 1 / 0.75), NULL, NULL, 6));
  logits[0] = fm_matmul (g, q, k, FM_TRANS_B);
  logits[1] = fm_matmul (g, q, mix (g, order, k), FM_TRANS_B);
  fm_joint_softmax (g, logits, 2, 0.3, weights);
  y = fm_add (g, fm_matmul (g, weights[0], v, 0), fm_matmul (g, weights[1], mix (g, order, v), 0));
  y = fm_add (g, x, fm_linear (g, fm_reshape (g, y, FM_SHAPE (B, N, D)), D, "out"));
  return fm_mean_all (g, fm_cross_entropy (g, fm_linear (g, y, CLASSES, "head"), target));
}

FM_MODEL (sorted_blocks, .name = "sorted-blocks", .card = "lra", .build = build,
          .inputs = { { "target", 0, CLASSES - 1 } });
