/* fm-head-stats.h: one head among all: entropy, distance and sink share as dots on a line */
#pragma once

#include <adwaita.h>

#include "app/results/artifacts.h"

G_BEGIN_DECLS

#define FM_TYPE_HEAD_STATS (fm_head_stats_get_type ())
G_DECLARE_FINAL_TYPE (FmHeadStats, fm_head_stats, FM, HEAD_STATS, AdwBin)

/** fm_head_stats_set: computes all heads of @maps (nullable: hides itself) and marks one. */
void    fm_head_stats_set  (FmHeadStats *self, const FmMaps *maps, gint64 layer, gint64 head);

/** fm_head_sink_share: share of all weight that goes to the two keys that get most, 0..1; NaN when nothing is seen. */
gdouble fm_head_sink_share (const FmMaps *maps, gint64 layer, gint64 head);

G_END_DECLS
