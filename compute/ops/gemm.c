/* gemm.c: how a product is cut, and which hand makes the pieces: the BLAS, or fm_tile_gemm() where the second operand
 * can be read in rows. At the shapes of the bench (3136 rows by 64 to 256) ours is 1.1 to 2 times as fast as the BLAS,
 * which packs both operands for every piece; a second operand that lies the wrong way, or is wide, is packed once. */
#include "config.h"

#include "gemm.h"
#include "movement.h"
#include "tile.h"

#include <cblas.h>
#include <string.h>

/* Blocks of c: large enough that reading the operands again for every block costs a few percent, small enough that
 * the training shapes of the bench (3136 rows) give each thread a dozen; rows in multiples of the tile's 6 and 4. */
#define BLOCK_MACS (1 << 19)
#define BLOCK_UNIT 24
#define BLOCK_MIN 72
#define BLOCK_MAX 264
/* k is split when c alone gives too few blocks to share out. */
#define FEW_BLOCKS 8
#define SPLIT_K 256
#define SPLIT_MAX 16
/* A result this small (a weight gradient) is made whole from each part of k, so that both operands, fresh from
 * another core or from memory, are read once; so many steps at a time, for the first-level cache to hold b's rows. */
#define WHOLE_MAX (256 * 64)
#define WHOLE_DEPTH 128
/* Packed panels of b: so many columns, the widest row of sums the tile holds; so many rows of k stay in the
 * second-level cache while a block of c is made. */
#define PANEL 64
#define DEPTH 1024
/* A batch is packed when its products have at least so many rows, and it has at most so many. */
#define PACK_MIN 192
/* Up to so many rows of a meet the rows of a transposed b in dot products, as both lie: always when they are few, and
 * when the sums are long enough to outweigh adding up the lanes. */
#define DOTS_MAX 71
#define DOTS_LONG 128
#define FEW_ROWS 8
#define PACK_BATCHES 64
/* Rows of b further apart than this fall on few sets of the first-level cache. */
#define WIDE_B 256
/* So do the columns of a turned a, and of the second-level cache, too: its blocks are copied together, so many floats at
 * a time, where more than one panel of b reads them. */
#define WIDE_A 512
#define TURNED_A (32 * 1024)

typedef struct
{
  gint64 batches, row_block, column_block, k_block;
  gint64 row_blocks, column_blocks, k_blocks;
  gboolean tiles, packed; /* made by fm_tile_gemm(); from b packed into panels [panels][k][PANEL] */
  gboolean dots, rows;    /* made by fm_tile_dots(); by fm_tile_rows() */
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
      cut.column_block = MIN (p->m, 256);
      cut.row_block = CLAMP (divide_up (BLOCK_MACS, cut.column_block * p->k * BLOCK_UNIT) * BLOCK_UNIT, BLOCK_MIN,
                             BLOCK_MAX);
    }
  else
    {
      cut.row_block = MIN (p->n, BLOCK_MAX);
      cut.column_block = CLAMP (divide_up (BLOCK_MACS, cut.row_block * p->k * PANEL) * PANEL, PANEL, 256);
    }
  cut.dots = (p->n <= FEW_ROWS || (p->n <= DOTS_MAX && p->k >= DOTS_LONG)) && p->k >= 4 && p->a_column == 1
             && p->b_row == 1 && p->b_column != 1;
  cut.rows = p->n == 1 && p->b_column == 1 && p->m >= 16;
  /* Memory is the limit then, and all threads should read b. */
  if (cut.dots && p->n <= FEW_ROWS)
    cut.column_block = CLAMP (divide_up (p->m, FEW_BLOCKS * 16) * 16, 32, 256);
  else if (cut.rows) /* long pieces of the rows of b */
    cut.column_block = CLAMP (divide_up (p->m, 64) * 16, 64, 512);
  cut.row_blocks = divide_up (p->n, cut.row_block);
  cut.column_blocks = divide_up (p->m, cut.column_block);
  cut.k_blocks = 1;
  if (cut.batches * cut.row_blocks * cut.column_blocks < FEW_BLOCKS && p->k >= 4 * SPLIT_K && !cut.dots && !cut.rows)
    {
      if (p->n * p->m <= WHOLE_MAX && MAX (p->n, p->m) <= 256)
        {
          cut.row_block = p->n;
          cut.column_block = p->m;
          cut.row_blocks = cut.column_blocks = 1;
        }
      cut.k_blocks = MIN (divide_up (p->k, 2 * SPLIT_K) * 2, SPLIT_MAX);
    }
  cut.k_block = divide_up (divide_up (p->k, cut.k_blocks), 16) * 16;
  cut.k_blocks = divide_up (p->k, cut.k_block);
  /* A batch of small products is not worth packing; the BLAS transposes on its way. */
  cut.packed = p->n >= (cut.batches == 1 ? BLOCK_MIN : PACK_MIN) && cut.batches <= PACK_BATCHES
               && ((p->b_column != 1 && p->m > 1) || p->m > WIDE_B);
  cut.tiles = cut.packed || p->b_column == 1 || p->m == 1;
  if (cut.dots || cut.rows)
    cut.packed = FALSE;
  return cut;
}

/* Floats of the workspace: partial products first, then b in panels. */
static gint64
parts_count (const FmGemm *p, const Cut *cut)
{
  return cut->k_blocks > 1 ? divide_up (cut->batches * cut->k_blocks * p->n * p->m, 16) * 16 : 0;
}

static gint64
packed_count (const FmGemm *p, const Cut *cut)
{
  return cut->packed ? cut->batches * divide_up (p->m, PANEL) * PANEL * p->k : 0;
}

gsize
fm_gemm_workspace (const FmGemm *p)
{
  Cut cut = cut_new (p);

  return (gsize) (parts_count (p, &cut) + packed_count (p, &cut)) * sizeof (float);
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
pack (const FmGemm *p, const float *b, float *packed, guint threads)
{
  gint64 panels = divide_up (p->m, PANEL);

  /* A single panel is shared out inside. */
#pragma omp parallel for schedule(static) num_threads(threads) if (panels > 1 && p->m * p->k > FM_CPU_BLOCK)
  for (gint64 panel = 0; panel < panels; panel++)
    {
      gint64 column = panel * PANEL, columns = MIN (PANEL, p->m - column), dims[2] = { p->k, columns };
      gint64 from[2] = { p->b_row, p->b_column }, to[2] = { PANEL, 1 };

      fm_copy_region (2, dims, b + column * p->b_column, from, packed + column * p->k, to,
                      panels > 1 ? 1 : threads);
    }
}

/* One block of c through the tile: @rows x @columns from @row, @column, over [inner, inner + depth) of k; on top of
 * @bias (nullable), the same for every row. */
static void
block_by_tiles (const FmGemm *p, const float *a, const float *b, const float *packed, gint64 row, gint64 rows,
                gint64 column, gint64 columns, gint64 inner, gint64 depth, float *c, const float *bias)
{
  gboolean turned = p->a_row == 1 && p->a_column >= WIDE_A && columns > PANEL && depth > 1;
  gboolean whole = p->a_row == 1 && p->n * p->m <= WHOLE_MAX;
  gint64 most = turned ? TURNED_A / rows : whole ? WHOLE_DEPTH : DEPTH, a_column = turned ? rows : p->a_column;
  float together[TURNED_A];

  a += row * p->a_row;
  for (gint64 t = inner; t < inner + depth; t += most)
    {
      gint64 steps = MIN (most, inner + depth - t);
      gboolean later = t > inner;
      const float *from = a + t * p->a_column;

      if (turned)
        {
          for (gint64 i = 0; i < steps; i++)
            memcpy (together + i * rows, from + i * p->a_column, (gsize) rows * sizeof (float));
          from = together;
        }
      if (packed)
        for (gint64 j = 0; j < columns; j += PANEL)
          fm_tile_gemm_from (rows, MIN (PANEL, columns - j), steps, from, p->a_row, a_column,
                             packed + (column + j) * p->k + t * PANEL, PANEL, c + j, p->m,
                             later ? c + j : bias ? bias + j : NULL, later ? p->m : 0);
      else
        fm_tile_gemm_from (rows, columns, steps, from, p->a_row, a_column, b + t * p->b_row + column, p->b_row, c,
                           p->m, later ? c : bias, later ? p->m : 0);
    }
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
  fm_gemm_then (p, a, b, bias, c, workspace, threads, NULL, NULL);
}

void
fm_gemm_then (const FmGemm *p, const float *a, const float *b, const float *bias, float *c, void *workspace,
              guint threads, FmGemmThen then, gpointer data)
{
  Cut cut = cut_new (p);
  FmMatrixLayout la, lb;
  gint64 per_batch = cut.row_blocks * cut.column_blocks * cut.k_blocks, size = p->n * p->m;
  gint64 total = cut.batches * per_batch;
  /* Small pieces are dealt in handfuls. */
  gint64 piece_macs = MIN (p->n, cut.row_block) * MIN (p->m, cut.column_block) * MIN (p->k, cut.k_block);
  gint64 handful = CLAMP (MIN (BLOCK_MACS / 4 / MAX (piece_macs, 1), total / FEW_BLOCKS), 1, 64);
  gint64 packed_size = divide_up (p->m, PANEL) * PANEL * p->k;
  float *packed = cut.packed ? (float *) workspace + parts_count (p, &cut) : NULL;

  for (gint64 batch = 0; cut.packed && batch < cut.batches; batch++)
    {
      gint64 a_offset, b_offset;

      batch_offsets (p, batch, &a_offset, &b_offset);
      pack (p, b + b_offset, packed + batch * packed_size, threads);
    }
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
      if (with_bias && !cut.dots && !cut.rows && !cut.tiles)
        fill_bias (bias + column, target, p->m, rows, columns);
      if (cut.dots)
        fm_tile_dots (rows, columns, depth, a + a_offset + row * p->a_row + inner, p->a_row,
                      b + b_offset + inner + column * p->b_column, p->b_column, with_bias ? bias + column : NULL, target,
                      p->m);
      else if (cut.rows)
        fm_tile_rows (columns, depth, a + a_offset + inner * p->a_column, p->a_column,
                      b + b_offset + inner * p->b_row + column, p->b_row, with_bias ? bias + column : NULL, target);
      else if (cut.tiles)
        block_by_tiles (p, a + a_offset, b + b_offset, packed ? packed + batch * packed_size : NULL, row, rows, column,
                        columns, inner, depth, target, with_bias ? bias + column : NULL);
      else
        cblas_sgemm (CblasRowMajor, la.transposed ? CblasTrans : CblasNoTrans,
                     lb.transposed ? CblasTrans : CblasNoTrans, rows, columns, depth, 1.0f,
                     a + a_offset + row * p->a_row + inner * p->a_column, la.ld,
                     b + b_offset + inner * p->b_row + column * p->b_column, lb.ld, with_bias ? 1.0f : 0.0f, target,
                     p->m);
      if (then && cut.k_blocks == 1)
        then (batch * p->n + row, rows, column, columns, target, data);
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
  if (cut.k_blocks > 1 && then) /* c is small then, or k would not be split */
    then (0, cut.batches * p->n, 0, p->m, c, data);
}

gboolean
fm_gemm_of_node (const FmNode *node, FmGemm *problem)
{
  if (node->op == &fm_matmul_op)
    *problem = fm_matmul_problem (node);
  else if (node->op == &fm_affine_op)
    *problem = fm_affine_problem (node);
  else
    return FALSE;
  return TRUE;
}

guint64
fm_gemm_vulkan_tiles (gint64 n, gint64 m)
{
  return (guint64) (divide_up (n, 32) * divide_up (m, 32));
}

/* A bigger tile in the place of that of 32 x 32, when such tiles are well filled and there are enough of them. Wide ones
 * read shared memory half as often; the other two forms have one size. */
static void
choose_form (const FmGemm *p, const FmProductChoice *choice, guint64 batches, FmVulkanDispatch *dispatch)
{
  gint64 height = choice->form == FM_PRODUCT_SUBGROUP ? 8 * 64 / choice->subgroup : 64;
  gint64 width = choice->form == FM_PRODUCT_SUBGROUP ? 4 * choice->subgroup : 64;
  guint64 groups = batches * (guint64) (divide_up (p->n, height) * divide_up (p->m, width));
  gboolean filled = groups * (guint64) (height * width) <= dispatch->groups * 1024 * 5 / 4 && dispatch->groups >= 32;

  if (!filled && !choice->always)
    return;
  dispatch->groups = groups;
  switch (choice->form)
    {
    case FM_PRODUCT_SUBGROUP:
      dispatch->shader = "matmul-subgroup";
      dispatch->spec[dispatch->n_spec++] = choice->subgroup;
      break;
    case FM_PRODUCT_COOPERATIVE:
      dispatch->shader = "matmul-cooperative";
      dispatch->local_x = 4 * choice->subgroup;
      break;
    case FM_PRODUCT_PLAIN:
    default:
      dispatch->shader = "matmul-wide";
      break;
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
  FmProductChoice choice = fm_vulkan_product_choice (recorder);
  gint64 small;

  small = (gint64) fm_gemm_vulkan_tiles (p->n, p->m);
  dispatch.groups = (guint64) small;
  for (guint i = 0; i < 4; i++)
    {
      gboolean there = i < p->batch_rank;

      push.batch[i] = there ? p->batch[i] : 1;
      push.a_batch[i] = there ? p->a_batch[i] : 0;
      push.b_batch[i] = there ? p->b_batch[i] : 0;
      dispatch.groups *= push.batch[i];
    }
  choose_form (p, &choice, dispatch.groups / (guint64) small, &dispatch);
  return fm_vulkan_dispatch (recorder, &dispatch, error);
}
