/* inspect-run.c: `formarium inspect RUN`: what each stage of a run was made of and by, as it was written down then. */
#include "config.h"

#include "app/command/inspect-run.h"

#include "app/json.h"

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
    }
  if (fm_args_has (args, "--json"))
    {
      g_autoptr (JsonNode) node = json_node_init_array (json_node_alloc (), rows);

      return fm_command_print_json (node);
    }
  g_print ("run %" G_GINT64_FORMAT ": %s, seed %" G_GINT64_FORMAT ", %s%s%s\n", run->id, run->variant, run->seed, run->state,
           run->reason ? ": " : "", run->reason ? run->reason : "");
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
