/* test-registry.c: broken files are skipped with their reason for as long as it is true; a plugin built outside the
 * tree, from installed headers and the pkg-config file, loads and passes. */
#include "config.h"

#include "app/architecture/check.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

static char *folder; /* the plugin path of this process */

static void
copy_file (const char *from, const char *to_name)
{
  g_autoptr (GFile) a = g_file_new_for_path (from);
  g_autofree char *path = g_build_filename (folder, to_name, NULL);
  g_autoptr (GFile) b = g_file_new_for_path (path);
  g_autoptr (GError) error = NULL;

  g_file_copy (a, b, G_FILE_COPY_OVERWRITE, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
}

static void
copy_broken (const char *name)
{
  g_autofree char *file = g_strconcat (name, ".so", NULL);
  g_autofree char *from = g_build_filename (g_getenv ("G_TEST_BUILDDIR"), "plugins", file, NULL);

  copy_file (from, file);
}

static const FmRejected *
rejected (const char *name)
{
  GPtrArray *list = fm_plugins_rejected ();

  for (guint i = 0; i < list->len; i++)
    {
      const FmRejected *r = g_ptr_array_index (list, i);
      g_autofree char *base = g_path_get_basename (r->file);

      if (g_str_equal (base, name))
        return r;
    }
  return NULL;
}

static void
assert_rejected (const char *name, const char *found, const char *wanted)
{
  const FmRejected *r = rejected (name);

  g_assert_nonnull (r);
  g_test_message ("%s: found %s, wanted %s: %s", r->file, r->found, r->wanted, r->reason);
  g_assert_true (strstr (r->found, found) != NULL);
  g_assert_true (strstr (r->wanted, wanted) != NULL);
}

static void
test_broken (void)
{
  g_autofree char *text = g_build_filename (folder, "text.so", NULL);
  g_autofree char *mlp = g_build_filename (g_getenv ("FORMARIUM_BUILD_DIR"), "plugins", "mlp.so", NULL);

  g_assert_true (g_file_set_contents (text, "not a shared object\n", -1, NULL));
  copy_broken ("wrong-abi");
  copy_broken ("no-symbol");
  copy_broken ("crash");
  copy_broken ("exits");
  copy_file (mlp, "mlp.so");
  fm_plugins_rescan ();
  assert_rejected ("wrong-abi.so", "ABI 999", "ABI 1");
  assert_rejected ("no-symbol.so", "no plugin descriptor", "fm_plugin_descriptor");
  assert_rejected ("text.so", "does not load", "shared object");
  g_assert_true (strstr (rejected ("text.so")->reason, "text.so") != NULL); /* the loader's own words */
  assert_rejected ("crash.so", "crash while opening it (signal 6", "can be opened");
  assert_rejected ("exits.so", "an exit while opening it (status 0)", "can be opened");
  g_assert_null (rejected ("mlp.so"));
  g_assert_nonnull (fm_plugins_find (FM_ROLE_FEEDFORWARD, "mlp", NULL)); /* a bad neighbour does no harm */

  /* Only for as long as it is true. */
  copy_file (mlp, "second.so");
  fm_plugins_rescan ();
  assert_rejected ("second.so", "a second time", "an id of its own");
  g_remove (text);
  fm_plugins_rescan ();
  g_assert_null (rejected ("text.so"));
  g_assert_nonnull (rejected ("crash.so"));
}

static char *
run (const char * const *argv, const char * const *environment)
{
  g_autoptr (GSubprocessLauncher) launcher
      = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE);
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) error = NULL;
  char *output = NULL;

  for (guint i = 0; environment && environment[i]; i += 2)
    g_subprocess_launcher_setenv (launcher, environment[i], environment[i + 1], TRUE);
  process = g_subprocess_launcher_spawnv (launcher, argv, &error);
  g_assert_no_error (error);
  g_assert_true (g_subprocess_communicate_utf8 (process, NULL, NULL, &output, NULL, &error));
  if (!g_subprocess_get_successful (process))
    g_error ("%s failed: %s", argv[0], output);
  return g_strstrip (output);
}

static void
test_outside (void)
{
  g_autofree char *root = g_dir_make_tmp ("fm-installed-XXXXXX", NULL);
  g_autofree char *source = g_build_filename (g_getenv ("G_TEST_SRCDIR"), "plugins", "outside.c", NULL);
  g_autofree char *object = g_build_filename (folder, "outside.so", NULL);
  g_autofree char *pc = g_build_filename (root, FM_PLUGIN_DIR, "..", "..", "pkgconfig", NULL);
  g_autofree char *log = NULL, *flags = NULL, *compiled = NULL;
  g_auto (GStrv) words = NULL;
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  const FmPlugin *plugin;

  log = run ((const char *[]){ "meson", "install", "-C", g_getenv ("FORMARIUM_BUILD_DIR"), "--no-rebuild", "--destdir",
                               root, NULL }, NULL);
  flags = run ((const char *[]){ "pkg-config", "--cflags", "--libs", "formarium", NULL },
               (const char *[]){ "PKG_CONFIG_PATH", pc, "PKG_CONFIG_SYSROOT_DIR", "", NULL });
  /* The folders of the install root; the system's own are left as they are. */
  words = g_strsplit (flags, " ", -1);
  g_ptr_array_add (argv, "cc");
  g_ptr_array_add (argv, "-shared");
  g_ptr_array_add (argv, "-fPIC");
  g_ptr_array_add (argv, source);
  g_ptr_array_add (argv, "-o");
  g_ptr_array_add (argv, object);
  for (guint i = 0; words[i]; i++)
    {
      const char *prefix = g_str_has_prefix (words[i], "-I") ? "-I" : g_str_has_prefix (words[i], "-L") ? "-L" : NULL;

      if (prefix && (strstr (words[i], "/formarium") || g_str_equal (prefix, "-L")))
        {
          char *moved = g_strconcat (prefix, root, words[i] + 2, NULL);

          g_free (words[i]);
          words[i] = moved;
        }
      if (*words[i])
        g_ptr_array_add (argv, words[i]);
    }
  g_ptr_array_add (argv, NULL);
  compiled = run ((const char * const *) argv->pdata, NULL);
  g_test_message ("%s", compiled);

  fm_plugins_rescan ();
  plugin = fm_plugins_find (FM_ROLE_MIXER, "outside", NULL);
  g_assert_nonnull (plugin);
  for (const char * const *check = fm_check_names (); *check; check++)
    {
      g_autoptr (FmCheckRow) row = fm_check_plugin (plugin, *check);

      g_test_message ("%s: %s", row->name, row->detail);
      g_assert_cmpint (row->state, !=, FM_CHECK_FAILED);
    }
  {
    const char * const argv_rm[] = { "rm", "-rf", root, NULL };
    g_autofree char *removed = run (argv_rm, NULL);

    g_assert_cmpstr (removed, ==, "");
  }
}

int
main (int argc, char **argv)
{
  int status;
  const char *rm[] = { "rm", "-rf", NULL, NULL };
  g_autofree char *removed = NULL;

  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("fm-plugins-XXXXXX", NULL);
  g_setenv ("FORMARIUM_PLUGIN_PATH", folder, TRUE);
  g_setenv ("XDG_DATA_HOME", folder, TRUE);
  g_test_add_func ("/registry/broken", test_broken);
  g_test_add_func ("/registry/outside-the-tree", test_outside);
  status = g_test_run ();
  rm[2] = folder;
  removed = run (rm, NULL);
  return status;
}
