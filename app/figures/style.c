/* style.c: colours, markers and the sequential map. Sources: Okabe and Ito, "Color universal design", 2008, for
 * variants and categories; ColorBrewer 2.0 "Blues", 9 classes, for the sequential map. */
#include <math.h>

#include "app/figures/figures-private.h"

#define RGB(hex) { ((hex) >> 16 & 255) / 255.0, ((hex) >> 8 & 255) / 255.0, ((hex) & 255) / 255.0, 1.0 }
#define N_HUES 4 /* besides the baseline's ink */

static gboolean
is_dark (const FmFigureStyle *style)
{
  return style->scheme == FM_SCHEME_DARK;
}

FmColour
fm_style_colour (const FmFigureStyle *style, FmColourName name)
{
  static const FmColour light[] = {
    [FM_COLOUR_PAGE] = RGB (0xffffff),   [FM_COLOUR_INK] = RGB (0x2e2e33),    [FM_COLOUR_DIM] = RGB (0x6f6f75),
    [FM_COLOUR_GRID] = RGB (0xe9e9ec),   [FM_COLOUR_BAND] = RGB (0xeeeeef),   [FM_COLOUR_CURSOR] = RGB (0xe66100),
    [FM_COLOUR_ACCENT] = RGB (0x3584e4), [FM_COLOUR_FINISHED] = RGB (0xacacb0),
  };
  static const FmColour dark[] = {
    [FM_COLOUR_PAGE] = RGB (0x242424),   [FM_COLOUR_INK] = RGB (0xf0f0f0),    [FM_COLOUR_DIM] = RGB (0xa3a3a6),
    [FM_COLOUR_GRID] = RGB (0x3a3a3c),   [FM_COLOUR_BAND] = RGB (0x48484c),   [FM_COLOUR_CURSOR] = RGB (0xffa348),
    [FM_COLOUR_ACCENT] = RGB (0x78aeed), [FM_COLOUR_FINISHED] = RGB (0x77777b),
  };

  g_return_val_if_fail (name < G_N_ELEMENTS (light), light[FM_COLOUR_INK]);
  return is_dark (style) ? dark[name] : light[name];
}

FmColour
fm_style_variant (const FmFigureStyle *style, gint variant)
{
  static const FmColour light[N_HUES + 1] = { RGB (0x3d3846), RGB (0x0072b2), RGB (0xd55e00), RGB (0x009e73),
                                              RGB (0xb5559a) };
  static const FmColour dark[N_HUES + 1] = { RGB (0xdeddda), RGB (0x56b4e9), RGB (0xe69f00), RGB (0x2fbf95),
                                             RGB (0xe39cc4) };

  if (variant < 0)
    return fm_style_colour (style, FM_COLOUR_DIM);
  if (variant > 0)
    variant = (variant - 1) % N_HUES + 1;
  return is_dark (style) ? dark[variant] : light[variant];
}

FmColour
fm_style_category (const FmFigureStyle *style, guint index)
{
  static const FmColour hues[] = { RGB (0x0072b2), RGB (0xe69f00), RGB (0x009e73), RGB (0xcc79a7),
                                   RGB (0x56b4e9), RGB (0xf0e442), RGB (0xd55e00), RGB (0x7f7f85) };

  (void) style;
  return hues[index % G_N_ELEMENTS (hues)];
}

FmColour
fm_colour_mix (FmColour a, FmColour b, gdouble t)
{
  return (FmColour) { a.red + (b.red - a.red) * t, a.green + (b.green - a.green) * t, a.blue + (b.blue - a.blue) * t,
                      a.alpha + (b.alpha - a.alpha) * t };
}

FmColour
fm_style_sequential (const FmFigureStyle *style, gdouble t)
{
  static const FmColour light[] = { RGB (0xf7fbff), RGB (0xdeebf7), RGB (0xc6dbef), RGB (0x9ecae1), RGB (0x6baed6),
                                    RGB (0x4292c6), RGB (0x2171b5), RGB (0x08519c), RGB (0x08306b) };
  static const FmColour dark[] = { RGB (0x2a2f38), RGB (0x08519c), RGB (0x2171b5), RGB (0x4292c6), RGB (0x6baed6),
                                   RGB (0x9ecae1), RGB (0xc6dbef), RGB (0xdeebf7), RGB (0xf7fbff) };
  const FmColour *map = is_dark (style) ? dark : light;
  gdouble at = isnan (t) ? 0 : CLAMP (t, 0, 1) * (G_N_ELEMENTS (light) - 1);
  gsize below = MIN ((gsize) at, G_N_ELEMENTS (light) - 2);

  return fm_colour_mix (map[below], map[below + 1], at - below);
}

FmColour
fm_weight_colour (const FmFigureStyle *style)
{
  static const FmColour light = RGB (0x0b5aa8), dark = RGB (0x62b0f5);

  return is_dark (style) ? dark : light;
}

char *
fm_colour_css (FmColour colour)
{
  return g_strdup_printf ("#%02x%02x%02x", (guint) (colour.red * 255 + 0.5), (guint) (colour.green * 255 + 0.5),
                          (guint) (colour.blue * 255 + 0.5));
}

static gdouble
linear (gdouble c)
{
  return c <= 0.04045 ? c / 12.92 : pow ((c + 0.055) / 1.055, 2.4);
}

FmColour
fm_colour_on (FmColour colour)
{
  static const FmColour ink = RGB (0x2e2e33), white = RGB (0xffffff);
  /* Relative luminance of WCAG 2.1; 0.24 is where white and this ink have the same contrast to a colour. */
  gdouble luminance = 0.2126 * linear (colour.red) + 0.7152 * linear (colour.green) + 0.0722 * linear (colour.blue);

  return luminance < 0.24 ? white : ink;
}

void
fm_set_colour (cairo_t *cr, FmColour colour)
{
  cairo_set_source_rgba (cr, colour.red, colour.green, colour.blue, colour.alpha);
}

void
fm_set_colour_alpha (cairo_t *cr, FmColour colour, gdouble alpha)
{
  cairo_set_source_rgba (cr, colour.red, colour.green, colour.blue, alpha);
}

static void
polygon (cairo_t *cr, gdouble x, gdouble y, gdouble radius, guint corners, gdouble start)
{
  cairo_new_path (cr);
  for (guint i = 0; i < corners; i++)
    {
      gdouble angle = start + 2 * G_PI * i / corners;

      cairo_line_to (cr, x + radius * cos (angle), y + radius * sin (angle));
    }
  cairo_close_path (cr);
}

void
fm_draw_marker (cairo_t *cr, const FmFigureStyle *style, gint variant, gdouble x, gdouble y, gdouble radius)
{
  FmColour colour = fm_style_variant (style, variant);
  gint shape = variant <= 0 ? variant : (variant - 1) % N_HUES + 1;
  gboolean hollow = variant > N_HUES;
  gdouble r = radius * (style->high_contrast ? 1.3 : 1.0);

  cairo_save (cr);
  cairo_new_path (cr);
  switch (shape)
    {
    case 0:
      cairo_arc (cr, x, y, r, 0, 2 * G_PI);
      break;
    case 1:
      cairo_rectangle (cr, x - 0.9 * r, y - 0.9 * r, 1.8 * r, 1.8 * r);
      break;
    case 2:
      polygon (cr, x, y, 1.3 * r, 4, 0);
      break;
    case 3:
      polygon (cr, x, y + 0.2 * r, 1.3 * r, 3, -G_PI / 2);
      break;
    case 4:
      polygon (cr, x, y, 1.1 * r, 6, -G_PI / 2);
      break;
    default: /* failed: a cross */
      colour = fm_style_colour (style, FM_COLOUR_INK);
      cairo_move_to (cr, x - 0.9 * r, y - 0.9 * r);
      cairo_line_to (cr, x + 0.9 * r, y + 0.9 * r);
      cairo_move_to (cr, x + 0.9 * r, y - 0.9 * r);
      cairo_line_to (cr, x - 0.9 * r, y + 0.9 * r);
      break;
    }
  if (shape >= 0 && hollow)
    {
      fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_PAGE));
      cairo_fill_preserve (cr);
    }
  fm_set_colour (cr, colour);
  cairo_set_line_width (cr, MAX (1.5, 0.35 * r));
  if (shape < 0 || hollow)
    cairo_stroke (cr);
  else
    cairo_fill (cr);
  cairo_restore (cr);
}
