/* ui-store.h: a store with a finished comparison in it, for pages that only show what is there */
#pragma once

#include "storage/storage.h"

G_BEGIN_DECLS

/** ui_store_fill: a batch of five variants and three seeds in $FORMARIUM_STORE, one of which diverged. */
gint64 ui_store_fill (const char *title);

G_END_DECLS
