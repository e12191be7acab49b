/* runner-measure.c: measuring in blocks. In a block every variant under measurement gets a fresh worker process; they are
 * loaded together and then take turns, one at a time, alone on the machine, in an order drawn for the block. A block is
 * short, so that what the machine does meanwhile meets all of them alike, and the ratio of two variants within a block is
 * one observation. Blocks are repeated until the ratios are known well enough, or until enough is enough. A variant's
 * seeds take turns over the blocks: they differ in their numbers, not in what is computed.
 *
 * All stages of a session end together, in one transaction: half a session would leave stages that no block pairs. */
#include "config.h"

#include "app/results/statistics.h"
#include "app/run/roof.h"
#include "app/run/runner-measure.h"

#define MOST_MEASURING  32        /* workers loaded together */
#define OVERHEAD_BYTES  100000000 /* of a measuring worker: libraries and data */

struct _FmMeasuring
{
  char           *session;
  GRand          *rand;
  FmBatchJudging *judging;
  GPtrArray      *members; /* FmMeasuredMember */
  GPtrArray      *rows;    /* FmMeasuredRow */
  GPtrArray      *order;   /* FmMeasuredMember, no ref: of this block */
  guint           next;    /* of order, that has no worker yet */
  guint           block;
  gboolean        sampling; /* all of the window are loaded */
  gboolean        finishing;
  FmRunnerWorker *busy; /* no ref: whose turn it is */
};

static void
measuring_free (FmMeasuring *m)
{
  g_free (m->session);
  g_rand_free (m->rand);
  fm_batch_judging_free (m->judging);
  g_ptr_array_unref (m->order);
  g_ptr_array_unref (m->rows);
  g_ptr_array_unref (m->members);
  g_free (m);
}

static FmMeasuredMember *
find_member (FmMeasuring *m, const FmRunnerStage *stage)
{
  for (guint i = 0; i < m->members->len; i++)
    {
      FmMeasuredMember *member = g_ptr_array_index (m->members, i);

      if (member->stage == stage)
        return member;
    }
  return NULL;
}

/* --- The end of a session -----------------------------------------------------------------------------------------*/

static gboolean
store_results (FmRunner *runner, GError **error)
{
  FmMeasuring *m = runner->measuring;

  if (!fm_store_begin (runner->store, error))
    return FALSE;
  for (guint i = 0; i < m->members->len; i++)
    {
      FmMeasuredMember *member = g_ptr_array_index (m->members, i);

      if (member->dropped)
        continue;
      g_assert (member->result != NULL); /* rows want blocks until each of their stages had one */
      fm_measured_member_complete (member);
      if (!fm_store_finish_stage (runner->store, member->stage->record->id, member->result, error))
        {
          fm_store_rollback (runner->store);
          return FALSE;
        }
    }
  return fm_store_commit (runner->store, error);
}

static void
end_session (FmRunner *runner)
{
  FmMeasuring *m = runner->measuring;
  g_autoptr (GError) error = NULL;

  if (!store_results (runner, &error))
    {
      fm_runner_fail (runner, g_steal_pointer (&error));
      return;
    }
  runner->measuring = NULL;
  for (guint i = 0; i < m->members->len; i++)
    {
      FmMeasuredMember *member = g_ptr_array_index (m->members, i);

      if (!member->dropped)
        member->stage->state = FM_STAGE_DONE;
    }
  runner->dirty = TRUE;
  fm_runner_update_status (runner);
  for (guint i = 0; i < m->members->len; i++)
    {
      FmMeasuredMember *member = g_ptr_array_index (m->members, i);

      if (!member->dropped)
        fm_runner_tell_stage (runner, FM_RUN_EVENT_STAGE_ENDED, member->stage, NULL);
    }
  measuring_free (m);
}

void
fm_runner_stop_measuring (FmRunner *runner)
{
  FmMeasuring *m = g_steal_pointer (&runner->measuring);

  if (m == NULL)
    return;
  for (guint i = 0; i < m->members->len; i++)
    {
      FmMeasuredMember *member = g_ptr_array_index (m->members, i);

      if (member->dropped)
        continue;
      member->stage->state = FM_STAGE_PLANNED;
      if (!fm_store_unclaim_stage (runner->store, member->stage->record->id, NULL))
        g_debug ("stage %s stays claimed until the lease is taken over", member->stage->record->id);
    }
  measuring_free (m);
}

/* --- Blocks -------------------------------------------------------------------------------------------------------*/

static void
draw_order (FmMeasuring *m)
{
  g_ptr_array_set_size (m->order, 0);
  for (guint i = 0; i < m->rows->len; i++)
    {
      const FmMeasuredRow *row = g_ptr_array_index (m->rows, i);
      FmMeasuredMember *member = row->wanted ? fm_measured_row_pick (row, m->block) : NULL;

      if (member)
        g_ptr_array_add (m->order, member);
    }
  for (guint i = m->order->len; i-- > 1;)
    {
      guint k = (guint) g_rand_int_range (m->rand, 0, (gint32) i + 1);
      gpointer other = m->order->pdata[k];

      m->order->pdata[k] = m->order->pdata[i];
      m->order->pdata[i] = other;
    }
  for (guint i = 0; i < m->order->len; i++)
    ((FmMeasuredMember *) g_ptr_array_index (m->order, i))->place = i;
  m->next = 0;
}

/* Loads as many of the order as there is room for. */
static void
load_window (FmRunner *runner)
{
  FmMeasuring *m = runner->measuring;
  guint64 used = 0;

  m->sampling = m->finishing = FALSE;
  for (; m->next < m->order->len && runner->workers->len < MOST_MEASURING; m->next++)
    {
      FmMeasuredMember *member = g_ptr_array_index (m->order, m->next);
      JsonObject *place;

      used += member->stage->peak_bytes + OVERHEAD_BYTES;
      if (used > runner->memory_bytes && runner->workers->len > 0)
        break;
      place = json_object_new ();
      json_object_set_string_member (place, "session", m->session);
      json_object_set_int_member (place, "process", m->block);
      json_object_set_int_member (place, "block", m->block);
      json_object_set_int_member (place, "place", member->place);
      json_object_set_boolean_member (place, "looks", member->result == NULL);
      member->stage->steps = CLAMP (m->block + 1, FM_BLOCKS_LEAST, FM_BLOCKS_MOST);
      if (!fm_runner_start_worker (runner, member->stage, 0, place))
        return;
    }
}

static void
start_block (FmRunner *runner)
{
  draw_order (runner->measuring);
  load_window (runner);
}

void
fm_runner_start_measuring (FmRunner *runner)
{
  g_autoptr (FmBatchRecord) batch = NULL;
  g_autoptr (GError) error = NULL;
  FmMeasuring *m;

  if (runner->measuring)
    {
      fm_runner_take_turns (runner);
      return;
    }
  batch = fm_store_load_batch (runner->store, runner->status->batch, &error);
  if (batch == NULL)
    {
      fm_runner_fail (runner, g_steal_pointer (&error));
      return;
    }
  runner->measuring = m = g_new0 (FmMeasuring, 1);
  m->session = g_uuid_string_random ();
  m->rand = g_rand_new ();
  m->judging = fm_batch_judging_from_text (batch->text);
  m->members = g_ptr_array_new_with_free_func (fm_measured_member_free);
  m->rows = g_ptr_array_new_with_free_func (fm_measured_row_free);
  m->order = g_ptr_array_new ();
  for (guint i = 0; i < runner->stages->len; i++)
    {
      FmRunnerStage *stage = g_ptr_array_index (runner->stages, i);
      gboolean ours;
      FmMeasuredMember *member;

      if (fm_runner_stage_is_training (stage) || !fm_runner_stage_is_ready (runner, stage))
        continue;
      if (!fm_runner_claim_stage (runner, stage, &ours))
        return;
      if (!ours)
        continue;
      member = g_new0 (FmMeasuredMember, 1);
      member->stage = stage;
      member->row = fm_measured_rows_find (runner, m->rows, stage);
      g_ptr_array_add (m->members, member);
      g_ptr_array_add (member->row->members, member);
    }
  if (m->members->len == 0)
    {
      runner->measuring = NULL;
      measuring_free (m);
      return;
    }
  start_block (runner);
}

gboolean
fm_runner_settle_block (FmRunner *runner, FmRunnerWorker *worker, const char *how, char **reason, GError **error)
{
  FmMeasuring *m = runner->measuring;
  FmRunnerStage *stage = worker->stage;
  FmMeasuredMember *member = find_member (m, stage);

  if (m->busy == worker)
    m->busy = NULL;
  if (worker->killed) /* what becomes of the stage is decided for all of them */
    return TRUE;
  if (worker->result && worker->result->state == FM_STAGE_DONE)
    {
      fm_measured_member_take (member, g_steal_pointer (&worker->result), m->block);
      return TRUE;
    }
  /* A process that died is started again in this block; two deaths are a reason. */
  if (worker->result == NULL && stage->deaths + 1 < FM_RUNNER_MOST_DEATHS)
    {
      stage->deaths++;
      member->place = m->order->len;
      g_ptr_array_add (m->order, member);
      fm_runner_log (runner, worker, how);
      return TRUE;
    }
  member->dropped = TRUE;
  return fm_runner_settle (runner, worker, how, reason, error);
}

/* --- Turns --------------------------------------------------------------------------------------------------------*/

static gboolean
all_are_ready (FmRunner *runner)
{
  for (guint i = 0; i < runner->workers->len; i++)
    if (!((FmRunnerWorker *) g_ptr_array_index (runner->workers, i))->ready)
      return FALSE;
  return TRUE;
}

static FmRunnerWorker *
next_in_turn (FmRunner *runner)
{
  for (guint i = 0; i < runner->workers->len; i++)
    {
      FmRunnerWorker *worker = g_ptr_array_index (runner->workers, i);

      if (!worker->measured)
        return worker;
    }
  return NULL;
}

/* The first process of a stage also writes maps and counts routing, which is work, not measurement: two side by side. */
static void
finish_some (FmRunner *runner)
{
  guint finishing = 0;

  for (guint i = 0; i < runner->workers->len; i++)
    finishing += ((FmRunnerWorker *) g_ptr_array_index (runner->workers, i))->finishing;
  for (guint i = 0; i < runner->workers->len; i++)
    {
      FmRunnerWorker *worker = g_ptr_array_index (runner->workers, i);

      if (worker->finishing
          || (find_member (runner->measuring, worker->stage)->result == NULL && finishing >= runner->n_training))
        continue;
      worker->finishing = TRUE;
      finishing++;
      fm_runner_worker_send (worker, "{\"do\":\"finish\"}\n");
    }
}

static void
end_block (FmRunner *runner)
{
  FmMeasuring *m = runner->measuring;

  m->block++;
  if (fm_measured_rows_look (runner, m->rows, m->judging, m->block))
    end_session (runner);
  else
    start_block (runner);
}

void
fm_runner_take_turns (FmRunner *runner)
{
  FmMeasuring *m = runner->measuring;

  if (m == NULL || runner->paused || runner->cancelling || runner->error || m->busy)
    return;
  if (!m->sampling)
    {
      if (!all_are_ready (runner))
        return;
      m->sampling = TRUE;
    }
  m->busy = m->finishing ? NULL : next_in_turn (runner);
  if (m->busy)
    {
      fm_runner_worker_send (m->busy, "{\"do\":\"measure\"}\n");
      return;
    }
  m->finishing = TRUE;
  if (runner->workers->len > 0)
    finish_some (runner);
  else if (m->next < m->order->len)
    load_window (runner);
  else
    end_block (runner);
}

void
fm_runner_worker_measured (FmRunnerWorker *worker)
{
  FmRunner *runner = worker->runner;

  if (runner->measuring == NULL || runner->measuring->busy != worker)
    return;
  runner->measuring->busy = NULL;
  worker->measured = TRUE;
  worker->step = runner->measuring->block + 1;
  runner->dirty = TRUE;
  fm_runner_take_turns (runner);
}

gdouble
fm_runner_measured_share (FmRunner *runner, const FmRunnerStage *stage)
{
  FmMeasuredMember *member = runner->measuring ? find_member (runner->measuring, stage) : NULL;

  return member ? MIN (1, (gdouble) member->row->log_us->len / MAX (FM_BLOCKS_LEAST, member->row->members->len)) : 0;
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
