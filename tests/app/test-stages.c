/* test-stages.c: chains of trainings: what a parameter starts from, which plans share a stage, and real chains from end
 * to end through the built program. */
#include "app/architecture/paths.h"
#include "app/batch/plan.h"
#include "app/run/init.h"
#include "storage/storage.h"
#include "program.h"

#include <glib/gstdio.h>
#include <math.h>
#include <signal.h>
#include <string.h>

/* --- Paths --------------------------------------------------------------------------------------------------------*/

static void
test_paths (void)
{
  static const struct { const char *pattern, *path, *stars, *rest; } cases[] = {
    { "head", "head.label.weight", "", "label.weight" },
    { "head.*", "head.label.weight", "label", "weight" },
    { "layers.1", "layers.1.mixer.q.weight", "", "mixer.q.weight" },
    { "layers.1", "layers.10.mixer.q.weight", NULL, NULL },
    { "layers.*.mixer.*", "layers.3.mixer.q.bias", "3,q", "bias" },
    { "layers.*.norm*", "layers.0.norm-mixer.gain", "0", "gain" },
    { "**.bias", "layers.0.mixer.q.bias", "", "" },
    { "**.bias", "layers.0.mixer.q.weight", NULL, NULL },
    { "**.*.bias", "layers.0.mixer.q.bias", "q", "" },
    { "layers.*", "layers", NULL, NULL },
    { "mixer", "layers.0.mixer.q.bias", NULL, NULL },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GPtrArray) stars = g_ptr_array_new_with_free_func (g_free);
      const char *rest = NULL;
      gboolean found = fm_path_match (cases[i].pattern, cases[i].path, stars, &rest);
      g_autofree char *joined = NULL;

      g_ptr_array_add (stars, NULL);
      joined = g_strjoinv (",", (char **) stars->pdata);
      g_assert_cmpint (found, ==, cases[i].rest != NULL);
      g_assert_cmpstr (joined, ==, found ? cases[i].stars : "");
      if (found)
        g_assert_cmpstr (rest, ==, cases[i].rest);
    }
}

/* --- What parameters start from -----------------------------------------------------------------------------------*/

typedef struct { const char *path; FmShape shape; } Row;

static FmGraph *
graph_of (const Row *rows)
{
  FmGraph *g = fm_graph_new ();

  for (const Row *row = rows; row->path; row++)
    fm_param (g, row->path, row->shape, fm_init_constant (-1));
  g_assert_null (fm_graph_get_error (g));
  return g;
}

static gsize
count (FmShape shape)
{
  gsize n;

  g_assert_true (fm_size_product (shape.dims, shape.rank, &n));
  return n;
}

/* (transfer full): a checkpoint in which element k of the i-th parameter is 100 i + k + @add. */
static char *
checkpoint (Place *place, const char *name, const Row *rows, gfloat add)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmDevice) device = fm_device_open ("cpu", 1, &error);
  g_autoptr (FmVariables) v = fm_variables_new (device, 0);
  char *path = g_strdup_printf ("%s/%s.safetensors", place->folder, name);

  for (guint i = 0; rows[i].path; i++)
    {
      gsize n = count (rows[i].shape);
      g_autofree gfloat *data = g_new (gfloat, n);

      for (gsize k = 0; k < n; k++)
        data[k] = 100.0f * (gfloat) i + (gfloat) k + add;
      g_assert_true (fm_variables_replace (v, rows[i].path, FM_F32, rows[i].shape, data, n * sizeof *data, &error));
    }
  g_assert_true (fm_variables_save (v, path, FALSE, &error));
  return path;
}

/* Is @path made of these numbers? With none: it is not there, so a program will draw it. */
static void
assert_numbers (FmVariables *v, const char *path, const gfloat *want, gsize n)
{
  g_autoptr (GError) error = NULL;
  g_autofree gfloat *have = g_new (gfloat, MAX (n, 1));

  if (n == 0)
    {
      g_assert_false (fm_variables_get_shape (v, path, NULL, NULL));
      return;
    }
  g_assert_true (fm_variables_read (v, path, have, n * sizeof *have, &error));
  g_assert_no_error (error);
  g_assert_cmpmem (have, n * sizeof *have, want, n * sizeof *want);
}

#define ASSERT_NUMBERS(v, path, ...) \
  assert_numbers (v, path, (gfloat[]){ __VA_ARGS__ }, sizeof ((gfloat[]){ __VA_ARGS__ }) / sizeof (gfloat))

static const Row two_layers[] = { { "layers.0.w", { 2, { 2, 2 } } }, { "layers.1.w", { 2, { 2, 2 } } },
                                  { "layers.2.w", { 2, { 2, 2 } } }, { "layers.3.w", { 2, { 2, 2 } } },
                                  { "position", { 2, { 4, 1 } } }, { "in.bias", { 1, { 3 } } }, { NULL } };

static FmVariables *
apply (Place *place, const Row *target, const Row *source, guint n, const char *rules)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmDevice) device = fm_device_open ("cpu", 1, &error);
  g_autoptr (FmGraph) g = graph_of (target);
  g_auto (GStrv) items = g_strsplit (rules, ";", -1), files = g_new0 (char *, n + 1);
  g_autoptr (FmStartRules) parsed = fm_start_rules_parse ((const char * const *) items, &error);
  FmVariables *v = fm_variables_new (device, 0);

  g_assert_no_error (error);
  for (guint i = 0; i < n; i++)
    {
      g_autofree char *name = g_strdup_printf ("source-%u", i);

      files[i] = checkpoint (place, name, source, i * 3.0f);
    }
  if (!fm_start_apply (parsed, g, (const char * const *) files, v, &error))
    g_assert_nonnull (error);
  g_assert_no_error (error);
  return v;
}

static void
test_numbers (void)
{
  static const Row half[] = { { "layers.0.w", { 2, { 2, 2 } } }, { "layers.1.w", { 2, { 2, 2 } } },
                              { "position", { 2, { 2, 1 } } },   { "in.bias", { 3, { 2, 1, 3 } } },
                              { "head", { 1, { 1 } } },          { NULL } };
  g_autoptr (Place) place = place_new ();
  g_autoptr (FmVariables) v
      = apply (place, half, two_layers, 1, "layers.*=layers.{2*};position=position slice;in=in repeat;head=new");
  g_autoptr (FmVariables) odd
      = apply (place, half, two_layers, 1, "layers.*=layers.{2*+1};position=in.bias;position=new;in=new;head=new");
  g_autoptr (FmVariables) last =
      apply (place, half, two_layers, 1, "head=new;in=new;position=position slice;layers.*=layers.3");
  g_autoptr (FmVariables) mean = apply (place, two_layers, two_layers, 3, "mean;layers.0=new");
  g_autoptr (FmVariables) first =
      apply (place, (Row[]){ { "in.bias", { 1, { 3 } } }, { NULL } }, half, 1, "in=in slice");

  /* Every second layer; the first places; one bias for each of two experts, whose axis and whose axis of one are new.
   */
  ASSERT_NUMBERS (v, "layers.0.w", 0, 1, 2, 3);
  ASSERT_NUMBERS (v, "layers.1.w", 200, 201, 202, 203);
  ASSERT_NUMBERS (v, "position", 400, 401);
  ASSERT_NUMBERS (v, "in.bias", 500, 501, 502, 500, 501, 502);
  assert_numbers (v, "head", NULL, 0);
  ASSERT_NUMBERS (odd, "layers.0.w", 100, 101, 102, 103);
  ASSERT_NUMBERS (odd, "layers.1.w", 300, 301, 302, 303);
  assert_numbers (odd, "position", NULL, 0); /* the last rule holds */
  ASSERT_NUMBERS (last, "layers.1.w", 300, 301, 302, 303);
  /* Three models with 0, 3 and 6 more: 3 more. */
  ASSERT_NUMBERS (mean, "layers.1.w", 103, 104, 105, 106);
  assert_numbers (mean, "layers.0.w", NULL, 0);
  /* Of experts the first one. */
  ASSERT_NUMBERS (first, "in.bias", 300, 301, 302);
}

/* Axes in the middle: [2,3] onto [4,3] and the corner [1,2] of it. */
static void
test_axes (void)
{
  static const Row source[] = { { "w", { 2, { 2, 3 } } }, { NULL } };
  static const Row tall[] = { { "w", { 2, { 4, 3 } } }, { NULL } }, corner[] = { { "w", { 2, { 2, 2 } } }, { NULL } };
  g_autoptr (Place) place = place_new ();
  g_autoptr (FmVariables) a = apply (place, tall, source, 1, "w=w repeat"),
                          b = apply (place, corner, source, 1, "w=w slice");

  ASSERT_NUMBERS (a, "w", 0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5);
  ASSERT_NUMBERS (b, "w", 0, 1, 3, 4);
}

/* One sentence each, with the paths and shapes that do not go together. */
static void
test_bad_rules (void)
{
  static const Row target[] = { { "layers.0.w", { 2, { 3, 2 } } }, { "head.w", { 1, { 2 } } }, { NULL } };
  static const Row source[] = {
    { "layers.0.w", { 2, { 2, 2 } } }, { "layers.q.w", { 2, { 3, 2 } } }, { "head.w", { 1, { 2 } } }, { NULL }
  };
  static const struct { const char *rules, *says[3]; } cases[] = {
    { "", { "layers.0.w has shape [3,2] and cannot start from layers.0.w of shape [2,2] in base", "layers.0.w=new" } },
    { "layers=layers slice", { "[3,2] and cannot start from the first part of layers.0.w of shape [2,2]" } },
    { "layers=layers repeat", { "[3,2] and cannot start from repeated layers.0.w of shape [2,2]" } },
    { "layers.*=layers.{2*+1}", { "layers.0.w would start from layers.1.w, which base does not have" } },
    { "layers.*=layers.{*-1}", { "{*-1} has no value for layers.0.w, where `*` is 0" } },
    { "layers.0", { "“layers.0” must be TARGET=SOURCE", "mean" } },
    { "layers.*=layers.{x}", { "{x} must look like {2*}" } },
    { "layers.*=layers.{2*/0}", { "{2*/0} must look like {2*}" } },
    { "layers.0=layers.*", { "more `*`" } },
    { "layers..w=head", { "must be a path" } },
    { "layers.{2*}=head", { "only the right side" } },
    { "layers.0=lay*.0", { "must be a path" } },
    { "layers.0=layers.q tile", { "slice or repeat" } },
  };
  g_autoptr (FmGraph) to = graph_of (target), from = graph_of (source);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      const char * const items[] = { *cases[i].rules ? cases[i].rules : NULL, NULL };
      g_autoptr (FmStartRules) rules = fm_start_rules_parse (items, &error);

      if (rules)
        g_assert_false (fm_start_check (rules, to, &from, (const char * const[]){ "base" }, 1, &error));
      g_assert_nonnull (error);
      for (guint k = 0; k < 3 && cases[i].says[k]; k++)
        if (strstr (error->message, cases[i].says[k]) == NULL)
          g_error ("%s: “%s” does not say “%s”", cases[i].rules, error->message, cases[i].says[k]);
    }
}

/* --- Plans --------------------------------------------------------------------------------------------------------*/

#define HEAD "[batch]\ntask=mqar\nmixer=softmax-attention\nfeedforward=mlp\nlayers=2\nwidth=16\nhidden=32\nseeds=2\n" \
             "budget=steps:20\nbatch=8\n"
#define SMALL "[mqar]\nlength=16\npairs=2\nvocabulary=16\n"

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
  return plan;
}

static const FmBatchRun *
run_at (FmBatchPlan *plan, guint i)
{
  return g_ptr_array_index (plan->runs, i);
}

/* (transfer full): text of a member of a stage's recipe. */
static char *
member (const FmBatchStage *stage, const char *name)
{
  g_autoptr (JsonNode) node = json_from_string (stage->recipe, NULL);
  JsonNode *value = json_object_get_member (json_node_get_object (node), name);

  return value ? json_to_string (value, FALSE) : NULL;
}

static void
test_chain_plan (void)
{
  g_autoptr (FmBatchPlan) plan = good (
    HEAD "[stage base]\nmixer=linear-attention\nrate=0.001\nbudget=examples:240\n"
    "[stage adapt]\ntrains=head;layers.1\nclip=0\nbudget=steps:5\n" SMALL);
  const FmBatchRun *run = run_at (plan, 0);
  const FmBatchStage *base = g_ptr_array_index (run->earlier, 0);
  g_autofree char *steps = member (base, "steps"), *rate = member (base, "rate"), *clip = member (base, "clip"),
                  *trains = member (run->train, "trains"), *init = member (run->train, "init"),
                  *inputs = member (run->train, "inputs"), *last_clip = member (run->train, "clip"),
                  *last_steps = member (run->train, "steps"), *want = g_strdup_printf ("[\"%s\"]", base->id),
                  *no_inputs = member (base, "inputs");

  g_assert_cmpuint (plan->runs->len, ==, 2);
  g_assert_cmpuint (plan->stages->len, ==, 6);
  g_assert_cmpuint (run->earlier->len, ==, 1);
  g_assert_cmpstr (base->name, ==, "base");
  g_assert_cmpstr (steps, ==, "30"); /* 240 examples of 8 */
  g_assert_cmpstr (rate, ==, "\"0.001\"");
  g_assert_cmpstr (clip, ==, "\"1\"");
  g_assert_null (no_inputs);
  g_assert_nonnull (strstr (base->recipe, "linear-attention"));
  g_assert_null (strstr (run->train->recipe, "linear-attention"));
  g_assert_cmpstr (trains, ==, "[\"head\",\"layers.1\"]");
  g_assert_cmpstr (init, ==, "[]");
  g_assert_cmpstr (inputs, ==, want);
  g_assert_cmpstr (last_clip, ==, "\"0\"");
  g_assert_cmpstr (last_steps, ==, "5");
  g_assert_cmpint (run->steps, ==, 5);
  g_assert_cmpstr (g_ptr_array_index (run->measure->inputs, 0), ==, run->train->id);
  g_assert_cmpstr (base->id, !=, ((FmBatchStage *)g_ptr_array_index (run_at (plan, 1)->earlier, 0))->id); /* its seed */
}

/* Content makes the id: a base is one stage for all that start from it, in a batch and over batches; what differs in a
 * base makes everything behind it another. */
static void
test_sharing (void)
{
  g_autoptr (FmBatchPlan) two = good (
    "[batch]\ntask=mqar\nmixer=softmax-attention;linear-attention\nfeedforward=mlp\nlayers=2\nwidth=16\nseeds=1\n"
    "budget=steps:20\n[stage base]\nmixer=softmax-attention\nseed=7\n[stage adapt]\n" SMALL);
  g_autoptr (FmBatchPlan) longer = good (
    "[batch]\ntask=mqar\nmixer=softmax-attention;linear-attention\nfeedforward=mlp\nlayers=2\nwidth=16\nseeds=2\n"
    "budget=steps:20\n[stage pre]\nmixer=softmax-attention\nseed=7\n[stage adapt]\nbudget=steps:40\n" SMALL);
  g_autoptr (FmBatchPlan) other = good (
    "[batch]\ntask=mqar\nmixer=softmax-attention;linear-attention\nfeedforward=mlp\nlayers=2\nwidth=16\nseeds=1\n"
    "budget=steps:20\n[stage base]\nmixer=softmax-attention\nseed=8\n[stage adapt]\n" SMALL);
  const FmBatchStage *base = g_ptr_array_index (run_at (two, 0)->earlier, 0);

  g_assert_cmpuint (two->stages->len, ==, 5); /* one base, two trainings, two measurements */
  g_assert_true (base == g_ptr_array_index (run_at (two, 1)->earlier, 0));
  g_assert_cmpuint (longer->stages->len, ==, 9);
  g_assert_cmpstr (((FmBatchStage *) g_ptr_array_index (run_at (longer, 0)->earlier, 0))->id, ==, base->id);
  g_assert_cmpstr (run_at (longer, 0)->train->id, !=, run_at (two, 0)->train->id);
  g_assert_cmpstr (((FmBatchStage *) g_ptr_array_index (run_at (other, 0)->earlier, 0))->id, !=, base->id);
  g_assert_cmpstr (run_at (other, 0)->train->id, !=, run_at (two, 0)->train->id);
  g_assert_cmpstr (run_at (other, 0)->measure->id, !=, run_at (two, 0)->measure->id);
}

/* each= repeats a stage; who names it starts from all of them. A base is kept for every seed of a soup. */
static void
test_each (void)
{
  g_autoptr (FmBatchPlan) plan = good (
      HEAD
      "[stage base]\nseed=5\n[stage parts]\neach=rate in 0.001;0.01;0.1\nseed=6\n[stage soup]\nfrom=parts\ninit=mean\n"
      "budget=steps:0\n" SMALL);
  const FmBatchRun *run = run_at (plan, 0);
  const FmBatchStage *part = g_ptr_array_index (run->earlier, 2);
  g_autofree char *rate = member (part, "rate"), *init = member (run->train, "init");

  g_assert_cmpuint (run->earlier->len, ==, 4);
  g_assert_cmpuint (plan->stages->len, ==, 4 + 2 * 2);
  g_assert_cmpstr (part->name, ==, "parts rate=0.01");
  g_assert_cmpstr (rate, ==, "\"0.01\"");
  g_assert_cmpstr (init, ==, "[\"mean\"]");
  g_assert_cmpuint (run->train->inputs->len, ==, 3);
  for (guint i = 0; i < 3; i++)
    {
      const FmBatchStage *each = g_ptr_array_index (run->earlier, i + 1);

      g_assert_cmpstr (g_ptr_array_index (run->train->inputs, i), ==, each->id);
      g_assert_cmpstr (g_ptr_array_index (each->inputs, 0), ==,
                       ((FmBatchStage *)g_ptr_array_index (run->earlier, 0))->id);
    }
}

/* The recipe of a batch without stages is the text it always was, but for what belongs to this build: the hashes of
 * plugin files. Its id follows from it. A change here makes every stored run strange to the program. */
static void
test_committed_id (void)
{
  g_autoptr (FmBatchPlan) plan = good (HEAD SMALL);
  g_autoptr (FmBatchPlan) all = good (HEAD "[stage only]\nbudget=steps:20\n" SMALL);
  g_autoptr (GRegex) hash = g_regex_new ("\"hash\":\"[0-9a-f]*\"", 0, 0, NULL);
  const FmBatchStage *train = run_at (plan, 1)->train;
  g_autofree char *text = g_regex_replace_literal (hash, train->recipe, -1, 0, "\"hash\":\"\"", 0, NULL);
  g_autofree char *sum = g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, -1);
  g_autofree char *id = g_compute_checksum_for_string (G_CHECKSUM_SHA256, train->recipe, -1);

  g_test_message ("%s", text);
  g_assert_true (g_str_has_prefix (id, train->id));
  g_assert_cmpstr (sum, ==, "1cd7a753bbf283f4000075db03e28f4b6b8d7e6beab5d22bc207af6ddef0aefc");
  /* One stage that says nothing else is no other training. */
  g_assert_cmpstr (run_at (all, 1)->train->id, ==, train->id);
  g_assert_cmpstr (run_at (all, 1)->measure->id, ==, run_at (plan, 1)->measure->id);
}

/* Repeated for every task, whose words differ: what is asked of all of them is meant over, the rest is new. */
static void
test_each_task (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmBatchPlan) plan = good (
    HEAD "[stage base]\neach=task in listops;mqar\n[stage join]\ninit=mean;embed=new;head=new\n" SMALL);
  g_autoptr (FmBatchPlan) none = plan_text (
    HEAD "[stage base]\neach=task in listops;mqar\n[stage join]\ninit=mean;head=new\n" SMALL, &error);
  g_autoptr (FmBatchPlan) mixed = good (
    HEAD "[stage base]\ntask=mqar+2*listops\n[stage alone]\ninit=embed=new;head=new\n" SMALL
    "[listops]\nmin_length=4\nmax_length=14;16\n");
  const FmBatchRun *run = run_at (plan, 0);

  /* A mixture goes before one task; how long its expressions are makes variants, though no run is scored on them. */
  g_assert_cmpint (mixed->n_variants, ==, 2);
  g_assert_cmpstr (fm_task_get_class (run_at (mixed, 0)->task)->id, ==, "mqar");
  g_assert_nonnull (strstr (((FmBatchStage *) g_ptr_array_index (run_at (mixed, 0)->earlier, 0))->recipe, "listops"));
  g_assert_null (strstr (run_at (mixed, 0)->train->recipe, "listops"));

  g_assert_cmpuint (run->earlier->len, ==, 2);
  g_assert_nonnull (strstr (((FmBatchStage *) g_ptr_array_index (run->earlier, 0))->recipe, "\"id\":\"listops\""));
  g_assert_nonnull (strstr (((FmBatchStage *) g_ptr_array_index (run->earlier, 1))->recipe, "\"id\":\"mqar\""));
  g_assert_cmpstr (fm_task_get_class (run->task)->id, ==, "mqar");
  g_assert_null (none);
  g_assert_nonnull (strstr (error->message, "embed."));
}

/* With hold=parameters the F that was found goes for the stages before, too, or nothing would fit. */
static void
test_hold (void)
{
  g_autoptr (FmBatchPlan) plan = good ("[batch]\ntask=mqar\nmixer=softmax-attention\nfeedforward=mlp;switch\nlayers="
                                       "1\nwidth=16\nseeds=1\nhold=parameters:2%\n"
                                       "[stage base]\n[stage adapt]\n" SMALL);
  const FmBatchRun *run = run_at (plan, 1);

  g_assert_null (run->unmet);
  g_assert_cmpint (run->hidden, <, 64);
  g_assert_cmpuint (run->earlier->len, ==, 1);
}

/* Whatever a section says, it is a plan or one sentence. */
static void
test_any_bytes (void)
{
  static const char * const lines = HEAD "[stage base]\nmixer=pooling\nlayers=4\neach=rate in 0.1;0.2\nseed=3\n"
    "[stage b]\nfrom=base\ninit=mean;layers.*=layers.{2*+1} slice;**.bias=new\ntrains=**.bias;layers.*.mixer\n"
    "[stage c]\nbudget=flops:1e7\n" SMALL;
  static const char alphabet[] = "=;{}*.[]+-/% \nabnew019stage";

  for (guint i = 0; i < 400; i++)
    {
      g_autofree char *text = g_strdup (lines);
      gsize length = strlen (text), head = strlen (HEAD);
      g_autoptr (GError) error = NULL;
      g_autoptr (FmBatchPlan) plan = NULL;

      for (gint k = g_test_rand_int_range (1, 4); k > 0; k--)
        text[head + g_test_rand_int_range (0, (gint32) (length - head))]
          = alphabet[g_test_rand_int_range (0, sizeof alphabet - 1)];
      plan = plan_text (text, &error);
      g_assert_true ((plan != NULL) == (error == NULL));
      if (error)
        g_assert_null (strchr (error->message, '\n'));
    }
}

static void
test_bad_files (void)
{
  static const struct { const char *text, *says[3];
  } cases[] = {
    { "[stage]\n", { "line 11", "[stage NAME]" } },
    { "[stage a b]\n", { "letters, digits" } },
    { "[stage a]\nfrm=none\n", { "frm: no such key of a stage", "did you mean “from”?" } },
    { "[stage a]\nbudget=steps:x\n", { "line 12, [stage a] budget=steps:x" } },
    { "[stage a]\nrate=0.1;0.2\n", { "line 12, [stage a] rate" } },
    { "[stage a]\n[stage b]\nfrom=c\n", { "line 13, [stage b] from=c: no stage before this one is called c" } },
    { "[stage base]\n[stage b]\nfrom=bas\n", { "did you mean “base”?" } },
    { "[stage a]\nfrom=a\n", { "no stage before this one is called a" } },
    { "[stage a]\n[stage b]\nfrom=none\n", { "line 11, [stage a] no later stage starts from it" } },
    { "[stage a]\ntask=mqr\n", { "line 12, [stage a] task=mqr: ", "mqar" } },
    { "[stage a]\nmixer=softmax-attentio\n[stage b]\n",
      { "line 12, [stage a] mixer=softmax-attentio", "softmax-attention" } },
    { "[stage a]\n[stage b]\ntask=listops\n",
      { "line 13, [stage b] task: the last stage is what the run is scored on" } },
    { "[stage a]\n[stage b]\neach=rate in 0.1;0.2\n", { "each: the last stage" } },
    { "[stage a]\neach=rate 0.1\n[stage b]\n", { "each=rate 0.1: must be KEY in A;B;C" } },
    { "[stage a]\neach=rat in 0.1\n[stage b]\n", { "rat: no such key", "rate" } },
    { "[stage a]\neach=rate in 0.1;x\n[stage b]\ninit=mean\n", { "line 12, [stage a]", "x" } },
    { "[stage a]\neach=rate in 0.1;0.2\nrate=1\n[stage b]\ninit=mean\n", { "rate stands in the section already" } },
    { "[stage a]\neach=rate in 0.1;0.2\n[stage b]\n", { "[stage b] starts from 2 models; write init=mean" } },
    { "[stage a]\ninit=head=new\n", { "init: the stage starts from nothing" } },
    { "[stage a]\n[stage b]\ninit=head\n", { "line 13, [stage b] init: “head” must be TARGET=SOURCE" } },
    { "[stage a]\n[stage b]\ninit=hat=new\n", { "line 13, [stage b] init: “hat=new” means no parameter" } },
    { "[stage a]\ntrains=hed\n",
      { "line 12, [stage a] trains=hed: no parameter of the model lies at hed", "embed.token" } },
    { "[stage a]\nwidth=32\n[stage b]\n",
      { "line 13, [stage b] the model does not follow from the one before", "[16,16]", "[16,32] in a" } },
    { "[stage a]\nlayers=1\n[stage b]\n", { "layers.1.", "which a does not have" } },
    { "[stage a]\nlayers=1\n[stage b]\ninit=layers.*=layers.{2*}\n",
      { "line 14, [stage b] init: layers.1.", "would start from layers.2." } },
    { "[stage a]\naccumulate=3\n[stage b]\n", { "accumulate=3: must divide batch=8" } },
    { "[stage a]\nmixer=local-attention\nseed=-1\n[stage b]\n", { "seed=-1: must be a whole number from 0" } },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *text = g_strconcat (HEAD, cases[i].text, SMALL, NULL);
      g_autoptr (FmBatchPlan) plan = plan_text (text, &error);

      if (plan)
        g_error ("this was taken: %s", cases[i].text);
      g_assert_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT);
      for (guint k = 0; k < 3 && cases[i].says[k]; k++)
        if (strstr (error->message, cases[i].says[k]) == NULL)
          g_error ("%s“%s” does not say “%s”", cases[i].text, error->message, cases[i].says[k]);
      g_assert_true (g_str_has_prefix (error->message, "/x/y.batch"));
      g_assert_null (strchr (error->message, '\n'));
    }
}

/* --- Real chains --------------------------------------------------------------------------------------------------*/

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
  g_test_add_func ("/app/stages/paths", test_paths);
  g_test_add_func ("/app/stages/numbers", test_numbers);
  g_test_add_func ("/app/stages/axes", test_axes);
  g_test_add_func ("/app/stages/bad-rules", test_bad_rules);
  g_test_add_func ("/app/stages/plan", test_chain_plan);
  g_test_add_func ("/app/stages/sharing", test_sharing);
  g_test_add_func ("/app/stages/each", test_each);
  g_test_add_func ("/app/stages/each-task", test_each_task);
  g_test_add_func ("/app/stages/hold", test_hold);
  g_test_add_func ("/app/stages/any-bytes", test_any_bytes);
  g_test_add_func ("/app/stages/committed-id", test_committed_id);
  g_test_add_func ("/app/stages/bad-files", test_bad_files);
  g_test_add_func ("/app/stages/adapt", test_adapt);
  g_test_add_func ("/app/stages/upcycle", test_upcycle);
  g_test_add_func ("/app/stages/soup", test_soup);
  g_test_add_func ("/app/stages/shared-base", test_shared_base);
  g_test_add_func ("/app/stages/kill", test_kill);
  g_test_add_func ("/app/stages/diverged", test_diverged);
  g_test_add_func ("/app/stages/frozen-costs", test_frozen_costs);
  return g_test_run ();
}
