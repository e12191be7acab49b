/* recipe.c: opens a stage's recipe: the canonical text of all that determines its result. */
#include "config.h"

#include "app/run/run-private.h"

#include <math.h>

/* The members' own text, as fm_params_set() reads it: recipes may hold numbers or strings. */
static char *
member_text (JsonNode *node)
{
  if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING)
    return g_strdup (json_node_get_string (node));
  return json_to_string (node, FALSE);
}

static FmTask *parse_task (JsonObject *object, GError **error);

static FmTask *
parse_mixture (JsonArray *array, GError **error)
{
  g_autoptr (GPtrArray) parts = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_task_unref);
  g_autoptr (GArray) weights = g_array_new (FALSE, FALSE, sizeof (gint64));

  for (guint i = 0; i < json_array_get_length (array); i++)
    {
      JsonNode *node = json_array_get_element (array, i);
      JsonObject *object = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
      gint64 weight = object ? fm_json_int (object, "weight", 1) : 0;
      FmTask *part = object && fm_json_array (object, "mixture") == NULL ? parse_task (object, error) : NULL;

      if (part == NULL)
        {
          if (error && *error == NULL)
            g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "A part of a recipe's mixture is no task");
          return NULL;
        }
      g_ptr_array_add (parts, part);
      g_array_append_val (weights, weight);
    }
  if (parts->len < 2)
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "A recipe's mixture needs two tasks at least");
      return NULL;
    }
  return fm_task_mixture_new (parts, (const gint64 *) weights->data, error);
}

static FmTask *
parse_task (JsonObject *object, GError **error)
{
  const char *id = fm_json_text (object, "id", "");
  JsonArray *mixture = fm_json_array (object, "mixture");
  const FmTaskClass *cls = fm_task_class_find (id);
  JsonObject *params = fm_json_object (object, "params");
  g_autofree gpointer values = NULL;
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;

  if (mixture)
    return parse_mixture (mixture, error);
  if (cls == NULL)
    return fm_task_new (id, NULL, error); /* its sentence offers the nearest name */
  values = g_malloc0 (MAX (cls->params_size, 1));
  fm_params_set_defaults (cls->params, values);
  if (params)
    {
      json_object_iter_init (&iter, params);
      while (json_object_iter_next (&iter, &name, &node))
        {
          g_autofree char *text = member_text (node);

          if (!fm_params_set (cls->params, values, name, text, error))
            {
              g_prefix_error (error, "task %s: ", id);
              return NULL;
            }
        }
    }
  return fm_task_new (id, values, error);
}

char **
fm_json_texts (JsonArray *array)
{
  g_autoptr (GStrvBuilder) texts = g_strv_builder_new ();

  if (array == NULL)
    return NULL;
  for (guint i = 0; i < json_array_get_length (array); i++)
    {
      const char *text = json_array_get_string_element (array, i);

      if (text)
        g_strv_builder_add (texts, text);
    }
  return g_strv_builder_end (texts);
}

/* (transfer full) (nullable) */
static GPtrArray *
parse_tune (JsonObject *object)
{
  JsonArray *array = fm_json_array (object, "tune");
  GPtrArray *tune = array ? g_ptr_array_new_with_free_func ((GDestroyNotify) json_object_unref) : NULL;

  for (guint i = 0; array && i < json_array_get_length (array); i++)
    {
      JsonNode *node = json_array_get_element (array, i);

      g_ptr_array_add (tune, JSON_NODE_HOLDS_OBJECT (node) ? json_object_ref (json_node_get_object (node))
                                                           : json_object_new ());
    }
  return tune;
}

FmRecipe *
fm_recipe_parse (JsonObject *object, GError **error)
{
  g_autoptr (FmRecipe) recipe = g_new0 (FmRecipe, 1);
  JsonNode *architecture = json_object_get_member (object, "architecture");
  JsonObject *task = fm_json_object (object, "task");
  g_autofree char *text = NULL, *data_key = NULL;
  const char *wanted;

  if (architecture == NULL || task == NULL)
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "A recipe needs the members architecture and task");
      return NULL;
    }
  recipe->kind = g_strdup (fm_json_text (object, "kind", ""));
  recipe->device = g_strdup (fm_json_text (object, "device", "cpu"));
  recipe->seed = (guint64) fm_json_int (object, "seed", 1);
  recipe->steps = fm_json_int (object, "steps", 0);
  recipe->batch = fm_json_int (object, "batch", 64);
  recipe->evaluate = MAX (fm_json_int (object, "evaluate", 0), 0);
  recipe->warmup = fm_json_int (object, "warmup", 50);
  recipe->rate = fm_json_double (object, "rate", 3e-3);
  recipe->optimizer.beta1 = fm_json_double (object, "beta1", 0.9);
  recipe->optimizer.beta2 = fm_json_double (object, "beta2", 0.999);
  recipe->optimizer.eps = fm_json_double (object, "eps", 1e-8);
  recipe->optimizer.decay = fm_json_double (object, "decay", 0.01);
  recipe->optimizer.clip = fm_json_double (object, "clip", 1.0);
  recipe->optimizer.kind = g_str_equal (fm_json_text (object, "optimizer", "adamw"), "sgd") ? FM_OPTIMIZER_SGD
                                                                                            : FM_OPTIMIZER_ADAMW;
  recipe->optimizer.momentum = fm_json_double (object, "momentum", 0.0);
  recipe->optimizer.nesterov = fm_json_int (object, "nesterov", 0) != 0;
  recipe->optimizer.average = fm_json_double (object, "average", 0.0);
  recipe->accumulate = fm_json_int (object, "accumulate", 1);
  recipe->recompute = fm_json_int (object, "recompute", 0);
  recipe->tune = parse_tune (object);
  wanted = fm_json_text (object, "schedule", "cosine");
  recipe->schedule = g_str_equal (wanted, "linear") ? FM_SCHEDULE_LINEAR
                     : g_str_equal (wanted, "constant") ? FM_SCHEDULE_CONSTANT : FM_SCHEDULE_COSINE;
  if (recipe->batch < 1 || recipe->steps < 0 || !isfinite (recipe->rate))
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "A recipe needs a batch of at least 1 and a finite rate");
      return NULL;
    }

  recipe->trains = fm_json_texts (fm_json_array (object, "trains"));
  if (json_object_has_member (object, "init"))
    {
      g_auto (GStrv) rules = fm_json_texts (fm_json_array (object, "init"));

      recipe->start = fm_start_rules_parse ((const char * const *) rules, error);
      if (recipe->start == NULL)
        return NULL;
    }
  recipe->measure = fm_json_texts (fm_json_array (object, "measure"));
  text = member_text (architecture);
  recipe->architecture = fm_architecture_from_json (text, error);
  if (recipe->architecture == NULL)
    return NULL;
  recipe->task = parse_task (task, error);
  if (recipe->task == NULL)
    return NULL;
  wanted = fm_json_text (task, "data_key", NULL);
  data_key = fm_task_data_key (recipe->task);
  if (wanted && g_strcmp0 (wanted, data_key) != 0)
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
                   "The data of task %s changed since this batch was planned (then %s, now %s); plan it again",
                   fm_json_text (task, "id", ""), wanted, data_key);
      return NULL;
    }
  return g_steal_pointer (&recipe);
}

void
fm_recipe_free (FmRecipe *recipe)
{
  g_clear_pointer (&recipe->architecture, fm_architecture_unref);
  g_clear_pointer (&recipe->task, fm_task_unref);
  g_clear_pointer (&recipe->tune, g_ptr_array_unref);
  g_free (recipe->kind);
  g_free (recipe->device);
  g_strfreev (recipe->measure);
  g_strfreev (recipe->trains);
  fm_start_rules_free (recipe->start);
  g_free (recipe);
}

FmModel *
fm_recipe_model (const FmRecipe *recipe)
{
  FmModel *model = fm_model_new (recipe->architecture, recipe->task, "");

  fm_model_set_options (model, &(FmModelOptions){ .recompute = recipe->recompute, .accumulate = recipe->accumulate,
                                                  .trains = (const char * const *) recipe->trains });
  return model;
}

gfloat
fm_recipe_rate (const FmRecipe *recipe, gint64 step)
{
  FmSchedule schedule = { recipe->schedule, recipe->rate, recipe->warmup, recipe->steps };

  return (gfloat) fm_schedule_rate (&schedule, step);
}
