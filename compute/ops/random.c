/* random.c: uniform draws and dropout masks from Philox4x32-10, the same bits on every backend.
 *
 * Node: in seed i32 [2] (low and high word), step i32 [1]; out f32. attr.i[0]: the key of path, name and application;
 * i[1]: 1 = a dropout mask; i[2], i[3]...: the shape, rank first; attr.f[0] the rate of the mask.
 * Element i is lane i % 4 of the block with counter (i / 4, step): (bits >> 8) 2^-24, in [0,1). */
#include "compute/compute-private.h"

static gboolean
infer (FmNode *node)
{
  FmShape *shape = &node->out[0]->shape;

  if (node->in[0]->type != FM_I32 || node->in[1]->type != FM_I32)
    {
      fm_graph_fail (node->graph, "random", "needs i32 inputs \"@seed\" and \"@step\"");
      return FALSE;
    }
  shape->rank = node->attr.i[2];
  for (guint a = 0; a < shape->rank; a++)
    shape->dims[a] = node->attr.i[3 + a];
  node->out[0]->type = FM_F32;
  return TRUE;
}

FM_KERNEL (void, draw_block, (guint64 key, guint64 step, gint64 first, gint64 n, float rate, gboolean mask, float *out),
           (key, step, first, n, rate, mask, out))
{
  float keep = 1.0f / (1.0f - rate);

  for (gint64 i = 0; i < n; i += 4)
    {
      guint32 bits[4];

      fm_philox (key, (guint64) (first + i) / 4, step, bits);
      for (gint64 k = 0; k < 4 && i + k < n; k++)
        {
          float u = (float) (gint32) (bits[k] >> 8) * 5.9604644775390625e-8f;

          out[i + k] = mask ? (u >= rate ? keep : 0.0f) : u;
        }
    }
}

static void
cpu (const FmNode *node, const FmCpuArgs *args)
{
  const guint32 *seed = args->in[0];
  guint64 key = (guint64) node->attr.i[0] ^ ((guint64) seed[1] << 32 | seed[0]);
  guint32 step = *(const guint32 *) args->in[1];
  gint64 n = fm_shape_count (&node->out[0]->shape);

#pragma omp parallel for schedule(static) num_threads(args->threads) if (n >= 2 * FM_CPU_BLOCK)
  for (gint64 i = 0; i < n; i += FM_CPU_BLOCK)
    draw_block (key, step, i, MIN (FM_CPU_BLOCK, n - i), node->attr.f[0], node->attr.i[1] != 0,
                (float *) args->out[0] + i);
}

static gboolean
vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  guint64 key = node->attr.i[0];
  struct { guint32 count, key_low, key_high, seed, step, mask; float rate, keep; } push = {
    (guint32) fm_shape_count (&node->out[0]->shape), (guint32) key, (guint32) (key >> 32),
    (guint32) node->in[0]->offset, (guint32) node->in[1]->offset, node->attr.i[1], node->attr.f[0],
    1.0f / (1.0f - (float) node->attr.f[0]) };

  return fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){
    .shader = "random", .bind = { node->in[0], node->in[1], node->out[0] }, .n_bind = 3, .push = &push,
    .push_bytes = sizeof push, .groups = (push.count + 511) / 512 }, error);
}

static void
no_change (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
}

static const FmOp row = {
  .name = "random", .n_in_min = 2, .n_in_max = 2, .n_out = 1, .infer = infer, .gradient = no_change, .cpu = cpu,
  .vulkan = vulkan,
};

FM_OPS (random, &row);

static FmTensor *
draw (FmGraph *g, const char *name, FmShape shape, gboolean mask, gdouble rate)
{
  g_autofree char *path = NULL;
  FmAttr attr = { .f = { rate } };

  if (fm_graph_failed (g))
    return g->poison;
  path = g_strdup_printf ("%s.%s#%u", fm_graph_get_scope (g), name, g->application);
  attr.i[0] = (gint64) fm_hash (path);
  attr.i[1] = mask;
  attr.i[2] = shape.rank;
  for (guint a = 0; a < shape.rank; a++)
    attr.i[3 + a] = shape.dims[a];
  return fm_op1 (g, &row, &attr, 2, fm_graph_input (g, "@seed", FM_I32, FM_SHAPE (2)),
                 fm_graph_input (g, "@step", FM_I32, FM_SHAPE (1)));
}

/**
 * fm_uniform:
 * @name: distinguishes the draws of one scope
 * @shape: of the result
 *
 * Reads the inputs "@seed" i32 [2] and "@step" i32 [1]. Source: Salmon et al. 2011, "Parallel random numbers: as easy
 * as 1, 2, 3". Returns: f32 in [0,1), multiples of 2^-24
 */
FmTensor *
fm_uniform (FmGraph *g, const char *name, FmShape shape)
{
  return draw (g, name, shape, FALSE, 0.0);
}

/**
 * fm_dropout:
 * @rate: share of elements that become 0, in [0,1); the rest is multiplied by 1 / (1 - rate)
 *
 * Source: Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".
 */
FmTensor *
fm_dropout (FmGraph *g, const char *name, FmTensor *x, gdouble rate)
{
  FM_REFUSE_NULL (g, "dropout", x);
  if (fm_graph_failed (g) || rate == 0.0)
    return x;
  if (!(rate > 0.0 && rate < 1.0))
    return fm_graph_fail (g, "dropout", "rate %g is not in [0,1)", rate);
  return fm_mul (g, x, draw (g, name, x->shape, TRUE, rate));
}
