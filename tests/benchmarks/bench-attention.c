/* bench-attention.c: fused attention, forward and backward: verified against a double reference, then timed.
 *
 *     bench-attention [THREADS [WORD]]      cases whose line has WORD; one that is wrong gets no number and exit 1 */
#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct { gint64 batch, heads, n, d; gboolean causal; gint64 window; gboolean backward; gint64 dilation; } Case;

static const Case cases[] = {
  { 64, 4, 49, 16, FALSE, 0, FALSE }, { 64, 4, 49, 16, FALSE, 0, TRUE },
  { 64, 4, 49, 16, FALSE, 4, FALSE }, { 64, 4, 49, 16, FALSE, 4, TRUE },
  { 32, 4, 128, 16, TRUE, 0, FALSE }, { 32, 4, 128, 16, TRUE, 0, TRUE },
  { 8, 8, 256, 32, TRUE, 0, FALSE }, { 8, 8, 256, 32, TRUE, 0, TRUE },
  { 1, 4, 4096, 64, FALSE, 0, FALSE }, { 1, 4, 4096, 64, FALSE, 0, TRUE },
  { 1, 4, 4096, 64, TRUE, 512, FALSE }, { 1, 4, 4096, 64, TRUE, 512, TRUE },
  { 1, 4, 4096, 64, TRUE, 512, FALSE, 8 }, { 1, 4, 4096, 64, TRUE, 512, TRUE, 8 },
};

/* The answer of one query, in double. Inputs lie as [B,N,H,d]. */
static void
reference (const Case *c, const float *q, const float *k, const float *v, gint64 b, gint64 h, gint64 i, gdouble *y)
{
  g_autofree gdouble *w = g_new0 (gdouble, c->n);
  gdouble max = -INFINITY, sum = 0;

  for (gint64 j = 0; j < c->n; j++)
    {
      for (gint64 t = 0; t < c->d; t++)
        w[j] += (gdouble) q[((b * c->n + i) * c->heads + h) * c->d + t] * k[((b * c->n + j) * c->heads + h) * c->d + t];
      w[j] /= sqrt ((gdouble) c->d);
      if ((c->causal && j > i) || (c->window > 0 && ABS (i - j) > c->window)
          || (c->dilation && (i - j) % c->dilation))
        w[j] = -INFINITY;
      max = MAX (max, w[j]);
    }
  for (gint64 t = 0; t < c->d; t++)
    y[t] = 0;
  for (gint64 j = 0; j < c->n; j++)
    sum += w[j] = exp (w[j] - max);
  for (gint64 j = 0; j < c->n; j++)
    for (gint64 t = 0; t < c->d; t++)
      y[t] += w[j] / sum * v[((b * c->n + j) * c->heads + h) * c->d + t];
}

/* Forward: sampled queries. Backward: the sum of dv over the keys is the sum of dy over the queries, whatever the
 * weights. */
static gboolean
verify (const Case *c, const float *q, const float *k, const float *v, const float *dy, const float *result)
{
  g_autofree gdouble *y = g_new (gdouble, c->d);
  FmRandom random;

  fm_random_init (&random, 1, 7);
  for (int sample = 0; sample < 20; sample++)
    {
      gint64 b = (gint64) fm_random_below (&random, c->batch), h = (gint64) fm_random_below (&random, c->heads);
      gint64 i = (gint64) fm_random_below (&random, c->n);

      if (!c->backward)
        reference (c, q, k, v, b, h, i, y);
      for (gint64 t = 0; t < c->d; t++)
        {
          gdouble got = 0, want = 0;

          if (c->backward)
            for (gint64 j = 0; j < c->n; j++)
              {
                got += result[((b * c->n + j) * c->heads + h) * c->d + t];
                want += dy[((b * c->n + j) * c->heads + h) * c->d + t];
              }
          else
            {
              got = result[((b * c->n + i) * c->heads + h) * c->d + t];
              want = y[t];
            }
          if (!(fabs (got - want) <= (c->backward ? 1e-6 * c->n : 3e-6)))
            return FALSE;
        }
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
      static const char * const names[] = { "q", "k", "v", "dy" };
      const Case *c = &cases[i];
      FmAttentionMask mask = { .causal = c->causal, .window = c->window, .dilation = c->dilation };
      FmShape shape = FM_SHAPE (c->batch, c->n, c->heads, c->d);
      g_autoptr(FmGraph) g = fm_graph_new ();
      g_autoptr(FmVariables) variables = fm_variables_new (device, 1);
      g_autoptr(FmProgram) program = NULL;
      g_autofree float *result = g_new (float, fm_shape_count (&shape));
      float *data[4] = { NULL };
      FmTensor *x[4], *y, *dx[3];
      FmCost cost;
      g_autofree char *name = g_strdup_printf ("%s B%" G_GINT64_FORMAT " H%" G_GINT64_FORMAT " N%" G_GINT64_FORMAT
                                               " d%" G_GINT64_FORMAT "%s%s%s", c->backward ? "backward" : "forward",
                                               c->batch, c->heads, c->n, c->d, c->causal ? " causal" : "",
                                               c->window == 4 ? " window 4" : c->window ? " window 512" : "",
                                               c->dilation ? " dilation 8" : "");

      if (argc > 2 && strstr (name, argv[2]) == NULL)
        continue;
      for (guint t = 0; t < (c->backward ? 4 : 3); t++)
        x[t] = fm_transpose (g, fm_graph_input (g, names[t], FM_F32, shape), 1, 2);
      y = fm_attention_core (g, x[0], x[1], x[2], 1 / sqrt ((gdouble) c->d), &mask);
      if (c->backward)
        {
          /* The forward runs, too: its time is part of the row. */
          fm_grad (g, fm_sum_all (g, fm_mul (g, y, x[3])), x, 3, dx);
          fm_graph_output (g, "y", fm_contiguous (g, fm_transpose (g, dx[2], 1, 2)));
          fm_graph_output (g, "dq", fm_contiguous (g, fm_transpose (g, dx[0], 1, 2)));
        }
      else
        fm_graph_output (g, "y", fm_transpose (g, y, 1, 2));
      program = fm_program_new (g, device, variables, &error);
      if (!program)
        g_error ("%s", error->message);
      for (guint t = 0; t < (c->backward ? 4 : 3); t++)
        data[t] = fm_bench_fill (program, g, names[t]);
      if (!fm_program_run (program, &error)
          || !fm_program_read (program, "y", result, fm_shape_count (&shape) * sizeof *result, &error))
        g_error ("%s", error->message);
      cost = *fm_program_get_cost (program);
      if (!verify (c, data[0], data[1], data[2], data[3], result))
        {
          g_print ("%-44s WRONG\n", name);
          wrong = 1;
        }
      else
        fm_bench_print (name, fm_bench_program (program), cost.flops, threads);
      for (guint t = 0; t < 4; t++)
        g_free (data[t]);
    }
  return wrong;
}
