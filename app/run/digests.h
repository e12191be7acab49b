/* digests.h: fingerprints of a model's parameters while it is trained, so that a replay can say at which step and in
 * which tensor it parts from the run, though nobody kept the weights of that step.
 *
 * A stage leaves them as digests.json:
 *
 *   {"format": "formarium-digests", "version": 1, "steps": [0, 1, 2, 3, 4, 6, 8, ...],
 *    "losses": [null, 2.31, ...],
 *    "tensors": [{"name": "layers.0.mixer.q.weight", "digests": ["0f1e2d3c4b5a6978", ...]}, ...]}
 *
 * in the order the model builds its parameters; step 0 is before the first, and a loss is the one that the step began
 * with. A digest is the first 8 bytes of the SHA-256 of the tensor's bytes, in hexadecimal. Steps are 0, 1, powers of
 * two, three times those, and the last: of a long training two a doubling. For 1,000 steps of a model of
 * examples/first.batch that is 17 kB, and 0.13 s of its 28 s of training on a machine that was not quiet. */
#pragma once

#include "compute/compute.h"

G_BEGIN_DECLS

#define FM_ARTIFACT_DIGESTS "digests"
#define FM_DIGESTS_FILE     "digests.json"

typedef struct
{
  GArray    *steps; /* gint64 */
  GArray    *losses; /* gdouble, as long; NAN at step 0 */
  GPtrArray *names; /* char *: of tensors */
  GPtrArray *rows;  /* GPtrArray of char *, one a tensor, as long as steps */
} FmDigests;

FM_API FmDigests *fm_digests_new  (void);
FM_API void       fm_digests_free (FmDigests *digests);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmDigests, fm_digests_free)

/** fm_digests_wants: are the parameters after @step of @last looked at? */
FM_API gboolean   fm_digests_wants (gint64 step, gint64 last);
/** fm_digests_take: @paths (element-type char *): the same ones each time; @loss of @step, NAN at step 0. */
FM_API gboolean   fm_digests_take  (FmDigests *digests, FmVariables *variables, const GPtrArray *paths, gint64 step,
                                    gdouble loss, GError **error) G_GNUC_WARN_UNUSED_RESULT;
FM_API gboolean   fm_digests_save  (const FmDigests *digests, const char *file, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;
FM_API FmDigests *fm_digests_load  (const char *file, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Where two trainings part. */
typedef struct
{
  gboolean    part;
  gboolean    names_differ; /* they do not even have the same tensors; then nothing below is set but @tensor */
  gint64      same_step;  /* the last one looked at where all tensors agree; -1: not even at the start */
  gint64      step;       /* the first one where they do not */
  const char *tensor;     /* first of those that differ there, in the model's order; no ownership */
  guint       differing, tensors; /* how many there, of how many */
} FmParting;

/** fm_digests_compare: over the steps that both looked at. */
FM_API FmParting  fm_digests_compare (const FmDigests *a, const FmDigests *b);

G_END_DECLS
