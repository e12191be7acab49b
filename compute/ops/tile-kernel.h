/* tile-kernel.h: the body of fm_tile_gemm() for one processor level; included once a level by tile.c, which defines
 * LANES (floats in a vector), WIDE (the widest panel in vectors), WIDE_ROWS, PAIR_ROWS, ONE_ROWS (rows whose sums fit
 * the registers for WIDE, 2 and 1 vectors a row) and NAME (). Vector types must be lowered for their own target, so
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

#undef MICRO
#undef PANEL
#undef LANES
#undef WIDE
#undef WIDE_ROWS
#undef PAIR_ROWS
#undef ONE_ROWS
#undef NAME
