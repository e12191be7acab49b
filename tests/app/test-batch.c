/* test-batch.c: batch files, good and bad, and the plans made of them. */
#include "app/batch/plan.h"

#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <unistd.h>

#define HEAD "[batch]\ntask=fashion-mnist\nmixer=softmax-attention\nfeedforward=mlp\n"

static FmBatchPlan *
plan_text (const char *text, GError **error)
{
  g_autoptr (FmBatchFile) file = fm_batch_file_parse (text, -1, "/x/y.batch", error);

  return file ? fm_batch_plan_new (file, error) : NULL;
}

static FmBatchPlan *
good (const char *text)
{
  g_autoptr (GError) error = NULL;
  FmBatchPlan *plan = plan_text (text, &error);

  g_assert_no_error (error);
  g_assert_nonnull (plan);
  return plan;
}

/* --- Plans --------------------------------------------------------------------------------------------------------*/

static void
test_matrix (void)
{
  g_autoptr (FmBatchPlan) plan = good (
    "# comment\n[batch]\ntitle=Window sizes\ntask=fashion-mnist\nmixer=softmax-attention;local-attention\n"
    "feedforward=mlp\nlayers=2\nwidth=64\nseeds=3\nbudget=steps:1000\n\n[local-attention]\nwindow=4;8;16;\n");
  static const char * const labels[] = { "softmax-attention x mlp", "local-attention x mlp, window=4",
                                         "local-attention x mlp, window=8", "local-attention x mlp, window=16" };

  g_assert_cmpstr (plan->title, ==, "Window sizes");
  g_assert_cmpint (plan->n_variants, ==, 4); /* a window of a mixer that is not used makes no second copy */
  g_assert_cmpuint (plan->runs->len, ==, 12);
  g_assert_cmpuint (plan->stages->len, ==, 24);
  for (guint i = 0; i < plan->runs->len; i++)
    {
      const FmBatchRun *run = g_ptr_array_index (plan->runs, i);

      g_assert_cmpstr (run->variant, ==, labels[i / 3]);
      g_assert_cmpint (run->seed, ==, i % 3);
      g_assert_cmpint (run->steps, ==, 1000);
      g_assert_cmpint (fm_architecture_get_hidden (run->architecture), ==, 256);
      g_assert_cmpstr (run->train->kind, ==, FM_STAGE_KIND_TRAIN);
      g_assert_cmpstr (g_ptr_array_index (run->measure->inputs, 0), ==, run->train->id);
      g_assert_cmpuint (strlen (run->train->id), ==, 20);
    }
}

static void
test_pairs (void)
{
  g_autoptr (FmBatchPlan) plan = good (
    "[batch]\ntask=fashion-mnist\nseeds=5;7\ndevice=cpu\n"
    "variants=softmax-attention x mlp; pooling x mlp; softmax-attention x switch\n");

  g_assert_cmpint (plan->n_variants, ==, 3);
  g_assert_cmpuint (plan->runs->len, ==, 6);
  FmBatchRun *last = g_ptr_array_index (plan->runs, 5);
  g_assert_cmpstr (last->mixer, ==, "softmax-attention");
  g_assert_cmpstr (last->feedforward, ==, "switch");
  g_assert_cmpint (last->seed, ==, 7);
  g_assert_cmpstr (plan->title, ==, "y");
}

static void
test_per_layer (void)
{
  g_autoptr (FmBatchPlan) plan = good (
    "[batch]\ntask=fashion-mnist\nmixer=softmax-attention,pooling;pooling\nfeedforward=mlp\nlayers=2\nseeds=1\n");
  FmBatchRun *run = g_ptr_array_index (plan->runs, 0);

  g_assert_cmpuint (plan->runs->len, ==, 2);
  g_assert_cmpstr (run->mixer, ==, "softmax-attention,pooling");
  g_assert_cmpstr (fm_architecture_get_plugin (run->architecture, FM_ROLE_MIXER, 0)->descriptor->id, ==,
                   "softmax-attention");
  g_assert_cmpstr (fm_architecture_get_plugin (run->architecture, FM_ROLE_MIXER, 1)->descriptor->id, ==, "pooling");
}

/* `,` gives a parameter per layer; all the same is one value and keeps the stage's id. */
static void
test_per_layer_values (void)
{
  g_autoptr (FmBatchPlan) plan = good (
    "[batch]\ntask=fashion-mnist\nmixer=local-attention\nfeedforward=mlp\nlayers=2\nseeds=1\n"
    "[local-attention]\nwindow=4,8;16;8,8;8,4\n");
  g_autoptr (FmBatchPlan) plain = good (
    "[batch]\ntask=fashion-mnist\nmixer=local-attention\nfeedforward=mlp\nlayers=2\nseeds=1\n"
    "[local-attention]\nwindow=8\n");
  static const char * const labels[] = { "local-attention x mlp, window=4,8", "local-attention x mlp, window=16",
                                         "local-attention x mlp, window=8", "local-attention x mlp, window=8,4" };
  static const char * const windows[][2] = { { "4", "8" }, { "16", "16" }, { "8", "8" }, { "8", "4" } };

  g_assert_cmpuint (plan->runs->len, ==, 4);
  for (guint i = 0; i < 4; i++)
    {
      FmBatchRun *run = g_ptr_array_index (plan->runs, i);

      g_assert_cmpstr (run->variant, ==, labels[i]);
      for (gint layer = 0; layer < 2; layer++)
        {
          const FmPlugin *plugin = fm_architecture_get_plugin (run->architecture, FM_ROLE_MIXER, layer);
          g_autofree char *window
              = fm_params_get (plugin->descriptor->params,
                               fm_architecture_get_params (run->architecture, FM_ROLE_MIXER, layer), "window");

          g_assert_cmpstr (window, ==, windows[i][layer]);
        }
    }
  g_assert_cmpstr (((FmBatchRun *) g_ptr_array_index (plan->runs, 2))->train->id, ==,
                   ((FmBatchRun *) g_ptr_array_index (plain->runs, 0))->train->id);
}

#define MATRIX "[batch]\ntask=fashion-mnist\nmixer=softmax-attention;local-attention\nfeedforward=mlp;switch\n" \
               "layers=2;4\nseeds=2\n"
#define WINDOWS "[local-attention]\nwindow=8;16\n"

/* Of 2 x 2 x 2 and 2 windows: 12 variants, 24 runs. */
static void
test_patterns (void)
{
  static const struct { const char *lines; guint runs; } cases[] = {
    { "", 24 },
    { "exclude=local-attention\n", 8 },
    { "exclude=local-attention, window=16\n", 16 },
    { "exclude=local-attention, window=16, layers=4\n", 20 },
    { "exclude=local-attention x switch, window=16;softmax-attention, layers=4\n", 16 },
    { "exclude=window=16.0\n", 16 },
    { "exclude=seed=1, layers=4\n", 18 },
    { "include=softmax-attention\n", 8 },
    { "include=softmax-attention x mlp;window=8\n", 12 },
    { "include=switch\nexclude=layers=2\n", 6 },
    { "exclude=local-attention, fashion-mnist, cpu\n", 8 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *text = g_strconcat (MATRIX, cases[i].lines, WINDOWS, NULL);
      g_autoptr (FmBatchPlan) plan = good (text);

      g_test_message ("%s", cases[i].lines);
      g_assert_cmpuint (plan->runs->len, ==, cases[i].runs);
    }
}

/* A combination that cannot be built may be excluded. */
static void
test_exclude_impossible (void)
{
  g_autoptr (FmBatchPlan) plan = good (
    "[batch]\ntask=fashion-mnist\nmixer=softmax-attention\nfeedforward=mlp\nwidth=64;66\nseeds=1\n"
    "exclude=width=66, heads=4\n[softmax-attention]\nheads=4;2\n");

  g_assert_cmpuint (plan->runs->len, ==, 3);
}

/* --- Holds --------------------------------------------------------------------------------------------------------*/

static FmBatchRun *
run_of (FmBatchPlan *plan, guint index)
{
  return g_ptr_array_index (plan->runs, index);
}

static void
test_hold_parameters (void)
{
  g_autoptr (FmBatchPlan) plan = good (
    "[batch]\ntask=fashion-mnist\nmixer=softmax-attention;pooling\nfeedforward=mlp\nhidden=256\nseeds=1\n"
    "hold=parameters:1%;steps\n");
  g_autoptr (FmBatchPlan) alone = good (
    "[batch]\ntask=fashion-mnist\nmixer=pooling\nfeedforward=mlp\nhidden=256\nseeds=1\nhold=parameters\n");
  FmBatchRun *base = run_of (plan, 0), *other = run_of (plan, 1);
  gint64 n, by_n;
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (base->hidden, ==, 256);
  g_assert_cmpint (base->steps, ==, 1000);
  g_assert_cmpint (other->hidden, >, 256); /* pooling has no projections: the feed-forward takes their place */
  g_assert_cmpint (fm_architecture_get_hidden (other->architecture), ==, other->hidden);
  g_assert_null (other->unmet);
  g_assert_cmpint (run_of (alone, 0)->hidden, ==, 256);
  g_assert_cmpint (run_of (alone, 0)->parameters, <, base->parameters);
  /* Positions of 49 patches of width 64 are counted apart. */
  g_assert_cmpint (base->parameters_by_n, ==, 49 * 64);
  g_assert_cmpint (other->parameters_by_n, ==, 49 * 64);
  g_assert_true (fm_architecture_count (other->architecture, other->task, &n, &by_n, &error));
  g_assert_no_error (error);
  g_assert_cmpint (n, ==, other->parameters);
}

/* No F comes nearer, from above and from below. */
static void
test_nearest (void)
{
  static const char * const mixers[] = { "softmax-attention;pooling", "pooling;softmax-attention" };

  for (guint i = 0; i < 2; i++)
    {
      g_autofree char *text = g_strdup_printf ("[batch]\ntask=fashion-mnist\nmixer=%s\nfeedforward=mlp\nhidden=256\n"
                                               "seeds=1\nhold=parameters\n", mixers[i]);
      g_autoptr (FmBatchPlan) plan = good (text);
      FmBatchRun *base = run_of (plan, 0), *other = run_of (plan, 1);

      for (gint64 step = -1; step <= 1; step += 2)
        {
          g_autofree char *near = g_strdup_printf (
            "[batch]\ntask=fashion-mnist\nmixer=%s\nfeedforward=mlp\nhidden=%" G_GINT64_FORMAT "\nseeds=1\n"
            "hold=parameters\n", other->mixer, other->hidden + step);
          g_autoptr (FmBatchPlan) beside = good (near);
          gint64 n = run_of (beside, 0)->parameters;

          g_assert_cmpint (step * (n - other->parameters), >, 0);
          g_assert_cmpint (ABS (other->parameters - base->parameters), <=, ABS (n - base->parameters));
        }
    }
}

/* Too many parameters without any feed-forward: not ranked, with the reason. */
static void
test_unmet (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("formarium-batch-XXXXXX", &error);
  g_autofree char *path = g_build_filename (folder, "formarium.db", NULL);
  g_autoptr (FmStore) store = fm_store_open (path, FM_STORE_WRITE, &error);
  g_autoptr (GPtrArray) rows = NULL;
  g_autoptr (FmBatchPlan) plan = good (
    "[batch]\ntask=listops\nmixer=pooling;softmax-attention\nfeedforward=mlp\nhidden=4\nseeds=1\n"
    "hold=parameters:1%\n[listops]\nmax-length=64\n");
  gint64 batch;

  g_assert_null (run_of (plan, 0)->unmet);
  g_assert_nonnull (run_of (plan, 1)->unmet);
  g_assert_nonnull (strstr (run_of (plan, 1)->unmet, "hidden=1 "));
  g_assert_cmpint (fm_batch_plan_count_left (plan, NULL, NULL, &error), ==, 2);
  g_assert_true (fm_batch_plan_save (plan, store, &batch, &error));
  g_assert_no_error (error);
  rows = fm_store_load_results (store, batch, &error);
  g_assert_cmpuint (rows->len, ==, 2);
  for (guint i = 0; i < rows->len; i++)
    {
      FmResultRow *row = g_ptr_array_index (rows, i);

      g_assert_cmpstr (row->state, ==, g_str_equal (row->mixer, "pooling") ? "planned" : "skipped");
      if (!g_str_equal (row->mixer, "pooling"))
        g_assert_nonnull (strstr (row->reason, "cannot be held"));
    }
  g_clear_pointer (&store, fm_store_close);
  g_remove (path);
  g_rmdir (folder);
}

static void
test_hold_length (void)
{
  g_autoptr (FmBatchPlan) flops = good (
    "[batch]\ntask=fashion-mnist\nmixer=softmax-attention;pooling\nfeedforward=mlp\nseeds=1\nhold=flops\n");
  g_autoptr (FmBatchPlan) seconds = good (
    "[batch]\ntask=fashion-mnist\nmixer=softmax-attention;pooling\nfeedforward=mlp\nseeds=1\nhold=seconds\n");
  g_autoptr (FmBatchPlan) examples = good (
    "[batch]\ntask=fashion-mnist\nmixer=pooling\nfeedforward=mlp\nbatch=64;32\nseeds=1\nhold=examples\n");
  g_autoptr (FmBatchPlan) tokens = good (
    "[batch]\ntask=fashion-mnist\nmixer=pooling\nfeedforward=mlp\nseeds=1\nbudget=tokens:313600\n");
  g_autoptr (FmBatchPlan) rough = good (
    "[batch]\ntask=fashion-mnist\nmixer=pooling\nfeedforward=mlp\nseeds=1\nbudget=examples:96\n");
  g_autoptr (FmBatchPlan) bytes = good (
    "[batch]\ntask=fashion-mnist\nmixer=pooling;softmax-attention\nfeedforward=mlp\nseeds=1\nhold=bytes\n");

  g_assert_cmpint (run_of (flops, 0)->steps, ==, 1000);
  g_assert_cmpint (run_of (flops, 1)->steps, >, 1000);
  g_assert_cmpint (run_of (seconds, 0)->steps, ==, 1000);
  g_assert_cmpint (run_of (seconds, 1)->steps, >, 1000);
  g_assert_cmpint (run_of (examples, 0)->steps, ==, 1000);
  g_assert_cmpint (run_of (examples, 1)->steps, ==, 2000);
  g_assert_cmpint (run_of (tokens, 0)->steps, ==, 313600 / (49 * 64));
  g_assert_nonnull (run_of (rough, 0)->unmet); /* a step and a half */
  g_assert_nonnull (run_of (bytes, 1)->unmet);
  g_assert_nonnull (strstr (run_of (bytes, 1)->unmet, "more than the baseline's"));
}

/* Whatever bytes a file has, it is a plan or one sentence. */
static void
test_mutations (void)
{
  static const char seed[] = MATRIX "exclude=local-attention, window=16;seed=1\nhold=parameters:1%;flops\n"
                             "budget=steps:10\nhidden=8\n" WINDOWS;
  static const char alphabet[] = "=;,[]: x\n%-.0149eNa#";
  g_autoptr (GRand) rand = g_rand_new_with_seed (20260301);

  for (guint i = 0; i < 3000; i++)
    {
      g_autoptr (GString) text = g_string_new (seed);
      guint edits = (guint) g_rand_int_range (rand, 1, 6);
      g_autoptr (GError) error = NULL;
      g_autoptr (FmBatchFile) file = NULL;

      for (guint k = 0; k < edits && text->len > 2; k++)
        {
          gsize at = (gsize) g_rand_int_range (rand, 0, (gint32) text->len - 1);
          gssize length = g_rand_int_range (rand, 1, 12);
          char c = alphabet[g_rand_int_range (rand, 0, sizeof alphabet - 1)];

          switch (g_rand_int_range (rand, 0, 4))
            {
            case 0: text->str[at] = c; break;
            case 1: g_string_insert_c (text, (gssize) at, c); break;
            case 2: g_string_erase (text, (gssize) at, MIN ((gssize) (text->len - at), length)); break;
            default: text->str[at] = (char) g_rand_int_range (rand, 1, 256); break;
            }
        }
      file = fm_batch_file_parse (text->str, (gssize) text->len, "/x/y.batch", &error);
      if (file == NULL)
        {
          g_assert_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT);
          g_assert_null (strchr (error->message, '\n'));
          g_assert_true (g_utf8_validate (error->message, -1, NULL));
        }
    }
}

static const char *
first_train_id (FmBatchPlan *plan)
{
  return ((FmBatchRun *) g_ptr_array_index (plan->runs, 0))->train->id;
}

/* What determines a result changes the id; what does not leaves it. */
static void
test_ids (void)
{
  static const char * const same[] = { "title=Another\n", "# comment\n", "seeds=1\n", "layers=2\n", "hidden=256\n",
                                       "accumulate=1\n", "momentum=0.5\n", "schedule=cosine\n", "average=0\n",
                                       "rate=3e-3\n", "rate=0.003\n", "device=cpu\n", "budget=steps:1000\n" };
  static const char * const different[] = { "layers=1\n", "width=32\n", "hidden=128\n", "batch=32\n", "rate=1e-3\n",
                                            "warmup=5\n", "schedule=linear\n", "optimizer=sgd\n",
                                            "optimizer=sgd\nnesterov=true\n", "accumulate=2\n", "average=0.99\n",
                                            "recompute=1\n", "decay=0\n", "clip=0\n", "budget=steps:999\n",
                                            "seeds=1;2\n", "causal=true\n", "[softmax-attention]\nheads=2\n" };
  g_autoptr (FmBatchPlan) base = good (HEAD);

  for (guint i = 0; i < G_N_ELEMENTS (same); i++)
    {
      g_autofree char *text = g_strconcat (HEAD, same[i], NULL);
      g_autoptr (FmBatchPlan) plan = good (text);

      g_assert_cmpstr (first_train_id (plan), ==, first_train_id (base));
    }
  for (guint i = 0; i < G_N_ELEMENTS (different); i++)
    {
      g_autofree char *text = g_strconcat (HEAD, different[i], NULL);
      g_autoptr (FmBatchPlan) plan = good (text);

      g_assert_cmpstr (first_train_id (plan), !=, first_train_id (base));
      g_assert_cmpstr (plan->key, !=, base->key);
    }
}

/* A recipe goes through the runner's parser and writer to the worker: nothing may change on the way. */
static void
test_recipe (void)
{
  g_autoptr (FmBatchPlan) plan = good (HEAD "rate=1e-8\ndecay=3e-05\n");

  for (guint i = 0; i < plan->stages->len; i++)
    {
      const FmBatchStage *stage = g_ptr_array_index (plan->stages, i);
      g_autoptr (GError) error = NULL;
      g_autoptr (JsonNode) once = json_from_string (stage->recipe, &error);
      g_autofree char *text = once ? json_to_string (once, FALSE) : NULL;
      g_autofree char *hash = g_compute_checksum_for_string (G_CHECKSUM_SHA256, stage->recipe, -1);

      g_assert_no_error (error);
      g_assert_cmpstr (text, ==, stage->recipe);
      g_assert_true (g_str_has_prefix (hash, stage->id));
      if (g_str_equal (stage->kind, FM_STAGE_KIND_TRAIN))
        {
          g_assert_nonnull (strstr (text, "\"rate\":\"1e-08\""));
          g_assert_nonnull (strstr (text, "\"eps\":\"1e-08\""));
          g_assert_nonnull (strstr (text, "\"decay\":\"3e-05\""));
        }
    }
}

static void
test_set (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmBatchFile) file = fm_batch_file_parse (HEAD "seeds=2\n", -1, NULL, &error);
  g_autoptr (FmBatchPlan) plan = NULL;

  g_assert_no_error (error);
  g_assert_true (fm_batch_file_set (file, "seeds", "4", &error));
  g_assert_true (fm_batch_file_set (file, "budget", "steps:10", &error));
  g_assert_no_error (error);
  plan = fm_batch_plan_new (file, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (plan->runs->len, ==, 4);
  g_assert_cmpint (((FmBatchRun *) g_ptr_array_index (plan->runs, 0))->steps, ==, 10);
  g_assert_false (fm_batch_file_set (file, "device", "gpu", &error));
  g_assert_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT);
}

static void
test_examples (void)
{
  g_autofree char *first = g_build_filename (g_getenv ("FORMARIUM_SOURCE_DIR"), "examples", "first.batch", NULL);
  g_autofree char *vulkan = g_build_filename (g_getenv ("FORMARIUM_SOURCE_DIR"), "examples", "first-vulkan.batch",
                                              NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (FmBatchFile) a = fm_batch_file_load (first, &error);
  g_autofree char *tokens = g_build_filename (g_getenv ("FORMARIUM_SOURCE_DIR"), "examples", "tokens.batch", NULL);
  g_autoptr (FmBatchFile) b = NULL, c = NULL;
  g_autoptr (FmBatchPlan) plan = NULL, small = NULL, costs = NULL;

  g_assert_no_error (error);
  plan = fm_batch_plan_new (a, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (plan->runs->len, ==, 15);
  b = fm_batch_file_load (vulkan, &error);
  g_assert_no_error (error);
  g_assert_true (fm_batch_file_set (b, "device", "cpu", &error)); /* the plan alone; no Vulkan is needed here */
  small = fm_batch_plan_new (b, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (small->runs->len, ==, 5);
  c = fm_batch_file_load (tokens, &error);
  g_assert_no_error (error);
  costs = fm_batch_plan_new (c, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (costs->runs->len, ==, 6);
}

/* What is measured belongs to the measuring stage alone; asked for in another order it is the same; `forward` alone, which
 * is always measured, is what a batch that asks for nothing has. */
static void
test_measure (void)
{
#define MEASURED "[batch]\ntask=mqar\nmixer=softmax-attention\nfeedforward=mlp\ncausal=true\nseeds=1\n"
  g_autoptr (FmBatchPlan) plain = good (MEASURED), forward = good (MEASURED "measure=forward\n");
  g_autoptr (FmBatchPlan) some = good (MEASURED "measure=decode:64;train;decode:8\n");
  g_autoptr (FmBatchPlan) other = good (MEASURED "measure=train;forward;decode:08;decode:64;\n");

  g_assert_cmpstr (run_of (plain, 0)->measure->id, ==, run_of (forward, 0)->measure->id);
  g_assert_null (strstr (run_of (plain, 0)->measure->recipe, "\"measure\":["));
  g_assert_cmpstr (run_of (some, 0)->train->id, ==, run_of (plain, 0)->train->id);
  g_assert_cmpstr (run_of (some, 0)->measure->id, !=, run_of (plain, 0)->measure->id);
  g_assert_cmpstr (run_of (some, 0)->measure->id, ==, run_of (other, 0)->measure->id);
  g_assert_nonnull (strstr (run_of (some, 0)->measure->recipe, "\"measure\":[\"train\",\"decode:8\",\"decode:64\"]"));
}

static void
test_save (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("formarium-batch-XXXXXX", &error);
  g_autofree char *path = g_build_filename (folder, "formarium.db", NULL);
  g_autoptr (FmStore) store = fm_store_open (path, FM_STORE_WRITE, &error);
  g_autoptr (FmBatchPlan) plan = good (
    "[batch]\ntask=listops\nmixer=softmax-attention,local-attention\nfeedforward=mlp\nlayers=2\nseeds=2\n"
    "[listops]\nmax-length=64\n");
  g_autoptr (GPtrArray) rows = NULL, runs = NULL, stages = NULL;
  gint64 batch, again;

  g_assert_no_error (error);
  g_assert_cmpint (fm_batch_plan_count_left (plan, store, NULL, &error), ==, 4);
  g_assert_true (fm_batch_plan_save (plan, store, &batch, &error));
  g_assert_no_error (error);
  g_assert_true (fm_batch_plan_save (plan, store, &again, &error));
  g_assert_cmpint (again, ==, batch);
  /* How it is judged stands before the runs: a margin that comes later is refused, one that says the same is not. */
  {
    g_autoptr (FmBatchPlan) later = good (
      "[batch]\ntask=listops\nmixer=softmax-attention,local-attention\nfeedforward=mlp\nlayers=2\nseeds=2\n"
      "margin=accuracy:2 points\n[listops]\nmax-length=64\n");
    g_autoptr (FmBatchPlan) same = good (
      "[batch]\ntask=listops\nmixer=softmax-attention,local-attention\nfeedforward=mlp\nlayers=2\nseeds=2\n"
      "margin=accuracy:1 point;memory:5%\nlooks=1\n[listops]\nmax-length=64\n");

    g_assert_false (fm_batch_plan_save (later, store, &again, &error));
    g_assert_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT);
    g_assert_nonnull (strstr (error->message, "accuracy:2 points"));
    g_clear_error (&error);
    g_assert_true (fm_batch_plan_save (same, store, &again, &error));
    g_assert_no_error (error);
    g_assert_cmpint (again, ==, batch);
  }
  rows = fm_store_load_results (store, batch, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (rows->len, ==, 2);
  FmResultRow *row = g_ptr_array_index (rows, 0);
  g_assert_cmpstr (row->mixer, ==, "softmax-attention,local-attention");
  g_assert_cmpstr (row->task, ==, "listops");
  g_assert_cmpstr (row->device, ==, "cpu");
  g_assert_cmpstr (row->state, ==, "planned");
  g_assert_cmpfloat (row->chance_level, >, 0);
  g_assert_cmpfloat (row->best_shortcut_accuracy, >, 0);
  stages = fm_store_load_stages (store, batch, &error);
  g_assert_cmpuint (stages->len, ==, 4);
  FmStageRecord *stage = g_ptr_array_index (stages, 1);
  g_assert_cmpstr (stage->kind, ==, FM_STAGE_KIND_MEASURE);
  g_assert_cmpuint (stage->inputs->len, ==, 1);
  g_assert_cmpint (fm_batch_plan_count_left (plan, store, FM_STAGE_KIND_TRAIN, &error), ==, 2);

  g_clear_pointer (&store, fm_store_close);
  g_remove (path);
  g_rmdir (folder);
}

/* Absent data skips its runs and says why; once it is there the same batch goes on. Damaged data leaves no row. */
static void
test_data (void)
{
  static const char * const files[] = { "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
                                        "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz" };
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("formarium-batch-XXXXXX", &error);
  g_autofree char *path = g_build_filename (folder, "formarium.db", NULL);
  g_autoptr (FmStore) store = fm_store_open (path, FM_STORE_WRITE, &error);
  g_autoptr (FmBatchPlan) plan = good (HEAD "seeds=1\n");
  g_autoptr (GPtrArray) rows = NULL;
  gint64 batch;

  g_assert_no_error (error);
  g_setenv ("FORMARIUM_FASHION_MNIST_DIR", folder, TRUE);
  for (guint i = 0; i < G_N_ELEMENTS (files); i++)
    {
      g_autofree char *file = g_build_filename (folder, files[i], NULL);

      g_assert_true (g_file_set_contents (file, "cut short", -1, &error));
    }
  g_assert_false (fm_batch_plan_save (plan, store, &batch, &error));
  g_assert_error (error, FM_DATA_ERROR, FM_DATA_ERROR_CORRUPT);
  g_clear_error (&error);
  rows = fm_store_load_batches (store, &error);
  g_assert_cmpuint (rows->len, ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (files); i++)
    {
      g_autofree char *file = g_build_filename (folder, files[i], NULL);

      g_remove (file);
    }

  g_assert_true (fm_batch_plan_save (plan, store, &batch, &error));
  g_assert_no_error (error);
  g_clear_pointer (&rows, g_ptr_array_unref);
  rows = fm_store_load_results (store, batch, &error);
  g_assert_cmpstr (((FmResultRow *) g_ptr_array_index (rows, 0))->state, ==, "skipped");
  g_assert_nonnull (strstr (((FmResultRow *) g_ptr_array_index (rows, 0))->reason, "FORMARIUM_FASHION_MNIST_DIR"));

  g_unsetenv ("FORMARIUM_FASHION_MNIST_DIR");
  g_clear_pointer (&rows, g_ptr_array_unref);
  if (g_file_test ("/usr/share/datasets/fashion-mnist", G_FILE_TEST_IS_DIR))
    {
      g_assert_true (fm_batch_plan_save (plan, store, &batch, &error));
      g_assert_no_error (error);
      rows = fm_store_load_results (store, batch, &error);
      g_assert_cmpstr (((FmResultRow *) g_ptr_array_index (rows, 0))->state, ==, "planned");
      g_assert_cmpfloat (((FmResultRow *) g_ptr_array_index (rows, 0))->best_shortcut_accuracy, >, 0.1);
    }
  else
    g_test_skip ("Fashion-MNIST is not here: apt install dataset-fashion-mnist");

  g_clear_pointer (&store, fm_store_close);
  g_remove (path);
  g_rmdir (folder);
}

/* --- Bad input ----------------------------------------------------------------------------------------------------*/

typedef struct
{
  const char *text;
  const char *says[4]; /* each must be part of the sentence */
} Bad;

static const Bad bad[] = {
  { "", { "y.batch is empty", "[batch]" } },
  { " \n\n", { "is empty" } },
  { "# only this\n", { "no section [batch]" } },
  { "task=listops\n", { "line 1", "task stands before the first section" } },
  { "[batch\ntask=listops\n", { "line 1", "[NAME]" } },
  { "[batch]\nhello\n", { "line 2", "hello", "KEY=VALUE" } },
  /* Cut after so many characters, not bytes: found by the fuzzer of claims. */
  { "[batch]\n.””””””””””””””””””””””””””””””””\n", { "line 2", "KEY=VALUE" } },
  { "[batch”””””””””””””””””””””””””””””””\n", { "line 1", "[NAME]" } },
  { "[batch]\n=3\n", { "line 2", "KEY=VALUE" } },
  { HEAD "\n[batch]\nseeds=1\n", { "line 6", "[batch]", "line 1" } },
  { HEAD "seeds=1\nseeds=2\n", { "line 6", "seeds", "line 5" } },
  { HEAD "sedes=1\n", { "line 5", "sedes", "did you mean “seeds”" } },
  { HEAD "xyzzyq=1\n", { "line 5", "xyzzyq", "there are title" } },
  { HEAD "[softmax-atention]\nheads=2\n", { "line 5", "did you mean [softmax-attention]" } },
  { HEAD "[nothing-like-it]\n", { "line 5", "names no plugin and no task" } },
  { HEAD "[softmax-attention]\nhead=2\n", { "line 6", "did you mean “heads”" } },
  { "[batch]\ntask=fashion-mnsit\nmixer=pooling\nfeedforward=mlp\n", { "line 2", "fashion-mnsit", "fashion-mnist" } },
  { "[batch]\ntask=listops\nmixer=softmax\nfeedforward=mlp\n", { "line 3", "softmax", "softmax-attention" } },
  { "[batch]\ntask=listops\nmixer=pooling\nfeedforward=mpl\n", { "line 4", "mpl", "mlp" } },
  { "[batch]\ntask=listops\nmixer=pooling\n", { "has no feedforward" } },
  { "[batch]\ntask=listops\nfeedforward=mlp\n", { "has no mixer" } },
  { "[batch]\nmixer=pooling\nfeedforward=mlp\n", { "has no task" } },
  { "[batch]\ntask=listops\nmixer=pooling;pooling\nfeedforward=mlp\n", { "line 3", "pooling twice" } },
  { "[batch]\ntask=listops\nmixer=pooling;;softmax-attention\nfeedforward=mlp\n", { "line 3", "empty" } },
  { "[batch]\ntask=\nmixer=pooling\nfeedforward=mlp\n", { "line 2", "a value is missing" } },
  { HEAD "[softmax-attention]\nheads=4;2;4\n", { "line 6", "4 twice" } },
  { HEAD "[softmax-attention]\nheads=4;4.0\n", { "line 6", "4 twice" } },
  { HEAD "accumulate=7\n", { "line 5", "accumulate=7", "divide batch=64" } },
  { HEAD "optimizer=adam\n", { "line 5", "optimizer", "adamw" } },
  { HEAD "margin=accuracy:1\n", { "line 5", "margin=accuracy:1", "points" } },
  { HEAD "margin=latency:5\n", { "line 5", "latency:B%" } },
  { HEAD "margin=speed:5%\n", { "line 5", "memory:C%" } },
  { HEAD "margin=accuracy:0 points\n", { "line 5", "above 0" } },
  { HEAD "margin=accuracy:1 points;accuracy:2 points\n", { "line 5", "accuracy twice" } },
  { HEAD "looks=0\n", { "line 5", "looks=0", "from 1" } },
  { HEAD "looks=3.5\n", { "looks=3.5" } },
  { HEAD "look=3\n", { "line 5", "looks" } },
  { HEAD "compare=pooling\n", { "line 5", "VARIANT vs VARIANT" } },
  { HEAD "compare=pooling vs pooling\n", { "line 5", "with itself" } },
  { HEAD "compare=poling vs softmax-attention\n", { "line 5", "no variant", "poling" } },
  { HEAD "seeds=0\n", { "line 5", "seeds=0", "from 1" } },
  { HEAD "seeds=-1\n", { "seeds=-1" } },
  { HEAD "seeds=1e3\n", { "seeds=1e3" } },
  { HEAD "seeds=1;1\n", { "1 twice" } },
  { HEAD "seeds=1;-2\n", { "each seed" } },
  { HEAD "seeds=100000000000000000000\n", { "seeds=100000000000000000000" } },
  { HEAD "budget=steps:-1\n", { "line 5", "steps:-1", "from 0" } },
  { HEAD "budget=tokens:0\n", { "line 5", "tokens:0", "from 1" } },
  { HEAD "measure=decode:64\n", { "line 5", "decode:64", "causal=true" } },
  { HEAD "causal=true\nmeasure=decode\n", { "line 6", "decode:LEN" } },
  { HEAD "causal=true\nmeasure=prefill:0\n", { "line 6", "“prefill:0”", "1 to" } },
  { HEAD "causal=true\nmeasure=prefill:9999999999999999999\n", { "line 6", "1 to" } },
  { HEAD "measure=train:4\n", { "line 5", "takes no length" } },
  { HEAD "measure=trian\n", { "line 5", "did you mean “train”" } },
  { HEAD "measure=latency\n", { "line 5", "there are train" } },
  { HEAD "causal=true\nmeasure=decode:64;decode:064\n", { "line 6", "decode:64 twice" } },
  { HEAD "measure=\n", { "line 5", "measure" } },
  { HEAD "budget=steps:NaN\n", { "steps:NaN" } },
  { HEAD "budget=steps:100000000000000000000\n", { "whole number of steps" } },
  { HEAD "budget=1000\n", { "must be steps:N" } },
  { HEAD "budget=seconds:10\n", { "line 5", "cannot be repeated", "hold=seconds" } },
  { HEAD "budget=tokens:0.5\n", { "whole number of tokens" } },
  { HEAD "budget=flops:nan\n", { "number of flops" } },
  { HEAD "hold=params\n", { "line 5", "“params” cannot be held", "parameters, steps" } },
  { HEAD "hold=steps;flops\n", { "line 5", "steps and flops both fix how long" } },
  { HEAD "hold=flops;flops:2%\n", { "flops twice" } },
  { HEAD "hold=parameters:x%\n", { "percentage" } },
  { HEAD "hold=parameters:1\n", { "percentage" } },
  { HEAD "hold=steps:1%\n", { "counted exactly" } },
  { HEAD "hold=parameters\nhidden=64;128\n", { "line 5", "hidden=64;128", "keep one" } },
  { HEAD "hold=steps\nbudget=flops:1e12\n", { "line 5", "budget is one of flops", "hold=flops" } },
  { HEAD "hold=trials\n", { "line 5", "there are no trials to hold equal" } },
  { HEAD "hold=trials:1%\ntune=rate:0.1\n", { "line 5", "trials are counted exactly" } },
  { HEAD "tune=width:8,16\n", { "line 5", "“width” cannot be tuned", "rate, decay" } },
  { HEAD "tune=rate\n", { "line 5", "the values of rate are missing" } },
  { HEAD "tune=rate:0.1,0.1\n", { "line 5", "names rate=0.1 twice" } },
  { HEAD "tune=rate:0.1; rate:0.2\n", { "line 5", "names rate twice" } },
  { HEAD "tune=rate:fast\n", { "line 5", "rate=fast" } },
  { HEAD "tune=rate:0.1,0.2\nrate=0.3\n", { "line 5", "rate is to be chosen, but rate=0.3" } },
  { HEAD "tune=rate:0.1,0.2\nbudget=steps:0\n", { "line 5", "there is nothing to tune" } },
  { HEAD "tune=rate:0.1,0.2\nseeds=5;1000000\n", { "line 6", "the seed of the trials" } },
  { "[batch]\ntask=fashion-mnist\nmixer=softmax-attention;pooling\nfeedforward=mlp\nhold=trials\ntune=rate:0.1,0.2\n"
    "[pooling]\ntune=none\n", { "line 5", "pooling x mlp has 0 trials and softmax-attention x mlp has 2" } },
  { HEAD "exclude=softmax-atention\n", { "line 5", "did you mean “softmax-attention”" } },
  { HEAD "exclude=xyzzyq\n", { "line 5", "nothing in this batch is called “xyzzyq”" } },
  { HEAD "exclude=softmax-attention,heads=4\n", { "line 5", "gives no values" } },
  { HEAD "exclude=heads=4\n", { "line 5", "no values to “heads”" } },
  { HEAD "exclude=head=4\n[softmax-attention]\nheads=4;8\n", { "line 5", "did you mean “heads”" } },
  { HEAD "exclude=heads=5\n[softmax-attention]\nheads=4;8\n", { "line 5", "heads=5 is not in the matrix", "4;8" } },
  { HEAD "exclude=seed=3\n", { "line 5", "none of this batch's seeds" } },
  { HEAD "exclude=softmax-attention,\n", { "line 5", "nothing in this batch" } },
  { HEAD "exclude=softmax-attention, , mlp\n", { "line 5", "is empty" } },
  { HEAD "exclude=pooling x mlp\n", { "line 5", "no pair" } },
  { HEAD "exclude=mlp\n", { "leave nothing" } },
  { "[batch]\ntask=fashion-mnist\nmixer=softmax-attention;pooling\nfeedforward=mlp\nexclude=pooling, heads=8\n"
    "[softmax-attention]\nheads=4;8\n", { "line 5", "no combination is “pooling, heads=8”" } },
  { HEAD "rate=NaN\n", { "line 5", "rate=NaN", "number" } },
  { HEAD "rate=inf\n", { "rate=inf" } },
  { HEAD "rate=0\n", { "rate=0", "between" } },
  { HEAD "rate=-1\n", { "rate=-1", "between" } },
  { HEAD "width=NaN\n", { "width=NaN", "whole number" } },
  { HEAD "width=0\n", { "width=0", "between" } },
  { HEAD "width=100000000000000000000\n", { "width=1", "between" } },
  { HEAD "width=64.5\n", { "whole number" } },
  { HEAD "batch=100000000000000000000\n", { "batch=1", "between" } },
  { HEAD "layers=2,3\n", { "line 5", "per layer", "only parameters of plugins" } },
  { HEAD "[softmax-attention]\nheads=2,4,8\n", { "line 6", "heads=2,4,8", "3 layers", "layers=2" } },
  { HEAD "[softmax-attention]\nheads=2,\n", { "line 6", "heads" } },
  { HEAD "schedule=steps\n", { "schedule", "cosine" } },
  { HEAD "device=gpu\n", { "line 5", "device=gpu", "vulkan:N" } },
  { HEAD "device=vulkan:x\n", { "device=vulkan:x" } },
  { HEAD "device=vulkan;vulkan:0\n", { "twice" } },
  { HEAD "device=vulkan:99\n", { "line 5", "device=vulkan:99" } },
  { HEAD "title=\n", { "line 5", "title" } },
  { "[batch]\ntask=fashion-mnist+listops\nmixer=pooling\nfeedforward=mlp\n",
    { "line 2", "fashion-mnist and listops cannot be mixed", "vectors of one width" } },
  { "[batch]\ntask=mqar+mqar\nmixer=pooling\nfeedforward=mlp\n", { "line 2", "names mqar twice", "2*mqar" } },
  { "[batch]\ntask=2*mqar\nmixer=pooling\nfeedforward=mlp\n", { "line 2", "write mqar alone" } },
  { "[batch]\ntask=1.5*mqar+listops\nmixer=pooling\nfeedforward=mlp\n", { "line 2", "weights are whole numbers" } },
  { "[batch]\ntask=mqar+\nmixer=pooling\nfeedforward=mlp\n", { "line 2", "`+` for a mixture" } },
  { "[batch]\ntask=mqar+listop\nmixer=pooling\nfeedforward=mlp\n", { "line 2", "listops" } },
  { "[batch]\ntask=listops\nmixer=pooling+softmax-attention\nfeedforward=mlp\n", { "line 3", "do not work yet" } },
  { "[batch]\ntask=fashion-mnist\nmixer=pooling,pooling,pooling\nfeedforward=mlp\n",
    { "line 3", "3 layers", "layers=2" } },
  { "[batch]\ntask=fashion-mnist\nvariants=pooling x mlp\nmixer=pooling\nfeedforward=mlp\n", { "line 3", "remove" } },
  { "[batch]\ntask=fashion-mnist\nvariants=pooling mlp\n", { "line 3", "MIXER x FEEDFORWARD" } },
  { "[batch]\ntask=fashion-mnist\nvariants=pooling x mlp;pooling  x mlp\n", { "line 3", "twice" } },
  { HEAD "[softmax-attention]\nheads=5\n", { "line 6", "heads", "64" } },
  { HEAD "width=66\n[softmax-attention]\nheads=4\n", { "line 7", "heads", "66" } },
  { HEAD "width=1048576\nhidden=16777216\nlayers=1000\nbatch=1048576\n[softmax-attention]\nheads=3\n", { "heads" } },
  { HEAD "layers=1;2;3;4;5;6;7;8;9;10\nwidth=4;8;12;16;20;24;28;32;36;40\nwarmup=1;2;3;4;5;6;7;8;9;10\nseeds=11\n",
    { "more than 10000 runs" } },
};

static void
test_bad (gconstpointer data)
{
  const Bad *b = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (FmBatchPlan) plan = plan_text (b->text, &error);

  g_assert_null (plan);
  g_assert_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT);
  g_test_message ("%s", error->message);
  g_assert_true (g_str_has_prefix (error->message, "/x/y.batch"));
  g_assert_true (g_str_has_suffix (error->message, ".") || g_str_has_suffix (error->message, "?"));
  g_assert_null (strchr (error->message, '\n'));
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (b->says) && b->says[i]; i++)
    if (strstr (error->message, b->says[i]) == NULL)
      g_error ("“%s” does not say “%s”", error->message, b->says[i]);
}

static void
expect_load_error (const char *path, const char *says)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmBatchFile) file = fm_batch_file_load (path, &error);

  g_assert_null (file);
  g_assert_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT);
  g_assert_nonnull (strstr (error->message, path));
  g_assert_nonnull (strstr (error->message, says));
}

static void
test_bad_files (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("formarium-batch-XXXXXX", &error);
  g_autofree char *path = g_build_filename (folder, "a.batch", NULL);
  g_autofree char *large = g_strnfill (2 << 20, '#');
  static const char latin1[] = "[batch]\ntitle=Gr\xf6\xdf" "e\n", zero[] = "[batch]\ntitle=a\0b\n";

  expect_load_error (path, "There is no batch file");
  expect_load_error (folder, "is a folder");
  g_assert_true (g_file_set_contents (path, "", 0, &error));
  expect_load_error (path, "is empty");
  g_assert_true (g_file_set_contents (path, latin1, sizeof latin1 - 1, &error));
  expect_load_error (path, "line 2: this is not UTF-8");
  g_assert_true (g_file_set_contents (path, zero, sizeof zero - 1, &error));
  expect_load_error (path, "line 2: this is not UTF-8");
  g_assert_true (g_file_set_contents (path, large, -1, &error));
  expect_load_error (path, "larger than a batch file");
  g_remove (path);
  g_rmdir (folder);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/batch/matrix", test_matrix);
  g_test_add_func ("/batch/pairs", test_pairs);
  g_test_add_func ("/batch/per-layer", test_per_layer);
  g_test_add_func ("/batch/per-layer-values", test_per_layer_values);
  g_test_add_func ("/batch/patterns", test_patterns);
  g_test_add_func ("/batch/exclude-impossible", test_exclude_impossible);
  g_test_add_func ("/batch/hold/parameters", test_hold_parameters);
  g_test_add_func ("/batch/hold/nearest", test_nearest);
  g_test_add_func ("/batch/hold/unmet", test_unmet);
  g_test_add_func ("/batch/hold/length", test_hold_length);
  g_test_add_func ("/batch/mutations", test_mutations);
  g_test_add_func ("/batch/ids", test_ids);
  g_test_add_func ("/batch/recipe", test_recipe);
  g_test_add_func ("/batch/set", test_set);
  g_test_add_func ("/batch/examples", test_examples);
  g_test_add_func ("/batch/measure", test_measure);
  g_test_add_func ("/batch/save", test_save);
  g_test_add_func ("/batch/data", test_data);
  g_test_add_func ("/batch/bad/files", test_bad_files);
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autofree char *path = g_strdup_printf ("/batch/bad/%02u", i);

      g_test_add_data_func (path, &bad[i], test_bad);
    }
  return g_test_run ();
}
