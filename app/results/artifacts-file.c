/* artifacts-file.c: maps.json and routing.json, read and written. */
#include <json-glib/json-glib.h>
#include <math.h>

#include "app/results/artifacts.h"

/* 0 for sizes that cannot be. */
static gsize
numbers_in (gint64 a, gint64 b, gint64 c, gint64 d)
{
  const gint64 sizes[] = { a, b, c, d };
  gsize n;

  return a > 0 && b > 0 && c > 0 && d > 0 && fm_size_product (sizes, 4, &n) ? n : 0;
}

/* --- Reading ------------------------------------------------------------------------------------------------------*/

static gboolean
wrong (GError **error, const char *member, const char *want)
{
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "member \"%s\" should be %s", member, want);
  return FALSE;
}

static JsonNode *
member_of (JsonObject *object, const char *name, JsonNodeType type)
{
  JsonNode *node = json_object_get_member (object, name);

  return node != NULL && json_node_get_node_type (node) == type ? node : NULL;
}

static gint64
read_size (JsonObject *object, const char *name)
{
  JsonNode *node = member_of (object, name, JSON_NODE_VALUE);

  return node != NULL && json_node_get_value_type (node) == G_TYPE_INT64 ? json_node_get_int (node) : 0;
}

static char *
read_text (JsonObject *object, const char *name)
{
  JsonNode *node = member_of (object, name, JSON_NODE_VALUE);

  return node != NULL ? g_strdup (json_node_get_string (node)) : NULL;
}

static GStrv
read_texts (JsonObject *object, const char *name)
{
  JsonNode *node = member_of (object, name, JSON_NODE_ARRAY);
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  JsonArray *array;

  if (node == NULL)
    return NULL;
  array = json_node_get_array (node);
  for (guint i = 0; i < json_array_get_length (array); i++)
    {
      JsonNode *element = json_array_get_element (array, i);
      const char *text = JSON_NODE_HOLDS_VALUE (element) ? json_node_get_string (element) : NULL;

      g_strv_builder_add (builder, text != NULL ? text : "");
    }
  return g_strv_builder_end (builder);
}

/* Fills @n numbers; null is NaN. An array that is absent is an error only when it is @needed. */
static gboolean
read_numbers (JsonObject *object, const char *name, gsize n, gboolean needed, gdouble *out, gboolean *present,
              GError **error)
{
  JsonNode *node = member_of (object, name, JSON_NODE_ARRAY);
  g_autofree char *want = g_strdup_printf ("an array of %" G_GSIZE_FORMAT " numbers", n);
  JsonArray *array;

  *present = node != NULL;
  if (node == NULL)
    return needed || json_object_has_member (object, name) ? wrong (error, name, want) : TRUE;
  array = json_node_get_array (node);
  if (json_array_get_length (array) != n)
    return wrong (error, name, want);
  for (gsize i = 0; i < n; i++)
    {
      JsonNode *element = json_array_get_element (array, i);
      GType type = JSON_NODE_HOLDS_VALUE (element) ? json_node_get_value_type (element) : G_TYPE_INVALID;

      if (JSON_NODE_HOLDS_NULL (element))
        out[i] = NAN;
      else if (type == G_TYPE_INT64 || type == G_TYPE_DOUBLE)
        out[i] = json_node_get_double (element);
      else
        return wrong (error, name, want);
    }
  return TRUE;
}

static gboolean
read_floats (JsonObject *object, const char *name, gsize n, gboolean needed, gfloat **out, GError **error)
{
  g_autofree gdouble *numbers = g_new (gdouble, n + 1);
  gboolean present;

  if (!read_numbers (object, name, n, needed, numbers, &present, error))
    return FALSE;
  if (!present)
    return TRUE;
  g_free (*out);
  *out = g_new (gfloat, n + 1);
  for (gsize i = 0; i < n; i++)
    (*out)[i] = numbers[i];
  return TRUE;
}

/* The file's object when it says it is @format; the parser keeps it alive. */
static JsonObject *
open_document (JsonParser *parser, const char *path, const char *format, GError **error)
{
  JsonNode *root;
  g_autofree char *found = NULL;

  if (!json_parser_load_from_file (parser, path, error))
    {
      g_prefix_error (error, "%s: ", path);
      return NULL;
    }
  root = json_parser_get_root (parser);
  if (root != NULL && JSON_NODE_HOLDS_OBJECT (root))
    found = read_text (json_node_get_object (root), "format");
  if (g_strcmp0 (found, format) != 0 || read_size (json_node_get_object (root), "version") != 1)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s: not a file of format \"%s\", version 1", path,
                   format);
      return NULL;
    }
  return json_node_get_object (root);
}

static gboolean
read_picture (FmMaps *maps, JsonObject *object, GError **error)
{
  JsonNode *image = member_of (object, "image", JSON_NODE_OBJECT), *grid = member_of (object, "grid", JSON_NODE_OBJECT);

  if (image != NULL)
    {
      gint64 rows = read_size (json_node_get_object (image), "rows");
      gint64 columns = read_size (json_node_get_object (image), "columns");
      gsize n = numbers_in (rows, columns, 1, 1);

      if (n == 0)
        return wrong (error, "image", "an object with rows, columns and values");
      if (!read_floats (json_node_get_object (image), "values", n, TRUE, &maps->image, error))
        return FALSE;
      maps->image_rows = rows;
      maps->image_columns = columns;
    }
  if (grid != NULL)
    {
      gint64 rows = read_size (json_node_get_object (grid), "rows");
      gint64 columns = read_size (json_node_get_object (grid), "columns");

      if (numbers_in (rows, columns, 1, 1) != (gsize) maps->keys)
        return wrong (error, "grid", "as many rows and columns as there are keys");
      maps->grid_rows = rows;
      maps->grid_columns = columns;
    }
  return TRUE;
}

static FmMaps *
read_maps (JsonObject *object, GError **error)
{
  g_autoptr (FmMaps) maps = fm_maps_new (read_size (object, "layers"), read_size (object, "heads"),
                                         read_size (object, "queries"), read_size (object, "keys"));

  if (maps == NULL)
    {
      wrong (error, "layers, heads, queries, keys", "positive sizes");
      return NULL;
    }
  if (!read_floats (object, "attention", numbers_in (maps->layers, maps->heads, maps->queries, maps->keys), TRUE,
                    &maps->attention, error) ||
      !read_picture (maps, object, error))
    return NULL;
  maps->task = read_text (object, "task");
  maps->split = read_text (object, "split");
  maps->label = read_text (object, "label");
  maps->answer = read_text (object, "answer");
  maps->example = json_object_has_member (object, "example") ? read_size (object, "example") : -1;
  maps->classes = read_texts (object, "classes");
  maps->tokens = read_texts (object, "tokens");
  if (maps->tokens != NULL && g_strv_length (maps->tokens) != (gsize) maps->keys)
    {
      wrong (error, "tokens", "one text for each key");
      return NULL;
    }
  if (maps->classes != NULL &&
      !read_floats (object, "probabilities", g_strv_length (maps->classes), FALSE, &maps->probabilities, error))
    return NULL;
  return g_steal_pointer (&maps);
}

FmMaps *
fm_maps_load (const char *path, GError **error)
{
  g_autoptr (JsonParser) parser = json_parser_new_immutable ();
  JsonObject *object = open_document (parser, path, "formarium-maps", error);
  FmMaps *maps;

  if (object == NULL)
    return NULL;
  maps = read_maps (object, error);
  if (maps == NULL)
    g_prefix_error (error, "%s: ", path);
  return maps;
}

static FmRouting *
read_routing (JsonObject *object, GError **error)
{
  g_auto (GStrv) classes = read_texts (object, "classes");
  JsonNode *steps = member_of (object, "steps", JSON_NODE_ARRAY);
  gint64 n_classes = classes != NULL ? g_strv_length (classes) : 1;
  gint64 n_steps = steps != NULL ? json_array_get_length (json_node_get_array (steps)) : 0;
  gint64 layers = read_size (object, "layers"), experts = read_size (object, "experts");
  g_autoptr (FmRouting) routing = fm_routing_new (layers, experts, n_classes, n_steps);
  gboolean present;

  if (routing == NULL)
    {
      wrong (error, "layers, experts, classes", "positive sizes");
      return NULL;
    }
  if (!read_numbers (object, "counts", layers * experts * n_classes, TRUE, routing->counts, &present, error))
    return NULL;
  routing->dropped = g_new0 (gdouble, layers);
  if (!read_numbers (object, "dropped", layers, FALSE, routing->dropped, &present, error))
    return NULL;
  if (!present)
    g_clear_pointer (&routing->dropped, g_free);
  if (n_steps > 0 &&
      (!read_numbers (object, "steps", n_steps, TRUE, routing->steps, &present, error) ||
       !read_numbers (object, "load", layers * experts * n_steps, TRUE, routing->load, &present, error)))
    return NULL;
  routing->split = read_text (object, "split");
  routing->classes = g_steal_pointer (&classes);
  return g_steal_pointer (&routing);
}

FmRouting *
fm_routing_load (const char *path, GError **error)
{
  g_autoptr (JsonParser) parser = json_parser_new_immutable ();
  JsonObject *object = open_document (parser, path, "formarium-routing", error);
  FmRouting *routing;

  if (object == NULL)
    return NULL;
  routing = read_routing (object, error);
  if (routing == NULL)
    g_prefix_error (error, "%s: ", path);
  return routing;
}

/* --- Writing ------------------------------------------------------------------------------------------------------
 * By hand: the generator of json-glib writes every number with 17 digits and one allocation each, ten times the size
 * of what a weight needs. Six digits are more than any picture or sentence shows. */

static void
write_text (GString *out, const char *name, const char *text)
{
  g_autoptr (JsonNode) node = NULL;
  g_autofree char *quoted = NULL;

  if (text == NULL)
    return;
  node = json_node_init_string (json_node_alloc (), text);
  quoted = json_to_string (node, FALSE);
  g_string_append_printf (out, ",\n\"%s\": %s", name, quoted);
}

static void
write_texts (GString *out, const char *name, char **texts)
{
  if (texts == NULL)
    return;
  g_string_append_printf (out, ",\n\"%s\": [", name);
  for (gsize i = 0; texts[i] != NULL; i++)
    {
      g_autoptr (JsonNode) node = json_node_init_string (json_node_alloc (), texts[i]);
      g_autofree char *quoted = json_to_string (node, FALSE);

      g_string_append_printf (out, "%s%s", i > 0 ? ", " : "", quoted);
    }
  g_string_append_c (out, ']');
}

static void
write_size (GString *out, const char *name, gint64 size)
{
  g_string_append_printf (out, ",\n\"%s\": %" G_GINT64_FORMAT, name, size);
}

/* One of @doubles and @floats is NULL. */
static void
write_numbers (GString *out, const char *name, gsize n, const gdouble *doubles, const gfloat *floats)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  g_string_append_printf (out, "%s\"%s\": [", out->str[out->len - 1] == '{' ? "" : ",\n", name);
  for (gsize i = 0; i < n; i++)
    {
      gdouble value = doubles != NULL ? doubles[i] : floats[i];

      if (i > 0)
        g_string_append_c (out, ',');
      if (isfinite (value))
        g_string_append (out, g_ascii_formatd (text, sizeof text, doubles != NULL ? "%.12g" : "%.6g", value));
      else
        g_string_append (out, "null");
    }
  g_string_append_c (out, ']');
}

static gboolean
save (GString *out, const char *path, GError **error)
{
  g_string_append (out, "}\n");
  return g_file_set_contents_full (path, out->str, out->len,
                                   G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE,
                                   0644, error);
}

gboolean
fm_maps_save (const FmMaps *maps, const char *path, GError **error)
{
  g_autoptr (GString) out = g_string_new ("{\"format\": \"formarium-maps\", \"version\": 1");

  write_text (out, "task", maps->task);
  write_text (out, "split", maps->split);
  if (maps->example >= 0)
    write_size (out, "example", maps->example);
  write_text (out, "label", maps->label);
  write_text (out, "answer", maps->answer);
  write_texts (out, "classes", maps->classes);
  if (maps->classes != NULL && maps->probabilities != NULL)
    write_numbers (out, "probabilities", g_strv_length (maps->classes), NULL, maps->probabilities);
  if (maps->image != NULL)
    {
      g_string_append_printf (out, ",\n\"image\": {\"rows\": %" G_GINT64_FORMAT ", \"columns\": %" G_GINT64_FORMAT,
                              maps->image_rows, maps->image_columns);
      write_numbers (out, "values", maps->image_rows * maps->image_columns, NULL, maps->image);
      g_string_append_c (out, '}');
    }
  if (maps->grid_columns > 0)
    g_string_append_printf (out, ",\n\"grid\": {\"rows\": %" G_GINT64_FORMAT ", \"columns\": %" G_GINT64_FORMAT "}",
                            maps->grid_rows, maps->grid_columns);
  write_texts (out, "tokens", maps->tokens);
  write_size (out, "layers", maps->layers);
  write_size (out, "heads", maps->heads);
  write_size (out, "queries", maps->queries);
  write_size (out, "keys", maps->keys);
  write_numbers (out, "attention", maps->layers * maps->heads * maps->queries * maps->keys, NULL, maps->attention);
  return save (out, path, error);
}

gboolean
fm_routing_save (const FmRouting *routing, const char *path, GError **error)
{
  g_autoptr (GString) out = g_string_new ("{\"format\": \"formarium-routing\", \"version\": 1");

  write_text (out, "split", routing->split);
  write_size (out, "layers", routing->layers);
  write_size (out, "experts", routing->experts);
  write_texts (out, "classes", routing->classes);
  write_numbers (out, "counts", routing->layers * routing->experts * routing->n_classes, routing->counts, NULL);
  if (routing->dropped != NULL)
    write_numbers (out, "dropped", routing->layers, routing->dropped, NULL);
  if (routing->load != NULL)
    {
      write_numbers (out, "steps", routing->n_steps, routing->steps, NULL);
      write_numbers (out, "load", routing->layers * routing->experts * routing->n_steps, routing->load, NULL);
    }
  return save (out, path, error);
}
