/* shards.h: what `formarium run` does with --shards, --collect, --shard and --from. */
#pragma once

#include "app/command/command.h"
#include "app/run/shards.h"

G_BEGIN_DECLS

/** fm_command_run_shards: --shards slurm[:N] or --collect: the whole of it. */
int fm_command_run_shards (const FmArgs *args, FmBatchPlan *plan, FmPlanEstimate *estimate);

/* The part of a batch that this process does. */
typedef struct
{
  FmShards      *shards; /* (nullable): all of the batch, nothing from elsewhere */
  const FmShard *shard;  /* (nullable), no ref: all of the batch */
  GHashTable    *only;   /* (nullable): ids for the runner */
} FmCommandPart;

void fm_command_part_clear (FmCommandPart *part);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (FmCommandPart, fm_command_part_clear)

/** fm_command_part_find: of --shard and --from; nothing is written yet. */
gboolean fm_command_part_find (const FmArgs *args, FmBatchPlan *plan, FmPlanEstimate *estimate, FmCommandPart *part,
                               GError **error);
/** fm_command_part_take: with the plan in @store: takes what --from has, and says what is to be done. */
gboolean fm_command_part_take (const FmArgs *args, FmStore *store, FmCommandPart *part, GError **error);
/** fm_command_part_end: says how it went on standard error; the exit status. */
int      fm_command_part_end  (FmStore *store, const FmCommandPart *part);

G_END_DECLS
