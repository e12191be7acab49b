/* estimate.c: what a plan will cost before anything runs. */
#include "config.h"

#include "app/run/estimate.h"
#include "app/run/run-private.h"

#include <string.h>

/* Speeds that this program reaches at least on small models, in FLOP/s: an estimate errs on the long side. A training
 * step of the first comparison reaches 0.5 to 0.6 of the product's speed on one thread (`formarium bench step`). */
#define SHARE_OF_PRODUCT 0.4
#define SPEED_SOFTWARE   1e9
#define SPEED_GPU        3e11
#define STEP_S           2e-4 /* of a step, however small: its batch, a hundred ops, the curves */
#define START_S          1.5 /* of a worker: libraries, data, graph */
#define MEASURE_S        3.0

/* Bytes that Linux would give without swapping; what is used by caches can be had. */
guint64
fm_machine_available_bytes (void)
{
  g_autofree char *text = NULL;
  const char *at;

  if (!g_file_get_contents ("/proc/meminfo", &text, NULL, NULL))
    return G_MAXUINT64;
  at = strstr (text, "MemAvailable:");
  return at ? g_ascii_strtoull (at + strlen ("MemAvailable:"), NULL, 10) * 1024 : G_MAXUINT64;
}

gboolean
fm_recipe_cost (FmRecipe *recipe, FmPlan *train_plan, gdouble *train_flops, gdouble *example_flops, GError **error)
{
  g_autoptr (FmModel) model = fm_model_new (recipe->architecture, recipe->task, "");
  g_autoptr (FmModelGraph) train = NULL, one = NULL;
  FmPlan plan;
  FmCost cost;

  fm_model_set_options (model, &(FmModelOptions){ .recompute = recipe->recompute, .accumulate = recipe->accumulate });
  train = fm_model_graph_new (model, FM_MODE_TRAIN, recipe->batch, &recipe->optimizer, FALSE, error);
  if (train == NULL || !fm_graph_plan (train->graph, recipe->device, train_plan, &cost, error))
    return FALSE;
  *train_flops = cost.flops * (gdouble) recipe->steps;
  one = fm_model_graph_new (model, FM_MODE_EVALUATE, 1, NULL, FALSE, error);
  if (one == NULL || !fm_graph_plan (one->graph, recipe->device, &plan, &cost, error))
    return FALSE;
  *example_flops = cost.flops;
  return TRUE;
}

/* FLOP/s of one thread at a dense product, the best of a few short goes: 20 ms in all. */
static gdouble
product_speed (void)
{
  enum { N = 256, GOES = 8 };
  g_autoptr (FmDevice) device = fm_device_open ("cpu", 1, NULL);
  g_autoptr (FmVariables) variables = device ? fm_variables_new (device, 1) : NULL;
  g_autoptr (FmGraph) g = fm_graph_new ();
  g_autoptr (FmProgram) program = NULL;
  FmTensor *x = fm_param (g, "x", FM_SHAPE (N, N), fm_init_normal (1.0));
  gint64 best = G_MAXINT64;

  fm_graph_output (g, "y", fm_matmul (g, x, x, 0));
  program = device ? fm_program_new (g, device, variables, NULL) : NULL;
  for (guint i = 0; program && i < GOES; i++)
    {
      gint64 start = g_get_monotonic_time ();

      if (fm_program_run (program, NULL))
        best = MIN (best, MAX (g_get_monotonic_time () - start, 1));
    }
  return best == G_MAXINT64 ? 2e10 : 2.0 * N * N * N / ((gdouble) best * 1e-6);
}

/* Examples that are scored after training: of validation and of test. */
static gdouble
count_scored (FmRecipe *recipe)
{
  const FmTaskInfo *info = fm_task_get_info (recipe->task);
  gdouble n = 0;

  for (guint i = 0; i < info->n_splits; i++)
    if (info->splits[i].use != FM_SPLIT_TRAIN)
      n += (gdouble) (recipe->evaluate ? MIN ((guint64) recipe->evaluate, info->splits[i].count) : info->splits[i].count);
  return n;
}

static gboolean
find_device (const char *id, FmDeviceInfo *found, GError **error)
{
  g_autoptr (GPtrArray) devices = fm_devices_list ();

  for (guint i = 0; i < devices->len; i++)
    {
      const FmDeviceInfo *info = g_ptr_array_index (devices, i);

      if (g_str_equal (info->id, id) || (g_str_equal (id, "vulkan") && g_str_has_prefix (info->id, "vulkan")))
        {
          *found = *info; /* numbers only are used: the texts die with the list */
          return TRUE;
        }
    }
  g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "There is no device %s here; `formarium list devices` shows which"
               " there are", id);
  return FALSE;
}

/* Is this the first run of the plan with its variant and device? Seeds cost the same. */
static gboolean
is_first (FmBatchPlan *plan, guint index)
{
  const FmBatchRun *run = g_ptr_array_index (plan->runs, index), *before;

  if (index == 0)
    return TRUE;
  before = g_ptr_array_index (plan->runs, index - 1);
  return g_strcmp0 (run->architecture_id, before->architecture_id) != 0 || g_strcmp0 (run->task_id, before->task_id) != 0
         || run->batch != before->batch || run->steps != before->steps;
}

FmPlanEstimate *
fm_plan_estimate_new (FmBatchPlan *plan, FmStore *store, GError **error)
{
  g_autoptr (FmPlanEstimate) e = g_new0 (FmPlanEstimate, 1);
  gdouble run_s = 0, run_flops = 0, cpu_speed = 0;
  gint64 left_train, left_measure;

  e->n_stages = plan->stages->len;
  left_train = fm_batch_plan_count_left (plan, store, FM_STAGE_KIND_TRAIN, error);
  left_measure = left_train < 0 ? -1 : fm_batch_plan_count_left (plan, store, FM_STAGE_KIND_MEASURE, error);
  if (left_measure < 0)
    return NULL;
  e->n_left = left_train + left_measure;

  for (guint i = 0; i < plan->runs->len; i++)
    {
      FmBatchRun *run = g_ptr_array_index (plan->runs, i);
      FmStageState state = FM_STAGE_PLANNED;

      if (is_first (plan, i))
        {
          g_autoptr (JsonObject) object = fm_json_parse (run->train->recipe, -1, error);
          g_autoptr (FmRecipe) recipe = object ? fm_recipe_parse (object, error) : NULL;
          FmDeviceInfo device = { 0 };
          FmPlan bytes;
          gdouble train_flops, example_flops, speed;
          guint64 available;

          if (recipe == NULL || !find_device (run->device, &device, error))
            return NULL;
          if (!fm_recipe_cost (recipe, &bytes, &train_flops, &example_flops, error))
            {
              g_prefix_error (error, "%s: ", run->variant);
              return NULL;
            }
          available = device.software || g_str_equal (run->device, "cpu")
                          ? MIN (device.memory_bytes, fm_machine_available_bytes ()) : device.memory_bytes;
          if (bytes.peak_bytes > available)
            {
              g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_LARGE,
                           "%s does not fit: training needs %" G_GUINT64_FORMAT " bytes, %" G_GUINT64_FORMAT
                           " are available on %s; take a smaller batch, length or width",
                           run->variant, bytes.peak_bytes, available, run->device);
              return NULL;
            }
          if (bytes.peak_bytes > e->peak_bytes)
            {
              e->peak_bytes = bytes.peak_bytes;
              e->available_bytes = available;
              g_free (e->largest);
              e->largest = g_strdup (run->variant);
            }
          if (cpu_speed == 0 && g_str_equal (run->device, "cpu"))
            cpu_speed = SHARE_OF_PRODUCT * product_speed ();
          speed = g_str_equal (run->device, "cpu") ? cpu_speed : device.software ? SPEED_SOFTWARE : SPEED_GPU;
          run_flops = train_flops + count_scored (recipe) * example_flops;
          run_s = START_S + run_flops / speed + STEP_S * (gdouble) recipe->steps;
        }
      if (store)
        {
          g_autoptr (GError) absent = NULL;

          if (!fm_store_load_stage_state (store, run->train->id, &state, &absent))
            state = FM_STAGE_PLANNED; /* not in the store yet */
        }
      if (state != FM_STAGE_DONE && state != FM_STAGE_DIVERGED)
        {
          e->seconds_left += run_s;
          e->flops_left += run_flops;
        }
    }
  if (left_train > 1)
    e->seconds_left /= MIN (fm_runner_default_training (), left_train);
  e->seconds_left += (gdouble) left_measure * MEASURE_S;
  return g_steal_pointer (&e);
}

void
fm_plan_estimate_free (FmPlanEstimate *estimate)
{
  if (estimate == NULL)
    return;
  g_free (estimate->largest);
  g_free (estimate);
}
