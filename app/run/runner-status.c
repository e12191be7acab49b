/* runner-status.c: how far the batch is, and telling it to whoever listens. */
#include "config.h"

#include "app/run/runner-private.h"

#include <math.h>

void
fm_runner_tell (FmRunner *runner, const FmRunEvent *event)
{
  if (runner->server)
    fm_control_server_send (runner->server, runner->status, event);
  if (runner->func)
    runner->func (runner->status, event, runner->user_data);
}

void
fm_runner_tell_stage (FmRunner *runner, FmRunEventKind kind, FmRunnerStage *stage, const char *reason)
{
  fm_runner_tell (runner, &(FmRunEvent){ .kind = kind, .stage = stage->record->id, .stage_kind = stage->record->kind,
                                         .variant = stage->variant, .seed = stage->seed,
                                         .place = stage->place, .n_places = stage->n_places,
                                         .state = stage->blocked ? "skipped" : fm_stage_state_to_string (stage->state),
                                         .reason = reason });
}

void
fm_runner_log (FmRunner *runner, FmRunnerWorker *worker, const char *text)
{
  if (worker)
    {
      fm_runner_stage_add_log (worker->stage, text, -1);
      fm_runner_stage_add_log (worker->stage, "\n", 1);
    }
  fm_runner_tell (runner, &(FmRunEvent){ .kind = FM_RUN_EVENT_LOG, .text = text,
                                         .stage = worker ? worker->stage->record->id : NULL,
                                         .variant = worker ? worker->stage->variant : NULL });
}

gboolean
fm_runner_stage_is_training (const FmRunnerStage *stage)
{
  return !g_str_equal (stage->record->kind, FM_STAGE_KIND_MEASURE);
}

gboolean
fm_runner_stage_is_final (const FmRunnerStage *stage)
{
  return stage->state == FM_STAGE_DONE || stage->state == FM_STAGE_DIVERGED;
}

gboolean
fm_runner_stage_has_ended (const FmRunnerStage *stage)
{
  return fm_runner_stage_is_final (stage) || stage->state == FM_STAGE_FAILED || stage->blocked;
}

void
fm_runner_update_status (FmRunner *runner)
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
      s->n_train += fm_runner_stage_is_training (stage);
      if (fm_runner_stage_has_ended (stage))
        {
          done += stage->work;
          s->n_done++;
          s->n_train_done += fm_runner_stage_is_training (stage);
          s->n_failed += stage->state != FM_STAGE_DONE;
        }
      else if (fm_runner_stage_is_training (stage))
        left_train += stage->work;
      else
        {
          gdouble share = fm_runner_measured_share (runner, stage);

          done += stage->work * share;
          left_measure += 1 - share;
        }
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
      if (fm_runner_stage_is_training (stage) && !fm_runner_stage_has_ended (stage) && stage->steps > 0)
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
