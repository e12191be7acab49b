/* program.c: drives the built `formarium`. */
#include "program.h"

#include <glib/gstdio.h>
#include <sqlite3.h>
#include <string.h>

static const char *
program_path (void)
{
  static char *path;

  if (path == NULL)
    path = g_build_filename (g_getenv ("FORMARIUM_BUILD_DIR"), "app", "command", "formarium", NULL);
  return path;
}

Place *
place_new (void)
{
  static const char * const names[] = { "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR" };
  Place *place = g_new0 (Place, 1);
  g_autoptr (GError) error = NULL;

  place->folder = g_dir_make_tmp ("fm-XXXXXX", &error);
  g_assert_no_error (error);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *folder = g_build_filename (place->folder, names[i] + 4, NULL);

      g_assert_cmpint (g_mkdir (folder, 0700), ==, 0);
      g_setenv (names[i], folder, TRUE);
    }
  g_unsetenv ("FORMARIUM_STORE");
  g_setenv ("FORMARIUM_PROGRAM", program_path (), TRUE);
  place->store = g_build_filename (g_getenv ("XDG_DATA_HOME"), "formarium", "formarium.db", NULL);
  return place;
}

static void
remove_tree (const char *path)
{
  if (g_file_test (path, G_FILE_TEST_IS_DIR) && !g_file_test (path, G_FILE_TEST_IS_SYMLINK))
    {
      g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
      const char *name;

      while (dir && (name = g_dir_read_name (dir)))
        {
          g_autofree char *child = g_build_filename (path, name, NULL);

          remove_tree (child);
        }
    }
  g_remove (path);
}

void
place_free (Place *place)
{
  remove_tree (place->folder);
  g_free (place->folder);
  g_free (place->store);
  g_free (place);
}

char *
place_batch (Place *place, const char *name, const char *variants, int seeds, int steps, const char *more)
{
  g_autofree char *text = g_strdup_printf ("[batch]\ntitle=%s\ntask=mqar\nvariants=%s\nlayers=1\nwidth=16\nhidden=32\n"
                                           "budget=steps:%d\nbatch=8\nseeds=%d\n%s\n\n"
                                           "[mqar]\nlength=16\npairs=2\nvocabulary=16\n",
                                           name, variants, steps, seeds, more ? more : "");
  char *path = g_strdup_printf ("%s/%s.batch", place->folder, name);
  g_autoptr (GError) error = NULL;

  g_file_set_contents (path, text, -1, &error);
  g_assert_no_error (error);
  return path;
}

static GPtrArray *
make_argv (const char *first, va_list list)
{
  GPtrArray *argv = g_ptr_array_new ();

  g_ptr_array_add (argv, (gpointer) program_path ());
  for (const char *word = first; word; word = va_arg (list, const char *))
    g_ptr_array_add (argv, (gpointer) word);
  g_ptr_array_add (argv, NULL);
  return argv;
}

static int
exit_status (GSubprocess *process)
{
  return g_subprocess_get_if_signaled (process) ? 128 + g_subprocess_get_term_sig (process)
                                                : g_subprocess_get_exit_status (process);
}

Run *
program (const char *first, ...)
{
  g_autoptr (GPtrArray) argv = NULL;
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) error = NULL;
  Run *run = g_new0 (Run, 1);
  va_list list;

  va_start (list, first);
  argv = make_argv (first, list);
  va_end (list);
  process = g_subprocess_newv ((const char * const *) argv->pdata,
                               G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE, &error);
  g_assert_no_error (error);
  g_subprocess_communicate_utf8 (process, NULL, NULL, &run->out, &run->err, &error);
  g_assert_no_error (error);
  run->status = exit_status (process);
  return run;
}

GSubprocess *
program_start (const char *first, ...)
{
  g_autoptr (GPtrArray) argv = NULL;
  g_autoptr (GError) error = NULL;
  GSubprocess *process;
  va_list list;

  va_start (list, first);
  argv = make_argv (first, list);
  va_end (list);
  process = g_subprocess_newv ((const char * const *) argv->pdata,
                               G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_SILENCE, &error);
  g_assert_no_error (error);
  return process;
}

void
run_free (Run *run)
{
  g_free (run->out);
  g_free (run->err);
  g_free (run);
}

JsonArray *
run_rows (const Run *run)
{
  g_autoptr (JsonNode) node = NULL;
  g_autoptr (GError) error = NULL;

  node = json_from_string (run->out, &error);
  if (error)
    g_error ("no JSON: %s\n%s\n%s", error->message, run->out, run->err);
  g_assert_true (JSON_NODE_HOLDS_ARRAY (node));
  return json_array_ref (json_node_get_array (node));
}

Run *
expect (int status, Run *run)
{
  if (run->status != status)
    g_error ("exit status %d instead of %d: %s%s", run->status, status, run->out, run->err);
  return run;
}

void
refused (Run *run, const char *says)
{
  g_autoptr (Run) r = expect (2, run);

  g_test_message ("%s", r->err);
  g_assert_cmpstr (r->out, ==, "");
  g_assert_nonnull (strstr (r->err, says));
  g_assert_true (strchr (r->err, '\n') == r->err + strlen (r->err) - 1);
}

gint64
number (const char *path, const char *sql)
{
  sqlite3 *db = NULL;
  sqlite3_stmt *stmt = NULL;
  gint64 value = -1;

  if (sqlite3_open_v2 (path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK)
    {
      sqlite3_busy_timeout (db, 5000);
      if (sqlite3_prepare_v2 (db, sql, -1, &stmt, NULL) == SQLITE_OK && sqlite3_step (stmt) == SQLITE_ROW)
        value = sqlite3_column_int64 (stmt, 0);
    }
  sqlite3_finalize (stmt);
  sqlite3_close (db);
  return value;
}
