/* latex.c: the tables of a report for a paper: a document that compiles as it stands (booktabs), with the sentence
 * above the table, what was held equal in its caption and each table between two comments for who wants it alone. */
#include "app/report/report-private.h"

#include <string.h>

/* What the tables of this program hold beyond ASCII, and what ASCII means to TeX. */
static const struct
{
  gunichar    c;
  const char *tex;
} signs[] = {
  { '\\', "\\textbackslash{}" },
  { '{', "\\{" },
  { '}', "\\}" },
  { '$', "\\$" },
  { '&', "\\&" },
  { '#', "\\#" },
  { '%', "\\%" },
  { '_', "\\_" },
  { '^', "\\textasciicircum{}" },
  { '~', "\\textasciitilde{}" },
  { '<', "\\textless{}" },
  { '>', "\\textgreater{}" },
  { '"', "\\textquotedbl{}" },
  { '|', "\\textbar{}" },
  { 0x2212, "$-$" },
  { 0xd7, "$\\times$" },
  { 0x2013, "--" },
  { 0x2014, "---" },
  { 0x221e, "$\\infty$" },
  { 0xb5, "\\textmu{}" },
  { 0xb2, "\\textsuperscript{2}" },
  { 0xb1, "$\\pm$" },
  { 0x2265, "$\\geq$" },
  { 0x2264, "$\\leq$" },
  { 0x201c, "``" },
  { 0x201d, "''" },
  { 0x2018, "`" },
  { 0x2019, "'" },
  { 0x2026, "\\ldots{}" },
  { 0xb7, "\\textperiodcentered{}" },
  { 0x2713, "$\\checkmark$" },
  { 0x2717, "$\\times$" },
  { 0x2715, "$\\times$" },
  { 0x25b2, "$\\blacktriangle$" },
  { 0x25bc, "$\\blacktriangledown$" },
  { 0xa0, "~" },
  { 0x202f, "\\," },
  { 0x2009, "\\," },
};

/* A letter that pdfTeX has no glyph for is shown by its number, so that the document compiles and nothing is lost. */
static void
append_tex (GString *out, const char *text)
{
  for (const char *at = text; *at != '\0'; at = g_utf8_next_char (at))
    {
      gunichar c = g_utf8_get_char (at);
      const char *tex = NULL;

      for (gsize i = 0; i < G_N_ELEMENTS (signs) && tex == NULL; i++)
        if (signs[i].c == c)
          tex = signs[i].tex;
      if (tex != NULL)
        g_string_append (out, tex);
      else if (g_unichar_isspace (c) || g_unichar_iscntrl (c))
        g_string_append_c (out, ' ');
      else if (c < 0x180) /* what T1 fonts hold */
        g_string_append_unichar (out, c);
      else
        g_string_append_printf (out, "[U+%04X]", c);
    }
}

/* --- Tables -------------------------------------------------------------------------------------------------------*/

/* Names of rows hold what \hypertarget takes: letters, digits and hyphens. */
static void
append_cell (GString *out, const FmReportColumn *column, const FmReportRow *row, guint index, GHashTable *names)
{
  const FmReportCell *cell = g_ptr_array_index (row->cells, index);
  g_autofree char *text = fm_report_cell_text (cell);
  gboolean link = cell->to != NULL && *text != '\0' && g_hash_table_contains (names, cell->to);

  if (index == 0 && row->name != NULL)
    g_string_append_printf (out, "\\hypertarget{%s}{}", row->name);
  if (link)
    g_string_append_printf (out, "\\hyperlink{%s}{", cell->to);
  if (column->mono)
    g_string_append (out, "\\texttt{");
  append_tex (out, text);
  g_string_append (out, column->mono ? "}" : "");
  g_string_append (out, link ? "}" : "");
}

static void
append_rows (GString *out, const FmReportTable *table, GHashTable *names)
{
  guint n = 0;

  while (table->columns[n].title != NULL)
    n++;
  for (guint r = 0; r < table->rows->len; r++)
    {
      const FmReportRow *row = g_ptr_array_index (table->rows, r);
      const FmReportCell *last = g_ptr_array_index (row->cells, n - 1);

      if (r == table->rows->len - table->n_levels && r > 0)
        g_string_append (out, "\\midrule\n");
      for (guint c = 0; c < (row->dim ? 2 : n); c++)
        {
          g_string_append (out, c > 0 ? " & " : "");
          append_cell (out, &table->columns[c], row, c, names);
        }
      if (row->dim && *last->text != '\0')
        {
          g_string_append_printf (out, " & \\multicolumn{%u}{l}{", n - 2);
          append_tex (out, last->text);
          g_string_append_c (out, '}');
        }
      g_string_append (out, " \\\\\n");
    }
}

/* Titles of numbers are broken into lines, so that the numbers decide how wide a column is. */
static void
append_titles (GString *out, const FmReportTable *table)
{
  for (guint c = 0; table->columns[c].title != NULL; c++)
    {
      g_auto (GStrv) words = g_strsplit (table->columns[c].title, " ", -1);
      gsize on_line = 0;

      g_string_append (out, c > 0 ? " & " : "");
      g_string_append (out, table->columns[c].left ? "" : "\\shortstack[r]{");
      for (gsize i = 0; words[i] != NULL; i++)
        {
          gboolean fits = table->columns[c].left || on_line + g_utf8_strlen (words[i], -1) <= 10;

          g_string_append (out, i == 0 ? "" : fits ? " " : "\\\\");
          append_tex (out, words[i]);
          on_line = (fits ? on_line + 1 : 0) + g_utf8_strlen (words[i], -1);
        }
      g_string_append (out, table->columns[c].left ? "" : "}");
    }
  g_string_append (out, " \\\\\n\\midrule\n");
}

static void
append_caption (GString *out, const FmReportTable *table, const char *title)
{
  g_string_append (out, "\\caption{");
  append_tex (out, title);
  g_string_append_c (out, '.');
  for (guint i = 0; i < 2; i++)
    {
      const char *part = i == 0 ? table->above : table->below;

      if (part != NULL && *part != '\0')
        {
          g_string_append_c (out, ' ');
          append_tex (out, part);
        }
    }
  g_string_append_c (out, '}');
}

static gboolean
has_long (const FmReportTable *table, guint column)
{
  for (guint r = 0; r < table->rows->len - table->n_levels; r++)
    {
      const FmReportRow *row = g_ptr_array_index (table->rows, r);
      g_autofree char *text = fm_report_cell_text (g_ptr_array_index (row->cells, column));

      if (g_utf8_strlen (text, -1) > 40)
        return TRUE;
    }
  return FALSE;
}

/* How many letters a row takes at most. */
static gsize
letters_across (const FmReportTable *table)
{
  gsize sum = 0;

  for (guint c = 0; table->columns[c].title != NULL; c++)
    {
      gsize most = 0;

      for (guint r = 0; r < table->rows->len - table->n_levels; r++)
        {
          const FmReportRow *row = g_ptr_array_index (table->rows, r);
          g_autofree char *text = fm_report_cell_text (g_ptr_array_index (row->cells, c));

          most = MAX (most, g_utf8_strlen (text, -1));
        }
      sum += MAX (most, 6) + 1;
    }
  return sum;
}

/* One for the text of a paper: as wide as the page, words share what numbers leave. */
static void
append_table (GString *out, const FmReportTable *table, const char *title, GHashTable *names)
{
  guint last = 0;

  if (table->rows->len == 0)
    return;
  while (table->columns[last + 1].title != NULL)
    last++;
  g_string_append_printf (out, "%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%\n\\begin{table}[h]\n\\centering\\%s\n",
                          letters_across (table) > 92 ? "scriptsize" : "footnotesize");
  append_caption (out, table, title);
  g_string_append (out, "\n\\setlength{\\tabcolsep}{4pt}\n\\begin{tabularx}{\\textwidth}{");
  for (guint c = 0; c <= last; c++)
    g_string_append (out, !table->columns[c].left ? "r" : c == last || (c == 0 && !table->columns[last].left)
                              || has_long (table, c) ? ">{\\raggedright\\arraybackslash}X" : "l");
  g_string_append (out, "}\n\\toprule\n");
  append_titles (out, table);
  append_rows (out, table, names);
  g_string_append (out, "\\bottomrule\n\\end{tabularx}\n\\end{table}\n%%%%%%%%%%%%%%%%%%%%\n");
}

/* One for the appendix, over as many pages as it takes. */
static void
append_long_table (GString *out, const FmReportTable *table, GHashTable *names)
{
  if (table->rows->len == 0)
    return;
  g_string_append (
      out, "\n{\\scriptsize\\setlength{\\tabcolsep}{2.5pt}\\setlength{\\LTcapwidth}{\\textwidth}\n\\begin{longtable}{");
  for (guint c = 0; table->columns[c].title != NULL; c++)
    {
      gsize longest = 0;

      for (guint r = 0; r < table->rows->len; r++)
        {
          g_autofree char *text = fm_report_cell_text (((FmReportRow *) table->rows->pdata[r])->cells->pdata[c]);

          longest = MAX (longest, g_utf8_strlen (text, -1));
        }
      if (table->columns[c].left && !table->columns[c].mono && longest > 22)
        g_string_append_printf (out, ">{\\raggedright\\arraybackslash}p{%dmm}", longest > 100 ? 150 : 38);
      else
        g_string_append (out, table->columns[c].left ? "l" : "r");
    }
  g_string_append (out, "}\n");
  append_caption (out, table, table->title);
  g_string_append (out, " \\\\\n\\toprule\n");
  append_titles (out, table);
  g_string_append (out, "\\endfirsthead\n\\toprule\n");
  append_titles (out, table);
  g_string_append (out, "\\endhead\n\\bottomrule\n\\endfoot\n");
  append_rows (out, table, names);
  g_string_append (out, "\\end{longtable}}\n");
}

static GHashTable *
names_of (GPtrArray *tables)
{
  GHashTable *names = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint t = 0; t < tables->len; t++)
    for (guint r = 0; r < ((FmReportTable *) tables->pdata[t])->rows->len; r++)
      {
        const FmReportRow *row = ((FmReportTable *) tables->pdata[t])->rows->pdata[r];

        if (row->name != NULL)
          g_hash_table_add (names, row->name);
      }
  return names;
}

/* The batch file, line by line: \verbatim would end at a line of its own end. */
static void
append_lines (GString *out, const char *text)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);

  g_string_append (out, "\n\\medskip{\\scriptsize\\ttfamily\\raggedright\n");
  for (guint i = 0; lines[i] != NULL; i++)
    {
      g_string_append (out, "\\noindent ");
      append_tex (out, lines[i]);
      g_string_append (out, *lines[i] != '\0' ? "\\par\n" : "\\mbox{}\\par\n");
    }
  g_string_append (out, "}\n");
}

char *
fm_report_to_latex (FmStore *store, gint64 batch, GError **error)
{
  g_autoptr (FmReportData) data = fm_report_data_load (store, batch, error);
  g_autoptr (GPtrArray) tables = NULL, figures = NULL;
  g_autoptr (GHashTable) names = NULL;
  g_autofree char *sentence = NULL, *named = NULL, *redo = NULL, *date = NULL;
  GString *out;

  if (data == NULL)
    return NULL;
  tables = fm_report_tables (data);
  names = names_of (tables);
  sentence = fm_results_table_sentence (data->table);
  named = fm_results_table_comparisons_text (data->table);
  redo = fm_report_redo (data, 0);
  date = fm_report_date (data);
  out = g_string_new ("% Written by Formarium; compiles with pdflatex (twice, so that long tables align). Each table "
                      "of the text lies between two lines of signs.\n"
                      "\\documentclass[10pt]{article}\n\\usepackage[T1]{fontenc}\n\\usepackage[utf8]{inputenc}\n"
                      "\\usepackage{textcomp}\n\\usepackage{amssymb}\n\\usepackage{booktabs}\n\\usepackage{tabularx}"
                      "\n\\usepackage{longtable}\n"
                      "\\usepackage[margin=20mm]{geometry}\n\\usepackage[hidelinks]{hyperref}\n\\begin{document}\n"
                      "\\section*{");
  append_tex (out, data->batch->title != NULL ? data->batch->title : "Results");
  g_string_append_printf (out, "}\n\\noindent Formarium report, %s.\n\n\\medskip\\noindent ", date);
  append_tex (out, sentence);
  g_string_append (out, "\n\n");
  append_table (out, tables->pdata[FM_REPORT_CLAIM], "The paper said, and we got", names);
  append_table (out, tables->pdata[FM_REPORT_RESULTS],
                data->batch->title != NULL ? data->batch->title : "Results", names);
  if (*g_strchomp (named) != '\0')
    append_lines (out, named);
  append_table (out, tables->pdata[FM_REPORT_COMPARISONS], "Comparisons", names);
  append_table (out, tables->pdata[FM_REPORT_COSTS], "All costs", names);
  append_table (out, tables->pdata[FM_REPORT_MODES], "Training steps, prompts and tokens", names);
  if (data->runs->len > 0)
    {
      g_string_append (out, "\\clearpage\n\\section*{Where the numbers come from}\n");
      for (guint i = FM_REPORT_RUNS; i < tables->len; i++)
        append_long_table (out, tables->pdata[i], names);
    }
  g_string_append (out, "\n\\section*{Redo it}\n\\noindent\\texttt{");
  append_tex (out, redo);
  g_string_append (out, "}\n");
  if (data->batch->text != NULL)
    append_lines (out, data->batch->text);
  g_string_append (out, "\\end{document}\n");
  return g_string_free (out, FALSE);
}
