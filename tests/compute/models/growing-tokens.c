/* growing-tokens.c: layers whose weights are tokens that the input attends to, so that a trained model takes more of them.
 * Source: card tokenformer: Wang et al. 2024, arXiv:2410.23168, equations 3 to 5 and section 3.3 (keys grown with zeros leave
 * the output as it is).
 * Shapes: T rows, D width, P parameter tokens. */
#include "models.h"

#include <math.h>
#include <string.h>

enum { T = 15, D = 12, P = 10, MORE = 6, CLASSES = 5, OTHER = 3 };

/* gelu (x K^T over its own length, times sqrt (P as it began)) V: pairs whose key is zero add nothing. */
static FmTensor *
attend (FmGraph *g, FmTensor *x, gint64 tokens, const char *name)
{
  FmTensor *keys, *values, *scores;

  fm_graph_push_scope (g, "%s", name);
  keys = fm_param (g, "keys", FM_SHAPE (tokens, D), fm_init_normal (0.5));
  values = fm_param (g, "values", FM_SHAPE (tokens, D), fm_init_normal (0.5));
  fm_graph_pop_scope (g);
  scores = fm_matmul (g, x, keys, FM_TRANS_B);
  scores = fm_gelu (g, fm_mul_scalar (g, fm_l2_normalize (g, scores, 1e-6), sqrt (P)));
  return fm_matmul (g, scores, values, 0);
}

static FmTensor *
model (FmGraph *g, gint64 tokens, gint64 classes)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (T, D));

  x = fm_add (g, x, attend (g, fm_norm (g, x, "norm"), tokens, "first"));
  x = fm_add (g, x, attend (g, fm_norm (g, x, "norm2"), tokens, "second"));
  return fm_linear (g, x, classes, "head");
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (T));

  return fm_mean (g, fm_cross_entropy (g, model (g, P, CLASSES), target), 0);
}

static const FmModelRow row = { .name = "growing-tokens", .inputs = { { "target", 0, CLASSES - 1 } } };

static void
logits_of (FmDevice *device, FmVariables *variables, gint64 tokens, gint64 classes, gfloat *y)
{
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(FmProgram) program = NULL;

  fm_graph_output (g, "y", model (g, tokens, classes));
  program = fm_model_program (&row, g, device, variables);
  fm_model_run (program, "y", y, T * classes);
}

static void
check (FmDevice *device)
{
  static const char * const keys[] = { "first.keys", "second.keys" };
  static const char * const values[] = { "first.values", "second.values" };
  static const gint64 kept[OTHER] = { 4, 0, 2 }, to[OTHER] = { 0, 1, 2 };
  g_autoptr(FmVariables) variables = fm_variables_new (device, 3);
  g_autoptr(GError) error = NULL;
  gfloat before[T * CLASSES], after[T * CLASSES], fewer[T * OTHER], zeros[OTHER * D] = { 0 };

  logits_of (device, variables, P, CLASSES, before);
  /* New keys of zeros: whatever their values are, the outputs stay. */
  for (guint i = 0; i < 2; i++)
    {
      fm_variables_grow (variables, keys[i], FM_SHAPE (P + MORE, D), fm_init_zeros (), &error);
      fm_variables_grow (variables, values[i], FM_SHAPE (P + MORE, D), fm_init_normal (3), &error);
      g_assert_no_error (error);
    }
  logits_of (device, variables, P + MORE, CLASSES, after);
  for (guint i = 0; i < T * CLASSES; i++)
    g_assert_cmpfloat (fabsf (after[i] - before[i]), <=, 1e-5f);

  /* A head of other classes, some of which are those of before. */
  g_assert_true (fm_variables_replace (variables, "kept", FM_F32, FM_SHAPE (OTHER, D), zeros, sizeof zeros, &error));
  g_assert_true (fm_variables_copy_rows (variables, "kept", to, variables, "head.weight", kept, OTHER, &error));
  g_assert_true (fm_variables_read (variables, "kept", zeros, sizeof zeros, &error));
  g_assert_true (fm_variables_remove (variables, "kept"));
  g_assert_false (fm_variables_remove (variables, "kept"));
  g_assert_true (fm_variables_replace (variables, "head.weight", FM_F32, FM_SHAPE (OTHER, D), zeros, sizeof zeros, &error));
  memset (zeros, 0, sizeof zeros);
  g_assert_true (fm_variables_replace (variables, "head.bias", FM_F32, FM_SHAPE (OTHER), zeros, OTHER * sizeof *zeros,
                                       &error));
  g_assert_no_error (error);
  logits_of (device, variables, P + MORE, OTHER, fewer);
  for (guint t = 0; t < T; t++)
    for (guint c = 0; c < OTHER; c++)
      g_assert_cmpfloat (fabsf (fewer[t * OTHER + c] - before[t * CLASSES + kept[c]]), <=, 1e-5f); /* biases were zeros */
}

FM_MODEL (growing_tokens, .name = "growing-tokens", .card = "tokenformer", .build = build, .check = check,
          .inputs = { { "target", 0, CLASSES - 1 } });
