/* pdf.c: the report on pages of A4, drawn with cairo: sentence, table, figures, heads, how to do it again. Nothing in
 * it depends on when it is written: the date is the batch's. */
#include "config.h"

#include <cairo-pdf.h>
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
#define SMALL       8.0

typedef enum { DIM = 1, BOLD = 2, MONO = 4 } Look;

typedef struct
{
  cairo_surface_t *surface;
  cairo_t         *cr;
  gdouble          y; /* where the next thing begins */
  guint            number;
  const char      *title;
  GHashTable      *names; /* of rows that can be linked to */
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

/* Everything between is what a link means, or what it leads to. */
static void
begin_tag (Pages *p, const char *tag, const char *key, const char *value)
{
  g_auto (GStrv) parts = g_strsplit (value, "'", -1);
  g_autofree char *safe = g_strjoinv ("\\'", parts), *attributes = g_strdup_printf ("%s='%s'", key, safe);

  cairo_tag_begin (p->cr, tag, attributes);
}

/* @room: what must stand on the same page. It is a line of the outline as well. */
static void
heading (Pages *p, const char *text, gdouble room)
{
  g_autofree char *to = g_strdup_printf ("dest='heading %s'", text), *name = g_strconcat ("heading ", text, NULL);

  need (p, 34 + room);
  p->y += 14;
  begin_tag (p, CAIRO_TAG_DEST, "name", name);
  paragraph (p, text, 13, BOLD, 5);
  cairo_tag_end (p->cr, CAIRO_TAG_DEST);
  cairo_pdf_surface_add_outline (p->surface, CAIRO_PDF_OUTLINE_ROOT, text, to, 0);
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

/* --- Tables -------------------------------------------------------------------------------------------------------*/

#define GAP 7.0

typedef struct
{
  const FmReportTable *table;
  guint                n;      /* columns */
  gdouble              size;   /* of letters */
  gdouble             *widths; /* owned */
} Setting;

static gdouble
look_size (const Setting *s, guint column)
{
  return s->table->columns[column].mono ? 0.84 * s->size : s->size;
}

static guint
look_of (const Setting *s, guint column, const FmReportRow *row)
{
  return (s->table->columns[column].mono ? MONO : 0) | (row != NULL && row->dim ? DIM : 0);
}

/* What a column takes unless it is broken into lines, and the longest word, which cannot be. */
static void
natural_widths (Pages *p, const Setting *s, guint column, gdouble *whole, gdouble *word)
{
  const char *title = s->table->columns[column].title;
  g_auto (GStrv) words = g_strsplit (title, " ", -1);

  *whole = *word = 0;
  for (gsize i = 0; words[i] != NULL; i++)
    *whole = MAX (*whole, text_width (p, words[i], 0.93 * s->size, BOLD));
  *word = *whole;
  for (guint r = 0; r < s->table->rows->len; r++)
    {
      const FmReportRow *row = g_ptr_array_index (s->table->rows, r);
      g_autofree char *text =
          row->dim && column > 1 ? g_strdup ("") : fm_report_cell_text (g_ptr_array_index (row->cells, column));
      gdouble width = text_width (p, text, look_size (s, column), look_of (s, column, NULL)) +
                      (column == 0 && row->variant != FM_REPORT_NO_VARIANT ? 13 : 0);

      *whole = MAX (*whole, width);
    }
}

/* Numbers take what they need; words share the rest by what they would take. FALSE: not with letters of this size. */
static gboolean
set_widths (Pages *p, Setting *s)
{
  gdouble numbers = GAP * (s->n - 1), words = 0, rest, least = 0;

  for (guint c = 0; c < s->n; c++)
    {
      gdouble word;

      natural_widths (p, s, c, &s->widths[c], &word);
      if (s->table->columns[c].left && !s->table->columns[c].mono)
        words += MIN (s->widths[c], 260);
      else
        numbers += s->widths[c];
      least += s->table->columns[c].left && !s->table->columns[c].mono ? MIN (s->widths[c], 52) : 0;
    }
  rest = WIDTH - numbers;
  if (rest < least)
    return FALSE;
  for (guint c = 0; c < s->n; c++)
    if (s->table->columns[c].left && !s->table->columns[c].mono)
      s->widths[c] = MIN (s->widths[c], 260) * (words > rest ? rest / words : 1);
  /* A table narrower than the page has its last column, or its first, wider. */
  if (words < rest)
    s->widths[s->table->columns[s->n - 1].left ? s->n - 1 : 0] += rest - words;
  return TRUE;
}

/* Draws a row (NULL: the titles) at the pages' place, or only tells its height. */
static gdouble
table_row (Pages *p, const Setting *s, const FmReportRow *row, gboolean shown)
{
  gdouble x = MARGIN, height = 0;

  for (guint c = 0; c < s->n; c++)
    {
      const FmReportCell *cell = row != NULL ? g_ptr_array_index (row->cells, c) : NULL;
      g_autofree char *text = cell != NULL ? fm_report_cell_text (cell) : g_strdup (s->table->columns[c].title);
      gdouble indent = c == 0 && row != NULL && row->variant != FM_REPORT_NO_VARIANT ? 13 : 0;
      gdouble size = row != NULL ? look_size (s, c) : 0.93 * s->size;
      guint look = row != NULL ? look_of (s, c, row) : DIM | BOLD;
      g_autoptr (PangoLayout) layout = layout_new (p, text, size, look, s->widths[c] - indent);
      gboolean link =
          shown && cell != NULL && cell->to != NULL && *text != '\0' && g_hash_table_contains (p->names, cell->to);
      gboolean named = shown && c == 0 && row != NULL && row->name != NULL;

      if (row != NULL && row->dim && c == 2) /* what it is in words, across the other columns */
        {
          g_autofree char *help = fm_report_cell_text (g_ptr_array_index (row->cells, s->n - 1));
          g_autoptr (PangoLayout) wide = layout_new (p, help, s->size, DIM, MARGIN + WIDTH - x - 6);

          height = MAX (height, layout_height (wide));
          cairo_move_to (p->cr, x + 6, p->y);
          if (shown)
            pango_cairo_show_layout (p->cr, wide);
          break;
        }
      pango_layout_set_alignment (layout, s->table->columns[c].left ? PANGO_ALIGN_LEFT : PANGO_ALIGN_RIGHT);
      height = MAX (height, layout_height (layout));
      if (named)
        begin_tag (p, CAIRO_TAG_DEST, "name", row->name);
      if (link)
        begin_tag (p, CAIRO_TAG_LINK, "dest", cell->to);
      if (shown)
        {
          set_colour (p->cr, look & DIM ? FM_COLOUR_DIM : FM_COLOUR_INK);
          cairo_move_to (p->cr, x + indent, p->y);
          pango_cairo_show_layout (p->cr, layout);
        }
      if (link)
        cairo_tag_end (p->cr, CAIRO_TAG_LINK);
      if (named)
        cairo_tag_end (p->cr, CAIRO_TAG_DEST);
      x += s->widths[c] + GAP;
    }
  if (shown && row != NULL && row->variant != FM_REPORT_NO_VARIANT)
    draw (p, &fm_figure_marker, &row->variant, MARGIN, p->y + 1.5, 9, 9, 0.75);
  return height;
}

static void
table_titles (Pages *p, const Setting *s)
{
  line_across (p, p->y, 0.8, FM_COLOUR_INK);
  p->y += 3;
  p->y += table_row (p, s, NULL, TRUE) + 3;
  line_across (p, p->y, 0.5, FM_COLOUR_INK);
}

static void
add_table (Pages *p, const FmReportTable *table)
{
  static const gdouble sizes[] = { 8.6, 7.8, 7.0, 6.4 };
  Setting s = { table, 0, 0, NULL };
  g_autofree gdouble *widths = NULL;

  heading (p, table->title, 70);
  if (table->above != NULL && *table->above != '\0')
    paragraph (p, table->above, SMALL, DIM, 6);
  while (table->columns[s.n].title != NULL)
    s.n++;
  s.widths = widths = g_new0 (gdouble, s.n);
  for (gsize i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      s.size = sizes[i];
      if (set_widths (p, &s))
        break;
    }
  need (p, 60);
  table_titles (p, &s);
  for (guint i = 0; i < table->rows->len; i++)
    {
      const FmReportRow *row = g_ptr_array_index (table->rows, i);
      gboolean last = i + 1 == table->rows->len;

      if (p->y + table_row (p, &s, row, FALSE) + 8 > BOTTOM)
        {
          end_page (p);
          table_titles (p, &s); /* they stand on every page */
        }
      p->y += 3;
      p->y += table_row (p, &s, row, TRUE) + 3;
      line_across (p, p->y, last ? 0.8 : 0.4, last ? FM_COLOUR_INK : FM_COLOUR_GRID);
    }
  p->y += 6;
  if (table->below != NULL)
    paragraph (p, table->below, SMALL, DIM, 4);
}

static void
add_results (Pages *p, FmReportData *data, GPtrArray *tables)
{
  g_autofree char *named = fm_results_table_comparisons_text (data->table);

  if (data->claim != NULL)
    {
      g_autoptr (FmVerdictChart) chart = fm_verdict_chart_new (data->claim);
      gdouble height = 0.6 * fm_verdict_chart_height (chart, 1);

      add_table (p, tables->pdata[FM_REPORT_CLAIM]);
      if (height < BOTTOM - MARGIN)
        {
          need (p, height);
          draw (p, &fm_figure_verdicts, chart, MARGIN, p->y, WIDTH, height, 0.6);
          p->y += height + 8;
        }
    }
  add_table (p, tables->pdata[FM_REPORT_RESULTS]);
  if (*g_strchomp (named) != '\0')
    paragraph (p, named, SMALL, 0, 4);
  if (((FmReportTable *) tables->pdata[FM_REPORT_COMPARISONS])->rows->len > 0)
    add_table (p, tables->pdata[FM_REPORT_COMPARISONS]);
  add_table (p, tables->pdata[FM_REPORT_COSTS]);
  if (((FmReportTable *) tables->pdata[FM_REPORT_MODES])->rows->len > 0)
    add_table (p, tables->pdata[FM_REPORT_MODES]);
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
  note = g_strdup_printf (
      "Layer %d, head %d, on %s example %d%s%s%s. The head is the sharpest one of its layer in the first "
      "variant; the same number in another variant is another head. Weights, not an explanation.",
      (int)view.layer + 1, (int)view.head + 1, view.lead->split ? view.lead->split : "test", (int)view.lead->example,
      view.lead->label ? " (" : "", view.lead->label ? view.lead->label : "", view.lead->label ? ")" : "");
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
      paragraph (
          p, "Left: share of the tokens of each layer that every expert gets. Right: the first layer over training.",
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

static void
add_redo (Pages *p, FmReportData *data, GPtrArray *tables)
{
  g_autofree char *counts = fm_results_table_counts (data->table), *command = fm_report_redo (data, 0);
  g_autofree char *measured =
    g_strdup_printf ("%s. Every run trained and was measured in a process of its own; latencies were taken while this "
                     "program's other workers kept still. The seed is the unit of every statement: intervals are over "
                     "seeds, not over test examples.", counts);

  heading (p, "How it was measured", 40);
  paragraph (p, measured, BODY, 0, 6);
  for (guint i = FM_REPORT_RUNS; i < tables->len; i++)
    if (((FmReportTable *) tables->pdata[i])->rows->len > 0)
      add_table (p, tables->pdata[i]);
  heading (p, "Redo it", 40);
  paragraph (p, command, BODY, MONO, 6);
  if (data->batch->text != NULL)
    add_lines (p, data->batch->text);
}

static void
collect_names (Pages *p, GPtrArray *tables)
{
  for (guint t = 0; t < tables->len; t++)
    for (guint r = 0; r < ((FmReportTable *) tables->pdata[t])->rows->len; r++)
      {
        const FmReportRow *row = ((FmReportTable *) tables->pdata[t])->rows->pdata[r];

        if (row->name != NULL)
          g_hash_table_add (p->names, row->name);
      }
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
  g_autoptr (GPtrArray) tables = NULL;
  g_autoptr (GHashTable) names = g_hash_table_new (g_str_hash, g_str_equal);
  Pages p = { .y = MARGIN, .number = 1, .names = names };
  cairo_status_t status;

  if (data == NULL)
    return NULL;
  tables = fm_report_tables (data);
  collect_names (&p, tables);
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
      add_results (&p, data, tables);
      add_figures (&p, data);
      add_attention (&p, data);
      add_routing (&p, data);
    }
  add_redo (&p, data, tables);
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
