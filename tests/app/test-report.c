/* Results and reports made from a store that is filled as a runner fills it: five variants, three seeds, one that
 * diverges in two of them, maps and routing as artifacts. FORMARIUM_KEEP_REPORT=FOLDER keeps the documents. */
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#include "app/architecture/plugins.h"
#include "app/report/report.h"
#include "app/results/format.h"
#include "app/results/results.h"
#include "browser.h"

#define SEEDS 3
#define STEPS 40

typedef struct
{
  const char *mixer, *feedforward;
  gdouble     accuracy, step_between_seeds, latency_us, peak_mb;
  gboolean    diverges; /* all seeds but the first */
} Variant;

/* Differences to the first are set so that each verdict appears once. */
static const Variant variants[] = {
  { "softmax-attention", "mlp", 0.845, 0, 412, 21.4, FALSE },
  { "softmax-attention", "switch", 0.875, 0.0003, 655, 38.6, FALSE },
  { "local-attention", "mlp", 0.844, 0.0003, 301, 17.8, FALSE },
  { "linear-attention", "mlp", 0.813, 0.0003, 248, 15.9, FALSE },
  { "pooling", "mlp", 0.836, 0.005, 183, 14.1, FALSE },
  { "performer", "mlp", 0.800, 0, 200, 14.0, TRUE },
};
static const char *const classes[] = { "T-shirt", "Trouser", "Pullover", "Dress",   "Coat",
                                       "Sandal",  "Shirt",   "Sneaker",  "Bag & <b>", "Ankle boot", NULL };

typedef struct
{
  char    *folder;
  FmStore *store;
  gint64   batch;
} Fixture;

static void
write_maps (FmStore *store, FmStageResult *result, const char *stage, guint shift)
{
  g_autoptr (FmMaps) maps = fm_maps_new (2, 4, 49, 49);
  g_autofree char *path = fm_store_artifact_path (store, stage, FM_MAPS_FILE);
  g_autofree char *relative = g_strconcat (stage, "/" FM_MAPS_FILE, NULL), *folder = g_path_get_dirname (path);
  g_autoptr (GError) error = NULL;

  maps->task = g_strdup ("fashion-mnist");
  maps->split = g_strdup ("test");
  maps->example = 11;
  maps->label = g_strdup ("Coat");
  maps->grid_rows = maps->grid_columns = 7;
  maps->image_rows = maps->image_columns = 28;
  maps->image = g_new0 (gfloat, 784);
  for (int i = 0; i < 784; i++) /* a coat of two sleeves and a body */
    {
      int x = i % 28, y = i / 28;

      if ((y > 2 && x > 8 && x < 20) || (y > 4 && (x > 3 && x < 7)) || (y > 4 && (x > 21 && x < 25)))
        maps->image[i] = 0.5 + 0.4 * ((x * 7 + y * 3) % 5) / 5;
    }
  for (int lh = 0; lh < 8; lh++)
    for (int q = 0; q < 49; q++)
      {
        gfloat *row = maps->attention + (lh * 49 + q) * 49;
        int mirror = lh == 6 ? q / 7 * 7 + 6 - q % 7 : q;
        gdouble sum = 0;

        for (int k = 0; k < 49; k++)
          {
            gdouble d = hypot (k % 7 - mirror % 7, k / 7 - mirror / 7);

            row[k] = shift == 1 && hypot (k % 7 - q % 7, k / 7 - q / 7) > 2.5
                       ? NAN
                       : exp (-d * d * (lh + 1) / (2.0 + 3 * shift)) + 0.001 + (k == q ? 0.4 : 0);
            sum += isnan (row[k]) ? 0 : row[k];
          }
        for (int k = 0; k < 49; k++)
          row[k] /= sum;
      }
  g_assert_cmpint (g_mkdir_with_parents (folder, 0755), ==, 0);
  g_assert_true (fm_maps_save (maps, path, &error));
  g_assert_no_error (error);
  fm_stage_result_add_artifact (result, FM_ARTIFACT_MAPS, relative, 1, "0");
}

static void
write_routing (FmStore *store, FmStageResult *result, const char *stage)
{
  g_autoptr (FmRouting) routing = fm_routing_new (2, 8, 10, 0);
  g_autofree char *path = fm_store_artifact_path (store, stage, FM_ROUTING_FILE);
  g_autofree char *relative = g_strconcat (stage, "/" FM_ROUTING_FILE, NULL), *folder = g_path_get_dirname (path);
  g_autoptr (GError) error = NULL;

  routing->split = g_strdup ("test");
  routing->classes = g_strdupv ((char **) classes);
  routing->dropped = g_new0 (gdouble, 2);
  routing->dropped[0] = 120;
  for (int l = 0; l < 2; l++)
    for (int e = 0; e < 8; e++)
      for (int c = 0; c < 10; c++)
        routing->counts[(l * 8 + e) * 10 + c] = l == 1 && e == 5 ? 0 : 20 + (e * 13 + c * 29 + l * 7) % 90;
  g_assert_cmpint (g_mkdir_with_parents (folder, 0755), ==, 0);
  g_assert_true (fm_routing_save (routing, path, &error));
  g_assert_no_error (error);
  fm_stage_result_add_artifact (result, FM_ARTIFACT_ROUTING, relative, 1, "0");
}

static void
finish (FmStore *store, const char *stage, FmStageResult *result)
{
  g_autoptr (GError) error = NULL;
  FmClaim claim;

  g_assert_true (fm_store_claim_stage (store, stage, &claim, &error));
  g_assert_no_error (error);
  g_assert_cmpint (claim, ==, FM_CLAIM_YOURS);
  g_assert_true (fm_store_finish_stage (store, stage, result, &error));
  g_assert_no_error (error);
}

static gdouble
seed_accuracy (const Variant *v, gint seed)
{
  static const gdouble noise[SEEDS] = { 0, -0.003, 0.003 };

  return v->accuracy + noise[seed] + v->step_between_seeds * (seed - 1);
}

static void
finish_training (FmStore *store, const char *stage, const Variant *v, gint seed)
{
  gboolean diverged = v->diverges && seed > 0;
  g_autoptr (FmStageResult) result = fm_stage_result_new (diverged ? FM_STAGE_DIVERGED : FM_STAGE_DONE);
  FmRandom random;

  fm_random_init (&random, seed, v->latency_us);
  result->fallbacks = 0;
  result->provenance = g_strdup ("{\"program\": \"0.1.0\", \"processor\": \"Testing CPU\", \"threads\": 1, "
                                 "\"driver\": \"OpenBLAS, Haswell\", \"odd_key\": 2.5}");
  if (diverged)
    {
      result->diverged_step = 212;
      result->diverged_tensor = g_strdup ("layers.0.mixer.q.weight");
      result->reason = g_strdup ("diverged");
    }
  for (gint i = 1; i <= (diverged ? 8 : STEPS); i++)
    {
      gint64 step = i * 1000 / STEPS;
      gdouble fit = 1 - exp (-step / 120.0);

      fm_stage_result_add_point (result, step, "validation_accuracy", "",
                                 seed_accuracy (v, seed) * fit + 0.004 * fm_random_normal (&random));
      fm_stage_result_add_point (result, step, "validation_loss", "",
                                 2.3 - 1.85 * fit + 0.03 * fm_random_normal (&random));
      for (gint e = 0; e < 8 && strcmp (v->feedforward, "switch") == 0; e++)
        for (gint l = 0; l < 2; l++)
          {
            g_autofree char *tag = fm_load_curve_tag (l, e);
            gdouble share = 0.125 + 0.012 * sin (i * 0.3 + e) + 0.006 * fm_random_normal (&random);

            if (l == 1 && e == 5)
              share = MAX (0, 0.125 - 0.008 * i);
            fm_stage_result_add_point (result, step, FM_CURVE_EXPERT_LOAD, tag, share);
          }
    }
  fm_stage_result_add_metric (result, "", "", "", "train_s", 38.2);
  fm_stage_result_add_metric (result, "", "", "", "parameters", 105000);
  fm_stage_result_add_metric (result, "", "", "", "flops", 1.02e7);
  fm_stage_result_add_memory (result, "peak", v->peak_mb * 5e5, v->peak_mb * 1e6);
  if (!diverged)
    fm_stage_result_add_metric (result, "test", "label", "", "accuracy", seed_accuracy (v, seed));
  finish (store, stage, result);
}

static void
finish_measuring (FmStore *store, const char *stage, const Variant *v, guint index)
{
  g_autoptr (FmStageResult) result = fm_stage_result_new (FM_STAGE_DONE);

  result->fallbacks = 0;
  result->provenance = g_strdup ("{\"program\": \"0.1.0\", \"processor\": \"Testing CPU\", \"threads\": 2}");
  for (gint i = 0; i < 20; i++)
    {
      fm_stage_result_add_latency (result, 0, "batch1", 1, v->latency_us + (i - 9.5));
      fm_stage_result_add_latency (result, 0, "throughput", 64, 20 * v->latency_us);
    }
  if (strcmp (v->mixer, "pooling") != 0)
    write_maps (store, result, stage, index);
  if (strcmp (v->feedforward, "switch") == 0)
    write_routing (store, result, stage);
  finish (store, stage, result);
}

static void
add_run (Fixture *f, guint index, gint seed)
{
  const Variant *v = &variants[index];
  g_autoptr (FmRunRecord) run = fm_run_record_new ();
  g_autofree char *architecture = g_strdup_printf ("a%u", index), *train = g_strdup_printf ("train%u%d", index, seed);
  g_autofree char *measure = g_strdup_printf ("measure%u%d", index, seed);
  g_autoptr (FmStageRecord) training =
    fm_stage_record_new (train, FM_STAGE_KIND_TRAIN, "{\"kind\": \"train\", \"steps\": 1000, \"batch\": 64}");
  g_autoptr (FmStageRecord) measuring = fm_stage_record_new (measure, FM_STAGE_KIND_MEASURE, "{}");
  g_autoptr (GError) error = NULL;

  g_ptr_array_add (measuring->inputs, g_strdup (train));
  g_assert_true (fm_store_add_stage (f->store, training, &error));
  g_assert_true (fm_store_add_stage (f->store, measuring, &error));
  g_assert_no_error (error);
  run->batch = f->batch;
  run->position = index * SEEDS + seed;
  run->variant = g_strdup_printf ("%s x %s", v->mixer, v->feedforward);
  run->architecture = g_strdup (architecture);
  run->task = g_strdup ("t");
  run->device = g_strdup ("d");
  run->seed = seed;
  g_ptr_array_add (run->stages, g_strdup (train));
  g_ptr_array_add (run->stages, g_strdup (measure));
  g_assert_true (fm_store_add_run (f->store, run, &error));
  g_assert_no_error (error);
  finish_training (f->store, train, v, seed);
  if (!v->diverges || seed == 0)
    finish_measuring (f->store, measure, v, index);
}

static void
fixture_open (Fixture *f)
{
  g_autofree char *path = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (FmDeviceRecord) device = fm_device_record_new ();
  g_autoptr (FmTaskRecord) task = fm_task_record_new ();
  g_autoptr (FmBatchRecord) batch = fm_batch_record_new ();

  f->folder = g_dir_make_tmp ("formarium-report-XXXXXX", &error);
  g_assert_no_error (error);
  path = g_build_filename (f->folder, "formarium.db", NULL);
  f->store = fm_store_open (path, FM_STORE_WRITE, &error);
  g_assert_no_error (error);
  device->id = g_strdup ("d");
  device->label = g_strdup ("cpu");
  device->name = g_strdup ("Testing CPU");
  task->id = g_strdup ("t");
  task->name = g_strdup ("fashion-mnist");
  task->chance_level = 0.1;
  g_ptr_array_add (task->shortcuts, fm_shortcut_record_new ("grey-values", "Only how often each grey appears", 0.312));
  batch->key = g_strdup ("k");
  batch->title = g_strdup ("First <comparison> & more");
  batch->file_name = g_strdup ("/somewhere/first.batch");
  batch->text = g_strdup ("[batch]\ntitle=First <comparison>\n");
  batch->program_version = g_strdup ("0.1.0");
  g_assert_true (fm_store_add_device (f->store, device, &error));
  g_assert_true (fm_store_add_task (f->store, task, &error));
  g_assert_true (fm_store_add_batch (f->store, batch, &error));
  g_assert_no_error (error);
  f->batch = batch->id;
}

static void
fixture_fill (Fixture *f)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (fm_store_lease_batch (f->store, f->batch, &error));
  g_assert_no_error (error);
  for (guint i = 0; i < G_N_ELEMENTS (variants); i++)
    {
      g_autoptr (FmArchitectureRecord) a = fm_architecture_record_new ();

      a->id = g_strdup_printf ("a%u", i);
      a->skeleton = g_strdup ("encoder layers=2 width=64 hidden=256");
      g_ptr_array_add (a->roles, fm_role_record_new ("mixer", -1, variants[i].mixer, "h", ""));
      g_ptr_array_add (a->roles, fm_role_record_new ("feedforward", -1, variants[i].feedforward, "h", ""));
      g_assert_true (fm_store_add_architecture (f->store, a, &error));
      g_assert_no_error (error);
      for (gint seed = 0; seed < SEEDS; seed++)
        add_run (f, i, seed);
    }
  g_assert_true (fm_store_release_batch (f->store, f->batch, FM_BATCH_DONE, &error));
  g_assert_no_error (error);
}

static void
remove_folder (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *child = g_build_filename (path, name, NULL);

      if (g_file_test (child, G_FILE_TEST_IS_DIR))
        remove_folder (child);
      else
        g_remove (child);
    }
  g_rmdir (path);
}

static void
fixture_close (Fixture *f)
{
  fm_store_close (f->store);
  remove_folder (f->folder);
  g_free (f->folder);
}

static char *
read_report (Fixture *f, const char *name)
{
  const char *keep = g_getenv ("FORMARIUM_KEEP_REPORT");
  g_autofree char *path = g_build_filename (keep != NULL ? keep : f->folder, name, NULL);
  char *text = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (fm_report_write (f->store, f->batch, path, &error));
  g_assert_no_error (error);
  g_assert_true (g_file_get_contents (path, &text, NULL, &error));
  g_assert_no_error (error);
  return text;
}

static void
assert_has (const char *text, const char *part)
{
  if (strstr (text, part) == NULL)
    g_error ("\"%s\" is missing", part);
}

static guint
count_of (const char *text, const char *part)
{
  guint n = 0;

  for (const char *p = text; (p = strstr (p, part)) != NULL; p++)
    n++;
  return n;
}

static void
test_table (void)
{
  static const FmVerdict wanted[] = { FM_VERDICT_BASELINE, FM_VERDICT_BETTER,    FM_VERDICT_EQUAL,
                                      FM_VERDICT_WORSE,    FM_VERDICT_UNDECIDED, FM_VERDICT_FAIL };
  Fixture f;
  g_autoptr (FmResultsTable) table = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *statement = NULL, *sentence = NULL, *held = NULL, *counts = NULL, *text = NULL, *narrow = NULL;
  const FmVariantResult *r;

  fixture_open (&f);
  fixture_fill (&f);
  table = fm_results_table_load (f.store, f.batch, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (table)), ==, G_N_ELEMENTS (variants));
  for (guint i = 0; i < G_N_ELEMENTS (variants); i++)
    {
      r = fm_results_row_get (fm_results_table_get_row (table, i));
      g_assert_cmpstr (fm_verdict_word (r->verdict), ==, fm_verdict_word (wanted[i]));
      g_assert_cmpint (r->index, ==, i);
      g_assert_cmpuint (r->seeds, ==, SEEDS);
      g_assert_cmpuint (r->done, ==, variants[i].diverges ? 1 : SEEDS);
    }
  r = fm_results_row_get (fm_results_table_get_row (table, 1));
  g_assert_cmpstr (r->title, ==, "softmax-attention × switch");
  g_assert_cmpstr (r->label, ==, "switch");
  g_assert_cmpfloat_with_epsilon (r->accuracy.mean, 0.875, 1e-9);
  g_assert_cmpfloat_with_epsilon (r->difference.mean, 0.030, 1e-9);
  g_assert_cmpfloat_with_epsilon (r->latency_us_median, 655, 1e-9);
  g_assert_cmpfloat_with_epsilon (r->latency_ratio, 655.0 / 412, 1e-9);
  g_assert_cmpint (r->latency_verdict, ==, FM_VERDICT_UNDECIDED); /* rows alone know no blocks */
  g_assert_cmpint (r->measured_peak_bytes, ==, 38600000);
  g_assert_cmpint (r->parameters, ==, 105000);
  r = fm_results_row_get (fm_results_table_get_row (table, 2));
  g_assert_cmpstr (r->label, ==, "local");
  r = fm_results_row_get (fm_results_table_get_row (table, 5));
  g_assert_cmpstr (r->reason, ==, "diverged at step 212 in layers.0.mixer.q.weight");
  statement = fm_results_table_statement (table);
  g_assert_cmpstr (statement, ==, "1 better, 1 equal, 1 worse, 1 undecided, 1 failed");
  sentence = fm_results_table_sentence (table);
  g_assert_cmpstr (sentence, ==, "Against softmax-attention on fashion-mnist, one variant is better, one equal, one "
                                 "worse; one is undecided and one failed.");
  counts = fm_results_table_counts (table);
  g_assert_cmpstr (counts, ==, "18 runs, 16 done, 2 failed");
  held = fm_results_table_held_equal (table);
  g_assert_cmpstr (held, ==, "1,000 steps of 64 examples, 2 layers, width 64, feed-forward 256, the same number of "
                             "parameters");
  text = fm_results_table_to_text (table, 0);
  assert_has (text, "✕ performer");
  assert_has (text, "1 of 3    diverged at step 212 in layers.0.mixer.q.weight");
  assert_has (text, "▲ better");
  assert_has (text, "Chance level");
  narrow = fm_results_table_to_text (table, 80);
  {
    g_auto (GStrv) lines = g_strsplit (narrow, "\n", -1);

    for (gsize i = 0; lines[i] != NULL; i++)
      if (g_str_has_prefix (lines[i], "●") || g_str_has_prefix (lines[i], "✕"))
        g_assert_cmpint (g_utf8_strlen (lines[i], -1), <=, 80);
    assert_has (narrow, "▲ better");
  }
  fixture_close (&f);
}

static void
test_html (void)
{
  Fixture f;
  g_autofree char *html = NULL;

  fixture_open (&f);
  fixture_fill (&f);
  html = read_report (&f, "report.html");
  assert_has (html, "First &lt;comparison&gt; &amp; more");
  g_assert_null (strstr (html, "<comparison>"));
  g_assert_null (strstr (html, "<b>"));
  g_assert_cmpuint (count_of (html, "<script"), ==, 1);
  assert_has (html, "Content-Security-Policy\" content=\"default-src 'none'");
  assert_has (html, "one variant is better, one equal, one worse");
  assert_has (html, "Held equal: 1,000 steps of 64 examples");
  assert_has (html, "Chance level");
  assert_has (html, "Only how often each grey appears");
  assert_has (html, "31.2");
  assert_has (html, "<strong>FAIL</strong>");
  {
    /* A failed row has a cross (lines, no area) and no colour. */
    const char *row = strstr (html, "performer</a></td>");
    g_autofree char *before = NULL;

    g_assert_nonnull (row);
    before = g_strndup (row - MIN (900, row - html), MIN (900, row - html));
    assert_has (before, "fill:none;stroke-width");
  }
  assert_has (html, "Validation loss, nats");
  assert_has (html, "Weights, not an explanation.");
  assert_has (html, "<strong>Expert 6 of layer 2 is dead.</strong>");
  assert_has (html, "No map to show: pooling");
  assert_has (html, "formarium run first.batch");
  assert_has (html, "OpenBLAS, Haswell");
  assert_has (html, "odd key 2.5");
  /* Every number of a table is a link, and each leads to a row of this page. */
  {
    g_autoptr (GHashTable) rows = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
    guint links = 0;

    for (const char *p = html; (p = strstr (p, " id=\"")) != NULL;)
      {
        p += strlen (" id=\"");
        g_hash_table_add (rows, g_strndup (p, strcspn (p, "\"")));
      }
    for (const char *p = html; (p = strstr (p, "<a href=\"#")) != NULL; links++)
      {
        g_autofree char *to = NULL;

        p += strlen ("<a href=\"#");
        to = g_strndup (p, strcspn (p, "\""));
        if (!g_hash_table_contains (rows, to))
          g_error ("\"%s\" is linked to and is nowhere", to);
      }
    g_assert_cmpuint (links, >, 150);
    assert_has (html, "<a href=\"#run-4\"><strong>87.5</strong></a>");
    assert_has (html, "<a href=\"#stage-train10\">87.47</a>");
    assert_has (html, "<a href=\"#stage-measure10\">655</a>");
    assert_has (html, "formarium reproduce 4");
    assert_has (html, "<pre>{&quot;kind&quot;: &quot;train&quot;, &quot;steps&quot;: 1000, &quot;batch&quot;: 64}\n");
  }
  /* What was held equal stands above each table of scores or costs, chance and shortcut beside each score. */
  g_assert_cmpuint (count_of (html, "Held equal: 1,000 steps of 64 examples"), >=, 4);
  g_assert_cmpuint (count_of (html, ">10.0 / 31.2</td>"), ==, G_N_ELEMENTS (variants));
  g_assert_null (strstr (html, "/somewhere/"));
  /* Self-contained: nothing is fetched. Addresses in xmlns are names, not links. */
  g_assert_null (strstr (html, "src=\"http"));
  g_assert_null (strstr (html, "<a href=\"http"));
  g_assert_cmpuint (count_of (html, "class=\"light\""), ==, count_of (html, "class=\"dark\""));
  g_assert_cmpuint (count_of (html, "<summary>Table</summary>"), >=, 9);
  /* No id twice: pictures must not use each other's glyphs. */
  {
    g_autoptr (GHashTable) ids = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

    for (const char *p = html; (p = strstr (p, " id=\"")) != NULL;)
      {
        p += strlen (" id=\"");
        g_assert_true (g_hash_table_add (ids, g_strndup (p, strcspn (p, "\""))));
      }
    g_assert_cmpuint (g_hash_table_size (ids), >, 50);
  }
  g_assert_true (g_utf8_validate (html, -1, NULL));
  g_assert_cmpuint (strlen (html), <, 4 * 1024 * 1024);
  fixture_close (&f);
}

/* An empty batch still makes a whole page: each part says in a sentence what is missing. */
static void
test_empty (void)
{
  Fixture f;
  g_autofree char *html = NULL, *markdown = NULL, *csv = NULL, *json = NULL;

  fixture_open (&f);
  g_free (read_report (&f, "empty.pdf"));
  g_free (read_report (&f, "empty.tex"));
  html = read_report (&f, "empty.html");
  assert_has (html, "Nothing measured yet.");
  assert_has (html, "No finished run left an attention map.");
  assert_has (html, "No finished run of this batch has experts.");
  assert_has (html, "</html>");
  markdown = read_report (&f, "empty.md");
  assert_has (markdown, "Nothing measured yet.");
  csv = read_report (&f, "empty.csv");
  g_assert_cmpuint (count_of (csv, "\r\n"), ==, 1);
  json = read_report (&f, "empty.json");
  assert_has (json, "\"variants\": [],");
  fixture_close (&f);
}

static void
test_exports (void)
{
  Fixture f;
  g_autofree char *csv = NULL, *json = NULL, *markdown = NULL;
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GError) error = NULL;
  JsonArray *rows;
  JsonObject *row, *report;

  fixture_open (&f);
  fixture_fill (&f);
  json = read_report (&f, "report.json");
  g_assert_true (json_parser_load_from_data (parser, json, -1, &error));
  g_assert_no_error (error);
  report = json_node_get_object (json_parser_get_root (parser));
  g_assert_cmpstr (json_object_get_string_member (report, "format"), ==, "formarium-report");
  g_assert_cmpuint (json_array_get_length (json_object_get_array_member (report, "variants")), ==,
                    G_N_ELEMENTS (variants));
  g_assert_cmpuint (json_array_get_length (json_object_get_array_member (report, "comparisons")), ==,
                    G_N_ELEMENTS (variants) - 1);
  g_assert_cmpuint (json_array_get_length (json_object_get_array_member (report, "stages")), ==, 36);
  rows = json_object_get_array_member (report, "runs");
  g_assert_cmpuint (json_array_get_length (rows), ==, 18);
  row = json_array_get_object_element (rows, 3);
  g_assert_cmpstr (json_object_get_string_member (row, "feedforward"), ==, "switch");
  g_assert_cmpfloat (json_object_get_double_member (row, "test_accuracy"), ==, 0.8747);
  g_assert_cmpint (json_object_get_int_member (row, "measured_peak_bytes"), ==, 38600000);
  row = json_array_get_object_element (rows, 16);
  g_assert_cmpstr (json_object_get_string_member (row, "state"), ==, "diverged");
  g_assert_true (json_object_get_null_member (row, "latency_us_median"));
  for (const FmResultField *field = fm_result_fields (); field->name != NULL; field++)
    g_assert_true (json_object_has_member (row, field->name));

  csv = read_report (&f, "report.csv");
  g_assert_cmpuint (count_of (csv, "\r\n"), ==, 19);
  g_assert_true (g_str_has_prefix (csv, "batch,variant,mixer,feedforward,task,device,seed,state,test_accuracy"));
  assert_has (csv, "First <comparison> & more,softmax-attention x mlp,softmax-attention,mlp,fashion-mnist,cpu,0,done,"
                  "0.845,");

  markdown = read_report (&f, "report.md");
  assert_has (markdown, "| softmax-attention × switch | 87.5 [");
  assert_has (markdown, "| Chance level | 10.0 |");
  fixture_close (&f);
}

/* The table for a paper: signs of TeX are text, and pdfTeX takes the document, where there is one. */
static void
test_latex (void)
{
  Fixture f;
  g_autofree char *latex = NULL, *compiler = g_find_program_in_path ("pdflatex"), *out = NULL, *pdf = NULL;
  g_autoptr (GError) error = NULL;
  int status = -1;

  fixture_open (&f);
  fixture_fill (&f);
  latex = read_report (&f, "report.tex");
  assert_has (latex, "First \\textless{}comparison\\textgreater{} \\& more");
  assert_has (
      latex,
      "\n\\hypertarget{variant-2}{}\\hyperlink{run-4}{softmax-attention $\\times$ switch} & \\hyperlink{run-4}{87.5 [");
  assert_has (latex, "\nChance level & 10.0 \\\\\n");
  assert_has (latex, "\n\\hypertarget{stage-train10}{}\\texttt{train10} & train & done");
  assert_has (latex, "diverged at step 212 in layers.0.mixer");
  assert_has (latex, "\\end{document}\n");
  if (!g_test_slow ())
    g_test_skip ("compiled with pdflatex in suite slow");
  else if (compiler == NULL)
    g_test_skip ("pdflatex is not installed");
  else
    {
      g_autofree char *to = g_strdup_printf ("-output-directory=%s", f.folder);
      g_autofree char *source = g_build_filename (f.folder, "report.tex", NULL);
      const char *argv[] = { compiler, "-interaction=nonstopmode", "-halt-on-error", to, source, NULL };

      g_assert_true (g_file_set_contents (source, latex, -1, NULL));
      g_assert_true (
          g_spawn_sync (NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, NULL, &status, &error));
      g_assert_no_error (error);
      if (status != 0)
        g_test_message ("%s", out);
      g_assert_cmpint (status, ==, 0);
      pdf = g_build_filename (f.folder, "report.pdf", NULL);
      g_assert_true (g_file_test (pdf, G_FILE_TEST_IS_REGULAR));
      g_assert_null (strstr (out, "Overfull"));
      g_assert_null (strstr (out, "Missing character"));
      for (gsize i = 0; i < 3; i++)
        {
          static const char * const made[] = { "report.pdf", "report.log", "report.aux" };
          g_autofree char *path = g_build_filename (f.folder, made[i], NULL);

          g_unlink (path);
        }
    }
  fixture_close (&f);
}

/* strstr() ends at the first NUL. */
static gboolean
holds (const char *bytes, gsize length, const char *text)
{
  gsize n = strlen (text);

  for (gsize i = 0; i + n <= length; i++)
    if (memcmp (bytes + i, text, n) == 0)
      return TRUE;
  return FALSE;
}

/* Pages: a real PDF with the batch's date and not the writer's, the same bytes twice. */
static void
test_pdf (void)
{
  static const char * const names[] = { "one.pdf", "two.pdf" };
  Fixture f;
  gsize length[2];
  char *bytes[2];
  g_autoptr (GError) error = NULL;
  g_autofree char *reader = g_find_program_in_path ("pdftotext");

  fixture_open (&f);
  fixture_fill (&f);
  for (guint i = 0; i < 2; i++)
    {
      g_autofree char *path = g_build_filename (f.folder, names[i], NULL);

      g_assert_true (fm_report_write (f.store, f.batch, path, &error));
      g_assert_no_error (error);
      g_assert_true (g_file_get_contents (path, &bytes[i], &length[i], NULL));
      if (i == 0 && reader != NULL)
        {
          const char *argv[] = { reader, "-layout", path, "-", NULL };
          g_autofree char *text = NULL;

          g_assert_true (
              g_spawn_sync (NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &text, NULL, NULL, NULL));
          assert_has (text, "First <comparison> & more");
          assert_has (text, "87.5 [");
          assert_has (text, "FAIL");
          assert_has (text, "Expert 6 of layer 2 is dead.");
          assert_has (text, "formarium run first.batch");
          assert_has (text, "Haswell");
          g_assert_null (strstr (text, "/somewhere/"));
        }
    }
  /* Headings are lines of the outline, rows are named, and numbers lead to them. */
  g_assert_true (holds (bytes[0], length[0], "/Outlines"));
  g_assert_true (holds (bytes[0], length[0], "stage-train10"));
  g_assert_true (holds (bytes[0], length[0], "/Subtype /Link"));
  g_assert_true (holds (bytes[0], length[0], "/Dest"));
  g_assert_false (holds (bytes[0], length[0], "/URI")); /* none leads out of it */
  g_assert_cmpmem (bytes[0], length[0], bytes[1], length[1]);
  g_assert_cmpint (strncmp (bytes[0], "%PDF-", 5), ==, 0);
  g_assert_cmpuint (length[0], >, 10000);
  g_free (bytes[0]);
  g_free (bytes[1]);
  fixture_close (&f);
}

/* How many of these reports a real validator refuses; -1 without one. */
static int
refused (const char *schema, const char *const *reports)
{
  g_autofree char *checker =
      g_build_filename (g_getenv ("FORMARIUM_SOURCE_DIR"), "tests", "app", "check-report.py", NULL);
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autofree char *said = NULL;
  int status;

  g_ptr_array_add (argv, (char *) "/usr/bin/python3"); /* Debian's own, which sees its packages */
  g_ptr_array_add (argv, checker);
  g_ptr_array_add (argv, (char *) schema);
  for (gsize i = 0; reports[i] != NULL; i++)
    g_ptr_array_add (argv, (char *) reports[i]);
  g_ptr_array_add (argv, NULL);
  if (!g_spawn_sync (NULL, (char **) argv->pdata, NULL, G_SPAWN_DEFAULT, NULL, NULL, &said, NULL, &status, NULL)
      || status == 77 << 8)
    return -1;
  g_test_message ("%s", said);
  g_assert_cmpint (status & 0xff, ==, 0);
  return status >> 8;
}

/* The schema takes every report there is, and refuses what no reader expects. */
static void
test_schema (void)
{
  static const struct { const char *from, *to; } wrong[] = {
    { "\"format\": \"formarium-report\"", "\"format\": \"other\"" },
    { "\"verdict\": \"better\"", "\"verdict\": \"splendid\"" },
    { "\"mean\": 0.875", "\"mean\": \"87.5 %\"" },
    { "\"chance_level\": 0.1", "\"chance_level\": 10" },
    { "\"train_stage\": ", "\"stage_of_training\": " },
    { "\"held_equal\": ", "\"held\": " },
    { "\"ended\": \"2", "\"ended\": \"about 2" },
  };
  Fixture f, empty;
  g_autofree char *report = NULL, *nothing = NULL, *schema = fm_report_schema (), *schema_path = NULL;
  char *paths[G_N_ELEMENTS (wrong) + 1] = { NULL };
  int found;

  fixture_open (&f);
  fixture_open (&empty);
  fixture_fill (&f);
  report = read_report (&f, "report.json");
  nothing = read_report (&empty, "empty.json");
  schema_path = g_build_filename (f.folder, "schema.json", NULL);
  g_assert_true (g_file_set_contents (schema_path, schema, -1, NULL));
  for (gsize i = 0; i < G_N_ELEMENTS (wrong); i++)
    paths[i] = g_strdup_printf ("%s/%d.json", f.folder, (int) i);
  g_assert_true (g_file_set_contents (paths[0], report, -1, NULL) && g_file_set_contents (paths[1], nothing, -1, NULL));
  found = refused (schema_path, (const char *[]) { paths[0], paths[1], NULL });
  if (found < 0)
    g_test_skip ("no validator: python3-jsonschema is not installed");
  else
    {
      g_assert_cmpint (found, ==, 0);
      for (gsize i = 0; i < G_N_ELEMENTS (wrong); i++)
        {
          g_autoptr (GString) text = g_string_new (report);

          g_assert_cmpuint (g_string_replace (text, wrong[i].from, wrong[i].to, 1), ==, 1);
          g_assert_true (g_file_set_contents (paths[i], text->str, -1, NULL));
        }
      g_assert_cmpint (refused (schema_path, (const char *const *) paths), ==, G_N_ELEMENTS (wrong));
    }
  for (gsize i = 0; i < G_N_ELEMENTS (wrong); i++)
    g_free (paths[i]);
  fixture_close (&f);
  fixture_close (&empty);
}

static void
assert_eval (Browser *browser, const char *expression, const char *want)
{
  g_autofree char *got = browser_eval (browser, expression);

  if (g_strcmp0 (got, want) != 0)
    g_error ("%s is \"%s\", not \"%s\"", expression, got, want);
}

static void
call (Browser *browser, const char *method, const char *params)
{
  json_object_unref (browser_call (browser, method, params));
}

static void
set_media (Browser *browser, const char *media, const char *scheme)
{
  g_autofree char *params = g_strdup_printf ("{\"media\": \"%s\", \"features\": [{\"name\": \"prefers-color-scheme\", "
                                             "\"value\": \"%s\"}]}", media, scheme);

  call (browser, "Emulation.setEmulatedMedia", params);
}

/* Names of the first table's rows, in order. */
#define ORDER                                                                                                          \
  "[...document.querySelector('#results ~ .box table').tBodies[0].rows].map(r => r.cells[0].innerText.trim())"         \
  ".join('; ')"
#define LATENCY "[...document.querySelectorAll('#results ~ .box th')].find(h => h.textContent.startsWith('Latency'))"
#define SHOWN(selector) "getComputedStyle(document.querySelector('" selector "')).display"

/* The page as a browser shows it. What it catches: a script that fails or sorts as text, a table that makes a phone
 * scroll sideways, drawings for the wrong scheme, anything that is fetched. */
static void
test_page (void)
{
  static const char *const widths[] = { "1280", "390", "320" };
  g_autoptr (Browser) browser = g_test_slow () ? browser_new () : NULL;
  Fixture f;
  g_autofree char *path = NULL, *uri = NULL, *html = NULL, *keep = NULL;
  g_autoptr (JsonObject) printed = NULL;
  guint tabs = 0;

  if (browser == NULL)
    {
      g_test_skip (g_test_slow () ? "chromium is not installed" : "looked at with chromium in suite slow");
      return;
    }
  fixture_open (&f);
  fixture_fill (&f);
  html = read_report (&f, "report.html");
  path = g_build_filename (f.folder, "page.html", NULL);
  g_assert_true (g_file_set_contents (path, html, -1, NULL));
  uri = g_filename_to_uri (path, NULL, NULL);
  browser_open (browser, uri);

  /* Nothing fits to a phone by chance: three widths, the page never wider than the window. */
  for (gsize i = 0; i < G_N_ELEMENTS (widths); i++)
    {
      g_autofree char *params =
          g_strdup_printf ("{\"width\": %s, \"height\": 800, \"deviceScaleFactor\": 1, \"mobile\": %s}", widths[i],
                           i == 0 ? "false" : "true");

      call (browser, "Emulation.setDeviceMetricsOverride", params);
      assert_eval (browser, "String(window.innerWidth)", widths[i]);
      assert_eval (browser, "String(document.documentElement.scrollWidth - document.documentElement.clientWidth)", "0");
    }
  assert_eval (browser, "String([...document.querySelectorAll('.box')].some(b => b.scrollWidth > b.clientWidth))",
               "true");
  call (browser, "Emulation.clearDeviceMetricsOverride", NULL);

  /* Sorted by keyboard alone: numbers as numbers, missing ones last both ways, chance where it was. */
  for (; tabs < 60; tabs++)
    {
      g_autofree char *at = NULL;

      browser_key (browser, "Tab");
      at = browser_eval (browser, "document.activeElement.tagName + document.activeElement.innerText");
      if (g_str_has_prefix (at, "BUTTONLatency"))
        break;
    }
  g_assert_cmpuint (tabs, <, 60);
  assert_eval (browser, LATENCY ".getAttribute('aria-sort')", "none");
  browser_key (browser, "Enter");
  assert_eval (browser, LATENCY ".getAttribute('aria-sort')", "ascending");
  assert_eval (browser, ORDER,
               "pooling; linear-attention; local-attention; softmax-attention; softmax-attention × switch; "
               "performer");
  browser_key (browser, "Enter");
  assert_eval (browser, LATENCY ".getAttribute('aria-sort')", "descending");
  assert_eval (browser, ORDER,
               "softmax-attention × switch; softmax-attention; local-attention; linear-attention; pooling; "
               "performer");
  assert_eval (browser, "document.querySelector('#results ~ .box table').tFoot.rows[0].cells[0].innerText",
               "Chance level");
  assert_eval (browser, "String(document.querySelectorAll('[aria-sort=descending]').length)", "1");
  assert_eval (browser,
               "(() => { const t = document.querySelector('#comparisons ~ .box table');"
               "t.querySelectorAll('th button')[2].click();"
               "return [...t.tBodies[0].rows].map(r => r.cells[0].innerText.trim()).slice(0, 4).join('; '); })()",
               "linear-attention; pooling; local-attention; softmax-attention × switch");
  /* A stage's recipe stays under its stage. */
  assert_eval (
      browser,
      "(() => { const t = document.querySelector('#stages ~ .box table');"
      "t.querySelectorAll('th button')[0].click();"
      "return String([...t.tBodies[0].rows].every((r, i) => (r.className === 'more') === (i % 2 === 1))); })()",
      "true");
  assert_eval (browser,
               "(() => { document.querySelector('a[href=\"#run-4\"]').click();"
               "return location.hash + getComputedStyle(document.querySelector('#run-4 td')).backgroundColor; })()",
               "#run-4rgb(255, 246, 214)");

  /* One drawing for each scheme, light on paper whatever the reader prefers. */
  set_media (browser, "", "light");
  assert_eval (browser, SHOWN (".light"), "contents");
  assert_eval (browser, SHOWN (".dark"), "none");
  set_media (browser, "", "dark");
  assert_eval (browser, SHOWN (".light"), "none");
  assert_eval (browser, SHOWN (".dark"), "contents");
  assert_eval (browser, "getComputedStyle(document.body).backgroundColor", "rgb(36, 36, 36)");
  set_media (browser, "print", "dark");
  assert_eval (browser, SHOWN (".light"), "contents");
  assert_eval (browser, SHOWN (".dark"), "none");
  assert_eval (browser, "getComputedStyle(document.body).backgroundColor", "rgb(255, 255, 255)");
  assert_eval (browser, SHOWN ("nav"), "none");
  printed = browser_call (browser, "Page.printToPDF", "{\"preferCSSPageSize\": true}");
  g_assert_true (g_str_has_prefix (json_object_get_string_member (printed, "data"), "JVBERi0")); /* %PDF- */
  set_media (browser, "", "light");

  /* Without script all is there, and nothing looks as if it could be pressed. */
  call (browser, "Emulation.setScriptExecutionDisabled", "{\"value\": true}");
  browser_open (browser, uri);
  assert_eval (browser, "String(document.querySelectorAll('button').length)", "0");
  assert_eval (browser, ORDER,
               "softmax-attention; softmax-attention × switch; local-attention; linear-attention; pooling; "
               "performer");
  call (browser, "Emulation.setScriptExecutionDisabled", "{\"value\": false}");

  /* Nothing is fetched and nothing complains. */
  browser_open (browser, uri);
  for (guint i = 0; i < browser_get_complaints (browser)->len; i++)
    g_error ("the browser complains: %s", (char *) g_ptr_array_index (browser_get_complaints (browser), i));
  for (guint i = 0; i < browser_get_requests (browser)->len; i++)
    {
      const char *asked = g_ptr_array_index (browser_get_requests (browser), i);

      if (strcmp (asked, uri) != 0 && !g_str_has_prefix (asked, "data:"))
        g_error ("the page asks for %s", asked);
    }
  fixture_close (&f);
}

/* A run of one variant at one length, of two seeds that agree. */
static void
add_length_run (Fixture *f, const char *mixer, gint64 length, gint seed, gint64 position, gdouble latency_us)
{
  Variant v = { mixer, "mlp", 0.5, 0, latency_us, 0.1 * length, FALSE };
  g_autoptr (FmRunRecord) run = fm_run_record_new ();
  g_autofree char *name = g_strdup_printf ("%s%d%d", mixer, (int) length, seed);
  g_autofree char *train = g_strconcat ("train-", name, NULL), *measure = g_strconcat ("measure-", name, NULL);
  g_autoptr (FmStageRecord) training = fm_stage_record_new (train, FM_STAGE_KIND_TRAIN, "{\"steps\": 10}");
  g_autoptr (FmStageRecord) measuring = fm_stage_record_new (measure, FM_STAGE_KIND_MEASURE, "{}");
  g_autoptr (GError) error = NULL;

  g_ptr_array_add (measuring->inputs, g_strdup (train));
  g_assert_true (fm_store_add_stage (f->store, training, &error) && fm_store_add_stage (f->store, measuring, &error));
  run->batch = f->batch;
  run->position = position;
  run->variant = g_strdup_printf ("%s x mlp, length=%d", mixer, (int) length);
  run->architecture = g_strconcat ("a-", mixer, NULL);
  run->task = g_strdup_printf ("t%d", (int) length);
  run->device = g_strdup ("d");
  run->seed = seed;
  g_ptr_array_add (run->stages, g_strdup (train));
  g_ptr_array_add (run->stages, g_strdup (measure));
  g_assert_true (fm_store_add_run (f->store, run, &error));
  g_assert_no_error (error);
  finish_training (f->store, train, &v, 0);
  finish_measuring (f->store, measure, &v, 0);
}

/* A batch over lengths: one picture of scores a length, one of costs over all, and each variant in one colour. What it
 * catches: lengths mixed in one plot, a line of another variant's points, a colour that changes with the length. */
static void
test_lengths (void)
{
  static const char *const mixers[] = { "softmax-attention", "linear-attention", "local-attention" };
  static const gdouble latencies[][2] = { { 100, 400 }, { 200, 250 }, { 300, 310 } };
  static const char *const names[] = { "plot-1", "accuracy-1", "loss-1", "plot-2", "accuracy-2", "loss-2", "scaling",
                                       "scaling-memory" };
  Fixture f;
  gint64 position = 0;
  g_autoptr (FmResultsTable) table = NULL;
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *json = NULL, *html = NULL;
  JsonArray *figures;

  fixture_open (&f);
  g_assert_true (fm_store_lease_batch (f.store, f.batch, &error));
  for (gint l = 0; l < 2; l++)
    {
      g_autoptr (FmTaskRecord) task = fm_task_record_new ();

      task->id = g_strdup_printf ("t%d", 64 << l);
      task->name = g_strdup ("mqar");
      task->parameters = g_strdup_printf ("length=%d pairs=8", 64 << l);
      task->chance_level = 0.1;
      g_assert_true (fm_store_add_task (f.store, task, &error));
    }
  for (gsize m = 0; m < G_N_ELEMENTS (mixers); m++)
    {
      g_autoptr (FmArchitectureRecord) a = fm_architecture_record_new ();

      a->id = g_strconcat ("a-", mixers[m], NULL);
      a->skeleton = g_strdup ("encoder layers=2 width=64 hidden=256");
      g_ptr_array_add (a->roles, fm_role_record_new ("mixer", -1, mixers[m], "h", ""));
      g_ptr_array_add (a->roles, fm_role_record_new ("feedforward", -1, "mlp", "h", ""));
      g_assert_true (fm_store_add_architecture (f.store, a, &error));
      for (gint l = 0; l < 2; l++)
        for (gint seed = 0; seed < 2; seed++)
          add_length_run (&f, mixers[m], 64 << l, seed, position++, latencies[m][l]);
    }
  g_assert_true (fm_store_release_batch (f.store, f.batch, FM_BATCH_DONE, &error));
  g_assert_no_error (error);

  table = fm_results_table_load (f.store, f.batch, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (fm_results_table_get_n_rows (table), ==, 6);
  for (guint i = 0; i < 6; i++)
    g_assert_cmpint (fm_results_row_get (fm_results_table_get_row (table, i))->index, ==, i / 2);

  json = read_report (&f, "lengths.json");
  g_assert_true (json_parser_load_from_data (parser, json, -1, &error));
  figures = json_object_get_array_member (json_node_get_object (json_parser_get_root (parser)), "figures");
  g_assert_cmpuint (json_array_get_length (figures), ==, G_N_ELEMENTS (names));
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    g_assert_cmpstr (json_object_get_string_member (json_array_get_object_element (figures, i), "name"), ==, names[i]);
  /* Twice as dear at 64, 1.6 times as cheap at 128: log 2 / (log 2 + log 1.6) of the way between, in logarithms. */
  assert_has (json_object_get_string_member (json_array_get_object_element (figures, 6), "caption"),
              "From N = 97 on (measured at 64 and 128) linear takes less than baseline.");
  assert_has (json_object_get_string_member (json_array_get_object_element (figures, 6), "caption"),
              "baseline grows as N^2.00, linear grows as N^0.32, local grows as N^0.05");
  g_assert_cmpuint (json_array_get_length (json_object_get_array_member (json_array_get_object_element (figures, 0),
                                                                         "table")), ==, 4);
  html = read_report (&f, "lengths.html");
  assert_has (html, "Chance level, length=64");
  assert_has (html, "Chance level, length=128");
  assert_has (html, "Test accuracy against latency (length=128)");
  fixture_close (&f);
}

/* One figure by its name, as picture and as numbers. */
static void
test_one_figure (void)
{
  const FmFigureStyle style = FM_FIGURE_STYLE_PRINT;
  Fixture f;
  g_autofree char *svg = NULL, *csv = NULL, *caption = NULL, *text = NULL, *none = NULL;
  g_autoptr (GError) error = NULL;

  fixture_open (&f);
  fixture_fill (&f);
  svg = g_build_filename (f.folder, "plot.svg", NULL);
  csv = g_build_filename (f.folder, "plot.csv", NULL);
  caption = fm_report_write_figure (f.store, f.batch, "plot", 500, 300, &style, svg, &error);
  g_assert_no_error (error);
  g_assert_true (g_str_has_prefix (caption, "Test accuracy against latency."));
  g_assert_true (g_file_test (svg, G_FILE_TEST_IS_REGULAR));
  g_free (caption);
  caption = fm_report_write_figure (f.store, f.batch, "plot", 500, 300, &style, csv, &error);
  g_assert_no_error (error);
  g_assert_true (g_file_get_contents (csv, &text, NULL, NULL));
  assert_has (text, "switch,\"87.5 [");
  assert_has (text, "]\",655,38.6,yes\r\n");
  none = fm_report_write_figure (f.store, f.batch, "scaling", 500, 300, &style, svg, &error);
  g_assert_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT);
  assert_has (error->message, "has the figures plot, accuracy and loss");
  fixture_close (&f);
}

static void
test_wrong (void)
{
  Fixture f;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL, *folder = NULL;

  fixture_open (&f);
  path = g_build_filename (f.folder, "report.docx", NULL);
  g_assert_false (fm_report_write (f.store, f.batch, path, &error));
  g_assert_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT);
  assert_has (error->message, ".html, .pdf, .tex, .md, .csv or .json");
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
  g_clear_error (&error);

  folder = g_build_filename (f.folder, "nowhere", "report.html", NULL);
  g_assert_false (fm_report_write (f.store, f.batch, folder, &error));
  g_assert_error (error, G_FILE_ERROR, G_FILE_ERROR_NOENT);
  assert_has (error->message, "nowhere");
  g_clear_error (&error);

  g_free (path);
  path = g_build_filename (f.folder, "report.csv", NULL);
  g_assert_false (fm_report_write (f.store, 99, path, &error));
  g_assert_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT);
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
  fixture_close (&f);
}

/* A curve is the mean over seeds at each step; beyond 100 steps over neighbours as well, and no point is lost. */
static void
test_curves (void)
{
  Fixture f;
  g_autoptr (FmResultsTable) table = NULL;
  g_autoptr (GPtrArray) curves = NULL, points = NULL, long_curves = NULL;
  g_autoptr (FmStageRecord) stage = fm_stage_record_new ("long", FM_STAGE_KIND_TRAIN, "{}");
  g_autoptr (FmRunRecord) run = fm_run_record_new ();
  g_autoptr (FmStageResult) result = fm_stage_result_new (FM_STAGE_DONE);
  g_autoptr (GError) error = NULL;
  const FmResultsCurve *curve;
  gdouble sum = 0;

  fixture_open (&f);
  fixture_fill (&f);
  table = fm_results_table_load (f.store, f.batch, &error);
  curves = fm_results_load_curves (f.store, table, "validation_accuracy", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (curves->len, ==, G_N_ELEMENTS (variants));
  curve = g_ptr_array_index (curves, 2);
  g_assert_cmpuint (curve->n, ==, STEPS);
  g_assert_cmpfloat (curve->x[0], ==, 25);
  for (gint seed = 0; seed < SEEDS; seed++)
    {
      g_autofree char *id = g_strdup_printf ("train2%d", seed);
      g_autoptr (GPtrArray) own = fm_store_load_curve (f.store, id, "validation_accuracy", -1, &error);

      sum += ((const FmCurvePoint *) g_ptr_array_index (own, 7))->value;
    }
  g_assert_cmpuint (curve->y[7].n, ==, SEEDS);
  g_assert_cmpfloat_with_epsilon (curve->y[7].mean, sum / SEEDS, 1e-12);
  curve = g_ptr_array_index (curves, 5); /* two seeds diverged after eight points */
  g_assert_cmpuint (curve->y[7].n, ==, 3);
  g_assert_cmpuint (curve->y[8].n, ==, 1);
  g_assert_true (isnan (curve->y[8].low));

  g_assert_true (fm_store_lease_batch (f.store, f.batch, &error));
  g_assert_true (fm_store_add_stage (f.store, stage, &error));
  run->batch = f.batch;
  run->position = 99;
  run->variant = g_strdup ("pooling x swiglu");
  run->architecture = g_strdup ("a4");
  run->task = g_strdup ("t");
  run->device = g_strdup ("d");
  g_ptr_array_add (run->stages, g_strdup ("long"));
  g_assert_true (fm_store_add_run (f.store, run, &error));
  g_assert_no_error (error);
  for (gint step = 1; step <= 1000; step++)
    fm_stage_result_add_point (result, step, "steps", "", step);
  finish (f.store, "long", result);
  g_clear_object (&table);
  table = fm_results_table_load (f.store, f.batch, &error);
  long_curves = fm_results_load_curves (f.store, table, "steps", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (long_curves->len, ==, 1);
  curve = g_ptr_array_index (long_curves, 0);
  g_assert_cmpuint (curve->n, ==, 100);
  g_assert_cmpfloat (curve->x[0], ==, 10);
  g_assert_cmpfloat_with_epsilon (curve->y[0].mean, 5.5, 1e-12); /* 1 to 10 */
  g_assert_cmpfloat_with_epsilon (curve->y[99].mean, 995.5, 1e-12);
  fixture_close (&f);
}

/* Damaged or missing artifacts cost their own part of the page, nothing else. */
static void
test_pruned (void)
{
  Fixture f;
  g_autofree char *html = NULL, *maps = NULL, *routing = NULL;
  g_autoptr (FmRouting) loaded = NULL;
  g_autoptr (GError) error = NULL;

  fixture_open (&f);
  fixture_fill (&f);
  loaded = fm_results_load_routing (f.store, "measure10", "train10", &error);
  g_assert_no_error (error);
  g_assert_cmpint (loaded->n_steps, ==, STEPS);
  g_assert_cmpfloat_with_epsilon (fm_routing_dead_since (loaded, 1, 5), 400, 1e-9);
  g_assert_cmpfloat (fm_routing_dead_since (loaded, 0, 5), ==, -1);

  routing = fm_store_artifact_path (f.store, "measure10", FM_ROUTING_FILE);
  g_assert_true (g_file_set_contents (routing, "{\"format\": \"formarium-routing\", \"version\": 1, \"layers\": -1}",
                                      -1, NULL));
  g_assert_null (fm_results_load_routing (f.store, "measure10", NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
  assert_has (error->message, "measure10/" FM_ROUTING_FILE);
  g_clear_error (&error);
  maps = fm_store_artifact_path (f.store, "measure00", FM_MAPS_FILE);
  g_assert_cmpint (g_remove (maps), ==, 0);
  g_assert_null (fm_results_load_maps (f.store, "measure00", &error));
  g_assert_nonnull (error);
  html = read_report (&f, "pruned.html");
  assert_has (html, "No finished run of this batch has experts.");
  assert_has (html, "No map to show: softmax-attention, pooling");
  fixture_close (&f);
}

static void
assert_text (char *got, const char *want)
{
  g_assert_cmpstr (got, ==, want);
  g_free (got);
}

static void
test_format (void)
{
  assert_text (fm_format_number (1234567.25, 1), "1,234,567.2");
  assert_text (fm_format_number (-2.1, 1), "−2.1");
  assert_text (fm_format_number (-0.01, 1), "0.0");
  assert_text (fm_format_number (999, 0), "999");
  assert_text (fm_format_number (NAN, 2), "–");
  assert_text (fm_format_number (INFINITY, 2), "∞");
  assert_text (fm_format_short_count (121234), "121 k");
  assert_text (fm_format_short_count (3.42e6), "3.4 M");
  assert_text (fm_format_short_count (999600), "1.0 M");
  assert_text (fm_format_duration (0.31), "0.3 s");
  assert_text (fm_format_duration (9.4), "9 s");
  assert_text (fm_format_duration (425), "7 minutes");
  assert_text (fm_format_duration (3600 * 2), "2 hours");
  assert_text (fm_format_duration (3600 * 3 + 60 * 5), "3 hours 5 minutes");
  assert_text (fm_format_megabytes (21440000), "21.4");
  assert_text (fm_format_megabytes (-1), "–");
  assert_text (fm_format_latency (8.314), "8.31");
  assert_text (fm_format_latency (12340), "12,340");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/app/report/format", test_format);
  g_test_add_func ("/app/report/table", test_table);
  g_test_add_func ("/app/report/curves", test_curves);
  g_test_add_func ("/app/report/html", test_html);
  g_test_add_func ("/app/report/empty", test_empty);
  g_test_add_func ("/app/report/exports", test_exports);
  g_test_add_func ("/app/report/latex", test_latex);
  g_test_add_func ("/app/report/lengths", test_lengths);
  g_test_add_func ("/app/report/one-figure", test_one_figure);
  g_test_add_func ("/app/report/page", test_page);
  g_test_add_func ("/app/report/pdf", test_pdf);
  g_test_add_func ("/app/report/schema", test_schema);
  g_test_add_func ("/app/report/wrong", test_wrong);
  g_test_add_func ("/app/report/pruned", test_pruned);
  return g_test_run ();
}
