/* backup.c: a whole copy of a store's file, taken while others read it. */
#include "config.h"

#include "storage/storage-private.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

gboolean
fm_store_sync_folder (const char *folder)
{
  int fd = open (folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  gboolean ok = fd >= 0 && fsync (fd) == 0;

  if (fd >= 0)
    close (fd);
  return ok;
}

gboolean
fm_store_copy_database (FmStore *store, sqlite3 *from, const char *to, GError **error)
{
  sqlite3 *db = NULL;
  sqlite3_backup *backup;
  int rc = sqlite3_open_v2 (to, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);

  if (rc == SQLITE_OK)
    {
      backup = sqlite3_backup_init (db, "main", from, "main");
      if (backup != NULL)
        {
          sqlite3_backup_step (backup, -1);
          rc = sqlite3_backup_finish (backup);
        }
      else
        rc = sqlite3_errcode (db);
    }
  if (sqlite3_close (db) != SQLITE_OK)
    g_warn_if_reached ();
  return rc == SQLITE_OK || fm_store_set_error (store, rc, error);
}

/* Beside the store, and never over an older one: "formarium.version-2.db", "formarium.version-2-1.db", ... */
static char *
free_name (FmStore *store, gint64 version)
{
  g_autofree char *stem = g_strndup (store->artifacts, strlen (store->artifacts) - strlen (".artifacts"));
  char *name = g_strdup_printf ("%s.version-%" G_GINT64_FORMAT ".db", stem, version);

  for (guint i = 1; g_file_test (name, G_FILE_TEST_EXISTS); i++)
    {
      g_free (name);
      name = g_strdup_printf ("%s.version-%" G_GINT64_FORMAT "-%u.db", stem, version, i);
    }
  return name;
}

gboolean
fm_store_back_up (FmStore *store, gint64 version, GError **error)
{
  g_autofree char *name = free_name (store, version), *draft = g_strconcat (name, ".part", NULL);
  g_autofree char *folder = g_path_get_dirname (name);
  sqlite3 *reader = NULL;
  gboolean ok;
  int rc;

  /* A connection of its own: SQLite does not copy from one that is in a writing transaction. */
  rc = sqlite3_open_v2 (store->path, &reader, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
  g_unlink (draft); /* of a copy that was killed */
  ok = rc == SQLITE_OK ? fm_store_copy_database (store, reader, draft, error) : fm_store_set_error (store, rc, error);
  sqlite3_close (reader);
  if (ok && (g_rename (draft, name) != 0 || !fm_store_sync_folder (folder)))
    {
      g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_FAILED, "The copy %s cannot be kept (%s).", name,
                   g_strerror (errno));
      ok = FALSE;
    }
  if (!ok)
    {
      g_unlink (draft);
      g_prefix_error (error, "Before it changes to version %d the store is copied, which failed: ", FM_STORE_VERSION);
      return FALSE;
    }
  g_free (store->notice);
  store->notice = g_strdup_printf ("The store %s was of version %" G_GINT64_FORMAT " and is of version %d now; as it "
                                   "was, it is kept as %s.", store->path, version, FM_STORE_VERSION, name);
  return TRUE;
}
