/* fm-trouble-bar.c: lasting trouble, said under the header bar */
#include "config.h"

#include <string.h>

#include "fm-build.h"
#include "fm-trouble-bar.h"

struct _FmTroubleBar
{
  AdwBin parent_instance;

  GtkRevealer *revealer;
  GtkLabel    *label;
  GtkButton   *button;
};

G_DEFINE_FINAL_TYPE (FmTroubleBar, fm_trouble_bar, ADW_TYPE_BIN)

void
fm_trouble_bar_say (FmTroubleBar *self,
                    const char   *sentence,
                    const char   *button,
                    const char   *action)
{
  const char *end;

  g_return_if_fail (FM_IS_TROUBLE_BAR (self));
  gtk_revealer_set_reveal_child (self->revealer, sentence != NULL);
  gtk_widget_set_visible (GTK_WIDGET (self->revealer), sentence != NULL);
  if (sentence == NULL)
    return;
  end = strstr (sentence, ". ");
  if (end != NULL)
    {
      g_autofree char *first = g_strndup (sentence, end - sentence + 1);
      g_autofree char *markup = g_markup_printf_escaped ("<b>%s</b>%s", first, end + 1);

      gtk_label_set_markup (self->label, markup);
    }
  else
    gtk_label_set_text (self->label, sentence);
  gtk_widget_set_visible (GTK_WIDGET (self->button), button != NULL);
  if (button != NULL)
    {
      gtk_button_set_label (self->button, button);
      gtk_actionable_set_action_name (GTK_ACTIONABLE (self->button), action);
    }
}

static void
fm_trouble_bar_class_init (FmTroubleBarClass *klass)
{
}

static void
fm_trouble_bar_init (FmTroubleBar *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 12);
  GtkWidget *icon = gtk_image_new_from_icon_name ("dialog-warning-symbolic");

  self->label = GTK_LABEL (fm_label ("", NULL));
  gtk_widget_set_hexpand (GTK_WIDGET (self->label), TRUE);
  self->button = GTK_BUTTON (gtk_button_new ());
  gtk_widget_set_valign (GTK_WIDGET (self->button), GTK_ALIGN_CENTER);
  gtk_box_append (GTK_BOX (box), icon);
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->label));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->button));
  gtk_widget_add_css_class (box, "trouble");
  self->revealer = GTK_REVEALER (gtk_revealer_new ());
  gtk_revealer_set_child (self->revealer, box);
  gtk_widget_set_visible (GTK_WIDGET (self->revealer), FALSE);
  adw_bin_set_child (ADW_BIN (self), GTK_WIDGET (self->revealer));
}
