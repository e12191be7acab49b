/* attention.c: softmax (scale q k^T + mask) v by tiles with an online softmax; O(N) memory.
 *
 * Source: Dao et al. 2022, arXiv:2205.14135, algorithm 1; Milakov and Gimelshein 2018, arXiv:1805.02867.
 * Layout: a tile of scores lies as [keys][queries], queries in vector lanes, so that maximum, sum and masks go down
 * the lanes without a shuffle, keys and values are read where they stand, and only the queries are turned once a tile.
 * Results are [B,N,H,dv] in memory and shown as [B,H,N,dv]: merging the heads afterwards is free.
 * Work: one task per (b, h, tile of queries), each on one thread; nothing is added across tasks. */
#include "config.h"

#include "attention.h"
#include "math.h"
#include "tile.h"

#include <string.h>

#define FIRST_MASK 3 /* inputs: q, k, v, then the tensors of the mask */

/* Four rows of four, turned; vectors of 16 bytes are the same at every level. */
typedef float Four __attribute__ ((vector_size (16), aligned (4), may_alias));

FM_INLINE void
turn_four (const float *x, gint64 stride, float factor, float *turned, gint64 lanes)
{
  Four a = *(const Four *) x, b = *(const Four *) (x + stride);
  Four c = *(const Four *) (x + 2 * stride), d = *(const Four *) (x + 3 * stride);
  Four ab0 = __builtin_shufflevector (a, b, 0, 4, 1, 5), ab1 = __builtin_shufflevector (a, b, 2, 6, 3, 7);
  Four cd0 = __builtin_shufflevector (c, d, 0, 4, 1, 5), cd1 = __builtin_shufflevector (c, d, 2, 6, 3, 7);

  *(Four *) turned = __builtin_shufflevector (ab0, cd0, 0, 1, 4, 5) * factor;
  *(Four *) (turned + lanes) = __builtin_shufflevector (ab0, cd0, 2, 3, 6, 7) * factor;
  *(Four *) (turned + 2 * lanes) = __builtin_shufflevector (ab1, cd1, 0, 1, 4, 5) * factor;
  *(Four *) (turned + 3 * lanes) = __builtin_shufflevector (ab1, cd1, 2, 3, 6, 7) * factor;
}

FM_KERNEL (void, turn, (const float *x, gint64 stride, gint64 rows, gint64 d, gint64 lanes, float factor, float *turned),
           (x, stride, rows, d, lanes, factor, turned))
{
  gint64 full_rows = rows / 4 * 4, full_d = d / 4 * 4;

  for (gint64 r = 0; r < full_rows; r += 4)
    for (gint64 c = 0; c < full_d; c += 4)
      turn_four (x + r * stride + c, stride, factor, turned + c * lanes + r, lanes);
  for (gint64 c = full_d; c < d; c++)
    for (gint64 r = 0; r < full_rows; r++)
      turned[c * lanes + r] = x[r * stride + c] * factor;
  for (gint64 c = 0; c < d; c++)
    {
      for (gint64 r = full_rows; r < rows; r++)
        turned[c * lanes + r] = x[r * stride + c] * factor;
      for (gint64 r = rows; r < lanes; r++)
        turned[c * lanes + r] = 0.0f;
    }
}

void
fm_attention_turn (const float *x, gint64 stride, gint64 rows, gint64 d, gint64 lanes, float factor, float *turned)
{
  turn (x, stride, rows, d, lanes, factor, turned);
}

#define GROUP FM_ATTENTION_GROUP

/* What online_softmax() does for @width lanes from @g, a literal at every call: the loops become vectors without rest. */
FM_INLINE void
softmax_lanes (const int width, gint64 g, float *restrict s, gint64 first, gint64 end, gint64 lanes,
               const FmAttentionStair *stair, const float *restrict added, float *restrict max, float *restrict sum,
               float *restrict shrink)
{
  float best[FM_ATTENTION_TILE_Q], total[FM_ATTENTION_TILE_Q];

  for (int l = 0; l < width; l++)
    best[l] = max[g + l];
  for (gint64 j = first; j < end; j++)
    {
      float *restrict row = s + j * lanes + g;

      if (added)
        for (int l = 0; l < width; l++)
          row[l] += added[j * lanes + g + l];
      else if (stair && (stair->from[j] > g || stair->to[j] < g + width))
        for (int l = 0; l < width; l++)
          row[l] = (gint32) g + l >= stair->from[j] && (gint32) g + l < stair->to[j] ? row[l] : -INFINITY;
      for (int l = 0; l < width; l++)
        best[l] = row[l] > best[l] ? row[l] : best[l];
    }
  for (int l = 0; l < width; l++)
    {
      shrink[g + l] = fm_exp2f_low (max[g + l] - best[l]);
      total[l] = sum[g + l] * shrink[g + l];
      max[g + l] = best[l];
    }
  for (gint64 j = first; j < end; j++)
    {
      float *restrict row = s + j * lanes + g;

      for (int l = 0; l < width; l++)
        {
          float weight = fm_exp2f_low (row[l] - best[l]);

          row[l] = weight;
          total[l] += weight;
        }
    }
  for (int l = 0; l < width; l++)
    sum[g + l] = total[l];
}

/* Scores s [keys,lanes] -> weights relative to the new maximum, where @stair (nullable) leaves any; @added (nullable) is
 * added. max, sum [lanes] are kept over tiles; @shrink is what sums of earlier tiles are multiplied by. */
FM_KERNEL (void, online_softmax, (float *restrict s, gint64 keys, gint64 lanes, const FmAttentionStair *stair,
                                  const float *restrict added, float *restrict max, float *restrict sum,
                                  float *restrict shrink),
           (s, keys, lanes, stair, added, max, sum, shrink))
{
  if (stair == NULL && lanes == 64)
    softmax_lanes (64, 0, s, 0, keys, lanes, NULL, added, max, sum, shrink);
  else
    for (gint64 g = 0; g < lanes; g += GROUP)
      softmax_lanes (GROUP, g, s, stair ? stair->key_from[g / GROUP] : 0, stair ? stair->key_to[g / GROUP] : keys, lanes,
                     stair, added, max, sum, shrink);
}

FM_KERNEL (void, shrink_rows, (float *x, gint64 rows, gint64 d, const float *factor), (x, rows, d, factor))
{
  for (gint64 r = 0; r < rows; r++)
    for (gint64 c = 0; c < d; c++)
      x[r * d + c] *= factor[r];
}

/* Sums of a tile to their places; a query that saw nothing gets zeros. */
FM_KERNEL (void, finish, (const float *x, gint64 rows, gint64 d, const float *max, const float *sum, float *out,
                          gint64 out_stride, float *lse, gint64 lse_stride),
           (x, rows, d, max, sum, out, out_stride, lse, lse_stride))
{
  for (gint64 r = 0; r < rows; r++)
    {
      float factor = sum[r] > 0.0f ? 1.0f / sum[r] : 0.0f;

      for (gint64 c = 0; c < d; c++)
        out[r * out_stride + c] = x[r * d + c] * factor;
    }
  for (gint64 r = 0; r < rows; r++)
    lse[r * lse_stride] = sum[r] > 0.0f ? max[r] * FM_LN2 + fm_logf (sum[r]) : FM_ATTENTION_BLIND;
}

void
fm_attention_prefetch (const float *x, gint64 stride, gint64 rows, gint64 d)
{
  for (gint64 r = 0; r < rows; r++)
    for (gint64 c = 0; c < d; c += 16)
      __builtin_prefetch (x + r * stride + c);
}

/* Long sequences: keys and values are copied to where they lie together and serve several tiles of queries before the
 * next come. From the shape alone. */
#define MAX_TILES 4

static gint64
tiles_together (const FmAttentionProblem *p)
{
  return p->tile_q == FM_ATTENTION_TILE_Q && p->n_query >= 1024 ? MAX_TILES : 1;
}

static gsize
floats_of_tile (const FmAttentionProblem *p) /* turned queries, sums of values, maximum, sum, shrink */
{
  return (gsize) ((p->d + p->dv + 3) * p->tile_q + 15) / 16 * 16;
}

static gsize
floats_per_thread (const FmAttentionProblem *p, gint64 n)
{
  return n * floats_of_tile (p) + (p->added ? 2 : 1) * FM_ATTENTION_TILE_K * p->tile_q
         + (n > 1 ? (FM_ATTENTION_TILE_K * (p->d + p->dv) + 15) / 16 * 16 : 0);
}

typedef struct
{
  gint64   q0, rows, from, to; /* to: 0 = sees nothing */
  float   *turned, *o, *max, *sum, *shrink;
  gboolean begun;
} Tile;

static void
tile_begin (Tile *t, const FmAttentionProblem *p, gint64 b, gint64 q0, const float *q, float *memory)
{
  gint64 lanes = p->tile_q;

  *t = (Tile) { .q0 = q0, .rows = MIN (lanes, p->n_query - q0), .turned = memory };
  t->o = t->turned + p->d * lanes;
  t->max = t->o + p->dv * lanes;
  t->sum = t->max + lanes;
  t->shrink = t->sum + lanes;
  fm_attention_keys (p, b, q0, q0 + t->rows, &t->from, &t->to);
  turn (q + q0 * p->q_stride[2], p->q_stride[2], t->rows, p->d, lanes, p->scale * FM_LOG2E, t->turned);
  for (gint64 l = 0; l < lanes; l++)
    {
      t->max[l] = -1e30f; /* below any score, and finite: -inf minus -inf would be NaN */
      t->sum[l] = 0.0f;
    }
}

/* One tile of queries takes in @keys keys from @j. */
static void
tile_step (Tile *t, const FmAttentionProblem *p, gint64 b, gint64 h, gint64 j, gint64 keys, const float *k,
           gint64 k_stride, const float *v, gint64 v_stride, float *s, float *added)
{
  FmAttentionStair stair, *cut = NULL;

  if (added)
    {
      if (!fm_attention_added (p, b, h, t->q0, t->rows, j, keys, added))
        return;
    }
  else if (fm_attention_stair (p, b, t->q0, t->rows, j, keys, &stair))
    cut = &stair;
  fm_attention_scores (cut, keys, p->tile_q, p->d, k, k_stride, t->turned, s);
  online_softmax (s, keys, p->tile_q, cut, added, t->max, t->sum, t->shrink);
  if (t->begun)
    shrink_rows (t->o, t->rows, p->dv, t->shrink);
  else if (cut)
    memset (t->o, 0, t->rows * p->dv * sizeof *t->o);
  fm_attention_by_lanes (cut, keys, p->tile_q, t->rows, p->dv, s, v, v_stride, t->o, p->dv, cut || t->begun);
  t->begun = TRUE;
}

static void
copy_rows (const float *x, gint64 stride, gint64 rows, gint64 d, float *y)
{
  for (gint64 r = 0; r < rows; r++)
    memcpy (y + r * d, x + r * stride, d * sizeof *y);
}

/* @n tiles of queries from @q0. */
static void
forward_tiles (const FmAttentionProblem *p, gint64 b, gint64 h, gint64 q0, gint64 n, const float *q, const float *k,
               const float *v, float *out, float *lse, float *workspace)
{
  gboolean pack = n > 1 && (p->k_stride[2] != p->d || p->v_stride[2] != p->dv);
  gint64 from = p->n_key, to = 0, kv = h / p->group;
  gint64 k_stride = pack ? p->d : p->k_stride[2], v_stride = pack ? p->dv : p->v_stride[2];
  float *s = workspace + n * floats_of_tile (p);
  float *added = p->added ? s + FM_ATTENTION_TILE_K * p->tile_q : NULL;
  float *packed = s + (added ? 2 : 1) * FM_ATTENTION_TILE_K * p->tile_q;
  Tile tiles[MAX_TILES];

  q += b * p->q_stride[0] + h * p->q_stride[1];
  k += b * p->k_stride[0] + kv * p->k_stride[1];
  v += b * p->v_stride[0] + kv * p->v_stride[1];
  for (gint64 t = 0; t < n; t++)
    {
      if (n == 1) /* heads lie side by side, so rows of one head are apart: ask for the first keys meanwhile */
        {
          fm_attention_keys (p, b, q0, MIN (q0 + p->tile_q, p->n_query), &from, &to);
          fm_attention_prefetch (k + from * k_stride, k_stride, MIN (FM_ATTENTION_TILE_K, to - from), p->d);
          fm_attention_prefetch (v + from * v_stride, v_stride, MIN (FM_ATTENTION_TILE_K, to - from), p->dv);
        }
      tile_begin (&tiles[t], p, b, q0 + t * p->tile_q, q, workspace + t * floats_of_tile (p));
      from = MIN (from, tiles[t].from);
      to = MAX (to, tiles[t].to);
    }
  for (gint64 j = from; j < to; j += FM_ATTENTION_TILE_K)
    {
      gint64 keys = MIN (FM_ATTENTION_TILE_K, to - j);
      const float *kt = k + j * p->k_stride[2], *vt = v + j * p->v_stride[2];

      if (pack)
        {
          copy_rows (kt, p->k_stride[2], keys, p->d, packed);
          copy_rows (vt, p->v_stride[2], keys, p->dv, packed + FM_ATTENTION_TILE_K * p->d);
          kt = packed;
          vt = packed + FM_ATTENTION_TILE_K * p->d;
        }
      for (gint64 t = 0; t < n; t++)
        if (j < tiles[t].to && j + keys > tiles[t].from)
          tile_step (&tiles[t], p, b, h, j, MIN (keys, tiles[t].to - j), kt, k_stride, vt, v_stride, s,
                     added);
    }
  for (gint64 t = 0; t < n; t++)
    {
      Tile *tile = &tiles[t];

      if (!tile->begun)
        memset (tile->o, 0, tile->rows * p->dv * sizeof *tile->o);
      finish (tile->o, tile->rows, p->dv, tile->max, tile->sum,
              out + ((b * p->all_queries + tile->q0 * p->step) * p->heads + h) * p->dv, p->step * p->heads * p->dv,
              lse + (b * p->heads + h) * p->all_queries + tile->q0 * p->step, p->step);
    }
}

/* --- One query: decoding with a cache -------------------------------------------------------------------------------
 * Nothing is reused but by the heads of a group, so the work is reading keys and values once. They are split into parts
 * of a fixed length, whatever the number of threads, and the parts are merged: card lean-attn. */

#define PART 1024 /* keys */

static gboolean
is_decode (const FmAttentionProblem *p)
{
  return p->all_queries == 1 && !p->added;
}

static gsize
floats_of_part (const FmAttentionProblem *p) /* maximum, sum, weighted sum of values, by head of the group */
{
  return (gsize) (p->group * (p->dv + 2) + 15) / 16 * 16;
}

static gsize
floats_of_decode (const FmAttentionProblem *p) /* a thread's queries and scores */
{
  return (gsize) (p->group * (p->d + PART) + 15) / 16 * 16;
}

FM_KERNEL (void, scaled_row, (const float *x, gint64 n, float factor, float *restrict y), (x, n, factor, y))
{
  for (gint64 i = 0; i < n; i++)
    y[i] = x[i] * factor;
}

/* Scores to weights relative to their maximum; sums by lanes, so that the loops are vectors. */
FM_KERNEL (void, part_softmax, (float *restrict s, gint64 n, float *max, float *sum), (s, n, max, sum))
{
  float best[GROUP], total[GROUP], top;
  gint64 whole = n / GROUP * GROUP;

  for (int l = 0; l < GROUP; l++)
    {
      best[l] = -1e30f;
      total[l] = 0.0f;
    }
  for (gint64 j = 0; j < whole; j += GROUP)
    for (int l = 0; l < GROUP; l++)
      best[l] = s[j + l] > best[l] ? s[j + l] : best[l];
  for (gint64 j = whole; j < n; j++)
    best[j - whole] = s[j] > best[j - whole] ? s[j] : best[j - whole];
  top = best[0];
  for (int l = 1; l < GROUP; l++)
    top = best[l] > top ? best[l] : top;
  for (gint64 j = 0; j < whole; j += GROUP)
    for (int l = 0; l < GROUP; l++)
      {
        float weight = fm_exp2f_low (s[j + l] - top);

        s[j + l] = weight;
        total[l] += weight;
      }
  for (gint64 j = whole; j < n; j++)
    {
      s[j] = fm_exp2f_low (s[j] - top);
      total[j - whole] += s[j];
    }
  for (int width = GROUP / 2; width > 0; width /= 2)
    for (int l = 0; l < width; l++)
      total[l] += total[l + width];
  *max = top;
  *sum = total[0];
}

/* Asks for rows that are read once: they must not push weights out of the caches. */
static void
prefetch_once (const float *x, gint64 stride, gint64 rows, gint64 d)
{
  for (gint64 r = 0; r < rows; r++)
    for (gint64 c = 0; c < d; c += 16)
      __builtin_prefetch (x + r * stride + c, 0, 0);
}

/* Keys [from,to) of (b, kv) for all heads of its group. */
static void
decode_part (const FmAttentionProblem *p, gint64 b, gint64 kv, gint64 from, gint64 to, const float *q, const float *k,
             const float *v, float *part, float *own)
{
  float *queries = own, *s = own + p->group * p->d, *max = part, *sum = part + p->group, *o = sum + p->group;

  if (from >= to)
    {
      for (gint64 h = 0; h < p->group; h++)
        {
          max[h] = -1e30f;
          sum[h] = 0.0f;
        }
      return;
    }
  k += b * p->k_stride[0] + kv * p->k_stride[1] + from * p->k_stride[2];
  v += b * p->v_stride[0] + kv * p->v_stride[1] + from * p->v_stride[2];
  for (gint64 h = 0; h < p->group; h++)
    scaled_row (q + b * p->q_stride[0] + (kv * p->group + h) * p->q_stride[1], p->d, p->scale * FM_LOG2E,
                queries + h * p->d);
  /* Values come while keys are read: one stream alone leaves the memory waiting. */
  for (gint64 j = 0; j < to - from; j += 32)
    {
      gint64 n = MIN (32, to - from - j);

      prefetch_once (v + j * p->v_stride[2], p->v_stride[2], n, p->dv);
      fm_tile_dots (p->group, n, p->d, queries, p->d, k + j * p->k_stride[2], p->k_stride[2], NULL, s + j, PART);
    }
  for (gint64 h = 0; h < p->group; h++)
    {
      part_softmax (s + h * PART, to - from, &max[h], &sum[h]);
      fm_tile_rows (p->dv, to - from, s + h * PART, 1, v, p->v_stride[2], NULL, o + h * p->dv);
    }
}

static void
decode_merge (const FmAttentionProblem *p, gint64 b, gint64 h, const float *parts, gint64 n, float *out, float *lse)
{
  gint64 in_group = h % p->group;
  float top = -1e30f, sum = 0.0f;

  for (gint64 i = 0; i < n; i++)
    top = MAX (top, parts[i * floats_of_part (p) + in_group]);
  memset (out, 0, p->dv * sizeof *out);
  for (gint64 i = 0; i < n; i++)
    {
      const float *part = parts + i * floats_of_part (p), *o = part + 2 * p->group + in_group * p->dv;
      float weight = fm_exp2f_low (part[in_group] - top), l = part[p->group + in_group];

      if (l == 0.0f) /* a part that saw nothing has no sum of values */
        continue;
      sum += l * weight;
      for (gint64 c = 0; c < p->dv; c++)
        out[c] += o[c] * weight;
    }
  for (gint64 c = 0; c < p->dv && sum > 0.0f; c++)
    out[c] /= sum;
  *lse = sum > 0.0f ? top * FM_LN2 + fm_logf (sum) : FM_ATTENTION_BLIND;
}

static void
decode_cpu (const FmAttentionProblem *p, const FmCpuArgs *args, const float *k, const float *v)
{
  gint64 parts = (p->n_key + PART - 1) / PART, tasks = p->batch * p->kv_heads * parts;
  float *merged = args->workspace, *own = merged + tasks * floats_of_part (p), *out = args->out[0], *lse = args->out[1];

#pragma omp parallel num_threads(args->threads) if (tasks > 1)
  {
#pragma omp for schedule(dynamic, 1)
    for (gint64 task = 0; task < tasks; task++)
      {
        gint64 part = task % parts, pair = task / parts, from, to;

        fm_attention_keys (p, pair / p->kv_heads, 0, 1, &from, &to);
        decode_part (p, pair / p->kv_heads, pair % p->kv_heads, MAX (from, part * PART), MIN (to, (part + 1) * PART),
                     args->in[0], k, v, merged + task * floats_of_part (p),
                     own + omp_get_thread_num () * floats_of_decode (p));
      }
#pragma omp for schedule(static)
    for (gint64 row = 0; row < p->batch * p->heads; row++)
      decode_merge (p, row / p->heads, row % p->heads, merged + row / p->group * parts * floats_of_part (p), parts,
                    out + row * p->dv, lse + row);
  }
}

static void
attention_cpu (const FmNode *node, const FmCpuArgs *args)
{
  FmAttentionProblem p = fm_attention_problem (node, FIRST_MASK, args->in), largest = fm_attention_residue (&p, 0);
  gint64 together = tiles_together (&largest), tiles, blocks, tasks;
  gint64 residues = fm_attention_residues (&p);
  const float *q = args->in[0], *k = args->in[1], *v = args->in[2];

  if (is_decode (&largest))
    {
      decode_cpu (&largest, args, k + largest.residue * p.k_stride[2], v + largest.residue * p.v_stride[2]);
      return;
    }
  tiles = (largest.n_query + largest.tile_q - 1) / largest.tile_q;
  blocks = (tiles + together - 1) / together;
  tasks = p.batch * p.heads * residues * blocks;
#pragma omp parallel for schedule(dynamic, 1) num_threads(args->threads) if (tasks > 1)
  for (gint64 task = 0; task < tasks; task++)
    {
      gint64 block = blocks - 1 - task % blocks; /* causal: the last see most and come first */
      gint64 pair = task / blocks / residues, here;
      FmAttentionProblem r = fm_attention_residue (&p, task / blocks % residues);

      here = (r.n_query + r.tile_q - 1) / r.tile_q; /* residues differ by a query */
      if (block * together < here)
        forward_tiles (&r, pair / p.heads, pair % p.heads, block * together * r.tile_q,
                       MIN (together, here - block * together), q + r.first * p.q_stride[2],
                       k + r.residue * p.k_stride[2], v + r.residue * p.v_stride[2],
                       (float *) args->out[0] + r.first * p.heads * p.dv, (float *) args->out[1] + r.first,
                       (float *) args->workspace + omp_get_thread_num () * floats_per_thread (&largest, together));
    }
}

static gsize
attention_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  FmAttentionProblem p = fm_attention_problem (node, FIRST_MASK, NULL), largest = fm_attention_residue (&p, 0);

  if (backend != FM_BACKEND_CPU)
    return fm_attention_table_words (&p, node->in + FIRST_MASK) * sizeof (guint32);
  p = largest;
  if (is_decode (&p))
    return (p.batch * p.kv_heads * ((p.n_key + PART - 1) / PART) * floats_of_part (&p) + threads * floats_of_decode (&p))
           * sizeof (float);
  return threads * floats_per_thread (&p, tiles_together (&p)) * sizeof (float);
}

static gboolean
attention_infer (FmNode *node)
{
  FmAttentionProblem p = fm_attention_problem (node, FIRST_MASK, NULL);

  node->out[0]->type = FM_F32;
  node->out[0]->shape = FM_SHAPE (p.batch, p.n_query, p.heads, p.dv);
  node->out[1]->type = FM_F32;
  node->out[1]->shape = FM_SHAPE (p.batch, p.heads, p.n_query);
  return TRUE;
}

static void
attention_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmTensor *in[FM_BACKWARD_FIRST_MASK + FM_MASK_TENSORS] = { node->in[0], node->in[1], node->in[2], node->out[0],
                                                             node->out[1], dy[0], dy[1] };
  FmTensor *distance = node->in[FIRST_MASK + FM_MASK_DISTANCE], *bias = node->in[FIRST_MASK + FM_MASK_BIAS];
  FmNode *backward;

  if (dy[0] == NULL)
    in[5] = fm_constant (g, FM_F32, node->out[0]->shape, 0.0);
  memcpy (in + FM_BACKWARD_FIRST_MASK, node->in + FIRST_MASK, FM_MASK_TENSORS * sizeof *in);
  backward = fm_node_new (g, &fm_attention_backward_op, in, G_N_ELEMENTS (in), &node->attr);
  for (guint i = 0; backward && i < 3; i++)
    dx[i] = fm_transpose (g, backward->out[i], 1, 2);
  /* Built for whoever asks; what nobody asks for is not in the program. */
  if (distance)
    dx[FIRST_MASK + FM_MASK_DISTANCE] = fm_attention_added_gradient (g, in, &node->attr, FALSE);
  if (bias)
    dx[FIRST_MASK + FM_MASK_BIAS] = fm_attention_added_gradient (g, in, &node->attr, TRUE);
}

/* Only the products that the mask leaves. */
static void
attention_cost (const FmNode *node, FmCost *cost)
{
  FmAttentionProblem p = fm_attention_problem (node, FIRST_MASK, NULL);
  gdouble pairs = fm_attention_pairs (&p);

  cost->flops = p.batch * p.heads * pairs * (2.0 * p.d + 2.0 * p.dv + 4);
  cost->bytes = 4.0 * (fm_shape_count (&node->in[0]->shape) + fm_shape_count (&node->in[1]->shape)
                       + fm_shape_count (&node->in[2]->shape) + fm_shape_count (&node->out[0]->shape));
}

static gboolean
attention_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmAttentionProblem p = fm_attention_problem (node, FIRST_MASK, NULL);
  FmTensor * const *mask = node->in + FIRST_MASK;
  FmTensor *q = node->in[0], *k = node->in[1], *v = node->in[2], *o = node->out[0], *lse = node->out[1];
  FmTensor *lengths = mask[FM_MASK_LENGTHS], *bias = mask[FM_MASK_BIAS];
  gboolean table = fm_attention_table_words (&p, mask) > 0;
  struct
  {
    guint32 batch, heads, group, n_query, n_key, d, dv;
    gint32  causal, window, block, offset;
    float   scale;
    guint32 q_offset, k_offset, v_offset, o_offset, lse_offset, mask_offset;
    guint32 q_stride[3], k_stride[3], v_stride[3];
  } push = { p.batch, p.heads, p.group, p.n_query, p.n_key, p.d, p.dv, p.causal, p.window, p.block, p.offset, p.scale,
             q->offset, k->offset, v->offset, o->offset, lse->offset, lengths && !table ? lengths->offset : 0 };
  FmVulkanDispatch dispatch = { .shader = "attention", .bind = { q, k, v, o, lse, lengths ? lengths : q,
                                                                 bias ? bias : q },
                                .n_bind = 7, .push = &push, .push_bytes = sizeof push,
                                .spec = { table ? 2 : lengths != NULL }, .n_spec = 1, .local_x = 64,
                                .groups = p.batch * p.heads * p.n_query };

  for (guint i = 0; i < 3; i++)
    {
      push.q_stride[i] = p.q_stride[i];
      push.k_stride[i] = p.k_stride[i];
      push.v_stride[i] = p.v_stride[i];
    }
  if (table)
    {
      dispatch.bind[5] = FM_VULKAN_WORKSPACE;
      if (!fm_attention_table_write (recorder, &p, mask, FM_VULKAN_WORKSPACE, 0, error))
        return FALSE;
    }
  /* Tiles of 32 queries pay from a few queries on; wide values do not fit into an invocation's registers. */
  if (p.n_query >= 8 && p.dv <= 128)
    {
      dispatch.shader = "attention-tiles";
      dispatch.spec[1] = p.dv <= 32 ? 1 : p.dv <= 64 ? 2 : 4;
      dispatch.n_spec = 2;
      dispatch.groups = p.batch * p.heads * ((p.n_query + 31) / 32);
    }
  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

static const FmOp attention_op = {
  .name = "attention", .n_in_min = FIRST_MASK + FM_MASK_TENSORS, .n_in_max = FIRST_MASK + FM_MASK_TENSORS, .n_out = 2,
  .flags = FM_OP_ROWS, .infer = attention_infer, .gradient = attention_gradient, .cpu = attention_cpu,
  .vulkan = attention_vulkan, .workspace = attention_workspace, .cost = attention_cost,
};

FM_OPS (attention, &attention_op);

/* --- Builders -----------------------------------------------------------------------------------------------------*/

static FmNode *
attention_node (FmGraph *g, FmTensor *q, FmTensor *k, FmTensor *v, gdouble scale, const FmAttentionMask *mask)
{
  FmTensor *in[FIRST_MASK + FM_MASK_TENSORS] = { q, k, v };
  FmAttr attr = { 0 };

  if (fm_graph_failed (g) || !fm_attention_heads_are_sound (g, q, k, v)
      || !fm_attention_mask_read (g, mask, q->shape.dims[0], q->shape.dims[1], q->shape.dims[2], k->shape.dims[2],
                                  in + FIRST_MASK, &attr))
    return NULL;
  attr.f[0] = scale;
  return fm_node_new (g, &attention_op, in, G_N_ELEMENTS (in), &attr);
}

FmTensor *
fm_attention_core (FmGraph *g, FmTensor *q, FmTensor *k, FmTensor *v, gdouble scale, const FmAttentionMask *mask)
{
  FM_REFUSE_NULL (g, "attention core", q, k, v);
  FmNode *node = attention_node (g, q, k, v, scale, mask);

  return node ? fm_transpose (g, node->out[0], 1, 2) : g->poison;
}

FmAttentionPartial
fm_attention_partial (FmGraph *g, FmTensor *q, FmTensor *k, FmTensor *v, gdouble scale, const FmAttentionMask *mask)
{
  FmNode *node = attention_node (g, q, k, v, scale, mask);
  FmAttentionPartial part = { g->poison, g->poison, g->poison };

  if (node)
    {
      part.l = fm_less (g, node->out[1], fm_constant (g, FM_F32, FM_SHAPE (1), FM_ATTENTION_BLIND / 2));
      part.m = fm_where (g, part.l, node->out[1], fm_constant (g, FM_F32, FM_SHAPE (1), -1e30));
      part.o = fm_transpose (g, node->out[0], 1, 2);
    }
  return part;
}

static FmTensor *
column_of (FmGraph *g, FmTensor *x)
{
  FmShape s = x->shape;

  return fm_reshape (g, x, FM_SHAPE (s.dims[0], s.dims[1], s.dims[2], 1));
}

FmAttentionPartial
fm_attention_merge (FmGraph *g, const FmAttentionPartial *parts, guint n)
{
  FmAttentionPartial all = { g->poison, g->poison, g->poison };

  if (fm_graph_failed (g))
    return all;
  if (n == 0)
    {
      fm_graph_fail (g, "attention-merge", "no parts; wants one at least");
      return all;
    }
  all.m = parts[0].m;
  for (guint i = 1; i < n; i++)
    all.m = fm_maximum (g, all.m, parts[i].m);
  all.m = fm_stop_gradient (g, all.m); /* any number near it gives the same result */
  for (guint i = 0; i < n && !fm_graph_failed (g); i++)
    {
      FmTensor *weight = fm_exp (g, fm_sub (g, parts[i].m, all.m));
      FmTensor *l = fm_mul (g, weight, parts[i].l), *o = fm_mul (g, column_of (g, weight), parts[i].o);

      all.l = i == 0 ? l : fm_add (g, all.l, l);
      all.o = i == 0 ? o : fm_add (g, all.o, o);
    }
  return all;
}

FmTensor *
fm_attention_finish (FmGraph *g, const FmAttentionPartial *part)
{
  FmTensor *l;

  FM_REFUSE_NULL (g, "attention-finish", part ? part->m : NULL, part ? part->l : NULL, part ? part->o : NULL);
  l = column_of (g, part->l);
  /* A query that saw nothing has o = 0 and l = 0. */
  return fm_div (g, part->o, fm_where (g, fm_less (g, fm_constant (g, FM_F32, FM_SHAPE (1), 0.0), l), l,
                                       fm_constant (g, FM_F32, FM_SHAPE (1), 1.0)));
}
