/* html-results.c: the table, the two figures under it, how it was measured, how to do it again. */
#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#include "app/report/report-private.h"
#include "app/results/format.h"

static void
add_marker (FmPage *page, gint variant)
{
  fm_page_figure (page, &fm_figure_marker, &variant, 12, 12, NULL);
}

static void
add_accuracy (FmPage *page, const FmVariantResult *r)
{
  g_autofree char *mean = fm_format_number (100 * r->accuracy.mean, 1), *low = NULL, *high = NULL;

  if (r->verdict == FM_VERDICT_FAIL)
    {
      g_string_append (page->out, "<td><strong>FAIL</strong></td>");
      return;
    }
  if (!isfinite (r->accuracy.low))
    {
      fm_page_printf (page, "<td><strong>%s</strong></td>", mean);
      return;
    }
  low = fm_format_number (100 * r->accuracy.low, 1);
  high = fm_format_number (100 * r->accuracy.high, 1);
  fm_page_printf (page, "<td><strong>%s</strong> <span class=\"dim\">[%s, %s]</span></td>", mean, low, high);
}

static gboolean
on_several_grounds (FmReportData *data)
{
  for (guint i = 1; i < fm_results_table_get_n_rows (data->table); i++)
    {
      const FmVariantResult *a = fm_results_row_get (fm_results_table_get_row (data->table, 0));
      const FmVariantResult *b = fm_results_row_get (fm_results_table_get_row (data->table, i));

      if (strcmp (a->task, b->task) != 0 || strcmp (a->device, b->device) != 0)
        return TRUE;
    }
  return FALSE;
}

/* Marker and name; task and device only where they differ within the table. */
static void
add_name (FmPage *page, FmReportData *data, const FmVariantResult *r)
{
  g_string_append (page->out, "<tr><td>");
  add_marker (page, r->verdict == FM_VERDICT_FAIL ? FM_VARIANT_FAILED : r->index);
  fm_page_printf (page, "%s", r->title);
  if (on_several_grounds (data))
    fm_page_printf (page, " <span class=\"dim\">%s, %s</span>", r->task, r->device);
  g_string_append (page->out, "</td>");
}

static void
add_row (FmPage *page, FmReportData *data, guint index)
{
  FmResultsRow *row = fm_results_table_get_row (data->table, index);
  const FmVariantResult *r = fm_results_row_get (row);
  gboolean fail = r->verdict == FM_VERDICT_FAIL;
  g_autofree char *latency = fm_format_latency (fail ? NAN : r->latency_us_median);
  g_autofree char *memory = fm_format_megabytes (fail ? -1 : r->measured_peak_bytes);
  g_autofree char *seeds = fm_results_row_seeds_text (row), *verdict = fm_results_row_verdict_text (row);

  add_name (page, data, r);
  add_accuracy (page, r);
  fm_page_printf (page, "<td>%s</td><td>%s</td><td>%s</td>", latency, memory, seeds);
  fm_page_printf (page, "<td class=\"l wide%s\"><span class=\"sign\">%s</span>%s</td></tr>\n",
                  r->verdict == FM_VERDICT_BASELINE ? " dim" : "", fail ? "" : fm_verdict_sign (r->verdict), verdict);
}

static void
add_costs (FmPage *page, FmReportData *data)
{
  g_string_append (page->out,
                   "<details><summary>All costs</summary><div class=\"box\"><table>\n<thead><tr>"
                   "<th scope=\"col\">Variant</th><th scope=\"col\">p95, µs</th><th scope=\"col\">Per second</th>"
                   "<th scope=\"col\">Training</th><th scope=\"col\">Planned peak, MB</th>"
                   "<th scope=\"col\">Inference peak, MB</th><th scope=\"col\">Parameters</th>"
                   "<th scope=\"col\">FLOPs</th></tr></thead>\n<tbody>\n");
  for (guint i = 0; i < fm_results_table_get_n_rows (data->table); i++)
    {
      const FmVariantResult *r = fm_results_row_get (fm_results_table_get_row (data->table, i));
      gboolean fail = r->verdict == FM_VERDICT_FAIL;
      g_autofree char *p95 = fm_format_latency (fail ? NAN : r->latency_us_p95);
      g_autofree char *throughput = fm_format_number (fail ? NAN : r->throughput_per_s, 0);
      g_autofree char *train = fm_format_duration (fail ? NAN : r->train_s);
      g_autofree char *planned = fm_format_megabytes (r->planned_peak_bytes);
      g_autofree char *inference = fm_format_megabytes (r->inference_measured_peak_bytes);
      g_autofree char *parameters = fm_format_short_count (r->parameters < 0 ? NAN : r->parameters);
      g_autofree char *flops = fm_format_short_count (r->flops);

      add_name (page, data, r);
      fm_page_printf (page, "<td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td></tr>\n", p95,
                      throughput, train, planned, inference, parameters, flops);
    }
  g_string_append (page->out,
                   "</tbody></table></div><p class=\"note\">Latency and its 95th percentile: one example. Per second: "
                   "examples in a batch. Training: the mean of a run. Planned: what the program knew before the first "
                   "step. Measured peaks: how far the process grew beyond its data and libraries. FLOPs: forward, one "
                   "example.</p></details>\n");
}

static void
add_level (FmPage *page, const char *name, const char *help, gdouble accuracy)
{
  g_autofree char *text = fm_format_number (100 * accuracy, 1);

  fm_page_printf (page,
                  "<tr class=\"dim\"><td class=\"l level\">%s</td><td>%s</td>"
                  "<td class=\"l\" colspan=\"4\">%s</td></tr>\n",
                  name, text, help);
}

void
fm_page_add_results (FmPage *page, FmReportData *data)
{
  g_autofree char *held = fm_results_table_held_equal (data->table);
  g_autofree char *footnote = fm_results_table_footnote (data->table);
  g_autofree char *named = fm_results_table_comparisons_text (data->table);
  g_auto (GStrv) comparisons = g_strsplit (g_strchomp (named), "\n", -1);
  guint n = fm_results_table_get_n_rows (data->table);

  g_string_append (page->out, "<h2 id=\"results\">Results</h2>\n");
  if (n == 0)
    {
      g_string_append (page->out, "<p class=\"note\">Nothing measured yet.</p>\n");
      return;
    }
  g_string_append (page->out, "<p class=\"note\">");
  if (*held != '\0')
    fm_page_printf (page, "Held equal: %s. ", held);
  fm_page_printf (page, "%s</p>\n", footnote);
  for (guint i = 0; comparisons[i] != NULL; i++)
    fm_page_printf (page, "<p class=\"note\">%s.</p>\n", comparisons[i]);
  g_string_append (page->out,
                   "<div class=\"box\"><table>\n<thead><tr><th scope=\"col\">Variant</th>"
                   "<th scope=\"col\">Test accuracy, %</th><th scope=\"col\">Latency, µs</th>"
                   "<th scope=\"col\">Peak memory, MB</th><th scope=\"col\">Seeds</th>"
                   "<th scope=\"col\" class=\"l wide\">Against baseline</th></tr></thead>\n"
                   "<tbody>\n");
  for (guint i = 0; i < n; i++)
    add_row (page, data, i);
  if (data->task != NULL && isfinite (data->task->chance_level))
    add_level (page, "Chance level", "", data->task->chance_level);
  if (data->task != NULL && data->task->shortcuts != NULL)
    for (guint i = 0; i < data->task->shortcuts->len; i++)
      {
        const FmShortcutRecord *shortcut = g_ptr_array_index (data->task->shortcuts, i);
        g_autofree char *name = g_strconcat ("Shortcut: ", shortcut->name, NULL);

        add_level (page, name, shortcut->help != NULL ? shortcut->help : "", shortcut->accuracy);
      }
  g_string_append (page->out, "</tbody></table></div>\n");
  add_costs (page, data);
}

/* --- Figures ------------------------------------------------------------------------------------------------------*/

void
fm_page_add_figures (FmPage *page, FmReportData *data)
{
  g_autoptr (GPtrArray) figures = fm_report_figures (data);

  g_string_append (page->out, "<h2 id=\"figures\">Figures</h2>\n<div class=\"pair\" style=\"margin-top:12px\">\n");
  for (guint i = 0; i < figures->len; i++)
    {
      const FmReportFigure *f = g_ptr_array_index (figures, i);

      g_string_append (page->out, "<figure>");
      fm_page_figure (page, f->figure, f->model, 440, 220, f->alternative);
      fm_page_printf (page, "<figcaption>%s</figcaption>", f->caption);
      fm_page_details (page, "Table", f->figure->table (f->model));
      g_string_append (page->out, "</figure>\n");
    }
  g_string_append (page->out, "</div>\n");
}

/* --- How it was measured ------------------------------------------------------------------------------------------*/

static void
add_pair (FmPage *page, const char *name, const char *value)
{
  if (value != NULL && *value != '\0')
    fm_page_printf (page, "<dt>%s</dt><dd>%s</dd>\n", name, value);
}

static char *
member_text (JsonObject *object, const char *name)
{
  JsonNode *node = json_object_get_member (object, name);

  if (node == NULL || !JSON_NODE_HOLDS_VALUE (node))
    return NULL;
  if (json_node_get_value_type (node) == G_TYPE_STRING)
    return g_strdup (json_node_get_string (node));
  if (json_node_get_value_type (node) == G_TYPE_INT64)
    return fm_format_count (json_node_get_int (node));
  return fm_format_number (json_node_get_double (node), 2);
}

/* What a worker wrote about itself; keys that this page does not know are shown by their own names. */
static void
add_provenance (FmPage *page, const char *heading, const char *json)
{
  static const struct { const char *key, *name; } known[] = {
    { "processor", "Processor" },       { "processors", "Processors" }, { "device", "Device" },
    { "device_title", "In full" },      { "driver", "Library or driver" }, { "threads", "Threads" },
    { "kernel", "Kernel" },             { "program", "Program version" },
  };
  g_autoptr (JsonParser) parser = json_parser_new_immutable ();
  JsonObject *object;
  g_autoptr (GList) members = NULL;

  if (json == NULL || !json_parser_load_from_data (parser, json, -1, NULL) || json_parser_get_root (parser) == NULL ||
      !JSON_NODE_HOLDS_OBJECT (json_parser_get_root (parser)))
    return;
  object = json_node_get_object (json_parser_get_root (parser));
  fm_page_printf (page, "<div><h3>%s</h3>\n<dl>\n", heading);
  for (gsize i = 0; i < G_N_ELEMENTS (known); i++)
    {
      g_autofree char *value = member_text (object, known[i].key);

      add_pair (page, known[i].name, value);
    }
  members = json_object_get_members (object);
  for (GList *m = members; m != NULL; m = m->next)
    {
      g_autofree char *value = member_text (object, m->data), *name = g_strdelimit (g_strdup (m->data), "_", ' ');
      gboolean shown = FALSE;

      for (gsize i = 0; i < G_N_ELEMENTS (known); i++)
        shown |= strcmp (known[i].key, m->data) == 0;
      if (!shown && *name != '\0')
        {
          *name = g_ascii_toupper (*name);
          add_pair (page, name, value);
        }
    }
  g_string_append (page->out, "</dl></div>\n");
}

void
fm_page_add_measuring (FmPage *page, FmReportData *data)
{
  g_autofree char *counts = fm_results_table_counts (data->table);
  gint64 fallbacks = 0;

  for (guint i = 0; i < fm_results_table_get_n_rows (data->table); i++)
    fallbacks += fm_results_row_get (fm_results_table_get_row (data->table, i))->fallbacks;
  fm_page_printf (page,
                  "<h2 id=\"measured\">How it was measured</h2>\n<p>%s. Every run trained and was measured in a "
                  "process of its own; latencies were taken while this program's other workers kept still, the "
                  "variants taking turns. The seed is the unit of every statement: intervals are over seeds, not over test "
                  "examples. "
                  "Operations that ran elsewhere than asked: %s.</p>\n",
                  counts, fallbacks == 0 ? "none" : "some, so latencies are not of one device");
  g_string_append (page->out, "<div class=\"pair\" style=\"margin-top:12px\">\n");
  add_provenance (page, "Training", data->train_provenance);
  add_provenance (page, "Measuring", data->measure_provenance);
  g_string_append (page->out, "</div>\n");
  if (data->train_provenance == NULL && data->measure_provenance == NULL)
    g_string_append (page->out, "<p class=\"note\">No run has finished, so no machine can be named.</p>\n");
}

void
fm_page_add_redo (FmPage *page, FmReportData *data)
{
  g_autofree char *file = fm_report_file_name (data), *took = NULL;

  g_string_append (page->out, "<h2 id=\"redo\">Redo it</h2>\n");
  fm_page_printf (page, "<div class=\"cmd\"><code>formarium run %s</code>", file);
  if (data->batch->ended_us > data->batch->created_us)
    {
      took = fm_format_duration ((data->batch->ended_us - data->batch->created_us) / 1e6);
      fm_page_printf (page, "<span>took %s here, pauses included</span>", took);
    }
  g_string_append (page->out, "</div>\n");
  fm_page_printf (page, "<div class=\"cmd\"><code>formarium report %" G_GINT64_FORMAT " -o report.html</code>"
                        "<span>this page</span></div>\n",
                  data->batch->id);
  if (data->batch->text != NULL)
    fm_page_printf (page, "<details><summary>The batch file</summary><pre>%s</pre></details>\n", data->batch->text);
}
