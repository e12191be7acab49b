/* sampled-sources.c: attention to sources that are drawn anew in each layer and step.
 * Source: card ssa: a subset without replacement, shared by the heads; locally biased windows by a shuffle of near
 * places; and windows that begin at a drawn place. The card's n = N / rho sources are shared by all queries of a
 * layer, which its causal form cannot be: that one must add the query itself.
 * Shapes: B, N tokens, D width, H heads, K sources, windows of W. */
#include "models.h"

#include <math.h>

enum { B = 2, N = 16, D = 12, H = 2, K = 5, W = 4, CLASSES = 5 };

typedef struct
{
  FmTensor *q, *k, *v;
} Heads;

static Heads
heads (FmGraph *g, FmTensor *x)
{
  FmTensor *h = fm_norm (g, x, "norm");
  Heads all = { fm_split_heads (g, fm_linear (g, h, D, "q"), H), fm_split_heads (g, fm_linear (g, h, D, "k"), H),
                fm_split_heads (g, fm_linear (g, h, D, "v"), H) };

  return all;
}

static FmTensor *
windows (FmGraph *g, FmTensor *x)
{
  const FmAttentionMask mask = { .block = W };
  Heads h = heads (g, x);

  return fm_merge_heads (g, fm_attention (g, "windows", h.q, h.k, h.v, 0.4, &mask));
}

static FmTensor *
rows (FmGraph *g, FmTensor *x, FmTensor *order)
{
  return fm_gather (g, x, 1, fm_expand (g, order, FM_SHAPE (B, N)));
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (B, N, D)),
           *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (B, N));
  FmTensor *pick, *order, *y, *shift;
  Heads h;

  fm_graph_push_scope (g, "subset");
  h = heads (g, x);
  pick = fm_slice (g, fm_permutation (g, "sources", FM_SHAPE (N)), 0, 0, K);
  y = fm_attention_subset (g, h.q, h.k, h.v, fm_expand (g, pick, FM_SHAPE (B, H, K)), 0.4, FALSE);
  x = fm_add (g, x, fm_linear (g, fm_merge_heads (g, y), D, "out"));
  fm_graph_pop_scope (g);

  fm_graph_push_scope (g, "near");
  order = fm_add (g, fm_cast (g, fm_iota (g, N), FM_F32), fm_mul_scalar (g, fm_normal (g, "noise", FM_SHAPE (N)), 2.0));
  order = fm_argsort (g, order, FALSE);
  y = rows (g, windows (g, rows (g, x, order)), fm_inverse_permutation (g, order));
  x = fm_add (g, x, fm_linear (g, y, D, "out"));
  fm_graph_pop_scope (g);

  fm_graph_push_scope (g, "shifted");
  shift = fm_random_index (g, "shift", FM_SHAPE (1), W, FALSE);
  y = windows (g, fm_dynamic_roll (g, x, 1, shift));
  y = fm_dynamic_roll (g, y, 1, fm_sub (g, fm_constant (g, FM_I32, FM_SHAPE (1), 0), shift));
  x = fm_add (g, x, fm_linear (g, y, D, "out"));
  fm_graph_pop_scope (g);
  return fm_mean_all (g, fm_cross_entropy (g, fm_linear (g, x, CLASSES, "head"), target));
}

FM_MODEL (sampled_sources, .name = "sampled-sources", .card = "ssa", .build = build,
          .inputs = { { "target", 0, CLASSES - 1 } });
