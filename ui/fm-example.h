/* fm-example.h: one example of the gallery, and the model's answer once it has come */
#pragma once

#include <adwaita.h>

#include "app/run/explore.h"

G_BEGIN_DECLS

#define FM_TYPE_EXAMPLE (fm_example_get_type ())
G_DECLARE_FINAL_TYPE (FmExample, fm_example, FM, EXAMPLE, GObject)

FmExample             *fm_example_new        (gint64 index);
gint64                 fm_example_get_index  (FmExample *self);
const FmExploreAnswer *fm_example_get_answer (FmExample *self); /* (nullable) */
/** fm_example_take_answer: @answer (transfer full); "answered" is emitted. */
void                   fm_example_take_answer (FmExample *self, FmExploreAnswer *answer);

/** fm_example_tile: (transfer full): a small picture of it for a list; fm_example_tile_set() fills it. */
GtkWidget             *fm_example_tile       (void);
void                   fm_example_tile_set   (GtkWidget *tile, FmExample *example); /* NULL empties it */

G_END_DECLS
