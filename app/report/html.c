/* html.c: one self-contained page: no foreign file, readable without script, on paper, on a phone and by a screen
 * reader. The sentence comes first, then the table, figures only after it. */
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "config.h"

#include "app/report/report-private.h"

/* page.css and sort.js lie beside this file. */
static void
append_resource (GString *out, const char *name)
{
  g_autofree char *path = g_strconcat ("/formarium/report/", name, NULL);
  g_autoptr (GBytes) bytes = g_resources_lookup_data (path, G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);

  g_string_append_len (out, g_bytes_get_data (bytes, NULL), (gssize) g_bytes_get_size (bytes));
}

void
fm_page_printf (FmPage *page, const char *format, ...)
{
  va_list values;
  g_autofree char *markup = NULL;

  va_start (values, format);
  markup = g_markup_vprintf_escaped (format, values);
  va_end (values);
  g_string_append (page->out, markup);
}

static void
append_drawing (FmPage *page, const FmFigure *figure, gconstpointer model, gdouble width, gdouble height,
                const FmFigureStyle *figure_style, const char *class, const char *alternative)
{
  g_autofree char *prefix = g_strdup_printf ("p%u-", page->n_pictures++);
  g_autofree char *svg = fm_figure_to_svg (figure, model, width, height, figure_style, prefix);
  const char *rest = svg + MIN (strlen (svg), strlen ("<svg"));

  fm_page_printf (page, "<span class=\"%s\"><svg ", class);
  if (alternative != NULL)
    fm_page_printf (page, "role=\"img\" aria-label=\"%s\"", alternative);
  else
    g_string_append (page->out, "aria-hidden=\"true\"");
  g_string_append (page->out, rest);
  while (page->out->len > 0 && page->out->str[page->out->len - 1] == '\n')
    g_string_truncate (page->out, page->out->len - 1);
  g_string_append (page->out, "</span>");
}

void
fm_page_figure (FmPage *page, const FmFigure *figure, gconstpointer model, gdouble width, gdouble height,
                const char *alternative)
{
  append_drawing (page, figure, model, width, height, &FM_FIGURE_STYLE_PRINT, "light", alternative);
  append_drawing (page, figure, model, width, height, &FM_FIGURE_STYLE_DARK, "dark", alternative);
  g_string_append_c (page->out, '\n');
}

void
fm_page_details (FmPage *page, const char *summary, FmFigureTable *table)
{
  g_autoptr (FmFigureTable) owned = table;

  fm_page_printf (page,
                  "<details><summary>%s</summary><div class=\"box\" tabindex=\"0\" role=\"region\" aria-label=\"%s\">"
                  "<table class=\"sort\">\n",
                  summary, owned->caption != NULL ? owned->caption : summary);
  for (guint r = 0; r < owned->rows->len; r++)
    {
      char **row = g_ptr_array_index (owned->rows, r);

      g_string_append (page->out, r == 0 ? "<thead><tr>" : "<tr>");
      for (gsize c = 0; row[c] != NULL; c++)
        fm_page_printf (page, r == 0 ? "<th scope=\"col\">%s</th>" : "<td>%s</td>", row[c]);
      g_string_append (page->out, r == 0 ? "</tr></thead><tbody>\n" : "</tr>\n");
    }
  g_string_append (page->out, "</tbody></table></div></details>\n");
}

/* --- Tables -------------------------------------------------------------------------------------------------------*/

static void
add_cell (FmPage *page, const FmReportTable *table, const FmReportRow *row, guint index)
{
  const FmReportCell *cell = g_ptr_array_index (row->cells, index);
  const FmReportColumn *column = &table->columns[index];
  gboolean verdict = column->left && cell->sign != NULL, number = !column->left && cell->extra != NULL;
  char value[G_ASCII_DTOSTR_BUF_SIZE];

  g_string_append_printf (page->out, "<td class=\"%s%s%s\"",
                          strcmp (column->title, "Variant") == 0 ? "l name"
                          : column->left                         ? "l"
                                                                 : "n",
                          column->mono ? " mono" : "",
                          verdict                                                     ? " wide"
                          : column->left && !column->mono && strlen (cell->text) > 60 ? " say"
                                                                                      : "");
  if (isfinite (cell->value))
    g_string_append_printf (page->out, " data-v=\"%s\"", g_ascii_formatd (value, sizeof value, "%.10g", cell->value));
  g_string_append_c (page->out, '>');
  if (index == 0 && row->variant != FM_REPORT_NO_VARIANT)
    {
      gint variant = row->variant;

      fm_page_figure (page, &fm_figure_marker, &variant, 12, 12, NULL);
    }
  if (cell->sign != NULL)
    fm_page_printf (page, "<span class=\"sign\">%s</span>", cell->sign);
  if (cell->to != NULL)
    fm_page_printf (page, "<a href=\"#%s\">", cell->to);
  fm_page_printf (page,
                  number || strcmp (cell->text, "FAIL") == 0 ? "<strong>%s</strong>"
                  : column->mono && !column->left            ? "<code>%s</code>"
                                                             : "%s",
                  cell->text);
  if (cell->to != NULL)
    g_string_append (page->out, "</a>");
  if (cell->extra != NULL) /* a long one would push other columns out of the page */
    fm_page_printf (page, " <span class=\"%s\">%s</span>",
                    number && g_utf8_strlen (cell->extra, -1) > 16 ? "dim under" : "dim", cell->extra);
  g_string_append (page->out, "</td>");
}

/* Chance, and rules without mixing: name, score, and in words what it is, as wide as it needs. */
static void
add_level_row (FmPage *page, const FmReportRow *row, guint n_columns)
{
  const FmReportCell *name = g_ptr_array_index (row->cells, 0), *score = g_ptr_array_index (row->cells, 1);
  const FmReportCell *help = g_ptr_array_index (row->cells, row->cells->len - 1);

  fm_page_printf (page, "<tr><td class=\"l name\">%s</td><td>%s</td><td class=\"l\" colspan=\"%u\">%s</td></tr>\n",
                  name->text, score->text, n_columns - 2, help->text);
}

static void
add_table_row (FmPage *page, const FmReportTable *table, const FmReportRow *row, guint n_columns)
{
  g_string_append (page->out, "<tr");
  if (row->name != NULL)
    fm_page_printf (page, " id=\"%s\"", row->name);
  g_string_append (page->out, row->more != NULL ? " class=\"main\">" : ">");
  for (guint c = 0; c < row->cells->len; c++)
    add_cell (page, table, row, c);
  g_string_append (page->out, "</tr>\n");
  if (row->more != NULL)
    fm_page_printf (page,
                    "<tr class=\"more\"><td colspan=\"%u\"><details><summary>Recipe</summary><pre>%s</pre></details>"
                    "</td></tr>\n",
                    n_columns, row->more);
}

void
fm_page_table (FmPage *page, const FmReportTable *table, guint heading)
{
  guint n_columns = 0, n = table->rows->len - table->n_levels;

  if (heading > 0)
    fm_page_printf (page, "<h%u id=\"%s\" class=\"%s\">%s</h%u>\n", heading, table->id, heading > 2 ? "part" : "main",
                    table->title, heading);
  if (table->above != NULL && *table->above != '\0')
    fm_page_printf (page, "<p class=\"note\">%s</p>\n", table->above);
  if (table->rows->len == 0)
    {
      g_string_append (page->out, "<p class=\"note\">Nothing measured yet.</p>\n");
      return;
    }
  fm_page_printf (page, "<div class=\"box\" tabindex=\"0\" role=\"region\" aria-label=\"%s\"><table class=\"sort\">\n"
                        "<thead><tr>", table->title);
  for (; table->columns[n_columns].title != NULL; n_columns++)
    fm_page_printf (page, "<th scope=\"col\" class=\"%s\">%s</th>", table->columns[n_columns].left ? "l" : "n",
                    table->columns[n_columns].title);
  g_string_append (page->out, "</tr></thead>\n<tbody>\n");
  for (guint r = 0; r < table->rows->len; r++)
    {
      if (r == n)
        g_string_append (page->out, "</tbody>\n<tfoot>\n");
      if (r < n)
        add_table_row (page, table, g_ptr_array_index (table->rows, r), n_columns);
      else
        add_level_row (page, g_ptr_array_index (table->rows, r), n_columns);
    }
  g_string_append (page->out, table->n_levels > 0 ? "</tfoot></table></div>\n" : "</tbody></table></div>\n");
  if (table->below != NULL)
    fm_page_printf (page, "<p class=\"note\" style=\"margin-top:8px\">%s</p>\n", table->below);
}

/* --- The page -----------------------------------------------------------------------------------------------------*/

char *
fm_report_to_html (FmStore *store, gint64 batch, GError **error)
{
  g_autoptr (FmReportData) data = fm_report_data_load (store, batch, error);
  FmPage page = { 0 };
  const char *title;
  g_autofree char *date = NULL, *sentence = NULL;

  if (data == NULL)
    return NULL;
  page.out = g_string_sized_new (1 << 18);
  title = data->batch->title != NULL ? data->batch->title : "Results";
  date = fm_report_date (data);
  sentence = fm_results_table_sentence (data->table);
  g_string_append (page.out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                             /* The browser itself sees to it that the page fetches nothing. */
                             "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
                             "'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">\n");
  fm_page_printf (&page, "<meta name=\"generator\" content=\"Formarium %s\">\n<title>%s</title>\n", FM_VERSION, title);
  g_string_append (page.out, "<style>\n");
  append_resource (page.out, "page.css");
  g_string_append (page.out, "</style>\n</head>\n<body>\n<main>\n");
  fm_page_printf (&page, "<p class=\"top\">Formarium report · %s</p>\n<h1>%s</h1>\n<p class=\"lead\">%s</p>\n", date,
                  title, sentence);
  g_string_append (page.out,
                   "<nav aria-label=\"Parts\">");
  if (data->claim != NULL)
    g_string_append (page.out, "<a href=\"#claim\">Claim</a>");
  g_string_append (page.out,
                   "<a href=\"#results\">Results</a><a href=\"#figures\">Figures</a>"
                   "<a href=\"#attention\">Attention</a><a href=\"#routing\">Routing</a>"
                   "<a href=\"#measured\">How it was measured</a><a href=\"#runs\">Runs</a>"
                   "<a href=\"#stages\">Stages</a><a href=\"#redo\">Redo it</a></nav>\n");
  fm_page_add_claim (&page, data);
  fm_page_add_results (&page, data);
  fm_page_add_figures (&page, data);
  fm_page_add_attention (&page, data);
  fm_page_add_routing (&page, data);
  fm_page_add_measuring (&page, data);
  fm_page_add_appendix (&page, data);
  fm_page_add_redo (&page, data);
  g_string_append (page.out, "<script>\n");
  append_resource (page.out, "sort.js");
  g_string_append (page.out, "</script>\n");
  g_string_append (page.out, "</main>\n</body>\n</html>\n");
  return g_string_free (page.out, FALSE);
}
