/* expert-load.c: the share of each expert of a layer over training; a dead one is told apart. */
#include <math.h>

#include "app/figures/figures-private.h"
#include "app/results/format.h"

typedef struct
{
  const FmRouting *routing;
  gint64           layer;
  FmBox            box;
  FmAxis           x, y;
} Frame;

static gdouble
load_at (const Frame *frame, gint64 expert, gint64 step)
{
  return 100 * frame->routing->load[(frame->layer * frame->routing->experts + expert) * frame->routing->n_steps + step];
}

static gboolean
frame_init (Frame *frame, const FmRoutingView *view, cairo_t *cr, gdouble width, gdouble height,
            const FmFigureStyle *style)
{
  const FmRouting *routing = view->routing;
  gdouble most = 0, left, right;
  gboolean any = FALSE;

  if (routing == NULL || routing->load == NULL || view->layer >= routing->layers)
    return FALSE;
  frame->routing = routing;
  frame->layer = MAX (view->layer, 0);
  for (gint64 e = 0; e < routing->experts; e++)
    for (gint64 s = 0; s < routing->n_steps; s++)
      if (isfinite (load_at (frame, e, s)))
        {
          most = MAX (most, load_at (frame, e, s));
          any = TRUE;
        }
  if (!any)
    return FALSE;
  fm_axis_init (&frame->x, MIN (0, routing->steps[0]), routing->steps[routing->n_steps - 1],
                width / style->scale > 420 ? 4 : 2);
  fm_axis_init (&frame->y, 0, MAX (most * 1.15, 100.0 / routing->experts * 1.3),
                MAX (2, (guint) (height / style->scale / 60)));
  left = fm_y_axis_width (cr, style, &frame->y, "%");
  fm_text_measure (cr, style, "even share", FM_TEXT_LABEL, FALSE, &right, NULL);
  frame->box = (FmBox) { left, 10 * style->scale, width - left - right - 14 * style->scale,
                         height - 38 * style->scale };
  return frame->box.width > 20 && frame->box.height > 20;
}

static gdouble
x_of (const Frame *frame, gdouble step)
{
  return fm_axis_at (&frame->x, step, frame->box.x, frame->box.x + frame->box.width);
}

static gdouble
y_of (const Frame *frame, gdouble percent)
{
  return fm_axis_at (&frame->y, percent, frame->box.y + frame->box.height, frame->box.y);
}

/* Loads are logged at every step and jump from batch to batch; a picture has room for this many means. */
#define MOST_POINTS 120

static void
draw_line (const Frame *frame, cairo_t *cr, gint64 expert, FmColour colour, gdouble line_width)
{
  gint64 width = (frame->routing->n_steps + MOST_POINTS - 1) / MOST_POINTS;
  gboolean broken = TRUE;

  for (gint64 first = 0; first < frame->routing->n_steps; first += width)
    {
      gdouble sum = 0, at = 0;
      gint64 n = 0;

      for (gint64 s = first; s < MIN (first + width, frame->routing->n_steps); s++)
        if (isfinite (load_at (frame, expert, s)))
          {
            sum += load_at (frame, expert, s);
            at = frame->routing->steps[s];
            n++;
          }
      if (n > 0 && broken)
        cairo_move_to (cr, x_of (frame, at), y_of (frame, sum / n));
      else if (n > 0)
        cairo_line_to (cr, x_of (frame, at), y_of (frame, sum / n));
      broken = n == 0;
    }
  fm_set_colour (cr, colour);
  cairo_set_line_width (cr, line_width);
  cairo_set_line_join (cr, CAIRO_LINE_JOIN_ROUND);
  cairo_stroke (cr);
}

static gdouble
last_load (const Frame *frame, gint64 expert)
{
  for (gint64 s = frame->routing->n_steps; s-- > 0;)
    if (isfinite (load_at (frame, expert, s)))
      return load_at (frame, expert, s);
  return NAN;
}

typedef struct
{
  char    *text; /* owned */
  FmColour colour;
  gboolean bold;
} Label;

static void
add_label (Label *labels, FmBox *boxes, guint *n, const Frame *frame, cairo_t *cr, const FmFigureStyle *style,
           char *text, gdouble percent, gboolean bold, FmColour colour)
{
  FmBox *box = &boxes[*n];
  gdouble height;

  fm_text_measure (cr, style, text, FM_TEXT_LABEL, bold, &box->width, &height);
  box->height = height * 0.86;
  box->x = frame->box.x + frame->box.width + 8 * style->scale;
  box->y = y_of (frame, percent) - box->height / 2;
  labels[(*n)++] = (Label) { text, colour, bold };
}

/* Names: the dead (together, since their lines lie on each other), the chosen one, the even share, and the two that
 * got most at the end. The others are told by the heat map beside this chart. */
static void
draw_labels (const Frame *frame, const FmRoutingView *view, cairo_t *cr, const FmFigureStyle *style)
{
  g_autofree Label *labels = g_new0 (Label, frame->routing->experts + 4);
  g_autofree FmBox *boxes = g_new0 (FmBox, frame->routing->experts + 4);
  g_autofree gboolean *named = g_new0 (gboolean, frame->routing->experts + 1);
  g_autoptr (GString) dead = g_string_new (NULL);
  FmColour dim = fm_style_colour (style, FM_COLOUR_DIM), cursor = fm_style_colour (style, FM_COLOUR_CURSOR);
  guint n = 0;

  for (gint64 e = 0; e < frame->routing->experts; e++)
    if (fm_routing_dead_since (frame->routing, frame->layer, e) >= 0)
      {
        g_string_append_printf (dead, "%s%" G_GINT64_FORMAT, dead->len > 0 ? ", " : "", e + 1);
        named[e] = TRUE;
      }
  if (dead->len > 8)
    g_string_assign (dead, "several");
  if (dead->len > 0)
    add_label (labels, boxes, &n, frame, cr, style, g_strconcat (dead->str, " · dead", NULL), 0, TRUE, cursor);
  add_label (labels, boxes, &n, frame, cr, style, g_strdup ("even share"), 100.0 / frame->routing->experts, FALSE, dim);
  if (view->expert >= 0 && view->expert < frame->routing->experts && !named[view->expert])
    {
      named[view->expert] = TRUE;
      if (isfinite (last_load (frame, view->expert)))
        add_label (labels, boxes, &n, frame, cr, style, fm_format_count (view->expert + 1),
                   last_load (frame, view->expert), TRUE, fm_style_colour (style, FM_COLOUR_INK));
    }
  for (guint round = 0; round < 2; round++)
    {
      gint64 most = -1;

      for (gint64 e = 0; e < frame->routing->experts; e++)
        if (!named[e] && isfinite (last_load (frame, e)) &&
            (most < 0 || last_load (frame, e) > last_load (frame, most)))
          most = e;
      if (most < 0)
        break;
      named[most] = TRUE;
      add_label (labels, boxes, &n, frame, cr, style, fm_format_count (most + 1), last_load (frame, most), FALSE, dim);
    }
  fm_spread_boxes (boxes, n, frame->box.y - 8 * style->scale, frame->box.y + frame->box.height + 8 * style->scale);
  for (guint i = 0; i < n; i++)
    {
      fm_text (cr, style, labels[i].text, FM_TEXT_LABEL, labels[i].bold, labels[i].colour, FM_ALIGN_LEFT, boxes[i].x,
               boxes[i].y + boxes[i].height / 2);
      g_free (labels[i].text);
    }
}

static void
draw_death (const Frame *frame, cairo_t *cr, const FmFigureStyle *style, gdouble since)
{
  g_autofree char *number = fm_format_number (since, 0), *text = g_strconcat ("step ", number, NULL);
  gdouble x = x_of (frame, since), y = y_of (frame, 0), width;

  fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_CURSOR));
  cairo_arc (cr, x, y, 4.5 * style->scale, 0, 2 * G_PI);
  cairo_fill (cr);
  fm_text_measure (cr, style, text, FM_TEXT_TICK, TRUE, &width, NULL);
  fm_text (cr, style, text, FM_TEXT_TICK, TRUE, fm_style_colour (style, FM_COLOUR_INK), FM_ALIGN_LEFT,
           MIN (x + 8 * style->scale, frame->box.x + frame->box.width - width), y - 13 * style->scale);
}

static void
draw_load (gconstpointer model, cairo_t *cr, gdouble width, gdouble height, const FmFigureStyle *style)
{
  const FmRoutingView *view = model;
  const gdouble dots[] = { 1.5, 3 };
  gdouble first_death = -1;
  Frame frame;

  if (!frame_init (&frame, view, cr, width, height, style))
    {
      fm_draw_sentence (cr, style, width, height,
                        view->routing == NULL ? "This run has no experts."
                                              : "The load of the experts over training was not kept.");
      return;
    }
  fm_draw_y_axis (cr, style, &frame.y, &frame.box, "%");
  fm_draw_x_axis (cr, style, &frame.x, &frame.box, "steps");
  for (gint64 e = 0; e < frame.routing->experts; e++)
    if (fm_routing_dead_since (frame.routing, frame.layer, e) < 0)
      draw_line (&frame, cr, e, fm_style_colour (style, FM_COLOUR_FINISHED), 1.3 * style->scale);
  fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_INK));
  cairo_set_line_width (cr, 1.2);
  cairo_set_dash (cr, dots, 2, 0);
  cairo_move_to (cr, frame.box.x, y_of (&frame, 100.0 / frame.routing->experts));
  cairo_rel_line_to (cr, frame.box.width, 0);
  cairo_stroke (cr);
  cairo_set_dash (cr, NULL, 0, 0);
  if (view->expert >= 0 && view->expert < frame.routing->experts)
    draw_line (&frame, cr, view->expert, fm_style_colour (style, FM_COLOUR_INK), 2.4 * style->scale);
  for (gint64 e = 0; e < frame.routing->experts; e++)
    {
      gdouble since = fm_routing_dead_since (frame.routing, frame.layer, e);

      if (since < 0)
        continue;
      draw_line (&frame, cr, e, fm_style_colour (style, FM_COLOUR_CURSOR), 2.6 * style->scale);
      first_death = first_death < 0 ? since : MIN (first_death, since);
    }
  if (first_death >= 0)
    draw_death (&frame, cr, style, first_death);
  draw_labels (&frame, view, cr, style);
}

static gint64
hit_load (gconstpointer model, gdouble width, gdouble height, const FmFigureStyle *style, gdouble x, gdouble y)
{
  cairo_t *cr = fm_measuring_context ();
  gdouble nearest = 12;
  gint64 found = -1;
  Frame frame;

  if (frame_init (&frame, model, cr, width, height, style))
    for (gint64 e = 0; e < frame.routing->experts; e++)
      for (gint64 s = 0; s + 1 < frame.routing->n_steps; s++)
        {
          gdouble x0 = x_of (&frame, frame.routing->steps[s]), x1 = x_of (&frame, frame.routing->steps[s + 1]);
          gdouble a = load_at (&frame, e, s), b = load_at (&frame, e, s + 1), distance;

          if (x < x0 || x > x1 || x1 <= x0 || !isfinite (a) || !isfinite (b))
            continue;
          distance = fabs (y_of (&frame, a + (x - x0) / (x1 - x0) * (b - a)) - y);
          if (distance < nearest)
            {
              nearest = distance;
              found = e;
            }
        }
  cairo_destroy (cr);
  return found;
}

static char *
describe_load (gconstpointer model, gint64 index)
{
  const FmRoutingView *view = model;
  gint64 layer = MAX (view->layer, 0);
  g_autofree char *number = NULL;
  gdouble since;

  if (view->routing == NULL || index < 0 || index >= view->routing->experts || layer >= view->routing->layers)
    return g_strdup ("");
  since = fm_routing_dead_since (view->routing, layer, index);
  number = fm_format_number (since >= 0 ? since : 100 * fm_routing_share (view->routing, layer, index),
                             since >= 0 ? 0 : 1);
  return g_strdup_printf (since >= 0 ? "Expert %" G_GINT64_FORMAT ": dead since step %s"
                                     : "Expert %" G_GINT64_FORMAT ": %s %% of the tokens",
                          index + 1, number);
}

static FmFigureTable *
table_load (gconstpointer model)
{
  const FmRoutingView *view = model;
  const FmRouting *routing = view->routing;
  gint64 layer = MAX (view->layer, 0), rows;
  FmFigureTable *table = fm_figure_table_new ("Share of tokens in %", "step", NULL);
  g_autoptr (GStrvBuilder) titles = g_strv_builder_new ();

  if (routing == NULL || routing->load == NULL || layer >= routing->layers)
    return table;
  g_strv_builder_add (titles, "step");
  for (gint64 e = 0; e < routing->experts; e++)
    {
      g_autofree char *title = g_strdup_printf ("expert %" G_GINT64_FORMAT, e + 1);

      g_strv_builder_add (titles, title);
    }
  g_ptr_array_remove_index (table->rows, 0);
  fm_figure_table_add (table, g_strv_builder_end (titles));
  rows = MIN (routing->n_steps, 12);
  for (gint64 r = 0; r < rows; r++)
    {
      gint64 s = rows > 1 ? r * (routing->n_steps - 1) / (rows - 1) : 0;
      GStrv cells = g_new0 (char *, routing->experts + 2);

      cells[0] = fm_format_number (routing->steps[s], 0);
      for (gint64 e = 0; e < routing->experts; e++)
        cells[e + 1] =
          fm_format_number (100 * routing->load[(layer * routing->experts + e) * routing->n_steps + s], 1);
      fm_figure_table_add (table, cells);
    }
  return table;
}

const FmFigure fm_figure_expert_load = { "expert-load", draw_load, table_load, hit_load, describe_load };

char *
fm_routing_alarm (const FmRouting *routing)
{
  for (gint64 l = 0; l < routing->layers; l++)
    for (gint64 e = 0; e < routing->experts; e++)
      {
        gdouble since = fm_routing_dead_since (routing, l, e);
        g_autofree char *step = NULL;

        if (since < 0)
          continue;
        if (routing->load == NULL)
          return g_strdup_printf ("Expert %" G_GINT64_FORMAT " of layer %" G_GINT64_FORMAT
                                  " is dead. No token of the %s split went there.",
                                  e + 1, l + 1, routing->split != NULL ? routing->split : "test");
        step = fm_format_number (since, 0);
        return g_strdup_printf ("Expert %" G_GINT64_FORMAT " of layer %" G_GINT64_FORMAT
                                " is dead. No token since step %s; 1 of %" G_GINT64_FORMAT
                                " experts of the layer does nothing.",
                                e + 1, l + 1, step, routing->experts);
      }
  return NULL;
}
