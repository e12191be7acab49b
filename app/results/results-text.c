/* results-text.c: results as sentences, as a table in the terminal, and as Markdown. */
#include <math.h>
#include <string.h>

#include "app/results/format.h"
#include "app/results/results-private.h"

/* --- Sentences ----------------------------------------------------------------------------------------------------*/

typedef struct
{
  guint better, equal, worse, undecided, failed, open; /* open: not all seeds have ended; the baseline is not counted */
} Counts;

static Counts
count_verdicts (FmResultsTable *table)
{
  Counts c = { 0 };

  for (guint i = 0; i < fm_results_table_get_n_rows (table); i++)
    {
      const FmVariantResult *r = fm_results_row_get (fm_results_table_get_row (table, i));

      c.better += r->verdict == FM_VERDICT_BETTER;
      c.equal += r->verdict == FM_VERDICT_EQUAL;
      c.worse += r->verdict == FM_VERDICT_WORSE;
      c.undecided += r->verdict == FM_VERDICT_UNDECIDED;
      c.failed += r->verdict == FM_VERDICT_FAIL;
      c.open += r->verdict == FM_VERDICT_NONE;
    }
  return c;
}

static void
append_count (GString *out, guint n, const char *word)
{
  if (n > 0)
    g_string_append_printf (out, "%s%u %s", out->len > 0 ? ", " : "", n, word);
}

char *
fm_results_table_statement (FmResultsTable *table)
{
  Counts c = count_verdicts (table);
  GString *out = g_string_new (NULL);

  append_count (out, c.better, "better");
  append_count (out, c.equal, "equal");
  append_count (out, c.worse, "worse");
  append_count (out, c.undecided, "undecided");
  append_count (out, c.failed, "failed");
  append_count (out, c.open, "not finished");
  if (fm_results_table_get_n_rows (table) == 0)
    g_string_assign (out, "Nothing measured yet");
  else if (out->len == 0)
    g_string_assign (out, "One variant, nothing to compare it with");
  return g_string_free (out, FALSE);
}

/* "one variant is better, one equal, two worse" */
static void
append_clause (GString *out, guint n, const char *word, gboolean *said)
{
  g_autofree char *number = fm_format_number_word (n);

  if (n == 0)
    return;
  if (*said)
    g_string_append_printf (out, ", %s %s", number, word);
  else
    g_string_append_printf (out, "%s variant%s %s %s", number, n == 1 ? "" : "s", n == 1 ? "is" : "are", word);
  *said = TRUE;
}

char *
fm_results_table_sentence (FmResultsTable *table)
{
  Counts c = count_verdicts (table);
  FmResultsRow *base = NULL;
  GString *out = g_string_new (NULL);
  gboolean said = FALSE, one_task = TRUE;

  if (fm_results_table_get_n_rows (table) == 0)
    return g_string_free (g_string_append (out, "Nothing measured yet."), FALSE);
  base = fm_results_table_get_baseline (table, fm_results_table_get_row (table, 0));
  for (guint i = 0; i < fm_results_table_get_n_rows (table); i++)
    one_task &= strcmp (fm_results_row_get (fm_results_table_get_row (table, i))->task,
                        fm_results_row_get (fm_results_table_get_row (table, 0))->task) == 0;
  if (c.better + c.equal + c.worse + c.undecided + c.failed + c.open == 0)
    {
      const FmVariantResult *r = fm_results_row_get (base);

      g_string_append_printf (out, "Only %s on %s was measured, so there is nothing to compare it with.", r->title,
                              r->task);
      return g_string_free (out, FALSE);
    }
  g_string_append_printf (out, "Against %s", base != NULL ? fm_results_row_get (base)->title : "the baseline");
  if (one_task)
    g_string_append_printf (out, " on %s", fm_results_row_get (fm_results_table_get_row (table, 0))->task);
  g_string_append (out, ", ");
  append_clause (out, c.better, "better", &said);
  append_clause (out, c.equal, "equal", &said);
  append_clause (out, c.worse, "worse", &said);
  if (c.undecided + c.failed + c.open > 0)
    {
      const struct { guint n; const char *one, *many; } rest[] = { { c.undecided, "is undecided", "are undecided" },
                                                                   { c.failed, "failed", "failed" },
                                                                   { c.open, "is not finished", "are not finished" } };
      guint parts = (c.undecided > 0) + (c.failed > 0) + (c.open > 0), part = 0;

      if (said)
        g_string_append (out, "; ");
      for (gsize i = 0; i < G_N_ELEMENTS (rest); i++)
        if (rest[i].n > 0)
          {
            g_autofree char *number = fm_format_number_word (rest[i].n);

            g_string_append_printf (out, "%s%s%s %s", part == 0 ? "" : part + 1 == parts ? " and " : ", ", number,
                                    said || part > 0 ? "" : rest[i].n == 1 ? " variant" : " variants",
                                    rest[i].n == 1 ? rest[i].one : rest[i].many);
            part++;
          }
    }
  g_string_append_c (out, '.');
  return g_string_free (out, FALSE);
}

char *
fm_results_table_counts (FmResultsTable *table)
{
  guint runs = 0, done = 0, failed = 0, skipped = 0;
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < fm_results_table_get_n_rows (table); i++)
    {
      const FmVariantResult *r = fm_results_row_get (fm_results_table_get_row (table, i));

      runs += r->seeds;
      done += r->done;
      failed += r->failed;
      skipped += r->skipped;
    }
  g_string_append_printf (out, "%u run%s, %u done", runs, runs == 1 ? "" : "s", done);
  if (failed > 0)
    g_string_append_printf (out, ", %u failed", failed);
  if (skipped > 0)
    g_string_append_printf (out, ", %u skipped", skipped);
  return g_string_free (out, FALSE);
}

char *
fm_results_table_held_equal (FmResultsTable *table)
{
  const char *sentence = fm_results_table_peek_held_equal (table);

  return g_strdup (sentence != NULL ? sentence : "");
}

/* "1 point", "0.5 points" */
static char *
points_text (gdouble share)
{
  char number[G_ASCII_DTOSTR_BUF_SIZE];

  g_ascii_formatd (number, sizeof number, "%.6g", 100 * share);
  return g_strdup_printf ("%s point%s", number, strcmp (number, "1") == 0 ? "" : "s");
}

static gboolean
same_number (gdouble a, gdouble b)
{
  return a == b || (isnan (a) && isnan (b));
}

/* Member by member: what lies between them is not set. */
static gboolean
same_spread (const FmSpread *a, const FmSpread *b)
{
  return a->variants == b->variants && a->seeds == b->seeds && a->df == b->df && a->paired == b->paired
         && same_number (a->sd, b->sd) && same_number (a->spread_p, b->spread_p);
}

/* What the matrices of the table were judged by: "residuals pooled over 5 variants and 3 seeds (8 degrees of freedom)" */
static void
append_spread (GString *out, const FmResultsComparison *comparisons, guint n)
{
  const FmSpread *pooled = NULL, *paired = NULL;
  guint pools = 0, pairs = 0;

  for (guint i = 0; i < n; i++)
    {
      const FmSpread *s = &comparisons[i].spread;

      if (s->variants == 0 || (pooled != NULL && same_spread (s, pooled)) || (paired != NULL && same_spread (s, paired)))
        continue;
      pools += !s->paired && (pooled = s) != NULL;
      pairs += s->paired && (paired = s) != NULL;
    }
  if (pools == 1)
    g_string_append_printf (out, "residuals pooled over %u variants and %u seeds, %u degree%s of freedom",
                            pooled->variants, pooled->seeds, pooled->df, pooled->df == 1 ? "" : "s");
  else if (pools > 1)
    g_string_append (out, "residuals pooled over each task and device");
  if (pairs > 0)
    {
      g_string_append_printf (out, "%spaired by seed and not pooled%s, since variances plainly differ (F test of each "
                              "variant against the others, level 10 %%", pools > 0 ? "; " : "",
                              pools > 0 || pairs > 1 ? " where a task's variants say so" : "");
      if (pairs == 1)
        g_string_append_printf (out, ", p %s%.2g", paired->spread_p < 0.0001 ? "below " : "= ",
                                MAX (paired->spread_p, 0.0001));
      g_string_append_c (out, ')');
    }
}

static void
append_looks (GString *out, const FmResultsComparison *comparisons, guint n)
{
  guint look = 1, looks = 1, fresh = 0;

  for (guint i = 0; i < n; i++)
    {
      look = MAX (look, comparisons[i].look);
      looks = MAX (looks, comparisons[i].looks);
      fresh += comparisons[i].new_seeds > 0;
    }
  if (looks > 1)
    g_string_append_printf (out, " Look %u of %u that the batch announced, each at 5 %%/%u.", look, looks, looks);
  if (fresh > 0)
    g_string_append_printf (out, " %u comparison%s judged on the new seeds alone: an earlier batch had given %s "
                            "verdict%s on the others, and no looks= was announced for more.", fresh,
                            fresh == 1 ? " is" : "s are", fresh == 1 ? "its" : "their", fresh == 1 ? "" : "s");
}

/* How latencies were got, and what "unstable" means. */
static void
append_costs (GString *out, FmResultsTable *table)
{
  guint n, least = 0, most = 0, tested = 0, unstable = 0;
  const FmResultsComparison *comparisons = fm_results_table_get_comparisons (table, &n);

  for (guint i = 0; i < fm_results_table_get_n_rows (table); i++)
    {
      const FmVariantResult *r = fm_results_row_get (fm_results_table_get_row (table, i));

      unstable += r->unstable;
      if (r->latency_blocks == 0)
        continue;
      least = least > 0 ? MIN (least, r->latency_blocks) : r->latency_blocks;
      most = MAX (most, r->latency_blocks);
    }
  for (guint i = 0; i < n; i++)
    tested += !isnan (comparisons[i].costs[FM_COMPARED_LATENCY].p_adjusted);
  if (tested > 0)
    {
      const FmVariantResult *r = fm_results_row_get (comparisons[0].row);
      g_autofree char *latency = fm_format_number (100 * r->latency_margin, 0);
      g_autofree char *memory = fm_format_number (100 * r->memory_margin, 0);

      g_string_append_printf (out, " Latency and memory: %u", least);
      if (most > least)
        g_string_append_printf (out, " to %u", most);
      g_string_append_printf (out, " fresh processes a variant, in blocks that hold all of them in an order drawn anew; "
                              "ratios and their 95 %% intervals over blocks (paired t on logs, Holm over %u comparison%s), equal "
                              "within %s %% of latency and %s %% of memory.", n, n == 1 ? "" : "s", latency, memory);
    }
  if (unstable > 0)
    g_string_append_printf (out, " Unstable: after the most blocks there are, the 95 %% interval of the ratio was still "
                            "wider than the margin (%u row%s).", unstable, unstable == 1 ? "" : "s");
}

char *
fm_results_table_footnote (FmResultsTable *table)
{
  GString *out = g_string_new ("Mean over seeds with 95 % interval (Student's t).");
  guint n, tested = 0, undecided = 0;
  const FmResultsComparison *comparisons = fm_results_table_get_comparisons (table, &n);

  for (guint i = 0; i < n; i++)
    {
      tested += !isnan (comparisons[i].comparison.p_adjusted);
      undecided += comparisons[i].comparison.verdict == FM_VERDICT_UNDECIDED && comparisons[i].comparison.more_seeds > 0;
    }
  if (tested > 0)
    {
      const FmVariantResult *r = fm_results_row_get (comparisons[0].row);
      g_autofree char *margin = points_text (r->accuracy_margin);
      guint looks = comparisons[0].looks;
      g_autofree char *inner = fm_format_number (100 - 10.0 / looks, looks > 1 ? 1 : 0);
      g_autofree char *outer = fm_format_number (100 - 5.0 / looks, looks > 1 ? 1 : 0);

      g_string_append (out, " Verdicts: seeds are blocks, ");
      append_spread (out, comparisons, n);
      g_string_append_printf (out, ". Equal: the %s %% interval of the difference lies within %s of accuracy. Better, "
                              "worse: not equal, and the %s %% interval, adjusted by Holm over %u comparison%s, leaves "
                              "out zero.", inner, margin, outer, n, n == 1 ? "" : "s");
      append_looks (out, comparisons, n);
    }
  append_costs (out, table);
  if (undecided > 0)
    g_string_append_printf (out, " More seeds: about as many %sas decide in four of five repeats, if difference and "
                            "spread are what they seem.", comparisons[0].looks > 1 ? "" : "new ones, judged alone, ");
  return g_string_free (out, FALSE);
}

/* "1.2 points [0.3, 2.1]" */
static char *
difference_text (const FmEstimate *e)
{
  g_autofree char *mean = fm_format_number (100 * e->mean, 1), *low = fm_format_number (100 * e->low, 1);
  g_autofree char *high = fm_format_number (100 * e->high, 1);

  if (isnan (e->mean))
    return g_strdup ("");
  if (isnan (e->low))
    return g_strdup_printf (", %s points", mean);
  return g_strdup_printf (", %s points [%s, %s]", mean, low, high);
}

static void append_seeds_note (GString *out, FmVerdict verdict, guint more_seeds, guint new_seeds);
static char *cost_text (gdouble ratio, gdouble low, gdouble high, FmVerdict verdict, guint more_blocks);

/* "; latency 0.81× [0.78, 0.84] better" */
static void
append_cost (GString *out, const char *what, const FmComparison *c)
{
  g_autofree char *text = NULL;

  if (c->difference.n == 0)
    return;
  text = cost_text (exp (c->difference.mean), exp (c->difference.low), exp (c->difference.high), c->verdict,
                    c->more_seeds);
  g_string_append_printf (out, "; %s %s", what, text);
}

char *
fm_results_table_comparisons_text (FmResultsTable *table)
{
  GString *out = g_string_new (NULL);
  guint n;
  const FmResultsComparison *comparisons = fm_results_table_get_comparisons (table, &n);
  gboolean named = FALSE;

  for (guint i = 0; i < n; i++)
    {
      const FmBatchJudging *judging
        = fm_results_table_peek_judging (table, fm_results_row_get (comparisons[i].row)->batch_id);

      named |= judging->all_pairs || judging->pairs->len > 0;
    }
  for (guint i = 0; i < n && named; i++)
    {
      const FmResultsComparison *c = &comparisons[i];
      const FmVariantResult *a = fm_results_row_get (c->row), *b = fm_results_row_get (c->reference);
      g_autofree char *difference = difference_text (&c->comparison.difference);
      const char *word = c->comparison.verdict == FM_VERDICT_NONE ? "not finished"
                                                                  : fm_verdict_word (c->comparison.verdict);

      g_string_append_printf (out, "%s against %s: %s%s", a->title, b->title, word, difference);
      append_seeds_note (out, c->comparison.verdict, c->comparison.more_seeds, c->new_seeds);
      append_cost (out, "latency", &c->costs[FM_COMPARED_LATENCY]);
      append_cost (out, "inference memory", &c->costs[FM_COMPARED_MEMORY]);
      g_string_append_c (out, '\n');
    }
  return g_string_free (out, FALSE);
}

char *
fm_results_table_scores_text (FmResultsTable *table)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < fm_results_table_get_n_rows (table); i++)
    {
      const FmVariantResult *r = fm_results_row_get (fm_results_table_get_row (table, i));

      if (r->scores != NULL)
        g_string_append_printf (out, "%s: %s\n", r->title, r->scores);
    }
  return g_string_free (out, FALSE);
}

char *
fm_results_table_tuning_text (FmResultsTable *table)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < fm_results_table_get_n_rows (table); i++)
    {
      const FmVariantResult *r = fm_results_row_get (fm_results_table_get_row (table, i));

      if (r->trials > 0)
        g_string_append_printf (out, "%s: %s, best of %" G_GINT64_FORMAT " trial%s on validation\n", r->title,
                                r->chosen ? r->chosen : "nothing chosen", r->trials, r->trials == 1 ? "" : "s");
    }
  return g_string_free (out, FALSE);
}

char *
fm_results_row_seeds_text (FmResultsRow *row)
{
  const FmVariantResult *r = fm_results_row_get (row);

  return g_strdup_printf ("%u of %u", r->done, r->seeds);
}

/* ", 4 more seeds", ", on the 3 new seeds" */
static void
append_seeds_note (GString *out, FmVerdict verdict, guint more_seeds, guint new_seeds)
{
  if (verdict == FM_VERDICT_UNDECIDED && more_seeds > FM_MORE_SEEDS_MAX)
    g_string_append_printf (out, ", more than %d more seeds", FM_MORE_SEEDS_MAX);
  else if (verdict == FM_VERDICT_UNDECIDED && more_seeds > 0)
    g_string_append_printf (out, ", %u more seed%s", more_seeds, more_seeds == 1 ? "" : "s");
  if (new_seeds > 0 && verdict >= FM_VERDICT_BETTER && verdict <= FM_VERDICT_UNDECIDED)
    g_string_append_printf (out, ", on the %u new seed%s", new_seeds, new_seeds == 1 ? "" : "s");
}

char *
fm_results_row_verdict_text (FmResultsRow *row)
{
  const FmVariantResult *r = fm_results_row_get (row);
  GString *out;

  switch (r->verdict)
    {
    case FM_VERDICT_FAIL:
      return g_strdup (r->reason != NULL ? r->reason : "failed");
    case FM_VERDICT_BASELINE:
    case FM_VERDICT_NONE:
      if (r->skipped == r->seeds)
        return g_strdup_printf ("skipped%s%s", r->reason != NULL ? ": " : "", r->reason != NULL ? r->reason : "");
      if (r->done + r->failed < r->seeds)
        return g_strdup_printf ("%s%u of %u seeds so far", r->baseline ? "baseline, " : "", r->done, r->seeds);
      if (r->baseline)
        return g_strdup (fm_verdict_word (r->verdict));
      return g_strdup ("no finished baseline");
    case FM_VERDICT_BETTER:
    case FM_VERDICT_EQUAL:
    case FM_VERDICT_WORSE:
    case FM_VERDICT_UNDECIDED:
    default:
      break;
    }
  out = g_string_new (fm_verdict_word (r->verdict));
  if (r->against != NULL)
    g_string_append_printf (out, " (against %s)", r->against);
  if (r->verdict == FM_VERDICT_UNDECIDED && r->difference.n < 2)
    g_string_append (out, ", needs 2 seeds");
  append_seeds_note (out, r->verdict, r->more_seeds, r->new_seeds);
  if (r->failed > 0)
    g_string_append_printf (out, "; %u seed%s failed%s%s", r->failed, r->failed == 1 ? "" : "s",
                            r->reason != NULL ? ": " : "", r->reason != NULL ? r->reason : "");
  return g_string_free (out, FALSE);
}

/* "1.02× [0.97, 1.08] undecided, about 14 blocks" */
static char *
cost_text (gdouble ratio, gdouble low, gdouble high, FmVerdict verdict, guint more_blocks)
{
  g_autofree char *number = fm_format_number (ratio, 2), *least = fm_format_number (low, 2);
  g_autofree char *most = fm_format_number (high, 2);
  GString *out;

  if (!isfinite (ratio))
    return g_strdup ("");
  out = g_string_new (number);
  g_string_append (out, "×");
  if (low == 1 && high == 1) /* a spread of nothing around nothing */
    g_string_append (out, " to the byte");
  else if (isfinite (low))
    g_string_append_printf (out, " [%s, %s]", least, most);
  if (*fm_verdict_word (verdict) != '\0')
    g_string_append_printf (out, " %s", fm_verdict_word (verdict));
  if (verdict == FM_VERDICT_UNDECIDED && !isfinite (low))
    g_string_append (out, ", no two blocks shared");
  else if (verdict == FM_VERDICT_UNDECIDED && more_blocks > FM_MORE_SEEDS_MAX)
    g_string_append_printf (out, ", more than %d blocks", FM_MORE_SEEDS_MAX);
  else if (verdict == FM_VERDICT_UNDECIDED && more_blocks > 0)
    g_string_append_printf (out, ", about %u blocks", more_blocks);
  return g_string_free (out, FALSE);
}

char *
fm_results_row_latency_text (FmResultsRow *row)
{
  const FmVariantResult *r = fm_results_row_get (row);
  g_autofree char *text = cost_text (r->latency_ratio, r->latency_ratio_low, r->latency_ratio_high, r->latency_verdict,
                                     r->more_blocks);

  return g_strconcat (text, r->unstable ? (*text ? ", unstable" : "unstable") : "", NULL);
}

char *
fm_results_row_memory_text (FmResultsRow *row)
{
  const FmVariantResult *r = fm_results_row_get (row);

  return cost_text (r->memory_ratio, r->memory_ratio_low, r->memory_ratio_high, r->memory_verdict, 0);
}

/* --- Tables -------------------------------------------------------------------------------------------------------*/

/* Names of the columns; `order` and `least` below say where they stand and which go first. */
enum { NAME, ACCURACY, VERDICT, LATENCY, P95, THROUGHPUT, TRAIN, PLANNED, MEASURED, PARAMETERS, BY_LENGTH, FLOPS,
       SEEDS, LATENCY_RATIO, MEMORY_RATIO, N_COLUMNS };

static const char *const titles[N_COLUMNS] = {
  [NAME] = "Variant",          [ACCURACY] = "Test accuracy, %", [VERDICT] = "Against baseline",
  [LATENCY] = "Latency, µs",   [P95] = "p95, µs",               [THROUGHPUT] = "Per second",
  [TRAIN] = "Training",        [PLANNED] = "Planned peak, MB",  [MEASURED] = "Measured, MB",
  [PARAMETERS] = "Parameters", [BY_LENGTH] = "By length",       [FLOPS] = "FLOPs",
  [SEEDS] = "Seeds",
  [LATENCY_RATIO] = "Latency ratio", [MEMORY_RATIO] = "Memory ratio, inference",
};

/* Left to right. */
static const guint order[N_COLUMNS] = { NAME,     ACCURACY,   LATENCY,   P95,   THROUGHPUT, TRAIN,   PLANNED,
                                        MEASURED, PARAMETERS, BY_LENGTH, FLOPS, SEEDS,      VERDICT, LATENCY_RATIO,
                                        MEMORY_RATIO };
#define REASON_COLUMNS 28
/* What goes first when there is no room. */
static const guint least[] = { FLOPS,      BY_LENGTH,    MEMORY_RATIO, THROUGHPUT, PLANNED, P95,
                               PARAMETERS, MEASURED,     TRAIN,      SEEDS,   LATENCY_RATIO, LATENCY };

static gboolean
is_words (guint column)
{
  return column == NAME || column == VERDICT || column == LATENCY_RATIO || column == MEMORY_RATIO;
}

static char *
accuracy_text (const FmVariantResult *r)
{
  g_autofree char *mean = fm_format_number (100 * r->accuracy.mean, 1), *low = NULL, *high = NULL;

  if (r->verdict == FM_VERDICT_FAIL)
    return g_strdup ("FAIL");
  if (!isfinite (r->accuracy.low))
    return g_steal_pointer (&mean);
  low = fm_format_number (100 * r->accuracy.low, 1);
  high = fm_format_number (100 * r->accuracy.high, 1);
  return g_strdup_printf ("%s [%s, %s]", mean, low, high);
}

static const char *
marker_text (const FmVariantResult *r)
{
  static const char *const markers[] = { "●", "■", "◆", "▲", "⬢" }, *const hollow[] = { "", "□", "◇", "△", "⬡" };

  if (r->verdict == FM_VERDICT_FAIL)
    return "✕";
  return r->index < 5 ? markers[r->index] : hollow[(r->index - 1) % 4 + 1];
}

/* (transfer full): N_COLUMNS texts and a NULL. */
static GStrv
cells_of (FmResultsTable *table, FmResultsRow *row, gboolean marked)
{
  const FmVariantResult *r = fm_results_row_get (row);
  gboolean fail = r->verdict == FM_VERDICT_FAIL, several = FALSE;
  GStrv cells = g_new0 (char *, N_COLUMNS + 1);
  g_autofree char *verdict = fm_results_row_verdict_text (row);
  const char *sign = fail ? "" : fm_verdict_sign (r->verdict);

  for (guint i = 0; i < fm_results_table_get_n_rows (table); i++)
    {
      const FmVariantResult *other = fm_results_row_get (fm_results_table_get_row (table, i));

      several |= strcmp (other->task, r->task) != 0 || strcmp (other->device, r->device) != 0;
    }
  cells[NAME] = g_strconcat (marked ? marker_text (r) : "", marked ? " " : "", r->title, several ? ", " : "",
                             several ? r->task : "", several ? " " : "", several ? r->device : "", NULL);
  cells[ACCURACY] = accuracy_text (r);
  cells[VERDICT] = g_strconcat (*sign != '\0' ? sign : " ", " ", verdict, NULL);
  cells[LATENCY] = fm_format_latency (fail ? NAN : r->latency_us_median);
  cells[P95] = fm_format_latency (fail ? NAN : r->latency_us_p95);
  cells[THROUGHPUT] = fm_format_number (fail ? NAN : r->throughput_per_s, 0);
  cells[TRAIN] = fm_format_duration (fail ? NAN : r->train_s);
  cells[PLANNED] = fm_format_megabytes (r->planned_peak_bytes);
  cells[MEASURED] = fm_format_megabytes (r->measured_peak_bytes);
  cells[PARAMETERS] = fm_format_short_count (r->parameters < 0 ? NAN : r->parameters);
  cells[BY_LENGTH] = fm_format_short_count (r->parameters_by_n < 0 ? NAN : r->parameters_by_n);
  cells[FLOPS] = fm_format_short_count (r->flops);
  cells[SEEDS] = fm_results_row_seeds_text (row);
  cells[LATENCY_RATIO] = fail ? g_strdup ("") : fm_results_row_latency_text (row);
  cells[MEMORY_RATIO] = fail ? g_strdup ("") : fm_results_row_memory_text (row);
  return cells;
}

/* Rows that are no runs: what no training at all would give. */
static GStrv
level_cells (const char *name, gdouble accuracy, gboolean marked)
{
  GStrv cells = g_new0 (char *, N_COLUMNS + 1);

  for (guint c = 0; c < N_COLUMNS; c++)
    cells[c] = NULL;
  cells[NAME] = g_strconcat (marked ? "  " : "", name, NULL);
  cells[ACCURACY] = fm_format_number (100 * accuracy, 1);
  for (guint c = 0; c < N_COLUMNS; c++)
    if (cells[c] == NULL)
      cells[c] = g_strdup ("");
  return cells;
}

/* Is the same task in the table with other parameters, so that its name alone says too little? */
static gboolean
has_sibling (FmResultsTable *table, const FmVariantResult *r)
{
  for (guint i = 0; i < fm_results_table_get_n_rows (table) && r->task_parameters != NULL; i++)
    {
      const FmVariantResult *other = fm_results_row_get (fm_results_table_get_row (table, i));

      if (strcmp (other->task, r->task) == 0 && g_strcmp0 (other->task_parameters, r->task_parameters) != 0)
        return TRUE;
    }
  return FALSE;
}

/* (transfer full) (element-type GStrv): rows of the table, chance levels and shortcuts last. */
static GPtrArray *
all_cells (FmResultsTable *table, gboolean marked)
{
  GPtrArray *rows = g_ptr_array_new_with_free_func ((GDestroyNotify) g_strfreev);
  g_autoptr (GHashTable) tasks = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; i < fm_results_table_get_n_rows (table); i++)
    g_ptr_array_add (rows, cells_of (table, fm_results_table_get_row (table, i), marked));
  for (guint i = 0; i < fm_results_table_get_n_rows (table); i++)
    {
      const FmVariantResult *r = fm_results_row_get (fm_results_table_get_row (table, i));
      gboolean first = g_hash_table_size (tasks) == 0;
      const char *parameters = has_sibling (table, r) ? r->task_parameters : "";
      g_autofree char *chance = NULL, *shortcut = NULL, *name = NULL;

      if (!g_hash_table_add (tasks, g_strconcat (r->task, " ", parameters, NULL)))
        continue;
      name = first ? g_strdup ("") : g_strconcat (", ", r->task, *parameters ? " " : "", parameters, NULL);
      chance = g_strconcat ("Chance level", name, NULL);
      shortcut = g_strconcat ("Best shortcut", name, NULL);
      if (isfinite (r->chance_level))
        g_ptr_array_add (rows, level_cells (chance, r->chance_level, marked));
      if (isfinite (r->best_shortcut_accuracy))
        g_ptr_array_add (rows, level_cells (shortcut, r->best_shortcut_accuracy, marked));
    }
  return rows;
}

static glong
columns_of (const char *text)
{
  glong columns = 0;

  for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p))
    columns += g_unichar_iszerowidth (g_utf8_get_char (p)) ? 0 : g_unichar_iswide (g_utf8_get_char (p)) ? 2 : 1;
  return columns;
}

static void
shorten (char **text, glong columns)
{
  char *cut;

  if (columns_of (*text) <= columns)
    return;
  cut = g_utf8_substring (*text, 0, columns - 1);
  g_free (*text);
  *text = g_strconcat (g_strchomp (cut), "…", NULL);
  g_free (cut);
}

static void
append_padded (GString *out, const char *text, glong width, gboolean right)
{
  glong pad = MAX (0, width - columns_of (text));

  if (right)
    g_string_append_printf (out, "%*s", (int) pad, "");
  g_string_append (out, text);
  if (!right)
    g_string_append_printf (out, "%*s", (int) pad, "");
}

static void
append_row (GString *out, char **cells, const glong *widths, const gboolean *shown)
{
  for (guint i = 0; i < N_COLUMNS; i++)
    if (shown[order[i]])
      {
        if (i > 0)
          g_string_append (out, "  ");
        append_padded (out, cells[order[i]], widths[order[i]], !is_words (order[i]));
      }
  while (out->len > 0 && out->str[out->len - 1] == ' ')
    g_string_truncate (out, out->len - 1);
  g_string_append_c (out, '\n');
}

char *
fm_results_table_to_text (FmResultsTable *table, guint width)
{
  g_autoptr (GPtrArray) rows = NULL;
  g_autofree char *statement = fm_results_table_statement (table), *held = fm_results_table_held_equal (table);
  g_autofree char *footnote = fm_results_table_footnote (table);
  g_autofree char *named = fm_results_table_comparisons_text (table), *tuning = fm_results_table_tuning_text (table);
  g_autofree char *scores = fm_results_table_scores_text (table);
  GString *out = g_string_new (NULL);
  glong widths[N_COLUMNS], total = 0;
  gboolean shown[N_COLUMNS];
  char *head[N_COLUMNS + 1] = { NULL };

  if (fm_results_table_get_n_rows (table) == 0)
    return g_string_free (g_string_append (out, "Nothing measured yet.\n"), FALSE);
  rows = all_cells (table, TRUE);
  for (guint c = 0; c < N_COLUMNS; c++)
    {
      gboolean filled = FALSE;

      head[c] = (char *) (c == NAME ? "  Variant" : c == VERDICT ? "  Against baseline" : titles[c]);
      widths[c] = columns_of (head[c]);
      for (guint r = 0; r < rows->len; r++)
        {
          char **cells = g_ptr_array_index (rows, r);

          widths[c] = MAX (widths[c], columns_of (cells[c]));
          filled |= *cells[c] != '\0' && strcmp (cells[c], "–") != 0;
        }
      shown[c] = filled;
      total += filled ? widths[c] + (c == NAME ? 0 : 2) : 0;
    }
  /* A long reason is cut before a number is left out; `inspect` and the report say it in full. */
  if (width > 0 && total > (glong) width && widths[VERDICT] > REASON_COLUMNS)
    {
      for (guint r = 0; r < rows->len; r++)
        shorten (&((char **) g_ptr_array_index (rows, r))[VERDICT], REASON_COLUMNS);
      total -= widths[VERDICT] - REASON_COLUMNS;
      widths[VERDICT] = REASON_COLUMNS;
    }
  for (guint i = 0; i < G_N_ELEMENTS (least) && width > 0 && total > (glong) width; i++)
    if (shown[least[i]])
      {
        shown[least[i]] = FALSE;
        total -= widths[least[i]] + 2;
      }
  g_string_append_printf (out, "%s: %s\n", fm_results_table_get_title (table), statement);
  if (*held != '\0')
    g_string_append_printf (out, "Held equal: %s\n", held);
  g_string_append_c (out, '\n');
  append_row (out, head, widths, shown);
  for (guint r = 0; r < rows->len; r++)
    append_row (out, g_ptr_array_index (rows, r), widths, shown);
  if (*named != '\0')
    g_string_append_printf (out, "\n%s", named);
  if (*scores != '\0')
    g_string_append_printf (out, "\n%s", scores);
  if (*tuning != '\0')
    g_string_append_printf (out, "\n%s", tuning);
  g_string_append_printf (out, "\n%s\n", footnote);
  return g_string_free (out, FALSE);
}

/* Lines as a list of Markdown. */
static void
append_list (GString *out, char *text)
{
  g_auto (GStrv) lines = g_strsplit (g_strchomp (text), "\n", -1);

  for (guint i = 0; lines[i] != NULL && *text != '\0'; i++)
    g_string_append_printf (out, "%s- %s\n", i == 0 ? "\n" : "", lines[i]);
}

char *
fm_results_table_to_markdown (FmResultsTable *table)
{
  g_autoptr (GPtrArray) rows = all_cells (table, FALSE);
  g_autofree char *sentence = fm_results_table_sentence (table), *held = fm_results_table_held_equal (table);
  g_autofree char *footnote = fm_results_table_footnote (table);
  g_autofree char *named = fm_results_table_comparisons_text (table), *tuning = fm_results_table_tuning_text (table);
  g_autofree char *scores = fm_results_table_scores_text (table);
  GString *out = g_string_new (NULL);

  g_string_append_printf (out, "# %s\n\n%s\n\n", fm_results_table_get_title (table), sentence);
  if (*held != '\0')
    g_string_append_printf (out, "Held equal: %s.\n\n", held);
  for (guint i = 0; i < N_COLUMNS; i++)
    g_string_append_printf (out, "| %s ", titles[order[i]]);
  g_string_append (out, "|\n");
  for (guint i = 0; i < N_COLUMNS; i++)
    g_string_append (out, is_words (order[i]) ? "| --- " : "| ---: ");
  g_string_append (out, "|\n");
  for (guint r = 0; r < rows->len; r++)
    {
      char **cells = g_ptr_array_index (rows, r);

      for (guint i = 0; i < N_COLUMNS; i++)
        {
          g_auto (GStrv) parts = g_strsplit (g_strstrip (cells[order[i]]), "|", -1);
          g_autofree char *safe = g_strjoinv ("\\|", parts);

          g_string_append_printf (out, "| %s%s", safe, *safe != '\0' ? " " : "");
        }
      g_string_append (out, "|\n");
    }
  append_list (out, named);
  append_list (out, scores);
  append_list (out, tuning);
  g_string_append_printf (out, "\n%s\n", footnote);
  return g_string_free (out, FALSE);
}
