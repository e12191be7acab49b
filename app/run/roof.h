/* roof.h: the roofs of devices, measured once and kept in the store. */
#pragma once

#include "compute/compute.h"
#include "storage/storage.h"

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/**
 * fm_roof_find:
 * @threads: that the CPU device was opened with; ignored for others
 *
 * What the store knows of this hardware, driver and number of threads; FALSE when it was not measured yet.
 */
FM_API gboolean fm_roof_find (FmStore *store, const FmDeviceInfo *info, guint threads, FmRoof *roof)
  G_GNUC_WARN_UNUSED_RESULT;

/**
 * fm_roof_get:
 * @store: (nullable): where it is looked up and kept; one opened for reading is only looked into
 * @again: measure even if it is known; the better of both is kept
 */
FM_API gboolean fm_roof_get  (FmStore *store, FmDevice *device, guint threads, gboolean again, FmRoof *roof,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** fm_roof_keep: puts @roof into a store opened for writing. */
FM_API gboolean fm_roof_keep (FmStore *store, const FmDeviceInfo *info, guint threads, const FmRoof *roof, GError **error);

/** fm_roof_to_json, _from_json: what a worker tells its runner: the store's record. */
FM_API JsonObject   *fm_roof_to_json   (const FmDeviceInfo *info, guint threads, const FmRoof *roof); /* (transfer full) */
FM_API FmRoofRecord *fm_roof_from_json (JsonObject *object);                                        /* (transfer full) */

/** fm_roof_to_string: (transfer full): "420 GFLOP/s, 63 GB/s, 2.9 us a kernel". */
FM_API char *fm_roof_to_string (const FmRoof *roof);

G_END_DECLS
