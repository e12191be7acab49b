/* test-library.c: the library page: list, search, description, rejected file, narrow and dark */
#include "config.h"

#include "ui-test.h"

#include "fm-panes.h"

static gboolean
list_is_there (gpointer window)
{
  return ui_test_find (window, GTK_TYPE_SEARCH_ENTRY, NULL) != NULL && ui_test_find_text (window, "pooling") != NULL;
}

static void
select_row (GtkWidget  *list,
            const char *text)
{
  GtkWidget *row = gtk_widget_get_ancestor (ui_test_find_text (list, text), GTK_TYPE_LIST_BOX_ROW);

  gtk_list_box_select_row (GTK_LIST_BOX (list), GTK_LIST_BOX_ROW (row));
  gtk_widget_activate (row);
  ui_test_settle (30);
}

static void
test_library (void)
{
  FmWindow *window = ui_test_window (1280, 800);
  GtkWidget *search, *list;

  fm_window_show_page (window, "library", NULL);
  ui_test_wait (list_is_there, window, 20, "the variants");
  search = ui_test_find (window, GTK_TYPE_SEARCH_ENTRY, NULL);
  list = ui_test_find (window, GTK_TYPE_LIST_BOX, "list");
  select_row (list, "pooling");
  g_assert_nonnull (ui_test_find_text (window, "2022"));
  g_assert_nonnull (ui_test_find_text (window, "Parameters"));
  ui_test_names (window);
  ui_test_picture (window, "library-light");

  /* A text file named .so stands last, with what was found and wanted. */
  select_row (list, "broken.so");
  g_assert_nonnull (ui_test_find_text (window, "Wanted"));
  g_assert_nonnull (ui_test_find_text (window, "Try again"));
  ui_test_names (window);

  /* Searching leaves what matches; a miss offers the nearest name. */
  gtk_widget_activate_action (GTK_WIDGET (window), "win.search", NULL);
  g_assert_true (gtk_widget_is_ancestor (gtk_window_get_focus (GTK_WINDOW (window)), search));
  gtk_editable_set_text (GTK_EDITABLE (search), "swigl");
  ui_test_settle (300);
  g_assert_nonnull (ui_test_find_text (list, "swiglu"));
  g_assert_null (ui_test_find_text (list, "pooling"));
  gtk_editable_set_text (GTK_EDITABLE (search), "poolign");
  ui_test_settle (300);
  g_assert_nonnull (ui_test_find_text (list, "Nothing is called"));
  g_assert_nonnull (ui_test_find_text (list, "pooling"));
  gtk_editable_set_text (GTK_EDITABLE (search), "");
  ui_test_settle (300);
  ui_test_close (window);
}

static gboolean
is_narrow (gpointer panes)
{
  return fm_panes_get_narrow (panes);
}

static void
test_narrow_and_dark (void)
{
  FmWindow *window = ui_test_window (370, 720);
  FmPanes *panes;

  ui_test_set_dark (window, TRUE);
  fm_window_show_page (window, "library", NULL);
  ui_test_wait (list_is_there, window, 20, "the variants");
  panes = ui_test_find (window, FM_TYPE_PANES, NULL);
  ui_test_wait (is_narrow, panes, 20, "one column at a time");
  ui_test_names (window);
  ui_test_picture (window, "library-narrow-dark");
  select_row (ui_test_find (window, GTK_TYPE_LIST_BOX, "list"), "pooling");
  g_assert_cmpstr (fm_panes_get_shown (panes), ==, "about");
  ui_test_picture (window, "library-narrow-dark-about");

  /* Escape leads back to the list, then to the pages. */
  gtk_widget_activate_action (GTK_WIDGET (window), "win.back", NULL);
  g_assert_cmpstr (fm_panes_get_shown (panes), ==, "variants");
  gtk_widget_activate_action (GTK_WIDGET (window), "win.back", NULL);
  ui_test_settle (100);
  g_assert_null (ui_test_find (window, FM_TYPE_PANES, NULL));
  ui_test_picture (window, "narrow-pages-dark");
  ui_test_set_dark (window, FALSE);
  ui_test_close (window);
}

int
main (int   argc,
      char *argv[])
{
  g_autofree char *folder = NULL;
  g_autofree char *file = NULL;
  g_autofree char *path = NULL;

  folder = g_dir_make_tmp ("fm-ui-plugins-XXXXXX", NULL);
  g_assert_nonnull (folder);
  file = g_build_filename (folder, "broken.so", NULL);
  path = g_strdup_printf ("%s:%s", g_getenv ("FORMARIUM_PLUGIN_PATH"), folder);
  g_assert_true (g_file_set_contents (file, "not a plugin\n", -1, NULL));
  g_setenv ("FORMARIUM_PLUGIN_PATH", path, TRUE);
  ui_test_init (&argc, &argv);

  g_test_add_func ("/ui/library/list-search-rejected", test_library);
  g_test_add_func ("/ui/library/narrow-dark", test_narrow_and_dark);
  return ui_test_run ();
}
