/* results-private.h: inside app/results only (tests excepted). */
#pragma once

#include "app/batch/judging.h"
#include "app/results/results.h"

G_BEGIN_DECLS

GPtrArray  *fm_results_table_peek_runs       (FmResultsTable *table);
/* @sentence (transfer full) */
void        fm_results_table_set_held_equal  (FmResultsTable *table, char *sentence);
const char *fm_results_table_peek_held_equal (FmResultsTable *table);

/* Reads the recipes of the training stages and sets the sentence. */
gboolean    fm_results_table_find_held_equal (FmResultsTable *table, FmStore *store, GError **error);

/* When a training stage ended (0: it did not); from its record. */
void        fm_results_table_set_ended       (FmResultsTable *table, const char *stage, gint64 ended_us);
gint64      fm_results_table_get_ended       (FmResultsTable *table, const char *stage);

GPtrArray  *fm_results_row_peek_runs         (FmResultsRow *row);
void        fm_results_row_set_chosen        (FmResultsRow *row, const char *chosen);
void        fm_results_row_set_scores        (FmResultsRow *row, const char *scores);
/* (transfer none): how the batch of @row is judged; defaults where no store was asked. */
const FmBatchJudging *fm_results_table_peek_judging (FmResultsTable *table, gint64 batch_id);

/* --- results-judge.c: verdicts of a table whose rows are filled and whose baselines are chosen --- */

/* What a verdict must know beyond the rows of its batch. */
typedef struct
{
  FmBatchJudging *judging;
  gint64          created_us; /* 0: unknown, so that no seed is old */
} FmBatchContext;

/* @store (nullable): where earlier looks at the same seeds are found */
gboolean    fm_results_judge (FmResultsTable *table, FmStore *store, GError **error);
/**
 * fm_results_estimate_pair: for claims, which test against bounds of their own.
 * @column: offset of a score in FmResultRow
 * @comparison: (out): difference, error, df and spread in the layout of the ground, on the seeds that a verdict of the
 *   table would be given on; no verdict
 */
gboolean    fm_results_estimate_pair (FmResultsTable *table, FmStore *store, FmResultsRow *row, FmResultsRow *reference,
                                      gsize column, FmResultsComparison *comparison, GError **error);
/* results-costs.c: the same for latency and memory, whose comparisons are those of @table. */
gboolean    fm_results_judge_costs (FmResultsTable *table, FmStore *store, GError **error);
/* In results.c, for the judges alone. */
FmVariantResult      *fm_results_row_edit (FmResultsRow *row);
const FmBatchContext *fm_results_table_peek_context (FmResultsTable *table, gint64 batch_id);
GArray               *fm_results_table_peek_comparisons (FmResultsTable *table); /* FmResultsComparison */
gboolean              fm_results_same_ground (const FmVariantResult *a, const FmVariantResult *b);

G_END_DECLS
