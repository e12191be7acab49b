/* bench-store.c: a store of 10,000 runs with 100 points each, made through the store's own functions; verified, then asked.
 *
 *     bench-store [FOLDER [PROGRAM]]      without FOLDER a temporary one; with it a store made before is asked again;
 *                                         PROGRAM: formarium, for the time until its first line
 *
 * The limits are what a person at a table of results takes for at once: 200 ms a query, 100 ms until the first line. */
#include "storage/storage.h"

#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCHES 500
#define RUNS 20 /* each */
#define SEEDS 4
#define POINTS 100
#define TRIES 7
#define QUERY_MS 200
#define LINE_MS 100

/* --- Making it ----------------------------------------------------------------------------------------------------*/

static void
must (gboolean ok, GError *error)
{
  if (ok)
    return;
  g_printerr ("%s\n", error ? error->message : "failed");
  exit (1);
}

static FmStageResult *
trained (guint n)
{
  FmStageResult *result = fm_stage_result_new (FM_STAGE_DONE);
  g_autofree gfloat *triples = g_new0 (gfloat, 3000);
  g_autoptr (GBytes) bytes = g_bytes_new (triples, 3000 * sizeof (gfloat));

  result->provenance = g_strdup ("{\"program\":\"0.1.0\",\"processor\":\"A processor of a long name\",\"threads\":2}");
  fm_stage_result_add_metric (result, "test", "class", NULL, "accuracy", 0.8 + n % 100 * 0.001);
  fm_stage_result_add_metric (result, "test", "class", NULL, "loss", 0.5);
  fm_stage_result_add_metric (result, "validation", "class", NULL, "accuracy", 0.8);
  fm_stage_result_add_metric (result, NULL, NULL, NULL, "train_s", 12.5);
  fm_stage_result_add_metric (result, NULL, NULL, NULL, "parameters", 123456);
  fm_stage_result_add_metric (result, NULL, NULL, NULL, "flops", 2.5e9);
  for (guint i = 0; i < POINTS; i++)
    fm_stage_result_add_point (result, i * 10, "loss", NULL, 2.3 / (1 + i));
  fm_stage_result_add_outcomes (result, "test", "class", bytes);
  fm_stage_result_add_memory (result, "peak", 1000000, 2000000);
  fm_stage_result_add_memory (result, "parameters", 600000, -1);
  fm_stage_result_add_artifact (result, "checkpoint", "none/model.safetensors", 493824, NULL);
  return result;
}

static FmStageResult *
measured (guint n)
{
  FmStageResult *result = fm_stage_result_new (FM_STAGE_DONE);

  for (guint i = 0; i < 50; i++)
    fm_stage_result_add_latency (result, i / 10, "batch1", 1, 300 + (i * 7 + n) % 50);
  for (guint i = 0; i < 25; i++)
    fm_stage_result_add_latency (result, i / 5, "throughput", 64, 6400 + i);
  for (guint i = 0; i < 12; i++)
    {
      g_autofree char *op = g_strdup_printf ("op%u", i);

      fm_stage_result_add_op (result, op, 10, 0.5, 1e9, 1e8);
    }
  fm_stage_result_add_memory (result, "peak", 500000, 700000);
  return result;
}

static char *
stage_id (const char *kind, guint n)
{
  g_autofree char *text = g_strdup_printf ("%s %u", kind, n);

  return g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, -1);
}

static void
finish (FmStore *store, const char *id, FmStageResult *result)
{
  GError *error = NULL;
  FmClaim claim;

  must (fm_store_claim_stage (store, id, &claim, &error), error);
  must (fm_store_finish_stage (store, id, result, &error), error);
  fm_stage_result_free (result);
}

static void
add_run (FmStore *store, gint64 batch, guint n)
{
  g_autofree char *recipe = g_strnfill (900, 'r'), *train = stage_id ("train", n), *measure = stage_id ("measure", n);
  g_autoptr (FmStageRecord) first = fm_stage_record_new (train, FM_STAGE_KIND_TRAIN, recipe);
  g_autoptr (FmStageRecord) second = fm_stage_record_new (measure, FM_STAGE_KIND_MEASURE, recipe);
  g_autoptr (FmRunRecord) run = fm_run_record_new ();
  GError *error = NULL;

  g_ptr_array_add (second->inputs, g_strdup (train));
  must (fm_store_add_stage (store, first, &error) && fm_store_add_stage (store, second, &error), error);
  run->batch = batch;
  run->position = n % RUNS;
  run->variant = g_strdup_printf ("mixer-%u x mlp", n % RUNS / SEEDS);
  run->architecture = g_strdup_printf ("architecture-%u", n % RUNS / SEEDS);
  run->task = g_strdup ("task");
  run->device = g_strdup ("cpu");
  run->seed = n % SEEDS;
  g_ptr_array_add (run->stages, g_strdup (train));
  g_ptr_array_add (run->stages, g_strdup (measure));
  must (fm_store_add_run (store, run, &error), error);
  finish (store, train, trained (n));
  finish (store, measure, measured (n));
}

static void
add_compared (FmStore *store)
{
  g_autoptr (FmDeviceRecord) device = fm_device_record_new ();
  g_autoptr (FmTaskRecord) task = fm_task_record_new ();
  GError *error = NULL;

  device->id = g_strdup ("cpu");
  device->label = g_strdup ("cpu");
  must (fm_store_add_device (store, device, &error), error);
  task->id = g_strdup ("task");
  task->name = g_strdup ("fashion-mnist");
  task->chance_level = 0.1;
  g_ptr_array_add (task->shortcuts, fm_shortcut_record_new ("grey values", "Bag of grey values", 0.32));
  must (fm_store_add_task (store, task, &error), error);
  for (guint i = 0; i < RUNS / SEEDS; i++)
    {
      g_autoptr (FmArchitectureRecord) architecture = fm_architecture_record_new ();
      g_autofree char *mixer = g_strdup_printf ("mixer-%u", i);

      architecture->id = g_strdup_printf ("architecture-%u", i);
      architecture->skeleton = g_strdup ("encoder layers=2 width=64");
      g_ptr_array_add (architecture->roles, fm_role_record_new ("mixer", -1, mixer, "hash", "heads=4"));
      g_ptr_array_add (architecture->roles, fm_role_record_new ("feedforward", -1, "mlp", "hash", "hidden=256"));
      must (fm_store_add_architecture (store, architecture, &error), error);
    }
}

static void
generate (FmStore *store)
{
  GError *error = NULL;

  for (guint b = 0; b < BATCHES; b++)
    {
      g_autoptr (FmBatchRecord) batch = fm_batch_record_new ();

      must (fm_store_begin (store, &error), error);
      if (b == 0)
        add_compared (store);
      batch->key = g_strdup_printf ("key %u", b);
      batch->title = g_strdup_printf ("Batch %u", b);
      batch->text = g_strdup ("[batch]\n");
      must (fm_store_add_batch (store, batch, &error), error);
      for (guint i = 0; i < RUNS; i++)
        add_run (store, batch->id, b * RUNS + i);
      must (fm_store_lease_batch (store, batch->id, &error) &&
            fm_store_release_batch (store, batch->id, FM_BATCH_DONE, &error), error);
      must (fm_store_commit (store, &error), error);
    }
  must (fm_store_set_tag (store, FM_LABELLED_RUN, 77, "odd", TRUE, &error), error);
}

/* --- Asking it ----------------------------------------------------------------------------------------------------*/

static guint
n_results (FmStore *store, GError **error)
{
  g_autoptr (GPtrArray) rows = fm_store_load_results (store, 0, error);

  return rows ? rows->len : 0;
}

static guint
n_results_of_batch (FmStore *store, GError **error)
{
  g_autoptr (GPtrArray) rows = fm_store_load_results (store, BATCHES, error);

  return rows ? rows->len : 0;
}

static guint
n_batches (FmStore *store, GError **error)
{
  g_autoptr (GPtrArray) rows = fm_store_load_batches (store, error);

  return rows ? rows->len : 0;
}

static guint
n_batch (FmStore *store, GError **error)
{
  g_autoptr (FmBatchRecord) batch = fm_store_load_batch (store, 7, error);

  return batch ? batch->n_runs_done : 0;
}

static guint
n_runs (FmStore *store, GError **error)
{
  g_autoptr (GPtrArray) rows = fm_store_load_runs (store, BATCHES / 2, error);

  return rows ? rows->len : 0;
}

static guint
n_found (FmStore *store, GError **error)
{
  g_autoptr (GPtrArray) rows = fm_store_search (store, "odd", error);

  return rows ? rows->len : 0;
}

static guint
n_points (FmStore *store, GError **error)
{
  g_autofree char *id = stage_id ("train", 4711);
  g_autoptr (GPtrArray) rows = fm_store_load_curve (store, id, "loss", -1, error);

  return rows ? rows->len : 0;
}

static const struct
{
  const char *name;
  guint     (*ask) (FmStore *store, GError **error);
  guint       rows; /* what is right */
} queries[] = {
  { "results of one batch", n_results_of_batch, RUNS },
  { "results of all batches", n_results, BATCHES * RUNS },
  { "all batches with counts", n_batches, BATCHES },
  { "one batch with counts", n_batch, RUNS },
  { "runs of a batch", n_runs, RUNS },
  { "search", n_found, 1 },
  { "curve of a run", n_points, POINTS },
};

static int
compare (gconstpointer a, gconstpointer b)
{
  gdouble x = *(const gdouble *) a, y = *(const gdouble *) b;

  return (x > y) - (x < y);
}

static gboolean
report (const char *name, gdouble *ms, gdouble limit)
{
  qsort (ms, TRIES, sizeof *ms, compare);
  g_print ("%-28s %8.1f ms, %5.1f to %5.1f   limit %3.0f: %s\n", name, ms[TRIES / 2], ms[0], ms[TRIES - 1], limit,
           ms[TRIES / 2] <= limit ? "kept" : "MISSED");
  return ms[TRIES / 2] <= limit;
}

/* Until the first byte on its standard output. */
static gdouble
first_line_ms (const char *program, const char *path)
{
  g_autoptr (GError) error = NULL;
  gint64 start = g_get_monotonic_time (), end;
  g_autoptr (GSubprocess) process = g_subprocess_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE, &error, program, "results",
                                                      "--store", path, NULL);
  char byte;

  must (process != NULL, error);
  must (g_input_stream_read (g_subprocess_get_stdout_pipe (process), &byte, 1, NULL, &error) == 1, error);
  end = g_get_monotonic_time ();
  g_subprocess_force_exit (process);
  g_subprocess_wait (process, NULL, NULL);
  return (end - start) / 1000.0;
}

int
main (int argc, char **argv)
{
  g_autofree char *folder = argc > 1 ? g_strdup (argv[1]) : g_dir_make_tmp ("formarium-bench-store-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "bench.db", NULL);
  gboolean known = g_file_test (path, G_FILE_TEST_EXISTS), kept = TRUE;
  g_autoptr (FmStore) store = NULL;
  GError *error = NULL;
  gint64 start = g_get_monotonic_time ();
  gdouble ms[TRIES];

  store = fm_store_open (path, FM_STORE_WRITE, &error);
  must (store != NULL, error);
  if (!known)
    {
      generate (store);
      g_print ("%d runs of %d points made in %.0f s: %s\n", BATCHES * RUNS, POINTS,
               (g_get_monotonic_time () - start) / 1e6, path);
    }
  for (guint q = 0; q < G_N_ELEMENTS (queries); q++)
    {
      for (guint i = 0; i < TRIES; i++)
        {
          guint rows;

          start = g_get_monotonic_time ();
          rows = queries[q].ask (store, &error);
          ms[i] = (g_get_monotonic_time () - start) / 1000.0;
          must (error == NULL, error);
          if (rows != queries[q].rows)
            {
              g_printerr ("%s: %u rows instead of %u\n", queries[q].name, rows, queries[q].rows);
              return 1;
            }
        }
      kept = report (queries[q].name, ms, QUERY_MS) && kept;
    }
  for (guint i = 0; i < TRIES && argc > 2; i++)
    ms[i] = first_line_ms (argv[2], path);
  if (argc > 2)
    kept = report ("formarium results, first line", ms, LINE_MS) && kept;
  if (argc < 2)
    {
      g_clear_pointer (&store, fm_store_close);
      g_unlink (path);
      g_rmdir (folder);
    }
  return kept ? 0 : 1;
}
