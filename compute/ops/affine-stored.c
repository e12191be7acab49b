/* affine-stored.c: products over weights that are stored as f16 or i8.
 *
 * affine-stored: in x f32 [n,k], w f16 or i8 [m,k], scale [m] or NULL, bias [m] or NULL; y = (x w^T) scale + bias. Few
 * rows read w as it lies, in half or a quarter of the memory traffic; for many rows it is widened once.
 * affine-int8: in x i8 [n,k], x_scale [n], w i8 [m,k], scale [m], bias [m] or NULL; whole-number sums. */
#include "config.h"

#include "compute/half.h"
#include "gemm.h"
#include "tile.h"

/* With so many rows, widening w and the product of floats are faster. */
#define WIDEN_ROWS 72
#define COLUMNS 32 /* of a piece */
#define ROWS 64

static gboolean
has_shape (const FmTensor *t, gint64 n)
{
  return t == NULL || (t->type == FM_F32 && t->shape.rank == 1 && t->shape.dims[0] == n);
}

static gboolean
stored_infer (FmNode *node)
{
  node->out[0]->type = FM_F32;
  node->out[0]->shape = FM_SHAPE (node->in[0]->shape.dims[0], node->attr.i[0]);
  return TRUE;
}

/* --- f32 times stored ---------------------------------------------------------------------------------------------*/

static FmTensor *
times (FmGraph *g, FmTensor *x, FmTensor *scale)
{
  return scale ? fm_mul (g, x, scale) : x;
}

static void
stored_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmTensor *x = node->in[0], *w = node->in[1], *scale = node->in[2], *scaled = times (g, dy[0], scale);

  dx[0] = fm_matmul (g, scaled, fm_cast (g, w, FM_F32), 0);
  dx[1] = fm_matmul (g, scaled, x, FM_TRANS_A);
  if (scale)
    dx[2] = fm_sum (g, fm_mul (g, dy[0], fm_affine_stored (g, x, w, NULL, NULL)), 0);
  if (node->in[3])
    dx[3] = fm_sum (g, dy[0], 0);
}

static FmGemm
widened_problem (const FmNode *node)
{
  const FmTensor *x = node->in[0];

  return (FmGemm){ .n = x->shape.dims[0], .m = node->attr.i[0], .k = x->shape.dims[1], .a_row = x->stride[0],
                   .a_column = 1, .b_row = 1, .b_column = x->shape.dims[1] };
}

static gsize
stored_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  FmGemm p = widened_problem (node);

  if (backend != FM_BACKEND_CPU || p.n < WIDEN_ROWS)
    return 0;
  return (gsize) ((p.m * p.k + 15) / 16 * 16) * sizeof (float) + fm_gemm_workspace (&p);
}

FM_KERNEL (void, widen, (FmType type, const void *from, float *to, gint64 n), (type, from, to, n))
{
  if (type == FM_F16)
    for (gint64 i = 0; i < n; i++)
      to[i] = fm_half_value (((const guint16 *) from)[i]);
  else
    for (gint64 i = 0; i < n; i++)
      to[i] = ((const gint8 *) from)[i];
}

typedef struct
{
  const float *scale, *bias;
  gint64       m;
} Finish;

FM_KERNEL (void, finish_block, (const float *scale, const float *bias, float *c, gint64 ldc, gint64 rows,
                                gint64 columns),
           (scale, bias, c, ldc, rows, columns))
{
  for (gint64 r = 0; r < rows; r++)
    for (gint64 j = 0; j < columns; j++)
      c[r * ldc + j] = c[r * ldc + j] * (scale ? scale[j] : 1.0f) + (bias ? bias[j] : 0.0f);
}

static void
finish (gint64 row, gint64 rows, gint64 column, gint64 columns, float *c, gpointer data)
{
  const Finish *f = data;

  finish_block (f->scale ? f->scale + column : NULL, f->bias ? f->bias + column : NULL, c, f->m, rows, columns);
}

static void
stored_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const FmTensor *x = node->in[0], *w = node->in[1];
  gint64 n = x->shape.dims[0], k = x->shape.dims[1], m = node->attr.i[0], size = (gint64) fm_type_size (w->type);
  const float *scale = args->in[2], *bias = args->in[3];
  const guint8 *stored = args->in[1];

  if (n >= WIDEN_ROWS)
    {
      FmGemm p = widened_problem (node);
      Finish f = { scale, bias, m };
      float *wide = args->workspace;

#pragma omp parallel for schedule(static) num_threads(args->threads) if (m * k > FM_CPU_BLOCK)
      for (gint64 j = 0; j < m; j++)
        widen (w->type, stored + j * w->stride[0] * size, wide + j * k, k);
      fm_gemm_then (&p, args->in[0], wide, NULL, args->out[0], wide + (m * k + 15) / 16 * 16, args->threads, finish,
                    &f);
      return;
    }
#pragma omp parallel for schedule(dynamic, 1) num_threads(args->threads) if (n * m * k > 32768)
  for (gint64 j = 0; j < m; j += COLUMNS)
    fm_tile_dots_stored (w->type, n, MIN (COLUMNS, m - j), k, args->in[0], x->stride[0],
                         stored + j * w->stride[0] * size, w->stride[0], scale ? scale + j : NULL,
                         bias ? bias + j : NULL, (float *) args->out[0] + j, m);
}

typedef struct
{
  guint32 n, m, k, x_offset, w_offset, xs_offset, s_offset, b_offset, x_row, w_row;
} Push;

static gboolean
dispatch (const FmNode *node, FmVulkanRecorder *recorder, const char *shader, FmTensor *x, FmTensor *x_scale,
          FmTensor *w, FmTensor *scale, FmTensor *bias, GError **error)
{
  FmTensor *y = node->out[0];
  Push push = { x->shape.dims[0], node->attr.i[0], x->shape.dims[1], x->offset, w->offset,
                x_scale ? x_scale->offset : 0, scale ? scale->offset : 0, bias ? bias->offset : 0, x->stride[0],
                w->stride[0] };

  /* What is absent is bound as the result, and not read. */
  return fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){
    .shader = shader, .bind = { x, x_scale ? x_scale : y, w, scale ? scale : y, bias ? bias : y, y }, .n_bind = 6,
    .push = &push, .push_bytes = sizeof push, .spec = { scale != NULL, bias != NULL, w->type == FM_F16 }, .n_spec = 3,
    .local_x = 64, .groups = fm_gemm_vulkan_tiles (push.n, push.m) }, error);
}

static gboolean
stored_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  return dispatch (node, recorder, "affine-stored", node->in[0], NULL, node->in[1], node->in[2], node->in[3], error);
}

static void
stored_cost (const FmNode *node, FmCost *cost)
{
  cost->flops = 2.0 * (gdouble) (fm_shape_count (&node->out[0]->shape) * node->in[0]->shape.dims[1]);
  cost->bytes = (gdouble) fm_tensor_data_bytes (node->out[0]);
  for (guint i = 0; i < node->n_in; i++)
    cost->bytes += node->in[i] ? (gdouble) fm_tensor_data_bytes (node->in[i]) : 0;
}

static const FmOp stored_op = {
  .name = "affine-stored", .n_in_min = 4, .n_in_max = 4, .n_out = 1, .flags = FM_OP_ROWS | FM_OP_NARROW,
  .infer = stored_infer, .gradient = stored_gradient, .cpu = stored_cpu, .vulkan = stored_vulkan,
  .workspace = stored_workspace, .cost = stored_cost,
};

/* --- i8 times i8 --------------------------------------------------------------------------------------------------*/

static void
int8_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmTensor *x = node->in[0], *w = node->in[2], *n_one = fm_reshape (g, node->in[1], FM_SHAPE (-1, 1));
  FmTensor *both = fm_mul (g, fm_mul (g, dy[0], node->in[3]), n_one);

  dx[0] = fm_matmul (g, both, fm_cast (g, w, FM_F32), 0);
  dx[2] = fm_matmul (g, both, fm_cast (g, x, FM_F32), FM_TRANS_A);
  if (node->in[4])
    dx[4] = fm_sum (g, dy[0], 0);
}

FM_KERNEL (void, scale_sums, (const gint32 *sums, const float *x_scale, const float *scale, const float *bias, float *y,
                              gint64 ldy, gint64 rows, gint64 columns),
           (sums, x_scale, scale, bias, y, ldy, rows, columns))
{
  for (gint64 r = 0; r < rows; r++)
    for (gint64 j = 0; j < columns; j++)
      y[r * ldy + j] = (float) sums[r * columns + j] * x_scale[r] * scale[j] + (bias ? bias[j] : 0.0f);
}

static void
int8_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const FmTensor *x = node->in[0], *w = node->in[2];
  gint64 n = x->shape.dims[0], k = x->shape.dims[1], m = node->attr.i[0];
  const gint8 *xs = args->in[0], *ws = args->in[2];
  const float *x_scale = args->in[1], *scale = args->in[3], *bias = args->in[4];
  gint64 cuts = (m + COLUMNS - 1) / COLUMNS, bands = (n + ROWS - 1) / ROWS;

#pragma omp parallel for schedule(dynamic, 1) num_threads(args->threads) if (n * m * k > 65536)
  for (gint64 i = 0; i < bands * cuts; i++)
    {
      gint64 row = i / cuts * ROWS, j = i % cuts * COLUMNS, rows = MIN (ROWS, n - row), columns = MIN (COLUMNS, m - j);
      gint32 sums[ROWS * COLUMNS];

      fm_tile_dots_i8 (rows, columns, k, xs + row * x->stride[0], x->stride[0], ws + j * w->stride[0], w->stride[0],
                       sums, columns);
      scale_sums (sums, x_scale + row, scale + j, bias ? bias + j : NULL, (float *) args->out[0] + row * m + j, m, rows,
                  columns);
    }
}

static gboolean
int8_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  return dispatch (node, recorder, "affine-int8", node->in[0], node->in[1], node->in[2], node->in[3], node->in[4],
                   error);
}

static const FmOp int8_op = {
  .name = "affine-int8", .n_in_min = 5, .n_in_max = 5, .n_out = 1, .flags = FM_OP_ROWS | FM_OP_NARROW,
  .infer = stored_infer, .gradient = int8_gradient, .cpu = int8_cpu, .vulkan = int8_vulkan, .cost = stored_cost,
};

FM_OPS (affine_stored, &stored_op, &int8_op);

/* --- Builders -----------------------------------------------------------------------------------------------------*/

static gboolean
shapes_fit (const FmTensor *x, const FmTensor *w, const FmTensor *scale, const FmTensor *bias)
{
  return x->shape.rank >= 1 && w->shape.rank == 2 && x->shape.dims[x->shape.rank - 1] == w->shape.dims[1]
         && has_shape (scale, w->shape.dims[0]) && has_shape (bias, w->shape.dims[0]);
}

static FmTensor *
refuse (FmGraph *g, const char *op, const FmTensor *x, const FmTensor *w, const char *wanted)
{
  g_autofree char *sx = fm_shape_to_string (&x->shape), *sw = fm_shape_to_string (&w->shape);

  return fm_graph_fail (g, op, "x %s %s, weight %s %s; wants %s, scale [m] and bias [m]", fm_type_name (x->type), sx,
                        fm_type_name (w->type), sw, wanted);
}

FmTensor *
fm_affine_stored (FmGraph *g, FmTensor *x, FmTensor *weight, FmTensor *scale, FmTensor *bias)
{
  FM_REFUSE_NULL (g, "affine stored", x, weight);
  FmShape shape;

  if (fm_graph_failed (g))
    return g->poison;
  if (x->type != FM_F32 || fm_type_size (weight->type) == 4 || !shapes_fit (x, weight, scale, bias))
    return refuse (g, "affine-stored", x, weight, "f32 [..,n], f16 or i8 [m,n]");
  shape = x->shape;
  shape.dims[shape.rank - 1] = weight->shape.dims[0];
  return fm_reshape (g, fm_op1 (g, &stored_op, &(FmAttr){ .i = { weight->shape.dims[0] } }, 4,
                                fm_reshape (g, x, FM_SHAPE (-1, weight->shape.dims[1])), weight,
                                scale ? fm_contiguous (g, scale) : NULL, bias ? fm_contiguous (g, bias) : NULL), shape);
}

FmTensor *
fm_affine_int8 (FmGraph *g, FmTensor *x, FmTensor *x_scale, FmTensor *weight, FmTensor *scale, FmTensor *bias)
{
  FM_REFUSE_NULL (g, "affine int8", x, x_scale, weight);
  FmShape shape;

  if (fm_graph_failed (g))
    return g->poison;
  if (x->type != FM_I8 || weight->type != FM_I8 || scale == NULL || !shapes_fit (x, weight, scale, bias)
      || weight->shape.dims[1] >= 1 << 17)
    return refuse (g, "affine-int8", x, weight, "i8 [..,n], i8 [m,n] with n below 131072");
  if (x_scale->type != FM_F32 || fm_shape_count (&x_scale->shape) * weight->shape.dims[1] != fm_shape_count (&x->shape))
    return fm_graph_fail (g, "affine-int8", "the scale of x must be f32, one for each row of x");
  shape = x->shape;
  shape.dims[shape.rank - 1] = weight->shape.dims[0];
  return fm_reshape (g, fm_op1 (g, &int8_op, &(FmAttr){ .i = { weight->shape.dims[0] } }, 5,
                                fm_reshape (g, x, FM_SHAPE (-1, weight->shape.dims[1])),
                                fm_contiguous (g, fm_reshape (g, x_scale, FM_SHAPE (-1))), weight,
                                fm_contiguous (g, scale), bias ? fm_contiguous (g, bias) : NULL), shape);
}
