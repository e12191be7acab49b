/* attention.c: where one patch looks, drawn over the picture; one head's whole map; the scale they share. */
#include <math.h>

#include "app/figures/figures-private.h"
#include "app/results/format.h"

#define NOT_SEEN "cannot be seen"

/* Digits after the point that tell two weights of this map apart. */
static guint
weight_decimals (gdouble maximum)
{
  return maximum >= 0.0995 || maximum <= 0 ? 2 : maximum >= 0.00995 ? 3 : 4;
}

/* --- Over a picture -----------------------------------------------------------------------------------------------*/

typedef struct
{
  FmBox         box; /* of the picture */
  const gfloat *row; /* [keys] or NULL */
  gint64        rows, columns;
  gint64        seen;
  gdouble       maximum;
} Patches;

static gboolean
patches_init (Patches *patches, const FmAttentionImage *image, gdouble width, gdouble height,
              const FmFigureStyle *style)
{
  const FmMaps *maps = image->maps;
  gdouble foot = image->bare ? 0 : 28 * style->scale, cell;

  if (maps == NULL || maps->grid_rows <= 0 || maps->grid_columns <= 0 ||
      maps->grid_rows * maps->grid_columns != maps->keys)
    return FALSE;
  patches->rows = maps->grid_rows;
  patches->columns = maps->grid_columns;
  cell = MIN ((width - 2) / patches->columns, (height - foot - 2) / patches->rows);
  if (cell < 1)
    return FALSE;
  patches->box.width = cell * patches->columns;
  patches->box.height = cell * patches->rows;
  patches->box.x = image->bare ? 1 : (width - patches->box.width) / 2;
  patches->box.y = 1;
  patches->row = image->weights;
  if (patches->row == NULL && image->looking >= 0 && image->looking < maps->queries && image->layer >= 0 &&
      image->layer < maps->layers && image->head >= 0 && image->head < maps->heads)
    patches->row = fm_maps_row (maps, image->layer, image->head, image->looking);
  patches->maximum = image->maximum;
  if (!(patches->maximum > 0))
    patches->maximum = patches->row != NULL ? fm_max_finite (patches->row, maps->keys) : 0;
  patches->seen = image->seen >= 0 && image->seen < maps->keys ? image->seen : -1;
  if (patches->seen < 0 && patches->row != NULL)
    for (gint64 k = 0; k < maps->keys; k++)
      if (patches->row[k] > 0 && k != image->looking &&
          (patches->seen < 0 || patches->row[k] > patches->row[patches->seen]))
        patches->seen = k;
  return TRUE;
}

static FmBox
patch_box (const Patches *patches, gint64 index)
{
  gdouble cell = patches->box.width / patches->columns;

  return (FmBox) { patches->box.x + index % patches->columns * cell, patches->box.y + index / patches->columns * cell,
                   cell, cell };
}

static void
draw_weights (const Patches *patches, cairo_t *cr, const FmFigureStyle *style)
{
  FmColour weight = fm_weight_colour (style);

  for (gint64 k = 0; k < patches->rows * patches->columns; k++)
    {
      FmBox box = patch_box (patches, k);

      cairo_rectangle (cr, box.x, box.y, box.width, box.height);
      if (isnan (patches->row[k]))
        {
          fm_fill_hatched (cr, fm_style_colour (style, FM_COLOUR_DIM), 0.6, 6 * style->scale);
          continue;
        }
      fm_set_colour_alpha (cr, weight,
                           patches->maximum > 0 ? 0.92 * CLAMP (patches->row[k] / patches->maximum, 0, 1) : 0);
      cairo_fill (cr);
      if (style->high_contrast && patches->row[k] > 0.5 * patches->maximum)
        {
          cairo_rectangle (cr, box.x, box.y, box.width, box.height);
          fm_fill_hatched (cr, fm_style_colour (style, FM_COLOUR_PAGE), 0.9, 5);
        }
    }
}

static void
draw_looking_frame (cairo_t *cr, const FmFigureStyle *style, const FmBox *box)
{
  gdouble line = CLAMP (box->width / 14, 1.5, 3) * (style->high_contrast ? 1.6 : 1);

  fm_rounded_rectangle (cr, box->x, box->y, box->width, box->height, line);
  fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_CURSOR));
  cairo_set_line_width (cr, line);
  cairo_stroke (cr);
  if (box->width > 24)
    {
      /* A thin light line inside keeps the frame apart from the picture whatever lies under it. */
      cairo_rectangle (cr, box->x + line, box->y + line, box->width - 2 * line, box->height - 2 * line);
      cairo_set_source_rgb (cr, 1, 1, 1);
      cairo_set_line_width (cr, 1);
      cairo_stroke (cr);
    }
}

static void
draw_seen_value (const Patches *patches, cairo_t *cr, const FmFigureStyle *style)
{
  FmBox box = patch_box (patches, patches->seen);
  gfloat value = patches->row[patches->seen];
  g_autofree char *text = isnan (value) ? g_strdup ("–") : fm_format_number (value, weight_decimals (patches->maximum));
  FmColour weight = fm_weight_colour (style), under;
  gdouble width;

  fm_text_measure (cr, style, text, FM_TEXT_LABEL, TRUE, &width, NULL);
  if (width + 4 > box.width)
    return;
  under = fm_colour_mix (style->scheme == FM_SCHEME_DARK ? (FmColour) { 0.35, 0.35, 0.35, 1 }
                                                         : (FmColour) { 0.8, 0.8, 0.8, 1 },
                         weight, patches->maximum > 0 && value > 0 ? 0.92 * MIN (value / patches->maximum, 1) : 0);
  fm_text (cr, style, text, FM_TEXT_LABEL, TRUE, fm_colour_on (under), FM_ALIGN_CENTRE, box.x + box.width / 2,
           box.y + box.height / 2);
}

static void
draw_grid (const Patches *patches, cairo_t *cr, const FmFigureStyle *style)
{
  gdouble cell = patches->box.width / patches->columns;

  if (cell >= 12)
    {
      for (gint64 c = 1; c < patches->columns; c++)
        {
          cairo_move_to (cr, floor (patches->box.x + c * cell) + 0.5, patches->box.y);
          cairo_rel_line_to (cr, 0, patches->box.height);
        }
      for (gint64 r = 1; r < patches->rows; r++)
        {
          cairo_move_to (cr, patches->box.x, floor (patches->box.y + r * cell) + 0.5);
          cairo_rel_line_to (cr, patches->box.width, 0);
        }
      fm_set_colour_alpha (cr, fm_style_colour (style, FM_COLOUR_DIM), 0.16);
      cairo_set_line_width (cr, 1);
      cairo_stroke (cr);
    }
  cairo_rectangle (cr, patches->box.x, patches->box.y, patches->box.width, patches->box.height);
  fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_GRID));
  cairo_set_line_width (cr, 1);
  cairo_stroke (cr);
}

static void
draw_attention_image (gconstpointer model, cairo_t *cr, gdouble width, gdouble height, const FmFigureStyle *style)
{
  const FmAttentionImage *image = model;
  Patches patches;
  gdouble foot;

  if (!patches_init (&patches, image, width, height, style))
    {
      fm_draw_sentence (cr, style, width, height,
                        image->maps == NULL ? "No attention map kept for this run."
                                            : "The tokens of this task do not lie on a picture.");
      return;
    }
  if (image->maps->image != NULL)
    fm_draw_picture (cr, style, &patches.box, image->maps->image_rows, image->maps->image_columns, image->maps->image);
  if (patches.row != NULL)
    draw_weights (&patches, cr, style);
  draw_grid (&patches, cr, style);
  if (patches.row != NULL && patches.seen >= 0)
    draw_seen_value (&patches, cr, style);
  if (image->looking >= 0 && image->looking < image->maps->keys)
    {
      FmBox box = patch_box (&patches, image->looking);

      draw_looking_frame (cr, style, &box);
    }
  if (image->bare)
    return;
  foot = patches.box.y + patches.box.height + 18 * style->scale;
  fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_CURSOR));
  cairo_set_line_width (cr, 2.5);
  fm_rounded_rectangle (cr, patches.box.x + 2, foot - 6 * style->scale, 12 * style->scale, 12 * style->scale, 2);
  cairo_stroke (cr);
  fm_text (cr, style, "looking patch", FM_TEXT_LABEL, FALSE, fm_style_colour (style, FM_COLOUR_DIM), FM_ALIGN_LEFT,
           patches.box.x + 20 * style->scale, foot);
  if (patches.row != NULL && patches.box.width > 220 * style->scale)
    fm_draw_scale (cr, style, patches.box.x + patches.box.width, foot, MIN (156, patches.box.width * 0.3),
                   patches.maximum, weight_decimals (patches.maximum), "", TRUE, fm_weight_colour (style));
}

static gint64
hit_attention_image (gconstpointer model, gdouble width, gdouble height, const FmFigureStyle *style, gdouble x,
                     gdouble y)
{
  Patches patches;
  gint64 column, row;

  if (!patches_init (&patches, model, width, height, style))
    return -1;
  column = (gint64) floor ((x - patches.box.x) / patches.box.width * patches.columns);
  row = (gint64) floor ((y - patches.box.y) / patches.box.height * patches.rows);
  if (column < 0 || column >= patches.columns || row < 0 || row >= patches.rows)
    return -1;
  return row * patches.columns + column;
}

static char *
describe_attention_image (gconstpointer model, gint64 index)
{
  const FmAttentionImage *image = model;
  g_autofree char *value = NULL;
  Patches patches;

  if (!patches_init (&patches, image, 1000, 1000, &FM_FIGURE_STYLE_LIGHT) || index < 0 || index >= image->maps->keys)
    return g_strdup ("");
  if (patches.row == NULL)
    value = g_strdup ("no weight");
  else if (isnan (patches.row[index]))
    value = g_strdup (NOT_SEEN);
  else
    {
      g_autofree char *number = fm_format_number (patches.row[index], 3);

      value = g_strdup_printf ("weight %s", number);
    }
  return g_strdup_printf ("Row %" G_GINT64_FORMAT ", column %" G_GINT64_FORMAT ": %s%s", index / patches.columns + 1,
                          index % patches.columns + 1, value, index == image->looking ? ", the looking patch" : "");
}

static FmFigureTable *
table_attention_image (gconstpointer model)
{
  const FmAttentionImage *image = model;
  FmFigureTable *table = fm_figure_table_new (NULL, "row", "column", "weight", NULL);
  Patches patches;

  if (!patches_init (&patches, image, 1000, 1000, &FM_FIGURE_STYLE_LIGHT) || patches.row == NULL)
    return table;
  for (gint64 k = 0; k < image->maps->keys; k++)
    {
      GStrv cells = g_new0 (char *, 4);

      cells[0] = fm_format_count (k / patches.columns + 1);
      cells[1] = fm_format_count (k % patches.columns + 1);
      cells[2] = isnan (patches.row[k]) ? g_strdup (NOT_SEEN) : fm_format_number (patches.row[k], 4);
      fm_figure_table_add (table, cells);
    }
  return table;
}

const FmFigure fm_figure_attention_image = { "attention-image", draw_attention_image, table_attention_image,
                                             hit_attention_image, describe_attention_image };

gdouble
fm_attention_maximum (const FmMaps *maps, gint64 layer, gint64 head, gint64 looking)
{
  gdouble most = 0;

  for (gint64 l = 0; l < maps->layers; l++)
    for (gint64 h = 0; h < maps->heads; h++)
      if ((layer < 0 || l == layer) && (head < 0 || h == head) && looking >= 0 && looking < maps->queries)
        most = MAX (most, fm_max_finite (fm_maps_row (maps, l, h, looking), maps->keys));
  return most;
}

/* --- The whole map ------------------------------------------------------------------------------------------------*/

static gboolean
map_box (const FmAttentionMap *map, cairo_t *cr, gdouble width, gdouble height, const FmFigureStyle *style, FmBox *box)
{
  gdouble left = 1, top = 1, bottom = 1, cell;

  if (map->weights == NULL || map->queries <= 0 || map->keys <= 0)
    return FALSE;
  if (!map->thumbnail)
    {
      gdouble widest = 0;

      bottom = 28 * style->scale;
      top = 18 * style->scale;
      for (gint64 q = 0; map->tokens != NULL && q < MIN (map->queries, map->keys); q++)
        {
          gdouble w;

          fm_text_measure (cr, style, map->tokens[q], FM_TEXT_LEAST, FALSE, &w, NULL);
          widest = MAX (widest, MIN (w, 60 * style->scale));
        }
      left = map->tokens != NULL ? widest + 8 : 26 * style->scale;
    }
  cell = MIN ((width - left - 1) / map->keys, (height - top - bottom) / map->queries);
  if (cell * map->keys < 4 || cell * map->queries < 4)
    return FALSE;
  *box = (FmBox) { left, top, cell * map->keys, cell * map->queries };
  return TRUE;
}

/* The names of rows and columns: tokens where they fit, else the first and the last number. */
static void
draw_map_names (const FmAttentionMap *map, cairo_t *cr, const FmFigureStyle *style, const FmBox *box)
{
  FmColour dim = fm_style_colour (style, FM_COLOUR_DIM), cursor = fm_style_colour (style, FM_COLOUR_CURSOR);
  gdouble cell = box->width / map->keys, line;

  fm_text_measure (cr, style, "0", FM_TEXT_LEAST, FALSE, NULL, &line);
  if (map->tokens != NULL && cell >= line * 0.8)
    {
      for (gint64 q = 0; q < MIN (map->queries, map->keys); q++)
        fm_text (cr, style, map->tokens[q], FM_TEXT_LEAST, FALSE, q == map->looking ? cursor : dim, FM_ALIGN_RIGHT,
                 box->x - 5, box->y + (q + 0.5) * cell);
      for (gint64 k = 0; k < map->keys; k++)
        {
          gdouble w;

          fm_text_measure (cr, style, map->tokens[k], FM_TEXT_LEAST, FALSE, &w, NULL);
          if (w <= cell + 1)
            fm_text (cr, style, map->tokens[k], FM_TEXT_LEAST, FALSE, k == map->seen ? cursor : dim, FM_ALIGN_CENTRE,
                     box->x + (k + 0.5) * cell, box->y - line * 0.6);
        }
      return;
    }
  for (guint end = 0; end < 2; end++)
    {
      gint64 q = end == 0 ? 0 : map->queries - 1, k = end == 0 ? 0 : map->keys - 1;
      g_autofree char *row = fm_format_count (q + 1), *column = fm_format_count (k + 1);

      fm_text (cr, style, row, FM_TEXT_LEAST, FALSE, dim, FM_ALIGN_RIGHT, box->x - 5,
               end == 0 ? box->y + line / 2 : box->y + box->height - line / 2);
      fm_text (cr, style, column, FM_TEXT_LEAST, FALSE, dim, end == 0 ? FM_ALIGN_LEFT : FM_ALIGN_RIGHT,
               end == 0 ? box->x : box->x + box->width, box->y - line * 0.6);
    }
}

static void
draw_cross_hair (const FmAttentionMap *map, cairo_t *cr, const FmFigureStyle *style, const FmBox *box)
{
  const gdouble dots[] = { 3, 2 };
  gdouble w = box->width / map->keys, h = box->height / map->queries;

  fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_CURSOR));
  cairo_set_line_width (cr, 1.3);
  if (map->looking >= 0 && map->looking < map->queries)
    {
      cairo_rectangle (cr, box->x, box->y + map->looking * h, box->width, h);
      cairo_stroke (cr);
    }
  if (map->seen >= 0 && map->seen < map->keys)
    {
      cairo_set_dash (cr, dots, 2, 0);
      cairo_rectangle (cr, box->x + map->seen * w, box->y, w, box->height);
      cairo_stroke (cr);
      cairo_set_dash (cr, NULL, 0, 0);
    }
}

static void
draw_attention_map (gconstpointer model, cairo_t *cr, gdouble width, gdouble height, const FmFigureStyle *style)
{
  const FmAttentionMap *map = model;
  gdouble maximum;
  FmBox box;

  if (!map_box (map, cr, width, height, style, &box))
    {
      if (!map->thumbnail)
        fm_draw_sentence (cr, style, width, height, "No attention map kept for this run.");
      return;
    }
  maximum = map->maximum > 0 ? map->maximum : fm_max_finite (map->weights, map->queries * map->keys);
  fm_draw_matrix (cr, style, &box, map->queries, map->keys, map->weights, maximum);
  fm_set_colour (cr, fm_style_colour (style, map->selected ? FM_COLOUR_ACCENT : FM_COLOUR_GRID));
  cairo_set_line_width (cr, map->selected ? 3 : 1);
  cairo_rectangle (cr, box.x, box.y, box.width, box.height);
  cairo_stroke (cr);
  if (map->thumbnail)
    return;
  draw_map_names (map, cr, style, &box);
  draw_cross_hair (map, cr, style, &box);
  fm_draw_scale (cr, style, box.x, box.y + box.height + 18 * style->scale, MIN (140, box.width * 0.5), maximum,
                 weight_decimals (maximum), "", FALSE, (FmColour) { 0 });
}

static gint64
hit_attention_map (gconstpointer model, gdouble width, gdouble height, const FmFigureStyle *style, gdouble x,
                   gdouble y)
{
  const FmAttentionMap *map = model;
  cairo_t *cr = fm_measuring_context ();
  gint64 found = -1;
  FmBox box;

  if (map_box (map, cr, width, height, style, &box) && x >= box.x && y >= box.y && x < box.x + box.width &&
      y < box.y + box.height)
    found = (gint64) ((y - box.y) / box.height * map->queries) * map->keys +
            (gint64) ((x - box.x) / box.width * map->keys);
  cairo_destroy (cr);
  return found;
}

static char *
describe_attention_map (gconstpointer model, gint64 index)
{
  const FmAttentionMap *map = model;
  gint64 looking, seen;
  g_autofree char *value = NULL;

  if (map->weights == NULL || index < 0 || index >= map->queries * map->keys)
    return g_strdup ("");
  looking = index / map->keys;
  seen = index % map->keys;
  value = isnan (map->weights[index]) ? g_strdup (NOT_SEEN) : fm_format_number (map->weights[index], 3);
  if (map->tokens != NULL && looking < map->keys)
    return g_strdup_printf ("looking %s at %s: %s", map->tokens[looking], map->tokens[seen], value);
  return g_strdup_printf ("looking %" G_GINT64_FORMAT " at %" G_GINT64_FORMAT ": %s", looking + 1, seen + 1, value);
}

/* One row a looking position: its entropy and the three it looks at most. The whole matrix belongs to CSV files. */
static FmFigureTable *
table_attention_map (gconstpointer model)
{
  const FmAttentionMap *map = model;
  FmFigureTable *table = fm_figure_table_new (NULL, "looking", "entropy, bits", "looks most at", "weight", NULL);

  for (gint64 q = 0; map->weights != NULL && q < map->queries; q++)
    {
      const gfloat *row = map->weights + q * map->keys;
      GStrv cells = g_new0 (char *, 5);
      gdouble bits = 0;
      gint64 most = -1;

      for (gint64 k = 0; k < map->keys; k++)
        {
          if (row[k] > 0)
            bits -= row[k] * log2 (row[k]);
          if (isfinite (row[k]) && (most < 0 || row[k] > row[most]))
            most = k;
        }
      cells[0] = fm_format_count (q + 1);
      cells[1] = fm_format_number (bits, 2);
      cells[2] = fm_format_count (most >= 0 ? most + 1 : -1);
      cells[3] = fm_format_number (most >= 0 ? row[most] : NAN, 3);
      fm_figure_table_add (table, cells);
    }
  return table;
}

const FmFigure fm_figure_attention_map = { "attention-map", draw_attention_map, table_attention_map, hit_attention_map,
                                           describe_attention_map };

/* --- The scale alone ----------------------------------------------------------------------------------------------*/

static void
draw_scale_bar (gconstpointer model, cairo_t *cr, gdouble width, gdouble height, const FmFigureStyle *style)
{
  const FmScaleBar *bar = model;
  FmColour dim = fm_style_colour (style, FM_COLOUR_DIM);
  gdouble s = style->scale, y = height / 2, x = 0, w;

  x += fm_draw_scale (cr, style, x, y, MIN (140 * s, width * 0.4), bar->maximum,
                      g_strcmp0 (bar->unit, " %") == 0 ? 0 : weight_decimals (bar->maximum), bar->unit, FALSE,
                      (FmColour) { 0 }) + 24 * s;
  if (bar->looking)
    {
      fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_CURSOR));
      cairo_set_line_width (cr, 2.5);
      fm_rounded_rectangle (cr, x + 1, y - 6 * s, 12 * s, 12 * s, 2);
      cairo_stroke (cr);
      fm_text (cr, style, "looking patch", FM_TEXT_LABEL, FALSE, dim, FM_ALIGN_LEFT, x + 20 * s, y);
      fm_text_measure (cr, style, "looking patch", FM_TEXT_LABEL, FALSE, &w, NULL);
      x += w + 44 * s;
    }
  if (bar->hatched)
    {
      cairo_rectangle (cr, x, y - 6 * s, 12 * s, 12 * s);
      fm_fill_hatched (cr, dim, 0.7, 4 * s);
      fm_text (cr, style, NOT_SEEN, FM_TEXT_LABEL, FALSE, dim, FM_ALIGN_LEFT, x + 20 * s, y);
    }
}

static FmFigureTable *
table_scale_bar (gconstpointer model)
{
  const FmScaleBar *bar = model;
  FmFigureTable *table = fm_figure_table_new (NULL, "end", "value", NULL);
  GStrv low = g_new0 (char *, 3), high = g_new0 (char *, 3);

  low[0] = g_strdup ("page colour");
  low[1] = g_strdup ("0");
  high[0] = g_strdup ("strongest colour");
  high[1] = fm_format_number (bar->maximum, weight_decimals (bar->maximum));
  fm_figure_table_add (table, low);
  fm_figure_table_add (table, high);
  return table;
}

const FmFigure fm_figure_scale_bar = { "scale", draw_scale_bar, table_scale_bar, NULL, NULL };
