/* download.c: the libcurl downloader. The checksum is what is trusted, so a mirror may be plain HTTP. */
#include "config.h"

#include "data/download.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <gmodule.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* libcurl brings thirty libraries along, a tenth of the time to a first training step, so the first download loads it. */
static struct
{
  CURLcode (*global_init) (long flags);
  CURL *(*init) (void);
  void (*cleanup) (CURL *curl);
  CURLcode (*setopt) (CURL *curl, CURLoption option, ...);
  CURLcode (*getinfo) (CURL *curl, CURLINFO info, ...);
  CURLcode (*perform) (CURL *curl);
  const char *(*strerror) (CURLcode code);
} lib;

static gboolean
load_library (void)
{
  static const char * const names[] = { "libcurl.so.4", "libcurl-gnutls.so.4", "libcurl.4.dylib", "libcurl.so" };
  const struct { const char *name; gpointer *function; } symbols[] = {
    { "curl_global_init", (gpointer *) &lib.global_init }, { "curl_easy_init", (gpointer *) &lib.init },
    { "curl_easy_cleanup", (gpointer *) &lib.cleanup }, { "curl_easy_setopt", (gpointer *) &lib.setopt },
    { "curl_easy_getinfo", (gpointer *) &lib.getinfo }, { "curl_easy_perform", (gpointer *) &lib.perform },
    { "curl_easy_strerror", (gpointer *) &lib.strerror },
  };
  GModule *module = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (names) && module == NULL; i++)
    module = g_module_open (names[i], G_MODULE_BIND_LAZY | G_MODULE_BIND_LOCAL);
  for (guint i = 0; module && i < G_N_ELEMENTS (symbols); i++)
    if (!g_module_symbol (module, symbols[i].name, symbols[i].function))
      return FALSE;
  return module != NULL && lib.global_init (CURL_GLOBAL_DEFAULT) == CURLE_OK; /* never unloaded */
}

static void
curl_free_handle (CURL *curl)
{
  lib.cleanup (curl);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CURL, curl_free_handle)

typedef struct
{
  const FmDownload      *file;
  int                    fd;      /* of the .part file */
  guint64                have;    /* bytes in it */
  int                    failure; /* errno of a failed write, or 0 */
  gboolean               too_long;  /* more came than the file has */
  gboolean               no_ranges; /* the server cannot go on from `have` */
  GCancellable          *cancellable; /* no ref */
  GFileProgressCallback  progress;
  gpointer               user_data;
  guint64                before, total; /* bytes of the files already here, of all files */
} Transfer;

char *
fm_data_cache_folder (const char *name)
{
  return g_build_filename (g_get_user_cache_dir (), "formarium", name, NULL);
}

static char *
fd_sha256 (int fd, GCancellable *cancellable, GError **error)
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autofree guint8 *block = g_malloc (1 << 18);
  off_t offset = 0;

  for (;;)
    {
      ssize_t n;

      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return NULL;
      n = pread (fd, block, 1 << 18, offset);
      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        {
          int saved = errno;

          g_set_error_literal (error, G_FILE_ERROR, g_file_error_from_errno (saved), g_strerror (saved));
          return NULL;
        }
      if (n == 0)
        return g_strdup (g_checksum_get_string (checksum));
      g_checksum_update (checksum, block, n);
      offset += n;
    }
}

char *
fm_file_sha256 (const char *path, GCancellable *cancellable, GError **error)
{
  int fd = g_open (path, O_RDONLY | O_CLOEXEC, 0);
  char *sum;

  if (fd < 0)
    {
      int saved = errno;

      g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (saved), "%s: %s", path, g_strerror (saved));
      return NULL;
    }
  sum = fd_sha256 (fd, cancellable, error);
  g_close (fd, NULL);
  if (sum == NULL)
    g_prefix_error (error, "%s: ", path);
  return sum;
}

static gsize
on_write (char *data, gsize size, gsize n, void *user_data)
{
  Transfer *t = user_data;
  gsize left = size * n;

  if (left > t->file->size - MIN (t->have, t->file->size))
    {
      t->too_long = TRUE;
      return 0;
    }
  while (left > 0)
    {
      ssize_t k = pwrite (t->fd, data, left, (off_t) t->have);

      if (k < 0 && errno == EINTR)
        continue;
      if (k < 0)
        {
          t->failure = errno;
          return 0;
        }
      data += k;
      left -= (gsize) k;
      t->have += (guint64) k;
    }
  return size * n;
}

/* curl calls this at least once a second, also while nothing comes: the place to notice a cancel. */
static int
on_progress (void *user_data, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
  Transfer *t = user_data;

  if (t->progress)
    t->progress ((goffset) (t->before + t->have), (goffset) t->total, t->user_data);
  return g_cancellable_is_cancelled (t->cancellable);
}

/* One attempt at one mirror, from t->have on. */
static gboolean
attempt (Transfer *t, const char *url, GError **error)
{
  g_autoptr (CURL) curl = lib.init ();
  char reason[CURL_ERROR_SIZE] = "";
  CURLcode code;
  long status = 0;

  if (curl == NULL)
    {
      g_set_error_literal (error, FM_DATA_ERROR, FM_DATA_ERROR_NETWORK, "libcurl could not be started");
      return FALSE;
    }
  lib.setopt (curl, CURLOPT_URL, url);
  lib.setopt (curl, CURLOPT_PROTOCOLS_STR, "http,https");
  lib.setopt (curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  lib.setopt (curl, CURLOPT_FOLLOWLOCATION, 1L);
  lib.setopt (curl, CURLOPT_MAXREDIRS, 5L);
  lib.setopt (curl, CURLOPT_FAILONERROR, 1L);
  lib.setopt (curl, CURLOPT_NOSIGNAL, 1L); /* we may be in a thread */
  lib.setopt (curl, CURLOPT_CONNECTTIMEOUT, 20L);
  lib.setopt (curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  lib.setopt (curl, CURLOPT_LOW_SPEED_TIME, 30L);
  lib.setopt (curl, CURLOPT_USERAGENT, "formarium/" FM_VERSION);
  lib.setopt (curl, CURLOPT_ERRORBUFFER, reason);
  lib.setopt (curl, CURLOPT_WRITEFUNCTION, on_write);
  lib.setopt (curl, CURLOPT_WRITEDATA, t);
  lib.setopt (curl, CURLOPT_NOPROGRESS, 0L);
  lib.setopt (curl, CURLOPT_XFERINFOFUNCTION, on_progress);
  lib.setopt (curl, CURLOPT_XFERINFODATA, t);
  lib.setopt (curl, CURLOPT_RESUME_FROM_LARGE, (curl_off_t) t->have);

  code = lib.perform (curl);
  lib.getinfo (curl, CURLINFO_RESPONSE_CODE, &status);

  if (g_cancellable_set_error_if_cancelled (t->cancellable, error))
    return FALSE;
  if (t->failure)
    {
      g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (t->failure), "%s.part: %s", t->file->name,
                   g_strerror (t->failure));
      return FALSE;
    }
  if (t->too_long)
    {
      g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_CORRUPT,
                   "%s: the file there is longer than the %" G_GUINT64_FORMAT " bytes it should have", url,
                   t->file->size);
      return FALSE;
    }
  if (code != CURLE_OK)
    {
      t->no_ranges = code == CURLE_RANGE_ERROR || status == 416;
      if (status >= 400)
        g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_NETWORK, "%s: the server answers %ld", url, status);
      else
        g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_NETWORK, "%s: %s", url,
                     *reason ? reason : lib.strerror (code));
      return FALSE;
    }
  if (t->have < t->file->size)
    {
      g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_NETWORK,
                   "%s: ended after %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " bytes", url, t->have, t->file->size);
      return FALSE;
    }
  return TRUE;
}

static gboolean
restart (Transfer *t, GError **error)
{
  t->have = 0;
  t->too_long = t->no_ranges = FALSE;
  if (ftruncate (t->fd, 0) == 0)
    return TRUE;
  g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (errno), "%s.part: %s", t->file->name, g_strerror (errno));
  return FALSE;
}

/* One mirror, at most twice: a second time, from the start, when the first try went on from bytes that were here
 * already. They may be of another file, or the server may not do ranges. */
static gboolean
from_mirror (Transfer *t, const char *url, GError **error)
{
  for (;;)
    {
      g_autoptr (GError) reason = NULL;
      g_autofree char *sum = NULL;
      gboolean resumed = t->have > 0;

      if (t->have < t->file->size && !attempt (t, url, &reason))
        {
          gboolean useless = t->no_ranges || g_error_matches (reason, FM_DATA_ERROR, FM_DATA_ERROR_CORRUPT);

          if (useless && !restart (t, error))
            return FALSE;
          if (useless && resumed)
            continue;
          g_propagate_error (error, g_steal_pointer (&reason));
          return FALSE;
        }
      sum = fd_sha256 (t->fd, t->cancellable, error);
      if (sum == NULL)
        return FALSE;
      if (g_str_equal (sum, t->file->sha256))
        return TRUE;
      if (!restart (t, error))
        return FALSE;
      if (resumed)
        continue;
      g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_CORRUPT,
                   "%s: wrong checksum: SHA-256 %s instead of %s; it was removed", url, sum, t->file->sha256);
      return FALSE;
    }
}

/* Asks the mirrors in order until one has given the right file into t->fd. */
static gboolean
from_mirrors (Transfer *t, GError **error)
{
  g_autoptr (GError) last = NULL;

  for (guint i = 0; t->file->urls[i]; i++)
    {
      g_clear_error (&last);
      if (from_mirror (t, t->file->urls[i], &last))
        return TRUE;
      if (last->domain != FM_DATA_ERROR)
        break; /* cancelled, or nothing can be written here: another mirror would not help */
    }
  if (last == NULL)
    g_set_error (&last, FM_DATA_ERROR, FM_DATA_ERROR_NETWORK, "%s: no address to fetch it from", t->file->name);
  g_propagate_error (error, g_steal_pointer (&last));
  return FALSE;
}

/* Opens and locks PATH.part. The one who held the lock before us may have renamed the file meanwhile: then our
 * descriptor is of the finished file and we open again. */
static int
open_part (const char *part, GError **error)
{
  for (;;)
    {
      struct stat mine, named;
      int fd = g_open (part, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

      if (fd < 0)
        {
          int saved = errno;

          g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (saved), "%s: %s", part, g_strerror (saved));
          return -1;
        }
      if (flock (fd, LOCK_EX | LOCK_NB) != 0)
        {
          g_close (fd, NULL);
          g_set_error (error, FM_DATA_ERROR, FM_DATA_ERROR_NETWORK,
                       "%s: another program is fetching this file; wait for it or stop it", part);
          return -1;
        }
      if (fstat (fd, &mine) == 0 && stat (part, &named) == 0 && mine.st_ino == named.st_ino)
        return fd;
      g_close (fd, NULL);
    }
}

static gboolean
fetch_one (Transfer *t, const char *folder, GError **error)
{
  g_autofree char *path = g_build_filename (folder, t->file->name, NULL);
  g_autofree char *part = g_strconcat (path, ".part", NULL);
  g_autofree char *present = fm_file_sha256 (path, t->cancellable, NULL);
  struct stat st;
  gboolean ok;

  if (present && g_str_equal (present, t->file->sha256))
    return TRUE;
  t->fd = open_part (part, error);
  if (t->fd < 0)
    return FALSE;
  t->have = fstat (t->fd, &st) == 0 ? (guint64) st.st_size : 0;
  ok = t->have <= t->file->size || restart (t, error);
  ok = ok && from_mirrors (t, error);
  if (ok && (fsync (t->fd) != 0 || g_rename (part, path) != 0))
    {
      int saved = errno;

      g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (saved), "%s: %s", path, g_strerror (saved));
      ok = FALSE;
    }
  if (!ok && t->have == 0)
    g_unlink (part);
  g_close (t->fd, NULL);
  return ok;
}

gboolean
fm_download (const FmDownload *files, guint n_files, const char *folder, GCancellable *cancellable,
             GFileProgressCallback progress, gpointer user_data, GError **error)
{
  static gsize loaded = 0; /* 1: it is there, 2: it is not */
  guint64 before = 0, total = 0;

  if (g_once_init_enter (&loaded))
    g_once_init_leave (&loaded, load_library () ? 1 : 2);
  if (loaded == 2)
    {
      g_set_error_literal (error, FM_DATA_ERROR, FM_DATA_ERROR_NETWORK,
                           "Files cannot be fetched: libcurl 4 is not on this system");
      return FALSE;
    }
  if (g_mkdir_with_parents (folder, 0755) != 0)
    {
      int saved = errno;

      g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (saved), "%s: %s", folder, g_strerror (saved));
      return FALSE;
    }
  for (guint i = 0; i < n_files; i++)
    total += files[i].size;
  for (guint i = 0; i < n_files; i++)
    {
      Transfer t = { .file = &files[i], .fd = -1, .cancellable = cancellable, .progress = progress,
                     .user_data = user_data, .before = before, .total = total };

      if (g_cancellable_set_error_if_cancelled (cancellable, error) || !fetch_one (&t, folder, error))
        return FALSE;
      before += files[i].size;
      if (progress)
        progress ((goffset) before, (goffset) total, user_data);
    }
  return TRUE;
}
