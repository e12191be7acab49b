/* check-programs.c: small programs that between them use every kind of op. */
#include "config.h"

#include "check-programs.h"

#include <math.h>
#include <string.h>

static void
build_products (FmGraph *g)
{
  FmTensor *a = fm_graph_input (g, "a", FM_F32, FM_SHAPE (3, 33, 65));
  FmTensor *b = fm_graph_input (g, "b", FM_F32, FM_SHAPE (3, 65, 17));
  FmTensor *w = fm_param (g, "w", FM_SHAPE (40, 65), fm_init_normal (0.2));

  /* Big enough for wide tiles, with an edge on both sides, every order of strides. */
  FmTensor *c = fm_graph_input (g, "c", FM_F32, FM_SHAPE (203, 37)), *d = fm_graph_input (g, "d", FM_F32, FM_SHAPE (37, 190));
  FmTensor *ct = fm_contiguous (g, fm_transpose (g, c, 0, 1)), *dt = fm_contiguous (g, fm_transpose (g, d, 0, 1));

  fm_graph_output (g, "wide", fm_matmul (g, c, d, 0));
  fm_graph_output (g, "wide-a", fm_matmul (g, ct, d, FM_TRANS_A));
  fm_graph_output (g, "wide-b", fm_matmul (g, c, dt, FM_TRANS_B));
  fm_graph_output (g, "wide-ab", fm_matmul (g, ct, dt, FM_TRANS_A | FM_TRANS_B));
  fm_graph_output (g, "product", fm_matmul (g, a, b, 0));
  fm_graph_output (g, "transposed", fm_matmul (g, a, fm_contiguous (g, fm_transpose (g, b, 1, 2)), FM_TRANS_B));
  fm_graph_output (g, "affine", fm_affine (g, a, w, fm_param (g, "bias", FM_SHAPE (40), fm_init_normal (1.0))));
}

static void
build_elementwise (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (7, 1, 130));
  FmTensor *y = fm_graph_input (g, "y", FM_F32, FM_SHAPE (5, 130));
  FmTensor *z = fm_add (g, fm_mul (g, x, y), fm_square (g, y));

  fm_graph_output (g, "gelu", fm_gelu (g, z));
  fm_graph_output (g, "silu", fm_silu (g, fm_transpose (g, z, 0, 2)));
  fm_graph_output (g, "ratio", fm_div (g, fm_exp (g, fm_neg (g, fm_abs (g, z))), fm_add_scalar (g, fm_square (g, z), 1)));
  fm_graph_output (g, "chosen", fm_where (g, fm_less (g, x, y), fm_tanh (g, z), fm_sigmoid (g, z)));
}

static void
build_reductions (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (6, 70, 33));
  FmTensor *index, *top = fm_top_k (g, x, 3, &index);

  fm_graph_output (g, "sum", fm_sum (g, x, 1));
  fm_graph_output (g, "max", fm_max (g, x, -1));
  fm_graph_output (g, "argmax", fm_argmax (g, x, -1));
  fm_graph_output (g, "cumsum", fm_cumsum (g, x, 1, FALSE));
  fm_graph_output (g, "top", top);
  fm_graph_output (g, "index", index);
  fm_graph_output (g, "softmax", fm_softmax (g, x, 0.7));
  fm_graph_output (g, "all", fm_sum_all (g, fm_square (g, x)));
}

static void
build_movement (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (2, 8, 12, 3));
  FmTensor *parts[2] = { fm_slice (g, x, 2, 1, 5), fm_pad (g, x, 2, 2, 1) };
  FmTensor *rows = fm_gather_rows (g, fm_param (g, "table", FM_SHAPE (9, 20), fm_init_normal (1.0)), fm_iota (g, 7));

  fm_graph_output (g, "concat", fm_concat (g, parts, 2, 2));
  fm_graph_output (g, "patches", fm_patches (g, x, 4));
  fm_graph_output (g, "pool", fm_avg_pool (g, x, 3, 3));
  fm_graph_output (g, "rows", rows);
  fm_graph_output (g, "scattered", fm_scatter_add_rows (g, rows, fm_cast (g, fm_mul_scalar (g, fm_cast (g, fm_iota (g, 7),
                                                                 FM_F32), 0.5), FM_I32), 4));
}

/* Attention with a causal window and grouped keys, and its gradients. */
static void
build_attention (FmGraph *g)
{
  FmTensor *x[3] = { fm_graph_input (g, "q", FM_F32, FM_SHAPE (2, 4, 37, 16)),
                     fm_graph_input (g, "k", FM_F32, FM_SHAPE (2, 2, 37, 16)),
                     fm_graph_input (g, "v", FM_F32, FM_SHAPE (2, 2, 37, 16)) };
  FmAttentionMask mask = { .causal = TRUE, .window = 9 };
  FmTensor *y = fm_attention_core (g, x[0], x[1], x[2], 0.25, &mask), *dx[3];

  fm_graph_output (g, "y", y);
  fm_grad (g, fm_sum_all (g, fm_square (g, y)), x, 3, dx);
  fm_graph_output (g, "dq", dx[0]);
  fm_graph_output (g, "dk", dx[1]);
  fm_graph_output (g, "dv", dx[2]);
}

static FmTensor *
block (FmGraph *g, FmTensor *x, gint64 width)
{
  FmTensor *h = fm_norm (g, x, "norm1"), *q, *k, *v;

  q = fm_split_heads (g, fm_linear (g, h, width, "q"), 4);
  k = fm_split_heads (g, fm_linear (g, h, width, "k"), 4);
  v = fm_split_heads (g, fm_linear (g, h, width, "v"), 4);
  h = fm_merge_heads (g, fm_attention (g, "core", q, k, v, 1.0 / sqrt ((gdouble) width / 4), NULL));
  x = fm_add (g, x, fm_linear (g, h, width, "out"));
  h = fm_norm (g, x, "norm2");
  return fm_add (g, x, fm_linear (g, fm_gelu (g, fm_linear (g, h, 2 * width, "up")), width, "down"));
}

/* A whole training step: the loss after each of five steps says whether forward, backward and optimizer agree. */
static void
build_training (FmGraph *g)
{
  FmOptimizer options = { 0.9, 0.999, 1e-8, 0.01, 1.0 };
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (4, 21, 24));
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (4));
  FmTensor *logits;

  x = block (g, fm_linear (g, x, 32, "embed"), 32);
  logits = fm_linear (g, fm_mean (g, fm_norm (g, x, "norm"), 1), 10, "head");
  fm_train_step (g, fm_mean (g, fm_cross_entropy (g, logits, target), 0), &options);
}

const FmCheckProgram fm_check_programs[] = {
  { "products", build_products, 1, 2e-5, "sums of 65 products" },
  { "elementwise", build_elementwise, 1, 2e-5, "a few roundings, exp and erf to 1e-6" },
  { "reductions", build_reductions, 1, 2e-5, "sums of 70 and of 13860 terms" },
  { "movement", build_movement, 1, 2e-6, "copies, and sums of nine" },
  { "attention", build_attention, 1, 5e-5, "sums of 16 products through exp, twice over" },
  { "training", build_training, 5, 1e-3, "five steps of a block of width 32; the bound of a loss" },
  { NULL }
};

/* --- Comparing ----------------------------------------------------------------------------------------------------*/

static gboolean
write_inputs (FmProgram *p, guint step, GError **error)
{
  for (guint i = 0; i < p->plan->inputs->len; i++)
    {
      FmTensor *t = g_ptr_array_index (p->plan->inputs, i);
      gsize n = (gsize) fm_shape_count (&t->shape);
      g_autofree float *real = g_new (float, n);
      gint32 *whole = (gint32 *) real;
      FmRandom random;

      fm_random_init (&random, 11, fm_hash (t->name));
      for (gsize j = 0; j < n; j++)
        if (strcmp (t->name, "@rate") == 0)
          real[j] = 3e-3f;
        else if (strcmp (t->name, "@step") == 0)
          whole[j] = (gint32) step;
        else if (t->type == FM_I32)
          whole[j] = (gint32) fm_random_below (&random, 10);
        else
          real[j] = (float) fm_random_normal (&random);
      if (!fm_program_write (p, t->name, real, n * 4, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
compare (FmProgram *a, FmProgram *b, gdouble *worst, GError **error)
{
  for (guint i = 0; i < a->graph->outputs->len; i++)
    {
      const char *name = g_ptr_array_index (a->graph->output_names, i);
      FmTensor *t = g_ptr_array_index (a->graph->outputs, i);
      gsize n = (gsize) fm_shape_count (&t->shape);
      g_autofree float *x = g_new (float, n), *y = g_new (float, n);

      if (!fm_program_read (a, name, x, n * 4, error) || !fm_program_read (b, name, y, n * 4, error))
        return FALSE;
      for (gsize j = 0; j < n; j++)
        {
          gdouble p = t->type == FM_I32 ? ((gint32 *) x)[j] : x[j], q = t->type == FM_I32 ? ((gint32 *) y)[j] : y[j];
          gdouble difference = fabs (p - q) / MAX (1.0, fabs (q));

          *worst = isfinite (difference) ? MAX (*worst, difference) : INFINITY;
        }
    }
  return TRUE;
}

static FmProgram *
program_on (const FmCheckProgram *program, FmDevice *device, FmGraph *g, GError **error)
{
  g_autoptr(FmVariables) variables = fm_variables_new (device, 5);

  program->build (g);
  return fm_program_new (g, device, variables, error);
}

gboolean
fm_check_program_run (const FmCheckProgram *program, FmDevice *device, FmDevice *reference, gdouble *worst,
                      GError **error)
{
  g_autoptr(FmGraph) ga = fm_graph_new ();
  g_autoptr(FmGraph) gb = fm_graph_new ();
  g_autoptr(FmProgram) a = program_on (program, device, ga, error);
  g_autoptr(FmProgram) b = a != NULL ? program_on (program, reference, gb, error) : NULL;

  *worst = 0.0;
  if (b == NULL)
    return FALSE;
  for (guint step = 1; step <= program->runs; step++)
    if (!write_inputs (a, step, error) || !write_inputs (b, step, error) || !fm_program_run (a, error)
        || !fm_program_run (b, error) || !compare (a, b, worst, error))
      return FALSE;
  return *worst <= program->tolerance;
}
