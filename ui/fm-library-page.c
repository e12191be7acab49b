/* fm-library-page.c: the variants there are, and the files that were rejected */
#include "config.h"

#include <glib/gi18n.h>

#include "fm-build.h"
#include "fm-library-page.h"
#include "fm-panes.h"
#include "fm-variant.h"

struct _FmLibraryPage
{
  FmPage parent_instance;

  AdwWindowTitle *title;
  GtkStack       *state;
  FmPanes        *panes;
  GtkSearchEntry *search;
  GtkListBox     *list;
  GtkLabel       *no_hit;
  GtkButton      *nearest;
  GtkScrolledWindow *scroller;
  GtkBox         *about;

  GListStore         *variants; /* FmVariant */
  GtkFilterListModel *filtered;
  GtkCustomFilter    *filter;
};

G_DEFINE_FINAL_TYPE (FmLibraryPage, fm_library_page, FM_TYPE_PAGE)

/* --- The description of one variant -------------------------------------------------------------------------------*/

static void
add_chip (GtkWidget  *box,
          const char *text)
{
  GtkWidget *chip = fm_chip (text);

  gtk_flow_box_append (GTK_FLOW_BOX (box), chip);
  gtk_widget_set_focusable (gtk_widget_get_parent (chip), FALSE);
  fm_set_name (gtk_widget_get_parent (chip), text);
}

static GtkWidget *
make_chips (const FmPluginDescriptor *d)
{
  GtkWidget *box = gtk_flow_box_new ();
  g_autofree char *caps = fm_caps_to_string (d->caps);
  g_auto (GStrv) words = g_strsplit (caps, ", ", -1);

  gtk_flow_box_set_selection_mode (GTK_FLOW_BOX (box), GTK_SELECTION_NONE);
  gtk_flow_box_set_min_children_per_line (GTK_FLOW_BOX (box), 2);
  gtk_flow_box_set_max_children_per_line (GTK_FLOW_BOX (box), 8);
  gtk_widget_add_css_class (box, "chips");
  gtk_widget_set_halign (box, GTK_ALIGN_START);
  fm_set_name (box, _("Role and capabilities"));
  add_chip (box, fm_role_name (d->role));
  for (guint i = 0; words[i] != NULL; i++)
    if (*words[i] != '\0')
      add_chip (box, words[i]);
  return box;
}

static GtkWidget *
make_cost (const char *title,
           const char *value)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 3);

  gtk_box_append (GTK_BOX (box), fm_label (title, "caption dim-label"));
  gtk_box_append (GTK_BOX (box), fm_label (value, "cost"));
  return box;
}

static void
append_parameters (FmLibraryPage            *self,
                   const FmPluginDescriptor *d)
{
  GtkWidget *list;

  if (d->params == NULL || d->params->name == NULL)
    return;
  gtk_box_append (self->about, fm_heading (_("Parameters"), 24));
  list = fm_boxed_list (_("Parameters"));
  for (const FmParam *param = d->params; param->name != NULL; param++)
    {
      g_autofree char *name = g_strdelimit (g_strdup (param->name), "_", '-');
      g_autofree char *text = fm_variant_param_text (param);
      GtkWidget *value = fm_label ("", "numeric");

      gtk_label_set_markup (GTK_LABEL (value), text);
      gtk_label_set_xalign (GTK_LABEL (value), 1.0);
      gtk_label_set_wrap (GTK_LABEL (value), param->choices != NULL);
      gtk_list_box_append (GTK_LIST_BOX (list), fm_row (name, param->help, value));
    }
  gtk_box_append (self->about, list);
}

static void
append_probes (FmLibraryPage            *self,
               const FmPluginDescriptor *d)
{
  GtkWidget *list;

  if (d->probes == NULL || d->probes->name == NULL)
    return;
  gtk_box_append (self->about, fm_heading (_("What can be looked at"), 24));
  list = fm_boxed_list (_("What can be looked at"));
  for (const FmProbe *probe = d->probes; probe->name != NULL; probe++)
    {
      g_auto (GStrv) axes = g_strsplit (probe->axes, ",", -1);
      g_autofree char *text = g_strjoinv (" × ", axes);

      gtk_list_box_append (GTK_LIST_BOX (list), fm_row (probe->name, probe->help, fm_label (text, "dim-label")));
    }
  gtk_box_append (self->about, list);
}

static void
show_variant (FmLibraryPage *self,
              FmVariant     *variant)
{
  const FmPluginDescriptor *d = fm_variant_get_descriptor (variant);
  const FmPlugin *plugin = fm_variant_get_plugin (variant);
  g_autofree char *cost = fm_variant_cost (variant);
  g_autofree char *file = NULL;
  g_autoptr (GString) paper = g_string_new (NULL);
  GtkWidget *label, *card, *chips;

  gtk_box_append (self->about, fm_title (d->title));
  if (d->paper.authors != NULL)
    {
      g_autofree char *authors = g_markup_escape_text (d->paper.authors, -1);

      g_string_append_printf (paper, "<span alpha=\"60%%\">%s, %d.</span>", authors, d->paper.year);
    }
  if (d->paper.arxiv != NULL)
    g_string_append_printf (paper, " <a href=\"https://arxiv.org/abs/%s\">arXiv %s</a>", d->paper.arxiv, d->paper.arxiv);
  if (paper->len > 0)
    {
      label = fm_label ("", NULL);
      gtk_label_set_markup (GTK_LABEL (label), paper->str);
      gtk_widget_set_margin_top (label, 3);
      gtk_box_append (self->about, label);
    }
  label = fm_label (d->summary, NULL);
  gtk_widget_set_margin_top (label, 15);
  gtk_box_append (self->about, label);

  chips = make_chips (d);
  gtk_widget_set_margin_top (chips, 15);
  gtk_box_append (self->about, chips);

  if (*cost != '\0')
    {
      card = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 36);
      gtk_widget_add_css_class (card, "card");
      gtk_widget_add_css_class (card, "padded");
      gtk_widget_set_margin_top (card, 18);
      gtk_box_append (GTK_BOX (card), make_cost (_("Cost in N tokens"), cost));
      gtk_box_append (self->about, card);
    }
  append_parameters (self, d);
  append_probes (self, d);

  file = g_strdup_printf (_("%s, SHA-256 %.12s…"), plugin->file, plugin->hash);
  label = fm_label (file, "caption dim-label");
  gtk_label_set_selectable (GTK_LABEL (label), TRUE);
  gtk_label_set_wrap_mode (GTK_LABEL (label), PANGO_WRAP_WORD_CHAR);
  gtk_widget_set_margin_top (label, 18);
  gtk_box_append (self->about, label);
}

static void rescan_clicked (FmLibraryPage *self);

static void
show_rejected (FmLibraryPage *self,
               FmVariant     *variant)
{
  GtkWidget *list = fm_boxed_list (_("Why it was rejected"));
  GtkWidget *button = gtk_button_new_with_label (_("Try again"));
  GtkWidget *label;
  const char *reason = fm_variant_get_reason (variant);

  gtk_box_append (self->about, fm_title (fm_variant_get_id (variant)));
  label = fm_label (_("This file is no plugin that can be used here. The rest of the library is untouched."), "dim-label");
  gtk_widget_set_margin_top (label, 3);
  gtk_widget_set_margin_bottom (label, 18);
  gtk_box_append (self->about, label);
  gtk_list_box_append (GTK_LIST_BOX (list), fm_row (_("File"), fm_variant_get_file (variant), NULL));
  gtk_list_box_append (GTK_LIST_BOX (list), fm_row (_("Found"), fm_variant_get_found (variant), NULL));
  gtk_list_box_append (GTK_LIST_BOX (list), fm_row (_("Wanted"), fm_variant_get_wanted (variant), NULL));
  if (reason != NULL && *reason != '\0')
    gtk_list_box_append (GTK_LIST_BOX (list), fm_row (_("The loader’s words"), reason, NULL));
  gtk_box_append (self->about, list);
  g_signal_connect_object (button, "clicked", G_CALLBACK (rescan_clicked), self, G_CONNECT_SWAPPED);
  gtk_widget_set_halign (button, GTK_ALIGN_START);
  gtk_widget_set_margin_top (button, 18);
  gtk_box_append (self->about, button);
}

/* --- The list -----------------------------------------------------------------------------------------------------*/

static void
row_selected (FmLibraryPage *self,
              GtkListBoxRow *row)
{
  g_autoptr (FmVariant) variant = NULL;

  fm_box_clear (self->about);
  if (row == NULL)
    return;
  variant = g_list_model_get_item (G_LIST_MODEL (self->filtered), gtk_list_box_row_get_index (row));
  if (fm_variant_get_descriptor (variant) != NULL)
    show_variant (self, variant);
  else
    show_rejected (self, variant);
  gtk_adjustment_set_value (gtk_scrolled_window_get_vadjustment (self->scroller), 0);
}

static void
row_activated (FmLibraryPage *self)
{
  fm_panes_show (self->panes, "about");
}

static GtkWidget *
make_row (gpointer item,
          gpointer user_data)
{
  FmVariant *variant = item;
  GtkWidget *row = gtk_list_box_row_new ();
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 1);
  g_autofree char *subtitle = fm_variant_subtitle (variant);
  GtkWidget *name = fm_label (fm_variant_get_id (variant), NULL);
  GtkWidget *detail = fm_label (subtitle, "caption dim-label");

  gtk_label_set_ellipsize (GTK_LABEL (name), PANGO_ELLIPSIZE_END);
  gtk_label_set_ellipsize (GTK_LABEL (detail), PANGO_ELLIPSIZE_END);
  gtk_label_set_wrap (GTK_LABEL (name), FALSE);
  gtk_label_set_wrap (GTK_LABEL (detail), FALSE);
  gtk_box_append (GTK_BOX (box), name);
  gtk_box_append (GTK_BOX (box), detail);
  gtk_widget_set_margin_top (box, 6);
  gtk_widget_set_margin_bottom (box, 6);
  gtk_list_box_row_set_child (GTK_LIST_BOX_ROW (row), box);
  gtk_accessible_update_property (GTK_ACCESSIBLE (row), GTK_ACCESSIBLE_PROPERTY_LABEL, fm_variant_get_id (variant),
                                  GTK_ACCESSIBLE_PROPERTY_DESCRIPTION, subtitle, -1);
  return row;
}

static void
set_header (GtkListBoxRow *row,
            GtkListBoxRow *before,
            gpointer       user_data)
{
  FmLibraryPage *self = user_data;
  GListModel *model = G_LIST_MODEL (self->filtered);
  g_autoptr (FmVariant) variant = g_list_model_get_item (model, gtk_list_box_row_get_index (row));
  g_autoptr (FmVariant) other = before ? g_list_model_get_item (model, gtk_list_box_row_get_index (before)) : NULL;
  GtkWidget *heading;

  if (variant == NULL || (other != NULL && fm_variant_rank (variant) == fm_variant_rank (other)))
    {
      gtk_list_box_row_set_header (row, NULL);
      return;
    }
  heading = fm_label (fm_variant_family (variant), "caption-heading dim-label");
  gtk_widget_set_margin_top (heading, before ? 15 : 6);
  gtk_widget_set_margin_bottom (heading, 3);
  gtk_widget_set_margin_start (heading, 14);
  gtk_list_box_row_set_header (row, heading);
}

static gboolean
matches (gpointer item,
         gpointer user_data)
{
  FmLibraryPage *self = user_data;

  return fm_variant_matches (item, gtk_editable_get_text (GTK_EDITABLE (self->search)));
}

static void
select_first (FmLibraryPage *self)
{
  GtkListBoxRow *row = gtk_list_box_get_row_at_index (self->list, 0);

  if (row != NULL)
    gtk_list_box_select_row (self->list, row);
}

static void
search_changed (FmLibraryPage *self)
{
  const char *words = gtk_editable_get_text (GTK_EDITABLE (self->search));
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  g_autofree char *sentence = g_strdup_printf (_("Nothing is called “%s”."), words);
  const char *nearest;

  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (self->variants)); i++)
    {
      g_autoptr (FmVariant) variant = g_list_model_get_item (G_LIST_MODEL (self->variants), i);

      g_ptr_array_add (names, (gpointer) fm_variant_get_id (variant));
    }
  g_ptr_array_add (names, NULL);
  nearest = fm_nearest_name (words, (const char * const *) names->pdata);
  gtk_label_set_text (self->no_hit, sentence);
  gtk_button_set_label (self->nearest, nearest != NULL ? nearest : _("Clear search"));
  gtk_filter_changed (GTK_FILTER (self->filter), GTK_FILTER_CHANGE_DIFFERENT);
  gtk_list_box_invalidate_headers (self->list);
  select_first (self);
}

static void
search_activated (FmLibraryPage *self)
{
  if (gtk_list_box_get_selected_row (self->list) != NULL)
    row_activated (self);
}

static void
search_stopped (FmLibraryPage *self)
{
  GtkListBoxRow *row;

  gtk_editable_set_text (GTK_EDITABLE (self->search), "");
  row = gtk_list_box_get_selected_row (self->list);
  if (row != NULL)
    gtk_widget_grab_focus (GTK_WIDGET (row));
}

static void
nearest_clicked (FmLibraryPage *self)
{
  const char *label = gtk_button_get_label (self->nearest);

  gtk_editable_set_text (GTK_EDITABLE (self->search), g_str_equal (label, _("Clear search")) ? "" : label);
  gtk_widget_grab_focus (GTK_WIDGET (self->search));
}

/* --- Loading ------------------------------------------------------------------------------------------------------*/

static gint
compare (gconstpointer a,
         gconstpointer b,
         gpointer      user_data)
{
  FmVariant *one = FM_VARIANT ((gpointer) a), *other = FM_VARIANT ((gpointer) b);
  gint order = fm_variant_rank (one) - fm_variant_rank (other);

  return order != 0 ? order : g_strcmp0 (fm_variant_get_id (one), fm_variant_get_id (other));
}

/* Trying files again opens each in a child process first, which takes a moment: a thread waits for it, not the window. */
static void
scan (GTask        *task,
      gpointer      source,
      gpointer      data,
      GCancellable *cancellable)
{
  if (GPOINTER_TO_INT (data))
    fm_plugins_rescan ();
  fm_plugins_list ();
  g_task_return_boolean (task, TRUE);
}

static void
scanned (GObject      *source,
         GAsyncResult *result,
         gpointer      user_data)
{
  FmLibraryPage *self = FM_LIBRARY_PAGE (source);
  GPtrArray *plugins = fm_plugins_list (), *rejected = fm_plugins_rejected ();
  g_autofree char *found = NULL;
  g_autofree char *subtitle = NULL;

  g_list_store_remove_all (self->variants);
  for (guint i = 0; i < plugins->len; i++)
    {
      g_autoptr (FmVariant) variant = fm_variant_new (g_ptr_array_index (plugins, i));

      g_list_store_insert_sorted (self->variants, variant, compare, NULL);
    }
  for (guint i = 0; i < rejected->len; i++)
    {
      g_autoptr (FmVariant) variant = fm_variant_new_rejected (g_ptr_array_index (rejected, i));

      g_list_store_insert_sorted (self->variants, variant, compare, NULL);
    }
  found = g_strdup_printf (ngettext ("%u variant", "%u variants", plugins->len), plugins->len);
  subtitle = rejected->len > 0 ? g_strdup_printf (_("%s, %u rejected"), found, rejected->len) : g_strdup (found);
  adw_window_title_set_subtitle (self->title, subtitle);
  gtk_stack_set_visible_child_name (self->state, plugins->len + rejected->len > 0 ? "list" : "empty");
  select_first (self);
}

static void
start_scan (FmLibraryPage *self,
            gboolean       again)
{
  g_autoptr (GTask) task = g_task_new (self, NULL, scanned, NULL);

  g_task_set_task_data (task, GINT_TO_POINTER (again), NULL);
  g_task_run_in_thread (task, scan);
}

static void
rescan_clicked (FmLibraryPage *self)
{
  start_scan (self, TRUE);
}

/* --- Page ---------------------------------------------------------------------------------------------------------*/

static void
fm_library_page_search (FmPage *page)
{
  FmLibraryPage *self = FM_LIBRARY_PAGE (page);

  fm_panes_show (self->panes, "variants");
  gtk_widget_grab_focus (GTK_WIDGET (self->search));
}

static gboolean
fm_library_page_back (FmPage *page)
{
  FmLibraryPage *self = FM_LIBRARY_PAGE (page);

  if (!fm_panes_get_narrow (self->panes) || g_strcmp0 (fm_panes_get_shown (self->panes), "about") != 0)
    return FALSE;
  fm_panes_show (self->panes, "variants");
  return TRUE;
}

static gboolean
fm_library_page_ready (FmPage *page)
{
  return g_strcmp0 (gtk_stack_get_visible_child_name (FM_LIBRARY_PAGE (page)->state), "loading") != 0;
}

static GtkWidget *
fm_library_page_panes (FmPage *page)
{
  GtkWidget *panes = GTK_WIDGET (FM_LIBRARY_PAGE (page)->panes);

  return gtk_widget_get_mapped (panes) ? panes : NULL;
}

static void
fm_library_page_dispose (GObject *object)
{
  FmLibraryPage *self = FM_LIBRARY_PAGE (object);

  if (self->list != NULL)
    {
      gtk_list_box_bind_model (self->list, NULL, NULL, NULL, NULL);
      g_signal_handlers_disconnect_by_data (self->list, self);
    }
  g_clear_object (&self->filtered);
  gtk_widget_dispose_template (GTK_WIDGET (self), FM_TYPE_LIBRARY_PAGE);
  G_OBJECT_CLASS (fm_library_page_parent_class)->dispose (object);
}

static void
fm_library_page_class_init (FmLibraryPageClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  FmPageClass *page_class = FM_PAGE_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = fm_library_page_dispose;
  page_class->search = fm_library_page_search;
  page_class->back = fm_library_page_back;
  page_class->panes = fm_library_page_panes;
  page_class->ready = fm_library_page_ready;
  g_type_ensure (FM_TYPE_PANES);
  g_type_ensure (FM_TYPE_PANE);
  gtk_widget_class_set_template_from_resource (widget_class, "/org/formarium/Formarium/fm-library-page.ui");
  gtk_widget_class_bind_template_child (widget_class, FmLibraryPage, title);
  gtk_widget_class_bind_template_child (widget_class, FmLibraryPage, state);
  gtk_widget_class_bind_template_child (widget_class, FmLibraryPage, panes);
  gtk_widget_class_bind_template_child (widget_class, FmLibraryPage, search);
  gtk_widget_class_bind_template_child (widget_class, FmLibraryPage, list);
  gtk_widget_class_bind_template_child (widget_class, FmLibraryPage, no_hit);
  gtk_widget_class_bind_template_child (widget_class, FmLibraryPage, nearest);
  gtk_widget_class_bind_template_child (widget_class, FmLibraryPage, scroller);
  gtk_widget_class_bind_template_child (widget_class, FmLibraryPage, about);
  gtk_widget_class_bind_template_callback (widget_class, row_selected);
  gtk_widget_class_bind_template_callback (widget_class, row_activated);
  gtk_widget_class_bind_template_callback (widget_class, search_changed);
  gtk_widget_class_bind_template_callback (widget_class, search_activated);
  gtk_widget_class_bind_template_callback (widget_class, search_stopped);
  gtk_widget_class_bind_template_callback (widget_class, nearest_clicked);
  gtk_widget_class_bind_template_callback (widget_class, rescan_clicked);
}

static void
fm_library_page_init (FmLibraryPage *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  self->variants = g_list_store_new (FM_TYPE_VARIANT);
  self->filter = gtk_custom_filter_new (matches, self, NULL);
  self->filtered = gtk_filter_list_model_new (G_LIST_MODEL (self->variants), GTK_FILTER (self->filter));
  gtk_list_box_set_header_func (self->list, set_header, self, NULL);
  gtk_list_box_bind_model (self->list, G_LIST_MODEL (self->filtered), make_row, self, NULL);
  gtk_search_entry_set_key_capture_widget (self->search, GTK_WIDGET (self->list));
  start_scan (self, FALSE);
}
