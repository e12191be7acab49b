/* step-graph.c: training steps of known sizes. */
#include "config.h"

#include "step-graph.h"

#include <math.h>

const FmStepSize fm_step_t1 = { "T1", 2, 64, 4, 256, 32, 128, 256, TRUE };
const FmStepSize fm_step_t2 = { "T2", 4, 256, 8, 1024, 8, 256, 256, TRUE };
const FmStepSize fm_step_t3 = { "T3", 2, 64, 4, 256, 64, 49, 10, FALSE };

static FmTensor *
layer (FmGraph *g, const FmStepSize *s, FmTensor *x)
{
  FmAttentionMask mask = { .causal = s->causal };
  FmTensor *h = fm_norm (g, x, "norm1"), *q, *k, *v;

  q = fm_split_heads (g, fm_linear (g, h, s->width, "q"), s->heads);
  k = fm_split_heads (g, fm_linear (g, h, s->width, "k"), s->heads);
  v = fm_split_heads (g, fm_linear (g, h, s->width, "v"), s->heads);
  h = fm_attention (g, "core", q, k, v, 1.0 / sqrt ((gdouble) (s->width / s->heads)), &mask);
  h = fm_linear (g, fm_merge_heads (g, h), s->width, "out");
  if (s->dropout > 0)
    h = fm_dropout (g, "drop", h, s->dropout);
  x = fm_add (g, x, h);
  h = fm_linear (g, fm_gelu (g, fm_linear (g, fm_norm (g, x, "norm2"), s->hidden, "up")), s->width, "down");
  return fm_add (g, x, h);
}

FmTensor *
fm_step_loss (FmGraph *g, const FmStepSize *s)
{
  FmTensor *x, *position, *target;

  if (s->causal)
    {
      x = fm_graph_input (g, "x", FM_I32, FM_SHAPE (s->batch, s->length));
      x = fm_gather_rows (g, fm_param (g, "token", FM_SHAPE (s->classes, s->width), fm_init_normal (0.1)), x);
    }
  else
    {
      x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (s->batch, s->length, 16));
      x = fm_linear (g, x, s->width, "embed");
    }
  position = fm_param (g, "position", FM_SHAPE (s->length, s->width), fm_init_normal (0.1));
  x = fm_add (g, x, position);
  for (gint64 i = 0; i < s->layers; i++)
    {
      fm_graph_push_scope (g, "layers.%d", (int) i);
      if (s->recompute)
        fm_graph_begin_recompute (g);
      x = layer (g, s, x);
      if (s->recompute)
        fm_graph_end_recompute (g);
      fm_graph_pop_scope (g);
    }
  x = fm_norm (g, x, "norm");
  if (!s->causal)
    x = fm_mean (g, x, 1);
  target = fm_graph_input (g, "target", FM_I32, s->causal ? FM_SHAPE (s->batch, s->length) : FM_SHAPE (s->batch));
  x = fm_cross_entropy (g, fm_linear (g, x, s->classes, "head"), target);
  return fm_mul_scalar (g, fm_sum_all (g, x), 1.0 / (gdouble) fm_tensor_get_count (x));
}

FmGraph *
fm_step_graph (const FmStepSize *s)
{
  FmGraph *g = fm_graph_new ();

  fm_train_step (g, fm_step_loss (g, s), &(FmOptimizer){ 0.9, 0.999, 1e-8, 0.01, 1.0 });
  g_assert_no_error ((GError *) fm_graph_get_error (g));
  return g;
}

static void
write_input (FmProgram *p, const char *name, gconstpointer data, gsize bytes)
{
  g_autoptr (GError) error = NULL;

  if (fm_program_has_input (p, name))
    fm_program_write (p, name, data, bytes, &error);
  g_assert_no_error (error);
}

void
fm_step_write (FmProgram *p, const FmStepSize *s, gint32 number)
{
  gsize n = (gsize) (s->batch * s->length * (s->causal ? 1 : 16)), n_target = (gsize) (s->batch * (s->causal ? s->length : 1));
  g_autofree gfloat *x = g_new (gfloat, n);
  g_autofree gint32 *target = g_new (gint32, n_target);
  const gint32 seed[2] = { 3, 0 };
  gfloat rate = 3e-3f;
  FmRandom random;

  fm_random_init (&random, 1, 2);
  for (gsize i = 0; i < n; i++)
    if (s->causal)
      ((gint32 *) x)[i] = (gint32) fm_random_below (&random, (guint32) s->classes);
    else
      x[i] = (gfloat) fm_random_normal (&random);
  for (gsize i = 0; i < n_target; i++)
    target[i] = (gint32) fm_random_below (&random, (guint32) s->classes);
  write_input (p, "x", x, n * 4);
  write_input (p, "target", target, n_target * 4);
  write_input (p, "@seed", seed, sizeof seed);
  write_input (p, "@rate", &rate, sizeof rate);
  write_input (p, "@step", &number, sizeof number);
}
