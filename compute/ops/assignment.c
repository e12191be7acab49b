/* assignment.c: the cheapest one-to-one assignment of rows to columns, item by item of a batch (bipartite matching).
 *
 * assignment: cost f32 [..,n,m] -> i32 [..,n]: the column of each row; with n > m the rows that get none hold -1.
 * An item with a cost that is not finite gets -1 everywhere. Attributes: none.
 *
 * Method: shortest augmenting paths with potentials, one row after the other: O(min(n,m)^2 max(n,m)). Only additions and
 * comparisons of f32, in one order, so both backends give the same columns, ties included (the lowest column wins).
 * Source: Crouse 2016, "On implementing 2D rectangular assignment algorithms", algorithm of Jonker and Volgenant (1987)
 * without its initialisation phase. */
#include "config.h"

#include "compute/compute-private.h"

#include <math.h>

/* Per item: potential of a row, potential of a column, least reduced cost of a column, row of a column, the column it
 * is reached from, visited. */
#define N_ARRAYS 6

static gboolean
assignment_infer (FmNode *node)
{
  FmTensor *cost = node->in[0], *y = node->out[0];

  if (cost->type != FM_F32 || cost->shape.rank < 2)
    {
      g_autofree char *shape = fm_shape_to_string (&cost->shape);

      fm_graph_fail (node->graph, "assignment", "takes f32 costs [..,rows,columns], not %s %s",
                     cost->type == FM_F32 ? "f32" : "another type", shape);
      return FALSE;
    }
  y->type = FM_I32;
  y->shape = cost->shape;
  y->shape.rank--;
  return TRUE;
}

typedef struct { gint64 items, n, m, side; } Sizes;

static Sizes
sizes_of (const FmNode *node)
{
  const FmShape *shape = &node->in[0]->shape;
  Sizes s = { .n = shape->dims[shape->rank - 2], .m = shape->dims[shape->rank - 1] };

  s.items = fm_shape_count (shape) / MAX (1, s.n * s.m);
  s.side = MAX (s.n, s.m) + 1;
  return s;
}

/* Lines are the fewer of rows and columns, places the others; place 0 and line 0 are nobody. */
static void
assign_item (const float *cost, gint64 lines, gint64 places, gint64 line_step, gint64 place_step, gint64 side,
             float *work)
{
  float *line_price = work, *place_price = work + side, *least = work + 2 * side;
  gint32 *line_of = (gint32 *) (work + 3 * side), *from = line_of + side, *seen = from + side;

  for (gint64 i = 0; i < side; i++)
    {
      line_price[i] = place_price[i] = 0;
      line_of[i] = 0;
    }
  for (gint64 line = 1; line <= lines; line++)
    {
      gint64 here = 0;

      for (gint64 j = 0; j <= places; j++)
        {
          least[j] = INFINITY;
          from[j] = 0;
          seen[j] = 0;
        }
      line_of[0] = (gint32) line;
      do
        {
          gint64 at = line_of[here], next = 0;
          float step = INFINITY;

          seen[here] = 1;
          for (gint64 j = 1; j <= places; j++)
            {
              float reduced;

              if (seen[j])
                continue;
              reduced = cost[(at - 1) * line_step + (j - 1) * place_step] - line_price[at] - place_price[j];
              if (reduced < least[j])
                {
                  least[j] = reduced;
                  from[j] = (gint32) here;
                }
              if (least[j] < step)
                {
                  step = least[j];
                  next = j;
                }
            }
          if (next == 0) /* prices overflowed: leave this line out */
            {
              line_of[0] = 0;
              here = 0;
              break;
            }
          for (gint64 j = 0; j <= places; j++)
            if (seen[j])
              {
                line_price[line_of[j]] += step;
                place_price[j] -= step;
              }
            else
              least[j] -= step;
          here = next;
        }
      while (line_of[here] != 0);
      while (here != 0)
        {
          gint64 before = from[here];

          line_of[here] = line_of[before];
          here = before;
        }
    }
}

static void
assignment_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const float *cost = args->in[0];
  gint32 *y = args->out[0];
  float *work = args->workspace;
  Sizes s = sizes_of (node);
  gboolean wide = s.n <= s.m;

#pragma omp parallel for num_threads (args->threads) schedule (dynamic) if (s.items > 1 && s.items * s.n * s.m > 4096)
  for (gint64 item = 0; item < s.items; item++)
    {
      const float *c = cost + item * s.n * s.m;
      float *w = work + item * N_ARRAYS * s.side;
      const gint32 *line_of = (const gint32 *) (w + 3 * s.side);
      gint32 *row_column = y + item * s.n;
      gboolean finite = TRUE;

      for (gint64 i = 0; i < s.n * s.m && finite; i++)
        finite = isfinite (c[i]);
      for (gint64 i = 0; i < s.n; i++)
        row_column[i] = -1;
      if (!finite)
        continue;
      assign_item (c, MIN (s.n, s.m), MAX (s.n, s.m), wide ? s.m : 1, wide ? 1 : s.m, s.side, w);
      for (gint64 j = 1; j <= MAX (s.n, s.m); j++)
        if (line_of[j] > 0)
          {
            if (wide)
              row_column[line_of[j] - 1] = (gint32) (j - 1);
            else
              row_column[j - 1] = line_of[j] - 1;
          }
    }
}

static gsize
assignment_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  Sizes s = sizes_of (node);

  return sizeof (float) * s.items * N_ARRAYS * s.side;
}

static gboolean
assignment_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  Sizes s = sizes_of (node);
  struct { guint32 items, n, m, side, cost_offset, y_offset; } push = {
    s.items, s.n, s.m, s.side, node->in[0]->offset, node->out[0]->offset };
  FmVulkanDispatch dispatch = { .shader = "assignment", .bind = { node->in[0], node->out[0], FM_VULKAN_WORKSPACE },
                                .n_bind = 3, .push = &push, .push_bytes = sizeof push, .local_x = 64,
                                .groups = s.items };

  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

/* Every line may visit every line before it: about min^2 max / 2 visits of three additions. */
static void
assignment_cost (const FmNode *node, FmCost *cost)
{
  Sizes s = sizes_of (node);

  cost->flops = 1.5 * s.items * MIN (s.n, s.m) * MIN (s.n, s.m) * MAX (s.n, s.m);
  cost->bytes = 4.0 * s.items * (s.n * s.m + s.n);
}

static const FmOp assignment_op = {
  .name = "assignment", .n_in_min = 1, .n_in_max = 1, .n_out = 1,
  .infer = assignment_infer,
  .no_gradient = "it chooses columns, and a choice does not move with the costs; gather the costs by it for a gradient",
  .cpu = assignment_cpu, .vulkan = assignment_vulkan, .workspace = assignment_workspace, .cost = assignment_cost,
};

FmTensor *
fm_assignment (FmGraph *g, FmTensor *cost)
{
  FM_REFUSE_NULL (g, "assignment", cost);
  return fm_op1 (g, &assignment_op, NULL, 1, cost);
}

FM_OPS (assignment, &assignment_op);
