/* list.c: `formarium list [KIND]`: what there is: plugins by role, tasks, devices, batches. */
#include "config.h"

#include "app/architecture/plugins.h"
#include "app/command/command.h"
#include "compute/compute.h"
#include "data/task.h"

#include <string.h>

/* A row is {id, role, title}; tasks and devices have their kind as role. */
static void
add_row (JsonArray *rows, const char *id, const char *role, const char *title)
{
  JsonObject *row = json_object_new ();

  json_object_set_string_member (row, "id", id);
  json_object_set_string_member (row, "role", role);
  json_object_set_string_member (row, "title", title);
  json_array_add_object_element (rows, row);
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

static void
add_devices (JsonArray *rows)
{
  g_autoptr (GPtrArray) devices = fm_devices_list ();

  for (guint i = 0; i < devices->len; i++)
    {
      const FmDeviceInfo *info = g_ptr_array_index (devices, i);
      g_autofree char *title = g_strdup_printf ("%s (%s)%s", info->title, info->driver,
                                                info->software ? ", on the processor" : "");

      add_row (rows, info->id, "device", title);
    }
}

static int
run (const FmArgs *args)
{
  static const char * const kinds[] = { "mixers", "feedforwards", "blocks", "heads", "models", "methods", "tasks",
                                        "devices", NULL };
  const char *kind = fm_args_word (args, 0);
  g_autoptr (JsonArray) rows = json_array_new ();
  guint width = 4;
  FmRole role;

  if (kind == NULL)
    {
      add_plugins (rows, TRUE, 0);
      add_tasks (rows);
      add_devices (rows);
    }
  else if (g_str_equal (kind, "tasks") || g_str_equal (kind, "task"))
    add_tasks (rows);
  else if (g_str_equal (kind, "devices") || g_str_equal (kind, "device"))
    add_devices (rows);
  else if (fm_role_from_name (kind, &role))
    add_plugins (rows, FALSE, role);
  else
    {
      const char *nearest = fm_nearest_name (kind, kinds);

      return nearest ? fm_command_usage ("There is nothing called '%s' to list; did you mean '%s'?", kind, nearest)
                     : fm_command_usage ("There is nothing called '%s' to list; there are mixers, feedforwards, blocks, "
                                         "heads, models, methods, tasks and devices", kind);
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
  { "--json", 0, FM_FLAG_BOOL, NULL, "An array of objects: id, role, title" },
  FM_FLAG_END
};

const FmCommand fm_command_list = {
  .name = "list",
  .summary = "List variants, tasks and devices",
  .example = "formarium list mixers\nformarium list devices --json",
  .usage = "[mixers|feedforwards|blocks|heads|models|methods|tasks|devices]",
  .flags = flags,
  .max_words = 1,
  .run = run,
};
