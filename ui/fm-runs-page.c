/* fm-runs-page.c: a batch while it runs, and starting one
 *
 * The page owns nothing of a run: it reads the store when that changes and follows the runner through its control
 * socket, wherever that was started. Closing the window stops nothing. */
#include "config.h"

#include <glib/gi18n.h>
#include <math.h>

#include "app/batch/batch.h"
#include "app/results/format.h"
#include "app/results/results.h"
#include "fm-batch-menu.h"
#include "fm-build.h"
#include "fm-curves-card.h"
#include "fm-panes.h"
#include "fm-questions.h"
#include "fm-run-rows.h"
#include "fm-runs-page.h"
#include "fm-session.h"
#include "fm-trouble-bar.h"

struct _FmRunsPage
{
  FmPage parent_instance;

  AdwWindowTitle   *title;
  GtkMenuButton    *chooser, *start_button, *more;
  GtkButton        *pause_button;
  AdwButtonContent *pause_content;
  FmTroubleBar     *trouble;
  GtkStack         *state;
  FmQuestions      *questions;
  GtkLabel         *statement, *detail, *times;
  GtkProgressBar   *progress;
  FmPanes          *panes;
  GtkBox           *runs_box, *curves_box;
  FmRunRows        *rows;
  FmCurvesCard     *curves;

  GSimpleActionGroup *actions;
  gint64            batch;    /* chosen by a person, 0 = the one that runs, else the newest */
  gint64            shown;    /* what the page shows now */
  gint64            followed; /* was running when last seen, so that its end is news */
  GPtrArray        *runs;     /* FmRunRecord */
  FmResultsTable   *table;
  gboolean          starting;
  gboolean          reading, again;
};

G_DEFINE_FINAL_TYPE (FmRunsPage, fm_runs_page, FM_TYPE_PAGE)

enum { PROP_DETAIL = 1, N_PROPS };

/* --- What stands above the lists ----------------------------------------------------------------------------------*/

static char *
clock_text (gint64 time_us)
{
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_local (time_us / G_USEC_PER_SEC);

  return time != NULL ? g_date_time_format (time, "%H:%M") : g_strdup ("");
}

static void
say_living (FmRunsPage        *self,
            const FmRunStatus *s)
{
  g_autofree char *left = isnan (s->seconds_left) ? NULL : fm_format_duration (ceil (s->seconds_left));
  g_autofree char *statement = s->phase == FM_RUN_PAUSED ? g_strdup (_("Paused"))
                               : left != NULL            ? g_strdup_printf (_("%s left"), left)
                                                         : g_strdup (_("Starting"));
  g_autofree char *detail = g_strdup_printf (s->n_train_done < s->n_train
                                               ? _("%d of %d training runs finished, then measuring")
                                               : _("%d of %d training runs finished, now measuring"),
                                             (int) s->n_train_done, (int) s->n_train);
  g_autofree char *started = clock_text (s->started_us);
  g_autofree char *ends = isnan (s->seconds_left)
                            ? NULL : clock_text (g_get_real_time () + (gint64) (s->seconds_left * G_USEC_PER_SEC));
  g_autofree char *times = ends != NULL && s->phase != FM_RUN_PAUSED
                             ? g_strdup_printf (_("started %s, ends about %s"), started, ends)
                             : g_strdup_printf (_("started %s"), started);
  g_autofree char *title = NULL;
  gint waiting = (gint) (s->n_train - s->n_train_done);

  for (guint i = 0; i < s->workers->len; i++)
    waiting -= g_strcmp0 (((FmRunWorker *) g_ptr_array_index (s->workers, i))->kind, FM_STAGE_KIND_MEASURE) != 0;
  title = g_strdup_printf (s->phase == FM_RUN_PAUSED ? _("%u paused, %d queued") : _("%u running, %d queued"),
                           s->workers->len, MAX (waiting, 0));
  gtk_label_set_text (self->statement, statement);
  gtk_label_set_text (self->detail, detail);
  gtk_label_set_text (self->times, times);
  gtk_widget_set_tooltip_text (GTK_WIDGET (self->times), s->command);
  gtk_progress_bar_set_fraction (self->progress, CLAMP (s->fraction, 0, 1));
  adw_window_title_set_subtitle (self->title, title);
  adw_button_content_set_label (self->pause_content, s->phase == FM_RUN_PAUSED ? _("Resume") : _("Pause"));
  adw_button_content_set_icon_name (self->pause_content, s->phase == FM_RUN_PAUSED ? "media-playback-start-symbolic"
                                                                                    : "media-playback-pause-symbolic");
}

static void
say_still (FmRunsPage          *self,
           const FmBatchRecord *b)
{
  gboolean over = b->state == FM_BATCH_DONE;
  g_autofree char *detail = b->n_runs_failed > 0
                              ? g_strdup_printf (_("%d of %d runs done, %d failed"), (int) b->n_runs_done, (int) b->n_runs,
                                                 (int) b->n_runs_failed)
                              : g_strdup_printf (_("%d of %d runs done"), (int) b->n_runs_done, (int) b->n_runs);
  g_autofree char *ended = b->ended_us > 0 ? clock_text (b->ended_us) : NULL;
  g_autofree char *times = ended != NULL ? g_strdup_printf (_("ended %s"), ended) : g_strdup ("");

  gtk_label_set_text (self->statement, over                                  ? _("Finished")
                                       : b->state == FM_BATCH_CANCELLED      ? _("Cancelled")
                                       : b->live                             ? _("Starting")
                                                                             : _("Not finished"));
  gtk_label_set_text (self->detail, detail);
  gtk_label_set_text (self->times, times);
  gtk_progress_bar_set_fraction (self->progress, b->n_runs > 0 ? (gdouble) (b->n_runs_done + b->n_runs_failed) / b->n_runs
                                                               : 0);
  adw_window_title_set_subtitle (self->title, _("Nothing is running"));
  adw_button_content_set_label (self->pause_content, _("Resume"));
  adw_button_content_set_icon_name (self->pause_content, "media-playback-start-symbolic");
}

static void
enable (FmRunsPage *self,
        const char *action,
        gboolean    enabled)
{
  g_simple_action_set_enabled (G_SIMPLE_ACTION (g_action_map_lookup_action (G_ACTION_MAP (self->actions), action)),
                               enabled);
}

/* --- Showing ------------------------------------------------------------------------------------------------------*/

static gint64
batch_to_show (FmRunsPage *self)
{
  FmSession *session = fm_session_get ();
  GListModel *batches = fm_session_get_batches (session);
  gint64 newest = 0;

  if (self->batch != 0 && fm_session_find_batch (session, self->batch) != NULL)
    return self->batch;
  for (guint i = 0; i < g_list_model_get_n_items (batches); i++)
    {
      g_autoptr (FmBatchItem) item = g_list_model_get_item (batches, i);

      if (i == 0)
        newest = fm_batch_item_get_id (item);
      if (fm_session_get_control (session, fm_batch_item_get_id (item)) != NULL)
        return fm_batch_item_get_id (item);
    }
  return newest;
}

/* What changes several times a second: the runner's own words. */
static void
update (FmRunsPage *self)
{
  FmSession *session = fm_session_get ();
  FmBatchItem *item = fm_session_find_batch (session, self->shown);
  FmControl *control = fm_session_get_control (session, self->shown);
  const FmRunStatus *status = control != NULL ? fm_control_get_status (control) : NULL;
  const FmBatchRecord *record = item != NULL ? fm_batch_item_get_record (item) : NULL;
  g_autoptr (GPtrArray) running = g_ptr_array_new ();

  if (record == NULL)
    return;
  if (status != NULL)
    say_living (self, status);
  else
    say_still (self, record);
  gtk_widget_set_visible (GTK_WIDGET (self->pause_button), status != NULL || record->state != FM_BATCH_DONE);
  enable (self, "pause", status != NULL || (record->state != FM_BATCH_DONE && !record->live));
  enable (self, "cancel", status != NULL);
  enable (self, "retry", status == NULL && !record->live && record->n_runs_failed > 0);
  fm_run_rows_set (self->rows, self->runs, self->table, status);
  for (guint i = 0; status != NULL && i < status->workers->len; i++)
    g_ptr_array_add (running, ((FmRunWorker *) g_ptr_array_index (status->workers, i))->variant);
  g_ptr_array_add (running, NULL);
  fm_curves_card_mark (self->curves, (const char * const *) running->pdata, fm_run_rows_get_chosen (self->rows));

  /* The end of a batch that was watched is news, with the way to what it found. */
  if (status != NULL)
    self->followed = self->shown;
  else if (self->followed == self->shown && record->state == FM_BATCH_DONE)
    {
      g_autofree char *text = g_strdup_printf (_("%s is finished"), record->title);
      g_autofree char *detail = g_strdup_printf ("%" G_GINT64_FORMAT, self->shown);

      self->followed = 0;
      fm_page_toast (FM_PAGE (self), text, _("Results"), "win.open", g_variant_new ("(ss)", "results", detail));
    }
}

typedef struct
{
  GPtrArray      *runs;
  FmResultsTable *table;
  GPtrArray      *loss, *accuracy;
} Found;

static void
found_free (gpointer data)
{
  Found *found = data;

  g_clear_pointer (&found->runs, g_ptr_array_unref);
  g_clear_object (&found->table);
  g_clear_pointer (&found->loss, g_ptr_array_unref);
  g_clear_pointer (&found->accuracy, g_ptr_array_unref);
  g_free (found);
}

static gpointer
read_batch (FmStore *store,
            gpointer data,
            GError **error)
{
  gint64 batch = *(gint64 *) data;
  Found *found = g_new0 (Found, 1);

  if ((found->runs = fm_store_load_runs (store, batch, error)) == NULL
      || (found->table = fm_results_table_load (store, batch, error)) == NULL
      || (found->loss = fm_results_load_curves (store, found->table, "validation_loss", error)) == NULL
      || (found->accuracy = fm_results_load_curves (store, found->table, "validation_accuracy", error)) == NULL)
    {
      found_free (found);
      return NULL;
    }
  return found;
}

static void reload (FmRunsPage *self);

static void
batch_read (GObject      *source,
            GAsyncResult *result,
            gpointer      user_data)
{
  g_autoptr (FmRunsPage) self = user_data;
  g_autoptr (GError) error = NULL;
  Found *found = fm_session_read_finish (FM_SESSION (source), result, &error);

  self->reading = FALSE;
  if (self->rows == NULL)
    {
      g_clear_pointer (&found, found_free);
      return;
    }
  fm_trouble_bar_say (self->trouble, error != NULL ? error->message : NULL, NULL, NULL);
  if (found != NULL)
    {
      g_clear_pointer (&self->runs, g_ptr_array_unref);
      self->runs = g_steal_pointer (&found->runs);
      g_set_object (&self->table, found->table);
      fm_curves_card_set (self->curves, g_steal_pointer (&found->loss), g_steal_pointer (&found->accuracy));
      gtk_stack_set_visible_child_name (self->state, "batch");
      update (self);
      found_free (found);
    }
  if (self->again)
    reload (self);
}

static void
reload (FmRunsPage *self)
{
  FmSession *session = fm_session_get ();
  gint64 batch = batch_to_show (self);
  const GError *error = fm_session_get_error (session);
  gboolean any = batch != 0, folded = fm_page_get_folded (FM_PAGE (self));

  if (!fm_session_get_loaded (session))
    return;
  if (error != NULL)
    fm_trouble_bar_say (self->trouble, error->message, NULL, NULL);
  gtk_widget_set_visible (GTK_WIDGET (self->chooser), any && !folded);
  gtk_widget_set_visible (GTK_WIDGET (self->start_button), any && !folded);
  if (!any)
    {
      gtk_stack_set_visible_child_name (self->state, "questions");
      adw_window_title_set_subtitle (self->title, "");
      enable (self, "cancel", FALSE);
      enable (self, "retry", FALSE);
      return;
    }
  if (batch != self->shown)
    {
      self->shown = batch;
      g_clear_pointer (&self->runs, g_ptr_array_unref);
      g_clear_object (&self->table);
    }
  gtk_menu_button_set_label (self->chooser, fm_batch_item_get_title (fm_session_find_batch (session, batch)));
  g_simple_action_set_state (G_SIMPLE_ACTION (g_action_map_lookup_action (G_ACTION_MAP (self->actions), "batch")),
                             g_variant_new_int64 (batch));
  self->again = self->reading;
  if (self->reading)
    return;
  self->reading = TRUE;
  fm_session_read_async (session, read_batch, g_memdup2 (&batch, sizeof batch), g_free, found_free, NULL, batch_read,
                         g_object_ref (self));
}

static void
runners_changed (FmRunsPage *self)
{
  if (batch_to_show (self) != self->shown)
    reload (self);
  else if (self->runs != NULL)
    update (self);
}

static void
row_chosen (FmRunsPage *self)
{
  update (self);
}

/* --- Starting and steering ----------------------------------------------------------------------------------------*/

static void
started (GObject      *source,
         GAsyncResult *result,
         gpointer      user_data)
{
  g_autoptr (FmRunsPage) self = user_data;
  g_autoptr (GError) error = NULL;

  self->starting = FALSE;
  if (self->rows == NULL)
    return;
  gtk_widget_set_sensitive (GTK_WIDGET (self->questions), TRUE);
  if (!fm_session_run_finish (FM_SESSION (source), result, &error))
    fm_trouble_bar_say (self->trouble, error->message, NULL, NULL);
  reload (self);
}

static void
start (FmRunsPage *self,
       const char *verb,
       const char *word)
{
  if (self->starting)
    return;
  self->starting = TRUE;
  self->batch = 0; /* what starts is what is looked at */
  fm_trouble_bar_say (self->trouble, NULL, NULL, NULL);
  gtk_widget_set_sensitive (GTK_WIDGET (self->questions), FALSE);
  fm_session_run_async (fm_session_get (), verb, word, started, g_object_ref (self));
}

static void
start_question (FmRunsPage *self)
{
  const char *path = fm_questions_get_chosen (self->questions);

  if (path != NULL)
    start (self, "run", path);
}

static void
start_action (GSimpleAction *action,
              GVariant      *parameter,
              gpointer       user_data)
{
  start (user_data, "run", g_variant_get_string (parameter, NULL));
}

static void
open_response (GtkNativeDialog *dialog,
               int              response,
               FmRunsPage      *self)
{
  if (response == GTK_RESPONSE_ACCEPT)
    {
      g_autoptr (GFile) file = gtk_file_chooser_get_file (GTK_FILE_CHOOSER (dialog));
      g_autofree char *path = g_file_get_path (file);

      if (path != NULL)
        start (self, "run", path);
    }
  g_object_unref (dialog);
}

static void
open_action (GSimpleAction *action,
             GVariant      *parameter,
             gpointer       user_data)
{
  FmRunsPage *self = user_data;
  GtkFileChooserNative *dialog = gtk_file_chooser_native_new (_("Open a batch file"),
                                                              GTK_WINDOW (gtk_widget_get_root (GTK_WIDGET (self))),
                                                              GTK_FILE_CHOOSER_ACTION_OPEN, _("_Start"), _("_Cancel"));
  g_autoptr (GtkFileFilter) filter = gtk_file_filter_new ();

  gtk_file_filter_set_name (filter, _("Batch files"));
  gtk_file_filter_add_pattern (filter, "*.batch");
  gtk_file_chooser_add_filter (GTK_FILE_CHOOSER (dialog), filter);
  g_signal_connect_object (dialog, "response", G_CALLBACK (open_response), self, 0);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (dialog));
}

static void
pause_action (GSimpleAction *action,
              GVariant      *parameter,
              gpointer       user_data)
{
  FmRunsPage *self = user_data;
  FmControl *control = fm_session_get_control (fm_session_get (), self->shown);

  if (control == NULL)
    {
      g_autofree char *word = g_strdup_printf ("%" G_GINT64_FORMAT, self->shown);

      start (self, "resume", word);
    }
  else if (fm_control_get_status (control)->phase == FM_RUN_PAUSED)
    fm_control_resume (control);
  else
    fm_control_pause (control);
}

static void
cancel_action (GSimpleAction *action,
               GVariant      *parameter,
               gpointer       user_data)
{
  FmRunsPage *self = user_data;
  FmControl *control = fm_session_get_control (fm_session_get (), self->shown);
  g_autofree char *word = g_strdup_printf ("%" G_GINT64_FORMAT, self->shown);
  g_autofree char *text = NULL;

  if (control == NULL)
    return;
  text = g_strdup_printf (_("%s is cancelled"), fm_control_get_status (control)->title);
  self->followed = 0;
  fm_control_cancel (control);
  /* Finished stages stay, so going on loses a few seconds of work at most. */
  fm_page_toast (FM_PAGE (self), text, _("Undo"), "runs.resume", g_variant_new_string (word));
}

static void
resume_action (GSimpleAction *action,
               GVariant      *parameter,
               gpointer       user_data)
{
  start (user_data, "resume", g_variant_get_string (parameter, NULL));
}

static void
retry_action (GSimpleAction *action,
              GVariant      *parameter,
              gpointer       user_data)
{
  FmRunsPage *self = user_data;
  g_autofree char *word = g_strdup_printf ("%" G_GINT64_FORMAT, self->shown);

  start (self, "retry", word);
}

static void
batch_action (GSimpleAction *action,
              GVariant      *value,
              gpointer       user_data)
{
  FmRunsPage *self = user_data;

  self->batch = g_variant_get_int64 (value);
  reload (self);
}

static void
results_action (GSimpleAction *action,
                GVariant      *parameter,
                gpointer       user_data)
{
  FmRunsPage *self = user_data;
  g_autofree char *detail = g_strdup_printf ("%" G_GINT64_FORMAT, self->shown);

  fm_page_open (FM_PAGE (self), "results", detail);
}

/* --- Page ---------------------------------------------------------------------------------------------------------*/

static GMenuModel *
start_menu (void)
{
  GMenu *menu = g_menu_new ();
  g_autoptr (GMenu) examples = g_menu_new (), files = g_menu_new ();
  g_autoptr (GPtrArray) paths = fm_questions_list ();

  for (guint i = 0; i < paths->len; i++)
    {
      g_autoptr (FmBatchFile) file = fm_batch_file_load (g_ptr_array_index (paths, i), NULL);
      g_autoptr (GMenuItem) item = NULL;

      if (file == NULL)
        continue;
      item = g_menu_item_new (fm_batch_file_get_title (file), NULL);
      g_menu_item_set_action_and_target (item, "runs.start", "s", g_ptr_array_index (paths, i));
      g_menu_append_item (examples, item);
    }
  g_menu_append (files, _("Open a batch file…"), "runs.open");
  g_menu_append_section (menu, NULL, G_MENU_MODEL (examples));
  g_menu_append_section (menu, NULL, G_MENU_MODEL (files));
  return G_MENU_MODEL (menu);
}

static GtkWidget *
fm_runs_page_panes (FmPage *page)
{
  FmRunsPage *self = FM_RUNS_PAGE (page);

  return gtk_widget_get_mapped (GTK_WIDGET (self->panes)) ? GTK_WIDGET (self->panes) : NULL;
}

static gboolean
fm_runs_page_ready (FmPage *page)
{
  return g_strcmp0 (gtk_stack_get_visible_child_name (FM_RUNS_PAGE (page)->state), "loading") != 0;
}

static void
fm_runs_page_set_property (GObject      *object,
                           guint         id,
                           const GValue *value,
                           GParamSpec   *pspec)
{
  FmRunsPage *self = FM_RUNS_PAGE (object);

  if (id != PROP_DETAIL)
    {
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      return;
    }
  self->batch = g_ascii_strtoll (g_value_get_string (value), NULL, 10);
  reload (self);
}

static void
fm_runs_page_dispose (GObject *object)
{
  FmRunsPage *self = FM_RUNS_PAGE (object);

  self->rows = NULL;
  g_clear_pointer (&self->runs, g_ptr_array_unref);
  g_clear_object (&self->table);
  g_clear_object (&self->actions);
  gtk_widget_dispose_template (GTK_WIDGET (self), FM_TYPE_RUNS_PAGE);
  G_OBJECT_CLASS (fm_runs_page_parent_class)->dispose (object);
}

static void
fm_runs_page_class_init (FmRunsPageClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  FmPageClass *page_class = FM_PAGE_CLASS (klass);

  object_class->set_property = fm_runs_page_set_property;
  object_class->dispose = fm_runs_page_dispose;
  page_class->panes = fm_runs_page_panes;
  page_class->ready = fm_runs_page_ready;
  /* detail: the number of a batch, as text */
  g_object_class_install_property (object_class, PROP_DETAIL,
                                   g_param_spec_string ("detail", NULL, NULL, NULL,
                                                        G_PARAM_WRITABLE | G_PARAM_STATIC_STRINGS));
  g_type_ensure (FM_TYPE_PANES);
  g_type_ensure (FM_TYPE_PANE);
  g_type_ensure (FM_TYPE_TROUBLE_BAR);
  g_type_ensure (FM_TYPE_QUESTIONS);
  gtk_widget_class_set_template_from_resource (widget_class, "/org/formarium/Formarium/fm-runs-page.ui");
  gtk_widget_class_bind_template_child (widget_class, FmRunsPage, title);
  gtk_widget_class_bind_template_child (widget_class, FmRunsPage, chooser);
  gtk_widget_class_bind_template_child (widget_class, FmRunsPage, start_button);
  gtk_widget_class_bind_template_child (widget_class, FmRunsPage, more);
  gtk_widget_class_bind_template_child (widget_class, FmRunsPage, pause_button);
  gtk_widget_class_bind_template_child (widget_class, FmRunsPage, pause_content);
  gtk_widget_class_bind_template_child (widget_class, FmRunsPage, trouble);
  gtk_widget_class_bind_template_child (widget_class, FmRunsPage, state);
  gtk_widget_class_bind_template_child (widget_class, FmRunsPage, questions);
  gtk_widget_class_bind_template_child (widget_class, FmRunsPage, statement);
  gtk_widget_class_bind_template_child (widget_class, FmRunsPage, detail);
  gtk_widget_class_bind_template_child (widget_class, FmRunsPage, times);
  gtk_widget_class_bind_template_child (widget_class, FmRunsPage, progress);
  gtk_widget_class_bind_template_child (widget_class, FmRunsPage, panes);
  gtk_widget_class_bind_template_child (widget_class, FmRunsPage, runs_box);
  gtk_widget_class_bind_template_child (widget_class, FmRunsPage, curves_box);
  gtk_widget_class_bind_template_callback (widget_class, start_question);
  gtk_widget_class_add_binding_action (widget_class, GDK_KEY_o, GDK_CONTROL_MASK, "runs.open", NULL);
  gtk_widget_class_add_binding_action (widget_class, GDK_KEY_space, 0, "runs.pause", NULL);
  gtk_widget_class_add_binding_action (widget_class, GDK_KEY_Delete, 0, "runs.cancel", NULL);
}

static void
fm_runs_page_init (FmRunsPage *self)
{
  static const GActionEntry actions[] = {
    { "batch", NULL, "x", "int64 0", batch_action },
    { "cancel", cancel_action },
    { "open", open_action },
    { "pause", pause_action },
    { "results", results_action },
    { "resume", resume_action, "s" },
    { "retry", retry_action },
    { "start", start_action, "s" },
  };
  FmSession *session = fm_session_get ();
  g_autoptr (GMenuModel) batches = fm_batch_menu_new (fm_session_get_batches (session), "runs.batch");
  g_autoptr (GMenuModel) start_items = start_menu ();
  g_autoptr (GMenu) more = g_menu_new (), first = g_menu_new ();

  gtk_widget_init_template (GTK_WIDGET (self));
  self->actions = g_simple_action_group_new ();
  g_action_map_add_action_entries (G_ACTION_MAP (self->actions), actions, G_N_ELEMENTS (actions), self);
  gtk_widget_insert_action_group (GTK_WIDGET (self), "runs", G_ACTION_GROUP (self->actions));
  g_object_set_data_full (G_OBJECT (self), "actions", g_object_ref (self->actions), g_object_unref);
  gtk_menu_button_set_menu_model (self->chooser, batches);
  gtk_menu_button_set_menu_model (self->start_button, start_items);
  g_menu_append (first, _("Show results"), "runs.results");
  g_menu_append (first, _("Run failed ones again"), "runs.retry");
  g_menu_append (first, _("Cancel"), "runs.cancel");
  g_menu_append_section (more, NULL, G_MENU_MODEL (first));
  g_menu_append_submenu (more, _("Start"), start_items);
  g_menu_append_submenu (more, _("Batch"), batches);
  gtk_menu_button_set_menu_model (self->more, G_MENU_MODEL (more));

  self->rows = g_object_new (FM_TYPE_RUN_ROWS, NULL);
  self->curves = g_object_new (FM_TYPE_CURVES_CARD, NULL);
  gtk_box_append (self->runs_box, GTK_WIDGET (self->rows));
  gtk_box_append (self->curves_box, GTK_WIDGET (self->curves));
  g_signal_connect_object (self->rows, "chosen", G_CALLBACK (row_chosen), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "changed", G_CALLBACK (reload), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "runners", G_CALLBACK (runners_changed), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (self, "notify::folded", G_CALLBACK (reload), self, 0);
  reload (self);
}
