/* bench.c: a training step timed in rounds; ours and the peer's alternate, since these machines are noisy. */
#include "config.h"

#include "app/run/bench.h"

#include <math.h>
#include <gio/gio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 64

void
fm_bench_step_clear (FmBenchStep *result)
{
  g_clear_pointer (&result->device, g_free);
  g_clear_pointer (&result->driver, g_free);
  g_clear_pointer (&result->profile, g_array_unref);
}

static int
compare (const void *a, const void *b)
{
  gdouble x = *(const gdouble *) a, y = *(const gdouble *) b;

  return x < y ? -1 : x > y;
}

static gdouble
quantile (const gdouble *values, guint n, gdouble q)
{
  g_autofree gdouble *sorted = g_memdup2 (values, n * sizeof *values);

  qsort (sorted, n, sizeof *sorted, compare);
  return sorted[MIN (n - 1, (guint) (q * n))];
}

static gboolean
steps (FmProgram *program, gint32 *number, guint n, gdouble *ms, GError **error)
{
  gint64 start = g_get_monotonic_time ();
  gfloat rate = 1e-3f;

  for (guint i = 0; i < n; i++)
    {
      ++*number;
      if (!fm_program_write (program, "@rate", &rate, 4, error) || !fm_program_write (program, "@step", number, 4, error)
          || !fm_program_run (program, error))
        return FALSE;
    }
  *ms = (gdouble) (g_get_monotonic_time () - start) / 1e3 / n;
  return TRUE;
}

static gboolean
ask_peer (GSubprocess *peer, GDataInputStream *answers, guint n, gdouble *ms, GError **error)
{
  g_autofree char *question = g_strdup_printf ("%u\n", n), *line = NULL;

  if (!g_output_stream_write_all (g_subprocess_get_stdin_pipe (peer), question, strlen (question), NULL, NULL, error)
      || !g_output_stream_flush (g_subprocess_get_stdin_pipe (peer), NULL, error))
    return FALSE;
  line = g_data_input_stream_read_line (answers, NULL, NULL, error);
  if (line == NULL)
    {
      if (error && *error == NULL)
        g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_RUN, "the peer ended; its own message stands above");
      return FALSE;
    }
  *ms = g_ascii_strtod (line, NULL);
  return TRUE;
}

static FmArchitecture *
architecture (const char *mixer, const char *feedforward, GError **error)
{
  g_autoptr (FmArchitecture) a = fm_architecture_new (2, 64, 256, error);

  if (a == NULL || !fm_architecture_set (a, FM_ROLE_MIXER, -1, mixer, NULL, error)
      || !fm_architecture_set (a, FM_ROLE_FEEDFORWARD, -1, feedforward, NULL, error))
    return NULL;
  return g_steal_pointer (&a);
}

static gboolean
write_random (FmTask *task, FmProgram *program, GError **error)
{
  const FmTaskInput *in = &fm_task_get_info (task)->inputs[0];
  gsize n = (gsize) (BATCH * in->length * in->channels);
  g_autofree gfloat *x = g_new (gfloat, n);
  gint32 target[BATCH];
  FmRandom random;

  fm_random_init (&random, 1, 1);
  for (gsize i = 0; i < n; i++)
    x[i] = (gfloat) fm_random_normal (&random);
  for (guint i = 0; i < BATCH; i++)
    target[i] = (gint32) fm_random_below (&random, 10);
  return fm_program_write (program, in->name, x, n * 4, error)
         && fm_program_write (program, "target:class", target, sizeof target, error);
}

gboolean
fm_bench_step (const char *device_id, guint threads, const char *mixer, const char *feedforward,
               const char * const *peer_argv, guint rounds, FmBenchStep *result, GError **error)
{
  static const FmAdamW adamw = { 0.9, 0.999, 1e-8, 0.01, 1.0 };
  g_autoptr (FmArchitecture) a = architecture (mixer, feedforward, error);
  g_autoptr (FmTask) task = a ? fm_task_new ("fashion-mnist", NULL, error) : NULL;
  g_autoptr (FmDevice) device = task ? fm_device_open (device_id, threads, error) : NULL;
  g_autoptr (FmVariables) variables = NULL;
  g_autoptr (FmModel) model = NULL;
  g_autoptr (FmModelGraph) mg = NULL;
  g_autoptr (FmProgram) program = NULL;
  g_autoptr (GSubprocess) peer = NULL;
  g_autoptr (GDataInputStream) answers = NULL;
  g_autofree gdouble *ours = g_new0 (gdouble, rounds), *theirs = g_new0 (gdouble, rounds);
  g_autofree gdouble *ratios = g_new0 (gdouble, rounds);
  const gint32 seed[2] = { 1, 0 };
  guint n = 1;
  gint32 number = 0;
  gdouble ms;

  *result = (FmBenchStep){ .setting = "first", .peer_ms = NAN, .ratio = NAN };
  if (device == NULL)
    return FALSE;
  variables = fm_variables_new (device, 1);
  model = fm_model_new (a, task, "");
  mg = fm_model_graph_new (model, FM_MODE_TRAIN, BATCH, &adamw, FALSE, error);
  program = mg ? fm_program_new (mg->graph, device, variables, error) : NULL;
  if (program == NULL || !write_random (task, program, error)
      || (fm_program_has_input (program, "@seed") && !fm_program_write (program, "@seed", seed, sizeof seed, error)))
    return FALSE;
  if (peer_argv)
    {
      peer = g_subprocess_newv (peer_argv, G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE, error);
      if (peer == NULL)
        return FALSE;
      answers = g_data_input_stream_new (g_subprocess_get_stdout_pipe (peer));
    }

  /* Warm-up tells how many steps make a round of about a fifth of a second. */
  if (!steps (program, &number, 1, &ms, error) || !steps (program, &number, ms > 1000 ? 1 : 3, &ms, error))
    return FALSE;
  n = (guint) CLAMP (200.0 / MAX (ms, 0.1), 1, 50);
  if (peer && !ask_peer (peer, answers, 5, &ms, error))
    return FALSE;
  for (guint i = 0; i < rounds; i++)
    {
      if (!steps (program, &number, n, &ours[i], error) || (peer && !ask_peer (peer, answers, n, &theirs[i], error)))
        return FALSE;
      ratios[i] = peer ? ours[i] / theirs[i] : NAN;
    }
  fm_program_set_profiling (program, TRUE);
  if (!steps (program, &number, MAX (n / 2, 1), &ms, error))
    return FALSE;

  result->ours_ms = quantile (ours, rounds, 0.5);
  result->ours_low_ms = quantile (ours, rounds, 0.25);
  result->ours_high_ms = quantile (ours, rounds, 0.75);
  if (peer)
    {
      result->peer_ms = quantile (theirs, rounds, 0.5);
      result->ratio = quantile (ratios, rounds, 0.5);
    }
  result->flops = fm_program_get_cost (program)->flops;
  result->device = g_strdup (fm_device_get_info (device)->title);
  result->driver = g_strdup (fm_device_get_info (device)->driver);
  result->profile = fm_program_get_profile (program);
  return TRUE;
}
