/* top-k.c: the k largest along the last axis, largest first, the lower index first among equals.
 *
 * top-k: x [..,n] -> values [..,k], index i32 [..,k]. Attribute: i[0] k.
 * put-last: dy [..,k], index [..,k] -> [..,n]: zeros but for dy where the index says (indices of a row differ).
 *   Attribute: i[0] n. take-last: x [..,n], index [..,k] -> [..,k]. Gradients of each other.
 * NaN has no place in the order: x must be free of it. */
#include "config.h"

#include "compute/compute-private.h"

#include <string.h>

/* Up to here a row's best are kept in a sorted list; beyond, the row's indices are sorted. */
#define SMALL_K 32

static const FmOp put_last_op, take_last_op;

static gboolean
top_k_infer (FmNode *node)
{
  node->out[0]->type = FM_F32;
  node->out[1]->type = FM_I32;
  node->out[0]->shape = node->in[0]->shape;
  node->out[0]->shape.dims[node->out[0]->shape.rank - 1] = node->attr.i[0];
  node->out[1]->shape = node->out[0]->shape;
  return TRUE;
}

static void
top_k_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmAttr attr = { .i = { node->in[0]->shape.dims[node->in[0]->shape.rank - 1] } };

  if (dy[0])
    dx[0] = fm_op1 (g, &put_last_op, &attr, 2, dy[0], node->out[1]);
}

static gint
compare (gconstpointer a, gconstpointer b, gpointer row)
{
  gint32 i = *(const gint32 *) a, j = *(const gint32 *) b;
  const float *x = row;

  if (x[i] != x[j])
    return x[i] > x[j] ? -1 : 1;
  return i < j ? -1 : i > j;
}

static void
top_k_row (const float *x, gint64 n, gint64 k, float *value, gint32 *index, gint32 *order)
{
  gint64 have = 0;

  if (k > SMALL_K)
    {
      for (gint64 i = 0; i < n; i++)
        order[i] = (gint32) i;
      g_qsort_with_data (order, (gint) n, sizeof *order, compare, (gpointer) x);
      for (gint64 i = 0; i < k; i++)
        {
          index[i] = order[i];
          value[i] = x[order[i]];
        }
      return;
    }
  for (gint64 i = 0; i < n; i++)
    {
      gint64 at = have < k ? have++ : k;

      if (at == k)
        {
          if (!(x[i] > value[k - 1]))
            continue;
          at = k - 1;
        }
      for (; at > 0 && x[i] > value[at - 1]; at--)
        {
          value[at] = value[at - 1];
          index[at] = index[at - 1];
        }
      value[at] = x[i];
      index[at] = (gint32) i;
    }
}

static void
top_k_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const float *x = args->in[0];
  float *value = args->out[0];
  gint32 *index = args->out[1];
  gint64 k = node->attr.i[0], n = node->in[0]->shape.dims[node->in[0]->shape.rank - 1];
  gint64 rows = fm_shape_count (&node->in[0]->shape) / n, block = MAX (1, FM_CPU_BLOCK / 4 / n);
  gint64 blocks = (rows + block - 1) / block;

#pragma omp parallel for schedule(static) num_threads(args->threads) if (blocks > 1)
  for (gint64 i = 0; i < blocks; i++)
    {
      g_autofree gint32 *order = k > SMALL_K ? g_new (gint32, n) : NULL;

      for (gint64 row = i * block; row < MIN (rows, (i + 1) * block); row++)
        top_k_row (x + row * n, n, k, value + row * k, index + row * k, order);
    }
}

static gboolean
top_k_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmTensor *x = node->in[0], *value = node->out[0], *index = node->out[1];
  guint32 count = fm_shape_count (&x->shape);
  struct { guint32 count, n, k, x_offset, value_offset, index_offset; } push = {
    count, x->shape.dims[x->shape.rank - 1], node->attr.i[0], x->offset, value->offset, index->offset };
  FmVulkanDispatch dispatch = { .shader = "top-k", .bind = { x, value, index }, .n_bind = 3, .push = &push,
                                .push_bytes = sizeof push, .groups = ((guint64) count + 127) / 128 };

  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

static const FmOp top_k_op = {
  .name = "top-k", .n_in_min = 1, .n_in_max = 1, .n_out = 2,
  .infer = top_k_infer, .gradient = top_k_gradient, .cpu = top_k_cpu, .vulkan = top_k_vulkan,
};

FmTensor *
fm_top_k (FmGraph *g, FmTensor *x, gint64 k, FmTensor **index)
{
  FmAttr attr = { .i = { k } };
  FmNode *node;

  *index = g->poison;
  if (fm_graph_failed (g))
    return g->poison;
  if (x->type != FM_F32 || x->shape.rank < 1)
    return fm_graph_fail (g, "top-k", "wants f32 with at least one axis");
  if (k < 1 || k > x->shape.dims[x->shape.rank - 1])
    return fm_graph_fail (g, "top-k", "k = %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT "; wants 1 to the size of the "
                          "last axis", k, x->shape.dims[x->shape.rank - 1]);
  node = fm_node_new (g, &top_k_op, &x, 1, &attr);
  if (!node)
    return g->poison;
  *index = node->out[1];
  return node->out[0];
}

/* --- Gradients ----------------------------------------------------------------------------------------------------*/

static gboolean
put_infer (FmNode *node)
{
  node->out[0]->type = FM_F32;
  node->out[0]->shape = node->in[0]->shape;
  node->out[0]->shape.dims[node->out[0]->shape.rank - 1] = node->attr.i[0];
  return TRUE;
}

static void
put_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  dx[0] = fm_op1 (g, &take_last_op, NULL, 2, dy[0], node->in[1]);
}

static void
put_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const float *x = args->in[0];
  const gint32 *index = args->in[1];
  float *y = args->out[0];
  gint64 n = node->attr.i[0], k = node->in[0]->shape.dims[node->in[0]->shape.rank - 1];
  gint64 rows = fm_shape_count (&node->in[0]->shape) / k;

#pragma omp parallel for schedule(static) num_threads(args->threads) if (rows * n > FM_CPU_BLOCK)
  for (gint64 row = 0; row < rows; row++)
    {
      memset (y + row * n, 0, n * sizeof *y);
      for (gint64 j = 0; j < k; j++)
        y[row * n + index[row * k + j]] = x[row * k + j];
    }
}

static gboolean
put_take_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmTensor *x = node->in[0], *index = node->in[1], *y = node->out[0];
  gboolean put = node->op == &put_last_op;
  gint64 k = index->shape.dims[index->shape.rank - 1];
  gint64 n = (put ? y : x)->shape.dims[x->shape.rank - 1];
  guint32 count = fm_shape_count (&y->shape);
  struct { guint32 count, n, k, x_offset, index_offset, y_offset; } push = {
    count, n, k, x->offset, index->offset, y->offset };
  FmVulkanDispatch dispatch = { .shader = "top-k-backward", .bind = { x, index, y }, .n_bind = 3, .push = &push,
                                .push_bytes = sizeof push, .spec = { put }, .n_spec = 1,
                                .groups = ((guint64) count + 127) / 128 };

  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

static const FmOp put_last_op = {
  .name = "put-last", .n_in_min = 2, .n_in_max = 2, .n_out = 1,
  .infer = put_infer, .gradient = put_gradient, .cpu = put_cpu, .vulkan = put_take_vulkan,
};

static gboolean
take_infer (FmNode *node)
{
  node->out[0]->type = FM_F32;
  node->out[0]->shape = node->in[1]->shape;
  return TRUE;
}

static void
take_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmAttr attr = { .i = { node->in[0]->shape.dims[node->in[0]->shape.rank - 1] } };

  dx[0] = fm_op1 (g, &put_last_op, &attr, 2, dy[0], node->in[1]);
}

static void
take_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const float *x = args->in[0];
  const gint32 *index = args->in[1];
  float *y = args->out[0];
  gint64 n = node->in[0]->shape.dims[node->in[0]->shape.rank - 1];
  gint64 k = node->in[1]->shape.dims[node->in[1]->shape.rank - 1], count = fm_shape_count (&node->in[1]->shape);

  for (gint64 i = 0; i < count; i++)
    y[i] = x[i / k * n + index[i]];
}

static const FmOp take_last_op = {
  .name = "take-last", .n_in_min = 2, .n_in_max = 2, .n_out = 1,
  .infer = take_infer, .gradient = take_gradient, .cpu = take_cpu, .vulkan = put_take_vulkan,
};

FM_OPS (top_k, &top_k_op, &put_last_op, &take_last_op);
