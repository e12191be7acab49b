/* test-bad-input.c: what test-command.c leaves: damaged and locked stores, damaged and absent data, sizes that overflow,
 * a disk that takes nothing. Each ends in one sentence, and the folder is byte for byte what it was. */
#include "program.h"

#include <glib/gstdio.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Names, sizes and checksums of all files below @folder but SQLite's two side files, which hold nothing of their own. */
static void
add_files (GPtrArray *lines, const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir)))
    {
      g_autofree char *path = g_build_filename (folder, name, NULL), *text = NULL, *sum = NULL;
      gsize length;

      if (g_file_test (path, G_FILE_TEST_IS_DIR))
        add_files (lines, path);
      else if (!g_str_has_suffix (name, "-shm") && !g_str_has_suffix (name, "-wal")
               && g_file_get_contents (path, &text, &length, NULL))
        {
          sum = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) text, length);
          g_ptr_array_add (lines, g_strdup_printf ("%s %" G_GSIZE_FORMAT " %s", path, length, sum));
        }
    }
}

static int
by_name (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char * const *) a, *(const char * const *) b);
}

static char *
picture_of (Place *place)
{
  g_autoptr (GPtrArray) lines = g_ptr_array_new_with_free_func (g_free);

  add_files (lines, place->folder);
  g_ptr_array_sort (lines, by_name);
  g_ptr_array_add (lines, NULL);
  return g_strjoinv ("\n", (char **) lines->pdata);
}

/* Exit 2, nothing on standard output, exactly one line that begins with the program's name and holds @words. */
static void
assert_one_sentence (const Run *run, const char *words)
{
  const char *end = strchr (run->err, '\n');

  if (run->status != 2 || *run->out != '\0' || !g_str_has_prefix (run->err, "formarium: ") || end == NULL
      || end[1] != '\0' || strstr (run->err, words) == NULL)
    g_error ("status %d, standard output “%s”, said: %s(wanted: %s)", run->status, run->out, run->err, words);
}

/* Runs @path against @place and finds it refused, with nothing changed. */
static void
assert_refused (Place *place, const char *path, const char *words)
{
  g_autofree char *before = picture_of (place), *after = NULL;
  g_autoptr (Run) run = program ("run", path, NULL);

  assert_one_sentence (run, words);
  after = picture_of (place);
  g_assert_cmpstr (before, ==, after);
}

static void
test_sizes (void)
{
  static const struct
  {
    const char *line, *words;
  } cases[] = {
    { "width=4096\nhidden=16777216\nlayers=20", "does not fit" },
    { "batch=1048576", "does not fit" },
    { "width=99999999999999999999", "must lie between" },
    { "rate=1e400", "rate" },
    { "[batch]", "stands already" },
    { "[pooling]\nwindow=3\nwindow=3", "is set already" },
    { "[poolin]", "did you mean [pooling]" },
    { "\xff", "UTF-8" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (Place) place = place_new ();
      g_autofree char *path = g_build_filename (place->folder, "sizes.batch", NULL), *text = NULL;
      g_autoptr (GString) whole = g_string_new ("[mqar]\nlength=1048576\n[batch]\ntitle=a\ntask=mqar\n"
                                                "mixer=softmax-attention\nfeedforward=mlp\nbudget=steps:2\nseeds=1\n");

      g_string_append_printf (whole, "%s\n", cases[i].line);
      g_assert_true (g_file_set_contents (path, whole->str, -1, NULL));
      assert_refused (place, path, cases[i].words);
      g_assert_false (g_file_test (place->store, G_FILE_TEST_EXISTS));
    }
}

/* Stores as they may be found: cut short at several places, and held by somebody else. */
static void
test_store (void)
{
  static const gsize cuts[] = { 1, 100, 511, 512, 4096, 40000 };
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "stored", "pooling x mlp", 1, 2, NULL), *whole = NULL, *other = NULL;
  g_autoptr (Run) run = program ("run", path, NULL);
  g_autoptr (GError) error = NULL;
  gsize length;
  sqlite3 *db;

  if (run->status != 0)
    g_error ("%s", run->err);
  g_assert_true (g_file_get_contents (place->store, &whole, &length, &error));
  other = place_batch (place, "more", "pooling x mlp", 1, 3, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (cuts); i++)
    {
      g_assert_cmpuint (length, >, cuts[i]);
      g_assert_true (g_file_set_contents (place->store, whole, (gssize) cuts[i], &error));
      assert_refused (place, other, "damaged, cut short or not a store");
    }
  g_assert_true (g_file_set_contents (place->store, whole, (gssize) length, &error));

  g_assert_cmpint (sqlite3_open (place->store, &db), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_exec (db, "BEGIN EXCLUSIVE", NULL, NULL, NULL), ==, SQLITE_OK);
  {
    g_autoptr (Run) locked = program ("run", other, NULL);

    /* The plan is printed before the store is written, so the sentence is the last line here. */
    g_assert_cmpint (locked->status, ==, 2);
    g_assert_nonnull (strstr (locked->err, "is locked by another process"));
    g_assert_cmpstr (locked->out, ==, "");
  }
  sqlite3_exec (db, "ROLLBACK", NULL, NULL, NULL);
  sqlite3_close (db);
  {
    g_autoptr (Run) later = program ("run", other, NULL);

    g_assert_cmpint (later->status, ==, 0);
  }
}

/* Root may write everywhere. */
static void
test_permission (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "stored", "pooling x mlp", 1, 2, NULL);
  g_autofree char *closed = g_build_filename (place->folder, "closed", NULL);
  g_autofree char *store = g_build_filename (closed, "deeper", "store.db", NULL);
  g_autoptr (Run) run = NULL;

  if (geteuid () == 0)
    {
      g_test_skip ("root may write everywhere");
      return;
    }
  g_assert_cmpint (g_mkdir (closed, 0500), ==, 0);
  run = program ("run", path, "--store", store, NULL);
  g_assert_cmpint (run->status, ==, 2);
  g_assert_nonnull (strstr (run->err, closed));
}

static void
copy_data (const char *from, const char *to, const char *name)
{
  g_autofree char *source = g_build_filename (from, name, NULL), *target = g_build_filename (to, name, NULL);
  g_autofree char *text = NULL;
  gsize length;

  g_assert_true (g_file_get_contents (source, &text, &length, NULL));
  g_assert_true (g_file_set_contents (target, text, (gssize) length, NULL));
}

/* Damaged data is refused and nothing is written; absent data skips its runs, says how to add it, and the others run. */
static void
test_data (void)
{
  static const char * const names[] = { "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
                                        "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz" };
  const char *from = "/usr/share/datasets/fashion-mnist";
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = g_build_filename (place->folder, "pictures.batch", NULL);
  g_autofree char *folder = g_build_filename (place->folder, "pictures", NULL);
  g_autofree char *labels = g_build_filename (folder, names[3], NULL), *text = NULL;
  g_autoptr (Run) run = NULL;
  g_autoptr (JsonArray) rows = NULL;
  gsize length;
  guint done = 0, skipped = 0;

  g_assert_true (g_file_set_contents (path, "[batch]\ntitle=p\ntask=fashion-mnist;mqar\nvariants=pooling x mlp\nlayers=1\n"
                                      "width=16\nhidden=16\nbatch=4\nseeds=1\nbudget=steps:2\n"
                                      "[mqar]\nlength=16\npairs=2\nvocabulary=16\n", -1, NULL));
  g_assert_cmpint (g_mkdir (folder, 0700), ==, 0);
  g_setenv ("FORMARIUM_FASHION_MNIST_DIR", folder, TRUE);

  if (g_file_test (from, G_FILE_TEST_IS_DIR))
    {
      for (guint i = 0; i < G_N_ELEMENTS (names); i++)
        copy_data (from, folder, names[i]);
      g_assert_true (g_file_get_contents (labels, &text, &length, NULL));
      g_assert_true (g_file_set_contents (labels, text, 1000, NULL));
      assert_refused (place, path, "cut short: 1000 of");
      text[2000] ^= 1;
      g_assert_true (g_file_set_contents (labels, text, (gssize) length, NULL));
      assert_refused (place, path, "wrong checksum");
      g_assert_false (g_file_test (place->store, G_FILE_TEST_EXISTS));
      g_assert_cmpint (g_remove (labels), ==, 0);
    }
  else
    g_test_message ("no pictures in %s: damaged files were not tried", from);

  run = program ("run", path, "--json", NULL);
  g_unsetenv ("FORMARIUM_FASHION_MNIST_DIR");
  g_assert_cmpint (run->status, ==, 0);
  g_assert_nonnull (strstr (run->err, "skipped: task fashion-mnist"));
  rows = run_rows (run);
  g_assert_cmpuint (json_array_get_length (rows), ==, 2);
  for (guint i = 0; i < 2; i++)
    {
      JsonObject *row = json_array_get_object_element (rows, i);
      const char *state = json_object_get_string_member (row, "state");

      done += g_str_equal (state, "done");
      if (g_str_equal (state, "skipped"))
        {
          skipped++;
          g_assert_nonnull (strstr (json_object_get_string_member (row, "reason"), "formarium data fetch"));
        }
    }
  g_assert_cmpuint (done, ==, 1);
  g_assert_cmpuint (skipped, ==, 1);
}

/* A device that takes no byte stands for the full disk, behind standard output and as a file. */
static void
test_full (void)
{
  static const char * const lines[] = { "list", "--help", "list --help", "data list", "inspect mlp", "results", "results --json" };
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "stored", "pooling x mlp", 1, 2, NULL);
  g_autofree char *closed = g_build_filename (place->folder, "nowhere", "report.html", NULL);
  g_autoptr (Run) run = program ("run", path, NULL), report = program ("report", "-o", closed, NULL);

  g_assert_cmpint (run->status, ==, 0);
  assert_one_sentence (report, "report.html");
  for (guint i = 0; i < G_N_ELEMENTS (lines); i++)
    {
      g_autofree char *shell = g_strdup_printf ("\"$FORMARIUM_PROGRAM\" %s > /dev/full", lines[i]);
      g_autofree char *said = NULL;
      int status;

      g_assert_true (g_spawn_sync (NULL, (char *[]){ "/bin/sh", "-c", shell, NULL }, NULL, G_SPAWN_DEFAULT, NULL, NULL,
                                   NULL, &said, &status, NULL));
      if (WEXITSTATUS (status) != 2 || strstr (said, "cannot be written") == NULL)
        g_error ("%s: status %d, said: %s", lines[i], WEXITSTATUS (status), said);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_message ("takes 15 s: one case waits out the store's lock time-out of 5 s, others start the program some forty times");
  g_test_add_func ("/bad-input/sizes", test_sizes);
  g_test_add_func ("/bad-input/store", test_store);
  g_test_add_func ("/bad-input/permission", test_permission);
  g_test_add_func ("/bad-input/data", test_data);
  g_test_add_func ("/bad-input/full", test_full);
  return g_test_run ();
}
