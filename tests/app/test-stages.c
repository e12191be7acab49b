/* test-stages.c: chains of trainings as they are read and planned: what a parameter starts from, which plans share a
 * stage. test-chains.c runs them. */
#include "app/architecture/paths.h"
#include "app/batch/plan.h"
#include "app/run/init.h"
#include "program.h"

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
  return g_test_run ();
}
