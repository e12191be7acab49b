/* tile.c: small products on one thread, for every processor level. */
#include "config.h"

#include "compute/half.h"
#include "tile.h"

#ifdef __x86_64__
#include <immintrin.h>
/* gcc 12 warns of registers that its own header leaves undefined on purpose. */
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

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

#if defined(__x86_64__) && !defined(FM_ONE_LEVEL)
#define LEVELS(name, ...) \
  (fm_cpu_level >= 4 ? name##_v4 (__VA_ARGS__) : fm_cpu_level >= 3 ? name##_v3 (__VA_ARGS__) : name##_v1 (__VA_ARGS__))
#else
#define LEVELS(name, ...) name##_v1 (__VA_ARGS__)
#endif

void
fm_tile_gemm_from (gint64 m, gint64 n, gint64 k, const float *a, gint64 a_row, gint64 a_column,
                   const float *b, gint64 ldb, float *c, gint64 ldc, const float *from, gint64 ldfrom)
{
  LEVELS (gemm, m, n, k, a, a_row, a_column, b, ldb, c, ldc, from, ldfrom);
}

void
fm_tile_gemm (gint64 m, gint64 n, gint64 k, const float *a, gint64 a_row, gint64 a_column,
              const float *b, gint64 ldb, float *c, gint64 ldc, gboolean add)
{
  fm_tile_gemm_from (m, n, k, a, a_row, a_column, b, ldb, c, ldc, add ? c : NULL, ldc);
}

void
fm_tile_dots (gint64 m, gint64 n, gint64 k, const float *a, gint64 lda, const float *b, gint64 ldb, const float *bias,
              float *c, gint64 ldc)
{
  LEVELS (dots_f32, m, n, k, a, lda, b, ldb, NULL, bias, c, ldc);
}

void
fm_tile_dots_stored (FmType type, gint64 m, gint64 n, gint64 k, const float *a, gint64 lda, const void *b, gint64 ldb,
                     const float *scale, const float *bias, float *c, gint64 ldc)
{
  if (type == FM_F16)
    LEVELS (dots_f16, m, n, k, a, lda, b, ldb, scale, bias, c, ldc);
  else
    LEVELS (dots_i8, m, n, k, a, lda, b, ldb, scale, bias, c, ldc);
}

void
fm_tile_dots_i4 (const float *levels, gint64 group, gint64 m, gint64 n, gint64 k, const float *a, gint64 lda,
                 const guint8 *b, gint64 ldb, const float *scale, gint64 lds, const float *bias, float *c, gint64 ldc)
{
  LEVELS (dots_i4, levels, group, m, n, k, a, lda, b, ldb, scale, lds, bias, c, ldc);
}

void
fm_tile_unpack_i4 (const float *levels, gint64 group, gint64 k, const guint8 *b, const float *scale, float *to)
{
  LEVELS (unpack_i4, levels, group, k, b, scale, to);
}

/* --- Whole numbers ------------------------------------------------------------------------------------------------*/

FM_KERNEL (void, dots_whole, (gint64 m, gint64 n, gint64 k, const gint8 *a, gint64 lda, const gint8 *b, gint64 ldb,
                              gint32 *c, gint64 ldc),
           (m, n, k, a, lda, b, ldb, c, ldc))
{
  for (gint64 j = 0; j < n; j++)
    for (gint64 i = 0; i < m; i++)
      {
        const gint8 *x = a + i * lda, *y = b + j * ldb;
        gint32 sum = 0;

        for (gint64 t = 0; t < k; t++)
          sum += (gint32) x[t] * y[t];
        c[i * ldc + j] = sum;
      }
}

#if defined(__x86_64__) && !defined(FM_ONE_LEVEL)
#define VNNI __attribute__ ((target ("arch=x86-64-v4,avx512vnni,prefer-vector-width=512")))

/* The sums of four vectors. */
VNNI static inline __m128i
totals_vnni (__m512i a, __m512i b, __m512i c, __m512i d)
{
  __m256i w = _mm256_add_epi32 (_mm512_castsi512_si256 (a), _mm512_extracti64x4_epi64 (a, 1));
  __m256i x = _mm256_add_epi32 (_mm512_castsi512_si256 (b), _mm512_extracti64x4_epi64 (b, 1));
  __m256i y = _mm256_add_epi32 (_mm512_castsi512_si256 (c), _mm512_extracti64x4_epi64 (c, 1));
  __m256i z = _mm256_add_epi32 (_mm512_castsi512_si256 (d), _mm512_extracti64x4_epi64 (d, 1));

  w = _mm256_hadd_epi32 (_mm256_hadd_epi32 (w, x), _mm256_hadd_epi32 (y, z));
  return _mm_add_epi32 (_mm256_castsi256_si128 (w), _mm256_extracti128_si256 (w, 1));
}

/* The instruction takes one operand without sign: a + 128, which is a with its highest bit turned. What that is too
 * much, 128 times the sum of b, is taken off at the end, modulo 2^32, where the result itself fits. */
#define STEP(rows, load) \
  { \
    __m512i x[rows], y[4] = { load (y0 + t), load (y1 + t), load (y2 + t), load (y3 + t) }; \
    \
    _Pragma ("GCC unroll 4") \
    for (int r = 0; r < (rows); r++) \
      x[r] = _mm512_xor_si512 (load (a + r * lda + t), turn); \
    _Pragma ("GCC unroll 4") \
    for (int j = 0; j < 4; j++) \
      { \
        total[j] = _mm512_dpbusd_epi32 (total[j], ones, y[j]); \
        _Pragma ("GCC unroll 4") \
        for (int r = 0; r < (rows); r++) \
          sum[r][j] = _mm512_dpbusd_epi32 (sum[r][j], x[r], y[j]); \
      } \
  }
#define LOAD_THERE(p) _mm512_maskz_loadu_epi8 (there, p)

#define DOTS_VNNI(rows) \
  VNNI static void \
  dots_vnni_##rows (gint64 k, const gint8 *a, gint64 lda, const gint8 *b, gint64 ldb, gint64 columns, gint32 *c, \
                    gint64 ldc) \
  { \
    const __m512i turn = _mm512_set1_epi8 (-128), ones = _mm512_set1_epi8 (1); \
    const gint8 *y0 = b, *y1 = b + (columns > 1) * ldb, *y2 = b + (columns > 2) * 2 * ldb; \
    const gint8 *y3 = b + (columns > 3) * 3 * ldb; \
    __m512i sum[rows][4], total[4]; \
    gint64 t = 0; \
    \
    _Pragma ("GCC unroll 4") \
    for (int j = 0; j < 4; j++) \
      { \
        total[j] = _mm512_setzero_si512 (); \
        _Pragma ("GCC unroll 4") \
        for (int r = 0; r < (rows); r++) \
          sum[r][j] = _mm512_setzero_si512 (); \
      } \
    for (; t + 64 <= k; t += 64) \
      STEP (rows, _mm512_loadu_si512) \
    if (t < k) \
      { \
        const __mmask64 there = ((__mmask64) 1 << (k - t)) - 1; \
        \
        STEP (rows, LOAD_THERE) \
      } \
    _Pragma ("GCC unroll 4") \
    for (int j = 0; j < 4; j++) \
      total[j] = _mm512_slli_epi32 (total[j], 7); \
    _Pragma ("GCC unroll 4") \
    for (int r = 0; r < (rows); r++) \
      { \
        __m128i four = totals_vnni (_mm512_sub_epi32 (sum[r][0], total[0]), _mm512_sub_epi32 (sum[r][1], total[1]), \
                                    _mm512_sub_epi32 (sum[r][2], total[2]), _mm512_sub_epi32 (sum[r][3], total[3])); \
        \
        _mm_mask_storeu_epi32 (c + r * ldc, (__mmask8) ((1 << columns) - 1), four); \
      } \
  }

DOTS_VNNI (1)
DOTS_VNNI (2)
DOTS_VNNI (4)

static void
dots_vnni (gint64 m, gint64 n, gint64 k, const gint8 *a, gint64 lda, const gint8 *b, gint64 ldb, gint32 *c, gint64 ldc)
{
  for (gint64 j = 0; j < n; j += 4)
    {
      gint64 i = 0;

      for (; i + 4 <= m; i += 4)
        dots_vnni_4 (k, a + i * lda, lda, b + j * ldb, ldb, MIN (4, n - j), c + i * ldc + j, ldc);
      for (; i + 2 <= m; i += 2)
        dots_vnni_2 (k, a + i * lda, lda, b + j * ldb, ldb, MIN (4, n - j), c + i * ldc + j, ldc);
      for (; i < m; i++)
        dots_vnni_1 (k, a + i * lda, lda, b + j * ldb, ldb, MIN (4, n - j), c + i * ldc + j, ldc);
    }
}
#endif

void
fm_tile_dots_i8 (gint64 m, gint64 n, gint64 k, const gint8 *a, gint64 lda, const gint8 *b, gint64 ldb, gint32 *c,
                 gint64 ldc)
{
#if defined(__x86_64__) && !defined(FM_ONE_LEVEL)
  if (fm_cpu_level >= 4 && __builtin_cpu_supports ("avx512vnni"))
    {
      dots_vnni (m, n, k, a, lda, b, ldb, c, ldc);
      return;
    }
#endif
  dots_whole (m, n, k, a, lda, b, ldb, c, ldc);
}

void
fm_tile_rows (gint64 n, gint64 k, const float *a, gint64 a_column, const float *b, gint64 ldb, const float *bias,
              float *c)
{
  LEVELS (rows, n, k, a, a_column, b, ldb, bias, c);
}
