/* test-products-grouped.c: products by segment, block-diagonal and Kronecker products. */
#include "op-test.h"

#include <math.h>
#include <string.h>

#define F32(...) { FM_F32, FM_SHAPE (__VA_ARGS__), -1, 1, TRUE }

/* --- Grouped ------------------------------------------------------------------------------------------------------*/

static FmTensor *
build_grouped (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_matmul_grouped (g, x[0], x[1], x[2], n[0]);
}

static void
reference_grouped (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gboolean transposed = n[0] != 0;
  gint64 rows = x[0].shape.dims[0], k = x[0].shape.dims[1], groups = x[1].shape.dims[0];
  gint64 m = x[1].shape.dims[transposed ? 1 : 2];

  fm_op_array_init (y, FM_SHAPE (rows, m));
  for (gint64 e = 0; e < groups; e++)
    for (gint64 r = (gint64) x[2].v[e]; r < (gint64) x[2].v[e + 1]; r++)
      for (gint64 j = 0; j < m; j++)
        for (gint64 t = 0; t < k; t++)
          y->v[r * m + j] += x[0].v[r * k + t] * x[1].v[e * k * m + (transposed ? j * k + t : t * m + j)];
}

/* Segments of the cases below, by how many groups there are and how long the last offset is. */
static void
fill_even (FmOpArray *a)
{
  for (gint64 e = 0; e < a->n; e++)
    a->v[e] = 3 * e;
}

static void
fill_empty (FmOpArray *a) /* 0, 0, 5, 5, 5, 18: first, third and fourth group empty; the last has the rest */
{
  static const gdouble offsets[] = { 0, 0, 5, 5, 5, 18 };

  for (gint64 e = 0; e < a->n; e++)
    a->v[e] = offsets[e];
}

static void
fill_gaps (FmOpArray *a) /* rows before, between none, after: no group's */
{
  static const gdouble offsets[] = { 2, 3, 9, 14 };

  for (gint64 e = 0; e < a->n; e++)
    a->v[e] = offsets[e];
}

static void
fill_one_has_all (FmOpArray *a)
{
  for (gint64 e = 0; e < a->n; e++)
    a->v[e] = e <= 2 ? 0 : 300;
}

static void
fill_long (FmOpArray *a)
{
  static const gdouble offsets[] = { 0, 1, 101, 296, 300 };

  for (gint64 e = 0; e < a->n; e++)
    a->v[e] = offsets[e];
}

#define GROUPED(id, flags, longest, fill, x, w, ...) \
  { .name = id, .quick = TRUE, .in = { x, w, { FM_I32, FM_SHAPE (__VA_ARGS__), 0, 0, FALSE, fill } }, .n = { flags }, \
    .build = build_grouped, .reference = reference_grouped, .atol = (longest) * 6e-8, .rtol = 1e-6, \
    .grad_atol = 1e-4, .grad_rtol = 1e-5, \
    .why = "sums of K products below 1; the gradient by weights sums over the rows of a group" }

static const FmOpCase grouped_cases[] = {
  GROUPED ("plain", 0, 7, fill_even, F32 (12, 7), F32 (4, 7, 5), 5),
  GROUPED ("transposed", FM_TRANS_B, 7, fill_even, F32 (12, 7), F32 (4, 5, 7), 5),
  GROUPED ("one", 0, 1, fill_even, F32 (3, 1), F32 (1, 1, 1), 2),
  GROUPED ("empty", 0, 9, fill_empty, F32 (18, 9), F32 (5, 9, 33), 6),
  GROUPED ("empty-transposed", FM_TRANS_B, 9, fill_empty, F32 (18, 9), F32 (5, 33, 9), 6),
  GROUPED ("gaps", 0, 5, fill_gaps, F32 (17, 5), F32 (3, 5, 6), 4),
  GROUPED ("one-has-all", 0, 20, fill_one_has_all, F32 (300, 20), F32 (4, 20, 18), 5),
  GROUPED ("long", 0, 40, fill_long, F32 (300, 40), F32 (4, 40, 300), 5),
  GROUPED ("long-transposed", FM_TRANS_B, 40, fill_long, F32 (300, 40), F32 (4, 300, 40), 5),
  GROUPED ("deep-transposed", FM_TRANS_B, 150, fill_one_has_all, F32 (300, 150), F32 (4, 18, 150), 5),
  GROUPED ("deep", 0, 700, fill_gaps, F32 (17, 700), F32 (3, 700, 6), 4),
};

/* The second gradient: that of a function of the gradient by the weights. */
static FmTensor *
build_twice (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *y = fm_matmul_grouped (g, x[0], x[1], x[2], 0), *dw;

  fm_grad (g, fm_sum_all (g, fm_square (g, y)), &x[1], 1, &dw);
  return fm_sum_all (g, fm_square (g, dw));
}

static void
reference_twice (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 k = x[0].shape.dims[1], m = x[1].shape.dims[2];
  FmOpArray z = { 0 };

  reference_grouped (x, &z, n, f);
  fm_op_array_init (y, FM_SHAPE (1));
  for (gint64 e = 0; e < x[1].shape.dims[0]; e++)
    for (gint64 t = 0; t < k; t++)
      for (gint64 j = 0; j < m; j++)
        {
          gdouble sum = 0;

          for (gint64 r = (gint64) x[2].v[e]; r < (gint64) x[2].v[e + 1]; r++)
            sum += x[0].v[r * k + t] * 2 * z.v[r * m + j];
          y->v[0] += sum * sum;
        }
  g_free (z.v);
}

static const FmOpCase twice_cases[] = {
  { .name = "second-gradient", .quick = TRUE,
    .in = { F32 (17, 5), F32 (3, 5, 6), { FM_I32, FM_SHAPE (4), 0, 0, FALSE, fill_gaps } }, .build = build_twice,
    .reference = reference_twice, .rtol = 1e-5, .grad_atol = 1e-3, .grad_rtol = 1e-4,
    .why = "fourth-order sums of some hundred terms" },
};

/* --- Rows by group ------------------------------------------------------------------------------------------------*/

static FmTensor *
build_places (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *offsets, *place = fm_group_rows (g, x[0], n[0], &offsets), *in[2] = { place, offsets };

  in[0] = fm_cast (g, place, FM_F32);
  in[1] = fm_cast (g, offsets, FM_F32);
  return fm_concat (g, in, 2, 0);
}

static void
reference_places (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 rows = x->n, at = 0;

  fm_op_array_init (y, FM_SHAPE (rows + n[0] + 1));
  for (gint64 r = 0; r < rows; r++)
    y->v[r] = -1;
  for (gint64 e = 0; e < n[0]; e++)
    {
      y->v[rows + e] = at;
      for (gint64 r = 0; r < rows; r++)
        if (x->v[r] == e)
          y->v[r] = at++;
    }
  y->v[rows + n[0]] = at;
}

static const FmOpCase place_cases[] = {
  { .name = "places", .quick = TRUE, .in = { { FM_I32, FM_SHAPE (40), 0, 6 } }, .n = { 7 }, .build = build_places,
    .reference = reference_places, .why = "whole numbers, exact" },
  { .name = "places-out-of-range", .quick = TRUE, .in = { { FM_I32, FM_SHAPE (40), -1, 5 } }, .n = { 4 },
    .build = build_places, .reference = reference_places, .why = "whole numbers, exact" },
  { .name = "places-one", .quick = TRUE, .in = { { FM_I32, FM_SHAPE (1), 0, 0 } }, .n = { 1 }, .build = build_places,
    .reference = reference_places, .why = "whole numbers, exact" },
};

/* --- Structured ---------------------------------------------------------------------------------------------------*/

static FmTensor *
build_blocks (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_block_diagonal (g, x[0], x[1]);
}

static void
reference_blocks (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 groups = x[1].shape.dims[0], k = x[1].shape.dims[1], m = x[1].shape.dims[2], rows = x[0].n / (groups * k);
  FmShape shape = x[0].shape;

  shape.dims[shape.rank - 1] = groups * m;
  fm_op_array_init (y, shape);
  for (gint64 r = 0; r < rows; r++)
    for (gint64 e = 0; e < groups; e++)
      for (gint64 j = 0; j < m; j++)
        for (gint64 t = 0; t < k; t++)
          y->v[(r * groups + e) * m + j] += x[0].v[(r * groups + e) * k + t] * x[1].v[(e * k + t) * m + j];
}

static FmTensor *
build_kronecker (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_kronecker (g, x[0], x[1], x[2]);
}

static void
reference_kronecker (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 r = x[1].shape.dims[0], p = x[1].shape.dims[1], s = x[2].shape.dims[0], q = x[2].shape.dims[1];
  FmShape shape = x[0].shape;

  shape.dims[shape.rank - 1] = r * s;
  fm_op_array_init (y, shape);
  for (gint64 row = 0; row < x[0].n / (p * q); row++)
    for (gint64 i = 0; i < r * s; i++)
      for (gint64 j = 0; j < p * q; j++) /* element (i,j) of the Kronecker product, by definition */
        y->v[row * r * s + i]
          += x[1].v[i / s * p + j / q] * x[2].v[i % s * q + j % q] * x[0].v[row * p * q + j];
}

#define STRUCTURED(id, which, longest, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .build = build_##which, .reference = reference_##which, \
    .atol = (longest) * 1.2e-7, .rtol = 1e-6, .grad_atol = 1e-4, .grad_rtol = 1e-5, \
    .why = "one sum after the other, of products below 1" }

static const FmOpCase structured_cases[] = {
  STRUCTURED ("block-diagonal", blocks, 5, F32 (2, 7, 15), F32 (3, 5, 4)),
  STRUCTURED ("block-diagonal/one-row", blocks, 5, F32 (20), F32 (4, 5, 3)),
  STRUCTURED ("block-diagonal/one-block", blocks, 9, F32 (6, 9), F32 (1, 9, 17)),
  STRUCTURED ("kronecker", kronecker, 15, F32 (2, 7, 15), F32 (4, 3), F32 (2, 5)),
  STRUCTURED ("kronecker/one-row", kronecker, 12, F32 (12), F32 (5, 4), F32 (6, 3)),
  STRUCTURED ("kronecker/ones", kronecker, 1, F32 (3, 1), F32 (1, 1), F32 (1, 1)),
  STRUCTURED ("kronecker/tall", kronecker, 18, F32 (40, 18), F32 (1, 9), F32 (33, 2)),
};

/* --- Offsets that lie, and refusals -------------------------------------------------------------------------------*/

/* Nothing outside is read or written, whatever stands in the offsets; the sanitizers watch. */
static void
test_wild_offsets (void)
{
  static const gint32 offsets[][4] = { { 0, 7, 0, 7 }, { -5, 3, 100, 200 }, { 7, 5, 3, 1 }, { 2147483647, -7, 0, 1 } };

  for (guint c = 0; c < G_N_ELEMENTS (offsets); c++)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(FmGraph) g = fm_graph_new ();
      g_autoptr(FmVariables) variables = fm_variables_new (fm_op_test_cpu (2), 1);
      FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (7, 3)), *dx[2];
      FmTensor *w = fm_graph_input (g, "w", FM_F32, FM_SHAPE (3, 3, 2));
      FmTensor *y = fm_matmul_grouped (g, x, w, fm_graph_input (g, "o", FM_I32, FM_SHAPE (4)), 0);
      FmTensor *wrt[] = { x, w };
      g_autoptr(FmProgram) program = NULL;
      float out[18];

      fm_grad (g, fm_sum_all (g, y), wrt, 2, dx);
      fm_graph_output (g, "dw", dx[1]);
      fm_graph_output (g, "dx", dx[0]);
      program = fm_program_new (g, fm_op_test_cpu (2), variables, &error);
      g_assert_no_error (error);
      g_assert_true (fm_program_write (program, "o", offsets[c], sizeof offsets[c], &error));
      g_assert_true (fm_program_run (program, &error));
      g_assert_true (fm_program_read (program, "dw", out, sizeof out, &error));
      for (guint i = 0; i < 18; i++)
        g_assert_cmpfloat (out[i], ==, 0); /* x is zero */
    }
}

static void
test_refused (void)
{
  g_autoptr(FmGraph) g = fm_graph_new (), h = fm_graph_new (), k = fm_graph_new ();

  fm_matmul_grouped (g, fm_graph_input (g, "x", FM_F32, FM_SHAPE (4, 3)), fm_graph_input (g, "w", FM_F32,
                     FM_SHAPE (2, 3, 5)), fm_graph_input (g, "o", FM_I32, FM_SHAPE (2)), 0);
  g_assert_nonnull (strstr (fm_graph_get_error (g)->message, "offsets must be i32 [3]"));
  fm_matmul_grouped (h, fm_graph_input (h, "x", FM_F32, FM_SHAPE (4, 3)), fm_graph_input (h, "w", FM_F32,
                     FM_SHAPE (2, 5, 3)), fm_graph_input (h, "o", FM_I32, FM_SHAPE (3)), 0);
  g_assert_nonnull (strstr (fm_graph_get_error (h)->message, "[E,k,m]"));
  fm_kronecker (k, fm_graph_input (k, "x", FM_F32, FM_SHAPE (4, 7)), fm_graph_input (k, "a", FM_F32, FM_SHAPE (2, 3)),
                fm_graph_input (k, "b", FM_F32, FM_SHAPE (2, 2)));
  g_assert_nonnull (strstr (fm_graph_get_error (k)->message, "[..,p q]"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fm_op_test_add ("matmul-grouped", grouped_cases, G_N_ELEMENTS (grouped_cases));
  fm_op_test_add ("matmul-grouped", twice_cases, G_N_ELEMENTS (twice_cases));
  fm_op_test_add ("matmul-grouped", place_cases, G_N_ELEMENTS (place_cases));
  fm_op_test_add ("structured", structured_cases, G_N_ELEMENTS (structured_cases));
  g_test_add_func ("/compute/matmul-grouped/wild-offsets", test_wild_offsets);
  g_test_add_func ("/compute/matmul-grouped/refused", test_refused);
  return g_test_run ();
}
