/* gather-rows.c: rows of a table by index (the embedding), and its gradient, rows added into a table.
 *
 * gather-rows: table [R,W..], index S -> S,[W..]; an index outside [0,R) gives a row of zeros.
 * scatter-add-rows: x S,[W..], index S -> [rows,W..]; an index outside [0,rows) is dropped. Attribute: i[0] rows.
 * No two threads add into one row and sources are added in their order, so the sums have one value. */
#include "config.h"

#include "compute/compute-private.h"

#include <string.h>

static gint64
row_width (const FmTensor *table)
{
  return fm_shape_count (&table->shape) / table->shape.dims[0];
}

/* --- Gather -------------------------------------------------------------------------------------------------------*/

static gboolean
gather_infer (FmNode *node)
{
  FmTensor *table = node->in[0], *index = node->in[1], *y = node->out[0];

  y->type = table->type;
  y->shape = index->shape;
  for (guint i = 1; i < table->shape.rank; i++)
    y->shape.dims[y->shape.rank++] = table->shape.dims[i];
  return TRUE;
}

static void
gather_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  if (node->in[0]->type == FM_F32)
    dx[0] = fm_scatter_add_rows (g, dy[0], node->in[1], node->in[0]->shape.dims[0]);
}

static void
gather_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const guint32 *table = args->in[0];
  const gint32 *index = args->in[1];
  guint32 *y = args->out[0];
  gint64 rows = node->in[0]->shape.dims[0], width = row_width (node->in[0]);
  gint64 n = fm_shape_count (&node->in[1]->shape);

#pragma omp parallel for schedule(static) num_threads(args->threads) if (n * width > FM_CPU_BLOCK)
  for (gint64 i = 0; i < n; i++)
    {
      if (index[i] >= 0 && index[i] < rows)
        memcpy (y + i * width, table + index[i] * width, width * sizeof *y);
      else
        memset (y + i * width, 0, width * sizeof *y);
    }
}

static gboolean
gather_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmTensor *table = node->in[0], *index = node->in[1], *y = node->out[0];
  guint32 count = fm_shape_count (&y->shape);
  struct { guint32 count, width, rows, table_offset, index_offset, y_offset; } push = {
    count, row_width (table), table->shape.dims[0], table->offset, index->offset, y->offset };
  FmVulkanDispatch dispatch = { .shader = "gather-rows", .bind = { table, index, y }, .n_bind = 3, .push = &push,
                                .push_bytes = sizeof push, .groups = ((guint64) count + 127) / 128 };

  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

static void
gather_cost (const FmNode *node, FmCost *cost)
{
  cost->flops = 0;
  cost->bytes = 8.0 * fm_shape_count (&node->out[0]->shape) + 4.0 * fm_shape_count (&node->in[1]->shape);
}

static const FmOp gather_rows_op = {
  .name = "gather-rows", .n_in_min = 2, .n_in_max = 2, .n_out = 1,
  .infer = gather_infer, .gradient = gather_gradient, .cpu = gather_cpu, .vulkan = gather_vulkan, .cost = gather_cost,
};

FmTensor *
fm_gather_rows (FmGraph *g, FmTensor *table, FmTensor *index)
{
  if (fm_graph_failed (g))
    return g->poison;
  if (index->type != FM_I32)
    return fm_graph_fail (g, "gather-rows", "the index must be i32");
  if (table->shape.rank < 1 || index->shape.rank + table->shape.rank - 1 > FM_MAX_RANK)
    return fm_graph_fail (g, "gather-rows", "a table of %u axes by an index of %u gives more than %d axes",
                          table->shape.rank, index->shape.rank, FM_MAX_RANK);
  return fm_op1 (g, &gather_rows_op, NULL, 2, table, index);
}

/* --- Scatter ------------------------------------------------------------------------------------------------------*/

static gboolean
scatter_infer (FmNode *node)
{
  FmTensor *x = node->in[0], *index = node->in[1], *y = node->out[0];

  y->type = FM_F32;
  y->shape.rank = 1;
  y->shape.dims[0] = node->attr.i[0];
  for (guint i = index->shape.rank; i < x->shape.rank; i++)
    y->shape.dims[y->shape.rank++] = x->shape.dims[i];
  return TRUE;
}

static void
scatter_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  dx[0] = fm_gather_rows (g, dy[0], node->in[1]);
}

FM_KERNEL (void, sum_rows, (const float *x, gint64 width, const guint32 *source, gint64 n, float *y),
           (x, width, source, n, y))
{
  for (gint64 j = 0; j < width; j++)
    y[j] = 0.0f;
  for (gint64 i = 0; i < n; i++)
    for (gint64 j = 0; j < width; j++)
      y[j] += x[source[i] * width + j];
}

/* Workspace: where each row's sources begin [rows + 1], then the sources sorted by row [n] (a counting sort). */
static void
scatter_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const float *x = args->in[0];
  const gint32 *index = args->in[1];
  float *y = args->out[0];
  gint64 rows = node->attr.i[0], width = row_width (node->out[0]), n = fm_shape_count (&node->in[1]->shape);
  guint32 *start = args->workspace, *source = start + rows + 1;

  memset (start, 0, (rows + 1) * sizeof *start);
  for (gint64 i = 0; i < n; i++)
    if (index[i] >= 0 && index[i] < rows)
      start[index[i]]++;
  for (gint64 r = 0, sum = 0; r <= rows; r++) /* start[r] becomes the end of row r ... */
    start[r] = (guint32) (sum += start[r]);
  for (gint64 i = n - 1; i >= 0; i--) /* ... and, filled from behind, its beginning */
    if (index[i] >= 0 && index[i] < rows)
      source[--start[index[i]]] = (guint32) i;
#pragma omp parallel for schedule(dynamic, 16) num_threads(args->threads) if ((n + rows) * width > FM_CPU_BLOCK)
  for (gint64 r = 0; r < rows; r++)
    sum_rows (x, width, source + start[r], start[r + 1] - start[r], y + r * width);
}

static gsize
scatter_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  if (backend != FM_BACKEND_CPU)
    return 0;
  return (gsize) (node->attr.i[0] + 1 + fm_shape_count (&node->in[1]->shape)) * sizeof (guint32);
}

static gboolean
scatter_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmTensor *x = node->in[0], *index = node->in[1], *y = node->out[0];
  struct { guint32 n, width, rows, x_offset, index_offset, y_offset; } push = {
    fm_shape_count (&index->shape), row_width (y), node->attr.i[0], x->offset, index->offset, y->offset };
  FmVulkanDispatch dispatch = { .shader = "scatter-add-rows", .bind = { x, index, y }, .n_bind = 3, .push = &push,
                                .push_bytes = sizeof push, .groups = node->attr.i[0], .local_x = 64 };

  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

static void
scatter_cost (const FmNode *node, FmCost *cost)
{
  cost->flops = fm_shape_count (&node->in[0]->shape);
  cost->bytes = 4.0 * (fm_shape_count (&node->in[0]->shape) + fm_shape_count (&node->in[1]->shape)
                       + fm_shape_count (&node->out[0]->shape));
}

static const FmOp scatter_add_rows_op = {
  .name = "scatter-add-rows", .n_in_min = 2, .n_in_max = 2, .n_out = 1,
  .infer = scatter_infer, .gradient = scatter_gradient, .cpu = scatter_cpu, .vulkan = scatter_vulkan,
  .workspace = scatter_workspace, .cost = scatter_cost,
};

FmTensor *
fm_scatter_add_rows (FmGraph *g, FmTensor *x, FmTensor *index, gint64 rows)
{
  FmAttr attr = { .i = { rows } };
  FmShape leading;

  if (fm_graph_failed (g))
    return g->poison;
  if (index->type != FM_I32 || x->type != FM_F32)
    return fm_graph_fail (g, "scatter-add-rows", "wants x f32 and an index of i32");
  if (rows < 1)
    return fm_graph_fail (g, "scatter-add-rows", "%" G_GINT64_FORMAT " rows; wants at least 1", rows);
  leading = x->shape;
  leading.rank = MIN (leading.rank, index->shape.rank);
  if (!fm_shape_equal (&leading, &index->shape) || x->shape.rank + 1 - index->shape.rank > FM_MAX_RANK)
    {
      g_autofree char *sx = fm_shape_to_string (&x->shape), *si = fm_shape_to_string (&index->shape);

      return fm_graph_fail (g, "scatter-add-rows", "the index %s must be the first axes of x %s", si, sx);
    }
  return fm_op1 (g, &scatter_add_rows_op, &attr, 2, x, index);
}

FM_OPS (gather_rows, &gather_rows_op, &scatter_add_rows_op);
