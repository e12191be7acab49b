/* export.h: what `map` and `routing` share: the run that is meant, and numbers as files. */
#pragma once

#include "app/command/command.h"

/** fm_export_find_run: (transfer full): @word is a run's number, or a batch's name for its first run that left @artifact
 * (FM_ARTIFACT_*); NULL word: the newest batch. */
FmRunRecord *fm_export_find_run (FmStore *store, const char *word, const char *artifact, GError **error);

/** fm_export_npy: a NumPy file of little-endian f32 (format 1.0), written beside and renamed. */
gboolean fm_export_npy (const char *path, const gint64 *dims, guint rank, const gfloat *values, GError **error);
