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

/**
 * FmGemmThen:
 * @row, @rows, @column, @columns: a block of c, taken as [batches n, m]
 * @c: its first element; rows lie m apart
 *
 * Called once for every block of c when it is finished (bias included), by the thread that made it, while it lies in
 * that thread's cache. What it writes into the block stays. Blocks follow from the shape alone.
 */
typedef void (*FmGemmThen) (gint64 row, gint64 rows, gint64 column, gint64 columns, float *c, gpointer data);

/* fm_gemm(), and then what follows elementwise: an activation, a residual, a chain of them. */
void fm_gemm_then (const FmGemm *p, const float *a, const float *b, const float *bias, float *c, void *workspace,
                   guint threads, FmGemmThen then, gpointer data);

/* For whoever puts the ops that follow a product into it (compute/fuse.c): the product that @node is, FALSE when it is
 * none. in[0] and in[1] are a and b, in[2], where there is one, the bias; out[0] is c. */
gboolean fm_gemm_of_node (const FmNode *node, FmGemm *problem);

gboolean fm_gemm_vulkan (FmVulkanRecorder *recorder, const FmGemm *p, FmTensor *a, FmTensor *b, FmTensor *bias,
                         FmTensor *c, GError **error);
/* Workgroups of a shader that makes an [n,m] by tiles.glsl with tiles of 32 x 32. */
guint64  fm_gemm_vulkan_tiles (gint64 n, gint64 m);

/* Forms of the shader for products; compute/vulkan/products.c chooses one for a device. */
typedef enum
{
  FM_PRODUCT_PLAIN,       /* matmul, matmul-wide: both operands through shared memory; any device */
  FM_PRODUCT_SUBGROUP,    /* matmul-subgroup: one operand by broadcasts in a subgroup; the same bits */
  FM_PRODUCT_COOPERATIVE, /* matmul-cooperative: matrix units, operands rounded to f16; only where that was asked for */
} FmProductForm;

typedef struct
{
  FmProductForm form;
  guint         subgroup; /* invocations of a subgroup */
  gboolean      always;   /* a test wants it for products that are too small for it, too */
} FmProductChoice;
FmProductChoice fm_vulkan_product_choice (FmVulkanRecorder *recorder);

/* Of matmul.c and affine.c. */
extern const FmOp fm_matmul_op, fm_affine_op;
FmGemm fm_matmul_problem (const FmNode *node);
FmGemm fm_affine_problem (const FmNode *node);

G_END_DECLS
