/* cached-decoder.c: a causal decoder, trained on whole sequences, that writes token by token over a cache.
 * Source: cards keyformer and lean-attn (one query over cached keys, split in parts), card yi-recipe (keys shared by
 * groups of heads).
 * Shapes: B sequences of N tokens, D width, H heads, HK of which have keys, d head width, V vocabulary, L layers. */
#include "models.h"

#include <math.h>

enum { B = 3, N = 14, D = 24, H = 6, HK = 2, W = D / H, V = 13, L = 2, PARTS = 3 };

/* What decoding has and training has not. */
typedef struct { FmTensor *position, *lengths; } Step;

static FmTensor *
mix (FmGraph *g, FmTensor *q, FmTensor *k, FmTensor *v, const Step *step)
{
  FmAttentionMask causal = { .causal = TRUE };
  FmTensor *k_cache, *v_cache;

  if (step == NULL)
    return fm_attention_core (g, q, k, v, 1 / sqrt (W), &causal);
  k_cache = fm_state (g, "keys", FM_F32, FM_SHAPE (B, HK, N, W), fm_init_zeros ());
  v_cache = fm_state (g, "values", FM_F32, FM_SHAPE (B, HK, N, W), fm_init_zeros ());
  fm_assign_slice (g, k_cache, 2, step->position, k);
  fm_assign_slice (g, v_cache, 2, step->position, v);
  return fm_attention_split (g, q, fm_repeat (g, k_cache, 1, H / HK), fm_repeat (g, v_cache, 1, H / HK), 1 / sqrt (W),
                             step->lengths, PARTS);
}

static FmTensor *
decoder (FmGraph *g, FmTensor *tokens, const Step *step)
{
  FmTensor *table = fm_param (g, "table", FM_SHAPE (V, D), fm_init_normal (1)), *x, *h;
  FmTensor *place = fm_param (g, "place", FM_SHAPE (N, D), fm_init_normal (0.5));

  x = fm_gather_rows (g, table, tokens);
  x = fm_add (g, x, step ? fm_dynamic_slice (g, place, 0, step->position, 1) : place);
  for (guint l = 0; l < L; l++)
    {
      fm_graph_push_scope (g, "layers.%u", l);
      h = fm_norm (g, x, "norm");
      h = mix (g, fm_split_heads (g, fm_linear (g, h, D, "q"), H), fm_split_heads (g, fm_linear (g, h, HK * W, "k"), HK),
               fm_split_heads (g, fm_linear (g, h, HK * W, "v"), HK), step);
      x = fm_add (g, x, fm_linear (g, fm_merge_heads (g, h), D, "out"));
      x = fm_add (g, x, fm_linear (g, fm_gelu (g, fm_linear (g, fm_norm (g, x, "norm2"), 2 * D, "up")), D, "down"));
      fm_graph_pop_scope (g);
    }
  return fm_linear (g, x, V, "head");
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *tokens = fm_graph_input (g, "tokens", FM_I32, FM_SHAPE (B, N));
  FmTensor *next = fm_graph_input (g, "next", FM_I32, FM_SHAPE (B, N));

  return fm_mean_all (g, fm_cross_entropy (g, decoder (g, tokens, NULL), next));
}

static const FmModelRow row = { .name = "cached-decoder", .inputs = { { "tokens", 0, V - 1 }, { "next", 0, V - 1 } } };

/* The likeliest token each time, over the cache; then the same tokens in one pass give the same logits at every place. */
static void
check (FmDevice *device)
{
  g_autoptr(FmVariables) variables = fm_variables_new (device, 3);
  g_autoptr(FmGraph) g = fm_graph_new (), whole = fm_graph_new ();
  g_autoptr(FmProgram) step = NULL, pass = NULL;
  g_autoptr(GError) error = NULL;
  FmTensor *position = fm_graph_input (g, "position", FM_I32, FM_SHAPE (1)), *length;
  gint32 tokens[B][N], token[B];
  gfloat made[N][B][V], want[B][N][V];

  length = fm_add (g, position, fm_constant (g, FM_I32, FM_SHAPE (1), 1));
  fm_graph_output (g, "y", decoder (g, fm_graph_input (g, "token", FM_I32, FM_SHAPE (B, 1)), &(Step){
                     position, fm_contiguous (g, fm_expand (g, length, FM_SHAPE (B))) }));
  step = fm_model_program (&row, g, device, variables);
  for (guint b = 0; b < B; b++)
    token[b] = (gint32) b;
  for (gint32 n = 0; n < N; n++)
    {
      fm_program_write (step, "position", &n, sizeof n, &error);
      fm_program_write (step, "token", token, sizeof token, &error);
      g_assert_no_error (error);
      fm_model_run (step, "y", made[n], B * V);
      for (guint b = 0; b < B; b++)
        {
          tokens[b][n] = token[b];
          for (gint32 c = token[b] = 0; c < V; c++)
            if (made[n][b][c] > made[n][b][token[b]])
              token[b] = c;
        }
    }
  fm_graph_output (whole, "y", decoder (whole, fm_graph_input (whole, "tokens", FM_I32, FM_SHAPE (B, N)), NULL));
  pass = fm_model_program (&row, whole, device, variables);
  fm_program_write (pass, "tokens", tokens, sizeof tokens, &error);
  g_assert_no_error (error);
  fm_model_run (pass, "y", want, B * N * V);
  for (guint n = 0; n < N; n++)
    for (guint b = 0; b < B; b++)
      for (guint c = 0; c < V; c++)
        g_assert_cmpfloat (fabsf (made[n][b][c] - want[b][n][c]), <=, 2e-5f); /* logits of size 3, sums of 48 terms */
}

FM_MODEL (cached_decoder, .name = "cached-decoder", .card = "keyformer", .build = build, .check = check,
          .inputs = { { "tokens", 0, V - 1 }, { "next", 0, V - 1 } });
