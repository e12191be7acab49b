/* scaling.c: a cost against the length N, both axes logarithmic, with the places where one variant becomes cheaper than
 * another. A power of N is a straight line here, so between two measured lengths the line is what is assumed. */
#include <math.h>
#include <string.h>

#include "app/figures/figures-private.h"
#include "app/results/format.h"

#define MARKER 4.6
#define MOST_MARKS 8 /* crossings with a ring and a number; the text has all */

typedef struct
{
  FmBox   box;
  gdouble x_low, x_high, y_low, y_high; /* logarithms */
} Frame;

static gboolean
is_drawn (const FmScalingLine *line, gsize i)
{
  return isfinite (line->x[i]) && line->x[i] > 0 && isfinite (line->y[i].mean) && line->y[i].mean > 0;
}

static gboolean
has_interval (const FmEstimate *e)
{
  return isfinite (e->low) && isfinite (e->high) && e->low > 0;
}

/* --- Crossings ----------------------------------------------------------------------------------------------------*/

/* Index of the point at @x, or -1. */
static gint64
point_at (const FmScalingLine *line, gdouble x)
{
  for (gsize i = 0; i < line->n; i++)
    if (is_drawn (line, i) && line->x[i] == x)
      return i;
  return -1;
}

/* +1: above for certain, -1: below for certain, 0: the intervals meet, or there is none. */
static gint
certain_side (const FmEstimate *a, const FmEstimate *b)
{
  if (!has_interval (a) || !has_interval (b))
    return 0;
  return a->low > b->high ? 1 : a->high < b->low ? -1 : 0;
}

/* Where two lines cross between lengths that both have. Costs within FM_COST_MARGIN count as the same, as in every
 * verdict on costs: such a length says nothing about the order, so lines that only touch do not cross. */
static void
find_crossings (const FmScaling *scaling, gsize first, gsize second, GArray *found)
{
  const FmScalingLine *a = &scaling->lines[first], *b = &scaling->lines[second];
  gdouble last_x = NAN, last_d = 0, last_log_y = 0;
  gint last_side = 0;

  for (gsize i = 0; i < a->n; i++)
    {
      gint64 k = is_drawn (a, i) ? point_at (b, a->x[i]) : -1;
      gdouble d, x;
      gint side;

      if (k < 0)
        continue;
      x = log (a->x[i]);
      d = log (a->y[i].mean) - log (b->y[k].mean);
      side = certain_side (&a->y[i], &b->y[k]);
      if (fabs (d) <= log (1 + FM_COST_MARGIN))
        continue;
      if (isfinite (last_x) && last_d * d < 0)
        {
          gdouble t = last_d / (last_d - d);
          FmCrossing crossing = { d < 0 ? first : second, d < 0 ? second : first, exp (last_x + t * (x - last_x)),
                                  exp (last_log_y + t * (log (a->y[i].mean) - last_log_y)), exp (last_x), a->x[i],
                                  last_side * side < 0 };

          g_array_append_val (found, crossing);
        }
      last_x = x;
      last_d = d;
      last_log_y = log (a->y[i].mean);
      last_side = side;
    }
}

static int
by_x (gconstpointer a, gconstpointer b)
{
  const FmCrossing *p = a, *q = b;

  return (p->x > q->x) - (p->x < q->x);
}

GArray *
fm_scaling_crossings (const FmScaling *scaling)
{
  GArray *found = g_array_new (FALSE, FALSE, sizeof (FmCrossing));

  /* Of many lines each crosses each: then only the baseline's crossings tell something. */
  for (gsize a = 0; a < scaling->n_lines; a++)
    for (gsize b = a + 1; b < scaling->n_lines; b++)
      if (scaling->n_lines <= 4 || scaling->lines[a].variant == 0 || scaling->lines[b].variant == 0)
        find_crossings (scaling, a, b, found);
  g_array_sort (found, by_x);
  return found;
}

/* Exponent of N between the last two measured lengths; NaN for fewer than two. */
static gdouble
last_slope (const FmScalingLine *line, gdouble *from, gdouble *to)
{
  gint64 last = -1, before = -1;

  for (gsize i = 0; i < line->n; i++)
    if (is_drawn (line, i))
      {
        before = last;
        last = i;
      }
  if (before < 0 || line->x[last] <= line->x[before])
    return NAN;
  *from = line->x[before];
  *to = line->x[last];
  return (log (line->y[last].mean) - log (line->y[before].mean)) / (log (*to) - log (*from));
}

char *
fm_scaling_text (const FmScaling *scaling)
{
  g_autoptr (GArray) crossings = fm_scaling_crossings (scaling);
  GString *out = g_string_new (NULL);
  gboolean begun = FALSE;

  for (guint i = 0; i < crossings->len; i++)
    {
      const FmCrossing *c = &g_array_index (crossings, FmCrossing, i);
      g_autofree char *at = fm_format_number (c->x, 0), *low = fm_format_number (c->x_low, 0);
      g_autofree char *high = fm_format_number (c->x_high, 0);

      g_string_append_printf (out, "%sFrom %s = %s on (measured at %s and %s) %s takes less than %s%s.",
                              out->len > 0 ? " " : "", scaling->x_title, at, low, high,
                              scaling->lines[c->cheaper].label, scaling->lines[c->dearer].label,
                              c->certain ? "" : ", if the means are right: intervals overlap at one of the two");
    }
  if (crossings->len == 0 && scaling->n_lines > 1)
    g_string_append (out, "No line crosses another; costs within 5 % count as the same.");
  for (gsize l = 0; l < scaling->n_lines; l++)
    {
      gdouble from, to, slope = last_slope (&scaling->lines[l], &from, &to);
      g_autofree char *power = fm_format_number (slope, 2), *low = NULL, *high = NULL;

      if (!isfinite (slope))
        continue;
      low = fm_format_number (from, 0);
      high = fm_format_number (to, 0);
      if (!begun)
        g_string_append_printf (out, "%sBetween the last two lengths, %s and %s, ", out->len > 0 ? " " : "", low, high);
      g_string_append_printf (out, "%s%s grows as %s^%s", begun ? ", " : "", scaling->lines[l].label, scaling->x_title,
                              power);
      begun = TRUE;
    }
  if (begun)
    g_string_append_c (out, '.');
  return g_string_free (out, FALSE);
}

/* --- Axes ---------------------------------------------------------------------------------------------------------*/

static gboolean
frame_init (Frame *frame, const FmScaling *scaling, cairo_t *cr, gdouble width, gdouble height,
            const FmFigureStyle *style, gdouble left)
{
  gdouble x_low = INFINITY, x_high = -INFINITY, y_low = INFINITY, y_high = -INFINITY, right = 0, unit, pad;
  guint points = 0;

  for (gsize l = 0; l < scaling->n_lines; l++)
    {
      const FmScalingLine *line = &scaling->lines[l];
      gdouble label;

      for (gsize i = 0; i < line->n; i++)
        if (is_drawn (line, i))
          {
            x_low = MIN (x_low, log (line->x[i]));
            x_high = MAX (x_high, log (line->x[i]));
            y_low = MIN (y_low, log (line->y[i].mean));
            y_high = MAX (y_high, log (line->y[i].mean));
            points++;
          }
      fm_text_measure (cr, style, line->label, FM_TEXT_LABEL, FALSE, &label, NULL);
      right = MAX (right, label);
    }
  if (points == 0)
    return FALSE;
  pad = MAX (0.04 * (x_high - x_low), 0.02);
  frame->x_low = x_low - pad;
  frame->x_high = x_high + pad;
  /* Intervals are shown as far as they leave the lines readable, as those of two seeds would not. */
  pad = MAX (0.12 * (y_high - y_low), 0.12);
  frame->y_low = y_low - pad;
  frame->y_high = y_high + pad;
  fm_text_measure (cr, style, scaling->x_unit, FM_TEXT_TICK, FALSE, &unit, NULL);
  right = MAX (right + 14 * style->scale, unit + 16 * style->scale);
  frame->box = (FmBox) { left, 10 * style->scale, width - left - right, height - 38 * style->scale };
  return frame->box.width > 20 && frame->box.height > 20;
}

static gdouble
x_of (const Frame *f, gdouble x)
{
  return f->box.x + (log (x) - f->x_low) / (f->x_high - f->x_low) * f->box.width;
}

static gdouble
y_of (const Frame *f, gdouble y)
{
  return f->box.y + f->box.height - (log (y) - f->y_low) / (f->y_high - f->y_low) * f->box.height;
}

/* Round numbers of an axis from @low to @high (logarithms): 1, 2, 5 of each decade, or powers of ten where these would
 * be too many. (transfer full) (element-type gdouble) */
static GArray *
round_numbers (gdouble low, gdouble high, guint most)
{
  static const gdouble digits[] = { 1, 2, 5 };
  GArray *ticks = g_array_new (FALSE, FALSE, sizeof (gdouble));

  for (guint step = 0; step < 3; step++)
    {
      g_array_set_size (ticks, 0);
      for (int decade = (int) floor (low / M_LN10) - 1; decade <= (int) ceil (high / M_LN10); decade++)
        for (gsize d = 0; d < G_N_ELEMENTS (digits); d++)
          {
            gdouble value = digits[d] * pow (10, decade);

            if (log (value) >= low - 1e-9 && log (value) <= high + 1e-9 && (step == 0 || d == 0)
                && (step < 2 || decade % 3 == 0))
              g_array_append_val (ticks, value);
          }
      if (ticks->len <= most)
        break;
    }
  return ticks;
}

static char *
tick_text (gdouble value)
{
  return fm_format_number (value, value >= 1 ? 0 : (guint) ceil (-log10 (value) - 1e-9));
}

/* Width that the numbers of the y axis need; with @frame NULL only that. */
static gdouble
y_axis (cairo_t *cr, const FmFigureStyle *style, const Frame *frame, gdouble low, gdouble high, guint most,
        const char *unit)
{
  g_autoptr (GArray) ticks = round_numbers (low, high, most);
  gdouble widest = 0;

  for (guint i = 0; i < ticks->len; i++)
    {
      gdouble value = g_array_index (ticks, gdouble, i), w, y;
      g_autofree char *number = tick_text (value);
      g_autofree char *text = i + 1 == ticks->len && unit != NULL && *unit != '\0'
                                  ? g_strconcat (number, " ", unit, NULL)
                                  : g_strdup (number);

      fm_text_measure (cr, style, text, FM_TEXT_TICK, FALSE, &w, NULL);
      widest = MAX (widest, w);
      if (frame == NULL)
        continue;
      y = y_of (frame, value);
      fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_GRID));
      cairo_set_line_width (cr, 1);
      cairo_move_to (cr, frame->box.x, floor (y) + 0.5);
      cairo_line_to (cr, frame->box.x + frame->box.width, floor (y) + 0.5);
      cairo_stroke (cr);
      fm_text (cr, style, text, FM_TEXT_TICK, FALSE, fm_style_colour (style, FM_COLOUR_DIM), FM_ALIGN_RIGHT,
               frame->box.x - 8 * style->scale, y);
    }
  return widest + 10 * style->scale;
}

static int
compare_numbers (gconstpointer a, gconstpointer b)
{
  gdouble x = *(const gdouble *) a, y = *(const gdouble *) b;

  return (x > y) - (x < y);
}

/* The lengths that were measured, as many as have room, from the longest down. */
static void
x_axis (const FmScaling *scaling, cairo_t *cr, const FmFigureStyle *style, const Frame *frame)
{
  g_autoptr (GArray) lengths = g_array_new (FALSE, FALSE, sizeof (gdouble));
  gdouble free_to = INFINITY, y = frame->box.y + frame->box.height + 14 * style->scale;
  gboolean last = TRUE;

  for (gsize l = 0; l < scaling->n_lines; l++)
    for (gsize i = 0; i < scaling->lines[l].n; i++)
      if (is_drawn (&scaling->lines[l], i))
        g_array_append_val (lengths, scaling->lines[l].x[i]);
  g_array_sort (lengths, compare_numbers);
  for (guint i = lengths->len; i-- > 0;)
    {
      gdouble value = g_array_index (lengths, gdouble, i), at = x_of (frame, value), width;
      g_autofree char *number = fm_format_number (value, 0);
      g_autofree char *text = last && *scaling->x_unit != '\0' ? g_strconcat (number, " ", scaling->x_unit, NULL)
                                                               : g_strdup (number);

      fm_text_measure (cr, style, number, FM_TEXT_TICK, FALSE, &width, NULL);
      if (at + width / 2 > free_to)
        continue;
      fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_GRID));
      cairo_set_line_width (cr, 1);
      cairo_move_to (cr, floor (at) + 0.5, frame->box.y + frame->box.height);
      cairo_line_to (cr, floor (at) + 0.5, frame->box.y + frame->box.height + 5 * style->scale);
      cairo_stroke (cr);
      fm_text (cr, style, text, FM_TEXT_TICK, FALSE, fm_style_colour (style, FM_COLOUR_DIM), FM_ALIGN_LEFT,
               at - width / 2, y);
      free_to = at - width / 2 - 8 * style->scale;
      last = FALSE;
    }
}

/* --- Drawing ------------------------------------------------------------------------------------------------------*/

static void
draw_line (const FmScalingLine *line, const Frame *frame, cairo_t *cr, const FmFigureStyle *style)
{
  FmColour colour = fm_style_variant (style, line->variant);

  fm_set_colour (cr, colour);
  for (gsize i = 0; i < line->n; i++)
    if (is_drawn (line, i))
      cairo_line_to (cr, x_of (frame, line->x[i]), y_of (frame, line->y[i].mean));
  cairo_set_line_width (cr, 1.8 * style->scale);
  cairo_set_line_join (cr, CAIRO_LINE_JOIN_ROUND);
  cairo_stroke (cr);
  for (gsize i = 0; i < line->n; i++)
    if (is_drawn (line, i))
      {
        gdouble x = x_of (frame, line->x[i]);

        if (has_interval (&line->y[i]))
          {
            fm_set_colour_alpha (cr, colour, 0.55);
            cairo_set_line_width (cr, 1.4 * style->scale);
            cairo_move_to (cr, x, y_of (frame, line->y[i].low));
            cairo_line_to (cr, x, y_of (frame, line->y[i].high));
            cairo_stroke (cr);
          }
        fm_draw_marker (cr, style, line->variant, x, y_of (frame, line->y[i].mean), MARKER * style->scale);
      }
}

/* Names at the ends of lines. */
static void
draw_ends (const FmScaling *scaling, const Frame *frame, cairo_t *cr, const FmFigureStyle *style)
{
  g_autofree FmBox *boxes = g_new0 (FmBox, scaling->n_lines + 1);
  g_autofree gdouble *ends = g_new0 (gdouble, scaling->n_lines + 1);
  gdouble right = frame->box.x + frame->box.width;

  for (gsize l = 0; l < scaling->n_lines; l++)
    {
      const FmScalingLine *line = &scaling->lines[l];
      gint64 last = -1;
      gdouble height;

      for (gsize i = 0; i < line->n; i++)
        if (is_drawn (line, i))
          last = i;
      if (last < 0)
        continue;
      fm_text_measure (cr, style, line->label, FM_TEXT_LABEL, FALSE, &boxes[l].width, &height);
      boxes[l].height = height * 0.9;
      boxes[l].x = right + 10 * style->scale;
      ends[l] = y_of (frame, line->y[last].mean);
      boxes[l].y = ends[l] - boxes[l].height / 2;
    }
  fm_spread_boxes (boxes, scaling->n_lines, frame->box.y - 8 * style->scale,
                   frame->box.y + frame->box.height + 4 * style->scale);
  for (gsize l = 0; l < scaling->n_lines; l++)
    {
      gdouble middle = boxes[l].y + boxes[l].height / 2;

      if (boxes[l].width <= 0)
        continue;
      if (fabs (middle - ends[l]) > 4 * style->scale)
        {
          fm_set_colour_alpha (cr, fm_style_variant (style, scaling->lines[l].variant), 0.7);
          cairo_set_line_width (cr, 1);
          cairo_move_to (cr, right, ends[l]);
          cairo_line_to (cr, boxes[l].x - 2, middle);
          cairo_stroke (cr);
        }
      fm_text (cr, style, scaling->lines[l].label, FM_TEXT_LABEL, FALSE, fm_style_colour (style, FM_COLOUR_INK),
               FM_ALIGN_LEFT, boxes[l].x, middle);
    }
}

/* A ring where two lines cross (dashed where the intervals leave it open), a thread down to the axis, and the length.
 */
static void
draw_crossings (const FmScaling *scaling, const Frame *frame, cairo_t *cr, const FmFigureStyle *style)
{
  static const gdouble thread[] = { 2, 3 }, open[] = { 3, 2.5 };
  g_autoptr (GArray) crossings = fm_scaling_crossings (scaling);
  gdouble free_from = -INFINITY, bottom = frame->box.y + frame->box.height, row = 0;

  for (guint i = 0; i < MIN (crossings->len, MOST_MARKS); i++)
    {
      const FmCrossing *c = &g_array_index (crossings, FmCrossing, i);
      gdouble x = x_of (frame, c->x), y = y_of (frame, c->y), width, height, radius = 8 * style->scale;
      g_autofree char *number = fm_format_number (c->x, 0), *text = g_strconcat (scaling->x_title, " = ", number, NULL);

      fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_INK));
      cairo_set_line_width (cr, 1.5 * style->scale);
      if (!c->certain)
        cairo_set_dash (cr, open, 2, 0);
      cairo_new_sub_path (cr);
      cairo_arc (cr, x, y, radius, 0, 2 * G_PI);
      cairo_stroke (cr);
      fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_DIM));
      cairo_set_line_width (cr, 1);
      cairo_set_dash (cr, thread, 2, 0);
      cairo_move_to (cr, x, y + radius);
      cairo_line_to (cr, x, bottom);
      cairo_stroke (cr);
      cairo_set_dash (cr, NULL, 0, 0);
      /* Numbers stand over the axis, beside their thread; one that would cover the last goes a line higher. */
      fm_text_measure (cr, style, text, FM_TEXT_TICK, FALSE, &width, &height);
      row = x + 4 < free_from ? row + height : 0;
      fm_text (cr, style, text, FM_TEXT_TICK, FALSE, fm_style_colour (style, FM_COLOUR_INK), FM_ALIGN_LEFT,
               x + 4 * style->scale, bottom - 8 * style->scale - row);
      free_from = x + 4 * style->scale + width + 4;
    }
}

static gboolean
measure (Frame *frame, const FmScaling *scaling, cairo_t *cr, gdouble width, gdouble height, const FmFigureStyle *style,
         guint *most)
{
  *most = MAX (2, (guint) (height / style->scale / 34));
  if (!frame_init (frame, scaling, cr, width, height, style, 0))
    return FALSE;
  return frame_init (frame, scaling, cr, width, height, style,
                     y_axis (cr, style, NULL, frame->y_low, frame->y_high, *most, scaling->y_unit));
}

static void
draw_scaling (gconstpointer model, cairo_t *cr, gdouble width, gdouble height, const FmFigureStyle *style)
{
  const FmScaling *scaling = model;
  Frame frame;
  guint most;

  if (!measure (&frame, scaling, cr, width, height, style, &most))
    {
      fm_draw_sentence (cr, style, width, height, "Nothing measured yet: a line needs two lengths.");
      return;
    }
  y_axis (cr, style, &frame, frame.y_low, frame.y_high, most, scaling->y_unit);
  x_axis (scaling, cr, style, &frame);
  cairo_save (cr);
  cairo_rectangle (cr, frame.box.x - 6 * style->scale, frame.box.y - 4, frame.box.width + 12 * style->scale,
                   frame.box.height + 5);
  cairo_clip (cr);
  for (gsize l = scaling->n_lines; l-- > 0;)
    draw_line (&scaling->lines[l], &frame, cr, style);
  draw_crossings (scaling, &frame, cr, style);
  cairo_restore (cr);
  draw_ends (scaling, &frame, cr, style);
}

static gint64
hit_scaling (gconstpointer model, gdouble width, gdouble height, const FmFigureStyle *style, gdouble x, gdouble y)
{
  const FmScaling *scaling = model;
  cairo_t *cr = fm_measuring_context ();
  gdouble nearest = 22; /* a finger needs 44 px */
  gint64 found = -1;
  Frame frame;
  guint most;

  if (measure (&frame, scaling, cr, width, height, style, &most))
    for (gsize l = 0; l < scaling->n_lines; l++)
      for (gsize i = 0; i < scaling->lines[l].n; i++)
        if (is_drawn (&scaling->lines[l], i))
          {
            gdouble distance = hypot (x_of (&frame, scaling->lines[l].x[i]) - x,
                                      y_of (&frame, scaling->lines[l].y[i].mean) - y);

            if (distance < nearest)
              {
                nearest = distance;
                found = l;
              }
          }
  cairo_destroy (cr);
  return found;
}

static guint
decimals_of (gdouble value)
{
  return !isfinite (value) || fabs (value) >= 100 ? 0 : fabs (value) >= 10 ? 1 : 2;
}

static FmFigureTable *
table_scaling (gconstpointer model)
{
  const FmScaling *scaling = model;
  g_autofree char *x = g_strconcat (scaling->x_title, *scaling->x_unit != '\0' ? ", " : "", scaling->x_unit, NULL);
  g_autofree char *y = g_strconcat (scaling->y_title, *scaling->y_unit != '\0' ? ", " : "", scaling->y_unit, NULL);
  FmFigureTable *table = fm_figure_table_new (scaling->title, "Variant", x, y, "low", "high", "seeds", NULL);

  for (gsize l = 0; l < scaling->n_lines; l++)
    for (gsize i = 0; i < scaling->lines[l].n; i++)
      {
        const FmScalingLine *line = &scaling->lines[l];
        guint decimals = decimals_of (line->y[i].mean);
        GStrv cells = g_new0 (char *, 7);

        cells[0] = g_strdup (line->label);
        cells[1] = fm_format_number (line->x[i], 0);
        cells[2] = fm_format_number (line->y[i].mean, decimals);
        cells[3] = fm_format_number (line->y[i].low, decimals);
        cells[4] = fm_format_number (line->y[i].high, decimals);
        cells[5] = fm_format_number (line->y[i].n, 0);
        fm_figure_table_add (table, cells);
      }
  return table;
}

static char *
describe_scaling (gconstpointer model, gint64 index)
{
  const FmScaling *scaling = model;
  const FmScalingLine *line;
  g_autoptr (GString) out = NULL;

  if (index < 0 || index >= (gint64) scaling->n_lines)
    return g_strdup ("");
  line = &scaling->lines[index];
  out = g_string_new (line->label);
  for (gsize i = 0; i < line->n; i++)
    if (is_drawn (line, i))
      {
        g_autofree char *x = fm_format_number (line->x[i], 0);
        g_autofree char *y = fm_format_number (line->y[i].mean, decimals_of (line->y[i].mean));

        g_string_append_printf (out, "%s %s %s at %s = %s", out->len > strlen (line->label) ? "," : ":", y,
                                scaling->y_unit, scaling->x_title, x);
      }
  return g_strdup (out->str);
}

const FmFigure fm_figure_scaling = { "scaling", draw_scaling, table_scaling, hit_scaling, describe_scaling };
