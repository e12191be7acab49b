/* main.c: `formarium`: finds the subcommand, reads its flags, runs it. Everything it knows about a subcommand stands in
 * that one's FmCommand. */
#include "config.h"

#include "app/command/command.h"

#include "app/json.h"
#include "data/task.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* In the order the help shows them. */
static const FmCommand * const commands[] = {
  &fm_command_run,
  &fm_command_resume,
  &fm_command_results,
  &fm_command_claims,
  &fm_command_compare,
  &fm_command_report,
  &fm_command_reproduce,
  &fm_command_bundle,
  &fm_command_figure,
  &fm_command_map,
  &fm_command_routing,
  &fm_command_list,
  &fm_command_inspect,
  &fm_command_check,
  &fm_command_data,
  &fm_command_store,
  &fm_command_bench,
  &fm_command_completion,
  &fm_command_worker,
};

const FmCommand * const *
fm_commands (void)
{
  static const FmCommand *list[G_N_ELEMENTS (commands) + 1];

  memcpy (list, commands, sizeof commands);
  return list;
}

struct _FmArgs
{
  const FmCommand *command;
  const char     **values; /* by flag row; NULL = not given */
  GPtrArray       *joined; /* char *: values of several */
  GPtrArray       *words;
};

static guint
flag_row (const FmArgs *args, const char *flag)
{
  guint i = 0;

  while (args->command->flags && args->command->flags[i].name && !g_str_equal (args->command->flags[i].name, flag))
    i++;
  g_assert (args->command->flags && args->command->flags[i].name); /* a flag the command does not declare */
  return i;
}

const char *
fm_args_get (const FmArgs *args, const char *flag)
{
  return args->values[flag_row (args, flag)];
}

gboolean
fm_args_has (const FmArgs *args, const char *flag)
{
  return fm_args_get (args, flag) != NULL;
}

guint
fm_args_count (const FmArgs *args)
{
  return args->words->len;
}

const char *
fm_args_word (const FmArgs *args, guint index)
{
  return index < args->words->len ? g_ptr_array_index (args->words, index) : NULL;
}

/* --- Words for people ----------------------------------------------------------------------------------------------*/

int
fm_command_error (GError *error)
{
  int status = FM_EXIT_FAILED;

  /* A file that a person named and that cannot be read or written is their input, too. */
  if (error->domain == FM_BASE_ERROR || error->domain == G_FILE_ERROR || error->domain == FM_STORAGE_ERROR || error->domain == FM_DATA_ERROR
      || g_error_matches (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_DEVICE)
      || g_error_matches (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_MEMORY)
      || g_error_matches (error, FM_APP_ERROR, FM_APP_ERROR_INPUT)
      || g_error_matches (error, FM_APP_ERROR, FM_APP_ERROR_LARGE))
    status = FM_EXIT_INPUT;
  g_printerr ("formarium: %s\n", error->message);
  g_error_free (error);
  return status;
}

int
fm_command_usage (const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_printerr ("formarium: %s\n", text);
  return FM_EXIT_INPUT;
}

int
fm_command_print_json (JsonNode *node)
{
  g_autofree char *text = json_to_string (node, TRUE);

  fm_json_repair_numbers (text);
  if (puts (text) < 0 || fflush (stdout) != 0)
    return fm_command_usage ("Standard output cannot be written");
  return FM_EXIT_OK;
}

FmStore *
fm_command_open_store (const FmArgs *args, FmStoreMode mode, GError **error)
{
  FmStore *store = fm_store_open (fm_args_get (args, "--store"), mode, error);

  if (store != NULL && fm_store_get_notice (store) != NULL)
    g_printerr ("%s\n", fm_store_get_notice (store));
  return store;
}

/* --- Help ----------------------------------------------------------------------------------------------------------*/

static void
print_help (const FmCommand *command)
{
  g_print ("Example:\n");
  if (command->example)
    {
      g_auto (GStrv) lines = g_strsplit (command->example, "\n", -1);

      for (guint i = 0; lines[i]; i++)
        g_print ("  %s\n", lines[i]);
    }
  g_print ("\n%s.\n\nUsage: formarium %s%s%s%s\n", command->summary, command->name,
           command->flags && command->flags[0].name ? " [FLAGS]" : "", command->usage[0] ? " " : "", command->usage);
  if (command->flags && command->flags[0].name)
    g_print ("\nFlags:\n");
  for (const FmFlag *f = command->flags; f && f->name; f++)
    {
      g_autofree char *letter = f->letter ? g_strdup_printf ("-%c, ", f->letter) : g_strdup ("");
      g_autofree char *left = g_strconcat (letter, f->name, f->value ? " " : NULL, f->value, NULL);

      g_print ("  %-24s %s\n", left, f->help);
    }
  if (command->help)
    g_print ("\n%s\n", command->help);
}

static void
print_overview (void)
{
  g_print ("Formarium compares Transformer architectures on your own machine.\n\n"
           "Example:\n  formarium run examples/first.batch\n\nSubcommands:\n");
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    if (!commands[i]->hidden)
      g_print ("  %-10s %s\n", commands[i]->name, commands[i]->summary);
  g_print ("\n`formarium SUBCOMMAND --help` tells more. Results go to standard output, progress to standard error.\n"
           "Exit status: 0 done, 1 failed, 2 wrong use or input, 3 some runs failed, 4 a difference found,\n130 interrupted.\n");
}

/* --- Parsing -------------------------------------------------------------------------------------------------------*/

static const FmCommand *
find_command (const char *name)
{
  const char *names[G_N_ELEMENTS (commands) + 1] = { NULL };
  const char *nearest;
  guint n = 0;

  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    {
      if (g_str_equal (commands[i]->name, name))
        return commands[i];
      if (!commands[i]->hidden)
        names[n++] = commands[i]->name;
    }
  nearest = fm_nearest_name (name, names);
  if (nearest)
    fm_command_usage ("There is no subcommand '%s'; did you mean '%s'?", name, nearest);
  else
    fm_command_usage ("There is no subcommand '%s'; `formarium help` lists them", name);
  return NULL;
}

/* Index of the flag that @text (without its "=value") is, -1 after telling what is wrong. */
static int
find_flag (const FmCommand *command, const char *text, gsize length)
{
  g_autofree char *name = g_strndup (text, length);
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  const char *nearest;
  int i = 0;

  for (const FmFlag *f = command->flags; f && f->name; f++, i++)
    {
      if (g_str_equal (f->name, name) || (f->letter && name[0] == '-' && name[1] == f->letter && name[2] == '\0'))
        return i;
      g_ptr_array_add (names, (gpointer) f->name);
    }
  g_ptr_array_add (names, (gpointer) "--help");
  g_ptr_array_add (names, NULL);
  nearest = fm_nearest_name (name, (const char * const *) names->pdata);
  if (nearest)
    fm_command_usage ("'%s' has no flag '%s'; did you mean '%s'?", command->name, name, nearest);
  else
    fm_command_usage ("'%s' has no flag '%s'; `formarium %s --help` lists them", command->name, name, command->name);
  return -1;
}

static void
set_value (FmArgs *args, int flag, const char *text)
{
  const char *before = args->values[flag];

  if (before != NULL && args->command->flags[flag].kind == FM_FLAG_LINES)
    {
      g_ptr_array_add (args->joined, g_strconcat (before, "\n", text, NULL));
      text = g_ptr_array_index (args->joined, args->joined->len - 1);
    }
  args->values[flag] = text;
}

static int
run_command (const FmCommand *command, int argc, char **argv)
{
  guint n_flags = 0;
  g_autofree const char **values = NULL;
  g_autoptr (GPtrArray) words = g_ptr_array_new ();
  g_autoptr (GPtrArray) joined = g_ptr_array_new_with_free_func (g_free);
  FmArgs args = { .command = command, .words = words, .joined = joined };
  gboolean only_words = FALSE;

  while (command->flags && command->flags[n_flags].name)
    n_flags++;
  args.values = values = g_new0 (const char *, n_flags + 1);
  for (int i = 0; i < argc; i++)
    {
      const char *text = argv[i], *equals;
      int flag;

      if (only_words || text[0] != '-' || text[1] == '\0')
        {
          g_ptr_array_add (words, (gpointer) text);
          continue;
        }
      if (g_str_equal (text, "--"))
        {
          only_words = TRUE;
          continue;
        }
      if (g_str_equal (text, "--help") || g_str_equal (text, "-h"))
        {
          print_help (command);
          return FM_EXIT_OK;
        }
      equals = strchr (text, '=');
      flag = find_flag (command, text, equals ? (gsize) (equals - text) : strlen (text));
      if (flag < 0)
        return FM_EXIT_INPUT;
      if (command->flags[flag].kind == FM_FLAG_BOOL)
        {
          if (equals)
            return fm_command_usage ("'%s' takes no value", command->flags[flag].name);
          values[flag] = "";
        }
      else if (equals)
        set_value (&args, flag, equals + 1);
      else if (i + 1 < argc)
        set_value (&args, flag, argv[++i]);
      else
        return fm_command_usage ("'%s' needs a value: %s %s", text, text, command->flags[flag].value);
    }
  if (words->len < command->min_words || words->len > command->max_words)
    return fm_command_usage ("'%s' takes %s; for example: %s", command->name,
                             command->usage[0] ? command->usage : "no words", command->example);
  return command->run (&args);
}

/* OpenMP's threads spin at barriers unless told otherwise before the program starts: with another load on the cores a
 * training step of 20 ms takes 870 ms. A thousand turns and then sleep was the best of what was tried; `formarium bench
 * step --threads 2` with GOMP_SPINCOUNT, in ms on a quiet machine and beside one busy process: 0: 14.3, 20.1; 1,000: 12.6,
 * 24.0; 5,000: 12.2, 33.2; 20,000: 12.2, 83.8. So the program starts itself anew with it, once, unless the person has
 * chosen; its workers inherit it. */
static void
wait_asleep (char **argv)
{
  if (g_getenv ("OMP_WAIT_POLICY") != NULL || g_getenv ("GOMP_SPINCOUNT") != NULL)
    return;
  g_setenv ("GOMP_SPINCOUNT", "1000", TRUE);
  execv ("/proc/self/exe", argv);
  /* Not on this system: slower under load, right all the same. */
}

/* A full disk behind standard output must not look like success. */
static int
check_output (int status)
{
  if (status == FM_EXIT_OK && (fflush (stdout) != 0 || ferror (stdout)))
    return fm_command_usage ("Standard output cannot be written");
  return status;
}

int
main (int argc, char **argv)
{
  const FmCommand *command;

  wait_asleep (argv);

  g_set_prgname ("formarium");
  /* Names and quotes are UTF-8; a bare environment (LANG unset) would turn them into question marks. Numbers stay as C
   * writes them whatever the person's language, since programs read our output. */
  setlocale (LC_CTYPE, "");
  if (!g_get_charset (NULL))
    setlocale (LC_CTYPE, "C.UTF-8");
  if (argc < 2 || g_str_equal (argv[1], "--help") || g_str_equal (argv[1], "-h"))
    {
      print_overview ();
      return argc < 2 ? FM_EXIT_INPUT : check_output (FM_EXIT_OK);
    }
  if (g_str_equal (argv[1], "--version"))
    {
      g_print ("formarium " FM_VERSION "\n");
      return FM_EXIT_OK;
    }
  if (g_str_equal (argv[1], "help"))
    {
      if (argc < 3)
        {
          print_overview ();
          return check_output (FM_EXIT_OK);
        }
      command = find_command (argv[2]);
      if (command == NULL)
        return FM_EXIT_INPUT;
      print_help (command);
      return check_output (FM_EXIT_OK);
    }
  command = find_command (argv[1]);
  return command ? check_output (run_command (command, argc - 2, argv + 2)) : FM_EXIT_INPUT;
}
