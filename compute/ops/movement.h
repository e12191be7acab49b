/* movement.h: what the ops that only move data share. */
#pragma once

#include "compute/compute-private.h"

G_BEGIN_DECLS

/* Copies a box of 4-byte elements between any strides (of elements); the destination must not repeat an element. */
void fm_copy_region (guint rank, const gint64 *dims, const void *source, const gint64 *source_stride,
                     void *target, const gint64 *target_stride, guint threads);
/* The same on Vulkan, between two tensors; offsets in elements from the start of their memory. */
gboolean fm_copy_region_vulkan (FmVulkanRecorder *recorder, guint rank, const gint64 *dims,
                                FmTensor *source, gint64 source_offset, const gint64 *source_stride,
                                FmTensor *target, gint64 target_offset, const gint64 *target_stride, GError **error);
/* Whether @shape (no -1) can be a view of @x; fm_reshape() copies otherwise. */
gboolean fm_reshape_is_view (const FmTensor *x, const FmShape *shape);

G_END_DECLS
