/* task.c: the list of tasks, their instances, the dealing of rows into batches, and scores. */
#include "config.h"

#include "data/task-private.h"

#include <math.h>
#include <string.h>

G_DEFINE_QUARK (fm-data-error-quark, fm_data_error)

struct _FmTask
{
  gatomicrefcount    ref_count;
  const FmTaskClass *cls;
  gpointer           params;   /* owned */
  FmTaskInfo         info;     /* its tables are the three arrays below */
  GArray            *inputs;   /* FmTaskInput */
  GArray            *targets;  /* FmTaskTarget */
  GArray            *splits;   /* FmTaskSplit */
  char              *data_key; /* owned */
  gpointer           data;     /* freed by cls->unload */

  GMutex             lock;     /* guards the rest */
  gboolean           loaded;
  GArray            *shortcuts; /* (nullable) FmTaskShortcut */
};

static const FmTaskClass * const classes[] = { /* sorted by id */
  &fm_fashion_mnist_class,
  &fm_listops_class,
  &fm_mqar_class,
  NULL
};

const FmTaskClass * const *
fm_task_classes (void)
{
  return classes;
}

const FmTaskClass *
fm_task_class_find (const char *id)
{
  g_return_val_if_fail (id != NULL, NULL);

  for (guint i = 0; classes[i]; i++)
    if (g_str_equal (classes[i]->id, id))
      return classes[i];
  return NULL;
}

/* --- Batches and examples -----------------------------------------------------------------------------------------*/

void
fm_batch_clear (FmBatch *batch)
{
  for (guint i = 0; i < batch->n_inputs; i++)
    g_free (batch->inputs[i].data);
  for (guint i = 0; i < batch->n_targets; i++)
    g_free (batch->targets[i].data);
  g_free (batch->inputs);
  g_free (batch->targets);
  g_free (batch->lengths);
  memset (batch, 0, sizeof *batch);
}

void
fm_task_example_clear (FmTaskExample *example)
{
  g_free (example->grey);
  g_strfreev (example->tokens);
  g_free (example->label);
  memset (example, 0, sizeof *example);
}

static gboolean
array_alloc (FmArray *array, const char *name, FmArrayType type, guint rank, const gint64 *dims, GError **error)
{
  gsize count, bytes;

  *array = (FmArray){ .name = name, .type = type, .rank = rank };
  memcpy (array->dims, dims, rank * sizeof *dims);
  if (fm_size_product (dims, rank, &count) && g_size_checked_mul (&bytes, count, 4) && bytes <= G_MAXSSIZE)
    array->data = g_try_malloc0 (MAX (bytes, 1));
  if (array->data != NULL)
    return TRUE;
  g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID,
               "a batch of %" G_GINT64_FORMAT " rows of “%s” does not fit in memory; choose a smaller batch or length",
               dims[0], name);
  return FALSE;
}

gboolean
fm_batch_alloc (FmTask *task, gint64 size, FmBatch *batch, GError **error)
{
  memset (batch, 0, sizeof *batch);
  batch->size = size;
  batch->inputs = g_new0 (FmArray, task->inputs->len);
  batch->targets = g_new0 (FmArray, task->targets->len);

  for (guint i = 0; i < task->info.n_inputs; i++)
    {
      const FmTaskInput *in = &task->info.inputs[i];
      gint64 dims[3] = { size, in->length, in->channels };
      gboolean tokens = in->kind == FM_INPUT_TOKENS;

      if (!array_alloc (&batch->inputs[batch->n_inputs], in->name, tokens ? FM_ARRAY_I32 : FM_ARRAY_F32,
                        tokens ? 2 : 3, dims, error))
        {
          fm_batch_clear (batch);
          return FALSE;
        }
      batch->n_inputs++;
    }
  for (guint i = 0; i < task->info.n_targets; i++)
    {
      const FmTaskTarget *target = &task->info.targets[i];
      gint64 dims[2] = { size, task->info.inputs[0].length };

      if (!array_alloc (&batch->targets[batch->n_targets], target->name, FM_ARRAY_I32,
                        target->kind == FM_TARGET_SEQUENCE ? 2 : 1, dims, error))
        {
          fm_batch_clear (batch);
          return FALSE;
        }
      batch->n_targets++;
    }
  if (task->info.ragged)
    batch->lengths = g_new0 (gint32, size); /* no larger than a target, which fitted */
  return TRUE;
}

/* --- Instances ----------------------------------------------------------------------------------------------------*/

FmTaskInfo *
fm_task_info_edit (FmTask *task)
{
  return &task->info;
}

static void
refresh_tables (FmTask *task)
{
  task->info.n_inputs = task->inputs->len;
  task->info.inputs = (const FmTaskInput *) task->inputs->data;
  task->info.n_targets = task->targets->len;
  task->info.targets = (const FmTaskTarget *) task->targets->data;
  task->info.n_splits = task->splits->len;
  task->info.splits = (const FmTaskSplit *) task->splits->data;
}

void
fm_task_add_input (FmTask *task, const FmTaskInput *input)
{
  g_array_append_vals (task->inputs, input, 1);
  refresh_tables (task);
}

void
fm_task_add_target (FmTask *task, const FmTaskTarget *target)
{
  g_array_append_vals (task->targets, target, 1);
  refresh_tables (task);
}

void
fm_task_add_split (FmTask *task, const char *name, FmSplitUse use, guint64 count)
{
  FmTaskSplit split = { .name = name, .use = use, .count = count };

  g_array_append_val (task->splits, split);
  refresh_tables (task);
}

void
fm_task_set_data_key (FmTask *task, const char *key)
{
  g_free (task->data_key);
  task->data_key = g_strdup (key);
}

void
fm_task_set_data (FmTask *task, gpointer data)
{
  task->data = data;
}

gpointer
fm_task_get_data (FmTask *task)
{
  return task->data;
}

/* A struct filled by hand has not passed fm_params_set(), so its ranges are checked here again. */
static gboolean
check_ranges (const FmTaskClass *cls, gconstpointer params, GError **error)
{
  for (const FmParam *p = cls->params; p && p->name; p++)
    {
      gdouble value = p->type == FM_PARAM_TYPE_DOUBLE ? G_STRUCT_MEMBER (gdouble, params, p->offset)
                                                      : (gdouble) G_STRUCT_MEMBER (gint64, params, p->offset);

      if (!(value >= p->minimum && value <= p->maximum))
        {
          g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID,
                       "task %s: %s=%.15g: must lie between %.15g and %.15g", cls->id, p->name, value, p->minimum,
                       p->maximum);
          return FALSE;
        }
    }
  return TRUE;
}

FmTask *
fm_task_new_of_class (const FmTaskClass *cls, gconstpointer params, GError **error)
{
  g_autoptr (FmTask) task = g_new0 (FmTask, 1);

  g_atomic_ref_count_init (&task->ref_count);
  g_mutex_init (&task->lock);
  task->cls = cls;
  task->params = g_malloc0 (MAX (cls->params_size, 1));
  task->inputs = g_array_new (FALSE, FALSE, sizeof (FmTaskInput));
  task->targets = g_array_new (FALSE, FALSE, sizeof (FmTaskTarget));
  task->splits = g_array_new (FALSE, FALSE, sizeof (FmTaskSplit));
  task->data_key = g_strdup ("generator:1");
  if (params)
    memcpy (task->params, params, cls->params_size);
  else
    fm_params_set_defaults (cls->params, task->params);

  if (!check_ranges (cls, task->params, error))
    return NULL;
  if (!cls->describe (task->params, task, error))
    {
      g_prefix_error (error, "task %s: ", cls->id);
      return NULL;
    }
  return g_steal_pointer (&task);
}

FmTask *
fm_task_new (const char *id, gconstpointer params, GError **error)
{
  const FmTaskClass *cls;

  g_return_val_if_fail (id != NULL, NULL);

  cls = fm_task_class_find (id);
  if (cls == NULL)
    {
      g_autoptr (GPtrArray) names = g_ptr_array_new ();
      g_autofree char *list = NULL;
      const char *near;

      for (guint i = 0; classes[i]; i++)
        g_ptr_array_add (names, (gpointer) classes[i]->id);
      g_ptr_array_add (names, NULL);
      near = fm_nearest_name (id, (const char * const *) names->pdata);
      list = g_strjoinv (", ", (char **) names->pdata);
      if (near)
        g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID, "no task “%s”; did you mean “%s”?", id, near);
      else
        g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID, "no task “%s”; there are: %s", id, list);
      return NULL;
    }

  return fm_task_new_of_class (cls, params, error);
}

FmTask *
fm_task_ref (FmTask *task)
{
  g_atomic_ref_count_inc (&task->ref_count);
  return task;
}

void
fm_task_unref (FmTask *task)
{
  if (!g_atomic_ref_count_dec (&task->ref_count))
    return;
  if (task->cls->unload)
    task->cls->unload (task);
  g_clear_pointer (&task->shortcuts, g_array_unref);
  g_array_unref (task->inputs);
  g_array_unref (task->targets);
  g_array_unref (task->splits);
  g_mutex_clear (&task->lock);
  g_free (task->data_key);
  g_free (task->params);
  g_free (task);
}

const FmTaskClass *
fm_task_get_class (FmTask *task)
{
  return task->cls;
}

const FmTaskInfo *
fm_task_get_info (FmTask *task)
{
  return &task->info;
}

gconstpointer
fm_task_get_params (FmTask *task)
{
  return task->params;
}

char *
fm_task_data_key (FmTask *task)
{
  return g_strdup (task->data_key);
}

gboolean
fm_task_load (FmTask *task, GCancellable *cancellable, GError **error)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&task->lock);

  if (!task->loaded && task->cls->load && !task->cls->load (task, cancellable, error))
    {
      g_prefix_error (error, "task %s: ", task->cls->id);
      return FALSE;
    }
  task->loaded = TRUE;
  return TRUE;
}

const FmTaskSplit *
fm_task_find_split (FmTask *task, const char *name, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  g_autofree char *list = NULL;

  for (guint i = 0; i < task->info.n_splits; i++)
    if (g_str_equal (task->info.splits[i].name, name))
      return &task->info.splits[i];

  for (guint i = 0; i < task->info.n_splits; i++)
    g_ptr_array_add (names, (gpointer) task->info.splits[i].name);
  g_ptr_array_add (names, NULL);
  list = g_strjoinv (", ", (char **) names->pdata);
  g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID, "task %s has no split “%s”; there are: %s", task->cls->id,
               name, list);
  return NULL;
}

gboolean
fm_task_batch (FmTask *task, const char *split, guint64 seed, guint64 index, gint64 size, FmBatch *batch,
               GError **error)
{
  guint64 end;

  g_return_val_if_fail (task != NULL && split != NULL && batch != NULL, FALSE);

  memset (batch, 0, sizeof *batch);
  if (size <= 0 || index == G_MAXUINT64 || !g_uint64_checked_mul (&end, index + 1, (guint64) size))
    {
      g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID,
                   "task %s: batch %" G_GUINT64_FORMAT " of %" G_GINT64_FORMAT " rows: the size must be at least 1 and "
                   "the last row's number below 2^64", task->cls->id, index, size);
      return FALSE;
    }
  if (fm_task_find_split (task, split, error) == NULL || !fm_task_load (task, NULL, error))
    return FALSE;
  if (!task->cls->batch (task, split, seed, index, size, batch, error))
    {
      fm_batch_clear (batch);
      g_prefix_error (error, "task %s: ", task->cls->id);
      return FALSE;
    }
  return TRUE;
}

gboolean
fm_task_target_batch (FmTask *task, guint target, const char *split, guint64 index, gint64 size, FmBatch *batch,
                      GError **error)
{
  g_return_val_if_fail (target < task->info.n_targets, FALSE);

  memset (batch, 0, sizeof *batch);
  if (task->cls->target_batch == NULL)
    return fm_task_batch (task, split, 0, index, size, batch, error);
  if (fm_task_find_split (task, split, error) == NULL || !fm_task_load (task, NULL, error))
    return FALSE;
  if (task->cls->target_batch (task, target, split, index, size, batch, error))
    return TRUE;
  fm_batch_clear (batch);
  return FALSE;
}

const GArray *
fm_task_shortcuts (FmTask *task, GError **error)
{
  g_autoptr (GArray) shortcuts = NULL;
  GMutexLocker *locker;

  if (!fm_task_load (task, NULL, error))
    return NULL;
  locker = g_mutex_locker_new (&task->lock);
  shortcuts = task->shortcuts ? g_array_ref (task->shortcuts) : NULL;
  g_mutex_locker_free (locker);
  if (shortcuts)
    return shortcuts; /* the task keeps it */

  /* Not under the lock: classes ask for batches meanwhile. Two callers at once compute the same numbers. */
  shortcuts = g_array_new (FALSE, FALSE, sizeof (FmTaskShortcut));
  if (!task->cls->shortcuts (task, shortcuts, error))
    {
      g_prefix_error (error, "task %s: ", task->cls->id);
      return NULL;
    }
  locker = g_mutex_locker_new (&task->lock);
  if (task->shortcuts == NULL)
    task->shortcuts = g_steal_pointer (&shortcuts);
  g_mutex_locker_free (locker);
  return task->shortcuts;
}

gboolean
fm_task_example (FmTask *task, const char *split, guint64 index, FmTaskExample *example, GError **error)
{
  const FmTaskSplit *s;

  memset (example, 0, sizeof *example);
  s = fm_task_find_split (task, split, error);
  if (s == NULL || !fm_task_load (task, NULL, error))
    return FALSE;
  if (index >= s->count)
    {
      g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID,
                   "task %s: no example %" G_GUINT64_FORMAT " in “%s”, which has %" G_GUINT64_FORMAT, task->cls->id,
                   index, split, s->count);
      return FALSE;
    }
  if (!task->cls->example (task, split, index, example, error))
    {
      fm_task_example_clear (example);
      g_prefix_error (error, "task %s: ", task->cls->id);
      return FALSE;
    }
  return TRUE;
}

void
fm_shortcuts_add (GArray *shortcuts, const char *name, const char *help, gdouble accuracy)
{
  FmTaskShortcut shortcut = { .name = name, .help = help, .accuracy = accuracy };

  g_array_append_val (shortcuts, shortcut);
}

/* --- Dealing ------------------------------------------------------------------------------------------------------*/

guint64
fm_task_permute (guint64 key, guint64 n, guint64 i)
{
  guint half = 1; /* bits of each half */
  guint64 mask;

  g_assert (i < n);
  while (half < 32 && ((guint64) 1 << (2 * half)) < n)
    half++;
  mask = ((guint64) 1 << half) - 1;

  do
    {
      guint64 left = i >> half, right = i & mask;

      for (guint round = 0; round < 6; round++)
        {
          guint32 f[4];
          guint64 next;

          fm_philox (key, right, round, f);
          next = left ^ (f[0] & mask);
          left = right;
          right = next;
        }
      i = left << half | right;
    }
  while (i >= n);
  return i;
}

guint64
fm_task_seed (FmTask *task, const FmTaskSplit *split, guint64 seed)
{
  g_autofree char *text = g_strdup_printf ("%s/%s/%" G_GUINT64_FORMAT, task->cls->id, split->name,
                                           split->use == FM_SPLIT_TRAIN ? seed : 0);

  return fm_hash (text);
}

gint64
fm_task_deal (const FmTaskSplit *split, guint64 seed, guint64 index, gint64 size, guint64 *rows)
{
  guint64 first = index * (guint64) size, epoch = G_MAXUINT64, key = 0;

  if (split->use != FM_SPLIT_TRAIN)
    {
      for (gint64 r = 0; r < size; r++)
        rows[r] = MIN (first + (guint64) r, split->count - 1);
      return first >= split->count ? 0 : (gint64) MIN ((guint64) size, split->count - first);
    }
  for (gint64 r = 0; r < size; r++)
    {
      guint64 place = first + (guint64) r;

      if (place / split->count != epoch)
        {
          g_autofree char *text = NULL;

          epoch = place / split->count;
          text = g_strdup_printf ("epoch/%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT, seed, epoch);
          key = fm_hash (text);
        }
      rows[r] = fm_task_permute (key, split->count, place % split->count);
    }
  return size;
}

/* --- Scores -------------------------------------------------------------------------------------------------------*/

void
fm_task_outcomes (FmTask *task, guint target, const FmBatch *batch, const gfloat *logits, FmOutcome *outcomes)
{
  gint64 classes_n, per_row;
  const gint32 *answers;

  g_return_if_fail (target < task->info.n_targets && target < batch->n_targets);

  classes_n = task->info.targets[target].classes;
  answers = batch->targets[target].data;
  per_row = batch->targets[target].rank == 2 ? batch->targets[target].dims[1] : 1;

  for (gint64 b = 0; b < batch->valid; b++)
    {
      gdouble loss = 0;
      gint64 correct = 0, count = 0;

      for (gint64 i = 0; i < per_row; i++)
        {
          gint32 answer = answers[b * per_row + i];
          const gfloat *z = logits + (b * per_row + i) * classes_n;
          gint64 best = 0;
          gdouble sum = 0;

          if (answer < 0)
            continue;
          for (gint64 c = 1; c < classes_n; c++)
            if (z[c] > z[best])
              best = c;
          for (gint64 c = 0; c < classes_n; c++)
            sum += exp ((gdouble) z[c] - z[best]);
          loss += log (sum) + z[best] - z[answer];
          /* A row of NaN compares false everywhere and would pass for class 0: such an answer is never right. */
          correct += best == answer && isfinite (sum);
          count++;
        }
      outcomes[b] = (FmOutcome){ .correct = correct, .count = count, .loss = loss };
    }
}

void
fm_task_answers (FmTask *task, guint target, const FmBatch *batch, const gfloat *logits, FmAnswer *answers)
{
  gint64 classes_n;
  const gint32 *right;

  g_return_if_fail (target < task->info.n_targets && target < batch->n_targets);
  g_return_if_fail (task->info.targets[target].kind == FM_TARGET_CLASS);

  classes_n = task->info.targets[target].classes;
  right = batch->targets[target].data;
  for (gint64 b = 0; b < batch->valid; b++)
    {
      const gfloat *z = logits + b * classes_n;
      gboolean finite = TRUE;
      gint64 best = 0;

      for (gint64 c = 0; c < classes_n; c++)
        {
          finite = finite && isfinite (z[c]);
          best = z[c] > z[best] ? c : best;
        }
      answers[b] = (FmAnswer){ .answer = finite ? best : -1, .right = right[b] < 0 ? -1 : right[b],
                               .score = finite && classes_n == 2 ? z[1] - z[0] : 0 };
    }
}

gdouble
fm_outcomes_accuracy (const FmOutcome *outcomes, gsize n)
{
  gdouble correct = 0, count = 0;

  for (gsize i = 0; i < n; i++)
    {
      correct += outcomes[i].correct;
      count += outcomes[i].count;
    }
  return count > 0 ? correct / count : NAN;
}

gdouble
fm_outcomes_loss (const FmOutcome *outcomes, gsize n)
{
  gdouble loss = 0, count = 0;

  for (gsize i = 0; i < n; i++)
    {
      loss += outcomes[i].loss;
      count += outcomes[i].count;
    }
  return count > 0 ? loss / count : NAN;
}
