/* fm-results-page.c: what a batch found */
#include "config.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "app/report/report.h"
#include "app/results/format.h"
#include "fm-batch-menu.h"
#include "fm-build.h"
#include "fm-figure-view.h"
#include "fm-panes.h"
#include "fm-results-cells.h"
#include "fm-results-page.h"
#include "fm-session.h"
#include "fm-trouble-bar.h"

/* Accuracy, latency, memory of the chosen variant against the baseline. */
enum { N_COSTS = 3 };

struct _FmResultsPage
{
  FmPage parent_instance;

  AdwWindowTitle  *title;
  GtkMenuButton   *chooser, *more;
  GtkSearchBar    *search_bar;
  GtkSearchEntry  *search;
  FmTroubleBar    *trouble;
  GtkStack        *state;
  FmPanes         *panes;
  GtkLabel        *statement, *held, *footnote;
  GtkBox          *card, *plot_box;

  GtkColumnView    *view;
  GtkWidget        *head, *chance, *cards, *nothing;
  GtkLabel         *chance_value, *chance_note;
  GtkCustomFilter  *filter;
  GtkFilterListModel *filtered;
  GtkSingleSelection *selection;
  FmFigureView     *plot_view;
  GtkLabel         *compare_title;
  GtkWidget        *compare_list;
  GtkWidget        *compare_figures[N_COSTS];
  GtkLabel         *compare_values[N_COSTS];
  FmIntervalCell    compare_cells[N_COSTS];

  gint64            batch; /* 0 = the newest */
  FmResultsTable   *table;
  FmResultsScale    scale;
  GArray           *points; /* FmPlotPoint of `plot`, in the order of the table */
  FmPlot            plot;
  GCancellable     *cancellable;
};

G_DEFINE_FINAL_TYPE (FmResultsPage, fm_results_page, FM_TYPE_PAGE)

enum { PROP_DETAIL = 1, N_PROPS };

/* --- The selection, shared by table, plot and comparison ----------------------------------------------------------*/

static FmResultsRow *
selected_row (FmResultsPage *self)
{
  return self->selection != NULL ? gtk_single_selection_get_selected_item (self->selection) : NULL;
}

static void
compare_with_baseline (FmResultsPage *self)
{
  FmResultsRow *row = selected_row (self);
  FmResultsRow *baseline = row != NULL ? fm_results_table_get_baseline (self->table, row) : NULL;
  const FmVariantResult *r = row != NULL ? fm_results_row_get (row) : NULL;
  gboolean shown = r != NULL && baseline != NULL && !r->baseline && !fm_results_failed (r) && r->accuracy.n > 0;

  gtk_widget_set_visible (GTK_WIDGET (self->compare_title), shown);
  gtk_widget_set_visible (self->compare_list, shown);
  if (!shown)
    return;
  {
    g_autofree char *title = g_strdup_printf (_("%s against baseline"), r->title);

    gtk_label_set_text (self->compare_title, title);
  }
  for (guint i = 0; i < N_COSTS; i++)
    {
      gdouble value = i == 0 ? 100 * r->difference.mean : i == 1 ? r->latency_ratio : r->memory_ratio;
      FmVerdict verdict = i == 0 ? r->verdict : i == 1 ? r->latency_verdict : r->memory_verdict;
      gdouble middle = i == 0 ? 0.0 : 1.0;
      gdouble margin = i == 0 ? 100 * r->accuracy_margin : i == 1 ? r->latency_margin : r->memory_margin;
      FmEstimate estimate = FM_ESTIMATE_NONE;
      gdouble reach;
      g_autofree char *number = fm_format_number (value, i == 0 ? 1 : 2);
      g_autofree char *text = isnan (value) ? g_strdup ("–")
                                            : g_strdup_printf ("%s%s   <b>%s %s</b>%s", number, i == 0 ? "" : "×",
                                                               fm_verdict_sign (verdict), fm_verdict_word (verdict),
                                                               i == 1 && r->unstable ? _("\n<small>unstable</small>") : "");

      if (i == 0)
        {
          estimate = r->difference;
          estimate.mean *= 100, estimate.low *= 100, estimate.high *= 100;
        }
      else
        {
          estimate.n = i == 1 ? r->paired_blocks : 1;
          estimate.mean = value;
          estimate.low = i == 1 ? r->latency_ratio_low : r->memory_ratio_low;
          estimate.high = i == 1 ? r->latency_ratio_high : r->memory_ratio_high;
        }
      reach = 1.3 * MAX (fabs (value - middle), 2 * margin);
      if (!isnan (estimate.low))
        reach = MAX (reach, 1.1 * MAX (middle - estimate.low, estimate.high - middle));
      /* The shaded band is what counts as equal, not an interval of the baseline. */
      self->compare_cells[i] = (FmIntervalCell) {
        estimate, { 2, middle, NAN, middle - margin, middle + margin }, r->index, middle - reach, middle + reach
      };
      fm_figure_view_set (FM_FIGURE_VIEW (self->compare_figures[i]), &fm_figure_interval, &self->compare_cells[i]);
      gtk_label_set_markup (self->compare_values[i], text);
    }
}

static void
update_plot (FmResultsPage *self)
{
  FmResultsRow *chosen = selected_row (self);
  gint64 cursor = -1;

  g_array_set_size (self->points, 0);
  for (guint i = 0; self->table != NULL && i < fm_results_table_get_n_rows (self->table); i++)
    {
      FmResultsRow *row = fm_results_table_get_row (self->table, i);
      const FmVariantResult *r = fm_results_row_get (row);
      FmPlotPoint point = { r->label, r->index, r->latency_us_median, r->accuracy,
                            r->measured_peak_bytes >= 0 ? r->measured_peak_bytes / 1e6 : NAN, row == chosen };

      if (fm_results_failed (r) || r->accuracy.n == 0 || isnan (r->latency_us_median))
        continue;
      point.y.mean *= 100, point.y.sd *= 100, point.y.low *= 100, point.y.high *= 100;
      if (row == chosen)
        cursor = self->points->len;
      g_array_append_val (self->points, point);
    }
  self->plot = (FmPlot) { _("Latency"), _("Test accuracy"), _("Peak memory"), "µs", "%", "MB", self->points->len,
                          (FmPlotPoint *) self->points->data };
  fm_figure_view_set (self->plot_view, &fm_figure_plot, &self->plot);
  fm_figure_view_set_cursor (self->plot_view, cursor);
}

static void
selection_changed (FmResultsPage *self)
{
  GtkListBoxRow *card;

  if (self->table == NULL)
    return;
  update_plot (self);
  compare_with_baseline (self);
  card = gtk_list_box_get_row_at_index (GTK_LIST_BOX (self->cards), gtk_single_selection_get_selected (self->selection));
  if (card != NULL)
    gtk_list_box_select_row (GTK_LIST_BOX (self->cards), card);
}

/* The row that plot point @index stands for. */
static void
select_point (FmResultsPage *self,
              gint64         index)
{
  GListModel *model = G_LIST_MODEL (self->selection);
  const char *label;

  if (index < 0 || index >= self->points->len)
    return;
  label = g_array_index (self->points, FmPlotPoint, index).label;
  for (guint i = 0; i < g_list_model_get_n_items (model); i++)
    {
      g_autoptr (FmResultsRow) row = g_list_model_get_item (model, i);

      if (fm_results_row_get (row)->label == label)
        gtk_single_selection_set_selected (self->selection, i);
    }
}

static void
plot_picked (FmResultsPage *self,
             gint64         index)
{
  select_point (self, index);
}

/* Left and right walk the points by their cost, so that the arrow goes where it points. */
static void
plot_moved (FmResultsPage *self,
            gint           dx,
            gint           dy)
{
  gint64 now = fm_figure_view_get_cursor (self->plot_view), best = -1;
  const FmPlotPoint *points = (const FmPlotPoint *) self->points->data;
  gint step = dx != 0 ? dx : -dy;

  for (guint i = 0; i < self->points->len; i++)
    {
      if (now < 0 || (step > 0 ? points[i].x > points[now].x : points[i].x < points[now].x))
        if (best < 0 || (step > 0 ? points[i].x < points[best].x : points[i].x > points[best].x))
          best = i;
    }
  select_point (self, best);
}

static void
open_row (FmResultsPage *self,
          guint          position)
{
  g_autoptr (FmResultsRow) row = g_list_model_get_item (G_LIST_MODEL (self->selection), position);
  const FmVariantResult *r = row != NULL ? fm_results_row_get (row) : NULL;

  for (gsize i = 0; r != NULL && i < r->n_runs; i++)
    if (g_str_equal (r->run_states[i], "done"))
      {
        g_autofree char *run = g_strdup_printf ("%" G_GINT64_FORMAT, r->run_ids[i]);

        fm_page_open (FM_PAGE (self), "explore", run);
        return;
      }
  fm_page_toast (FM_PAGE (self), _("No seed of this variant is finished"), NULL, NULL, NULL);
}

static void
row_activated (FmResultsPage *self,
               guint          position)
{
  open_row (self, position);
}

static void
card_selected (FmResultsPage *self,
               GtkListBoxRow *row)
{
  if (row != NULL)
    gtk_single_selection_set_selected (self->selection, gtk_list_box_row_get_index (row));
}

/* --- Showing a table ----------------------------------------------------------------------------------------------*/

static gboolean
matches (gpointer item,
         gpointer user_data)
{
  FmResultsPage *self = user_data;
  g_autofree char *name = g_utf8_casefold (fm_results_row_get (item)->variant, -1);
  g_autofree char *words = g_utf8_casefold (gtk_editable_get_text (GTK_EDITABLE (self->search)), -1);

  return strstr (name, words) != NULL;
}

static void
search_changed (FmResultsPage *self)
{
  gboolean hit;

  if (self->filter == NULL)
    return;
  gtk_filter_changed (GTK_FILTER (self->filter), GTK_FILTER_CHANGE_DIFFERENT);
  hit = g_list_model_get_n_items (G_LIST_MODEL (self->selection)) > 0;
  gtk_widget_set_visible (self->nothing, !hit);
}

static void
clear_filter (FmResultsPage *self)
{
  gtk_editable_set_text (GTK_EDITABLE (self->search), "");
  gtk_search_bar_set_search_mode (self->search_bar, FALSE);
}

static GtkWidget *
make_card (gpointer item,
           gpointer user_data)
{
  return fm_results_card (item, &FM_RESULTS_PAGE (user_data)->scale);
}

static void
set_scale (FmResultsPage *self)
{
  g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (FmEstimate));

  self->scale.baseline = FM_ESTIMATE_NONE;
  for (guint i = 0; i < fm_results_table_get_n_rows (self->table); i++)
    {
      const FmVariantResult *r = fm_results_row_get (fm_results_table_get_row (self->table, i));
      FmEstimate e = r->accuracy;

      if (r->baseline)
        self->scale.baseline = e;
      e.mean *= 100, e.sd *= 100, e.low *= 100, e.high *= 100;
      if (!fm_results_failed (r) && e.n > 0)
        g_array_append_val (all, e);
    }
  fm_interval_scale ((FmEstimate *) all->data, all->len, &self->scale.low, &self->scale.high);
  self->scale.low /= 100;
  self->scale.high /= 100;
}

static void
show_chance (FmResultsPage *self)
{
  const FmVariantResult *r = fm_results_row_get (fm_results_table_get_row (self->table, 0));
  g_autofree char *value = fm_format_number (100 * r->chance_level, 1);
  g_autofree char *shortcut = fm_format_number (100 * r->best_shortcut_accuracy, 1);
  g_autoptr (GString) note = g_string_new (NULL);

  gtk_widget_set_visible (self->chance, !isnan (r->chance_level));
  gtk_label_set_text (self->chance_value, value);
  if (r->chance_level < self->scale.low)
    g_string_append (note, _("← left of this scale"));
  if (!isnan (r->best_shortcut_accuracy))
    g_string_append_printf (note, _("%sbest shortcut without mixing %s"), note->len > 0 ? " · " : "", shortcut);
  gtk_label_set_text (self->chance_note, note->str);
}

static void
show_table (FmResultsPage  *self,
            FmResultsTable *table)
{
  g_autofree char *statement = fm_results_table_statement (table);
  g_autofree char *counts = fm_results_table_counts (table);
  g_autofree char *equal = fm_results_table_held_equal (table);
  g_autofree char *footnote = fm_results_table_footnote (table);
  g_autofree char *held = NULL;
  const FmVariantResult *first = fm_results_row_get (fm_results_table_get_row (table, 0));
  guint kept = self->selection != NULL ? gtk_single_selection_get_selected (self->selection) : GTK_INVALID_LIST_POSITION;

  g_set_object (&self->table, table);
  set_scale (self);
  held = *equal != '\0' ? g_strdup_printf (_("Held equal: %s. %s, 95 %% intervals."), equal, first->task)
                        : g_strdup_printf (_("%s, 95 %% intervals."), first->task);
  gtk_label_set_text (self->statement, statement);
  gtk_label_set_text (self->held, held);
  gtk_label_set_text (self->footnote, footnote);
  adw_window_title_set_subtitle (self->title, counts);
  gtk_menu_button_set_label (self->chooser, fm_results_table_get_title (table));
  fm_results_head_set_scale (self->head, &self->scale);
  show_chance (self);

  gtk_list_box_bind_model (GTK_LIST_BOX (self->cards), NULL, NULL, NULL, NULL);
  gtk_filter_list_model_set_model (self->filtered, G_LIST_MODEL (table));
  gtk_list_box_bind_model (GTK_LIST_BOX (self->cards), G_LIST_MODEL (self->selection), make_card, self, NULL);
  /* At first the first variant that is compared with something. */
  if (kept == GTK_INVALID_LIST_POSITION)
    kept = first->baseline ? 1 : 0;
  if (kept < g_list_model_get_n_items (G_LIST_MODEL (self->selection)))
    gtk_single_selection_set_selected (self->selection, kept);
  gtk_stack_set_visible_child_name (self->state, "table");
  gtk_widget_set_visible (GTK_WIDGET (self->chooser), !fm_page_get_folded (FM_PAGE (self)));
  selection_changed (self);
}

/* --- Loading ------------------------------------------------------------------------------------------------------*/

static gpointer
read_table (FmStore *store,
            gpointer data,
            GError **error)
{
  gint64 batch = *(gint64 *) data;

  return fm_results_table_load (store, batch, error);
}

static void
table_read (GObject      *source,
            GAsyncResult *result,
            gpointer      user_data)
{
  g_autoptr (FmResultsPage) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (FmResultsTable) table = fm_session_read_finish (FM_SESSION (source), result, &error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  /* Numbers that are there stay readable whatever happens to the store. */
  fm_trouble_bar_say (self->trouble, error != NULL ? error->message : NULL, NULL, NULL);
  if (table != NULL && fm_results_table_get_n_rows (table) > 0)
    show_table (self, table);
  else if (self->table == NULL)
    gtk_stack_set_visible_child_name (self->state, "empty");
}

static void
reload (FmResultsPage *self)
{
  FmSession *session = fm_session_get ();
  GListModel *batches = fm_session_get_batches (session);
  const GError *error = fm_session_get_error (session);
  gint64 batch = self->batch;

  if (!fm_session_get_loaded (session))
    return;
  if (error != NULL)
    fm_trouble_bar_say (self->trouble, error->message, NULL, NULL);
  if (batch == 0 && g_list_model_get_n_items (batches) > 0)
    {
      g_autoptr (FmBatchItem) newest = g_list_model_get_item (batches, 0);

      batch = fm_batch_item_get_id (newest);
    }
  if (batch == 0)
    {
      if (self->table == NULL)
        gtk_stack_set_visible_child_name (self->state, "empty");
      return;
    }
  g_simple_action_set_state (
    G_SIMPLE_ACTION (g_action_map_lookup_action (g_object_get_data (G_OBJECT (self), "actions"), "batch")),
    g_variant_new_int64 (batch));
  g_cancellable_cancel (self->cancellable);
  g_clear_object (&self->cancellable);
  self->cancellable = g_cancellable_new ();
  fm_session_read_async (session, read_table, g_memdup2 (&batch, sizeof batch), g_free, g_object_unref,
                         self->cancellable, table_read, g_object_ref (self));
}

static void
choose_batch (GSimpleAction *action,
              GVariant      *value,
              gpointer       user_data)
{
  FmResultsPage *self = user_data;

  self->batch = g_variant_get_int64 (value);
  g_simple_action_set_state (action, value);
  reload (self);
}

/* --- Saving -------------------------------------------------------------------------------------------------------*/

typedef struct
{
  gint64 batch;
  char  *path;
} Saving;

static void
saving_free (gpointer data)
{
  Saving *saving = data;

  g_free (saving->path);
  g_free (saving);
}

/* In a thread: everything is read again, so that the file holds what the store holds. */
static gpointer
write_report (FmStore *store,
              gpointer data,
              GError **error)
{
  Saving *saving = data;

  if (!fm_report_write (store, saving->batch, saving->path, error))
    return NULL;
  return g_strdup (saving->path);
}

static void
report_written (GObject      *source,
                GAsyncResult *result,
                gpointer      user_data)
{
  g_autoptr (FmResultsPage) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = fm_session_read_finish (FM_SESSION (source), result, &error);
  g_autofree char *name = path != NULL ? g_path_get_basename (path) : NULL;
  g_autofree char *text = path != NULL ? g_strdup_printf (_("Saved %s"), name) : g_strdup (error->message);

  fm_page_toast (FM_PAGE (self), text, path != NULL ? _("Open") : NULL, path != NULL ? "results.open" : NULL,
                 path != NULL ? g_variant_new_string (path) : NULL);
}

static void
save_to (FmResultsPage *self,
         const char    *path)
{
  Saving *saving = g_new0 (Saving, 1);

  saving->batch = fm_results_row_get (fm_results_table_get_row (self->table, 0))->batch_id;
  saving->path = g_strdup (path);
  fm_session_read_async (fm_session_get (), write_report, saving, saving_free, g_free, NULL, report_written,
                         g_object_ref (self));
}

static void
save_response (GtkNativeDialog *dialog,
               int              response,
               FmResultsPage   *self)
{
  if (response == GTK_RESPONSE_ACCEPT)
    {
      g_autoptr (GFile) file = gtk_file_chooser_get_file (GTK_FILE_CHOOSER (dialog));
      g_autofree char *path = g_file_get_path (file);

      if (path != NULL)
        save_to (self, path);
    }
  g_object_unref (dialog);
}

static void
ask_where (FmResultsPage *self,
           const char    *title,
           const char    *ending)
{
  GtkFileChooserNative *dialog;
  g_autofree char *name = NULL;

  if (self->table == NULL)
    return;
  name = g_strdup_printf ("%s.%s", fm_results_table_get_title (self->table), ending);
  g_strdelimit (name, "/", '-');
  dialog = gtk_file_chooser_native_new (title, GTK_WINDOW (gtk_widget_get_root (GTK_WIDGET (self))),
                                        GTK_FILE_CHOOSER_ACTION_SAVE, _("_Save"), _("_Cancel"));
  gtk_file_chooser_set_current_name (GTK_FILE_CHOOSER (dialog), name);
  g_signal_connect_object (dialog, "response", G_CALLBACK (save_response), self, 0);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (dialog));
}

static void
export_action (GSimpleAction *action,
               GVariant      *parameter,
               gpointer       user_data)
{
  ask_where (user_data, _("Save the table"), g_variant_get_string (parameter, NULL));
}

static void
report_action (GSimpleAction *action,
               GVariant      *parameter,
               gpointer       user_data)
{
  ask_where (user_data, _("Save a report"), "html");
}

static void
open_action (GSimpleAction *action,
             GVariant      *parameter,
             gpointer       user_data)
{
  g_autofree char *uri = g_filename_to_uri (g_variant_get_string (parameter, NULL), NULL, NULL);

  if (uri != NULL)
    gtk_show_uri (GTK_WINDOW (gtk_widget_get_root (GTK_WIDGET (user_data))), uri, GDK_CURRENT_TIME);
}

/* --- Page ---------------------------------------------------------------------------------------------------------*/

static void
build_table (FmResultsPage *self)
{
  GtkWidget *box, *label;

  self->filter = gtk_custom_filter_new (matches, self, NULL);
  self->view = GTK_COLUMN_VIEW (gtk_column_view_new (NULL));
  fm_set_name (GTK_WIDGET (self->view), _("Results by variant"));
  gtk_widget_add_css_class (GTK_WIDGET (self->view), "results-table");
  fm_results_columns (self->view, &self->table, &self->scale);
  self->filtered = gtk_filter_list_model_new (NULL, g_object_ref (GTK_FILTER (self->filter)));
  self->selection = gtk_single_selection_new (G_LIST_MODEL (
    gtk_sort_list_model_new (g_object_ref (G_LIST_MODEL (self->filtered)),
                             g_object_ref (gtk_column_view_get_sorter (self->view)))));
  gtk_column_view_set_model (self->view, GTK_SELECTION_MODEL (self->selection));
  g_signal_connect_object (self->selection, "notify::selected", G_CALLBACK (selection_changed), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (self->view, "activate", G_CALLBACK (row_activated), self, G_CONNECT_SWAPPED);
  self->head = fm_results_head (self->view);

  self->cards = gtk_list_box_new ();
  fm_set_name (self->cards, _("Results by variant"));
  gtk_widget_set_visible (self->cards, FALSE);
  gtk_widget_add_css_class (self->cards, "results-cards");
  g_signal_connect_object (self->cards, "row-selected", G_CALLBACK (card_selected), self, G_CONNECT_SWAPPED);

  self->nothing = gtk_box_new (GTK_ORIENTATION_VERTICAL, 12);
  gtk_widget_add_css_class (self->nothing, "page-padding");
  label = gtk_label_new (_("No run matches."));
  gtk_box_append (GTK_BOX (self->nothing), label);
  box = gtk_button_new_with_label (_("Clear filter"));
  gtk_widget_set_halign (box, GTK_ALIGN_CENTER);
  g_signal_connect_object (box, "clicked", G_CALLBACK (clear_filter), self, G_CONNECT_SWAPPED);
  gtk_box_append (GTK_BOX (self->nothing), box);
  gtk_widget_set_visible (self->nothing, FALSE);

  self->chance = fm_results_last (&self->chance_value, &self->chance_note);

  gtk_box_append (self->card, self->head);
  gtk_box_append (self->card, GTK_WIDGET (self->view));
  gtk_box_append (self->card, self->cards);
  gtk_box_append (self->card, self->nothing);
  gtk_box_append (self->card, self->chance);
}

static void
build_plot (FmResultsPage *self)
{
  static const char * const names[N_COSTS] = { N_("Accuracy"), N_("Latency"), N_("Memory") };
  GtkWidget *label = fm_heading (_("Accuracy against latency"), 0);

  gtk_widget_set_margin_bottom (label, 3);
  gtk_box_append (self->plot_box, label);
  gtk_box_append (self->plot_box, fm_label (_("area is peak memory, line is the Pareto front"), "caption dim-label"));
  self->plot_view = FM_FIGURE_VIEW (fm_figure_view_new (_("Accuracy against latency")));
  g_object_set_data (G_OBJECT (self), "plot", self->plot_view); /* for tests */
  fm_figure_view_set_ratio (self->plot_view, 1.02, 240, 340);
  gtk_widget_set_margin_top (GTK_WIDGET (self->plot_view), 12);
  g_signal_connect_object (self->plot_view, "picked", G_CALLBACK (plot_picked), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (self->plot_view, "moved", G_CALLBACK (plot_moved), self, G_CONNECT_SWAPPED);
  gtk_box_append (self->plot_box, GTK_WIDGET (self->plot_view));

  self->compare_title = GTK_LABEL (fm_heading ("", 20));
  gtk_box_append (self->plot_box, GTK_WIDGET (self->compare_title));
  self->compare_list = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  label = fm_boxed_list (_("The chosen variant against the baseline"));
  for (guint i = 0; i < N_COSTS; i++)
    {
      GtkWidget *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 12);

      self->compare_figures[i] = fm_figure_view_new (_(names[i]));
      gtk_widget_set_focusable (self->compare_figures[i], FALSE);
      gtk_widget_set_size_request (self->compare_figures[i], 76, 30);
      gtk_widget_set_valign (self->compare_figures[i], GTK_ALIGN_CENTER);
      self->compare_values[i] = GTK_LABEL (fm_label ("", "numeric"));
      gtk_label_set_wrap (self->compare_values[i], FALSE);
      gtk_label_set_xalign (self->compare_values[i], 1.0);
      gtk_label_set_justify (self->compare_values[i], GTK_JUSTIFY_RIGHT);
      gtk_box_append (GTK_BOX (box), self->compare_figures[i]);
      gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->compare_values[i]));
      gtk_list_box_append (GTK_LIST_BOX (label), fm_row (_(names[i]), NULL, box));
    }
  gtk_box_append (GTK_BOX (self->compare_list), label);
  gtk_box_append (GTK_BOX (self->compare_list), fm_label (_("shaded: counts as equal"), "caption dim-label"));
  gtk_box_append (self->plot_box, self->compare_list);
}

static void
narrow_changed (FmResultsPage *self)
{
  gboolean narrow = fm_panes_get_narrow (self->panes), slim = fm_panes_get_slim (self->panes);

  gtk_widget_set_visible (self->head, !slim);
  gtk_widget_set_visible (GTK_WIDGET (self->view), !slim);
  gtk_widget_set_visible (self->cards, slim);
  fm_results_last_set_narrow (self->chance, self->chance_note, slim);
  gtk_widget_set_visible (GTK_WIDGET (self->chooser), self->table != NULL && !fm_page_get_folded (FM_PAGE (self)));
  (narrow ? gtk_widget_remove_css_class : gtk_widget_add_css_class) (GTK_WIDGET (self->plot_box), "second-column");
}

static void
fm_results_page_search (FmPage *page)
{
  FmResultsPage *self = FM_RESULTS_PAGE (page);

  fm_panes_show (self->panes, "table");
  gtk_search_bar_set_search_mode (self->search_bar, TRUE);
  gtk_widget_grab_focus (GTK_WIDGET (self->search));
}

static void
fm_results_page_save (FmPage *page)
{
  ask_where (FM_RESULTS_PAGE (page), _("Save a report"), "html");
}

static gboolean
fm_results_page_back (FmPage *page)
{
  FmResultsPage *self = FM_RESULTS_PAGE (page);

  if (!gtk_search_bar_get_search_mode (self->search_bar))
    return FALSE;
  clear_filter (self);
  return TRUE;
}

static gboolean
fm_results_page_ready (FmPage *page)
{
  return g_strcmp0 (gtk_stack_get_visible_child_name (FM_RESULTS_PAGE (page)->state), "loading") != 0;
}

static GtkWidget *
fm_results_page_panes (FmPage *page)
{
  GtkWidget *panes = GTK_WIDGET (FM_RESULTS_PAGE (page)->panes);

  return gtk_widget_get_mapped (panes) ? panes : NULL;
}

static void
fm_results_page_set_property (GObject      *object,
                              guint         id,
                              const GValue *value,
                              GParamSpec   *pspec)
{
  FmResultsPage *self = FM_RESULTS_PAGE (object);

  if (id == PROP_DETAIL)
    {
      self->batch = g_ascii_strtoll (g_value_get_string (value), NULL, 10);
      reload (self);
    }
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
fm_results_page_dispose (GObject *object)
{
  FmResultsPage *self = FM_RESULTS_PAGE (object);

  if (self->cards != NULL)
    gtk_list_box_bind_model (GTK_LIST_BOX (self->cards), NULL, NULL, NULL, NULL);
  self->cards = NULL;
  if (self->selection != NULL)
    g_signal_handlers_disconnect_by_data (self->selection, self);
  self->selection = NULL;
  g_cancellable_cancel (self->cancellable);
  g_clear_object (&self->cancellable);
  g_clear_object (&self->filter);
  g_clear_object (&self->filtered);
  gtk_widget_dispose_template (GTK_WIDGET (self), FM_TYPE_RESULTS_PAGE);
  g_clear_object (&self->table);
  G_OBJECT_CLASS (fm_results_page_parent_class)->dispose (object);
}

static void
fm_results_page_finalize (GObject *object)
{
  g_array_unref (FM_RESULTS_PAGE (object)->points);
  G_OBJECT_CLASS (fm_results_page_parent_class)->finalize (object);
}

static void
fm_results_page_class_init (FmResultsPageClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  FmPageClass *page_class = FM_PAGE_CLASS (klass);

  object_class->set_property = fm_results_page_set_property;
  object_class->dispose = fm_results_page_dispose;
  object_class->finalize = fm_results_page_finalize;
  page_class->search = fm_results_page_search;
  page_class->save = fm_results_page_save;
  page_class->back = fm_results_page_back;
  page_class->panes = fm_results_page_panes;
  page_class->ready = fm_results_page_ready;
  /* detail: the number of a batch, as text */
  g_object_class_install_property (object_class, PROP_DETAIL,
                                   g_param_spec_string ("detail", NULL, NULL, NULL,
                                                        G_PARAM_WRITABLE | G_PARAM_STATIC_STRINGS));
  g_type_ensure (FM_TYPE_PANES);
  g_type_ensure (FM_TYPE_PANE);
  g_type_ensure (FM_TYPE_TROUBLE_BAR);
  gtk_widget_class_set_template_from_resource (widget_class, "/org/formarium/Formarium/fm-results-page.ui");
  gtk_widget_class_bind_template_child (widget_class, FmResultsPage, title);
  gtk_widget_class_bind_template_child (widget_class, FmResultsPage, chooser);
  gtk_widget_class_bind_template_child (widget_class, FmResultsPage, more);
  gtk_widget_class_bind_template_child (widget_class, FmResultsPage, search_bar);
  gtk_widget_class_bind_template_child (widget_class, FmResultsPage, search);
  gtk_widget_class_bind_template_child (widget_class, FmResultsPage, trouble);
  gtk_widget_class_bind_template_child (widget_class, FmResultsPage, state);
  gtk_widget_class_bind_template_child (widget_class, FmResultsPage, panes);
  gtk_widget_class_bind_template_child (widget_class, FmResultsPage, statement);
  gtk_widget_class_bind_template_child (widget_class, FmResultsPage, held);
  gtk_widget_class_bind_template_child (widget_class, FmResultsPage, footnote);
  gtk_widget_class_bind_template_child (widget_class, FmResultsPage, card);
  gtk_widget_class_bind_template_child (widget_class, FmResultsPage, plot_box);
  gtk_widget_class_bind_template_callback (widget_class, search_changed);
}

static void
fm_results_page_init (FmResultsPage *self)
{
  static const GActionEntry actions[] = {
    { "batch", NULL, "x", "int64 0", choose_batch },
    { "report", report_action },
    { "export", export_action, "s" },
    { "open", open_action, "s" },
  };
  g_autoptr (GSimpleActionGroup) group = g_simple_action_group_new ();
  g_autoptr (GMenuModel) batches = fm_batch_menu_new (fm_session_get_batches (fm_session_get ()), "results.batch");
  g_autoptr (GMenu) more = g_menu_new (), save = g_menu_new ();

  self->points = g_array_new (FALSE, FALSE, sizeof (FmPlotPoint));
  gtk_widget_init_template (GTK_WIDGET (self));
  g_action_map_add_action_entries (G_ACTION_MAP (group), actions, G_N_ELEMENTS (actions), self);
  g_object_set_data_full (G_OBJECT (self), "actions", g_object_ref (group), g_object_unref);
  gtk_widget_insert_action_group (GTK_WIDGET (self), "results", G_ACTION_GROUP (group));

  gtk_menu_button_set_menu_model (self->chooser, batches);
  g_menu_append (save, _("Report…"), "results.report");
  g_menu_append (save, _("Table as CSV…"), "results.export('csv')");
  g_menu_append (save, _("Table as JSON…"), "results.export('json')");
  g_menu_append (save, _("Table as Markdown…"), "results.export('md')");
  g_menu_append_section (more, NULL, G_MENU_MODEL (save));
  g_menu_append_submenu (more, _("Batch"), batches);
  gtk_menu_button_set_menu_model (self->more, G_MENU_MODEL (more));

  build_table (self);
  build_plot (self);
  gtk_search_bar_connect_entry (self->search_bar, GTK_EDITABLE (self->search));
  g_signal_connect_object (self->panes, "notify::narrow", G_CALLBACK (narrow_changed), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (self, "notify::folded", G_CALLBACK (narrow_changed), self, 0);
  g_signal_connect_object (fm_session_get (), "changed", G_CALLBACK (reload), self, G_CONNECT_SWAPPED);
  reload (self);
}
