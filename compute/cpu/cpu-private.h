/* cpu-private.h: what the files of the CPU backend share. */
#pragma once

#include "compute/compute-private.h"

G_BEGIN_DECLS

gboolean fm_cpu_measure_roof (FmDevice *device, FmRoof *roof, GError **error);

G_END_DECLS
