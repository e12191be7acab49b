/* records.c: making and freeing the structs that go in and out. */
#include "config.h"

#include "storage/storage-private.h"

#include <math.h>

static const char * const batch_states[] = { "planned", "running", "paused", "done", "cancelled" };
static const char * const stage_states[] = { "planned", "running", "done", "failed", "diverged", "cancelled" };

const char *
fm_batch_state_to_string (FmBatchState state)
{
  g_return_val_if_fail ((guint) state < G_N_ELEMENTS (batch_states), "planned");
  return batch_states[state];
}

const char *
fm_stage_state_to_string (FmStageState state)
{
  g_return_val_if_fail ((guint) state < G_N_ELEMENTS (stage_states), "planned");
  return stage_states[state];
}

FmRoleRecord *
fm_role_record_new (const char *role, gint64 layer, const char *plugin, const char *plugin_hash,
                    const char *parameters)
{
  FmRoleRecord *record = g_new0 (FmRoleRecord, 1);

  record->role = g_strdup (role);
  record->layer = layer;
  record->plugin = g_strdup (plugin);
  record->plugin_hash = g_strdup (plugin_hash);
  record->parameters = g_strdup (parameters);
  return record;
}

void
fm_role_record_free (FmRoleRecord *record)
{
  if (record == NULL)
    return;
  g_free (record->role);
  g_free (record->plugin);
  g_free (record->plugin_hash);
  g_free (record->parameters);
  g_free (record);
}

FmShortcutRecord *
fm_shortcut_record_new (const char *name, const char *help, gdouble accuracy)
{
  FmShortcutRecord *record = g_new0 (FmShortcutRecord, 1);

  record->name = g_strdup (name);
  record->help = g_strdup (help);
  record->accuracy = accuracy;
  return record;
}

void
fm_shortcut_record_free (FmShortcutRecord *record)
{
  if (record == NULL)
    return;
  g_free (record->name);
  g_free (record->help);
  g_free (record);
}

FmArchitectureRecord *
fm_architecture_record_new (void)
{
  FmArchitectureRecord *record = g_new0 (FmArchitectureRecord, 1);

  record->roles = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_role_record_free);
  return record;
}

void
fm_architecture_record_free (FmArchitectureRecord *record)
{
  if (record == NULL)
    return;
  g_free (record->id);
  g_free (record->skeleton);
  g_ptr_array_unref (record->roles);
  g_free (record);
}

FmTaskRecord *
fm_task_record_new (void)
{
  FmTaskRecord *record = g_new0 (FmTaskRecord, 1);

  record->chance_level = NAN;
  record->shortcuts = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_shortcut_record_free);
  return record;
}

void
fm_task_record_free (FmTaskRecord *record)
{
  if (record == NULL)
    return;
  g_free (record->id);
  g_free (record->name);
  g_free (record->parameters);
  g_free (record->data_key);
  g_ptr_array_unref (record->shortcuts);
  g_free (record);
}

FmDeviceRecord *
fm_device_record_new (void)
{
  FmDeviceRecord *record = g_new0 (FmDeviceRecord, 1);

  record->threads = -1;
  record->peak_gflop_per_s = NAN;
  record->peak_gbyte_per_s = NAN;
  return record;
}

void
fm_device_record_free (FmDeviceRecord *record)
{
  if (record == NULL)
    return;
  g_free (record->id);
  g_free (record->label);
  g_free (record->name);
  g_free (record->driver);
  g_free (record);
}

FmRoofRecord *
fm_roof_record_new (const char *name, const char *driver, gint64 threads)
{
  FmRoofRecord *record = g_new0 (FmRoofRecord, 1);

  record->name = g_strdup (name);
  record->driver = g_strdup (driver);
  record->threads = threads;
  record->peak_gflop_per_s = record->product_gflop_per_s = NAN;
  record->read_gbyte_per_s = record->copy_gbyte_per_s = NAN;
  record->dispatch_us = record->submission_us = NAN;
  return record;
}

void
fm_roof_record_free (FmRoofRecord *record)
{
  if (record == NULL)
    return;
  g_free (record->name);
  g_free (record->driver);
  g_free (record);
}

FmBatchRecord *
fm_batch_record_new (void)
{
  FmBatchRecord *record = g_new0 (FmBatchRecord, 1);

  record->ended_us = -1;
  record->runner_pid = -1;
  record->heartbeat_us = -1;
  return record;
}

void
fm_batch_record_free (FmBatchRecord *record)
{
  if (record == NULL)
    return;
  g_free (record->key);
  g_free (record->title);
  g_free (record->file_name);
  g_free (record->text);
  g_free (record->program_version);
  g_free (record->name);
  g_free (record->tags);
  g_free (record->note);
  g_free (record);
}

FmRunRecord *
fm_run_record_new (void)
{
  FmRunRecord *record = g_new0 (FmRunRecord, 1);

  record->stages = g_ptr_array_new_with_free_func (g_free);
  return record;
}

void
fm_run_record_free (FmRunRecord *record)
{
  if (record == NULL)
    return;
  g_free (record->variant);
  g_free (record->architecture);
  g_free (record->task);
  g_free (record->device);
  g_free (record->state);
  g_free (record->reason);
  g_free (record->name);
  g_free (record->tags);
  g_free (record->note);
  g_ptr_array_unref (record->stages);
  g_free (record);
}

FmStageRecord *
fm_stage_record_new (const char *id, const char *kind, const char *recipe)
{
  FmStageRecord *record = g_new0 (FmStageRecord, 1);

  record->id = g_strdup (id);
  record->kind = g_strdup (kind);
  record->recipe = g_strdup (recipe);
  record->started_us = -1;
  record->ended_us = -1;
  record->runner_pid = -1;
  record->worker_pid = -1;
  record->fallbacks = -1;
  record->diverged_step = -1;
  record->inputs = g_ptr_array_new_with_free_func (g_free);
  return record;
}

void
fm_stage_record_free (FmStageRecord *record)
{
  if (record == NULL)
    return;
  g_free (record->id);
  g_free (record->kind);
  g_free (record->recipe);
  g_free (record->reason);
  g_free (record->diverged_tensor);
  g_free (record->provenance);
  g_ptr_array_unref (record->inputs);
  g_free (record);
}

/* --- Rows of a stage ----------------------------------------------------------------------------------------------*/

static void
metric_free (FmMetricRow *row)
{
  g_free (row->split);
  g_free (row->target);
  g_free (row->tag);
  g_free (row->name);
  g_free (row);
}

FmCurvePoint *
fm_curve_point_new (gint64 step, const char *name, const char *tag, gdouble value)
{
  FmCurvePoint *point = g_new0 (FmCurvePoint, 1);

  point->step = step;
  point->name = g_strdup (name);
  point->tag = g_strdup (tag ? tag : "");
  point->value = value;
  return point;
}

void
fm_curve_point_free (FmCurvePoint *point)
{
  if (point == NULL)
    return;
  g_free (point->name);
  g_free (point->tag);
  g_free (point);
}

static void
outcomes_free (FmOutcomeRow *row)
{
  g_free (row->split);
  g_free (row->target);
  g_bytes_unref (row->triples);
  g_free (row);
}

static void
latency_free (FmLatencySample *row)
{
  g_free (row->kind);
  g_free (row);
}

static void
process_free (FmProcessRow *row)
{
  g_free (row->session);
  g_free (row);
}

static void
memory_free (FmMemoryRow *row)
{
  g_free (row->kind);
  g_free (row);
}

static void
op_free (FmOpProfileRow *row)
{
  g_free (row->op);
  g_free (row);
}

static void
artifact_free (FmArtifactRow *row)
{
  g_free (row->kind);
  g_free (row->path);
  g_free (row->sha256);
  g_free (row);
}

FmStageResult *
fm_stage_result_new (FmStageState state)
{
  FmStageResult *result = g_new0 (FmStageResult, 1);

  result->state = state;
  result->diverged_step = -1;
  result->metrics = g_ptr_array_new_with_free_func ((GDestroyNotify) metric_free);
  result->curve = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_curve_point_free);
  result->outcomes = g_ptr_array_new_with_free_func ((GDestroyNotify) outcomes_free);
  result->latency = g_ptr_array_new_with_free_func ((GDestroyNotify) latency_free);
  result->processes = g_ptr_array_new_with_free_func ((GDestroyNotify) process_free);
  result->memory = g_ptr_array_new_with_free_func ((GDestroyNotify) memory_free);
  result->profile = g_ptr_array_new_with_free_func ((GDestroyNotify) op_free);
  result->artifacts = g_ptr_array_new_with_free_func ((GDestroyNotify) artifact_free);
  return result;
}

void
fm_stage_result_free (FmStageResult *result)
{
  if (result == NULL)
    return;
  g_free (result->reason);
  g_free (result->diverged_tensor);
  g_free (result->provenance);
  g_ptr_array_unref (result->metrics);
  g_ptr_array_unref (result->curve);
  g_ptr_array_unref (result->outcomes);
  g_ptr_array_unref (result->latency);
  g_ptr_array_unref (result->processes);
  g_ptr_array_unref (result->memory);
  g_ptr_array_unref (result->profile);
  g_ptr_array_unref (result->artifacts);
  g_free (result);
}

void
fm_stage_result_add_metric (FmStageResult *result, const char *split, const char *target, const char *tag,
                            const char *name, gdouble value)
{
  FmMetricRow *row = g_new0 (FmMetricRow, 1);

  row->split = g_strdup (split ? split : "");
  row->target = g_strdup (target ? target : "");
  row->tag = g_strdup (tag ? tag : "");
  row->name = g_strdup (name);
  row->value = value;
  g_ptr_array_add (result->metrics, row);
}

void
fm_stage_result_add_point (FmStageResult *result, gint64 step, const char *name, const char *tag, gdouble value)
{
  g_ptr_array_add (result->curve, fm_curve_point_new (step, name, tag, value));
}

void
fm_stage_result_add_outcomes (FmStageResult *result, const char *split, const char *target, GBytes *triples)
{
  FmOutcomeRow *row = g_new0 (FmOutcomeRow, 1);

  g_return_if_fail (g_bytes_get_size (triples) % (3 * sizeof (gfloat)) == 0);
  row->split = g_strdup (split ? split : "");
  row->target = g_strdup (target ? target : "");
  row->triples = g_bytes_ref (triples);
  g_ptr_array_add (result->outcomes, row);
}

void
fm_stage_result_add_latency (FmStageResult *result, gint64 process, const char *kind, gint64 rows, gdouble value_us)
{
  FmLatencySample *row = g_new0 (FmLatencySample, 1);

  row->process = process;
  row->kind = g_strdup (kind);
  row->rows = rows;
  row->value_us = value_us;
  g_ptr_array_add (result->latency, row);
}

FmProcessRow *
fm_stage_result_add_process (FmStageResult *result, gint64 process, const char *session, gint64 block)
{
  FmProcessRow *row = g_new0 (FmProcessRow, 1);

  row->process = process;
  row->session = g_strdup (session);
  row->block = block;
  row->warm_ups = row->settled = row->measured_peak_bytes = row->device_heap_bytes = -1;
  row->energy_joules = NAN;
  g_ptr_array_add (result->processes, row);
  return row;
}

void
fm_stage_result_add_memory (FmStageResult *result, const char *kind, gint64 planned_bytes, gint64 measured_bytes)
{
  FmMemoryRow *row = g_new0 (FmMemoryRow, 1);

  row->kind = g_strdup (kind);
  row->planned_bytes = planned_bytes;
  row->measured_bytes = measured_bytes;
  g_ptr_array_add (result->memory, row);
}

void
fm_stage_result_add_op (FmStageResult *result, const char *op, gint64 calls, gdouble seconds, gdouble flops,
                        gdouble bytes)
{
  FmOpProfileRow *row = g_new0 (FmOpProfileRow, 1);

  row->op = g_strdup (op);
  row->calls = calls;
  row->seconds = seconds;
  row->flops = flops;
  row->bytes = bytes;
  g_ptr_array_add (result->profile, row);
}

void
fm_stage_result_add_artifact (FmStageResult *result, const char *kind, const char *path, gint64 bytes,
                              const char *sha256)
{
  FmArtifactRow *row = g_new0 (FmArtifactRow, 1);

  row->kind = g_strdup (kind);
  row->path = g_strdup (path);
  row->bytes = bytes;
  row->sha256 = g_strdup (sha256);
  g_ptr_array_add (result->artifacts, row);
}
