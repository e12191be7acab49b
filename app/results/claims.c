/* claims.c: what a batch found on what it expects. */
#include "app/results/claims.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/results/format.h"
#include "app/results/results-private.h"

const char *
fm_claim_verdict_word (FmClaimVerdict verdict)
{
  static const char *const words[] = { "not run yet", "reproduced", "not reproduced", "undecided" };

  return verdict < G_N_ELEMENTS (words) ? words[verdict] : "";
}

const char *
fm_claim_verdict_sign (FmClaimVerdict verdict)
{
  static const char *const signs[] = { "·", "✓", "✗", "?" };

  return verdict < G_N_ELEMENTS (signs) ? signs[verdict] : "";
}

/* --- Judging, on plain numbers ------------------------------------------------------------------------------------*/

gdouble
fm_claim_finding_bound (const FmClaimFinding *finding)
{
  const FmExpectation *e = finding->expectation;

  return fm_expect_quantity_is_score (e->quantity) ? e->bound : log (e->bound);
}

gdouble
fm_claim_finding_show (const FmClaimFinding *finding, gdouble value)
{
  switch (finding->expectation->quantity)
    {
    case FM_EXPECT_ACCURACY:
      return 100 * value;
    case FM_EXPECT_LOSS:
      return value;
    default:
      return exp (value);
    }
}

const char *
fm_claim_finding_unit (const FmClaimFinding *finding)
{
  const FmExpectation *e = finding->expectation;

  if (e->quantity == FM_EXPECT_ACCURACY)
    return e->right != NULL ? " points" : " %";
  return e->quantity == FM_EXPECT_LOSS ? " nats" : "×";
}

/* Would the expectation be met more easily if the bad seeds of the left side were left out? Then its failures speak
 * against it, and those of the right side for it. */
static gboolean
favours_left (const FmExpectation *e)
{
  return e->at_least == (e->quantity == FM_EXPECT_ACCURACY);
}

static FmClaimVerdict
verdict_of (FmClaimFinding *f, gdouble alpha)
{
  const FmExpectation *e = f->expectation;
  gdouble bound = fm_claim_finding_bound (f), half = 0, slack = 0;
  gboolean inside, outside;

  f->low = f->high = NAN;
  if (!isfinite (f->estimate) || isnan (f->error))
    return FM_CLAIM_VERDICT_UNDECIDED;
  if (f->error > 0)
    half = fm_t_quantile (1 - alpha, f->df) * f->error;
  else
    slack = 1e-9 * MAX (1, fabs (bound)); /* 2 * 1,000 bytes over 1,000 bytes is at least 2 */
  f->low = f->estimate - half;
  f->high = f->estimate + half;
  inside = e->at_least ? f->low >= bound - slack : f->high <= bound + slack;
  outside = !inside && (e->at_least ? f->high < bound : f->low > bound);
  if (inside && (f->left_failed || f->right_failed))
    {
      g_free (f->reason);
      f->reason = g_strdup ("a seed did not end well, so it is not called reproduced");
      return FM_CLAIM_VERDICT_UNDECIDED;
    }
  if (outside && fm_expect_quantity_is_score (e->quantity) && (favours_left (e) ? f->right_failed : f->left_failed))
    {
      g_free (f->reason);
      f->reason = g_strdup ("the side that it is compared with lost a seed, so it is not called not reproduced");
      return FM_CLAIM_VERDICT_UNDECIDED;
    }
  return inside ? FM_CLAIM_VERDICT_REPRODUCED : outside ? FM_CLAIM_VERDICT_NOT_REPRODUCED : FM_CLAIM_VERDICT_UNDECIDED;
}

static guint
count_measured (const FmClaimFinding *findings, gsize n)
{
  guint measured = 0;

  for (gsize i = 0; i < n; i++)
    measured += !fm_expect_quantity_is_exact (findings[i].expectation->quantity);
  return measured;
}

FmClaimVerdict
fm_claim_findings_judge (FmClaimFinding *findings, gsize n, gdouble alpha)
{
  guint measured = count_measured (findings, n), reproduced = 0;
  gboolean against = FALSE;

  for (gsize i = 0; i < n; i++)
    {
      findings[i].verdict = verdict_of (&findings[i], alpha / MAX (measured, 1));
      reproduced += findings[i].verdict == FM_CLAIM_VERDICT_REPRODUCED;
      against |= findings[i].verdict == FM_CLAIM_VERDICT_NOT_REPRODUCED;
    }
  if (against)
    return FM_CLAIM_VERDICT_NOT_REPRODUCED;
  return n > 0 && reproduced == n ? FM_CLAIM_VERDICT_REPRODUCED : FM_CLAIM_VERDICT_UNDECIDED;
}

/* --- Estimating ---------------------------------------------------------------------------------------------------*/

typedef struct
{
  FmResultsTable *table;
  FmStore        *store;
  FmClaimResult  *result;
} Work;

/* Seeds with which an undecided score would be decided, if difference and spread are what they seem; as in
 * statistics.c, in the direction that shows. */
static guint
more_seeds (const FmClaimFinding *f, const FmResultsComparison *c, gdouble level)
{
  guint have = c->look < c->looks && c->new_seeds == 0 ? f->n : 0;
  gdouble distance = fabs (f->estimate - fm_claim_finding_bound (f));

  for (guint n = MAX (2, have + 1); n <= have + FM_MORE_SEEDS_MAX; n++)
    {
      gdouble df = c->spread.paired ? n - 1 : (gdouble) (MAX (c->spread.variants, 2) - 1) * (n - 1);
      gdouble error = c->comparison.difference.sd / sqrt (n);

      if (fm_t_power (fm_t_quantile (1 - level, df), df, distance / error) >= FM_MORE_SEEDS_POWER)
        return n - have;
    }
  return FM_MORE_SEEDS_MAX + 1;
}

static gboolean
estimate_score (Work *w, FmClaimFinding *f, FmResultsRow *left, FmResultsRow *right, FmResultsComparison *c,
                GError **error)
{
  gboolean loss = f->expectation->quantity == FM_EXPECT_LOSS;

  if (right == NULL)
    {
      const FmEstimate *e = &fm_results_row_get (left)->accuracy;

      f->n = e->n;
      f->estimate = e->mean;
      f->error = e->n > 1 ? e->sd / sqrt (e->n) : NAN;
      f->df = e->n > 1 ? e->n - 1 : 0;
      return TRUE;
    }
  if (!fm_results_estimate_pair (w->table, w->store, left, right,
                                 loss ? G_STRUCT_OFFSET (FmResultRow, test_loss_nats)
                                      : G_STRUCT_OFFSET (FmResultRow, test_accuracy), c, error))
    return FALSE;
  f->n = c->comparison.difference.n;
  f->estimate = c->comparison.difference.mean;
  f->error = c->comparison.error;
  f->df = c->comparison.df;
  return TRUE;
}

/* A mean that grows. */
typedef struct
{
  gdouble sum;
  guint   n;
} Mean;

/* (transfer full): the block that process @process measured in: what one block holds ran within a short time. Where the
 * store knows no blocks, workers of one seed were loaded together and took turns. */
static char *
block_of (GPtrArray *processes, gint64 process, gint64 seed)
{
  for (guint i = 0; i < processes->len; i++)
    {
      const FmProcessRow *p = g_ptr_array_index (processes, i);

      if (p->process == process && p->session != NULL)
        return g_strdup_printf ("%s %" G_GINT64_FORMAT, p->session, p->block);
    }
  return g_strdup_printf ("seed %" G_GINT64_FORMAT " %" G_GINT64_FORMAT, seed, process);
}

static int
compare_texts (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* log (median) of each fresh process that measured @row, by its block; the mean where several seeds were in one. */
static gboolean
add_medians (Work *w, FmResultsRow *row, const char *kind, GHashTable *medians, GError **error)
{
  GPtrArray *runs = fm_results_row_peek_runs (row);

  for (guint i = 0; i < runs->len; i++)
    {
      const FmResultRow *run = g_ptr_array_index (runs, i);
      g_autoptr (GPtrArray) samples = NULL, rows = NULL;
      g_autoptr (GHashTable) processes = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL,
                                                                (GDestroyNotify) g_array_unref);
      GHashTableIter iter;
      gpointer process, list;

      if (g_strcmp0 (run->state, "done") != 0 || run->measure_stage == NULL)
        continue;
      samples = fm_store_load_latency (w->store, run->measure_stage, kind, error);
      rows = samples != NULL ? fm_store_load_processes (w->store, run->measure_stage, error) : NULL;
      if (rows == NULL)
        return FALSE;
      for (guint k = 0; k < samples->len; k++)
        {
          FmLatencySample *s = g_ptr_array_index (samples, k);
          GArray *values = g_hash_table_lookup (processes, &s->process);
          gdouble value = s->value_us / MAX (s->rows, 1);

          if (values == NULL)
            {
              values = g_array_new (FALSE, FALSE, sizeof (gdouble));
              g_hash_table_insert (processes, &s->process, values);
            }
          g_array_append_val (values, value);
        }
      g_hash_table_iter_init (&iter, processes);
      while (g_hash_table_iter_next (&iter, &process, &list))
        {
          GArray *values = list;
          g_autofree char *block = block_of (rows, *(const gint64 *) process, run->seed);
          Mean *mean = g_hash_table_lookup (medians, block);

          if (mean == NULL)
            {
              mean = g_new0 (Mean, 1);
              g_hash_table_insert (medians, g_steal_pointer (&block), mean);
            }
          mean->sum += log (fm_quantile ((const gdouble *) (gpointer) values->data, values->len, 0.5));
          mean->n++;
        }
    }
  return TRUE;
}

/* Both sides over the blocks that they share, as results-costs.c judges comparisons. */
static gboolean
estimate_time (Work *w, FmClaimFinding *f, FmResultsRow *left, FmResultsRow *right, GError **error)
{
  gboolean throughput = f->expectation->quantity == FM_EXPECT_THROUGHPUT;
  const char *kind = throughput ? "throughput" : "batch1";
  g_autoptr (GHashTable) ours = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_autoptr (GHashTable) theirs = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_autoptr (GPtrArray) blocks = g_ptr_array_new ();
  g_autofree gdouble *values = NULL;
  FmComparison c = { 0 };
  GHashTableIter iter;
  gpointer block;

  if (!add_medians (w, left, kind, ours, error) || !add_medians (w, right, kind, theirs, error))
    return FALSE;
  g_hash_table_iter_init (&iter, ours);
  while (g_hash_table_iter_next (&iter, &block, NULL))
    if (g_hash_table_contains (theirs, block))
      g_ptr_array_add (blocks, block);
  if (blocks->len == 0)
    {
      /* Stages that an earlier batch had measured are not measured again. */
      if (f->reason == NULL && g_hash_table_size (ours) > 0 && g_hash_table_size (theirs) > 0)
        f->reason = g_strdup ("both sides were measured, but at different times, which do not compare; take a seed that "
                              "this store has not measured");
      return TRUE;
    }
  g_ptr_array_sort (blocks, compare_texts); /* so that sums round alike each time */
  values = g_new (gdouble, 2 * (gsize) blocks->len);
  for (guint i = 0; i < blocks->len; i++)
    {
      const Mean *a = g_hash_table_lookup (ours, g_ptr_array_index (blocks, i));
      const Mean *b = g_hash_table_lookup (theirs, g_ptr_array_index (blocks, i));

      /* Examples a second are one over the time of an example. */
      values[i] = (throughput ? -1 : 1) * a->sum / a->n;
      values[blocks->len + i] = (throughput ? -1 : 1) * b->sum / b->n;
    }
  fm_blocks_compare (values, blocks->len, &c, 0);
  f->n = c.difference.n;
  f->estimate = c.difference.mean;
  f->error = c.error;
  f->df = c.df;
  return TRUE;
}

static gdouble
counted (const FmVariantResult *r, FmExpectQuantity quantity)
{
  gdouble value = quantity == FM_EXPECT_MEMORY             ? (gdouble) r->planned_peak_bytes
                  : quantity == FM_EXPECT_INFERENCE_MEMORY ? (gdouble) r->inference_planned_peak_bytes
                  : quantity == FM_EXPECT_PARAMETERS       ? (gdouble) r->parameters
                                                           : r->flops;

  return value > 0 ? value : NAN;
}

static char *
why_failed (const FmVariantResult *r)
{
  if (r->failed + r->skipped == r->seeds && r->reason != NULL)
    return g_strdup_printf ("%s has no result: %s", r->title, r->reason);
  return g_strdup_printf ("%u of %u seeds of %s did not end well%s%s", r->failed + r->skipped, r->seeds, r->title,
                          r->reason != NULL ? ": " : "", r->reason != NULL ? r->reason : "");
}

static gboolean
is_lost (const FmVariantResult *r)
{
  return r->failed + r->skipped > 0;
}

/* (nullable): the row that @side means, or why there is none. */
static FmResultsRow *
find_row (Work *w, const FmExpectSide *side, char **reason)
{
  guint n = fm_results_table_get_n_rows (w->table);
  g_autofree FmExpectCandidate *candidates = g_new (FmExpectCandidate, n + 1);
  gint found;

  for (guint i = 0; i < n; i++)
    {
      const FmVariantResult *r = fm_results_row_get (fm_results_table_get_row (w->table, i));

      candidates[i] = (FmExpectCandidate) { r->variant, r->task, r->task_parameters, r->device };
    }
  found = fm_expect_find (side, candidates, n, NULL);
  if (found >= 0)
    return fm_results_table_get_row (w->table, (guint) found);
  g_free (*reason);
  *reason = g_strdup_printf (found == FM_EXPECT_NONE ? "this batch has no run of %s" : "%s means several variants here",
                             side->variant);
  return NULL;
}

static gboolean
find (Work *w, FmClaimFinding *f, FmResultsComparison *c, GError **error)
{
  const FmExpectation *e = f->expectation;
  FmResultsRow *left = find_row (w, e->left, &f->reason), *right = NULL;

  f->estimate = f->error = f->low = f->high = NAN;
  if (e->right != NULL)
    right = find_row (w, e->right, &f->reason);
  if (left == NULL || (e->right != NULL && right == NULL))
    return TRUE;
  if (left == right)
    {
      f->reason = g_strdup ("both sides mean one variant here");
      return TRUE;
    }
  f->left = g_strdup (fm_results_row_get (left)->title);
  f->right = right != NULL ? g_strdup (fm_results_row_get (right)->title) : NULL;
  f->left_failed = is_lost (fm_results_row_get (left));
  f->right_failed = right != NULL && is_lost (fm_results_row_get (right));
  if (f->left_failed || f->right_failed)
    f->reason = why_failed (fm_results_row_get (f->left_failed ? left : right));
  if (fm_expect_quantity_is_score (e->quantity))
    return estimate_score (w, f, left, right, c, error);
  if (!fm_expect_quantity_is_exact (e->quantity))
    return estimate_time (w, f, left, right, error);
  f->estimate = log (counted (fm_results_row_get (left), e->quantity)
                     / counted (fm_results_row_get (right), e->quantity));
  f->error = 0;
  return TRUE;
}

/* --- A batch ------------------------------------------------------------------------------------------------------*/

static void
finding_free (FmClaimFinding *f)
{
  g_free (f->left);
  g_free (f->right);
  g_free (f->reason);
  g_free (f);
}

void
fm_claim_result_free (FmClaimResult *result)
{
  if (result == NULL)
    return;
  fm_batch_claim_free (result->claim);
  g_ptr_array_unref (result->findings);
  g_free (result);
}

static void
count_runs (Work *w)
{
  for (guint i = 0; i < fm_results_table_get_n_rows (w->table); i++)
    {
      const FmVariantResult *r = fm_results_row_get (fm_results_table_get_row (w->table, i));

      w->result->runs += r->seeds;
      w->result->done += r->done + r->failed + r->skipped;
    }
}

static gboolean
judge (Work *w, GError **error)
{
  FmClaimResult *result = w->result;
  guint n = result->claim->expectations->len;
  g_autofree FmClaimFinding *list = g_new0 (FmClaimFinding, n + 1);
  g_autofree FmResultsComparison *comparisons = g_new0 (FmResultsComparison, n + 1);
  gboolean ok = TRUE;

  for (guint i = 0; i < n; i++)
    {
      list[i].expectation = g_ptr_array_index (result->claim->expectations, i);
      ok = ok && find (w, &list[i], &comparisons[i], error);
    }
  result->measured = count_measured (list, n);
  if (ok)
    result->verdict = fm_claim_findings_judge (list, n, result->alpha);
  for (guint i = 0; i < n; i++)
    {
      FmClaimFinding *f = &list[i];

      if (f->verdict == FM_CLAIM_VERDICT_UNDECIDED && f->error > 0 && f->reason == NULL && comparisons[i].row != NULL)
        f->more_seeds = more_seeds (f, &comparisons[i], result->alpha / MAX (result->measured, 1));
      /* Verdicts that flip while runs come in help nobody. */
      if (result->done < result->runs)
        f->verdict = FM_CLAIM_VERDICT_OPEN;
      g_ptr_array_add (result->findings, g_memdup2 (f, sizeof *f));
    }
  if (result->done < result->runs)
    result->verdict = FM_CLAIM_VERDICT_OPEN;
  return ok;
}

FmClaimResult *
fm_claim_result_new (FmResultsTable *table, FmStore *store, GError **error)
{
  g_autoptr (FmClaimResult) result = NULL;
  g_autoptr (FmBatchRecord) record = NULL;
  g_autoptr (FmBatchClaim) claim = NULL;
  Work work = { table, store, NULL };
  gint64 batch;

  if (fm_results_table_get_n_rows (table) == 0)
    return NULL;
  batch = fm_results_row_get (fm_results_table_get_row (table, 0))->batch_id;
  record = fm_store_load_batch (store, batch, error);
  claim = record != NULL ? fm_batch_claim_from_text (record->text) : NULL;
  if (claim == NULL)
    return NULL;
  result = work.result = g_new0 (FmClaimResult, 1);
  result->claim = g_steal_pointer (&claim);
  result->batch = batch;
  result->findings = g_ptr_array_new_with_free_func ((GDestroyNotify) finding_free);
  result->alpha = FM_ALPHA / fm_results_table_peek_judging (table, batch)->looks;
  count_runs (&work);
  return judge (&work, error) ? g_steal_pointer (&result) : NULL;
}

FmClaimResult *
fm_claim_result_load (FmStore *store, gint64 batch, GError **error)
{
  g_autoptr (FmResultsTable) table = fm_results_table_load (store, batch, error);

  return table != NULL ? fm_claim_result_new (table, store, error) : NULL;
}

/* --- In words -----------------------------------------------------------------------------------------------------*/

char *
fm_claim_finding_text (const FmClaimFinding *f)
{
  gboolean cost = !fm_expect_quantity_is_score (f->expectation->quantity);
  gdouble shown = fm_claim_finding_show (f, f->estimate);
  guint decimals = cost || f->expectation->quantity == FM_EXPECT_LOSS ? (fabs (shown) < 0.1 ? 3 : 2) : 1;
  g_autofree char *value = fm_format_number (shown, decimals);
  g_autofree char *low = fm_format_number (fm_claim_finding_show (f, f->low), decimals);
  g_autofree char *high = fm_format_number (fm_claim_finding_show (f, f->high), decimals);
  GString *out = g_string_new (NULL);

  if (isfinite (f->estimate))
    g_string_append_printf (out, "%s%s", value, fm_claim_finding_unit (f));
  if (isfinite (f->estimate) && fm_expect_quantity_is_exact (f->expectation->quantity))
    g_string_append (out, ", counted");
  else if (isfinite (f->low))
    g_string_append_printf (out, " [%s, %s], %u %s%s", low, high, f->n, cost ? "block" : "seed", f->n == 1 ? "" : "s");
  else if (isfinite (f->estimate))
    g_string_append_printf (out, ", no interval from one %s", cost ? "block" : "seed");
  else if (f->reason == NULL)
    g_string_append (out, "nothing measured");
  if (f->reason != NULL)
    g_string_append_printf (out, "%s%s", out->len > 0 ? "; " : "", f->reason);
  if (f->more_seeds > FM_MORE_SEEDS_MAX)
    g_string_append (out, "; many more seeds would be needed");
  else if (f->more_seeds > 0)
    g_string_append_printf (out, "; about %u more seed%s would decide", f->more_seeds, f->more_seeds == 1 ? "" : "s");
  return g_string_free (out, FALSE);
}

char *
fm_claim_result_sentence (const FmClaimResult *result)
{
  guint counts[4] = { 0 }, n = result->findings->len;
  GString *out = g_string_new (NULL);

  if (result->verdict == FM_CLAIM_VERDICT_OPEN)
    {
      g_string_append_printf (out, "%u of %u runs have ended.", result->done, result->runs);
      return g_string_free (out, FALSE);
    }
  for (guint i = 0; i < n; i++)
    counts[((const FmClaimFinding *) g_ptr_array_index (result->findings, i))->verdict]++;
  if (n == 1)
    g_string_append_printf (out, "What was expected is %s.", fm_claim_verdict_word (result->verdict));
  else if (counts[result->verdict] == n)
    {
      g_autofree char *all = fm_format_number_word (n);

      g_string_append_printf (out, "%s%s expectations are %s.", n == 2 ? "Both" : "All ", n == 2 ? "" : all,
                              fm_claim_verdict_word (result->verdict));
    }
  else
    {
      g_autofree char *all = fm_format_number_word (n);
      gboolean first = TRUE;

      g_string_append_printf (out, "Of %s expectations", all);
      for (FmClaimVerdict v = FM_CLAIM_VERDICT_REPRODUCED; v <= FM_CLAIM_VERDICT_UNDECIDED; v++)
        if (counts[v] > 0)
          {
            g_autofree char *number = fm_format_number_word (counts[v]);

            g_string_append_printf (out, "%s%s %s %s", first ? " " : ", ", number, counts[v] == 1 ? "is" : "are",
                                    fm_claim_verdict_word (v));
            first = FALSE;
          }
      g_string_append_c (out, '.');
    }
  return g_string_free (out, FALSE);
}

char *
fm_claim_result_level_text (const FmClaimResult *result)
{
  g_autofree char *alpha = fm_format_number (100 * result->alpha, result->alpha < FM_ALPHA ? 1 : 0);
  g_autofree char *level = fm_format_number (100 * result->alpha / MAX (result->measured, 1), 2);

  if (result->measured == 0)
    return g_strdup ("All of it is counted, so there are no intervals.");
  if (result->measured == 1)
    return g_strdup_printf ("The interval leaves out %s %% on each side: the expectation is tested one-sided.", alpha);
  return g_strdup_printf ("Intervals leave out %s %% on each side: each expectation is tested one-sided, %s %% shared by "
                          "the %u that are measured.", level, alpha, result->measured);
}

char *
fm_claim_result_to_text (const FmClaimResult *result)
{
  g_autofree char *sentence = fm_claim_result_sentence (result), *level = fm_claim_result_level_text (result);
  GString *out = g_string_new (NULL);

  g_string_append_printf (out, "Claim: %s. %s\n", fm_claim_verdict_word (result->verdict), sentence);
  for (guint i = 0; i < result->findings->len; i++)
    {
      const FmClaimFinding *f = g_ptr_array_index (result->findings, i);
      g_autofree char *text = fm_claim_finding_text (f);

      g_string_append_printf (out, "  %s %s  %s: %s\n", fm_claim_verdict_sign (f->verdict), f->expectation->name,
                              f->expectation->text, text);
    }
  if (result->claim->says != NULL)
    g_string_append_printf (out, "  The paper said: %s%s%s\n", result->claim->says,
                            result->claim->conditions != NULL ? " Under these conditions: " : "",
                            result->claim->conditions != NULL ? result->claim->conditions : "");
  if (result->claim->scale != NULL)
    g_string_append_printf (out, "  Here: %s\n", result->claim->scale);
  g_string_append_printf (out, "  %s\n", level);
  return g_string_free (out, FALSE);
}
