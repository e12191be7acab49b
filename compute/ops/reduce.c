/* reduce.c: sum, mean, maximum and minimum and their places along one axis.
 *
 * Node: in x f32, seen as [outer, axis, inner]; out [outer, inner]. attr.i: 0 the axis, 1 the kind, 2 whether the axis
 * stays with size 1; attr.f[0] a factor on the sum. A long axis is cut into pieces whose results go to the workspace
 * and are combined in order: how it is cut depends on the shape alone, so every thread count gives the same bits.
 * A minimum is the maximum of what is negated on its way. One NaN makes the result NaN, its place the first. */
#include "compute/ops/reduce.h"

#include <math.h>
#include <string.h>

typedef enum { SUM, MAX_, ARGMAX, MIN_, ARGMIN, N_KINDS } Kind; /* reduce.comp has the same order */

#define COLUMNS 1024 /* accumulators of one task: 4 KiB, so that they stay in the first cache */

typedef struct
{
  gint64 outer, axis, inner;
  gint64 piece, pieces;   /* of the axis */
  gint64 width, widths;   /* of inner */
} Cut;

static gboolean
gives_place (Kind kind)
{
  return kind == ARGMAX || kind == ARGMIN;
}

static Cut
cut_up (const FmNode *node)
{
  const FmShape *shape = &node->in[0]->shape;
  Cut c = { 1, shape->dims[node->attr.i[0]], 1 };

  for (guint a = 0; a < shape->rank; a++)
    if (a < node->attr.i[0])
      c.outer *= shape->dims[a];
    else if (a > node->attr.i[0])
      c.inner *= shape->dims[a];
  c.width = MIN (c.inner, COLUMNS);
  c.widths = (c.inner + c.width - 1) / c.width;
  c.piece = c.axis;
  if (!gives_place (node->attr.i[1]) && c.axis * c.width > 2 * FM_CPU_BLOCK)
    c.piece = MAX (32, FM_CPU_BLOCK / c.width);
  c.pieces = (c.axis + c.piece - 1) / c.piece;
  return c;
}

static gboolean
infer (FmNode *node)
{
  const FmShape *in = &node->in[0]->shape;
  FmShape *out = &node->out[0]->shape;

  if (node->in[0]->type != FM_F32)
    {
      fm_graph_fail (node->graph, node->op->name, "needs f32, not i32; cast the operand");
      return FALSE;
    }
  node->out[0]->type = gives_place (node->attr.i[1]) ? FM_I32 : FM_F32;
  *out = *in;
  out->dims[node->attr.i[0]] = 1;
  if (node->attr.i[2] || in->rank == 1)
    return TRUE;
  out->rank = 0;
  for (guint a = 0; a < in->rank; a++)
    if (a != node->attr.i[0])
      out->dims[out->rank++] = in->dims[a];
  return TRUE;
}

/* --- CPU ----------------------------------------------------------------------------------------------------------*/

/* @rows rows of @n, @stride apart, each to one number. */
FM_KERNEL (void, reduce_rows, (Kind kind, gint64 rows, gint64 n, gint64 stride, const float *x, float scale,
                               float *out),
           (kind, rows, n, stride, x, scale, out))
{
  float sign = kind == MIN_ || kind == ARGMIN ? -1.0f : 1.0f;

  for (gint64 r = 0; r < rows; r++, x += stride)
    if (kind == SUM)
      {
        float sum = 0.0f;

        /* In blocks, so that the rounding of a long row grows with their number, not with the length. */
        for (gint64 b = 0; b < n; b += 1024)
          {
            gint64 end = MIN (n, b + 1024);
            float part = 0.0f;

#pragma omp simd reduction(+ : part)
            for (gint64 i = b; i < end; i++)
              part += x[i];
            sum += part;
          }
        out[r] = sum * scale;
      }
    else
      {
        float most = -INFINITY;
        gint32 bad = 0, at = 0; /* NaN is in no maximum */

#pragma omp simd reduction(max : most) reduction(| : bad)
        for (gint64 i = 0; i < n; i++)
          {
            float v = x[i] * sign;

            most = v > most ? v : most;
            bad |= v != v;
          }
        if (!gives_place (kind))
          {
            out[r] = bad ? NAN : most * sign;
            continue;
          }
        while (at < n - 1 && (bad ? x[at] == x[at] : x[at] * sign != most))
          at++;
        ((gint32 *) out)[r] = at;
      }
}

/* @n rows of @width, @stride apart, combined down to one row of @width; four rows a pass spare the accumulator. */
FM_KERNEL (void, reduce_columns, (Kind kind, gint64 n, gint64 width, gint64 stride, const float *x, float scale,
                                  float *out),
           (kind, n, width, stride, x, scale, out))
{
  float acc[COLUMNS], sign = kind == MIN_ || kind == ARGMIN ? -1.0f : 1.0f;
  gint64 r = 0;

  for (gint64 j = 0; j < width; j++)
    acc[j] = kind == SUM ? 0.0f : -INFINITY;
  if (kind == SUM)
    {
      for (; r + 4 <= n; r += 4)
        {
          const float *a = x + r * stride, *b = a + stride, *c = b + stride, *d = c + stride;
#pragma omp simd
          for (gint64 j = 0; j < width; j++)
            acc[j] += (a[j] + b[j]) + (c[j] + d[j]);
        }
      for (; r < n; r++)
        for (gint64 j = 0; j < width; j++)
          acc[j] += x[r * stride + j];
      for (gint64 j = 0; j < width; j++)
        out[j] = acc[j] * scale;
    }
  else if (!gives_place (kind))
    {
      for (; r < n; r++)
        for (gint64 j = 0; j < width; j++)
          {
            float v = x[r * stride + j] * sign;

            acc[j] = v > acc[j] || v != v ? v : acc[j]; /* once NaN, nothing is more */
          }
      for (gint64 j = 0; j < width; j++)
        out[j] = acc[j] * sign;
    }
  else
    {
      gint32 *at = (gint32 *) out;

      memset (at, 0, width * sizeof *at);
      for (; r < n; r++)
        for (gint64 j = 0; j < width; j++)
          {
            float v = x[r * stride + j] * sign;
            gboolean more = v > acc[j] || (v != v && acc[j] == acc[j]);

            acc[j] = more ? v : acc[j];
            at[j] = more ? (gint32) r : at[j];
          }
    }
}

static void
cpu (const FmNode *node, const FmCpuArgs *args)
{
  Cut c = cut_up (node);
  Kind kind = node->attr.i[1];
  const float *x = args->in[0];
  float *out = args->out[0], *parts = c.pieces > 1 ? args->workspace : out;
  float scale = node->attr.f[0], first_scale = c.pieces > 1 ? 1.0f : scale;
  gboolean large = c.outer * c.axis * c.inner >= 2 * FM_CPU_BLOCK;

  if (c.inner == 1 && c.pieces == 1)
    {
      gint64 group = MAX (1, FM_CPU_BLOCK / c.axis), groups = (c.outer + group - 1) / group;

#pragma omp parallel for schedule(static) num_threads(args->threads) if (large && groups > 1)
      for (gint64 i = 0; i < groups; i++)
        reduce_rows (kind, MIN (group, c.outer - i * group), c.axis, c.axis, x + i * group * c.axis, scale,
                     out + i * group);
      return;
    }

#pragma omp parallel for schedule(static) num_threads(args->threads) if (large)
  for (gint64 i = 0; i < c.outer * c.pieces * c.widths; i++)
    {
      gint64 w = i % c.widths, p = i / c.widths % c.pieces, o = i / (c.widths * c.pieces);
      const float *from = x + (o * c.axis + p * c.piece) * c.inner + w * c.width;
      float *to = parts + (o * c.pieces + p) * c.inner + w * c.width;
      gint64 n = MIN (c.piece, c.axis - p * c.piece);

      if (c.inner == 1)
        reduce_rows (kind, 1, n, n, from, first_scale, to);
      else
        reduce_columns (kind, n, MIN (c.width, c.inner - w * c.width), c.inner, from, first_scale, to);
    }
  if (c.pieces == 1)
    return;
#pragma omp parallel for schedule(static) num_threads(args->threads) \
  if (c.outer * c.pieces * c.inner >= 2 * FM_CPU_BLOCK)
  for (gint64 i = 0; i < c.outer * c.widths; i++)
    {
      gint64 w = i % c.widths, o = i / c.widths;
      const float *from = parts + o * c.pieces * c.inner + w * c.width;
      float *to = out + o * c.inner + w * c.width;

      if (c.inner == 1)
        reduce_rows (kind, 1, c.pieces, c.pieces, from, scale, to);
      else
        reduce_columns (kind, c.pieces, MIN (c.width, c.inner - w * c.width), c.inner, from, scale, to);
    }
}

static void
cost (const FmNode *node, FmCost *cost_)
{
  gint64 n = fm_shape_count (&node->in[0]->shape);

  cost_->flops = n;
  cost_->bytes = 4.0 * (n + fm_shape_count (&node->out[0]->shape));
}

/* --- Vulkan -------------------------------------------------------------------------------------------------------*/

/* A long axis with few workgroups beside it is cut so that some 512 of them have work; two passes then. */
static guint32
vulkan_piece (guint64 outer, guint64 axis, guint64 inner)
{
  guint64 groups = outer * ((inner + 31) / 32);

  return axis <= 256 || groups >= 256 ? axis : MAX (64, axis * groups / 512);
}

static gsize
vulkan_workspace (guint64 outer, guint64 axis, guint64 inner)
{
  guint64 piece = vulkan_piece (outer, axis, inner), pieces = (axis + piece - 1) / piece;

  return pieces > 1 ? outer * pieces * inner * sizeof (float) : 0;
}

static gboolean
dispatch_pass (FmVulkanRecorder *recorder, FmTensor *in, guint64 offset, FmTensor *out, guint64 outer, guint64 axis,
               guint64 inner, guint32 piece, Kind kind, float scale, GError **error)
{
  struct { guint32 offset, outer, axis, inner, columns, blocks, piece, pieces; float scale; } push = {
    (guint32) offset, (guint32) outer, (guint32) axis, (guint32) inner, 1, 0, piece,
    (guint32) ((axis + piece - 1) / piece), scale };

  while (push.columns < inner && push.columns < (piece < 64 ? 128 : 32))
    push.columns *= 2;
  push.blocks = (guint32) ((inner + push.columns - 1) / push.columns);
  return fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){
    .shader = "reduce", .bind = { in, out }, .n_bind = 2, .push = &push, .push_bytes = sizeof push,
    .spec = { kind }, .n_spec = 1, .local_x = 128, .groups = outer * push.pieces * push.blocks }, error);
}

static gboolean
dispatch (FmVulkanRecorder *recorder, FmTensor *in, guint64 offset, FmTensor *out, guint64 outer, guint64 axis,
          guint64 inner, Kind kind, float scale, GError **error)
{
  guint32 piece = gives_place (kind) ? axis : vulkan_piece (outer, axis, inner), pieces = (axis + piece - 1) / piece;

  if (pieces <= 1)
    return dispatch_pass (recorder, in, offset, out, outer, axis, inner, axis, kind, scale, error);
  return dispatch_pass (recorder, in, offset, FM_VULKAN_WORKSPACE, outer, axis, inner, piece, kind, 1.0f, error) &&
         dispatch_pass (recorder, FM_VULKAN_WORKSPACE, 0, out, outer, pieces, inner, pieces, kind, scale, error);
}

static gboolean
vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  Cut c = cut_up (node);

  return dispatch (recorder, node->in[0], node->in[0]->offset, node->out[0], c.outer, c.axis, c.inner, node->attr.i[1],
                   node->attr.f[0], error);
}

gboolean
fm_reduce_dispatch (FmVulkanRecorder *recorder, FmTensor *in, guint64 offset, FmTensor *out, guint64 axis,
                    guint64 inner, GError **error)
{
  return dispatch_pass (recorder, in, offset, out, 1, axis, inner, axis, SUM, 1.0f, error);
}

static gsize
workspace (const FmNode *node, FmBackend backend, guint threads)
{
  Cut c = cut_up (node);

  if (backend == FM_BACKEND_VULKAN)
    return gives_place (node->attr.i[1]) ? 0 : vulkan_workspace (c.outer, c.axis, c.inner);
  return c.pieces > 1 ? c.outer * c.pieces * c.inner * sizeof (float) : 0;
}

/* --- Gradients ----------------------------------------------------------------------------------------------------*/

static FmShape
kept_shape (const FmNode *node)
{
  FmShape shape = node->in[0]->shape;

  shape.dims[node->attr.i[0]] = 1;
  return shape;
}

static void
sum_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmTensor *d = fm_reshape (g, dy[0], kept_shape (node));

  if (node->attr.f[0] != 1.0)
    d = fm_mul_scalar (g, d, node->attr.f[0]);
  dx[0] = fm_expand (g, d, node->in[0]->shape);
}

/* The first of equal largest elements has it all. */
static void
max_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  guint rank = node->in[0]->shape.rank, axis = node->attr.i[0];
  FmTensor *x = node->in[0], *place = node->attr.i[1] == MAX_ ? fm_argmax (g, x, axis) : fm_argmin (g, x, axis);
  gint axes[FM_MAX_RANK];

  place = fm_one_hot (g, place, x->shape.dims[axis]);
  if (rank == 1)
    place = fm_reshape (g, place, x->shape);
  else
    {
      for (guint a = 0; a < rank; a++)
        axes[a] = a < axis ? a : a == axis ? rank - 1 : a - 1;
      place = fm_permute (g, place, axes);
    }
  dx[0] = fm_mul (g, place, fm_reshape (g, dy[0], kept_shape (node)));
}

static void
no_change (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
}

#define ROW(id, rule) \
  { .name = id, .n_in_min = 1, .n_in_max = 1, .n_out = 1, .infer = infer, .gradient = rule, .cpu = cpu, \
    .vulkan = vulkan, .workspace = workspace, .cost = cost }

static const FmOp rows[N_KINDS] = {
  [SUM] = ROW ("sum", sum_gradient),
  [MAX_] = ROW ("max", max_gradient),
  [ARGMAX] = ROW ("argmax", no_change), /* an index is flat wherever it has a derivative */
  [MIN_] = ROW ("min", max_gradient),
  [ARGMIN] = ROW ("argmin", no_change),
};

FM_OPS (reduce, &rows[SUM], &rows[MAX_], &rows[ARGMAX], &rows[MIN_], &rows[ARGMIN]);

static FmTensor *
reduce (FmGraph *g, FmTensor *x, gint axis, Kind kind, gboolean keep, gdouble scale, const char *what)
{
  if (fm_graph_failed (g))
    return g->poison;
  axis = fm_axis (x, axis, what);
  if (axis < 0)
    return g->poison;
  return fm_op1 (g, &rows[kind], &(FmAttr){ .i = { axis, kind, keep }, .f = { scale } }, 1, x);
}

FmTensor *
fm_sum (FmGraph *g, FmTensor *x, gint axis)
{
  FM_REFUSE_NULL (g, "sum", x);
  return reduce (g, x, axis, SUM, FALSE, 1.0, "sum");
}

FmTensor *
fm_sum_keep (FmGraph *g, FmTensor *x, gint axis)
{
  FM_REFUSE_NULL (g, "sum keep", x);
  return reduce (g, x, axis, SUM, TRUE, 1.0, "sum");
}

FmTensor *
fm_mean (FmGraph *g, FmTensor *x, gint axis)
{
  FM_REFUSE_NULL (g, "mean", x);
  return reduce (g, x, axis, SUM, FALSE, 1.0 / fm_tensor_get_dim (x, axis), "mean");
}

FmTensor *
fm_max (FmGraph *g, FmTensor *x, gint axis)
{
  FM_REFUSE_NULL (g, "max", x);
  return reduce (g, x, axis, MAX_, FALSE, 1.0, "max");
}

FmTensor *
fm_mean_keep (FmGraph *g, FmTensor *x, gint axis)
{
  FM_REFUSE_NULL (g, "mean keep", x);
  return reduce (g, x, axis, SUM, TRUE, 1.0 / fm_tensor_get_dim (x, axis), "mean");
}

FmTensor *
fm_max_keep (FmGraph *g, FmTensor *x, gint axis)
{
  FM_REFUSE_NULL (g, "max keep", x);
  return reduce (g, x, axis, MAX_, TRUE, 1.0, "max");
}

FmTensor *
fm_min (FmGraph *g, FmTensor *x, gint axis)
{
  FM_REFUSE_NULL (g, "min", x);
  return reduce (g, x, axis, MIN_, FALSE, 1.0, "min");
}

FmTensor *
fm_argmin (FmGraph *g, FmTensor *x, gint axis)
{
  FM_REFUSE_NULL (g, "argmin", x);
  return reduce (g, x, axis, ARGMIN, FALSE, 1.0, "argmin");
}

FmTensor *
fm_argmax (FmGraph *g, FmTensor *x, gint axis)
{
  FM_REFUSE_NULL (g, "argmax", x);
  return reduce (g, x, axis, ARGMAX, FALSE, 1.0, "argmax");
}

FmTensor *
fm_sum_all (FmGraph *g, FmTensor *x)
{
  FM_REFUSE_NULL (g, "sum all", x);
  return fm_sum (g, fm_reshape (g, x, FM_SHAPE (fm_tensor_get_count (x))), 0);
}

FmTensor *
fm_mean_all (FmGraph *g, FmTensor *x)
{
  FM_REFUSE_NULL (g, "mean all", x);
  return fm_mean (g, fm_reshape (g, x, FM_SHAPE (fm_tensor_get_count (x))), 0);
}

FmTensor *
fm_sum_axes (FmGraph *g, FmTensor *x, const gint *axes, guint n)
{
  FM_REFUSE_NULL (g, "sum axes", x);
  FmShape shape;

  if (fm_graph_failed (g))
    return g->poison;
  shape = x->shape;
  for (guint i = 0; i < n; i++)
    {
      gint axis = fm_axis (x, axes[i], "sum");

      if (axis < 0)
        return g->poison;
      shape.dims[axis] = 1;
    }
  return fm_sum_to (g, x, shape);
}

FmTensor *
fm_mean_axes (FmGraph *g, FmTensor *x, const gint *axes, guint n)
{
  FM_REFUSE_NULL (g, "mean axes", x);
  FmTensor *sum = fm_sum_axes (g, x, axes, n);

  return fm_mul_scalar (g, sum, (gdouble) fm_tensor_get_count (sum) / fm_tensor_get_count (x));
}

FmTensor *
fm_variance (FmGraph *g, FmTensor *x, gint axis)
{
  FM_REFUSE_NULL (g, "variance", x);
  return fm_mean (g, fm_square (g, fm_sub (g, x, fm_mean_keep (g, x, axis))), axis);
}

FmTensor *
fm_any (FmGraph *g, FmTensor *x, gint axis)
{
  FM_REFUSE_NULL (g, "any", x);
  return fm_max (g, fm_not_equal (g, x, fm_constant (g, FM_F32, FM_SHAPE (1), 0.0)), axis);
}

FmTensor *
fm_all (FmGraph *g, FmTensor *x, gint axis)
{
  FM_REFUSE_NULL (g, "all", x);
  return fm_min (g, fm_not_equal (g, x, fm_constant (g, FM_F32, FM_SHAPE (1), 0.0)), axis);
}
