/* latex.c: the table of a batch for a paper: a document that compiles as it stands (booktabs), with the sentence above the
 * table, what was held equal in its caption and the rows between two comments for who wants these alone. */
#include "app/report/report-private.h"

#include <math.h>

#include "app/results/format.h"

/* What the tables of this program hold beyond ASCII, and what ASCII means to TeX. */
static const struct
{
  gunichar    c;
  const char *tex;
} signs[] = {
  { '\\', "\\textbackslash{}" }, { '{', "\\{" }, { '}', "\\}" }, { '$', "\\$" }, { '&', "\\&" }, { '#', "\\#" },
  { '%', "\\%" }, { '_', "\\_" }, { '^', "\\textasciicircum{}" }, { '~', "\\textasciitilde{}" }, { '<', "\\textless{}" },
  { '>', "\\textgreater{}" }, { '"', "\\textquotedbl{}" }, { '|', "\\textbar{}" }, { 0x2212, "$-$" }, { 0xd7, "$\\times$" },
  { 0x2013, "--" }, { 0x2014, "---" }, { 0x221e, "$\\infty$" }, { 0xb5, "\\textmu{}" }, { 0xb2, "\\textsuperscript{2}" },
  { 0xb1, "$\\pm$" }, { 0x2265, "$\\geq$" }, { 0x2264, "$\\leq$" }, { 0x201c, "``" }, { 0x201d, "''" },
  { 0x2018, "`" }, { 0x2019, "'" }, { 0x2026, "\\ldots{}" }, { 0xa0, "~" }, { 0x202f, "\\," }, { 0x2009, "\\," },
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

static void
append_cell (GString *out, char *text) /* (transfer full) */
{
  g_string_append (out, " & ");
  append_tex (out, text);
  g_free (text);
}

static char *
accuracy_text (const FmEstimate *a)
{
  g_autofree char *mean = fm_format_number (100 * a->mean, 1);
  g_autofree char *low = fm_format_number (100 * a->low, 1), *high = fm_format_number (100 * a->high, 1);

  return isnan (a->low) ? g_steal_pointer (&mean) : g_strdup_printf ("%s [%s, %s]", mean, low, high);
}

static void
append_variant (GString *out, FmResultsRow *row, gboolean tasks)
{
  const FmVariantResult *r = fm_results_row_get (row);

  append_tex (out, r->title);
  if (tasks)
    append_cell (out, g_strdup_printf ("%s, %s", r->task, r->device));
  append_cell (out, accuracy_text (&r->accuracy));
  append_cell (out, fm_format_latency (r->latency_us_median));
  append_cell (out, fm_format_megabytes (r->measured_peak_bytes));
  append_cell (out, fm_format_short_count (r->parameters < 0 ? NAN : (gdouble) r->parameters));
  append_cell (out, fm_format_short_count (r->flops));
  append_cell (out, fm_results_row_seeds_text (row));
  append_cell (out, fm_results_row_verdict_text (row));
  g_string_append (out, " \\\\\n");
}

/* "chance 10.0 %; the best rule without mixing 46.0 %" of each task. */
static void
append_levels (GString *out, FmResultsTable *table, gboolean tasks)
{
  g_autoptr (GHashTable) said = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < fm_results_table_get_n_rows (table); i++)
    {
      const FmVariantResult *r = fm_results_row_get (fm_results_table_get_row (table, i));
      g_autofree char *chance = fm_format_number (100 * r->chance_level, 1);
      g_autofree char *shortcut = fm_format_number (100 * r->best_shortcut_accuracy, 1);

      if (isnan (r->chance_level) || !g_hash_table_add (said, (gpointer) r->task))
        continue;
      g_string_append (out, " Chance level");
      if (tasks)
        {
          g_string_append (out, " of ");
          append_tex (out, r->task);
        }
      g_string_append_printf (out, ": %s\\,\\%%", chance);
      if (!isnan (r->best_shortcut_accuracy))
        g_string_append_printf (out, "; best rule without mixing: %s\\,\\%%", shortcut);
      g_string_append_c (out, '.');
    }
}

char *
fm_report_to_latex (FmStore *store, gint64 batch, GError **error)
{
  g_autoptr (FmResultsTable) table = fm_results_table_load (store, batch, error);
  g_autofree char *sentence = NULL, *held = NULL, *footnote = NULL;
  gboolean tasks = FALSE;
  GString *out;
  guint n;

  if (table == NULL)
    return NULL;
  n = fm_results_table_get_n_rows (table);
  sentence = fm_results_table_sentence (table);
  held = fm_results_table_held_equal (table);
  footnote = fm_results_table_footnote (table);
  for (guint i = 1; i < n; i++)
    {
      const FmVariantResult *a = fm_results_row_get (fm_results_table_get_row (table, 0));
      const FmVariantResult *b = fm_results_row_get (fm_results_table_get_row (table, i));

      tasks |= !g_str_equal (a->task, b->task) || !g_str_equal (a->device, b->device);
    }
  out = g_string_new ("% Written by Formarium; compiles with pdflatex. The table alone lies between the two lines of signs.\n"
                      "\\documentclass[10pt]{article}\n\\usepackage[T1]{fontenc}\n\\usepackage[utf8]{inputenc}\n"
                      "\\usepackage{textcomp}\n\\usepackage{booktabs}\n\\usepackage{tabularx}\n\\usepackage[margin=20mm]{geometry}\n"
                      "\\begin{document}\n\\noindent ");
  append_tex (out, sentence);
  g_string_append (out, "\n\n");
  if (n > 0)
    {
      g_string_append (out, "%%%%%%%%%%%%%%%%%%%%\n\\begin{table}[h]\n\\centering\\footnotesize\n\\caption{");
      append_tex (out, fm_results_table_get_title (table));
      g_string_append_c (out, '.');
      if (*held != '\0')
        {
          g_string_append (out, " Held equal: ");
          append_tex (out, held);
          g_string_append_c (out, '.');
        }
      g_string_append_c (out, ' ');
      append_tex (out, footnote);
      append_levels (out, table, tasks);
      g_string_append_printf (out, "}\n\\setlength{\\tabcolsep}{4pt}\n"
                              "\\begin{tabularx}{\\textwidth}{l%srrrrrr>{\\raggedright\\arraybackslash}X}\n\\toprule\n",
                              tasks ? "l" : "");
      g_string_append_printf (out, "Variant%s & Test accuracy, \\%% & Latency, \\textmu{}s & Memory, MB & Parameters & FLOPs"
                                   " & Seeds & Against baseline \\\\\n\\midrule\n", tasks ? " & Task" : "");
      for (guint i = 0; i < n; i++)
        append_variant (out, fm_results_table_get_row (table, i), tasks);
      g_string_append (out, "\\bottomrule\n\\end{tabularx}\n\\end{table}\n%%%%%%%%%%%%%%%%%%%%\n");
    }
  g_string_append (out, "\\end{document}\n");
  return g_string_free (out, FALSE);
}
