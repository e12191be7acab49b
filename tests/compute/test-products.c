/* test-products.c: matmul and affine. */
#include "op-test.h"

#include "compute/ops/gemm.h"

#include <math.h>
#include <string.h>

#define F32(...) { FM_F32, FM_SHAPE (__VA_ARGS__), -1, 1, TRUE }

static FmTensor *
build_matmul (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_matmul (g, x[0], x[1], n[0]);
}

static void
reference_matmul (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  const FmOpArray *a = &x[0], *b = &x[1];
  guint ra = a->shape.rank, rb = b->shape.rank;
  gint64 an = a->shape.dims[ra - 2], ak = a->shape.dims[ra - 1], bk = b->shape.dims[rb - 2], bm = b->shape.dims[rb - 1];
  gboolean ta = (n[0] & FM_TRANS_A) != 0, tb = (n[0] & FM_TRANS_B) != 0;
  gint64 rows = ta ? ak : an, depth = ta ? an : ak, columns = tb ? bk : bm, batches = 1;
  FmShape shape = { .rank = MAX (ra, rb) };

  for (guint i = 0; i < shape.rank - 2; i++)
    {
      gint64 da = i + ra >= shape.rank ? a->shape.dims[i + ra - shape.rank] : 1;
      gint64 db = i + rb >= shape.rank ? b->shape.dims[i + rb - shape.rank] : 1;

      shape.dims[i] = MAX (da, db);
      batches *= shape.dims[i];
    }
  shape.dims[shape.rank - 2] = rows;
  shape.dims[shape.rank - 1] = columns;
  fm_op_array_init (y, shape);
  for (gint64 batch = 0; batch < batches; batch++)
    {
      gint64 rest = batch, from_a = 0, from_b = 0, step_a = an * ak, step_b = bk * bm;

      for (gint i = (gint) shape.rank - 3; i >= 0; i--)
        {
          gint64 index = rest % shape.dims[i];

          rest /= shape.dims[i];
          if (i + ra >= shape.rank)
            {
              gint64 dim = a->shape.dims[i + ra - shape.rank];

              from_a += dim > 1 ? index * step_a : 0;
              step_a *= dim;
            }
          if (i + rb >= shape.rank)
            {
              gint64 dim = b->shape.dims[i + rb - shape.rank];

              from_b += dim > 1 ? index * step_b : 0;
              step_b *= dim;
            }
        }
      for (gint64 r = 0; r < rows; r++)
        for (gint64 c = 0; c < columns; c++)
          {
            gdouble sum = 0;

            for (gint64 t = 0; t < depth; t++)
              sum += a->v[from_a + (ta ? t * ak + r : r * ak + t)] * b->v[from_b + (tb ? c * bm + t : t * bm + c)];
            y->v[(batch * rows + r) * columns + c] = sum;
          }
    }
}

#define MATMUL(id, flags, longest, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { flags }, .build = build_matmul, \
    .reference = reference_matmul, .atol = (longest) * 6e-8, .rtol = 1e-6, .grad_atol = (longest) * 1e-6 + 3e-5, \
    .grad_rtol = 1e-5, .grad_samples = 6, .why = "sums of K products below 1: K roundings of 6e-8 at the worst" }

static const FmOpCase matmul_cases[] = {
  MATMUL ("plain", 0, 9, F32 (7, 9), F32 (9, 5)),
  MATMUL ("trans-a", FM_TRANS_A, 9, F32 (9, 7), F32 (9, 5)),
  MATMUL ("trans-b", FM_TRANS_B, 9, F32 (7, 9), F32 (5, 9)),
  MATMUL ("trans-both", FM_TRANS_A | FM_TRANS_B, 9, F32 (9, 7), F32 (5, 9)),
  MATMUL ("one", 0, 1, F32 (1, 1), F32 (1, 1)),
  MATMUL ("row", 0, 33, F32 (1, 33), F32 (33, 5)),
  MATMUL ("column", 0, 33, F32 (5, 33), F32 (33, 1)),
  MATMUL ("outer", 0, 1, F32 (6, 1), F32 (1, 17)),
  MATMUL ("batch", 0, 17, F32 (3, 5, 17), F32 (3, 17, 33)),
  MATMUL ("batch-trans-b", FM_TRANS_B, 16, F32 (2, 3, 9, 16), F32 (2, 3, 11, 16)),
  MATMUL ("batch-trans-a", FM_TRANS_A, 9, F32 (2, 3, 9, 6), F32 (2, 3, 9, 7)),
  MATMUL ("one-weight", 0, 12, F32 (4, 5, 12), F32 (12, 7)),
  MATMUL ("one-weight-trans", FM_TRANS_B, 12, F32 (4, 5, 12), F32 (7, 12)),
  MATMUL ("one-left", 0, 5, F32 (6, 5), F32 (4, 5, 12)),
  MATMUL ("broadcast", 0, 6, F32 (2, 1, 5, 6), F32 (3, 6, 4)),
  MATMUL ("tiles", 0, 70, F32 (67, 70), F32 (70, 97)),
  MATMUL ("wide", 0, 20, F32 (80, 20), F32 (20, 300)),
  MATMUL ("packed", FM_TRANS_B, 20, F32 (75, 20), F32 (70, 20)),
  MATMUL ("packed-batch", FM_TRANS_B, 12, F32 (3, 200, 12), F32 (3, 9, 12)),
  MATMUL ("deep", 0, 1100, F32 (75, 1100), F32 (1100, 7)),
  MATMUL ("turned", FM_TRANS_A, 150, F32 (150, 530), F32 (150, 70)),
  MATMUL ("turned-packed", FM_TRANS_A, 150, F32 (150, 530), F32 (150, 300)),
  MATMUL ("few/1", FM_TRANS_B, 70, F32 (1, 70), F32 (45, 70)),
  MATMUL ("few/1-tall", FM_TRANS_B, 5, F32 (1, 5), F32 (530, 5)),
  MATMUL ("few/2", FM_TRANS_B, 33, F32 (2, 33), F32 (13, 33)),
  MATMUL ("few/3-batch", FM_TRANS_B, 19, F32 (5, 3, 19), F32 (5, 9, 19)),
  MATMUL ("few/7", FM_TRANS_B, 16, F32 (7, 16), F32 (37, 16)),
  MATMUL ("few/long", FM_TRANS_B, 150, F32 (37, 150), F32 (70, 150)),
  MATMUL ("few/plain", 0, 43, F32 (1, 43), F32 (43, 75)),
  MATMUL ("few/plain-wide", 0, 9, F32 (1, 9), F32 (9, 1100)),
  MATMUL ("few/plain-batch", 0, 8, F32 (3, 1, 8), F32 (3, 8, 20)),
  MATMUL ("long-sum", FM_TRANS_A, 1500, F32 (1500, 9), F32 (1500, 17)),
};

static FmTensor *
build_affine (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_affine (g, x[0], x[1], n[0] ? x[2] : NULL);
}

static void
reference_affine (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  FmShape shape = x[0].shape;
  gint64 depth = x[1].shape.dims[1], width = x[1].shape.dims[0];

  shape.dims[shape.rank - 1] = width;
  fm_op_array_init (y, shape);
  for (gint64 r = 0; r < x[0].n / depth; r++)
    for (gint64 c = 0; c < width; c++)
      {
        gdouble sum = n[0] ? x[2].v[c] : 0;

        for (gint64 t = 0; t < depth; t++)
          sum += x[0].v[r * depth + t] * x[1].v[c * depth + t];
        y->v[r * width + c] = sum;
      }
}

#define AFFINE(id, bias, longest, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { bias }, .build = build_affine, \
    .reference = reference_affine, .atol = (longest) * 6e-8 + 1e-7, .rtol = 1e-6, .grad_atol = 1e-4, \
    .grad_rtol = 1e-5, .grad_samples = 6, .why = "sums of K products below 1; gradients sum over all rows" }

static const FmOpCase affine_cases[] = {
  AFFINE ("bias", TRUE, 9, F32 (7, 9), F32 (5, 9), F32 (5)),
  AFFINE ("no-bias", FALSE, 9, F32 (7, 9), F32 (5, 9)),
  AFFINE ("batch", TRUE, 16, F32 (3, 5, 16), F32 (33, 16), F32 (33)),
  AFFINE ("vector", TRUE, 13, F32 (13), F32 (6, 13), F32 (6)),
  AFFINE ("one", TRUE, 1, F32 (1, 1), F32 (1, 1), F32 (1)),
  AFFINE ("one-output", TRUE, 20, F32 (9, 20), F32 (1, 20), F32 (1)),
  AFFINE ("blocks", TRUE, 64, F32 (330, 64), F32 (64, 64), F32 (64)),
  AFFINE ("one-row", TRUE, 70, F32 (1, 70), F32 (300, 70), F32 (300)),
  AFFINE ("few-rows", TRUE, 131, F32 (11, 131), F32 (19, 131), F32 (19)),
  AFFINE ("long-sum", TRUE, 1100, F32 (3, 1100), F32 (5, 1100), F32 (5)),
};

/* Every element of c is handed over once, finished, whatever hand made it; what is written stays. */
typedef struct
{
  gint64       n, m; /* of all batches */
  const float *want;
  guint8      *seen;
} Blocks;

static void
take_block (gint64 row, gint64 rows, gint64 column, gint64 columns, float *c, gpointer data)
{
  Blocks *b = data;

  g_assert_true (row >= 0 && row + rows <= b->n && column >= 0 && column + columns <= b->m);
  for (gint64 r = 0; r < rows; r++)
    for (gint64 j = 0; j < columns; j++)
      {
        gint64 i = (row + r) * b->m + column + j;

        g_assert_cmpint (b->seen[i], ==, 0);
        b->seen[i] = 1;
        g_assert_cmpfloat (c[r * b->m + j], ==, b->want[i]);
        c[r * b->m + j] = -c[r * b->m + j];
      }
}

static void
test_then (void)
{
  static const FmGemm problems[] = {
    { .n = 1, .m = 40, .k = 70, .a_row = 70, .a_column = 1, .b_row = 1, .b_column = 70 },      /* dots */
    { .n = 1, .m = 600, .k = 7, .a_row = 7, .a_column = 1, .b_row = 600, .b_column = 1 },      /* rows */
    { .n = 300, .m = 70, .k = 20, .a_row = 20, .a_column = 1, .b_row = 1, .b_column = 20 },    /* packed */
    { .n = 50, .m = 300, .k = 20, .a_row = 20, .a_column = 1, .b_row = 300, .b_column = 1 },   /* tiles */
    { .n = 20, .m = 30, .k = 9, .a_row = 9, .a_column = 1, .b_row = 1, .b_column = 9 },        /* BLAS */
    { .n = 9, .m = 17, .k = 1500, .a_row = 1, .a_column = 9, .b_row = 17, .b_column = 1 },     /* k split */
    { .batch_rank = 1, .batch = { 3 }, .a_batch = { 900 }, .b_batch = { 0 }, .n = 30, .m = 40, .k = 30, .a_row = 30,
      .a_column = 1, .b_row = 40, .b_column = 1 },
  };

  fm_op_test_cpu (2);
  for (guint i = 0; i < G_N_ELEMENTS (problems); i++)
    {
      const FmGemm *p = &problems[i];
      gint64 batches = p->batch_rank ? p->batch[0] : 1, size = batches * p->n * p->m;
      g_autofree float *a = g_new (float, batches * p->n * p->k), *b = g_new (float, p->k * p->m);
      g_autofree float *bias = g_new (float, p->m), *want = g_new (float, size), *got = g_new (float, size);
      g_autofree guint8 *seen = g_new0 (guint8, size), *workspace = g_malloc (fm_gemm_workspace (p) + 64);
      Blocks blocks = { batches * p->n, p->m, want, seen };

      for (gint64 j = 0; j < batches * p->n * p->k; j++)
        a[j] = (float) (j * 37 % 101) / 101 - 0.4f;
      for (gint64 j = 0; j < p->k * p->m; j++)
        b[j] = (float) (j * 53 % 97) / 97 - 0.3f;
      for (gint64 j = 0; j < p->m; j++)
        bias[j] = (float) j;
      fm_gemm (p, a, b, bias, want, workspace, 1);
      fm_gemm_then (p, a, b, bias, got, workspace, 2, take_block, &blocks);
      for (gint64 j = 0; j < size; j++)
        {
          g_assert_cmpint (seen[j], ==, 1);
          g_assert_cmpfloat (got[j], ==, -want[j]);
        }
    }
}

static void
test_refused (void)
{
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(FmGraph) h = fm_graph_new ();

  fm_matmul (g, fm_graph_input (g, "a", FM_F32, FM_SHAPE (2, 3)), fm_graph_input (g, "b", FM_F32, FM_SHAPE (4, 3)), 0);
  g_assert_error ((GError *) fm_graph_get_error (g), FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH);
  g_assert_nonnull (strstr (fm_graph_get_error (g)->message, "[2,3] times [4,3]"));
  fm_affine (h, fm_graph_input (h, "a", FM_F32, FM_SHAPE (2, 3)), fm_graph_input (h, "b", FM_F32, FM_SHAPE (4, 2)),
             NULL);
  g_assert_error ((GError *) fm_graph_get_error (h), FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH);
  g_assert_nonnull (strstr (fm_graph_get_error (h)->message, "[2,3]"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fm_op_test_add ("matmul", matmul_cases, G_N_ELEMENTS (matmul_cases));
  fm_op_test_add ("affine", affine_cases, G_N_ELEMENTS (affine_cases));
  g_test_add_func ("/compute/matmul/then", test_then);
  g_test_add_func ("/compute/matmul/refused", test_refused);
  return g_test_run ();
}
