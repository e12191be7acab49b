/* set-prediction.c: a fixed set of queries answers for an unordered set of objects: each object belongs to one query,
 * the cheapest way.
 * Source: card fashionformer (bipartite matching of masks to objects by class and mask cost; focal and dice losses);
 * card kmax (mask by product of query and pixel).
 * Shapes: B pictures, P pixels, D width, Q queries, O objects, C classes and "nothing". */
#include "models.h"

enum { B = 3, P = 16, D = 6, Q = 5, O = 3, C = 4 };

static FmTensor *
build (FmGraph *g)
{
  FmTensor *pixels = fm_linear (g, fm_graph_input (g, "pixels", FM_F32, FM_SHAPE (B, P, D)), D, "pixels");
  FmTensor *masks = fm_graph_input (g, "masks", FM_F32, FM_SHAPE (B, O, P)); /* of the objects */
  FmTensor *classes = fm_graph_input (g, "classes", FM_I32, FM_SHAPE (B, O));
  FmTensor *queries = fm_expand (g, fm_param (g, "queries", FM_SHAPE (Q, D), fm_init_normal (1)), FM_SHAPE (B, Q, D));
  FmTensor *logits, *guess, *wanted, *cost, *query, *mask_cost, *pick, *class_loss, *mask_loss, *rare;

  guess = fm_attention (g, "read", fm_split_heads (g, queries, 1), fm_split_heads (g, pixels, 1),
                        fm_split_heads (g, pixels, 1), 0.4, NULL); /* [B,1,Q,D] */
  queries = fm_add (g, queries, fm_merge_heads (g, guess));
  logits = fm_linear (g, queries, C + 1, "class");                                     /* [B,Q,C+1] */
  guess = fm_sigmoid (g, fm_matmul (g, fm_linear (g, queries, D, "mask"), pixels, FM_TRANS_B)); /* [B,Q,P] */

  /* Cost of giving object o to query q: less its probability, plus the squared difference of masks. */
  wanted = fm_one_hot (g, classes, C + 1);
  mask_cost = fm_squared_distances (g, masks, guess); /* [B,O,Q] */
  cost = fm_sub (g, fm_mul_scalar (g, mask_cost, 1.0 / P),
                 fm_matmul (g, wanted, fm_softmax (g, logits, 1.0), FM_TRANS_B));
  query = fm_assignment (g, fm_stop_gradient (g, cost)); /* [B,O] */
  pick = fm_one_hot (g, query, Q);                       /* [B,O,Q] */

  /* Classes that are rare in the batch weigh more: (1 - b) / (1 - b^n), Cui et al. 2019, arXiv:1901.05555. */
  rare = fm_sum (g, fm_sum (g, wanted, 0), 0); /* [C+1] */
  rare = fm_pow (g, fm_constant (g, FM_F32, FM_SHAPE (1), 0.9),
                 fm_maximum (g, rare, fm_constant (g, FM_F32, FM_SHAPE (1), 1)));
  rare = fm_div (g, fm_constant (g, FM_F32, FM_SHAPE (1), 0.1),
                 fm_sub (g, fm_constant (g, FM_F32, FM_SHAPE (1), 1), rare));
  class_loss = fm_mul (g, fm_focal_loss (g, fm_matmul (g, pick, logits, 0), wanted, 0.25, 2.0), rare);
  class_loss = fm_mul_scalar (g, fm_sum_all (g, class_loss), 2.0 / (B * O));
  mask_loss = fm_mul_scalar (g, fm_sum_all (g, fm_mul (g, pick, mask_cost)), 1.0 / (B * O * P));
  mask_loss = fm_add (g, mask_loss, fm_mean_all (g, fm_dice_loss (g, fm_matmul (g, pick, guess, 0), masks, 1.0)));
  return fm_add (g, class_loss, mask_loss);
}

FM_MODEL (set_prediction, .name = "set-prediction", .card = "fashionformer", .build = build,
          .inputs = { { "classes", 0, C - 1 }, { "masks", 0, 1 } });
