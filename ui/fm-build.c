/* fm-build.c: the small widgets that every page is made of */
#include "config.h"

#include <glib/gi18n.h>
#include <math.h>

#include "fm-build.h"

GtkWidget *
fm_label (const char *text,
          const char *classes)
{
  GtkWidget *label = gtk_label_new (text);

  gtk_label_set_xalign (GTK_LABEL (label), 0.0);
  gtk_label_set_wrap (GTK_LABEL (label), TRUE);
  if (classes != NULL)
    {
      g_auto (GStrv) names = g_strsplit (classes, " ", -1);

      for (guint i = 0; names[i] != NULL; i++)
        gtk_widget_add_css_class (label, names[i]);
    }
  return label;
}

GtkWidget *
fm_title (const char *text)
{
  return fm_label (text, "page-title");
}

GtkWidget *
fm_heading (const char *text,
            gint        margin_top)
{
  GtkWidget *label = fm_label (text, "heading");

  gtk_widget_set_margin_top (label, margin_top);
  gtk_widget_set_margin_bottom (label, 9);
  return label;
}

GtkWidget *
fm_chip (const char *text)
{
  GtkWidget *label = gtk_label_new (text);

  gtk_widget_add_css_class (label, "chip");
  return label;
}

GtkWidget *
fm_boxed_list (const char *accessible_name)
{
  GtkWidget *list = gtk_list_box_new ();

  gtk_list_box_set_selection_mode (GTK_LIST_BOX (list), GTK_SELECTION_NONE);
  gtk_widget_add_css_class (list, "boxed-list");
  fm_set_name (list, accessible_name);
  return list;
}

GtkWidget *
fm_row (const char *title,
        const char *subtitle,
        GtkWidget  *suffix)
{
  GtkWidget *row = adw_action_row_new ();

  adw_preferences_row_set_use_markup (ADW_PREFERENCES_ROW (row), FALSE);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), title);
  if (subtitle != NULL)
    adw_action_row_set_subtitle (ADW_ACTION_ROW (row), subtitle);
  if (suffix != NULL)
    adw_action_row_add_suffix (ADW_ACTION_ROW (row), suffix);
  fm_set_name (row, title);
  return row;
}

void
fm_box_clear (GtkBox *box)
{
  GtkWidget *child;

  while ((child = gtk_widget_get_first_child (GTK_WIDGET (box))) != NULL)
    gtk_box_remove (box, child);
}

void
fm_set_name (GtkWidget  *widget,
             const char *accessible_name)
{
  gtk_accessible_update_property (GTK_ACCESSIBLE (widget), GTK_ACCESSIBLE_PROPERTY_LABEL, accessible_name, -1);
}

char *
fm_time_text (gdouble seconds)
{
  gint n;

  if (!(seconds >= 0))
    return g_strdup ("");
  if (seconds < 99.5)
    return g_strdup_printf (_("%d s"), (gint) ceil (seconds));
  if (seconds < 3570)
    {
      n = (gint) round (seconds / 60);
      return g_strdup_printf (ngettext ("%d minute", "%d minutes", n), n);
    }
  n = (gint) round (seconds / 3600);
  return g_strdup_printf (ngettext ("%d hour", "%d hours", n), n);
}
