/* fm-session.c: the store that is looked at, its batches, and the runners that are alive */
#include "config.h"

#include <glib/gi18n.h>
#include <string.h>
#include <unistd.h>

#include "fm-session.h"

/* --- A batch in a chooser -----------------------------------------------------------------------------------------*/

struct _FmBatchItem
{
  GObject parent_instance;

  FmBatchRecord *record;
  char          *title;
};

G_DEFINE_FINAL_TYPE (FmBatchItem, fm_batch_item, G_TYPE_OBJECT)

enum { ITEM_TITLE = 1, N_ITEM_PROPS };

gint64
fm_batch_item_get_id (FmBatchItem *self)
{
  return self->record->id;
}

const FmBatchRecord *
fm_batch_item_get_record (FmBatchItem *self)
{
  return self->record;
}

const char *
fm_batch_item_get_title (FmBatchItem *self)
{
  return self->title;
}

static void
fm_batch_item_get_property (GObject    *object,
                            guint       id,
                            GValue     *value,
                            GParamSpec *pspec)
{
  if (id == ITEM_TITLE)
    g_value_set_string (value, FM_BATCH_ITEM (object)->title);
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
fm_batch_item_finalize (GObject *object)
{
  FmBatchItem *self = FM_BATCH_ITEM (object);

  fm_batch_record_free (self->record);
  g_free (self->title);
  G_OBJECT_CLASS (fm_batch_item_parent_class)->finalize (object);
}

static void
fm_batch_item_class_init (FmBatchItemClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = fm_batch_item_get_property;
  object_class->finalize = fm_batch_item_finalize;
  g_object_class_install_property (object_class, ITEM_TITLE,
                                   g_param_spec_string ("title", NULL, NULL, NULL,
                                                        G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}

static void
fm_batch_item_init (FmBatchItem *self)
{
}

/* --- The session --------------------------------------------------------------------------------------------------*/

struct _FmSession
{
  GObject parent_instance;

  char         *path;
  FmStore      *watch; /* asked only whether something changed; readers open their own */
  guint64       change;
  GFileMonitor *folder_monitor, *runtime_monitor;
  guint         changed_timeout, sockets_timeout;
  gboolean      reading, again, loaded;
  GError       *error;
  char         *notice;   /* (nullable): what opening the store did to it */
  GListStore   *batches;  /* FmBatchItem */
  GHashTable   *controls; /* gint64 batch -> FmControl, or NULL while it is being connected */
  GPtrArray    *starting; /* GTask of fm_session_run_async() that wait for their socket */
};

G_DEFINE_FINAL_TYPE (FmSession, fm_session, G_TYPE_OBJECT)

enum { CHANGED, RUNNERS, N_SIGNALS };
static guint signals[N_SIGNALS];

GListModel *
fm_session_get_batches (FmSession *self)
{
  return G_LIST_MODEL (self->batches);
}

gboolean
fm_session_get_loaded (FmSession *self)
{
  return self->loaded;
}

const GError *
fm_session_get_error (FmSession *self)
{
  return self->error;
}

char *
fm_session_take_notice (FmSession *self)
{
  return g_steal_pointer (&self->notice);
}

const char *
fm_session_get_store_path (FmSession *self)
{
  return self->path;
}

FmBatchItem *
fm_session_find_batch (FmSession *self,
                       gint64     batch)
{
  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (self->batches)); i++)
    {
      g_autoptr (FmBatchItem) item = g_list_model_get_item (G_LIST_MODEL (self->batches), i);

      if (item->record->id == batch)
        return item; /* the list keeps it */
    }
  return NULL;
}

FmControl *
fm_session_get_control (FmSession *self,
                        gint64     batch)
{
  return g_hash_table_lookup (self->controls, &batch);
}

guint
fm_session_count_workers (FmSession *self)
{
  GHashTableIter iter;
  gpointer control;
  guint n = 0;

  g_hash_table_iter_init (&iter, self->controls);
  while (g_hash_table_iter_next (&iter, NULL, &control))
    if (control != NULL)
      n += fm_control_get_status (control)->workers->len;
  return n;
}

/* The first connection that finds an old store brings it up to date, whichever it is. */
static void
keep_notice (FmSession  *self,
             const char *notice)
{
  if (notice == NULL)
    return;
  g_free (self->notice);
  self->notice = g_strdup (notice);
}

/* --- Reading in threads -------------------------------------------------------------------------------------------*/

typedef struct
{
  char          *path;
  FmSessionRead  read;
  gpointer       data;
  GDestroyNotify free_data, free_result;
  char          *notice; /* (nullable): of the store when it was opened */
} Reading;

static void
reading_free (Reading *reading)
{
  g_free (reading->path);
  g_free (reading->notice);
  if (reading->free_data != NULL)
    reading->free_data (reading->data);
  g_free (reading);
}

static void
read_thread (GTask        *task,
             gpointer      source,
             gpointer      data,
             GCancellable *cancellable)
{
  Reading *reading = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (FmStore) store = fm_store_open (reading->path, FM_STORE_READ, &error);
  gpointer result = NULL;

  if (store != NULL)
    {
      reading->notice = g_strdup (fm_store_get_notice (store));
      result = reading->read (store, reading->data, &error);
    }
  if (error != NULL)
    g_task_return_error (task, g_steal_pointer (&error));
  else
    g_task_return_pointer (task, result, reading->free_result);
}

void
fm_session_read_async (FmSession          *self,
                       FmSessionRead       read,
                       gpointer            data,
                       GDestroyNotify      free_data,
                       GDestroyNotify      free_result,
                       GCancellable       *cancellable,
                       GAsyncReadyCallback callback,
                       gpointer            user_data)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, user_data);
  Reading *reading = g_new0 (Reading, 1);

  g_return_if_fail (FM_IS_SESSION (self));
  reading->path = g_strdup (self->path);
  reading->read = read;
  reading->data = data;
  reading->free_data = free_data;
  reading->free_result = free_result;
  g_task_set_task_data (task, reading, (GDestroyNotify) reading_free);
  g_task_run_in_thread (task, read_thread);
}

gpointer
fm_session_read_finish (FmSession    *self,
                        GAsyncResult *result,
                        GError      **error)
{
  Reading *reading = g_task_get_task_data (G_TASK (result));

  keep_notice (self, reading->notice);
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* --- Batches ------------------------------------------------------------------------------------------------------*/

static gpointer
read_batches (FmStore *store,
              gpointer data,
              GError **error)
{
  return fm_store_load_batches (store, error);
}

static void look_at_store (FmSession *self);

static void
batches_read (GObject      *source,
              GAsyncResult *result,
              gpointer      user_data)
{
  FmSession *self = FM_SESSION (source);
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) records = fm_session_read_finish (self, result, &error);
  g_autoptr (GPtrArray) items = g_ptr_array_new_with_free_func (g_object_unref);

  self->reading = FALSE;
  self->loaded = TRUE;
  g_clear_error (&self->error);
  if (error != NULL && !g_error_matches (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT))
    self->error = g_steal_pointer (&error);
  if (records != NULL)
    {
      g_ptr_array_set_free_func (records, NULL); /* the items own the records from here on */
      for (guint i = 0; i < records->len; i++)
        {
          FmBatchItem *item = g_object_new (FM_TYPE_BATCH_ITEM, NULL);
          gboolean twice = FALSE;

          item->record = g_ptr_array_index (records, i);
          for (guint k = 0; k < records->len; k++)
            twice |= k != i && g_strcmp0 (((FmBatchRecord *) g_ptr_array_index (records, k))->title,
                                          item->record->title) == 0;
          item->title = twice ? g_strdup_printf ("%s · %" G_GINT64_FORMAT, item->record->title, item->record->id)
                              : g_strdup (item->record->title);
          g_ptr_array_add (items, item);
        }
    }
  if (self->error == NULL)
    g_list_store_splice (self->batches, 0, g_list_model_get_n_items (G_LIST_MODEL (self->batches)), items->pdata,
                         items->len);
  g_signal_emit (self, signals[CHANGED], 0);
  if (self->again)
    look_at_store (self);
}

static void
look_at_store (FmSession *self)
{
  self->again = self->reading;
  if (self->reading)
    return;
  self->reading = TRUE;
  fm_session_read_async (self, read_batches, NULL, NULL, (GDestroyNotify) g_ptr_array_unref, NULL, batches_read, NULL);
}

/* Readers of a WAL database touch its files too, so a file event is only a hint: the store says what it means. */
static gboolean
store_may_have_changed (gpointer user_data)
{
  FmSession *self = user_data;
  guint64 change;

  self->changed_timeout = 0;
  if (self->watch == NULL)
    {
      self->watch = fm_store_open (self->path, FM_STORE_READ, NULL);
      keep_notice (self, self->watch != NULL ? fm_store_get_notice (self->watch) : NULL);
    }
  change = self->watch != NULL ? fm_store_get_change (self->watch) : 0;
  if (change != self->change || self->error != NULL)
    {
      self->change = change;
      look_at_store (self);
    }
  return G_SOURCE_REMOVE;
}

static void
folder_changed (FmSession *self)
{
  if (self->changed_timeout == 0)
    self->changed_timeout = g_timeout_add (500, store_may_have_changed, self);
}

/* --- Runners ------------------------------------------------------------------------------------------------------*/

static void
runners_changed (FmSession *self)
{
  g_signal_emit (self, signals[RUNNERS], 0);
}

static void
control_closed (FmSession  *self,
                const char *reason,
                FmControl  *control)
{
  gint64 batch = fm_control_get_status (control)->batch;

  g_signal_handlers_disconnect_by_data (control, self);
  g_hash_table_remove (self->controls, &batch);
  folder_changed (self);
  runners_changed (self);
}

static void
stage_changed (FmSession *self)
{
  folder_changed (self);
}

typedef struct
{
  FmSession *session;
  gint64     batch;
} Connecting;

static void
connected (GObject      *source,
           GAsyncResult *result,
           gpointer      user_data)
{
  Connecting *connecting = user_data;
  FmSession *self = connecting->session;
  g_autoptr (FmControl) control = fm_control_connect_finish (result, NULL);

  /* A socket whose runner died refuses; it is asked again when the folder changes. */
  if (control == NULL)
    g_hash_table_remove (self->controls, &connecting->batch);
  else
    {
      gint64 pid = fm_control_get_status (control)->pid;

      g_signal_connect_object (control, "changed", G_CALLBACK (runners_changed), self, G_CONNECT_SWAPPED);
      g_signal_connect_object (control, "stage", G_CALLBACK (stage_changed), self, G_CONNECT_SWAPPED);
      g_signal_connect_object (control, "closed", G_CALLBACK (control_closed), self, G_CONNECT_SWAPPED);
      g_hash_table_replace (self->controls, g_memdup2 (&connecting->batch, sizeof (gint64)), g_object_ref (control));
      for (guint i = self->starting->len; i > 0; i--)
        {
          GTask *task = g_ptr_array_index (self->starting, i - 1);

          if (g_ascii_strtoll (g_object_get_data (G_OBJECT (task), "pid"), NULL, 10) == pid)
            {
              g_task_return_boolean (task, TRUE);
              g_ptr_array_remove_index (self->starting, i - 1);
            }
        }
      folder_changed (self);
      runners_changed (self);
    }
  g_object_unref (connecting->session);
  g_free (connecting);
}

static gboolean
look_for_sockets (gpointer user_data)
{
  FmSession *self = user_data;
  g_autoptr (GPtrArray) sockets = fm_control_list_sockets (self->path);

  self->sockets_timeout = 0;
  for (guint i = 0; sockets != NULL && i < sockets->len; i++)
    {
      FmControlSocket *found = g_ptr_array_index (sockets, i);
      Connecting *connecting;

      if (g_hash_table_contains (self->controls, &found->batch))
        continue;
      g_hash_table_insert (self->controls, g_memdup2 (&found->batch, sizeof (gint64)), NULL);
      connecting = g_new0 (Connecting, 1);
      connecting->session = g_object_ref (self);
      connecting->batch = found->batch;
      fm_control_connect_async (found->path, NULL, connected, connecting);
    }
  return G_SOURCE_REMOVE;
}

static void
runtime_changed (FmSession *self)
{
  if (self->sockets_timeout == 0)
    self->sockets_timeout = g_timeout_add (100, look_for_sockets, self);
}

/* --- Starting -----------------------------------------------------------------------------------------------------*/

static void
leave_session (gpointer data)
{
  setsid ();
}

/* The last words of a program that ended, without its own name. */
static char *
last_words (const char *path)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return NULL;
  lines = g_strsplit (g_strstrip (text), "\n", -1);
  for (guint i = g_strv_length (lines); i > 0; i--)
    if (g_str_has_prefix (lines[i - 1], "formarium: "))
      return g_strdup (lines[i - 1] + strlen ("formarium: "));
  return g_strv_length (lines) > 0 ? g_strdup (lines[g_strv_length (lines) - 1]) : NULL;
}

static void
ended (GObject      *source,
       GAsyncResult *result,
       gpointer      user_data)
{
  GSubprocess *process = G_SUBPROCESS (source);
  g_autoptr (GTask) task = user_data;
  FmSession *self = g_task_get_source_object (task);
  const char *log = g_object_get_data (G_OBJECT (task), "log");

  g_subprocess_wait_finish (process, result, NULL);
  folder_changed (self);
  if (!g_task_get_completed (task))
    {
      /* 3: some runs failed, which the table says; it is no failure to start. */
      if (g_subprocess_get_if_exited (process)
          && (g_subprocess_get_exit_status (process) == 0 || g_subprocess_get_exit_status (process) == 3))
        g_task_return_boolean (task, TRUE);
      else
        {
          g_autofree char *words = last_words (log);

          g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_FAILED, "%s",
                                   words != NULL && *words != '\0' ? words : _("The runner ended without a word."));
        }
      g_ptr_array_remove (self->starting, task);
    }
  unlink (log);
}

void
fm_session_run_async (FmSession          *self,
                      const char         *verb,
                      const char         *word,
                      GAsyncReadyCallback callback,
                      gpointer            user_data)
{
  static guint count;
  g_autoptr (GTask) task = g_task_new (self, NULL, callback, user_data);
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDOUT_SILENCE);
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *program = fm_program_path ();
  g_autofree char *folder = fm_runtime_dir (&error);
  g_autofree char *log = NULL;

  if (folder == NULL)
    {
      g_task_return_error (task, g_steal_pointer (&error));
      return;
    }
  /* Its words go to a file: a pipe would break, and the runner with it, when the window closes. */
  log = g_strdup_printf ("%s/window-%d-%u.log", folder, (int) getpid (), ++count);
  g_subprocess_launcher_set_stderr_file_path (launcher, log);
  g_subprocess_launcher_set_child_setup (launcher, leave_session, NULL, NULL);
  g_subprocess_launcher_setenv (launcher, "FORMARIUM_STORE", self->path, TRUE);
  if (g_str_equal (verb, "retry"))
    process = g_subprocess_launcher_spawn (launcher, &error, program, "resume", "--retry-failed", word, NULL);
  else
    process = g_subprocess_launcher_spawn (launcher, &error, program, verb, word, NULL);
  if (process == NULL)
    {
      g_task_return_error (task, g_steal_pointer (&error));
      return;
    }
  g_object_set_data_full (G_OBJECT (task), "log", g_steal_pointer (&log), g_free);
  g_object_set_data_full (G_OBJECT (task), "pid", g_strdup (g_subprocess_get_identifier (process)), g_free);
  g_ptr_array_add (self->starting, g_object_ref (task));
  g_subprocess_wait_async (process, NULL, ended, g_object_ref (task));
}

gboolean
fm_session_run_finish (FmSession    *self,
                       GAsyncResult *result,
                       GError      **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

/* --- Object -------------------------------------------------------------------------------------------------------*/

static void
fm_session_finalize (GObject *object)
{
  FmSession *self = FM_SESSION (object);

  g_clear_handle_id (&self->changed_timeout, g_source_remove);
  g_clear_handle_id (&self->sockets_timeout, g_source_remove);
  g_clear_object (&self->folder_monitor);
  g_clear_object (&self->runtime_monitor);
  g_clear_pointer (&self->watch, fm_store_close);
  g_clear_error (&self->error);
  g_free (self->notice);
  g_clear_object (&self->batches);
  g_hash_table_unref (self->controls);
  g_ptr_array_unref (self->starting);
  g_free (self->path);
  G_OBJECT_CLASS (fm_session_parent_class)->finalize (object);
}

static void
fm_session_class_init (FmSessionClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = fm_session_finalize;
  signals[CHANGED] = g_signal_new ("changed", FM_TYPE_SESSION, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
  signals[RUNNERS] = g_signal_new ("runners", FM_TYPE_SESSION, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
unref_maybe (gpointer object)
{
  g_clear_object (&object);
}

static void
fm_session_init (FmSession *self)
{
  g_autofree char *folder = NULL;
  g_autofree char *runtime = fm_runtime_dir (NULL);
  g_autoptr (GFile) store_folder = NULL;

  self->path = fm_store_default_path ();
  self->batches = g_list_store_new (FM_TYPE_BATCH_ITEM);
  self->controls = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, unref_maybe);
  self->starting = g_ptr_array_new_with_free_func (g_object_unref);

  folder = g_path_get_dirname (self->path);
  store_folder = g_file_new_for_path (folder);
  self->folder_monitor = g_file_monitor_directory (store_folder, G_FILE_MONITOR_NONE, NULL, NULL);
  if (self->folder_monitor != NULL)
    g_signal_connect_object (self->folder_monitor, "changed", G_CALLBACK (folder_changed), self, G_CONNECT_SWAPPED);
  if (runtime != NULL)
    {
      g_autoptr (GFile) file = g_file_new_for_path (runtime);

      self->runtime_monitor = g_file_monitor_directory (file, G_FILE_MONITOR_NONE, NULL, NULL);
      if (self->runtime_monitor != NULL)
        g_signal_connect_object (self->runtime_monitor, "changed", G_CALLBACK (runtime_changed), self,
                                 G_CONNECT_SWAPPED);
    }
  look_at_store (self);
  runtime_changed (self);
}

FmSession *
fm_session_get (void)
{
  static FmSession *session;

  if (session == NULL)
    session = g_object_new (FM_TYPE_SESSION, NULL);
  return session;
}
