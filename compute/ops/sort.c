/* sort.c: rows along the last axis in order, with the places they came from.
 *
 * sort: x f32 or i32 [..,n] -> values [..,n], index i32 [..,n]; equal values keep their order, in both directions.
 * Attribute: i[0] descending. NaN counts as above infinity.
 * CPU: words become keys that order as unsigned, joined with their places; least digit first by bytes, O(n); bytes that
 * are the same in the whole row are skipped. Vulkan: bitonic, blocks of 1024 pairs in shared memory, longer strides
 * between them through the workspace. The pair (key, place) makes any network stable. */
#include "config.h"

#include "sort.h"

#include <string.h>

#define BLOCK 1024 /* pairs of a workgroup, as in sort.comp */

/* --- Pairs --------------------------------------------------------------------------------------------------------*/

guint64 *
fm_sort_pairs (guint64 *pairs, guint64 *spare, gint64 n)
{
  guint32 count[4][256];

  if (n <= 64)
    {
      for (gint64 i = 1; i < n; i++)
        {
          guint64 p = pairs[i];
          gint64 at = i;

          for (; at > 0 && pairs[at - 1] > p; at--)
            pairs[at] = pairs[at - 1];
          pairs[at] = p;
        }
      return pairs;
    }
  memset (count, 0, sizeof count);
  for (gint64 i = 0; i < n; i++)
    for (guint d = 0; d < 4; d++)
      count[d][pairs[i] >> (32 + 8 * d) & 255]++;
  for (guint d = 0; d < 4; d++)
    {
      guint shift = 32 + 8 * d;
      guint32 sum = 0;
      guint64 *swap;

      if (count[d][pairs[0] >> shift & 255] == n)
        continue;
      for (guint b = 0; b < 256; b++)
        {
          guint32 here = count[d][b];

          count[d][b] = sum;
          sum += here;
        }
      for (gint64 i = 0; i < n; i++)
        spare[count[d][pairs[i] >> shift & 255]++] = pairs[i];
      swap = pairs;
      pairs = spare;
      spare = swap;
    }
  return pairs;
}

gint64
fm_sort_padded (gint64 n)
{
  gint64 padded = 2;

  while (padded < n)
    padded *= 2;
  return padded;
}

gsize
fm_sort_vulkan_bytes (gint64 rows, gint64 n)
{
  return (gsize) (rows * fm_sort_padded (n) * 8);
}

gboolean
fm_sort_vulkan (FmVulkanRecorder *recorder, FmTensor *x, gint64 rows, gint64 n, gint64 limit, gboolean descending,
                FmTensor *value, FmTensor *index, gint64 pairs_offset, GError **error)
{
  enum { SORT_BLOCKS, EXCHANGE, MERGE_BLOCKS }; /* as in sort.comp */
  gint64 padded = fm_sort_padded (n), count = rows * padded;
  struct { guint32 count, n, padded, level, stride, limit, x, value, index, pairs, last; } push = {
    (guint32) count, (guint32) n, (guint32) padded, 0, 0, (guint32) limit, (guint32) x->offset,
    value ? (guint32) value->offset : 0, index ? (guint32) index->offset : 0, (guint32) pairs_offset, padded <= BLOCK };
  FmVulkanDispatch dispatch = { .shader = "sort", .n_bind = 4, .push = &push, .push_bytes = sizeof push,
                                .spec = { SORT_BLOCKS, x->type == FM_I32, descending, index != NULL }, .n_spec = 4,
                                .local_x = BLOCK / 4, .groups = ((guint64) count + BLOCK - 1) / BLOCK };

  dispatch.bind[0] = x;
  dispatch.bind[1] = value ? value : FM_VULKAN_WORKSPACE;
  dispatch.bind[2] = index ? index : FM_VULKAN_WORKSPACE;
  dispatch.bind[3] = FM_VULKAN_WORKSPACE;
  if (count > G_MAXUINT32 / 2)
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_UNSUPPORTED, "sort: %" G_GINT64_FORMAT " rows of %"
                   G_GINT64_FORMAT " exceed 2^31 pairs on Vulkan", rows, n);
      return FALSE;
    }
  if (!fm_vulkan_dispatch (recorder, &dispatch, error))
    return FALSE;
  for (gint64 level = 2 * BLOCK; level <= padded; level *= 2)
    {
      push.level = (guint32) level;
      for (gint64 stride = level / 2; stride >= BLOCK; stride /= 2)
        {
          push.stride = (guint32) stride;
          dispatch.spec[0] = EXCHANGE;
          dispatch.groups = ((guint64) count / 2 + BLOCK / 4 - 1) / (BLOCK / 4);
          if (!fm_vulkan_dispatch (recorder, &dispatch, error))
            return FALSE;
        }
      push.last = level == padded;
      dispatch.spec[0] = MERGE_BLOCKS;
      dispatch.groups = ((guint64) count + BLOCK - 1) / BLOCK;
      if (!fm_vulkan_dispatch (recorder, &dispatch, error))
        return FALSE;
    }
  return TRUE;
}

/* --- The op -------------------------------------------------------------------------------------------------------*/

static gboolean
sort_infer (FmNode *node)
{
  node->out[0]->type = node->in[0]->type;
  node->out[1]->type = FM_I32;
  node->out[0]->shape = node->out[1]->shape = node->in[0]->shape;
  return TRUE;
}

static void
sort_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  if (dy[0] && node->in[0]->type == FM_F32)
    dx[0] = fm_put_last (g, dy[0], node->out[1], node->in[0]->shape.dims[node->in[0]->shape.rank - 1]);
}

static gint64
row_length (const FmNode *node)
{
  return node->in[0]->shape.dims[node->in[0]->shape.rank - 1];
}

static void
sort_cpu (const FmNode *node, const FmCpuArgs *args)
{
  FmType type = node->in[0]->type;
  gboolean descending = node->attr.i[0] != 0;
  gint64 n = row_length (node), rows = fm_shape_count (&node->in[0]->shape) / n, parts = args->threads;

  /* A thread's share of rows needs its own room; what a row becomes does not depend on the share. */
#pragma omp parallel for schedule(static) num_threads(args->threads) if (rows * n > FM_CPU_BLOCK / 4)
  for (gint64 part = 0; part < parts; part++)
    {
      guint64 *pairs = (guint64 *) args->workspace + part * 2 * n;

      for (gint64 row = rows * part / parts; row < rows * (part + 1) / parts; row++)
        {
          const guint32 *x = (const guint32 *) args->in[0] + row * n;
          guint32 *value = (guint32 *) args->out[0] + row * n;
          gint32 *index = (gint32 *) args->out[1] + row * n;
          const guint64 *sorted;

          for (gint64 i = 0; i < n; i++)
            pairs[i] = fm_sort_pair (x[i], i, type, descending);
          sorted = fm_sort_pairs (pairs, pairs + n, n);
          for (gint64 i = 0; i < n; i++)
            {
              index[i] = (gint32) (guint32) sorted[i];
              value[i] = x[index[i]];
            }
        }
    }
}

static gsize
sort_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  gint64 n = row_length (node);

  if (backend == FM_BACKEND_CPU)
    return (gsize) threads * 2 * n * sizeof (guint64);
  return fm_sort_vulkan_bytes (fm_shape_count (&node->in[0]->shape) / n, n);
}

static gboolean
sort_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  gint64 n = row_length (node);

  return fm_sort_vulkan (recorder, node->in[0], fm_shape_count (&node->in[0]->shape) / n, n, n, node->attr.i[0] != 0,
                         node->out[0], node->out[1], 0, error);
}

/* Four passes over pairs, and the words themselves. */
static void
sort_cost (const FmNode *node, FmCost *cost)
{
  gdouble n = fm_shape_count (&node->in[0]->shape);

  cost->flops = 0;
  cost->bytes = 12 * n;
}

static const FmOp sort_op = {
  .name = "sort", .n_in_min = 1, .n_in_max = 1, .n_out = 2, .infer = sort_infer, .gradient = sort_gradient,
  .cpu = sort_cpu, .vulkan = sort_vulkan, .workspace = sort_workspace, .cost = sort_cost,
};

FM_OPS (sort, &sort_op);

FmTensor *
fm_sort (FmGraph *g, FmTensor *x, gboolean descending, FmTensor **index)
{
  if (index)
    *index = g->poison;
  FM_REFUSE_NULL (g, "sort", x);
  FmAttr attr = { .i = { descending != FALSE } };
  FmNode *node;

  *index = g->poison;
  if (fm_graph_failed (g))
    return g->poison;
  if (x->shape.rank < 1)
    return fm_graph_fail (g, "sort", "wants at least one axis");
  node = fm_node_new (g, &sort_op, &x, 1, &attr);
  if (node == NULL)
    return g->poison;
  *index = node->out[1];
  return node->out[0];
}

FmTensor *
fm_argsort (FmGraph *g, FmTensor *x, gboolean descending)
{
  FM_REFUSE_NULL (g, "argsort", x);
  FmTensor *index;

  fm_sort (g, x, descending, &index);
  return index;
}
