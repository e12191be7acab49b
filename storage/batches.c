/* batches.c: batches, and the lease by which one process at a time is a batch's runner. */
#include "config.h"

#include "storage/storage-private.h"

#include <string.h>

#define COLUMNS \
  "b.id, b.key, b.title, b.file_name, b.text, b.program_version, b.state, b.created_unix_us, b.ended_unix_us, " \
  "b.runner_pid, b.runner_start, b.runner_machine, b.heartbeat_unix_us, v.runs, v.done, v.failed, " \
  "v.name, v.tags, v.note FROM batch b JOIN batches v ON v.batch_id = b.id "

static FmBatchState
batch_state_from_string (const char *text)
{
  for (guint i = FM_BATCH_PLANNED; i <= FM_BATCH_CANCELLED; i++)
    if (g_strcmp0 (text, fm_batch_state_to_string (i)) == 0)
      return i;
  return FM_BATCH_PLANNED; /* the table's CHECK allows no other text */
}

static FmBatchRecord *
read_batch (sqlite3_stmt *stmt)
{
  FmBatchRecord *record = fm_batch_record_new ();
  g_auto (FmOwner) owner = { -1, fm_column_text (stmt, 10), fm_column_text (stmt, 11) };

  record->id = fm_column_int (stmt, 0);
  record->key = fm_column_text (stmt, 1);
  record->title = fm_column_text (stmt, 2);
  record->file_name = fm_column_text (stmt, 3);
  record->text = fm_column_text (stmt, 4);
  record->program_version = fm_column_text (stmt, 5);
  record->state = batch_state_from_string ((const char *) sqlite3_column_text (stmt, 6));
  record->created_us = fm_column_int (stmt, 7);
  record->ended_us = fm_column_int (stmt, 8);
  record->runner_pid = owner.pid = fm_column_int (stmt, 9);
  record->heartbeat_us = fm_column_int (stmt, 12);
  record->live = fm_owner_is_alive (&owner, record->heartbeat_us);
  record->n_runs = fm_column_int (stmt, 13);
  record->n_runs_done = fm_column_int (stmt, 14);
  record->n_runs_failed = fm_column_int (stmt, 15);
  record->name = fm_column_text (stmt, 16);
  record->tags = fm_column_text (stmt, 17);
  record->note = fm_column_text (stmt, 18);
  return record;
}

gboolean
fm_store_add_batch (FmStore *store, FmBatchRecord *record, GError **error)
{
  gint64 now = g_get_real_time ();

  if (!fm_store_require_write (store, error) ||
      !fm_store_do (store, error,
                    "INSERT INTO batch (key, title, file_name, text, program_version, state, created_unix_us) "
                    "VALUES (?, ?, ?, ?, ?, 'planned', ?)",
                    "ttttti", record->key, record->title, record->file_name, record->text ? record->text : "",
                    record->program_version ? record->program_version : FM_VERSION, now))
    return FALSE;
  record->id = sqlite3_last_insert_rowid (store->db);
  record->state = FM_BATCH_PLANNED;
  record->created_us = now;
  return TRUE;
}

static gboolean
no_batch (GError **error, gint64 id)
{
  g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT,
               "The store has no batch %" G_GINT64_FORMAT "; `formarium results` shows what there is.", id);
  return FALSE;
}

FmBatchRecord *
fm_store_load_batch (FmStore *store, gint64 id, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store, "SELECT " COLUMNS "WHERE b.id = ?1 AND v.batch_id = ?1",
                                                    error);
  gboolean row;

  if (stmt == NULL)
    return NULL;
  fm_statement_bind (stmt, "i", id);
  if (!fm_statement_next (store, stmt, &row, error) || (!row && !no_batch (error, id)))
    return NULL;
  return read_batch (stmt);
}

GPtrArray *
fm_store_load_batches (FmStore *store, GError **error)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_batch_record_free);
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store, "SELECT " COLUMNS "ORDER BY b.id DESC", error);
  gboolean row;

  while (stmt != NULL && fm_statement_next (store, stmt, &row, error))
    {
      if (!row)
        return g_steal_pointer (&list);
      g_ptr_array_add (list, read_batch (stmt));
    }
  return NULL;
}

/* Whether @word names the batch: its name, its title, or its file with or without folders and suffix. */
static gboolean
is_meant (const char *word, const char *name, const char *title, const char *file_name)
{
  g_autofree char *base = NULL, *stem = NULL, *absolute = NULL;

  if (g_strcmp0 (word, title) == 0 || g_strcmp0 (word, name) == 0)
    return TRUE;
  if (file_name == NULL)
    return FALSE;
  base = g_path_get_basename (file_name);
  stem = g_strdup (base);
  if (g_str_has_suffix (stem, ".batch"))
    stem[strlen (stem) - strlen (".batch")] = '\0';
  absolute = g_canonicalize_filename (word, NULL);
  return g_str_equal (word, base) || g_str_equal (word, stem) || g_str_equal (absolute, file_name);
}

gint64
fm_store_find_batch (FmStore *store, const char *word, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store,
    "SELECT id, title, file_name, name FROM batch ORDER BY id DESC", error);
  g_autoptr (GPtrArray) titles = g_ptr_array_new_with_free_func (g_free);
  const char *near;
  gint64 number = -1;
  gboolean row;

  if (stmt == NULL)
    return 0;
  if (word != NULL && !g_ascii_string_to_signed (word, 10, 1, G_MAXINT64, &number, NULL))
    number = -1;
  for (;;)
    {
      g_autofree char *title = NULL, *file_name = NULL, *name = NULL;

      if (!fm_statement_next (store, stmt, &row, error))
        return 0;
      if (!row)
        break;
      title = fm_column_text (stmt, 1);
      file_name = fm_column_text (stmt, 2);
      name = fm_column_text (stmt, 3);
      if (word == NULL || fm_column_int (stmt, 0) == number || (number < 0 && is_meant (word, name, title, file_name)))
        return fm_column_int (stmt, 0);
      if (name != NULL)
        g_ptr_array_add (titles, g_steal_pointer (&name));
      g_ptr_array_add (titles, g_steal_pointer (&title));
    }
  g_ptr_array_add (titles, NULL);
  near = word ? fm_nearest_name (word, (const char * const *) titles->pdata) : NULL;
  if (titles->len == 1)
    g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT,
                 "The store %s has no batch yet; `formarium run FILE.batch` makes one.", store->path);
  else if (near != NULL)
    g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT, "The store has no batch “%s”; did you mean “%s”?",
                 word, near);
  else
    g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT,
                 "The store has no batch “%s”; name one by its number, title or file.", word);
  return 0;
}

gint64
fm_store_find_batch_by_key (FmStore *store, const char *key, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store, "SELECT max (id) FROM main.batch WHERE key = ?", error);
  gboolean row;

  if (stmt == NULL)
    return -1;
  fm_statement_bind (stmt, "t", key);
  if (!fm_statement_next (store, stmt, &row, error))
    return -1;
  return MAX (fm_column_int (stmt, 0), 0);
}

/* --- Lease --------------------------------------------------------------------------------------------------------*/

static gboolean
load_owner (FmStore *store, gint64 batch, FmOwner *owner, gint64 *heartbeat_us, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store,
    "SELECT runner_pid, runner_start, runner_machine, heartbeat_unix_us FROM batch WHERE id = ?", error);
  gboolean row;

  if (stmt == NULL)
    return FALSE;
  fm_statement_bind (stmt, "i", batch);
  if (!fm_statement_next (store, stmt, &row, error) || (!row && !no_batch (error, batch)))
    return FALSE;
  owner->pid = fm_column_int (stmt, 0);
  owner->start = fm_column_text (stmt, 1);
  owner->machine = fm_column_text (stmt, 2);
  *heartbeat_us = fm_column_int (stmt, 3);
  return TRUE;
}

static gboolean
take_lease (FmStore *store, gint64 batch, GError **error)
{
  g_auto (FmOwner) owner = { -1, NULL, NULL };
  g_auto (FmOwner) self = { -1, NULL, NULL };
  gint64 heartbeat_us;

  if (!load_owner (store, batch, &owner, &heartbeat_us, error))
    return FALSE;
  fm_owner_init (&self);
  if (!fm_owner_is_self (&owner) && fm_owner_is_alive (&owner, heartbeat_us))
    {
      g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_LEASED,
                   "Batch %" G_GINT64_FORMAT " is being run by process %" G_GINT64_FORMAT
                   "; wait for it, or cancel it first.", batch, owner.pid);
      return FALSE;
    }
  return fm_store_free_stages (store, batch, error) &&
         fm_store_do (store, error,
                      "UPDATE batch SET state = 'running', ended_unix_us = NULL, runner_pid = ?, runner_start = ?, "
                      "runner_machine = ?, heartbeat_unix_us = ? WHERE id = ?",
                      "ittii", self.pid, self.start, self.machine, g_get_real_time (), batch);
}

gboolean
fm_store_lease_batch (FmStore *store, gint64 batch, GError **error)
{
  if (!fm_store_enter (store, error))
    return FALSE;
  return fm_store_leave (store, take_lease (store, batch, error), error);
}

static gboolean
require_lease (FmStore *store, gint64 batch, GError **error)
{
  g_auto (FmOwner) owner = { -1, NULL, NULL };
  gint64 heartbeat_us;

  if (!load_owner (store, batch, &owner, &heartbeat_us, error))
    return FALSE;
  if (fm_owner_is_self (&owner))
    return TRUE;
  g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_LEASED,
               "Batch %" G_GINT64_FORMAT " is no more run by this process.", batch);
  return FALSE;
}

gboolean
fm_store_heartbeat (FmStore *store, gint64 batch, GError **error)
{
  gboolean ok;

  if (!fm_store_enter (store, error))
    return FALSE;
  ok = require_lease (store, batch, error) &&
       fm_store_do (store, error, "UPDATE batch SET heartbeat_unix_us = ? WHERE id = ?", "ii", g_get_real_time (),
                    batch);
  return fm_store_leave (store, ok, error);
}

gboolean
fm_store_release_batch (FmStore *store, gint64 batch, FmBatchState state, GError **error)
{
  gboolean ok;

  if (!fm_store_enter (store, error))
    return FALSE;
  ok = require_lease (store, batch, error) &&
       fm_store_do (store, error,
                    "UPDATE batch SET state = ?, ended_unix_us = ?, runner_pid = NULL, runner_start = NULL, "
                    "runner_machine = NULL, heartbeat_unix_us = NULL WHERE id = ?",
                    "tIi", fm_batch_state_to_string (state),
                    state == FM_BATCH_DONE || state == FM_BATCH_CANCELLED ? g_get_real_time () : (gint64) -1, batch);
  return fm_store_leave (store, ok, error);
}

gboolean
fm_store_owner_heartbeat (FmStore *store, const FmOwner *owner, gint64 *heartbeat_us, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store,
    "SELECT max (heartbeat_unix_us) FROM batch WHERE runner_pid = ? AND runner_start IS ? AND runner_machine IS ?",
    error);
  gboolean row;

  if (stmt == NULL)
    return FALSE;
  fm_statement_bind (stmt, "itt", owner->pid, owner->start, owner->machine);
  if (!fm_statement_next (store, stmt, &row, error))
    return FALSE;
  *heartbeat_us = MAX (fm_column_int (stmt, 0), 0);
  return TRUE;
}
