/* drawing.c: text, axes, hatches and matrices that the figures share. */
#include <math.h>
#include <string.h>

#include "app/figures/figures-private.h"
#include "app/results/format.h"


static PangoLayout *
text_layout (cairo_t *cr, const FmFigureStyle *style, const char *text, gdouble size, gboolean bold)
{
  PangoLayout *layout = pango_cairo_create_layout (cr);
  g_autoptr (PangoFontDescription) font =
    pango_font_description_from_string ("Cantarell,Adwaita Sans,DejaVu Sans,sans");
  g_autoptr (PangoAttrList) attributes = pango_attr_list_new ();
  cairo_font_options_t *options = cairo_font_options_create ();

  /* The same metrics on screen and on paper, so that a picture's layout does not depend on where it goes. */
  cairo_font_options_set_hint_style (options, CAIRO_HINT_STYLE_NONE);
  cairo_font_options_set_hint_metrics (options, CAIRO_HINT_METRICS_OFF);
  pango_cairo_context_set_font_options (pango_layout_get_context (layout), options);
  cairo_font_options_destroy (options);
  pango_layout_context_changed (layout);
  pango_font_description_set_absolute_size (font, MAX (size, FM_TEXT_LEAST) * style->scale * PANGO_SCALE);
  pango_font_description_set_weight (font, bold ? PANGO_WEIGHT_BOLD : PANGO_WEIGHT_NORMAL);
  pango_attr_list_insert (attributes, pango_attr_font_features_new ("tnum=1"));
  pango_layout_set_font_description (layout, font);
  pango_layout_set_attributes (layout, attributes);
  pango_layout_set_text (layout, text, -1);
  return layout;
}

void
fm_text (cairo_t *cr, const FmFigureStyle *style, const char *text, gdouble size, gboolean bold, FmColour colour,
         FmAlign align, gdouble x, gdouble y)
{
  g_autoptr (PangoLayout) layout = NULL;
  int width, height;

  if (text == NULL || *text == '\0')
    return;
  layout = text_layout (cr, style, text, size, bold);
  pango_layout_get_size (layout, &width, &height);
  fm_set_colour (cr, colour);
  cairo_move_to (cr, x - (align == FM_ALIGN_LEFT ? 0 : align == FM_ALIGN_CENTRE ? 0.5 : 1.0) * width / PANGO_SCALE,
                 y - 0.5 * height / PANGO_SCALE);
  pango_cairo_show_layout (cr, layout);
  cairo_new_path (cr);
}

void
fm_text_measure (cairo_t *cr, const FmFigureStyle *style, const char *text, gdouble size, gboolean bold,
                 gdouble *width, gdouble *height)
{
  g_autoptr (PangoLayout) layout = text_layout (cr, style, text != NULL ? text : "", size, bold);
  int w, h;

  pango_layout_get_size (layout, &w, &h);
  if (width != NULL)
    *width = (gdouble) w / PANGO_SCALE;
  if (height != NULL)
    *height = (gdouble) h / PANGO_SCALE;
}

void
fm_draw_sentence (cairo_t *cr, const FmFigureStyle *style, gdouble width, gdouble height, const char *sentence)
{
  g_autoptr (PangoLayout) layout = text_layout (cr, style, sentence, FM_TEXT_BODY, FALSE);
  gdouble inner = MAX (20, MIN (width - 24, 420 * style->scale));
  int h;

  pango_layout_set_width (layout, inner * PANGO_SCALE);
  pango_layout_set_wrap (layout, PANGO_WRAP_WORD_CHAR);
  pango_layout_set_alignment (layout, PANGO_ALIGN_CENTER);
  pango_layout_get_size (layout, NULL, &h);
  fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_DIM));
  cairo_move_to (cr, (width - inner) / 2, (height - (gdouble) h / PANGO_SCALE) / 2);
  pango_cairo_show_layout (cr, layout);
  cairo_new_path (cr);
}

cairo_t *
fm_measuring_context (void)
{
  cairo_surface_t *surface = cairo_recording_surface_create (CAIRO_CONTENT_COLOR_ALPHA, NULL);
  cairo_t *cr = cairo_create (surface);

  cairo_surface_destroy (surface);
  return cr;
}

void
fm_rounded_rectangle (cairo_t *cr, gdouble x, gdouble y, gdouble width, gdouble height, gdouble radius)
{
  gdouble r = MIN (radius, MIN (width, height) / 2);

  cairo_new_sub_path (cr);
  cairo_arc (cr, x + width - r, y + r, r, -G_PI / 2, 0);
  cairo_arc (cr, x + width - r, y + height - r, r, 0, G_PI / 2);
  cairo_arc (cr, x + r, y + height - r, r, G_PI / 2, G_PI);
  cairo_arc (cr, x + r, y + r, r, G_PI, 1.5 * G_PI);
  cairo_close_path (cr);
}

void
fm_fill_hatched (cairo_t *cr, FmColour colour, gdouble alpha, gdouble spacing)
{
  gdouble x0, y0, x1, y1;

  cairo_path_extents (cr, &x0, &y0, &x1, &y1);
  if (x1 <= x0 || y1 <= y0)
    {
      cairo_new_path (cr);
      return;
    }
  cairo_save (cr);
  cairo_clip (cr);
  cairo_new_path (cr);
  /* Lines start at multiples of the spacing in user space, so that neighbouring hatched parts join without a seam. */
  for (gdouble c = floor ((x0 + y0) / spacing) * spacing; c <= x1 + y1; c += spacing)
    {
      cairo_move_to (cr, c - y0, y0);
      cairo_line_to (cr, c - y1, y1);
    }
  fm_set_colour_alpha (cr, colour, alpha);
  cairo_set_line_width (cr, 1.0);
  cairo_stroke (cr);
  cairo_restore (cr);
}

/* --- Axes ---------------------------------------------------------------------------------------------------------*/

void
fm_axis_init (FmAxis *axis, gdouble low, gdouble high, guint wanted)
{
  gdouble raw, power, digit;

  if (!isfinite (low) || !isfinite (high))
    low = 0, high = 1;
  if (high < low)
    {
      gdouble swap = low;

      low = high;
      high = swap;
    }
  if (high - low <= 1e-12 * MAX (fabs (low), fabs (high)) || high - low < 1e-300)
    {
      gdouble pad = MAX (fabs (low) * 0.05, 1e-3);

      low -= pad;
      high += pad;
    }
  raw = (high - low) / MAX (wanted, 1);
  power = pow (10, floor (log10 (raw)));
  digit = raw / power;
  axis->low = low;
  axis->high = high;
  axis->step = (digit < 1.5 ? 1 : digit < 3.5 ? 2 : digit < 7.5 ? 5 : 10) * power;
  axis->first = ceil (low / axis->step - 1e-9) * axis->step;
  axis->n_ticks = (guint) (floor ((high - axis->first) / axis->step + 1e-9) + 1);
  axis->decimals = (guint) MAX (0, -floor (log10 (axis->step) + 1e-9));
}

gdouble
fm_axis_tick (const FmAxis *axis, guint index)
{
  return axis->first + index * axis->step;
}

char *
fm_axis_tick_text (const FmAxis *axis, guint index, const char *unit)
{
  g_autofree char *number = fm_format_number (fm_axis_tick (axis, index), axis->decimals);

  if (index + 1 < axis->n_ticks || unit == NULL || *unit == '\0')
    return g_steal_pointer (&number);
  return g_strconcat (number, " ", unit, NULL);
}

gdouble
fm_axis_at (const FmAxis *axis, gdouble value, gdouble from, gdouble to)
{
  return from + (value - axis->low) / (axis->high - axis->low) * (to - from);
}

gdouble
fm_y_axis_width (cairo_t *cr, const FmFigureStyle *style, const FmAxis *axis, const char *unit)
{
  gdouble widest = 0;

  for (guint i = 0; i < axis->n_ticks; i++)
    {
      g_autofree char *text = fm_axis_tick_text (axis, i, unit);
      gdouble width;

      fm_text_measure (cr, style, text, FM_TEXT_TICK, FALSE, &width, NULL);
      widest = MAX (widest, width);
    }
  return widest + 10 * style->scale;
}

void
fm_draw_y_axis (cairo_t *cr, const FmFigureStyle *style, const FmAxis *axis, const FmBox *plot, const char *unit)
{
  cairo_set_line_width (cr, 1.0);
  for (guint i = 0; i < axis->n_ticks; i++)
    {
      g_autofree char *text = fm_axis_tick_text (axis, i, unit);
      gdouble y = fm_axis_at (axis, fm_axis_tick (axis, i), plot->y + plot->height, plot->y);

      fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_GRID));
      cairo_move_to (cr, plot->x, floor (y) + 0.5);
      cairo_line_to (cr, plot->x + plot->width, floor (y) + 0.5);
      cairo_stroke (cr);
      fm_text (cr, style, text, FM_TEXT_TICK, FALSE, fm_style_colour (style, FM_COLOUR_DIM), FM_ALIGN_RIGHT,
               plot->x - 8 * style->scale, y);
    }
}

void
fm_draw_x_axis (cairo_t *cr, const FmFigureStyle *style, const FmAxis *axis, const FmBox *plot, const char *unit)
{
  gdouble y = plot->y + plot->height + 13 * style->scale;

  for (guint i = 0; i < axis->n_ticks; i++)
    {
      g_autofree char *text = fm_axis_tick_text (axis, i, unit);
      g_autofree char *number = fm_axis_tick_text (axis, i, NULL);
      gdouble x = fm_axis_at (axis, fm_axis_tick (axis, i), plot->x, plot->x + plot->width), width;

      /* The number is centred under its place; the unit follows it without moving it. */
      fm_text_measure (cr, style, number, FM_TEXT_TICK, FALSE, &width, NULL);
      fm_text (cr, style, text, FM_TEXT_TICK, FALSE, fm_style_colour (style, FM_COLOUR_DIM), FM_ALIGN_LEFT,
               x - width / 2, y);
    }
}

/* --- Labels -------------------------------------------------------------------------------------------------------*/

static int
compare_middles (gconstpointer a, gconstpointer b, gpointer user_data)
{
  const FmBox *boxes = user_data, *p = &boxes[*(const gsize *) a], *q = &boxes[*(const gsize *) b];
  gdouble x = p->y + p->height / 2, y = q->y + q->height / 2;

  return (x > y) - (x < y);
}

/* One column of boxes. With the heights above each subtracted, "in order and without overlap" reads "not falling", so
 * the nearest such positions are an isotonic regression: neighbours out of order share their mean (Ayer et al. 1955,
 * pool adjacent violators). */
static void
spread_column (FmBox *boxes, gsize *order, gsize n, gdouble top, gdouble bottom)
{
  g_autofree gdouble *level = g_new (gdouble, n + 1);
  g_autofree gsize *size = g_new (gsize, n + 1);
  gsize blocks = 0, k = 0;
  gdouble above = 0;

  g_qsort_with_data (order, n, sizeof *order, compare_middles, boxes);
  for (gsize i = 0; i < n; i++)
    {
      level[blocks] = boxes[order[i]].y - above;
      size[blocks++] = 1;
      above += boxes[order[i]].height;
      for (; blocks > 1 && level[blocks - 1] < level[blocks - 2]; blocks--)
        {
          level[blocks - 2] = (level[blocks - 2] * size[blocks - 2] + level[blocks - 1] * size[blocks - 1]) /
                              (size[blocks - 2] + size[blocks - 1]);
          size[blocks - 2] += size[blocks - 1];
        }
    }
  bottom = MAX (top, bottom - above);
  above = 0;
  for (gsize b = 0; b < blocks; b++)
    for (gsize i = 0; i < size[b]; i++, k++)
      {
        boxes[order[k]].y = CLAMP (level[b], top, bottom) + above;
        above += boxes[order[k]].height;
      }
}

void
fm_spread_boxes (FmBox *boxes, gsize n, gdouble top, gdouble bottom)
{
  g_autofree gboolean *done = g_new0 (gboolean, n + 1);
  g_autofree gsize *column = g_new (gsize, n + 1);

  for (gsize first = 0; first < n; first++)
    {
      gsize count = 0;

      if (done[first] || boxes[first].width <= 0)
        continue;
      column[count++] = first;
      done[first] = TRUE;
      /* Whoever shares some width with a member is a member. */
      for (gsize m = 0; m < count; m++)
        for (gsize i = 0; i < n; i++)
          {
            const FmBox *a = &boxes[column[m]], *b = &boxes[i];

            if (!done[i] && b->width > 0 && a->x < b->x + b->width && b->x < a->x + a->width)
              {
                done[i] = TRUE;
                column[count++] = i;
              }
          }
      spread_column (boxes, column, count, top, bottom);
    }
}

/* --- Matrices -----------------------------------------------------------------------------------------------------*/

gdouble
fm_max_finite (const gfloat *values, gsize n)
{
  gdouble most = 0;

  for (gsize i = 0; i < n; i++)
    if (isfinite (values[i]))
      most = MAX (most, values[i]);
  return most;
}

typedef FmColour (*ToColour) (const FmFigureStyle *style, gdouble value, gdouble maximum);

static FmColour
weight_to_colour (const FmFigureStyle *style, gdouble value, gdouble maximum)
{
  return fm_style_sequential (style, maximum > 0 ? value / maximum : 0);
}

/* Full ink would drown the weights drawn over it: a picture keeps to the light half of the greys. */
static FmColour
grey_to_colour (const FmFigureStyle *style, gdouble value, gdouble maximum)
{
  gdouble v = isfinite (value) ? CLAMP (value / maximum, 0, 1) : 0;
  gdouble grey = style->scheme == FM_SCHEME_DARK ? 0.16 + 0.50 * v : 1.0 - 0.60 * v;

  return (FmColour) { grey, grey, grey, 1.0 };
}

static guint32
to_pixel (FmColour c)
{
  return 0xff000000u | (guint32) (c.red * 255 + 0.5) << 16 | (guint32) (c.green * 255 + 0.5) << 8 |
         (guint32) (c.blue * 255 + 0.5);
}

/* Cells as one embedded image: a vector rectangle for each would make files of megabytes. Each cell is repeated to
 * about two pixels a px, since viewers smooth what they enlarge. */
static void
draw_cells (cairo_t *cr, const FmFigureStyle *style, const FmBox *box, gint64 rows, gint64 columns,
            const gfloat *values, gdouble maximum, ToColour to_colour)
{
  gint64 across = CLAMP ((gint64) ceil (2 * box->width / columns), 1, 64);
  gint64 down = CLAMP ((gint64) ceil (2 * box->height / rows), 1, 64);
  cairo_surface_t *surface;
  cairo_pattern_t *pattern;
  guchar *data;
  int stride;

  if (columns * across > 16384 || rows * down > 16384)
    across = down = 1;
  surface = cairo_image_surface_create (CAIRO_FORMAT_RGB24, columns * across, rows * down);
  if (cairo_surface_status (surface) != CAIRO_STATUS_SUCCESS)
    {
      cairo_surface_destroy (surface);
      return;
    }
  data = cairo_image_surface_get_data (surface);
  stride = cairo_image_surface_get_stride (surface);
  for (gint64 r = 0; r < rows; r++)
    {
      guint32 *line = (guint32 *) (data + r * down * stride);

      for (gint64 c = 0; c < columns; c++)
        {
          guint32 pixel = to_pixel (to_colour (style, values[r * columns + c], maximum));

          for (gint64 i = 0; i < across; i++)
            line[c * across + i] = pixel;
        }
      for (gint64 i = 1; i < down; i++)
        memcpy (data + (r * down + i) * stride, line, columns * across * 4);
    }
  cairo_surface_mark_dirty (surface);
  cairo_save (cr);
  cairo_rectangle (cr, box->x, box->y, box->width, box->height);
  cairo_clip (cr);
  cairo_translate (cr, box->x, box->y);
  cairo_scale (cr, box->width / (columns * across), box->height / (rows * down));
  pattern = cairo_pattern_create_for_surface (surface);
  /* Padding keeps the edge from fading into nothing when the picture is scaled. */
  cairo_pattern_set_extend (pattern, CAIRO_EXTEND_PAD);
  cairo_set_source (cr, pattern);
  cairo_rectangle (cr, 0, 0, columns * across, rows * down);
  cairo_fill (cr);
  cairo_restore (cr);
  cairo_pattern_destroy (pattern);
  cairo_surface_destroy (surface);
}

void
fm_draw_matrix (cairo_t *cr, const FmFigureStyle *style, const FmBox *box, gint64 rows, gint64 columns,
                const gfloat *values, gdouble maximum)
{
  gdouble w = box->width / columns, h = box->height / rows;
  gboolean hidden = FALSE;

  draw_cells (cr, style, box, rows, columns, values, maximum, weight_to_colour);
  for (gint64 r = 0; r < rows; r++)
    for (gint64 c = 0; c < columns; c++)
      if (isnan (values[r * columns + c]))
        {
          gint64 end = c;

          while (end < columns && isnan (values[r * columns + end]))
            end++;
          cairo_rectangle (cr, box->x + c * w, box->y + r * h, (end - c) * w, h);
          c = end;
          hidden = TRUE;
        }
  if (hidden)
    {
      fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_PAGE));
      cairo_fill_preserve (cr);
      fm_fill_hatched (cr, fm_style_colour (style, FM_COLOUR_DIM), 0.4, MAX (4, MIN (7, 6 * style->scale)));
    }
}

void
fm_draw_picture (cairo_t *cr, const FmFigureStyle *style, const FmBox *box, gint64 rows, gint64 columns,
                 const gfloat *values)
{
  draw_cells (cr, style, box, rows, columns, values, MAX (1.0, fm_max_finite (values, rows * columns)),
              grey_to_colour);
}

gdouble
fm_draw_scale (cairo_t *cr, const FmFigureStyle *style, gdouble x, gdouble y, gdouble bar_width, gdouble maximum,
               guint decimals, const char *unit, gboolean from_right, FmColour weight)
{
  g_autofree char *number = fm_format_number (maximum, decimals);
  g_autofree char *top = g_strconcat (number, unit != NULL ? unit : "", NULL);
  gdouble zero_width, top_width, gap = 6 * style->scale, height = 8 * style->scale, total;
  cairo_pattern_t *gradient;

  fm_text_measure (cr, style, "0", FM_TEXT_LABEL, FALSE, &zero_width, NULL);
  fm_text_measure (cr, style, top, FM_TEXT_LABEL, FALSE, &top_width, NULL);
  total = zero_width + gap + bar_width + gap + top_width;
  if (from_right)
    x -= total;
  fm_text (cr, style, "0", FM_TEXT_LABEL, FALSE, fm_style_colour (style, FM_COLOUR_DIM), FM_ALIGN_LEFT, x, y);
  gradient = cairo_pattern_create_linear (x + zero_width + gap, 0, x + zero_width + gap + bar_width, 0);
  for (guint i = 0; i <= 16; i++)
    {
      FmColour c = fm_style_sequential (style, i / 16.0);

      if (weight.alpha > 0) /* over a picture: the page shows through where the weight is small */
        c = fm_colour_mix (fm_style_colour (style, FM_COLOUR_PAGE), weight, 0.92 * i / 16.0);
      cairo_pattern_add_color_stop_rgb (gradient, i / 16.0, c.red, c.green, c.blue);
    }
  fm_rounded_rectangle (cr, x + zero_width + gap, y - height / 2, bar_width, height, 2);
  cairo_set_source (cr, gradient);
  cairo_fill_preserve (cr);
  cairo_pattern_destroy (gradient);
  fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_GRID));
  cairo_set_line_width (cr, 1);
  cairo_stroke (cr);
  fm_text (cr, style, top, FM_TEXT_LABEL, FALSE, fm_style_colour (style, FM_COLOUR_DIM), FM_ALIGN_LEFT,
           x + zero_width + 2 * gap + bar_width, y);
  return total;
}
