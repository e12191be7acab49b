/* fm-figure-view.h: a widget that shows one figure of app/figures.
 *
 * A figure is one focus stop: arrows move inside it, its accessible description speaks what is under the cursor, and
 * Ctrl+T shows it as a table. The page owns model and cursor; the view draws and tells.
 *
 * Signals: "picked" (gint64 index, gdouble x, gdouble y) by click or drag, index -1 for nothing
 *          "moved"  (gint dx, gint dy) an arrow key; dx of -2 or 2 for Home and End
 *          "pointed" (gdouble x, gdouble y) the pointer moves over it; negative when it leaves */
#pragma once

#include <adwaita.h>

#include "app/figures/figures.h"

G_BEGIN_DECLS

#define FM_TYPE_FIGURE_VIEW (fm_figure_view_get_type ())
G_DECLARE_FINAL_TYPE (FmFigureView, fm_figure_view, FM, FIGURE_VIEW, GtkWidget)

GtkWidget *fm_figure_view_new        (const char *accessible_name);
/** fm_figure_view_set: @model (nullable) is not owned and must live until the next call; NULL draws nothing. */
void       fm_figure_view_set        (FmFigureView *self, const FmFigure *figure, gconstpointer model);
/** fm_figure_view_set_cursor: what the description speaks of; -1 for nothing. Draws again. */
void       fm_figure_view_set_cursor (FmFigureView *self, gint64 index);
gint64     fm_figure_view_get_cursor (FmFigureView *self);
/** fm_figure_view_set_ratio: height over width (1.0 for a square, 0 for free). */
void       fm_figure_view_set_ratio  (FmFigureView *self, gdouble ratio, gint minimum_width, gint natural_width);
FmFigureStyle fm_figure_view_style   (FmFigureView *self);

G_END_DECLS
