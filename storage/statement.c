/* statement.c: SQLite statements with formats for what is bound, and SQLite's results as sentences. */
#include "config.h"

#include "storage/storage-private.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>

G_DEFINE_QUARK (fm-storage-error-quark, fm_storage_error)

static FmStorageError
classify (FmStore *store, int rc)
{
  int system_errno = store->db ? sqlite3_system_errno (store->db) : 0;

  switch (rc & 0xff)
    {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return FM_STORAGE_ERROR_BUSY;
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return FM_STORAGE_ERROR_READ_ONLY;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return FM_STORAGE_ERROR_NOT_STORE;
    case SQLITE_FULL:
      return FM_STORAGE_ERROR_FULL;
    case SQLITE_IOERR:
      /* A quota or a limit on file size reaches SQLite as a short write, often without an error number, or, with the
       * shared memory of the WAL, as a failed resize. A broken disk says EIO. */
      if (system_errno == ENOSPC || system_errno == EDQUOT || system_errno == EFBIG ||
          ((rc == SQLITE_IOERR_WRITE || rc == SQLITE_IOERR_SHMSIZE) && system_errno != EIO))
        return FM_STORAGE_ERROR_FULL;
      if (system_errno == EACCES || system_errno == EPERM || system_errno == EROFS)
        return FM_STORAGE_ERROR_READ_ONLY;
      /* Pages missing at the end of a file that was cut short. */
      if (rc == SQLITE_IOERR_SHORT_READ)
        return FM_STORAGE_ERROR_NOT_STORE;
      return FM_STORAGE_ERROR_FAILED;
    default:
      return FM_STORAGE_ERROR_FAILED;
    }
}

gboolean
fm_store_set_error (FmStore *store, int rc, GError **error)
{
  FmStorageError code = classify (store, rc);

  switch (code)
    {
    case FM_STORAGE_ERROR_BUSY:
      g_set_error (error, FM_STORAGE_ERROR, code,
                   "The store %s is locked by another process; try again when that has finished.", store->path);
      break;
    case FM_STORAGE_ERROR_READ_ONLY:
      g_set_error (error, FM_STORAGE_ERROR, code,
                   "The store %s cannot be %s: its file and its folder must %s.", store->path,
                   store->mode == FM_STORE_WRITE ? "written" : "read",
                   store->mode == FM_STORE_WRITE ? "both be writable" : "be readable");
      break;
    case FM_STORAGE_ERROR_NOT_STORE:
      g_set_error (error, FM_STORAGE_ERROR, code,
                   "%s is damaged, cut short or not a store (%s); restore a copy or name another file.", store->path,
                   sqlite3_errstr (rc));
      break;
    case FM_STORAGE_ERROR_FULL:
      g_set_error (error, FM_STORAGE_ERROR, code,
                   "No room to write the store %s; nothing was half-written, free some space and try again.",
                   store->path);
      break;
    case FM_STORAGE_ERROR_ABSENT:
    case FM_STORAGE_ERROR_LEASED:
    case FM_STORAGE_ERROR_NEWER:
    case FM_STORAGE_ERROR_FAILED:
    default:
      g_set_error (error, FM_STORAGE_ERROR, code, "The store %s refused: %s.", store->path,
                   store->db ? sqlite3_errmsg (store->db) : sqlite3_errstr (rc));
      break;
    }
  return FALSE;
}

sqlite3_stmt *
fm_store_prepare (FmStore *store, const char *sql, GError **error)
{
  sqlite3_stmt *stmt = NULL;
  int rc = sqlite3_prepare_v2 (store->db, sql, -1, &stmt, NULL);

  if (rc != SQLITE_OK)
    fm_store_set_error (store, rc, error);
  return stmt;
}

static void
bind_va (sqlite3_stmt *stmt, const char *format, va_list args)
{
  for (int i = 1; *format; format++, i++)
    {
      int rc = SQLITE_OK;

      switch (*format)
        {
        case 't':
          rc = sqlite3_bind_text (stmt, i, va_arg (args, const char *), -1, SQLITE_TRANSIENT);
          break;
        case 'i':
          rc = sqlite3_bind_int64 (stmt, i, va_arg (args, gint64));
          break;
        case 'I':
          {
            gint64 value = va_arg (args, gint64);

            rc = value == -1 ? sqlite3_bind_null (stmt, i) : sqlite3_bind_int64 (stmt, i, value);
            break;
          }
        case 'd':
          rc = sqlite3_bind_double (stmt, i, va_arg (args, gdouble)); /* NAN becomes NULL by itself */
          break;
        case 'b':
          {
            gsize size;
            gconstpointer data = g_bytes_get_data (va_arg (args, GBytes *), &size);

            rc = sqlite3_bind_blob64 (stmt, i, data ? data : "", size, SQLITE_TRANSIENT);
            break;
          }
        default:
          g_assert_not_reached ();
        }
      g_assert (rc == SQLITE_OK || rc == SQLITE_NOMEM || rc == SQLITE_TOOBIG);
    }
}

void
fm_statement_bind (sqlite3_stmt *stmt, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  bind_va (stmt, format, args);
  va_end (args);
}

gboolean
fm_statement_next (FmStore *store, sqlite3_stmt *stmt, gboolean *row, GError **error)
{
  int rc = sqlite3_step (stmt);

  *row = rc == SQLITE_ROW;
  return rc == SQLITE_ROW || rc == SQLITE_DONE || fm_store_set_error (store, rc, error);
}

gboolean
fm_statement_run (FmStore *store, sqlite3_stmt *stmt, GError **error)
{
  gboolean row, ok = fm_statement_next (store, stmt, &row, error);

  sqlite3_reset (stmt);
  return ok;
}

gboolean
fm_store_do (FmStore *store, GError **error, const char *sql, const char *format, ...)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store, sql, error);
  va_list args;

  if (stmt == NULL)
    return FALSE;
  va_start (args, format);
  bind_va (stmt, format, args);
  va_end (args);
  return fm_statement_run (store, stmt, error);
}

char *
fm_column_text (sqlite3_stmt *stmt, int column)
{
  return g_strdup ((const char *) sqlite3_column_text (stmt, column));
}

gint64
fm_column_int (sqlite3_stmt *stmt, int column)
{
  return sqlite3_column_type (stmt, column) == SQLITE_NULL ? -1 : sqlite3_column_int64 (stmt, column);
}

gdouble
fm_column_double (sqlite3_stmt *stmt, int column)
{
  return sqlite3_column_type (stmt, column) == SQLITE_NULL ? NAN : sqlite3_column_double (stmt, column);
}

/* --- Transactions -------------------------------------------------------------------------------------------------*/

gboolean
fm_store_require_write (FmStore *store, GError **error)
{
  if (store->mode == FM_STORE_WRITE)
    return TRUE;
  g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_READ_ONLY,
               "The store %s was opened for reading and cannot be written.", store->path);
  return FALSE;
}

gboolean
fm_store_enter (FmStore *store, GError **error)
{
  g_autofree char *savepoint = NULL;

  if (!fm_store_require_write (store, error))
    return FALSE;
  /* IMMEDIATE: waiting for the lock happens here, where the busy timeout works, not at the first write, where SQLite
   * would refuse at once because what was read is stale. */
  if (store->depth > 0)
    savepoint = g_strdup_printf ("SAVEPOINT inner_%u", store->depth);
  if (!fm_store_do (store, error, savepoint ? savepoint : "BEGIN IMMEDIATE", ""))
    return FALSE;
  store->depth++;
  return TRUE;
}

gboolean
fm_store_leave (FmStore *store, gboolean ok, GError **error)
{
  g_return_val_if_fail (store->depth > 0, FALSE);

  store->depth--;
  if (store->depth > 0)
    {
      g_autofree char *back = g_strdup_printf ("ROLLBACK TO inner_%u", store->depth);
      g_autofree char *release = g_strdup_printf ("RELEASE inner_%u", store->depth);

      /* A full disk makes SQLite roll back the whole transaction by itself; then there is no savepoint to return to. */
      if (sqlite3_get_autocommit (store->db))
        return FALSE;
      if (!ok)
        fm_store_do (store, NULL, back, "");
      return fm_store_do (store, ok ? error : NULL, release, "") && ok;
    }
  if (ok)
    {
      if (fm_store_do (store, error, "COMMIT", ""))
        return TRUE;
    }
  if (!sqlite3_get_autocommit (store->db))
    fm_store_do (store, NULL, "ROLLBACK", "");
  return FALSE;
}

gboolean
fm_store_begin (FmStore *store, GError **error)
{
  g_return_val_if_fail (store != NULL && store->depth == 0, FALSE);
  return fm_store_enter (store, error);
}

gboolean
fm_store_commit (FmStore *store, GError **error)
{
  g_return_val_if_fail (store != NULL && store->depth == 1, FALSE);
  return fm_store_leave (store, TRUE, error);
}

void
fm_store_rollback (FmStore *store)
{
  if (store->depth > 0)
    {
      store->depth = 0;
      if (!sqlite3_get_autocommit (store->db))
        fm_store_do (store, NULL, "ROLLBACK", "");
    }
}
