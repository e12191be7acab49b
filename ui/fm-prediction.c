/* fm-prediction.c: what a model answers */
#include "config.h"

#include <glib/gi18n.h>

#include "app/results/format.h"
#include "fm-build.h"
#include "fm-prediction.h"

enum { N_ANSWERS = 3 };

struct _FmPrediction
{
  AdwBin parent_instance;

  GtkLabel       *verdict;
  GtkWidget      *rows[N_ANSWERS];
  GtkLabel       *names[N_ANSWERS], *values[N_ANSWERS];
  GtkProgressBar *bars[N_ANSWERS];
};

G_DEFINE_FINAL_TYPE (FmPrediction, fm_prediction, ADW_TYPE_BIN)

void
fm_prediction_set (FmPrediction          *self,
                   const FmExploreAnswer *answer)
{
  g_autofree gboolean *used = NULL;
  g_autofree char *chance = NULL;
  g_autofree char *text = NULL;

  g_return_if_fail (FM_IS_PREDICTION (self));
  if (answer == NULL || answer->probabilities == NULL)
    {
      for (guint i = 0; i < N_ANSWERS; i++)
        gtk_widget_set_visible (self->rows[i], FALSE);
      gtk_label_set_text (self->verdict, "");
      return;
    }
  used = g_new0 (gboolean, answer->n_classes);
  for (guint i = 0; i < N_ANSWERS; i++)
    {
      gint64 best = -1;
      g_autofree char *number = NULL;
      g_autofree char *fallback = NULL;

      for (gint64 k = 0; k < answer->n_classes; k++)
        if (!used[k] && (best < 0 || answer->probabilities[k] > answer->probabilities[best]))
          best = k;
      gtk_widget_set_visible (self->rows[i], best >= 0);
      if (best < 0)
        continue;
      used[best] = TRUE;
      number = fm_format_number (answer->probabilities[best], 2);
      fallback = g_strdup_printf ("%" G_GINT64_FORMAT, best);
      gtk_label_set_text (self->names[i], answer->classes != NULL ? answer->classes[best] : fallback);
      gtk_label_set_text (self->values[i], number);
      gtk_progress_bar_set_fraction (self->bars[i], CLAMP (answer->probabilities[best], 0, 1));
      fm_set_name (GTK_WIDGET (self->bars[i]), gtk_label_get_text (self->names[i]));
    }
  chance = fm_format_number (1.0 / answer->n_classes, 2);
  text = answer->label == NULL || answer->answer == NULL
           ? g_strdup_printf (_("chance is %s"), chance)
           : g_strdup_printf (_("%s, chance is %s"),
                              g_str_equal (answer->label, answer->answer) ? _("right") : _("wrong"), chance);
  gtk_label_set_text (self->verdict, text);
}

static void
fm_prediction_class_init (FmPredictionClass *klass)
{
}

static void
fm_prediction_init (FmPrediction *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  GtkWidget *line = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 12);
  GtkWidget *heading = fm_label (_("Prediction"), "heading");

  gtk_widget_set_hexpand (heading, TRUE);
  gtk_box_append (GTK_BOX (line), heading);
  self->verdict = GTK_LABEL (fm_label ("", "caption dim-label numeric"));
  gtk_box_append (GTK_BOX (line), GTK_WIDGET (self->verdict));
  gtk_widget_set_margin_top (line, 20);
  gtk_widget_set_margin_bottom (line, 6);
  gtk_box_append (GTK_BOX (box), line);
  for (guint i = 0; i < N_ANSWERS; i++)
    {
      GtkWidget *row = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 12);

      self->names[i] = GTK_LABEL (fm_label ("", i == 0 ? "heading" : NULL));
      gtk_label_set_width_chars (self->names[i], 9);
      gtk_label_set_wrap (self->names[i], FALSE);
      self->bars[i] = GTK_PROGRESS_BAR (gtk_progress_bar_new ());
      gtk_widget_set_hexpand (GTK_WIDGET (self->bars[i]), TRUE);
      gtk_widget_set_valign (GTK_WIDGET (self->bars[i]), GTK_ALIGN_CENTER);
      gtk_widget_add_css_class (GTK_WIDGET (self->bars[i]), i == 0 ? "first-answer" : "other-answer");
      self->values[i] = GTK_LABEL (fm_label ("", "numeric"));
      gtk_label_set_width_chars (self->values[i], 5);
      gtk_label_set_xalign (self->values[i], 1.0);
      gtk_box_append (GTK_BOX (row), GTK_WIDGET (self->names[i]));
      gtk_box_append (GTK_BOX (row), GTK_WIDGET (self->bars[i]));
      gtk_box_append (GTK_BOX (row), GTK_WIDGET (self->values[i]));
      gtk_widget_set_margin_top (row, 6);
      fm_set_name (GTK_WIDGET (self->bars[i]), _("Probability"));
      gtk_box_append (GTK_BOX (box), row);
      self->rows[i] = row;
    }
  adw_bin_set_child (ADW_BIN (self), box);
}
