/* ui-test.c: the window in one process with the test that drives it */
#include "config.h"

#include "ui-test.h"

#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static FmApplication *application;

void
ui_test_init (int    *argc,
              char ***argv)
{
  g_autofree char *home = g_build_filename (g_getenv ("G_TEST_BUILDDIR") ? g_getenv ("G_TEST_BUILDDIR") : g_get_tmp_dir (),
                                            "ui", "home-XXXXXX", NULL);
  g_autofree char *parent = g_path_get_dirname (home);
  g_autofree char *store = NULL;
  g_autofree char *runtime = NULL;

  g_mkdir_with_parents (parent, 0700);
  g_assert_nonnull (g_mkdtemp (home));
  store = g_build_filename (home, "formarium.db", NULL);
  runtime = g_build_filename ("/tmp", "fm-ui-XXXXXX", NULL); /* short: the path of a socket has 107 bytes at most */
  g_assert_nonnull (g_mkdtemp (runtime));
  g_setenv ("FORMARIUM_STORE", store, TRUE);
  g_setenv ("XDG_RUNTIME_DIR", runtime, TRUE);
  g_setenv ("XDG_STATE_HOME", home, TRUE);

  gtk_test_init (argc, argv, NULL);
  g_object_set (gtk_settings_get_default (), "gtk-font-name", "Cantarell 11", "gtk-decoration-layout", ":close",
                "gtk-enable-animations", FALSE, NULL);
  application = fm_application_new (FALSE);
  g_assert_true (g_application_register (G_APPLICATION (application), NULL, NULL));
}

int
ui_test_run (void)
{
  int status = g_test_run ();

  fflush (NULL);
  _exit (status);
}

void
ui_test_settle (gint milliseconds)
{
  gint64 end = g_get_monotonic_time () + milliseconds * 1000;

  while (g_get_monotonic_time () < end)
    if (!g_main_context_iteration (NULL, FALSE))
      g_usleep (1000);
}

void
ui_test_wait (gboolean  (*ready) (gpointer),
              gpointer    data,
              gdouble     seconds,
              const char *what)
{
  gint64 end = g_get_monotonic_time () + (gint64) (seconds * 1e6);

  while (!ready (data))
    {
      if (g_get_monotonic_time () > end)
        g_error ("waited %g s for %s", seconds, what);
      if (!g_main_context_iteration (NULL, FALSE))
        g_usleep (1000);
    }
}

FmWindow *
ui_test_window (gint width,
                gint height)
{
  FmWindow *window = fm_window_new (GTK_APPLICATION (application), FALSE);

  gtk_window_set_default_size (GTK_WINDOW (window), width, height);
  gtk_window_present (GTK_WINDOW (window));
  gtk_test_widget_wait_for_draw (GTK_WIDGET (window));
  return window;
}

void
ui_test_close (FmWindow *window)
{
  gtk_window_destroy (GTK_WINDOW (window));
  ui_test_settle (20);
}

gpointer
ui_test_find (gpointer    root,
              GType       type,
              const char *name)
{
  GtkWidget *widget = root;

  if (gtk_widget_get_mapped (widget) && g_type_is_a (G_OBJECT_TYPE (widget), type)
      && (name == NULL || g_strcmp0 (gtk_buildable_get_buildable_id (GTK_BUILDABLE (widget)), name) == 0
          || g_strcmp0 (gtk_widget_get_name (widget), name) == 0))
    return widget;
  for (GtkWidget *child = gtk_widget_get_first_child (widget); child; child = gtk_widget_get_next_sibling (child))
    {
      gpointer found = ui_test_find (child, type, name);

      if (found != NULL)
        return found;
    }
  return NULL;
}

GtkWidget *
ui_test_find_text (gpointer    root,
                   const char *text)
{
  GtkWidget *widget = root;

  if (GTK_IS_LABEL (widget) && gtk_widget_get_mapped (widget)
      && strstr (gtk_label_get_text (GTK_LABEL (widget)), text) != NULL)
    return widget;
  for (GtkWidget *child = gtk_widget_get_first_child (widget); child; child = gtk_widget_get_next_sibling (child))
    {
      GtkWidget *found = ui_test_find_text (child, text);

      if (found != NULL)
        return found;
    }
  return NULL;
}

void
ui_test_picture (FmWindow   *window,
                 const char *name)
{
  g_autofree char *folder = g_build_filename (g_getenv ("FORMARIUM_BUILD_DIR"), "tests", "ui", "pictures", NULL);
  g_autofree char *path = g_strdup_printf ("%s/%s.png", folder, name);
  g_autoptr (GError) error = NULL;

  g_mkdir_with_parents (folder, 0755);
  ui_test_settle (120);
  /* Between a change and the next frame the window has no content; the frame after it has. */
  for (guint i = 0; !fm_screenshot_save (GTK_WIDGET (window), path, &error); i++)
    {
      if (i == 40)
        g_error ("%s", error->message);
      g_clear_error (&error);
      ui_test_settle (50);
    }
  g_test_message ("picture: %s", path);
}

void
ui_test_set_dark (FmWindow *window,
                  gboolean  dark)
{
  g_action_group_change_action_state (G_ACTION_GROUP (application), "style",
                                      g_variant_new_string (dark ? "dark" : "light"));
  ui_test_settle (80);
}

/* --- Accessible names ---------------------------------------------------------------------------------------------*/

/* The label that was given, or NULL: the check function answers with the value it found instead of the one asked. */
static char *
given_label (GtkWidget *widget)
{
  g_autofree char *value = NULL;

  if (!gtk_test_accessible_has_property (GTK_ACCESSIBLE (widget), GTK_ACCESSIBLE_PROPERTY_LABEL))
    return NULL;
  value = gtk_test_accessible_check_property (GTK_ACCESSIBLE (widget), GTK_ACCESSIBLE_PROPERTY_LABEL, "\001");
  return g_steal_pointer (&value);
}

static char *
text_within (GtkWidget *widget)
{
  if (GTK_IS_LABEL (widget) && *gtk_label_get_text (GTK_LABEL (widget)) != '\0')
    return g_strdup (gtk_label_get_text (GTK_LABEL (widget)));
  for (GtkWidget *child = gtk_widget_get_first_child (widget); child; child = gtk_widget_get_next_sibling (child))
    {
      char *text = text_within (child);

      if (text != NULL)
        return text;
    }
  return NULL;
}

static gboolean
needs_name (GtkWidget *widget)
{
  switch (gtk_accessible_get_accessible_role (GTK_ACCESSIBLE (widget)))
    {
    case GTK_ACCESSIBLE_ROLE_BUTTON:
    case GTK_ACCESSIBLE_ROLE_CHECKBOX:
    case GTK_ACCESSIBLE_ROLE_COMBO_BOX:
    case GTK_ACCESSIBLE_ROLE_GRID:
    case GTK_ACCESSIBLE_ROLE_LIST:
    case GTK_ACCESSIBLE_ROLE_LIST_BOX:
    case GTK_ACCESSIBLE_ROLE_LIST_ITEM:
    case GTK_ACCESSIBLE_ROLE_PROGRESS_BAR:
    case GTK_ACCESSIBLE_ROLE_RADIO:
    case GTK_ACCESSIBLE_ROLE_SEARCH_BOX:
    case GTK_ACCESSIBLE_ROLE_TEXT_BOX:
      return TRUE;
    default:
      return g_str_has_prefix (G_OBJECT_TYPE_NAME (widget), "FmFigure");
    }
}

void
ui_test_names (FmWindow *window)
{
  g_autoptr (GQueue) queue = g_queue_new ();
  guint n = 0;

  g_queue_push_tail (queue, window);
  while (!g_queue_is_empty (queue))
    {
      GtkWidget *widget = g_queue_pop_head (queue);

      if (!gtk_widget_get_mapped (widget) || !gtk_widget_get_child_visible (widget))
        continue;
      /* The close button of a toast is libadwaita's and has no name in 1.2. */
      if (g_str_equal (G_OBJECT_TYPE_NAME (widget), "AdwToastWidget"))
        continue;
      if (needs_name (widget) && !GTK_IS_WINDOW_CONTROLS (gtk_widget_get_parent (widget))
          && !GTK_IS_MENU_BUTTON (gtk_widget_get_parent (widget)))
        {
          g_autofree char *label = given_label (widget);
          g_autofree char *text = label == NULL ? text_within (widget) : NULL;
          const char *name = label != NULL ? label : text;

          n++;
          if (name == NULL || *name == '\0' || g_str_has_prefix (name, "Gtk") || g_str_has_prefix (name, "Adw")
              || strchr (name, '_') != NULL)
            g_error ("%s \"%s\" (in %s) has no name for people, but \"%s\"", G_OBJECT_TYPE_NAME (widget),
                     gtk_widget_get_name (widget), G_OBJECT_TYPE_NAME (gtk_widget_get_parent (widget)), name);
        }
      for (GtkWidget *child = gtk_widget_get_first_child (widget); child; child = gtk_widget_get_next_sibling (child))
        g_queue_push_tail (queue, child);
    }
  g_assert_cmpuint (n, >, 3);
}
