/* fm-questions.c: the batch files that are shipped, as questions to choose from */
#include "config.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app/batch/batch.h"
#include "app/results/format.h"
#include "app/run/estimate.h"
#include "fm-build.h"
#include "fm-questions.h"

struct _FmQuestions
{
  AdwBin parent_instance;

  GtkListBox *list;
  GtkButton  *start;
  GPtrArray  *paths;
  GPtrArray  *checks; /* GtkCheckButton, no ref */
};

G_DEFINE_FINAL_TYPE (FmQuestions, fm_questions, ADW_TYPE_BIN)

enum { START, N_SIGNALS };
static guint signals[N_SIGNALS];

static gint
by_name (gconstpointer a,
         gconstpointer b)
{
  return strcmp (*(const char * const *) a, *(const char * const *) b);
}

GPtrArray *
fm_questions_list (void)
{
  const char *source = g_getenv ("FORMARIUM_DATA_DIR");
  g_autofree char *folder = g_build_filename (source != NULL && *source != '\0' ? source : FM_DATA_DIR, "examples", NULL);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  GPtrArray *paths = g_ptr_array_new_with_free_func (g_free);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    if (g_str_has_suffix (name, ".batch") && strstr (name, "vulkan") == NULL)
      g_ptr_array_add (paths, g_build_filename (folder, name, NULL));
  g_ptr_array_sort (paths, by_name);
  return paths;
}

const char *
fm_questions_get_chosen (FmQuestions *self)
{
  for (guint i = 0; i < self->checks->len; i++)
    if (gtk_check_button_get_active (g_ptr_array_index (self->checks, i)))
      return g_ptr_array_index (self->paths, i);
  return NULL;
}

/* The first comment of the file says what it does, up to its first full stop. */
static char *
first_comment (const char *text)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", 4);
  char *end;

  if (lines[0] == NULL || lines[0][0] != '#')
    return g_strdup ("");
  end = strstr (lines[0], ". ");
  if (end != NULL)
    *end = '\0';
  return g_strdup (g_strstrip (lines[0] + 1));
}

/* Time by the same plan that the command line prints; it builds graphs, so a thread does it. */
static void
estimate (GTask        *task,
          gpointer      source,
          gpointer      data,
          GCancellable *cancellable)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmBatchFile) file = fm_batch_file_load (data, &error);
  g_autoptr (FmBatchPlan) plan = file != NULL ? fm_batch_plan_new (file, &error) : NULL;
  g_autoptr (FmPlanEstimate) found = plan != NULL ? fm_plan_estimate_new (plan, NULL, &error) : NULL;

  if (found != NULL)
    g_task_return_pointer (task, fm_format_duration (found->seconds_left), g_free);
  else
    g_task_return_error (task, g_steal_pointer (&error));
}

static void
estimated (GObject      *source,
           GAsyncResult *result,
           gpointer      user_data)
{
  g_autoptr (GtkLabel) label = user_data;
  g_autoptr (GError) error = NULL;
  g_autofree char *text = g_task_propagate_pointer (G_TASK (result), &error);

  if (text != NULL)
    {
      g_autofree char *about = g_strdup_printf (_("about %s"), text);

      gtk_label_set_text (label, about);
    }
  else
    gtk_widget_set_tooltip_text (GTK_WIDGET (label), error->message);
}

static void
add_question (FmQuestions *self,
              const char  *path)
{
  g_autoptr (FmBatchFile) file = fm_batch_file_load (path, NULL);
  g_autofree char *comment = NULL;
  g_autoptr (GTask) task = NULL;
  GtkWidget *check, *time, *row;

  if (file == NULL)
    return;
  comment = first_comment (fm_batch_file_get_text (file));
  time = fm_label ("", "dim-label numeric");
  gtk_label_set_wrap (GTK_LABEL (time), FALSE);
  row = fm_row (fm_batch_file_get_title (file), comment, time);
  check = gtk_check_button_new ();
  fm_set_name (check, fm_batch_file_get_title (file));
  if (self->checks->len > 0)
    gtk_check_button_set_group (GTK_CHECK_BUTTON (check), g_ptr_array_index (self->checks, 0));
  else
    gtk_check_button_set_active (GTK_CHECK_BUTTON (check), TRUE);
  adw_action_row_add_prefix (ADW_ACTION_ROW (row), check);
  adw_action_row_set_activatable_widget (ADW_ACTION_ROW (row), check);
  gtk_list_box_append (self->list, row);
  g_ptr_array_add (self->checks, check);
  g_ptr_array_add (self->paths, g_strdup (path));

  task = g_task_new (self, NULL, estimated, g_object_ref (time));
  g_task_set_task_data (task, g_strdup (path), g_free);
  g_task_run_in_thread (task, estimate);
}

static void
start_clicked (FmQuestions *self)
{
  g_signal_emit (self, signals[START], 0);
}

static void
fm_questions_finalize (GObject *object)
{
  g_ptr_array_unref (FM_QUESTIONS (object)->paths);
  g_ptr_array_unref (FM_QUESTIONS (object)->checks);
  G_OBJECT_CLASS (fm_questions_parent_class)->finalize (object);
}

static void
fm_questions_class_init (FmQuestionsClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = fm_questions_finalize;
  signals[START] = g_signal_new ("start", FM_TYPE_QUESTIONS, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
fm_questions_init (FmQuestions *self)
{
  GtkWidget *page = adw_status_page_new ();
  GtkWidget *clamp = adw_clamp_new ();
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 24);
  GtkWidget *open = gtk_button_new_with_label (_("Open a batch file…"));
  g_autoptr (GPtrArray) found = fm_questions_list ();

  self->paths = g_ptr_array_new_with_free_func (g_free);
  self->checks = g_ptr_array_new ();
  self->list = GTK_LIST_BOX (fm_boxed_list (_("Questions")));
  for (guint i = 0; i < found->len; i++)
    add_question (self, g_ptr_array_index (found, i));
  self->start = GTK_BUTTON (gtk_button_new_with_label (_("Start")));
  gtk_widget_add_css_class (GTK_WIDGET (self->start), "pill");
  gtk_widget_add_css_class (GTK_WIDGET (self->start), "suggested-action");
  gtk_widget_set_halign (GTK_WIDGET (self->start), GTK_ALIGN_CENTER);
  gtk_widget_set_visible (GTK_WIDGET (self->start), self->checks->len > 0);
  gtk_widget_set_visible (GTK_WIDGET (self->list), self->checks->len > 0);
  g_signal_connect_object (self->start, "clicked", G_CALLBACK (start_clicked), self, G_CONNECT_SWAPPED);
  gtk_actionable_set_action_name (GTK_ACTIONABLE (open), "runs.open");
  gtk_widget_add_css_class (open, "flat");
  gtk_widget_set_halign (open, GTK_ALIGN_CENTER);
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->list));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->start));
  gtk_box_append (GTK_BOX (box), open);
  adw_clamp_set_maximum_size (ADW_CLAMP (clamp), 560);
  adw_clamp_set_child (ADW_CLAMP (clamp), box);
  adw_status_page_set_icon_name (ADW_STATUS_PAGE (page), "org.formarium.Formarium");
  adw_status_page_set_title (ADW_STATUS_PAGE (page), _("What would you like to find out?"));
  adw_status_page_set_description (ADW_STATUS_PAGE (page),
                                   _("Choose a question. It is trained and measured here, on this computer."));
  adw_status_page_set_child (ADW_STATUS_PAGE (page), clamp);
  adw_bin_set_child (ADW_BIN (self), page);
}
