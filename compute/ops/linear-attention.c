/* linear-attention.c: attention through a positive feature map f, linear in the length.
 *
 * y_i = f(q_i) S / (f(q_i) z + eps), S = sum of f(k_j)^T v_j, z = sum of f(k_j), over all keys or those up to i.
 * Inputs: q, k [B,H,N,d], v [B,H,N,dv] (any strides but the last), key lengths i32 [B] or NULL. Output [B,N,H,dv], shown as
 * [B,H,N,dv]. Attributes i[0] causal, i[1] map, f[0] eps.
 * Work: the sums of every chunk of 256 keys, then the sums of chunks (before each one, or of all), then the queries of
 * every chunk; features live in a block of 64 rows and never in memory. Nothing depends on the number of threads.
 * The gradient is made from other ops, and so has gradients itself: over all keys by the formula, from the op's own result;
 * causal by way of causal_form(), which works by chunks as well.
 * Source: Katharopoulos et al. 2020, arXiv:2006.16236, sections 3.2 and 3.3. */
#include "config.h"

#include "attention.h"
#include "gemm.h"
#include "math.h"
#include "tile.h"

#include <string.h>

#define CHUNK 256
#define BLOCK 64

typedef struct
{
  gint64        batch, heads, n_query, n_key, d, dv, chunks;
  gint64        q_stride[3], k_stride[3], v_stride[3];
  gboolean      causal;
  FmFeature     feature;
  float         eps;
  const gint32 *lengths;
} Linear;

static Linear
read_node (const FmNode *node, const gint32 *lengths)
{
  const FmTensor *q = node->in[0], *k = node->in[1], *v = node->in[2];
  Linear p = { .batch = q->shape.dims[0], .heads = q->shape.dims[1], .n_query = q->shape.dims[2],
               .n_key = k->shape.dims[2], .d = q->shape.dims[3], .dv = v->shape.dims[3],
               .causal = node->attr.i[0] != 0, .feature = (FmFeature) node->attr.i[1], .eps = (float) node->attr.f[0],
               .lengths = lengths };

  p.chunks = (p.n_key + CHUNK - 1) / CHUNK;
  memcpy (p.q_stride, q->stride, sizeof p.q_stride);
  memcpy (p.k_stride, k->stride, sizeof p.k_stride);
  memcpy (p.v_stride, v->stride, sizeof p.v_stride);
  return p;
}

static gint64
sums_of (const Linear *p) /* S [d,dv], then z [d] */
{
  return (p->d * (p->dv + 1) + 15) / 16 * 16;
}

static gsize
floats_per_thread (const Linear *p) /* features of queries, of keys and these turned, scores, running sums, divisors */
{
  return (gsize) (3 * BLOCK * p->d + BLOCK * BLOCK + sums_of (p) + BLOCK + 15) / 16 * 16;
}

FM_KERNEL (void, features, (const float *x, gint64 stride, gint64 rows, gint64 d, gint64 feature, float *restrict y),
           (x, stride, rows, d, feature, y))
{
  for (gint64 r = 0; r < rows; r++)
    {
      const float *from = x + r * stride;
      float *restrict to = y + r * d;

      if (feature == FM_FEATURE_ELU)
        for (gint64 c = 0; c < d; c++)
          {
            float low = from[c] < 0.0f ? from[c] : 0.0f;

            to[c] = from[c] > 0.0f ? from[c] + 1.0f : fm_exp2f_low (low * FM_LOG2E);
          }
      else if (feature == FM_FEATURE_RELU)
        for (gint64 c = 0; c < d; c++)
          to[c] = from[c] > 0.0f ? from[c] : 0.0f;
      else
        for (gint64 c = 0; c < d; c++)
          to[c] = from[c];
    }
}

FM_KERNEL (void, add_columns, (const float *x, gint64 rows, gint64 d, float *restrict sum), (x, rows, d, sum))
{
  for (gint64 r = 0; r < rows; r++)
    for (gint64 c = 0; c < d; c++)
      sum[c] += x[r * d + c];
}

/* Scores of keys after the query vanish; divisor += row sums. */
FM_KERNEL (void, cut_scores, (float *s, gint64 rows, gint64 keys, float *restrict divisor), (s, rows, keys, divisor))
{
  for (gint64 r = 0; r < rows; r++)
    {
      float lane[16] = { 0 };

      for (gint64 j = 0; j < BLOCK; j += 16)
        for (int l = 0; l < 16; l++)
          {
            float kept = (gint32) j + l <= (gint32) MIN (r, keys - 1) ? s[r * BLOCK + j + l] : 0.0f;

            s[r * BLOCK + j + l] = kept;
            lane[l] += kept;
          }
      for (int width = 8; width > 0; width /= 2)
        for (int l = 0; l < width; l++)
          lane[l] += lane[l + width];
      divisor[r] += lane[0];
    }
}

FM_KERNEL (void, divide_rows, (float *y, gint64 stride, gint64 rows, gint64 d, const float *divisor),
           (y, stride, rows, d, divisor))
{
  for (gint64 r = 0; r < rows; r++)
    {
      float factor = 1.0f / divisor[r];

      for (gint64 c = 0; c < d; c++)
        y[r * stride + c] *= factor;
    }
}

static gint64
keys_of (const Linear *p, gint64 b)
{
  return p->lengths ? CLAMP (p->lengths[b], 0, p->n_key) : p->n_key;
}

/* Adds keys [from,to) of (b, h) to @sums. */
static void
take_keys (const Linear *p, gint64 b, gint64 h, gint64 from, gint64 to, const float *k, const float *v, float *sums,
           float *memory)
{
  k += b * p->k_stride[0] + h * p->k_stride[1];
  v += b * p->v_stride[0] + h * p->v_stride[1];
  for (gint64 j = from; j < to; j += BLOCK)
    {
      gint64 keys = MIN (BLOCK, to - j);

      features (k + j * p->k_stride[2], p->k_stride[2], keys, p->d, p->feature, memory);
      fm_tile_gemm (p->d, p->dv, keys, memory, 1, p->d, v + j * p->v_stride[2], p->v_stride[2], sums, p->dv, TRUE);
      add_columns (memory, keys, p->d, sums + p->d * p->dv);
    }
}

/* Queries [from,to) of (b, h) with the sums of what they see; causal sums grow with the blocks. */
static void
make_queries (const Linear *p, gint64 b, gint64 h, gint64 from, gint64 to, const float *q, const float *k,
              const float *v, const float *seen, float *y, float *memory)
{
  gint64 row = p->heads * p->dv, end = keys_of (p, b);
  float *fq = memory, *fk = fq + BLOCK * p->d, *turned = fk + BLOCK * p->d, *s = turned + BLOCK * p->d;
  float *sums = s + BLOCK * BLOCK, *divisor = sums + sums_of (p);

  if (p->causal)
    memcpy (sums, seen, sums_of (p) * sizeof *sums);
  for (gint64 i = from; i < to; i += BLOCK)
    {
      gint64 rows = MIN (BLOCK, to - i), keys = CLAMP (end - i, 0, rows);
      const float *now = p->causal ? sums : seen;
      float *out = y + (b * p->n_query + i) * row + h * p->dv;

      features (q + b * p->q_stride[0] + h * p->q_stride[1] + i * p->q_stride[2], p->q_stride[2], rows, p->d, p->feature,
                fq);
      fm_tile_gemm (rows, p->dv, p->d, fq, p->d, 1, now, p->dv, out, row, FALSE);
      fm_tile_dots (rows, 1, p->d, fq, p->d, now + p->d * p->dv, p->d, NULL, divisor, 1);
      for (gint64 r = 0; r < rows; r++)
        divisor[r] += p->eps;
      if (p->causal && keys > 0)
        {
          const float *values = v + b * p->v_stride[0] + h * p->v_stride[1] + i * p->v_stride[2];

          features (k + b * p->k_stride[0] + h * p->k_stride[1] + i * p->k_stride[2], p->k_stride[2], keys, p->d,
                    p->feature, fk);
          fm_attention_turn (fk, p->d, keys, p->d, BLOCK, 1.0f, turned);
          fm_tile_gemm (rows, BLOCK, p->d, fq, p->d, 1, turned, BLOCK, s, BLOCK, FALSE);
          cut_scores (s, rows, keys, divisor);
          fm_tile_gemm (rows, p->dv, keys, s, BLOCK, 1, values, p->v_stride[2], out, row, TRUE);
          fm_tile_gemm (p->d, p->dv, keys, fk, 1, p->d, values, p->v_stride[2], sums, p->dv, TRUE);
          add_columns (fk, keys, p->d, sums + p->d * p->dv);
        }
      divide_rows (out, row, rows, p->dv, divisor);
    }
}

static void
linear_cpu (const FmNode *node, const FmCpuArgs *args)
{
  Linear p = read_node (node, args->in[3]);
  gint64 pairs = p.batch * p.heads, size = sums_of (&p), per_thread = floats_per_thread (&p);
  gint64 q_chunks = (p.n_query + CHUNK - 1) / CHUNK, rows = p.d + 1;
  float *sums = args->workspace, *own = sums + pairs * p.chunks * size;
  const float *q = args->in[0], *k = args->in[1], *v = args->in[2];

#pragma omp parallel num_threads(args->threads)
  {
    float *memory = own + omp_get_thread_num () * per_thread;

#pragma omp for schedule(dynamic, 1)
    for (gint64 task = 0; task < pairs * p.chunks; task++)
      {
        gint64 pair = task / p.chunks, b = pair / p.heads, from = task % p.chunks * CHUNK;

        memset (sums + task * size, 0, size * sizeof *sums);
        take_keys (&p, b, pair % p.heads, from, MIN (from + CHUNK, keys_of (&p, b)), k, v, sums + task * size, memory);
      }
    /* A row of S, or z, over the chunks of its pair. */
#pragma omp for schedule(static)
    for (gint64 task = 0; task < pairs * rows; task++)
      {
        gint64 width = task % rows < p.d ? p.dv : p.d;
        float *at = sums + task / rows * p.chunks * size + task % rows * p.dv;
        float total[FM_ATTENTION_MAX_WIDTH] = { 0 };

        for (gint64 c = 0; c < p.chunks; c++)
          for (gint64 e = 0; e < width; e++)
            {
              float part = at[c * size + e];

              at[c * size + e] = total[e]; /* of the chunks before */
              total[e] += part;
            }
        if (!p.causal)
          memcpy (at, total, width * sizeof *at);
      }
#pragma omp for schedule(dynamic, 1)
    for (gint64 task = 0; task < pairs * q_chunks; task++)
      {
        gint64 pair = task / q_chunks, chunk = task % q_chunks;

        make_queries (&p, pair / p.heads, pair % p.heads, chunk * CHUNK, MIN ((chunk + 1) * CHUNK, p.n_query), q, k, v,
                      sums + (pair * p.chunks + (p.causal ? chunk : 0)) * size, args->out[0], memory);
      }
  }
}

static gsize
linear_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  Linear p = read_node (node, NULL);
  gsize sums = p.batch * p.heads * p.chunks * sums_of (&p);

  return (sums + (backend == FM_BACKEND_CPU ? threads * floats_per_thread (&p) : 0)) * sizeof (float);
}

static gboolean
linear_infer (FmNode *node)
{
  Linear p = read_node (node, NULL);

  node->out[0]->type = FM_F32;
  node->out[0]->shape = FM_SHAPE (p.batch, p.n_query, p.heads, p.dv);
  return TRUE;
}

static void
linear_cost (const FmNode *node, FmCost *cost)
{
  Linear p = read_node (node, NULL);

  cost->flops = p.batch * p.heads * (2.0 * p.n_key + 2.0 * p.n_query) * p.d * (p.dv + 1);
  if (p.causal)
    cost->flops += p.batch * p.heads * p.n_query * (BLOCK / 2) * 2.0 * (p.d + p.dv);
  cost->bytes = 4.0 * (fm_shape_count (&node->in[0]->shape) + fm_shape_count (&node->in[1]->shape)
                       + fm_shape_count (&node->in[2]->shape) + fm_shape_count (&node->out[0]->shape));
}

static gboolean
linear_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  Linear p = read_node (node, NULL);
  FmTensor *q = node->in[0], *k = node->in[1], *v = node->in[2], *lengths = node->in[3], *y = node->out[0];
  struct
  {
    guint32 batch, heads, n_query, n_key, d, dv, chunks, sums;
    float   eps;
    guint32 q_offset, k_offset, v_offset, y_offset, lengths_offset, q_stride[3], k_stride[3], v_stride[3];
  } push = { p.batch, p.heads, p.n_query, p.n_key, p.d, p.dv, p.chunks, sums_of (&p), p.eps, q->offset, k->offset,
             v->offset, y->offset, lengths ? lengths->offset : 0, { p.q_stride[0], p.q_stride[1], p.q_stride[2] },
             { p.k_stride[0], p.k_stride[1], p.k_stride[2] }, { p.v_stride[0], p.v_stride[1], p.v_stride[2] } };
  FmVulkanDispatch dispatch = { .shader = "linear-attention",
                                .bind = { q, k, v, lengths ? lengths : q, FM_VULKAN_WORKSPACE, y }, .n_bind = 6,
                                .push = &push, .push_bytes = sizeof push, .local_x = 64, .n_spec = 4,
                                .spec = { 0, p.causal, p.feature, lengths != NULL } };
  const guint64 groups[] = { p.batch * p.heads * p.chunks * fm_gemm_vulkan_tiles (p.d, p.dv + 1), p.batch * p.heads,
                             p.batch * p.heads * fm_gemm_vulkan_tiles (p.n_query, p.dv) };

  for (guint pass = 0; pass < 3; pass++)
    {
      dispatch.spec[0] = pass;
      dispatch.groups = groups[pass];
      if (!fm_vulkan_dispatch (recorder, &dispatch, error))
        return FALSE;
    }
  return TRUE;
}

/* --- The same of other ops, for gradients --------------------------------------------------------------------------*/

static FmTensor *
feature_of (FmGraph *g, FmTensor *x, FmFeature feature)
{
  if (feature == FM_FEATURE_ELU)
    return fm_add_scalar (g, fm_elu (g, x), 1.0);
  return feature == FM_FEATURE_RELU ? fm_relu (g, x) : x;
}

static FmTensor *
in_chunks (FmGraph *g, FmTensor *x, gint64 chunks)
{
  FmShape s = x->shape;

  if (s.dims[2] < chunks * BLOCK)
    x = fm_pad (g, x, 2, 0, chunks * BLOCK - s.dims[2]);
  return fm_reshape (g, x, FM_SHAPE (s.dims[0], s.dims[1], chunks, BLOCK, s.dims[3]));
}

/* Features of keys; those of padding are zero. */
static FmTensor *
key_features (FmGraph *g, FmTensor *k, FmTensor *lengths, FmFeature feature)
{
  gint64 b = k->shape.dims[0], n = k->shape.dims[2];
  FmTensor *visible;

  k = feature_of (g, k, feature);
  if (lengths == NULL)
    return k;
  visible = fm_less (g, fm_iota (g, n), fm_reshape (g, lengths, FM_SHAPE (b, 1)));
  return fm_where (g, fm_reshape (g, visible, FM_SHAPE (b, 1, n, 1)), k, fm_constant (g, FM_F32, FM_SHAPE (1), 0.0));
}

/* @df times the slope of the feature map, from the feature @f: e^x is f where that is below 1. Features that padding made
 * zero pass nothing, but where there is no map: lengths do that. */
static FmTensor *
through_feature (FmGraph *g, FmTensor *f, FmTensor *df, FmTensor *lengths, FmFeature feature)
{
  if (feature == FM_FEATURE_ELU)
    return fm_mul (g, df, fm_minimum (g, f, fm_constant (g, FM_F32, FM_SHAPE (1), 1.0)));
  if (feature == FM_FEATURE_RELU)
    return fm_mul (g, df, fm_less (g, fm_constant (g, FM_F32, FM_SHAPE (1), 0.0), f));
  return key_features (g, df, lengths, feature);
}

/* With n = f(q) S / c and c = f(q) z + eps: dn = dy / c, dc = -sum (dn y); the rest are products of these with the sums. */
static void
gradient_over_all (FmGraph *g, FmNode *node, FmTensor *dy, FmTensor **dx)
{
  FmFeature feature = (FmFeature) node->attr.i[1];
  FmTensor *v = node->in[2], *lengths = node->in[3], *y = fm_transpose (g, node->out[0], 1, 2);
  FmTensor *q = feature_of (g, node->in[0], feature), *k = key_features (g, node->in[1], lengths, feature);
  FmTensor *s = fm_matmul (g, k, v, FM_TRANS_A), *z = fm_sum_keep (g, k, 2), *dn, *dc, *ds, *dz;

  dn = fm_div (g, fm_transpose (g, dy, 1, 2), fm_add_scalar (g, fm_matmul (g, q, z, FM_TRANS_B), node->attr.f[0]));
  dc = fm_neg (g, fm_sum_keep (g, fm_mul (g, dn, y), -1));
  ds = fm_matmul (g, q, dn, FM_TRANS_A);
  dz = fm_matmul (g, dc, q, FM_TRANS_A);
  dx[0] = fm_add (g, fm_matmul (g, dn, s, FM_TRANS_B), fm_mul (g, dc, z));
  dx[0] = through_feature (g, q, dx[0], NULL, feature);
  dx[1] = fm_add (g, fm_matmul (g, v, ds, FM_TRANS_B), dz);
  dx[1] = through_feature (g, k, dx[1], lengths, feature);
  dx[2] = fm_matmul (g, k, ds, 0);
}

static FmTensor *
causal_form (FmGraph *g, FmTensor *q, FmTensor *k, FmTensor *v, FmTensor *lengths, FmFeature feature, gdouble eps)
{
  gint64 b = q->shape.dims[0], h = q->shape.dims[1], n = q->shape.dims[2];
  gint64 dv = v->shape.dims[3], chunks = (n + BLOCK - 1) / BLOCK;
  FmTensor *norm, *y, *s, *kv, *z;

  q = in_chunks (g, feature_of (g, q, feature), chunks);
  k = in_chunks (g, key_features (g, k, lengths, feature), chunks);
  v = in_chunks (g, v, chunks);
  s = fm_mul (g, fm_matmul (g, q, k, FM_TRANS_B),
              fm_reshape (g, fm_attention_mask_tensor (g, BLOCK, BLOCK, &(FmAttentionMask){ .causal = TRUE }),
                          FM_SHAPE (1, 1, 1, BLOCK, BLOCK)));
  kv = fm_cumsum (g, fm_matmul (g, k, v, FM_TRANS_A), 2, TRUE);      /* [B,H,chunks,d,dv], of the chunks before */
  z = fm_cumsum (g, fm_sum_keep (g, k, 3), 2, TRUE);                 /* [B,H,chunks,1,d] */
  y = fm_add (g, fm_matmul (g, s, v, 0), fm_matmul (g, q, kv, 0));
  norm = fm_add (g, fm_sum_keep (g, s, -1), fm_matmul (g, q, z, FM_TRANS_B));
  y = fm_reshape (g, y, FM_SHAPE (b, h, chunks * BLOCK, dv));
  norm = fm_reshape (g, norm, FM_SHAPE (b, h, chunks * BLOCK, 1));
  /* Cut before dividing: rows that only fill up a chunk may have a divisor of 0. */
  return fm_div (g, fm_slice (g, y, 2, 0, n), fm_add_scalar (g, fm_slice (g, norm, 2, 0, n), eps));
}

static void
linear_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmTensor *x[3], *y;

  if (node->attr.i[0] == 0)
    {
      gradient_over_all (g, node, dy[0], dx);
      return;
    }
  for (guint i = 0; i < 3; i++) /* views, so that each stands for itself even where two are one tensor */
    x[i] = fm_transpose (g, fm_transpose (g, node->in[i], 0, 1), 0, 1);
  y = causal_form (g, x[0], x[1], x[2], node->in[3], (FmFeature) node->attr.i[1], node->attr.f[0]);
  y = fm_sum_all (g, fm_mul (g, fm_transpose (g, y, 1, 2), dy[0]));
  if (fm_graph_failed (g))
    return;
  fm_grad (g, y, x, 3, dx);
}

static const FmOp linear_op = {
  .name = "linear-attention", .n_in_min = 4, .n_in_max = 4, .n_out = 1, .flags = FM_OP_ROWS, .infer = linear_infer,
  .gradient = linear_gradient, .cpu = linear_cpu, .vulkan = linear_vulkan, .workspace = linear_workspace,
  .cost = linear_cost,
};

FM_OPS (linear_attention, &linear_op);

FmTensor *
fm_linear_attention (FmGraph *g, FmTensor *q, FmTensor *k, FmTensor *v, FmFeature feature, gdouble eps, gboolean causal,
                     FmTensor *key_lengths)
{
  FM_REFUSE_NULL (g, "linear attention", q, k, v);
  FmAttr attr = { .i = { causal, feature }, .f = { eps } };
  FmTensor *y;

  if (fm_graph_failed (g) || !fm_attention_heads_are_sound (g, q, k, v))
    return g->poison;
  if (q->shape.dims[1] != k->shape.dims[1] || (causal && q->shape.dims[2] != k->shape.dims[2]))
    return fm_graph_fail (g, "linear-attention", "wants as many heads of keys as of queries and, if causal, as many keys");
  if (key_lengths && (key_lengths->type != FM_I32 || key_lengths->shape.rank != 1
                      || key_lengths->shape.dims[0] != q->shape.dims[0]))
    return fm_graph_fail (g, "linear-attention", "key lengths must be i32, one for each of the batch");
  if (feature != FM_FEATURE_NONE && feature != FM_FEATURE_ELU && feature != FM_FEATURE_RELU)
    return fm_graph_fail (g, "linear-attention", "no such feature map: %d", feature);
  y = fm_op1 (g, &linear_op, &attr, 4, q, k, v, key_lengths);
  return fm_transpose (g, y, 1, 2);
}
