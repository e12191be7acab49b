/* replay.h: runs done again from what the store alone says of them, and how far the second time agrees with the first.
 *
 * A replay has a store of its own in a scratch folder, with the stages of its runs as planned ones; a runner finishes
 * them there as it would anywhere. Then the two stores are compared stage by stage:
 *
 *   same       to the bit: curves, digests of the parameters, checkpoint, scores, and the outcome of every example
 *   within     training: within noise. The first loss agrees within FM_REPLAY_FIRST_LOSS, as other kernels do, and the
 *              losses of the first FM_REPLAY_EARLY steps within FM_REPLAY_EARLY_LOSS, before rounding has had time to
 *              grow: what learns otherwise from the start is no noise, however its scores come out. And no test score
 *              is further from what it was than two seeds can be from each other: t s sqrt (2), with s the spread over
 *              seeds of the batch's variants on this task and device, pooled and without the run itself (95 %, adjusted
 *              for the number of scores by Bonferroni), from FM_REPLAY_DF degrees of freedom on; with fewer no further
 *              than the batch's margin of accuracy, and FM_REPLAY_LOSS of the loss.
 *              Measuring: the 95 % interval of the ratio of latencies, over blocks, touches the batch's margin around
 *              1.
 *   different  anything else
 *   unknown    measured on other hardware, where no agreement is to be expected
 *   failed     the replay itself did not come to an end
 *
 * Source of the interval of a difference of means with unequal variances: Welch, "The generalization of 'Student's'
 * problem when several different population variances are involved", 1947. */
#pragma once

#include "storage/storage.h"

G_BEGIN_DECLS

#define FM_REPLAY_FIRST_LOSS 1e-4 /* relative; kernels in single precision agree to some 1e-6 */
#define FM_REPLAY_EARLY      8
#define FM_REPLAY_EARLY_LOSS 1e-3 /* relative */
#define FM_REPLAY_LOSS       0.05 /* relative */
#define FM_REPLAY_DF         4

typedef enum
{
  FM_REPLAY_SAME,
  FM_REPLAY_WITHIN,
  FM_REPLAY_DIFFERENT,
  FM_REPLAY_UNKNOWN,
  FM_REPLAY_FAILED,
} FmReplayVerdict;

typedef struct
{
  gint64          run; /* of the first run that has the stage */
  char           *variant;
  gint64          seed;
  char           *stage, *kind;
  FmReplayVerdict verdict;
  char           *text;      /* one or two sentences: what was compared, or where it parts */
  gint64          same_step; /* training: the last step where all agree, -1 for none known */
  gint64          step;      /* the first step seen to part, -1 when nothing does */
  char           *tensor;    /* (nullable): first one there */
  gdouble         accuracy_then, accuracy_now; /* 0..1; NAN */
  gdouble         loss_then, loss_now;         /* nats; NAN */
  gdouble         ratio, low, high;            /* measuring: latency now by then; NAN */
} FmReplayStage;

typedef struct _FmReplay FmReplay;

/**
 * fm_replay_new:
 * @store: is read only
 * @runs: (array length=n): numbers of runs, each done or diverged
 * @measure: also the measuring stages
 *
 * FM_APP_ERROR_INPUT, or what the data or device say, where something is not here that the runs need: a sentence. A
 * plugin file that is another one than then is no error, but the first of the changes.
 *
 * Returns: (transfer full): the replay, ready to be run
 */
FM_API FmReplay  *fm_replay_new  (FmStore *store, const gint64 *runs, guint n, gboolean measure, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;
FM_API void       fm_replay_free (FmReplay *replay); /* takes the scratch folder away */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmReplay, fm_replay_free)

FM_API FmStore   *fm_replay_get_store   (FmReplay *replay); /* of its own, with one batch */
FM_API gint64     fm_replay_get_batch   (FmReplay *replay);
/** fm_replay_get_changes: (transfer none) (element-type char *): what differs from then; plugin files first. */
FM_API GPtrArray *fm_replay_get_changes (FmReplay *replay);

/** fm_replay_compare: (transfer full) (element-type FmReplayStage): once the runner has ended; in the order of the runs. */
FM_API GPtrArray *fm_replay_compare (FmReplay *replay, GError **error) G_GNUC_WARN_UNUSED_RESULT;

FM_API const char *fm_replay_verdict_word (FmReplayVerdict verdict, const char *kind); /* "within noise", ... */

G_END_DECLS
