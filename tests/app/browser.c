/* browser.c */
#include "browser.h"

#include <glib/gstdio.h>
#include <glib-unix.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_US (60 * G_USEC_PER_SEC) /* a machine may be busy */

struct _Browser
{
  GSubprocess *process;
  int          to, from;
  GString     *received; /* not yet parsed */
  char        *session;
  gint64       next_id;
  gboolean     loaded;
  GPtrArray   *complaints, *requests;
  char        *folder;
};

static void
remove_folder (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *child = g_build_filename (path, name, NULL);

      if (g_file_test (child, G_FILE_TEST_IS_DIR) && !g_file_test (child, G_FILE_TEST_IS_SYMLINK))
        remove_folder (child);
      else
        g_remove (child);
    }
  g_rmdir (path);
}

void
browser_free (Browser *browser)
{
  if (browser == NULL)
    return;
  g_subprocess_force_exit (browser->process);
  g_subprocess_wait (browser->process, NULL, NULL);
  g_object_unref (browser->process);
  close (browser->to);
  close (browser->from);
  g_string_free (browser->received, TRUE);
  g_free (browser->session);
  g_ptr_array_unref (browser->complaints);
  g_ptr_array_unref (browser->requests);
  remove_folder (browser->folder);
  g_free (browser->folder);
  g_free (browser);
}

/* --- Messages -----------------------------------------------------------------------------------------------------*/

/* (transfer full): the next message, however long it takes to come within reason */
static JsonNode *
receive (Browser *browser)
{
  gint64 until = g_get_monotonic_time () + PATIENCE_US;

  for (;;)
    {
      char *end = memchr (browser->received->str, '\0', browser->received->len);
      GPollFD ready = { browser->from, G_IO_IN, 0 };
      char buffer[65536];
      ssize_t n;

      if (end != NULL)
        {
          g_autoptr (GError) error = NULL;
          JsonNode *node = json_from_string (browser->received->str, &error);

          g_assert_no_error (error);
          g_string_erase (browser->received, 0, end - browser->received->str + 1);
          return node;
        }
      if (g_get_monotonic_time () > until)
        g_error ("the browser says nothing any more");
      if (g_poll (&ready, 1, 1000) <= 0)
        continue;
      n = read (browser->from, buffer, sizeof buffer);
      if (n <= 0)
        g_error ("the browser went away");
      g_string_append_len (browser->received, buffer, n);
    }
}

static JsonObject *
member (JsonObject *object, const char *name)
{
  return object != NULL && json_object_has_member (object, name) ? json_object_get_object_member (object, name) : NULL;
}

static void
take_event (Browser *browser, JsonObject *message)
{
  const char *method = json_object_get_string_member_with_default (message, "method", "");
  JsonObject *params = member (message, "params");

  if (g_str_equal (method, "Page.loadEventFired"))
    browser->loaded = TRUE;
  else if (g_str_equal (method, "Network.requestWillBeSent"))
    g_ptr_array_add (browser->requests,
                     g_strdup (json_object_get_string_member (member (params, "request"), "url")));
  else if (g_str_equal (method, "Runtime.exceptionThrown"))
    g_ptr_array_add (browser->complaints, g_strdup (json_object_get_string_member_with_default (
                                            member (params, "exceptionDetails"), "text", "an exception")));
  else if (g_str_equal (method, "Log.entryAdded")
           && g_str_equal (json_object_get_string_member (member (params, "entry"), "level"), "error"))
    g_ptr_array_add (browser->complaints, g_strdup (json_object_get_string_member (member (params, "entry"), "text")));
  else if (g_str_equal (method, "Runtime.consoleAPICalled")
           && g_str_equal (json_object_get_string_member (params, "type"), "error"))
    g_ptr_array_add (browser->complaints, g_strdup ("console.error"));
}

JsonObject *
browser_call (Browser *browser, const char *method, const char *params)
{
  gint64 id = browser->next_id++;
  g_autoptr (GString) text = g_string_new (NULL);
  gsize sent = 0;

  g_string_append_printf (text, "{\"id\": %" G_GINT64_FORMAT ", \"method\": \"%s\"", id, method);
  if (params != NULL)
    g_string_append_printf (text, ", \"params\": %s", params);
  if (browser->session != NULL)
    g_string_append_printf (text, ", \"sessionId\": \"%s\"", browser->session);
  g_string_append_c (text, '}');
  while (sent < text->len + 1)
    {
      ssize_t n = write (browser->to, text->str + sent, text->len + 1 - sent);

      g_assert_cmpint (n, >, 0);
      sent += n;
    }
  for (;;)
    {
      g_autoptr (JsonNode) node = receive (browser);
      JsonObject *message = json_node_get_object (node);

      if (!json_object_has_member (message, "id") || json_object_get_int_member (message, "id") != id)
        {
          take_event (browser, message);
          continue;
        }
      if (json_object_has_member (message, "error"))
        g_error ("%s: %s", method, json_object_get_string_member (member (message, "error"), "message"));
      return json_object_ref (member (message, "result"));
    }
}

static void
call (Browser *browser, const char *method, const char *params)
{
  json_object_unref (browser_call (browser, method, params));
}

/* --- A page -------------------------------------------------------------------------------------------------------*/

Browser *
browser_new (void)
{
  static const char *const names[] = { "chromium", "chromium-browser", "google-chrome" };
  static const char *const domains[] = { "Page.enable", "Network.enable", "Runtime.enable", "Log.enable" };
  g_autofree char *program = NULL, *target = NULL, *params = NULL, *profile = NULL;
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDERR_SILENCE
                                                                        | G_SUBPROCESS_FLAGS_STDOUT_SILENCE);
  g_autoptr (JsonObject) created = NULL, attached = NULL;
  g_autoptr (GError) error = NULL;
  Browser *browser;
  int down[2], up[2];

  for (gsize i = 0; i < G_N_ELEMENTS (names) && program == NULL; i++)
    program = g_find_program_in_path (names[i]);
  if (program == NULL)
    return NULL;
  browser = g_new0 (Browser, 1);
  browser->received = g_string_new (NULL);
  browser->complaints = g_ptr_array_new_with_free_func (g_free);
  browser->requests = g_ptr_array_new_with_free_func (g_free);
  browser->next_id = 1;
  browser->folder = g_dir_make_tmp ("formarium-browser-XXXXXX", &error);
  g_assert_no_error (error);
  profile = g_strconcat ("--user-data-dir=", browser->folder, NULL);
  g_assert_true (g_unix_open_pipe (down, FD_CLOEXEC, NULL) && g_unix_open_pipe (up, FD_CLOEXEC, NULL));
  g_subprocess_launcher_take_fd (launcher, down[0], 3);
  g_subprocess_launcher_take_fd (launcher, up[1], 4);
  browser->to = down[1];
  browser->from = up[0];
  browser->process =
      g_subprocess_launcher_spawn (launcher, &error, program, "--headless=new", "--no-sandbox", "--disable-gpu",
                                   "--disable-background-networking", "--no-first-run", "--disable-component-update",
                                   "--disable-default-apps", profile, "--remote-debugging-pipe", NULL);
  g_assert_no_error (error);
  created = browser_call (browser, "Target.createTarget", "{\"url\": \"about:blank\"}");
  target = g_strdup (json_object_get_string_member (created, "targetId"));
  params = g_strdup_printf ("{\"targetId\": \"%s\", \"flatten\": true}", target);
  attached = browser_call (browser, "Target.attachToTarget", params);
  browser->session = g_strdup (json_object_get_string_member (attached, "sessionId"));
  for (gsize i = 0; i < G_N_ELEMENTS (domains); i++)
    call (browser, domains[i], NULL);
  return browser;
}

void
browser_open (Browser *browser, const char *uri)
{
  g_autofree char *params = g_strdup_printf ("{\"url\": \"%s\"}", uri);

  browser->loaded = FALSE;
  g_ptr_array_set_size (browser->complaints, 0);
  g_ptr_array_set_size (browser->requests, 0);
  call (browser, "Page.navigate", params);
  while (!browser->loaded)
    {
      g_autoptr (JsonNode) node = receive (browser);

      take_event (browser, json_node_get_object (node));
    }
}

char *
browser_eval (Browser *browser, const char *expression)
{
  g_autoptr (JsonNode) quoted = json_node_alloc ();
  g_autofree char *text = NULL, *params = NULL;
  g_autoptr (JsonObject) result = NULL;
  JsonObject *value;

  json_node_init_string (quoted, expression);
  text = json_to_string (quoted, FALSE);
  params = g_strdup_printf ("{\"expression\": %s, \"returnByValue\": true}", text);
  result = browser_call (browser, "Runtime.evaluate", params);
  if (json_object_has_member (result, "exceptionDetails"))
    g_error ("%s: %s", expression,
             json_object_get_string_member_with_default (member (result, "result"), "description", "an exception"));
  value = member (result, "result");
  if (!json_object_has_member (value, "value"))
    return g_strdup (json_object_get_string_member_with_default (value, "type", ""));
  if (json_node_get_value_type (json_object_get_member (value, "value")) == G_TYPE_STRING)
    return g_strdup (json_object_get_string_member (value, "value"));
  return json_to_string (json_object_get_member (value, "value"), FALSE);
}

void
browser_key (Browser *browser, const char *key)
{
  gboolean enter = g_str_equal (key, "Enter");
  int code = enter ? 13 : 9;
  g_autofree char *down = g_strdup_printf ("{\"type\": \"keyDown\", \"key\": \"%s\", \"code\": \"%s\", "
                                           "\"windowsVirtualKeyCode\": %d%s}", key, key, code,
                                           enter ? ", \"text\": \"\\r\"" : "");
  g_autofree char *up = g_strdup_printf ("{\"type\": \"keyUp\", \"key\": \"%s\", \"code\": \"%s\", "
                                         "\"windowsVirtualKeyCode\": %d}", key, key, code);

  call (browser, "Input.dispatchKeyEvent", down);
  call (browser, "Input.dispatchKeyEvent", up);
}

GPtrArray *
browser_get_complaints (Browser *browser)
{
  return browser->complaints;
}

GPtrArray *
browser_get_requests (Browser *browser)
{
  return browser->requests;
}
