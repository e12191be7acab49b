/* bench.c: a piece of work timed in rounds; ours and the peer's alternate, since these machines are noisy. */
#include "config.h"

#include "app/run/bench-private.h"

#include <math.h>
#include <gio/gio.h>
#include <stdlib.h>
#include <string.h>

#define ROUND_MS   200.0 /* of a side */
#define MOST_RUNS  200   /* in a round */
#define SETTLE_US  5000  /* threads of the side that ends spin for some milliseconds before they sleep */
#define WARM_UP_MS 1000.0 /* of the peer: its heap grows until then */

void
fm_bench_result_clear (FmBenchResult *result)
{
  g_clear_pointer (&result->peer, g_free);
}

static int
compare (const void *a, const void *b)
{
  gdouble x = *(const gdouble *) a, y = *(const gdouble *) b;

  return (x > y) - (x < y);
}

gdouble
fm_bench_median (gdouble *values, guint n)
{
  qsort (values, n, sizeof *values, compare);
  return values[n / 2];
}

/* Of sorted values. */
static gdouble
quantile (const gdouble *values, guint n, gdouble q)
{
  return values[MIN (n - 1, (guint) (q * n))];
}

/* Ranks between which the median lies with 95%: n/2 -+ 0.98 sqrt (n), from the binomial's normal approximation. */
static void
median_interval (const gdouble *values, guint n, gdouble *low, gdouble *high)
{
  gdouble reach = 0.98 * sqrt (n);

  *low = values[(guint) MAX (floor (n / 2.0 - reach), 0)];
  *high = values[(guint) MIN (ceil (n / 2.0 + reach), n - 1.0)];
}

/* --- The peer ------------------------------------------------------------------------------------------------------*/

void
fm_bench_peer_clear (FmBenchPeer *peer)
{
  if (peer->process)
    {
      g_subprocess_force_exit (peer->process);
      g_subprocess_wait (peer->process, NULL, NULL);
    }
  g_clear_object (&peer->answers);
  g_clear_object (&peer->process);
}

static char *
peer_line (FmBenchPeer *peer, GError **error)
{
  g_autoptr (GError) local = NULL;
  char *line = g_data_input_stream_read_line (peer->answers, NULL, NULL, &local);

  if (line == NULL)
    g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_RUN, "The peer ended%s%s; its own message stands above",
                 local ? ": " : "", local ? local->message : "");
  return line;
}

gboolean
fm_bench_peer_start (FmBenchPeer *peer, const char * const *argv, char **what, GError **error)
{
  peer->process = g_subprocess_newv (argv, G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE, error);
  if (peer->process == NULL)
    return FALSE;
  peer->questions = g_subprocess_get_stdin_pipe (peer->process);
  peer->answers = g_data_input_stream_new (g_subprocess_get_stdout_pipe (peer->process));
  *what = peer_line (peer, error);
  return *what != NULL;
}

gboolean
fm_bench_peer_ask (FmBenchPeer *peer, const char *word, gdouble *answer, GError **error)
{
  g_autofree char *question = g_strdup_printf ("%s\n", word), *line = NULL;
  char *end;

  if (!g_output_stream_write_all (peer->questions, question, strlen (question), NULL, NULL, error)
      || !g_output_stream_flush (peer->questions, NULL, error) || (line = peer_line (peer, error)) == NULL)
    return FALSE;
  *answer = g_ascii_strtod (line, &end);
  if (end != line && *answer > 0 && isfinite (*answer))
    return TRUE;
  g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_RUN, "The peer said “%s”; it must say a number above 0", line);
  return FALSE;
}

static gboolean
peer_run (FmBenchPeer *peer, guint n, gdouble *ms, GError **error)
{
  g_autofree char *word = g_strdup_printf ("%u", n);

  return fm_bench_peer_ask (peer, word, ms, error);
}

/* --- Rounds --------------------------------------------------------------------------------------------------------*/

static guint
runs_in_a_round (gdouble ms)
{
  return (guint) CLAMP (ROUND_MS / MAX (ms, 1e-3), 1, MOST_RUNS);
}

/* Each side runs as often as fills its part of a round, so that a faster side is not measured in a blink. */
static gboolean
warm_up (FmBenchCase *c, FmBenchPeer *peer, guint *n_ours, guint *n_theirs, GError **error)
{
  gdouble ms, spent = 0;

  if (!fm_bench_case_run (c, 1, &ms, error) || !fm_bench_case_run (c, ms > 1000 ? 1 : 3, &ms, error))
    return FALSE;
  *n_ours = runs_in_a_round (ms);
  *n_theirs = 1;
  for (guint i = 0; peer->process && (i < 2 || spent < WARM_UP_MS); i++)
    {
      if (!peer_run (peer, *n_theirs, &ms, error))
        return FALSE;
      spent += ms * *n_theirs;
      *n_theirs = runs_in_a_round (ms);
    }
  return TRUE;
}

gboolean
fm_bench_compare (FmBenchCase *c, const char * const *peer_argv, guint rounds, FmBenchResult *result, GError **error)
{
  g_autofree gdouble *ours = g_new0 (gdouble, rounds), *theirs = g_new0 (gdouble, rounds);
  g_autofree gdouble *ratios = g_new0 (gdouble, rounds);
  g_auto (FmBenchPeer) peer = { NULL };
  guint n_ours, n_theirs;

  g_return_val_if_fail (rounds > 0, FALSE);
  *result = (FmBenchResult){ .peer_ms = NAN, .ratio = NAN, .ratio_low = NAN, .ratio_high = NAN };
  if ((peer_argv && !fm_bench_peer_start (&peer, peer_argv, &result->peer, error))
      || !warm_up (c, &peer, &n_ours, &n_theirs, error))
    return FALSE;
  for (guint i = 0; i < rounds; i++)
    {
      g_usleep (SETTLE_US);
      if (!fm_bench_case_run (c, n_ours, &ours[i], error))
        return FALSE;
      if (peer.process == NULL)
        continue;
      g_usleep (SETTLE_US);
      if (!peer_run (&peer, n_theirs, &theirs[i], error))
        return FALSE;
      ratios[i] = ours[i] / theirs[i];
    }

  qsort (ours, rounds, sizeof *ours, compare);
  result->ours_ms = quantile (ours, rounds, 0.5);
  result->ours_low_ms = quantile (ours, rounds, 0.25);
  result->ours_high_ms = quantile (ours, rounds, 0.75);
  if (peer.process)
    {
      qsort (theirs, rounds, sizeof *theirs, compare);
      qsort (ratios, rounds, sizeof *ratios, compare);
      result->peer_ms = quantile (theirs, rounds, 0.5);
      result->ratio = quantile (ratios, rounds, 0.5);
      median_interval (ratios, rounds, &result->ratio_low, &result->ratio_high);
    }
  return TRUE;
}
