/* figure.c: `formarium figure NAME [BATCH] -o FILE`: one figure of a report as a picture, or the numbers behind it. */
#include "config.h"

#include "app/command/command.h"
#include "app/report/report.h"

#include <stdio.h>
#include <string.h>

/* "880x440" */
static gboolean
read_size (const char *text, gdouble *width, gdouble *height, GError **error)
{
  char *end;

  if (text == NULL)
    return TRUE;
  *width = (gdouble) g_ascii_strtoull (text, &end, 10);
  if (end != text && *end == 'x')
    {
      const char *second = end + 1;

      *height = (gdouble) g_ascii_strtoull (second, &end, 10);
      if (end != second && *end == '\0' && *width >= 100 && *width <= 4000 && *height >= 100 && *height <= 4000)
        return TRUE;
    }
  g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
               "--size %s: must be WIDTHxHEIGHT in px, each 100 to 4000, as 880x440", text);
  return FALSE;
}

static int
run (const FmArgs *args)
{
  const char *path = fm_args_get (args, "--output");
  const FmFigureStyle style = fm_args_has (args, "--dark") ? FM_FIGURE_STYLE_DARK : FM_FIGURE_STYLE_PRINT;
  g_autoptr (GError) error = NULL;
  g_autoptr (FmStore) store = NULL;
  g_autofree char *caption = NULL;
  gdouble width = 640, height = 360;
  gint64 batch = 0;

  if (path == NULL || !g_regex_match_simple ("\\.(svg|png|pdf|csv)$", path, 0, 0))
    return fm_command_usage ("'figure' needs -o FILE, which ends in .svg, .png, .pdf or .csv");
  if (!read_size (fm_args_get (args, "--size"), &width, &height, &error))
    return fm_command_error (g_steal_pointer (&error));
  store = fm_command_open_store (args, FM_STORE_READ, &error);
  if (store)
    batch = fm_store_find_batch (store, fm_args_word (args, 1), &error);
  if (batch > 0)
    caption = fm_report_write_figure (store, batch, fm_args_word (args, 0), width, height, &style, path, &error);
  if (caption == NULL)
    return fm_command_error (g_steal_pointer (&error));
  g_printerr ("Wrote %s: %s\n", path, caption);
  return FM_EXIT_OK;
}

static const FmFlag flags[] = {
  { "--output", 'o', FM_FLAG_TEXT, "FILE", "A picture (.svg, .png, .pdf) or the numbers behind it (.csv)" },
  { "--size", 0, FM_FLAG_TEXT, "WxH", "Size in px, 640x360 otherwise" },
  { "--dark", 0, FM_FLAG_BOOL, NULL, "For a dark page; for paper otherwise" },
  { "--store", 0, FM_FLAG_TEXT, "FILE", "Database in place of the default one" },
  FM_FLAG_END
};

const FmCommand fm_command_figure = {
  .name = "figure",
  .summary = "Write one figure of a batch as a picture or as numbers",
  .example = "formarium figure plot first.batch -o plot.svg",
  .usage = "NAME [BATCH]",
  .help =
      "NAME: plot (accuracy against latency, with memory), accuracy and loss (curves over training), scaling and\n"
      "scaling-memory (cost against length, where a batch has several lengths); on several tasks, lengths or devices\n"
      "plot-1, plot-2, ... in the order of the batch; verdicts, where it is a claim. `map` and `routing` draw what one "
      "run\n"
      "looks at. BATCH as in `report`.",
  .flags = flags,
  .min_words = 1,
  .max_words = 2,
  .run = run,
};
