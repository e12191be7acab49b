/* bench-ops.c: verifies, then times ops that live on memory bandwidth, forward and backward, on the CPU.
 *
 * Every op runs inside a program whose nodes are timed one by one. The program's results are compared with those of the
 * baseline kernels (x86-64-v1, one thread), which the tests compare with double references; a kernel that differs gets
 * no number. The roof is the copy of a large array, measured here with the same number of threads; data that fits into
 * the caches can exceed it.
 *
 *     bench-ops [THREADS]     prints op, shape, best and median time, GB/s at the best, share of the roof */
#include "compute/compute-private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 60

typedef struct
{
  const char *name;
  gint64      rows, n;
  FmTensor *(*build) (FmGraph *g, FmTensor *x, gint64 n);
} Case;

static FmTensor *
parameter (FmGraph *g, const char *name, gint64 n)
{
  return fm_graph_input (g, name, FM_F32, FM_SHAPE (n));
}

static FmTensor *
build_add (FmGraph *g, FmTensor *x, gint64 n)
{
  return fm_add (g, x, fm_mul_scalar (g, x, 0.5));
}

static FmTensor *
build_bias (FmGraph *g, FmTensor *x, gint64 n)
{
  return fm_add (g, x, parameter (g, "gain", n));
}

static FmTensor *
build_gelu (FmGraph *g, FmTensor *x, gint64 n)
{
  return fm_gelu (g, x);
}

static FmTensor *
build_silu (FmGraph *g, FmTensor *x, gint64 n)
{
  return fm_silu (g, x);
}

static FmTensor *
build_tanh (FmGraph *g, FmTensor *x, gint64 n)
{
  return fm_tanh (g, x);
}

static FmTensor *
build_elu (FmGraph *g, FmTensor *x, gint64 n)
{
  return fm_elu (g, x);
}

static FmTensor *
build_softmax (FmGraph *g, FmTensor *x, gint64 n)
{
  return fm_softmax (g, x, 0.5);
}

static FmTensor *
build_layer_norm (FmGraph *g, FmTensor *x, gint64 n)
{
  return fm_layer_norm (g, x, parameter (g, "gain", n), parameter (g, "bias", n), 1e-5);
}

static FmTensor *
build_rms_norm (FmGraph *g, FmTensor *x, gint64 n)
{
  return fm_rms_norm (g, x, parameter (g, "gain", n), 1e-5);
}

static FmTensor *
build_cross_entropy (FmGraph *g, FmTensor *x, gint64 n)
{
  return fm_cross_entropy (g, x, fm_graph_input (g, "target", FM_I32, FM_SHAPE (fm_tensor_get_dim (x, 0))));
}

static FmTensor *
build_cumsum (FmGraph *g, FmTensor *x, gint64 n)
{
  return fm_cumsum (g, x, 0, FALSE);
}

static FmTensor *
build_max (FmGraph *g, FmTensor *x, gint64 n)
{
  return fm_max (g, x, -1);
}

static const Case cases[] = {
  { "add", 4096, 256, build_add }, { "add", 16384, 1024, build_add },
  { "bias", 3136, 64, build_bias }, { "bias", 16384, 256, build_bias },
  { "gelu", 3136, 256, build_gelu }, { "gelu", 16384, 1024, build_gelu },
  { "silu", 3136, 256, build_silu }, { "silu", 16384, 1024, build_silu },
  { "tanh", 16384, 1024, build_tanh }, { "elu", 16384, 1024, build_elu },
  { "softmax", 12544, 49, build_softmax }, { "softmax", 16384, 256, build_softmax },
  { "softmax", 4096, 4096, build_softmax },
  { "layer-norm", 3136, 64, build_layer_norm }, { "layer-norm", 65536, 64, build_layer_norm },
  { "layer-norm", 16384, 256, build_layer_norm },
  { "rms-norm", 65536, 64, build_rms_norm },
  { "cross-entropy", 64, 10, build_cross_entropy }, { "cross-entropy", 4096, 256, build_cross_entropy },
  { "cumsum", 4096, 1024, build_cumsum }, { "max", 16384, 256, build_max },
};

static void
fill (float *x, gint64 n, guint64 stream)
{
  FmRandom random;

  fm_random_init (&random, 1, stream);
  for (gint64 i = 0; i < n; i++)
    x[i] = 4 * fm_random_uniform (&random) - 2;
}

static FmProgram *
make_program (FmGraph *g, FmDevice *device, FmVariables *variables, gint64 rows, gint64 n)
{
  g_autoptr(GError) error = NULL;
  FmProgram *p = fm_program_new (g, device, variables, &error);
  const char * const names[] = { "x", "dy", "gain", "bias" };

  if (p == NULL)
    g_error ("%s", error->message);
  for (guint k = 0; k < p->plan->inputs->len; k++)
    {
      FmTensor *t = p->plan->inputs->pdata[k];
      gint64 count = fm_shape_count (&t->shape);
      g_autofree float *data = g_new (float, count);

      for (guint s = 0; s < G_N_ELEMENTS (names); s++)
        if (g_str_equal (t->name, names[s]))
          fill (data, count, s);
      for (gint64 i = 0; i < count && t->type == FM_I32; i++)
        ((gint32 *) data)[i] = i % n;
      fm_program_write (p, t->name, data, count * sizeof *data, NULL);
    }
  return p;
}

static float *
result (FmProgram *p, const char *name, gint64 count)
{
  float *data = g_new (float, count);

  if (!fm_program_run (p, NULL) || !fm_program_read (p, name, data, count * sizeof *data, NULL))
    g_error ("cannot read %s", name);
  return data;
}

static gboolean
same (FmProgram *p, FmProgram *baseline, FmGraph *g, int level)
{
  gboolean equal = TRUE;

  for (guint k = 0; k < g->outputs->len; k++)
    {
      gint64 count = fm_shape_count (&((FmTensor *) g->outputs->pdata[k])->shape);
      g_autofree float *want = NULL, *got = NULL;

      fm_cpu_level = 1;
      want = result (baseline, g->output_names->pdata[k], count);
      fm_cpu_level = level;
      got = result (p, g->output_names->pdata[k], count);
      for (gint64 i = 0; i < count && equal; i++)
        equal = fabsf (got[i] - want[i]) <= 1e-4f + 1e-4f * fabsf (want[i]);
    }
  return equal;
}

static gint
ascending (gconstpointer a, gconstpointer b)
{
  gdouble x = *(const gdouble *) a, y = *(const gdouble *) b;

  return x < y ? -1 : x > y;
}

/* GB/s of the best of many copies of 256 MiB, read and write counted. */
static gdouble
copy_roof (guint threads)
{
  gsize n = 32 << 20;
  float *from = g_new (float, n), *to = g_new (float, n);
  gdouble best = G_MAXDOUBLE;

  memset (from, 1, n * sizeof *from);
  memset (to, 1, n * sizeof *to);
  for (guint r = 0; r < 12; r++)
    {
      gint64 start = g_get_monotonic_time ();

#pragma omp parallel for schedule(static) num_threads(threads)
      for (gsize i = 0; i < n; i += 1 << 16)
        memcpy (to + i, from + i, (1 << 16) * sizeof *to);
      best = MIN (best, (g_get_monotonic_time () - start) * 1e-6);
    }
  g_free (from);
  g_free (to);
  return 8e-9 * n / best;
}

static void
bench (const Case *c, FmDevice *device, FmDevice *one, FmVariables *variables, gdouble roof, int level)
{
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(FmProgram) p = NULL, baseline = NULL;
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (c->rows, c->n)), *wrt[3], *gradients[3], *y, *dy;
  g_autofree gdouble *times = NULL;
  guint n_wrt = 0;
  const char *names[] = { "x", "gain", "bias" };

  y = c->build (g, fm_mul_scalar (g, x, 1.0), c->n); /* so that the operand lies in the arena, as in a model */
  dy = fm_graph_input (g, "dy", FM_F32, y->shape);
  for (guint k = 0; k < G_N_ELEMENTS (names); k++)
    if (g_hash_table_contains (g->inputs, names[k]))
      wrt[n_wrt++] = g_hash_table_lookup (g->inputs, names[k]);
  fm_grad (g, fm_sum_all (g, fm_mul (g, y, dy)), wrt, n_wrt, gradients);
  fm_graph_output (g, "y", y);
  for (guint k = 0; k < n_wrt; k++)
    {
      g_autofree char *name = g_strdup_printf ("d%s", names[k]);

      fm_graph_output (g, name, gradients[k]);
    }
  if (fm_graph_get_error (g))
    g_error ("%s: %s", c->name, fm_graph_get_error (g)->message);
  p = make_program (g, device, variables, c->rows, c->n);
  baseline = make_program (g, one, variables, c->rows, c->n);
  if (!same (p, baseline, g, level))
    {
      g_print ("%-24s [%" G_GINT64_FORMAT ",%" G_GINT64_FORMAT "] DIFFERS from the baseline: no time\n", c->name,
               c->rows, c->n);
      return;
    }

  fm_program_set_profiling (p, TRUE);
  times = g_new0 (gdouble, p->plan->nodes->len * ROUNDS);
  for (guint r = 0; r < ROUNDS; r++)
    {
      memset (p->profile->data, 0, p->profile->len * sizeof (FmNodeTime));
      fm_program_run (p, NULL);
      for (guint k = 0; k < p->plan->nodes->len; k++)
        times[k * ROUNDS + r] = g_array_index (p->profile, FmNodeTime, k).seconds;
    }
  for (guint k = 0; k < p->plan->nodes->len; k++)
    {
      FmNode *node = p->plan->nodes->pdata[k];
      gdouble *t = times + k * ROUNDS;
      FmCost cost;

      qsort (t, ROUNDS, sizeof *t, ascending);
      fm_node_cost (node, &cost);
      if (!g_str_has_prefix (node->op->name, c->name) && !g_str_equal (node->op->name, "sum") && k != 1)
        continue;
      g_print ("%-24s [%" G_GINT64_FORMAT ",%" G_GINT64_FORMAT "]\t%9.1f us best %9.1f us median %7.1f GB/s %5.0f%% "
               "of the roof\n", node->op->name, c->rows, c->n, t[0] * 1e6, t[ROUNDS / 2] * 1e6,
               cost.bytes / t[0] * 1e-9, 100 * cost.bytes / t[0] * 1e-9 / roof);
    }
}

int
main (int argc, char **argv)
{
  g_autoptr(GError) error = NULL;
  guint threads = argc > 1 ? atoi (argv[1]) : 0;
  g_autoptr(FmDevice) device = fm_device_open ("cpu", threads, &error), one = fm_device_open ("cpu", 1, NULL);
  g_autoptr(FmVariables) variables = fm_variables_new (device, 1);
  int level = fm_cpu_level;
  gdouble roof = copy_roof (device->threads);

  g_print ("%s, %u threads, copy %.1f GB/s\n", fm_device_get_info (device)->title, device->threads, roof);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    bench (&cases[i], device, one, variables, roof, level);
  return 0;
}
