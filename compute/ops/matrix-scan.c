/* matrix-scan.c: the linear recurrence of a matrix state, which is causal linear attention with a decay.
 *
 * matrix-scan: q, k f32 [..,N,d], v [..,N,dv], decay [..,N,d] or [..,N,1], start [..,d,dv] -> y [..,N,dv] and the last
 * state [..,d,dv]:   S_t = diag (decay_t) S_{t-1} + k_t v_t^T,   y_t = S_t^T q_t.
 * matrix-scan-backward: the five inputs, dy, dS -> dq, dk, dv, ddecay, dstart. With R_t the gradient by S_t:
 *   R_t = q_t dy_t^T + diag (decay_{t+1}) R_{t+1}; dq_t = S_t dy_t; dk_t = R_t v_t; dv_t = R_t^T k_t;
 *   ddecay_t = rows of S_{t-1} * R_t summed.
 * States are not kept: the backward op keeps one in every stretch of about sqrt (N) steps and walks each stretch twice.
 *
 * Sources: Katharopoulos et al. 2020, arXiv:2006.16236, section 3.3 (decay 1); Yang et al. 2024, arXiv:2312.06635,
 * equation 3 (gated); Sun et al. 2023, arXiv:2307.08621 (one decay a head); Dao and Gu 2024, arXiv:2405.21060. */
#include "config.h"

#include "compute/compute-private.h"

#include <math.h>
#include <string.h>

#ifdef _OPENMP
#include <omp.h>
#endif

/* Heads that a Vulkan dispatch of the backward op walks side by side: each needs its stretch of states. */
#define VULKAN_SIDE_BY_SIDE 32

static const FmOp matrix_scan_backward_op;

typedef struct { gint64 heads, n, d, dv, decays, stretch, stretches; } Sizes;

static Sizes
sizes_of (const FmNode *node)
{
  const FmShape *k = &node->in[1]->shape, *v = &node->in[2]->shape, *decay = &node->in[3]->shape;
  Sizes s = { .n = k->dims[k->rank - 2], .d = k->dims[k->rank - 1], .dv = v->dims[v->rank - 1],
              .decays = decay->dims[decay->rank - 1] };

  s.heads = fm_shape_count (k) / MAX (1, s.n * s.d);
  s.stretch = MAX (1, (gint64) ceil (sqrt ((gdouble) s.n)));
  s.stretches = (s.n + s.stretch - 1) / s.stretch;
  return s;
}

static gboolean
matrix_scan_infer (FmNode *node)
{
  FmShape q = node->in[0]->shape, v = node->in[2]->shape, decay = node->in[3]->shape, start = node->in[4]->shape;
  guint r = q.rank;
  gboolean fits = r >= 2 && v.rank == r && decay.rank == r && start.rank == r
                  && fm_shape_equal (&q, &node->in[1]->shape);

  for (guint i = 0; i < 5; i++)
    fits = fits && node->in[i]->type == FM_F32;
  for (guint axis = 0; fits && axis + 2 < r; axis++)
    fits = v.dims[axis] == q.dims[axis] && decay.dims[axis] == q.dims[axis] && start.dims[axis] == q.dims[axis];
  if (!fits || v.dims[r - 2] != q.dims[r - 2] || decay.dims[r - 2] != q.dims[r - 2]
      || (decay.dims[r - 1] != 1 && decay.dims[r - 1] != q.dims[r - 1]) || start.dims[r - 2] != q.dims[r - 1]
      || start.dims[r - 1] != v.dims[r - 1])
    {
      g_autofree char *sq = fm_shape_to_string (&q), *sk = fm_shape_to_string (&node->in[1]->shape);
      g_autofree char *sv = fm_shape_to_string (&v), *sd = fm_shape_to_string (&decay), *ss = fm_shape_to_string (&start);

      fm_graph_fail (node->graph, "matrix-scan", "needs f32 q and k [..,N,d], v [..,N,dv], decay [..,N,d or 1] and a start "
                     "[..,d,dv], not %s, %s, %s, %s and %s", sq, sk, sv, sd, ss);
      return FALSE;
    }
  node->out[0]->type = node->out[1]->type = FM_F32;
  node->out[0]->shape = v;
  node->out[1]->shape = start;
  return TRUE;
}

static gboolean
matrix_scan_backward_infer (FmNode *node)
{
  for (guint i = 0; i < 5; i++)
    {
      node->out[i]->type = FM_F32;
      node->out[i]->shape = node->in[i]->shape;
    }
  return TRUE;
}

/* state [d,dv] one step on; y (nullable) [dv] what is read out of it. */
FM_INLINE void
forward_step (gint64 d, gint64 dv, const float *q, const float *k, const float *v, const float *decay, gint64 decays,
              float *state, float *y)
{
  if (y)
    for (gint64 j = 0; j < dv; j++)
      y[j] = 0.0f;
  for (gint64 i = 0; i < d; i++)
    {
      float *row = state + i * dv, a = decay[decays == 1 ? 0 : i], ki = k[i], qi = q ? q[i] : 0.0f;

      if (y)
        {
#pragma omp simd
          for (gint64 j = 0; j < dv; j++)
            {
              float s = a * row[j] + ki * v[j];

              row[j] = s;
              y[j] += qi * s;
            }
        }
      else
        {
#pragma omp simd
          for (gint64 j = 0; j < dv; j++)
            row[j] = a * row[j] + ki * v[j];
        }
    }
}

FM_KERNEL (void, forward_head, (gint64 n, gint64 d, gint64 dv, const float *q, const float *k, const float *v,
                                const float *decay, gint64 decays, float *state, float *y),
           (n, d, dv, q, k, v, decay, decays, state, y))
{
  for (gint64 t = 0; t < n; t++)
    forward_step (d, dv, q + t * d, k + t * d, v + t * dv, decay + t * decays, decays, state, y + t * dv);
}

typedef struct
{
  const float *q, *k, *v, *decay, *start, *dy, *last;
  float *dq, *dk, *dv, *ddecay, *dstart;
  float *kept;   /* [stretches,d,dv]: the state before each stretch */
  float *states; /* [stretch + 1,d,dv]: the state before and after each of its steps */
} Head;

FM_KERNEL (void, backward_head, (const Sizes *s, const Head *h), (s, h))
{
  gint64 d = s->d, dv = s->dv, size = d * dv;
  float *r = h->dstart; /* R, carried back; what is left of it at the start is the start's gradient */

  memcpy (h->kept, h->start, sizeof (float) * size);
  for (gint64 c = 1; c < s->stretches; c++)
    {
      memcpy (h->kept + c * size, h->kept + (c - 1) * size, sizeof (float) * size);
      for (gint64 t = (c - 1) * s->stretch; t < c * s->stretch; t++)
        forward_step (d, dv, NULL, h->k + t * d, h->v + t * dv, h->decay + t * s->decays, s->decays, h->kept + c * size, NULL);
    }
  memcpy (r, h->last, sizeof (float) * size);
  for (gint64 c = s->stretches - 1; c >= 0; c--)
    {
      gint64 first = c * s->stretch, end = MIN (s->n, first + s->stretch);

      memcpy (h->states, h->kept + c * size, sizeof (float) * size);
      for (gint64 t = first; t < end; t++)
        {
          float *state = h->states + (t - first + 1) * size;

          memcpy (state, state - size, sizeof (float) * size);
          forward_step (d, dv, NULL, h->k + t * d, h->v + t * dv, h->decay + t * s->decays, s->decays, state, NULL);
        }
      for (gint64 t = end - 1; t >= first; t--)
        {
          const float *before = h->states + (t - first) * size, *after = before + size, *dy = h->dy + t * dv;
          const float *q = h->q + t * d, *k = h->k + t * d, *v = h->v + t * dv, *decay = h->decay + t * s->decays;
          float *dvt = h->dv + t * dv, one_decay = 0.0f;

          for (gint64 j = 0; j < dv; j++)
            dvt[j] = 0.0f;
          for (gint64 i = 0; i < d; i++)
            {
              float dq = 0.0f, dk = 0.0f, da = 0.0f, qi = q[i], ki = k[i], a = decay[s->decays == 1 ? 0 : i];
              float *row = r + i * dv;
              const float *was = before + i * dv, *is = after + i * dv;

#pragma omp simd reduction(+ : dq, dk, da)
              for (gint64 j = 0; j < dv; j++)
                {
                  float g = row[j] + qi * dy[j];

                  dq += is[j] * dy[j];
                  dk += g * v[j];
                  da += was[j] * g;
                  dvt[j] += g * ki;
                  row[j] = a * g;
                }
              h->dq[t * d + i] = dq;
              h->dk[t * d + i] = dk;
              if (s->decays == 1)
                one_decay += da;
              else
                h->ddecay[t * d + i] = da;
            }
          if (s->decays == 1)
            h->ddecay[t] = one_decay;
        }
    }
}

static void
matrix_scan_cpu (const FmNode *node, const FmCpuArgs *args)
{
  Sizes s = sizes_of (node);
  const float *q = args->in[0], *k = args->in[1], *v = args->in[2], *decay = args->in[3], *start = args->in[4];
  float *y = args->out[0], *state = args->out[1];
  gint64 size = s.d * s.dv;

#pragma omp parallel for schedule(static) num_threads(args->threads) if (s.heads > 1)
  for (gint64 h = 0; h < s.heads; h++)
    {
      memcpy (state + h * size, start + h * size, sizeof (float) * size);
      forward_head (s.n, s.d, s.dv, q + h * s.n * s.d, k + h * s.n * s.d, v + h * s.n * s.dv, decay + h * s.n * s.decays,
                    s.decays, state + h * size, y + h * s.n * s.dv);
    }
}

static gint64
floats_of_head (const Sizes *s)
{
  return (s->stretches + s->stretch + 1) * s->d * s->dv;
}

static void
matrix_scan_backward_cpu (const FmNode *node, const FmCpuArgs *args)
{
  Sizes s = sizes_of (node);
  gint64 size = s.d * s.dv;

#pragma omp parallel for schedule(static) num_threads(args->threads) if (s.heads > 1)
  for (gint64 i = 0; i < s.heads; i++)
    {
#ifdef _OPENMP
      gint64 me = omp_get_thread_num ();
#else
      gint64 me = 0;
#endif
      float *work = (float *) args->workspace + me * floats_of_head (&s);
      gint64 at = i * s.n * s.d, at_v = i * s.n * s.dv, at_a = i * s.n * s.decays;
      Head head = {
        .q = (const float *) args->in[0] + at, .k = (const float *) args->in[1] + at,
        .v = (const float *) args->in[2] + at_v, .decay = (const float *) args->in[3] + at_a,
        .start = (const float *) args->in[4] + i * size, .dy = (const float *) args->in[5] + at_v,
        .last = (const float *) args->in[6] + i * size,
        .dq = (float *) args->out[0] + at, .dk = (float *) args->out[1] + at, .dv = (float *) args->out[2] + at_v,
        .ddecay = (float *) args->out[3] + at_a, .dstart = (float *) args->out[4] + i * size,
        .kept = work, .states = work + s.stretches * size,
      };

      backward_head (&s, &head);
    }
}

static gsize
backward_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  Sizes s = sizes_of (node);
  gint64 at_once = backend == FM_BACKEND_CPU ? MAX (1, threads) : MIN (s.heads, VULKAN_SIDE_BY_SIDE);

  return sizeof (float) * at_once * floats_of_head (&s);
}

/* The offsets follow the order of the node's inputs and outputs; all its tensors are contiguous. */
static gboolean
record (const FmNode *node, FmVulkanRecorder *recorder, const char *shader, gboolean workspace, gint64 groups, GError **error)
{
  Sizes s = sizes_of (node);
  struct { guint32 heads, n, d, dv, decays, stretch, stretches, offset[12]; } push = {
    (guint32) s.heads, (guint32) s.n, (guint32) s.d, (guint32) s.dv, (guint32) s.decays, (guint32) s.stretch,
    (guint32) s.stretches };
  FmVulkanDispatch dispatch = { .shader = shader, .push = &push, .push_bytes = sizeof push, .local_x = 64,
                                .groups = groups };

  for (guint i = 0; i < node->n_in + node->n_out; i++)
    {
      FmTensor *t = i < node->n_in ? node->in[i] : node->out[i - node->n_in];

      push.offset[i] = (guint32) t->offset;
      dispatch.bind[dispatch.n_bind++] = t;
    }
  if (workspace)
    dispatch.bind[dispatch.n_bind++] = FM_VULKAN_WORKSPACE;
  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

static gboolean
matrix_scan_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  Sizes s = sizes_of (node);

  return record (node, recorder, "matrix-scan", FALSE, s.heads, error);
}

static gboolean
matrix_scan_backward_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  Sizes s = sizes_of (node);

  return record (node, recorder, "matrix-scan-backward", TRUE, MIN (s.heads, VULKAN_SIDE_BY_SIDE), error);
}

static void
matrix_scan_cost (const FmNode *node, FmCost *cost)
{
  Sizes s = sizes_of (node);
  gdouble steps = (gdouble) s.heads * s.n;

  cost->flops = 5 * steps * s.d * s.dv;
  cost->bytes = 4 * (steps * (2 * s.d + 2 * s.dv + s.decays) + 2.0 * s.heads * s.d * s.dv);
}

static void
backward_cost (const FmNode *node, FmCost *cost)
{
  Sizes s = sizes_of (node);
  gdouble steps = (gdouble) s.heads * s.n;

  cost->flops = 17 * steps * s.d * s.dv;
  cost->bytes = 4 * (2 * steps * (2 * s.d + 2 * s.dv + s.decays) + 3.0 * s.heads * s.d * s.dv);
}

static void
matrix_scan_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmTensor *in[7];
  FmNode *back;

  for (guint i = 0; i < 5; i++)
    in[i] = node->in[i];
  for (guint i = 0; i < 2; i++)
    in[5 + i] = dy[i] ? dy[i] : fm_constant (g, FM_F32, node->out[i]->shape, 0.0);
  back = fm_node_new (g, &matrix_scan_backward_op, in, 7, NULL);
  for (guint i = 0; back && i < 5; i++)
    dx[i] = back->out[i];
}

static const FmOp matrix_scan_op = {
  .name = "matrix-scan", .n_in_min = 5, .n_in_max = 5, .n_out = 2, .infer = matrix_scan_infer,
  .gradient = matrix_scan_gradient, .cpu = matrix_scan_cpu, .vulkan = matrix_scan_vulkan, .cost = matrix_scan_cost,
};

static const FmOp matrix_scan_backward_op = {
  .name = "matrix-scan-backward", .n_in_min = 7, .n_in_max = 7, .n_out = 5, .infer = matrix_scan_backward_infer,
  .no_gradient = "it walks states that are not kept; second derivatives: build the recurrence with fm_scan()",
  .cpu = matrix_scan_backward_cpu, .vulkan = matrix_scan_backward_vulkan, .workspace = backward_workspace,
  .cost = backward_cost,
};

FmTensor *
fm_matrix_scan (FmGraph *g, FmTensor *q, FmTensor *k, FmTensor *v, FmTensor *decay, FmTensor *start, FmTensor **last)
{
  if (last)
    *last = g->poison;
  FM_REFUSE_NULL (g, "matrix scan", q, k, v);
  FmTensor *in[5] = { q, k, v, decay, start };
  FmShape shape;
  FmNode *node;

  if (last)
    *last = g->poison;
  if (fm_graph_failed (g))
    return g->poison;
  if (q->shape.rank < 2 || v->shape.rank != q->shape.rank)
    {
      g_autofree char *sq = fm_shape_to_string (&q->shape), *sv = fm_shape_to_string (&v->shape);

      return fm_graph_fail (g, "matrix-scan", "needs q [..,N,d] and v [..,N,dv] of one rank, not %s and %s", sq, sv);
    }
  shape = q->shape;
  if (decay == NULL)
    {
      shape.dims[shape.rank - 1] = 1;
      in[3] = fm_constant (g, FM_F32, shape, 1.0);
    }
  shape = v->shape;
  shape.dims[shape.rank - 2] = q->shape.dims[q->shape.rank - 1];
  if (start == NULL)
    in[4] = fm_constant (g, FM_F32, shape, 0.0);
  node = fm_node_new (g, &matrix_scan_op, in, 5, NULL);
  if (node == NULL)
    return g->poison;
  if (last)
    *last = node->out[1];
  return node->out[0];
}

FM_OPS (matrix_scan, &matrix_scan_op, &matrix_scan_backward_op);
