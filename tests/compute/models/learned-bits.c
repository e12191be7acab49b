/* learned-bits.c: the maps that make an attention's binary codes learn from similarities alone, by steps inside the
 * graph.
 * Source: card ecoformer: kernel values at anchors, bits learned one after the other by momentum SGD on -y^T R y, kept
 * where the loss of the hard sign falls; codes in linear attention with the sum over j that its published code lacks.
 * Rows of R have both signs of the nearest and farthest; the card's R is not symmetric, and y^T R y sees its symmetric
 * part alone.
 * Shapes: N tokens, D width, M anchors, C bits; P nearest and farthest. */
#include "models.h"

enum { N = 12, D = 8, M = 5, C = 4, P = 3, STEPS = 3, CLASSES = 4 };

static FmTensor *
number (FmGraph *g, gdouble value)
{
  return fm_constant (g, FM_F32, FM_SHAPE (1), value);
}

static FmTensor *
hard (FmGraph *g, FmTensor *score) /* +1 or -1, never 0 */
{
  return fm_where (g, fm_less (g, score, number (g, 0)), number (g, -1), number (g, 1));
}

/* -y^T R y / (N C), y [N,1] */
static FmTensor *
disagreement (FmGraph *g, FmTensor *r, FmTensor *y)
{
  return fm_mul_scalar (g, fm_sum_all (g, fm_mul (g, y, fm_matmul (g, r, y, 0))), -1.0 / (N * C));
}

static FmTensor *
ends (FmGraph *g, FmTensor *x) /* [N,N]: 1 at the P largest of each row */
{
  FmTensor *index;

  fm_top_k (g, x, P, &index);
  return fm_sum (g, fm_one_hot (g, index, N), 1);
}

/* @kernel [N,M], @maps a state [C,M]: new maps [C,M]; no gradient leaves. */
static FmTensor *
learn (FmGraph *g, FmTensor *x, FmTensor *kernel, FmTensor *maps)
{
  const FmOptimizer sgd = { .kind = FM_OPTIMIZER_SGD, .momentum = 0.9 };
  FmTensor *alike = fm_matmul (g, x, x, FM_TRANS_B), *r = fm_sub (g, ends (g, alike), ends (g, fm_neg (g, alike))),
           *learned[C];

  r = fm_mul_scalar (g, r, C);
  for (guint bit = 0; bit < C; bit++)
    {
      FmTensor *before = fm_reshape (g, fm_slice (g, maps, 0, bit, 1), FM_SHAPE (M, 1)), *a = before,
               *moment[2] = { NULL, NULL };
      FmTensor *better, *y;

      for (guint step = 1; step <= STEPS; step++)
        {
          y = fm_add_scalar (g, fm_mul_scalar (g, fm_sigmoid (g, fm_matmul (g, kernel, a, 0)), 2), -1);
          fm_inner_step (g, disagreement (g, r, y), &a, 1, number (g, 0.05), &sgd, step, moment, TRUE);
        }
      better = fm_less (g, disagreement (g, r, hard (g, fm_matmul (g, kernel, a, 0))),
                        disagreement (g, r, hard (g, fm_matmul (g, kernel, before, 0))));
      a = fm_where (g, better, a, before);
      y = hard (g, fm_matmul (g, kernel, a, 0));
      r = fm_sub (g, r, fm_matmul (g, y, y, FM_TRANS_B));
      learned[bit] = fm_reshape (g, a, FM_SHAPE (1, M));
    }
  return fm_stop_gradient (g, fm_concat (g, learned, C, 0));
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *h = fm_norm (g, fm_graph_input (g, "x", FM_F32, FM_SHAPE (N, D)), "norm");
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (N)), *x, *v = fm_linear (g, h, D, "value");
  FmTensor *anchors = fm_state (g, "anchors", FM_F32, FM_SHAPE (M, D), fm_init_normal (0.35));
  FmTensor *maps = fm_state (g, "maps", FM_F32, FM_SHAPE (C, M), fm_init_orthogonal (1)), *kernel, *score, *code, *y,
           *norm;

  x = fm_l2_normalize (g, fm_linear (g, h, D, "query-key"), 1e-12);
  kernel = fm_squared_distances (g, x, anchors);
  kernel = fm_exp (g, fm_div (g, kernel, fm_mul_scalar (g, fm_mean_all (g, kernel), -2)));
  kernel = fm_sub (g, kernel, fm_mean_keep (g, kernel, 0));
  maps = learn (g, fm_stop_gradient (g, x), fm_stop_gradient (g, kernel), maps);
  fm_assign (g, fm_state (g, "maps", FM_F32, FM_SHAPE (C, M), fm_init_orthogonal (1)), maps);
  score = fm_affine (g, kernel, maps, NULL);
  code = fm_straight_through (g, hard (g, score), fm_clamp (g, score, -1, 1)); /* [N,C] */

  y = fm_add (g, fm_matmul (g, code, fm_matmul (g, code, v, FM_TRANS_A), 0),
              fm_mul_scalar (g, fm_sum_keep (g, v, 0), C + 1));
  norm = fm_add_scalar (g, fm_matmul (g, code, fm_sum_keep (g, code, 0), FM_TRANS_B), N * (C + 1));
  h = fm_add (g, h, fm_linear (g, fm_div (g, y, norm), D, "out"));
  return fm_mean (g, fm_cross_entropy (g, fm_linear (g, h, CLASSES, "head"), target), 0);
}

FM_MODEL (learned_bits, .name = "learned-bits", .card = "ecoformer", .build = build,
          .inputs = { { "target", 0, CLASSES - 1 } },
          .surrogate = "codes are hard forward and soft backward, and their maps pass no gradient");
