/* results.c: runs of a batch grouped into variants, and the verdicts. */
#include "app/results/results.h"

#include <math.h>
#include <string.h>

#include "app/results/results-private.h"

struct _FmResultsRow
{
  GObject         parent_instance;
  FmVariantResult result;
  GPtrArray      *runs;    /* FmResultRow, no ref: the table keeps them */
  GStringChunk   *strings; /* owned: texts made here */
  GArray         *ids, *seeds;
  GPtrArray      *states, *train, *measure;
};

G_DEFINE_FINAL_TYPE (FmResultsRow, fm_results_row, G_TYPE_OBJECT)

static void
fm_results_row_finalize (GObject *object)
{
  FmResultsRow *row = FM_RESULTS_ROW (object);

  g_ptr_array_unref (row->runs);
  g_string_chunk_free (row->strings);
  g_array_unref (row->ids);
  g_array_unref (row->seeds);
  g_ptr_array_unref (row->states);
  g_ptr_array_unref (row->train);
  g_ptr_array_unref (row->measure);
  G_OBJECT_CLASS (fm_results_row_parent_class)->finalize (object);
}

static void
fm_results_row_class_init (FmResultsRowClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = fm_results_row_finalize;
}

static void
fm_results_row_init (FmResultsRow *row)
{
  row->runs = g_ptr_array_new ();
  row->strings = g_string_chunk_new (256);
  row->ids = g_array_new (FALSE, FALSE, sizeof (gint64));
  row->seeds = g_array_new (FALSE, FALSE, sizeof (gint64));
  row->states = g_ptr_array_new ();
  row->train = g_ptr_array_new ();
  row->measure = g_ptr_array_new ();
}

const FmVariantResult *
fm_results_row_get (FmResultsRow *row)
{
  g_return_val_if_fail (FM_IS_RESULTS_ROW (row), NULL);
  return &row->result;
}

/* --- The table ----------------------------------------------------------------------------------------------------*/

struct _FmResultsTable
{
  GObject    parent_instance;
  GPtrArray *rows;    /* FmResultsRow */
  GPtrArray *runs;    /* FmResultRow, owned */
  char      *held_equal; /* from the stages, or NULL */

  GHashTable *contexts;    /* batch id (gint64 *) -> FmBatchContext */
  GHashTable *ended;       /* stage id -> gint64 *, microseconds */
  GArray     *comparisons; /* FmResultsComparison */
};

static GType
get_item_type (GListModel *list)
{
  return FM_TYPE_RESULTS_ROW;
}

static guint
get_n_items (GListModel *list)
{
  return FM_RESULTS_TABLE (list)->rows->len;
}

static gpointer
get_item (GListModel *list, guint position)
{
  FmResultsTable *table = FM_RESULTS_TABLE (list);

  return position < table->rows->len ? g_object_ref (g_ptr_array_index (table->rows, position)) : NULL;
}

static void
list_model_init (GListModelInterface *iface)
{
  iface->get_item_type = get_item_type;
  iface->get_n_items = get_n_items;
  iface->get_item = get_item;
}

G_DEFINE_FINAL_TYPE_WITH_CODE (FmResultsTable, fm_results_table, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_LIST_MODEL, list_model_init))

static void
context_free (FmBatchContext *context)
{
  fm_batch_judging_free (context->judging);
  g_free (context);
}

static void
fm_results_table_finalize (GObject *object)
{
  FmResultsTable *table = FM_RESULTS_TABLE (object);

  g_ptr_array_unref (table->rows);
  g_ptr_array_unref (table->runs);
  g_free (table->held_equal);
  g_hash_table_unref (table->contexts);
  g_hash_table_unref (table->ended);
  g_array_unref (table->comparisons);
  G_OBJECT_CLASS (fm_results_table_parent_class)->finalize (object);
}

static void
fm_results_table_class_init (FmResultsTableClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = fm_results_table_finalize;
}

static void
fm_results_table_init (FmResultsTable *table)
{
  table->rows = g_ptr_array_new_with_free_func (g_object_unref);
  table->runs = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_result_row_free);
  table->contexts = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, (GDestroyNotify) context_free);
  table->ended = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  table->comparisons = g_array_new (FALSE, TRUE, sizeof (FmResultsComparison));
}

FmResultsRow *
fm_results_table_get_row (FmResultsTable *table, guint index)
{
  g_return_val_if_fail (index < table->rows->len, NULL);
  return g_ptr_array_index (table->rows, index);
}

guint
fm_results_table_get_n_rows (FmResultsTable *table)
{
  return table->rows->len;
}

const char *
fm_results_table_get_title (FmResultsTable *table)
{
  const char *title = table->rows->len > 0 ? fm_results_table_get_row (table, 0)->result.batch : NULL;

  return title != NULL ? title : "Results";
}

/* Scores compare within one batch, on the same data (mqar of another length is another task), on one device. */
gboolean
fm_results_same_ground (const FmVariantResult *a, const FmVariantResult *b)
{
  return a->batch_id == b->batch_id && g_strcmp0 (a->task, b->task) == 0
         && g_strcmp0 (a->task_parameters, b->task_parameters) == 0 && g_strcmp0 (a->device, b->device) == 0;
}

FmResultsRow *
fm_results_table_get_baseline (FmResultsTable *table, FmResultsRow *row)
{
  for (guint i = 0; i < table->rows->len; i++)
    {
      FmResultsRow *other = fm_results_table_get_row (table, i);

      if (other->result.baseline && fm_results_same_ground (&other->result, &row->result))
        return other;
    }
  return NULL;
}

void
fm_results_table_set_held_equal (FmResultsTable *table, char *sentence)
{
  g_free (table->held_equal);
  table->held_equal = sentence;
}

const char *
fm_results_table_peek_held_equal (FmResultsTable *table)
{
  return table->held_equal;
}

GPtrArray *
fm_results_table_peek_runs (FmResultsTable *table)
{
  return table->runs;
}

/* --- Grouping -----------------------------------------------------------------------------------------------------*/

static gboolean
is_done (const FmResultRow *run)
{
  return g_strcmp0 (run->state, "done") == 0;
}

static gboolean
is_failed (const FmResultRow *run)
{
  return g_strcmp0 (run->state, "failed") == 0 || g_strcmp0 (run->state, "diverged") == 0;
}

static FmResultsRow *
row_for (FmResultsTable *table, const FmResultRow *run)
{
  FmResultsRow *row;

  for (guint i = 0; i < table->rows->len; i++)
    {
      row = fm_results_table_get_row (table, i);
      if (row->result.batch_id == run->batch_id && g_strcmp0 (row->result.variant, run->variant) == 0 &&
          g_strcmp0 (row->result.task, run->task) == 0 && g_strcmp0 (row->result.device, run->device) == 0 &&
          g_strcmp0 (row->result.task_parameters, run->task_parameters) == 0)
        return row;
    }
  row = g_object_new (FM_TYPE_RESULTS_ROW, NULL);
  row->result.batch_id = run->batch_id;
  row->result.batch = run->batch;
  row->result.variant = run->variant != NULL ? run->variant : "";
  row->result.mixer = run->mixer != NULL ? run->mixer : "";
  row->result.feedforward = run->feedforward != NULL ? run->feedforward : "";
  row->result.mixer_parameters = run->mixer_parameters;
  row->result.feedforward_parameters = run->feedforward_parameters;
  row->result.task = run->task != NULL ? run->task : "";
  row->result.task_parameters = run->task_parameters;
  row->result.device = run->device != NULL ? run->device : "";
  row->result.device_name = run->device_name;
  g_ptr_array_add (table->rows, row);
  return row;
}

/* The values of one column over the seeds that are done. */
static gdouble *
done_values (FmResultsRow *row, gsize offset)
{
  gdouble *values = g_new (gdouble, row->runs->len + 1);

  for (guint i = 0; i < row->runs->len; i++)
    {
      const FmResultRow *run = g_ptr_array_index (row->runs, i);

      values[i] = is_done (run) ? G_STRUCT_MEMBER (gdouble, run, offset) : NAN;
    }
  return values;
}

static FmEstimate
estimate_of (FmResultsRow *row, gsize offset)
{
  g_autofree gdouble *values = done_values (row, offset);

  return fm_estimate (values, row->runs->len, 0.95);
}

static gdouble
median_of (FmResultsRow *row, gsize offset)
{
  g_autofree gdouble *values = done_values (row, offset);

  return fm_quantile (values, row->runs->len, 0.5);
}

static gint64
largest_of (FmResultsRow *row, gsize offset)
{
  gint64 most = -1;

  for (guint i = 0; i < row->runs->len; i++)
    most = MAX (most, G_STRUCT_MEMBER (gint64, g_ptr_array_index (row->runs, i), offset));
  return most;
}

static void
set_reason (FmResultsRow *row, const FmResultRow *run)
{
  FmVariantResult *r = &row->result;

  if (r->reason != NULL)
    return;
  if (g_strcmp0 (run->state, "diverged") == 0 && run->diverged_step >= 0)
    {
      g_autofree char *text = g_strdup_printf ("diverged at step %" G_GINT64_FORMAT "%s%s", run->diverged_step,
                                               run->diverged_tensor != NULL ? " in " : "",
                                               run->diverged_tensor != NULL ? run->diverged_tensor : "");

      r->reason = g_string_chunk_insert (row->strings, text);
    }
  else
    r->reason = run->reason;
}

static int
by_seed (gconstpointer a, gconstpointer b)
{
  const FmResultRow *x = *(const FmResultRow *const *) a, *y = *(const FmResultRow *const *) b;

  return (x->seed > y->seed) - (x->seed < y->seed);
}

#define COLUMN(field) G_STRUCT_OFFSET (FmResultRow, field)

static void
fill_row (FmResultsRow *row)
{
  FmVariantResult *r = &row->result;
  const FmResultRow *first;

  g_ptr_array_sort (row->runs, by_seed);
  first = g_ptr_array_index (row->runs, 0);
  for (guint i = 0; i < row->runs->len; i++)
    {
      const FmResultRow *run = g_ptr_array_index (row->runs, i);

      g_array_append_val (row->ids, run->run_id);
      g_array_append_val (row->seeds, run->seed);
      g_ptr_array_add (row->states, run->state != NULL ? run->state : (char *) "planned");
      g_ptr_array_add (row->train, run->train_stage);
      g_ptr_array_add (row->measure, run->measure_stage);
      r->done += is_done (run);
      r->failed += is_failed (run);
      r->diverged += g_strcmp0 (run->state, "diverged") == 0;
      r->skipped += g_strcmp0 (run->state, "skipped") == 0;
      if (is_failed (run))
        set_reason (row, run);
      if (run->fallbacks > 0)
        r->fallbacks += run->fallbacks;
      if (run->latency_blocks > 0)
        r->latency_blocks += run->latency_blocks;
      r->unstable |= run->unstable == 1;
    }
  for (guint i = 0; i < row->runs->len; i++) /* a failure's reason comes before a skip's */
    set_reason (row, g_ptr_array_index (row->runs, i));
  r->seeds = row->runs->len;
  r->n_runs = row->runs->len;
  r->run_ids = (const gint64 *) (gpointer) row->ids->data;
  r->run_seeds = (const gint64 *) (gpointer) row->seeds->data;
  r->run_states = (const char *const *) row->states->pdata;
  r->train_stages = (const char *const *) row->train->pdata;
  r->measure_stages = (const char *const *) row->measure->pdata;
  r->accuracy = estimate_of (row, COLUMN (test_accuracy));
  r->validation_accuracy = estimate_of (row, COLUMN (validation_accuracy));
  r->loss_nats = estimate_of (row, COLUMN (test_loss_nats));
  r->latency_us_median = median_of (row, COLUMN (latency_us_median));
  r->latency_us_p95 = median_of (row, COLUMN (latency_us_p95));
  r->throughput_per_s = median_of (row, COLUMN (throughput_per_s));
  r->train_s = estimate_of (row, COLUMN (train_s)).mean;
  r->planned_peak_bytes = largest_of (row, COLUMN (planned_peak_bytes));
  r->measured_peak_bytes = largest_of (row, COLUMN (measured_peak_bytes));
  r->inference_planned_peak_bytes = largest_of (row, COLUMN (inference_planned_peak_bytes));
  r->inference_measured_peak_bytes = largest_of (row, COLUMN (inference_measured_peak_bytes));
  r->parameters = largest_of (row, COLUMN (parameters));
  r->parameters_by_n = largest_of (row, COLUMN (parameters_by_n));
  r->trials = largest_of (row, COLUMN (trials));
  r->flops = NAN;
  for (guint i = 0; i < row->runs->len && isnan (r->flops); i++)
    r->flops = ((const FmResultRow *) g_ptr_array_index (row->runs, i))->flops;
  r->chance_level = first->chance_level;
  r->best_shortcut_accuracy = first->best_shortcut_accuracy;
  r->difference = FM_ESTIMATE_NONE;
  r->latency_ratio = r->memory_ratio = NAN;
  r->latency_ratio_low = r->latency_ratio_high = r->memory_ratio_low = r->memory_ratio_high = NAN;
  /* A variant that diverges is not ranked by the seeds on which it did not. Other failures (a crash, no memory) leave
   * a hole in the layout; the judge sees to it that no word prefers a variant for its holes. */
  r->verdict = r->diverged > 0 || (r->failed > 0 && r->failed == r->seeds) ? FM_VERDICT_FAIL : FM_VERDICT_NONE;
}

/* --- Baseline, colours, names -------------------------------------------------------------------------------------*/

static void
choose_baselines (FmResultsTable *table)
{
  for (guint i = 0; i < table->rows->len; i++)
    {
      FmVariantResult *first = &fm_results_table_get_row (table, i)->result;
      FmVariantResult *chosen = first;

      for (guint k = 0; k < i && chosen != NULL; k++)
        if (fm_results_same_ground (&fm_results_table_get_row (table, k)->result, first))
          chosen = NULL; /* this ground has been seen to */
      if (chosen == NULL)
        continue;
      for (guint k = table->rows->len; k-- > i;)
        {
          FmVariantResult *other = &fm_results_table_get_row (table, k)->result;

          if (fm_results_same_ground (other, first) && strcmp (other->mixer, "softmax-attention") == 0)
            chosen = other;
        }
      chosen->baseline = TRUE;
    }
}

/* The variant's name without what only says on which task it is: "linear-attention x mlp, length=128" at every length.
 * (transfer full) */
static char *
name_over_tasks (const FmVariantResult *r)
{
  g_auto (GStrv) parts = g_strsplit (r->variant, ", ", -1);
  g_auto (GStrv) task = g_strsplit (r->task_parameters != NULL ? r->task_parameters : "", " ", -1);
  g_autoptr (GString) name = g_string_new (parts[0]);

  for (gsize i = 1; parts[0] != NULL && parts[i] != NULL; i++)
    if (!g_strv_contains ((const char *const *) task, parts[i]))
      g_string_append_printf (name, ", %s", parts[i]);
  return g_string_free (g_steal_pointer (&name), FALSE);
}

/* A variant keeps its colour over tasks, their lengths and devices. */
static void
choose_indices (FmResultsTable *table)
{
  g_autoptr (GHashTable) known = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; i < table->rows->len; i++)
    {
      FmVariantResult *r = &fm_results_table_get_row (table, i)->result;

      if (r->baseline)
        g_hash_table_insert (known, name_over_tasks (r), GINT_TO_POINTER (0));
    }
  for (guint i = 0, next = 1; i < table->rows->len; i++)
    {
      FmVariantResult *r = &fm_results_table_get_row (table, i)->result;
      g_autofree char *name = name_over_tasks (r);

      if (!g_hash_table_contains (known, name))
        g_hash_table_insert (known, g_strdup (name), GINT_TO_POINTER (next++));
      r->index = GPOINTER_TO_INT (g_hash_table_lookup (known, name));
    }
}

/* What the batch's name of a variant says after the pair of plugins: "window=8", or NULL. */
static const char *
setting_of (const FmVariantResult *r)
{
  const char *comma = strstr (r->variant, ", ");

  return comma != NULL ? comma + 2 : NULL;
}

static char *
short_mixer (const char *mixer)
{
  return g_str_has_suffix (mixer, "-attention") ? g_strndup (mixer, strlen (mixer) - strlen ("-attention"))
                                                : g_strdup (mixer);
}

static void
name_row (FmResultsTable *table, FmResultsRow *row)
{
  FmVariantResult *r = &row->result;
  FmResultsRow *base = fm_results_table_get_baseline (table, row);
  const char *setting = setting_of (r);
  gboolean same_mixer = base != NULL && strcmp (base->result.mixer, r->mixer) == 0;
  gboolean same_feedforward = base != NULL && strcmp (base->result.feedforward, r->feedforward) == 0;
  g_autofree char *mixer = short_mixer (r->mixer), *title = NULL, *label = NULL;

  title = g_strconcat (r->mixer, same_feedforward || *r->feedforward == '\0' ? "" : " × ",
                       same_feedforward ? "" : r->feedforward, setting != NULL ? " " : "",
                       setting != NULL ? setting : "", NULL);
  r->title = g_string_chunk_insert (row->strings, title);
  if (r->baseline)
    label = g_strdup ("baseline");
  else if (same_mixer && same_feedforward && setting != NULL)
    label = g_strdup (setting);
  else if (same_mixer && !same_feedforward)
    label = g_strconcat (r->feedforward, setting != NULL ? " " : "", setting != NULL ? setting : "", NULL);
  else
    label = g_strconcat (mixer, same_feedforward ? "" : " × ", same_feedforward ? "" : r->feedforward,
                         setting != NULL ? " " : "", setting != NULL ? setting : "", NULL);
  r->label = g_string_chunk_insert (row->strings, label);
}

/* --- What the judge asks for --------------------------------------------------------------------------------------*/

GPtrArray *
fm_results_row_peek_runs (FmResultsRow *row)
{
  return row->runs;
}

FmVariantResult *
fm_results_row_edit (FmResultsRow *row)
{
  return &row->result;
}

void
fm_results_row_set_chosen (FmResultsRow *row, const char *chosen)
{
  row->result.chosen = g_string_chunk_insert (row->strings, chosen);
}

void
fm_results_row_set_scores (FmResultsRow *row, const char *scores)
{
  row->result.scores = g_string_chunk_insert (row->strings, scores);
}

void
fm_results_table_set_ended (FmResultsTable *table, const char *stage, gint64 ended_us)
{
  g_hash_table_insert (table->ended, g_strdup (stage), g_memdup2 (&ended_us, sizeof ended_us));
}

gint64
fm_results_table_get_ended (FmResultsTable *table, const char *stage)
{
  const gint64 *ended_us = stage != NULL ? g_hash_table_lookup (table->ended, stage) : NULL;

  return ended_us != NULL ? *ended_us : 0;
}

const FmBatchContext *
fm_results_table_peek_context (FmResultsTable *table, gint64 batch_id)
{
  FmBatchContext *context = g_hash_table_lookup (table->contexts, &batch_id);

  if (context == NULL)
    {
      context = g_new0 (FmBatchContext, 1);
      context->judging = fm_batch_judging_new ();
      g_hash_table_insert (table->contexts, g_memdup2 (&batch_id, sizeof batch_id), context);
    }
  return context;
}

const FmBatchJudging *
fm_results_table_peek_judging (FmResultsTable *table, gint64 batch_id)
{
  return fm_results_table_peek_context (table, batch_id)->judging;
}

GArray *
fm_results_table_peek_comparisons (FmResultsTable *table)
{
  return table->comparisons;
}

const FmResultsComparison *
fm_results_table_get_comparisons (FmResultsTable *table, guint *n)
{
  *n = table->comparisons->len;
  return (const FmResultsComparison *) (gpointer) table->comparisons->data;
}

/* How each batch of the table is judged, and since when. */
static gboolean
load_contexts (FmResultsTable *table, FmStore *store, GError **error)
{
  for (guint i = 0; i < table->runs->len; i++)
    {
      gint64 id = ((const FmResultRow *) g_ptr_array_index (table->runs, i))->batch_id;
      g_autoptr (FmBatchRecord) record = NULL;
      FmBatchContext *context;

      if (g_hash_table_contains (table->contexts, &id))
        continue;
      record = fm_store_load_batch (store, id, error);
      if (record == NULL)
        return FALSE;
      context = g_new0 (FmBatchContext, 1);
      context->judging = fm_batch_judging_from_text (record->text);
      context->created_us = record->created_us;
      g_hash_table_insert (table->contexts, g_memdup2 (&id, sizeof id), context);
    }
  return TRUE;
}

static FmResultsTable *
table_take_runs (GPtrArray *runs)
{
  FmResultsTable *table = g_object_new (FM_TYPE_RESULTS_TABLE, NULL);

  g_ptr_array_unref (table->runs);
  table->runs = runs;
  for (guint i = 0; i < runs->len; i++)
    {
      FmResultRow *run = g_ptr_array_index (runs, i);

      g_ptr_array_add (row_for (table, run)->runs, run);
    }
  for (guint i = 0; i < table->rows->len; i++)
    fill_row (fm_results_table_get_row (table, i));
  choose_baselines (table);
  choose_indices (table);
  for (guint i = 0; i < table->rows->len; i++)
    name_row (table, fm_results_table_get_row (table, i));
  return table;
}

/* The table outlives the caller's list, so it keeps copies. */
static FmResultRow *
copy_run (const FmResultRow *run)
{
  FmResultRow *copy = g_memdup2 (run, sizeof *run);

  for (const FmResultField *field = fm_result_fields (); field->name != NULL; field++)
    if (field->type == FM_RESULT_TEXT)
      G_STRUCT_MEMBER (char *, copy, field->offset) = g_strdup (G_STRUCT_MEMBER (char *, run, field->offset));
  return copy;
}

FmResultsTable *
fm_results_table_new (GPtrArray *rows)
{
  GPtrArray *runs = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_result_row_free);
  FmResultsTable *table;

  for (guint i = 0; i < rows->len; i++)
    g_ptr_array_add (runs, copy_run (g_ptr_array_index (rows, i)));
  table = table_take_runs (runs);
  fm_results_judge (table, NULL, NULL);
  return table;
}

FmResultsTable *
fm_results_table_load (FmStore *store, gint64 batch, GError **error)
{
  GPtrArray *runs = fm_store_load_results (store, batch, error);
  g_autoptr (FmResultsTable) table = NULL;

  if (runs == NULL)
    return NULL;
  table = table_take_runs (runs);
  if (!load_contexts (table, store, error) || !fm_results_table_find_held_equal (table, store, error)
      || !fm_results_judge (table, store, error))
    return NULL;
  return g_steal_pointer (&table);
}

const char *
fm_results_row_first_done (FmResultsRow *row, const char *kind)
{
  const FmVariantResult *r = &row->result;

  for (gsize i = 0; i < r->n_runs; i++)
    if (strcmp (r->run_states[i], "done") == 0)
      return strcmp (kind, FM_STAGE_KIND_TRAIN) == 0 ? r->train_stages[i] : r->measure_stages[i];
  return NULL;
}
