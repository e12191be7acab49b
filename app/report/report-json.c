/* report-json.c: all of a report for programs; report.schema.json beside this file says what stands where. Written by
 * hand: json-glib 1.6 would write 0.845 as 0.84499999999999997. */
#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#include "config.h"

#include "app/report/report-private.h"

/* --- Writing ------------------------------------------------------------------------------------------------------*/

typedef struct
{
  GString *out;
  guint    depth;
  gboolean comma; /* something stands before in this object or array */
} Json;

static void
begin_value (Json *j, const char *name)
{
  g_string_append_printf (j->out, "%s\n%*s", j->comma ? "," : "", (int) (2 * j->depth), "");
  if (name != NULL)
    g_string_append_printf (j->out, "\"%s\": ", name);
  j->comma = TRUE;
}

static void
open_value (Json *j, const char *name, char bracket)
{
  if (j->out->len > 0)
    begin_value (j, name);
  g_string_append_c (j->out, bracket);
  j->depth++;
  j->comma = FALSE;
}

static void
close_value (Json *j, char bracket)
{
  j->depth--;
  if (j->comma)
    g_string_append_printf (j->out, "\n%*s", (int) (2 * j->depth), "");
  g_string_append_c (j->out, bracket);
  j->comma = TRUE;
}

static void
append_text (GString *out, const char *text)
{
  g_autoptr (JsonNode) node = json_node_alloc ();
  g_autofree char *valid = text != NULL ? g_utf8_make_valid (text, -1) : NULL, *quoted = NULL;

  if (valid == NULL)
    {
      g_string_append (out, "null");
      return;
    }
  json_node_init_string (node, valid);
  quoted = json_to_string (node, FALSE);
  g_string_append (out, quoted);
}

static void
add_text (Json *j, const char *name, const char *text)
{
  begin_value (j, name);
  append_text (j->out, text);
}

static void
add_number (Json *j, const char *name, gdouble value)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  begin_value (j, name);
  /* The shortest of the two that reads back as the same number. */
  if (isfinite (value) && g_ascii_strtod (g_ascii_formatd (text, sizeof text, "%.15g", value), NULL) != value)
    g_ascii_dtostr (text, sizeof text, value);
  g_string_append (j->out, isfinite (value) ? text : "null");
}

/* Negative ones stand for missing. */
static void
add_count (Json *j, const char *name, gint64 value)
{
  begin_value (j, name);
  if (value < 0)
    g_string_append (j->out, "null");
  else
    g_string_append_printf (j->out, "%" G_GINT64_FORMAT, value);
}

static void
add_bool (Json *j, const char *name, gboolean value)
{
  begin_value (j, name);
  g_string_append (j->out, value ? "true" : "false");
}

static void
add_time (Json *j, const char *name, gint64 time_us)
{
  g_autoptr (GDateTime) time = time_us > 0 ? g_date_time_new_from_unix_utc (time_us / G_USEC_PER_SEC) : NULL;
  g_autofree char *text = time != NULL ? g_date_time_format (time, "%Y-%m-%dT%H:%M:%SZ") : NULL;

  add_text (j, name, text);
}

static void
add_estimate (Json *j, const char *name, const FmEstimate *e)
{
  open_value (j, name, '{');
  add_count (j, "n", e->n);
  add_number (j, "mean", e->mean);
  add_number (j, "sd", e->n > 0 ? e->sd : NAN);
  add_number (j, "low", e->low);
  add_number (j, "high", e->high);
  close_value (j, '}');
}

/* A text of the store that is JSON itself stays so; any other is a string. */
static void
add_json (Json *j, const char *name, const char *json)
{
  g_autoptr (JsonParser) parser = json_parser_new_immutable ();

  begin_value (j, name);
  if (json != NULL && json_parser_load_from_data (parser, json, -1, NULL) && json_parser_get_root (parser) != NULL
      && JSON_NODE_HOLDS_OBJECT (json_parser_get_root (parser)))
    g_string_append (j->out, json);
  else
    append_text (j->out, json);
}

/* --- Parts --------------------------------------------------------------------------------------------------------*/

static void
add_batch (Json *j, FmReportData *data)
{
  static const char *const states[] = { "planned", "running", "paused", "done", "cancelled" };
  const FmBatchRecord *b = data->batch;
  g_autofree char *file = fm_report_file_name (data), *redo = fm_report_redo (data, 0);

  open_value (j, "batch", '{');
  add_count (j, "id", b->id);
  add_text (j, "title", b->title);
  add_text (j, "name", b->name);
  add_text (j, "tags", b->tags);
  add_text (j, "note", b->note);
  add_text (j, "file", b->file_name != NULL ? file : NULL);
  add_text (j, "state", b->state < G_N_ELEMENTS (states) ? states[b->state] : NULL);
  add_time (j, "created", b->created_us);
  add_time (j, "ended", b->ended_us);
  add_text (j, "program_version", b->program_version);
  add_text (j, "command", redo);
  add_text (j, "text", b->text);
  close_value (j, '}');
}

static void
add_tasks (Json *j, FmReportData *data)
{
  open_value (j, "tasks", '[');
  for (guint i = 0; i < data->tasks->len; i++)
    {
      const FmTaskRecord *task = g_ptr_array_index (data->tasks, i);

      open_value (j, NULL, '{');
      add_text (j, "name", task->name);
      add_text (j, "parameters", task->parameters);
      add_text (j, "data_key", task->data_key);
      add_number (j, "chance_level", task->chance_level);
      open_value (j, "shortcuts", '[');
      for (guint s = 0; task->shortcuts != NULL && s < task->shortcuts->len; s++)
        {
          const FmShortcutRecord *shortcut = g_ptr_array_index (task->shortcuts, s);

          open_value (j, NULL, '{');
          add_text (j, "name", shortcut->name);
          add_text (j, "help", shortcut->help);
          add_number (j, "accuracy", shortcut->accuracy);
          close_value (j, '}');
        }
      close_value (j, ']');
      close_value (j, '}');
    }
  close_value (j, ']');
}

static const char *
verdict_word (FmVerdict verdict)
{
  return verdict == FM_VERDICT_NONE ? NULL : verdict == FM_VERDICT_FAIL ? "fail" : fm_verdict_word (verdict);
}

static void
add_variant (Json *j, FmReportData *data, guint index)
{
  FmResultsRow *row = fm_results_table_get_row (data->table, index);
  const FmVariantResult *r = fm_results_row_get (row);
  g_autofree char *said = fm_results_row_verdict_text (row);

  open_value (j, NULL, '{');
  add_text (j, "variant", r->variant);
  add_text (j, "title", r->title);
  add_text (j, "mixer", r->mixer);
  add_text (j, "feedforward", r->feedforward);
  add_text (j, "mixer_parameters", r->mixer_parameters);
  add_text (j, "feedforward_parameters", r->feedforward_parameters);
  add_text (j, "task", r->task);
  add_text (j, "task_parameters", r->task_parameters);
  add_text (j, "device", r->device);
  add_bool (j, "baseline", r->baseline);
  add_count (j, "seeds", r->seeds);
  add_count (j, "done", r->done);
  add_count (j, "failed", r->failed);
  add_count (j, "diverged", r->diverged);
  add_count (j, "skipped", r->skipped);
  add_text (j, "reason", r->reason);
  add_text (j, "verdict", verdict_word (r->verdict));
  add_text (j, "verdict_text", said);
  add_text (j, "against", r->against);
  add_estimate (j, "accuracy", &r->accuracy);
  add_number (j, "chance_level", r->chance_level);
  add_number (j, "best_shortcut_accuracy", r->best_shortcut_accuracy);
  add_estimate (j, "validation_accuracy", &r->validation_accuracy);
  add_estimate (j, "loss_nats", &r->loss_nats);
  add_number (j, "latency_us_median", r->latency_us_median);
  add_number (j, "latency_us_p95", r->latency_us_p95);
  add_number (j, "latency_ratio", r->latency_ratio);
  add_number (j, "latency_ratio_low", r->latency_ratio_low);
  add_number (j, "latency_ratio_high", r->latency_ratio_high);
  add_text (j, "latency_verdict", verdict_word (r->latency_verdict));
  add_count (j, "latency_blocks", r->latency_blocks);
  add_bool (j, "unstable", r->unstable);
  add_number (j, "memory_ratio", r->memory_ratio);
  add_number (j, "memory_ratio_low", r->memory_ratio_low);
  add_number (j, "memory_ratio_high", r->memory_ratio_high);
  add_text (j, "memory_verdict", verdict_word (r->memory_verdict));
  add_number (j, "throughput_per_s", r->throughput_per_s);
  add_number (j, "train_s", r->train_s);
  add_count (j, "planned_peak_bytes", r->planned_peak_bytes);
  add_count (j, "measured_peak_bytes", r->measured_peak_bytes);
  add_count (j, "inference_planned_peak_bytes", r->inference_planned_peak_bytes);
  add_count (j, "inference_measured_peak_bytes", r->inference_measured_peak_bytes);
  add_count (j, "parameters", r->parameters);
  add_count (j, "parameters_by_n", r->parameters_by_n);
  add_count (j, "trials", r->trials);
  add_text (j, "chosen", r->chosen);
  add_number (j, "flops", r->flops);
  add_count (j, "fallbacks", r->fallbacks);
  open_value (j, "runs", '[');
  for (gsize i = 0; i < r->n_runs; i++)
    add_count (j, NULL, r->run_ids[i]);
  close_value (j, ']');
  close_value (j, '}');
}

/* A ratio over blocks of processes. */
static void
add_ratio (Json *j, const char *name, const FmComparison *cost)
{
  open_value (j, name, '{');
  add_count (j, "blocks", cost->difference.n);
  add_number (j, "ratio", exp (cost->difference.mean));
  add_number (j, "low", exp (cost->difference.low));
  add_number (j, "high", exp (cost->difference.high));
  add_number (j, "p_adjusted", cost->p_adjusted);
  add_text (j, "verdict", verdict_word (cost->verdict));
  close_value (j, '}');
}

static void
add_comparisons (Json *j, FmReportData *data)
{
  guint n;
  const FmResultsComparison *comparisons = fm_results_table_get_comparisons (data->table, &n);

  open_value (j, "comparisons", '[');
  for (guint i = 0; i < n; i++)
    {
      const FmResultsComparison *c = &comparisons[i];
      const FmVariantResult *a = fm_results_row_get (c->row), *b = fm_results_row_get (c->reference);

      open_value (j, NULL, '{');
      add_text (j, "variant", a->variant);
      add_text (j, "reference", b->variant);
      add_text (j, "task", a->task);
      add_text (j, "task_parameters", a->task_parameters);
      add_text (j, "device", a->device);
      add_text (j, "verdict", verdict_word (c->comparison.verdict));
      add_estimate (j, "difference", &c->comparison.difference);
      add_number (j, "standard_error", c->comparison.error);
      add_number (j, "degrees_of_freedom", c->comparison.df);
      add_number (j, "equal_low", c->comparison.equal_low);
      add_number (j, "equal_high", c->comparison.equal_high);
      add_number (j, "p_differs", c->comparison.p_differs);
      add_number (j, "p_equal", c->comparison.p_equal);
      add_number (j, "p_adjusted", c->comparison.p_adjusted);
      add_number (j, "margin", a->accuracy_margin);
      add_count (j, "more_seeds", c->comparison.more_seeds);
      add_count (j, "new_seeds", c->new_seeds);
      add_count (j, "look", c->look);
      add_count (j, "looks", c->looks);
      add_bool (j, "paired", c->spread.paired);
      add_ratio (j, "latency", &c->costs[FM_COMPARED_LATENCY]);
      add_ratio (j, "memory", &c->costs[FM_COMPARED_MEMORY]);
      close_value (j, '}');
    }
  close_value (j, ']');
}

static void
add_claim (Json *j, FmReportData *data)
{
  const FmClaimResult *claim = data->claim;

  if (claim == NULL)
    {
      add_text (j, "claim", NULL);
      return;
    }
  open_value (j, "claim", '{');
  add_text (j, "verdict", claim->verdict == FM_CLAIM_VERDICT_OPEN ? "open" : fm_claim_verdict_word (claim->verdict));
  add_text (j, "citation", claim->claim->citation);
  add_text (j, "arxiv", claim->claim->arxiv);
  add_text (j, "says", claim->claim->says);
  add_text (j, "numbers", claim->claim->numbers);
  add_text (j, "conditions", claim->claim->conditions);
  add_text (j, "scale", claim->claim->scale);
  open_value (j, "expectations", '[');
  for (guint i = 0; i < claim->findings->len; i++)
    {
      const FmClaimFinding *f = g_ptr_array_index (claim->findings, i);
      g_autofree char *found = fm_claim_finding_text (f);

      open_value (j, NULL, '{');
      add_text (j, "name", f->expectation->name);
      add_text (j, "expected", f->expectation->text);
      add_text (j, "found", found);
      add_text (j, "verdict", f->verdict == FM_CLAIM_VERDICT_OPEN ? "open" : fm_claim_verdict_word (f->verdict));
      add_number (j, "estimate", fm_claim_finding_show (f, f->estimate));
      add_number (j, "low", fm_claim_finding_show (f, f->low));
      add_number (j, "high", fm_claim_finding_show (f, f->high));
      add_number (j, "bound", fm_claim_finding_show (f, fm_claim_finding_bound (f)));
      add_text (j, "unit", fm_claim_finding_unit (f));
      add_count (j, "n", f->n);
      close_value (j, '}');
    }
  close_value (j, ']');
  close_value (j, '}');
}

static void
add_modes (Json *j, FmReportData *data)
{
  open_value (j, "modes", '[');
  for (guint i = 0; i < data->modes->modes->len; i++)
    {
      const FmModeResult *m = g_ptr_array_index (data->modes->modes, i);

      open_value (j, NULL, '{');
      add_count (j, "run_id", m->run_id);
      add_text (j, "mode", m->mode);
      add_text (j, "reason", m->reason);
      for (const FmModeField *field = fm_mode_fields (); field->name != NULL; field++)
        add_number (j, field->name, G_STRUCT_MEMBER (gdouble, m, field->offset));
      close_value (j, '}');
    }
  close_value (j, ']');
}

static void
add_runs (Json *j, FmReportData *data)
{
  open_value (j, "runs", '[');
  for (guint i = 0; i < data->runs->len; i++)
    {
      const FmResultRow *run = g_ptr_array_index (data->runs, i);
      g_autofree char *redo = fm_report_redo (data, run->run_id);

      open_value (j, NULL, '{');
      for (const FmResultField *field = fm_result_fields (); field->name != NULL; field++)
        switch (field->type)
          {
          case FM_RESULT_TEXT:
            add_text (j, field->name, G_STRUCT_MEMBER (char *, run, field->offset));
            break;
          case FM_RESULT_INT:
            add_count (j, field->name, G_STRUCT_MEMBER (gint64, run, field->offset));
            break;
          case FM_RESULT_DOUBLE:
          default:
            add_number (j, field->name, G_STRUCT_MEMBER (gdouble, run, field->offset));
            break;
          }
      open_value (j, "stages", '[');
      for (guint k = 0; k < data->records->len; k++)
        {
          const FmRunRecord *record = g_ptr_array_index (data->records, k);

          for (guint s = 0; record->id == run->run_id && s < record->stages->len; s++)
            add_text (j, NULL, g_ptr_array_index (record->stages, s));
        }
      close_value (j, ']');
      add_text (j, "command", redo);
      close_value (j, '}');
    }
  close_value (j, ']');
}

static void
add_stages (Json *j, FmReportData *data)
{
  open_value (j, "stages", '[');
  for (guint i = 0; i < data->stages->len; i++)
    {
      const FmStageRecord *stage = g_ptr_array_index (data->stages, i);

      open_value (j, NULL, '{');
      add_text (j, "id", stage->id);
      add_text (j, "kind", stage->kind);
      add_text (j, "state", fm_stage_state_to_string (stage->state));
      add_text (j, "reason", stage->reason);
      open_value (j, "inputs", '[');
      for (guint k = 0; k < stage->inputs->len; k++)
        add_text (j, NULL, g_ptr_array_index (stage->inputs, k));
      close_value (j, ']');
      add_time (j, "started", stage->started_us);
      add_time (j, "ended", stage->ended_us);
      add_count (j, "attempts", stage->attempts);
      add_count (j, "fallbacks", stage->fallbacks);
      add_count (j, "diverged_step", stage->diverged_step);
      add_text (j, "diverged_tensor", stage->diverged_tensor);
      add_json (j, "recipe", stage->recipe);
      add_json (j, "provenance", stage->provenance);
      close_value (j, '}');
    }
  close_value (j, ']');
}

static void
add_figures (Json *j, FmReportData *data)
{
  g_autoptr (GPtrArray) figures = fm_report_figures (data);

  open_value (j, "figures", '[');
  for (guint i = 0; i < figures->len; i++)
    {
      const FmReportFigure *f = g_ptr_array_index (figures, i);
      g_autoptr (FmFigureTable) table = f->figure->table (f->model);

      open_value (j, NULL, '{');
      add_text (j, "name", f->name);
      add_text (j, "caption", f->caption);
      open_value (j, "table", '[');
      for (guint r = 0; r < table->rows->len; r++)
        {
          char **cells = g_ptr_array_index (table->rows, r);

          begin_value (j, NULL);
          g_string_append_c (j->out, '[');
          for (gsize c = 0; cells[c] != NULL; c++)
            {
              g_string_append (j->out, c > 0 ? ", " : "");
              append_text (j->out, cells[c]);
            }
          g_string_append_c (j->out, ']');
        }
      close_value (j, ']');
      close_value (j, '}');
    }
  close_value (j, ']');
}

char *
fm_report_to_json (FmStore *store, gint64 batch, GError **error)
{
  g_autoptr (FmReportData) data = fm_report_data_load (store, batch, error);
  g_autofree char *sentence = NULL, *held = NULL, *judged = NULL;
  Json j = { 0 };

  if (data == NULL)
    return NULL;
  sentence = fm_results_table_sentence (data->table);
  held = fm_results_table_held_equal (data->table);
  judged = fm_results_table_footnote (data->table);
  j.out = g_string_new (NULL);
  open_value (&j, NULL, '{');
  add_text (&j, "format", "formarium-report");
  add_count (&j, "version", 1);
  add_text (&j, "program", FM_VERSION);
  add_batch (&j, data);
  add_text (&j, "sentence", sentence);
  add_text (&j, "held_equal", held);
  add_text (&j, "judged", judged);
  add_tasks (&j, data);
  open_value (&j, "variants", '[');
  for (guint i = 0; i < fm_results_table_get_n_rows (data->table); i++)
    add_variant (&j, data, i);
  close_value (&j, ']');
  add_comparisons (&j, data);
  add_claim (&j, data);
  add_modes (&j, data);
  add_figures (&j, data);
  add_runs (&j, data);
  add_stages (&j, data);
  close_value (&j, '}');
  g_string_append_c (j.out, '\n');
  return g_string_free (j.out, FALSE);
}
