/* hold.c: budgets are types: what is held equal between variants, and what the plan chooses so that it is.
 *
 * The baseline is the first variant on a task and a device. hold=parameters gives every other one the feed-forward width
 * F whose count comes nearest to the baseline's; parameters that depend on the length N are counted apart. One of steps,
 * examples, tokens, flops and seconds fixes how long a variant trains, and the number of steps is solved for it.
 *
 * Seconds are those of a model machine (below), not of this one: a plan must be the same plan tomorrow and on another
 * machine, and stopping by the clock would let whatever else runs decide the result. What training really took stands
 * in the results. bytes is a ceiling: a smaller batch would be another training, so what needs more is not ranked. */
#include "config.h"

#include "app/batch/batch-private.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define MAX_STEPS G_GINT64_CONSTANT (1000000000)
#define MAX_HIDDEN (1 << 24)
#define DEFAULT_TOLERANCE 0.01
/* Processors and GPUs of today do 5 to 50 FLOPs in the time of a byte from memory; only the ratio counts here. */
#define MODEL_FLOPS_PER_S 1e11
#define MODEL_BYTES_PER_S 1e10

const char * const fm_batch_length_names[FM_N_LENGTHS] = { "steps", "examples", "tokens", "flops", "seconds" };

static gint
find_length (const char *name)
{
  for (guint i = 0; i < FM_N_LENGTHS; i++)
    if (g_str_equal (fm_batch_length_names[i], name))
      return (gint) i;
  return -1;
}

/* --- budget= and hold= --------------------------------------------------------------------------------------------*/

gboolean
fm_batch_parse_budget (FmBatchFile *file, const FmBatchEntry *entry, GError **error)
{
  const char *number = strchr (entry->value, ':');
  g_autofree char *unit = number ? g_strndup (entry->value, number - entry->value) : g_strdup ("");
  gint length = find_length (unit);
  char *end;

  if (length == FM_LENGTH_SECONDS)
    return fm_batch_fail (file, entry, error,
                          "budget=%s: a training that the clock stops cannot be repeated; write budget=steps:N, and "
                          "hold=seconds for as much time for all", entry->value);
  if (length < 0)
    return fm_batch_fail (file, entry, error, "budget=%s: must be steps:N, examples:N, tokens:N or flops:N", entry->value);
  errno = 0;
  file->budget = g_ascii_strtod (number + 1, &end);
  file->budget_unit = (FmBatchLength) length;
  if (end == number + 1 || *end != '\0' || !isfinite (file->budget)
      || file->budget < (length == FM_LENGTH_STEPS ? 0 : 1) /* no step: what costs the same untrained is measured alone */
      || (length != FM_LENGTH_FLOPS && (file->budget != floor (file->budget) || file->budget > 1e15))
      || (length == FM_LENGTH_STEPS && file->budget > (gdouble) MAX_STEPS))
    {
      if (length == FM_LENGTH_STEPS)
        return fm_batch_fail (file, entry, error,
                              "budget=%s: must be a whole number of steps from 0 to %" G_GINT64_FORMAT, entry->value,
                              MAX_STEPS);
      return fm_batch_fail (file, entry, error, "budget=%s: must be a %s of %s from 1 on", entry->value,
                            length == FM_LENGTH_FLOPS ? "number" : "whole number", unit);
    }
  return TRUE;
}

static gboolean
parse_tolerance (FmBatchFile *file, const FmBatchEntry *entry, const char *text, gdouble *tolerance, GError **error)
{
  char *end;
  gdouble percent = g_ascii_strtod (text, &end);

  if (end == text || !g_str_equal (end, "%") || !(percent >= 0 && percent <= 50))
    return fm_batch_fail (file, entry, error, "hold=%s: “%s” must be a percentage from 0%% to 50%%, as in parameters:1%%",
                          entry->value, text);
  *tolerance = percent / 100;
  return TRUE;
}

gboolean
fm_batch_parse_hold (FmBatchFile *file, const FmBatchEntry *entry, GError **error)
{
  g_autoptr (GPtrArray) list = fm_batch_split (file, entry, error);
  FmBatchHold *hold = &file->hold;

  if (list == NULL)
    return FALSE;
  *hold = (FmBatchHold){ .entry = entry, .parameters_tolerance = DEFAULT_TOLERANCE, .length_tolerance = DEFAULT_TOLERANCE };
  for (guint i = 0; i < list->len; i++)
    {
      const char *item = g_ptr_array_index (list, i), *colon = strchr (item, ':');
      g_autofree char *name = colon ? g_strndup (item, colon - item) : g_strdup (item);
      gint length = find_length (name);
      gdouble *tolerance = NULL;
      gboolean twice = FALSE;

      if (g_str_equal (name, "trials"))
        {
          twice = hold->trials;
          hold->trials = TRUE;
        }
      else if (g_str_equal (name, "parameters"))
        {
          twice = hold->parameters;
          hold->parameters = TRUE;
          tolerance = &hold->parameters_tolerance;
        }
      else if (g_str_equal (name, "bytes"))
        {
          twice = hold->bytes;
          hold->bytes = TRUE;
          tolerance = &hold->bytes_tolerance;
        }
      else if (length < 0)
        return fm_batch_fail (file, entry, error,
                              "hold=%s: “%s” cannot be held; there are parameters, steps, examples, tokens, flops, seconds, "
                              "bytes and trials", entry->value, name);
      else if (hold->has_length && (gint) hold->length != length)
        return fm_batch_fail (file, entry, error, "hold=%s: %s and %s both fix how long a variant trains; keep one of them",
                              entry->value, fm_batch_length_names[hold->length], name);
      else
        {
          twice = hold->has_length;
          hold->has_length = TRUE;
          hold->length = (FmBatchLength) length;
          tolerance = length == FM_LENGTH_STEPS ? NULL : &hold->length_tolerance;
        }
      if (twice)
        return fm_batch_fail (file, entry, error, "hold=%s: names %s twice", entry->value, name);
      if (colon && tolerance == NULL)
        return fm_batch_fail (file, entry, error, "hold=%s: %s are counted exactly; write %s alone", entry->value, name, name);
      if (colon && !parse_tolerance (file, entry, colon + 1, tolerance, error))
        return FALSE;
    }
  return TRUE;
}

gboolean
fm_batch_check_hold (FmBatchFile *file, GError **error)
{
  FmBatchHold *hold = &file->hold;

  for (guint i = 0; hold->parameters && i < file->axes->len; i++)
    {
      const FmBatchAxis *axis = g_ptr_array_index (file->axes, i);

      if (*axis->owner == '\0' && g_str_equal (axis->name, "hidden") && axis->values->len > 1)
        return fm_batch_fail (file, hold->entry, error,
                              "hold=%s: parameters are held by solving hidden, but hidden=%s lists values; keep one of the "
                              "two", hold->entry->value, axis->entry->value);
    }
  if (hold->has_length && file->budget_unit != FM_LENGTH_STEPS && hold->length != file->budget_unit)
    return fm_batch_fail (file, hold->entry, error,
                          "hold=%s: %s cannot be held where the budget is one of %s; write budget=steps:N or hold=%s",
                          hold->entry->value, fm_batch_length_names[hold->length],
                          fm_batch_length_names[file->budget_unit], fm_batch_length_names[file->budget_unit]);
  if (!hold->has_length)
    {
      hold->length = file->budget_unit;
      hold->length_tolerance = DEFAULT_TOLERANCE;
    }
  return TRUE;
}

/* --- What a variant costs -----------------------------------------------------------------------------------------*/

void
fm_batch_choice_free (FmBatchChoice *choice)
{
  if (choice == NULL)
    return;
  g_clear_pointer (&choice->architecture, fm_architecture_unref);
  g_free (choice->unmet);
  g_free (choice);
}

/* Of a training step: the plan and the cost that the processor's program would have, on any device, so that a plan does
 * not depend on where it is made. */
static gboolean
step_cost (const FmBatchCandidate *c, FmArchitecture *a, FmPlan *plan, FmCost *cost, GError **error)
{
  const FmBatchSettings *s = c->settings;
  g_autoptr (FmModel) model = fm_model_new (a, c->task, "");
  FmOptimizer optimizer = { .kind = s->optimizer ? FM_OPTIMIZER_SGD : FM_OPTIMIZER_ADAMW, .beta1 = 0.9, .beta2 = 0.999,
                            .eps = 1e-8, .decay = s->decay, .clip = s->clip, .momentum = s->momentum,
                            .nesterov = s->nesterov != 0, .average = s->average };
  g_autoptr (FmModelGraph) graph = NULL;

  fm_model_set_options (model, &(FmModelOptions){ .recompute = MIN (s->recompute, s->layers), .accumulate = s->accumulate });
  graph = fm_model_graph_new (model, FM_MODE_TRAIN, s->batch, &optimizer, FALSE, error);
  return graph && fm_graph_plan (graph->graph, "cpu", plan, cost, error);
}

/* What a step uses up of @length. */
static gdouble
amount_of_step (const FmBatchCandidate *c, FmBatchLength length, const FmCost *cost)
{
  switch (length)
    {
    case FM_LENGTH_EXAMPLES:
      return (gdouble) c->settings->batch;
    case FM_LENGTH_TOKENS:
      return (gdouble) c->settings->batch * (gdouble) fm_task_get_info (c->task)->inputs[0].length;
    case FM_LENGTH_FLOPS:
      return cost->flops;
    case FM_LENGTH_SECONDS:
      return cost->flops / MODEL_FLOPS_PER_S + cost->bytes / MODEL_BYTES_PER_S;
    default:
      return 1;
    }
}

/* --- Solving ------------------------------------------------------------------------------------------------------*/

static FmArchitecture *
count_at (const FmBatchCandidate *c, gint64 hidden, gint64 *parameters, gint64 *by_n, GError **error)
{
  g_autoptr (FmArchitecture) a = c->make (c->data, hidden, error);

  return a && fm_architecture_count (a, c->task, parameters, by_n, error) ? g_steal_pointer (&a) : NULL;
}

/* The first reason counts. */
static void
unmet (FmBatchChoice *choice, const char *format, ...) G_GNUC_PRINTF (2, 3);

static void
unmet (FmBatchChoice *choice, const char *format, ...)
{
  va_list args;

  if (choice->unmet)
    return;
  va_start (args, format);
  choice->unmet = g_strdup_vprintf (format, args);
  va_end (args);
}

/* The F whose count is nearest to @target: bisection, since more F never means fewer parameters. FALSE where a plugin
 * refuses an F on the way. */
static gboolean
solve_hidden (const FmBatchCandidate *c, gint64 target, FmBatchChoice *choice, GError **error)
{
  gint64 low = 1, high = choice->hidden, n = choice->parameters, by_n, before;

  if (n >= target)
    {
      g_autoptr (FmArchitecture) least = count_at (c, 1, &before, &by_n, error);

      if (least == NULL || before == n) /* F moves nothing */
        return least != NULL;
    }
  while (n < target && high < MAX_HIDDEN)
    {
      g_autoptr (FmArchitecture) a = NULL;

      before = n;
      high = MIN (2 * high, MAX_HIDDEN);
      a = count_at (c, high, &n, &by_n, error);
      if (a == NULL || n == before)
        return a != NULL;
    }
  while (low < high) /* the smallest F with at least @target */
    {
      gint64 middle = low + (high - low) / 2;
      g_autoptr (FmArchitecture) a = count_at (c, middle, &n, &by_n, error);

      if (a == NULL)
        return FALSE;
      if (n >= target)
        high = middle;
      else
        low = middle + 1;
    }
  for (gint64 hidden = MAX (high - 1, 1), nearest = G_MAXINT64; hidden <= high; hidden++)
    {
      FmArchitecture *a = count_at (c, hidden, &n, &by_n, error);

      if (a == NULL)
        return FALSE;
      if (ABS (n - target) < nearest)
        {
          nearest = ABS (n - target);
          fm_architecture_unref (choice->architecture);
          choice->architecture = fm_architecture_ref (a);
          choice->hidden = hidden;
          choice->parameters = n;
          choice->parameters_by_n = by_n;
        }
      fm_architecture_unref (a);
    }
  return TRUE;
}

static gboolean
hold_parameters (FmBatchFile *file, const FmBatchChoice *baseline, const FmBatchCandidate *c, FmBatchChoice *choice,
                 GError **error)
{
  g_autoptr (GError) refused = NULL;
  gdouble off;

  if (!fm_architecture_count (choice->architecture, c->task, &choice->parameters, &choice->parameters_by_n, error))
    return FALSE;
  if (baseline == NULL || choice->parameters == baseline->parameters)
    return TRUE;
  if (!solve_hidden (c, baseline->parameters, choice, &refused))
    {
      unmet (choice, "Its parameters cannot be held: %s", refused->message);
      return TRUE;
    }
  off = (gdouble) (choice->parameters - baseline->parameters) / (gdouble) MAX (baseline->parameters, 1);
  if (fabs (off) > file->hold.parameters_tolerance)
    unmet (choice, "Its parameters cannot be held: hidden=%" G_GINT64_FORMAT " comes nearest with %" G_GINT64_FORMAT
           ", %.3g%% off the baseline's %" G_GINT64_FORMAT, choice->hidden, choice->parameters, 100 * off,
           baseline->parameters);
  return TRUE;
}

static void
hold_length (FmBatchFile *file, const FmBatchChoice *baseline, const FmBatchCandidate *c, const FmCost *cost,
             FmBatchChoice *choice)
{
  FmBatchLength length = file->hold.length;
  gdouble of_step = amount_of_step (c, length, cost), target, steps;

  if (file->budget_unit == length)
    target = file->budget;
  else if (baseline)
    target = baseline->amount;
  else
    target = file->budget * of_step;
  steps = of_step > 0 ? CLAMP (round (target / of_step), target > 0, (gdouble) MAX_STEPS) : 1;
  choice->steps = (gint64) steps;
  choice->amount = steps * of_step;
  if (fabs (choice->amount - target) > file->hold.length_tolerance * target)
    unmet (choice, "Its %s cannot be held: %" G_GINT64_FORMAT " steps come nearest with %.4g, wanted are %.4g",
           fm_batch_length_names[length], choice->steps, choice->amount, target);
}

FmBatchChoice *
fm_batch_choose (FmBatchFile *file, const FmBatchChoice *baseline, const FmBatchCandidate *candidate,
                 FmArchitecture *architecture, GError **error)
{
  g_autoptr (FmBatchChoice) choice = g_new0 (FmBatchChoice, 1);
  const FmBatchHold *hold = &file->hold;
  FmPlan plan = { 0 };
  FmCost cost = { 0, 0 };

  choice->architecture = fm_architecture_ref (architecture);
  choice->hidden = fm_architecture_get_hidden (architecture);
  choice->parameters = choice->parameters_by_n = -1;
  if (hold->parameters && !hold_parameters (file, baseline, candidate, choice, error))
    return NULL;
  if ((hold->bytes || hold->length >= FM_LENGTH_FLOPS) && !step_cost (candidate, choice->architecture, &plan, &cost, error))
    return NULL;
  hold_length (file, baseline, candidate, &cost, choice);
  choice->peak_bytes = plan.peak_bytes;
  if (hold->bytes && baseline
      && (gdouble) plan.peak_bytes > (1 + hold->bytes_tolerance) * (gdouble) baseline->peak_bytes)
    unmet (choice, "Its training needs %" G_GUINT64_FORMAT " bytes, %.3g%% more than the baseline's %" G_GUINT64_FORMAT,
           plan.peak_bytes, 100 * ((gdouble) plan.peak_bytes / (gdouble) baseline->peak_bytes - 1), baseline->peak_bytes);
  return g_steal_pointer (&choice);
}

gboolean
fm_batch_budget_steps (const FmBatchCandidate *candidate, FmArchitecture *architecture, FmBatchLength unit,
                       gdouble budget, gint64 *steps, GError **error)
{
  FmPlan plan;
  FmCost cost = { 0, 0 };
  gdouble of_step;

  if (unit >= FM_LENGTH_FLOPS && !step_cost (candidate, architecture, &plan, &cost, error))
    return FALSE;
  of_step = amount_of_step (candidate, unit, &cost);
  *steps = of_step > 0 ? (gint64) CLAMP (round (budget / of_step), budget > 0, (gdouble) MAX_STEPS) : 1;
  return TRUE;
}
