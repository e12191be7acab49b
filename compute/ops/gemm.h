/* gemm.h: matrix products for the ops that need them: matmul, affine, attention.
 *
 * One call to the BLAS always runs on one thread; we deal out batches and blocks of rows and columns, cut by the shape
 * alone, so the number of threads changes no bit. */
#pragma once

#include "compute/compute-private.h"

G_BEGIN_DECLS

/* A matrix as the BLAS wants it: rows (or, transposed, columns) of unit stride, @ld elements apart. */
typedef struct
{
  gboolean transposed;
  gint64   ld;
} FmMatrixLayout;

/* FALSE when neither axis has unit stride: copy it first. Strides of axes of size 1 do not matter. */
gboolean fm_matrix_layout (gint64 rows, gint64 columns, gint64 row_stride, gint64 column_stride,
                           FmMatrixLayout *layout);

#define FM_GEMM_MAX_BATCH_RANK 4

/* @batch products c [n,m] = a [n,k] b [k,m] (+ bias [m]); c is contiguous, everything f32. */
typedef struct
{
  guint  batch_rank;
  gint64 batch[FM_GEMM_MAX_BATCH_RANK];
  gint64 a_batch[FM_GEMM_MAX_BATCH_RANK], b_batch[FM_GEMM_MAX_BATCH_RANK]; /* strides, 0 = repeated */
  gint64 n, m, k;
  gint64 a_row, a_column, b_row, b_column; /* strides */
} FmGemm;

gsize fm_gemm_workspace (const FmGemm *p); /* bytes; 0 unless k is split */
void  fm_gemm (const FmGemm *p, const float *a, const float *b, const float *bias, float *c, void *workspace,
               guint threads);
gboolean fm_gemm_vulkan (FmVulkanRecorder *recorder, const FmGemm *p, FmTensor *a, FmTensor *b, FmTensor *bias,
                         FmTensor *c, GError **error);

G_END_DECLS
