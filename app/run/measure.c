/* measure.c: one process of a measuring stage: latency and throughput of a trained model when its turn comes, alone on
 * the machine, then, in one process of the stage, what the model looks at. Time runs from host arrays to host scores.
 *
 * Why a process measures once and ends: where its memory lies and what the machine had done before shift all samples of
 * a process together, so that a thousand calls of one process say less than a few calls of five. */
#include "config.h"

#include "app/results/artifacts.h"
#include "app/run/measure-times.h"
#include "app/run/meters.h"

#include <time.h>

#define LOOK_EXAMPLE    11      /* of the test split: the one whose attention is kept */

typedef struct
{
  FmJob         *job;
  FmModel       *model;
  FmVariables   *variables;
  FmEvaluator   *single, *many;
  FmBatch        single_batch, many_batch;
  FmStageResult *result;
  FmMeters      *meters;
  gint64         before, peak; /* bytes of the process: before anything was built, and at most before the meters were */
  FmProcessRow  *process; /* of result */
} Measuring;

static void
measuring_clear (Measuring *m)
{
  g_clear_pointer (&m->meters, fm_meters_free);
  g_clear_pointer (&m->single, fm_evaluator_free);
  g_clear_pointer (&m->many, fm_evaluator_free);
  g_clear_pointer (&m->model, fm_model_free);
  g_clear_pointer (&m->variables, fm_variables_unref);
  g_clear_pointer (&m->result, fm_stage_result_free);
  fm_batch_clear (&m->single_batch);
  fm_batch_clear (&m->many_batch);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Measuring, measuring_clear)

/* Nanoseconds, since a small model answers in some tens of microseconds. */
static gboolean
call (FmEvaluator *evaluator, const FmBatch *batch, gdouble *us, GError **error)
{
  struct timespec a, b;

  clock_gettime (CLOCK_MONOTONIC, &a);
  if (!fm_evaluator_run (evaluator, batch, NULL, error))
    return FALSE;
  clock_gettime (CLOCK_MONOTONIC, &b);
  *us = (b.tv_sec - a.tv_sec) * 1e6 + (b.tv_nsec - a.tv_nsec) / 1e3;
  return TRUE;
}

/* Until calls have stopped getting faster; for at most @budget_us. */
static gboolean
warm_up (Measuring *m, FmEvaluator *evaluator, const FmBatch *batch, gint64 budget_us, GError **error)
{
  g_autofree gdouble *calls_us = g_new (gdouble, FM_MEASURE_MOST_WARM_UPS);
  gdouble spent_us = 0;
  gboolean settled = FALSE;
  guint n = 0;

  while (n < FM_MEASURE_LEAST_WARM_UPS || (!settled && n < FM_MEASURE_MOST_WARM_UPS && spent_us < budget_us))
    {
      if (!call (evaluator, batch, &calls_us[n], error))
        return FALSE;
      spent_us += calls_us[n++];
      settled = (n >= FM_MEASURE_WARM_UPS || spent_us >= budget_us) && fm_has_settled (calls_us, n);
    }
  m->process->warm_ups = MAX (m->process->warm_ups, 0) + n;
  m->process->settled = m->process->settled != 0 && settled;
  return TRUE;
}

static gboolean
sample (Measuring *m, FmEvaluator *evaluator, const FmBatch *batch, const char *kind, gint64 budget_us, GError **error)
{
  gdouble spent_us = 0, us;

  if (!warm_up (m, evaluator, batch, budget_us, error))
    return FALSE;
  for (guint i = 0; i < FM_MEASURE_MOST_SAMPLES && (i < FM_MEASURE_LEAST_SAMPLES || spent_us < budget_us); i++)
    {
      if (!call (evaluator, batch, &us, error))
        return FALSE;
      fm_stage_result_add_latency (m->result, m->job->process, kind, batch->size, us);
      spent_us += us;
    }
  return TRUE;
}

static gboolean
take_turn (Measuring *m, GError **error)
{
  JsonObject *message;
  gboolean ok;

  fm_quiet_begin_measurement (m->job->quiet);
  m->process->started_us = g_get_real_time ();
  ok = sample (m, m->single, &m->single_batch, "batch1", FM_MEASURE_LATENCY_US, error)
       && sample (m, m->many, &m->many_batch, "throughput", FM_MEASURE_THROUGHPUT_US, error);
  if (m->peak < 0)
    m->peak = fm_memory_peak ();
  ok = ok
       && fm_meters_take_turn (m->meters, m->single, &m->single_batch, m->many, &m->many_batch, m->result, error);
  fm_quiet_end (m->job->quiet);
  if (!ok)
    return FALSE;
  message = json_object_new ();
  json_object_set_string_member (message, "event", "measured");
  fm_worker_send (message);
  return TRUE;
}

static gboolean
build (Measuring *m, GError **error)
{
  FmRecipe *recipe = m->job->recipe;
  gint64 rows = recipe->batch;

  if (m->job->checkpoint == NULL)
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_RUN, "A measuring stage needs the checkpoint of a training stage");
      return FALSE;
    }
  m->model = fm_model_new (recipe->architecture, recipe->task, "");
  m->variables = fm_variables_new (m->job->device, recipe->seed);
  if (!fm_variables_load (m->variables, m->job->checkpoint, error))
    return FALSE;
  m->single = fm_evaluator_new (m->model, recipe->task, m->job->device, m->variables, 1, FALSE, error);
  m->many = m->single ? fm_evaluator_new (m->model, recipe->task, m->job->device, m->variables, rows, FALSE, error)
                      : NULL;
  return m->many && fm_task_batch (recipe->task, "test", 0, 0, 1, &m->single_batch, error)
         && fm_task_batch (recipe->task, "test", 0, 0, rows, &m->many_batch, error);
}

/* Where the time of a batch goes, op by op, and what the device could do, when nobody has asked it before. */
static gboolean
profile (Measuring *m, GError **error)
{
  FmProgram *program = fm_evaluator_get_program (m->many);
  g_autoptr (GError) local = NULL;
  g_autoptr (GArray) rows = NULL;
  gint64 begun;
  FmRoof roof;
  gboolean ok = TRUE;

  fm_quiet_begin_measurement (m->job->quiet);
  fm_program_set_profiling (program, TRUE);
  begun = g_get_monotonic_time ();
  for (guint i = 0; i < FM_MEASURE_PROFILED_RUNS && ok && (i == 0 || g_get_monotonic_time () - begun < FM_MEASURE_THROUGHPUT_US); i++)
    ok = fm_evaluator_run (m->many, &m->many_batch, NULL, &local);
  fm_program_set_profiling (program, FALSE);
  if (ok && m->job->want_roof && fm_device_measure_roof (m->job->device, &roof, &local))
    fm_worker_send_roof (m->job, &roof);
  fm_quiet_end (m->job->quiet);

  if (g_error_matches (local, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_UNSUPPORTED)) /* a GPU without timestamps */
    {
      fm_worker_log ("No profile: %s", local->message);
      return TRUE;
    }
  if (local)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  rows = fm_program_get_profile (program);
  for (guint i = 0; i < rows->len; i++)
    {
      const FmProfileRow *row = &g_array_index (rows, FmProfileRow, i);

      fm_stage_result_add_op (m->result, row->op, (gint64) row->calls, row->seconds, row->cost.flops, row->cost.bytes);
    }
  return TRUE;
}

/* The pictures' files: the attention of one example, the routing on the test split. */
static gboolean
write_looks (Measuring *m, GError **error)
{
  FmJob *job = m->job;
  g_autoptr (FmLooker) looker = NULL;
  g_autoptr (FmExploreAnswer) look = NULL;
  g_autoptr (FmRouting) routing = NULL;
  g_autoptr (GError) local = NULL;

  looker = fm_looker_new (m->model, job->recipe->task, job->device, m->variables, &local);
  if (looker)
    look = fm_looker_look (looker, "test", LOOK_EXAMPLE, NULL, 0, &local);
  if (look == NULL)
    {
      /* A map may be too large where the model itself is not; that is no reason to lose the measurement. */
      fm_worker_log ("No attention map: %s", local->message);
      g_clear_error (&local);
    }
  if (look && look->maps)
    {
      g_autofree char *path = g_build_filename (job->artifacts, FM_MAPS_FILE, NULL);

      if (!fm_maps_save (look->maps, path, error)
          || !fm_add_artifact_file (m->result, job, FM_ARTIFACT_MAPS, FM_MAPS_FILE, error))
        return FALSE;
    }
  g_clear_pointer (&looker, fm_looker_free);

  routing = fm_count_routing (m->model, job->recipe->task, job->device, m->variables, "test",
                              (guint64) job->recipe->evaluate, job->quiet, &local);
  if (routing)
    {
      g_autofree char *path = g_build_filename (job->artifacts, FM_ROUTING_FILE, NULL);

      return fm_routing_save (routing, path, error)
             && fm_add_artifact_file (m->result, job, FM_ARTIFACT_ROUTING, FM_ROUTING_FILE, error);
    }
  if (local)
    fm_worker_log ("No routing: %s", local->message);
  return TRUE;
}

gboolean
fm_measure_stage (FmJob *job, GError **error)
{
  g_auto (Measuring) m = { .job = job, .result = fm_stage_result_new (FM_STAGE_DONE), .meters = fm_meters_new (job),
                           .before = fm_memory_reset (), .peak = -1 };
  JsonObject *ready;

  m.process = fm_stage_result_add_process (m.result, job->process, job->session ? job->session : "", job->block);
  m.process->place = job->place;
  if (!build (&m, error))
    return FALSE;
  fm_worker_send_started (job, fm_program_get_plan (fm_evaluator_get_program (m.many)),
                          fm_model_parameters (fm_evaluator_get_graph (m.single)),
                          fm_program_get_cost (fm_evaluator_get_program (m.single))->flops);
  ready = json_object_new ();
  json_object_set_string_member (ready, "event", "ready");
  fm_worker_send (ready);

  for (;;)
    {
      g_autoptr (JsonObject) command = fm_worker_next_command ();
      const char *what = fm_json_text (command, "do", "");

      fm_worker_wait_while_paused ();
      if (g_str_equal (what, "finish"))
        break;
      if (g_str_equal (what, "measure") && !take_turn (&m, error))
        return FALSE;
    }
  m.process->measured_peak_bytes = (m.peak < 0 ? fm_memory_peak () : m.peak) - m.before;
  fm_add_plan_memory (m.result, fm_program_get_plan (fm_evaluator_get_program (m.many)), m.process->measured_peak_bytes);
  if (job->want_looks && (!profile (&m, error) || !write_looks (&m, error)))
    return FALSE;
  m.result->fallbacks = fm_program_count_fallbacks (fm_evaluator_get_program (m.many));
  fm_worker_send_result (job, m.result, "done");
  return TRUE;
}
