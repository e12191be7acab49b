/* reformer.c: attention among tokens of one hash bucket, found by sorting.
 * Source: Kitaev, Kaiser, Levskaya, "Reformer: The Efficient Transformer", 2020, arXiv:2001.04451, section 2: shared queries and
 * keys, hashing by random rotations, chunks of the sorted order, several rounds, causal masking.
 * Shapes: x [B,N,D]; q (also the keys, scaled to length 1) and v [B,H,N,d] with d = D/H; n chunks of c tokens; a chunk meets
 * itself and the one before it, so scores are [c,2c] for each of the B H n chunks.
 * Differs: rotations are drawn from (seed, path), once a model, head and round, where the paper draws at every step. The length
 * of a chunk is a parameter, not a share of the text. A pair that meets in several rounds counts in each, as in the released
 * code. A token sees itself only where nothing else is in reach (a term of -1e5), as in the paper.
 * Causal: no later token is read, but where chunks end depends on all tokens, so a later one can move what is in reach of an
 * earlier one. That is the paper's own form; a single chunk, which is not
 * sorted, is free of it. */
#include "plugin.h"

#include <math.h>

typedef struct
{
  gint64 heads;
  gint64 buckets;
  gint64 chunk;
  gint64 rounds;
} Params;

static const FmParam params[] = {
  FM_PARAM_INT (Params, heads, 4, 1, 1024, "heads", "Must divide the model width"),
  FM_PARAM_INT (Params, buckets, 16, 2, 1 << 16, "buckets", "Even; an odd number has one fewer"),
  FM_PARAM_INT (Params, chunk, 16, 1, 1 << 20, "tokens", "Length of a chunk, at most the text; it is filled up to whole ones"),
  FM_PARAM_INT (Params, rounds, 2, 1, 32, "rounds", "Hashes; more find more of what is near"),
  FM_PARAM_END
};

enum { ATTENTION };
static const FmProbe probes[] = {
  [ATTENTION] = { "attention", "batch,head,query,key", "Weights over all rounds; zero where two tokens never met" },
  FM_PROBE_END
};

#define SELF -1e5 /* of the scores: smaller than any other that is seen */

typedef struct
{
  gint64 B, H, N, d, c, n, full; /* full: n c, of which N are tokens */
} Sizes;

/* One round: where each token of the sorted order stood, and what pairs of a chunk see. */
typedef struct
{
  FmTensor *order; /* i32 [B,H,full] */
  FmTensor *bias;  /* f32 [B H n,1,c,2c] */
} Round;

/* A chunk's rows and those of the chunk before it (of the first: of the last): [B,H,n,c,w] -> [B,H,n,2c,w] */
static FmTensor *
with_before (FmGraph *g, FmTensor *x)
{
  return fm_concat (g, (FmTensor *[]){ fm_roll (g, x, 2, 1), x }, 2, 3);
}

/* [B,H,full,w] in the sorted order, by chunk */
static FmTensor *
chunks (FmGraph *g, const Sizes *s, FmTensor *x, FmTensor *order)
{
  return fm_reshape (g, fm_gather (g, x, 2, order), FM_SHAPE (s->B, s->H, s->n, s->c, fm_tensor_get_dim (x, 3)));
}

/* f32 [B,H,full]: 1 where a token is. */
static FmTensor *
present (FmGraph *g, const FmBuild *b, const Sizes *s)
{
  FmTensor *place = fm_reshape (g, fm_cast (g, fm_iota (g, s->full), FM_F32), FM_SHAPE (1, 1, s->full));
  FmTensor *end = fm_constant (g, FM_F32, FM_SHAPE (s->B, 1, 1), (gdouble) s->N);

  if (b->lengths)
    end = fm_reshape (g, fm_cast (g, b->lengths, FM_F32), FM_SHAPE (s->B, 1, 1));
  return fm_contiguous (g, fm_expand (g, fm_less (g, place, end), FM_SHAPE (s->B, s->H, s->full)));
}

static Round
hash (FmGraph *g, const FmBuild *b, const Sizes *s, FmTensor *q, FmTensor *there, gint64 round)
{
  const Params *p = b->params;
  g_autofree char *name = g_strdup_printf ("rotations.%" G_GINT64_FORMAT, round);
  FmTensor *hide = fm_constant (g, FM_F32, FM_SHAPE (1), -INFINITY);
  FmTensor *rotations = fm_state (g, name, FM_F32, FM_SHAPE (s->H, s->d, p->buckets / 2), fm_init_normal (1.0));
  FmTensor *turned = fm_matmul (g, fm_stop_gradient (g, q), rotations, 0), *bucket, *place, *seen, *row, *column;
  Round r;

  turned = fm_concat (g, (FmTensor *[]){ turned, fm_neg (g, turned) }, 2, 3);
  bucket = fm_cast (g, fm_argmax (g, turned, 3), FM_F32);
  bucket = fm_where (g, there, bucket, fm_constant (g, FM_F32, FM_SHAPE (1), (gdouble) p->buckets)); /* behind all others */
  if (s->n == 1)
    r.order = fm_contiguous (g, fm_expand (g, fm_reshape (g, fm_iota (g, s->full), FM_SHAPE (1, 1, s->full)),
                                           FM_SHAPE (s->B, s->H, s->full)));
  else
    r.order = fm_argsort (g, bucket, FALSE); /* stable: by bucket, then by place */

  place = fm_cast (g, fm_iota (g, s->full), FM_F32);
  place = fm_contiguous (g, fm_expand (g, fm_reshape (g, place, FM_SHAPE (1, 1, s->full, 1)), FM_SHAPE (s->B, s->H, s->full, 1)));
  bucket = fm_reshape (g, bucket, FM_SHAPE (s->B, s->H, s->full, 1));
  bucket = chunks (g, s, bucket, r.order); /* [B,H,n,c,1] */
  place = chunks (g, s, place, r.order);
  seen = fm_equal (g, bucket, fm_transpose (g, with_before (g, bucket), 3, 4));
  row = place;
  column = fm_transpose (g, with_before (g, place), 3, 4);
  if (b->causal)
    seen = fm_mul (g, seen, fm_less_equal (g, column, row));
  if (s->n == 1) /* the chunk before is the chunk itself: once is enough */
    seen = fm_mul (g, seen, fm_less (g, fm_constant (g, FM_F32, FM_SHAPE (1), (gdouble) s->c - 0.5),
                                     fm_cast (g, fm_iota (g, 2 * s->c), FM_F32)));
  r.bias = fm_where (g, seen, fm_mul_scalar (g, fm_equal (g, row, column), SELF), hide);
  r.bias = fm_reshape (g, r.bias, FM_SHAPE (s->B * s->H * s->n, 1, s->c, 2 * s->c));
  return r;
}

/* Rows of [B,H,full,w] back to where they stood. */
static FmTensor *
unsorted (FmGraph *g, FmTensor *x, FmTensor *order)
{
  return fm_gather (g, x, 2, fm_inverse_permutation (g, order));
}

/* Weights [B H n,1,c,2c] of a round, times its share [B,H,N], at their places: [B,H,N,N] */
static FmTensor *
spread (FmGraph *g, const Sizes *s, FmTensor *weights, const Round *r, FmTensor *share)
{
  FmTensor *index = fm_reshape (g, r->order, FM_SHAPE (s->B, s->H, s->n, s->c)), *rows, *both;

  both = fm_concat (g, (FmTensor *[]){ fm_roll (g, index, 2, 1), index }, 2, 3); /* keys of each chunk */
  both = fm_reshape (g, fm_contiguous (g, fm_expand (g, fm_reshape (g, both, FM_SHAPE (s->B, s->H, s->n, 1, 2 * s->c)),
                                                     FM_SHAPE (s->B, s->H, s->n, s->c, 2 * s->c))),
                     FM_SHAPE (s->B, s->H, s->full, 2 * s->c));
  rows = fm_scatter_add (g, fm_reshape (g, weights, FM_SHAPE (s->B, s->H, s->full, 2 * s->c)), 3, both, s->full);
  rows = fm_slice (g, fm_slice (g, unsorted (g, rows, r->order), 2, 0, s->N), 3, 0, s->N);
  return fm_mul (g, rows, fm_reshape (g, share, FM_SHAPE (s->B, s->H, s->N, 1)));
}

static FmTensor *
build (FmGraph *g, const FmBuild *b, FmTensor *x)
{
  const Params *p = b->params;
  Sizes s = { .B = b->batch, .H = p->heads, .N = b->length, .c = MIN (p->chunk, b->length) };
  FmTensor *q, *k, *v, *there, *y, *maps[32] = { NULL };
  FmAttentionPartial parts[32], all;
  Round rounds[32];
  gdouble scale;

  if (b->width % p->heads != 0)
    return fm_graph_fail (g, "heads", "%" G_GINT64_FORMAT " does not divide width %" G_GINT64_FORMAT, p->heads, b->width);
  s.d = b->width / s.H;
  s.n = (s.N + s.c - 1) / s.c;
  s.full = s.n * s.c;
  scale = 1.0 / sqrt ((gdouble) s.d);
  q = fm_pad (g, fm_split_heads (g, fm_linear (g, x, b->width, "q"), s.H), 2, 0, s.full - s.N);
  v = fm_pad (g, fm_split_heads (g, fm_linear (g, x, b->width, "v"), s.H), 2, 0, s.full - s.N);
  k = fm_l2_normalize (g, q, 1e-6);
  there = present (g, b, &s);

  for (gint64 i = 0; i < p->rounds; i++)
    {
      gint64 m = s.B * s.H * s.n;
      FmAttentionMask mask = { 0 };
      FmTensor *rq, *rk, *rv;

      rounds[i] = hash (g, b, &s, q, there, i);
      mask.bias = rounds[i].bias;
      rq = fm_reshape (g, chunks (g, &s, q, rounds[i].order), FM_SHAPE (m, 1, s.c, s.d));
      rk = fm_reshape (g, with_before (g, chunks (g, &s, k, rounds[i].order)), FM_SHAPE (m, 1, 2 * s.c, s.d));
      rv = fm_reshape (g, with_before (g, chunks (g, &s, v, rounds[i].order)), FM_SHAPE (m, 1, 2 * s.c, s.d));
      parts[i] = fm_attention_partial (g, rq, rk, rv, scale, &mask);
      parts[i].m = unsorted (g, fm_reshape (g, parts[i].m, FM_SHAPE (s.B, s.H, s.full)), rounds[i].order);
      parts[i].l = unsorted (g, fm_reshape (g, parts[i].l, FM_SHAPE (s.B, s.H, s.full)), rounds[i].order);
      parts[i].o = unsorted (g, fm_reshape (g, parts[i].o, FM_SHAPE (s.B, s.H, s.full, s.d)), rounds[i].order);
      if (fm_probe_is_open (b, ATTENTION))
        maps[i] = fm_attention_map (g, rq, rk, scale, &mask);
    }
  all = fm_attention_merge (g, parts, (guint) p->rounds);
  y = fm_slice (g, fm_attention_finish (g, &all), 2, 0, s.N);

  if (fm_probe_is_open (b, ATTENTION))
    {
      FmTensor *map = NULL;

      for (gint64 i = 0; i < p->rounds; i++)
        {
          FmTensor *share = fm_mul (g, parts[i].l, fm_exp (g, fm_sub (g, parts[i].m, all.m)));

          share = fm_slice (g, fm_div (g, share, all.l), 2, 0, s.N);
          share = spread (g, &s, maps[i], &rounds[i], share);
          map = map ? fm_add (g, map, share) : share;
        }
      fm_probe_set (b, ATTENTION, map);
    }
  return fm_linear (g, fm_merge_heads (g, y), b->width, "out");
}

FM_PLUGIN_DEFINE (.id = "reformer", .title = "Reformer",
  .summary = "Queries that are also the keys are hashed so that near ones fall into one bucket, sorted by bucket and cut into "
             "chunks, each of which sees itself and the one before. Cost grows with the length, but for sorting.",
  .paper = { "Kitaev, Kaiser, Levskaya", 2020, "2001.04451" },
  .complexity = "O(N r c D + r N log N)", .role = FM_ROLE_MIXER,
  .caps = FM_CAP_BIDIRECTIONAL | FM_CAP_CAUSAL | FM_CAP_RAGGED,
  .params = params, .params_size = sizeof (Params), .probes = probes, .build = build);
