/* test-pairs.c: what is made of all pairs of rows: squared distances, transport, landmark softmax, random features; and the
 * pseudo-inverse and sampled softmax. Each against its definition in double. */
#include "op-test.h"

#include <math.h>
#include <string.h>

/* --- Squared distances --------------------------------------------------------------------------------------------*/

static FmTensor *
build_distances (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_squared_distances (g, x[0], x[1]);
}

/* n: whether the second operand has the batch of the first. */
static void
reference_distances (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  const FmShape *a = &x[0].shape, *b = &x[1].shape;
  gint64 rows = a->dims[a->rank - 2], columns = b->dims[b->rank - 2], d = a->dims[a->rank - 1];
  FmShape shape = *a;

  shape.dims[shape.rank - 1] = columns;
  fm_op_array_init (y, shape);
  for (gint64 i = 0; i < y->n; i++)
    {
      const gdouble *left = x[0].v + i / columns * d;
      const gdouble *right = x[1].v + ((n[0] ? i / columns / rows * columns : 0) + i % columns) * d;

      for (gint64 c = 0; c < d; c++)
        y->v[i] += (left[c] - right[c]) * (left[c] - right[c]);
    }
}

static void
fill_far (FmOpArray *x)
{
  for (gint64 i = 0; i < x->n; i++)
    x->v[i] += 1000;
}

#define F32(...) { FM_F32, FM_SHAPE (__VA_ARGS__), -3, 3, TRUE }
#define FILLED(fill, ...) { FM_F32, FM_SHAPE (__VA_ARGS__), -3, 3, TRUE, fill }
#define GIVEN(fill, ...) { FM_F32, FM_SHAPE (__VA_ARGS__), -3, 3, FALSE, fill }
#define INDEX(low, high, ...) { FM_I32, FM_SHAPE (__VA_ARGS__), low, high }

/* By differences: each square off by 3 roundings, a sum of up to 8 by as many. By a product: squares up to 9 D that cancel. */
#define DIRECT(id, batch, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { batch }, .build = build_distances, \
    .reference = reference_distances, .atol = 1e-30, .rtol = 1e-6, .grad_atol = 1e-4, .grad_rtol = 1e-5, \
    .grad_step = 1e-3, .why = "3 roundings of a term, 8 terms that do not cancel; gradients are sums of terms of both signs" }
#define PRODUCT(id, batch, d, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { batch }, .build = build_distances, \
    .reference = reference_distances, .atol = 6e-8 * 18 * d / 3, .rtol = 1e-6, .grad_atol = 2e-4, .grad_rtol = 1e-5, \
    .grad_step = 1e-3, .why = "one rounding of both squares, each 3 d on the average and 9 d at most" }

static const FmOpCase distances[] = {
  DIRECT ("distances/one", 0, F32 (1, 1), F32 (1, 1)),
  DIRECT ("distances/points", 0, F32 (7, 3), F32 (5, 3)),
  DIRECT ("distances/points-far", 0, FILLED (fill_far, 7, 3), FILLED (fill_far, 5, 3)),
  DIRECT ("distances/batch-8", 1, F32 (2, 3, 8), F32 (2, 17, 8)),
  PRODUCT ("distances/9", 0, 9, F32 (6, 9), F32 (11, 9)),
  PRODUCT ("distances/batch-33", 1, 33, F32 (2, 3, 7, 33), F32 (2, 3, 4, 33)),
  PRODUCT ("distances/shared-64", 0, 64, F32 (3, 20, 64), F32 (33, 64)),
  PRODUCT ("distances/far", 1, 16, FILLED (fill_far, 3, 8, 16), FILLED (fill_far, 3, 5, 16)),
  PRODUCT ("distances/one-row", 0, 12, F32 (9, 12), F32 (1, 12)),
};

/* Points against themselves, far from 0: rounding must leave nothing below zero, and the diagonal small. */
static void
test_never_negative (void)
{
  enum { N = 65, D = 24 };
  g_autoptr(GError) error = NULL;
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(FmVariables) variables = fm_variables_new (fm_op_test_cpu (2), 1);
  g_autoptr(FmProgram) p = NULL;
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (N, D));
  float data[N * D], y[N * N];
  FmRandom random;

  fm_graph_output (g, "y", fm_squared_distances (g, x, x));
  p = fm_program_new (g, fm_op_test_cpu (2), variables, &error);
  g_assert_no_error (error);
  fm_random_init (&random, 5, 6);
  for (int i = 0; i < N * D; i++)
    data[i] = (float) (30 + fm_random_normal (&random));
  fm_program_write (p, "x", data, sizeof data, &error);
  fm_program_run (p, &error);
  fm_program_read (p, "y", y, sizeof y, &error);
  g_assert_no_error (error);
  for (int i = 0; i < N * N; i++)
    {
      g_assert_cmpfloat (y[i], >=, 0);
      if (i % (N + 1) == 0)
        g_assert_cmpfloat (y[i], <=, 2e-5);
    }
}

/* --- Sinkhorn -----------------------------------------------------------------------------------------------------*/

enum { PLAN, LOG_PLAN };

/* n: what, iterations, which masses are given (1 rows, 2 columns). */
static FmTensor *
build_sinkhorn (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *y = fm_sinkhorn (g, x[0], n[2] & 1 ? x[1] : NULL, n[2] & 2 ? x[n[2] & 1 ? 2 : 1] : NULL, n[1]);

  return n[0] == PLAN ? fm_exp (g, y) : y;
}

/* By the definition: a matrix whose rows and columns are scaled in turn; the largest of a row is taken out first. */
static void
reference_sinkhorn (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  guint rank = x->shape.rank;
  gint64 rows = x->shape.dims[rank - 2], columns = x->shape.dims[rank - 1];
  g_autofree gdouble *a = g_new (gdouble, rows), *b = g_new (gdouble, columns);

  fm_op_array_init (y, x->shape);
  for (gint64 item = 0; item < x->n / (rows * columns); item++)
    {
      const gdouble *s = x->v + item * rows * columns;
      const FmOpArray *given_b = &x[n[2] & 1 ? 2 : 1];
      gdouble *p = y->v + item * rows * columns, total = 0;

      for (gint64 i = 0; n[2] & 1 && i < rows; i++)
        total += a[i] = x[1].v[item * rows + i];
      for (gint64 j = 0; n[2] & 2 && j < columns; j++)
        total += n[2] & 1 ? 0 : given_b->v[item * columns + j];
      if (n[2] == 0)
        total = rows;
      for (gint64 i = 0; !(n[2] & 1) && i < rows; i++)
        a[i] = total / rows;
      for (gint64 j = 0; j < columns; j++)
        b[j] = n[2] & 2 ? given_b->v[item * columns + j] : total / columns;
      memcpy (p, s, sizeof *p * rows * columns);
      for (gint64 step = 0; step < 2 * n[1]; step++)
        {
          gboolean down = step % 2;
          gint64 lines = down ? columns : rows, length = down ? rows : columns;

          for (gint64 l = 0; l < lines; l++)
            {
              gint64 stride = down ? columns : 1, first = down ? l : l * columns;
              gdouble most = -INFINITY, sum = 0, wanted = log (down ? b[l] : a[l]);

              for (gint64 k = 0; k < length; k++)
                most = fmax (most, p[first + k * stride]);
              for (gint64 k = 0; most > -INFINITY && k < length; k++)
                sum += exp (p[first + k * stride] - most);
              for (gint64 k = 0; most > -INFINITY && k < length; k++)
                p[first + k * stride] += wanted - most - log (sum);
            }
        }
      for (gint64 k = 0; n[0] == PLAN && k < rows * columns; k++)
        p[k] = exp (p[k]);
    }
}

/* Some pairs that must not be, never all of a line. */
static void
fill_forbidden (FmOpArray *x)
{
  gint64 columns = x->shape.dims[x->shape.rank - 1];

  for (gint64 i = 0; i < x->n; i++)
    if (i % 3 == 1 && i / columns % columns != i % columns)
      x->v[i] = -INFINITY;
}

/* The second row and the third column may pair with nothing. */
static void
fill_empty_lines (FmOpArray *x)
{
  gint64 columns = x->shape.dims[x->shape.rank - 1];

  for (gint64 i = 0; i < x->n; i++)
    if (i / columns == 1 || i % columns == 2)
      x->v[i] = -INFINITY;
}

static void
fill_sharp (FmOpArray *x)
{
  for (gint64 i = 0; i < x->n; i++)
    x->v[i] *= 100;
}

/* Masses of total 1; the last of a row is 0. */
static void
fill_mass_with_none (FmOpArray *x)
{
  gint64 c = x->shape.dims[x->shape.rank - 1];

  for (gint64 i = 0; i < x->n; i++)
    x->v[i] = i % c == c - 1 ? 0 : 1.0 / (c - 1);
}

#define MASS(...) { FM_F32, FM_SHAPE (__VA_ARGS__), 0.5, 1.5, TRUE }
#define SINKHORN(id, what, iterations, masses, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { what, iterations, masses }, .build = build_sinkhorn, \
    .reference = reference_sinkhorn, .atol = 3e-6, .rtol = 1e-5, .grad_atol = 5e-5, .grad_rtol = 1e-4, .grad_step = 1e-5, \
    .why = "potentials up to 10 are sums of logarithms, a rounding of 10 for each iteration at the worst" }

static const FmOpCase sinkhorns[] = {
  SINKHORN ("sinkhorn/square", PLAN, 8, 0, F32 (5, 5)),
  SINKHORN ("sinkhorn/logarithm", LOG_PLAN, 5, 0, F32 (2, 3, 4, 4)),
  SINKHORN ("sinkhorn/once", PLAN, 1, 0, F32 (3, 6)),
  SINKHORN ("sinkhorn/one", PLAN, 2, 0, F32 (1, 1)),
  SINKHORN ("sinkhorn/wide", PLAN, 20, 0, F32 (2, 4, 33)),
  SINKHORN ("sinkhorn/rows", PLAN, 6, 1, F32 (2, 5, 7), MASS (2, 5)),
  SINKHORN ("sinkhorn/columns", PLAN, 6, 2, F32 (5, 7), MASS (7)),
  SINKHORN ("sinkhorn/both", PLAN, 6, 3, F32 (2, 5, 7), MASS (2, 5), MASS (2, 7)),
  SINKHORN ("sinkhorn/forbidden", PLAN, 6, 0, FILLED (fill_forbidden, 6, 6)),
  SINKHORN ("sinkhorn/empty-lines", PLAN, 4, 0, FILLED (fill_empty_lines, 5, 5)),
  SINKHORN ("sinkhorn/no-mass", PLAN, 4, 3, F32 (4, 5), GIVEN (fill_mass_with_none, 4), GIVEN (fill_mass_with_none, 5)),
  { .name = "sinkhorn/sharp", .quick = TRUE, .in = { GIVEN (fill_sharp, 8, 8) }, .n = { PLAN, 30, 0 },
    .build = build_sinkhorn, .reference = reference_sinkhorn, .atol = 3e-4, .rtol = 1e-3,
    .why = "scores up to 300 carry 2e-5 each, and an exponential makes that relative; 30 iterations" },
};

/* --- Pseudo-inverse -----------------------------------------------------------------------------------------------*/

enum { ITERATE, PENROSE };

static FmTensor *
build_inverse (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *z = fm_pseudo_inverse (g, x[0], n[1]);

  return n[0] == ITERATE ? z : fm_matmul (g, fm_matmul (g, x[0], z, 0), x[0], 0);
}

static void
times (const gdouble *a, const gdouble *b, gdouble *c, gint64 n, gint64 k, gint64 m)
{
  for (gint64 i = 0; i < n; i++)
    for (gint64 j = 0; j < m; j++)
      {
        c[i * m + j] = 0;
        for (gint64 l = 0; l < k; l++)
          c[i * m + j] += a[i * k + l] * b[l * m + j];
      }
}

/* The iteration as it is written; of a converged one, A Z A is A. */
static void
reference_inverse (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  guint rank = x->shape.rank;
  gint64 rows = x->shape.dims[rank - 2], columns = x->shape.dims[rank - 1], each = rows * columns;
  g_autofree gdouble *az = g_new (gdouble, rows * rows), *power = g_new (gdouble, rows * rows);
  g_autofree gdouble *q = g_new (gdouble, rows * rows), *next = g_new (gdouble, each);
  FmShape shape = x->shape;

  if (n[0] == PENROSE)
    {
      fm_op_array_init (y, shape);
      memcpy (y->v, x->v, sizeof *y->v * x->n);
      return;
    }
  shape.dims[rank - 2] = columns;
  shape.dims[rank - 1] = rows;
  fm_op_array_init (y, shape);
  for (gint64 item = 0; item < x->n / each; item++)
    {
      const gdouble *a = x->v + item * each;
      gdouble *z = y->v + item * each, row_most = 0, column_most = 0;

      for (gint64 i = 0; i < rows; i++)
        {
          gdouble sum = 0;

          for (gint64 j = 0; j < columns; j++)
            sum += fabs (a[i * columns + j]);
          row_most = fmax (row_most, sum);
        }
      for (gint64 j = 0; j < columns; j++)
        {
          gdouble sum = 0;

          for (gint64 i = 0; i < rows; i++)
            sum += fabs (a[i * columns + j]);
          column_most = fmax (column_most, sum);
        }
      for (gint64 i = 0; i < rows; i++)
        for (gint64 j = 0; j < columns; j++)
          z[j * rows + i] = row_most > 0 ? a[i * columns + j] / (row_most * column_most) : 0;
      for (gint64 step = 0; step < n[1]; step++)
        {
          /* 13 Z - 15 Z AZ + 7 Z (AZ)^2 - Z (AZ)^3, over 4 */
          const gdouble c[] = { 13, -15, 7, -1 };

          times (a, z, az, rows, columns, rows);
          for (gint64 i = 0; i < rows * rows; i++)
            {
              power[i] = i % (rows + 1) == 0;
              q[i] = c[0] / 4 * power[i];
            }
          for (int k = 1; k < 4; k++)
            {
              g_autofree gdouble *product = g_new (gdouble, rows * rows);

              times (power, az, product, rows, rows, rows);
              memcpy (power, product, sizeof *power * rows * rows);
              for (gint64 i = 0; i < rows * rows; i++)
                q[i] += c[k] / 4 * power[i];
            }
          times (z, q, next, columns, rows, rows);
          memcpy (z, next, sizeof *z * each);
        }
    }
}

/* Rows that sum to 1, heaviest on the diagonal: a softmax map of landmarks with themselves. */
static void
fill_map (FmOpArray *x)
{
  gint64 c = x->shape.dims[x->shape.rank - 1];

  for (gint64 r = 0; r < x->n / c; r++)
    {
      gdouble sum = 0;

      for (gint64 i = 0; i < c; i++)
        sum += x->v[r * c + i] = exp (x->v[r * c + i] / 3 + (r % c == i ? 3 : 0));
      for (gint64 i = 0; i < c; i++)
        x->v[r * c + i] /= sum;
    }
}

/* Of rank one less: the last row is the sum of the first two. */
static void
fill_dependent (FmOpArray *x)
{
  gint64 c = x->shape.dims[x->shape.rank - 1];

  for (gint64 i = 0; i < c; i++)
    x->v[x->n - c + i] = (float) x->v[i] + (float) x->v[c + i];
}

static void
fill_zeros (FmOpArray *x)
{
  for (gint64 i = 0; i < x->n; i++)
    x->v[i] = 0;
}

#define INVERSE(id, what, iterations, tolerance, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { what, iterations }, .build = build_inverse, \
    .reference = reference_inverse, .atol = tolerance, .rtol = tolerance, .grad_atol = 20 * tolerance, \
    .grad_rtol = 20 * tolerance, .grad_step = 1e-6, .why = "roundings of products of order 10, times the condition number" }

static const FmOpCase inverses[] = {
  INVERSE ("pseudo-inverse/once", ITERATE, 1, 5e-6, F32 (3, 3)),
  INVERSE ("pseudo-inverse/map", ITERATE, 6, 5e-5, FILLED (fill_map, 2, 5, 5)),
  INVERSE ("pseudo-inverse/tall", ITERATE, 6, 5e-5, F32 (2, 6, 3)),
  INVERSE ("pseudo-inverse/wide", ITERATE, 6, 5e-5, F32 (3, 7)),
  INVERSE ("pseudo-inverse/number", ITERATE, 8, 5e-6, F32 (4, 1, 1)),
  INVERSE ("pseudo-inverse/map-inverts", PENROSE, 8, 2e-5, GIVEN (fill_map, 3, 16, 16)),
  INVERSE ("pseudo-inverse/tall-inverts", PENROSE, 16, 5e-5, GIVEN (NULL, 9, 4)),
  INVERSE ("pseudo-inverse/dependent-inverts", PENROSE, 14, 2e-4, GIVEN (fill_dependent, 4, 7)),
  INVERSE ("pseudo-inverse/zeros", ITERATE, 6, 1e-12, GIVEN (fill_zeros, 3, 4)),
};

/* --- Landmark softmax ---------------------------------------------------------------------------------------------*/

/* n: keys of a block. */
static FmTensor *
build_landmark (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_landmark_softmax (g, x[0], f[0], n[0]);
}

/* As the paper defines it: a group for each key as the query sees it, a softmax within groups (its own maximum first), and
 * weights that are products with the landmark's. Groups: the landmark's place for keys of other blocks; -1 for keys of the
 * own block and for landmarks; -2 for the own landmark, which nobody sees. */
static void
reference_landmark (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 nq = x->shape.dims[x->shape.rank - 2], nk = x->shape.dims[x->shape.rank - 1], block = n[0];
  g_autofree gint64 *group = g_new (gint64, nk);
  g_autofree gdouble *soft = g_new (gdouble, nk);

  fm_op_array_init (y, x->shape);
  for (gint64 r = 0; r < x->n / nk; r++)
    {
      const gdouble *s = x->v + r * nk;
      gdouble *out = y->v + r * nk;
      gint64 i = r % nq + nk - nq;

      for (gint64 j = 0; j <= i; j++)
        {
          gboolean landmark = j % block == block - 1, own = j / block == i / block;

          group[j] = landmark && own ? -2 : landmark || own ? -1 : j / block * block + block - 1;
        }
      for (gint64 j = 0; j <= i; j++)
        {
          gdouble most = -INFINITY, sum = 0;

          for (gint64 k = 0; k <= i; k++)
            if (group[k] == group[j])
              most = fmax (most, f[0] * s[k]);
          for (gint64 k = 0; k <= i; k++)
            if (group[k] == group[j] && most > -INFINITY)
              sum += exp (f[0] * s[k] - most);
          soft[j] = most > -INFINITY ? exp (f[0] * s[j] - most) / sum : 0;
        }
      for (gint64 j = 0; j <= i; j++)
        if (j % block == block - 1)
          out[j] = 0;
        else
          out[j] = group[j] == -1 ? soft[j] : soft[j] * soft[group[j]];
    }
}

/* A key in each block and the second landmark of four that nobody may see. */
static void
fill_padding (FmOpArray *x)
{
  gint64 nk = x->shape.dims[x->shape.rank - 1];

  for (gint64 i = 0; i < x->n; i++)
    if (i % nk % 4 == 2 || i % nk == 7)
      x->v[i] = -INFINITY;
}

#define LANDMARK(id, block, scale, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { block }, .f = { scale }, .build = build_landmark, \
    .reference = reference_landmark, .atol = 1e-6, .rtol = 3e-6, .grad_atol = 1e-5, .grad_rtol = 1e-5, .grad_step = 1e-5, \
    .grad_samples = 40, .why = "an exponential of logarithms up to 10" }

static const FmOpCase landmarks[] = {
  LANDMARK ("landmark/whole-blocks", 4, 1, F32 (12, 12)),
  LANDMARK ("landmark/unfinished", 4, 0.5, F32 (2, 3, 14, 14)),
  LANDMARK ("landmark/later-queries", 3, 1, F32 (2, 5, 17)),
  LANDMARK ("landmark/smallest", 2, 1, F32 (9, 9)),
  LANDMARK ("landmark/one-block", 50, 1, F32 (6, 6)),
  LANDMARK ("landmark/one", 2, 1, F32 (1, 1)),
  LANDMARK ("landmark/padding", 4, 0.7, FILLED (fill_padding, 15, 15)),
};

/* --- Sampled softmax ----------------------------------------------------------------------------------------------*/

static FmTensor *
build_sampled (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_sampled_softmax (g, x[0], x[1], x[2], x[3], n[0] ? x[4] : NULL, n[0] ? x[5] : NULL);
}

static void
reference_sampled (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 t = x[1].shape.dims[0], s = x[1].shape.dims[1];

  fm_op_array_init (y, FM_SHAPE (t));
  for (gint64 i = 0; i < t; i++)
    {
      gdouble own = x[0].v[i] - (n[0] ? x[4].v[i] : 0), sum = 1;

      for (gint64 j = 0; j < s; j++)
        if (x[3].v[j] != x[2].v[i])
          sum += exp (x[1].v[i * s + j] - (n[0] ? x[5].v[j] : 0) - own);
      y->v[i] = x[2].v[i] < 0 ? 0 : log (sum);
    }
}

/* The full cross-entropy as one whose samples are all of the classes: x: logits [T,C], target [T]. */
static FmTensor *
build_all_classes (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  gint64 t = fm_tensor_get_dim (x[0], 0), c = fm_tensor_get_dim (x[0], 1);
  FmTensor *own = fm_gather (g, fm_reshape (g, x[0], FM_SHAPE (t, c, 1)), 1, fm_reshape (g, x[1], FM_SHAPE (t, 1)));

  return fm_sampled_softmax (g, fm_reshape (g, own, FM_SHAPE (t)), x[0], x[1], fm_iota (g, c), NULL, NULL);
}

static void
reference_all_classes (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 t = x->shape.dims[0], c = x->shape.dims[1];

  fm_op_array_init (y, FM_SHAPE (t));
  for (gint64 i = 0; i < t; i++)
    {
      for (gint64 j = 0; j < c; j++)
        y->v[i] += exp (x[0].v[i * c + j] - x[0].v[i * c + (gint64) x[1].v[i]]);
      y->v[i] = log (y->v[i]);
    }
}

#define SAMPLED(id, reference_, build_, with_q, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { with_q }, .build = build_, .reference = reference_, \
    .atol = 2e-6, .rtol = 2e-6, .grad_atol = 1e-5, .grad_rtol = 1e-5, .why = "a chain of six roundings of numbers up to 10" }

static const FmOpCase samples[] = {
  SAMPLED ("sampled-softmax/plain", reference_sampled, build_sampled, 0, F32 (9), F32 (9, 6), INDEX (-1, 7, 9),
           INDEX (0, 7, 6)),
  SAMPLED ("sampled-softmax/log-q", reference_sampled, build_sampled, 1, F32 (12), F32 (12, 17), INDEX (-1, 20, 12),
           INDEX (0, 20, 17), F32 (12), F32 (17)),
  SAMPLED ("sampled-softmax/all-hits", reference_sampled, build_sampled, 0, F32 (3), F32 (3, 4), INDEX (2, 2, 3),
           INDEX (2, 2, 4)),
  SAMPLED ("sampled-softmax/all-classes", reference_all_classes, build_all_classes, 0, F32 (7, 10), INDEX (0, 9, 7)),
};

/* --- Random features ----------------------------------------------------------------------------------------------*/

static FmTensor *
build_features (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_positive_features (g, x[0], x[1], f[0], n[0] != 0);
}

/* @x of @rows rows that share c with @keys, else each its own. */
static void
features_of (const gdouble *x, const gdouble *w, gint64 rows, gint64 m, gint64 d, gdouble scale, gboolean keys, gdouble *y)
{
  gdouble most = -INFINITY;

  for (gint64 r = 0; r < rows; r++)
    for (gint64 k = 0; k < m; k++)
      {
        y[r * m + k] = 0;
        for (gint64 i = 0; i < d; i++)
          y[r * m + k] += w[k * d + i] * x[r * d + i] * sqrt (scale) - scale * x[r * d + i] * x[r * d + i] / 2;
        most = fmax (most, y[r * m + k]);
      }
  for (gint64 r = 0; r < rows; r++)
    {
      gdouble own = -INFINITY;

      for (gint64 k = 0; k < m; k++)
        own = fmax (own, y[r * m + k]);
      for (gint64 k = 0; k < m; k++)
        y[r * m + k] = (exp (y[r * m + k] - (keys ? most : own)) + 1e-6) / sqrt (m);
    }
}

static void
reference_features (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  guint rank = x->shape.rank;
  gint64 rows = x->shape.dims[rank - 2], d = x->shape.dims[rank - 1], m = x[1].shape.dims[0];
  FmShape shape = x->shape;

  shape.dims[rank - 1] = m;
  fm_op_array_init (y, shape);
  for (gint64 item = 0; item < x->n / (rows * d); item++)
    features_of (x->v + item * rows * d, x[1].v, rows, m, d, f[0], n[0] != 0, y->v + item * rows * m);
}

/* x: q, k [1,1,N,d], v, projection. */
static FmTensor *
build_performer (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_linear_attention (g, fm_positive_features (g, x[0], x[3], f[0], FALSE),
                              fm_positive_features (g, x[1], x[3], f[0], TRUE), x[2], FM_FEATURE_NONE, 0.0, n[0] != 0, NULL);
}

static void
reference_performer (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 len = x->shape.dims[2], d = x->shape.dims[3], dv = x[2].shape.dims[3], m = x[3].shape.dims[0];
  g_autofree gdouble *q = g_new (gdouble, len * m), *k = g_new (gdouble, len * m);

  features_of (x[0].v, x[3].v, len, m, d, f[0], FALSE, q);
  features_of (x[1].v, x[3].v, len, m, d, f[0], TRUE, k);
  fm_op_array_init (y, FM_SHAPE (1, 1, len, dv));
  for (gint64 i = 0; i < len; i++)
    {
      gdouble norm = 0;

      for (gint64 j = 0; j < (n[0] ? i + 1 : len); j++)
        {
          gdouble w = 0;

          for (gint64 c = 0; c < m; c++)
            w += q[i * m + c] * k[j * m + c];
          norm += w;
          for (gint64 c = 0; c < dv; c++)
            y->v[i * dv + c] += w * x[2].v[j * dv + c];
        }
      for (gint64 c = 0; c < dv; c++)
        y->v[i * dv + c] /= norm;
    }
}

#define FEATURES(id, build_, reference_, flag, scale, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { flag }, .f = { scale }, .build = build_, \
    .reference = reference_, .atol = 3e-6, .rtol = 5e-6, .grad_atol = 3e-5, .grad_rtol = 5e-5, \
    .why = "exponentials of sums up to 20, whose roundings become relative" }

static const FmOpCase features[] = {
  FEATURES ("features/queries", build_features, reference_features, 0, 0.5, F32 (2, 7, 4), F32 (9, 4)),
  FEATURES ("features/keys", build_features, reference_features, 1, 0.5, F32 (2, 3, 7, 5), F32 (16, 5)),
  FEATURES ("features/attention", build_performer, reference_performer, 0, 0.5, F32 (1, 1, 7, 4), F32 (1, 1, 7, 4),
            F32 (1, 1, 7, 3), F32 (8, 4)),
  FEATURES ("features/causal", build_performer, reference_performer, 1, 0.3, F32 (1, 1, 11, 4), F32 (1, 1, 11, 4),
            F32 (1, 1, 11, 5), F32 (8, 4)),
};

enum { M = 21, D = 8, DRAWS = 3, EVERY = 4 };

/* The projection that a program has at @step. */
static void
projection_at (FmDevice *device, gint64 every, gint32 step, float *out)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(FmVariables) variables = fm_variables_new (device, 11);
  g_autoptr(FmProgram) p = NULL;

  fm_graph_output (g, "w", fm_contiguous (g, fm_orthogonal_features (g, "w", M, D, DRAWS, every)));
  p = fm_program_new (g, device, variables, &error);
  g_assert_no_error (error);
  g_assert_true (fm_program_has_input (p, "@step") == (every > 0));
  if (every > 0)
    fm_program_write (p, "@step", &step, sizeof step, &error);
  fm_program_run (p, &error);
  fm_program_read (p, "w", out, M * D * sizeof *out, &error);
  g_assert_no_error (error);
}

static gdouble
dot (const float *a, const float *b)
{
  gdouble sum = 0;

  for (int i = 0; i < D; i++)
    sum += (gdouble) a[i] * b[i];
  return sum;
}

static void
test_projection (void)
{
  float w[M * D], first[M * D], other[M * D];
  gdouble squares = 0;

  projection_at (fm_op_test_cpu (2), 0, 0, first);
  for (int k = 0; k < DRAWS; k++)
    {
      projection_at (fm_op_test_cpu (2), EVERY, k * EVERY, w);
      for (int i = 0; i < M; i++)
        {
          squares += dot (w + i * D, w + i * D) / (M * DRAWS);
          for (int j = i / D * D; j < i; j++) /* groups begin anew in each draw */
            g_assert_cmpfloat_with_epsilon (dot (w + i * D, w + j * D), 0, 2e-7 * 30);
        }
      projection_at (fm_op_test_cpu (2), EVERY, k * EVERY + EVERY - 1, other);
      g_assert_cmpmem (w, sizeof w, other, sizeof w);
      projection_at (fm_op_test_cpu (1), EVERY, (k + DRAWS * 5) * EVERY, other);
      g_assert_cmpmem (w, sizeof w, other, sizeof w);
      g_assert_true ((memcmp (w, first, sizeof w) == 0) == (k == 0));
    }
  /* Squared lengths have mean d and variance 2 d: four standard errors of the mean over all draws. */
  g_assert_cmpfloat_with_epsilon (squares, D, 4 * sqrt (2.0 * D / (M * DRAWS)));
}

static void
test_projection_vulkan (void)
{
  FmDevice *device = fm_op_test_vulkan ();
  float ours[M * D], theirs[M * D];

  for (gint32 step = 1; device && step < 4 * EVERY; step += 3)
    {
      projection_at (fm_op_test_cpu (2), EVERY, step, ours);
      projection_at (device, EVERY, step, theirs);
      g_assert_cmpmem (ours, sizeof ours, theirs, sizeof theirs);
    }
}

/* Features of m rows estimate softmax attention, better with more of them. */
static void
test_approximates (void)
{
  enum { N = 24 };
  gdouble error_of[2] = { 0 };

  for (int large = 0; large < 2; large++)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(FmGraph) g = fm_graph_new ();
      g_autoptr(FmVariables) variables = fm_variables_new (fm_op_test_cpu (2), 3);
      g_autoptr(FmProgram) p = NULL;
      FmTensor *x[3], *w = fm_orthogonal_features (g, "w", large ? 1024 : 32, D, 1, 0), *y;
      float data[N * D], difference;
      FmRandom random;

      for (int k = 0; k < 3; k++)
        x[k] = fm_graph_input (g, (const char *[]){ "q", "k", "v" }[k], FM_F32, FM_SHAPE (1, 1, N, D));
      y = fm_linear_attention (g, fm_positive_features (g, x[0], w, 0.35, FALSE), fm_positive_features (g, x[1], w, 0.35, TRUE),
                               x[2], FM_FEATURE_NONE, 0.0, FALSE, NULL);
      fm_graph_output (g, "error", fm_mse (g, y, fm_attention_core (g, x[0], x[1], x[2], 0.35, NULL)));
      p = fm_program_new (g, fm_op_test_cpu (2), variables, &error);
      g_assert_no_error (error);
      fm_random_init (&random, 1, 2);
      for (int k = 0; k < 3; k++)
        {
          for (int i = 0; i < N * D; i++)
            data[i] = (float) (fm_random_normal (&random) * (k < 2 ? 0.4 : 1));
          fm_program_write (p, (const char *[]){ "q", "k", "v" }[k], data, sizeof data, &error);
        }
      fm_program_run (p, &error);
      fm_program_read (p, "error", &difference, sizeof difference, &error);
      g_assert_no_error (error);
      error_of[large] = sqrt (difference);
    }
  g_test_message ("error of attention by 32 features %g, by 1024 %g", error_of[0], error_of[1]);
  g_assert_cmpfloat (error_of[0], <, 0.2);
  g_assert_cmpfloat (error_of[1], <, error_of[0] / 3);
}

/* --- Refusals -----------------------------------------------------------------------------------------------------*/

static void
refuses (FmGraph *g, const char *word)
{
  g_assert_nonnull (fm_graph_get_error (g));
  if (strstr (fm_graph_get_error (g)->message, word) == NULL)
    g_error ("“%s” does not say “%s”", fm_graph_get_error (g)->message, word);
  fm_graph_free (g);
}

#define REFUSES(word, call) \
  do \
    { \
      FmGraph *g = fm_graph_new (); \
      FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (4, 10)), *i = fm_graph_input (g, "i", FM_I32, FM_SHAPE (4)); \
\
      (void) i; \
      (void) x; \
      call; \
      refuses (g, word); \
    } \
  while (0)

static void
test_refusals (void)
{
  REFUSES ("[..,M,D]", fm_squared_distances (g, x, fm_slice (g, x, 1, 0, 9)));
  REFUSES ("4096", fm_sinkhorn (g, x, NULL, NULL, 5000));
  REFUSES ("masses", fm_sinkhorn (g, x, fm_slice (g, x, 1, 0, 3), NULL, 5));
  REFUSES ("iterations", fm_pseudo_inverse (g, x, 0));
  REFUSES ("blocks of 2", fm_landmark_softmax (g, x, 1.0, 1));
  REFUSES ("queries", fm_landmark_softmax (g, fm_transpose (g, x, 0, 1), 1.0, 4));
  REFUSES ("[T,S]", fm_sampled_softmax (g, i, x, i, i, NULL, NULL));
  REFUSES ("scale", fm_positive_features (g, x, x, 0.0, FALSE));
  REFUSES ("draws", fm_orthogonal_features (g, "w", 4, 4, 0, 1));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fm_op_test_add ("pairs", distances, G_N_ELEMENTS (distances));
  fm_op_test_add ("pairs", sinkhorns, G_N_ELEMENTS (sinkhorns));
  fm_op_test_add ("pairs", inverses, G_N_ELEMENTS (inverses));
  fm_op_test_add ("pairs", landmarks, G_N_ELEMENTS (landmarks));
  fm_op_test_add ("pairs", samples, G_N_ELEMENTS (samples));
  fm_op_test_add ("pairs", features, G_N_ELEMENTS (features));
  g_test_add_func ("/compute/pairs/distances/never-negative", test_never_negative);
  g_test_add_func ("/compute/pairs/features/projection", test_projection);
  g_test_add_func ("/compute/pairs/features/approximates", test_approximates);
  if (!g_test_quick ())
    g_test_add_func ("/compute/pairs/features/projection-vulkan", test_projection_vulkan);
  g_test_add_func ("/compute/pairs/refusals", test_refusals);
  return g_test_run ();
}
