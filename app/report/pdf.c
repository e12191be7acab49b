/* pdf.c: the report on pages of A4, drawn with cairo: sentence, table, figures, heads, how to do it again. Nothing in it
 * depends on when it is written: the date is the batch's. */
#include "config.h"

#include <cairo-pdf.h>
#include <json-glib/json-glib.h>
#include <math.h>
#include <pango/pangocairo.h>
#include <string.h>

#include "app/report/report-private.h"
#include "app/results/format.h"

/* All in points. */
#define PAGE_WIDTH  595.28
#define PAGE_HEIGHT 841.89
#define MARGIN      54.0
#define WIDTH       (PAGE_WIDTH - 2 * MARGIN)
#define BOTTOM      (PAGE_HEIGHT - MARGIN - 12) /* the page's number stands below */
#define BODY        9.5
#define TABLE       8.6
#define SMALL       8.0

typedef enum { DIM = 1, BOLD = 2, MONO = 4 } Look;

typedef struct
{
  cairo_surface_t *surface;
  cairo_t         *cr;
  gdouble          y; /* where the next thing begins */
  guint            number;
  const char      *title;
} Pages;

static void
set_colour (cairo_t *cr, FmColourName name)
{
  const FmFigureStyle style = FM_FIGURE_STYLE_PRINT;
  FmColour c = fm_style_colour (&style, name);

  cairo_set_source_rgba (cr, c.red, c.green, c.blue, c.alpha);
}

static PangoLayout *
layout_new (Pages *p, const char *text, gdouble size, guint look, gdouble width)
{
  PangoLayout *layout = pango_cairo_create_layout (p->cr);
  g_autoptr (PangoFontDescription) font =
    pango_font_description_from_string (look & MONO ? "DejaVu Sans Mono,monospace"
                                                    : "Cantarell,Adwaita Sans,DejaVu Sans,sans");
  g_autoptr (PangoAttrList) attributes = pango_attr_list_new ();

  pango_font_description_set_absolute_size (font, size * PANGO_SCALE);
  pango_font_description_set_weight (font, look & BOLD ? PANGO_WEIGHT_BOLD : PANGO_WEIGHT_NORMAL);
  pango_attr_list_insert (attributes, pango_attr_font_features_new ("tnum=1"));
  pango_layout_set_font_description (layout, font);
  pango_layout_set_attributes (layout, attributes);
  pango_layout_set_text (layout, text, -1);
  if (width > 0)
    {
      pango_layout_set_width (layout, (int) (width * PANGO_SCALE));
      pango_layout_set_wrap (layout, PANGO_WRAP_WORD_CHAR);
    }
  return layout;
}

static gdouble
layout_height (PangoLayout *layout)
{
  int height;

  pango_layout_get_size (layout, NULL, &height);
  return (gdouble) height / PANGO_SCALE;
}

static gdouble
text_width (Pages *p, const char *text, gdouble size, guint look)
{
  g_autoptr (PangoLayout) layout = layout_new (p, text, size, look, 0);
  int width;

  pango_layout_get_size (layout, &width, NULL);
  return (gdouble) width / PANGO_SCALE;
}

/* One block of text whose top is at @y; right: it ends at @x. Returns its height. */
static gdouble
show_text (Pages *p, const char *text, gdouble size, guint look, gdouble x, gdouble y, gdouble width, gboolean right)
{
  g_autoptr (PangoLayout) layout = layout_new (p, text, size, look, right ? 0 : width);

  set_colour (p->cr, look & DIM ? FM_COLOUR_DIM : FM_COLOUR_INK);
  cairo_move_to (p->cr, right ? x - text_width (p, text, size, look) : x, y);
  pango_cairo_show_layout (p->cr, layout);
  return layout_height (layout);
}

static void
end_page (Pages *p)
{
  g_autofree char *number = g_strdup_printf ("%u", p->number);

  show_text (p, p->title, SMALL, DIM, MARGIN, PAGE_HEIGHT - MARGIN, WIDTH - 40, FALSE);
  show_text (p, number, SMALL, DIM, MARGIN + WIDTH, PAGE_HEIGHT - MARGIN, 0, TRUE);
  cairo_show_page (p->cr);
  p->number++;
  p->y = MARGIN;
}

static void
need (Pages *p, gdouble height)
{
  if (p->y + height > BOTTOM && p->y > MARGIN)
    end_page (p);
}

static void
paragraph (Pages *p, const char *text, gdouble size, guint look, gdouble after)
{
  g_autoptr (PangoLayout) layout = layout_new (p, text, size, look, WIDTH);

  need (p, layout_height (layout));
  p->y += show_text (p, text, size, look, MARGIN, p->y, WIDTH, FALSE) + after;
}

/* @room: what must stand on the same page. */
static void
heading (Pages *p, const char *text, gdouble room)
{
  need (p, 34 + room);
  p->y += 14;
  paragraph (p, text, 13, BOLD, 5);
}

static void
line_across (Pages *p, gdouble y, gdouble width, FmColourName colour)
{
  set_colour (p->cr, colour);
  cairo_set_line_width (p->cr, width);
  cairo_move_to (p->cr, MARGIN, y);
  cairo_line_to (p->cr, MARGIN + WIDTH, y);
  cairo_stroke (p->cr);
}

static void
draw (Pages *p, const FmFigure *figure, gconstpointer model, gdouble x, gdouble y, gdouble width, gdouble height,
      gdouble zoom)
{
  const FmFigureStyle style = FM_FIGURE_STYLE_PRINT;

  cairo_save (p->cr);
  cairo_translate (p->cr, x, y);
  cairo_scale (p->cr, zoom, zoom);
  figure->draw (model, p->cr, width / zoom, height / zoom, &style);
  cairo_restore (p->cr);
}

/* --- The table ----------------------------------------------------------------------------------------------------*/

enum { NAME, ACCURACY, LATENCY, MEMORY, PARAMETERS, SEEDS, VERDICT, N_CELLS };

static GStrv
cells_of (FmResultsRow *row, gboolean grounds)
{
  const FmVariantResult *r = fm_results_row_get (row);
  gboolean fail = r->verdict == FM_VERDICT_FAIL;
  g_autofree char *mean = fm_format_number (100 * r->accuracy.mean, 1);
  g_autofree char *low = fm_format_number (100 * r->accuracy.low, 1), *high = fm_format_number (100 * r->accuracy.high, 1);
  g_autofree char *verdict = fm_results_row_verdict_text (row);
  GStrv cells = g_new0 (char *, N_CELLS + 1);

  cells[NAME] = grounds ? g_strdup_printf ("%s (%s, %s)", r->title, r->task, r->device) : g_strdup (r->title);
  cells[ACCURACY] = fail                     ? g_strdup ("FAIL")
                    : isnan (r->accuracy.low) ? g_strdup (mean)
                                              : g_strdup_printf ("%s [%s, %s]", mean, low, high);
  cells[LATENCY] = fm_format_latency (fail ? NAN : r->latency_us_median);
  cells[MEMORY] = fm_format_megabytes (fail ? -1 : r->measured_peak_bytes);
  cells[PARAMETERS] = fm_format_short_count (r->parameters < 0 ? NAN : (gdouble) r->parameters);
  cells[SEEDS] = fm_results_row_seeds_text (row);
  cells[VERDICT] = g_strdup_printf ("%s%s%s", fail ? "" : fm_verdict_sign (r->verdict),
                                    fail || *fm_verdict_sign (r->verdict) == '\0' ? "" : " ", verdict);
  return cells;
}

/* Draws a row at the pages' place, or only tells its height. */
static gdouble
table_row (Pages *p, char **cells, const gdouble *widths, guint look, gint variant, gboolean shown)
{
  gdouble x = MARGIN, height = 0;

  for (guint c = 0; c < N_CELLS; c++)
    {
      gboolean left = c == NAME || c == VERDICT;
      gdouble indent = c == NAME ? 14 : 0;
      g_autoptr (PangoLayout) layout = layout_new (p, cells[c], TABLE, look, left ? widths[c] - indent : 0);

      height = MAX (height, layout_height (layout));
      if (shown)
        show_text (p, cells[c], TABLE, look, left ? x + indent : x + widths[c], p->y, widths[c] - indent, !left);
      x += widths[c] + 9;
    }
  if (shown && variant > -2)
    draw (p, &fm_figure_marker, &variant, MARGIN, p->y + 1.5, 9, 9, 0.75);
  return height;
}

static gboolean
on_several_grounds (FmResultsTable *table)
{
  for (guint i = 1; i < fm_results_table_get_n_rows (table); i++)
    {
      const FmVariantResult *a = fm_results_row_get (fm_results_table_get_row (table, 0));
      const FmVariantResult *b = fm_results_row_get (fm_results_table_get_row (table, i));

      if (strcmp (a->task, b->task) != 0 || strcmp (a->device, b->device) != 0)
        return TRUE;
    }
  return FALSE;
}

/* Numbers take what they need; names and verdicts share the rest. */
static void
add_table (Pages *p, FmResultsTable *table)
{
  char *titles[N_CELLS + 1] = { "Variant", "Test accuracy, %", "Latency, µs", "Memory, MB", "Parameters", "Seeds",
                                "Against baseline", NULL };
  guint n = fm_results_table_get_n_rows (table);
  g_autoptr (GPtrArray) rows = g_ptr_array_new_with_free_func ((GDestroyNotify) g_strfreev);
  gdouble widths[N_CELLS], numbers = 0, name = 0, rest;

  for (guint i = 0; i < n; i++)
    g_ptr_array_add (rows, cells_of (fm_results_table_get_row (table, i), on_several_grounds (table)));
  for (guint c = 0; c < N_CELLS; c++)
    {
      widths[c] = text_width (p, titles[c], TABLE, BOLD);
      for (guint i = 0; i < n; i++)
        widths[c] = MAX (widths[c], text_width (p, ((char **) g_ptr_array_index (rows, i))[c], TABLE, 0));
      if (c == NAME)
        name = widths[c] + 16;
      else if (c != VERDICT)
        numbers += widths[c];
    }
  rest = WIDTH - numbers - 9 * (N_CELLS - 1);
  widths[NAME] = MIN (name, 0.6 * rest);
  widths[VERDICT] = rest - widths[NAME];
  for (guint i = 0; i <= n; i++)
    {
      gboolean first = i == 0, again = FALSE;
      const FmVariantResult *r = first ? NULL : fm_results_row_get (fm_results_table_get_row (table, i - 1));
      char **cells = first ? titles : g_ptr_array_index (rows, i - 1);
      gdouble height = table_row (p, cells, widths, first ? DIM | BOLD : 0, -2, FALSE);

      if (p->y + height + 8 > BOTTOM)
        {
          end_page (p);
          again = !first;
        }
      if (first || again) /* titles stand on every page */
        {
          line_across (p, p->y, 0.8, FM_COLOUR_INK);
          p->y += 3;
          p->y += table_row (p, titles, widths, DIM | BOLD, -2, TRUE) + 3;
          line_across (p, p->y, 0.5, FM_COLOUR_INK);
        }
      if (first)
        continue;
      p->y += 3;
      p->y += table_row (p, cells, widths, 0, r->verdict == FM_VERDICT_FAIL ? FM_VARIANT_FAILED : r->index, TRUE) + 3;
      line_across (p, p->y, i == n ? 0.8 : 0.4, i == n ? FM_COLOUR_INK : FM_COLOUR_GRID);
    }
  p->y += 6;
}

static void
add_level (GString *out, const char *name, gdouble accuracy)
{
  g_autofree char *text = fm_format_number (100 * accuracy, 1);

  g_string_append_printf (out, "%s%s %s %%", out->len > 0 ? "; " : "", name, text);
}

static void
add_results (Pages *p, FmReportData *data)
{
  g_autofree char *held = fm_results_table_held_equal (data->table), *footnote = fm_results_table_footnote (data->table);
  g_autofree char *note = *held != '\0' ? g_strdup_printf ("Held equal: %s. %s", held, footnote) : g_strdup (footnote);
  g_autoptr (GString) levels = g_string_new (NULL);

  heading (p, "Results", 60);
  paragraph (p, note, SMALL, DIM, 6);
  add_table (p, data->table);
  if (data->task != NULL && isfinite (data->task->chance_level))
    add_level (levels, "Chance level", data->task->chance_level);
  for (guint i = 0; data->task != NULL && data->task->shortcuts != NULL && i < data->task->shortcuts->len; i++)
    {
      const FmShortcutRecord *shortcut = g_ptr_array_index (data->task->shortcuts, i);

      add_level (levels, shortcut->name, shortcut->accuracy);
    }
  if (levels->len > 0)
    paragraph (p, levels->str, SMALL, DIM, 0);
}

/* --- Figures ------------------------------------------------------------------------------------------------------*/

static void
add_figures (Pages *p, FmReportData *data)
{
  const gdouble width = (WIDTH - 20) / 2, height = 128;
  g_autoptr (GPtrArray) figures = fm_report_figures (data);
  gdouble tallest = 0;

  heading (p, "Figures", height + 40);
  for (guint i = 0; i < figures->len; i++)
    {
      const FmReportFigure *f = g_ptr_array_index (figures, i);
      gdouble x = MARGIN + (i % 2) * (width + 20);

      if (i % 2 == 0)
        {
          need (p, height + 40);
          tallest = 0;
        }
      draw (p, f->figure, f->model, x, p->y, width, height, 0.62);
      tallest = MAX (tallest, height + 4 + show_text (p, f->caption, SMALL, DIM, x, p->y + height + 4, width, FALSE));
      if (i % 2 == 1 || i + 1 == figures->len)
        p->y += tallest + 10;
    }
}

static void
add_attention (Pages *p, FmReportData *data)
{
  const gdouble width = (WIDTH - 3 * 12) / 4;
  FmReportView view;
  FmScaleBar bar = { 0, "", FALSE, TRUE };
  g_autofree char *note = NULL;
  guint shown = 0;

  if (!fm_report_view_choose (data, &view))
    return;
  heading (p, "Attention", width + 64);
  note = g_strdup_printf ("Layer %d, head %d, on %s example %d%s%s%s. The head is the sharpest one of its layer in the first "
                          "variant; the same number in another variant is another head. Weights, not an explanation.",
                          (int) view.layer + 1, (int) view.head + 1, view.lead->split ? view.lead->split : "test",
                          (int) view.lead->example, view.lead->label ? " (" : "", view.lead->label ? view.lead->label : "",
                          view.lead->label ? ")" : "");
  paragraph (p, note, SMALL, DIM, 6);
  for (guint i = 0; i < data->looks->len; i++)
    {
      const FmReportLooks *looks = g_ptr_array_index (data->looks, i);
      gdouble x = MARGIN + (shown % 4) * (width + 12);
      FmAttentionImage image = { looks->maps, view.layer, view.head, NULL, view.looking, -1, view.maximum, TRUE };
      FmAttentionMap map = { 0 };

      if (!fm_report_view_shows (&view, looks))
        continue;
      if (shown % 4 == 0)
        {
          if (shown > 0)
            p->y += width + 30;
          need (p, width + 34);
        }
      if (looks->maps->image != NULL && looks->maps->grid_columns > 0)
        draw (p, &fm_figure_attention_image, &image, x, p->y, width, width, 0.75);
      else
        {
          map = (FmAttentionMap) { looks->maps->queries, looks->maps->keys,
                                   fm_maps_head (looks->maps, view.layer, view.head), NULL, view.looking, -1,
                                   view.map_maximum, TRUE, FALSE };
          draw (p, &fm_figure_attention_map, &map, x, p->y, width, width, 0.75);
        }
      show_text (p, fm_results_row_get (looks->row)->title, SMALL, 0, x, p->y + width + 3, width, FALSE);
      shown++;
    }
  p->y += width + 30;
  bar.maximum = view.maximum;
  bar.hatched = view.hidden;
  need (p, 20);
  draw (p, &fm_figure_scale_bar, &bar, MARGIN, p->y, 0.75 * 460, 18, 0.75);
  p->y += 24;
}

static void
add_routing (Pages *p, FmReportData *data)
{
  gboolean begun = FALSE;

  for (guint i = 0; i < data->looks->len; i++)
    {
      const FmReportLooks *looks = g_ptr_array_index (data->looks, i);
      FmRoutingView view = { looks->routing, 0, -1, -1 };
      g_autofree char *alarm = looks->routing != NULL ? fm_routing_alarm (looks->routing) : NULL;
      gdouble width = (WIDTH - 20) / 2, height;

      if (looks->routing == NULL || fm_results_row_get (looks->row)->verdict == FM_VERDICT_FAIL)
        continue;
      if (!begun)
        heading (p, "Routing of experts", 200);
      begun = TRUE;
      height = CLAMP (0.62 * (54 + 46 * looks->routing->layers), 110, 260);
      need (p, height + 40);
      paragraph (p, fm_results_row_get (looks->row)->title, BODY, BOLD, 2);
      if (alarm != NULL)
        paragraph (p, alarm, BODY, 0, 2);
      draw (p, &fm_figure_expert_shares, &view, MARGIN, p->y, width, height, 0.62);
      draw (p, &fm_figure_expert_load, &view, MARGIN + width + 20, p->y, width, height, 0.62);
      p->y += height + 4;
      paragraph (p, "Left: share of the tokens of each layer that every expert gets. Right: the first layer over training.",
                 SMALL, DIM, 10);
    }
}

/* --- How to do it again -------------------------------------------------------------------------------------------*/

static void
add_lines (Pages *p, const char *text)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);

  for (guint i = 0; lines[i] != NULL; i++)
    if (lines[i + 1] != NULL || *lines[i] != '\0')
      paragraph (p, *lines[i] != '\0' ? lines[i] : " ", 7.5, MONO, 0);
}

/* "Training: processor AMD EPYC; threads 2; ..." from the JSON object that a worker wrote about itself. */
static void
add_provenance (Pages *p, const char *what, const char *json)
{
  g_autoptr (JsonParser) parser = json_parser_new_immutable ();
  g_autoptr (GString) out = g_string_new (what);
  g_autoptr (GList) members = NULL;
  JsonObject *object;

  if (json == NULL || !json_parser_load_from_data (parser, json, -1, NULL) || json_parser_get_root (parser) == NULL
      || !JSON_NODE_HOLDS_OBJECT (json_parser_get_root (parser)))
    return;
  object = json_node_get_object (json_parser_get_root (parser));
  members = json_object_get_members (object);
  for (GList *m = members; m != NULL; m = m->next)
    {
      JsonNode *node = json_object_get_member (object, m->data);
      g_autofree char *name = g_strdelimit (g_strdup (m->data), "_", ' ');
      g_autofree char *value = JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING
                                 ? g_strdup (json_node_get_string (node))
                                 : json_to_string (node, FALSE);

      g_string_append_printf (out, "%s %s %s", m == members ? ":" : ";", name, value);
    }
  g_string_append_c (out, '.');
  paragraph (p, out->str, SMALL, DIM, 3);
}

static void
add_redo (Pages *p, FmReportData *data)
{
  g_autofree char *counts = fm_results_table_counts (data->table), *file = fm_report_file_name (data);
  g_autofree char *command = g_strdup_printf ("formarium run %s", file);
  g_autofree char *measured =
    g_strdup_printf ("%s. Every run trained and was measured in a process of its own; latencies were taken while this "
                     "program's other workers kept still. The seed is the unit of every statement: intervals are over "
                     "seeds, not over test examples.", counts);

  heading (p, "How it was measured, and how to do it again", 80);
  paragraph (p, measured, BODY, 0, 6);
  add_provenance (p, "Training", data->train_provenance);
  add_provenance (p, "Measuring", data->measure_provenance);
  p->y += 6;
  paragraph (p, command, BODY, MONO, 6);
  if (data->batch->text != NULL)
    add_lines (p, data->batch->text);
}

static cairo_status_t
append_bytes (void *closure, const unsigned char *data, unsigned int length)
{
  g_byte_array_append (closure, data, length);
  return CAIRO_STATUS_SUCCESS;
}

GBytes *
fm_report_to_pdf (FmStore *store, gint64 batch, GError **error)
{
  g_autoptr (FmReportData) data = fm_report_data_load (store, batch, error);
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autoptr (GDateTime) when = NULL;
  g_autofree char *date = NULL, *top = NULL, *sentence = NULL, *iso = NULL;
  Pages p = { .y = MARGIN, .number = 1 };
  cairo_status_t status;

  if (data == NULL)
    return NULL;
  p.title = data->batch->title != NULL ? data->batch->title : "Results";
  date = fm_report_date (data);
  top = g_strdup_printf ("Formarium report · %s", date);
  sentence = fm_results_table_sentence (data->table);
  when = g_date_time_new_from_unix_utc ((data->batch->ended_us > 0 ? data->batch->ended_us : data->batch->created_us)
                                        / G_USEC_PER_SEC);
  iso = when != NULL ? g_date_time_format (when, "%Y-%m-%dT%H:%M:%SZ") : NULL;
  p.surface = cairo_pdf_surface_create_for_stream (append_bytes, bytes, PAGE_WIDTH, PAGE_HEIGHT);
  cairo_pdf_surface_set_metadata (p.surface, CAIRO_PDF_METADATA_TITLE, p.title);
  cairo_pdf_surface_set_metadata (p.surface, CAIRO_PDF_METADATA_CREATOR, "Formarium " FM_VERSION);
  if (iso != NULL)
    cairo_pdf_surface_set_metadata (p.surface, CAIRO_PDF_METADATA_CREATE_DATE, iso);
  p.cr = cairo_create (p.surface);

  paragraph (&p, top, SMALL, DIM, 2);
  paragraph (&p, p.title, 20, BOLD, 6);
  paragraph (&p, sentence, 11, 0, 0);
  if (fm_results_table_get_n_rows (data->table) > 0)
    {
      add_results (&p, data);
      add_figures (&p, data);
      add_attention (&p, data);
      add_routing (&p, data);
    }
  add_redo (&p, data);
  end_page (&p);

  status = cairo_status (p.cr);
  cairo_destroy (p.cr);
  cairo_surface_finish (p.surface);
  if (status == CAIRO_STATUS_SUCCESS)
    status = cairo_surface_status (p.surface);
  cairo_surface_destroy (p.surface);
  if (status != CAIRO_STATUS_SUCCESS)
    {
      g_set_error (error, FM_FIGURES_ERROR, FM_FIGURES_ERROR_WRITE, "the report's pages cannot be drawn: %s",
                   cairo_status_to_string (status));
      return NULL;
    }
  return g_byte_array_free_to_bytes (g_steal_pointer (&bytes));
}
