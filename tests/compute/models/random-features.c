/* random-features.c: softmax attention by positive orthogonal random features, redrawn every two steps; one layer sees
 * all tokens, the next only what came before.
 * Source: card lra, mixer performer: Choromanski et al. 2020, "Rethinking Attention with Performers". The card writes
 * one c for all keys; with causal attention that lets later keys touch earlier answers through the floor of 1e-6.
 * Shapes: B, N tokens, D width, H heads of d = D / H, M features. */
#include "models.h"

#include <math.h>

enum { B = 2, N = 13, D = 12, H = 2, M = 24, CLASSES = 6 };

static FmTensor *
mixer (FmGraph *g, FmTensor *x, gboolean causal, const char *name)
{
  FmTensor *y = fm_norm (g, x, name), *q, *k, *v, *w;
  gdouble scale = 1 / sqrt (D / H);

  fm_graph_push_scope (g, "%s", name);
  w = fm_orthogonal_features (g, "features", M, D / H, 3, 2);
  q = fm_positive_features (g, fm_split_heads (g, fm_linear (g, y, D, "q"), H), w, scale, FALSE);
  k = fm_positive_features (g, fm_split_heads (g, fm_linear (g, y, D, "k"), H), w, scale, TRUE);
  v = fm_split_heads (g, fm_linear (g, y, D, "v"), H);
  y = fm_merge_heads (g, fm_linear_attention (g, q, k, v, FM_FEATURE_NONE, 0.0, causal, NULL));
  x = fm_add (g, x, fm_linear (g, y, D, "out"));
  fm_graph_pop_scope (g);
  return x;
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (B, N, D));
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (B, N));

  x = mixer (g, mixer (g, x, FALSE, "both-ways"), TRUE, "causal");
  return fm_mean_all (g, fm_cross_entropy (g, fm_linear (g, x, CLASSES, "head"), target));
}

FM_MODEL (random_features, .name = "random-features", .card = "lra", .build = build,
          .inputs = { { "target", 0, CLASSES - 1 } });
