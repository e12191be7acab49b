/* bench-stored.c: one row, or a few, times a weight stored as f32, f16, i8 and four bits, in turns: verified, then timed.
 *
 *     bench-stored [THREADS]      a case that is wrong gets no number and exit 1
 *
 * A case has one weight, or several that are used one after the other, so that no level of the cache keeps them. */
#include "bench.h"

#include <math.h>
#include <stdlib.h>

typedef enum { F32, F16, I8, EVEN32, NORMAL64, N_KINDS } Kind;

static const char * const names[] = { "f32", "f16", "i8", "int4 even, groups of 32", "int4 normal, groups of 64" };

static FmTensor *
product (FmGraph *g, FmTensor *x, gint64 m, gint64 k, Kind kind, guint i, gboolean store)
{
  g_autofree char *name = g_strdup_printf ("%u.weight", i), *stored = g_strdup_printf ("%u.stored.%d", i, kind);
  g_autofree char *scales = g_strdup_printf ("%u.scale.%d", i, kind);
  gint64 group = kind == EVEN32 ? 32 : 64;
  gboolean packed = kind >= EVEN32;
  FmInt4 levels = kind == EVEN32 ? FM_INT4_EVEN : FM_INT4_NORMAL;
  FmTensor *w = NULL, *q = NULL, *scale = NULL, *states[2];

  if (store || kind == F32)
    w = fm_param (g, name, FM_SHAPE (m, k), fm_init_normal (0.1));
  if (kind == F32)
    return store ? NULL : fm_affine (g, x, w, NULL);
  states[0] = fm_state (g, stored, kind == F16 ? FM_F16 : FM_I8, FM_SHAPE (m, packed ? k / 2 : k), fm_init_zeros ());
  states[1] = kind == F16 ? NULL : fm_state (g, scales, FM_F32, packed ? FM_SHAPE (m, k / group) : FM_SHAPE (m),
                                             fm_init_zeros ());
  if (!store)
    return packed ? fm_affine_int4 (g, x, states[0], states[1], levels, NULL)
                  : fm_affine_stored (g, x, states[0], states[1], NULL);
  q = kind == F16 ? fm_cast (g, w, FM_F16) : packed ? fm_pack_int4 (g, w, group, levels, &scale)
                                                    : fm_quantise (g, w, &scale);
  fm_assign (g, states[0], q);
  if (states[1])
    fm_assign (g, states[1], scale);
  return NULL;
}

/* The first weight's result, for verification, is an output; the others are kept by one sum. */
static FmProgram *
program_of (FmDevice *device, FmVariables *variables, gint64 n, gint64 m, gint64 k, Kind kind, guint weights,
            gboolean store, FmGraph **graph)
{
  g_autoptr(GError) error = NULL;
  FmProgram *program;
  FmTensor *x;

  *graph = fm_graph_new ();
  x = fm_graph_input (*graph, "x", FM_F32, FM_SHAPE (n, k));
  for (guint i = 0; i < weights; i++)
    {
      FmTensor *y = product (*graph, x, m, k, kind, i, store);
      g_autofree char *name = g_strdup_printf ("%u", i);

      if (y)
        fm_graph_output (*graph, name, y);
    }
  program = fm_program_new (*graph, device, variables, &error);
  if (program == NULL)
    g_error ("%s", error->message);
  return program;
}

static int
by_size (gconstpointer a, gconstpointer b)
{
  gdouble x = *(const gdouble *) a, y = *(const gdouble *) b;

  return x < y ? -1 : x > y;
}

static gboolean
bench (FmDevice *device, gint64 n, gint64 m, gint64 k, guint weights)
{
  enum { ROUNDS = 41 };
  static const gdouble allowed[] = { 0, 1e-3, 0.02, 0.2, 0.15 };
  g_autoptr(FmVariables) variables = fm_variables_new (device, 3);
  FmGraph *graphs[N_KINDS], *store_graphs[N_KINDS] = { NULL };
  FmProgram *programs[N_KINDS];
  g_autofree float *want = g_new (float, n * m), *got = g_new (float, n * m);
  g_autoptr(GError) error = NULL;
  gdouble time[N_KINDS][ROUNDS], plain;
  gboolean good = TRUE;

  for (Kind kind = F32; kind < N_KINDS; kind++)
    {
      gdouble difference = 0, norm = 0;

      if (kind != F32)
        {
          FmProgram *store = program_of (device, variables, n, m, k, kind, weights, TRUE, &store_graphs[kind]);

          if (!fm_program_run (store, &error))
            g_error ("%s", error->message);
          fm_program_free (store);
          fm_graph_free (store_graphs[kind]);
        }
      programs[kind] = program_of (device, variables, n, m, k, kind, weights, FALSE, &graphs[kind]);
      g_free (fm_bench_fill (programs[kind], graphs[kind], "x"));
      if (!fm_program_run (programs[kind], &error)
          || !fm_program_read (programs[kind], "0", got, (gsize) (n * m) * sizeof *got, &error))
        g_error ("%s", error->message);
      if (kind == F32)
        memcpy (want, got, (gsize) (n * m) * sizeof *got);
      for (gint64 i = 0; i < n * m; i++)
        {
          difference += (got[i] - want[i]) * (got[i] - want[i]);
          norm += want[i] * want[i];
        }
      if (!(sqrt (difference / norm) <= allowed[kind]))
        {
          g_print ("%-28s WRONG: off by %.2g of the norm\n", names[kind], sqrt (difference / norm));
          good = FALSE;
        }
    }
  for (guint round = 0; round < ROUNDS; round++)
    for (Kind kind = F32; kind < N_KINDS; kind++)
      {
        gint64 start;

        fm_program_run (programs[kind], NULL);
        start = g_get_monotonic_time ();
        for (guint i = 0; i < 4; i++)
          fm_program_run (programs[kind], NULL);
        time[kind][round] = (gdouble) (g_get_monotonic_time () - start) / 4 / weights;
      }
  g_print ("%" G_GINT64_FORMAT " x %" G_GINT64_FORMAT "x%" G_GINT64_FORMAT ", %u weights, %.1f MB as f32\n", n, m, k, weights,
           (gdouble) (m * k * 4) * weights / 1e6);
  for (Kind kind = F32; kind < N_KINDS && good; kind++)
    {
      qsort (time[kind], ROUNDS, sizeof (gdouble), by_size);
      plain = time[F32][ROUNDS / 2];
      g_print ("  %-28s %8.1f us a product (%.1f to %.1f), %.2f of f32\n", names[kind], time[kind][ROUNDS / 2],
               time[kind][ROUNDS / 4], time[kind][ROUNDS * 3 / 4], time[kind][ROUNDS / 2] / plain);
    }
  for (Kind kind = F32; kind < N_KINDS; kind++)
    {
      fm_program_free (programs[kind]);
      fm_graph_free (graphs[kind]);
    }
  return good;
}

int
main (int argc, char **argv)
{
  guint threads = argc > 1 ? (guint) atoi (argv[1]) : g_get_num_processors ();
  g_autoptr(GError) error = NULL;
  g_autoptr(FmDevice) device = fm_device_open ("cpu", threads, &error);
  gboolean good = TRUE;

  if (!device)
    g_error ("%s", error->message);
  g_print ("%u threads\n", threads);
  good &= bench (device, 1, 1024, 256, 1);
  good &= bench (device, 1, 1024, 256, 32);
  good &= bench (device, 1, 4096, 1024, 1);
  good &= bench (device, 1, 4096, 1024, 6);
  good &= bench (device, 4, 1024, 256, 32);
  good &= bench (device, 8, 4096, 1024, 1);
  return good ? 0 : 1;
}
