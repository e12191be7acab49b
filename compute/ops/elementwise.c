/* elementwise.c: the walk over strided operands that elementwise ops share; it has no op of its own. */
#include "compute/ops/elementwise.h"

FM_OPS (elementwise, NULL);

void
fm_loop_init (FmLoop *loop, const FmShape *shape, FmTensor * const *in, guint n_in)
{
  gint64 stride[FM_LOOP_MAX_IN][FM_MAX_RANK];
  guint rank = 0;

  g_assert (n_in <= FM_LOOP_MAX_IN);
  for (guint k = 0; k < n_in; k++)
    {
      guint lead = shape->rank - in[k]->shape.rank;

      for (guint a = 0; a < shape->rank; a++)
        stride[k][a] = a < lead || (in[k]->shape.dims[a - lead] == 1 && shape->dims[a] != 1) ? 0
                                                                                             : in[k]->stride[a - lead];
    }

  loop->n_in = n_in;
  for (guint a = 0; a < shape->rank; a++)
    {
      gboolean merge = rank > 0;

      if (shape->dims[a] == 1)
        continue;
      /* Axis a continues the one before it where a step of that is a whole pass over this one, for every input. */
      for (guint k = 0; k < n_in && merge; k++)
        merge = loop->stride[k][rank - 1] == stride[k][a] * shape->dims[a];
      if (merge)
        loop->dims[rank - 1] *= shape->dims[a];
      else
        loop->dims[rank++] = shape->dims[a];
      for (guint k = 0; k < n_in; k++)
        loop->stride[k][rank - 1] = stride[k][a];
    }
  if (rank == 0)
    {
      loop->dims[rank++] = 1;
      for (guint k = 0; k < n_in; k++)
        loop->stride[k][0] = 0;
    }
  loop->rank = rank;
}

void
fm_loop_run (const FmLoop *loop, const FmNode *node, const FmCpuArgs *args, FmPanelFunc func)
{
  guint outer_rank = loop->rank > 2 ? loop->rank - 2 : 0;
  gint64 n = loop->dims[loop->rank - 1];
  gint64 rows = loop->rank > 1 ? loop->dims[loop->rank - 2] : 1;
  gint64 cut_n = n >= 2 * FM_CPU_BLOCK ? FM_CPU_BLOCK : n;
  gint64 cut_rows = MIN (rows, MAX (1, FM_CPU_BLOCK / MAX (cut_n, 1)));
  gint64 n_cuts = (n + cut_n - 1) / MAX (cut_n, 1), row_cuts = (rows + cut_rows - 1) / MAX (cut_rows, 1);
  gint64 panels = n_cuts * row_cuts, total;

  for (guint a = 0; a < outer_rank; a++)
    panels *= loop->dims[a];
  total = fm_shape_count (&node->out[0]->shape);
  if (total == 0)
    return;

#pragma omp parallel for schedule(static) num_threads(args->threads) if (total >= 2 * FM_CPU_BLOCK && panels > 1)
  for (gint64 p = 0; p < panels; p++)
    {
      gint64 first_n = p % n_cuts * cut_n, first_row = p / n_cuts % row_cuts * cut_rows;
      gint64 rest = p / (n_cuts * row_cuts), place = rest;
      FmPanel panel = { .rows = MIN (cut_rows, rows - first_row), .n = MIN (cut_n, n - first_n), .args = args };

      panel.out = (float *) args->out[0] + (rest * rows + first_row) * n + first_n;
      for (guint k = 0; k < loop->n_in; k++)
        {
          gint64 offset = first_n * loop->stride[k][loop->rank - 1];

          panel.step[k] = loop->stride[k][loop->rank - 1];
          panel.row[k] = loop->rank > 1 ? loop->stride[k][loop->rank - 2] : 0;
          offset += first_row * panel.row[k];
          rest = place;
          for (guint a = outer_rank; a-- > 0;)
            {
              offset += rest % loop->dims[a] * loop->stride[k][a];
              rest /= loop->dims[a];
            }
          panel.in[k] = (const float *) args->in[k] + offset;
        }
      func (&panel, node);
    }
}

gboolean
fm_loop_dispatch (const FmNode *node, FmVulkanRecorder *recorder, const char *shader, guint kind, guint type,
                  float c, float d, GError **error)
{
  FmLoop loop;
  FmLoopPush push = { .c = c, .d = d };
  FmVulkanDispatch dispatch = { .shader = shader, .push = &push, .push_bytes = sizeof push };

  g_assert (node->n_in <= 3);
  fm_loop_init (&loop, &node->out[0]->shape, node->in, node->n_in);
  push.count = (guint32) fm_shape_count (&node->out[0]->shape);
  push.rank = loop.rank;
  for (guint a = 0; a < loop.rank; a++)
    push.dims[a] = (guint32) loop.dims[a];
  for (guint k = 0; k < node->n_in; k++)
    {
      push.offset[k] = (guint32) node->in[k]->offset;
      for (guint a = 0; a < loop.rank; a++)
        push.stride[k][a] = (guint32) loop.stride[k][a];
      dispatch.bind[dispatch.n_bind++] = node->in[k];
    }
  dispatch.bind[dispatch.n_bind++] = node->out[0];
  dispatch.spec[dispatch.n_spec++] = kind;
  dispatch.spec[dispatch.n_spec++] = type;
  dispatch.groups = (push.count + 127) / 128;
  return fm_vulkan_dispatch (recorder, &dispatch, error);
}
