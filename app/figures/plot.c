/* plot.c: accuracy against latency; area is peak memory, the line is the Pareto front of the two; a ring marks what
 * only its memory brings to the front of all three. */
#include <math.h>
#include <stdlib.h>

#include "app/figures/figures-private.h"
#include "app/results/format.h"

#define MARKER 5.5
#define BIGGEST_BUBBLE 20.0

typedef struct
{
  FmBox    box; /* of the plot proper */
  FmAxis   x, y;
  gdouble  per_area; /* bubble radius squared per unit of area */
  gdouble  scale;
} Frame;

static gboolean
is_drawn (const FmPlotPoint *point)
{
  return isfinite (point->x) && isfinite (point->y.mean);
}

static gdouble
low_of (const FmEstimate *e)
{
  return isfinite (e->low) ? e->low : e->mean;
}

static gdouble
high_of (const FmEstimate *e)
{
  return isfinite (e->high) ? e->high : e->mean;
}

/* FALSE when nothing can be drawn. */
static gboolean
frame_init (Frame *frame, const FmPlot *plot, cairo_t *cr, gdouble width, gdouble height, const FmFigureStyle *style)
{
  gdouble x_low = INFINITY, x_high = -INFINITY, y_low = INFINITY, y_high = -INFINITY, most_area = 0, pad, left;
  gdouble unit = 0;
  gboolean percent = g_strcmp0 (plot->y_unit, "%") == 0;

  for (gsize i = 0; i < plot->n_points; i++)
    if (is_drawn (&plot->points[i]))
      {
        const FmPlotPoint *p = &plot->points[i];

        x_low = MIN (x_low, p->x);
        x_high = MAX (x_high, p->x);
        y_low = MIN (y_low, low_of (&p->y));
        y_high = MAX (y_high, high_of (&p->y));
        if (isfinite (p->area))
          most_area = MAX (most_area, p->area);
      }
  if (x_low > x_high)
    return FALSE;
  frame->scale = style->scale;
  pad = x_high > x_low ? (x_high - x_low) * 0.17 : fabs (x_high) * 0.3 + 1e-9;
  fm_axis_init (&frame->x, MAX (x_low - pad, x_low > 0 ? 0 : -INFINITY), x_high + pad,
                width / style->scale > 360 ? 4 : 3);
  pad = y_high > y_low ? (y_high - y_low) * 0.12 : MAX (fabs (y_high) * 0.01, 1e-9);
  y_low -= pad;
  y_high += pad;
  /* An interval of two seeds can be wider than what is possible; no accuracy lies outside 0 to 100. */
  if (percent)
    y_low = MAX (y_low, 0), y_high = MIN (y_high, 100);
  fm_axis_init (&frame->y, y_low, y_high, MAX (2, (guint) (height / style->scale / 60)));
  left = fm_y_axis_width (cr, style, &frame->y, plot->y_unit);
  if (plot->x_unit != NULL)
    fm_text_measure (cr, style, plot->x_unit, FM_TEXT_TICK, FALSE, &unit, NULL);
  /* Room for half a number and its unit, should the last tick stand at the very end. */
  frame->box = (FmBox) { left, 8 * style->scale, width - left - unit - 16 * style->scale, height - 34 * style->scale };
  frame->per_area = most_area > 0 ? pow (BIGGEST_BUBBLE * style->scale, 2) / most_area : 0;
  return frame->box.width > 20 && frame->box.height > 20;
}

static gdouble
x_of (const Frame *frame, const FmPlotPoint *point)
{
  return fm_axis_at (&frame->x, point->x, frame->box.x, frame->box.x + frame->box.width);
}

static gdouble
y_of (const Frame *frame, gdouble value)
{
  return CLAMP (fm_axis_at (&frame->y, value, frame->box.y + frame->box.height, frame->box.y), frame->box.y,
                frame->box.y + frame->box.height);
}

static gdouble
bubble_of (const Frame *frame, const FmPlotPoint *point)
{
  return isfinite (point->area) && point->area > 0 ? sqrt (point->area * frame->per_area) : 0;
}

/* The circle that marks the selected point. */
static gdouble
ring_of (const Frame *frame, const FmPlotPoint *point)
{
  return MAX (bubble_of (frame, point), 9 * frame->scale) + 3;
}

static int
by_cost (const void *a, const void *b)
{
  const FmPlotPoint *p = *(const FmPlotPoint *const *) a, *q = *(const FmPlotPoint *const *) b;

  if (p->x != q->x)
    return p->x < q->x ? -1 : 1;
  return (p->y.mean < q->y.mean) - (p->y.mean > q->y.mean);
}

/* (transfer container): points that no other point beats in both, by rising cost. */
static GPtrArray *
pareto_front (const FmPlot *plot)
{
  g_autoptr (GPtrArray) sorted = g_ptr_array_new ();
  GPtrArray *front = g_ptr_array_new ();
  gdouble best = -INFINITY;

  for (gsize i = 0; i < plot->n_points; i++)
    if (is_drawn (&plot->points[i]))
      g_ptr_array_add (sorted, (gpointer) &plot->points[i]);
  if (sorted->len > 0)
    qsort (sorted->pdata, sorted->len, sizeof (gpointer), by_cost);
  for (guint i = 0; i < sorted->len; i++)
    {
      const FmPlotPoint *point = sorted->pdata[i];

      if (point->y.mean > best)
        {
          g_ptr_array_add (front, (gpointer) point);
          best = point->y.mean;
        }
    }
  return front;
}

/* Does no other point beat it in accuracy, cost and memory together? */
static gboolean
is_on_whole_front (const FmPlot *plot, const FmPlotPoint *point)
{
  for (gsize i = 0; i < plot->n_points; i++)
    {
      const FmPlotPoint *other = &plot->points[i];

      if (is_drawn (other) && other->x <= point->x && other->y.mean >= point->y.mean && other->area <= point->area
          && (other->x < point->x || other->y.mean > point->y.mean || other->area < point->area))
        return FALSE;
    }
  return isfinite (point->area);
}

static void
draw_front (const FmPlot *plot, const Frame *frame, cairo_t *cr, const FmFigureStyle *style)
{
  g_autoptr (GPtrArray) front = pareto_front (plot);
  gdouble y = frame->box.y + frame->box.height;

  for (guint i = 0; i < front->len; i++)
    {
      const FmPlotPoint *point = front->pdata[i];

      cairo_line_to (cr, x_of (frame, point), y);
      y = y_of (frame, point->y.mean);
      cairo_line_to (cr, x_of (frame, point), y);
    }
  cairo_line_to (cr, frame->box.x + frame->box.width, y);
  fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_FINISHED));
  cairo_set_line_width (cr, 1.5);
  cairo_stroke (cr);
}

/* A dashed ring: off the line, and still the best there is for so little memory. */
static void
draw_memory_front (const FmPlot *plot, const Frame *frame, cairo_t *cr, const FmFigureStyle *style)
{
  static const gdouble dashes[] = { 3, 2.5 };
  g_autoptr (GPtrArray) front = pareto_front (plot);

  for (gsize i = 0; i < plot->n_points; i++)
    {
      const FmPlotPoint *p = &plot->points[i];

      if (!is_drawn (p) || g_ptr_array_find (front, p, NULL) || !is_on_whole_front (plot, p))
        continue;
      cairo_new_sub_path (cr);
      cairo_arc (cr, x_of (frame, p), y_of (frame, p->y.mean), MAX (bubble_of (frame, p), 9 * frame->scale), 0,
                 2 * G_PI);
      fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_DIM));
      cairo_set_line_width (cr, 1.3);
      cairo_set_dash (cr, dashes, G_N_ELEMENTS (dashes), 0);
      cairo_stroke (cr);
      cairo_set_dash (cr, NULL, 0, 0);
    }
}

/* --- Labels: each tries places around its point and takes the one that covers least -------------------------------*/

static gdouble
overlap (const FmBox *a, const FmBox *b)
{
  gdouble w = MIN (a->x + a->width, b->x + b->width) - MAX (a->x, b->x);
  gdouble h = MIN (a->y + a->height, b->y + b->height) - MAX (a->y, b->y);

  return w > 0 && h > 0 ? w * h : 0;
}

static FmBox
candidate (const Frame *frame, const FmPlotPoint *point, gdouble width, gdouble height, guint index)
{
  static const gdouble directions[][2] = { { 1, 0.35 }, { -1, -0.6 }, { 1, -0.6 }, { -1, 0.6 }, { 1, 0.9 },
                                           { 0, -1 },   { 0, 1 },     { -1, 0 } };
  guint ring = index / G_N_ELEMENTS (directions);
  const gdouble *d = directions[index % G_N_ELEMENTS (directions)];
  gdouble around = MAX (MARKER * frame->scale * 1.6, bubble_of (frame, point) * 0.8);
  gdouble reach = (point->selected ? ring_of (frame, point) : around) + (3 + ring * 16) * frame->scale;
  gdouble x = x_of (frame, point) + d[0] * (reach + width / 2);
  gdouble y = y_of (frame, point->y.mean) + d[1] * (reach + height / 2);

  return (FmBox) { x - width / 2, y - height / 2, width, height };
}

static gdouble
cost_of (const FmPlot *plot, const Frame *frame, const FmBox *placed, gsize self, const FmBox *box, guint index)
{
  gdouble cost = index * 6.0; /* earlier candidates are the nicer ones */
  const FmBox *in = &frame->box;

  cost += 40 * (box->width * box->height - overlap (box, &(FmBox) { in->x, 0, in->width + 8, in->y + in->height }));
  for (gsize i = 0; i < plot->n_points; i++)
    {
      const FmPlotPoint *p = &plot->points[i];
      gdouble x, y, r = MARKER * frame->scale, bubble;

      if (!is_drawn (p))
        continue;
      x = x_of (frame, p);
      y = y_of (frame, p->y.mean);
      bubble = bubble_of (frame, p);
      cost += 30 * overlap (box, &(FmBox) { x - r, y - r, 2 * r, 2 * r });
      cost += 2 * overlap (box, &(FmBox) { x - bubble * 0.8, y - bubble * 0.8, 1.6 * bubble, 1.6 * bubble });
      cost += 12 * overlap (box, &(FmBox) { x - 2, y_of (frame, high_of (&p->y)), 4,
                                            y_of (frame, low_of (&p->y)) - y_of (frame, high_of (&p->y)) });
      if (i != self)
        cost += 50 * overlap (box, &placed[i]);
    }
  return cost;
}

static void
draw_labels (const FmPlot *plot, const Frame *frame, cairo_t *cr, const FmFigureStyle *style)
{
  g_autofree FmBox *placed = g_new0 (FmBox, plot->n_points + 1);

  /* Two rounds: in the second each label knows where all the others went. */
  for (guint round = 0; round < 2; round++)
    for (gsize i = 0; i < plot->n_points; i++)
      {
        const FmPlotPoint *p = &plot->points[i];
        gdouble width, height, least = INFINITY;
        FmBox best = { 0 };

        if (!is_drawn (p) || p->label == NULL)
          continue;
        fm_text_measure (cr, style, p->label, FM_TEXT_LABEL, p->selected, &width, &height);
        for (guint c = 0; c < 32; c++)
          {
            FmBox box = candidate (frame, p, width, height, c);
            gdouble cost = cost_of (plot, frame, placed, i, &box, c);

            if (cost < least)
              {
                least = cost;
                best = box;
              }
          }
        placed[i] = best;
      }
  for (gsize i = 0; i < plot->n_points; i++)
    {
      const FmPlotPoint *p = &plot->points[i];
      const FmBox *box = &placed[i];
      gdouble x, y, near_x, near_y;

      if (box->width <= 0)
        continue;
      x = x_of (frame, p);
      y = y_of (frame, p->y.mean);
      near_x = CLAMP (x, box->x, box->x + box->width);
      near_y = CLAMP (y, box->y, box->y + box->height);
      if (hypot (near_x - x, near_y - y) > bubble_of (frame, p) + 12 * style->scale)
        {
          fm_set_colour_alpha (cr, fm_style_variant (style, p->variant), 0.6);
          cairo_set_line_width (cr, 1);
          cairo_move_to (cr, x, y);
          cairo_line_to (cr, near_x, near_y);
          cairo_stroke (cr);
        }
      fm_text (cr, style, p->label, FM_TEXT_LABEL, p->selected, fm_style_colour (style, FM_COLOUR_INK), FM_ALIGN_LEFT,
               box->x, box->y + box->height / 2);
    }
}

/* A bubble of a round size with its number, in the corner where the worst points would be, if nobody is there. */
static void
draw_area_key (const FmPlot *plot, const Frame *frame, cairo_t *cr, const FmFigureStyle *style)
{
  gdouble most = 0, size, radius, power, x, y, width;
  g_autofree char *number = NULL, *text = NULL;

  for (gsize i = 0; i < plot->n_points; i++)
    if (is_drawn (&plot->points[i]) && isfinite (plot->points[i].area))
      most = MAX (most, plot->points[i].area);
  if (most <= 0 || plot->area_unit == NULL || frame->box.width < 180 * style->scale)
    return;
  power = pow (10, floor (log10 (most * 0.6)));
  size = most * 0.6 / power >= 5 ? 5 * power : most * 0.6 / power >= 2 ? 2 * power : power;
  radius = sqrt (size * frame->per_area);
  number = fm_format_number (size, size < 1 ? (guint) ceil (-log10 (size)) : 0);
  text = g_strconcat (number, " ", plot->area_unit, NULL);
  fm_text_measure (cr, style, text, FM_TEXT_TICK, FALSE, &width, NULL);
  x = frame->box.x + frame->box.width - width - 4 * style->scale;
  y = frame->box.y + frame->box.height - radius - 6 * style->scale;
  for (gsize i = 0; i < plot->n_points; i++)
    {
      const FmPlotPoint *p = &plot->points[i];

      if (is_drawn (p) && x_of (frame, p) > x - 4 * radius - 30 * style->scale &&
          y_of (frame, low_of (&p->y)) > y - 2 * radius - 12 * style->scale)
        return;
    }
  fm_set_colour_alpha (cr, fm_style_colour (style, FM_COLOUR_DIM), 0.3);
  cairo_arc (cr, x - radius - 6 * style->scale, y, radius, 0, 2 * G_PI);
  cairo_fill (cr);
  fm_text (cr, style, text, FM_TEXT_TICK, FALSE, fm_style_colour (style, FM_COLOUR_DIM), FM_ALIGN_LEFT, x, y);
}

static void
draw_plot (gconstpointer model, cairo_t *cr, gdouble width, gdouble height, const FmFigureStyle *style)
{
  const FmPlot *plot = model;
  Frame frame;

  if (!frame_init (&frame, plot, cr, width, height, style))
    {
      fm_draw_sentence (cr, style, width, height, "Nothing measured yet: a point needs an accuracy and a latency.");
      return;
    }
  fm_draw_y_axis (cr, style, &frame.y, &frame.box, plot->y_unit);
  fm_draw_x_axis (cr, style, &frame.x, &frame.box, plot->x_unit);
  draw_front (plot, &frame, cr, style);
  draw_area_key (plot, &frame, cr, style);
  for (gsize i = 0; i < plot->n_points; i++)
    if (is_drawn (&plot->points[i]))
      {
        const FmPlotPoint *p = &plot->points[i];
        FmColour colour = fm_style_variant (style, p->variant);
        gdouble x = x_of (&frame, p), y = y_of (&frame, p->y.mean), bubble = bubble_of (&frame, p);

        if (bubble > 0)
          {
            cairo_arc (cr, x, y, bubble, 0, 2 * G_PI);
            fm_set_colour_alpha (cr, colour, 0.17);
            cairo_fill_preserve (cr);
            if (style->high_contrast)
              fm_fill_hatched (cr, colour, 0.8, 5);
            cairo_new_path (cr);
          }
      }
  draw_memory_front (plot, &frame, cr, style);
  for (gsize i = 0; i < plot->n_points; i++)
    if (is_drawn (&plot->points[i]))
      {
        const FmPlotPoint *p = &plot->points[i];
        gdouble x = x_of (&frame, p), y = y_of (&frame, p->y.mean);

        fm_set_colour (cr, fm_style_variant (style, p->variant));
        cairo_set_line_width (cr, 2);
        cairo_move_to (cr, x, y_of (&frame, low_of (&p->y)));
        cairo_line_to (cr, x, y_of (&frame, high_of (&p->y)));
        cairo_stroke (cr);
        if (p->selected)
          {
            fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_ACCENT));
            cairo_set_line_width (cr, 2.5);
            cairo_arc (cr, x, y, ring_of (&frame, p), 0, 2 * G_PI);
            cairo_stroke (cr);
          }
        fm_draw_marker (cr, style, p->variant, x, y, MARKER * style->scale);
      }
  draw_labels (plot, &frame, cr, style);
  fm_text (cr, style, "better ↖", FM_TEXT_TICK, FALSE, fm_style_colour (style, FM_COLOUR_DIM), FM_ALIGN_LEFT,
           frame.box.x + 4 * style->scale, frame.box.y + 6 * style->scale);
}

static gint64
hit_plot (gconstpointer model, gdouble width, gdouble height, const FmFigureStyle *style, gdouble x, gdouble y)
{
  const FmPlot *plot = model;
  cairo_t *cr = fm_measuring_context ();
  gdouble nearest = INFINITY;
  gint64 found = -1;
  Frame frame;

  if (frame_init (&frame, plot, cr, width, height, style))
    for (gsize i = 0; i < plot->n_points; i++)
      if (is_drawn (&plot->points[i]))
        {
          const FmPlotPoint *p = &plot->points[i];
          gdouble distance = hypot (x_of (&frame, p) - x, y_of (&frame, p->y.mean) - y);

          /* A finger needs 44 px. */
          if (distance < nearest && distance <= MAX (22, bubble_of (&frame, p)))
            {
              nearest = distance;
              found = i;
            }
        }
  cairo_destroy (cr);
  return found;
}

static char *
with_interval (const FmEstimate *e, guint decimals)
{
  g_autofree char *mean = fm_format_number (e->mean, decimals), *low = NULL, *high = NULL;

  if (!isfinite (e->low))
    return g_steal_pointer (&mean);
  low = fm_format_number (e->low, decimals);
  high = fm_format_number (e->high, decimals);
  return g_strdup_printf ("%s [%s, %s]", mean, low, high);
}

static char *
titled (const char *title, const char *unit)
{
  return unit != NULL && *unit != '\0' ? g_strdup_printf ("%s, %s", title, unit) : g_strdup (title);
}

static FmFigureTable *
table_plot (gconstpointer model)
{
  const FmPlot *plot = model;
  g_autofree char *x = titled (plot->x_title, plot->x_unit), *y = titled (plot->y_title, plot->y_unit);
  g_autofree char *area = titled (plot->area_title, plot->area_unit);
  FmFigureTable *table = fm_figure_table_new (NULL, "Variant", y, x, area, "On the front", NULL);
  g_autoptr (GPtrArray) front = pareto_front (plot);

  for (gsize i = 0; i < plot->n_points; i++)
    {
      const FmPlotPoint *p = &plot->points[i];
      GStrv cells = g_new0 (char *, 6);

      cells[0] = g_strdup (p->label);
      cells[1] = with_interval (&p->y, 1);
      cells[2] = fm_format_latency (p->x);
      cells[3] = fm_format_number (p->area, 1);
      cells[4] = g_strdup (g_ptr_array_find (front, p, NULL) ? "yes" : is_drawn (p) && is_on_whole_front (plot, p)
                                                                         ? "for its memory" : "no");
      fm_figure_table_add (table, cells);
    }
  return table;
}

static char *
describe_plot (gconstpointer model, gint64 index)
{
  const FmPlot *plot = model;
  const FmPlotPoint *p;
  g_autofree char *x = NULL, *y = NULL, *area = NULL;

  if (index < 0 || index >= (gint64) plot->n_points)
    return g_strdup ("");
  p = &plot->points[index];
  y = with_interval (&p->y, 1);
  x = fm_format_latency (p->x);
  area = fm_format_number (p->area, 1);
  return g_strdup_printf ("%s: %s %s %s, %s %s %s, %s %s %s", p->label, plot->y_title, y, plot->y_unit, plot->x_title,
                          x, plot->x_unit, plot->area_title, area, plot->area_unit);
}

const FmFigure fm_figure_plot = { "plot", draw_plot, table_plot, hit_plot, describe_plot };
