/* sparse-strided.c: a token sees its neighbours and every l-th token.
 * Source: Child et al., "Generating Long Sequences with Sparse Transformers", 2019, arXiv:1904.10509, section 4.3, the strided
 * pattern; every head has the union of its two parts.
 * Shapes: x [B,N,D]; q, k, v [B,H,N,d] with d = D/H.
 * Differs: neighbours lie less than l away, so that no key is counted twice; without a causal mask, to both sides. Both
 * parts are attended to apart and merged by their log-sum-exp. */
#include "plugin.h"

#include <math.h>

typedef struct
{
  gint64 heads;
  gint64 stride;
} Params;

static const FmParam params[] = {
  FM_PARAM_INT (Params, heads, 4, 1, 1024, "heads", "Must divide the model width"),
  FM_PARAM_INT (Params, stride, 16, 1, 1 << 20, "tokens", "Neighbours nearer than this and every token at a multiple of it "
                                                          "are seen"),
  FM_PARAM_END
};

enum { ATTENTION };
static const FmProbe probes[] = {
  [ATTENTION] = { "attention", "batch,head,query,key", "Softmax weights; zero where a token cannot see" },
  FM_PROBE_END
};

/* Terms by distance that hide the token itself, [1,2N-1]: it is among the strided ones. */
static FmTensor *
others (FmGraph *g, gint64 N)
{
  FmTensor *at = fm_cast (g, fm_iota (g, 2 * N - 1), FM_F32);
  FmTensor *self = fm_equal (g, at, fm_constant (g, FM_F32, FM_SHAPE (1), (gdouble) (N - 1)));

  return fm_reshape (g, fm_where (g, self, fm_constant (g, FM_F32, FM_SHAPE (1), -INFINITY),
                                  fm_constant (g, FM_F32, FM_SHAPE (1), 0.0)), FM_SHAPE (1, 2 * N - 1));
}

static FmTensor *
build (FmGraph *g, const FmBuild *b, FmTensor *x)
{
  const Params *p = b->params;
  FmAttentionMask far = { .causal = b->causal, .dilation = p->stride, .key_lengths = b->lengths };
  FmAttentionMask near = { .causal = b->causal, .window = p->stride - 1, .key_lengths = b->lengths };
  FmAttentionPartial parts[2];
  FmTensor *q, *k, *v, *y;
  gdouble scale;

  if (b->width % p->heads != 0)
    return fm_graph_fail (g, "heads", "%" G_GINT64_FORMAT " does not divide width %" G_GINT64_FORMAT, p->heads, b->width);
  scale = 1.0 / sqrt ((gdouble) (b->width / p->heads));
  q = fm_split_heads (g, fm_linear (g, x, b->width, "q"), p->heads);
  k = fm_split_heads (g, fm_linear (g, x, b->width, "k"), p->heads);
  v = fm_split_heads (g, fm_linear (g, x, b->width, "v"), p->heads);
  parts[0] = fm_attention_partial (g, q, k, v, scale, &far);
  if (p->stride > 1) /* a stride of 1 reaches every token */
    {
      near.distance = others (g, b->length);
      parts[1] = fm_attention_partial (g, q, k, v, scale, &near);
      parts[0] = fm_attention_merge (g, parts, 2);
    }
  y = fm_attention_finish (g, parts);

  if (fm_probe_is_open (b, ATTENTION))
    {
      FmTensor *seen = fm_attention_mask_tensor (g, b->length, b->length, &far);

      near.distance = NULL;
      if (p->stride > 1)
        seen = fm_maximum (g, seen, fm_attention_mask_tensor (g, b->length, b->length, &near));
      fm_probe_set (b, ATTENTION, fm_masked_softmax (g, fm_matmul (g, q, k, FM_TRANS_B), seen, scale));
    }
  return fm_linear (g, fm_merge_heads (g, y), b->width, "out");
}

FM_PLUGIN_DEFINE (.id = "sparse-strided", .title = "Sparse Transformer, strided",
  .summary = "A token sees its neighbours and every l-th token before and after. With a stride of the root of the text, cost "
             "grows with its power of one and a half.",
  .paper = { "Child, Gray, Radford, Sutskever", 2019, "1904.10509" },
  .complexity = "O(N (l + N / l) D)", .role = FM_ROLE_MIXER,
  .caps = FM_CAP_BIDIRECTIONAL | FM_CAP_CAUSAL | FM_CAP_RAGGED,
  .params = params, .params_size = sizeof (Params), .probes = probes, .build = build);
