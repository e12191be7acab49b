#include "app/results/models.h"

#include <math.h>
#include <string.h>

#include "app/results/format.h"

/* (transfer full): what @stage left of @split and @target. */
static GBytes *
load_triples (FmStore *store, const char *stage, const char *split, const char *target, gboolean answers, GError **error)
{
  g_autoptr (GPtrArray) rows = fm_store_load_outcomes (store, stage, error);
  gboolean scored = FALSE;

  if (rows == NULL)
    return NULL;
  for (guint i = 0; i < rows->len; i++)
    {
      const FmOutcomeRow *row = g_ptr_array_index (rows, i);

      gboolean has_answers = g_str_has_suffix (row->target, FM_OUTCOMES_ANSWERS);
      gsize length = strlen (row->target) - (has_answers ? strlen (FM_OUTCOMES_ANSWERS) : 0);

      if (g_strcmp0 (row->split, split) != 0
          || (target != NULL && (strlen (target) != length || strncmp (row->target, target, length) != 0)))
        continue;
      if (has_answers == answers)
        return g_bytes_ref (row->triples);
      scored = TRUE;
    }
  if (scored)
    {
      g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT,
                   "stage %s left right and wrong of the %s split, but not which class was answered: its task has several "
                   "answers an example, or it was trained before such answers were kept", stage, split);
      return NULL;
    }
  g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT, "stage %s left no outcomes of the %s split%s%s", stage,
               split, target != NULL ? " for " : "", target != NULL ? target : "");
  return NULL;
}

/* Outcomes as columns of the metric: the triples are right answers, answers, nats; or class answered, class that is right,
 * score of class 1. */
static gdouble *
columns_of (GBytes *triples, FmMetric metric, gsize *n)
{
  gsize size;
  const gfloat *values = g_bytes_get_data (triples, &size);
  gdouble *columns;

  *n = size / (3 * sizeof (gfloat));
  columns = g_new (gdouble, 2 * *n + 1);
  for (gsize i = 0; i < *n; i++)
    {
      columns[2 * i] = values[3 * i + (metric == FM_METRIC_LOSS_NATS || metric == FM_METRIC_AUC ? 2 : 0)];
      columns[2 * i + 1] = values[3 * i + 1];
    }
  return columns;
}

static gboolean
check_two_classes (const gdouble *columns, gsize n, const char *split, GError **error)
{
  gsize of[2] = { 0, 0 };
  gboolean others = FALSE;

  for (gsize i = 0; i < n; i++)
    if (columns[2 * i + 1] == 0 || columns[2 * i + 1] == 1)
      of[columns[2 * i + 1] == 1]++;
    else
      others = TRUE;
  if (!others && of[0] > 0 && of[1] > 0)
    return TRUE;
  g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT,
               "the area under the curve is of two classes, and the %s split has %s; macro F1 is of any number", split,
               others ? "more" : "one");
  return FALSE;
}

static void
judge (FmModelsComparison *c, const gdouble *first, const gdouble *second, gsize n)
{
  gboolean one_each = c->metric == FM_METRIC_ACCURACY, higher = c->difference.mean > 0;

  c->only_first = c->only_second = 0;
  for (gsize i = 0; i < n && one_each; i++)
    {
      one_each = first[2 * i + 1] == 1;
      c->only_first += first[2 * i] > second[2 * i];
      c->only_second += second[2 * i] > first[2 * i];
    }
  c->p = one_each ? fm_mcnemar_p (c->only_first, c->only_second) : NAN;
  if (!one_each)
    c->only_first = c->only_second = -1;
  c->verdict = FM_VERDICT_UNDECIDED;
  if (one_each ? c->p < FM_ALPHA : c->difference.low > 0 || c->difference.high < 0)
    c->verdict = higher == fm_metric_larger_is_better (c->metric) ? FM_VERDICT_BETTER : FM_VERDICT_WORSE;
}

gboolean
fm_models_compare (FmStore *store, const char *first, const char *second, const char *split, const char *target,
                   FmMetric metric, FmModelsComparison *comparison, GError **error)
{
  g_autoptr (GBytes) a = NULL;
  g_autoptr (GBytes) b = NULL;
  g_autofree gdouble *x = NULL, *y = NULL;
  gsize n, m;
  gboolean same, answers;

  g_return_val_if_fail (metric != FM_METRIC_F1 && metric != FM_METRIC_BITS_PER_BYTE, FALSE);
  answers = metric == FM_METRIC_MACRO_F1 || metric == FM_METRIC_AUC;
  a = load_triples (store, first, split, target, answers, error);
  b = a != NULL ? load_triples (store, second, split, target, answers, error) : NULL;
  if (b == NULL)
    return FALSE;
  x = columns_of (a, metric, &n);
  y = columns_of (b, metric, &m);
  same = n == m && n > 0;
  for (gsize i = 0; i < n && same; i++)
    same = x[2 * i + 1] == y[2 * i + 1];
  if (!same)
    {
      g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT,
                   "stages %s and %s were not scored on the same examples of the %s split", first, second, split);
      return FALSE;
    }
  if (metric == FM_METRIC_AUC && !check_two_classes (x, n, split, error))
    return FALSE;
  *comparison = (FmModelsComparison) { .metric = metric };
  comparison->first = fm_metric_compute (metric, (FmUnits) { n, x }, NULL);
  comparison->second = fm_metric_compute (metric, (FmUnits) { n, y }, NULL);
  comparison->difference
    = fm_bootstrap_paired (metric, (FmUnits) { n, x }, (FmUnits) { n, y }, FM_BOOTSTRAP_RESAMPLES, 0, FM_ALPHA);
  judge (comparison, x, y, n);
  return TRUE;
}

static char *
signed_number (gdouble value, guint decimals)
{
  g_autofree char *number = fm_format_number (value, decimals);

  return value > 0 ? g_strconcat ("+", number, NULL) : g_steal_pointer (&number);
}

char *
fm_models_sentence (const FmModelsComparison *c)
{
  gboolean share = fm_metric_is_share (c->metric);
  gdouble unit = share ? 100 : 1;
  guint decimals = share ? 1 : 3;
  g_autofree char *mean = signed_number (unit * c->difference.mean, decimals);
  g_autofree char *low = fm_format_number (unit * c->difference.low, decimals);
  g_autofree char *high = fm_format_number (unit * c->difference.high, decimals);
  g_autofree char *n = fm_format_number (c->difference.n, 0);
  GString *out = g_string_new ("Of these two trained models ");

  g_string_append (out, c->verdict == FM_VERDICT_BETTER  ? "the second is better"
                        : c->verdict == FM_VERDICT_WORSE ? "the first is better"
                                                         : "neither is shown to be better");
  g_string_append_printf (out, ": %s %s%s [%s, %s] over %s examples", fm_metric_name (c->metric), mean,
                          share ? " points" : "", low, high, n);
  if (c->only_first >= 0)
    g_string_append_printf (out, " (exact McNemar, %" G_GINT64_FORMAT " right by the second alone against %"
                            G_GINT64_FORMAT ", p = %.2g)", c->only_second, c->only_first, c->p);
  else
    g_string_append (out, " (paired bootstrap)");
  g_string_append (out, ". Of their variants this says nothing; there the seed is the unit.");
  return g_string_free (out, FALSE);
}
