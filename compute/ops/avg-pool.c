/* avg-pool.c: patches, and the mean over a window of odd size, stride 1; cells outside the picture are not counted.
 *
 * avg-pool: x [B,Y,X,C] -> the same shape. Attributes: i[0], i[1] window rows and columns; i[2] 1 = transposed: cells
 * are divided by their count before they are summed, which is the gradient (windows are symmetric).
 * Source: Yu et al. 2022, arXiv:2111.11418, section 4 (count_include_pad = False). */
#include "config.h"

#include "compute/compute-private.h"

static gboolean
pool_infer (FmNode *node)
{
  node->out[0]->type = FM_F32;
  node->out[0]->shape = node->in[0]->shape;
  return TRUE;
}

static FmTensor *
pool (FmGraph *g, FmTensor *x, gint64 rows, gint64 columns, gboolean transposed);

static void
pool_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  dx[0] = pool (g, dy[0], node->attr.i[0], node->attr.i[1], !node->attr.i[2]);
}

FM_INLINE gint64
inside (gint64 at, gint64 window, gint64 size)
{
  return MIN (at + window / 2, size - 1) - MAX (at - window / 2, 0) + 1;
}

/* One row of cells: out [X,C] from the picture x [Y,X,C]. */
FM_KERNEL (void, pool_row, (const float *x, float *out, gint64 row, gint64 n_rows, gint64 n_columns, gint64 channels,
                            gint64 window_rows, gint64 window_columns, gboolean transposed),
           (x, out, row, n_rows, n_columns, channels, window_rows, window_columns, transposed))
{
  gint64 r0 = MAX (row - window_rows / 2, 0), r1 = MIN (row + window_rows / 2, n_rows - 1);

  for (gint64 column = 0; column < n_columns; column++)
    {
      gint64 c0 = MAX (column - window_columns / 2, 0), c1 = MIN (column + window_columns / 2, n_columns - 1);
      float *y = out + column * channels;
      float factor = transposed ? 1.0f : 1.0f / (float) ((r1 - r0 + 1) * (c1 - c0 + 1));

      for (gint64 k = 0; k < channels; k++)
        y[k] = 0.0f;
      for (gint64 r = r0; r <= r1; r++)
        for (gint64 c = c0; c <= c1; c++)
          {
            const float *cell = x + (r * n_columns + c) * channels;
            float weight = transposed
              ? 1.0f / (float) (inside (r, window_rows, n_rows) * inside (c, window_columns, n_columns)) : 1.0f;

            for (gint64 k = 0; k < channels; k++)
              y[k] += weight * cell[k];
          }
      if (!transposed)
        for (gint64 k = 0; k < channels; k++)
          y[k] *= factor;
    }
}

static void
pool_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const gint64 *dims = node->in[0]->shape.dims;
  const float *x = args->in[0];
  float *y = args->out[0];
  gint64 line = dims[2] * dims[3], picture = dims[1] * line, tasks = dims[0] * dims[1];

#pragma omp parallel for schedule(static) num_threads(args->threads) if (tasks * line > FM_CPU_BLOCK)
  for (gint64 i = 0; i < tasks; i++)
    pool_row (x + i / dims[1] * picture, y + i * line, i % dims[1], dims[1], dims[2], dims[3],
              node->attr.i[0], node->attr.i[1], node->attr.i[2] != 0);
}

static gboolean
pool_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmTensor *x = node->in[0], *y = node->out[0];
  guint32 count = fm_shape_count (&y->shape);
  struct { guint32 count, rows, columns, channels, x_offset, y_offset; gint32 half_rows, half_columns; } push = {
    count, x->shape.dims[1], x->shape.dims[2], x->shape.dims[3], x->offset, y->offset,
    node->attr.i[0] / 2, node->attr.i[1] / 2 };
  FmVulkanDispatch dispatch = { .shader = "avg-pool", .bind = { x, y }, .n_bind = 2, .push = &push,
                                .push_bytes = sizeof push, .spec = { node->attr.i[2] != 0 }, .n_spec = 1,
                                .groups = ((guint64) count + 127) / 128 };

  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

static void
pool_cost (const FmNode *node, FmCost *cost)
{
  gdouble count = fm_shape_count (&node->out[0]->shape);

  cost->flops = count * MIN (node->attr.i[0], node->in[0]->shape.dims[1])
                * MIN (node->attr.i[1], node->in[0]->shape.dims[2]);
  cost->bytes = 8 * count;
}

static const FmOp avg_pool_op = {
  .name = "avg-pool", .n_in_min = 1, .n_in_max = 1, .n_out = 1,
  .infer = pool_infer, .gradient = pool_gradient, .cpu = pool_cpu, .vulkan = pool_vulkan, .cost = pool_cost,
};

static FmTensor *
pool (FmGraph *g, FmTensor *x, gint64 rows, gint64 columns, gboolean transposed)
{
  FmAttr attr = { .i = { rows, columns, transposed } };

  return fm_op1 (g, &avg_pool_op, &attr, 1, x);
}

FmTensor *
fm_avg_pool (FmGraph *g, FmTensor *x, gint64 rows_window, gint64 columns_window)
{
  FM_REFUSE_NULL (g, "avg pool", x);
  if (fm_graph_failed (g))
    return g->poison;
  if (x->type != FM_F32 || x->shape.rank != 4)
    return fm_graph_fail (g, "avg-pool", "wants f32 [B,Y,X,C], not %u axes", x->shape.rank);
  if (rows_window < 1 || columns_window < 1 || rows_window % 2 == 0 || columns_window % 2 == 0
      || rows_window > G_MAXINT32 || columns_window > G_MAXINT32)
    return fm_graph_fail (g, "avg-pool", "a window of %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT "; wants odd sizes",
                          rows_window, columns_window);
  return pool (g, x, rows_window, columns_window, FALSE);
}

FmTensor *
fm_patches (FmGraph *g, FmTensor *x, gint64 patch)
{
  FM_REFUSE_NULL (g, "patches", x);
  static const gint axes[] = { 0, 1, 3, 2, 4, 5 };
  const gint64 *dims;

  if (fm_graph_failed (g))
    return g->poison;
  dims = x->shape.dims;
  if (x->shape.rank != 4 || patch < 1 || dims[1] % patch != 0 || dims[2] % patch != 0)
    {
      g_autofree char *s = fm_shape_to_string (&x->shape);

      return fm_graph_fail (g, "patches", "%s in patches of %" G_GINT64_FORMAT "; wants [B,Y,X,C] with Y and X "
                            "multiples of the patch", s, patch);
    }
  x = fm_reshape (g, x, FM_SHAPE (dims[0], dims[1] / patch, patch, dims[2] / patch, patch, dims[3]));
  x = fm_permute (g, x, axes);
  if (fm_graph_failed (g))
    return g->poison;
  dims = x->shape.dims;
  return fm_reshape (g, x, FM_SHAPE (dims[0], dims[1] * dims[2], patch * patch * dims[5]));
}

FM_OPS (avg_pool, &avg_pool_op);
