/* results-costs.c: verdicts on latency and memory. The unit is the block: every variant was measured by a fresh process in
 * each (app/run/runner-measure.c), so that a block gives one ratio of two variants, and a ratio that repeats over blocks is
 * one of the variants and not of where a process happened to lie.
 *
 * Of a block the log of a variant's median is taken (the mean over its seeds where several were measured in it); the
 * differences of two variants over the blocks they share are judged like accuracies over seeds: a paired t test (Student,
 * "The probable error of a mean", 1908), two one-sided tests for equal, Holm over the comparisons of the batch. Nothing is
 * pooled: a small model's latency trembles more than a large one's. Logs, since a machine that is busier makes everything
 * slower by a factor. Which blocks there are does not depend on how they turned out, but their number does: a comparison
 * gets more until its interval is narrow. That costs a little coverage (tests/app/test-blocks.c measures how much). */
#include <math.h>
#include <string.h>

#include "app/results/results-private.h"

/* Of one variant in one block. */
typedef struct
{
  gdouble sum[FM_N_COMPARED];
  guint   n[FM_N_COMPARED];
} Cell;

static char *
cell_key (const char *session, gint64 block, FmResultsRow *row)
{
  return g_strdup_printf ("%s %" G_GINT64_FORMAT " %p", session, block, (gpointer) row);
}

static void
add_to_cell (GHashTable *cells, GHashTable *names, const FmBlockRow *block, FmResultsRow *row)
{
  char *key = cell_key (block->session, block->block, row);
  gdouble values[FM_N_COMPARED] = { block->median_us, block->measured_peak_bytes };
  Cell *cell = g_hash_table_lookup (cells, key);

  if (cell == NULL)
    {
      cell = g_new0 (Cell, 1);
      g_hash_table_insert (cells, key, cell);
      g_hash_table_add (names, g_strdup_printf ("%s %" G_GINT64_FORMAT, block->session, block->block));
    }
  else
    g_free (key);
  for (guint i = 0; i < FM_N_COMPARED; i++)
    if (values[i] > 0)
      {
        cell->sum[i] += log (values[i]);
        cell->n[i]++;
      }
}

/* What is known of the blocks of a table. */
typedef struct
{
  GHashTable *cells; /* "session block row" -> Cell */
  GPtrArray  *names; /* "session block", sorted */
} Blocks;

static void
blocks_clear (Blocks *blocks)
{
  g_hash_table_unref (blocks->cells);
  g_ptr_array_unref (blocks->names);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Blocks, blocks_clear)

/* By session, then by block as a number: the first blocks count for more (fm_blocks_estimate()). */
static int
compare_names (gconstpointer a, gconstpointer b)
{
  const char *x = *(const char *const *) a, *y = *(const char *const *) b;
  const char *end = strrchr (x, ' '), *other = strrchr (y, ' ');
  int order = strncmp (x, y, (gsize) MAX (end - x, other - y));

  return order != 0 ? order : (int) (g_ascii_strtoll (end, NULL, 10) - g_ascii_strtoll (other, NULL, 10));
}

static gboolean
load (Blocks *blocks, FmResultsTable *table, FmStore *store, GError **error)
{
  g_autoptr (GHashTable) owners = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify) g_ptr_array_unref);
  g_autoptr (GHashTable) names = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GPtrArray) list = NULL;
  GHashTableIter iter;
  gpointer name;
  gint64 batch = 0;

  for (guint i = 0; i < fm_results_table_get_n_rows (table); i++)
    {
      FmResultsRow *row = fm_results_table_get_row (table, i);
      const FmVariantResult *r = fm_results_row_get (row);

      batch = i == 0 || batch == r->batch_id ? r->batch_id : 0;
      for (gsize k = 0; k < r->n_runs; k++)
        {
          GPtrArray *rows;

          if (r->measure_stages[k] == NULL)
            continue;
          rows = g_hash_table_lookup (owners, r->measure_stages[k]);
          if (rows == NULL)
            {
              rows = g_ptr_array_new ();
              g_hash_table_insert (owners, (gpointer) r->measure_stages[k], rows);
            }
          if (!g_ptr_array_find (rows, row, NULL))
            g_ptr_array_add (rows, row);
        }
    }
  list = fm_store_load_blocks (store, batch, "batch1", error);
  if (list == NULL)
    return FALSE;
  for (guint i = 0; i < list->len; i++)
    {
      const FmBlockRow *block = g_ptr_array_index (list, i);
      GPtrArray *rows = block->session ? g_hash_table_lookup (owners, block->stage) : NULL;

      for (guint k = 0; rows && k < rows->len; k++)
        add_to_cell (blocks->cells, names, block, g_ptr_array_index (rows, k));
    }
  g_hash_table_iter_init (&iter, names);
  while (g_hash_table_iter_next (&iter, &name, NULL))
    g_ptr_array_add (blocks->names, g_strdup (name));
  g_ptr_array_sort (blocks->names, compare_names);
  return TRUE;
}

/* The log cost of @row in every block, NAN where it has none. */
static void
fill (const Blocks *blocks, FmResultsRow *row, guint cost, gdouble *values)
{
  for (guint i = 0; i < blocks->names->len; i++)
    {
      g_autofree char *key = g_strdup_printf ("%s %p", (const char *) g_ptr_array_index (blocks->names, i), (gpointer) row);
      const Cell *cell = g_hash_table_lookup (blocks->cells, key);

      values[i] = cell && cell->n[cost] > 0 ? cell->sum[cost] / cell->n[cost] : NAN;
    }
}

static gboolean
has_ended (const FmVariantResult *r)
{
  return r->done > 0 && r->done + r->failed == r->seeds;
}

static void
judge (FmResultsTable *table, const Blocks *blocks, guint first, guint n, guint cost)
{
  GArray *all = fm_results_table_peek_comparisons (table);
  const FmBatchJudging *judging;
  g_autofree FmComparison *list = g_new0 (FmComparison, n + 1);
  g_autofree FmSpread *spreads = g_new0 (FmSpread, n + 1);
  g_autofree gdouble *values = g_new (gdouble, 2 * blocks->names->len + 1);
  FmJudging how = { 0, FM_ALPHA, FALSE, FALSE };

  if (n == 0)
    return;
  judging = fm_results_table_peek_judging (
      table, fm_results_row_get (g_array_index (all, FmResultsComparison, first).row)->batch_id);
  how.margin = log1p (cost == FM_COMPARED_LATENCY ? judging->latency_margin : judging->memory_margin);
  for (guint i = 0; i < n; i++)
    {
      FmResultsComparison *c = &g_array_index (all, FmResultsComparison, first + i);
      const FmVariantResult *a = fm_results_row_get (c->row), *b = fm_results_row_get (c->reference);

      list[i] = c->costs[cost];
      if (a->verdict == FM_VERDICT_FAIL)
        list[i].verdict = FM_VERDICT_FAIL;
      list[i].variant_failed = a->failed > 0;
      list[i].reference_failed = b->failed > 0;
      if (!has_ended (a) || !has_ended (b) || b->verdict == FM_VERDICT_FAIL || list[i].verdict == FM_VERDICT_FAIL)
        continue;
      fill (blocks, c->row, cost, values);
      fill (blocks, c->reference, cost, values + blocks->names->len);
      spreads[i] = fm_blocks_compare (values, blocks->names->len, &list[i], how.margin);
    }
  fm_comparisons_judge (list, spreads, n, &how);
  for (guint i = 0; i < n; i++)
    {
      FmResultsComparison *c = &g_array_index (all, FmResultsComparison, first + i);

      /* A side without a latency at all, or not yet: nothing to say. */
      if (list[i].verdict != FM_VERDICT_FAIL
          && (!has_ended (fm_results_row_get (c->row)) || !has_ended (fm_results_row_get (c->reference))
              || isnan (fm_results_row_get (c->row)->latency_us_median)
              || isnan (fm_results_row_get (c->reference)->latency_us_median)))
        list[i].verdict = FM_VERDICT_NONE;
      c->costs[cost] = list[i];
    }
}

static void
show_ratio (const FmComparison *c, gdouble measured, gdouble *ratio, gdouble *low, gdouble *high, FmVerdict *verdict)
{
  *ratio = c->difference.n > 0 ? exp (c->difference.mean) : measured;
  *low = exp (c->difference.low);
  *high = exp (c->difference.high);
  *verdict = c->verdict == FM_VERDICT_FAIL ? FM_VERDICT_NONE : c->verdict;
}

static gdouble
bytes_ratio (gint64 ours, gint64 theirs)
{
  return ours > 0 && theirs > 0 ? (gdouble) ours / theirs : NAN;
}

/* A row shows the first comparison that has it on the left, as with accuracy; without one, plain ratios to the
 * baseline. */
static void
show (FmResultsTable *table)
{
  GArray *all = fm_results_table_peek_comparisons (table);

  for (guint i = 0; i < fm_results_table_get_n_rows (table); i++)
    {
      FmResultsRow *row = fm_results_table_get_row (table, i), *base = fm_results_table_get_baseline (table, row);
      FmVariantResult *r = fm_results_row_edit (row);
      const FmVariantResult *b = base && base != row ? fm_results_row_get (base) : NULL;

      if (b == NULL)
        continue;
      r->latency_ratio = r->latency_us_median / b->latency_us_median;
      r->memory_ratio = bytes_ratio (r->inference_measured_peak_bytes, b->inference_measured_peak_bytes);
    }
  for (guint i = all->len; i-- > 0;)
    {
      const FmResultsComparison *c = &g_array_index (all, FmResultsComparison, i);
      const FmComparison *latency = &c->costs[FM_COMPARED_LATENCY], *memory = &c->costs[FM_COMPARED_MEMORY];
      FmVariantResult *r = fm_results_row_edit (c->row);
      const FmVariantResult *b = fm_results_row_get (c->reference);

      show_ratio (latency, r->latency_us_median / b->latency_us_median, &r->latency_ratio, &r->latency_ratio_low,
                  &r->latency_ratio_high, &r->latency_verdict);
      show_ratio (memory, bytes_ratio (r->inference_measured_peak_bytes, b->inference_measured_peak_bytes),
                  &r->memory_ratio, &r->memory_ratio_low, &r->memory_ratio_high, &r->memory_verdict);
      r->paired_blocks = latency->difference.n;
      r->more_blocks = latency->more_seeds;
    }
}

gboolean
fm_results_judge_costs (FmResultsTable *table, FmStore *store, GError **error)
{
  GArray *all = fm_results_table_peek_comparisons (table);
  g_auto (Blocks) blocks = { g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free),
                             g_ptr_array_new_with_free_func (g_free) };

  if (all->len > 0 && store != NULL && !load (&blocks, table, store, error))
    return FALSE;
  for (guint first = 0, end; first < all->len; first = end)
    {
      gint64 batch = fm_results_row_get (g_array_index (all, FmResultsComparison, first).row)->batch_id;

      for (end = first; end < all->len; end++)
        if (fm_results_row_get (g_array_index (all, FmResultsComparison, end).row)->batch_id != batch)
          break;
      for (guint cost = 0; cost < FM_N_COMPARED; cost++)
        judge (table, &blocks, first, end - first, cost);
    }
  show (table);
  return TRUE;
}
