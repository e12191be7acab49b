/* provenance.h: what a stage was made with and by, so that a stranger can tell whether another one had the same.
 *
 * A worker writes it as a JSON object into the stage's row. Flat members speak of the machine and the program and can
 * be shown as they are: program, processor, processors, threads, memory_bytes, kernel, device, device_title, driver,
 * device_note, clock_mhz, clock_end_mhz, clock_max_mhz, governor, blas, blas_core, blas_flavour. What no file of the
 * system tells is left out. Nested ones speak of files and of the stage:
 *
 *   "files":   {"program": {"file", "build_id"}, "blas": {"file", "build_id"}}   as loaded, not as asked for
 *   "plugins": [{"role", "layer", "plugin", "file", "sha256", "parameters"}]    layer -1: every layer
 *   "stage":   {"kind", "numerics", "seed", "task", "task_parameters", "data"}  data: "sha256:..." or "generator:2" */
#pragma once

#include "app/architecture/architecture.h"

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/** fm_provenance_new: (transfer full): of this process and @device. */
FM_API JsonObject *fm_provenance_new (FmDevice *device, guint threads);
/** fm_provenance_add_clock: the processor's clock now, in MHz, as @name; nothing where it cannot be read. */
FM_API void fm_provenance_add_clock (JsonObject *provenance, const char *name);
/** fm_provenance_add_stage: what the stage works with; plugin files are hashed as the loader mapped them. */
FM_API void fm_provenance_add_stage (JsonObject *provenance, const char *kind, guint64 seed,
                                     FmArchitecture *architecture, FmTask *task);

/**
 * fm_provenance_changes:
 * @then: (nullable): of a stored stage, as it was parsed; may be of any program
 * @now: of fm_provenance_new()
 *
 * Returns: (transfer full) (element-type char *): a phrase a difference that may change numbers or times: "BLAS core
 *   Haswell then, SkylakeX now"; the program's build first
 */
FM_API GPtrArray *fm_provenance_changes (JsonObject *then, JsonObject *now);

G_END_DECLS
