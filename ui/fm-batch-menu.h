/* fm-batch-menu.h: the chooser of a batch that Runs and Results share: a menu of the store's batches */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/** fm_batch_menu_new: (transfer full): one item a batch, newest first, for the action @action (an int64 state). */
GMenuModel *fm_batch_menu_new (GListModel *batches, const char *action);

G_END_DECLS
