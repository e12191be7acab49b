/* figures-private.h: what figures share: text, axes, hatches, matrices. Not for other folders. */
#pragma once

#include <pango/pangocairo.h>

#include "app/figures/figures.h"

G_BEGIN_DECLS

/* Sizes in px at scale 1, after the type rules: chart labels 11 to 12.5, never below 10. */
#define FM_TEXT_BODY  14.7
#define FM_TEXT_LABEL 12.0
#define FM_TEXT_TICK  11.5
#define FM_TEXT_LEAST 10.0

typedef enum { FM_ALIGN_LEFT, FM_ALIGN_CENTRE, FM_ALIGN_RIGHT } FmAlign;

void fm_set_colour (cairo_t *cr, FmColour colour);
void fm_set_colour_alpha (cairo_t *cr, FmColour colour, gdouble alpha);
FmColour fm_colour_mix (FmColour a, FmColour b, gdouble t);

/* One line of text, its middle at @y; tabular figures. @size in px before the style's scale. */
void fm_text (cairo_t *cr, const FmFigureStyle *style, const char *text, gdouble size, gboolean bold, FmColour colour,
              FmAlign align, gdouble x, gdouble y);
void fm_text_measure (cairo_t *cr, const FmFigureStyle *style, const char *text, gdouble size, gboolean bold,
                      gdouble *width, gdouble *height);

/* The sentence that stands where a figure has nothing to show; wrapped and centred. */
void fm_draw_sentence (cairo_t *cr, const FmFigureStyle *style, gdouble width, gdouble height, const char *sentence);

void fm_rounded_rectangle (cairo_t *cr, gdouble x, gdouble y, gdouble width, gdouble height, gdouble radius);

/* Diagonal lines over the current path, which is consumed. */
void fm_fill_hatched (cairo_t *cr, FmColour colour, gdouble alpha, gdouble spacing);

/* --- Axes ---------------------------------------------------------------------------------------------------------*/

typedef struct
{
  gdouble low, high; /* of the data, high > low */
  gdouble first, step;
  guint   n_ticks, decimals;
} FmAxis;

/* Makes [low, high] legal whatever it is (NaN, equal, reversed), and round ticks inside it, about @wanted of them. */
void fm_axis_init (FmAxis *axis, gdouble low, gdouble high, guint wanted);
gdouble fm_axis_tick (const FmAxis *axis, guint index);
/* (transfer full): the tick's number; the last one carries the unit */
char *fm_axis_tick_text (const FmAxis *axis, guint index, const char *unit);
gdouble fm_axis_at (const FmAxis *axis, gdouble value, gdouble from, gdouble to);

typedef struct { gdouble x, y, width, height; } FmBox;

/* Hair lines with numbers left of @plot, and numbers under it. */
void fm_draw_y_axis (cairo_t *cr, const FmFigureStyle *style, const FmAxis *axis, const FmBox *plot, const char *unit);
void fm_draw_x_axis (cairo_t *cr, const FmFigureStyle *style, const FmAxis *axis, const FmBox *plot, const char *unit);
/* Width that fm_draw_y_axis needs left of the plot. */
gdouble fm_y_axis_width (cairo_t *cr, const FmFigureStyle *style, const FmAxis *axis, const char *unit);

/* A surface to measure text on when there is no picture yet (hits). */
cairo_t *fm_measuring_context (void);

/* --- Labels -------------------------------------------------------------------------------------------------------*/

/* Moves boxes vertically, as little as it can and keeping their order, until none overlaps another and all lie within
 * [top, bottom] where there is room for that. Boxes without a width are left alone. */
void fm_spread_boxes (FmBox *boxes, gsize n, gdouble top, gdouble bottom);

/* --- Matrices -----------------------------------------------------------------------------------------------------*/

/* [rows, columns] numbers through the sequential map into @box; NaN cells are hatched. */
void fm_draw_matrix (cairo_t *cr, const FmFigureStyle *style, const FmBox *box, gint64 rows, gint64 columns,
                     const gfloat *values, gdouble maximum);
/* A picture of grey values 0..1 (0 = page) in light grey. */
void fm_draw_picture (cairo_t *cr, const FmFigureStyle *style, const FmBox *box, gint64 rows, gint64 columns,
                      const gfloat *values);
/* The scale with both ends numbered; @x is its left end, or its right end when @from_right. Gives the used width. */
gdouble fm_draw_scale (cairo_t *cr, const FmFigureStyle *style, gdouble x, gdouble y, gdouble bar_width,
                       gdouble maximum, guint decimals, const char *unit, gboolean from_right, FmColour weight);

gdouble fm_max_finite (const gfloat *values, gsize n);

/* The colour whose alpha carries a weight over a picture. */
FmColour fm_weight_colour (const FmFigureStyle *style);

G_END_DECLS
