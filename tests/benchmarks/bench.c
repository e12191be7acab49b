/* bench.c: see bench.h. */
#include "bench.h"

#include <stdlib.h>

#define MAX_SAMPLES 2000

static gint
by_size (gconstpointer a, gconstpointer b)
{
  gdouble x = *(const gdouble *) a, y = *(const gdouble *) b;

  return x < y ? -1 : x > y;
}

FmBenchTime
fm_bench_program (FmProgram *program)
{
  g_autofree gdouble *samples = g_new (gdouble, MAX_SAMPLES);
  gdouble total = 0;
  guint n = 0;

  for (int warm = 0; warm < 3; warm++)
    if (!fm_program_run (program, NULL))
      g_error ("the program does not run");
  while (n < MAX_SAMPLES && (n < 15 || total < 0.3))
    {
      gint64 start = g_get_monotonic_time ();
      guint inner = n > 0 && samples[0] < 1e-4 ? 20 : 1; /* the clock ticks in microseconds */

      for (guint i = 0; i < inner; i++)
        if (!fm_program_run (program, NULL))
          g_error ("the program does not run");
      samples[n] = (g_get_monotonic_time () - start) * 1e-6 / inner;
      total += samples[n++] * inner;
    }
  qsort (samples, n, sizeof *samples, by_size);
  return (FmBenchTime){ samples[n / 4], samples[n / 2], samples[n - 1 - n / 4], n };
}

gdouble
fm_bench_roof (guint threads)
{
  static gdouble roofs[64];

  threads = MIN (threads, G_N_ELEMENTS (roofs) - 1);
  if (roofs[threads] == 0)
    {
      g_autoptr(FmDevice) device = fm_device_open ("cpu", threads, NULL);
      FmRoof roof;

      if (device == NULL || !fm_device_measure_roof (device, &roof, NULL))
        g_error ("the roof cannot be measured");
      roofs[threads] = roof.flops_per_s;
    }
  return roofs[threads];
}

float *
fm_bench_fill (FmProgram *program, FmGraph *g, const char *input)
{
  FmTensor *t = g_hash_table_lookup (g->inputs, input);
  gint64 n = fm_shape_count (&t->shape);
  float *data = g_new (float, n);
  g_autoptr(GError) error = NULL;
  FmRandom random;

  fm_random_init (&random, 1, fm_hash (input));
  for (gint64 i = 0; i < n; i++)
    data[i] = (float) (fm_random_uniform (&random) * 2 - 1);
  if (!fm_program_write (program, input, data, n * sizeof *data, &error))
    g_error ("%s", error->message);
  return data;
}

void
fm_bench_print_head (FmDevice *device, guint threads)
{
  const FmDeviceInfo *info = fm_device_get_info (device);

  g_print ("%s, %s; %u threads, level %d, roof %.0f GFLOP/s\n", info->title, info->driver, threads, fm_cpu_level,
           fm_bench_roof (threads) * 1e-9);
  g_print ("%-44s %10s %21s %9s %6s\n", "case", "median us", "quartiles us", "GFLOP/s", "roof");
}

void
fm_bench_print (const char *name, FmBenchTime time, gdouble flops, guint threads)
{
  g_print ("%-44s %10.1f %10.1f %10.1f %9.1f %5.0f%%\n", name, time.median * 1e6, time.low * 1e6, time.high * 1e6,
           flops / time.median * 1e-9, 100 * flops / time.median / fm_bench_roof (threads));
}
