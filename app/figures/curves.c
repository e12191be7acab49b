/* curves.c: learning curves with bands over seeds, labels at the ends of lines. */
#include <math.h>

#include "app/figures/figures-private.h"
#include "app/results/format.h"

/* Rows of the table: enough to read the course of a curve. */
#define TABLE_ROWS 12

typedef struct
{
  FmBox  box;
  FmAxis x, y;
} Frame;

static gboolean
point_is_drawn (const FmCurve *curve, gsize i)
{
  return isfinite (curve->x[i]) && isfinite (curve->y[i].mean);
}

static gboolean
frame_init (Frame *frame, const FmCurves *curves, cairo_t *cr, gdouble width, gdouble height,
            const FmFigureStyle *style)
{
  gdouble x_low = INFINITY, x_high = -INFINITY, y_low = INFINITY, y_high = -INFINITY, left, right = 0, unit;
  gdouble band_low = INFINITY, band_high = -INFINITY, pad;

  for (gsize c = 0; c < curves->n_curves; c++)
    {
      const FmCurve *curve = &curves->curves[c];
      gdouble label;

      for (gsize i = 0; i < curve->n; i++)
        if (point_is_drawn (curve, i))
          {
            x_low = MIN (x_low, curve->x[i]);
            x_high = MAX (x_high, curve->x[i]);
            y_low = MIN (y_low, curve->y[i].mean);
            y_high = MAX (y_high, curve->y[i].mean);
            band_low = MIN (band_low, isfinite (curve->y[i].low) ? curve->y[i].low : curve->y[i].mean);
            band_high = MAX (band_high, isfinite (curve->y[i].high) ? curve->y[i].high : curve->y[i].mean);
          }
      fm_text_measure (cr, style, curve->label, FM_TEXT_LABEL, curve->selected, &label, NULL);
      right = MAX (right, label);
    }
  if (x_low > x_high)
    return FALSE;
  /* Training starts at step 0, whatever the first point is. */
  if (x_low > 0 && x_low < 0.2 * x_high)
    x_low = 0;
  /* Bands are shown as far as they leave the lines readable: two seeds give bands of many times the lines' range. */
  pad = y_high > y_low ? 0.25 * (y_high - y_low) : INFINITY;
  y_low = MAX (band_low, y_low - pad);
  y_high = MIN (band_high, y_high + pad);
  if (isfinite (curves->y_low))
    y_low = curves->y_low;
  if (isfinite (curves->y_high))
    y_high = curves->y_high;
  if (g_strcmp0 (curves->y_unit, "%") == 0)
    y_low = MAX (y_low, 0), y_high = MIN (y_high, 100);
  fm_axis_init (&frame->x, x_low, x_high, width / style->scale > 420 ? 4 : 2);
  fm_axis_init (&frame->y, y_low, y_high, MAX (2, (guint) (height / style->scale / 50)));
  left = fm_y_axis_width (cr, style, &frame->y, curves->y_unit);
  fm_text_measure (cr, style, curves->x_unit, FM_TEXT_TICK, FALSE, &unit, NULL);
  right = MAX (right + 14 * style->scale, unit + 16 * style->scale);
  frame->box = (FmBox) { left, 10 * style->scale, width - left - right, height - 36 * style->scale };
  return frame->box.width > 20 && frame->box.height > 20;
}

static gdouble
x_of (const Frame *frame, gdouble x)
{
  return fm_axis_at (&frame->x, x, frame->box.x, frame->box.x + frame->box.width);
}

static gdouble
y_of (const Frame *frame, gdouble y)
{
  return fm_axis_at (&frame->y, y, frame->box.y + frame->box.height, frame->box.y);
}

static void
draw_band (const FmCurve *curve, const Frame *frame, cairo_t *cr, FmColour colour, gdouble alpha)
{
  gsize i = 0;

  while (i < curve->n)
    {
      gsize end = i;

      while (end < curve->n && point_is_drawn (curve, end) && isfinite (curve->y[end].low))
        end++;
      if (end > i + 1)
        {
          for (gsize k = i; k < end; k++)
            cairo_line_to (cr, x_of (frame, curve->x[k]), y_of (frame, curve->y[k].high));
          for (gsize k = end; k-- > i;)
            cairo_line_to (cr, x_of (frame, curve->x[k]), y_of (frame, curve->y[k].low));
          cairo_close_path (cr);
          fm_set_colour_alpha (cr, colour, alpha);
          cairo_fill (cr);
        }
      i = MAX (end, i + 1);
    }
}

static void
draw_line (const FmCurve *curve, const Frame *frame, cairo_t *cr, FmColour colour, gdouble width, gdouble alpha)
{
  gboolean broken = TRUE;

  for (gsize i = 0; i < curve->n; i++)
    {
      if (!point_is_drawn (curve, i))
        {
          broken = TRUE;
          continue;
        }
      if (broken)
        cairo_move_to (cr, x_of (frame, curve->x[i]), y_of (frame, curve->y[i].mean));
      else
        cairo_line_to (cr, x_of (frame, curve->x[i]), y_of (frame, curve->y[i].mean));
      broken = FALSE;
    }
  fm_set_colour_alpha (cr, colour, alpha);
  cairo_set_line_width (cr, width);
  cairo_set_line_join (cr, CAIRO_LINE_JOIN_ROUND);
  cairo_stroke (cr);
}

/* Index of the last point that is drawn, or -1. */
static gint64
last_point (const FmCurve *curve)
{
  for (gsize i = curve->n; i-- > 0;)
    if (point_is_drawn (curve, i))
      return i;
  return -1;
}

static gdouble
first_mean (const FmCurve *curve)
{
  for (gsize i = 0; i < curve->n; i++)
    if (point_is_drawn (curve, i))
      return curve->y[i].mean;
  return NAN;
}

static void
draw_ends (const FmCurves *curves, const Frame *frame, cairo_t *cr, const FmFigureStyle *style)
{
  g_autofree FmBox *boxes = g_new0 (FmBox, curves->n_curves + 1);
  gdouble top = frame->box.y, bottom = frame->box.y + frame->box.height, gap = 9 * style->scale;

  for (gsize c = 0; c < curves->n_curves; c++)
    {
      const FmCurve *curve = &curves->curves[c];
      gint64 last = last_point (curve);
      gdouble height;

      if (last < 0)
        continue;
      fm_text_measure (cr, style, curve->label, FM_TEXT_LABEL, curve->selected, &boxes[c].width, &height);
      boxes[c].height = height * 0.86; /* lines of small letters may come a little nearer than their boxes */
      boxes[c].x = x_of (frame, curve->x[last]) + gap;
      boxes[c].y = CLAMP (y_of (frame, curve->y[last].mean), top, bottom) - boxes[c].height / 2;
      /* Inside the plot, the side that lines of such a course leave free: under rising ones, over falling ones. */
      if (x_of (frame, curve->x[last]) < frame->box.x + frame->box.width - 1)
        boxes[c].y += (curve->y[last].mean >= first_mean (curve) ? 13 : -13) * style->scale;
    }
  fm_spread_boxes (boxes, curves->n_curves, top - 8 * style->scale, bottom + 4 * style->scale);
  for (gsize c = 0; c < curves->n_curves; c++)
    {
      const FmCurve *curve = &curves->curves[c];
      gint64 last = last_point (curve);
      FmColour colour = fm_style_variant (style, curve->variant);
      gdouble x, y, middle;

      if (last < 0)
        continue;
      x = x_of (frame, curve->x[last]);
      y = CLAMP (y_of (frame, curve->y[last].mean), top, bottom);
      middle = boxes[c].y + boxes[c].height / 2;
      if (curve->running)
        {
          fm_set_colour_alpha (cr, colour, 0.2);
          cairo_arc (cr, x, y, 9 * style->scale, 0, 2 * G_PI);
          cairo_fill (cr);
        }
      if (fabs (middle - y) > 4 * style->scale && x > frame->box.x + frame->box.width - 1)
        {
          fm_set_colour_alpha (cr, colour, 0.7);
          cairo_set_line_width (cr, 1);
          cairo_move_to (cr, x, y);
          cairo_line_to (cr, boxes[c].x - 2, middle);
          cairo_stroke (cr);
        }
      fm_draw_marker (cr, style, curve->variant, x, y, (curve->running ? 4.5 : 3.6) * style->scale);
      fm_text (cr, style, curve->label, FM_TEXT_LABEL, curve->selected, fm_style_colour (style, FM_COLOUR_INK),
               FM_ALIGN_LEFT, boxes[c].x, middle);
    }
}

static void
draw_curves (gconstpointer model, cairo_t *cr, gdouble width, gdouble height, const FmFigureStyle *style)
{
  const FmCurves *curves = model;
  Frame frame;

  if (!frame_init (&frame, curves, cr, width, height, style))
    {
      fm_draw_sentence (cr, style, width, height, "No curve yet: the first point comes with the first evaluation.");
      return;
    }
  fm_draw_y_axis (cr, style, &frame.y, &frame.box, curves->y_unit);
  fm_draw_x_axis (cr, style, &frame.x, &frame.box, curves->x_unit);
  cairo_save (cr);
  cairo_rectangle (cr, frame.box.x - 1, frame.box.y - 2, frame.box.width + 2, frame.box.height + 3);
  cairo_clip (cr);
  for (gsize c = 0; c < curves->n_curves; c++)
    draw_band (&curves->curves[c], &frame, cr, fm_style_variant (style, curves->curves[c].variant),
               style->scheme == FM_SCHEME_DARK ? 0.13 : 0.11);
  /* What is selected or still moves lies above what is finished. */
  for (guint layer = 0; layer < 3; layer++)
    for (gsize c = 0; c < curves->n_curves; c++)
      {
        const FmCurve *curve = &curves->curves[c];
        guint own = curve->selected ? 2 : curve->running ? 1 : 0;

        if (own == layer)
          draw_line (curve, &frame, cr, fm_style_variant (style, curve->variant),
                     (own == 2 ? 3 : curves->calm || own == 1 ? 2 : 1.5) * style->scale,
                     curves->calm || own > 0 ? 1 : 0.55);
      }
  cairo_restore (cr);
  if (isfinite (curves->cursor) && curves->cursor >= frame.x.low && curves->cursor <= frame.x.high)
    {
      gdouble x = floor (x_of (&frame, curves->cursor)) + 0.5;

      fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_DIM));
      cairo_set_line_width (cr, 1);
      cairo_move_to (cr, x, frame.box.y);
      cairo_line_to (cr, x, frame.box.y + frame.box.height);
      cairo_stroke (cr);
    }
  draw_ends (curves, &frame, cr, style);
}

gdouble
fm_curves_x (const FmCurves *curves, gdouble width, gdouble height, const FmFigureStyle *style, gdouble x)
{
  cairo_t *cr = fm_measuring_context ();
  gdouble value = NAN;
  Frame frame;

  if (frame_init (&frame, curves, cr, width, height, style) && x >= frame.box.x && x <= frame.box.x + frame.box.width)
    value = frame.x.low + (x - frame.box.x) / frame.box.width * (frame.x.high - frame.x.low);
  cairo_destroy (cr);
  return value;
}

static gint64
hit_curves (gconstpointer model, gdouble width, gdouble height, const FmFigureStyle *style, gdouble x, gdouble y)
{
  const FmCurves *curves = model;
  cairo_t *cr = fm_measuring_context ();
  gdouble nearest = 12;
  gint64 found = -1;
  Frame frame;

  if (frame_init (&frame, curves, cr, width, height, style))
    for (gsize c = 0; c < curves->n_curves; c++)
      {
        const FmCurve *curve = &curves->curves[c];

        for (gsize i = 0; i + 1 < curve->n; i++)
          if (point_is_drawn (curve, i) && point_is_drawn (curve, i + 1))
            {
              gdouble x0 = x_of (&frame, curve->x[i]), x1 = x_of (&frame, curve->x[i + 1]), at, distance;

              if (x < x0 || x > x1 || x1 <= x0)
                continue;
              at = (x - x0) / (x1 - x0);
              distance = fabs (y_of (&frame, curve->y[i].mean + at * (curve->y[i + 1].mean - curve->y[i].mean)) - y);
              if (distance < nearest)
                {
                  nearest = distance;
                  found = c;
                }
            }
      }
  cairo_destroy (cr);
  return found;
}

static FmFigureTable *
table_curves (gconstpointer model)
{
  const FmCurves *curves = model;
  FmFigureTable *table = fm_figure_table_new (curves->title, "Variant", curves->x_unit, "mean", "low", "high", "seeds",
                                              NULL);

  for (gsize c = 0; c < curves->n_curves; c++)
    {
      const FmCurve *curve = &curves->curves[c];
      gsize rows = MIN (curve->n, TABLE_ROWS);

      for (gsize r = 0; r < rows; r++)
        {
          gsize i = rows > 1 ? r * (curve->n - 1) / (rows - 1) : 0;
          guint decimals = g_strcmp0 (curves->y_unit, "%") == 0 ? 1 : 3;
          GStrv cells = g_new0 (char *, 7);

          cells[0] = g_strdup (curve->label);
          cells[1] = fm_format_number (curve->x[i], 0);
          cells[2] = fm_format_number (curve->y[i].mean, decimals);
          cells[3] = fm_format_number (curve->y[i].low, decimals);
          cells[4] = fm_format_number (curve->y[i].high, decimals);
          cells[5] = fm_format_number (curve->y[i].n, 0);
          fm_figure_table_add (table, cells);
        }
    }
  return table;
}

static char *
describe_curves (gconstpointer model, gint64 index)
{
  const FmCurves *curves = model;
  const FmCurve *curve;
  g_autofree char *x = NULL, *y = NULL;
  gint64 at = -1;

  if (index < 0 || index >= (gint64) curves->n_curves)
    return g_strdup ("");
  curve = &curves->curves[index];
  for (gsize i = 0; i < curve->n; i++)
    if (point_is_drawn (curve, i) && (!isfinite (curves->cursor) || curve->x[i] <= curves->cursor || at < 0))
      at = i;
  if (at < 0)
    return g_strdup_printf ("%s: no point yet", curve->label);
  x = fm_format_number (curve->x[at], 0);
  y = fm_format_number (curve->y[at].mean, g_strcmp0 (curves->y_unit, "%") == 0 ? 1 : 3);
  return g_strdup_printf ("%s: %s %s at %s %s", curve->label, y, curves->y_unit, x, curves->x_unit);
}

const FmFigure fm_figure_curves = { "curves", draw_curves, table_curves, hit_curves, describe_curves };
