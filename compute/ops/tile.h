/* tile.h: a small product on one thread, without packing: what lies inside one tile of attention.
 *
 * The BLAS packs both operands on every call, which costs more than the product itself at 49 x 16. Here the second
 * operand is read in rows of whole vectors and the first one element at a time, so its strides are free. */
#pragma once

#include "compute/compute-private.h"

G_BEGIN_DECLS

/* c [m,n] = a [m,k] b [k,n], or += with @add. b and c have unit stride along n; ldb and ldc between their rows. */
void fm_tile_gemm (gint64 m, gint64 n, gint64 k, const float *a, gint64 a_row, gint64 a_column,
                   const float *b, gint64 ldb, float *c, gint64 ldc, gboolean add);

/* c [m,n] = from [m,n] + a [m,k] b [k,n]; @from (nullable) has unit stride along n and @ldfrom, which may be 0, between
 * its rows: a bias, a residual, or c itself. */
void fm_tile_gemm_from (gint64 m, gint64 n, gint64 k, const float *a, gint64 a_row, gint64 a_column,
                        const float *b, gint64 ldb, float *c, gint64 ldc, const float *from, gint64 ldfrom);

/* c [m,n] = a [m,k] b [n,k]^T (+ bias [n]): rows of both operands have unit stride and meet in dot products. For few
 * rows of a, where turning b would cost as much as the product. */
void fm_tile_dots (gint64 m, gint64 n, gint64 k, const float *a, gint64 lda, const float *b, gint64 ldb,
                   const float *bias, float *c, gint64 ldc);
/* The same for b stored as f16 or i8; each sum times scale [n], when there is one, before the bias. */
void fm_tile_dots_stored (FmType type, gint64 m, gint64 n, gint64 k, const float *a, gint64 lda, const void *b,
                          gint64 ldb, const float *scale, const float *bias, float *c, gint64 ldc);
/* c [m,n] = a [m,k] b [n,k]^T in whole numbers, exact: k is below 2^17. */
void fm_tile_dots_i8 (gint64 m, gint64 n, gint64 k, const gint8 *a, gint64 lda, const gint8 *b, gint64 ldb, gint32 *c,
                      gint64 ldc);

/* c [m,n] = a [m,k] b [n,k]^T (+ bias [n]), b packed as fm_pack_int4() says, rows ldb bytes apart; a group of inputs has
 * one of the scales [n,k/group], rows lds apart. */
void fm_tile_dots_i4 (const float *levels, gint64 group, gint64 m, gint64 n, gint64 k, const float *a, gint64 lda,
                      const guint8 *b, gint64 ldb, const float *scale, gint64 lds, const float *bias, float *c,
                      gint64 ldc);
/* One row of such weights as floats. */
void fm_tile_unpack_i4 (const float *levels, gint64 group, gint64 k, const guint8 *b, const float *scale, float *to);

/* c [n] = a [k] (stride a_column) b [k,n] (+ bias [n]): b is read row by row, as it lies. */
void fm_tile_rows (gint64 n, gint64 k, const float *a, gint64 a_column, const float *b, gint64 ldb,
                   const float *bias, float *c);

G_END_DECLS
