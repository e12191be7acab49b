/* fm-results-cells.h: what stands in the table of results: markers, interval cells, cards of the narrow window */
#pragma once

#include <adwaita.h>

#include "app/figures/figures.h"
#include "app/results/results.h"

G_BEGIN_DECLS

/* The scale that all cells of the accuracy column share. */
typedef struct
{
  gdouble low, high;     /* 0..1 */
  FmEstimate baseline;
} FmResultsScale;

GtkWidget *fm_results_marker   (gint variant); /* FM_VARIANT_FAILED for the cross, -2 for nothing */
void       fm_results_marker_set (GtkWidget *marker, gint variant);

/** fm_results_columns: adds the columns; @scale must outlive @view. */
void       fm_results_columns  (GtkColumnView *view, FmResultsTable * const *table, const FmResultsScale *scale);
/** fm_results_head: the row of titles above it; clicking sorts @view by that column. */
GtkWidget *fm_results_head     (GtkColumnView *view);
void       fm_results_head_set_scale (GtkWidget *head, const FmResultsScale *scale);
/** fm_results_last: the row of the chance level, whose parts stand under their columns. */
GtkWidget *fm_results_last     (GtkLabel **value, GtkLabel **note);
void       fm_results_last_set_narrow (GtkWidget *last, GtkLabel *note, gboolean narrow);
/** fm_results_card: a row of a list, for windows too narrow for columns. */
GtkWidget *fm_results_card     (FmResultsRow *row, const FmResultsScale *scale);

/** fm_results_failed: whether the row stands there as FAIL. */
gboolean   fm_results_failed   (const FmVariantResult *r);
/** fm_results_name: (transfer full): what a screen reader says of the whole row. */
char      *fm_results_name     (FmResultsRow *row);

G_END_DECLS
