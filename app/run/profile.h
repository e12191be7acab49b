/* profile.h: where a program's time goes: as a tree by phase and layer, and as a trace for Perfetto. */
#pragma once

#include "compute/compute.h"

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* A folder of the tree, or an op in it. */
typedef struct
{
  char      *name;    /* "backward", "layers.0", "mixer", "affine [4096,64]" */
  guint      depth;   /* of the root: 0 */
  guint64    nodes;   /* nodes of the program below it */
  gdouble    seconds; /* of a run */
  FmCost     cost;    /* of a run */
  gdouble    floor_s; /* what the roof allows, node by node; NAN without a roof */
  GPtrArray *children; /* FmProfileTree, dearest first; phases and layers in their own order; NULL for an op */
} FmProfileTree;

/** fm_shape_text: (transfer full): "[64,49,64]" */
char *fm_shape_text (const FmShape *shape);

/**
 * fm_profile_tree:
 * @nodes: (element-type FmNodeProfile): of fm_program_get_nodes()
 * @roof: (nullable)
 *
 * Root, then phases, then the parts of each node's scope (a number stays with the name before it: "layers.0"), then
 * ops of equal name, contents and shape. Means over the runs.
 */
FM_API FmProfileTree *fm_profile_tree      (const GArray *nodes, const FmRoof *roof) G_GNUC_WARN_UNUSED_RESULT;
FM_API void           fm_profile_tree_free (FmProfileTree *tree);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmProfileTree, fm_profile_tree_free)

/** fm_profile_tree_to_text: (transfer full): a table; what lies deeper than @depth is folded (0: only the root). */
FM_API char *fm_profile_tree_to_text (const FmProfileTree *tree, guint depth);
/** fm_profile_tree_to_json: (transfer full): objects {name, nodes, seconds, flops, bytes, roof_share, children}. */
FM_API JsonObject *fm_profile_tree_to_json (const FmProfileTree *tree, guint depth);

/* A trace in Chrome's format, which ui.perfetto.dev and chrome://tracing open: complete events ("ph": "X") with
 * microseconds, one for each node and run. Source: Google, "Trace Event Format", 2016, sections on the JSON object
 * format, complete events and metadata events. */
typedef struct _FmTrace FmTrace;
/** fm_trace_new: @title: of the process, "formarium T1"; @device: of the thread. */
FM_API FmTrace *fm_trace_new     (const char *title, const char *device);
FM_API void     fm_trace_free    (FmTrace *trace);
/** fm_trace_add_run: the last profiled run, placed where it began by the monotonic clock (@start_us). */
FM_API void     fm_trace_add_run (FmTrace *trace, gint64 start_us, const GArray *nodes, const FmRoof *roof);
FM_API gboolean fm_trace_save    (FmTrace *trace, const char *filename, GError **error) G_GNUC_WARN_UNUSED_RESULT;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmTrace, fm_trace_free)

G_END_DECLS
