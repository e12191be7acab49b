/* test-chains.c: real chains of trainings from end to end through the built program: frozen parts, layers and experts made of
 * others, means of weights, a base that is shared, a kill in the middle, a training that diverges. */
#include "app/run/init.h"
#include "storage/storage.h"
#include "program.h"

#include <signal.h>
#include <string.h>

#define SMALL "[mqar]\nlength=16\npairs=2\nvocabulary=16\n"

static gsize
count (FmShape shape)
{
  gsize n;

  g_assert_true (fm_size_product (shape.dims, shape.rank, &n));
  return n;
}

static char *
write_batch (Place *place, const char *name, const char *text)
{
  char *path = g_strdup_printf ("%s/%s.batch", place->folder, name);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  return path;
}

static void
run_well (const char *path)
{
  g_autoptr (Run) run = program ("run", path, "--json", NULL);

  if (run->status != 0)
    g_error ("%s ended with %d: %s", path, run->status, run->err);
}

/* The stages of a batch, opened with what they left. */
typedef struct
{
  FmStore   *store;
  GPtrArray *stages; /* FmStageRecord */
} Done;

static Done
done_of (Place *place, gint64 batch)
{
  g_autoptr (GError) error = NULL;
  Done done = { fm_store_open (place->store, FM_STORE_READ, &error) };

  g_assert_no_error (error);
  done.stages = fm_store_load_stages (done.store, batch, &error);
  g_assert_no_error (error);
  return done;
}

static void
done_clear (Done *done)
{
  g_ptr_array_unref (done->stages);
  fm_store_close (done->store);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Done, done_clear)

static FmVariables *
weights (Done *done, guint stage)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmDevice) device = fm_device_open ("cpu", 1, &error);
  const FmStageRecord *record = g_ptr_array_index (done->stages, stage);
  g_autofree char *file = fm_store_artifact_path (done->store, record->id, "checkpoint.safetensors");
  FmVariables *v = fm_variables_new (device, 0);

  g_assert_cmpint (record->state, ==, FM_STAGE_DONE);
  fm_variables_load (v, file, &error);
  g_assert_no_error (error);
  return v;
}

static gfloat *
numbers (FmVariables *v, const char *path, gsize *n)
{
  g_autoptr (GError) error = NULL;
  FmShape shape;
  gfloat *data;

  if (!fm_variables_get_shape (v, path, NULL, &shape))
    g_error ("there is no %s", path);
  *n = count (shape);
  data = g_new (gfloat, *n);
  fm_variables_read (v, path, data, *n * sizeof *data, &error);
  g_assert_no_error (error);
  return data;
}

static gboolean
same (FmVariables *a, const char *path_a, FmVariables *b, const char *path_b)
{
  gsize n, m;
  g_autofree gfloat *x = numbers (a, path_a, &n), *y = numbers (b, path_b, &m);

  return n == m && memcmp (x, y, n * sizeof *x) == 0;
}

static guint
count_moments (FmVariables *v)
{
  g_autoptr (GPtrArray) paths = fm_variables_paths (v);
  guint n = 0;

  for (guint i = 0; i < paths->len; i++)
    n += strchr (g_ptr_array_index (paths, i), '@') != NULL;
  return n;
}

#define TINY "feedforward=mlp\nwidth=16\nhidden=32\nbatch=8\nevaluate=32\nseeds=1\n"

/* `inspect RUN`: what each stage of the chain got, in a line and in JSON with its curves. */
static void
assert_inspected (void)
{
  g_autoptr (Run) text = program ("inspect", "1", NULL), json = program ("inspect", "1", "--json", NULL);
  g_autoptr (JsonArray) rows = run_rows (json);
  static const guint points[] = { 9, 6 };

  g_assert_cmpint (text->status, ==, 0);
  g_assert_nonnull (strstr (text->out, "1. train "));
  g_assert_nonnull (strstr (text->out, ": 9 steps on mqar, from nothing; done, loss "));
  g_assert_nonnull (
      strstr (text->out, ", init=layers.*=layers.{2*};embed=new;head=new, trains head;embed;layers.1.mixer; done"));
  g_assert_cmpuint (json_array_get_length (rows), ==, 3);
  for (guint i = 0; i < 2; i++)
    {
      JsonObject *row = json_array_get_object_element (rows, i),
                 *results = json_object_get_object_member (row, "results");
      JsonArray *loss = json_object_get_array_member (json_object_get_object_member (row, "curves"), "loss");
      JsonArray *last = json_array_get_array_element (loss, json_array_get_length (loss) - 1);

      g_assert_cmpuint (json_array_get_length (loss), ==, points[i]);
      g_assert_cmpint (json_array_get_int_element (last, 0), ==, points[i]);
      g_assert_cmpfloat (json_array_get_double_element (last, 1), ==,
                         json_object_get_double_member (results, "last_loss"));
      g_assert_true (json_object_has_member (results, "test_accuracy"));
    }
}

/* Four layers on recall, every second of them on list operations, of which one and the ends are trained. */
static void
test_adapt (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path =
      write_batch (place, "adapt",
                   "[batch]\ntask=listops\nmixer=softmax-attention\nlayers=2\n" TINY "budget=steps:6\n"
                   "[stage base]\ntask=mqar\nlayers=4\nbudget=steps:9\n"
                   "[stage "
                   "adapt]\ninit=layers.*=layers.{2*};embed=new;head=new\ntrains=head;embed;layers.1.mixer\naverage=0."
                   "9\naccumulate=2\n"
                   "recompute=1\n" SMALL "[listops]\nmin_length=4\nmax_length=16\n");
  g_autoptr (Run) dry = program ("run", path, "--dry-run", "--json", NULL);
  g_autoptr (JsonArray) rows = run_rows (dry);
  JsonArray *stages = json_object_get_array_member (json_array_get_object_element (rows, 0), "stages");
  static const char *const frozen[] = { "layers.0.mixer.q.weight", "layers.0.feedforward.in.weight",
                                        "layers.1.norm-mixer.gain", "layers.1.feedforward.out.bias", "norm.gain" };
  static const char *const from[] = { "layers.0.mixer.q.weight", "layers.0.feedforward.in.weight",
                                      "layers.2.norm-mixer.gain", "layers.2.feedforward.out.bias", "norm.gain" };

  g_assert_cmpint (dry->status, ==, 0);
  g_assert_cmpuint (json_array_get_length (stages), ==, 3);
  for (guint i = 0; i < 3; i++)
    g_assert_cmpfloat (json_object_get_double_member (json_array_get_object_element (stages, i), "seconds"), >, 0);
  g_assert_cmpstr (json_object_get_string_member (json_array_get_object_element (stages, 1), "chain"), ==,
                   "adapt: from base, trains head;embed;layers.1.mixer, init=layers.*=layers.{2*};embed=new;head=new");
  run_well (path);
  {
    g_auto (Done) done = done_of (place, 1);
    g_autoptr (FmVariables) base = weights (&done, 0), adapted = weights (&done, 1);
    g_autoptr (GPtrArray) curve =
        fm_store_load_curve (done.store, ((FmStageRecord *)done.stages->pdata[0])->id, "loss", -1, NULL);
    g_autoptr (GPtrArray) results = fm_store_load_results (done.store, 1, NULL);
    const FmResultRow *row = g_ptr_array_index (results, 0);

    for (guint i = 0; i < G_N_ELEMENTS (frozen); i++)
      if (!same (adapted, frozen[i], base, from[i]))
        g_error ("%s is not %s of the base to the bit", frozen[i], from[i]);
    g_assert_false (same (adapted, "layers.1.mixer.q.weight", base, "layers.2.mixer.q.weight"));
    g_assert_cmpuint (count_moments (adapted), ==, 0);
    assert_inspected ();
    g_assert_cmpuint (curve->len, ==, 9); /* a curve of each stage */
    g_assert_cmpstr (row->state, ==, "done");
    g_assert_cmpstr (row->task, ==, "listops");
    g_assert_cmpstr (row->train_stage, ==, ((FmStageRecord *) done.stages->pdata[1])->id);
    g_assert_true (row->latency_us_median > 0);
  }
}

/* An MLP into the experts of a mixture: without a step every expert is the MLP to the bit. */
static void
test_upcycle (void)
{
  static const char * const parts[] = { "in.weight", "in.bias", "out.weight", "out.bias" };
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = write_batch (
      place, "experts",
      "[batch]\ntask=mqar\nmixer=softmax-attention\nlayers=1\nfeedforward=switch\nwidth=16\nhidden=32\nbatch="
      "8\nevaluate=32\n"
      "seeds=1\nbudget=steps:0\n[stage dense]\nfeedforward=mlp\nbudget=steps:5\n"
      "[stage experts]\ninit=layers.*.feedforward=layers.*.feedforward repeat;layers.*.feedforward.router=new\n" SMALL
      "[switch]\nexperts=3\n");

  run_well (path);
  {
    g_auto (Done) done = done_of (place, 1);
    g_autoptr (FmVariables) dense = weights (&done, 0), experts = weights (&done, 1);

    for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
      {
        g_autofree char *name = g_strconcat ("layers.0.feedforward.", parts[i], NULL);
        gsize n, m;
        g_autofree gfloat *one = numbers (dense, name, &n), *all = numbers (experts, name, &m);

        g_assert_cmpuint (m, ==, 3 * n);
        for (guint e = 0; e < 3; e++)
          g_assert_cmpmem (all + e * n, n * sizeof *all, one, n * sizeof *one);
      }
    g_assert_true (same (dense, "layers.0.mixer.q.weight", experts, "layers.0.mixer.q.weight"));
  }
}

/* Weights of several, meant element by element. */
static void
test_soup (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = write_batch (place, "soup",
    "[batch]\ntask=mqar\nmixer=pooling\nlayers=1\n" TINY "budget=steps:0\n[stage base]\nbudget=steps:4\n"
    "[stage parts]\neach=rate in 0.001;0.01;0.02\nbudget=steps:4\n[stage soup]\ninit=mean\n" SMALL);
  const char *name = "layers.0.feedforward.in.weight";

  if (!g_test_slow ())
    {
      g_test_skip ("five stages to see in a run what /app/stages/numbers sees of a mean; with -m slow");
      return;
    }
  run_well (path);
  {
    g_auto (Done) done = done_of (place, 1);
    g_autoptr (FmVariables) a = weights (&done, 1), b = weights (&done, 2), c = weights (&done, 3),
                            soup = weights (&done, 4);
    gsize n;
    g_autofree gfloat *x = numbers (a, name, &n), *y = numbers (b, name, &n), *z = numbers (c, name, &n),
                      *mean = numbers (soup, name, &n);

    g_assert_false (same (a, name, b, name));
    for (gsize i = 0; i < n; i++)
      g_assert_cmpfloat (mean[i], ==, (gfloat) (((gdouble) x[i] + y[i] + z[i]) / 3));
  }
}

static guint
count_kind (const Done *done, const char *kind, gint64 *attempts)
{
  guint n = 0;

  for (guint i = 0; i < done->stages->len; i++)
    {
      const FmStageRecord *stage = g_ptr_array_index (done->stages, i);

      if (g_str_equal (stage->kind, kind))
        {
          n++;
          *attempts += stage->attempts;
        }
    }
  return n;
}

#define SHARED(budget)                                                                                                 \
  "[batch]\ntask=mqar\nmixer=softmax-attention;linear-attention\nlayers=1\n" TINY "budget=steps:6\n"                   \
  "[stage base]\nmixer=softmax-attention\n[stage adapt]\nbudget=steps:" budget "\n" SMALL

/* Two variants and then another budget: the base was trained once, at the first time; and once more for its weights
 * alone when they had been thrown away. */
static void
test_shared_base (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *first = write_batch (place, "first", SHARED ("5")),
                  *second = write_batch (place, "second", SHARED ("7"));
  g_autofree char *third = write_batch (place, "third", SHARED ("8"));
  g_autoptr (Run) pruned = NULL;
  gint64 ended, attempts = 0;

  run_well (first);
  {
    g_auto (Done) done = done_of (place, 1);

    g_assert_cmpuint (count_kind (&done, FM_STAGE_KIND_TRAIN, &attempts), ==, 3);
    g_assert_cmpint (attempts, ==, 3);
    ended = ((FmStageRecord *) done.stages->pdata[0])->ended_us;
  }
  run_well (second);
  {
    g_auto (Done) done = done_of (place, 2);

    attempts = 0;
    g_assert_cmpuint (count_kind (&done, FM_STAGE_KIND_TRAIN, &attempts), ==, 3);
    g_assert_cmpint (attempts, ==, 3); /* the base once in its life, two trainings once each */
    g_assert_cmpint (((FmStageRecord *) done.stages->pdata[0])->ended_us, ==, ended);
  }
  pruned = program ("store", "prune", "--checkpoints", NULL);
  g_assert_cmpint (pruned->status, ==, 0);
  run_well (third);
  {
    g_auto (Done) done = done_of (place, 3);
    g_autoptr (FmVariables) base = weights (&done, 0), adapted = weights (&done, 1);

    g_assert_cmpint (((FmStageRecord *) done.stages->pdata[0])->ended_us, ==, ended);
    g_assert_false (same (base, "norm.gain", adapted, "norm.gain"));
  }
}

/* A chain that breaks has no score: not that of its base, which learned another task. */
static void
test_diverged (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *last = write_batch (place, "last",
    "[batch]\ntask=listops\nmixer=softmax-attention\nlayers=1\n" TINY "budget=steps:6\n[stage base]\ntask=mqar\n"
    "[stage adapt]\ninit=embed=new;head=new\nrate=1e25\n" SMALL "[listops]\nmin_length=4\nmax_length=16\n");
  g_autofree char *first = write_batch (place, "first",
    "[batch]\ntask=mqar\nmixer=softmax-attention\nlayers=1\n" TINY "budget=steps:6\n[stage base]\nrate=1e25\n"
    "[stage adapt]\n" SMALL);

  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (Run) run = program ("run", i == 0 ? last : first, "--json", NULL);
      g_autoptr (JsonArray) rows = run_rows (run);
      JsonObject *row = json_array_get_object_element (rows, 0);

      g_assert_cmpstr (json_object_get_string_member (row, "state"), ==, "diverged");
      g_assert_true (json_object_get_null_member (row, "test_accuracy"));
      g_assert_true (json_object_get_null_member (row, "validation_accuracy"));
      g_assert_true (json_object_get_null_member (row, "latency_us_median"));
      g_assert_nonnull (strstr (json_object_get_string_member (row, "reason"), "not finite"));
      {
        g_auto (Done) done = done_of (place, i + 1);

        g_assert_cmpint (((FmStageRecord *) done.stages->pdata[1])->attempts, ==, i == 0 ? 1 : 0);
        g_assert_cmpint (((FmStageRecord *) done.stages->pdata[2])->attempts, ==, 0);
      }
    }
}

/* FLOPs of the training in a plan of one stage. */
static gdouble
planned_flops (Place *place, const char *more)
{
  g_autofree char *text = g_strconcat ("[batch]\ntask=mqar\nmixer=softmax-attention\nlayers=3\n" TINY
                                       "budget=steps:500\n[stage only]\n", more, SMALL, NULL);
  g_autofree char *path = write_batch (place, "flops", text);
  g_autoptr (Run) run = program ("run", path, "--dry-run", "--json", NULL);
  g_autoptr (JsonArray) rows = run_rows (run);
  JsonArray *stages = json_object_get_array_member (json_array_get_object_element (rows, 0), "stages");

  return json_object_get_double_member (json_array_get_object_element (stages, 0), "flops");
}

/* What is frozen costs no gradient: below the first trained layer there is the forward pass alone, about a third. */
static void
test_frozen_costs (void)
{
  g_autoptr (Place) place = place_new ();
  gdouble all = planned_flops (place, ""), same = planned_flops (place, "trains=all\n");
  gdouble head = planned_flops (place, "trains=head\n"), top = planned_flops (place, "trains=head;layers.2\n");

  g_test_message ("all %g, layer 2 and head %g, head %g", all, top, head);
  g_assert_cmpfloat (same, ==, all);
  g_assert_cmpfloat (head, <, 0.45 * all);
  g_assert_cmpfloat (head, >, 0.3 * all);
  g_assert_cmpfloat (top, <, 0.7 * all);
  g_assert_cmpfloat (top, >, 1.2 * head);
}

/* The runner dies when the base is there and what follows from it is not. */
static void
test_kill (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = write_batch (place, "killed",
    "[batch]\ntask=mqar\nmixer=softmax-attention\nlayers=1\n" TINY "budget=steps:6\n[stage base]\n"
    "[stage adapt]\nbudget=steps:4000\n" SMALL);
  g_autoptr (GSubprocess) running = program_start ("run", path, NULL);
  g_autoptr (Run) resumed = NULL;
  gint64 ended = 0, attempts = 0, until = g_get_monotonic_time () + 60 * G_USEC_PER_SEC;

  while (ended == 0 && g_get_monotonic_time () < until)
    {
      g_autoptr (FmStore) store = fm_store_open (place->store, FM_STORE_READ, NULL);
      g_autoptr (GPtrArray) stages = store ? fm_store_load_stages (store, 1, NULL) : NULL;

      if (stages && stages->len == 3 && ((FmStageRecord *) stages->pdata[1])->state == FM_STAGE_RUNNING)
        ended = ((FmStageRecord *) stages->pdata[0])->ended_us;
      g_usleep (20000);
    }
  g_assert_cmpint (ended, >, 0);
  g_subprocess_send_signal (running, SIGKILL);
  g_subprocess_wait (running, NULL, NULL);
  resumed = program ("resume", "--json", NULL);
  g_assert_cmpint (resumed->status, ==, 0);
  {
    g_auto (Done) done = done_of (place, 1);

    g_assert_cmpuint (count_kind (&done, FM_STAGE_KIND_TRAIN, &attempts), ==, 2);
    g_assert_cmpint (((FmStageRecord *) done.stages->pdata[0])->attempts, ==, 1);
    g_assert_cmpint (((FmStageRecord *) done.stages->pdata[0])->ended_us, ==, ended);
    g_assert_cmpint (((FmStageRecord *) done.stages->pdata[1])->attempts, ==, 2);
    g_assert_cmpint (((FmStageRecord *) done.stages->pdata[1])->state, ==, FM_STAGE_DONE);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/app/chains/adapt", test_adapt);
  g_test_add_func ("/app/chains/upcycle", test_upcycle);
  g_test_add_func ("/app/chains/soup", test_soup);
  g_test_add_func ("/app/chains/shared-base", test_shared_base);
  g_test_add_func ("/app/chains/kill", test_kill);
  g_test_add_func ("/app/chains/diverged", test_diverged);
  g_test_add_func ("/app/chains/frozen-costs", test_frozen_costs);
  return g_test_run ();
}
