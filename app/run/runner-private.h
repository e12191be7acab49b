/* runner-private.h: the runner's parts: runner.c decides what runs, runner-stages.c claims a stage and settles its end,
 * runner-measure.c measures in blocks (what is known so far: runner-rows.c), runner-status.c says how far it is, runner-worker.c talks with one
 * worker, server.c with whoever watches. */
#pragma once

#include "app/run/run-private.h"

G_BEGIN_DECLS

/* --- server.c ------------------------------------------------------------------------------------------------------*/

typedef struct _FmControlServer FmControlServer;

/** fm_control_server_new: listens on @path; its orders go to @runner. */
FmControlServer *fm_control_server_new  (const char *path, FmRunner *runner, GError **error);
void             fm_control_server_free (FmControlServer *server); /* says "closed", removes the socket */
void             fm_control_server_send (FmControlServer *server, const FmRunStatus *status, const FmRunEvent *event);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmControlServer, fm_control_server_free)

/* --- runner-worker.c -----------------------------------------------------------------------------------------------*/

typedef struct
{
  FmStageRecord *record;
  JsonObject    *recipe;
  char          *variant;
  gint64         seed, run; /* of the first run that wants it */
  gint64         steps;
  guint          place, n_places; /* of a training in a chain of them, from 1; 0: it is alone */
  gdouble        work;       /* FLOPs, for the share of the whole */
  guint64        peak_bytes; /* planned */
  FmStageState   state;
  gboolean       restores; /* done, but its checkpoint is gone and wanted: trained again for it, without a claim */
  gboolean       blocked; /* its data is missing or an input failed: not in this session */
  guint          deaths;  /* workers of it that died, in this session */
  guint          refusals; /* times it was busy elsewhere */
  GString       *log;      /* (nullable): what its workers of this session said, the end of it when it is long */
} FmRunnerStage;

typedef struct _FmRunnerWorker FmRunnerWorker;
struct _FmRunnerWorker
{
  FmRunner         *runner; /* no ref */
  FmRunnerStage    *stage;  /* no ref */
  GSubprocess      *process;
  GDataInputStream *out;
  GSource          *words;  /* (nullable): of its standard error */
  GCancellable     *cancellable;
  GPtrArray        *points; /* FmCurvePoint, not yet in the store */
  FmStageResult    *result; /* from "done", "diverged" or "failed" */
  gboolean          absent; /* failed for want of data */
  gboolean          ready;  /* measuring: loaded */
  gboolean          measured;  /* measuring: has had its turn */
  gboolean          finishing; /* measuring: told to write its result */
  gboolean          killed; /* by us */
  gint64            step;
  gdouble           loss, seconds; /* in steps */
};

FmRunnerWorker *fm_runner_worker_new  (FmRunner *runner, FmRunnerStage *stage, JsonObject *request, GError **error);
void            fm_runner_worker_free (FmRunnerWorker *worker);
void            fm_runner_worker_send (FmRunnerWorker *worker, const char *line);
void            fm_runner_worker_kill (FmRunnerWorker *worker);

/* Stages that are measured together. */
typedef struct _FmMeasuring FmMeasuring;

/* --- The runner ----------------------------------------------------------------------------------------------------*/

struct _FmRunner
{
  FmStore         *store; /* no ref */
  FmRunStatus     *status;
  GPtrArray       *stages;  /* FmRunnerStage */
  GPtrArray       *runs;    /* FmRunRecord */
  GPtrArray       *workers; /* FmRunnerWorker */
  FmControlServer *server;
  FmRunEventFunc   func;
  gpointer         user_data;
  guint            n_training;
  guint64          memory_bytes;
  gboolean         retry_failed;
  guint            n_kept_failures;
  gboolean         started, paused, cancelling, ended;
  gboolean         partial; /* other stages of the batch are left to others */
  guint            tick_id;
  guint            ticks;
  gboolean         dirty; /* the status changed since it was told */
  gdouble          work_s, work_done; /* of training steps in this session */
  GError          *error;

  FmMeasuring     *measuring;  /* (nullable): a session of runner-measure.c */
  GHashTable      *roofs_asked; /* hardware (char *) whose roof a worker was asked for */
};

#define FM_RUNNER_MOST_DEATHS 2 /* workers of a stage that may die before it counts as failed */
#define FM_RUNNER_RETRY_TICKS 8 /* until a stage that is busy elsewhere is asked for again */
#define FM_RUNNER_LOG_FILE    "worker.log" /* in a failed stage's folder */

/* --- runner-status.c -----------------------------------------------------------------------------------------------*/

void     fm_runner_tell              (FmRunner *runner, const FmRunEvent *event);
void     fm_runner_tell_stage        (FmRunner *runner, FmRunEventKind kind, FmRunnerStage *stage, const char *reason);
void     fm_runner_log               (FmRunner *runner, FmRunnerWorker *worker, const char *text);
void     fm_runner_update_status     (FmRunner *runner);
gboolean fm_runner_stage_is_training (const FmRunnerStage *stage);
gboolean fm_runner_stage_is_final    (const FmRunnerStage *stage);
gboolean fm_runner_stage_has_ended   (const FmRunnerStage *stage);

/* --- runner-stages.c -----------------------------------------------------------------------------------------------*/

gboolean fm_runner_load_stages    (FmRunner *runner, GHashTable *only, GError **error);
void     fm_runner_stage_free     (gpointer stage);
/** fm_runner_stage_is_ready: inputs done, itself not: may a worker have it? A failed input blocks it. */
gboolean fm_runner_stage_is_ready (FmRunner *runner, FmRunnerStage *stage);
/** fm_runner_start_stage: FALSE when something is wrong with the store or the program: the runner has failed then. */
gboolean fm_runner_start_stage    (FmRunner *runner, FmRunnerStage *stage, guint threads);
/** fm_runner_claim_stage: the first half of it; @ours (out): FALSE when it is run elsewhere, or has ended there. */
gboolean fm_runner_claim_stage    (FmRunner *runner, FmRunnerStage *stage, gboolean *ours);
/** fm_runner_start_worker: the second; @place (transfer full) (nullable): members to add to the request. */
gboolean fm_runner_start_worker   (FmRunner *runner, FmRunnerStage *stage, guint threads, JsonObject *place);
/** fm_runner_settle: what becomes of a stage whose worker has exited; @reason (out): why it failed. */
gboolean fm_runner_settle         (FmRunner *runner, FmRunnerWorker *worker, const char *how, char **reason,
                                   GError **error);

/** fm_runner_stage_add_log: keeps @text for the log that a failed stage leaves. */
void     fm_runner_stage_add_log  (FmRunnerStage *stage, const char *text, gssize length);

/* --- runner-measure.c ----------------------------------------------------------------------------------------------*/

/** fm_runner_start_measuring: a session of all stages that can be measured now; goes on with the one that is open. */
void     fm_runner_start_measuring (FmRunner *runner);
/** fm_runner_stop_measuring: gives up the session that is open: its stages are planned again. */
void     fm_runner_stop_measuring  (FmRunner *runner);
/** fm_runner_take_turns: tells the worker whose turn it is to measure; called when a turn has ended, and when a worker
 * came or went. */
void     fm_runner_take_turns      (FmRunner *runner);
/** fm_runner_settle_block: fm_runner_settle() for a worker of the session. */
gboolean fm_runner_settle_block    (FmRunner *runner, FmRunnerWorker *worker, const char *how, char **reason,
                                    GError **error);
/** fm_runner_measured_share: 0..1 of what @stage needs. */
gdouble  fm_runner_measured_share  (FmRunner *runner, const FmRunnerStage *stage);

/* --- runner.c ------------------------------------------------------------------------------------------------------*/

/** fm_runner_fail: the store cannot be written, or the lease is lost: what is not stored does not exist, so nothing goes
 * on. Takes @error. */
void fm_runner_fail (FmRunner *runner, GError *error);

/* --- What a worker tells: runner.c, turns and the roof runner-measure.c -----------------------------------------*/

void fm_runner_worker_changed (FmRunnerWorker *worker); /* step, loss, ready */
void fm_runner_worker_point   (FmRunnerWorker *worker, gint64 step, const char *name, const char *tag, gdouble value);
void fm_runner_worker_measured (FmRunnerWorker *worker); /* has had its turn */
void fm_runner_worker_roof    (FmRunnerWorker *worker, JsonObject *roof); /* (nullable): has measured its device's */
void fm_runner_worker_exited  (FmRunnerWorker *worker, const char *how); /* frees it */

G_END_DECLS
