/* landmark-blocks.c: a causal softmax in two levels, where a landmark behind every block says how much of a query its
 * tokens share among them.
 * Source: card landmark: Mohtashami and Jaggi 2023, "Landmark Attention", training form, rotary positions before
 * scores. The card's block is l + 1 positions; a landmark sees its own block but not itself.
 * Shapes: B, C blocks of L tokens and a landmark, N = C (L + 1) positions, D width, H heads. */
#include "models.h"

#include <math.h>

enum { B = 2, C = 4, L = 3, N = C * (L + 1), D = 16, H = 2, VOCABULARY = 9 };

static FmTensor *
build (FmGraph *g)
{
  FmTensor *tokens = fm_graph_input (g, "tokens", FM_I32, FM_SHAPE (B, C, L));
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (B, C, L));
  FmTensor *x[2], *y, *q, *k, *v, *weights;

  x[0] = fm_gather_rows (g, fm_param (g, "embedding", FM_SHAPE (VOCABULARY, D), fm_init_normal (1)), tokens);
  x[1] = fm_expand (g, fm_param (g, "landmark", FM_SHAPE (D), fm_init_normal (1)), FM_SHAPE (B, C, 1, D));
  y = fm_reshape (g, fm_concat (g, x, 2, 2), FM_SHAPE (B, N, D));
  for (guint layer = 0; layer < 2; layer++)
    {
      FmTensor *h = fm_norm (g, y, layer ? "norm.1" : "norm.0");

      fm_graph_push_scope (g, "layers.%u", layer);
      q = fm_rotary (g, fm_split_heads (g, fm_linear (g, h, D, "q"), H), NULL, NULL);
      k = fm_rotary (g, fm_split_heads (g, fm_linear (g, h, D, "k"), H), NULL, NULL);
      v = fm_split_heads (g, fm_linear (g, h, D, "v"), H);
      weights = fm_landmark_softmax (g, fm_matmul (g, q, k, FM_TRANS_B), 1 / sqrt (D / H), L + 1);
      y = fm_add (g, y, fm_linear (g, fm_merge_heads (g, fm_matmul (g, weights, v, 0)), D, "out"));
      fm_graph_pop_scope (g);
    }
  y = fm_slice (g, fm_reshape (g, y, FM_SHAPE (B, C, L + 1, D)), 2, 0, L); /* no loss on landmarks */
  return fm_mean_all (g, fm_cross_entropy (g, fm_linear (g, y, VOCABULARY, "head"), target));
}

FM_MODEL (landmark_blocks, .name = "landmark-blocks", .card = "landmark", .build = build,
          .inputs = { { "tokens", 0, VOCABULARY - 1 }, { "target", 0, VOCABULARY - 1 } });
