/* quantise.c: rows of f32 as i8 and one scale a row, symmetric.
 *
 * quantise: in x [rows,n], static scale [1] or NULL; out i8 [rows,n] and scale [rows]. See fm_quantise(). */
#include "config.h"

#include "compute/compute-private.h"
#include "compute/ops/math.h"

#define LIMIT 127.0f

static gboolean
quantise_infer (FmNode *node)
{
  node->out[0]->type = FM_I8;
  node->out[0]->shape = node->in[0]->shape;
  node->out[1]->type = FM_F32;
  node->out[1]->shape = FM_SHAPE (node->in[0]->shape.dims[0]);
  return TRUE;
}

static void
quantise_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmTensor *scale;

  if (dy[0] == NULL)
    return;
  scale = fm_reshape (g, fm_stop_gradient (g, node->out[1]), FM_SHAPE (-1, 1));
  dx[0] = fm_div (g, dy[0], scale);
  if (node->in[1]) /* with the row's own scale nothing saturates */
    dx[0] = fm_mul (g, dx[0], fm_less_equal (g, fm_abs (g, node->in[0]), fm_mul_scalar (g, scale, LIMIT)));
}

FM_KERNEL (float, largest, (const float *x, gint64 n), (x, n))
{
  float part[16] = { 0 }, top = 0;
  gint64 i = 0;

  for (; i + 16 <= n; i += 16)
    for (int l = 0; l < 16; l++)
      {
        float a = fabsf (x[i + l]);

        part[l] = a > part[l] ? a : part[l];
      }
  for (; i < n; i++)
    top = fabsf (x[i]) > top ? fabsf (x[i]) : top;
  for (int l = 0; l < 16; l++)
    top = part[l] > top ? part[l] : top;
  return top;
}

/* Adding 1.5 * 2^23 rounds to a whole number, ties to even, and leaves it in the low bits. */
FM_KERNEL (void, round_row, (const float *x, float inverse, gint8 *q, gint64 n), (x, inverse, q, n))
{
  for (gint64 i = 0; i < n; i++)
    {
      float v = x[i] * inverse;

      v = v < -LIMIT ? -LIMIT : v > LIMIT ? LIMIT : v;
      v = v != v ? 0.0f : v;
      q[i] = (gint8) (gint32) (fm_bits_of (v + 12582912.0f) - 0x4B400000u);
    }
}

static void
quantise_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const FmTensor *x = node->in[0];
  gint64 rows = x->shape.dims[0], n = x->shape.dims[1];
  const float *in = args->in[0], *fixed = args->in[1];
  gint8 *q = args->out[0];
  float *scale = args->out[1];

#pragma omp parallel for schedule(static) num_threads(args->threads) if (rows * n > 2 * FM_CPU_BLOCK)
  for (gint64 r = 0; r < rows; r++)
    {
      float top = fixed ? fixed[0] * LIMIT : largest (in + r * x->stride[0], n);

      scale[r] = fixed ? fixed[0] : top > 0 ? top / LIMIT : 1.0f;
      round_row (in + r * x->stride[0], 1.0f / scale[r], q + r * n, n);
    }
}

static gboolean
quantise_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmTensor *x = node->in[0], *fixed = node->in[1];
  struct { guint32 rows, n, x_offset, x_row, s_offset; } push = {
    x->shape.dims[0], x->shape.dims[1], x->offset, x->stride[0], fixed ? fixed->offset : 0
  };

  for (guint32 step = 0; step < 2; step++) /* scales, then words of four bytes, which may span two rows */
    if (!fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){
          .shader = "quantise", .bind = { x, fixed ? fixed : x, node->out[0], node->out[1] }, .n_bind = 4,
          .push = &push, .push_bytes = sizeof push, .spec = { step, fixed != NULL }, .n_spec = 2,
          .groups = ((step == 0 ? (guint64) push.rows : ((guint64) push.rows * push.n + 3) / 4) + 127) / 128 }, error))
      return FALSE;
  return TRUE;
}

static const FmOp quantise_op = {
  .name = "quantise", .n_in_min = 2, .n_in_max = 2, .n_out = 2, .flags = FM_OP_ROWS, .infer = quantise_infer,
  .gradient = quantise_gradient, .cpu = quantise_cpu, .vulkan = quantise_vulkan,
};

FM_OPS (quantise, &quantise_op);

FmTensor *
fm_quantise (FmGraph *g, FmTensor *x, FmTensor **scale)
{
  FmTensor *fixed = *scale, *in[2];
  FmShape shape, rows;
  FmNode *node;

  *scale = g->poison;
  FM_REFUSE_NULL (g, "quantise", x);
  if (x->type != FM_F32 || x->shape.rank < 1)
    return fm_graph_fail (g, "quantise", "takes f32 rows, not %s", fm_type_name (x->type));
  if (fixed && (fixed->type != FM_F32 || fm_shape_count (&fixed->shape) != 1))
    return fm_graph_fail (g, "quantise", "a scale measured before must be f32 [1]");
  shape = rows = x->shape;
  in[0] = fm_reshape (g, x, FM_SHAPE (-1, shape.dims[shape.rank - 1]));
  in[1] = fixed;
  node = fm_node_new (g, &quantise_op, in, 2, NULL);
  if (node == NULL)
    return g->poison;
  if (rows.rank > 1)
    rows.rank--;
  else
    rows.dims[0] = 1;
  *scale = fm_reshape (g, node->out[1], rows);
  return fm_reshape (g, node->out[0], shape);
}
