/* bundle.c: one batch in one file: packed, and opened with distrust. */
#include "config.h"

#include "app/architecture/plugins.h"
#include "app/json.h"
#include "app/results/format.h"
#include "app/run/bundle.h"
#include "app/run/replay-private.h"
#include "app/run/tar.h"

#include <string.h>

#define MANIFEST  "manifest.json"
#define PLAN      "plan.batch"
#define ROWS      "store.db"
#define FILES     "store.artifacts" /* as the store itself names the folder beside ROWS */

/* --- Counting rows -------------------------------------------------------------------------------------------------
 * A row that was taken out and a hash that was made anew do not fit together any more. */

enum { RUNS, STAGES, METRICS, CURVE, OUTCOMES, LATENCY, ARTIFACTS, N_COUNTS };
static const char * const count_names[N_COUNTS] = {
  [RUNS] = "runs", [STAGES] = "stages", [METRICS] = "metrics", [CURVE] = "curve", [OUTCOMES] = "outcomes",
  [LATENCY] = "latency", [ARTIFACTS] = "artifacts",
};

static gboolean
add_count (gint64 *count, GPtrArray *rows)
{
  if (rows == NULL)
    return FALSE;
  *count += rows->len;
  g_ptr_array_unref (rows);
  return TRUE;
}

static gboolean
count_rows (FmStore *store, gint64 batch, gint64 *counts, GError **error)
{
  g_autoptr (GPtrArray) stages = fm_store_load_stages (store, batch, error);

  memset (counts, 0, N_COUNTS * sizeof *counts);
  if (stages == NULL || !add_count (&counts[RUNS], fm_store_load_runs (store, batch, error)))
    return FALSE;
  counts[STAGES] = stages->len;
  for (guint i = 0; i < stages->len; i++)
    {
      const char *id = ((FmStageRecord *) g_ptr_array_index (stages, i))->id;

      if (!add_count (&counts[METRICS], fm_store_load_metrics (store, id, error))
          || !add_count (&counts[CURVE], fm_store_load_curve (store, id, NULL, -1, error))
          || !add_count (&counts[OUTCOMES], fm_store_load_outcomes (store, id, error))
          || !add_count (&counts[LATENCY], fm_store_load_latency (store, id, NULL, error))
          || !add_count (&counts[ARTIFACTS], fm_store_load_artifacts (store, id, error)))
        return FALSE;
    }
  return TRUE;
}

/* --- Packing -------------------------------------------------------------------------------------------------------*/

static gboolean
is_new (GHashTable *seen, char *key)
{
  return g_hash_table_add (seen, key);
}

static gboolean
add_plugins (JsonArray *plugins, FmStore *store, const char *architecture, GHashTable *seen, GError **error)
{
  g_autoptr (FmArchitectureRecord) record = fm_store_load_architecture (store, architecture, error);

  if (record == NULL)
    return FALSE;
  for (guint i = 0; i < record->roles->len; i++)
    {
      const FmRoleRecord *role = g_ptr_array_index (record->roles, i);
      JsonObject *row;

      if (!is_new (seen, g_strdup_printf ("%s/%s/%s", role->role, role->plugin, role->plugin_hash)))
        continue;
      row = json_object_new ();
      json_object_set_string_member (row, "role", role->role);
      json_object_set_string_member (row, "plugin", role->plugin);
      json_object_set_string_member (row, "sha256", role->plugin_hash ? role->plugin_hash : "");
      json_array_add_object_element (plugins, row);
    }
  return TRUE;
}

static gboolean
add_data (JsonArray *data, FmStore *store, const char *task, GHashTable *seen, GError **error)
{
  g_autoptr (FmTaskRecord) record = fm_store_load_task (store, task, error);
  JsonObject *row;

  if (record == NULL)
    return FALSE;
  if (!is_new (seen, g_strdup (task)))
    return TRUE;
  row = json_object_new ();
  json_object_set_string_member (row, "task", record->name);
  json_object_set_string_member (row, "parameters", record->parameters);
  json_object_set_string_member (row, "data", record->data_key ? record->data_key : "");
  json_array_add_object_element (data, row);
  return TRUE;
}

/* (transfer full): the text of manifest.json. */
static char *
make_manifest (FmStore *rows, const FmBatchRecord *batch, const gint64 *counts, gboolean checkpoints, GError **error)
{
  g_autoptr (GPtrArray) runs = fm_store_load_runs (rows, batch->id, error);
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_OBJECT);
  JsonObject *object = json_object_new (), *about = json_object_new (), *numbers = json_object_new ();
  JsonArray *plugins = json_array_new (), *data = json_array_new ();
  g_autofree char *text = NULL;

  json_node_take_object (node, object);
  json_object_set_string_member (object, "format", "formarium-bundle");
  json_object_set_int_member (object, "version", 1);
  json_object_set_string_member (object, "program", FM_VERSION);
  json_object_set_string_member (about, "title", batch->title);
  json_object_set_string_member (about, "key", batch->key);
  json_object_set_object_member (object, "batch", about);
  for (guint i = 0; i < N_COUNTS; i++)
    json_object_set_int_member (numbers, count_names[i], counts[i]);
  json_object_set_object_member (object, "rows", numbers);
  json_object_set_array_member (object, "plugins", plugins);
  json_object_set_array_member (object, "data", data);
  json_object_set_boolean_member (object, "checkpoints", checkpoints);
  for (guint i = 0; runs && i < runs->len; i++)
    {
      const FmRunRecord *run = g_ptr_array_index (runs, i);

      if (!add_plugins (plugins, rows, run->architecture, seen, error)
          || !add_data (data, rows, run->task, seen, error))
        return NULL;
    }
  if (runs == NULL)
    return NULL;
  text = json_to_string (node, TRUE);
  return g_strconcat (text, "\n", NULL);
}

/* Files of the original store, each still the one that its row speaks of. */
static gboolean
add_files (GPtrArray *members, FmStore *store, FmStore *rows, gint64 batch, gint64 *bytes, GError **error)
{
  g_autoptr (GPtrArray) stages = fm_store_load_stages (rows, batch, error);

  for (guint i = 0; stages && i < stages->len; i++)
    {
      const char *id = ((FmStageRecord *) g_ptr_array_index (stages, i))->id;
      g_autoptr (GPtrArray) artifacts = fm_store_load_artifacts (rows, id, error);

      if (artifacts == NULL)
        return FALSE;
      for (guint k = 0; k < artifacts->len; k++)
        {
          const FmArtifactRow *row = g_ptr_array_index (artifacts, k);
          g_autofree char *base = g_path_get_basename (row->path), *file = fm_store_artifact_path (store, id, base);
          g_autofree char *name = g_build_filename (FILES, id, base, NULL);

          if (!fm_file_has_hash (file, row->sha256))
            return fm_tar_fail (error, file, "is missing or not the file that was stored, so it cannot be packed; "
                                "`formarium store check` lists all such files");
          g_ptr_array_add (members, fm_tar_member_new (name, file, NULL));
          *bytes += row->bytes;
        }
    }
  return stages != NULL;
}

static gboolean
pack (FmStore *store, gint64 batch, const char *folder, const char *path, gboolean checkpoints, char **summary,
      GError **error)
{
  g_autofree char *file = g_build_filename (folder, ROWS, NULL), *manifest = NULL, *megabytes = NULL;
  g_autofree char *runs = NULL, *stages = NULL, *files = NULL;
  g_autoptr (GPtrArray) members = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_tar_member_free);
  g_autoptr (FmStore) rows = NULL;
  g_autoptr (FmBatchRecord) record = NULL;
  gint64 counts[N_COUNTS], bytes = 0, time_us;

  if (!fm_store_extract (store, batch, file, checkpoints, error)
      || (rows = fm_store_open (file, FM_STORE_READ, error)) == NULL
      || (record = fm_store_load_batch (rows, batch, error)) == NULL || !count_rows (rows, batch, counts, error)
      || (manifest = make_manifest (rows, record, counts, checkpoints, error)) == NULL)
    return FALSE;
  g_ptr_array_add (members, fm_tar_member_new (MANIFEST, NULL, g_bytes_new (manifest, strlen (manifest))));
  g_ptr_array_add (members, fm_tar_member_new (PLAN, NULL, g_bytes_new (record->text, strlen (record->text))));
  g_ptr_array_add (members, fm_tar_member_new (ROWS, file, NULL));
  if (!add_files (members, store, rows, batch, &bytes, error))
    return FALSE;
  g_clear_pointer (&rows, fm_store_close);
  megabytes = fm_format_megabytes (bytes);
  runs = fm_format_counted (counts[RUNS], "run");
  stages = fm_format_counted (counts[STAGES], "stage");
  files = fm_format_counted (counts[ARTIFACTS], "file");
  *summary = g_strdup_printf ("%s, %s, %s of %s MB", runs, stages, files, megabytes);
  time_us = record->ended_us > 0 ? record->ended_us : record->created_us;
  return fm_tar_write (path, members, time_us / G_USEC_PER_SEC, error);
}

gboolean
fm_bundle_write (FmStore *store, gint64 batch, const char *path, gboolean checkpoints, char **summary, GError **error)
{
  g_autofree char *folder = g_dir_make_tmp ("formarium-bundle-XXXXXX", error);
  gboolean ok;

  *summary = NULL;
  if (folder == NULL)
    return FALSE;
  ok = pack (store, batch, folder, path, checkpoints, summary, error);
  fm_remove_tree (folder);
  return ok;
}

/* --- Opening -------------------------------------------------------------------------------------------------------*/

struct _FmBundle
{
  char      *folder;
  FmStore   *store;
  gint64     batch;
  char      *key, *title;
  GPtrArray *notes;
};

void
fm_bundle_free (FmBundle *bundle)
{
  if (bundle == NULL)
    return;
  g_clear_pointer (&bundle->store, fm_store_close);
  if (bundle->folder)
    fm_remove_tree (bundle->folder);
  g_free (bundle->folder);
  g_free (bundle->key);
  g_free (bundle->title);
  g_ptr_array_unref (bundle->notes);
  g_free (bundle);
}

FmStore *
fm_bundle_get_store (FmBundle *bundle)
{
  return bundle->store;
}

gint64
fm_bundle_get_batch (FmBundle *bundle)
{
  return bundle->batch;
}

const char *
fm_bundle_get_key (FmBundle *bundle)
{
  return bundle->key;
}

const char *
fm_bundle_get_title (FmBundle *bundle)
{
  return bundle->title;
}

GPtrArray *
fm_bundle_get_notes (FmBundle *bundle)
{
  return bundle->notes;
}

gboolean
fm_bundle_is_one (const char *path)
{
  return fm_tar_is_one (path);
}

static JsonObject *
read_manifest (FmBundle *bundle, const char *path, GError **error)
{
  g_autofree char *file = g_build_filename (bundle->folder, MANIFEST, NULL), *text = NULL;
  g_autoptr (JsonObject) object = NULL;
  gsize length;
  gint64 version;

  if (!g_file_get_contents (file, &text, &length, NULL)
      || (object = fm_json_parse (text, (gssize) length, NULL)) == NULL
      || !g_str_equal (fm_json_text (object, "format", ""), "formarium-bundle"))
    {
      fm_tar_fail (error, path, "is a tar file, but no bundle: it has no " MANIFEST " of one");
      return NULL;
    }
  version = fm_json_int (object, "version", 0);
  if (version != 1)
    {
      fm_tar_fail (error, path, "is a bundle of version %" G_GINT64_FORMAT "; this program reads version 1", version);
      return NULL;
    }
  return g_steal_pointer (&object);
}

/* "STAGE/FILE" and nothing that leads elsewhere, a device say: the rows come from a stranger. */
static gboolean
check_paths (FmBundle *bundle, const char *path, GError **error)
{
  g_autoptr (GPtrArray) stages = fm_store_load_stages (bundle->store, bundle->batch, error);

  for (guint i = 0; stages && i < stages->len; i++)
    {
      const char *id = ((FmStageRecord *) g_ptr_array_index (stages, i))->id;
      g_autoptr (GPtrArray) rows = fm_store_load_artifacts (bundle->store, id, error);

      if (rows == NULL)
        return FALSE;
      for (guint k = 0; k < rows->len; k++)
        {
          const char *at = ((FmArtifactRow *) g_ptr_array_index (rows, k))->path;
          g_autofree char *base = g_path_get_basename (at), *plain = g_strdup_printf ("%s/%s", id, base);

          if (!g_str_equal (at, plain) || *id == '.' || *base == '.' || strchr (id, '/'))
            return fm_tar_fail (error, path, "a row names the file %s, which is not in the folder of its stage", at);
        }
    }
  return stages != NULL;
}

/* The rows are whole, are those that the manifest counts, and every file is there. */
static gboolean
check_rows (FmBundle *bundle, JsonObject *manifest, const char *path, GError **error)
{
  JsonObject *about = fm_json_object (manifest, "batch"), *numbers = fm_json_object (manifest, "rows");
  g_autoptr (GPtrArray) batches = NULL, faults = NULL;
  gint64 counts[N_COUNTS];

  if (!fm_store_check (bundle->store, error) || (batches = fm_store_load_batches (bundle->store, error)) == NULL)
    return FALSE;
  bundle->key = g_strdup (about ? fm_json_text (about, "key", "") : "");
  bundle->title = g_strdup (about ? fm_json_text (about, "title", "") : "");
  if (batches->len != 1 || !g_str_equal (((FmBatchRecord *) g_ptr_array_index (batches, 0))->key, bundle->key))
    return fm_tar_fail (error, path, ROWS " does not hold the batch that " MANIFEST " names, and it alone");
  bundle->batch = ((FmBatchRecord *) g_ptr_array_index (batches, 0))->id;
  if (!count_rows (bundle->store, bundle->batch, counts, error))
    return FALSE;
  for (guint i = 0; i < N_COUNTS; i++)
    if (counts[i] != (numbers ? fm_json_int (numbers, count_names[i], -1) : -1))
      return fm_tar_fail (error, path,
                          ROWS " has %" G_GINT64_FORMAT " rows of %s where " MANIFEST " counts %" G_GINT64_FORMAT, counts[i],
                          count_names[i], numbers ? fm_json_int (numbers, count_names[i], -1) : -1);
  if (!check_paths (bundle, path, error) || (faults = fm_store_check_artifacts (bundle->store, error)) == NULL)
    return FALSE;
  return faults->len == 0 || fm_tar_fail (error, path, "%s", (char *) g_ptr_array_index (faults, 0));
}

static void
look_at_plugins (FmBundle *bundle, JsonObject *manifest)
{
  JsonArray *plugins = fm_json_array (manifest, "plugins");

  for (guint i = 0; plugins && i < json_array_get_length (plugins); i++)
    {
      JsonNode *node = json_array_get_element (plugins, i);
      JsonObject *row = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
      const char *id = row ? fm_json_text (row, "plugin", "") : "", *hash = row ? fm_json_text (row, "sha256", "") : "";
      const FmPlugin *plugin;
      FmRole role;

      if (row == NULL || !fm_role_from_name (fm_json_text (row, "role", ""), &role))
        continue;
      plugin = fm_plugins_find (role, id, NULL);
      if (plugin == NULL)
        g_ptr_array_add (bundle->notes, g_strdup_printf ("%s %s is not here, so its runs cannot be replayed",
                                                         fm_role_name (role), id));
      else if (*hash && !g_str_equal (hash, plugin->hash))
        g_ptr_array_add (bundle->notes,
                         g_strdup_printf ("%s %s is another plugin file here: SHA-256 %.12s there, %.12s here",
                                          fm_role_name (role), id, hash, plugin->hash));
    }
}

FmBundle *
fm_bundle_open (const char *path, GError **error)
{
  g_autoptr (FmBundle) bundle = g_new0 (FmBundle, 1);
  g_autoptr (JsonObject) manifest = NULL;
  g_autofree char *file = NULL;

  bundle->notes = g_ptr_array_new_with_free_func (g_free);
  bundle->folder = g_dir_make_tmp ("formarium-bundle-XXXXXX", error);
  if (bundle->folder == NULL || !fm_tar_unpack (path, bundle->folder, error)
      || (manifest = read_manifest (bundle, path, error)) == NULL)
    return NULL;
  file = g_build_filename (bundle->folder, ROWS, NULL);
  if (!g_file_test (file, G_FILE_TEST_IS_REGULAR))
    {
      fm_tar_fail (error, path, "misses its member " ROWS);
      return NULL;
    }
  /* For writing, since rows of an older program are brought to this version in the scratch folder. */
  bundle->store = fm_store_open (file, FM_STORE_WRITE, error);
  if (bundle->store == NULL || !check_rows (bundle, manifest, path, error))
    {
      if (error && *error && !g_str_has_prefix ((*error)->message, path))
        g_prefix_error (error, "%s: ", path);
      return NULL;
    }
  look_at_plugins (bundle, manifest);
  return g_steal_pointer (&bundle);
}
