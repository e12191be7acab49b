/* inspect.c: `formarium inspect ID`: all that a plugin or a task says of itself; `--rejected`: what did not load; with
 * a number what a run was made of and by. */
#include "config.h"

#include "app/architecture/plugins.h"
#include "app/command/inspect-run.h"
#include "data/task.h"

#include <string.h>

static JsonArray *
params_to_json (const FmParam *params, gconstpointer values)
{
  JsonArray *array = json_array_new ();

  for (const FmParam *p = params; p && p->name; p++)
    {
      JsonObject *row = json_object_new ();
      g_autofree char *value = fm_params_get (params, values, p->name);
      g_autoptr (GString) range = g_string_new (NULL);

      if (p->type == FM_PARAM_TYPE_CHOICE)
        for (guint i = 0; p->choices[i]; i++)
          g_string_append_printf (range, "%s%s", i ? " or " : "", p->choices[i]);
      else if (p->type == FM_PARAM_TYPE_BOOL)
        g_string_append (range, "0 or 1");
      else
        g_string_append_printf (range, "%.10g to %.10g", p->minimum, p->maximum);
      json_object_set_string_member (row, "name", p->name);
      json_object_set_string_member (row, "default", value ? value : "");
      json_object_set_string_member (row, "range", range->str);
      json_object_set_string_member (row, "unit", p->unit ? p->unit : "");
      json_object_set_string_member (row, "help", p->help ? p->help : "");
      json_array_add_object_element (array, row);
    }
  return array;
}

static JsonObject *
plugin_to_json (const FmPlugin *plugin)
{
  const FmPluginDescriptor *d = plugin->descriptor;
  JsonObject *object = json_object_new ();
  JsonArray *probes = json_array_new ();
  g_autofree gpointer values = g_malloc0 (MAX (d->params_size, 1));
  g_autofree char *caps = fm_caps_to_string (d->caps);
  g_autofree char *paper = d->paper.authors ? g_strdup_printf ("%s, %d", d->paper.authors, d->paper.year) : NULL;

  fm_params_set_defaults (d->params, values);
  json_object_set_string_member (object, "id", d->id);
  json_object_set_string_member (object, "role", fm_role_name (d->role));
  json_object_set_string_member (object, "title", d->title);
  json_object_set_string_member (object, "summary", d->summary ? d->summary : "");
  json_object_set_string_member (object, "paper", paper ? paper : "");
  json_object_set_string_member (object, "arxiv", d->paper.arxiv ? d->paper.arxiv : "");
  json_object_set_string_member (object, "complexity", d->complexity ? d->complexity : "");
  json_object_set_string_member (object, "capabilities", caps);
  json_object_set_array_member (object, "parameters", params_to_json (d->params, values));
  for (const FmProbe *p = d->probes; p && p->name; p++)
    {
      JsonObject *row = json_object_new ();

      json_object_set_string_member (row, "name", p->name);
      json_object_set_string_member (row, "axes", p->axes);
      json_object_set_string_member (row, "help", p->help ? p->help : "");
      json_array_add_object_element (probes, row);
    }
  json_object_set_array_member (object, "probes", probes);
  json_object_set_string_member (object, "file", plugin->file);
  json_object_set_string_member (object, "hash", plugin->hash);
  return object;
}

static JsonObject *
task_to_json (const FmTaskClass *cls)
{
  JsonObject *object = json_object_new ();
  JsonArray *splits = json_array_new ();
  g_autofree gpointer values = g_malloc0 (MAX (cls->params_size, 1));
  g_autofree char *folder = cls->locate ? cls->locate () : NULL;
  g_autoptr (FmTask) task = fm_task_new (cls->id, NULL, NULL);

  fm_params_set_defaults (cls->params, values);
  json_object_set_string_member (object, "id", cls->id);
  json_object_set_string_member (object, "role", "task");
  json_object_set_string_member (object, "title", cls->title);
  json_object_set_string_member (object, "summary", cls->summary ? cls->summary : "");
  json_object_set_string_member (object, "source", cls->source ? cls->source : "");
  json_object_set_array_member (object, "parameters", params_to_json (cls->params, values));
  if (task)
    {
      const FmTaskInfo *info = fm_task_get_info (task);
      g_autofree char *key = fm_task_data_key (task);

      json_object_set_double_member (object, "chance_level", info->chance_level);
      json_object_set_string_member (object, "data_key", key);
      for (guint i = 0; i < info->n_splits; i++)
        {
          JsonObject *row = json_object_new ();

          json_object_set_string_member (row, "name", info->splits[i].name);
          if (info->splits[i].count == G_MAXUINT64)
            json_object_set_null_member (row, "examples");
          else
            json_object_set_int_member (row, "examples", (gint64) info->splits[i].count);
          json_array_add_object_element (splits, row);
        }
    }
  json_object_set_array_member (object, "splits", splits);
  json_object_set_string_member (object, "folder", folder ? folder : "");
  return object;
}

/* Words are shown as they come; arrays as indented rows. */
static void
print_object (JsonObject *object)
{
  g_autoptr (GList) members = json_object_get_members (object);

  for (GList *l = members; l; l = l->next)
    {
      JsonNode *node = json_object_get_member (object, l->data);

      if (JSON_NODE_HOLDS_VALUE (node))
        {
          g_autofree char *number = json_to_string (node, FALSE);
          const char *text = json_node_get_value_type (node) == G_TYPE_STRING ? json_node_get_string (node) : number;

          if (*text)
            g_print ("%-14s %s\n", (const char *) l->data, text);
        }
      else if (JSON_NODE_HOLDS_ARRAY (node) && json_array_get_length (json_node_get_array (node)) > 0)
        {
          JsonArray *rows = json_node_get_array (node);

          g_print ("%s\n", (const char *) l->data);
          for (guint i = 0; i < json_array_get_length (rows); i++)
            {
              JsonObject *row = json_array_get_object_element (rows, i);
              const char *name = json_object_get_string_member (row, "name");

              if (json_object_has_member (row, "default"))
                g_print ("  %-20s %s (%s%s%s): %s\n", name, json_object_get_string_member (row, "default"),
                         json_object_get_string_member (row, "range"), *json_object_get_string_member (row, "unit") ? " " : "",
                         json_object_get_string_member (row, "unit"), json_object_get_string_member (row, "help"));
              else if (json_object_has_member (row, "axes"))
                g_print ("  %-20s [%s] %s\n", name, json_object_get_string_member (row, "axes"),
                         json_object_get_string_member (row, "help"));
              else
                {
                  g_autofree char *n = json_to_string (json_object_get_member (row, "examples"), FALSE);

                  g_print ("  %-20s %s\n", name, g_str_equal (n, "null") ? "endless" : n);
                }
            }
        }
    }
}

static int
print_rejected (gboolean json)
{
  GPtrArray *rejected = fm_plugins_rejected ();
  g_autoptr (JsonArray) rows = json_array_new ();
  g_autoptr (JsonNode) node = NULL;

  for (guint i = 0; i < rejected->len; i++)
    {
      const FmRejected *r = g_ptr_array_index (rejected, i);
      JsonObject *row = json_object_new ();

      json_object_set_string_member (row, "file", r->file);
      json_object_set_string_member (row, "found", r->found);
      json_object_set_string_member (row, "wanted", r->wanted);
      json_object_set_string_member (row, "reason", r->reason);
      json_array_add_object_element (rows, row);
      if (!json)
        g_print ("%s\n  found   %s\n  wanted  %s\n%s%s%s", r->file, r->found, r->wanted, *r->reason ? "  reason  " : "",
                 r->reason, *r->reason ? "\n" : "");
    }
  if (!json)
    {
      if (rejected->len == 0)
        g_printerr ("Every plugin file that was found has been loaded\n");
      return FM_EXIT_OK;
    }
  node = json_node_init_array (json_node_alloc (), rows);
  return fm_command_print_json (node);
}

static int
run (const FmArgs *args)
{
  const char *id = fm_args_word (args, 0), *nearest;
  gboolean json = fm_args_has (args, "--json");
  g_autoptr (JsonArray) found = json_array_new ();
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  GPtrArray *plugins;
  gint64 number;

  if (fm_args_has (args, "--rejected"))
    return print_rejected (json);
  if (id == NULL)
    return fm_command_usage ("'inspect' needs the id of a plugin or task, a run's number, or --rejected; `formarium "
                             "list` shows ids");
  if (g_ascii_string_to_signed (id, 10, 1, G_MAXINT64, &number, NULL)) /* no plugin has a number for an id */
    return fm_inspect_run (args, number);

  plugins = fm_plugins_list ();
  for (guint i = 0; i < plugins->len; i++)
    {
      const FmPlugin *plugin = g_ptr_array_index (plugins, i);

      g_ptr_array_add (names, (gpointer) plugin->descriptor->id);
      if (g_str_equal (plugin->descriptor->id, id))
        json_array_add_object_element (found, plugin_to_json (plugin));
    }
  for (const FmTaskClass * const *cls = fm_task_classes (); *cls; cls++)
    {
      g_ptr_array_add (names, (gpointer) (*cls)->id);
      if (g_str_equal ((*cls)->id, id))
        json_array_add_object_element (found, task_to_json (*cls));
    }
  g_ptr_array_add (names, NULL);
  if (json_array_get_length (found) == 0)
    {
      nearest = fm_nearest_name (id, (const char * const *) names->pdata);
      return nearest ? fm_command_usage ("There is no plugin or task '%s'; did you mean '%s'?", id, nearest)
                     : fm_command_usage ("There is no plugin or task '%s'; `formarium list` shows what there is", id);
    }
  if (json)
    {
      g_autoptr (JsonNode) node = json_node_init_array (json_node_alloc (), found);

      return fm_command_print_json (node);
    }
  for (guint i = 0; i < json_array_get_length (found); i++)
    print_object (json_array_get_object_element (found, i));
  return FM_EXIT_OK;
}

static const FmFlag flags[] = {
  { "--rejected", 0, FM_FLAG_BOOL, NULL, "Plugin files that did not load: found, wanted, the loader's words" },
  { "--json", 0, FM_FLAG_BOOL, NULL, "An array of objects" },
  { "--store", 0, FM_FLAG_TEXT, "FILE", "For a run: database in place of the default one" },
  FM_FLAG_END
};

const FmCommand fm_command_inspect = {
  .name = "inspect",
  .summary = "Tell all about a variant, a task or a run",
  .example = "formarium inspect softmax-attention\nformarium inspect --rejected\nformarium inspect 12",
  .usage = "[ID|RUN]",
  .help = "RUN is the number of a run (`formarium results --json` shows run_id): each stage with its recipe, which is all\n"
          "that determines its result, and with what it was made by: program, plugin files, libraries, device, clocks.",
  .flags = flags,
  .max_words = 1,
  .run = run,
};
