/* listops.c: nested operations on lists of digits; the value of the whole expression is the answer.
 * Source: Nangia and Bowman, "ListOps", 2018, arXiv:1804.06028; grammar and lengths of Tay et al., "Long Range Arena",
 * 2020, arXiv:2011.04006.
 * Grammar: a node at depth 1 .. max_depth-1 is an operator with probability operator_probability, else a digit; at
 * max_depth always a digit. Operators MIN, MAX, MED (median; mean of the middle two, truncated) and SM (sum modulo 10)
 * are equally likely and take 2 .. max_args arguments. A tree counts when min_length < tokens < max_length, an operator
 * and its closing bracket being a token each; the brackets that only group arguments in the released files are left
 * out.
 * Published: max_depth=10 min_length=500 max_length=2000. Default: the short setting that a small model learns beyond
 * the first operator, max_depth=3, more than 12 tokens; its longest of 48,000 trees had 76, so rows are padded to 96.
 * Splits: the validation and test expressions are drawn first, all different; a training expression that is one of
 * them is drawn again. Training expressions come without end from the seed. */
#include "config.h"

#include "data/task-private.h"

#include <string.h>

#define N_VALIDATION 2000 /* as published */
#define N_TEST 2000
#define DEEPEST 32
#define MOST_ARGS 64

enum { PAD, DIGIT_0, OP_MIN = DIGIT_0 + 10, OP_MAX, OP_MED, OP_SM, CLOSE, N_TOKENS };

static const char * const token_names[N_TOKENS] = { "", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9",
                                                    "[MIN", "[MAX", "[MED", "[SM", "]" };
static const char * const class_names[] = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9" };

typedef struct
{
  gint64  max_depth;
  gint64  max_args;
  gdouble operator_probability;
  gint64  min_length;
  gint64  max_length;
} Params;

static const FmParam params[] = {
  FM_PARAM_INT (Params, max_depth, 3, 2, DEEPEST, "levels", "At this depth every node is a digit; the root has 1"),
  FM_PARAM_INT (Params, max_args, 10, 2, MOST_ARGS, "arguments", "An operator takes 2 to this many arguments"),
  FM_PARAM_DOUBLE (Params, operator_probability, 0.25, 0.001, 1.0, NULL,
                   "Chance that a node above the last level is an operator"),
  FM_PARAM_INT (Params, min_length, 12, 0, 65535, "tokens", "Expressions have more tokens than this"),
  FM_PARAM_INT (Params, max_length, 96, 5, 65536, "tokens", "Expressions are shorter than this, the length of a row"),
  FM_PARAM_END
};

/* --- Drawing an expression ----------------------------------------------------------------------------------------*/

typedef struct
{
  const Params *p;
  FmRandom     *random;
  gint32       *tokens; /* [max_length] */
  gint64        n;
} Draw;

static int
value_of (gint32 op, const int *args, guint n)
{
  guint counts[10] = { 0 };
  guint seen = 0, sum = 0;
  int low = -1, high = -1;

  for (guint i = 0; i < n; i++)
    {
      counts[args[i]]++;
      sum += args[i];
    }
  if (op == OP_SM)
    return sum % 10;
  for (int digit = 0; digit < 10; digit++)
    {
      if (counts[digit] == 0)
        continue;
      if (op == OP_MIN && seen == 0)
        return digit;
      seen += counts[digit];
      if (low < 0 && seen > (n - 1) / 2)
        low = digit;
      if (high < 0 && seen > n / 2)
        high = digit;
      if (op == OP_MAX && seen == n)
        return digit;
    }
  return (low + high) / 2;
}

/* Appends a node and returns its value, or -1 once the expression has max_length tokens: then it is too long. */
static int
draw_node (Draw *d, guint depth)
{
  int args[MOST_ARGS];
  gint32 op;
  guint n_args;

  if (d->n >= d->p->max_length)
    return -1;
  if (depth >= d->p->max_depth || fm_random_uniform (d->random) >= d->p->operator_probability)
    {
      int digit = (int) fm_random_below (d->random, 10);

      d->tokens[d->n++] = DIGIT_0 + digit;
      return digit;
    }
  op = OP_MIN + (gint32) fm_random_below (d->random, 4);
  n_args = 2 + (guint) fm_random_below (d->random, (guint64) d->p->max_args - 1);
  d->tokens[d->n++] = op;
  for (guint i = 0; i < n_args; i++)
    {
      args[i] = draw_node (d, depth + 1);
      if (args[i] < 0)
        return -1;
    }
  if (d->n >= d->p->max_length)
    return -1;
  d->tokens[d->n++] = CLOSE;
  return value_of (op, args, n_args);
}

/* Draws until a tree has the right length; its tokens into @tokens, its length into @length. The work is bounded, so
 * that lengths which the grammar never gives end in a sentence. */
static int
draw_expression (const Params *p, FmRandom *random, gint32 *tokens, gint32 *length, GError **error)
{
  Draw d = { p, random, tokens, 0 };

  for (gint64 work = 0; work < 50000000; work += d.n + 1)
    {
      int value;

      d.n = 0;
      value = draw_node (&d, 1);
      if (value >= 0 && d.n > p->min_length && d.n < p->max_length)
        {
          *length = (gint32) d.n;
          return value;
        }
    }
  g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID,
               "no expression of more than %" G_GINT64_FORMAT " and fewer than %" G_GINT64_FORMAT " tokens among "
               "millions; change min_length, max_length, max_depth or max_args", p->min_length, p->max_length);
  return -1;
}

static guint64
hash_tokens (const gint32 *tokens, gint32 n)
{
  guint64 h = 0xcbf29ce484222325u;

  for (gint32 i = 0; i < n; i++)
    h = (h ^ (guint64) tokens[i]) * 0x100000001b3u;
  return h;
}

/* --- The held expressions: validation, then test ------------------------------------------------------------------*/

typedef struct
{
  GArray     *tokens;  /* gint32, one expression after the other */
  guint32    *starts;  /* [N_VALIDATION + N_TEST + 1] */
  guint8     *values;  /* [N_VALIDATION + N_TEST] */
  GHashTable *hashes;  /* guint64: of every held expression; two alike count as one, a training tree more or less */
} Held;

static void
held_free (Held *held)
{
  g_array_unref (held->tokens);
  g_hash_table_unref (held->hashes);
  g_free (held->starts);
  g_free (held->values);
  g_free (held);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Held, held_free)

static gboolean
describe (const void *values, FmTask *task, GError **error)
{
  const Params *p = values;
  FmTaskInput input = { .name = "x", .kind = FM_INPUT_TOKENS, .length = p->max_length, .vocabulary = N_TOKENS };
  FmTaskTarget target = { "value", FM_TARGET_CLASS, 10, class_names };
  g_autofree gint32 *tokens = g_new (gint32, p->max_length);
  FmRandom random;
  gint32 length;

  if (p->min_length + 1 >= p->max_length)
    {
      g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID,
                   "min_length=%" G_GINT64_FORMAT " must be at least 2 below max_length=%" G_GINT64_FORMAT,
                   p->min_length, p->max_length);
      return FALSE;
    }
  fm_random_init (&random, fm_hash ("listops/probe"), 0);
  if (draw_expression (p, &random, tokens, &length, error) < 0)
    return FALSE;

  fm_task_add_input (task, &input);
  fm_task_add_target (task, &target);
  fm_task_add_split (task, "train", FM_SPLIT_TRAIN, G_MAXUINT64);
  fm_task_add_split (task, "validation", FM_SPLIT_DECIDE, N_VALIDATION);
  fm_task_add_split (task, "test", FM_SPLIT_REPORT, N_TEST);
  fm_task_info_edit (task)->ragged = TRUE;
  fm_task_info_edit (task)->chance_level = 0.1;
  return TRUE;
}

static gboolean
load (FmTask *task, GCancellable *cancellable, GError **error)
{
  const Params *p = fm_task_get_params (task);
  g_autofree gint32 *tokens = g_new (gint32, p->max_length);
  g_autoptr (Held) held = g_new0 (Held, 1);
  FmRandom random;
  guint repeats = 0;

  held->tokens = g_array_new (FALSE, FALSE, sizeof (gint32));
  held->hashes = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
  held->starts = g_new0 (guint32, N_VALIDATION + N_TEST + 1);
  held->values = g_new0 (guint8, N_VALIDATION + N_TEST);
  fm_random_init (&random, fm_hash ("listops/held"), 0);

  for (guint i = 0; i < N_VALIDATION + N_TEST;)
    {
      gint32 length;
      int value = draw_expression (p, &random, tokens, &length, error);
      guint64 hash;

      if (value < 0 || g_cancellable_set_error_if_cancelled (cancellable, error))
        return FALSE;
      hash = hash_tokens (tokens, length);
      if (!g_hash_table_add (held->hashes, g_memdup2 (&hash, sizeof hash)))
        {
          if (++repeats < 100000)
            continue;
          g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID,
                       "fewer than %d different expressions for validation and test; allow longer ones",
                       N_VALIDATION + N_TEST);
          return FALSE;
        }
      g_array_append_vals (held->tokens, tokens, length);
      held->values[i++] = (guint8) value;
      held->starts[i] = held->tokens->len;
    }
  fm_task_set_data (task, g_steal_pointer (&held));
  return TRUE;
}

static void
unload (FmTask *task)
{
  Held *held = fm_task_get_data (task);

  g_clear_pointer (&held, held_free);
}

static gboolean
batch (FmTask *task, const char *name, guint64 seed, guint64 index, gint64 size, FmBatch *out, GError **error)
{
  const Params *p = fm_task_get_params (task);
  const Held *held = fm_task_get_data (task);
  const FmTaskSplit *split = fm_task_find_split (task, name, error);
  guint64 stream_seed, first = index * (guint64) size;

  if (split == NULL || !fm_batch_alloc (task, size, out, error))
    return FALSE;
  stream_seed = fm_task_seed (task, split, seed);
  out->first = first;
  out->valid = first >= split->count ? 0 : (gint64) MIN ((guint64) size, split->count - first);
  for (gint64 r = 0; r < size; r++)
    {
      gint32 *x = (gint32 *) out->inputs[0].data + r * p->max_length;
      guint64 row = MIN (first + (guint64) r, split->count - 1);
      gint32 length = 0;
      int value = -1;

      if (split->use == FM_SPLIT_TRAIN)
        {
          FmRandom random;
          guint64 hash;

          fm_random_init (&random, stream_seed, row);
          for (guint tries = 0; tries < 1000; tries++)
            {
              value = draw_expression (p, &random, x, &length, error);
              if (value < 0)
                return FALSE;
              hash = hash_tokens (x, length);
              if (!g_hash_table_contains (held->hashes, &hash))
                break;
              value = -1;
            }
          if (value < 0)
            {
              g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID,
                           "nearly every expression is held for validation and test; allow longer ones");
              return FALSE;
            }
        }
      else
        {
          guint64 i = split->use == FM_SPLIT_DECIDE ? row : N_VALIDATION + row;

          length = (gint32) (held->starts[i + 1] - held->starts[i]);
          memcpy (x, &g_array_index (held->tokens, gint32, held->starts[i]), length * sizeof (gint32));
          value = held->values[i];
        }
      /* A drawn tree may have been tried beyond its length. */
      memset (x + length, 0, (p->max_length - length) * sizeof (gint32));
      out->lengths[r] = length;
      ((gint32 *) out->targets[0].data)[r] = value;
    }
  return TRUE;
}

/* --- Shortcuts and showing ----------------------------------------------------------------------------------------*/

static guint
largest (const guint counts[10])
{
  guint best = 0;

  for (guint v = 1; v < 10; v++)
    if (counts[v] > counts[best])
      best = v;
  return best;
}

static gboolean
shortcuts (FmTask *task, GArray *out, GError **error)
{
  enum { FITTED = 8000 };
  const Held *held = fm_task_get_data (task);
  guint counts[N_TOKENS][10] = { 0 }, all[10] = { 0 };
  guint by_first = 0, by_top = 0;

  for (guint b = 0; b < FITTED / 100; b++)
    {
      g_auto (FmBatch) rows = { 0 };

      if (!fm_task_batch (task, "train", 0, b, 100, &rows, error))
        return FALSE;
      for (gint64 r = 0; r < 100; r++)
        {
          gint32 value = ((gint32 *) rows.targets[0].data)[r];

          counts[((gint32 *) rows.inputs[0].data)[r * rows.inputs[0].dims[1]]][value]++;
          all[value]++;
        }
    }
  for (guint i = N_VALIDATION; i < N_VALIDATION + N_TEST; i++)
    {
      gint32 op = g_array_index (held->tokens, gint32, held->starts[i]);

      by_first += largest (counts[op]) == held->values[i];
      by_top += largest (all) == held->values[i];
    }
  fm_shortcuts_add (out, "first operator", "The commonest answer of expressions that begin with the same operator",
                    (gdouble) by_first / N_TEST);
  fm_shortcuts_add (out, "most frequent answer", "The commonest answer of the training expressions, always",
                    (gdouble) by_top / N_TEST);
  return TRUE;
}

static gboolean
example (FmTask *task, const char *name, guint64 index, FmTaskExample *out, GError **error)
{
  g_auto (FmBatch) one = { 0 };

  if (!fm_task_batch (task, name, 0, index, 1, &one, error))
    return FALSE;
  out->tokens = g_new0 (char *, one.lengths[0] + 1);
  for (gint32 i = 0; i < one.lengths[0]; i++)
    out->tokens[i] = g_strdup (token_names[((gint32 *) one.inputs[0].data)[i]]);
  out->label = g_strdup_printf ("%d", ((gint32 *) one.targets[0].data)[0]);
  return TRUE;
}

const FmTaskClass fm_listops_class = {
  .id = "listops",
  .title = "ListOps",
  .summary = "What is the value of a nested expression such as [MAX 4 [SM 7 8 ] 2 ]? Its tree must be followed; the "
             "first operator alone answers a third of the questions.",
  .source = "Nangia and Bowman 2018, arXiv:1804.06028; Tay et al. 2020, arXiv:2011.04006; generated here",
  .params = params,
  .params_size = sizeof (Params),
  .describe = describe,
  .load = load,
  .unload = unload,
  .batch = batch,
  .shortcuts = shortcuts,
  .example = example,
};
