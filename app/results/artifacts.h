/* artifacts.h: what a measuring stage leaves for pictures: attention maps of one test example and the routing of
 * experts. Plain structs, each with a reader and a writer of one small JSON file; the worker writes, figures read.
 *
 * maps.json (artifact kind FM_ARTIFACT_MAPS):
 *   {"format": "formarium-maps", "version": 1, "task": "fashion-mnist", "split": "test", "example": 11,
 *    "label": "Coat", "answer": "Coat", "classes": ["T-shirt", ...], "probabilities": [0.01, ...],
 *    "image": {"rows": 28, "columns": 28, "values": [0.0, ...]}, "grid": {"rows": 7, "columns": 7},
 *    "tokens": ["[MAX", "2", ...], "layers": 2, "heads": 4, "queries": 49, "keys": 49, "attention": [...]}
 * routing.json (FM_ARTIFACT_ROUTING):
 *   {"format": "formarium-routing", "version": 1, "split": "test", "layers": 2, "experts": 8,
 *    "classes": ["T-shirt", ...], "counts": [...], "dropped": [...], "steps": [0, 50, ...], "load": [...]}
 *
 * Arrays are flat, slowest axis first; null stands for NaN ("cannot be seen" in attention, "unknown" elsewhere).
 * What does not apply (image, tokens, classes, load) is left out. Unknown members are ignored. */
#pragma once

#include <gio/gio.h>

#include "base/base.h"

G_BEGIN_DECLS

#define FM_ARTIFACT_MAPS    "maps"
#define FM_ARTIFACT_ROUTING "routing"
#define FM_MAPS_FILE        "maps.json"
#define FM_ROUTING_FILE     "routing.json"

/* The name of the curve rows that carry an expert's share of tokens (0..1) while training, and their tag. */
#define FM_CURVE_EXPERT_LOAD "expert_load"

/* Attention of one example in every layer and head. */
typedef struct
{
  char   *task, *split;
  gint64  example; /* index in the split, -1 = none */
  char   *label;   /* the right answer as a word, or NULL */
  char   *answer;  /* the model's, or NULL */
  char  **classes; /* NULL-terminated, or NULL */
  gfloat *probabilities; /* [n_classes], or NULL */
  gint64  image_rows, image_columns;
  gfloat *image; /* [image_rows, image_columns], 0 = background .. 1; NULL for no picture */
  gint64  grid_rows, grid_columns; /* tokens lie on this grid over the picture; 0 = they do not */
  char  **tokens;                  /* [keys] texts, NULL-terminated, or NULL */
  gint64  layers, heads, queries, keys;
  gfloat *attention; /* [layers, heads, queries, keys]; rows sum to 1; NaN = cannot be seen */
} FmMaps;

/**
 * fm_maps_new: sizes are checked (all positive, product within memory); attention is all NaN, the rest empty.
 *
 * Returns: (transfer full): or NULL when the sizes cannot be
 */
FM_API FmMaps *fm_maps_new  (gint64 layers, gint64 heads, gint64 queries, gint64 keys);
FM_API void    fm_maps_free (FmMaps *maps);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmMaps, fm_maps_free)

/** fm_maps_row: (transfer none): the weights of one looking position, `[keys]`. */
FM_API const gfloat *fm_maps_row  (const FmMaps *maps, gint64 layer, gint64 head, gint64 query);
/** fm_maps_head: (transfer none): one head's map, `[queries, keys]`. */
FM_API const gfloat *fm_maps_head (const FmMaps *maps, gint64 layer, gint64 head);

/** fm_maps_entropy: mean over looking positions, in bits; what cannot be seen counts nothing. */
FM_API gdouble fm_maps_entropy  (const FmMaps *maps, gint64 layer, gint64 head);
/** fm_maps_distance: mean distance that is looked over, in patches of the grid (or tokens without one). */
FM_API gdouble fm_maps_distance (const FmMaps *maps, gint64 layer, gint64 head);

/** fm_maps_load, fm_maps_save: errors name the file and what is wrong in it; a save is a temporary file, synced and
 * renamed. Error domain: G_FILE_ERROR, G_IO_ERROR or JSON_PARSER_ERROR. */
FM_API FmMaps  *fm_maps_load (const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;
FM_API gboolean fm_maps_save (const FmMaps *maps, const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Who got the tokens, on a split and over training. */
typedef struct
{
  char    *split;
  gint64   layers, experts, n_classes; /* n_classes 1 with classes NULL: counts are not told apart by class */
  char   **classes; /* [n_classes] NULL-terminated, or NULL */
  gdouble *counts;  /* [layers, experts, n_classes] tokens */
  gdouble *dropped; /* [layers] tokens over capacity, or NULL */
  gint64   n_steps;
  gdouble *steps; /* [n_steps] ascending, or NULL */
  gdouble *load;  /* [layers, experts, n_steps] share of the layer's tokens, 0..1, NaN = unknown; or NULL */
} FmRouting;

FM_API FmRouting *fm_routing_new  (gint64 layers, gint64 experts, gint64 n_classes, gint64 n_steps);
FM_API void       fm_routing_free (FmRouting *routing);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmRouting, fm_routing_free)

/** fm_routing_share: the expert's share of its layer's tokens (0..1), NaN for a layer without any. */
FM_API gdouble fm_routing_share (const FmRouting *routing, gint64 layer, gint64 expert);
/** fm_routing_class_share: of the tokens of class @klass in @layer, the share that went to @expert. */
FM_API gdouble fm_routing_class_share (const FmRouting *routing, gint64 layer, gint64 expert, gint64 klass);

/**
 * fm_routing_dead_since:
 *
 * Dead means: no token for the last tenth of training (with curves), or none at all in the split (without).
 *
 * Returns: the step after which no token came (0 when only the split is known), or -1 for an expert that lives
 */
FM_API gdouble fm_routing_dead_since (const FmRouting *routing, gint64 layer, gint64 expert);

/** fm_routing_balance: entropy of the shares over its maximum, 0..1, the mean over layers. */
FM_API gdouble fm_routing_balance (const FmRouting *routing);
/** fm_routing_dropped_share: dropped over all tokens, 0..1, NaN when not recorded. */
FM_API gdouble fm_routing_dropped_share (const FmRouting *routing);

FM_API FmRouting *fm_routing_load (const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;
FM_API gboolean   fm_routing_save (const FmRouting *routing, const char *path, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

/**
 * fm_load_curve_tag: (transfer full): the tag of the curve rows of one expert, "layers.0/3" (layer and expert from 0).
 * fm_load_curve_parse_tag: the other way; also takes longer paths ("layers.0.feedforward/3").
 */
FM_API char    *fm_load_curve_tag       (gint64 layer, gint64 expert);
FM_API gboolean fm_load_curve_parse_tag (const char *tag, gint64 *layer, gint64 *expert);

/** fm_routing_set_load: replaces the training curves; values outside the sizes are ignored.
 * @steps, @layers, @experts, @shares: (array length=n): one point each, in any order */
FM_API void fm_routing_set_load (FmRouting *routing, gsize n, const gint64 *steps, const gint64 *layers,
                                 const gint64 *experts, const gdouble *shares);

G_END_DECLS
