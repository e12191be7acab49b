/* fm-head-stats.c: one head among all */
#include "config.h"

#include <glib/gi18n.h>
#include <math.h>

#include "app/figures/figures.h"
#include "app/results/format.h"
#include "fm-build.h"
#include "fm-head-stats.h"

enum { ENTROPY, DISTANCE, SINK, N_STATS };

struct _FmHeadStats
{
  AdwBin parent_instance;

  GtkLabel  *heading;
  GtkWidget *rows[N_STATS], *dots[N_STATS];
  GtkLabel  *values[N_STATS];
  gdouble   *numbers[N_STATS]; /* [layers * heads] */
  gsize      n;
  gsize      chosen;
};

G_DEFINE_FINAL_TYPE (FmHeadStats, fm_head_stats, ADW_TYPE_BIN)

gdouble
fm_head_sink_share (const FmMaps *maps,
                    gint64        layer,
                    gint64        head)
{
  g_autofree gdouble *sums = g_new0 (gdouble, maps->keys);
  const gfloat *weights = fm_maps_head (maps, layer, head);
  gdouble total = 0, first = 0, second = 0;

  for (gint64 q = 0; q < maps->queries; q++)
    for (gint64 k = 0; k < maps->keys; k++)
      if (!isnan (weights[q * maps->keys + k]))
        sums[k] += weights[q * maps->keys + k];
  for (gint64 k = 0; k < maps->keys; k++)
    {
      total += sums[k];
      if (sums[k] > first)
        second = first, first = sums[k];
      else if (sums[k] > second)
        second = sums[k];
    }
  return total > 0 ? (first + second) / total : NAN;
}

static void
draw_dots (GtkDrawingArea *area,
           cairo_t        *cr,
           int             width,
           int             height,
           gpointer        user_data)
{
  FmHeadStats *self = g_object_get_data (G_OBJECT (area), "stats");
  const gdouble *numbers = self->numbers[GPOINTER_TO_INT (user_data)];
  FmFigureStyle style = adw_style_manager_get_dark (adw_style_manager_get_default ()) ? FM_FIGURE_STYLE_DARK
                                                                                        : FM_FIGURE_STYLE_LIGHT;
  FmColour ink = fm_style_colour (&style, FM_COLOUR_INK), accent = fm_style_colour (&style, FM_COLOUR_ACCENT);
  gdouble low = INFINITY, high = -INFINITY, span;

  cairo_set_source_rgba (cr, ink.red, ink.green, ink.blue, 0.18);
  cairo_set_line_width (cr, 1.5);
  cairo_move_to (cr, 0, height / 2.0);
  cairo_line_to (cr, width, height / 2.0);
  cairo_stroke (cr);
  for (gsize i = 0; i < self->n; i++)
    if (!isnan (numbers[i]))
      low = MIN (low, numbers[i]), high = MAX (high, numbers[i]);
  span = high > low ? high - low : 1;
  for (gsize pass = 0; pass < 2; pass++)
    for (gsize i = 0; i < self->n; i++)
      {
        gboolean chosen = i == self->chosen;

        if (chosen != (pass == 1) || isnan (numbers[i]))
          continue;
        if (chosen)
          cairo_set_source_rgb (cr, accent.red, accent.green, accent.blue);
        else
          cairo_set_source_rgba (cr, ink.red, ink.green, ink.blue, 0.35);
        cairo_arc (cr, 7 + (width - 14) * (numbers[i] - low) / span, height / 2.0, chosen ? 5.0 : 4.0, 0, 2 * G_PI);
        cairo_fill (cr);
      }
}

void
fm_head_stats_set (FmHeadStats  *self,
                   const FmMaps *maps,
                   gint64        layer,
                   gint64        head)
{
  g_autofree char *heading = NULL;
  g_autofree char *number_word = NULL;

  g_return_if_fail (FM_IS_HEAD_STATS (self));
  gtk_widget_set_visible (GTK_WIDGET (self), maps != NULL && maps->layers * maps->heads > 1);
  for (guint s = 0; s < N_STATS; s++)
    g_clear_pointer (&self->numbers[s], g_free);
  self->n = 0;
  if (maps == NULL)
    return;
  self->n = maps->layers * maps->heads;
  self->chosen = layer * maps->heads + head;
  for (guint s = 0; s < N_STATS; s++)
    {
      g_autofree char *text = NULL;
      g_autofree char *number = NULL;

      self->numbers[s] = g_new (gdouble, self->n);
      for (gsize i = 0; i < self->n; i++)
        self->numbers[s][i] = s == ENTROPY    ? fm_maps_entropy (maps, i / maps->heads, i % maps->heads)
                              : s == DISTANCE ? fm_maps_distance (maps, i / maps->heads, i % maps->heads)
                                              : fm_head_sink_share (maps, i / maps->heads, i % maps->heads);
      number = fm_format_number (self->numbers[s][self->chosen] * (s == SINK ? 100 : 1), s == SINK ? 0 : 1);
      text = s == ENTROPY ? g_strdup_printf (_("%s bits"), number) : s == SINK ? g_strdup_printf ("%s %%", number)
                                                                               : g_strdup (number);
      gtk_label_set_text (self->values[s], text);
      gtk_widget_queue_draw (self->dots[s]);
    }
  number_word = fm_format_number_word (self->n);
  heading = g_strdup_printf (_("This head among the %s"), number_word);
  gtk_label_set_text (self->heading, heading);
  {
    g_autofree char *most = fm_format_number (log2 (maps->keys), 1);
    g_autofree char *text = g_strdup_printf (_("of %s bits at most"), most);

    adw_action_row_set_subtitle (ADW_ACTION_ROW (self->rows[ENTROPY]), text);
  }
  adw_action_row_set_subtitle (ADW_ACTION_ROW (self->rows[DISTANCE]), maps->grid_rows > 0 ? _("in patches")
                                                                                          : _("in tokens"));
}

static void
fm_head_stats_finalize (GObject *object)
{
  for (guint s = 0; s < N_STATS; s++)
    g_free (FM_HEAD_STATS (object)->numbers[s]);
  G_OBJECT_CLASS (fm_head_stats_parent_class)->finalize (object);
}

static void
fm_head_stats_class_init (FmHeadStatsClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = fm_head_stats_finalize;
}

static void
fm_head_stats_init (FmHeadStats *self)
{
  static const char * const titles[N_STATS] = { N_("Entropy"), N_("Distance"), N_("Sink share") };
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  GtkWidget *list = fm_boxed_list (_("This head among all"));

  self->heading = GTK_LABEL (fm_heading ("", 24));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->heading));
  for (guint s = 0; s < N_STATS; s++)
    {
      GtkWidget *suffix = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 9);

      self->dots[s] = g_object_new (GTK_TYPE_DRAWING_AREA, "accessible-role", GTK_ACCESSIBLE_ROLE_PRESENTATION, NULL);
      g_object_set_data (G_OBJECT (self->dots[s]), "stats", self);
      gtk_drawing_area_set_content_width (GTK_DRAWING_AREA (self->dots[s]), 92);
      gtk_drawing_area_set_content_height (GTK_DRAWING_AREA (self->dots[s]), 16);
      gtk_drawing_area_set_draw_func (GTK_DRAWING_AREA (self->dots[s]), draw_dots, GINT_TO_POINTER (s), NULL);
      gtk_widget_set_valign (self->dots[s], GTK_ALIGN_CENTER);
      self->values[s] = GTK_LABEL (fm_label ("", "numeric"));
      gtk_label_set_xalign (self->values[s], 1.0);
      gtk_label_set_wrap (self->values[s], FALSE);
      gtk_label_set_width_chars (self->values[s], 7);
      gtk_box_append (GTK_BOX (suffix), self->dots[s]);
      gtk_box_append (GTK_BOX (suffix), GTK_WIDGET (self->values[s]));
      self->rows[s] = fm_row (_(titles[s]), s == SINK ? _("into its top two keys") : "", suffix);
      gtk_list_box_append (GTK_LIST_BOX (list), self->rows[s]);
    }
  gtk_box_append (GTK_BOX (box), list);
  adw_bin_set_child (ADW_BIN (self), box);
  g_signal_connect_object (adw_style_manager_get_default (), "notify::dark", G_CALLBACK (gtk_widget_queue_draw), self,
                           G_CONNECT_SWAPPED);
}
