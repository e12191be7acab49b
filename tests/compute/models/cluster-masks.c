/* cluster-masks.c: queries that are cluster centres of pixels; masks by dot product, judged by focal and dice loss.
 * Source: card kmax: pixels belong to the query of largest logit, whose centre moves to their mean, without a gradient
 * through the choice; card fashionformer: masks by dot product, focal loss with a power, dice loss over a picture's plane.
 * Pixels with label -1 are not judged.
 * Shapes: B pictures, P pixels, D width, Q queries. */
#include "models.h"

enum { B = 3, P = 30, D = 8, Q = 4 };

static FmTensor *
number (FmGraph *g, gdouble value)
{
  return fm_constant (g, FM_F32, FM_SHAPE (1), value);
}

static FmTensor *
normalise (FmGraph *g, FmTensor *x) /* to length 1, and to a spread of 1 before that */
{
  FmTensor *spread = fm_variance (g, x, -1);
  FmShape shape = fm_tensor_get_shape (x);

  shape.dims[shape.rank - 1] = 1;
  x = fm_mul (g, x, fm_rsqrt (g, fm_add_scalar (g, fm_reshape (g, spread, shape), 1e-5)));
  return fm_mul (g, x, fm_rsqrt (g, fm_add_scalar (g, fm_sum_keep (g, fm_square (g, x), -1), 1e-6)));
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = normalise (g, fm_linear (g, fm_graph_input (g, "pixels", FM_F32, FM_SHAPE (B, P, D)), D, "pixels"));
  FmTensor *label = fm_graph_input (g, "label", FM_I32, FM_SHAPE (B, P));
  FmTensor *query = fm_expand (g, fm_param (g, "queries", FM_SHAPE (1, Q, D), fm_init_normal (1)), FM_SHAPE (B, Q, D));
  FmTensor *logits, *owner, *centre, *p, *wanted, *judged, *hit, *focal, *dice, *empty;
  const gint plane[] = { 1, 2 };

  logits = fm_matmul (g, x, query, FM_TRANS_B);                                   /* [B,P,Q] */
  owner = fm_one_hot (g, fm_argmax (g, fm_stop_gradient (g, logits), -1), Q);
  centre = fm_div (g, fm_matmul (g, owner, x, FM_TRANS_A),
                   fm_reshape (g, fm_add_scalar (g, fm_sum (g, owner, 1), 1.0), FM_SHAPE (B, Q, 1)));
  query = fm_add (g, query, fm_linear (g, centre, D, "move"));
  logits = fm_mul_scalar (g, fm_matmul (g, x, query, FM_TRANS_B), 2.0);
  p = fm_sigmoid (g, logits);

  judged = fm_reshape (g, fm_not_equal (g, label, fm_constant (g, FM_I32, FM_SHAPE (1), -1)), FM_SHAPE (B, P, 1));
  wanted = fm_equal (g, fm_reshape (g, label, FM_SHAPE (B, P, 1)), fm_iota (g, Q)); /* [B,P,Q] */
  hit = fm_where (g, wanted, p, fm_sub (g, number (g, 1), p));
  focal = fm_mul (g, fm_pow_scalar (g, fm_clamp (g, fm_sub (g, number (g, 1), hit), 1e-6, 1.0), 1.5),
                  fm_neg (g, fm_log (g, fm_maximum (g, hit, number (g, 1e-6)))));
  focal = fm_div (g, fm_sum_all (g, fm_mul (g, focal, judged)), fm_add_scalar (g, fm_sum_all (g, judged), 1.0));

  dice = fm_mul (g, fm_mul (g, p, wanted), judged);
  dice = fm_div (g, fm_add_scalar (g, fm_mul_scalar (g, fm_sum_axes (g, dice, plane, 2), 2.0), 1.0),
                 fm_add_scalar (g, fm_sum_axes (g, fm_mul (g, fm_add (g, p, wanted), judged), plane, 2), 1.0));
  /* A picture without a judged pixel has no dice; one that is nothing else is not special. */
  empty = fm_sub (g, number (g, 1), fm_any (g, fm_reshape (g, judged, FM_SHAPE (B, P)), 1));
  dice = fm_mul (g, fm_sub (g, number (g, 1), fm_reshape (g, dice, FM_SHAPE (B))), fm_sub (g, number (g, 1), empty));
  /* The surest pixel of each query should be sure, the least sure one not. */
  hit = fm_add (g, fm_square (g, fm_sub (g, fm_max (g, p, 1), number (g, 1))), fm_square (g, fm_min (g, p, 1)));
  return fm_add (g, fm_add (g, focal, fm_mean (g, dice, 0)), fm_mul_scalar (g, fm_mean_all (g, hit), 0.1));
}

FM_MODEL (cluster_masks, .name = "cluster-masks", .card = "kmax", .build = build, .inputs = { { "label", -1, Q - 1 } },
          .rate = 5e-3, .surrogate = "which query owns a pixel changes in jumps");
