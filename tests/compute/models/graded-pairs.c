/* graded-pairs.c: embeddings of pairs: which belong together, and how much.
 * Source: card moe-embed: contrastive loss within the batch, a graded score by cosine; card lama: words pooled by a masked
 * softmax; cards hiformer and fn-mixture: log loss, squared and robust losses; card taskexpert: batch norm, group norm.
 * Shapes: B pairs, N words of which some are padding, D width. */
#include "models.h"

enum { B = 6, N = 7, D = 12 };

static FmTensor *
embed (FmGraph *g, FmTensor *words, FmTensor *mask)
{
  FmTensor *x = fm_linear (g, words, D, "in"), *score;

  x = fm_group_norm (g, x, 3, fm_param (g, "gain", FM_SHAPE (D), fm_init_constant (1)),
                     fm_param (g, "shift", FM_SHAPE (D), fm_init_zeros ()), 1e-5);
  score = fm_reshape (g, fm_linear_no_bias (g, fm_tanh (g, x), 1, "score"), FM_SHAPE (B, N));
  score = fm_masked_softmax (g, score, mask, 1.0);
  x = fm_matmul (g, fm_reshape (g, score, FM_SHAPE (B, 1, N)), x, 0);
  return fm_l2_normalize (g, fm_reshape (g, x, FM_SHAPE (B, D)), 1e-6);
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *length = fm_graph_input (g, "length", FM_I32, FM_SHAPE (B, 1)), *mask = fm_less (g, fm_iota (g, N), length);
  FmTensor *grade = fm_graph_input (g, "grade", FM_F32, FM_SHAPE (B)), *a, *b, *cosine, *logit, *loss;

  a = embed (g, fm_graph_input (g, "left", FM_F32, FM_SHAPE (B, N, D)), mask);
  b = embed (g, fm_graph_input (g, "right", FM_F32, FM_SHAPE (B, N, D)), mask);
  cosine = fm_cosine_similarity (g, a, b);
  loss = fm_mean (g, fm_contrastive_loss (g, a, b, 0.2), 0);
  loss = fm_add (g, loss, fm_weighted_mean (g, fm_huber (g, cosine, grade, 0.3), fm_square (g, grade)));
  loss = fm_add (g, loss, fm_mse (g, cosine, grade));

  logit = fm_batch_norm (g, fm_mul (g, a, b), -1, "norm", 0.1, 1e-5, TRUE);
  logit = fm_reshape (g, fm_linear (g, logit, 1, "judge"), FM_SHAPE (B));
  loss = fm_add (g, loss, fm_mean (g, fm_binary_cross_entropy (g, logit, grade, 2.0), 0));
  loss = fm_add (g, loss, fm_mean (g, fm_focal_loss (g, logit, grade, 0.25, 2.0), 0));
  return fm_add (g, loss, fm_sum_all (g, fm_dice_loss (g, fm_sigmoid (g, logit), grade, 1.0)));
}

FM_MODEL (graded_pairs, .name = "graded-pairs", .card = "moe-embed", .build = build,
          .inputs = { { "length", 1, N }, { "grade", 0, 1 } });
