/* plan.h: a batch file as runs and stages.
 *
 * A stage's id is a hash of its recipe, and the recipe names all that determines its result: so a stage that any batch
 * has finished is never run again. The recipe is what a worker is sent, one JSON object:
 *
 *   {"kind": "train"|"measure", "numerics": 1, "architecture": {...}, "task": {"id", "params": {...}, "data_key"},
 *    "device": "cpu", "seed": 0, "batch": 64, "steps": 1000, "rate": "0.003", "schedule": "cosine", "warmup": 50,
 *    "beta1": "0.9", "beta2": "0.999", "eps": "1e-08", "decay": "0.01", "clip": "1",
 *    "inputs": [ids of earlier stages], "hardware": "..."}
 *
 * and, where a batch asks for it, "measure" (measuring stages), "evaluate", "optimizer": "sgd" with "momentum" and "nesterov", "accumulate", "average",
 * "recompute"; of a stage of a chain "trains" (patterns) and, where it starts from earlier ones, "init" (rules: run/init.h).
 * A mixture's "task" has "mixture": [{"id", "weight", "params", "data_key"}, ...].
 *
 * Real numbers are texts, so that a recipe is the same bytes whoever writes it. What concerns training alone stands in
 * training stages alone; `hardware` stands in measuring stages alone: a time belongs to the machine it was taken on. */
#pragma once

#include "app/batch/batch.h"
#include "storage/storage.h"

G_BEGIN_DECLS

/* A trial is a training stage of kind "trial" without a score on test. A training stage with trials has
 * "tune": [{"rate": "0.001"}, ...], one object for each of its inputs, in place of the settings that they hold.
 *
 * Goes up when a change of the kernels, the skeleton or the training loop changes results on purpose. */
#define FM_NUMERICS_VERSION 1

/* Of the trials of tune=: a seed of their own, so that no run of the comparison was looked at when settings were chosen. */
#define FM_TUNING_SEED 1000000

typedef struct
{
  char      *id;   /* first 20 hex digits of the recipe's SHA-256 */
  char      *kind; /* FM_STAGE_KIND_* */
  char      *recipe;
  GPtrArray *inputs; /* char * */
  char      *name;   /* (nullable): of a [stage NAME] that asks for it */
} FmBatchStage;

typedef struct
{
  char           *variant; /* "local-attention x mlp, window=8": unique in the batch together with seed */
  char           *mixer, *feedforward; /* plugin ids; `,` between layers that differ */
  char           *architecture_id;
  char           *task_id;
  char           *device_id;
  FmArchitecture *architecture;
  FmTask         *task; /* described, not loaded */
  char           *device; /* "cpu", "vulkan", "vulkan:1" */
  gint64          seed;
  gint64          steps, batch;
  gint64          hidden;     /* F, solved where parameters are held */
  gint64          parameters, parameters_by_n; /* apart: what depends on the length N; -1: not counted */
  char           *unmet;      /* (nullable): why a hold cannot be met: the run is stored as skipped for this reason */
  GPtrArray      *trials;  /* (nullable): FmBatchStage, no ref: whose best one says how to train */
  GPtrArray      *earlier; /* (nullable): FmBatchStage, no ref: trainings before @train, inputs first */
  FmBatchStage   *train;   /* no ref: in the plan's stages */
  FmBatchStage   *measure; /* no ref */
} FmBatchRun;

typedef struct
{
  char      *key;      /* hash of all of it: the same plan gives the same key */
  char      *title;
  char      *file_name; /* (nullable) */
  char      *text;
  gint64     n_variants;
  gboolean   retry_failed; /* set by whoever runs it: stages that failed earlier count as left */
  GPtrArray *runs;     /* FmBatchRun, seeds of a variant together */
  GPtrArray *stages;   /* FmBatchStage, each once, inputs first */
} FmBatchPlan;

/** fm_batch_plan_new: multiplies the matrix out, solves what is held and checks that every variant can be built for its
 * task and device. */
FM_API FmBatchPlan *fm_batch_plan_new  (FmBatchFile *file, GError **error) G_GNUC_WARN_UNUSED_RESULT;
FM_API void         fm_batch_plan_free (FmBatchPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmBatchPlan, fm_batch_plan_free)

/**
 * fm_batch_plan_save:
 * @batch: (out): the new batch, or the newest one there is with the same key
 *
 * Writes the plan in one transaction, or finds it: asking for the same batch again goes on with the old one.
 */
FM_API gboolean fm_batch_plan_save (FmBatchPlan *plan, FmStore *store, gint64 *batch, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

/** fm_batch_plan_find_left: (transfer container): the set of FmBatchStage that a run of the batch would take up. Not those
 * that are done or diverged in @store (nullable: none is), nor those that failed unless they are to be tried again, nor
 * what follows from either. */
FM_API GHashTable *fm_batch_plan_find_left (FmBatchPlan *plan, FmStore *store, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** fm_batch_plan_count_left: how many of these are of @kind (nullable: all kinds); -1 on an error. */
FM_API gint64 fm_batch_plan_count_left (FmBatchPlan *plan, FmStore *store, const char *kind, GError **error);

G_END_DECLS
