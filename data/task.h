/* task.h: the whole contract of a task: what it offers, how batches are got, how answers are scored and shown.
 *
 * A task is one file with a constant FmTaskClass, as a plugin is. It hands out host arrays and knows neither tensors
 * nor tables. Everything a task yields is a function of (parameters, split, seed, index) alone, so that a stage can
 * be repeated to the bit and two variants see the same batches. */
#pragma once

#include <gio/gio.h>

#include "base/base.h"

G_BEGIN_DECLS

#define FM_DATA_ERROR (fm_data_error_quark ())
FM_API GQuark fm_data_error_quark (void);
typedef enum
{
  FM_DATA_ERROR_INVALID, /* unknown task, split or parameter; a size that cannot be */
  FM_DATA_ERROR_ABSENT,  /* data not here; the message says how to add it: the cell is skipped, not failed */
  FM_DATA_ERROR_CORRUPT, /* cut short, or wrong checksum */
  FM_DATA_ERROR_NETWORK, /* download failed; what came so far is kept and resumed */
} FmDataError;

/* --- Host arrays -------------------------------------------------------------------------------------------------*/

typedef enum { FM_ARRAY_F32, FM_ARRAY_I32 } FmArrayType;

#define FM_ARRAY_MAX_RANK 4

typedef struct
{
  const char *name; /* input or target name, no ownership */
  FmArrayType type;
  guint       rank;
  gint64      dims[FM_ARRAY_MAX_RANK]; /* slowest first; dims[0] is the batch */
  gpointer    data;                    /* gfloat or gint32, contiguous; owned */
} FmArray;

/* One batch. Rows at and after @valid are padding of the last evaluation batch: score no row there. */
typedef struct
{
  guint     n_inputs;
  FmArray  *inputs; /* in the order of FmTaskInfo.inputs */
  guint     n_targets;
  FmArray  *targets; /* in the order of FmTaskInfo.targets */
  gint32   *lengths; /* [B] visible tokens of each row, or NULL when every row is full; owned */
  gint64    size;    /* B */
  gint64    valid;   /* rows that count, <= size */
  guint64   first;   /* index in the split of row 0 (evaluation splits); rows are consecutive */
} FmBatch;

FM_API void fm_batch_clear (FmBatch *batch);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (FmBatch, fm_batch_clear)

/* --- What a task instance offers (sizes depend on its parameters) -------------------------------------------------*/

typedef enum
{
  FM_INPUT_TOKENS, /* i32 [B,N], 0 <= token < vocabulary */
  FM_INPUT_VECTORS, /* f32 [B,N,C]: C real numbers a token (a patch's pixels, say) */
} FmInputKind;

typedef enum
{
  FM_TARGET_CLASS,    /* i32 [B]: one class a row */
  FM_TARGET_SEQUENCE, /* i32 [B,N]: one class a token; -1 = no answer wanted here */
} FmTargetKind;

typedef struct
{
  const char *name; /* "x", "domain", ... */
  FmInputKind kind;
  gint64      length;     /* N: tokens, padded */
  gint64      channels;   /* C; VECTORS only */
  gint64      vocabulary; /* V; TOKENS only */
  gint64      grid_rows, grid_columns; /* tokens lie on a grid of this size, or 0 */
} FmTaskInput;

typedef struct
{
  const char         *name;
  FmTargetKind        kind;
  gint64              classes;
  const char * const *class_names; /* NULL, or @classes names */
} FmTaskTarget;

typedef enum
{
  FM_SPLIT_TRAIN,  /* gradients */
  FM_SPLIT_DECIDE, /* choices: validation */
  FM_SPLIT_REPORT, /* the number that is printed: test */
} FmSplitUse;

typedef struct
{
  const char *name; /* "train", "validation", "test" */
  FmSplitUse  use;
  guint64     count; /* examples; G_MAXUINT64 for an endless generated training split */
} FmTaskSplit;

/* A rule that needs no mixing of tokens; its accuracy stands beside every score. */
typedef struct
{
  const char *name; /* "first operator" */
  const char *help; /* one sentence */
  gdouble     accuracy; /* 0..1 on the report split */
} FmTaskShortcut;

typedef struct
{
  guint               n_inputs;
  const FmTaskInput  *inputs; /* inputs[0] is the main one */
  guint               n_targets;
  const FmTaskTarget *targets;
  guint               n_splits;
  const FmTaskSplit  *splits;
  gboolean            ragged;       /* rows differ in length: batches carry `lengths` */
  gdouble             chance_level; /* accuracy of a uniform guess, 0..1 */
} FmTaskInfo;

/* One example for a person: a picture, or text with token boundaries. */
typedef struct
{
  guint    width, height; /* picture in pixels, or 0 */
  guint8  *grey;          /* [height*width], 0 = page, 255 = ink; owned */
  char   **tokens;        /* one string a token for text, NULL-terminated; owned */
  char    *label;         /* the right answer in words; owned */
} FmTaskExample;

FM_API void fm_task_example_clear (FmTaskExample *example);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (FmTaskExample, fm_task_example_clear)

/* --- The class: what one file provides ----------------------------------------------------------------------------*/

typedef struct _FmTask FmTask;

typedef struct
{
  const char    *id;      /* "fashion-mnist" */
  const char    *title;
  const char    *summary; /* one paragraph */
  const char    *source;  /* who published it, licence */
  const FmParam *params;  /* rows, or NULL */
  gsize          params_size;

  /* Tasks keep their state in fm_task_set_data() (task-private.h), freed by `unload`. */
  gboolean (*describe)  (const void *params, FmTask *task, GError **error); /* fills fm_task_info_edit(); no I/O */
  gboolean (*load)      (FmTask *task, GCancellable *cancellable, GError **error); /* NULL for generated tasks */
  void     (*unload)    (FmTask *task);
  gboolean (*batch)     (FmTask *task, const char *split, guint64 seed, guint64 index, gint64 size, FmBatch *batch,
                         GError **error);
  gboolean (*shortcuts) (FmTask *task, GArray *shortcuts /* FmTaskShortcut */, GError **error);
  gboolean (*example)   (FmTask *task, const char *split, guint64 index, FmTaskExample *example, GError **error);
  /* What `formarium data` needs for real data; NULL for generated tasks. */
  gboolean (*verify)    (GError **error); /* checksums of the local files */
  gboolean (*fetch)     (GCancellable *cancellable, GFileProgressCallback progress, gpointer user_data,
                         GError **error);
  gboolean (*add)       (const char *folder, GError **error); /* verifies a person's folder, then copies it */
  char    *(*locate)    (void); /* (transfer full) (nullable): the folder that load would read */
  /* Mixtures alone: see fm_task_target_batch(). */
  gboolean (*target_batch) (FmTask *task, guint target, const char *split, guint64 index, gint64 size, FmBatch *batch,
                            GError **error);
} FmTaskClass;

/** fm_task_classes: (transfer none): every task class, ended by NULL, sorted by id. */
FM_API const FmTaskClass * const *fm_task_classes (void);
FM_API const FmTaskClass         *fm_task_class_find (const char *id); /* (nullable) */

/**
 * fm_task_new:
 * @id: class id
 * @params: (nullable): the class's parameter struct, copied; NULL for the defaults
 *
 * Describes the instance: sizes are known afterwards, nothing was read.
 * Returns: (transfer full): the task, or NULL with @error (unknown id with the nearest name, sizes that overflow)
 */
FM_API FmTask            *fm_task_new        (const char *id, gconstpointer params, GError **error);
/**
 * fm_task_mixture_new:
 * @parts: (element-type FmTask): at least two, whose inputs go together
 * @weights: of a part each: how many of its batches come in a turn
 *
 * One task for a model that learns all of them: mixture.c says how they are joined. A target is named after its task.
 */
FM_API FmTask            *fm_task_mixture_new (GPtrArray *parts, const gint64 *weights, GError **error);
FM_API guint              fm_task_get_n_parts (FmTask *task); /* 0: no mixture */
FM_API FmTask            *fm_task_get_part    (FmTask *task, guint part, gint64 *weight); /* (transfer none) */
FM_API FmTask            *fm_task_ref        (FmTask *task);
FM_API void               fm_task_unref      (FmTask *task);
FM_API const FmTaskClass *fm_task_get_class  (FmTask *task);
FM_API const FmTaskInfo  *fm_task_get_info   (FmTask *task);
FM_API gconstpointer      fm_task_get_params (FmTask *task);

/** fm_task_load: reads and verifies real data, never the network. ABSENT says how to add it. Idempotent. */
FM_API gboolean fm_task_load (FmTask *task, GCancellable *cancellable, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * fm_task_batch:
 * @split: name in the task's info
 * @seed: of the order of a training split; evaluation splits ignore it
 * @index: number of the batch, from 0
 * @size: rows, > 0
 * @batch: (out caller-allocates)
 *
 * A training split deals every example once per epoch in an order made from (seed, epoch); generated training data is
 * made from (seed, index). An evaluation split is the same for every seed: batch @index holds examples
 * [index*size, (index+1)*size), the last one padded by repeating its last row, with `valid` saying how many count.
 * An @index past the end of an evaluation split gives valid = 0. Thread-safe after fm_task_load().
 */
FM_API gboolean fm_task_batch (FmTask *task, const char *split, guint64 seed, guint64 index, gint64 size,
                               FmBatch *batch, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * fm_task_target_batch:
 * @target: index in the task's targets
 * @split: an evaluation split
 *
 * As fm_task_batch(), of those examples alone that may ask for @target: in a mixture those of one of its tasks, else all.
 */
FM_API gboolean fm_task_target_batch (FmTask *task, guint target, const char *split, guint64 index, gint64 size,
                                      FmBatch *batch, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** fm_task_shortcuts: (transfer none) (element-type FmTaskShortcut): computed once per task from its data, then kept. */
FM_API const GArray *fm_task_shortcuts (FmTask *task, GError **error);

FM_API gboolean fm_task_example (FmTask *task, const char *split, guint64 index, FmTaskExample *example,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** fm_task_data_key: (transfer full): what determines the data besides parameters: "sha256:..." or "generator:2". */
FM_API char *fm_task_data_key (FmTask *task);

/* --- Scores -------------------------------------------------------------------------------------------------------
 * Metrics read a small vector per scoring unit (example), so that any of them can be recomputed on any resample. */

typedef struct
{
  gfloat correct; /* answers that were right */
  gfloat count;   /* answers that were asked */
  gfloat loss;    /* summed cross-entropy, nats */
} FmOutcome;

/**
 * fm_task_outcomes:
 * @target: index in the task's targets
 * @logits: f32 [B,classes] for CLASS, [B,N,classes] for SEQUENCE
 * @outcomes: (out caller-allocates): @batch->valid entries
 */
FM_API void fm_task_outcomes (FmTask *task, guint target, const FmBatch *batch, const gfloat *logits,
                              FmOutcome *outcomes);

/* What a model answered on a unit with one answer, for metrics that ask for more than right or wrong. */
typedef struct
{
  gfloat answer; /* class; -1 where its scores are not finite */
  gfloat right;  /* class; -1 where nothing was asked */
  gfloat score;  /* of class 1 over class 0, in nats, where there are two; else 0 */
} FmAnswer;

/** fm_task_answers: of a CLASS target; the arguments of fm_task_outcomes(). */
FM_API void fm_task_answers (FmTask *task, guint target, const FmBatch *batch, const gfloat *logits, FmAnswer *answers);

/** fm_outcomes_accuracy: sum of correct over sum of count; NaN when nothing was asked. */
FM_API gdouble fm_outcomes_accuracy (const FmOutcome *outcomes, gsize n);
FM_API gdouble fm_outcomes_loss     (const FmOutcome *outcomes, gsize n); /* mean nats an answer */

G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmTask, fm_task_unref)

G_END_DECLS
