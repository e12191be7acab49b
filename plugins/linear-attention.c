/* linear-attention.c: attention through a positive feature map, linear in N.
 * Source: Katharopoulos et al., "Transformers are RNNs", 2020, section 3.2, equations 4 to 6; causal form: section 3.3,
 * equations 8 to 11; token by token: section 3.4, equations 16 to 20.
 * Shapes: x [B,N,D]; q, k, v [B,H,N,d] with d = D/H.
 * Differs: `eps` in the normaliser, since relu can zero all keys and leave 0/0. */
#include "plugin.h"

typedef struct
{
  gint64  heads;
  gint64  map;
  gdouble eps;
} Params;

static const char * const maps[] = { "elu1", "relu", NULL };
static const FmParam params[] = {
  FM_PARAM_INT (Params, heads, 4, 1, 1024, "heads", "Must divide the model width"),
  FM_PARAM_CHOICE (Params, map, maps, "Function that keeps every score positive"),
  FM_PARAM_DOUBLE (Params, eps, 1e-6, 0.0, 1e-2, NULL, "Added to the normaliser"),
  FM_PARAM_END
};

enum { ATTENTION };
static const FmProbe probes[] = {
  [ATTENTION] = { "attention", "batch,head,query,key", "Implied map; built only when open" },
  FM_PROBE_END
};

/* f (x) for the map; fm_linear_attention() applies it by itself. */
static FmTensor *
feature (FmGraph *g, FmTensor *x, const Params *p)
{
  return p->map == 0 ? fm_add_scalar (g, fm_elu (g, x), 1.0) : fm_relu (g, x);
}

/* What the sums come to for each pair: f (q_i) f (k_j) / (sum_j f (q_i) f (k_j) + eps) over the keys that are seen. */
static FmTensor *
implied_map (FmGraph *g, FmTensor *q, FmTensor *k, const Params *p, gboolean causal, FmTensor *lengths)
{
  FmAttentionMask mask = { .causal = causal, .key_lengths = lengths };
  FmTensor *map = fm_matmul (g, feature (g, q, p), feature (g, k, p), FM_TRANS_B), *seen;

  seen = fm_attention_mask_tensor (g, fm_tensor_get_dim (q, 2), fm_tensor_get_dim (k, 2), &mask);
  map = fm_where (g, seen, map, fm_constant (g, FM_F32, FM_SHAPE (1), 0.0));
  return fm_div (g, map, fm_add_scalar (g, fm_sum_keep (g, map, -1), p->eps));
}

/* What one more token reads: the sums of all before it, carried on. */
static FmTensor *
next_token (FmGraph *g, const FmBuild *b, FmTensor *q, FmTensor *k, FmTensor *v, const Params *p)
{
  gint64 B = fm_tensor_get_dim (q, 0), H = p->heads, d = b->width / H;
  FmTensor *sum = fm_carried (g, b, "sum", FM_SHAPE (B, H, d, d));
  FmTensor *norm = fm_carried (g, b, "norm", FM_SHAPE (B, H, 1, d));

  q = feature (g, q, p);
  k = feature (g, k, p);
  sum = fm_add (g, sum, fm_matmul (g, k, v, FM_TRANS_A));
  norm = fm_add (g, norm, k);
  fm_carry (g, b, "sum", sum);
  fm_carry (g, b, "norm", norm);
  return fm_div (g, fm_matmul (g, q, sum, 0), fm_add_scalar (g, fm_matmul (g, q, norm, FM_TRANS_B), p->eps));
}

/* The sums over a prefix of the row, for the token after it. */
static void
carry_sums (FmGraph *g, const FmBuild *b, FmTensor *k, FmTensor *v, const Params *p)
{
  gint64 B = fm_tensor_get_dim (k, 0), N = fm_tensor_get_dim (k, 2);

  k = feature (g, k, p);
  if (b->lengths)
    {
      FmTensor *visible = fm_less (g, fm_iota (g, N), fm_reshape (g, b->lengths, FM_SHAPE (B, 1)));

      k = fm_where (g, fm_reshape (g, visible, FM_SHAPE (B, 1, N, 1)), k, fm_constant (g, FM_F32, FM_SHAPE (1), 0.0));
    }
  fm_carry (g, b, "sum", fm_matmul (g, k, v, FM_TRANS_A));
  fm_carry (g, b, "norm", fm_sum_keep (g, k, 2));
}

static FmTensor *
build (FmGraph *g, const FmBuild *b, FmTensor *x)
{
  const Params *p = b->params;
  FmTensor *source = b->context ? b->context : x, *lengths = b->context ? b->context_lengths : b->lengths;
  gboolean causal = b->causal && b->context == NULL;
  FmTensor *q, *k, *v, *y;

  if (b->width % p->heads != 0)
    return fm_graph_fail (g, "heads", "%" G_GINT64_FORMAT " does not divide width %" G_GINT64_FORMAT, p->heads, b->width);
  q = fm_split_heads (g, fm_linear (g, x, b->width, "q"), p->heads);
  k = fm_split_heads (g, fm_linear (g, source, b->width, "k"), p->heads);
  v = fm_split_heads (g, fm_linear (g, source, b->width, "v"), p->heads);
  if (b->mode == FM_MODE_DECODE && b->context == NULL)
    y = next_token (g, b, q, k, v, p);
  else
    y = fm_linear_attention (g, q, k, v, p->map == 0 ? FM_FEATURE_ELU : FM_FEATURE_RELU, p->eps, causal, lengths);
  if (b->mode == FM_MODE_PREFILL && b->context == NULL)
    carry_sums (g, b, k, v, p);
  if (fm_probe_is_open (b, ATTENTION))
    fm_probe_set (b, ATTENTION, implied_map (g, q, k, p, causal, lengths));
  return fm_linear (g, fm_merge_heads (g, y), b->width, "out");
}

FM_PLUGIN_DEFINE (.id = "linear-attention", .title = "Linear attention",
  .summary = "Sums keys and values once through a positive feature map; every query reads the sum, so that cost grows "
             "with the length and not with its square.",
  .paper = { "Katharopoulos, Vyas, Pappas, Fleuret", 2020, "2006.16236" },
  .complexity = "O(N D d)", .role = FM_ROLE_MIXER,
  .caps = FM_CAP_BIDIRECTIONAL | FM_CAP_CAUSAL | FM_CAP_CROSS | FM_CAP_RAGGED | FM_CAP_DECODE,
  .params = params, .params_size = sizeof (Params), .probes = probes, .build = build);
