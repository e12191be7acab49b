/* test-replay.c: runs are done again from the store alone, and what was changed since then is named: a flipped byte of
 * a checkpoint, another rate or seed, a row that is gone, another plugin file. A batch goes to another machine in one
 * file, and no bit of that file can change unseen. */
#include "program.h"

#include "app/run/bundle.h"
#include "app/run/digests.h"
#include "app/run/tar.h"

#include <glib/gstdio.h>
#include <sqlite3.h>
#include <string.h>

static void
sql_do (const char *path, const char *sql)
{
  sqlite3 *db = NULL;
  char *why = NULL;

  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  sqlite3_exec (db, sql, NULL, NULL, &why);
  if (why)
    g_error ("%s: %s", sql, why);
  g_assert_cmpint (sqlite3_changes (db), >, 0);
  g_assert_cmpint (sqlite3_close (db), ==, SQLITE_OK);
}

/* Of the training stage of run @word; @row (out) (optional): all that is said of it. */
static char *
verdict (int status, const char *word, JsonObject **row)
{
  g_autoptr (Run) run = expect (status, program ("reproduce", word, "--train", "--json", NULL));
  g_autoptr (JsonArray) rows = run_rows (run);
  JsonObject *first = json_array_get_object_element (rows, 0);

  g_test_message ("%s: %s", json_object_get_string_member (first, "verdict"),
                  json_object_get_string_member (first, "text"));
  if (row)
    *row = json_object_ref (first);
  return g_strdup (json_object_get_string_member (first, "verdict"));
}

static char *
train_stage (const char *run)
{
  g_autoptr (Run) inspected = expect (0, program ("inspect", run, "--json", NULL));
  g_autoptr (JsonArray) rows = run_rows (inspected);

  return g_strdup (json_object_get_string_member (json_array_get_object_element (rows, 0), "stage"));
}

static char *
read_all (const char *path, gsize *length)
{
  g_autoptr (GError) error = NULL;
  char *text = NULL;

  g_file_get_contents (path, &text, length, &error);
  g_assert_no_error (error);
  return text;
}

static void
write_all (const char *path, const char *text, gsize length)
{
  g_autoptr (GError) error = NULL;

  g_file_set_contents (path, text, (gssize) length, &error);
  g_assert_no_error (error);
}

/* --- Provenance ----------------------------------------------------------------------------------------------------*/

static void
check_provenance (void)
{
  g_autoptr (Run) run = expect (0, program ("inspect", "1", "--json", NULL));
  g_autoptr (JsonArray) rows = run_rows (run);

  g_assert_cmpuint (json_array_get_length (rows), ==, 2);
  for (guint i = 0; i < 2; i++)
    {
      JsonObject *p = json_object_get_object_member (json_array_get_object_element (rows, i), "provenance");
      JsonObject *stage = json_object_get_object_member (p, "stage");
      JsonObject *files = json_object_get_object_member (p, "files");
      JsonObject *blas = json_object_get_object_member (files, "blas");
      JsonObject *lib = json_object_get_object_member (files, "program");
      JsonArray *plugins = json_object_get_array_member (p, "plugins");
      static const char * const texts[] = { "program", "processor", "device", "driver", "kernel", "blas_core",
                                            "blas_flavour" };

      for (guint k = 0; k < G_N_ELEMENTS (texts); k++)
        g_assert_cmpint (strlen (json_object_get_string_member (p, texts[k])), >, 0);
      g_assert_cmpint (json_object_get_int_member (p, "threads"), >, 0);
      g_assert_cmpint (json_object_get_int_member (p, "memory_bytes"), >, 1 << 20);
      /* The library that multiplied, not the one that a variable asks for. */
      g_assert_nonnull (strstr (json_object_get_string_member (blas, "file"), "blas"));
      g_assert_nonnull (strstr (json_object_get_string_member (lib, "file"), "libformarium"));
      g_assert_cmpint (json_object_get_int_member (stage, "seed"), ==, 0);
      g_assert_cmpstr (json_object_get_string_member (stage, "task"), ==, "mqar");
      g_assert_true (g_str_has_prefix (json_object_get_string_member (stage, "data"), "generator:"));
      g_assert_cmpuint (json_array_get_length (plugins), ==, 2);
      for (guint k = 0; k < 2; k++)
        {
          JsonObject *plugin = json_array_get_object_element (plugins, k);
          gsize length;
          g_autofree char *bytes = read_all (json_object_get_string_member (plugin, "file"), &length);
          g_autofree char *hash = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) bytes, length);

          g_assert_cmpstr (json_object_get_string_member (plugin, "sha256"), ==, hash);
        }
    }
}

/* --- Replays -------------------------------------------------------------------------------------------------------*/

static void
set_recipe (const char *store, const char *stage, const char *from, const char *to)
{
  g_autofree char *sql = g_strdup_printf ("UPDATE stage_text SET recipe = replace (recipe, '%s', '%s') "
                                          "WHERE stage = '%s'", from, to, stage);

  sql_do (store, sql);
}

static void
check_parting (const char *store)
{
  g_autofree char *stage = train_stage ("1"), *folder = g_path_get_dirname (store);
  g_autofree char *file = NULL, *bytes = NULL, *v = NULL;
  JsonObject *row;
  gsize length;

  /* Another rate: the same at the start, not after the first step. */
  set_recipe (store, stage, "\"rate\":\"0.003\"", "\"rate\":\"0.3\"");
  v = verdict (4, "1", &row);
  g_assert_cmpstr (v, ==, "different");
  g_assert_cmpint (json_object_get_int_member (row, "same_step"), ==, 0);
  g_assert_cmpint (json_object_get_int_member (row, "step"), ==, 1);
  g_assert_cmpint (strlen (json_object_get_string_member (row, "tensor")), >, 0);
  g_clear_pointer (&v, g_free);
  json_object_unref (row);
  set_recipe (store, stage, "\"rate\":\"0.3\"", "\"rate\":\"0.003\"");

  /* Another seed: parted before the first step. */
  set_recipe (store, stage, "\"seed\":0", "\"seed\":7");
  v = verdict (4, "1", &row);
  g_assert_cmpint (json_object_get_int_member (row, "step"), ==, 0);
  g_assert_cmpint (json_object_get_int_member (row, "same_step"), ==, -1);
  g_clear_pointer (&v, g_free);
  json_object_unref (row);
  set_recipe (store, stage, "\"seed\":7", "\"seed\":0");

  /* One bit of a weight that was kept. */
  file = g_build_filename (folder, "formarium.artifacts", stage, "checkpoint.safetensors", NULL);
  bytes = read_all (file, &length);
  bytes[length - 1] ^= 1;
  write_all (file, bytes, length);
  v = verdict (4, "1", &row);
  g_assert_cmpstr (v, ==, "different");
  g_assert_nonnull (strstr (json_object_get_string_member (row, "text"), "was changed after the run"));
  g_assert_cmpint (strlen (json_object_get_string_member (row, "tensor")), >, 0);
  g_clear_pointer (&v, g_free);
  json_object_unref (row);
  bytes[length - 1] ^= 1;
  write_all (file, bytes, length);

  /* Without the checkpoint the digests still speak for the weights. */
  run_free (expect (0, program ("store", "prune", "--checkpoints", NULL)));
  v = verdict (0, "1", NULL);
  g_assert_cmpstr (v, ==, "same");
}

static void
check_noise (const char *store)
{
  g_autofree char *stage = train_stage ("2"), *other = train_stage ("4"), *v = NULL;
  g_autofree char *nudge = NULL, *gone = NULL, *lie = NULL, *more = NULL;
  JsonObject *row;

  /* As another kernel would: the loss of step 3 in its last digits, and no score. */
  nudge = g_strdup_printf ("UPDATE curve SET value = value * 1.000001 WHERE stage = '%s' AND name = 'loss' AND step = 3",
                           stage);
  sql_do (store, nudge);
  v = verdict (0, "2", &row);
  g_assert_cmpstr (v, ==, "within noise");
  g_assert_cmpint (json_object_get_int_member (row, "step"), ==, 3);
  g_assert_nonnull (strstr (json_object_get_string_member (row, "text"),
                            "within what seeds differ by (4 degrees of freedom)"));
  g_clear_pointer (&v, g_free);
  json_object_unref (row);

  /* A score that no seed gives. */
  lie = g_strdup_printf ("UPDATE metric SET value = value + 0.4 WHERE stage = '%s' AND name = 'accuracy' "
                         "AND split = 'test'", stage);
  sql_do (store, lie);
  v = verdict (4, "2", NULL);
  g_assert_cmpstr (v, ==, "different");
  g_clear_pointer (&v, g_free);

  /* A first loss that no kernel explains, though the scores agree. */
  more = g_strdup_printf ("UPDATE metric SET value = value - 0.4 WHERE stage = '%1$s' AND name = 'accuracy' AND "
                          "split = 'test'; UPDATE curve SET value = value * 1.0002 WHERE stage = '%1$s' AND "
                          "name = 'loss' AND step = 1", stage);
  sql_do (store, more);
  v = verdict (4, "2", NULL);
  g_assert_cmpstr (v, ==, "different");
  g_clear_pointer (&v, g_free);

  /* A row is gone, of a run that is sound otherwise; the scores agree, so it is no more than noise, but it is said. */
  gone = g_strdup_printf ("DELETE FROM curve WHERE stage = '%s' AND name = 'loss' AND step = 5", other);
  sql_do (store, gone);
  v = verdict (0, "4", &row);
  g_assert_cmpstr (v, ==, "within noise");
  g_assert_nonnull (strstr (json_object_get_string_member (row, "text"),
                            "only one of the two has a point of loss at step 5"));
  json_object_unref (row);
}

/* The folder of plugins with another file under one name: the same code, so the numbers agree; it is said all the same. */
static void
check_plugin (Place *place)
{
  g_autofree char *folder = g_build_filename (place->folder, "plugins", NULL);
  g_autofree char *old = g_strdup (g_getenv ("FORMARIUM_PLUGIN_PATH"));
  static const char * const names[] = { "pooling.so", "mlp.so" };
  g_autoptr (Run) run = NULL;

  g_assert_cmpint (g_mkdir (folder, 0700), ==, 0);
  for (guint i = 0; i < 2; i++)
    {
      g_autofree char *from = g_build_filename (old, names[i], NULL), *to = g_build_filename (folder, names[i], NULL);
      g_autofree char *bytes = NULL;
      gsize length;

      bytes = read_all (from, &length);
      bytes = g_realloc (bytes, length + 1);
      bytes[length] = 'x';
      write_all (to, bytes, length + (i == 0)); /* pooling alone is another one */
    }
  g_setenv ("FORMARIUM_PLUGIN_PATH", folder, TRUE);
  run = expect (0, program ("reproduce", "3", "--train", NULL));
  g_assert_true (g_str_has_prefix (run->err, "Changed: mixer pooling is another plugin file"));
  g_assert_null (strstr (run->err, "mlp is another"));
  g_assert_nonnull (strstr (run->out, "train    same: "));
  g_setenv ("FORMARIUM_PLUGIN_PATH", old, TRUE);
}

/* --- Bundles -------------------------------------------------------------------------------------------------------*/

static void
expect_broken (const char *path, const char *bytes, gsize length, const char *says)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmBundle) bundle = NULL;

  write_all (path, bytes, length);
  bundle = fm_bundle_open (path, &error);
  if (bundle != NULL)
    g_error ("a damaged bundle was taken (%s)", says);
  g_assert_null (strchr (error->message, '\n'));
  if (strstr (error->message, says) == NULL)
    g_error ("“%s” does not say “%s”", error->message, says);
}

static void
set_name (char *header, const char *name)
{
  guint sum = 0;

  memset (header, 0, 100);
  memcpy (header, name, strlen (name));
  memset (header + 148, ' ', 8);
  for (guint i = 0; i < 512; i++)
    sum += (guint8) header[i];
  g_snprintf (header + 148, 8, "%06o", sum);
}

static gsize
member_blocks (const char *header)
{
  return 512 + (g_ascii_strtoull (header + 124, NULL, 8) + 511) / 512 * 512;
}

/* No bit of the file can change, and no byte go, without a sentence. */
static void
check_damage (Place *place, const char *good)
{
  static const char * const evil[] = { "../evil", "/tmp/evil", "store.artifacts/../../evil", "a/b/c/d", ".hidden" };
  g_autofree char *bad = g_build_filename (place->folder, "bad.tar", NULL), *bytes = NULL;
  g_autoptr (GRand) dice = g_rand_new_with_seed (7);
  gsize length, first, second;

  bytes = read_all (good, &length);
  for (guint i = 0; i < 200; i++)
    {
      /* Small parts of the file are headers and lists: half of the bits are of them. */
      gsize at = i % 2 ? g_rand_double (dice) * length : g_rand_double (dice) * 4096;
      char bit = (char) (1 << g_rand_int_range (dice, 0, 8));

      bytes[at] ^= bit;
      expect_broken (bad, bytes, length, "");
      bytes[at] ^= bit;
    }
  for (guint i = 0; i < 40; i++)
    expect_broken (bad, bytes, (gsize) (g_rand_double (dice) * length), "");
  expect_broken (bad, bytes, length - 512, "cut short");
  expect_broken (bad, bytes, 0, "cut short");

  /* A member is taken out, or another one's name is taken. */
  first = member_blocks (bytes);
  second = first + member_blocks (bytes + first);
  {
    g_autofree char *less = g_malloc (length);

    memcpy (less, bytes, first);
    memcpy (less + first, bytes + second, length - second);
    expect_broken (bad, less, length - (second - first), "where its list names manifest.json");
  }
  for (guint i = 0; i < G_N_ELEMENTS (evil); i++)
    {
      g_autofree char *other = g_memdup2 (bytes, length);

      set_name (other + first, evil[i]);
      expect_broken (bad, other, length, "cannot be one of a bundle");
    }
  g_assert_false (g_file_test ("/tmp/evil", G_FILE_TEST_EXISTS));
}

/* Somebody changes rows and makes the hashes anew. */
static void
check_forged (Place *place, const char *good, const char *sql, const char *says)
{
  static const char * const names[] = { "manifest.json", "plan.batch", "store.db" };
  static guint number;
  g_autofree char *folder = g_strdup_printf ("%s/unpacked-%u", place->folder, number++);
  g_autofree char *bad = g_build_filename (place->folder, "bad.tar", NULL);
  g_autofree char *rows = g_build_filename (folder, "store.db", NULL);
  g_autofree char *artifacts = g_build_filename (folder, "store.artifacts", NULL);
  g_autoptr (GPtrArray) members = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_tar_member_free);
  g_autoptr (GError) error = NULL;
  g_autoptr (GDir) stages = NULL;
  g_autoptr (FmBundle) bundle = NULL;
  const char *stage;

  g_assert_cmpint (g_mkdir (folder, 0700), ==, 0);
  g_assert_true (fm_tar_unpack (good, folder, &error));
  sql_do (rows, sql);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *file = g_build_filename (folder, names[i], NULL);

      g_ptr_array_add (members, fm_tar_member_new (names[i], file, NULL));
    }
  stages = g_dir_open (artifacts, 0, NULL);
  while ((stage = g_dir_read_name (stages)))
    {
      g_autofree char *inner = g_build_filename (artifacts, stage, NULL);
      g_autoptr (GDir) dir = g_dir_open (inner, 0, NULL);
      const char *name;

      while ((name = g_dir_read_name (dir)))
        {
          g_autofree char *member = g_build_filename ("store.artifacts", stage, name, NULL);
          g_autofree char *file = g_build_filename (inner, name, NULL);

          g_ptr_array_add (members, fm_tar_member_new (member, file, NULL));
        }
    }
  g_assert_true (fm_tar_write (bad, members, 0, &error));
  bundle = fm_bundle_open (bad, &error);
  g_assert_null (bundle);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, says));
}

static void
check_bundle (Place *place)
{
  g_autofree char *file = g_build_filename (place->folder, "one.tar", NULL);
  g_autofree char *again = g_build_filename (place->folder, "two.tar", NULL);
  g_autofree char *bad = g_build_filename (place->folder, "bad.tar", NULL);
  g_autofree char *data = g_build_filename (place->folder, "elsewhere", NULL);
  g_autofree char *there = g_build_filename (data, "formarium", "formarium.db", NULL);
  g_autofree char *old = g_strdup (g_getenv ("XDG_DATA_HOME"));
  g_autofree char *v = NULL, *a = NULL, *b = NULL;
  g_autoptr (Run) opened = NULL, once_more = NULL;
  gsize m, n;

  run_free (expect (0, program ("bundle", "again", "-o", file, NULL)));
  run_free (expect (0, program ("bundle", "again", "-o", again, NULL)));
  a = read_all (file, &m);
  b = read_all (again, &n);
  g_assert_cmpmem (a, m, b, n); /* the same batch, the same file */
  refused (program ("bundle", "nothing-like-it", "-o", bad, NULL), "nothing-like-it");
  refused (program ("bundle", "again", NULL), "-o FILE");
  refused (program ("bundle", "again", "-o", "/nonexistent/x.tar", NULL), "/nonexistent/x.tar");

  /* Another machine. */
  g_setenv ("XDG_DATA_HOME", data, TRUE);
  write_all (bad, a, m - 700);
  refused (program ("bundle", "--open", bad, NULL), "cut short");
  refused (program ("reproduce", bad, NULL), "cut short");
  refused (program ("bundle", "--open", "/nonexistent/x.tar", NULL), "cannot be read");
  g_assert_false (g_file_test (there, G_FILE_TEST_EXISTS)); /* a damaged file makes no store */
  v = verdict (0, file, NULL);
  g_assert_cmpstr (v, ==, "same");
  g_assert_false (g_file_test (there, G_FILE_TEST_EXISTS)); /* and a replay none either */
  opened = expect (0, program ("bundle", "--open", file, NULL));
  g_assert_nonnull (strstr (opened->out, "came in: 1 run, 2 stages; known already: 0; 0 conflicts"));
  once_more = expect (0, program ("bundle", "--open", file, NULL));
  g_assert_nonnull (strstr (once_more->out, "came in: 0 runs, 0 stages; known already: 2; 0 conflicts"));
  run_free (expect (0, program ("store", "check", NULL)));
  g_setenv ("XDG_DATA_HOME", old, TRUE);

  check_damage (place, file);
  check_forged (place, file, "DELETE FROM curve WHERE name = 'loss' AND step = 4",
                "rows of curve where manifest.json counts");
  check_forged (place, file, "UPDATE artifact SET path = '../../../../../dev/zero' WHERE kind = 'digests'",
                "not in the folder of its stage");
  check_forged (place, file, "UPDATE artifact SET bytes = bytes + 1 WHERE kind = 'digests'", "bytes instead of");
  check_forged (place, file, "UPDATE batch SET key = 'another'", "does not hold the batch that manifest.json names");
}

static void
test_replay (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *batch = place_batch (place, "six", "pooling x mlp", 6, 12, NULL);
  g_autofree char *one = place_batch (place, "again", "softmax-attention x mlp", 1, 8, NULL), *v = NULL;
  g_autoptr (Run) whole = NULL;

  refused (program ("reproduce", "1", NULL), "no store");
  run_free (expect (0, program ("run", batch, NULL)));
  run_free (expect (0, program ("run", one, NULL)));
  refused (program ("reproduce", "99", NULL), "no run 99");
  refused (program ("reproduce", "nothing-like-it", NULL), "nothing-like-it");
  refused (program ("inspect", "99", NULL), "no run 99");
  check_provenance ();
  v = verdict (0, "1", NULL);
  g_assert_cmpstr (v, ==, "same");
  check_bundle (place);
  check_parting (place->store);
  check_noise (place->store);
  check_plugin (place);

  /* The kernels of the oldest processors round elsewhere, which is no difference. */
  g_setenv ("FORMARIUM_CPU_LEVEL", "1", TRUE);
  g_clear_pointer (&v, g_free);
  v = verdict (0, "7", NULL);
  g_assert_true (g_str_equal (v, "within noise") || g_str_equal (v, "same"));
  g_unsetenv ("FORMARIUM_CPU_LEVEL");

  /* Measured again, whatever a busy machine makes of it. */
  whole = program ("reproduce", "7", NULL);
  g_assert_true (whole->status == 0 || whole->status == 4);
  g_assert_nonnull (strstr (whole->out, "train    same: "));
  g_assert_nonnull (strstr (whole->out, "times what it took ["));
}

/* --- Digests by themselves -----------------------------------------------------------------------------------------*/

static void
add_step (FmDigests *d, gint64 step, const char *a, const char *b)
{
  gdouble loss = 1.0 / (1 + step);

  if (d->names->len == 0)
    for (guint i = 0; i < 2; i++)
      {
        g_ptr_array_add (d->names, g_strdup (i ? "head.bias" : "embed"));
        g_ptr_array_add (d->rows, g_ptr_array_new_with_free_func (g_free));
      }
  g_array_append_val (d->steps, step);
  g_array_append_val (d->losses, loss);
  g_ptr_array_add (g_ptr_array_index (d->rows, 0), g_strdup (a));
  g_ptr_array_add (g_ptr_array_index (d->rows, 1), g_strdup (b));
}

static void
test_digests (void)
{
  g_autoptr (FmDigests) x = fm_digests_new (), y = fm_digests_new ();
  g_autoptr (GString) wanted = g_string_new (NULL);
  FmParting p;

  for (gint64 i = 0; i <= 50; i++)
    if (fm_digests_wants (i, 50))
      g_string_append_printf (wanted, "%d ", (int) i);
  g_assert_cmpstr (wanted->str, ==, "0 1 2 3 4 6 8 12 16 24 32 48 50 ");

  add_step (x, 0, "00", "01");
  add_step (y, 0, "00", "01");
  add_step (x, 1, "10", "11");
  add_step (x, 2, "20", "21");
  add_step (y, 2, "20", "21");
  add_step (x, 4, "40", "41");
  add_step (y, 4, "40", "xx");
  p = fm_digests_compare (x, y);
  g_assert_true (p.part && !p.names_differ);
  g_assert_cmpint (p.same_step, ==, 2);
  g_assert_cmpint (p.step, ==, 4);
  g_assert_cmpstr (p.tensor, ==, "head.bias");
  g_assert_cmpuint (p.differing, ==, 1);
  p = fm_digests_compare (x, x);
  g_assert_false (p.part);
  g_assert_cmpint (p.same_step, ==, 4);
  g_free (g_ptr_array_index (y->names, 0));
  g_ptr_array_index (y->names, 0) = g_strdup ("embedding");
  p = fm_digests_compare (x, y);
  g_assert_true (p.part && p.names_differ);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/replay/digests", test_digests);
  g_test_add_func ("/replay/all", test_replay);
  return g_test_run ();
}
