/* mixture.c: several tasks learned by one model, as one task.
 *
 * A training batch is all of one part: in every turn of as many batches as the weights add up to, each part has as many as
 * its weight says, in an order drawn from the seed and the turn. Inputs must be of one kind and, for vectors, of one width;
 * shorter rows are padded and `lengths` says where they end. Tokens share one vocabulary, the largest: a token means what
 * its task says, and the model must see from the row which task that is. Each part has targets of its own, named after it, so
 * a head of its own; rows of other parts ask nothing of them (-1). A split other than training is the parts' splits one
 * after the other. */
#include "data/task-private.h"

#include <string.h>

#define MOST_WEIGHT 1000

/* The instance's parameters: a pointer to this, freed with its class. */
typedef struct
{
  FmTaskClass cls;
  char       *id;
  GPtrArray  *parts;   /* FmTask */
  GArray     *weights; /* gint64 */
  GArray     *first;   /* guint: of each part's targets among all */
  GPtrArray  *names;   /* char *: of targets */
  gint64      turn;    /* sum of the weights */
} Mixture;

static Mixture *
mixture_of (FmTask *task)
{
  return *(Mixture * const *) fm_task_get_params (task);
}

static FmTask *
part_of (const Mixture *m, guint part)
{
  return g_ptr_array_index (m->parts, part);
}

static void
mixture_free (Mixture *m)
{
  g_ptr_array_unref (m->parts);
  g_ptr_array_unref (m->names);
  g_array_unref (m->weights);
  g_array_unref (m->first);
  g_free (m->id);
  g_free (m);
}

static void
unload (FmTask *task)
{
  mixture_free (mixture_of (task));
}

/* --- Describing ---------------------------------------------------------------------------------------------------*/

static gboolean
join_inputs (const Mixture *m, FmTask *task, GError **error)
{
  const FmTask *first = part_of (m, 0);
  const FmTaskInfo *info = fm_task_get_info (part_of (m, 0));

  for (guint part = 1; part < m->parts->len; part++)
    if (fm_task_get_info (part_of (m, part))->n_inputs != info->n_inputs)
      {
        g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID, "%s and %s have not as many inputs as each other and cannot be "
                     "mixed", fm_task_get_class ((FmTask *) first)->id, fm_task_get_class (part_of (m, part))->id);
        return FALSE;
      }
  for (guint i = 0; i < info->n_inputs; i++)
    {
      FmTaskInput input = info->inputs[i];

      for (guint part = 1; part < m->parts->len; part++)
        {
          const FmTaskInput *other = &fm_task_get_info (part_of (m, part))->inputs[i];

          if (other->kind != input.kind || other->channels != input.channels)
            {
              g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID,
                           "%s and %s cannot be mixed: their inputs must both be tokens, or vectors of one width",
                           fm_task_get_class (part_of (m, 0))->id, fm_task_get_class (part_of (m, part))->id);
              return FALSE;
            }
          fm_task_info_edit (task)->ragged |= other->length != input.length;
          input.length = MAX (input.length, other->length);
          input.vocabulary = MAX (input.vocabulary, other->vocabulary);
          if (other->grid_rows != input.grid_rows || other->grid_columns != input.grid_columns)
            input.grid_rows = input.grid_columns = 0;
        }
      fm_task_add_input (task, &input);
    }
  return TRUE;
}

static void
join_targets (Mixture *m, FmTask *task)
{
  for (guint part = 0; part < m->parts->len; part++)
    {
      const FmTaskInfo *info = fm_task_get_info (part_of (m, part));
      const char *id = fm_task_get_class (part_of (m, part))->id;
      guint n = fm_task_get_info (task)->n_targets;

      g_array_append_val (m->first, n);
      for (guint i = 0; i < info->n_targets; i++)
        {
          FmTaskTarget target = info->targets[i];

          g_ptr_array_add (m->names, info->n_targets == 1 ? g_strdup (id) : g_strconcat (id, ":", target.name, NULL));
          target.name = g_ptr_array_index (m->names, m->names->len - 1);
          fm_task_add_target (task, &target);
        }
    }
}

/* Splits that every part has. */
static void
join_splits (const Mixture *m, FmTask *task)
{
  const FmTaskInfo *info = fm_task_get_info (part_of (m, 0));

  for (guint s = 0; s < info->n_splits; s++)
    {
      guint64 count = 0;
      guint have = 0;

      for (guint part = 0; part < m->parts->len; part++)
        {
          const FmTaskSplit *split = fm_task_find_split (part_of (m, part), info->splits[s].name, NULL);

          have += split != NULL;
          count = split == NULL || split->count > G_MAXUINT64 - count ? G_MAXUINT64 : count + split->count;
        }
      if (have == m->parts->len)
        fm_task_add_split (task, info->splits[s].name, info->splits[s].use, count);
    }
}

static gboolean
describe (const void *values, FmTask *task, GError **error)
{
  Mixture *m = *(Mixture * const *) values;
  g_autoptr (GString) key = g_string_new ("mixture:1");
  gdouble chance = 0;

  for (guint part = 0; part < m->parts->len; part++)
    {
      FmTask *t = part_of (m, part);
      const FmTaskClass *cls = fm_task_get_class (t);
      g_autofree char *params = fm_params_to_string (cls->params, fm_task_get_params (t)), *data_key = fm_task_data_key (t);

      fm_task_info_edit (task)->ragged |= fm_task_get_info (t)->ragged;
      chance += fm_task_get_info (t)->chance_level / m->parts->len;
      g_string_append_printf (key, " %" G_GINT64_FORMAT "*%s(%s)%s", g_array_index (m->weights, gint64, part), cls->id, params,
                              data_key);
    }
  if (!join_inputs (m, task, error))
    return FALSE;
  join_targets (m, task);
  join_splits (m, task);
  fm_task_info_edit (task)->chance_level = chance;
  fm_task_set_data_key (task, key->str);
  return TRUE;
}

static gboolean
load (FmTask *task, GCancellable *cancellable, GError **error)
{
  Mixture *m = mixture_of (task);

  for (guint part = 0; part < m->parts->len; part++)
    if (!fm_task_load (part_of (m, part), cancellable, error))
      return FALSE;
  return TRUE;
}

/* --- Batches ------------------------------------------------------------------------------------------------------*/

static gboolean
alloc (FmTask *task, gint64 size, FmBatch *batch, GError **error)
{
  if (!fm_batch_alloc (task, size, batch, error))
    return FALSE;
  for (guint i = 0; i < batch->n_targets; i++)
    {
      gint32 *answers = batch->targets[i].data;
      gint64 n = size * (batch->targets[i].rank == 2 ? batch->targets[i].dims[1] : 1);

      for (gint64 k = 0; k < n; k++)
        answers[k] = -1; /* nothing is asked */
    }
  return TRUE;
}

/* Rows of @width_from numbers of four bytes into longer ones; the rest stays as it is. */
static void
copy_rows (gpointer to, gint64 width_to, gint64 at, gconstpointer from, gint64 width_from, gint64 rows)
{
  for (gint64 r = 0; r < rows; r++)
    memcpy ((char *) to + (at + r) * width_to * 4, (const char *) from + r * width_from * 4, (gsize) width_from * 4);
}

static gint64
row_width (const FmArray *array)
{
  gint64 n = 1;

  for (guint i = 1; i < array->rank; i++)
    n *= array->dims[i];
  return n;
}

/* Rows of @part's batch become rows of the mixture's, from row @at on. */
static void
put_rows (const Mixture *m, guint part, const FmBatch *from, FmBatch *to, gint64 at)
{
  guint first = g_array_index (m->first, guint, part);

  for (guint i = 0; i < from->n_inputs; i++)
    copy_rows (to->inputs[i].data, row_width (&to->inputs[i]), at, from->inputs[i].data, row_width (&from->inputs[i]),
               from->size);
  for (guint i = 0; i < from->n_targets; i++)
    copy_rows (to->targets[first + i].data, row_width (&to->targets[first + i]), at, from->targets[i].data,
               row_width (&from->targets[i]), from->size);
  for (gint64 r = 0; to->lengths && r < from->size; r++)
    to->lengths[at + r] = from->lengths ? from->lengths[r] : (gint32) from->inputs[0].dims[1];
}

static gboolean
batch_of_part (FmTask *task, guint part, const char *split, guint64 seed, guint64 index, gint64 size, FmBatch *batch,
               GError **error)
{
  const Mixture *m = mixture_of (task);
  g_auto (FmBatch) own = { 0 };

  if (!fm_task_batch (part_of (m, part), split, seed, index, size, &own, error) || !alloc (task, size, batch, error))
    return FALSE;
  put_rows (m, part, &own, batch, 0);
  batch->valid = own.valid;
  batch->first = own.first;
  return TRUE;
}

/* Which part the @index-th training batch is of, and how many of its batches came before. */
static guint
whose_turn (const Mixture *m, guint64 seed, guint64 index, guint64 *before)
{
  guint64 turn = index / (guint64) m->turn, place;
  g_autofree char *text = g_strdup_printf ("mixture/%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT, seed, turn);
  guint64 key = fm_hash (text);
  guint part = 0;
  gint64 low = 0;

  /* Places [low, low + weight) of a shuffled turn are the part's. */
  place = fm_task_permute (key, (guint64) m->turn, index % (guint64) m->turn);
  while (place >= (guint64) (low + g_array_index (m->weights, gint64, part)))
    low += g_array_index (m->weights, gint64, part++);
  *before = turn * (guint64) g_array_index (m->weights, gint64, part);
  for (guint64 i = 0; i < index % (guint64) m->turn; i++)
    {
      guint64 other = fm_task_permute (key, (guint64) m->turn, i);

      *before += other >= (guint64) low && other < (guint64) (low + g_array_index (m->weights, gint64, part));
    }
  return part;
}

/* Example @row of a split that is no training split: of which part, and which of its. FALSE past the end. */
static gboolean
find_row (const Mixture *m, const char *split, guint64 *row, guint *part)
{
  for (*part = 0; *part < m->parts->len; (*part)++)
    {
      const FmTaskSplit *s = fm_task_find_split (part_of (m, *part), split, NULL);

      if (*row < s->count)
        return TRUE;
      *row -= s->count;
    }
  return FALSE;
}

static gboolean
batch (FmTask *task, const char *split, guint64 seed, guint64 index, gint64 size, FmBatch *batch, GError **error)
{
  const Mixture *m = mixture_of (task);
  const FmTaskSplit *s = fm_task_find_split (task, split, error);
  guint64 before;
  guint part;

  if (s->use == FM_SPLIT_TRAIN)
    {
      part = whose_turn (m, seed, index, &before);
      return batch_of_part (task, part, split, seed, before, size, batch, error);
    }
  if (!alloc (task, size, batch, error))
    return FALSE;
  batch->first = index * (guint64) size;
  for (gint64 r = 0; r < size; r++)
    {
      guint64 row = MIN (batch->first + (guint64) r, s->count - 1);
      g_auto (FmBatch) one = { 0 };

      batch->valid += batch->first + (guint64) r < s->count;
      if (!find_row (m, split, &row, &part) || !fm_task_batch (part_of (m, part), split, seed, row, 1, &one, error))
        return FALSE;
      put_rows (m, part, &one, batch, r);
    }
  return TRUE;
}

static gboolean
target_batch (FmTask *task, guint target, const char *split, guint64 index, gint64 size, FmBatch *batch, GError **error)
{
  const Mixture *m = mixture_of (task);
  guint part = m->parts->len - 1;

  while (g_array_index (m->first, guint, part) > target)
    part--;
  return batch_of_part (task, part, split, 0, index, size, batch, error);
}

/* --- For people ---------------------------------------------------------------------------------------------------*/

/* What a score over all parts is to be compared with: the mean of the best that each part allows. */
static gboolean
shortcuts (FmTask *task, GArray *found, GError **error)
{
  const Mixture *m = mixture_of (task);
  gdouble mean = 0;

  for (guint part = 0; part < m->parts->len; part++)
    {
      const GArray *own = fm_task_shortcuts (part_of (m, part), error);
      gdouble best = fm_task_get_info (part_of (m, part))->chance_level;

      if (own == NULL)
        return FALSE;
      for (guint i = 0; i < own->len; i++)
        best = MAX (best, g_array_index (own, FmTaskShortcut, i).accuracy);
      mean += best / m->parts->len;
    }
  fm_shortcuts_add (found, "best of each", "The best shortcut of every task of the mixture, their accuracies averaged.", mean);
  return TRUE;
}

static gboolean
example (FmTask *task, const char *split, guint64 index, FmTaskExample *example, GError **error)
{
  const Mixture *m = mixture_of (task);
  guint part;

  if (fm_task_find_split (task, split, NULL)->use == FM_SPLIT_TRAIN || !find_row (m, split, &index, &part))
    {
      g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID, "examples of a mixture are shown from validation and test");
      return FALSE;
    }
  return fm_task_example (part_of (m, part), split, index, example, error);
}

/* --- Making one ---------------------------------------------------------------------------------------------------*/

FmTask *
fm_task_mixture_new (GPtrArray *parts, const gint64 *weights, GError **error)
{
  Mixture *m;
  g_autoptr (GString) id = g_string_new (NULL);
  FmTask *task;

  g_return_val_if_fail (parts->len >= 2, NULL);
  for (guint i = 0; i < parts->len; i++)
    {
      const char *part = fm_task_get_class (g_ptr_array_index (parts, i))->id;

      if (weights[i] < 1 || weights[i] > MOST_WEIGHT)
        {
          g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID, "the weight of %s must be a whole number from 1 to %d", part,
                       MOST_WEIGHT);
          return NULL;
        }
      g_string_append (id, i ? "+" : "");
      if (weights[i] > 1)
        g_string_append_printf (id, "%" G_GINT64_FORMAT "*", weights[i]);
      g_string_append (id, part);
    }
  m = g_new0 (Mixture, 1);
  m->id = g_strdup (id->str);
  m->parts = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_task_unref);
  m->names = g_ptr_array_new_with_free_func (g_free);
  m->weights = g_array_new (FALSE, FALSE, sizeof (gint64));
  m->first = g_array_new (FALSE, FALSE, sizeof (guint));
  for (guint i = 0; i < parts->len; i++)
    {
      g_ptr_array_add (m->parts, fm_task_ref (g_ptr_array_index (parts, i)));
      g_array_append_val (m->weights, weights[i]);
      m->turn += weights[i];
    }
  m->cls = (FmTaskClass){ .id = m->id, .title = m->id, .summary = "Several tasks, learned by one model.", .source = "",
                          .params_size = sizeof m, .describe = describe, .load = load, .unload = unload, .batch = batch,
                          .shortcuts = shortcuts, .example = example, .target_batch = target_batch };
  task = fm_task_new_of_class (&m->cls, &m, error);
  return task;
}

guint
fm_task_get_n_parts (FmTask *task)
{
  return fm_task_get_class (task)->target_batch == target_batch ? mixture_of (task)->parts->len : 0;
}

FmTask *
fm_task_get_part (FmTask *task, guint part, gint64 *weight)
{
  const Mixture *m = mixture_of (task);

  if (weight)
    *weight = g_array_index (m->weights, gint64, part);
  return part_of (m, part);
}
