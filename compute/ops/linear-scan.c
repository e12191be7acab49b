/* linear-scan.c: the gated diagonal linear recurrence h_t = a_t h_{t-1} + b_t along the axis before the last.
 *
 * linear-scan: a, b f32 [..,N,D], h0 [..,D] or absent (zeros) -> h [..,N,D]. attr.i[0]: 1 runs from the end to the start,
 * h_t = a_t h_{t+1} + b_t. Its gradient is the same recurrence the other way round, so every order of derivative exists.
 * Used by diagonal state-space models and gated recurrences (S4D, S6, LRU, RG-LRU, HGRN). */
#include "config.h"

#include "compute/compute-private.h"

#include <string.h>

/* Columns that one walk along N carries in registers or L1. */
#define COLUMNS 256
#define JOIN 64 /* steps of fm_scan() in one concatenation */

static const FmOp linear_scan_op;

static gboolean
linear_scan_infer (FmNode *node)
{
  FmTensor *a = node->in[0], *b = node->in[1], *h0 = node->n_in > 2 ? node->in[2] : NULL;
  gboolean fits = a->type == FM_F32 && b->type == FM_F32 && a->shape.rank >= 2 && fm_shape_equal (&a->shape, &b->shape);

  if (fits && h0)
    {
      guint rank = a->shape.rank;

      fits = h0->type == FM_F32 && h0->shape.rank == rank - 1 && h0->shape.dims[rank - 2] == a->shape.dims[rank - 1]
             && fm_shape_count (&h0->shape) * a->shape.dims[rank - 2] == fm_shape_count (&a->shape);
    }
  if (!fits)
    {
      g_autofree char *sa = fm_shape_to_string (&a->shape), *sb = fm_shape_to_string (&b->shape);
      g_autofree char *sh = h0 ? fm_shape_to_string (&h0->shape) : g_strdup ("none");

      fm_graph_fail (node->graph, "linear-scan", "needs f32 factors and terms [..,N,D] of one shape and a start [..,D], not "
                     "%s, %s and %s", sa, sb, sh);
      return FALSE;
    }
  node->out[0]->type = FM_F32;
  node->out[0]->shape = a->shape;
  return TRUE;
}

static void
sizes_of (const FmNode *node, gint64 *outer, gint64 *n, gint64 *d)
{
  const FmShape *shape = &node->in[0]->shape;

  *d = shape->dims[shape->rank - 1];
  *n = shape->dims[shape->rank - 2];
  *outer = fm_shape_count (shape) / MAX (1, *d * *n);
}

FM_KERNEL (void, scan_columns, (gint64 n, gint64 width, gint64 step, const float *a, const float *b, const float *h0,
                                float *h), (n, width, step, a, b, h0, h))
{
  float carried[COLUMNS];

  for (gint64 j = 0; j < width; j++)
    carried[j] = h0 ? h0[j] : 0.0f;
  for (gint64 t = 0; t < n; t++, a += step, b += step, h += step)
    {
#pragma omp simd
      for (gint64 j = 0; j < width; j++)
        h[j] = carried[j] = a[j] * carried[j] + b[j];
    }
}

static void
linear_scan_cpu (const FmNode *node, const FmCpuArgs *args)
{
  gint64 outer, n, d, blocks;
  gboolean reverse = node->attr.i[0] != 0;

  sizes_of (node, &outer, &n, &d);
  blocks = (d + COLUMNS - 1) / COLUMNS;
#pragma omp parallel for schedule(static) num_threads(args->threads) if (outer * n * d >= 2 * FM_CPU_BLOCK)
  for (gint64 i = 0; i < outer * blocks; i++)
    {
      gint64 column = i % blocks * COLUMNS, at = i / blocks * n * d + column + (reverse ? (n - 1) * d : 0);
      const float *h0 = node->n_in > 2 && args->in[2] ? (const float *) args->in[2] + i / blocks * d + column : NULL;

      scan_columns (n, MIN (COLUMNS, d - column), reverse ? -d : d, (const float *) args->in[0] + at,
                    (const float *) args->in[1] + at, h0, (float *) args->out[0] + at);
    }
}

static gboolean
linear_scan_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  gint64 outer, n, d;
  FmTensor *h0 = node->n_in > 2 ? node->in[2] : NULL;
  struct { guint32 a, b, h0, outer, n, d, reverse, has_start; } push;

  sizes_of (node, &outer, &n, &d);
  push.a = (guint32) node->in[0]->offset;
  push.b = (guint32) node->in[1]->offset;
  push.h0 = h0 ? (guint32) h0->offset : 0;
  push.outer = (guint32) outer;
  push.n = (guint32) n;
  push.d = (guint32) d;
  push.reverse = node->attr.i[0] != 0;
  push.has_start = h0 != NULL;
  return fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){
    .shader = "linear-scan", .bind = { node->in[0], node->in[1], h0 ? h0 : node->in[0], node->out[0] }, .n_bind = 4,
    .push = &push, .push_bytes = sizeof push, .groups = (outer * d + 127) / 128 }, error);
}

static void
linear_scan_cost (const FmNode *node, FmCost *cost)
{
  gdouble count = fm_shape_count (&node->in[0]->shape);

  cost->flops = 2 * count;
  cost->bytes = 12 * count;
}

/* x [..,N,D] one place later along N (earlier with @back), @first [..,D] (NULL: zeros) taking the place that is free. */
static FmTensor *
shifted (FmGraph *g, FmTensor *x, FmTensor *first, gboolean back)
{
  gint axis = (gint) x->shape.rank - 2;
  gint64 n = x->shape.dims[axis];
  FmShape shape = x->shape;
  FmTensor *parts[2];

  shape.dims[axis] = 1;
  parts[0] = first ? fm_reshape (g, first, shape) : fm_constant (g, FM_F32, shape, 0.0);
  if (n == 1)
    return parts[0];
  parts[1] = fm_slice (g, x, axis, back ? 1 : 0, n - 1);
  return fm_concat (g, back ? (FmTensor *[]){ parts[1], parts[0] } : parts, 2, axis);
}

/* With u the gradient by h_t through everything later: u_t = dy_t + a_{t+1} u_{t+1}; db = u, da_t = u_t h_{t-1},
 * dh0 = a_0 u_0. */
static void
linear_scan_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  gboolean reverse = node->attr.i[0] != 0;
  FmAttr attr = { .i = { !reverse } };
  FmTensor *a = node->in[0], *h0 = node->n_in > 2 ? node->in[2] : NULL;
  FmTensor *u = fm_op1 (g, &linear_scan_op, &attr, 2, shifted (g, a, NULL, !reverse), dy[0]);

  dx[1] = u;
  dx[0] = fm_mul (g, u, shifted (g, node->out[0], h0, reverse));
  if (h0)
    {
      gint axis = (gint) a->shape.rank - 2;
      gint64 at = reverse ? a->shape.dims[axis] - 1 : 0;

      dx[2] = fm_reshape (g, fm_mul (g, fm_slice (g, a, axis, at, 1), fm_slice (g, u, axis, at, 1)), h0->shape);
    }
}

static const FmOp linear_scan_op = {
  .name = "linear-scan", .n_in_min = 2, .n_in_max = 3, .n_out = 1,
  .infer = linear_scan_infer, .gradient = linear_scan_gradient, .cpu = linear_scan_cpu, .vulkan = linear_scan_vulkan,
  .cost = linear_scan_cost,
};

FmTensor *
fm_linear_scan (FmGraph *g, FmTensor *a, FmTensor *b, FmTensor *h0, gboolean reverse)
{
  FM_REFUSE_NULL (g, "linear scan", a, b);
  if (fm_graph_failed (g))
    return g->poison;
  if (a->type == FM_F32 && b->type == FM_F32 && a->shape.rank == b->shape.rank)
    a = fm_expand (g, a, b->shape); /* one factor for all columns or steps */
  return fm_op1 (g, &linear_scan_op, &(FmAttr){ .i = { reverse != FALSE } }, h0 ? 3 : 2, a, b, h0);
}

FmTensor *
fm_scan (FmGraph *g, FmScanFunc step, FmTensor * const *x, guint n_x, FmTensor **state, guint n_state, gboolean reverse,
         gpointer user_data)
{
  gint64 length;
  g_autofree FmTensor **now = g_new (FmTensor *, MAX (n_x, 1)), **y = NULL;

  if (fm_graph_failed (g))
    return g->poison;
  if (n_x == 0 || x[0]->shape.rank < 2)
    return fm_graph_fail (g, "scan", "needs a sequence [B,N,..] to walk along");
  length = x[0]->shape.dims[1];
  for (guint k = 1; k < n_x; k++)
    if (x[k]->shape.rank < 2 || x[k]->shape.dims[1] != length)
      {
        g_autofree char *shape = fm_shape_to_string (&x[k]->shape);

        return fm_graph_fail (g, "scan", "sequence %u has shape %s: axis 1 must be %" G_GINT64_FORMAT " like that of the "
                              "first", k, shape, length);
      }
  y = g_new (FmTensor *, length);
  for (gint64 i = 0; i < length && !fm_graph_failed (g); i++)
    {
      gint64 t = reverse ? length - 1 - i : i;

      for (guint k = 0; k < n_x; k++)
        {
          FmShape shape = { .rank = x[k]->shape.rank - 1 };

          shape.dims[0] = x[k]->shape.dims[0];
          for (guint axis = 1; axis < shape.rank; axis++)
            shape.dims[axis] = x[k]->shape.dims[axis + 1];
          now[k] = fm_reshape (g, fm_slice (g, x[k], 1, t, 1), shape);
        }
      y[t] = step (g, now, state, user_data);
      if (!fm_graph_failed (g) && y[t])
        {
          FmShape shape = { .rank = y[t]->shape.rank + 1 };

          if (shape.rank > FM_MAX_RANK)
            return fm_graph_fail (g, "scan", "a step's result has rank %u: at most %d", y[t]->shape.rank, FM_MAX_RANK - 1);
          shape.dims[0] = y[t]->shape.dims[0];
          shape.dims[1] = 1;
          for (guint axis = 1; axis < y[t]->shape.rank; axis++)
            shape.dims[axis + 1] = y[t]->shape.dims[axis];
          y[t] = fm_reshape (g, y[t], shape);
        }
    }
  if (fm_graph_failed (g))
    return g->poison;
  if (y[0] == NULL)
    return NULL;
  /* A concatenation takes so many tensors: join neighbours, round after round. */
  for (gint64 have = length; have > 1;)
    {
      gint64 left = 0;

      for (gint64 i = 0; i < have; i += JOIN)
        y[left++] = fm_concat (g, y + i, (guint) MIN (JOIN, have - i), 1);
      have = left;
    }
  return y[0];
}

FM_OPS (linear_scan, &linear_scan_op);
