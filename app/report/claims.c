/* claims.c: "The paper said, under these conditions" beside "we got", where a batch is a claim. */
#include <math.h>

#include "app/report/report-private.h"

#define LIST "<dl style=\"display:grid;grid-template-columns:max-content 1fr;gap:4px 18px;margin:0\">\n"

static void
cell_free (FmReportCell *cell)
{
  g_free (cell->text);
  g_free (cell->sign);
  g_free (cell);
}

static void
row_free (FmReportRow *row)
{
  g_ptr_array_unref (row->cells);
  g_free (row);
}

static void
add_cell (FmReportRow *row, const char *text, const char *sign)
{
  FmReportCell *cell = g_new0 (FmReportCell, 1);

  cell->text = g_strdup (text);
  cell->sign = g_strdup (sign);
  cell->value = NAN;
  g_ptr_array_add (row->cells, cell);
}

/* Each part is a sentence or more; a full stop is added where there is none. */
static void
append_sentence (GString *out, const char *before, const char *text)
{
  if (text == NULL)
    return;
  g_string_append_printf (out, "%s%s%s%s", out->len > 0 ? " " : "", before, text,
                          g_str_has_suffix (text, ".") || g_str_has_suffix (text, "?") ? "" : ".");
}

static char *
paper_text (const FmBatchClaim *claim)
{
  GString *out = g_string_new (NULL);

  append_sentence (out, "The paper said: ", claim->says);
  append_sentence (out, "Its numbers: ", claim->numbers);
  append_sentence (out, "Under these conditions: ", claim->conditions);
  append_sentence (out, "", claim->citation);
  append_sentence (out, "arXiv:", claim->arxiv);
  append_sentence (out, "Here: ", claim->scale);
  return g_string_free (out, FALSE);
}

FmReportTable *
fm_report_table_claim (FmReportData *data)
{
  static const FmReportColumn columns[] = { { "Expected", TRUE }, { "We got", TRUE }, { "Verdict", TRUE }, { NULL } };
  FmReportTable *table = g_new0 (FmReportTable, 1);

  table->id = "claim";
  table->title = "The paper said, and we got";
  table->columns = columns;
  table->rows = g_ptr_array_new_with_free_func ((GDestroyNotify) row_free);
  if (data->claim == NULL)
    return table;
  for (guint i = 0; i < data->claim->findings->len; i++)
    {
      const FmClaimFinding *f = g_ptr_array_index (data->claim->findings, i);
      g_autofree char *found = fm_claim_finding_text (f);
      FmReportRow *row = g_new0 (FmReportRow, 1);

      row->variant = FM_REPORT_NO_VARIANT;
      row->cells = g_ptr_array_new_with_free_func ((GDestroyNotify) cell_free);
      add_cell (row, f->expectation->text, NULL);
      add_cell (row, found, NULL);
      add_cell (row, fm_claim_verdict_word (f->verdict), fm_claim_verdict_sign (f->verdict));
      g_ptr_array_add (table->rows, row);
    }
  {
    g_autofree char *sentence = fm_claim_result_sentence (data->claim);
    g_autofree char *level = fm_claim_result_level_text (data->claim);

    table->above = paper_text (data->claim->claim);
    table->below = g_strdup_printf ("Claim %s. %s %s", fm_claim_verdict_word (data->claim->verdict), sentence, level);
  }
  return table;
}

static void
add_part (FmPage *page, const char *name, const char *text)
{
  if (text != NULL)
    fm_page_printf (page, "<dt class=\"dim\">%s</dt><dd style=\"margin:0\">%s</dd>\n", name, text);
}

void
fm_page_add_claim (FmPage *page, FmReportData *data)
{
  g_autoptr (FmVerdictChart) chart = data->claim != NULL ? fm_verdict_chart_new (data->claim) : NULL;
  g_autofree char *sentence = data->claim != NULL ? fm_claim_result_sentence (data->claim) : NULL;
  g_autofree char *level = data->claim != NULL ? fm_claim_result_level_text (data->claim) : NULL;
  const FmBatchClaim *claim;

  if (data->claim == NULL)
    return;
  claim = data->claim->claim;
  fm_page_printf (page, "<h2 id=\"claim\">%s Claim %s</h2>\n<p>%s</p>\n<div class=\"pair\" style=\"margin-top:12px\">\n",
                  fm_claim_verdict_sign (data->claim->verdict), fm_claim_verdict_word (data->claim->verdict), sentence);
  fm_page_printf (page, "<div><h3>The paper said, under these conditions</h3>\n<p>%s</p>\n",
                  claim->says != NULL ? claim->says : "No paper: a claim of one's own.");
  g_string_append (page->out, LIST);
  add_part (page, "Numbers", claim->numbers);
  add_part (page, "Conditions", claim->conditions);
  add_part (page, "Paper", claim->citation);
  add_part (page, "arXiv", claim->arxiv);
  g_string_append (page->out, "</dl></div>\n<div><h3>We got</h3>\n" LIST);
  for (guint i = 0; i < data->claim->findings->len; i++)
    {
      const FmClaimFinding *f = g_ptr_array_index (data->claim->findings, i);
      g_autofree char *found = fm_claim_finding_text (f);

      fm_page_printf (page, "<dt>%s %s</dt><dd style=\"margin:0\">%s<br><span class=\"dim\">where expected was %s</span>"
                            "</dd>\n",
                      fm_claim_verdict_sign (f->verdict), f->expectation->name, found, f->expectation->text);
    }
  add_part (page, "Scale", claim->scale);
  g_string_append (page->out, "</dl></div></div>\n<figure class=\"wide\" style=\"margin-top:18px\">\n"
                              "<div class=\"box\" tabindex=\"0\" role=\"region\" aria-label=\"Verdicts\">\n");
  fm_page_figure (page, &fm_figure_verdicts, chart, 900, fm_verdict_chart_height (chart, 1),
                  "What was expected and what was found; the table below it has the numbers");
  fm_page_printf (page, "</div><figcaption>%s</figcaption>", level);
  fm_page_details (page, "Table", fm_figure_verdicts.table (chart));
  g_string_append (page->out, "</figure>\n");
}
