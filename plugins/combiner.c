/* combiner.c: every token gets weight: those of the own span one by one, those of other spans through a summary of the span.
 * Source: Ren et al., "Combiner: Full Attention Transformer with Sparse Computation Cost", 2021, arXiv:2107.05768, section 3.2
 * (the factored probability, equations 5 and 6) and 4.1 (Combiner-Fixed).
 * Shapes: x [B,N,D]; q, k, v [B,H,N,d] with d = D/H; n spans of b tokens; summaries of spans [B,H,n,d].
 * Differs: a summary is the largest number of the span, coordinate by coordinate, or the mean; the paper tries a small network
 * as well. Without a causal mask the regions are all other spans, not the earlier ones. Direct tokens and regions share one
 * softmax, made of two parts merged by their log-sum-exp. */
#include "plugin.h"

#include <math.h>

typedef struct
{
  gint64 heads;
  gint64 span;
  gint64 summary;
} Params;

static const char * const summaries[] = { "max", "mean", NULL };
enum { MAXIMUM, MEAN };
static const FmParam params[] = {
  FM_PARAM_INT (Params, heads, 4, 1, 1024, "heads", "Must divide the model width"),
  FM_PARAM_INT (Params, span, 16, 1, 1 << 20, "tokens", "Length of a span, at most the text; it is filled up to whole ones"),
  FM_PARAM_CHOICE (Params, summary, summaries, "What stands for the queries and keys of a span"),
  FM_PARAM_END
};

enum { ATTENTION };
static const FmProbe probes[] = {
  [ATTENTION] = { "attention", "batch,head,query,key", "Weight of a token, directly or as its share of a span's" },
  FM_PROBE_END
};

typedef struct
{
  gint64 B, H, N, d, w, n, full; /* full: n w, of which N are tokens */
} Sizes;

static FmTensor *
number (FmGraph *g, gdouble x)
{
  return fm_constant (g, FM_F32, FM_SHAPE (1), x);
}

/* f32 [B,1,n,w,1]: 1 where a token is. */
static FmTensor *
present (FmGraph *g, const FmBuild *b, const Sizes *s)
{
  FmTensor *place = fm_reshape (g, fm_cast (g, fm_iota (g, s->full), FM_F32), FM_SHAPE (1, 1, s->n, s->w, 1));
  FmTensor *end = fm_constant (g, FM_F32, FM_SHAPE (s->B, 1, 1, 1, 1), (gdouble) s->N);

  if (b->lengths)
    end = fm_reshape (g, fm_cast (g, b->lengths, FM_F32), FM_SHAPE (s->B, 1, 1, 1, 1));
  return fm_less (g, place, end);
}

static FmTensor *
by_span (FmGraph *g, const Sizes *s, FmTensor *x)
{
  return fm_reshape (g, fm_pad (g, x, 2, 0, s->full - s->N), FM_SHAPE (s->B, s->H, s->n, s->w, s->d));
}

/* [B,H,n,w,d] -> [B,H,n,d] over the tokens that are there; 0 where there is none. */
static FmTensor *
summed_up (FmGraph *g, const Params *p, FmTensor *x, FmTensor *there)
{
  FmTensor *some = fm_max (g, there, 3); /* [B,1,n,1] */

  if (p->summary == MEAN)
    return fm_div (g, fm_sum (g, fm_mul (g, x, there), 3), fm_maximum (g, fm_sum (g, there, 3), number (g, 1.0)));
  return fm_where (g, some, fm_max (g, fm_where (g, there, x, number (g, -1e30)), 3), number (g, 0.0));
}

/* What is added to the scores of tokens and spans, [1,1,N,n]: the own span is no region, nor are later ones if causal. */
static FmTensor *
regions (FmGraph *g, const Sizes *s, gboolean causal)
{
  FmTensor *span = fm_cast (g, fm_iota (g, s->n), FM_F32), *own, *seen;

  own = fm_contiguous (g, fm_expand (g, fm_reshape (g, span, FM_SHAPE (s->n, 1)), FM_SHAPE (s->n, s->w)));
  own = fm_slice (g, fm_reshape (g, own, FM_SHAPE (s->full, 1)), 0, 0, s->N);
  seen = causal ? fm_less (g, span, own) : fm_not_equal (g, span, own);
  return fm_reshape (g, fm_where (g, seen, number (g, 0.0), number (g, -INFINITY)), FM_SHAPE (1, 1, s->N, s->n));
}

static FmTensor *
build (FmGraph *g, const FmBuild *b, FmTensor *x)
{
  const Params *p = b->params;
  Sizes s = { .B = b->batch, .H = p->heads, .N = b->length, .w = MIN (p->span, b->length) };
  FmAttentionMask near = { .causal = b->causal, .key_lengths = b->lengths }, far = { 0 }, inside = { 0 };
  FmTensor *q, *k, *v, *there, *span_q, *span_k, *region_q, *region_k, *region_v, *y;
  FmAttentionPartial parts[2], all;
  gdouble scale;

  if (b->width % p->heads != 0)
    return fm_graph_fail (g, "heads", "%" G_GINT64_FORMAT " does not divide width %" G_GINT64_FORMAT, p->heads, b->width);
  s.d = b->width / s.H;
  s.n = (s.N + s.w - 1) / s.w;
  s.full = s.n * s.w;
  scale = 1.0 / sqrt ((gdouble) s.d);
  q = fm_split_heads (g, fm_linear (g, x, b->width, "q"), s.H);
  k = fm_split_heads (g, fm_linear (g, x, b->width, "k"), s.H);
  v = fm_split_heads (g, fm_linear (g, x, b->width, "v"), s.H);

  /* p(j|R): the span's summary asks its own tokens. */
  there = present (g, b, &s);
  span_q = by_span (g, &s, q);
  span_k = by_span (g, &s, k);
  region_q = summed_up (g, p, span_q, there);
  region_k = summed_up (g, p, span_k, there);
  inside.bias = fm_where (g, fm_expand (g, there, FM_SHAPE (s.B, s.H, s.n, s.w, 1)), number (g, 0.0), number (g, -INFINITY));
  inside.bias = fm_reshape (g, fm_contiguous (g, inside.bias), FM_SHAPE (s.B * s.H * s.n, 1, 1, s.w));
  region_q = fm_reshape (g, region_q, FM_SHAPE (s.B * s.H * s.n, 1, 1, s.d));
  span_k = fm_reshape (g, span_k, FM_SHAPE (s.B * s.H * s.n, 1, s.w, s.d));
  region_v = fm_attention (g, "inside", region_q, span_k,
                           fm_reshape (g, by_span (g, &s, v), FM_SHAPE (s.B * s.H * s.n, 1, s.w, s.d)), scale, &inside);
  region_v = fm_reshape (g, region_v, FM_SHAPE (s.B, s.H, s.n, s.d));

  near.block = s.w;
  parts[0] = fm_attention_partial (g, q, k, v, scale, &near);
  far.bias = regions (g, &s, b->causal);
  if (b->lengths) /* spans that begin before the end */
    far.key_lengths = fm_cast (g, fm_reshape (g, fm_sum (g, fm_max (g, fm_reshape (g, there, FM_SHAPE (s.B, s.n, s.w)), 2), 1),
                                              FM_SHAPE (s.B)), FM_I32);
  parts[1] = fm_attention_partial (g, q, region_k, region_v, scale, &far);
  all = fm_attention_merge (g, parts, 2);
  y = fm_attention_finish (g, &all);

  if (fm_probe_is_open (b, ATTENTION))
    {
      FmTensor *maps[2], *share[2], *spread;

      spread = fm_attention_map (g, region_q, span_k, scale, &inside); /* [B H n,1,1,w] */
      spread = fm_reshape (g, spread, FM_SHAPE (s.B, s.H, 1, s.n, s.w));
      maps[0] = fm_attention_map (g, q, k, scale, &near);
      maps[1] = fm_reshape (g, fm_attention_map (g, q, region_k, scale, &far), FM_SHAPE (s.B, s.H, s.N, s.n, 1));
      maps[1] = fm_slice (g, fm_reshape (g, fm_mul (g, maps[1], spread), FM_SHAPE (s.B, s.H, s.N, s.full)), 3, 0, s.N);
      for (guint i = 0; i < 2; i++)
        {
          share[i] = fm_div (g, fm_mul (g, parts[i].l, fm_exp (g, fm_sub (g, parts[i].m, all.m))), all.l);
          maps[i] = fm_mul (g, maps[i], fm_reshape (g, share[i], FM_SHAPE (s.B, s.H, s.N, 1)));
        }
      fm_probe_set (b, ATTENTION, fm_add (g, maps[0], maps[1]));
    }
  return fm_linear (g, fm_merge_heads (g, y), b->width, "out");
}

FM_PLUGIN_DEFINE (.id = "combiner", .title = "Combiner",
  .summary = "Every token has weight, as in full attention: those of the own span directly, those of other spans as shares of "
             "their span's weight, which a summary of the span decides. With spans of the root of the text, cost grows with "
             "its power of one and a half.",
  .paper = { "Ren, Dai, Dai, Yang, Leskovec, Schuurmans, Dai", 2021, "2107.05768" },
  .complexity = "O(N (b + N / b) D)", .role = FM_ROLE_MIXER,
  .caps = FM_CAP_BIDIRECTIONAL | FM_CAP_CAUSAL | FM_CAP_RAGGED,
  .params = params, .params_size = sizeof (Params), .probes = probes, .build = build);
