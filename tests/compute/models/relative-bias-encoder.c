/* relative-bias-encoder.c: positions by distance alone: a trained table of buckets in the first layer (T5), fixed slopes in
 * the second (ALiBi), a free bias a pair and head in the third.
 * Source: card long-context-survey (its table of position schemes) and card mm-llm-review (additive masks).
 * Shapes: B batch, N length, D width, H heads. */
#include "models.h"

enum { B = 2, N = 21, D = 16, H = 4, BUCKETS = 12, CLASSES = 6 };

static FmTensor *
layer (FmGraph *g, FmTensor *x, guint l, const FmAttentionMask *mask)
{
  FmTensor *y, *q, *k, *v;

  fm_graph_push_scope (g, "layers.%u", l);
  y = fm_norm (g, x, "norm");
  q = fm_split_heads (g, fm_linear (g, y, D, "q"), H);
  k = fm_split_heads (g, fm_linear (g, y, D, "k"), H);
  v = fm_split_heads (g, fm_linear (g, y, D, "v"), H);
  y = fm_linear (g, fm_merge_heads (g, fm_attention_core (g, q, k, v, 0.5, mask)), D, "out");
  fm_graph_pop_scope (g);
  return fm_add (g, x, y);
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (B, N, D));
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (B, N));
  FmTensor *table = fm_param (g, "buckets", FM_SHAPE (BUCKETS, H), fm_init_normal (0.5));
  FmTensor *free_bias = fm_param (g, "bias", FM_SHAPE (1, H, N, N), fm_init_normal (0.5));
  FmAttentionMask buckets = { .distance = fm_attention_buckets (g, table, N, N, FALSE, 16) };
  FmAttentionMask slopes = { .causal = TRUE, .distance = fm_attention_alibi (g, NULL, H, N, N, TRUE) };
  FmAttentionMask bias = { .bias = free_bias };

  x = layer (g, x, 0, &buckets);
  x = layer (g, x, 1, &slopes);
  x = layer (g, x, 2, &bias);
  return fm_mean (g, fm_reshape (g, fm_cross_entropy (g, fm_linear (g, x, CLASSES, "head"), target), FM_SHAPE (B * N)), 0);
}

FM_MODEL (relative_bias_encoder, .name = "relative-bias-encoder", .card = "long-context-survey", .build = build,
          .inputs = { { "target", 0, CLASSES - 1 } });
