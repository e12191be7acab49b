/* save.c: a plan as rows of the store. */
#include "config.h"

#include "app/batch/batch-private.h"

#include <string.h>

static FmArchitectureRecord *
architecture_record (const FmBatchRun *run)
{
  FmArchitectureRecord *record = fm_architecture_record_new ();
  FmArchitecture *a = run->architecture;
  gint64 layers = fm_architecture_get_layers (a);
  g_autofree char *identity = fm_architecture_identity (a);

  record->id = g_strdup (run->architecture_id);
  record->skeleton = g_strndup (identity, strcspn (identity, "\n"));
  for (FmRole role = FM_ROLE_MIXER; role <= FM_ROLE_FEEDFORWARD; role++)
    {
      g_autoptr (GPtrArray) params = g_ptr_array_new_with_free_func (g_free);
      gboolean same = TRUE;

      for (gint64 i = 0; i < layers; i++)
        {
          const FmPlugin *plugin = fm_architecture_get_plugin (a, role, (gint) i);

          g_ptr_array_add (params, fm_params_to_string (plugin->descriptor->params,
                                                        fm_architecture_get_params (a, role, (gint) i)));
          same &= plugin == fm_architecture_get_plugin (a, role, 0) &&
                  g_str_equal (g_ptr_array_index (params, i), g_ptr_array_index (params, 0));
        }
      for (gint64 i = 0; i < (same ? 1 : layers); i++)
        {
          const FmPlugin *plugin = fm_architecture_get_plugin (a, role, (gint) i);

          g_ptr_array_add (record->roles, fm_role_record_new (fm_role_name (role), same ? -1 : i,
                                                              plugin->descriptor->id, plugin->hash,
                                                              g_ptr_array_index (params, i)));
        }
    }
  return record;
}

/* (transfer full): of a mixture those of every task: "mqar length=16; listops max_length=64". */
static char *
task_parameters (FmTask *task)
{
  g_autoptr (GString) all = g_string_new (NULL);

  if (fm_task_get_n_parts (task) == 0)
    return fm_params_to_string (fm_task_get_class (task)->params, fm_task_get_params (task));
  for (guint i = 0; i < fm_task_get_n_parts (task); i++)
    {
      FmTask *part = fm_task_get_part (task, i, NULL);
      g_autofree char *own = task_parameters (part);

      g_string_append_printf (all, "%s%s %s", i ? "; " : "", fm_task_get_class (part)->id, own);
    }
  return g_strdup (all->str);
}

static FmTaskRecord *
task_record (const FmBatchRun *run)
{
  FmTaskRecord *record = fm_task_record_new ();
  const FmTaskClass *cls = fm_task_get_class (run->task);

  record->id = g_strdup (run->task_id);
  record->name = g_strdup (cls->id);
  record->parameters = task_parameters (run->task);
  record->data_key = fm_task_data_key (run->task);
  record->chance_level = fm_task_get_info (run->task)->chance_level;
  return record;
}

static FmDeviceRecord *
device_record (const FmBatchRun *run)
{
  FmDeviceRecord *record = fm_device_record_new ();
  g_autoptr (FmDevice) device = fm_device_open (run->device, 0, NULL); /* worked when it was planned */

  record->id = g_strdup (run->device_id);
  record->label = g_strdup (run->device);
  if (device)
    {
      record->name = g_strdup (fm_device_get_info (device)->title);
      record->driver = g_strdup (fm_device_get_info (device)->driver);
    }
  record->threads = g_str_equal (run->device, "cpu") ? (gint64) g_get_num_processors () : -1;
  return record;
}

static gboolean
add_compared (FmStore *store, const FmBatchRun *run, GHashTable *known, GError **error)
{
  if (g_hash_table_add (known, g_strdup (run->architecture_id)))
    {
      g_autoptr (FmArchitectureRecord) record = architecture_record (run);

      if (!fm_store_add_architecture (store, record, error))
        return FALSE;
    }
  if (g_hash_table_add (known, g_strdup (run->task_id)))
    {
      g_autoptr (FmTaskRecord) record = task_record (run);

      if (!fm_store_add_task (store, record, error))
        return FALSE;
    }
  if (g_hash_table_add (known, g_strdup (run->device_id)))
    {
      g_autoptr (FmDeviceRecord) record = device_record (run);

      if (!fm_store_add_device (store, record, error))
        return FALSE;
    }
  return TRUE;
}

/* (transfer full): stages of runs that meet what is held. */
static GHashTable *
wanted_stages (const FmBatchPlan *plan)
{
  GHashTable *wanted = g_hash_table_new (NULL, NULL);

  for (guint i = 0; i < plan->runs->len; i++)
    {
      const FmBatchRun *run = g_ptr_array_index (plan->runs, i);

      if (run->unmet == NULL)
        {
          for (guint k = 0; run->trials && k < run->trials->len; k++)
            g_hash_table_add (wanted, g_ptr_array_index (run->trials, k));
          for (guint k = 0; run->earlier && k < run->earlier->len; k++)
            g_hash_table_add (wanted, g_ptr_array_index (run->earlier, k));
          g_hash_table_add (wanted, run->train);
          g_hash_table_add (wanted, run->measure);
        }
    }
  return wanted;
}

static gboolean
add_all (FmBatchPlan *plan, FmStore *store, gint64 *batch, GError **error)
{
  g_autoptr (GHashTable) wanted = wanted_stages (plan);
  g_autoptr (GHashTable) known = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (FmBatchRecord) record = fm_batch_record_new ();

  for (guint i = 0; i < plan->stages->len; i++)
    {
      const FmBatchStage *stage = g_ptr_array_index (plan->stages, i);
      g_autoptr (FmStageRecord) row = fm_stage_record_new (stage->id, stage->kind, stage->recipe);

      if (!g_hash_table_contains (wanted, stage))
        continue;
      for (guint k = 0; k < stage->inputs->len; k++)
        g_ptr_array_add (row->inputs, g_strdup (g_ptr_array_index (stage->inputs, k)));
      if (!fm_store_add_stage (store, row, error))
        return FALSE;
    }
  record->key = g_strdup (plan->key);
  record->title = g_strdup (plan->title);
  record->file_name = g_strdup (plan->file_name);
  record->text = g_strdup (plan->text);
  record->program_version = g_strdup (FM_VERSION);
  if (!fm_store_add_batch (store, record, error))
    return FALSE;
  for (guint i = 0; i < plan->runs->len; i++)
    {
      const FmBatchRun *run = g_ptr_array_index (plan->runs, i);
      g_autoptr (FmRunRecord) row = fm_run_record_new ();

      if (!add_compared (store, run, known, error))
        return FALSE;
      row->batch = record->id;
      row->position = i;
      row->variant = g_strdup (run->variant);
      row->architecture = g_strdup (run->architecture_id);
      row->task = g_strdup (run->task_id);
      row->device = g_strdup (run->device_id);
      row->seed = run->seed;
      /* What cannot meet a hold has no stages, so no runner takes them up; it is skipped with the reason. */
      if (run->unmet == NULL)
        {
          for (guint k = 0; run->earlier && k < run->earlier->len; k++) /* results look at the last training */
            g_ptr_array_add (row->stages, g_strdup (((FmBatchStage *) g_ptr_array_index (run->earlier, k))->id));
          g_ptr_array_add (row->stages, g_strdup (run->train->id));
          g_ptr_array_add (row->stages, g_strdup (run->measure->id));
          /* Behind the two that everybody asks for. */
          for (guint k = 0; run->trials && k < run->trials->len; k++)
            g_ptr_array_add (row->stages, g_strdup (((FmBatchStage *) g_ptr_array_index (run->trials, k))->id));
        }
      if (!fm_store_add_run (store, row, error))
        return FALSE;
    }
  *batch = record->id;
  return TRUE;
}

/* --- Data: is it here, and what do shortcuts reach on it? ----------------------------------------------------------*/

/* What is known of a task's data before anything is written. */
typedef struct
{
  char         *absent;    /* why it is not here and how to add it, or NULL */
  const GArray *shortcuts; /* FmTaskShortcut, owned by the task; NULL: the store has them already */
} Data;

static void
data_free (Data *data)
{
  g_free (data->absent);
  g_free (data);
}

/* (transfer full): NULL where the data is damaged. Absent data is no error: the cell is skipped, not the batch. */
static Data *
look_at_data (FmStore *store, const FmBatchRun *run, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (FmTaskRecord) record = fm_store_load_task (store, run->task_id, &local);
  Data *data;

  if (record == NULL && !g_error_matches (local, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT))
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return NULL;
    }
  g_clear_error (&local);
  data = g_new0 (Data, 1);
  if (record != NULL && record->shortcuts->len > 0)
    return data;
  if (fm_task_load (run->task, NULL, &local))
    data->shortcuts = fm_task_shortcuts (run->task, &local);
  else if (g_error_matches (local, FM_DATA_ERROR, FM_DATA_ERROR_ABSENT))
    {
      data->absent = g_strdup (local->message);
      return data;
    }
  if (local != NULL)
    {
      data_free (data);
      g_propagate_error (error, g_steal_pointer (&local)); /* names the task already */
      return NULL;
    }
  return data;
}

/* Runs that cannot meet a hold are skipped with the reason. So are runs whose data is absent, with the sentence that says
 * how to add it; when it has been added, asking for the batch again takes them up. */
static gboolean
mark_runs (FmStore *store, const FmBatchPlan *plan, gint64 batch, GHashTable *tasks, GError **error)
{
  g_autoptr (GPtrArray) runs = fm_store_load_runs (store, batch, error);

  if (runs == NULL)
    return FALSE;
  for (guint i = 0; i < runs->len; i++)
    {
      const FmRunRecord *run = g_ptr_array_index (runs, i);
      const Data *data = g_hash_table_lookup (tasks, run->task);
      const FmBatchRun *planned = i < plan->runs->len ? g_ptr_array_index (plan->runs, i) : NULL;
      const char *reason = planned && planned->unmet ? planned->unmet : data ? data->absent : NULL;

      if (data != NULL && (reason != NULL || g_str_equal (run->state, "skipped")) &&
          !fm_store_skip_run (store, run->id, reason, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
add_shortcuts (FmStore *store, const FmBatchRun *run, const GArray *shortcuts, GError **error)
{
  g_autoptr (FmTaskRecord) record = task_record (run);

  for (guint i = 0; i < shortcuts->len; i++)
    {
      const FmTaskShortcut *s = &g_array_index (shortcuts, FmTaskShortcut, i);

      g_ptr_array_add (record->shortcuts, fm_shortcut_record_new (s->name, s->help, s->accuracy));
    }
  return fm_store_add_task (store, record, error);
}

static gboolean
same_expectations (FmBatchPlan *plan, FmBatchRecord *record, GError **error)
{
  g_autoptr (FmBatchClaim) then = fm_batch_claim_from_text (record->text);
  g_autoptr (FmBatchClaim) now = fm_batch_claim_from_text (plan->text);
  g_autofree char *before = fm_batch_claim_to_string (then), *after = fm_batch_claim_to_string (now);

  if (g_str_equal (before, after))
    return TRUE;
  g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
               "%s: batch %" G_GINT64_FORMAT " was started expecting %s, and the file now expects %s; what is expected "
               "stands before the runs, so put it back, or take other seeds.",
               plan->file_name != NULL ? plan->file_name : "batch file", record->id, before, after);
  return FALSE;
}

/* What counts as equal, what is compared and how often one may look stand before the runs, or they mean nothing. */
static gboolean
same_judging (FmBatchPlan *plan, FmStore *store, gint64 batch, GError **error)
{
  g_autoptr (FmBatchRecord) record = fm_store_load_batch (store, batch, error);
  g_autoptr (FmBatchJudging) then = NULL;
  g_autoptr (FmBatchJudging) now = NULL;
  g_autofree char *before = NULL, *after = NULL;

  if (record == NULL)
    return FALSE;
  then = fm_batch_judging_from_text (record->text);
  now = fm_batch_judging_from_text (plan->text);
  before = fm_batch_judging_to_string (then);
  after = fm_batch_judging_to_string (now);
  if (g_str_equal (before, after))
    return same_expectations (plan, record, error);
  g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
               "%s: batch %" G_GINT64_FORMAT " was started with %s, and the file now says %s; how a batch is judged "
               "stands before its runs, so put it back, or take other seeds.",
               plan->file_name != NULL ? plan->file_name : "batch file", batch, before, after);
  return FALSE;
}

static gboolean
save (FmBatchPlan *plan, FmStore *store, GHashTable *tasks, gint64 *batch, GError **error)
{
  *batch = fm_store_find_batch_by_key (store, plan->key, error);
  if (*batch > 0 && !same_judging (plan, store, *batch, error))
    return FALSE;
  if (*batch < 0 || (*batch == 0 && !add_all (plan, store, batch, error)))
    return FALSE;
  for (guint i = 0; i < plan->runs->len; i++)
    {
      const FmBatchRun *run = g_ptr_array_index (plan->runs, i);
      Data *data = g_hash_table_lookup (tasks, run->task_id);

      if (data->shortcuts != NULL && !add_shortcuts (store, run, data->shortcuts, error))
        return FALSE;
      data->shortcuts = NULL; /* once a task */
    }
  return mark_runs (store, plan, *batch, tasks, error);
}

gboolean
fm_batch_plan_save (FmBatchPlan *plan, FmStore *store, gint64 *batch, GError **error)
{
  g_autoptr (GHashTable) tasks = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify) data_free);

  /* First all that can be wrong with the data, then one transaction. */
  for (guint i = 0; i < plan->runs->len; i++)
    {
      const FmBatchRun *run = g_ptr_array_index (plan->runs, i);
      Data *data;

      if (g_hash_table_contains (tasks, run->task_id))
        continue;
      data = look_at_data (store, run, error);
      if (data == NULL)
        return FALSE;
      g_hash_table_insert (tasks, run->task_id, data);
    }
  if (!fm_store_begin (store, error))
    return FALSE;
  if (save (plan, store, tasks, batch, error))
    return fm_store_commit (store, error);
  fm_store_rollback (store);
  return FALSE;
}

static gboolean
load_state (FmStore *store, const char *id, FmStageState *state, GError **error)
{
  g_autoptr (GError) local = NULL;

  *state = FM_STAGE_PLANNED;
  if (store == NULL || fm_store_load_stage_state (store, id, state, &local)
      || g_error_matches (local, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

GHashTable *
fm_batch_plan_find_left (FmBatchPlan *plan, FmStore *store, GError **error)
{
  g_autoptr (GHashTable) wanted = wanted_stages (plan), left = g_hash_table_new (NULL, NULL);
  g_autoptr (GHashTable) stuck = g_hash_table_new (g_str_hash, g_str_equal); /* ids: nothing follows from them */

  for (guint i = 0; i < plan->stages->len; i++)
    {
      FmBatchStage *stage = g_ptr_array_index (plan->stages, i);
      FmStageState state;
      gboolean ended, follows = TRUE;

      if (!load_state (store, stage->id, &state, error))
        return NULL;
      for (guint k = 0; k < stage->inputs->len; k++)
        follows = follows && !g_hash_table_contains (stuck, g_ptr_array_index (stage->inputs, k));
      ended = state == FM_STAGE_DIVERGED || (state == FM_STAGE_FAILED && !plan->retry_failed);
      if (ended || (!follows && state != FM_STAGE_DONE))
        g_hash_table_add (stuck, stage->id);
      else if (state != FM_STAGE_DONE && g_hash_table_contains (wanted, stage))
        g_hash_table_add (left, stage);
    }
  return g_steal_pointer (&left);
}

gint64
fm_batch_plan_count_left (FmBatchPlan *plan, FmStore *store, const char *kind, GError **error)
{
  g_autoptr (GHashTable) left = fm_batch_plan_find_left (plan, store, error);
  gint64 count = 0;

  if (left == NULL)
    return -1;
  for (guint i = 0; i < plan->stages->len; i++)
    {
      const FmBatchStage *stage = g_ptr_array_index (plan->stages, i);

      count += g_hash_table_contains (left, stage) && (kind == NULL || g_str_equal (kind, stage->kind));
    }
  return count;
}
