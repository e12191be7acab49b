/* fm-heads.c: the small maps of all heads */
#include "config.h"

#include <glib/gi18n.h>
#include <math.h>

#include "app/figures/figures.h"
#include "fm-build.h"
#include "fm-figure-view.h"
#include "fm-heads.h"

struct _FmHeads
{
  AdwBin parent_instance;

  GtkWidget    *line;
  GtkLabel     *text;
  GtkGrid      *grid;
  const FmMaps *maps; /* no ownership */
  GArray       *thumbnails; /* FmAttentionMap */
  gint64        layer, head;
};

G_DEFINE_FINAL_TYPE (FmHeads, fm_heads, ADW_TYPE_BIN)

enum { PICKED, N_SIGNALS };
static guint signals[N_SIGNALS];

static GtkWidget *
thumbnail (FmHeads *self,
           gint64   layer,
           gint64   head)
{
  return gtk_grid_get_child_at (self->grid, 1 + head, 1 + layer); /* row and column 0 are numbers */
}

void
fm_heads_choose (FmHeads *self,
                 gint64   layer,
                 gint64   head)
{
  g_return_if_fail (FM_IS_HEADS (self));
  self->layer = layer;
  self->head = head;
  for (guint i = 0; i < self->thumbnails->len; i++)
    {
      FmAttentionMap *map = &g_array_index (self->thumbnails, FmAttentionMap, i);
      GtkWidget *view = thumbnail (self, i / self->maps->heads, i % self->maps->heads);

      map->selected = i == layer * self->maps->heads + head;
      gtk_widget_set_focusable (view, map->selected);
      gtk_widget_queue_draw (view);
    }
}

static void
pick (FmHeads  *self,
      gint64    layer,
      gint64    head,
      gboolean  pointed)
{
  GtkWidget *view;

  g_signal_emit (self, signals[PICKED], 0, CLAMP (layer, 0, self->maps->layers - 1),
                 CLAMP (head, 0, self->maps->heads - 1), pointed);
  view = thumbnail (self, self->layer, self->head);
  if (view != NULL)
    gtk_widget_grab_focus (view);
}

static void
thumbnail_picked (FmFigureView *view,
                  gint64        index,
                  gdouble       x,
                  gdouble       y,
                  FmHeads      *self)
{
  gint64 i = GPOINTER_TO_INT (g_object_get_data (G_OBJECT (view), "index"));

  pick (self, i / self->maps->heads, i % self->maps->heads, TRUE);
}

static void
thumbnail_moved (FmHeads *self,
                 gint     dx,
                 gint     dy)
{
  pick (self, self->layer + dy, self->head + dx, FALSE);
}

static void
add_number (FmHeads *self,
            gint64   number,
            int      column,
            int      row)
{
  g_autofree char *text = g_strdup_printf ("%d", (int) number);
  GtkWidget *label = fm_label (text, "caption dim-label numeric");

  if (row == 0)
    gtk_label_set_xalign (GTK_LABEL (label), 0.5);
  gtk_grid_attach (self->grid, label, column, row, 1, 1);
}

static void
add_thumbnail (FmHeads *self,
               gint64   layer,
               gint64   head)
{
  const FmMaps *m = self->maps;
  int side = CLAMP (264 / (int) m->heads - 8, 28, 64);
  g_autofree char *name = g_strdup_printf (_("Layer %d, head %d"), (int) layer + 1, (int) head + 1);
  FmAttentionMap *map = &g_array_index (self->thumbnails, FmAttentionMap, layer * m->heads + head);
  GtkWidget *view = fm_figure_view_new (name);

  *map = (FmAttentionMap) { m->queries, m->keys, fm_maps_head (m, layer, head), NULL, -1, -1, NAN, TRUE, FALSE };
  fm_figure_view_set (FM_FIGURE_VIEW (view), &fm_figure_attention_map, map);
  gtk_widget_set_size_request (view, side, side);
  gtk_widget_set_halign (view, GTK_ALIGN_START);
  gtk_widget_set_tooltip_text (view, name);
  g_object_set_data (G_OBJECT (view), "index", GINT_TO_POINTER (layer * m->heads + head));
  g_signal_connect_object (view, "picked", G_CALLBACK (thumbnail_picked), self, 0);
  g_signal_connect_object (view, "moved", G_CALLBACK (thumbnail_moved), self, G_CONNECT_SWAPPED);
  gtk_grid_attach (self->grid, view, 1 + head, 1 + layer, 1, 1);
}

void
fm_heads_set (FmHeads      *self,
              const FmMaps *maps)
{
  GtkWidget *child;
  g_autofree char *text = NULL;

  g_return_if_fail (FM_IS_HEADS (self));
  while ((child = gtk_widget_get_first_child (GTK_WIDGET (self->grid))) != NULL)
    gtk_grid_remove (self->grid, child);
  g_array_set_size (self->thumbnails, 0);
  self->maps = maps;
  self->layer = self->head = 0;
  gtk_widget_set_visible (self->line, maps != NULL);
  if (maps == NULL)
    return;
  g_array_set_size (self->thumbnails, maps->layers * maps->heads);
  for (gint64 h = 0; h < maps->heads; h++)
    add_number (self, h + 1, 1 + h, 0);
  for (gint64 l = 0; l < maps->layers; l++)
    {
      add_number (self, l + 1, 0, 1 + l);
      for (gint64 h = 0; h < maps->heads; h++)
        add_thumbnail (self, l, h);
    }
  text = g_strdup_printf (maps->grid_rows > 0 ? _("%d looking patches × %d patches") : _("%d looking tokens × %d tokens"),
                          (int) maps->queries, (int) maps->keys);
  gtk_label_set_text (self->text, text);
}

static void
fm_heads_finalize (GObject *object)
{
  g_array_unref (FM_HEADS (object)->thumbnails);
  G_OBJECT_CLASS (fm_heads_parent_class)->finalize (object);
}

static void
fm_heads_class_init (FmHeadsClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = fm_heads_finalize;
  signals[PICKED] = g_signal_new ("picked", FM_TYPE_HEADS, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 3,
                                  G_TYPE_INT64, G_TYPE_INT64, G_TYPE_BOOLEAN);
}

static void
fm_heads_init (FmHeads *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);

  self->thumbnails = g_array_new (FALSE, TRUE, sizeof (FmAttentionMap));
  self->line = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 9);
  gtk_box_append (GTK_BOX (self->line), fm_label (_("Heads"), "heading"));
  self->text = GTK_LABEL (fm_label ("", "caption dim-label numeric"));
  gtk_box_append (GTK_BOX (self->line), GTK_WIDGET (self->text));
  gtk_box_append (GTK_BOX (box), self->line);
  self->grid = GTK_GRID (gtk_grid_new ());
  gtk_grid_set_row_spacing (self->grid, 8);
  gtk_grid_set_column_spacing (self->grid, 8);
  gtk_widget_set_margin_top (GTK_WIDGET (self->grid), 9);
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->grid));
  adw_bin_set_child (ADW_BIN (self), box);
}
