/* test-optimizer.c: SGD, averages, accumulation, schedules; frozen, grouped, tied and bound parameters; recomputation. */
#include "config.h"

#include "checked.h"
#include "op-test.h"
#include "step-graph.h"
#if FM_HAVE_VULKAN
#include "compute/vulkan/vulkan-private.h"
#endif

#include <math.h>
#include <string.h>

#define N 37

/* Plain SGD does not count. */
static void
write_step (FmProgram *p, gint32 step)
{
  if (fm_program_has_input (p, "@step"))
    write (p, "@step", &step, sizeof step);
}

/* --- SGD and averages against double references ---------------------------------------------------------------------*/

typedef struct
{
  gdouble  momentum;
  gboolean nesterov, vulkan;
} Way;

static void
test_sgd (gconstpointer data)
{
  const Way *way = data;
  FmDevice *device = way->vulkan ? fm_op_test_vulkan () : fm_op_test_cpu (2);
  FmOptimizer options = { .kind = FM_OPTIMIZER_SGD, .momentum = way->momentum, .nesterov = way->nesterov, .decay = 0.02,
                          .clip = 1.0 };
  g_autoptr (FmGraph) g = fm_graph_new ();
  g_autoptr (FmVariables) variables = NULL;
  g_autoptr (FmProgram) program = NULL;
  FmTensor *p, *m = NULL, *ema, *norm, *step;
  gdouble w[N], moment[N] = { 0 }, average[N];
  gfloat start[N], slopes[N], got[N];

  if (device == NULL)
    return;
  p = fm_variable (g, "w", FM_F32, FM_SHAPE (N), fm_init_zeros ());
  ema = fm_variable (g, "w@ema", FM_F32, FM_SHAPE (N), fm_init_zeros ());
  ema->follows = p;
  if (way->momentum > 0)
    m = fm_variable (g, "w@m", FM_F32, FM_SHAPE (N), fm_init_zeros ());
  norm = fm_graph_input (g, "norm", FM_F32, FM_SHAPE (1));
  step = fm_graph_input (g, "@step", FM_I32, FM_SHAPE (1));
  fm_sgd (g, p, m, fm_graph_input (g, "gradient", FM_F32, FM_SHAPE (N)), NULL, norm,
          fm_graph_input (g, "@rate", FM_F32, FM_SHAPE (1)), &options, 2.0, 0.5);
  fm_average (g, ema, p, norm, step, 0.4);
  variables = fm_variables_new (device, 1);
  program = compile (g, device, variables);
  for (guint i = 0; i < N; i++)
    w[i] = average[i] = start[i] = sinf (i);
  set_variable (variables, "w", start, sizeof start);
  set_variable (variables, "w@ema", start, sizeof start);

  for (gint32 t = 1; t <= 6; t++)
    {
      gfloat length = t == 6 ? INFINITY : t % 2 ? 3.0f : 0.5f, rate = 0.1f;

      for (guint i = 0; i < N; i++)
        {
          gdouble slope = slopes[i] = cosf (3.0f * i + t), keep = MIN (0.4, (1.0 + t) / (10.0 + t)), direction;

          if (t == 6) /* a norm that is not finite changes nothing */
            continue;
          slope *= length > 1.0f ? 1.0 / length : 1.0;
          moment[i] = way->momentum * moment[i] + slope;
          direction = way->nesterov ? slope + way->momentum * moment[i] : moment[i];
          w[i] -= 0.2 * (direction + 0.01 * w[i]);
          average[i] = keep * average[i] + (1 - keep) * w[i];
        }
      write (program, "gradient", slopes, sizeof slopes);
      write (program, "norm", &length, sizeof length);
      write (program, "@rate", &rate, sizeof rate);
      write_step (program, t);
      run (program);
      /* A step is some ten roundings of numbers of size 1. */
      read_variable (variables, "w", got, sizeof got);
      for (guint i = 0; i < N; i++)
        g_assert_cmpfloat_with_epsilon (got[i], w[i], 2e-6);
      read_variable (variables, "w@ema", got, sizeof got);
      for (guint i = 0; i < N; i++)
        g_assert_cmpfloat_with_epsilon (got[i], average[i], 2e-6);
    }
}

/* --- Whole steps ----------------------------------------------------------------------------------------------------*/

/* A small model with a dropout, so that random draws take part. @rows of x from @first on. */
static FmTensor *
small_loss (FmGraph *g, FmTensor *x, gdouble dropout)
{
  FmTensor *h = fm_gelu (g, fm_linear (g, x, 12, "up"));

  if (dropout > 0)
    h = fm_dropout (g, "drop", h, dropout);
  return fm_mean (g, fm_mean (g, fm_square (g, fm_linear (g, h, 3, "down")), -1), 0);
}

static void
write_small (FmProgram *p, gint32 step)
{
  gfloat x[8 * 5], rate = 0.05f;

  for (guint i = 0; i < G_N_ELEMENTS (x); i++)
    x[i] = sinf (1.7f * i);
  write (p, "x", x, sizeof x);
  write (p, "@rate", &rate, sizeof rate);
  write_step (p, step);
}

/* Eight rows at once, or in @parts. */
static void
small_steps (guint parts, const FmOptimizer *options, gfloat up[60], gfloat down[36], gfloat losses[4])
{
  FmDevice *device = fm_op_test_cpu (1);
  g_autoptr (FmVariables) variables = fm_variables_new (device, 3);
  g_autoptr (FmGraph) g = fm_graph_new ();
  g_autoptr (FmProgram) program = NULL;
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (8, 5));

  for (guint i = 0; i < parts; i++)
    {
      FmTensor *loss = small_loss (g, fm_slice (g, x, 0, i * 8 / parts, 8 / parts), 0);

      loss = fm_mul_scalar (g, loss, 1.0 / parts);
      if (i < parts - 1)
        fm_train_accumulate (g, loss);
      else
        fm_train_step (g, loss, options);
    }
  program = compile (g, device, variables);
  for (gint32 step = 1; step <= 4; step++)
    {
      write_small (program, step);
      run (program);
      g_assert_true (fm_program_read (program, "@loss", &losses[step - 1], 4, NULL));
    }
  read_variable (variables, "up.weight", up, 60 * 4);
  read_variable (variables, "down.weight", down, 36 * 4);
}

static void
test_accumulate (void)
{
  static const FmOptimizer ways[] = { { 0.9, 0.999, 1e-8, 0.01, 0.05 },
                                      { .kind = FM_OPTIMIZER_SGD, .momentum = 0.9, .nesterov = TRUE, .clip = 0.05 } };

  for (guint k = 0; k < G_N_ELEMENTS (ways); k++)
    {
      gfloat up[2][60], down[2][36], losses[2][4];

      small_steps (1, &ways[k], up[0], down[0], losses[0]);
      for (guint parts = 2; parts <= 4; parts *= 2)
        {
          small_steps (parts, &ways[k], up[1], down[1], losses[1]);
          for (guint i = 0; i < 60; i++)
            g_assert_cmpfloat_with_epsilon (up[0][i], up[1][i], 2e-5);
          for (guint i = 0; i < 36; i++)
            g_assert_cmpfloat_with_epsilon (down[0][i], down[1][i], 2e-5);
          for (guint i = 0; i < 4; i++)
            g_assert_cmpfloat_with_epsilon (losses[0][i], losses[1][i], 1e-6);
        }
      g_assert_cmpfloat (losses[0][3], <, losses[0][0]);
    }
}

/* Small batches one after another live in the memory of one. */
static void
test_accumulate_memory (void)
{
  guint64 arena[2];

  for (guint k = 0; k < 2; k++)
    {
      g_autoptr (FmGraph) g = fm_graph_new ();
      FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (8192, 64));
      guint parts = k ? 8 : 1;
      FmPlan plan;

      for (guint i = 0; i < parts; i++)
        {
          FmTensor *loss = small_loss (g, fm_slice (g, x, 0, i * 8192 / parts, 8192 / parts), 0);

          if (i < parts - 1)
            fm_train_accumulate (g, loss);
          else
            fm_train_step (g, loss, &(FmOptimizer){ 0.9, 0.999, 1e-8 });
        }
      g_assert_true (fm_graph_plan (g, "cpu", &plan, NULL, NULL));
      arena[k] = plan.arena_bytes;
    }
  g_assert_cmpuint (arena[1] * 4, <, arena[0]);
}

static void
test_averages (void)
{
  FmDevice *device = fm_op_test_cpu (1);
  g_autoptr (FmVariables) variables = fm_variables_new (device, 3);
  g_autoptr (FmGraph) g = fm_graph_new (), plain = fm_graph_new (), averaged = fm_graph_new ();
  g_autoptr (FmProgram) program = NULL, evaluate = NULL, evaluate_averaged = NULL;
  gfloat x[40], weight[60], ema[60], a, b;

  fm_train_step (g, small_loss (g, fm_graph_input (g, "x", FM_F32, FM_SHAPE (8, 5)), 0),
                 &(FmOptimizer){ 0.9, 0.999, 1e-8, .average = 0.5 });
  program = compile (g, device, variables);
  /* It starts where the parameter is. */
  read_variable (variables, "up.weight", weight, sizeof weight);
  read_variable (variables, "up.weight@ema", ema, sizeof ema);
  g_assert_cmpmem (weight, sizeof weight, ema, sizeof ema);
  for (gint32 step = 1; step <= 5; step++)
    {
      write_small (program, step);
      run (program);
    }
  read_variable (variables, "up.weight", weight, sizeof weight);
  read_variable (variables, "up.weight@ema", ema, sizeof ema);
  g_assert_cmpint (memcmp (weight, ema, sizeof ema), !=, 0);

  fm_graph_output (plain, "loss", small_loss (plain, fm_graph_input (plain, "x", FM_F32, FM_SHAPE (8, 5)), 0));
  fm_graph_use_averages (averaged);
  fm_graph_output (averaged, "loss", small_loss (averaged, fm_graph_input (averaged, "x", FM_F32, FM_SHAPE (8, 5)), 0));
  evaluate = compile (plain, device, variables);
  evaluate_averaged = compile (averaged, device, variables);
  for (guint i = 0; i < 40; i++)
    x[i] = sinf (1.7f * i);
  write (evaluate, "x", x, sizeof x);
  write (evaluate_averaged, "x", x, sizeof x);
  run (evaluate_averaged);
  g_assert_true (fm_program_read (evaluate_averaged, "loss", &a, 4, NULL));
  run (evaluate);
  g_assert_true (fm_program_read (evaluate, "loss", &b, 4, NULL));
  g_assert_cmpfloat (a, !=, b);
  g_assert_true (fm_variables_take_averages (variables, NULL));
  run (evaluate);
  g_assert_true (fm_program_read (evaluate, "loss", &b, 4, NULL));
  g_assert_cmpfloat (a, ==, b);
  read_variable (variables, "up.weight", weight, sizeof weight);
  g_assert_cmpmem (weight, sizeof weight, ema, sizeof ema);
}

static void
test_schedule (void)
{
  FmSchedule s = { FM_SCHEDULE_CONSTANT, 2.0, 10, 110 };

  for (FmScheduleKind kind = FM_SCHEDULE_COSINE; kind <= FM_SCHEDULE_CONSTANT; kind++)
    {
      s.kind = kind;
      g_assert_cmpfloat_with_epsilon (fm_schedule_rate (&s, 1), 0.2, 1e-12);
      g_assert_cmpfloat_with_epsilon (fm_schedule_rate (&s, 10), 2.0, 1e-12);
      g_assert_cmpfloat_with_epsilon (fm_schedule_rate (&s, 60), kind == FM_SCHEDULE_CONSTANT ? 2.0 : 1.0, 1e-12);
      g_assert_cmpfloat_with_epsilon (fm_schedule_rate (&s, 110), kind == FM_SCHEDULE_CONSTANT ? 2.0 : 0.0, 1e-12);
      g_assert_cmpfloat_with_epsilon (fm_schedule_rate (&s, 200), kind == FM_SCHEDULE_CONSTANT ? 2.0 : 0.0, 1e-12);
    }
  s.kind = FM_SCHEDULE_LINEAR;
  g_assert_cmpfloat_with_epsilon (fm_schedule_rate (&s, 35), 1.5, 1e-12);
  s.kind = FM_SCHEDULE_COSINE;
  g_assert_cmpfloat_with_epsilon (fm_schedule_rate (&s, 35), 1.0 + sqrt (0.5), 1e-12);
  s.warmup = 0;
  g_assert_cmpfloat (fm_schedule_rate (&s, 1), >, 1.99);
}

/* --- Parameters -----------------------------------------------------------------------------------------------------*/

/* A frozen parameter costs no gradient: fewer nodes, fewer FLOPs, no moments, and it stays as it was. */
static void
test_frozen (void)
{
  FmDevice *device = fm_op_test_cpu (1);
  guint nodes[2];
  FmCost cost[2];

  for (guint k = 0; k < 2; k++)
    {
      g_autoptr (FmVariables) variables = fm_variables_new (device, 3);
      g_autoptr (FmGraph) g = fm_graph_new ();
      g_autoptr (FmProgram) program = NULL;
      FmTensor *loss = small_loss (g, fm_graph_input (g, "x", FM_F32, FM_SHAPE (8, 5)), 0);
      gfloat before[60], after[60];

      if (k)
        g_assert_cmpuint (fm_graph_mark_params (g, "up.*", FM_MARK_FROZEN, 1), ==, 2);
      fm_train_step (g, loss, &(FmOptimizer){ 0.9, 0.999, 1e-8 });
      program = compile (g, device, variables);
      nodes[k] = program->plan->nodes->len;
      cost[k] = *fm_program_get_cost (program);
      read_variable (variables, "up.weight", before, sizeof before);
      write_small (program, 1);
      run (program);
      read_variable (variables, "up.weight", after, sizeof after);
      g_assert_cmpint (memcmp (before, after, sizeof before) == 0, ==, k == 1);
      g_assert_cmpint (fm_variables_get_shape (variables, "up.weight@m", NULL, NULL), ==, k == 0);
    }
  g_assert_cmpuint (nodes[1], <=, nodes[0] - 4); /* two updates, the weight's and the bias' gradient, GELU's */
  g_assert_cmpfloat (cost[1].flops, <, 0.8 * cost[0].flops);
}

static void
test_groups (void)
{
  FmDevice *device = fm_op_test_cpu (1);
  g_autoptr (FmVariables) variables = fm_variables_new (device, 3);
  g_autoptr (FmGraph) g = fm_graph_new ();
  g_autoptr (FmProgram) program = NULL;
  FmTensor *loss = small_loss (g, fm_graph_input (g, "x", FM_F32, FM_SHAPE (8, 5)), 0);
  gfloat weight[2][60], bias[2][3], x[40] = { 0 }, rate = 0.5f;
  gint32 step = 1;

  g_assert_cmpuint (fm_graph_mark_params (g, "*.weight", FM_MARK_RATE, 0.5), ==, 2);
  g_assert_cmpuint (fm_graph_mark_params (g, "*.weight", FM_MARK_DECAY, 3.0), ==, 2);
  g_assert_cmpuint (fm_graph_mark_params (g, "none.*", FM_MARK_DECAY, 3.0), ==, 0);
  fm_train_step (g, loss, &(FmOptimizer){ .kind = FM_OPTIMIZER_SGD, .decay = 0.1 });
  program = compile (g, device, variables);
  read_variable (variables, "up.weight", weight[0], sizeof weight[0]);
  read_variable (variables, "down.bias", bias[0], sizeof bias[0]);
  write (program, "x", x, sizeof x); /* all zeros: the gradient of up.weight is 0 and decay alone acts */
  write (program, "@rate", &rate, sizeof rate);
  write_step (program, step);
  run (program);
  read_variable (variables, "up.weight", weight[1], sizeof weight[1]);
  read_variable (variables, "down.bias", bias[1], sizeof bias[1]);
  for (guint i = 0; i < 60; i++)
    g_assert_cmpfloat_with_epsilon (weight[1][i], weight[0][i] * (1 - 0.5 * 0.5 * 0.1 * 3), 1e-6);
  for (guint i = 0; i < 3; i++) /* vectors do not decay unless marked */
    g_assert_cmpfloat_with_epsilon (bias[1][i], bias[0][i], 1e-6);
}

/* y = sum (w x) + sum (w z): one tensor under one path, its gradient the sum of both uses. */
static void
test_tied (void)
{
  FmDevice *device = fm_op_test_cpu (1);
  g_autoptr (FmVariables) variables = fm_variables_new (device, 3);
  g_autoptr (FmGraph) g = fm_graph_new ();
  g_autoptr (FmProgram) program = NULL;
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (4)), *w[2], *y = NULL, *gradient;
  gfloat in[4] = { 1, 2, 3, 4 }, out[4];

  for (guint i = 0; i < 2; i++)
    {
      FmTensor *used;

      fm_graph_push_scope (g, "layers.%u", i);
      w[i] = fm_param (g, "/w", FM_SHAPE (4), fm_init_normal (1.0));
      fm_graph_pop_scope (g);
      used = fm_sum_all (g, fm_mul (g, w[i], i ? fm_square (g, x) : x));
      y = y ? fm_add (g, y, used) : used;
    }
  g_assert_true (w[0] == w[1]);
  fm_grad (g, y, w, 1, &gradient);
  fm_graph_output (g, "gradient", gradient);
  program = compile (g, device, variables);
  write (program, "x", in, sizeof in);
  run (program);
  g_assert_true (fm_program_read (program, "gradient", out, sizeof out, NULL));
  for (guint i = 0; i < 4; i++)
    g_assert_cmpfloat_with_epsilon (out[i], in[i] + in[i] * in[i], 1e-5);
}

/* --- Weights made by a graph ----------------------------------------------------------------------------------------*/

/* W + B A, the base frozen: through a hook, or bound by hand. */
static FmTensor *
merge (FmGraph *g, const FmHookCall *call, gpointer user_data)
{
  FmTensor *a, *b;

  if (!g_str_equal (call->path, "up.weight"))
    return NULL;
  fm_param_mark (call->x, FM_MARK_FROZEN, 1);
  a = fm_param (g, "lora.a", FM_SHAPE (2, 5), fm_init_normal (0.3));
  b = fm_param (g, "lora.b", FM_SHAPE (12, 2), fm_init_normal (0.3));
  return fm_add (g, call->x, fm_matmul (g, b, a, 0));
}

static void
adapt (gboolean bound, gfloat a[10], gfloat b[24], gfloat *loss)
{
  FmDevice *device = fm_op_test_cpu (1);
  g_autoptr (FmVariables) variables = fm_variables_new (device, 3);
  g_autoptr (FmGraph) g = fm_graph_new ();
  g_autoptr (FmProgram) program = NULL;
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (8, 5));
  gfloat before[60], after[60], a_before[10];

  if (bound)
    {
      FmTensor *w, *merged;

      fm_graph_push_scope (g, "up");
      w = fm_param (g, "weight", FM_SHAPE (12, 5), fm_init_normal (1.0 / sqrt (5.0)));
      merged = merge (g, &(FmHookCall){ .path = "up.weight", .x = w }, NULL);
      fm_graph_pop_scope (g);
      fm_graph_bind (g, "up.weight", merged);
    }
  else
    fm_graph_add_hook (g, FM_HOOK_PARAM, merge, NULL);
  fm_train_step (g, small_loss (g, x, 0), &(FmOptimizer){ 0.9, 0.999, 1e-8 });
  program = compile (g, device, variables);
  read_variable (variables, "up.weight", before, sizeof before);
  read_variable (variables, "up.lora.a", a_before, sizeof a_before);
  for (gint32 step = 1; step <= 3; step++)
    {
      write_small (program, step);
      run (program);
    }
  g_assert_true (fm_program_read (program, "@loss", loss, 4, NULL));
  read_variable (variables, "up.weight", after, sizeof after);
  g_assert_cmpmem (before, sizeof before, after, sizeof after);
  read_variable (variables, "up.lora.a", a, 10 * 4);
  read_variable (variables, "up.lora.b", b, 24 * 4);
  g_assert_cmpint (memcmp (a, a_before, sizeof a_before), !=, 0);
}

static void
test_bound (void)
{
  gfloat a[2][10], b[2][24], loss[2];
  g_autoptr (FmGraph) g = fm_graph_new ();

  adapt (FALSE, a[0], b[0], &loss[0]);
  adapt (TRUE, a[1], b[1], &loss[1]);
  g_assert_cmpmem (a[0], sizeof a[0], a[1], sizeof a[1]);
  g_assert_cmpmem (b[0], sizeof b[0], b[1], sizeof b[1]);
  g_assert_cmpfloat (loss[0], ==, loss[1]);

  fm_graph_bind (g, "up.weight", fm_constant (g, FM_F32, FM_SHAPE (3, 3), 1.0));
  fm_linear (g, fm_graph_input (g, "x", FM_F32, FM_SHAPE (8, 5)), 12, "up");
  g_assert_nonnull (fm_graph_get_error (g));
  g_assert_nonnull (strstr (fm_graph_get_error (g)->message, "bound to a tensor of [3,3]"));
}

#if FM_HAVE_VULKAN
/* A training step is one submission: writing its batch, running it and reading its loss three times makes three, so that
 * the fourth is the fourth step's. */
static void
test_one_submission (void)
{
  FmStepSize size = { "small", 1, 16, 2, 32, 2, 12, 10, TRUE, FALSE, 0.1 };
  g_autoptr (FmDevice) device = fm_op_test_vulkan () ? fm_device_open ("vulkan", 0, NULL) : NULL; /* it will be lost */
  g_autoptr (FmVariables) variables = NULL;
  g_autoptr (FmGraph) g = NULL;
  g_autoptr (FmProgram) program = NULL;
  g_autoptr (GError) error = NULL;
  gfloat loss;

  if (device == NULL)
    return;
  variables = fm_variables_new (device, 1);
  g = fm_step_graph (&size);
  program = compile (g, device, variables);
  fm_step_write (program, &size, 1);
  run (program);
  fm_vulkan_fail_at (FM_VULKAN_FAULT_SUBMIT, 4);
  for (gint32 step = 2; step <= 4; step++)
    {
      fm_step_write (program, &size, step);
      run (program);
      g_assert_true (fm_program_read (program, "@loss", &loss, 4, NULL));
    }
  fm_step_write (program, &size, 5);
  g_assert_false (fm_program_run (program, &error));
  fm_vulkan_fail_at (FM_VULKAN_FAULT_SUBMIT, 0);
}
#endif

/* --- Recomputation --------------------------------------------------------------------------------------------------*/

static void
steps_of (const FmStepSize *size, FmDevice *device, gfloat losses[3], gfloat norms[3], GArray *weights, FmPlan *plan)
{
  g_autoptr (FmVariables) variables = fm_variables_new (device, 1);
  g_autoptr (FmGraph) g = fm_step_graph (size);
  g_autoptr (FmProgram) program = compile (g, device, variables);

  *plan = *fm_program_get_plan (program);
  for (gint32 step = 1; step <= 3; step++)
    {
      fm_step_write (program, size, step);
      run (program);
      g_assert_true (fm_program_read (program, "@loss", &losses[step - 1], 4, NULL));
      g_assert_true (fm_program_read (program, "@norm", &norms[step - 1], 4, NULL));
    }
  g_array_set_size (weights, (guint) (size->width * size->hidden));
  read_variable (variables, "layers.0.up.weight", weights->data, weights->len * 4);
}

/* Every bit stays, dropout included; what lived in the layers is gone from the plan. */
static void
test_recompute (gconstpointer vulkan)
{
  FmDevice *device = GPOINTER_TO_INT (vulkan) ? fm_op_test_vulkan () : fm_op_test_cpu (2);
  FmStepSize size = { "small", 4, 32, 4, 128, 4, 24, 10, TRUE, FALSE, 0.1 };
  g_autoptr (GArray) whole = g_array_new (FALSE, FALSE, 4), again = g_array_new (FALSE, FALSE, 4);
  gfloat losses[2][3], norms[2][3];
  FmPlan plan[2];

  if (device == NULL)
    return;
  for (guint k = 0; k < 2; k++)
    {
      size.recompute = k;
      steps_of (&size, device, losses[k], norms[k], k ? again : whole, &plan[k]);
    }
  g_assert_cmpmem (losses[0], sizeof losses[0], losses[1], sizeof losses[1]);
  g_assert_cmpmem (norms[0], sizeof norms[0], norms[1], sizeof norms[1]);
  g_assert_cmpmem (whole->data, whole->len * 4, again->data, again->len * 4);
  g_assert_cmpfloat (losses[0][2], <, losses[0][0]);
  g_assert_cmpuint (plan[1].arena_bytes, <, plan[0].arena_bytes * 6 / 10);
}

static void
test_recompute_plan (void)
{
  FmStepSize size = fm_step_t2;
  FmPlan plan[2];
  FmCost cost[2];

  for (guint k = 0; k < 2; k++)
    {
      g_autoptr (FmGraph) g = NULL;

      size.recompute = k;
      g = fm_step_graph (&size);
      g_assert_true (fm_graph_plan (g, "cpu", &plan[k], &cost[k], NULL));
    }
  g_test_message ("T2 whole %.1f MB and %.1f GFLOP, recomputed %.1f MB and %.1f GFLOP", plan[0].arena_bytes / 1e6,
                  cost[0].flops / 1e9, plan[1].arena_bytes / 1e6, cost[1].flops / 1e9);
  g_assert_cmpuint (plan[1].arena_bytes, <, plan[0].arena_bytes * 6 / 10);
  g_assert_cmpfloat (cost[1].flops, >, 1.2 * cost[0].flops); /* a third of a training step is forward */
  g_assert_cmpfloat (cost[1].flops, <, 1.36 * cost[0].flops);
}

static gint
by_size (gconstpointer a, gconstpointer b)
{
  gdouble x = *(const gdouble *) a, y = *(const gdouble *) b;

  return x < y ? -1 : x > y;
}

/* Time of a step of T2, built again over kept, in turns; for docs/speed.md. */
static void
test_recompute_time (void)
{
  FmStepSize size[2] = { fm_step_t2, fm_step_t2 };
  FmDevice *device = fm_op_test_cpu (2);
  FmProgram *program[2];
  FmGraph *g[2];
  g_autoptr (FmVariables) variables = fm_variables_new (device, 1);
  gdouble ratio[9], ms[9];

  size[1].recompute = TRUE;
  for (guint k = 0; k < 2; k++)
    {
      g[k] = fm_step_graph (&size[k]);
      program[k] = compile (g[k], device, variables);
      fm_step_write (program[k], &size[k], 1);
      run (program[k]);
    }
  for (guint i = 0; i < G_N_ELEMENTS (ratio); i++)
    {
      gint64 start = g_get_monotonic_time (), middle;

      run (program[0]);
      middle = g_get_monotonic_time ();
      run (program[1]);
      ratio[i] = (gdouble) (g_get_monotonic_time () - middle) / (middle - start);
      ms[i] = (middle - start) / 1e3;
    }
  qsort (ratio, G_N_ELEMENTS (ratio), sizeof *ratio, by_size);
  qsort (ms, G_N_ELEMENTS (ms), sizeof *ms, by_size);
  g_test_message ("T2: %.0f ms kept, recomputed %.2f times that", ms[4], ratio[4]);
  g_test_minimized_result (ratio[4], "time of a recomputed step over a kept one");
  for (guint k = 0; k < 2; k++)
    {
      fm_program_free (program[k]);
      fm_graph_free (g[k]);
    }
}

/* A node that reads a state which is then written is not built again: its copy would read the new value. */
static void
test_recompute_state (void)
{
  FmDevice *device = fm_op_test_cpu (1);
  gfloat got[2][3];

  for (guint k = 0; k < 2; k++)
    {
      g_autoptr (FmVariables) variables = fm_variables_new (device, 3);
      g_autoptr (FmGraph) g = fm_graph_new ();
      g_autoptr (FmProgram) program = NULL;
      FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (3)), *state, *h, *gradient;
      gfloat in[3] = { 1, 2, 3 };

      state = fm_state (g, "scale", FM_F32, FM_SHAPE (3), fm_init_constant (2.0));
      if (k)
        fm_graph_begin_recompute (g);
      h = fm_mul (g, fm_exp (g, x), fm_add_scalar (g, state, 1.0)); /* 3 exp (x) */
      fm_assign (g, state, fm_add_scalar (g, state, 5.0));
      if (k)
        fm_graph_end_recompute (g);
      fm_grad (g, fm_sum_all (g, fm_square (g, h)), &x, 1, &gradient);
      fm_graph_output (g, "gradient", gradient);
      program = compile (g, device, variables);
      write (program, "x", in, sizeof in);
      run (program);
      g_assert_true (fm_program_read (program, "gradient", got[k], sizeof got[k], NULL));
      for (guint i = 0; i < 3; i++)
        g_assert_cmpfloat_with_epsilon (got[k][i], 18.0 * exp (2.0 * in[i]), 1e-4 * exp (2.0 * in[i]));
    }
  g_assert_cmpmem (got[0], sizeof got[0], got[1], sizeof got[1]);
}

int
main (int argc, char **argv)
{
  static const Way ways[] = { { 0, FALSE, FALSE }, { 0.9, FALSE, FALSE }, { 0.9, TRUE, FALSE },
                              { 0, FALSE, TRUE }, { 0.9, FALSE, TRUE }, { 0.9, TRUE, TRUE } };

  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (ways); i++)
    {
      g_autofree char *name = g_strdup_printf ("/optimizer/sgd-%g%s/%s", ways[i].momentum, ways[i].nesterov ? "-nesterov" : "",
                                               ways[i].vulkan ? "vulkan" : "cpu");

      if (!ways[i].vulkan || g_test_slow ())
        g_test_add_data_func (name, &ways[i], test_sgd);
    }
  g_test_add_func ("/optimizer/accumulate", test_accumulate);
  g_test_add_func ("/optimizer/accumulate-memory", test_accumulate_memory);
  g_test_add_func ("/optimizer/averages", test_averages);
  g_test_add_func ("/optimizer/schedule", test_schedule);
  g_test_add_func ("/parameters/frozen", test_frozen);
  g_test_add_func ("/parameters/groups", test_groups);
  g_test_add_func ("/parameters/tied", test_tied);
  g_test_add_func ("/parameters/bound", test_bound);
  g_test_add_data_func ("/recompute/bits/cpu", GINT_TO_POINTER (FALSE), test_recompute);
#if FM_HAVE_VULKAN
  if (g_test_slow ())
    g_test_add_func ("/optimizer/one-submission", test_one_submission);
#endif
  if (g_test_slow ())
    g_test_add_data_func ("/recompute/bits/vulkan", GINT_TO_POINTER (TRUE), test_recompute);
  g_test_add_func ("/recompute/plan", test_recompute_plan);
  if (g_test_perf ())
    g_test_add_func ("/recompute/time", test_recompute_time);
  g_test_add_func ("/recompute/state", test_recompute_state);
  return g_test_run ();
}
