/* plugins.c: finding, trying and opening plugin files.
 *
 * A file is opened in a forked child before it is opened here. One child tries all files in turn and names each in a
 * pipe before touching it; when it dies, the last name is the culprit and a new child goes on behind it. So a healthy
 * folder costs one fork. */
#include "config.h"

#include "app/architecture/plugins.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRY_SECONDS 20 /* a constructor that takes longer counts as hanging */

G_DEFINE_QUARK (fm-app-error-quark, fm_app_error)

static GMutex lock;
static GPtrArray *plugins, *rejected;

static const char * const role_names[] = { "mixer", "feedforward", "block", "head", "model", "method" };

const char *
fm_role_name (FmRole role)
{
  return role < G_N_ELEMENTS (role_names) ? role_names[role] : "unknown";
}

gboolean
fm_role_from_name (const char *name, FmRole *role)
{
  for (guint i = 0; i < G_N_ELEMENTS (role_names); i++)
    {
      g_autofree char *plural = g_strconcat (role_names[i], "s", NULL);

      if (g_str_equal (name, role_names[i]) || g_str_equal (name, plural))
        {
          *role = (FmRole) i;
          return TRUE;
        }
    }
  return FALSE;
}

char *
fm_caps_to_string (guint caps)
{
  static const struct { guint bit; const char *name; } names[] = {
    { FM_CAP_CAUSAL, "causal" }, { FM_CAP_BIDIRECTIONAL, "bidirectional" }, { FM_CAP_CROSS, "cross" },
    { FM_CAP_RAGGED, "ragged" }, { FM_CAP_DECODE, "decode" }, { FM_CAP_BATCH_COUPLED, "batch-coupled" },
  };
  GString *s = g_string_new (NULL);

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (caps & names[i].bit)
      g_string_append_printf (s, "%s%s", s->len ? ", " : "", names[i].name);
  return g_string_free (s, FALSE);
}

void
fm_rejected_free (FmRejected *r)
{
  if (r == NULL)
    return;
  g_free (r->file);
  g_free (r->found);
  g_free (r->wanted);
  g_free (r->reason);
  g_free (r);
}

static void
plugin_free (gpointer data)
{
  FmPlugin *plugin = data;

  g_free (plugin->file);
  g_free (plugin->hash);
  g_free ((gpointer) plugin->descriptor);
  g_free (plugin);
}

static FmRejected *
reject (const char *file, char *found, const char *wanted, const char *reason)
{
  FmRejected *r = g_new0 (FmRejected, 1);

  r->file = g_strdup (file);
  r->found = found;
  r->wanted = g_strdup (wanted);
  r->reason = g_strdup (reason ? reason : "");
  return r;
}

/* --- Trying in a child --------------------------------------------------------------------------------------------*/

/* The child's last word: an exit status alone would let a constructor that calls exit (0) pass for success. */
static const guint32 all_done = G_MAXUINT32;

static void
try_all (GPtrArray *files, guint first, int out)
{
  signal (SIGALRM, SIG_DFL);
  for (guint i = first; i < files->len; i++)
    {
      guint32 index = i;

      if (write (out, &index, sizeof index) != sizeof index)
        _exit (1);
      alarm (TRY_SECONDS);
      dlopen (g_ptr_array_index (files, i), RTLD_NOW | RTLD_LOCAL);
      alarm (0);
    }
  if (write (out, &all_done, sizeof all_done) != sizeof all_done)
    _exit (1);
  _exit (0);
}

#define EXITED (-1) /* the wait status of exit (0) is 0, which means "survived" here */

/* Returns an array of wait statuses by file: 0 where the child survived the opening. */
static int *
try_files (GPtrArray *files)
{
  int *status = g_new0 (int, MAX (files->len, 1));
  guint first = 0;

  while (first < files->len)
    {
      int pipes[2], wait_status = 0;
      guint32 index, last = first;
      pid_t child;

      if (pipe (pipes) != 0)
        return status;
      child = fork ();
      if (child == 0)
        {
          close (pipes[0]);
          try_all (files, first, pipes[1]);
        }
      close (pipes[1]);
      if (child < 0)
        {
          close (pipes[0]);
          return status;
        }
      while (read (pipes[0], &index, sizeof index) == sizeof index)
        last = index;
      close (pipes[0]);
      while (waitpid (child, &wait_status, 0) < 0 && errno == EINTR)
        ;
      if (last == all_done)
        break;
      status[last] = wait_status ? wait_status : EXITED;
      first = last + 1;
    }
  return status;
}

/* --- Opening ------------------------------------------------------------------------------------------------------*/

static const FmPlugin *
open_file (const char *file, FmRejected **why)
{
  g_autofree char *wanted = g_strdup_printf ("ABI %d", FM_PLUGIN_ABI);
  g_autofree char *contents = NULL;
  const FmPluginDescriptor *d;
  FmPluginDescriptor *copy;
  FmPlugin *plugin;
  void *handle;
  gsize length;

  handle = dlopen (file, RTLD_NOW | RTLD_LOCAL);
  if (handle == NULL)
    {
      *why = reject (file, g_strdup ("a file that does not load"), "a plugin's shared object", dlerror ());
      return NULL;
    }
  d = dlsym (handle, FM_PLUGIN_SYMBOL);
  if (d == NULL)
    {
      *why = reject (file, g_strdup ("no plugin descriptor"), "the symbol " FM_PLUGIN_SYMBOL, dlerror ());
      dlclose (handle);
      return NULL;
    }
  if (d->abi != FM_PLUGIN_ABI)
    {
      *why = reject (file, g_strdup_printf ("ABI %u", d->abi), wanted, "built for another version of the contract");
      dlclose (handle);
      return NULL;
    }
  if (d->size < G_STRUCT_OFFSET (FmPluginDescriptor, build) || d->size > 4096)
    {
      *why = reject (file, g_strdup_printf ("a descriptor of %u bytes", d->size), wanted, "its size is not believable");
      dlclose (handle);
      return NULL;
    }

  /* An older plugin's descriptor is shorter: what it does not know is NULL here. */
  copy = g_malloc0 (sizeof *copy);
  memcpy (copy, d, MIN (d->size, sizeof *copy));
  if (copy->id == NULL || *copy->id == '\0' || copy->title == NULL || copy->role > FM_ROLE_METHOD)
    {
      *why = reject (file, g_strdup ("a descriptor without id, title or known role"), wanted, "");
      g_free (copy);
      dlclose (handle);
      return NULL;
    }
  if (copy->build == NULL && copy->role != FM_ROLE_METHOD)
    {
      *why = reject (file, g_strdup ("no build function"), "one, as its role needs", "");
      g_free (copy);
      dlclose (handle);
      return NULL;
    }

  plugin = g_new0 (FmPlugin, 1);
  plugin->descriptor = copy;
  plugin->file = g_strdup (file);
  if (g_file_get_contents (file, &contents, &length, NULL))
    plugin->hash = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) contents, length);
  else
    plugin->hash = g_strdup ("");
  return plugin;
}

static FmRejected *
reject_crash (const char *file, int status)
{
  char *found;

  if (status != EXITED && WIFSIGNALED (status) && WTERMSIG (status) == SIGALRM)
    found = g_strdup_printf ("a constructor that was not done after %d s", TRY_SECONDS);
  else if (status != EXITED && WIFSIGNALED (status))
    found = g_strdup_printf ("a crash while opening it (signal %d, %s)", WTERMSIG (status),
                             strsignal (WTERMSIG (status)));
  else
    found = g_strdup_printf ("an exit while opening it (status %d)", status == EXITED ? 0 : WEXITSTATUS (status));
  return reject (file, found, "a shared object that can be opened", "");
}

/* --- Finding ------------------------------------------------------------------------------------------------------*/

static int
by_file (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char * const *) a, *(const char * const *) b);
}

static void
scan_folder (const char *folder, GPtrArray *files)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  g_autoptr (GPtrArray) found = g_ptr_array_new ();
  const char *name;

  while (dir && (name = g_dir_read_name (dir)))
    if (g_str_has_suffix (name, ".so"))
      {
        char *file = g_build_filename (folder, name, NULL);

        if (g_file_test (file, G_FILE_TEST_IS_DIR))
          g_free (file);
        else
          g_ptr_array_add (found, file);
      }
  g_ptr_array_sort (found, by_file);
  for (guint i = 0; i < found->len; i++)
    g_ptr_array_add (files, g_ptr_array_index (found, i));
}

/* (nullable): the plugins beside a program that runs where it was built: BUILD/app/command/formarium. */
static char *
build_folder (void)
{
  g_autofree char *self = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *folder = self ? g_path_get_dirname (self) : NULL;
  g_autofree char *ninja = folder ? g_build_filename (folder, "..", "..", "build.ninja", NULL) : NULL;

  return ninja && g_file_test (ninja, G_FILE_TEST_EXISTS) ? g_build_filename (folder, "..", "..", "plugins", NULL) : NULL;
}

static GPtrArray *
candidate_files (void)
{
  GPtrArray *files = g_ptr_array_new_with_free_func (g_free);
  const char *path = g_getenv ("FORMARIUM_PLUGIN_PATH");
  g_auto (GStrv) folders = g_strsplit (path ? path : "", ":", -1);
  g_autofree char *own = g_build_filename (g_get_user_data_dir (), "formarium", "plugins", NULL);

  for (guint i = 0; folders[i]; i++)
    if (*folders[i])
      scan_folder (folders[i], files);
  if (path == NULL)
    {
      g_autofree char *built = build_folder ();

      if (built)
        scan_folder (built, files);
    }
  scan_folder (own, files);
  scan_folder (FM_PLUGIN_DIR, files);
  return files;
}

static int
by_role_then_id (gconstpointer a, gconstpointer b)
{
  const FmPlugin *x = *(const FmPlugin * const *) a, *y = *(const FmPlugin * const *) b;

  if (x->descriptor->role != y->descriptor->role)
    return x->descriptor->role < y->descriptor->role ? -1 : 1;
  return strcmp (x->descriptor->id, y->descriptor->id);
}

static const FmPlugin *
lookup (FmRole role, const char *id)
{
  for (guint i = 0; i < plugins->len; i++)
    {
      const FmPlugin *p = g_ptr_array_index (plugins, i);

      if (p->descriptor->role == role && g_str_equal (p->descriptor->id, id))
        return p;
    }
  return NULL;
}

static gboolean
known_file (const char *file)
{
  for (guint i = 0; i < plugins->len; i++)
    if (g_str_equal (((FmPlugin *) g_ptr_array_index (plugins, i))->file, file))
      return TRUE;
  return FALSE;
}

static void
scan (void)
{
  g_autoptr (GPtrArray) files = candidate_files ();
  g_autofree int *status = NULL;

  /* What is open stays open: models may point into it. */
  for (gint i = (gint) files->len - 1; i >= 0; i--)
    if (known_file (g_ptr_array_index (files, i)))
      g_ptr_array_remove_index (files, (guint) i);
  status = try_files (files);
  g_ptr_array_set_size (rejected, 0);
  for (guint i = 0; i < files->len; i++)
    {
      const char *file = g_ptr_array_index (files, i);
      FmRejected *why = NULL;
      const FmPlugin *plugin, *first;

      if (status[i] != 0)
        {
          g_ptr_array_add (rejected, reject_crash (file, status[i]));
          continue;
        }
      plugin = open_file (file, &why);
      if (plugin == NULL)
        g_ptr_array_add (rejected, why);
      else if ((first = lookup (plugin->descriptor->role, plugin->descriptor->id)))
        {
          g_autofree char *found = g_strdup_printf ("the id %s a second time", plugin->descriptor->id);
          g_autofree char *reason = g_strdup_printf ("%s came first", first->file);

          g_ptr_array_add (rejected, reject (file, g_steal_pointer (&found), "an id of its own", reason));
          plugin_free ((gpointer) plugin);
        }
      else
        g_ptr_array_add (plugins, (gpointer) plugin);
    }
  g_ptr_array_sort (plugins, by_role_then_id);
}

static void
ensure (void)
{
  g_mutex_lock (&lock);
  if (plugins == NULL)
    {
      plugins = g_ptr_array_new_with_free_func (plugin_free);
      rejected = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_rejected_free);
      scan ();
    }
  g_mutex_unlock (&lock);
}

GPtrArray *
fm_plugins_list (void)
{
  ensure ();
  return plugins;
}

GPtrArray *
fm_plugins_rejected (void)
{
  ensure ();
  return rejected;
}

void
fm_plugins_rescan (void)
{
  ensure ();
  g_mutex_lock (&lock);
  scan ();
  g_mutex_unlock (&lock);
}

const FmPlugin *
fm_plugins_find (FmRole role, const char *id, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  const FmPlugin *plugin;
  const char *near;

  ensure ();
  plugin = lookup (role, id);
  if (plugin)
    return plugin;
  for (guint i = 0; i < plugins->len; i++)
    {
      const FmPlugin *p = g_ptr_array_index (plugins, i);

      if (p->descriptor->role == role)
        g_ptr_array_add (names, (gpointer) p->descriptor->id);
    }
  g_ptr_array_add (names, NULL);
  near = fm_nearest_name (id, (const char * const *) names->pdata);
  if (near)
    g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "no %s “%s”; did you mean “%s”?", fm_role_name (role), id, near);
  else
    {
      g_autofree char *list = g_strjoinv (", ", (char **) names->pdata);

      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "no %s “%s”; there are: %s", fm_role_name (role), id,
                   *list ? list : "none (is the plugin folder set?)");
    }
  return NULL;
}

const FmPlugin *
fm_plugins_open (const char *file, FmRejected **why)
{
  FmRejected *r = NULL;
  const FmPlugin *plugin = open_file (file, &r);

  if (why)
    *why = r;
  else
    fm_rejected_free (r);
  return plugin;
}
