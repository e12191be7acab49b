/* polyhistor.c: an adapter whose weights are sums of Kronecker products, small factors of which belong to tasks.
 * Source: card polyhistor, adapters from Kronecker products; the frozen layer is beside them.
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
  FmTensor *y = fm_stop_gradient (g, fm_linear (g, x, D, "frozen"));

  y = fm_add (g, y, terms (g, fm_gelu (g, terms (g, x, FALSE)), TRUE));
  return fm_mean (g, fm_cross_entropy (g, fm_linear (g, y, CLASSES, "head"), target), 0);
}

FM_MODEL (polyhistor, .name = "polyhistor", .card = "polyhistor", .build = build,
          .inputs = { { "target", 0, CLASSES - 1 } });
