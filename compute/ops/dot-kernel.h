/* dot-kernel.h: rows of a against rows of b in dot products, for one processor level and one type that b is stored in;
 * included by tile-kernel.h, once a type, which defines VALUE (the type), LOAD (a vector of floats from it) and DOT (). */

/* rows of a by columns of c; what is left of k passes through padded copies. */
#define DOTS(name, rows, columns) \
  static void \
  DOT (dots_##name) (gint64 k, const float *a, gint64 lda, const VALUE *b, gint64 ldb, const float *scale, \
                     const float *bias, float *c, gint64 ldc) \
  { \
    NAME (vec) sum[rows][columns]; \
    gint64 t = 0; \
    \
    _Pragma ("GCC unroll 4") \
    for (int r = 0; r < (rows); r++) \
      _Pragma ("GCC unroll 8") \
      for (int j = 0; j < (columns); j++) \
        sum[r][j] = (NAME (vec)){ 0 }; \
    for (; t + LANES <= k; t += LANES) \
      { \
        NAME (vec) x[rows]; \
        \
        _Pragma ("GCC unroll 4") \
        for (int r = 0; r < (rows); r++) \
          x[r] = *(const NAME (vec) *) (a + r * lda + t); \
        _Pragma ("GCC unroll 8") \
        for (int j = 0; j < (columns); j++) \
          { \
            NAME (vec) y = LOAD (b + j * ldb + t); \
            \
            if ((rows) > 1) /* the rows that come next */ \
              __builtin_prefetch (b + (j + (columns)) * ldb + t); \
            _Pragma ("GCC unroll 4") \
            for (int r = 0; r < (rows); r++) \
              sum[r][j] += x[r] * y; \
          } \
      } \
    if (t < k) \
      { \
        NAME (vec) x[rows]; \
        \
        for (int r = 0; r < (rows); r++) \
          { \
            x[r] = (NAME (vec)){ 0 }; \
            __builtin_memcpy (&x[r], a + r * lda + t, (gsize) (k - t) * sizeof (float)); \
          } \
        _Pragma ("GCC unroll 8") \
        for (int j = 0; j < (columns); j++) \
          { \
            VALUE rest[LANES] = { 0 }; \
            NAME (vec) y; \
            \
            __builtin_memcpy (rest, b + j * ldb + t, (gsize) (k - t) * sizeof (VALUE)); \
            y = LOAD (rest); \
            _Pragma ("GCC unroll 4") \
            for (int r = 0; r < (rows); r++) \
              sum[r][j] += x[r] * y; \
          } \
      } \
    if ((columns) % 4 == 0) \
      { \
        _Pragma ("GCC unroll 4") \
        for (int r = 0; r < (rows); r++) \
          _Pragma ("GCC unroll 2") \
          for (int j = 0; j + 3 < (columns); j += 4) \
            { \
              NAME (four) four = NAME (totals) (sum[r][j], sum[r][j + 1], sum[r][j + 2], sum[r][j + 3]); \
              \
              if (scale) \
                four *= *(const NAME (four) *) (scale + j); \
              if (bias) \
                four += *(const NAME (four) *) (bias + j); \
              *(NAME (four) *) (c + r * ldc + j) = four; \
            } \
      } \
    else \
      { \
        NAME (vec) none = { 0 }; \
        \
        _Pragma ("GCC unroll 2") \
        for (int j = 0; j < (columns); j++) \
          { \
            NAME (four) four = NAME (totals) (sum[0][j], (rows) > 1 ? sum[(rows) > 1][j] : none, \
                                              (rows) > 2 ? sum[(rows) > 2 ? 2 : 0][j] : none, \
                                              (rows) > 3 ? sum[(rows) > 3 ? 3 : 0][j] : none); \
            \
            for (int r = 0; r < (rows); r++) \
              c[r * ldc + j] = four[r] * (scale ? scale[j] : 1.0f) + (bias ? bias[j] : 0.0f); \
          } \
      } \
  }

#define CALL(name) \
  DOT (name) (k, a + i * lda, lda, b + (j + d) * ldb, ldb, scale ? scale + j + d : NULL, bias ? bias + j + d : NULL, \
              c + i * ldc + j + d, ldc)

DOTS (1, 1, 1)
DOTS (1_wide, 1, 8)
DOTS (2, 2, 1)
DOTS (2_wide, 2, 4)
DOTS (4, 4, 1)
DOTS (4_wide, 4, DOT_COLUMNS)

static void
DOT (dots) (gint64 m, gint64 n, gint64 k, const float *a, gint64 lda, const VALUE *b, gint64 ldb, const float *scale,
            const float *bias, float *c, gint64 ldc)
{
  for (gint64 j = 0; j < n;)
    {
      gint64 columns = n - j >= 8 ? 8 : n - j, i = 0;

      /* Eight rows of b at a time, so that they are still near when the next rows of a come. */
      for (; i + 4 <= m; i += 4)
        {
          gint64 d = 0;

          for (; d + DOT_COLUMNS <= columns; d += DOT_COLUMNS)
            CALL (dots_4_wide);
          for (; d < columns; d++)
            CALL (dots_4);
        }
      for (; i + 2 <= m; i += 2)
        {
          gint64 d = 0;

          for (; d + 4 <= columns; d += 4)
            CALL (dots_2_wide);
          for (; d < columns; d++)
            CALL (dots_2);
        }
      for (; i < m; i++)
        {
          gint64 d = 0;

          for (; d + 8 <= columns; d += 8)
            CALL (dots_1_wide);
          for (; d < columns; d++)
            CALL (dots_1);
        }
      j += columns;
    }
}

#undef CALL
#undef DOTS
#undef DOT
#undef LOAD
#undef VALUE
