/* test-results.c: the results page: statement, table, sorting, shared selection, search, saving, narrow and dark */
#include "config.h"

#include "ui-test.h"

#include "fm-figure-view.h"
#include "fm-panes.h"
#include "ui-store.h"

#include <string.h>

static gboolean
table_is_there (gpointer window)
{
  return ui_test_find_text (window, "FAIL") != NULL;
}

static gboolean
table_is_gone (gpointer window)
{
  return ui_test_find (window, GTK_TYPE_COLUMN_VIEW, NULL) == NULL;
}

static GtkSingleSelection *
selection_of (FmWindow *window)
{
  return GTK_SINGLE_SELECTION (gtk_column_view_get_model (ui_test_find (window, GTK_TYPE_COLUMN_VIEW, NULL)));
}

static void
test_table (void)
{
  FmWindow *window = ui_test_window (1290, 810);
  FmPage *page = fm_window_get_page (window, "results");
  GtkSingleSelection *selection;
  FmFigureView *plot;
  gint64 cursor;

  fm_window_show_page (window, "results", NULL);
  ui_test_wait (table_is_there, window, 20, "the table");
  g_assert_nonnull (ui_test_find_text (window, "1 failed"));
  g_assert_nonnull (ui_test_find_text (window, "diverged at step 212"));
  g_assert_nonnull (ui_test_find_text (window, "Chance level"));
  ui_test_names (window);
  selection = selection_of (window);
  g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (selection)), ==, 5);

  /* A row chosen in the table is chosen in the plot and compared with the baseline. */
  gtk_single_selection_set_selected (selection, 3);
  ui_test_settle (50);
  g_assert_nonnull (ui_test_find_text (window, "linear-attention against baseline"));
  ui_test_picture (window, "results-light");
  plot = g_object_get_data (G_OBJECT (page), "plot");
  cursor = fm_figure_view_get_cursor (plot);
  g_assert_cmpint (cursor, ==, 3);

  /* An arrow in the plot chooses the next dearer variant, in the table as well. */
  g_signal_emit_by_name (plot, "moved", 1, 0);
  ui_test_settle (30);
  g_assert_cmpint (gtk_single_selection_get_selected (selection), ==, 2);

  /* Sorting by accuracy puts the best on top. */
  g_signal_emit_by_name (gtk_widget_get_ancestor (ui_test_find_text (window, "Test accuracy"), GTK_TYPE_BUTTON),
                         "clicked");
  ui_test_settle (100);
  g_assert_nonnull (ui_test_find_text (window, "Test accuracy, % ▾"));
  {
    gtk_single_selection_set_selected (selection, 0);
    ui_test_settle (30);
    g_assert_cmpint (fm_figure_view_get_cursor (plot), ==, 1);
  }

  /* A filter without a hit says so and offers the way back. */
  gtk_widget_activate_action (GTK_WIDGET (window), "win.search", NULL);
  gtk_editable_set_text (GTK_EDITABLE (ui_test_find (window, GTK_TYPE_SEARCH_ENTRY, NULL)), "zebra");
  ui_test_settle (300);
  g_assert_nonnull (ui_test_find_text (window, "No run matches"));
  gtk_widget_activate_action (GTK_WIDGET (window), "win.back", NULL);
  ui_test_settle (300);
  g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (selection)), ==, 5);

  ui_test_set_dark (window, TRUE);
  ui_test_picture (window, "results-dark");
  ui_test_set_dark (window, FALSE);
  ui_test_close (window);
}

static void
test_narrow (void)
{
  FmWindow *window = ui_test_window (370, 760);

  fm_window_show_page (window, "results", NULL);
  ui_test_wait (table_is_there, window, 20, "the cards");
  ui_test_wait (table_is_gone, window, 20, "cards instead of the table");
  ui_test_names (window);
  ui_test_picture (window, "results-narrow");
  fm_panes_show (ui_test_find (window, FM_TYPE_PANES, NULL), "plot");
  ui_test_settle (60);
  g_assert_nonnull (ui_test_find_text (window, "Accuracy against latency"));
  ui_test_picture (window, "results-narrow-plot");
  ui_test_close (window);
}

int
main (int   argc,
      char *argv[])
{
  ui_test_init (&argc, &argv);
  ui_store_fill ("First comparison");
  g_test_add_func ("/ui/results/table-plot-sort-search", test_table);
  g_test_add_func ("/ui/results/narrow", test_narrow);
  return ui_test_run ();
}
