/* roof.c: what this processor can do at most: multiply-adds from registers, the BLAS's large product, bytes from memory
 * on huge pages, and what a parallel region costs. Each is the best of a few tries: a roof is what the machine can do,
 * not what it does while something else runs. All together in about a quarter of a second. */
#include "config.h"

#include "compute/compute-private.h"
#include "compute/cpu/cpu-private.h"

#include <cblas.h>
#include <omp.h>
#include <string.h>
#include <sys/mman.h>

#define TRIES         7
#define FMA_ROUNDS    200000
#define PRODUCT       1024
#define STREAM_BYTES  ((gsize) 192 << 20) /* far more than any cache */
#define REGIONS       200

static gdouble
now (void)
{
  return (gdouble) g_get_monotonic_time () * 1e-6;
}

/* Ten sums of sixteen lanes, enough to hide the latency of a multiply-add, few enough to stay in registers. */
FM_KERNEL (float, multiply_add, (gint64 rounds, float start), (rounds, start))
{
  float sum[10][16], total = 0;

  for (int i = 0; i < 10; i++)
    for (int l = 0; l < 16; l++)
      sum[i][l] = start + i * 16 + l;
  for (gint64 r = 0; r < rounds; r++)
#pragma GCC unroll 10
    for (int i = 0; i < 10; i++)
#pragma GCC unroll 16
      for (int l = 0; l < 16; l++)
        sum[i][l] = sum[i][l] * 0.999f + start;
  for (int i = 0; i < 10; i++)
    for (int l = 0; l < 16; l++)
      total += sum[i][l];
  return total;
}

/* Eight places at once, a sum of sixteen lanes each: one stream alone waits for its prefetcher. */
FM_KERNEL (float, add_up, (const float *x, gint64 n), (x, n))
{
  const gint64 stride = n / 8 / 64 * 64;
  float sum[8][16] = { { 0 } }, total = 0;

  for (gint64 i = 0; i + 16 <= stride; i += 16)
#pragma GCC unroll 8
    for (int k = 0; k < 8; k++)
#pragma GCC unroll 16
      for (int l = 0; l < 16; l++)
        sum[k][l] += x[k * stride + i + l];
  for (int k = 0; k < 8; k++)
    for (int l = 0; l < 16; l++)
      total += sum[k][l];
  return total;
}

static gdouble
measure_multiply_add (guint threads, volatile float *sink)
{
  gdouble best = G_MAXDOUBLE;

  for (int i = 0; i < TRIES; i++)
    {
      gdouble start = now ();
      float sum = 0;

#pragma omp parallel for num_threads(threads) reduction(+ : sum)
      for (guint t = 0; t < threads; t++)
        sum += multiply_add (FMA_ROUNDS, 1e-3f + t);
      best = MIN (best, now () - start);
      *sink += sum;
    }
  return 320.0 * FMA_ROUNDS * threads / MAX (best, 1e-6);
}

/* Rows split over the threads, one BLAS thread each, as our kernels do it. */
static gdouble
measure_product (guint threads, float *memory)
{
  const gsize n = (gsize) PRODUCT * PRODUCT;
  const int rows = (PRODUCT + (int) threads - 1) / (int) threads;
  float *a = memory, *b = memory + n, *c = memory + 2 * n;
  gdouble best = G_MAXDOUBLE;

  for (gsize i = 0; i < 2 * n; i++)
    memory[i] = (float) (i % 7) * 0.1f;
  for (int i = 0; i < TRIES; i++)
    {
      gdouble start = now ();

#pragma omp parallel for num_threads(threads) schedule(static, 1)
      for (int first = 0; first < PRODUCT; first += rows)
        cblas_sgemm (CblasRowMajor, CblasNoTrans, CblasNoTrans, MIN (rows, PRODUCT - first), PRODUCT, PRODUCT, 1.0f,
                     a + (gsize) first * PRODUCT, PRODUCT, b, PRODUCT, 0.0f, c + (gsize) first * PRODUCT, PRODUCT);
      best = MIN (best, now () - start);
    }
  return 2.0 * PRODUCT * PRODUCT * PRODUCT / MAX (best, 1e-6);
}

static void
measure_streams (guint threads, float *memory, FmRoof *roof, volatile float *sink)
{
  const gsize n = STREAM_BYTES / sizeof *memory, half = n / 2;
  gdouble reading = G_MAXDOUBLE, copying = G_MAXDOUBLE;

  for (int i = 0; i < TRIES; i++)
    {
      gdouble start = now ();
      float sum = 0;

#pragma omp parallel for num_threads(threads) reduction(+ : sum)
      for (guint t = 0; t < threads; t++)
        sum += add_up (memory + n / threads * t, (gint64) (n / threads));
      reading = MIN (reading, now () - start);
      *sink += sum;

      start = now ();
#pragma omp parallel for num_threads(threads)
      for (guint t = 0; t < threads; t++)
        memcpy (memory + half + half / threads * t, memory + half / threads * t, half / threads * sizeof *memory);
      copying = MIN (copying, now () - start);
    }
  roof->read_bytes_per_s = (gdouble) (n / threads * threads * sizeof *memory) / MAX (reading, 1e-6);
  roof->copy_bytes_per_s = 2.0 * (gdouble) (half / threads * threads * sizeof *memory) / MAX (copying, 1e-6);
}

static gdouble
measure_region (guint threads)
{
  gdouble best = G_MAXDOUBLE;

  for (int i = 0; i < TRIES; i++)
    {
      gdouble start = now ();

      for (int r = 0; r < REGIONS; r++)
        {
#pragma omp parallel num_threads(threads)
          __asm__ volatile ("" ::: "memory"); /* an empty region would be dropped */
        }
      best = MIN (best, now () - start);
    }
  return best / REGIONS;
}

gboolean
fm_cpu_measure_roof (FmDevice *device, FmRoof *roof, GError **error)
{
  guint threads = CLAMP (device->threads, 1, PRODUCT);
  const gsize huge = (gsize) 2 << 20;
  volatile float sink = 0;
  guint8 *raw = mmap (NULL, STREAM_BYTES + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  float *memory;

  if (raw == MAP_FAILED)
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_MEMORY,
                   "no memory for %" G_GSIZE_FORMAT " bytes to measure the bandwidth with", STREAM_BYTES + huge);
      return FALSE;
    }
  memory = (float *) (raw + (huge - (guintptr) raw % huge) % huge);
#ifdef MADV_HUGEPAGE
  madvise (memory, STREAM_BYTES, MADV_HUGEPAGE);
#endif
  memset (memory, 0, STREAM_BYTES);

  *roof = (FmRoof){ .flops_per_s = measure_multiply_add (threads, &sink) };
  measure_streams (threads, memory, roof, &sink);
  roof->product_flops_per_s = measure_product (threads, memory);
  roof->dispatch_s = measure_region (threads);
  munmap (raw, STREAM_BYTES + huge);
  return TRUE;
}
