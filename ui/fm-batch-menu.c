/* fm-batch-menu.c: the chooser of a batch */
#include "config.h"

#include "fm-batch-menu.h"
#include "fm-session.h"

/* A menu is no archive: older batches are reached by the command line. */
#define MOST 30

static void
fill (GMenu      *menu,
      GListModel *batches)
{
  const char *action = g_object_get_data (G_OBJECT (menu), "action");

  g_menu_remove_all (menu);
  for (guint i = 0; i < MIN (g_list_model_get_n_items (batches), MOST); i++)
    {
      g_autoptr (FmBatchItem) batch = g_list_model_get_item (batches, i);
      g_autoptr (GMenuItem) item = g_menu_item_new (NULL, NULL);
      GString *label = g_string_new (fm_batch_item_get_title (batch));

      g_string_replace (label, "_", "__", 0);
      g_menu_item_set_label (item, label->str);
      g_menu_item_set_action_and_target (item, action, "x", fm_batch_item_get_id (batch));
      g_menu_append_item (menu, item);
      g_string_free (label, TRUE);
    }
}

static void
batches_changed (GMenu      *menu,
                 guint       position,
                 guint       removed,
                 guint       added,
                 GListModel *batches)
{
  fill (menu, batches);
}

GMenuModel *
fm_batch_menu_new (GListModel *batches,
                   const char *action)
{
  GMenu *menu = g_menu_new ();

  g_object_set_data_full (G_OBJECT (menu), "action", g_strdup (action), g_free);
  g_signal_connect_object (batches, "items-changed", G_CALLBACK (batches_changed), menu, G_CONNECT_SWAPPED);
  fill (menu, batches);
  return G_MENU_MODEL (menu);
}
