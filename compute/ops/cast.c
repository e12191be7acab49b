/* cast.c: an element's type. "cast" goes between f32 and i32, "cast-narrow" between f32 and the types of storage, f16
 * and i8; any other pair goes by way of f32. */
#include "config.h"

#include "compute/half.h"
#include "compute/ops/elementwise.h"

static void
zero_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
}

/* --- f32 and i32 --------------------------------------------------------------------------------------------------*/

static gboolean
cast_infer (FmNode *node)
{
  node->out[0]->type = node->in[0]->type == FM_F32 ? FM_I32 : FM_F32;
  node->out[0]->shape = node->in[0]->shape;
  return TRUE;
}

FM_KERNEL (void, panel_cast, (gboolean to_i32, const FmPanel *p), (to_i32, p))
{
  gint64 n = p->n, step = p->step[0];

  for (gint64 r = 0; r < p->rows; r++)
    if (to_i32)
      {
        const float *in = p->in[0] + r * p->row[0];
        gint32 *o = (gint32 *) p->out + r * n;

        /* Out of range goes to the nearest end and NaN to 0, where C leaves it open and GLSL too. */
        for (gint64 i = 0; i < n; i++)
          {
            float x = in[i * step];

            o[i] = x != x ? 0 : x >= 2147483648.0f ? G_MAXINT32 : x <= -2147483648.0f ? G_MININT32 : (gint32) x;
          }
      }
    else
      {
        const gint32 *in = (const gint32 *) p->in[0] + r * p->row[0];
        float *o = p->out + r * n;

        for (gint64 i = 0; i < n; i++)
          o[i] = (float) in[i * step];
      }
}

static void
cast_panel (const FmPanel *p, const FmNode *node)
{
  panel_cast (node->out[0]->type == FM_I32, p);
}

static void
cast_cpu (const FmNode *node, const FmCpuArgs *args)
{
  FmLoop loop;

  fm_loop_init (&loop, &node->out[0]->shape, node->in, 1);
  fm_loop_run (&loop, node, args, cast_panel);
}

static gboolean
cast_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  return fm_loop_dispatch (node, recorder, "cast", node->out[0]->type == FM_I32, 0, 0, 0, error);
}

/* --- f32 and the types of storage ---------------------------------------------------------------------------------*/

enum { FROM_F16, TO_F16, FROM_I8, TO_I8 };

static guint
narrow_kind (const FmNode *node)
{
  FmType from = node->in[0]->type, to = (FmType) node->attr.i[0];

  return from == FM_F16 ? FROM_F16 : from == FM_I8 ? FROM_I8 : to == FM_F16 ? TO_F16 : TO_I8;
}

static gboolean
narrow_infer (FmNode *node)
{
  node->out[0]->type = (FmType) node->attr.i[0];
  node->out[0]->shape = node->in[0]->shape;
  return TRUE;
}

/* Rounding to f16 counts as the identity, so that a stored activation or weight lets its gradient through; so does what
 * was quantised (fm_quantise() makes its own). */
static void
narrow_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  guint kind = narrow_kind (node);

  if (kind != TO_I8)
    dx[0] = dy[0];
}

FM_KERNEL (void, narrow_row, (guint kind, const void *in, gint64 step, void *out, gint64 n), (kind, in, step, out, n))
{
  switch (kind)
    {
    case FROM_F16:
      for (gint64 i = 0; i < n; i++)
        ((float *) out)[i] = fm_half_value (((const guint16 *) in)[i * step]);
      break;
    case TO_F16:
      for (gint64 i = 0; i < n; i++)
        ((guint16 *) out)[i] = fm_half_of (((const float *) in)[i * step]);
      break;
    case FROM_I8:
      for (gint64 i = 0; i < n; i++)
        ((float *) out)[i] = ((const gint8 *) in)[i * step];
      break;
    case TO_I8:
    default:
      for (gint64 i = 0; i < n; i++)
        {
          float x = ((const float *) in)[i * step];

          x = x < -128.0f ? -128.0f : x > 127.0f ? 127.0f : x;
          ((gint8 *) out)[i] = (gint8) (x != x ? 0 : (gint32) x);
        }
      break;
    }
}

static void
narrow_cpu (const FmNode *node, const FmCpuArgs *args)
{
  gsize in_size = fm_type_size (node->in[0]->type), out_size = fm_type_size (node->out[0]->type);
  gint64 total = fm_shape_count (&node->out[0]->shape), n, cut, cuts, rows;
  guint kind = narrow_kind (node);
  FmLoop loop;

  fm_loop_init (&loop, &node->out[0]->shape, node->in, 1);
  n = loop.dims[loop.rank - 1];
  cut = MIN (n, FM_CPU_BLOCK);
  cuts = (n + cut - 1) / cut;
  rows = total / n;
#pragma omp parallel for schedule(static) num_threads(args->threads) if (total >= 2 * FM_CPU_BLOCK)
  for (gint64 piece = 0; piece < rows * cuts; piece++)
    {
      gint64 start = piece % cuts * cut, rest = piece / cuts, step = loop.stride[0][loop.rank - 1], from = start * step;
      gint64 to = rest * n + start;

      for (guint a = loop.rank - 1; a-- > 0;)
        {
          from += rest % loop.dims[a] * loop.stride[0][a];
          rest /= loop.dims[a];
        }
      narrow_row (kind, (const guint8 *) args->in[0] + from * (gint64) in_size, step,
                  (guint8 *) args->out[0] + to * (gint64) out_size, MIN (cut, n - start));
    }
}

static gboolean
narrow_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  return fm_loop_dispatch (node, recorder, "cast-narrow", narrow_kind (node), 0, 0, 0, error);
}

static const FmOp cast_row = { .name = "cast", .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = FM_OP_STRIDED,
                               .infer = cast_infer, .gradient = zero_gradient, .cpu = cast_cpu,
                               .vulkan = cast_vulkan, .family = FM_FAMILY_CAST, .panel = cast_panel };
/* Attribute: i[0] the type to make. */
static const FmOp narrow_op = { .name = "cast-narrow", .n_in_min = 1, .n_in_max = 1, .n_out = 1,
                                .flags = FM_OP_STRIDED | FM_OP_NARROW, .infer = narrow_infer,
                                .gradient = narrow_gradient, .cpu = narrow_cpu, .vulkan = narrow_vulkan };

FM_OPS (cast, &cast_row, &narrow_op);

FmTensor *
fm_cast (FmGraph *g, FmTensor *x, FmType type)
{
  FM_REFUSE_NULL (g, "cast", x);
  if (fm_graph_failed (g) || x->type == type)
    return x;
  if (x->type != FM_F32 && type != FM_F32)
    x = fm_cast (g, x, FM_F32);
  if (fm_type_size (type) < 4 || fm_type_size (x->type) < 4)
    return fm_op1 (g, &narrow_op, &(FmAttr){ .i = { type } }, 1, x);
  return fm_op1 (g, &cast_row, &(FmAttr){ .i = { type == FM_I32 } }, 1, x);
}
