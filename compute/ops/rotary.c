/* rotary.c: rotary positions: pairs of numbers turned by angles that grow with the position.
 *
 * Op rotary-table: in positions i32 [N] or [B,N] (NULL: 0, 1, ...); out cos, sin [..,N,P]. Attributes i[0] N without
 * positions, i[1] P, f[0] base, f[1] scale. The angle of pair i is (position / scale) base^(-i/P). It is kept in turns, as
 * fractions of 2^64: a product with the position that drops whole turns is exact, so that far positions are as precise as
 * near ones, on both backends.
 * Op rotary: in x [..,N,d] (any strides but the last), cos, sin; out like x. Attributes i[0] 1: pairs are (c, c + P), the
 * halves of the first 2P numbers; 0: neighbours (2c, 2c+1); i[1] 1: turn back, which is the gradient.
 * Source: Su et al. 2021, arXiv:2104.09864, section 3.4.2. */
#include "config.h"

#include "compute/compute-private.h"
#include "math.h"

#include <string.h>

/* The turns of one position, for pair 0 and the ratio from pair to pair, as fractions of 2^64. */
static void
fractions (const FmNode *node, guint64 *first, guint64 *ratio)
{
  gdouble turns = 1.0 / (2.0 * G_PI * node->attr.f[1]), r = pow (node->attr.f[0], -1.0 / (gdouble) node->attr.i[1]);

  *first = (guint64) (turns * 18446744073709551616.0);
  *ratio = r >= 1.0 ? G_MAXUINT64 : (guint64) (r * 18446744073709551616.0);
}

static guint64
high_product (guint64 a, guint64 b)
{
  return (guint64) (((unsigned __int128) a * b) >> 64);
}

static gboolean
table_infer (FmNode *node)
{
  const FmTensor *positions = node->in[0];
  FmShape shape = positions ? positions->shape : FM_SHAPE (node->attr.i[0]);

  shape.dims[shape.rank++] = node->attr.i[1];
  for (guint i = 0; i < 2; i++)
    {
      node->out[i]->type = FM_F32;
      node->out[i]->shape = shape;
    }
  return TRUE;
}

static void
table_cpu (const FmNode *node, const FmCpuArgs *args)
{
  gint64 pairs = node->attr.i[1], rows = fm_shape_count (&node->out[0]->shape) / pairs;
  const gint32 *positions = args->in[0];
  float *c = args->out[0], *s = args->out[1];
  guint64 first, ratio;

  fractions (node, &first, &ratio);
#pragma omp parallel for schedule(static) num_threads(args->threads) if (rows * pairs > FM_CPU_BLOCK)
  for (gint64 r = 0; r < rows; r++)
    {
      guint64 turns = first, position = (guint64) (gint64) (positions ? positions[r] : r);

      for (gint64 i = 0; i < pairs; i++, turns = high_product (turns, ratio))
        {
          gdouble angle = (gdouble) (gint64) (turns * position) * (2.0 * G_PI / 18446744073709551616.0);

          c[r * pairs + i] = (float) cos (angle);
          s[r * pairs + i] = (float) sin (angle);
        }
    }
}

static gboolean
table_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmTensor *positions = node->in[0], *c = node->out[0], *s = node->out[1];
  guint64 first, ratio;

  fractions (node, &first, &ratio);

  struct { guint32 count, pairs, first[2], ratio[2], positions_offset, c_offset, s_offset; } push = {
    (guint32) fm_shape_count (&c->shape), (guint32) node->attr.i[1], { (guint32) first, (guint32) (first >> 32) },
    { (guint32) ratio, (guint32) (ratio >> 32) }, positions ? (guint32) positions->offset : 0, (guint32) c->offset,
    (guint32) s->offset };

  return fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){
    .shader = "rotary-table", .bind = { positions ? positions : c, c, s }, .n_bind = 3, .push = &push,
    .push_bytes = sizeof push, .spec = { positions != NULL }, .n_spec = 1, .groups = ((guint64) push.count + 127) / 128 },
    error);
}

static const FmOp table_op = {
  .name = "rotary-table", .n_in_min = 1, .n_in_max = 1, .n_out = 2, .infer = table_infer,
  .no_gradient = "positions are whole numbers", .cpu = table_cpu, .vulkan = table_vulkan,
};

/* --- Turning ------------------------------------------------------------------------------------------------------*/

static gboolean
rotary_infer (FmNode *node)
{
  node->out[0]->type = FM_F32;
  node->out[0]->shape = node->in[0]->shape;
  return TRUE;
}

FM_KERNEL (void, turn_halves, (const float *restrict x, gint64 pairs, const float *restrict c, const float *restrict s,
                               float sign, float *restrict y),
           (x, pairs, c, s, sign, y))
{
  for (gint64 i = 0; i < pairs; i++)
    {
      float a = x[i], b = x[pairs + i], sine = s[i] * sign;

      y[i] = a * c[i] - b * sine;
      y[pairs + i] = b * c[i] + a * sine;
    }
}

FM_KERNEL (void, turn_neighbours, (const float *restrict x, gint64 pairs, const float *restrict c,
                                   const float *restrict s, float sign, float *restrict y),
           (x, pairs, c, s, sign, y))
{
  for (gint64 i = 0; i < pairs; i++)
    {
      float a = x[2 * i], b = x[2 * i + 1], sine = s[i] * sign;

      y[2 * i] = a * c[i] - b * sine;
      y[2 * i + 1] = b * c[i] + a * sine;
    }
}

/* x is [B,H,N,d]: the builder sees to it. */
static void
rotary_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const FmTensor *x = node->in[0], *table = node->in[1];
  gint64 heads = x->shape.dims[1], n = x->shape.dims[2], d = x->shape.dims[3], rows = x->shape.dims[0] * heads * n;
  gint64 pairs = table->shape.dims[table->shape.rank - 1], table_batch = table->shape.rank == 3 ? n * pairs : 0;
  const float *from = args->in[0], *c = args->in[1], *s = args->in[2];
  float sign = node->attr.i[1] ? -1.0f : 1.0f, *y = args->out[0];

#pragma omp parallel for schedule(static) num_threads(args->threads) if (rows * d > FM_CPU_BLOCK)
  for (gint64 r = 0; r < rows; r++)
    {
      gint64 i = r % n, h = r / n % heads, b = r / n / heads, at = b * table_batch + i * pairs;
      const float *row = from + b * x->stride[0] + h * x->stride[1] + i * x->stride[2];

      if (node->attr.i[0])
        turn_halves (row, pairs, c + at, s + at, sign, y + r * d);
      else
        turn_neighbours (row, pairs, c + at, s + at, sign, y + r * d);
      memcpy (y + r * d + 2 * pairs, row + 2 * pairs, (d - 2 * pairs) * sizeof *y);
    }
}

static gboolean
rotary_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmTensor *x = node->in[0], *c = node->in[1], *s = node->in[2], *y = node->out[0];
  gint64 pairs = c->shape.dims[c->shape.rank - 1];
  struct
  {
    guint32 count, heads, n, d, pairs, table_batch, halves;
    float   sign;
    guint32 x_offset, c_offset, s_offset, y_offset, x_stride[3];
  } push = { (guint32) fm_shape_count (&x->shape), x->shape.dims[1], x->shape.dims[2], x->shape.dims[3], pairs,
             c->shape.rank == 3 ? x->shape.dims[2] * pairs : 0, node->attr.i[0] != 0, node->attr.i[1] ? -1.0f : 1.0f,
             x->offset, c->offset, s->offset, y->offset, { x->stride[0], x->stride[1], x->stride[2] } };

  return fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){
    .shader = "rotary", .bind = { x, c, s, y }, .n_bind = 4, .push = &push, .push_bytes = sizeof push,
    .groups = ((guint64) push.count + 127) / 128 }, error);
}

static const FmOp rotary_op;

static void
rotary_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmAttr attr = node->attr;

  attr.i[1] = !attr.i[1];
  dx[0] = fm_op1 (g, &rotary_op, &attr, 3, dy[0], node->in[1], node->in[2]);
}

static void
rotary_cost (const FmNode *node, FmCost *cost)
{
  gint64 count = fm_shape_count (&node->in[0]->shape);

  cost->flops = 3.0 * count;
  cost->bytes = 8.0 * count + 8.0 * fm_shape_count (&node->in[1]->shape);
}

static const FmOp rotary_op = {
  .name = "rotary", .n_in_min = 3, .n_in_max = 3, .n_out = 1, .flags = FM_OP_ROWS, .infer = rotary_infer,
  .gradient = rotary_gradient, .cpu = rotary_cpu, .vulkan = rotary_vulkan, .cost = rotary_cost,
};

FM_OPS (rotary, &table_op, &rotary_op);

FmTensor *
fm_rotary (FmGraph *g, FmTensor *x, FmTensor *positions, const FmRotary *options)
{
  FM_REFUSE_NULL (g, "rotary", x);
  static const FmRotary usual = { 0 };
  FmAttr attr = { 0 }, turn = { 0 };
  gint64 width;
  FmNode *table;

  if (fm_graph_failed (g))
    return g->poison;
  options = options ? options : &usual;
  if (x->type != FM_F32 || x->shape.rank != 4)
    return fm_graph_fail (g, "rotary", "turns f32 [B,H,N,d], not a tensor of rank %u", x->shape.rank);
  width = options->width > 0 ? options->width : x->shape.dims[3];
  if (width % 2 != 0 || width > x->shape.dims[3] || options->width < 0)
    return fm_graph_fail (g, "rotary", "%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " numbers; wants an even number of "
                          "them", width, x->shape.dims[3]);
  /* Below 1 / 2 pi a step of one position is more than a turn, and the fractions hold none. */
  if (!(options->base == 0 || options->base >= 1) || !(options->scale == 0 || options->scale > 0.16))
    return fm_graph_fail (g, "rotary", "base %g and scale %g; wants a base of at least 1 and a scale above 0.16, or 0 for "
                          "the usual", options->base, options->scale);
  if (positions && (positions->type != FM_I32 || positions->shape.rank < 1 || positions->shape.rank > 2
                    || positions->shape.dims[positions->shape.rank - 1] != x->shape.dims[2]
                    || (positions->shape.rank == 2 && positions->shape.dims[0] != x->shape.dims[0])))
    return fm_graph_fail (g, "rotary", "positions must be i32 [N] or [B,N]");
  attr.i[0] = x->shape.dims[2];
  attr.i[1] = width / 2;
  attr.f[0] = options->base > 0 ? options->base : 10000.0;
  attr.f[1] = options->scale > 0 ? options->scale : 1.0;
  table = fm_node_new (g, &table_op, &positions, 1, &attr);
  if (table == NULL)
    return g->poison;
  turn.i[0] = options->halves;
  return fm_op1 (g, &rotary_op, &turn, 3, x, table->out[0], table->out[1]);
}
