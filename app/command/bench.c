/* bench.c: `formarium bench step`: the time of a training step, alone or beside PyTorch in the same run. */
#include "config.h"

#include "app/command/command.h"
#include "app/run/bench.h"

#include <math.h>
#include <stdlib.h>

static char *
peer_script (void)
{
  const char *folder = g_getenv ("FORMARIUM_DATA_DIR");

  return g_build_filename (folder ? folder : FM_DATA_DIR, "tests", "benchmarks", "torch-step.py", NULL);
}

static int
print_json (const FmBenchStep *step, const char *device)
{
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_ARRAY);
  JsonArray *rows = json_array_new ();
  JsonObject *row = json_object_new ();

  json_node_take_array (node, rows);
  json_object_set_string_member (row, "setting", step->setting);
  json_object_set_string_member (row, "device", device);
  json_object_set_double_member (row, "ours_ms", step->ours_ms);
  if (isfinite (step->peer_ms))
    {
      json_object_set_double_member (row, "peer_ms", step->peer_ms);
      json_object_set_double_member (row, "ratio", step->ratio);
    }
  json_object_set_double_member (row, "gflop_per_s", step->flops / step->ours_ms / 1e6);
  json_array_add_object_element (rows, row);
  return fm_command_print_json (node);
}

static void
print_profile (const GArray *profile)
{
  gdouble sum = 0;

  for (guint i = 0; i < profile->len; i++)
    sum += g_array_index (profile, FmProfileRow, i).seconds;
  g_print ("\n%-24s %8s %7s %9s %8s\n", "op", "calls", "share", "GFLOP/s", "GB/s");
  for (guint i = 0; i < profile->len; i++)
    {
      const FmProfileRow *row = &g_array_index (profile, FmProfileRow, i);

      if (row->seconds > 0)
        g_print ("%-24s %8" G_GUINT64_FORMAT " %6.1f%% %9.1f %8.1f\n", row->op, row->calls, 100 * row->seconds / sum,
                 row->cost.flops / row->seconds / 1e9, row->cost.bytes / row->seconds / 1e9);
    }
}

static int
run (const FmArgs *args)
{
  const char *device = fm_args_has (args, "--device") ? fm_args_get (args, "--device") : "cpu";
  const char *mixer = fm_args_has (args, "--mixer") ? fm_args_get (args, "--mixer") : "softmax-attention";
  const char *feedforward = fm_args_has (args, "--feedforward") ? fm_args_get (args, "--feedforward") : "mlp";
  guint threads = fm_args_has (args, "--threads") ? (guint) atoi (fm_args_get (args, "--threads")) : 0;
  g_autofree char *script = peer_script (), *thread_text = NULL;
  const char *peer[] = { "/usr/bin/python3", script, NULL, NULL };
  FmBenchStep step;
  GError *error = NULL;

  if (fm_args_count (args) && !g_str_equal (fm_args_word (args, 0), "step"))
    return fm_command_usage ("bench %s: must be step", fm_args_word (args, 0));
  if (fm_args_has (args, "--threads") && (threads < 1 || threads > 1024))
    return fm_command_usage ("--threads %s: must be a number of threads from 1 on", fm_args_get (args, "--threads"));
  if (fm_args_has (args, "--against") && !g_str_equal (fm_args_get (args, "--against"), "torch"))
    return fm_command_usage ("--against %s: the only peer is torch", fm_args_get (args, "--against"));
  thread_text = g_strdup_printf ("%u", threads ? threads : g_get_num_processors ());
  peer[2] = thread_text;
  if (!fm_bench_step (device, threads, mixer, feedforward, fm_args_has (args, "--against") ? peer : NULL,
                      g_str_has_prefix (device, "cpu") ? 15 : 3, &step, &error))
    {
      fm_bench_step_clear (&step);
      return fm_command_error (error);
    }
  if (fm_args_has (args, "--json"))
    print_json (&step, device);
  else
    {
      g_print ("Training step of %s x %s, L=2 D=64 H=4 F=256, 49 tokens, batch 64\n", mixer, feedforward);
      g_print ("%s, %s, %s threads\n", step.device, step.driver, g_str_has_prefix (device, "cpu") ? thread_text : "no");
      g_print ("ours   %.2f ms (quartiles %.2f to %.2f), %.1f GFLOP/s\n", step.ours_ms, step.ours_low_ms,
               step.ours_high_ms, step.flops / step.ours_ms / 1e6);
      if (isfinite (step.peer_ms))
        g_print ("torch  %.2f ms, ratio ours/torch %.2f (median over rounds in turn)\n", step.peer_ms, step.ratio);
      if (fm_args_has (args, "--profile"))
        print_profile (step.profile);
    }
  fm_bench_step_clear (&step);
  return FM_EXIT_OK;
}

static const FmFlag flags[] = {
  { "--device", 0, FM_FLAG_TEXT, "DEVICE", "cpu, vulkan or vulkan:N" },
  { "--threads", 0, FM_FLAG_TEXT, "N", "Threads of the CPU; all at first" },
  { "--mixer", 0, FM_FLAG_TEXT, "ID", "softmax-attention at first" },
  { "--feedforward", 0, FM_FLAG_TEXT, "ID", "mlp at first" },
  { "--against", 0, FM_FLAG_TEXT, "torch", "Take turns with PyTorch doing the same step (Debian: python3-torch)" },
  { "--profile", 0, FM_FLAG_BOOL, NULL, "Where the time goes, op by op" },
  { "--json", 0, FM_FLAG_BOOL, NULL, "An array of objects" },
  FM_FLAG_END
};

const FmCommand fm_command_bench = {
  .name = "bench",
  .summary = "Time a training step, alone or beside PyTorch",
  .example = "formarium bench step --profile\nformarium bench step --against torch --threads 1",
  .usage = "step",
  .flags = flags,
  .min_words = 0,
  .max_words = 1,
  .run = run,
};
