/* test-mixture.c: tasks joined into one: whose batch it is, what is asked, what the splits are, what cannot be joined. */
#include "data/task-private.h"

#include <string.h>

#define SIZE 4

/* mqar of 32 tokens and listops of up to 24: other lengths, other vocabularies, other kinds of targets. */
static FmTask *
make (gint64 weight, gint64 other)
{
  g_autoptr (GPtrArray) parts = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_task_unref);
  static const char * const settings[][3] = { { "mqar", "length", "32" }, { "mqar", "pairs", "4" },
                                              { "listops", "max_length", "24" }, { "listops", "min_length", "6" } };
  gint64 weights[] = { weight, other };
  g_autoptr (GError) error = NULL;
  FmTask *task;

  for (guint i = 0; i < 4; i += 2)
    {
      const FmTaskClass *cls = fm_task_class_find (settings[i][0]);
      g_autofree gpointer params = g_malloc0 (cls->params_size);

      fm_params_set_defaults (cls->params, params);
      for (guint k = i; k < i + 2; k++)
        g_assert_true (fm_params_set (cls->params, params, settings[k][1], settings[k][2], &error));
      g_ptr_array_add (parts, fm_task_new (cls->id, params, &error));
      g_assert_no_error (error);
    }
  task = fm_task_mixture_new (parts, weights, &error);
  g_assert_no_error (error);
  return task;
}

static gint64
n_asked (const FmBatch *batch, guint target, gint64 row)
{
  const FmArray *a = &batch->targets[target];
  gint64 width = a->rank == 2 ? a->dims[1] : 1, n = 0;

  for (gint64 i = 0; i < width; i++)
    n += ((const gint32 *) a->data)[row * width + i] >= 0;
  return n;
}

/* Is row @row of @batch row @own of the part's batch, with nothing behind it and nothing else asked? */
static void
assert_row (const FmBatch *batch, gint64 row, guint part, const FmBatch *own, gint64 own_row)
{
  const gint32 *tokens = batch->inputs[0].data, *own_tokens = own->inputs[0].data;
  gint64 width = batch->inputs[0].dims[1], own_width = own->inputs[0].dims[1];

  g_assert_cmpmem (tokens + row * width, own_width * 4, own_tokens + own_row * own_width, own_width * 4);
  for (gint64 i = own_width; i < width; i++)
    g_assert_cmpint (tokens[row * width + i], ==, 0);
  g_assert_cmpint (batch->lengths[row], ==, own->lengths ? own->lengths[own_row] : own_width);
  g_assert_cmpint (n_asked (batch, part, row), ==, n_asked (own, 0, own_row));
  g_assert_cmpint (n_asked (batch, 1 - part, row), ==, 0);
}

static void
test_info (void)
{
  g_autoptr (FmTask) task = make (2, 1), plain = fm_task_new ("mqar", NULL, NULL);
  const FmTaskInfo *info = fm_task_get_info (task);
  g_autofree char *key = fm_task_data_key (task);
  gint64 weight;

  g_assert_cmpstr (fm_task_get_class (task)->id, ==, "2*mqar+listops");
  g_assert_cmpuint (fm_task_get_n_parts (task), ==, 2);
  g_assert_cmpuint (fm_task_get_n_parts (plain), ==, 0);
  g_assert_cmpstr (fm_task_get_class (fm_task_get_part (task, 0, &weight))->id, ==, "mqar");
  g_assert_cmpint (weight, ==, 2);
  g_assert_cmpuint (info->n_inputs, ==, 1);
  g_assert_cmpint (info->inputs[0].length, ==, 32);
  g_assert_true (info->ragged);
  g_assert_cmpuint (info->n_targets, ==, 2);
  g_assert_cmpstr (info->targets[0].name, ==, "mqar");
  g_assert_cmpint (info->targets[0].kind, ==, FM_TARGET_SEQUENCE);
  g_assert_cmpstr (info->targets[1].name, ==, "listops");
  g_assert_cmpint (info->targets[1].kind, ==, FM_TARGET_CLASS);
  g_assert_cmpuint (info->n_splits, ==, 3);
  g_assert_cmpuint (info->splits[2].count, ==, fm_task_get_info (fm_task_get_part (task, 0, NULL))->splits[2].count
                                                 + fm_task_get_info (fm_task_get_part (task, 1, NULL))->splits[2].count);
  g_assert_nonnull (strstr (key, "2*mqar(length=32"));
  g_assert_nonnull (strstr (key, "1*listops("));
}

/* In every turn each part has as many batches as it weighs; they are its own, one after the other; another seed deals
 * another order. */
static void
test_turns (void)
{
  g_autoptr (FmTask) task = make (3, 2);
  guint64 seen[2] = { 0 };
  guint differ = 0;

  for (guint64 index = 0; index < 50; index++)
    {
      g_auto (FmBatch) batch = { 0 }, own = { 0 }, other = { 0 };
      g_autoptr (GError) error = NULL;
      guint part;

      g_assert_true (fm_task_batch (task, "train", 7, index, SIZE, &batch, &error));
      g_assert_true (fm_task_batch (task, "train", 8, index, SIZE, &other, &error));
      part = n_asked (&batch, 0, 0) > 0 ? 0 : 1;
      differ += part != (n_asked (&other, 0, 0) > 0 ? 0 : 1);
      g_assert_true (fm_task_batch (fm_task_get_part (task, part, NULL), "train", 7, seen[part]++, SIZE, &own, &error));
      g_assert_no_error (error);
      for (gint64 row = 0; row < SIZE; row++)
        assert_row (&batch, row, part, &own, row);
      if (index % 5 == 4)
        {
          g_assert_cmpuint (seen[0], ==, 3 * (index + 1) / 5);
          g_assert_cmpuint (seen[1], ==, 2 * (index + 1) / 5);
        }
    }
  g_assert_cmpuint (differ, >, 5);
}

/* Test is one part's examples and then the other's; a target's batches are of its part alone, to the last row. */
static void
test_splits (void)
{
  g_autoptr (FmTask) task = make (1, 1);
  FmTask *first = fm_task_get_part (task, 0, NULL), *second = fm_task_get_part (task, 1, NULL);
  guint64 n = fm_task_get_info (first)->splits[2].count, border = (n - 2) / SIZE, total = 0;
  g_auto (FmBatch) over = { 0 }, a = { 0 }, b = { 0 };
  g_autoptr (GError) error = NULL;

  g_assert_cmpuint (n % SIZE, ==, 0);
  g_assert_true (fm_task_batch (task, "test", 0, border, SIZE, &over, &error));
  g_assert_true (fm_task_batch (first, "test", 0, border, SIZE, &a, &error));
  for (gint64 row = 0; row < SIZE; row++)
    assert_row (&over, row, 0, &a, row);
  fm_batch_clear (&over);
  g_assert_true (fm_task_batch (task, "test", 0, border + 1, SIZE, &over, &error));
  g_assert_true (fm_task_batch (second, "test", 0, 0, SIZE, &b, &error));
  for (gint64 row = 0; row < SIZE; row++)
    assert_row (&over, row, 1, &b, row);
  g_assert_cmpuint (over.first, ==, n);

  for (guint target = 0; target < 2; target++)
    for (guint64 index = 0;; index++)
      {
        g_auto (FmBatch) batch = { 0 };

        g_assert_true (fm_task_target_batch (task, target, "validation", index, 300, &batch, &error));
        if (batch.valid == 0)
          break;
        total += batch.valid;
        for (gint64 row = 0; row < batch.valid; row++)
          {
            g_assert_cmpint (n_asked (&batch, target, row), >, 0);
            g_assert_cmpint (n_asked (&batch, 1 - target, row), ==, 0);
          }
      }
  g_assert_cmpuint (total, ==, fm_task_get_info (task)->splits[1].count);
}

/* Pictures and tokens do not go together; a weight of 0 is no part. */
static void
test_refused (void)
{
  g_autoptr (GPtrArray) parts = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_task_unref);
  g_autoptr (GError) error = NULL;

  g_ptr_array_add (parts, fm_task_new ("mqar", NULL, NULL));
  g_ptr_array_add (parts, fm_task_new ("fashion-mnist", NULL, NULL));
  g_assert_null (fm_task_mixture_new (parts, (const gint64[]){ 1, 1 }, &error));
  g_assert_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, "mqar and fashion-mnist cannot be mixed"));
  g_clear_error (&error);
  g_assert_null (fm_task_mixture_new (parts, (const gint64[]){ 1, 0 }, &error));
  g_assert_nonnull (strstr (error->message, "the weight of fashion-mnist"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/data/mixture/info", test_info);
  g_test_add_func ("/data/mixture/turns", test_turns);
  g_test_add_func ("/data/mixture/splits", test_splits);
  g_test_add_func ("/data/mixture/refused", test_refused);
  return g_test_run ();
}
