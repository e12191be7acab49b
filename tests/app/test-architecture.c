/* test-architecture.c: architectures as data, models as functions, the doors a builder finds. */
#include "config.h"

#include "app/architecture/architecture-private.h"
#include "compute/compute-private.h"

#include <math.h>
#include <string.h>

static const FmOptimizer adamw = { 0.9, 0.999, 1e-8, 0.01, 1.0 };

static FmTask *
task_new (const char *id)
{
  g_autoptr (GError) error = NULL;
  FmTask *task = fm_task_new (id, NULL, &error);

  g_assert_no_error (error);
  return task;
}

static FmArchitecture *
architecture_new (const char *mixer, const char *feedforward)
{
  g_autoptr (GError) error = NULL;
  FmArchitecture *a = fm_architecture_new (2, 16, 24, &error);

  g_assert_no_error (error);
  g_assert_true (fm_architecture_set (a, FM_ROLE_MIXER, -1, mixer, NULL, &error));
  g_assert_true (fm_architecture_set (a, FM_ROLE_FEEDFORWARD, -1, feedforward, NULL, &error));
  g_assert_no_error (error);
  return a;
}

/* Three training steps; every variable, moments included, as one byte array. */
static GByteArray *
train (const char *task_id, gboolean probes, guint threads)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmTask) task = task_new (task_id);
  g_autoptr (FmArchitecture) a = architecture_new ("softmax-attention", "switch");
  g_autoptr (FmModel) model = fm_model_new (a, task, "");
  g_autoptr (FmModelGraph) mg = fm_model_graph_new (model, FM_MODE_TRAIN, 4, &adamw, probes, &error);
  g_autoptr (FmDevice) device = fm_device_open ("cpu", threads, &error);
  g_autoptr (FmVariables) variables = fm_variables_new (device, 3);
  g_autoptr (FmProgram) program = NULL;
  g_autoptr (GPtrArray) paths = NULL;
  GByteArray *bytes = g_byte_array_new ();

  g_assert_no_error (error);
  program = fm_program_new (mg->graph, device, variables, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (mg->probes->len, ==, probes ? 4 : 0); /* attention and routing of two layers */
  g_assert_cmpuint (mg->logs->len, ==, 6);                /* balance, load, dropped of two layers */
  for (gint32 step = 1; step <= 3; step++)
    {
      g_auto (FmBatch) batch = { 0 };
      gfloat rate = 1e-2f, loss;

      g_assert_true (fm_task_batch (task, "train", 3, (guint64) step, 4, &batch, &error));
      g_assert_true (fm_model_write_batch (mg, program, &batch, &error));
      g_assert_true (fm_program_write (program, "@rate", &rate, 4, &error));
      g_assert_true (fm_program_write (program, "@step", &step, 4, &error));
      g_assert_true (fm_program_run (program, &error));
      g_assert_true (fm_program_read (program, "@loss", &loss, 4, &error));
      g_assert_true (isfinite (loss));
    }
  paths = fm_variables_paths (variables);
  for (guint i = 0; i < paths->len; i++)
    {
      FmShape shape;
      gsize n;
      g_autofree gfloat *data = NULL;

      g_assert_true (fm_variables_get_shape (variables, g_ptr_array_index (paths, i), NULL, &shape));
      g_assert_true (fm_size_product (shape.dims, shape.rank, &n));
      data = g_new (gfloat, n);
      g_assert_true (fm_variables_read (variables, g_ptr_array_index (paths, i), data, n * 4, &error));
      g_byte_array_append (bytes, (const guint8 *) data, (guint) (n * 4));
    }
  return bytes;
}

static void
test_probe_changes_no_bit (void)
{
  g_autoptr (GByteArray) closed = train ("mqar", FALSE, 1);
  g_autoptr (GByteArray) open = train ("mqar", TRUE, 1);
  g_autoptr (GByteArray) two = train ("mqar", FALSE, 2);

  g_assert_cmpmem (closed->data, closed->len, open->data, open->len);
  g_assert_cmpmem (closed->data, closed->len, two->data, two->len);
}

static void
test_ragged (void)
{
  g_autoptr (GByteArray) bytes = train ("listops", FALSE, 1);

  g_assert_cmpuint (bytes->len, >, 0);
}

/* One step over two models, each applied twice: parameters are shared within a model and apart between models, and two
 * applications of one model to one input give twice the gradient of one. */
static void
test_two_models (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmTask) task = task_new ("mqar");
  g_autoptr (FmArchitecture) small = architecture_new ("linear-attention", "mlp");
  g_autoptr (FmArchitecture) other = architecture_new ("softmax-attention", "swiglu");
  g_autoptr (FmModel) student = fm_model_new (small, task, "student");
  g_autoptr (FmModel) teacher = fm_model_new (other, task, "teacher");
  g_autoptr (FmGraph) g = fm_graph_new ();
  g_autoptr (FmDevice) device = fm_device_open ("cpu", 1, &error);
  g_autoptr (FmVariables) variables = fm_variables_new (device, 3);
  g_autoptr (FmProgram) program = NULL;
  const FmTaskInput *in = &fm_task_get_info (task)->inputs[0];
  const FmTaskTarget *out = &fm_task_get_info (task)->targets[0];
  FmValues *inputs = fm_values_new (), *targets = fm_values_new ();
  FmPass pass = { .mode = FM_MODE_TRAIN };
  FmTensor *once, *twice, *taught, *w, *d[2];
  g_autofree gfloat *a = NULL, *b = NULL;
  g_auto (FmBatch) batch = { 0 };
  guint variables_before;
  gint64 n;

  fm_values_set (inputs, in->name, fm_graph_input (g, in->name, FM_I32, FM_SHAPE (2, in->length)));
  fm_values_set (targets, out->name, fm_graph_input (g, "target:answer", FM_I32, FM_SHAPE (2, in->length)));
  fm_model_begin_graph (student, g, FALSE, NULL);
  fm_model_begin_graph (teacher, g, FALSE, NULL);
  once = fm_task_loss (g, student, fm_apply (g, student, inputs, &pass), targets);
  variables_before = g_hash_table_size (g->variables);
  twice = fm_add (g, once, fm_task_loss (g, student, fm_apply (g, student, inputs, &pass), targets));
  g_assert_cmpuint (g_hash_table_size (g->variables), ==, variables_before);
  taught = fm_task_loss (g, teacher, fm_apply (g, teacher, inputs, &pass), targets);
  taught = fm_add (g, taught, fm_task_loss (g, teacher, fm_apply (g, teacher, inputs, &pass), targets));
  w = fm_graph_find_variable (g, "student.layers.1.mixer.q.weight");
  g_assert_nonnull (w);
  g_assert_nonnull (fm_graph_find_variable (g, "teacher.layers.1.mixer.q.weight"));
  fm_grad (g, once, &w, 1, &d[0]);
  fm_grad (g, twice, &w, 1, &d[1]);
  fm_graph_output (g, "once", d[0]);
  fm_graph_output (g, "twice", d[1]);
  fm_train_step (g, fm_add (g, twice, taught), &adamw);
  g_assert_no_error (fm_graph_get_error (g));
  program = fm_program_new (g, device, variables, &error);
  g_assert_no_error (error);

  g_assert_true (fm_task_batch (task, "train", 3, 0, 2, &batch, &error));
  n = 2 * in->length;
  {
    gfloat rate = 1e-2f, loss;
    gint32 step = 1;

    g_assert_true (fm_program_write (program, in->name, batch.inputs[0].data, (gsize) n * 4, &error));
    g_assert_true (fm_program_write (program, "target:answer", batch.targets[0].data, (gsize) n * 4, &error));
    g_assert_true (fm_program_write (program, "@rate", &rate, 4, &error));
    g_assert_true (fm_program_write (program, "@step", &step, 4, &error));
    g_assert_true (fm_program_run (program, &error));
    g_assert_true (fm_program_read (program, "@loss", &loss, 4, &error));
    g_assert_true (isfinite (loss) && loss > 4.0f); /* four losses of an untrained model */
  }
  a = g_new (gfloat, 16 * 16);
  b = g_new (gfloat, 16 * 16);
  g_assert_true (fm_program_read (program, "once", a, 16 * 16 * 4, &error));
  g_assert_true (fm_program_read (program, "twice", b, 16 * 16 * 4, &error));
  for (guint i = 0; i < 16 * 16; i++)
    g_assert_cmpfloat_with_epsilon (b[i], 2 * a[i], 1e-6 + 1e-4 * fabsf (b[i]));
  fm_values_free (inputs);
  fm_values_free (targets);
}

static void
test_data (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmArchitecture) a = architecture_new ("softmax-attention", "mlp");
  g_autoptr (FmArchitecture) b = NULL;
  g_autofree char *identity = fm_architecture_identity (a), *json = fm_architecture_to_json (a);
  g_autofree char *again = NULL, *changed = NULL, *broken = NULL;
  const char * const heads[] = { "heads", "2", NULL };
  char *hash;

  b = fm_architecture_from_json (json, &error);
  g_assert_no_error (error);
  again = fm_architecture_identity (b);
  g_assert_cmpstr (identity, ==, again);
  g_assert_true (fm_architecture_set (b, FM_ROLE_MIXER, 1, "softmax-attention", heads, &error));
  changed = fm_architecture_identity (b);
  g_assert_cmpstr (identity, !=, changed);

  /* A plugin file that is not the one planned with. */
  broken = g_strdup (json);
  hash = strstr (broken, "\"hash\"");
  g_assert_nonnull (hash);
  hash = strchr (hash + 6, '"') + 1;
  *hash = *hash == '0' ? '1' : '0';
  g_assert_null (fm_architecture_from_json (broken, &error));
  g_assert_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT);
}

static void
refused (FmArchitecture *a, const char *task_id, const char *says)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmTask) task = task_new (task_id);

  g_assert_false (fm_architecture_check (a, task, &error));
  g_assert_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT);
  if (strstr (error->message, says) == NULL)
    g_error ("“%s” does not say “%s”", error->message, says);
}

static void
test_refused (void)
{
  g_autoptr (GError) error = NULL;
  const char * const heads[] = { "heads", "3", NULL }, * const many[] = { "heads", "0", NULL };
  const char * const typo[] = { "head", "2", NULL };
  g_autoptr (FmArchitecture) a = architecture_new ("softmax-attention", "mlp");
  g_autoptr (FmArchitecture) p = architecture_new ("pooling", "mlp");

  g_assert_null (fm_architecture_new (0, 16, 16, &error));
  g_assert_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT);
  g_clear_error (&error);
  g_assert_false (fm_architecture_set (a, FM_ROLE_MIXER, -1, "softmax-atention", NULL, &error));
  g_assert_true (strstr (error->message, "softmax-attention") != NULL); /* the nearest name */
  g_clear_error (&error);
  g_assert_false (fm_architecture_set (a, FM_ROLE_MIXER, -1, "softmax-attention", many, &error));
  g_assert_true (strstr (error->message, "between 1 and") != NULL);
  g_clear_error (&error);
  g_assert_false (fm_architecture_set (a, FM_ROLE_MIXER, -1, "softmax-attention", typo, &error));
  g_assert_true (strstr (error->message, "did you mean “heads”") != NULL);
  g_clear_error (&error);
  g_assert_true (fm_architecture_set (a, FM_ROLE_MIXER, 1, "softmax-attention", heads, &error));
  refused (a, "mqar", "does not divide width 16");
  fm_architecture_set_causal (p, TRUE);
  refused (p, "mqar", "cannot be causal");
}

/* One step of doors.c in three layers; its loss, and per layer what it recorded under @name. */
static gfloat
run_doors (const char *weight, const char *name, gfloat recorded[3], gdouble *tokens)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmTask) task = task_new ("mqar");
  g_autoptr (FmArchitecture) a = fm_architecture_new (3, 16, 24, &error);
  g_autoptr (FmModel) model = NULL;
  g_autoptr (FmModelGraph) mg = NULL;
  g_autoptr (FmDevice) device = fm_device_open ("cpu", 1, &error);
  g_autoptr (FmVariables) variables = fm_variables_new (device, 3);
  g_autoptr (FmProgram) program = NULL;
  g_auto (FmBatch) batch = { 0 };
  const char * const params[] = { "weight", weight, NULL };
  gfloat rate = 1e-2f, loss;
  gint32 step = 1;

  g_assert_true (fm_architecture_set (a, FM_ROLE_MIXER, -1, "doors", params, &error));
  g_assert_true (fm_architecture_set (a, FM_ROLE_FEEDFORWARD, -1, "mlp", NULL, &error));
  g_assert_true (fm_architecture_check (a, task, &error));
  model = fm_model_new (a, task, "");
  mg = fm_model_graph_new (model, FM_MODE_TRAIN, 4, &adamw, FALSE, &error);
  g_assert_no_error (error);
  program = fm_program_new (mg->graph, device, variables, &error);
  g_assert_no_error (error);
  g_assert_nonnull (fm_graph_find_variable (mg->graph, "scale"));
  g_assert_null (fm_graph_find_variable (mg->graph, "layers.0.mixer.scale"));

  g_assert_true (fm_task_batch (task, "train", 3, 0, 4, &batch, &error));
  g_assert_true (fm_model_write_batch (mg, program, &batch, &error));
  g_assert_true (fm_program_write (program, "@rate", &rate, 4, &error));
  g_assert_true (fm_program_write (program, "@step", &step, 4, &error));
  g_assert_true (fm_program_run (program, &error));
  g_assert_true (fm_program_read (program, "@loss", &loss, 4, &error));
  for (guint i = 0; i < mg->logs->len; i++)
    {
      const FmModelLog *log = g_ptr_array_index (mg->logs, i);

      if (g_str_equal (log->name, name))
        g_assert_true (fm_program_read (program, log->output, &recorded[log->layer], 4, &error));
    }
  *tokens = 0;
  for (gint64 i = 0; i < 4 * batch.inputs[0].dims[1]; i++)
    *tokens += ((const gint32 *) batch.inputs[0].data)[i];
  return loss;
}

/* The nearest earlier layer is the one that is read; a loss term adds its weight times its value and is logged without
 * the weight; inputs come by name. */
static void
test_doors (void)
{
  gfloat earlier[3], three[3], tokens[3], plain, more;
  gdouble expected;

  plain = run_doors ("0", "earlier", earlier, &expected);
  more = run_doors ("0.5", "three", three, &expected);
  run_doors ("0.5", "tokens", tokens, &expected);
  for (guint i = 0; i < 3; i++)
    {
      g_assert_cmpfloat (earlier[i], ==, i);
      g_assert_cmpfloat (three[i], ==, 3);
      g_assert_cmpfloat (tokens[i], ==, (gfloat) expected);
    }
  g_assert_cmpfloat_with_epsilon (more - plain, 3 * 0.5f * 3, 1e-5);
}

/* Slots are numbered in f32: more of them than it can count are refused, not mixed up. */
static void
test_too_many_slots (void)
{
  g_autoptr (GError) error = NULL;
  const FmTaskClass *cls = fm_task_class_find ("mqar");
  const char * const capacity[] = { "capacity", "100", NULL };
  g_autofree gpointer params = g_malloc0 (cls->params_size);
  g_autoptr (FmArchitecture) a = architecture_new ("pooling", "switch");
  g_autoptr (FmTask) task = NULL;

  fm_params_set_defaults (cls->params, params);
  g_assert_true (fm_params_set (cls->params, params, "length", "1048576", &error));
  task = fm_task_new ("mqar", params, &error);
  g_assert_no_error (error);
  g_assert_true (fm_architecture_check (a, task, &error)); /* 1.25 million slots are fine */
  g_assert_true (fm_architecture_set (a, FM_ROLE_FEEDFORWARD, -1, "switch", capacity, &error));
  g_assert_false (fm_architecture_check (a, task, &error));
  g_assert_nonnull (strstr (error->message, "2^24 slots"));
}

static void
test_missing_input (void)
{
  g_autoptr (FmArchitecture) a = architecture_new ("needs-domain", "mlp");

  refused (a, "mqar", "needs the input “domain”");
}

int
main (int argc, char **argv)
{
  g_autofree char *path = NULL;

  g_test_init (&argc, &argv, NULL);
  /* Beside the catalogue, doors.c; set before the first look at the plugins. */
  path = g_strdup_printf ("%s:%s/app/doors", g_getenv ("FORMARIUM_PLUGIN_PATH"), g_getenv ("G_TEST_BUILDDIR"));
  g_setenv ("FORMARIUM_PLUGIN_PATH", path, TRUE);
  g_test_add_func ("/architecture/doors", test_doors);
  g_test_add_func ("/architecture/missing-input", test_missing_input);
  g_test_add_func ("/architecture/too-many-slots", test_too_many_slots);
  g_test_add_func ("/architecture/data", test_data);
  g_test_add_func ("/architecture/refused", test_refused);
  g_test_add_func ("/architecture/probe-changes-no-bit", test_probe_changes_no_bit);
  g_test_add_func ("/architecture/ragged", test_ragged);
  g_test_add_func ("/architecture/two-models-two-applications", test_two_models);
  return g_test_run ();
}
