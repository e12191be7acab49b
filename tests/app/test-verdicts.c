/* test-verdicts.c: what is compared with what, and what the footnote says of it, on rows made by hand. */
#include "config.h"

#include "app/results/models.h"
#include "app/results/results.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void
add_run (GPtrArray *rows, const char *mixer, const char *setting, const char *parameters, gint64 seed,
         const char *state, gdouble accuracy)
{
  FmResultRow *row = g_new0 (FmResultRow, 1);

  row->batch = g_strdup ("b");
  row->variant = g_strdup_printf ("%s x mlp%s", mixer, setting);
  row->mixer = g_strdup (mixer);
  row->feedforward = g_strdup ("mlp");
  row->task = g_strdup ("mqar");
  row->task_parameters = g_strdup (parameters);
  row->device = g_strdup ("cpu");
  row->state = g_strdup (state);
  row->seed = seed;
  row->test_accuracy = accuracy;
  row->validation_accuracy = row->test_loss_nats = row->latency_us_median = row->latency_us_p95 = NAN;
  row->throughput_per_s = row->train_s = row->flops = NAN;
  row->chance_level = 0.1;
  row->best_shortcut_accuracy = strcmp (parameters, "length=64") == 0 ? 0.2 : 0.3;
  row->diverged_step = -1;
  g_ptr_array_add (rows, row);
}

static void
add_seeds (GPtrArray *rows, const char *mixer, const char *setting, const char *parameters, gdouble accuracy)
{
  for (gint64 seed = 0; seed < 3; seed++)
    add_run (rows, mixer, setting, parameters, seed, "done", accuracy + 0.001 * seed * seed);
}

static const FmVariantResult *
row_of (FmResultsTable *table, guint index)
{
  return fm_results_row_get (fm_results_table_get_row (table, index));
}

/* A task of other parameters is other data: each has its own baseline, and nobody is compared across. */
static void
test_task_parameters (void)
{
  g_autoptr (GPtrArray) rows = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_result_row_free);
  g_autoptr (FmResultsTable) table = NULL;
  g_autofree char *footnote = NULL, *text = NULL;

  add_seeds (rows, "softmax-attention", ", length=64", "length=64", 0.9);
  add_seeds (rows, "softmax-attention", ", length=128", "length=128", 0.5);
  add_seeds (rows, "linear-attention", ", length=64", "length=64", 0.7);
  add_seeds (rows, "linear-attention", ", length=128", "length=128", 0.7);
  table = fm_results_table_new (rows);
  g_assert_cmpuint (fm_results_table_get_n_rows (table), ==, 4);
  g_assert_cmpint (row_of (table, 0)->verdict, ==, FM_VERDICT_BASELINE);
  g_assert_cmpint (row_of (table, 1)->verdict, ==, FM_VERDICT_BASELINE);
  g_assert_cmpint (row_of (table, 2)->verdict, ==, FM_VERDICT_WORSE);
  g_assert_cmpint (row_of (table, 3)->verdict, ==, FM_VERDICT_BETTER);

  footnote = fm_results_table_footnote (table);
  g_assert_nonnull (strstr (footnote, "adjusted by Holm over 2 comparisons,"));
  text = fm_results_table_to_text (table, 0);
  g_assert_nonnull (strstr (text, "20.0"));
  g_assert_nonnull (strstr (text, "30.0")); /* the second task's shortcut, too */
  g_assert_nonnull (strstr (text, "Best shortcut, mqar length=128"));
}

/* A row that still runs gets no verdict, one with a diverged seed is FAIL; the batch named both comparisons before it
 * knew, so both count. */
static void
test_family (void)
{
  g_autoptr (GPtrArray) rows = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_result_row_free);
  g_autoptr (FmResultsTable) table = NULL;
  g_autofree char *footnote = NULL, *seeds = NULL;

  add_seeds (rows, "softmax-attention", "", "length=64", 0.9);
  add_seeds (rows, "linear-attention", "", "length=64", 0.7);
  add_run (rows, "pooling", "", "length=64", 0, "done", 0.5);
  add_run (rows, "pooling", "", "length=64", 1, "done", 0.5);
  add_run (rows, "pooling", "", "length=64", 2, "running", NAN);
  add_run (rows, "local-attention", "", "length=64", 0, "done", 0.9);
  add_run (rows, "local-attention", "", "length=64", 1, "diverged", NAN);
  add_run (rows, "local-attention", "", "length=64", 2, "done", 0.9);
  table = fm_results_table_new (rows);
  g_assert_cmpint (row_of (table, 1)->verdict, ==, FM_VERDICT_WORSE);
  g_assert_cmpint (row_of (table, 2)->verdict, ==, FM_VERDICT_NONE);
  g_assert_cmpint (row_of (table, 3)->verdict, ==, FM_VERDICT_FAIL);
  seeds = fm_results_row_seeds_text (fm_results_table_get_row (table, 3));
  g_assert_cmpstr (seeds, ==, "2 of 3");
  footnote = fm_results_table_footnote (table);
  g_assert_nonnull (strstr (footnote, "Holm over 3 comparisons,"));
}

/* One seed has no interval and is no comparison. */
static void
test_one_seed (void)
{
  g_autoptr (GPtrArray) rows = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_result_row_free);
  g_autoptr (FmResultsTable) table = NULL;
  g_autofree char *footnote = NULL, *verdict = NULL;

  add_run (rows, "softmax-attention", "", "length=64", 0, "done", 0.9);
  add_run (rows, "pooling", "", "length=64", 0, "done", 0.2);
  table = fm_results_table_new (rows);
  g_assert_cmpint (row_of (table, 1)->verdict, ==, FM_VERDICT_UNDECIDED);
  verdict = fm_results_row_verdict_text (fm_results_table_get_row (table, 1));
  g_assert_cmpstr (verdict, ==, "undecided, needs 2 seeds");
  footnote = fm_results_table_footnote (table);
  g_assert_null (strstr (footnote, "Holm"));
}

/* A crash leaves a hole: the rest is judged, and the reason is said; but no word prefers the variant for it. */
static void
test_failed_seed (void)
{
  g_autoptr (GPtrArray) rows = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_result_row_free);
  g_autoptr (FmResultsTable) table = NULL;
  g_autofree char *worse = NULL, *better = NULL;

  add_seeds (rows, "softmax-attention", "", "length=64", 0.7);
  add_run (rows, "pooling", "", "length=64", 0, "done", 0.5);
  add_run (rows, "pooling", "", "length=64", 1, "failed", NAN);
  add_run (rows, "pooling", "", "length=64", 2, "done", 0.504);
  add_run (rows, "local-attention", "", "length=64", 0, "done", 0.9);
  add_run (rows, "local-attention", "", "length=64", 1, "done", 0.901);
  add_run (rows, "local-attention", "", "length=64", 2, "failed", NAN);
  add_run (rows, "linear-attention", "", "length=64", 0, "failed", NAN);
  add_run (rows, "linear-attention", "", "length=64", 1, "failed", NAN);
  add_run (rows, "linear-attention", "", "length=64", 2, "failed", NAN);
  table = fm_results_table_new (rows);
  g_assert_cmpint (row_of (table, 1)->verdict, ==, FM_VERDICT_WORSE);
  g_assert_cmpint (row_of (table, 2)->verdict, ==, FM_VERDICT_UNDECIDED);
  g_assert_cmpint (row_of (table, 3)->verdict, ==, FM_VERDICT_FAIL);
  worse = fm_results_row_verdict_text (fm_results_table_get_row (table, 1));
  g_assert_cmpstr (worse, ==, "worse; 1 seed failed");
}

/* --- From a store: margins, comparisons, looks and added seeds -----------------------------------------------------*/

typedef struct
{
  char    *folder;
  FmStore *store;
} Fixture;

static void
fixture_open (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;

  f->folder = g_dir_make_tmp ("fm-verdicts-XXXXXX", NULL);
  path = g_build_filename (f->folder, "formarium.db", NULL);
  f->store = fm_store_open (path, FM_STORE_WRITE, &error);
  g_assert_no_error (error);
}

static void
fixture_close (Fixture *f)
{
  g_autofree char *command = g_strdup_printf ("rm -r '%s'", f->folder);

  fm_store_close (f->store);
  g_assert_cmpint (system (command), ==, 0);
  g_free (f->folder);
}

static void
add_stage (FmStore *store, const char *id, gdouble accuracy)
{
  g_autoptr (FmStageRecord) record = fm_stage_record_new (id, FM_STAGE_KIND_TRAIN, "{}");
  g_autoptr (FmStageResult) result = fm_stage_result_new (FM_STAGE_DONE);
  g_autoptr (GError) error = NULL;
  FmClaim claim;

  g_assert_true (fm_store_add_stage (store, record, &error));
  g_assert_no_error (error);
  g_assert_true (fm_store_claim_stage (store, id, &claim, &error));
  g_assert_no_error (error);
  if (claim != FM_CLAIM_YOURS)
    return; /* an earlier batch has trained it */
  fm_stage_result_add_metric (result, "test", "label", "", "accuracy", accuracy);
  g_assert_true (fm_store_finish_stage (store, id, result, &error));
  g_assert_no_error (error);
}

/* Three variants over @seeds: softmax, pooling (better by 0.02 with a spread) and linear; stages are shared by name. */
static gint64
add_batch (FmStore *store, const char *keys, guint seeds, gdouble better)
{
  static const char *const mixers[] = { "softmax-attention", "pooling", "linear-attention" };
  static const gdouble noise[3][8] = { { 0, 1, -1, 0, 2, -2, 1, -1 },
                                       { 2, -1, 0, -2, 0, 1, 1, -1 },
                                       { -1, 0, 2, 1, -2, 0, -1, 1 } };
  g_autoptr (FmBatchRecord) batch = fm_batch_record_new ();
  g_autoptr (GError) error = NULL;
  static guint count;

  g_usleep (2000); /* batches and stages are told apart by their times */
  batch->key = g_strdup_printf ("key%u", count++);
  batch->title = g_strdup ("looks");
  batch->text = g_strdup_printf ("[batch]\ntask=mqar\n%s", keys);
  batch->program_version = g_strdup ("1");
  g_assert_true (fm_store_add_batch (store, batch, &error));
  g_assert_no_error (error);
  g_usleep (2000);
  for (guint v = 0; v < 3; v++)
    for (guint s = 0; s < seeds; s++)
      {
        g_autoptr (FmRunRecord) run = fm_run_record_new ();
        g_autoptr (FmArchitectureRecord) architecture = fm_architecture_record_new ();
        g_autoptr (FmTaskRecord) task = fm_task_record_new ();
        g_autoptr (FmDeviceRecord) device = fm_device_record_new ();
        g_autofree char *stage = g_strdup_printf ("stage-%s-%u", mixers[v], s);

        architecture->id = g_strdup (mixers[v]);
        architecture->skeleton = g_strdup ("encoder layers=2");
        g_ptr_array_add (architecture->roles, fm_role_record_new ("mixer", -1, mixers[v], "hash", ""));
        task->id = g_strdup ("task");
        task->name = g_strdup ("mqar");
        task->parameters = g_strdup ("");
        task->data_key = g_strdup ("");
        task->chance_level = 0.1;
        device->id = g_strdup ("cpu");
        device->label = g_strdup ("cpu");
        g_assert_true (fm_store_add_architecture (store, architecture, &error));
        g_assert_true (fm_store_add_task (store, task, &error));
        g_assert_true (fm_store_add_device (store, device, &error));
        add_stage (store, stage, 0.8 + (v == 1 ? better : 0) + 0.003 * noise[v][s]);
        run->batch = batch->id;
        run->position = v * seeds + s;
        run->variant = g_strdup_printf ("%s x mlp", mixers[v]);
        run->architecture = g_strdup (mixers[v]);
        run->task = g_strdup ("task");
        run->device = g_strdup ("cpu");
        run->seed = s;
        g_ptr_array_add (run->stages, g_strdup (stage));
        g_assert_true (fm_store_add_run (store, run, &error));
        g_assert_no_error (error);
      }
  return batch->id;
}

static FmResultsTable *
load (Fixture *f, gint64 batch)
{
  g_autoptr (GError) error = NULL;
  FmResultsTable *table = fm_results_table_load (f->store, batch, &error);

  g_assert_no_error (error);
  return table;
}

/* Seeds that were added without a word are judged alone; so are those beyond the looks that were announced. */
static void
test_added_seeds (void)
{
  static const struct
  {
    const char *first, *second, *third; /* keys of three batches of 3, 5 and 7 seeds */
    guint       look[3], new_seeds[3];
  } cases[] = {
    { "", "", "", { 1, 1, 1 }, { 0, 2, 2 } },
    { "looks=3\n", "looks=3\n", "looks=3\n", { 1, 2, 3 }, { 0, 0, 0 } },
    { "looks=2\n", "looks=2\n", "looks=2\n", { 1, 2, 1 }, { 0, 0, 2 } },
    { "", "looks=3\n", "looks=3\n", { 1, 1, 1 }, { 0, 2, 2 } }, /* too late to announce */
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const char *const keys[] = { cases[i].first, cases[i].second, cases[i].third };
      gint64 batches[3];
      Fixture f;

      fixture_open (&f);
      for (guint b = 0; b < 3; b++)
        batches[b] = add_batch (f.store, keys[b], 3 + 2 * b, 0.01);
      for (guint b = 0; b < 3; b++)
        {
          g_autoptr (FmResultsTable) table = load (&f, batches[b]);
          g_autofree char *footnote = fm_results_table_footnote (table);
          guint n;
          const FmResultsComparison *c = fm_results_table_get_comparisons (table, &n);

          g_assert_cmpuint (n, ==, 2);
          g_assert_cmpuint (c[0].look, ==, cases[i].look[b]);
          g_assert_cmpuint (c[0].new_seeds, ==, cases[i].new_seeds[b]);
          g_assert_cmpuint (c[0].comparison.difference.n, ==, c[0].new_seeds > 0 ? c[0].new_seeds : 3 + 2 * b);
          g_assert_cmpuint (c[0].spread.df, ==, 2 * (c[0].comparison.difference.n - 1));
          g_assert_cmpint (strstr (footnote, "judged on the new seeds alone") != NULL, ==, c[0].new_seeds > 0);
        }
      fixture_close (&f);
    }
}

/* The same plan under another title is no second look: it shows what was known. */
static void
test_same_seeds_again (void)
{
  Fixture f;
  g_autoptr (FmResultsTable) first = NULL;
  g_autoptr (FmResultsTable) second = NULL;

  fixture_open (&f);
  first = load (&f, add_batch (f.store, "", 5, 0.02));
  second = load (&f, add_batch (f.store, "", 5, 0.02));
  g_assert_cmpint (row_of (first, 1)->verdict, ==, FM_VERDICT_BETTER);
  g_assert_cmpint (row_of (second, 1)->verdict, ==, FM_VERDICT_BETTER);
  g_assert_cmpuint (row_of (second, 1)->new_seeds, ==, 0);
  fixture_close (&f);
}

/* margin=, looks= and compare= of the file decide. */
static void
test_keys (void)
{
  Fixture f;
  g_autoptr (FmResultsTable) narrow = NULL;
  g_autoptr (FmResultsTable) wide = NULL;
  g_autoptr (FmResultsTable) named = NULL;
  g_autoptr (FmResultsTable) all = NULL;
  g_autofree char *footnote = NULL, *text = NULL, *verdict = NULL;
  guint n;

  fixture_open (&f);
  narrow = load (&f, add_batch (f.store, "", 8, 0.02));
  wide = load (&f, add_batch (f.store, "margin=accuracy:3 points;memory:10%\n", 8, 0.02));
  named = load (&f, add_batch (f.store, "compare=pooling vs linear-attention x mlp\n", 8, 0.02));
  all = load (&f, add_batch (f.store, "compare=all\n", 8, 0.02));
  g_assert_cmpint (row_of (narrow, 1)->verdict, ==, FM_VERDICT_BETTER);
  g_assert_cmpint (row_of (wide, 1)->verdict, ==, FM_VERDICT_EQUAL);
  g_assert_cmpfloat_with_epsilon (row_of (wide, 1)->accuracy_margin, 0.03, 1e-12);
  g_assert_cmpfloat_with_epsilon (row_of (wide, 1)->memory_margin, 0.1, 1e-12);
  footnote = fm_results_table_footnote (wide);
  g_assert_nonnull (strstr (footnote, "within 3 points of accuracy"));
  fm_results_table_get_comparisons (named, &n);
  g_assert_cmpuint (n, ==, 1);
  verdict = fm_results_row_verdict_text (fm_results_table_get_row (named, 1));
  g_assert_cmpstr (verdict, ==, "better (against linear-attention)");
  text = fm_results_table_to_text (named, 0);
  g_assert_nonnull (strstr (text, "pooling against linear-attention: better, 2.0 points ["));
  fm_results_table_get_comparisons (all, &n);
  g_assert_cmpuint (n, ==, 3);
  fixture_close (&f);
}

/* --- Two trained models -------------------------------------------------------------------------------------------*/

static void
add_outcomes_and_answers (FmStore *store, const char *stage, const gfloat *triples, const gfloat *answers, gsize n)
{
  g_autoptr (FmStageRecord) record = fm_stage_record_new (stage, FM_STAGE_KIND_TRAIN, "{}");
  g_autoptr (FmStageResult) result = fm_stage_result_new (FM_STAGE_DONE);
  g_autoptr (GBytes) bytes = g_bytes_new (triples, 3 * n * sizeof (gfloat));
  g_autoptr (GError) error = NULL;
  FmClaim claim;

  g_assert_true (fm_store_add_stage (store, record, &error));
  g_assert_true (fm_store_claim_stage (store, stage, &claim, &error));
  fm_stage_result_add_outcomes (result, "test", "label", bytes);
  if (answers)
    {
      g_autoptr (GBytes) packed = g_bytes_new (answers, 3 * n * sizeof (gfloat));

      fm_stage_result_add_outcomes (result, "test", "label" FM_OUTCOMES_ANSWERS, packed);
    }
  g_assert_true (fm_store_finish_stage (store, stage, result, &error));
  g_assert_no_error (error);
}

static void
add_outcomes (FmStore *store, const char *stage, const gfloat *triples, gsize n)
{
  add_outcomes_and_answers (store, stage, triples, NULL, n);
}

/* F1 and AUC from the answers of two models on two classes; the second is right more often, and surer. */
static void
test_answers (void)
{
  enum { N = 200 };
  gfloat right[3 * N], first[3 * N], second[3 * N], three[3 * N];
  FmModelsComparison c;
  g_autofree char *sentence = NULL;
  g_autoptr (GError) error = NULL;
  Fixture f;

  for (int i = 0; i < N; i++)
    {
      gfloat class = i % 4 == 0, a = i % 10 < 3 ? 1 - class : class, b = i % 10 == 0 ? 1 - class : class;
      gfloat outcome[] = { a == class, 1, 0.5 }, x[] = { a, class, a ? 1 : -1 }, y[] = { b, class, b ? 2 + i : -2 - i };
      gfloat z[] = { i % 3, i % 3, 0 };

      memcpy (right + 3 * i, outcome, sizeof outcome);
      memcpy (first + 3 * i, x, sizeof x);
      memcpy (second + 3 * i, y, sizeof y);
      memcpy (three + 3 * i, z, sizeof z);
    }
  fixture_open (&f);
  add_outcomes_and_answers (f.store, "first", right, first, N);
  add_outcomes_and_answers (f.store, "second", right, second, N);
  add_outcomes_and_answers (f.store, "three", right, three, N);
  add_outcomes (f.store, "before", right, N);
  /* Of the first 30 of the 50 and 110 of the 150 are right, so 70 and 130 are answered: F1 = 60/120 and 220/280. */
  g_assert_true (fm_models_compare (f.store, "first", "second", "test", NULL, FM_METRIC_MACRO_F1, &c, &error));
  g_assert_no_error (error);
  g_assert_cmpfloat_with_epsilon (c.first, (60.0 / 120 + 220.0 / 280) / 2, 1e-12);
  g_assert_cmpint (c.verdict, ==, FM_VERDICT_BETTER);
  g_assert_true (isnan (c.p));
  g_assert_cmpfloat (c.difference.low, >, 0);
  g_assert_cmpfloat (c.difference.low, <, c.difference.mean);
  g_assert_cmpfloat (c.difference.high, >, c.difference.mean);
  sentence = fm_models_sentence (&c);
  g_assert_nonnull (strstr (sentence, "the second is better: macro F1 +"));
  g_assert_nonnull (strstr (sentence, "(paired bootstrap)"));
  /* With two scores alone: the mean of both shares. */
  g_assert_true (fm_models_compare (f.store, "first", "second", "test", "label", FM_METRIC_AUC, &c, &error));
  g_assert_no_error (error);
  g_assert_cmpfloat_with_epsilon (c.first, (30.0 / 50 + 110.0 / 150) / 2, 1e-12);
  g_assert_cmpint (c.verdict, ==, FM_VERDICT_BETTER);
  /* Accuracy is read from the outcomes as ever, whichever row comes first. */
  g_assert_true (fm_models_compare (f.store, "first", "before", "test", NULL, FM_METRIC_ACCURACY, &c, &error));
  g_assert_cmpfloat_with_epsilon (c.first, 0.7, 1e-12);
  g_assert_false (fm_models_compare (f.store, "first", "three", "test", NULL, FM_METRIC_AUC, &c, &error));
  g_assert_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT);
  g_clear_error (&error);
  g_assert_false (fm_models_compare (f.store, "three", "three", "test", NULL, FM_METRIC_AUC, &c, &error));
  g_assert_nonnull (strstr (error->message, "two classes, and the test split has more"));
  g_clear_error (&error);
  g_assert_false (fm_models_compare (f.store, "first", "before", "test", NULL, FM_METRIC_MACRO_F1, &c, &error));
  g_assert_nonnull (strstr (error->message, "not which class was answered"));
  g_clear_error (&error);
  g_assert_false (fm_models_compare (f.store, "first", "before", "test", "lab", FM_METRIC_ACCURACY, &c, &error));
  g_assert_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT);
  fixture_close (&f);
}

static void
test_models (void)
{
  enum { N = 400 };
  gfloat first[3 * N], second[3 * N], several[3 * N];
  FmModelsComparison c;
  g_autofree char *sentence = NULL, *other = NULL;
  g_autoptr (GError) error = NULL;
  Fixture f;

  for (int i = 0; i < N; i++)
    {
      gfloat a[] = { i % 4 != 0, 1, 0.5 }, b[] = { i % 4 != 0 || i % 16 == 0, 1, 0.4 }, d[] = { 2, 3, 1.2 };

      b[0] = i % 100 == 1 ? 0 : b[0];
      memcpy (first + 3 * i, a, sizeof a);
      memcpy (second + 3 * i, b, sizeof b);
      memcpy (several + 3 * i, d, sizeof d);
    }
  fixture_open (&f);
  add_outcomes (f.store, "first", first, N);
  add_outcomes (f.store, "second", second, N);
  add_outcomes (f.store, "short", second, N - 1);
  add_outcomes (f.store, "several", several, N);
  g_assert_true (fm_models_compare (f.store, "first", "second", "test", NULL, FM_METRIC_ACCURACY, &c, &error));
  g_assert_no_error (error);
  g_assert_cmpint (c.only_second, ==, 25);
  g_assert_cmpint (c.only_first, ==, 4);
  g_assert_cmpint (c.verdict, ==, FM_VERDICT_BETTER);
  g_assert_cmpfloat_with_epsilon (c.difference.mean, 21.0 / N, 1e-12);
  sentence = fm_models_sentence (&c);
  g_assert_true (g_str_has_prefix (sentence, "Of these two trained models the second is better: accuracy +5.2 points ["));
  g_assert_nonnull (strstr (sentence, "(exact McNemar, 25 right by the second alone against 4, p = 0.0001"));
  g_assert_true (fm_models_compare (f.store, "second", "first", "test", "label", FM_METRIC_LOSS_NATS, &c, &error));
  g_assert_cmpint (c.verdict, ==, FM_VERDICT_WORSE);
  g_assert_cmpint (c.only_first, ==, -1);
  other = fm_models_sentence (&c);
  g_assert_true (g_str_has_prefix (other, "Of these two trained models the first is better: loss in nats +0.100 ["));
  g_assert_true (fm_models_compare (f.store, "several", "several", "test", NULL, FM_METRIC_ACCURACY, &c, &error));
  g_assert_true (isnan (c.p));
  g_assert_cmpint (c.verdict, ==, FM_VERDICT_UNDECIDED);
  g_assert_false (fm_models_compare (f.store, "first", "short", "test", NULL, FM_METRIC_ACCURACY, &c, &error));
  g_assert_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT);
  g_clear_error (&error);
  g_assert_false (fm_models_compare (f.store, "first", "several", "test", NULL, FM_METRIC_ACCURACY, &c, &error));
  g_clear_error (&error);
  g_assert_false (fm_models_compare (f.store, "first", "second", "validation", NULL, FM_METRIC_ACCURACY, &c, &error));
  g_assert_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT);
  fixture_close (&f);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/app/verdicts/task-parameters", test_task_parameters);
  g_test_add_func ("/app/verdicts/family", test_family);
  g_test_add_func ("/app/verdicts/one-seed", test_one_seed);
  g_test_add_func ("/app/verdicts/failed-seed", test_failed_seed);
  g_test_add_func ("/app/verdicts/added-seeds", test_added_seeds);
  g_test_add_func ("/app/verdicts/same-seeds-again", test_same_seeds_again);
  g_test_add_func ("/app/verdicts/keys", test_keys);
  g_test_add_func ("/app/verdicts/models", test_models);
  g_test_add_func ("/app/verdicts/answers", test_answers);
  return g_test_run ();
}
