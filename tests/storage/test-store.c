/* test-store.c: records in and out, claims, leases, results, the schema. */
#include "store-fixture.h"

#include <sys/wait.h>
#include <unistd.h>

static void
test_compared (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmDeviceRecord) device = NULL;
  g_autoptr (FmDeviceRecord) measured = fm_device_record_new ();
  g_autoptr (FmArchitectureRecord) architecture = NULL;
  g_autoptr (FmTaskRecord) task = NULL;

  add_batch (f->store, "first", 1);
  architecture = fm_store_load_architecture (f->store, "architecture-1", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (architecture->skeleton, ==, "encoder layers=2 width=64");
  g_assert_cmpuint (architecture->roles->len, ==, 2);
  FmRoleRecord *role = g_ptr_array_index (architecture->roles, 0);
  g_assert_cmpstr (role->plugin, ==, "local-attention");
  g_assert_cmpint (role->layer, ==, -1);
  g_assert_cmpstr (role->parameters, ==, "heads=4");

  task = fm_store_load_task (f->store, "task-1", &error);
  g_assert_no_error (error);
  g_assert_cmpfloat (task->chance_level, ==, 0.1);
  g_assert_cmpuint (task->shortcuts->len, ==, 1);
  g_assert_cmpfloat (((FmShortcutRecord *) g_ptr_array_index (task->shortcuts, 0))->accuracy, ==, 0.32);

  /* A roof measured later is kept, and not lost to a later record without one. */
  measured->id = g_strdup ("cpu");
  measured->label = g_strdup ("cpu");
  measured->peak_gflop_per_s = 355;
  g_assert_true (fm_store_add_device (f->store, measured, &error));
  measured->peak_gflop_per_s = NAN;
  g_assert_true (fm_store_add_device (f->store, measured, &error));
  device = fm_store_load_device (f->store, "cpu", &error);
  g_assert_no_error (error);
  g_assert_cmpfloat (device->peak_gflop_per_s, ==, 355);
  g_assert_true (isnan (device->peak_gbyte_per_s));
  g_assert_cmpint (device->threads, ==, 2);
  g_assert_cmpstr (device->name, ==, "A processor");

  g_assert_null (fm_store_load_device (f->store, "tpu", &error));
  g_assert_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT);
}

/* A roof is kept by hardware and threads, reaches the devices of that hardware, and the share of each op. */
static void
test_roof (Fixture *f, gconstpointer data)
{
  g_autoptr (FmRoofRecord) record = fm_roof_record_new ("A processor", "A driver", 2), found = NULL;
  g_autoptr (FmDeviceRecord) device = fm_device_record_new (), loaded = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_null (fm_store_load_roof (f->store, "A processor", "A driver", 2, &error));
  g_assert_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT);
  g_clear_error (&error);

  device->id = g_strdup ("fast");
  device->label = g_strdup ("cpu");
  device->name = g_strdup ("A processor");
  device->driver = g_strdup ("A driver");
  device->threads = 2;
  g_assert_true (fm_store_add_device (f->store, device, &error));
  record->peak_gflop_per_s = 100;
  record->read_gbyte_per_s = 40;
  record->copy_gbyte_per_s = 60;
  record->measured_us = 7;
  g_assert_true (fm_store_set_roof (f->store, record, &error));
  record->peak_gflop_per_s = 400; /* measured again */
  g_assert_true (fm_store_set_roof (f->store, record, &error));
  found = fm_store_load_roof (f->store, "A processor", "A driver", 2, &error);
  g_assert_no_error (error);
  g_assert_cmpfloat (found->peak_gflop_per_s, ==, 400);
  g_assert_cmpfloat (found->copy_gbyte_per_s, ==, 60);
  g_assert_true (isnan (found->product_gflop_per_s) && isnan (found->dispatch_us));
  g_assert_cmpint (found->measured_us, ==, 7);
  g_assert_null (fm_store_load_roof (f->store, "A processor", "A driver", 1, NULL));
  g_assert_true (fm_store_knows_roof (f->store, "A processor, A driver", 2));
  g_assert_false (fm_store_knows_roof (f->store, "A processor, A driver", 1));
  loaded = fm_store_load_device (f->store, "fast", &error);
  g_assert_no_error (error);
  g_assert_cmpfloat (loaded->peak_gflop_per_s, ==, 400);
  g_assert_cmpfloat (loaded->peak_gbyte_per_s, ==, 60);
}

static void
test_batches (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) list = NULL;
  gint64 one, two;

  g_assert_cmpint (fm_store_find_batch (f->store, NULL, &error), ==, 0);
  g_assert_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT);
  g_clear_error (&error);

  one = add_batch (f->store, "first", 1);
  two = add_batch (f->store, "second", 1);
  list = fm_store_load_batches (f->store, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (list->len, ==, 2);
  FmBatchRecord *newest = g_ptr_array_index (list, 0);
  g_assert_cmpint (newest->id, ==, two);
  g_assert_cmpstr (newest->title, ==, "second");
  g_assert_cmpint (newest->state, ==, FM_BATCH_PLANNED);
  g_assert_cmpint (newest->n_runs, ==, 2);
  g_assert_false (newest->live);

  g_assert_cmpint (fm_store_find_batch (f->store, NULL, &error), ==, two);
  g_assert_cmpint (fm_store_find_batch (f->store, "first", &error), ==, one);
  g_assert_cmpint (fm_store_find_batch (f->store, "first.batch", &error), ==, one);
  g_assert_cmpint (fm_store_find_batch (f->store, "/somewhere/first.batch", &error), ==, one);
  g_assert_cmpint (fm_store_find_batch (f->store, "2", &error), ==, two);
  g_assert_no_error (error);
  g_assert_cmpint (fm_store_find_batch (f->store, "frist", &error), ==, 0);
  g_assert_nonnull (strstr (error->message, "did you mean “first”"));
  g_clear_error (&error);
  g_assert_cmpint (fm_store_find_batch (f->store, "7", &error), ==, 0);
  g_clear_error (&error);
  g_assert_cmpint (fm_store_find_batch_by_key (f->store, "key of first", &error), ==, one);
  g_assert_cmpint (fm_store_find_batch_by_key (f->store, "another", &error), ==, 0);
}

static FmRunRecord *
load_first_run (FmStore *store, gint64 batch)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) runs = fm_store_load_runs (store, batch, &error);

  g_assert_no_error (error);
  return g_ptr_array_steal_index (runs, 0);
}

static void
test_states (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  gint64 batch = add_batch (f->store, "first", 2);
  g_autoptr (FmStageResult) good = train_result (3);
  g_autoptr (FmStageResult) bad = fm_stage_result_new (FM_STAGE_DIVERGED);
  g_autoptr (FmRunRecord) run = load_first_run (f->store, batch);
  g_autoptr (FmStageRecord) stage = NULL;
  FmStageState state;
  FmClaim claim;

  g_assert_cmpstr (run->state, ==, "planned");
  g_assert_cmpuint (run->stages->len, ==, 2);
  g_assert_cmpstr (g_ptr_array_index (run->stages, 1), ==, "measure-0-0");

  g_assert_true (fm_store_claim_stage (f->store, "train-0-0", &claim, &error));
  g_assert_cmpint (claim, ==, FM_CLAIM_YOURS);
  g_clear_pointer (&run, fm_run_record_free);
  run = load_first_run (f->store, batch);
  g_assert_cmpstr (run->state, ==, "running");

  /* Claimed by a living process, ourselves: nobody gets it twice. */
  g_assert_true (fm_store_claim_stage (f->store, "train-0-0", &claim, &error));
  g_assert_cmpint (claim, ==, FM_CLAIM_BUSY);
  g_assert_true (fm_store_set_stage_worker (f->store, "train-0-0", 4711, &error));

  g_assert_true (fm_store_finish_stage (f->store, "train-0-0", good, &error));
  g_assert_no_error (error);
  g_assert_true (fm_store_claim_stage (f->store, "train-0-0", &claim, &error));
  g_assert_cmpint (claim, ==, FM_CLAIM_FINISHED);
  /* A second end is refused: it is no more running. */
  g_assert_false (fm_store_finish_stage (f->store, "train-0-0", bad, &error));
  g_assert_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_LEASED);
  g_clear_error (&error);

  finish (f->store, "measure-0-0", good);
  g_clear_pointer (&run, fm_run_record_free);
  run = load_first_run (f->store, batch);
  g_assert_cmpstr (run->state, ==, "done");

  stage = fm_store_load_stage (f->store, "measure-0-0", &error);
  g_assert_no_error (error);
  g_assert_cmpint (stage->state, ==, FM_STAGE_DONE);
  g_assert_cmpint (stage->attempts, ==, 1);
  g_assert_cmpint (stage->fallbacks, ==, 0);
  g_assert_cmpint (stage->ended_us, >=, stage->started_us);
  g_assert_cmpstr (g_ptr_array_index (stage->inputs, 0), ==, "train-0-0");
  g_assert_cmpstr (stage->provenance, ==, good->provenance);

  /* Diverged is final, failed is tried again, cancelled as well. */
  bad->reason = g_strdup ("the loss became NaN at step 7");
  bad->diverged_step = 7;
  bad->diverged_tensor = g_strdup ("layers.0.mixer.q.weight");
  finish (f->store, "train-0-1", bad);
  g_assert_true (fm_store_claim_stage (f->store, "train-0-1", &claim, &error));
  g_assert_cmpint (claim, ==, FM_CLAIM_FINISHED);
  bad->state = FM_STAGE_FAILED;
  fm_stage_result_add_metric (bad, "test", "class", NULL, "accuracy", 0.5);
  finish (f->store, "train-1-0", bad);
  g_assert_cmpint (sql_int (f->path, "SELECT test_accuracy = 0.5 FROM stage WHERE id = 'train-1-0'"), ==, 1);
  g_assert_true (fm_store_claim_stage (f->store, "train-1-0", &claim, &error));
  g_assert_cmpint (sql_int (f->path, "SELECT test_accuracy IS NULL FROM stage WHERE id = 'train-1-0'"), ==, 1);
  g_assert_cmpint (claim, ==, FM_CLAIM_YOURS);
  g_assert_true (fm_store_unclaim_stage (f->store, "train-1-0", &error));
  g_assert_no_error (error);
  g_assert_true (fm_store_load_stage_state (f->store, "train-1-0", &state, &error));
  g_assert_cmpint (state, ==, FM_STAGE_PLANNED);
  g_clear_pointer (&stage, fm_stage_record_free);
  stage = fm_store_load_stage (f->store, "train-1-0", &error);
  g_assert_cmpint (stage->attempts, ==, 2);

  g_assert_true (fm_store_skip_run (f->store, run->id, "no data: apt install dataset-fashion-mnist", &error));
  g_clear_pointer (&run, fm_run_record_free);
  run = load_first_run (f->store, batch);
  g_assert_cmpstr (run->state, ==, "skipped");
  g_assert_cmpstr (run->reason, ==, "no data: apt install dataset-fashion-mnist");
  g_assert_false (fm_store_skip_run (f->store, 999, "why", &error));
  g_assert_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT);
}

static void
test_rows (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmStageResult) result = train_result (5);
  g_autoptr (FmStageResult) live = fm_stage_result_new (FM_STAGE_DONE);
  g_autoptr (GPtrArray) metrics = NULL, curve = NULL, tail = NULL, outcomes = NULL, memory = NULL, profile = NULL;
  g_autoptr (GPtrArray) latency = NULL, artifacts = NULL, processes = NULL;
  FmProcessRow *added;
  FmClaim claim;

  add_batch (f->store, "first", 1);
  fm_stage_result_add_point (result, 9, "loss", NULL, NAN);
  fm_stage_result_add_point (result, 9, "expert_load", "layers.0.feedforward/3", INFINITY);
  fm_stage_result_add_latency (result, 1, "batch1", 1, 300);
  fm_stage_result_add_latency (result, 0, "throughput", 64, 6400);
  fm_stage_result_add_process (result, 0, "one", 3)->place = 1;
  added = fm_stage_result_add_process (result, 1, "one", 4);
  added->place = 2;
  added->settled = 0;
  added->measured_peak_bytes = 5;

  /* Points for whoever watches are replaced by the complete ones. */
  g_assert_true (fm_store_claim_stage (f->store, "train-0-0", &claim, &error));
  fm_stage_result_add_point (live, 77, "loss", NULL, 1);
  g_assert_true (fm_store_append_curve (f->store, "train-0-0", live->curve, &error));
  g_assert_no_error (error);
  curve = fm_store_load_curve (f->store, "train-0-0", NULL, -1, &error);
  g_assert_cmpuint (curve->len, ==, 1);
  g_clear_pointer (&curve, g_ptr_array_unref);
  g_assert_true (fm_store_finish_stage (f->store, "train-0-0", result, &error));
  g_assert_no_error (error);

  metrics = fm_store_load_metrics (f->store, "train-0-0", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (metrics->len, ==, 6);
  FmMetricRow *metric = g_ptr_array_index (metrics, 3);
  g_assert_cmpstr (metric->split, ==, "test");
  g_assert_cmpstr (metric->target, ==, "class");
  g_assert_cmpstr (metric->name, ==, "accuracy");
  g_assert_cmpfloat (metric->value, ==, 0.84);

  curve = fm_store_load_curve (f->store, "train-0-0", NULL, -1, &error);
  g_assert_cmpuint (curve->len, ==, 7);
  FmCurvePoint *load = g_ptr_array_index (curve, 0);
  g_assert_cmpstr (load->tag, ==, "layers.0.feedforward/3");
  g_assert_true (isinf (load->value));
  tail = fm_store_load_curve (f->store, "train-0-0", "loss", 3, &error);
  g_assert_cmpuint (tail->len, ==, 2);
  FmCurvePoint *last = g_ptr_array_index (tail, 1);
  g_assert_cmpint (last->step, ==, 9);
  g_assert_true (isnan (last->value));

  outcomes = fm_store_load_outcomes (f->store, "train-0-0", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (outcomes->len, ==, 1);
  FmOutcomeRow *got = g_ptr_array_index (outcomes, 0), *put = g_ptr_array_index (result->outcomes, 0);
  g_assert_true (g_bytes_equal (got->triples, put->triples));
  g_assert_cmpint (sql_int (f->path, "SELECT units FROM outcome"), ==, 1000);
  g_assert_cmpint (sql_int (f->path, "SELECT length (triples_zstd) FROM outcome"), <, 12000);

  g_assert_cmpint (sql_int (f->path, "SELECT count (*) FROM latency_median"), ==, 2);
  g_assert_cmpint (sql_int (f->path, "SELECT median_us = 300 FROM latency_median WHERE kind = 'batch1' AND process = 1"),
                   ==, 1);
  processes = fm_store_load_processes (f->store, "train-0-0", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (processes->len, ==, 2);
  FmProcessRow *process = g_ptr_array_index (processes, 1);
  g_assert_cmpint (process->process, ==, 1);
  g_assert_cmpstr (process->session, ==, "one");
  g_assert_cmpint (process->block, ==, 4);
  g_assert_cmpint (process->place, ==, 2);
  g_assert_cmpint (process->settled, ==, 0);
  g_assert_cmpint (process->measured_peak_bytes, ==, 5);
  g_assert_cmpint (process->device_heap_bytes, ==, -1);
  g_assert_true (isnan (process->energy_joules));
  latency = fm_store_load_latency (f->store, "train-0-0", "throughput", &error);
  g_assert_cmpuint (latency->len, ==, 1);
  g_assert_cmpint (((FmLatencySample *) g_ptr_array_index (latency, 0))->rows, ==, 64);
  memory = fm_store_load_memory (f->store, "train-0-0", &error);
  g_assert_cmpuint (memory->len, ==, 2);
  g_assert_cmpint (((FmMemoryRow *) g_ptr_array_index (memory, 0))->measured_bytes, ==, -1);
  profile = fm_store_load_profile (f->store, "train-0-0", &error);
  g_assert_cmpfloat (((FmOpProfileRow *) g_ptr_array_index (profile, 0))->flops, ==, 1e9);
  artifacts = fm_store_load_artifacts (f->store, "train-0-0", &error);
  g_assert_cmpstr (((FmArtifactRow *) g_ptr_array_index (artifacts, 0))->sha256, ==, "abcd");

  /* A damaged blob is an error, not a crash. */
  sql_do (f->path, "UPDATE outcome SET triples_zstd = x'28b52ffd0400'");
  g_clear_pointer (&outcomes, g_ptr_array_unref);
  outcomes = fm_store_load_outcomes (f->store, "train-0-0", &error);
  g_assert_null (outcomes);
  g_assert_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_NOT_STORE);
}

static void
test_results (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  gint64 batch = add_batch (f->store, "first", 2);
  g_autoptr (FmStageResult) train = train_result (3);
  g_autoptr (FmStageResult) measure = fm_stage_result_new (FM_STAGE_DONE);
  g_autoptr (FmStageResult) bad = fm_stage_result_new (FM_STAGE_DIVERGED);
  g_autoptr (GPtrArray) rows = NULL, blocks = NULL;
  FmResultRow *row;

  /* 20 samples 1..20: median 10.5, the 95th percentile by nearest rank is the 19th. Given in another order. */
  for (guint i = 0; i < 20; i++)
    fm_stage_result_add_latency (measure, i % 5, "batch1", 1, (i * 7) % 20 + 1);
  for (guint i = 0; i < 3; i++)
    fm_stage_result_add_latency (measure, i, "throughput", 64, 6400 + 100.0 * i);
  fm_stage_result_add_memory (measure, "peak", 5000, 6000);
  for (guint i = 0; i < 5; i++)
    fm_stage_result_add_process (measure, i, "one", 4 - i)->measured_peak_bytes = 6000 + i;
  fm_stage_result_add_metric (measure, NULL, NULL, NULL, "unstable", 1);
  fm_stage_result_add_metric (measure, NULL, NULL, NULL, "energy_joules", 0.25);
  fm_stage_result_add_metric (measure, NULL, NULL, NULL, "device_heap_bytes", 77);
  fm_stage_result_add_metric (train, NULL, NULL, NULL, "trials", 6);
  fm_stage_result_add_metric (train, NULL, NULL, NULL, "parameters_by_n", 3136);
  finish (f->store, "train-0-0", train);
  finish (f->store, "measure-0-0", measure);
  bad->reason = g_strdup ("the loss became NaN");
  bad->diverged_step = 7;
  bad->diverged_tensor = g_strdup ("loss");
  finish (f->store, "train-0-1", bad);

  rows = fm_store_load_results (f->store, batch, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (rows->len, ==, 4);
  row = g_ptr_array_index (rows, 0);
  g_assert_cmpstr (row->batch, ==, "first");
  g_assert_cmpstr (row->mixer, ==, "softmax-attention");
  g_assert_cmpstr (row->feedforward, ==, "mlp");
  g_assert_cmpstr (row->task, ==, "fashion-mnist");
  g_assert_cmpstr (row->device, ==, "cpu");
  g_assert_cmpstr (row->state, ==, "done");
  g_assert_cmpint (row->seed, ==, 0);
  g_assert_cmpfloat (row->test_accuracy, ==, 0.84);
  g_assert_cmpfloat (row->validation_accuracy, ==, 0.85);
  g_assert_cmpfloat (row->chance_level, ==, 0.1);
  g_assert_cmpfloat (row->best_shortcut_accuracy, ==, 0.32);
  g_assert_cmpfloat (row->latency_us_median, ==, 10.5);
  g_assert_cmpfloat (row->latency_us_p95, ==, 19);
  g_assert_cmpint (row->latency_blocks, ==, 5);
  g_assert_cmpint (row->unstable, ==, 1);
  g_assert_cmpfloat (row->energy_joules, ==, 0.25);
  g_assert_cmpint (row->device_heap_bytes, ==, 77);
  g_assert_cmpint (row->trials, ==, 6);
  g_assert_cmpint (row->parameters_by_n, ==, 3136);
  g_assert_cmpint (sql_int (f->path, "SELECT count (*) FROM (SELECT * FROM latency_medians EXCEPT SELECT stage, kind, "
                            "process, samples, median_us FROM latency_median)"), ==, 0);
  blocks = fm_store_load_blocks (f->store, batch, "batch1", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (blocks->len, ==, 5);
  for (guint i = 0; i < blocks->len; i++)
    {
      /* Process 4 - i had samples 4 - i, 9 - i, 14 - i and 19 - i of those above. */
      static const gdouble medians[] = { 11.5, 9.5, 12.5, 10.5, 8.5 };
      FmBlockRow *block = g_ptr_array_index (blocks, i);

      g_assert_cmpint (block->block, ==, i);
      g_assert_cmpstr (block->session, ==, "one");
      g_assert_cmpint (block->measured_peak_bytes, ==, 6004 - i);
      g_assert_cmpfloat (block->median_us, ==, medians[i]);
    }
  g_assert_cmpfloat_with_epsilon (row->throughput_per_s, 64e6 / 6500, 1e-6);
  g_assert_cmpfloat (row->train_s, ==, 12.5);
  g_assert_cmpint (row->planned_peak_bytes, ==, 1000000);
  g_assert_cmpint (row->measured_peak_bytes, ==, 2000000);
  g_assert_cmpint (row->inference_measured_peak_bytes, ==, 6000);
  g_assert_cmpint (row->parameters, ==, 123456);
  g_assert_cmpfloat (row->flops, ==, 2.5e9);
  g_assert_cmpint (row->fallbacks, ==, 0);
  g_assert_cmpint (row->diverged_step, ==, -1);
  g_assert_cmpstr (row->train_stage, ==, "train-0-0");
  g_assert_cmpstr (row->measure_stage, ==, "measure-0-0");
  row = g_ptr_array_index (rows, 1);
  g_assert_cmpstr (row->state, ==, "diverged");
  g_assert_cmpint (row->diverged_step, ==, 7);
  g_assert_cmpstr (row->diverged_tensor, ==, "loss");
  g_assert_cmpstr (row->reason, ==, "the loss became NaN");
  g_assert_true (isnan (row->test_accuracy));
  row = g_ptr_array_index (rows, 3);
  g_assert_cmpstr (row->state, ==, "planned");
  g_assert_cmpint (row->fallbacks, ==, -1);

  g_assert_cmpint (sql_int (f->path, "SELECT count(*) FROM variants WHERE runs = 2"), ==, 2);
  g_assert_cmpint (sql_int (f->path, "SELECT done * 10 + failed FROM variants WHERE variant LIKE 'softmax%'"), ==, 11);
  g_assert_cmpint (sql_int (f->path, "SELECT count(*) FROM learning_curves WHERE name = 'loss'"), ==, 3);
  g_assert_cmpint (sql_int (f->path, "SELECT median_us * 2 FROM latency_summary WHERE kind = 'batch1'"), ==, 21);
}

/* The view's columns and the table of fields are the same list. */
static void
test_fields (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (f->store, "SELECT * FROM results", &error);
  int n = 0;

  g_assert_no_error (error);
  for (const FmResultField *field = fm_result_fields (); field->name; field++, n++)
    g_assert_cmpstr (field->name, ==, sqlite3_column_name (stmt, n));
  g_assert_cmpint (n, ==, sqlite3_column_count (stmt));
}

/* --- Leases: another process is a real one ------------------------------------------------------------------------*/

typedef gboolean (*ChildFunc) (FmStore *store, gint64 batch);

/* Runs @func in a child with its own connection; exit status 0 = TRUE. With @hold the child stays until killed and
 * its process number is returned once @func has returned TRUE. */
static pid_t
in_child (const char *path, gint64 batch, ChildFunc func, gboolean hold)
{
  int ready[2];
  pid_t pid;
  char byte = 0;

  g_assert_cmpint (pipe (ready), ==, 0);
  pid = fork ();
  if (pid == 0)
    {
      FmStore *store = fm_store_open (path, FM_STORE_WRITE, NULL);
      gboolean ok = store != NULL && func (store, batch);

      byte = ok ? 'y' : 'n';
      if (write (ready[1], &byte, 1) != 1)
        _exit (3);
      if (hold && ok)
        for (;;)
          pause ();
      _exit (0);
    }
  close (ready[1]);
  g_assert_cmpint (read (ready[0], &byte, 1), ==, 1);
  close (ready[0]);
  if (hold)
    {
      g_assert_cmpint (byte, ==, 'y');
      return pid;
    }
  waitpid (pid, NULL, 0);
  return byte == 'y';
}

static gboolean
lease_and_claim (FmStore *store, gint64 batch)
{
  FmClaim claim = FM_CLAIM_BUSY;

  return fm_store_lease_batch (store, batch, NULL) && fm_store_claim_stage (store, "train-0-0", &claim, NULL) &&
         claim == FM_CLAIM_YOURS;
}

static void
test_lease (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  gint64 batch = add_batch (f->store, "first", 1);
  pid_t child;
  g_autofree char *number = NULL;
  g_autoptr (FmBatchRecord) record = NULL;
  FmClaim claim;
  FmStageState state;

  g_clear_pointer (&f->store, fm_store_close); /* no connection survives a fork */
  child = in_child (f->path, batch, lease_and_claim, TRUE);
  f->store = fm_store_open (f->path, FM_STORE_WRITE, &error);
  g_assert_no_error (error);

  g_assert_false (fm_store_lease_batch (f->store, batch, &error));
  g_assert_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_LEASED);
  number = g_strdup_printf ("process %d", child);
  g_assert_nonnull (strstr (error->message, number));
  g_clear_error (&error);
  g_assert_false (fm_store_heartbeat (f->store, batch, &error));
  g_assert_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_LEASED);
  g_clear_error (&error);
  g_assert_true (fm_store_claim_stage (f->store, "train-0-0", &claim, &error));
  g_assert_cmpint (claim, ==, FM_CLAIM_BUSY);
  record = fm_store_load_batch (f->store, batch, &error);
  g_assert_true (record->live);
  g_assert_cmpint (record->runner_pid, ==, child);
  g_assert_cmpint (record->state, ==, FM_BATCH_RUNNING);
  g_clear_pointer (&record, fm_batch_record_free);

  /* Dead but not yet waited for is dead as well: that is how a runner's parent sees it first. */
  kill (child, SIGKILL);
  for (guint i = 0; i < 1000; i++)
    {
      g_clear_pointer (&record, fm_batch_record_free);
      record = fm_store_load_batch (f->store, batch, &error);
      if (!record->live)
        break;
      g_usleep (1000);
    }
  g_assert_false (record->live);
  waitpid (child, NULL, 0);

  g_assert_true (fm_store_lease_batch (f->store, batch, &error));
  g_assert_no_error (error);
  g_assert_true (fm_store_load_stage_state (f->store, "train-0-0", &state, &error));
  g_assert_cmpint (state, ==, FM_STAGE_PLANNED);
  g_assert_true (fm_store_heartbeat (f->store, batch, &error));
  g_assert_true (fm_store_claim_stage (f->store, "train-0-0", &claim, &error));
  g_assert_cmpint (claim, ==, FM_CLAIM_YOURS);
  g_assert_true (fm_store_release_batch (f->store, batch, FM_BATCH_DONE, &error));
  g_assert_no_error (error);
  g_clear_pointer (&record, fm_batch_record_free);
  record = fm_store_load_batch (f->store, batch, &error);
  g_assert_false (record->live);
  g_assert_cmpint (record->state, ==, FM_BATCH_DONE);
  g_assert_cmpint (record->ended_us, >=, record->created_us);
}

/* A process number that was given out again, and a runner on another machine. */
static void
test_owner (Fixture *f, gconstpointer data)
{
  g_auto (FmOwner) owner = { 0 };
  gint64 now = g_get_real_time ();

  fm_owner_init (&owner);
  g_assert_true (fm_owner_is_self (&owner));
  g_assert_true (fm_owner_is_alive (&owner, 0));
  g_free (owner.start);
  owner.start = g_strdup ("1");
  g_assert_false (fm_owner_is_self (&owner));
  g_assert_false (fm_owner_is_alive (&owner, now));
  g_free (owner.machine);
  owner.machine = g_strdup ("elsewhere");
  g_assert_true (fm_owner_is_alive (&owner, now));
  g_assert_false (fm_owner_is_alive (&owner, now - (FM_STORE_LEASE_S + 1) * G_USEC_PER_SEC));
}

static gboolean
add_another (FmStore *store, gint64 batch)
{
  return fm_store_lease_batch (store, batch, NULL) && fm_store_release_batch (store, batch, FM_BATCH_PAUSED, NULL);
}

static void
test_change (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  gint64 batch = add_batch (f->store, "first", 1);
  g_autoptr (FmStore) reader = NULL;
  guint64 before;

  g_clear_pointer (&f->store, fm_store_close);
  g_assert_true (in_child (f->path, batch, add_another, FALSE));
  reader = fm_store_open (f->path, FM_STORE_READ, &error);
  g_assert_no_error (error);
  before = fm_store_get_change (reader);
  g_assert_cmpuint (fm_store_get_change (reader), ==, before);
  g_assert_true (in_child (f->path, batch, add_another, FALSE));
  g_assert_cmpuint (fm_store_get_change (reader), !=, before);

  f->store = fm_store_open (f->path, FM_STORE_WRITE, &error);
  before = fm_store_get_change (f->store);
  g_assert_true (fm_store_lease_batch (f->store, batch, &error));
  g_assert_cmpuint (fm_store_get_change (f->store), !=, before);

  /* Readers cannot write. */
  g_assert_false (fm_store_lease_batch (reader, batch, &error));
  g_assert_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_READ_ONLY);
}

static void
test_transaction (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmRunRecord) run = fm_run_record_new ();
  gint64 batch = add_batch (f->store, "first", 1);

  /* A call that fails inside a transaction undoes itself alone. */
  g_assert_true (fm_store_begin (f->store, &error));
  g_assert_true (fm_store_lease_batch (f->store, batch, &error));
  run->batch = batch;
  run->position = 99;
  run->variant = g_strdup ("x");
  run->architecture = g_strdup ("architecture-0");
  run->task = g_strdup ("task-1");
  run->device = g_strdup ("cpu");
  g_ptr_array_add (run->stages, g_strdup ("no such stage"));
  g_assert_false (fm_store_add_run (f->store, run, &error));
  g_assert_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_FAILED);
  g_clear_error (&error);
  g_assert_true (fm_store_commit (f->store, &error));
  g_assert_no_error (error);
  g_assert_cmpint (sql_int (f->path, "SELECT count(*) FROM run"), ==, 2);
  g_assert_cmpint (sql_int (f->path, "SELECT runner_pid FROM batch"), ==, getpid ());

  g_assert_true (fm_store_begin (f->store, &error));
  g_assert_true (fm_store_release_batch (f->store, batch, FM_BATCH_DONE, &error));
  fm_store_rollback (f->store);
  g_assert_cmpint (sql_int (f->path, "SELECT state = 'running' FROM batch"), ==, 1);
}

static void
test_paths (Fixture *f, gconstpointer data)
{
  g_autofree char *file = fm_store_artifact_path (f->store, "abc", "model.safetensors");
  g_autofree char *folder = fm_store_artifact_path (f->store, "abc", NULL);
  g_autofree char *wanted = g_build_filename (f->folder, "formarium.artifacts", "abc", "model.safetensors", NULL);
  g_autofree char *wanted_folder = g_path_get_dirname (wanted);
  g_autofree char *by_default = NULL;

  g_assert_cmpstr (file, ==, wanted);
  g_assert_cmpstr (folder, ==, wanted_folder);
  g_setenv ("FORMARIUM_STORE", "/elsewhere/x.db", TRUE);
  by_default = fm_store_default_path ();
  g_assert_cmpstr (by_default, ==, "/elsewhere/x.db");
  g_unsetenv ("FORMARIUM_STORE");
}

/* --- Schema -------------------------------------------------------------------------------------------------------*/

static char *
dump_schema (const char *path)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (sqlite3_stmt) stmt = NULL;
  sqlite3 *db = NULL;

  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_prepare_v2 (db, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE "
                                       "'sqlite%' ORDER BY type, name", -1, &stmt, NULL), ==, SQLITE_OK);
  while (sqlite3_step (stmt) == SQLITE_ROW)
    g_string_append_printf (text, "%s;\n", sqlite3_column_text (stmt, 0));
  g_clear_pointer (&stmt, sqlite3_finalize);
  sqlite3_close (db);
  return g_string_free (g_steal_pointer (&text), FALSE);
}

/* `FORMARIUM_REWRITE_GOLDENS=1` writes the golden anew; a person reads the difference. */
static void
test_schema (Fixture *f, gconstpointer data)
{
  g_autofree char *golden = g_test_build_filename (G_TEST_DIST, "storage", "schema.sql", NULL);
  g_autofree char *found = dump_schema (f->path), *wanted = NULL;
  g_autoptr (GError) error = NULL;

  if (g_getenv ("FORMARIUM_REWRITE_GOLDENS"))
    g_file_set_contents (golden, found, -1, &error);
  g_assert_no_error (error);
  g_file_get_contents (golden, &wanted, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (found, ==, wanted);
  g_assert_cmpint (sql_int (f->path, "PRAGMA user_version"), ==, FM_STORE_VERSION);
  g_assert_cmpint (sql_int (f->path, "PRAGMA application_id"), ==, FM_STORE_APPLICATION_ID);
}

/* A file of every version there ever was opens, has the newest schema afterwards and keeps its rows. */
static void
test_versions (Fixture *f, gconstpointer data)
{
  g_autofree char *newest = dump_schema (f->path);

  for (int version = 1; version <= FM_STORE_VERSION; version++)
    {
      g_autofree char *name = g_strdup_printf ("version-%d.sql", version);
      g_autofree char *script = g_test_build_filename (G_TEST_DIST, "storage", name, NULL);
      g_autofree char *path = g_build_filename (f->folder, name, NULL), *text = NULL, *schema = NULL;
      g_autoptr (GPtrArray) rows = NULL;
      g_autoptr (FmStore) store = NULL;
      g_autoptr (GError) error = NULL;

      g_file_get_contents (script, &text, NULL, &error);
      g_assert_no_error (error);
      sql_do (path, text);
      g_assert_cmpint (sql_int (path, "PRAGMA user_version"), ==, version);
      store = fm_store_open (path, FM_STORE_WRITE, &error);
      g_assert_no_error (error);
      g_assert_true (fm_store_check (store, &error));
      rows = fm_store_load_results (store, 0, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (rows->len, ==, 2);
      g_assert_cmpfloat (((FmResultRow *) g_ptr_array_index (rows, 0))->test_accuracy, ==, 0.84);
      g_assert_cmpint (sql_int (path, "SELECT median_us = 300 AND samples = 1 FROM latency_median WHERE stage = "
                                      "'train-0-0'"), ==, 1);
      schema = dump_schema (path);
      g_assert_cmpstr (schema, ==, newest);
    }
}

/* Steps run in order and once; one that fails leaves the file at its version. */
static void
test_migrate (Fixture *f, gconstpointer data)
{
  static const FmStoreStep good[] = {
    { NULL, "" }, { NULL, "" }, { NULL, "" }, { NULL, "" },
    { NULL, "CREATE TABLE two (x)" }, { NULL, "CREATE TABLE three (x)" },
  };
  static const FmStoreStep bad[] = {
    { NULL, "" }, { NULL, "" }, { NULL, "" }, { NULL, "" },
    { NULL, "CREATE TABLE two (x)" }, { NULL, "CREATE TABLE (" },
  };
  g_autoptr (GError) error = NULL;

  G_STATIC_ASSERT (G_N_ELEMENTS (good) == FM_STORE_VERSION + 2);
  G_STATIC_ASSERT (G_N_ELEMENTS (bad) == FM_STORE_VERSION + 2);
  g_assert_false (fm_store_migrate (f->store, bad, G_N_ELEMENTS (bad), &error));
  g_assert_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_FAILED);
  g_clear_error (&error);
  g_assert_cmpint (sql_int (f->path, "PRAGMA user_version"), ==, FM_STORE_VERSION);
  g_assert_cmpint (sql_int (f->path, "SELECT count(*) FROM sqlite_schema WHERE name = 'two'"), ==, 0);
  g_assert_true (fm_store_migrate (f->store, good, G_N_ELEMENTS (good), &error));
  g_assert_true (fm_store_migrate (f->store, good, G_N_ELEMENTS (good), &error));
  g_assert_no_error (error);
  g_assert_cmpint (sql_int (f->path, "PRAGMA user_version"), ==, FM_STORE_VERSION + 2);
  g_assert_cmpint (sql_int (f->path, "SELECT count(*) FROM sqlite_schema WHERE name IN ('two', 'three')"), ==, 2);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_test ("/storage/compared", test_compared);
  add_test ("/storage/roof", test_roof);
  add_test ("/storage/batches", test_batches);
  add_test ("/storage/states", test_states);
  add_test ("/storage/rows", test_rows);
  add_test ("/storage/results", test_results);
  add_test ("/storage/fields", test_fields);
  add_test ("/storage/lease", test_lease);
  add_test ("/storage/owner", test_owner);
  add_test ("/storage/change", test_change);
  add_test ("/storage/transaction", test_transaction);
  add_test ("/storage/paths", test_paths);
  add_test ("/storage/schema", test_schema);
  add_test ("/storage/versions", test_versions);
  add_test ("/storage/migrate", test_migrate);
  return g_test_run ();
}
