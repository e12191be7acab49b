/* test-fashion-mnist.c: the real pictures where they are installed; absent, damaged and added files everywhere. */
#include "data/task.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

typedef struct { gint64 view; } Params;
enum { PATCHES, PIXELS };

static const char * const file_names[] = { "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
                                           "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz" };

static FmTask *
new_task (gint64 view)
{
  const Params p = { view };
  g_autoptr (GError) error = NULL;
  FmTask *task = fm_task_new ("fashion-mnist", &p, &error);

  g_assert_no_error (error);
  return task;
}

/* Instances share the pictures: with one kept, the tests read them once. */
static FmTask *kept;

/* Loaded, or NULL after g_test_skip() where the pictures are not installed. */
static FmTask *
task_or_skip (gint64 view)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmTask) task = new_task (view);

  if (fm_task_load (task, NULL, &error))
    {
      if (kept == NULL)
        kept = fm_task_ref (task);
      return g_steal_pointer (&task);
    }
  g_assert_error (error, FM_DATA_ERROR, FM_DATA_ERROR_ABSENT);
  g_test_skip (error->message);
  return NULL;
}

static void
test_shapes (void)
{
  g_autoptr (FmTask) patches = new_task (PATCHES), pixels = new_task (PIXELS);
  const FmTaskInput *a = &fm_task_get_info (patches)->inputs[0], *b = &fm_task_get_info (pixels)->inputs[0];
  g_autofree char *key = fm_task_data_key (patches);

  g_assert_cmpint (a->length, ==, 49);
  g_assert_cmpint (a->channels, ==, 16);
  g_assert_cmpint (a->grid_rows, ==, 7);
  g_assert_cmpint (b->length, ==, 784);
  g_assert_cmpint (b->channels, ==, 1);
  g_assert_cmpint (b->grid_columns, ==, 28);
  g_assert_cmpfloat (fm_task_get_info (patches)->chance_level, ==, 0.1);
  g_assert_true (g_str_has_prefix (key, "sha256:"));
}

/* All 70,000 pictures turn up exactly once over the three splits (no two of the published ones are alike to the bit, so
 * their FNV hashes are all different), each class as often as published. */
static void
test_splits (void)
{
  static const struct { const char *name; guint count; } splits[] = { { "train", 54000 }, { "validation", 6000 },
                                                                      { "test", 10000 } };
  g_autoptr (FmTask) task = task_or_skip (PATCHES);
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
  guint classes[3][10] = { 0 }, twice = 0;

  if (task == NULL)
    return;
  for (guint s = 0; s < 3; s++)
    for (guint b = 0; b < splits[s].count / 1000; b++)
      {
        g_auto (FmBatch) batch = { 0 };

        g_assert_true (fm_task_batch (task, splits[s].name, 1, b, 1000, &batch, NULL));
        for (gint64 r = 0; r < 1000; r++)
          {
            const guint32 *words = (const guint32 *) batch.inputs[0].data + r * 784;
            guint64 *hash = g_new (guint64, 1);

            *hash = 0xcbf29ce484222325u;
            for (guint i = 0; i < 784; i++)
              *hash = (*hash ^ words[i]) * 0x100000001b3u;
            twice += !g_hash_table_add (seen, hash);
            classes[s][((gint32 *) batch.targets[0].data)[r]]++;
          }
      }
  for (guint c = 0; c < 10; c++)
    {
      g_assert_cmpuint (classes[0][c] + classes[1][c], ==, 6000);
      g_assert_cmpuint (classes[1][c], >, 480); /* 600, five standard deviations of 23 */
      g_assert_cmpuint (classes[1][c], <, 720);
      g_assert_cmpuint (classes[2][c], ==, 1000);
    }
  g_assert_cmpuint (twice, ==, 0);
}

/* Both views and the shown picture hold the same pixels at the right places. */
static void
test_views (void)
{
  g_autoptr (FmTask) patches = task_or_skip (PATCHES), pixels = NULL;
  g_auto (FmBatch) a = { 0 }, b = { 0 };
  g_auto (FmTaskExample) example = { 0 };
  const gfloat *x, *y;

  if (patches == NULL)
    return;
  pixels = task_or_skip (PIXELS);
  g_assert_true (fm_task_batch (patches, "test", 0, 1, 3, &a, NULL));
  g_assert_true (fm_task_batch (pixels, "test", 0, 1, 3, &b, NULL));
  g_assert_true (fm_task_example (patches, "test", 5, &example, NULL));
  g_assert_cmpuint (example.width, ==, 28);
  g_assert_cmpuint (example.height, ==, 28);
  x = (gfloat *) a.inputs[0].data + 2 * 784;
  y = (gfloat *) b.inputs[0].data + 2 * 784;
  for (guint row = 0; row < 28; row++)
    for (guint column = 0; column < 28; column++)
      {
        guint patch = row / 4 * 7 + column / 4, inside = row % 4 * 4 + column % 4;

        g_assert_cmpfloat (x[patch * 16 + inside], ==, y[row * 28 + column]);
        g_assert_cmpfloat_with_epsilon (y[row * 28 + column], example.grey[row * 28 + column] / 127.5 - 1, 1e-6);
      }
  g_assert_cmpstr (example.label, ==,
                   fm_task_get_info (patches)->targets[0].class_names[((gint32 *) a.targets[0].data)[2]]);
}

/* The first three test pictures are an ankle boot, a pullover and a pair of trousers, as anyone can look up; an
 * ankle boot has its ink in the lower half. */
static void
test_known (void)
{
  static const char * const labels[] = { "Ankle boot", "Pullover", "Trouser" };
  g_autoptr (FmTask) task = task_or_skip (PATCHES);
  guint upper = 0, lower = 0;

  if (task == NULL)
    return;
  for (guint i = 0; i < 3; i++)
    {
      g_auto (FmTaskExample) example = { 0 };

      g_assert_true (fm_task_example (task, "test", i, &example, NULL));
      g_assert_cmpstr (example.label, ==, labels[i]);
      for (guint k = 0; i == 0 && k < 784; k++)
        *(k < 392 ? &upper : &lower) += example.grey[k];
    }
  g_assert_cmpuint (lower, >, 3 * upper);
}

/* Calibrated on 16x16 pictures: 45.0%; the commonest class of a set with equal classes: 10%. */
static void
test_shortcuts (void)
{
  g_autoptr (FmTask) task = task_or_skip (PATCHES);
  const GArray *shortcuts;

  if (task == NULL)
    return;
  shortcuts = fm_task_shortcuts (task, NULL);
  g_assert_cmpuint (shortcuts->len, ==, 2);
  g_assert_cmpstr (g_array_index (shortcuts, FmTaskShortcut, 0).name, ==, "bag of grey values");
  g_assert_cmpfloat_with_epsilon (g_array_index (shortcuts, FmTaskShortcut, 0).accuracy, 0.45, 0.02);
  g_assert_cmpfloat (g_array_index (shortcuts, FmTaskShortcut, 1).accuracy, ==, 0.1);
}

/* --- Files --------------------------------------------------------------------------------------------------------*/

/* A folder of four files, real ones where @real names a folder, else a few bytes; (transfer full). */
static char *
new_folder (const char *real)
{
  g_autoptr (GError) error = NULL;
  char *folder = g_dir_make_tmp ("formarium-test-XXXXXX", &error);

  g_assert_no_error (error);
  for (guint i = 0; i < 4; i++)
    {
      g_autofree char *path = g_build_filename (folder, file_names[i], NULL);
      g_autofree char *source = real ? g_build_filename (real, file_names[i], NULL) : NULL;
      g_autofree char *contents = NULL;
      gsize length = 8;

      if (source)
        g_assert_true (g_file_get_contents (source, &contents, &length, NULL));
      g_assert_true (g_file_set_contents (path, contents ? contents : "too few!", (gssize) length, NULL));
    }
  return folder;
}

static void
remove_folder (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir)))
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);

      if (g_unlink (path) != 0)
        remove_folder (path);
    }
  g_rmdir (folder);
}

static void
assert_load_fails (int code, const char *words)
{
  g_autoptr (FmTask) task = new_task (PATCHES);
  g_autoptr (GError) error = NULL;

  g_clear_pointer (&kept, fm_task_unref); /* else nothing would be read again */
  g_assert_false (fm_task_load (task, NULL, &error));
  g_assert_error (error, FM_DATA_ERROR, code);
  if (strstr (error->message, words) == NULL)
    g_error ("“%s” says nothing of “%s”", error->message, words);
  g_assert_nonnull (strstr (error->message, "formarium data fetch fashion-mnist"));
}

static void
test_absent (void)
{
  g_setenv ("FORMARIUM_FASHION_MNIST_DIR", "/nonexistent/pictures", TRUE);
  assert_load_fails (FM_DATA_ERROR_ABSENT, "dataset-fashion-mnist");
  assert_load_fails (FM_DATA_ERROR_ABSENT, "/nonexistent/pictures");
  g_assert_false (fm_task_class_find ("fashion-mnist")->verify (NULL));
  g_assert_null (fm_task_class_find ("fashion-mnist")->locate ());
  g_unsetenv ("FORMARIUM_FASHION_MNIST_DIR");
}

static void
test_cut_short (void)
{
  g_autofree char *folder = new_folder (NULL);

  g_setenv ("FORMARIUM_FASHION_MNIST_DIR", folder, TRUE);
  assert_load_fails (FM_DATA_ERROR_CORRUPT, "is cut short: 8 of 26421880 bytes");
  g_unsetenv ("FORMARIUM_FASHION_MNIST_DIR");
  remove_folder (folder);
}

/* One flipped bit in the labels of the test pictures. */
static void
test_wrong_checksum (void)
{
  g_autoptr (FmTask) there = task_or_skip (PATCHES);
  g_autofree char *real = fm_task_class_find ("fashion-mnist")->locate (), *folder = NULL, *path = NULL;
  g_autofree char *contents = NULL;
  g_autoptr (GError) error = NULL;
  gsize length;

  if (there == NULL)
    return;
  g_clear_pointer (&there, fm_task_unref); /* for the same reason as `kept` */
  folder = new_folder (real);
  path = g_build_filename (folder, file_names[3], NULL);
  g_assert_true (g_file_get_contents (path, &contents, &length, NULL));
  contents[length / 2] ^= 1;
  g_assert_true (g_file_set_contents (path, contents, (gssize) length, NULL));

  g_setenv ("FORMARIUM_FASHION_MNIST_DIR", folder, TRUE);
  assert_load_fails (FM_DATA_ERROR_CORRUPT, "has the wrong checksum");
  assert_load_fails (FM_DATA_ERROR_CORRUPT, path);
  g_assert_false (fm_task_class_find ("fashion-mnist")->verify (&error));
  g_assert_error (error, FM_DATA_ERROR, FM_DATA_ERROR_CORRUPT);
  g_unsetenv ("FORMARIUM_FASHION_MNIST_DIR");
  remove_folder (folder);
}

/* A good folder is copied to the cache and found there; a bad one leaves the cache as it was. */
static void
test_add (void)
{
  g_autoptr (FmTask) there = task_or_skip (PATCHES);
  g_autofree char *real = fm_task_class_find ("fashion-mnist")->locate (), *found = NULL;
  g_autofree char *bad = new_folder (NULL);
  g_autofree char *cache = g_build_filename (g_get_user_cache_dir (), "formarium", "fashion-mnist", NULL);
  g_autoptr (GError) error = NULL;

  g_assert_false (fm_task_class_find ("fashion-mnist")->add (bad, &error));
  g_assert_error (error, FM_DATA_ERROR, FM_DATA_ERROR_CORRUPT);
  g_assert_false (g_file_test (cache, G_FILE_TEST_EXISTS));
  g_clear_error (&error);
  g_assert_false (fm_task_class_find ("fashion-mnist")->add ("/nonexistent", &error));
  g_assert_error (error, FM_DATA_ERROR, FM_DATA_ERROR_ABSENT);
  g_clear_error (&error);
  remove_folder (bad);
  if (there == NULL)
    return;
  g_assert_true (fm_task_class_find ("fashion-mnist")->add (real, &error));
  found = fm_task_class_find ("fashion-mnist")->locate ();
  g_assert_cmpstr (found, ==, cache);
  g_assert_true (fm_task_class_find ("fashion-mnist")->verify (&error));
  remove_folder (cache);
}

int
main (int argc, char **argv)
{
  g_autofree char *cache = g_dir_make_tmp ("formarium-cache-XXXXXX", NULL);
  int result;

  /* Before GLib remembers the folder: the tests must not see or change the person's own cache. */
  g_setenv ("XDG_CACHE_HOME", cache, TRUE);
  g_unsetenv ("FORMARIUM_FASHION_MNIST_DIR");
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/data/fashion-mnist/shapes", test_shapes);
  g_test_add_func ("/data/fashion-mnist/splits", test_splits);
  g_test_add_func ("/data/fashion-mnist/views", test_views);
  g_test_add_func ("/data/fashion-mnist/known", test_known);
  g_test_add_func ("/data/fashion-mnist/shortcuts", test_shortcuts);
  g_test_add_func ("/data/fashion-mnist/absent", test_absent);
  g_test_add_func ("/data/fashion-mnist/cut-short", test_cut_short);
  g_test_add_func ("/data/fashion-mnist/wrong-checksum", test_wrong_checksum);
  g_test_add_func ("/data/fashion-mnist/add", test_add);
  result = g_test_run ();
  g_clear_pointer (&kept, fm_task_unref);
  remove_folder (cache);
  return result;
}
