/* plan.c: from a batch file to runs and stages. Every combination of task, pair, device and of the values of the axes
 * that concern it is a variant; a parameter of a plugin that a variant does not use makes no second copy of it. */
#include "config.h"

#include "app/batch/batch-private.h"

#include <string.h>

#define MAX_RUNS 10000 /* far above a night's work; a slip in the matrix ends in a sentence, not in a full memory */
#define MAX_POINTS 1000000 /* before include= and exclude= */

typedef struct
{
  FmBatchFile *file;
  FmBatchPlan *plan;
  GHashTable  *stages;   /* id -> FmBatchStage, no ref */
  GHashTable  *hardware; /* device -> text */
  GHashTable  *baselines; /* device and task -> FmBatchChoice of the first variant there */
  guint        first_trials; /* of the first variant */
  /* One point of the matrix. */
  const char  *task, *device;
  FmBatchPair *pair;
  const FmBatchTuning *tuning; /* (nullable): of the pair */
  GPtrArray   *prepared; /* (nullable): its stages, where the file has [stage NAME] sections */
  gboolean     own_pair; /* a stage's in place of the run's */
  GPtrArray   *axes;   /* FmBatchAxis, no ref: those that concern it */
  guint       *chosen; /* index of a value for each of them */
} Expansion;

static void
run_free (FmBatchRun *run)
{
  g_free (run->variant);
  g_free (run->mixer);
  g_free (run->feedforward);
  g_free (run->architecture_id);
  g_free (run->task_id);
  g_free (run->device_id);
  g_free (run->device);
  g_free (run->unmet);
  g_clear_pointer (&run->trials, g_ptr_array_unref);
  g_clear_pointer (&run->earlier, g_ptr_array_unref);
  g_clear_pointer (&run->architecture, fm_architecture_unref);
  g_clear_pointer (&run->task, fm_task_unref);
  g_free (run);
}

void
fm_batch_plan_free (FmBatchPlan *plan)
{
  if (plan == NULL)
    return;
  g_free (plan->key);
  g_free (plan->title);
  g_free (plan->file_name);
  g_free (plan->text);
  g_ptr_array_unref (plan->runs);
  g_ptr_array_unref (plan->stages);
  g_free (plan);
}

/* --- Devices ------------------------------------------------------------------------------------------------------*/

static gboolean
check_device (Expansion *x, const char *device, GError **error)
{
  const FmBatchEntry *entry = fm_batch_find (x->file, "batch", "device");
  g_autoptr (FmDevice) opened = fm_device_open (device, 0, error);
  const FmDeviceInfo *info;

  if (opened == NULL)
    {
      g_prefix_error (error, "device=%s: ", device);
      return fm_batch_blame (x->file, entry, error);
    }
  info = fm_device_get_info (opened);
  g_hash_table_insert (x->hardware, g_strdup (device), g_strdup_printf ("%s, %s", info->title, info->driver));
  return TRUE;
}

/* --- One variant --------------------------------------------------------------------------------------------------*/

static const char *
axis_value (const Expansion *x, guint i)
{
  const FmBatchAxis *axis = g_ptr_array_index (x->axes, i);

  return g_ptr_array_index (axis->values, x->chosen[i]);
}

/* "softmax-attention x mlp, window=8, layers=4": what distinguishes it in this batch, nothing else. */
static char *
label (const Expansion *x)
{
  g_autofree char *mixers = g_strjoinv (",", x->pair->mixers);
  g_autofree char *feedforwards = g_strjoinv (",", x->pair->feedforwards);
  GString *text = g_string_new (NULL);

  g_string_append_printf (text, "%s x %s", mixers, feedforwards);
  for (guint i = 0; i < x->axes->len; i++)
    {
      const FmBatchAxis *axis = g_ptr_array_index (x->axes, i);

      if (axis->values->len > 1)
        g_string_append_printf (text, ", %s=%s", axis->name, axis_value (x, i));
    }
  return g_string_free (text, FALSE);
}

static FmTask *
make_part (const Expansion *x, const char *id, const FmBatchEntry *blame, GError **error)
{
  const FmTaskClass *cls = fm_task_class_find (id);
  g_autofree gpointer params = g_malloc0 (MAX (cls->params_size, 1));
  FmTask *task;

  fm_params_set_defaults (cls->params, params);
  for (guint i = 0; i < x->axes->len; i++)
    {
      const FmBatchAxis *axis = g_ptr_array_index (x->axes, i);

      if (!g_str_equal (axis->owner, id))
        continue;
      blame = axis->entry;
      if (!fm_params_set (cls->params, params, axis->name, axis_value (x, i), error))
        return NULL;
    }
  task = fm_task_new (id, params, error);
  if (task == NULL)
    fm_batch_blame (x->file, blame, error);
  return task;
}

/* The task of the point, or the mixture. */
static FmTask *
make_task (const Expansion *x, GError **error)
{
  const FmBatchEntry *entry = fm_batch_find (x->file, "batch", "task");
  g_autoptr (GPtrArray) ids = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GPtrArray) parts = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_task_unref);
  g_autoptr (GArray) weights = g_array_new (FALSE, FALSE, sizeof (gint64));
  FmTask *task;

  fm_batch_parse_mixture (x->task, ids, weights); /* was checked when it was read */
  for (guint i = 0; i < ids->len; i++)
    {
      FmTask *part = make_part (x, g_ptr_array_index (ids, i), entry, error);

      if (part == NULL)
        return NULL;
      g_ptr_array_add (parts, part);
    }
  if (parts->len == 1)
    return fm_task_ref (g_ptr_array_index (parts, 0));
  task = fm_task_mixture_new (parts, (const gint64 *) weights->data, error);
  if (task == NULL)
    fm_batch_blame (x->file, entry, error);
  return task;
}

static gboolean
set_role (const Expansion *x, FmArchitecture *a, FmRole role, char **ids, GError **error)
{
  const char *key = fm_role_name (role);
  const FmBatchEntry *entry = x->own_pair ? NULL : fm_batch_find (x->file, "batch", key);
  gint64 layers = fm_architecture_get_layers (a);
  guint n = g_strv_length (ids);

  if (n > 1 && n != layers)
    return fm_batch_fail (x->file, entry ? entry : x->pair->entry, error,
                          "%s names %u layers with `,`, but layers=%" G_GINT64_FORMAT "; name one or all of them", key,
                          n, layers);
  /* One name and one value each are set for all layers at once. */
  for (gint64 layer = 0; layer < layers; layer++)
    {
      const char *id = ids[n == 1 ? 0 : layer];
      g_autoptr (GPtrArray) params = g_ptr_array_new_with_free_func (g_free);
      gboolean by_layer = n > 1;

      for (guint i = 0; i < x->axes->len; i++)
        {
          const FmBatchAxis *axis = g_ptr_array_index (x->axes, i);
          g_auto (GStrv) values = NULL;
          guint n_values;

          if (!g_str_equal (axis->owner, id))
            continue;
          values = g_strsplit (axis_value (x, i), ",", -1);
          n_values = g_strv_length (values);
          if (n_values > 1 && n_values != layers)
            return fm_batch_fail (x->file, axis->entry, error,
                                  "%s=%s: names %u layers with `,`, but layers=%" G_GINT64_FORMAT
                                  "; name one value or all of them", axis->name, axis_value (x, i), n_values, layers);
          by_layer |= n_values > 1;
          g_ptr_array_add (params, g_strdup (axis->name));
          g_ptr_array_add (params, g_strdup (values[n_values == 1 ? 0 : layer]));
        }
      g_ptr_array_add (params, NULL);
      if (!fm_architecture_set (a, role, by_layer ? (gint) layer : -1, id, (const char * const *) params->pdata, error))
        return fm_batch_blame (x->file, entry ? entry : x->pair->entry, error);
      if (!by_layer)
        break;
    }
  return TRUE;
}

/* The line that is most likely to blame when @a cannot be built: a line in a section of its plugins, else its pair. */
static const FmBatchEntry *
suspect (const Expansion *x, const GError *error)
{
  for (guint i = 0; i < x->axes->len; i++)
    {
      const FmBatchAxis *axis = g_ptr_array_index (x->axes, i);

      if (*axis->owner && error && strstr (error->message, axis->name))
        return axis->entry;
    }
  for (guint i = 0; i < x->axes->len; i++)
    {
      const FmBatchAxis *axis = g_ptr_array_index (x->axes, i);

      if (error && strstr (error->message, axis->name))
        return axis->entry;
    }
  return x->pair->entry;
}

static FmArchitecture *
make_architecture (const Expansion *x, const FmBatchSettings *settings, FmTask *task, GError **error)
{
  g_autoptr (FmArchitecture) a = fm_architecture_new (settings->layers, settings->width, settings->hidden, error);
  g_autoptr (GError) local = NULL;

  if (a == NULL)
    {
      fm_batch_blame (x->file, x->pair->entry, error);
      return NULL;
    }
  fm_architecture_set_causal (a, settings->causal != 0);
  if (!set_role (x, a, FM_ROLE_MIXER, x->pair->mixers, error) ||
      !set_role (x, a, FM_ROLE_FEEDFORWARD, x->pair->feedforwards, error))
    return NULL;
  if (!fm_architecture_check (a, task, &local))
    {
      g_autofree char *name = label (x);
      const FmBatchEntry *entry = suspect (x, local);

      g_prefix_error (&local, "%s cannot be built: ", name);
      fm_batch_blame (x->file, entry, &local);
      g_propagate_error (error, g_steal_pointer (&local));
      return NULL;
    }
  return g_steal_pointer (&a);
}

/* (transfer none): the stage, or the one with the same id that is there already. */
static FmBatchStage *
keep_stage (Expansion *x, FmBatchStage *stage)
{
  FmBatchStage *earlier = g_hash_table_lookup (x->stages, stage->id);

  if (earlier)
    {
      fm_batch_stage_free (stage);
      return earlier;
    }
  g_hash_table_insert (x->stages, stage->id, stage);
  g_ptr_array_add (x->plan->stages, stage);
  return stage;
}

static char *
task_hash (FmTask *task)
{
  const FmTaskClass *cls = fm_task_get_class (task);
  g_autofree char *params = fm_params_to_string (cls->params, fm_task_get_params (task));
  g_autofree char *data_key = fm_task_data_key (task);
  g_autofree char *text = g_strdup_printf ("%s\n%s\n%s", cls->id, params, data_key);

  return fm_short_hash (text);
}

/* (transfer container) (nullable): the trials of a variant, each once however many seeds want them. */
static GPtrArray *
add_trials (Expansion *x, const FmRecipeParts *parts)
{
  guint n = fm_batch_tuning_count (parts->tuning);
  GPtrArray *trials = n > 0 ? g_ptr_array_new () : NULL;

  for (guint trial = 0; trial < n; trial++)
    {
      FmBatchSettings settings = *parts->settings;
      FmRecipeParts one = *parts;

      one.settings = &settings;
      one.seed = FM_TUNING_SEED;
      one.tuning = NULL;
      for (guint i = 0; i < parts->tuning->tuned->len; i++)
        {
          const FmBatchTuned *tuned = g_ptr_array_index (parts->tuning->tuned, i);

          const char *value = fm_batch_tuning_value (parts->tuning, trial, i);
          gboolean ok = fm_params_set (fm_batch_setting_params, &settings, tuned->name, value, NULL);

          g_assert (ok); /* it was set once when it was read */
        }
      g_ptr_array_add (trials, keep_stage (x, fm_recipe_stage (&one, FM_STAGE_KIND_TRIAL, NULL)));
    }
  return trials;
}

static FmBatchStage *
keep_any_stage (gpointer data, FmBatchStage *stage)
{
  return keep_stage (data, stage);
}

/* What a stage before the last one names in place of the run's. */
static FmTask *
make_stage_task (gpointer data, const char *id, GError **error)
{
  Expansion stage = *(Expansion *) data;

  stage.task = id;
  return make_task (&stage, error);
}

static FmArchitecture *
make_stage_architecture (gpointer data, const FmBatchSettings *settings, const FmBatchPair *pair, FmTask *task,
                         GError **error)
{
  Expansion stage = *(Expansion *) data;
  FmBatchPair own = { pair->mixers ? pair->mixers : stage.pair->mixers,
                      pair->feedforwards ? pair->feedforwards : stage.pair->feedforwards, pair->entry };

  stage.pair = &own;
  stage.own_pair = TRUE;
  return make_architecture (&stage, settings, task, error);
}

static gboolean
prepare_stages (Expansion *x, const FmBatchChoice *choice, FmTask *task, const FmBatchSettings *base,
                const FmBatchSettings *settings, GError **error)
{
  FmRecipeParts last = { .architecture = choice->architecture, .task = task, .device = x->device, .settings = settings,
                         .steps = choice->steps };
  FmBatchMaker maker = { make_stage_task, make_stage_architecture, x };

  g_clear_pointer (&x->prepared, g_ptr_array_unref);
  if (x->file->stages->len > 0)
    x->prepared = fm_batch_stages_prepare (x->file, &maker, base,
                                           x->file->hold.parameters ? choice->hidden : base->hidden, &last, error);
  return x->file->stages->len == 0 || x->prepared != NULL;
}

static void
add_run (Expansion *x, const FmBatchChoice *choice, FmTask *task, const FmBatchSettings *settings, gint64 seed)
{
  FmArchitecture *a = choice->architecture;
  FmRecipeParts parts = { a, task, x->device, g_hash_table_lookup (x->hardware, x->device), seed, choice->steps,
                          settings, x->file->measure };
  FmBatchRun *run = g_new0 (FmBatchRun, 1);
  g_autofree char *identity = fm_architecture_identity (a);
  g_autofree char *device = g_strdup_printf ("%s\n%s", x->device, parts.hardware);

  run->variant = label (x);
  run->mixer = g_strjoinv (",", x->pair->mixers);
  run->feedforward = g_strjoinv (",", x->pair->feedforwards);
  run->architecture_id = fm_short_hash (identity);
  run->task_id = task_hash (task);
  run->device_id = fm_short_hash (device);
  run->architecture = fm_architecture_ref (a);
  run->task = fm_task_ref (task);
  run->device = g_strdup (x->device);
  run->seed = seed;
  run->steps = choice->steps;
  run->hidden = choice->hidden;
  run->parameters = choice->parameters;
  run->parameters_by_n = choice->parameters_by_n;
  run->unmet = g_strdup (choice->unmet);
  run->batch = settings->batch;
  parts.tuning = x->tuning;
  run->trials = parts.trials = add_trials (x, &parts);
  run->earlier = x->prepared ? g_ptr_array_new () : NULL;
  if (x->prepared)
    run->train = fm_batch_stages_add (x->prepared, &parts, run->earlier, keep_any_stage, x);
  else
    run->train = keep_stage (x, fm_recipe_stage (&parts, FM_STAGE_KIND_TRAIN, NULL));
  run->measure = keep_stage (x, fm_recipe_stage (&parts, FM_STAGE_KIND_MEASURE, run->train));
  g_ptr_array_add (x->plan->runs, run);
}

/* What is built again with another F while parameters are held. */
typedef struct
{
  const Expansion *x;
  FmBatchSettings  settings;
  FmTask          *task; /* no ref */
} Remake;

static FmArchitecture *
remake (gpointer data, gint64 hidden, GError **error)
{
  Remake *r = data;

  r->settings.hidden = hidden;
  return make_architecture (r->x, &r->settings, r->task, error);
}

/* (transfer full): F and steps of the point, beside the first variant on its task and device. */
static FmBatchChoice *
choose (Expansion *x, const FmBatchSettings *settings, FmTask *task, GError **error)
{
  Remake again = { x, *settings, task };
  FmBatchCandidate candidate = { .task = task, .settings = settings, .make = remake, .data = &again };
  g_autoptr (FmArchitecture) a = make_architecture (x, settings, task, error);
  g_autofree char *hash = task_hash (task), *place = g_strdup_printf ("%s %s", x->device, hash), *name = label (x);
  const FmBatchChoice *baseline = g_hash_table_lookup (x->baselines, place);
  FmBatchChoice *choice = a ? fm_batch_choose (x->file, baseline, &candidate, a, error) : NULL;

  if (a && choice == NULL)
    {
      g_prefix_error (error, "%s: ", name);
      fm_batch_blame (x->file, x->file->hold.entry, error);
    }
  return choice;
}

static void
remember (Expansion *x, FmTask *task, FmBatchChoice *choice)
{
  g_autofree char *hash = task_hash (task), *place = g_strdup_printf ("%s %s", x->device, hash);

  if (g_hash_table_contains (x->baselines, place))
    fm_batch_choice_free (choice);
  else
    g_hash_table_insert (x->baselines, g_steal_pointer (&place), choice);
}

/* Has the variant as many trials as the first one, where they are held? */
static gboolean
check_trials (Expansion *x, GError **error)
{
  g_autofree char *name = label (x);
  guint n;

  if (!fm_batch_tuning_find (x->file, x->pair, &x->tuning, error))
    return FALSE;
  n = fm_batch_tuning_count (x->tuning);
  if (x->plan->runs->len == 0)
    x->first_trials = n;
  else if (x->file->hold.trials && n != x->first_trials)
    return fm_batch_fail (x->file, x->file->hold.entry, error,
                          "hold=%s: %s has %u trial%s and %s has %u; give both the same number with tune=, or do not hold "
                          "trials", x->file->hold.entry->value, name, n, n == 1 ? "" : "s",
                          ((FmBatchRun *) g_ptr_array_index (x->plan->runs, 0))->variant, x->first_trials);
  return TRUE;
}

static gboolean
add_variant (Expansion *x, GError **error)
{
  g_autoptr (GArray) seeds = g_array_new (FALSE, FALSE, sizeof (gint64));
  FmBatchChoice *choice;
  FmBatchSettings settings, base;
  g_autoptr (FmTask) task = NULL;

  for (guint i = 0; i < x->file->seeds->len; i++)
    {
      FmBatchPoint point = { x->task, x->device, x->pair, x->axes, x->chosen, g_array_index (x->file->seeds, gint64, i) };

      if (fm_batch_wants (x->file, &point))
        g_array_append_val (seeds, point.seed);
    }
  if (seeds->len == 0)
    return TRUE;
  if (x->plan->runs->len + seeds->len > MAX_RUNS)
    return fm_batch_fail (x->file, NULL, error, "the matrix has more than %d runs; shorten its lists", MAX_RUNS);
  fm_params_set_defaults (fm_batch_setting_params, &settings);
  for (guint i = 0; i < x->axes->len; i++)
    {
      const FmBatchAxis *axis = g_ptr_array_index (x->axes, i);

      if (*axis->owner == '\0' && !fm_params_set (fm_batch_setting_params, &settings, axis->name, axis_value (x, i),
                                                  error))
        return fm_batch_blame (x->file, axis->entry, error);
    }
  base = settings;
  if (!fm_batch_stages_settle (x->file, &settings, error))
    return FALSE;
  if (settings.batch % settings.accumulate != 0)
    return fm_batch_fail (x->file, fm_batch_find (x->file, "batch", "accumulate"), error,
                          "accumulate=%" G_GINT64_FORMAT ": must divide batch=%" G_GINT64_FORMAT, settings.accumulate,
                          settings.batch);
  if (settings.hidden == 0)
    settings.hidden = 4 * settings.width;
  task = make_task (x, error);
  if (task == NULL || !check_trials (x, error))
    return FALSE;
  choice = choose (x, &settings, task, error);
  if (choice == NULL)
    return FALSE;
  if (!prepare_stages (x, choice, task, &base, &settings, error))
    {
      fm_batch_choice_free (choice);
      return FALSE;
    }
  for (guint i = 0; i < seeds->len; i++)
    add_run (x, choice, task, &settings, g_array_index (seeds, gint64, i));
  remember (x, task, choice);
  x->plan->n_variants++;
  return TRUE;
}

/* --- The matrix ---------------------------------------------------------------------------------------------------*/

static gboolean
concerns (const Expansion *x, const FmBatchAxis *axis)
{
  g_autoptr (GPtrArray) ids = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GArray) weights = g_array_new (FALSE, FALSE, sizeof (gint64));

  fm_batch_parse_mixture (x->task, ids, weights);
  return *axis->owner == '\0' || g_ptr_array_find_with_equal_func (ids, axis->owner, g_str_equal, NULL) ||
         fm_batch_stages_use (x->file, axis->owner) ||
         g_strv_contains ((const char * const *) x->pair->mixers, axis->owner) ||
         g_strv_contains ((const char * const *) x->pair->feedforwards, axis->owner);
}

/* Counts through the axes like an odometer, the last one fastest. */
static gboolean
next_point (Expansion *x)
{
  for (guint i = x->axes->len; i-- > 0;)
    {
      const FmBatchAxis *axis = g_ptr_array_index (x->axes, i);

      if (++x->chosen[i] < axis->values->len)
        return TRUE;
      x->chosen[i] = 0;
    }
  return FALSE;
}

static gboolean
expand (Expansion *x, GError **error)
{
  g_autoptr (GPtrArray) axes = g_ptr_array_new ();
  g_autofree guint *chosen = NULL;
  gdouble n = x->file->seeds->len;

  for (guint i = 0; i < x->file->axes->len; i++)
    {
      FmBatchAxis *axis = g_ptr_array_index (x->file->axes, i);

      if (!concerns (x, axis))
        continue;
      g_ptr_array_add (axes, axis);
      n *= axis->values->len;
    }
  /* Patterns may take most of it away, but every point is looked at. */
  if (n > (x->file->include->len || x->file->exclude->len ? MAX_POINTS : MAX_RUNS))
    return fm_batch_fail (x->file, NULL, error, "the matrix has more than %d runs; shorten its lists", MAX_RUNS);
  chosen = g_new0 (guint, MAX (axes->len, 1));
  x->axes = axes;
  x->chosen = chosen;
  do
    {
      if (!add_variant (x, error))
        return FALSE;
    }
  while (next_point (x));
  return TRUE;
}

static void
finish_plan (FmBatchPlan *plan, FmBatchFile *file)
{
  g_autoptr (GString) all = g_string_new (file->title);

  for (guint i = 0; i < plan->runs->len; i++)
    {
      const FmBatchRun *run = g_ptr_array_index (plan->runs, i);

      g_string_append_printf (all, "\n%s %" G_GINT64_FORMAT " %s %s", run->variant, run->seed, run->train->id,
                              run->measure->id);
      if (run->unmet) /* has no stages in the store: another batch than one that runs it */
        g_string_append_printf (all, " %s", run->unmet);
    }
  plan->key = fm_short_hash (all->str);
  plan->title = g_strdup (file->title);
  plan->file_name = g_strdup (file->name);
  plan->text = g_strdup (file->text);
}

/* Does a side of compare= stand for a variant of the plan? Its line is blamed, and the nearest name offered. */
static gboolean
check_side (FmBatchPlan *plan, FmBatchFile *file, const char *name, GError **error)
{
  const FmBatchEntry *entry = fm_batch_find (file, "batch", "compare");
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  const char *near;

  for (guint i = 0; i < plan->runs->len; i++)
    {
      const FmBatchRun *run = g_ptr_array_index (plan->runs, i);

      if (fm_batch_names_variant (name, run->variant))
        return TRUE;
      g_ptr_array_add (names, run->variant);
    }
  g_ptr_array_add (names, NULL);
  near = fm_nearest_name (name, (const char * const *) names->pdata);
  if (near)
    return fm_batch_fail (file, entry, error, "compare=%s: there is no variant “%s”; did you mean “%s”?", entry->value,
                          name, near);
  return fm_batch_fail (file, entry, error, "compare=%s: there is no variant “%s”; `--dry-run` without this line lists "
                        "them", entry->value, name);
}

static gboolean
check_compare (FmBatchPlan *plan, FmBatchFile *file, GError **error)
{
  for (guint i = 0; i < file->judging->pairs->len; i++)
    {
      const FmBatchCompared *c = g_ptr_array_index (file->judging->pairs, i);

      if (!check_side (plan, file, c->variant, error) || !check_side (plan, file, c->reference, error))
        return FALSE;
    }
  return TRUE;
}

FmBatchPlan *
fm_batch_plan_new (FmBatchFile *file, GError **error)
{
  g_autoptr (FmBatchPlan) plan = g_new0 (FmBatchPlan, 1);
  g_autoptr (GHashTable) stages = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GHashTable) hardware = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_autoptr (GHashTable) baselines = g_hash_table_new_full (g_str_hash, g_str_equal, g_free,
                                                            (GDestroyNotify) fm_batch_choice_free);
  Expansion x = { .file = file, .plan = plan, .stages = stages, .hardware = hardware, .baselines = baselines };

  plan->runs = g_ptr_array_new_with_free_func ((GDestroyNotify) run_free);
  plan->stages = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_batch_stage_free);
  fm_batch_reset_patterns (file);
  for (guint d = 0; d < file->devices->len; d++)
    if (!check_device (&x, g_ptr_array_index (file->devices, d), error))
      return NULL;
  for (guint t = 0; t < file->tasks->len; t++)
    for (guint d = 0; d < file->devices->len; d++)
      for (guint p = 0; p < file->pairs->len; p++)
        {
          x.task = g_ptr_array_index (file->tasks, t);
          x.device = g_ptr_array_index (file->devices, d);
          x.pair = g_ptr_array_index (file->pairs, p);
          if (!expand (&x, error))
            {
              g_clear_pointer (&x.prepared, g_ptr_array_unref);
              return NULL;
            }
        }
  g_clear_pointer (&x.prepared, g_ptr_array_unref);
  if (!fm_batch_check_patterns (file, error) || !fm_batch_check_stages (file, error))
    return NULL;
  if (plan->runs->len == 0)
    {
      fm_batch_fail (file, NULL, error, "include and exclude leave nothing to run");
      return NULL;
    }
  if (!check_compare (plan, file, error) || !fm_batch_check_expect (plan, file, error))
    return NULL;
  finish_plan (plan, file);
  return g_steal_pointer (&plan);
}
