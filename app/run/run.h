/* run.h: the runner: takes a batch that lies in the store and finishes what is left of it, a worker process a stage.
 *
 * It is driven by the default main context and never blocks it. It is the only writer of its batch (a lease in the
 * store keeps a second one away). Training workers run side by side where processors and memory allow it; measuring
 * stages are loaded together and take turns, alone on the machine. Whoever watches from another process attaches to the
 * control socket (control.h); both see the same events. */
#pragma once

#include "app/architecture/plugins.h"
#include "storage/storage.h"

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* --- Where this person's processes meet ----------------------------------------------------------------------------*/

/** fm_runtime_dir: (transfer full): $XDG_RUNTIME_DIR/formarium, else /tmp/formarium-<uid>; made with mode 700. */
FM_API char *fm_runtime_dir (GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** fm_program_path: (transfer full): the headless program: $FORMARIUM_PROGRAM, beside this program, the build folder
 * of a test, or $PATH. */
FM_API char *fm_program_path (void);

/* --- The runner ----------------------------------------------------------------------------------------------------*/

typedef struct _FmRunner FmRunner;

typedef enum
{
  FM_RUN_TRAINING,
  FM_RUN_MEASURING,
  FM_RUN_PAUSED,
  FM_RUN_DONE,      /* every stage has ended */
  FM_RUN_CANCELLED,
} FmRunPhase;

FM_API const char *fm_run_phase_to_string (FmRunPhase phase); /* "training", "measuring", ... */

/* What a worker is doing now. */
typedef struct
{
  char   *stage;
  char   *kind;    /* FM_STAGE_KIND_* */
  char   *variant; /* of the first run that wants it */
  gint64  seed;    /* likewise */
  gint64  run;     /* likewise */
  gint64  step, steps;
  gdouble loss;         /* NAN before the first */
  gdouble steps_per_s;  /* NAN at first */
  gdouble seconds_left; /* NAN at first */
} FmRunWorker;

/* A copy of how far the batch is. */
typedef struct
{
  gint64     batch;
  char      *title;
  char      *store;   /* file name */
  char      *command; /* that started it: "formarium run first.batch" */
  gint64     pid;
  FmRunPhase phase;
  gint64     n_stages, n_done, n_failed; /* failed: also diverged; both counts are of ended stages, n_done of all */
  gint64     n_train, n_train_done;
  gint64     started_us;
  gdouble    fraction;     /* 0..1 of the whole, by estimated work */
  gdouble    seconds_left; /* NAN at first */
  GPtrArray *workers;      /* FmRunWorker */
} FmRunStatus;

FM_API FmRunStatus *fm_run_status_copy (const FmRunStatus *status);
FM_API void         fm_run_status_free (FmRunStatus *status);
FM_API JsonNode    *fm_run_status_to_json   (const FmRunStatus *status);          /* (transfer full) */
FM_API FmRunStatus *fm_run_status_from_json (JsonNode *node, GError **error);     /* (transfer full) */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmRunStatus, fm_run_status_free)

typedef enum
{
  FM_RUN_EVENT_STATUS,        /* the status changed */
  FM_RUN_EVENT_STAGE_STARTED, /* stage, kind, variant, seed */
  FM_RUN_EVENT_STAGE_ENDED,   /* the same; state and reason */
  FM_RUN_EVENT_POINT,         /* stage; step, name, tag, value of a curve */
  FM_RUN_EVENT_LOG,           /* text: one line of a worker's or the runner's words */
  FM_RUN_EVENT_ENDED,         /* the last one; reason when it failed */
} FmRunEventKind;

typedef struct
{
  FmRunEventKind kind;
  const char    *stage, *stage_kind, *variant;
  gint64         seed;
  const char    *state, *reason; /* of fm_stage_state_to_string(), or "skipped" for want of data */
  guint          place, n_places; /* of a training in a chain of them, from 1; 0: it is alone */
  gint64         step;
  const char    *name, *tag;
  gdouble        value;
  const char    *text;
} FmRunEvent; /* strings: no ownership, valid during the call; NULL where it does not apply */

typedef void (*FmRunEventFunc) (const FmRunStatus *status, const FmRunEvent *event, gpointer user_data);

typedef struct
{
  gint64      batch;
  const char *command;    /* (nullable): what a person typed, for whoever attaches */
  guint       n_training; /* training workers side by side; 0 = as many as processors, at most 2 */
  guint64     memory_bytes; /* that plans side by side may use; 0 = what the machine has free */
  gboolean    retry_failed; /* stages that failed earlier run again; otherwise they keep their reason and their log */
  GHashTable *only;       /* (nullable), no ref: ids of the stages to do, the others are left; what they start from counts
                             as done where it is not among them */
} FmRunnerOptions;

/**
 * fm_runner_new:
 * @store: opened for writing; the runner keeps using it, the caller closes it after the runner is freed
 *
 * Takes the batch's lease and opens the control socket. Nothing runs yet.
 *
 * Returns: (transfer full): NULL with FM_STORAGE_ERROR_LEASED when another living runner has the batch
 */
FM_API FmRunner *fm_runner_new  (FmStore *store, const FmRunnerOptions *options, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;
/** fm_runner_free: kills workers that still run, gives the lease back. */
FM_API void      fm_runner_free (FmRunner *runner);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmRunner, fm_runner_free)

FM_API void fm_runner_set_event_func (FmRunner *runner, FmRunEventFunc func, gpointer user_data);

/** fm_runner_start: from now on the main context does the work, until FM_RUN_EVENT_ENDED. */
FM_API void fm_runner_start (FmRunner *runner);
/** fm_runner_pause: workers stand still between two steps; memory stays with them. */
FM_API void fm_runner_pause  (FmRunner *runner);
FM_API void fm_runner_resume (FmRunner *runner);
/** fm_runner_cancel: workers end; their stages are planned again, so that `resume` finishes them. */
FM_API void fm_runner_cancel (FmRunner *runner);

FM_API const FmRunStatus *fm_runner_get_status (FmRunner *runner);
/** fm_runner_find_log: (transfer full) (nullable): file with what the workers of @stage said, where it failed. */
FM_API char              *fm_runner_find_log (FmRunner *runner, const char *stage);
/** fm_runner_get_n_kept_failures: stages that failed in an earlier session and are not tried again in this one. */
FM_API guint              fm_runner_get_n_kept_failures (FmRunner *runner);
/** fm_runner_get_error: (nullable): why it ended early (the store could not be written, the lease was lost). */
FM_API const GError      *fm_runner_get_error  (FmRunner *runner);

G_END_DECLS
