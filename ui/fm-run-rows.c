/* fm-run-rows.c: the runs of a batch as groups of rows */
#include "config.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "app/figures/figures.h"
#include "app/results/format.h"
#include "fm-build.h"
#include "fm-results-cells.h"
#include "fm-run-rows.h"

/* One worker's row; built once while the same stage is at work. */
typedef struct
{
  char           *stage, *variant;
  GtkWidget      *row;
  GtkLabel       *left, *detail;
  GtkProgressBar *bar;
} Working;

struct _FmRunRows
{
  AdwBin parent_instance;

  GtkWidget      *running_title, *queued_title;
  GtkListBox     *running, *queued;
  AdwExpanderRow *finished;
  GtkWidget      *finished_list;
  GPtrArray      *working;  /* Working */
  GPtrArray      *finished_rows; /* GtkWidget, no ref */
  GPtrArray      *runs;     /* FmRunRecord, by reference */
  FmResultsTable *table;
  char           *chosen;
  char           *signature; /* of queued and finished rows as they stand */
};

G_DEFINE_FINAL_TYPE (FmRunRows, fm_run_rows, ADW_TYPE_BIN)

enum { CHOSEN, N_SIGNALS };
static guint signals[N_SIGNALS];

const char *
fm_run_rows_get_chosen (FmRunRows *self)
{
  return self->chosen;
}

static void
working_free (gpointer data)
{
  Working *w = data;

  g_free (w->stage);
  g_free (w->variant);
  g_free (w);
}

static gint
marker_of (FmRunRows  *self,
           const char *variant)
{
  for (guint i = 0; self->table != NULL && i < fm_results_table_get_n_rows (self->table); i++)
    {
      const FmVariantResult *r = fm_results_row_get (fm_results_table_get_row (self->table, i));

      if (g_strcmp0 (r->variant, variant) == 0)
        return r->index;
    }
  return -2;
}

/* "softmax-attention x switch" as people read it; the usual feed-forward is not named. */
static char *
variant_text (FmRunRows  *self,
              const char *variant)
{
  for (guint i = 0; self->table != NULL && i < fm_results_table_get_n_rows (self->table); i++)
    {
      const FmVariantResult *r = fm_results_row_get (fm_results_table_get_row (self->table, i));

      if (g_strcmp0 (r->variant, variant) == 0)
        return g_strdup (r->title);
    }
  return g_strdup (variant);
}

/* --- Running ------------------------------------------------------------------------------------------------------*/

static Working *
add_working (FmRunRows         *self,
             const FmRunWorker *worker)
{
  Working *w = g_new0 (Working, 1);
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 12);
  GtkWidget *lines = gtk_box_new (GTK_ORIENTATION_VERTICAL, 4);
  GtkWidget *line = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 12);
  g_autofree char *title = variant_text (self, worker->variant);
  GtkWidget *name = fm_label (title, NULL);

  w->stage = g_strdup (worker->stage);
  w->variant = g_strdup (worker->variant);
  w->row = gtk_list_box_row_new ();
  gtk_widget_set_hexpand (name, TRUE);
  gtk_widget_set_hexpand (lines, TRUE);
  w->left = GTK_LABEL (fm_label ("", "dim-label numeric"));
  gtk_label_set_wrap (w->left, FALSE);
  w->bar = GTK_PROGRESS_BAR (gtk_progress_bar_new ());
  w->detail = GTK_LABEL (fm_label ("", "caption dim-label numeric"));
  gtk_box_append (GTK_BOX (line), name);
  gtk_box_append (GTK_BOX (line), GTK_WIDGET (w->left));
  gtk_box_append (GTK_BOX (lines), line);
  gtk_box_append (GTK_BOX (lines), GTK_WIDGET (w->bar));
  gtk_box_append (GTK_BOX (lines), GTK_WIDGET (w->detail));
  gtk_box_append (GTK_BOX (box), fm_results_marker (marker_of (self, worker->variant)));
  gtk_box_append (GTK_BOX (box), lines);
  gtk_widget_set_margin_top (box, 9);
  gtk_widget_set_margin_bottom (box, 9);
  gtk_widget_set_margin_start (box, 12);
  gtk_widget_set_margin_end (box, 14);
  gtk_list_box_row_set_child (GTK_LIST_BOX_ROW (w->row), box);
  fm_set_name (w->row, title);
  fm_set_name (GTK_WIDGET (w->bar), title);
  g_object_set_data_full (G_OBJECT (w->row), "variant", g_strdup (worker->variant), g_free);
  gtk_list_box_append (self->running, w->row);
  g_ptr_array_add (self->working, w);
  return w;
}

static void
update_working (Working           *w,
                const FmRunWorker *worker,
                gboolean           paused)
{
  g_autofree char *left = worker->seconds_left >= 0.5 ? fm_format_duration (ceil (worker->seconds_left)) : NULL;
  g_autofree char *left_text = paused ? g_strdup (_("paused by you"))
                                      : left != NULL ? g_strdup_printf (_("%s left"), left) : g_strdup ("");
  g_autofree char *step = fm_format_count (worker->step);
  g_autofree char *steps = fm_format_count (worker->steps);
  g_autofree char *speed = fm_format_number (worker->steps_per_s, worker->steps_per_s < 10 ? 1 : 0);
  g_autoptr (GString) detail = g_string_new (NULL);

  g_string_append_printf (detail, _("seed %d"), (int) worker->seed);
  if (g_strcmp0 (worker->kind, FM_STAGE_KIND_MEASURE) == 0)
    g_string_append (detail, _(" · measuring, alone on the machine"));
  else if (worker->steps > 0)
    g_string_append_printf (detail, _(" · step %s of %s"), step, steps);
  if (!isnan (worker->steps_per_s) && worker->steps_per_s > 0 && !paused)
    g_string_append_printf (detail, _(" · %s steps/s"), speed);
  gtk_label_set_text (w->left, left_text);
  gtk_label_set_text (w->detail, detail->str);
  gtk_progress_bar_set_fraction (w->bar, worker->steps > 0 ? CLAMP ((gdouble) worker->step / worker->steps, 0, 1) : 0);
  gtk_accessible_update_property (GTK_ACCESSIBLE (w->row), GTK_ACCESSIBLE_PROPERTY_DESCRIPTION, detail->str, -1);
}

static void
show_running (FmRunRows         *self,
              const FmRunStatus *status)
{
  guint n = status != NULL ? status->workers->len : 0;
  gboolean same = n == self->working->len;

  for (guint i = 0; same && i < n; i++)
    same = g_strcmp0 (((Working *) g_ptr_array_index (self->working, i))->stage,
                      ((FmRunWorker *) g_ptr_array_index (status->workers, i))->stage) == 0;
  if (!same)
    {
      GtkWidget *row;

      while ((row = gtk_widget_get_first_child (GTK_WIDGET (self->running))) != NULL)
        gtk_list_box_remove (self->running, row);
      g_ptr_array_set_size (self->working, 0);
      for (guint i = 0; i < n; i++)
        add_working (self, g_ptr_array_index (status->workers, i));
    }
  for (guint i = 0; i < n; i++)
    update_working (g_ptr_array_index (self->working, i), g_ptr_array_index (status->workers, i),
                    status->phase == FM_RUN_PAUSED);
  gtk_label_set_text (GTK_LABEL (self->running_title),
                      status != NULL && status->phase == FM_RUN_PAUSED      ? _("Paused")
                      : status != NULL && status->phase == FM_RUN_MEASURING ? _("Measuring")
                                                                             : _("Running"));
  gtk_widget_set_visible (self->running_title, n > 0);
  gtk_widget_set_visible (GTK_WIDGET (self->running), n > 0);
}

/* --- Queued and finished ------------------------------------------------------------------------------------------*/

static gboolean
is_at_work (FmRunRows         *self,
            const FmRunStatus *status,
            const FmRunRecord *run)
{
  for (guint i = 0; status != NULL && i < status->workers->len; i++)
    {
      const FmRunWorker *w = g_ptr_array_index (status->workers, i);

      if (w->seed == run->seed && g_strcmp0 (w->variant, run->variant) == 0)
        return TRUE;
    }
  return FALSE;
}

static GtkWidget *
make_row (FmRunRows         *self,
          const FmRunRecord *run,
          gint               marker,
          const char        *right)
{
  g_autofree char *title = variant_text (self, run->variant);
  g_autofree char *seed = g_strdup_printf (_("seed %d"), (int) run->seed);
  GtkWidget *label = right != NULL ? fm_label (right, "dim-label") : NULL;
  GtkWidget *row = fm_row (title, seed, label);

  adw_action_row_add_prefix (ADW_ACTION_ROW (row), fm_results_marker (marker));
  g_object_set_data_full (G_OBJECT (row), "variant", g_strdup (run->variant), g_free);
  return row;
}

static void
show_others (FmRunRows         *self,
             const FmRunStatus *status)
{
  g_autoptr (GString) signature = g_string_new (NULL);
  g_autofree char *title = NULL;
  const char *reason = NULL;
  guint n_done = 0, n_failed = 0, n_queued = 0;
  GtkWidget *row;

  for (guint i = 0; i < self->runs->len; i++)
    {
      const FmRunRecord *run = g_ptr_array_index (self->runs, i);

      g_string_append_printf (signature, "%" G_GINT64_FORMAT "%s%d;", run->id, run->state,
                              is_at_work (self, status, run));
    }
  if (g_strcmp0 (signature->str, self->signature) == 0)
    return;
  g_free (self->signature);
  self->signature = g_strdup (signature->str);

  while ((row = gtk_widget_get_first_child (GTK_WIDGET (self->queued))) != NULL)
    gtk_list_box_remove (self->queued, row);
  for (guint i = 0; i < self->finished_rows->len; i++)
    adw_expander_row_remove (self->finished, g_ptr_array_index (self->finished_rows, i));
  g_ptr_array_set_size (self->finished_rows, 0);
  for (guint i = 0; i < self->runs->len; i++)
    {
      const FmRunRecord *run = g_ptr_array_index (self->runs, i);
      gboolean failed = g_str_equal (run->state, "failed") || g_str_equal (run->state, "diverged");

      if (is_at_work (self, status, run))
        continue;
      if (g_str_equal (run->state, "done") || failed || g_str_equal (run->state, "skipped"))
        {
          row = make_row (self, run, failed ? FM_VARIANT_FAILED : marker_of (self, run->variant), run->reason);
          adw_expander_row_add_row (self->finished, row);
          g_ptr_array_add (self->finished_rows, row);
          n_done += g_str_equal (run->state, "done");
          n_failed += failed;
          if (failed && reason == NULL)
            reason = run->reason;
        }
      else
        {
          /* A run whose training is over waits for its turn to be measured. */
          row = make_row (self, run, marker_of (self, run->variant),
                          g_str_equal (run->state, "cancelled") ? _("cancelled")
                          : g_str_equal (run->state, "running") ? _("trained, to be measured") : NULL);
          gtk_list_box_append (self->queued, row);
          n_queued++;
        }
    }
  gtk_label_set_text (GTK_LABEL (self->queued_title), status != NULL ? _("Queued") : _("Left to do"));
  gtk_widget_set_visible (self->queued_title, n_queued > 0);
  gtk_widget_set_visible (GTK_WIDGET (self->queued), n_queued > 0);
  gtk_widget_set_visible (self->finished_list, self->finished_rows->len > 0);
  title = n_failed > 0 ? g_strdup_printf (_("%u done, %u failed"), n_done, n_failed)
                       : g_strdup_printf (_("%u done"), n_done);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self->finished), title);
  adw_expander_row_set_subtitle (self->finished, reason != NULL ? reason : "");
  fm_set_name (GTK_WIDGET (self->finished), title);
}

void
fm_run_rows_set (FmRunRows         *self,
                 GPtrArray         *runs,
                 FmResultsTable    *table,
                 const FmRunStatus *status)
{
  g_return_if_fail (FM_IS_RUN_ROWS (self));
  if (runs != NULL && runs != self->runs)
    {
      g_ptr_array_ref (runs);
      g_ptr_array_unref (self->runs);
      self->runs = runs;
    }
  g_set_object (&self->table, table);
  show_running (self, status);
  show_others (self, status);
}

/* --- Object -------------------------------------------------------------------------------------------------------*/

static void
row_selected (FmRunRows     *self,
              GtkListBoxRow *row,
              GtkListBox    *list)
{
  if (row == NULL)
    return;
  gtk_list_box_unselect_all (list == self->running ? self->queued : self->running);
  g_free (self->chosen);
  self->chosen = g_strdup (g_object_get_data (G_OBJECT (row), "variant"));
  g_signal_emit (self, signals[CHOSEN], 0, self->chosen);
}

static void
fm_run_rows_finalize (GObject *object)
{
  FmRunRows *self = FM_RUN_ROWS (object);

  g_ptr_array_unref (self->working);
  g_ptr_array_unref (self->finished_rows);
  g_ptr_array_unref (self->runs);
  g_clear_object (&self->table);
  g_free (self->chosen);
  g_free (self->signature);
  G_OBJECT_CLASS (fm_run_rows_parent_class)->finalize (object);
}

static void
fm_run_rows_class_init (FmRunRowsClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = fm_run_rows_finalize;
  signals[CHOSEN] = g_signal_new ("chosen", FM_TYPE_RUN_ROWS, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1,
                                  G_TYPE_STRING);
}

static void
fm_run_rows_init (FmRunRows *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);

  self->working = g_ptr_array_new_with_free_func (working_free);
  self->finished_rows = g_ptr_array_new ();
  self->runs = g_ptr_array_new ();
  self->running_title = fm_heading (_("Running"), 0);
  self->running = GTK_LIST_BOX (fm_boxed_list (_("Running")));
  self->queued_title = fm_heading (_("Queued"), 0);
  self->queued = GTK_LIST_BOX (fm_boxed_list (_("Queued")));
  gtk_widget_set_margin_bottom (GTK_WIDGET (self->running), 24);
  gtk_widget_set_margin_bottom (GTK_WIDGET (self->queued), 24);
  for (guint i = 0; i < 2; i++)
    {
      GtkListBox *list = i == 0 ? self->running : self->queued;

      gtk_list_box_set_selection_mode (list, GTK_SELECTION_SINGLE);
      gtk_widget_add_css_class (GTK_WIDGET (list), "choosable");
      g_signal_connect_object (list, "row-selected", G_CALLBACK (row_selected), self, G_CONNECT_SWAPPED);
    }
  self->finished_list = fm_boxed_list (_("Finished"));
  self->finished = ADW_EXPANDER_ROW (adw_expander_row_new ());
  gtk_list_box_append (GTK_LIST_BOX (self->finished_list), GTK_WIDGET (self->finished));
  gtk_box_append (GTK_BOX (box), self->running_title);
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->running));
  gtk_box_append (GTK_BOX (box), self->queued_title);
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->queued));
  gtk_box_append (GTK_BOX (box), self->finished_list);
  adw_bin_set_child (ADW_BIN (self), box);
}
