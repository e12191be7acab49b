/* performer.c: softmax attention through positive orthogonal random features (FAVOR+), linear in N.
 * Source: Choromanski et al., "Rethinking Attention with Performers", 2020, arXiv:2009.14794, lemma 1 and section 2.4;
 * relu features: section 2.2 and the generalised attention of the appendix.
 * Shapes: x [B,N,D]; q, k, v [B,H,N,d] with d = D/H; features [m,d].
 * Differs: a causal model takes no maximum over all keys off the exponents (later keys would touch earlier answers through
 * the floor of 1e-6), so its keys' exponents are as they are. `redraw` takes the next of `draws` projections, round and
 * round, where the released code draws without end. */
#include "plugin.h"

#include <math.h>

typedef struct
{
  gint64  heads;
  gint64  features;
  gint64  kernel;
  gint64  redraw;
  gint64  draws;
} Params;

static const char * const kernels[] = { "softmax", "relu", NULL };
enum { SOFTMAX, RELU };
static const FmParam params[] = {
  FM_PARAM_INT (Params, heads, 4, 1, 1024, "heads", "Must divide the model width"),
  FM_PARAM_INT (Params, features, 64, 1, 1024, "features", "Random features a head; more come closer to softmax"),
  FM_PARAM_CHOICE (Params, kernel, kernels, "Features of the softmax kernel, or relu (W x) + 0.001"),
  FM_PARAM_INT (Params, redraw, 1000, 0, 1 << 30, "steps", "Training steps after which other features are taken; 0: never"),
  FM_PARAM_INT (Params, draws, 8, 1, 1024, "projections", "Projections that take turns"),
  FM_PARAM_END
};

enum { ATTENTION };
static const FmProbe probes[] = {
  [ATTENTION] = { "attention", "batch,head,query,key", "Implied map; built only when open" },
  FM_PROBE_END
};

#define FLOOR 1e-6
#define RELU_FLOOR 1e-3

/* exp (w x - |x|^2 / 2) / sqrt (m) for keys that may not look at each other. */
static FmTensor *
alone (FmGraph *g, FmTensor *x, FmTensor *w, gdouble scale)
{
  FmTensor *length;

  x = fm_mul_scalar (g, x, sqrt (scale));
  length = fm_mul_scalar (g, fm_sum_keep (g, fm_square (g, x), -1), 0.5);
  x = fm_exp (g, fm_sub (g, fm_affine (g, x, w, NULL), length));
  return fm_mul_scalar (g, fm_add_scalar (g, x, FLOOR), 1.0 / sqrt ((gdouble) fm_tensor_get_dim (w, 0)));
}

static FmTensor *
feature (FmGraph *g, const Params *p, FmTensor *x, FmTensor *w, gdouble scale, gboolean keys, gboolean causal)
{
  if (p->kernel == RELU)
    return fm_add_scalar (g, fm_relu (g, fm_affine (g, x, w, NULL)), RELU_FLOOR);
  return keys && causal ? alone (g, x, w, scale) : fm_positive_features (g, x, w, scale, keys);
}

static FmTensor *
implied_map (FmGraph *g, FmTensor *q, FmTensor *k, gboolean causal, FmTensor *lengths)
{
  FmAttentionMask mask = { .causal = causal, .key_lengths = lengths };
  FmTensor *map = fm_matmul (g, q, k, FM_TRANS_B), *seen;

  seen = fm_attention_mask_tensor (g, fm_tensor_get_dim (q, 2), fm_tensor_get_dim (k, 2), &mask);
  map = fm_where (g, seen, map, fm_constant (g, FM_F32, FM_SHAPE (1), 0.0));
  return fm_div (g, map, fm_sum_keep (g, map, -1));
}

/* Rows of padding to zero, so that they move no maximum. */
static FmTensor *
visible (FmGraph *g, FmTensor *x, FmTensor *lengths)
{
  gint64 B = fm_tensor_get_dim (x, 0), N = fm_tensor_get_dim (x, 2);
  FmTensor *seen;

  if (lengths == NULL)
    return x;
  seen = fm_less (g, fm_iota (g, N), fm_reshape (g, lengths, FM_SHAPE (B, 1)));
  return fm_where (g, fm_reshape (g, seen, FM_SHAPE (B, 1, N, 1)), x, fm_constant (g, FM_F32, FM_SHAPE (1), 0.0));
}

static FmTensor *
build (FmGraph *g, const FmBuild *b, FmTensor *x)
{
  const Params *p = b->params;
  FmTensor *source = b->context ? b->context : x, *lengths = b->context ? b->context_lengths : b->lengths;
  gboolean causal = b->causal && b->context == NULL;
  FmTensor *q, *k, *v, *w, *y;
  gdouble scale;
  gint64 d;

  if (b->width % p->heads != 0)
    return fm_graph_fail (g, "heads", "%" G_GINT64_FORMAT " does not divide width %" G_GINT64_FORMAT, p->heads, b->width);
  d = b->width / p->heads;
  scale = 1.0 / sqrt ((gdouble) d);
  w = fm_orthogonal_features (g, "features", p->features, d, p->draws, p->redraw);

  q = fm_split_heads (g, fm_linear (g, x, b->width, "q"), p->heads);
  k = fm_split_heads (g, fm_linear (g, source, b->width, "k"), p->heads);
  v = fm_split_heads (g, fm_linear (g, source, b->width, "v"), p->heads);
  q = feature (g, p, q, w, scale, FALSE, causal);
  k = feature (g, p, visible (g, k, lengths), w, scale, TRUE, causal);
  y = fm_linear_attention (g, q, k, v, FM_FEATURE_NONE, 0.0, causal, lengths);

  if (fm_probe_is_open (b, ATTENTION))
    fm_probe_set (b, ATTENTION, implied_map (g, q, k, causal, lengths));
  return fm_linear (g, fm_merge_heads (g, y), b->width, "out");
}

FM_PLUGIN_DEFINE (.id = "performer", .title = "Performer",
  .summary = "Estimates the softmax kernel by positive orthogonal random features, so that keys and values are summed once "
             "and every query reads the sums: linear in the length, and close to softmax where the features are many.",
  .paper = { "Choromanski, Likhosherstov, Dohan, Song, Gane, Sarlos, Hawkins, Davis, Mohiuddin, Kaiser, Belanger, Colwell, "
             "Weller", 2020, "2009.14794" },
  .complexity = "O(N m D)", .role = FM_ROLE_MIXER,
  .caps = FM_CAP_BIDIRECTIONAL | FM_CAP_CAUSAL | FM_CAP_CROSS | FM_CAP_RAGGED,
  .params = params, .params_size = sizeof (Params), .probes = probes, .build = build);
