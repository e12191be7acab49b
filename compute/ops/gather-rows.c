/* gather-rows.c: rows of a table by index (the embedding, or along any axis), and rows brought back into a table.
 *
 * Leading axes that table and index share are a batch: each index of them has a table and an index of its own.
 * gather-rows: table [B..,R,W..], index [B..,S..] -> [B..,S..,W..]; an index outside [0,R) gives a row of zeros.
 *   Attribute: i[0] axes in B.
 * scatter-add-rows: x [B..,S..,W..], index [B..,S..] -> [B..,rows,W..]; an index outside [0,rows) is dropped.
 * put-rows: table [B..,R,W..], index [B..,S..], x [B..,S..,W..] -> the table with these rows in place of its own; of
 *   several for one row the last stays. Attributes of both: i[0] rows, i[1] axes in B.
 * No two threads write into one row and sources are taken in their order, so the results have one value. */
#include "config.h"

#include "movement.h"
#include "sort.h"

#include <string.h>

static const FmOp gather_rows_op, scatter_add_rows_op, put_rows_op;

static FmRowsLayout
layout_of (const FmTensor *table, const FmTensor *index, gint64 batch_axes)
{
  FmRowsLayout l = { 1, table->shape.dims[batch_axes], 1, 1 };

  for (gint64 a = 0; a < table->shape.rank; a++)
    if (a < batch_axes)
      l.batch *= table->shape.dims[a];
    else if (a > batch_axes)
      l.width *= table->shape.dims[a];
  l.n = fm_shape_count (&index->shape) / l.batch;
  return l;
}

/* --- Gather -------------------------------------------------------------------------------------------------------*/

static gboolean
gather_infer (FmNode *node)
{
  FmTensor *table = node->in[0], *index = node->in[1], *y = node->out[0];

  y->type = table->type;
  y->shape = index->shape;
  for (guint i = (guint) node->attr.i[0] + 1; i < table->shape.rank; i++)
    y->shape.dims[y->shape.rank++] = table->shape.dims[i];
  return TRUE;
}

static FmTensor *
scatter_add (FmGraph *g, FmTensor *x, FmTensor *index, gint64 rows, gint64 batch_axes)
{
  return fm_op1 (g, &scatter_add_rows_op, &(FmAttr){ .i = { rows, batch_axes } }, 2, x, index);
}

static void
gather_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  if (node->in[0]->type == FM_F32)
    dx[0] = scatter_add (g, dy[0], node->in[1], node->in[0]->shape.dims[node->attr.i[0]], node->attr.i[0]);
}

static void
gather_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const guint32 *table = args->in[0];
  const gint32 *index = args->in[1];
  guint32 *y = args->out[0];
  FmRowsLayout l = layout_of (node->in[0], node->in[1], node->attr.i[0]);
  gint64 count = l.batch * l.n, width = l.width;

  /* A row of one element is not worth a call of memcpy(). */
#pragma omp parallel for schedule(static) num_threads(args->threads) if (count * width > FM_CPU_BLOCK)
  for (gint64 i = 0; i < count; i++)
    {
      const guint32 *from = table + (i / l.n * l.rows + index[i]) * width;
      gboolean inside = index[i] >= 0 && index[i] < l.rows;

      if (width == 1)
        y[i] = inside ? *from : 0;
      else if (inside)
        memcpy (y + i * width, from, width * sizeof *y);
      else
        memset (y + i * width, 0, width * sizeof *y);
    }
}

static gboolean
gather_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmTensor *table = node->in[0], *index = node->in[1], *y = node->out[0];
  FmRowsLayout l = layout_of (table, index, node->attr.i[0]);
  guint32 count = fm_shape_count (&y->shape);
  struct { guint32 count, width, rows, n, table_offset, index_offset, y_offset; } push = {
    count, l.width, l.rows, l.n, table->offset, index->offset, y->offset };
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

/* Whether the first @axes of both agree, so that they can be a batch. */
static gboolean
same_batch (FmGraph *g, const char *what, const FmTensor *x, const FmTensor *index, gint axes)
{
  FmShape a = x->shape, b = index->shape;

  a.rank = MIN (a.rank, (guint) axes);
  b.rank = MIN (b.rank, (guint) axes);
  if (fm_shape_equal (&a, &b))
    return TRUE;
  else
    {
      g_autofree char *sx = fm_shape_to_string (&x->shape), *si = fm_shape_to_string (&index->shape);

      fm_graph_fail (g, what, "the index %s must begin with the first %d axes of %s", si, axes, sx);
      return FALSE;
    }
}

FmTensor *
fm_gather (FmGraph *g, FmTensor *x, gint axis, FmTensor *index)
{
  FM_REFUSE_NULL (g, "gather", x, index);
  if (fm_graph_failed (g))
    return g->poison;
  if (index->type != FM_I32)
    return fm_graph_fail (g, "gather-rows", "the index must be i32");
  axis = fm_axis (x, axis, "gather-rows");
  if (axis < 0 || !same_batch (g, "gather-rows", x, index, axis))
    return g->poison;
  if (index->shape.rank + x->shape.rank - 1 - axis > FM_MAX_RANK)
    return fm_graph_fail (g, "gather-rows", "a table of %u axes by an index of %u gives more than %d axes",
                          x->shape.rank, index->shape.rank, FM_MAX_RANK);
  return fm_op1 (g, &gather_rows_op, &(FmAttr){ .i = { axis } }, 2, x, index);
}

FmTensor *
fm_gather_rows (FmGraph *g, FmTensor *table, FmTensor *index)
{
  FM_REFUSE_NULL (g, "gather rows", table, index);
  return fm_gather (g, table, 0, index);
}

gboolean
fm_node_gathers_rows (const FmNode *node)
{
  return node->op == &gather_rows_op && node->attr.i[0] == 0;
}

/* --- Scatter ------------------------------------------------------------------------------------------------------*/

/* Shape of a table into which x goes by index; FALSE when it has too many axes. */
static gboolean
table_shape (const FmTensor *x, const FmTensor *index, gint64 rows, gint64 batch_axes, FmShape *shape)
{
  *shape = x->shape;
  shape->rank = (guint) batch_axes;
  shape->dims[shape->rank++] = rows;
  for (guint i = index->shape.rank; i < x->shape.rank; i++)
    if (shape->rank == FM_MAX_RANK)
      return FALSE;
    else
      shape->dims[shape->rank++] = x->shape.dims[i];
  return TRUE;
}

static gboolean
scatter_infer (FmNode *node)
{
  node->out[0]->type = FM_F32;
  return table_shape (node->in[0], node->in[1], node->attr.i[0], node->attr.i[1], &node->out[0]->shape);
}

static void
scatter_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  dx[0] = fm_gather (g, dy[0], (gint) node->attr.i[1], node->in[1]);
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

void
fm_sources_by_row (const gint32 *index, gint64 n, gint64 rows, guint32 *start, guint32 *source)
{
  memset (start, 0, (rows + 1) * sizeof *start);
  for (gint64 i = 0; i < n; i++)
    if (index[i] >= 0 && index[i] < rows)
      start[index[i]]++;
  for (gint64 r = 0, sum = 0; r <= rows; r++) /* start[r] becomes the end of row r ... */
    start[r] = (guint32) (sum += start[r]);
  for (gint64 i = n - 1; i >= 0; i--) /* ... and, filled from behind, its beginning */
    if (index[i] >= 0 && index[i] < rows)
      source[--start[index[i]]] = (guint32) i;
}

static void
scatter_item (const float *x, const gint32 *index, float *y, const FmRowsLayout *l, guint32 *workspace, guint threads)
{
  guint32 *start = workspace, *source = start + l->rows + 1;

  fm_sources_by_row (index, l->n, l->rows, start, source);
#pragma omp parallel for schedule(dynamic, 16) num_threads(threads) if (threads > 1 && (l->n + l->rows) * l->width > FM_CPU_BLOCK)
  for (gint64 r = 0; r < l->rows; r++)
    sum_rows (x, l->width, source + start[r], start[r + 1] - start[r], y + r * l->width);
}

/* Workspace of an item, and of each thread's items where there are several: where each row's sources begin [rows + 1],
 * then the sources sorted by row [n] (a counting sort). */
static void
scatter_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const float *x = args->in[0];
  const gint32 *index = args->in[1];
  float *y = args->out[0];
  FmRowsLayout l = layout_of (node->out[0], node->in[1], node->attr.i[1]);
  gint64 parts = MIN (args->threads, l.batch);

  if (l.batch == 1)
    {
      scatter_item (x, index, y, &l, args->workspace, args->threads);
      return;
    }
#pragma omp parallel for schedule(static) num_threads(args->threads) if (l.batch * (l.n + l.rows) * l.width > FM_CPU_BLOCK)
  for (gint64 part = 0; part < parts; part++)
    for (gint64 b = l.batch * part / parts; b < l.batch * (part + 1) / parts; b++)
      scatter_item (x + b * l.n * l.width, index + b * l.n, y + b * l.rows * l.width, &l,
                    (guint32 *) args->workspace + part * (l.rows + 1 + l.n), 1);
}

/* Every row of the table looks through the whole index while that is little; beyond, the index is sorted. */
static gboolean
looks_through (const FmRowsLayout *l)
{
  return l->rows * l->n <= 1 << 20;
}

static gsize
scatter_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  FmRowsLayout l = layout_of (node->out[0], node->in[1], node->attr.i[1]);

  if (backend == FM_BACKEND_CPU)
    return (gsize) (MIN (threads, l.batch) * (l.rows + 1 + l.n)) * sizeof (guint32);
  return looks_through (&l) ? 0 : fm_sort_vulkan_bytes (l.batch, l.n);
}

gboolean
fm_runs_vulkan (FmVulkanRecorder *recorder, FmRunsMode mode, const FmRowsLayout *l, FmTensor *x, FmTensor *y,
                FmTensor *place, GError **error)
{
  gint64 items = l->batch * l->n * l->width, filled = l->batch * l->rows * l->width;
  struct { guint32 count, n, padded, rows, width, x_offset, y_offset, place_offset; } push = {
    0, (guint32) l->n, (guint32) fm_sort_padded (l->n), (guint32) l->rows, (guint32) l->width, (guint32) x->offset,
    (guint32) y->offset, place ? (guint32) place->offset : 0 };
  FmVulkanDispatch dispatch = { .shader = "runs", .bind = { x, FM_VULKAN_WORKSPACE, y, place ? place : y }, .n_bind = 4,
                                .push = &push, .push_bytes = sizeof push, .spec = { mode }, .n_spec = 2 };

  for (guint act = mode == FM_RUNS_PUT || mode == FM_RUNS_MERGE; act < 2; act++)
    {
      push.count = (guint32) (act ? items : filled);
      dispatch.spec[1] = act;
      dispatch.groups = ((guint64) push.count + 127) / 128;
      if (!fm_vulkan_dispatch (recorder, &dispatch, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
scatter_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmTensor *x = node->in[0], *index = node->in[1], *y = node->out[0];
  FmRowsLayout l = layout_of (y, index, node->attr.i[1]);
  struct { guint32 n, width, rows, batch, x_offset, index_offset, y_offset; } push = {
    l.n, l.width, l.rows, l.batch, x->offset, index->offset, y->offset };
  FmVulkanDispatch dispatch = { .shader = "scatter-add-rows", .bind = { x, index, y }, .n_bind = 3, .push = &push,
                                .push_bytes = sizeof push, .groups = l.batch * l.rows, .local_x = 64 };

  if (looks_through (&l))
    return fm_vulkan_dispatch (recorder, &dispatch, error);
  return fm_sort_vulkan (recorder, index, l.batch, l.n, l.n, FALSE, NULL, NULL, 0, error)
         && fm_runs_vulkan (recorder, FM_RUNS_SUM, &l, x, y, NULL, error);
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

gboolean
fm_rows_are_sound (FmGraph *g, const char *what, const FmTensor *x, const FmTensor *index, gint64 rows, gint batch_axes)
{
  FmShape leading = x->shape;

  if (index->type != FM_I32 || x->type != FM_F32)
    fm_graph_fail (g, what, "wants x f32 and an index of i32");
  else if (rows < 1)
    fm_graph_fail (g, what, "%" G_GINT64_FORMAT " rows; wants at least 1", rows);
  else
    {
      leading.rank = MIN (leading.rank, index->shape.rank);
      if (fm_shape_equal (&leading, &index->shape) && batch_axes <= (gint) index->shape.rank
          && table_shape (x, index, rows, batch_axes, &leading))
        return TRUE;
      else
        {
          g_autofree char *sx = fm_shape_to_string (&x->shape), *si = fm_shape_to_string (&index->shape);

          fm_graph_fail (g, what, "the index %s must be the first axes of x %s", si, sx);
        }
    }
  return FALSE;
}

FmTensor *
fm_scatter_add_rows (FmGraph *g, FmTensor *x, FmTensor *index, gint64 rows)
{
  FM_REFUSE_NULL (g, "scatter add rows", x, index);
  if (fm_graph_failed (g) || !fm_rows_are_sound (g, "scatter-add-rows", x, index, rows, 0))
    return g->poison;
  return scatter_add (g, x, index, rows, 0);
}

FmTensor *
fm_scatter_add (FmGraph *g, FmTensor *x, gint axis, FmTensor *index, gint64 size)
{
  FM_REFUSE_NULL (g, "scatter add", x, index);
  if (fm_graph_failed (g))
    return g->poison;
  axis = fm_axis (x, axis, "scatter-add-rows");
  if (axis < 0 || !fm_rows_are_sound (g, "scatter-add-rows", x, index, size, axis))
    return g->poison;
  return scatter_add (g, x, index, size, axis);
}

/* --- Put ----------------------------------------------------------------------------------------------------------*/

static gboolean
put_infer (FmNode *node)
{
  node->out[0]->type = node->in[0]->type;
  node->out[0]->shape = node->in[0]->shape;
  return TRUE;
}

static void
put_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const guint32 *x = args->in[2];
  const gint32 *index = args->in[1];
  guint32 *y = args->out[0];
  FmRowsLayout l = layout_of (node->in[0], node->in[1], node->attr.i[1]);

#pragma omp parallel for schedule(static) num_threads(args->threads) if (l.batch * (l.n + l.rows) * l.width > FM_CPU_BLOCK)
  for (gint64 b = 0; b < l.batch; b++)
    {
      if (args->in[0] != args->out[0])
        memcpy (y + b * l.rows * l.width, (const guint32 *) args->in[0] + b * l.rows * l.width,
                l.rows * l.width * sizeof *y);
      for (gint64 i = b * l.n; i < (b + 1) * l.n; i++)
        if (index[i] >= 0 && index[i] < l.rows)
          memcpy (y + (b * l.rows + index[i]) * l.width, x + i * l.width, l.width * sizeof *y);
    }
}

static gboolean
put_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmTensor *table = node->in[0], *index = node->in[1], *y = node->out[0];
  FmRowsLayout l = layout_of (table, index, node->attr.i[1]);

  return fm_copy_region_vulkan (recorder, table->shape.rank, table->shape.dims, table, table->offset, table->stride,
                                y, y->offset, y->stride, error)
         && fm_sort_vulkan (recorder, index, l.batch, l.n, l.n, FALSE, NULL, NULL, 0, error)
         && fm_runs_vulkan (recorder, FM_RUNS_PUT, &l, node->in[2], y, NULL, error);
}

static gsize
put_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  FmRowsLayout l = layout_of (node->in[0], node->in[1], node->attr.i[1]);

  return backend == FM_BACKEND_CPU ? 0 : fm_sort_vulkan_bytes (l.batch, l.n);
}

/* What was replaced has no part in the result; of several for one row only the last has one, and it is found by putting
 * the places themselves. */
static void
put_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmTensor *index = node->in[1], *x = node->in[2], *places, *last;
  gint axis = (gint) node->attr.i[1];
  FmShape flat = { .rank = (guint) axis }, mask = index->shape;
  gint64 n = 1;

  if (node->in[0]->type != FM_F32)
    return;
  dx[0] = fm_op1 (g, &put_rows_op, &node->attr, 3, dy[0], index, fm_constant (g, FM_F32, x->shape, 0.0));
  for (guint a = 0; a < index->shape.rank; a++)
    if (a < (guint) axis)
      flat.dims[a] = index->shape.dims[a];
    else
      n *= index->shape.dims[a];
  flat.dims[flat.rank++] = n;
  index = fm_reshape (g, index, flat);
  places = fm_contiguous (g, fm_expand (g, fm_iota (g, n), flat));
  flat.dims[axis] = node->attr.i[0];
  last = fm_op1 (g, &put_rows_op, &node->attr, 3, fm_constant (g, FM_I32, flat, -1), index, places);
  last = fm_equal (g, fm_gather (g, last, axis, index), places);
  while (mask.rank < x->shape.rank)
    mask.dims[mask.rank++] = 1;
  dx[2] = fm_where (g, fm_reshape (g, last, mask), fm_gather (g, dy[0], axis, node->in[1]),
                    fm_constant (g, FM_F32, FM_SHAPE (1), 0.0));
}

static const FmOp put_rows_op = {
  .name = "put-rows", .n_in_min = 3, .n_in_max = 3, .n_out = 1, .infer = put_infer, .gradient = put_gradient,
  .cpu = put_cpu, .vulkan = put_vulkan, .workspace = put_workspace,
};

FmTensor *
fm_put (FmGraph *g, FmTensor *table, gint axis, FmTensor *index, FmTensor *x)
{
  FmShape shape;

  FM_REFUSE_NULL (g, "put", table, index, x);
  if (fm_graph_failed (g))
    return g->poison;
  axis = fm_axis (table, axis, "put-rows");
  if (axis < 0 || !same_batch (g, "put-rows", table, index, axis))
    return g->poison;
  if (index->type != FM_I32 || table->type != x->type || x->shape.rank < index->shape.rank
      || !table_shape (x, index, table->shape.dims[axis], axis, &shape) || !fm_shape_equal (&shape, &table->shape)
      || memcmp (x->shape.dims, index->shape.dims, index->shape.rank * sizeof *x->shape.dims) != 0)
    {
      g_autofree char *st = fm_shape_to_string (&table->shape), *sx = fm_shape_to_string (&x->shape);
      g_autofree char *si = fm_shape_to_string (&index->shape);

      return fm_graph_fail (g, "put-rows", "rows %s by an index %s do not fit axis %d of %s", sx, si, axis, st);
    }
  return fm_op1 (g, &put_rows_op, &(FmAttr){ .i = { table->shape.dims[axis], axis } }, 3, table, index, x);
}

FM_OPS (gather_rows, &gather_rows_op, &scatter_add_rows_op, &put_rows_op);
