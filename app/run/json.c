/* json.c: JSON lines and the rows of a stage as JSON. */
#include "config.h"

#include "app/json.h"
#include "app/run/run-private.h"

#include <math.h>
#include <string.h>

static JsonNode *
member (JsonObject *object, const char *name, JsonNodeType type)
{
  JsonNode *node = object ? json_object_get_member (object, name) : NULL;

  return node && json_node_get_node_type (node) == type ? node : NULL;
}

const char *
fm_json_text (JsonObject *object, const char *name, const char *fallback)
{
  JsonNode *node = member (object, name, JSON_NODE_VALUE);

  return node && json_node_get_value_type (node) == G_TYPE_STRING ? json_node_get_string (node) : fallback;
}

gint64
fm_json_int (JsonObject *object, const char *name, gint64 fallback)
{
  JsonNode *node = member (object, name, JSON_NODE_VALUE);

  return node && json_node_get_value_type (node) != G_TYPE_STRING ? json_node_get_int (node) : fallback;
}

/* Recipes hold real numbers as text, which every writer leaves alone. */
gdouble
fm_json_double (JsonObject *object, const char *name, gdouble fallback)
{
  JsonNode *node = object ? json_object_get_member (object, name) : NULL;
  const char *text;
  char *end;
  gdouble value;

  if (node == NULL)
    return fallback;
  if (JSON_NODE_HOLDS_NULL (node))
    return NAN;
  if (!JSON_NODE_HOLDS_VALUE (node))
    return fallback;
  if (json_node_get_value_type (node) != G_TYPE_STRING)
    return json_node_get_double (node);
  text = json_node_get_string (node);
  value = g_ascii_strtod (text, &end);
  return end != text && *end == '\0' ? value : fallback;
}

gboolean
fm_json_bool (JsonObject *object, const char *name)
{
  JsonNode *node = member (object, name, JSON_NODE_VALUE);

  return node && json_node_get_value_type (node) == G_TYPE_BOOLEAN && json_node_get_boolean (node);
}

JsonObject *
fm_json_object (JsonObject *object, const char *name)
{
  JsonNode *node = member (object, name, JSON_NODE_OBJECT);

  return node ? json_node_get_object (node) : NULL;
}

JsonArray *
fm_json_array (JsonObject *object, const char *name)
{
  JsonNode *node = member (object, name, JSON_NODE_ARRAY);

  return node ? json_node_get_array (node) : NULL;
}

void
fm_json_set_double (JsonObject *object, const char *name, gdouble value)
{
  if (isfinite (value))
    json_object_set_double_member (object, name, value);
  else
    json_object_set_null_member (object, name);
}

JsonObject *
fm_json_parse (const char *text, gssize length, GError **error)
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  JsonNode *root;

  if (!json_parser_load_from_data (parser, text, length, error))
    return NULL;
  root = json_parser_get_root (parser);
  if (root == NULL || !JSON_NODE_HOLDS_OBJECT (root))
    {
      /* What stands there may be of any length, and no text at all. */
      g_autofree char *head = g_utf8_make_valid (text, MIN (length < 0 ? (gssize) strlen (text) : length, 80));

      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_RUN, "not a JSON object: %s", head);
      return NULL;
    }
  return json_object_ref (json_node_get_object (root));
}

char *
fm_json_line (JsonObject *object)
{
  g_autoptr (JsonNode) node = json_node_init_object (json_node_alloc (), object);
  g_autofree char *text = json_to_string (node, FALSE);

  fm_json_repair_numbers (text);
  return g_strconcat (text, "\n", NULL);
}

/* --- Rows of a stage -----------------------------------------------------------------------------------------------
 * Each row is an array in the order of its adder's arguments. */

static JsonArray *
new_rows (JsonObject *object, const char *name)
{
  JsonArray *rows = json_array_new ();

  json_object_set_array_member (object, name, rows);
  return rows;
}

static JsonArray *
new_row (JsonArray *rows)
{
  JsonArray *row = json_array_new ();

  json_array_add_array_element (rows, row);
  return row;
}

static void
add_text (JsonArray *row, const char *text)
{
  json_array_add_string_element (row, text ? text : "");
}

static void
add_double (JsonArray *row, gdouble value)
{
  if (isfinite (value))
    json_array_add_double_element (row, value);
  else
    json_array_add_null_element (row);
}

JsonObject *
fm_stage_result_to_json (const FmStageResult *result)
{
  JsonObject *object = json_object_new ();
  JsonArray *rows, *row;

  if (result->reason)
    json_object_set_string_member (object, "reason", result->reason);
  json_object_set_int_member (object, "fallbacks", result->fallbacks);
  json_object_set_int_member (object, "diverged_step", result->diverged_step);
  if (result->diverged_tensor)
    json_object_set_string_member (object, "diverged_tensor", result->diverged_tensor);
  if (result->provenance)
    json_object_set_string_member (object, "provenance", result->provenance);

  rows = new_rows (object, "metrics");
  for (guint i = 0; i < result->metrics->len; i++)
    {
      const FmMetricRow *m = g_ptr_array_index (result->metrics, i);

      row = new_row (rows);
      add_text (row, m->split);
      add_text (row, m->target);
      add_text (row, m->tag);
      add_text (row, m->name);
      add_double (row, m->value);
    }
  rows = new_rows (object, "curve");
  for (guint i = 0; i < result->curve->len; i++)
    {
      const FmCurvePoint *p = g_ptr_array_index (result->curve, i);

      row = new_row (rows);
      json_array_add_int_element (row, p->step);
      add_text (row, p->name);
      add_text (row, p->tag);
      add_double (row, p->value);
    }
  rows = new_rows (object, "outcomes");
  for (guint i = 0; i < result->outcomes->len; i++)
    {
      const FmOutcomeRow *o = g_ptr_array_index (result->outcomes, i);
      gsize size;
      const guchar *data = g_bytes_get_data (o->triples, &size);
      g_autofree char *text = g_base64_encode (data, size);

      row = new_row (rows);
      add_text (row, o->split);
      add_text (row, o->target);
      add_text (row, text);
    }
  rows = new_rows (object, "latency");
  for (guint i = 0; i < result->latency->len; i++)
    {
      const FmLatencySample *s = g_ptr_array_index (result->latency, i);

      row = new_row (rows);
      json_array_add_int_element (row, s->process);
      add_text (row, s->kind);
      json_array_add_int_element (row, s->rows);
      add_double (row, s->value_us);
    }
  rows = new_rows (object, "processes");
  for (guint i = 0; i < result->processes->len; i++)
    {
      const FmProcessRow *p = g_ptr_array_index (result->processes, i);

      row = new_row (rows);
      json_array_add_int_element (row, p->process);
      add_text (row, p->session);
      json_array_add_int_element (row, p->block);
      json_array_add_int_element (row, p->place);
      json_array_add_int_element (row, p->started_us);
      json_array_add_int_element (row, p->warm_ups);
      json_array_add_int_element (row, p->settled);
      json_array_add_int_element (row, p->measured_peak_bytes);
      json_array_add_int_element (row, p->device_heap_bytes);
      add_double (row, p->energy_joules);
    }
  rows = new_rows (object, "memory");
  for (guint i = 0; i < result->memory->len; i++)
    {
      const FmMemoryRow *m = g_ptr_array_index (result->memory, i);

      row = new_row (rows);
      add_text (row, m->kind);
      json_array_add_int_element (row, m->planned_bytes);
      json_array_add_int_element (row, m->measured_bytes);
    }
  rows = new_rows (object, "profile");
  for (guint i = 0; i < result->profile->len; i++)
    {
      const FmOpProfileRow *p = g_ptr_array_index (result->profile, i);

      row = new_row (rows);
      add_text (row, p->op);
      json_array_add_int_element (row, p->calls);
      add_double (row, p->seconds);
      add_double (row, p->flops);
      add_double (row, p->bytes);
    }
  rows = new_rows (object, "artifacts");
  for (guint i = 0; i < result->artifacts->len; i++)
    {
      const FmArtifactRow *a = g_ptr_array_index (result->artifacts, i);

      row = new_row (rows);
      add_text (row, a->kind);
      add_text (row, a->path);
      json_array_add_int_element (row, a->bytes);
      add_text (row, a->sha256);
    }
  return object;
}

/* Element access that survives rows of a wrong length or type: a worker that writes nonsense is a failed stage, not a
 * crashed runner. */
static JsonNode *
element (JsonArray *row, guint index)
{
  return row && index < json_array_get_length (row) ? json_array_get_element (row, index) : NULL;
}

static const char *
text_at (JsonArray *row, guint index)
{
  JsonNode *node = element (row, index);

  return node && JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING
             ? json_node_get_string (node) : "";
}

static gint64
int_at (JsonArray *row, guint index)
{
  JsonNode *node = element (row, index);

  return node && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_int (node) : 0;
}

static gdouble
double_at (JsonArray *row, guint index)
{
  JsonNode *node = element (row, index);

  return node && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_double (node) : NAN;
}

static guint
count (JsonArray *rows)
{
  return rows ? json_array_get_length (rows) : 0;
}

static JsonArray *
row_at (JsonArray *rows, guint index)
{
  JsonNode *node = json_array_get_element (rows, index);

  return JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
}

FmStageResult *
fm_stage_result_from_json (JsonObject *object, FmStageState state)
{
  FmStageResult *result = fm_stage_result_new (state);
  JsonArray *rows, *r;

  result->reason = g_strdup (fm_json_text (object, "reason", NULL));
  result->fallbacks = fm_json_int (object, "fallbacks", 0);
  result->diverged_step = fm_json_int (object, "diverged_step", -1);
  result->diverged_tensor = g_strdup (fm_json_text (object, "diverged_tensor", NULL));
  result->provenance = g_strdup (fm_json_text (object, "provenance", NULL));

  rows = fm_json_array (object, "metrics");
  for (guint i = 0; i < count (rows); i++)
    {
      r = row_at (rows, i);
      fm_stage_result_add_metric (result, text_at (r, 0), text_at (r, 1), text_at (r, 2), text_at (r, 3),
                                  double_at (r, 4));
    }
  rows = fm_json_array (object, "curve");
  for (guint i = 0; i < count (rows); i++)
    {
      r = row_at (rows, i);
      fm_stage_result_add_point (result, int_at (r, 0), text_at (r, 1), text_at (r, 2), double_at (r, 3));
    }
  rows = fm_json_array (object, "outcomes");
  for (guint i = 0; i < count (rows); i++)
    {
      g_autoptr (GBytes) triples = NULL;
      gsize size;
      guchar *data;

      r = row_at (rows, i);
      data = g_base64_decode (text_at (r, 2), &size);
      triples = g_bytes_new_take (data, size);
      if (size % (3 * sizeof (gfloat)) != 0) /* no worker of ours */
        continue;
      fm_stage_result_add_outcomes (result, text_at (r, 0), text_at (r, 1), triples);
    }
  rows = fm_json_array (object, "latency");
  for (guint i = 0; i < count (rows); i++)
    {
      r = row_at (rows, i);
      fm_stage_result_add_latency (result, int_at (r, 0), text_at (r, 1), int_at (r, 2), double_at (r, 3));
    }
  rows = fm_json_array (object, "processes");
  for (guint i = 0; i < count (rows); i++)
    {
      FmProcessRow *p;

      r = row_at (rows, i);
      p = fm_stage_result_add_process (result, int_at (r, 0), text_at (r, 1), int_at (r, 2));
      p->place = int_at (r, 3);
      p->started_us = int_at (r, 4);
      p->warm_ups = int_at (r, 5);
      p->settled = int_at (r, 6);
      p->measured_peak_bytes = int_at (r, 7);
      p->device_heap_bytes = int_at (r, 8);
      p->energy_joules = double_at (r, 9);
    }
  rows = fm_json_array (object, "memory");
  for (guint i = 0; i < count (rows); i++)
    {
      r = row_at (rows, i);
      fm_stage_result_add_memory (result, text_at (r, 0), int_at (r, 1), int_at (r, 2));
    }
  rows = fm_json_array (object, "profile");
  for (guint i = 0; i < count (rows); i++)
    {
      r = row_at (rows, i);
      fm_stage_result_add_op (result, text_at (r, 0), int_at (r, 1), double_at (r, 2), double_at (r, 3),
                              double_at (r, 4));
    }
  rows = fm_json_array (object, "artifacts");
  for (guint i = 0; i < count (rows); i++)
    {
      r = row_at (rows, i);
      fm_stage_result_add_artifact (result, text_at (r, 0), text_at (r, 1), int_at (r, 2), text_at (r, 3));
    }
  return result;
}
