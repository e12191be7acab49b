/* random.c: uniform, normal and Gumbel draws, indices and dropout masks from Philox4x32-10, the same bits on every backend.
 *
 * Node: in seed i32 [2] (low and high word), step i32 [1]; out f32. attr.i[0]: the key of path, name and application;
 * i[1]: the kind; i[2], i[3]...: the shape, rank first; i[9] the number of indices; i[10] log2 (that + 1) in 2^-26;
 * attr.f[0] the rate of the mask.
 * Element i is lane i % 4 of the block with counter (i / 4, step). A uniform draw is (bits >> 8) 2^-24, in [0,1).
 *
 * A normal or Gumbel draw is the inverse distribution function at (bits + 1/2) 2^-32, from a table of polynomials, in
 * integer arithmetic to the end: integers have no rounding, contraction or order of evaluation to differ in. So the
 * bits are the same on every conformant driver and at every processor level, which no float formula could promise. */
#include "compute/compute-private.h"
#include "compute/ops/quantiles.h"

#include <math.h>
#include <string.h>

typedef enum { UNIFORM, MASK, NORMAL, GUMBEL, INDEX, LOG_INDEX } Kind; /* random.comp has the same order */

#define NORMAL_BITS 27 /* of the tables, after the point */
#define GUMBEL_BITS 26
#define POWER_BITS  29

#define ROW(octave, ...) { __VA_ARGS__ },
#define NUMBERS(octave, ...) __VA_ARGS__
static const gint32 normal_table[32][8] = { FM_QUANTILES_NORMAL (ROW) };
static const gint32 power[8] = { FM_POWERS_OF_TWO (NUMBERS) };
static const gint32 gumbel_table[2][32][8] = { { FM_QUANTILES_GUMBEL_LOW (ROW) }, { FM_QUANTILES_GUMBEL_HIGH (ROW) } };

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

/* @bits after the point of @q to a float, dropping what 24 bits do not hold: nothing rounds. */
FM_INLINE float
fixed_to_float (gint32 q, gint32 bits)
{
  guint32 size = q < 0 ? -(guint32) q : (guint32) q, exponent;
  gint32 drop = size >= 1u << 24 ? 8 - __builtin_clz (size) : 0;
  float scale;

  exponent = (guint32) (127 + drop - bits) << 23;
  memcpy (&scale, &exponent, sizeof scale);
  return (q < 0 ? -scale : scale) * (float) (gint32) (size >> drop);
}

/* The polynomial of the octave in which w = 2 t + 1 lies; t is the distance to the nearer end. */
FM_INLINE gint32
quantile (const gint32 table[32][8], guint32 t)
{
  guint32 w = 2 * t + 1, octave = 31 - __builtin_clz (w);
  gint32 f = (gint32) (w << (31 - octave) << 1 >> 1); /* 31 bits after the point of w / 2^octave - 1 */
  const gint32 *c = table[octave];
  gint32 acc = c[7];

  for (int k = 6; k >= 0; k--)
    acc = c[k] + (gint32) ((gint64) acc * f >> 31);
  return acc;
}

/* 2^u - 1 for u even in [0,log2 (n + 1)), rounded down: index i has a share of log ((i + 2) / (i + 1)). The product of the
 * word and the logarithm has 58 bits after the point; behind it are 2^f by a polynomial and a shift. */
FM_INLINE guint32
log_index (guint32 bits, guint32 n, guint32 log_n)
{
  guint64 u = (guint64) bits * log_n;
  guint32 whole = (guint32) (u >> 58), index;
  gint32 f = (gint32) (u >> 27 & 0x7FFFFFFF), acc = power[7];

  for (int k = 6; k >= 0; k--)
    acc = power[k] + (gint32) ((gint64) acc * f >> 31);
  index = ((guint32) acc >> (POWER_BITS - whole)) - 1;
  return index < n ? index : n - 1;
}

/* What an index is drawn from. */
typedef struct
{
  guint32 n, log_n;
} Range;

FM_INLINE float
draw_one (Kind kind, guint32 bits, float rate, float keep, Range range)
{
  float u = (float) (gint32) (bits >> 8) * 5.9604644775390625e-8f;
  gboolean upper = bits >> 31;
  guint32 t = upper ? ~bits : bits;
  gint32 q;

  switch (kind)
    {
    case MASK:
      return u >= rate ? keep : 0.0f;
    case NORMAL:
      q = quantile (normal_table, t);
      return fixed_to_float (upper ? -q : q, NORMAL_BITS);
    case GUMBEL:
      return fixed_to_float (quantile (gumbel_table[upper], t), GUMBEL_BITS);
    case INDEX:
      return (float) (gint32) ((guint64) bits * range.n >> 32);
    case LOG_INDEX:
      return (float) (gint32) log_index (bits, range.n, range.log_n);
    default:
      return u;
    }
}

FM_KERNEL (void, draw_block, (guint64 key, guint64 step, gint64 first, gint64 n, float rate, Kind kind, Range range,
                              float *out), (key, step, first, n, rate, kind, range, out))
{
  float keep = 1.0f / (1.0f - rate);

  for (gint64 i = 0; i < n; i += 4)
    {
      guint32 bits[4];

      fm_philox (key, (guint64) (first + i) / 4, step, bits);
      for (gint64 k = 0; k < 4 && i + k < n; k++)
        out[i + k] = draw_one (kind, bits[k], rate, keep, range);
    }
}

static void
cpu (const FmNode *node, const FmCpuArgs *args)
{
  const guint32 *seed = args->in[0];
  guint64 key = (guint64) node->attr.i[0] ^ ((guint64) seed[1] << 32 | seed[0]);
  guint32 step = *(const guint32 *) args->in[1];
  gint64 n = fm_shape_count (&node->out[0]->shape);
  Range range = { (guint32) node->attr.i[9], (guint32) node->attr.i[10] };

#pragma omp parallel for schedule(static) num_threads(args->threads) if (n >= 2 * FM_CPU_BLOCK)
  for (gint64 i = 0; i < n; i += FM_CPU_BLOCK)
    draw_block (key, step, i, MIN (FM_CPU_BLOCK, n - i), node->attr.f[0], node->attr.i[1], range,
                (float *) args->out[0] + i);
}

static gboolean
vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  guint64 key = node->attr.i[0];
  struct { guint32 count, key_low, key_high, seed, step; float rate, keep; guint32 n, log_n; } push = {
    (guint32) fm_shape_count (&node->out[0]->shape), (guint32) key, (guint32) (key >> 32),
    (guint32) node->in[0]->offset, (guint32) node->in[1]->offset, node->attr.f[0],
    1.0f / (1.0f - (float) node->attr.f[0]), (guint32) node->attr.i[9], (guint32) node->attr.i[10] };

  return fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){
    .shader = "random", .bind = { node->in[0], node->in[1], node->out[0] }, .n_bind = 3, .push = &push,
    .push_bytes = sizeof push, .spec = { node->attr.i[1] }, .n_spec = 1, .groups = (push.count + 511) / 512 }, error);
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
draw_range (FmGraph *g, const char *name, FmShape shape, Kind kind, gdouble rate, gint64 n)
{
  g_autofree char *path = NULL;
  FmAttr attr = { .f = { rate } };

  if (fm_graph_failed (g))
    return g->poison;
  if (shape.rank < 1 || shape.rank > FM_MAX_RANK)
    return fm_graph_fail (g, "random", "draws have 1 to %d axes, not %u", FM_MAX_RANK, shape.rank);
  path = g_strdup_printf ("%s.%s#%u", fm_graph_get_scope (g), name, g->application);
  attr.i[0] = (gint64) fm_hash (path);
  attr.i[1] = kind;
  attr.i[2] = shape.rank;
  for (guint a = 0; a < shape.rank; a++)
    attr.i[3 + a] = shape.dims[a];
  attr.i[9] = n;
  attr.i[10] = (gint64) ceil (log2 ((gdouble) n + 1.0) * (1 << 26));
  return fm_op1 (g, &row, &attr, 2, fm_graph_input (g, "@seed", FM_I32, FM_SHAPE (2)),
                 fm_graph_input (g, "@step", FM_I32, FM_SHAPE (1)));
}

static FmTensor *
draw (FmGraph *g, const char *name, FmShape shape, Kind kind, gdouble rate)
{
  return draw_range (g, name, shape, kind, rate, 1);
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
  return draw (g, name, shape, UNIFORM, 0.0);
}

/**
 * fm_normal:
 *
 * Draws of mean 0 and variance 1, within 6.4 of 0; off the exact quantile by 1e-7 at the most, or a rounding.
 */
FmTensor *
fm_normal (FmGraph *g, const char *name, FmShape shape)
{
  return draw (g, name, shape, NORMAL, 0.0);
}

/**
 * fm_gumbel:
 *
 * -log (-log u): the largest of logits plus such draws is a draw from their softmax. In [-3.2,22.9], off by 3e-7 at the
 * most, or a rounding. Source: Gumbel 1954, "Statistical theory of extreme values and some practical applications".
 */
FmTensor *
fm_gumbel (FmGraph *g, const char *name, FmShape shape)
{
  return draw (g, name, shape, GUMBEL, 0.0);
}

/**
 * fm_permutation:
 * @shape: i32 `[..,N]`: a permutation of 0..N-1 along the last axis, drawn anew for each row
 *
 * The places of sorted uniform draws. Equal draws, one pair in 2^24, keep their order.
 */
FmTensor *
fm_permutation (FmGraph *g, const char *name, FmShape shape)
{
  return fm_argsort (g, draw (g, name, shape, UNIFORM, 0.0), FALSE);
}

/**
 * fm_random_index:
 * @n: up to 2^24, which f32 counts exactly
 *
 * Shares are right to 2^-32, log-uniform ones to 2e-8 of their borders. Returns: i32; no gradient (zero)
 */
FmTensor *
fm_random_index (FmGraph *g, const char *name, FmShape shape, gint64 n, gboolean log_uniform)
{
  if (fm_graph_failed (g))
    return g->poison;
  if (n < 1 || n > 1 << 24)
    return fm_graph_fail (g, "random-index", "%" G_GINT64_FORMAT " indices: must be 1 to 2^24", n);
  return fm_cast (g, draw_range (g, name, shape, log_uniform ? LOG_INDEX : INDEX, 0.0, n), FM_I32);
}

/**
 * fm_bernoulli:
 * @p: f32, the probability of a 1 for each element
 *
 * Returns: f32 0 or 1 of @p's shape; no gradient reaches @p
 */
FmTensor *
fm_bernoulli (FmGraph *g, const char *name, FmTensor *p)
{
  FM_REFUSE_NULL (g, "bernoulli", p);
  if (fm_graph_failed (g))
    return g->poison;
  return fm_less (g, draw (g, name, p->shape, UNIFORM, 0.0), p);
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
  return fm_mul (g, x, draw (g, name, x->shape, MASK, rate));
}

/**
 * fm_stochastic_depth:
 * @x: f32 `[B,..]`, a residual branch
 * @rate: share of examples whose branch is dropped whole, in [0,1); the others are multiplied by 1 / (1 - rate)
 *
 * Source: Huang et al. 2016, arXiv:1603.09382.
 */
FmTensor *
fm_stochastic_depth (FmGraph *g, const char *name, FmTensor *x, gdouble rate)
{
  FM_REFUSE_NULL (g, "stochastic depth", x);
  FmShape shape;

  if (fm_graph_failed (g) || rate == 0.0)
    return x;
  if (!(rate > 0.0 && rate < 1.0))
    return fm_graph_fail (g, "stochastic-depth", "rate %g is not in [0,1)", rate);
  shape = x->shape;
  for (guint a = 1; a < shape.rank; a++)
    shape.dims[a] = 1;
  return fm_mul (g, x, draw (g, name, shape, MASK, rate));
}
