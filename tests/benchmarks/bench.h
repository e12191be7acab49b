/* bench.h: what the CPU benchmarks share: one program timed until the median settles, and the roof of this machine. */
#pragma once

#include "compute/compute-private.h"

typedef struct
{
  gdouble low, median, high; /* seconds; quartiles */
  guint   samples;
} FmBenchTime;

/* Times fm_program_run() after a warm-up: at least 15 runs and 0.3 s. */
FmBenchTime fm_bench_program (FmProgram *program);

/* FLOP/s of multiply-adds from registers on @threads threads at the current processor level; measured once. */
gdouble fm_bench_roof (guint threads);

/* Fills the input with uniform draws in [-1,1] that depend on its name alone; returns them. */
float *fm_bench_fill (FmProgram *program, FmGraph *g, const char *input) G_GNUC_WARN_UNUSED_RESULT;

/* One row: name, median with quartiles, GFLOP/s, share of the roof. */
void fm_bench_print_head (FmDevice *device, guint threads);
void fm_bench_print      (const char *name, FmBenchTime time, gdouble flops, guint threads);
