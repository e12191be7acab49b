/* gated-mixing.c: pictures mixed across patches by gated layers instead of attention, with every gate there is.
 * Source: card activator: patches, gated linear units with different activations, mixing over the transposed axis, shared
 * norm, random experts drawn by a key as in card thor.
 * Shapes: B pictures of Y x X pixels, P patches, D width. */
#include "models.h"

enum { B = 4, Y = 8, X = 12, P = 6, D = 12, CLASSES = 5, GATES = 9 };

static FmTensor *
gate (FmGraph *g, FmTensor *x, guint kind)
{
  switch (kind)
    {
    case 0:
      return fm_gelu (g, x);
    case 1:
      return fm_gelu_tanh (g, x);
    case 2:
      return fm_silu (g, x);
    case 3:
      return fm_elu_alpha (g, x, 0.7);
    case 4:
      return fm_leaky_relu (g, x, 0.1);
    case 5:
      return fm_erf (g, x);
    case 6:
      return fm_softplus (g, x);
    case 7:
      return fm_elu (g, x);
    default:
      return fm_reciprocal (g, fm_sqrt (g, fm_add_scalar (g, fm_square (g, x), 1.0)));
    }
}

/* All gates side by side, each weighted by a draw that is the same for a whole picture and its step. */
static FmTensor *
gates (FmGraph *g, FmTensor *x, const char *name)
{
  FmTensor *draw, *y = NULL;

  draw = fm_dropout (g, name, fm_uniform (g, name, FM_SHAPE (B, 1, GATES)), 0.3);
  for (guint k = 0; k < GATES; k++)
    {
      FmTensor *one = fm_mul (g, gate (g, x, k), fm_slice (g, draw, -1, k, 1));

      y = y ? fm_add (g, y, one) : one;
    }
  return y;
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *picture = fm_graph_input (g, "picture", FM_F32, FM_SHAPE (B, Y, X, 1));
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (B));
  FmTensor *x = fm_linear (g, fm_patches (g, picture, 4), D, "embed"), *h; /* [B,P,D] */

  for (guint layer = 0; layer < 2; layer++)
    {
      fm_graph_push_scope (g, "layers.%u", layer);
      h = fm_transpose (g, fm_norm (g, x, "norm"), 1, 2); /* across patches */
      h = fm_mul (g, fm_linear (g, h, P, "patches.value"), gates (g, fm_linear (g, h, P, "patches.gate"), "draw1"));
      x = fm_add (g, x, fm_transpose (g, fm_linear (g, h, P, "patches.out"), 1, 2));
      h = fm_norm (g, x, "norm"); /* the same norm again */
      h = fm_mul (g, fm_linear (g, h, D, "value"), gates (g, fm_linear (g, h, D, "gate"), "draw2"));
      x = fm_add (g, x, fm_linear (g, h, D, "out"));
      fm_graph_pop_scope (g);
    }
  return fm_mean (g, fm_cross_entropy (g, fm_linear (g, fm_mean (g, x, 1), CLASSES, "head"), target), 0);
}

FM_MODEL (gated_mixing, .name = "gated-mixing", .card = "activator", .build = build,
          .inputs = { { "target", 0, CLASSES - 1 } }, .steps = 12);
