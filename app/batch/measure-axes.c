/* measure-axes.c: the key measure= of a batch file. */
#include "config.h"

#include "app/batch/batch-private.h"
#include "app/batch/measure-axes.h"

#include <errno.h>
#include <string.h>

static const char * const kinds[] = { "forward", "train", "prefill", "decode", NULL };

gboolean
fm_meter_parse (const char *text, FmMeter *meter, GError **error)
{
  const char *colon = strchr (text, ':'), *near;
  g_autofree char *name = colon ? g_strndup (text, (gsize) (colon - text)) : g_strdup (text);
  char *end;

  *meter = (FmMeter){ 0 };
  for (guint k = 0; kinds[k]; k++)
    {
      if (!g_str_equal (kinds[k], name))
        continue;
      meter->kind = (FmMeterKind) k;
      if (k < FM_METER_PREFILL && colon == NULL)
        return TRUE;
      if (k < FM_METER_PREFILL)
        {
          g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "%s takes no length; write %s alone", name, name);
          return FALSE;
        }
      errno = 0;
      meter->length = colon && g_ascii_isdigit (colon[1]) ? g_ascii_strtoll (colon + 1, &end, 10) : 0;
      if (meter->length >= 1 && meter->length <= FM_METER_MOST_TOKENS && errno == 0 && *end == '\0')
        return TRUE;
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "“%s” must be %s:LEN with 1 to %d tokens", text, name,
                   FM_METER_MOST_TOKENS);
      return FALSE;
    }
  near = fm_nearest_name (name, kinds);
  g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "“%s” cannot be measured; %s%s%s", text,
               near ? "did you mean “" : "there are train, forward, prefill:LEN and decode:LEN", near ? near : "",
               near ? "”?" : "");
  return FALSE;
}

char *
fm_meter_to_string (const FmMeter *meter)
{
  if (meter->length > 0)
    return g_strdup_printf ("%s:%" G_GINT64_FORMAT, kinds[meter->kind], meter->length);
  return g_strdup (kinds[meter->kind]);
}

/* By kind, then by length: what is asked for counts, not in which order. */
static gint
compare_meters (gconstpointer a, gconstpointer b)
{
  FmMeter left, right;

  if (!fm_meter_parse (*(char * const *) a, &left, NULL) || !fm_meter_parse (*(char * const *) b, &right, NULL))
    g_return_val_if_reached (0);
  if (left.kind != right.kind)
    return (gint) left.kind - (gint) right.kind;
  return left.length < right.length ? -1 : left.length > right.length;
}

/* TRUE where the batch file makes a causal model at all. */
static gboolean
may_be_causal (FmBatchFile *file)
{
  for (guint i = 0; i < file->axes->len; i++)
    {
      const FmBatchAxis *axis = g_ptr_array_index (file->axes, i);

      if (*axis->owner == '\0' && g_str_equal (axis->name, "causal"))
        return g_ptr_array_find_with_equal_func (axis->values, "true", g_str_equal, NULL);
    }
  return FALSE;
}

gboolean
fm_batch_parse_measure (FmBatchFile *file, GError **error)
{
  const FmBatchEntry *entry = fm_batch_find (file, "batch", "measure");
  g_autoptr (GPtrArray) list = NULL;

  g_ptr_array_set_size (file->measure, 0);
  if (entry == NULL)
    return TRUE;
  list = fm_batch_split (file, entry, error);
  if (list == NULL)
    return FALSE;
  for (guint i = 0; i < list->len; i++)
    {
      g_autofree char *text = NULL;
      FmMeter meter;

      if (!fm_meter_parse (g_ptr_array_index (list, i), &meter, error))
        {
          g_prefix_error (error, "measure=%s: ", entry->value);
          return fm_batch_blame (file, entry, error);
        }
      text = fm_meter_to_string (&meter);
      if (g_ptr_array_find_with_equal_func (file->measure, text, g_str_equal, NULL))
        return fm_batch_fail (file, entry, error, "measure=%s: names %s twice", entry->value, text);
      if (meter.kind >= FM_METER_PREFILL && !may_be_causal (file))
        return fm_batch_fail (file, entry, error, "measure=%s: %s needs a causal model; write causal=true, too",
                              entry->value, text);
      if (meter.kind != FM_METER_FORWARD) /* as ever: a recipe that asks for nothing more keeps its id */
        g_ptr_array_add (file->measure, g_steal_pointer (&text));
    }
  g_ptr_array_sort (file->measure, compare_meters);
  return TRUE;
}
