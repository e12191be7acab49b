/* labels.c: what a person writes on batches and runs: a name, tags and a note. */
#include "config.h"

#include "storage/storage-private.h"

#include <string.h>

static const char * const tables[] = { "batch", "run" };

static gboolean
absent (GError **error, FmLabelled what, gint64 id)
{
  g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT,
               "The store has no %s %" G_GINT64_FORMAT "; `formarium results --json` shows their numbers.",
               tables[what], id);
  return FALSE;
}

/* Empty texts are none. */
static gboolean
set_text (FmStore *store, FmLabelled what, gint64 id, const char *column, const char *text, GError **error)
{
  g_autofree char *sql = g_strdup_printf ("UPDATE %s SET %s = ? WHERE id = ?", tables[what], column);

  return fm_store_require_write (store, error) &&
         fm_store_do (store, error, sql, "ti", text != NULL && *text != '\0' ? text : NULL, id) &&
         (sqlite3_changes (store->db) > 0 || absent (error, what, id));
}

gboolean
fm_store_set_name (FmStore *store, FmLabelled what, gint64 id, const char *name, GError **error)
{
  gint64 number;

  if (name != NULL && (strpbrk (name, "\r\n") != NULL ||
                       g_ascii_string_to_signed (name, 10, 0, G_MAXINT64, &number, NULL)))
    {
      g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_FAILED,
                   "The name “%s” must be one line and more than a number, which would mean another %s.", name,
                   tables[what]);
      return FALSE;
    }
  return set_text (store, what, id, "name", name, error);
}

gboolean
fm_store_set_note (FmStore *store, FmLabelled what, gint64 id, const char *note, GError **error)
{
  return set_text (store, what, id, "note", note, error);
}

static gboolean
change_tag (FmStore *store, FmLabelled what, gint64 id, const char *tag, gboolean wanted, GError **error)
{
  g_autofree char *find = g_strdup_printf ("SELECT 1 FROM %s WHERE id = ?", tables[what]);
  g_autofree char *sql = wanted ? g_strdup_printf ("INSERT OR IGNORE INTO %s_tag VALUES (?, ?)", tables[what])
                                : g_strdup_printf ("DELETE FROM %s_tag WHERE %s = ? AND tag = ?", tables[what],
                                                   tables[what]);
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store, find, error);
  gboolean row;

  if (stmt == NULL)
    return FALSE;
  fm_statement_bind (stmt, "i", id);
  return fm_statement_next (store, stmt, &row, error) && (row || absent (error, what, id)) &&
         fm_store_do (store, error, sql, "it", id, tag);
}

gboolean
fm_store_set_tag (FmStore *store, FmLabelled what, gint64 id, const char *tag, gboolean wanted, GError **error)
{
  if (*tag == '\0' || strpbrk (tag, " \t\r\n,") != NULL)
    {
      g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_FAILED,
                   "The tag “%s” must be one word without blanks and commas.", tag);
      return FALSE;
    }
  if (!fm_store_enter (store, error))
    return FALSE;
  return fm_store_leave (store, change_tag (store, what, id, tag, wanted, error), error);
}
