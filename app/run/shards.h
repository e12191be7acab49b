/* shards.h: a batch split over machines. Each shard is run by a process of its own into a store of its own, and the
 * stores are joined by the ids of the stages; slurm.h lets a cluster do so.
 *
 * Training is dealt out by its estimated work; what starts from one another stays together, so that a prefix that several
 * share is trained once. Measuring is not dealt out: what is compared is measured in turns on one machine, so all
 * measuring stages of one task on one device are one shard, and it starts when the training shards are through. The
 * same plan is always split in the same way, whatever of it is done. */
#pragma once

#include "app/run/estimate.h"

G_BEGIN_DECLS

typedef struct
{
  gboolean   measures;
  guint      number, n; /* the second of four; of those that measure, or of those that train */
  GPtrArray *stages;    /* FmBatchStage, no ref: the plan's, in its order */
  GHashTable *needs;    /* char *: ids of these and of all they start from, however far back */
  gdouble    flops, seconds; /* estimated, alone on the machine */
} FmShard;

typedef struct
{
  char      *key;    /* of what there is to do, wherever it is planned: without the hardware it is measured on */
  guint      n_training, n_measuring;
  GPtrArray *shards; /* FmShard: those that train first */
} FmShards;

/** fm_shards_new: (transfer full): @n_training: shards to train in; some stay empty where there is less to deal out. */
FM_API FmShards *fm_shards_new  (FmBatchPlan *plan, const FmPlanEstimate *estimate, guint n_training);
FM_API void      fm_shards_free (FmShards *shards);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmShards, fm_shards_free)

/** fm_shards_count_parts: how many shards could train side by side at most. */
FM_API guint fm_shards_count_parts (FmBatchPlan *plan);

#define FM_SHARDS_MOST 1000 /* Slurm's own limit of an array's indices, unless a site says otherwise, is 1001 */

/* "2/4": the second of four that train; "measure:1/1": the first that measures; "@KEY" behind: only if the plan has it. */
typedef struct
{
  gboolean measures;
  guint    number, n;
  char    *key; /* (nullable) */
} FmShardName;

FM_API gboolean fm_shard_name_parse (const char *text, FmShardName *name, GError **error) G_GNUC_WARN_UNUSED_RESULT;
FM_API void     fm_shard_name_clear (FmShardName *name);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (FmShardName, fm_shard_name_clear)

/** fm_shards_find: (transfer none): the shard @name means; an error where the plan is another one, or has no such shard. */
FM_API const FmShard *fm_shards_find (const FmShards *shards, const FmShardName *name, GError **error);

/** fm_shard_file: (transfer full): the shard's store in @folder: "train-2.db", "measure-1.db". */
FM_API char *fm_shard_file (const FmShard *shard, const char *folder);

/**
 * fm_shard_count_left:
 * @here: (nullable): the store that results are collected in
 * @own: (nullable): the shard's own
 * @retry_failed: do failed stages count as left?
 *
 * Stages that neither store has ended, and that can still be run: what failed or diverged has nothing to measure.
 * Measuring counts as done on whatever hardware it was.
 *
 * Returns: -1 on an error
 */
FM_API gint64 fm_shard_count_left (const FmShard *shard, FmStore *here, FmStore *own, gboolean retry_failed,
                                   GError **error);

/**
 * fm_shard_take:
 * @own: the shard's store, opened for writing
 * @from: (element-type utf8): files of other stores; those that are not there are passed over
 * @conflicts: (nullable) (element-type utf8): what differs between them is added, a sentence each
 *
 * Takes finished stages of the shard, and what they start from, out of other stores.
 */
FM_API gboolean fm_shard_take (const FmShard *shard, FmStore *own, GPtrArray *from, GPtrArray *conflicts, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

/**
 * fm_shard_ready:
 * @own: the shard's store, with all it will get from others
 *
 * Returns: (transfer full) (element-type utf8): ids of stages to give the runner; an error where training that is to be
 *   measured is not finished: measured in two parts it would be compared across machines
 */
FM_API GHashTable *fm_shard_ready (const FmShard *shard, FmStore *own, GError **error);

G_END_DECLS
