/* expect-find.c: which variant a side of an expectation means, among those of a plan or of a store. */
#include "config.h"

#include "app/batch/batch-private.h"
#include "app/batch/expect.h"

#include <string.h>

/* --- Which variant a side means -----------------------------------------------------------------------------------*/

/* "A x B, window=8" -> is it called @name, or has it a mixer or feed-forward of that name? */
static gboolean
is_called (const char *variant, const char *name)
{
  const char *x = strstr (variant, " x "), *feedforward = x != NULL ? x + strlen (" x ") : NULL;
  gsize n = strlen (name);

  return fm_batch_names_variant (name, variant)
         || (feedforward != NULL && strncmp (feedforward, name, n) == 0
             && (feedforward[n] == '\0' || g_str_has_prefix (feedforward + n, ", ")));
}

static gboolean
same_value (const char *a, gsize length, const char *b)
{
  g_autofree char *text = g_strndup (a, length);
  char *a_end, *b_end;
  gdouble x = g_ascii_strtod (text, &a_end), y = g_ascii_strtod (b, &b_end);

  return g_str_equal (text, b) || (a_end != text && *a_end == '\0' && b_end != b && *b_end == '\0' && x == y);
}

/* Has @list, items KEY=VALUE with @separator between them, @key with @value? */
static gboolean
list_has (const char *list, const char *separator, const char *key, const char *value)
{
  gsize n = strlen (key);

  for (const char *item = list; item != NULL && *item != '\0';)
    {
      const char *end = strstr (item, separator);
      gsize length = end != NULL ? (gsize) (end - item) : strlen (item);

      if (length > n && strncmp (item, key, n) == 0 && item[n] == '='
          && same_value (item + n + 1, length - n - 1, value))
        return TRUE;
      item = end != NULL ? end + strlen (separator) : NULL;
    }
  return FALSE;
}

/* N: tokens of a task's main input; -1 when this program does not know it. */
static gint64
length_of (const FmExpectCandidate *c)
{
  const FmTaskClass *cls = c->task != NULL ? fm_task_class_find (c->task) : NULL;
  g_autofree gpointer params = cls != NULL ? g_malloc0 (MAX (cls->params_size, 1)) : NULL;
  g_auto (GStrv) words = g_strsplit (c->task_parameters != NULL ? c->task_parameters : "", " ", -1);
  g_autoptr (FmTask) task = NULL;

  if (cls == NULL)
    return -1;
  if (cls->params != NULL)
    fm_params_set_defaults (cls->params, params);
  for (guint i = 0; words[i] != NULL && cls->params != NULL; i++)
    {
      char *equals = strchr (words[i], '=');

      if (equals == NULL)
        continue;
      *equals = '\0';
      if (!fm_params_set (cls->params, params, words[i], equals + 1, NULL))
        return -1;
    }
  task = fm_task_new (c->task, params, NULL);
  return task != NULL ? fm_task_get_info (task)->inputs[0].length : -1;
}

static gboolean
holds (const FmExpectCandidate *c, const char *condition)
{
  const char *equals = strchr (condition, '='), *settings = strstr (c->variant, ", ");
  g_autofree char *key = g_strndup (condition, equals - condition);

  if (g_str_equal (key, "task"))
    return g_strcmp0 (c->task, equals + 1) == 0;
  if (g_str_equal (key, "device"))
    return g_strcmp0 (c->device, equals + 1) == 0;
  if (g_str_equal (key, "N"))
    {
      char *end;
      gdouble n = g_ascii_strtod (equals + 1, &end);

      return end != equals + 1 && *end == '\0' && n == (gdouble) length_of (c);
    }
  return list_has (settings != NULL ? settings + 2 : NULL, ", ", key, equals + 1)
         || list_has (c->task_parameters, " ", key, equals + 1);
}

gint
fm_expect_find (const FmExpectSide *side, const FmExpectCandidate *candidates, gsize n, gsize *other)
{
  gint found = FM_EXPECT_NONE;

  for (gsize i = 0; i < n; i++)
    {
      gboolean all = is_called (candidates[i].variant, side->variant);

      for (guint k = 0; k < side->conditions->len && all; k++)
        all = holds (&candidates[i], g_ptr_array_index (side->conditions, k));
      if (!all)
        continue;
      if (found != FM_EXPECT_NONE)
        {
          if (other != NULL)
            *other = i;
          return FM_EXPECT_SEVERAL;
        }
      found = (gint) i;
    }
  return found;
}

gboolean
fm_expect_same_ground (const FmExpectCandidate *a, const FmExpectCandidate *b)
{
  return g_strcmp0 (a->task, b->task) == 0 && g_strcmp0 (a->task_parameters, b->task_parameters) == 0
         && g_strcmp0 (a->device, b->device) == 0;
}

/* --- Against a plan -----------------------------------------------------------------------------------------------*/

/* "linear-attention, window=8" as it was written. */
static char *
side_text (const FmExpectSide *side)
{
  GString *out = g_string_new (side->variant);

  for (guint i = 0; i < side->conditions->len; i++)
    g_string_append_printf (out, ", %s", (const char *) g_ptr_array_index (side->conditions, i));
  return g_string_free (out, FALSE);
}

static gboolean
check_side (FmBatchFile *file, const FmBatchEntry *entry, const FmExpectSide *side, GArray *candidates, gint *found,
            GError **error)
{
  const FmExpectCandidate *all = (const FmExpectCandidate *) (gpointer) candidates->data;
  g_autofree char *text = side_text (side);
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  gboolean called = FALSE;
  gsize other = 0;
  const char *near;

  *found = fm_expect_find (side, all, candidates->len, &other);
  if (*found >= 0)
    return TRUE;
  if (*found == FM_EXPECT_SEVERAL)
    {
      const FmExpectCandidate *b = &all[other];
      gboolean same_name = FALSE;

      for (gsize i = 0; i < other; i++)
        same_name |= g_str_equal (all[i].variant, b->variant);
      if (same_name)
        return fm_batch_fail (file, entry, error, "%s: “%s” runs on several tasks or devices; choose with at task=%s, "
                              "at N= or at device=%s", entry->key, text, b->task, b->device);
      return fm_batch_fail (file, entry, error, "%s: “%s” means several variants, also “%s”; name one in full, or "
                            "choose with at KEY=VALUE", entry->key, text, b->variant);
    }
  for (gsize i = 0; i < candidates->len; i++)
    {
      const char *x = strstr (all[i].variant, " x ");

      called |= is_called (all[i].variant, side->variant);
      g_ptr_array_add (names, (gpointer) all[i].variant);
      if (x != NULL)
        g_ptr_array_add (names, (gpointer) g_intern_string (x + strlen (" x ")));
    }
  g_ptr_array_add (names, NULL);
  if (called)
    return fm_batch_fail (file, entry, error, "%s: no run of %s has what “%s” asks for; a condition is a setting that "
                          "differs in this batch, a parameter of the task, N, task or device", entry->key,
                          side->variant, text);
  near = fm_nearest_name (side->variant, (const char * const *) names->pdata);
  if (near == NULL)
    {
      /* Plugins by themselves are the usual way to name one. */
      g_ptr_array_set_size (names, 0);
      for (guint i = 0; i < file->pairs->len; i++)
        for (char **id = ((FmBatchPair *) g_ptr_array_index (file->pairs, i))->mixers; *id; id++)
          g_ptr_array_add (names, *id);
      g_ptr_array_add (names, NULL);
      near = fm_nearest_name (side->variant, (const char * const *) names->pdata);
    }
  if (near != NULL)
    return fm_batch_fail (file, entry, error, "%s: there is no variant “%s” in this batch; did you mean “%s”?",
                          entry->key, side->variant, near);
  return fm_batch_fail (file, entry, error, "%s: there is no variant “%s” in this batch, which has %s and others",
                        entry->key, side->variant, all[0].variant);
}

static gboolean
check_expectation (FmBatchFile *file, const FmExpectation *e, GArray *candidates, GError **error)
{
  const FmBatchEntry *entry = fm_batch_find (file, "expect", e->name);
  gint left, right;

  if (!check_side (file, entry, e->left, candidates, &left, error))
    return FALSE;
  if (e->right == NULL)
    return TRUE;
  if (!check_side (file, entry, e->right, candidates, &right, error))
    return FALSE;
  if (left == right)
    return fm_batch_fail (file, entry, error, "%s: compares “%s” with itself", entry->key,
                          g_array_index (candidates, FmExpectCandidate, left).variant);
  if (fm_expect_quantity_is_score (e->quantity)
      && !fm_expect_same_ground (&g_array_index (candidates, FmExpectCandidate, left),
                                 &g_array_index (candidates, FmExpectCandidate, right)))
    return fm_batch_fail (file, entry, error, "%s: %s on different data or devices cannot be compared; let both "
                          "sides be on one", entry->key, fm_expect_quantity_name (e->quantity));
  return TRUE;
}

gboolean
fm_batch_check_expect (FmBatchPlan *plan, FmBatchFile *file, GError **error)
{
  g_autoptr (GArray) candidates = g_array_new (FALSE, FALSE, sizeof (FmExpectCandidate));
  g_autoptr (GPtrArray) texts = g_ptr_array_new_with_free_func (g_free);

  if (file->claim == NULL)
    return TRUE;
  for (guint i = 0; i < plan->runs->len; i++)
    {
      const FmBatchRun *run = g_ptr_array_index (plan->runs, i);
      const FmTaskClass *cls = fm_task_get_class (run->task);
      FmExpectCandidate c = { run->variant, cls->id, fm_params_to_string (cls->params, fm_task_get_params (run->task)),
                              run->device };
      gboolean known = FALSE;

      g_ptr_array_add (texts, (gpointer) c.task_parameters);
      for (guint k = 0; k < candidates->len && !known; k++)
        {
          const FmExpectCandidate *other = &g_array_index (candidates, FmExpectCandidate, k);

          known = g_str_equal (other->variant, c.variant) && fm_expect_same_ground (other, &c);
        }
      if (!known)
        g_array_append_val (candidates, c);
    }
  for (guint i = 0; i < file->claim->expectations->len; i++)
    if (!check_expectation (file, g_ptr_array_index (file->claim->expectations, i), candidates, error))
      return FALSE;
  return TRUE;
}
