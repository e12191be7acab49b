/* gemm.c: how a product is cut, and the calls to the BLAS. */
#include "config.h"

#include "gemm.h"

#include <cblas.h>
#include <string.h>

/* Blocks of c: large enough that packing the operands again for every block costs a few percent, small enough that
 * the training shapes of the bench (3136 rows) give each thread a dozen. */
#define BLOCK_MACS (1 << 19)
#define BLOCK_MIN 64
#define BLOCK_MAX 256
/* k is split when c alone gives too few blocks to share out. */
#define FEW_BLOCKS 8
#define SPLIT_K 256
#define SPLIT_MAX 16

typedef struct
{
  gint64 batches, row_block, column_block, k_block;
  gint64 row_blocks, column_blocks, k_blocks;
} Cut;

gboolean
fm_matrix_layout (gint64 rows, gint64 columns, gint64 row_stride, gint64 column_stride, FmMatrixLayout *layout)
{
  if (columns == 1)
    column_stride = 1;
  if (rows == 1)
    row_stride = MAX (columns, row_stride);
  if (column_stride == 1 && row_stride >= columns)
    {
      layout->transposed = FALSE;
      layout->ld = row_stride;
      return TRUE;
    }
  if (rows == 1)
    row_stride = 1;
  if (columns == 1)
    column_stride = MAX (rows, column_stride);
  if (row_stride == 1 && column_stride >= rows)
    {
      layout->transposed = TRUE;
      layout->ld = column_stride;
      return TRUE;
    }
  return FALSE;
}

static gint64
divide_up (gint64 a, gint64 b)
{
  return (a + b - 1) / b;
}

static Cut
cut_new (const FmGemm *p)
{
  Cut cut = { .batches = 1 };

  for (guint i = 0; i < p->batch_rank; i++)
    cut.batches *= p->batch[i];
  /* The shorter side is cut only where it is long; the longer side then by the work that is left. */
  if (p->n >= p->m)
    {
      cut.column_block = MIN (p->m, BLOCK_MAX);
      cut.row_block = CLAMP (divide_up (BLOCK_MACS, cut.column_block * p->k * 16) * 16, BLOCK_MIN, BLOCK_MAX);
    }
  else
    {
      cut.row_block = MIN (p->n, BLOCK_MAX);
      cut.column_block = CLAMP (divide_up (BLOCK_MACS, cut.row_block * p->k * 16) * 16, BLOCK_MIN, BLOCK_MAX);
    }
  cut.row_blocks = divide_up (p->n, cut.row_block);
  cut.column_blocks = divide_up (p->m, cut.column_block);
  cut.k_blocks = 1;
  if (cut.batches * cut.row_blocks * cut.column_blocks < FEW_BLOCKS && p->k >= 4 * SPLIT_K)
    cut.k_blocks = MIN (divide_up (p->k, SPLIT_K), SPLIT_MAX);
  cut.k_block = divide_up (divide_up (p->k, cut.k_blocks), 16) * 16;
  cut.k_blocks = divide_up (p->k, cut.k_block);
  return cut;
}

gsize
fm_gemm_workspace (const FmGemm *p)
{
  Cut cut = cut_new (p);

  return cut.k_blocks > 1 ? (gsize) (cut.batches * cut.k_blocks * p->n * p->m) * sizeof (float) : 0;
}

FM_KERNEL (void, fill_bias, (const float *bias, float *c, gint64 ldc, gint64 rows, gint64 columns),
           (bias, c, ldc, rows, columns))
{
  for (gint64 r = 0; r < rows; r++)
    for (gint64 j = 0; j < columns; j++)
      c[r * ldc + j] = bias[j];
}

/* c = the partial products added in order, plus the bias of the column. */
FM_KERNEL (void, combine, (const float *parts, gint64 stride, gint64 n_parts, const float *bias, gint64 m, float *c,
                           gint64 start, gint64 count),
           (parts, stride, n_parts, bias, m, c, start, count))
{
  for (gint64 i = start; i < start + count; i++)
    c[i] = bias ? bias[i % m] : 0.0f;
  for (gint64 part = 0; part < n_parts; part++)
    for (gint64 i = start; i < start + count; i++)
      c[i] += parts[part * stride + i];
}

static void
batch_offsets (const FmGemm *p, gint64 index, gint64 *a, gint64 *b)
{
  *a = *b = 0;
  for (gint i = (gint) p->batch_rank - 1; i >= 0; i--)
    {
      *a += index % p->batch[i] * p->a_batch[i];
      *b += index % p->batch[i] * p->b_batch[i];
      index /= p->batch[i];
    }
}

void
fm_gemm (const FmGemm *p, const float *a, const float *b, const float *bias, float *c, void *workspace, guint threads)
{
  Cut cut = cut_new (p);
  FmMatrixLayout la, lb;
  gint64 per_batch = cut.row_blocks * cut.column_blocks * cut.k_blocks, size = p->n * p->m;
  gint64 total = cut.batches * per_batch;
  /* Small pieces are dealt in handfuls. */
  gint64 piece_macs = MIN (p->n, cut.row_block) * MIN (p->m, cut.column_block) * MIN (p->k, cut.k_block);
  gint64 handful = CLAMP (BLOCK_MACS / 4 / MAX (piece_macs, 1), 1, 64);

  if (!fm_matrix_layout (p->n, p->k, p->a_row, p->a_column, &la)
      || !fm_matrix_layout (p->k, p->m, p->b_row, p->b_column, &lb))
    g_return_if_reached ();
#pragma omp parallel for schedule(dynamic, handful) num_threads(threads) if (total > 1 && piece_macs * total > 32768)
  for (gint64 piece = 0; piece < total; piece++)
    {
      gint64 batch = piece / per_batch, rest = piece % per_batch;
      gint64 part = rest % cut.k_blocks, column = rest / cut.k_blocks % cut.column_blocks * cut.column_block;
      gint64 row = rest / cut.k_blocks / cut.column_blocks * cut.row_block, inner = part * cut.k_block;
      gint64 rows = MIN (cut.row_block, p->n - row), columns = MIN (cut.column_block, p->m - column);
      gint64 depth = MIN (cut.k_block, p->k - inner), a_offset, b_offset;
      float *target = cut.k_blocks > 1 ? (float *) workspace + (batch * cut.k_blocks + part) * size : c + batch * size;
      gboolean with_bias = bias && cut.k_blocks == 1;

      batch_offsets (p, batch, &a_offset, &b_offset);
      target += row * p->m + column;
      if (with_bias)
        fill_bias (bias + column, target, p->m, rows, columns);
      cblas_sgemm (CblasRowMajor, la.transposed ? CblasTrans : CblasNoTrans, lb.transposed ? CblasTrans : CblasNoTrans,
                   rows, columns, depth, 1.0f, a + a_offset + row * p->a_row + inner * p->a_column, la.ld,
                   b + b_offset + inner * p->b_row + column * p->b_column, lb.ld, with_bias ? 1.0f : 0.0f,
                   target, p->m);
    }
  if (cut.k_blocks > 1)
    for (gint64 batch = 0; batch < cut.batches; batch++)
      {
        gint64 blocks = divide_up (size, FM_CPU_BLOCK / 8);

#pragma omp parallel for schedule(static) num_threads(threads) if (blocks > 1)
        for (gint64 i = 0; i < blocks; i++)
          combine ((float *) workspace + batch * cut.k_blocks * size, size, cut.k_blocks, bias, p->m, c + batch * size,
                   i * (FM_CPU_BLOCK / 8), MIN (FM_CPU_BLOCK / 8, size - i * (FM_CPU_BLOCK / 8)));
      }
}

gboolean
fm_gemm_vulkan (FmVulkanRecorder *recorder, const FmGemm *p, FmTensor *a, FmTensor *b, FmTensor *bias, FmTensor *c,
                GError **error)
{
  struct
  {
    guint32 n, m, k, a_offset, b_offset, c_offset, bias_offset, a_row, a_column, b_row, b_column;
    guint32 batch[4], a_batch[4], b_batch[4];
  } push = { p->n, p->m, p->k, a->offset, b->offset, c->offset, bias ? bias->offset : 0,
             p->a_row, p->a_column, p->b_row, p->b_column };
  FmVulkanDispatch dispatch = { .shader = "matmul", .bind = { a, b, c, bias ? bias : c }, .n_bind = 4, .push = &push,
                                .push_bytes = sizeof push, .spec = { bias != NULL }, .n_spec = 1, .local_x = 64 };

  dispatch.groups = (guint64) (divide_up (p->n, 32) * divide_up (p->m, 32));
  for (guint i = 0; i < 4; i++)
    {
      gboolean there = i < p->batch_rank;

      push.batch[i] = there ? p->batch[i] : 1;
      push.a_batch[i] = there ? p->a_batch[i] : 0;
      push.b_batch[i] = there ? p->b_batch[i] : 0;
      dispatch.groups *= push.batch[i];
    }
  return fm_vulkan_dispatch (recorder, &dispatch, error);
}
