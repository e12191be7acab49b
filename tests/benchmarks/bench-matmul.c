/* bench-matmul.c: products at the shapes of the first comparison and at some larger ones: verified, then timed.
 *
 *     bench-matmul [THREADS]      a case that is wrong gets no number and exit 1 */
#include "bench.h"

#include <math.h>
#include <stdlib.h>

/* c [n,m] = a b; what: affine x [n,k] W [m,k] + bias; dx = dy [n,k] W [k,m]; dw = dy^T [k,n] x [k,m]; batch. */
typedef struct { const char *what; gint64 batch, n, k, m; } Case;

static const Case cases[] = {
  { "affine", 1, 3136, 16, 64 }, { "affine", 1, 3136, 64, 64 }, { "affine", 1, 3136, 64, 192 },
  { "affine", 1, 3136, 64, 256 }, { "affine", 1, 3136, 256, 64 },
  { "dx", 1, 3136, 64, 64 }, { "dx", 1, 3136, 256, 64 }, { "dx", 1, 3136, 64, 256 },
  { "dw", 1, 64, 3136, 64 }, { "dw", 1, 256, 3136, 64 }, { "dw", 1, 64, 3136, 256 },
  { "affine", 1, 2048, 256, 1024 }, { "affine", 1, 2048, 1024, 256 }, { "affine", 1, 2048, 768, 768 },
  { "dw", 1, 1024, 2048, 256 }, { "affine", 1, 1024, 1024, 1024 }, { "affine", 1, 49, 64, 256 },
  { "batch", 256, 49, 16, 49 }, { "batch", 256, 49, 49, 16 }, { "batch", 64, 128, 32, 128 },
};

static FmTensor *
build (FmGraph *g, const Case *c)
{
  FmTensor *a, *b;

  if (g_str_equal (c->what, "affine"))
    {
      a = fm_graph_input (g, "a", FM_F32, FM_SHAPE (c->n, c->k));
      b = fm_graph_input (g, "b", FM_F32, FM_SHAPE (c->m, c->k));
      return fm_affine (g, a, b, fm_graph_input (g, "bias", FM_F32, FM_SHAPE (c->m)));
    }
  if (g_str_equal (c->what, "dw"))
    {
      a = fm_graph_input (g, "a", FM_F32, FM_SHAPE (c->k, c->n));
      b = fm_graph_input (g, "b", FM_F32, FM_SHAPE (c->k, c->m));
      return fm_matmul (g, a, b, FM_TRANS_A);
    }
  a = fm_graph_input (g, "a", FM_F32, FM_SHAPE (c->batch, c->n, c->k));
  b = c->batch > 1 ? fm_graph_input (g, "b", FM_F32, FM_SHAPE (c->batch, c->k, c->m))
                   : fm_graph_input (g, "b", FM_F32, FM_SHAPE (c->k, c->m));
  return fm_matmul (g, a, b, 0);
}

static gboolean
verify (const Case *c, const float *a, const float *b, const float *bias, const float *y)
{
  FmRandom random;

  fm_random_init (&random, 1, 7);
  for (int sample = 0; sample < 500; sample++)
    {
      gint64 batch = (gint64) fm_random_below (&random, c->batch), i = (gint64) fm_random_below (&random, c->n);
      gint64 j = (gint64) fm_random_below (&random, c->m);
      gdouble sum = bias ? bias[j] : 0, size = 1;

      for (gint64 t = 0; t < c->k; t++)
        {
          gdouble x = g_str_equal (c->what, "dw") ? a[t * c->n + i] : a[(batch * c->n + i) * c->k + t];
          gdouble w = bias ? b[j * c->k + t] : b[(batch * c->k + t) * c->m + j];

          sum += x * w;
          size += fabs (x * w);
        }
      if (!(fabs (sum - y[(batch * c->n + i) * c->m + j]) <= 1e-6 * size))
        return FALSE;
    }
  return TRUE;
}

int
main (int argc, char **argv)
{
  guint threads = argc > 1 ? (guint) atoi (argv[1]) : g_get_num_processors ();
  g_autoptr(GError) error = NULL;
  g_autoptr(FmDevice) device = fm_device_open ("cpu", threads, &error);
  int wrong = 0;

  if (!device)
    g_error ("%s", error->message);
  fm_bench_print_head (device, threads);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const Case *c = &cases[i];
      g_autoptr(FmGraph) g = fm_graph_new ();
      g_autoptr(FmVariables) variables = fm_variables_new (device, 1);
      g_autoptr(FmProgram) program = NULL;
      g_autofree float *a = NULL, *b = NULL, *bias = NULL;
      g_autofree float *y = g_new (float, c->batch * c->n * c->m);
      g_autofree char *name = g_strdup_printf ("%s %s%" G_GINT64_FORMAT "x%" G_GINT64_FORMAT "x%" G_GINT64_FORMAT,
                                               c->what, c->batch > 1 ? "many " : "", c->n, c->k, c->m);

      fm_graph_output (g, "y", build (g, c));
      program = fm_program_new (g, device, variables, &error);
      if (!program)
        g_error ("%s", error->message);
      a = fm_bench_fill (program, g, "a");
      b = fm_bench_fill (program, g, "b");
      if (fm_program_has_input (program, "bias"))
        bias = fm_bench_fill (program, g, "bias");
      if (!fm_program_run (program, &error)
          || !fm_program_read (program, "y", y, c->batch * c->n * c->m * sizeof *y, &error))
        g_error ("%s", error->message);
      if (!verify (c, a, b, bias, y))
        {
          g_print ("%-44s WRONG\n", name);
          wrong = 1;
          continue;
        }
      fm_bench_print (name, fm_bench_program (program), 2.0 * c->batch * c->n * c->k * c->m, threads);
    }
  return wrong;
}
