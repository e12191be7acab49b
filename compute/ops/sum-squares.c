/* sum-squares.c: the sum of squares of each of many tensors, for gradient norms.
 *
 * Node: in n tensors f32 of any shapes, then nothing or, by tensor, i32 [rows] or NULL: where it is -1, a row of the
 * tensor is not read; out f32 [n]. attr.i[0]: n where rows follow, else 0. */
#include "config.h"

#include "few-rows.h"

#define PARTS 64 /* partial sums of one tensor in the shader, as in sum-squares.comp */

static guint
tensors_of (const FmNode *node)
{
  return node->attr.i[0] ? (guint) node->attr.i[0] : node->n_in;
}

static const FmTensor *
rows_of (const FmNode *node, guint k)
{
  return node->attr.i[0] ? node->in[tensors_of (node) + k] : NULL;
}

static gboolean
infer (FmNode *node)
{
  for (guint k = 0; k < tensors_of (node); k++)
    if (node->in[k]->type != FM_F32)
      {
        fm_graph_fail (node->graph, "sum-squares", "needs f32 operands; operand %u is i32", k);
        return FALSE;
      }
  node->out[0]->type = FM_F32;
  node->out[0]->shape = FM_SHAPE (tensors_of (node));
  return TRUE;
}

FM_KERNEL (float, sum_block, (gint64 n, const float *x), (n, x))
{
  float sum = 0.0f;

#pragma omp simd reduction(+ : sum)
  for (gint64 i = 0; i < n; i++)
    sum += x[i] * x[i];
  return sum;
}

/* Blocks of a tensor, or of each of its rows where some are left out. */
static gint64
blocks_of (const FmNode *node, guint k)
{
  gint64 n = fm_shape_count (&node->in[k]->shape), rows = rows_of (node, k) ? node->in[k]->shape.dims[0] : 1;

  return rows * ((n / rows + FM_CPU_BLOCK - 1) / FM_CPU_BLOCK);
}

static gsize
workspace (const FmNode *node, FmBackend backend, guint threads)
{
  gsize blocks = 0;

  if (backend == FM_BACKEND_VULKAN)
    return tensors_of (node) * PARTS * sizeof (float);
  for (guint k = 0; k < tensors_of (node); k++)
    blocks += blocks_of (node, k);
  return blocks * sizeof (float);
}

static void
cpu (const FmNode *node, const FmCpuArgs *args)
{
  float *parts = args->workspace, *out = args->out[0];
  gint64 total = workspace (node, FM_BACKEND_CPU, 0) / sizeof (float), next = 0;

#pragma omp parallel for schedule(static) num_threads(args->threads) if (total > 2)
  for (gint64 i = 0; i < total; i++)
    {
      gint64 block = i, count, row = 0;
      guint k = 0;

      while (block >= blocks_of (node, k))
        block -= blocks_of (node, k++);
      count = fm_shape_count (&node->in[k]->shape);
      if (rows_of (node, k))
        {
          gint64 rows = node->in[k]->shape.dims[0], cuts = blocks_of (node, k) / rows;

          row = block / cuts;
          block %= cuts;
          count /= rows;
        }
      if (rows_of (node, k) && ((const gint32 *) args->in[tensors_of (node) + k])[row] < 0)
        parts[i] = 0.0f;
      else
        parts[i] = sum_block (MIN (FM_CPU_BLOCK, count - block * FM_CPU_BLOCK),
                              (const float *) args->in[k] + row * count + block * FM_CPU_BLOCK);
    }
  for (guint k = 0; k < tensors_of (node); k++)
    {
      gdouble sum = 0;

      for (gint64 b = blocks_of (node, k); b > 0; b--)
        sum += parts[next++];
      out[k] = sum;
    }
}

static gboolean
vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  /* Rows that are left out hold zeros here: see matmul-grouped-weights. */
  for (guint k = 0; k <= tensors_of (node); k++)
    {
      gboolean last = k == tensors_of (node);
      struct { guint32 offset, count, place, parts; } push = { 0, tensors_of (node), k * PARTS, 1 };
      FmVulkanDispatch dispatch = { .shader = "sum-squares", .n_bind = 2, .push = &push, .push_bytes = sizeof push,
                                    .spec = { last }, .n_spec = 1, .local_x = 64 };

      if (last)
        {
          dispatch.bind[0] = FM_VULKAN_WORKSPACE;
          dispatch.bind[1] = node->out[0];
          dispatch.groups = (tensors_of (node) + 63) / 64;
        }
      else
        {
          push.offset = (guint32) node->in[k]->offset;
          push.count = (guint32) fm_shape_count (&node->in[k]->shape);
          push.parts = MIN (PARTS, push.count / 1024 + 1);
          dispatch.groups = push.parts;
          dispatch.bind[0] = node->in[k];
          dispatch.bind[1] = FM_VULKAN_WORKSPACE;
        }
      if (!fm_vulkan_dispatch (recorder, &dispatch, error))
        return FALSE;
    }
  return TRUE;
}

/* Each operand gets 2 x times its entry of dy. */
static void
gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  for (guint k = 0; k < tensors_of (node); k++)
    dx[k] = fm_mul (g, node->in[k], fm_mul_scalar (g, fm_slice (g, dy[0], 0, k, 1), 2.0));
}

static void
cost (const FmNode *node, FmCost *cost_)
{
  gdouble n = 0;

  for (guint k = 0; k < tensors_of (node); k++)
    n += fm_shape_count (&node->in[k]->shape);
  cost_->flops = 2 * n;
  cost_->bytes = 4 * n;
}

static const FmOp row = {
  .name = "sum-squares", .n_in_min = 1, .n_in_max = G_MAXUINT, .n_out = 1, .infer = infer, .gradient = gradient,
  .cpu = cpu, .vulkan = vulkan, .workspace = workspace, .cost = cost,
};

FM_OPS (sum_squares, &row);

FmTensor *
fm_sum_squares (FmGraph *g, FmTensor * const *x, guint n)
{
  FmNode *node = fm_node_new (g, &row, x, n, NULL);

  return node ? node->out[0] : g->poison;
}

FmTensor *
fm_sum_squares_rows (FmGraph *g, FmTensor * const *x, FmTensor * const *rows, guint n)
{
  g_autofree FmTensor **in = g_new0 (FmTensor *, 2 * n);
  FmNode *node;

  for (guint k = 0; k < n; k++)
    {
      in[k] = x[k];
      in[n + k] = rows[k];
    }
  node = fm_node_new (g, &row, in, 2 * n, &(FmAttr){ .i = { n } });
  return node ? node->out[0] : g->poison;
}
