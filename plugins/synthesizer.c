/* synthesizer.c: attention whose scores are made without comparing tokens.
 * Source: Tay et al., "Synthesizer: Rethinking Self-Attention in Transformer Models", 2020, arXiv:2005.00743, section 3:
 * dense (3.1), random (3.2), factorised (3.3), mixed with the products of queries and keys (3.4).
 * Shapes: x [B,N,D]; v [B,H,N,d]; scores [B or 1,H,N,N].
 * Differs: scores are learned for each position, so a model is of one length. The hidden layer of `dense` is as wide as a
 * head, and its two halves of the factorised form are a and b numbers with a b >= N and a the root of N rounded up, where the
 * paper leaves the choice open. */
#include "plugin.h"

#include <math.h>

typedef struct
{
  gint64   heads;
  gint64   form;
  gint64   rank;
  gboolean products;
} Params;

static const char * const forms[] = { "random", "factorised-random", "dense", "factorised-dense", NULL };
enum { RANDOM, FACTORISED_RANDOM, DENSE, FACTORISED_DENSE };
static const FmParam params[] = {
  FM_PARAM_INT (Params, heads, 4, 1, 1024, "heads", "Must divide the model width"),
  FM_PARAM_CHOICE (Params, form, forms, "Scores learned for each pair of places, in two factors, or made from each token"),
  FM_PARAM_INT (Params, rank, 16, 1, 1 << 16, "numbers", "Of a place in the factors of factorised-random"),
  FM_PARAM_BOOL (Params, products, TRUE, "Add the products of queries and keys (mixed)"),
  FM_PARAM_END
};

enum { ATTENTION };
static const FmProbe probes[] = {
  [ATTENTION] = { "attention", "batch,head,query,key", "Softmax weights" },
  FM_PROBE_END
};

/* relu (h) W + b for each head: h [B,H,N,d] -> [B,H,N,width]. */
static FmTensor *
by_head (FmGraph *g, FmTensor *h, gint64 width, const char *name)
{
  g_autofree char *bias = g_strconcat (name, ".bias", NULL), *weight = g_strconcat (name, ".weight", NULL);
  gint64 H = fm_tensor_get_dim (h, 1), d = fm_tensor_get_dim (h, 3);

  return fm_add (g, fm_matmul (g, h, fm_param (g, weight, FM_SHAPE (H, d, width), fm_init_normal (1.0 / sqrt ((gdouble) d))),
                               0),
                 fm_param (g, bias, FM_SHAPE (H, 1, width), fm_init_zeros ()));
}

/* [B or 1,H,N,N] */
static FmTensor *
scores (FmGraph *g, const FmBuild *b, FmTensor *x)
{
  const Params *p = b->params;
  gint64 B = b->batch, H = p->heads, N = b->length, k = p->rank, outer, inner;
  FmTensor *h, *left, *right;

  if (p->form == RANDOM)
    return fm_param (g, "random", FM_SHAPE (1, H, N, N), fm_init_normal (1.0));
  if (p->form == FACTORISED_RANDOM)
    return fm_matmul (g, fm_param (g, "left", FM_SHAPE (1, H, N, k), fm_init_normal (1.0)),
                      fm_param (g, "right", FM_SHAPE (1, H, N, k), fm_init_normal (1.0 / sqrt ((gdouble) k))), FM_TRANS_B);
  h = fm_relu (g, fm_split_heads (g, fm_linear (g, x, b->width, "hidden"), H));
  if (p->form == DENSE)
    return by_head (g, h, N, "dense");
  outer = (gint64) ceil (sqrt ((gdouble) N));
  inner = (N + outer - 1) / outer;
  left = fm_reshape (g, by_head (g, h, outer, "outer"), FM_SHAPE (B, H, N, outer, 1));
  right = fm_reshape (g, by_head (g, h, inner, "inner"), FM_SHAPE (B, H, N, 1, inner));
  return fm_slice (g, fm_reshape (g, fm_mul (g, left, right), FM_SHAPE (B, H, N, outer * inner)), 3, 0, N);
}

static FmTensor *
build (FmGraph *g, const FmBuild *b, FmTensor *x)
{
  const Params *p = b->params;
  FmAttentionMask mask = { .causal = b->causal, .key_lengths = b->lengths };
  gint64 B = b->batch, H = p->heads, N = b->length;
  FmTensor *q = NULL, *k = NULL, *v, *s, *map = NULL, *y;
  gdouble scale;

  if (b->width % p->heads != 0)
    return fm_graph_fail (g, "heads", "%" G_GINT64_FORMAT " does not divide width %" G_GINT64_FORMAT, p->heads, b->width);
  scale = 1.0 / sqrt ((gdouble) (b->width / p->heads));
  v = fm_split_heads (g, fm_linear (g, x, b->width, "v"), p->heads);
  s = scores (g, b, x);
  if (p->products)
    {
      q = fm_split_heads (g, fm_linear (g, x, b->width, "q"), p->heads);
      k = fm_split_heads (g, fm_linear (g, x, b->width, "k"), p->heads);
      mask.bias = s;
      y = fm_attention (g, "attention", q, k, v, scale, &mask);
    }
  else
    {
      map = fm_masked_softmax (g, fm_expand (g, s, FM_SHAPE (B, H, N, N)), fm_attention_mask_tensor (g, N, N, &mask), 1.0);
      y = fm_matmul (g, map, v, 0);
    }
  if (fm_probe_is_open (b, ATTENTION))
    fm_probe_set (b, ATTENTION, p->products ? fm_attention_map (g, q, k, scale, &mask) : map);
  return fm_linear (g, fm_merge_heads (g, y), b->width, "out");
}

FM_PLUGIN_DEFINE (.id = "synthesizer", .title = "Synthesizer",
  .summary = "Scores come from the place alone, or from one token at a time, and not from pairs of tokens; the products of "
             "queries and keys may be added. A question to attention rather than a cheaper one: still quadratic.",
  .paper = { "Tay, Bahri, Metzler, Juan, Zhao, Zheng", 2020, "2005.00743" },
  .complexity = "O(N^2 D)", .role = FM_ROLE_MIXER,
  .caps = FM_CAP_BIDIRECTIONAL | FM_CAP_CAUSAL | FM_CAP_RAGGED,
  .params = params, .params_size = sizeof (Params), .probes = probes, .build = build);
