/* tile.c: fm_tile_gemm() for every processor level. */
#include "config.h"

#include "tile.h"

#if defined(__x86_64__) && !defined(FM_ONE_LEVEL)
#pragma GCC push_options
#pragma GCC target ("arch=x86-64-v4,prefer-vector-width=512")
#define NAME(x) x##_v4
#define LANES 16
#define WIDE 4
#define WIDE_ROWS 6 /* 24 sums and 4 of b, of 32 registers */
#define PAIR_ROWS 12
#define ONE_ROWS 16
#define DOT_COLUMNS 4 /* 16 sums, 5 of the operands */
#include "tile-kernel.h"
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target ("arch=x86-64-v3")
#define NAME(x) x##_v3
#define LANES 8
#define WIDE 3
#define WIDE_ROWS 4 /* 12 sums and 3 of b, of 16 registers */
#define PAIR_ROWS 6
#define ONE_ROWS 12
#define DOT_COLUMNS 2
#include "tile-kernel.h"
#pragma GCC pop_options
#endif

#define NAME(x) x##_v1
#define LANES 4
#define WIDE 3
#define WIDE_ROWS 4
#define PAIR_ROWS 6
#define ONE_ROWS 12
#define DOT_COLUMNS 2
#include "tile-kernel.h"

void
fm_tile_gemm (gint64 m, gint64 n, gint64 k, const float *a, gint64 a_row, gint64 a_column,
              const float *b, gint64 ldb, float *c, gint64 ldc, gboolean add)
{
#if defined(__x86_64__) && !defined(FM_ONE_LEVEL)
  if (fm_cpu_level >= 4)
    {
      gemm_v4 (m, n, k, a, a_row, a_column, b, ldb, c, ldc, add);
      return;
    }
  if (fm_cpu_level >= 3)
    {
      gemm_v3 (m, n, k, a, a_row, a_column, b, ldb, c, ldc, add);
      return;
    }
#endif
  gemm_v1 (m, n, k, a, a_row, a_column, b, ldb, c, ldc, add);
}

void
fm_tile_dots (gint64 m, gint64 n, gint64 k, const float *a, gint64 lda, const float *b, gint64 ldb, const float *bias,
              float *c, gint64 ldc)
{
#if defined(__x86_64__) && !defined(FM_ONE_LEVEL)
  if (fm_cpu_level >= 4)
    {
      dots_v4 (m, n, k, a, lda, b, ldb, bias, c, ldc);
      return;
    }
  if (fm_cpu_level >= 3)
    {
      dots_v3 (m, n, k, a, lda, b, ldb, bias, c, ldc);
      return;
    }
#endif
  dots_v1 (m, n, k, a, lda, b, ldb, bias, c, ldc);
}

void
fm_tile_rows (gint64 n, gint64 k, const float *a, gint64 a_column, const float *b, gint64 ldb, const float *bias,
              float *c)
{
#if defined(__x86_64__) && !defined(FM_ONE_LEVEL)
  if (fm_cpu_level >= 4)
    {
      rows_v4 (n, k, a, a_column, b, ldb, bias, c);
      return;
    }
  if (fm_cpu_level >= 3)
    {
      rows_v3 (n, k, a, a_column, b, ldb, bias, c);
      return;
    }
#endif
  rows_v1 (n, k, a, a_column, b, ldb, bias, c);
}
