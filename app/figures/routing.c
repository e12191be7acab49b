/* routing.c: who gets the tokens: layer by expert, over training, and class by expert. */
#include <math.h>

#include "app/figures/figures-private.h"
#include "app/results/format.h"

#define NO_EXPERTS "This run has no experts."

/* --- Heat maps with a number in each cell -------------------------------------------------------------------------*/

typedef struct
{
  gint64   rows, columns;
  char   **row_names; /* NULL = numbers from 1 */
  gint64   chosen_row, chosen_column; /* -1 */
  gboolean frame_row; /* an accent frame around the chosen row, else only its name is bold */
  gdouble  maximum;
  gdouble *values; /* [rows, columns], owned */
  gboolean *dead;  /* [rows, columns], owned */
} Heat;

static void
heat_clear (Heat *heat)
{
  g_clear_pointer (&heat->values, g_free);
  g_clear_pointer (&heat->dead, g_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Heat, heat_clear)

static void
heat_alloc (Heat *heat, gint64 rows, gint64 columns)
{
  *heat = (Heat) { .rows = rows, .columns = columns, .chosen_row = -1, .chosen_column = -1 };
  heat->values = g_new0 (gdouble, rows * columns + 1);
  heat->dead = g_new0 (gboolean, rows * columns + 1);
}

static gboolean
heat_of_shares (Heat *heat, const FmRoutingView *view)
{
  const FmRouting *routing = view->routing;

  if (routing == NULL)
    return FALSE;
  heat_alloc (heat, routing->layers, routing->experts);
  heat->chosen_row = view->layer;
  heat->chosen_column = view->expert;
  heat->frame_row = TRUE;
  for (gint64 l = 0; l < routing->layers; l++)
    for (gint64 e = 0; e < routing->experts; e++)
      {
        gdouble share = fm_routing_share (routing, l, e);

        heat->values[l * routing->experts + e] = share;
        heat->dead[l * routing->experts + e] = fm_routing_dead_since (routing, l, e) >= 0;
        if (isfinite (share))
          heat->maximum = MAX (heat->maximum, share);
      }
  return TRUE;
}

static gboolean
heat_of_classes (Heat *heat, const FmRoutingView *view)
{
  const FmRouting *routing = view->routing;
  gint64 layer = MAX (view->layer, 0);

  if (routing == NULL || routing->classes == NULL || layer >= routing->layers)
    return FALSE;
  heat_alloc (heat, routing->n_classes, routing->experts);
  heat->row_names = routing->classes;
  heat->chosen_row = view->klass;
  heat->chosen_column = view->expert;
  for (gint64 c = 0; c < routing->n_classes; c++)
    for (gint64 e = 0; e < routing->experts; e++)
      {
        gdouble share = fm_routing_class_share (routing, layer, e, c);

        heat->values[c * routing->experts + e] = share;
        heat->dead[c * routing->experts + e] = fm_routing_dead_since (routing, layer, e) >= 0;
        if (isfinite (share))
          heat->maximum = MAX (heat->maximum, share);
      }
  return TRUE;
}

static char *
row_name (const Heat *heat, gint64 row)
{
  return heat->row_names != NULL ? g_strdup (heat->row_names[row]) : fm_format_count (row + 1);
}

static gboolean
heat_box (const Heat *heat, cairo_t *cr, gdouble width, gdouble height, const FmFigureStyle *style, FmBox *box)
{
  gdouble widest = 0, top = 22 * style->scale, bottom = 30 * style->scale, left, cell_height;

  for (gint64 r = 0; r < heat->rows; r++)
    {
      g_autofree char *name = row_name (heat, r);
      gdouble w;

      fm_text_measure (cr, style, name, FM_TEXT_LABEL, r == heat->chosen_row, &w, NULL);
      widest = MAX (widest, w);
    }
  left = widest + 14 * style->scale;
  cell_height = MIN ((height - top - bottom) / heat->rows, 52 * style->scale);
  if (width - left - 4 < 3 * heat->columns || cell_height < 3)
    return FALSE;
  *box = (FmBox) { left, top, MIN (width - left - 4, 60 * style->scale * heat->columns), cell_height * heat->rows };
  return TRUE;
}

static void
draw_dead_cell (cairo_t *cr, const FmFigureStyle *style, const FmBox *cell, gboolean framed)
{
  FmColour cursor = fm_style_colour (style, FM_COLOUR_CURSOR);
  gdouble width;

  fm_rounded_rectangle (cr, cell->x, cell->y, cell->width, cell->height, 3);
  fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_PAGE));
  cairo_fill_preserve (cr);
  fm_fill_hatched (cr, cursor, 0.4, 7 * style->scale);
  if (!framed)
    return;
  fm_rounded_rectangle (cr, cell->x + 1, cell->y + 1, cell->width - 2, cell->height - 2, 3);
  fm_set_colour (cr, cursor);
  cairo_set_line_width (cr, 2);
  cairo_stroke (cr);
  fm_text_measure (cr, style, "dead", FM_TEXT_TICK, TRUE, &width, NULL);
  if (width + 4 > cell->width || cell->height < 12)
    return;
  fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_PAGE));
  cairo_rectangle (cr, cell->x + (cell->width - width) / 2 - 2, cell->y + cell->height / 2 - 8 * style->scale,
                   width + 4, 16 * style->scale);
  cairo_fill (cr);
  fm_text (cr, style, "dead", FM_TEXT_TICK, TRUE,
           style->scheme == FM_SCHEME_DARK ? cursor : (FmColour) { 0xb8 / 255.0, 0x4d / 255.0, 0, 1 }, FM_ALIGN_CENTRE,
           cell->x + cell->width / 2, cell->y + cell->height / 2);
}

static void
draw_heat (const Heat *heat, cairo_t *cr, gdouble width, gdouble height, const FmFigureStyle *style)
{
  FmColour ink = fm_style_colour (style, FM_COLOUR_INK), dim = fm_style_colour (style, FM_COLOUR_DIM);
  gdouble w, h, gap, number_width, number_height;
  FmBox box;

  if (!heat_box (heat, cr, width, height, style, &box))
    {
      fm_draw_sentence (cr, style, width, height, "Too small a space for this chart.");
      return;
    }
  w = box.width / heat->columns;
  h = box.height / heat->rows;
  gap = w > 12 && h > 12 ? 2 : 0;
  fm_text_measure (cr, style, "100", FM_TEXT_LABEL, FALSE, &number_width, &number_height);
  for (gint64 c = 0; c < heat->columns; c++)
    if (w > number_width || c % 8 == 7 || c == 0)
      {
        g_autofree char *name = fm_format_count (c + 1);

        fm_text (cr, style, name, FM_TEXT_LABEL, c == heat->chosen_column, ink, FM_ALIGN_CENTRE, box.x + (c + 0.5) * w,
                 box.y - 10 * style->scale);
      }
  for (gint64 r = 0; r < heat->rows; r++)
    {
      g_autofree char *name = row_name (heat, r);

      fm_text (cr, style, name, FM_TEXT_LABEL, r == heat->chosen_row, ink, FM_ALIGN_RIGHT, box.x - 9 * style->scale,
               box.y + (r + 0.5) * h);
      for (gint64 c = 0; c < heat->columns; c++)
        {
          gdouble value = heat->values[r * heat->columns + c];
          FmBox cell = { box.x + c * w, box.y + r * h, w - gap, h - gap };
          FmColour colour = fm_style_sequential (style, heat->maximum > 0 ? value / heat->maximum : 0);

          if (heat->dead[r * heat->columns + c])
            {
              draw_dead_cell (cr, style, &cell, heat->row_names == NULL);
              continue;
            }
          fm_rounded_rectangle (cr, cell.x, cell.y, cell.width, cell.height, gap > 0 ? 3 : 0);
          if (isnan (value))
            {
              fm_fill_hatched (cr, dim, 0.6, 6 * style->scale);
              continue;
            }
          fm_set_colour (cr, colour);
          cairo_fill (cr);
          if (w > number_width + 2 && h > number_height * 0.9)
            {
              g_autofree char *number = fm_format_number (100 * value, 0);

              fm_text (cr, style, number, FM_TEXT_LABEL, FALSE, fm_colour_on (colour), FM_ALIGN_CENTRE,
                       cell.x + cell.width / 2, cell.y + cell.height / 2);
            }
        }
    }
  if (heat->frame_row && heat->chosen_row >= 0 && heat->chosen_row < heat->rows && heat->rows > 1)
    {
      fm_rounded_rectangle (cr, box.x - 2, box.y + heat->chosen_row * h - 2, box.width + 2, h + 2, 4);
      fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_ACCENT));
      cairo_set_line_width (cr, 2);
      cairo_stroke (cr);
    }
  fm_draw_scale (cr, style, box.x, box.y + box.height + 20 * style->scale, MIN (120 * style->scale, box.width * 0.5),
                 100 * heat->maximum, 0, " %", FALSE, (FmColour) { 0 });
}

static gint64
hit_heat (const Heat *heat, gdouble width, gdouble height, const FmFigureStyle *style, gdouble x, gdouble y)
{
  cairo_t *cr = fm_measuring_context ();
  gint64 found = -1;
  FmBox box;

  if (heat_box (heat, cr, width, height, style, &box) && x >= box.x && y >= box.y && x < box.x + box.width &&
      y < box.y + box.height)
    found = (gint64) ((y - box.y) / box.height * heat->rows) * heat->columns +
            (gint64) ((x - box.x) / box.width * heat->columns);
  cairo_destroy (cr);
  return found;
}

static FmFigureTable *
table_heat (const Heat *heat, const char *first, const char *caption)
{
  FmFigureTable *table = fm_figure_table_new (caption, first, NULL);
  g_autoptr (GStrvBuilder) titles = g_strv_builder_new ();

  g_strv_builder_add (titles, first);
  for (gint64 c = 0; c < heat->columns; c++)
    {
      g_autofree char *number = fm_format_count (c + 1), *title = g_strconcat ("expert ", number, NULL);

      g_strv_builder_add (titles, title);
    }
  g_ptr_array_remove_index (table->rows, 0);
  fm_figure_table_add (table, g_strv_builder_end (titles));
  for (gint64 r = 0; r < heat->rows; r++)
    {
      GStrv cells = g_new0 (char *, heat->columns + 2);

      cells[0] = row_name (heat, r);
      for (gint64 c = 0; c < heat->columns; c++)
        cells[c + 1] = heat->dead[r * heat->columns + c]
                         ? g_strdup ("dead")
                         : fm_format_number (100 * heat->values[r * heat->columns + c], 1);
      fm_figure_table_add (table, cells);
    }
  return table;
}

static char *
describe_heat (const Heat *heat, const char *row_word, gint64 index)
{
  g_autofree char *name = NULL, *number = NULL;

  if (index < 0 || index >= heat->rows * heat->columns)
    return g_strdup ("");
  name = row_name (heat, index / heat->columns);
  number = fm_format_number (100 * heat->values[index], 1);
  if (heat->dead[index])
    return g_strdup_printf ("%s%s, expert %" G_GINT64_FORMAT ": dead", row_word, name, index % heat->columns + 1);
  return g_strdup_printf ("%s%s, expert %" G_GINT64_FORMAT ": %s %%", row_word, name, index % heat->columns + 1,
                          number);
}

static void
draw_shares (gconstpointer model, cairo_t *cr, gdouble width, gdouble height, const FmFigureStyle *style)
{
  g_auto (Heat) heat = { 0 };

  if (heat_of_shares (&heat, model))
    draw_heat (&heat, cr, width, height, style);
  else
    fm_draw_sentence (cr, style, width, height, NO_EXPERTS);
}

static FmFigureTable *
table_shares (gconstpointer model)
{
  g_auto (Heat) heat = { 0 };

  heat_of_shares (&heat, model);
  return table_heat (&heat, "layer", "Share of tokens in %");
}

static gint64
hit_shares (gconstpointer model, gdouble width, gdouble height, const FmFigureStyle *style, gdouble x, gdouble y)
{
  g_auto (Heat) heat = { 0 };

  return heat_of_shares (&heat, model) ? hit_heat (&heat, width, height, style, x, y) : -1;
}

static char *
describe_shares (gconstpointer model, gint64 index)
{
  g_auto (Heat) heat = { 0 };

  heat_of_shares (&heat, model);
  return describe_heat (&heat, "Layer ", index);
}

const FmFigure fm_figure_expert_shares = { "expert-shares", draw_shares, table_shares, hit_shares, describe_shares };

static void
draw_classes (gconstpointer model, cairo_t *cr, gdouble width, gdouble height, const FmFigureStyle *style)
{
  const FmRoutingView *view = model;
  g_auto (Heat) heat = { 0 };

  if (heat_of_classes (&heat, model))
    draw_heat (&heat, cr, width, height, style);
  else
    fm_draw_sentence (cr, style, width, height,
                      view->routing == NULL ? NO_EXPERTS : "The routing of this run was not counted by class.");
}

static FmFigureTable *
table_classes (gconstpointer model)
{
  g_auto (Heat) heat = { 0 };

  heat_of_classes (&heat, model);
  return table_heat (&heat, "class", "Share of a class's tokens in %");
}

static gint64
hit_classes (gconstpointer model, gdouble width, gdouble height, const FmFigureStyle *style, gdouble x, gdouble y)
{
  g_auto (Heat) heat = { 0 };

  return heat_of_classes (&heat, model) ? hit_heat (&heat, width, height, style, x, y) : -1;
}

static char *
describe_classes (gconstpointer model, gint64 index)
{
  g_auto (Heat) heat = { 0 };

  heat_of_classes (&heat, model);
  return describe_heat (&heat, "", index);
}

const FmFigure fm_figure_expert_classes = { "expert-classes", draw_classes, table_classes, hit_classes,
                                            describe_classes };
