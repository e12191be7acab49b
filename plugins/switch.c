/* switch.c: E expert MLPs, each token goes to one of them.
 * Source: Fedus, Zoph, Shazeer, "Switch Transformers", 2021, section 2.1 equations 1 and 2 (gate), section 2.2 equation 3
 * (capacity) and equations 4 to 6 (balance loss).
 * Shapes: x [B,N,D], T = B N tokens; slots [E,C,D] with C = ceil (capacity T / E).
 * Differs: no router noise and no expert dropout; GELU experts and the skeleton's initial values, where the paper has
 * ReLU and a truncated normal of a tenth of the usual scale. A token over capacity is dropped: it gets zeros and lives on the
 * residual. Padding is sent nowhere and fills no slot. Who is dropped depends on batch neighbours. */
#include "plugin.h"

#include <math.h>

typedef struct
{
  gint64  experts;
  gdouble capacity;
  gdouble balance;
} Params;

static const FmParam params[] = {
  FM_PARAM_INT (Params, experts, 4, 1, 64, "experts", "How many MLPs there are"),
  FM_PARAM_DOUBLE (Params, capacity, 1.25, 0.1, 100.0, NULL, "Slots of an expert over an even share of the tokens"),
  FM_PARAM_DOUBLE (Params, balance, 0.01, 0.0, 10.0, NULL, "Weight of the balance loss"),
  FM_PARAM_END
};

enum { ROUTING };
static const FmProbe probes[] = {
  [ROUTING] = { "routing", "batch,token,expert", "Gate value at the expert a token was sent to; a row of zeros was dropped" },
  FM_PROBE_END
};

/* All experts at once: [E,C,D] -> [E,C,D]. */
static FmTensor *
experts (FmGraph *g, const FmBuild *b, FmTensor *x, gint64 E)
{
  gint64 D = b->width, F = b->hidden;
  FmTensor *w, *bias;

  w = fm_param (g, "in.weight", FM_SHAPE (E, F, D), fm_init_normal (1.0 / sqrt ((gdouble) D)));
  bias = fm_param (g, "in.bias", FM_SHAPE (E, 1, F), fm_init_zeros ());
  fm_param_mark (bias, FM_MARK_DECAY, 0.0);
  x = fm_gelu (g, fm_add (g, fm_matmul (g, x, w, FM_TRANS_B), bias));
  w = fm_param (g, "out.weight", FM_SHAPE (E, D, F), fm_init_normal (1.0 / sqrt ((gdouble) F)));
  bias = fm_param (g, "out.bias", FM_SHAPE (E, 1, D), fm_init_zeros ());
  fm_param_mark (bias, FM_MARK_DECAY, 0.0);
  return fm_add (g, fm_matmul (g, x, w, FM_TRANS_B), bias);
}

static FmTensor *
build (FmGraph *g, const FmBuild *b, FmTensor *x)
{
  const Params *p = b->params;
  gint64 E = p->experts, B = fm_tensor_get_dim (x, 0), N = fm_tensor_get_dim (x, 1), D = b->width, T = B * N;
  gint64 C = (gint64) ceil (p->capacity * (gdouble) T / (gdouble) E);
  FmTensor *zero = fm_constant (g, FM_F32, FM_SHAPE (1), 0.0), *none = fm_constant (g, FM_F32, FM_SHAPE (1), -1.0);
  FmTensor *tokens, *probs, *gate, *index, *sent, *place, *kept, *slot, *y, *count;

  /* Places are counted in f32, which is exact up to here and would send tokens to wrong slots beyond. */
  if (C > (1 << 24) / E)
    return fm_graph_fail (g, "capacity", "%g of %" G_GINT64_FORMAT " tokens needs more than 2^24 slots", p->capacity, T);
  tokens = fm_reshape (g, x, FM_SHAPE (T, D));
  probs = fm_softmax (g, fm_linear_no_bias (g, tokens, E, "router"), 1.0);      /* [T,E] */
  gate = fm_top_k (g, probs, 1, &index);                                        /* [T,1] */
  sent = fm_one_hot (g, fm_reshape (g, index, FM_SHAPE (T)), E);                /* [T,E] */
  count = fm_constant (g, FM_F32, FM_SHAPE (1), (gdouble) T);
  if (b->lengths)
    {
      FmTensor *visible = fm_less (g, fm_iota (g, N), fm_reshape (g, b->lengths, FM_SHAPE (B, 1)));

      visible = fm_reshape (g, visible, FM_SHAPE (T, 1));
      sent = fm_mul (g, sent, visible);
      probs = fm_mul (g, probs, visible);
      count = fm_maximum (g, fm_sum_all (g, visible), fm_constant (g, FM_F32, FM_SHAPE (1), 1.0));
    }

  /* First come, first served: a token's place is how many before it chose the same expert. */
  place = fm_sum_keep (g, fm_mul (g, sent, fm_cumsum (g, sent, 0, TRUE)), -1);   /* [T,1] */
  kept = fm_mul (g, fm_less (g, place, fm_constant (g, FM_F32, FM_SHAPE (1), (gdouble) C)), fm_sum_keep (g, sent, -1));
  slot = fm_add (g, fm_mul_scalar (g, fm_cast (g, index, FM_F32), (gdouble) C), place);
  slot = fm_reshape (g, fm_cast (g, fm_where (g, kept, slot, none), FM_I32), FM_SHAPE (T));

  y = fm_reshape (g, fm_scatter_add_rows (g, tokens, slot, E * C), FM_SHAPE (E, C, D));
  y = fm_reshape (g, experts (g, b, y, E), FM_SHAPE (E * C, D));
  y = fm_mul (g, fm_gather_rows (g, y, slot), fm_where (g, kept, gate, zero));   /* dropped: zeros */

  {
    FmTensor *load = fm_div (g, fm_sum (g, sent, 0), count);                     /* f_i, equation 5 */
    FmTensor *share = fm_div (g, fm_sum (g, probs, 0), count);                   /* P_i, equation 6 */
    FmTensor *balance = fm_mul_scalar (g, fm_sum_all (g, fm_mul (g, fm_stop_gradient (g, load), share)), (gdouble) E);

    fm_loss_term (b, "balance", balance, p->balance);
    fm_record (b, "load", load);
    fm_record (b, "dropped", fm_sub (g, fm_sum_all (g, sent), fm_sum_all (g, kept)));
  }
  if (fm_probe_is_open (b, ROUTING))
    fm_probe_set (b, ROUTING, fm_reshape (g, fm_mul (g, sent, fm_where (g, kept, gate, zero)), FM_SHAPE (B, N, E)));
  return fm_reshape (g, y, FM_SHAPE (B, N, D));
}

FM_PLUGIN_DEFINE (.id = "switch", .title = "Switch",
  .summary = "A router sends each token to one of several expert MLPs of limited capacity: more parameters at the cost "
             "of one MLP a token.",
  .paper = { "Fedus, Zoph, Shazeer", 2021, "2101.03961" },
  .complexity = "O(c N D F)", .role = FM_ROLE_FEEDFORWARD,
  .caps = FM_CAP_BIDIRECTIONAL | FM_CAP_CAUSAL | FM_CAP_RAGGED | FM_CAP_BATCH_COUPLED,
  .params = params, .params_size = sizeof (Params), .probes = probes, .build = build);
