/* train.c: the training stage: steps, a look at validation now and then, at the end every score and the checkpoint. */
#include "config.h"

#include "app/architecture/paths.h"
#include "app/results/artifacts.h"
#include "app/run/digests.h"
#include "app/run/run-private.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

/* A batch-coupled plugin scores otherwise in other batches: whoever changes this raises FM_NUMERICS_VERSION, which is part
 * of every stage's id. */
#define EVALUATION_BATCH   64
#define LOOK_EXAMPLES      512 /* of validation, while training */
#define LOOKS              10  /* at validation, evenly over training */
#define POINTS             200 /* of the loss curve at most, unless there are fewer steps */
#define PROGRESS_INTERVAL  (G_USEC_PER_SEC / 4)
#define AHEAD_INTERVAL     (G_USEC_PER_SEC / 4) /* before the host looks at what a device does beside it */

typedef struct
{
  FmJob         *job;
  FmRecipe      *recipe;
  FmModel       *model;
  FmModelGraph  *graph;
  FmProgram     *program;
  FmVariables   *variables;
  FmEvaluator   *evaluator;
  FmStageResult *result;
  FmDigests     *digests;
  GPtrArray     *paths;  /* of parameters; no ownership of the texts */
  gfloat        *logs; /* room for the longest log */
  gint64         told_us; /* when progress was told last */
  gdouble        seconds; /* in steps */
} Training;

static void
training_clear (Training *t)
{
  g_clear_pointer (&t->evaluator, fm_evaluator_free);
  g_clear_pointer (&t->program, fm_program_free);
  g_clear_pointer (&t->graph, fm_model_graph_free);
  g_clear_pointer (&t->model, fm_model_free);
  g_clear_pointer (&t->variables, fm_variables_unref);
  g_clear_pointer (&t->result, fm_stage_result_free);
  g_clear_pointer (&t->digests, fm_digests_free);
  g_clear_pointer (&t->paths, g_ptr_array_unref);
  g_free (t->logs);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Training, training_clear)

static void
add_point (Training *t, gint64 step, const char *name, const char *tag, gdouble value)
{
  JsonObject *message = json_object_new ();

  fm_stage_result_add_point (t->result, step, name, tag, value);
  json_object_set_string_member (message, "event", "point");
  json_object_set_int_member (message, "step", step);
  json_object_set_string_member (message, "name", name);
  json_object_set_string_member (message, "tag", tag);
  fm_json_set_double (message, "value", value);
  fm_worker_send (message);
}

/* What builders log: an expert's load has a curve of its own name, other lists are tagged by element. */
static gboolean
add_logs (Training *t, gint64 step, GError **error)
{
  for (guint i = 0; i < t->graph->logs->len; i++)
    {
      const FmModelLog *log = g_ptr_array_index (t->graph->logs, i);
      gboolean load = g_str_equal (log->name, "load");

      if (!fm_program_read (t->program, log->output, t->logs, (gsize) log->count * sizeof (gfloat), error))
        return FALSE;
      for (gint64 k = 0; k < log->count; k++)
        {
          g_autofree char *tag = NULL;

          if (load)
            tag = fm_load_curve_tag (log->layer, k);
          else if (log->count > 1)
            tag = g_strdup_printf ("layers.%d/%" G_GINT64_FORMAT, log->layer, k);
          else
            tag = log->layer < 0 ? g_strdup ("") : g_strdup_printf ("layers.%d", log->layer);
          add_point (t, step, load ? FM_CURVE_EXPERT_LOAD : log->name, tag, t->logs[k]);
        }
    }
  return TRUE;
}

static void
tell_progress (Training *t, gint64 step, gfloat loss, gboolean now)
{
  gint64 at = g_get_monotonic_time ();
  JsonObject *message;

  if (!now && at - t->told_us < PROGRESS_INTERVAL)
    return;
  t->told_us = at;
  message = json_object_new ();
  json_object_set_string_member (message, "event", "progress");
  json_object_set_int_member (message, "step", step);
  json_object_set_int_member (message, "steps", t->recipe->steps);
  fm_json_set_double (message, "loss", loss);
  fm_json_set_double (message, "seconds", t->seconds);
  fm_worker_send (message);
}

/* The mean over targets; a task with several has a curve of each, too. */
static gboolean
look_at_validation (Training *t, gint64 step, GError **error)
{
  const FmTaskInfo *info = fm_task_get_info (t->recipe->task);
  gdouble accuracy = 0, loss = 0;

  for (guint i = 0; i < info->n_targets; i++)
    {
      g_autoptr (GArray) outcomes = g_array_new (FALSE, FALSE, sizeof (FmOutcome));
      gdouble own;

      if (!fm_evaluator_split (t->evaluator, "validation", i, LOOK_EXAMPLES / info->n_targets, outcomes, NULL,
                               t->job->quiet, error))
        return FALSE;
      own = fm_outcomes_accuracy ((FmOutcome *) outcomes->data, outcomes->len);
      accuracy += own / info->n_targets;
      loss += fm_outcomes_loss ((FmOutcome *) outcomes->data, outcomes->len) / info->n_targets;
      if (info->n_targets > 1)
        add_point (t, step, "validation_accuracy", info->targets[i].name, own);
    }
  add_point (t, step, "validation_accuracy", "", accuracy);
  add_point (t, step, "validation_loss", "", loss);
  return TRUE;
}

/* (transfer container): those that have a gradient. */
static GPtrArray *
trained_paths (Training *t)
{
  g_autoptr (GPtrArray) all = fm_graph_param_paths (t->graph->graph);
  GPtrArray *paths = g_ptr_array_new ();

  for (guint i = 0; i < all->len; i++)
    if (fm_path_match_any ((const char * const *) t->recipe->trains, g_ptr_array_index (all, i)))
      g_ptr_array_add (paths, g_ptr_array_index (all, i));
  return paths;
}

/* Which parameter's gradient was not finite @ago runs before the last; "loss" when the loss itself was not. */
static char *
blame (Training *t, guint ago, gfloat loss)
{
  g_autoptr (GPtrArray) paths = trained_paths (t);
  g_autofree gfloat *norms = g_new0 (gfloat, MAX (paths->len, 1));

  if (!isfinite (loss))
    return g_strdup ("loss");
  if (fm_program_read_earlier (t->program, ago, "@norms", norms, paths->len * sizeof (gfloat), NULL))
    for (guint i = 0; i < paths->len; i++)
      if (!isfinite (norms[i]))
        return g_strconcat (g_ptr_array_index (paths, i), " (gradient)", NULL);
  return g_strdup ("gradient norm");
}

static gboolean
start_step (Training *t, gint64 number, GError **error)
{
  g_auto (FmBatch) batch = { 0 };
  gfloat rate = fm_recipe_rate (t->recipe, number);
  gint32 step_number = (gint32) number;

  return fm_task_batch (t->recipe->task, "train", t->recipe->seed, (guint64) number - 1, t->recipe->batch, &batch, error)
         && fm_model_write_batch (t->graph, t->program, &batch, error)
         && fm_program_write (t->program, "@rate", &rate, sizeof rate, error)
         && (!fm_program_has_input (t->program, "@step") /* plain SGD does not count */
             || fm_program_write (t->program, "@step", &step_number, sizeof step_number, error))
         && fm_program_start (t->program, error);
}

/* Looks at the last @n steps, up to @number. @loss (out): the last's. @diverged (out): the loss or gradient of one is not
 * finite; the result says where. */
static gboolean
look_at_steps (Training *t, gint64 number, guint n, gfloat *loss, gboolean *diverged, GError **error)
{
  for (guint ago = n; ago-- > 0;)
    {
      gfloat norm;

      if (!fm_program_read_earlier (t->program, ago, "@loss", loss, sizeof *loss, error)
          || !fm_program_read_earlier (t->program, ago, "@norm", &norm, sizeof norm, error))
        return FALSE;
      if (!isfinite (*loss) || !isfinite (norm))
        {
          *diverged = TRUE;
          t->result->diverged_step = number - ago;
          t->result->diverged_tensor = blame (t, ago, *loss);
          return TRUE;
        }
    }
  return TRUE;
}

/* A device that works beside the host gets steps ahead until something is to be looked at: as many as it keeps results
 * of, or a quarter of a second. @diverged (out): see above. */
static gboolean
run_steps (Training *t, gboolean *diverged, GError **error)
{
  gint64 steps = t->recipe->steps;
  gint64 every = MAX (1, steps / POINTS), look_every = MAX (1, steps / LOOKS), kept = fm_program_get_kept (t->program);

  if (!fm_digests_take (t->digests, t->variables, t->paths, 0, NAN, error))
    return FALSE;
  for (gint64 number = 1; number <= steps;)
    {
      gint64 first = number, start;
      gfloat loss = 0;
      gboolean ok = TRUE, point = FALSE;

      fm_worker_wait_while_paused ();
      fm_quiet_begin_step (t->job->quiet);
      start = g_get_monotonic_time ();
      do
        {
          ok = start_step (t, number, error);
          point = number % every == 0 || number == 1;
          number++;
        }
      while (ok && !point && number <= steps && (number - 1) % look_every != 0 && number - first < kept
             && !fm_digests_wants (number - 1, steps) && g_get_monotonic_time () - start < AHEAD_INTERVAL);
      ok = ok && look_at_steps (t, number - 1, (guint) (number - first), &loss, diverged, error);
      t->seconds += (g_get_monotonic_time () - start) / 1e6;
      fm_quiet_end (t->job->quiet);
      if (!ok)
        {
          g_prefix_error (error, "step %" G_GINT64_FORMAT ": ", number - 1);
          return FALSE;
        }
      if (*diverged)
        return TRUE;
      if (point)
        {
          add_point (t, number - 1, "loss", "", loss);
          if (!add_logs (t, number - 1, error))
            return FALSE;
        }
      if (fm_digests_wants (number - 1, steps)
          && !fm_digests_take (t->digests, t->variables, t->paths, number - 1, loss, error))
        return FALSE;
      tell_progress (t, number - 1, loss, number > steps);
      if ((number - 1) % look_every == 0 && number <= steps && !look_at_validation (t, number - 1, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
is_trial (const Training *t)
{
  return g_str_equal (t->recipe->kind, FM_STAGE_KIND_TRIAL);
}

static gboolean
score_split (Training *t, const char *split, GError **error)
{
  const FmTaskInfo *info = fm_task_get_info (t->recipe->task);
  const char *tag = is_trial (t) ? FM_TRIAL_TAG : "";
  gdouble accuracy = 0, loss = 0;

  for (guint i = 0; i < info->n_targets; i++)
    {
      g_autoptr (GArray) outcomes = g_array_new (FALSE, FALSE, sizeof (FmOutcome)), answers = NULL;
      g_autoptr (GBytes) triples = NULL;
      const FmOutcome *rows;
      const char *target = info->targets[i].name;

      if (info->targets[i].kind == FM_TARGET_CLASS)
        answers = g_array_new (FALSE, FALSE, sizeof (FmAnswer));
      if (!fm_evaluator_split (t->evaluator, split, i, (guint64) t->recipe->evaluate, outcomes, answers, t->job->quiet,
                               error))
        return FALSE;
      rows = (const FmOutcome *) outcomes->data;
      fm_stage_result_add_metric (t->result, split, target, tag, "accuracy", fm_outcomes_accuracy (rows, outcomes->len));
      fm_stage_result_add_metric (t->result, split, target, tag, "loss", fm_outcomes_loss (rows, outcomes->len));
      accuracy += fm_outcomes_accuracy (rows, outcomes->len) / info->n_targets;
      loss += fm_outcomes_loss (rows, outcomes->len) / info->n_targets;
      triples = g_bytes_new (rows, outcomes->len * sizeof (FmOutcome));
      fm_stage_result_add_outcomes (t->result, split, target, triples);
      if (answers)
        {
          g_autofree char *name = g_strconcat (target, FM_OUTCOMES_ANSWERS, NULL);
          g_autoptr (GBytes) packed = g_bytes_new (answers->data, answers->len * sizeof (FmAnswer));

          fm_stage_result_add_outcomes (t->result, split, name, packed);
        }
    }
  if (g_str_equal (split, "validation"))
    {
      add_point (t, t->recipe->steps, "validation_accuracy", "", accuracy);
      add_point (t, t->recipe->steps, "validation_loss", "", loss);
    }
  /* Of several targets the mean is the score; each has its own beside it. */
  if (is_trial (t) || info->n_targets > 1)
    {
      fm_stage_result_add_metric (t->result, split, "", tag, "accuracy", accuracy);
      fm_stage_result_add_metric (t->result, split, "", tag, "loss", loss);
    }
  return TRUE;
}

static gboolean
save_checkpoint (Training *t, GError **error)
{
  g_autofree char *path = g_build_filename (t->job->artifacts, FM_CHECKPOINT_FILE, NULL);

  /* Whoever loads the file finds the weights that were scored. */
  return (t->recipe->optimizer.average <= 0 || fm_variables_take_averages (t->variables, error))
         && fm_variables_save (t->variables, path, FALSE, error)
         && fm_add_artifact_file (t->result, t->job, "checkpoint", FM_CHECKPOINT_FILE, error);
}

static gboolean
save_digests (Training *t, GError **error)
{
  g_autofree char *path = g_build_filename (t->job->artifacts, FM_DIGESTS_FILE, NULL);

  return fm_digests_save (t->digests, path, error)
         && fm_add_artifact_file (t->result, t->job, FM_ARTIFACT_DIGESTS, FM_DIGESTS_FILE, error);
}

static gboolean
build (Training *t, GError **error)
{
  FmRecipe *recipe = t->recipe;
  g_autoptr (FmModelGraph) one = NULL;
  const char *seed_input = "@seed";
  gint32 seed[2] = { (gint32) (recipe->seed & G_MAXUINT32), (gint32) (recipe->seed >> 32) };
  gint64 longest = 1, parameters, by_n;
  FmPlan plan;
  FmCost cost;

  t->model = fm_model_new (recipe->architecture, recipe->task, "");
  fm_model_set_options (t->model, &(FmModelOptions){ .recompute = recipe->recompute, .accumulate = recipe->accumulate,
                                                     .averages = recipe->optimizer.average > 0,
                                                     .trains = (const char * const *) recipe->trains });
  t->graph = fm_model_graph_new (t->model, FM_MODE_TRAIN, recipe->batch, &recipe->optimizer, FALSE, error);
  if (t->graph == NULL)
    return FALSE;
  t->variables = fm_variables_new (t->job->device, recipe->seed);
  if (recipe->start &&
      !fm_start_apply (recipe->start, t->graph->graph, (const char *const *)t->job->checkpoints, t->variables, error))
    return FALSE;
  t->program = fm_program_new (t->graph->graph, t->job->device, t->variables, error);
  if (t->program == NULL)
    return FALSE;
  t->evaluator = fm_evaluator_new (t->model, recipe->task, t->job->device, t->variables, EVALUATION_BATCH, FALSE, error);
  if (t->evaluator == NULL)
    return FALSE;
  if (fm_program_has_input (t->program, seed_input)
      && !fm_program_write (t->program, seed_input, seed, sizeof seed, error))
    return FALSE;
  for (guint i = 0; i < t->graph->logs->len; i++)
    longest = MAX (longest, ((FmModelLog *) g_ptr_array_index (t->graph->logs, i))->count);
  t->logs = g_new (gfloat, (gsize) longest);
  t->digests = fm_digests_new ();
  t->paths = fm_graph_param_paths (t->graph->graph);

  /* FLOPs are stated for the forward pass of one example. */
  one = fm_model_graph_new (t->model, FM_MODE_EVALUATE, 1, NULL, FALSE, error);
  if (one == NULL || !fm_graph_plan (one->graph, fm_device_get_info (t->job->device)->id, &plan, &cost, error))
    return FALSE;
  if (!fm_architecture_count (recipe->architecture, recipe->task, &parameters, &by_n, error))
    return FALSE;
  fm_stage_result_add_metric (t->result, "", "", "", "flops", cost.flops);
  if (by_n >= 0) /* apart: what depends on the length */
    fm_stage_result_add_metric (t->result, "", "", "", "parameters_by_n", by_n);
  fm_stage_result_add_metric (t->result, "", "", "", "parameters", fm_model_parameters (t->graph));
  fm_worker_send_started (t->job, fm_program_get_plan (t->program), fm_model_parameters (t->graph), cost.flops);
  return TRUE;
}

/* Trials scored on validation say how this stage trains. @none (out): all of them diverged, and so did the stage. */
static gboolean
choose_settings (Training *t, gboolean *none, GError **error)
{
  FmRecipe *recipe = t->recipe;
  guint n = recipe->tune->len;
  g_autofree char *settings = NULL;
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;
  gint best;

  if (t->job->trials == NULL || json_array_get_length (t->job->trials) != n || n == 0)
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "The recipe has %u trials, and the request tells of %u", n,
                   t->job->trials ? json_array_get_length (t->job->trials) : 0);
      return FALSE;
    }
  fm_stage_result_add_metric (t->result, "", "", "", "trials", n);
  best = fm_tuning_choose (t->job->trials);
  *none = best < 0;
  if (*none)
    {
      JsonObject *first = json_array_get_object_element (t->job->trials, 0);

      settings = fm_tuning_to_string (g_ptr_array_index (recipe->tune, 0));
      t->result->diverged_step = fm_json_int (first, "diverged_step", 0);
      t->result->diverged_tensor = g_strdup (fm_json_text (first, "diverged_tensor", "loss"));
      t->result->reason = g_strdup_printf ("No settings to train with: %s diverged, the first (%s) at step %"
                                           G_GINT64_FORMAT ", where %s is not finite", n == 1 ? "the only trial" : "all trials",
                                           settings, t->result->diverged_step, t->result->diverged_tensor);
      return TRUE;
    }
  settings = fm_tuning_to_string (g_ptr_array_index (recipe->tune, best));
  fm_worker_log ("%s: best of %u trials on validation", settings, n);
  json_object_iter_init (&iter, g_ptr_array_index (recipe->tune, best));
  while (json_object_iter_next (&iter, &name, &node))
    fm_stage_result_add_metric (t->result, "", "", FM_CHOSEN_TAG, name, g_ascii_strtod (json_node_get_string (node), NULL));
  return fm_tuning_apply (recipe, (guint) best, error);
}

gboolean
fm_train_stage (FmJob *job, GError **error)
{
  g_auto (Training) t = { .job = job, .recipe = job->recipe, .result = fm_stage_result_new (FM_STAGE_DONE) };
  gint64 before = fm_memory_reset (), peak;
  gboolean diverged = FALSE, none = FALSE;

  if (t.recipe->tune && !choose_settings (&t, &none, error))
    return FALSE;
  if (none)
    {
      fm_worker_send_result (job, t.result, "diverged");
      return TRUE;
    }
  if (!build (&t, error) || !run_steps (&t, &diverged, error))
    return FALSE;
  peak = fm_memory_peak () - before;
  if (!diverged && !score_split (&t, "validation", error))
    return FALSE;
  /* A trial has no word on test, and nobody starts from it. */
  if (!diverged && !is_trial (&t) && (!score_split (&t, "test", error) || !save_checkpoint (&t, error)))
    return FALSE;
  if (!save_digests (&t, error))
    return FALSE;
  fm_stage_result_add_metric (t.result, "", "", "", "train_s", t.seconds);
  fm_add_plan_memory (t.result, fm_program_get_plan (t.program), peak);
  t.result->fallbacks = fm_program_count_fallbacks (t.program);
  /* That its settings diverge is what a trial is there to find out. */
  fm_worker_send_result (job, t.result, diverged && !is_trial (&t) ? "diverged" : "done");
  return TRUE;
}
