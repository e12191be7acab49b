/* slurm.h: shards of a batch as two array jobs of Slurm: one task a shard trains, and when all have ended, one task a set
 * of compared variants measures. Tasks share no file but by way of one folder, which all nodes must see:
 *
 *   STORE.shards/KEY/first.batch   the batch file as it was submitted
 *                    train.sh      what sbatch was given; measure.sh likewise
 *                    train-1.db    the first training shard's store, with its artifacts beside it; measure-1.db likewise
 *                    train-1.log   its words
 *                    jobs          how many shards, and the numbers of the jobs */
#pragma once

#include "app/run/shards.h"

G_BEGIN_DECLS

typedef struct
{
  const char *name;      /* of the batch file, without its folder */
  const char *text;      /* of the batch file */
  const char *command;   /* that a person typed, for the comment at the head of the scripts */
  const char *device;    /* (nullable): in place of the file's */
  const char *partition; /* (nullable) */
  const char *time;      /* (nullable): limit a task, as Slurm writes it */
  const char *lines;     /* (nullable): more for sbatch, one option a line: "--account=x\n--mem=8G" */
  gboolean    retry_failed;
} FmSlurmOptions;

/** fm_slurm_folder: (transfer full): where the shards of a batch lie whose results go into the store @path. */
FM_API char *fm_slurm_folder (const char *path, const FmShards *shards);

/** fm_slurm_load_count: training shards of an earlier submission in @folder; 0: none. */
FM_API guint fm_slurm_load_count (const char *folder);

/**
 * fm_slurm_script:
 * @left: (element-type guint): numbers of the shards to submit, ascending
 *
 * Returns: (transfer full): the text for sbatch
 */
FM_API char *fm_slurm_script (const FmShards *shards, gboolean measures, const GArray *left, const char *folder,
                              const FmSlurmOptions *options);

/** fm_slurm_find: FALSE with a sentence where sbatch is not installed. */
FM_API gboolean fm_slurm_find (GError **error);

/** fm_slurm_check_idle: FALSE with a sentence where jobs of an earlier submission from @folder still wait or run. */
FM_API gboolean fm_slurm_check_idle (const char *folder, GError **error);

typedef struct
{
  char *training, *measuring; /* numbers of the jobs; (nullable): nothing of it was left */
} FmSlurmJobs;

FM_API void fm_slurm_jobs_clear (FmSlurmJobs *jobs);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (FmSlurmJobs, fm_slurm_jobs_clear)

/**
 * fm_slurm_submit:
 * @training: (element-type guint): numbers of the shards that train and are left; likewise @measuring
 *
 * Writes @folder and submits; where the second job is refused, the first is taken back.
 */
FM_API gboolean fm_slurm_submit (const FmShards *shards, const GArray *training, const GArray *measuring,
                                 const char *folder, const FmSlurmOptions *options, FmSlurmJobs *jobs, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
