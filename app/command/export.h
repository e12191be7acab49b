/* export.h: what `map` and `routing` share: the run that is meant, and numbers as files. */
#pragma once

#include "app/command/command.h"

/** fm_export_find_run: (transfer full): @word is a run's number, or a batch's name for its first run that left @artifact
 * (FM_ARTIFACT_*); NULL word: the newest batch. */
FmRunRecord *fm_export_find_run (FmStore *store, const char *word, const char *artifact, GError **error);

typedef enum { FM_EXPORT_NONE, FM_EXPORT_PICTURE, FM_EXPORT_CSV, FM_EXPORT_NPY, FM_EXPORT_JSON } FmExportKind;
#define FM_EXPORT_ENDINGS ".svg, .png, .pdf, .csv, .npy or .json"
/** fm_export_kind: what the ending of @path asks for; FM_EXPORT_NONE with an error for another. */
FmExportKind fm_export_kind (const char *path, GError **error);

/** fm_export_npy: a NumPy file of little-endian f32 (format 1.0), written beside and renamed. */
gboolean fm_export_npy (const char *path, const gint64 *dims, guint rank, const gfloat *values, GError **error);
