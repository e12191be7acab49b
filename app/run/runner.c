/* runner.c: decides what runs next, and is the only one that writes about its batch. */
#include "config.h"

#include "app/run/control.h"
#include "app/run/runner-private.h"

#include <signal.h>
#include <unistd.h>

#define HEARTBEAT_S 5
#define TICK_MS     250

/* --- The end -------------------------------------------------------------------------------------------------------*/

static gboolean
end_now (gpointer data)
{
  FmRunner *runner = data;
  g_autoptr (GError) error = NULL;

  if (runner->ended)
    return G_SOURCE_REMOVE;
  runner->ended = TRUE;
  fm_runner_stop_measuring (runner);
  g_clear_handle_id (&runner->tick_id, g_source_remove);
  fm_runner_update_status (runner);
  if (!fm_store_release_batch (runner->store, runner->status->batch,
                               runner->cancelling || runner->error ? FM_BATCH_CANCELLED
                               : runner->partial                   ? FM_BATCH_PLANNED
                                                                   : FM_BATCH_DONE,
                               &error)
      && runner->error == NULL)
    runner->error = g_steal_pointer (&error);
  fm_runner_tell (runner, &(FmRunEvent){ .kind = FM_RUN_EVENT_STATUS });
  fm_runner_tell (runner, &(FmRunEvent){ .kind = FM_RUN_EVENT_ENDED,
                                         .reason = runner->error ? runner->error->message : NULL });
  return G_SOURCE_REMOVE;
}

static void
kill_workers (FmRunner *runner)
{
  for (guint i = 0; i < runner->workers->len; i++)
    fm_runner_worker_kill (g_ptr_array_index (runner->workers, i));
}

/* The store cannot be written, or the lease is lost: what is not stored does not exist, so nothing goes on. */
void
fm_runner_fail (FmRunner *runner, GError *error)
{
  if (runner->error == NULL)
    runner->error = error;
  else
    g_error_free (error);
  kill_workers (runner);
  if (runner->workers->len == 0)
    g_idle_add (end_now, runner);
}

/* --- What is next --------------------------------------------------------------------------------------------------*/

static gboolean
fits (FmRunner *runner, const FmRunnerStage *stage)
{
  guint64 used = stage->peak_bytes;

  for (guint i = 0; i < runner->workers->len; i++)
    used += ((FmRunnerWorker *) g_ptr_array_index (runner->workers, i))->stage->peak_bytes;
  return runner->workers->len == 0 || used <= runner->memory_bytes;
}

static void
schedule (FmRunner *runner)
{
  gboolean waiting = FALSE;

  if (!runner->started || runner->ended)
    return;
  if (runner->cancelling || runner->error)
    {
      if (runner->workers->len == 0)
        g_idle_add (end_now, runner);
      return;
    }
  if (runner->paused)
    return;

  for (guint i = 0; i < runner->stages->len; i++)
    {
      FmRunnerStage *stage = g_ptr_array_index (runner->stages, i);

      if (!fm_runner_stage_is_training (stage) || fm_runner_stage_has_ended (stage))
        continue;
      if (runner->workers->len < runner->n_training && fm_runner_stage_is_ready (runner, stage) && fits (runner, stage)
          && !fm_runner_start_stage (runner, stage, MAX (1, g_get_num_processors () / runner->n_training)))
        return;
      waiting = waiting || !fm_runner_stage_has_ended (stage);
    }
  if (waiting || runner->workers->len > 0)
    return;

  fm_runner_start_measuring (runner);
  if (runner->error || runner->workers->len > 0 || runner->measuring)
    return;
  for (guint i = 0; i < runner->stages->len; i++)
    waiting = waiting || !fm_runner_stage_has_ended (g_ptr_array_index (runner->stages, i));
  if (!waiting)
    g_idle_add (end_now, runner);
}

/* --- What workers tell ---------------------------------------------------------------------------------------------*/

void
fm_runner_worker_changed (FmRunnerWorker *worker)
{
  worker->runner->dirty = TRUE;
  if (worker->ready && worker->runner->measuring)
    fm_runner_take_turns (worker->runner);
}

void
fm_runner_worker_point (FmRunnerWorker *worker, gint64 step, const char *name, const char *tag, gdouble value)
{
  g_ptr_array_add (worker->points, fm_curve_point_new (step, name, tag, value));
  fm_runner_tell (worker->runner, &(FmRunEvent){ .kind = FM_RUN_EVENT_POINT, .stage = worker->stage->record->id,
                                                 .variant = worker->stage->variant, .seed = worker->stage->seed,
                                                 .step = step, .name = name, .tag = tag, .value = value });
}

static gboolean
store_points (FmRunner *runner, GError **error)
{
  for (guint i = 0; i < runner->workers->len; i++)
    {
      FmRunnerWorker *worker = g_ptr_array_index (runner->workers, i);

      if (worker->points->len == 0 || worker->result || worker->stage->restores)
        continue;
      if (!fm_store_append_curve (runner->store, worker->stage->record->id, worker->points, error))
        return FALSE;
      g_ptr_array_set_size (worker->points, 0);
    }
  return TRUE;
}

void
fm_runner_worker_exited (FmRunnerWorker *worker, const char *how)
{
  FmRunner *runner = worker->runner;
  FmRunnerStage *stage = worker->stage;
  g_autofree char *reason = NULL;
  g_autoptr (GError) error = NULL;
  gboolean training = fm_runner_stage_is_training (stage);

  if (worker->step > 0 && training && stage->steps > 0)
    {
      runner->work_s += worker->seconds;
      runner->work_done += stage->work * worker->step / stage->steps;
    }
  if (!(training ? fm_runner_settle (runner, worker, how, &reason, &error)
                 : fm_runner_settle_block (runner, worker, how, &reason, &error)) && runner->error == NULL)
    runner->error = g_steal_pointer (&error);
  g_ptr_array_remove (runner->workers, worker);
  runner->dirty = TRUE;
  fm_runner_update_status (runner);
  if (fm_runner_stage_has_ended (stage))
    fm_runner_tell_stage (runner, FM_RUN_EVENT_STAGE_ENDED, stage, reason);
  fm_runner_worker_free (worker);

  if (runner->error)
    kill_workers (runner);
  if (!training)
    fm_runner_take_turns (runner);
  schedule (runner);
}

/* --- Time ----------------------------------------------------------------------------------------------------------*/

static gboolean
tick (gpointer data)
{
  FmRunner *runner = data;
  g_autoptr (GError) error = NULL;

  runner->ticks++;
  if ((runner->ticks % 4 == 0 && !store_points (runner, &error))
      || (runner->ticks % (HEARTBEAT_S * 1000 / TICK_MS) == 0
          && !fm_store_heartbeat (runner->store, runner->status->batch, &error)))
    {
      fm_runner_fail (runner, g_steal_pointer (&error));
      return G_SOURCE_CONTINUE;
    }
  if (runner->dirty)
    {
      runner->dirty = FALSE;
      fm_runner_update_status (runner);
      fm_runner_tell (runner, &(FmRunEvent){ .kind = FM_RUN_EVENT_STATUS });
    }
  if (runner->ticks % FM_RUNNER_RETRY_TICKS == 0)
    schedule (runner);
  return G_SOURCE_CONTINUE;
}

/* --- Making one ----------------------------------------------------------------------------------------------------*/

guint
fm_runner_default_training (void)
{
  return CLAMP (g_get_num_processors (), 1, 2);
}

FmRunner *
fm_runner_new (FmStore *store, const FmRunnerOptions *options, GError **error)
{
  g_autoptr (FmBatchRecord) batch = fm_store_load_batch (store, options->batch, error);
  FmRunner *runner;
  g_autofree char *socket = NULL;
  g_autoptr (GError) local = NULL;

  if (batch == NULL || !fm_store_lease_batch (store, options->batch, error))
    return NULL;
  /* A worker that dies while it is told something must not end the runner. */
  signal (SIGPIPE, SIG_IGN);

  runner = g_new0 (FmRunner, 1);
  runner->store = store;
  runner->status = fm_run_status_new ();
  runner->status->batch = options->batch;
  runner->status->title = g_strdup (batch->title);
  runner->status->store = g_strdup (fm_store_get_path (store));
  runner->status->command = g_strdup (options->command ? options->command : "");
  runner->status->pid = getpid ();
  runner->status->started_us = g_get_real_time ();
  runner->stages = g_ptr_array_new_with_free_func (fm_runner_stage_free);
  runner->workers = g_ptr_array_new ();
  runner->roofs_asked = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  runner->n_training = options->n_training ? options->n_training : fm_runner_default_training ();
  runner->retry_failed = options->retry_failed;
  runner->memory_bytes = options->memory_bytes ? options->memory_bytes : fm_machine_available_bytes ();
  if (!fm_runner_load_stages (runner, options->only, error))
    {
      fm_runner_free (runner);
      return NULL;
    }
  fm_runner_update_status (runner);

  /* Without a socket nobody can watch, which is no reason not to run. */
  socket = fm_control_socket_path (fm_store_get_path (store), options->batch, &local);
  if (socket)
    runner->server = fm_control_server_new (socket, runner, &local);
  if (runner->server == NULL)
    g_message ("No control socket: %s", local->message);
  return runner;
}

void
fm_runner_free (FmRunner *runner)
{
  runner->cancelling = runner->cancelling || !runner->ended;
  runner->func = NULL;
  kill_workers (runner);
  while (runner->workers->len > 0)
    g_main_context_iteration (NULL, TRUE);
  end_now (runner);
  while (g_idle_remove_by_data (runner))
    ;
  g_clear_pointer (&runner->server, fm_control_server_free);
  g_hash_table_unref (runner->roofs_asked);
  g_ptr_array_unref (runner->workers);
  g_ptr_array_unref (runner->stages);
  g_clear_pointer (&runner->runs, g_ptr_array_unref);
  fm_run_status_free (runner->status);
  g_clear_error (&runner->error);
  g_free (runner);
}

void
fm_runner_set_event_func (FmRunner *runner, FmRunEventFunc func, gpointer user_data)
{
  runner->func = func;
  runner->user_data = user_data;
}

void
fm_runner_start (FmRunner *runner)
{
  g_return_if_fail (!runner->started);
  runner->started = TRUE;
  runner->tick_id = g_timeout_add (TICK_MS, tick, runner);
  schedule (runner);
}

static void
set_paused (FmRunner *runner, gboolean paused)
{
  if (runner->paused == paused || runner->ended)
    return;
  runner->paused = paused;
  for (guint i = 0; i < runner->workers->len; i++)
    fm_runner_worker_send (g_ptr_array_index (runner->workers, i),
                           paused ? "{\"do\":\"pause\"}\n" : "{\"do\":\"resume\"}\n");
  runner->dirty = TRUE;
  if (paused)
    return;
  fm_runner_take_turns (runner);
  schedule (runner);
}

void
fm_runner_pause (FmRunner *runner)
{
  set_paused (runner, TRUE);
}

void
fm_runner_resume (FmRunner *runner)
{
  set_paused (runner, FALSE);
}

void
fm_runner_cancel (FmRunner *runner)
{
  if (runner->ended || runner->cancelling)
    return;
  runner->cancelling = TRUE;
  kill_workers (runner);
  schedule (runner);
}

const FmRunStatus *
fm_runner_get_status (FmRunner *runner)
{
  return runner->status;
}

guint
fm_runner_get_n_kept_failures (FmRunner *runner)
{
  return runner->n_kept_failures;
}

const GError *
fm_runner_get_error (FmRunner *runner)
{
  return runner->error;
}
