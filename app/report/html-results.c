/* html-results.c: the table, the two figures under it, how it was measured, how to do it again. */
#include <string.h>

#include "app/report/report-private.h"
#include "app/results/format.h"

/* Comparisons that the batch names itself are sentences first. */
void
fm_page_add_results (FmPage *page, FmReportData *data)
{
  g_autoptr (FmReportTable) results = fm_report_table_results (data), costs = fm_report_table_costs (data);
  g_autoptr (FmReportTable) comparisons = fm_report_table_comparisons (data), modes = fm_report_table_modes (data);
  g_autofree char *named = fm_results_table_comparisons_text (data->table);
  g_auto (GStrv) sentences = g_strsplit (g_strchomp (named), "\n", -1);

  fm_page_table (page, results, 2);
  if (results->rows->len == 0)
    return;
  for (guint i = 0; sentences[i] != NULL; i++)
    fm_page_printf (page, "<p class=\"note\">%s.</p>\n", sentences[i]);
  if (comparisons->rows->len > 0)
    fm_page_table (page, comparisons, 3);
  fm_page_table (page, costs, 3);
  if (modes->rows->len > 0)
    fm_page_table (page, modes, 3);
}

/* --- Figures ------------------------------------------------------------------------------------------------------*/

void
fm_page_add_figures (FmPage *page, FmReportData *data)
{
  g_autoptr (GPtrArray) figures = fm_report_figures (data);

  g_autofree char *held = fm_results_table_held_equal (data->table), *levels = fm_report_levels (data);

  g_string_append (page->out, "<h2 id=\"figures\">Figures</h2>\n");
  if (figures->len > 0 && (*held != '\0' || *levels != '\0'))
    fm_page_printf (page, "<p class=\"note\">%s%s%s%s</p>\n", *held != '\0' ? "Held equal: " : "", held,
                    *held != '\0' ? ". " : "", levels);
  g_string_append (page->out, "<div class=\"pair\" style=\"margin-top:12px\">\n");
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

void
fm_page_add_measuring (FmPage *page, FmReportData *data)
{
  g_autofree char *counts = fm_results_table_counts (data->table);
  gint64 fallbacks = 0;

  for (guint i = 0; i < fm_results_table_get_n_rows (data->table); i++)
    fallbacks += fm_results_row_get (fm_results_table_get_row (data->table, i))->fallbacks;
  fm_page_printf (
      page,
      "<h2 id=\"measured\">How it was measured</h2>\n<p>%s. Every run trained and was measured in a "
      "process of its own; latencies were taken while this program's other workers kept still, the "
      "variants taking turns. The seed is the unit of every statement: intervals are over seeds, not over test "
      "examples. "
      "Operations that ran elsewhere than asked: %s.</p>\n",
      counts, fallbacks == 0 ? "none" : "some, so latencies are not of one device");
  if (data->machines->len == 0)
    g_string_append (page->out, "<p class=\"note\">No run has finished, so no machine can be named.</p>\n");
}

/* Where every number comes from. */
void
fm_page_add_appendix (FmPage *page, FmReportData *data)
{
  g_autoptr (FmReportTable) runs = fm_report_table_runs (data), stages = fm_report_table_stages (data);
  g_autoptr (FmReportTable) machines = fm_report_table_machines (data);

  if (machines->rows->len > 0)
    fm_page_table (page, machines, 3);
  if (runs->rows->len == 0)
    return;
  fm_page_table (page, runs, 2);
  fm_page_table (page, stages, 2);
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
    fm_page_printf (page, "<details open><summary>The batch file</summary><pre>%s</pre></details>\n",
                    data->batch->text);
}
