/* estimate.h: what a plan will cost before anything runs: memory to the byte, time roughly. */
#pragma once

#include "app/batch/plan.h"

G_BEGIN_DECLS

/* Longer plans run only when somebody says so. */
#define FM_ESTIMATE_MOST_S (24 * 3600.0)

/* One stage of the plan. */
typedef struct
{
  const FmBatchStage *stage;   /* no ref: the plan's */
  const FmBatchRun   *run;     /* no ref: the first that wants it */
  char               *settings; /* (nullable): of a trial: "rate=0.001, decay=0" */
  gboolean            left;    /* neither done nor diverged in the store, and wanted by a run that meets what is held */
  gdouble             seconds; /* alone on the machine */
  gdouble             flops;
  guint64             peak_bytes;
  gint64              parameters, parameters_by_n; /* see fm_architecture_count() */
  gint64              steps, batch, hidden; /* of a training */
  char               *task;
  char               *chain; /* (nullable): of a [stage NAME]: "adapt: from base, trains head" */
} FmStageEstimate;

typedef struct
{
  gint64  n_stages, n_left;  /* left: see fm_batch_plan_find_left() */
  gint64  n_trials;          /* of n_stages */
  gdouble seconds_left;      /* training workers side by side, measuring alone */
  GPtrArray *stages;         /* FmStageEstimate, in the plan's order */
  guint64 peak_bytes;        /* planned, of the largest worker */
  guint64 available_bytes;   /* of its device */
  char   *largest;           /* the variant that needs peak_bytes */
  gdouble flops_left;
} FmPlanEstimate;

FM_API void fm_plan_estimate_free (FmPlanEstimate *estimate);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmPlanEstimate, fm_plan_estimate_free)

/**
 * fm_plan_estimate_new:
 * @store: (nullable): NULL when nothing was ever run
 *
 * Builds the graph of every variant once. FM_APP_ERROR_LARGE with planned and available bytes when one does not fit.
 */
FM_API FmPlanEstimate *fm_plan_estimate_new (FmBatchPlan *plan, FmStore *store, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
