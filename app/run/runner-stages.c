/* runner-stages.c: the stages of a batch: read from the store, claimed and given to a worker, and what becomes of one
 * whose worker has exited. */
#include "config.h"

#include "app/run/runner-private.h"

#include <glib/gstdio.h>
#include <math.h>

#define MOST_LOG     (64 * 1024) /* bytes of a log that are kept: the last ones tell why */
#define MEASURE_WORK 4e10 /* FLOPs that a measuring stage counts as, in the share of the whole */

/* --- Reading them --------------------------------------------------------------------------------------------------*/

void
fm_runner_stage_free (gpointer data)
{
  FmRunnerStage *stage = data;

  g_clear_pointer (&stage->record, fm_stage_record_free);
  g_clear_pointer (&stage->recipe, json_object_unref);
  if (stage->log)
    g_string_free (stage->log, TRUE);
  g_free (stage->variant);
  g_free (stage);
}

void
fm_runner_stage_add_log (FmRunnerStage *stage, const char *text, gssize length)
{
  if (stage->log == NULL)
    stage->log = g_string_new (NULL);
  g_string_append_len (stage->log, text, length);
  if (stage->log->len > 2 * MOST_LOG)
    g_string_erase (stage->log, 0, stage->log->len - MOST_LOG);
}

/* Memory and FLOPs of a stage that is still to run; a recipe that cannot be opened is left to the worker, whose reason
 * then stands in the table. */
static void
estimate_stage (FmRunnerStage *stage)
{
  g_autoptr (FmRecipe) recipe = fm_recipe_parse (stage->recipe, NULL);
  FmPlan plan;
  gdouble train, example;

  stage->work = MEASURE_WORK;
  if (recipe == NULL || !fm_recipe_cost (recipe, &plan, &train, &example, NULL))
    return;
  stage->peak_bytes = fm_runner_stage_is_training (stage) ? plan.peak_bytes : plan.peak_bytes / 3;
  if (fm_runner_stage_is_training (stage))
    stage->work = MAX (train, 1);
}

/* Stages of one variant: another stage of a chain may have another model, another task or less to train. */
static gboolean
costs_the_same (const FmRunnerStage *a, const FmRunnerStage *b)
{
  static const char * const members[] = { "architecture", "task", "steps", "batch", "trains" };

  for (guint i = 0; i < G_N_ELEMENTS (members); i++)
    {
      JsonNode *x = json_object_get_member (a->recipe, members[i]), *y = json_object_get_member (b->recipe, members[i]);

      if ((x == NULL) != (y == NULL) || (x && !json_node_equal (x, y)))
        return FALSE;
    }
  return TRUE;
}

static FmRunnerStage *
find_stage (FmRunner *runner, const char *id)
{
  for (guint i = 0; i < runner->stages->len; i++)
    {
      FmRunnerStage *stage = g_ptr_array_index (runner->stages, i);

      if (g_str_equal (stage->record->id, id))
        return stage;
    }
  return NULL;
}

/* Does @stage start from weights that @input left? A training stage starts from trials, too, which leave none. */
static gboolean
needs_weights (const FmRunnerStage *stage, const FmRunnerStage *input)
{
  return !g_str_equal (input->record->kind, FM_STAGE_KIND_TRIAL)
         && (!fm_runner_stage_is_training (stage) || json_object_has_member (stage->recipe, "init"));
}

/* Stages that are done, but whose checkpoint was taken away to make room while one that is to run starts from it: they are
 * trained again, since their recipe is there. One of them may start from another. */
static void
find_pruned (FmRunner *runner)
{
  gboolean more = TRUE;

  while (more)
    {
      more = FALSE;
      for (guint i = 0; i < runner->stages->len; i++)
        {
          const FmRunnerStage *stage = g_ptr_array_index (runner->stages, i);

          for (guint k = 0; stage->state == FM_STAGE_PLANNED && k < stage->record->inputs->len; k++)
            {
              const char *id = g_ptr_array_index (stage->record->inputs, k);
              g_autofree char *file = fm_store_artifact_path (runner->store, id, FM_CHECKPOINT_FILE);
              FmRunnerStage *input = find_stage (runner, id);

              if (input == NULL || input->state != FM_STAGE_DONE || !needs_weights (stage, input)
                  || g_file_test (file, G_FILE_TEST_EXISTS))
                continue;
              input->restores = TRUE;
              input->state = FM_STAGE_PLANNED;
              more = TRUE;
            }
        }
    }
}

gboolean
fm_runner_load_stages (FmRunner *runner, GHashTable *only, GError **error)
{
  g_autoptr (GPtrArray) records = fm_store_load_stages (runner->store, runner->status->batch, error);
  FmRunnerStage *before = NULL;

  if (records == NULL)
    return FALSE;
  runner->runs = fm_store_load_runs (runner->store, runner->status->batch, error);
  if (runner->runs == NULL)
    return FALSE;
  g_ptr_array_set_free_func (records, NULL);
  for (guint i = 0; i < records->len; i++)
    {
      FmStageRecord *record = g_ptr_array_index (records, i);
      FmRunnerStage *stage;

      if (only != NULL && !g_hash_table_contains (only, record->id))
        {
          runner->partial |= record->state != FM_STAGE_DONE && record->state != FM_STAGE_DIVERGED;
          fm_stage_record_free (record);
          continue;
        }
      stage = g_new0 (FmRunnerStage, 1);
      g_ptr_array_add (runner->stages, stage);
      stage->record = record;
    }
  for (guint i = 0; i < runner->stages->len; i++)
    {
      FmRunnerStage *stage = g_ptr_array_index (runner->stages, i);

      stage->state = stage->record->state;
      /* What failed would most likely fail again: it keeps its reason and its log until somebody asks for another try. */
      if (stage->state == FM_STAGE_FAILED && !runner->retry_failed)
        runner->n_kept_failures++;
      else if (!fm_runner_stage_is_final (stage))
        stage->state = FM_STAGE_PLANNED;
      stage->recipe = fm_json_parse (stage->record->recipe, -1, error);
      if (stage->recipe == NULL)
        {
          g_prefix_error (error, "The recipe of stage %s is damaged: ", stage->record->id);
          return FALSE;
        }
      stage->steps = fm_runner_stage_is_training (stage) ? fm_json_int (stage->recipe, "steps", 0) : 0;
      if (g_str_equal (stage->record->kind, FM_STAGE_KIND_TRIAL))
        stage->seed = fm_json_int (stage->recipe, "seed", 0);
      for (guint r = 0; r < runner->runs->len && stage->variant == NULL; r++)
        {
          FmRunRecord *run = g_ptr_array_index (runner->runs, r);

          for (guint k = 0; k < run->stages->len && stage->variant == NULL; k++)
            if (g_str_equal (g_ptr_array_index (run->stages, k), stage->record->id))
              {
                stage->variant = g_strdup (run->variant);
                if (!g_str_equal (stage->record->kind, FM_STAGE_KIND_TRIAL)) /* has its own */
                  stage->seed = run->seed;
                stage->run = run->id;
                /* The chain, then the one that measures; trials stand behind it. */
                if (run->stages->len > 2 && g_str_equal (stage->record->kind, FM_STAGE_KIND_TRAIN)
                    && !json_object_has_member (stage->recipe, "tune"))
                  {
                    stage->place = k + 1;
                    stage->n_places = run->stages->len - 1;
                  }
              }
        }
      /* Seeds of a variant cost the same; they stand together. */
      if (before && fm_runner_stage_is_training (before) == fm_runner_stage_is_training (stage)
          && g_strcmp0 (before->variant, stage->variant) == 0 && costs_the_same (before, stage))
        {
          stage->work = before->work;
          stage->peak_bytes = before->peak_bytes;
        }
      else
        estimate_stage (stage);
      before = stage;
    }
  find_pruned (runner);
  for (guint r = 0; r < runner->runs->len; r++)
    {
      FmRunRecord *run = g_ptr_array_index (runner->runs, r);

      /* The data may have come meanwhile. A run without stages could not meet a hold, which no data changes. */
      if (g_strcmp0 (run->state, "skipped") == 0 && run->stages->len > 0
          && !fm_store_skip_run (runner->store, run->id, NULL, error))
        return FALSE;
    }
  return TRUE;
}

/* --- Starting one --------------------------------------------------------------------------------------------------*/

/* Another runner had the stage meanwhile: is it over? */
static gboolean
has_failed_elsewhere (FmRunner *runner, FmRunnerStage *stage)
{
  FmStageState state;

  if (stage->refusals == 0 || !fm_store_load_stage_state (runner->store, stage->record->id, &state, NULL)
      || state != FM_STAGE_FAILED)
    return FALSE;
  stage->state = FM_STAGE_FAILED;
  return TRUE;
}

static gboolean
is_running (FmRunner *runner, const FmRunnerStage *stage)
{
  for (guint i = 0; i < runner->workers->len; i++)
    if (((FmRunnerWorker *) g_ptr_array_index (runner->workers, i))->stage == stage)
      return TRUE;
  return FALSE;
}

/* Inputs done, itself not: may a worker have it? A failed input blocks it. */
gboolean
fm_runner_stage_is_ready (FmRunner *runner, FmRunnerStage *stage)
{
  if (fm_runner_stage_has_ended (stage) || is_running (runner, stage))
    return FALSE;
  for (guint i = 0; i < stage->record->inputs->len; i++)
    {
      FmRunnerStage *input = find_stage (runner, g_ptr_array_index (stage->record->inputs, i));

      if (input == NULL || input->state == FM_STAGE_DONE)
        continue;
      if (fm_runner_stage_has_ended (input))
        stage->blocked = TRUE;
      return FALSE;
    }
  return stage->refusals == 0 || runner->ticks % FM_RUNNER_RETRY_TICKS == 0;
}

static JsonObject *
make_request (FmRunner *runner, FmRunnerStage *stage, guint threads)
{
  JsonObject *request = json_object_new ();
  g_autofree char *artifacts = fm_store_artifact_path (runner->store, stage->record->id, NULL);

  json_object_set_string_member (request, "stage", stage->record->id);
  json_object_set_string_member (request, "kind", stage->record->kind);
  json_object_set_object_member (request, "recipe", json_object_ref (stage->recipe));
  json_object_set_int_member (request, "threads", threads);
  json_object_set_string_member (request, "artifacts", artifacts);
  if (g_str_equal (stage->record->kind, FM_STAGE_KIND_MEASURE))
    {
      const char *hardware = fm_json_text (stage->recipe, "hardware", "");

      /* Once a device: stages that are loaded together need not all ask. */
      json_object_set_boolean_member (request, "roof", g_hash_table_add (runner->roofs_asked, g_strdup (hardware))
                                                           && !fm_store_knows_roof (runner->store, hardware, threads));
    }
  if (stage->record->inputs->len > 0 && g_str_equal (stage->record->kind, FM_STAGE_KIND_MEASURE))
    {
      g_autofree char *checkpoint
          = fm_store_artifact_path (runner->store, g_ptr_array_index (stage->record->inputs, 0), FM_CHECKPOINT_FILE);

      json_object_set_string_member (request, "checkpoint", checkpoint);
    }
  if (json_object_has_member (stage->recipe, "init"))
    {
      JsonArray *checkpoints = json_array_new ();

      for (guint i = 0; i < stage->record->inputs->len; i++)
        {
          g_autofree char *file
              = fm_store_artifact_path (runner->store, g_ptr_array_index (stage->record->inputs, i), FM_CHECKPOINT_FILE);

          json_array_add_string_element (checkpoints, file);
        }
      json_object_set_array_member (request, "checkpoints", checkpoints);
    }
  return request;
}

gboolean
fm_runner_claim_stage (FmRunner *runner, FmRunnerStage *stage, gboolean *ours)
{
  g_autoptr (GError) error = NULL;
  FmClaim claim;

  *ours = FALSE;
  if (stage->restores) /* nothing of it is written but the file; two who do it at once write the same */
    {
      *ours = TRUE;
      return TRUE;
    }
  if (has_failed_elsewhere (runner, stage))
    {
      fm_runner_tell_stage (runner, FM_RUN_EVENT_STAGE_ENDED, stage, NULL);
      return TRUE;
    }
  if (!fm_store_claim_stage (runner->store, stage->record->id, &claim, &error))
    {
      fm_runner_fail (runner, g_steal_pointer (&error));
      return FALSE;
    }
  if (claim == FM_CLAIM_BUSY)
    {
      stage->refusals++;
      return TRUE;
    }
  stage->refusals = 0;
  if (claim == FM_CLAIM_FINISHED)
    {
      if (!fm_store_load_stage_state (runner->store, stage->record->id, &stage->state, &error))
        {
          fm_runner_fail (runner, g_steal_pointer (&error));
          return FALSE;
        }
      fm_runner_tell_stage (runner, FM_RUN_EVENT_STAGE_ENDED, stage, NULL);
      return TRUE;
    }
  *ours = TRUE;
  return TRUE;
}

/* Nobody is at the stage any more. */
static gboolean
give_back (FmRunner *runner, FmRunnerStage *stage, GError **error)
{
  return stage->restores || fm_store_unclaim_stage (runner->store, stage->record->id, error);
}

static void
add_member (JsonObject *object, const char *name, JsonNode *value, gpointer request)
{
  json_object_set_member (request, name, json_node_copy (value));
}

gboolean
fm_runner_start_worker (FmRunner *runner, FmRunnerStage *stage, guint threads, JsonObject *place)
{
  g_autoptr (JsonObject) request = make_request (runner, stage, threads);
  g_autoptr (JsonObject) more = place;
  g_autoptr (GError) error = NULL;
  FmRunnerWorker *worker;

  if (more)
    json_object_foreach_member (more, add_member, request);
  worker = fm_tuning_add_trials (runner->store, stage->record, stage->recipe, request, &error)
             ? fm_runner_worker_new (runner, stage, request, &error) : NULL;
  if (worker == NULL
      || (!stage->restores
          && !fm_store_set_stage_worker (runner->store, stage->record->id,
                                     g_ascii_strtoll (g_subprocess_get_identifier (worker->process), NULL, 10),
                                         &error)))
    {
      if (worker)
        g_ptr_array_add (runner->workers, worker);
      else if (!give_back (runner, stage, NULL))
        g_debug ("stage %s stays claimed until the lease is taken over", stage->record->id);
      fm_runner_fail (runner, g_steal_pointer (&error));
      return FALSE;
    }
  g_ptr_array_add (runner->workers, worker);
  if (stage->restores)
    fm_runner_log (runner, worker, "Its checkpoint was taken away and is wanted: trained again; what it found stays");
  if (runner->paused)
    fm_runner_worker_send (worker, "{\"do\":\"pause\"}\n");
  runner->dirty = TRUE;
  if (stage->state != FM_STAGE_RUNNING) /* the first worker of several */
    {
      stage->state = FM_STAGE_RUNNING;
      fm_runner_tell_stage (runner, FM_RUN_EVENT_STAGE_STARTED, stage, NULL);
    }
  return TRUE;
}

/* FALSE when something is wrong with the store or the program: the runner has failed then. */
gboolean
fm_runner_start_stage (FmRunner *runner, FmRunnerStage *stage, guint threads)
{
  gboolean ours;

  return fm_runner_claim_stage (runner, stage, &ours) && (!ours || fm_runner_start_worker (runner, stage, threads, NULL));
}

/* --- Its end -------------------------------------------------------------------------------------------------------*/

static gboolean
skip_runs (FmRunner *runner, FmRunnerStage *stage, const char *reason, GError **error)
{
  for (guint i = 0; i < runner->runs->len; i++)
    {
      FmRunRecord *run = g_ptr_array_index (runner->runs, i);

      for (guint k = 0; k < run->stages->len; k++)
        if (g_str_equal (g_ptr_array_index (run->stages, k), stage->record->id)
            && !fm_store_skip_run (runner->store, run->id, reason, error))
          return FALSE;
    }
  return TRUE;
}

/* What the workers of a stage that failed said goes into a file beside its checkpoint. */
static void
keep_log (FmRunner *runner, FmRunnerStage *stage, FmStageResult *result)
{
  g_autofree char *folder = fm_store_artifact_path (runner->store, stage->record->id, NULL);
  g_autofree char *path = g_build_filename (folder, FM_RUNNER_LOG_FILE, NULL);
  g_autofree char *relative = g_build_filename (stage->record->id, FM_RUNNER_LOG_FILE, NULL);
  g_autofree char *sum = NULL;
  g_autoptr (GError) error = NULL;

  fm_runner_stage_add_log (stage, result->reason, -1);
  fm_runner_stage_add_log (stage, "\n", 1);
  if (g_mkdir_with_parents (folder, 0700) != 0 || !g_file_set_contents (path, stage->log->str, stage->log->len, &error))
    {
      g_debug ("no log: %s", error ? error->message : folder); /* the reason is in the store all the same */
      return;
    }
  sum = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) stage->log->str, stage->log->len);
  fm_stage_result_add_artifact (result, "log", relative, (gint64) stage->log->len, sum);
}

char *
fm_runner_find_log (FmRunner *runner, const char *stage)
{
  g_autofree char *path = fm_store_artifact_path (runner->store, stage, FM_RUNNER_LOG_FILE);
  FmRunnerStage *found = find_stage (runner, stage);

  if (found == NULL || found->state != FM_STAGE_FAILED || !g_file_test (path, G_FILE_TEST_EXISTS))
    return NULL;
  return g_steal_pointer (&path);
}

/* The score of a stage as its row in the store, or the result of a worker, says it. */
static gdouble
score_of (GPtrArray *metrics)
{
  gdouble score = NAN;

  for (guint i = 0; i < metrics->len; i++)
    {
      const FmMetricRow *row = g_ptr_array_index (metrics, i);

      if (g_str_equal (row->split, "test") && g_str_equal (row->name, "accuracy") && g_str_equal (row->tag, "")
          && (isnan (score) || g_str_equal (row->target, "")))
        score = row->value;
    }
  return score;
}

/* A stage that was done has its checkpoint again. Its numbers stay; another score than theirs is told. */
static gboolean
restored (FmRunner *runner, FmRunnerWorker *worker, GError **error)
{
  FmRunnerStage *stage = worker->stage;
  g_autoptr (GPtrArray) metrics = fm_store_load_metrics (runner->store, stage->record->id, error);
  gdouble before = metrics ? score_of (metrics) : NAN, now = score_of (worker->result->metrics);

  stage->state = FM_STAGE_DONE;
  stage->restores = FALSE;
  if (metrics == NULL)
    return FALSE;
  if (before != now && !(isnan (before) && isnan (now)))
    {
      g_autofree char *text
        = g_strdup_printf ("The checkpoint is not quite the one that was taken away: test accuracy %.6g, before %.6g", now, before);

      fm_runner_log (runner, worker, text);
    }
  return fm_store_add_artifacts (runner->store, stage->record->id, worker->result->artifacts, error);
}

/* What becomes of a stage whose worker has exited; @reason (out): why it failed. */
gboolean
fm_runner_settle (FmRunner *runner, FmRunnerWorker *worker, const char *how, char **reason, GError **error)
{
  FmRunnerStage *stage = worker->stage;
  const char *id = stage->record->id;
  g_autoptr (FmStageResult) failed = NULL;
  FmStageResult *result = worker->result;

  if (result && stage->restores && result->state == FM_STAGE_DONE)
    return restored (runner, worker, error);
  if (result && !stage->restores && result->state != FM_STAGE_FAILED)
    {
      stage->state = result->state;
      *reason = g_strdup (result->reason);
      return fm_store_finish_stage (runner->store, id, result, error);
    }
  stage->state = FM_STAGE_PLANNED;
  if (worker->killed)
    return give_back (runner, stage, error);
  if (result && worker->absent)
    {
      stage->blocked = TRUE;
      *reason = g_strdup (result->reason);
      return give_back (runner, stage, error) && skip_runs (runner, stage, result->reason, error);
    }
  if (result == NULL && ++stage->deaths < FM_RUNNER_MOST_DEATHS)
    {
      fm_runner_log (runner, worker, how);
      return give_back (runner, stage, error);
    }
  if (result == NULL)
    {
      result = failed = fm_stage_result_new (FM_STAGE_FAILED);
      failed->reason = g_strdup_printf ("%s, %d times", how, FM_RUNNER_MOST_DEATHS);
    }
  stage->state = FM_STAGE_FAILED;
  *reason = g_strdup (result->reason);
  if (stage->restores) /* the store keeps what the stage found before */
    return TRUE;
  keep_log (runner, stage, result);
  return fm_store_finish_stage (runner->store, id, result, error);
}
