/* runner-rows.c: what a measuring session knows so far: rows of the table that will be, which of them are compared, and
 * how well; what processes found, gathered by stage. */
#include "config.h"

#include "app/results/statistics.h"
#include "app/run/runner-measure.h"

#include <math.h>

void
fm_measured_row_free (gpointer data)
{
  FmMeasuredRow *row = data;

  g_ptr_array_unref (row->members);
  g_array_unref (row->log_us);
  g_free (row);
}

void
fm_measured_member_free (gpointer data)
{
  FmMeasuredMember *member = data;

  g_clear_pointer (&member->result, fm_stage_result_free);
  g_free (member);
}

/* --- Rows ---------------------------------------------------------------------------------------------------------*/

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

FmMeasuredRow *
fm_measured_rows_find (FmRunner *runner, GPtrArray *rows, const FmRunnerStage *stage)
{
  const char *ground = ground_of (runner, stage);
  FmMeasuredRow *row;

  for (guint i = 0; i < rows->len; i++)
    {
      row = g_ptr_array_index (rows, i);
      if (row->ground == ground && g_strcmp0 (row->variant, stage->variant) == 0)
        return row;
    }
  row = g_new0 (FmMeasuredRow, 1);
  row->variant = stage->variant;
  row->ground = ground;
  row->members = g_ptr_array_new ();
  row->log_us = g_array_new (FALSE, FALSE, sizeof (gdouble));
  row->wanted = TRUE;
  g_ptr_array_add (rows, row);
  return row;
}

/* Seeds take turns over the blocks, the same seed of every variant in a block. */
FmMeasuredMember *
fm_measured_row_pick (const FmMeasuredRow *row, guint block)
{
  for (guint i = 0; i < row->members->len; i++)
    {
      FmMeasuredMember *member = g_ptr_array_index (row->members, (block + i) % row->members->len);

      if (!member->dropped)
        return member;
    }
  return NULL;
}

/* --- How well they are known --------------------------------------------------------------------------------------*/

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
is_compared (FmRunner *runner, const FmBatchJudging *judging, const FmMeasuredRow *a, const FmMeasuredRow *b)
{
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

/* @b (nullable): without one, how well is @a known by itself? */
static gboolean
is_precise (const FmBatchJudging *judging, const FmMeasuredRow *a, const FmMeasuredRow *b)
{
  guint n = b ? MIN (a->log_us->len, b->log_us->len) : a->log_us->len;
  g_autofree gdouble *differences = g_new (gdouble, n + 1);
  FmEstimate e;

  for (guint i = 0; i < n; i++)
    differences[i] = g_array_index (a->log_us, gdouble, i) - (b ? g_array_index (b->log_us, gdouble, i) : 0);
  e = fm_blocks_estimate (differences, n);
  return e.high - e.low <= log1p (judging->latency_margin);
}

gboolean
fm_measured_rows_look (FmRunner *runner, GPtrArray *rows, const FmBatchJudging *judging, guint blocks)
{
  gboolean all = TRUE;

  for (guint i = 0; i < rows->len; i++)
    {
      FmMeasuredRow *row = g_ptr_array_index (rows, i);

      row->compared = row->precise_once = row->wide = FALSE;
    }
  for (guint i = 0; i < rows->len; i++)
    for (guint k = 0; k < rows->len; k++)
      {
        FmMeasuredRow *a = g_ptr_array_index (rows, i), *b = g_ptr_array_index (rows, k);
        gboolean precise;

        /* A variant whose stages all failed has no latency to wait for. */
        if (!is_compared (runner, judging, a, b) || !fm_measured_row_pick (a, 0) || !fm_measured_row_pick (b, 0))
          continue;
        precise = is_precise (judging, a, b);
        a->compared = b->compared = TRUE;
        a->wide |= !precise;
        b->wide |= !precise;
        a->precise_once |= precise;
        b->precise_once |= precise;
      }
  for (guint i = 0; i < rows->len; i++)
    {
      FmMeasuredRow *row = g_ptr_array_index (rows, i);

      if (!row->compared)
        row->wide = !is_precise (judging, row, NULL);
      /* A baseline is not to blame for one restless variant. */
      row->unstable = row->wide && !row->precise_once;
      row->wanted = fm_measured_row_pick (row, 0) != NULL
                    && (blocks < MAX (FM_BLOCKS_LEAST, row->members->len) || (row->wide && blocks < FM_BLOCKS_MOST));
      all &= !row->wanted;
    }
  return all;
}

/* --- What processes found -----------------------------------------------------------------------------------------*/

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

void
fm_measured_member_complete (FmMeasuredMember *member)
{
  static const char * const names[] = { "energy_joules", "device_heap_bytes" };
  FmStageResult *result = member->result;
  GPtrArray *metrics = merge_metrics (result->metrics);

  g_ptr_array_unref (result->metrics);
  result->metrics = metrics;
  fm_stage_result_add_metric (result, NULL, NULL, NULL, "unstable", member->row->unstable);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      gdouble value = forward_metric (metrics, names[i]);

      if (isfinite (value))
        fm_stage_result_add_metric (result, NULL, NULL, NULL, names[i], value);
    }
}

/* A process has told what it found. Its numbers get the block's number here, whatever it calls itself. */
void
fm_measured_member_take (FmMeasuredMember *member, FmStageResult *found, guint block)
{
  g_autoptr (GArray) single = g_array_new (FALSE, FALSE, sizeof (gdouble));
  g_autoptr (FmStageResult) other = found;
  GArray *blocks = member->row->log_us;
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
  while (blocks->len < block)
    g_array_append_val (blocks, nothing);
  g_array_append_val (blocks, log_us);
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
