/* int4-kernel.h: products with weights of four bits, for one processor level; part of tile-kernel.h.
 *
 * The levels of a group are scaled once and stay in a register or two; a code picks its weight from there by a permutation
 * of lanes, which looks at no more bits than it needs. So any 16 levels cost the same, and a weight is rounded as
 * fm_unpack_int4() rounds it. */

#if LANES == 16
typedef NAME (vec) NAME (table);
#elif LANES == 8
typedef struct { NAME (vec) low, high; } NAME (table);
#else
typedef struct { float level[16]; } NAME (table);
#endif

FM_INLINE NAME (table)
NAME (scaled) (const float *levels, float scale)
{
#if LANES == 16
  return *(const NAME (vec) *) levels * scale;
#elif LANES == 8
  return (NAME (table)){ *(const NAME (vec) *) levels * scale, *(const NAME (vec) *) (levels + 8) * scale };
#else
  NAME (table) table;

  for (int i = 0; i < 16; i++)
    table.level[i] = levels[i] * scale;
  return table;
#endif
}

#define CODE_VECTORS (32 / LANES)

/* 32 weights from 16 bytes. */
FM_INLINE void
NAME (weights) (const guint8 *p, const NAME (table) *table, NAME (vec) *y)
{
#if LANES == 16
  __m512i code = _mm512_cvtepu8_epi32 (_mm_loadu_si128 ((const __m128i *) p));

  y[0] = (NAME (vec)) _mm512_permutexvar_ps (code, (__m512) *table);
  y[1] = (NAME (vec)) _mm512_permutexvar_ps (_mm512_srli_epi32 (code, 4), (__m512) *table);
#elif LANES == 8
  _Pragma ("GCC unroll 4")
  for (int v = 0; v < 4; v++)
    {
      __m256i code = _mm256_cvtepu8_epi32 (_mm_loadl_epi64 ((const __m128i *) (p + v % 2 * 8)));

      code = v < 2 ? code : _mm256_srli_epi32 (code, 4);
      /* Three bits choose from either half, the fourth between them. */
      y[v] = (NAME (vec)) _mm256_blendv_ps (_mm256_permutevar8x32_ps ((__m256) table->low, code),
                                            _mm256_permutevar8x32_ps ((__m256) table->high, code),
                                            (__m256) _mm256_slli_epi32 (code, 28));
    }
#else
  for (int i = 0; i < 16; i++)
    {
      ((float *) y)[i] = table->level[p[i] & 15];
      ((float *) y)[i + 16] = table->level[p[i] >> 4];
    }
#endif
}

#define DOTS(name, rows, columns) \
  static void \
  NAME (dots_i4_##name) (const float *levels, gint64 group, gint64 k, const float *a, gint64 lda, const guint8 *b, \
                         gint64 ldb, const float *scale, gint64 lds, const float *bias, float *c, gint64 ldc) \
  { \
    NAME (vec) sum[rows][columns]; \
    \
    _Pragma ("GCC unroll 4") \
    for (int r = 0; r < (rows); r++) \
      _Pragma ("GCC unroll 8") \
      for (int j = 0; j < (columns); j++) \
        sum[r][j] = (NAME (vec)){ 0 }; \
    for (gint64 from = 0; from < k; from += group, scale++) \
      { \
        NAME (table) table[columns]; \
        \
        _Pragma ("GCC unroll 8") \
        for (int j = 0; j < (columns); j++) \
          table[j] = NAME (scaled) (levels, scale[j * lds]); \
        for (gint64 t = from; t < from + group; t += 32) \
          _Pragma ("GCC unroll 8") \
          for (int j = 0; j < (columns); j++) \
            { \
              NAME (vec) y[CODE_VECTORS]; \
              \
              NAME (weights) (b + j * ldb + t / 2, &table[j], y); \
              _Pragma ("GCC unroll 4") \
              for (int r = 0; r < (rows); r++) \
                _Pragma ("GCC unroll 8") \
                for (int v = 0; v < CODE_VECTORS; v++) \
                  sum[r][j] += *(const NAME (vec) *) (a + r * lda + t + v * LANES) * y[v]; \
            } \
      } \
    _Pragma ("GCC unroll 4") \
    for (int r = 0; r < (rows); r++) \
      _Pragma ("GCC unroll 8") \
      for (int j = 0; j < (columns); j += 4) \
        { \
          NAME (vec) none = { 0 }; \
          NAME (four) four = NAME (totals) (sum[r][j], (columns) > 1 ? sum[r][j + ((columns) > 1)] : none, \
                                            (columns) > 2 ? sum[r][j + ((columns) > 2 ? 2 : 0)] : none, \
                                            (columns) > 3 ? sum[r][j + ((columns) > 3 ? 3 : 0)] : none); \
          \
          _Pragma ("GCC unroll 4") \
          for (int d = 0; d < MIN (columns, 4); d++) \
            c[r * ldc + j + d] = four[d] + (bias ? bias[j + d] : 0.0f); \
        } \
  }

#if LANES == 16
#define ONE_WIDE 8
#define FOUR_WIDE 4
#else
#define ONE_WIDE 4
#define FOUR_WIDE 2
#endif

DOTS (1, 1, 1)
DOTS (1_wide, 1, ONE_WIDE)
DOTS (4, 4, 1)
DOTS (4_wide, 4, FOUR_WIDE)

#define CALL(name) \
  NAME (dots_i4_##name) (levels, group, k, a + i * lda, lda, b + (j + d) * ldb, ldb, scale + (j + d) * lds, lds, \
                         bias ? bias + j + d : NULL, c + i * ldc + j + d, ldc)

static void
NAME (dots_i4) (const float *levels, gint64 group, gint64 m, gint64 n, gint64 k, const float *a, gint64 lda,
                const guint8 *b, gint64 ldb, const float *scale, gint64 lds, const float *bias, float *c, gint64 ldc)
{
  for (gint64 j = 0; j < n; j += 8)
    {
      gint64 columns = MIN (8, n - j), i = 0;

      for (; i + 4 <= m; i += 4)
        {
          gint64 d = 0;

          for (; d + FOUR_WIDE <= columns; d += FOUR_WIDE)
            CALL (4_wide);
          for (; d < columns; d++)
            CALL (4);
        }
      for (; i < m; i++)
        {
          gint64 d = 0;

          for (; d + ONE_WIDE <= columns; d += ONE_WIDE)
            CALL (1_wide);
          for (; d < columns; d++)
            CALL (1);
        }
    }
}

static void
NAME (unpack_i4) (const float *levels, gint64 group, gint64 k, const guint8 *b, const float *scale, float *to)
{
  for (gint64 from = 0; from < k; from += group, scale++)
    {
      NAME (table) table = NAME (scaled) (levels, *scale);

      for (gint64 t = from; t < from + group; t += 32)
        NAME (weights) (b + t / 2, &table, (NAME (vec) *) (to + t));
    }
}

#undef CALL
#undef DOTS
#undef ONE_WIDE
#undef FOUR_WIDE
#undef CODE_VECTORS
