/* tagger.c: a tagger that reads both ways and chooses whole label sequences.
 * Source: card clin-x: the chain over labels on top of an encoder, trained by its log likelihood; card lama: a bidirectional
 * GRU, pooled by a low-rank score.
 * Shapes: B sentences, N words, D width, C labels, V words known. */
#include "models.h"

enum { B = 4, N = 9, D = 6, C = 5, V = 20, RANK = 2 };

static FmTensor *
both_ways (FmGraph *g, FmTensor *x)
{
  FmTensor *y[2];

  for (guint back = 0; back < 2; back++)
    {
      fm_graph_push_scope (g, back ? "back" : "forth");
      y[back] = fm_gru (g, fm_linear (g, x, 3 * D, "in"), fm_param (g, "state.weight", FM_SHAPE (3 * D, D), fm_init_normal (0.3)),
                        fm_param (g, "state.bias", FM_SHAPE (3 * D), fm_init_zeros ()), NULL, back);
      fm_graph_pop_scope (g);
    }
  return fm_concat (g, y, 2, -1); /* [B,N,2D] */
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *words = fm_graph_input (g, "words", FM_I32, FM_SHAPE (B, N)), *length = fm_graph_input (g, "length", FM_I32, FM_SHAPE (B));
  FmTensor *labels = fm_graph_input (g, "labels", FM_I32, FM_SHAPE (B, N));
  FmTensor *table = fm_param (g, "words", FM_SHAPE (V, D), fm_init_normal (1));
  FmTensor *transitions = fm_param (g, "transitions", FM_SHAPE (C, C), fm_init_normal (0.1));
  FmTensor *h = both_ways (g, fm_gather_rows (g, table, words)), *emissions = fm_linear (g, h, C, "emissions");
  FmTensor *likelihood = fm_sub (g, fm_crf_score (g, emissions, transitions, labels, length),
                                 fm_crf_log_partition (g, emissions, transitions, length));
  FmTensor *path, *score, *pooled, *weights, *class;

  /* The best path's own score: of no use for training, but what a reader of the model sees. */
  path = fm_crf_decode (g, emissions, transitions, length, &score);
  fm_graph_output (g, "path", path);
  fm_graph_output (g, "score", score);

  /* Pooling by scores (h U) * (h V): a class for the whole sentence. */
  weights = fm_mul (g, fm_linear_no_bias (g, h, RANK, "u"), fm_tanh (g, fm_linear_no_bias (g, h, RANK, "v")));
  weights = fm_softmax (g, fm_transpose (g, weights, 1, 2), 1.0); /* [B,RANK,N] */
  pooled = fm_reshape (g, fm_matmul (g, weights, h, 0), FM_SHAPE (B, RANK * 2 * D));
  class = fm_cross_entropy (g, fm_linear (g, pooled, C, "class"),
                            fm_reshape (g, fm_slice (g, labels, 1, 0, 1), FM_SHAPE (B)));
  return fm_add (g, fm_neg (g, fm_mean (g, likelihood, 0)), fm_mean (g, class, 0));
}

FM_MODEL (tagger, .name = "tagger", .card = "clin-x", .build = build,
          .inputs = { { "words", 0, V - 1 }, { "labels", 0, C - 1 }, { "length", 1, N } });
