/* server.c: the runner's side of the control socket. */
#include "config.h"

#include "app/run/runner-private.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <gio/gunixsocketaddress.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string.h>

/* A client that reads slower than events come is left behind: it may connect again and get the whole status. */
#define MOST_PENDING (4 * 1024 * 1024)
#define FLUSH_US     300000 /* that the last words may take */

typedef struct
{
  FmControlServer   *server; /* no ref; NULL when the server is gone */
  GSocketConnection *connection;
  GDataInputStream  *in;
  GCancellable      *cancellable;
  GString           *pending; /* not yet written */
  GBytes            *writing;
  gboolean           attached;
  gboolean           reading; /* a read is on: its callback holds the client */
  gboolean           dropped;
} Client;

struct _FmControlServer
{
  FmRunner       *runner; /* no ref */
  GSocketService *service;
  char           *path;
  GPtrArray      *clients; /* Client */
};

static void
client_free (Client *client)
{
  g_clear_object (&client->in);
  g_clear_object (&client->connection);
  g_clear_object (&client->cancellable);
  g_clear_pointer (&client->writing, g_bytes_unref);
  g_string_free (client->pending, TRUE);
  g_free (client);
}

/* Freed once neither a read nor a write holds it. */
static void
client_drop (Client *client)
{
  if (!client->dropped)
    {
      client->dropped = TRUE;
      if (client->server)
        g_ptr_array_remove (client->server->clients, client);
      client->server = NULL;
      g_cancellable_cancel (client->cancellable);
    }
  if (!client->reading && client->writing == NULL)
    {
      g_io_stream_close (G_IO_STREAM (client->connection), NULL, NULL);
      client_free (client);
    }
}

static void client_flush (Client *client);

static void
written (GObject *source, GAsyncResult *result, gpointer data)
{
  Client *client = data;
  gboolean ok = g_output_stream_write_all_finish (G_OUTPUT_STREAM (source), result, NULL, NULL);

  g_clear_pointer (&client->writing, g_bytes_unref);
  if (!ok || client->dropped)
    client_drop (client);
  else
    client_flush (client);
}

static void
client_flush (Client *client)
{
  gsize size;
  gconstpointer data;

  if (client->writing || client->pending->len == 0)
    return;
  client->writing = g_bytes_new (client->pending->str, client->pending->len);
  g_string_truncate (client->pending, 0);
  data = g_bytes_get_data (client->writing, &size);
  g_output_stream_write_all_async (g_io_stream_get_output_stream (G_IO_STREAM (client->connection)), data, size,
                                   G_PRIORITY_DEFAULT, client->cancellable, written, client);
}

static void
client_send (Client *client, const char *line)
{
  if (client->pending->len > MOST_PENDING)
    {
      client_drop (client);
      return;
    }
  g_string_append (client->pending, line);
  client_flush (client);
}

static char *
status_line (const FmRunStatus *status)
{
  g_autoptr (JsonObject) message = json_object_new ();

  json_object_set_string_member (message, "event", "status");
  json_object_set_member (message, "status", fm_run_status_to_json (status));
  return fm_json_line (message);
}

static void line_read (GObject *source, GAsyncResult *result, gpointer data);

static void
client_read (Client *client)
{
  client->reading = TRUE;
  g_data_input_stream_read_line_async (client->in, G_PRIORITY_DEFAULT, client->cancellable, line_read, client);
}

static void
line_read (GObject *source, GAsyncResult *result, gpointer data)
{
  Client *client = data;
  g_autofree char *line = g_data_input_stream_read_line_finish (G_DATA_INPUT_STREAM (source), result, NULL, NULL);
  g_autoptr (JsonObject) order = NULL;
  const char *what;

  client->reading = FALSE;
  if (line == NULL || client->dropped)
    {
      client_drop (client);
      return;
    }
  order = fm_json_parse (line, -1, NULL);
  what = order ? fm_json_text (order, "do", "") : "";
  if (g_str_equal (what, "attach"))
    {
      g_autofree char *status = status_line (fm_runner_get_status (client->server->runner));

      client->attached = TRUE;
      client_send (client, status);
      if (client->dropped)
        return;
    }
  else if (g_str_equal (what, "pause"))
    fm_runner_pause (client->server->runner);
  else if (g_str_equal (what, "resume"))
    fm_runner_resume (client->server->runner);
  else if (g_str_equal (what, "cancel"))
    fm_runner_cancel (client->server->runner);
  client_read (client);
}

static gboolean
incoming (GSocketService *service, GSocketConnection *connection, GObject *source, gpointer data)
{
  FmControlServer *server = data;
  Client *client = g_new0 (Client, 1);

  client->server = server;
  client->connection = g_object_ref (connection);
  client->cancellable = g_cancellable_new ();
  client->pending = g_string_new (NULL);
  client->in = g_data_input_stream_new (g_io_stream_get_input_stream (G_IO_STREAM (connection)));
  g_ptr_array_add (server->clients, client);
  client_read (client);
  return TRUE;
}

FmControlServer *
fm_control_server_new (const char *path, FmRunner *runner, GError **error)
{
  g_autoptr (FmControlServer) server = g_new0 (FmControlServer, 1);
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (path);

  server->runner = runner;
  server->clients = g_ptr_array_new ();
  server->service = g_socket_service_new ();
  /* The lease is ours, so whoever left this file is dead. */
  if (g_unlink (path) != 0 && errno != ENOENT)
    g_debug ("%s cannot be removed", path);
  if (!g_socket_listener_add_address (G_SOCKET_LISTENER (server->service), address, G_SOCKET_TYPE_STREAM,
                                      G_SOCKET_PROTOCOL_DEFAULT, NULL, NULL, error))
    return NULL;
  server->path = g_strdup (path);
  if (g_chmod (path, 0600) != 0)
    g_debug ("%s keeps its mode", path); /* the folder is ours alone anyway */
  g_signal_connect (server->service, "incoming", G_CALLBACK (incoming), server);
  g_socket_service_start (server->service);
  return g_steal_pointer (&server);
}

static void
send_all (FmControlServer *server, const char *line)
{
  for (guint i = server->clients->len; i > 0; i--)
    {
      Client *client = g_ptr_array_index (server->clients, i - 1);

      if (client->attached)
        client_send (client, line);
    }
}

void
fm_control_server_free (FmControlServer *server)
{
  gint64 until = g_get_monotonic_time () + FLUSH_US;
  gboolean busy = TRUE;

  /* The last words of a batch are the ones that matter most. */
  while (busy && g_get_monotonic_time () < until)
    {
      busy = FALSE;
      for (guint i = 0; i < server->clients->len; i++)
        busy = busy || ((Client *) g_ptr_array_index (server->clients, i))->writing != NULL;
      if (busy && !g_main_context_iteration (NULL, FALSE))
        g_usleep (1000);
    }
  g_socket_service_stop (server->service);
  g_socket_listener_close (G_SOCKET_LISTENER (server->service));
  g_clear_object (&server->service);
  if (server->path)
    g_unlink (server->path);
  while (server->clients->len > 0)
    client_drop (g_ptr_array_index (server->clients, 0));
  g_ptr_array_unref (server->clients);
  g_free (server->path);
  g_free (server);
}

void
fm_control_server_send (FmControlServer *server, const FmRunStatus *status, const FmRunEvent *event)
{
  static const char * const names[] = { "status", "started", "ended", "point", "log", "closed" };
  g_autoptr (JsonObject) message = NULL;
  g_autofree char *line = NULL;

  if (server->clients->len == 0)
    return;
  if (event->kind == FM_RUN_EVENT_STATUS)
    {
      line = status_line (status);
      send_all (server, line);
      return;
    }
  message = json_object_new ();
  json_object_set_string_member (message, "event", names[event->kind]);
  if (event->stage)
    json_object_set_string_member (message, "stage", event->stage);
  if (event->stage_kind)
    json_object_set_string_member (message, "kind", event->stage_kind);
  if (event->variant)
    json_object_set_string_member (message, "variant", event->variant);
  if (event->state)
    json_object_set_string_member (message, "state", event->state);
  if (event->reason)
    json_object_set_string_member (message, "reason", event->reason);
  if (event->text)
    json_object_set_string_member (message, "text", event->text);
  if (event->kind == FM_RUN_EVENT_POINT)
    {
      json_object_set_int_member (message, "step", event->step);
      json_object_set_string_member (message, "name", event->name);
      json_object_set_string_member (message, "tag", event->tag ? event->tag : "");
      fm_json_set_double (message, "value", event->value);
    }
  line = fm_json_line (message);
  send_all (server, line);
}
