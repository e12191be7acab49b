/* task-private.h: what the files of this folder share: the instance behind FmTask, the describing of sizes, the dealing
 * of rows and the allocating of batches. */
#pragma once

#include "data/task.h"

G_BEGIN_DECLS

/* Every class, one a file; task.c lists them. */
extern const FmTaskClass fm_fashion_mnist_class;
extern const FmTaskClass fm_listops_class;
extern const FmTaskClass fm_mqar_class;

/** fm_task_new_of_class: as fm_task_new(), of a class that need not be in the list; its `unload` is called even when it
 * cannot be described. */
FmTask *fm_task_new_of_class (const FmTaskClass *cls, gconstpointer params, GError **error);

/* --- Describing (only inside FmTaskClass.describe) ----------------------------------------------------------------*/

/** fm_task_info_edit: (transfer none): for `ragged` and `chance_level`; the tables grow by the calls below. */
FmTaskInfo *fm_task_info_edit (FmTask *task);

/* The strings inside the rows must live as long as the task: constants, or memory kept by fm_task_set_data(). */
void fm_task_add_input  (FmTask *task, const FmTaskInput *input);
void fm_task_add_target (FmTask *task, const FmTaskTarget *target);
void fm_task_add_split  (FmTask *task, const char *name, FmSplitUse use, guint64 count);

/** fm_task_set_data_key: @key: what determines the data besides parameters; default "generator:1". */
void fm_task_set_data_key (FmTask *task, const char *key);

/** fm_task_set_data: @data: (nullable): state of the class, taken from the class's hand; `unload` frees it. */
void     fm_task_set_data (FmTask *task, gpointer data);
gpointer fm_task_get_data (FmTask *task); /* (transfer none) (nullable) */

/* --- Dealing ------------------------------------------------------------------------------------------------------*/

/** fm_task_find_split: (transfer none) (nullable): NULL sets @error, which lists the splits there are. */
const FmTaskSplit *fm_task_find_split (FmTask *task, const char *name, GError **error);

/**
 * fm_task_deal:
 * @split: of a finite size
 * @rows: (out caller-allocates): @size indices below split->count
 *
 * Which examples batch @index holds: a training split in the order of (seed, epoch), any other one in its own order
 * with the last row repeated. The caller has checked that (index + 1) * size does not overflow (fm_task_batch() has).
 *
 * Returns: how many rows count
 */
gint64 fm_task_deal (const FmTaskSplit *split, guint64 seed, guint64 index, gint64 size, guint64 *rows);

/**
 * fm_task_permute:
 * @key: which permutation
 * @n: how many things, > 0
 * @i: 0 <= i < n
 *
 * The place of @i in a pseudo-random permutation of [0,n) without storing it: a Feistel network of six rounds over
 * Philox on the next power of four, walked until it falls inside (Black and Rogaway 2002, "Ciphers with arbitrary
 * finite domains", method 2).
 */
guint64 fm_task_permute (guint64 key, guint64 n, guint64 i);

/** fm_task_seed: a seed for the stream of @split: training streams depend on @seed, the others do not. */
guint64 fm_task_seed (FmTask *task, const FmTaskSplit *split, guint64 seed);

/**
 * fm_batch_alloc:
 * Allocates every input and target of @task for @size rows, and `lengths` for a ragged task. Zeroed.
 * Errors: FM_DATA_ERROR_INVALID when a size overflows or does not fit in memory.
 */
gboolean fm_batch_alloc (FmTask *task, gint64 size, FmBatch *batch, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** fm_shortcuts_add: appends one row; @name and @help are constants. */
void fm_shortcuts_add (GArray *shortcuts, const char *name, const char *help, gdouble accuracy);

G_END_DECLS
