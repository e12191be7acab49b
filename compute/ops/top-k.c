/* top-k.c: the k largest along the last axis, largest first, the lower index first among equals.
 *
 * top-k: x [..,n] -> values [..,k], index i32 [..,k]. Attribute: i[0] k.
 * put-last: dy [..,k], index [..,k] -> [..,n]: zeros but for dy where the index says (indices of a row differ).
 *   Attribute: i[0] n. Its gradient is a gather.
 * On Vulkan rows are sorted whole. x must be free of NaN: a short list on the CPU has no place for it. */
#include "config.h"

#include "sort.h"

#include <string.h>

/* Up to here a row's best are kept in a sorted list; beyond, those that may be among them are sorted. */
#define SMALL_K 32

/* In a row of this length and more the first bits of the keys are counted, and only what is not behind the k-th by them is
 * sorted. */
#define LONG_ROW 2048
#define FIRST_BITS 12

static const FmOp put_last_op;

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
  if (dy[0])
    dx[0] = fm_put_last (g, dy[0], node->out[1], node->in[0]->shape.dims[node->in[0]->shape.rank - 1]);
}

static void
top_k_row (const float *x, gint64 n, gint64 k, float *value, gint32 *index, guint64 *pairs)
{
  gint64 have = 0;

  if (k > SMALL_K)
    {
      const guint32 *words = (const guint32 *) x;
      guint64 last = G_MAXUINT64;

      if (n >= LONG_ROW)
        {
          guint32 count[1 << FIRST_BITS] = { 0 };

          for (gint64 i = 0; i < n; i++)
            count[fm_sort_pair (words[i], i, FM_F32, TRUE) >> (64 - FIRST_BITS)]++;
          last = 0;
          for (gint64 sum = count[0]; sum < k; sum += count[last])
            last++;
          last = (last << (64 - FIRST_BITS)) | (G_MAXUINT64 >> FIRST_BITS);
        }
      for (gint64 i = 0; i < n; i++)
        {
          pairs[have] = fm_sort_pair (words[i], i, FM_F32, TRUE);
          have += pairs[have] <= last;
        }
      pairs = fm_sort_pairs (pairs, pairs + n, have);
      for (gint64 i = 0; i < k; i++)
        {
          index[i] = (gint32) (guint32) pairs[i];
          value[i] = x[index[i]];
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
  gint64 rows = fm_shape_count (&node->in[0]->shape) / n, parts = args->threads;

  /* A thread's share of rows has its own room; what a row becomes does not depend on the share. */
#pragma omp parallel for schedule(static) num_threads(args->threads) if (rows * n > FM_CPU_BLOCK / 4)
  for (gint64 part = 0; part < parts; part++)
    for (gint64 row = rows * part / parts; row < rows * (part + 1) / parts; row++)
      top_k_row (x + row * n, n, k, value + row * k, index + row * k, (guint64 *) args->workspace + part * 2 * n);
}

static gsize
top_k_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  gint64 n = node->in[0]->shape.dims[node->in[0]->shape.rank - 1];

  if (backend == FM_BACKEND_CPU)
    return node->attr.i[0] > SMALL_K ? (gsize) threads * 2 * n * sizeof (guint64) : 0;
  return fm_sort_vulkan_bytes (fm_shape_count (&node->in[0]->shape) / n, n);
}

static gboolean
top_k_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmTensor *x = node->in[0];
  gint64 n = x->shape.dims[x->shape.rank - 1];

  return fm_sort_vulkan (recorder, x, fm_shape_count (&x->shape) / n, n, node->attr.i[0], TRUE, node->out[0],
                         node->out[1], 0, error);
}

static const FmOp top_k_op = {
  .name = "top-k", .n_in_min = 1, .n_in_max = 1, .n_out = 2,
  .infer = top_k_infer, .gradient = top_k_gradient, .cpu = top_k_cpu, .vulkan = top_k_vulkan,
  .workspace = top_k_workspace,
};

FmTensor *
fm_top_k (FmGraph *g, FmTensor *x, gint64 k, FmTensor **index)
{
  if (index)
    *index = g->poison;
  FM_REFUSE_NULL (g, "top k", x);
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
  dx[0] = fm_gather (g, dy[0], -1, node->in[1]);
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

/* Zeros first, then the elements: no place is written by two of them. */
static gboolean
put_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmTensor *x = node->in[0], *index = node->in[1], *y = node->out[0];
  struct { guint32 count, n, k, x_offset, index_offset, y_offset; } push = {
    0, (guint32) node->attr.i[0], (guint32) index->shape.dims[index->shape.rank - 1], (guint32) x->offset,
    (guint32) index->offset, (guint32) y->offset };
  FmVulkanDispatch dispatch = { .shader = "put-last", .bind = { x, index, y }, .n_bind = 3, .push = &push,
                                .push_bytes = sizeof push, .n_spec = 1 };

  for (guint put = 0; put < 2; put++)
    {
      push.count = (guint32) fm_shape_count (put ? &x->shape : &y->shape);
      dispatch.spec[0] = put;
      dispatch.groups = ((guint64) push.count + 127) / 128;
      if (!fm_vulkan_dispatch (recorder, &dispatch, error))
        return FALSE;
    }
  return TRUE;
}

static const FmOp put_last_op = {
  .name = "put-last", .n_in_min = 2, .n_in_max = 2, .n_out = 1,
  .infer = put_infer, .gradient = put_gradient, .cpu = put_cpu, .vulkan = put_vulkan,
};

FmTensor *
fm_put_last (FmGraph *g, FmTensor *dy, FmTensor *index, gint64 n)
{
  return fm_op1 (g, &put_last_op, &(FmAttr){ .i = { n } }, 2, dy, index);
}

FM_OPS (top_k, &top_k_op, &put_last_op);
