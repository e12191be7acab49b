/* decoder.c: a causal decoder of the common recipe.
 * Source: card yi-recipe: RMS norm before each part, grouped keys and values, gated feed-forward, no biases; the loss adds
 * the square of the log partition, as decoders that must not drift do (card moe-survey's z-loss).
 * Shapes: B, N tokens, D width, H query heads, KV key heads, F feed-forward, V vocabulary. */
#include "models.h"

#include <math.h>

enum { B = 3, N = 14, D = 24, H = 6, KV = 2, F = 40, V = 23, L = 2 };

static FmTensor *
rms (FmGraph *g, FmTensor *x, const char *name)
{
  return fm_rms_norm (g, x, fm_param (g, name, FM_SHAPE (D), fm_init_constant (1)), 1e-6);
}

static FmTensor *
block (FmGraph *g, FmTensor *x)
{
  FmAttentionMask mask = { .causal = TRUE };
  FmTensor *h = rms (g, x, "norm1"), *q, *k, *v;

  q = fm_split_heads (g, fm_linear_no_bias (g, h, D, "q"), H);
  k = fm_split_heads (g, fm_linear_no_bias (g, h, D / H * KV, "k"), KV);
  v = fm_split_heads (g, fm_linear_no_bias (g, h, D / H * KV, "v"), KV);
  h = fm_attention_core (g, q, k, v, 1.0 / sqrt (D / H), &mask);
  x = fm_add (g, x, fm_linear_no_bias (g, fm_merge_heads (g, h), D, "out"));
  h = rms (g, x, "norm2");
  h = fm_mul (g, fm_silu (g, fm_linear_no_bias (g, h, F, "gate")), fm_linear_no_bias (g, h, F, "up"));
  return fm_add (g, x, fm_linear_no_bias (g, h, D, "down"));
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *tokens = fm_graph_input (g, "tokens", FM_I32, FM_SHAPE (B, N));
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (B, N));
  FmTensor *table = fm_param (g, "table", FM_SHAPE (V, D), fm_init_normal (0.5)), *x, *logits, *drift;

  x = fm_add (g, fm_gather_rows (g, table, tokens), fm_param (g, "positions", FM_SHAPE (N, D), fm_init_normal (0.1)));
  for (gint i = 0; i < L; i++)
    {
      fm_graph_push_scope (g, "layers.%d", i);
      x = block (g, x);
      fm_graph_pop_scope (g);
    }
  logits = fm_affine (g, rms (g, x, "norm"), table, NULL); /* the table twice: tied */
  drift = fm_square (g, fm_log_sum_exp (g, logits, -1));
  return fm_add (g, fm_mean_all (g, fm_cross_entropy (g, logits, target)),
                 fm_mul_scalar (g, fm_mean_all (g, drift), 1e-3));
}

FM_MODEL (decoder, .name = "decoder", .card = "yi-recipe", .build = build,
          .inputs = { { "tokens", 0, V - 1 }, { "target", 0, V - 1 } });
