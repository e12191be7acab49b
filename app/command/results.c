/* results.c: `formarium results [BATCH]`: the table of a batch. */
#include "config.h"

#include "app/command/command.h"

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
  if (fm_args_has (args, "--profile"))
    return print_profile (store, batch, fm_args_has (args, "--json"));
  return fm_command_print_results (store, batch, fm_args_has (args, "--json"));
}

static const FmFlag flags[] = {
  { "--json", 0, FM_FLAG_BOOL, NULL, "An array with one object a run, fields named as in the view results" },
  { "--profile", 0, FM_FLAG_BOOL, NULL, "Where the time of each run goes, op by op, with the share of the device's roof" },
  { "--all", 0, FM_FLAG_BOOL, NULL, "The runs of every batch, as JSON" },
  { "--store", 0, FM_FLAG_TEXT, "FILE", "Database in place of the default one" },
  FM_FLAG_END
};

const FmCommand fm_command_results = {
  .name = "results",
  .summary = "Print the table of a batch",
  .example = "formarium results\nformarium results first.batch --json\nformarium results first.batch --profile",
  .usage = "[BATCH]",
  .help = "BATCH is a number, a title or a file name; without it the newest batch is meant.",
  .flags = flags,
  .max_words = 1,
  .run = run,
};
