/* attention-uses.c: not an op: what is made of attention and other ops: terms by distance (ALiBi, T5), a subset of keys,
 * parts of a long cache. */
#include "config.h"

#include "attention.h"

#include <math.h>

static FmTensor *
number (FmGraph *g, FmType type, gdouble value)
{
  return fm_constant (g, type, FM_SHAPE (1), value);
}

#define MOST_POSITIONS (1 << 24) /* which f32 counts exactly */

/* i32 [Nq+Nk-1]: position of the query less that of the key, in the order of FmAttentionMask's distance terms. */
static FmTensor *
distances (FmGraph *g, gint64 n_query, gint64 n_key, gboolean causal)
{
  gint64 offset = causal ? n_key - n_query : 0;

  return fm_sub (g, fm_iota (g, n_query + n_key - 1), number (g, FM_I32, (gdouble) (n_key - 1 - offset)));
}

FmTensor *
fm_attention_alibi (FmGraph *g, FmTensor *slopes, gint64 heads, gint64 n_query, gint64 n_key, gboolean causal)
{
  FmTensor *distance;

  if (fm_graph_failed (g))
    return g->poison;
  if (n_query < 1 || n_key < 1 || heads < 1 || n_query > MOST_POSITIONS || n_key > MOST_POSITIONS
      || (slopes && (slopes->type != FM_F32 || slopes->shape.rank != 1 || slopes->shape.dims[0] != heads)))
    return fm_graph_fail (g, "alibi", "wants at least one head, 1 to %d queries and keys, and slopes f32 [H]",
                          MOST_POSITIONS);
  if (slopes == NULL) /* 2^(-8 (h + 1) / H) */
    slopes = fm_exp (g, fm_mul_scalar (g, fm_add_scalar (g, fm_cast (g, fm_iota (g, heads), FM_F32), 1.0),
                                       -8.0 * G_LN2 / (gdouble) heads));
  distance = fm_neg (g, fm_abs (g, fm_cast (g, distances (g, n_query, n_key, causal), FM_F32)));
  return fm_mul (g, fm_reshape (g, slopes, FM_SHAPE (heads, 1)), distance);
}

/* The smallest distance of log-spaced bucket @k of @buckets, of which the first half are one distance each. */
static gint64
bucket_start (gint64 k, gint64 buckets, gint64 max_distance)
{
  gint64 exact = buckets / 2;

  for (gint64 n = exact; n < max_distance; n++)
    if (exact + (gint64) (log ((gdouble) n / exact) / log ((gdouble) max_distance / exact) * (buckets - exact)) >= k)
      return n;
  return max_distance;
}

#define MOST_BUCKETS 1024 /* each is a node or two; 32 are usual */

FmTensor *
fm_attention_buckets (FmGraph *g, FmTensor *table, gint64 n_query, gint64 n_key, gboolean causal, gint64 max_distance)
{
  FM_REFUSE_NULL (g, "attention buckets", table);
  FmTensor *d, *size, *bucket;
  gint64 buckets;

  if (fm_graph_failed (g))
    return g->poison;
  if (table->type != FM_F32 || table->shape.rank != 2 || n_query < 1 || n_key < 1 || n_query > MOST_POSITIONS
      || n_key > MOST_POSITIONS)
    return fm_graph_fail (g, "buckets", "wants a table f32 [buckets,H], and 1 to %d queries and keys", MOST_POSITIONS);
  buckets = causal ? table->shape.dims[0] : table->shape.dims[0] / 2; /* of one direction */
  if (buckets < 2 || buckets > MOST_BUCKETS || (!causal && table->shape.dims[0] % 2 != 0) || max_distance <= buckets / 2)
    return fm_graph_fail (g, "buckets", "%" G_GINT64_FORMAT " buckets up to distance %" G_GINT64_FORMAT "; wants 2 to "
                          "%d a direction, and a distance beyond those of one step", table->shape.dims[0],
                          max_distance, MOST_BUCKETS);
  d = distances (g, n_query, n_key, causal);
  size = fm_cast (g, d, FM_F32);
  size = causal ? fm_maximum (g, size, number (g, FM_F32, 0.0)) : fm_abs (g, size);
  bucket = fm_minimum (g, size, number (g, FM_F32, (gdouble) (buckets / 2)));
  for (gint64 k = buckets / 2 + 1; k < buckets; k++)
    bucket = fm_add (g, bucket, fm_less_equal (g, number (g, FM_F32, (gdouble) bucket_start (k, buckets, max_distance)),
                                               size));
  if (!causal) /* keys after the query have the second half */
    bucket = fm_add (g, bucket, fm_mul_scalar (g, fm_less (g, d, number (g, FM_I32, 0.0)), (gdouble) buckets));
  return fm_transpose (g, fm_gather_rows (g, table, fm_cast (g, bucket, FM_I32)), 0, 1);
}

/* Rows of x [B,Hk,N,d] at index [B,Hk,K]: [B,Hk,K,d]; zeros at a negative index. */
static FmTensor *
pick_rows (FmGraph *g, FmTensor *x, FmTensor *index)
{
  gint64 b = x->shape.dims[0], h = x->shape.dims[1], n = x->shape.dims[2], d = x->shape.dims[3];
  FmTensor *base = fm_mul (g, fm_iota (g, b * h), number (g, FM_I32, (gdouble) n));
  FmTensor *inside, *at = fm_add (g, index, fm_reshape (g, base, FM_SHAPE (b, h, 1)));

  inside = fm_mul (g, fm_less_equal (g, number (g, FM_I32, 0.0), index),
                   fm_less (g, index, number (g, FM_I32, (gdouble) n)));
  at = fm_cast (g, fm_where (g, inside, fm_cast (g, at, FM_F32), number (g, FM_F32, -1.0)), FM_I32);
  return fm_gather_rows (g, fm_reshape (g, x, FM_SHAPE (b * h * n, d)), at);
}

FmTensor *
fm_attention_subset (FmGraph *g, FmTensor *q, FmTensor *k, FmTensor *v, FmTensor *index, gdouble scale, gboolean causal)
{
  FM_REFUSE_NULL (g, "attention subset", q, k, v, index);
  FmAttentionMask mask = { 0 };
  gint64 b, h, hk, n, nk, chosen;
  FmTensor *visible, *position;

  if (fm_graph_failed (g) || !fm_attention_heads_are_sound (g, q, k, v))
    return g->poison;
  b = q->shape.dims[0];
  h = q->shape.dims[1];
  n = q->shape.dims[2];
  hk = k->shape.dims[1];
  nk = k->shape.dims[2];
  if (index->type != FM_I32 || index->shape.rank != 3 || index->shape.dims[0] != b || index->shape.dims[1] != hk)
    return fm_graph_fail (g, "attention-subset", "wants an index i32 [B,Hk,K] of keys");
  if (b * hk * nk >= 1 << 24)
    return fm_graph_fail (g, "attention-subset", "of %" G_GINT64_FORMAT " keys in all; wants fewer than 2^24, the numbers "
                          "that f32 holds exactly", b * hk * nk);
  chosen = index->shape.dims[2];
  visible = fm_reshape (g, fm_less_equal (g, number (g, FM_I32, 0.0), index), FM_SHAPE (b, hk, 1, 1, chosen));
  visible = fm_mul (g, visible, fm_reshape (g, fm_less (g, index, number (g, FM_I32, (gdouble) nk)),
                                            FM_SHAPE (b, hk, 1, 1, chosen)));
  if (causal)
    {
      position = fm_add (g, fm_iota (g, n), number (g, FM_I32, (gdouble) (nk - n)));
      visible = fm_mul (g, visible, fm_less_equal (g, fm_reshape (g, index, FM_SHAPE (b, hk, 1, 1, chosen)),
                                                   fm_reshape (g, position, FM_SHAPE (1, 1, 1, n, 1))));
    }
  visible = fm_where (g, visible, number (g, FM_F32, 0.0), number (g, FM_F32, -INFINITY));
  visible = fm_expand (g, visible, FM_SHAPE (b, hk, h / hk, n, chosen));
  mask.bias = fm_reshape (g, visible, FM_SHAPE (b, h, n, chosen));
  return fm_attention_core (g, q, pick_rows (g, k, index), pick_rows (g, v, index), scale, &mask);
}

FmTensor *
fm_attention_split (FmGraph *g, FmTensor *q, FmTensor *k, FmTensor *v, gdouble scale, FmTensor *key_lengths,
                    guint n_parts)
{
  g_autofree FmAttentionPartial *parts = NULL;
  FmAttentionPartial all;
  gint64 n, size;

  FM_REFUSE_NULL (g, "attention-split", q, k, v);
  if (!fm_attention_heads_are_sound (g, q, k, v))
    return g->poison;
  n = k->shape.dims[2];
  if (n_parts < 1 || n_parts > n)
    return fm_graph_fail (g, "attention-split", "%u parts of %" G_GINT64_FORMAT " keys; wants a key a part at least",
                          n_parts, n);
  size = (n + n_parts - 1) / n_parts;
  n_parts = (guint) ((n + size - 1) / size);
  parts = g_new0 (FmAttentionPartial, n_parts);
  for (guint i = 0; i < n_parts; i++)
    {
      gint64 from = i * size, length = MIN (size, n - from);
      FmAttentionMask mask = { 0 };

      if (key_lengths)
        mask.key_lengths = fm_sub (g, key_lengths, number (g, FM_I32, (gdouble) from));
      parts[i] = fm_attention_partial (g, q, fm_slice (g, k, 2, from, length), fm_slice (g, v, 2, from, length), scale,
                                       &mask);
    }
  all = fm_attention_merge (g, parts, n_parts);
  return fm_attention_finish (g, &all);
}
