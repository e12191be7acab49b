/* polyhistor.c: an adapter whose weights are sums of Kronecker products, small factors of which belong to tasks.
 * Source: card polyhistor, adapters from Kronecker products and weights that a hyper-network emits as two factors; the
 * frozen layer is beside them.
 * Shapes: T rows, D width, R bottleneck, K terms. */
#include "models.h"

enum { T = 20, D = 24, R = 6, K = 2, CLASSES = 10 };

/* Sum of K terms (A_i (x) B_i) x, A_i [2,4], B_i [R/2,D/4] or turned round. */
static FmTensor *
terms (FmGraph *g, FmTensor *x, gboolean up)
{
  FmTensor *y = NULL;

  for (guint i = 0; i < K; i++)
    {
      FmTensor *a, *b, *term;

      fm_graph_push_scope (g, "%s.%u", up ? "up" : "down", i);
      a = fm_param (g, "a", up ? FM_SHAPE (4, 2) : FM_SHAPE (2, 4), fm_init_normal (0.5));
      b = fm_param (g, "b", up ? FM_SHAPE (D / 4, R / 2) : FM_SHAPE (R / 2, D / 4), fm_init_normal (0.5));
      fm_graph_pop_scope (g);
      term = fm_kronecker (g, x, a, b);
      y = y ? fm_add (g, y, term) : term;
    }
  return y;
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_norm (g, fm_graph_input (g, "x", FM_F32, FM_SHAPE (T, D)), "norm");
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (T));
  FmTensor *y = fm_stop_gradient (g, fm_linear (g, x, D, "frozen")), *task, *factors[2], *head;

  /* The head's weight is made by the graph: its own plus what a task's vector emits as factors of rank 2. */
  task = fm_param (g, "task", FM_SHAPE (1, 5), fm_init_normal (1));
  factors[0] = fm_reshape (g, fm_linear_no_bias (g, task, CLASSES * 2, "left"), FM_SHAPE (CLASSES, 2));
  factors[1] = fm_reshape (g, fm_linear_no_bias (g, task, 2 * D, "right"), FM_SHAPE (2, D));
  head = fm_param (g, "template", FM_SHAPE (CLASSES, D), fm_init_normal (0.2));
  fm_graph_bind (g, "head.weight", fm_add (g, head, fm_matmul (g, factors[0], factors[1], 0)));

  y = fm_add (g, y, terms (g, fm_gelu (g, terms (g, x, FALSE)), TRUE));
  return fm_mean (g, fm_cross_entropy (g, fm_linear (g, y, CLASSES, "head"), target), 0);
}

FM_MODEL (polyhistor, .name = "polyhistor", .card = "polyhistor", .build = build,
          .inputs = { { "target", 0, CLASSES - 1 } });
