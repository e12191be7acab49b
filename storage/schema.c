/* schema.c: bringing a file to this program's schema version. */
#include "config.h"

#include "storage/storage-private.h"

const FmStoreStep fm_store_steps[FM_STORE_VERSION] = {
  { "/formarium/storage/migrations/1.sql", NULL },
  { "/formarium/storage/migrations/2.sql", NULL },
  { "/formarium/storage/migrations/3.sql", NULL },
  { "/formarium/storage/migrations/4.sql", NULL },
};

static gboolean
load_version (FmStore *store, gint64 *version, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store, "PRAGMA user_version", error);
  gboolean row;

  if (stmt == NULL || !fm_statement_next (store, stmt, &row, error))
    return FALSE;
  *version = row ? sqlite3_column_int64 (stmt, 0) : 0;
  return TRUE;
}

static gboolean
run_script (FmStore *store, const char *sql, GError **error)
{
  int rc = sqlite3_exec (store->db, sql, NULL, NULL, NULL);

  return rc == SQLITE_OK || fm_store_set_error (store, rc, error);
}

static gboolean
run_steps (FmStore *store, const FmStoreStep *steps, guint n_steps, GError **error)
{
  g_autofree char *stamp = NULL;
  gint64 version;

  /* Again with the lock held: another process may have been faster. */
  if (!load_version (store, &version, error))
    return FALSE;
  /* A new file has nothing to lose. */
  if (version > 0 && version < n_steps && !store->is_draft && !fm_store_back_up (store, version, error))
    return FALSE;
  for (gint64 i = version; i < n_steps; i++)
    {
      g_autoptr (GBytes) script = NULL;
      const char *sql = steps[i].sql;

      if (steps[i].resource != NULL)
        {
          script = g_resources_lookup_data (steps[i].resource, G_RESOURCE_LOOKUP_FLAGS_NONE, error);
          if (script == NULL)
            return FALSE;
          sql = g_bytes_get_data (script, NULL); /* resources end with a zero byte */
        }
      if (!run_script (store, sql, error))
        return FALSE;
    }
  stamp = g_strdup_printf ("PRAGMA application_id = %d; PRAGMA user_version = %" G_GINT64_FORMAT,
                           FM_STORE_APPLICATION_ID, MAX (version, (gint64) n_steps));
  return run_script (store, stamp, error);
}

gboolean
fm_store_migrate (FmStore *store, const FmStoreStep *steps, guint n_steps, GError **error)
{
  gint64 version;

  if (!load_version (store, &version, error))
    return FALSE;
  if (version >= n_steps)
    return TRUE;
  if (!fm_store_enter (store, error))
    return FALSE;
  return fm_store_leave (store, run_steps (store, steps, n_steps, error), error);
}
