/* estimate.c: what a plan will cost before anything runs. */
#include "config.h"

#include "app/run/estimate.h"
#include "app/results/statistics.h"
#include "app/run/measure-times.h"
#include "app/run/roof.h"
#include "app/run/run-private.h"

#include <string.h>

/* What a stage takes beside its steps is measured while the estimate is made, since it depends on the machine and on what
 * else it does: a worker is started and sent away again, the data is read, graphs are built and planned.
 *
 * The time of a node is what the roof allows, divided by the share of the roof that its family of ops reaches, and what one
 * more kernel costs. Shares are numbers without a unit, so they travel between machines better than speeds do; where the
 * store has profiles of this hardware, its own shares replace them op by op. The defaults are what `formarium bench step
 * --profile --threads 1` prints at T1. */
#define SHARE_OF_PRODUCT   0.75 /* of what a large product reaches; 0.68 to 0.81 of the peak */
#define SHARE_OF_ATTENTION 0.38 /* exponentials between two products: 0.34 to 0.40, forward and backward */
#define SHARE_OF_STREAM    0.8  /* the rest, bound by memory or cache: 0.6 to 1.1 */
#define PRODUCT_INTENSITY 8.0 /* FLOPs a byte from which an op counts as a product */
#define LEAST_SHARE      0.01 /* a share that an interrupted profile left */
#define MOST_SHARE       2.0  /* above 1: bytes came from a cache */
#define HOST_S           1e-4 /* of a step: its batch, its curves */
#define SPAWN_S          0.1  /* of a worker's start, where none can be started here to see */
#define DATA_S           0.3  /* of reading real data, at least: this process may have it already */
#define BUILDS           1.0  /* graphs and plans of a training worker, in those that the estimate builds */
#define MEASURE_BUILDS   0.5  /* of a measuring one */
#define SETTLING_CALLS   30   /* until a process has warmed up; between FM_MEASURE_WARM_UPS and three times as many */
#define FINISH_S         0.3  /* of a measuring stage: a look, files */
#define BLOCKS           9.0  /* between FM_BLOCKS_LEAST and FM_BLOCKS_MOST, as far from one as from the other */
#define EVALUATION_BATCH 64
#define LOOKS            10 /* at validation while training: see train.c */
#define LOOK_EXAMPLES    512
#define MOST_PROFILES    20 /* stages of the store whose profiles are read */

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
  g_autoptr (FmModel) model = fm_recipe_model (recipe);
  g_autoptr (FmModelGraph) train = NULL, one = NULL;
  FmPlan plan;
  FmCost cost;

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

/* --- What a device reaches ----------------------------------------------------------------------------------------*/

typedef struct
{
  FmRoof      roof;
  gdouble     spawn_s; /* of a worker */
  GHashTable *shares; /* op -> gdouble: share of the roof, from profiles in the store */
} Speed;

static void
speed_free (Speed *speed)
{
  g_hash_table_unref (speed->shares);
  g_free (speed);
}

/* Sums of the profiles that measuring stages on this hardware left. They ran on more threads than a training worker
 * has; small models gain little from them, so the seconds are taken for one worker's, and no share goes beyond what it
 * can be (node_seconds). */
static void
read_shares (FmStore *store, const char *hardware, Speed *speed)
{
  g_autoptr (GPtrArray) results = fm_store_load_results (store, 0, NULL);
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GHashTable) seconds = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  GHashTableIter iter;
  gpointer op, value;

  for (guint i = 0; results && i < results->len && g_hash_table_size (seen) < MOST_PROFILES; i++)
    {
      const FmResultRow *row = g_ptr_array_index (results, i);
      g_autoptr (FmStageRecord) stage = NULL;
      g_autoptr (GPtrArray) profile = NULL;
      g_autoptr (JsonObject) recipe = NULL;

      if (row->measure_stage == NULL || !g_hash_table_add (seen, row->measure_stage))
        continue;
      stage = fm_store_load_stage (store, row->measure_stage, NULL);
      recipe = stage ? fm_json_parse (stage->recipe, -1, NULL) : NULL;
      if (recipe == NULL || g_strcmp0 (fm_json_text (recipe, "hardware", ""), hardware) != 0)
        continue;
      profile = fm_store_load_profile (store, row->measure_stage, NULL);
      for (guint k = 0; profile && k < profile->len; k++)
        {
          const FmOpProfileRow *p = g_ptr_array_index (profile, k);
          FmCost cost = { p->flops, p->bytes };
          gdouble *sums = g_hash_table_lookup (seconds, p->op);

          if (sums == NULL)
            {
              sums = g_new0 (gdouble, 2);
              g_hash_table_insert (seconds, g_strdup (p->op), sums);
            }
          sums[0] += fm_roof_share (&speed->roof, &cost, 1.0);
          sums[1] += MAX (p->seconds - (gdouble) p->calls * speed->roof.dispatch_s, 0.1 * p->seconds);
        }
    }
  g_hash_table_iter_init (&iter, seconds);
  while (g_hash_table_iter_next (&iter, &op, &value))
    {
      const gdouble *sums = value;
      gdouble *share = g_new (gdouble, 1);

      *share = sums[1] > 0 && sums[0] > 0 ? CLAMP (sums[0] / sums[1], LEAST_SHARE, MOST_SHARE) : SHARE_OF_STREAM;
      g_hash_table_insert (speed->shares, g_strdup (op), share);
    }
}

/* A worker's way from its start to its first line, and back: it ends with its standard input. */
static gdouble
spawn_seconds (void)
{
  g_autofree char *program = fm_program_path ();
  g_autoptr (GSubprocess) process = NULL;
  gint64 start = g_get_monotonic_time ();

  process = g_subprocess_new (G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_SILENCE
                              | G_SUBPROCESS_FLAGS_STDERR_SILENCE, NULL, program, "worker", NULL);
  if (process == NULL || !g_output_stream_close (g_subprocess_get_stdin_pipe (process), NULL, NULL)
      || !g_subprocess_wait (process, NULL, NULL) || g_subprocess_get_if_signaled (process))
    return SPAWN_S;
  return (gdouble) (g_get_monotonic_time () - start) / 1e6;
}

/* (transfer full): what training workers on @device reach; its roof is measured where the store does not know it. */
static Speed *
speed_new (FmStore *store, const char *id, GError **error)
{
  gboolean cpu = g_str_equal (id, "cpu");
  guint threads = cpu ? MAX (1, g_get_num_processors () / fm_runner_default_training ()) : 0;
  g_autoptr (FmDevice) device = fm_device_open (id, threads, error);
  Speed *speed;
  const FmDeviceInfo *info;
  g_autofree char *hardware = NULL;

  if (device == NULL)
    return NULL;
  speed = g_new0 (Speed, 1);
  speed->shares = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  info = fm_device_get_info (device);
  if (!fm_roof_get (store, device, threads, FALSE, &speed->roof, error))
    {
      speed_free (speed);
      return NULL;
    }
  speed->spawn_s = spawn_seconds ();
  hardware = g_strdup_printf ("%s, %s", info->title, info->driver);
  if (store)
    read_shares (store, hardware, speed);
  return speed;
}

static gdouble
node_seconds (const Speed *speed, const FmNodeProfile *node)
{
  const gdouble *known = g_hash_table_lookup (speed->shares, node->op);
  gdouble peak = MAX (speed->roof.flops_per_s, 1), product = speed->roof.product_flops_per_s;
  gdouble large = product > 0 ? MIN (product / peak, 1) : 1; /* the share of a large product */
  gboolean dense = node->cost.flops > PRODUCT_INTENSITY * node->cost.bytes;
  gdouble share = known                                                ? *known
                  : dense && g_str_has_prefix (node->op, "attention") ? SHARE_OF_ATTENTION
                  : dense                                              ? SHARE_OF_PRODUCT * large
                                                                       : SHARE_OF_STREAM;

  if (dense)
    share = MIN (share, large);
  return fm_roof_share (&speed->roof, &node->cost, 1.0) / share + speed->roof.dispatch_s;
}

/* Seconds of a run of @graph, node by node. The nodes are those of the processor's program, whatever device is meant:
 * its variables are never filled and nothing runs. */
static gboolean
graph_seconds (const Speed *speed, FmGraph *graph, gdouble *seconds, GError **error)
{
  g_autoptr (FmDevice) device = fm_device_open ("cpu", 1, error);
  g_autoptr (FmVariables) variables = device ? fm_variables_new (device, 0) : NULL;
  g_autoptr (FmProgram) program = variables ? fm_program_new (graph, device, variables, error) : NULL;
  g_autoptr (GArray) nodes = program ? fm_program_get_nodes (program) : NULL;

  *seconds = speed->roof.submit_s;
  for (guint i = 0; nodes && i < nodes->len; i++)
    *seconds += node_seconds (speed, &g_array_index (nodes, FmNodeProfile, i));
  return nodes != NULL;
}

/* Examples that are scored after training: of validation and, but for a trial, of test. */
static gdouble
count_scored (FmRecipe *recipe, gboolean trial)
{
  const FmTaskInfo *info = fm_task_get_info (recipe->task);
  gdouble n = 0;

  for (guint i = 0; i < info->n_splits; i++)
    if (info->splits[i].use == FM_SPLIT_DECIDE || (info->splits[i].use == FM_SPLIT_REPORT && !trial))
      n += (gdouble) (recipe->evaluate ? MIN ((guint64) recipe->evaluate * info->n_targets, info->splits[i].count)
                                         : info->splits[i].count);
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

/* --- The plan -----------------------------------------------------------------------------------------------------*/

/* What seeds of a variant share: of a training and, of its last one, of measuring. */
typedef struct
{
  gint64  steps, batch, hidden;
  char   *task, *chain;
  gdouble start_s, turn_s, finish_s; /* of a measuring process: until it is loaded, its turn; of the stage behind them */
  gdouble train_s, train_flops, measure_flops;
  gdouble trial_s, trial_flops; /* the same without a score on test */
  guint64 peak_bytes, available_bytes;
  gint64  parameters, parameters_by_n;
} Cost;

static void
cost_free (gpointer data)
{
  g_free (((Cost *) data)->task);
  g_free (((Cost *) data)->chain);
  g_free (data);
}

/* "adapt: from base, trains head;layers.1, init=head=new" */
static char *
describe (const FmBatchPlan *plan, const FmBatchStage *stage, const FmRecipe *recipe)
{
  g_autoptr (GString) text = g_string_new (stage->name);
  g_autofree char *trains = recipe->trains ? g_strjoinv (";", recipe->trains) : NULL;

  for (guint i = 0; i < stage->inputs->len; i++)
    for (guint k = 0; k < plan->stages->len; k++)
      {
        const FmBatchStage *other = g_ptr_array_index (plan->stages, k);

        if (g_str_equal (other->id, g_ptr_array_index (stage->inputs, i)))
          g_string_append_printf (text, "%s%s", i ? " and " : ": from ", other->name);
      }
  g_string_append_printf (text, "%s%s%s", stage->inputs->len || trains == NULL ? "" : ":", trains ? ", trains " : "",
                          trains ? trains : "");
  for (guint i = 0; recipe->start && i < recipe->start->rules->len; i++)
    g_string_append_printf (text, "%s%s", i ? ";" : recipe->start->mean ? ", init=mean;" : ", init=",
                            ((FmStartRule *) g_ptr_array_index (recipe->start->rules, i))->text);
  if (recipe->start && recipe->start->mean && recipe->start->rules->len == 0)
    g_string_append (text, ", init=mean");
  return g_string_free (g_steal_pointer (&text), FALSE);
}

/* Reading the data of @task, as every worker does; absent data costs nothing, since its runs are skipped. */
static gdouble
load_seconds (FmTask *task)
{
  gint64 start = g_get_monotonic_time ();
  gboolean real = fm_task_get_class (task)->verify != NULL;
  gdouble seconds;

  for (guint i = 0; i < fm_task_get_n_parts (task); i++)
    real |= fm_task_get_class (fm_task_get_part (task, i, NULL))->verify != NULL;
  if (!fm_task_load (task, NULL, NULL))
    return 0;
  seconds = (gdouble) (g_get_monotonic_time () - start) / 1e6;
  return real ? MAX (seconds, DATA_S) : seconds;
}

/* What measure.c does for one kind of samples, when a call takes @call_s. */
static gdouble
sampling_seconds (gdouble call_s, gdouble budget_us)
{
  gdouble budget_s = budget_us / 1e6;

  return MIN (MAX (budget_s, FM_MEASURE_LEAST_WARM_UPS * call_s), SETTLING_CALLS * call_s)
         + MIN (MAX (budget_s, FM_MEASURE_LEAST_SAMPLES * call_s), FM_MEASURE_MOST_SAMPLES * call_s);
}

static gboolean
is_routed (FmArchitecture *a)
{
  for (FmRole role = FM_ROLE_MIXER; role <= FM_ROLE_FEEDFORWARD; role++)
    for (gint64 layer = 0; layer < fm_architecture_get_layers (a); layer++)
      {
        const FmPlugin *plugin = fm_architecture_get_plugin (a, role, (gint) layer);

        for (const FmProbe *probe = plugin ? plugin->descriptor->probes : NULL; probe && probe->name; probe++)
          if (g_str_equal (probe->name, "routing"))
            return TRUE;
      }
  return FALSE;
}

static gboolean
cost_of (const FmBatchPlan *plan, const FmBatchRun *run, const FmBatchStage *stage, const Speed *speed, gdouble load_s,
         Cost *c, GError **error)
{
  g_autoptr (JsonObject) object = fm_json_parse (stage->recipe, -1, error);
  g_autoptr (FmRecipe) recipe = object ? fm_recipe_parse (object, error) : NULL;
  g_autoptr (FmModel) model = NULL;
  g_autoptr (FmModelGraph) train = NULL, many = NULL, one = NULL;
  FmDeviceInfo device = { 0 };
  FmPlan bytes;
  gdouble example_flops, step_s, evaluation_s, one_s, looked, scored, trial_scored, build_s;
  gint64 start = g_get_monotonic_time ();

  if (recipe == NULL || !find_device (run->device, &device, error)
      || !fm_recipe_cost (recipe, &bytes, &c->train_flops, &example_flops, error)
      || !fm_architecture_count (recipe->architecture, recipe->task, &c->parameters, &c->parameters_by_n, error))
    return FALSE;
  c->steps = recipe->steps;
  c->batch = recipe->batch;
  c->hidden = fm_architecture_get_hidden (recipe->architecture);
  c->task = g_strdup (fm_task_get_class (recipe->task)->id);
  c->chain = stage->name ? describe (plan, stage, recipe) : NULL;
  c->available_bytes = device.software || g_str_equal (run->device, "cpu")
                           ? MIN (device.memory_bytes, fm_machine_available_bytes ()) : device.memory_bytes;
  c->peak_bytes = bytes.peak_bytes;
  if (c->peak_bytes > c->available_bytes)
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_LARGE,
                   "it does not fit: training needs %" G_GUINT64_FORMAT " bytes, %" G_GUINT64_FORMAT
                   " are available on %s; take a smaller batch, length or width",
                   c->peak_bytes, c->available_bytes, run->device);
      return FALSE;
    }
  model = fm_recipe_model (recipe);
  train = fm_model_graph_new (model, FM_MODE_TRAIN, recipe->batch, &recipe->optimizer, FALSE, error);
  many = train ? fm_model_graph_new (model, FM_MODE_EVALUATE, EVALUATION_BATCH, NULL, FALSE, error) : NULL;
  one = many ? fm_model_graph_new (model, FM_MODE_EVALUATE, 1, NULL, FALSE, error) : NULL;
  if (one == NULL || !graph_seconds (speed, train->graph, &step_s, error)
      || !graph_seconds (speed, many->graph, &evaluation_s, error) || !graph_seconds (speed, one->graph, &one_s, error))
    return FALSE;
  build_s = (gdouble) (g_get_monotonic_time () - start) / 1e6;
  scored = count_scored (recipe, FALSE);
  trial_scored = count_scored (recipe, TRUE);
  looked = MIN (LOOKS, (gdouble) recipe->steps) * LOOK_EXAMPLES;
  c->trial_flops = c->train_flops + trial_scored * example_flops;
  c->train_flops += scored * example_flops;
  c->train_s = speed->spawn_s + load_s + BUILDS * build_s + (gdouble) recipe->steps * (step_s + HOST_S)
               + (scored + looked) / EVALUATION_BATCH * (evaluation_s + HOST_S);
  c->trial_s = c->train_s - (scored - trial_scored) / EVALUATION_BATCH * (evaluation_s + HOST_S);
  c->measure_flops = example_flops;
  evaluation_s *= (gdouble) recipe->batch / EVALUATION_BATCH;
  c->start_s = speed->spawn_s + load_s + MEASURE_BUILDS * build_s;
  c->turn_s = sampling_seconds (one_s, FM_MEASURE_LATENCY_US) + sampling_seconds (evaluation_s, FM_MEASURE_THROUGHPUT_US);
  c->finish_s = FINISH_S + FM_MEASURE_PROFILED_RUNS * evaluation_s;
  if (is_routed (recipe->architecture)) /* where the examples of test go */
    c->finish_s += (scored - trial_scored) / (gdouble) recipe->batch * evaluation_s;
  return TRUE;
}

static void
stage_estimate_free (gpointer data)
{
  FmStageEstimate *e = data;

  g_free (e->settings);
  g_free (e->task);
  g_free (e->chain);
  g_free (e);
}

/* (transfer full) (nullable): what the @k-th trial of @run tries, as the training stage's recipe says it. */
static char *
trial_settings (const FmBatchRun *run, guint k)
{
  g_autoptr (JsonObject) recipe = fm_json_parse (run->train->recipe, -1, NULL);
  JsonArray *tune = recipe ? fm_json_array (recipe, "tune") : NULL;

  return tune && k < json_array_get_length (tune) ? fm_tuning_to_string (json_array_get_object_element (tune, k)) : NULL;
}

/* Runs of each variant: "VARIANT TASK DEVICE" -> how many. */
static char *
variant_key (const FmBatchRun *run)
{
  return g_strjoin ("\n", run->variant, run->task_id, run->device, NULL);
}

static GHashTable *
count_seeds (const FmBatchPlan *plan)
{
  GHashTable *seeds = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; i < plan->runs->len; i++)
    {
      char *key = variant_key (g_ptr_array_index (plan->runs, i));
      guint n = GPOINTER_TO_UINT (g_hash_table_lookup (seeds, key));

      g_hash_table_insert (seeds, key, GUINT_TO_POINTER (n + 1));
    }
  return seeds;
}

/* Of one stage of a variant whose @seeds take turns over the blocks, while @rows variants are loaded side by side. */
static gdouble
measure_seconds (const FmBatchStage *stage, const Cost *cost, guint seeds, guint rows)
{
  g_autoptr (JsonObject) recipe = fm_json_parse (stage->recipe, -1, NULL);
  JsonArray *modes = recipe ? fm_json_array (recipe, "measure") : NULL;
  gdouble modes_s = 2.0 * FM_MEASURE_MODE_US / 1e6 * (modes ? json_array_get_length (modes) : 0);
  gdouble blocks = MAX (rows > 1 ? BLOCKS : FM_BLOCKS_LEAST, seeds); /* nothing to compare: the fewest */

  return blocks / MAX (seeds, 1) * (cost->start_s / CLAMP (rows, 1, g_get_num_processors ()) + cost->turn_s + modes_s)
         + cost->finish_s;
}

static FmStageEstimate *
stage_estimate (const FmBatchPlan *plan, const FmBatchStage *stage, const FmBatchRun *run, GHashTable *left,
                GHashTable *seeds, const Cost *cost)
{
  g_autofree char *key = variant_key (run);
  FmStageEstimate *e = g_new0 (FmStageEstimate, 1);
  gboolean train = stage != run->measure, trial = g_str_equal (stage->kind, FM_STAGE_KIND_TRIAL);

  e->stage = stage;
  e->run = run;
  e->left = run->unmet == NULL && g_hash_table_contains (left, stage);
  e->seconds = trial ? cost->trial_s : train ? cost->train_s : measure_seconds (
    stage, cost, GPOINTER_TO_UINT (g_hash_table_lookup (seeds, key)), (guint) plan->n_variants);
  e->flops = trial ? cost->trial_flops : train ? cost->train_flops : cost->measure_flops;
  e->peak_bytes = train ? cost->peak_bytes : 0;
  e->parameters = cost->parameters;
  e->parameters_by_n = cost->parameters_by_n;
  e->steps = cost->steps;
  e->batch = cost->batch;
  e->hidden = cost->hidden;
  e->task = g_strdup (cost->task);
  e->chain = train ? g_strdup (cost->chain) : NULL;
  return e;
}

/* (transfer container): a run's stages, inputs first. */
static GPtrArray *
stages_of (const FmBatchRun *run)
{
  GPtrArray *stages = g_ptr_array_new ();

  if (run->earlier)
    g_ptr_array_extend (stages, run->earlier, NULL, NULL);
  if (run->trials)
    g_ptr_array_extend (stages, run->trials, NULL, NULL);
  g_ptr_array_add (stages, run->train);
  g_ptr_array_add (stages, run->measure);
  return stages;
}

/* What a stage of @run costs; each once however many seeds there are. */
static Cost *
find_cost (GHashTable *costs, const FmBatchPlan *plan, const FmBatchRun *run, const FmBatchStage *stage, const Speed *speed,
           gdouble load_s, GError **error)
{
  gboolean last = stage == run->measure || run->earlier == NULL || !g_ptr_array_find (run->earlier, stage, NULL);
  g_autofree char *same = g_strdup_printf ("%s %s %s %s %s", run->variant, run->architecture_id, run->task_id,
                                           run->device, last ? "" : stage->name);
  Cost *cost = g_hash_table_lookup (costs, same);

  if (cost)
    return cost;
  cost = g_new0 (Cost, 1);
  g_hash_table_insert (costs, g_steal_pointer (&same), cost);
  if (cost_of (plan, run, last ? run->train : stage, speed, load_s, cost, error))
    return cost;
  g_prefix_error (error, "%s: ", run->variant);
  return NULL;
}

/* A training waits for those it starts from, however many workers there are. */
static gdouble
longest_chain (const FmPlanEstimate *e)
{
  g_autoptr (GHashTable) ends = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, g_free);
  gdouble longest = 0;

  for (guint i = 0; i < e->stages->len; i++)
    {
      const FmStageEstimate *row = g_ptr_array_index (e->stages, i);
      gdouble *end = g_new0 (gdouble, 1);

      for (guint k = 0; k < row->stage->inputs->len; k++)
        {
          const gdouble *input = g_hash_table_lookup (ends, g_ptr_array_index (row->stage->inputs, k));

          *end = MAX (*end, input ? *input : 0);
        }
      if (row->left && !g_str_equal (row->stage->kind, FM_STAGE_KIND_MEASURE))
        *end += row->seconds;
      longest = MAX (longest, *end);
      g_hash_table_insert (ends, row->stage->id, end);
    }
  return longest;
}

FmPlanEstimate *
fm_plan_estimate_new (FmBatchPlan *plan, FmStore *store, GError **error)
{
  g_autoptr (FmPlanEstimate) e = g_new0 (FmPlanEstimate, 1);
  g_autoptr (GHashTable) speeds = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify) speed_free);
  g_autoptr (GHashTable) costs = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, cost_free);
  g_autoptr (GHashTable) seen = g_hash_table_new (NULL, NULL); /* FmBatchStage -> FmStageEstimate */
  g_autoptr (GHashTable) loads = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, g_free); /* task -> seconds */
  g_autoptr (GHashTable) seeds = count_seeds (plan);
  g_autoptr (GHashTable) left = NULL;
  gdouble train_s = 0, measure_s = 0;
  gint64 train_left = 0;

  e->n_stages = plan->stages->len;
  e->stages = g_ptr_array_new_with_free_func (stage_estimate_free);
  left = fm_batch_plan_find_left (plan, store, error);
  if (left == NULL)
    return NULL;
  e->n_left = g_hash_table_size (left);

  for (guint i = 0; i < plan->runs->len; i++)
    {
      FmBatchRun *run = g_ptr_array_index (plan->runs, i);
      g_autoptr (GPtrArray) stages = stages_of (run);
      Speed *speed = g_hash_table_lookup (speeds, run->device);
      gdouble *load_s;

      if (speed == NULL)
        {
          speed = speed_new (store, run->device, error);
          if (speed == NULL)
            return NULL;
          g_hash_table_insert (speeds, run->device, speed);
        }
      load_s = g_hash_table_lookup (loads, run->task_id);
      if (load_s == NULL)
        {
          load_s = g_new (gdouble, 1);
          *load_s = load_seconds (run->task);
          g_hash_table_insert (loads, run->task_id, load_s);
        }
      for (guint k = 0; k < stages->len; k++)
        {
          FmBatchStage *stage = g_ptr_array_index (stages, k);
          gboolean measures = stage == run->measure, tries = g_str_equal (stage->kind, FM_STAGE_KIND_TRIAL);
          FmStageEstimate *row = g_hash_table_lookup (seen, stage);
          Cost *cost = find_cost (costs, plan, run, stage, speed, *load_s, error);

          if (cost == NULL)
            return NULL;
          if (cost->peak_bytes > e->peak_bytes)
            {
              e->peak_bytes = cost->peak_bytes;
              e->available_bytes = cost->available_bytes;
              g_free (e->largest);
              e->largest = g_strdup (run->variant);
            }
          if (row == NULL)
            {
              row = stage_estimate (plan, stage, run, left, seeds, cost);
              if (tries)
                row->settings = trial_settings (run, k - (run->earlier ? run->earlier->len : 0));
              e->n_trials += tries;
              g_hash_table_insert (seen, stage, row);
              g_ptr_array_add (e->stages, row);
            }
          else if (row->left || run->unmet)
            continue;
          else if (row->run->unmet) /* shared with a run that does meet what is held */
            {
              FmStageEstimate *again = stage_estimate (plan, stage, run, left, seeds, cost);

              FmStageEstimate before = *row;

              *row = *again;
              *again = before;
              row->settings = g_steal_pointer (&again->settings);
              stage_estimate_free (again);
            }
          else
            continue;
          if (!row->left)
            continue;
          *(measures ? &measure_s : &train_s) += row->seconds;
          train_left += !measures;
          e->flops_left += row->flops;
        }
    }
  e->seconds_left = measure_s + MAX (train_s / (gdouble) CLAMP (train_left, 1, fm_runner_default_training ()),
                                     longest_chain (e));
  return g_steal_pointer (&e);
}

void
fm_plan_estimate_free (FmPlanEstimate *estimate)
{
  if (estimate == NULL)
    return;
  g_clear_pointer (&estimate->stages, g_ptr_array_unref);
  g_free (estimate->largest);
  g_free (estimate);
}
