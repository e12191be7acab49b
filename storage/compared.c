/* compared.c: devices, architectures and tasks: what runs are compared by. Their ids are made from their content, so a
 * record that is there already is the same record. */
#include "config.h"

#include "storage/storage-private.h"

#include <math.h>

static gboolean
absent (GError **error, const char *what, const char *id)
{
  g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT, "The store has no %s “%s”.", what, id);
  return FALSE;
}

gboolean
fm_store_add_device (FmStore *store, const FmDeviceRecord *record, GError **error)
{
  return fm_store_require_write (store, error) &&
         fm_store_do (store, error,
                      "INSERT INTO device VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
                      "peak_gflop_per_s = coalesce (excluded.peak_gflop_per_s, peak_gflop_per_s), "
                      "peak_gbyte_per_s = coalesce (excluded.peak_gbyte_per_s, peak_gbyte_per_s)",
                      "ttttIdd", record->id, record->label, record->name, record->driver, record->threads,
                      record->peak_gflop_per_s, record->peak_gbyte_per_s);
}

FmDeviceRecord *
fm_store_load_device (FmStore *store, const char *id, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store,
    "SELECT id, label, name, driver, threads, peak_gflop_per_s, peak_gbyte_per_s FROM device WHERE id = ?", error);
  FmDeviceRecord *record;
  gboolean row;

  if (stmt == NULL)
    return NULL;
  fm_statement_bind (stmt, "t", id);
  if (!fm_statement_next (store, stmt, &row, error) || (!row && !absent (error, "device", id)))
    return NULL;
  record = fm_device_record_new ();
  record->id = fm_column_text (stmt, 0);
  record->label = fm_column_text (stmt, 1);
  record->name = fm_column_text (stmt, 2);
  record->driver = fm_column_text (stmt, 3);
  record->threads = fm_column_int (stmt, 4);
  record->peak_gflop_per_s = fm_column_double (stmt, 5);
  record->peak_gbyte_per_s = fm_column_double (stmt, 6);
  return record;
}

static gboolean
insert_roof (FmStore *store, const FmRoofRecord *r, GError **error)
{
  gdouble bandwidth = r->copy_gbyte_per_s > r->read_gbyte_per_s || isnan (r->read_gbyte_per_s) ? r->copy_gbyte_per_s
                                                                                                : r->read_gbyte_per_s;

  return fm_store_do (store, error, "INSERT OR REPLACE INTO device_roof VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                      "ttiddddddi", r->name, r->driver, r->threads, r->peak_gflop_per_s, r->product_gflop_per_s,
                      r->read_gbyte_per_s, r->copy_gbyte_per_s, r->dispatch_us, r->submission_us, r->measured_us) &&
         fm_store_do (store, error,
                      "UPDATE device SET peak_gflop_per_s = ?, peak_gbyte_per_s = ? "
                      "WHERE name = ? AND driver = ? AND coalesce (threads, -1) = ?",
                      "ddtti", r->peak_gflop_per_s, bandwidth, r->name, r->driver, r->threads);
}

gboolean
fm_store_set_roof (FmStore *store, const FmRoofRecord *record, GError **error)
{
  return fm_store_require_write (store, error) && fm_store_enter (store, error) &&
         fm_store_leave (store, insert_roof (store, record, error), error);
}

FmRoofRecord *
fm_store_load_roof (FmStore *store, const char *name, const char *driver, gint64 threads, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store,
    "SELECT peak_gflop_per_s, product_gflop_per_s, read_gbyte_per_s, copy_gbyte_per_s, dispatch_us, submission_us, "
    "measured_unix_us FROM device_roof WHERE name = ? AND driver = ? AND threads = ?", error);
  FmRoofRecord *record;
  gboolean row;

  if (stmt == NULL)
    return NULL;
  fm_statement_bind (stmt, "tti", name, driver, threads);
  if (!fm_statement_next (store, stmt, &row, error) || (!row && !absent (error, "roof of", name)))
    return NULL;
  record = fm_roof_record_new (name, driver, threads);
  record->peak_gflop_per_s = fm_column_double (stmt, 0);
  record->product_gflop_per_s = fm_column_double (stmt, 1);
  record->read_gbyte_per_s = fm_column_double (stmt, 2);
  record->copy_gbyte_per_s = fm_column_double (stmt, 3);
  record->dispatch_us = fm_column_double (stmt, 4);
  record->submission_us = fm_column_double (stmt, 5);
  record->measured_us = fm_column_int (stmt, 6);
  return record;
}

gboolean
fm_store_knows_roof (FmStore *store, const char *hardware, gint64 threads)
{
  g_autoptr (sqlite3_stmt) stmt = fm_store_prepare (store,
    "SELECT 1 FROM device_roof WHERE name || ', ' || driver = ? AND threads IN (?, -1)", NULL);
  gboolean row;

  if (stmt == NULL)
    return FALSE;
  fm_statement_bind (stmt, "ti", hardware, threads);
  return fm_statement_next (store, stmt, &row, NULL) && row;
}

/* Whether the insert made a row: only then do its dependent rows belong to it. */
static gboolean
made_row (FmStore *store)
{
  return sqlite3_changes (store->db) > 0;
}

static gboolean
insert_architecture (FmStore *store, const FmArchitectureRecord *record, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = NULL;

  if (!fm_store_do (store, error, "INSERT INTO architecture (id, skeleton) VALUES (?, ?) ON CONFLICT DO NOTHING",
                    "tt", record->id, record->skeleton))
    return FALSE;
  if (!made_row (store))
    return TRUE;
  stmt = fm_store_prepare (store, "INSERT INTO architecture_role VALUES (?, ?, ?, ?, ?, ?, ?)", error);
  if (stmt == NULL)
    return FALSE;
  for (guint i = 0; i < record->roles->len; i++)
    {
      const FmRoleRecord *role = g_ptr_array_index (record->roles, i);

      fm_statement_bind (stmt, "titIttt", record->id, (gint64) i, role->role, role->layer, role->plugin,
                         role->plugin_hash, role->parameters ? role->parameters : "");
      if (!fm_statement_run (store, stmt, error))
        return FALSE;
    }
  return fm_store_do (store, error,
                      "UPDATE architecture SET (mixer, feedforward, mixer_parameters, feedforward_parameters) = "
                      "(SELECT mixer, feedforward, mixer_parameters, feedforward_parameters FROM architecture_plugins "
                      "WHERE architecture = ?1) WHERE id = ?1", "t", record->id);
}

gboolean
fm_store_add_architecture (FmStore *store, const FmArchitectureRecord *record, GError **error)
{
  if (!fm_store_enter (store, error))
    return FALSE;
  return fm_store_leave (store, insert_architecture (store, record, error), error);
}

FmArchitectureRecord *
fm_store_load_architecture (FmStore *store, const char *id, GError **error)
{
  g_autoptr (FmArchitectureRecord) record = NULL;
  g_autoptr (sqlite3_stmt) head = fm_store_prepare (store, "SELECT skeleton FROM architecture WHERE id = ?", error);
  g_autoptr (sqlite3_stmt) roles = fm_store_prepare (store,
    "SELECT role, layer, plugin, plugin_hash, parameters FROM architecture_role WHERE architecture = ? "
    "ORDER BY position", head ? error : NULL);
  gboolean row;

  if (head == NULL || roles == NULL)
    return NULL;
  fm_statement_bind (head, "t", id);
  if (!fm_statement_next (store, head, &row, error) || (!row && !absent (error, "architecture", id)))
    return NULL;
  record = fm_architecture_record_new ();
  record->id = g_strdup (id);
  record->skeleton = fm_column_text (head, 0);
  fm_statement_bind (roles, "t", id);
  while (fm_statement_next (store, roles, &row, error))
    {
      if (!row)
        return g_steal_pointer (&record);
      g_ptr_array_add (record->roles, fm_role_record_new ((const char *) sqlite3_column_text (roles, 0),
                                                          fm_column_int (roles, 1),
                                                          (const char *) sqlite3_column_text (roles, 2),
                                                          (const char *) sqlite3_column_text (roles, 3),
                                                          (const char *) sqlite3_column_text (roles, 4)));
    }
  return NULL;
}

static gboolean
insert_task (FmStore *store, const FmTaskRecord *record, GError **error)
{
  g_autoptr (sqlite3_stmt) stmt = NULL;

  if (!fm_store_do (store, error, "INSERT INTO task VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", "ttttd",
                    record->id, record->name, record->parameters ? record->parameters : "", record->data_key,
                    record->chance_level))
    return FALSE;
  if (record->shortcuts->len == 0)
    return TRUE;
  if (!fm_store_do (store, error, "DELETE FROM task_shortcut WHERE task = ?", "t", record->id))
    return FALSE;
  stmt = fm_store_prepare (store, "INSERT INTO task_shortcut VALUES (?, ?, ?, ?, ?)", error);
  if (stmt == NULL)
    return FALSE;
  for (guint i = 0; i < record->shortcuts->len; i++)
    {
      const FmShortcutRecord *shortcut = g_ptr_array_index (record->shortcuts, i);

      fm_statement_bind (stmt, "tittd", record->id, (gint64) i, shortcut->name, shortcut->help, shortcut->accuracy);
      if (!fm_statement_run (store, stmt, error))
        return FALSE;
    }
  return TRUE;
}

gboolean
fm_store_add_task (FmStore *store, const FmTaskRecord *record, GError **error)
{
  if (!fm_store_enter (store, error))
    return FALSE;
  return fm_store_leave (store, insert_task (store, record, error), error);
}

FmTaskRecord *
fm_store_load_task (FmStore *store, const char *id, GError **error)
{
  g_autoptr (FmTaskRecord) record = NULL;
  g_autoptr (sqlite3_stmt) head = fm_store_prepare (store,
    "SELECT name, parameters, data_key, chance_level FROM task WHERE id = ?", error);
  g_autoptr (sqlite3_stmt) shortcuts = fm_store_prepare (store,
    "SELECT name, help, accuracy FROM task_shortcut WHERE task = ? ORDER BY position", head ? error : NULL);
  gboolean row;

  if (head == NULL || shortcuts == NULL)
    return NULL;
  fm_statement_bind (head, "t", id);
  if (!fm_statement_next (store, head, &row, error) || (!row && !absent (error, "task", id)))
    return NULL;
  record = fm_task_record_new ();
  record->id = g_strdup (id);
  record->name = fm_column_text (head, 0);
  record->parameters = fm_column_text (head, 1);
  record->data_key = fm_column_text (head, 2);
  record->chance_level = fm_column_double (head, 3);
  fm_statement_bind (shortcuts, "t", id);
  while (fm_statement_next (store, shortcuts, &row, error))
    {
      if (!row)
        return g_steal_pointer (&record);
      g_ptr_array_add (record->shortcuts, fm_shortcut_record_new ((const char *) sqlite3_column_text (shortcuts, 0),
                                                                  (const char *) sqlite3_column_text (shortcuts, 1),
                                                                  fm_column_double (shortcuts, 2)));
    }
  return NULL;
}
