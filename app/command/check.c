/* check.c: `formarium check PLUGIN.so`: the promises of one plugin as a score card. The plugin runs in a child process:
 * a crash is a line of the card. */
#include "config.h"

#include "app/architecture/check.h"
#include "app/command/command.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char * const state_words[] = { "passed", "failed", "skipped" };

/* In the child: one line a check, "STATE\tNAME\tDETAIL". A line before each tells where a crash happened. */
static int
run_child (const char *file)
{
  g_autoptr (FmRejected) rejected = NULL;
  const FmPlugin *plugin = fm_plugins_open (file, &rejected);
  guint failed = 0;

  if (plugin == NULL)
    {
      g_print ("rejected\tload\tfound %s, wanted %s%s%s\n", rejected->found, rejected->wanted,
               *rejected->reason ? ": " : "", rejected->reason);
      return FM_EXIT_INPUT;
    }
  g_print ("plugin\t%s\t%s\n", plugin->descriptor->id, fm_role_name (plugin->descriptor->role));
  for (const char * const *check = fm_check_names (); *check; check++)
    {
      g_autoptr (FmCheckRow) row = NULL;

      g_print ("begin\t%s\t\n", *check);
      fflush (stdout);
      row = fm_check_plugin (plugin, *check);
      failed += row->state == FM_CHECK_FAILED;
      g_print ("%s\t%s\t%s\n", state_words[row->state], row->name, row->detail);
    }
  return failed ? FM_EXIT_FAILED : FM_EXIT_OK;
}

static void
add_row (JsonArray *rows, const char *check, const char *state, const char *detail)
{
  JsonObject *row = json_object_new ();

  json_object_set_string_member (row, "check", check);
  json_object_set_string_member (row, "state", state);
  json_object_set_string_member (row, "detail", detail);
  json_array_add_object_element (rows, row);
}

static void
print_row (const char *state, const char *check, const char *detail)
{
  const char *mark = g_str_equal (state, "passed") ? "✓" : g_str_equal (state, "skipped") ? "–" : "✗";

  g_print ("%s %-12s %s\n", mark, check, detail);
}

static int
run (const FmArgs *args)
{
  g_autofree char *file = g_canonicalize_filename (fm_args_word (args, 0), NULL); /* a bare name is no library to search */
  g_autofree char *self = g_file_read_link ("/proc/self/exe", NULL);
  g_autoptr (GSubprocess) child = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *output = NULL, *begun = NULL;
  g_auto (GStrv) lines = NULL;
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_ARRAY);
  JsonArray *rows = json_array_new ();
  gboolean json = fm_args_has (args, "--json");
  guint passed = 0, failed = 0, skipped = 0;

  if (fm_args_has (args, "--in-this-process"))
    return run_child (file);
  json_node_take_array (node, rows);
  if (!g_file_test (file, G_FILE_TEST_IS_REGULAR))
    return fm_command_usage ("%s: no such file; a plugin is a shared object, such as build/plugins/mlp.so", file);
  child = g_subprocess_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE, &error, self ? self : "formarium", "check",
                            "--in-this-process", file, NULL);
  if (child == NULL || !g_subprocess_communicate_utf8 (child, NULL, NULL, &output, NULL, &error))
    return fm_command_error (g_steal_pointer (&error));

  lines = g_strsplit (output ? output : "", "\n", -1);
  for (guint i = 0; lines[i]; i++)
    {
      g_auto (GStrv) words = g_strsplit (lines[i], "\t", 3);

      if (g_strv_length (words) != 3)
        continue;
      if (g_str_equal (words[0], "rejected"))
        return fm_command_usage ("%s: %s", file, words[2]);
      if (g_str_equal (words[0], "plugin"))
        {
          if (!json)
            g_print ("%s, a %s\n\n", words[1], words[2]);
          continue;
        }
      g_clear_pointer (&begun, g_free);
      if (g_str_equal (words[0], "begin"))
        {
          begun = g_strdup (words[1]);
          continue;
        }
      passed += g_str_equal (words[0], "passed");
      failed += g_str_equal (words[0], "failed");
      skipped += g_str_equal (words[0], "skipped");
      add_row (rows, words[1], words[0], words[2]);
      if (!json)
        print_row (words[0], words[1], words[2]);
    }
  if (g_subprocess_get_if_signaled (child) || begun || passed + failed + skipped == 0)
    {
      g_autofree char *detail = NULL;

      if (g_subprocess_get_if_signaled (child))
        detail = g_strdup_printf ("crashed: %s", g_strsignal (g_subprocess_get_term_sig (child)));
      else
        detail = g_strdup ("ended the process");
      if (begun == NULL)
        return fm_command_usage ("%s: %s while being opened; a plugin's constructor does nothing", file, detail);
      failed++;
      add_row (rows, begun, "failed", detail);
      if (!json)
        print_row ("failed", begun, detail);
    }
  if (json)
    fm_command_print_json (node);
  else
    g_print ("\n%u passed, %u failed, %u skipped\n", passed, failed, skipped);
  return failed ? FM_EXIT_FAILED : FM_EXIT_OK;
}

static const FmFlag flags[] = {
  { "--json", 0, FM_FLAG_BOOL, NULL, "An array of objects instead of a card" },
  { "--in-this-process", 0, FM_FLAG_BOOL, NULL, "No child process: for a debugger" },
  FM_FLAG_END
};

const FmCommand fm_command_check = {
  .name = "check",
  .summary = "Drive a plugin through everything the catalogue promises",
  .example = "formarium check build/plugins/softmax-attention.so",
  .usage = "PLUGIN.so",
  .help = "Checks texts and parameters, sizes, gradients, CPU against Vulkan, equal bits, causality, padding,\n"
          "cross-attention, batch neighbours and probes, as far as the plugin claims them. Exit 1 when one fails.",
  .flags = flags,
  .min_words = 1,
  .max_words = 1,
  .run = run,
};
