/* fm-explore-runs.c: the runs that have a trained model */
#include "config.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app/architecture/plugins.h"
#include "fm-explore-runs.h"
#include "fm-session.h"

/* A menu is no archive: the newest batches with something to look at. */
enum { MOST_BATCHES = 6, MOST_RUNS = 60 };

typedef struct
{
  gint64 id, batch;
  char  *batch_title, *title, *feedforward;
} Item;

struct _FmExploreRuns
{
  GObject parent_instance;

  GMenu     *menu;
  GPtrArray *items; /* Item */
};

G_DEFINE_FINAL_TYPE (FmExploreRuns, fm_explore_runs, G_TYPE_OBJECT)

enum { CHANGED, N_SIGNALS };
static guint signals[N_SIGNALS];

static void
item_free (gpointer data)
{
  Item *item = data;

  g_free (item->batch_title);
  g_free (item->title);
  g_free (item->feedforward);
  g_free (item);
}

/* "softmax-attention x mlp, heads=8" as people write it, and its feed-forward. */
static void
split_variant (const char *variant,
               char      **title,
               char      **feedforward)
{
  const char *x = strstr (variant, " x ");
  const char *end;

  if (x == NULL)
    {
      *title = g_strdup (variant);
      *feedforward = g_strdup ("");
      return;
    }
  end = x + 3 + strcspn (x + 3, ", ");
  *feedforward = g_strndup (x + 3, end - x - 3);
  if (g_str_equal (*feedforward, "mlp"))
    *title = g_strdup_printf ("%.*s%s", (int) (x - variant), variant, end);
  else
    *title = g_strdup_printf ("%.*s × %s%s", (int) (x - variant), variant, *feedforward, end);
}

static gpointer
read_runs (FmStore *store,
           gpointer data,
           GError **error)
{
  g_autoptr (GPtrArray) batches = fm_store_load_batches (store, error);
  g_autoptr (GPtrArray) items = g_ptr_array_new_with_free_func (item_free);
  guint used = 0;

  if (batches == NULL)
    return NULL;
  for (guint b = 0; b < batches->len && used < MOST_BATCHES && items->len < MOST_RUNS; b++)
    {
      FmBatchRecord *batch = g_ptr_array_index (batches, b);
      g_autoptr (GPtrArray) runs = fm_store_load_runs (store, batch->id, error);
      guint before = items->len;

      if (runs == NULL)
        return NULL;
      for (guint i = 0; i < runs->len && items->len < MOST_RUNS; i++)
        {
          FmRunRecord *run = g_ptr_array_index (runs, i);
          FmStageState state = FM_STAGE_PLANNED;
          g_autofree char *variant = NULL;
          Item *item;

          /* A model is there as soon as its training is done; measuring may still go on. */
          if (run->stages->len == 0
              || !fm_store_load_stage_state (store, g_ptr_array_index (run->stages, 0), &state, NULL)
              || state != FM_STAGE_DONE)
            continue;
          item = g_new0 (Item, 1);
          item->id = run->id;
          item->batch = batch->id;
          item->batch_title = g_strdup (batch->title);
          split_variant (run->variant, &variant, &item->feedforward);
          item->title = g_strdup_printf (_("%s · seed %d"), variant, (int) run->seed);
          g_ptr_array_add (items, item);
        }
      used += items->len > before;
    }
  return g_steal_pointer (&items);
}

static void
fill_menu (FmExploreRuns *self)
{
  g_autoptr (GMenu) section = NULL;

  g_menu_remove_all (self->menu);
  for (guint i = 0; i < self->items->len; i++)
    {
      const Item *item = g_ptr_array_index (self->items, i);
      const Item *before = i > 0 ? g_ptr_array_index (self->items, i - 1) : NULL;
      g_autoptr (GMenuItem) entry = g_menu_item_new (item->title, NULL);

      if (before == NULL || before->batch != item->batch)
        {
          g_clear_object (&section);
          section = g_menu_new ();
          g_menu_append_section (self->menu, item->batch_title, G_MENU_MODEL (section));
        }
      g_menu_item_set_action_and_target (entry, "explore.run", "x", item->id);
      g_menu_append_item (section, entry);
    }
}

static gboolean
same (GPtrArray *a,
      GPtrArray *b)
{
  if (a->len != b->len)
    return FALSE;
  for (guint i = 0; i < a->len; i++)
    if (((Item *) g_ptr_array_index (a, i))->id != ((Item *) g_ptr_array_index (b, i))->id)
      return FALSE;
  return TRUE;
}

static void
runs_read (GObject      *source,
           GAsyncResult *result,
           gpointer      user_data)
{
  g_autoptr (FmExploreRuns) self = user_data;
  g_autoptr (GPtrArray) items = fm_session_read_finish (FM_SESSION (source), result, NULL);

  if (items != NULL && !same (items, self->items))
    {
      g_ptr_array_unref (self->items);
      self->items = g_steal_pointer (&items);
      fill_menu (self);
    }
  g_signal_emit (self, signals[CHANGED], 0);
}

static void
store_changed (FmExploreRuns *self)
{
  fm_session_read_async (fm_session_get (), read_runs, NULL, NULL, (GDestroyNotify) g_ptr_array_unref, NULL, runs_read,
                         g_object_ref (self));
}

GMenuModel *
fm_explore_runs_get_menu (FmExploreRuns *self)
{
  return G_MENU_MODEL (self->menu);
}

gint64
fm_explore_runs_get_first (FmExploreRuns *self)
{
  return self->items->len > 0 ? ((Item *) g_ptr_array_index (self->items, 0))->id : 0;
}

gint64
fm_explore_runs_get_with_experts (FmExploreRuns *self)
{
  for (guint i = 0; i < self->items->len; i++)
    {
      const Item *item = g_ptr_array_index (self->items, i);
      const FmPlugin *plugin = fm_plugins_find (FM_ROLE_FEEDFORWARD, item->feedforward, NULL);

      for (const FmProbe *p = plugin != NULL ? plugin->descriptor->probes : NULL; p != NULL && p->name != NULL; p++)
        if (g_str_equal (p->name, "routing"))
          return item->id;
    }
  return 0;
}

char *
fm_explore_runs_get_title (FmExploreRuns *self,
                           gint64         run)
{
  for (guint i = 0; i < self->items->len; i++)
    {
      const Item *item = g_ptr_array_index (self->items, i);

      if (item->id == run)
        return g_strdup (item->title);
    }
  return g_strdup_printf (_("Run %" G_GINT64_FORMAT), run);
}

static void
fm_explore_runs_finalize (GObject *object)
{
  FmExploreRuns *self = FM_EXPLORE_RUNS (object);

  g_ptr_array_unref (self->items);
  g_object_unref (self->menu);
  G_OBJECT_CLASS (fm_explore_runs_parent_class)->finalize (object);
}

static void
fm_explore_runs_class_init (FmExploreRunsClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = fm_explore_runs_finalize;
  signals[CHANGED] = g_signal_new ("changed", FM_TYPE_EXPLORE_RUNS, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                   G_TYPE_NONE, 0);
}

static void
fm_explore_runs_init (FmExploreRuns *self)
{
  self->menu = g_menu_new ();
  self->items = g_ptr_array_new_with_free_func (item_free);
  g_signal_connect_object (fm_session_get (), "changed", G_CALLBACK (store_changed), self, G_CONNECT_SWAPPED);
  store_changed (self);
}

FmExploreRuns *
fm_explore_runs_new (void)
{
  return g_object_new (FM_TYPE_EXPLORE_RUNS, NULL);
}
