/* extract.c: one batch as a store of its own: a copy of the whole file from which everything else is taken away, so
 * that whatever tables a later version adds come along. */
#include "config.h"

#include "storage/storage-private.h"

#include <glib/gstdio.h>

#define KEPT_STAGES \
  "WITH RECURSIVE kept (id) AS (SELECT stage FROM run_stage UNION SELECT i.earlier_stage FROM stage_input i " \
  "JOIN kept ON i.stage = kept.id) "

static gboolean
take_away (FmStore *draft, gint64 batch, const char *file_name, gboolean checkpoints, GError **error)
{
  static const char * const steps[] = {
    KEPT_STAGES "DELETE FROM stage_input WHERE stage NOT IN (SELECT id FROM kept)",
    KEPT_STAGES "DELETE FROM stage WHERE id NOT IN (SELECT id FROM kept)",
    /* Who runs it there does not run it elsewhere. */
    "UPDATE stage SET state = CASE state WHEN 'running' THEN 'planned' ELSE state END, runner_pid = NULL, "
      "runner_start = NULL, runner_machine = NULL, worker_pid = NULL",
    "UPDATE batch SET state = CASE state WHEN 'running' THEN 'planned' ELSE state END, runner_pid = NULL, "
      "runner_start = NULL, runner_machine = NULL, heartbeat_unix_us = NULL",
    "DELETE FROM architecture_role WHERE architecture NOT IN (SELECT architecture FROM run)",
    "DELETE FROM architecture WHERE id NOT IN (SELECT architecture FROM run)",
    "DELETE FROM task_shortcut WHERE task NOT IN (SELECT task FROM run)",
    "DELETE FROM task WHERE id NOT IN (SELECT task FROM run)",
    "DELETE FROM device WHERE id NOT IN (SELECT device FROM run)",
    "DELETE FROM device_roof WHERE (name, driver) NOT IN (SELECT name, driver FROM device)",
  };

  if (!fm_store_do (draft, error, "DELETE FROM batch WHERE id <> ?", "i", batch))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (steps); i++)
    if (!fm_store_do (draft, error, steps[i], ""))
      return FALSE;
  /* A stranger need not know in whose folder the file lay. */
  return fm_store_do (draft, error, "UPDATE batch SET file_name = ?", "t", file_name)
         && (checkpoints || fm_store_do (draft, error, "DELETE FROM artifact WHERE kind = 'checkpoint'", ""));
}

gboolean
fm_store_extract (FmStore *store, gint64 batch, const char *path, gboolean checkpoints, GError **error)
{
  g_autoptr (FmBatchRecord) record = fm_store_load_batch (store, batch, error);
  g_autoptr (FmStore) draft = NULL;
  g_autofree char *file_name = NULL;

  if (record == NULL)
    return FALSE;
  file_name = record->file_name ? g_path_get_basename (record->file_name) : NULL;
  if (!fm_store_copy_database (store, store->db, path, error) || (draft = fm_store_open_draft (path, error)) == NULL
      || !fm_store_enter (draft, error)
      || !fm_store_leave (draft, take_away (draft, batch, file_name, checkpoints, error), error))
    return FALSE;
  /* One file without a log beside it, and without the pages of what was taken away. */
  return fm_store_do (draft, error, "PRAGMA journal_mode = DELETE", "") && fm_store_do (draft, error, "VACUUM", "");
}
