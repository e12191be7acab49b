/* meters.h: what a device says of its own use. For whoever measures programs; plugins have no business here, so it is not
 * part of compute.h. */
#pragma once

#include "compute/compute.h"

G_BEGIN_DECLS

/**
 * fm_program_run_timed:
 * @device_s: (out): seconds by the device's own clock, copies of inputs and outputs included; NAN where it has none (the
 *   processor, queues without timestamps)
 *
 * As fm_program_run().
 */
FM_API gboolean fm_program_run_timed (FmProgram *p, gdouble *device_s, GError **error) G_GNUC_WARN_UNUSED_RESULT;

typedef struct
{
  guint64  used_bytes; /* by this process, in the heaps that are the device's own */
  guint64  heap_bytes; /* size of these heaps */
  gboolean unified;    /* the device works in the processor's memory: what it uses is counted in the process already */
} FmDeviceMemory;

/**
 * fm_device_query_memory:
 *
 * What this process has of the device's heaps now, as the driver counts it. UNSUPPORTED where it does not say (no
 * VK_EXT_memory_budget), and on the processor, which has no heap of its own.
 */
FM_API gboolean fm_device_query_memory (FmDevice *device, FmDeviceMemory *memory, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
