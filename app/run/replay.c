/* replay.c: a store in a scratch folder that holds some runs of another one as planned. */
#include "config.h"

#include "app/batch/plan.h"
#include "app/run/provenance.h"
#include "app/run/replay-private.h"

#include <glib/gstdio.h>
#include <string.h>

static void
item_free (gpointer data)
{
  FmReplayItem *item = data;

  g_free (item->stage);
  g_free (item);
}

void
fm_remove_tree (const char *path)
{
  if (g_file_test (path, G_FILE_TEST_IS_DIR) && !g_file_test (path, G_FILE_TEST_IS_SYMLINK))
    {
      g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
      const char *name;

      while (dir && (name = g_dir_read_name (dir)))
        {
          g_autofree char *child = g_build_filename (path, name, NULL);

          fm_remove_tree (child);
        }
    }
  g_remove (path);
}

gboolean
fm_file_has_hash (const char *file, const char *sha256)
{
  g_autoptr (GMappedFile) mapped = g_mapped_file_new (file, FALSE, NULL);
  g_autofree char *found = NULL;

  if (mapped == NULL)
    return FALSE;
  found = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) g_mapped_file_get_contents (mapped),
                                       g_mapped_file_get_length (mapped));
  return g_strcmp0 (found, sha256) == 0;
}

void
fm_replay_free (FmReplay *replay)
{
  if (replay == NULL)
    return;
  g_clear_pointer (&replay->now, fm_store_close);
  if (replay->folder)
    fm_remove_tree (replay->folder);
  g_free (replay->folder);
  g_ptr_array_unref (replay->items);
  g_ptr_array_unref (replay->changes);
  g_free (replay);
}

FmStore *
fm_replay_get_store (FmReplay *replay)
{
  return replay->now;
}

gint64
fm_replay_get_batch (FmReplay *replay)
{
  return replay->batch;
}

GPtrArray *
fm_replay_get_changes (FmReplay *replay)
{
  return replay->changes;
}

/* --- What a stage needs, and what of it is another than then -------------------------------------------------------*/

static void
add_change (FmReplay *replay, gboolean first, char *text)
{
  for (guint i = 0; i < replay->changes->len; i++)
    if (g_str_equal (g_ptr_array_index (replay->changes, i), text))
      {
        g_free (text);
        return;
      }
  g_ptr_array_insert (replay->changes, first ? 0 : -1, text);
}

/* A plugin of another file takes the place of the one that is gone, since nothing else is left to replay with; it is
 * said before all else. */
static gboolean
look_at_plugins (FmReplay *replay, JsonObject *recipe, GError **error)
{
  JsonObject *architecture = fm_json_object (recipe, "architecture");
  JsonArray *roles = architecture ? fm_json_array (architecture, "roles") : NULL;

  for (guint i = 0; roles && i < json_array_get_length (roles); i++)
    {
      JsonNode *node = json_array_get_element (roles, i);
      JsonObject *part = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
      const char *id = fm_json_text (part, "plugin", ""), *hash = fm_json_text (part, "hash", "");
      const FmPlugin *plugin;
      FmRole role;

      if (part == NULL || !fm_role_from_name (fm_json_text (part, "role", ""), &role))
        continue;
      plugin = fm_plugins_find (role, id, error);
      if (plugin == NULL)
        return FALSE;
      if (*hash && !g_str_equal (hash, plugin->hash))
        add_change (replay, TRUE, g_strdup_printf ("%s %s is another plugin file: SHA-256 %.12s then, %.12s now (%s)",
                                                   fm_role_name (role), id, hash, plugin->hash, plugin->file));
      json_object_remove_member (part, "hash");
    }
  return TRUE;
}

static gboolean
look_at_data (JsonObject *recipe, FmRecipe **parsed, GError **error)
{
  JsonObject *task = fm_json_object (recipe, "task");
  g_autofree char *then = task ? g_strdup (fm_json_text (task, "data_key", NULL)) : NULL, *now = NULL;

  if (task)
    json_object_remove_member (task, "data_key");
  *parsed = fm_recipe_parse (recipe, error);
  if (*parsed == NULL)
    return FALSE;
  now = fm_task_data_key ((*parsed)->task);
  if (then && !g_str_equal (then, now))
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "the data of task %s is not what the run saw (%.24s then, "
                   "%.24s now), so nothing could be compared", fm_json_text (task, "id", ""), then, now);
      return FALSE;
    }
  if (task && then)
    json_object_set_string_member (task, "data_key", then);
  return fm_task_load ((*parsed)->task, NULL, error);
}

static gboolean
look_at_machine (FmReplay *replay, const FmStageRecord *stage, JsonObject *recipe, FmReplayItem *item, GError **error)
{
  g_autoptr (JsonObject) then = stage->provenance ? fm_json_parse (stage->provenance, -1, NULL) : NULL, now = NULL;
  g_autoptr (FmDevice) device = fm_device_open (fm_json_text (recipe, "device", "cpu"), 0, error);
  g_autoptr (GPtrArray) changes = NULL;
  g_autofree char *hardware = NULL;
  const char *was = fm_json_text (recipe, "hardware", NULL);

  if (device == NULL)
    return FALSE;
  /* The runner chooses the threads, and no number depends on them. */
  now = fm_provenance_new (device, then ? (guint) MAX (fm_json_int (then, "threads", 0), 0) : 0);
  changes = fm_provenance_changes (then, now);
  for (guint i = 0; i < changes->len; i++)
    add_change (replay, FALSE, g_strdup (g_ptr_array_index (changes, i)));
  if (fm_json_int (recipe, "numerics", FM_NUMERICS_VERSION) != FM_NUMERICS_VERSION)
    add_change (replay, FALSE, g_strdup_printf ("numerics version %" G_GINT64_FORMAT " then, %d now",
                                                fm_json_int (recipe, "numerics", 0), FM_NUMERICS_VERSION));
  hardware = g_strdup_printf ("%s, %s", fm_device_get_info (device)->title, fm_device_get_info (device)->driver);
  item->other_hardware = was && !g_str_equal (was, hardware);
  return TRUE;
}

/* --- Copying it as planned -----------------------------------------------------------------------------------------*/

static gboolean
copy_stage (FmReplay *replay, const FmStageRecord *stage, gint64 run, GError **error)
{
  g_autoptr (JsonObject) recipe = fm_json_parse (stage->recipe, -1, error);
  g_autoptr (FmRecipe) parsed = NULL;
  g_autoptr (FmStageRecord) copy = NULL;
  g_autofree char *text = NULL;
  FmReplayItem *item;

  for (guint i = 0; i < replay->items->len; i++) /* shared with an earlier run */
    if (g_str_equal (((FmReplayItem *) g_ptr_array_index (replay->items, i))->stage, stage->id))
      return TRUE;
  if (recipe == NULL)
    return FALSE;
  item = g_new0 (FmReplayItem, 1);
  item->run = run;
  item->stage = g_strdup (stage->id);
  g_ptr_array_add (replay->items, item);
  if (!look_at_plugins (replay, recipe, error) || !look_at_data (recipe, &parsed, error)
      || !look_at_machine (replay, stage, recipe, item, error))
    return FALSE;
  text = fm_json_line (recipe);
  copy = fm_stage_record_new (stage->id, stage->kind, g_strchomp (text));
  for (guint i = 0; i < stage->inputs->len; i++)
    {
      const char *id = g_ptr_array_index (stage->inputs, i);
      g_autoptr (FmStageRecord) input = fm_store_load_stage (replay->then, id, error);

      /* What it starts from comes first, wherever the run's chain has it: trials stand behind the training they are for. */
      if (input == NULL || !copy_stage (replay, input, run, error))
        return FALSE;
      g_ptr_array_add (copy->inputs, g_strdup (id));
    }
  return fm_store_add_stage (replay->now, copy, error);
}

static gboolean
copy_compared (FmReplay *replay, const FmRunRecord *run, GError **error)
{
  g_autoptr (FmArchitectureRecord) architecture = fm_store_load_architecture (replay->then, run->architecture, error);
  g_autoptr (FmTaskRecord) task = architecture ? fm_store_load_task (replay->then, run->task, error) : NULL;
  g_autoptr (FmDeviceRecord) device = task ? fm_store_load_device (replay->then, run->device, error) : NULL;

  return device && fm_store_add_architecture (replay->now, architecture, error)
         && fm_store_add_task (replay->now, task, error) && fm_store_add_device (replay->now, device, error);
}

static gboolean
copy_run (FmReplay *replay, const FmRunRecord *run, gint64 position, gboolean measure, GError **error)
{
  g_autoptr (FmRunRecord) copy = fm_run_record_new ();

  if (g_strcmp0 (run->state, "done") != 0 && g_strcmp0 (run->state, "diverged") != 0)
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "it is %s, so there is no result to compare with%s",
                   run->state, g_strcmp0 (run->state, "skipped") == 0 ? "" : "; `formarium resume` finishes it");
      return FALSE;
    }
  for (guint i = 0; i < run->stages->len; i++)
    {
      g_autoptr (FmStageRecord) stage = fm_store_load_stage (replay->then, g_ptr_array_index (run->stages, i), error);

      if (stage == NULL)
        return FALSE;
      /* Behind a training that diverged stands a measurement that never was. */
      if ((stage->state != FM_STAGE_DONE && stage->state != FM_STAGE_DIVERGED)
          || (!measure && g_str_equal (stage->kind, FM_STAGE_KIND_MEASURE)))
        continue;
      if (!copy_stage (replay, stage, run->id, error))
        return FALSE;
      g_ptr_array_add (copy->stages, g_strdup (stage->id));
    }
  if (!copy_compared (replay, run, error))
    return FALSE;
  copy->batch = replay->batch;
  copy->position = position;
  copy->variant = g_strdup (run->variant);
  copy->architecture = g_strdup (run->architecture);
  copy->task = g_strdup (run->task);
  copy->device = g_strdup (run->device);
  copy->seed = run->seed;
  return fm_store_add_run (replay->now, copy, error);
}

static gboolean
copy_runs (FmReplay *replay, const gint64 *runs, guint n, gboolean measure, GError **error)
{
  g_autoptr (FmBatchRecord) batch = fm_batch_record_new ();

  batch->key = g_strdup ("replay");
  batch->title = g_strdup ("Replay");
  if (!fm_store_add_batch (replay->now, batch, error))
    return FALSE;
  replay->batch = batch->id;
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (FmRunRecord) run = fm_store_load_run (replay->then, runs[i], error);

      if (run == NULL)
        return FALSE;
      if (!copy_run (replay, run, i, measure, error))
        {
          g_prefix_error (error, "Run %" G_GINT64_FORMAT " (%s, seed %" G_GINT64_FORMAT ") cannot be replayed: ",
                          run->id, run->variant, run->seed);
          return FALSE;
        }
    }
  return TRUE;
}

FmReplay *
fm_replay_new (FmStore *store, const gint64 *runs, guint n, gboolean measure, GError **error)
{
  g_autoptr (FmReplay) replay = g_new0 (FmReplay, 1);
  g_autofree char *file = NULL;

  replay->then = store;
  replay->items = g_ptr_array_new_with_free_func (item_free);
  replay->changes = g_ptr_array_new_with_free_func (g_free);
  replay->folder = g_dir_make_tmp ("formarium-replay-XXXXXX", error);
  if (replay->folder == NULL)
    return NULL;
  file = g_build_filename (replay->folder, "replay.db", NULL);
  replay->now = fm_store_open (file, FM_STORE_WRITE, error);
  if (replay->now == NULL || !fm_store_begin (replay->now, error))
    return NULL;
  if (!copy_runs (replay, runs, n, measure, error))
    {
      fm_store_rollback (replay->now);
      return NULL;
    }
  return fm_store_commit (replay->now, error) ? g_steal_pointer (&replay) : NULL;
}
