/* mqar.c: multi-query associative recall. A row lists pairs of key and value, then asks for some keys again; at each
 * asked key the answer is its value.
 * Source: Arora, Eyuboglu, Timalsina, Johnson, Poli, Zou, Rudra, Re, "Zoology: Measuring and improving recall in
 * efficient language models", 2023, arXiv:2312.04927, appendix on synthetic data.
 * Published: keys from the lower half of the vocabulary (without token 0), values from the upper half, each at most
 * once a row; the pairs first; then each key once, at an even distance 2g from the end of the pairs, where the slots
 * g = 0, 1, ... are drawn without replacement with weight (g+1)^(power_a-1), power_a = 0.01, so near slots are likelier
 * (as gaps between repetitions of words are); every other place holds a random token. Vocabulary 8192, N = 64..512 with
 * N/16 and more pairs; that setting is `vocabulary=8192 length=512 pairs=64`.
 * Differs: training rows come without end from the seed instead of from a set of 100,000, and which split a row belongs
 * to follows from a hash of its pairs, so no list of pairs of the test rows is ever trained on. */
#include "config.h"

#include "data/task-private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define N_VALIDATION 1000
#define N_TEST 3000 /* as published */

typedef struct
{
  gint64  length;
  gint64  pairs;
  gint64  vocabulary;
  gdouble power_a;
  gint64  random_filler;
} Params;

static const FmParam params[] = {
  FM_PARAM_INT (Params, length, 64, 4, 1048576, "tokens", "Tokens of a row; must be even and at least four for a pair"),
  FM_PARAM_INT (Params, pairs, 8, 1, 262144, "pairs", "Pairs of key and value, each asked for once"),
  FM_PARAM_INT (Params, vocabulary, 128, 4, 1048576, "tokens", "Keys are the lower half, values the upper half"),
  FM_PARAM_DOUBLE (Params, power_a, 0.01, 0.001, 10.0, NULL, "Exponent of the distances: 1 is uniform, less is nearer"),
  FM_PARAM_BOOL (Params, random_filler, 1, "Random tokens between the questions; otherwise token 0"),
  FM_PARAM_END
};

static gboolean
describe (const void *values, FmTask *task, GError **error)
{
  const Params *p = values;
  FmTaskInput input = { .name = "x", .kind = FM_INPUT_TOKENS, .length = p->length, .vocabulary = p->vocabulary };
  FmTaskTarget target = { .name = "value", .kind = FM_TARGET_SEQUENCE, .classes = p->vocabulary };

  if (p->length % 2 != 0)
    {
      g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID, "length=%" G_GINT64_FORMAT ": must be even", p->length);
      return FALSE;
    }
  if (4 * p->pairs > p->length)
    {
      g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID,
                   "pairs=%" G_GINT64_FORMAT ": a row of %" G_GINT64_FORMAT " tokens has room for at most %"
                   G_GINT64_FORMAT " (a pair and its question take four)", p->pairs, p->length, p->length / 4);
      return FALSE;
    }
  if (p->pairs > p->vocabulary / 2 - 1)
    {
      g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID,
                   "pairs=%" G_GINT64_FORMAT ": a vocabulary of %" G_GINT64_FORMAT " has only %" G_GINT64_FORMAT
                   " different keys", p->pairs, p->vocabulary, p->vocabulary / 2 - 1);
      return FALSE;
    }
  fm_task_add_input (task, &input);
  fm_task_add_target (task, &target);
  fm_task_add_split (task, "train", FM_SPLIT_TRAIN, G_MAXUINT64);
  fm_task_add_split (task, "validation", FM_SPLIT_DECIDE, N_VALIDATION);
  fm_task_add_split (task, "test", FM_SPLIT_REPORT, N_TEST);
  fm_task_info_edit (task)->chance_level = 1.0 / p->vocabulary;
  return TRUE;
}

/* --- One row ------------------------------------------------------------------------------------------------------*/

typedef struct { gdouble when; gint64 slot; } Slot;

static int
by_time (gconstpointer a, gconstpointer b)
{
  gdouble x = ((const Slot *) a)->when, y = ((const Slot *) b)->when;

  return (x > y) - (x < y);
}

/* Room for making rows, so that a batch allocates once. */
typedef struct
{
  gint32 *pool;  /* [max (keys, values)], restored after use */
  Slot   *slots; /* [(length - 2 pairs) / 2] */
} Room;

static void
room_clear (Room *room)
{
  g_free (room->pool);
  g_free (room->slots);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Room, room_clear)

static gboolean
room_init (Room *room, const Params *p, GError **error)
{
  room->pool = g_try_new (gint32, p->vocabulary);
  room->slots = g_try_new (Slot, (p->length - 2 * p->pairs) / 2);
  if (room->pool && room->slots)
    return TRUE;
  g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID, "not enough memory for rows of %" G_GINT64_FORMAT " tokens",
               p->length);
  return FALSE;
}

/* @count different numbers of [first, first + n) into every second place of @out, by the first steps of a shuffle. */
static void
draw_different (FmRandom *random, gint32 *pool, gint64 first, gint64 n, gint64 count, gint32 *out)
{
  for (gint64 i = 0; i < n; i++)
    pool[i] = (gint32) (first + i);
  for (gint64 i = 0; i < count; i++)
    {
      gint64 j = i + (gint64) fm_random_below (random, (guint64) (n - i));
      gint32 taken = pool[j];

      pool[j] = pool[i];
      out[2 * i] = taken;
    }
}

/* The split that a list of pairs belongs to: of eight lists six are trained on. */
static FmSplitUse
use_of (const gint32 *pairs, gint64 n)
{
  guint64 h = 0xcbf29ce484222325u;

  for (gint64 i = 0; i < n; i++)
    h = (h ^ (guint32) pairs[i]) * 0x100000001b3u;
  h ^= h >> 32;
  h *= 0x9e3779b97f4a7c15u;
  h >>= 61;
  return h == 0 ? FM_SPLIT_DECIDE : h == 1 ? FM_SPLIT_REPORT : FM_SPLIT_TRAIN;
}

/* Makes one row: @x [length], and into @y [length] the value at each asked key and -1 elsewhere. */
static gboolean
make_row (const Params *p, FmSplitUse use, FmRandom *random, Room *room, gint32 *x, gint32 *y, GError **error)
{
  gint64 half = p->vocabulary / 2, context = 2 * p->pairs, n_slots = (p->length - context) / 2;
  guint tries = 0;

  do
    {
      if (tries++ == 1000)
        {
          g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID,
                       "%" G_GINT64_FORMAT " pairs from a vocabulary of %" G_GINT64_FORMAT " give too few different "
                       "rows to keep train, validation and test apart; choose a larger vocabulary", p->pairs,
                       p->vocabulary);
          return FALSE;
        }
      draw_different (random, room->pool, 1, half - 1, p->pairs, x);
      draw_different (random, room->pool, half, p->vocabulary - half, p->pairs, x + 1);
    }
  while (use_of (x, context) != use);

  for (gint64 i = 0; i < p->length; i++)
    y[i] = -1;
  for (gint64 i = context; i < p->length; i++)
    x[i] = p->random_filler ? (gint32) fm_random_below (random, (guint64) p->vocabulary) : 0;

  /* Drawing without replacement by weights w is the order of independent exponential times of rate w. */
  for (gint64 g = 0; g < n_slots; g++)
    {
      gdouble u = 1.0 - fm_random_uniform (random);

      room->slots[g] = (Slot){ -log (u) * pow ((gdouble) (g + 1), 1.0 - p->power_a), g };
    }
  qsort (room->slots, n_slots, sizeof (Slot), by_time);
  for (gint64 i = 0; i < p->pairs; i++)
    {
      gint64 at = context + 2 * room->slots[i].slot;

      x[at] = x[2 * i];
      y[at] = x[2 * i + 1];
    }
  return TRUE;
}

static gboolean
batch (FmTask *task, const char *name, guint64 seed, guint64 index, gint64 size, FmBatch *out, GError **error)
{
  const Params *p = fm_task_get_params (task);
  const FmTaskSplit *split = fm_task_find_split (task, name, error);
  guint64 stream_seed, first = index * (guint64) size;
  g_auto (Room) room = { 0 };

  if (split == NULL || !fm_batch_alloc (task, size, out, error) || !room_init (&room, p, error))
    return FALSE;
  stream_seed = fm_task_seed (task, split, seed);
  out->first = first;
  out->valid = first >= split->count ? 0 : (gint64) MIN ((guint64) size, split->count - first);
  for (gint64 r = 0; r < size; r++)
    {
      gint32 *x = (gint32 *) out->inputs[0].data + r * p->length;
      gint32 *y = (gint32 *) out->targets[0].data + r * p->length;
      FmRandom random;

      /* A row depends on its number alone, so batches of any size cut the same rows. */
      fm_random_init (&random, stream_seed, MIN (first + (guint64) r, split->count - 1));
      if (!make_row (p, split->use, &random, &room, x, y, error))
        return FALSE;
    }
  return TRUE;
}

/* --- Shortcuts and showing ----------------------------------------------------------------------------------------*/

/* Both rules are scored on the test rows; rows of long lists are too slow to make all 3,000, so about 8 million tokens
 * are looked at. The commonest value is that of the same number of training rows. */
static gboolean
shortcuts (FmTask *task, GArray *out, GError **error)
{
  const Params *p = fm_task_get_params (task);
  gint64 n_rows = CLAMP (8388608 / p->length, 1, N_TEST), best = 0;
  g_autofree guint32 *counts = g_try_new0 (guint32, p->vocabulary);
  guint64 asked = 0, last = 0, top = 0;

  if (counts == NULL)
    {
      g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID, "not enough memory to count the values");
      return FALSE;
    }
  for (gint64 r = 0; r < n_rows; r++)
    {
      g_auto (FmBatch) one = { 0 };

      if (!fm_task_batch (task, "train", 0, r, 1, &one, error))
        return FALSE;
      for (gint64 i = 0; i < p->length; i++)
        if (((gint32 *) one.targets[0].data)[i] >= 0)
          counts[((gint32 *) one.targets[0].data)[i]]++;
    }
  for (gint64 v = 1; v < p->vocabulary; v++)
    if (counts[v] > counts[best])
      best = v;
  for (gint64 r = 0; r < n_rows; r++)
    {
      g_auto (FmBatch) one = { 0 };
      const gint32 *x, *y;

      if (!fm_task_batch (task, "test", 0, r, 1, &one, error))
        return FALSE;
      x = one.inputs[0].data;
      y = one.targets[0].data;
      for (gint64 i = 0; i < p->length; i++)
        if (y[i] >= 0)
          {
            asked++;
            last += y[i] == x[2 * p->pairs - 1];
            top += y[i] == best;
          }
    }
  fm_shortcuts_add (out, "last value seen", "The value of the last pair, whichever key is asked for",
                    (gdouble) last / asked);
  fm_shortcuts_add (out, "most frequent value", "The commonest value of the training rows, always",
                    (gdouble) top / asked);
  return TRUE;
}

static gboolean
example (FmTask *task, const char *name, guint64 index, FmTaskExample *out, GError **error)
{
  const Params *p = fm_task_get_params (task);
  g_auto (FmBatch) one = { 0 };
  g_autoptr (GString) label = g_string_new (NULL);
  gint64 half = p->vocabulary / 2;
  const gint32 *x, *y;

  if (!fm_task_batch (task, name, 0, index, 1, &one, error))
    return FALSE;
  x = one.inputs[0].data;
  y = one.targets[0].data;
  out->tokens = g_try_new0 (char *, p->length + 1);
  if (out->tokens == NULL)
    {
      g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID, "not enough memory to show the row");
      return FALSE;
    }
  for (gint64 i = 0; i < p->length; i++)
    {
      out->tokens[i] = x[i] == 0     ? g_strdup ("-")
                       : x[i] < half ? g_strdup_printf ("k%d", x[i])
                                     : g_strdup_printf ("v%d", (int) (x[i] - half));
      if (y[i] >= 0)
        g_string_append_printf (label, "%s%" G_GINT64_FORMAT ": k%d = v%d", label->len ? ", " : "", i + 1, x[i],
                                (int) (y[i] - half));
    }
  out->label = g_strdup (label->str);
  return TRUE;
}

const FmTaskClass fm_mqar_class = {
  .id = "mqar",
  .title = "Multi-query associative recall",
  .summary = "A row lists pairs of key and value, then asks for each key once; the answer is its value. What a model "
             "must keep grows with the number of pairs, which separates attention from states of fixed size.",
  .source = "Arora et al. 2023, arXiv:2312.04927; generated here",
  .params = params,
  .params_size = sizeof (Params),
  .describe = describe,
  .batch = batch,
  .shortcuts = shortcuts,
  .example = example,
};
