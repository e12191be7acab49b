/* replay-compare.c: what a replay left beside what the store has, stage by stage. */
#include "config.h"

#include "app/batch/judging.h"
#include "app/results/format.h"
#include "app/results/statistics.h"
#include "app/run/digests.h"
#include "app/run/replay-private.h"

#include <math.h>
#include <string.h>

static void
stage_free (gpointer data)
{
  FmReplayStage *stage = data;

  g_free (stage->variant);
  g_free (stage->stage);
  g_free (stage->kind);
  g_free (stage->text);
  g_free (stage->tensor);
  g_free (stage);
}

const char *
fm_replay_verdict_word (FmReplayVerdict verdict, const char *kind)
{
  switch (verdict)
    {
    case FM_REPLAY_SAME:      return "same";
    case FM_REPLAY_WITHIN:    return g_str_equal (kind, FM_STAGE_KIND_MEASURE) ? "within interval" : "within noise";
    case FM_REPLAY_DIFFERENT: return "different";
    case FM_REPLAY_UNKNOWN:   return "other hardware";
    case FM_REPLAY_FAILED:    return "failed";
    default:                  return "";
    }
}

#define LEAST_PROCESSES 3 /* of a measurement, to be the blocks of its interval */

/* Both sides of one stage, and what was found so far. */
typedef struct
{
  FmReplay      *replay;
  FmReplayItem  *item;
  FmStageRecord *then, *now;
  FmReplayStage *found;
  gboolean       same;
  gboolean       tampered; /* a file is not the one that the run left */
  GString       *what;   /* compared: "36 curve points; 6 numbers" */
  GString       *where;  /* it parts: "at step 1, in embed.token (3 of 12 tensors)" */
  GString       *parts;  /* and how: "test loss was 1.2 and is 1.3; ..." */
} Comparison;

static gboolean
same_number (gdouble a, gdouble b)
{
  return a == b ? signbit (a) == signbit (b) : isnan (a) && isnan (b);
}

static void G_GNUC_PRINTF (2, 3)
append (GString *out, const char *format, ...)
{
  va_list args;

  if (out->len > 0)
    g_string_append (out, "; ");
  va_start (args, format);
  g_string_append_vprintf (out, format, args);
  va_end (args);
}

/* --- Curves --------------------------------------------------------------------------------------------------------*/

static int
compare_points (const FmCurvePoint *a, const FmCurvePoint *b)
{
  int order = strcmp (a->name, b->name);

  order = order ? order : strcmp (a->tag, b->tag);
  return order ? order : a->step < b->step ? -1 : a->step > b->step;
}

/* The first step at which a curve has another value, or a point that only one side has. */
static gboolean
compare_curves (Comparison *c, GError **error)
{
  g_autoptr (GPtrArray) then = fm_store_load_curve (c->replay->then, c->item->stage, NULL, -1, error);
  g_autoptr (GPtrArray) now = then ? fm_store_load_curve (c->replay->now, c->item->stage, NULL, -1, error) : NULL;
  const FmCurvePoint *first = NULL, *other = NULL;
  guint i = 0, k = 0, differing = 0;

  if (now == NULL)
    return FALSE;
  while (i < then->len || k < now->len)
    {
      const FmCurvePoint *a = i < then->len ? g_ptr_array_index (then, i) : NULL;
      const FmCurvePoint *b = k < now->len ? g_ptr_array_index (now, k) : NULL;
      int order = a == NULL ? 1 : b == NULL ? -1 : compare_points (a, b);

      i += order <= 0;
      k += order >= 0;
      if (order == 0 && same_number (a->value, b->value))
        continue;
      differing++;
      a = order <= 0 ? a : NULL;
      b = order >= 0 ? b : NULL;
      if (first == NULL || (a ? a : b)->step < first->step)
        {
          first = a ? a : b;
          other = a ? b : NULL;
        }
    }
  append (c->what, "%u curve points", then->len);
  if (differing == 0)
    return TRUE;
  c->same = FALSE;
  if (c->where->len == 0)
    g_string_append_printf (c->where, " by step %" G_GINT64_FORMAT, first->step);
  c->found->step = c->found->step < 0 ? first->step : MIN (c->found->step, first->step);
  if (other)
    append (c->parts, "%s%s%s%s at step %" G_GINT64_FORMAT " was %.9g and is %.9g (%u of %u points of curves differ)",
            first->name, *first->tag ? " (" : "", first->tag, *first->tag ? ")" : "", first->step, first->value,
            other->value, differing, then->len);
  else
    append (c->parts, "only one of the two has a point of %s at step %" G_GINT64_FORMAT, first->name, first->step);
  return TRUE;
}

/* --- Digests and checkpoint ----------------------------------------------------------------------------------------*/

static const FmArtifactRow *
find_artifact (GPtrArray *rows, const char *kind)
{
  for (guint i = 0; rows && i < rows->len; i++)
    if (g_str_equal (((FmArtifactRow *) g_ptr_array_index (rows, i))->kind, kind))
      return g_ptr_array_index (rows, i);
  return NULL;
}

/* Without digests on both sides (an older program wrote none) the curves have to say where it parts. */
static void
compare_digests (Comparison *c)
{
  g_autofree char *then = fm_store_artifact_path (c->replay->then, c->item->stage, FM_DIGESTS_FILE);
  g_autofree char *now = fm_store_artifact_path (c->replay->now, c->item->stage, FM_DIGESTS_FILE);
  g_autoptr (FmDigests) a = fm_digests_load (then, NULL), b = a ? fm_digests_load (now, NULL) : NULL;
  FmParting parting;

  if (b == NULL)
    return;
  parting = fm_digests_compare (a, b);
  if (!parting.part)
    {
      append (c->what, "%u tensors at %u steps", parting.tensors, a->steps->len);
      c->found->same_step = parting.same_step;
      return;
    }
  c->same = FALSE;
  g_free (c->found->tensor);
  c->found->tensor = g_strdup (parting.tensor);
  if (parting.names_differ)
    {
      g_string_printf (c->where, " before the first step: the model has other tensors, %s the first of them",
                       parting.tensor);
      c->found->step = 0;
      return;
    }
  c->found->same_step = parting.same_step;
  c->found->step = parting.step;
  if (parting.step == 0)
    g_string_append (c->where, " before the first step");
  else if (parting.step == parting.same_step + 1)
    g_string_append_printf (c->where, " at step %" G_GINT64_FORMAT, parting.step);
  else
    g_string_append_printf (c->where, " between step %" G_GINT64_FORMAT " and step %" G_GINT64_FORMAT,
                            parting.same_step, parting.step);
  g_string_append_printf (c->where, ", first in %s (%u of %u tensors)", parting.tensor, parting.differing,
                          parting.tensors);
}

/* The largest difference of two tensors of the same shape, -1 where they have not the same shape. */
static gdouble
difference_of (FmVariables *a, FmVariables *b, const char *path)
{
  FmType type, other;
  FmShape x, y;
  gsize n = 1;
  gdouble largest = 0;
  g_autofree gfloat *p = NULL, *q = NULL;

  if (!fm_variables_get_shape (a, path, &type, &x) || !fm_variables_get_shape (b, path, &other, &y) || type != other
      || type != FM_F32 || x.rank != y.rank)
    return -1;
  for (guint d = 0; d < x.rank; d++)
    {
      if (x.dims[d] != y.dims[d])
        return -1;
      n *= (gsize) x.dims[d];
    }
  p = g_try_new (gfloat, n);
  q = g_try_new (gfloat, n);
  if (p == NULL || q == NULL || !fm_variables_read (a, path, p, n * sizeof *p, NULL)
      || !fm_variables_read (b, path, q, n * sizeof *q, NULL))
    return -1;
  for (gsize i = 0; i < n; i++)
    if (memcmp (&p[i], &q[i], sizeof *p) != 0)
      largest = MAX (largest, isfinite (p[i] - q[i]) ? MAX (fabs ((gdouble) p[i] - q[i]), G_MINDOUBLE) : INFINITY);
  return largest;
}

/* Names the first tensor of the two files that differs, by path. */
static void
name_tensor (Comparison *c, const char *then, const char *now)
{
  g_autoptr (FmDevice) device = fm_device_open ("cpu", 1, NULL);
  g_autoptr (FmVariables) a = device ? fm_variables_new (device, 0) : NULL;
  g_autoptr (FmVariables) b = device ? fm_variables_new (device, 0) : NULL;
  g_autoptr (GPtrArray) paths = NULL;
  g_autoptr (GError) error = NULL;
  const char *first = NULL;
  gdouble by = 0;
  guint differing = 0;

  if (device == NULL)
    return;
  if (!fm_variables_load (a, then, &error) || !fm_variables_load (b, now, &error))
    {
      append (c->parts, "the checkpoints cannot be compared (%s)", error->message);
      return;
    }
  paths = fm_variables_paths (b);
  for (guint i = 0; i < paths->len; i++)
    {
      gdouble largest = difference_of (a, b, g_ptr_array_index (paths, i));

      if (largest == 0)
        continue;
      if (differing++ == 0)
        {
          first = g_ptr_array_index (paths, i);
          by = largest;
        }
    }
  if (first == NULL)
    return;
  if (c->found->tensor == NULL)
    {
      c->found->tensor = g_strdup (first);
      g_string_append_printf (c->where, "%s in %s of the checkpoint", c->where->len ? "," : "", first);
    }
  append (c->parts, "%u of %u tensors of the checkpoint differ", differing, paths->len);
  if (by > 0)
    g_string_append_printf (c->parts, ", %s by up to %.3g", first, by);
}

/* The row says what the run left, the file what is kept of it now; either may part from the replay. */
static gboolean
compare_checkpoint (Comparison *c, GError **error)
{
  g_autoptr (GPtrArray) a = fm_store_load_artifacts (c->replay->then, c->item->stage, error);
  g_autoptr (GPtrArray) b = a ? fm_store_load_artifacts (c->replay->now, c->item->stage, error) : NULL;
  const FmArtifactRow *then, *now;
  g_autofree char *kept = fm_store_artifact_path (c->replay->then, c->item->stage, FM_CHECKPOINT_FILE);
  g_autofree char *made = fm_store_artifact_path (c->replay->now, c->item->stage, FM_CHECKPOINT_FILE);

  if (b == NULL)
    return FALSE;
  then = find_artifact (a, "checkpoint");
  now = find_artifact (b, "checkpoint");
  if (then == NULL || now == NULL) /* pruned, or there never was one: the digests speak for it */
    return TRUE;
  append (c->what, "the checkpoint");
  if (g_strcmp0 (then->sha256, now->sha256) == 0 && fm_file_has_hash (kept, then->sha256))
    return TRUE;
  if (!g_file_test (kept, G_FILE_TEST_EXISTS))
    {
      c->same &= g_strcmp0 (then->sha256, now->sha256) == 0;
      append (c->same ? c->what : c->parts, "whose file is missing here");
      return TRUE;
    }
  c->tampered = !fm_file_has_hash (kept, then->sha256);
  if (c->tampered)
    append (c->parts, "the checkpoint kept here was changed after the run (another SHA-256)");
  c->same = FALSE;
  name_tensor (c, kept, made);
  return TRUE;
}

/* --- Scores --------------------------------------------------------------------------------------------------------*/

static gboolean
is_time (const char *name)
{
  return g_str_has_suffix (name, "_s") || g_str_has_suffix (name, "_ms") || g_str_has_suffix (name, "_us");
}

static const FmMetricRow *
find_metric (GPtrArray *rows, const FmMetricRow *like)
{
  for (guint i = 0; i < rows->len; i++)
    {
      const FmMetricRow *row = g_ptr_array_index (rows, i);

      if (g_str_equal (row->name, like->name) && g_str_equal (row->split, like->split)
          && g_str_equal (row->target, like->target) && g_str_equal (row->tag, like->tag))
        return row;
    }
  return NULL;
}

/* Those that a verdict is made of; the rest is told and compared to the bit only. */
static gboolean
is_test_score (const FmMetricRow *row)
{
  return g_str_equal (row->split, "test") && *row->tag == '\0'
         && (g_str_equal (row->name, "accuracy") || g_str_equal (row->name, "loss"));
}

static void
compare_metrics (Comparison *c, GPtrArray *then, GPtrArray *now)
{
  guint differing = 0, n = 0;
  const FmMetricRow *first = NULL, *other = NULL;

  for (guint i = 0; i < then->len; i++)
    {
      const FmMetricRow *a = g_ptr_array_index (then, i), *b = find_metric (now, a);

      if (is_time (a->name))
        continue;
      n++;
      if (is_test_score (a) && isnan (g_str_equal (a->name, "loss") ? c->found->loss_then : c->found->accuracy_then))
        {
          *(g_str_equal (a->name, "loss") ? &c->found->loss_then : &c->found->accuracy_then) = a->value;
          *(g_str_equal (a->name, "loss") ? &c->found->loss_now : &c->found->accuracy_now) = b ? b->value : NAN;
        }
      if (b && same_number (a->value, b->value))
        continue;
      /* A test score says most. */
      if (differing++ == 0 || (is_test_score (a) && !is_test_score (first)))
        {
          first = a;
          other = b;
        }
    }
  append (c->what, "%u numbers", n);
  for (guint i = 0; i < now->len; i++)
    if (!is_time (((FmMetricRow *) g_ptr_array_index (now, i))->name)
        && find_metric (then, g_ptr_array_index (now, i)) == NULL)
      {
        c->same = FALSE;
        append (c->parts, "the store has no %s %s", ((FmMetricRow *) g_ptr_array_index (now, i))->split,
                ((FmMetricRow *) g_ptr_array_index (now, i))->name);
        break;
      }
  if (differing == 0)
    return;
  c->same = FALSE;
  if (other)
    append (c->parts, "%s%s%s was %.6g and is %.6g", first->split, *first->split ? " " : "", first->name, first->value,
            other->value);
  else
    append (c->parts, "the replay has no %s %s", first->split, first->name);
}

/* Which class was answered is kept since a later version: a store that has none of it says nothing against it. */
static void
drop_new_answers (const GPtrArray *then, GPtrArray *now)
{
  for (guint i = 0; i < then->len; i++)
    if (g_str_has_suffix (((FmOutcomeRow *) g_ptr_array_index (then, i))->target, FM_OUTCOMES_ANSWERS))
      return;
  for (guint i = now->len; i-- > 0;)
    if (g_str_has_suffix (((FmOutcomeRow *) g_ptr_array_index (now, i))->target, FM_OUTCOMES_ANSWERS))
      g_ptr_array_remove_index (now, i);
}

static gboolean
compare_outcomes (Comparison *c, GError **error)
{
  g_autoptr (GPtrArray) then = fm_store_load_outcomes (c->replay->then, c->item->stage, error);
  g_autoptr (GPtrArray) now = then ? fm_store_load_outcomes (c->replay->now, c->item->stage, error) : NULL;
  g_autofree char *count = NULL;
  gsize units = 0, differing = 0;

  if (now == NULL)
    return FALSE;
  drop_new_answers (then, now);
  if (then->len != now->len)
    {
      c->same = FALSE;
      append (c->parts, "the store has outcomes of %u splits and the replay of %u", then->len, now->len);
    }
  for (guint i = 0; i < MIN (then->len, now->len); i++)
    {
      const FmOutcomeRow *a = g_ptr_array_index (then, i), *b = g_ptr_array_index (now, i);
      gsize x, y, unit = 3 * sizeof (gfloat);
      const guint8 *p = g_bytes_get_data (a->triples, &x), *q = g_bytes_get_data (b->triples, &y);

      units += x / unit;
      if (x != y || !g_str_equal (a->split, b->split) || !g_str_equal (a->target, b->target))
        differing += MAX (x, y) / unit;
      else
        for (gsize k = 0; k + unit <= x; k += unit)
          differing += memcmp (p + k, q + k, unit) != 0;
    }
  count = fm_format_count ((gint64) units);
  append (c->what, "the outcomes of %s examples", count);
  if (differing > 0)
    {
      g_autofree char *other = fm_format_count ((gint64) differing);

      c->same = FALSE;
      append (c->parts, "%s of %s examples have another outcome", other, count);
    }
  return TRUE;
}

/* --- Within noise --------------------------------------------------------------------------------------------------*/

/* (transfer full): step -> gdouble *, of the first steps: points of the curve, and what digests know between them. */
static GHashTable *
early_losses (FmStore *store, const char *stage)
{
  GHashTable *losses = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  g_autoptr (GPtrArray) points = fm_store_load_curve (store, stage, "loss", -1, NULL);
  g_autofree char *file = fm_store_artifact_path (store, stage, FM_DIGESTS_FILE);
  g_autoptr (FmDigests) digests = fm_digests_load (file, NULL);

  for (guint i = 0; digests && i < digests->steps->len; i++)
    if (g_array_index (digests->steps, gint64, i) <= FM_REPLAY_EARLY)
      g_hash_table_insert (losses, GINT_TO_POINTER ((int) g_array_index (digests->steps, gint64, i)),
                           g_memdup2 (&g_array_index (digests->losses, gdouble, i), sizeof (gdouble)));
  for (guint i = 0; points && i < points->len; i++)
    {
      const FmCurvePoint *point = g_ptr_array_index (points, i);

      if (point->step <= FM_REPLAY_EARLY)
        g_hash_table_insert (losses, GINT_TO_POINTER ((int) point->step), g_memdup2 (&point->value, sizeof (gdouble)));
    }
  return losses;
}

/* Is the beginning the same but for rounding? Says where it is not. */
static gboolean
begins_alike (Comparison *c)
{
  g_autoptr (GHashTable) then = early_losses (c->replay->then, c->item->stage);
  g_autoptr (GHashTable) now = early_losses (c->replay->now, c->item->stage);

  for (int step = 0; step <= FM_REPLAY_EARLY; step++)
    {
      const gdouble *a = g_hash_table_lookup (then, GINT_TO_POINTER (step));
      const gdouble *b = g_hash_table_lookup (now, GINT_TO_POINTER (step));
      gdouble most = step <= 1 ? FM_REPLAY_FIRST_LOSS : FM_REPLAY_EARLY_LOSS;

      if (a == NULL || b == NULL || !isfinite (*a) || fabs (*b - *a) <= most * fabs (*a))
        continue;
      append (c->parts, "the loss of step %d by %.2g of it, where rounding makes no more than %g", step,
              fabs (*b - *a) / fabs (*a), most);
      return FALSE;
    }
  return TRUE;
}

/* One score of the stage that stands at @place in a run's chain, NAN where it has none. */
static gdouble
score_of (FmStore *store, const FmRunRecord *run, guint place, const FmMetricRow *score)
{
  g_autoptr (GPtrArray) rows = NULL;
  const FmMetricRow *row;

  if (place >= run->stages->len)
    return NAN;
  rows = fm_store_load_metrics (store, g_ptr_array_index (run->stages, place), NULL);
  row = rows ? find_metric (rows, score) : NULL;
  return row ? row->value : NAN;
}

/* Spread of a score over seeds, pooled over the variants of the batch on this task and device; without the run itself,
 * which is what is asked about. *@df: 0 for none. */
static gdouble
spread_of (Comparison *c, const FmRunRecord *run, GPtrArray *runs, const FmMetricRow *score, guint *df)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  gdouble squares = 0;
  guint place = G_MAXUINT;

  g_ptr_array_find_with_equal_func (run->stages, c->item->stage, g_str_equal, &place);
  *df = 0;
  for (guint i = 0; i < runs->len; i++)
    {
      const FmRunRecord *first = g_ptr_array_index (runs, i);
      g_autoptr (GArray) values = g_array_new (FALSE, FALSE, sizeof (gdouble));
      FmEstimate e;

      if (!g_hash_table_add (seen, first->variant))
        continue;
      for (guint k = i; k < runs->len; k++)
        {
          const FmRunRecord *r = g_ptr_array_index (runs, k);
          gdouble value;

          if (!g_str_equal (r->variant, first->variant) || !g_str_equal (r->task, run->task)
              || !g_str_equal (r->device, run->device) || g_strcmp0 (r->state, "done") != 0
              || g_ptr_array_find_with_equal_func (r->stages, c->item->stage, g_str_equal, NULL))
            continue;
          value = score_of (c->replay->then, r, place, score);
          g_array_append_val (values, value);
        }
      e = fm_estimate ((const gdouble *) values->data, values->len, 0.95);
      if (e.n < 2)
        continue;
      squares += (e.n - 1) * e.sd * e.sd;
      *df += e.n - 1;
    }
  return *df > 0 ? sqrt (squares / *df) : NAN;
}

/* Is @now as near as two seeds are? Says by what it was judged. */
static gboolean
score_is_within (Comparison *c, const FmRunRecord *run, GPtrArray *runs, const FmMetricRow *then, gdouble now,
                 guint n_scores, gdouble margin, char **how)
{
  guint df;
  gdouble sd = spread_of (c, run, runs, then, &df);

  g_free (*how);
  if (df >= FM_REPLAY_DF && sd > 0)
    {
      *how = g_strdup_printf ("what seeds differ by (%u degrees of freedom)", df);
      return fabs (now - then->value) <= fm_t_quantile (1 - 0.025 / n_scores, df) * sd * G_SQRT2;
    }
  *how = g_strdup_printf ("%.3g point%s of accuracy and %.0f %% of the loss", 100 * margin,
                          100 * margin == 1 ? "" : "s", 100 * FM_REPLAY_LOSS);
  return fabs (now - then->value) <= (g_str_equal (then->name, "loss") ? FM_REPLAY_LOSS * fabs (then->value) : margin);
}

static gboolean
judge_noise (Comparison *c, const FmRunRecord *run, GPtrArray *then, GPtrArray *now, GError **error)
{
  g_autoptr (GPtrArray) runs = fm_store_load_runs (c->replay->then, run->batch, error);
  g_autoptr (FmBatchRecord) batch = runs ? fm_store_load_batch (c->replay->then, run->batch, error) : NULL;
  g_autoptr (FmBatchJudging) judging = NULL;
  g_autofree char *how = NULL;
  gboolean within = TRUE;
  guint scores = 0;

  if (batch == NULL)
    return FALSE;
  judging = fm_batch_judging_from_text (batch->text ? batch->text : "");
  for (guint i = 0; i < then->len; i++)
    scores += is_test_score (g_ptr_array_index (then, i));
  c->found->verdict = FM_REPLAY_DIFFERENT;
  if (c->then->state != c->now->state)
    append (c->parts, "the run was %s and is %s", fm_stage_state_to_string (c->then->state),
            fm_stage_state_to_string (c->now->state));
  if (c->tampered || c->then->state != FM_STAGE_DONE || c->now->state != FM_STAGE_DONE || scores == 0)
    return TRUE;
  if (!begins_alike (c))
    return TRUE;
  for (guint i = 0; i < then->len; i++)
    {
      const FmMetricRow *score = g_ptr_array_index (then, i), *other;

      if (!is_test_score (score))
        continue;
      other = find_metric (now, score);
      within &= other
                && score_is_within (c, run, runs, score, other->value, scores, judging->accuracy_margin, &how);
    }
  append (c->parts, "the scores are %s %s", within ? "within" : "not within", how ? how : "noise");
  if (within)
    c->found->verdict = FM_REPLAY_WITHIN;
  return TRUE;
}

/* --- Training ------------------------------------------------------------------------------------------------------*/

static gboolean
compare_training (Comparison *c, const FmRunRecord *run, GError **error)
{
  g_autoptr (GPtrArray) then = fm_store_load_metrics (c->replay->then, c->item->stage, error);
  g_autoptr (GPtrArray) now = then ? fm_store_load_metrics (c->replay->now, c->item->stage, error) : NULL;

  if (now == NULL)
    return FALSE;
  compare_digests (c);
  if (!compare_curves (c, error) || !compare_checkpoint (c, error))
    return FALSE;
  compare_metrics (c, then, now);
  if (!compare_outcomes (c, error))
    return FALSE;
  if (c->then->state != c->now->state || c->then->diverged_step != c->now->diverged_step
      || g_strcmp0 (c->then->diverged_tensor, c->now->diverged_tensor) != 0)
    c->same = FALSE;
  if (c->same)
    {
      c->found->verdict = FM_REPLAY_SAME;
      c->found->text = g_strdup_printf ("%s; all to the bit", c->what->str);
      return TRUE;
    }
  if (!judge_noise (c, run, then, now, error))
    return FALSE;
  c->found->text = c->where->len > 0 ? g_strdup_printf ("parts%s: %s", c->where->str, c->parts->str)
                                     : g_strdup (c->parts->str);
  return TRUE;
}

/* --- Measuring -----------------------------------------------------------------------------------------------------*/

/* Logarithms of the medians of blocks. A block is a process; of one process alone, a fifth of its samples in order,
 * since its rounds lie apart in time. */
static FmEstimate
blocks_of (GPtrArray *samples, const FmLatencySample *like)
{
  g_autoptr (GArray) medians = g_array_new (FALSE, FALSE, sizeof (gdouble));
  g_autoptr (GArray) block = g_array_new (FALSE, FALSE, sizeof (gdouble));
  GHashTable *processes = g_hash_table_new (NULL, NULL);
  guint n = 0, used = 0;

  for (guint i = 0; i < samples->len; i++)
    {
      const FmLatencySample *s = g_ptr_array_index (samples, i);

      if (g_str_equal (s->kind, like->kind) && s->rows == like->rows)
        {
          g_hash_table_add (processes, GSIZE_TO_POINTER ((gsize) s->process));
          n++;
        }
    }
  for (guint i = 0, before = 0; i <= samples->len; i++)
    {
      const FmLatencySample *s = i < samples->len ? g_ptr_array_index (samples, i) : NULL;
      gboolean fits = s && g_str_equal (s->kind, like->kind) && s->rows == like->rows;
      guint number = !fits ? before : g_hash_table_size (processes) >= LEAST_PROCESSES ? (guint) s->process
                                                                                      : used * 5 / MAX (n, 1);

      if (s && !fits)
        continue;
      if (block->len > 0 && (s == NULL || number != before))
        {
          gdouble median = log (fm_quantile ((gdouble *) block->data, block->len, 0.5));

          g_array_append_val (medians, median);
          g_array_set_size (block, 0);
        }
      if (s)
        g_array_append_val (block, s->value_us);
      used += s != NULL;
      before = number;
    }
  g_hash_table_unref (processes);
  return fm_estimate ((gdouble *) medians->data, medians->len, 0.95);
}

/* Welch's interval of the difference of the two means. FALSE where either has fewer than two blocks. */
static gboolean
welch (const FmEstimate *then, const FmEstimate *now, gdouble *low, gdouble *high)
{
  gdouble a = then->n > 1 ? then->sd * then->sd / then->n : NAN, b = now->n > 1 ? now->sd * now->sd / now->n : NAN;
  gdouble error = sqrt (a + b), df = (a + b) * (a + b) / (a * a / (then->n - 1.0) + b * b / (now->n - 1.0));
  gdouble difference = now->mean - then->mean, half;

  if (isnan (error))
    return FALSE;
  half = error > 0 ? fm_t_quantile (0.975, MAX (df, 1)) * error : 0;
  *low = difference - half;
  *high = difference + half;
  return TRUE;
}

static gboolean
compare_measuring (Comparison *c, const FmRunRecord *run, GError **error)
{
  g_autoptr (GPtrArray) then = fm_store_load_latency (c->replay->then, c->item->stage, NULL, error);
  g_autoptr (GPtrArray) now = then ? fm_store_load_latency (c->replay->now, c->item->stage, NULL, error) : NULL;
  g_autoptr (FmBatchRecord) batch = now ? fm_store_load_batch (c->replay->then, run->batch, error) : NULL;
  g_autoptr (FmBatchJudging) judging = NULL;
  const FmLatencySample *before = NULL;
  gboolean within = TRUE;

  if (batch == NULL)
    return FALSE;
  judging = fm_batch_judging_from_text (batch->text ? batch->text : "");
  for (guint i = 0; i < then->len; i++)
    {
      const FmLatencySample *like = g_ptr_array_index (then, i);
      FmEstimate a, b;
      gdouble low, high;

      /* Samples of a kind stand together. */
      if (before && g_str_equal (before->kind, like->kind) && before->rows == like->rows)
        continue;
      before = like;
      a = blocks_of (then, like);
      b = blocks_of (now, like);
      if (!welch (&a, &b, &low, &high))
        {
          append (c->parts, "%s has too few samples", like->kind);
          continue;
        }
      within &= low <= log1p (judging->latency_margin) && high >= -log1p (judging->latency_margin);
      append (c->parts, "%s %.3g times what it took [%.3g, %.3g]", like->kind, exp (b.mean - a.mean), exp (low),
              exp (high));
      if (isnan (c->found->ratio))
        {
          c->found->ratio = exp (b.mean - a.mean);
          c->found->low = exp (low);
          c->found->high = exp (high);
        }
    }
  c->found->verdict = c->item->other_hardware ? FM_REPLAY_UNKNOWN : within ? FM_REPLAY_WITHIN : FM_REPLAY_DIFFERENT;
  if (c->parts->len == 0)
    append (c->parts, "no latencies to compare");
  c->found->text = g_strdup (c->parts->str);
  return TRUE;
}

/* --- All of it -----------------------------------------------------------------------------------------------------*/

static gboolean
compare_stage (Comparison *c, GError **error)
{
  g_autoptr (FmRunRecord) run = fm_store_load_run (c->replay->then, c->item->run, error);

  if (run == NULL)
    return FALSE;
  c->found->run = run->id;
  c->found->variant = g_strdup (run->variant);
  c->found->seed = run->seed;
  c->found->stage = g_strdup (c->item->stage);
  c->found->kind = g_strdup (c->then->kind);
  if (c->now->state != FM_STAGE_DONE && c->now->state != FM_STAGE_DIVERGED)
    {
      c->found->verdict = FM_REPLAY_FAILED;
      c->found->text = g_strdup (c->now->reason ? c->now->reason : fm_stage_state_to_string (c->now->state));
      return TRUE;
    }
  return g_str_equal (c->then->kind, FM_STAGE_KIND_MEASURE) ? compare_measuring (c, run, error)
                                                            : compare_training (c, run, error);
}

GPtrArray *
fm_replay_compare (FmReplay *replay, GError **error)
{
  g_autoptr (GPtrArray) stages = g_ptr_array_new_with_free_func (stage_free);

  for (guint i = 0; i < replay->items->len; i++)
    {
      FmReplayItem *item = g_ptr_array_index (replay->items, i);
      g_autoptr (FmStageRecord) then = fm_store_load_stage (replay->then, item->stage, error);
      g_autoptr (FmStageRecord) now = then ? fm_store_load_stage (replay->now, item->stage, error) : NULL;
      g_autoptr (GString) what = g_string_new (NULL), where = g_string_new (NULL), parts = g_string_new (NULL);
      FmReplayStage *found = g_new0 (FmReplayStage, 1);
      Comparison c = { replay, item, then, now, found, TRUE, FALSE, what, where, parts };

      g_ptr_array_add (stages, found);
      found->same_step = found->step = -1;
      found->accuracy_then = found->accuracy_now = found->loss_then = found->loss_now = NAN;
      found->ratio = found->low = found->high = NAN;
      if (now == NULL || !compare_stage (&c, error))
        return NULL;
    }
  return g_steal_pointer (&stages);
}
