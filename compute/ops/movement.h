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

/* --- Rows by index ------------------------------------------------------------------------------------------------*/

typedef struct
{
  gint64 batch, rows, width; /* the table, [batch,rows,width] */
  gint64 n;                  /* the index, [batch,n] */
} FmRowsLayout;

/* Sources of each of @rows rows, in their order: those of row r are source[start[r]] ... source[start[r + 1] - 1]. Room:
 * @start rows + 1, @source n. An index outside is left out. */
void     fm_sources_by_row     (const gint32 *index, gint64 n, gint64 rows, guint32 *start, guint32 *source);
/* The same on Vulkan, for the pairs of an index that fm_sort_vulkan() left at the start of the workspace: what runs.comp
 * does with each row. @place: i32, for the second and the last mode. */
typedef enum { FM_RUNS_SUM, FM_RUNS_MAX, FM_RUNS_PUT, FM_RUNS_MERGE } FmRunsMode; /* as in runs.comp */
gboolean fm_runs_vulkan    (FmVulkanRecorder *recorder, FmRunsMode mode, const FmRowsLayout *layout, FmTensor *x,
                            FmTensor *y, FmTensor *place, GError **error);
/* Whether rows @x can go into a table of @rows rows by @index; fails the graph otherwise. */
gboolean fm_rows_are_sound (FmGraph *g, const char *what, const FmTensor *x, const FmTensor *index, gint64 rows,
                            gint batch_axes);

G_END_DECLS
