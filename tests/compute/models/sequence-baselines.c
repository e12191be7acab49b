/* sequence-baselines.c: what a causal Transformer is measured against when it learns in context.
 * Source: card gpicl: LSTM and fast-weight (linear attention with decay) baselines over continuous tokens, loss at every
 * position; card after-survey: diagonal state-space layer. The three run side by side and share a head.
 * Shapes: B sequences, N steps, D width, H heads of d, X numbers a token. */
#include "models.h"

enum { B = 3, N = 12, D = 8, H = 2, d = 4, X = 5, CLASSES = 10 };

static FmTensor *
lstm (FmGraph *g, FmTensor *x)
{
  FmTensor *cells, *h = fm_lstm (g, fm_linear (g, x, 4 * D, "in"), fm_param (g, "state", FM_SHAPE (4 * D, D), fm_init_normal (0.3)),
                                 NULL, NULL, FALSE, &cells);

  return fm_add (g, h, fm_mul_scalar (g, cells, 0.1));
}

/* S_t = diag (decay_t) S_{t-1} + k_t v_t^T, read by q_t. */
static FmTensor *
fast_weights (FmGraph *g, FmTensor *x)
{
  FmTensor *q = fm_split_heads (g, fm_linear (g, x, D, "q"), H), *k = fm_split_heads (g, fm_linear (g, x, D, "k"), H);
  FmTensor *v = fm_split_heads (g, fm_linear (g, x, D, "v"), H), *decay = fm_split_heads (g, fm_sigmoid (g, fm_linear (g, x, D, "decay")), H);

  return fm_merge_heads (g, fm_matrix_scan (g, q, fm_softmax (g, k, 1.0), v, decay, NULL, NULL));
}

/* h_t = a h_{t-1} + (1 - a) b_t with one a a channel. */
static FmTensor *
state_space (FmGraph *g, FmTensor *x)
{
  FmTensor *a = fm_sigmoid (g, fm_param (g, "a", FM_SHAPE (1, 1, D), fm_init_uniform (2)));
  FmTensor *b = fm_mul (g, fm_linear (g, x, D, "b"), fm_sub (g, fm_constant (g, FM_F32, FM_SHAPE (1), 1.0), a));

  return fm_linear_scan (g, a, b, NULL, FALSE);
}

static FmTensor *
plain_step (FmGraph *g, FmTensor * const *x, FmTensor **state, gpointer weight)
{
  return state[0] = fm_tanh (g, fm_add (g, x[0], fm_matmul (g, state[0], weight, FM_TRANS_B)));
}

static FmTensor *
plain (FmGraph *g, FmTensor *x)
{
  FmTensor *in = fm_linear (g, x, D, "in"), *state[1] = { fm_constant (g, FM_F32, FM_SHAPE (B, D), 0.0) };

  return fm_scan (g, plain_step, &in, 1, state, 1, FALSE, fm_param (g, "state", FM_SHAPE (D, D), fm_init_normal (0.3)));
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (B, N, X)), *loss = NULL;
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (B, N));
  static FmTensor *(*const layers[]) (FmGraph *, FmTensor *) = { lstm, fast_weights, state_space, plain };
  static const char * const names[] = { "lstm", "fast-weights", "state-space", "plain" };

  for (guint i = 0; i < G_N_ELEMENTS (layers); i++)
    {
      FmTensor *y;

      fm_graph_push_scope (g, "%s", names[i]);
      y = fm_linear (g, fm_norm (g, layers[i] (g, fm_linear (g, x, D, "tokens")), "norm"), CLASSES, "head");
      y = fm_mean (g, fm_mean (g, fm_cross_entropy (g, y, target), 1), 0);
      fm_graph_pop_scope (g);
      loss = loss ? fm_add (g, loss, y) : y;
    }
  return loss;
}

FM_MODEL (sequence_baselines, .name = "sequence-baselines", .card = "gpicl", .build = build,
          .inputs = { { "target", 0, CLASSES - 1 } });
