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
            if (add) \
              *to += sum[r][v]; \
            else \
              *to = sum[r][v]; \
          } \
    } \
  while (0)

#define PANEL(name, vectors, full) \
  static void \
  NAME (panel_##name) (gint64 m, gint64 k, const float *a, gint64 a_row, gint64 a_column, const float *b, gint64 ldb, \
                          float *c, gint64 ldc, gboolean add) \
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
             float *c, gint64 ldc, gboolean add)
{
  enum { DEPTH = 64, ROWS = 64 };
  float padded[DEPTH][LANES], sums[ROWS][LANES];

  for (gint64 t0 = 0; t0 < k; t0 += DEPTH)
    {
      gint64 depth = MIN (DEPTH, k - t0);
      gboolean on_top = add || t0 > 0;

      for (gint64 t = 0; t < depth; t++)
        for (gint64 j = 0; j < LANES; j++)
          padded[t][j] = j < n ? b[(t0 + t) * ldb + j] : 0.0f;
      for (gint64 i0 = 0; i0 < m; i0 += ROWS)
        {
          gint64 rows = MIN (ROWS, m - i0);

          NAME (panel_one) (rows, depth, a + i0 * a_row + t0 * a_column, a_row, a_column, padded[0], LANES, sums[0],
                            LANES, FALSE);
          for (gint64 i = 0; i < rows; i++)
            for (gint64 j = 0; j < n; j++)
              c[(i0 + i) * ldc + j] = sums[i][j] + (on_top ? c[(i0 + i) * ldc + j] : 0.0f);
        }
    }
}

static void
NAME (gemm) (gint64 m, gint64 n, gint64 k, const float *a, gint64 a_row, gint64 a_column, const float *b, gint64 ldb,
             float *c, gint64 ldc, gboolean add)
{
  gint64 j = 0;

  for (; j + WIDE * LANES <= n; j += WIDE * LANES)
    NAME (panel_wide) (m, k, a, a_row, a_column, b + j, ldb, c + j, ldc, add);
  for (; j + 2 * LANES <= n; j += 2 * LANES)
    NAME (panel_pair) (m, k, a, a_row, a_column, b + j, ldb, c + j, ldc, add);
  for (; j + LANES <= n; j += LANES)
    NAME (panel_one) (m, k, a, a_row, a_column, b + j, ldb, c + j, ldc, add);
  if (j < n)
    NAME (tail) (m, n - j, k, a, a_row, a_column, b + j, ldb, c + j, ldc, add);
}

/* --- Dot products -------------------------------------------------------------------------------------------------*/

typedef float NAME (four) __attribute__ ((vector_size (16), aligned (4), may_alias));

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

/* rows of a by columns of c; what is left of k passes through padded copies. */
#define DOTS(name, rows, columns) \
  static void \
  NAME (dots_##name) (gint64 k, const float *a, gint64 lda, const float *b, gint64 ldb, \
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
            NAME (vec) y = *(const NAME (vec) *) (b + j * ldb + t); \
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
            NAME (vec) y = { 0 }; \
            \
            __builtin_memcpy (&y, b + j * ldb + t, (gsize) (k - t) * sizeof (float)); \
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
              c[r * ldc + j] = four[r] + (bias ? bias[j] : 0.0f); \
          } \
      } \
  }

DOTS (1, 1, 1)
DOTS (1_wide, 1, 8)
DOTS (2, 2, 1)
DOTS (2_wide, 2, 4)
DOTS (4, 4, 1)
DOTS (4_wide, 4, DOT_COLUMNS)

static void
NAME (dots) (gint64 m, gint64 n, gint64 k, const float *a, gint64 lda, const float *b, gint64 ldb, const float *bias,
             float *c, gint64 ldc)
{
  for (gint64 j = 0; j < n;)
    {
      gint64 columns = n - j >= 8 ? 8 : n - j, i = 0;

      /* Eight rows of b at a time, so that they are still near when the next rows of a come. */
      for (; i + 4 <= m; i += 4)
        {
          gint64 d = 0;

          for (; d + DOT_COLUMNS <= columns; d += DOT_COLUMNS)
            NAME (dots_4_wide) (k, a + i * lda, lda, b + (j + d) * ldb, ldb, bias ? bias + j + d : NULL,
                           c + i * ldc + j + d, ldc);
          for (; d < columns; d++)
            NAME (dots_4) (k, a + i * lda, lda, b + (j + d) * ldb, ldb, bias ? bias + j + d : NULL,
                             c + i * ldc + j + d, ldc);
        }
      for (; i + 2 <= m; i += 2)
        {
          gint64 d = 0;

          for (; d + 4 <= columns; d += 4)
            NAME (dots_2_wide) (k, a + i * lda, lda, b + (j + d) * ldb, ldb, bias ? bias + j + d : NULL,
                             c + i * ldc + j + d, ldc);
          for (; d < columns; d++)
            NAME (dots_2) (k, a + i * lda, lda, b + (j + d) * ldb, ldb, bias ? bias + j + d : NULL,
                             c + i * ldc + j + d, ldc);
        }
      if (i < m && columns == 8)
        NAME (dots_1_wide) (k, a + i * lda, lda, b + j * ldb, ldb, bias ? bias + j : NULL, c + i * ldc + j, ldc);
      else if (i < m)
        for (gint64 d = 0; d < columns; d++)
          NAME (dots_1) (k, a + i * lda, lda, b + (j + d) * ldb, ldb, bias ? bias + j + d : NULL,
                           c + i * ldc + j + d, ldc);
      j += columns;
    }
}

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

#undef DOTS
#undef DOT_COLUMNS
#undef MICRO
#undef PANEL
#undef LANES
#undef WIDE
#undef WIDE_ROWS
#undef PAIR_ROWS
#undef ONE_ROWS
#undef NAME
