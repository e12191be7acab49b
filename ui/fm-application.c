/* fm-application.c: the program `formarium-gtk` */
#include "config.h"

#include <glib/gi18n.h>
#include <locale.h>

#include "app/architecture/plugins.h"
#include "fm-application.h"
#include "fm-screenshot.h"
#include "fm-window.h"

struct _FmApplication
{
  AdwApplication parent_instance;

  char *screenshot; /* page whose picture is wanted, or NULL */
  char *style;      /* "light", "dark" or NULL */
  gint  width, height;
};

G_DEFINE_FINAL_TYPE (FmApplication, fm_application, ADW_TYPE_APPLICATION)

FmApplication *
fm_application_new (gboolean unique)
{
  /* Opening plugins forks, which is only safe while this process has a single thread; GTK starts several. */
  fm_plugins_list ();
  return g_object_new (FM_TYPE_APPLICATION,
                       "application-id", "org.formarium.Formarium",
                       "resource-base-path", "/org/formarium/Formarium",
                       "flags", unique ? G_APPLICATION_HANDLES_COMMAND_LINE
                                       : G_APPLICATION_HANDLES_COMMAND_LINE | G_APPLICATION_NON_UNIQUE,
                       NULL);
}

static void
about_action (GSimpleAction *action,
              GVariant      *parameter,
              gpointer       user_data)
{
  GtkWindow *window = gtk_application_get_active_window (GTK_APPLICATION (user_data));

  adw_show_about_window (window,
                         "application-name", "Formarium",
                         "application-icon", "org.formarium.Formarium",
                         "version", FM_VERSION,
                         "comments", _("A bench for Transformer architectures: trains and measures variants on your own"
                                       " hardware and shows what each one costs, gains and looks at."),
                         "license-type", GTK_LICENSE_GPL_3_0,
                         NULL);
}

static void
dark_action (GSimpleAction *action,
             GVariant      *state,
             gpointer       user_data)
{
  const char *name = g_variant_get_string (state, NULL);

  adw_style_manager_set_color_scheme (adw_style_manager_get_default (),
                                      g_str_equal (name, "dark")    ? ADW_COLOR_SCHEME_FORCE_DARK
                                      : g_str_equal (name, "light") ? ADW_COLOR_SCHEME_FORCE_LIGHT
                                                                    : ADW_COLOR_SCHEME_DEFAULT);
  g_simple_action_set_state (action, state);
}

static void
quit_action (GSimpleAction *action,
             GVariant      *parameter,
             gpointer       user_data)
{
  GtkWindow *window;

  while ((window = gtk_application_get_active_window (GTK_APPLICATION (user_data))) != NULL)
    gtk_window_destroy (window);
}

static void
fm_application_startup (GApplication *application)
{
  static const GActionEntry actions[] = {
    { "about", about_action },
    { "quit", quit_action },
    { "style", NULL, "s", "'default'", dark_action },
  };
  static const struct { const char *action, *keys[3]; } accels[] = {
    { "app.quit", { "<Control>q" } },
    { "window.close", { "<Control>w" } },
    { "win.page('library')", { "<Alt>1" } },
    { "win.page('runs')", { "<Alt>2" } },
    { "win.page('results')", { "<Alt>3" } },
    { "win.page('explore')", { "<Alt>4" } },
    { "win.search", { "<Control>f" } },
    { "win.save", { "<Control>s" } },
    { "win.undo", { "<Control>z" } },
    { "win.next-pane", { "F6" } },
    { "win.side-pane", { "F9" } },
    { "win.menu", { "F10" } },
    { "win.show-help-overlay", { "<Control>question", "<Control>slash" } },
  };
  G_APPLICATION_CLASS (fm_application_parent_class)->startup (application);
  gtk_window_set_default_icon_name ("org.formarium.Formarium");
  g_action_map_add_action_entries (G_ACTION_MAP (application), actions, G_N_ELEMENTS (actions), application);
  for (guint i = 0; i < G_N_ELEMENTS (accels); i++)
    gtk_application_set_accels_for_action (GTK_APPLICATION (application), accels[i].action, accels[i].keys);
}

static FmWindow *
get_window (FmApplication *self)
{
  GtkWindow *window = gtk_application_get_active_window (GTK_APPLICATION (self));

  return window != NULL ? FM_WINDOW (window) : fm_window_new (GTK_APPLICATION (self), self->screenshot == NULL);
}

static void
fm_application_activate (GApplication *application)
{
  gtk_window_present (GTK_WINDOW (get_window (FM_APPLICATION (application))));
}

static int
fm_application_command_line (GApplication            *application,
                             GApplicationCommandLine *line)
{
  FmApplication *self = FM_APPLICATION (application);
  GVariantDict *options = g_application_command_line_get_options_dict (line);
  const char *page = NULL;
  g_auto (GStrv) arguments = g_application_command_line_get_arguments (line, NULL);

  g_clear_pointer (&self->screenshot, g_free);
  g_variant_dict_lookup (options, "screenshot", "s", &self->screenshot);
  if (self->screenshot != NULL)
    {
      if (g_strv_length (arguments) != 2)
        {
          g_application_command_line_printerr (line, "formarium-gtk: --screenshot PAGE wants one file name ending in"
                                                     " .png after it.\n");
          return 2;
        }
      self->width = 1280;
      self->height = 800;
      g_variant_dict_lookup (options, "width", "i", &self->width);
      g_variant_dict_lookup (options, "height", "i", &self->height);
      if (g_variant_dict_contains (options, "dark"))
        g_action_group_change_action_state (G_ACTION_GROUP (self), "style", g_variant_new_string ("dark"));
      fm_screenshot_take (get_window (self), self->screenshot, arguments[1], self->width, self->height, line);
      return 0;
    }
  if (g_strv_length (arguments) > 1)
    {
      g_application_command_line_printerr (line, "formarium-gtk: \"%s\" is not understood; batch files are opened on the"
                                                 " page Runs, or with: formarium run FILE\n", arguments[1]);
      return 2;
    }
  g_application_activate (application);
  if (g_variant_dict_lookup (options, "page", "&s", &page))
    fm_window_show_page (get_window (self), page, NULL);
  return 0;
}

static int
fm_application_handle_local_options (GApplication *application,
                                     GVariantDict *options)
{
  if (g_variant_dict_contains (options, "version"))
    {
      g_print ("formarium-gtk %s\n", FM_VERSION);
      return 0;
    }
  return -1;
}

static void
fm_application_finalize (GObject *object)
{
  g_free (FM_APPLICATION (object)->screenshot);
  G_OBJECT_CLASS (fm_application_parent_class)->finalize (object);
}

static void
fm_application_class_init (FmApplicationClass *klass)
{
  GApplicationClass *application_class = G_APPLICATION_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = fm_application_finalize;
  application_class->startup = fm_application_startup;
  application_class->activate = fm_application_activate;
  application_class->command_line = fm_application_command_line;
  application_class->handle_local_options = fm_application_handle_local_options;
}

static void
fm_application_init (FmApplication *self)
{
  static const GOptionEntry options[] = {
    { "page", 'p', 0, G_OPTION_ARG_STRING, NULL, N_("Open at a page: library, runs, results or explore"), N_("PAGE") },
    { "screenshot", 0, 0, G_OPTION_ARG_STRING, NULL,
      N_("Write a picture of a page to the file named last, and end"), N_("PAGE") },
    { "width", 0, 0, G_OPTION_ARG_INT, NULL, N_("Width of that picture in pixels"), N_("N") },
    { "height", 0, 0, G_OPTION_ARG_INT, NULL, N_("Height of that picture in pixels"), N_("N") },
    { "dark", 0, 0, G_OPTION_ARG_NONE, NULL, N_("Take that picture in dark style"), NULL },
    { "version", 0, 0, G_OPTION_ARG_NONE, NULL, N_("Print the version"), NULL },
    { NULL }
  };

  g_application_add_main_option_entries (G_APPLICATION (self), options);
  g_application_set_option_context_parameter_string (G_APPLICATION (self), N_("[FILE.png]"));
  g_application_set_option_context_summary (
    G_APPLICATION (self), N_("The window of Formarium.\n\nExample:\n  formarium-gtk --page explore"));
}
