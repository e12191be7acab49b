/* results.h: what a batch found, as people read it: one row a variant, with intervals over seeds, costs, and a verdict
 * against the baseline. Made from the store's rows; window, terminal and report all show these objects.
 *
 * Use the store's FmResultRow (one row a run) for exports of raw numbers, and this for statements. */
#pragma once

#include <gio/gio.h>

#include "app/results/artifacts.h"
#include "app/results/modes.h"
#include "app/results/statistics.h"
#include "storage/storage.h"

G_BEGIN_DECLS

/* --- One variant on one task and device ---------------------------------------------------------------------------*/

/* Owned by its row, never changed after the table was made. Missing numbers: NAN, or -1 in integers. */
typedef struct
{
  gint64      batch_id;
  const char *batch; /* all texts: no ownership beyond the row */
  const char *variant;     /* as the batch names it: "local-attention x mlp, window=8" */
  const char *title;       /* for tables: "local-attention window=8", "softmax-attention × switch" */
  const char *label;       /* for figures, short: "baseline", "local", "switch" */
  const char *mixer, *feedforward, *mixer_parameters, *feedforward_parameters;
  const char *task, *task_parameters, *device, *device_name;
  gint        index; /* of colour and marker: 0 baseline, 1, 2, ...; FM_VARIANT_FAILED is not used here */
  gboolean    baseline;

  guint       seeds;    /* asked for */
  guint       done;
  guint       failed;   /* failed or diverged */
  guint       diverged; /* of those; one is enough for FAIL */
  guint       skipped;  /* data absent, say */
  const char *reason;   /* of the first failure, skip or cancel: "diverged at step 212 in layers.0.mixer"; or NULL */

  FmEstimate  accuracy; /* 0..1, over the seeds that are done */
  FmEstimate  validation_accuracy;
  FmEstimate  loss_nats;
  FmEstimate  difference; /* accuracy minus the baseline's; interval at 95 % adjusted for the batch's comparisons */
  FmVerdict   verdict;    /* of the first comparison that has this variant on its left */
  const char *against;    /* title of what it was compared with, NULL: the baseline */
  guint       more_seeds; /* about how many more would decide; 0 = unknown, more than FM_MORE_SEEDS_MAX: many */
  guint       new_seeds;  /* judged on these alone, since earlier verdicts had seen the others; 0: on all */
  gdouble     accuracy_margin, latency_margin, memory_margin; /* what the batch says counts as equal; shares of 1 */

  gdouble     latency_us_median, latency_us_p95; /* medians over seeds, batch of 1 */
  gdouble     latency_ratio, memory_ratio;       /* to what it was compared with; memory: of the measuring processes */
  FmVerdict   latency_verdict, memory_verdict;   /* undecided, too, where no two blocks were shared; see results-costs.c */
  gdouble     latency_ratio_low, latency_ratio_high; /* 95 % over blocks, adjusted for the batch's comparisons; or NAN */
  gdouble     memory_ratio_low, memory_ratio_high;
  guint       latency_blocks; /* fresh processes that measured it, over all seeds; 0: unknown */
  guint       paired_blocks;  /* behind the intervals */
  guint       more_blocks;    /* latency undecided: about so many would decide; as more_seeds */
  gboolean    unstable;       /* after the most blocks there are, its latency ratio was not known as well as asked for */
  gdouble     throughput_per_s;
  gdouble     train_s; /* mean over seeds */
  gint64      planned_peak_bytes, measured_peak_bytes; /* of training, largest over seeds */
  gint64      inference_planned_peak_bytes, inference_measured_peak_bytes;
  gint64      parameters;
  gint64      parameters_by_n; /* of them: those whose number depends on the length N */
  const char *scores;          /* (nullable): of a mixture's tasks, test accuracy: "mqar 93.1 %, listops 41.0 %" */
  gint64      trials;          /* behind its settings; -1: they were not tuned */
  const char *chosen;          /* (nullable): "rate=0.003, decay=0.01", what the trials chose */
  gdouble     flops; /* forward, one example */
  gdouble     chance_level, best_shortcut_accuracy; /* of the task, 0..1 */
  gint64      fallbacks;

  gsize         n_runs;
  const gint64 *run_ids; /* [n_runs], by seed */
  const gint64 *run_seeds;
  const char *const *run_states;
  const char *const *train_stages; /* NULL entries where there is none */
  const char *const *measure_stages;
} FmVariantResult;

#define FM_TYPE_RESULTS_ROW (fm_results_row_get_type ())
FM_API G_DECLARE_FINAL_TYPE (FmResultsRow, fm_results_row, FM, RESULTS_ROW, GObject)

/** fm_results_row_get: (transfer none): lives as long as the row. */
FM_API const FmVariantResult *fm_results_row_get (FmResultsRow *row);

/** fm_results_row_verdict_text: (transfer full): "better", "undecided, 4 more seeds", "diverged at step 212 in ...",
 * "baseline", "2 of 3 seeds so far". */
FM_API char *fm_results_row_verdict_text (FmResultsRow *row);

/** fm_results_row_seeds_text: (transfer full): "3 of 3". */
FM_API char *fm_results_row_seeds_text (FmResultsRow *row);

/** fm_results_row_first_done: (nullable): id of the stage of @kind (FM_STAGE_KIND_*) of the first seed that is done. */
FM_API const char *fm_results_row_first_done (FmResultsRow *row, const char *kind);

/** fm_results_row_latency_text, fm_results_row_memory_text: (transfer full): "1.59× [1.52, 1.66] worse", "1.02× [0.97,
 * 1.08] undecided, about 14 blocks, unstable"; "" where nothing was compared. */
FM_API char *fm_results_row_latency_text (FmResultsRow *row);
FM_API char *fm_results_row_memory_text  (FmResultsRow *row);

/* --- All of a batch -----------------------------------------------------------------------------------------------*/

/* A GListModel of FmResultsRow in the order of the batch. */
#define FM_TYPE_RESULTS_TABLE (fm_results_table_get_type ())
FM_API G_DECLARE_FINAL_TYPE (FmResultsTable, fm_results_table, FM, RESULTS_TABLE, GObject)

/**
 * fm_results_table_new:
 * @rows: (element-type FmResultRow): runs, all of one batch or of several
 *
 * Seeds of one variant on one task and device become one row. The baseline of a task and device is the first variant
 * of the batch that mixes with softmax-attention, else the first variant.
 */
FM_API FmResultsTable *fm_results_table_new (GPtrArray *rows);

/** fm_results_table_load: @batch as in fm_store_load_results(); reads stages too, for what was held equal. */
FM_API FmResultsTable *fm_results_table_load (FmStore *store, gint64 batch, GError **error) G_GNUC_WARN_UNUSED_RESULT;

FM_API FmResultsRow *fm_results_table_get_row      (FmResultsTable *table, guint index); /* (transfer none) */
FM_API guint         fm_results_table_get_n_rows   (FmResultsTable *table);
/** fm_results_table_get_baseline: (transfer none) (nullable): the baseline that @row is compared with. */
FM_API FmResultsRow *fm_results_table_get_baseline (FmResultsTable *table, FmResultsRow *row);
FM_API const char   *fm_results_table_get_title    (FmResultsTable *table);

typedef enum { FM_COMPARED_LATENCY, FM_COMPARED_MEMORY, FM_N_COMPARED } FmComparedCost;

/* One comparison that the batch names: by itself each variant against the baseline, or what compare= says. */
typedef struct
{
  FmResultsRow *row, *reference; /* no ref: the table keeps them */
  FmComparison  comparison;
  FmComparison  costs[FM_N_COMPARED]; /* of logs: exp() gives ratios; n: blocks that both share */
  FmSpread      spread; /* of the matrix (task and device) it was judged in; all 0 when it was not */
  guint         new_seeds; /* as in FmVariantResult */
  guint         look, looks; /* "look 2 of 3"; 1 of 1 without looks= */
} FmResultsComparison;

/** fm_results_table_get_comparisons: (transfer none) (array length=n): in the order of the batch. */
FM_API const FmResultsComparison *fm_results_table_get_comparisons (FmResultsTable *table, guint *n);

/* Sentences, all (transfer full). */
/** "1 better, 1 equal, 1 worse, 1 undecided, 1 failed" */
FM_API char *fm_results_table_statement (FmResultsTable *table);
/** "Against softmax-attention on fashion-mnist, one variant is better, one equal, one worse; one is undecided and one
 * failed." */
FM_API char *fm_results_table_sentence (FmResultsTable *table);
/** "18 runs, 16 done, 2 failed" */
FM_API char *fm_results_table_counts (FmResultsTable *table);
/** "1,000 steps of 64, 2 layers, width 64, parameters within 1 %"; "" when nothing is known to be equal */
FM_API char *fm_results_table_held_equal (FmResultsTable *table);
/** A line a variant on a mixture of tasks: "softmax-attention: mqar 93.1 %, listops 41.0 %"; "" without. */
FM_API char *fm_results_table_scores_text (FmResultsTable *table);
/** A line a tuned variant: "softmax-attention: rate=0.003, decay=0.01, best of 6 trials on validation"; "" without. */
FM_API char *fm_results_table_tuning_text (FmResultsTable *table);
/** What stands behind the verdicts: layout, margin, family, looks, and what was left out. */
FM_API char *fm_results_table_footnote (FmResultsTable *table);
/** One line a comparison where the batch names them itself, "" otherwise: "pooling against local-attention: better, 1.2
 * points [0.3, 2.1]". */
FM_API char *fm_results_table_comparisons_text (FmResultsTable *table);

/* --- As text ------------------------------------------------------------------------------------------------------*/

/**
 * fm_results_table_to_text:
 * @width: columns of the terminal; columns that do not fit are left out from the right; 0 = as wide as it needs
 *
 * Returns: (transfer full): aligned UTF-8 with the statement above it; ends with a newline
 */
FM_API char *fm_results_table_to_text (FmResultsTable *table, guint width);

/** fm_results_table_to_markdown: (transfer full): the same as a table of Markdown, with title and sentences. */
FM_API char *fm_results_table_to_markdown (FmResultsTable *table);

/* One object or line a run, fields named as the columns of the view, units included; missing is null or empty. */
/** fm_results_rows_to_json: @rows (element-type FmResultRow). */
FM_API char *fm_results_rows_to_json (GPtrArray *rows);
FM_API char *fm_results_rows_to_csv  (GPtrArray *rows);
/* The same with what was measured beside: a member "modes" of objects, in JSON; columns as decode_1024_tokens_per_s in CSV.
 * @modes: of these runs; without any both give what the two above give. */
FM_API char *fm_results_rows_and_modes_to_json (GPtrArray *rows, const FmModeList *modes);
FM_API char *fm_results_rows_and_modes_to_csv  (GPtrArray *rows, const FmModeList *modes);

/* --- What lies behind a row ---------------------------------------------------------------------------------------*/

/* A learning curve of one variant over its seeds. */
typedef struct
{
  FmResultsRow *row; /* owned */
  gsize         n;
  gdouble      *x; /* steps */
  FmEstimate   *y;
} FmResultsCurve;

FM_API void fm_results_curve_free (FmResultsCurve *curve);

/**
 * fm_results_load_curves:
 * @name: "loss", "validation_accuracy", ...
 *
 * Returns: (transfer full) (element-type FmResultsCurve): a curve for each row that has points; at a step the mean is
 * over the seeds that have one there
 */
FM_API GPtrArray *fm_results_load_curves (FmStore *store, FmResultsTable *table, const char *name, GError **error);

/** fm_results_load_maps: the attention maps that a measuring stage left; FM_STORAGE_ERROR_ABSENT when it left none. */
FM_API FmMaps    *fm_results_load_maps    (FmStore *store, const char *measure_stage, GError **error);
/** fm_results_load_routing: likewise; @train_stage (nullable) adds the load over training from its curve. */
FM_API FmRouting *fm_results_load_routing (FmStore *store, const char *measure_stage, const char *train_stage,
                                           GError **error);

G_END_DECLS
