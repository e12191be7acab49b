/* crf.c: sums and best paths over all label sequences of a linear chain (conditional random field).
 *
 * A sequence of labels y of length n scores sum_t emissions[t, y_t] + sum_{t>0} transitions[y_{t-1}, y_t].
 * crf: emissions f32 [B,N,C], transitions [C,C] (from, to), lengths i32 [B] -> log of the sum of exp (score) [B] and, for
 *   the backward op, alpha [B,N,C], each row less the logarithm of its sum. lengths are clamped to 1..N; what lies after is not read.
 * crf-backward: emissions, transitions, lengths, alpha, dz [B] -> demissions [B,N,C], dtransitions by item [B,C,C].
 * viterbi: emissions, transitions, lengths -> i32 [B,N] the labels of the best sequence (of equals the lower label, from the
 *   last step on), -1 after its end; and its score f32 [B].
 * Source: Lafferty, McCallum and Pereira 2001; forward-backward and Viterbi as in Rabiner 1989, in log space. */
#include "config.h"

#include "compute/ops/math.h"

#include <string.h>

static const FmOp crf_backward_op;

typedef struct { gint64 b, n, c; } Sizes;

static Sizes
sizes_of (const FmNode *node)
{
  const FmShape *shape = &node->in[0]->shape;

  return (Sizes){ shape->dims[0], shape->dims[1], shape->dims[2] };
}

static gboolean
fits (FmNode *node)
{
  FmTensor *e = node->in[0], *t = node->in[1], *l = node->in[2];

  if (e->type == FM_F32 && t->type == FM_F32 && l->type == FM_I32 && e->shape.rank == 3 && t->shape.rank == 2
      && t->shape.dims[0] == e->shape.dims[2] && t->shape.dims[1] == e->shape.dims[2] && l->shape.rank == 1
      && l->shape.dims[0] == e->shape.dims[0])
    return TRUE;
  {
    g_autofree char *se = fm_shape_to_string (&e->shape), *st = fm_shape_to_string (&t->shape);
    g_autofree char *sl = fm_shape_to_string (&l->shape);

    fm_graph_fail (node->graph, node->op->name, "needs f32 emissions [B,N,C], f32 transitions [C,C] and i32 lengths [B], not "
                   "%s, %s and %s", se, st, sl);
  }
  return FALSE;
}

static gboolean
crf_infer (FmNode *node)
{
  if (!fits (node))
    return FALSE;
  node->out[0]->type = node->out[1]->type = FM_F32;
  node->out[0]->shape = FM_SHAPE (node->in[0]->shape.dims[0]);
  node->out[1]->shape = node->in[0]->shape;
  return TRUE;
}

static gboolean
crf_backward_infer (FmNode *node)
{
  Sizes s = sizes_of (node);

  node->out[0]->type = node->out[1]->type = FM_F32;
  node->out[0]->shape = node->in[0]->shape;
  node->out[1]->shape = FM_SHAPE (s.b, s.c, s.c);
  return TRUE;
}

static gboolean
viterbi_infer (FmNode *node)
{
  if (!fits (node))
    return FALSE;
  node->out[0]->type = FM_I32;
  node->out[1]->type = FM_F32;
  node->out[0]->shape = FM_SHAPE (node->in[0]->shape.dims[0], node->in[0]->shape.dims[1]);
  node->out[1]->shape = FM_SHAPE (node->in[0]->shape.dims[0]);
  return TRUE;
}

/* log sum_i exp (x[i] + y[i * step]); -inf when all are. */
FM_INLINE float
log_sum (gint64 n, const float *x, const float *y, gint64 step)
{
  float most = -INFINITY, sum = 0.0f;

  for (gint64 i = 0; i < n; i++)
    {
      float v = x[i] + (y ? y[i * step] : 0.0f);

      most = v > most ? v : most;
    }
  if (!(most > -INFINITY))
    return -INFINITY;
  for (gint64 i = 0; i < n; i++)
    sum += fm_expf (x[i] + (y ? y[i * step] : 0.0f) - most);
  return most + fm_logf (sum);
}

/* Takes the logarithm of the row's sum of exponentials from each of its elements, and returns it. */
FM_INLINE float
normalise (gint64 n, float *x)
{
  float whole = log_sum (n, x, NULL, 0);

  if (whole > -INFINITY)
    for (gint64 i = 0; i < n; i++)
      x[i] -= whole;
  return whole;
}

/* alpha is kept normalised, row by row: sums over long sequences would lose the digits in which labels differ. */
FM_KERNEL (void, crf_item, (gint64 n, gint64 c, const float *e, const float *transitions, float *alpha, float *z),
           (n, c, e, transitions, alpha, z))
{
  gdouble whole;

  memcpy (alpha, e, sizeof (float) * c);
  whole = normalise (c, alpha);
  for (gint64 t = 1; t < n; t++)
    {
      for (gint64 j = 0; j < c; j++)
        alpha[t * c + j] = e[t * c + j] + log_sum (c, alpha + (t - 1) * c, transitions + j, c);
      whole += normalise (c, alpha + t * c);
    }
  *z = (float) whole;
}

/* @beta: two rows of c. With beta scaled so that alpha_t + beta_t is a distribution, the probability of label j at t is
 * exp (alpha + beta), that of i then j exp (alpha[t-1,i] + transitions[i,j] + e[t,j] + beta[t,j]) over its sum. */
FM_KERNEL (void, crf_item_backward, (gint64 n, gint64 c, const float *e, const float *transitions, const float *alpha,
                                     float dz, float *beta, float *de, float *dt),
           (n, c, e, transitions, alpha, dz, beta, de, dt))
{
  float *now = beta, *next = beta + c;

  memset (dt, 0, sizeof (float) * c * c);
  for (gint64 j = 0; j < c; j++)
    now[j] = 0.0f;
  for (gint64 t = n - 1; t >= 0; t--)
    {
      float *swap, whole;

      for (gint64 j = 0; j < c; j++)
        de[t * c + j] = dz * fm_expf (alpha[t * c + j] + now[j]);
      if (t == 0)
        break;
      for (gint64 j = 0; j < c; j++)
        now[j] += e[t * c + j];
      for (gint64 i = 0; i < c; i++)
        next[i] = log_sum (c, now, transitions + i * c, 1);
      whole = log_sum (c, alpha + (t - 1) * c, next, 1);
      for (gint64 i = 0; i < c; i++)
        {
          float from = alpha[(t - 1) * c + i] - whole;

          for (gint64 j = 0; j < c; j++)
            dt[i * c + j] += dz * fm_expf (from + transitions[i * c + j] + now[j]);
          next[i] -= whole;
        }
      swap = now;
      now = next;
      next = swap;
    }
}

FM_KERNEL (void, viterbi_item, (gint64 n, gint64 c, const float *e, const float *transitions, float *best, gint32 *from,
                                gint32 *path, float *score), (n, c, e, transitions, best, from, path, score))
{
  float *now = best, *next = best + c;
  gint64 last = 0;

  memcpy (now, e, sizeof (float) * c);
  for (gint64 t = 1; t < n; t++)
    {
      float *swap;

      for (gint64 j = 0; j < c; j++)
        {
          float most = now[0] + transitions[j];
          gint32 at = 0;

          for (gint64 i = 1; i < c; i++)
            if (now[i] + transitions[i * c + j] > most)
              {
                most = now[i] + transitions[i * c + j];
                at = (gint32) i;
              }
          next[j] = most + e[t * c + j];
          from[t * c + j] = at;
        }
      swap = now;
      now = next;
      next = swap;
    }
  for (gint64 j = 1; j < c; j++)
    if (now[j] > now[last])
      last = j;
  *score = now[last];
  for (gint64 t = n - 1; t >= 0; t--)
    {
      path[t] = (gint32) last;
      if (t > 0)
        last = from[t * c + last];
    }
}

FM_INLINE gint64
length_of (const gint32 *lengths, gint64 item, gint64 n)
{
  return CLAMP (lengths[item], 1, n);
}

static void
crf_cpu (const FmNode *node, const FmCpuArgs *args)
{
  Sizes s = sizes_of (node);
  const float *e = args->in[0], *t = args->in[1];
  float *z = args->out[0], *alpha = args->out[1];

#pragma omp parallel for schedule(dynamic) num_threads(args->threads) if (s.b > 1)
  for (gint64 i = 0; i < s.b; i++)
    {
      gint64 n = length_of (args->in[2], i, s.n), at = i * s.n * s.c;

      crf_item (n, s.c, e + at, t, alpha + at, z + i);
      memset (alpha + at + n * s.c, 0, sizeof (float) * (s.n - n) * s.c);
    }
}

static void
crf_backward_cpu (const FmNode *node, const FmCpuArgs *args)
{
  Sizes s = sizes_of (node);
  const float *e = args->in[0], *t = args->in[1], *alpha = args->in[3], *dz = args->in[4];
  float *de = args->out[0], *dt = args->out[1], *beta = args->workspace;

#pragma omp parallel for schedule(dynamic) num_threads(args->threads) if (s.b > 1)
  for (gint64 i = 0; i < s.b; i++)
    {
      gint64 n = length_of (args->in[2], i, s.n), at = i * s.n * s.c;

      crf_item_backward (n, s.c, e + at, t, alpha + at, dz[i], beta + i * 2 * s.c, de + at, dt + i * s.c * s.c);
      memset (de + at + n * s.c, 0, sizeof (float) * (s.n - n) * s.c);
    }
}

static void
viterbi_cpu (const FmNode *node, const FmCpuArgs *args)
{
  Sizes s = sizes_of (node);
  const float *e = args->in[0], *t = args->in[1];
  gint32 *path = args->out[0];
  float *score = args->out[1], *work = args->workspace;

#pragma omp parallel for schedule(dynamic) num_threads(args->threads) if (s.b > 1)
  for (gint64 i = 0; i < s.b; i++)
    {
      gint64 n = length_of (args->in[2], i, s.n);
      float *best = work + i * (s.n + 2) * s.c;

      viterbi_item (n, s.c, e + i * s.n * s.c, t, best, (gint32 *) (best + 2 * s.c), path + i * s.n, score + i);
      for (gint64 k = n; k < s.n; k++)
        path[i * s.n + k] = -1;
    }
}

static gsize
two_rows (const FmNode *node, FmBackend backend, guint threads)
{
  Sizes s = sizes_of (node);

  return sizeof (float) * s.b * 2 * s.c;
}

static gsize
viterbi_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  Sizes s = sizes_of (node);

  return sizeof (float) * s.b * (s.n + 2) * s.c;
}

static gboolean
record (const FmNode *node, FmVulkanRecorder *recorder, const char *shader, FmTensor * const *tensors, guint n,
        GError **error)
{
  Sizes s = sizes_of (node);
  struct { guint32 b, n, c, offset[8]; } push = { (guint32) s.b, (guint32) s.n, (guint32) s.c };
  FmVulkanDispatch dispatch = { .shader = shader, .n_bind = n, .push = &push, .push_bytes = sizeof push, .local_x = 64,
                                .groups = s.b };

  for (guint i = 0; i < n; i++)
    {
      dispatch.bind[i] = tensors[i];
      push.offset[i] = tensors[i] == FM_VULKAN_WORKSPACE ? 0 : (guint32) tensors[i]->offset;
    }
  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

static gboolean
crf_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  return record (node, recorder, "crf", (FmTensor *[]){ node->in[0], node->in[1], node->in[2], node->out[0], node->out[1] },
                 5, error);
}

static gboolean
crf_backward_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  return record (node, recorder, "crf-backward",
                 (FmTensor *[]){ node->in[0], node->in[1], node->in[2], node->in[3], node->in[4], node->out[0],
                                 node->out[1], FM_VULKAN_WORKSPACE }, 8, error);
}

static gboolean
viterbi_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  return record (node, recorder, "viterbi", (FmTensor *[]){ node->in[0], node->in[1], node->in[2], node->out[0],
                                                             node->out[1], FM_VULKAN_WORKSPACE }, 6, error);
}

/* An exponential counts 10 operations. */
static void
crf_cost (const FmNode *node, FmCost *cost)
{
  Sizes s = sizes_of (node);

  cost->flops = 12.0 * s.b * s.n * s.c * s.c;
  cost->bytes = 8.0 * s.b * s.n * s.c + 4.0 * s.c * s.c;
}

static void
crf_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmNode *back;

  if (dy[0] == NULL) /* alpha has no readers of its own */
    return;
  back = fm_node_new (g, &crf_backward_op,
                      (FmTensor *[]){ node->in[0], node->in[1], node->in[2], node->out[1], dy[0] }, 5, NULL);
  if (back == NULL)
    return;
  dx[0] = back->out[0];
  dx[1] = fm_sum (g, back->out[1], 0);
}

static const FmOp crf_op = {
  .name = "crf", .n_in_min = 3, .n_in_max = 3, .n_out = 2, .infer = crf_infer, .gradient = crf_gradient, .cpu = crf_cpu,
  .vulkan = crf_vulkan, .cost = crf_cost,
};

static const FmOp crf_backward_op = {
  .name = "crf-backward", .n_in_min = 5, .n_in_max = 5, .n_out = 2, .infer = crf_backward_infer,
  .no_gradient = "it gives marginal probabilities from sums already taken; second derivatives: build the chain with fm_scan()",
  .cpu = crf_backward_cpu, .vulkan = crf_backward_vulkan, .workspace = two_rows, .cost = crf_cost,
};

static const FmOp viterbi_op = {
  .name = "viterbi", .n_in_min = 3, .n_in_max = 3, .n_out = 2, .infer = viterbi_infer,
  .no_gradient = "it chooses labels, and a choice does not move with the scores; train by fm_crf_log_partition()",
  .cpu = viterbi_cpu, .vulkan = viterbi_vulkan, .workspace = viterbi_workspace, .cost = crf_cost,
};

static FmTensor *
lengths_or_all (FmGraph *g, FmTensor *emissions, FmTensor *lengths)
{
  return lengths ? lengths : fm_constant (g, FM_I32, FM_SHAPE (emissions->shape.dims[0]), (gdouble) emissions->shape.dims[1]);
}

FmTensor *
fm_crf_log_partition (FmGraph *g, FmTensor *emissions, FmTensor *transitions, FmTensor *lengths)
{
  FM_REFUSE_NULL (g, "crf log partition", emissions, transitions);
  if (fm_graph_failed (g))
    return g->poison;
  return fm_op1 (g, &crf_op, NULL, 3, emissions, transitions, lengths_or_all (g, emissions, lengths));
}

FmTensor *
fm_crf_score (FmGraph *g, FmTensor *emissions, FmTensor *transitions, FmTensor *labels, FmTensor *lengths)
{
  FM_REFUSE_NULL (g, "crf score", emissions, transitions, labels);
  gint64 b, n, c;
  FmTensor *chosen, *inside, *score, *steps, *ends;

  if (fm_graph_failed (g))
    return g->poison;
  if (emissions->shape.rank != 3 || labels->type != FM_I32 || labels->shape.rank != 2)
    {
      g_autofree char *se = fm_shape_to_string (&emissions->shape), *sl = fm_shape_to_string (&labels->shape);

      return fm_graph_fail (g, "crf-score", "needs emissions [B,N,C] and i32 labels [B,N], not %s and %s", se, sl);
    }
  b = emissions->shape.dims[0];
  n = emissions->shape.dims[1];
  c = emissions->shape.dims[2];
  chosen = fm_one_hot (g, labels, c);
  /* 1 inside the sequence: t < length. */
  steps = fm_expand (g, fm_iota (g, n), FM_SHAPE (b, n));
  ends = fm_expand (g, fm_reshape (g, lengths_or_all (g, emissions, lengths), FM_SHAPE (b, 1)), FM_SHAPE (b, n));
  inside = fm_less (g, steps, ends);
  score = fm_sum (g, fm_mul (g, fm_sum (g, fm_mul (g, emissions, chosen), 2), inside), 1);
  if (n > 1)
    {
      FmTensor *from = fm_slice (g, chosen, 1, 0, n - 1), *to = fm_slice (g, chosen, 1, 1, n - 1);
      FmTensor *pairs = fm_sum (g, fm_mul (g, fm_matmul (g, from, transitions, 0), to), 2);

      score = fm_add (g, score, fm_sum (g, fm_mul (g, pairs, fm_slice (g, inside, 1, 1, n - 1)), 1));
    }
  return score;
}

FmTensor *
fm_crf_decode (FmGraph *g, FmTensor *emissions, FmTensor *transitions, FmTensor *lengths, FmTensor **score)
{
  if (score)
    *score = g->poison;
  FM_REFUSE_NULL (g, "crf decode", emissions, transitions);
  FmTensor *in[3];
  FmNode *node;

  if (score)
    *score = g->poison;
  if (fm_graph_failed (g))
    return g->poison;
  in[0] = emissions;
  in[1] = transitions;
  in[2] = lengths_or_all (g, emissions, lengths);
  node = fm_node_new (g, &viterbi_op, in, 3, NULL);
  if (node == NULL)
    return g->poison;
  if (score)
    *score = node->out[1];
  return node->out[0];
}

FM_OPS (crf, &crf_op, &crf_backward_op, &viterbi_op);
