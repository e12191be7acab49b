/* recurrent.c: GRU and LSTM over a whole sequence, one op each, and their backward ops.
 *
 * gru:  gates_x f32 [B,N,3D] (what the inputs add to the gates, biases included), weight [3D,D], bias [3D], h0 [B,D]
 *       -> h [B,N,D] and, for the backward op, saved [B,N,4D] = (r, z, n, W_n h + b_n). Gates in the order r, z, n:
 *       r, z = sigmoid (x + W h + b);  n = tanh (x_n + r (W_n h + b_n));  h' = (1 - z) n + z h.
 * lstm: gates_x [B,N,4D], weight [4D,D], h0, c0 [B,D] -> h, c [B,N,D] and saved [B,N,4D] = (i, f, g, o):
 *       i, f, o = sigmoid (x + W h), g = tanh (x_g + W_g h);  c' = f c + i g;  h' = o tanh c'. Order i, f, g, o.
 * attr.i[0]: 1 walks from the end to the start.
 * gru-backward:  weight, saved, h, h0, dh -> dgates_x, dgates_h [B,N,3D], dh0.
 * lstm-backward: weight, saved, c, c0, dh, dc -> dgates [B,N,4D], dstart [2,B,D] = (dh0, dc0).
 * What is left of the gradient, by weight and bias, is a product over all steps at once, built as graph.
 *
 * Sources: Cho et al. 2014, arXiv:1406.1078, with the reset after the product (the form that runs as one product, Chung
 * et al. 2014, arXiv:1412.3555); Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000.
 *
 * Rows of the batch are independent: blocks of them, cut by the shape alone, go to threads. The weight is turned once so
 * that a step runs along its gates. */
#include "config.h"

#include "compute/ops/math.h"

#include <string.h>

enum { GRU, LSTM };

#define ROWS 4 /* of the batch that share a pass over the weight */

typedef struct { gint64 b, n, d; guint gates; gboolean reverse; } Sizes;

static Sizes
sizes_of (const FmNode *node, const FmTensor *h0, guint gates)
{
  const FmTensor *sequence = node->out[0];

  return (Sizes){ .b = h0->shape.dims[0], .n = sequence->shape.dims[1], .d = h0->shape.dims[1], .gates = gates,
                  .reverse = node->attr.i[0] != 0 };
}

static gboolean
forward_infer (FmNode *node, guint gates, guint n_states)
{
  FmTensor *x = node->in[0], *weight = node->in[1], *h0 = node->in[node->n_in - 1];
  gint64 b = x->shape.dims[0], d = weight->shape.dims[weight->shape.rank - 1];
  FmShape states = FM_SHAPE (b, d);
  gboolean fits = x->shape.rank == 3 && weight->shape.rank == 2 && x->shape.dims[2] == gates * d
                  && weight->shape.dims[0] == gates * d;

  for (guint k = 0; k < node->n_in; k++)
    fits = fits && node->in[k]->type == FM_F32;
  for (guint k = 0; fits && k < n_states; k++)
    fits = fm_shape_equal (&node->in[node->n_in - 1 - k]->shape, &states);
  if (fits && gates == 3)
    fits = fm_shape_count (&node->in[2]->shape) == 3 * d;
  if (!fits)
    {
      g_autofree char *sx = fm_shape_to_string (&x->shape), *sw = fm_shape_to_string (&weight->shape);
      g_autofree char *sh = fm_shape_to_string (&h0->shape);

      fm_graph_fail (node->graph, node->op->name, "needs f32 gates [B,N,%uD], a weight [%uD,D] and a start [B,D], not %s, %s "
                     "and %s", gates, gates, sx, sw, sh);
      return FALSE;
    }
  for (guint k = 0; k < node->op->n_out; k++)
    {
      node->out[k]->type = FM_F32;
      node->out[k]->shape = FM_SHAPE (b, x->shape.dims[1], d);
    }
  node->out[node->op->n_out - 1]->shape.dims[2] = 4 * d;
  return TRUE;
}

static gboolean
gru_infer (FmNode *node)
{
  return forward_infer (node, 3, 1);
}

static gboolean
lstm_infer (FmNode *node)
{
  return forward_infer (node, 4, 2);
}

static gboolean
gru_backward_infer (FmNode *node)
{
  FmShape h = node->in[2]->shape;

  for (guint k = 0; k < 3; k++)
    node->out[k]->type = FM_F32;
  node->out[0]->shape = node->out[1]->shape = FM_SHAPE (h.dims[0], h.dims[1], 3 * h.dims[2]);
  node->out[2]->shape = FM_SHAPE (h.dims[0], h.dims[2]);
  return TRUE;
}

static gboolean
lstm_backward_infer (FmNode *node)
{
  FmShape h = node->in[2]->shape;

  node->out[0]->type = node->out[1]->type = FM_F32;
  node->out[0]->shape = FM_SHAPE (h.dims[0], h.dims[1], 4 * h.dims[2]);
  node->out[1]->shape = FM_SHAPE (2, h.dims[0], h.dims[2]);
  return TRUE;
}

/* --- CPU ----------------------------------------------------------------------------------------------------------*/

/* y [rows,m] += x [rows,k] w [k,m], rows <= ROWS; y contiguous, x with rows @ldx apart. */
FM_KERNEL (void, add_product, (gint64 rows, gint64 k, gint64 m, const float *x, gint64 ldx, const float *w, float *y),
           (rows, k, m, x, ldx, w, y))
{
  if (rows == ROWS)
    {
      for (gint64 j = 0; j < k; j++, w += m)
        {
          float x0 = x[j], x1 = x[ldx + j], x2 = x[2 * ldx + j], x3 = x[3 * ldx + j];

#pragma omp simd
          for (gint64 i = 0; i < m; i++)
            {
              float v = w[i];

              y[i] += x0 * v;
              y[m + i] += x1 * v;
              y[2 * m + i] += x2 * v;
              y[3 * m + i] += x3 * v;
            }
        }
      return;
    }
  for (gint64 j = 0; j < k; j++, w += m)
    for (gint64 r = 0; r < rows; r++)
      {
        float x0 = x[r * ldx + j];

#pragma omp simd
        for (gint64 i = 0; i < m; i++)
          y[r * m + i] += x0 * w[i];
      }
}

/* @a: W h + b for the three gates. */
FM_KERNEL (void, gru_cell, (gint64 d, const float *x, const float *a, const float *before, float *h, float *saved),
           (d, x, a, before, h, saved))
{
#pragma omp simd
  for (gint64 i = 0; i < d; i++)
    {
      float r = fm_sigmoidf (x[i] + a[i]), z = fm_sigmoidf (x[d + i] + a[d + i]);
      float n = fm_tanhf (x[2 * d + i] + r * a[2 * d + i]);

      h[i] = (1.0f - z) * n + z * before[i];
      saved[i] = r;
      saved[d + i] = z;
      saved[2 * d + i] = n;
      saved[3 * d + i] = a[2 * d + i];
    }
}

FM_KERNEL (void, lstm_cell, (gint64 d, const float *x, const float *a, const float *before, float *c, float *h, float *saved),
           (d, x, a, before, c, h, saved))
{
#pragma omp simd
  for (gint64 i = 0; i < d; i++)
    {
      float in = fm_sigmoidf (x[i] + a[i]), forget = fm_sigmoidf (x[d + i] + a[d + i]);
      float g = fm_tanhf (x[2 * d + i] + a[2 * d + i]), o = fm_sigmoidf (x[3 * d + i] + a[3 * d + i]);
      float cell = forget * before[i] + in * g;

      c[i] = cell;
      h[i] = o * fm_tanhf (cell);
      saved[i] = in;
      saved[d + i] = forget;
      saved[2 * d + i] = g;
      saved[3 * d + i] = o;
    }
}

FM_KERNEL (void, gru_cell_backward, (gint64 d, const float *saved, const float *before, const float *dy, float *carried,
                                     float *dx, float *da), (d, saved, before, dy, carried, dx, da))
{
#pragma omp simd
  for (gint64 i = 0; i < d; i++)
    {
      float r = saved[i], z = saved[d + i], n = saved[2 * d + i], a = saved[3 * d + i];
      float dh = dy[i] + carried[i], dn = dh * (1.0f - z) * (1.0f - n * n);

      dx[i] = da[i] = dn * a * r * (1.0f - r);
      dx[d + i] = da[d + i] = dh * (before[i] - n) * z * (1.0f - z);
      dx[2 * d + i] = dn;
      da[2 * d + i] = dn * r;
      carried[i] = dh * z;
    }
}

FM_KERNEL (void, lstm_cell_backward, (gint64 d, const float *saved, const float *c, const float *before, const float *dy,
                                      const float *dc, float *carried, float *carried_c, float *dx),
           (d, saved, c, before, dy, dc, carried, carried_c, dx))
{
#pragma omp simd
  for (gint64 i = 0; i < d; i++)
    {
      float in = saved[i], forget = saved[d + i], g = saved[2 * d + i], o = saved[3 * d + i];
      float dh = dy[i] + carried[i], t = fm_tanhf (c[i]);
      float cell = carried_c[i] + dc[i] + dh * o * (1.0f - t * t);

      dx[i] = cell * g * in * (1.0f - in);
      dx[d + i] = cell * before[i] * forget * (1.0f - forget);
      dx[2 * d + i] = cell * in * (1.0f - g * g);
      dx[3 * d + i] = dh * t * o * (1.0f - o);
      carried[i] = 0.0f;
      carried_c[i] = cell * forget;
    }
}

/* What a block of rows needs beside the turned weight: gates of its rows, states carried. */
static gsize
block_floats (const Sizes *s)
{
  return ROWS * (s->gates + 2) * s->d;
}

static gint64
blocks_of (const Sizes *s)
{
  return (s->b + ROWS - 1) / ROWS;
}

static gsize
workspace_of (const Sizes *s)
{
  return sizeof (float) * (s->gates * s->d * s->d + blocks_of (s) * block_floats (s));
}

static gsize
gru_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  Sizes s = sizes_of (node, node->in[3], 3);

  return backend == FM_BACKEND_CPU ? workspace_of (&s) : 0;
}

static gsize
lstm_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  Sizes s = sizes_of (node, node->in[3], 4);

  return backend == FM_BACKEND_CPU ? workspace_of (&s) : 0;
}

static void
forward_cpu (const FmNode *node, const FmCpuArgs *args, guint kind)
{
  Sizes s = sizes_of (node, node->in[3], kind == GRU ? 3 : 4);
  const float *x = args->in[0], *weight = args->in[1], *bias = kind == GRU ? args->in[2] : NULL;
  const float *h0 = kind == GRU ? args->in[3] : args->in[2], *c0 = kind == GRU ? NULL : args->in[3];
  float *h = args->out[0], *c = kind == GRU ? NULL : args->out[1], *saved = args->out[kind == GRU ? 1 : 2];
  gint64 d = s.d, m = s.gates * d, n = s.n;
  float *turned = args->workspace, *blocks = turned + m * d;

  for (gint64 i = 0; i < m; i++)
    for (gint64 j = 0; j < d; j++)
      turned[j * m + i] = weight[i * d + j];
#pragma omp parallel for schedule(static) num_threads(args->threads) if (s.b > ROWS)
  for (gint64 block = 0; block < blocks_of (&s); block++)
    {
      gint64 first = block * ROWS, rows = MIN (ROWS, s.b - first);
      float *a = blocks + block * block_floats (&s), *before = a + ROWS * m;

      memcpy (before, h0 + first * d, sizeof (float) * rows * d);
      for (gint64 i = 0; i < n; i++)
        {
          gint64 t = s.reverse ? n - 1 - i : i, last = s.reverse ? t + 1 : t - 1;

          for (gint64 r = 0; r < rows; r++)
            if (bias)
              memcpy (a + r * m, bias, sizeof (float) * m);
            else
              memset (a + r * m, 0, sizeof (float) * m);
          add_product (rows, d, m, before, d, turned, a);
          for (gint64 r = 0; r < rows; r++)
            {
              gint64 at = (first + r) * n + t;

              if (kind == GRU)
                gru_cell (d, x + at * m, a + r * m, before + r * d, h + at * d, saved + at * 4 * d);
              else
                lstm_cell (d, x + at * m, a + r * m, i == 0 ? c0 + (first + r) * d : c + ((first + r) * n + last) * d,
                           c + at * d, h + at * d, saved + at * 4 * d);
              memcpy (before + r * d, h + at * d, sizeof (float) * d);
            }
        }
    }
}

static void
gru_cpu (const FmNode *node, const FmCpuArgs *args)
{
  forward_cpu (node, args, GRU);
}

static void
lstm_cpu (const FmNode *node, const FmCpuArgs *args)
{
  forward_cpu (node, args, LSTM);
}

/* The weight as it lies, [gates D, D], carries gradients of gates to the state before. */
static void
backward_cpu (const FmNode *node, const FmCpuArgs *args, guint kind)
{
  Sizes s = sizes_of (node, node->in[3], kind == GRU ? 3 : 4);
  const float *weight = args->in[0], *saved = args->in[1], *states = args->in[2], *start = args->in[3], *dh = args->in[4];
  const float *dc = kind == GRU ? NULL : args->in[5];
  float *dx = args->out[0], *da = kind == GRU ? args->out[1] : dx;
  float *dh0 = args->out[kind == GRU ? 2 : 1], *dc0 = kind == GRU ? NULL : dh0 + s.b * s.d;
  gint64 d = s.d, m = s.gates * d, n = s.n;
  float *blocks = args->workspace;

#pragma omp parallel for schedule(static) num_threads(args->threads) if (s.b > ROWS)
  for (gint64 block = 0; block < blocks_of (&s); block++)
    {
      gint64 first = block * ROWS, rows = MIN (ROWS, s.b - first);
      float *a = blocks + block * block_floats (&s), *carried = a + ROWS * m, *carried_c = carried + ROWS * d;

      memset (carried, 0, sizeof (float) * 2 * ROWS * d);
      for (gint64 i = n - 1; i >= 0; i--)
        {
          gint64 t = s.reverse ? n - 1 - i : i, last = s.reverse ? t + 1 : t - 1;

          for (gint64 r = 0; r < rows; r++)
            {
              gint64 at = (first + r) * n + t;
              const float *before = i == 0 ? start + (first + r) * d : states + ((first + r) * n + last) * d;

              if (kind == GRU)
                gru_cell_backward (d, saved + at * 4 * d, before, dh + at * d, carried + r * d, dx + at * m, da + at * m);
              else
                lstm_cell_backward (d, saved + at * 4 * d, states + at * d, before, dh + at * d, dc + at * d,
                                    carried + r * d, carried_c + r * d, dx + at * m);
              memcpy (a + r * m, da + at * m, sizeof (float) * m);
            }
          add_product (rows, m, d, a, m, weight, carried);
        }
      memcpy (dh0 + first * d, carried, sizeof (float) * rows * d);
      if (dc0)
        memcpy (dc0 + first * d, carried_c, sizeof (float) * rows * d);
    }
}

static void
gru_backward_cpu (const FmNode *node, const FmCpuArgs *args)
{
  backward_cpu (node, args, GRU);
}

static void
lstm_backward_cpu (const FmNode *node, const FmCpuArgs *args)
{
  backward_cpu (node, args, LSTM);
}

/* --- Vulkan -------------------------------------------------------------------------------------------------------*/

typedef struct { guint32 b, n, d, reverse, offset[8]; } Push;

static gboolean
record (const FmNode *node, FmVulkanRecorder *recorder, const char *shader, guint kind, FmTensor * const *tensors, guint n,
        GError **error)
{
  Sizes s = sizes_of (node, node->in[3], kind == GRU ? 3 : 4);
  Push push = { (guint32) s.b, (guint32) s.n, (guint32) s.d, s.reverse };
  FmVulkanDispatch dispatch = { .shader = shader, .push = &push, .push_bytes = sizeof push, .spec = { kind }, .n_spec = 1,
                                .local_x = 64, .groups = s.b };

  for (guint i = 0; i < n; i++)
    {
      dispatch.bind[i] = tensors[i];
      push.offset[i] = tensors[i] == FM_VULKAN_WORKSPACE ? 0 : (guint32) tensors[i]->offset;
    }
  dispatch.n_bind = n;
  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

static gboolean
gru_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmTensor * const *in = node->in;

  return record (node, recorder, "recurrent", GRU,
                 (FmTensor *[]){ in[0], in[1], in[2], in[3], in[3], node->out[0], node->out[0], node->out[1] }, 8, error);
}

static gboolean
lstm_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmTensor * const *in = node->in;

  return record (node, recorder, "recurrent", LSTM,
                 (FmTensor *[]){ in[0], in[1], in[1], in[2], in[3], node->out[0], node->out[1], node->out[2] }, 8, error);
}

static gboolean
gru_backward_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmTensor * const *in = node->in;

  return record (node, recorder, "gru-backward", GRU,
                 (FmTensor *[]){ in[0], in[1], in[2], in[3], in[4], node->out[0], node->out[1], node->out[2] }, 8, error);
}

static gboolean
lstm_backward_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmTensor * const *in = node->in;

  return record (node, recorder, "lstm-backward", LSTM,
                 (FmTensor *[]){ in[0], in[1], in[2], in[3], in[4], in[5], node->out[0], node->out[1] }, 8, error);
}

/* --- Costs and gradients ------------------------------------------------------------------------------------------*/

static void
cost_of (const FmNode *node, FmCost *cost, guint gates)
{
  Sizes s = sizes_of (node, node->in[3], gates);
  gdouble steps = (gdouble) s.b * s.n;

  cost->flops = steps * s.d * (2.0 * gates * s.d + 20.0 * gates);
  cost->bytes = 4.0 * (steps * s.d * (gates + 6) + gates * s.d * s.d);
}

static void
gru_cost (const FmNode *node, FmCost *cost)
{
  cost_of (node, cost, 3);
}

static void
lstm_cost (const FmNode *node, FmCost *cost)
{
  cost_of (node, cost, 4);
}

#define NO_SECOND "its gradient is a walk back over saved gates; second derivatives: build the cell with fm_scan()"

static const FmOp gru_backward_op = {
  .name = "gru-backward", .n_in_min = 5, .n_in_max = 5, .n_out = 3, .infer = gru_backward_infer, .no_gradient = NO_SECOND,
  .cpu = gru_backward_cpu, .vulkan = gru_backward_vulkan, .workspace = gru_workspace, .cost = gru_cost,
};

static const FmOp lstm_backward_op = {
  .name = "lstm-backward", .n_in_min = 6, .n_in_max = 6, .n_out = 2, .infer = lstm_backward_infer, .no_gradient = NO_SECOND,
  .cpu = lstm_backward_cpu, .vulkan = lstm_backward_vulkan, .workspace = lstm_workspace, .cost = lstm_cost,
};

/* States before each step: the start, then all but the last (in the order of the walk). */
static FmTensor *
states_before (FmGraph *g, FmTensor *h, FmTensor *h0, gboolean reverse)
{
  FmShape one = FM_SHAPE (h->shape.dims[0], 1, h->shape.dims[2]);
  gint64 n = h->shape.dims[1];
  FmTensor *start = fm_reshape (g, h0, one), *rest;

  if (n == 1)
    return start;
  rest = fm_slice (g, h, 1, reverse ? 1 : 0, n - 1);
  return fm_concat (g, reverse ? (FmTensor *[]){ rest, start } : (FmTensor *[]){ start, rest }, 2, 1);
}

/* dgates [B,N,m], states [B,N,D] -> [m,D]. */
static FmTensor *
weight_gradient (FmGraph *g, FmTensor *dgates, FmTensor *before)
{
  gint64 rows = dgates->shape.dims[0] * dgates->shape.dims[1];

  return fm_matmul (g, fm_reshape (g, dgates, FM_SHAPE (rows, dgates->shape.dims[2])),
                    fm_reshape (g, before, FM_SHAPE (rows, before->shape.dims[2])), FM_TRANS_A);
}

static FmTensor *
or_zeros (FmGraph *g, FmTensor *dy, const FmTensor *like)
{
  return dy ? dy : fm_constant (g, FM_F32, like->shape, 0.0);
}

static void
gru_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmTensor *in[] = { node->in[1], node->out[1], node->out[0], node->in[3], or_zeros (g, dy[0], node->out[0]) };
  FmNode *back = fm_node_new (g, &gru_backward_op, in, 5, &node->attr);

  if (back == NULL)
    return;
  dx[0] = back->out[0];
  dx[1] = weight_gradient (g, back->out[1], states_before (g, node->out[0], node->in[3], node->attr.i[0] != 0));
  dx[2] = fm_reshape (g, fm_sum (g, fm_sum (g, back->out[1], 0), 0), node->in[2]->shape);
  dx[3] = back->out[2];
}

static void
lstm_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmTensor *in[] = { node->in[1], node->out[2], node->out[1], node->in[3], or_zeros (g, dy[0], node->out[0]),
                     or_zeros (g, dy[1], node->out[1]) };
  FmNode *back = fm_node_new (g, &lstm_backward_op, in, 6, &node->attr);

  if (back == NULL)
    return;
  dx[0] = back->out[0];
  dx[1] = weight_gradient (g, back->out[0], states_before (g, node->out[0], node->in[2], node->attr.i[0] != 0));
  dx[2] = fm_reshape (g, fm_slice (g, back->out[1], 0, 0, 1), node->in[2]->shape);
  dx[3] = fm_reshape (g, fm_slice (g, back->out[1], 0, 1, 1), node->in[3]->shape);
}

static const FmOp gru_op = {
  .name = "gru", .n_in_min = 4, .n_in_max = 4, .n_out = 2, .infer = gru_infer, .gradient = gru_gradient, .cpu = gru_cpu,
  .vulkan = gru_vulkan, .workspace = gru_workspace, .cost = gru_cost,
};

static const FmOp lstm_op = {
  .name = "lstm", .n_in_min = 4, .n_in_max = 4, .n_out = 3, .infer = lstm_infer, .gradient = lstm_gradient,
  .cpu = lstm_cpu, .vulkan = lstm_vulkan, .workspace = lstm_workspace, .cost = lstm_cost,
};

static FmTensor *
start_or_zeros (FmGraph *g, FmTensor *start, const FmTensor *x, const FmTensor *weight)
{
  return start ? start : fm_constant (g, FM_F32, FM_SHAPE (x->shape.dims[0], weight->shape.dims[weight->shape.rank - 1]), 0.0);
}

FmTensor *
fm_gru (FmGraph *g, FmTensor *gates, FmTensor *weight, FmTensor *bias, FmTensor *h0, gboolean reverse)
{
  FM_REFUSE_NULL (g, "gru", gates, weight);
  if (fm_graph_failed (g))
    return g->poison;
  if (bias == NULL)
    bias = fm_constant (g, FM_F32, FM_SHAPE (weight->shape.dims[0]), 0.0);
  return fm_op1 (g, &gru_op, &(FmAttr){ .i = { reverse != FALSE } }, 4, gates, weight, bias,
                 start_or_zeros (g, h0, gates, weight));
}

FmTensor *
fm_lstm (FmGraph *g, FmTensor *gates, FmTensor *weight, FmTensor *h0, FmTensor *c0, gboolean reverse, FmTensor **cells)
{
  if (cells)
    *cells = g->poison;
  FM_REFUSE_NULL (g, "lstm", gates, weight);
  FmTensor *in[4];
  FmNode *node;

  if (cells)
    *cells = g->poison;
  if (fm_graph_failed (g))
    return g->poison;
  in[0] = gates;
  in[1] = weight;
  in[2] = start_or_zeros (g, h0, gates, weight);
  in[3] = start_or_zeros (g, c0, gates, weight);
  node = fm_node_new (g, &lstm_op, in, 4, &(FmAttr){ .i = { reverse != FALSE } });
  if (node == NULL)
    return g->poison;
  if (cells)
    *cells = node->out[1];
  return node->out[0];
}

FM_OPS (recurrent, &gru_op, &lstm_op, &gru_backward_op, &lstm_backward_op);
