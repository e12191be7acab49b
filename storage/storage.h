/* storage.h: the store: one SQLite file of plain records, and a folder of artifacts beside it.
 *
 * Records go in and come out as structs that own their strings; lists are GPtrArrays that free their elements. The
 * store knows no kernels, no plugins and no widgets: ids of architectures, tasks and stages are texts made by app/.
 * A stage's rows arrive in one transaction (fm_store_finish_stage), so a kill leaves either nothing or everything.
 *
 * An FmStore belongs to one thread; every thread and process opens its own. Times are microseconds since 1970 UTC.
 * A missing number is NAN in a gdouble and -1 in a gint64; a missing text is NULL. */
#pragma once

#include <gio/gio.h>

#include "base/base.h"

G_BEGIN_DECLS

#define FM_STORAGE_ERROR (fm_storage_error_quark ())
FM_API GQuark fm_storage_error_quark (void);
typedef enum
{
  FM_STORAGE_ERROR_ABSENT,    /* no such file yet (readers): show an empty state; or no such batch, run or stage */
  FM_STORAGE_ERROR_BUSY,      /* another process holds the write lock longer than the timeout */
  FM_STORAGE_ERROR_LEASED,    /* another living runner has this batch, or this stage was taken over */
  FM_STORAGE_ERROR_READ_ONLY, /* file or folder may not be written or not be read */
  FM_STORAGE_ERROR_NOT_STORE, /* not a database, cut short, damaged, or another program's database */
  FM_STORAGE_ERROR_NEWER,     /* written by a newer program: the message says both versions */
  FM_STORAGE_ERROR_FULL,      /* no room; nothing of the transaction was kept */
  FM_STORAGE_ERROR_FAILED,    /* anything else; SQLite's words */
} FmStorageError;

/* Schema version this program writes (`PRAGMA user_version`). */
#define FM_STORE_VERSION 4

typedef struct _FmStore FmStore;

typedef enum
{
  FM_STORE_READ,  /* results, reports, window: never creates, never writes */
  FM_STORE_WRITE, /* runner: creates folder and file, migrates */
} FmStoreMode;

/** fm_store_default_path: (transfer full): $FORMARIUM_STORE, or $XDG_DATA_HOME/formarium/formarium.db. */
FM_API char *fm_store_default_path (void);

/**
 * fm_store_open:
 * @path: (nullable): file name (`--store`); NULL for fm_store_default_path()
 *
 * Returns: (transfer full): the store, or NULL; every error is one sentence that names the file
 */
FM_API FmStore    *fm_store_open     (const char *path, FmStoreMode mode, GError **error) G_GNUC_WARN_UNUSED_RESULT;
FM_API void        fm_store_close    (FmStore *store);
FM_API const char *fm_store_get_path (FmStore *store);
FM_API FmStoreMode fm_store_get_mode (FmStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmStore, fm_store_close)

/**
 * fm_store_get_notice:
 *
 * Returns: (nullable) (transfer none): a sentence for the person, when opening changed the file to this program's
 *   version (and where the old one is kept) or when it lies where it is written in another way
 */
FM_API const char *fm_store_get_notice (FmStore *store);

/** fm_store_set_timeout: how long a call waits for another process's write lock; 5,000 ms at first. */
FM_API void fm_store_set_timeout (FmStore *store, guint timeout_ms);

/** fm_store_check: PRAGMA integrity_check and foreign_key_check; the error names the first thing found. */
FM_API gboolean fm_store_check (FmStore *store, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * fm_store_check_artifacts: every file that a row names is there, of that length and with that SHA-256.
 *
 * Returns: (transfer full) (element-type char *): a phrase a fault, "PATH is missing" and its like; NULL on an error
 */
FM_API GPtrArray *fm_store_check_artifacts (FmStore *store, GError **error);

/**
 * fm_store_get_change:
 *
 * Cheap (no table is read): a number that differs when this or any other connection has committed since the last call.
 */
FM_API guint64 fm_store_get_change (FmStore *store);

/**
 * fm_store_artifact_path:
 * @stage: id of the stage that owns the file
 * @name: (nullable): file name without folders; NULL for the stage's folder itself
 *
 * Only a path, nothing is created: `formarium.artifacts/<stage>/<name>` beside the store.
 */
FM_API char *fm_store_artifact_path (FmStore *store, const char *stage, const char *name);

/**
 * fm_store_begin: opens a transaction that takes the write lock at once; the calls below then belong to it.
 * fm_store_commit: on an error everything since fm_store_begin() is undone.
 * fm_store_rollback: undoes everything since fm_store_begin(); harmless without one.
 */
FM_API gboolean fm_store_begin    (FmStore *store, GError **error) G_GNUC_WARN_UNUSED_RESULT;
FM_API gboolean fm_store_commit   (FmStore *store, GError **error) G_GNUC_WARN_UNUSED_RESULT;
FM_API void     fm_store_rollback (FmStore *store);

/* --- What is compared: devices, architectures, tasks --------------------------------------------------------------
 * Adding one that is there already succeeds and changes nothing but what is said below. */

typedef struct
{
  char   *id;    /* made by app/ from what determines results there */
  char   *label; /* as a batch file writes it: "cpu", "vulkan:0" */
  char   *name;  /* of the hardware, for a person */
  char   *driver;
  gint64  threads;
  gdouble peak_gflop_per_s; /* measured roof; a later record with numbers replaces NAN */
  gdouble peak_gbyte_per_s;
} FmDeviceRecord;

typedef struct
{
  char  *role; /* "mixer", "feedforward", ... */
  gint64 layer; /* -1 = every layer */
  char  *plugin;
  char  *plugin_hash; /* SHA-256 of the plugin's file */
  char  *parameters;  /* fm_params_to_string() */
} FmRoleRecord;

typedef struct
{
  char      *id;
  char      *skeleton; /* "encoder layers=2 width=64 ..." */
  GPtrArray *roles;    /* FmRoleRecord */
} FmArchitectureRecord;

typedef struct
{
  char   *name;
  char   *help;
  gdouble accuracy; /* 0..1 */
} FmShortcutRecord;

typedef struct
{
  char      *id;
  char      *name; /* class id, "fashion-mnist" */
  char      *parameters;
  char      *data_key;
  gdouble    chance_level; /* 0..1 */
  GPtrArray *shortcuts;    /* FmShortcutRecord; a later record with shortcuts replaces an empty list */
} FmTaskRecord;

/* What hardware can do at most. Keyed by name, driver and threads, since device ids also hold how a file names it. */
typedef struct
{
  char   *name;
  char   *driver;
  gint64  threads;
  gdouble peak_gflop_per_s, product_gflop_per_s;
  gdouble read_gbyte_per_s, copy_gbyte_per_s;
  gdouble dispatch_us, submission_us;
  gint64  measured_us;
} FmRoofRecord;

FM_API FmRoleRecord         *fm_role_record_new          (const char *role, gint64 layer, const char *plugin,
                                                          const char *plugin_hash, const char *parameters);
FM_API FmShortcutRecord     *fm_shortcut_record_new      (const char *name, const char *help, gdouble accuracy);
FM_API FmArchitectureRecord *fm_architecture_record_new  (void); /* empty, with its list; fields are set by hand */
FM_API FmTaskRecord         *fm_task_record_new          (void); /* likewise */
FM_API FmDeviceRecord       *fm_device_record_new        (void);
FM_API FmRoofRecord         *fm_roof_record_new          (const char *name, const char *driver, gint64 threads);
FM_API void                  fm_role_record_free         (FmRoleRecord *record);
FM_API void                  fm_shortcut_record_free     (FmShortcutRecord *record);
FM_API void                  fm_architecture_record_free (FmArchitectureRecord *record);
FM_API void                  fm_task_record_free         (FmTaskRecord *record);
FM_API void                  fm_device_record_free       (FmDeviceRecord *record);
FM_API void                  fm_roof_record_free         (FmRoofRecord *record);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmRoleRecord, fm_role_record_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmShortcutRecord, fm_shortcut_record_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmArchitectureRecord, fm_architecture_record_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmTaskRecord, fm_task_record_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmDeviceRecord, fm_device_record_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmRoofRecord, fm_roof_record_free)

FM_API gboolean fm_store_add_device       (FmStore *store, const FmDeviceRecord *record, GError **error);
FM_API gboolean fm_store_add_architecture (FmStore *store, const FmArchitectureRecord *record, GError **error);
FM_API gboolean fm_store_add_task         (FmStore *store, const FmTaskRecord *record, GError **error);

/* (transfer full): NULL with ABSENT when there is none */
FM_API FmDeviceRecord       *fm_store_load_device       (FmStore *store, const char *id, GError **error);
FM_API FmArchitectureRecord *fm_store_load_architecture (FmStore *store, const char *id, GError **error);
FM_API FmTaskRecord         *fm_store_load_task         (FmStore *store, const char *id, GError **error);

/** fm_store_set_roof: replaces an earlier one; devices of this hardware get the peaks, too. */
FM_API gboolean      fm_store_set_roof  (FmStore *store, const FmRoofRecord *record, GError **error);
/** fm_store_load_roof: (transfer full): NULL with ABSENT when it was not measured. */
FM_API FmRoofRecord *fm_store_load_roof (FmStore *store, const char *name, const char *driver, gint64 threads,
                                         GError **error);

/** fm_store_knows_roof: @hardware: "NAME, DRIVER", as recipes have it. */
FM_API gboolean      fm_store_knows_roof (FmStore *store, const char *hardware, gint64 threads);

/* --- Batches and their lease --------------------------------------------------------------------------------------*/

typedef enum
{
  FM_BATCH_PLANNED,
  FM_BATCH_RUNNING, /* with `live` FALSE: its runner died; resume goes on */
  FM_BATCH_PAUSED,
  FM_BATCH_DONE,    /* every run has ended, some perhaps as FAIL */
  FM_BATCH_CANCELLED,
} FmBatchState;

typedef struct
{
  gint64       id;    /* 0 before it is added */
  char        *key;   /* hash of the whole plan; the same file gives the same key */
  char        *title;
  char        *file_name; /* absolute, or NULL */
  char        *text;  /* of the batch file */
  char        *program_version;
  FmBatchState state;
  gint64       created_us;
  gint64       ended_us;
  gint64       runner_pid;   /* -1 = nobody */
  gint64       heartbeat_us;
  gboolean     live;         /* computed when loaded: a living runner holds it */
  gint64       n_runs;       /* computed when loaded; as the next ones */
  gint64       n_runs_done;
  gint64       n_runs_failed; /* failed or diverged */
  char        *name, *tags, *note; /* see fm_store_set_name(); loaded only */
} FmBatchRecord;

FM_API FmBatchRecord *fm_batch_record_new  (void);
FM_API void           fm_batch_record_free (FmBatchRecord *record);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmBatchRecord, fm_batch_record_free)

FM_API const char *fm_batch_state_to_string (FmBatchState state);

/** fm_store_add_batch: inserts and sets @record->id; state, lease and counts of @record are ignored. */
FM_API gboolean       fm_store_add_batch    (FmStore *store, FmBatchRecord *record, GError **error);
FM_API FmBatchRecord *fm_store_load_batch   (FmStore *store, gint64 id, GError **error);
/** fm_store_load_batches: (transfer full) (element-type FmBatchRecord): newest first. */
FM_API GPtrArray     *fm_store_load_batches (FmStore *store, GError **error);

/**
 * fm_store_find_batch:
 * @word: (nullable): number, name, title, file name or its last part with or without `.batch`; NULL for the newest
 *
 * Returns: the newest batch meant, 0 with ABSENT when there is none (the nearest title is offered)
 */
FM_API gint64 fm_store_find_batch (FmStore *store, const char *word, GError **error);

/** fm_store_find_batch_by_key: the newest batch with this plan, 0 for none, -1 on an error. */
FM_API gint64 fm_store_find_batch_by_key (FmStore *store, const char *key, GError **error);

/**
 * fm_store_lease_batch:
 *
 * Makes this process the batch's runner and its state RUNNING. A lease whose process is gone (pid and start time are
 * compared; on another machine: heartbeat older than FM_STORE_LEASE_S) is taken over, and stages that the dead runner
 * left running become planned again. A living one gives LEASED with its process number.
 */
#define FM_STORE_LEASE_S 60
FM_API gboolean fm_store_lease_batch   (FmStore *store, gint64 batch, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** fm_store_heartbeat: every few seconds while running; LEASED when the lease was lost. */
FM_API gboolean fm_store_heartbeat     (FmStore *store, gint64 batch, GError **error);
/** fm_store_release_batch: gives the lease back and leaves the batch in @state. */
FM_API gboolean fm_store_release_batch (FmStore *store, gint64 batch, FmBatchState state, GError **error);

/* --- Runs ---------------------------------------------------------------------------------------------------------
 * A run's state is never stored but read from its stages, so it cannot contradict them; only a skip is its own. */

typedef struct
{
  gint64     id; /* 0 before it is added */
  gint64     batch;
  gint64     position; /* in the batch, from 0 */
  char      *variant;  /* short label: "local-attention window=8 x mlp" */
  char      *architecture;
  char      *task;
  char      *device;
  gint64     seed;
  char      *state;  /* computed: planned, running, done, failed, diverged, cancelled, skipped */
  char      *reason; /* why skipped; computed from the stages otherwise */
  char      *name, *tags, *note; /* see fm_store_set_name(); loaded only */
  GPtrArray *stages; /* char *: stage ids in order; the stages must have been added */
} FmRunRecord;

FM_API FmRunRecord *fm_run_record_new  (void);
FM_API void         fm_run_record_free (FmRunRecord *record);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmRunRecord, fm_run_record_free)

/** fm_store_add_run: inserts with its chain of stages and sets @record->id. */
FM_API gboolean     fm_store_add_run   (FmStore *store, FmRunRecord *record, GError **error);
/** fm_store_skip_run: @reason (nullable): NULL takes the run up again. */
FM_API gboolean     fm_store_skip_run  (FmStore *store, gint64 run, const char *reason, GError **error);
FM_API FmRunRecord *fm_store_load_run  (FmStore *store, gint64 id, GError **error);
/** fm_store_load_runs: (transfer full) (element-type FmRunRecord): in the order of the batch. */
FM_API GPtrArray   *fm_store_load_runs (FmStore *store, gint64 batch, GError **error);

/* --- Stages -------------------------------------------------------------------------------------------------------*/

typedef enum
{
  FM_STAGE_PLANNED,
  FM_STAGE_RUNNING,
  FM_STAGE_DONE,      /* final */
  FM_STAGE_FAILED,    /* worker crashed or refused; tried again when somebody asks for it */
  FM_STAGE_DIVERGED,  /* final: the same numbers would come again */
  FM_STAGE_CANCELLED, /* by a person; resume tries again */
} FmStageState;

#define FM_STAGE_KIND_TRIAL   "trial" /* of settings that a training stage is to have */
#define FM_STAGE_KIND_TRAIN   "train"
#define FM_STAGE_KIND_MEASURE "measure"

typedef struct
{
  char        *id;   /* hash of @recipe */
  char        *kind; /* FM_STAGE_KIND_* or a later kind */
  char        *recipe; /* canonical text of all that determines the result; a worker needs nothing else */
  FmStageState state;
  char        *reason;
  gint64       attempts;
  gint64       started_us;
  gint64       ended_us;
  gint64       runner_pid;
  gint64       worker_pid;
  gint64       fallbacks;     /* ops that ran elsewhere than asked: 0 by design, -1 before the end */
  gint64       diverged_step; /* -1 = it did not */
  char        *diverged_tensor;
  char        *provenance;    /* JSON object: program version, processor, threads, BLAS core, driver, ... */
  GPtrArray   *inputs;        /* char *: ids of earlier stages */
} FmStageRecord;

FM_API FmStageRecord *fm_stage_record_new  (const char *id, const char *kind, const char *recipe);
FM_API void           fm_stage_record_free (FmStageRecord *record);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmStageRecord, fm_stage_record_free)

FM_API const char *fm_stage_state_to_string (FmStageState state);

/** fm_store_add_stage: id, kind, recipe and inputs of @record, as planned; one that is there keeps all it has. */
FM_API gboolean       fm_store_add_stage        (FmStore *store, const FmStageRecord *record, GError **error);
FM_API FmStageRecord *fm_store_load_stage       (FmStore *store, const char *id, GError **error);
FM_API gboolean       fm_store_load_stage_state (FmStore *store, const char *id, FmStageState *state, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;
/** fm_store_load_stages: (transfer full) (element-type FmStageRecord): each once, in order of first use. */
FM_API GPtrArray     *fm_store_load_stages      (FmStore *store, gint64 batch, GError **error);

typedef enum
{
  FM_CLAIM_YOURS,    /* now running, owned by this process; attempts went up, rows of earlier attempts are gone */
  FM_CLAIM_BUSY,     /* a living runner is at it: look again later */
  FM_CLAIM_FINISHED, /* done or diverged: use what is there */
} FmClaim;

/** fm_store_claim_stage: atomic among all processes. */
FM_API gboolean fm_store_claim_stage (FmStore *store, const char *id, FmClaim *claim, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;
FM_API gboolean fm_store_set_stage_worker (FmStore *store, const char *id, gint64 worker_pid, GError **error);
/** fm_store_unclaim_stage: back to planned (pause, Ctrl-C), live curve points removed. */
FM_API gboolean fm_store_unclaim_stage    (FmStore *store, const char *id, GError **error);

/* --- What a stage leaves ------------------------------------------------------------------------------------------
 * Names the view `results` reads: metrics (any split "", target "", tag "" unless said):
 *   "accuracy" and "loss" with split "test" and "validation" (0..1; nats) and a target, from either stage;
 *   "train_s" seconds spent in training steps; "parameters" count; "flops" of a forward pass of one example;
 *   "throughput_per_s" is computed from latency samples of kind "throughput"; "unstable" 0 or 1, "energy_joules" an example,
 *   "device_heap_bytes", "trials" of tuning, "parameters_by_n" are shown as they are.
 * Memory: kind "peak" is the whole; others ("parameters", "optimizer", "state", "activations", "gradients", "workspace") are its parts. */

typedef struct
{
  char   *split, *target, *tag, *name; /* "" where it does not apply */
  gdouble value;
} FmMetricRow;

typedef struct
{
  gint64  step;
  char   *name; /* "loss", "validation_accuracy", "loss_balance", "expert_load" */
  char   *tag;  /* "layers.0.feedforward/3" or "" */
  gdouble value;
} FmCurvePoint;

typedef struct
{
  char   *split, *target;
  GBytes *triples; /* gfloat correct, count, loss for each scoring unit in order; compressed in the file only */
} FmOutcomeRow;

/* Behind a target's name: triples of another meaning, where a unit has one answer: gfloat class answered, class that is
 * right, score of class 1 over class 0. */
#define FM_OUTCOMES_ANSWERS "/answers"

typedef struct
{
  gint64  process; /* number of the worker process, from 0 */
  char   *kind;    /* "batch1", "throughput" */
  gint64  rows;    /* examples in the call */
  gdouble value_us;
} FmLatencySample;

/* One fresh process that measured a stage. Stages whose rows share session and block were measured within a short time
 * of each other, so that a block can pair them. */
typedef struct
{
  gint64   process; /* as in FmLatencySample */
  char    *session;
  gint64   block, place; /* place: in the order that was drawn for the block */
  gint64   started_us;
  gint64   warm_ups;
  gint64   settled; /* 1: calls had stopped getting faster before the first sample; 0: their time was over first */
  gint64   measured_peak_bytes, device_heap_bytes;
  gdouble  energy_joules; /* an example */
} FmProcessRow;

typedef struct
{
  char  *kind;
  gint64 planned_bytes;
  gint64 measured_bytes;
} FmMemoryRow;

typedef struct
{
  char   *op;
  gint64  calls;
  gdouble seconds, flops, bytes;
} FmOpProfileRow;

typedef struct
{
  char  *kind; /* "checkpoint", "arrays", ... */
  char  *path; /* relative to the artifacts' folder: "<stage>/<file>" */
  gint64 bytes;
  char  *sha256;
} FmArtifactRow;

typedef struct
{
  FmStageState state; /* DONE, FAILED, DIVERGED or CANCELLED */
  char        *reason;
  gint64       fallbacks;
  gint64       diverged_step; /* -1 */
  char        *diverged_tensor;
  char        *provenance;
  GPtrArray   *metrics;   /* FmMetricRow; as the next ones: filled with the adders below */
  GPtrArray   *curve;     /* FmCurvePoint */
  GPtrArray   *outcomes;  /* FmOutcomeRow */
  GPtrArray   *latency;   /* FmLatencySample */
  GPtrArray   *processes; /* FmProcessRow */
  GPtrArray   *memory;    /* FmMemoryRow */
  GPtrArray   *profile;   /* FmOpProfileRow */
  GPtrArray   *artifacts; /* FmArtifactRow */
} FmStageResult;

FM_API FmStageResult *fm_stage_result_new  (FmStageState state);
FM_API void           fm_stage_result_free (FmStageResult *result);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmStageResult, fm_stage_result_free)

FM_API void fm_stage_result_add_metric   (FmStageResult *result, const char *split, const char *target,
                                          const char *tag, const char *name, gdouble value);
FM_API void fm_stage_result_add_point    (FmStageResult *result, gint64 step, const char *name, const char *tag,
                                          gdouble value);
FM_API void fm_stage_result_add_outcomes (FmStageResult *result, const char *split, const char *target,
                                          GBytes *triples);
FM_API void fm_stage_result_add_latency  (FmStageResult *result, gint64 process, const char *kind, gint64 rows,
                                          gdouble value_us);
/** fm_stage_result_add_process: (transfer none): a row to fill in; missing numbers at first. */
FM_API FmProcessRow *fm_stage_result_add_process (FmStageResult *result, gint64 process, const char *session,
                                                  gint64 block);
FM_API void fm_stage_result_add_memory   (FmStageResult *result, const char *kind, gint64 planned_bytes,
                                          gint64 measured_bytes);
FM_API void fm_stage_result_add_op       (FmStageResult *result, const char *op, gint64 calls, gdouble seconds,
                                          gdouble flops, gdouble bytes);
FM_API void fm_stage_result_add_artifact (FmStageResult *result, const char *kind, const char *path, gint64 bytes,
                                          const char *sha256);

/**
 * fm_store_finish_stage:
 *
 * Ends a stage this process has claimed, with all its rows, in one transaction. Points that fm_store_append_curve()
 * left are replaced. Artifact files must be complete (synced and renamed) before. LEASED when the stage is not ours any
 * more.
 */
FM_API gboolean fm_store_finish_stage (FmStore *store, const char *id, const FmStageResult *result, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

/** fm_store_add_artifacts: (element-type FmArtifactRow): files of a stage that is done, once more: a checkpoint that was taken
 * away to make room and is made again. Rows with the same path are replaced. */
FM_API gboolean fm_store_add_artifacts (FmStore *store, const char *id, const GPtrArray *artifacts, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

/** fm_store_append_curve: points of a stage still running, for whoever watches; vanish if it does not finish. */
FM_API gboolean fm_store_append_curve (FmStore *store, const char *id, const GPtrArray *points, GError **error);
FM_API FmCurvePoint *fm_curve_point_new  (gint64 step, const char *name, const char *tag, gdouble value);
FM_API void          fm_curve_point_free (FmCurvePoint *point);

/* (transfer full): lists of the rows above, empty when there are none, NULL on an error. */
FM_API GPtrArray *fm_store_load_metrics   (FmStore *store, const char *stage, GError **error);
/** fm_store_load_curve: @name (nullable) keeps one curve; ordered by name, tag, step; @after_step -1 for all. */
FM_API GPtrArray *fm_store_load_curve     (FmStore *store, const char *stage, const char *name, gint64 after_step,
                                           GError **error);
FM_API GPtrArray *fm_store_load_outcomes  (FmStore *store, const char *stage, GError **error);
FM_API GPtrArray *fm_store_load_latency   (FmStore *store, const char *stage, const char *kind, GError **error);
FM_API GPtrArray *fm_store_load_processes (FmStore *store, const char *stage, GError **error);
FM_API GPtrArray *fm_store_load_memory    (FmStore *store, const char *stage, GError **error);
FM_API GPtrArray *fm_store_load_profile   (FmStore *store, const char *stage, GError **error);
FM_API GPtrArray *fm_store_load_artifacts (FmStore *store, const char *stage, GError **error);

/* --- Names, tags, notes -------------------------------------------------------------------------------------------
 * What a person writes on a batch or a run; results show it and fm_store_search() finds it. */

typedef enum { FM_LABELLED_BATCH, FM_LABELLED_RUN } FmLabelled;

/** fm_store_set_name, fm_store_set_note: (nullable): NULL or "" takes it away. A name is one line and no number. */
FM_API gboolean fm_store_set_name (FmStore *store, FmLabelled what, gint64 id, const char *name, GError **error);
FM_API gboolean fm_store_set_note (FmStore *store, FmLabelled what, gint64 id, const char *note, GError **error);
/** fm_store_set_tag: one word; there already, or away already: nothing changes. */
FM_API gboolean fm_store_set_tag  (FmStore *store, FmLabelled what, gint64 id, const char *tag, gboolean wanted,
                                   GError **error);

/* --- Room ---------------------------------------------------------------------------------------------------------*/

typedef struct
{
  char  *name; /* "rows: curve", "files: checkpoint"; a batch's title */
  gint64 batch; /* its number, 0 for a kind */
  gint64 count; /* files; a batch's runs */
  gint64 bytes; /* of pages or files */
  gint64 alone_bytes; /* batches: of the files that no other batch has */
} FmSizeRow;

typedef struct
{
  gint64     file_bytes, log_bytes;
  gint64     leftover_bytes; /* files that no row names */
  GPtrArray *kinds;   /* FmSizeRow, largest first, pages and then files */
  GPtrArray *batches; /* FmSizeRow, newest first; files only */
} FmStoreSize;

FM_API FmStoreSize *fm_store_load_size (FmStore *store, GError **error); /* (transfer full) */
FM_API void         fm_store_size_free (FmStoreSize *size);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmStoreSize, fm_store_size_free)

typedef struct
{
  gint64 runs, stages;
  gint64 files, bytes; /* artifacts of @stages, or pruned checkpoints */
  gint64 leftovers, leftover_bytes;
} FmFreed;

/**
 * fm_store_prune_checkpoints: takes away the checkpoints of ended stages that no stage still to run starts from, and
 * files that no row names and that are older than an hour. @dry_run: only says what it would free.
 */
FM_API gboolean fm_store_prune_checkpoints (FmStore *store, gboolean dry_run, FmFreed *freed, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;
/**
 * fm_store_delete_batch: the batch with its runs, the stages that no other batch has, and their files; LEASED while it
 * is run. @dry_run: only says what it would free.
 */
FM_API gboolean fm_store_delete_batch      (FmStore *store, gint64 batch, gboolean dry_run, FmFreed *freed,
                                            GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- Two stores into one ------------------------------------------------------------------------------------------*/

typedef struct
{
  gint64     batches, runs, stages; /* that came in; a stage that was only planned here counts when its result came */
  gint64     same;      /* stages that both had, with one result */
  gint64     files, bytes; /* copied */
  GPtrArray *conflicts; /* char *: what differs, a sentence each; this store's was kept */
} FmMergeReport;

/**
 * fm_store_merge:
 * @path: the other store's file; it is only read, whatever its version
 *
 * Takes what the other store has and this one has not, stage by stage: a stage's id says all that determines its
 * result. Nothing that is here is overwritten; in one transaction, so that an error leaves all as it was. A second time
 * changes nothing.
 */
FM_API FmMergeReport *fm_store_merge       (FmStore *store, const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** fm_store_merge_stages: the same of @stages (ids; NULL: all there is) alone, without the batches and runs that want
 * them: what they start from must be here or among them. */
FM_API FmMergeReport *fm_store_merge_stages (FmStore *store, const char *path, GHashTable *stages, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;
FM_API void           fm_merge_report_free (FmMergeReport *report);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmMergeReport, fm_merge_report_free)

/* --- What verdicts on latency and memory read ---------------------------------------------------------------------*/

/* What one process found about one stage. */
typedef struct
{
  char   *stage;
  char   *session;   /* NULL: of a store that did not know blocks yet; pairs with nothing */
  gint64  block;
  char   *kind;      /* "batch1", ... */
  gdouble median_us;
  gint64  measured_peak_bytes;
} FmBlockRow;

FM_API void       fm_block_row_free    (FmBlockRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmBlockRow, fm_block_row_free)
/**
 * fm_store_load_blocks:
 * @batch: 0 for all
 * @kind: of the latency samples
 *
 * Returns: (transfer full) (element-type FmBlockRow): of the stages that the batch's runs were measured by, each once,
 *   ordered by stage, session and block
 */
FM_API GPtrArray *fm_store_load_blocks (FmStore *store, gint64 batch, const char *kind, GError **error);

/**
 * fm_store_extract:
 * @path: of a file that does not exist yet
 * @checkpoints: whether their rows come along
 *
 * One batch with all its rows as a store of its own. Its artifacts' files are left to the caller.
 */
FM_API gboolean fm_store_extract (FmStore *store, gint64 batch, const char *path, gboolean checkpoints, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

/* --- The flat table people read -----------------------------------------------------------------------------------*/

typedef struct
{
  char   *batch;   /* title */
  char   *variant, *mixer, *feedforward;
  char   *mixer_parameters, *feedforward_parameters;
  char   *task, *device;
  gint64  seed;
  char   *state;
  gdouble test_accuracy, validation_accuracy, chance_level; /* 0..1 */
  gdouble best_shortcut_accuracy;                           /* 0..1 */
  gdouble test_loss_nats;
  gdouble latency_us_median, latency_us_p95; /* batch of 1 */
  gdouble throughput_per_s;                  /* examples */
  gdouble train_s;
  gint64  planned_peak_bytes, measured_peak_bytes;           /* of the training worker */
  gint64  inference_planned_peak_bytes, inference_measured_peak_bytes;
  gint64  parameters;
  gdouble flops; /* forward, one example */
  gint64  diverged_step;
  char   *diverged_tensor;
  char   *reason;
  gint64  fallbacks;
  char   *skeleton, *task_parameters, *device_name;
  gint64  batch_id, run_id;
  char   *architecture_id, *train_stage, *measure_stage;
  gint64  latency_blocks;    /* fresh processes behind the latencies of this run */
  gint64  unstable;          /* 1: the interval asked for was not reached, 0: it was, -1: nobody asked */
  gdouble energy_joules;     /* an example */
  gint64  device_heap_bytes; /* while measuring */
  gint64  trials;            /* of tuning */
  gint64  parameters_by_n;   /* of parameters: those whose number depends on the length */
  char   *name, *tags, *note; /* of the run, by a person; tags with spaces between */
  char   *batch_name, *batch_tags, *batch_note;
} FmResultRow;

typedef enum { FM_RESULT_TEXT, FM_RESULT_INT, FM_RESULT_DOUBLE } FmResultType;

/* One row a column of the view, in its order: JSON, CSV and the window's table all read this. */
typedef struct
{
  const char  *name; /* NULL ends the table */
  FmResultType type;
  gsize        offset; /* in FmResultRow */
} FmResultField;

FM_API const FmResultField *fm_result_fields   (void);
FM_API void                 fm_result_row_free (FmResultRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmResultRow, fm_result_row_free)

/** fm_store_load_results: (transfer full) (element-type FmResultRow): @batch 0 for all; newest batch first. */
FM_API GPtrArray *fm_store_load_results (FmStore *store, gint64 batch, GError **error);
/** fm_store_search: the same, of runs whose variant, name, tags or note, or whose batch's, hold @text; in any case. */
FM_API GPtrArray *fm_store_search       (FmStore *store, const char *text, GError **error);

G_END_DECLS
