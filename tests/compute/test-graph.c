/* test-graph.c: building, gradients, planning, variables, files: what lies above the ops. */
#include "config.h"

#include "compute/compute-private.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

static FmDevice *
cpu (guint threads)
{
  g_autoptr (GError) error = NULL;
  FmDevice *device = fm_device_open ("cpu", threads, &error);

  g_assert_no_error (error);
  return device;
}

static void
test_errors_stick (void)
{
  g_autoptr (FmGraph) g = fm_graph_new ();
  FmTensor *a = fm_graph_input (g, "a", FM_F32, FM_SHAPE (2, 3)), *bad, *more;

  fm_graph_push_scope (g, "layers.%d", 3);
  bad = fm_matmul (g, a, a, 0);
  g_assert_nonnull (fm_graph_get_error (g));
  g_assert_true (g_str_has_prefix (fm_graph_get_error (g)->message, "layers.3: matmul"));
  more = fm_add (g, fm_softmax (g, bad, 1.0), fm_linear (g, bad, 0, "q"));
  g_assert_true (more == bad); /* the poison tensor */
  g_assert_true (strstr (fm_graph_get_error (g)->message, "matmul") != NULL); /* the first reason */
  g_assert_null (fm_graph_find_variable (g, "layers.3.q.weight"));
}

static void
test_sizes_overflow (void)
{
  g_autoptr (FmGraph) g = fm_graph_new ();
  FmTensor *t = fm_constant (g, FM_F32, FM_SHAPE (G_MAXINT64 / 4, 16), 0.0);

  g_assert_true (t == g->poison);
  g_assert_true (strstr (fm_graph_get_error (g)->message, "overflows") != NULL);
}

static void
test_same_path (void)
{
  g_autoptr (FmGraph) g = fm_graph_new ();
  FmTensor *a, *b;

  fm_graph_push_scope (g, "model");
  fm_graph_set_root (g);
  fm_graph_push_scope (g, "layers.0");
  a = fm_param (g, "/table", FM_SHAPE (4), fm_init_zeros ());
  fm_graph_pop_scope (g);
  fm_graph_push_scope (g, "layers.1");
  b = fm_param (g, "/table", FM_SHAPE (4), fm_init_zeros ());
  g_assert_true (a == b);
  g_assert_nonnull (fm_graph_find_variable (g, "model.table"));
  fm_param (g, "/table", FM_SHAPE (5), fm_init_zeros ());
  g_assert_nonnull (fm_graph_get_error (g));
}

/* A random draw and an initial value depend on names, not on what else the graph holds. */
static void
draw (gboolean more, gfloat dropped[64], gfloat weight[16])
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmDevice) device = cpu (1);
  g_autoptr (FmVariables) variables = fm_variables_new (device, 5);
  g_autoptr (FmGraph) g = fm_graph_new ();
  g_autoptr (FmProgram) program = NULL;
  FmTensor *x = fm_constant (g, FM_F32, FM_SHAPE (64), 1.0);
  gint32 seed[2] = { 9, 0 }, step = 4;

  if (more)
    {
      FmTensor *other = fm_param (g, "other", FM_SHAPE (7), fm_init_normal (1.0));

      fm_graph_output (g, "other", fm_dropout (g, "noise", other, 0.5));
    }
  fm_graph_push_scope (g, "a");
  fm_graph_output (g, "y", fm_dropout (g, "drop", x, 0.5));
  fm_graph_output (g, "w", fm_mul_scalar (g, fm_param (g, "w", FM_SHAPE (16), fm_init_normal (1.0)), 1.0));
  fm_graph_set_application (g, 1);
  fm_graph_output (g, "y2", fm_dropout (g, "drop", x, 0.5));
  program = fm_program_new (g, device, variables, &error);
  g_assert_no_error (error);
  g_assert_true (fm_program_write (program, "@seed", seed, sizeof seed, &error));
  g_assert_true (fm_program_write (program, "@step", &step, sizeof step, &error));
  g_assert_true (fm_program_run (program, &error));
  g_assert_true (fm_program_read (program, "y", dropped, 64 * 4, &error));
  g_assert_true (fm_program_read (program, "w", weight, 16 * 4, &error));
  {
    gfloat second[64];

    g_assert_true (fm_program_read (program, "y2", second, sizeof second, &error));
    g_assert_cmpint (memcmp (second, dropped, sizeof second), !=, 0); /* another application, other draws */
  }
}

static void
test_keys_from_names (void)
{
  gfloat a[64], b[64], u[16], v[16];

  draw (FALSE, a, u);
  draw (TRUE, b, v);
  g_assert_cmpmem (a, sizeof a, b, sizeof b);
  g_assert_cmpmem (u, sizeof u, v, sizeof v);
}

static void
test_no_gradient_named (void)
{
  g_autoptr (FmGraph) g = fm_graph_new ();
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (1, 5, 4)), *y, *dx, *ddx;

  y = fm_crf_log_partition (g, x, fm_graph_input (g, "t", FM_F32, FM_SHAPE (4, 4)), NULL);
  fm_grad (g, fm_sum_all (g, fm_square (g, y)), &x, 1, &dx);
  g_assert_no_error (fm_graph_get_error (g));
  fm_grad (g, fm_sum_all (g, dx), &x, 1, &ddx);
  g_assert_nonnull (fm_graph_get_error (g));
  g_assert_true (strstr (fm_graph_get_error (g)->message, "crf-backward") != NULL);
}

/* d/dx of x^3 twice: gradients are graphs and can be differentiated again. */
static void
test_second_gradient (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmDevice) device = cpu (1);
  g_autoptr (FmVariables) variables = fm_variables_new (device, 0);
  g_autoptr (FmGraph) g = fm_graph_new ();
  g_autoptr (FmProgram) program = NULL;
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (3)), *d, *dd;
  gfloat in[3] = { 1, -2, 0.5f }, out[3];

  fm_grad (g, fm_sum_all (g, fm_mul (g, x, fm_mul (g, x, x))), &x, 1, &d);
  fm_grad (g, fm_sum_all (g, d), &x, 1, &dd);
  fm_graph_output (g, "dd", dd);
  program = fm_program_new (g, device, variables, &error);
  g_assert_no_error (error);
  g_assert_true (fm_program_write (program, "x", in, sizeof in, &error));
  g_assert_true (fm_program_run (program, &error));
  g_assert_true (fm_program_read (program, "dd", out, sizeof out, &error));
  for (guint i = 0; i < 3; i++)
    g_assert_cmpfloat_with_epsilon (out[i], 6 * in[i], 1e-5);
}

/* No two tensors that live at the same time may share a byte. Chains reuse memory, so the plan is far below the sum. */
static void
test_plan (void)
{
  g_autoptr (FmGraph) g = fm_graph_new ();
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (64, 64)), *y = x, *skip = NULL;
  g_autofree guint *first = NULL, *last = NULL;
  FmMemoryPlan *plan;
  guint n;

  for (guint i = 0; i < 20; i++)
    {
      y = fm_matmul (g, fm_gelu (g, y), x, 0);
      if (i == 3)
        skip = y;
    }
  y = fm_add (g, y, fm_transpose (g, skip, 0, 1));
  fm_graph_output (g, "y", fm_softmax (g, y, 1.0));
  plan = fm_memory_plan_new (g, FM_BACKEND_CPU, 1, 64, NULL);
  g_assert_nonnull (plan);
  n = g->tensors->len;
  first = g_new0 (guint, n);
  last = g_new0 (guint, n);
  for (guint k = 0; k < plan->nodes->len; k++)
    {
      FmNode *node = g_ptr_array_index (plan->nodes, k);

      for (guint i = 0; i < node->n_out; i++)
        first[node->out[i]->id] = last[node->out[i]->id] = k;
      for (guint i = 0; i < node->n_in; i++)
        last[node->in[i]->base->id] = k;
    }
  for (guint i = 0; i < g->outputs->len; i++)
    last[((FmTensor *) g_ptr_array_index (g->outputs, i))->base->id] = G_MAXUINT;
  for (guint a = 0; a < n; a++)
    for (guint b = 0; b < n; b++)
      {
        guint64 ao = plan->offset[a], bo = plan->offset[b];
        gsize an = fm_tensor_bytes (g_ptr_array_index (g->tensors, a));
        gsize bn = fm_tensor_bytes (g_ptr_array_index (g->tensors, b));

        if (a == b || ao == G_MAXUINT64 || bo == G_MAXUINT64 || ao >= bo + bn || bo >= ao + an)
          continue;
        /* They overlap: one must have died before the other came, or at the very node (in place). */
        g_assert_true (last[a] <= first[b] || last[b] <= first[a]);
      }
  g_assert_cmpuint (plan->bytes.arena_bytes, <=, 4 * 64 * 64 * 4 + plan->bytes.workspace_bytes);
  g_assert_cmpuint (plan->bytes.input_bytes, ==, 64 * 64 * 4);
  fm_memory_plan_free (plan);
}

static void
test_unread_is_not_built (void)
{
  g_autoptr (FmGraph) g = fm_graph_new ();
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (8));
  FmMemoryPlan *plan;

  fm_exp (g, x); /* nobody asks */
  fm_graph_output (g, "y", fm_neg (g, x));
  plan = fm_memory_plan_new (g, FM_BACKEND_CPU, 1, 64, NULL);
  g_assert_cmpuint (plan->nodes->len, ==, 1);
  fm_memory_plan_free (plan);
}

static FmProgram *
regression (FmGraph *g, FmDevice *device, FmVariables *variables)
{
  g_autoptr (GError) error = NULL;
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (4, 3)), *y;
  FmProgram *program;

  y = fm_square (g, fm_linear (g, x, 2, "f"));
  fm_train_step (g, fm_sum_all (g, y), &(FmOptimizer){ 0.9, 0.999, 1e-8, 0.0, 1.0 });
  program = fm_program_new (g, device, variables, &error);
  g_assert_no_error (error);
  return program;
}

static void
step (FmProgram *program, const gfloat x[12], gint32 number)
{
  g_autoptr (GError) error = NULL;
  gfloat rate = 0.1f;

  g_assert_true (fm_program_write (program, "x", x, 48, &error));
  g_assert_true (fm_program_write (program, "@rate", &rate, 4, &error));
  g_assert_true (fm_program_write (program, "@step", &number, 4, &error));
  g_assert_true (fm_program_run (program, &error));
}

static void
test_not_finite_changes_nothing (void)
{
  g_autoptr (FmDevice) device = cpu (1);
  g_autoptr (FmVariables) variables = fm_variables_new (device, 1);
  g_autoptr (FmGraph) g = fm_graph_new ();
  g_autoptr (FmProgram) program = regression (g, device, variables);
  gfloat x[12] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3 }, before[6], after[6], norm;

  step (program, x, 1);
  g_assert_true (fm_variables_read (variables, "f.weight", before, sizeof before, NULL));
  x[5] = INFINITY;
  step (program, x, 2);
  g_assert_true (fm_variables_read (variables, "f.weight", after, sizeof after, NULL));
  g_assert_cmpmem (before, sizeof before, after, sizeof after);
  g_assert_true (fm_program_read (program, "@norm", &norm, 4, NULL));
  g_assert_false (isfinite (norm));
}

static void
test_too_large (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmDevice) device = cpu (1);
  g_autoptr (FmVariables) variables = fm_variables_new (device, 1);
  g_autoptr (FmGraph) g = fm_graph_new ();
  FmTensor *x = fm_expand (g, fm_graph_input (g, "x", FM_F32, FM_SHAPE (1)), FM_SHAPE (1 << 20, 1 << 20));
  FmProgram *program;

  fm_graph_output (g, "y", fm_sum_all (g, fm_exp (g, x)));
  program = fm_program_new (g, device, variables, &error);
  g_assert_null (program);
  g_assert_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_MEMORY);
  g_assert_true (strstr (error->message, "needs 4398") != NULL); /* 4 TiB and its workspace */
}

/* --- Files --------------------------------------------------------------------------------------------------------*/

static void
test_safetensors (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmDevice) device = cpu (1);
  g_autoptr (FmVariables) a = fm_variables_new (device, 1), b = fm_variables_new (device, 2);
  g_autoptr (FmGraph) g = fm_graph_new (), h = fm_graph_new ();
  g_autoptr (FmProgram) p = regression (g, device, a), q = regression (h, device, b);
  g_autofree char *dir = g_dir_make_tmp ("fm-safetensors-XXXXXX", &error);
  g_autofree char *file = g_build_filename (dir, "x.safetensors", NULL);
  gfloat x[12] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3 }, wa[6], wb[6];

  step (p, x, 1);
  step (q, x, 1);
  g_assert_true (fm_variables_save (a, file, TRUE, &error));
  g_assert_true (fm_variables_load (b, file, &error));
  g_assert_no_error (error);
  step (p, x, 2);
  step (q, x, 2); /* moments came along: the next step agrees to the bit */
  g_assert_true (fm_variables_read (a, "f.weight", wa, sizeof wa, NULL));
  g_assert_true (fm_variables_read (b, "f.weight", wb, sizeof wb, NULL));
  g_assert_cmpmem (wa, sizeof wa, wb, sizeof wb);
  g_remove (file);
  g_rmdir (dir);
}

static void
test_safetensors_refused (void)
{
  static const struct { const char *header; gsize data; const char *says; } files[] = {
    { "{\"f.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
      "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[20,28]}}", 28, "overlaps" },
    { "{\"f.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[8,32]}}", 32, "hole" },
    { "{\"f.weight\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[0,24]}}", 24, "shape" },
    { "{\"f.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,20]}}", 20, "wrong type" },
    { "{\"f.weight\":{\"dtype\":\"F64\",\"shape\":[2,3],\"data_offsets\":[0,24]}}", 24, "wrong type" },
    { "{\"f.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}}", 16, "bytes" },
    { "{\"f.weight\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]}}", 0, "wrong type" },
    { "[1,2]", 0, "JSON object" },
    { "\xff\xfe", 0, "JSON object" },
  };
  g_autoptr (FmDevice) device = cpu (1);
  g_autoptr (FmVariables) v = fm_variables_new (device, 1);
  g_autoptr (FmGraph) g = fm_graph_new ();
  g_autoptr (FmProgram) p = regression (g, device, v);
  g_autofree char *dir = g_dir_make_tmp ("fm-safetensors-XXXXXX", NULL);
  g_autofree char *file = g_build_filename (dir, "x.safetensors", NULL);
  gfloat before[6], after[6];

  g_assert_true (fm_variables_read (v, "f.weight", before, sizeof before, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (files); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GByteArray) bytes = g_byte_array_new ();
      guint64 length = strlen (files[i].header);

      g_byte_array_append (bytes, (const guint8 *) &length, 8);
      g_byte_array_append (bytes, (const guint8 *) files[i].header, (guint) length);
      g_byte_array_set_size (bytes, bytes->len + (guint) files[i].data);
      memset (bytes->data + 8 + length, 1, files[i].data);
      g_assert_true (g_file_set_contents (file, (const char *) bytes->data, bytes->len, NULL));
      g_assert_false (fm_variables_load (v, file, &error));
      g_assert_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_FILE);
      if (strstr (error->message, files[i].says) == NULL)
        g_error ("file %u: “%s” does not say “%s”", i, error->message, files[i].says);
    }
  {
    static const char * const texts[] = { "", "1234567", "\xff\xff\xff\xff\xff\xff\xff\x7f{}" };

    for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
      {
        g_autoptr (GError) error = NULL;

        g_assert_true (g_file_set_contents (file, texts[i], -1, NULL));
        g_assert_false (fm_variables_load (v, file, &error));
        g_assert_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_FILE);
      }
  }
  g_assert_true (fm_variables_read (v, "f.weight", after, sizeof after, NULL));
  g_assert_cmpmem (before, sizeof before, after, sizeof after); /* a refused file changes nothing */
  g_remove (file);
  g_rmdir (dir);
}

/* --- Hooks --------------------------------------------------------------------------------------------------------*/

/* y = f (x) + 2 x: calls the builder itself, which must not come back here. */
static FmTensor *
add_twice (FmGraph *g, const FmHookCall *call, gpointer user_data)
{
  guint *calls = user_data;

  (*calls)++;
  g_assert_cmpstr (call->path, ==, "layers.0.q");
  return fm_add (g, fm_linear (g, call->x, call->width, "q"), fm_mul_scalar (g, call->x, 2.0));
}

static FmTensor *
look_on (FmGraph *g, const FmHookCall *call, gpointer user_data)
{
  (*(guint *) user_data)++;
  return NULL;
}

static void
test_hooks (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmDevice) device = cpu (1);
  g_autoptr (FmVariables) variables = fm_variables_new (device, 1);
  g_autoptr (FmGraph) g = fm_graph_new ();
  g_autoptr (FmProgram) program = NULL;
  guint first = 0, second = 0, at = 0, attention = 0;
  gfloat in[3] = { 1, 2, 3 }, out[3], weight[9], q[4] = { 0 };
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (1, 3)), *y, *t;

  fm_graph_add_hook (g, FM_HOOK_LINEAR, look_on, &first);
  fm_graph_add_hook (g, FM_HOOK_LINEAR, add_twice, &second);
  fm_graph_add_hook (g, FM_HOOK_AT, look_on, &at);
  fm_graph_add_hook (g, FM_HOOK_ATTENTION, look_on, &attention);
  fm_graph_push_scope (g, "layers.0");
  y = fm_at (g, fm_linear (g, x, 3, "q"), "out");
  t = fm_graph_input (g, "t", FM_F32, FM_SHAPE (1, 1, 2, 2));
  fm_graph_output (g, "a", fm_attention (g, "attention", t, t, t, 1.0, &(FmAttentionMask){ 0 }));
  fm_graph_pop_scope (g);
  fm_graph_output (g, "y", y);
  program = fm_program_new (g, device, variables, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (first, ==, 1);
  g_assert_cmpuint (second, ==, 1);
  g_assert_cmpuint (at, ==, 1);
  g_assert_cmpuint (attention, ==, 1);
  g_assert_true (fm_program_write (program, "x", in, sizeof in, &error));
  g_assert_true (fm_program_write (program, "t", q, sizeof q, &error));
  g_assert_true (fm_program_run (program, &error));
  g_assert_true (fm_program_read (program, "y", out, sizeof out, &error));
  g_assert_true (fm_variables_read (variables, "layers.0.q.weight", weight, sizeof weight, &error));
  for (guint i = 0; i < 3; i++)
    g_assert_cmpfloat_with_epsilon (
        out[i], 2 * in[i] + weight[3 * i] * in[0] + weight[3 * i + 1] * in[1] + weight[3 * i + 2] * in[2], 1e-5);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/graph/errors-stick", test_errors_stick);
  g_test_add_func ("/graph/sizes-overflow", test_sizes_overflow);
  g_test_add_func ("/graph/same-path", test_same_path);
  g_test_add_func ("/graph/keys-from-names", test_keys_from_names);
  g_test_add_func ("/graph/no-gradient-named", test_no_gradient_named);
  g_test_add_func ("/graph/second-gradient", test_second_gradient);
  g_test_add_func ("/graph/hooks", test_hooks);
  g_test_add_func ("/plan/no-overlap", test_plan);
  g_test_add_func ("/plan/unread-is-not-built", test_unread_is_not_built);
  g_test_add_func ("/program/not-finite-changes-nothing", test_not_finite_changes_nothing);
  g_test_add_func ("/program/too-large", test_too_large);
  g_test_add_func ("/variables/safetensors", test_safetensors);
  g_test_add_func ("/variables/safetensors-refused", test_safetensors_refused);
  return g_test_run ();
}
