/* tile-kernel.h: the body of fm_tile_gemm() for one processor level; included once a level by tile.c, which defines
 * LANES (floats in a vector), WIDE (the widest panel in vectors), WIDE_ROWS, PAIR_ROWS, ONE_ROWS (rows whose sums fit
 * the registers for WIDE, 2 and 1 vectors a row), DOT_COLUMNS (columns of dot products beside four rows of a)
 * and NAME (). Vector types must be lowered for their own target, so
 * always-inline bodies do not do here. */

typedef float NAME (vec) __attribute__ ((vector_size (LANES * 4), aligned (4), may_alias));

/* rows x (vectors * LANES) sums in registers. The sizes are literals: an array sized by a parameter would be variable
 * in length and stay in memory. */
#define MICRO(rows, vectors) \
  do \
    { \
      NAME (vec) sum[rows][vectors]; \
      const float *x = a + i * a_row; \
      const float *y = b; \
      float *z = c + i * ldc; \
      \
      _Pragma ("GCC unroll 16") \
      for (int r = 0; r < (rows); r++) \
        _Pragma ("GCC unroll 4") \
        for (int v = 0; v < (vectors); v++) \
          sum[r][v] = (NAME (vec)){ 0 }; \
      for (gint64 t = 0; t < k; t++, x += a_column, y += ldb) \
        { \
          NAME (vec) row[vectors]; \
          \
          _Pragma ("GCC unroll 4") \
          for (int v = 0; v < (vectors); v++) \
            row[v] = *(const NAME (vec) *) (y + v * LANES); \
          _Pragma ("GCC unroll 16") \
          for (int r = 0; r < (rows); r++) \
            _Pragma ("GCC unroll 4") \
            for (int v = 0; v < (vectors); v++) \
              sum[r][v] += x[r * a_row] * row[v]; \
        } \
      _Pragma ("GCC unroll 16") \
      for (int r = 0; r < (rows); r++) \
        _Pragma ("GCC unroll 4") \
        for (int v = 0; v < (vectors); v++) \
          { \
            NAME (vec) *to = (NAME (vec) *) (z + r * ldc + v * LANES); \
            \
            if (from) \
              *to = *(const NAME (vec) *) (from + (i + r) * ldfrom + v * LANES) + sum[r][v]; \
            else \
              *to = sum[r][v]; \
          } \
    } \
  while (0)

#define PANEL(name, vectors, full) \
  static void \
  NAME (panel_##name) (gint64 m, gint64 k, const float *a, gint64 a_row, gint64 a_column, const float *b, gint64 ldb, \
                          float *c, gint64 ldc, const float *from, gint64 ldfrom) \
  { \
    gint64 i = 0; \
    \
    for (; i + (full) <= m; i += (full)) \
      MICRO (full, vectors); \
    if ((full) > 8 && i + 8 <= m) \
      { \
        MICRO (8, vectors); \
        i += 8; \
      } \
    for (; (full) > 4 && i + 4 <= m; i += 4) \
      MICRO (4, vectors); \
    for (; i + 2 <= m; i += 2) \
      MICRO (2, vectors); \
    for (; i < m; i++) \
      MICRO (1, vectors); \
  }

PANEL (wide, WIDE, WIDE_ROWS)
PANEL (pair, 2, PAIR_ROWS)
PANEL (one, 1, ONE_ROWS)

/* The last columns, fewer than a vector: both operands pass through padded copies, some rows of b at a time. */
static void
NAME (tail) (gint64 m, gint64 n, gint64 k, const float *a, gint64 a_row, gint64 a_column, const float *b, gint64 ldb,
             float *c, gint64 ldc, const float *from, gint64 ldfrom)
{
  enum { DEPTH = 64, ROWS = 64 };
  float padded[DEPTH][LANES], sums[ROWS][LANES];

  for (gint64 t0 = 0; t0 < k; t0 += DEPTH)
    {
      gint64 depth = MIN (DEPTH, k - t0);
      const float *base = t0 > 0 ? c : from;
      gint64 ldbase = t0 > 0 ? ldc : ldfrom;

      for (gint64 t = 0; t < depth; t++)
        for (gint64 j = 0; j < LANES; j++)
          padded[t][j] = j < n ? b[(t0 + t) * ldb + j] : 0.0f;
      for (gint64 i0 = 0; i0 < m; i0 += ROWS)
        {
          gint64 rows = MIN (ROWS, m - i0);

          NAME (panel_one) (rows, depth, a + i0 * a_row + t0 * a_column, a_row, a_column, padded[0], LANES, sums[0],
                            LANES, NULL, 0);
          for (gint64 i = 0; i < rows; i++)
            for (gint64 j = 0; j < n; j++)
              c[(i0 + i) * ldc + j] = sums[i][j] + (base ? base[(i0 + i) * ldbase + j] : 0.0f);
        }
    }
}

static void
NAME (gemm) (gint64 m, gint64 n, gint64 k, const float *a, gint64 a_row, gint64 a_column, const float *b, gint64 ldb,
             float *c, gint64 ldc, const float *from, gint64 ldfrom)
{
  gint64 j = 0;

  for (; j + WIDE * LANES <= n; j += WIDE * LANES)
    NAME (panel_wide) (m, k, a, a_row, a_column, b + j, ldb, c + j, ldc, from ? from + j : NULL, ldfrom);
  for (; j + 2 * LANES <= n; j += 2 * LANES)
    NAME (panel_pair) (m, k, a, a_row, a_column, b + j, ldb, c + j, ldc, from ? from + j : NULL, ldfrom);
  for (; j + LANES <= n; j += LANES)
    NAME (panel_one) (m, k, a, a_row, a_column, b + j, ldb, c + j, ldc, from ? from + j : NULL, ldfrom);
  if (j < n)
    NAME (tail) (m, n - j, k, a, a_row, a_column, b + j, ldb, c + j, ldc, from ? from + j : NULL, ldfrom);
}

/* --- Dot products -------------------------------------------------------------------------------------------------*/

typedef float NAME (four) __attribute__ ((vector_size (16), aligned (4), may_alias));

/* A vector from f16 or i8. */
FM_INLINE NAME (vec)
NAME (halves) (const guint16 *p)
{
#if LANES == 16
  return (NAME (vec)) _mm512_cvtph_ps (_mm256_loadu_si256 ((const __m256i *) p));
#elif LANES == 8
  return (NAME (vec)) _mm256_cvtph_ps (_mm_loadu_si128 ((const __m128i *) p));
#else
  return (NAME (vec)){ fm_half_value (p[0]), fm_half_value (p[1]), fm_half_value (p[2]), fm_half_value (p[3]) };
#endif
}

FM_INLINE NAME (vec)
NAME (bytes) (const gint8 *p)
{
#if LANES == 16
  return (NAME (vec)) _mm512_cvtepi32_ps (_mm512_cvtepi8_epi32 (_mm_loadu_si128 ((const __m128i *) p)));
#elif LANES == 8
  return (NAME (vec)) _mm256_cvtepi32_ps (_mm256_cvtepi8_epi32 (_mm_loadl_epi64 ((const __m128i *) p)));
#else
  return (NAME (vec)){ p[0], p[1], p[2], p[3] };
#endif
}

/* A vector's quarters (or halves) added up to four lanes. */
FM_INLINE NAME (four)
NAME (fold) (NAME (vec) v)
{
#if LANES == 16
  typedef float eight __attribute__ ((vector_size (32)));
  eight half = __builtin_shufflevector (v, v, 0, 1, 2, 3, 4, 5, 6, 7)
               + __builtin_shufflevector (v, v, 8, 9, 10, 11, 12, 13, 14, 15);

  return __builtin_shufflevector (half, half, 0, 1, 2, 3) + __builtin_shufflevector (half, half, 4, 5, 6, 7);
#elif LANES == 8
  return __builtin_shufflevector (v, v, 0, 1, 2, 3) + __builtin_shufflevector (v, v, 4, 5, 6, 7);
#else
  return v;
#endif
}

/* The sums of four vectors. */
FM_INLINE NAME (four)
NAME (totals) (NAME (vec) a, NAME (vec) b, NAME (vec) c, NAME (vec) d)
{
  NAME (four) w = NAME (fold) (a), x = NAME (fold) (b), y = NAME (fold) (c), z = NAME (fold) (d);

  w = __builtin_shufflevector (w, x, 0, 1, 4, 5) + __builtin_shufflevector (w, x, 2, 3, 6, 7);
  y = __builtin_shufflevector (y, z, 0, 1, 4, 5) + __builtin_shufflevector (y, z, 2, 3, 6, 7);
  return __builtin_shufflevector (w, y, 0, 2, 4, 6) + __builtin_shufflevector (w, y, 1, 3, 5, 7);
}

#define VALUE float
#define DOT(x) NAME (x##_f32)
#define LOAD(p) *(const NAME (vec) *) (p)
#include "dot-kernel.h"

#define VALUE guint16
#define DOT(x) NAME (x##_f16)
#define LOAD(p) NAME (halves) (p)
#include "dot-kernel.h"

#define VALUE gint8
#define DOT(x) NAME (x##_i8)
#define LOAD(p) NAME (bytes) (p)
#include "dot-kernel.h"

#include "int4-kernel.h"

/* Eight rows of b are added to the sums at once; the sums, a few hundred, stay in the first-level cache. */
static void
NAME (rows) (gint64 n, gint64 k, const float *a, gint64 a_column, const float *b, gint64 ldb, const float *bias,
             float *c)
{
  gint64 t = 0;

  for (gint64 j = 0; j < n; j++)
    c[j] = bias ? bias[j] : 0.0f;
  for (; t + 8 <= k; t += 8)
    {
      const float *y = b + t * ldb;
      gint64 j = 0;
      float x[8];

      _Pragma ("GCC unroll 8")
      for (int i = 0; i < 8; i++)
        x[i] = a[(t + i) * a_column];
      for (; j + LANES <= n; j += LANES)
        {
          NAME (vec) one = *(const NAME (vec) *) (c + j), two = { 0 };

          _Pragma ("GCC unroll 4")
          for (int i = 0; i < 8; i += 2)
            {
              one += x[i] * *(const NAME (vec) *) (y + i * ldb + j);
              two += x[i + 1] * *(const NAME (vec) *) (y + (i + 1) * ldb + j);
            }
          *(NAME (vec) *) (c + j) = one + two;
        }
      for (; j < n; j++)
        for (int i = 0; i < 8; i++)
          c[j] += x[i] * y[i * ldb + j];
    }
  for (; t < k; t++)
    for (gint64 j = 0; j < n; j++)
      c[j] += a[t * a_column] * b[t * ldb + j];
}

#undef DOT_COLUMNS
#undef MICRO
#undef PANEL
#undef LANES
#undef WIDE
#undef WIDE_ROWS
#undef PAIR_ROWS
#undef ONE_ROWS
#undef NAME
