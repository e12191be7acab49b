/* matmul-grouped.c: products by segment: the rows of x are sorted by expert, each expert multiplies its own.
 *
 * matmul-grouped: in x [T,k], w [E,k,m] (attribute i[0] = FM_TRANS_B: [E,m,k]), offsets i32 [E+1]; out [T,m].
 * matmul-grouped-weights, the gradient by w: in x [T,k], dy [T,m], offsets; attributes i[0] = E, i[1] = leave what has
 * no rows unwritten; out [E,k,m].
 * Offsets are read when the program runs. They are held to rise and to stay within the rows, so that nothing else is
 * read; rows of no segment give zeros. Work is dealt by segment and block of rows: an expert without rows costs nothing
 * (its gradient is written as zeros, or not at all where a training step takes only the rows that count). */
#include "config.h"

#include "few-rows.h"
#include "gemm.h"
#include "tile.h"

#include <cblas.h>
#include <string.h>

#define ROWS 96      /* of a block */
#define COLUMNS 256
#define DEPTH 512    /* rows of w that stay near while a block is made */
#define DOT_ROWS 8   /* so few rows meet a transposed w in dot products, */
#define DOT_LONG 128 /* and all rows do when the sums are so long */

typedef struct
{
  gint64 rows, groups, k, m;
  gint64 x_row, w_group, w_row, w_column; /* strides; a w of shape [k,m] in each group, whichever way it lies */
} Grouped;

static Grouped
grouped_sizes (const FmNode *node)
{
  const FmTensor *x = node->in[0], *w = node->in[1];
  gboolean transposed = (node->attr.i[0] & FM_TRANS_B) != 0;

  return (Grouped){ .rows = x->shape.dims[0], .groups = w->shape.dims[0], .k = x->shape.dims[1],
                    .m = w->shape.dims[transposed ? 1 : 2], .x_row = x->stride[0], .w_group = w->stride[0],
                    .w_row = w->stride[transposed ? 2 : 1], .w_column = w->stride[transposed ? 1 : 2] };
}

static gboolean
check_offsets (FmNode *node, gint64 groups)
{
  const FmTensor *offsets = node->in[2];

  if (offsets->type == FM_I32 && offsets->shape.rank == 1 && offsets->shape.dims[0] == groups + 1)
    return TRUE;
  fm_graph_fail (node->graph, node->op->name, "offsets must be i32 [%" G_GINT64_FORMAT "], one more than there are groups",
                 groups + 1);
  return FALSE;
}

/* --- The product --------------------------------------------------------------------------------------------------*/

static gboolean
grouped_infer (FmNode *node)
{
  const FmTensor *x = node->in[0], *w = node->in[1];
  gboolean transposed = (node->attr.i[0] & FM_TRANS_B) != 0;

  if (x->type != FM_F32 || w->type != FM_F32 || x->shape.rank != 2 || w->shape.rank != 3
      || w->shape.dims[transposed ? 2 : 1] != x->shape.dims[1])
    {
      g_autofree char *sx = fm_shape_to_string (&x->shape), *sw = fm_shape_to_string (&w->shape);

      fm_graph_fail (node->graph, "matmul-grouped", "x %s, weights %s; wants f32 [T,k] and %s", sx, sw,
                     transposed ? "[E,m,k]" : "[E,k,m]");
      return FALSE;
    }
  node->out[0]->type = FM_F32;
  node->out[0]->shape = FM_SHAPE (x->shape.dims[0], w->shape.dims[transposed ? 1 : 2]);
  return check_offsets (node, w->shape.dims[0]);
}

static FmTensor *grouped_weights (FmGraph *g, FmTensor *x, FmTensor *dy, FmTensor *offsets, gint64 groups);

static void
grouped_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmTensor *x = node->in[0], *w = node->in[1], *offsets = node->in[2];
  gboolean transposed = (node->attr.i[0] & FM_TRANS_B) != 0;

  dx[0] = fm_matmul_grouped (g, dy[0], w, offsets, transposed ? 0 : FM_TRANS_B);
  dx[1] = transposed ? grouped_weights (g, dy[0], x, offsets, w->shape.dims[0])
                     : grouped_weights (g, x, dy[0], offsets, w->shape.dims[0]);
}

/* Blocks of rows: at most one more for each group than all rows would give. */
static gint64
blocks_at_most (const Grouped *s)
{
  return s->rows / ROWS + MIN (s->groups, s->rows) + 1;
}

static gsize
grouped_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  Grouped s = grouped_sizes (node);

  return backend == FM_BACKEND_CPU ? (gsize) blocks_at_most (&s) * 3 * sizeof (gint64) : 0;
}

static void
grouped_block (const Grouped *s, const float *x, const float *w, float *y, gint64 rows, gint64 columns)
{
  if (s->w_column == 1)
    for (gint64 t = 0; t < s->k; t += DEPTH)
      fm_tile_gemm (rows, columns, MIN (DEPTH, s->k - t), x + t, s->x_row, 1, w + t * s->w_row, s->w_row, y, s->m,
                    t > 0);
  else if (rows <= DOT_ROWS || s->k >= DOT_LONG)
    fm_tile_dots (rows, columns, s->k, x, s->x_row, w, s->w_column, NULL, y, s->m);
  else
    cblas_sgemm (CblasRowMajor, CblasNoTrans, CblasTrans, rows, columns, s->k, 1.0f, x, MAX (s->x_row, s->k), w,
                 s->w_column, 0.0f, y, s->m);
}

static void
grouped_cpu (const FmNode *node, const FmCpuArgs *args)
{
  Grouped s = grouped_sizes (node);
  const float *x = args->in[0], *w = args->in[1];
  const gint32 *offsets = args->in[2];
  float *y = args->out[0];
  gint64 (*block)[3] = args->workspace; /* group, first row, rows */
  gint64 n = 0, cuts = (s.m + COLUMNS - 1) / COLUMNS, end = 0;

  for (gint64 group = 0; group < s.groups; group++)
    {
      gint64 start = CLAMP (offsets[group], end, s.rows), next = CLAMP (offsets[group + 1], start, s.rows);

      memset (y + end * s.m, 0, (gsize) ((start - end) * s.m) * sizeof (float));
      for (gint64 row = start; row < next; row += ROWS, n++)
        {
          block[n][0] = group;
          block[n][1] = row;
          block[n][2] = MIN (ROWS, next - row);
        }
      end = next;
    }
  memset (y + end * s.m, 0, (gsize) ((s.rows - end) * s.m) * sizeof (float));
#pragma omp parallel for schedule(dynamic, 1) num_threads(args->threads) if (n * cuts > 1 && s.k * s.m * s.rows > 32768)
  for (gint64 i = 0; i < n * cuts; i++)
    {
      gint64 group = block[i / cuts][0], row = block[i / cuts][1], column = i % cuts * COLUMNS;

      grouped_block (&s, x + row * s.x_row, w + group * s.w_group + column * s.w_column, y + row * s.m + column,
                     block[i / cuts][2], MIN (COLUMNS, s.m - column));
    }
}

static gboolean
grouped_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  Grouped s = grouped_sizes (node);
  struct { guint32 rows, groups, k, m, x_offset, w_offset, o_offset, x_row, w_group, w_row, w_column; } push = {
    s.rows, s.groups, s.k, s.m, node->in[0]->offset, node->in[1]->offset, node->in[2]->offset, s.x_row, s.w_group,
    s.w_row, s.w_column
  };

  return fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){
    .shader = "matmul-grouped", .bind = { node->in[0], node->in[1], node->in[2], node->out[0] }, .n_bind = 4,
    .push = &push, .push_bytes = sizeof push, .local_x = 64, .groups = fm_gemm_vulkan_tiles (s.rows, s.m) }, error);
}

static void
grouped_cost (const FmNode *node, FmCost *cost)
{
  gdouble rows = node->in[0]->shape.dims[0], k = node->in[0]->shape.dims[1], m = node->in[1]->shape.dims[2];

  if (node->op->n_out == 1 && node->in[1]->shape.rank == 2) /* the gradient by the weights */
    m = node->in[1]->shape.dims[1];
  else if (node->attr.i[0] & FM_TRANS_B)
    m = node->in[1]->shape.dims[1];
  cost->flops = 2 * rows * k * m;
  cost->bytes = 0;
  for (guint i = 0; i < node->n_in; i++)
    cost->bytes += (gdouble) fm_tensor_data_bytes (node->in[i]);
  cost->bytes += (gdouble) fm_tensor_data_bytes (node->out[0]);
}

static const FmOp grouped_op = {
  .name = "matmul-grouped", .n_in_min = 3, .n_in_max = 3, .n_out = 1, .flags = FM_OP_ROWS, .infer = grouped_infer,
  .gradient = grouped_gradient, .cpu = grouped_cpu, .vulkan = grouped_vulkan, .workspace = grouped_workspace,
  .cost = grouped_cost,
};

/* --- Its gradient by the weights ----------------------------------------------------------------------------------*/

static gboolean
weights_infer (FmNode *node)
{
  node->out[0]->type = FM_F32;
  node->out[0]->shape = FM_SHAPE (node->attr.i[0], node->in[0]->shape.dims[1], node->in[1]->shape.dims[1]);
  return check_offsets (node, node->attr.i[0]);
}

static void
weights_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  dx[0] = fm_matmul_grouped (g, node->in[1], dy[0], node->in[2], FM_TRANS_B);
  dx[1] = fm_matmul_grouped (g, node->in[0], dy[0], node->in[2], 0);
}

static void
segment (const gint32 *offsets, gint64 group, gint64 rows, gint64 *start, gint64 *end)
{
  *start = CLAMP (offsets[group], 0, rows);
  *end = CLAMP (offsets[group + 1], *start, rows);
}

static void
weights_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const FmTensor *x = node->in[0], *dy = node->in[1];
  const float *xs = args->in[0], *dys = args->in[1];
  const gint32 *offsets = args->in[2];
  gint64 groups = node->attr.i[0], rows = x->shape.dims[0], k = x->shape.dims[1], m = dy->shape.dims[1];
  gint64 cuts = (k + ROWS - 1) / ROWS;

#pragma omp parallel for schedule(dynamic, 1) num_threads(args->threads) if (groups * cuts > 1 && k * m * rows > 32768)
  for (gint64 i = 0; i < groups * cuts; i++)
    {
      gint64 group = i / cuts, from = i % cuts * ROWS, height = MIN (ROWS, k - from), start, end;
      float *y = (float *) args->out[0] + (group * k + from) * m;

      segment (offsets, group, rows, &start, &end);
      if (start == end && !(node->attr.i[1] && offsets[group + 1] <= offsets[group]))
        memset (y, 0, (gsize) (height * m) * sizeof (float));
      for (gint64 t = start; t < end; t += DEPTH)
        fm_tile_gemm (height, m, MIN (DEPTH, end - t), xs + t * x->stride[0] + from, 1, x->stride[0],
                      dys + t * dy->stride[0], dy->stride[0], y, m, t > start);
    }
}

static gboolean
weights_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  const FmTensor *x = node->in[0], *dy = node->in[1];
  struct { guint32 rows, groups, k, m, x_offset, dy_offset, o_offset, x_row, dy_row; } push = {
    x->shape.dims[0], node->attr.i[0], x->shape.dims[1], dy->shape.dims[1], x->offset, dy->offset,
    node->in[2]->offset, x->stride[0], dy->stride[0]
  };

  return fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){
    .shader = "matmul-grouped-weights", .bind = { node->in[0], node->in[1], node->in[2], node->out[0] }, .n_bind = 4,
    .push = &push, .push_bytes = sizeof push, .local_x = 64,
    .groups = (guint64) node->attr.i[0] * fm_gemm_vulkan_tiles (push.k, push.m) }, error);
}

static const FmOp weights_op = {
  .name = "matmul-grouped-weights", .n_in_min = 3, .n_in_max = 3, .n_out = 1, .flags = FM_OP_ROWS,
  .infer = weights_infer, .gradient = weights_gradient, .cpu = weights_cpu, .vulkan = weights_vulkan,
  .cost = grouped_cost,
};

static FmTensor *
grouped_weights (FmGraph *g, FmTensor *x, FmTensor *dy, FmTensor *offsets, gint64 groups)
{
  return fm_op1 (g, &weights_op, &(FmAttr){ .i = { groups } }, 3, x, dy, offsets);
}

gboolean
fm_node_multiplies_groups (const FmNode *node, const FmTensor *weights)
{
  return node->op == &grouped_op && node->in[1] == weights && weights->shape.dims[0] <= 1 << 24;
}

FmTensor *
fm_grouped_gradient_rows (FmGraph *g, FmNode *node, FmTensor *dy, FmTensor **rows)
{
  gboolean transposed = (node->attr.i[0] & FM_TRANS_B) != 0;
  gint64 groups = node->in[1]->shape.dims[0];
  FmTensor *offsets = fm_cast (g, node->in[2], FM_F32), *some;

  /* (e + 1) where rows begin before they end, less 1; whole numbers of f32. */
  some = fm_less (g, fm_slice (g, offsets, 0, 0, groups), fm_slice (g, offsets, 0, 1, groups));
  some = fm_add_scalar (g, fm_mul (g, some, fm_add_scalar (g, fm_cast (g, fm_iota (g, groups), FM_F32), 1.0)), -1.0);
  *rows = fm_cast (g, some, FM_I32);
  return fm_op1 (g, &weights_op, &(FmAttr){ .i = { groups, 1 } }, 3, transposed ? dy : node->in[0],
                 transposed ? node->in[0] : dy, node->in[2]);
}

FM_OPS (matmul_grouped, &grouped_op, &weights_op);

FmTensor *
fm_matmul_grouped (FmGraph *g, FmTensor *x, FmTensor *weights, FmTensor *offsets, guint flags)
{
  FM_REFUSE_NULL (g, "matmul grouped", x, weights, offsets);
  if (fm_graph_failed (g))
    return g->poison;
  if (flags & ~(guint) FM_TRANS_B)
    return fm_graph_fail (g, "matmul-grouped", "takes FM_TRANS_B or nothing as flags");
  return fm_op1 (g, &grouped_op, &(FmAttr){ .i = { flags } }, 3, x, weights, offsets);
}

/* A row's place is how many rows of smaller groups there are, and how many of its own group come before it. */
FmTensor *
fm_group_rows (FmGraph *g, FmTensor *group, gint64 groups, FmTensor **offsets)
{
  if (offsets)
    *offsets = g->poison;
  FM_REFUSE_NULL (g, "group rows", group);
  FmTensor *member, *counts, *first, *place;

  if (offsets)
    *offsets = g->poison;
  if (fm_graph_failed (g))
    return g->poison;
  if (group->type != FM_I32 || group->shape.rank != 1 || group->shape.dims[0] > 1 << 24)
    return fm_graph_fail (g, "group-rows", "groups of at most 2^24 rows must be i32 [T], counted in f32");
  member = fm_one_hot (g, group, groups);                                  /* [T,E] */
  counts = fm_sum (g, member, 0);                                          /* [E] */
  first = fm_cumsum (g, fm_pad (g, counts, 0, 0, 1), 0, TRUE);             /* [E+1] */
  place = fm_add (g, fm_cumsum (g, member, 0, TRUE), fm_slice (g, first, 0, 0, groups));
  place = fm_sum (g, fm_mul (g, member, place), -1);
  /* A group out of range has no member: it gets -1, which rows by index drop. */
  place = fm_add (g, place, fm_add_scalar (g, fm_sum (g, member, -1), -1.0));
  if (offsets)
    *offsets = fm_cast (g, first, FM_I32);
  return fm_cast (g, place, FM_I32);
}
