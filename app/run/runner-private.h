/* runner-private.h: the runner's parts: runner.c decides what runs, runner-worker.c talks with one worker, server.c
 * with whoever watches. */
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
  gdouble        work;       /* FLOPs, for the share of the whole */
  guint64        peak_bytes; /* planned */
  FmStageState   state;
  gboolean       blocked; /* its data is missing or an input failed: not in this session */
  guint          deaths;  /* workers of it that died, in this session */
  guint          refusals; /* times it was busy elsewhere */
} FmRunnerStage;

typedef struct _FmRunnerWorker FmRunnerWorker;
struct _FmRunnerWorker
{
  FmRunner         *runner; /* no ref */
  FmRunnerStage    *stage;  /* no ref */
  GSubprocess      *process;
  GDataInputStream *out;
  GCancellable     *cancellable;
  GPtrArray        *points; /* FmCurvePoint, not yet in the store */
  FmStageResult    *result; /* from "done", "diverged" or "failed" */
  gboolean          absent; /* failed for want of data */
  gboolean          ready;  /* measuring: loaded */
  gboolean          finishing; /* measuring: told to write its result */
  gboolean          killed; /* by us */
  gint64            step;
  gdouble           loss, seconds; /* in steps */
};

FmRunnerWorker *fm_runner_worker_new  (FmRunner *runner, FmRunnerStage *stage, JsonObject *request, GError **error);
void            fm_runner_worker_free (FmRunnerWorker *worker);
void            fm_runner_worker_send (FmRunnerWorker *worker, const char *line);
void            fm_runner_worker_kill (FmRunnerWorker *worker);

/* --- runner.c: what a worker tells ---------------------------------------------------------------------------------*/

void fm_runner_worker_changed (FmRunnerWorker *worker); /* step, loss, ready */
void fm_runner_worker_point   (FmRunnerWorker *worker, gint64 step, const char *name, const char *tag, gdouble value);
void fm_runner_worker_round   (FmRunnerWorker *worker); /* has done its round */
void fm_runner_worker_roof    (FmRunnerWorker *worker, JsonObject *roof); /* (nullable): has measured its device's */
void fm_runner_worker_exited  (FmRunnerWorker *worker, const char *how); /* frees it */
void fm_runner_log            (FmRunner *runner, FmRunnerWorker *worker, const char *text);

G_END_DECLS
