/* store.c: opening, checking and closing the file; paths of artifacts. */
#include "config.h"

#include "storage/storage-private.h"

#include <glib/gstdio.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TIMEOUT_MS 5000 /* our own transactions take milliseconds */

char *
fm_store_default_path (void)
{
  const char *path = g_getenv ("FORMARIUM_STORE");

  if (path != NULL && *path != '\0')
    return g_strdup (path);
  return g_build_filename (g_get_user_data_dir (), "formarium", "formarium.db", NULL);
}

void
fm_store_close (FmStore *store)
{
  if (store == NULL)
    return;
  fm_store_rollback (store);
  if (store->db != NULL)
    {
      int rc = sqlite3_close (store->db);

      g_warn_if_fail (rc == SQLITE_OK);
    }
  g_free (store->path);
  g_free (store->artifacts);
  g_free (store->notice);
  g_free (store);
}

const char *
fm_store_get_path (FmStore *store)
{
  return store->path;
}

const char *
fm_store_get_notice (FmStore *store)
{
  return store->notice;
}

void
fm_store_set_timeout (FmStore *store, guint timeout_ms)
{
  sqlite3_busy_timeout (store->db, timeout_ms);
}

/* --- Open ---------------------------------------------------------------------------------------------------------*/

static gboolean
read_int (FmStore *store, const char *sql, gint64 *value, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store, sql, error);
  gboolean row;

  if (stmt == NULL || !fm_statement_next (store, stmt, &row, error))
    return FALSE;
  *value = row ? sqlite3_column_int64 (stmt, 0) : 0;
  return TRUE;
}

/* SQLite fills up a last page that was cut short with zeros. While there is a log, the end of the file may still lie in it. */
static gboolean
is_cut_short (FmStore *store, gint64 bytes)
{
  g_autofree char *log = g_strconcat (store->path, "-wal", NULL);
  struct stat file, wal;

  if (stat (log, &wal) == 0 && wal.st_size > 0)
    return FALSE;
  return stat (store->path, &file) == 0 && file.st_size > 0 && file.st_size < bytes;
}

/* Whose file is it, and which version? Reading the schema also finds a file that was cut short, but for its last page. */
static gboolean
inspect (FmStore *store, gint64 *version, gboolean *empty, GError **error)
{
  gint64 tables, application, pages, page_bytes;

  if (!read_int (store, "SELECT count(*) FROM sqlite_schema", &tables, error) ||
      !read_int (store, "PRAGMA application_id", &application, error) ||
      !read_int (store, "PRAGMA page_count", &pages, error) ||
      !read_int (store, "PRAGMA page_size", &page_bytes, error) ||
      !read_int (store, "PRAGMA user_version", version, error))
    return FALSE;
  if (is_cut_short (store, pages * page_bytes))
    return fm_store_set_error (store, SQLITE_CORRUPT, error);
  *empty = tables == 0 && *version == 0;
  if (!*empty && application != FM_STORE_APPLICATION_ID)
    {
      g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_NOT_STORE,
                   "%s is a database of another program; name another file for the store.", store->path);
      return FALSE;
    }
  if (*version > FM_STORE_VERSION)
    {
      g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_NEWER,
                   "The store %s has schema version %" G_GINT64_FORMAT
                   ", this program knows versions up to %d; use a newer program or another store.",
                   store->path, *version, FM_STORE_VERSION);
      return FALSE;
    }
  return TRUE;
}

/* By the effective user, as open() decides. */
static gboolean
may (const char *path, int mode)
{
  return faccessat (AT_FDCWD, path, mode, AT_EACCESS) == 0;
}

static gboolean
open_db (FmStore *store, const char *name, int flags, GError **error)
{
  int rc;

  g_clear_pointer (&store->db, sqlite3_close);
  rc = sqlite3_open_v2 (name, &store->db, flags | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOMUTEX, NULL);
  if (rc != SQLITE_OK)
    return fm_store_set_error (store, rc, error);
  sqlite3_busy_timeout (store->db, TIMEOUT_MS);
  return TRUE;
}

/* The journal that this place allows. In both modes what was committed has reached the disk: with a rollback journal
 * that takes EXTRA, which also syncs the folder after the journal was unlinked; or it might come back and undo the
 * commit. */
static gboolean
choose_journal (FmStore *store, GError **error)
{
  const char *remote = fm_store_remote_file_system (store->path);

  if (remote == NULL)
    return fm_store_do (store, error, "PRAGMA journal_mode = WAL", "") &&
           fm_store_do (store, error, "PRAGMA synchronous = FULL", "");
  store->notice = g_strdup_printf ("The store %s lies on a network file system (%s): it is written with a rollback "
                                   "journal, which is slower; a local disk is better.", store->path, remote);
  return fm_store_do (store, error, "PRAGMA journal_mode = DELETE", "") &&
         fm_store_do (store, error, "PRAGMA synchronous = EXTRA", "");
}

/* Read on a network file system through a log that another machine does not see? */
static gboolean
needs_other_journal (FmStore *store)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store, "PRAGMA journal_mode", NULL);
  gboolean row;

  return stmt != NULL && fm_statement_next (store, stmt, &row, NULL) && row &&
         g_strcmp0 ((const char *) sqlite3_column_text (stmt, 0), "wal") == 0 &&
         fm_store_remote_file_system (store->path) != NULL;
}

static gboolean
make_ready (FmStore *store, GError **error)
{
  gboolean empty;
  gint64 version;

  if (!open_db (store, store->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, error) ||
      !inspect (store, &version, &empty, error))
    return FALSE;
  if (sqlite3_db_readonly (store->db, "main") == 1)
    return fm_store_set_error (store, SQLITE_READONLY, error);
  return choose_journal (store, error) &&
         fm_store_do (store, error, "PRAGMA foreign_keys = ON", "") &&
         fm_store_migrate (store, fm_store_steps, FM_STORE_VERSION, error);
}

static gboolean
open_for_writing (FmStore *store, GError **error)
{
  g_autofree char *folder = g_path_get_dirname (store->path);
  gboolean existed;
  GStatBuf info;

  if (g_mkdir_with_parents (folder, 0700) != 0)
    {
      g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_READ_ONLY,
                   "The folder %s for the store cannot be made (%s); name another place with --store FILE.", folder,
                   g_strerror (errno));
      return FALSE;
    }
  /* The write-ahead log lies beside the file, so the folder must be writable as well. */
  if (!may (folder, W_OK | X_OK) ||
      (g_file_test (store->path, G_FILE_TEST_EXISTS) && !may (store->path, R_OK | W_OK)))
    return fm_store_set_error (store, SQLITE_READONLY, error);

  existed = g_file_test (store->path, G_FILE_TEST_EXISTS);
  if (make_ready (store, error))
    return TRUE;
  /* A new file that got no byte (a full disk) is nobody's: leave nothing behind. */
  g_clear_pointer (&store->db, sqlite3_close);
  if (!existed && g_stat (store->path, &info) == 0 && info.st_size == 0)
    g_unlink (store->path);
  return FALSE;
}

static gboolean
open_for_reading (FmStore *store, GError **error)
{
  g_autoptr (GError) local = NULL;
  gboolean empty;
  gint64 version;

  if (!g_file_test (store->path, G_FILE_TEST_EXISTS))
    {
      g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT,
                   "There is no store %s yet; `formarium run FILE.batch` makes it.", store->path);
      return FALSE;
    }
  if (!may (store->path, R_OK))
    return fm_store_set_error (store, SQLITE_PERM, error);
  if (!open_db (store, store->path, SQLITE_OPEN_READONLY, error))
    return FALSE;
  if (!inspect (store, &version, &empty, &local))
    {
      g_autofree char *log = g_strconcat (store->path, "-wal", NULL);
      g_autofree char *uri = NULL, *whole = NULL;
      GStatBuf info;

      /* A store in a folder that cannot be written (a read-only disk): SQLite can make no log there. Without a log
       * left behind nobody is writing, and the file can be read as it lies. */
      if (!g_error_matches (local, FM_STORAGE_ERROR, FM_STORAGE_ERROR_READ_ONLY) ||
          (g_stat (log, &info) == 0 && info.st_size > 0) ||
          (uri = g_filename_to_uri (store->path, NULL, NULL)) == NULL)
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return FALSE;
        }
      whole = g_strconcat (uri, "?immutable=1", NULL);
      if (!open_db (store, whole, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, error) ||
          !inspect (store, &version, &empty, error))
        return FALSE;
    }
  if (empty)
    {
      g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT,
                   "The store %s is empty; `formarium run FILE.batch` fills it.", store->path);
      return FALSE;
    }
  if (!store->as_it_is && (version < FM_STORE_VERSION || needs_other_journal (store)))
    {
      /* Readers know the newest schema alone: bring the file there once, as the runner would. */
      g_autoptr (FmStore) writer = NULL;

      g_clear_pointer (&store->db, sqlite3_close);
      writer = fm_store_open (store->path, FM_STORE_WRITE, error);
      if (writer == NULL)
        return FALSE;
      store->notice = g_steal_pointer (&writer->notice);
      return open_db (store, store->path, SQLITE_OPEN_READONLY, error);
    }
  return TRUE;
}

static FmStore *
open_store (const char *path, FmStoreMode mode, gboolean as_it_is, gboolean is_draft, GError **error)
{
  g_autoptr (FmStore) store = g_new0 (FmStore, 1);
  g_autofree char *given = path ? g_strdup (path) : fm_store_default_path ();
  g_autofree char *stem = NULL;
  GStatBuf info;

  store->mode = mode;
  store->as_it_is = as_it_is;
  store->is_draft = is_draft;
  store->path = g_canonicalize_filename (given, NULL);
  stem = g_strdup (store->path);
  if (g_str_has_suffix (stem, ".db"))
    stem[strlen (stem) - 3] = '\0';
  store->artifacts = g_strconcat (stem, ".artifacts", NULL);

  if (g_file_test (store->path, G_FILE_TEST_IS_DIR))
    {
      g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_NOT_STORE,
                   "%s is a folder; name the store's file, %s/formarium.db for one.", store->path, store->path);
      return NULL;
    }
  /* SQLite takes a file shorter than its smallest page for a new one and would write over it. */
  if (g_stat (store->path, &info) == 0 && info.st_size > 0 && info.st_size < 512)
    {
      fm_store_set_error (store, SQLITE_NOTADB, error);
      return NULL;
    }
  if (!(mode == FM_STORE_WRITE ? open_for_writing (store, error) : open_for_reading (store, error)) ||
      /* Results of 10,000 runs: with SQLite's own 2 MB the pages of their stages are read again and again. */
      !fm_store_do (store, error, "PRAGMA cache_size = -32768", ""))
    return NULL;
  return g_steal_pointer (&store);
}

FmStore *
fm_store_open (const char *path, FmStoreMode mode, GError **error)
{
  return open_store (path, mode, FALSE, FALSE, error);
}

FmStore *
fm_store_open_as_it_is (const char *path, GError **error)
{
  return open_store (path, FM_STORE_READ, TRUE, FALSE, error);
}

FmStore *
fm_store_open_draft (const char *path, GError **error)
{
  return open_store (path, FM_STORE_WRITE, FALSE, TRUE, error);
}

FmStoreMode
fm_store_get_mode (FmStore *store)
{
  return store->mode;
}

gboolean
fm_store_check (FmStore *store, GError **error)
{
  g_autoptr (sqlite3_stmt) integrity = fm_store_prepare (store, "PRAGMA integrity_check(1)", error);
  g_autoptr (sqlite3_stmt) keys = NULL;
  gboolean row;

  if (integrity == NULL || !fm_statement_next (store, integrity, &row, error))
    return FALSE;
  if (row && g_strcmp0 ((const char *) sqlite3_column_text (integrity, 0), "ok") != 0)
    {
      g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_NOT_STORE, "The store %s is damaged: %s.", store->path,
                   (const char *) sqlite3_column_text (integrity, 0));
      return FALSE;
    }
  keys = fm_store_prepare (store, "PRAGMA foreign_key_check", error);
  if (keys == NULL || !fm_statement_next (store, keys, &row, error))
    return FALSE;
  if (row)
    {
      g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_NOT_STORE,
                   "The store %s is damaged: a row of table %s names one of %s that is not there.", store->path,
                   (const char *) sqlite3_column_text (keys, 0), (const char *) sqlite3_column_text (keys, 2));
      return FALSE;
    }
  return TRUE;
}

guint64
fm_store_get_change (FmStore *store)
{
  gint64 others = 0;

  /* data_version moves with commits of other connections only, total_changes with our own only. */
  if (!read_int (store, "PRAGMA data_version", &others, NULL))
    return 0;
  return ((guint64) others << 32) + (guint64) sqlite3_total_changes64 (store->db);
}

char *
fm_store_artifact_path (FmStore *store, const char *stage, const char *name)
{
  g_return_val_if_fail (stage != NULL && *stage != '\0' && strchr (stage, '/') == NULL, NULL);
  g_return_val_if_fail (name == NULL || strchr (name, '/') == NULL, NULL);

  return g_build_filename (store->artifacts, stage, name, NULL);
}
