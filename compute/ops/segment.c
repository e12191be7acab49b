/* segment.c: rows that belong together by number: their maximum, and their sums where the table they go to is large.
 *
 * segment-max: x S,[W..] f32, index S -> value [rows,W..], place i32 [rows,W..]: which row of x (counted along S) the first
 *   largest came from; a segment without rows has 0 and -1. Attribute: i[0] rows. x must be free of NaN.
 * merge-rows: x [n,W] f32, index [n] -> sums [n,W], which i32 [n]; see fm_merge_rows (). Attribute: i[0] rows. O(n log n)
 *   in the index, whatever the number of rows.
 * search-sorted: sorted [m], x S of its type -> i32 S: how many of sorted are less than x, or not more. Attribute: i[0] 1
 *   for not more. */
#include "config.h"

#include "movement.h"
#include "sort.h"

#include <math.h>
#include <string.h>

static FmRowsLayout
layout_of (const FmNode *node)
{
  gint64 n = fm_shape_count (&node->in[1]->shape);

  return (FmRowsLayout){ .batch = 1, .rows = node->attr.i[0], .n = n, .width = fm_shape_count (&node->in[0]->shape) / n };
}

/* --- Maximum ------------------------------------------------------------------------------------------------------*/

static gboolean
max_infer (FmNode *node)
{
  FmTensor *x = node->in[0], *index = node->in[1];
  FmShape shape = FM_SHAPE (node->attr.i[0]);

  for (guint i = index->shape.rank; i < x->shape.rank; i++)
    shape.dims[shape.rank++] = x->shape.dims[i];
  node->out[0]->shape = node->out[1]->shape = shape;
  node->out[0]->type = FM_F32;
  node->out[1]->type = FM_I32;
  return TRUE;
}

/* Each row of x asks whether it was the one. */
static void
max_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmTensor *index = node->in[1], *mine;
  FmShape counter = index->shape;

  if (dy[0] == NULL)
    return;
  while (counter.rank < node->in[0]->shape.rank)
    counter.dims[counter.rank++] = 1;
  mine = fm_reshape (g, fm_iota (g, fm_shape_count (&index->shape)), counter);
  mine = fm_equal (g, fm_gather_rows (g, node->out[1], index), mine);
  dx[0] = fm_mul (g, mine, fm_gather_rows (g, dy[0], index));
}

FM_KERNEL (void, max_rows, (const float *x, gint64 width, const guint32 *source, gint64 n, float *y, gint32 *place),
           (x, width, source, n, y, place))
{
  for (gint64 j = 0; j < width; j++)
    {
      y[j] = n > 0 ? x[source[0] * width + j] : 0.0f;
      place[j] = n > 0 ? (gint32) source[0] : -1;
    }
  for (gint64 i = 1; i < n; i++)
    for (gint64 j = 0; j < width; j++)
      {
        float v = x[source[i] * width + j];
        gboolean larger = v > y[j];

        y[j] = larger ? v : y[j];
        place[j] = larger ? (gint32) source[i] : place[j];
      }
}

static void
max_cpu (const FmNode *node, const FmCpuArgs *args)
{
  FmRowsLayout l = layout_of (node);
  guint32 *start = args->workspace, *source = start + l.rows + 1;
  float *y = args->out[0];
  gint32 *place = args->out[1];

  fm_sources_by_row (args->in[1], l.n, l.rows, start, source);
#pragma omp parallel for schedule(dynamic, 16) num_threads(args->threads) if ((l.n + l.rows) * l.width > FM_CPU_BLOCK)
  for (gint64 r = 0; r < l.rows; r++)
    max_rows (args->in[0], l.width, source + start[r], start[r + 1] - start[r], y + r * l.width, place + r * l.width);
}

static gsize
max_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  FmRowsLayout l = layout_of (node);

  return backend == FM_BACKEND_CPU ? (gsize) (l.rows + 1 + l.n) * sizeof (guint32) : fm_sort_vulkan_bytes (1, l.n);
}

static gboolean
max_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmRowsLayout l = layout_of (node);

  return fm_sort_vulkan (recorder, node->in[1], 1, l.n, l.n, FALSE, NULL, NULL, 0, error)
         && fm_runs_vulkan (recorder, FM_RUNS_MAX, &l, node->in[0], node->out[0], node->out[1], error);
}

static const FmOp segment_max_op = {
  .name = "segment-max", .n_in_min = 2, .n_in_max = 2, .n_out = 2, .infer = max_infer, .gradient = max_gradient,
  .cpu = max_cpu, .vulkan = max_vulkan, .workspace = max_workspace,
};

FmTensor *
fm_segment_max (FmGraph *g, FmTensor *x, FmTensor *index, gint64 segments)
{
  FM_REFUSE_NULL (g, "segment max", x, index);
  if (fm_graph_failed (g) || !fm_rows_are_sound (g, "segment-max", x, index, segments, 0))
    return g->poison;
  return fm_op1 (g, &segment_max_op, &(FmAttr){ .i = { segments } }, 2, x, index);
}

/* --- Rows of a large table ----------------------------------------------------------------------------------------*/

static gboolean
merge_infer (FmNode *node)
{
  node->out[0]->type = FM_F32;
  node->out[1]->type = FM_I32;
  node->out[0]->shape = node->in[0]->shape;
  node->out[1]->shape = node->in[1]->shape;
  return TRUE;
}

FM_KERNEL (void, add_row, (const float *x, gint64 width, float *y), (x, width, y))
{
#pragma omp simd
  for (gint64 j = 0; j < width; j++)
    y[j] += x[j];
}

static void
merge_cpu (const FmNode *node, const FmCpuArgs *args)
{
  FmRowsLayout l = layout_of (node);
  const float *x = args->in[0];
  const guint32 *index = args->in[1];
  float *sums = args->out[0];
  gint32 *which = args->out[1];
  guint64 *pairs = args->workspace, *sorted;

  for (gint64 i = 0; i < l.n; i++)
    pairs[i] = fm_sort_pair (index[i], i, FM_I32, FALSE);
  sorted = fm_sort_pairs (pairs, pairs + l.n, l.n);
#pragma omp parallel for schedule(static) num_threads(args->threads) if (l.n * l.width > FM_CPU_BLOCK)
  for (gint64 p = 0; p < l.n; p++)
    {
      gint32 row = (gint32) ((guint32) (sorted[p] >> 32) ^ 0x80000000u);
      gboolean begins = (p == 0 || sorted[p - 1] >> 32 != sorted[p] >> 32) && row >= 0 && row < l.rows;

      memset (sums + p * l.width, 0, l.width * sizeof *sums);
      which[p] = begins ? row : -1;
      for (gint64 q = p; begins && q < l.n && sorted[q] >> 32 == sorted[p] >> 32; q++)
        add_row (x + (guint32) sorted[q] * l.width, l.width, sums + p * l.width);
    }
}

static gsize
merge_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  FmRowsLayout l = layout_of (node);

  return backend == FM_BACKEND_CPU ? (gsize) l.n * 2 * sizeof (guint64) : fm_sort_vulkan_bytes (1, l.n);
}

static gboolean
merge_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmRowsLayout l = layout_of (node);

  return fm_sort_vulkan (recorder, node->in[1], 1, l.n, l.n, FALSE, NULL, NULL, 0, error)
         && fm_runs_vulkan (recorder, FM_RUNS_MERGE, &l, node->in[0], node->out[0], node->out[1], error);
}

static const FmOp merge_rows_op = {
  .name = "merge-rows", .n_in_min = 2, .n_in_max = 2, .n_out = 2, .infer = merge_infer,
  .no_gradient = "it brings gradients together for the optimizer", .cpu = merge_cpu, .vulkan = merge_vulkan,
  .workspace = merge_workspace,
};

FmTensor *
fm_merge_rows (FmGraph *g, FmTensor *x, FmTensor *index, gint64 rows, FmTensor **which)
{
  FmTensor *in[] = { x, index };
  FmAttr attr = { .i = { rows } };
  FmNode *node;

  *which = g->poison;
  if (fm_graph_failed (g) || !fm_rows_are_sound (g, "merge-rows", x, index, rows, 0))
    return g->poison;
  node = fm_node_new (g, &merge_rows_op, in, 2, &attr);
  if (node == NULL)
    return g->poison;
  *which = node->out[1];
  return node->out[0];
}

/* --- Search -------------------------------------------------------------------------------------------------------*/

static gboolean
search_infer (FmNode *node)
{
  if (node->in[0]->shape.rank != 1 || node->in[0]->type != node->in[1]->type)
    {
      fm_graph_fail (node->graph, "search-sorted", "wants a sorted [m] of the type of what is searched");
      return FALSE;
    }
  node->out[0]->type = FM_I32;
  node->out[0]->shape = node->in[1]->shape;
  return TRUE;
}

#define SEARCH(type) \
  { \
    const type *sorted = args->in[0], *x = args->in[1]; \
    for (gint64 i = 0; i < count; i++) \
      { \
        gint32 low = 0, high = m; \
        while (low < high) \
          { \
            gint32 middle = low + (high - low) / 2; \
            if (sorted[middle] < x[i] || (not_more && sorted[middle] == x[i])) \
              low = middle + 1; \
            else \
              high = middle; \
          } \
        y[i] = low; \
      } \
  }

static void
search_cpu (const FmNode *node, const FmCpuArgs *args)
{
  gint64 count = fm_shape_count (&node->in[1]->shape);
  gint32 m = (gint32) node->in[0]->shape.dims[0], *y = args->out[0];
  gboolean not_more = node->attr.i[0] != 0;

  if (node->in[0]->type == FM_F32)
    SEARCH (float)
  else
    SEARCH (gint32)
}

static gboolean
search_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmTensor *sorted = node->in[0], *x = node->in[1], *y = node->out[0];
  struct { guint32 count, m, not_more, sorted, x, y; } push = {
    (guint32) fm_shape_count (&y->shape), (guint32) sorted->shape.dims[0], node->attr.i[0] != 0,
    (guint32) sorted->offset, (guint32) x->offset, (guint32) y->offset };
  FmVulkanDispatch dispatch = { .shader = "search-sorted", .bind = { sorted, x, y }, .n_bind = 3, .push = &push,
                                .push_bytes = sizeof push, .spec = { x->type == FM_I32 }, .n_spec = 1,
                                .groups = ((guint64) push.count + 127) / 128 };

  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

/* Counts are steps: no gradient, so zero. */
static void
zero_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
}

static const FmOp search_sorted_op = {
  .name = "search-sorted", .n_in_min = 2, .n_in_max = 2, .n_out = 1, .infer = search_infer, .gradient = zero_gradient,
  .cpu = search_cpu, .vulkan = search_vulkan,
};

FmTensor *
fm_search_sorted (FmGraph *g, FmTensor *sorted, FmTensor *x, gboolean not_more)
{
  FM_REFUSE_NULL (g, "search sorted", sorted, x);
  return fm_op1 (g, &search_sorted_op, &(FmAttr){ .i = { not_more != FALSE } }, 2, sorted, x);
}

FM_OPS (segment, &segment_max_op, &merge_rows_op, &search_sorted_op);
