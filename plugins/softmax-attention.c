/* softmax-attention.c: every token reads all tokens, weighted by the softmax of scaled products.
 * Source: Vaswani et al., "Attention Is All You Need", 2017, section 3.2.1, equation 1; grouped keys and values:
 * Ainslie et al., "GQA", 2023, arXiv:2305.13245, section 2.2.
 * Shapes: x [B,N,D]; q [B,H,N,d], k and v [B,Hk,M,d] with d = D/H, M = N or the context's length.
 * Differs: nothing; `causal` also follows the model's own setting. */
#include "plugin.h"

#include <math.h>

typedef struct
{
  gint64 heads;
  gint64 kv_heads;
  gint64 causal;
} Params;

static const FmParam params[] = {
  FM_PARAM_INT (Params, heads, 4, 1, 1024, "heads", "Must divide the model width"),
  FM_PARAM_INT (Params, kv_heads, 0, 0, 1024, "heads", "Heads of keys and values, dividing heads; 0 means as many as heads"),
  FM_PARAM_BOOL (Params, causal, FALSE, "A token sees itself and earlier ones only"),
  FM_PARAM_END
};

enum { ATTENTION };
static const FmProbe probes[] = {
  [ATTENTION] = { "attention", "batch,head,query,key", "Softmax weights" },
  FM_PROBE_END
};

static FmTensor *
build (FmGraph *g, const FmBuild *b, FmTensor *x)
{
  const Params *p = b->params;
  gint64 kv_heads = p->kv_heads ? p->kv_heads : p->heads, d;
  FmTensor *source = b->context ? b->context : x, *q, *k, *v, *y;
  FmAttentionMask mask = { .causal = (b->causal || p->causal) && b->context == NULL,
                           .key_lengths = b->context ? b->context_lengths : b->lengths };
  gdouble scale;

  if (b->width % p->heads != 0)
    return fm_graph_fail (g, "heads", "%" G_GINT64_FORMAT " does not divide width %" G_GINT64_FORMAT, p->heads, b->width);
  if (p->heads % kv_heads != 0)
    return fm_graph_fail (g, "kv-heads", "%" G_GINT64_FORMAT " does not divide heads %" G_GINT64_FORMAT, kv_heads, p->heads);
  d = b->width / p->heads;
  scale = 1.0 / sqrt ((gdouble) d);

  q = fm_split_heads (g, fm_linear (g, x, b->width, "q"), p->heads);
  k = fm_split_heads (g, fm_linear (g, source, kv_heads * d, "k"), kv_heads);
  v = fm_split_heads (g, fm_linear (g, source, kv_heads * d, "v"), kv_heads);
  y = fm_attention_cached (g, b, "attention", q, k, v, scale, &mask);

  if (fm_probe_is_open (b, ATTENTION))
    fm_probe_set (b, ATTENTION, fm_attention_map (g, q, k, scale, &mask));
  return fm_linear (g, fm_merge_heads (g, y), b->width, "out");
}

FM_PLUGIN_DEFINE (.id = "softmax-attention", .title = "Softmax attention",
  .summary = "Every token reads all tokens, each weighted by the softmax of its query's product with their keys. "
             "The exact baseline that cheaper mixers are measured against.",
  .paper = { "Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser, Polosukhin", 2017, "1706.03762" },
  .complexity = "O(N^2 D)", .role = FM_ROLE_MIXER,
  .caps = FM_CAP_BIDIRECTIONAL | FM_CAP_CAUSAL | FM_CAP_CROSS | FM_CAP_RAGGED | FM_CAP_DECODE,
  .params = params, .params_size = sizeof (Params), .probes = probes, .build = build);
