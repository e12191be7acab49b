/* meters.h: what a measuring process finds out beside the latency of its forward pass: the modes that the batch asks for
 * (measure-axes.h), energy, time by the device's own clock, memory of the device's heaps. */
#pragma once

#include "app/run/run-private.h"

G_BEGIN_DECLS

/* --- energy.c ------------------------------------------------------------------------------------------------------
 * Counters of the powercap interface: of the whole package and its memory, whoever uses them; so only a quiet machine
 * gives an energy of ours. Source: Linux, Documentation/power/powercap/powercap.rst. */

typedef struct _FmEnergy FmEnergy;

/** fm_energy_new: @folder (nullable): in place of $FORMARIUM_POWERCAP or /sys/class/powercap. */
FmEnergy   *fm_energy_new  (const char *folder);
void        fm_energy_free (FmEnergy *energy);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmEnergy, fm_energy_free)
/** fm_energy_describe: "intel-rapl package-0, dram", or "absent: " and why. */
const char *fm_energy_describe (FmEnergy *energy);
/** fm_energy_begin, _end: joules between the two, NAN where there are no counters or one could not be read. Counters that
 * went over their end in between count on from zero, once: begin and end belong within a minute or so. */
void        fm_energy_begin (FmEnergy *energy);
gdouble     fm_energy_end   (FmEnergy *energy);

/* --- meters.c ------------------------------------------------------------------------------------------------------*/

typedef struct _FmMeters FmMeters;

FmMeters *fm_meters_new  (FmJob *job);
void      fm_meters_free (FmMeters *meters);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmMeters, fm_meters_free)

/**
 * fm_meters_take_turn:
 * @single: the evaluator of one example, and @one; @forward: that of a whole batch, and @batch
 *
 * Samples every mode once, the machine being ours, and builds it for that when this is its first turn: look at the memory
 * of the process before. Adds latency samples of kind "decode:1024", ..., and metrics with that as tag (split and target
 * empty): "rows" and "tokens" of a call, "planned_peak_bytes", "cache_bytes", and where the machine tells
 * "energy_joules" a row, "device_us" a call and "device_heap_bytes". The forward pass of a batch gives the last three
 * without a tag, that of one example "device_us" under "batch1". What cannot be measured stands in the job's provenance:
 * "energy", "device_heap", and "unmeasured", an object with the reason by mode.
 */
gboolean  fm_meters_take_turn (FmMeters *meters, FmEvaluator *single, const FmBatch *one, FmEvaluator *forward,
                               const FmBatch *batch, FmStageResult *result, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
