/* test-explore.c: the whole way in one process: a small batch is started from the window, its row appears, its model is
 * looked into, another head and patch are chosen, in dark style and on a phone.
 *
 * Takes 20 s: a real batch trains, is measured, its model is loaded twice, and a long batch is paused and cancelled. */
#include "config.h"

#include "ui-test.h"

#include "fm-figure-view.h"
#include "fm-panes.h"
#include "fm-session.h"

#include <glib/gstdio.h>
#include <string.h>

static const char batch_text[] =
  "[batch]\n"
  "title=Tiny\n"
  "task=mqar\n"
  "variants=softmax-attention x mlp; softmax-attention x switch\n"
  "layers=2\n"
  "width=32\n"
  "hidden=32\n"
  "budget=steps:20\n"
  "batch=8\n"
  "seeds=1\n"
  "[mqar]\n"
  "length=32\n"
  "pairs=4\n";

static gboolean
has_control (gpointer data)
{
  return fm_session_get_control (fm_session_get (), 1) != NULL || fm_session_find_batch (fm_session_get (), 1) != NULL;
}

static gboolean
batch_is_done (gpointer data)
{
  FmBatchItem *item = fm_session_find_batch (fm_session_get (), 1);

  return item != NULL && fm_batch_item_get_record (item)->state == FM_BATCH_DONE
         && fm_batch_item_get_record (item)->n_runs_done == 2;
}

static gboolean
runs_say_finished (gpointer window)
{
  return ui_test_find_text (window, "Finished") != NULL && ui_test_find_text (window, "2 of 2 runs done") != NULL;
}

static gboolean
row_is_there (gpointer window)
{
  return ui_test_find_text (window, "softmax-attention") != NULL && ui_test_find_text (window, "2 done") != NULL;
}

static gboolean
is_ready (gpointer page)
{
  return fm_page_get_ready (page);
}

static void
test_run_and_explore (void)
{
  FmWindow *window = ui_test_window (1290, 810);
  FmPage *page = fm_window_get_page (window, "explore");
  g_autofree char *path = g_build_filename (g_getenv ("XDG_STATE_HOME"), "tiny.batch", NULL);
  GtkWidget *button;

  g_assert_true (g_file_set_contents (path, batch_text, -1, NULL));
  fm_window_show_page (window, "runs", NULL);
  ui_test_settle (200);
  gtk_widget_activate_action (GTK_WIDGET (fm_window_get_page (window, "runs")), "runs.start", "s", path);
  ui_test_wait (has_control, NULL, 60, "the batch to start");
  ui_test_settle (1200);
  ui_test_names (window);
  ui_test_picture (window, "runs-live");
  ui_test_wait (batch_is_done, NULL, 180, "the batch to finish");
  ui_test_wait (runs_say_finished, window, 20, "the page to say so");
  ui_test_names (window);
  ui_test_picture (window, "runs-finished");

  /* The row of the table. */
  fm_window_show_page (window, "results", NULL);
  ui_test_wait (row_is_there, window, 20, "the row in the results");

  /* The model, loaded by its own worker. */
  fm_window_show_page (window, "explore", NULL);
  ui_test_wait (is_ready, page, 60, "the model's answers");
  g_assert_nonnull (ui_test_find_text (window, "Layer 1, head 1"));
  g_assert_nonnull (ui_test_find_text (window, "Weights, not an explanation"));
  ui_test_names (window);
  gtk_widget_activate_action (GTK_WIDGET (page), "explore.head", "i", 1);
  ui_test_settle (50);
  g_assert_nonnull (ui_test_find_text (window, "Layer 1, head 2"));
  gtk_widget_activate_action (GTK_WIDGET (page), "explore.layer", "i", 1);
  ui_test_settle (50);
  g_assert_nonnull (ui_test_find_text (window, "Layer 2, head 2"));

  /* An arrow inside the figure moves the looking token. */
  {
    GtkWidget *from = ui_test_find_text (window, "From token");
    g_autofree char *before = g_strdup (gtk_label_get_text (GTK_LABEL (from)));

    g_signal_emit_by_name (ui_test_find (window, FM_TYPE_FIGURE_VIEW, NULL), "moved", 0, 1);
    ui_test_settle (50);
    g_assert_cmpstr (gtk_label_get_text (GTK_LABEL (from)), !=, before);
  }
  button = gtk_widget_get_ancestor (ui_test_find_text (window, "Mean"), GTK_TYPE_TOGGLE_BUTTON);
  gtk_toggle_button_set_active (GTK_TOGGLE_BUTTON (button), TRUE);
  ui_test_settle (50);
  g_assert_nonnull (ui_test_find_text (window, "mean of its heads"));
  ui_test_picture (window, "explore-tokens-light");

  /* Routing: this run has none and offers one that has. */
  gtk_widget_activate_action (GTK_WIDGET (page), "explore.view", "s", "routing");
  ui_test_settle (150);
  g_assert_nonnull (ui_test_find_text (window, "This run has no experts"));
  gtk_widget_activate_action (GTK_WIDGET (page), "explore.experts", NULL);
  ui_test_wait (is_ready, page, 60, "the answers of the model with experts");
  ui_test_settle (500);
  g_assert_nonnull (ui_test_find_text (window, "Who gets the tokens"));
  ui_test_names (window);
  ui_test_set_dark (window, TRUE);
  ui_test_picture (window, "routing-dark");
  gtk_widget_activate_action (GTK_WIDGET (page), "explore.view", "s", "attention");
  ui_test_settle (150);
  ui_test_picture (window, "explore-tokens-dark");
  ui_test_set_dark (window, FALSE);
  ui_test_close (window);
}

static void
test_narrow (void)
{
  FmWindow *window = ui_test_window (370, 760);
  FmPage *page = fm_window_get_page (window, "explore");

  fm_window_show_page (window, "explore", NULL);
  ui_test_wait (is_ready, page, 60, "the model's answers");
  ui_test_settle (200);
  ui_test_names (window);
  ui_test_picture (window, "explore-narrow");
  fm_panes_show (ui_test_find (window, FM_TYPE_PANES, NULL), "heads");
  ui_test_settle (100);
  g_assert_nonnull (ui_test_find_text (window, "Heads"));
  ui_test_picture (window, "explore-narrow-heads");
  fm_window_show_page (window, "runs", NULL);
  ui_test_settle (300);
  ui_test_picture (window, "runs-narrow");

  /* With everything in them the pages still fit a phone. */
  for (guint i = 0; i < 3; i++)
    {
      static const char * const pages[] = { "runs", "results", "explore" };
      int minimum;

      fm_window_show_page (window, pages[i], NULL);
      ui_test_settle (100);
      gtk_widget_measure (GTK_WIDGET (fm_window_get_page (window, pages[i])), GTK_ORIENTATION_HORIZONTAL, -1, &minimum,
                          NULL, NULL, NULL);
      g_assert_cmpint (minimum, <=, 360);
    }
  ui_test_close (window);
}

static gboolean
second_is_training (gpointer data)
{
  FmControl *control = fm_session_get_control (fm_session_get (), 2);

  return control != NULL && fm_control_get_status (control)->phase == FM_RUN_TRAINING
         && fm_control_get_status (control)->workers->len > 0;
}

static gboolean
long_is_shown (gpointer page)
{
  return ui_test_find_text (page, "Long") != NULL && ui_test_find_text (page, "of 200,000") != NULL;
}

static gboolean
second_is_paused (gpointer data)
{
  FmControl *control = fm_session_get_control (fm_session_get (), 2);

  return control != NULL && fm_control_get_status (control)->phase == FM_RUN_PAUSED;
}

static gboolean
second_is_gone (gpointer data)
{
  FmBatchItem *item = fm_session_find_batch (fm_session_get (), 2);

  return fm_session_get_control (fm_session_get (), 2) == NULL && item != NULL
         && fm_batch_item_get_record (item)->state == FM_BATCH_CANCELLED;
}

/* A long batch is paused, goes on, and is cancelled, all through the socket of the process that runs it. */
static void
test_steer (void)
{
  FmWindow *window = ui_test_window (1290, 810);
  GtkWidget *page = GTK_WIDGET (fm_window_get_page (window, "runs"));
  g_autofree char *path = g_build_filename (g_getenv ("XDG_STATE_HOME"), "long.batch", NULL);
  g_autoptr (GString) text = g_string_new (batch_text);

  g_string_replace (text, "title=Tiny", "title=Long", 0);
  g_string_replace (text, "steps:20", "steps:200000", 0);
  g_assert_true (g_file_set_contents (path, text->str, -1, NULL));
  fm_window_show_page (window, "runs", NULL);
  ui_test_settle (200);
  gtk_widget_activate_action (page, "runs.start", "s", path);
  ui_test_wait (second_is_training, NULL, 60, "the long batch to train");
  ui_test_wait (long_is_shown, page, 30, "the page to show it");
  gtk_widget_activate_action (page, "runs.pause", NULL);
  ui_test_wait (second_is_paused, NULL, 30, "the pause");
  ui_test_settle (300);
  g_assert_nonnull (ui_test_find_text (page, "paused by you"));
  ui_test_picture (window, "runs-paused");
  gtk_widget_activate_action (page, "runs.pause", NULL);
  ui_test_wait (second_is_training, NULL, 30, "going on");
  gtk_widget_activate_action (page, "runs.cancel", NULL);
  ui_test_wait (second_is_gone, NULL, 60, "the cancelling");
  ui_test_settle (300);
  g_assert_nonnull (ui_test_find_text (window, "Long is cancelled"));
  g_assert_nonnull (ui_test_find_text (window, "Undo"));
  g_assert_true (gtk_widget_is_sensitive (ui_test_find_text (window, "Undo")));
  ui_test_picture (window, "runs-cancelled");
  ui_test_close (window);
}

int
main (int   argc,
      char *argv[])
{
  ui_test_init (&argc, &argv);
  g_test_message ("takes 20 s: a real batch trains and is measured, its model is loaded, a long batch is paused and cancelled");
  g_test_add_func ("/ui/explore/run-row-head", test_run_and_explore);
  g_test_add_func ("/ui/explore/narrow", test_narrow);
  g_test_add_func ("/ui/runs/pause-cancel", test_steer);
  return ui_test_run ();
}
