/* results.c: `formarium results [BATCH]`: the table of a batch. */
#include "config.h"

#include "app/command/command.h"

static int
run (const FmArgs *args)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmStore) store = fm_command_open_store (args, FM_STORE_READ, &error);
  gint64 batch = 0;

  if (store && fm_args_has (args, "--all"))
    return fm_command_print_results (store, 0, TRUE);
  if (store)
    batch = fm_store_find_batch (store, fm_args_word (args, 0), &error);
  if (batch <= 0)
    return fm_command_error (g_steal_pointer (&error));
  return fm_command_print_results (store, batch, fm_args_has (args, "--json"));
}

static const FmFlag flags[] = {
  { "--json", 0, FM_FLAG_BOOL, NULL, "An array with one object a run, fields named as in the view results" },
  { "--all", 0, FM_FLAG_BOOL, NULL, "The runs of every batch, as JSON" },
  { "--store", 0, FM_FLAG_TEXT, "FILE", "Database in place of the default one" },
  FM_FLAG_END
};

const FmCommand fm_command_results = {
  .name = "results",
  .summary = "Print the table of a batch",
  .example = "formarium results\nformarium results first.batch --json",
  .usage = "[BATCH]",
  .help = "BATCH is a number, a title or a file name; without it the newest batch is meant.",
  .flags = flags,
  .max_words = 1,
  .run = run,
};
