/* adapted-student.c: a student takes one step towards what experts of other domains make of unlabelled examples, and
 * answers; the loss of the answers trains student, head and the experts' aggregator through that step.
 * Source: card meta-dmoe: Meta-DMoE, 2022: masked own expert, inner step on squared differences, outer cross-entropy.
 * The card trades the exact outer gradient for finite differences of parameters; here it is taken whole, second
 * derivatives included, which the same episode then may be checked by.
 * Shapes: S support and Q query examples of X numbers, M experts, D features. */
#include "models.h"

#include <math.h>

enum { S = 10, Q = 8, X = 7, M = 4, D = 6, H = 8, CLASSES = 3 };

typedef struct
{
  FmTensor *support, *goal;
} Inner;

static FmTensor *
student (FmGraph *g, FmTensor *x)
{
  FmTensor *y;

  fm_graph_push_scope (g, "student");
  y = fm_linear (g, fm_norm (g, fm_gelu (g, fm_linear (g, x, H, "in")), "norm"), D, "out");
  fm_graph_pop_scope (g);
  return y;
}

static FmTensor *
inner_loss (FmGraph *g, guint step, gpointer user_data)
{
  const Inner *inner = user_data;

  return fm_mse (g, student (g, inner->support), inner->goal);
}

/* [S,D]: the experts' features as tokens of an encoder of depth one, without that of the own domain, and their mean. */
static FmTensor *
aggregate (FmGraph *g, FmTensor *x, FmTensor *domain)
{
  FmTensor *features[M], *tokens, *h, *map, *others;

  for (guint i = 0; i < M; i++)
    {
      fm_graph_push_scope (g, "expert.%u", i);
      features[i] = fm_tanh (g, fm_linear (g, x, D, "features"));
      fm_graph_pop_scope (g);
    }
  fm_graph_mark_params (g, "expert.*", FM_MARK_FROZEN, 1);
  tokens = fm_stack (g, features, M, 1); /* [S,M,D] */
  others = fm_not_equal (g, fm_iota (g, M), domain); /* [M] */
  h = fm_norm (g, tokens, "norm");
  map = fm_matmul (g, fm_linear (g, h, D, "q"), fm_linear (g, h, D, "k"), FM_TRANS_B);
  map = fm_masked_softmax (g, map, others, 1 / sqrt (D));
  tokens = fm_add (g, tokens, fm_matmul (g, map, fm_linear (g, h, D, "v"), 0));
  tokens = fm_mul (g, tokens, fm_reshape (g, others, FM_SHAPE (M, 1)));
  return fm_mul_scalar (g, fm_sum (g, tokens, 1), 1.0 / (M - 1));
}

static FmTensor *
build (FmGraph *g)
{
  static const char * const paths[] = { "student.in.weight", "student.in.bias", "student.norm.gain",
                                        "student.norm.bias",
                                        "student.out.weight", "student.out.bias" };
  const FmOptimizer step = { .kind = FM_OPTIMIZER_SGD };
  FmTensor *query = fm_graph_input (g, "query", FM_F32, FM_SHAPE (Q, X)), *y, *rate;
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (Q));
  Inner inner = { .support = fm_graph_input (g, "support", FM_F32, FM_SHAPE (S, X)) };

  inner.goal = aggregate (g, inner.support, fm_graph_input (g, "domain", FM_I32, FM_SHAPE (1)));
  rate = fm_exp (g, fm_param (g, "log-rate", FM_SHAPE (1), fm_init_constant (log (0.5))));
  fm_adapt (g, paths, G_N_ELEMENTS (paths), inner_loss, &inner, rate, &step, 1, FALSE);
  y = student (g, query);
  for (guint i = 0; i < G_N_ELEMENTS (paths); i++)
    fm_graph_bind (g, paths[i], NULL);
  return fm_mean (g, fm_cross_entropy (g, fm_linear (g, y, CLASSES, "head"), target), 0);
}

FM_MODEL (adapted_student, .name = "adapted-student", .card = "meta-dmoe", .build = build,
          .inputs = { { "target", 0, CLASSES - 1 }, { "domain", 0, M - 1 } });
