/* test-movement-sparse.c: rows brought together by number, and training steps that touch few rows of a large table. */
#include "op-test.h"

#include <math.h>
#include <string.h>

#define F32(...) { FM_F32, FM_SHAPE (__VA_ARGS__), -2, 2, TRUE }
#define PLAIN(...) { FM_F32, FM_SHAPE (__VA_ARGS__), -2, 2 } /* without gradient */
#define I32(lo, hi, ...) { FM_I32, FM_SHAPE (__VA_ARGS__), lo, hi }

/* --- Ops ----------------------------------------------------------------------------------------------------------*/

enum { MAXIMUM, MEAN, MERGED, WHICH, SEARCH };

static FmTensor *
build_segments (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *which, *sums;

  switch (n[0])
    {
    case MAXIMUM: return fm_segment_max (g, x[0], x[1], n[1]);
    case MEAN: return fm_segment_mean (g, x[0], x[1], n[1]);
    case SEARCH: return fm_search_sorted (g, x[0], x[1], n[1]);
    default:
      sums = fm_merge_rows (g, x[0], x[1], n[1], &which);
      return n[0] == MERGED ? sums : which;
    }
}

static void
reference_segments (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  const FmOpArray *index = &x[1];
  gint64 width = n[0] == SEARCH ? 1 : x->n / index->n, place = 0;
  FmShape shape = FM_SHAPE (n[1]);

  if (n[0] == SEARCH)
    {
      fm_op_array_init (y, index->shape);
      for (gint64 i = 0; i < index->n; i++)
        for (gint64 j = 0; j < x->n; j++)
          y->v[i] += x->v[j] < index->v[i] || (n[1] && x->v[j] == index->v[i]);
      return;
    }
  if (n[0] == MERGED || n[0] == WHICH)
    {
      fm_op_array_init (y, n[0] == MERGED ? x->shape : index->shape);
      for (gint64 i = 0; n[0] == WHICH && i < index->n; i++)
        y->v[i] = -1;
      /* Places follow the order of the index, numbers below zero first. */
      for (gint64 row = -10; row < n[1] + 10; row++)
        for (gint64 i = 0, first = -1; i < index->n; i++)
          if (index->v[i] == row)
            {
              first = first < 0 ? place : first;
              place++;
              if (row < 0 || row >= n[1])
                continue;
              if (n[0] == WHICH)
                y->v[first] = row;
              else
                for (gint64 j = 0; j < width; j++)
                  y->v[first * width + j] += x->v[i * width + j];
            }
      return;
    }
  for (guint a = index->shape.rank; a < x->shape.rank; a++)
    shape.dims[shape.rank++] = x->shape.dims[a];
  fm_op_array_init (y, shape);
  for (gint64 row = 0; row < n[1]; row++)
    for (gint64 j = 0; j < width; j++)
      {
        gdouble best = -INFINITY, sum = 0;
        gint64 count = 0;

        for (gint64 i = 0; i < index->n; i++)
          if (index->v[i] == row)
            {
              best = MAX (best, x->v[i * width + j]);
              sum += x->v[i * width + j];
              count++;
            }
        y->v[row * width + j] = count == 0 ? 0 : n[0] == MEAN ? sum / count : best;
      }
}

static void
fill_rising (FmOpArray *a)
{
  for (gint64 i = 0; i < a->n; i++)
    a->v[i] = (i / 2) * 3 - 7;
}

#define SEGMENTS(id, kind, rows, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { kind, rows }, .build = build_segments, \
    .reference = reference_segments, .atol = 4e-6, .rtol = 1e-6, .grad_atol = 3e-5, .grad_rtol = 1e-5, \
    .why = "sums of up to some 60 terms of size 2" }

static const FmOpCase segment_cases[] = {
  SEGMENTS ("max/matrix", MAXIMUM, 5, F32 (20, 7), I32 (-1, 5, 20)),
  SEGMENTS ("max/vector", MAXIMUM, 9, F32 (11), I32 (0, 5, 11)),
  SEGMENTS ("max/deep", MAXIMUM, 4, F32 (4, 3, 2, 5), I32 (0, 3, 4, 3)),
  SEGMENTS ("max/one", MAXIMUM, 1, F32 (1, 3), I32 (0, 0, 1)),
  SEGMENTS ("max/threads", MAXIMUM, 40, F32 (500, 64), I32 (-1, 40, 500)),
  SEGMENTS ("mean/matrix", MEAN, 5, F32 (20, 7), I32 (-1, 5, 20)),
  SEGMENTS ("mean/empty", MEAN, 30, F32 (9), I32 (0, 29, 9)),
  SEGMENTS ("merged/few", MERGED, 5, PLAIN (20, 7), I32 (-2, 6, 20)),
  SEGMENTS ("merged/one", MERGED, 1000000, PLAIN (1, 3), I32 (0, 9, 1)),
  SEGMENTS ("merged/long", MERGED, 90, PLAIN (1500, 16), I32 (-1, 90, 1500)),
  SEGMENTS ("which/few", WHICH, 5, PLAIN (20, 7), I32 (-2, 6, 20)),
  SEGMENTS ("which/long", WHICH, 90, PLAIN (1500, 3), I32 (-1, 90, 1500)),
  SEGMENTS ("search/less", SEARCH, 0, { FM_I32, FM_SHAPE (21), 0, 0, FALSE, fill_rising }, I32 (-10, 40, 4, 9)),
  SEGMENTS ("search/not-more", SEARCH, 1, { FM_F32, FM_SHAPE (21), 0, 0, FALSE, fill_rising }, { FM_F32, FM_SHAPE (50), -10, 40 }),
  SEGMENTS ("search/equal", SEARCH, 1, { FM_F32, FM_SHAPE (16), 0, 0, FALSE, fill_rising }, { FM_F32, FM_SHAPE (12), 0, 0, FALSE, fill_rising }),
};

/* --- Training steps -----------------------------------------------------------------------------------------------*/

enum { WIDTH = 16, ITEMS = 9 };

typedef struct
{
  gint64      rows;
  gboolean    sparse, tied, twice;
  FmOptimizer optimizer;
} Setting;

/* A table read by one index or two; the loss has a slope in every gathered row and in a dense parameter. */
static FmGraph *
build_step (const Setting *s)
{
  FmGraph *g = fm_graph_new ();
  FmTensor *table = fm_param (g, "table", FM_SHAPE (s->rows, WIDTH), fm_init_normal (1.0));
  FmTensor *index = fm_graph_input (g, "index", FM_I32, FM_SHAPE (3, ITEMS / 3)), *y, *loss;

  fm_param_mark (table, FM_MARK_ROW_SPARSE, s->sparse);
  y = fm_gather_rows (g, table, index);
  y = fm_tanh (g, fm_linear_no_bias (g, y, 4, "dense"));
  loss = fm_sum_all (g, fm_square (g, fm_add_scalar (g, y, -0.4)));
  if (s->twice)
    {
      FmTensor *other = fm_gather_rows (g, table, fm_graph_input (g, "other", FM_I32, FM_SHAPE (4)));

      loss = fm_add (g, loss, fm_sum_all (g, fm_sin (g, other)));
    }
  if (s->tied)
    loss = fm_add (g, loss, fm_mul_scalar (g, fm_sum_all (g, fm_square (g, table)), 0.01));
  fm_train_step (g, loss, &s->optimizer);
  g_assert_no_error ((GError *) fm_graph_get_error (g));
  return g;
}

static const gint32 indices[][ITEMS] = {
  { 3, 1, 3, 7, 3, 0, -1, 12, 99 }, { 0, 1, 2, 3, 4, 5, 6, 7, 8 }, { 11, 11, 11, 11, 11, 11, 11, 11, 11 },
  { 9, 8, 7, 6, 5, 4, 3, 2, 1 }, { 3, 1, 3, 7, 3, 0, -1, 12, 99 },
};

/* Runs @steps steps and reads the table and the norms. */
static void
run_steps (FmDevice *device, const Setting *s, guint steps, gfloat *table, gfloat *norms)
{
  g_autoptr(FmGraph) g = build_step (s);
  g_autoptr(FmVariables) variables = fm_variables_new (device, 7);
  g_autoptr(GError) error = NULL;
  g_autoptr(FmProgram) program = fm_program_new (g, device, variables, &error);

  g_assert_no_error (error);
  for (gint32 t = 1; t <= (gint32) steps; t++)
    {
      gfloat rate = 0.05f;
      gint32 other[] = { 12, t, 3, t };

      fm_program_write (program, "index", indices[t - 1], sizeof indices[0], &error);
      if (s->twice)
        fm_program_write (program, "other", other, sizeof other, &error);
      fm_program_write (program, "@rate", &rate, sizeof rate, &error);
      if (fm_program_has_input (program, "@step")) /* plain descent does not ask for it */
        fm_program_write (program, "@step", &t, sizeof t, &error);
      fm_program_run (program, &error);
      g_assert_no_error (error);
      fm_program_read (program, "@norm", &norms[t - 1], sizeof *norms, &error);
      g_assert_no_error (error);
    }
  fm_variables_read (variables, "table", table, (gsize) s->rows * WIDTH * sizeof *table, &error);
  g_assert_no_error (error);
}

static FmDevice *
device_of (gconstpointer vulkan)
{
  return GPOINTER_TO_INT (vulkan) ? fm_op_test_vulkan () : fm_op_test_cpu (2);
}

#define ROWS 13

static void
same_table (const char *what, const gfloat *a, const gfloat *b, gint64 n, gdouble tolerance)
{
  for (gint64 i = 0; i < n; i++)
    if (!(fabs (a[i] - b[i]) <= tolerance))
      {
        g_test_message ("%s: element %" G_GINT64_FORMAT " is %.9g, densely %.9g", what, i, a[i], b[i]);
        g_test_fail ();
        return;
      }
}

static void
compare_steps (FmDevice *device, const char *what, Setting s, guint steps, gdouble tolerance)
{
  gfloat table[2][ROWS * WIDTH], norms[2][5];

  s.rows = ROWS;
  for (guint sparse = 0; sparse < 2; sparse++)
    {
      s.sparse = sparse;
      run_steps (device, &s, steps, table[sparse], norms[sparse]);
    }
  same_table (what, table[1], table[0], ROWS * WIDTH, tolerance);
  same_table ("norms", norms[1], norms[0], steps, tolerance * 4);
}

/* Where the two ways mean the same, they give the same: plain descent; AdamW's first step but for decay; a table that
 * something else reads too. */
static void
test_dense (gconstpointer vulkan)
{
  FmDevice *device = device_of (vulkan);
  FmOptimizer sgd = { .kind = FM_OPTIMIZER_SGD, .clip = 1.0 }, adam = { 0.9, 0.999, 1e-8, 0.0, 1.0 };

  if (device == NULL)
    return;
  compare_steps (device, "sgd", (Setting){ .optimizer = sgd }, 5, 1e-6);
  compare_steps (device, "sgd, two readers", (Setting){ .optimizer = sgd, .twice = TRUE }, 5, 1e-6);
  compare_steps (device, "adamw, one step", (Setting){ .optimizer = adam, .twice = TRUE }, 1, 1e-6);
  adam.decay = 0.1;
  compare_steps (device, "adamw, tied", (Setting){ .optimizer = adam, .tied = TRUE }, 5, 0.0);
  adam.average = 0.9;
  compare_steps (device, "adamw, averaged", (Setting){ .optimizer = adam }, 5, 0.0);
}

/* Rows that a step does not gather stay, bit for bit, whatever decay and momentum say; the others follow the definition:
 * the dense step on a table that is nothing but them. */
static void
test_lazy (gconstpointer vulkan)
{
  FmDevice *device = device_of (vulkan);
  static const FmOptimizer optimizers[] = {
    { 0.9, 0.999, 1e-8, 0.1, 1.0 }, { .kind = FM_OPTIMIZER_SGD, .momentum = 0.9, .decay = 0.1 },
    { .kind = FM_OPTIMIZER_SGD, .momentum = 0.9, .decay = 0.1, .nesterov = TRUE, .clip = 0.5 },
  };

  if (device == NULL)
    return;
  for (guint k = 0; k < G_N_ELEMENTS (optimizers); k++)
    {
      Setting s = { .rows = ROWS, .sparse = TRUE, .optimizer = optimizers[k] };
      gfloat before[ROWS * WIDTH], after[ROWS * WIDTH], dense[ROWS * WIDTH], norms[5];

      run_steps (device, &s, 0, before, norms);
      run_steps (device, &s, 1, after, norms);
      s.sparse = FALSE;
      run_steps (device, &s, 1, dense, norms);
      for (gint row = 0; row < ROWS; row++)
        {
          gboolean gathered = row == 0 || row == 1 || row == 3 || row == 7 || row == 12;

          g_assert_cmpint (memcmp (before + row * WIDTH, after + row * WIDTH, WIDTH * sizeof *after) == 0, !=, gathered);
          if (gathered)
            same_table ("a gathered row", after + row * WIDTH, dense + row * WIDTH, WIDTH, 1e-6);
        }
    }
}

/* A table of 10^6 rows against one of 10^3: a step's memory and time are those of what it touches. */
static void
test_cost (void)
{
  static const gint64 rows[] = { 1000, 1000000 };
  guint64 arena[2], dense;
  gdouble best[2] = { G_MAXDOUBLE, G_MAXDOUBLE };
  FmProgram *programs[2];
  g_autoptr(FmGraph) graphs_0 = NULL;
  g_autoptr(FmGraph) graphs_1 = NULL;
  g_autoptr(FmGraph) whole = NULL;
  FmGraph *graphs[2];
  FmPlan plan;
  g_autoptr(GError) error = NULL;

  for (guint k = 0; k < 2; k++)
    {
      Setting s = { .rows = rows[k], .sparse = TRUE, .optimizer = { 0.9, 0.999, 1e-8, 0.1, 1.0 } };
      g_autoptr(FmVariables) variables = fm_variables_new (fm_op_test_cpu (2), 7);

      graphs[k] = build_step (&s);
      programs[k] = fm_program_new (graphs[k], fm_op_test_cpu (2), variables, &error);
      g_assert_no_error (error);
      arena[k] = fm_program_get_plan (programs[k])->arena_bytes;
    }
  graphs_0 = graphs[0];
  graphs_1 = graphs[1];
  g_assert_cmpuint (arena[1], ==, arena[0]);
  whole = build_step (&(Setting){ .rows = rows[1], .optimizer = { 0.9, 0.999, 1e-8, 0.1, 1.0 } });
  fm_graph_plan (whole, "cpu", &plan, NULL, &error);
  g_assert_no_error (error);
  dense = plan.arena_bytes;
  g_assert_cmpuint (dense, >, 1000 * arena[1]); /* what it would be: the test can fail */

  for (guint round = 0; round < 30; round++)
    for (guint k = 0; k < 2; k++)
      {
        gint64 start;
        gint32 t = (gint32) round + 1;
        gfloat rate = 1e-3f;

        fm_program_write (programs[k], "index", indices[0], sizeof indices[0], &error);
        fm_program_write (programs[k], "@rate", &rate, sizeof rate, &error);
        fm_program_write (programs[k], "@step", &t, sizeof t, &error);
        start = g_get_monotonic_time ();
        fm_program_run (programs[k], &error);
        g_assert_no_error (error);
        best[k] = MIN (best[k], (gdouble) (g_get_monotonic_time () - start));
      }
  g_test_message ("a step with 10^3 rows takes %.0f us, with 10^6 %.0f us; arena %" G_GUINT64_FORMAT " bytes, densely %"
                  G_GUINT64_FORMAT, best[0], best[1], arena[1], dense);
  g_assert_cmpfloat (best[1], <, 4 * best[0] + 100); /* densely 450 MB to read and write */
  for (guint k = 0; k < 2; k++)
    fm_program_free (programs[k]);
}

/* --- Experts ------------------------------------------------------------------------------------------------------*/

/* Rows of x dealt to experts by offsets; the second layer's weights lie transposed. */
static FmGraph *
build_experts (gint64 experts, gint64 rows, gint64 width, gboolean sparse, const FmOptimizer *optimizer)
{
  FmGraph *g = fm_graph_new ();
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (rows, width));
  FmTensor *offsets = fm_graph_input (g, "offsets", FM_I32, FM_SHAPE (experts + 1));
  FmTensor *in = fm_param (g, "in", FM_SHAPE (experts, width, width), fm_init_normal (0.3));
  FmTensor *out = fm_param (g, "out", FM_SHAPE (experts, width, width), fm_init_normal (0.3));

  fm_param_mark (in, FM_MARK_ROW_SPARSE, sparse);
  fm_param_mark (out, FM_MARK_ROW_SPARSE, sparse);
  x = fm_tanh (g, fm_matmul_grouped (g, x, in, offsets, 0));
  x = fm_add (g, x, fm_matmul_grouped (g, x, out, offsets, FM_TRANS_B));
  fm_train_step (g, fm_sum_all (g, fm_square (g, fm_add_scalar (g, x, -0.4))), optimizer);
  g_assert_no_error ((GError *) fm_graph_get_error (g));
  return g;
}

enum { EXPERTS = 5, EXPERT_ROWS = 12, EXPERT_WIDTH = 7, EXPERT_NUMBERS = 2 * EXPERTS * EXPERT_WIDTH * EXPERT_WIDTH };

/* Who has rows turns, so that places hold what earlier steps left there; ends past the rows have none either. */
static const gint32 expert_offsets[][EXPERTS + 1] = {
  { 0, 4, 4, 9, 12, 12 }, { 0, 0, 12, 12, 12, 12 }, { 3, 3, 5, 5, 7, 90 }, { 0, 12, 13, 14, 15, 16 }, { 0, 0, 0, 0, 0, 0 },
};

static void
run_experts (FmDevice *device, gboolean sparse, const FmOptimizer *optimizer, guint steps, gfloat *weights, gfloat *norms)
{
  g_autoptr(FmGraph) g = build_experts (EXPERTS, EXPERT_ROWS, EXPERT_WIDTH, sparse, optimizer);
  g_autoptr(FmVariables) variables = fm_variables_new (device, 7);
  g_autoptr(GError) error = NULL;
  g_autoptr(FmProgram) program = fm_program_new (g, device, variables, &error);
  gfloat x[EXPERT_ROWS * EXPERT_WIDTH];

  g_assert_no_error (error);
  for (guint i = 0; i < G_N_ELEMENTS (x); i++)
    x[i] = (gfloat) ((gint) (i * 37 % 23) - 11) / 11;
  fm_program_write (program, "x", x, sizeof x, &error);
  for (gint32 t = 1; t <= (gint32) steps; t++)
    {
      gfloat rate = 0.05f;

      fm_program_write (program, "offsets", expert_offsets[t - 1], sizeof expert_offsets[0], &error);
      fm_program_write (program, "@rate", &rate, sizeof rate, &error);
      if (fm_program_has_input (program, "@step"))
        fm_program_write (program, "@step", &t, sizeof t, &error);
      fm_program_run (program, &error);
      g_assert_no_error (error);
      fm_program_read (program, "@norm", &norms[t - 1], sizeof *norms, &error);
    }
  fm_variables_read (variables, "in", weights, EXPERT_NUMBERS / 2 * sizeof *weights, &error);
  fm_variables_read (variables, "out", weights + EXPERT_NUMBERS / 2, EXPERT_NUMBERS / 2 * sizeof *weights, &error);
  g_assert_no_error (error);
}

/* As of tables: plain descent is the dense one, and experts without rows stay bit for bit. */
static void
test_experts (gconstpointer vulkan)
{
  static const FmOptimizer sgd = { .kind = FM_OPTIMIZER_SGD, .clip = 1.0 }, adam = { 0.9, 0.999, 1e-8, 0.1, 1.0 };
  FmDevice *device = device_of (vulkan);
  gfloat weights[3][EXPERT_NUMBERS], norms[2][G_N_ELEMENTS (expert_offsets)];

  if (device == NULL)
    return;
  for (guint sparse = 0; sparse < 2; sparse++)
    run_experts (device, sparse, &sgd, G_N_ELEMENTS (expert_offsets), weights[sparse], norms[sparse]);
  same_table ("experts", weights[1], weights[0], EXPERT_NUMBERS, 1e-6);
  same_table ("norms", norms[1], norms[0], G_N_ELEMENTS (expert_offsets), 1e-4); /* of size 10 */
  run_experts (device, TRUE, &adam, 0, weights[0], norms[0]);
  run_experts (device, TRUE, &adam, 1, weights[1], norms[0]);
  run_experts (device, FALSE, &adam, 1, weights[2], norms[0]);
  for (gint e = 0; e < 2 * EXPERTS; e++)
    {
      gint size = EXPERT_WIDTH * EXPERT_WIDTH, at = e * size;
      gboolean has_rows = expert_offsets[0][e % EXPERTS] < expert_offsets[0][e % EXPERTS + 1];

      g_assert_cmpint (memcmp (weights[0] + at, weights[1] + at, size * sizeof (gfloat)) == 0, !=, has_rows);
      if (has_rows)
        same_table ("an expert with rows", weights[1] + at, weights[2] + at, size, 1e-6);
    }
}

/* One of 64 experts used: the step takes a few times a 64th of the step in which the others are trained as well. */
static void
test_experts_cost (void)
{
  enum { MANY = 64, FEW_ROWS = 8, WIDE = 192 };
  static const FmOptimizer adam = { 0.9, 0.999, 1e-8, 0.1, 1.0 };
  gint32 offsets[MANY + 1] = { 0 };
  g_autofree gfloat *x = g_new0 (gfloat, FEW_ROWS * WIDE);
  gdouble best[2] = { G_MAXDOUBLE, G_MAXDOUBLE };
  FmProgram *programs[2];
  FmGraph *graphs[2];
  g_autoptr(GError) error = NULL;

  for (guint e = 1; e <= MANY; e++)
    offsets[e] = FEW_ROWS;
  for (guint sparse = 0; sparse < 2; sparse++)
    {
      g_autoptr(FmVariables) variables = fm_variables_new (fm_op_test_cpu (2), 7);

      graphs[sparse] = build_experts (MANY, FEW_ROWS, WIDE, sparse, &adam);
      programs[sparse] = fm_program_new (graphs[sparse], fm_op_test_cpu (2), variables, &error);
      g_assert_no_error (error);
    }
  for (gint32 t = 1; t <= 20; t++)
    for (guint k = 0; k < 2; k++)
      {
        gfloat rate = 1e-3f;
        gint64 start;

        fm_program_write (programs[k], "x", x, FEW_ROWS * WIDE * sizeof *x, &error);
        fm_program_write (programs[k], "offsets", offsets, sizeof offsets, &error);
        fm_program_write (programs[k], "@rate", &rate, sizeof rate, &error);
        fm_program_write (programs[k], "@step", &t, sizeof t, &error);
        start = g_get_monotonic_time ();
        fm_program_run (programs[k], &error);
        g_assert_no_error (error);
        best[k] = MIN (best[k], (gdouble) (g_get_monotonic_time () - start));
      }
  g_test_message ("a step with one expert of 64 in use takes %.0f us, training all %.0f us", best[1], best[0]);
  g_assert_cmpfloat (best[1], <, best[0] / 64 * 6 + 200);
  for (guint k = 0; k < 2; k++)
    {
      fm_program_free (programs[k]);
      fm_graph_free (graphs[k]);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fm_op_test_add ("segments", segment_cases, G_N_ELEMENTS (segment_cases));
  g_test_add_data_func ("/compute/sparse/dense/cpu", GINT_TO_POINTER (0), test_dense);
  g_test_add_data_func ("/compute/sparse/lazy/cpu", GINT_TO_POINTER (0), test_lazy);
  g_test_add_data_func ("/compute/sparse/experts/cpu", GINT_TO_POINTER (0), test_experts);
  if (!g_test_quick ())
    {
      g_test_add_data_func ("/compute/sparse/experts/vulkan", GINT_TO_POINTER (1), test_experts);
      g_test_add_data_func ("/compute/sparse/dense/vulkan", GINT_TO_POINTER (1), test_dense);
      g_test_add_data_func ("/compute/sparse/lazy/vulkan", GINT_TO_POINTER (1), test_lazy);
    }
  g_test_add_func ("/compute/sparse/cost", test_cost);
  g_test_add_func ("/compute/sparse/experts/cost", test_experts_cost);
  return g_test_run ();
}
