/* sinkhorn.c: each block of tokens sees itself and a block that a soft permutation of all blocks mixes for it.
 * Source: Tay et al., "Sparse Sinkhorn Attention", 2020, arXiv:2002.11296, sections 3.1 (sorting), 3.2 (Gumbel-Sinkhorn), 3.4
 * (SortCut).
 * Shapes: x [B,N,D]; q, k, v [B,H,N,d] with d = D/H; n blocks of b tokens; order [B,H,n,n], each row and column of sum 1.
 * Differs: a block is summed before two linear maps with a relu between score it against the n places; the second map has a
 * row a place, so a model is of one length. The text is filled up to whole blocks: what is filled up, and padding, is zero
 * in keys and values that are mixed, and stays visible there (a mixed block has no edge); in a token's own block it is hidden.
 * Noise is added while training alone. Causal sorting is not offered. */
#include "plugin.h"

#include <math.h>

typedef struct
{
  gint64  heads;
  gint64  block;
  gint64  iterations;
  gdouble temperature;
  gdouble noise;
  gint64  softmax;
  gint64  cut;
} Params;

static const char * const softmaxes[] = { "one", "two", NULL };
enum { ONE, TWO };
static const FmParam params[] = {
  FM_PARAM_INT (Params, heads, 4, 1, 1024, "heads", "Must divide the model width"),
  FM_PARAM_INT (Params, block, 16, 1, 1 << 20, "tokens", "Length of a block, at most the text; it is filled up to whole ones"),
  FM_PARAM_INT (Params, iterations, 7, 1, 1000, "rounds", "Rows and columns are normalised so often"),
  FM_PARAM_DOUBLE (Params, temperature, 0.75, 0.01, 100.0, NULL, "Scores are divided by it; small: nearly a hard order"),
  FM_PARAM_DOUBLE (Params, noise, 1.0, 0.0, 10.0, NULL, "Of Gumbel noise on the scores, in training"),
  FM_PARAM_CHOICE (Params, softmax, softmaxes, "One softmax over both blocks, or one each, added"),
  FM_PARAM_INT (Params, cut, 0, 0, 1 << 20, "blocks", "SortCut: all tokens see the first sorted blocks alone; 0: off"),
  FM_PARAM_END
};

enum { ATTENTION, ORDER };
static const FmProbe probes[] = {
  [ATTENTION] = { "attention", "batch,head,query,key", "What a token takes of each value, own and mixed" },
  [ORDER] = { "assignment", "batch,head,query,key", "Soft order: the share of a token's block in its mixed one" },
  FM_PROBE_END
};

typedef struct
{
  gint64 B, H, N, n, w, d, full; /* full: n w, of which N are tokens */
} Sizes;

/* f32 [B,1,N filled up,1]: 1 where a token is. */
static FmTensor *
present (FmGraph *g, const FmBuild *b, const Sizes *s)
{
  FmTensor *place = fm_reshape (g, fm_cast (g, fm_iota (g, s->full), FM_F32), FM_SHAPE (1, 1, s->full, 1));
  FmTensor *end = fm_constant (g, FM_F32, FM_SHAPE (s->B, 1, 1, 1), (gdouble) s->N);

  if (b->lengths)
    end = fm_reshape (g, fm_cast (g, b->lengths, FM_F32), FM_SHAPE (s->B, 1, 1, 1));
  return fm_less (g, place, end);
}

/* [B,H,m,n]: shares of the blocks in each of the first m mixed ones. */
static FmTensor *
sorted (FmGraph *g, const FmBuild *b, const Sizes *s, FmTensor *k, gint64 m)
{
  const Params *p = b->params;
  FmTensor *sums = fm_sum (g, fm_reshape (g, k, FM_SHAPE (s->B, s->H, s->n, s->w, s->d)), 3), *scores, *noise;
  FmTensor *in = fm_param (g, "sort.in", FM_SHAPE (s->H, s->d, s->d), fm_init_normal (1.0 / sqrt ((gdouble) s->d)));
  FmTensor *out = fm_param (g, "sort.out", FM_SHAPE (s->H, s->d, s->n), fm_init_normal (1.0 / sqrt ((gdouble) s->d)));

  /* A sum of w tokens has w times the variance of one. */
  sums = fm_mul_scalar (g, sums, 1.0 / sqrt ((gdouble) s->w));
  scores = fm_matmul (g, fm_relu (g, fm_matmul (g, sums, in, 0)), out, 0); /* a block's row: its score for each place */
  if (b->mode == FM_MODE_TRAIN && p->noise > 0)
    {
      noise = fm_gumbel (g, "noise", FM_SHAPE (s->B, s->H, s->n, s->n));
      scores = fm_add (g, scores, fm_mul_scalar (g, noise, p->noise));
    }
  scores = fm_exp (g, fm_sinkhorn (g, fm_mul_scalar (g, scores, 1.0 / p->temperature), NULL, NULL, p->iterations));
  return fm_slice (g, fm_transpose (g, scores, 2, 3), 2, 0, m);
}

/* [B,H,N filled up,d] -> [B,H,m,w d] */
static FmTensor *
mixed (FmGraph *g, const Sizes *s, FmTensor *order, FmTensor *x)
{
  return fm_matmul (g, order, fm_reshape (g, x, FM_SHAPE (s->B, s->H, s->n, s->w * s->d)), 0);
}

static FmTensor *
by_block (FmGraph *g, const Sizes *s, FmTensor *x)
{
  return fm_reshape (g, x, FM_SHAPE (s->B * s->H * s->n, 1, s->w, s->d));
}

/* -inf for tokens that are not there, [B H n,1,w,own and mixed]; a mixed block is wholly seen. */
static FmTensor *
hidden (FmGraph *g, const Sizes *s, FmTensor *there, gboolean with_mixed)
{
  gint64 keys = with_mixed ? 2 * s->w : s->w;
  FmTensor *zero = fm_constant (g, FM_F32, FM_SHAPE (1), 0.0), *hide = fm_constant (g, FM_F32, FM_SHAPE (1), -INFINITY), *x;

  x = fm_contiguous (g, fm_expand (g, there, FM_SHAPE (s->B, s->H, s->full, 1)));
  x = fm_where (g, fm_reshape (g, x, FM_SHAPE (s->B * s->H * s->n, 1, 1, s->w)), zero, hide);
  if (with_mixed)
    x = fm_pad (g, x, 3, 0, s->w);
  return fm_expand (g, x, FM_SHAPE (s->B * s->H * s->n, 1, s->w, keys));
}

/* Weights of mixed tokens [B,H,m?,...] back to the tokens they are mixed of: [B,H,n,w,w] by place in the block, times the
 * order [B,H,n,n] -> [B,H,N,N filled up]. */
static FmTensor *
spread (FmGraph *g, const Sizes *s, FmTensor *weights, FmTensor *order)
{
  FmTensor *a = fm_reshape (g, weights, FM_SHAPE (s->B, s->H, s->n, s->w, 1, s->w));
  FmTensor *o = fm_reshape (g, order, FM_SHAPE (s->B, s->H, s->n, 1, s->n, 1));

  return fm_reshape (g, fm_mul (g, a, o), FM_SHAPE (s->B, s->H, s->full, s->full));
}

static FmTensor *
cut_to_text (FmGraph *g, const Sizes *s, FmTensor *map)
{
  return fm_slice (g, fm_slice (g, map, 2, 0, s->N), 3, 0, s->N);
}

/* [B,H,N,N]: the order by tokens: 1/w of its block's share each, so that rows have sum 1. */
static FmTensor *
order_by_token (FmGraph *g, const Sizes *s, FmTensor *order)
{
  FmTensor *even = fm_constant (g, FM_F32, FM_SHAPE (s->B * s->H * s->n, 1, s->w, s->w), 1.0 / (gdouble) s->w);

  return cut_to_text (g, s, spread (g, s, even, order));
}

/* A block's own weights on the diagonal of blocks. */
static FmTensor *
on_diagonal (FmGraph *g, const Sizes *s, FmTensor *weights)
{
  FmTensor *same = fm_one_hot (g, fm_iota (g, s->n), s->n);

  return spread (g, s, weights, fm_contiguous (g, fm_expand (g, fm_reshape (g, same, FM_SHAPE (1, 1, s->n, s->n)),
                                                             FM_SHAPE (s->B, s->H, s->n, s->n))));
}

static void
show (FmGraph *g, const FmBuild *b, const Sizes *s, FmTensor *q, FmTensor *k, FmTensor *mixed_k, FmTensor *there,
      FmTensor *order, gdouble scale)
{
  const Params *p = b->params;
  FmAttentionMask mask = { .bias = hidden (g, s, there, p->softmax == ONE) };
  FmTensor *own, *far, *map;

  if (p->softmax == ONE)
    {
      map = fm_attention_map (g, q, fm_concat (g, (FmTensor *[]){ k, mixed_k }, 2, 2), scale, &mask);
      own = fm_slice (g, map, 3, 0, s->w);
      far = fm_slice (g, map, 3, s->w, s->w);
    }
  else
    {
      own = fm_attention_map (g, q, k, scale, &mask);
      far = fm_attention_map (g, q, mixed_k, scale, NULL);
    }
  map = fm_add (g, on_diagonal (g, s, own), spread (g, s, far, order));
  fm_probe_set (b, ATTENTION, cut_to_text (g, s, map));
}

/* All tokens against the first sorted blocks. */
static FmTensor *
sort_cut (FmGraph *g, const FmBuild *b, const Sizes *s, FmTensor *q, FmTensor *k, FmTensor *v, gdouble scale)
{
  const Params *p = b->params;
  gint64 m = MIN (p->cut, s->n);
  FmTensor *order = sorted (g, b, s, k, m);
  FmTensor *keys = fm_reshape (g, mixed (g, s, order, k), FM_SHAPE (s->B, s->H, m * s->w, s->d));
  FmTensor *values = fm_reshape (g, mixed (g, s, order, v), FM_SHAPE (s->B, s->H, m * s->w, s->d));
  FmTensor *y = fm_attention (g, "attention", q, keys, values, scale, NULL);

  if (fm_probe_is_open (b, ATTENTION))
    {
      FmTensor *map = fm_reshape (g, fm_attention_map (g, q, keys, scale, NULL), FM_SHAPE (s->B, s->H, s->N, m, s->w));

      map = fm_matmul (g, fm_transpose (g, map, 3, 4), fm_reshape (g, order, FM_SHAPE (s->B, s->H, 1, m, s->n)), 0);
      map = fm_reshape (g, fm_transpose (g, map, 3, 4), FM_SHAPE (s->B, s->H, s->N, s->full));
      fm_probe_set (b, ATTENTION, fm_slice (g, map, 3, 0, s->N));
    }
  if (fm_probe_is_open (b, ORDER))
    fm_probe_set (b, ORDER, order_by_token (g, s, sorted (g, b, s, k, s->n)));
  return y;
}

static FmTensor *
build (FmGraph *g, const FmBuild *b, FmTensor *x)
{
  const Params *p = b->params;
  Sizes s = { .B = b->batch, .H = p->heads, .N = b->length, .w = MIN (p->block, b->length) };
  FmTensor *q, *k, *v, *there, *order, *mixed_k, *mixed_v, *y;
  FmAttentionMask mask = { 0 };
  gdouble scale;

  if (b->width % p->heads != 0)
    return fm_graph_fail (g, "heads", "%" G_GINT64_FORMAT " does not divide width %" G_GINT64_FORMAT, p->heads, b->width);
  s.d = b->width / s.H;
  s.n = (s.N + s.w - 1) / s.w;
  s.full = s.n * s.w;
  scale = 1.0 / sqrt ((gdouble) s.d);
  there = present (g, b, &s);
  q = fm_split_heads (g, fm_linear (g, x, b->width, "q"), s.H);
  k = fm_pad (g, fm_split_heads (g, fm_linear (g, x, b->width, "k"), s.H), 2, 0, s.full - s.N);
  v = fm_pad (g, fm_split_heads (g, fm_linear (g, x, b->width, "v"), s.H), 2, 0, s.full - s.N);
  k = fm_where (g, there, k, fm_constant (g, FM_F32, FM_SHAPE (1), 0.0));
  v = fm_where (g, there, v, fm_constant (g, FM_F32, FM_SHAPE (1), 0.0));
  if (p->cut > 0)
    return fm_linear (g, fm_merge_heads (g, sort_cut (g, b, &s, q, k, v, scale)), b->width, "out");

  q = by_block (g, &s, fm_pad (g, q, 2, 0, s.full - s.N));
  order = sorted (g, b, &s, k, s.n);
  mixed_k = by_block (g, &s, mixed (g, &s, order, k));
  mixed_v = by_block (g, &s, mixed (g, &s, order, v));
  k = by_block (g, &s, k);
  v = by_block (g, &s, v);
  mask.bias = hidden (g, &s, there, p->softmax == ONE);
  if (p->softmax == ONE)
    y = fm_attention (g, "attention", q, fm_concat (g, (FmTensor *[]){ k, mixed_k }, 2, 2),
                      fm_concat (g, (FmTensor *[]){ v, mixed_v }, 2, 2), scale, &mask);
  else
    y = fm_add (g, fm_attention (g, "attention", q, k, v, scale, &mask),
                fm_attention (g, "sorted", q, mixed_k, mixed_v, scale, NULL));
  y = fm_slice (g, fm_reshape (g, y, FM_SHAPE (s.B, s.H, s.full, s.d)), 2, 0, s.N);

  if (fm_probe_is_open (b, ATTENTION))
    show (g, b, &s, q, k, mixed_k, there, order, scale);
  if (fm_probe_is_open (b, ORDER))
    fm_probe_set (b, ORDER, order_by_token (g, &s, order));
  return fm_linear (g, fm_merge_heads (g, y), b->width, "out");
}

FM_PLUGIN_DEFINE (.id = "sinkhorn", .title = "Sinkhorn attention",
  .summary = "Sorts blocks of tokens softly, by a matrix whose rows and columns sum to one, so that each block sees itself and "
             "the one that was sorted to its place. Mixing the blocks costs the square of their number.",
  .paper = { "Tay, Bahri, Yang, Metzler, Juan", 2020, "2002.11296" },
  .complexity = "O(N b D + N^2 D / b)", .role = FM_ROLE_MIXER,
  .caps = FM_CAP_BIDIRECTIONAL | FM_CAP_RAGGED,
  .params = params, .params_size = sizeof (Params), .probes = probes, .build = build);
