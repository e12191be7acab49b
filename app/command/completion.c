/* completion.c: `formarium completion bash|zsh|fish`: what a shell needs to complete subcommands and flags, from the same
 * tables that parse them. The build runs it and installs what it prints. */
#include "config.h"

#include "app/command/command.h"

#include <string.h>

/* (transfer full): what can stand as first word by itself: the small words of "path|check|delete BATCH|[mixers|tasks]". */
static char *
fixed_words (const FmCommand *command)
{
  g_auto (GStrv) parts = g_strsplit_set (command->usage, "|[]", -1);
  GString *words = g_string_new (NULL);

  for (guint i = 0; parts[i] && strchr (command->usage, '|'); i++)
    {
      gsize n = strspn (parts[i], "abcdefghijklmnopqrstuvwxyz-");

      if (n == 0 || (parts[i][n] != '\0' && parts[i][n] != ' '))
        continue;
      g_string_append (words, words->len ? " " : "");
      g_string_append_len (words, parts[i], (gssize) n);
    }
  return g_string_free (words, FALSE);
}

static const FmFlag *
next_flag (const FmFlag *flag)
{
  return flag && flag->name ? flag : NULL;
}

/* --- bash ---------------------------------------------------------------------------------------------------------*/

static void
print_bash_command (const FmCommand *command)
{
  g_autofree char *words = fixed_words (command);
  g_autoptr (GString) valued = g_string_new (NULL);

  g_print ("    %s)\n      flags='", command->name);
  for (const FmFlag *f = command->flags; next_flag (f); f++)
    {
      g_print ("%s ", f->name);
      if (f->kind != FM_FLAG_BOOL)
        g_string_append_printf (valued, " %s", f->name);
      if (f->letter)
        g_print ("-%c ", f->letter);
      if (f->letter && f->kind != FM_FLAG_BOOL)
        g_string_append_printf (valued, " -%c", f->letter);
    }
  g_print ("--help'\n      valued='%s '\n      words='%s' ;;\n", valued->str, words);
}

static void
print_bash (void)
{
  g_print ("# bash completion for formarium; written by `formarium completion bash`.\n"
           "_formarium ()\n{\n"
           "  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} flags= valued= words=\n"
           "  COMPREPLY=()\n"
           "  if [ \"$COMP_CWORD\" -eq 1 ] || { [ \"$COMP_CWORD\" -eq 2 ] && [ \"$before\" = help ]; }; then\n"
           "    COMPREPLY=($(compgen -W '");
  for (const FmCommand * const *c = fm_commands (); *c; c++)
    if (!(*c)->hidden)
      g_print ("%s ", (*c)->name);
  g_print ("help --help --version' -- \"$current\"))\n    return\n  fi\n  case ${COMP_WORDS[1]} in\n");
  for (const FmCommand * const *c = fm_commands (); *c; c++)
    if (!(*c)->hidden)
      print_bash_command (*c);
  g_print ("  esac\n"
           "  # A value, and whatever is no flag: file names, which `-o default` gives where nothing else is.\n"
           "  case $valued in *\" $before \"*) return ;; esac\n"
           "  case $current in\n"
           "    -*) COMPREPLY=($(compgen -W \"$flags\" -- \"$current\")) ;;\n"
           "    *) [ \"$COMP_CWORD\" -eq 2 ] && COMPREPLY=($(compgen -W \"$words\" -- \"$current\")) ;;\n"
           "  esac\n  return 0\n}\ncomplete -o default -F _formarium formarium\n");
}

/* --- zsh ----------------------------------------------------------------------------------------------------------*/

/* (transfer full): within '...[HELP]:VALUE:' of _arguments. */
static char *
for_zsh (const char *text)
{
  GString *out = g_string_new (NULL);

  for (const char *c = text; *c; c++)
    if (*c == '\'')
      g_string_append (out, "'\\''");
    else if (strchr ("[]:\\", *c))
      g_string_append_printf (out, "\\%c", *c);
    else
      g_string_append_c (out, *c);
  return g_string_free (out, FALSE);
}

static void
print_zsh_flag (const FmFlag *f, const char *spelled)
{
  g_autofree char *help = for_zsh (f->help), *value = f->value ? for_zsh (f->value) : NULL;
  gboolean file = f->value && (strstr (f->value, "FILE") || strstr (f->value, "FOLDER"));

  g_print (" \\\n        '%s%s[%s]%s%s%s'", f->kind == FM_FLAG_LINES ? "*" : "", spelled, help, value ? ":" : "",
           value ? value : "", !value ? "" : file ? ":_files" : ": ");
}

static void
print_zsh (void)
{
  g_print ("#compdef formarium\n# zsh completion; written by `formarium completion zsh`.\nlocal -a commands\ncommands=(\n");
  for (const FmCommand * const *c = fm_commands (); *c; c++)
    {
      g_autofree char *summary = for_zsh ((*c)->summary);

      if (!(*c)->hidden)
        g_print ("  '%s:%s'\n", (*c)->name, summary);
    }
  g_print ("  'help:Tell more about a subcommand'\n)\n"
           "if (( CURRENT == 2 )); then\n  _describe -t commands subcommand commands\n  return\nfi\n"
           "local command=$words[2]\nshift words\n(( CURRENT-- ))\ncase $command in\n"
           "  help) _describe -t commands subcommand commands ;;\n");
  for (const FmCommand * const *c = fm_commands (); *c; c++)
    {
      g_autofree char *words = fixed_words (*c);

      if ((*c)->hidden)
        continue;
      g_print ("  %s)\n    _arguments", (*c)->name);
      for (const FmFlag *f = (*c)->flags; next_flag (f); f++)
        {
          char letter[] = { '-', f->letter, '\0' };

          print_zsh_flag (f, f->name);
          if (f->letter)
            print_zsh_flag (f, letter);
        }
      g_print (" \\\n        '--help[Tell more]'");
      if (*words)
        g_print (" \\\n        '1:word:(%s)'", words);
      g_print (" \\\n        '*:file:_files' ;;\n");
    }
  g_print ("esac\n");
}

/* --- fish ---------------------------------------------------------------------------------------------------------*/

/* (transfer full): within '...'. */
static char *
for_fish (const char *text)
{
  GString *out = g_string_new (NULL);

  for (const char *c = text; *c; c++)
    {
      if (*c == '\'' || *c == '\\')
        g_string_append_c (out, '\\');
      g_string_append_c (out, *c);
    }
  return g_string_free (out, FALSE);
}

static void
print_fish (void)
{
  g_print ("# fish completion for formarium; written by `formarium completion fish`.\n"
           "complete -c formarium -n __fish_use_subcommand -f -a help -d 'Tell more about a subcommand'\n");
  for (const FmCommand * const *c = fm_commands (); *c; c++)
    {
      g_autofree char *summary = for_fish ((*c)->summary), *words = fixed_words (*c);

      if ((*c)->hidden)
        continue;
      g_print ("complete -c formarium -n __fish_use_subcommand -f -a %s -d '%s'\n", (*c)->name, summary);
      if (*words)
        g_print ("complete -c formarium -n '__fish_seen_subcommand_from %s' -a '%s'\n", (*c)->name, words);
      for (const FmFlag *f = (*c)->flags; next_flag (f); f++)
        {
          g_autofree char *help = for_fish (f->help);
          g_autofree char *letter = f->letter ? g_strdup_printf (" -s %c", f->letter) : g_strdup ("");

          g_print ("complete -c formarium -n '__fish_seen_subcommand_from %s' -l %s%s%s -d '%s'\n", (*c)->name, f->name + 2,
                   letter, f->kind == FM_FLAG_BOOL ? "" : " -r", help);
        }
    }
}

/* --- The subcommand -----------------------------------------------------------------------------------------------*/

static int
run (const FmArgs *args)
{
  static const char * const shells[] = { "bash", "zsh", "fish", NULL };
  const char *shell = fm_args_word (args, 0), *near;

  if (g_str_equal (shell, "bash"))
    print_bash ();
  else if (g_str_equal (shell, "zsh"))
    print_zsh ();
  else if (g_str_equal (shell, "fish"))
    print_fish ();
  else
    {
      near = fm_nearest_name (shell, shells);
      return near ? fm_command_usage ("completion %s: did you mean “%s”?", shell, near)
                  : fm_command_usage ("completion %s: must be bash, zsh or fish", shell);
    }
  return FM_EXIT_OK;
}

static const FmFlag flags[] = { FM_FLAG_END };

const FmCommand fm_command_completion = {
  .name = "completion",
  .summary = "Print what a shell needs to complete subcommands and flags",
  .example = "source <(formarium completion bash)\nformarium completion fish > ~/.config/fish/completions/formarium.fish",
  .usage = "bash|zsh|fish",
  .help = "An installed program needs none of it: the shells find theirs by themselves.",
  .flags = flags,
  .min_words = 1,
  .max_words = 1,
  .run = run,
};
