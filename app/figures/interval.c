/* interval.c: the interval in a table cell, the numbers of its scale above the column, and a variant's marker. */
#include <math.h>

#include "app/figures/figures-private.h"
#include "app/results/format.h"

void
fm_interval_scale (const FmEstimate *values, gsize n, gdouble *low, gdouble *high)
{
  gdouble least = INFINITY, most = -INFINITY, pad;

  for (gsize i = 0; i < n; i++)
    {
      const FmEstimate *e = &values[i];

      if (!isfinite (e->mean))
        continue;
      least = MIN (least, isfinite (e->low) ? e->low : e->mean);
      most = MAX (most, isfinite (e->high) ? e->high : e->mean);
    }
  if (least > most)
    {
      *low = 0;
      *high = 1;
      return;
    }
  pad = most > least ? 0.08 * (most - least) : MAX (0.02 * fabs (most), 1e-6);
  *low = least - pad;
  *high = most + pad;
}

static void
draw_interval (gconstpointer model, cairo_t *cr, gdouble width, gdouble height, const FmFigureStyle *style)
{
  const FmIntervalCell *cell = model;
  FmColour colour = fm_style_variant (style, cell->variant);
  FmAxis axis;
  gdouble y = height / 2, cap = 5 * style->scale, margin = 8 * style->scale;

  fm_axis_init (&axis, cell->low, cell->high, 3);
  if (cell->baseline.n > 0 && isfinite (cell->baseline.mean))
    {
      gdouble x = fm_axis_at (&axis, cell->baseline.mean, margin, width - margin);
      const gdouble dots[] = { 1, 3 };

      if (isfinite (cell->baseline.low))
        {
          gdouble from = fm_axis_at (&axis, cell->baseline.low, margin, width - margin);
          gdouble to = fm_axis_at (&axis, cell->baseline.high, margin, width - margin);

          fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_BAND));
          cairo_rectangle (cr, from, 0, to - from, height);
          cairo_fill (cr);
        }
      fm_set_colour_alpha (cr, fm_style_colour (style, FM_COLOUR_DIM), 0.6);
      cairo_set_line_width (cr, 1);
      cairo_set_dash (cr, dots, 2, 0);
      cairo_move_to (cr, floor (x) + 0.5, 0);
      cairo_line_to (cr, floor (x) + 0.5, height);
      cairo_stroke (cr);
      cairo_set_dash (cr, NULL, 0, 0);
    }
  if (!isfinite (cell->value.mean))
    return;
  if (isfinite (cell->value.low))
    {
      gdouble from = fm_axis_at (&axis, cell->value.low, margin, width - margin);
      gdouble to = fm_axis_at (&axis, cell->value.high, margin, width - margin);

      fm_set_colour (cr, colour);
      cairo_set_line_width (cr, 2);
      cairo_move_to (cr, from, y);
      cairo_line_to (cr, to, y);
      cairo_move_to (cr, from, y - cap);
      cairo_line_to (cr, from, y + cap);
      cairo_move_to (cr, to, y - cap);
      cairo_line_to (cr, to, y + cap);
      cairo_stroke (cr);
    }
  fm_draw_marker (cr, style, cell->variant, fm_axis_at (&axis, cell->value.mean, margin, width - margin), y,
                  5 * style->scale);
}

static void
draw_interval_header (gconstpointer model, cairo_t *cr, gdouble width, gdouble height, const FmFigureStyle *style)
{
  const FmIntervalCell *cell = model;
  gdouble margin = 8 * style->scale, end = -INFINITY;
  FmAxis axis;

  fm_axis_init (&axis, cell->low, cell->high, 3);
  for (guint i = 0; i < axis.n_ticks; i++)
    {
      g_autofree char *text = fm_axis_tick_text (&axis, i, NULL);
      gdouble x = fm_axis_at (&axis, fm_axis_tick (&axis, i), margin, width - margin), w;

      fm_text_measure (cr, style, text, FM_TEXT_TICK, FALSE, &w, NULL);
      if (x - w / 2 < end + 6 * style->scale || x - w / 2 < 0 || x + w / 2 > width)
        continue;
      fm_text (cr, style, text, FM_TEXT_TICK, FALSE, fm_style_colour (style, FM_COLOUR_DIM), FM_ALIGN_CENTRE, x,
               height / 2);
      end = x + w / 2;
    }
}

static FmFigureTable *
table_interval (gconstpointer model)
{
  const FmIntervalCell *cell = model;
  FmFigureTable *table = fm_figure_table_new (NULL, "mean", "low", "high", "seeds", NULL);
  GStrv cells = g_new0 (char *, 5);

  cells[0] = fm_format_number (cell->value.mean, 2);
  cells[1] = fm_format_number (cell->value.low, 2);
  cells[2] = fm_format_number (cell->value.high, 2);
  cells[3] = fm_format_number (cell->value.n, 0);
  fm_figure_table_add (table, cells);
  return table;
}

const FmFigure fm_figure_interval = { "interval", draw_interval, table_interval, NULL, NULL };
const FmFigure fm_figure_interval_header = { "interval-header", draw_interval_header, table_interval, NULL, NULL };

/* --- A marker alone -----------------------------------------------------------------------------------------------*/

static void
draw_marker (gconstpointer model, cairo_t *cr, gdouble width, gdouble height, const FmFigureStyle *style)
{
  fm_draw_marker (cr, style, *(const gint *) model, width / 2, height / 2, MIN (width, height) / 2.7);
}

static FmFigureTable *
table_marker (gconstpointer model)
{
  FmFigureTable *table = fm_figure_table_new (NULL, "variant", NULL);
  GStrv cells = g_new0 (char *, 2);

  cells[0] = fm_format_number (*(const gint *) model, 0);
  fm_figure_table_add (table, cells);
  return table;
}

const FmFigure fm_figure_marker = { "marker", draw_marker, table_marker, NULL, NULL };
