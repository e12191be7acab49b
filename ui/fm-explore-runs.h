/* fm-explore-runs.h: the runs that have a trained model, as a menu by batch; read from the store when it changes.
 * Signal "changed" (). */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define FM_TYPE_EXPLORE_RUNS (fm_explore_runs_get_type ())
G_DECLARE_FINAL_TYPE (FmExploreRuns, fm_explore_runs, FM, EXPLORE_RUNS, GObject)

FmExploreRuns *fm_explore_runs_new       (void);
GMenuModel    *fm_explore_runs_get_menu  (FmExploreRuns *self); /* items of the action "explore.run" */
gint64         fm_explore_runs_get_first (FmExploreRuns *self); /* of the newest batch; 0 = there is none */
gint64         fm_explore_runs_get_with_experts (FmExploreRuns *self); /* 0 = there is none */
/** fm_explore_runs_get_title: (transfer full): "softmax-attention · seed 0". */
char          *fm_explore_runs_get_title (FmExploreRuns *self, gint64 run);

G_END_DECLS
