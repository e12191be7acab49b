/* runner-worker.c: the runner's side of one worker process: its request, its lines, its end. */
#include "config.h"

#include "app/run/runner-private.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

void
fm_runner_worker_send (FmRunnerWorker *worker, const char *line)
{
  GOutputStream *in = g_subprocess_get_stdin_pipe (worker->process);

  /* Orders are far shorter than a pipe's room. A worker that is gone is noticed by its exit. */
  g_output_stream_write_all (in, line, strlen (line), NULL, NULL, NULL);
}

static void
take_word (FmRunnerWorker *worker, JsonObject *object)
{
  const char *event = fm_json_text (object, "event", "");

  if (g_str_equal (event, "progress"))
    {
      worker->step = fm_json_int (object, "step", worker->step);
      worker->loss = fm_json_double (object, "loss", NAN);
      worker->seconds = fm_json_double (object, "seconds", worker->seconds);
      fm_runner_worker_changed (worker);
    }
  else if (g_str_equal (event, "point"))
    fm_runner_worker_point (worker, fm_json_int (object, "step", 0), fm_json_text (object, "name", ""),
                            fm_json_text (object, "tag", ""), fm_json_double (object, "value", NAN));
  else if (g_str_equal (event, "ready"))
    {
      worker->ready = TRUE;
      fm_runner_worker_changed (worker);
    }
  else if (g_str_equal (event, "measured"))
    fm_runner_worker_measured (worker);
  else if (g_str_equal (event, "roof"))
    fm_runner_worker_roof (worker, fm_json_object (object, "roof"));
  else if (g_str_equal (event, "log"))
    fm_runner_log (worker->runner, worker, fm_json_text (object, "text", ""));
  else if (worker->result == NULL && (g_str_equal (event, "done") || g_str_equal (event, "diverged")))
    {
      gboolean diverged = g_str_equal (event, "diverged");
      JsonObject *rows = fm_json_object (object, "result");

      if (rows)
        worker->result = fm_stage_result_from_json (rows, diverged ? FM_STAGE_DIVERGED : FM_STAGE_DONE);
      if (worker->result && diverged && worker->result->reason == NULL)
        worker->result->reason = g_strdup_printf ("%s is not finite at step %" G_GINT64_FORMAT,
                                                  worker->result->diverged_tensor, worker->result->diverged_step);
    }
  else if (worker->result == NULL && g_str_equal (event, "failed"))
    {
      worker->result = fm_stage_result_new (FM_STAGE_FAILED);
      worker->result->reason = g_strdup (fm_json_text (object, "reason", "no reason given"));
      worker->absent = fm_json_bool (object, "absent");
    }
}

/* A worker's standard error goes on to ours, and into the log that a failed stage leaves. FALSE at its end. */
static gboolean
pass_words_on (FmRunnerWorker *worker)
{
  GPollableInputStream *in = G_POLLABLE_INPUT_STREAM (g_subprocess_get_stderr_pipe (worker->process));
  char buffer[4096];
  gssize n;

  while ((n = g_pollable_input_stream_read_nonblocking (in, buffer, sizeof buffer, NULL, NULL)) > 0)
    {
      fm_runner_stage_add_log (worker->stage, buffer, n);
      fwrite (buffer, 1, (gsize) n, stderr);
    }
  return n < 0; /* nothing more for now */
}

static gboolean
words_came (GObject *in, gpointer data)
{
  FmRunnerWorker *worker = data;

  if (pass_words_on (worker))
    return G_SOURCE_CONTINUE;
  g_clear_pointer (&worker->words, g_source_unref);
  return G_SOURCE_REMOVE;
}

static void
stop_words (FmRunnerWorker *worker)
{
  if (worker->words)
    g_source_destroy (worker->words);
  g_clear_pointer (&worker->words, g_source_unref);
}

static void
exited (GObject *source, GAsyncResult *result, gpointer data)
{
  FmRunnerWorker *worker = data;
  GSubprocess *process = G_SUBPROCESS (source);
  g_autofree char *how = NULL;

  g_subprocess_wait_finish (process, result, NULL);
  pass_words_on (worker); /* the last ones */
  stop_words (worker);
  if (g_subprocess_get_if_signaled (process))
    {
      int number = g_subprocess_get_term_sig (process);

      how = g_strdup_printf ("The worker was ended by signal %d (%s)%s", number, g_strsignal (number),
                             number == SIGKILL ? ", by a person or for want of memory" : "");
    }
  else
    how = g_strdup_printf ("The worker ended with status %d and without a result", g_subprocess_get_exit_status (process));
  fm_runner_worker_exited (worker, how);
}

static void
line_read (GObject *source, GAsyncResult *result, gpointer data)
{
  FmRunnerWorker *worker = data;
  g_autoptr (GError) error = NULL;
  gsize length;
  g_autofree char *line = g_data_input_stream_read_line_finish (G_DATA_INPUT_STREAM (source), result, &length, &error);
  g_autoptr (JsonObject) object = NULL;

  if (line == NULL)
    {
      g_subprocess_wait_async (worker->process, NULL, exited, worker);
      return;
    }
  object = fm_json_parse (line, (gssize) length, NULL);
  if (object)
    take_word (worker, object);
  else if (length > 0)
    fm_runner_log (worker->runner, worker, "A worker sent a line that is no JSON object");
  g_data_input_stream_read_line_async (worker->out, G_PRIORITY_DEFAULT, worker->cancellable, line_read, worker);
}

FmRunnerWorker *
fm_runner_worker_new (FmRunner *runner, FmRunnerStage *stage, JsonObject *request, GError **error)
{
  g_autoptr (GSubprocessLauncher) launcher
      = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE
                                     | G_SUBPROCESS_FLAGS_STDERR_PIPE);
  g_autofree char *program = fm_program_path ();
  g_autofree char *line = fm_json_line (request);
  FmRunnerWorker *worker;
  GSubprocess *process;

  process = g_subprocess_launcher_spawn (launcher, error, program, "worker", NULL);
  if (process == NULL)
    {
      g_prefix_error (error, "The worker program %s cannot be started: ", program);
      return NULL;
    }
  worker = g_new0 (FmRunnerWorker, 1);
  worker->runner = runner;
  worker->stage = stage;
  worker->process = process;
  worker->loss = NAN;
  worker->cancellable = g_cancellable_new ();
  worker->points = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_curve_point_free);
  worker->out = g_data_input_stream_new (g_subprocess_get_stdout_pipe (process));
  g_buffered_input_stream_set_buffer_size (G_BUFFERED_INPUT_STREAM (worker->out), 64 * 1024);
  worker->words = g_pollable_input_stream_create_source (
    G_POLLABLE_INPUT_STREAM (g_subprocess_get_stderr_pipe (process)), NULL);
  g_source_set_callback (worker->words, G_SOURCE_FUNC (words_came), worker, NULL);
  g_source_attach (worker->words, NULL);
  fm_runner_worker_send (worker, line);
  g_data_input_stream_read_line_async (worker->out, G_PRIORITY_DEFAULT, worker->cancellable, line_read, worker);
  return worker;
}

void
fm_runner_worker_kill (FmRunnerWorker *worker)
{
  worker->killed = TRUE;
  g_subprocess_force_exit (worker->process);
}

/* Only after its exit was seen: until then callbacks hold the worker. */
void
fm_runner_worker_free (FmRunnerWorker *worker)
{
  stop_words (worker);
  g_clear_object (&worker->out);
  g_clear_object (&worker->process);
  g_clear_object (&worker->cancellable);
  g_ptr_array_unref (worker->points);
  g_clear_pointer (&worker->result, fm_stage_result_free);
  g_free (worker);
}
