/* linear-attention.c: attention through a positive feature map, linear in N.
 * Source: Katharopoulos et al., "Transformers are RNNs", 2020, section 3.2, equations 4 to 6; causal form: section 3.3,
 * equations 8 to 11, as prefix sums.
 * Shapes: x [B,N,D]; q, k, v [B,H,N,d] with d = D/H.
 * Differs: `eps` in the normaliser, since relu can zero all keys and leave 0/0. The causal form keeps one d x d sum a
 * token (O(N D d) memory); the paper's fused recurrence does not. */
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

static FmTensor *
feature (FmGraph *g, FmTensor *x, const Params *p)
{
  x = fm_split_heads (g, x, p->heads);
  return p->map == 0 ? fm_add_scalar (g, fm_elu (g, x), 1.0) : fm_relu (g, x);
}

/* Features of padding are zero, so that it adds to no sum. */
static FmTensor *
hide_padding (FmGraph *g, FmTensor *k, FmTensor *lengths)
{
  gint64 batch = fm_tensor_get_dim (k, 0), n = fm_tensor_get_dim (k, 2);
  FmTensor *visible;

  if (lengths == NULL)
    return k;
  visible = fm_less (g, fm_iota (g, n), fm_reshape (g, lengths, FM_SHAPE (batch, 1)));
  return fm_where (g, fm_reshape (g, visible, FM_SHAPE (batch, 1, n, 1)), k, fm_constant (g, FM_F32, FM_SHAPE (1), 0.0));
}

/* y_i = q_i S_i / (q_i z_i + eps) with S_i = sum_{j<=i} k_j v_j^T, z_i = sum_{j<=i} k_j. */
static FmTensor *
causal_form (FmGraph *g, FmTensor *q, FmTensor *k, FmTensor *v, gdouble eps)
{
  FmShape s = fm_tensor_get_shape (q);
  gint64 B = s.dims[0], H = s.dims[1], N = s.dims[2], d = s.dims[3];
  FmTensor *outer, *kv, *norm, *y;

  outer = fm_mul (g, fm_reshape (g, k, FM_SHAPE (B, H, N, d, 1)), fm_reshape (g, v, FM_SHAPE (B, H, N, 1, d)));
  kv = fm_cumsum (g, outer, 2, FALSE);                                           /* [B,H,N,d,d] */
  y = fm_matmul (g, fm_reshape (g, q, FM_SHAPE (B, H, N, 1, d)), kv, 0);          /* [B,H,N,1,d] */
  norm = fm_sum_keep (g, fm_mul (g, q, fm_cumsum (g, k, 2, FALSE)), -1);          /* [B,H,N,1] */
  return fm_div (g, fm_reshape (g, y, s), fm_add_scalar (g, norm, eps));
}

static FmTensor *
build (FmGraph *g, const FmBuild *b, FmTensor *x)
{
  const Params *p = b->params;
  FmTensor *source = b->context ? b->context : x;
  FmTensor *q, *k, *v, *kv, *norm, *y, *map;

  if (b->width % p->heads != 0)
    return fm_graph_fail (g, "heads", "%" G_GINT64_FORMAT " does not divide width %" G_GINT64_FORMAT, p->heads, b->width);
  q = feature (g, fm_linear (g, x, b->width, "q"), p);
  k = feature (g, fm_linear (g, source, b->width, "k"), p);
  v = fm_split_heads (g, fm_linear (g, source, b->width, "v"), p->heads);
  k = hide_padding (g, k, b->context ? b->context_lengths : b->lengths);

  if (b->causal && b->context == NULL)
    y = causal_form (g, q, k, v, p->eps);
  else
    {
      kv = fm_matmul (g, k, v, FM_TRANS_A);                             /* [B,H,d,d] */
      norm = fm_matmul (g, q, fm_sum_keep (g, k, 2), FM_TRANS_B);       /* [B,H,N,1] */
      norm = fm_add_scalar (g, norm, p->eps);
      y = fm_div (g, fm_matmul (g, q, kv, 0), norm);                    /* [B,H,N,d] */
    }

  if (fm_probe_is_open (b, ATTENTION))
    {
      map = fm_matmul (g, q, k, FM_TRANS_B);
      if (b->causal && b->context == NULL)
        map = fm_mul (g, map, fm_attention_mask_tensor (g, b->length, b->length, &(FmAttentionMask){ .causal = TRUE }));
      fm_probe_set (b, ATTENTION, fm_div (g, map, fm_add_scalar (g, fm_sum_keep (g, map, -1), p->eps)));
    }
  return fm_linear (g, fm_merge_heads (g, y), b->width, "out");
}

FM_PLUGIN_DEFINE (.id = "linear-attention", .title = "Linear attention",
  .summary = "Sums keys and values once through a positive feature map; every query reads the sum, so that cost grows "
             "with the length and not with its square.",
  .paper = { "Katharopoulos, Vyas, Pappas, Fleuret", 2020, "2006.16236" },
  .complexity = "O(N D d)", .role = FM_ROLE_MIXER,
  .caps = FM_CAP_BIDIRECTIONAL | FM_CAP_CAUSAL | FM_CAP_CROSS | FM_CAP_RAGGED,
  .params = params, .params_size = sizeof (Params), .probes = probes, .build = build);
