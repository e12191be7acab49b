/* monarch.c: a feed-forward of two Monarch matrices: block-diagonal, transposed, block-diagonal.
 * Source: card mohd, sub-dimensions by a block-diagonal (Monarch) product.
 * Shapes: T rows, D = P Q width. */
#include "models.h"

enum { T = 24, P = 4, Q = 5, D = P * Q, CLASSES = 10 };

static FmTensor *
monarch (FmGraph *g, FmTensor *x, const char *name)
{
  FmTensor *first, *second;

  fm_graph_push_scope (g, "%s", name);
  first = fm_param (g, "first", FM_SHAPE (P, Q, Q), fm_init_normal (0.4));
  second = fm_param (g, "second", FM_SHAPE (Q, P, P), fm_init_normal (0.4));
  fm_graph_pop_scope (g);
  x = fm_transpose (g, fm_reshape (g, fm_block_diagonal (g, x, first), FM_SHAPE (T, P, Q)), -2, -1);
  x = fm_block_diagonal (g, fm_reshape (g, x, FM_SHAPE (T, D)), second);
  return fm_reshape (g, fm_transpose (g, fm_reshape (g, x, FM_SHAPE (T, Q, P)), -2, -1), FM_SHAPE (T, D));
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_norm (g, fm_graph_input (g, "x", FM_F32, FM_SHAPE (T, D)), "norm");
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (T));
  FmTensor *y = monarch (g, fm_gelu (g, monarch (g, x, "in")), "out");

  return fm_mean (g, fm_cross_entropy (g, fm_linear (g, fm_add (g, x, y), CLASSES, "head"), target), 0);
}

FM_MODEL (monarch, .name = "monarch", .card = "mohd", .build = build, .inputs = { { "target", 0, CLASSES - 1 } });
