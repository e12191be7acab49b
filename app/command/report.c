/* report.c: `formarium report BATCH -o FILE`: a batch as a document. */
#include "config.h"

#include "app/command/command.h"
#include "app/report/report.h"

#include <stdio.h>

static int
run (const FmArgs *args)
{
  const char *path = fm_args_get (args, "--output");
  g_autoptr (GError) error = NULL;
  g_autoptr (FmStore) store = NULL;
  gint64 batch = 0;

  if (fm_args_has (args, "--schema"))
    {
      g_autofree char *schema = fm_report_schema ();

      if (fputs (schema, stdout) < 0 || fflush (stdout) != 0)
        return fm_command_usage ("Standard output cannot be written");
      return FM_EXIT_OK;
    }
  if (path == NULL)
    return fm_command_usage ("'report' needs -o FILE, which ends in .html, .pdf, .tex, .md, .csv or .json");
  store = fm_command_open_store (args, FM_STORE_READ, &error);
  if (store)
    batch = fm_store_find_batch (store, fm_args_word (args, 0), &error);
  if (batch <= 0 || !fm_report_write (store, batch, path, &error))
    return fm_command_error (g_steal_pointer (&error));
  g_printerr ("Wrote %s\n", path);
  return FM_EXIT_OK;
}

static const FmFlag flags[] = {
  { "--output", 'o', FM_FLAG_TEXT, "FILE", "What to write: .html, .pdf, .tex, .md, .csv or .json" },
  { "--schema", 0, FM_FLAG_BOOL, NULL, "Print the JSON Schema that every .json keeps, and write nothing" },
  { "--store", 0, FM_FLAG_TEXT, "FILE", "Database in place of the default one" },
  FM_FLAG_END
};

const FmCommand fm_command_report = {
  .name = "report",
  .summary = "Write what a batch found as a document",
  .example = "formarium report first.batch -o report.html",
  .usage = "[BATCH]",
  .help = "BATCH is a number, a title or a file name; without it the newest batch is meant.",
  .flags = flags,
  .max_words = 1,
  .run = run,
};
