/* test-claims.c: [paper] and [expect] as they are read, and the verdicts on invented stores. */
#include "config.h"

#include "app/batch/plan.h"
#include "app/figures/figures.h"
#include "app/report/report.h"
#include "app/results/claims.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "[batch]\ntask=mqar\nmixer=softmax-attention;linear-attention\nfeedforward=mlp\n"
#define PAPER "[paper]\ncitation=Somebody 2020\nsays=It works.\n"

static FmBatchPlan *
plan_text (const char *text, GError **error)
{
  g_autoptr (FmBatchFile) file = fm_batch_file_parse (text, -1, "/x/y.batch", error);

  return file ? fm_batch_plan_new (file, error) : NULL;
}

/* --- Reading ------------------------------------------------------------------------------------------------------*/

static void
test_read (void)
{
  static const struct
  {
    const char      *line;
    FmExpectQuantity quantity;
    const char      *left, *right;
    guint            left_conditions, right_conditions;
    gboolean         at_least;
    gdouble          bound;
  } cases[] = {
    { "accuracy(a) >= accuracy(b) - 1 points", FM_EXPECT_ACCURACY, "a", "b", 0, 0, TRUE, -0.01 },
    { "accuracy(a)<=accuracy(b)+0.5 point", FM_EXPECT_ACCURACY, "a", "b", 0, 0, FALSE, 0.005 },
    { "accuracy (a x mlp, window=4,8) >= accuracy (b)", FM_EXPECT_ACCURACY, "a x mlp", "b", 1, 0, TRUE, 0 },
    { "accuracy(a) >= 90 %", FM_EXPECT_ACCURACY, "a", NULL, 0, 0, TRUE, 0.9 },
    { "loss(a) <= loss(b) - 0.02 nats", FM_EXPECT_LOSS, "a", "b", 0, 0, FALSE, -0.02 },
    { "latency ratio(a, b) >= 2 at N=4096", FM_EXPECT_LATENCY, "a", "b", 1, 1, TRUE, 2 },
    { "latency ratio(a, window=8, b, heads=2, window=4) >= 2 at N=4096, task=mqar", FM_EXPECT_LATENCY, "a", "b", 3, 4,
      TRUE, 2 },
    { "latency(a, length=2048) <= 5 * latency(a, length=512)", FM_EXPECT_LATENCY, "a", "a", 1, 1, FALSE, 5 },
    { "memory(a) <= 50% * memory(b)", FM_EXPECT_MEMORY, "a", "b", 0, 0, FALSE, 0.5 },
    { "inference-memory(a) <= inference-memory(b)", FM_EXPECT_INFERENCE_MEMORY, "a", "b", 0, 0, FALSE, 1 },
    { "parameters ratio(a, b) <= 110%", FM_EXPECT_PARAMETERS, "a", "b", 0, 0, FALSE, 1.1 },
    { "flops(a) >= .5*flops(b)", FM_EXPECT_FLOPS, "a", "b", 0, 0, TRUE, 0.5 },
    { "throughput ratio(a, b) >= 1e1", FM_EXPECT_THROUGHPUT, "a", "b", 0, 0, TRUE, 10 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *text = g_strdup_printf (HEAD PAPER "[expect]\nscale=as published\nx=%s\n", cases[i].line);
      g_autoptr (FmBatchClaim) claim = fm_batch_claim_from_text (text);
      const FmExpectation *e;

      g_test_message ("%s", cases[i].line);
      g_assert_nonnull (claim);
      g_assert_cmpuint (claim->expectations->len, ==, 1);
      e = g_ptr_array_index (claim->expectations, 0);
      g_assert_cmpstr (e->name, ==, "x");
      g_assert_cmpint (e->quantity, ==, cases[i].quantity);
      g_assert_cmpstr (e->left->variant, ==, cases[i].left);
      g_assert_cmpuint (e->left->conditions->len, ==, cases[i].left_conditions);
      g_assert_cmpstr (e->right ? e->right->variant : NULL, ==, cases[i].right);
      if (e->right)
        g_assert_cmpuint (e->right->conditions->len, ==, cases[i].right_conditions);
      g_assert_cmpint (e->at_least, ==, cases[i].at_least);
      g_assert_cmpfloat_with_epsilon (e->bound, cases[i].bound, 1e-12);
    }
}

/* The sections say nothing about what is run: the plan of a batch is the same with them and without. */
static void
test_same_plan (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmBatchPlan) bare = plan_text (HEAD, &error);
  g_autoptr (FmBatchPlan) claim = plan_text (HEAD PAPER "[expect]\nscale=toy\n1=loss(linear-attention) <= "
                                             "loss(softmax-attention)\n", &error);

  g_assert_no_error (error);
  g_assert_cmpstr (bare->key, ==, claim->key);
}

/* The whole rest of the sentence is checked: file, line and column, what stands there, what would be right. */
static const struct
{
  const char *text, *words;
} bad[] = {
  { PAPER, "/x/y.batch, line 5, [paper] without an expectation; write one into [expect]" },
  { "[expect]\nscale=toy\n", "/x/y.batch, line 5, [expect] without an expectation" },
  { "[expect]\nverdict=maybe\n1=loss(mlp) <= loss(mlp)\n",
    "line 6, column 9, [expect] verdict: “maybe” is no verdict; there are reproduced, not reproduced and undecided." },
  { "[expect]\nscale=\n", "line 6, column 7, [expect] scale: say how this batch differs from the paper, or as published." },
  { "[expect]\naccuracy(a) >= accuracy(b)\n", "line 6, [expect] “accuracy(a) >”: an expectation begins with a name and “=”" },
  { "[expect]\n1=speed(a) >= speed(b)\n", "line 6, column 3, [expect] 1: “speed” is no quantity; there are accuracy, loss" },
  { "[expect]\n1=acuracy(a) >= accuracy(b)\n", "column 3, [expect] 1: there is no quantity “acuracy”; did you mean “accuracy”?" },
  { "[expect]\n1 = accuracy >= 3\n", "line 6, column 14, [expect] 1: “>” where “(” and a variant should stand" },
  { "[expect]\n1=accuracy(a >= 3\n", "column 11, [expect] 1: “(” has no “)”." },
  { "[expect]\n1=accuracy() >= 3\n", "column 12, [expect] 1: a variant is missing." },
  { "[expect]\n1=accuracy(a, ) >= 3\n", "[expect] 1: a variant is missing." },
  { "[expect]\n1=accuracy(a, b) >= 3\n", "column 15, [expect] 1: one variant stands between the brackets; two need “ratio”." },
  { "[expect]\n1=latency ratio(a, b, c) >= 3\n", "[expect] 1: a ratio has two variants." },
  { "[expect]\n1=latency ratio(a) >= 3\n", "a ratio has two variants, with a comma and a blank between them." },
  { "[expect]\n1=accuracy(window=3) >= 3\n", "a variant must stand before its settings." },
  { "[expect]\n1=accuracy(a, window=) >= 3\n", "“window=” must be KEY=VALUE, such as N=784." },
  { "[expect]\n1=accuracy(a, heads=1, heads=2) >= 3\n", "heads is given twice." },
  { "[expect]\n1=accuracy(ä) > accuracy(b)\n", "column 15, [expect] 1: “>” where >= or <= should stand." },
  { "[expect]\n1=accuracy(a) >= loss(b)\n", "column 18, [expect] 1: accuracy is compared with loss; both sides must be one" },
  { "[expect]\n1=accuracy(a) >= accuracy(b) - x points\n", "“x” where a number should stand." },
  { "[expect]\n1=accuracy(a) >= accuracy(b) - 1 %\n", "column 34, [expect] 1: “%” where the unit should stand: points." },
  { "[expect]\n1=loss(a) >= loss(b) - 1 points\n", "“points” where the unit should stand: nats." },
  { "[expect]\n1=accuracy ratio(a, b) >= 1\n", "accuracy is compared by difference: accuracy(A) >= accuracy(B) - 1 points." },
  { "[expect]\n1=latency(a) <= 3\n", "the end of the line where “* latency(VARIANT)” should stand: a cost depends on the machine" },
  { "[expect]\n1=latency(a) <= 0 * latency(b)\n", "column 17, [expect] 1: a ratio must be above 0." },
  { "[expect]\n1=latency ratio(a, b) >= -2\n", "a ratio must be above 0." },
  { "[expect]\n1=latency ratio(a, b) >= 2 at 3\n", "“3” must be KEY=VALUE, such as N=784." },
  { "[expect]\n1=latency ratio(a, b) >= 2 at N=3, N=4\n", "N is given twice." },
  { "[expect]\n1=latency ratio(a, b) >= 2 or so\n", "“or” where the line should end, or “at KEY=VALUE” stand." },
  { "[expect]\n1=accuracy(a) >= 101 %\n", "an accuracy by itself is a share from 0% to 100%." },
  { "[expect]\nscale=toy\n1=accuracy(softmax-attention) >= 90 %\n",
    "line 7, [expect] 1: other data or another scale than the paper's can show orders and costs, not its accuracy" },
  { "[paper]\nsays=x\n[expect]\nscale=toy\n1=loss(mlp) <= loss(mlp)\n", "line 5, [paper] has no citation=" },
  { "[paper]\ncitation=x\n[expect]\nscale=toy\n1=loss(mlp) <= loss(mlp)\n", "line 5, [paper] has no says=" },
  { PAPER "[expect]\n1=loss(mlp) <= loss(mlp)\n", "line 8, [expect] has no scale=; say how this batch differs" },
  { "[paper]\ncitaton=x\n", "line 6, [paper] citaton: no such key; did you mean “citation”?" },
  { "[paper]\nwhy=x\n", "line 6, [paper] why: no such key; there are citation, arxiv, says, numbers and conditions." },
  { "[paper]\narxiv=\n", "line 6, column 7, [paper] arxiv: something should stand behind “=”; or leave the line out." },
  /* Against the plan. */
  { "[expect]\n1=loss(linear-atention) <= loss(softmax-attention)\n",
    "line 6, [expect] 1: there is no variant “linear-atention” in this batch; did you mean “linear-attention”?" },
  { "[expect]\n1=loss(pooling) <= loss(softmax-attention)\n",
    "there is no variant “pooling” in this batch, which has softmax-attention x mlp and others." },
  { "[expect]\n1=loss(mlp) <= loss(softmax-attention)\n",
    "“mlp” means several variants, also “linear-attention x mlp”; name one in full, or choose with at KEY=VALUE." },
  { "[expect]\n1=loss(linear-attention) <= loss(linear-attention)\n", "compares “linear-attention x mlp” with itself." },
  { "[expect]\n1=loss(linear-attention) <= loss(softmax-attention) at N=65\n",
    "no run of linear-attention has what “linear-attention, N=65” asks for; a condition is a setting" },
  { "[expect]\n1=loss(linear-attention) <= loss(softmax-attention)\n[mqar]\nlength=32;64\n",
    "“linear-attention” means several variants, also “linear-attention x mlp, length=64”" },
  { "[expect]\n1=loss(linear-attention, length=32) <= loss(linear-attention, N=64)\n[mqar]\nlength=32;64\n",
    "loss on different data or devices cannot be compared; let both sides be on one." },
};

static void
test_bad (gconstpointer data)
{
  gsize i = GPOINTER_TO_UINT (data);
  g_autofree char *text = g_strconcat (HEAD, bad[i].text, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (FmBatchPlan) plan = plan_text (text, &error);

  g_assert_null (plan);
  g_assert_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT);
  g_test_message ("%s", error->message);
  if (strstr (error->message, bad[i].words) == NULL)
    g_error ("said: %s (wanted: %s)", error->message, bad[i].words);
  g_assert_null (strchr (error->message, '\n'));
  g_assert_true (g_str_has_suffix (error->message, ".") || g_str_has_suffix (error->message, "?"));
}

/* A cost may be compared across lengths, and `at` chooses among tasks. */
static void
test_lengths (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmBatchPlan) plan = plan_text (HEAD "[expect]\n"
                                            "1=flops(linear-attention, N=64) <= 2.1 * flops(linear-attention, length=32)\n"
                                            "2=latency ratio(softmax-attention, linear-attention) >= 2 at N=64\n"
                                            "3=loss(linear-attention) <= loss(softmax-attention) at length=32\n"
                                            "[mqar]\nlength=32;64\n", &error);

  g_assert_no_error (error);
  g_assert_nonnull (plan);
}

static void
test_same_claim (void)
{
  static const char text[] = "# c\n" HEAD PAPER "[expect]\nscale=toy\n1=loss(a) <= loss(b)\nverdict=undecided\n";
  static const struct { const char *other; gboolean same; } others[] = {
    { text, TRUE },
    { HEAD "[expect]\n1=loss(a) <= loss(b)\n", TRUE },
    { "[expect]\n1 = loss(a) <= loss(b)\nverdict=reproduced\n" HEAD, TRUE },
    { HEAD "[expect]\n1=loss(a) >= loss(b)\n", FALSE },
    { HEAD "seeds=5\n[expect]\n1=loss(a) <= loss(b)\n", FALSE },
    { HEAD "[expect]\n1=loss(a) <= loss(b)\n2=loss(a) <= loss(b)\n", FALSE },
    { "", FALSE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (others); i++)
    {
      g_assert_cmpint (fm_batch_same_claim (text, others[i].other), ==, others[i].same);
      g_assert_cmpint (fm_batch_same_claim (others[i].other, text), ==, others[i].same);
    }
}

/* Whatever a file holds is read or refused in a sentence. Mutations of good and bad expectations, the same each time. */
static void
test_mutations (void)
{
  static const char signs[] = "()=<>*%+-,. \tat1e9ratioN\xc3\xa4[]#\n\\";
  g_autoptr (GRand) rand = g_rand_new_with_seed (7);
  guint read = 0, refused = 0;

  for (guint i = 0; i < 20000; i++)
    {
      g_autoptr (GString) text = g_string_new ("[expect]\nscale=toy\n");
      gsize head = text->len;
      g_autoptr (GError) error = NULL;
      g_autoptr (FmBatchFile) file = NULL;
      g_autoptr (FmBatchClaim) claim = NULL;

      g_string_append (text, i % 2 ? "1=latency ratio(a x b, window=8, c) >= 2 at N=784, task=t\n"
                                   : "1=accuracy(a) >= accuracy(b, k=2) - 1.5 points\nverdict=undecided\n");
      for (gint m = g_rand_int_range (rand, 1, 6); m > 0; m--)
        {
          gsize at = head + g_rand_int_range (rand, 0, text->len - head);
          gint n = g_rand_int_range (rand, 1, 5);

          if (g_rand_boolean (rand))
            g_string_erase (text, at, MIN (n, (gint) (text->len - at)));
          else
            g_string_insert_c (text, at, signs[g_rand_int_range (rand, 0, sizeof signs - 1)]);
          if (text->len == head)
            g_string_append_c (text, 'x');
        }
      g_string_prepend (text, HEAD);
      file = fm_batch_file_parse (text->str, text->len, "/x/y.batch", &error);
      g_assert_true ((file == NULL) == (error != NULL));
      claim = fm_batch_claim_from_text (text->str);
      read += file != NULL;
      refused += error != NULL;
      if (error != NULL && (!g_utf8_validate (error->message, -1, NULL) || strchr (error->message, '\n') != NULL))
        {
          g_autofree char *shown = g_strescape (error->message, NULL);

          g_error ("not one sentence: %s", shown);
        }
    }
  g_test_message ("%u read, %u refused", read, refused);
  g_assert_cmpuint (read, >, 1000);
  g_assert_cmpuint (refused, >, 1000);
}

/* --- The verdict that a file keeps --------------------------------------------------------------------------------*/

static void
test_keep (void)
{
  static const struct { const char *before, *after; } cases[] = {
    { "[expect]\n1=x\n", "[expect]\n1=x\nverdict=undecided\n" },
    { "[expect]\n1=x", "[expect]\n1=x\nverdict=undecided\n" },
    { "[expect]\r\n1=x\r\n\r\n# end\r\n", "[expect]\r\n1=x\r\nverdict=undecided\r\n\r\n# end\r\n" },
    { "[expect]\n1=x\nverdict=\n", "[expect]\n1=x\nverdict=undecided\n" },
    { "[expect]\n verdict =  not reproduced \n1=x\n\n[mlp]\nverdict=3\n",
      "[expect]\n verdict =  undecided \n1=x\n\n[mlp]\nverdict=3\n" },
    { "[mlp]\nverdict=3\n[expect]\n# verdict=no\n1=x\n\n\n# after\n[batch]\ntitle=t\n",
      "[mlp]\nverdict=3\n[expect]\n# verdict=no\n1=x\nverdict=undecided\n\n\n# after\n[batch]\ntitle=t\n" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *once = fm_batch_text_set_verdict (cases[i].before, "undecided");
      g_autofree char *twice = fm_batch_text_set_verdict (once, "undecided");

      g_assert_cmpstr (once, ==, cases[i].after);
      g_assert_cmpstr (twice, ==, once);
    }
}

/* --- Invented stores ----------------------------------------------------------------------------------------------*/

typedef struct
{
  char    *folder;
  FmStore *store;
  gint64   batch;
  gint64   position;
  guint    blocks; /* of measuring processes; 0: a store that knows none */
  gboolean apart;  /* each variant measured in a session of its own */
} Fixture;

/* A batch more, with lines @keys of [batch]; what variants are added belongs to it. */
static void
fixture_begin (Fixture *f, const char *keys, const char *expect)
{
  g_autoptr (FmBatchRecord) batch = fm_batch_record_new ();
  g_autoptr (GError) error = NULL;

  g_usleep (2000); /* batches and stages are told apart by their times */
  f->position = 0;
  batch->key = g_strdup_printf ("key %" G_GINT64_FORMAT, f->batch);
  batch->title = g_strdup ("claim");
  batch->text = g_strdup_printf (HEAD "%s" PAPER "[expect]\nscale=toy\n%s", keys, expect);
  batch->program_version = g_strdup ("1");
  g_assert_true (fm_store_add_batch (f->store, batch, &error));
  g_assert_no_error (error);
  f->batch = batch->id;
  g_usleep (2000);
}

static void
fixture_open (Fixture *f, const char *expect)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;

  f->folder = g_dir_make_tmp ("fm-claims-XXXXXX", NULL);
  path = g_build_filename (f->folder, "formarium.db", NULL);
  f->store = fm_store_open (path, FM_STORE_WRITE, &error);
  g_assert_no_error (error);
  f->batch = 0;
  f->blocks = 0;
  f->apart = FALSE;
  fixture_begin (f, "", expect);
}

static void
fixture_close (Fixture *f)
{
  g_autofree char *command = g_strdup_printf ("rm -r '%s'", f->folder);

  fm_store_close (f->store);
  g_assert_cmpint (system (command), ==, 0);
  g_free (f->folder);
}

typedef struct
{
  const char *mixer, *setting; /* "" or ", length=128" */
  const char *states;          /* one letter a seed: d done, x diverged, f failed, s skipped, p planned */
  gdouble     accuracy, loss, latency_us;
  gint64      parameters, bytes;
} Variant;

static const gdouble wobble[] = { 0, 0.002, -0.001, 0.001, -0.002, 0.0015, -0.0015, 0.0005 };

static void
finish (FmStore *store, const char *id, const char *kind, const FmStageResult *result, const char *input)
{
  g_autoptr (FmStageRecord) record = fm_stage_record_new (id, kind, "{}");
  g_autoptr (GError) error = NULL;
  FmClaim claim;

  if (input != NULL)
    g_ptr_array_add (record->inputs, g_strdup (input));
  g_assert_true (fm_store_add_stage (store, record, &error));
  g_assert_no_error (error);
  if (result == NULL)
    return;
  g_assert_true (fm_store_claim_stage (store, id, &claim, &error));
  if (claim != FM_CLAIM_YOURS)
    return; /* an earlier batch has run it */
  g_assert_true (fm_store_finish_stage (store, id, result, &error));
  g_assert_no_error (error);
}

static void
add_variant (Fixture *f, const Variant *v)
{
  g_autofree char *architecture_id = g_strconcat (v->mixer, v->setting, NULL);
  g_autoptr (FmArchitectureRecord) architecture = fm_architecture_record_new ();
  g_autoptr (FmTaskRecord) task = fm_task_record_new ();
  g_autoptr (FmDeviceRecord) device = fm_device_record_new ();
  const char *length = *v->setting ? strstr (v->setting, "length=") : "length=64";
  g_autoptr (GError) error = NULL;

  architecture->id = g_strdup (architecture_id);
  architecture->skeleton = g_strdup ("encoder layers=2");
  g_ptr_array_add (architecture->roles, fm_role_record_new ("mixer", -1, v->mixer, "hash", ""));
  g_ptr_array_add (architecture->roles, fm_role_record_new ("feedforward", -1, "mlp", "hash", ""));
  task->id = g_strdup (length);
  task->name = g_strdup ("mqar");
  task->parameters = g_strdup_printf ("%s pairs=8 vocabulary=128", length);
  task->data_key = g_strdup ("");
  task->chance_level = 0.1;
  device->id = g_strdup ("cpu");
  device->label = g_strdup ("cpu");
  g_assert_true (fm_store_add_architecture (f->store, architecture, &error));
  g_assert_true (fm_store_add_task (f->store, task, &error));
  g_assert_true (fm_store_add_device (f->store, device, &error));
  for (guint s = 0; v->states[s]; s++)
    {
      g_autoptr (FmRunRecord) run = fm_run_record_new ();
      g_autofree char *train = g_strdup_printf ("train %s %u", architecture_id, s);
      g_autofree char *measure = g_strdup_printf ("measure %s %u", architecture_id, s);
      FmStageState state = v->states[s] == 'x' ? FM_STAGE_DIVERGED : v->states[s] == 'f' ? FM_STAGE_FAILED : FM_STAGE_DONE;
      g_autoptr (FmStageResult) trained = fm_stage_result_new (state), measured = fm_stage_result_new (FM_STAGE_DONE);
      /* Variants and seeds wobble apart, so that there is something to estimate. */
      gdouble noise = wobble[(s + 3 * (strlen (architecture_id) % 5)) % G_N_ELEMENTS (wobble)];

      trained->diverged_step = state == FM_STAGE_DIVERGED ? 7 : -1;
      trained->reason = state == FM_STAGE_DONE ? NULL : g_strdup ("it broke");
      if (state == FM_STAGE_DONE)
        {
          fm_stage_result_add_metric (trained, "test", "label", "", "accuracy", v->accuracy + noise);
          fm_stage_result_add_metric (trained, "test", "label", "", "loss", v->loss + noise);
          fm_stage_result_add_metric (trained, "", "", "", "parameters", v->parameters);
          fm_stage_result_add_memory (trained, "peak", v->bytes, v->bytes);
        }
      fm_stage_result_add_metric (measured, "", "", "", "flops", v->parameters * 2.0);
      for (guint i = 0; i < 5 && f->blocks == 0; i++)
        fm_stage_result_add_latency (measured, 0, "batch1", 1, v->latency_us * (1 + 10 * noise) + (i == 4 ? 1000 : 0));
      /* The machine gets slower from block to block; the number of a process is not that of its block. */
      for (guint b = 0; b < f->blocks; b++)
        {
          guint process = (b + s + *v->mixer) % f->blocks;

          fm_stage_result_add_process (measured, process, f->apart ? v->mixer : "session", b);
          fm_stage_result_add_latency (measured, process, "batch1", 1, v->latency_us * (1 + b) * (1 + noise));
        }
      finish (f->store, train, FM_STAGE_KIND_TRAIN, v->states[s] == 'p' || v->states[s] == 's' ? NULL : trained, NULL);
      finish (f->store, measure, FM_STAGE_KIND_MEASURE, v->states[s] == 'd' ? measured : NULL, train);
      run->batch = f->batch;
      run->position = f->position++;
      run->variant = g_strdup_printf ("%s x mlp%s", v->mixer, v->setting);
      run->architecture = g_strdup (architecture_id);
      run->task = g_strdup (length);
      run->device = g_strdup ("cpu");
      run->seed = s;
      g_ptr_array_add (run->stages, g_strdup (train));
      g_ptr_array_add (run->stages, g_strdup (measure));
      g_assert_true (fm_store_add_run (f->store, run, &error));
      g_assert_no_error (error);
      if (v->states[s] == 's')
        g_assert_true (fm_store_skip_run (f->store, run->id, "no data", &error));
    }
}

#define R FM_CLAIM_VERDICT_REPRODUCED
#define N FM_CLAIM_VERDICT_NOT_REPRODUCED
#define U FM_CLAIM_VERDICT_UNDECIDED
#define O FM_CLAIM_VERDICT_OPEN
#define LINEAR_SCORES "1=accuracy(linear-attention) >= accuracy(softmax-attention) - 1 points\n"
#define SOFTMAX { "softmax-attention", "", "ddddd", 0.8, 1.0, 1000, 1000, 100000 }

static const struct
{
  const char    *name, *expect;
  Variant        variants[4];
  FmClaimVerdict verdict, each[3];
  const char    *text; /* part of what is printed */
} cases[] = {
  { "reproduced", LINEAR_SCORES, { SOFTMAX, { "linear-attention", "", "ddddd", 0.8, 1.0, 400, 1000, 90000 } }, R, { R },
    "Claim: reproduced. What was expected is reproduced." },
  { "not-reproduced", LINEAR_SCORES, { SOFTMAX, { "linear-attention", "", "ddddd", 0.75, 1.0, 400, 1000, 90000 } }, N,
    { N }, "✗ 1  accuracy(linear-attention) >= accuracy(softmax-attention) - 1 points: −" },
  { "undecided", LINEAR_SCORES, { SOFTMAX, { "linear-attention", "", "ddddd", 0.7895, 1.0, 400, 1000, 90000 } }, U, { U },
    "more seed" },
  /* Both sides of a bound, and the same numbers the other way round. */
  { "at-most", "1=accuracy(linear-attention) <= accuracy(softmax-attention)\n",
    { SOFTMAX, { "linear-attention", "", "ddddd", 0.75, 1.0, 400, 1000, 90000 } }, R, { R }, "✓ 1" },
  { "at-most-not", "1=accuracy(linear-attention) <= accuracy(softmax-attention)\n",
    { SOFTMAX, { "linear-attention", "", "ddddd", 0.85, 1.0, 400, 1000, 90000 } }, N, { N }, "✗ 1" },
  { "loss", "1=loss(linear-attention) <= loss(softmax-attention) - 0.1 nats\n",
    { SOFTMAX, { "linear-attention", "", "ddddd", 0.8, 0.8, 400, 1000, 90000 } }, R, { R }, "−0.20 nats [" },
  /* One outside of several decides against, whatever the others say. */
  { "one-outside", LINEAR_SCORES "2=latency ratio(softmax-attention, linear-attention) >= 4\n"
    "3=parameters(linear-attention) <= parameters(softmax-attention)\n",
    { SOFTMAX, { "linear-attention", "", "ddddd", 0.8, 1.0, 400, 1000, 90000 } }, N, { R, N, R },
    "Of three expectations two are reproduced, one is not reproduced." },
  { "one-open", LINEAR_SCORES "2=latency ratio(softmax-attention, linear-attention) >= 2\n",
    { SOFTMAX, { "linear-attention", "", "ddddd", 0.7895, 1.0, 400, 1000, 90000 } }, U, { U, R },
    "Of two expectations one is reproduced, one is undecided." },
  { "all", LINEAR_SCORES "2=latency ratio(softmax-attention, linear-attention) >= 2\n",
    { SOFTMAX, { "linear-attention", "", "ddddd", 0.8, 1.0, 400, 1000, 90000 } }, R, { R, R },
    "Both expectations are reproduced." },
  /* A seed that diverged, failed or was left out on either side: never reproduced, and it is said. */
  { "diverged", LINEAR_SCORES, { SOFTMAX, { "linear-attention", "", "dddxd", 0.8, 1.0, 400, 1000, 90000 } }, U, { U },
    "a seed did not end well, so it is not called reproduced" },
  { "diverged-other", LINEAR_SCORES, { { "softmax-attention", "", "dxddd", 0.8, 1.0, 1000, 1000, 100000 },
    { "linear-attention", "", "ddddd", 0.8, 1.0, 400, 1000, 90000 } }, U, { U }, "a seed did not end well" },
  { "failed", LINEAR_SCORES, { SOFTMAX, { "linear-attention", "", "ddddf", 0.8, 1.0, 400, 1000, 90000 } }, U, { U }, "" },
  { "skipped", LINEAR_SCORES, { SOFTMAX, { "linear-attention", "", "dddds", 0.8, 1.0, 400, 1000, 90000 } }, U, { U }, "" },
  { "diverged-cost", "1=parameters(linear-attention) <= parameters(softmax-attention)\n",
    { SOFTMAX, { "linear-attention", "", "dddxd", 0.8, 1.0, 400, 1000, 90000 } }, U, { U }, "" },
  /* The seeds that are left are the good ones: if even they are too low, that stands. */
  { "diverged-and-worse", LINEAR_SCORES, { SOFTMAX, { "linear-attention", "", "dddxd", 0.7, 1.0, 400, 1000, 90000 } }, N,
    { N }, "1 of 5 seeds of linear-attention did not end well" },
  /* But a baseline that was freed of its bad seeds is no measure. */
  { "diverged-baseline", LINEAR_SCORES, { { "softmax-attention", "", "dxddd", 0.8, 1.0, 1000, 1000, 100000 },
    { "linear-attention", "", "ddddd", 0.7, 1.0, 400, 1000, 90000 } }, U, { U }, "lost a seed" },
  { "all-diverged", LINEAR_SCORES, { SOFTMAX, { "linear-attention", "", "xxxxx", 0.8, 1.0, 400, 1000, 90000 } }, U, { U },
    "linear-attention has no result: diverged at step 7" },
  { "missing", LINEAR_SCORES, { SOFTMAX, { "pooling", "", "ddddd", 0.8, 1.0, 400, 1000, 90000 } }, U, { U },
    "this batch has no run of linear-attention" },
  { "running", LINEAR_SCORES, { SOFTMAX, { "linear-attention", "", "ddddp", 0.8, 1.0, 400, 1000, 90000 } }, O, { O },
    "Claim: not run yet. 9 of 10 runs have ended." },
  { "one-seed", LINEAR_SCORES, { { "softmax-attention", "", "d", 0.8, 1.0, 1000, 1000, 100000 },
    { "linear-attention", "", "d", 0.8, 1.0, 400, 1000, 90000 } }, U, { U }, "no interval from one seed" },
  /* Costs only: what is counted has no interval and is compared as it is, also exactly on the bound. */
  { "costs", "1=parameters(linear-attention) <= parameters(softmax-attention)\n"
    "2=memory(linear-attention) <= 90% * memory(softmax-attention)\n3=flops(linear-attention) >= flops(softmax-attention)\n",
    { SOFTMAX, { "linear-attention", "", "ddddd", 0.1, 9.0, 400, 1000, 90000 } }, R, { R, R, R },
    "All of it is counted, so there are no intervals." },
  { "costs-not", "1=memory(linear-attention) <= 89.9% * memory(softmax-attention)\n",
    { SOFTMAX, { "linear-attention", "", "ddddd", 0.8, 1.0, 400, 1000, 90000 } }, N, { N }, "0.90×, counted" },
  { "costs-bound", "1=memory(linear-attention) >= 2.7% * memory(softmax-attention)\n", /* rounded to below it */
    { SOFTMAX, { "linear-attention", "", "ddddd", 0.8, 1.0, 400, 1000, 2700 } }, R, { R }, "counted" },
  { "latency", "1=latency ratio(softmax-attention, linear-attention) >= 2\n",
    { SOFTMAX, { "linear-attention", "", "ddddd", 0.8, 1.0, 400, 1000, 90000 } }, R, { R }, "5 blocks" },
  { "latency-undecided", "1=latency ratio(softmax-attention, linear-attention) >= 2.5\n",
    { SOFTMAX, { "linear-attention", "", "ddddd", 0.8, 1.0, 400, 1000, 90000 } }, U, { U }, "×" },
  /* Growth with the length: sides on two tasks. */
  { "growth", "1=latency(linear-attention, N=128) <= 2.5 * latency(linear-attention, length=64)\n"
    "2=latency(softmax-attention) >= 3.5 * latency(softmax-attention, N=64) at device=cpu\n",
    { SOFTMAX, { "linear-attention", "", "ddddd", 0.8, 1.0, 400, 1000, 90000 } }, U, { U, U }, "" },
  { "growth-both", "1=latency(linear-attention, N=128) <= 2.5 * latency(linear-attention, length=64)\n"
    "2=latency(softmax-attention, N=128) >= 3.5 * latency(softmax-attention, N=64)\n",
    { { "softmax-attention", ", length=64", "ddddd", 0.8, 1.0, 1000, 1000, 100000 },
      { "linear-attention", ", length=64", "ddddd", 0.8, 1.0, 400, 1000, 90000 },
      { "softmax-attention", ", length=128", "ddddd", 0.8, 1.0, 4000, 1000, 400000 },
      { "linear-attention", ", length=128", "ddddd", 0.8, 1.0, 800, 1000, 180000 } }, R, { R, R }, "5 blocks" },
};

static void
test_verdict (gconstpointer data)
{
  gsize i = GPOINTER_TO_UINT (data);
  g_autoptr (FmClaimResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;
  Fixture f;

  fixture_open (&f, cases[i].expect);
  for (guint v = 0; v < 4 && cases[i].variants[v].mixer; v++)
    add_variant (&f, &cases[i].variants[v]);
  result = fm_claim_result_load (f.store, f.batch, &error);
  g_assert_no_error (error);
  g_assert_nonnull (result);
  text = fm_claim_result_to_text (result);
  g_test_message ("%s", text);
  for (guint k = 0; k < result->findings->len; k++)
    g_assert_cmpint (((FmClaimFinding *) g_ptr_array_index (result->findings, k))->verdict, ==, cases[i].each[k]);
  g_assert_cmpint (result->verdict, ==, cases[i].verdict);
  if (strstr (text, cases[i].text) == NULL)
    g_error ("said: %s(wanted: %s)", text, cases[i].text);
  g_assert_nonnull (strstr (text, "The paper said: It works."));
  g_assert_nonnull (strstr (text, "Here: toy"));
  fixture_close (&f);
}

/* A batch without [expect] claims nothing, and that is no error. */
static void
test_nothing (void)
{
  static const Variant softmax = SOFTMAX;
  g_autoptr (FmClaimResult) result = NULL;
  g_autoptr (GError) error = NULL;
  Fixture f;

  fixture_open (&f, ""); /* [expect] that says nothing: as if it were not there */
  add_variant (&f, &softmax);
  result = fm_claim_result_load (f.store, f.batch, &error);
  g_assert_no_error (error);
  g_assert_null (result);
  fixture_close (&f);
}

/* More expectations make each interval wider: the level is shared by those that are measured, and by no others. */
static void
test_family (void)
{
  static const char *const texts[] = { LINEAR_SCORES, LINEAR_SCORES "2=parameters(linear-attention) <= 2 * "
                                       "parameters(softmax-attention)\n", LINEAR_SCORES
                                       "2=latency ratio(softmax-attention, linear-attention) >= 2\n" };
  static const Variant softmax = SOFTMAX, linear = { "linear-attention", "", "ddddd", 0.8, 1.0, 400, 1000, 90000 };
  gdouble width[3];

  for (guint i = 0; i < 3; i++)
    {
      g_autoptr (FmClaimResult) result = NULL;
      g_autoptr (GError) error = NULL;
      const FmClaimFinding *finding;
      Fixture f;

      fixture_open (&f, texts[i]);
      add_variant (&f, &softmax);
      add_variant (&f, &linear);
      result = fm_claim_result_load (f.store, f.batch, &error);
      g_assert_no_error (error);
      finding = g_ptr_array_index (result->findings, 0);
      width[i] = finding->high - finding->low;
      g_assert_cmpuint (result->measured, ==, i == 2 ? 2 : 1);
      g_assert_cmpfloat_with_epsilon (width[i], 2 * fm_t_quantile (1 - 0.05 / result->measured, finding->df) * finding->error,
                                      1e-12);
      fixture_close (&f);
    }
  g_assert_cmpfloat_with_epsilon (width[0], width[1], 1e-15);
  g_assert_cmpfloat (width[2], >, 1.2 * width[0]);
}

/* Seeds that were added after a verdict are judged alone, unless looks were announced: then all, at 5 % over them. */
static void
test_added_seeds (void)
{
  static const char *const keys[] = { "", "looks=2\n" };
  static const Variant few[] = { { "softmax-attention", "", "ddd", 0.8, 1.0, 1000, 1000, 100000 },
                                 { "linear-attention", "", "ddd", 0.8, 1.0, 400, 1000, 90000 } };
  static const Variant many[] = { { "softmax-attention", "", "ddddddd", 0.8, 1.0, 1000, 1000, 100000 },
                                  { "linear-attention", "", "ddddddd", 0.8, 1.0, 400, 1000, 90000 } };

  for (guint i = 0; i < 2; i++)
    {
      Fixture f;

      fixture_open (&f, LINEAR_SCORES); /* an empty first batch, which nobody counts */
      for (guint b = 0; b < 2; b++)
        {
          g_autoptr (FmClaimResult) result = NULL;
          g_autoptr (GError) error = NULL;
          const FmClaimFinding *finding;

          fixture_begin (&f, keys[i], LINEAR_SCORES);
          add_variant (&f, b == 0 ? &few[0] : &many[0]);
          add_variant (&f, b == 0 ? &few[1] : &many[1]);
          result = fm_claim_result_load (f.store, f.batch, &error);
          g_assert_no_error (error);
          finding = g_ptr_array_index (result->findings, 0);
          g_assert_cmpuint (finding->n, ==, b == 0 ? 3 : i == 0 ? 4 : 7);
          g_assert_cmpfloat (result->alpha, ==, i == 0 ? 0.05 : 0.025);
        }
      fixture_close (&f);
    }
}

/* Where the store knows blocks, they are the unit, not seeds, and what a block does to all variants cancels. */
static void
test_blocks (void)
{
  static const Variant softmax = { "softmax-attention", "", "ddd", 0.8, 1.0, 1000, 1000, 100000 };
  static const Variant linear = { "linear-attention", "", "ddd", 0.8, 1.0, 400, 1000, 90000 };
  g_autoptr (FmClaimResult) result = NULL;
  g_autoptr (GError) error = NULL;
  const FmClaimFinding *finding;
  Fixture f;

  fixture_open (&f, "1=latency ratio(softmax-attention, linear-attention) >= 2\n");
  f.blocks = 5;
  add_variant (&f, &softmax);
  add_variant (&f, &linear);
  result = fm_claim_result_load (f.store, f.batch, &error);
  g_assert_no_error (error);
  finding = g_ptr_array_index (result->findings, 0);
  g_assert_cmpuint (finding->n, ==, 5);
  g_assert_cmpfloat_with_epsilon (fm_claim_finding_show (finding, finding->estimate), 2.5, 0.02);
  g_assert_cmpfloat (finding->high - finding->low, <, 0.02);
  g_assert_cmpint (result->verdict, ==, FM_CLAIM_VERDICT_REPRODUCED);
  fixture_close (&f);
}

/* Measured in different sessions: nothing to compare, and that is said. */
static void
test_apart (void)
{
  static const Variant softmax = { "softmax-attention", "", "ddd", 0.8, 1.0, 1000, 1000, 100000 };
  static const Variant linear = { "linear-attention", "", "ddd", 0.8, 1.0, 400, 1000, 90000 };
  g_autoptr (FmClaimResult) result = NULL;
  g_autoptr (GError) error = NULL;
  Fixture f;

  fixture_open (&f, "1=latency ratio(softmax-attention, linear-attention) >= 2\n");
  f.blocks = 5;
  f.apart = TRUE;
  add_variant (&f, &softmax);
  add_variant (&f, &linear);
  result = fm_claim_result_load (f.store, f.batch, &error);
  g_assert_no_error (error);
  g_assert_cmpint (result->verdict, ==, FM_CLAIM_VERDICT_UNDECIDED);
  g_assert_nonnull (strstr (((FmClaimFinding *) g_ptr_array_index (result->findings, 0))->reason, "at different times"));
  fixture_close (&f);
}

/* Expectations stand before the runs: a file that was changed is refused, its verdict line is not. */
static void
test_changed (void)
{
  static const char *const expects[] = { "1=loss(linear-attention) <= loss(softmax-attention)\n",
                                         "1=loss(linear-attention) <= loss(softmax-attention)\nverdict=undecided\n",
                                         "1=loss(linear-attention) <= loss(softmax-attention) + 1 nats\n" };
  g_autoptr (GError) error = NULL;
  Fixture f;
  gint64 batch[3] = { 0 };

  fixture_open (&f, LINEAR_SCORES);
  for (guint i = 0; i < 3; i++)
    {
      g_autofree char *text = g_strconcat (HEAD "seeds=1\nevaluate=8\n[expect]\n", expects[i], NULL);
      g_autoptr (FmBatchPlan) plan = plan_text (text, &error);

      g_assert_no_error (error);
      if (i < 2)
        g_assert_true (fm_batch_plan_save (plan, f.store, &batch[i], &error));
      else
        g_assert_false (fm_batch_plan_save (plan, f.store, &batch[i], &error));
    }
  g_assert_cmpint (batch[0], ==, batch[1]);
  g_assert_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT);
  g_assert_nonnull (strstr (error->message, "what is expected stands before the runs"));
  fixture_close (&f);
}

/* --- Pictures and pages -------------------------------------------------------------------------------------------*/

#define WIDTH 600
#define HEIGHT 116

static gboolean
is_colour (cairo_surface_t *surface, int x, int y, FmColour c)
{
  const guchar *row = cairo_image_surface_get_data (surface) + y * cairo_image_surface_get_stride (surface);
  guint32 pixel = ((const guint32 *) (gconstpointer) row)[x];

  return fabs ((pixel >> 16 & 255) - 255 * c.red) < 3 && fabs ((pixel >> 8 & 255) - 255 * c.green) < 3
         && fabs ((pixel & 255) - 255 * c.blue) < 3;
}

/* Columns of the plot that hold @c; -1 and -1 where none does. Texts stand above and below, "expected" in its upper half. */
static void
extent (cairo_surface_t *surface, FmColour c, int *first, int *last)
{
  *first = *last = -1;
  for (int x = 0; x < WIDTH; x++)
    for (int y = 66; y < 90; y++)
      if (is_colour (surface, x, y, c))
        {
          *first = *first < 0 ? x : *first;
          *last = x;
        }
}

/* The region lies on the side that is expected, the marker where the number is, and nothing is drawn for no number. */
static void
test_chart (void)
{
  const FmFigureStyle style = FM_FIGURE_STYLE_PRINT;
  const FmColour white = { 1, 1, 1, 1 }, edge = fm_style_variant (&style, 1), ink = fm_style_variant (&style, 0);
  static const struct { gdouble value, low, high, bound; gboolean at_least, ratio; int inside; } looks[] = {
    { 1, 0.5, 1.5, 0.2, TRUE, FALSE, 1 },   { 1, 0.5, 1.5, 0.2, FALSE, FALSE, -1 }, { -2, -3, -1, -0.5, TRUE, FALSE, -1 },
    { 3.4, 3.2, 3.6, 2, TRUE, TRUE, 1 },    { 0.5, 0.4, 0.6, 0.9, FALSE, TRUE, 1 }, { 2, 2, 2, 64, TRUE, TRUE, -1 },
    { 4, 4, 4, 2, TRUE, TRUE, 1 },          { NAN, NAN, NAN, 2, TRUE, TRUE, 0 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (looks); i++)
    {
      FmVerdictCard card = { .title = "x(a) >= x(b)", .sign = "?", .word = "undecided", .text = "1 [0, 2], 3 seeds", .kind = "ratio",
                             .unit = "×", .value = looks[i].value, .low = looks[i].low, .high = looks[i].high,
                             .bound = looks[i].bound, .at_least = looks[i].at_least, .ratio = looks[i].ratio };
      FmVerdictChart chart = { 1, &card };
      cairo_surface_t *surface = cairo_image_surface_create (CAIRO_FORMAT_RGB24, WIDTH, HEIGHT);
      cairo_t *cr = cairo_create (surface);
      int first, last, from, to;

      cairo_set_source_rgb (cr, 1, 1, 1);
      cairo_paint (cr);
      fm_figure_verdicts.draw (&chart, cr, WIDTH, HEIGHT, &style);
      g_assert_cmpint (cairo_status (cr), ==, CAIRO_STATUS_SUCCESS);
      cairo_destroy (cr);
      cairo_surface_flush (surface);
      g_assert_cmpint (is_colour (surface, WIDTH - 14, 60, white), ==, !looks[i].at_least);
      g_assert_cmpint (is_colour (surface, 14, 60, white), ==, looks[i].at_least);
      extent (surface, edge, &first, &last);
      g_assert_cmpint (first, >=, 0);
      g_assert_cmpint (last - first, <, 4); /* an edge, and nothing else in its colour */
      if (looks[i].value == 4) /* 2 is in the middle of 1 and 4 where doublings are equal steps */
        g_assert_cmpint (abs (first - WIDTH / 2), <=, 2);
      extent (surface, ink, &from, &to);
      if (looks[i].inside == 0)
        g_assert_cmpint (from, ==, -1);
      else if (looks[i].at_least == (looks[i].inside > 0))
        g_assert_cmpint (from, >, last - 80); /* "we got" stands before it */
      else
        g_assert_cmpint (to, <, first);
      if (looks[i].inside != 0 && looks[i].at_least == (looks[i].inside > 0))
        g_assert_cmpint (to, >, last);
      g_assert_cmpint (fm_figure_verdicts.hit (&chart, WIDTH, HEIGHT, &style, 5, 5), ==, 0);
      g_assert_cmpint (fm_figure_verdicts.hit (&chart, WIDTH, HEIGHT, &style, 5, HEIGHT + 20), ==, -1);
      cairo_surface_destroy (surface);
    }
}

static void
test_report (void)
{
  static const Variant softmax = SOFTMAX, linear = { "linear-attention", "", "ddddd", 0.7895, 1.0, 400, 1000, 90000 };
  g_autoptr (GError) error = NULL;
  g_autoptr (FmClaimResult) result = NULL;
  g_autoptr (FmVerdictChart) chart = NULL;
  g_autoptr (FmFigureTable) table = NULL;
  g_autofree char *html = NULL, *table_text = NULL, *said = NULL;
  static const char *const endings[] = { "md", "tex", "pdf", "json", "csv" };
  Fixture f;

  fixture_open (&f, LINEAR_SCORES "2=latency ratio(softmax-attention, linear-attention) >= 2\n");
  add_variant (&f, &softmax);
  add_variant (&f, &linear);
  html = fm_report_to_html (f.store, f.batch, &error);
  g_assert_no_error (error);
  g_assert_nonnull (strstr (html, "The paper said, under these conditions"));
  g_assert_nonnull (strstr (html, "<p>It works.</p>"));
  g_assert_nonnull (strstr (html, "Claim undecided"));
  g_assert_null (strstr (html, "&lt;d")); /* markup that was set as text */
  g_assert_nonnull (strstr (html, "<a href=\"#claim\">"));
  g_assert_nonnull (strstr (html, "accuracy(linear-attention) &gt;= accuracy(softmax-attention) - 1 points"));
  for (gsize i = 0; i < G_N_ELEMENTS (endings); i++)
    {
      g_autofree char *name = g_strconcat ("report.", endings[i], NULL), *path = g_build_filename (f.folder, name, NULL);
      g_autofree char *text = NULL;

      g_assert_true (fm_report_write (f.store, f.batch, path, &error));
      g_assert_no_error (error);
      g_assert_true (g_file_get_contents (path, &text, NULL, &error));
      if (i < 2)
        g_assert_nonnull (strstr (text, "The paper said: It works."));
    }
  result = fm_claim_result_load (f.store, f.batch, &error);
  chart = fm_verdict_chart_new (result);
  g_assert_cmpuint (chart->n_cards, ==, 2);
  g_assert_true (chart->cards[1].ratio && !chart->cards[0].ratio);
  g_assert_cmpfloat_with_epsilon (chart->cards[0].bound, -1, 1e-9);
  g_assert_cmpfloat_with_epsilon (chart->cards[1].bound, 2, 1e-9);
  table = fm_figure_verdicts.table (chart);
  table_text = fm_figure_table_to_text (table);
  g_assert_nonnull (strstr (table_text, "undecided"));
  said = fm_figure_verdicts.describe (chart, 1);
  g_assert_nonnull (strstr (said, "reproduced, 2.5"));
  fixture_close (&f);
}

/* --- How often "reproduced" is wrong ------------------------------------------------------------------------------*/

#define MATRICES 2000
#define MOST_FALSE 123 /* 5 % of 2,000 and 2.36 standard deviations (99 %) */
#define LEAST_FALSE 60 /* a test that never speaks fails, too */
#define SEEDS 5

static gdouble
normal (GRand *rand)
{
  return sqrt (-2 * log (1 - g_rand_double (rand))) * cos (2 * G_PI * g_rand_double (rand));
}

/* @n expectations of variants 1 to n, whose true differences lie exactly on the bound: reproduced and not reproduced are
 * both false then, for each of them. With one expectation both are as frequent as is said; of several that all must hold
 * "reproduced" is rarer, and one that is called outside shows up in at most 5 %. */
static void
simulate (guint n, guint *reproduced, guint *against)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (1234 + n);
  FmExpectSide side = { (char *) "x", NULL };
  FmExpectation expectation = { .quantity = FM_EXPECT_ACCURACY, .left = &side, .right = &side, .at_least = TRUE,
                                .bound = -0.01 };

  *reproduced = *against = 0;
  for (guint m = 0; m < MATRICES; m++)
    {
      gdouble values[4 * SEEDS];
      FmComparison comparisons[3] = { 0 };
      FmClaimFinding findings[3] = { 0 };
      FmClaimVerdict verdict;

      for (guint s = 0; s < SEEDS; s++)
        {
          gdouble seed = 0.003 * normal (rand);

          for (guint v = 0; v < 4; v++)
            values[v * SEEDS + s] = 0.8 + seed + 0.004 * normal (rand) + (v > 0 ? expectation.bound : 0);
        }
      for (guint i = 0; i < n; i++)
        comparisons[i].variant = i + 1;
      fm_comparisons_estimate (values, 4, SEEDS, comparisons, n, 0, FM_ALPHA);
      for (guint i = 0; i < n; i++)
        {
          findings[i].expectation = &expectation;
          findings[i].estimate = comparisons[i].difference.mean;
          findings[i].error = comparisons[i].error;
          findings[i].df = comparisons[i].df;
        }
      verdict = fm_claim_findings_judge (findings, n, FM_ALPHA);
      *reproduced += verdict == FM_CLAIM_VERDICT_REPRODUCED;
      *against += verdict == FM_CLAIM_VERDICT_NOT_REPRODUCED;
    }
  g_test_message ("%u expectations on their bounds: reproduced %u, not reproduced %u of %d", n, *reproduced, *against,
                  MATRICES);
}

static void
test_border (void)
{
  guint reproduced, against;

  simulate (1, &reproduced, &against);
  g_assert_cmpuint (reproduced, <=, MOST_FALSE);
  g_assert_cmpuint (reproduced, >=, LEAST_FALSE);
  g_assert_cmpuint (against, <=, MOST_FALSE);
  g_assert_cmpuint (against, >=, LEAST_FALSE);
  simulate (3, &reproduced, &against);
  g_assert_cmpuint (reproduced, <=, MOST_FALSE);
  g_assert_cmpuint (against, <=, MOST_FALSE);
  g_assert_cmpuint (against, >=, LEAST_FALSE);
}

/* --- Those that come with the program ------------------------------------------------------------------------------*/

static void
test_shipped (void)
{
  g_autofree char *folder = g_build_filename (g_getenv ("FORMARIUM_SOURCE_DIR"), "examples", "claims", NULL);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  g_autoptr (GHashTable) tested = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  GPtrArray *plugins = fm_plugins_list ();
  const char *name;

  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      g_autoptr (GError) error = NULL;
      g_autoptr (FmBatchFile) file = fm_batch_file_load (path, &error);
      g_autoptr (FmBatchPlan) plan = file ? fm_batch_plan_new (file, &error) : NULL;
      const FmBatchClaim *claim;

      g_assert_no_error (error);
      claim = fm_batch_file_get_claim (file);
      g_assert_nonnull (claim);
      g_assert_nonnull (claim->citation);
      g_assert_nonnull (claim->arxiv);
      g_assert_nonnull (claim->conditions);
      g_assert_nonnull (claim->scale);
      for (guint i = 0; i < plan->runs->len; i++)
        {
          const FmBatchRun *run = g_ptr_array_index (plan->runs, i);

          g_hash_table_add (tested, g_strdup (run->mixer));
          g_hash_table_add (tested, g_strdup (run->feedforward));
        }
    }
  /* Every variant there is stands in one of them. */
  for (guint i = 0; i < plugins->len; i++)
    {
      const char *id = ((FmPlugin *) g_ptr_array_index (plugins, i))->descriptor->id;

      if (!g_hash_table_contains (tested, id))
        g_error ("no file in examples/claims runs %s", id);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/claims/read", test_read);
  g_test_add_func ("/claims/same-plan", test_same_plan);
  g_test_add_func ("/claims/lengths", test_lengths);
  g_test_add_func ("/claims/keep", test_keep);
  g_test_add_func ("/claims/same-claim", test_same_claim);
  g_test_add_func ("/claims/mutations", test_mutations);
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autofree char *path = g_strdup_printf ("/claims/bad/%02u", (guint) i);

      g_test_add_data_func (path, GUINT_TO_POINTER (i), test_bad);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *path = g_strdup_printf ("/claims/verdict/%s", cases[i].name);

      g_test_add_data_func (path, GUINT_TO_POINTER (i), test_verdict);
    }
  g_test_add_func ("/claims/nothing", test_nothing);
  g_test_add_func ("/claims/family", test_family);
  g_test_add_func ("/claims/added-seeds", test_added_seeds);
  g_test_add_func ("/claims/blocks", test_blocks);
  g_test_add_func ("/claims/apart", test_apart);
  g_test_add_func ("/claims/changed", test_changed);
  g_test_add_func ("/claims/chart", test_chart);
  g_test_add_func ("/claims/report", test_report);
  g_test_add_func ("/claims/border", test_border);
  g_test_add_func ("/claims/shipped", test_shipped);
  return g_test_run ();
}
