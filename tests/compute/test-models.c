/* test-models.c: the reference models, each through what models.h promises. */
#include "config.h"

#include "models/models.h"
#include "op-test.h"
#if FM_HAVE_VULKAN
#include "compute/vulkan/vulkan-private.h"
#endif

#include <math.h>
#include <string.h>

#define SEED 7

/* The CPU with 3 threads, for the full suite: more than this machine may have cores. */
static FmDevice *
cpu (guint threads)
{
  static FmDevice *three;
  g_autoptr(GError) error = NULL;

  if (threads < 3)
    return fm_op_test_cpu (threads);
  if (three == NULL)
    three = fm_device_open ("cpu", threads, &error);
  g_assert_no_error (error);
  return three;
}

/* --- A model on one device ----------------------------------------------------------------------------------------*/

typedef struct
{
  const FmModelRow *row;
  FmGraph     *g;
  GPtrArray   *params; /* FmTensor, those with a gradient */
  FmVariables *variables;
  FmProgram   *program;
} Run;

static void
run_free (Run *run)
{
  g_clear_pointer (&run->program, fm_program_free);
  fm_variables_unref (run->variables);
  g_ptr_array_unref (run->params);
  fm_graph_free (run->g);
  g_free (run);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Run, run_free)

/* Values depend on the input's name alone, but for the training step's own. */
static void
write_inputs (Run *run, guint step)
{
  gdouble rate = run->row->rate > 0 ? run->row->rate : 1e-2;

  for (guint i = 0; i < run->program->plan->inputs->len; i++)
    {
      FmTensor *t = g_ptr_array_index (run->program->plan->inputs, i);
      gint64 n = fm_shape_count (&t->shape);
      g_autofree gint32 *whole = g_new0 (gint32, n);
      gfloat *real = (gfloat *) whole;
      g_autoptr(GError) error = NULL;

      if (g_str_equal (t->name, "@rate"))
        real[0] = (gfloat) rate;
      else if (g_str_equal (t->name, "@step"))
        whole[0] = (gint32) step;
      else if (g_str_equal (t->name, "@seed"))
        whole[0] = SEED;
      else
        fm_model_draw (run->row, t->name, t->type, n, whole);
      fm_program_write (run->program, t->name, whole, (gsize) n * 4, &error);
      g_assert_no_error (error);
    }
}

/* @train: with the optimizer, else with every parameter's gradient as an output. */
static Run *
run_new (const FmModelRow *row, FmDevice *device, gboolean train)
{
  Run *run = g_new0 (Run, 1);
  FmTensor *loss;
  g_autoptr(GError) error = NULL;

  run->row = row;
  run->g = fm_graph_new ();
  run->params = g_ptr_array_new ();
  loss = row->build (run->g);
  g_assert_no_error ((GError *) fm_graph_get_error (run->g));
  for (guint i = 0; i < run->g->variable_list->len; i++)
    {
      FmTensor *t = g_ptr_array_index (run->g->variable_list, i);

      if (t->trainable && !t->frozen)
        g_ptr_array_add (run->params, t);
    }
  g_assert_cmpuint (run->params->len, >, 0);
  if (train)
    {
      FmOptimizer options = { 0.9, 0.999, 1e-8, 0.0, 1.0 };

      fm_train_step (run->g, loss, &options);
    }
  else
    {
      g_autofree FmTensor **gradients = g_new0 (FmTensor *, run->params->len);

      fm_graph_output (run->g, "@loss", fm_reshape (run->g, loss, FM_SHAPE (1)));
      fm_grad (run->g, loss, (FmTensor * const *) run->params->pdata, run->params->len, gradients);
      for (guint i = 0; i < run->params->len; i++)
        fm_graph_output (run->g, ((FmTensor *) g_ptr_array_index (run->params, i))->name, gradients[i]);
    }
  g_assert_no_error ((GError *) fm_graph_get_error (run->g));
  run->variables = fm_variables_new (device, SEED);
  run->program = fm_program_new (run->g, device, run->variables, &error);
  g_assert_no_error (error);
  return run;
}

static gdouble
run_step (Run *run, guint step)
{
  gfloat loss = NAN;
  g_autoptr(GError) error = NULL;

  write_inputs (run, step);
  fm_program_run (run->program, &error);
  g_assert_no_error (error);
  fm_program_read (run->program, "@loss", &loss, sizeof loss, &error);
  g_assert_no_error (error);
  g_assert_true (isfinite (loss));
  return loss;
}

/* (transfer full): the gradient of parameter @i after a step. */
static gfloat *
read_gradient (Run *run, guint i, gint64 *n)
{
  FmTensor *t = g_ptr_array_index (run->params, i);
  gfloat *data;
  g_autoptr(GError) error = NULL;

  *n = fm_shape_count (&t->shape);
  data = g_new (gfloat, *n);
  fm_program_read (run->program, t->name, data, (gsize) *n * 4, &error);
  g_assert_no_error (error);
  return data;
}

static guint
steps_of (const FmModelRow *row)
{
  return row->steps > 0 ? row->steps : 5;
}

/* --- Tests --------------------------------------------------------------------------------------------------------*/

static void
test_threads (gconstpointer data)
{
  const FmModelRow *row = data;
  g_autoptr(Run) one = run_new (row, cpu (1), FALSE);
  gfloat loss = (gfloat) run_step (one, 1);

  for (guint threads = 2; threads <= (g_test_quick () ? 2 : 3); threads++)
    {
      g_autoptr(Run) more = run_new (row, cpu (threads), FALSE);
      gfloat other = (gfloat) run_step (more, 1);

      g_assert_cmpmem (&loss, sizeof loss, &other, sizeof other);
      for (guint i = 0; i < one->params->len; i++)
        {
          gint64 n;
          g_autofree gfloat *a = read_gradient (one, i, &n), *b = read_gradient (more, i, &n);

          if (memcmp (a, b, (gsize) n * 4) != 0)
            {
              g_test_message ("the gradient of %s has other bits with %u threads than with 1",
                              ((FmTensor *) g_ptr_array_index (one->params, i))->name, threads);
              g_test_fail ();
            }
        }
    }
}

/* Moves every parameter by @factor times its gradient. */
static void
move (Run *run, gfloat * const *gradients, gdouble factor)
{
  for (guint i = 0; i < run->params->len; i++)
    {
      FmTensor *t = g_ptr_array_index (run->params, i);
      gint64 n = fm_shape_count (&t->shape);
      g_autofree gfloat *value = g_new (gfloat, n);
      g_autoptr(GError) error = NULL;

      fm_variables_read (run->variables, t->name, value, (gsize) n * 4, &error);
      for (gint64 j = 0; j < n; j++)
        value[j] += (gfloat) (factor * gradients[i][j]);
      fm_variables_write (run->variables, t->name, value, (gsize) n * 4, &error);
      g_assert_no_error (error);
    }
}

/* A witness from outside the gradient rules. Along the gradient G the loss changes by h |G|^2 for a step of h G either
 * way. h is chosen so that this is 2e-3 of the loss: f32 losses carry 1e-6 or so, and the next term of the series is of
 * order (2e-3)^2 in most models. */
static void
test_slope (gconstpointer data)
{
  const FmModelRow *row = data;
  g_autoptr(Run) run = NULL;
  gfloat **gradients;
  gdouble loss, square = 0, h, above, below, slope;

  if (row->surrogate)
    {
      g_test_skip (row->surrogate);
      return;
    }
  run = run_new (row, cpu (2), FALSE);
  loss = run_step (run, 1);
  gradients = g_new0 (gfloat *, run->params->len);
  for (guint i = 0; i < run->params->len; i++)
    {
      gint64 n;

      gradients[i] = read_gradient (run, i, &n);
      for (gint64 j = 0; j < n; j++)
        square += (gdouble) gradients[i][j] * gradients[i][j];
    }
  g_assert_cmpfloat (square, >, 0);
  h = 2e-3 * MAX (fabs (loss), 0.1) / square;
  move (run, gradients, h);
  above = run_step (run, 1);
  move (run, gradients, -2 * h);
  below = run_step (run, 1);
  slope = (above - below) / (2 * h * square);
  if (fabs (slope - 1) > 0.01)
    {
      g_test_message ("%s: along the gradient the loss changes by %.5f of what the gradient says", row->name, slope);
      g_test_fail ();
    }
  for (guint i = 0; i < run->params->len; i++)
    g_free (gradients[i]);
  g_free (gradients);
}

static void
test_trains (gconstpointer data)
{
  const FmModelRow *row = data;
  g_autoptr(Run) one = run_new (row, cpu (1), TRUE), two = run_new (row, cpu (2), TRUE);
  g_autoptr(GPtrArray) paths = NULL;
  gdouble first = run_step (one, 1), last = first;

  run_step (two, 1);
  for (guint step = 2; step <= steps_of (row) + 1; step++)
    {
      last = run_step (one, step);
      run_step (two, step);
    }
  if (!(last < first))
    {
      g_test_message ("%s: the loss went from %g to %g in %u steps", row->name, first, last, steps_of (row));
      g_test_fail ();
    }
  paths = fm_variables_paths (one->variables);
  for (guint i = 0; i < paths->len; i++)
    {
      const char *path = g_ptr_array_index (paths, i);
      FmShape shape;
      g_autofree gint32 *a = NULL, *b = NULL;
      gsize bytes;
      g_autoptr(GError) error = NULL;

      g_assert_true (fm_variables_get_shape (one->variables, path, NULL, &shape));
      bytes = (gsize) fm_shape_count (&shape) * 4;
      a = g_malloc (bytes);
      b = g_malloc (bytes);
      fm_variables_read (one->variables, path, a, bytes, &error);
      g_assert_no_error (error);
      fm_variables_read (two->variables, path, b, bytes, &error);
      g_assert_no_error (error);
      if (memcmp (a, b, bytes) != 0)
        {
          g_test_message ("%s: %s ends with other bits with 2 threads than with 1", row->name, path);
          g_test_fail ();
        }
    }
}

/* Norm of a gradient's difference over its own norm; a gradient that is nothing but rounding (a bias that softmax
 * cancels) is measured against a hundredth of the norm of all of them. */
static void
test_vulkan (gconstpointer data)
{
  const FmModelRow *row = data;
  FmDevice *device = fm_op_test_vulkan ();
  gdouble tolerance = row->tolerance > 0 ? row->tolerance : 1e-4, drift = row->drift > 0 ? row->drift : 20 * tolerance;
  g_autoptr(Run) ours = NULL, theirs = NULL, trained = NULL, witness = NULL;
  g_autofree gdouble *difference = NULL, *norm = NULL;
  gdouble a, b, all = 0;

  if (device == NULL)
    return;
  theirs = run_new (row, device, FALSE);
  b = run_step (theirs, 1);
  ours = run_new (row, cpu (2), FALSE);
  a = run_step (ours, 1);
  g_assert_cmpfloat (fabs (a - b), <=, tolerance * MAX (1.0, fabs (a)));
  difference = g_new0 (gdouble, ours->params->len);
  norm = g_new0 (gdouble, ours->params->len);
  for (guint i = 0; i < ours->params->len; i++)
    {
      gint64 n;
      g_autofree gfloat *x = read_gradient (ours, i, &n), *y = read_gradient (theirs, i, &n);

      for (gint64 j = 0; j < n; j++)
        {
          difference[i] += (gdouble) (x[j] - y[j]) * (x[j] - y[j]);
          norm[i] += (gdouble) x[j] * x[j];
        }
      all += norm[i];
    }
  for (guint i = 0; i < ours->params->len; i++)
    if (!(sqrt (difference[i]) <= tolerance * (sqrt (norm[i]) + 0.01 * sqrt (all))))
      {
        g_test_message ("%s: the gradient of %s, of norm %g, differs on Vulkan by %g", row->name,
                        ((FmTensor *) g_ptr_array_index (ours->params, i))->name, sqrt (norm[i]), sqrt (difference[i]));
        g_test_fail ();
      }

  /* AdamW divides by the size of a gradient, rounding included, so losses drift apart a little faster. */
  trained = run_new (row, device, TRUE);
  witness = run_new (row, cpu (2), TRUE);
  for (guint step = 1; step <= steps_of (row) + 1; step++)
    {
      b = run_step (trained, step);
      a = run_step (witness, step);
    }
  g_test_message ("%s: loss %g on the CPU, %g on Vulkan after %u steps", row->name, a, b, steps_of (row));
  g_assert_cmpfloat (fabs (a - b), <=, drift * MAX (1.0, fabs (a)));
}

static void
test_check (gconstpointer data)
{
  ((const FmModelRow *) data)->check (cpu (2));
}

static void
test_check_vulkan (gconstpointer data)
{
  FmDevice *device = fm_op_test_vulkan ();

  if (device)
    ((const FmModelRow *) data)->check (device);
}

#if FM_HAVE_VULKAN
static void
test_validation (void)
{
  g_assert_cmpuint (fm_vulkan_validation_count (), ==, 0);
}
#endif

static void
add (const FmModelRow *row, const char *what, GTestDataFunc func)
{
  g_autofree char *path = g_strdup_printf ("/compute/models/%s/%s", row->name, what);

  g_test_add_data_func (path, row, func);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; fm_models[i] != NULL; i++)
    {
      add (fm_models[i], "threads", test_threads);
      add (fm_models[i], "slope", test_slope);
      add (fm_models[i], "trains", test_trains);
      if (fm_models[i]->check)
        add (fm_models[i], "check", test_check);
      if (!g_test_quick ())
        add (fm_models[i], "vulkan", test_vulkan);
      if (fm_models[i]->check && !g_test_quick ())
        add (fm_models[i], "check-vulkan", test_check_vulkan);
    }
#if FM_HAVE_VULKAN
  if (!g_test_quick ())
    g_test_add_func ("/compute/models/validation/silent", test_validation);
#endif
  return g_test_run ();
}
