/* store.c: `formarium store path|check`: where the results are, and whether they are sound. */
#include "config.h"

#include "app/command/command.h"

static int
run (const FmArgs *args)
{
  static const char * const verbs[] = { "path", "check", NULL };
  const char *verb = fm_args_word (args, 0), *near;
  GError *error = NULL;

  if (g_str_equal (verb, "path"))
    {
      g_autofree char *path = fm_args_has (args, "--store") ? g_strdup (fm_args_get (args, "--store"))
                                                            : fm_store_default_path ();

      g_print ("%s\n", path);
      return FM_EXIT_OK;
    }
  if (g_str_equal (verb, "check"))
    {
      g_autoptr (FmStore) store = fm_command_open_store (args, FM_STORE_READ, &error);

      if (store == NULL || !fm_store_check (store, &error))
        return fm_command_error (error);
      g_print ("%s: sound\n", fm_store_get_path (store));
      return FM_EXIT_OK;
    }
  near = fm_nearest_name (verb, verbs);
  return near ? fm_command_usage ("store %s: did you mean “%s”?", verb, near)
              : fm_command_usage ("store %s: must be path or check", verb);
}

static const FmFlag flags[] = {
  { "--store", 0, FM_FLAG_TEXT, "FILE", "Another store than the default" },
  FM_FLAG_END
};

const FmCommand fm_command_store = {
  .name = "store",
  .summary = "Say where the results are kept, or check them",
  .example = "sqlite3 \"$(formarium store path)\" 'select * from results'\nformarium store check",
  .usage = "path|check",
  .flags = flags,
  .min_words = 1,
  .max_words = 1,
  .run = run,
};
