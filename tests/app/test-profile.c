/* test-profile.c: every node of a program has its place, phase and time, the tree adds up, and the trace is one that
 * Perfetto reads: the rules of Google's "Trace Event Format" (2016) for complete and metadata events. */
#include "app/run/profile.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#define RUNS 3

typedef struct
{
  FmDevice    *device;
  FmGraph     *graph;
  FmVariables *variables;
  FmProgram   *program;
} Fixture;

/* Two layers and a training step. */
static void
set_up (Fixture *f, gconstpointer data)
{
  static const FmOptimizer adamw = { 0.9, 0.999, 1e-8, 0.01, 1.0 };
  g_autoptr (GError) error = NULL;
  FmGraph *g = f->graph = fm_graph_new ();
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (8, 16));

  for (int layer = 0; layer < 2; layer++)
    {
      fm_graph_push_scope (g, "layers.%d", layer);
      fm_graph_push_scope (g, "mixer");
      x = fm_sigmoid (g, fm_mul_scalar (g, fm_linear (g, fm_norm (g, x, "norm"), 16, "q"), 2.0)); /* one chain */
      fm_graph_pop_scope (g);
      fm_graph_pop_scope (g);
    }
  fm_train_step (g, fm_sum_all (g, fm_square (g, x)), &adamw);
  f->device = fm_device_open ("cpu", 1, &error);
  g_assert_no_error (error);
  f->variables = fm_variables_new (f->device, 1);
  f->program = fm_program_new (g, f->device, f->variables, &error);
  g_assert_no_error (error);
  fm_program_set_profiling (f->program, TRUE);
  for (gint32 step = 1; step <= RUNS; step++)
    {
      const gfloat rate = 1e-3f;

      g_assert_true (fm_program_write (f->program, "@rate", &rate, 4, &error));
      g_assert_true (fm_program_write (f->program, "@step", &step, 4, &error));
      g_assert_true (fm_program_run (f->program, &error));
    }
  g_assert_no_error (error);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  fm_program_free (f->program);
  fm_variables_unref (f->variables);
  fm_graph_free (f->graph);
  fm_device_unref (f->device);
}

static void
test_nodes (Fixture *f, gconstpointer data)
{
  g_autoptr (GArray) nodes = fm_program_get_nodes (f->program), ops = fm_program_get_profile (f->program);
  gdouble end = 0, sum = 0, by_op = 0;
  guint phases[3] = { 0 }, chains = 0;

  for (guint i = 0; i < nodes->len; i++)
    {
      const FmNodeProfile *node = &g_array_index (nodes, FmNodeProfile, i);

      g_assert_cmpuint (node->calls, ==, RUNS);
      g_assert_cmpfloat (node->last_s, >, 0);
      g_assert_cmpfloat (node->seconds, >=, node->last_s);
      g_assert_cmpfloat (node->start_s, >=, end - 1e-9); /* one after the other */
      end = node->start_s + node->last_s;
      phases[node->phase]++;
      sum += node->seconds;
      chains += node->inside && g_str_has_suffix (node->inside, "mul-scalar, sigmoid")
                && g_str_has_prefix (node->scope, "layers.") && node->phase == FM_PHASE_FORWARD;
      if (g_str_equal (node->op, "adamw"))
        g_assert_cmpint (node->phase, ==, FM_PHASE_OPTIMIZER);
      if (g_str_equal (node->op, "layer-norm-backward"))
        {
          g_assert_cmpint (node->phase, ==, FM_PHASE_BACKWARD);
          g_assert_true (g_str_has_prefix (node->scope, "layers."));
        }
    }
  g_assert_cmpuint (chains, >, 0);
  g_assert_cmpuint (phases[FM_PHASE_FORWARD], >, 0);
  g_assert_cmpuint (phases[FM_PHASE_BACKWARD], >, 0);
  g_assert_cmpuint (phases[FM_PHASE_OPTIMIZER], >, 0);
  for (guint i = 0; i < ops->len; i++)
    by_op += g_array_index (ops, FmProfileRow, i).seconds;
  g_assert_cmpfloat (fabs (sum - by_op), <, 1e-9);
}

static const FmProfileTree *
find (const FmProfileTree *tree, const char *name)
{
  for (guint i = 0; tree->children && i < tree->children->len; i++)
    if (g_str_equal (((FmProfileTree *) g_ptr_array_index (tree->children, i))->name, name))
      return g_ptr_array_index (tree->children, i);
  g_error ("%s has no %s", tree->name, name);
}

/* Every folder is what lies in it. */
static void
check_sums (const FmProfileTree *tree)
{
  gdouble seconds = 0, flops = 0, floor_s = 0;
  guint64 nodes = 0;

  if (tree->children == NULL)
    return;
  for (guint i = 0; i < tree->children->len; i++)
    {
      const FmProfileTree *below = g_ptr_array_index (tree->children, i);

      g_assert_cmpuint (below->depth, ==, tree->depth + 1);
      seconds += below->seconds;
      flops += below->cost.flops;
      floor_s += below->floor_s;
      nodes += below->nodes;
      check_sums (below);
    }
  g_assert_cmpuint (nodes, ==, tree->nodes);
  g_assert_cmpfloat (fabs (seconds - tree->seconds), <, 1e-9);
  g_assert_cmpfloat (fabs (flops - tree->cost.flops), <=, 1e-6 * flops);
  g_assert_cmpfloat (fabs (floor_s - tree->floor_s), <=, 1e-6 * floor_s);
}

static void
test_tree (Fixture *f, gconstpointer data)
{
  const FmRoof roof = { .flops_per_s = 1e11, .read_bytes_per_s = 1e10 };
  g_autoptr (GArray) nodes = fm_program_get_nodes (f->program);
  g_autoptr (FmProfileTree) tree = fm_profile_tree (nodes, &roof);
  g_autofree char *folded = fm_profile_tree_to_text (tree, 2), *whole = fm_profile_tree_to_text (tree, 9);
  const FmProfileTree *forward = find (tree, "forward"), *layer = find (find (tree, "backward"), "layers.1");

  g_assert_cmpuint (tree->nodes, ==, nodes->len);
  check_sums (tree);
  g_assert_cmpuint (find (find (forward, "layers.0"), "mixer")->nodes, >=, 2);
  g_assert_cmpuint (find (layer, "mixer")->nodes, >=, 2);
  g_assert_nonnull (strstr (folded, "layers.1"));
  g_assert_null (strstr (folded, "mixer"));
  g_assert_nonnull (strstr (whole, "layer-norm [8,16]"));
}

static void
test_trace (Fixture *f, gconstpointer data)
{
  g_autoptr (GArray) nodes = fm_program_get_nodes (f->program);
  g_autoptr (FmTrace) trace = fm_trace_new ("formarium \"test\"", "cpu");
  g_autofree char *folder = g_dir_make_tmp ("formarium-trace-XXXXXX", NULL);
  g_autofree char *file = g_build_filename (folder, "trace.json", NULL), *text = NULL;
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GError) error = NULL;
  gdouble end = -1, begun = 0;
  JsonObject *root;
  JsonArray *events;
  guint n = 0, names = 0;

  fm_trace_add_run (trace, 5000000, nodes, NULL);
  fm_trace_add_run (trace, 5900000, nodes, NULL);
  g_assert_true (fm_trace_save (trace, file, &error));
  g_assert_true (json_parser_load_from_file (parser, file, &error));
  g_assert_no_error (error);
  root = json_node_get_object (json_parser_get_root (parser));
  events = json_object_get_array_member (root, "traceEvents");
  for (guint i = 0; i < json_array_get_length (events); i++)
    {
      JsonObject *event = json_array_get_object_element (events, i);
      const char *ph = json_object_get_string_member (event, "ph");
      gdouble ts, dur;

      g_assert_cmpint (json_object_get_int_member (event, "pid"), ==, 1);
      g_assert_cmpint (json_object_get_int_member (event, "tid"), ==, 1);
      g_assert_nonnull (json_object_get_object_member (event, "args"));
      if (g_str_equal (ph, "M"))
        {
          names += g_str_equal (json_object_get_string_member (event, "name"), "process_name")
                   || g_str_equal (json_object_get_string_member (event, "name"), "thread_name");
          continue;
        }
      g_assert_cmpstr (ph, ==, "X");
      g_assert_cmpstr (json_object_get_string_member (event, "name"), ==,
                       g_array_index (nodes, FmNodeProfile, n % nodes->len).op);
      ts = json_object_get_double_member (event, "ts");
      dur = json_object_get_double_member (event, "dur");
      g_assert_cmpfloat (dur, >, 0);
      g_assert_cmpfloat (ts, >=, end - 1e-3); /* slices of a thread must not overlap */
      end = ts + dur;
      if (n == nodes->len)
        begun = ts;
      n++;
    }
  g_assert_cmpuint (names, ==, 2);
  g_assert_cmpuint (n, ==, 2 * nodes->len);
  g_assert_cmpfloat (fabs (begun - 900000), <, 1.0); /* the second run began 0.9 s after the first */
  g_unlink (file);
  g_rmdir (folder);

  g_assert_false (fm_trace_save (trace, "/nowhere/at/all.json", &error));
  g_assert_error (error, G_FILE_ERROR, G_FILE_ERROR_NOENT);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/profile/nodes", Fixture, NULL, set_up, test_nodes, tear_down);
  g_test_add ("/profile/tree", Fixture, NULL, set_up, test_tree, tear_down);
  g_test_add ("/profile/trace", Fixture, NULL, set_up, test_trace, tear_down);
  return g_test_run ();
}
