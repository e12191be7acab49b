/* fm-curves-card.c: learning curves of a batch, loss and accuracy under one cursor */
#include "config.h"

#include <glib/gi18n.h>
#include <math.h>

#include "app/figures/figures.h"
#include "app/results/format.h"
#include "fm-build.h"
#include "fm-curves-card.h"
#include "fm-figure-view.h"

enum { LOSS, ACCURACY, N_CHARTS };

struct _FmCurvesCard
{
  AdwBin parent_instance;

  GtkLabel     *caption, *accuracy_title;
  GtkWidget    *nothing, *charts;
  FmFigureView *views[N_CHARTS];
  GPtrArray    *data[N_CHARTS];   /* FmResultsCurve */
  GArray       *curves[N_CHARTS]; /* FmCurve over `data` */
  GPtrArray    *bare[N_CHARTS];   /* FmEstimate arrays without intervals */
  FmCurves      models[N_CHARTS];
  gdouble       cursor; /* step, NAN = none */
  GStrv         running;
  char         *selected;
};

G_DEFINE_FINAL_TYPE (FmCurvesCard, fm_curves_card, ADW_TYPE_BIN)

static void
refresh (FmCurvesCard *self)
{
  g_autofree char *step = fm_format_count (isnan (self->cursor) ? -1 : (gint64) round (self->cursor));
  g_autofree char *caption = isnan (self->cursor) ? g_strdup ("")
                                                  : g_strdup_printf (_("cursor at step %s, the same in both"), step);
  gboolean any = self->data[LOSS] != NULL && self->data[LOSS]->len > 0;

  gtk_label_set_text (self->caption, caption);
  gtk_widget_set_visible (self->nothing, !any);
  gtk_widget_set_visible (self->charts, any);
  for (guint c = 0; c < N_CHARTS; c++)
    {
      FmCurves *model = &self->models[c];

      g_array_set_size (self->curves[c], 0);
      g_ptr_array_set_size (self->bare[c], 0);
      for (guint i = 0; self->data[c] != NULL && i < self->data[c]->len; i++)
        {
          const FmResultsCurve *from = g_ptr_array_index (self->data[c], i);
          const FmVariantResult *r = fm_results_row_get (from->row);
          FmCurve curve = { r->label, r->index, from->n, from->x, from->y,
                            g_strcmp0 (self->selected, r->variant) == 0,
                            self->running != NULL && g_strv_contains ((const char * const *) self->running, r->variant) };

          /* Two or three seeds have wide intervals: five bands over one another hide the lines, so only the chosen
           * variant wears its own. */
          if (!curve.selected)
            {
              FmEstimate *bare = g_memdup2 (from->y, from->n * sizeof *bare);

              for (gsize k = 0; k < from->n; k++)
                bare[k].low = bare[k].high = NAN;
              g_ptr_array_add (self->bare[c], bare);
              curve.y = bare;
            }
          g_array_append_val (self->curves[c], curve);
        }
      *model = (FmCurves) { c == LOSS ? _("Validation loss") : _("Validation accuracy"), _("steps"),
                            c == LOSS ? "" : "%", self->curves[c]->len, (FmCurve *) self->curves[c]->data, NAN, NAN,
                            self->cursor, self->selected == NULL };
      fm_figure_view_set (self->views[c], &fm_figure_curves, model);
    }
}

void
fm_curves_card_set (FmCurvesCard *self,
                    GPtrArray    *loss,
                    GPtrArray    *accuracy)
{
  g_return_if_fail (FM_IS_CURVES_CARD (self));
  for (guint c = 0; c < N_CHARTS; c++)
    {
      fm_figure_view_set (self->views[c], NULL, NULL);
      g_clear_pointer (&self->data[c], g_ptr_array_unref);
    }
  self->data[LOSS] = loss;
  self->data[ACCURACY] = accuracy;
  for (guint i = 0; accuracy != NULL && i < accuracy->len; i++)
    {
      FmResultsCurve *curve = g_ptr_array_index (accuracy, i);
      const FmVariantResult *r = fm_results_row_get (curve->row);
      g_autofree char *chance = fm_format_number (100 * r->chance_level, 0);
      g_autofree char *title = g_strdup_printf (_("Validation accuracy, chance %s %%"), chance);

      if (!isnan (r->chance_level))
        gtk_label_set_text (self->accuracy_title, title);
      for (gsize k = 0; k < curve->n; k++)
        {
          FmEstimate *e = &curve->y[k];

          e->mean *= 100, e->sd *= 100, e->low *= 100, e->high *= 100;
        }
    }
  refresh (self);
}

void
fm_curves_card_mark (FmCurvesCard       *self,
                     const char * const *running,
                     const char         *selected)
{
  g_return_if_fail (FM_IS_CURVES_CARD (self));
  g_strfreev (self->running);
  self->running = g_strdupv ((GStrv) running);
  g_free (self->selected);
  self->selected = g_strdup (selected);
  refresh (self);
}

static void
pointed (FmFigureView *view,
         gdouble       x,
         gdouble       y,
         FmCurvesCard *self)
{
  FmFigureStyle style = fm_figure_view_style (view);
  guint c = view == self->views[LOSS] ? LOSS : ACCURACY;

  if (x < 0)
    return;
  self->cursor = fm_curves_x (&self->models[c], gtk_widget_get_width (GTK_WIDGET (view)),
                              gtk_widget_get_height (GTK_WIDGET (view)), &style, x);
  refresh (self);
}

static void
picked (FmFigureView *view,
        gint64        index,
        gdouble       x,
        gdouble       y,
        FmCurvesCard *self)
{
  pointed (view, x, y, self);
}

/* A step of the cursor is a fortieth of the longest curve. */
static void
moved (FmCurvesCard *self,
       gint          dx,
       gint          dy)
{
  gdouble last = 0;

  for (guint i = 0; i < self->curves[LOSS]->len; i++)
    {
      const FmCurve *curve = &g_array_index (self->curves[LOSS], FmCurve, i);

      if (curve->n > 0)
        last = MAX (last, curve->x[curve->n - 1]);
    }
  if (isnan (self->cursor))
    self->cursor = dx > 0 ? 0 : last;
  else if (ABS (dx) == 2)
    self->cursor = dx < 0 ? 0 : last;
  else
    self->cursor = CLAMP (self->cursor + dx * last / 40, 0, last);
  refresh (self);
}

static void
fm_curves_card_finalize (GObject *object)
{
  FmCurvesCard *self = FM_CURVES_CARD (object);

  for (guint c = 0; c < N_CHARTS; c++)
    {
      g_array_unref (self->curves[c]);
      g_ptr_array_unref (self->bare[c]);
      g_clear_pointer (&self->data[c], g_ptr_array_unref);
    }
  g_strfreev (self->running);
  g_free (self->selected);
  G_OBJECT_CLASS (fm_curves_card_parent_class)->finalize (object);
}

static void
fm_curves_card_class_init (FmCurvesCardClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = fm_curves_card_finalize;
}

static void
fm_curves_card_init (FmCurvesCard *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 9);
  GtkWidget *line = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 9);
  GtkWidget *card = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);

  self->cursor = NAN;
  gtk_box_append (GTK_BOX (line), fm_label (_("Curves"), "heading"));
  self->caption = GTK_LABEL (fm_label ("", "caption dim-label numeric"));
  gtk_box_append (GTK_BOX (line), GTK_WIDGET (self->caption));
  gtk_box_append (GTK_BOX (box), line);
  gtk_widget_add_css_class (card, "card");
  gtk_widget_add_css_class (card, "padded");
  self->nothing = fm_label (_("The first points appear after a few steps."), "dim-label");
  gtk_box_append (GTK_BOX (card), self->nothing);
  self->charts = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  for (guint c = 0; c < N_CHARTS; c++)
    {
      GtkWidget *title = fm_label (c == LOSS ? _("Validation loss") : _("Validation accuracy"), "caption-heading dim-label");

      if (c == ACCURACY)
        {
          self->accuracy_title = GTK_LABEL (title);
          gtk_widget_set_margin_top (title, 12);
        }
      self->bare[c] = g_ptr_array_new_with_free_func (g_free);
      self->curves[c] = g_array_new (FALSE, FALSE, sizeof (FmCurve));
      self->views[c] = FM_FIGURE_VIEW (fm_figure_view_new (c == LOSS ? _("Validation loss over steps")
                                                                     : _("Validation accuracy over steps")));
      fm_figure_view_set_ratio (self->views[c], 0.4, 260, 540);
      g_signal_connect_object (self->views[c], "pointed", G_CALLBACK (pointed), self, 0);
      g_signal_connect_object (self->views[c], "picked", G_CALLBACK (picked), self, 0);
      g_signal_connect_object (self->views[c], "moved", G_CALLBACK (moved), self, G_CONNECT_SWAPPED);
      gtk_box_append (GTK_BOX (self->charts), title);
      gtk_box_append (GTK_BOX (self->charts), GTK_WIDGET (self->views[c]));
    }
  gtk_box_append (GTK_BOX (card), self->charts);
  gtk_box_append (GTK_BOX (box), card);
  adw_bin_set_child (ADW_BIN (self), box);
  refresh (self);
}
