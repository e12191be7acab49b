/* bench-process.c: what a fresh process costs: time from its start to the end of its first run, and resident memory. */
#include "config.h"

#include "app/run/bench-private.h"
#include "app/run/run-private.h"

#include <math.h>
#include <stdio.h>

#define RUNS 5 /* of the work in a process whose memory is looked at */

gboolean
fm_bench_probe (const char *name, const FmBenchOptions *options, GError **error)
{
  g_autoptr (FmBenchCase) c = fm_bench_case_new (name, options, error);
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_OBJECT);
  g_autofree char *text = NULL;
  JsonObject *row;
  const FmPlan *plan;
  guint64 touched = 0;
  gint64 ready = g_get_monotonic_time (), first, peak;
  gdouble ms;

  if (c == NULL || !fm_bench_case_run (c, 1, &ms, error))
    return FALSE;
  first = g_get_monotonic_time (); /* one clock for all processes of a machine */
  if (!fm_bench_case_run (c, RUNS - 1, &ms, error))
    return FALSE;
  peak = fm_memory_peak ();
  if (!fm_program_measure_arena (fm_bench_case_get_program (c), &touched, NULL))
    touched = 0; /* a GPU's */
  plan = fm_program_get_plan (fm_bench_case_get_program (c));

  row = json_object_new ();
  json_object_set_int_member (row, "ready_us", ready);
  json_object_set_int_member (row, "first_us", first);
  json_object_set_int_member (row, "resident_bytes", peak);
  json_object_set_int_member (row, "growth_bytes", peak - fm_bench_case_get_rss_before (c));
  json_object_set_int_member (row, "planned_bytes", (gint64) plan->peak_bytes);
  json_object_set_int_member (row, "arena_bytes", (gint64) plan->arena_bytes);
  json_object_set_int_member (row, "touched_bytes", (gint64) touched);
  json_node_take_object (node, row);
  text = json_to_string (node, FALSE);
  return puts (text) >= 0 && fflush (stdout) == 0;
}

static gboolean
run_probe (const char *name, const FmBenchOptions *o, gdouble *ready_ms, gdouble *start_ms, FmBenchProcess *result,
           GError **error)
{
  g_autofree char *program = fm_program_path (), *threads = g_strdup_printf ("%u", o->threads), *out = NULL;
  const char *argv[] = { program, "bench", "probe", "--setting", name, "--device", o->device, "--threads", threads, NULL };
  gint64 start = g_get_monotonic_time ();
  g_autoptr (GSubprocess) process = g_subprocess_newv (argv, G_SUBPROCESS_FLAGS_STDOUT_PIPE, error);
  JsonObject *row;

  if (process == NULL || !g_subprocess_communicate_utf8 (process, NULL, NULL, &out, NULL, error))
    return FALSE;
  row = g_subprocess_get_successful (process) ? fm_json_parse (out, -1, error) : NULL;
  if (row == NULL)
    {
      if (error && *error == NULL)
        g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_RUN, "A fresh process for %s failed; its own message stands above",
                     name);
      return FALSE;
    }
  *ready_ms = (gdouble) (fm_json_int (row, "ready_us", start) - start) / 1e3;
  *start_ms = (gdouble) (fm_json_int (row, "first_us", start) - start) / 1e3;
  result->resident_bytes = fm_json_int (row, "resident_bytes", 0);
  result->growth_bytes = fm_json_int (row, "growth_bytes", 0);
  result->planned_bytes = fm_json_int (row, "planned_bytes", 0);
  result->arena_bytes = fm_json_int (row, "arena_bytes", 0);
  result->touched_bytes = fm_json_int (row, "touched_bytes", 0);
  json_object_unref (row);
  return TRUE;
}

static gboolean
run_peer (const char * const *argv, gdouble *start_ms, FmBenchProcess *result, GError **error)
{
  gint64 start = g_get_monotonic_time ();
  g_auto (FmBenchPeer) peer = { NULL };
  g_autofree char *what = NULL, *more = g_strdup_printf ("%d", RUNS - 1);
  gdouble answer;

  if (!fm_bench_peer_start (&peer, argv, &what, error) || !fm_bench_peer_ask (&peer, "1", &answer, error))
    return FALSE;
  *start_ms = (gdouble) (g_get_monotonic_time () - start) / 1e3;
  return fm_bench_peer_ask (&peer, more, &answer, error)
         && fm_bench_peer_ask (&peer, "memory", &result->peer_resident_bytes, error);
}

gboolean
fm_bench_process (const char *name, const FmBenchOptions *options, const char * const *peer_argv, guint rounds,
                  FmBenchProcess *result, GError **error)
{
  g_autofree gdouble *ours = g_new0 (gdouble, rounds), *theirs = g_new0 (gdouble, rounds);
  g_autofree gdouble *ready = g_new0 (gdouble, rounds);

  g_return_val_if_fail (rounds > 0, FALSE);
  *result = (FmBenchProcess){ .peer_start_ms = NAN, .peer_resident_bytes = NAN };
  for (guint i = 0; i < rounds; i++)
    if (!run_probe (name, options, &ready[i], &ours[i], result, error)
        || (peer_argv && !run_peer (peer_argv, &theirs[i], result, error)))
      return FALSE;
  result->ready_ms = fm_bench_median (ready, rounds);
  result->start_ms = fm_bench_median (ours, rounds);
  if (peer_argv)
    result->peer_start_ms = fm_bench_median (theirs, rounds);
  return TRUE;
}
