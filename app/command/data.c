/* data.c: `formarium data list|fetch|add|verify`: the real data behind tasks. */
#include "config.h"

#include "app/command/command.h"
#include "data/task.h"

#include <string.h>
#include <unistd.h>

static const FmTaskClass *
find_real (const char *id, GError **error)
{
  const FmTaskClass *class = fm_task_class_find (id);
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  g_autofree char *list = NULL;
  const char *near;

  if (class && class->verify)
    return class;
  for (const FmTaskClass * const *c = fm_task_classes (); *c; c++)
    if ((*c)->verify)
      g_ptr_array_add (names, (gpointer) (*c)->id);
  g_ptr_array_add (names, NULL);
  near = fm_nearest_name (id, (const char * const *) names->pdata);
  list = g_strjoinv (", ", (char **) names->pdata);
  if (class)
    g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "%s is generated and needs no data; real data have: %s", id, list);
  else if (near)
    g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "no task “%s”; did you mean “%s”?", id, near);
  else
    g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "no task “%s”; real data have: %s", id, list);
  return NULL;
}

static int
list (gboolean json)
{
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_ARRAY);
  JsonArray *rows = json_array_new ();

  json_node_take_array (node, rows);
  for (const FmTaskClass * const *c = fm_task_classes (); *c; c++)
    {
      g_autofree char *folder = (*c)->locate ? (*c)->locate () : NULL;
      const char *state = (*c)->verify == NULL ? "generated" : folder ? "present" : "absent";

      if (json)
        {
          JsonObject *row = json_object_new ();

          json_object_set_string_member (row, "id", (*c)->id);
          json_object_set_string_member (row, "state", state);
          json_object_set_string_member (row, "folder", folder ? folder : "");
          json_object_set_string_member (row, "source", (*c)->source);
          json_array_add_object_element (rows, row);
        }
      else
        g_print ("%-16s %-10s %s\n", (*c)->id, state, folder ? folder : (*c)->source);
    }
  return json ? fm_command_print_json (node) : FM_EXIT_OK;
}

static void
show_progress (goffset now, goffset all, gpointer user_data)
{
  const char *id = user_data;

  if (!isatty (STDERR_FILENO))
    return;
  if (all > 0)
    g_printerr ("\r%s: %.1f of %.1f MB", id, now / 1e6, all / 1e6);
  else
    g_printerr ("\r%s: %.1f MB", id, now / 1e6);
  if (now == all)
    g_printerr ("\n");
}

static int
run (const FmArgs *args)
{
  static const char * const verbs[] = { "list", "fetch", "add", "verify", NULL };
  const char *verb = fm_args_count (args) ? fm_args_word (args, 0) : "list";
  const char *id = fm_args_word (args, 1), *folder = fm_args_word (args, 2);
  const FmTaskClass *class;
  GError *error = NULL;
  gboolean ok;

  if (!g_strv_contains (verbs, verb))
    {
      const char *near = fm_nearest_name (verb, verbs);

      return near ? fm_command_usage ("data %s: did you mean “%s”?", verb, near)
                  : fm_command_usage ("data %s: must be list, fetch, add or verify", verb);
    }
  if (g_str_equal (verb, "list"))
    return list (fm_args_has (args, "--json"));
  if (id == NULL)
    return fm_command_usage ("data %s: which task? For example: formarium data %s fashion-mnist", verb, verb);
  if (g_str_equal (verb, "add") != (folder != NULL))
    return fm_command_usage ("data %s: takes %s", verb, g_str_equal (verb, "add") ? "a task and a folder" : "a task");
  class = find_real (id, &error);
  if (class == NULL)
    return fm_command_error (error);

  if (g_str_equal (verb, "verify"))
    ok = class->verify (&error);
  else if (g_str_equal (verb, "add"))
    ok = class->add (folder, &error);
  else
    ok = class->fetch (NULL, show_progress, (gpointer) id, &error);
  if (!ok)
    {
      gboolean network = g_error_matches (error, FM_DATA_ERROR, FM_DATA_ERROR_NETWORK);
      int status = fm_command_error (error);

      return network ? FM_EXIT_FAILED : status;
    }
  {
    g_autofree char *where = class->locate ? class->locate () : NULL;

    g_print ("%s: all checksums are right%s%s\n", id, where ? ", in " : "", where ? where : "");
  }
  return FM_EXIT_OK;
}

static const FmFlag flags[] = {
  { "--json", 0, FM_FLAG_BOOL, NULL, "list: an array of objects" },
  FM_FLAG_END
};

const FmCommand fm_command_data = {
  .name = "data",
  .summary = "List, fetch, add or verify the real data behind tasks",
  .example = "formarium data list\nformarium data fetch fashion-mnist\nformarium data add fashion-mnist ~/Downloads\n"
             "formarium data verify fashion-mnist",
  .usage = "[list|fetch|add|verify] [TASK] [FOLDER]",
  .help = "What is fetched or added is checked against pinned SHA-256 sums before it counts as there.",
  .flags = flags,
  .min_words = 0,
  .max_words = 3,
  .run = run,
};
