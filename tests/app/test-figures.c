/* Figures by their structure: what is where, in which colour, and what a click there means. Never a hash of pixels:
 * fonts and rasterisers differ between machines. */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "app/figures/figures-private.h"

typedef struct
{
  cairo_surface_t *surface;
  int              width, height;
} Picture;

static Picture
picture_of (const FmFigure *figure, gconstpointer model, int width, int height, const FmFigureStyle *style)
{
  Picture p = { cairo_image_surface_create (CAIRO_FORMAT_RGB24, width, height), width, height };
  cairo_t *cr = cairo_create (p.surface);

  fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_PAGE));
  cairo_paint (cr);
  figure->draw (model, cr, width, height, style);
  g_assert_cmpint (cairo_status (cr), ==, CAIRO_STATUS_SUCCESS);
  cairo_destroy (cr);
  cairo_surface_flush (p.surface);
  return p;
}

static guint32
pixel (const Picture *p, int x, int y)
{
  const guchar *row = cairo_image_surface_get_data (p->surface) + y * cairo_image_surface_get_stride (p->surface);

  g_assert_true (x >= 0 && y >= 0 && x < p->width && y < p->height);
  return ((const guint32 *) (gconstpointer) row)[x] & 0xffffff;
}

static guint32
colour_bits (FmColour c)
{
  return (guint32) (c.red * 255 + 0.5) << 16 | (guint32) (c.green * 255 + 0.5) << 8 | (guint32) (c.blue * 255 + 0.5);
}

static gboolean
alike (guint32 a, guint32 b, int tolerance)
{
  for (int shift = 0; shift < 24; shift += 8)
    if (ABS ((int) (a >> shift & 255) - (int) (b >> shift & 255)) > tolerance)
      return FALSE;
  return TRUE;
}

static guint
count_colour (const Picture *p, FmColour colour, int x0, int y0, int x1, int y1)
{
  guint n = 0;

  for (int y = MAX (y0, 0); y < MIN (y1, p->height); y++)
    for (int x = MAX (x0, 0); x < MIN (x1, p->width); x++)
      n += alike (pixel (p, x, y), colour_bits (colour), 3);
  return n;
}

static guint
count_all (const Picture *p, FmColour colour)
{
  return count_colour (p, colour, 0, 0, p->width, p->height);
}

static void
picture_clear (Picture *p)
{
  cairo_surface_destroy (p->surface);
}

static FmEstimate
estimate (gdouble mean, gdouble half)
{
  return (FmEstimate) { 3, mean, half / 2, mean - half, mean + half };
}

static FmEstimate
single (gdouble mean)
{
  return fm_estimate (&mean, 1, 0.95);
}

/* --- Style --------------------------------------------------------------------------------------------------------*/

static gdouble
luminance (FmColour c)
{
  const gdouble parts[] = { c.red, c.green, c.blue }, weights[] = { 0.2126, 0.7152, 0.0722 };
  gdouble sum = 0;

  for (int i = 0; i < 3; i++)
    sum += weights[i] * (parts[i] <= 0.04045 ? parts[i] / 12.92 : pow ((parts[i] + 0.055) / 1.055, 2.4));
  return sum;
}

static gdouble
contrast (FmColour a, FmColour b)
{
  gdouble x = luminance (a), y = luminance (b);

  return (MAX (x, y) + 0.05) / (MIN (x, y) + 0.05);
}

/* WCAG 2.1: 3:1 for graphics (1.4.11), 4.5:1 for text (1.4.3). */
static void
test_contrast (void)
{
  const FmFigureStyle styles[] = { FM_FIGURE_STYLE_LIGHT, FM_FIGURE_STYLE_DARK, FM_FIGURE_STYLE_PRINT };

  for (gsize s = 0; s < G_N_ELEMENTS (styles); s++)
    {
      FmColour page = fm_style_colour (&styles[s], FM_COLOUR_PAGE);

      for (gint v = 0; v < 9; v++)
        g_assert_cmpfloat (contrast (fm_style_variant (&styles[s], v), page), >=, 3);
      g_assert_cmpfloat (contrast (fm_style_colour (&styles[s], FM_COLOUR_INK), page), >=, 7);
      g_assert_cmpfloat (contrast (fm_style_colour (&styles[s], FM_COLOUR_DIM), page), >=, 4.5);
      g_assert_cmpfloat (contrast (fm_style_colour (&styles[s], FM_COLOUR_CURSOR), page), >=, 3);
      for (gdouble t = 0; t <= 1; t += 0.01)
        {
          FmColour c = fm_style_sequential (&styles[s], t);

          g_assert_cmpfloat (contrast (fm_colour_on (c), c), >=, 3);
        }
    }
}

static void
test_palette (void)
{
  const FmFigureStyle light = FM_FIGURE_STYLE_LIGHT, dark = FM_FIGURE_STYLE_DARK;
  g_autofree char *css = fm_colour_css (fm_style_variant (&light, 2));

  g_assert_cmpstr (css, ==, "#d55e00");
  g_assert_cmpuint (colour_bits (fm_style_variant (&light, 6)), ==, colour_bits (fm_style_variant (&light, 2)));
  g_assert_cmpuint (colour_bits (fm_style_sequential (&light, 0)), ==, 0xf7fbff);
  g_assert_cmpuint (colour_bits (fm_style_sequential (&light, 1)), ==, 0x08306b);
  g_assert_cmpuint (colour_bits (fm_style_sequential (&dark, 0)), ==, 0x2a2f38);
  g_assert_cmpuint (colour_bits (fm_style_sequential (&dark, 7)), ==, 0xf7fbff);
  g_assert_cmpuint (colour_bits (fm_style_sequential (&light, NAN)), ==, 0xf7fbff);
  /* One direction only, or a reader could not order two shades. */
  for (gdouble t = 0.02; t <= 1; t += 0.02)
    {
      FmColour light_before = fm_style_sequential (&light, t - 0.02), dark_before = fm_style_sequential (&dark,
          t - 0.02);

      g_assert_cmpfloat (luminance (fm_style_sequential (&light, t)), <, luminance (light_before));
      g_assert_cmpfloat (luminance (fm_style_sequential (&dark, t)), >, luminance (dark_before));
    }
}

/* Markers tell variants apart without colour: each pair of shapes differs in many pixels. */
static void
test_markers (void)
{
  const FmFigureStyle style = FM_FIGURE_STYLE_LIGHT;
  Picture shapes[7];

  for (gint v = -1; v < 6; v++)
    shapes[v + 1] = picture_of (&fm_figure_marker, &v, 40, 40, &style);
  for (int a = 0; a < 7; a++)
    for (int b = 0; b < a; b++)
      {
        guint differ = 0;

        for (int i = 0; i < 1600; i++)
          differ += (pixel (&shapes[a], i % 40, i / 40) == 0xffffff) !=
                    (pixel (&shapes[b], i % 40, i / 40) == 0xffffff);
        g_assert_cmpuint (differ, >, 40); /* circle and hexagon come nearest: 56 */
      }
  for (int a = 0; a < 7; a++)
    picture_clear (&shapes[a]);
}

/* --- Parts --------------------------------------------------------------------------------------------------------*/

static void
test_axis (void)
{
  FmAxis axis;
  g_autofree char *first = NULL, *last = NULL;
  const gdouble odd[][2] = { { NAN, 1 }, { 3, 3 }, { 0, 0 }, { 5, -5 }, { -INFINITY, INFINITY }, { 1e-9, 2e-9 },
                             { 1e15, 1e15 + 1 }, { -1e300, 1e300 } };

  fm_axis_init (&axis, 81.3, 87.2, 3);
  g_assert_cmpfloat (axis.step, ==, 2);
  g_assert_cmpuint (axis.n_ticks, ==, 3);
  first = fm_axis_tick_text (&axis, 0, "%");
  last = fm_axis_tick_text (&axis, 2, "%");
  g_assert_cmpstr (first, ==, "82");
  g_assert_cmpstr (last, ==, "86 %");
  g_assert_cmpfloat (fm_axis_at (&axis, axis.low, 10, 20), ==, 10);
  g_assert_cmpfloat (fm_axis_at (&axis, axis.high, 10, 20), ==, 20);
  for (gsize i = 0; i < G_N_ELEMENTS (odd); i++)
    {
      fm_axis_init (&axis, odd[i][0], odd[i][1], 4);
      g_assert_true (isfinite (axis.low) && isfinite (axis.high) && axis.high > axis.low);
      g_assert_cmpuint (axis.n_ticks, <, 30);
      for (guint t = 0; t < axis.n_ticks; t++)
        g_assert_true (isfinite (fm_axis_tick (&axis, t)));
    }
}

static void
test_spread (void)
{
  FmBox free_boxes[] = { { 0, 10, 50, 10 }, { 0, 40, 50, 10 } };
  FmBox crowd[] = { { 0, 52, 50, 10 }, { 0, 50, 50, 10 }, { 0, 51, 50, 10 }, { 0, 0, 50, 10 } };
  FmBox edge[] = { { 0, 95, 50, 10 }, { 0, 96, 50, 10 }, { 0, 97, 50, 10 } };
  FmBox apart[] = { { 0, 20, 50, 10 }, { 60, 20, 50, 10 }, { 0, 0, 0, 0 } };
  FmBox many[12];

  fm_spread_boxes (free_boxes, 2, 0, 100);
  g_assert_cmpfloat (free_boxes[0].y, ==, 10);
  g_assert_cmpfloat (free_boxes[1].y, ==, 40);
  fm_spread_boxes (crowd, 4, 0, 100);
  g_assert_cmpfloat_with_epsilon (crowd[1].y, 41, 1e-9); /* the three share the mean of where they wanted to be */
  g_assert_cmpfloat_with_epsilon (crowd[2].y, 51, 1e-9);
  g_assert_cmpfloat_with_epsilon (crowd[0].y, 61, 1e-9);
  g_assert_cmpfloat (crowd[3].y, ==, 0);
  fm_spread_boxes (edge, 3, 0, 100);
  g_assert_cmpfloat_with_epsilon (edge[0].y, 70, 1e-9);
  g_assert_cmpfloat_with_epsilon (edge[2].y, 90, 1e-9);
  fm_spread_boxes (apart, 3, 0, 100);
  g_assert_cmpfloat (apart[0].y, ==, 20);
  g_assert_cmpfloat (apart[1].y, ==, 20);
  for (int i = 0; i < 12; i++)
    many[i] = (FmBox) { 0, 50, 10, 10 };
  fm_spread_boxes (many, 12, 0, 100); /* no room: from the top on, still in order */
  g_assert_cmpfloat (many[0].y, ==, 0);
  fm_spread_boxes (NULL, 0, 0, 100);
}

/* --- Models -------------------------------------------------------------------------------------------------------*/

static const FmPlotPoint points[] = {
  { "baseline", 0, 412, { 3, 84.5, 0.3, 83.9, 85.1 }, 21.4, FALSE },
  { "switch", 4, 655, { 3, 85.9, 0.3, 85.3, 86.5 }, 38.6, FALSE },
  { "local", 1, 301, { 3, 84.4, 0.3, 83.9, 84.9 }, 17.8, FALSE },
  { "linear", 2, 248, { 3, 82.4, 0.3, 81.6, 83.2 }, 15.9, FALSE },
  { "pooling", 3, 183, { 3, 83.6, 0.3, 82.5, 84.7 }, 14.1, FALSE },
};
static const FmPlot plot = { "Latency", "Test accuracy", "Peak memory", "µs", "%", "MB", G_N_ELEMENTS (points),
                             points };

static FmMaps *
make_maps (void)
{
  FmMaps *maps = fm_maps_new (2, 2, 4, 4);

  maps->grid_rows = maps->grid_columns = 2;
  maps->image_rows = maps->image_columns = 4;
  maps->image = g_new0 (gfloat, 16);
  for (int i = 0; i < 16; i++)
    maps->attention[i] = maps->attention[16 + i] = maps->attention[32 + i] = maps->attention[48 + i] = 0.25;
  maps->attention[0] = 0.1; /* layer 0, head 0: the first patch looks at the last; the third cannot be seen */
  maps->attention[1] = 0;
  maps->attention[2] = NAN;
  maps->attention[3] = 0.9;
  return maps;
}

static FmRouting *
make_routing (void)
{
  FmRouting *routing = fm_routing_new (2, 4, 2, 11);

  routing->split = g_strdup ("test");
  routing->classes = g_new0 (char *, 3);
  routing->classes[0] = g_strdup ("Coat");
  routing->classes[1] = g_strdup ("Bag");
  for (int i = 0; i < 16; i++)
    routing->counts[i] = i == 12 || i == 13 ? 0 : 10 + i; /* layer 1, expert 2 gets nothing */
  for (int s = 0; s < 11; s++)
    {
      routing->steps[s] = 100 * s;
      for (int e = 0; e < 8; e++)
        routing->load[e * 11 + s] = e == 6 ? MAX (0, 0.25 - 0.1 * s) : 0.25;
    }
  return routing;
}

/* --- Figures ------------------------------------------------------------------------------------------------------*/

static void
test_plot (void)
{
  const FmFigureStyle style = FM_FIGURE_STYLE_LIGHT;
  Picture p = picture_of (&fm_figure_plot, &plot, 440, 240, &style);
  g_autoptr (FmFigureTable) table = fm_figure_plot.table (&plot);
  g_autofree char *text = fm_figure_table_to_text (table), *said = fm_figure_plot.describe (&plot, 3);
  gint last_x = -1;
  static const gsize by_latency[] = { 4, 3, 2, 0, 1 };

  /* Each point is where its colour is, cheaper ones further left, and a click there finds it. */
  for (gsize k = 0; k < G_N_ELEMENTS (by_latency); k++)
    {
      gsize i = by_latency[k];
      gdouble sum_x = 0, sum_y = 0;
      guint n = 0;

      for (int y = 0; y < p.height; y++)
        for (int x = 0; x < p.width; x++)
          if (alike (pixel (&p, x, y), colour_bits (fm_style_variant (&style, points[i].variant)), 3))
            {
              sum_x += x;
              sum_y += y;
              n++;
            }
      g_assert_cmpuint (n, >, 60);
      g_assert_cmpint (sum_x / n, >, last_x);
      last_x = sum_x / n;
      g_assert_cmpint (fm_figure_plot.hit (&plot, 440, 240, &style, sum_x / n, sum_y / n), ==, i);
    }
  g_assert_cmpint (fm_figure_plot.hit (&plot, 440, 240, &style, 435, 230), ==, -1);
  g_assert_cmpstr (text, ==,
                   "Variant    Test accuracy, %  Latency, µs  Peak memory, MB  On the front\n"
                   "baseline  84.5 [83.9, 85.1]          412             21.4           yes\n"
                   "switch    85.9 [85.3, 86.5]          655             38.6           yes\n"
                   "local     84.4 [83.9, 84.9]          301             17.8           yes\n"
                   "linear    82.4 [81.6, 83.2]          248             15.9            no\n"
                   "pooling   83.6 [82.5, 84.7]          183             14.1           yes\n");
  g_assert_cmpstr (said, ==, "linear: Test accuracy 82.4 [81.6, 83.2] %, Latency 248 µs, Peak memory 15.9 MB");
  picture_clear (&p);
}

static void
test_curves (void)
{
  const FmFigureStyle style = FM_FIGURE_STYLE_LIGHT;
  gdouble x[101];
  FmEstimate y[101], alone[101];
  FmCurve curves[2] = { { "a", 1, 101, x, y, FALSE, FALSE }, { "b", 2, 101, x, alone, FALSE, FALSE } };
  FmCurves model = { "Accuracy", "steps", "%", 1, curves, 0, 100, NAN, TRUE };
  FmColour blue = fm_style_variant (&style, 1), vermilion = fm_style_variant (&style, 2);
  int left = 0, right = 0;
  Picture p;

  for (int i = 0; i <= 100; i++)
    {
      x[i] = i;
      y[i] = i > 40 && i < 60 ? FM_ESTIMATE_NONE : estimate (50, 10);
      alone[i] = single (30);
    }
  p = picture_of (&fm_figure_curves, &model, 500, 200, &style);
  for (int column = 0; column < p.width; column++) /* the line's own extent, from its colour */
    if (count_colour (&p, blue, column, 0, column + 1, p.height) > 0)
      {
        left = left == 0 ? column : left;
        right = column;
      }
  /* NaN breaks the line: nothing of it in the middle of the gap, and something on both sides. */
  {
    gdouble at = fm_curves_x (&model, 500, 200, &style, (left + right) / 2);

    g_assert_true (at > 41 && at < 59);
    g_assert_cmpuint (count_colour (&p, blue, (left + right) / 2 - 8, 0, (left + right) / 2 + 8, p.height), ==, 0);
    g_assert_cmpuint (count_colour (&p, blue, left, 0, left + 60, p.height), >, 60);
  }
  g_assert_true (isnan (fm_curves_x (&model, 500, 200, &style, 0)));
  g_assert_cmpint (fm_figure_curves.hit (&model, 500, 200, &style, left + 30, 91), ==, 0);
  g_assert_cmpint (fm_figure_curves.hit (&model, 500, 200, &style, left + 30, 140), ==, -1);
  picture_clear (&p);

  /* A band where there are seeds, none for one seed alone. */
  model.n_curves = 2;
  p = picture_of (&fm_figure_curves, &model, 500, 200, &style);
  {
    int column = left + 30;
    guint tinted_a = 0, tinted_b = 0, line_b = 0;

    for (int row = 0; row < p.height; row++)
      {
        guint32 c = pixel (&p, column, row);
        int red = c >> 16 & 255, blue_part = c & 255;

        tinted_a += blue_part > red + 8 && !alike (c, colour_bits (blue), 40);
        tinted_b += red > blue_part + 8 && !alike (c, colour_bits (vermilion), 40);
        line_b += alike (c, colour_bits (vermilion), 40);
      }
    g_assert_cmpuint (tinted_a, >, 15);
    g_assert_cmpuint (tinted_b, <, 5);
    g_assert_cmpuint (line_b, >, 0);
  }
  picture_clear (&p);
}

/* Middles of the runs of columns that hold at least @least pixels of @colour: where the markers of a level line stand.
 */
static guint
marker_columns (const Picture *p, FmColour colour, guint least, gdouble *middles, guint most)
{
  guint n = 0;
  int start = -1;

  for (int x = 0; x <= p->width; x++)
    {
      gboolean thick = x < p->width && count_colour (p, colour, x, 0, x + 1, p->height) >= least;

      if (thick && start < 0)
        start = x;
      if (!thick && start >= 0)
        {
          if (n < most)
            middles[n] = (start + x - 1) / 2.0;
          n++;
          start = -1;
        }
    }
  return n;
}

/* Lines of known powers cross where algebra says, and nowhere else; the picture is logarithmic. */
static void
test_scaling (void)
{
  const FmFigureStyle style = FM_FIGURE_STYLE_LIGHT;
  const gdouble x[] = { 64, 128, 256, 512 };
  FmEstimate linear[4], level[4], near[4], vague[4];
  const FmScalingLine lines[] = { { "full", 0, 4, x, linear }, { "flat", 1, 4, x, level }, { "near", 2, 4, x, near } };
  const FmScalingLine others[] = { { "full", 0, 4, x, linear }, { "vague", 1, 4, x, vague } };
  FmScaling model = { "Latency against the length", "N", "tokens", "Latency", "µs", 3, lines };
  g_autoptr (GArray) crossings = NULL, open = NULL;
  g_autoptr (FmFigureTable) table = NULL;
  g_autofree char *text = NULL, *rows = NULL, *unsure = NULL;
  const FmCrossing *c;
  gdouble middles[4];
  Picture p;

  for (int i = 0; i < 4; i++)
    {
      linear[i] = estimate (x[i], 0.05 * x[i]);
      level[i] = estimate (160, 8);
      near[i] = estimate (x[i] * (i % 2 == 0 ? 1.03 : 0.97), 0.01 * x[i]); /* now above, now below: the same cost */
      vague[i] = estimate (160, 140);
    }
  crossings = fm_scaling_crossings (&model);
  g_assert_cmpuint (crossings->len, ==, 2); /* full and flat, near and flat */
  c = &g_array_index (crossings, FmCrossing, 0);
  if (c->dearer != 0)
    c = &g_array_index (crossings, FmCrossing, 1);
  g_assert_cmpuint (c->dearer, ==, 0);
  g_assert_cmpuint (c->cheaper, ==, 1);
  g_assert_cmpfloat_with_epsilon (c->x, 160, 1e-9);
  g_assert_cmpfloat_with_epsilon (c->y, 160, 1e-9);
  g_assert_cmpfloat (c->x_low, ==, exp (log (128)));
  g_assert_cmpfloat (c->x_high, ==, 256);
  g_assert_true (c->certain);
  text = fm_scaling_text (&model);
  g_assert_nonnull (strstr (text, "From N = 160 on (measured at 128 and 256) flat takes less than full."));
  g_assert_nonnull (strstr (text, "full grows as N^1.00, flat grows as N^0.00"));
  table = fm_figure_scaling.table (&model);
  rows = fm_figure_table_to_text (table);
  g_assert_nonnull (strstr (rows, "flat           512          160   152   168      3\n"));

  /* Every doubling takes the same room. */
  p = picture_of (&fm_figure_scaling, &model, 500, 260, &style);
  g_assert_cmpuint (marker_columns (&p, fm_style_variant (&style, 1), 6, middles, 4), ==, 4);
  g_assert_cmpfloat_with_epsilon (middles[1] - middles[0], middles[2] - middles[1], 1.5);
  g_assert_cmpfloat_with_epsilon (middles[2] - middles[1], middles[3] - middles[2], 1.5);
  g_assert_cmpfloat (middles[1] - middles[0], >, 60);
  picture_clear (&p);

  /* Seeds that disagree leave the order open, and that is said. */
  model.n_lines = 2;
  model.lines = others;
  open = fm_scaling_crossings (&model);
  g_assert_cmpuint (open->len, ==, 1);
  g_assert_false (g_array_index (open, FmCrossing, 0).certain);
  unsure = fm_scaling_text (&model);
  g_assert_nonnull (strstr (unsure, "if the means are right"));
}

/* What only memory brings to the front is told from what is beaten in all three. */
static void
test_memory_front (void)
{
  const FmPlotPoint trio[] = { { "fast", 0, 100, estimate (80, 1), 20, FALSE },
                               { "small", 1, 200, estimate (79, 1), 5, FALSE },
                               { "worse", 2, 300, estimate (78, 1), 30, FALSE } };
  const FmPlot model = { "Latency", "Test accuracy", "Peak memory", "µs", "%", "MB", 3, trio };
  g_autoptr (FmFigureTable) table = fm_figure_plot.table (&model);

  g_assert_cmpstr (((char **) table->rows->pdata[1])[4], ==, "yes");
  g_assert_cmpstr (((char **) table->rows->pdata[2])[4], ==, "for its memory");
  g_assert_cmpstr (((char **) table->rows->pdata[3])[4], ==, "no");
}

static void
test_interval (void)
{
  const FmFigureStyle style = FM_FIGURE_STYLE_LIGHT;
  FmIntervalCell cell = { estimate (84, 1), estimate (82, 1), 1, 80, 90 };
  FmEstimate values[3] = { estimate (84, 1), single (82), FM_ESTIMATE_NONE };
  FmColour blue = fm_style_variant (&style, 1), band = fm_style_colour (&style, FM_COLOUR_BAND);
  Picture p = picture_of (&fm_figure_interval, &cell, 116, 40, &style); /* 8 px margin: 10 px a unit */
  gdouble low, high;

  g_assert_cmpuint (count_colour (&p, blue, 37, 19, 39, 21), >, 0); /* 83 */
  g_assert_cmpuint (count_colour (&p, blue, 57, 19, 59, 21), >, 0); /* 85 */
  g_assert_cmpuint (count_colour (&p, blue, 62, 0, 116, 40), ==, 0);
  g_assert_cmpuint (count_colour (&p, band, 20, 2, 26, 10), >, 20); /* 81 to 83 */
  g_assert_cmpuint (count_colour (&p, band, 0, 0, 17, 40), ==, 0);
  picture_clear (&p);
  cell.value = single (84);
  p = picture_of (&fm_figure_interval, &cell, 116, 40, &style);
  g_assert_cmpuint (count_colour (&p, blue, 34, 0, 41, 40), ==, 0); /* one seed: a marker without an interval */
  g_assert_cmpuint (count_colour (&p, blue, 44, 16, 52, 24), >, 20);
  picture_clear (&p);
  fm_interval_scale (values, 3, &low, &high);
  g_assert_true (low < 82 && low > 81 && high > 85 && high < 86);
  fm_interval_scale (&values[2], 1, &low, &high);
  g_assert_true (low < high);
}

static void
test_attention_image (void)
{
  const FmFigureStyle style = FM_FIGURE_STYLE_LIGHT;
  g_autoptr (FmMaps) maps = make_maps ();
  FmAttentionImage image = { maps, 0, 0, NULL, 0, -1, NAN, TRUE };
  Picture p = picture_of (&fm_figure_attention_image, &image, 202, 202, &style); /* 2 x 2 patches of 100 px */
  FmColour orange = fm_style_colour (&style, FM_COLOUR_CURSOR);
  FmColour strongest = fm_colour_mix (fm_style_colour (&style, FM_COLOUR_PAGE), fm_weight_colour (&style), 0.92);
  g_autofree char *hidden = fm_figure_attention_image.describe (&image, 2);
  g_autofree char *seen = fm_figure_attention_image.describe (&image, 3);

  g_assert_cmpuint (count_colour (&p, orange, 0, 0, 104, 104), >, 300); /* the frame, and nowhere else */
  g_assert_cmpuint (count_colour (&p, orange, 104, 104, 202, 202), ==, 0);
  g_assert_true (alike (pixel (&p, 120, 120), colour_bits (strongest), 3));
  g_assert_true (alike (pixel (&p, 150, 20), 0xffffff, 3)); /* weight zero shows the picture as it is */
  {
    guint lines = 0;

    for (int x = 5; x < 95; x++)
      lines += !alike (pixel (&p, x, 150), 0xffffff, 30);
    g_assert_cmpuint (lines, >, 8); /* hatched: neither empty nor full */
    g_assert_cmpuint (lines, <, 60);
  }
  g_assert_cmpuint (count_colour (&p, (FmColour) { 1, 1, 1, 1 }, 130, 140, 172, 162), >, 20); /* "0.90" in white */
  g_assert_cmpstr (hidden, ==, "Row 2, column 1: cannot be seen");
  g_assert_cmpstr (seen, ==, "Row 2, column 2: weight 0.900");
  for (gint64 k = 0; k < 4; k++)
    g_assert_cmpint (fm_figure_attention_image.hit (&image, 202, 202, &style, 50 + k % 2 * 100, 50 + k / 2 * 100), ==,
                     k);
  g_assert_cmpint (fm_figure_attention_image.hit (&image, 202, 202, &style, 201.9, 10), ==, -1);
  g_assert_cmpint (fm_figure_attention_image.hit (&image, 202, 202, &style, -1, 10), ==, -1);
  g_assert_cmpfloat_with_epsilon (fm_attention_maximum (maps, -1, -1, 0), 0.9, 1e-6);
  g_assert_cmpfloat_with_epsilon (fm_attention_maximum (maps, 1, -1, 0), 0.25, 1e-6);
  picture_clear (&p);
}

static void
test_attention_map (void)
{
  const FmFigureStyle styles[] = { FM_FIGURE_STYLE_LIGHT, FM_FIGURE_STYLE_DARK };
  gfloat weights[12];

  for (int i = 0; i < 12; i++)
    weights[i] = i / 11.0;
  weights[7] = NAN;
  for (gsize s = 0; s < 2; s++)
    {
      FmAttentionMap map = { 3, 4, weights, NULL, -1, -1, NAN, TRUE, FALSE };
      Picture p = picture_of (&fm_figure_attention_map, &map, 162, 122, &styles[s]); /* cells of 40 px */

      for (int i = 0; i < 12; i++)
        if (i != 7)
          g_assert_true (alike (pixel (&p, 1 + i % 4 * 40 + 20, 1 + i / 4 * 40 + 20),
                                colour_bits (fm_style_sequential (&styles[s], i / 11.0)), 3));
      g_assert_cmpuint (count_colour (&p, fm_style_sequential (&styles[s], 0), 123, 43, 159, 79), ==, 0);
      g_assert_cmpint (fm_figure_attention_map.hit (&map, 162, 122, &styles[s], 141, 61), ==, 7);
      picture_clear (&p);
    }
}

static void
test_routing (void)
{
  const FmFigureStyle style = FM_FIGURE_STYLE_LIGHT;
  g_autoptr (FmRouting) routing = make_routing ();
  FmRoutingView view = { routing, 1, -1, -1 };
  FmColour orange = fm_style_colour (&style, FM_COLOUR_CURSOR);
  Picture p = picture_of (&fm_figure_expert_shares, &view, 400, 200, &style);
  g_autofree char *alarm = fm_routing_alarm (routing), *said = fm_figure_expert_shares.describe (&view, 6);
  g_autoptr (FmFigureTable) table = fm_figure_expert_classes.table (&view);
  guint inside = 0;

  /* Orange is in the dead expert's cell alone. */
  for (int y = 0; y < p.height; y++)
    for (int x = 0; x < p.width; x++)
      if (alike (pixel (&p, x, y), colour_bits (orange), 3))
        {
          gint64 cell = fm_figure_expert_shares.hit (&view, 400, 200, &style, x, y);

          g_assert_cmpint (cell, ==, 1 * 4 + 2);
          inside++;
        }
  g_assert_cmpuint (inside, >, 100);
  g_assert_cmpstr (said, ==, "Layer 2, expert 3: dead");
  g_assert_cmpstr (alarm, ==, "Expert 3 of layer 2 is dead. No token since step 300; 1 of 4 experts of the layer does "
                              "nothing.");
  g_assert_cmpuint (table->rows->len, ==, 3);
  g_assert_cmpstr (((char **) g_ptr_array_index (table->rows, 1))[0], ==, "Coat");
  g_assert_cmpstr (((char **) g_ptr_array_index (table->rows, 1))[3], ==, "dead");
  picture_clear (&p);

  p = picture_of (&fm_figure_expert_load, &view, 400, 200, &style);
  g_assert_cmpuint (count_all (&p, orange), >, 200);
  picture_clear (&p);
  view.layer = 0; /* all alive there */
  p = picture_of (&fm_figure_expert_load, &view, 400, 200, &style);
  g_assert_cmpuint (count_all (&p, orange), ==, 0);
  picture_clear (&p);

  g_assert_cmpfloat (fm_routing_dead_since (routing, 1, 2), ==, 300);
  g_assert_cmpfloat (fm_routing_dead_since (routing, 0, 2), ==, -1);
  g_assert_cmpfloat_with_epsilon (fm_routing_share (routing, 0, 0), 21.0 / 108, 1e-12);
  g_assert_cmpfloat_with_epsilon (fm_routing_class_share (routing, 1, 0, 0), 18.0 / 62, 1e-12);
  g_assert_true (isnan (fm_routing_dropped_share (routing)));
  /* Silent only for less than a tenth of training: not dead yet. */
  for (int s = 0; s < 11; s++)
    routing->load[6 * 11 + s] = s < 10 ? 0.1 : 0;
  g_assert_cmpfloat (fm_routing_dead_since (routing, 1, 2), ==, -1);
}

static void
test_expert_patches (void)
{
  const FmFigureStyle style = FM_FIGURE_STYLE_LIGHT;
  const gint32 expert[] = { 0, 1, -1, 1 };
  FmExpertPatches patches = { 0, 0, NULL, 2, 2, 2, 4, expert, -1 };
  Picture p = picture_of (&fm_figure_expert_patches, &patches, 202, 202, &style);
  g_autofree char *said = fm_figure_expert_patches.describe (&patches, 2);
  g_autoptr (FmFigureTable) table = fm_figure_expert_patches.table (&patches);
  FmColour page = { 1, 1, 1, 1 };

  g_assert_true (alike (pixel (&p, 10, 10), colour_bits (fm_colour_mix (page, fm_style_category (&style, 0), 0.72)),
                        3));
  g_assert_true (alike (pixel (&p, 192, 10), colour_bits (fm_colour_mix (page, fm_style_category (&style, 1), 0.72)),
                        3));
  g_assert_true (alike (pixel (&p, 10, 192), 0xffffff, 3));
  g_assert_cmpint (fm_figure_expert_patches.hit (&patches, 202, 202, &style, 150, 150), ==, 3);
  g_assert_cmpstr (said, ==, "Row 2, column 1: dropped, over capacity");
  g_assert_cmpstr (((char **) g_ptr_array_index (table->rows, 2))[1], ==, "2");
  g_assert_cmpstr (((char **) g_ptr_array_index (table->rows, 3))[1], ==, "1");
  picture_clear (&p);
}

/* Every figure at every size, with nothing, with NaN and with one value: no crash, no error, and at a size where there
 * is room a sentence instead of a hole. */
static void
test_odd (void)
{
  const FmFigureStyle styles[] = { FM_FIGURE_STYLE_LIGHT, { FM_SCHEME_DARK, 2.0, FALSE },
                                   { FM_SCHEME_PRINT, 0.7, TRUE } };
  const int sizes[][2] = { { 1, 1 }, { 7, 3 }, { 3, 300 }, { 333, 211 }, { 1500, 40 } };
  const gdouble x[2] = { NAN, 5 };
  const FmEstimate y[2] = { single (1), single (NAN) }, same[2] = { single (3), single (3) };
  const FmPlotPoint bad[] = { { "nan", 0, NAN, single (1), 3, FALSE }, { "nan too", 1, 3, single (NAN), 3, FALSE } };
  const FmPlotPoint one[] = { { "one", 0, 5, single (80), NAN, TRUE } };
  const FmCurve bad_curves[] = { { "a", 0, 2, x, y, FALSE, FALSE }, { "b", 1, 0, NULL, NULL, TRUE, TRUE } };
  const FmCurve flat[] = { { "a", 0, 2, (const gdouble[]) { 5, 5 }, same, TRUE, TRUE } };
  g_autoptr (FmMaps) maps = make_maps ();
  g_autoptr (FmMaps) bare = fm_maps_new (1, 1, 1, 1); /* all NaN, no picture */
  g_autoptr (FmRouting) routing = make_routing (), empty = fm_routing_new (1, 1, 1, 0);
  g_autoptr (FmRouting) silent = fm_routing_new (3, 70, 1, 2);
  const gfloat hidden[] = { NAN };
  const FmPlot plots[] = { { 0 }, { "x", "y", "a", "", "%", "MB", 2, bad }, { "x", "y", "a", "", "%", "MB", 1, one },
                           plot };
  const FmCurves curves[] = { { .y_low = NAN, .y_high = NAN, .cursor = NAN },
                              { "t", "steps", "%", 2, bad_curves, NAN, NAN, 3, FALSE },
                              { "t", "steps", "", 1, flat, NAN, NAN, 5, FALSE } };
  const FmIntervalCell cells[] = { { FM_ESTIMATE_NONE, FM_ESTIMATE_NONE, 0, NAN, NAN },
                                   { single (1), single (1), 7, 1, 1 } };
  const FmAttentionImage images[] = { { NULL, 0, 0, NULL, 0, 0, NAN, FALSE }, { maps, 9, 9, NULL, 99, 99, NAN, FALSE },
                                      { maps, 0, 0, NULL, 0, 2, 0, TRUE }, { bare, 0, 0, NULL, 0, -1, NAN, FALSE } };
  const FmAttentionMap attention_maps[] = { { 0 }, { 1, 1, hidden, NULL, 0, 0, NAN, FALSE, TRUE },
                                            { 4, 4, maps->attention, NULL, 99, 99, 0, TRUE, FALSE } };
  const FmRoutingView views[] = { { NULL, 0, 0, 0 }, { empty, 0, 0, 0 }, { empty, 5, 5, 5 }, { silent, 2, 69, 0 },
                                  { routing, -1, 99, 99 }, { routing, 1, 0, 1 } };
  const FmExpertPatches patches[] = { { 0 }, { 0, 0, NULL, 1, 1, 3, 1, (const gint32[]) { 7 }, 0 } };
  const FmScaleBar bars[] = { { NAN, NULL, TRUE, TRUE }, { 0, " %", FALSE, FALSE } };
  const gint markers[] = { -1, 0, 99 };
  const gdouble lengths[] = { 64, 128, NAN };
  const FmEstimate costs[] = { { 1, 10, NAN, NAN, NAN }, { 2, 10, 1, -5, 25 }, { 1, -3, NAN, NAN, NAN } };
  const FmScalingLine growing[] = { { "a", 0, 3, lengths, costs },
                                    { "b", 7, 1, lengths, costs },
                                    { "", -1, 0, NULL, NULL } };
  const FmScaling scalings[] = { { "", "N", "", "", "", 0, NULL }, { "", "N", "", "Cost", "", 3, growing },
                                 { "", "N", "tokens", "Cost", "µs", 1, growing + 1 } };
  const struct
  {
    const FmFigure *figure;
    const void     *models;
    gsize           n, size;
  } all[] = {
#define ALL(figure, models) { &figure, models, G_N_ELEMENTS (models), sizeof (models)[0] }
    ALL (fm_figure_plot, plots),
    ALL (fm_figure_curves, curves),
    ALL (fm_figure_scaling, scalings),
    ALL (fm_figure_interval, cells),
    ALL (fm_figure_interval_header, cells),
    ALL (fm_figure_attention_image, images),
    ALL (fm_figure_attention_map, attention_maps),
    ALL (fm_figure_expert_shares, views),
    ALL (fm_figure_expert_load, views),
    ALL (fm_figure_expert_classes, views),
    ALL (fm_figure_expert_patches, patches),
    ALL (fm_figure_scale_bar, bars),
    ALL (fm_figure_marker, markers),
  };

  for (gsize f = 0; f < G_N_ELEMENTS (all); f++)
    for (gsize m = 0; m < all[f].n; m++)
      {
        gconstpointer model = (const char *) all[f].models + m * all[f].size;
        const FmFigure *figure = all[f].figure;
        g_autoptr (FmFigureTable) table = figure->table (model);
        g_autofree char *text = fm_figure_table_to_text (table), *csv = fm_figure_table_to_csv (table);

        g_assert_cmpuint (table->rows->len, >=, 1);
        g_assert_true (g_utf8_validate (text, -1, NULL) && g_utf8_validate (csv, -1, NULL));
        for (gint64 i = -1; i < 3 && figure->describe != NULL; i++)
          g_free (figure->describe (model, i));
        for (gsize s = 0; s < G_N_ELEMENTS (styles); s++)
          for (gsize z = 0; z < G_N_ELEMENTS (sizes); z++)
            {
              Picture p = picture_of (figure, model, sizes[z][0], sizes[z][1], &styles[s]);
              guint page = count_all (&p, fm_style_colour (&styles[s], FM_COLOUR_PAGE));

              if (sizes[z][0] == 333 && figure != &fm_figure_interval && figure != &fm_figure_interval_header &&
                  !(figure == &fm_figure_attention_map && ((const FmAttentionMap *) model)->thumbnail))
                g_assert_cmpuint (page, <, 333 * 211);
              if (figure->hit != NULL)
                g_assert_cmpint (figure->hit (model, sizes[z][0], sizes[z][1], &styles[s], sizes[z][0] / 2.0,
                                              sizes[z][1] / 2.0), >=, -1);
              picture_clear (&p);
            }
      }
}

/* --- Files --------------------------------------------------------------------------------------------------------*/

static void
test_files (void)
{
  const FmFigureStyle style = FM_FIGURE_STYLE_DARK;
  static const struct { const char *name, *start; } files[] = {
    { "a.svg", "<?xml" }, { "a.PDF", "%PDF" }, { "a.png", "\x89PNG" },
  };
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("formarium-figures-XXXXXX", &error);
  g_autofree char *wrong = g_build_filename (folder, "a.gif", NULL);
  g_autofree char *nowhere = g_build_filename (folder, "no", "a.svg", NULL);

  g_assert_no_error (error);
  for (gsize i = 0; i < G_N_ELEMENTS (files); i++)
    {
      g_autofree char *path = g_build_filename (folder, files[i].name, NULL), *bytes = NULL;
      gsize length;

      g_assert_true (fm_figure_write (&fm_figure_plot, &plot, 300, 200, &style, path, &error));
      g_assert_no_error (error);
      g_assert_true (g_file_get_contents (path, &bytes, &length, &error));
      g_assert_true (g_str_has_prefix (bytes, files[i].start));
      g_assert_cmpuint (length, >, 2000);
      g_remove (path);
    }
  g_assert_false (fm_figure_write (&fm_figure_plot, &plot, 300, 200, &style, wrong, &error));
  g_assert_error (error, FM_FIGURES_ERROR, FM_FIGURES_ERROR_FORMAT);
  g_clear_error (&error);
  g_assert_false (fm_figure_write (&fm_figure_plot, &plot, 1e9, 200, &style, nowhere, &error));
  g_assert_error (error, FM_FIGURES_ERROR, FM_FIGURES_ERROR_FORMAT);
  g_clear_error (&error);
  g_assert_false (fm_figure_write (&fm_figure_plot, &plot, NAN, 200, &style, nowhere, &error));
  g_assert_error (error, FM_FIGURES_ERROR, FM_FIGURES_ERROR_FORMAT);
  g_clear_error (&error);
  g_assert_false (fm_figure_write (&fm_figure_plot, &plot, 300, 200, &style, nowhere, &error));
  g_assert_error (error, G_FILE_ERROR, G_FILE_ERROR_NOENT);
  g_assert_cmpint (g_rmdir (folder), ==, 0); /* nothing half-written was left */
}

static void
test_svg (void)
{
  const FmFigureStyle style = FM_FIGURE_STYLE_PRINT;
  gint square = 1;
  g_autofree char *marker = fm_figure_to_svg (&fm_figure_marker, &square, 20, 20, &style, NULL);
  g_autofree char *a = fm_figure_to_svg (&fm_figure_plot, &plot, 300, 200, &style, "a-");
  g_autofree char *b = fm_figure_to_svg (&fm_figure_plot, &plot, 300, 200, &style, "b-");

  g_assert_true (g_str_has_prefix (marker, "<svg"));
  g_assert_nonnull (strstr (marker, "</svg>"));
  g_assert_null (strstr (marker, "<rect")); /* the page stays transparent */
  g_assert_cmpuint (strlen (marker), <, 600);
  g_assert_cmpuint (strlen (a), ==, strlen (b));
  for (const char *p = a; (p = strstr (p, " id=\"")) != NULL; p++)
    g_assert_true (g_str_has_prefix (p, " id=\"a-"));
  for (const char *p = a; (p = strstr (p, "href=\"#")) != NULL; p++)
    g_assert_true (g_str_has_prefix (p, "href=\"#a-"));
  g_assert_null (strstr (b, "a-glyph"));
}

static void
test_csv (void)
{
  g_autoptr (FmFigureTable) table = fm_figure_table_new (NULL, "a", "b", NULL);
  GStrv row = g_new0 (char *, 3);
  g_autofree char *csv = NULL;

  row[0] = g_strdup ("x, \"y\"");
  row[1] = g_strdup ("plain");
  fm_figure_table_add (table, row);
  csv = fm_figure_table_to_csv (table);
  g_assert_cmpstr (csv, ==, "a,b\r\n\"x, \"\"y\"\"\",plain\r\n");
}

static void
test_artifacts (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("formarium-artifacts-XXXXXX", &error);
  g_autofree char *path = g_build_filename (folder, FM_MAPS_FILE, NULL);
  g_autoptr (FmMaps) maps = make_maps (), again = NULL;
  g_autoptr (FmRouting) routing = make_routing (), routing_again = NULL;
  static const char *const bad[] = {
    "", "{", "[]", "{\"format\": \"formarium-maps\", \"version\": 2}",
    "{\"format\": \"formarium-maps\", \"version\": 1, \"layers\": 0, \"heads\": 1, \"queries\": 1, \"keys\": 1}",
    "{\"format\": \"formarium-maps\", \"version\": 1, \"layers\": 9999999999, \"heads\": 9999999999, \"queries\": 1, "
    "\"keys\": 1, \"attention\": []}",
    "{\"format\": \"formarium-maps\", \"version\": 1, \"layers\": 1, \"heads\": 1, \"queries\": 1, \"keys\": 2, "
    "\"attention\": [1]}",
    "{\"format\": \"formarium-maps\", \"version\": 1, \"layers\": 1, \"heads\": 1, \"queries\": 1, \"keys\": 1, "
    "\"attention\": [\"a\"]}",
    "{\"format\": \"formarium-maps\", \"version\": 1, \"layers\": 1, \"heads\": 1, \"queries\": 1, \"keys\": 1, "
    "\"attention\": [1], \"tokens\": [\"a\", \"b\"]}",
    "{\"format\": \"formarium-maps\", \"version\": 1, \"layers\": 1, \"heads\": 1, \"queries\": 1, \"keys\": 1, "
    "\"attention\": [1], \"grid\": {\"rows\": 2, \"columns\": 2}}",
  };

  maps->label = g_strdup ("\"Coat\"\n");
  maps->example = 11;
  maps->tokens = g_strsplit ("a,b,[,d", ",", -1);
  g_assert_true (fm_maps_save (maps, path, &error));
  again = fm_maps_load (path, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (again->label, ==, maps->label);
  g_assert_cmpint (again->example, ==, 11);
  g_assert_cmpstr (again->tokens[2], ==, "[");
  g_assert_cmpint (again->grid_columns, ==, 2);
  g_assert_cmpint (again->image_rows, ==, 4);
  for (int i = 0; i < 64; i++)
    g_assert_true (again->attention[i] == maps->attention[i] ||
                   (isnan (maps->attention[i]) && isnan (again->attention[i])));
  g_assert_cmpfloat_with_epsilon (fm_maps_entropy (again, 1, 1), 2, 1e-9);
  g_assert_cmpfloat_with_epsilon (fm_maps_distance (again, 1, 1), (2 + sqrt (2)) / 4, 1e-6);

  g_assert_true (fm_routing_save (routing, path, &error));
  routing_again = fm_routing_load (path, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (routing_again->classes[1], ==, "Bag");
  g_assert_cmpmem (routing_again->counts, 16 * sizeof (gdouble), routing->counts, 16 * sizeof (gdouble));
  g_assert_cmpint (routing_again->n_steps, ==, 11);
  g_assert_cmpfloat_with_epsilon (routing_again->load[6 * 11 + 1], 0.15, 1e-9);
  g_assert_null (fm_maps_load (path, &error)); /* the other kind of file */
  g_clear_error (&error);

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_assert_true (g_file_set_contents (path, bad[i], -1, NULL));
      g_assert_null (fm_maps_load (path, &error));
      g_assert_nonnull (error);
      g_assert_nonnull (strstr (error->message, path));
      g_clear_error (&error);
    }
  g_remove (path);
  g_rmdir (folder);
}

static void
test_load_tags (void)
{
  static const char *const bad[] = { "", "layers", "layers.0", "layers./1", "layers.0/", "layers.x/1", "layers.0/1x",
                                     "x.0/1" };
  g_autofree char *tag = fm_load_curve_tag (3, 12);
  gint64 layer = -1, expert = -1;
  g_autoptr (FmRouting) routing = fm_routing_new (2, 2, 1, 0);
  const gint64 steps[] = { 20, 10, 10, 20 }, layers[] = { 0, 0, 1, 7 }, experts[] = { 1, 1, 0, 0 };
  const gdouble shares[] = { 0.4, 0.3, 0.9, 0.5 };

  g_assert_true (fm_load_curve_parse_tag (tag, &layer, &expert));
  g_assert_cmpint (layer, ==, 3);
  g_assert_cmpint (expert, ==, 12);
  g_assert_true (fm_load_curve_parse_tag ("layers.1.feedforward/0", &layer, &expert));
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_false (fm_load_curve_parse_tag (bad[i], &layer, &expert));
  fm_routing_set_load (routing, 4, steps, layers, experts, shares);
  g_assert_cmpint (routing->n_steps, ==, 2);
  g_assert_cmpfloat (routing->steps[0], ==, 10);
  g_assert_cmpfloat (routing->load[1 * 2 + 0], ==, 0.3);
  g_assert_cmpfloat (routing->load[1 * 2 + 1], ==, 0.4);
  g_assert_cmpfloat (routing->load[2 * 2 + 0], ==, 0.9);
  g_assert_true (isnan (routing->load[2 * 2 + 1]));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/app/figures/contrast", test_contrast);
  g_test_add_func ("/app/figures/palette", test_palette);
  g_test_add_func ("/app/figures/markers", test_markers);
  g_test_add_func ("/app/figures/axis", test_axis);
  g_test_add_func ("/app/figures/spread", test_spread);
  g_test_add_func ("/app/figures/plot", test_plot);
  g_test_add_func ("/app/figures/curves", test_curves);
  g_test_add_func ("/app/figures/interval", test_interval);
  g_test_add_func ("/app/figures/memory-front", test_memory_front);
  g_test_add_func ("/app/figures/scaling", test_scaling);
  g_test_add_func ("/app/figures/attention-image", test_attention_image);
  g_test_add_func ("/app/figures/attention-map", test_attention_map);
  g_test_add_func ("/app/figures/routing", test_routing);
  g_test_add_func ("/app/figures/expert-patches", test_expert_patches);
  g_test_add_func ("/app/figures/odd", test_odd);
  g_test_add_func ("/app/figures/files", test_files);
  g_test_add_func ("/app/figures/svg", test_svg);
  g_test_add_func ("/app/figures/csv", test_csv);
  g_test_add_func ("/app/figures/artifacts", test_artifacts);
  g_test_add_func ("/app/figures/load-tags", test_load_tags);
  return g_test_run ();
}
