/* inspect-run.c: `formarium inspect RUN`: what each stage of a run was made of and by, as it was written down then. */
#include "config.h"

#include "app/command/inspect-run.h"

#include "app/json.h"

#include <math.h>

#include <string.h>

static void
add_object (JsonObject *object, const char *name, const char *text)
{
  g_autoptr (JsonNode) node = text ? json_from_string (text, NULL) : NULL;

  if (node && JSON_NODE_HOLDS_OBJECT (node))
    json_object_set_object_member (object, name, json_node_dup_object (node));
  else
    json_object_set_null_member (object, name);
}

static void
add_time (JsonObject *object, const char *name, gint64 time_us)
{
  g_autoptr (GDateTime) time = time_us > 0 ? g_date_time_new_from_unix_utc (time_us / G_USEC_PER_SEC) : NULL;
  g_autofree char *text = time ? g_date_time_format_iso8601 (time) : NULL;

  if (text)
    json_object_set_string_member (object, name, text);
}

/* Curves of the whole model, each a list of [step, value]; those of a layer or an expert are in the store and the
 * report. */
static gboolean
add_curves (JsonObject *object, FmStore *store, const FmStageRecord *stage, GError **error)
{
  g_autoptr (GPtrArray) points = fm_store_load_curve (store, stage->id, NULL, -1, error);
  JsonObject *curves;

  if (points == NULL)
    return FALSE;
  curves = json_object_new ();
  for (guint i = 0; i < points->len; i++)
    {
      const FmCurvePoint *point = g_ptr_array_index (points, i);
      JsonArray *pair;

      if (*point->tag)
        continue;
      if (!json_object_has_member (curves, point->name))
        json_object_set_array_member (curves, point->name, json_array_new ());
      pair = json_array_new ();
      json_array_add_int_element (pair, point->step);
      if (isfinite (point->value))
        json_array_add_double_element (pair, point->value);
      else
        json_array_add_null_element (pair);
      json_array_add_array_element (json_object_get_array_member (curves, point->name), pair);
    }
  if (json_object_get_size (curves) > 0)
    json_object_set_object_member (object, "curves", curves);
  else
    json_object_unref (curves);
  return TRUE;
}

/* What a stage came to: its loss from the first to the last point of the curve, its scores, its latency. */
static gboolean
add_results (JsonObject *object, FmStore *store, const FmStageRecord *stage, GError **error)
{
  g_autoptr (GPtrArray) metrics = fm_store_load_metrics (store, stage->id, error);
  g_autoptr (GPtrArray) curve = metrics ? fm_store_load_curve (store, stage->id, "loss", -1, error) : NULL;
  g_autoptr (JsonObject) results = json_object_new ();

  if (curve == NULL)
    return FALSE;
  if (curve->len > 0)
    {
      gdouble first = ((FmCurvePoint *) g_ptr_array_index (curve, 0))->value;
      gdouble last = ((FmCurvePoint *) g_ptr_array_index (curve, curve->len - 1))->value;

      if (isfinite (first))
        json_object_set_double_member (results, "first_loss", first);
      if (isfinite (last))
        json_object_set_double_member (results, "last_loss", last);
    }
  for (guint i = 0; i < metrics->len; i++)
    {
      const FmMetricRow *row = g_ptr_array_index (metrics, i);
      g_autofree char *name = g_strdup_printf ("%s_accuracy", row->split);

      if (g_str_equal (row->name, "accuracy") && *row->split && *row->tag == '\0' &&
          !json_object_has_member (results, name))
        json_object_set_double_member (results, name, row->value);
    }
  if (json_object_get_size (results) > 0)
    json_object_set_object_member (object, "results", g_steal_pointer (&results));
  return TRUE;
}

static JsonObject *
stage_to_json (const FmRunRecord *run, const FmStageRecord *stage)
{
  JsonObject *object = json_object_new ();

  json_object_set_int_member (object, "run_id", run->id);
  json_object_set_string_member (object, "variant", run->variant);
  json_object_set_int_member (object, "seed", run->seed);
  json_object_set_string_member (object, "stage", stage->id);
  json_object_set_string_member (object, "kind", stage->kind);
  json_object_set_string_member (object, "state", fm_stage_state_to_string (stage->state));
  if (stage->reason)
    json_object_set_string_member (object, "reason", stage->reason);
  add_time (object, "started", stage->started_us);
  add_time (object, "ended", stage->ended_us);
  add_object (object, "recipe", stage->recipe);
  add_object (object, "provenance", stage->provenance);
  return object;
}

/* Names with dots for what lies within: "files.blas.file". */
static void
print_member (const char *name, JsonNode *node)
{
  if (JSON_NODE_HOLDS_OBJECT (node))
    {
      JsonObject *object = json_node_get_object (node);
      g_autoptr (GList) members = json_object_get_members (object);

      for (GList *l = members; l; l = l->next)
        {
          g_autofree char *inner = *name ? g_strdup_printf ("%s.%s", name, (char *) l->data) : g_strdup (l->data);

          print_member (inner, json_object_get_member (object, l->data));
        }
    }
  else if (JSON_NODE_HOLDS_ARRAY (node))
    {
      JsonArray *array = json_node_get_array (node);

      for (guint i = 0; i < json_array_get_length (array); i++)
        {
          g_autofree char *inner = g_strdup_printf ("%s.%u", name, i);

          print_member (inner, json_array_get_element (array, i));
        }
    }
  else if (!JSON_NODE_HOLDS_NULL (node))
    {
      g_autofree char *number = json_to_string (node, FALSE);

      fm_json_repair_numbers (number);
      g_print ("  %-34s %s\n", name,
               json_node_get_value_type (node) == G_TYPE_STRING ? json_node_get_string (node) : number);
    }
}

static const char *
text_of (JsonObject *object, const char *name)
{
  return object && json_object_has_member (object, name) ? json_object_get_string_member (object, name) : "";
}

/* (transfer full): the texts of an array between @separator; "" without one. */
static char *
joined (JsonObject *object, const char *name, const char *separator)
{
  JsonArray *array =
      object && json_object_has_member (object, name) ? json_object_get_array_member (object, name) : NULL;
  GString *text = g_string_new (NULL);

  for (guint i = 0; array && i < json_array_get_length (array); i++)
    g_string_append_printf (text, "%s%s", i ? separator : "", json_array_get_string_element (array, i));
  return g_string_free (text, FALSE);
}

/* One line a stage of a chain: from what it started, what it trained, what it came to. */
static void
print_chain (JsonArray *rows)
{
  for (guint i = 0; i < json_array_get_length (rows); i++)
    {
      JsonObject *row = json_array_get_object_element (rows, i);
      JsonObject *recipe =
          json_object_get_null_member (row, "recipe") ? NULL : json_object_get_object_member (row, "recipe");
      JsonObject *results =
          json_object_has_member (row, "results") ? json_object_get_object_member (row, "results") : NULL;
      JsonObject *task =
          recipe && json_object_has_member (recipe, "task") ? json_object_get_object_member (recipe, "task") : NULL;
      g_autofree char *inputs = joined (recipe, "inputs", " and "), *trains = joined (recipe, "trains", ";");
      g_autofree char *init = joined (recipe, "init", ";");

      g_print ("  %u. %s %s: ", i + 1, text_of (row, "kind"), text_of (row, "stage"));
      if (recipe && json_object_has_member (recipe, "steps"))
        g_print ("%" G_GINT64_FORMAT " steps on %s, ", json_object_get_int_member (recipe, "steps"),
                 text_of (task, "id"));
      g_print ("from %s", *inputs ? inputs : "nothing");
      if (*init)
        g_print (", init=%s", init);
      if (*trains)
        g_print (", trains %s", trains);
      g_print ("; %s", text_of (row, "state"));
      if (results && json_object_has_member (results, "first_loss") && json_object_has_member (results, "last_loss"))
        g_print (", loss %.3g to %.3g", json_object_get_double_member (results, "first_loss"),
                 json_object_get_double_member (results, "last_loss"));
      if (results && json_object_has_member (results, "test_accuracy"))
        g_print (", test accuracy %.1f %%", 100 * json_object_get_double_member (results, "test_accuracy"));
      g_print ("\n");
    }
}

int
fm_inspect_run (const FmArgs *args, gint64 id)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmStore) store = fm_command_open_store (args, FM_STORE_READ, &error);
  g_autoptr (FmRunRecord) run = store ? fm_store_load_run (store, id, &error) : NULL;
  g_autoptr (JsonArray) rows = json_array_new ();

  if (run == NULL)
    return fm_command_error (g_steal_pointer (&error));
  for (guint i = 0; i < run->stages->len; i++)
    {
      g_autoptr (FmStageRecord) stage = fm_store_load_stage (store, g_ptr_array_index (run->stages, i), &error);

      if (stage == NULL)
        return fm_command_error (g_steal_pointer (&error));
      json_array_add_object_element (rows, stage_to_json (run, stage));
      if (!add_results (json_array_get_object_element (rows, i), store, stage, &error) ||
          (fm_args_has (args, "--json") && !add_curves (json_array_get_object_element (rows, i), store, stage, &error)))
        return fm_command_error (g_steal_pointer (&error));
    }
  if (fm_args_has (args, "--json"))
    {
      g_autoptr (JsonNode) node = json_node_init_array (json_node_alloc (), rows);

      return fm_command_print_json (node);
    }
  g_print ("run %" G_GINT64_FORMAT ": %s, seed %" G_GINT64_FORMAT ", %s%s%s\n", run->id, run->variant, run->seed,
           run->state, run->reason ? ": " : "", run->reason ? run->reason : "");
  print_chain (rows);
  for (guint i = 0; i < json_array_get_length (rows); i++)
    {
      JsonObject *row = json_array_get_object_element (rows, i);

      g_print ("\n%s, stage %s: %s\n", json_object_get_string_member (row, "kind"),
               json_object_get_string_member (row, "stage"), json_object_get_string_member (row, "state"));
      print_member ("", json_object_get_member (row, "provenance"));
      print_member ("recipe", json_object_get_member (row, "recipe"));
    }
  return FM_EXIT_OK;
}
