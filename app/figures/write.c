/* write.c: figures to files, and figures as tables. */
#include <cairo-pdf.h>
#include <cairo-svg.h>
#include <math.h>
#include <string.h>

#include "app/figures/figures-private.h"

G_DEFINE_QUARK (fm-figures-error-quark, fm_figures_error)

/* The largest side of a file's picture; cairo's image surfaces end at 32,767. */
#define MOST_PX 8000

static cairo_status_t
append_bytes (void *closure, const unsigned char *data, unsigned int length)
{
  g_byte_array_append (closure, data, length);
  return CAIRO_STATUS_SUCCESS;
}

static void
paint (const FmFigure *figure, gconstpointer model, cairo_surface_t *surface, gdouble width, gdouble height,
       const FmFigureStyle *style, gdouble zoom, gboolean page)
{
  cairo_t *cr = cairo_create (surface);

  cairo_scale (cr, zoom, zoom);
  if (page)
    {
      fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_PAGE));
      cairo_paint (cr);
    }
  figure->draw (model, cr, width, height, style);
  cairo_destroy (cr);
}

gboolean
fm_figure_write (const FmFigure *figure, gconstpointer model, gdouble width, gdouble height,
                 const FmFigureStyle *style, const char *path, GError **error)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autofree char *lower = g_ascii_strdown (path, -1);
  cairo_surface_t *surface;
  cairo_status_t status;

  if (!(width >= 1 && width <= MOST_PX && height >= 1 && height <= MOST_PX))
    {
      g_set_error (error, FM_FIGURES_ERROR, FM_FIGURES_ERROR_FORMAT,
                   "%s: a picture is 1 to %d px wide and high, not %g by %g", path, MOST_PX, width, height);
      return FALSE;
    }
  if (g_str_has_suffix (lower, ".svg"))
    {
      surface = cairo_svg_surface_create_for_stream (append_bytes, bytes, width, height);
      cairo_svg_surface_set_document_unit (surface, CAIRO_SVG_UNIT_PX);
      paint (figure, model, surface, width, height, style, 1, TRUE);
    }
  else if (g_str_has_suffix (lower, ".pdf"))
    {
      surface = cairo_pdf_surface_create_for_stream (append_bytes, bytes, 0.75 * width, 0.75 * height);
      paint (figure, model, surface, width, height, style, 0.75, TRUE);
    }
  else if (g_str_has_suffix (lower, ".png"))
    {
      surface = cairo_image_surface_create (CAIRO_FORMAT_RGB24, ceil (2 * width), ceil (2 * height));
      paint (figure, model, surface, width, height, style, 2, TRUE);
      if (cairo_surface_status (surface) == CAIRO_STATUS_SUCCESS)
        cairo_surface_write_to_png_stream (surface, append_bytes, bytes);
    }
  else
    {
      g_set_error (error, FM_FIGURES_ERROR, FM_FIGURES_ERROR_FORMAT,
                   "%s: the name of a picture must end in .svg, .pdf or .png", path);
      return FALSE;
    }
  cairo_surface_finish (surface);
  status = cairo_surface_status (surface);
  cairo_surface_destroy (surface);
  if (status != CAIRO_STATUS_SUCCESS)
    {
      g_set_error (error, FM_FIGURES_ERROR, FM_FIGURES_ERROR_WRITE, "%s: %s", path, cairo_status_to_string (status));
      return FALSE;
    }
  return g_file_set_contents_full (path, (const char *) bytes->data, bytes->len, G_FILE_SET_CONTENTS_CONSISTENT, 0644,
                                   error);
}

/* Ids in one document must differ; cairo starts counting anew in each picture. */
static void
prefix_ids (GString *svg, const char *prefix)
{
  static const char *const marks[] = { " id=\"", "href=\"#", "url(#" };

  for (gsize i = 0; i < G_N_ELEMENTS (marks); i++)
    {
      g_autofree char *with = g_strconcat (marks[i], prefix, NULL);

      g_string_replace (svg, marks[i], with, 0);
    }
}

char *
fm_figure_to_svg (const FmFigure *figure, gconstpointer model, gdouble width, gdouble height,
                  const FmFigureStyle *style, const char *prefix)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  cairo_surface_t *surface = cairo_svg_surface_create_for_stream (append_bytes, bytes, width, height);
  GString *svg;
  const char *start;

  cairo_svg_surface_set_document_unit (surface, CAIRO_SVG_UNIT_PX);
  paint (figure, model, surface, width, height, style, 1, FALSE);
  cairo_surface_finish (surface);
  cairo_surface_destroy (surface);
  g_byte_array_append (bytes, (const guint8 *) "", 1);
  start = strstr ((const char *) bytes->data, "<svg");
  svg = g_string_new (start != NULL ? start : "");
  if (prefix != NULL)
    prefix_ids (svg, prefix);
  return g_string_free (svg, FALSE);
}

/* --- Tables -------------------------------------------------------------------------------------------------------*/

FmFigureTable *
fm_figure_table_new (const char *caption, const char *first_title, ...)
{
  FmFigureTable *table = g_new0 (FmFigureTable, 1);
  g_autoptr (GStrvBuilder) titles = g_strv_builder_new ();
  va_list more;

  table->caption = g_strdup (caption);
  table->rows = g_ptr_array_new_with_free_func ((GDestroyNotify) g_strfreev);
  va_start (more, first_title);
  for (const char *title = first_title; title != NULL; title = va_arg (more, const char *))
    g_strv_builder_add (titles, title);
  va_end (more);
  g_ptr_array_add (table->rows, g_strv_builder_end (titles));
  return table;
}

void
fm_figure_table_add (FmFigureTable *table, GStrv cells)
{
  g_ptr_array_add (table->rows, cells);
}

void
fm_figure_table_free (FmFigureTable *table)
{
  if (table == NULL)
    return;
  g_free (table->caption);
  g_ptr_array_unref (table->rows);
  g_free (table);
}

static gsize
count_columns (const FmFigureTable *table)
{
  gsize columns = 0;

  for (guint r = 0; r < table->rows->len; r++)
    columns = MAX (columns, g_strv_length (g_ptr_array_index (table->rows, r)));
  return columns;
}

char *
fm_figure_table_to_text (const FmFigureTable *table)
{
  gsize columns = count_columns (table);
  g_autofree glong *widths = g_new0 (glong, columns + 1);
  GString *out = g_string_new (NULL);

  for (guint r = 0; r < table->rows->len; r++)
    {
      char **row = g_ptr_array_index (table->rows, r);

      for (gsize c = 0; row[c] != NULL; c++)
        widths[c] = MAX (widths[c], g_utf8_strlen (row[c], -1));
    }
  for (guint r = 0; r < table->rows->len; r++)
    {
      char **row = g_ptr_array_index (table->rows, r);

      for (gsize c = 0; row[c] != NULL; c++)
        {
          glong pad = widths[c] - g_utf8_strlen (row[c], -1);

          /* The first column holds names, the others mostly numbers. */
          g_string_append_printf (out, "%s%*s%s%*s", c > 0 ? "  " : "", (int) (c > 0 ? pad : 0), "", row[c],
                                  (int) (c > 0 || row[c + 1] == NULL ? 0 : pad), "");
        }
      g_string_append_c (out, '\n');
    }
  return g_string_free (out, FALSE);
}

char *
fm_figure_table_to_csv (const FmFigureTable *table)
{
  GString *out = g_string_new (NULL);

  for (guint r = 0; r < table->rows->len; r++)
    {
      char **row = g_ptr_array_index (table->rows, r);

      for (gsize c = 0; row[c] != NULL; c++)
        {
          gboolean quote = strpbrk (row[c], ",\"\n\r") != NULL;

          if (c > 0)
            g_string_append_c (out, ',');
          if (quote)
            g_string_append_c (out, '"');
          for (const char *p = row[c]; *p != '\0'; p++)
            g_string_append (out, *p == '"' ? "\"\"" : (char[]) { *p, '\0' });
          if (quote)
            g_string_append_c (out, '"');
        }
      g_string_append (out, "\r\n");
    }
  return g_string_free (out, FALSE);
}
