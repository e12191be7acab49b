/* tune.c: a budget of trials: settings that are chosen for each variant before it runs, the same number of trials for all.
 *
 *   [batch]
 *   tune=rate:0.001,0.003,0.01; decay:0,0.01
 *
 * Every combination is one trial: a training stage of its own with FM_TUNING_SEED, a seed that no run of the comparison
 * has, scored on validation alone. The runs' training stages start from these stages: the settings of the best trial fill
 * what their recipes leave open, so a stage's id is known before its trials are. A section of a plugin may have a tune= of
 * its own, or tune=none, for the variants that use the plugin; hold=trials refuses unequal numbers. */
#include "config.h"

#include "app/batch/batch-private.h"

#include <string.h>

/* What an optimizer is tuned by; nothing here changes what a step costs. */
static const char * const tunable[] = { "rate", "decay", "clip", "momentum", "warmup", NULL };

static void
tuned_free (FmBatchTuned *tuned)
{
  g_ptr_array_unref (tuned->values);
  g_free (tuned);
}

void
fm_batch_tuning_free (FmBatchTuning *tuning)
{
  g_ptr_array_unref (tuning->tuned);
  g_free (tuning);
}

static gboolean
parse_values (FmBatchFile *file, const FmBatchEntry *entry, FmBatchTuned *tuned, const char *text, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (text, ",", -1);
  FmBatchSettings scratch;

  fm_params_set_defaults (fm_batch_setting_params, &scratch);
  for (guint i = 0; parts[i]; i++)
    {
      g_autofree char *value = NULL;

      if (!fm_params_set (fm_batch_setting_params, &scratch, tuned->name, g_strstrip (parts[i]), error))
        {
          g_prefix_error (error, "tune=%s: ", entry->value);
          return fm_batch_blame (file, entry, error);
        }
      value = fm_params_get (fm_batch_setting_params, &scratch, tuned->name);
      if (g_ptr_array_find_with_equal_func (tuned->values, value, g_str_equal, NULL))
        return fm_batch_fail (file, entry, error, "tune=%s: names %s=%s twice", entry->value, tuned->name, value);
      g_ptr_array_add (tuned->values, g_steal_pointer (&value));
    }
  return TRUE;
}

static gboolean
parse_item (FmBatchFile *file, const FmBatchEntry *entry, FmBatchTuning *tuning, const char *item, GError **error)
{
  const char *colon = strchr (item, ':');
  g_autofree char *name = g_strstrip (colon ? g_strndup (item, colon - item) : g_strdup (item));
  FmBatchTuned *tuned;
  guint i = 0;

  while (tunable[i] && !g_str_equal (tunable[i], name))
    i++;
  if (tunable[i] == NULL)
    {
      g_autofree char *all = g_strjoinv (", ", (char **) tunable);

      return fm_batch_fail (file, entry, error, "tune=%s: “%s” cannot be tuned; there are %s, as in rate:0.001,0.01",
                            entry->value, name, all);
    }
  if (colon == NULL)
    return fm_batch_fail (file, entry, error, "tune=%s: the values of %s are missing; write %s:VALUE,VALUE", entry->value,
                          name, name);
  for (guint k = 0; k < tuning->tuned->len; k++)
    if (g_str_equal (((FmBatchTuned *) g_ptr_array_index (tuning->tuned, k))->name, name))
      return fm_batch_fail (file, entry, error, "tune=%s: names %s twice; join its values with `,`", entry->value, name);
  tuned = g_new0 (FmBatchTuned, 1);
  tuned->name = tunable[i];
  tuned->values = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_add (tuning->tuned, tuned);
  return parse_values (file, entry, tuned, colon + 1, error);
}

guint
fm_batch_tuning_count (const FmBatchTuning *tuning)
{
  guint n = tuning && tuning->tuned->len > 0;

  for (guint i = 0; tuning && i < tuning->tuned->len; i++)
    n *= ((FmBatchTuned *) g_ptr_array_index (tuning->tuned, i))->values->len;
  return n;
}

gboolean
fm_batch_parse_tune (FmBatchFile *file, const FmBatchEntry *entry, const char *owner, GError **error)
{
  g_autoptr (GPtrArray) list = fm_batch_split (file, entry, error);
  FmBatchTuning *tuning;
  gdouble n = 1;

  if (list == NULL)
    return FALSE;
  tuning = g_new0 (FmBatchTuning, 1);
  tuning->owner = owner;
  tuning->entry = entry;
  tuning->tuned = g_ptr_array_new_with_free_func ((GDestroyNotify) tuned_free);
  g_ptr_array_add (file->tunings, tuning);
  if (list->len == 1 && g_str_equal (g_ptr_array_index (list, 0), "none"))
    return TRUE;
  for (guint i = 0; i < list->len; i++)
    if (!parse_item (file, entry, tuning, g_ptr_array_index (list, i), error))
      return FALSE;
  for (guint i = 0; i < tuning->tuned->len; i++)
    n *= ((FmBatchTuned *) g_ptr_array_index (tuning->tuned, i))->values->len;
  if (n > FM_TUNING_MOST)
    return fm_batch_fail (file, entry, error, "tune=%s: makes %.0f trials a variant; %d at most", entry->value, n,
                          FM_TUNING_MOST);
  return TRUE;
}

/* Is the setting tuned for some variant, while a line of [batch] says what it is? */
static gboolean
check_settings (FmBatchFile *file, const FmBatchTuning *tuning, GError **error)
{
  for (guint i = 0; i < tuning->tuned->len; i++)
    {
      const FmBatchTuned *tuned = g_ptr_array_index (tuning->tuned, i);
      const FmBatchEntry *line = fm_batch_find (file, "batch", tuned->name);

      if (line)
        return fm_batch_fail (file, tuning->entry, error, "tune=%s: %s is to be chosen, but %s=%s says what it is; keep one "
                              "of the two", tuning->entry->value, tuned->name, tuned->name, line->value);
    }
  return TRUE;
}

gboolean
fm_batch_check_tune (FmBatchFile *file, GError **error)
{
  guint most = 0;

  for (guint i = 0; i < file->tunings->len; i++)
    {
      const FmBatchTuning *tuning = g_ptr_array_index (file->tunings, i);

      if (!check_settings (file, tuning, error))
        return FALSE;
      most = MAX (most, fm_batch_tuning_count (tuning));
    }
  if (file->hold.trials && most == 0)
    return fm_batch_fail (file, file->hold.entry, error, "hold=%s: there are no trials to hold equal; write "
                          "tune=rate:0.001,0.003,0.01, for one", file->hold.entry->value);
  if (most > 0 && file->budget_unit == FM_LENGTH_STEPS && file->budget == 0)
    return fm_batch_fail (file, ((FmBatchTuning *) g_ptr_array_index (file->tunings, 0))->entry, error,
                          "tune: budget=steps:0 trains nothing, so there is nothing to tune; remove one of the two");
  for (guint i = 0; most > 0 && i < file->seeds->len; i++)
    if (g_array_index (file->seeds, gint64, i) == FM_TUNING_SEED)
      return fm_batch_fail (file, fm_batch_find (file, "batch", "seeds"), error,
                            "seeds: %d is the seed of the trials that tune= asks for; take another one", FM_TUNING_SEED);
  return TRUE;
}

gboolean
fm_batch_tuning_find (FmBatchFile *file, const FmBatchPair *pair, const FmBatchTuning **found, GError **error)
{
  const FmBatchTuning *general = NULL;

  *found = NULL;
  for (guint i = 0; i < file->tunings->len; i++)
    {
      const FmBatchTuning *tuning = g_ptr_array_index (file->tunings, i);

      if (*tuning->owner == '\0')
        general = tuning;
      else if (g_strv_contains ((const char * const *) pair->mixers, tuning->owner)
               || g_strv_contains ((const char * const *) pair->feedforwards, tuning->owner))
        {
          if (*found)
            return fm_batch_fail (file, tuning->entry, error, "tune=%s: [%s] has a tune= too, and a variant uses both "
                                  "plugins; keep one", tuning->entry->value, (*found)->owner);
          *found = tuning;
        }
    }
  if (*found == NULL)
    *found = general;
  return TRUE;
}

const char *
fm_batch_tuning_value (const FmBatchTuning *tuning, guint trial, guint i)
{
  const FmBatchTuned *tuned;

  for (guint k = tuning->tuned->len - 1; k > i; k--)
    trial /= ((FmBatchTuned *) g_ptr_array_index (tuning->tuned, k))->values->len;
  tuned = g_ptr_array_index (tuning->tuned, i);
  return g_ptr_array_index (tuned->values, trial % tuned->values->len);
}

gboolean
fm_batch_tuning_has (const FmBatchTuning *tuning, const char *name)
{
  for (guint i = 0; tuning && i < tuning->tuned->len; i++)
    if (g_str_equal (((FmBatchTuned *) g_ptr_array_index (tuning->tuned, i))->name, name))
      return TRUE;
  return FALSE;
}
