/* control.c: the client of the control socket. */
#include "config.h"

#include "app/run/control.h"
#include "app/run/run-private.h"

#include <gio/gunixsocketaddress.h>

#include <math.h>
#include <string.h>

struct _FmControl
{
  GObject            parent;
  GSocketConnection *connection;
  GDataInputStream  *in;
  GCancellable      *cancellable;
  FmRunStatus       *status;
  GTask             *connecting; /* until the first status */
  char              *last_reason;
  gboolean           ended, open;
};

G_DEFINE_FINAL_TYPE (FmControl, fm_control, G_TYPE_OBJECT)

enum { CHANGED, POINT, STAGE, LOG, CLOSED, N_SIGNALS };
static guint signals[N_SIGNALS];

/* --- Names ---------------------------------------------------------------------------------------------------------*/

/* Runners of several stores share the folder: the store's absolute name is in the socket's name. */
static char *
store_prefix (const char *store_path)
{
  g_autofree char *full = g_canonicalize_filename (store_path, NULL);

  return g_strdup_printf ("%08x-", (guint) (fm_hash (full) & 0xffffffffu));
}

char *
fm_control_socket_path (const char *store_path, gint64 batch, GError **error)
{
  g_autofree char *folder = fm_runtime_dir (error);
  g_autofree char *prefix = NULL, *path = NULL;

  if (folder == NULL)
    return NULL;
  prefix = store_prefix (store_path);
  path = g_strdup_printf ("%s/%s%" G_GINT64_FORMAT ".sock", folder, prefix, batch);
  if (strlen (path) > 107) /* sun_path */
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "%s is too long for a socket's name; set XDG_RUNTIME_DIR to a"
                   " shorter folder", path);
      return NULL;
    }
  return g_steal_pointer (&path);
}

void
fm_control_socket_free (FmControlSocket *socket)
{
  g_free (socket->path);
  g_free (socket);
}

GPtrArray *
fm_control_list_sockets (const char *store_path)
{
  GPtrArray *sockets = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_control_socket_free);
  g_autofree char *folder = fm_runtime_dir (NULL);
  g_autofree char *prefix = store_prefix (store_path);
  g_autoptr (GDir) dir = folder ? g_dir_open (folder, 0, NULL) : NULL;
  const char *name;

  while (dir && (name = g_dir_read_name (dir)))
    {
      FmControlSocket *socket;
      char *end;
      gint64 batch;

      if (!g_str_has_prefix (name, prefix))
        continue;
      batch = g_ascii_strtoll (name + strlen (prefix), &end, 10);
      if (batch <= 0 || !g_str_equal (end, ".sock"))
        continue;
      socket = g_new (FmControlSocket, 1);
      socket->batch = batch;
      socket->path = g_build_filename (folder, name, NULL);
      g_ptr_array_add (sockets, socket);
    }
  return sockets;
}

/* --- Listening -----------------------------------------------------------------------------------------------------*/

static void
close_now (FmControl *self, const char *reason)
{
  if (!self->open)
    return;
  self->open = FALSE;
  g_signal_emit (self, signals[CLOSED], 0, reason);
}

static void
take_word (FmControl *self, JsonObject *object)
{
  const char *event = fm_json_text (object, "event", "");

  if (g_str_equal (event, "status"))
    {
      g_autoptr (FmRunStatus) status = fm_run_status_from_json (json_object_get_member (object, "status"), NULL);

      if (status == NULL)
        return;
      g_clear_pointer (&self->status, fm_run_status_free);
      self->status = g_steal_pointer (&status);
      if (self->connecting)
        {
          g_autoptr (GTask) task = g_steal_pointer (&self->connecting);

          self->open = TRUE;
          g_task_return_pointer (task, g_object_ref (self), g_object_unref);
        }
      g_signal_emit (self, signals[CHANGED], 0);
    }
  else if (g_str_equal (event, "point"))
    g_signal_emit (self, signals[POINT], 0, fm_json_text (object, "stage", ""), fm_json_text (object, "name", ""),
                   fm_json_text (object, "tag", ""), fm_json_int (object, "step", 0),
                   fm_json_double (object, "value", NAN));
  else if (g_str_equal (event, "started") || g_str_equal (event, "ended"))
    g_signal_emit (self, signals[STAGE], 0, fm_json_text (object, "stage", ""), fm_json_text (object, "state", ""),
                   fm_json_text (object, "reason", ""));
  else if (g_str_equal (event, "log"))
    g_signal_emit (self, signals[LOG], 0, fm_json_text (object, "text", ""));
  else if (g_str_equal (event, "closed"))
    {
      self->ended = TRUE;
      self->last_reason = g_strdup (fm_json_text (object, "reason", ""));
    }
}

static void
line_read (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (FmControl) self = data; /* this read's reference */
  g_autoptr (GError) error = NULL;
  g_autofree char *line = g_data_input_stream_read_line_finish (G_DATA_INPUT_STREAM (source), result, NULL, &error);
  g_autoptr (JsonObject) object = NULL;

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  if (line == NULL)
    {
      if (self->connecting)
        {
          g_autoptr (GTask) task = g_steal_pointer (&self->connecting);

          g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED, "The runner closed the connection");
        }
      close_now (self, self->ended ? self->last_reason : "The runner is gone; `formarium resume` finishes what is left");
      return;
    }
  object = fm_json_parse (line, -1, NULL);
  if (object)
    take_word (self, object);
  if (!g_cancellable_is_cancelled (self->cancellable))
    g_data_input_stream_read_line_async (self->in, G_PRIORITY_DEFAULT, self->cancellable, line_read,
                                         g_object_ref (self));
}

/* --- Speaking ------------------------------------------------------------------------------------------------------*/

static void
order (FmControl *self, const char *what)
{
  g_autofree char *line = g_strdup_printf ("{\"do\":\"%s\"}\n", what);

  /* Some bytes into an empty socket buffer: this does not block. */
  if (!g_output_stream_write_all (g_io_stream_get_output_stream (G_IO_STREAM (self->connection)), line, strlen (line),
                                  NULL, NULL, NULL))
    g_debug ("the runner did not take \"%s\"; its end will be told", what);
}

void
fm_control_pause (FmControl *self)
{
  order (self, "pause");
}

void
fm_control_resume (FmControl *self)
{
  order (self, "resume");
}

void
fm_control_cancel (FmControl *self)
{
  order (self, "cancel");
}

const FmRunStatus *
fm_control_get_status (FmControl *self)
{
  return self->status;
}

void
fm_control_close (FmControl *self)
{
  self->open = FALSE;
  g_cancellable_cancel (self->cancellable);
}

/* --- Connecting ----------------------------------------------------------------------------------------------------*/

static void
connected (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  g_autoptr (FmControl) self = NULL;
  g_autoptr (GError) error = NULL;
  GSocketConnection *connection = g_socket_client_connect_finish (G_SOCKET_CLIENT (source), result, &error);

  if (connection == NULL)
    {
      g_task_return_error (task, g_steal_pointer (&error));
      return;
    }
  self = g_object_new (FM_TYPE_CONTROL, NULL);
  self->connection = connection;
  self->in = g_data_input_stream_new (g_io_stream_get_input_stream (G_IO_STREAM (connection)));
  self->connecting = g_steal_pointer (&task);
  order (self, "attach");
  g_data_input_stream_read_line_async (self->in, G_PRIORITY_DEFAULT, self->cancellable, line_read, g_object_ref (self));
}

void
fm_control_connect_async (const char *path, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (path);
  GTask *task = g_task_new (NULL, cancellable, callback, user_data);

  g_task_set_source_tag (task, fm_control_connect_async);
  g_socket_client_connect_async (client, G_SOCKET_CONNECTABLE (address), cancellable, connected, task);
}

FmControl *
fm_control_connect_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* A pending read holds a reference, so the object lives until it is told to close or the runner ends. */
static void
fm_control_dispose (GObject *object)
{
  FmControl *self = FM_CONTROL (object);

  g_cancellable_cancel (self->cancellable);
  g_clear_object (&self->in);
  g_clear_object (&self->connection);
  g_clear_object (&self->connecting);
  G_OBJECT_CLASS (fm_control_parent_class)->dispose (object);
}

static void
fm_control_finalize (GObject *object)
{
  FmControl *self = FM_CONTROL (object);

  g_clear_object (&self->cancellable);
  g_clear_pointer (&self->status, fm_run_status_free);
  g_free (self->last_reason);
  G_OBJECT_CLASS (fm_control_parent_class)->finalize (object);
}

static void
fm_control_class_init (FmControlClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = fm_control_dispose;
  G_OBJECT_CLASS (klass)->finalize = fm_control_finalize;
  signals[CHANGED] = g_signal_new ("changed", FM_TYPE_CONTROL, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
  signals[POINT] = g_signal_new ("point", FM_TYPE_CONTROL, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 5,
                                 G_TYPE_STRING, G_TYPE_STRING, G_TYPE_STRING, G_TYPE_INT64, G_TYPE_DOUBLE);
  signals[STAGE] = g_signal_new ("stage", FM_TYPE_CONTROL, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 3,
                                 G_TYPE_STRING, G_TYPE_STRING, G_TYPE_STRING);
  signals[LOG] = g_signal_new ("log", FM_TYPE_CONTROL, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1,
                               G_TYPE_STRING);
  signals[CLOSED] = g_signal_new ("closed", FM_TYPE_CONTROL, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1,
                                  G_TYPE_STRING);
}

static void
fm_control_init (FmControl *self)
{
  self->cancellable = g_cancellable_new ();
  self->status = fm_run_status_new ();
}
