/* attention-backward-added.c: gradients of attention by what is added to its scores.
 *
 * Inputs: as attention-backward. Attribute i[6]: 1 by the bias, out [1 or B,1 or H,Nq,Nk]; 0 by the distance terms, out
 * [1 or H,Nq+Nk-1]. The gradient by a score is its weight times (dy v - delta); entries that several pairs share get the
 * sum, in a fixed order.
 * Work: by the bias, a task has a tile of queries of one of its matrices and adds over the examples and heads that share
 * it; by distance, a task has one (b, h), and the parts are added at the end. */
#include "config.h"

#include "attention.h"
#include "tile.h"

#include <string.h>

#define TILE_K FM_ATTENTION_TILE_K
#define FIRST_MASK FM_BACKWARD_FIRST_MASK

static gboolean
added_infer (FmNode *node)
{
  node->out[0]->type = FM_F32;
  node->out[0]->shape = node->in[FIRST_MASK + (node->attr.i[6] ? FM_MASK_BIAS : FM_MASK_DISTANCE)]->shape;
  return TRUE;
}

static gsize
floats_per_thread (const FmAttentionProblem *p)
{
  return (gsize) ((p->d + p->dv + 3 * TILE_K + 2) * p->tile_q + 15) / 16 * 16;
}

static gsize
floats_of_parts (const FmNode *node, const FmAttentionProblem *p)
{
  return node->attr.i[6] ? 0 : (gsize) (p->batch * p->heads * (p->n_query + p->n_key - 1) + 15) / 16 * 16;
}

/* Adds the gradients of a tile of queries of (b, h): to @bias [Nq,Nk] or to @distance [Nq+Nk-1]. */
static void
added_tile (const FmAttentionBackward *t, gint64 b, gint64 h, gint64 q0, float *bias, float *distance, float *workspace)
{
  const FmAttentionProblem *p = &t->p;
  gint64 lanes = p->tile_q, rows = MIN (lanes, p->n_query - q0), from, to, kv = h / p->group;
  float *turned_q = workspace, *turned_dy = turned_q + p->d * lanes, *s = turned_dy + p->dv * lanes;
  float *grad = s + TILE_K * lanes, *lse = grad + TILE_K * lanes, *delta = lse + lanes, *added = delta + lanes;
  const float *k = t->k + b * p->k_stride[0] + kv * p->k_stride[1];
  const float *v = t->v + b * p->v_stride[0] + kv * p->v_stride[1];

  fm_attention_keys (p, b, q0, q0 + rows, &from, &to);
  if (from >= to)
    return;
  fm_attention_backward_begin (t, b, h, q0, rows, turned_q, turned_dy, lse, delta);
  for (gint64 j = from; j < to; j += TILE_K)
    {
      gint64 keys = MIN (TILE_K, to - j);

      if (!fm_attention_added (p, b, h, q0, rows, j, keys, added))
        continue;
      fm_tile_gemm (keys, lanes, p->d, k + j * p->k_stride[2], p->k_stride[2], 1, turned_q, lanes, s, lanes, FALSE);
      fm_tile_gemm (keys, lanes, p->dv, v + j * p->v_stride[2], p->v_stride[2], 1, turned_dy, lanes, grad, lanes, FALSE);
      fm_attention_weights (s, grad, keys, lanes, NULL, added, 1.0f, lse, delta);
      for (gint64 c = 0; c < keys; c++)
        {
          const float *row = grad + c * lanes;

          if (bias)
            for (gint64 l = 0; l < rows; l++)
              bias[(q0 + l) * p->n_key + j + c] += row[l];
          else
            {
              float *sum = distance + q0 - (j + c) + p->n_key - 1;

              for (gint64 l = 0; l < rows; l++)
                sum[l] += row[l];
            }
        }
    }
}

static void
added_cpu (const FmNode *node, const FmCpuArgs *args)
{
  FmAttentionBackward t = fm_attention_backward_read (node, args->in);
  const FmAttentionProblem *p = &t.p;
  gint64 tiles = (p->n_query + p->tile_q - 1) / p->tile_q, per_thread = floats_per_thread (p);
  float *y = args->out[0], *parts = args->workspace, *own = parts + floats_of_parts (node, p);

  if (node->attr.i[6])
    {
      gint64 batches = node->out[0]->shape.dims[0], heads = node->out[0]->shape.dims[1];

#pragma omp parallel for schedule(dynamic, 1) num_threads(args->threads)
      for (gint64 task = 0; task < batches * heads * tiles; task++)
        {
          gint64 q0 = task % tiles * p->tile_q, hb = task / tiles % heads, bb = task / tiles / heads;
          float *to = y + (bb * heads + hb) * p->n_query * p->n_key;

          memset (to + q0 * p->n_key, 0, MIN (p->tile_q, p->n_query - q0) * p->n_key * sizeof *to);
          for (gint64 b = bb; b < (batches > 1 ? bb + 1 : p->batch); b++)
            for (gint64 h = hb; h < (heads > 1 ? hb + 1 : p->heads); h++)
              added_tile (&t, b, h, q0, to, NULL, own + omp_get_thread_num () * per_thread);
        }
    }
  else
    {
      gint64 width = p->n_query + p->n_key - 1, heads = node->out[0]->shape.dims[0];

#pragma omp parallel num_threads(args->threads)
      {
#pragma omp for schedule(dynamic, 1)
        for (gint64 task = 0; task < p->batch * p->heads; task++)
          {
            memset (parts + task * width, 0, width * sizeof *parts);
            for (gint64 tile = 0; tile < tiles; tile++)
              added_tile (&t, task / p->heads, task % p->heads, tile * p->tile_q, NULL, parts + task * width,
                          own + omp_get_thread_num () * per_thread);
          }
#pragma omp for schedule(static)
        for (gint64 i = 0; i < heads * width; i++)
          {
            float sum = 0.0f;

            for (gint64 b = 0; b < p->batch; b++)
              for (gint64 h = i / width; h < (heads > 1 ? i / width + 1 : p->heads); h++)
                sum += parts[(b * p->heads + h) * width + i % width];
            y[i] = sum;
          }
      }
    }
}

static gsize
added_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  FmAttentionProblem p = fm_attention_problem (node, FIRST_MASK, NULL);

  if (backend == FM_BACKEND_CPU)
    return (floats_of_parts (node, &p) + threads * floats_per_thread (&p)) * sizeof (float);
  return (gsize) (p.batch * p.heads * p.n_query) * 2 * sizeof (float)
         + fm_attention_table_words (&p, node->in + FIRST_MASK) * sizeof (guint32);
}

static void
added_cost (const FmNode *node, FmCost *cost)
{
  FmAttentionProblem p = fm_attention_problem (node, FIRST_MASK, NULL);

  cost->flops = p.batch * p.heads * fm_attention_pairs (&p) * (2.0 * p.d + 2.0 * p.dv + 6);
  cost->bytes = 4.0 * (fm_shape_count (&node->in[0]->shape) + fm_shape_count (&node->in[1]->shape)
                       + fm_shape_count (&node->in[2]->shape) + 2 * fm_shape_count (&node->in[3]->shape)
                       + fm_shape_count (&node->out[0]->shape));
}

/* An invocation sums one entry: without tiles, since gradients by a bias are small beside the rest of a step. */
static gboolean
added_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmAttentionProblem p = fm_attention_problem (node, FIRST_MASK, NULL);
  FmTensor *q = node->in[0], *k = node->in[1], *v = node->in[2], *dy = node->in[5], *y = node->out[0];
  FmTensor * const *mask = node->in + FIRST_MASK;
  FmTensor *bias = mask[FM_MASK_BIAS] ? mask[FM_MASK_BIAS] : q;
  guint32 n_rows = (guint32) (p.batch * p.heads * p.n_query);
  struct
  {
    guint32 batch, heads, group, n_query, n_key, d, dv;
    gint32  causal, window, block, offset;
    float   scale;
    guint32 q_offset, k_offset, v_offset, dy_offset, mask_offset;
    guint32 q_stride[3], k_stride[3], v_stride[3], dy_stride[3];
  } push = { p.batch, p.heads, p.group, p.n_query, p.n_key, p.d, p.dv, p.causal, p.window, p.block, p.offset, p.scale,
             q->offset, k->offset, v->offset, dy->offset, 2 * n_rows };
  FmVulkanDispatch dispatch = { .shader = "attention-backward-added",
                                .bind = { q, k, v, dy, FM_VULKAN_WORKSPACE, FM_VULKAN_WORKSPACE, bias, y },
                                .n_bind = 8, .push = &push, .push_bytes = sizeof push,
                                .spec = { 2, node->attr.i[6] != 0, y->shape.dims[0] > 1, y->shape.dims[1] > 1 },
                                .n_spec = 4, .groups = ((guint64) fm_shape_count (&y->shape) + 127) / 128 };

  for (guint i = 0; i < 3; i++)
    {
      push.q_stride[i] = p.q_stride[i];
      push.k_stride[i] = p.k_stride[i];
      push.v_stride[i] = p.v_stride[i];
      push.dy_stride[i] = dy->stride[i];
    }
  return fm_attention_delta_vulkan (node, recorder, error)
         && fm_attention_table_write (recorder, &p, mask, FM_VULKAN_WORKSPACE, 2 * n_rows, error)
         && fm_vulkan_dispatch (recorder, &dispatch, error);
}

static const FmOp added_op = {
  .name = "attention-backward-added", .n_in_min = FIRST_MASK + FM_MASK_TENSORS,
  .n_in_max = FIRST_MASK + FM_MASK_TENSORS, .n_out = 1, .flags = FM_OP_ROWS, .infer = added_infer,
  .no_gradient = "the second derivative by a bias is not built; use fm_attention_map",
  .cpu = added_cpu, .vulkan = added_vulkan, .workspace = added_workspace, .cost = added_cost,
};

FM_OPS (attention_backward_added, &added_op);

FmTensor *
fm_attention_added_gradient (FmGraph *g, FmTensor * const *in, const FmAttr *attr, gboolean by_bias)
{
  FmAttr own = *attr;
  FmNode *node;

  own.i[6] = by_bias;
  node = fm_node_new (g, &added_op, in, FIRST_MASK + FM_MASK_TENSORS, &own);
  return node ? node->out[0] : g->poison;
}
