/* runner-measure.c: measuring in turns: workers are loaded together and take rounds one after the other, alone on the
 * machine. */
#include "config.h"

#include "app/run/roof.h"
#include "app/run/runner-private.h"

#define MOST_MEASURING  32        /* workers loaded together */
#define OVERHEAD_BYTES  100000000 /* of a measuring worker: libraries and data */

void
fm_runner_start_measuring (FmRunner *runner)
{
  guint64 used = 0;

  runner->round = -1;
  runner->turn = 0;
  for (guint i = 0; i < runner->stages->len && runner->workers->len < MOST_MEASURING; i++)
    {
      FmRunnerStage *stage = g_ptr_array_index (runner->stages, i);

      if (fm_runner_stage_is_training (stage) || !fm_runner_stage_is_ready (runner, stage))
        continue;
      used += stage->peak_bytes + OVERHEAD_BYTES;
      if (used > runner->memory_bytes && runner->workers->len > 0)
        break;
      if (!fm_runner_start_stage (runner, stage, 0))
        return;
    }
}

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
void
fm_runner_take_turns (FmRunner *runner)
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
  if (runner->round >= FM_RUNNER_ROUNDS)
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
  fm_runner_take_turns (runner);
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
