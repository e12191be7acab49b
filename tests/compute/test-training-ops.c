/* test-training-ops.c: what a training step needs besides the model: norms, AdamW, assignments, random draws. */
#include "op-test.h"

#include <math.h>
#include <string.h>

static void
run_all (FmProgram *program)
{
  g_autoptr(GError) error = NULL;

  fm_program_run (program, &error);
  g_assert_no_error (error);
}

static void
write_input (FmProgram *program, const char *name, gconstpointer data, gsize bytes)
{
  g_autoptr(GError) error = NULL;

  fm_program_write (program, name, data, bytes, &error);
  g_assert_no_error (error);
}

static void
read_output (FmProgram *program, const char *name, gpointer data, gsize bytes)
{
  g_autoptr(GError) error = NULL;

  fm_program_read (program, name, data, bytes, &error);
  g_assert_no_error (error);
}

static FmDevice *
device_of (gconstpointer vulkan)
{
  return GPOINTER_TO_INT (vulkan) ? fm_op_test_vulkan () : fm_op_test_cpu (2);
}

/* --- Sum of squares -----------------------------------------------------------------------------------------------*/

static FmTensor *
build_squares (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_sum_squares (g, x, n[0]);
}

static void
reference_squares (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  fm_op_array_init (y, FM_SHAPE (n[0]));
  for (gint64 k = 0; k < n[0]; k++)
    for (gint64 i = 0; i < x[k].n; i++)
      y->v[k] += x[k].v[i] * x[k].v[i];
}

#define F32(...) { FM_F32, FM_SHAPE (__VA_ARGS__), -2, 2, TRUE }

static const FmOpCase squares_cases[] = {
  { .name = "several", .quick = TRUE, .in = { F32 (7, 33), F32 (1), F32 (40001), F32 (2, 3, 5) }, .n = { 4 },
    .build = build_squares, .reference = reference_squares, .atol = 1e-6, .rtol = 4e-6, 
    .grad_atol = 2e-6, .grad_rtol = 1e-6,
    .why = "positive terms: a lane of 16 adds a thousand of them, 6e-8 each" },
};

/* --- AdamW --------------------------------------------------------------------------------------------------------*/

#define N 37

typedef struct
{
  gdouble p[N], m[N], v[N];
} Adam;

static void
reference_adamw (Adam *a, const float *gradient, gdouble norm, gdouble rate, gint t, const FmOptimizer *o, gdouble decay)
{
  gdouble scale = o->clip > 0 ? MIN (1.0, o->clip / norm) : 1.0;

  for (guint i = 0; i < N; i++)
    {
      gdouble g = gradient[i] * scale;

      a->m[i] = o->beta1 * a->m[i] + (1 - o->beta1) * g;
      a->v[i] = o->beta2 * a->v[i] + (1 - o->beta2) * g * g;
      a->p[i] -= rate * (a->m[i] / (1 - pow (o->beta1, t)) / (sqrt (a->v[i] / (1 - pow (o->beta2, t))) + o->eps) +
                         o->decay * decay * a->p[i]);
    }
}

/* Five steps with and without clipping, then one with a norm that is not finite, which must change nothing. */
static void
test_adamw (gconstpointer vulkan)
{
  FmDevice *device = device_of (vulkan);
  FmOptimizer options = { 0.9, 0.999, 1e-8, 0.01, 1.0 };
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(FmVariables) variables = NULL;
  g_autoptr(FmProgram) program = NULL;
  g_autoptr(GError) error = NULL;
  FmTensor *p, *m, *v, *gradient, *norm, *rate, *step;
  Adam a = { 0 };
  float start[N], got[N], slopes[N];

  if (device == NULL)
    return;
  p = fm_variable (g, "w", FM_F32, FM_SHAPE (N), fm_init_zeros ());
  m = fm_variable (g, "w@m", FM_F32, FM_SHAPE (N), fm_init_zeros ());
  v = fm_variable (g, "w@v", FM_F32, FM_SHAPE (N), fm_init_zeros ());
  gradient = fm_graph_input (g, "gradient", FM_F32, FM_SHAPE (N));
  norm = fm_graph_input (g, "norm", FM_F32, FM_SHAPE (1));
  rate = fm_graph_input (g, "@rate", FM_F32, FM_SHAPE (1));
  step = fm_graph_input (g, "@step", FM_I32, FM_SHAPE (1));
  fm_adamw (g, p, m, v, gradient, NULL, norm, rate, step, &options, 2.0, 0.5);
  g_assert_no_error ((GError *) fm_graph_get_error (g));
  variables = fm_variables_new (device, 1);
  program = fm_program_new (g, device, variables, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < N; i++)
    a.p[i] = start[i] = (float) sin (i);
  fm_variables_write (variables, "w", start, sizeof start, &error);
  g_assert_no_error (error);

  for (gint32 t = 1; t <= 5; t++)
    {
      float length = t % 2 ? 3.0f : 0.5f, speed = 0.01f;

      for (guint i = 0; i < N; i++)
        slopes[i] = (float) (cos (3.0 * i + t) * (i == 5 ? 0 : 1));
      reference_adamw (&a, slopes, length, 2.0 * speed, t, &options, 0.5);
      write_input (program, "gradient", slopes, sizeof slopes);
      write_input (program, "norm", &length, sizeof length);
      write_input (program, "@rate", &speed, sizeof speed);
      write_input (program, "@step", &t, sizeof t);
      run_all (program);
      fm_variables_read (variables, "w", got, sizeof got, &error);
      g_assert_no_error (error);
      /* A step is some ten roundings of a number of size 0.02, added to one of size 1. */
      for (guint i = 0; i < N; i++)
        if (fabs (got[i] - a.p[i]) > 3e-7 + 3e-7 * fabs (a.p[i]))
          {
            g_test_message ("step %d, element %u: %.9g, the reference %.9g", t, i, got[i], a.p[i]);
            g_test_fail ();
            return;
          }
    }

  for (guint bad = 0; bad < 2; bad++)
    {
      float length = bad ? INFINITY : NAN, after[N];

      write_input (program, "norm", &length, sizeof length);
      run_all (program);
      fm_variables_read (variables, "w", after, sizeof after, &error);
      g_assert_no_error (error);
      g_assert_cmpmem (after, sizeof after, got, sizeof got);
    }
}

/* --- Assignment ---------------------------------------------------------------------------------------------------*/

static void
test_assign (gconstpointer vulkan)
{
  FmDevice *device = device_of (vulkan);
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(FmVariables) variables = NULL;
  g_autoptr(FmProgram) program = NULL;
  g_autoptr(GError) error = NULL;
  FmTensor *count;
  float got[3];

  if (device == NULL)
    return;
  count = fm_state (g, "count", FM_F32, FM_SHAPE (3), fm_init_constant (2));
  fm_assign (g, count, fm_add_scalar (g, count, 1.5));
  variables = fm_variables_new (device, 1);
  program = fm_program_new (g, device, variables, &error);
  g_assert_no_error (error);
  for (guint run = 1; run <= 3; run++)
    {
      run_all (program);
      fm_variables_read (variables, "count", got, sizeof got, &error);
      g_assert_no_error (error);
      for (guint i = 0; i < 3; i++)
        g_assert_cmpfloat (got[i], ==, 2 + 1.5f * run);
    }
}

static void
test_assign_refused (void)
{
  g_autoptr(FmGraph) g = fm_graph_new ();

  fm_assign (g, fm_state (g, "count", FM_F32, FM_SHAPE (3), fm_init_zeros ()),
             fm_graph_input (g, "x", FM_F32, FM_SHAPE (4)));
  g_assert_error ((GError *) fm_graph_get_error (g), FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH);
  g_assert_nonnull (strstr (fm_graph_get_error (g)->message, "\"count\""));
}

/* --- Random draws -------------------------------------------------------------------------------------------------*/

#define DRAWS 1003

static void
test_random (gconstpointer vulkan)
{
  FmDevice *device = device_of (vulkan);
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(FmVariables) variables = NULL;
  g_autoptr(FmProgram) program = NULL;
  g_autoptr(GError) error = NULL;
  FmTensor *first, *second, *again;
  const guint32 seed[2] = { 0x89ABCDEF, 0x01234567 };
  float got[DRAWS], other[DRAWS], repeated[DRAWS];

  if (device == NULL)
    return;
  fm_graph_push_scope (g, "layers.0");
  first = fm_uniform (g, "noise", FM_SHAPE (17, 59));
  second = fm_uniform (g, "more", FM_SHAPE (17, 59));
  fm_graph_set_application (g, 1);
  again = fm_uniform (g, "noise", FM_SHAPE (17, 59));
  fm_graph_output (g, "first", first);
  fm_graph_output (g, "second", second);
  fm_graph_output (g, "again", again);
  variables = fm_variables_new (device, 1);
  program = fm_program_new (g, device, variables, &error);
  g_assert_no_error (error);
  for (gint32 step = 1; step <= 2; step++)
    {
      write_input (program, "@seed", seed, sizeof seed);
      write_input (program, "@step", &step, sizeof step);
      run_all (program);
      read_output (program, "first", got, sizeof got);
      read_output (program, "second", other, sizeof other);
      read_output (program, "again", repeated, sizeof repeated);
      for (guint i = 0; i < DRAWS; i++)
        {
          guint32 bits[4];
          guint64 key = fm_hash ("layers.0.noise#0") ^ 0x0123456789ABCDEF;

          fm_philox (key, i / 4, step, bits);
          g_assert_cmpfloat (got[i], ==, (bits[i % 4] >> 8) * 0x1p-24f);
        }
      g_assert_cmpint (memcmp (got, other, sizeof got), !=, 0);
      g_assert_cmpint (memcmp (got, repeated, sizeof got), !=, 0);
    }
}

/* Kept elements are scaled, the share of dropped ones is near the rate, the gradient passes through the same mask. */
static void
test_dropout (gconstpointer vulkan)
{
  FmDevice *device = device_of (vulkan);
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(FmVariables) variables = NULL;
  g_autoptr(FmProgram) program = NULL;
  g_autoptr(GError) error = NULL;
  FmTensor *x, *y, *dx;
  const guint32 seed[2] = { 1, 2 };
  const gint32 step = 3;
  float in[DRAWS], out[DRAWS], slopes[DRAWS];
  guint dropped = 0;

  if (device == NULL)
    return;
  x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (DRAWS));
  y = fm_dropout (g, "drop", x, 0.25);
  fm_grad (g, fm_sum_all (g, y), &x, 1, &dx);
  fm_graph_output (g, "y", y);
  fm_graph_output (g, "dx", dx);
  variables = fm_variables_new (device, 1);
  program = fm_program_new (g, device, variables, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < DRAWS; i++)
    in[i] = 1 + i;
  write_input (program, "x", in, sizeof in);
  write_input (program, "@seed", seed, sizeof seed);
  write_input (program, "@step", &step, sizeof step);
  run_all (program);
  read_output (program, "y", out, sizeof out);
  read_output (program, "dx", slopes, sizeof slopes);
  for (guint i = 0; i < DRAWS; i++)
    {
      float keep = 1.0f / 0.75f;

      dropped += out[i] == 0;
      g_assert_cmpfloat (slopes[i], ==, out[i] == 0 ? 0 : keep);
      g_assert_cmpfloat (out[i], ==, in[i] * slopes[i]);
    }
  /* 250.75 expected, deviation 13.7: five of them. */
  g_assert_cmpuint (dropped, >, 182);
  g_assert_cmpuint (dropped, <, 320);
}

static void
test_dropout_refused (void)
{
  g_autoptr(FmGraph) g = fm_graph_new ();

  fm_dropout (g, "drop", fm_graph_input (g, "x", FM_F32, FM_SHAPE (4)), 1.0);
  g_assert_error ((GError *) fm_graph_get_error (g), FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH);
}

static void
add_both (const char *name, GTestDataFunc func)
{
  g_autofree char *cpu = g_strdup_printf ("/compute/%s/cpu", name);
  g_autofree char *vulkan = g_strdup_printf ("/compute/%s/vulkan", name);

  g_test_add_data_func (cpu, GINT_TO_POINTER (FALSE), func);
  if (!g_test_quick ())
    g_test_add_data_func (vulkan, GINT_TO_POINTER (TRUE), func);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fm_op_test_add ("sum-squares", squares_cases, G_N_ELEMENTS (squares_cases));
  add_both ("adamw", test_adamw);
  add_both ("assign", test_assign);
  g_test_add_func ("/compute/assign/refused", test_assign_refused);
  add_both ("random", test_random);
  add_both ("dropout", test_dropout);
  g_test_add_func ("/compute/dropout/refused", test_dropout_refused);
  return g_test_run ();
}
