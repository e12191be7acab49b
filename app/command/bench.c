/* bench.c: `formarium bench`: training steps and attention, alone or in turns with PyTorch, against the device's roof. */
#include "config.h"

#include "app/command/command.h"
#include "app/run/bench.h"
#include "app/run/profile.h"
#include "app/run/roof.h"

#include <math.h>
#include <stdlib.h>

#define TRACED_RUNS 3
#define DEPTH       3 /* run, phase, layer, part of a layer */

typedef struct
{
  FmBenchOptions options;
  gboolean       peer, json, profile;
  guint          depth;  /* of the profile's tree */
  const char    *trace;  /* (nullable): file */
  guint          rounds; /* 0: as many as the case deserves */
  FmStore       *store; /* (nullable): where roofs are kept */
  FmRoof         roof;
  gboolean       has_roof, measure_again;
  JsonArray     *rows;
} Bench;

/* The peer's command line for a case; (transfer full). */
static char **
peer_argv (const Bench *bench, const char *name)
{
  const char *folder = g_getenv ("FORMARIUM_DATA_DIR");
  GPtrArray *argv = g_ptr_array_new ();

  g_ptr_array_add (argv, g_strdup ("/usr/bin/python3"));
  g_ptr_array_add (argv, g_build_filename (folder ? folder : FM_DATA_DIR, "tests", "benchmarks", "torch-peer.py", NULL));
  g_ptr_array_add (argv, g_strdup (name));
  g_ptr_array_add (argv, g_strdup_printf ("%u", bench->options.threads));
  if (g_str_has_prefix (bench->options.device, "vulkan"))
    g_ptr_array_add (argv, g_strdup ("cuda")); /* it says so where there is none */
  g_ptr_array_add (argv, NULL);
  return (char **) g_ptr_array_free (argv, FALSE);
}

/* --- Words ---------------------------------------------------------------------------------------------------------*/

static void
set_number (JsonObject *row, const char *name, gdouble value)
{
  if (isfinite (value))
    json_object_set_double_member (row, name, value);
}

static void
print_ops (FmProgram *program, const Bench *bench, guint runs)
{
  g_autoptr (GArray) profile = fm_program_get_profile (program);
  gdouble sum = 0;

  for (guint i = 0; i < profile->len; i++)
    sum += g_array_index (profile, FmProfileRow, i).seconds;
  g_print ("\n%-46s %9s %7s %6s %9s %8s %6s\n", "op", "ms a run", "share", "nodes", "GFLOP/s", "GB/s", "roof");
  for (guint i = 0; i < profile->len; i++)
    {
      const FmProfileRow *row = &g_array_index (profile, FmProfileRow, i);

      if (row->seconds <= 0)
        continue;
      g_print ("%-46s %9.3f %6.1f%% %6" G_GUINT64_FORMAT " %9.1f %8.1f", row->op, row->seconds * 1e3 / runs,
               100 * row->seconds / sum, row->calls / runs, row->cost.flops / row->seconds / 1e9,
               row->cost.bytes / row->seconds / 1e9);
      if (bench->has_roof)
        g_print (" %5.0f%%", 100 * fm_roof_share (&bench->roof, &row->cost, row->seconds));
      g_print ("\n");
    }
  g_print ("\n");
}

/* Runs again with every node timed, one run at a time. */
static gboolean
profile_case (Bench *bench, FmBenchCase *c, const char *name, guint runs, JsonObject *row, GError **error)
{
  FmProgram *program = fm_bench_case_get_program (c);
  const FmRoof *roof = bench->has_roof ? &bench->roof : NULL;
  g_autofree char *title = g_strdup_printf ("formarium %s", name);
  g_autoptr (FmTrace) trace = fm_trace_new (title, fm_device_get_info (fm_bench_case_get_device (c))->title);
  g_autoptr (FmProfileTree) tree = NULL;
  g_autoptr (GArray) nodes = NULL;
  gdouble ms;

  fm_program_set_profiling (program, TRUE);
  for (guint i = 0; i < runs; i++)
    {
      gint64 start = g_get_monotonic_time ();

      if (!fm_bench_case_run (c, 1, &ms, error))
        return FALSE;
      g_clear_pointer (&nodes, g_array_unref);
      nodes = fm_program_get_nodes (program);
      if (i < TRACED_RUNS)
        fm_trace_add_run (trace, start, nodes, roof);
    }
  fm_program_set_profiling (program, FALSE);
  if (bench->trace && !fm_trace_save (trace, bench->trace, error))
    return FALSE;
  if (!bench->profile)
    return TRUE;
  tree = fm_profile_tree (nodes, roof);
  if (bench->json)
    json_object_set_object_member (row, "profile", fm_profile_tree_to_json (tree, bench->depth));
  else
    {
      g_autofree char *text = fm_profile_tree_to_text (tree, bench->depth);

      g_print ("\n%s", text);
      print_ops (program, bench, runs);
    }
  return TRUE;
}

static JsonObject *
add_row (Bench *bench, FmBenchCase *c, const char *name, const FmBenchResult *r, gdouble share)
{
  const FmDeviceInfo *info = fm_device_get_info (fm_bench_case_get_device (c));
  JsonObject *row = json_object_new ();
  gdouble bar = fm_bench_case_get_bar (c);

  json_object_set_string_member (row, "setting", name);
  json_object_set_string_member (row, "title", fm_bench_case_get_title (c));
  json_object_set_string_member (row, "device", info->id);
  json_object_set_string_member (row, "driver", info->driver);
  json_object_set_int_member (row, "threads", bench->options.threads);
  set_number (row, "ours_ms", r->ours_ms);
  set_number (row, "ours_low_ms", r->ours_low_ms);
  set_number (row, "ours_high_ms", r->ours_high_ms);
  set_number (row, "gflop_per_s", fm_bench_case_get_cost (c).flops / r->ours_ms / 1e6);
  set_number (row, "roof_share", share);
  if (r->peer)
    {
      json_object_set_string_member (row, "peer", r->peer);
      set_number (row, "peer_ms", r->peer_ms);
      set_number (row, "ratio", r->ratio);
      set_number (row, "ratio_low", r->ratio_low);
      set_number (row, "ratio_high", r->ratio_high);
    }
  if (r->peer && isfinite (bar))
    {
      json_object_set_double_member (row, "bar", bar);
      json_object_set_boolean_member (row, "met", r->ratio <= bar);
    }
  json_array_add_object_element (bench->rows, row);
  return row;
}

static void
print_row (const Bench *bench, FmBenchCase *c, const char *name, const FmBenchResult *r, gdouble share)
{
  gdouble bar = fm_bench_case_get_bar (c);

  g_print ("%-13s %s\n", name, fm_bench_case_get_title (c));
  g_print ("  ours   %.2f ms (quartiles %.2f to %.2f), %.1f GFLOP/s", r->ours_ms, r->ours_low_ms, r->ours_high_ms,
           fm_bench_case_get_cost (c).flops / r->ours_ms / 1e6);
  if (isfinite (share))
    g_print (", %.0f%% of the roof", 100 * share);
  g_print ("\n");
  if (r->peer)
    {
      g_print ("  torch  %.2f ms (%s)\n", r->peer_ms, r->peer);
      g_print ("  ratio  %.2f (median over rounds in turn, %.2f to %.2f)", r->ratio, r->ratio_low, r->ratio_high);
      if (isfinite (bar))
        g_print (", at most %.2f wanted: %s", bar, r->ratio <= bar ? "met" : "missed");
      g_print ("\n");
    }
}

static void
print_roof (const Bench *bench, const FmDeviceInfo *info)
{
  g_autofree char *threads = g_strdup_printf (", %u threads", bench->options.threads);

  g_print ("%s, %s%s\nroof  %.1f GFLOP/s from registers, %.1f a large product; %.1f GB/s", info->title, info->driver,
           g_str_equal (info->id, "cpu") ? threads : "", bench->roof.flops_per_s / 1e9,
           bench->roof.product_flops_per_s / 1e9, MAX (bench->roof.read_bytes_per_s, bench->roof.copy_bytes_per_s) / 1e9);
  g_print ("; %.1f us a kernel", bench->roof.dispatch_s * 1e6);
  if (bench->roof.submit_s > 0)
    g_print (", %.0f us a submission", bench->roof.submit_s * 1e6);
  g_print ("\n\n");
}

/* --- Work ----------------------------------------------------------------------------------------------------------*/

/* Known, or measured now and kept. A store that cannot be had is no reason not to measure. */
static gboolean
find_roof (Bench *bench, FmDevice *device, GError **error)
{
  const FmDeviceInfo *info = fm_device_get_info (device);

  if (!fm_roof_get (bench->store, device, bench->options.threads, bench->measure_again, &bench->roof, error))
    return FALSE;
  bench->has_roof = TRUE;
  if (!bench->json)
    print_roof (bench, info);
  return TRUE;
}

/* `bench roof`: measures again. */
static gboolean
bench_roof (Bench *bench, GError **error)
{
  g_autoptr (FmDevice) device = fm_device_open (bench->options.device, bench->options.threads, error);
  JsonObject *row;

  bench->measure_again = TRUE;
  if (device == NULL || !find_roof (bench, device, error))
    return FALSE;
  row = json_object_new ();
  json_object_set_string_member (row, "device", fm_device_get_info (device)->id);
  json_object_set_string_member (row, "driver", fm_device_get_info (device)->driver);
  json_object_set_int_member (row, "threads", bench->options.threads);
  json_object_set_double_member (row, "peak_gflop_per_s", bench->roof.flops_per_s / 1e9);
  json_object_set_double_member (row, "product_gflop_per_s", bench->roof.product_flops_per_s / 1e9);
  json_object_set_double_member (row, "read_gbyte_per_s", bench->roof.read_bytes_per_s / 1e9);
  json_object_set_double_member (row, "copy_gbyte_per_s", bench->roof.copy_bytes_per_s / 1e9);
  json_object_set_double_member (row, "dispatch_us", bench->roof.dispatch_s * 1e6);
  json_object_set_double_member (row, "submission_us", bench->roof.submit_s * 1e6);
  json_array_add_object_element (bench->rows, row);
  return TRUE;
}

static gboolean
bench_case (Bench *bench, const char *name, GError **error)
{
  g_autoptr (FmBenchCase) c = fm_bench_case_new (name, &bench->options, error);
  g_auto (GStrv) peer = bench->peer ? peer_argv (bench, name) : NULL;
  g_auto (FmBenchResult) result = { 0 };
  const FmDeviceInfo *info;
  guint rounds = bench->rounds;
  JsonObject *row;
  gdouble share = NAN;

  if (c == NULL)
    return FALSE;
  info = fm_device_get_info (fm_bench_case_get_device (c));
  if (!bench->has_roof && !find_roof (bench, fm_bench_case_get_device (c), error))
    return FALSE;
  if (rounds == 0)
    rounds = !g_str_equal (info->id, "cpu") ? 3 : g_str_equal (name, "softmax-16384") ? 5 : 15;
  if (!fm_bench_compare (c, (const char * const *) peer, rounds, &result, error))
    return FALSE;
  if (bench->has_roof)
    {
      FmCost cost = fm_bench_case_get_cost (c);

      share = fm_roof_share (&bench->roof, &cost, result.ours_ms / 1e3);
    }
  row = add_row (bench, c, name, &result, share);
  if (!bench->json)
    print_row (bench, c, name, &result, share);
  if (bench->profile || bench->trace)
    return profile_case (bench, c, name, (guint) CLAMP (500 / result.ours_ms, 1, 25), row, error);
  return TRUE;
}

/* --- Fresh processes -----------------------------------------------------------------------------------------------*/

#define MIB 1048576.0

/* Bars of docs/speed.md: most resident memory, and time to the end of the first step where one step is shorter. */
static const struct
{
  const char *name;
  gdouble     memory_mib, start_ms;
} processes[] = {
  { "T1", 120, 100 }, { "T2", 300, NAN }, { "T3", 80, 100 }, { "softmax-16384", 100, NAN },
};

static JsonObject *
process_row (Bench *bench, const char *kind, const char *name)
{
  g_autofree char *setting = g_strdup_printf ("%s-%s", kind, name);
  JsonObject *row = json_object_new ();

  json_object_set_string_member (row, "setting", setting);
  json_object_set_string_member (row, "device", bench->options.device);
  json_object_set_int_member (row, "threads", bench->options.threads);
  json_array_add_object_element (bench->rows, row);
  return row;
}

static void
set_bar (JsonObject *row, const char *name, gdouble value, gdouble bar)
{
  if (!isfinite (bar))
    return;
  json_object_set_double_member (row, name, bar);
  json_object_set_boolean_member (row, "met", value <= bar);
}

static void
add_process_rows (Bench *bench, const char *name, const FmBenchProcess *p, gdouble memory_bar, gdouble start_bar)
{
  JsonObject *memory = process_row (bench, "memory", name), *start = process_row (bench, "start", name);

  set_number (memory, "ours_mib", (gdouble) p->resident_bytes / MIB);
  set_number (memory, "peer_mib", p->peer_resident_bytes / MIB);
  set_number (memory, "ratio", (gdouble) p->resident_bytes / p->peer_resident_bytes);
  set_number (memory, "growth_mib", (gdouble) p->growth_bytes / MIB);
  set_number (memory, "planned_mib", (gdouble) p->planned_bytes / MIB);
  set_number (memory, "growth_over_plan", (gdouble) p->growth_bytes / (gdouble) p->planned_bytes);
  if (p->touched_bytes > 0)
    {
      set_number (memory, "arena_mib", (gdouble) p->arena_bytes / MIB);
      set_number (memory, "touched_over_arena", (gdouble) p->touched_bytes / (gdouble) p->arena_bytes);
    }
  set_bar (memory, "bar_mib", (gdouble) p->resident_bytes / MIB, memory_bar);
  set_number (start, "ready_ms", p->ready_ms);
  set_number (start, "ours_ms", p->start_ms);
  set_number (start, "peer_ms", p->peer_start_ms);
  set_number (start, "ratio", p->start_ms / p->peer_start_ms);
  set_bar (start, "bar_ms", p->start_ms, start_bar);
}

static void
print_process (const char *name, const FmBenchProcess *p, gdouble memory_bar, gdouble start_bar)
{
  g_print ("%-13s in a fresh process\n", name);
  g_print ("  memory %.1f MiB resident", (gdouble) p->resident_bytes / MIB);
  if (isfinite (p->peer_resident_bytes))
    g_print (" (torch %.1f)", p->peer_resident_bytes / MIB);
  if (isfinite (memory_bar))
    g_print (", at most %.0f wanted: %s", memory_bar, (gdouble) p->resident_bytes / MIB <= memory_bar ? "met" : "missed");
  g_print ("\n         grew by %.1f MiB, planned %.1f", (gdouble) p->growth_bytes / MIB, (gdouble) p->planned_bytes / MIB);
  if (p->touched_bytes > 0)
    g_print ("; arena %.2f MiB, touched up to %.2f%%", (gdouble) p->arena_bytes / MIB,
             100.0 * (gdouble) p->touched_bytes / (gdouble) p->arena_bytes);
  g_print ("\n  start  %.0f ms until it can run, %.0f ms to the end of the first run", p->ready_ms, p->start_ms);
  if (isfinite (p->peer_start_ms))
    g_print (" (torch %.0f)", p->peer_start_ms);
  if (isfinite (start_bar))
    g_print (", at most %.0f wanted: %s", start_bar, p->start_ms <= start_bar ? "met" : "missed");
  g_print ("\n");
}

static gboolean
bench_process (Bench *bench, const char *name, GError **error)
{
  g_auto (GStrv) peer = bench->peer ? peer_argv (bench, name) : NULL;
  gdouble memory_bar = NAN, start_bar = NAN;
  FmBenchProcess p;

  if (!fm_bench_process (name, &bench->options, (const char * const *) peer, bench->rounds ? bench->rounds : 3, &p, error))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (processes); i++)
    if (g_str_equal (processes[i].name, name))
      memory_bar = processes[i].memory_mib, start_bar = processes[i].start_ms;
  add_process_rows (bench, name, &p, memory_bar, start_bar);
  if (!bench->json)
    print_process (name, &p, memory_bar, start_bar);
  return TRUE;
}

/* Every row that has a bar, and whether it is met. */
static void
print_bars (const Bench *bench)
{
  guint met = 0, all = 0;

  g_print ("\n%-22s %10s %10s\n", "bar", "wanted", "found");
  for (guint i = 0; i < json_array_get_length (bench->rows); i++)
    {
      JsonObject *row = json_array_get_object_element (bench->rows, i);
      const char *bar = json_object_has_member (row, "bar") ? "bar"
                        : json_object_has_member (row, "bar_mib") ? "bar_mib" : "bar_ms";
      const char *value = g_str_equal (bar, "bar") ? "ratio" : g_str_equal (bar, "bar_mib") ? "ours_mib" : "ours_ms";

      if (!json_object_has_member (row, "met"))
        continue;
      all++;
      met += json_object_get_boolean_member (row, "met");
      g_print ("%-22s %10.2f %10.2f  %s\n", json_object_get_string_member (row, "setting"),
               json_object_get_double_member (row, bar), json_object_get_double_member (row, value),
               json_object_get_boolean_member (row, "met") ? "met" : "missed");
    }
  g_print ("%u of %u met\n", met, all);
}

/* --- The command ---------------------------------------------------------------------------------------------------*/

static gboolean
read_number (const FmArgs *args, const char *flag, guint most, guint *value)
{
  const char *text = fm_args_get (args, flag);
  guint64 number;

  if (text == NULL)
    return TRUE;
  if (!g_ascii_string_to_unsigned (text, 10, 1, most, &number, NULL))
    return FALSE;
  *value = (guint) number;
  return TRUE;
}

/* What a word asks for: times of cases, fresh processes, or both. */
static gboolean
bench_kind (Bench *bench, const char *kind, const char *setting, GError **error)
{
  static const char * const fresh[] = { "T1", "T2", "T3", "softmax-16384", NULL };
  const char *one[] = { setting, NULL };
  const char * const *names = fm_bench_names (kind), * const *process_names = fresh;

  if (setting)
    names = names ? one : NULL, process_names = one;
  if (g_str_equal (kind, "roof"))
    return bench_roof (bench, error);
  for (guint i = 0; names && names[i]; i++)
    if (!bench_case (bench, names[i], error))
      return FALSE;
  for (guint i = 0; (names == NULL || g_str_equal (kind, "all")) && process_names[i]; i++)
    if (!bench_process (bench, process_names[i], error))
      return FALSE;
  return TRUE;
}

static int
run (const FmArgs *args)
{
  static const char * const kinds[] = { "step", "attention", "decode", "process", "roof", "all", NULL };
  const char *kind = fm_args_count (args) ? fm_args_word (args, 0) : "step";
  const char *setting = fm_args_get (args, "--setting");
  Bench bench = { .options = { .device = fm_args_has (args, "--device") ? fm_args_get (args, "--device") : "cpu",
                               .mixer = fm_args_get (args, "--mixer"),
                               .feedforward = fm_args_get (args, "--feedforward") },
                  .peer = fm_args_has (args, "--against"),
                  .json = fm_args_has (args, "--json"),
                  .profile = fm_args_has (args, "--profile"),
                  .depth = DEPTH,
                  .trace = fm_args_get (args, "--trace") };
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_ARRAY);
  g_autoptr (FmStore) store = NULL;
  GError *error = NULL;

  if (!g_strv_contains (kinds, kind) && !g_str_equal (kind, "probe"))
    return fm_command_usage ("bench %s: must be step, attention, decode, process, roof or all", kind);
  if (!read_number (args, "--threads", 1024, &bench.options.threads))
    return fm_command_usage ("--threads %s: must be a number of threads from 1 on", fm_args_get (args, "--threads"));
  if (!read_number (args, "--rounds", 10000, &bench.rounds))
    return fm_command_usage ("--rounds %s: must be a number of rounds from 1 on", fm_args_get (args, "--rounds"));
  if (!read_number (args, "--depth", 100, &bench.depth))
    return fm_command_usage ("--depth %s: must be a number of levels from 1 on", fm_args_get (args, "--depth"));
  if (bench.peer && !g_str_equal (fm_args_get (args, "--against"), "torch"))
    return fm_command_usage ("--against %s: the only peer is torch", fm_args_get (args, "--against"));
  if (setting && g_str_equal (setting, "all"))
    setting = NULL;
  if (bench.trace && setting == NULL)
    return fm_command_usage ("--trace %s: takes one setting; name it with --setting", bench.trace);
  if (bench.options.threads == 0)
    bench.options.threads = g_get_num_processors ();

  if (g_str_equal (kind, "probe")) /* what `process` starts */
    return fm_bench_probe (setting ? setting : "T1", &bench.options, &error) ? FM_EXIT_OK : fm_command_error (error);
  bench.rows = json_array_new ();
  json_node_take_array (node, bench.rows);
  bench.store = store = fm_command_open_store (args, FM_STORE_WRITE, fm_args_has (args, "--store") ? &error : NULL);
  if (error)
    return fm_command_error (error);
  if (!bench_kind (&bench, kind, setting, &error))
    return fm_command_error (error);
  if (bench.json)
    return fm_command_print_json (node);
  if (g_str_equal (kind, "all"))
    print_bars (&bench);
  return FM_EXIT_OK;
}

static const FmFlag flags[] = {
  { "--setting", 0, FM_FLAG_TEXT, "NAME", "T1, T2, T3, softmax-4096, ... or all (docs/speed.md says what they are)" },
  { "--against", 0, FM_FLAG_TEXT, "torch", "Take turns with PyTorch doing the same (Debian: python3-torch)" },
  { "--device", 0, FM_FLAG_TEXT, "DEVICE", "cpu, vulkan or vulkan:N" },
  { "--threads", 0, FM_FLAG_TEXT, "N", "Threads of the CPU, on both sides; all at first" },
  { "--rounds", 0, FM_FLAG_TEXT, "N", "Turns, of about a fifth of a second a side; 15 at first" },
  { "--mixer", 0, FM_FLAG_TEXT, "ID", "Of a step: softmax-attention at first" },
  { "--feedforward", 0, FM_FLAG_TEXT, "ID", "Of a step: mlp at first" },
  { "--profile", 0, FM_FLAG_BOOL, NULL, "Where the time goes: by phase, layer and op" },
  { "--depth", 0, FM_FLAG_TEXT, "N", "Levels of the profile; 3 at first, ops come with 4" },
  { "--trace", 0, FM_FLAG_TEXT, "FILE", "Write every node of three runs for ui.perfetto.dev" },
  { "--store", 0, FM_FLAG_TEXT, "FILE", "Store that keeps the roof of the device" },
  { "--json", 0, FM_FLAG_BOOL, NULL, "An array of objects: setting, device, ours_ms, peer_ms, ratio, roof_share, ..." },
  FM_FLAG_END
};

const FmCommand fm_command_bench = {
  .name = "bench",
  .summary = "Time training steps and attention, alone or beside PyTorch",
  .example = "formarium bench step --setting T1 --profile\nformarium bench step --against torch --threads 1",
  .help = "step: a training step at T1, T2, T3. attention: forward alone. decode: a token with a cache. process: start and resident memory of fresh "
          "processes. roof: measures what the device can do at most, and keeps it. all: everything, with the bars of "
          "docs/speed.md.",
  .usage = "[step|attention|decode|process|roof|all]",
  .flags = flags,
  .min_words = 0,
  .max_words = 1,
  .run = run,
};
