/* runner.c: decides what runs next, and is the only one that writes about its batch. */
#include "config.h"

#include "app/run/control.h"
#include "app/run/roof.h"
#include "app/run/runner-private.h"

#include <math.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS          5  /* of measuring, all workers in turn */
#define MOST_MEASURING  32 /* workers loaded together */
#define MOST_DEATHS     2  /* workers of a stage that may die before it counts as failed */
#define HEARTBEAT_S     5
#define TICK_MS         250
#define RETRY_TICKS     8      /* until a stage that is busy elsewhere is asked for again */
#define MEASURE_WORK    4e10   /* FLOPs that a measuring stage counts as, in the share of the whole */
#define OVERHEAD_BYTES  100000000 /* of a measuring worker: libraries and data */

struct _FmRunner
{
  FmStore         *store; /* no ref */
  FmRunStatus     *status;
  GPtrArray       *stages;  /* FmRunnerStage */
  GPtrArray       *runs;    /* FmRunRecord */
  GPtrArray       *workers; /* FmRunnerWorker */
  FmControlServer *server;
  FmRunEventFunc   func;
  gpointer         user_data;
  guint            n_training;
  guint64          memory_bytes;
  gboolean         started, paused, cancelling, ended;
  guint            tick_id;
  guint            ticks;
  gboolean         dirty; /* the status changed since it was told */
  gdouble          work_s, work_done; /* of training steps in this session */
  GError          *error;

  /* While measuring */
  gint             round;     /* -1 = still loading */
  char            *roof_asked; /* hardware whose roof a worker was asked for */
  guint            turn;      /* index in workers */
};

static void schedule (FmRunner *runner);

/* --- Telling -------------------------------------------------------------------------------------------------------*/

static void
tell (FmRunner *runner, const FmRunEvent *event)
{
  if (runner->server)
    fm_control_server_send (runner->server, runner->status, event);
  if (runner->func)
    runner->func (runner->status, event, runner->user_data);
}

static void
tell_stage (FmRunner *runner, FmRunEventKind kind, FmRunnerStage *stage, const char *reason)
{
  tell (runner, &(FmRunEvent){ .kind = kind, .stage = stage->record->id, .stage_kind = stage->record->kind,
                               .variant = stage->variant, .seed = stage->seed,
                               .state = stage->blocked ? "skipped" : fm_stage_state_to_string (stage->state),
                               .reason = reason });
}

void
fm_runner_log (FmRunner *runner, FmRunnerWorker *worker, const char *text)
{
  tell (runner, &(FmRunEvent){ .kind = FM_RUN_EVENT_LOG, .text = text, .stage = worker ? worker->stage->record->id : NULL,
                               .variant = worker ? worker->stage->variant : NULL });
}

static gboolean
is_training (const FmRunnerStage *stage)
{
  return !g_str_equal (stage->record->kind, FM_STAGE_KIND_MEASURE);
}

static gboolean
is_final (const FmRunnerStage *stage)
{
  return stage->state == FM_STAGE_DONE || stage->state == FM_STAGE_DIVERGED;
}

static gboolean
has_ended (const FmRunnerStage *stage)
{
  return is_final (stage) || stage->state == FM_STAGE_FAILED || stage->blocked;
}

static void
update_status (FmRunner *runner)
{
  FmRunStatus *s = runner->status;
  gdouble all = 0, done = 0, left_train = 0, left_measure = 0, parallel;
  gdouble seconds = runner->work_s, work = runner->work_done; /* in steps of this session */

  s->n_stages = runner->stages->len;
  s->n_done = s->n_failed = s->n_train = s->n_train_done = 0;
  g_ptr_array_set_size (s->workers, 0);
  for (guint i = 0; i < runner->stages->len; i++)
    {
      FmRunnerStage *stage = g_ptr_array_index (runner->stages, i);

      all += stage->work;
      s->n_train += is_training (stage);
      if (has_ended (stage))
        {
          done += stage->work;
          s->n_done++;
          s->n_train_done += is_training (stage);
          s->n_failed += stage->state != FM_STAGE_DONE;
        }
      else if (is_training (stage))
        left_train += stage->work;
      else
        left_measure += 1;
    }
  for (guint i = 0; i < runner->workers->len; i++)
    {
      FmRunnerWorker *worker = g_ptr_array_index (runner->workers, i);
      FmRunnerStage *stage = worker->stage;
      FmRunWorker *row = fm_run_worker_new ();

      row->stage = g_strdup (stage->record->id);
      row->kind = g_strdup (stage->record->kind);
      row->variant = g_strdup (stage->variant);
      row->seed = stage->seed;
      row->run = stage->run;
      row->step = worker->step;
      row->steps = stage->steps;
      row->loss = worker->loss;
      if (worker->step > 0 && worker->seconds > 0)
        {
          row->steps_per_s = worker->step / worker->seconds;
          row->seconds_left = (stage->steps - worker->step) / row->steps_per_s;
        }
      if (is_training (stage) && !has_ended (stage) && stage->steps > 0)
        {
          gdouble part = stage->work * worker->step / stage->steps;

          done += part;
          left_train -= part;
          work += part;
          seconds += worker->seconds;
        }
      g_ptr_array_add (s->workers, row);
    }
  s->fraction = all > 0 ? CLAMP (done / all, 0, 1) : 1;
  parallel = MAX (1, MIN (runner->n_training, s->n_train - s->n_train_done));
  if (work > 0)
    s->seconds_left = left_train * seconds / work / parallel + left_measure * 3.0;
  else
    s->seconds_left = left_train > 0 ? NAN : left_measure * 3.0;
  if (runner->ended)
    s->phase = runner->cancelling ? FM_RUN_CANCELLED : FM_RUN_DONE;
  else if (runner->paused)
    s->phase = FM_RUN_PAUSED;
  else
    s->phase = s->n_train_done < s->n_train ? FM_RUN_TRAINING : FM_RUN_MEASURING;
}

/* --- The end -------------------------------------------------------------------------------------------------------*/

static gboolean
end_now (gpointer data)
{
  FmRunner *runner = data;
  g_autoptr (GError) error = NULL;

  if (runner->ended)
    return G_SOURCE_REMOVE;
  runner->ended = TRUE;
  g_clear_handle_id (&runner->tick_id, g_source_remove);
  update_status (runner);
  if (!fm_store_release_batch (runner->store, runner->status->batch,
                               runner->cancelling || runner->error ? FM_BATCH_CANCELLED : FM_BATCH_DONE, &error)
      && runner->error == NULL)
    runner->error = g_steal_pointer (&error);
  tell (runner, &(FmRunEvent){ .kind = FM_RUN_EVENT_STATUS });
  tell (runner, &(FmRunEvent){ .kind = FM_RUN_EVENT_ENDED, .reason = runner->error ? runner->error->message : NULL });
  return G_SOURCE_REMOVE;
}

static void
kill_workers (FmRunner *runner)
{
  for (guint i = 0; i < runner->workers->len; i++)
    fm_runner_worker_kill (g_ptr_array_index (runner->workers, i));
}

/* The store cannot be written, or the lease is lost: what is not stored does not exist, so nothing goes on. */
static void
fail (FmRunner *runner, GError *error)
{
  if (runner->error == NULL)
    runner->error = error;
  else
    g_error_free (error);
  kill_workers (runner);
  if (runner->workers->len == 0)
    g_idle_add (end_now, runner);
}

/* --- Stages --------------------------------------------------------------------------------------------------------*/

static FmRunnerStage *
find_stage (FmRunner *runner, const char *id)
{
  for (guint i = 0; i < runner->stages->len; i++)
    {
      FmRunnerStage *stage = g_ptr_array_index (runner->stages, i);

      if (g_str_equal (stage->record->id, id))
        return stage;
    }
  return NULL;
}

static gboolean
is_running (FmRunner *runner, const FmRunnerStage *stage)
{
  for (guint i = 0; i < runner->workers->len; i++)
    if (((FmRunnerWorker *) g_ptr_array_index (runner->workers, i))->stage == stage)
      return TRUE;
  return FALSE;
}

/* Inputs done, itself not: may a worker have it? A failed input blocks it. */
static gboolean
is_ready (FmRunner *runner, FmRunnerStage *stage)
{
  if (has_ended (stage) || is_running (runner, stage))
    return FALSE;
  for (guint i = 0; i < stage->record->inputs->len; i++)
    {
      FmRunnerStage *input = find_stage (runner, g_ptr_array_index (stage->record->inputs, i));

      if (input == NULL || input->state == FM_STAGE_DONE)
        continue;
      if (has_ended (input))
        stage->blocked = TRUE;
      return FALSE;
    }
  return stage->refusals == 0 || runner->ticks % RETRY_TICKS == 0;
}

static gboolean
skip_runs (FmRunner *runner, FmRunnerStage *stage, const char *reason, GError **error)
{
  for (guint i = 0; i < runner->runs->len; i++)
    {
      FmRunRecord *run = g_ptr_array_index (runner->runs, i);

      for (guint k = 0; k < run->stages->len; k++)
        if (g_str_equal (g_ptr_array_index (run->stages, k), stage->record->id)
            && !fm_store_skip_run (runner->store, run->id, reason, error))
          return FALSE;
    }
  return TRUE;
}

static JsonObject *
make_request (FmRunner *runner, FmRunnerStage *stage, guint threads)
{
  JsonObject *request = json_object_new ();
  g_autofree char *artifacts = fm_store_artifact_path (runner->store, stage->record->id, NULL);

  json_object_set_string_member (request, "stage", stage->record->id);
  json_object_set_string_member (request, "kind", stage->record->kind);
  json_object_set_object_member (request, "recipe", json_object_ref (stage->recipe));
  json_object_set_int_member (request, "threads", threads);
  json_object_set_string_member (request, "artifacts", artifacts);
  if (g_str_equal (stage->record->kind, FM_STAGE_KIND_MEASURE))
    {
      const char *hardware = fm_json_text (stage->recipe, "hardware", "");

      /* Once a device: stages that are loaded together need not all ask. */
      json_object_set_boolean_member (request, "roof", g_strcmp0 (hardware, runner->roof_asked) != 0
                                                           && !fm_store_knows_roof (runner->store, hardware, threads));
      g_free (runner->roof_asked);
      runner->roof_asked = g_strdup (hardware);
    }
  if (stage->record->inputs->len > 0)
    {
      g_autofree char *checkpoint
          = fm_store_artifact_path (runner->store, g_ptr_array_index (stage->record->inputs, 0), FM_CHECKPOINT_FILE);

      json_object_set_string_member (request, "checkpoint", checkpoint);
    }
  return request;
}

/* FALSE when something is wrong with the store or the program: the runner has failed then. */
static gboolean
start_stage (FmRunner *runner, FmRunnerStage *stage, guint threads)
{
  g_autoptr (JsonObject) request = NULL;
  g_autoptr (GError) error = NULL;
  FmRunnerWorker *worker;
  FmClaim claim;

  if (!fm_store_claim_stage (runner->store, stage->record->id, &claim, &error))
    {
      fail (runner, g_steal_pointer (&error));
      return FALSE;
    }
  if (claim == FM_CLAIM_BUSY)
    {
      stage->refusals++;
      return TRUE;
    }
  stage->refusals = 0;
  if (claim == FM_CLAIM_FINISHED)
    {
      if (!fm_store_load_stage_state (runner->store, stage->record->id, &stage->state, &error))
        {
          fail (runner, g_steal_pointer (&error));
          return FALSE;
        }
      tell_stage (runner, FM_RUN_EVENT_STAGE_ENDED, stage, NULL);
      return TRUE;
    }
  request = make_request (runner, stage, threads);
  worker = fm_runner_worker_new (runner, stage, request, &error);
  if (worker == NULL
      || !fm_store_set_stage_worker (runner->store, stage->record->id,
                                     g_ascii_strtoll (g_subprocess_get_identifier (worker->process), NULL, 10), &error))
    {
      if (worker)
        g_ptr_array_add (runner->workers, worker);
      else if (!fm_store_unclaim_stage (runner->store, stage->record->id, NULL))
        g_debug ("stage %s stays claimed until the lease is taken over", stage->record->id);
      fail (runner, g_steal_pointer (&error));
      return FALSE;
    }
  g_ptr_array_add (runner->workers, worker);
  if (runner->paused)
    fm_runner_worker_send (worker, "{\"do\":\"pause\"}\n");
  stage->state = FM_STAGE_RUNNING;
  runner->dirty = TRUE;
  tell_stage (runner, FM_RUN_EVENT_STAGE_STARTED, stage, NULL);
  return TRUE;
}

static gboolean
fits (FmRunner *runner, const FmRunnerStage *stage)
{
  guint64 used = stage->peak_bytes;

  for (guint i = 0; i < runner->workers->len; i++)
    used += ((FmRunnerWorker *) g_ptr_array_index (runner->workers, i))->stage->peak_bytes;
  return runner->workers->len == 0 || used <= runner->memory_bytes;
}

static void
start_measuring (FmRunner *runner)
{
  guint64 used = 0;

  runner->round = -1;
  runner->turn = 0;
  for (guint i = 0; i < runner->stages->len && runner->workers->len < MOST_MEASURING; i++)
    {
      FmRunnerStage *stage = g_ptr_array_index (runner->stages, i);

      if (is_training (stage) || !is_ready (runner, stage))
        continue;
      used += stage->peak_bytes + OVERHEAD_BYTES;
      if (used > runner->memory_bytes && runner->workers->len > 0)
        break;
      if (!start_stage (runner, stage, 0))
        return;
    }
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

      if (!is_training (stage) || has_ended (stage))
        continue;
      if (runner->workers->len < runner->n_training && is_ready (runner, stage) && fits (runner, stage)
          && !start_stage (runner, stage, MAX (1, g_get_num_processors () / runner->n_training)))
        return;
      waiting = waiting || !has_ended (stage);
    }
  if (waiting || runner->workers->len > 0)
    return;

  start_measuring (runner);
  if (runner->error || runner->workers->len > 0)
    return;
  for (guint i = 0; i < runner->stages->len; i++)
    waiting = waiting || !has_ended (g_ptr_array_index (runner->stages, i));
  if (!waiting)
    g_idle_add (end_now, runner);
}

/* --- Measuring in turns --------------------------------------------------------------------------------------------*/

/* Two finish side by side: they write maps and count routing, which is work, not measurement. */
static void
finish_some (FmRunner *runner)
{
  guint finishing = 0;

  for (guint i = 0; i < runner->workers->len; i++)
    finishing += ((FmRunnerWorker *) g_ptr_array_index (runner->workers, i))->finishing;
  for (guint i = 0; i < runner->workers->len && finishing < runner->n_training; i++)
    {
      FmRunnerWorker *worker = g_ptr_array_index (runner->workers, i);

      if (worker->finishing)
        continue;
      worker->finishing = TRUE;
      finishing++;
      fm_runner_worker_send (worker, "{\"do\":\"finish\"}\n");
    }
}

/* Sends the round to the worker whose turn it is; called when a turn has ended, and when a worker came or went. */
static void
take_turns (FmRunner *runner)
{
  g_autofree char *line = NULL;

  if (runner->workers->len == 0 || runner->paused || runner->cancelling || runner->error)
    return;
  if (runner->round < 0)
    {
      for (guint i = 0; i < runner->workers->len; i++)
        if (!((FmRunnerWorker *) g_ptr_array_index (runner->workers, i))->ready)
          return;
      runner->round = 0;
      runner->turn = 0;
    }
  if (runner->turn >= runner->workers->len)
    {
      runner->turn = 0;
      runner->round++;
    }
  if (runner->round >= ROUNDS)
    {
      finish_some (runner);
      return;
    }
  line = g_strdup_printf ("{\"do\":\"round\",\"number\":%d}\n", runner->round);
  fm_runner_worker_send (g_ptr_array_index (runner->workers, runner->turn), line);
}

void
fm_runner_worker_round (FmRunnerWorker *worker)
{
  FmRunner *runner = worker->runner;

  worker->step++;
  runner->turn++;
  runner->dirty = TRUE;
  take_turns (runner);
}

void
fm_runner_worker_roof (FmRunnerWorker *worker, JsonObject *roof)
{
  g_autoptr (FmRoofRecord) record = roof ? fm_roof_from_json (roof) : NULL;
  g_autoptr (GError) error = NULL;

  /* No run is lost for want of a roof. */
  if (record && !fm_store_set_roof (worker->runner->store, record, &error))
    fm_runner_log (worker->runner, worker, error->message);
}

/* --- What workers tell ---------------------------------------------------------------------------------------------*/

void
fm_runner_worker_changed (FmRunnerWorker *worker)
{
  worker->runner->dirty = TRUE;
  if (worker->ready && worker->runner->round < 0)
    take_turns (worker->runner);
}

void
fm_runner_worker_point (FmRunnerWorker *worker, gint64 step, const char *name, const char *tag, gdouble value)
{
  g_ptr_array_add (worker->points, fm_curve_point_new (step, name, tag, value));
  tell (worker->runner, &(FmRunEvent){ .kind = FM_RUN_EVENT_POINT, .stage = worker->stage->record->id,
                                       .variant = worker->stage->variant, .seed = worker->stage->seed,
                                       .step = step, .name = name, .tag = tag, .value = value });
}

static gboolean
store_points (FmRunner *runner, GError **error)
{
  for (guint i = 0; i < runner->workers->len; i++)
    {
      FmRunnerWorker *worker = g_ptr_array_index (runner->workers, i);

      if (worker->points->len == 0 || worker->result)
        continue;
      if (!fm_store_append_curve (runner->store, worker->stage->record->id, worker->points, error))
        return FALSE;
      g_ptr_array_set_size (worker->points, 0);
    }
  return TRUE;
}

/* What becomes of a stage whose worker has exited; @reason (out): why it failed. */
static gboolean
settle (FmRunner *runner, FmRunnerWorker *worker, const char *how, char **reason, GError **error)
{
  FmRunnerStage *stage = worker->stage;
  const char *id = stage->record->id;
  g_autoptr (FmStageResult) failed = NULL;
  FmStageResult *result = worker->result;

  if (result && result->state != FM_STAGE_FAILED)
    {
      stage->state = result->state;
      *reason = g_strdup (result->reason);
      return fm_store_finish_stage (runner->store, id, result, error);
    }
  stage->state = FM_STAGE_PLANNED;
  if (worker->killed)
    return fm_store_unclaim_stage (runner->store, id, error);
  if (result && worker->absent)
    {
      stage->blocked = TRUE;
      *reason = g_strdup (result->reason);
      return fm_store_unclaim_stage (runner->store, id, error) && skip_runs (runner, stage, result->reason, error);
    }
  if (result == NULL && ++stage->deaths < MOST_DEATHS)
    {
      fm_runner_log (runner, worker, how);
      return fm_store_unclaim_stage (runner->store, id, error);
    }
  if (result == NULL)
    {
      result = failed = fm_stage_result_new (FM_STAGE_FAILED);
      failed->reason = g_strdup_printf ("%s, %d times", how, MOST_DEATHS);
    }
  stage->state = FM_STAGE_FAILED;
  *reason = g_strdup (result->reason);
  return fm_store_finish_stage (runner->store, id, result, error);
}

void
fm_runner_worker_exited (FmRunnerWorker *worker, const char *how)
{
  FmRunner *runner = worker->runner;
  FmRunnerStage *stage = worker->stage;
  g_autofree char *reason = NULL;
  g_autoptr (GError) error = NULL;
  guint index = 0;

  if (worker->step > 0 && is_training (stage) && stage->steps > 0)
    {
      runner->work_s += worker->seconds;
      runner->work_done += stage->work * worker->step / stage->steps;
    }
  if (!settle (runner, worker, how, &reason, &error) && runner->error == NULL)
    runner->error = g_steal_pointer (&error);
  g_ptr_array_find (runner->workers, worker, &index);
  g_ptr_array_remove_index (runner->workers, index);
  runner->dirty = TRUE;
  update_status (runner);
  if (has_ended (stage))
    tell_stage (runner, FM_RUN_EVENT_STAGE_ENDED, stage, reason);
  fm_runner_worker_free (worker);

  if (runner->error)
    kill_workers (runner);
  if (!is_training (stage))
    {
      /* The one whose turn it was may have died: its successor now has its place. */
      if (index < runner->turn)
        runner->turn--;
      take_turns (runner);
    }
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
      fail (runner, g_steal_pointer (&error));
      return G_SOURCE_CONTINUE;
    }
  if (runner->dirty)
    {
      runner->dirty = FALSE;
      update_status (runner);
      tell (runner, &(FmRunEvent){ .kind = FM_RUN_EVENT_STATUS });
    }
  if (runner->ticks % RETRY_TICKS == 0)
    schedule (runner);
  return G_SOURCE_CONTINUE;
}

/* --- Making one ----------------------------------------------------------------------------------------------------*/

guint
fm_runner_default_training (void)
{
  return CLAMP (g_get_num_processors (), 1, 2);
}

static void
stage_free (gpointer data)
{
  FmRunnerStage *stage = data;

  g_clear_pointer (&stage->record, fm_stage_record_free);
  g_clear_pointer (&stage->recipe, json_object_unref);
  g_free (stage->variant);
  g_free (stage);
}

/* Memory and FLOPs of a stage that is still to run; a recipe that cannot be opened is left to the worker, whose reason
 * then stands in the table. */
static void
estimate_stage (FmRunnerStage *stage)
{
  g_autoptr (FmRecipe) recipe = fm_recipe_parse (stage->recipe, NULL);
  FmPlan plan;
  gdouble train, example;

  stage->work = MEASURE_WORK;
  if (recipe == NULL || !fm_recipe_cost (recipe, &plan, &train, &example, NULL))
    return;
  stage->peak_bytes = is_training (stage) ? plan.peak_bytes : plan.peak_bytes / 3;
  if (is_training (stage))
    stage->work = MAX (train, 1);
}

static gboolean
load_stages (FmRunner *runner, GError **error)
{
  g_autoptr (GPtrArray) records = fm_store_load_stages (runner->store, runner->status->batch, error);
  FmRunnerStage *before = NULL;

  if (records == NULL)
    return FALSE;
  runner->runs = fm_store_load_runs (runner->store, runner->status->batch, error);
  if (runner->runs == NULL)
    return FALSE;
  g_ptr_array_set_free_func (records, NULL);
  for (guint i = 0; i < records->len; i++)
    {
      FmRunnerStage *stage = g_new0 (FmRunnerStage, 1);

      g_ptr_array_add (runner->stages, stage);
      stage->record = g_ptr_array_index (records, i);
    }
  for (guint i = 0; i < runner->stages->len; i++)
    {
      FmRunnerStage *stage = g_ptr_array_index (runner->stages, i);

      stage->state = stage->record->state;
      if (!is_final (stage))
        stage->state = FM_STAGE_PLANNED; /* failed and cancelled ones are tried again */
      stage->recipe = fm_json_parse (stage->record->recipe, -1, error);
      if (stage->recipe == NULL)
        {
          g_prefix_error (error, "The recipe of stage %s is damaged: ", stage->record->id);
          return FALSE;
        }
      stage->steps = is_training (stage) ? fm_json_int (stage->recipe, "steps", 0) : ROUNDS;
      for (guint r = 0; r < runner->runs->len && stage->variant == NULL; r++)
        {
          FmRunRecord *run = g_ptr_array_index (runner->runs, r);

          for (guint k = 0; k < run->stages->len && stage->variant == NULL; k++)
            if (g_str_equal (g_ptr_array_index (run->stages, k), stage->record->id))
              {
                stage->variant = g_strdup (run->variant);
                stage->seed = run->seed;
                stage->run = run->id;
              }
        }
      /* Seeds of a variant cost the same; they stand together. */
      if (before && is_training (before) == is_training (stage) && g_strcmp0 (before->variant, stage->variant) == 0
          && before->steps == stage->steps)
        {
          stage->work = before->work;
          stage->peak_bytes = before->peak_bytes;
        }
      else
        estimate_stage (stage);
      before = stage;
    }
  for (guint r = 0; r < runner->runs->len; r++)
    {
      FmRunRecord *run = g_ptr_array_index (runner->runs, r);

      /* The data may have come meanwhile. */
      if (g_strcmp0 (run->state, "skipped") == 0 && !fm_store_skip_run (runner->store, run->id, NULL, error))
        return FALSE;
    }
  return TRUE;
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
  runner->stages = g_ptr_array_new_with_free_func (stage_free);
  runner->workers = g_ptr_array_new ();
  runner->n_training = options->n_training ? options->n_training : fm_runner_default_training ();
  runner->memory_bytes = options->memory_bytes ? options->memory_bytes : fm_machine_available_bytes ();
  runner->round = -1;
  if (!load_stages (runner, error))
    {
      fm_runner_free (runner);
      return NULL;
    }
  update_status (runner);

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
  g_free (runner->roof_asked);
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
  if (runner->workers->len > 0 && runner->status->n_train_done == runner->status->n_train)
    take_turns (runner);
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

const GError *
fm_runner_get_error (FmRunner *runner)
{
  return runner->error;
}
