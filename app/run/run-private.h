/* run-private.h: what the files of app/run/ share with each other and with tests. */
#pragma once

#include "app/architecture/architecture.h"
#include "app/run/explore.h"
#include "app/run/init.h"
#include "app/run/run.h"

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* --- runtime.c -----------------------------------------------------------------------------------------------------*/

/* The lock that keeps the machine quiet while something is measured; without a runtime folder it does nothing. */
typedef struct _FmQuiet FmQuiet;
FmQuiet *fm_quiet_new               (void);
void     fm_quiet_free              (FmQuiet *quiet);
void     fm_quiet_begin_step        (FmQuiet *quiet); /* waits while a measurement is on or wanted */
void     fm_quiet_begin_measurement (FmQuiet *quiet); /* waits until every step has ended */
void     fm_quiet_end               (FmQuiet *quiet);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmQuiet, fm_quiet_free)

/* --- recipe.c ------------------------------------------------------------------------------------------------------*/

/* What a stage's recipe says, opened: with its architecture and its (not yet loaded) task. */
typedef struct
{
  char           *kind;
  FmArchitecture *architecture;
  FmTask         *task;
  char           *device; /* "cpu", "vulkan", "vulkan:1" */
  guint64         seed;
  gint64          steps, batch, warmup;
  gint64          evaluate; /* examples of a split that are scored; 0 = all */
  gdouble         rate;
  FmScheduleKind  schedule;
  FmOptimizer     optimizer;
  gint64          accumulate, recompute; /* see FmModelOptions */
  char          **trains; /* (nullable): patterns of what is trained */
  FmStartRules   *start;  /* (nullable): it starts from models of earlier stages */
  char          **measure; /* (nullable): modes beside the forward pass: measure-axes.h */
  GPtrArray      *tune; /* (nullable): JsonObject: settings of each trial, one of which is to be chosen */
} FmRecipe;

FmRecipe *fm_recipe_parse (JsonObject *object, GError **error);
void      fm_recipe_free  (FmRecipe *recipe);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmRecipe, fm_recipe_free)

/* --- tuning.c ------------------------------------------------------------------------------------------------------*/

/** fm_tuning_add_trials: what the trials of the stage @record found, as the member "trials" of @request; nothing where its
 * recipe has none. */
gboolean fm_tuning_add_trials (FmStore *store, const FmStageRecord *record, JsonObject *recipe, JsonObject *request,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** fm_tuning_choose: index of the best of @trials, as fm_tuning_add_trials() tells them: most accurate on validation, then
 * least loss, then first; -1 when all diverged. */
gint     fm_tuning_choose     (JsonArray *trials);
/** fm_tuning_apply: fills @recipe with the settings of a trial. */
gboolean fm_tuning_apply      (FmRecipe *recipe, guint trial, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** fm_tuning_to_string: (transfer full): "rate=0.001, decay=0". */
char    *fm_tuning_to_string  (JsonObject *settings);

/** fm_recipe_model: (transfer full): as it is trained, and without averages. */
FmModel *fm_recipe_model (const FmRecipe *recipe);

/** fm_json_texts: (transfer full) (nullable): the texts of an array (nullable). */
char   **fm_json_texts   (JsonArray *array);

/** fm_recipe_rate: learning rate of @step (from 1): see fm_schedule_rate(). */
gfloat fm_recipe_rate (const FmRecipe *recipe, gint64 step);

/* --- estimate.c, status.c, runner.c ---------------------------------------------------------------------------------*/

guint64      fm_machine_available_bytes (void);
/** fm_recipe_cost: memory of a training step, FLOPs of the whole training, FLOPs of scoring one example. */
gboolean     fm_recipe_cost    (FmRecipe *recipe, FmPlan *train_plan, gdouble *train_flops, gdouble *example_flops,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;
FmRunStatus *fm_run_status_new (void);
FmRunWorker *fm_run_worker_new (void);
guint        fm_runner_default_training (void);

#define FM_TRIAL_TAG       "trial"  /* of a trial's metrics: no score of a run */
#define FM_CHOSEN_TAG      "chosen" /* of the settings that trials chose, by their names */
#define FM_CHECKPOINT_FILE "checkpoint.safetensors"

/* --- json.c --------------------------------------------------------------------------------------------------------*/

/* Members of an object that may be missing or of another type: then the fallback. */
const char *fm_json_text   (JsonObject *object, const char *name, const char *fallback);
gint64      fm_json_int    (JsonObject *object, const char *name, gint64 fallback);
gdouble     fm_json_double (JsonObject *object, const char *name, gdouble fallback); /* null is NAN */
gboolean    fm_json_bool   (JsonObject *object, const char *name);
JsonObject *fm_json_object (JsonObject *object, const char *name); /* (nullable) (transfer none) */
JsonArray  *fm_json_array  (JsonObject *object, const char *name); /* (nullable) (transfer none) */
void        fm_json_set_double (JsonObject *object, const char *name, gdouble value); /* NAN and infinity are null */

/** fm_json_parse: one object in @text. */
JsonObject *fm_json_parse (const char *text, gssize length, GError **error);
/** fm_json_line: (transfer full): the object on one line, newline at the end. */
char       *fm_json_line  (JsonObject *object);

/** fm_stage_result_to_json, _from_json: every row a stage leaves, as a worker sends it. */
JsonObject    *fm_stage_result_to_json   (const FmStageResult *result);
FmStageResult *fm_stage_result_from_json (JsonObject *object, FmStageState state);

/* --- evaluate.c ----------------------------------------------------------------------------------------------------*/

/* A model's answers on a split: the evaluating program with its buffers. */
typedef struct _FmEvaluator FmEvaluator;
FmEvaluator *fm_evaluator_new  (FmModel *model, FmTask *task, FmDevice *device, FmVariables *variables, gint64 batch,
                                gboolean probes, GError **error);
void         fm_evaluator_free (FmEvaluator *evaluator);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmEvaluator, fm_evaluator_free)

FmModelGraph *fm_evaluator_get_graph   (FmEvaluator *evaluator);
FmProgram    *fm_evaluator_get_program (FmEvaluator *evaluator);
/** fm_evaluator_run: one batch; @logits (out) (optional): of target 0, [B,..,classes], owned by the evaluator. */
gboolean      fm_evaluator_run (FmEvaluator *evaluator, const FmBatch *batch, const gfloat **logits, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;
/**
 * fm_evaluator_split:
 * @limit: examples at most (whole batches), 0 = all
 * @outcomes: (element-type FmOutcome): appended, for target @target
 * @answers: (nullable) (element-type FmAnswer): likewise, of a CLASS target
 * @quiet: (nullable): a step of the machine is taken for every batch
 */
gboolean      fm_evaluator_split (FmEvaluator *evaluator, const char *split, guint target, guint64 limit,
                                  GArray *outcomes, GArray *answers, FmQuiet *quiet, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- worker.c ------------------------------------------------------------------------------------------------------*/

/* One stage as the worker was asked for it. */
typedef struct
{
  char       *stage;
  FmRecipe   *recipe;
  char       *checkpoint; /* file name, or NULL */
  char      **checkpoints; /* (nullable): of the models that a training starts from */
  char       *artifacts;  /* folder of the stage */
  guint       threads;
  gint64      process;
  char       *session;      /* measuring: see FmProcessRow */
  gint64      block, place;
  gboolean    want_looks;   /* measuring: profile, maps and routing, too */
  FmQuiet    *quiet;
  FmDevice   *device;
  JsonArray  *trials;    /* (nullable): see fm_tuning_add_trials() */
  gboolean    want_roof; /* nobody has measured this device's roof */
  JsonObject *provenance;
} FmJob;

/* Words to the runner; one line each. */
void fm_worker_send (JsonObject *message); /* (transfer full) */
/** fm_worker_send_roof: what the job's device can do at most. */
void fm_worker_send_roof (FmJob *job, const FmRoof *roof);
/** fm_worker_send_result: the last word of a stage: "done" or "diverged" with all rows. */
void fm_worker_send_result (FmJob *job, FmStageResult *result, const char *event);
void fm_worker_log  (const char *format, ...) G_GNUC_PRINTF (1, 2);
/** fm_worker_wait_while_paused: stands still as long as the runner wants; cheap otherwise. */
void fm_worker_wait_while_paused (void);
/** fm_worker_next_command: (transfer full): the next line that is no pause or resume; waits for it. */
JsonObject *fm_worker_next_command (void);
/** fm_worker_send_started: plan and cost, once all is built. */
void fm_worker_send_started (FmJob *job, const FmPlan *plan, guint64 parameters, gdouble flops);

/** fm_memory_reset: forgets the peak so far and returns the resident bytes now; fm_memory_peak: the peak since then. */
gint64 fm_memory_reset (void);
gint64 fm_memory_peak  (void);

/**
 * fm_has_settled: settle.c
 * @calls_us: (array length=n): how long calls took, one after the other
 *
 * TRUE when the last calls no longer get faster (or slower): their trend cannot be told from chance or is too small to
 * matter.
 */
gboolean fm_has_settled   (const gdouble *calls_us, gsize n);

gboolean fm_train_stage   (FmJob *job, GError **error); /* train.c */
gboolean fm_measure_stage (FmJob *job, GError **error); /* measure.c */
int      fm_explore_serve (void);                       /* explore-worker.c */

/** fm_add_plan_memory: memory rows of @plan with the measured peak. */
void fm_add_plan_memory (FmStageResult *result, const FmPlan *plan, gint64 measured_peak_bytes);

/** fm_add_artifact_file: the row of a complete file in the stage's folder, with its size and checksum. */
gboolean fm_add_artifact_file (FmStageResult *result, FmJob *job, const char *kind, const char *name, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

/* --- looks.c: what a trained model looks at -------------------------------------------------------------------------*/

/* A model with every probe open, one example at a time. */
typedef struct _FmLooker FmLooker;
FmLooker *fm_looker_new  (FmModel *model, FmTask *task, FmDevice *device, FmVariables *variables, GError **error);
void      fm_looker_free (FmLooker *looker);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmLooker, fm_looker_free)

/**
 * fm_looker_look:
 * @values: (nullable): an own main input of one row, in place of the example's
 *
 * Returns: (transfer full): an answer with everything but `seconds` of a foreign clock
 */
FmExploreAnswer *fm_looker_look (FmLooker *looker, const char *split, gint64 example, const gfloat *values,
                                 gsize n_values, GError **error);

/** fm_looker_fill_maps: copies what the answer knows into its maps. */
void       fm_looker_fill_maps         (FmExploreAnswer *answer);
GPtrArray *fm_explore_routing_new      (void);
FmExploreAnswer *fm_explore_answer_from_json (JsonObject *object, GError **error); /* explore-worker.c */

/** fm_count_routing: tokens by layer, expert and class on a split (@limit examples, 0 = all); NULL without an error when nothing is routed. */
FmRouting *fm_count_routing (FmModel *model, FmTask *task, FmDevice *device, FmVariables *variables, const char *split,
                             guint64 limit, FmQuiet *quiet, GError **error);

G_END_DECLS
