/* explore.h: questions to a trained model that stays loaded in a process of its own (`formarium worker --explore`): what
 * does it answer for this example, where does it look, which expert got which token. */
#pragma once

#include "app/results/artifacts.h"
#include "app/run/run.h"

G_BEGIN_DECLS

#define FM_TYPE_EXPLORER (fm_explorer_get_type ())
FM_API G_DECLARE_FINAL_TYPE (FmExplorer, fm_explorer, FM, EXPLORER, GObject)

/* Which expert took each token of the example in one layer. */
typedef struct
{
  gint64  layer;
  gint64  experts;
  gint64  n_tokens;
  gint32 *expert; /* [n_tokens], -1 = dropped (over capacity) */
} FmExploreRouting;

typedef struct
{
  char      *task, *split;
  gint64     example, n_examples; /* index (-1: own pixels) and size of the split */
  char      *label, *answer;      /* words; label NULL for own pixels */
  char     **classes;             /* NULL-terminated, or NULL */
  gint64     n_classes;
  gfloat    *probabilities; /* [n_classes]: of the class target, or of the last token asked */
  gint64     image_rows, image_columns;
  gfloat    *image; /* [rows, columns], 0..1, or NULL */
  FmMaps    *maps;    /* NULL for a mixer without an attention probe */
  GPtrArray *routing; /* FmExploreRouting, a layer each; empty without experts */
  gdouble    seconds; /* the model's time */
} FmExploreAnswer;

FM_API void fm_explore_answer_free (FmExploreAnswer *answer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmExploreAnswer, fm_explore_answer_free)

/**
 * fm_explorer_new_for_run:
 * @store: read here, not kept
 * @run: a run with a finished training stage
 *
 * Starts the worker, which loads the model while the caller goes on. The process ends with the last reference.
 *
 * Returns: (transfer full): NULL when the run has no checkpoint or the program cannot be started
 */
FM_API FmExplorer *fm_explorer_new_for_run (FmStore *store, gint64 run, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * fm_explorer_ask_async:
 * @split: "test", "validation", "train"
 * @example: index in the split; ignored with @pixels
 * @pixels: (nullable) (array length=n_pixels): an own input, as large as the task's main input of one row
 *
 * Questions are answered in order. Cancelling gives up waiting; the answer is then dropped.
 */
FM_API void fm_explorer_ask_async (FmExplorer *explorer, const char *split, gint64 example, const gfloat *pixels,
                                   gsize n_pixels, GCancellable *cancellable, GAsyncReadyCallback callback,
                                   gpointer user_data);
FM_API FmExploreAnswer *fm_explorer_ask_finish (FmExplorer *explorer, GAsyncResult *result, GError **error);

G_END_DECLS
