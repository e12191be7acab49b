/* download.h: fetches files of a known checksum over HTTP, resumes what was cut, and refuses what is not the file. */
#pragma once

#include "data/task.h"

G_BEGIN_DECLS

typedef struct
{
  const char         *name;   /* file name inside the folder */
  const char         *sha256; /* 64 lower-case hex digits of the finished file */
  guint64             size;   /* of the finished file, bytes */
  const char * const *urls;   /* NULL-terminated mirrors, tried in order */
} FmDownload;

/**
 * fm_download:
 * @files: what to fetch
 * @n_files: how many
 * @folder: where to; made when missing
 * @progress: (nullable): called with (bytes here, bytes in all) over all files, in the calling thread
 *
 * A file that is there and right is not fetched again. While it comes a file is called NAME.part and only takes its
 * name once its checksum holds, so nothing half-written bears the name. A cut or a cancel leaves NAME.part, and the
 * next call goes on from there; a wrong checksum removes it and asks the next mirror. Blocks; call it from a thread.
 *
 * Errors: G_IO_ERROR_CANCELLED; FM_DATA_ERROR_NETWORK when no mirror gave the file; FM_DATA_ERROR_CORRUPT when the
 * last one gave another file; G_FILE_ERROR when it cannot be written here.
 */
gboolean fm_download (const FmDownload *files, guint n_files, const char *folder, GCancellable *cancellable,
                      GFileProgressCallback progress, gpointer user_data, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** fm_data_cache_folder: (transfer full): `$XDG_CACHE_HOME/formarium/NAME`; not made. */
char *fm_data_cache_folder (const char *name);

/** fm_file_sha256: (transfer full): hex digits of the file at @path, or NULL with a G_FILE_ERROR or G_IO_ERROR. */
char *fm_file_sha256 (const char *path, GCancellable *cancellable, GError **error);

G_END_DECLS
