/* results.c: `formarium results [BATCH]`: the table of a batch. */
#include "config.h"

#include "app/command/command.h"
#include "app/results/results.h"

#include <math.h>

/* The roof of a run's device; (nullable): NULL where it was not measured. */
static FmRoofRecord *
roof_of (FmStore *store, gint64 run)
{
  g_autoptr (FmRunRecord) record = fm_store_load_run (store, run, NULL);
  g_autoptr (FmDeviceRecord) device = record ? fm_store_load_device (store, record->device, NULL) : NULL;

  return device && device->name && device->driver
             ? fm_store_load_roof (store, device->name, device->driver, device->threads, NULL)
             : NULL;
}

static void
add_op (JsonArray *rows, const FmResultRow *r, const FmOpProfileRow *op, gdouble all, const FmRoofRecord *roof)
{
  JsonObject *row = json_object_new ();

  json_object_set_int_member (row, "run_id", r->run_id);
  json_object_set_string_member (row, "variant", r->variant);
  json_object_set_int_member (row, "seed", r->seed);
  json_object_set_string_member (row, "op", op->op);
  json_object_set_int_member (row, "calls", op->calls);
  json_object_set_double_member (row, "seconds", op->seconds);
  json_object_set_double_member (row, "share", op->seconds / all);
  json_object_set_double_member (row, "gflop_per_s", op->flops / op->seconds / 1e9);
  json_object_set_double_member (row, "gbyte_per_s", op->bytes / op->seconds / 1e9);
  if (roof)
    {
      gdouble bandwidth = fmax (roof->read_gbyte_per_s, roof->copy_gbyte_per_s); /* a NAN gives the other one */

      json_object_set_double_member (row, "roof_share", fmax (op->flops / roof->peak_gflop_per_s, op->bytes / bandwidth)
                                                            / 1e9 / op->seconds);
    }
  json_array_add_object_element (rows, row);
}

static void
print_ops (JsonArray *rows)
{
  gint64 run = -1;

  for (guint i = 0; i < json_array_get_length (rows); i++)
    {
      JsonObject *row = json_array_get_object_element (rows, i);

      if (json_object_get_int_member (row, "run_id") != run)
        {
          run = json_object_get_int_member (row, "run_id");
          g_print ("%s%s, seed %" G_GINT64_FORMAT "\n%-28s %8s %7s %9s %8s %6s\n", i ? "\n" : "",
                   json_object_get_string_member (row, "variant"), json_object_get_int_member (row, "seed"), "op", "calls",
                   "share", "GFLOP/s", "GB/s", "roof");
        }
      g_print ("%-28s %8" G_GINT64_FORMAT " %6.1f%% %9.1f %8.1f", json_object_get_string_member (row, "op"),
               json_object_get_int_member (row, "calls"), 100 * json_object_get_double_member (row, "share"),
               json_object_get_double_member (row, "gflop_per_s"), json_object_get_double_member (row, "gbyte_per_s"));
      if (json_object_has_member (row, "roof_share"))
        g_print (" %5.0f%%", 100 * json_object_get_double_member (row, "roof_share"));
      g_print ("\n");
    }
}

/* Where the time of every measured run of a batch goes: forward, a whole batch of rows. */
static int
print_profile (FmStore *store, gint64 batch, gboolean json)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) results = fm_store_load_results (store, batch, &error);
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_ARRAY);
  JsonArray *rows = json_array_new ();

  json_node_take_array (node, rows);
  for (guint i = 0; results && i < results->len; i++)
    {
      const FmResultRow *r = g_ptr_array_index (results, i);
      g_autoptr (GPtrArray) ops = r->measure_stage ? fm_store_load_profile (store, r->measure_stage, &error) : NULL;
      g_autoptr (FmRoofRecord) roof = roof_of (store, r->run_id);
      gdouble all = 0;

      if (error)
        break;
      for (guint k = 0; ops && k < ops->len; k++)
        all += ((FmOpProfileRow *) g_ptr_array_index (ops, k))->seconds;
      for (guint k = 0; ops && k < ops->len; k++)
        if (((FmOpProfileRow *) g_ptr_array_index (ops, k))->seconds > 0)
          add_op (rows, r, g_ptr_array_index (ops, k), all, roof);
    }
  if (error)
    return fm_command_error (g_steal_pointer (&error));
  if (json)
    return fm_command_print_json (node);
  if (json_array_get_length (rows) == 0)
    return fm_command_usage ("No run of this batch has been profiled; measuring a run does that");
  print_ops (rows);
  return FM_EXIT_OK;
}

/* What a person has written on the batch and its runs, above the table. */
static gboolean
print_labels (FmStore *store, gint64 batch, GError **error)
{
  g_autoptr (FmBatchRecord) record = fm_store_load_batch (store, batch, error);
  g_autoptr (GPtrArray) runs = record ? fm_store_load_runs (store, batch, error) : NULL;
  gboolean any = FALSE;

  if (runs == NULL)
    return FALSE;
  if (record->name || record->tags || record->note)
    {
      g_print ("%s%s%s%s%s%s\n", record->name ? record->name : "Batch", record->tags ? " [" : "",
               record->tags ? record->tags : "", record->tags ? "]" : "", record->note ? ": " : "",
               record->note ? record->note : "");
      any = TRUE;
    }
  for (guint i = 0; i < runs->len; i++)
    {
      const FmRunRecord *r = g_ptr_array_index (runs, i);

      if (r->name == NULL && r->tags == NULL && r->note == NULL)
        continue;
      g_print ("Run %" G_GINT64_FORMAT " (%s, seed %" G_GINT64_FORMAT ")%s%s%s%s%s%s%s\n", r->id, r->variant, r->seed,
               r->name ? " " : "", r->name ? r->name : "", r->tags ? " [" : "", r->tags ? r->tags : "",
               r->tags ? "]" : "", r->note ? ": " : "", r->note ? r->note : "");
      any = TRUE;
    }
  if (any)
    g_print ("\n");
  return TRUE;
}

/* Runs whose variant, name, tags or note, or whose batch's, hold @text. */
static int
find (FmStore *store, const char *text, gboolean json)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) rows = fm_store_search (store, text, &error);

  if (rows == NULL)
    return fm_command_error (g_steal_pointer (&error));
  if (json)
    {
      g_autofree char *all = fm_results_rows_to_json (rows);

      g_print ("%s", all);
      return FM_EXIT_OK;
    }
  if (rows->len == 0)
    return fm_command_usage ("No batch and no run has “%s” in its title, variant, name, tags or note", text);
  for (guint i = 0; i < rows->len; i++)
    {
      const FmResultRow *r = g_ptr_array_index (rows, i);

      if (i == 0 || ((const FmResultRow *) g_ptr_array_index (rows, i - 1))->batch_id != r->batch_id)
        g_print ("%sBatch %" G_GINT64_FORMAT "  %s%s%s%s%s%s%s%s\n", i ? "\n" : "", r->batch_id, r->batch,
                 r->batch_name ? "  " : "", r->batch_name ? r->batch_name : "", r->batch_tags ? "  [" : "",
                 r->batch_tags ? r->batch_tags : "", r->batch_tags ? "]" : "", r->batch_note ? "  " : "",
                 r->batch_note ? r->batch_note : "");
      g_print ("  run %" G_GINT64_FORMAT "  %s seed %" G_GINT64_FORMAT "  %s%s%s%s%s%s%s%s\n", r->run_id, r->variant,
               r->seed, r->state, r->name ? "  " : "", r->name ? r->name : "", r->tags ? "  [" : "",
               r->tags ? r->tags : "", r->tags ? "]" : "", r->note ? "  " : "", r->note ? r->note : "");
    }
  return FM_EXIT_OK;
}

static int
run (const FmArgs *args)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmStore) store = fm_command_open_store (args, FM_STORE_READ, &error);
  gint64 batch = 0;

  if (store && fm_args_has (args, "--all"))
    return fm_command_print_results (store, 0, TRUE);
  if (store && fm_args_has (args, "--find"))
    return find (store, fm_args_get (args, "--find"), fm_args_has (args, "--json"));
  if (store)
    batch = fm_store_find_batch (store, fm_args_word (args, 0), &error);
  if (batch <= 0)
    return fm_command_error (g_steal_pointer (&error));
  if (fm_args_has (args, "--profile"))
    return print_profile (store, batch, fm_args_has (args, "--json"));
  if (!fm_args_has (args, "--json") && !print_labels (store, batch, &error))
    return fm_command_error (g_steal_pointer (&error));
  return fm_command_print_results (store, batch, fm_args_has (args, "--json"));
}

static const FmFlag flags[] = {
  { "--json", 0, FM_FLAG_BOOL, NULL, "An array with one object a run, fields named as in the view results" },
  { "--profile", 0, FM_FLAG_BOOL, NULL, "Where the time of each run goes, op by op, with the share of the device's roof" },
  { "--all", 0, FM_FLAG_BOOL, NULL, "The runs of every batch, as JSON" },
  { "--find", 0, FM_FLAG_TEXT, "TEXT", "Runs of every batch with TEXT in title, variant, name, tags or note" },
  { "--store", 0, FM_FLAG_TEXT, "FILE", "Database in place of the default one" },
  FM_FLAG_END
};

const FmCommand fm_command_results = {
  .name = "results",
  .summary = "Print the table of a batch",
  .example = "formarium results\nformarium results first.batch --json\nformarium results first.batch --profile\nformarium results --find paper",
  .usage = "[BATCH]",
  .help = "BATCH is a number, a name, a title or a file name; without it the newest batch is meant.",
  .flags = flags,
  .max_words = 1,
  .run = run,
};
