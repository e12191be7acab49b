/* block-sparse-encoder.c: an encoder whose first layer sees a window, some far blocks and the first tokens, whose second
 * sees a dilated window, and whose third is linear attention, causal.
 * Source: card lra (BigBird, Longformer, Sparse and Linear Transformer are among its mixers) and card masformer (a mask a
 * layer).
 * Shapes: B batch, N length, D width, H heads, C classes; blocks of S positions. */
#include "models.h"

enum { B = 2, N = 40, D = 16, H = 2, S = 4, BLOCKS = N / S, CLASSES = 5 };

/* i32 [H, blocks, blocks]: neighbours, the first block both ways, and one far block a row, another one a head. */
static FmTensor *
layout (FmGraph *g)
{
  FmTensor *i = fm_reshape (g, fm_iota (g, BLOCKS), FM_SHAPE (1, BLOCKS, 1));
  FmTensor *j = fm_reshape (g, fm_iota (g, BLOCKS), FM_SHAPE (1, 1, BLOCKS));
  FmTensor *h = fm_reshape (g, fm_iota (g, H), FM_SHAPE (H, 1, 1));
  FmTensor *far = fm_add (g, fm_mul (g, i, fm_constant (g, FM_I32, FM_SHAPE (1), 7)),
                          fm_mul (g, h, fm_constant (g, FM_I32, FM_SHAPE (1), 3)));
  FmTensor *near = fm_less (g, fm_abs (g, fm_cast (g, fm_sub (g, i, j), FM_F32)),
                            fm_constant (g, FM_F32, FM_SHAPE (1), 2.0));
  FmTensor *chosen;

  /* far modulo the number of blocks, by subtracting it as often as it goes in */
  for (guint k = 0; k < 8; k++)
    {
      FmTensor *size = fm_constant (g, FM_I32, FM_SHAPE (1), BLOCKS);
      FmTensor *fits = fm_cast (g, fm_less_equal (g, size, far), FM_I32);

      far = fm_sub (g, far, fm_mul (g, fits, size));
    }
  chosen = fm_equal (g, far, fm_expand (g, j, FM_SHAPE (H, BLOCKS, BLOCKS)));
  return fm_cast (g, fm_maximum (g, near, chosen), FM_I32);
}

static FmTensor *
layer (FmGraph *g, FmTensor *x, const FmAttentionMask *mask)
{
  FmTensor *y = fm_norm (g, x, "norm");
  FmTensor *q = fm_split_heads (g, fm_linear (g, y, D, "q"), H), *k = fm_split_heads (g, fm_linear (g, y, D, "k"), H);
  FmTensor *v = fm_split_heads (g, fm_linear (g, y, D, "v"), H);

  y = mask ? fm_attention_core (g, q, k, v, 0.35, mask)
           : fm_linear_attention (g, q, k, v, FM_FEATURE_ELU, 1e-6, TRUE, NULL);
  y = fm_merge_heads (g, y);
  return fm_add (g, x, fm_linear (g, y, D, "out"));
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (B, N, D));
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (B));
  FmAttentionMask blocks = { .layout = layout (g), .layout_block = S, .globals = 2 };
  FmAttentionMask dilated = { .window = 12, .dilation = 3,
                              .key_lengths = fm_graph_input (g, "lengths", FM_I32, FM_SHAPE (B)) };

  fm_graph_push_scope (g, "layers.0");
  x = layer (g, x, &blocks);
  fm_graph_pop_scope (g);
  fm_graph_push_scope (g, "layers.1");
  x = layer (g, x, &dilated);
  fm_graph_pop_scope (g);
  fm_graph_push_scope (g, "layers.2");
  x = layer (g, x, NULL);
  fm_graph_pop_scope (g);
  return fm_mean (g, fm_cross_entropy (g, fm_linear (g, fm_mean (g, x, 1), CLASSES, "head"), target), 0);
}

FM_MODEL (block_sparse_encoder, .name = "block-sparse-encoder", .card = "lra", .build = build,
          .inputs = { { "target", 0, CLASSES - 1 }, { "lengths", N / 2, N } });
