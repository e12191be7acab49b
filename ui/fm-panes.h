/* fm-panes.h: columns side by side where there is room, one at a time with a switcher below where there is none.
 *
 * It also keeps the window's two libadwaita containers that newer versions replace (leaflet, flap) out of the pages:
 * FmSplit, below, is the only place that knows AdwLeaflet. */
#pragma once

#include <adwaita.h>

G_BEGIN_DECLS

/* One column. `width` is fixed where there is room for all; 0 takes what is left. */
#define FM_TYPE_PANE (fm_pane_get_type ())
G_DECLARE_FINAL_TYPE (FmPane, fm_pane, FM, PANE, AdwBin)

#define FM_TYPE_PANES (fm_panes_get_type ())
G_DECLARE_FINAL_TYPE (FmPanes, fm_panes, FM, PANES, GtkWidget)

gboolean    fm_panes_get_narrow  (FmPanes *self);
gboolean    fm_panes_get_slim    (FmPanes *self);
void        fm_panes_show        (FmPanes *self, const char *name);
const char *fm_panes_get_shown   (FmPanes *self); /* the one seen while narrow */
/** fm_panes_toggle_side: hides or shows the first column (F9); nothing while narrow. */
void        fm_panes_toggle_side (FmPanes *self);
/** fm_panes_focus_next: moves the focus to the next column that takes it; FALSE after the last. */
gboolean    fm_panes_focus_next  (FmPanes *self, GtkWidget *focus);

/* Sidebar and content of the window: side by side, or the list first and then one page with a way back. */
#define FM_TYPE_SPLIT (fm_split_get_type ())
G_DECLARE_FINAL_TYPE (FmSplit, fm_split, FM, SPLIT, AdwBin)

gboolean fm_split_get_folded    (FmSplit *self);
void     fm_split_show_content  (FmSplit *self, gboolean content);

G_END_DECLS
