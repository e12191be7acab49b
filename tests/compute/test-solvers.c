/* test-solvers.c: assignment against trying everything; the host solvers against what defines their answers. */
#include "op-test.h"

#include <math.h>

/* --- Assignment ---------------------------------------------------------------------------------------------------*/

static FmTensor *
build_assignment (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_cast (g, fm_assignment (g, x[0]), FM_F32);
}

typedef struct { const gdouble *cost; gint64 n, m; gint64 left_out; gdouble best; gint64 now[16], kept[16]; } Search;

/* Every way to give row @row and those after it a free column, or none where there are more rows than columns. */
static void
search (Search *s, gint64 row, gint64 left_out, guint taken, gdouble sum)
{
  if (row == s->n)
    {
      if (sum < s->best)
        {
          s->best = sum;
          memcpy (s->kept, s->now, sizeof s->kept);
        }
      return;
    }
  for (gint64 j = 0; j < s->m; j++)
    if (!(taken & (1u << j)))
      {
        s->now[row] = j;
        search (s, row + 1, left_out, taken | (1u << j), sum + s->cost[row * s->m + j]);
      }
  if (left_out > 0)
    {
      s->now[row] = -1;
      search (s, row + 1, left_out - 1, taken, sum);
    }
}

static void
reference_assignment (const FmOpArray *x, FmOpArray *y, const gint64 *numbers, const gdouble *f)
{
  FmShape shape = x->shape;
  gint64 n = shape.dims[shape.rank - 2], m = shape.dims[shape.rank - 1];

  shape.rank--;
  fm_op_array_init (y, shape);
  for (gint64 item = 0; item < x->n / (n * m); item++)
    {
      Search s = { .cost = x->v + item * n * m, .n = n, .m = m, .best = INFINITY };
      gboolean finite = TRUE;

      for (gint64 i = 0; i < n * m; i++)
        finite = finite && isfinite (s.cost[i]);
      if (finite)
        search (&s, 0, MAX (0, n - m), 0, 0);
      for (gint64 i = 0; i < n; i++)
        y->v[item * n + i] = finite ? s.kept[i] : -1;
    }
}

static void
fill_infinite (FmOpArray *x)
{
  x->v[3] = INFINITY;
  x->v[x->n - 1] = NAN;
}

#define CASE(id, is_quick, f, ...) \
  { .name = id, .quick = is_quick, .in = { { FM_F32, FM_SHAPE (__VA_ARGS__), -3, 3, FALSE, f } }, \
    .build = build_assignment, .reference = reference_assignment, \
    .why = "whole numbers; two assignments of equal cost within f32 rounding do not occur in these draws" }

static const FmOpCase cases[] = {
  CASE ("one", TRUE, NULL, 1, 1),
  CASE ("square", TRUE, NULL, 9, 6, 6),
  CASE ("wide", TRUE, NULL, 5, 3, 7),
  CASE ("tall", TRUE, NULL, 5, 7, 3),
  CASE ("unbatched", FALSE, NULL, 4, 5),
  CASE ("row", FALSE, NULL, 2, 2, 1, 8),
  CASE ("column", FALSE, NULL, 2, 2, 8, 1),
  CASE ("not-finite", TRUE, fill_infinite, 3, 4, 4),
};

/* Sizes beyond brute force: the answer must be a matching whose cost the duals prove least. The proof needs no other
 * solver: after it, no exchange of two rows and no move to a free column lowers the cost; and ties go the same way on
 * every device (checked by equal integers on CPU and Vulkan). */
static void
test_large (gconstpointer vulkan)
{
  FmDevice *device = vulkan ? fm_op_test_vulkan () : fm_op_test_cpu (2);
  g_autoptr (FmGraph) g = fm_graph_new ();
  g_autoptr (FmVariables) variables = NULL, cpu_variables = NULL;
  g_autoptr (FmProgram) program = NULL, cpu = NULL;
  g_autoptr (GError) error = NULL;
  enum { B = 3, N = 40, M = 57 };
  static gfloat cost[B][N][M];
  static gint32 column[B][N], cpu_column[B][N];
  g_autoptr (GRand) rand = g_rand_new_with_seed (7);

  if (device == NULL)
    return;
  for (guint b = 0; b < B; b++)
    for (guint i = 0; i < N; i++)
      for (guint j = 0; j < M; j++)
        cost[b][i][j] = b == 2 ? (gfloat) g_rand_int_range (rand, 0, 4) : (gfloat) g_rand_double (rand); /* b = 2: ties */
  fm_graph_output (g, "column", fm_assignment (g, fm_graph_input (g, "cost", FM_F32, FM_SHAPE (B, N, M))));
  variables = fm_variables_new (device, 1);
  program = fm_program_new (g, device, variables, &error);
  g_assert_no_error (error);
  g_assert_true (fm_program_write (program, "cost", cost, sizeof cost, &error));
  g_assert_true (fm_program_run (program, &error));
  g_assert_true (fm_program_read (program, "column", column, sizeof column, &error));
  cpu_variables = fm_variables_new (fm_op_test_cpu (1), 1);
  cpu = fm_program_new (g, fm_op_test_cpu (1), cpu_variables, &error);
  g_assert_true (fm_program_write (cpu, "cost", cost, sizeof cost, &error));
  g_assert_true (fm_program_run (cpu, &error));
  g_assert_true (fm_program_read (cpu, "column", cpu_column, sizeof cpu_column, &error));
  for (guint b = 0; b < B; b++)
    {
      gint32 row_of[M];

      for (guint j = 0; j < M; j++)
        row_of[j] = -1;
      for (guint i = 0; i < N; i++)
        {
          g_assert_cmpint (column[b][i], ==, cpu_column[b][i]);
          g_assert_cmpint (column[b][i], >=, 0);
          g_assert_cmpint (column[b][i], <, M);
          g_assert_cmpint (row_of[column[b][i]], ==, -1);
          row_of[column[b][i]] = (gint32) i;
        }
      /* No cycle of exchanges may gain: least distances between columns by Floyd and Warshall show no negative cycle,
       * which is what makes a matching least. Moving row i from its column to k costs cost[i][k] - cost[i][own]. */
      {
        static gdouble d[M][M];

        for (guint from = 0; from < M; from++)
          for (guint to = 0; to < M; to++)
            d[from][to] = row_of[from] >= 0 ? (gdouble) cost[b][row_of[from]][to] - cost[b][row_of[from]][from] : 0;
        for (guint k = 0; k < M; k++)
          for (guint from = 0; from < M; from++)
            for (guint to = 0; to < M; to++)
              d[from][to] = MIN (d[from][to], d[from][k] + d[k][to]);
        for (guint k = 0; k < M; k++)
          g_assert_cmpfloat (d[k][k], >=, -1e-5);
      }
    }
}

/* --- Host solvers -------------------------------------------------------------------------------------------------*/

static gfloat *
draw (GRand *rand, gint64 count)
{
  gfloat *x = g_new (gfloat, count);

  for (gint64 i = 0; i < count; i++)
    x[i] = (gfloat) g_rand_double_range (rand, -2, 2);
  return x;
}

/* Largest |entry| of x^T y - want, x [n,p] and y [n,q] by rows; want NULL is the unit matrix. */
static gdouble
distance (const gfloat *x, const gfloat *y, gint64 n, gint64 p, gint64 q, const gfloat *want)
{
  gdouble worst = 0;

  for (gint64 i = 0; i < p; i++)
    for (gint64 j = 0; j < q; j++)
      {
        gdouble sum = want ? -want[i * q + j] : -(i == j);

        for (gint64 k = 0; k < n; k++)
          sum += (gdouble) x[k * p + i] * y[k * q + j];
        worst = MAX (worst, fabs (sum));
      }
  return worst;
}

static gfloat *
transposed (const gfloat *x, gint64 n, gint64 m)
{
  gfloat *y = g_new (gfloat, n * m);

  for (gint64 i = 0; i < n; i++)
    for (gint64 j = 0; j < m; j++)
      y[j * n + i] = x[i * m + j];
  return y;
}

static const gint64 shapes[][2] = { { 1, 1 }, { 1, 5 }, { 5, 1 }, { 4, 4 }, { 7, 3 }, { 3, 7 }, { 40, 33 } };

static void
test_svd (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);

  for (guint c = 0; c < G_N_ELEMENTS (shapes); c++)
    {
      gint64 m = shapes[c][0], n = shapes[c][1], r = MIN (m, n);
      g_autofree gfloat *a = draw (rand, m * n), *u = g_new (gfloat, m * r), *s = g_new (gfloat, r);
      g_autofree gfloat *vt = g_new (gfloat, r * n), *ut = NULL, *v = NULL;
      g_autoptr (GError) error = NULL;

      g_assert_true (fm_svd (a, m, n, u, s, vt, &error));
      g_assert_no_error (error);
      ut = transposed (u, m, r);
      v = transposed (vt, r, n);
      g_assert_cmpfloat (distance (u, u, m, r, r, NULL), <, 1e-5);
      g_assert_cmpfloat (distance (v, v, n, r, r, NULL), <, 1e-5);
      for (gint64 k = 0; k < r; k++)
        {
          g_assert_cmpfloat (s[k], >=, k + 1 < r ? s[k + 1] : 0);
          for (gint64 i = 0; i < m; i++)
            ut[k * m + i] *= s[k];
        }
      g_assert_cmpfloat (distance (ut, vt, r, m, n, a), <, 1e-5 * (1 + s[0]));
      g_assert_true (fm_svd (a, m, n, NULL, s, NULL, &error));
    }
}

static void
test_qr (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (2);

  for (guint c = 0; c < G_N_ELEMENTS (shapes); c++)
    {
      gint64 m = shapes[c][0], n = shapes[c][1], k = MIN (m, n);
      g_autofree gfloat *a = draw (rand, m * n), *q = g_new (gfloat, m * k), *r = g_new (gfloat, k * n), *qt = NULL;
      g_autoptr (GError) error = NULL;

      g_assert_true (fm_qr (a, m, n, q, r, &error));
      g_assert_no_error (error);
      qt = transposed (q, m, k);
      g_assert_cmpfloat (distance (q, q, m, k, k, NULL), <, 1e-5);
      g_assert_cmpfloat (distance (qt, r, k, m, n, a), <, 1e-4);
      for (gint64 i = 0; i < k; i++)
        {
          g_assert_cmpfloat (r[i * n + i], >=, 0);
          for (gint64 j = 0; j < i; j++)
            g_assert_cmpfloat (r[i * n + j], ==, 0);
        }
    }
}

/* x^T x + 1 for x [n,n]. */
static gfloat *
positive (GRand *rand, gint64 n)
{
  g_autofree gfloat *x = draw (rand, n * n);
  gfloat *a = g_new (gfloat, n * n);

  for (gint64 i = 0; i < n; i++)
    for (gint64 j = 0; j < n; j++)
      {
        gdouble sum = i == j;

        for (gint64 k = 0; k < n; k++)
          sum += (gdouble) x[k * n + i] * x[k * n + j];
        a[i * n + j] = (gfloat) sum;
      }
  return a;
}

static void
test_cholesky (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);
  const gfloat indefinite[9] = { 1, 9, 9, 2, 1, 9, 0, 0, 1 }; /* above the diagonal nobody looks */
  gfloat l[9];

  for (gint64 n = 1; n <= 33; n += 16)
    {
      g_autofree gfloat *a = positive (rand, n), *factor = g_new (gfloat, n * n), *t = NULL;
      g_autoptr (GError) error = NULL;

      g_assert_true (fm_cholesky (a, n, factor, &error));
      t = transposed (factor, n, n);
      g_assert_cmpfloat (distance (t, t, n, n, n, a), <, 1e-4);
      for (gint64 i = 0; i < n; i++)
        for (gint64 j = i + 1; j < n; j++)
          g_assert_cmpfloat (factor[i * n + j], ==, 0);
    }
  {
    g_autoptr (GError) error = NULL;

    g_assert_false (fm_cholesky (indefinite, 3, l, &error));
    g_assert_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_NUMBERS);
    g_assert_nonnull (strstr (error->message, "from row 1 on"));
  }
}

static void
test_eigen (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (4);

  for (gint64 n = 1; n <= 33; n += 16)
    {
      g_autofree gfloat *a = positive (rand, n), *w = g_new (gfloat, n), *v = g_new (gfloat, n * n), *t = NULL;
      g_autofree gfloat *scaled = g_new (gfloat, n * n);
      g_autoptr (GError) error = NULL;

      g_assert_true (fm_eigen_symmetric (a, n, w, v, &error));
      t = transposed (v, n, n);
      g_assert_cmpfloat (distance (t, t, n, n, n, NULL), <, 1e-5);
      for (gint64 k = 0; k < n; k++)
        {
          g_assert_cmpfloat (w[k], <=, k + 1 < n ? w[k + 1] : INFINITY);
          for (gint64 j = 0; j < n; j++)
            scaled[k * n + j] = w[k] * v[k * n + j];
        }
      g_assert_cmpfloat (distance (v, scaled, n, n, n, a), <, 2e-6 * n * (1 + w[n - 1]));
    }
}

/* At the least, the gradient a^T (a x - b) + ridge x is zero; of many solutions the shortest is in the span of a^T. */
static void
test_least_squares (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (5);

  for (guint c = 0; c < G_N_ELEMENTS (shapes); c++)
    for (guint ridge = 0; ridge < 2; ridge++)
      {
        gint64 m = shapes[c][0], n = shapes[c][1], k = 2;
        g_autofree gfloat *a = draw (rand, m * n), *b = draw (rand, m * k), *x = g_new (gfloat, n * k);
        g_autoptr (GError) error = NULL;

        g_assert_true (fm_least_squares (a, b, m, n, k, 0.3 * ridge, x, &error));
        g_assert_no_error (error);
        for (gint64 j = 0; j < n; j++)
          for (gint64 r = 0; r < k; r++)
            {
              gdouble gradient = 0.3 * ridge * x[j * k + r], size = 1;

              for (gint64 i = 0; i < m; i++)
                {
                  gdouble rest = -b[i * k + r];

                  for (gint64 l = 0; l < n; l++)
                    {
                      rest += (gdouble) a[i * n + l] * x[l * k + r];
                      size += fabs (a[i * n + l] * x[l * k + r]);
                    }
                  gradient += a[i * n + j] * rest;
                }
              g_assert_cmpfloat (fabs (gradient), <, 1e-6 * size * m);
            }
      }
  {
    const gfloat a[2] = { 1, 1 }, b[1] = { 2 };
    gfloat x[2];
    g_autoptr (GError) error = NULL;

    g_assert_true (fm_least_squares (a, b, 1, 2, 1, 0, x, &error)); /* all x with x0 + x1 = 2: the shortest is (1,1) */
    g_assert_cmpfloat_with_epsilon (x[0], 1, 1e-6);
    g_assert_cmpfloat_with_epsilon (x[1], 1, 1e-6);
  }
}

static void
test_refused (void)
{
  gfloat a[4] = { 1, 2, NAN, 4 }, out[4], s[2];
  g_autoptr (GError) error = NULL;

  g_assert_false (fm_svd (a, 2, 2, NULL, s, NULL, &error));
  g_assert_cmpstr (error->message, ==, "svd: row 1, column 0 is nan: must be finite");
  g_clear_error (&error);
  g_assert_false (fm_qr (a, 0, 2, out, out, &error));
  g_assert_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_NUMBERS);
  g_clear_error (&error);
  a[2] = 3;
  g_assert_false (fm_least_squares (a, a, 2, 2, 1, -1, out, &error));
  g_assert_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_NUMBERS);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fm_op_test_add ("assignment", cases, G_N_ELEMENTS (cases));
  g_test_add_data_func ("/compute/assignment/large/cpu", NULL, test_large);
  g_test_add_data_func ("/compute/assignment/large/vulkan", "vulkan", test_large);
  g_test_add_func ("/compute/solvers/svd", test_svd);
  g_test_add_func ("/compute/solvers/qr", test_qr);
  g_test_add_func ("/compute/solvers/cholesky", test_cholesky);
  g_test_add_func ("/compute/solvers/eigen", test_eigen);
  g_test_add_func ("/compute/solvers/least-squares", test_least_squares);
  g_test_add_func ("/compute/solvers/refused", test_refused);
  return g_test_run ();
}
