/* bundle.c: `formarium bundle BATCH -o FILE`, and `formarium bundle --open FILE` on another machine. */
#include "config.h"

#include "app/command/command.h"
#include "app/results/format.h"
#include "app/run/bundle.h"

static int
write_one (const FmArgs *args)
{
  const char *path = fm_args_get (args, "--output");
  g_autoptr (GError) error = NULL;
  g_autoptr (FmStore) store = NULL;
  g_autofree char *summary = NULL;
  gint64 batch;

  if (path == NULL)
    return fm_command_usage ("'bundle' needs -o FILE, or --open FILE to take one in");
  store = fm_command_open_store (args, FM_STORE_READ, &error);
  batch = store ? fm_store_find_batch (store, fm_args_word (args, 0), &error) : 0;
  if (batch <= 0 || !fm_bundle_write (store, batch, path, fm_args_has (args, "--checkpoints"), &summary, &error))
    return fm_command_error (g_steal_pointer (&error));
  g_printerr ("Wrote %s: %s. Elsewhere: formarium reproduce %s\n", path, summary, path);
  return FM_EXIT_OK;
}

static int
open_one (const FmArgs *args)
{
  const char *path = fm_args_get (args, "--open");
  g_autoptr (GError) error = NULL;
  g_autoptr (FmBundle) bundle = NULL;
  g_autoptr (FmStore) store = NULL;
  g_autoptr (FmMergeReport) report = NULL;
  g_autofree char *runs = NULL, *stages = NULL, *conflicts = NULL;
  gint64 batch;

  if (fm_args_count (args) > 0 || fm_args_has (args, "--output") || fm_args_has (args, "--checkpoints"))
    return fm_command_usage ("'bundle --open FILE' takes nothing else but --store");
  /* All that can be wrong with the file is found before the store is opened, which may make it. */
  bundle = fm_bundle_open (path, &error);
  if (bundle == NULL)
    return fm_command_error (g_steal_pointer (&error));
  store = fm_command_open_store (args, FM_STORE_WRITE, &error);
  report = store ? fm_store_merge (store, fm_store_get_path (fm_bundle_get_store (bundle)), &error) : NULL;
  batch = report ? fm_store_find_batch_by_key (store, fm_bundle_get_key (bundle), &error) : -1;
  if (batch < 0)
    return fm_command_error (g_steal_pointer (&error));
  for (guint i = 0; i < report->conflicts->len; i++)
    g_printerr ("%s\n", (char *) g_ptr_array_index (report->conflicts, i));
  for (guint i = 0; i < fm_bundle_get_notes (bundle)->len; i++)
    g_printerr ("Note: %s\n", (char *) g_ptr_array_index (fm_bundle_get_notes (bundle), i));
  runs = fm_format_counted (report->runs, "run");
  stages = fm_format_counted (report->stages, "stage");
  conflicts = fm_format_counted (report->conflicts->len, "conflict");
  g_print ("%s: batch %" G_GINT64_FORMAT " (%s); came in: %s, %s; known already: %" G_GINT64_FORMAT "; %s\n", path,
           batch, fm_bundle_get_title (bundle), runs, stages, report->same, conflicts);
  g_printerr ("To do it again: formarium reproduce %s\n", path);
  return report->conflicts->len > 0 ? FM_EXIT_DIFFERENT : FM_EXIT_OK;
}

static int
run (const FmArgs *args)
{
  return fm_args_has (args, "--open") ? open_one (args) : write_one (args);
}

static const FmFlag flags[] = {
  { "--output", 'o', FM_FLAG_TEXT, "FILE", "The file to write, a tar file" },
  { "--checkpoints", 0, FM_FLAG_BOOL, NULL, "Pack the trained weights, too" },
  { "--open", 0, FM_FLAG_TEXT, "FILE", "Check a bundle and take its rows and files into the store" },
  { "--store", 0, FM_FLAG_TEXT, "FILE", "Database in place of the default one" },
  FM_FLAG_END
};

const FmCommand fm_command_bundle = {
  .name = "bundle",
  .summary = "Pack a batch with all its rows into one file that another machine can replay",
  .example = "formarium bundle first.batch -o first.tar\nformarium bundle --open first.tar\n"
             "formarium reproduce first.tar",
  .usage = "[BATCH]",
  .help = "The file is a plain tar: the rows as a store, the batch file's text, the files that rows name, hashes of\n"
          "plugins and data in manifest.json, and SHA256SUMS, which `sha256sum -c` checks. BATCH is a number, a name, a\n"
          "title or a file name; without it the newest batch is meant. --open checks every hash and row first and then\n"
          "does what `formarium store merge` does; `formarium reproduce FILE` replays a bundle and leaves the store alone.",
  .flags = flags,
  .max_words = 1,
  .run = run,
};
