/* html.c: one self-contained page: no script, no foreign file, readable on paper, on a phone and by a screen reader.
 * The sentence comes first, then the table, figures only after it. */
#include <stdarg.h>
#include <string.h>

#include "config.h"

#include "app/report/report-private.h"

static const char style[] =
  ":root{--page:#fff;--ink:#2e2e33;--dim:#6b6b70;--line:#e4e4e7;--rule:#77777c;--link:#1c6fd0;--code:#f4f4f5;"
  "--warn:#fdf2d6;--warn-ink:#6f4400;color-scheme:light dark}"
  "@media (prefers-color-scheme:dark){:root{--page:#242424;--ink:#f0f0f0;--dim:#a9a9ad;--line:#3c3c3f;--rule:#88888d;"
  "--link:#84baf5;--code:#303032;--warn:#3d3320;--warn-ink:#f8d689}}"
  "@media print{:root{--page:#fff;--ink:#2e2e33;--dim:#5c5c61;--line:#d8d8dc;--rule:#77777c;--link:#2e2e33;"
  "--code:#f4f4f5;--warn:#fdf2d6;--warn-ink:#6f4400;color-scheme:light}nav{display:none}}"
  "*{box-sizing:border-box}"
  "body{margin:0;background:var(--page);color:var(--ink);"
  "font:0.95rem/1.5 Cantarell,'Adwaita Sans',system-ui,sans-serif}"
  "main{max-width:968px;margin:0 auto;padding:36px 24px 60px}"
  "h1{font-size:1.85rem;line-height:1.2;margin:2px 0 12px}h2{font-size:1.4rem;margin:44px 0 10px}"
  "h3{font-size:0.95rem;margin:0 0 6px}p{margin:0 0 12px}"
  ".top,.note,figcaption{color:var(--dim);font-size:0.86rem}.top{margin:0}.lead{font-size:1.05rem;max-width:50em}"
  "a{color:var(--link);text-decoration:none}a:hover,a:focus{text-decoration:underline}"
  "nav{display:flex;flex-wrap:wrap;gap:4px 22px;margin:14px 0 0;font-size:0.9rem}"
  ".box{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}"
  "th,td{padding:6px 8px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}"
  "th{font-size:0.84rem;color:var(--dim);font-weight:600;border-top:1px solid var(--rule);"
  "border-bottom:1px solid var(--rule)}"
  "th:first-child,td:first-child,th.l,td.l{text-align:left}th:first-child,td:first-child{padding-left:0}"
  "td.l{white-space:normal}td.wide{min-width:16em;padding-left:1.9em;text-indent:-1.4em}"
  "th.wide{padding-left:1.9em}td.wide span{text-indent:0}"
  "td.level{padding-left:20px!important}.sign{display:inline-block;width:1.4em}.dim{color:var(--dim)}"
  ".pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:26px 50px;"
  "margin-top:26px}"
  ".four{display:grid;grid-template-columns:repeat(auto-fill,minmax(212px,1fr));gap:18px 24px;margin:16px 0}"
  ".looks{display:flex;align-items:flex-start;gap:6px}figure{margin:0;min-width:0}"
  "svg{display:block;max-width:100%;height:auto}"
  "td svg{display:inline-block;vertical-align:-1px;margin-right:8px}h3 svg{display:inline-block;margin-right:8px}"
  ".light{display:contents}.dark{display:none}"
  "@media screen and (prefers-color-scheme:dark){.light{display:none}.dark{display:contents}}"
  "figcaption{margin-top:6px}details{font-size:0.86rem;margin-top:2px}summary{color:var(--link);cursor:pointer;"
  "width:fit-content}details table{width:auto;margin:8px 0}details th,details td{padding:3px 10px}"
  ".alarm{background:var(--warn);color:var(--warn-ink);border-radius:10px;padding:10px 14px;margin:12px 0}"
  ".cmd{display:flex;flex-wrap:wrap;justify-content:space-between;gap:4px 24px;background:var(--code);"
  "border-radius:10px;padding:9px 14px;margin:8px 0}code,pre{font:0.86rem/1.5 'DejaVu Sans Mono',monospace}"
  ".cmd span{color:var(--dim);font-size:0.86rem}pre{background:var(--code);border-radius:10px;padding:12px 14px;"
  "overflow-x:auto;margin:8px 0}"
  "dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 24px;margin:0}dt{color:var(--dim)}dd{margin:0}"
  "@media (max-width:500px){main{padding:20px 14px 40px}dl{grid-template-columns:1fr}dd{margin-bottom:6px}}";

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

  fm_page_printf (page, "<details><summary>%s</summary><div class=\"box\"><table>\n", summary);
  for (guint r = 0; r < owned->rows->len; r++)
    {
      char **row = g_ptr_array_index (owned->rows, r);

      g_string_append (page->out, "<tr>");
      for (gsize c = 0; row[c] != NULL; c++)
        fm_page_printf (page, r == 0 ? "<th scope=\"col\">%s</th>" : "<td>%s</td>", row[c]);
      g_string_append (page->out, "</tr>\n");
    }
  g_string_append (page->out, "</table></div></details>\n");
}

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
                             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
  fm_page_printf (&page, "<meta name=\"generator\" content=\"Formarium %s\">\n<title>%s</title>\n", FM_VERSION, title);
  g_string_append_printf (page.out, "<style>%s</style>\n</head>\n<body>\n<main>\n", style);
  fm_page_printf (&page, "<p class=\"top\">Formarium report · %s</p>\n<h1>%s</h1>\n<p class=\"lead\">%s</p>\n", date,
                  title, sentence);
  g_string_append (page.out,
                   "<nav aria-label=\"Parts\"><a href=\"#results\">Results</a><a href=\"#figures\">Figures</a>"
                   "<a href=\"#attention\">Attention</a><a href=\"#routing\">Routing</a>"
                   "<a href=\"#measured\">How it was measured</a><a href=\"#redo\">Redo it</a></nav>\n");
  fm_page_add_results (&page, data);
  fm_page_add_figures (&page, data);
  fm_page_add_attention (&page, data);
  fm_page_add_routing (&page, data);
  fm_page_add_measuring (&page, data);
  fm_page_add_redo (&page, data);
  g_string_append (page.out, "</main>\n</body>\n</html>\n");
  return g_string_free (page.out, FALSE);
}
