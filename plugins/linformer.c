/* linformer.c: softmax attention over k sums of keys and values instead of N of them.
 * Source: Wang et al., "Linformer", 2020, arXiv:2006.04768, section 4, equation 7; sharing: section 4, "Additional
 * efficiency techniques".
 * Shapes: x [B,N,D]; q, k, v [B,H,N,d] with d = D/H; projections E, F [H or 1,N,k], sums [B,H,k,d].
 * Differs: a projection has a row for each position, so a model is of one length; more sums than positions are as many
 * as there are positions. Padding adds nothing to the sums. The map shown is softmax (s q (E^T k)^T) F^T: what a query takes
 * of each value, of either sign. */
#include "plugin.h"

#include <math.h>

typedef struct
{
  gint64 heads;
  gint64 k;
  gint64 sharing;
} Params;

static const char * const sharings[] = { "none", "heads", "keys-values", "layers", NULL };
enum { NONE, HEADS, KEYS_VALUES, LAYERS };
static const FmParam params[] = {
  FM_PARAM_INT (Params, heads, 4, 1, 1024, "heads", "Must divide the model width"),
  FM_PARAM_INT (Params, k, 32, 1, 1 << 20, "sums", "Keys and values after the projection; at most the length"),
  FM_PARAM_CHOICE (Params, sharing, sharings, "One projection for each head; for all heads; for keys and values, too; for "
                                              "all layers, too"),
  FM_PARAM_END
};

enum { ATTENTION };
static const FmProbe probes[] = {
  [ATTENTION] = { "attention", "batch,head,query,key", "What a query takes of each value: the softmax times the projection" },
  FM_PROBE_END
};

static FmTensor *
projection (FmGraph *g, const FmBuild *b, const Params *p, const char *of)
{
  const char *name = p->sharing == LAYERS ? "/linformer.projection" : p->sharing == KEYS_VALUES ? "projection" : of;
  gint64 sums = MIN (p->k, b->length);

  return fm_param (g, name, FM_SHAPE (p->sharing == NONE ? p->heads : 1, b->length, sums),
                   fm_init_normal (1.0 / sqrt ((gdouble) b->length)));
}

/* Rows of padding to zero. */
static FmTensor *
visible (FmGraph *g, const FmBuild *b, FmTensor *x)
{
  FmTensor *seen;

  if (b->lengths == NULL)
    return x;
  seen = fm_less (g, fm_iota (g, b->length), fm_reshape (g, b->lengths, FM_SHAPE (b->batch, 1)));
  return fm_where (g, fm_reshape (g, seen, FM_SHAPE (b->batch, 1, b->length, 1)), x,
                   fm_constant (g, FM_F32, FM_SHAPE (1), 0.0));
}

static FmTensor *
build (FmGraph *g, const FmBuild *b, FmTensor *x)
{
  const Params *p = b->params;
  FmTensor *q, *k, *v, *e, *f, *y;
  gdouble scale;

  if (b->width % p->heads != 0)
    return fm_graph_fail (g, "heads", "%" G_GINT64_FORMAT " does not divide width %" G_GINT64_FORMAT, p->heads, b->width);
  scale = 1.0 / sqrt ((gdouble) (b->width / p->heads));
  e = projection (g, b, p, "E");
  f = projection (g, b, p, "F");

  q = fm_split_heads (g, fm_linear (g, x, b->width, "q"), p->heads);
  k = visible (g, b, fm_split_heads (g, fm_linear (g, x, b->width, "k"), p->heads));
  v = visible (g, b, fm_split_heads (g, fm_linear (g, x, b->width, "v"), p->heads));
  k = fm_matmul (g, e, k, FM_TRANS_A); /* [B,H,k,d] */
  v = fm_matmul (g, f, v, FM_TRANS_A);
  y = fm_attention (g, "attention", q, k, v, scale, NULL);

  if (fm_probe_is_open (b, ATTENTION))
    fm_probe_set (b, ATTENTION, fm_matmul (g, fm_attention_map (g, q, k, scale, NULL), f, FM_TRANS_B));
  return fm_linear (g, fm_merge_heads (g, y), b->width, "out");
}

FM_PLUGIN_DEFINE (.id = "linformer", .title = "Linformer",
  .summary = "Projects the N keys and values to k learned sums, so that every query weighs k of them: attention of low "
             "rank, linear in the length. A model is of one length.",
  .paper = { "Wang, Li, Khabsa, Fang, Ma", 2020, "2006.04768" },
  .complexity = "O(N k D)", .role = FM_ROLE_MIXER,
  .caps = FM_CAP_BIDIRECTIONAL | FM_CAP_RAGGED,
  .params = params, .params_size = sizeof (Params), .probes = probes, .build = build);
