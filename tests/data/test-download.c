/* test-download.c: the downloader against a small HTTP server in this process, which misbehaves by path. */
#include "data/download.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define SIZE 200000

typedef struct
{
  GSocketService *service;
  guint16         port;
  guint8          body[SIZE];
  char           *sha256;
  char           *folder; /* to download into, fresh for each test */
  char           *path, *part;
  GCancellable   *cancellable;

  GMutex          lock;
  GString        *log;    /* "PATH FIRST-BYTE\n" for each request, under lock */
} Server;

static void
send_head (GOutputStream *out, const char *status, gsize length, const char *more)
{
  g_autofree char *head = g_strdup_printf ("HTTP/1.1 %s\r\nContent-Length: %" G_GSIZE_FORMAT "\r\n%s"
                                           "Connection: close\r\n\r\n", status, length, more);

  g_output_stream_write_all (out, head, strlen (head), NULL, NULL, NULL);
}

static void
send_bytes (GOutputStream *out, const guint8 *bytes, gsize n)
{
  g_output_stream_write_all (out, bytes, n, NULL, NULL, NULL); /* the client may have gone: no matter */
}

/* /good and /cut do ranges; /norange does none; /wrong has other bytes, /longer more, /short fewer; /cut ends the
 * connection after 50,000 bytes; /stuck sends 1,000 bytes and then nothing; all else is 404. */
static gboolean
on_request (GThreadedSocketService *service, GSocketConnection *connection, GObject *source, gpointer user_data)
{
  Server *s = user_data;
  GOutputStream *out = g_io_stream_get_output_stream (G_IO_STREAM (connection));
  g_autoptr (GDataInputStream) in =
    g_data_input_stream_new (g_io_stream_get_input_stream (G_IO_STREAM (connection)));
  g_autofree char *path = NULL, *range = NULL;
  gsize first = 0;

  g_data_input_stream_set_newline_type (in, G_DATA_STREAM_NEWLINE_TYPE_CR_LF);
  for (;;)
    {
      g_autofree char *line = g_data_input_stream_read_line (in, NULL, NULL, NULL);

      if (line == NULL)
        return TRUE;
      if (*line == '\0')
        break;
      if (g_str_has_prefix (line, "GET "))
        path = g_strndup (line + 4, strcspn (line + 4, " "));
      else if (g_ascii_strncasecmp (line, "Range: bytes=", 13) == 0)
        first = (gsize) g_ascii_strtoull (line + 13, NULL, 10);
    }
  g_mutex_lock (&s->lock);
  g_string_append_printf (s->log, "%s %" G_GSIZE_FORMAT "\n", path, first);
  g_mutex_unlock (&s->lock);

  if (g_str_equal (path, "/norange") || g_str_equal (path, "/wrong") || g_str_equal (path, "/longer") ||
      g_str_equal (path, "/short") || g_str_equal (path, "/stuck"))
    first = 0;
  if (first > 0)
    range = g_strdup_printf ("Content-Range: bytes %" G_GSIZE_FORMAT "-%d/%d\r\n", first, SIZE - 1, SIZE);

  if (g_str_equal (path, "/good") || g_str_equal (path, "/norange"))
    {
      send_head (out, range ? "206 Partial Content" : "200 OK", SIZE - first, range ? range : "");
      send_bytes (out, s->body + first, SIZE - first);
    }
  else if (g_str_equal (path, "/cut"))
    {
      send_head (out, range ? "206 Partial Content" : "200 OK", SIZE - first, range ? range : "");
      send_bytes (out, s->body + first, MIN (50000, SIZE - first));
    }
  else if (g_str_equal (path, "/wrong") || g_str_equal (path, "/longer"))
    {
      g_autofree guint8 *other = g_malloc0 (2 * SIZE);
      gsize n = g_str_equal (path, "/wrong") ? SIZE : 2 * SIZE;

      send_head (out, "200 OK", n, "");
      send_bytes (out, other, n);
    }
  else if (g_str_equal (path, "/short"))
    {
      send_head (out, "200 OK", 1000, "");
      send_bytes (out, s->body, 1000);
    }
  else if (g_str_equal (path, "/stuck"))
    {
      char byte;

      send_head (out, "200 OK", SIZE, "");
      send_bytes (out, s->body, 1000);
      g_input_stream_read (G_INPUT_STREAM (in), &byte, 1, NULL, NULL); /* until the client goes */
    }
  else
    send_head (out, "404 Not Found", 0, "");
  return TRUE;
}

static void
set_up (Server *s, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < SIZE; i++)
    s->body[i] = (guint8) (i * 2654435761u >> 13);
  s->sha256 = g_compute_checksum_for_data (G_CHECKSUM_SHA256, s->body, SIZE);
  s->folder = g_dir_make_tmp ("formarium-download-XXXXXX", &error);
  g_assert_no_error (error);
  s->path = g_build_filename (s->folder, "file", NULL);
  s->part = g_build_filename (s->folder, "file.part", NULL);
  s->log = g_string_new (NULL);
  s->cancellable = g_cancellable_new ();
  g_mutex_init (&s->lock);
  s->service = g_threaded_socket_service_new (4);
  g_signal_connect (s->service, "run", G_CALLBACK (on_request), s);
  s->port = g_socket_listener_add_any_inet_port (G_SOCKET_LISTENER (s->service), NULL, &error);
  g_assert_no_error (error);
  g_socket_service_start (s->service);
}

/* The service accepts in the main loop, so the download runs in a thread, as it does in the program. */
typedef struct
{
  Server      *server;
  FmDownload   file;
  const char  *urls[4];
  GError      *error;
  gboolean     ok;
  goffset      last, total;
  gint         done;
  goffset      cancel_at; /* bytes, or -1 */
} Job;

static void
on_progress (goffset here, goffset total, gpointer user_data)
{
  Job *job = user_data;

  g_assert_cmpint (here, <=, total);
  job->last = here;
  job->total = total;
  if (job->cancel_at >= 0 && here >= job->cancel_at)
    g_cancellable_cancel (job->server->cancellable);
}

static gpointer
run_job (gpointer data)
{
  Job *job = data;

  job->ok = fm_download (&job->file, 1, job->server->folder, job->server->cancellable, on_progress, job, &job->error);
  g_atomic_int_set (&job->done, 1);
  g_main_context_wakeup (NULL);
  return NULL;
}

/* Downloads "file" from the paths given, up to three; returns the job, whose error the caller looks at. */
static Job *
download (Server *s, goffset cancel_at, const char *first, const char *second)
{
  Job *job = g_new0 (Job, 1);
  const char *paths[] = { first, second };
  GThread *thread;

  job->server = s;
  job->cancel_at = cancel_at;
  for (guint i = 0; i < 2 && paths[i]; i++)
    job->urls[i] = g_strdup_printf ("http://127.0.0.1:%u%s", s->port, paths[i]);
  job->file = (FmDownload){ "file", s->sha256, SIZE, job->urls };
  thread = g_thread_new ("download", run_job, job);
  while (!g_atomic_int_get (&job->done))
    g_main_context_iteration (NULL, TRUE);
  g_thread_join (thread);
  return job;
}

static void
job_free (Job *job)
{
  g_clear_error (&job->error);
  for (guint i = 0; job->urls[i]; i++)
    g_free ((char *) job->urls[i]);
  g_free (job);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Job, job_free)

static void
tear_down (Server *s, gconstpointer data)
{
  g_socket_service_stop (s->service);
  g_socket_listener_close (G_SOCKET_LISTENER (s->service));
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_object_unref (s->service);
  g_object_unref (s->cancellable);
  g_unlink (s->path);
  g_unlink (s->part);
  g_assert_cmpint (g_rmdir (s->folder), ==, 0); /* nothing else was left there */
  g_string_free (s->log, TRUE);
  g_mutex_clear (&s->lock);
  g_free (s->sha256);
  g_free (s->folder);
  g_free (s->path);
  g_free (s->part);
}

static void
assert_file (Server *s, gboolean present, gssize part_size)
{
  g_autofree char *contents = NULL, *rest = NULL;
  gsize length;

  g_assert_true (g_file_test (s->path, G_FILE_TEST_EXISTS) == present);
  if (present)
    {
      g_assert_true (g_file_get_contents (s->path, &contents, &length, NULL));
      g_assert_cmpmem (contents, length, s->body, SIZE);
    }
  g_assert_true (g_file_test (s->part, G_FILE_TEST_EXISTS) == (part_size >= 0));
  if (part_size >= 0)
    {
      g_assert_true (g_file_get_contents (s->part, &rest, &length, NULL));
      g_assert_cmpint (length, ==, part_size);
      g_assert_cmpmem (rest, length, s->body, (gsize) part_size);
    }
}

static void
test_whole (Server *s, gconstpointer data)
{
  g_autoptr (Job) job = download (s, -1, "/good", NULL), again = NULL;

  g_assert_no_error (job->error);
  g_assert_true (job->ok);
  g_assert_cmpint (job->last, ==, SIZE);
  g_assert_cmpint (job->total, ==, SIZE);
  assert_file (s, TRUE, -1);
  again = download (s, -1, "/good", NULL);
  g_assert_true (again->ok);
  g_assert_cmpstr (s->log->str, ==, "/good 0\n"); /* what is here is not fetched again */
}

/* A file of the right name but other bytes is replaced. */
static void
test_replaces (Server *s, gconstpointer data)
{
  g_autoptr (Job) job = NULL;

  g_assert_true (g_file_set_contents (s->path, "something else", -1, NULL));
  job = download (s, -1, "/good", NULL);
  g_assert_true (job->ok);
  assert_file (s, TRUE, -1);
}

static void
test_resumes (Server *s, gconstpointer data)
{
  g_autoptr (Job) cut = download (s, -1, "/cut", NULL), rest = NULL;

  g_assert_error (cut->error, FM_DATA_ERROR, FM_DATA_ERROR_NETWORK);
  assert_file (s, FALSE, 50000);
  rest = download (s, -1, "/good", NULL);
  g_assert_no_error (rest->error);
  assert_file (s, TRUE, -1);
  g_assert_cmpstr (s->log->str, ==, "/cut 0\n/good 50000\n");
}

/* The second mirror goes on where the first one was cut, in one call. */
static void
test_next_mirror (Server *s, gconstpointer data)
{
  g_autoptr (Job) job = download (s, -1, "/cut", "/good");

  g_assert_no_error (job->error);
  assert_file (s, TRUE, -1);
  g_assert_cmpstr (s->log->str, ==, "/cut 0\n/good 50000\n");
}

static void
test_no_ranges (Server *s, gconstpointer data)
{
  g_autoptr (Job) job = download (s, -1, "/cut", "/norange");

  g_assert_no_error (job->error);
  assert_file (s, TRUE, -1);
  g_assert_cmpstr (s->log->str, ==, "/cut 0\n/norange 50000\n/norange 0\n");
}

static void
test_wrong_checksum (Server *s, gconstpointer data)
{
  g_autoptr (Job) job = download (s, -1, "/wrong", NULL), second = NULL;

  g_assert_error (job->error, FM_DATA_ERROR, FM_DATA_ERROR_CORRUPT);
  g_assert_nonnull (strstr (job->error->message, "wrong checksum"));
  g_assert_nonnull (strstr (job->error->message, s->sha256));
  assert_file (s, FALSE, -1);
  second = download (s, -1, "/wrong", "/good");
  g_assert_no_error (second->error);
  assert_file (s, TRUE, -1);
}

/* What is here from before may be of another file: then all is fetched anew. */
static void
test_wrong_beginning (Server *s, gconstpointer data)
{
  g_autoptr (Job) job = NULL;

  g_assert_true (g_file_set_contents (s->part, "not the beginning", -1, NULL));
  job = download (s, -1, "/good", NULL);
  g_assert_no_error (job->error);
  assert_file (s, TRUE, -1);
  g_assert_cmpstr (s->log->str, ==, "/good 17\n/good 0\n");
}

/* A .part that is complete, as after a crash before the renaming, needs no request; a longer one starts again. */
static void
test_complete_part (Server *s, gconstpointer data)
{
  g_autoptr (Job) job = NULL, other = NULL;
  g_autofree guint8 *longer = g_malloc0 (SIZE + 1);

  g_assert_true (g_file_set_contents (s->part, (char *) s->body, SIZE, NULL));
  job = download (s, -1, "/good", NULL);
  g_assert_no_error (job->error);
  assert_file (s, TRUE, -1);
  g_assert_cmpstr (s->log->str, ==, "");

  g_unlink (s->path);
  g_assert_true (g_file_set_contents (s->part, (char *) longer, SIZE + 1, NULL));
  other = download (s, -1, "/good", NULL);
  g_assert_no_error (other->error);
  assert_file (s, TRUE, -1);
}

static void
test_longer (Server *s, gconstpointer data)
{
  g_autoptr (Job) job = download (s, -1, "/longer", NULL);

  g_assert_error (job->error, FM_DATA_ERROR, FM_DATA_ERROR_CORRUPT);
  g_assert_nonnull (strstr (job->error->message, "longer than the 200000 bytes"));
  assert_file (s, FALSE, -1);
}

static void
test_short (Server *s, gconstpointer data)
{
  g_autoptr (Job) job = download (s, -1, "/short", NULL);

  g_assert_error (job->error, FM_DATA_ERROR, FM_DATA_ERROR_NETWORK);
  g_assert_nonnull (strstr (job->error->message, "ended after 1000 of 200000 bytes"));
  assert_file (s, FALSE, 1000);
}

static void
test_not_found (Server *s, gconstpointer data)
{
  g_autoptr (Job) job = download (s, -1, "/nothing", NULL), second = NULL;

  g_assert_error (job->error, FM_DATA_ERROR, FM_DATA_ERROR_NETWORK);
  g_assert_nonnull (strstr (job->error->message, "/nothing: the server answers 404"));
  assert_file (s, FALSE, -1);
  second = download (s, -1, "/nothing", "/good");
  g_assert_true (second->ok);
}

static void
test_no_server (Server *s, gconstpointer data)
{
  g_autoptr (GSocketListener) listener = g_socket_listener_new ();
  g_autoptr (Job) job = NULL;

  s->port = g_socket_listener_add_any_inet_port (listener, NULL, NULL);
  g_socket_listener_close (listener); /* now nobody answers there */
  job = download (s, -1, "/good", NULL);
  g_assert_error (job->error, FM_DATA_ERROR, FM_DATA_ERROR_NETWORK);
  assert_file (s, FALSE, -1);
}

/* Cancelled while the server says nothing more: returns within seconds and keeps what came. */
static void
test_cancel (Server *s, gconstpointer data)
{
  gint64 start = g_get_monotonic_time ();
  g_autoptr (Job) job = download (s, 1000, "/stuck", "/good"), rest = NULL;

  g_assert_error (job->error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpint (g_get_monotonic_time () - start, <, 5 * G_USEC_PER_SEC);
  g_assert_cmpstr (s->log->str, ==, "/stuck 0\n"); /* the second mirror was not asked */
  assert_file (s, FALSE, 1000);

  g_cancellable_reset (s->cancellable);
  rest = download (s, -1, "/good", NULL);
  g_assert_no_error (rest->error);
  assert_file (s, TRUE, -1);
}

static void
test_locked (Server *s, gconstpointer data)
{
  g_autoptr (Job) job = NULL;
  int fd = g_open (s->part, O_RDWR | O_CREAT, 0644);

  g_assert_cmpint (flock (fd, LOCK_EX), ==, 0);
  job = download (s, -1, "/good", NULL);
  g_assert_error (job->error, FM_DATA_ERROR, FM_DATA_ERROR_NETWORK);
  g_assert_nonnull (strstr (job->error->message, "another program is fetching this file"));
  g_assert_cmpstr (s->log->str, ==, "");
  close (fd);
}

/* The folder cannot be made: its parent is a file. And the disk is full: a file that takes no byte. */
static void
test_unwritable (Server *s, gconstpointer data)
{
  const char *urls[] = { NULL };
  const FmDownload file = { "x", s->sha256, SIZE, urls };
  g_autofree char *below = g_build_filename (s->path, "below", NULL);
  g_autoptr (Job) job = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (g_file_set_contents (s->path, "a file", -1, NULL));
  g_assert_false (fm_download (&file, 1, below, NULL, NULL, NULL, &error));
  g_assert_true (error->domain == G_FILE_ERROR);
  g_unlink (s->path);

  if (symlink ("/dev/full", s->part) != 0 || access ("/dev/full", W_OK) != 0)
    {
      g_test_skip ("no /dev/full to write to");
      return;
    }
  job = download (s, -1, "/good", "/good");
  g_assert_error (job->error, G_FILE_ERROR, G_FILE_ERROR_NOSPC);
  g_assert_cmpstr (s->log->str, ==, "/good 0\n");
}

int
main (int argc, char **argv)
{
  static const struct { const char *path; void (*function) (Server *s, gconstpointer data); } tests[] = {
    { "/data/download/whole", test_whole },
    { "/data/download/replaces", test_replaces },
    { "/data/download/resumes", test_resumes },
    { "/data/download/next-mirror", test_next_mirror },
    { "/data/download/no-ranges", test_no_ranges },
    { "/data/download/wrong-checksum", test_wrong_checksum },
    { "/data/download/wrong-beginning", test_wrong_beginning },
    { "/data/download/complete-part", test_complete_part },
    { "/data/download/longer", test_longer },
    { "/data/download/short", test_short },
    { "/data/download/not-found", test_not_found },
    { "/data/download/no-server", test_no_server },
    { "/data/download/cancel", test_cancel },
    { "/data/download/locked", test_locked },
    { "/data/download/unwritable", test_unwritable },
  };

  /* A proxy of the person's must not see requests to this machine. */
  g_setenv ("no_proxy", "127.0.0.1", TRUE);
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (tests); i++)
    g_test_add (tests[i].path, Server, NULL, set_up, tests[i].function, tear_down);
  return g_test_run ();
}
