/* test-arrows.c: arrows point one way (design, section 1). Reads the include lines of every C file and fails on one
 * that the table below does not allow; also on a library file that would end the program around it.
 *
 * To allow a new arrow, change the table, and say in the commit why the wall had to move. */
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

/* Who may include what. The first row whose `from` is the file or a folder above it counts. Paths are from the root;
 * `*` matches anything. A header NAME-private.h is for its own folder alone, whatever stands here. */
static const struct
{
  const char *from;
  const char *to[8];
} arrows[] = {
  { "base",             { "base/base.h" } },
  { "compute",          { "base/base.h", "compute/*" } },
  { "data",             { "base/base.h", "data/*" } },
  { "storage",          { "base/base.h", "storage/*" } },
  { "plugins/plugin.h", { "base/base.h", "compute/compute.h" } },
  { "plugins",          { "plugins/plugin.h" } },
  { "app",              { "base/base.h", "compute/compute.h", "compute/meters.h", "data/task.h", "storage/storage.h",
                          "plugins/plugin.h", "app/*" } },
  { "ui",               { "base/base.h", "app/*", "ui/*" } },
  { "tests",            { "*" } },
};

/* Headers of libraries that one folder alone may know, tests excepted. */
static const struct
{
  const char *header;
  const char *folder;
} libraries[] = {
  { "gtk/*", "ui" },
  { "gdk/*", "ui" },
  { "adwaita.h", "ui" },
  { "sqlite3.h", "storage" },
  { "vulkan/*", "compute" },
  { "cblas*.h", "compute" },
  { "lapacke.h", "compute" },
  { "curl/*", "data" },
};

/* Headers that the build makes, so they are not in the tree. */
static const char * const made[] = { "config.h", NULL };

/* What only a program may call, and only in its main.c. `_exit` is not here: a forked child must end so. */
static const char * const deadly[] = { "exit", "abort", "g_abort", "g_error", "quick_exit", "_Exit", NULL };

/* --- Reading C ----------------------------------------------------------------------------------------------------*/

/* Blanks comments in place, and with @strings the insides of literals; lines keep their numbers. */
static void
blank (char *text, gboolean strings)
{
  for (char *c = text; *c;)
    {
      if (c[0] == '/' && (c[1] == '/' || c[1] == '*'))
        {
          gboolean line = c[1] == '/';

          c[0] = c[1] = ' ';
          for (c += 2; *c; c++)
            {
              if (line ? *c == '\n' : c[0] == '*' && c[1] == '/')
                break;
              if (*c != '\n')
                *c = ' ';
            }
          if (!line && *c)
            {
              c[0] = c[1] = ' ';
              c += 2;
            }
        }
      else if (*c == '"' || *c == '\'')
        {
          char quote = *c++;

          while (*c && *c != quote && *c != '\n')
            {
              gsize n = c[0] == '\\' && c[1] ? 2 : 1;

              if (strings)
                memset (c, ' ', n);
              c += n;
            }
          if (*c)
            c++;
        }
      else
        c++;
    }
}

static gboolean
is_under (const char *path, const char *folder)
{
  gsize n = strlen (folder);

  return strncmp (path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* The folder that owns a private header: the layer, or in `app` the duty. */
static char *
owner_of (const char *path)
{
  const char *slash = strchr (path, '/');

  if (slash && is_under (path, "app") && strchr (slash + 1, '/'))
    slash = strchr (slash + 1, '/');
  return slash ? g_strndup (path, slash - path) : g_strdup (path);
}

static void G_GNUC_PRINTF (4, 5)
complain (GPtrArray *found, const char *file, guint line, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_ptr_array_add (found, g_strdup_printf ("%s:%u: %s", file, line, text));
}

static void
check_library (const char *file, guint line, const char *header, GPtrArray *found)
{
  for (guint i = 0; i < G_N_ELEMENTS (libraries); i++)
    if (g_pattern_match_simple (libraries[i].header, header) && !is_under (file, libraries[i].folder) &&
        !is_under (file, "tests"))
      complain (found, file, line, "includes <%s>, which only %s/ may know", header, libraries[i].folder);
}

/* @file and @header: from the root. */
static void
check_arrow (const char *file, guint line, const char *header, GPtrArray *found)
{
  for (guint i = 0; i < G_N_ELEMENTS (arrows); i++)
    {
      gboolean allowed = FALSE;

      if (!is_under (file, arrows[i].from))
        continue;
      for (guint k = 0; k < G_N_ELEMENTS (arrows[i].to) && arrows[i].to[k]; k++)
        allowed |= g_pattern_match_simple (arrows[i].to[k], header);
      if (!allowed)
        complain (found, file, line, "includes %s, which no arrow from %s allows", header, arrows[i].from);
      break;
    }
  if (g_str_has_suffix (header, "-private.h") && !is_under (file, "tests"))
    {
      g_autofree char *owner = owner_of (header);

      if (!is_under (file, owner))
        complain (found, file, line, "includes %s, which is private to %s/", header, owner);
    }
}

/* One include line: next to the file, from the root, made by the build, or of a library. */
static void
check_include (const char *root, const char *file, guint line, const char *name, gboolean quoted, GPtrArray *found)
{
  g_autofree char *full = g_build_filename (root, file, NULL);
  g_autofree char *folder = g_path_get_dirname (full);
  g_autofree char *beside = g_canonicalize_filename (name, folder);
  g_autofree char *above = g_canonicalize_filename (name, root);
  g_autofree char *mirrored = NULL;
  const char *target = quoted && g_file_test (beside, G_FILE_TEST_EXISTS) ? beside
                       : g_file_test (above, G_FILE_TEST_EXISTS)          ? above
                                                                          : NULL;

  if (target == NULL && is_under (file, "tests")) /* tests/ui/x.c may write "fm-window.h" for ui/fm-window.h */
    {
      g_autofree char *tests_folder = g_path_get_dirname (file);

      mirrored = g_build_filename (root, tests_folder + strlen ("tests"), name, NULL);
      target = g_file_test (mirrored, G_FILE_TEST_EXISTS) ? mirrored : NULL;
    }

  if (target && is_under (target, root))
    check_arrow (file, line, target + strlen (root) + 1, found);
  else if (quoted && !g_strv_contains (made, name))
    complain (found, file, line, "includes “%s”, which is not in the tree", name);
  else
    check_library (file, line, name, found);
}

static void
check_includes (const char *root, const char *file, char **lines, GPtrArray *found)
{
  g_autoptr (GRegex) include = g_regex_new ("^\\s*#\\s*include\\s*([\"<])([^\">]+)[\">]", 0, 0, NULL);

  for (guint i = 0; lines[i]; i++)
    {
      g_autoptr (GMatchInfo) match = NULL;

      if (g_regex_match (include, lines[i], 0, &match))
        {
          g_autofree char *kind = g_match_info_fetch (match, 1), *name = g_match_info_fetch (match, 2);

          check_include (root, file, i + 1, name, *kind == '"', found);
        }
    }
}

static void
check_calls (const char *file, char **lines, GPtrArray *found)
{
  g_autofree char *words = g_strjoinv ("|", (char **) deadly);
  g_autofree char *pattern = g_strdup_printf ("(?<![\\w.])(?<!->)(%s)\\s*\\(", words);
  g_autoptr (GRegex) call = g_regex_new (pattern, 0, 0, NULL);

  if (is_under (file, "tests") || g_str_has_suffix (file, "/main.c"))
    return;
  for (guint i = 0; lines[i]; i++)
    {
      g_autoptr (GMatchInfo) match = NULL;

      if (g_regex_match (call, lines[i], 0, &match))
        {
          g_autofree char *name = g_match_info_fetch (match, 1);

          complain (found, file, i + 1, "calls %s (); a library file sets a GError", name);
        }
    }
}

static void
check_file (const char *root, const char *file, GPtrArray *found)
{
  g_autofree char *full = g_build_filename (root, file, NULL);
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) with_strings = NULL, without = NULL;

  if (!g_file_get_contents (full, &text, NULL, &error))
    {
      complain (found, file, 0, "%s", error->message);
      return;
    }
  blank (text, FALSE);
  with_strings = g_strsplit (text, "\n", -1);
  check_includes (root, file, with_strings, found);
  blank (text, TRUE);
  without = g_strsplit (text, "\n", -1);
  check_calls (file, without, found);
}

/* Checks every C file below @folder (from the root); returns how many. */
static guint
check_folder (const char *root, const char *folder, GPtrArray *found)
{
  g_autofree char *full = g_build_filename (root, folder, NULL);
  g_autoptr (GDir) dir = g_dir_open (full, 0, NULL);
  const char *name;
  guint n = 0;

  while (dir && (name = g_dir_read_name (dir)))
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      g_autofree char *path_full = g_build_filename (root, path, NULL);

      if (g_file_test (path_full, G_FILE_TEST_IS_DIR))
        n += check_folder (root, path, found);
      else if (g_str_has_suffix (name, ".c") || g_str_has_suffix (name, ".h"))
        {
          check_file (root, path, found);
          n++;
        }
    }
  return n;
}

/* The whole tree at @root; (transfer full): what is wrong, a line each. Folders of builds and hidden ones are left out;
 * any other folder with C files must have its row in the table. */
static GPtrArray *
check_tree (const char *root, guint *n_files)
{
  GPtrArray *found = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) dir = g_dir_open (root, 0, NULL);
  const char *name;

  *n_files = 0;
  while (dir && (name = g_dir_read_name (dir)))
    {
      gboolean has_row = FALSE;
      guint n;

      if (*name == '.' || *name == '_' || g_str_has_prefix (name, "build"))
        continue;
      n = check_folder (root, name, found);
      for (guint i = 0; i < G_N_ELEMENTS (arrows); i++)
        has_row |= g_str_equal (arrows[i].from, name);
      if (n > 0 && !has_row)
        complain (found, name, 0, "has C files and no row in the table of arrows");
      *n_files += n;
    }
  return found;
}

/* --- The real tree ------------------------------------------------------------------------------------------------*/

static void
test_tree (void)
{
  const char *named = g_getenv ("FORMARIUM_SOURCE_DIR");
  g_autofree char *root = NULL;
  g_autoptr (GPtrArray) found = NULL;
  guint n;

  g_assert_nonnull (named);
  root = g_canonicalize_filename (named, NULL);
  found = check_tree (root, &n);
  for (guint i = 0; i < found->len; i++)
    g_test_message ("%s", (char *) g_ptr_array_index (found, i));
  g_test_message ("%u files read", n);
  g_assert_cmpuint (n, >, 20);
  g_assert_cmpuint (found->len, ==, 0);
}

/* --- Trees with one thing wrong -----------------------------------------------------------------------------------*/

static void
plant (const char *root, const char *file, const char *text)
{
  g_autofree char *path = g_build_filename (root, file, NULL);
  g_autofree char *folder = g_path_get_dirname (path);
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (g_mkdir_with_parents (folder, 0755), ==, 0);
  g_file_set_contents (path, text, -1, &error);
  g_assert_no_error (error);
}

static void
remove_tree (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir)))
    {
      g_autofree char *child = g_build_filename (path, name, NULL);

      if (g_file_test (child, G_FILE_TEST_IS_DIR))
        remove_tree (child);
      else
        g_unlink (child);
    }
  g_rmdir (path);
}

/* A small tree in order, with what could fool a careless reader. */
static char *
new_tree (void)
{
  g_autoptr (GError) error = NULL;
  char *root = g_dir_make_tmp ("formarium-arrows-XXXXXX", &error);

  g_assert_no_error (error);
  plant (root, "base/base.h", "#include <glib.h>\n");
  plant (root, "base/base.c", "#include \"config.h\"\n#include \"base.h\"\n");
  plant (root, "compute/compute.h", "#include \"base/base.h\"\n");
  plant (root, "compute/compute-private.h", "#include \"compute/compute.h\"\n#include <cblas.h>\n");
  plant (root, "compute/ops/add.c", "#include \"compute/compute-private.h\"\n#include <vulkan/vulkan.h>\n"
                                    "// #include \"storage/storage.h\"\n"
                                    "/* exit (1);\n#include \"data/task.h\"\n abort (); */\n"
                                    "const char *s = \"\\\"exit (1)\"; int c = '\"';\n"
                                    "void fm_exit (void); void g_error_free (void *);\n"
                                    "int x = v->abort (1) + v.exit (2);\n");
  plant (root, "data/task.h", "#include \"base/base.h\"\n");
  plant (root, "data/download.h", "#include <curl/curl.h>\n");
  plant (root, "storage/storage.h", "#include \"base/base.h\"\n");
  plant (root, "storage/store.c", "#include \"storage/storage.h\"\n#include <sqlite3.h>\n");
  plant (root, "plugins/plugin.h", "#include \"compute/compute.h\"\n#include \"base/base.h\"\n");
  plant (root, "plugins/pooling.c", "#include \"plugin.h\"\n#include <math.h>\n");
  plant (root, "app/run/run.h", "#include \"plugins/plugin.h\"\n#include \"data/task.h\"\n");
  plant (root, "app/run/run-private.h", "#include \"run.h\"\n#include \"storage/storage.h\"\n");
  plant (root, "app/run/run.c", "#include \"app/run/run-private.h\"\n#include \"compute/compute.h\"\n");
  plant (root, "app/command/main.c", "#include \"app/run/run.h\"\nint main (void) { exit (2); }\n");
  plant (root, "ui/window.c", "#include \"app/run/run.h\"\n#include <gtk/gtk.h>\n#include <adwaita.h>\n");
  plant (root, "tests/compute/test-add.c", "#include \"compute/compute-private.h\"\n#include <sqlite3.h>\nabort ();\n");
  plant (root, "ui/fm-window.h", "#include <gtk/gtk.h>\n");
  plant (root, "tests/ui/test-window.c", "#include \"fm-window.h\"\n");
  plant (root, "build/made.c", "#include \"storage/storage-private.h\"\nexit (1);\n");
  return root;
}

static void
test_good (void)
{
  g_autofree char *root = new_tree ();
  g_autoptr (GPtrArray) found = NULL;
  guint n;

  found = check_tree (root, &n);
  for (guint i = 0; i < found->len; i++)
    g_test_message ("%s", (char *) g_ptr_array_index (found, i));
  g_assert_cmpuint (found->len, ==, 0);
  g_assert_cmpuint (n, ==, 19);
  remove_tree (root);
}

/* Each line put into a good tree is found, alone, with its file and line and a reason. */
static void
test_planted (void)
{
  static const struct { const char *file, *text, *words; } cases[] = {
    { "base/x.c", "\n#include \"compute/compute.h\"\n", "base/x.c:2: includes compute/compute.h, which no arrow" },
    { "base/x.h", "#include \"data/task.h\"\n", "no arrow from base" },
    { "compute/x.c", "#include \"storage/storage.h\"\n", "no arrow from compute" },
    { "compute/x.c", "#include \"data/task.h\"\n", "no arrow from compute" },
    { "compute/x.c", "#include \"app/run/run.h\"\n", "no arrow from compute" },
    { "compute/ops/x.c", "#include \"../../plugins/plugin.h\"\n", "includes plugins/plugin.h, which no arrow" },
    { "data/x.c", "#include \"compute/compute.h\"\n", "no arrow from data" },
    { "data/x.c", "#include \"storage/storage.h\"\n", "no arrow from data" },
    { "storage/x.c", "#include \"data/task.h\"\n", "no arrow from storage" },
    { "storage/x.c", "#include \"compute/compute.h\"\n", "no arrow from storage" },
    { "plugins/x.c", "#include \"compute/compute.h\"\n", "no arrow from plugins" },
    { "plugins/x.c", "  #  include <compute/compute.h>\n", "no arrow from plugins" },
    { "plugins/x.c", "#include \"../compute/ops/add.c\"\n", "includes compute/ops/add.c" },
    { "plugins/x.c", "#include \"app/run/run.h\"\n", "no arrow from plugins" },
    { "plugins/x.c", "#include \"pooling.c\"\n", "includes plugins/pooling.c" },
    { "app/x.c", "#include \"ui/window.c\"\n", "no arrow from app" },
    { "app/x.c", "#include \"data/download.h\"\n", "no arrow from app" },
    { "app/x.c", "#include \"app/run/run-private.h\"\n", "is private to app/run/" },
    { "app/report/x.c", "#include \"../run/run-private.h\"\n", "is private to app/run/" },
    { "app/running/x.c", "#include \"app/run/run-private.h\"\n", "is private to app/run/" },
    { "ui/x.c", "#include \"storage/storage.h\"\n", "no arrow from ui" },
    { "ui/x.c", "#include \"compute/compute.h\"\n", "no arrow from ui" },
    { "ui/x.c", "#include \"data/task.h\"\n", "no arrow from ui" },
    { "ui/x.c", "#include \"plugins/plugin.h\"\n", "no arrow from ui" },
    { "ui/x.c", "#include \"app/run/run-private.h\"\n", "is private to app/run/" },
    { "app/x.c", "#include <gtk/gtk.h>\n", "only ui/ may know" },
    { "app/figures/x.h", "#include <adwaita.h>\n", "only ui/ may know" },
    { "app/x.c", "#include <sqlite3.h>\n", "only storage/ may know" },
    { "ui/x.c", "#include <vulkan/vulkan.h>\n", "only compute/ may know" },
    { "app/x.c", "#include <curl/curl.h>\n", "only data/ may know" },
    { "app/x.c", "#include \"nothing.h\"\n", "“nothing.h”, which is not in the tree" },
    { "tests/ui/x.c", "#include \"fm-nothing.h\"\n", "“fm-nothing.h”, which is not in the tree" },
    { "helpers/x.c", "#include <glib.h>\n", "no row in the table" },
    { "compute/x.c", "int f (void)\n{\n  exit (1);\n}\n", "compute/x.c:3: calls exit ()" },
    { "compute/x.c", "if (!p) abort();\n", "calls abort ()" },
    { "app/x.c", "/* \" */ g_error (\"no\");\n", "calls g_error ()" },
    { "ui/x.c", "char c = '\\''; exit (c);\n", "calls exit ()" },
    { "plugins/x.c", "const char *s = \"/*\"; abort (); const char *t = \"*/\";\n", "calls abort ()" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *root = new_tree ();
      g_autoptr (GPtrArray) found = NULL;
      guint n;

      plant (root, cases[i].file, cases[i].text);
      found = check_tree (root, &n);
      remove_tree (root);
      g_test_message ("%s: %s", cases[i].file, found->len ? (char *) g_ptr_array_index (found, 0) : "nothing found");
      g_assert_cmpuint (found->len, >=, 1);
      g_assert_nonnull (strstr (g_ptr_array_index (found, 0), cases[i].words));
      g_assert_true (g_str_has_prefix (g_ptr_array_index (found, 0), cases[i].file) || strstr (cases[i].words, "row"));
    }
}

/* A wrong root must not pass as a tree without faults. */
static void
test_empty (void)
{
  g_autoptr (GPtrArray) found = NULL;
  guint n = 1;

  found = check_tree ("/nonexistent", &n);
  g_assert_cmpuint (n, ==, 0); /* which test_tree() refuses */
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/app/arrows/tree", test_tree);
  g_test_add_func ("/app/arrows/good", test_good);
  g_test_add_func ("/app/arrows/planted", test_planted);
  g_test_add_func ("/app/arrows/empty", test_empty);
  return g_test_run ();
}
