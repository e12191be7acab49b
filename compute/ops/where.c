/* where.c: a choice between two operands, element by element, with broadcasting.
 *
 * Node: in mask f32, a, b of one type; out of the broadcast shape. */
#include "compute/ops/elementwise.h"

static gboolean
infer (FmNode *node)
{
  FmShape shape;

  if (node->in[0]->type != FM_F32 || node->in[1]->type != node->in[2]->type)
    {
      fm_graph_fail (node->graph, "where", "needs an f32 mask and two operands of one type");
      return FALSE;
    }
  if (!fm_shape_broadcast (&node->in[0]->shape, &node->in[1]->shape, &shape) ||
      !fm_shape_broadcast (&shape, &node->in[2]->shape, &node->out[0]->shape))
    {
      g_autofree char *mask = fm_shape_to_string (&node->in[0]->shape);
      g_autofree char *a = fm_shape_to_string (&node->in[1]->shape), *b = fm_shape_to_string (&node->in[2]->shape);

      fm_graph_fail (node->graph, "where", "cannot broadcast mask %s, %s and %s: axes, counted from the last, must be "
                     "equal or 1", mask, a, b);
      return FALSE;
    }
  node->out[0]->type = node->in[1]->type;
  return TRUE;
}

/* Words, not floats: a NaN keeps its bits and i32 needs no loop of its own. */
FM_KERNEL (void, panel_where, (const FmPanel *p), (p))
{
  gint64 n = p->n, sm = p->step[0], sa = p->step[1], sb = p->step[2];

  for (gint64 r = 0; r < p->rows; r++)
    {
      const float *m = p->in[0] + r * p->row[0];
      const gint32 *a = (const gint32 *) p->in[1] + r * p->row[1], *b = (const gint32 *) p->in[2] + r * p->row[2];
      gint32 *o = (gint32 *) p->out + r * n;

      if (sm == 1 && sa == 1 && sb == 1)
        {
#pragma omp simd
          for (gint64 i = 0; i < n; i++)
            o[i] = m[i] != 0.0f ? a[i] : b[i];
        }
      else if (sm == 1 && sa == 1 && sb == 0)
        {
          gint32 y = b[0];
#pragma omp simd
          for (gint64 i = 0; i < n; i++)
            o[i] = m[i] != 0.0f ? a[i] : y;
        }
      else
        for (gint64 i = 0; i < n; i++)
          o[i] = m[i * sm] != 0.0f ? a[i * sa] : b[i * sb];
    }
}

static void
panel (const FmPanel *p, const FmNode *node)
{
  panel_where (p);
}

static void
cpu (const FmNode *node, const FmCpuArgs *args)
{
  FmLoop loop;

  fm_loop_init (&loop, &node->out[0]->shape, node->in, 3);
  fm_loop_run (&loop, node, args, panel);
}

static gboolean
vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  return fm_loop_dispatch (node, recorder, "where", 0, 0, 0, 0, error);
}

/* A product with the mask would turn an inf or NaN of the side not taken into NaN. */
static void
gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmTensor *zero = fm_constant (g, FM_F32, FM_SHAPE (1), 0);

  if (node->out[0]->type != FM_F32)
    return;
  dx[1] = fm_sum_to (g, fm_where (g, node->in[0], dy[0], zero), node->in[1]->shape);
  dx[2] = fm_sum_to (g, fm_where (g, node->in[0], zero, dy[0]), node->in[2]->shape);
}

static const FmOp row = {
  .name = "where", .n_in_min = 3, .n_in_max = 3, .n_out = 1, .flags = FM_OP_STRIDED | FM_OP_INPLACE,
  .infer = infer, .gradient = gradient, .cpu = cpu, .vulkan = vulkan, .family = FM_FAMILY_WHERE, .panel = panel,
};

FM_OPS (where, &row);

FmTensor *
fm_where (FmGraph *g, FmTensor *mask, FmTensor *a, FmTensor *b)
{
  FM_REFUSE_NULL (g, "where", mask, a, b);
  return fm_op1 (g, &row, NULL, 3, mask, a, b);
}
