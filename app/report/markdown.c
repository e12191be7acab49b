/* markdown.c: the report as text that reads well as it stands and in any viewer of Markdown. */
#include <string.h>

#include "app/report/report-private.h"

/* Signs that would end a cell or begin markup. */
static void
append_safe (GString *out, const char *text)
{
  for (const char *at = text; *at != '\0'; at++)
    if (*at == '\n')
      g_string_append_c (out, ' ');
    else
      {
        if (strchr ("|<>*_`\\", *at) != NULL)
          g_string_append_c (out, '\\');
        g_string_append_c (out, *at);
      }
}

static void
append_table (GString *out, const FmReportTable *table, guint level)
{
  if (table->rows->len == 0)
    return;
  g_string_append_printf (out, "\n%.*s %s\n\n", (int) level, "####", table->title);
  if (table->above != NULL && *table->above != '\0')
    g_string_append_printf (out, "%s\n\n", table->above);
  for (guint c = 0; table->columns[c].title != NULL; c++)
    g_string_append_printf (out, "| %s ", table->columns[c].title);
  g_string_append (out, "|\n");
  for (guint c = 0; table->columns[c].title != NULL; c++)
    g_string_append (out, table->columns[c].left ? "| --- " : "| ---: ");
  g_string_append (out, "|\n");
  for (guint r = 0; r < table->rows->len; r++)
    {
      const FmReportRow *row = g_ptr_array_index (table->rows, r);

      for (guint c = 0; c < row->cells->len; c++)
        {
          g_autofree char *text = fm_report_cell_text (g_ptr_array_index (row->cells, c));

          g_string_append (out, "| ");
          append_safe (out, text);
          g_string_append (out, *text != '\0' ? " " : "");
        }
      g_string_append (out, "|\n");
    }
  if (table->below != NULL)
    g_string_append_printf (out, "\n%s\n", table->below);
}

static void
append_figure (GString *out, const FmReportFigure *f)
{
  g_autoptr (FmFigureTable) table = f->figure->table (f->model);

  g_string_append_printf (out, "\n%s\n\n", f->caption);
  for (guint r = 0; r < table->rows->len; r++)
    {
      char **cells = g_ptr_array_index (table->rows, r);

      for (gsize c = 0; cells[c] != NULL; c++)
        {
          g_string_append (out, "| ");
          append_safe (out, cells[c]);
          g_string_append_c (out, ' ');
        }
      g_string_append (out, "|\n");
      for (gsize c = 0; r == 0 && cells[c] != NULL; c++)
        g_string_append (out, c == 0 ? "| --- " : "| ---: ");
      if (r == 0)
        g_string_append (out, "|\n");
    }
}

static void
append_code (GString *out, const char *text)
{
  /* The fence is longer than any run of its sign inside. */
  guint most = 2, run = 0;

  for (const char *at = text; *at != '\0'; at++)
    most = MAX (most, run = *at == '`' ? run + 1 : 0);
  g_string_append_c (out, '\n');
  for (guint pass = 0; pass < 2; pass++)
    {
      for (guint i = 0; i <= most; i++)
        g_string_append_c (out, '`');
      g_string_append_c (out, '\n');
      if (pass == 0)
        g_string_append_printf (out, "%s%s", text, g_str_has_suffix (text, "\n") ? "" : "\n");
    }
}

char *
fm_report_to_markdown (FmStore *store, gint64 batch, GError **error)
{
  g_autoptr (FmReportData) data = fm_report_data_load (store, batch, error);
  g_autoptr (GPtrArray) figures = NULL, tables = NULL;
  g_autofree char *sentence = NULL, *date = NULL, *named = NULL, *redo = NULL;
  g_auto (GStrv) sentences = NULL;
  GString *out;

  if (data == NULL)
    return NULL;
  tables = fm_report_tables (data);
  sentence = fm_results_table_sentence (data->table);
  date = fm_report_date (data);
  named = fm_results_table_comparisons_text (data->table);
  sentences = g_strsplit (g_strchomp (named), "\n", -1);
  redo = fm_report_redo (data, 0);
  out = g_string_new ("# ");
  append_safe (out, data->batch->title != NULL ? data->batch->title : "Results");
  g_string_append_printf (out, "\n\nFormarium report · %s\n\n%s\n", date, sentence);
  append_table (out, tables->pdata[FM_REPORT_CLAIM], 2);
  append_table (out, tables->pdata[FM_REPORT_RESULTS], 2);
  for (guint i = 0; sentences[i] != NULL && *sentences[i] != '\0'; i++)
    g_string_append_printf (out, "%s- %s\n", i == 0 ? "\n" : "", sentences[i]);
  append_table (out, tables->pdata[FM_REPORT_COMPARISONS], 3);
  append_table (out, tables->pdata[FM_REPORT_COSTS], 3);
  append_table (out, tables->pdata[FM_REPORT_MODES], 3);
  if (data->runs->len > 0)
    {
      figures = fm_report_figures (data);
      g_string_append (out, "\n## What the figures show\n");
      for (guint i = 0; i < figures->len; i++)
        append_figure (out, g_ptr_array_index (figures, i));
    }
  else
    g_string_append (out, "\nNothing measured yet.\n");
  for (guint i = FM_REPORT_RUNS; i < tables->len; i++)
    append_table (out, tables->pdata[i], 2);
  g_string_append (out, "\n## Redo it\n");
  append_code (out, redo);
  if (data->batch->text != NULL)
    append_code (out, data->batch->text);
  return g_string_free (out, FALSE);
}
