/* copy.c: any strides to contiguous memory; f32 and i32, which are both four bytes and copied as such.
 *
 * Axes that lie without gaps on both sides are merged first. What is left is cut into planes: rows of a unit-stride
 * axis go as vectors; when source and target disagree on the unit-stride axis, 16 x 16 tiles are turned in cache. */
#include "config.h"

#include "movement.h"

typedef struct
{
  guint  rank;
  gint64 dims[FM_MAX_RANK], source[FM_MAX_RANK], target[FM_MAX_RANK];
} Box;

static void
box_init (Box *box, guint rank, const gint64 *dims, const gint64 *source, const gint64 *target)
{
  box->rank = 0;
  for (guint i = 0; i < rank; i++)
    {
      guint last = box->rank - 1;

      if (dims[i] == 1)
        continue;
      if (box->rank > 0 && box->source[last] == source[i] * dims[i] && box->target[last] == target[i] * dims[i])
        {
          box->dims[last] *= dims[i];
          box->source[last] = source[i];
          box->target[last] = target[i];
          continue;
        }
      box->dims[box->rank] = dims[i];
      box->source[box->rank] = source[i];
      box->target[box->rank++] = target[i];
    }
}

/* @rows x @columns elements; strides of source (sr, sc) and target (tr, tc). */
FM_KERNEL (void, copy_plane, (const guint32 *s, gint64 sr, gint64 sc, guint32 *t, gint64 tr, gint64 tc, gint64 rows,
                              gint64 columns),
           (s, sr, sc, t, tr, tc, rows, columns))
{
  if (sc == 1 && tc == 1)
    {
      for (gint64 r = 0; r < rows; r++)
        {
          gint64 c = 0;

          for (; c + 16 <= columns; c += 16)
            __builtin_memcpy (t + r * tr + c, s + r * sr + c, 64);
          for (; c < columns; c++)
            t[r * tr + c] = s[r * sr + c];
        }
    }
  else if (sr == 1 && tc == 1)
    {
      for (gint64 r0 = 0; r0 < rows; r0 += 16)
        for (gint64 c0 = 0; c0 < columns; c0 += 16)
          {
            gint64 r1 = MIN (r0 + 16, rows), c1 = MIN (c0 + 16, columns);

            if (r1 - r0 == 16 && c1 - c0 == 16)
              {
                guint32 tile[16][16];

                for (gint64 c = 0; c < 16; c++)
                  for (gint64 r = 0; r < 16; r++)
                    tile[r][c] = s[(c0 + c) * sc + r0 + r];
                for (gint64 r = 0; r < 16; r++)
                  __builtin_memcpy (t + (r0 + r) * tr + c0, tile[r], 64);
              }
            else
              for (gint64 r = r0; r < r1; r++)
                for (gint64 c = c0; c < c1; c++)
                  t[r * tr + c] = s[c * sc + r];
          }
    }
  else
    for (gint64 r = 0; r < rows; r++)
      for (gint64 c = 0; c < columns; c++)
        t[r * tr + c * tc] = s[r * sr + c * sc];
}

void
fm_copy_region (guint rank, const gint64 *dims, const void *source, const gint64 *source_stride,
                void *target, const gint64 *target_stride, guint threads)
{
  const guint32 *s = source;
  guint32 *t = target;
  gint64 outer = 1, blocks, block_rows, total = 1;
  guint row_axis = 0, column_axis;
  Box box;

  box_init (&box, rank, dims, source_stride, target_stride);
  if (box.rank == 0)
    {
      t[0] = s[0];
      return;
    }
  if (box.rank == 1) /* a plane of one row would leave one thread with all of it */
    {
      gint64 length = box.dims[0];

      blocks = (length + FM_CPU_BLOCK - 1) / FM_CPU_BLOCK;
#pragma omp parallel for schedule(static) num_threads(threads) if (blocks > 1)
      for (gint64 i = 0; i < blocks; i++)
        copy_plane (s + i * FM_CPU_BLOCK * box.source[0], 0, box.source[0], t + i * FM_CPU_BLOCK * box.target[0], 0,
                    box.target[0], 1, MIN (FM_CPU_BLOCK, length - i * FM_CPU_BLOCK));
      return;
    }
  column_axis = box.rank - 1;
  row_axis = box.rank - 2;
  if (box.source[column_axis] != 1)
    for (guint i = 0; i < column_axis; i++)
      if (box.source[i] == 1)
        row_axis = i;
  for (guint i = 0; i < box.rank; i++)
    {
      total *= box.dims[i];
      if (i != row_axis && i != column_axis)
        outer *= box.dims[i];
    }
  block_rows = CLAMP ((FM_CPU_BLOCK / box.dims[column_axis] + 15) / 16 * 16, 16, box.dims[row_axis]);
  blocks = (box.dims[row_axis] + block_rows - 1) / block_rows;
#pragma omp parallel for schedule(static) num_threads(threads) if (total > 2 * FM_CPU_BLOCK)
  for (gint64 task = 0; task < outer * blocks; task++)
    {
      gint64 row = task % blocks * block_rows, rest = task / blocks, from = row * box.source[row_axis],
             to = row * box.target[row_axis];

      for (gint i = (gint) box.rank - 1; i >= 0; i--)
        if (i != (gint) row_axis && i != (gint) column_axis)
          {
            from += rest % box.dims[i] * box.source[i];
            to += rest % box.dims[i] * box.target[i];
            rest /= box.dims[i];
          }
      copy_plane (s + from, box.source[row_axis], box.source[column_axis], t + to, box.target[row_axis],
                  box.target[column_axis], MIN (block_rows, box.dims[row_axis] - row), box.dims[column_axis]);
    }
}

gboolean
fm_copy_region_vulkan (FmVulkanRecorder *recorder, guint rank, const gint64 *dims,
                       FmTensor *source, gint64 source_offset, const gint64 *source_stride,
                       FmTensor *target, gint64 target_offset, const gint64 *target_stride, GError **error)
{
  struct { guint32 count, source_offset, target_offset, dims[6], source[6], target[6]; } push = { .count = 1 };
  FmVulkanDispatch dispatch = { .shader = "copy", .bind = { source, target }, .n_bind = 2, .push = &push,
                                .push_bytes = sizeof push };
  Box box;

  box_init (&box, rank, dims, source_stride, target_stride);
  push.source_offset = (guint32) source_offset;
  push.target_offset = (guint32) target_offset;
  for (guint i = 0; i < 6; i++)
    {
      guint from_end = 5 - i; /* the shader always walks six axes, the last one at index 5 */

      push.dims[i] = 1;
      if (from_end < box.rank)
        {
          guint axis = box.rank - 1 - from_end;

          push.dims[i] = (guint32) box.dims[axis];
          push.source[i] = (guint32) box.source[axis];
          push.target[i] = (guint32) box.target[axis];
          push.count *= push.dims[i];
        }
    }
  dispatch.groups = (push.count + 127) / 128;
  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

/* --- The op -------------------------------------------------------------------------------------------------------*/

static gboolean
copy_infer (FmNode *node)
{
  node->out[0]->type = node->in[0]->type;
  node->out[0]->shape = node->in[0]->shape;
  return TRUE;
}

static void
copy_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  dx[0] = dy[0];
}

static void
copy_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const FmTensor *x = node->in[0], *y = node->out[0];

  fm_copy_region (x->shape.rank, x->shape.dims, args->in[0], x->stride, args->out[0], y->stride, args->threads);
}

static gboolean
copy_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmTensor *x = node->in[0], *y = node->out[0];

  return fm_copy_region_vulkan (recorder, x->shape.rank, x->shape.dims, x, x->offset, x->stride, y, y->offset,
                                y->stride, error);
}

static void
copy_cost (const FmNode *node, FmCost *cost)
{
  cost->flops = 0;
  cost->bytes = 8.0 * fm_shape_count (&node->out[0]->shape);
}

static const FmOp copy_op = {
  .name = "copy", .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = FM_OP_STRIDED,
  .infer = copy_infer, .gradient = copy_gradient, .cpu = copy_cpu, .vulkan = copy_vulkan, .cost = copy_cost,
};

FmTensor *
fm_contiguous (FmGraph *g, FmTensor *x)
{
  FM_REFUSE_NULL (g, "contiguous", x);
  if (fm_graph_failed (g))
    return g->poison;
  return fm_tensor_is_contiguous (x) ? x : fm_op1 (g, &copy_op, NULL, 1, x);
}

FM_OPS (copy, &copy_op);
