/* ui-store.c: a store with a finished comparison in it */
#include "config.h"

#include "ui-store.h"

#include <math.h>

enum { N_SEEDS = 3 };

static const struct
{
  const char *mixer, *feedforward;
  gdouble     accuracy, spread, latency_us, memory_mb;
  gboolean    diverges; /* in the last seed */
} variants[] = {
  { "softmax-attention", "mlp", 0.845, 0.0028, 412, 21.4, FALSE },
  { "softmax-attention", "switch", 0.864, 0.0024, 655, 38.6, FALSE },
  { "local-attention", "mlp", 0.8455, 0.003, 301, 17.8, FALSE },
  { "linear-attention", "mlp", 0.824, 0.0026, 248, 15.9, FALSE },
  { "pooling", "mlp", 0.828, 0.004, 183, 14.1, TRUE },
};

static void
finish (FmStore       *store,
        const char    *id,
        FmStageResult *result)
{
  g_autoptr (GError) error = NULL;
  FmClaim claim;

  if (!fm_store_claim_stage (store, id, &claim, &error) || !fm_store_finish_stage (store, id, result, &error))
    g_error ("%s", error->message);
}

static void
finish_train (FmStore    *store,
              const char *id,
              guint       v,
              guint       seed)
{
  gboolean diverges = variants[v].diverges && seed == N_SEEDS - 1;
  g_autoptr (FmStageResult) result = fm_stage_result_new (diverges ? FM_STAGE_DIVERGED : FM_STAGE_DONE);
  gdouble accuracy = variants[v].accuracy + variants[v].spread * ((gint) seed - 1);

  result->provenance = g_strdup ("{}");
  if (diverges)
    {
      result->reason = g_strdup ("diverged at step 212 in layers.1.feedforward");
      result->diverged_step = 212;
      result->diverged_tensor = g_strdup ("layers.1.feedforward");
    }
  else
    {
      fm_stage_result_add_metric (result, "test", "class", NULL, "accuracy", accuracy);
      fm_stage_result_add_metric (result, "validation", "class", NULL, "accuracy", accuracy + 0.002);
      fm_stage_result_add_metric (result, "test", "class", NULL, "loss", 1 - accuracy);
      fm_stage_result_add_metric (result, NULL, NULL, NULL, "train_s", 12.5 + v);
      fm_stage_result_add_metric (result, NULL, NULL, NULL, "parameters", 123456);
      fm_stage_result_add_metric (result, NULL, NULL, NULL, "flops", 2.5e7);
      fm_stage_result_add_memory (result, "peak", (gint64) (variants[v].memory_mb * 0.9e6),
                                  (gint64) (variants[v].memory_mb * 1e6));
    }
  for (guint step = 0; step <= (diverges ? 200 : 1000); step += 50)
    {
      fm_stage_result_add_point (result, step, "validation_loss", NULL, 0.45 + 1.9 * exp (-(gdouble) step / 120) + 0.02 * v);
      fm_stage_result_add_point (result, step, "validation_accuracy", NULL, accuracy - 0.74 * exp (-(gdouble) step / 150));
    }
  finish (store, id, result);
}

static void
finish_measure (FmStore    *store,
                const char *id,
                guint       v)
{
  g_autoptr (FmStageResult) result = fm_stage_result_new (FM_STAGE_DONE);

  result->provenance = g_strdup ("{}");
  for (guint i = 0; i < 20; i++)
    fm_stage_result_add_latency (result, 0, "batch1", 1, variants[v].latency_us + i % 5);
  fm_stage_result_add_latency (result, 0, "throughput", 64, variants[v].latency_us * 20);
  fm_stage_result_add_memory (result, "peak", 4000000, 5000000);
  finish (store, id, result);
}

gint64
ui_store_fill (const char *title)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmStore) store = fm_store_open (NULL, FM_STORE_WRITE, &error);
  g_autoptr (FmDeviceRecord) device = fm_device_record_new ();
  g_autoptr (FmTaskRecord) task = fm_task_record_new ();
  g_autoptr (FmBatchRecord) batch = fm_batch_record_new ();

  if (store == NULL)
    g_error ("%s", error->message);
  device->id = g_strdup ("cpu");
  device->label = g_strdup ("cpu");
  device->name = g_strdup ("A processor");
  device->threads = 2;
  task->id = g_strdup ("task-1");
  task->name = g_strdup ("fashion-mnist");
  task->parameters = g_strdup ("view=patches");
  task->data_key = g_strdup ("sha256:0123");
  task->chance_level = 0.1;
  g_ptr_array_add (task->shortcuts, fm_shortcut_record_new ("grey values", "Bag of grey values", 0.32));
  batch->key = g_strdup_printf ("key of %s", title);
  batch->title = g_strdup (title);
  batch->text = g_strdup ("[batch]\n");
  g_assert_true (fm_store_begin (store, &error));
  g_assert_true (fm_store_add_device (store, device, &error));
  g_assert_true (fm_store_add_task (store, task, &error));
  g_assert_true (fm_store_add_batch (store, batch, &error));
  for (guint v = 0; v < G_N_ELEMENTS (variants); v++)
    {
      g_autoptr (FmArchitectureRecord) architecture = fm_architecture_record_new ();

      architecture->id = g_strdup_printf ("architecture-%u", v);
      architecture->skeleton = g_strdup ("encoder layers=2 width=64");
      g_ptr_array_add (architecture->roles, fm_role_record_new ("mixer", -1, variants[v].mixer, "hash", ""));
      g_ptr_array_add (architecture->roles, fm_role_record_new ("feedforward", -1, variants[v].feedforward, "hash", ""));
      g_assert_true (fm_store_add_architecture (store, architecture, &error));
      for (guint s = 0; s < N_SEEDS; s++)
        {
          g_autoptr (FmRunRecord) run = fm_run_record_new ();
          g_autofree char *train = g_strdup_printf ("%s-train-%u-%u", title, v, s);
          g_autofree char *measure = g_strdup_printf ("%s-measure-%u-%u", title, v, s);
          g_autoptr (FmStageRecord) first = fm_stage_record_new (train, FM_STAGE_KIND_TRAIN, "{}");
          g_autoptr (FmStageRecord) second = fm_stage_record_new (measure, FM_STAGE_KIND_MEASURE, "{}");

          g_ptr_array_add (second->inputs, g_strdup (train));
          g_assert_true (fm_store_add_stage (store, first, &error));
          g_assert_true (fm_store_add_stage (store, second, &error));
          run->batch = batch->id;
          run->position = v * N_SEEDS + s;
          run->variant = g_strdup_printf ("%s x %s", variants[v].mixer, variants[v].feedforward);
          run->architecture = g_strdup (architecture->id);
          run->task = g_strdup (task->id);
          run->device = g_strdup (device->id);
          run->seed = s;
          g_ptr_array_add (run->stages, g_strdup (train));
          g_ptr_array_add (run->stages, g_strdup (measure));
          g_assert_true (fm_store_add_run (store, run, &error));
        }
    }
  g_assert_true (fm_store_commit (store, &error));
  for (guint v = 0; v < G_N_ELEMENTS (variants); v++)
    for (guint s = 0; s < N_SEEDS; s++)
      {
        g_autofree char *train = g_strdup_printf ("%s-train-%u-%u", title, v, s);
        g_autofree char *measure = g_strdup_printf ("%s-measure-%u-%u", title, v, s);

        finish_train (store, train, v, s);
        if (!variants[v].diverges || s < N_SEEDS - 1)
          finish_measure (store, measure, v);
      }
  return batch->id;
}
