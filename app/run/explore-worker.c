/* explore-worker.c: the resident worker: loads a trained model once and answers questions about examples.
 *
 *   first line  {"recipe": {...}, "checkpoint": path, "threads": 0}
 *   questions   {"id": 1, "split": "test", "example": 11} or {..., "values": base64 of floats}
 *   answers     {"id": 1, "answer": {...}} or {"id": 1, "error": sentence}
 * Numbers of maps and pictures are base64 of little-endian floats: text would be five times longer. */
#include "config.h"

#include "app/run/run-private.h"

#include <string.h>

static void
set_floats (JsonObject *object, const char *name, const gfloat *values, gint64 n)
{
  g_autofree char *text = g_base64_encode ((const guchar *) values, (gsize) n * sizeof (gfloat));

  json_object_set_string_member (object, name, text);
}

static void
set_words (JsonObject *object, const char *name, char **words)
{
  JsonArray *array = json_array_new ();

  for (guint i = 0; words[i]; i++)
    json_array_add_string_element (array, words[i]);
  json_object_set_array_member (object, name, array);
}

static JsonObject *
answer_to_json (const FmExploreAnswer *a)
{
  JsonObject *object = json_object_new ();
  JsonArray *routing = json_array_new ();

  json_object_set_string_member (object, "task", a->task);
  json_object_set_string_member (object, "split", a->split);
  json_object_set_int_member (object, "example", a->example);
  json_object_set_int_member (object, "n_examples", a->n_examples);
  if (a->label)
    json_object_set_string_member (object, "label", a->label);
  json_object_set_string_member (object, "answer", a->answer);
  if (a->classes)
    set_words (object, "classes", a->classes);
  json_object_set_int_member (object, "n_classes", a->n_classes);
  set_floats (object, "probabilities", a->probabilities, a->n_classes);
  json_object_set_double_member (object, "seconds", a->seconds);
  if (a->image)
    {
      json_object_set_int_member (object, "image_rows", a->image_rows);
      json_object_set_int_member (object, "image_columns", a->image_columns);
      set_floats (object, "image", a->image, a->image_rows * a->image_columns);
    }
  if (a->maps)
    {
      JsonObject *maps = json_object_new ();
      const FmMaps *m = a->maps;

      json_object_set_int_member (maps, "layers", m->layers);
      json_object_set_int_member (maps, "heads", m->heads);
      json_object_set_int_member (maps, "queries", m->queries);
      json_object_set_int_member (maps, "keys", m->keys);
      json_object_set_int_member (maps, "grid_rows", m->grid_rows);
      json_object_set_int_member (maps, "grid_columns", m->grid_columns);
      if (m->tokens)
        set_words (maps, "tokens", m->tokens);
      set_floats (maps, "attention", m->attention, m->layers * m->heads * m->queries * m->keys);
      json_object_set_object_member (object, "maps", maps);
    }
  for (guint i = 0; i < a->routing->len; i++)
    {
      const FmExploreRouting *r = g_ptr_array_index (a->routing, i);
      JsonObject *row = json_object_new ();
      JsonArray *expert = json_array_new ();

      json_object_set_int_member (row, "layer", r->layer);
      json_object_set_int_member (row, "experts", r->experts);
      for (gint64 t = 0; t < r->n_tokens; t++)
        json_array_add_int_element (expert, r->expert[t]);
      json_object_set_array_member (row, "expert", expert);
      json_array_add_object_element (routing, row);
    }
  json_object_set_array_member (object, "routing", routing);
  return object;
}

/* @n (out): numbers; NULL for text that is none. */
static gfloat *
decode_floats (const char *text, gsize *n)
{
  gsize bytes;
  guchar *data = g_base64_decode (text, &bytes);

  *n = bytes / sizeof (gfloat);
  return (gfloat *) data;
}

static gfloat *
take_floats (JsonObject *object, const char *name, gint64 n)
{
  const char *text = fm_json_text (object, name, NULL);
  gsize count;
  g_autofree gfloat *values = text ? decode_floats (text, &count) : NULL;

  return values && (gint64) count == n ? g_steal_pointer (&values) : NULL;
}

static char **
take_words (JsonObject *object, const char *name)
{
  JsonArray *array = fm_json_array (object, name);
  g_autoptr (GPtrArray) words = g_ptr_array_new_with_free_func (g_free);

  if (array == NULL)
    return NULL;
  for (guint i = 0; i < json_array_get_length (array); i++)
    g_ptr_array_add (words, g_strdup (json_array_get_string_element (array, i)));
  g_ptr_array_add (words, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&words), FALSE);
}

static void
take_maps (JsonObject *object, FmExploreAnswer *a)
{
  JsonObject *maps = fm_json_object (object, "maps");
  gfloat *attention;
  FmMaps *m;

  if (maps == NULL)
    return;
  m = fm_maps_new (fm_json_int (maps, "layers", 0), fm_json_int (maps, "heads", 0), fm_json_int (maps, "queries", 0),
                   fm_json_int (maps, "keys", 0));
  if (m == NULL)
    return;
  attention = take_floats (maps, "attention", m->layers * m->heads * m->queries * m->keys);
  if (attention)
    {
      g_free (m->attention);
      m->attention = attention;
    }
  m->grid_rows = fm_json_int (maps, "grid_rows", 0);
  m->grid_columns = fm_json_int (maps, "grid_columns", 0);
  m->tokens = take_words (maps, "tokens");
  a->maps = m;
}

FmExploreAnswer *
fm_explore_answer_from_json (JsonObject *object, GError **error)
{
  g_autoptr (FmExploreAnswer) a = g_new0 (FmExploreAnswer, 1);
  JsonArray *routing = fm_json_array (object, "routing");

  a->task = g_strdup (fm_json_text (object, "task", ""));
  a->split = g_strdup (fm_json_text (object, "split", ""));
  a->example = fm_json_int (object, "example", -1);
  a->n_examples = fm_json_int (object, "n_examples", 0);
  a->label = g_strdup (fm_json_text (object, "label", NULL));
  a->answer = g_strdup (fm_json_text (object, "answer", ""));
  a->classes = take_words (object, "classes");
  a->n_classes = fm_json_int (object, "n_classes", 0);
  a->probabilities = take_floats (object, "probabilities", a->n_classes);
  a->seconds = fm_json_double (object, "seconds", 0);
  a->image_rows = fm_json_int (object, "image_rows", 0);
  a->image_columns = fm_json_int (object, "image_columns", 0);
  if (a->image_rows > 0)
    a->image = take_floats (object, "image", a->image_rows * a->image_columns);
  a->routing = fm_explore_routing_new ();
  take_maps (object, a);
  for (guint i = 0; routing && i < json_array_get_length (routing); i++)
    {
      JsonObject *row = json_array_get_object_element (routing, i);
      JsonArray *expert = fm_json_array (row, "expert");
      FmExploreRouting *r = g_new0 (FmExploreRouting, 1);

      r->layer = fm_json_int (row, "layer", 0);
      r->experts = fm_json_int (row, "experts", 0);
      r->n_tokens = expert ? json_array_get_length (expert) : 0;
      r->expert = g_new0 (gint32, (gsize) r->n_tokens + 1);
      for (gint64 t = 0; t < r->n_tokens; t++)
        r->expert[t] = (gint32) json_array_get_int_element (expert, (guint) t);
      g_ptr_array_add (a->routing, r);
    }
  if (a->probabilities == NULL)
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_RUN, "The worker's answer holds no probabilities");
      return NULL;
    }
  if (a->maps)
    fm_looker_fill_maps (a);
  return g_steal_pointer (&a);
}

static void
send_error (gint64 id, const GError *error)
{
  JsonObject *message = json_object_new ();

  json_object_set_int_member (message, "id", id);
  json_object_set_string_member (message, "error", error->message);
  fm_worker_send (message);
}

int
fm_explore_serve (void)
{
  g_autoptr (JsonObject) request = fm_worker_next_command ();
  JsonObject *recipe_json = fm_json_object (request, "recipe");
  g_autoptr (FmRecipe) recipe = NULL;
  g_autoptr (FmDevice) device = NULL;
  g_autoptr (FmVariables) variables = NULL;
  g_autoptr (FmModel) model = NULL;
  g_autoptr (FmLooker) looker = NULL;
  g_autoptr (GError) refused = NULL;

  if (recipe_json)
    recipe = fm_recipe_parse (recipe_json, &refused);
  else
    g_set_error (&refused, FM_APP_ERROR, FM_APP_ERROR_INPUT, "The request to a worker needs the member recipe");
  if (recipe && fm_task_load (recipe->task, NULL, &refused))
    device = fm_device_open (recipe->device, (guint) fm_json_int (request, "threads", 0), &refused);
  if (device)
    {
      variables = fm_variables_new (device, recipe->seed);
      model = fm_model_new (recipe->architecture, recipe->task, "");
      if (fm_variables_load (variables, fm_json_text (request, "checkpoint", ""), &refused))
        looker = fm_looker_new (model, recipe->task, device, variables, &refused);
    }

  for (;;)
    {
      g_autoptr (JsonObject) question = fm_worker_next_command ();
      gint64 id = fm_json_int (question, "id", 0);
      const char *text = fm_json_text (question, "values", NULL);
      g_autofree gfloat *values = NULL;
      g_autoptr (FmExploreAnswer) answer = NULL;
      g_autoptr (GError) error = NULL;
      JsonObject *message;
      gsize n = 0;

      if (looker == NULL)
        {
          send_error (id, refused);
          continue;
        }
      if (text)
        values = decode_floats (text, &n);
      answer = fm_looker_look (looker, fm_json_text (question, "split", "test"), fm_json_int (question, "example", 0),
                               values, n, &error);
      if (answer == NULL)
        {
          send_error (id, error);
          continue;
        }
      message = json_object_new ();
      json_object_set_int_member (message, "id", id);
      json_object_set_object_member (message, "answer", answer_to_json (answer));
      fm_worker_send (message);
    }
}
