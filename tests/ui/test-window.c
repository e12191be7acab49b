/* test-window.c: what holds for every page: it fits a phone, its controls have names, keys lead to it, empty says what
 * to do */
#include "config.h"

#include "fm-session.h"
#include "ui-test.h"

#include <sqlite3.h>

static const char * const pages[] = { "library", "runs", "results", "explore" };

static gboolean
is_ready (gpointer page)
{
  return fm_page_get_ready (page);
}

static gboolean
is_estimated (gpointer window)
{
  return ui_test_find_text (window, "about ") != NULL;
}

static void
test_pages (void)
{
  FmWindow *window = ui_test_window (1290, 810);

  for (guint i = 0; i < G_N_ELEMENTS (pages); i++)
    {
      FmPage *page = fm_window_get_page (window, pages[i]);
      g_autofree char *picture = g_strdup_printf ("%s-empty", pages[i]);
      int minimum;

      gtk_widget_activate_action (GTK_WIDGET (window), "win.page", "s", pages[i]);
      ui_test_wait (is_ready, page, 20, pages[i]);
      ui_test_settle (100);
      g_assert_true (gtk_widget_get_mapped (GTK_WIDGET (page)));
      ui_test_names (window);
      ui_test_picture (window, picture);
      gtk_widget_measure (GTK_WIDGET (page), GTK_ORIENTATION_HORIZONTAL, -1, &minimum, NULL, NULL, NULL);
      g_test_message ("%s needs %d px", pages[i], minimum);
      g_assert_cmpint (minimum, <=, 360);
    }
  /* Nothing was ever measured, so every page offers the way to a first comparison. */
  fm_window_show_page (window, "results", NULL);
  ui_test_settle (50);
  g_assert_nonnull (ui_test_find_text (window, "Start the first comparison"));
  fm_window_show_page (window, "explore", NULL);
  ui_test_settle (50);
  g_assert_nonnull (ui_test_find_text (window, "Train one"));
  fm_window_show_page (window, "runs", NULL);
  ui_test_settle (50);
  g_assert_nonnull (ui_test_find_text (window, "What would you like to find out?"));
  ui_test_wait (is_estimated, window, 60, "the time a question takes");
  ui_test_close (window);
}

/* F6 walks from the pages to the columns of the page and back. */
static void
test_next_pane (void)
{
  FmWindow *window = ui_test_window (1290, 810);
  GtkWidget *sidebar, *page = GTK_WIDGET (fm_window_get_page (window, "library"));

  fm_window_show_page (window, "library", NULL);
  ui_test_wait (is_ready, page, 20, "the library");
  ui_test_settle (200);
  sidebar = ui_test_find (window, GTK_TYPE_LIST_BOX, "sidebar");
  gtk_widget_child_focus (sidebar, GTK_DIR_TAB_FORWARD);
  g_assert_true (gtk_widget_is_ancestor (gtk_window_get_focus (GTK_WINDOW (window)), sidebar));
  gtk_widget_activate_action (GTK_WIDGET (window), "win.next-pane", NULL);
  g_assert_true (gtk_widget_is_ancestor (gtk_window_get_focus (GTK_WINDOW (window)), page));
  for (guint i = 0; i < 4 && !gtk_widget_is_ancestor (gtk_window_get_focus (GTK_WINDOW (window)), sidebar); i++)
    gtk_widget_activate_action (GTK_WIDGET (window), "win.next-pane", NULL);
  g_assert_true (gtk_widget_is_ancestor (gtk_window_get_focus (GTK_WINDOW (window)), sidebar));
  ui_test_close (window);
}

static gboolean
is_told (gpointer window)
{
  return ui_test_find_text (window, "was of version 1") != NULL;
}

/* A store of an earlier program is brought to this one's version, and the window says so and where the old one is. */
static void
test_old_store (void)
{
  FmWindow *window = ui_test_window (1290, 810);
  const char *path = fm_session_get_store_path (fm_session_get ());
  g_autofree char *script = g_build_filename (g_getenv ("FORMARIUM_SOURCE_DIR"), "tests", "storage", "version-1.sql", NULL);
  g_autofree char *folder = g_path_get_dirname (path), *text = NULL;
  g_autoptr (GError) error = NULL;
  sqlite3 *db;

  g_assert_true (g_file_get_contents (script, &text, NULL, &error));
  g_assert_cmpint (g_mkdir_with_parents (folder, 0700), ==, 0);
  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_exec (db, text, NULL, NULL, NULL), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_close (db), ==, SQLITE_OK);
  ui_test_wait (is_told, window, 20, "the word about the old store");
  ui_test_settle (400);
  ui_test_picture (window, "old-store");
  ui_test_close (window);
}

int
main (int   argc,
      char *argv[])
{
  ui_test_init (&argc, &argv);
  g_test_add_func ("/ui/window/empty-pages-fit", test_pages);
  g_test_add_func ("/ui/window/next-pane", test_next_pane);
  g_test_add_func ("/ui/window/old-store", test_old_store); /* last: the others want none */
  return ui_test_run ();
}
