/* aligned-layers.c: two networks of different widths made one: the neurons of the first are brought to those of the
 * second by transport, layer by layer, and the weights averaged.
 * Source: card ot-fusion: costs are distances of standardised activations over shared samples, over the largest; maps
 * by Sinkhorn. Where widths differ the card divides columns for a map's outgoing and incoming use alike; a weight that
 * reads moved neurons sums over them, so its map needs rows of sum 1, as here (for equal widths the two are one).
 * Shapes: S samples, X inputs, H0 and H1 hidden widths. */
#include "models.h"

enum { S = 20, X = 9, H0 = 12, H1 = 8, CLASSES = 5 };

typedef struct
{
  FmTensor *in, *bias, *out, *acts; /* [H,X], [H], [CLASSES,H], [S,H] before the nonlinearity */
} Net;

static Net
net (FmGraph *g, FmTensor *x, gint64 width, const char *name)
{
  Net n;

  fm_graph_push_scope (g, "%s", name);
  n.in = fm_param (g, "in", FM_SHAPE (width, X), fm_init_normal (0.4));
  n.bias = fm_param (g, "bias", FM_SHAPE (width), fm_init_normal (0.1));
  n.out = fm_param (g, "out", FM_SHAPE (CLASSES, width), fm_init_normal (0.4));
  fm_graph_pop_scope (g);
  n.acts = fm_affine (g, x, n.in, n.bias);
  return n;
}

static FmTensor *
loss_of (FmGraph *g, FmTensor *acts, FmTensor *out, FmTensor *target)
{
  return fm_mean (g, fm_cross_entropy (g, fm_affine (g, fm_gelu (g, acts), out, NULL), target), 0);
}

/* [H0,H1] of total 1, rows and columns alike in mass. */
static FmTensor *
transport (FmGraph *g, const Net *a, const Net *b)
{
  FmTensor *left = fm_layer_norm (g, fm_transpose (g, a->acts, 0, 1), NULL, NULL, 1e-5);
  FmTensor *right = fm_layer_norm (g, fm_transpose (g, b->acts, 0, 1), NULL, NULL, 1e-5);
  FmTensor *cost = fm_sqrt (g, fm_add_scalar (g, fm_squared_distances (g, left, right), 1e-6));

  cost = fm_div (g, cost, fm_max_keep (g, fm_max_keep (g, cost, -1), -2));
  return fm_exp (g, fm_sinkhorn (g, fm_mul_scalar (g, cost, -1 / 0.08), fm_constant (g, FM_F32, FM_SHAPE (H0),
                                                                                     1.0 / H0), NULL,
                                 30));
}

static FmTensor *
half (FmGraph *g, FmTensor *a, FmTensor *b)
{
  return fm_mul_scalar (g, fm_add (g, a, b), 0.5);
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (S, X)),
           *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (S));
  Net moved = net (g, x, H0, "moved"), anchor = net (g, x, H1, "anchor");
  FmTensor *plan = transport (g, &moved, &anchor), *leave = fm_mul_scalar (g, plan, H1),
           *arrive = fm_mul_scalar (g, plan, H0);
  FmTensor *in, *bias, *out, *loss;

  in = half (g, fm_matmul (g, leave, moved.in, FM_TRANS_A), anchor.in);
  bias = fm_reshape (g, fm_matmul (g, leave, fm_reshape (g, moved.bias, FM_SHAPE (H0, 1)), FM_TRANS_A), FM_SHAPE (H1));
  bias = half (g, bias, anchor.bias);
  out = half (g, fm_matmul (g, moved.out, arrive, 0), anchor.out);
  loss = loss_of (g, fm_affine (g, x, in, bias), out, target);
  return fm_add (g, loss, fm_add (g, loss_of (g, moved.acts, moved.out, target), loss_of (g, anchor.acts, anchor.out,
                                                                                          target)));
}

FM_MODEL (aligned_layers, .name = "aligned-layers", .card = "ot-fusion", .build = build,
          .inputs = { { "target", 0, CLASSES - 1 } });
