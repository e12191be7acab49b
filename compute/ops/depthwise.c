/* depthwise.c: a window of weights for every channel by itself.
 *
 * depthwise: x f32 [B,Y,X,C], weight [rows,columns,C] -> [B,Y',X',C]: cross-correlation, zeros outside.
 * depthwise-transposed: u [B,Y',X',C], weight -> [B,Y,X,C]: its gradient by x.
 * depthwise-weight: x, u [B,Y',X',C] -> [rows,columns,C]: its gradient by the weight.
 * The result is linear in each operand and the three are each other's gradients, so every order exists. Attributes: window.h. */
#include "config.h"

#include "compute/ops/window.h"

#include <string.h>

static const FmOp depthwise_op, transposed_op, weight_op;

static gboolean
depthwise_infer (FmNode *node)
{
  const FmPlaces *p = fm_places_of (node);
  const gint64 *d = node->in[0]->shape.dims;

  node->out[0]->type = FM_F32;
  node->out[0]->shape = FM_SHAPE (d[0], p->oy, p->ox, d[3]);
  return TRUE;
}

static gboolean
transposed_infer (FmNode *node)
{
  const FmPlaces *p = fm_places_of (node);
  const gint64 *d = node->in[0]->shape.dims;

  node->out[0]->type = FM_F32;
  node->out[0]->shape = FM_SHAPE (d[0], p->y, p->x, d[3]);
  return TRUE;
}

static gboolean
weight_infer (FmNode *node)
{
  const FmPlaces *p = fm_places_of (node);

  node->out[0]->type = FM_F32;
  node->out[0]->shape = FM_SHAPE (p->rows, p->columns, node->in[0]->shape.dims[3]);
  return TRUE;
}

static void
depthwise_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  dx[0] = fm_op1 (g, &transposed_op, &node->attr, 2, dy[0], node->in[1]);
  dx[1] = fm_op1 (g, &weight_op, &node->attr, 2, node->in[0], dy[0]);
}

static void
transposed_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  dx[0] = fm_op1 (g, &depthwise_op, &node->attr, 2, dy[0], node->in[1]);
  dx[1] = fm_op1 (g, &weight_op, &node->attr, 2, dy[0], node->in[0]);
}

static void
weight_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  dx[0] = fm_op1 (g, &transposed_op, &node->attr, 2, node->in[1], dy[0]);
  dx[1] = fm_op1 (g, &depthwise_op, &node->attr, 2, node->in[0], dy[0]);
}

/* A line of places [X',C]. */
FM_KERNEL (void, depthwise_line, (const FmPlaces *p, gint64 c, const float *picture, const float *weight, gint64 oy,
                                  float *out), (p, c, picture, weight, oy, out))
{
  memset (out, 0, sizeof *out * p->ox * c);
  for (gint64 i = 0; i < p->rows; i++)
    {
      gint64 y = oy * p->row_step - p->top + i * p->row_dilation;

      if (y < 0 || y >= p->y)
        continue;
      for (gint64 ox = 0; ox < p->ox; ox++)
        for (gint64 j = 0; j < p->columns; j++)
          {
            gint64 x = ox * p->column_step - p->left + j * p->column_dilation;
            const float *from = picture + (y * p->x + x) * c, *w = weight + (i * p->columns + j) * c;
            float *to = out + ox * c;

            if (x < 0 || x >= p->x)
              continue;
#pragma omp simd
            for (gint64 k = 0; k < c; k++)
              to[k] += w[k] * from[k];
          }
    }
}

/* A line of cells [X,C]. */
FM_KERNEL (void, transposed_line, (const FmPlaces *p, gint64 c, const float *u, const float *weight, gint64 y, float *out),
           (p, c, u, weight, y, out))
{
  memset (out, 0, sizeof *out * p->x * c);
  for (gint64 i = 0; i < p->rows; i++)
    {
      gint64 at_y = y + p->top - i * p->row_dilation, oy = at_y / p->row_step;

      if (at_y < 0 || at_y % p->row_step || oy >= p->oy)
        continue;
      for (gint64 x = 0; x < p->x; x++)
        for (gint64 j = 0; j < p->columns; j++)
          {
            gint64 at_x = x + p->left - j * p->column_dilation, ox = at_x / p->column_step;
            const float *from = u + (oy * p->ox + ox) * c, *w = weight + (i * p->columns + j) * c;
            float *to = out + x * c;

            if (at_x < 0 || at_x % p->column_step || ox >= p->ox)
              continue;
#pragma omp simd
            for (gint64 k = 0; k < c; k++)
              to[k] += w[k] * from[k];
          }
    }
}

/* One row of the window and all its columns: sums over pictures and places, a line in f32 and the lines in double. */
FM_KERNEL (void, weight_row, (const FmPlaces *p, gint64 b, gint64 c, const float *x, const float *u, gint64 i, double *sum,
                              float *line, float *out), (p, b, c, x, u, i, sum, line, out))
{
  for (gint64 k = 0; k < p->columns * c; k++)
    sum[k] = 0.0;
  for (gint64 item = 0; item < b; item++)
    for (gint64 oy = 0; oy < p->oy; oy++)
      {
        gint64 y = oy * p->row_step - p->top + i * p->row_dilation;

        if (y < 0 || y >= p->y)
          continue;
        memset (line, 0, sizeof *line * p->columns * c);
        for (gint64 ox = 0; ox < p->ox; ox++)
          for (gint64 j = 0; j < p->columns; j++)
            {
              gint64 column = ox * p->column_step - p->left + j * p->column_dilation;
              const float *from = x + ((item * p->y + y) * p->x + column) * c, *d = u + ((item * p->oy + oy) * p->ox + ox) * c;
              float *to = line + j * c;

              if (column < 0 || column >= p->x)
                continue;
#pragma omp simd
              for (gint64 k = 0; k < c; k++)
                to[k] += d[k] * from[k];
            }
        for (gint64 k = 0; k < p->columns * c; k++)
          sum[k] += line[k];
      }
  for (gint64 k = 0; k < p->columns * c; k++)
    out[k] = (float) sum[k];
}

static void
depthwise_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const FmPlaces *p = fm_places_of (node);
  gint64 c = node->in[0]->shape.dims[3], lines = node->in[0]->shape.dims[0] * p->oy;

#pragma omp parallel for schedule(static) num_threads(args->threads) if (lines * p->ox * c > FM_CPU_BLOCK / 8)
  for (gint64 line = 0; line < lines; line++)
    depthwise_line (p, c, (const float *) args->in[0] + line / p->oy * p->y * p->x * c, args->in[1], line % p->oy,
                    (float *) args->out[0] + line * p->ox * c);
}

static void
transposed_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const FmPlaces *p = fm_places_of (node);
  gint64 c = node->in[0]->shape.dims[3], lines = node->in[0]->shape.dims[0] * p->y;

#pragma omp parallel for schedule(static) num_threads(args->threads) if (lines * p->x * c > FM_CPU_BLOCK / 8)
  for (gint64 line = 0; line < lines; line++)
    transposed_line (p, c, (const float *) args->in[0] + line / p->y * p->oy * p->ox * c, args->in[1], line % p->y,
                     (float *) args->out[0] + line * p->x * c);
}

static gsize
weight_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  const FmPlaces *p = fm_places_of (node);

  return backend == FM_BACKEND_CPU ? 12 * p->rows * p->columns * node->in[0]->shape.dims[3] : 0;
}

static void
weight_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const FmPlaces *p = fm_places_of (node);
  gint64 c = node->in[0]->shape.dims[3], row = p->columns * c;
  double *sums = args->workspace;
  float *lines = (float *) (sums + p->rows * row);

#pragma omp parallel for schedule(static) num_threads(args->threads) if (p->rows > 1)
  for (gint64 i = 0; i < p->rows; i++)
    weight_row (p, node->in[0]->shape.dims[0], c, args->in[0], args->in[1], i, sums + i * row, lines + i * row,
                (float *) args->out[0] + i * row);
}

static gboolean
record (const FmNode *node, FmVulkanRecorder *recorder, guint kind, GError **error)
{
  gint64 count = fm_shape_count (&node->out[0]->shape);
  FmPlacesPush push = fm_places_push (node, count, node->in[0]->shape.dims[3]);
  /* The shader's third kind sums over pictures, whose number is in place of the padding it has no use for. */
  FmVulkanDispatch dispatch = { .shader = "depthwise", .bind = { node->in[0], node->in[1], node->out[0] }, .n_bind = 3,
                                .push = &push, .push_bytes = sizeof push, .spec = { kind }, .n_spec = 1,
                                .groups = ((guint64) count + 127) / 128 };

  push.pad = (float) node->in[0]->shape.dims[0];
  for (guint i = 0; i < 3; i++)
    push.offset[i] = (guint32) dispatch.bind[i]->offset;
  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

static gboolean
depthwise_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  return record (node, recorder, 0, error);
}

static gboolean
transposed_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  return record (node, recorder, 1, error);
}

static gboolean
weight_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  return record (node, recorder, 2, error);
}

static void
depthwise_cost (const FmNode *node, FmCost *cost)
{
  const FmPlaces *p = fm_places_of (node);
  gdouble b = node->in[0]->shape.dims[0], c = node->in[0]->shape.dims[3];

  cost->flops = 2.0 * b * p->oy * p->ox * p->rows * p->columns * c;
  cost->bytes = 4.0 * c * (b * (p->oy * p->ox + p->y * p->x) + p->rows * p->columns);
}

static const FmOp depthwise_op = {
  .name = "depthwise", .n_in_min = 2, .n_in_max = 2, .n_out = 1, .infer = depthwise_infer, .gradient = depthwise_gradient,
  .cpu = depthwise_cpu, .vulkan = depthwise_vulkan, .cost = depthwise_cost,
};

static const FmOp transposed_op = {
  .name = "depthwise-transposed", .n_in_min = 2, .n_in_max = 2, .n_out = 1, .infer = transposed_infer,
  .gradient = transposed_gradient, .cpu = transposed_cpu, .vulkan = transposed_vulkan, .cost = depthwise_cost,
};

static const FmOp weight_op = {
  .name = "depthwise-weight", .n_in_min = 2, .n_in_max = 2, .n_out = 1, .infer = weight_infer, .gradient = weight_gradient,
  .cpu = weight_cpu, .vulkan = weight_vulkan, .workspace = weight_workspace, .cost = depthwise_cost,
};

FmTensor *
fm_depthwise_conv2d (FmGraph *g, FmTensor *x, FmTensor *weight, FmTensor *bias, const FmConvWindow *window)
{
  FM_REFUSE_NULL (g, "depthwise conv2d", x, weight);
  FmConvWindow w = window ? *window : (FmConvWindow){ 0 };
  FmAttr attr = { 0 };
  FmTensor *y;

  if (fm_graph_failed (g))
    return g->poison;
  if (x->type != FM_F32 || weight->type != FM_F32 || x->shape.rank != 4 || weight->shape.rank != 3
      || weight->shape.dims[2] != x->shape.dims[3])
    {
      g_autofree char *sx = fm_shape_to_string (&x->shape), *sw = fm_shape_to_string (&weight->shape);

      return fm_graph_fail (g, "depthwise", "needs f32 x [B,Y,X,C] and a weight [rows,columns,C], not %s and %s", sx, sw);
    }
  w.rows = weight->shape.dims[0];
  w.columns = weight->shape.dims[1];
  if (!fm_places_init (g, "depthwise", &w, x->shape.dims[1], x->shape.dims[2], &attr))
    return g->poison;
  y = fm_op1 (g, &depthwise_op, &attr, 2, x, weight);
  return bias ? fm_add (g, y, bias) : y;
}

FmTensor *
fm_depthwise_conv1d (FmGraph *g, FmTensor *x, FmTensor *weight, FmTensor *bias, const FmConvWindow *window)
{
  FM_REFUSE_NULL (g, "depthwise conv1d", x, weight);
  const gint64 *d = x->shape.dims, *wd = weight->shape.dims;
  FmTensor *y;

  if (fm_graph_failed (g))
    return g->poison;
  if (x->shape.rank != 3 || weight->shape.rank != 2)
    {
      g_autofree char *sx = fm_shape_to_string (&x->shape), *sw = fm_shape_to_string (&weight->shape);

      return fm_graph_fail (g, "depthwise", "needs x [B,N,C] and a weight [columns,C], not %s and %s", sx, sw);
    }
  y = fm_depthwise_conv2d (g, fm_reshape (g, x, FM_SHAPE (d[0], 1, d[1], d[2])),
                           fm_reshape (g, weight, FM_SHAPE (1, wd[0], wd[1])), bias, window);
  if (fm_graph_failed (g))
    return g->poison;
  return fm_reshape (g, y, FM_SHAPE (y->shape.dims[0], y->shape.dims[2], y->shape.dims[3]));
}

FM_OPS (depthwise, &depthwise_op, &transposed_op, &weight_op);
