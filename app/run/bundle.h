/* bundle.h: one batch in one file, for somebody else's machine.
 *
 * A bundle is a plain tar file (tar.h) with these members:
 *
 *   SHA256SUMS                 hashes of all others, as sha256sum writes and checks them
 *   manifest.json              {"format": "formarium-bundle", "version": 1, "program", "batch": {"title", "key"},
 *                               "rows": {"runs", "stages", "metrics", "curve", "outcomes", "latency", "artifacts"},
 *                               "plugins": [{"role", "plugin", "sha256"}],
 *                               "data": [{"task", "parameters", "data"}], "checkpoints": false}
 *   plan.batch                 the text of the batch file
 *   store.db                   the batch's rows, a store as any other: recipes, curves, scores, latencies, provenance
 *   store.artifacts/STAGE/FILE the files that rows name; checkpoints only when asked for
 *
 * "data" says how to have the same data again: "sha256:..." of files that `formarium data` checks, or the version of a
 * generator. Hashes tell damage and carelessness; they are no signature. */
#pragma once

#include "storage/storage.h"

G_BEGIN_DECLS

/** fm_bundle_write: @summary (out) (transfer full): "15 runs, 30 stages, 42 files of 1.2 MB", for a person. */
FM_API gboolean fm_bundle_write (FmStore *store, gint64 batch, const char *path, gboolean checkpoints, char **summary,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

typedef struct _FmBundle FmBundle;

/** fm_bundle_is_one: does the file begin as a bundle does? */
FM_API gboolean  fm_bundle_is_one (const char *path);
/**
 * fm_bundle_open:
 *
 * Unpacks into a scratch folder and checks every hash, the rows and the files they name. Every error is one sentence.
 *
 * Returns: (transfer full): the bundle; its folder goes with it
 */
FM_API FmBundle *fm_bundle_open   (const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;
FM_API void      fm_bundle_free   (FmBundle *bundle);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmBundle, fm_bundle_free)

FM_API FmStore    *fm_bundle_get_store (FmBundle *bundle); /* the rows as they were packed */
FM_API gint64      fm_bundle_get_batch (FmBundle *bundle); /* its only batch */
FM_API const char *fm_bundle_get_key   (FmBundle *bundle); /* of the batch's plan */
FM_API const char *fm_bundle_get_title (FmBundle *bundle);
/** fm_bundle_get_notes: (transfer none) (element-type char *): plugins that are other files here, or absent. */
FM_API GPtrArray  *fm_bundle_get_notes (FmBundle *bundle);

G_END_DECLS
