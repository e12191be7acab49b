/* runner-measure.c: measuring in blocks. In a block every stage under measurement gets a fresh worker process; they are
 * loaded together and then take turns, one at a time, alone on the machine, in an order drawn for the block. A block is
 * short, so that what the machine does meanwhile meets all of them alike, and the ratio of two stages within a block is
 * one observation. Blocks are repeated until the ratios are known well enough, or until enough is enough.
 *
 * All stages of a session end together, in one transaction: half a session would leave stages that no block pairs. */
#include "config.h"

#include "app/batch/judging.h"
#include "app/results/statistics.h"
#include "app/run/roof.h"
#include "app/run/runner-private.h"

#include <math.h>

#define MOST_MEASURING  32        /* workers loaded together */
#define OVERHEAD_BYTES  100000000 /* of a measuring worker: libraries and data */

/* One stage of the session. */
typedef struct
{
  FmRunnerStage *stage;     /* no ref */
  const char    *ground;    /* task and device; interned: what is compared shares it */
  FmStageResult *result;    /* NULL before the first block has ended */
  GArray        *log_us;    /* gdouble: log of the median of each block, NAN where there was none */
  gboolean       dropped;   /* failed, or its data is absent: settled already */
  gboolean       wanted;    /* in the next block */
  gboolean       unstable;
  guint          place;     /* in the order of this block */
} Member;

/* Stages that are one row of the table: a variant's seeds. */
typedef struct
{
  const char *variant, *ground; /* no ref */
  gboolean    compared, settled_once; /* some comparison has it; one of those is known well enough */
  gboolean    wide;                   /* one is not */
} Row;

struct _FmMeasuring
{
  char           *session;
  GRand          *rand;
  FmBatchJudging *judging;
  GPtrArray      *members; /* Member */
  GPtrArray      *order;   /* Member, no ref: of this block */
  guint           next;    /* of order, that has no worker yet */
  guint           block;
  gboolean        sampling; /* all of the window are loaded */
  gboolean        finishing;
  FmRunnerWorker *busy; /* no ref: whose turn it is */
};

static void
member_free (gpointer data)
{
  Member *member = data;

  g_clear_pointer (&member->result, fm_stage_result_free);
  g_array_unref (member->log_us);
  g_free (member);
}

static void
measuring_free (FmMeasuring *m)
{
  g_free (m->session);
  g_rand_free (m->rand);
  fm_batch_judging_free (m->judging);
  g_ptr_array_unref (m->order);
  g_ptr_array_unref (m->members);
  g_free (m);
}

static Member *
find_member (FmMeasuring *m, const FmRunnerStage *stage)
{
  for (guint i = 0; i < m->members->len; i++)
    {
      Member *member = g_ptr_array_index (m->members, i);

      if (member->stage == stage)
        return member;
    }
  return NULL;
}

/* --- What is known so far -----------------------------------------------------------------------------------------*/

static const char *
ground_of (FmRunner *runner, const FmRunnerStage *stage)
{
  for (guint i = 0; i < runner->runs->len; i++)
    {
      const FmRunRecord *run = g_ptr_array_index (runner->runs, i);

      if (run->id == stage->run)
        {
          g_autofree char *ground = g_strconcat (run->task, " ", run->device, NULL);

          return g_intern_string (ground);
        }
    }
  return "";
}

/* The baseline as tables choose it: the first variant on its task and device that mixes with softmax-attention, else the
 * first. */
static const char *
baseline_of (FmRunner *runner, const char *ground)
{
  const char *first = NULL;

  for (guint i = 0; i < runner->runs->len; i++)
    {
      const FmRunRecord *run = g_ptr_array_index (runner->runs, i);
      g_autofree char *theirs = g_strconcat (run->task, " ", run->device, NULL);

      if (!g_str_equal (theirs, ground))
        continue;
      if (fm_batch_names_variant ("softmax-attention", run->variant))
        return run->variant;
      first = first ? first : run->variant;
    }
  return first;
}

static gboolean
is_compared (FmRunner *runner, const Row *a, const Row *b)
{
  const FmBatchJudging *judging = runner->measuring->judging;
  const char *baseline;

  if (a == b || a->ground != b->ground)
    return FALSE;
  if (judging->all_pairs)
    return TRUE;
  for (guint i = 0; i < judging->pairs->len; i++)
    {
      const FmBatchCompared *pair = g_ptr_array_index (judging->pairs, i);

      if (fm_batch_names_variant (pair->variant, a->variant) && fm_batch_names_variant (pair->reference, b->variant))
        return TRUE;
    }
  baseline = judging->pairs->len == 0 ? baseline_of (runner, a->ground) : NULL;
  return baseline && g_str_equal (baseline, b->variant);
}

/* The mean of log latency over the seeds of @row in @block; NAN when one is missing. */
static gdouble
log_latency (FmMeasuring *m, const Row *row, guint block)
{
  gdouble sum = 0;
  guint n = 0;

  for (guint i = 0; i < m->members->len; i++)
    {
      const Member *member = g_ptr_array_index (m->members, i);

      if (member->dropped || member->ground != row->ground || g_strcmp0 (member->stage->variant, row->variant) != 0)
        continue;
      sum += block < member->log_us->len ? g_array_index (member->log_us, gdouble, block) : NAN;
      n++;
    }
  return n > 0 ? sum / n : NAN;
}

/* @b (nullable): without one, how well is @a known by itself? */
static gboolean
is_precise (FmMeasuring *m, const Row *a, const Row *b)
{
  g_autofree gdouble *differences = g_new (gdouble, m->block + 1);
  FmEstimate e;

  for (guint i = 0; i <= m->block; i++)
    differences[i] = log_latency (m, a, i) - (b ? log_latency (m, b, i) : 0);
  e = fm_blocks_estimate (differences, m->block + 1);
  return e.high - e.low <= log1p (m->judging->latency_margin);
}

/* Looks at every comparison of the session and marks the members of those whose interval is still too wide. */
static gboolean
all_are_precise (FmRunner *runner)
{
  FmMeasuring *m = runner->measuring;
  g_autoptr (GArray) rows = g_array_new (FALSE, TRUE, sizeof (Row));
  gboolean all = TRUE;

  for (guint i = 0; i < m->members->len; i++)
    {
      const Member *member = g_ptr_array_index (m->members, i);
      Row row = { .variant = member->stage->variant, .ground = member->ground };
      gboolean known = member->dropped;

      for (guint k = 0; k < rows->len && !known; k++)
        known = g_array_index (rows, Row, k).ground == row.ground
                && g_strcmp0 (g_array_index (rows, Row, k).variant, row.variant) == 0;
      if (!known)
        g_array_append_val (rows, row);
    }
  for (guint i = 0; i < rows->len; i++)
    for (guint k = 0; k < rows->len; k++)
      {
        Row *a = &g_array_index (rows, Row, i), *b = &g_array_index (rows, Row, k);
        gboolean precise;

        if (!is_compared (runner, a, b))
          continue;
        precise = is_precise (m, a, b);
        a->compared = b->compared = TRUE;
        a->wide |= !precise;
        b->wide |= !precise;
        a->settled_once |= precise;
        b->settled_once |= precise;
      }
  for (guint i = 0; i < m->members->len; i++)
    {
      Member *member = g_ptr_array_index (m->members, i);

      for (guint k = 0; k < rows->len && !member->dropped; k++)
        {
          Row *row = &g_array_index (rows, Row, k);

          if (row->ground != member->ground || g_strcmp0 (row->variant, member->stage->variant) != 0)
            continue;
          if (!row->compared)
            row->wide = !is_precise (m, row, NULL);
          member->wanted = row->wide;
          /* A baseline is not to blame for one restless variant. */
          member->unstable = row->wide && !row->settled_once;
          all &= !row->wide;
        }
    }
  return all;
}

/* --- The end of a session -----------------------------------------------------------------------------------------*/

static int
compare_doubles (gconstpointer a, gconstpointer b)
{
  gdouble x = *(const gdouble *) a, y = *(const gdouble *) b;

  return (x > y) - (x < y);
}

/* A number that every process found anew is shown by its median. */
static GPtrArray *
merge_metrics (GPtrArray *metrics)
{
  g_autoptr (FmStageResult) merged = fm_stage_result_new (FM_STAGE_DONE);

  for (guint i = 0; i < metrics->len; i++)
    {
      const FmMetricRow *row = g_ptr_array_index (metrics, i);
      g_autoptr (GArray) values = g_array_new (FALSE, FALSE, sizeof (gdouble));
      gboolean seen = FALSE;

      for (guint k = 0; k < metrics->len && !seen; k++)
        {
          const FmMetricRow *other = g_ptr_array_index (metrics, k);

          if (!g_str_equal (row->name, other->name) || !g_str_equal (row->tag, other->tag)
              || !g_str_equal (row->split, other->split) || !g_str_equal (row->target, other->target))
            continue;
          seen = k < i;
          if (isfinite (other->value))
            g_array_append_val (values, other->value);
        }
      if (seen)
        continue;
      g_array_sort (values, compare_doubles);
      fm_stage_result_add_metric (merged, row->split, row->target, row->tag, row->name,
                                  values->len ? (g_array_index (values, gdouble, (values->len - 1) / 2)
                                                 + g_array_index (values, gdouble, values->len / 2)) / 2
                                              : row->value);
    }
  return g_ptr_array_ref (merged->metrics);
}

/* What the meters found about the forward pass, which stands for the stage; NAN when they found nothing. */
static gdouble
forward_metric (GPtrArray *metrics, const char *name)
{
  for (guint i = 0; i < metrics->len; i++)
    {
      const FmMetricRow *row = g_ptr_array_index (metrics, i);

      if (g_str_equal (row->name, name) && g_str_equal (row->tag, "forward"))
        return row->value;
    }
  return NAN;
}

static void
complete (Member *member)
{
  static const char * const names[] = { "energy_joules", "device_heap_bytes" };
  FmStageResult *result = member->result;
  GPtrArray *metrics = merge_metrics (result->metrics);

  g_ptr_array_unref (result->metrics);
  result->metrics = metrics;
  fm_stage_result_add_metric (result, NULL, NULL, NULL, "unstable", member->unstable);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      gdouble value = forward_metric (metrics, names[i]);

      if (isfinite (value))
        fm_stage_result_add_metric (result, NULL, NULL, NULL, names[i], value);
    }
}

static gboolean
store_results (FmRunner *runner, GError **error)
{
  FmMeasuring *m = runner->measuring;

  if (!fm_store_begin (runner->store, error))
    return FALSE;
  for (guint i = 0; i < m->members->len; i++)
    {
      Member *member = g_ptr_array_index (m->members, i);

      if (member->dropped)
        continue;
      complete (member);
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
      Member *member = g_ptr_array_index (m->members, i);

      if (!member->dropped)
        member->stage->state = FM_STAGE_DONE;
    }
  runner->dirty = TRUE;
  fm_runner_update_status (runner);
  for (guint i = 0; i < m->members->len; i++)
    {
      Member *member = g_ptr_array_index (m->members, i);

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
      Member *member = g_ptr_array_index (m->members, i);

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
  for (guint i = 0; i < m->members->len; i++)
    {
      Member *member = g_ptr_array_index (m->members, i);

      if (!member->dropped && member->wanted)
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
    ((Member *) g_ptr_array_index (m->order, i))->place = i;
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
      Member *member = g_ptr_array_index (m->order, m->next);
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
  m->members = g_ptr_array_new_with_free_func (member_free);
  m->order = g_ptr_array_new ();
  for (guint i = 0; i < runner->stages->len; i++)
    {
      FmRunnerStage *stage = g_ptr_array_index (runner->stages, i);
      gboolean ours;
      Member *member;

      if (fm_runner_stage_is_training (stage) || !fm_runner_stage_is_ready (runner, stage))
        continue;
      if (!fm_runner_claim_stage (runner, stage, &ours))
        return;
      if (!ours)
        continue;
      member = g_new0 (Member, 1);
      member->stage = stage;
      member->ground = ground_of (runner, stage);
      member->log_us = g_array_new (FALSE, FALSE, sizeof (gdouble));
      member->wanted = TRUE;
      stage->steps = FM_BLOCKS_LEAST;
      g_ptr_array_add (m->members, member);
    }
  if (m->members->len == 0)
    {
      runner->measuring = NULL;
      measuring_free (m);
      return;
    }
  start_block (runner);
}

/* A process has told what it found. Its numbers get the block's number here, whatever it calls itself. */
static void
take_result (Member *member, FmStageResult *found, guint block)
{
  g_autoptr (GArray) single = g_array_new (FALSE, FALSE, sizeof (gdouble));
  g_autoptr (FmStageResult) other = found;
  FmStageResult *into;
  gdouble log_us, nothing = NAN;
  FmProcessRow *to;

  for (guint i = 0; i < found->latency->len; i++)
    {
      FmLatencySample *sample = g_ptr_array_index (found->latency, i);

      sample->process = block;
      if (g_str_equal (sample->kind, "batch1") && sample->value_us > 0)
        g_array_append_val (single, sample->value_us);
    }
  log_us = log (fm_quantile ((const gdouble *) (gpointer) single->data, single->len, 0.5));
  if (found->processes->len > 0)
    {
      gdouble heap_bytes = forward_metric (found->metrics, "device_heap_bytes");

      to = g_ptr_array_index (found->processes, 0);
      to->energy_joules = forward_metric (found->metrics, "energy_joules");
      to->device_heap_bytes = isfinite (heap_bytes) ? (gint64) heap_bytes : -1;
    }
  while (member->log_us->len < block)
    g_array_append_val (member->log_us, nothing);
  g_array_append_val (member->log_us, log_us);
  if (member->result == NULL)
    {
      member->result = g_steal_pointer (&other);
      g_ptr_array_set_size (found->processes, MIN (found->processes->len, 1));
      if (found->processes->len > 0)
        {
          to = g_ptr_array_index (found->processes, 0);
          to->process = to->block = block;
        }
      return;
    }
  into = member->result;
  g_ptr_array_extend_and_steal (into->latency, g_steal_pointer (&found->latency));
  found->latency = g_ptr_array_new ();
  g_ptr_array_extend_and_steal (into->metrics, g_steal_pointer (&found->metrics));
  found->metrics = g_ptr_array_new ();
  for (guint i = 0; i < found->memory->len; i++)
    for (guint k = 0; k < into->memory->len; k++)
      {
        const FmMemoryRow *row = g_ptr_array_index (found->memory, i);
        FmMemoryRow *kept = g_ptr_array_index (into->memory, k);

        if (g_str_equal (row->kind, kept->kind))
          kept->measured_bytes = MAX (kept->measured_bytes, row->measured_bytes);
      }
  if (found->processes->len > 0)
    {
      const FmProcessRow *from = g_ptr_array_index (found->processes, 0);

      to = fm_stage_result_add_process (into, block, from->session, block);
      to->place = from->place;
      to->started_us = from->started_us;
      to->warm_ups = from->warm_ups;
      to->settled = from->settled;
      to->measured_peak_bytes = from->measured_peak_bytes;
      to->device_heap_bytes = from->device_heap_bytes;
      to->energy_joules = from->energy_joules;
    }
}

gboolean
fm_runner_settle_block (FmRunner *runner, FmRunnerWorker *worker, const char *how, char **reason, GError **error)
{
  FmMeasuring *m = runner->measuring;
  FmRunnerStage *stage = worker->stage;
  Member *member = find_member (m, stage);

  if (m->busy == worker)
    m->busy = NULL;
  if (worker->killed) /* what becomes of the stage is decided for all of them */
    return TRUE;
  if (worker->result && worker->result->state == FM_STAGE_DONE)
    {
      take_result (member, g_steal_pointer (&worker->result), m->block);
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

/* In the first block two finish side by side: they write maps and count routing, which is work, not measurement. */
static void
finish_some (FmRunner *runner)
{
  guint most = runner->measuring->block == 0 ? runner->n_training : G_MAXUINT, finishing = 0;

  for (guint i = 0; i < runner->workers->len; i++)
    finishing += ((FmRunnerWorker *) g_ptr_array_index (runner->workers, i))->finishing;
  for (guint i = 0; i < runner->workers->len && finishing < most; i++)
    {
      FmRunnerWorker *worker = g_ptr_array_index (runner->workers, i);

      if (worker->finishing)
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
  gboolean enough = m->block + 1 >= FM_BLOCKS_LEAST && (all_are_precise (runner) || m->block + 1 >= FM_BLOCKS_MOST), left = FALSE;

  for (guint i = 0; i < m->members->len; i++)
    {
      Member *member = g_ptr_array_index (m->members, i);

      left |= !member->dropped;
      if (!member->dropped && member->wanted)
        member->stage->steps = MIN (FM_BLOCKS_MOST, MAX (FM_BLOCKS_LEAST, m->block + 2));
    }
  if (enough || !left)
    {
      end_session (runner);
      return;
    }
  m->block++;
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
  Member *member = runner->measuring ? find_member (runner->measuring, stage) : NULL;

  return member ? MIN (1, (gdouble) member->log_us->len / FM_BLOCKS_LEAST) : 0;
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
