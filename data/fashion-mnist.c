/* fashion-mnist.c: 70,000 grey pictures of clothes, 28x28, ten classes of equal size.
 * Source: Xiao, Rasul, Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms",
 * 2017, arXiv:1708.07747; MIT licence.
 * Values: a grey value g of 0..255 becomes g / 127.5 - 1, so the black page is -1 and the brightest pixel +1.
 * Splits: the 60,000 training pictures are dealt once, by a fixed permutation, into 54,000 to train on and 6,000 to
 * decide on; the 10,000 test pictures are only ever reported. */
#include "config.h"

#include "data/download.h"
#include "data/task-private.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <zlib.h>

#define SIDE 28
#define PIXELS (SIDE * SIDE)
#define PATCH 4
#define CLASSES 10
#define N_TRAIN 54000
#define N_VALIDATION 6000
#define N_TEST 10000

/* Which of the 60,000 pictures are validation: changing it changes the task, and so the data key below. */
#define SPLIT_KEY G_GUINT64_CONSTANT (0x46616d6f75733137)

typedef struct { gint64 view; } Params;

enum { VIEW_PATCHES, VIEW_PIXELS };
static const char * const views[] = { "patches", "pixels", NULL };
static const FmParam params[] = {
  FM_PARAM_CHOICE (Params, view, views, "49 patches of 4x4 pixels, or 784 single pixels row by row"),
  FM_PARAM_END
};

static const char * const class_names[] = { "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                            "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot" };

/* --- Files --------------------------------------------------------------------------------------------------------*/

#define HOME_1 "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"
#define HOME_2 "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
#define FILES(name) { HOME_1 name, HOME_2 name, NULL }

static const char * const mirrors[4][3] = {
  FILES ("train-images-idx3-ubyte.gz"),
  FILES ("train-labels-idx1-ubyte.gz"),
  FILES ("t10k-images-idx3-ubyte.gz"),
  FILES ("t10k-labels-idx1-ubyte.gz"),
};

enum { TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS, N_FILES };

static const FmDownload home_files[N_FILES] = {
  { "train-images-idx3-ubyte.gz", "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", 26421880,
    mirrors[0] },
  { "train-labels-idx1-ubyte.gz", "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", 29515,
    mirrors[1] },
  { "t10k-images-idx3-ubyte.gz", "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", 4422102,
    mirrors[2] },
  { "t10k-labels-idx1-ubyte.gz", "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", 5148,
    mirrors[3] },
};

/* Debian packs the same pictures again in dataset-fashion-mnist, without the name in the gzip header. */
static const char * const debian_sha256[N_FILES] = {
  "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
  "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
  "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
  "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
};

#define DEBIAN_FOLDER "/usr/share/datasets/fashion-mnist"
#define HOW_TO_ADD "“formarium data fetch fashion-mnist” downloads it, “formarium data add fashion-mnist DIR” takes " \
                   "it from a folder, and Debian has it as the package dataset-fashion-mnist"

static gboolean
has_all_files (const char *folder)
{
  for (guint i = 0; i < N_FILES; i++)
    {
      g_autofree char *path = g_build_filename (folder, home_files[i].name, NULL);

      if (!g_file_test (path, G_FILE_TEST_EXISTS))
        return FALSE;
    }
  return TRUE;
}

/* The folder to read: the one the environment names, else the cache, else Debian's; (transfer full). */
static char *
find_folder (GError **error)
{
  const char *named = g_getenv ("FORMARIUM_FASHION_MNIST_DIR");
  g_autofree char *cache = fm_data_cache_folder ("fashion-mnist");

  if (named && *named)
    {
      if (has_all_files (named))
        return g_strdup (named);
      g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_ABSENT,
                   "FORMARIUM_FASHION_MNIST_DIR names %s, which does not hold the four .gz files of the data set; %s",
                   named, HOW_TO_ADD);
      return NULL;
    }
  if (has_all_files (cache))
    return g_steal_pointer (&cache);
  if (has_all_files (DEBIAN_FOLDER))
    return g_strdup (DEBIAN_FOLDER);
  g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_ABSENT, "the pictures are neither in %s nor in %s; %s", cache,
               DEBIAN_FOLDER, HOW_TO_ADD);
  return NULL;
}

/* Reads one compressed file and checks it against both known checksums. Hashing all four takes 0.1 s, so it is done
 * at every load rather than remembered: a remembered check would not see a disk gone bad. */
static GBytes *
read_verified (const char *folder, guint which, GError **error)
{
  g_autofree char *path = g_build_filename (folder, home_files[which].name, NULL);
  g_autofree char *sum = NULL;
  g_autoptr (GError) reason = NULL;
  char *contents = NULL;
  gsize length = 0;

  if (!g_file_get_contents (path, &contents, &length, &reason))
    {
      g_set_error (error, FM_DATA_ERROR,
                   g_error_matches (reason, G_FILE_ERROR, G_FILE_ERROR_NOENT) ? FM_DATA_ERROR_ABSENT
                                                                              : FM_DATA_ERROR_CORRUPT,
                   "%s; %s", reason->message, HOW_TO_ADD);
      return NULL;
    }
  sum = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) contents, length);
  if (g_str_equal (sum, home_files[which].sha256) || g_str_equal (sum, debian_sha256[which]))
    return g_bytes_new_take (contents, length);

  g_free (contents);
  if (length < home_files[which].size - strlen (home_files[which].name))
    g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_CORRUPT,
                 "%s is cut short: %" G_GSIZE_FORMAT " of %" G_GUINT64_FORMAT " bytes; remove it, then %s", path,
                 length, home_files[which].size, HOW_TO_ADD);
  else
    g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_CORRUPT,
                 "%s has the wrong checksum: SHA-256 %s instead of %s; remove it, then %s", path, sum,
                 home_files[which].sha256, HOW_TO_ADD);
  return NULL;
}

/* Unpacks an IDX file (16 or 8 bytes of header, then bytes) into @out of exactly @size bytes. */
static gboolean
unpack (GBytes *packed, gsize header, guint8 *out, gsize size, const char *name, GError **error)
{
  guint8 head[16];
  z_stream z = { 0 };
  gsize length;
  const guint8 *data = g_bytes_get_data (packed, &length);
  int code;

  if (inflateInit2 (&z, 15 + 16) != Z_OK)
    {
      g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID, "%s: not enough memory to unpack it", name);
      return FALSE;
    }
  z.next_in = (Bytef *) data;
  z.avail_in = (uInt) length;
  z.next_out = head;
  z.avail_out = (uInt) header;
  code = inflate (&z, Z_NO_FLUSH);
  if (code == Z_OK && z.avail_out == 0)
    {
      z.next_out = out;
      z.avail_out = (uInt) size;
      code = inflate (&z, Z_FINISH);
    }
  inflateEnd (&z);
  if (code == Z_STREAM_END && z.avail_out == 0)
    return TRUE;
  g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_CORRUPT, "%s: does not unpack to %" G_GSIZE_FORMAT " bytes", name,
               size);
  return FALSE;
}

/* --- The pictures, once per process -------------------------------------------------------------------------------*/

typedef struct
{
  guint8 *images; /* [70000,28,28]: the 60,000 of the training files, then the test pictures */
  guint8 *labels; /* [70000] */
} Pictures;

static GMutex pictures_lock;
static Pictures pictures;
static guint pictures_users;

static gboolean
read_pictures (GError **error)
{
  const gsize n = N_TRAIN + N_VALIDATION;
  g_autofree char *folder = find_folder (error);
  g_autofree guint8 *images = NULL, *labels = NULL;
  guint8 *parts[N_FILES];
  gsize sizes[N_FILES] = { n * PIXELS, n, N_TEST * PIXELS, N_TEST };

  if (folder == NULL)
    return FALSE;
  images = g_try_malloc ((n + N_TEST) * PIXELS);
  labels = g_try_malloc (n + N_TEST);
  if (images == NULL || labels == NULL)
    {
      g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID, "not enough memory for the pictures (55 MB)");
      return FALSE;
    }
  parts[TRAIN_IMAGES] = images;
  parts[TRAIN_LABELS] = labels;
  parts[TEST_IMAGES] = images + sizes[TRAIN_IMAGES];
  parts[TEST_LABELS] = labels + n;
  for (guint i = 0; i < N_FILES; i++)
    {
      g_autoptr (GBytes) packed = read_verified (folder, i, error);
      gboolean is_images = i == TRAIN_IMAGES || i == TEST_IMAGES;

      if (!packed || !unpack (packed, is_images ? 16 : 8, parts[i], sizes[i], home_files[i].name, error))
        return FALSE;
    }
  pictures.images = g_steal_pointer (&images);
  pictures.labels = g_steal_pointer (&labels);
  return TRUE;
}

static gboolean
load (FmTask *task, GCancellable *cancellable, GError **error)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&pictures_lock);

  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return FALSE;
  if (pictures_users == 0 && !read_pictures (error))
    return FALSE;
  pictures_users++;
  fm_task_set_data (task, &pictures);
  return TRUE;
}

static void
unload (FmTask *task)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&pictures_lock);

  if (fm_task_get_data (task) == NULL || --pictures_users > 0)
    return;
  g_clear_pointer (&pictures.images, g_free);
  g_clear_pointer (&pictures.labels, g_free);
}

/* --- The task -----------------------------------------------------------------------------------------------------*/

static gboolean
describe (const void *values, FmTask *task, GError **error)
{
  const Params *p = values;
  gint64 side = p->view == VIEW_PATCHES ? SIDE / PATCH : SIDE, channels = PIXELS / (side * side);
  FmTaskInput input = { "x", FM_INPUT_VECTORS, side * side, channels, 0, side, side };
  FmTaskTarget target = { "class", FM_TARGET_CLASS, CLASSES, class_names };

  fm_task_add_input (task, &input);
  fm_task_add_target (task, &target);
  fm_task_add_split (task, "train", FM_SPLIT_TRAIN, N_TRAIN);
  fm_task_add_split (task, "validation", FM_SPLIT_DECIDE, N_VALIDATION);
  fm_task_add_split (task, "test", FM_SPLIT_REPORT, N_TEST);
  fm_task_info_edit (task)->chance_level = 1.0 / CLASSES;
  /* The pictures are pinned, so the key is known before they are read: the first file's checksum stands for all four,
   * "1" for the scaling, the patches and the dealing of train and validation. */
  fm_task_set_data_key (task, "sha256:3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84/1");
  return TRUE;
}

/* Index in the files of example @row of @split. */
static gsize
place (const FmTaskSplit *split, guint64 row)
{
  const guint64 n = N_TRAIN + N_VALIDATION;

  switch (split->use)
    {
    case FM_SPLIT_TRAIN:
      return fm_task_permute (SPLIT_KEY, n, row);
    case FM_SPLIT_DECIDE:
      return fm_task_permute (SPLIT_KEY, n, N_TRAIN + row);
    case FM_SPLIT_REPORT:
    default:
      return n + row;
    }
}

/* @out: [49,16] patches row by row, each row by row; or [784,1]. */
static void
fill_image (const guint8 *image, gboolean patches, gfloat *out)
{
  for (guint y = 0; y < SIDE; y++)
    for (guint x = 0; x < SIDE; x++)
      {
        gfloat value = image[y * SIDE + x] / 127.5f - 1.0f;
        guint token = patches ? y / PATCH * (SIDE / PATCH) + x / PATCH : y * SIDE + x;

        if (patches)
          out[token * PATCH * PATCH + y % PATCH * PATCH + x % PATCH] = value;
        else
          out[token] = value;
      }
}

static gboolean
batch (FmTask *task, const char *name, guint64 seed, guint64 index, gint64 size, FmBatch *out, GError **error)
{
  const Params *p = fm_task_get_params (task);
  const Pictures *data = fm_task_get_data (task);
  const FmTaskSplit *split = fm_task_find_split (task, name, error);
  g_autofree guint64 *rows = NULL;

  if (split == NULL || !fm_batch_alloc (task, size, out, error))
    return FALSE;
  rows = g_new (guint64, size);
  out->valid = fm_task_deal (split, seed, index, size, rows);
  out->first = index * (guint64) size;
  for (gint64 r = 0; r < size; r++)
    {
      gsize i = place (split, rows[r]);

      fill_image (data->images + i * PIXELS, p->view == VIEW_PATCHES, (gfloat *) out->inputs[0].data + r * PIXELS);
      ((gint32 *) out->targets[0].data)[r] = data->labels[i];
    }
  return TRUE;
}

static gboolean
example (FmTask *task, const char *name, guint64 index, FmTaskExample *out, GError **error)
{
  const Pictures *data = fm_task_get_data (task);
  const FmTaskSplit *split = fm_task_find_split (task, name, error);
  gsize i;

  if (split == NULL)
    return FALSE;
  i = place (split, index);
  out->width = out->height = SIDE;
  out->grey = g_memdup2 (data->images + i * PIXELS, PIXELS);
  out->label = g_strdup (class_names[data->labels[i]]);
  return TRUE;
}

/* --- Shortcuts ----------------------------------------------------------------------------------------------------*/

#define LEVELS 256

/* Square roots of the counts of the 256 grey values, divided by 28 so that the vector has length 1. */
static void
bag (const guint8 *image, gfloat out[LEVELS])
{
  guint counts[LEVELS] = { 0 };

  for (guint i = 0; i < PIXELS; i++)
    counts[image[i]]++;
  for (guint i = 0; i < LEVELS; i++)
    out[i] = sqrtf ((gfloat) counts[i]) / SIDE;
}

static void
bag_scores (gfloat weights[CLASSES][LEVELS + 1], const gfloat x[LEVELS], gfloat scores[CLASSES])
{
  for (guint c = 0; c < CLASSES; c++)
    {
      /* Eight partial sums let the compiler use vectors without reordering a single one. */
      gfloat sums[8] = { 0 };

      for (guint i = 0; i < LEVELS; i += 8)
        for (guint k = 0; k < 8; k++)
          sums[k] += weights[c][i + k] * x[i + k];
      scores[c] = weights[c][LEVELS];
      for (guint k = 0; k < 8; k++)
        scores[c] += sums[k];
    }
}

/* Softmax regression on the bag of grey values: one picture a step, four passes, the step falling as 1/sqrt. The order
 * is that of `train`, so the number is the same every time. Returns the accuracy on the test pictures. */
static gdouble
bag_accuracy (const Pictures *data)
{
  static const FmTaskSplit train = { "train", FM_SPLIT_TRAIN, N_TRAIN }, test = { "test", FM_SPLIT_REPORT, N_TEST };
  gfloat weights[CLASSES][LEVELS + 1] = { 0 };
  gfloat x[LEVELS], scores[CLASSES];
  guint right = 0;

  for (guint step = 0; step < 4 * N_TRAIN; step++)
    {
      gsize i = place (&train, step % N_TRAIN);
      gfloat top, sum = 0, rate = 4.0f / sqrtf (1 + step / 500.0f);

      bag (data->images + i * PIXELS, x);
      bag_scores (weights, x, scores);
      top = scores[0];
      for (guint c = 1; c < CLASSES; c++)
        top = MAX (top, scores[c]);
      for (guint c = 0; c < CLASSES; c++)
        sum += scores[c] = expf (scores[c] - top);
      for (guint c = 0; c < CLASSES; c++)
        {
          gfloat g = rate * ((c == data->labels[i]) - scores[c] / sum);

          for (guint k = 0; k < LEVELS; k++)
            weights[c][k] += g * x[k];
          weights[c][LEVELS] += 0.1f * g;
        }
    }
  for (guint row = 0; row < N_TEST; row++)
    {
      gsize i = place (&test, row);
      guint best = 0;

      bag (data->images + i * PIXELS, x);
      bag_scores (weights, x, scores);
      for (guint c = 1; c < CLASSES; c++)
        if (scores[c] > scores[best])
          best = c;
      right += best == data->labels[i];
    }
  return (gdouble) right / N_TEST;
}

/* The class that is commonest in `train`, scored on the test pictures. */
static gdouble
top_accuracy (const Pictures *data)
{
  static const FmTaskSplit train = { "train", FM_SPLIT_TRAIN, N_TRAIN };
  guint counts[CLASSES] = { 0 }, best = 0, right = 0;

  for (guint row = 0; row < N_TRAIN; row++)
    counts[data->labels[place (&train, row)]]++;
  for (guint c = 1; c < CLASSES; c++)
    if (counts[c] > counts[best])
      best = c;
  for (guint i = N_TRAIN + N_VALIDATION; i < N_TRAIN + N_VALIDATION + N_TEST; i++)
    right += data->labels[i] == best;
  return (gdouble) right / N_TEST;
}

static gboolean
shortcuts (FmTask *task, GArray *out, GError **error)
{
  const Pictures *data = fm_task_get_data (task);

  fm_shortcuts_add (out, "bag of grey values",
                    "A softmax regression that sees how often each grey value occurs and not where",
                    bag_accuracy (data));
  fm_shortcuts_add (out, "most frequent answer", "The commonest class of the training pictures, always",
                    top_accuracy (data));
  return TRUE;
}

/* --- Files for a person -------------------------------------------------------------------------------------------*/

static gboolean
verify (GError **error)
{
  g_autofree char *folder = find_folder (error);

  for (guint i = 0; folder && i < N_FILES; i++)
    {
      g_autoptr (GBytes) packed = read_verified (folder, i, error);

      if (packed == NULL)
        return FALSE;
    }
  return folder != NULL;
}

static char *
locate (void)
{
  return find_folder (NULL);
}

static gboolean
fetch (GCancellable *cancellable, GFileProgressCallback progress, gpointer user_data, GError **error)
{
  g_autofree char *folder = fm_data_cache_folder ("fashion-mnist");

  return fm_download (home_files, N_FILES, folder, cancellable, progress, user_data, error);
}

static gboolean
add (const char *from, GError **error)
{
  g_autofree char *folder = fm_data_cache_folder ("fashion-mnist");
  g_autoptr (GPtrArray) files = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);

  /* All four are checked before the first is written. */
  for (guint i = 0; i < N_FILES; i++)
    {
      GBytes *packed = read_verified (from, i, error);

      if (packed == NULL)
        return FALSE;
      g_ptr_array_add (files, packed);
    }
  if (g_mkdir_with_parents (folder, 0755) != 0)
    {
      int saved = errno;

      g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (saved), "%s: %s", folder, g_strerror (saved));
      return FALSE;
    }
  for (guint i = 0; i < N_FILES; i++)
    {
      g_autofree char *path = g_build_filename (folder, home_files[i].name, NULL);
      gsize length;
      const char *contents = g_bytes_get_data (g_ptr_array_index (files, i), &length);

      if (!g_file_set_contents_full (path, contents, (gssize) length,
                                     G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0644, error))
        return FALSE;
    }
  return TRUE;
}

const FmTaskClass fm_fashion_mnist_class = {
  .id = "fashion-mnist",
  .title = "Fashion-MNIST",
  .summary = "Which of ten kinds of clothing does a 28x28 grey picture show? Seen as 49 patches or as 784 pixels.",
  .source = "Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747; MIT licence",
  .params = params,
  .params_size = sizeof (Params),
  .describe = describe,
  .load = load,
  .unload = unload,
  .batch = batch,
  .shortcuts = shortcuts,
  .example = example,
  .verify = verify,
  .fetch = fetch,
  .add = add,
  .locate = locate,
};
