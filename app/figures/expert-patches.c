/* expert-patches.c: which expert took which patch of one example. */
#include <math.h>

#include "app/figures/figures-private.h"
#include "app/results/format.h"

typedef struct
{
  FmBox   box;
  gdouble cell;
  gdouble list_x, list_width; /* of the counts beside the picture; 0 = no room */
} Frame;

static gboolean
frame_init (Frame *frame, const FmExpertPatches *patches, gdouble width, gdouble height, const FmFigureStyle *style)
{
  gdouble list = 190 * style->scale;

  if (patches->expert == NULL || patches->experts <= 0 || patches->grid_rows <= 0 || patches->grid_columns <= 0 ||
      patches->grid_rows * patches->grid_columns != patches->n_tokens)
    return FALSE;
  /* Beside the picture only where it keeps more than half of the width. */
  frame->list_width = width >= 1.5 * height && width > 2 * list ? MIN (width - height - 24, 260 * style->scale) : 0;
  frame->cell = MIN ((width - 2 - (frame->list_width > 0 ? frame->list_width + 22 : 0)) / patches->grid_columns,
                     (height - 2) / patches->grid_rows);
  if (frame->cell < 2)
    return FALSE;
  frame->box = (FmBox) { 1, 1, frame->cell * patches->grid_columns, frame->cell * patches->grid_rows };
  frame->list_x = frame->box.width + 24;
  return TRUE;
}

static void
draw_cross (cairo_t *cr, FmColour colour, gdouble x, gdouble y, gdouble half)
{
  cairo_move_to (cr, x - half, y - half);
  cairo_line_to (cr, x + half, y + half);
  cairo_move_to (cr, x + half, y - half);
  cairo_line_to (cr, x - half, y + half);
  fm_set_colour (cr, colour);
  cairo_set_line_width (cr, 1.8);
  cairo_stroke (cr);
}

static void
draw_patch (cairo_t *cr, const FmExpertPatches *patches, const Frame *frame, const FmFigureStyle *style, gint64 index)
{
  gdouble x = frame->box.x + index % patches->grid_columns * frame->cell;
  gdouble y = frame->box.y + index / patches->grid_columns * frame->cell;
  gint32 expert = patches->expert[index];
  gboolean faded = patches->chosen >= 0 && expert != patches->chosen;
  FmColour ink = fm_style_colour (style, FM_COLOUR_INK), page = fm_style_colour (style, FM_COLOUR_PAGE), colour;
  g_autofree char *number = NULL;
  gdouble width;

  cairo_rectangle (cr, x + 0.5, y + 0.5, frame->cell - 1, frame->cell - 1);
  if (expert < 0 || expert >= patches->experts)
    {
      fm_set_colour_alpha (cr, page, 0.8);
      cairo_fill (cr);
      draw_cross (cr, ink, x + frame->cell / 2, y + frame->cell / 2, frame->cell * 0.18);
      return;
    }
  colour = fm_style_category (style, expert);
  fm_set_colour_alpha (cr, colour, faded ? 0.12 : 0.72);
  cairo_fill (cr);
  number = fm_format_count (expert + 1);
  fm_text_measure (cr, style, number, FM_TEXT_LABEL, TRUE, &width, NULL);
  if (width + 2 > frame->cell || frame->cell < 13)
    return;
  /* Over a picture of any grey the number stands on a disc of the category's own colour. */
  if (!faded)
    {
      cairo_arc (cr, x + frame->cell / 2, y + frame->cell / 2, MIN (frame->cell * 0.42, 10 * style->scale), 0,
                 2 * G_PI);
      fm_set_colour (cr, colour);
      cairo_fill (cr);
    }
  fm_text (cr, style, number, FM_TEXT_LABEL, TRUE,
           faded ? fm_style_colour (style, FM_COLOUR_DIM) : fm_colour_on (colour), FM_ALIGN_CENTRE, x + frame->cell / 2,
           y + frame->cell / 2);
}

static gint64
count_of (const FmExpertPatches *patches, gint64 expert)
{
  gint64 count = 0;

  for (gint64 t = 0; t < patches->n_tokens; t++)
    count += expert < 0 ? patches->expert[t] < 0 : patches->expert[t] == expert;
  return count;
}

static void
draw_list (cairo_t *cr, const FmExpertPatches *patches, const Frame *frame, const FmFigureStyle *style)
{
  FmColour ink = fm_style_colour (style, FM_COLOUR_INK), dim = fm_style_colour (style, FM_COLOUR_DIM);
  gdouble line = MIN (26 * style->scale, frame->box.height / (patches->experts + 1));
  gdouble side = MIN (line * 0.72, 18 * style->scale);
  gdouble bar_x = frame->list_x + side + 8 * style->scale;
  gdouble bar_width = frame->list_width - side - 44 * style->scale;
  gint64 most = 1, dropped = count_of (patches, -1);

  if (line < 11 * style->scale || bar_width < 20)
    return;
  for (gint64 e = 0; e < patches->experts; e++)
    most = MAX (most, count_of (patches, e));
  for (gint64 e = 0; e < patches->experts; e++)
    {
      FmColour colour = fm_style_category (style, e);
      gint64 count = count_of (patches, e);
      g_autofree char *name = fm_format_count (e + 1), *number = fm_format_count (count);
      gdouble y = frame->box.y + (e + 0.5) * line;

      fm_rounded_rectangle (cr, frame->list_x, y - side / 2, side, side, 3);
      fm_set_colour_alpha (cr, colour, count > 0 ? 1 : 0.25);
      cairo_fill (cr);
      fm_text (cr, style, name, FM_TEXT_TICK, TRUE, count > 0 ? fm_colour_on (colour) : dim, FM_ALIGN_CENTRE,
               frame->list_x + side / 2, y);
      fm_rounded_rectangle (cr, bar_x, y - 2.5 * style->scale, bar_width, 5 * style->scale, 2);
      fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_GRID));
      cairo_fill (cr);
      if (count > 0)
        {
          fm_rounded_rectangle (cr, bar_x, y - 2.5 * style->scale, bar_width * count / most, 5 * style->scale, 2);
          fm_set_colour (cr, dim);
          cairo_fill (cr);
        }
      fm_text (cr, style, number, FM_TEXT_LABEL, e == patches->chosen, count > 0 ? ink : dim, FM_ALIGN_RIGHT,
               frame->list_x + frame->list_width, y);
    }
  if (dropped > 0)
    {
      g_autofree char *text = g_strdup_printf ("%" G_GINT64_FORMAT " dropped, over capacity", dropped);
      gdouble y = frame->box.y + (patches->experts + 0.5) * line;

      draw_cross (cr, ink, frame->list_x + side / 2, y, side * 0.3);
      fm_text (cr, style, text, FM_TEXT_LABEL, FALSE, dim, FM_ALIGN_LEFT, bar_x, y);
    }
}

static void
draw_patches (gconstpointer model, cairo_t *cr, gdouble width, gdouble height, const FmFigureStyle *style)
{
  const FmExpertPatches *patches = model;
  Frame frame;

  if (!frame_init (&frame, patches, width, height, style))
    {
      fm_draw_sentence (cr, style, width, height,
                        patches->experts <= 0 ? "This run has no experts."
                                              : "The tokens of this task do not lie on a picture.");
      return;
    }
  if (patches->image != NULL && patches->image_rows > 0 && patches->image_columns > 0)
    fm_draw_picture (cr, style, &frame.box, patches->image_rows, patches->image_columns, patches->image);
  for (gint64 t = 0; t < patches->n_tokens; t++)
    draw_patch (cr, patches, &frame, style, t);
  if (frame.list_width > 0)
    draw_list (cr, patches, &frame, style);
}

static gint64
hit_patches (gconstpointer model, gdouble width, gdouble height, const FmFigureStyle *style, gdouble x, gdouble y)
{
  const FmExpertPatches *patches = model;
  Frame frame;

  if (!frame_init (&frame, patches, width, height, style) || x < frame.box.x || y < frame.box.y ||
      x >= frame.box.x + frame.box.width || y >= frame.box.y + frame.box.height)
    return -1;
  return (gint64) ((y - frame.box.y) / frame.cell) * patches->grid_columns + (gint64) ((x - frame.box.x) / frame.cell);
}

static char *
describe_patches (gconstpointer model, gint64 index)
{
  const FmExpertPatches *patches = model;

  if (patches->expert == NULL || patches->grid_columns <= 0 || index < 0 || index >= patches->n_tokens)
    return g_strdup ("");
  if (patches->expert[index] < 0)
    return g_strdup_printf ("Row %" G_GINT64_FORMAT ", column %" G_GINT64_FORMAT ": dropped, over capacity",
                            index / patches->grid_columns + 1, index % patches->grid_columns + 1);
  return g_strdup_printf ("Row %" G_GINT64_FORMAT ", column %" G_GINT64_FORMAT ": expert %d",
                          index / patches->grid_columns + 1, index % patches->grid_columns + 1,
                          patches->expert[index] + 1);
}

static FmFigureTable *
table_patches (gconstpointer model)
{
  const FmExpertPatches *patches = model;
  FmFigureTable *table = fm_figure_table_new (NULL, "expert", "tokens of this example", NULL);

  for (gint64 e = 0; patches->expert != NULL && e <= patches->experts; e++)
    {
      GStrv cells = g_new0 (char *, 3);

      cells[0] = e < patches->experts ? fm_format_count (e + 1) : g_strdup ("dropped");
      cells[1] = fm_format_count (count_of (patches, e < patches->experts ? e : -1));
      fm_figure_table_add (table, cells);
    }
  return table;
}

const FmFigure fm_figure_expert_patches = { "expert-patches", draw_patches, table_patches, hit_patches,
                                            describe_patches };
