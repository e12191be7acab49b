/* recipe.c: the canonical text of all that determines a stage's result, and its hash. Members come in a fixed order and
 * numbers in one form, so the same stage has the same text in every batch. */
#include "config.h"

#include "app/batch/batch-private.h"
#include "app/json.h"

#include <json-glib/json-glib.h>

char *
fm_short_hash (const char *text)
{
  char *hash = g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, -1);

  hash[20] = '\0';
  return hash;
}

void
fm_batch_stage_free (FmBatchStage *stage)
{
  if (stage == NULL)
    return;
  g_free (stage->id);
  g_free (stage->kind);
  g_free (stage->recipe);
  g_free (stage->name);
  g_ptr_array_unref (stage->inputs);
  g_free (stage);
}

static void
add_text (JsonBuilder *b, const char *name, const char *value)
{
  json_builder_set_member_name (b, name);
  json_builder_add_string_value (b, value);
}

static void
add_int (JsonBuilder *b, const char *name, gint64 value)
{
  json_builder_set_member_name (b, name);
  json_builder_add_int_value (b, value);
}

/* As text, like the parameters: json-glib 1.6 writes 1e-08 as 1e-08.0, which no reader takes, its own included. */
static void
add_double (JsonBuilder *b, const char *name, gdouble value)
{
  char buffer[G_ASCII_DTOSTR_BUF_SIZE];

  g_ascii_formatd (buffer, sizeof buffer, "%.15g", value);
  if (g_ascii_strtod (buffer, NULL) != value)
    g_ascii_dtostr (buffer, sizeof buffer, value);
  add_text (b, name, buffer);
}

/* Members of a task's object; @weight 0 outside a mixture. */
static void
add_task_members (JsonBuilder *b, FmTask *task, gint64 weight)
{
  const FmTaskClass *cls = fm_task_get_class (task);
  g_autofree char *data_key = fm_task_data_key (task);

  add_text (b, "id", cls->id);
  if (weight)
    add_int (b, "weight", weight);
  json_builder_set_member_name (b, "params");
  json_builder_begin_object (b);
  for (const FmParam *p = cls->params; p && p->name; p++)
    {
      g_autofree char *value = fm_params_get (cls->params, fm_task_get_params (task), p->name);

      add_text (b, p->name, value);
    }
  json_builder_end_object (b);
  add_text (b, "data_key", data_key);
}

static void
add_task (JsonBuilder *b, FmTask *task)
{
  guint n = fm_task_get_n_parts (task);

  json_builder_set_member_name (b, "task");
  json_builder_begin_object (b);
  add_task_members (b, task, 0);
  if (n > 0)
    {
      json_builder_set_member_name (b, "mixture");
      json_builder_begin_array (b);
      for (guint i = 0; i < n; i++)
        {
          gint64 weight;
          FmTask *part = fm_task_get_part (task, i, &weight);

          json_builder_begin_object (b);
          add_task_members (b, part, weight);
          json_builder_end_object (b);
        }
      json_builder_end_array (b);
    }
  json_builder_end_object (b);
}

/* What a training loop alone reads. */
static void
add_training (JsonBuilder *b, const FmRecipeParts *parts)
{
  const FmBatchSettings *s = parts->settings;
  g_autofree char *schedule = fm_params_get (fm_batch_setting_params, s, "schedule");

  add_int (b, "steps", parts->steps);
  if (!fm_batch_tuning_has (parts->tuning, "rate"))
    add_double (b, "rate", s->rate);
  add_text (b, "schedule", schedule);
  if (!fm_batch_tuning_has (parts->tuning, "warmup"))
    add_int (b, "warmup", s->warmup);
  add_double (b, "beta1", 0.9); /* the optimizer's constants, not a person's choice yet */
  add_double (b, "beta2", 0.999);
  add_double (b, "eps", 1e-8);
  if (!fm_batch_tuning_has (parts->tuning, "decay"))
    add_double (b, "decay", s->decay);
  if (!fm_batch_tuning_has (parts->tuning, "clip"))
    add_double (b, "clip", s->clip);
  /* Only what was asked for: a recipe that says nothing of these keeps the text and the id it always had. */
  if (s->optimizer == FM_OPTIMIZER_SGD)
    {
      add_text (b, "optimizer", "sgd");
      if (!fm_batch_tuning_has (parts->tuning, "momentum"))
        add_double (b, "momentum", s->momentum);
      if (s->nesterov)
        add_int (b, "nesterov", 1);
    }
  if (s->accumulate > 1)
    add_int (b, "accumulate", s->accumulate);
  if (s->average > 0)
    add_double (b, "average", s->average);
  if (s->recompute > 0)
    add_int (b, "recompute", MIN (s->recompute, s->layers));
}

/* What the trials choose: their settings, one object a trial, in the order of the inputs. */
static void
add_tuning (JsonBuilder *b, const FmRecipeParts *parts)
{
  json_builder_set_member_name (b, "tune");
  json_builder_begin_array (b);
  for (guint trial = 0; trial < parts->trials->len; trial++)
    {
      json_builder_begin_object (b);
      for (guint i = 0; i < parts->tuning->tuned->len; i++)
        add_text (b, ((FmBatchTuned *) g_ptr_array_index (parts->tuning->tuned, i))->name,
                  fm_batch_tuning_value (parts->tuning, trial, i));
      json_builder_end_object (b);
    }
  json_builder_end_array (b);
}

static void
add_texts (JsonBuilder *b, const char *name, const char * const *texts, guint n)
{
  json_builder_set_member_name (b, name);
  json_builder_begin_array (b);
  for (guint i = 0; i < n; i++)
    json_builder_add_string_value (b, texts[i]);
  json_builder_end_array (b);
}

/* Of a chain: from what it starts, and what of it is trained. */
static void
add_start (JsonBuilder *b, const FmRecipeParts *parts, FmBatchStage *stage)
{
  if (parts->trains)
    add_texts (b, "trains", parts->trains, g_strv_length ((char **) parts->trains));
  if (parts->starts == NULL)
    return;
  add_texts (b, "init", (const char * const *) parts->init->pdata, parts->init->len);
  for (guint i = 0; i < parts->starts->len; i++)
    g_ptr_array_add (stage->inputs, g_strdup (((FmBatchStage *) g_ptr_array_index (parts->starts, i))->id));
}

FmBatchStage *
fm_recipe_stage (const FmRecipeParts *parts, const char *kind, const FmBatchStage *input)
{
  g_autoptr (JsonBuilder) b = json_builder_new ();
  g_autoptr (JsonNode) root = NULL;
  gboolean trains = !g_str_equal (kind, FM_STAGE_KIND_MEASURE), tuned = trains && parts->trials != NULL;
  g_autofree char *architecture = fm_architecture_to_json (parts->architecture);
  FmBatchStage *stage = g_new0 (FmBatchStage, 1);

  stage->kind = g_strdup (kind);
  stage->inputs = g_ptr_array_new_with_free_func (g_free);
  json_builder_begin_object (b);
  add_text (b, "kind", kind);
  add_int (b, "numerics", FM_NUMERICS_VERSION);
  json_builder_set_member_name (b, "architecture");
  json_builder_add_value (b, json_from_string (architecture, NULL));
  add_task (b, parts->task);
  add_text (b, "device", parts->device);
  add_int (b, "seed", parts->seed);
  add_int (b, "batch", parts->settings->batch);
  if (parts->settings->evaluate) /* only when asked for: 0 means all */
    add_int (b, "evaluate", parts->settings->evaluate);
  if (trains)
    add_training (b, parts);
  if (tuned)
    add_tuning (b, parts);
  for (guint i = 0; tuned && i < parts->trials->len; i++)
    g_ptr_array_add (stage->inputs, g_strdup (((FmBatchStage *) g_ptr_array_index (parts->trials, i))->id));
  if (trains)
    add_start (b, parts, stage);
  if (input)
    g_ptr_array_add (stage->inputs, g_strdup (input->id));
  if (stage->inputs->len > 0)
    {
      json_builder_set_member_name (b, "inputs");
      json_builder_begin_array (b);
      for (guint i = 0; i < stage->inputs->len; i++)
        json_builder_add_string_value (b, g_ptr_array_index (stage->inputs, i));
      json_builder_end_array (b);
    }
  if (g_str_equal (kind, FM_STAGE_KIND_MEASURE))
    add_text (b, "hardware", parts->hardware);
  if (g_str_equal (kind, FM_STAGE_KIND_MEASURE) && parts->measure && parts->measure->len > 0)
    {
      json_builder_set_member_name (b, "measure");
      json_builder_begin_array (b);
      for (guint i = 0; i < parts->measure->len; i++)
        json_builder_add_string_value (b, g_ptr_array_index (parts->measure, i));
      json_builder_end_array (b);
    }
  json_builder_end_object (b);
  root = json_builder_get_root (b);
  stage->recipe = json_to_string (root, FALSE);
  fm_json_repair_numbers (stage->recipe);
  stage->id = fm_short_hash (stage->recipe);
  return stage;
}
