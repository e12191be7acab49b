/* test-random.c: draws against their exact quantiles, the same bits at every level, thread count and backend, and what
 * is made of them. */
#include "op-test.h"

#include <math.h>
#include <string.h>

enum { N = 40001 }; /* no multiple of the four lanes of a block */

typedef FmTensor *(*Draw) (FmGraph *g, const char *name, FmShape shape);

/* Quantile of the normal distribution by bisection; slow and without a formula of its own. */
static gdouble
normal_quantile (gdouble p)
{
  gdouble low = -10, high = 10;

  for (int i = 0; i < 80; i++)
    {
      gdouble middle = (low + high) / 2;

      if (0.5 * erfc (-middle / sqrt (2)) < p)
        low = middle;
      else
        high = middle;
    }
  return low;
}

/* The word behind element i of a draw called NAME at the top scope. */
static guint32
word_of (const char *name, gint64 i, const gint32 *seed, gint32 step)
{
  g_autofree char *path = g_strdup_printf (".%s#0", name);
  guint64 key = fm_hash (path) ^ ((guint64) (guint32) seed[1] << 32 | (guint32) seed[0]);
  guint32 bits[4];

  fm_philox (key, i / 4, step, bits);
  return bits[i % 4];
}

static void
run (FmDevice *device, Draw draw, float *out)
{
  const gint32 seed[] = { 12345, -7 }, step = 3;
  g_autoptr(GError) error = NULL;
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(FmVariables) variables = fm_variables_new (device, 1);
  g_autoptr(FmProgram) p = NULL;

  fm_graph_output (g, "y", draw (g, "noise", FM_SHAPE (N)));
  p = fm_program_new (g, device, variables, &error);
  g_assert_no_error (error);
  fm_program_write (p, "@seed", seed, sizeof seed, &error);
  fm_program_write (p, "@step", &step, sizeof step, &error);
  fm_program_run (p, &error);
  fm_program_read (p, "y", out, N * sizeof *out, &error);
  g_assert_no_error (error);
}

static void
check (Draw draw, gboolean normal)
{
  static const int levels[] = { 1, 3, 4 };
  const gint32 seed[] = { 12345, -7 };
  g_autofree float *y = g_new (float, N), *other = g_new (float, N);
  gdouble sum = 0, square = 0, variance = normal ? 1 : G_PI * G_PI / 6, mean = normal ? 0 : 0.5772156649015329;
  int best = fm_op_test_level ();

  run (fm_op_test_cpu (2), draw, y);
  for (gint64 i = 0; i < N; i++)
    {
      guint32 word = word_of ("noise", i, seed, 3);
      gdouble p = (word + 0.5) / 4294967296.0, rest = (4294967295u - word + 0.5) / 4294967296.0, want;

      if (normal)
        want = p < 0.5 ? normal_quantile (p) : -normal_quantile (rest);
      else
        want = p < 0.5 ? -log (-log (p)) : -log (-log1p (-rest));
      if (fabs (y[i] - want) > 3e-7 + 1.3e-7 * fabs (want))
        g_error ("element %" G_GINT64_FORMAT " is %.9g, not %.9g", i, y[i], want);
      sum += y[i];
      square += y[i] * y[i];
    }
  /* Four standard errors. */
  g_assert_cmpfloat_with_epsilon (sum / N, mean, 4 * sqrt (variance / N));
  g_assert_cmpfloat_with_epsilon (square / N - sum / N * (sum / N), variance, 4 * (normal ? 1.5 : 4.5) / sqrt (N));
  for (guint l = 0; l < G_N_ELEMENTS (levels); l++)
    if (levels[l] <= best)
      {
        fm_cpu_level = levels[l];
        run (fm_op_test_cpu (1), draw, other);
        g_assert_cmpmem (y, N * sizeof *y, other, N * sizeof *y);
      }
  fm_cpu_level = best;
}

static void
check_vulkan (Draw draw)
{
  g_autofree float *y = g_new (float, N), *other = g_new (float, N);
  FmDevice *device = fm_op_test_vulkan ();

  if (device == NULL)
    return;
  run (fm_op_test_cpu (2), draw, y);
  run (device, draw, other);
  g_assert_cmpmem (y, N * sizeof *y, other, N * sizeof *y);
}

static void
test_normal (void)
{
  check (fm_normal, TRUE);
}

static void
test_gumbel (void)
{
  check (fm_gumbel, FALSE);
}

/* --- Indices ------------------------------------------------------------------------------------------------------*/

static gint64 index_n;
static gboolean index_log;

static FmTensor *
index_as_float (FmGraph *g, const char *name, FmShape shape)
{
  return fm_cast (g, fm_random_index (g, name, shape, index_n, index_log), FM_F32);
}

/* Each index against the exact one of its word; a border may fall to the other side where it is that near. Shares of the
 * first against their probability; and the logarithms of all probabilities. */
static void
check_indices (gint64 n, gboolean log_uniform)
{
  static const int levels[] = { 1, 3, 4 };
  const gint32 seed[] = { 12345, -7 };
  g_autofree float *y = g_new (float, N), *other = g_new (float, N);
  gdouble first = 0, share = log_uniform ? log (2) / log (n + 1) : 1.0 / n;
  int best = fm_op_test_level ();

  index_n = n;
  index_log = log_uniform;
  run (fm_op_test_cpu (2), index_as_float, y);
  for (gint64 i = 0; i < N; i++)
    {
      gdouble u = word_of ("noise", i, seed, 3) / 4294967296.0, real = log_uniform ? pow (n + 1, u) - 1 : u * n;
      gdouble near = log_uniform ? 1e-7 * (real + 1) : 0;

      if (!(y[i] >= 0 && y[i] < n && y[i] >= floor (real - near) && y[i] <= floor (real + near)))
        g_error ("index %g of %" G_GINT64_FORMAT ", not %g", y[i], n, real);
      first += y[i] == 0;
    }
  g_assert_cmpfloat_with_epsilon (first / N, share, 4 * sqrt (share * (1 - share) / N) + 1e-12);
  for (guint l = 0; l < G_N_ELEMENTS (levels); l++)
    if (levels[l] <= best)
      {
        fm_cpu_level = levels[l];
        run (fm_op_test_cpu (1), index_as_float, other);
        g_assert_cmpmem (y, N * sizeof *y, other, N * sizeof *y);
      }
  fm_cpu_level = best;
}

static void
test_indices (void)
{
  const gint64 sizes[] = { 1, 2, 10, 255, 256, 5000, 1000003, 1 << 24 };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    for (int law = 0; law < 2; law++)
      check_indices (sizes[i], law);
}

static void
test_log_p (void)
{
  enum { CLASSES = 1000 };
  g_autoptr(GError) error = NULL;
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(FmVariables) variables = fm_variables_new (fm_op_test_cpu (2), 1);
  g_autoptr(FmProgram) program = NULL;
  FmTensor *index = fm_graph_input (g, "index", FM_I32, FM_SHAPE (CLASSES + 2));
  gint32 data[CLASSES + 2];
  float p[CLASSES + 2], flat[CLASSES + 2];

  fm_graph_output (g, "p", fm_random_index_log_p (g, index, CLASSES, TRUE));
  fm_graph_output (g, "flat", fm_contiguous (g, fm_random_index_log_p (g, index, CLASSES, FALSE)));
  program = fm_program_new (g, fm_op_test_cpu (2), variables, &error);
  g_assert_no_error (error);
  for (int i = 0; i < CLASSES + 2; i++)
    data[i] = i - 1;
  if (fm_program_has_input (program, "index"))
    fm_program_write (program, "index", data, sizeof data, &error);
  fm_program_run (program, &error);
  fm_program_read (program, "p", p, sizeof p, &error);
  fm_program_read (program, "flat", flat, sizeof flat, &error);
  g_assert_no_error (error);
  for (int i = 0; i < CLASSES + 2; i++)
    {
      int k = CLAMP (data[i], 0, CLASSES - 1);

      g_assert_cmpfloat_with_epsilon (p[i], log (log ((k + 2.0) / (k + 1)) / log (CLASSES + 1.0)), 3e-6);
      g_assert_cmpfloat_with_epsilon (flat[i], -log (CLASSES), 1e-6);
    }
}

static FmTensor *
dropped_ones (FmGraph *g, const char *name, FmShape shape)
{
  return fm_dropout (g, name, fm_constant (g, FM_F32, shape, 1.0), 0.3);
}

/* Each element by the word behind it. */
static void
test_dropout (void)
{
  const gint32 seed[] = { 12345, -7 };
  g_autofree float *y = g_new (float, N);

  run (fm_op_test_cpu (2), dropped_ones, y);
  for (gint64 i = 0; i < N; i++)
    {
      gdouble u = (word_of ("noise", i, seed, 3) >> 8) / 16777216.0;

      g_assert_cmpfloat (y[i], ==, u >= 0.3f ? 1.0f / (1.0f - 0.3f) : 0.0f);
    }
}

static void
test_vulkan (void)
{
  check_vulkan (fm_uniform);
  check_vulkan (fm_normal);
  check_vulkan (fm_gumbel);
  check_vulkan (dropped_ones);
  for (index_log = 0; index_log < 2; index_log++)
    {
      index_n = 5000;
      check_vulkan (index_as_float);
      index_n = 1 << 24;
      check_vulkan (index_as_float);
    }
}

/* Shares of ones near their probabilities, and branches dropped whole or not at all. */
static void
test_masks (void)
{
  const gint32 seed[] = { 1, 2 }, step = 1;
  g_autoptr(GError) error = NULL;
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(FmVariables) variables = fm_variables_new (fm_op_test_cpu (2), 1);
  g_autoptr(FmProgram) program = NULL;
  FmTensor *p = fm_graph_input (g, "p", FM_F32, FM_SHAPE (4, 10000));
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (400, 3, 5));
  g_autofree float *data = g_new (float, 40000), *ones = g_new (float, 40000);
  guint dropped = 0;

  fm_graph_output (g, "ones", fm_bernoulli (g, "coin", p));
  fm_graph_output (g, "branch", fm_stochastic_depth (g, "depth", x, 0.25));
  program = fm_program_new (g, fm_op_test_cpu (2), variables, &error);
  g_assert_no_error (error);
  for (int i = 0; i < 40000; i++)
    data[i] = (const float[]){ 0, 0.1f, 0.7f, 1 }[i / 10000];
  fm_program_write (program, "p", data, 40000 * sizeof *data, &error);
  for (int i = 0; i < 6000; i++)
    data[i] = i + 1;
  fm_program_write (program, "x", data, 6000 * sizeof *data, &error);
  fm_program_write (program, "@seed", seed, sizeof seed, &error);
  fm_program_write (program, "@step", &step, sizeof step, &error);
  fm_program_run (program, &error);
  fm_program_read (program, "ones", ones, 40000 * sizeof *ones, &error);
  fm_program_read (program, "branch", data, 6000 * sizeof *data, &error);
  g_assert_no_error (error);
  for (int row = 0; row < 4; row++)
    {
      gdouble share = 0, want = (const gdouble[]){ 0, 0.1, 0.7, 1 }[row];

      for (int i = 0; i < 10000; i++)
        {
          g_assert_true (ones[row * 10000 + i] == 0 || ones[row * 10000 + i] == 1);
          share += ones[row * 10000 + i] / 10000;
        }
      g_assert_cmpfloat_with_epsilon (share, want, 4 * sqrt (want * (1 - want) / 10000) + 1e-6);
    }
  for (int b = 0; b < 400; b++)
    {
      gboolean gone = data[b * 15] == 0;

      dropped += gone;
      for (int i = b * 15; i < (b + 1) * 15; i++)
        g_assert_cmpfloat_with_epsilon (data[i], gone ? 0 : (i + 1) / 0.75, 1e-3);
    }
  g_assert_cmpuint (dropped, >, 65);
  g_assert_cmpuint (dropped, <, 135);
}

enum { ROWS = 300, LENGTH = 37 };

static void
permutations (FmDevice *device, gint32 *out)
{
  const gint32 seed[] = { 8, 9 }, step = 1;
  g_autoptr(GError) error = NULL;
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(FmVariables) variables = fm_variables_new (device, 1);
  g_autoptr(FmProgram) p = NULL;

  fm_graph_output (g, "order", fm_permutation (g, "order", FM_SHAPE (ROWS, LENGTH)));
  p = fm_program_new (g, device, variables, &error);
  g_assert_no_error (error);
  fm_program_write (p, "@seed", seed, sizeof seed, &error);
  fm_program_write (p, "@step", &step, sizeof step, &error);
  fm_program_run (p, &error);
  fm_program_read (p, "order", out, ROWS * LENGTH * sizeof *out, &error);
  g_assert_no_error (error);
}

/* Every number once a row, and as often at one place as at another: chi-square of the first place, 36 degrees. */
static void
test_permutation (void)
{
  g_autofree gint32 *order = g_new (gint32, ROWS * LENGTH), *other = g_new (gint32, ROWS * LENGTH);
  guint first[LENGTH] = { 0 };
  gdouble chi = 0;

  permutations (fm_op_test_cpu (2), order);
  for (int r = 0; r < ROWS; r++)
    {
      gboolean seen[LENGTH] = { FALSE };

      for (int i = 0; i < LENGTH; i++)
        {
          gint32 at = order[r * LENGTH + i];

          g_assert_cmpint (at, >=, 0);
          g_assert_cmpint (at, <, LENGTH);
          g_assert_false (seen[at]);
          seen[at] = TRUE;
        }
      first[order[r * LENGTH]]++;
    }
  for (int i = 0; i < LENGTH; i++)
    chi += pow (first[i] - (gdouble) ROWS / LENGTH, 2) / ((gdouble) ROWS / LENGTH);
  g_assert_cmpfloat (chi, <, 75); /* one in 7000 */
  g_assert_cmpfloat (chi, >, 12);
  if (!g_test_quick () && fm_op_test_vulkan ())
    {
      permutations (fm_op_test_vulkan (), other);
      g_assert_cmpmem (order, ROWS * LENGTH * sizeof *order, other, ROWS * LENGTH * sizeof *order);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/compute/random/normal", test_normal);
  g_test_add_func ("/compute/random/gumbel", test_gumbel);
  g_test_add_func ("/compute/random/indices", test_indices);
  g_test_add_func ("/compute/random/log-p", test_log_p);
  g_test_add_func ("/compute/random/dropout", test_dropout);
  g_test_add_func ("/compute/random/masks", test_masks);
  g_test_add_func ("/compute/random/permutation", test_permutation);
  if (!g_test_quick ())
    g_test_add_func ("/compute/random/same-bits/vulkan", test_vulkan);
  return g_test_run ();
}
