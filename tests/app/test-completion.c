/* test-completion.c: what the shells are told: every flag of every subcommand that the help shows, and in bash, words too. */
#include "program.h"

#include <glib/gstdio.h>
#include <string.h>

/* (transfer full) (element-type utf8): first words of the lines behind @head in the help of @command (nullable). */
static GPtrArray *
listed (const char *command, const char *head)
{
  GPtrArray *found = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (Run) help = program (command ? command : "--help", command ? "--help" : NULL, NULL);
  g_auto (GStrv) lines = NULL;
  const char *at = strstr (help->out, head);

  g_assert_cmpint (help->status, ==, 0);
  lines = g_strsplit (at ? at + strlen (head) : "", "\n", -1);
  for (guint i = 0; lines[i] && (i == 0 || *lines[i]); i++)
    {
      const char *word = lines[i] + strspn (lines[i], " ");

      if (strncmp (lines[i], "  ", 2) != 0 || word - lines[i] > 2)
        continue;
      if (word[0] == '-' && word[1] != '-' && word[2] == ',') /* "-o, --output" */
        word += 4;
      g_ptr_array_add (found, g_strndup (word, strcspn (word, " ")));
    }
  return found;
}

/* What bash offers for @words, the last of which is being typed. */
static char *
offered (const char *script, const char *words)
{
  g_autofree char *code = g_strdup_printf ("%s\nCOMP_WORDS=(formarium %s)\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_formarium\n"
                                           "echo \" ${COMPREPLY[*]} \"\n", script, words);
  const char *argv[] = { "bash", "-c", code, NULL };
  char *out = NULL;
  gint status = 1;

  g_assert_true (g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, NULL, &status, NULL));
  g_assert_cmpint (status, ==, 0);
  return out;
}

static void
assert_offers (const char *all, const char *word, const char *where)
{
  g_autofree char *spaced = g_strdup_printf (" %s ", word);

  if (strstr (all, spaced) == NULL)
    g_error ("%s: %s is not offered among %s", where, word, all);
}

static void
test_flags (void)
{
  g_autoptr (Run) bash = program ("completion", "bash", NULL), zsh = program ("completion", "zsh", NULL);
  g_autoptr (Run) fish = program ("completion", "fish", NULL);
  g_autoptr (GPtrArray) commands = listed (NULL, "Subcommands:\n");
  g_autofree char *first = offered (bash->out, "''");
  guint n_flags = 0;

  g_assert_cmpuint (commands->len, >, 10);
  for (guint i = 0; i < commands->len; i++)
    {
      const char *command = g_ptr_array_index (commands, i);
      g_autoptr (GPtrArray) flags = listed (command, "\nFlags:\n");
      g_autofree char *words = g_strdup_printf ("%s -", command), *all = offered (bash->out, words);
      g_autofree char *zsh_head = g_strdup_printf ("\n  %s)\n", command);
      const char *zsh_at = strstr (zsh->out, zsh_head);
      g_autofree char *zsh_part = NULL;

      assert_offers (first, command, "first word");
      g_assert_nonnull (zsh_at);
      zsh_part = g_strndup (zsh_at, strstr (zsh_at, ";;\n") - zsh_at);
      for (guint k = 0; k < flags->len; k++, n_flags++)
        {
          const char *flag = g_ptr_array_index (flags, k);
          g_autofree char *in_zsh = g_strdup_printf ("%s[", flag);
          g_autofree char *in_fish = g_strdup_printf ("'__fish_seen_subcommand_from %s' -l %s ", command, flag + 2);

          assert_offers (all, flag, command);
          if (strstr (zsh_part, in_zsh) == NULL)
            g_error ("zsh: %s of %s is missing", flag, command);
          if (strstr (fish->out, in_fish) == NULL)
            g_error ("fish: %s of %s is missing", flag, command);
        }
    }
  g_test_message ("%u subcommands, %u flags", commands->len, n_flags);
  g_assert_cmpuint (n_flags, >, 50);
}

static void
test_bash (void)
{
  g_autoptr (Run) bash = program ("completion", "bash", NULL), wrong = program ("completion", "bsh", NULL);
  g_autofree char *verbs = offered (bash->out, "store m"), *value = offered (bash->out, "run --store f");
  g_autofree char *part = offered (bash->out, "run x.batch --dry"), *help = offered (bash->out, "help re");

  g_assert_cmpstr (verbs, ==, " merge \n");
  g_assert_cmpstr (value, ==, "  \n"); /* nothing of ours: bash offers files */
  g_assert_cmpstr (part, ==, " --dry-run \n");
  assert_offers (help, "report", "help");
  g_assert_cmpint (wrong->status, ==, 2);
  g_assert_nonnull (strstr (wrong->err, "did you mean “bash”?"));
}

/* Where a shell is here, it takes its script. */
static void
test_syntax (void)
{
  static const char * const shells[] = { "bash", "zsh", "fish" };
  guint tried = 0;

  for (guint i = 0; i < G_N_ELEMENTS (shells); i++)
    {
      g_autoptr (Run) script = program ("completion", shells[i], NULL);
      g_autofree char *path = g_find_program_in_path (shells[i]), *file = NULL;
      const char *argv[] = { shells[i], "-n", NULL, NULL };
      gint status = 1, fd;

      if (path == NULL)
        continue;
      fd = g_file_open_tmp ("fm-XXXXXX", &file, NULL);
      g_assert_cmpint (fd, >=, 0);
      g_assert_true (g_file_set_contents (file, script->out, -1, NULL));
      argv[2] = file;
      g_assert_true (g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, NULL));
      g_assert_cmpint (status, ==, 0);
      g_unlink (file);
      g_close (fd, NULL);
      tried++;
    }
  g_test_message ("%u shells", tried);
}

int
main (int argc, char **argv)
{
  g_autoptr (Place) place = NULL;

  g_test_init (&argc, &argv, NULL);
  place = place_new ();
  g_test_add_func ("/completion/flags", test_flags);
  g_test_add_func ("/completion/bash", test_bash);
  g_test_add_func ("/completion/syntax", test_syntax);
  return g_test_run ();
}
