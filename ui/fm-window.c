/* fm-window.c: the window: a list of pages and the page chosen */
#include "config.h"

#include <glib/gi18n.h>

#include "fm-explore-page.h"
#include "fm-library-page.h"
#include "fm-panes.h"
#include "fm-results-page.h"
#include "fm-runs-page.h"
#include "fm-session.h"
#include "fm-window.h"

struct _FmWindow
{
  AdwApplicationWindow parent_instance;

  AdwToastOverlay *toasts;
  FmSplit         *split;
  GtkListBox      *sidebar;
  GtkStack        *stack;
  GtkMenuButton   *menu_button;

  GtkLabel *workers; /* how many are at work, beside Runs */
  gboolean  remember, moved; /* moved: a page was chosen by somebody */
  AdwToast *last_toast; /* whose button Ctrl+Z presses */
};

G_DEFINE_FINAL_TYPE (FmWindow, fm_window, ADW_TYPE_APPLICATION_WINDOW)

/* The pages there are, in the order of the sidebar. */
static const struct
{
  const char *name, *title, *icon;
  GType     (*type) (void);
} pages[] = {
  { "library", N_("Library"), "fm-library-symbolic", fm_library_page_get_type },
  { "runs", N_("Runs"), "fm-runs-symbolic", fm_runs_page_get_type },
  { "results", N_("Results"), "fm-results-symbolic", fm_results_page_get_type },
  { "explore", N_("Explore"), "fm-explore-symbolic", fm_explore_page_get_type },
};

/* --- State between sessions ---------------------------------------------------------------------------------------*/

static char *
state_path (void)
{
  return g_build_filename (g_get_user_state_dir (), "formarium", "window.ini", NULL);
}

static void
load_state (FmWindow *self)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autofree char *path = state_path ();
  g_autofree char *page = NULL;
  int width, height;

  if (!g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, NULL))
    return;
  width = g_key_file_get_integer (file, "window", "width", NULL);
  height = g_key_file_get_integer (file, "window", "height", NULL);
  if (width >= 360 && height >= 294 && width < 32768 && height < 32768)
    gtk_window_set_default_size (GTK_WINDOW (self), width, height);
  if (g_key_file_get_boolean (file, "window", "maximized", NULL))
    gtk_window_maximize (GTK_WINDOW (self));
  page = g_key_file_get_string (file, "window", "page", NULL);
  if (page != NULL)
    fm_window_show_page (self, page, NULL);
}

/* A window that cannot remember its size is no reason to bother anybody, so errors end here. */
static void
save_state (FmWindow *self)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autofree char *path = state_path ();
  g_autofree char *folder = g_path_get_dirname (path);
  int width, height;

  gtk_window_get_default_size (GTK_WINDOW (self), &width, &height);
  g_key_file_set_integer (file, "window", "width", width);
  g_key_file_set_integer (file, "window", "height", height);
  g_key_file_set_boolean (file, "window", "maximized", gtk_window_is_maximized (GTK_WINDOW (self)));
  g_key_file_set_string (file, "window", "page", gtk_stack_get_visible_child_name (self->stack));
  g_mkdir_with_parents (folder, 0700);
  g_key_file_save_to_file (file, path, NULL);
}

/* --- Pages --------------------------------------------------------------------------------------------------------*/

FmPage *
fm_window_get_page (FmWindow   *self,
                    const char *name)
{
  GtkWidget *child;

  g_return_val_if_fail (FM_IS_WINDOW (self), NULL);
  child = gtk_stack_get_child_by_name (self->stack, name);
  return child != NULL ? FM_PAGE (child) : NULL;
}

static FmPage *
current_page (FmWindow *self)
{
  return FM_PAGE (gtk_stack_get_visible_child (self->stack));
}

void
fm_window_show_page (FmWindow   *self,
                     const char *name,
                     const char *detail)
{
  g_return_if_fail (FM_IS_WINDOW (self));
  for (guint i = 0; i < G_N_ELEMENTS (pages); i++)
    if (g_strcmp0 (pages[i].name, name) == 0)
      {
        FmPage *page = fm_window_get_page (self, name);

        self->moved = TRUE;
        gtk_list_box_select_row (self->sidebar, gtk_list_box_get_row_at_index (self->sidebar, i));
        gtk_stack_set_visible_child_name (self->stack, name);
        fm_split_show_content (self->split, TRUE);
        if (FM_PAGE_GET_CLASS (page)->shown != NULL)
          FM_PAGE_GET_CLASS (page)->shown (page);
        if (detail != NULL && *detail != '\0')
          g_object_set (page, "detail", detail, NULL);
        return;
      }
}

static void
sidebar_activated (FmWindow      *self,
                   GtkListBoxRow *row)
{
  fm_window_show_page (self, pages[gtk_list_box_row_get_index (row)].name, NULL);
}

static void
toast_gone (FmWindow *self,
            AdwToast *toast)
{
  if (self->last_toast == toast)
    g_clear_object (&self->last_toast);
}

static void
add_toast (FmWindow *self,
           AdwToast *toast)
{
  g_signal_connect_object (toast, "dismissed", G_CALLBACK (toast_gone), self, G_CONNECT_SWAPPED);
  g_set_object (&self->last_toast, toast);
  adw_toast_overlay_add_toast (self->toasts, g_object_ref (toast));
}

static void
folded_changed (FmWindow *self)
{
  for (guint i = 0; i < G_N_ELEMENTS (pages); i++)
    fm_page_set_folded (fm_window_get_page (self, pages[i].name), fm_split_get_folded (self->split));
}

static void
runners_changed (FmWindow *self)
{
  guint n = fm_session_count_workers (fm_session_get ());
  g_autofree char *text = n > 0 ? g_strdup_printf ("%u", n) : g_strdup ("");

  gtk_label_set_text (self->workers, text);
}

/* The store may have been brought to this program's version, which is said. The first start: nothing was ever measured, so
 * the page that asks what to find out comes first. */
static void
store_read (FmWindow *self)
{
  FmSession *session = fm_session_get ();
  g_autofree char *notice = fm_session_take_notice (session);

  if (notice != NULL)
    {
      AdwToast *toast = adw_toast_new ("");
      GtkWidget *label = gtk_label_new (notice);

      gtk_label_set_wrap (GTK_LABEL (label), TRUE);
      gtk_label_set_wrap_mode (GTK_LABEL (label), PANGO_WRAP_WORD_CHAR);
      gtk_label_set_max_width_chars (GTK_LABEL (label), 70);
      gtk_label_set_xalign (GTK_LABEL (label), 0);
      adw_toast_set_custom_title (toast, label);
      adw_toast_set_timeout (toast, 0); /* it names a file: time to read it */
      add_toast (self, toast);
      g_object_unref (toast);
    }
  if (!self->moved && fm_session_get_loaded (session)
      && g_list_model_get_n_items (fm_session_get_batches (session)) == 0)
    fm_window_show_page (self, "runs", NULL);
  self->moved = TRUE;
}

static GtkWidget *
make_sidebar_row (FmWindow *self,
                  guint     i)
{
  GtkWidget *row = gtk_list_box_row_new ();
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 10);
  GtkWidget *label = gtk_label_new (_(pages[i].title));
  GtkWidget *image = gtk_image_new_from_icon_name (pages[i].icon);

  gtk_widget_set_hexpand (label, TRUE);
  gtk_label_set_xalign (GTK_LABEL (label), 0.0);
  gtk_box_append (GTK_BOX (box), image);
  gtk_box_append (GTK_BOX (box), label);
  if (g_str_equal (pages[i].name, "runs"))
    {
      self->workers = GTK_LABEL (gtk_label_new (""));
      gtk_widget_add_css_class (GTK_WIDGET (self->workers), "numeric");
      gtk_widget_add_css_class (GTK_WIDGET (self->workers), "dim-label");
      gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->workers));
    }
  gtk_list_box_row_set_child (GTK_LIST_BOX_ROW (row), box);
  gtk_accessible_update_property (GTK_ACCESSIBLE (row), GTK_ACCESSIBLE_PROPERTY_LABEL, _(pages[i].title), -1);
  return row;
}

/* --- Actions ------------------------------------------------------------------------------------------------------*/

static void
page_action (GtkWidget  *widget,
             const char *action,
             GVariant   *parameter)
{
  fm_window_show_page (FM_WINDOW (widget), g_variant_get_string (parameter, NULL), NULL);
}

static void
open_action (GtkWidget  *widget,
             const char *action,
             GVariant   *parameter)
{
  const char *name, *detail;

  g_variant_get (parameter, "(&s&s)", &name, &detail);
  fm_window_show_page (FM_WINDOW (widget), name, detail);
}

static void
search_action (GtkWidget  *widget,
               const char *action,
               GVariant   *parameter)
{
  FmPage *page = current_page (FM_WINDOW (widget));

  fm_split_show_content (FM_WINDOW (widget)->split, TRUE);
  if (FM_PAGE_GET_CLASS (page)->search != NULL)
    FM_PAGE_GET_CLASS (page)->search (page);
}

static void
save_action (GtkWidget  *widget,
             const char *action,
             GVariant   *parameter)
{
  FmPage *page = current_page (FM_WINDOW (widget));

  if (FM_PAGE_GET_CLASS (page)->save != NULL)
    FM_PAGE_GET_CLASS (page)->save (page);
}

static void
undo_action (GtkWidget  *widget,
             const char *action,
             GVariant   *parameter)
{
  FmWindow *self = FM_WINDOW (widget);
  g_autoptr (AdwToast) toast = g_steal_pointer (&self->last_toast);

  if (toast == NULL || adw_toast_get_action_name (toast) == NULL)
    return;
  gtk_widget_activate_action_variant (GTK_WIDGET (current_page (self)), adw_toast_get_action_name (toast),
                                      adw_toast_get_action_target_value (toast));
  adw_toast_dismiss (toast);
}

static void
back_action (GtkWidget  *widget,
             const char *action,
             GVariant   *parameter)
{
  FmWindow *self = FM_WINDOW (widget);
  FmPage *page = current_page (self);

  if (FM_PAGE_GET_CLASS (page)->back != NULL && FM_PAGE_GET_CLASS (page)->back (page))
    return;
  fm_split_show_content (self->split, FALSE);
}

static void
next_pane_action (GtkWidget  *widget,
                  const char *action,
                  GVariant   *parameter)
{
  FmWindow *self = FM_WINDOW (widget);
  FmPage *page = current_page (self);
  GtkWidget *panes = fm_page_get_panes (page);
  GtkWidget *focus = gtk_window_get_focus (GTK_WINDOW (self));
  gboolean in_sidebar = focus != NULL && gtk_widget_is_ancestor (focus, GTK_WIDGET (self->sidebar));

  if (panes != NULL && fm_panes_focus_next (FM_PANES (panes), in_sidebar ? NULL : focus))
    return;
  if (panes == NULL && in_sidebar && gtk_widget_child_focus (GTK_WIDGET (page), GTK_DIR_TAB_FORWARD))
    return;
  if (fm_split_get_folded (self->split))
    {
      if (panes != NULL)
        fm_panes_focus_next (FM_PANES (panes), NULL);
      return;
    }
  gtk_widget_child_focus (GTK_WIDGET (self->sidebar), GTK_DIR_TAB_FORWARD);
}

static void
side_pane_action (GtkWidget  *widget,
                  const char *action,
                  GVariant   *parameter)
{
  GtkWidget *panes = fm_page_get_panes (current_page (FM_WINDOW (widget)));

  if (panes != NULL)
    fm_panes_toggle_side (FM_PANES (panes));
}

static void
menu_action (GtkWidget  *widget,
             const char *action,
             GVariant   *parameter)
{
  gtk_menu_button_popup (FM_WINDOW (widget)->menu_button);
}

/* --- Object -------------------------------------------------------------------------------------------------------*/

static gboolean
fm_window_close_request (GtkWindow *window)
{
  if (FM_WINDOW (window)->remember)
    save_state (FM_WINDOW (window));
  return GTK_WINDOW_CLASS (fm_window_parent_class)->close_request (window);
}

static void
fm_window_dispose (GObject *object)
{
  g_clear_object (&FM_WINDOW (object)->last_toast);
  G_OBJECT_CLASS (fm_window_parent_class)->dispose (object);
}

static void
fm_window_class_init (FmWindowClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = fm_window_dispose;
  GTK_WINDOW_CLASS (klass)->close_request = fm_window_close_request;
  g_type_ensure (FM_TYPE_SPLIT);
  gtk_widget_class_set_template_from_resource (widget_class, "/org/formarium/Formarium/fm-window.ui");
  gtk_widget_class_bind_template_child (widget_class, FmWindow, toasts);
  gtk_widget_class_bind_template_child (widget_class, FmWindow, split);
  gtk_widget_class_bind_template_child (widget_class, FmWindow, sidebar);
  gtk_widget_class_bind_template_child (widget_class, FmWindow, stack);
  gtk_widget_class_bind_template_child (widget_class, FmWindow, menu_button);
  gtk_widget_class_bind_template_callback (widget_class, sidebar_activated);
  gtk_widget_class_install_action (widget_class, "win.page", "s", page_action);
  gtk_widget_class_install_action (widget_class, "win.open", "(ss)", open_action);
  gtk_widget_class_install_action (widget_class, "win.search", NULL, search_action);
  gtk_widget_class_install_action (widget_class, "win.save", NULL, save_action);
  gtk_widget_class_install_action (widget_class, "win.undo", NULL, undo_action);
  gtk_widget_class_install_action (widget_class, "win.back", NULL, back_action);
  gtk_widget_class_install_action (widget_class, "win.next-pane", NULL, next_pane_action);
  gtk_widget_class_install_action (widget_class, "win.side-pane", NULL, side_pane_action);
  gtk_widget_class_install_action (widget_class, "win.menu", NULL, menu_action);
  gtk_widget_class_add_binding_action (widget_class, GDK_KEY_Escape, 0, "win.back", NULL);
}

static void
fm_window_init (FmWindow *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  for (guint i = 0; i < G_N_ELEMENTS (pages); i++)
    {
      GtkWidget *page = g_object_new (pages[i].type (), NULL);

      g_signal_connect_object (page, "toast", G_CALLBACK (add_toast), self, G_CONNECT_SWAPPED);
      gtk_stack_add_named (self->stack, page, pages[i].name);
      gtk_list_box_append (self->sidebar, make_sidebar_row (self, i));
      /* Toasts lie over all pages, and their buttons mean actions of one of them. */
      if (g_object_get_data (G_OBJECT (page), "actions") != NULL)
        gtk_widget_insert_action_group (GTK_WIDGET (self), pages[i].name, g_object_get_data (G_OBJECT (page), "actions"));
    }
  g_signal_connect_object (self->split, "notify::folded", G_CALLBACK (folded_changed), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (fm_session_get (), "runners", G_CALLBACK (runners_changed), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (fm_session_get (), "changed", G_CALLBACK (store_read), self, G_CONNECT_SWAPPED);
  fm_window_show_page (self, pages[0].name, NULL);
  self->moved = FALSE;
  if (fm_session_get_loaded (fm_session_get ()))
    store_read (self);
}

FmWindow *
fm_window_new (GtkApplication *application,
               gboolean        remember)
{
  FmWindow *self = g_object_new (FM_TYPE_WINDOW, "application", application, NULL);

  self->remember = remember;
  if (remember)
    load_state (self);
  return self;
}
