/* store-fixture.h: a store in a folder of its own, and a small batch to put into it. */
#pragma once

#include <glib/gstdio.h>
#include <math.h>

#include "storage/storage-private.h"

typedef struct
{
  char    *folder;
  char    *path;
  FmStore *store;
} Fixture;

static inline void
remove_folder (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  g_chmod (folder, 0700);
  while (dir && (name = g_dir_read_name (dir)))
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);

      if (g_remove (path) != 0)
        remove_folder (path);
    }
  g_rmdir (folder);
}

static inline void
fixture_set_up (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  f->folder = g_dir_make_tmp ("formarium-store-XXXXXX", &error);
  g_assert_no_error (error);
  f->path = g_build_filename (f->folder, "formarium.db", NULL);
  f->store = fm_store_open (f->path, FM_STORE_WRITE, &error);
  g_assert_no_error (error);
}

static inline void
fixture_tear_down (Fixture *f, gconstpointer data)
{
  g_clear_pointer (&f->store, fm_store_close);
  remove_folder (f->folder);
  g_free (f->path);
  g_free (f->folder);
}

#define add_test(path, function) \
  g_test_add (path, Fixture, NULL, fixture_set_up, function, fixture_tear_down)

/* Two variants (softmax-attention and local-attention, both with mlp) and @seeds seeds; stages "train-V-S" and
 * "measure-V-S". */
static inline gint64
add_batch (FmStore *store, const char *title, guint seeds)
{
  static const char * const mixers[] = { "softmax-attention", "local-attention" };
  g_autoptr (GError) error = NULL;
  g_autoptr (FmDeviceRecord) device = fm_device_record_new ();
  g_autoptr (FmTaskRecord) task = fm_task_record_new ();
  g_autoptr (FmBatchRecord) batch = fm_batch_record_new ();

  g_assert_true (fm_store_begin (store, &error));
  device->id = g_strdup ("cpu");
  device->label = g_strdup ("cpu");
  device->name = g_strdup ("A processor");
  device->threads = 2;
  g_assert_true (fm_store_add_device (store, device, &error));
  task->id = g_strdup ("task-1");
  task->name = g_strdup ("fashion-mnist");
  task->parameters = g_strdup ("view=patches");
  task->data_key = g_strdup ("sha256:0123");
  task->chance_level = 0.1;
  g_ptr_array_add (task->shortcuts, fm_shortcut_record_new ("grey values", "Bag of grey values", 0.32));
  g_assert_true (fm_store_add_task (store, task, &error));
  batch->key = g_strdup_printf ("key of %s", title);
  batch->title = g_strdup (title);
  batch->file_name = g_strdup_printf ("/somewhere/%s.batch", title);
  batch->text = g_strdup ("[batch]\n");
  g_assert_true (fm_store_add_batch (store, batch, &error));
  for (guint v = 0; v < 2; v++)
    {
      g_autoptr (FmArchitectureRecord) architecture = fm_architecture_record_new ();

      architecture->id = g_strdup_printf ("architecture-%u", v);
      architecture->skeleton = g_strdup ("encoder layers=2 width=64");
      g_ptr_array_add (architecture->roles, fm_role_record_new ("mixer", -1, mixers[v], "hash", "heads=4"));
      g_ptr_array_add (architecture->roles, fm_role_record_new ("feedforward", -1, "mlp", "hash", "hidden=256"));
      g_assert_true (fm_store_add_architecture (store, architecture, &error));
      for (guint s = 0; s < seeds; s++)
        {
          g_autoptr (FmRunRecord) run = fm_run_record_new ();
          g_autofree char *train = g_strdup_printf ("train-%u-%u", v, s);
          g_autofree char *measure = g_strdup_printf ("measure-%u-%u", v, s);
          g_autoptr (FmStageRecord) first = fm_stage_record_new (train, FM_STAGE_KIND_TRAIN, "recipe");
          g_autoptr (FmStageRecord) second = fm_stage_record_new (measure, FM_STAGE_KIND_MEASURE, "recipe");

          g_ptr_array_add (second->inputs, g_strdup (train));
          g_assert_true (fm_store_add_stage (store, first, &error));
          g_assert_true (fm_store_add_stage (store, second, &error));
          run->batch = batch->id;
          run->position = v * seeds + s;
          run->variant = g_strdup_printf ("%s x mlp", mixers[v]);
          run->architecture = g_strdup (architecture->id);
          run->task = g_strdup (task->id);
          run->device = g_strdup (device->id);
          run->seed = s;
          g_ptr_array_add (run->stages, g_strdup (train));
          g_ptr_array_add (run->stages, g_strdup (measure));
          g_assert_true (fm_store_add_run (store, run, &error));
          g_assert_no_error (error);
        }
    }
  g_assert_true (fm_store_commit (store, &error));
  g_assert_no_error (error);
  return batch->id;
}

/* What a training worker leaves: @n curve points, two metrics, outcomes of 1,000 examples, memory, a checkpoint. */
static inline FmStageResult *
train_result (guint n)
{
  FmStageResult *result = fm_stage_result_new (FM_STAGE_DONE);
  g_autofree gfloat *triples = g_new (gfloat, 3000);
  g_autoptr (GBytes) bytes = NULL;

  for (guint i = 0; i < 3000; i++)
    triples[i] = i % 3 == 2 ? i * 0.001f : i % 3 == 1 ? 1 : i % 2;
  bytes = g_bytes_new (triples, 3000 * sizeof (gfloat));
  result->provenance = g_strdup ("{\"threads\":2,\"processor\":\"A processor\"}");
  fm_stage_result_add_metric (result, "test", "class", NULL, "accuracy", 0.84);
  fm_stage_result_add_metric (result, "test", "class", NULL, "loss", 0.5);
  fm_stage_result_add_metric (result, "validation", "class", NULL, "accuracy", 0.85);
  fm_stage_result_add_metric (result, NULL, NULL, NULL, "train_s", 12.5);
  fm_stage_result_add_metric (result, NULL, NULL, NULL, "parameters", 123456);
  fm_stage_result_add_metric (result, NULL, NULL, NULL, "flops", 2.5e9);
  for (guint i = 0; i < n; i++)
    fm_stage_result_add_point (result, i, "loss", NULL, 2.3 / (1 + i));
  fm_stage_result_add_outcomes (result, "test", "class", bytes);
  fm_stage_result_add_memory (result, "peak", 1000000, 2000000);
  fm_stage_result_add_memory (result, "parameters", 600000, -1);
  fm_stage_result_add_op (result, "matmul", 10, 0.5, 1e9, 1e8);
  fm_stage_result_add_artifact (result, "checkpoint", "train-0-0/model.safetensors", 493824, "abcd");
  return result;
}

static inline void
finish (FmStore *store, const char *id, const FmStageResult *result)
{
  g_autoptr (GError) error = NULL;
  FmClaim claim = FM_CLAIM_BUSY;

  g_assert_true (fm_store_claim_stage (store, id, &claim, &error));
  g_assert_no_error (error);
  g_assert_cmpint (claim, ==, FM_CLAIM_YOURS);
  g_assert_true (fm_store_finish_stage (store, id, result, &error));
  g_assert_no_error (error);
}

/* One number from one SQL statement, through a connection that knows nothing of our code. */
static inline gint64
sql_int (const char *path, const char *sql)
{
  sqlite3 *db = NULL;
  g_autoptr (sqlite3_stmt) stmt = NULL;
  gint64 value;

  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_prepare_v2 (db, sql, -1, &stmt, NULL), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_step (stmt), ==, SQLITE_ROW);
  value = sqlite3_column_int64 (stmt, 0);
  g_clear_pointer (&stmt, sqlite3_finalize);
  g_assert_cmpint (sqlite3_close (db), ==, SQLITE_OK);
  return value;
}

static inline void
sql_do (const char *path, const char *sql)
{
  sqlite3 *db = NULL;

  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_exec (db, sql, NULL, NULL, NULL), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_close (db), ==, SQLITE_OK);
}
