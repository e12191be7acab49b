/* store.c: `formarium store`: where the results are, whether they are sound, what takes room, giving room back, joining two
 * stores, and a name, tags and a note for what lies there. */
#include "config.h"

#include "app/command/command.h"
#include "app/results/format.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct
{
  const char *name;
  const char *words; /* behind the name */
  const char *flags; /* it knows, with a space behind each; --store all */
  guint       min_words, max_words;
  FmStoreMode mode;
  int       (*run) (const FmArgs *args, FmStore *store, GError **error);
} Verb;

static char *
megabytes (gint64 bytes)
{
  g_autofree char *text = fm_format_megabytes (bytes);

  return g_strdup_printf ("%s MB", text);
}

/* "1 run", "15 runs". */
static char *
counted (gint64 n, const char *thing)
{
  return g_strdup_printf ("%" G_GINT64_FORMAT " %s%s", n, thing, n == 1 ? "" : "s");
}

/* --- Check and size -----------------------------------------------------------------------------------------------*/

static int
check (const FmArgs *args, FmStore *store, GError **error)
{
  g_autoptr (GPtrArray) faults = NULL;

  if (!fm_store_check (store, error) || (faults = fm_store_check_artifacts (store, error)) == NULL)
    return FM_EXIT_INPUT;
  for (guint i = 0; i < faults->len; i++)
    g_print ("%s\n", (char *) g_ptr_array_index (faults, i));
  if (faults->len > 0)
    return fm_command_usage ("%u of the files beside %s %s; their numbers are sound, restore the files from a copy",
                             faults->len, fm_store_get_path (store), faults->len == 1 ? "is damaged" : "are damaged");
  g_print ("%s: sound\n", fm_store_get_path (store));
  return FM_EXIT_OK;
}

static void
add_rows (JsonObject *object, const char *name, GPtrArray *rows)
{
  JsonArray *array = json_array_new ();

  for (guint i = 0; i < rows->len; i++)
    {
      const FmSizeRow *row = g_ptr_array_index (rows, i);
      JsonObject *item = json_object_new ();

      json_object_set_string_member (item, row->batch ? "title" : "kind", row->name);
      if (row->batch)
        {
          json_object_set_int_member (item, "batch_id", row->batch);
          json_object_set_int_member (item, "alone_bytes", row->alone_bytes);
        }
      json_object_set_int_member (item, row->batch ? "runs" : "files", row->count);
      json_object_set_int_member (item, "bytes", row->bytes);
      json_array_add_object_element (array, item);
    }
  json_object_set_array_member (object, name, array);
}

static int
size_as_json (const FmStoreSize *size)
{
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_OBJECT);
  JsonObject *object = json_object_new ();

  json_node_take_object (node, object);
  json_object_set_int_member (object, "file_bytes", size->file_bytes);
  json_object_set_int_member (object, "log_bytes", size->log_bytes);
  add_rows (object, "kinds", size->kinds);
  add_rows (object, "batches", size->batches);
  return fm_command_print_json (node);
}

static int
print_size (const FmArgs *args, FmStore *store, GError **error)
{
  g_autoptr (FmStoreSize) size = fm_store_load_size (store, error);
  g_autofree char *file = NULL, *log = NULL;

  if (size == NULL)
    return FM_EXIT_INPUT;
  if (fm_args_has (args, "--json"))
    return size_as_json (size);
  file = megabytes (size->file_bytes);
  log = megabytes (size->log_bytes);
  g_print ("%s: %s, its log %s\n\n", fm_store_get_path (store), file, log);
  for (guint i = 0; i < size->kinds->len; i++)
    {
      const FmSizeRow *row = g_ptr_array_index (size->kinds, i);
      g_autofree char *bytes = megabytes (row->bytes), *files = row->count ? counted (row->count, "file") : g_strdup ("");

      g_print ("%-26s %14s   %s\n", row->name, bytes, files);
    }
  if (size->batches->len > 0)
    g_print ("\n%-6s %-32s %6s %14s %14s\n", "batch", "title", "runs", "files", "its alone");
  for (guint i = 0; i < size->batches->len; i++)
    {
      const FmSizeRow *row = g_ptr_array_index (size->batches, i);
      g_autofree char *bytes = megabytes (row->bytes), *alone = megabytes (row->alone_bytes);

      g_print ("%-6" G_GINT64_FORMAT " %-32s %6" G_GINT64_FORMAT " %14s %14s\n", row->batch, row->name, row->count, bytes,
               alone);
    }
  return FM_EXIT_OK;
}

/* --- Giving room back ---------------------------------------------------------------------------------------------*/

static int
prune (const FmArgs *args, FmStore *store, GError **error)
{
  gboolean dry = fm_args_has (args, "--dry-run");
  g_autofree char *bytes = NULL, *files = NULL, *leftovers = NULL;
  FmFreed freed;

  if (!fm_args_has (args, "--checkpoints"))
    return fm_command_usage ("store prune: say what: --checkpoints (numbers and maps stay; Explore and a later stage that "
                             "starts from them need them)");
  if (!fm_store_prune_checkpoints (store, dry, &freed, error))
    return FM_EXIT_INPUT;
  bytes = megabytes (freed.bytes + freed.leftover_bytes);
  files = counted (freed.files, "checkpoint");
  leftovers = counted (freed.leftovers, "file");
  g_print ("%s %s: %s that nothing waits for, %s that no result names\n", dry ? "Would free" : "Freed", bytes, files,
           leftovers);
  return FM_EXIT_OK;
}

/* Asks on a terminal; elsewhere only --yes will do. */
static gboolean
is_confirmed (const FmArgs *args)
{
  char answer[8] = "";

  if (fm_args_has (args, "--yes"))
    return TRUE;
  if (!isatty (STDIN_FILENO))
    return FALSE;
  g_printerr ("Delete it? [y/N] ");
  return fgets (answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}

static int
delete_one (const FmArgs *args, FmStore *store, GError **error)
{
  gint64 batch = fm_store_find_batch (store, fm_args_word (args, 1), error);
  g_autoptr (FmBatchRecord) record = batch > 0 ? fm_store_load_batch (store, batch, error) : NULL;
  g_autofree char *bytes = NULL, *runs = NULL, *stages = NULL, *files = NULL;
  FmFreed freed;

  if (record == NULL || !fm_store_delete_batch (store, batch, TRUE, &freed, error))
    return FM_EXIT_INPUT;
  bytes = megabytes (freed.bytes);
  runs = counted (freed.runs, "run");
  stages = counted (freed.stages, "stage");
  files = counted (freed.files, "file");
  g_printerr ("Batch %" G_GINT64_FORMAT " (%s): %s, %s that no other batch has, %s of %s\n", batch, record->title, runs,
              stages, files, bytes);
  if (fm_args_has (args, "--dry-run"))
    return FM_EXIT_OK;
  if (!is_confirmed (args))
    return fm_command_usage ("Nothing was deleted; say --yes to delete batch %" G_GINT64_FORMAT, batch);
  if (!fm_store_delete_batch (store, batch, FALSE, &freed, error))
    return FM_EXIT_INPUT;
  g_print ("Deleted batch %" G_GINT64_FORMAT "\n", batch);
  return FM_EXIT_OK;
}

/* --- Merge --------------------------------------------------------------------------------------------------------*/

static int
merge (const FmArgs *args, FmStore *store, GError **error)
{
  g_autoptr (FmMergeReport) report = fm_store_merge (store, fm_args_word (args, 1), error);
  g_autofree char *batches = NULL, *runs = NULL, *stages = NULL, *files = NULL, *bytes = NULL;

  if (report == NULL)
    return FM_EXIT_INPUT;
  for (guint i = 0; i < report->conflicts->len; i++)
    g_printerr ("%s\n", (char *) g_ptr_array_index (report->conflicts, i));
  batches = counted (report->batches, "batch");
  if (report->batches != 1)
    {
      g_free (batches);
      batches = g_strdup_printf ("%" G_GINT64_FORMAT " batches", report->batches);
    }
  runs = counted (report->runs, "run");
  stages = counted (report->stages, "stage");
  files = counted (report->files, "file");
  bytes = megabytes (report->bytes);
  g_print ("Came in: %s, %s, %s, %s of %s. Known on both sides: %" G_GINT64_FORMAT ". Conflicts: %u\n", batches, runs,
           stages, files, bytes, report->same, report->conflicts->len);
  return report->conflicts->len > 0 ? FM_EXIT_DIFFERENT : FM_EXIT_OK;
}

/* --- Names, tags, notes -------------------------------------------------------------------------------------------*/

/* What is meant: the run of `--run ID`, else the batch of the first word; @next (out): index of the first word behind. */
static gboolean
find_labelled (const FmArgs *args, FmStore *store, FmLabelled *what, gint64 *id, guint *next, GError **error)
{
  const char *run = fm_args_get (args, "--run");

  *what = run ? FM_LABELLED_RUN : FM_LABELLED_BATCH;
  *next = run ? 1 : 2;
  if (run == NULL)
    {
      *id = fm_args_word (args, 1) ? fm_store_find_batch (store, fm_args_word (args, 1), error) : 0;
      if (fm_args_word (args, 1) == NULL)
        g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "Name a batch, or a run with --run ID");
      return *id > 0;
    }
  return g_ascii_string_to_signed (run, 10, 1, G_MAXINT64, id, NULL)
         || (g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
                          "--run %s: must be a run's number; `formarium results --json` shows each run_id", run),
             FALSE);
}

static int
label (const FmArgs *args, FmStore *store, GError **error)
{
  const char *verb = fm_args_word (args, 0), *text;
  FmLabelled what;
  gboolean ok;
  gint64 id;
  guint next;

  if (!find_labelled (args, store, &what, &id, &next, error))
    return FM_EXIT_INPUT;
  text = fm_args_word (args, next);
  if (text == NULL && !fm_args_has (args, "--remove"))
    return fm_command_usage ("store %s: say the text, or --remove", verb);
  if (text != NULL && (fm_args_word (args, next + 1) != NULL || fm_args_has (args, "--remove")))
    return fm_command_usage ("store %s: one text in quotes, or --remove alone", verb);
  ok = g_str_equal (verb, "name") ? fm_store_set_name (store, what, id, text, error)
                                  : fm_store_set_note (store, what, id, text, error);
  return ok ? FM_EXIT_OK : FM_EXIT_INPUT;
}

static int
tag (const FmArgs *args, FmStore *store, GError **error)
{
  FmLabelled what;
  gint64 id;
  guint next;

  if (!find_labelled (args, store, &what, &id, &next, error))
    return FM_EXIT_INPUT;
  if (fm_args_word (args, next) == NULL)
    return fm_command_usage ("store tag: say at least one tag");
  if (!fm_store_begin (store, error)) /* all tags or none */
    return FM_EXIT_INPUT;
  for (guint i = next; i < fm_args_count (args); i++)
    if (!fm_store_set_tag (store, what, id, fm_args_word (args, i), !fm_args_has (args, "--remove"), error))
      {
        fm_store_rollback (store);
        return FM_EXIT_INPUT;
      }
  return fm_store_commit (store, error) ? FM_EXIT_OK : FM_EXIT_INPUT;
}

/* --- The table of verbs -------------------------------------------------------------------------------------------*/

static const Verb verbs[] = {
  { "path", "", "", 1, 1, FM_STORE_READ, NULL },
  { "check", "", "", 1, 1, FM_STORE_READ, check },
  { "size", "", "--json ", 1, 1, FM_STORE_READ, print_size },
  { "prune", "--checkpoints", "--checkpoints --dry-run ", 1, 1, FM_STORE_WRITE, prune },
  { "delete", "BATCH", "--dry-run --yes ", 2, 2, FM_STORE_WRITE, delete_one },
  { "merge", "FILE", "", 2, 2, FM_STORE_WRITE, merge },
  { "name", "BATCH TEXT", "--run --remove ", 1, 3, FM_STORE_WRITE, label },
  { "note", "BATCH TEXT", "--run --remove ", 1, 3, FM_STORE_WRITE, label },
  { "tag", "BATCH TAG...", "--run --remove ", 1, G_MAXUINT, FM_STORE_WRITE, tag },
};

static const FmFlag flags[] = {
  { "--store", 0, FM_FLAG_TEXT, "FILE", "Another store than the default" },
  { "--json", 0, FM_FLAG_BOOL, NULL, "size: as JSON, in bytes" },
  { "--checkpoints", 0, FM_FLAG_BOOL, NULL, "prune: checkpoints of ended stages that no stage still to run starts from" },
  { "--dry-run", 0, FM_FLAG_BOOL, NULL, "prune, delete: only say what it would free" },
  { "--yes", 0, FM_FLAG_BOOL, NULL, "delete: do not ask" },
  { "--run", 0, FM_FLAG_TEXT, "ID", "name, note, tag: a run in place of a batch" },
  { "--remove", 0, FM_FLAG_BOOL, NULL, "name, note, tag: take it away" },
  FM_FLAG_END
};

/* One that exists alone: a verb that only looks or takes away must not make a store. */
static FmStore *
open_existing (const FmArgs *args, const Verb *verb, GError **error)
{
  g_autoptr (FmStore) store = NULL;

  if (verb->mode == FM_STORE_WRITE && !g_str_equal (verb->name, "merge"))
    {
      store = fm_command_open_store (args, FM_STORE_READ, error);
      if (store == NULL)
        return NULL;
      g_clear_pointer (&store, fm_store_close);
    }
  return fm_command_open_store (args, verb->mode, error);
}

static int
run_verb (const FmArgs *args, const Verb *verb)
{
  g_autoptr (FmStore) store = NULL;
  g_autoptr (GError) error = NULL;
  guint n = fm_args_count (args);
  int status;

  if (n < verb->min_words || n > verb->max_words)
    return fm_command_usage ("store %s takes %s", verb->name, *verb->words ? verb->words : "no words");
  for (const FmFlag *flag = flags + 1; flag->name; flag++)
    {
      g_autofree char *known = g_strconcat (flag->name, " ", NULL);

      if (fm_args_has (args, flag->name) && strstr (verb->flags, known) == NULL)
        return fm_command_usage ("store %s has no flag '%s'", verb->name, flag->name);
    }
  if (verb->run == NULL)
    {
      g_autofree char *path = fm_args_has (args, "--store") ? g_strdup (fm_args_get (args, "--store"))
                                                            : fm_store_default_path ();

      g_print ("%s\n", path);
      return FM_EXIT_OK;
    }
  store = open_existing (args, verb, &error);
  if (store == NULL)
    return fm_command_error (g_steal_pointer (&error));
  status = verb->run (args, store, &error);
  return error ? fm_command_error (g_steal_pointer (&error)) : status;
}

static int
run (const FmArgs *args)
{
  const char *names[G_N_ELEMENTS (verbs) + 1] = { NULL }, *word = fm_args_word (args, 0), *near;

  for (guint i = 0; i < G_N_ELEMENTS (verbs); i++)
    if (g_str_equal ((names[i] = verbs[i].name), word))
      return run_verb (args, &verbs[i]);
  near = fm_nearest_name (word, names);
  return near ? fm_command_usage ("store %s: did you mean “%s”?", word, near)
              : fm_command_usage ("store %s: must be path, check, size, prune, delete, merge, name, note or tag", word);
}

const FmCommand fm_command_store = {
  .name = "store",
  .summary = "Say where the results are kept, check, join and tidy them, write names, tags and notes on them",
  .example = "sqlite3 \"$(formarium store path)\" 'select * from results'\nformarium store check\nformarium store size\n"
             "formarium store prune --checkpoints --dry-run\nformarium store delete first.batch\n"
             "formarium store merge /media/other/formarium.db\nformarium store name first.batch \"Windows of March\"\n"
             "formarium store note --run 12 \"the fan was loud\"\nformarium store tag first.batch paper draft",
  .usage = "path|check|size|prune|delete BATCH|merge FILE|name BATCH TEXT|note BATCH TEXT|tag BATCH TAG...",
  .help = "check looks at every row and every file. merge takes what FILE has and this store has not, stage by stage; what\n"
          "both have in two ways is named and stays as it is here (exit status 4). prune keeps all numbers and maps; Explore\n"
          "needs checkpoints. BATCH is a number, a name, a title or a file name. Names, tags and notes are shown by\n"
          "`formarium results`, and `formarium results --find TEXT` looks for them.",
  .flags = flags,
  .min_words = 1,
  .max_words = G_MAXUINT,
  .run = run,
};
