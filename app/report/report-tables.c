/* report-tables.c: the tables of a report, once for all documents. Each number names the row it comes from: a variant's
 * its runs, a run's its stages, a stage's the machine that made it. */
#include <math.h>
#include <string.h>

#include "app/report/report-private.h"
#include "app/results/format.h"

/* --- Building -----------------------------------------------------------------------------------------------------*/

static void
cell_free (FmReportCell *cell)
{
  g_free (cell->text);
  g_free (cell->extra);
  g_free (cell->sign);
  g_free (cell->to);
  g_free (cell);
}

static void
row_free (FmReportRow *row)
{
  g_free (row->name);
  g_free (row->more);
  g_ptr_array_unref (row->cells);
  g_free (row);
}

void
fm_report_table_free (FmReportTable *table)
{
  if (table == NULL)
    return;
  g_free (table->above);
  g_free (table->below);
  g_ptr_array_unref (table->rows);
  g_free (table);
}

static FmReportTable *
table_new (const char *id, const char *title, const FmReportColumn *columns)
{
  FmReportTable *table = g_new0 (FmReportTable, 1);

  table->id = id;
  table->title = title;
  table->columns = columns;
  table->rows = g_ptr_array_new_with_free_func ((GDestroyNotify) row_free);
  return table;
}

static FmReportRow *
add_row (FmReportTable *table, char *name, gint variant) /* @name (transfer full) (nullable) */
{
  FmReportRow *row = g_new0 (FmReportRow, 1);

  row->name = name;
  row->variant = variant;
  row->cells = g_ptr_array_new_with_free_func ((GDestroyNotify) cell_free);
  g_ptr_array_add (table->rows, row);
  return row;
}

/* @text (transfer full) */
static FmReportCell *
add_cell (FmReportRow *row, char *text, gdouble value)
{
  FmReportCell *cell = g_new0 (FmReportCell, 1);

  cell->text = text;
  cell->value = value;
  g_ptr_array_add (row->cells, cell);
  return cell;
}

/* A number and where it comes from. @to (transfer full) (nullable) */
static FmReportCell *
add_number (FmReportRow *row, char *text, gdouble value, char *to)
{
  FmReportCell *cell = add_cell (row, text, value);

  cell->to = isfinite (value) ? to : NULL;
  if (cell->to == NULL)
    g_free (to);
  return cell;
}

static char *
name_of_variant (guint index)
{
  return g_strdup_printf ("variant-%u", index + 1);
}

static char *
name_of_run (gint64 run)
{
  return g_strdup_printf ("run-%" G_GINT64_FORMAT, run);
}

static char *
name_of_stage (const char *stage)
{
  return stage != NULL ? g_strconcat ("stage-", stage, NULL) : NULL;
}

static char *
percent (gdouble share, guint decimals)
{
  return fm_format_number (100 * share, decimals);
}

char *
fm_report_cell_text (const FmReportCell *cell)
{
  return g_strconcat (
      cell->sign != NULL && *cell->sign != '\0' ? cell->sign : "", cell->sign != NULL && *cell->sign != '\0' ? " " : "",
      cell->text, cell->extra != NULL && *cell->text != '\0' ? " " : "", cell->extra != NULL ? cell->extra : "", NULL);
}

static char *
held_above (FmReportData *data)
{
  g_autofree char *held = fm_results_table_held_equal (data->table);

  return *held != '\0' ? g_strdup_printf ("Held equal: %s.", held) : NULL;
}

/* --- What differs between rows ------------------------------------------------------------------------------------*/

static gboolean
several (FmReportData *data, gsize offset)
{
  for (guint i = 1; i < fm_results_table_get_n_rows (data->table); i++)
    if (g_strcmp0 (G_STRUCT_MEMBER (char *, fm_results_row_get (fm_results_table_get_row (data->table, 0)), offset),
                   G_STRUCT_MEMBER (char *, fm_results_row_get (fm_results_table_get_row (data->table, i)), offset)) !=
        0)
      return TRUE;
  return FALSE;
}

static void
count_word (GHashTable *words, char *key) /* (transfer full) */
{
  gpointer n = g_hash_table_lookup (words, key);

  g_hash_table_insert (words, key, GUINT_TO_POINTER (GPOINTER_TO_UINT (n) + 1));
}

static void
count_words (FmReportData *data)
{
  data->words = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  for (guint i = 0; i < fm_results_table_get_n_rows (data->table); i++)
    {
      const FmVariantResult *r = fm_results_row_get (fm_results_table_get_row (data->table, i));
      g_auto (GStrv) words = g_strsplit (r->task_parameters != NULL ? r->task_parameters : "", " ", -1);

      count_word (data->words, g_strdup (r->task));
      for (gsize w = 0; words[w] != NULL; w++)
        count_word (data->words, g_strconcat (r->task, " ", words[w], NULL));
    }
}

/* Is this word of a task's parameters missing somewhere where the task is met? */
static gboolean
word_varies (FmReportData *data, const char *task, const char *word)
{
  g_autofree char *key = g_strconcat (task, " ", word, NULL);

  if (data->words == NULL)
    count_words (data);
  return g_hash_table_lookup (data->words, key) != g_hash_table_lookup (data->words, task);
}

static void
append_part (GString *out, const char *part)
{
  g_string_append_printf (out, "%s%s", out->len > 0 ? ", " : "", part);
}

/* Name of the task where there are several, and those of its parameters that others have otherwise. */
static void
append_task (GString *out, FmReportData *data, const char *task, const char *parameters)
{
  g_auto (GStrv) words = g_strsplit (parameters != NULL ? parameters : "", " ", -1);

  if (several (data, G_STRUCT_OFFSET (FmVariantResult, task)))
    append_part (out, task);
  for (gsize i = 0; words[i] != NULL; i++)
    if (*words[i] != '\0' && word_varies (data, task, words[i]))
      append_part (out, words[i]);
}

char *
fm_report_ground (FmReportData *data, const FmVariantResult *r)
{
  GString *out = g_string_new (NULL);

  append_task (out, data, r->task, r->task_parameters);
  if (several (data, G_STRUCT_OFFSET (FmVariantResult, device)))
    append_part (out, r->device);
  return g_string_free (out, FALSE);
}

static FmReportCell *
add_variant_name (FmReportData *data, FmReportRow *row, const FmVariantResult *r, char *to)
{
  FmReportCell *cell = add_cell (row, g_strdup (r->title), NAN);
  g_autofree char *ground = fm_report_ground (data, r);

  cell->to = to;
  if (*ground != '\0' && strstr (r->title, ground) == NULL) /* a batch may name it in the variant already */
    cell->extra = g_steal_pointer (&ground);
  return cell;
}

static gint
marker_of (const FmVariantResult *r)
{
  return r->verdict == FM_VERDICT_FAIL ? FM_VARIANT_FAILED : r->index;
}

/* --- The results --------------------------------------------------------------------------------------------------*/

static char *
interval_text (const FmEstimate *e, gdouble factor, guint decimals)
{
  g_autofree char *low = NULL, *high = NULL;

  if (!isfinite (e->low) || !isfinite (e->high))
    return NULL;
  low = fm_format_number (factor * e->low, decimals);
  high = fm_format_number (factor * e->high, decimals);
  return g_strdup_printf ("[%s, %s]", low, high);
}

/* The sum over what differs says nothing: of the first run of the variant that has it. */
static const FmResultRow *
first_run (FmReportData *data, const FmVariantResult *r)
{
  for (guint i = 0; i < data->runs->len; i++)
    {
      const FmResultRow *run = g_ptr_array_index (data->runs, i);

      for (gsize k = 0; k < r->n_runs; k++)
        if (run->run_id == r->run_ids[k] && g_strcmp0 (run->state, "done") == 0)
          return run;
    }
  return NULL;
}

#define UNSTABLE "unstable"
static void
add_latency (FmReportRow *row, gdouble value, gboolean unstable, char *to)
{
  FmReportCell *cell = add_number (row, fm_format_latency (value), value, to);

  if (unstable && isfinite (value))
    cell->extra = g_strdup (UNSTABLE);
}

/* Those whose number depends on the length stand apart: no hold counts them. */
static void
add_parameters (FmReportRow *row, const FmVariantResult *r, char *to)
{
  gdouble value = r->parameters < 0 ? NAN : (gdouble) r->parameters;
  FmReportCell *cell = add_number (row, fm_format_short_count (value), value, to);

  if (r->parameters_by_n > 0)
    {
      g_autofree char *number = fm_format_short_count ((gdouble) r->parameters_by_n);

      cell->extra = g_strdup_printf ("(%s by N)", number);
    }
}

/* Signs alone say nothing in a sorted column: verdicts come in the order of their words. */
static void
add_verdict (FmReportRow *row, FmResultsRow *result)
{
  const FmVariantResult *r = fm_results_row_get (result);
  FmReportCell *cell = add_cell (row, fm_results_row_verdict_text (result), NAN);

  if (r->verdict != FM_VERDICT_FAIL)
    cell->sign = g_strdup (fm_verdict_sign (r->verdict));
}

static void
add_level (FmReportTable *table, const char *name, gdouble accuracy, const char *help)
{
  FmReportRow *row = add_row (table, NULL, FM_REPORT_NO_VARIANT);

  row->dim = TRUE;
  add_cell (row, g_strdup (name), NAN);
  add_cell (row, percent (accuracy, 1), 100 * accuracy);
  for (guint i = 0; i < 6; i++)
    add_cell (row, g_strdup (i == 5 && help != NULL ? help : ""), NAN);
  table->n_levels++;
}

/* "10.0 / 31.2" */
static char *
levels_text (const FmVariantResult *r)
{
  g_autofree char *chance = percent (r->chance_level, 1), *rule = percent (r->best_shortcut_accuracy, 1);

  return g_strdup_printf ("%s / %s", chance, rule);
}

FmReportTable *
fm_report_table_results (FmReportData *data)
{
  static const FmReportColumn columns[] = {
    { "Variant", TRUE }, { "Test accuracy, %" }, { "Chance / shortcut, %" }, { "Latency, µs" }, { "Peak memory, MB" },
    { "Parameters" }, { "Seeds" }, { "Against baseline", TRUE }, { NULL },
  };
  FmReportTable *table = table_new ("results", "Results", columns);
  g_autofree char *held = held_above (data), *footnote = fm_results_table_footnote (data->table);
  g_autofree char *tuning = fm_results_table_tuning_text (data->table);

  table->above = g_strjoin (held != NULL ? " " : "", held != NULL ? held : "", footnote, NULL);
  if (*g_strchomp (tuning) != '\0')
    table->below = g_strdup (g_strdelimit (tuning, "\n", ';'));
  for (guint i = 0; i < fm_results_table_get_n_rows (data->table); i++)
    {
      FmResultsRow *result = fm_results_table_get_row (data->table, i);
      const FmVariantResult *r = fm_results_row_get (result);
      gboolean fail = r->verdict == FM_VERDICT_FAIL;
      FmReportRow *row = add_row (table, name_of_variant (i), marker_of (r));
      g_autofree char *first = name_of_run (r->n_runs > 0 ? r->run_ids[0] : 0);
      FmReportCell *cell;

      add_variant_name (data, row, r, g_strdup (first));
      if (fail)
        add_cell (row, g_strdup ("FAIL"), NAN);
      else
        {
          cell = add_number (row, percent (r->accuracy.mean, 1), 100 * r->accuracy.mean, g_strdup (first));
          cell->extra = interval_text (&r->accuracy, 100, 1);
        }
      add_cell (row, levels_text (r), 100 * r->chance_level);
      add_latency (row, fail ? NAN : r->latency_us_median, r->unstable, g_strdup (first));
      add_number (row, fm_format_megabytes (fail ? -1 : r->measured_peak_bytes),
                  fail || r->measured_peak_bytes < 0 ? NAN : r->measured_peak_bytes / 1e6, g_strdup (first));
      add_parameters (row, r, g_strdup (first));
      add_cell (row, fm_results_row_seeds_text (result), r->done);
      add_verdict (row, result);
    }
  for (guint t = 0; t < data->tasks->len && table->rows->len > 0; t++)
    {
      const FmTaskRecord *task = g_ptr_array_index (data->tasks, t);
      g_autoptr (GString) of = g_string_new (NULL);
      g_autofree char *chance = NULL;

      append_task (of, data, task->name, task->parameters);
      g_string_prepend (of, of->len > 0 ? ", " : "");
      chance = g_strconcat ("Chance level", of->str, NULL);
      if (isfinite (task->chance_level))
        add_level (table, chance, task->chance_level, NULL);
      for (guint i = 0; task->shortcuts != NULL && i < task->shortcuts->len; i++)
        {
          const FmShortcutRecord *shortcut = g_ptr_array_index (task->shortcuts, i);
          g_autofree char *name = g_strdup_printf ("Shortcut%s: %s", of->str, shortcut->name);

          add_level (table, name, shortcut->accuracy, shortcut->help);
        }
    }
  return table;
}

char *
fm_report_levels (FmReportData *data)
{
  GString *out = g_string_new (NULL);

  for (guint t = 0; t < data->tasks->len; t++)
    {
      const FmTaskRecord *task = g_ptr_array_index (data->tasks, t);
      g_autofree char *chance = percent (task->chance_level, 1);
      g_autoptr (GString) of = g_string_new (NULL);

      if (!isfinite (task->chance_level))
        continue;
      append_task (of, data, task->name, task->parameters);
      g_string_append_printf (out, "%sChance level%s%s%s %s %%", out->len > 0 ? " " : "", of->len > 0 ? " (" : "",
                              of->str, of->len > 0 ? ")" : "", chance);
      for (guint i = 0; task->shortcuts != NULL && i < task->shortcuts->len; i++)
        {
          const FmShortcutRecord *shortcut = g_ptr_array_index (task->shortcuts, i);
          g_autofree char *accuracy = percent (shortcut->accuracy, 1);

          g_string_append_printf (out, "; without mixing, by %s, %s %%", shortcut->name, accuracy);
        }
      g_string_append_c (out, '.');
    }
  return g_string_free (out, FALSE);
}

static gboolean
has_energy (FmReportData *data)
{
  for (guint i = 0; i < data->runs->len; i++)
    if (isfinite (((const FmResultRow *) g_ptr_array_index (data->runs, i))->energy_joules))
      return TRUE;
  return FALSE;
}

FmReportTable *
fm_report_table_costs (FmReportData *data)
{
  static const FmReportColumn columns[] = {
    { "Variant", TRUE }, { "Median, µs" }, { "p95, µs" }, { "Per second" }, { "Training, s" }, { "Planned peak, MB" },
    { "Measured peak, MB" }, { "Inference peak, MB" }, { "Parameters" }, { "FLOPs" }, { NULL },
  }, with_energy[] = {
    { "Variant", TRUE }, { "Median, µs" }, { "p95, µs" }, { "Per second" }, { "Training, s" }, { "Planned peak, MB" },
    { "Measured peak, MB" }, { "Inference peak, MB" }, { "Parameters" }, { "FLOPs" }, { "Energy, mJ" }, { NULL },
  };
  gboolean energy = has_energy (data);
  FmReportTable *table = table_new ("costs", "All costs", energy ? with_energy : columns);
  GString *below = g_string_new ("Median and 95th percentile: latency of one example. Per second: examples in a batch. "
                                 "Training: the mean of a run. Planned: what the program knew before the first step. "
                                 "Measured peaks: how far the process grew beyond its data and libraries. FLOPs: "
                                 "forward, one example.");

  table->above = held_above (data);
  for (guint i = 0; i < fm_results_table_get_n_rows (data->table); i++)
    {
      const FmVariantResult *r = fm_results_row_get (fm_results_table_get_row (data->table, i));
      gboolean fail = r->verdict == FM_VERDICT_FAIL;
      const FmResultRow *run = first_run (data, r);
      FmReportRow *row = add_row (table, NULL, marker_of (r));
      g_autofree char *to = name_of_run (r->n_runs > 0 ? r->run_ids[0] : 0);
      const gint64 peaks[] = { r->planned_peak_bytes, r->measured_peak_bytes, r->inference_measured_peak_bytes };
      gdouble used = run != NULL ? 1000 * run->energy_joules : NAN;

      add_variant_name (data, row, r, g_strdup (to));
      add_latency (row, fail ? NAN : r->latency_us_median, r->unstable, g_strdup (to));
      add_number (row, fm_format_latency (fail ? NAN : r->latency_us_p95), fail ? NAN : r->latency_us_p95,
                  g_strdup (to));
      add_number (row, fm_format_number (fail ? NAN : r->throughput_per_s, 0), fail ? NAN : r->throughput_per_s,
                  g_strdup (to));
      add_number (row, fm_format_number (fail ? NAN : r->train_s, 1), fail ? NAN : r->train_s, g_strdup (to));
      for (gsize k = 0; k < G_N_ELEMENTS (peaks); k++)
        add_number (row, fm_format_megabytes (peaks[k]), peaks[k] < 0 ? NAN : peaks[k] / 1e6, g_strdup (to));
      add_parameters (row, r, g_strdup (to));
      add_number (row, fm_format_short_count (r->flops), r->flops, g_strdup (to));
      if (energy)
        add_number (row, fm_format_number (used, 2), used, g_strdup (to));
    }
  if (energy)
    g_string_append (below, " Energy: of one example.");
  for (guint i = 0; i < data->modes->notes->len; i++)
    {
      const char *note = g_ptr_array_index (data->modes->notes, i);

      g_string_append_printf (below, " %s%s", note, g_str_has_suffix (note, ".") ? "" : ".");
    }
  table->below = g_string_free (below, FALSE);
  return table;
}

/* A training step, prompts, one more token: what the batch asked to be measured beside. */
FmReportTable *
fm_report_table_modes (FmReportData *data)
{
  static const FmReportColumn columns[] = {
    { "Variant", TRUE }, { "Mode", TRUE }, { "Batch" }, { "Tokens per second" }, { "First token, ms" },
    { "A call, µs" }, { "p95, µs" }, { "Planned peak, MB" }, { "Cache, MB" }, { "Seeds" }, { NULL },
  }, with_energy[] = {
    { "Variant", TRUE }, { "Mode", TRUE }, { "Batch" }, { "Tokens per second" }, { "First token, ms" },
    { "A call, µs" }, { "p95, µs" }, { "Planned peak, MB" }, { "Cache, MB" }, { "Seeds" }, { "Energy, mJ" }, { NULL },
  };
  g_autoptr (FmModeList) means = fm_mode_list_over_seeds (data->modes);
  gboolean energy = has_energy (data);
  FmReportTable *table = table_new ("modes", "Training steps, prompts and tokens", energy ? with_energy : columns);

  table->above = held_above (data);
  table->below = g_strdup ("Means over seeds.");
  for (guint i = 0; i < means->modes->len; i++)
    {
      const FmModeResult *m = g_ptr_array_index (means->modes, i);
      FmReportRow *row = add_row (table, NULL, FM_REPORT_NO_VARIANT);
      FmResultsRow *result = NULL;

      for (guint k = 0; k < fm_results_table_get_n_rows (data->table) && result == NULL; k++)
        {
          const FmVariantResult *r = fm_results_row_get (fm_results_table_get_row (data->table, k));

          if (g_strcmp0 (r->variant, m->variant) == 0 && g_strcmp0 (r->task, m->task) == 0
              && g_strcmp0 (r->device, m->device) == 0)
            result = fm_results_table_get_row (data->table, k);
        }
      if (result != NULL)
        {
          const FmVariantResult *r = fm_results_row_get (result);

          row->variant = marker_of (r);
          add_variant_name (data, row, r, name_of_run (r->n_runs > 0 ? r->run_ids[0] : 0));
        }
      else
        add_cell (row, g_strdup (m->variant), NAN);
      add_cell (row, g_strdup (m->mode), NAN)->extra = m->reason != NULL ? g_strdup_printf ("(%s)", m->reason) : NULL;
      add_cell (row, fm_format_number (m->rows, 0), m->rows);
      add_cell (row, fm_format_number (m->tokens_per_s, 0), m->tokens_per_s);
      add_cell (row, fm_format_number (m->first_token_ms, 2), m->first_token_ms);
      add_cell (row, fm_format_latency (m->latency_us_median), m->latency_us_median);
      add_cell (row, fm_format_latency (m->latency_us_p95), m->latency_us_p95);
      add_cell (row, fm_format_number (m->planned_peak_bytes / 1e6, 1), m->planned_peak_bytes);
      add_cell (row, fm_format_number (m->cache_bytes / 1e6, 1), m->cache_bytes);
      add_cell (row, g_strdup_printf ("%u", m->seeds), m->seeds);
      if (energy)
        add_cell (row, fm_format_number (1000 * m->energy_joules, 2), m->energy_joules);
    }
  return table;
}

/* "1.59× [1.52, 1.66]" and its verdict */
static void
add_ratio (FmReportRow *row, const FmComparison *cost, char *to)
{
  gdouble ratio = exp (cost->difference.mean), low = exp (cost->difference.low), high = exp (cost->difference.high);
  g_autofree char *number = fm_format_number (ratio, 2), *from = fm_format_number (low, 2),
                  *until = fm_format_number (high, 2);
  FmReportCell *cell = add_number (row, isfinite (ratio) ? g_strconcat (number, "×", NULL) : g_strdup ("–"), ratio, to);

  if (!isfinite (ratio))
    return;
  if (isfinite (low) && isfinite (high))
    cell->extra = g_strdup_printf ("[%s, %s] %s %s", from, until, fm_verdict_sign (cost->verdict),
                                   fm_verdict_word (cost->verdict));
  else
    cell->extra = g_strdup_printf ("%s %s", fm_verdict_sign (cost->verdict), fm_verdict_word (cost->verdict));
}

FmReportTable *
fm_report_table_comparisons (FmReportData *data)
{
  static const FmReportColumn columns[] = {
    { "Variant", TRUE }, { "Against", TRUE }, { "Accuracy, points" }, { "p, adjusted" }, { "Seeds" }, { "Latency" },
    { "Memory" }, { NULL },
  };
  FmReportTable *table = table_new ("comparisons", "Comparisons", columns);
  guint n;
  const FmResultsComparison *comparisons = fm_results_table_get_comparisons (data->table, &n);

  table->above = held_above (data);
  table->below =
      g_strdup ("Accuracy: difference, its interval over seeds, and the verdict. Latency and memory: ratio, its "
                "interval over blocks of processes, and the verdict. Intervals are adjusted for all comparisons.");
  for (guint i = 0; i < n; i++)
    {
      const FmResultsComparison *c = &comparisons[i];
      const FmVariantResult *a = fm_results_row_get (c->row), *b = fm_results_row_get (c->reference);
      FmReportRow *row = add_row (table, NULL, marker_of (a));
      g_autofree char *to = name_of_run (a->n_runs > 0 ? a->run_ids[0] : 0), *interval = NULL;
      FmReportCell *cell;
      char p[G_ASCII_DTOSTR_BUF_SIZE] = "–";

      add_variant_name (data, row, a, g_strdup (to));
      add_cell (row, g_strdup (b->title), NAN);
      cell = add_number (row, percent (c->comparison.difference.mean, 1), 100 * c->comparison.difference.mean,
                         g_strdup (to));
      interval = interval_text (&c->comparison.difference, 100, 1);
      cell->extra = g_strdup_printf (
          "%s%s%s %s", interval != NULL ? interval : "", interval != NULL ? " " : "",
          fm_verdict_sign (c->comparison.verdict),
          c->comparison.verdict == FM_VERDICT_NONE ? "not finished" : fm_verdict_word (c->comparison.verdict));
      if (isfinite (c->comparison.p_adjusted))
        g_ascii_formatd (p, sizeof p, c->comparison.p_adjusted < 0.001 ? "%.0e" : "%.3f", c->comparison.p_adjusted);
      add_cell (row, g_strdup (p), c->comparison.p_adjusted);
      add_cell (row, g_strdup_printf ("%u", c->comparison.difference.n), c->comparison.difference.n);
      add_ratio (row, &c->costs[FM_COMPARED_LATENCY], g_strdup (to));
      add_ratio (row, &c->costs[FM_COMPARED_MEMORY], g_strdup (to));
    }
  return table;
}

/* --- What lies behind: runs, stages, machines ---------------------------------------------------------------------*/

/* (transfer none) (nullable) */
static FmResultsRow *
row_of_run (FmReportData *data, gint64 run)
{
  for (guint i = 0; i < fm_results_table_get_n_rows (data->table); i++)
    {
      FmResultsRow *row = fm_results_table_get_row (data->table, i);
      const FmVariantResult *r = fm_results_row_get (row);

      for (gsize k = 0; k < r->n_runs; k++)
        if (r->run_ids[k] == run)
          return row;
    }
  return NULL;
}

char *
fm_report_redo (FmReportData *data, gint64 run)
{
  g_autofree char *file = fm_report_file_name (data);

  return run > 0 ? g_strdup_printf ("formarium reproduce %" G_GINT64_FORMAT, run)
                 : g_strdup_printf ("formarium run %s", file);
}

FmReportTable *
fm_report_table_runs (FmReportData *data)
{
  static const FmReportColumn columns[] = {
    { "Run" }, { "Variant", TRUE }, { "Seed" }, { "State", TRUE }, { "Test accuracy, %" }, { "Latency, µs" },
    { "Training, s" }, { "Peak memory, MB" }, { "Made again by", TRUE, TRUE }, { NULL },
  };
  FmReportTable *table = table_new ("runs", "Runs", columns);
  g_autofree char *levels = fm_report_levels (data), *held = held_above (data);

  table->above = g_strjoin (held != NULL ? " " : "", held != NULL ? held : "", levels, NULL);
  for (guint i = 0; i < data->runs->len; i++)
    {
      const FmResultRow *run = g_ptr_array_index (data->runs, i);
      FmResultsRow *result = row_of_run (data, run->run_id);
      FmReportRow *row = add_row (table, name_of_run (run->run_id), FM_REPORT_NO_VARIANT);

      add_cell (row, g_strdup_printf ("%" G_GINT64_FORMAT, run->run_id), run->run_id);
      if (result != NULL)
        add_variant_name (data, row, fm_results_row_get (result), NULL);
      else
        add_cell (row, g_strdup (run->variant), NAN);
      add_cell (row, g_strdup_printf ("%" G_GINT64_FORMAT, run->seed), run->seed);
      add_cell (row, g_strdup (run->state != NULL ? run->state : "planned"), NAN)->extra = g_strdup (run->reason);
      add_number (row, percent (run->test_accuracy, 2), 100 * run->test_accuracy, name_of_stage (run->train_stage));
      add_latency (row, run->latency_us_median, run->unstable == 1, name_of_stage (run->measure_stage));
      add_number (row, fm_format_number (run->train_s, 1), run->train_s, name_of_stage (run->train_stage));
      add_number (row, fm_format_megabytes (run->measured_peak_bytes),
                  run->measured_peak_bytes < 0 ? NAN : run->measured_peak_bytes / 1e6,
                  name_of_stage (run->train_stage));
      add_cell (row, fm_report_redo (data, run->run_id), run->run_id);
    }
  return table;
}

static char *
time_text (gint64 time_us)
{
  g_autoptr (GDateTime) time = time_us > 0 ? g_date_time_new_from_unix_utc (time_us / G_USEC_PER_SEC) : NULL;

  return time != NULL ? g_date_time_format (time, "%Y-%m-%d %H:%M:%S") : g_strdup ("–");
}

static char *
runs_of_stage (FmReportData *data, const char *stage, gint64 *first)
{
  GString *out = g_string_new (NULL);

  *first = 0;
  for (guint i = 0; i < data->records->len; i++)
    {
      const FmRunRecord *run = g_ptr_array_index (data->records, i);

      for (guint k = 0; k < run->stages->len; k++)
        if (strcmp (g_ptr_array_index (run->stages, k), stage) == 0)
          {
            g_string_append_printf (out, "%s%" G_GINT64_FORMAT, out->len > 0 ? ", " : "", run->id);
            *first = *first == 0 ? run->id : *first;
            break;
          }
    }
  return g_string_free (out, FALSE);
}

FmReportTable *
fm_report_table_stages (FmReportData *data)
{
  static const FmReportColumn columns[] = {
    { "Stage", TRUE, TRUE }, { "Kind", TRUE }, { "State", TRUE }, { "Of run" }, { "Starts from", TRUE, TRUE },
    { "Began, UTC", TRUE }, { "Took, s" }, { "Attempts" }, { "Machine", TRUE }, { NULL },
  };
  FmReportTable *table = table_new ("stages", "Stages", columns);

  table->above = g_strdup ("A stage's id is a hash of its recipe: all that determines its result.");
  for (guint i = 0; i < data->stages->len; i++)
    {
      const FmStageRecord *stage = g_ptr_array_index (data->stages, i);
      FmReportRow *row = add_row (table, name_of_stage (stage->id), FM_REPORT_NO_VARIANT);
      guint machine = GPOINTER_TO_UINT (g_hash_table_lookup (data->made_on, stage->id));
      gdouble took = stage->started_us > 0 && stage->ended_us > stage->started_us
                       ? (stage->ended_us - stage->started_us) / 1e6 : NAN;
      g_autoptr (GString) inputs = g_string_new (NULL);
      gint64 run;
      FmReportCell *cell;

      for (guint k = 0; k < stage->inputs->len; k++)
        append_part (inputs, g_ptr_array_index (stage->inputs, k));
      row->more = g_strdup_printf ("%s%s%s", stage->recipe, stage->provenance != NULL ? "\n\n" : "",
                                   stage->provenance != NULL ? stage->provenance : "");
      add_cell (row, g_strdup (stage->id), NAN);
      add_cell (row, g_strdup (stage->kind), NAN);
      add_cell (row, g_strdup (fm_stage_state_to_string (stage->state)), NAN)->extra = g_strdup (stage->reason);
      cell = add_cell (row, runs_of_stage (data, stage->id, &run), i);
      cell->value = run;
      cell->to = run > 0 ? name_of_run (run) : NULL;
      cell = add_cell (row, g_strdup (inputs->str), NAN);
      cell->to = stage->inputs->len > 0 ? name_of_stage (g_ptr_array_index (stage->inputs, 0)) : NULL;
      add_cell (row, time_text (stage->started_us), stage->started_us);
      add_cell (row, fm_format_number (took, 1), took);
      add_cell (row, g_strdup_printf ("%" G_GINT64_FORMAT, stage->attempts), stage->attempts);
      cell =
          add_cell (row, machine > 0 ? g_strdup_printf ("M%u", machine) : g_strdup ("–"), machine > 0 ? machine : NAN);
      cell->to = machine > 0 ? g_strdup_printf ("machine-%u", machine) : NULL;
    }
  return table;
}

FmReportTable *
fm_report_table_machines (FmReportData *data)
{
  static const FmReportColumn columns[] = { { "Machine", TRUE },
                                            { "What the worker said about itself", TRUE },
                                            { NULL } };
  FmReportTable *table = table_new ("machines", "Machines", columns);

  for (guint i = 0; i < data->machines->len; i++)
    {
      FmReportRow *row = add_row (table, g_strdup_printf ("machine-%u", i + 1), FM_REPORT_NO_VARIANT);

      add_cell (row, g_strdup_printf ("M%u", i + 1), i + 1);
      add_cell (row, g_strdup (g_ptr_array_index (data->machines, i)), NAN);
    }
  return table;
}

GPtrArray *
fm_report_tables (FmReportData *data)
{
  static FmReportTable *(*const makers[]) (FmReportData *) = {
    [FM_REPORT_CLAIM] = fm_report_table_claim,             [FM_REPORT_RESULTS] = fm_report_table_results,
    [FM_REPORT_COMPARISONS] = fm_report_table_comparisons, [FM_REPORT_COSTS] = fm_report_table_costs,
    [FM_REPORT_MODES] = fm_report_table_modes,             [FM_REPORT_RUNS] = fm_report_table_runs,
    [FM_REPORT_STAGES] = fm_report_table_stages,           [FM_REPORT_MACHINES] = fm_report_table_machines,
  };
  GPtrArray *tables = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_report_table_free);

  for (gsize i = 0; i < G_N_ELEMENTS (makers); i++)
    g_ptr_array_add (tables, makers[i] (data));
  return tables;
}
