/* results-judge.c: which verdicts a table gives: what is compared with what, on which seeds, at which level.
 *
 * One family a batch: all comparisons that it names, on all its tasks and devices (its grounds), share the level.
 *
 * Seeds that were added later. A batch with more seeds than an earlier one finds the earlier stages done. If the earlier
 * batch had already given a verdict on a comparison, judging old and new seeds together would be a second look at the
 * same numbers, taken because the first did not please. So: an old seed of a comparison is one where both its trainings
 * had ended before this batch was written. A comparison with old and new seeds is judged on the new ones alone, unless
 * both batches say the same looks=N and this is at most the N-th look; then it is judged on all, at 5 %/N like every
 * look of it. A comparison whose seeds are all old shows no more than was known, and is judged on all as before. */
#include <math.h>
#include <string.h>

#include "app/results/results-private.h"

static gboolean
is_done (const FmResultRow *run)
{
  return g_strcmp0 (run->state, "done") == 0;
}

/* A verdict is said once, when every seed has ended: words that flip while seeds come in help nobody. */
static gboolean
has_ended (const FmVariantResult *r)
{
  return r->done > 0 && r->done + r->failed == r->seeds;
}

static gboolean
is_judged (const FmVariantResult *r)
{
  return has_ended (r) && r->verdict != FM_VERDICT_FAIL;
}

/* (nullable): the run of @row with @seed. */
static const FmResultRow *
run_with_seed (FmResultsRow *row, gint64 seed)
{
  GPtrArray *runs = fm_results_row_peek_runs (row); /* by seed */
  guint low = 0, high = runs->len;

  while (low < high)
    {
      guint middle = (low + high) / 2;

      if (((const FmResultRow *) g_ptr_array_index (runs, middle))->seed < seed)
        low = middle + 1;
      else
        high = middle;
    }
  if (low < runs->len && ((const FmResultRow *) g_ptr_array_index (runs, low))->seed == seed)
    return g_ptr_array_index (runs, low);
  return NULL;
}

/* --- What is compared ---------------------------------------------------------------------------------------------*/

static FmResultsComparison
comparison_of (FmResultsRow *row, FmResultsRow *reference)
{
  FmResultsComparison c = { .row = row, .reference = reference, .look = 1, .looks = 1 };

  c.comparison.difference = FM_ESTIMATE_NONE;
  c.comparison.error = c.comparison.p_differs = c.comparison.p_equal = c.comparison.p_adjusted = NAN;
  c.comparison.equal_low = c.comparison.equal_high = NAN;
  for (guint i = 0; i < FM_N_COMPARED; i++)
    c.costs[i] = c.comparison;
  return c;
}

static void
add_comparison (FmResultsTable *table, FmResultsRow *row, FmResultsRow *reference)
{
  FmResultsComparison c = comparison_of (row, reference);

  g_array_append_val (fm_results_table_peek_comparisons (table), c);
}

static gboolean
has_comparison (FmResultsTable *table, FmResultsRow *row, FmResultsRow *other)
{
  GArray *comparisons = fm_results_table_peek_comparisons (table);

  for (guint i = 0; i < comparisons->len; i++)
    {
      const FmResultsComparison *c = &g_array_index (comparisons, FmResultsComparison, i);

      if ((c->row == row && c->reference == other) || (c->row == other && c->reference == row))
        return TRUE;
    }
  return FALSE;
}

static void
add_named (FmResultsTable *table, gint64 batch, const FmBatchCompared *named)
{
  for (guint i = 0; i < fm_results_table_get_n_rows (table); i++)
    for (guint k = 0; k < fm_results_table_get_n_rows (table); k++)
      {
        FmResultsRow *row = fm_results_table_get_row (table, i), *other = fm_results_table_get_row (table, k);
        const FmVariantResult *a = fm_results_row_get (row), *b = fm_results_row_get (other);

        if (row != other && a->batch_id == batch && fm_results_same_ground (a, b)
            && fm_batch_names_variant (named->variant, a->variant)
            && fm_batch_names_variant (named->reference, b->variant) && !has_comparison (table, row, other))
          add_comparison (table, row, other);
      }
}

static void
add_comparisons (FmResultsTable *table, gint64 batch)
{
  const FmBatchJudging *judging = fm_results_table_peek_judging (table, batch);

  for (guint i = 0; i < judging->pairs->len; i++)
    add_named (table, batch, g_ptr_array_index (judging->pairs, i));
  if (judging->pairs->len > 0)
    return;
  for (guint i = 0; i < fm_results_table_get_n_rows (table); i++)
    {
      FmResultsRow *row = fm_results_table_get_row (table, i), *base = fm_results_table_get_baseline (table, row);
      const FmVariantResult *r = fm_results_row_get (row);

      if (r->batch_id != batch)
        continue;
      if (!judging->all_pairs && base != NULL && base != row)
        add_comparison (table, row, base);
      for (guint k = 0; k < i && judging->all_pairs; k++)
        if (fm_results_same_ground (r, fm_results_row_get (fm_results_table_get_row (table, k))))
          add_comparison (table, row, fm_results_table_get_row (table, k));
    }
}

/* --- Which seeds --------------------------------------------------------------------------------------------------*/

/* Both trainings of @seed had ended before the batch was written. */
static gboolean
is_old (FmResultsTable *table, const FmResultsComparison *c, gint64 seed)
{
  gint64 created_us = fm_results_table_peek_context (table, fm_results_row_get (c->row)->batch_id)->created_us;
  const FmResultRow *ours = run_with_seed (c->row, seed), *theirs = run_with_seed (c->reference, seed);
  gint64 a, b;

  if (ours == NULL || theirs == NULL)
    return FALSE;
  a = fm_results_table_get_ended (table, ours->train_stage);
  b = fm_results_table_get_ended (table, theirs->train_stage);
  return a > 0 && b > 0 && MAX (a, b) < created_us;
}

static gboolean
has_stage (const FmRunRecord *run, const char *stage)
{
  return stage != NULL && g_ptr_array_find_with_equal_func (run->stages, stage, g_str_equal, NULL);
}

/* The seeds of @c that @runs, those of an earlier batch, have on both sides: "0 1 2". */
static char *
seeds_in (GPtrArray *runs, const FmResultsComparison *c)
{
  GPtrArray *ours = fm_results_row_peek_runs (c->row);
  GString *seeds = g_string_new (NULL);

  for (guint i = 0; i < ours->len; i++)
    {
      const FmResultRow *run = g_ptr_array_index (ours, i), *other = run_with_seed (c->reference, run->seed);
      gboolean a = FALSE, b = FALSE;

      for (guint k = 0; k < runs->len && other != NULL; k++)
        {
          a |= has_stage (g_ptr_array_index (runs, k), run->train_stage);
          b |= has_stage (g_ptr_array_index (runs, k), other->train_stage);
        }
      if (a && b)
        g_string_append_printf (seeds, "%" G_GINT64_FORMAT " ", run->seed);
    }
  return g_string_free (seeds, FALSE);
}

/* How many looks earlier batches have taken at @c, each set of seeds counted once; 0 when one of them did not say
 * @looks. */
static gboolean
count_looks (FmStore *store, const FmResultsComparison *c, gint64 looks, guint *count, GError **error)
{
  gint64 batch = fm_results_row_get (c->row)->batch_id;
  g_autoptr (GPtrArray) batches = fm_store_load_batches (store, error);
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  gboolean announced = TRUE;

  if (batches == NULL)
    return FALSE;
  for (guint i = 0; i < batches->len; i++)
    {
      const FmBatchRecord *earlier = g_ptr_array_index (batches, i);
      g_autoptr (GPtrArray) runs = NULL;
      g_autoptr (FmBatchJudging) judging = NULL;
      g_autofree char *seeds = NULL;

      if (earlier->id >= batch)
        continue;
      runs = fm_store_load_runs (store, earlier->id, error);
      if (runs == NULL)
        return FALSE;
      seeds = seeds_in (runs, c);
      if (*seeds == '\0')
        continue;
      judging = fm_batch_judging_from_text (earlier->text);
      announced &= judging->looks == looks;
      g_hash_table_add (seen, g_steal_pointer (&seeds));
    }
  *count = announced ? g_hash_table_size (seen) : 0;
  return TRUE;
}

/* Decides whether @c is judged on all seeds or on the new ones alone. */
static gboolean
choose_seeds (FmResultsTable *table, FmStore *store, FmResultsComparison *c, GError **error)
{
  GPtrArray *runs = fm_results_row_peek_runs (c->row);
  guint old = 0, fresh = 0, before;

  c->looks = fm_results_table_peek_judging (table, fm_results_row_get (c->row)->batch_id)->looks;
  for (guint i = 0; i < runs->len; i++)
    {
      gint64 seed = ((const FmResultRow *) g_ptr_array_index (runs, i))->seed;

      if (is_old (table, c, seed))
        old++;
      else
        fresh += run_with_seed (c->reference, seed) != NULL;
    }
  if (old == 0 || fresh == 0 || store == NULL)
    return TRUE;
  if (!count_looks (store, c, c->looks, &before, error))
    return FALSE;
  if (c->looks > 1 && before > 0 && before < c->looks)
    c->look = before + 1;
  else
    c->new_seeds = fresh;
  return TRUE;
}

/* --- One ground at a time -----------------------------------------------------------------------------------------*/

static int
compare_seeds (gconstpointer a, gconstpointer b)
{
  gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;

  return (x > y) - (x < y);
}

/* (transfer full): the seeds that @c is judged on, sorted. */
static GArray *
seeds_of (FmResultsTable *table, const FmResultsComparison *c, GPtrArray *rows)
{
  GArray *seeds = g_array_new (FALSE, FALSE, sizeof (gint64));
  guint n = 0;

  for (guint i = 0; i < rows->len; i++)
    {
      GPtrArray *runs = fm_results_row_peek_runs (g_ptr_array_index (rows, i));

      for (guint k = 0; k < runs->len; k++)
        {
          gint64 seed = ((const FmResultRow *) g_ptr_array_index (runs, k))->seed;

          if (c->new_seeds == 0 || !is_old (table, c, seed))
            g_array_append_val (seeds, seed);
        }
    }
  g_array_sort (seeds, compare_seeds);
  for (guint i = 0; i < seeds->len; i++)
    if (n == 0 || g_array_index (seeds, gint64, n - 1) != g_array_index (seeds, gint64, i))
      g_array_index (seeds, gint64, n++) = g_array_index (seeds, gint64, i);
  g_array_set_size (seeds, n);
  return seeds;
}

static gboolean
same_seeds (GArray *a, GArray *b)
{
  return a->len == b->len && (a->len == 0 || memcmp (a->data, b->data, a->len * sizeof (gint64)) == 0);
}

/* Estimates comparisons @which, which share rows and seeds, of the score at offset @column of FmResultRow. */
static void
estimate (GArray *comparisons, GArray *which, GPtrArray *rows, GArray *seeds, gsize column, gdouble margin, gdouble alpha)
{
  g_autofree gdouble *values = g_new (gdouble, (gsize) rows->len * seeds->len + 1);
  g_autofree FmComparison *list = g_new0 (FmComparison, which->len + 1);
  FmSpread spread;

  for (guint v = 0; v < rows->len; v++)
    for (guint s = 0; s < seeds->len; s++)
      {
        const FmResultRow *run = run_with_seed (g_ptr_array_index (rows, v), g_array_index (seeds, gint64, s));

        values[v * seeds->len + s] = run != NULL && is_done (run) ? G_STRUCT_MEMBER (gdouble, run, column) : NAN;
      }
  for (guint i = 0; i < which->len; i++)
    {
      FmResultsComparison *c = &g_array_index (comparisons, FmResultsComparison, g_array_index (which, guint, i));
      guint variant = 0, reference = 0;

      g_ptr_array_find (rows, c->row, &variant);
      g_ptr_array_find (rows, c->reference, &reference);
      list[i] = c->comparison;
      list[i].variant = variant;
      list[i].reference = reference;
    }
  spread = fm_comparisons_estimate (values, rows->len, seeds->len, list, which->len, margin, alpha);
  for (guint i = 0; i < which->len; i++)
    {
      FmResultsComparison *c = &g_array_index (comparisons, FmResultsComparison, g_array_index (which, guint, i));

      c->comparison = list[i];
      c->spread = spread;
    }
}

/* All comparisons of the batch on the ground of @base, by the seeds they are judged on: nearly always one lot. */
static void
estimate_ground (FmResultsTable *table, FmResultsRow *base, gdouble margin, gdouble alpha)
{
  GArray *comparisons = fm_results_table_peek_comparisons (table);
  g_autoptr (GPtrArray) rows = g_ptr_array_new ();
  g_autofree gboolean *seen = g_new0 (gboolean, comparisons->len + 1);
  const FmVariantResult *ground = fm_results_row_get (base);

  for (guint i = 0; i < fm_results_table_get_n_rows (table); i++)
    {
      FmResultsRow *row = fm_results_table_get_row (table, i);

      if (fm_results_same_ground (fm_results_row_get (row), ground) && is_judged (fm_results_row_get (row)))
        g_ptr_array_add (rows, row);
    }
  for (guint i = 0; i < comparisons->len; i++)
    {
      const FmResultsComparison *c = &g_array_index (comparisons, FmResultsComparison, i);
      g_autoptr (GArray) which = NULL;
      g_autoptr (GArray) seeds = NULL;

      if (seen[i] || !g_ptr_array_find (rows, c->row, NULL) || !g_ptr_array_find (rows, c->reference, NULL))
        continue;
      which = g_array_new (FALSE, FALSE, sizeof (guint));
      seeds = seeds_of (table, c, rows);
      for (guint k = i; k < comparisons->len; k++)
        {
          const FmResultsComparison *other = &g_array_index (comparisons, FmResultsComparison, k);
          g_autoptr (GArray) theirs = NULL;

          if (seen[k] || !g_ptr_array_find (rows, other->row, NULL) || !g_ptr_array_find (rows, other->reference, NULL))
            continue;
          theirs = c->new_seeds == 0 && other->new_seeds == 0 ? NULL : seeds_of (table, other, rows);
          if (theirs != NULL && !same_seeds (seeds, theirs))
            continue;
          seen[k] = TRUE;
          g_array_append_val (which, k);
        }
      estimate (comparisons, which, rows, seeds, G_STRUCT_OFFSET (FmResultRow, test_accuracy), margin, alpha);
    }
}

gboolean
fm_results_estimate_pair (FmResultsTable *table, FmStore *store, FmResultsRow *row, FmResultsRow *reference,
                          gsize column, FmResultsComparison *comparison, GError **error)
{
  g_autoptr (GArray) comparisons = g_array_new (FALSE, FALSE, sizeof (FmResultsComparison));
  g_autoptr (GArray) which = g_array_new (FALSE, TRUE, sizeof (guint));
  g_autoptr (GArray) seeds = NULL;
  g_autoptr (GPtrArray) rows = g_ptr_array_new ();

  for (guint i = 0; i < fm_results_table_get_n_rows (table); i++)
    {
      FmResultsRow *other = fm_results_table_get_row (table, i);
      const FmVariantResult *r = fm_results_row_get (other);

      if (fm_results_same_ground (r, fm_results_row_get (row)) && (other == row || other == reference || is_judged (r)))
        g_ptr_array_add (rows, other);
    }
  *comparison = comparison_of (row, reference);
  if (!choose_seeds (table, store, comparison, error))
    return FALSE;
  seeds = seeds_of (table, comparison, rows);
  g_array_append_val (comparisons, *comparison);
  g_array_set_size (which, 1);
  estimate (comparisons, which, rows, seeds, column, 0, FM_ALPHA);
  *comparison = g_array_index (comparisons, FmResultsComparison, 0);
  return TRUE;
}

/* --- The family ---------------------------------------------------------------------------------------------------*/

/* What a row with open seeds shows meanwhile: the difference so far, and no verdict. */
static FmEstimate
difference_so_far (const FmResultsComparison *c)
{
  GPtrArray *runs = fm_results_row_peek_runs (c->row);
  g_autofree gdouble *values = g_new (gdouble, runs->len + 1);

  for (guint i = 0; i < runs->len; i++)
    {
      const FmResultRow *run = g_ptr_array_index (runs, i), *other = run_with_seed (c->reference, run->seed);

      values[i] = is_done (run) && other != NULL && is_done (other) ? run->test_accuracy - other->test_accuracy : NAN;
    }
  return fm_estimate (values, runs->len, 1 - FM_ALPHA);
}

static gboolean
is_ready (const FmResultsComparison *c)
{
  return is_judged (fm_results_row_get (c->row)) && is_judged (fm_results_row_get (c->reference));
}

static void
judge_family (FmResultsTable *table, guint first, const FmBatchJudging *judging, gdouble alpha)
{
  GArray *all = fm_results_table_peek_comparisons (table);
  guint n = all->len - first;
  g_autofree FmComparison *list = g_new0 (FmComparison, n + 1);
  g_autofree FmSpread *spreads = g_new0 (FmSpread, n + 1);
  FmJudging how = { judging->accuracy_margin, alpha, TRUE, FALSE };

  for (guint i = 0; i < n; i++)
    {
      FmResultsComparison *c = &g_array_index (all, FmResultsComparison, first + i);

      c->comparison.variant_failed = fm_results_row_get (c->row)->failed > 0;
      c->comparison.reference_failed = fm_results_row_get (c->reference)->failed > 0;
      c->comparison.verdict = fm_results_row_get (c->row)->verdict == FM_VERDICT_FAIL ? FM_VERDICT_FAIL
                                                                                      : FM_VERDICT_NONE;
      how.adds_seeds |= c->look < c->looks && c->new_seeds == 0;
      list[i] = c->comparison;
      spreads[i] = c->spread;
    }
  fm_comparisons_judge (list, spreads, n, &how);
  for (guint i = 0; i < n; i++)
    {
      FmResultsComparison *c = &g_array_index (all, FmResultsComparison, first + i);

      c->comparison = list[i];
      if (c->comparison.verdict != FM_VERDICT_FAIL && !is_ready (c))
        {
          c->comparison.verdict = FM_VERDICT_NONE;
          c->comparison.difference = difference_so_far (c);
        }
    }
}

/* A row shows the first comparison that has it on the left. */
static void
show (FmResultsTable *table)
{
  GArray *all = fm_results_table_peek_comparisons (table);

  for (guint i = all->len; i-- > 0;)
    {
      const FmResultsComparison *c = &g_array_index (all, FmResultsComparison, i);
      FmVariantResult *r = fm_results_row_edit (c->row);
      const FmVariantResult *b = fm_results_row_get (c->reference);

      r->difference = c->comparison.difference;
      r->verdict = c->comparison.verdict;
      r->more_seeds = c->comparison.more_seeds;
      r->new_seeds = c->new_seeds;
      r->against = b->baseline ? NULL : b->title;
    }
  for (guint i = 0; i < fm_results_table_get_n_rows (table); i++)
    {
      FmResultsRow *row = fm_results_table_get_row (table, i);
      FmVariantResult *r = fm_results_row_edit (row);
      const FmBatchJudging *judging = fm_results_table_peek_judging (table, r->batch_id);

      r->accuracy_margin = judging->accuracy_margin;
      r->latency_margin = judging->latency_margin;
      r->memory_margin = judging->memory_margin;
      if (r->baseline && r->verdict == FM_VERDICT_NONE)
        r->verdict = FM_VERDICT_BASELINE;
    }
}

gboolean
fm_results_judge (FmResultsTable *table, FmStore *store, GError **error)
{
  GArray *all = fm_results_table_peek_comparisons (table);
  g_autoptr (GHashTable) batches = g_hash_table_new (g_int64_hash, g_int64_equal);

  for (guint i = 0; i < fm_results_table_get_n_rows (table); i++)
    {
      const FmVariantResult *r = fm_results_row_get (fm_results_table_get_row (table, i));
      const FmBatchJudging *judging = fm_results_table_peek_judging (table, r->batch_id);
      gdouble alpha = FM_ALPHA / judging->looks;
      guint first = all->len;

      if (!g_hash_table_add (batches, (gpointer) &r->batch_id))
        continue;
      add_comparisons (table, r->batch_id);
      for (guint k = first; k < all->len; k++)
        if (!choose_seeds (table, store, &g_array_index (all, FmResultsComparison, k), error))
          return FALSE;
      for (guint k = 0; k < fm_results_table_get_n_rows (table); k++)
        {
          FmResultsRow *row = fm_results_table_get_row (table, k);

          if (fm_results_row_get (row)->baseline && fm_results_row_get (row)->batch_id == r->batch_id)
            estimate_ground (table, row, judging->accuracy_margin, alpha);
        }
      judge_family (table, first, judging, alpha);
    }
  show (table);
  return fm_results_judge_costs (table, store, error);
}
