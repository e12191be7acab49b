/* tuning.c: what trials found, and the settings that the training stage behind them gets. The choice is a function of the
 * trials' rows on validation alone: whoever starts the stage again, here or from a copy of the store, chooses the same. */
#include "config.h"

#include "app/run/run-private.h"

#include <math.h>
#include <string.h>

/* The score of a trial, over all its targets: metrics with this tag. */
static gdouble
metric_of (GPtrArray *metrics, const char *name)
{
  for (guint i = 0; i < metrics->len; i++)
    {
      const FmMetricRow *row = g_ptr_array_index (metrics, i);

      if (g_str_equal (row->tag, FM_TRIAL_TAG) && g_str_equal (row->target, "") && g_str_equal (row->name, name))
        return row->value;
    }
  return NAN;
}

gboolean
fm_tuning_add_trials (FmStore *store, const FmStageRecord *record, JsonObject *recipe, JsonObject *request, GError **error)
{
  g_autoptr (JsonArray) trials = json_array_new ();

  if (fm_json_array (recipe, "tune") == NULL)
    return TRUE;
  for (guint i = 0; i < record->inputs->len; i++)
    {
      const char *id = g_ptr_array_index (record->inputs, i);
      g_autoptr (GPtrArray) metrics = fm_store_load_metrics (store, id, error);
      g_autoptr (FmStageRecord) trial = metrics ? fm_store_load_stage (store, id, error) : NULL;
      JsonObject *found;

      if (trial == NULL)
        return FALSE;
      found = json_object_new ();
      json_object_set_string_member (found, "stage", id);
      fm_json_set_double (found, "accuracy", metric_of (metrics, "accuracy"));
      fm_json_set_double (found, "loss", metric_of (metrics, "loss"));
      if (trial->diverged_tensor)
        {
          json_object_set_string_member (found, "diverged_tensor", trial->diverged_tensor);
          json_object_set_int_member (found, "diverged_step", trial->diverged_step);
        }
      json_array_add_object_element (trials, found);
    }
  json_object_set_array_member (request, "trials", g_steal_pointer (&trials));
  return TRUE;
}

gint
fm_tuning_choose (JsonArray *trials)
{
  gint best = -1;
  gdouble accuracy = -1, loss = INFINITY;

  for (guint i = 0; i < json_array_get_length (trials); i++)
    {
      JsonNode *node = json_array_get_element (trials, i);
      JsonObject *found = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
      gdouble a = found ? fm_json_double (found, "accuracy", NAN) : NAN;
      gdouble l = found ? fm_json_double (found, "loss", NAN) : NAN;

      if (!isfinite (a) || !isfinite (l) || a < accuracy || (a == accuracy && l >= loss))
        continue;
      best = (gint) i;
      accuracy = a;
      loss = l;
    }
  return best;
}

static gboolean
set_setting (FmRecipe *recipe, const char *name, gdouble value)
{
  if (g_str_equal (name, "rate"))
    recipe->rate = value;
  else if (g_str_equal (name, "decay"))
    recipe->optimizer.decay = value;
  else if (g_str_equal (name, "clip"))
    recipe->optimizer.clip = value;
  else if (g_str_equal (name, "momentum"))
    recipe->optimizer.momentum = value;
  else if (g_str_equal (name, "warmup"))
    recipe->warmup = (gint64) value;
  else
    return FALSE;
  return TRUE;
}

gboolean
fm_tuning_apply (FmRecipe *recipe, guint trial, GError **error)
{
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;

  json_object_iter_init (&iter, g_ptr_array_index (recipe->tune, trial));
  while (json_object_iter_next (&iter, &name, &node))
    {
      const char *text = JSON_NODE_HOLDS_VALUE (node) ? json_node_get_string (node) : NULL;
      gdouble value = text ? g_ascii_strtod (text, NULL) : NAN;

      if (!isfinite (value) || !set_setting (recipe, name, value))
        {
          g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "A trial of the recipe sets %s to %s, which this program "
                       "does not know", name, text ? text : "no number");
          return FALSE;
        }
    }
  return TRUE;
}

char *
fm_tuning_to_string (JsonObject *settings)
{
  GString *out = g_string_new (NULL);
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;

  json_object_iter_init_ordered (&iter, settings);
  while (json_object_iter_next_ordered (&iter, &name, &node))
    {
      const char *text = JSON_NODE_HOLDS_VALUE (node) ? json_node_get_string (node) : NULL;

      g_string_append_printf (out, "%s%s=%s", out->len > 0 ? ", " : "", name, text ? text : "?");
    }
  return g_string_free (out, FALSE);
}
