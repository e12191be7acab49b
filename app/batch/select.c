/* select.c: include= and exclude=: parts of the matrix, named as its labels are.
 *
 *   exclude=local-attention, window=16, layers=4; pooling x switch
 *
 * `;` stands between patterns, a comma with a space behind it between conditions that must all hold (a comma without one
 * belongs to a name or value per layer). A condition is a mixer, feed-forward, task or device, a pair MIXER x FEEDFORWARD,
 * or KEY=VALUE of a key that this file gives values to. With include= only what one of its patterns names is left;
 * exclude= takes away. */
#include "config.h"

#include "app/batch/batch-private.h"

#include <string.h>

void
fm_batch_pattern_free (FmBatchPattern *pattern)
{
  g_free (pattern->text);
  g_ptr_array_unref (pattern->conditions);
  g_free (pattern);
}

/* --- Does a condition name anything? ------------------------------------------------------------------------------*/

static gboolean
uses (char **ids, const char *name)
{
  g_autofree char *all = g_strjoinv (",", ids);

  return g_str_equal (all, name) || g_strv_contains ((const char * const *) ids, name);
}

/* "A x B" -> both names; FALSE when it is no pair. */
static gboolean
split_pair (const char *text, char **mixer, char **feedforward)
{
  const char *x = strstr (text, " x ");

  if (x == NULL)
    return FALSE;
  *mixer = g_strstrip (g_strndup (text, x - text));
  *feedforward = g_strstrip (g_strdup (x + strlen (" x ")));
  return TRUE;
}

static gboolean
is_pair (const FmBatchPair *pair, const char *mixer, const char *feedforward)
{
  return uses (pair->mixers, mixer) && uses (pair->feedforwards, feedforward);
}

/* What a condition may name: everything that the lists of @file hold. */
static gboolean
check_name (FmBatchFile *file, const FmBatchEntry *entry, const char *name, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  g_autofree char *mixer = NULL, *feedforward = NULL, *all = NULL;
  gboolean pair = split_pair (name, &mixer, &feedforward);
  const char *near;

  for (guint i = 0; i < file->pairs->len; i++)
    {
      const FmBatchPair *p = g_ptr_array_index (file->pairs, i);

      if (pair ? is_pair (p, mixer, feedforward) : uses (p->mixers, name) || uses (p->feedforwards, name))
        return TRUE;
      for (guint k = 0; p->mixers[k]; k++)
        g_ptr_array_add (names, p->mixers[k]);
      for (guint k = 0; p->feedforwards[k]; k++)
        g_ptr_array_add (names, p->feedforwards[k]);
    }
  if (pair)
    return fm_batch_fail (file, entry, error, "%s: there is no pair “%s” in this batch", entry->key, name);
  if (g_ptr_array_find_with_equal_func (file->tasks, name, g_str_equal, NULL)
      || g_ptr_array_find_with_equal_func (file->devices, name, g_str_equal, NULL))
    return TRUE;
  g_ptr_array_extend (names, file->tasks, NULL, NULL);
  g_ptr_array_extend (names, file->devices, NULL, NULL);
  g_ptr_array_add (names, NULL);
  near = fm_nearest_name (name, (const char * const *) names->pdata);
  if (near)
    return fm_batch_fail (file, entry, error, "%s: nothing in this batch is called “%s”; did you mean “%s”?", entry->key,
                          name, near);
  if (strchr (name, ','))
    return fm_batch_fail (file, entry, error, "%s: nothing in this batch is called “%s”; between conditions stands a comma "
                          "with a space behind it", entry->key, name);
  return fm_batch_fail (file, entry, error, "%s: nothing in this batch is called “%s”; name a mixer, feedforward, task or "
                        "device of it, or KEY=VALUE", entry->key, name);
}

/* (transfer full): @value in the words of @axis, or NULL when they are the same. */
static char *
in_words_of (const FmBatchAxis *axis, const char *value)
{
  for (guint i = 0; i < axis->values->len; i++)
    {
      const char *word = g_ptr_array_index (axis->values, i);
      char *end, *word_end;
      gdouble a = g_ascii_strtod (value, &end), b = g_ascii_strtod (word, &word_end);

      /* 1e-3 is 0.001 */
      if (g_str_equal (word, value) || (end != value && *end == '\0' && word_end != word && *word_end == '\0' && a == b))
        return g_strdup (word);
    }
  return NULL;
}

/* (transfer full): KEY=VALUE with the value as the matrix spells it. */
static char *
check_value (FmBatchFile *file, const FmBatchEntry *entry, const char *key, const char *value, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  const FmBatchAxis *found = NULL;
  const char *near;

  if (g_str_equal (key, "seed"))
    {
      for (guint i = 0; i < file->seeds->len; i++)
        {
          g_autofree char *seed = g_strdup_printf ("%" G_GINT64_FORMAT, g_array_index (file->seeds, gint64, i));

          if (g_str_equal (seed, value))
            return g_strdup_printf ("seed=%s", seed);
        }
      fm_batch_fail (file, entry, error, "%s: seed=%s is none of this batch's seeds", entry->key, value);
      return NULL;
    }
  for (guint i = 0; i < file->axes->len; i++)
    {
      const FmBatchAxis *axis = g_ptr_array_index (file->axes, i);
      g_autofree char *word = NULL;

      g_ptr_array_add (names, (gpointer) axis->name);
      if (!g_str_equal (axis->name, key))
        continue;
      found = axis;
      word = in_words_of (axis, value);
      if (word)
        return g_strdup_printf ("%s=%s", key, word);
    }
  if (found)
    {
      fm_batch_fail (file, entry, error, "%s: %s=%s is not in the matrix, which has %s=%s", entry->key, key, value, key,
                     found->entry->value);
      return NULL;
    }
  g_ptr_array_add (names, "seed");
  g_ptr_array_add (names, NULL);
  near = fm_nearest_name (key, (const char * const *) names->pdata);
  if (near)
    fm_batch_fail (file, entry, error, "%s: this batch gives no values to “%s”; did you mean “%s”?", entry->key, key, near);
  else
    fm_batch_fail (file, entry, error, "%s: this batch gives no values to “%s”; write a line %s=... first", entry->key, key,
                   key);
  return NULL;
}

/* --- Reading ------------------------------------------------------------------------------------------------------*/

/* Cut at every comma with white space behind it. */
static GPtrArray *
split_conditions (const char *text)
{
  GPtrArray *parts = g_ptr_array_new_with_free_func (g_free);
  const char *from = text;

  for (const char *at = text;; at++)
    if (*at == '\0' || (*at == ',' && g_ascii_isspace (at[1])))
      {
        g_ptr_array_add (parts, g_strstrip (g_strndup (from, at - from)));
        if (*at == '\0')
          return parts;
        from = at + 1;
      }
}

static gboolean
parse_pattern (FmBatchFile *file, const FmBatchEntry *entry, const char *text, GPtrArray *patterns, GError **error)
{
  g_autoptr (GPtrArray) parts = split_conditions (text);
  FmBatchPattern *pattern = g_new0 (FmBatchPattern, 1);

  g_ptr_array_add (patterns, pattern);
  pattern->text = g_strdup (text);
  pattern->conditions = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < parts->len; i++)
    {
      const char *part = g_ptr_array_index (parts, i), *equals = strchr (part, '=');
      g_autofree char *key = NULL, *value = NULL, *condition = NULL;

      if (*part == '\0')
        return fm_batch_fail (file, entry, error, "%s: a condition of “%s” is empty", entry->key, text);
      if (equals)
        {
          key = g_strstrip (g_strndup (part, equals - part));
          value = g_strstrip (g_strdup (equals + 1));
          condition = check_value (file, entry, key, value, error);
        }
      else if (check_name (file, entry, part, error))
        condition = g_strdup (part);
      if (condition == NULL)
        return FALSE;
      g_ptr_array_add (pattern->conditions, g_steal_pointer (&condition));
    }
  return TRUE;
}

static gboolean
parse_line (FmBatchFile *file, const char *key, GPtrArray *patterns, GError **error)
{
  const FmBatchEntry *entry = fm_batch_find (file, "batch", key);
  g_autoptr (GPtrArray) list = NULL;

  g_ptr_array_set_size (patterns, 0);
  if (entry == NULL)
    return TRUE;
  list = fm_batch_split (file, entry, error);
  if (list == NULL)
    return FALSE;
  for (guint i = 0; i < list->len; i++)
    if (!parse_pattern (file, entry, g_ptr_array_index (list, i), patterns, error))
      return FALSE;
  return TRUE;
}

gboolean
fm_batch_parse_patterns (FmBatchFile *file, GError **error)
{
  return parse_line (file, "include", file->include, error) && parse_line (file, "exclude", file->exclude, error);
}

/* --- Asking -------------------------------------------------------------------------------------------------------*/

static gboolean
holds (const FmBatchPoint *point, const char *condition)
{
  const char *equals = strchr (condition, '=');
  g_autofree char *mixer = NULL, *feedforward = NULL;

  if (equals && g_str_has_prefix (condition, "seed="))
    return g_ascii_strtoll (equals + 1, NULL, 10) == point->seed;
  if (equals)
    {
      for (guint i = 0; i < point->axes->len; i++)
        {
          const FmBatchAxis *axis = g_ptr_array_index (point->axes, i);

          if (strlen (axis->name) == (gsize) (equals - condition) && g_str_has_prefix (condition, axis->name)
              && g_str_equal (g_ptr_array_index (axis->values, point->chosen[i]), equals + 1))
            return TRUE;
        }
      return FALSE;
    }
  if (split_pair (condition, &mixer, &feedforward))
    return is_pair (point->pair, mixer, feedforward);
  return uses (point->pair->mixers, condition) || uses (point->pair->feedforwards, condition)
         || g_str_equal (point->task, condition) || g_str_equal (point->device, condition);
}

static gboolean
any (GPtrArray *patterns, const FmBatchPoint *point)
{
  gboolean found = FALSE;

  for (guint i = 0; i < patterns->len; i++)
    {
      FmBatchPattern *pattern = g_ptr_array_index (patterns, i);
      gboolean all = TRUE;

      for (guint k = 0; k < pattern->conditions->len && all; k++)
        all = holds (point, g_ptr_array_index (pattern->conditions, k));
      pattern->matched += all;
      found |= all;
    }
  return found;
}

gboolean
fm_batch_wants (FmBatchFile *file, const FmBatchPoint *point)
{
  gboolean included = file->include->len == 0 || any (file->include, point);

  return !any (file->exclude, point) && included;
}

void
fm_batch_reset_patterns (FmBatchFile *file)
{
  for (guint i = 0; i < file->include->len; i++)
    ((FmBatchPattern *) g_ptr_array_index (file->include, i))->matched = 0;
  for (guint i = 0; i < file->exclude->len; i++)
    ((FmBatchPattern *) g_ptr_array_index (file->exclude, i))->matched = 0;
}

gboolean
fm_batch_check_patterns (FmBatchFile *file, GError **error)
{
  const struct { const char *key; GPtrArray *patterns; } lines[] = { { "include", file->include },
                                                                     { "exclude", file->exclude } };

  for (guint l = 0; l < G_N_ELEMENTS (lines); l++)
    for (guint i = 0; i < lines[l].patterns->len; i++)
      {
        const FmBatchPattern *pattern = g_ptr_array_index (lines[l].patterns, i);

        if (pattern->matched == 0)
          return fm_batch_fail (file, fm_batch_find (file, "batch", lines[l].key), error,
                                "%s: no combination is “%s”; correct or remove it", lines[l].key, pattern->text);
      }
  return TRUE;
}
