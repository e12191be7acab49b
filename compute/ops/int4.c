/* int4.c: weights of four bits, two a byte, with a scale for each group of inputs.
 *
 * pack-int4: in w f32 [m,k]; out i8 [m,k/2] and scale f32 [m,k/group]. i[0]: group, i[1]: FmInt4. See fm_pack_int4().
 * unpack-int4: in packed i8 [m,k/2], scale [m,k/group]; out f32 [m,k]. i[0], i[1] likewise.
 * affine-int4: in x f32 [n,k], packed, scale, bias [m] or NULL; y = x w^T + bias. i[0], i[1] likewise. For few rows w is
 * read as it lies, an eighth of the memory traffic of f32; for many it is unpacked once. */
#include "config.h"

#include "gemm.h"
#include "tile.h"

#include <math.h>
#include <string.h>

/* With so many rows, unpacking w and the product of floats are faster. */
#define UNPACK_ROWS 72
#define COLUMNS 32 /* of a piece */

/* By FmInt4, rising. The normal ones are quantiles q of the normal distribution, over the largest of them: with
 * h = 1 - (1/32 + 1/30) / 2, seven below zero at -q (h + (1/2 - h) i / 7), and at q (h + (1/2 - h) i / 8) eight above. */
static const float levels[][16] = {
  [FM_INT4_EVEN] = { -8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7 },
  [FM_INT4_NORMAL] = { -1.0f, -0.696192806f, -0.525072959f, -0.394917426f, -0.284441309f, -0.184773403f, -0.091049976f,
                       0.0f, 0.079580315f, 0.160930144f, 0.246112251f, 0.337915137f, 0.440709732f, 0.562616888f,
                       0.722956644f, 1.0f },
};

/* What the three shaders are told: the levels come from the table above. */
typedef struct
{
  guint32 n, m, k, group, x_offset, w_offset, s_offset, b_offset, x_row, w_row, s_row;
  float   levels[16];
} Push;

static Push
push_of (const FmNode *node)
{
  Push push = { .group = node->attr.i[0] };

  memcpy (push.levels, levels[node->attr.i[1]], sizeof push.levels);
  return push;
}

/* --- Packing ------------------------------------------------------------------------------------------------------*/

static gboolean
pack_infer (FmNode *node)
{
  const FmShape *w = &node->in[0]->shape;

  node->out[0]->type = FM_I8;
  node->out[0]->shape = FM_SHAPE (w->dims[0], w->dims[1] / 2);
  node->out[1]->type = FM_F32;
  node->out[1]->shape = FM_SHAPE (w->dims[0], w->dims[1] / node->attr.i[0]);
  return TRUE;
}

FM_KERNEL (void, pack_row, (const float *level, gint64 group, const float *x, gint64 k, float *scale, guint8 *packed),
           (level, group, x, k, scale, packed))
{
  float middle[15];

  for (int i = 0; i < 15; i++)
    middle[i] = 0.5f * (level[i] + level[i + 1]);
  for (gint64 from = 0; from < k; from += group, scale++)
    {
      float top = 0, inverse;

      for (gint64 t = from; t < from + group; t++)
        top = fabsf (x[t]) > top ? fabsf (x[t]) : top;
      *scale = top > 0 ? top / level[15] : 1.0f;
      inverse = 1.0f / *scale;
      for (gint64 t = from; t < from + group; t += 32, packed += 16)
        {
          guint32 code[32] = { 0 };

          for (int i = 0; i < 32; i++)
            {
              float v = x[t + i] * inverse;

              v = v != v ? 0.0f : v;
              for (int l = 0; l < 15; l++) /* the levels that lie nearer than the one below them */
                code[i] += v > middle[l];
            }
          for (int i = 0; i < 16; i++)
            packed[i] = (guint8) (code[i] | code[i + 16] << 4);
        }
    }
}

static void
pack_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const FmTensor *w = node->in[0];
  gint64 m = w->shape.dims[0], k = w->shape.dims[1], group = node->attr.i[0];

#pragma omp parallel for schedule(static) num_threads(args->threads) if (m * k > FM_CPU_BLOCK)
  for (gint64 j = 0; j < m; j++)
    pack_row (levels[node->attr.i[1]], group, (const float *) args->in[0] + j * w->stride[0], k,
              (float *) args->out[1] + j * (k / group), (guint8 *) args->out[0] + j * (k / 2));
}

static gboolean
pack_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmTensor *w = node->in[0];
  Push push = push_of (node);

  push.m = w->shape.dims[0];
  push.k = w->shape.dims[1];
  push.x_offset = w->offset;
  push.x_row = w->stride[0];
  for (guint32 step = 0; step < 2; step++) /* scales, then words of eight codes */
    if (!fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){
          .shader = "pack-int4", .bind = { w, node->out[0], node->out[1] }, .n_bind = 3, .push = &push,
          .push_bytes = sizeof push, .spec = { step }, .n_spec = 1,
          .groups = ((guint64) push.m * push.k / (step == 0 ? push.group : 8) + 127) / 128 }, error))
      return FALSE;
  return TRUE;
}

static const FmOp pack_op = {
  .name = "pack-int4", .n_in_min = 1, .n_in_max = 1, .n_out = 2, .flags = FM_OP_ROWS, .infer = pack_infer,
  .no_gradient = "a byte of two codes is no number; train what is added to the packed weight",
  .cpu = pack_cpu, .vulkan = pack_vulkan,
};

/* --- Unpacking ----------------------------------------------------------------------------------------------------*/

/* Sums of what belongs to one scale: [m,k] -> [m,k/group]. */
static FmTensor *
group_sums (FmGraph *g, FmTensor *x, gint64 group)
{
  return fm_sum (g, fm_reshape (g, x, FM_SHAPE (x->shape.dims[0], x->shape.dims[1] / group, group)), 2);
}

static FmTensor *
levels_of (FmGraph *g, FmTensor *packed, FmTensor *scale, FmInt4 which)
{
  FmTensor *one = fm_constant (g, FM_F32, FM_SHAPE (1, 1), 1.0);

  return fm_unpack_int4 (g, packed, fm_expand (g, one, scale->shape), which);
}

static gboolean
unpack_infer (FmNode *node)
{
  const FmShape *packed = &node->in[0]->shape;

  node->out[0]->type = FM_F32;
  node->out[0]->shape = FM_SHAPE (packed->dims[0], packed->dims[1] * 2);
  return TRUE;
}

static void
unpack_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmTensor *level = levels_of (g, node->in[0], node->in[1], node->attr.i[1]);

  dx[1] = group_sums (g, fm_mul (g, dy[0], level), node->attr.i[0]);
}

static void
unpack_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const FmTensor *packed = node->in[0], *scale = node->in[1];
  gint64 m = packed->shape.dims[0], k = packed->shape.dims[1] * 2;

#pragma omp parallel for schedule(static) num_threads(args->threads) if (m * k > FM_CPU_BLOCK)
  for (gint64 j = 0; j < m; j++)
    fm_tile_unpack_i4 (levels[node->attr.i[1]], node->attr.i[0], k, (const guint8 *) args->in[0] + j * packed->stride[0],
                       (const float *) args->in[1] + j * scale->stride[0], (float *) args->out[0] + j * k);
}

static gboolean
unpack_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmTensor *packed = node->in[0], *scale = node->in[1];
  Push push = push_of (node);

  push.m = packed->shape.dims[0];
  push.k = packed->shape.dims[1] * 2;
  push.w_offset = packed->offset;
  push.s_offset = scale->offset;
  push.w_row = packed->stride[0];
  push.s_row = scale->stride[0];
  return fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){
    .shader = "unpack-int4", .bind = { packed, scale, node->out[0] }, .n_bind = 3, .push = &push,
    .push_bytes = sizeof push, .groups = ((guint64) push.m * push.k + 127) / 128 }, error);
}

static const FmOp unpack_op = {
  .name = "unpack-int4", .n_in_min = 2, .n_in_max = 2, .n_out = 1, .flags = FM_OP_ROWS | FM_OP_NARROW,
  .infer = unpack_infer, .gradient = unpack_gradient, .cpu = unpack_cpu, .vulkan = unpack_vulkan,
};

/* --- The product --------------------------------------------------------------------------------------------------*/

static gboolean
affine_infer (FmNode *node)
{
  node->out[0]->type = FM_F32;
  node->out[0]->shape = FM_SHAPE (node->in[0]->shape.dims[0], node->in[1]->shape.dims[0]);
  return TRUE;
}

/* By x and bias as those of any product; by the scales through the levels. */
static void
affine_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmTensor *x = node->in[0], *packed = node->in[1], *scale = node->in[2];
  FmTensor *level = levels_of (g, packed, scale, node->attr.i[1]);

  dx[0] = fm_matmul (g, dy[0], fm_unpack_int4 (g, packed, scale, node->attr.i[1]), 0);
  dx[2] = group_sums (g, fm_mul (g, fm_matmul (g, dy[0], x, FM_TRANS_A), level), node->attr.i[0]);
  if (node->in[3])
    dx[3] = fm_sum (g, dy[0], 0);
}

static FmGemm
unpacked_problem (const FmNode *node)
{
  const FmTensor *x = node->in[0];

  return (FmGemm){ .n = x->shape.dims[0], .m = node->in[1]->shape.dims[0], .k = x->shape.dims[1],
                   .a_row = x->stride[0], .a_column = 1, .b_row = 1, .b_column = x->shape.dims[1] };
}

static gsize
affine_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  FmGemm p = unpacked_problem (node);

  if (backend != FM_BACKEND_CPU || p.n < UNPACK_ROWS)
    return 0;
  return (gsize) ((p.m * p.k + 15) / 16 * 16) * sizeof (float) + fm_gemm_workspace (&p);
}

static void
affine_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const FmTensor *x = node->in[0], *packed = node->in[1], *scale = node->in[2];
  FmGemm p = unpacked_problem (node);
  const float *level = levels[node->attr.i[1]], *scales = args->in[2], *bias = args->in[3];
  const guint8 *w = args->in[1];
  gint64 group = node->attr.i[0];

  if (p.n >= UNPACK_ROWS)
    {
      float *wide = args->workspace;

#pragma omp parallel for schedule(static) num_threads(args->threads) if (p.m * p.k > FM_CPU_BLOCK)
      for (gint64 j = 0; j < p.m; j++)
        fm_tile_unpack_i4 (level, group, p.k, w + j * packed->stride[0], scales + j * scale->stride[0], wide + j * p.k);
      fm_gemm (&p, args->in[0], wide, bias, args->out[0], wide + (p.m * p.k + 15) / 16 * 16, args->threads);
      return;
    }
#pragma omp parallel for schedule(dynamic, 1) num_threads(args->threads) if (p.n * p.m * p.k > 32768)
  for (gint64 j = 0; j < p.m; j += COLUMNS)
    fm_tile_dots_i4 (level, group, p.n, MIN (COLUMNS, p.m - j), p.k, args->in[0], x->stride[0],
                     w + j * packed->stride[0], packed->stride[0], scales + j * scale->stride[0], scale->stride[0],
                     bias ? bias + j : NULL, (float *) args->out[0] + j, p.m);
}

static gboolean
affine_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmTensor *x = node->in[0], *packed = node->in[1], *scale = node->in[2], *bias = node->in[3];
  Push push = push_of (node);

  push.n = x->shape.dims[0];
  push.m = packed->shape.dims[0];
  push.k = x->shape.dims[1];
  push.x_offset = x->offset;
  push.w_offset = packed->offset;
  push.s_offset = scale->offset;
  push.b_offset = bias ? bias->offset : 0;
  push.x_row = x->stride[0];
  push.w_row = packed->stride[0];
  push.s_row = scale->stride[0];
  return fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){ /* a bias that is absent is not read */
    .shader = "affine-int4", .bind = { x, packed, scale, bias ? bias : node->out[0], node->out[0] }, .n_bind = 5,
    .push = &push, .push_bytes = sizeof push, .spec = { bias != NULL }, .n_spec = 1, .local_x = 64,
    .groups = fm_gemm_vulkan_tiles (push.n, push.m) }, error);
}

static void
affine_cost (const FmNode *node, FmCost *cost)
{
  cost->flops = 2.0 * (gdouble) (fm_shape_count (&node->out[0]->shape) * node->in[0]->shape.dims[1]);
  cost->bytes = (gdouble) fm_tensor_data_bytes (node->out[0]);
  for (guint i = 0; i < node->n_in; i++)
    cost->bytes += node->in[i] ? (gdouble) fm_tensor_data_bytes (node->in[i]) : 0;
}

static const FmOp affine_op = {
  .name = "affine-int4", .n_in_min = 4, .n_in_max = 4, .n_out = 1, .flags = FM_OP_ROWS | FM_OP_NARROW,
  .infer = affine_infer, .gradient = affine_gradient, .cpu = affine_cpu, .vulkan = affine_vulkan,
  .workspace = affine_workspace, .cost = affine_cost,
};

FM_OPS (int4, &pack_op, &unpack_op, &affine_op);

/* --- Builders -----------------------------------------------------------------------------------------------------*/

FmTensor *
fm_pack_int4 (FmGraph *g, FmTensor *w, gint64 group, FmInt4 which, FmTensor **scale)
{
  FmNode *node;

  *scale = g->poison;
  FM_REFUSE_NULL (g, "pack int4", w);
  if (w->type != FM_F32 || w->shape.rank != 2 || group < 32 || group % 32 != 0 || w->shape.dims[1] % group != 0)
    {
      g_autofree char *shape = fm_shape_to_string (&w->shape);

      return fm_graph_fail (g, "pack-int4", "%s %s in groups of %" G_GINT64_FORMAT "; wants f32 [m,k] in groups of a "
                            "multiple of 32 that divides k", fm_type_name (w->type), shape, group);
    }
  node = fm_node_new (g, &pack_op, &w, 1, &(FmAttr){ .i = { group, which } });
  if (node == NULL)
    return g->poison;
  *scale = node->out[1];
  return node->out[0];
}

/* The inputs a group has, or 0 after recording a failure. */
static gint64
group_of (FmGraph *g, const char *op, const FmTensor *packed, const FmTensor *scale)
{
  gint64 k = packed->shape.rank == 2 ? packed->shape.dims[1] * 2 : 0;
  gint64 group = scale->shape.rank == 2 ? k / scale->shape.dims[1] : 0;

  if (packed->type == FM_I8 && scale->type == FM_F32 && group >= 32 && group % 32 == 0
      && group * scale->shape.dims[1] == k && packed->shape.dims[0] == scale->shape.dims[0])
    return group;

  g_autofree char *sw = fm_shape_to_string (&packed->shape), *ss = fm_shape_to_string (&scale->shape);

  fm_graph_fail (g, op, "packed %s %s, scale %s %s; wants what fm_pack_int4() made: i8 [m,k/2], f32 [m,k/group]",
                 fm_type_name (packed->type), sw, fm_type_name (scale->type), ss);
  return 0;
}

FmTensor *
fm_unpack_int4 (FmGraph *g, FmTensor *packed, FmTensor *scale, FmInt4 which)
{
  FM_REFUSE_NULL (g, "unpack int4", packed, scale);
  gint64 group = group_of (g, "unpack-int4", packed, scale);

  return group ? fm_op1 (g, &unpack_op, &(FmAttr){ .i = { group, which } }, 2, packed, scale) : g->poison;
}

FmTensor *
fm_affine_int4 (FmGraph *g, FmTensor *x, FmTensor *packed, FmTensor *scale, FmInt4 which, FmTensor *bias)
{
  FM_REFUSE_NULL (g, "affine int4", x, packed, scale);
  gint64 group = group_of (g, "affine-int4", packed, scale), k, m;
  FmShape shape = x->shape;

  if (group == 0)
    return g->poison;
  k = packed->shape.dims[1] * 2;
  m = packed->shape.dims[0];
  if (x->type != FM_F32 || shape.rank < 1 || shape.dims[shape.rank - 1] != k
      || (bias && (bias->type != FM_F32 || bias->shape.rank != 1 || bias->shape.dims[0] != m)))
    {
      g_autofree char *sx = fm_shape_to_string (&x->shape), *sw = fm_shape_to_string (&packed->shape);

      return fm_graph_fail (g, "affine-int4", "x %s %s, packed %s; wants f32 [..,k], i8 [m,k/2], bias [m]",
                            fm_type_name (x->type), sx, sw);
    }
  shape.dims[shape.rank - 1] = m;
  return fm_reshape (g, fm_op1 (g, &affine_op, &(FmAttr){ .i = { group, which } }, 4,
                                fm_reshape (g, x, FM_SHAPE (-1, k)), packed, scale,
                                bias ? fm_contiguous (g, bias) : NULL), shape);
}
