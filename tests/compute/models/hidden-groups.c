/* hidden-groups.c: a feed-forward layer that reads and writes few groups of the width, some always, others by a
 * router.
 * Source: card mohd: shared and chosen groups, gates of mean 1, scaling by the root of the share, fusion by a Monarch
 * matrix, balance. The card's Monarch form starts at the identity; here it is drawn.
 * Shapes: T tokens, D width in G groups of W, S of them shared, K of the rest chosen; F hidden width. */
#include "models.h"

#include <math.h>

enum { T = 18, G = 6, W = 4, D = G * W, S = 2, K = 2, REST = G - S, F = 12, CLASSES = 6 };

static FmTensor *
weight (FmGraph *g, const char *name, FmShape shape)
{
  return fm_param (g, name, shape, fm_init_normal (0.3));
}

/* Rows [T,K,n] through the matrices [REST,n,m] that @index [T,K] names. */
static FmTensor *
chosen_product (FmGraph *g, FmTensor *x, FmTensor *matrices, FmTensor *index)
{
  gint64 n = fm_tensor_get_dim (matrices, 1), m = fm_tensor_get_dim (matrices, 2);
  FmTensor *w = fm_gather_rows (g, matrices, index); /* [T,K,n,m] */

  return fm_reshape (g, fm_matmul (g, fm_reshape (g, x, FM_SHAPE (T, K, 1, n)), w, 0), FM_SHAPE (T, K, m));
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (T, D)),
           *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (T));
  FmTensor *h = fm_norm (g, x, "norm"), *p = fm_softmax (g, fm_linear_no_bias (g, h, REST, "router"), 1.0), *top,
           *index, *rest;
  FmTensor *shared, *u, *y[2], *share, *balance, *loss;

  top = fm_top_k (g, p, K, &index);
  top = fm_mul_scalar (g, fm_div (g, top, fm_sum_keep (g, top, -1)), K);
  shared = fm_slice (g, h, 1, 0, S * W);
  rest = fm_reshape (g, fm_slice (g, h, 1, S * W, REST * W), FM_SHAPE (T, REST, W));
  rest = fm_mul (g, fm_gather (g, rest, 1, index), fm_reshape (g, top, FM_SHAPE (T, K, 1))); /* [T,K,W] */
  u = fm_sum (g, chosen_product (g, rest, weight (g, "in", FM_SHAPE (REST, W, F)), index), 1);
  u = fm_add (g, u, fm_matmul (g, shared, weight (g, "in.shared", FM_SHAPE (S * W, F)), 0));
  u = fm_gelu (g, fm_mul_scalar (g, u, sqrt ((gdouble) G / (S + K)))); /* [T,F] */

  y[0] = fm_matmul (g, u, weight (g, "out.shared", FM_SHAPE (F, S * W)), 0);
  u = fm_expand (g, fm_reshape (g, u, FM_SHAPE (T, 1, F)), FM_SHAPE (T, K, F));
  u = chosen_product (g, u, weight (g, "out", FM_SHAPE (REST, F, W)), index);
  u = fm_put (g, fm_constant (g, FM_F32, FM_SHAPE (T, REST, W), 0.0), 1, index, u); /* groups not chosen stay 0 */
  y[1] = fm_reshape (g, u, FM_SHAPE (T, REST * W));
  u = fm_block_diagonal (g, fm_concat (g, y, 2, 1), weight (g, "fuse.b", FM_SHAPE (G, W, W)));
  u = fm_reshape (g, fm_transpose (g, fm_reshape (g, u, FM_SHAPE (T, G, W)), 1, 2), FM_SHAPE (T, D));
  u = fm_block_diagonal (g, u, weight (g, "fuse.a", FM_SHAPE (W, G, G)));
  x = fm_add (g, x, fm_reshape (g, fm_transpose (g, fm_reshape (g, u, FM_SHAPE (T, W, G)), 1, 2), FM_SHAPE (T, D)));

  share = fm_mul_scalar (g, fm_sum (g, fm_sum (g, fm_one_hot (g, index, REST), 1), 0), 1.0 / T);
  balance = fm_mul_scalar (g, fm_sum_all (g, fm_mul (g, share, fm_mean (g, p, 0))), 0.01 * REST);
  loss = fm_mean (g, fm_cross_entropy (g, fm_linear (g, x, CLASSES, "head"), target), 0);
  return fm_add (g, loss, balance);
}

FM_MODEL (hidden_groups, .name = "hidden-groups", .card = "mohd", .build = build,
          .inputs = { { "target", 0, CLASSES - 1 } });
