/* reduce.h: the sum that other ops finish their shaders with. */
#pragma once

#include "compute/compute-private.h"

/* Sums @in, from element @offset on seen as [axis, inner], to @out [inner] in one pass. */
gboolean fm_reduce_dispatch (FmVulkanRecorder *recorder, FmTensor *in, guint64 offset, FmTensor *out, guint64 axis,
                             guint64 inner, GError **error);
