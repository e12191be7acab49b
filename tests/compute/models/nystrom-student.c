/* nystrom-student.c: a student whose attention map is of low rank learns from a frozen teacher with a dense one.
 * Source: card eff-attn-kd (distillation on masked tokens, Nystrom attention); Xiong et al. 2021, arXiv:2102.03902.
 * The card divides by "max row/column sum first"; the scale is the product of both. Maps are compared too, by
 * divergences of the teacher's from the student's implied one, whose negative entries are cut.
 * Shapes: B, N tokens, D width, M landmarks, each the mean of N / M tokens. */
#include "models.h"

#include <math.h>

enum { B = 2, N = 24, D = 12, M = 6, CLASSES = 7 };
#define WARM 2.0 /* temperature */

static FmTensor *
map (FmGraph *g, FmTensor *q, FmTensor *k)
{
  return fm_softmax (g, fm_matmul (g, q, k, FM_TRANS_B), 1 / sqrt (D));
}

static FmTensor *
landmarks (FmGraph *g, FmTensor *x)
{
  return fm_mean (g, fm_reshape (g, x, FM_SHAPE (B, M, N / M, D)), 2);
}

/* Hidden states [B,N,D]; @implied (out): the map [B,N,N]. */
static FmTensor *
encode (FmGraph *g, FmTensor *x, gboolean dense, FmTensor **implied)
{
  const FmConvWindow same = { .left = 1, .right = 1 };
  FmTensor *h = fm_norm (g, x, "norm"), *q = fm_linear (g, h, D, "q"), *k = fm_linear (g, h, D, "k"), *y;
  FmTensor *v = fm_linear (g, h, D, "v"), *low_q = landmarks (g, q), *low_k = landmarks (g, k), *left, *right;

  if (dense)
    {
      *implied = map (g, q, k);
      y = fm_matmul (g, *implied, v, 0);
    }
  else
    {
      left = fm_matmul (g, map (g, q, low_k), fm_pseudo_inverse (g, map (g, low_q, low_k), 6), 0); /* [B,N,M] */
      right = map (g, low_q, k);
      *implied = fm_matmul (g, left, right, 0);
      y = fm_matmul (g, left, fm_matmul (g, right, v, 0), 0);
      y = fm_add (g, y, fm_depthwise_conv1d (g, v, fm_param (g, "skip", FM_SHAPE (3, D), fm_init_normal (0.3)), NULL,
                                             &same));
    }
  return fm_add (g, x, fm_linear (g, y, D, "out"));
}

static FmTensor *
warm (FmGraph *g, FmTensor *z)
{
  return fm_mul_scalar (g, z, 1 / WARM);
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (B, N, D));
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (B, N));
  FmTensor *draw = fm_graph_input (g, "draw", FM_F32, FM_SHAPE (B, N)), *seen[2], *hidden[2], *z[2], *loss, *p;

  for (int student = 0; student < 2; student++)
    {
      fm_graph_push_scope (g, student ? "student" : "teacher");
      hidden[student] = encode (g, x, !student, &seen[student]);
      z[student] = fm_linear (g, hidden[student], CLASSES, "head");
      fm_graph_pop_scope (g);
    }
  fm_graph_mark_params (g, "teacher.*", FM_MARK_FROZEN, 1);
  loss = fm_mul_scalar (g, fm_kl_from_logits (g, warm (g, z[0]), warm (g, z[1])), 5 * WARM * WARM);
  p = fm_sum (g, fm_mul (g, fm_one_hot (g, target, CLASSES), fm_log_softmax (g, z[1])), -1);
  loss = fm_sub (g, loss, fm_mul_scalar (g, p, 2.0));
  loss = fm_sub (g, loss, fm_cosine_similarity (g, hidden[0], hidden[1]));
  loss = fm_weighted_mean (g, loss, fm_less_equal (g, draw, fm_constant (g, FM_F32, FM_SHAPE (1), 0.5)));
  p = fm_add_scalar (g, fm_softplus (g, fm_mul_scalar (g, seen[1], 20)), 1e-3);
  p = fm_div (g, p, fm_sum_keep (g, p, -1));
  return fm_add (g, loss, fm_mean_all (g, fm_add (g, fm_kl_divergence (g, seen[0], p),
                                                  fm_js_divergence (g, seen[0], p))));
}

FM_MODEL (nystrom_student, .name = "nystrom-student", .card = "eff-attn-kd", .build = build,
          .inputs = { { "target", 0, CLASSES - 1 }, { "draw", 0, 1 } });
