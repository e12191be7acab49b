/* test-task.c: what holds for every task: the registry, sizes, determinism, splits, scores and refusals. */
#include "data/task-private.h"

#include <math.h>
#include <string.h>

/* The default instance of @id, loaded; or NULL after g_test_skip() when its data is absent. */
static FmTask *
task_or_skip (const char *id)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmTask) task = fm_task_new (id, NULL, &error);

  g_assert_no_error (error);
  if (fm_task_load (task, NULL, &error))
    return g_steal_pointer (&task);
  g_assert_error (error, FM_DATA_ERROR, FM_DATA_ERROR_ABSENT);
  g_test_skip (error->message);
  return NULL;
}

static void
assert_same_rows (const FmArray *a, gint64 row_a, const FmArray *b, gint64 row_b)
{
  gsize bytes = 4;

  for (guint i = 1; i < a->rank; i++)
    bytes *= (gsize) a->dims[i];
  g_assert_cmpmem ((char *) a->data + (gsize) row_a * bytes, bytes, (char *) b->data + (gsize) row_b * bytes, bytes);
}

static gboolean
same_batch (const FmBatch *a, const FmBatch *b)
{
  gsize bytes = 4;

  for (guint i = 0; i < a->inputs[0].rank; i++)
    bytes *= (gsize) a->inputs[0].dims[i];
  return memcmp (a->inputs[0].data, b->inputs[0].data, bytes) == 0;
}

static void
test_registry (void)
{
  const FmTaskClass * const *classes = fm_task_classes ();

  g_assert_nonnull (classes[0]);
  for (guint i = 0; classes[i]; i++)
    {
      g_assert_true (fm_task_class_find (classes[i]->id) == classes[i]);
      g_assert_true (*classes[i]->title && *classes[i]->summary && *classes[i]->source);
      if (i > 0)
        g_assert_cmpstr (classes[i - 1]->id, <, classes[i]->id);
      for (const FmParam *p = classes[i]->params; p && p->name; p++)
        {
          g_assert_true (p->help && *p->help);
          g_assert_cmpfloat (p->value, >=, p->minimum);
          g_assert_cmpfloat (p->value, <=, p->maximum);
          g_assert_cmpuint (p->offset + 8, <=, classes[i]->params_size);
        }
    }
  g_assert_null (fm_task_class_find ("nothing"));
}

static void
test_unknown (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (fm_task_new ("fashion-mnits", NULL, &error));
  g_assert_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, "did you mean “fashion-mnist”"));
  g_clear_error (&error);
  g_assert_null (fm_task_new ("zzzzzz", NULL, &error));
  g_assert_nonnull (strstr (error->message, "there are: fashion-mnist, listops, mqar"));
}

/* Sizes, ranges and the promises of task.h, for the class named by @user_data. */
static void
test_promises (gconstpointer user_data)
{
  const char *id = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (FmTask) task = task_or_skip (id), twin = NULL;
  const FmTaskInfo *info;
  guint reported = 0, decided = 0, trained = 0;

  if (task == NULL)
    return;
  twin = fm_task_new (id, NULL, NULL);
  info = fm_task_get_info (task);
  g_assert_cmpuint (info->n_inputs, >=, 1);
  g_assert_cmpuint (info->n_targets, >=, 1);
  g_assert_cmpfloat (info->chance_level, >, 0);
  g_assert_cmpfloat (info->chance_level, <, 1);

  for (guint s = 0; s < info->n_splits; s++)
    {
      const FmTaskSplit *split = &info->splits[s];
      g_auto (FmBatch) a = { 0 }, b = { 0 }, other = { 0 }, wide = { 0 };

      trained += split->use == FM_SPLIT_TRAIN;
      decided += split->use == FM_SPLIT_DECIDE;
      reported += split->use == FM_SPLIT_REPORT;
      g_assert_true (fm_task_batch (task, split->name, 5, 3, 8, &a, &error));
      g_assert_true (fm_task_batch (twin, split->name, 5, 3, 8, &b, &error));
      g_assert_true (fm_task_batch (task, split->name, 6, 3, 8, &other, &error));
      g_assert_true (fm_task_batch (task, split->name, 5, 1, 16, &wide, &error));
      g_assert_cmpuint (a.n_inputs, ==, info->n_inputs);
      g_assert_cmpuint (a.n_targets, ==, info->n_targets);
      g_assert_cmpint (a.size, ==, 8);
      g_assert_cmpint (a.valid, ==, 8);
      g_assert_cmpuint (a.first, ==, 24);
      g_assert_true ((a.lengths != NULL) == info->ragged);

      /* The same to the bit in another instance; another seed changes the training rows and no others. */
      g_assert_true (same_batch (&a, &b));
      g_assert_true (same_batch (&a, &other) == (split->use != FM_SPLIT_TRAIN));
      /* A batch of 16 holds the rows of two batches of 8. */
      for (gint64 r = 0; r < 8; r++)
        {
          assert_same_rows (&a.inputs[0], r, &wide.inputs[0], r + 8);
          assert_same_rows (&a.targets[0], r, &wide.targets[0], r + 8);
        }

      for (guint i = 0; i < info->n_inputs; i++)
        {
          const FmTaskInput *in = &info->inputs[i];
          const FmArray *x = &a.inputs[i];

          g_assert_cmpstr (x->name, ==, in->name);
          g_assert_cmpint (x->dims[0], ==, 8);
          g_assert_cmpint (x->dims[1], ==, in->length);
          if (in->grid_rows)
            g_assert_cmpint (in->grid_rows * in->grid_columns, ==, in->length);
          for (gint64 k = 0; in->kind == FM_INPUT_TOKENS && k < 8 * in->length; k++)
            g_assert_true (((gint32 *) x->data)[k] >= 0 && ((gint32 *) x->data)[k] < in->vocabulary);
          for (gint64 k = 0; in->kind == FM_INPUT_VECTORS && k < 8 * in->length * in->channels; k++)
            g_assert_true (fabsf (((gfloat *) x->data)[k]) <= 1.0f);
        }
      for (guint i = 0; i < info->n_targets; i++)
        {
          const FmTaskTarget *target = &info->targets[i];
          gint64 n = target->kind == FM_TARGET_SEQUENCE ? 8 * info->inputs[0].length : 8;
          gint32 least = target->kind == FM_TARGET_SEQUENCE ? -1 : 0;

          for (gint64 k = 0; k < n; k++)
            g_assert_true (((gint32 *) a.targets[i].data)[k] >= least &&
                           ((gint32 *) a.targets[i].data)[k] < target->classes);
        }
    }
  g_assert_cmpuint (trained, ==, 1);
  g_assert_cmpuint (decided, ==, 1);
  g_assert_cmpuint (reported, ==, 1);
}

/* The last evaluation batch repeats its last row and says how many count; one further is empty. */
static void
test_last_batch (gconstpointer user_data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmTask) task = task_or_skip (user_data);
  const FmTaskInfo *info;

  if (task == NULL)
    return;
  info = fm_task_get_info (task);
  for (guint s = 0; s < info->n_splits; s++)
    {
      const FmTaskSplit *split = &info->splits[s];
      g_auto (FmBatch) last = { 0 }, beyond = { 0 };
      guint64 index = split->count / 7; /* no split's size is a multiple of seven */

      if (split->use == FM_SPLIT_TRAIN)
        continue;
      g_assert_cmpuint (split->count % 7, !=, 0);
      g_assert_true (fm_task_batch (task, split->name, 0, index, 7, &last, &error));
      g_assert_cmpint (last.valid, ==, (gint64) (split->count % 7));
      for (gint64 r = last.valid; r < 7; r++)
        assert_same_rows (&last.inputs[0], r, &last.inputs[0], last.valid - 1);
      g_assert_true (fm_task_batch (task, split->name, 0, index + 1, 7, &beyond, &error));
      g_assert_cmpint (beyond.valid, ==, 0);
    }
}

static void
test_refusals (gconstpointer user_data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmTask) task = task_or_skip (user_data);
  g_auto (FmBatch) batch = { 0 };
  g_auto (FmTaskExample) example = { 0 };

  if (task == NULL)
    return;
  g_assert_false (fm_task_batch (task, "tset", 0, 0, 4, &batch, &error));
  g_assert_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, "there are: train, validation, test"));
  g_clear_error (&error);
  g_assert_false (fm_task_batch (task, "test", 0, 0, 0, &batch, &error));
  g_assert_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID);
  g_clear_error (&error);
  g_assert_false (fm_task_batch (task, "train", 0, G_MAXUINT64 / 2, 4, &batch, &error));
  g_assert_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID);
  g_clear_error (&error);
  g_assert_false (fm_task_batch (task, "test", 0, 0, G_MAXINT64 / 2, &batch, &error));
  g_assert_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, "does not fit in memory"));
  g_assert_null (batch.inputs);
  g_clear_error (&error);
  g_assert_false (fm_task_example (task, "test", 1000000, &example, &error));
  g_assert_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID);
}

/* One task, eight threads, the same batches as one thread alone makes. */
static gpointer
read_some (gpointer data)
{
  FmTask *task = data;
  guint32 sum = 0;

  for (guint i = 0; i < 40; i++)
    {
      g_auto (FmBatch) batch = { 0 };
      const guint8 *bytes;

      g_assert_true (fm_task_batch (task, i % 2 ? "train" : "test", 9, i, 5, &batch, NULL));
      bytes = batch.inputs[0].data;
      for (gint64 k = 0; k < batch.inputs[0].dims[1] * 20; k++)
        sum = sum * 31 + bytes[k];
    }
  return GUINT_TO_POINTER (sum);
}

static void
test_threads (gconstpointer user_data)
{
  g_autoptr (FmTask) task = task_or_skip (user_data);
  GThread *threads[8];
  gpointer alone;

  if (task == NULL)
    return;
  alone = read_some (task);
  for (guint i = 0; i < 8; i++)
    threads[i] = g_thread_new ("reader", read_some, task);
  for (guint i = 0; i < 8; i++)
    g_assert_true (g_thread_join (threads[i]) == alone);
}

static void
test_permute (void)
{
  static const guint64 sizes[] = { 1, 2, 3, 4, 5, 16, 17, 1000, 54000 };

  for (guint k = 0; k < G_N_ELEMENTS (sizes); k++)
    {
      g_autofree guint8 *seen = g_new0 (guint8, sizes[k]);

      for (guint64 i = 0; i < sizes[k]; i++)
        {
          guint64 j = fm_task_permute (k + 1, sizes[k], i);

          g_assert_cmpuint (j, <, sizes[k]);
          g_assert_false (seen[j]);
          seen[j] = TRUE;
        }
    }
}

/* Where 0 goes under 10,000 keys: chi-square of 10 places, 9 degrees of freedom, 99.9999% point 44.8. */
static void
test_permute_even (void)
{
  guint counts[10] = { 0 };
  gdouble chi = 0;

  for (guint64 key = 0; key < 10000; key++)
    counts[fm_task_permute (key, 10, 0)]++;
  for (guint i = 0; i < 10; i++)
    chi += (counts[i] - 1e3) * (counts[i] - 1e3) / 1e3;
  g_assert_cmpfloat (chi, <, 44.8);
}

/* Ten examples in batches of four: an epoch ends inside the third batch, and every epoch deals all ten once. */
static void
test_epochs (void)
{
  const FmTaskSplit split = { "train", FM_SPLIT_TRAIN, 10 };
  guint64 rows[4], all[40];
  gboolean differ = FALSE;

  for (guint64 i = 0; i < 10; i++)
    {
      g_assert_cmpint (fm_task_deal (&split, 3, i, 4, rows), ==, 4);
      memcpy (all + 4 * i, rows, sizeof rows);
    }
  for (guint epoch = 0; epoch < 4; epoch++)
    {
      guint seen = 0;

      for (guint i = 0; i < 10; i++)
        seen |= 1u << all[10 * epoch + i];
      g_assert_cmphex (seen, ==, 0x3ff);
      differ |= epoch > 0 && memcmp (all, all + 10 * epoch, 10 * sizeof *all) != 0;
    }
  g_assert_true (differ);
}

static void
test_outcomes (void)
{
  g_autoptr (FmTask) task = fm_task_new ("listops", NULL, NULL);
  gint32 answers[3] = { 2, 0, 1 };
  gfloat logits[30] = { 0 };
  FmArray target = { "value", FM_ARRAY_I32, 1, { 3 }, answers };
  FmBatch batch = { .n_targets = 1, .targets = &target, .size = 3, .valid = 3 };
  FmOutcome outcomes[3];
  FmAnswer given[3];

  logits[2] = 1000.0f; /* sure and right */
  logits[10 + 4] = 2.0f;
  logits[20] = NAN;
  logits[21] = NAN; /* its answer: never right */
  fm_task_outcomes (task, 0, &batch, logits, outcomes);
  g_assert_cmpfloat (outcomes[0].correct, ==, 1);
  g_assert_cmpfloat (outcomes[0].loss, ==, 0);
  g_assert_cmpfloat (outcomes[1].correct, ==, 0);
  g_assert_cmpfloat_with_epsilon (outcomes[1].loss, log (9 + exp (2.0)), 1e-6);
  g_assert_cmpfloat (outcomes[2].correct, ==, 0);
  g_assert_true (isnan (outcomes[2].loss));
  g_assert_cmpfloat (fm_outcomes_accuracy (outcomes, 2), ==, 0.5);
  g_assert_cmpfloat_with_epsilon (fm_outcomes_loss (outcomes, 2), log (9 + exp (2.0)) / 2, 1e-6);
  g_assert_true (isnan (fm_outcomes_accuracy (outcomes, 0)));
  fm_task_answers (task, 0, &batch, logits, given);
  g_assert_cmpfloat (given[0].answer, ==, 2);
  g_assert_cmpfloat (given[0].right, ==, 2);
  g_assert_cmpfloat (given[1].answer, ==, 4);
  g_assert_cmpfloat (given[1].right, ==, 0);
  g_assert_cmpfloat (given[1].score, ==, 0); /* ten classes */
  g_assert_cmpfloat (given[2].answer, ==, -1);
}

/* Places that want no answer (-1) count neither way, and rows at and after `valid` are not touched. */
static void
test_outcomes_sequence (void)
{
  struct { gint64 length, pairs, vocabulary; gdouble power_a; gint64 filler; } p = { 4, 1, 4, 0.01, 1 };
  g_autoptr (FmTask) task = fm_task_new ("mqar", &p, NULL);
  gint32 answers[8] = { -1, -1, 3, 2, -1, 1, -1, -1 };
  gfloat logits[32] = { 0 };
  FmArray target = { "value", FM_ARRAY_I32, 2, { 2, 4 }, answers };
  FmBatch batch = { .n_targets = 1, .targets = &target, .size = 2, .valid = 1 };
  FmOutcome outcomes[2] = { { 0 }, { 7, 7, 7 } };

  logits[2 * 4 + 3] = 1;
  logits[3 * 4 + 1] = 1;
  fm_task_outcomes (task, 0, &batch, logits, outcomes);
  g_assert_cmpfloat (outcomes[0].count, ==, 2);
  g_assert_cmpfloat (outcomes[0].correct, ==, 1);
  g_assert_cmpfloat (outcomes[1].count, ==, 7);
}

int
main (int argc, char **argv)
{
  static const struct { const char *name; GTestDataFunc function; } each[] = {
    { "promises", test_promises },
    { "last-batch", test_last_batch },
    { "refusals", test_refusals },
    { "threads", test_threads },
  };

  g_autoptr (FmTask) pictures = fm_task_new ("fashion-mnist", NULL, NULL);

  g_test_init (&argc, &argv, NULL);
  /* Instances share the pictures: with one kept they are read once, not in each test. Absent ones are skipped below. */
  if (!fm_task_load (pictures, NULL, NULL))
    g_test_message ("Fashion-MNIST is not installed");
  g_test_add_func ("/data/task/registry", test_registry);
  g_test_add_func ("/data/task/unknown", test_unknown);
  g_test_add_func ("/data/task/permute", test_permute);
  g_test_add_func ("/data/task/permute-even", test_permute_even);
  g_test_add_func ("/data/task/epochs", test_epochs);
  g_test_add_func ("/data/task/outcomes", test_outcomes);
  g_test_add_func ("/data/task/outcomes-sequence", test_outcomes_sequence);
  for (guint i = 0; fm_task_classes ()[i]; i++)
    for (guint k = 0; k < G_N_ELEMENTS (each); k++)
      {
        g_autofree char *path = g_strdup_printf ("/data/task/%s/%s", fm_task_classes ()[i]->id, each[k].name);

        g_test_add_data_func (path, fm_task_classes ()[i]->id, each[k].function);
      }
  return g_test_run ();
}
