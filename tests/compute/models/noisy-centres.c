/* noisy-centres.c: pixels choose a centre by noisy cosine, hard forward and soft backward, and are contrasted in pairs.
 * Source: card kmax: "k-means Mask Transformer", 2022, section 3.2; Gumbel sampling, pixel contrast.
 * Shapes: P pixels, D width, L centres. */
#include "models.h"

enum { P = 18, D = 10, L = 4 };

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (P, D));
  FmTensor *other = fm_graph_input (g, "other", FM_F32, FM_SHAPE (P, D));
  FmTensor *centres = fm_param (g, "centres", FM_SHAPE (L, D), fm_init_normal (1.0));
  FmTensor *pixel = fm_linear (g, x, D, "pixel"), *pair = fm_linear (g, other, D, "pixel");
  FmTensor *scores, *soft, *hard, *mixed, *loss, *counts;

  scores = fm_matmul (g, fm_l2_normalize (g, pixel, 1e-12), fm_l2_normalize (g, centres, 1e-12), FM_TRANS_B);
  scores = fm_add (g, fm_mul_scalar (g, scores, 4.0), fm_mul_scalar (g, fm_gumbel (g, "noise", FM_SHAPE (P, L)), 0.1));
  soft = fm_softmax (g, scores, 1.0);
  hard = fm_straight_through (g, fm_one_hot (g, fm_argmax (g, soft, -1), L), soft);
  counts = fm_maximum (g, fm_sum (g, hard, 0), fm_constant (g, FM_F32, FM_SHAPE (1), 1.0)); /* no centre divides by 0 */
  mixed = fm_div (g, fm_matmul (g, hard, pixel, FM_TRANS_A), fm_reshape (g, counts, FM_SHAPE (L, 1)));
  mixed = fm_matmul (g, hard, fm_add (g, centres, mixed), 0); /* [P,D]: every pixel's own centre */
  loss = fm_mean_all (g, fm_contrastive_loss (g, pixel, pair, 0.5));
  loss = fm_sub (g, loss, fm_mean_all (g, fm_cosine_similarity (g, mixed, pixel)));
  return fm_add (g, loss, fm_mean_all (g, fm_huber (g, mixed, pixel, 1.0)));
}

FM_MODEL (noisy_centres, .name = "noisy-centres", .card = "kmax", .build = build,
          .surrogate = "the choice of a centre is hard forward and soft backward");
