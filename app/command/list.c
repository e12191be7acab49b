/* list.c: `formarium list [KIND]`: what there is: plugins by role, tasks, devices, batches. */
#include "config.h"

#include "app/architecture/plugins.h"
#include "app/batch/batch.h"
#include "app/batch/judging.h"
#include "app/command/command.h"
#include "app/run/roof.h"
#include "compute/compute.h"
#include "data/task.h"

#include <string.h>

/* A row is {id, role, title}; tasks and devices have their kind as role. */
static JsonObject *
add_row (JsonArray *rows, const char *id, const char *role, const char *title)
{
  JsonObject *row = json_object_new ();

  json_object_set_string_member (row, "id", id);
  json_object_set_string_member (row, "role", role);
  json_object_set_string_member (row, "title", title);
  json_array_add_object_element (rows, row);
  return row;
}

static void
add_plugins (JsonArray *rows, gboolean all, FmRole role)
{
  GPtrArray *plugins = fm_plugins_list ();

  for (guint i = 0; i < plugins->len; i++)
    {
      const FmPluginDescriptor *d = ((FmPlugin *) g_ptr_array_index (plugins, i))->descriptor;

      if (all || d->role == role)
        add_row (rows, d->id, fm_role_name (d->role), d->title);
    }
}

static void
add_tasks (JsonArray *rows)
{
  for (const FmTaskClass * const *cls = fm_task_classes (); *cls; cls++)
    add_row (rows, (*cls)->id, "task", (*cls)->title);
}

/* With what the store knows of their roofs; without a store they are listed all the same. */
static void
add_devices (JsonArray *rows, const FmArgs *args)
{
  g_autoptr (GPtrArray) devices = fm_devices_list ();
  g_autoptr (FmStore) store = fm_command_open_store (args, FM_STORE_READ, NULL);

  for (guint i = 0; i < devices->len; i++)
    {
      const FmDeviceInfo *info = g_ptr_array_index (devices, i);
      FmRoof roof;
      gboolean known = store && fm_roof_find (store, info, 0, &roof);
      g_autofree char *most = known ? fm_roof_to_string (&roof) : NULL;
      g_autofree char *title = g_strdup_printf ("%s (%s)%s%s%s", info->title, info->driver,
                                                info->software ? ", on the processor" : "", known ? ": " : "",
                                                known ? most : "");
      JsonObject *row = add_row (rows, info->id, "device", title);

      if (known)
        {
          json_object_set_double_member (row, "peak_gflop_per_s", roof.flops_per_s / 1e9);
          json_object_set_double_member (row, "product_gflop_per_s", roof.product_flops_per_s / 1e9);
          json_object_set_double_member (row, "read_gbyte_per_s", roof.read_bytes_per_s / 1e9);
          json_object_set_double_member (row, "copy_gbyte_per_s", roof.copy_bytes_per_s / 1e9);
          json_object_set_double_member (row, "dispatch_us", roof.dispatch_s * 1e6);
        }
    }
}

/* Keys of a batch file's section [batch], as they are declared. */
static void
add_keys (JsonArray *rows)
{
  for (const FmBatchKey *key = fm_batch_other_keys (); key->name; key++)
    add_row (rows, key->name, "key", key->help);
  for (const FmParam *p = fm_batch_keys (); p->name; p++)
    {
      g_autofree char *value = fm_batch_key_default (p->name);
      g_autofree char *choices = p->choices ? g_strjoinv (" or ", (char **) p->choices) : NULL;
      g_autofree char *title = g_strdup_printf ("%s; %s%s%s", p->help, choices ? choices : value,
                                                choices ? ", else " : "", choices ? value : " when left out");

      add_row (rows, p->name, "key", title);
    }
  for (const char *const *key = fm_batch_judging_keys (); *key; key++)
    add_row (rows, *key, "key", fm_batch_judging_help (*key));
  add_row (rows, "[stage NAME]", "section",
           "A training of the chain that every run goes through; the last one is scored. May set rate, "
           "batch and all else above that has a default (layers, width and causal not in the last one), and these:");
  for (const FmBatchKey *key = fm_batch_stage_keys (); key->name; key++)
    add_row (rows, key->name, "stage key", key->help);
  add_row (rows, "[paper]", "section", "What a paper says: citation, arxiv, says, numbers, conditions; with [expect] the batch is a claim");
  add_row (rows, "[expect]", "section", "What should be found: NAME=QUANTITY(VARIANT) >= QUANTITY(VARIANT) - 1 points and others, scale, "
           "verdict; `formarium claims --help` tells more");
}

static int
run (const FmArgs *args)
{
  static const char * const kinds[] = { "mixers", "feedforwards", "blocks", "heads", "models", "methods", "tasks",
                                        "devices", "keys", NULL };
  const char *kind = fm_args_word (args, 0);
  g_autoptr (JsonArray) rows = json_array_new ();
  guint width = 4;
  FmRole role;

  if (kind == NULL)
    {
      add_plugins (rows, TRUE, 0);
      add_tasks (rows);
      add_devices (rows, args);
    }
  else if (g_str_equal (kind, "tasks") || g_str_equal (kind, "task"))
    add_tasks (rows);
  else if (g_str_equal (kind, "devices") || g_str_equal (kind, "device"))
    add_devices (rows, args);
  else if (g_str_equal (kind, "keys") || g_str_equal (kind, "key"))
    add_keys (rows);
  else if (fm_role_from_name (kind, &role))
    add_plugins (rows, FALSE, role);
  else
    {
      const char *nearest = fm_nearest_name (kind, kinds);

      return nearest ? fm_command_usage ("There is nothing called '%s' to list; did you mean '%s'?", kind, nearest)
                     : fm_command_usage ("There is nothing called '%s' to list; there are mixers, feedforwards, blocks, "
                                         "heads, models, methods, tasks, devices and keys (of batch files)", kind);
    }

  if (fm_args_has (args, "--json"))
    {
      g_autoptr (JsonNode) node = json_node_init_array (json_node_alloc (), rows);

      return fm_command_print_json (node);
    }
  for (guint i = 0; i < json_array_get_length (rows); i++)
    width = MAX (width, (guint) strlen (json_object_get_string_member (json_array_get_object_element (rows, i), "id")));
  for (guint i = 0; i < json_array_get_length (rows); i++)
    {
      JsonObject *row = json_array_get_object_element (rows, i);

      g_print ("%-*s  %-12s %s\n", (int) width, json_object_get_string_member (row, "id"),
               json_object_get_string_member (row, "role"), json_object_get_string_member (row, "title"));
    }
  return FM_EXIT_OK;
}

static const FmFlag flags[] = {
  { "--json", 0, FM_FLAG_BOOL, NULL, "An array of objects: id, role, title; of devices also their measured roof" },
  { "--store", 0, FM_FLAG_TEXT, "FILE", "Store that keeps the roofs of devices" },
  FM_FLAG_END
};

const FmCommand fm_command_list = {
  .name = "list",
  .summary = "List variants, tasks, devices and keys of batch files",
  .example = "formarium list mixers\nformarium list keys\nformarium list devices --json",
  .usage = "[mixers|feedforwards|blocks|heads|models|methods|tasks|devices|keys]",
  .flags = flags,
  .max_words = 1,
  .run = run,
};
