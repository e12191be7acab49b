/* rotary-decoder.c: a causal decoder with rotary positions, keys and values shared by groups of heads, and a gated
 * feed-forward; its second layer reads chosen keys alone.
 * Source: card yi-recipe (GQA, rotary base, SwiGLU, RMS norm) and card keyformer (a set of keys a head).
 * Shapes: B batch, N length, D width, H heads of which Hk have keys, K chosen keys. */
#include "models.h"

enum { B = 2, N = 19, D = 16, H = 4, HK = 2, F = 24, K = 6, CLASSES = 7 };

static FmTensor *
layer (FmGraph *g, FmTensor *x, guint l, FmTensor *chosen)
{
  FmRotary rotary = { .base = 5e6, .halves = TRUE, .scale = 2.0 };
  FmAttentionMask causal = { .causal = TRUE };
  FmTensor *gain, *y, *q, *k, *v;

  fm_graph_push_scope (g, "layers.%u", l);
  gain = fm_param (g, "gain", FM_SHAPE (D), fm_init_constant (1.0));
  y = fm_rms_norm (g, x, gain, 1e-5);
  q = fm_rotary (g, fm_split_heads (g, fm_linear_no_bias (g, y, D, "q"), H), NULL, &rotary);
  k = fm_rotary (g, fm_split_heads (g, fm_linear_no_bias (g, y, D / H * HK, "k"), HK), NULL, &rotary);
  v = fm_split_heads (g, fm_linear_no_bias (g, y, D / H * HK, "v"), HK);
  y = chosen ? fm_attention_subset (g, q, k, v, chosen, 0.5, TRUE) : fm_attention_core (g, q, k, v, 0.5, &causal);
  x = fm_add (g, x, fm_linear_no_bias (g, fm_merge_heads (g, y), D, "out"));
  y = fm_rms_norm (g, x, gain, 1e-5);
  y = fm_mul (g, fm_silu (g, fm_linear_no_bias (g, y, F, "gate")), fm_linear_no_bias (g, y, F, "up"));
  x = fm_add (g, x, fm_linear_no_bias (g, y, D, "down"));
  fm_graph_pop_scope (g);
  return x;
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (B, N, D));
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (B, N));
  FmTensor *chosen = fm_graph_input (g, "chosen", FM_I32, FM_SHAPE (B, HK, K));

  x = layer (g, x, 0, NULL);
  x = layer (g, x, 1, chosen);
  return fm_mean (g, fm_reshape (g, fm_cross_entropy (g, fm_linear (g, x, CLASSES, "head"), target), FM_SHAPE (B * N)), 0);
}

FM_MODEL (rotary_decoder, .name = "rotary-decoder", .card = "yi-recipe", .build = build,
          .inputs = { { "target", 0, CLASSES - 1 }, { "chosen", -1, N - 1 } });
