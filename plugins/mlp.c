/* mlp.c: two linear maps with a nonlinearity between.
 * Source: Vaswani et al., "Attention Is All You Need", 2017, section 3.3, equation 2.
 * Shapes: x [B,N,D] -> [B,N,F] -> [B,N,D].
 * Differs: GELU by default (Hendrycks and Gimpel 2016, arXiv:1606.08415), as in nearly all later models. */
#include "plugin.h"

typedef struct
{
  gint64 activation;
} Params;

static const char * const activations[] = { "gelu", "relu", "silu", NULL };
static const FmParam params[] = {
  FM_PARAM_CHOICE (Params, activation, activations, "Nonlinearity between the two maps"),
  FM_PARAM_END
};

static FmTensor *
build (FmGraph *g, const FmBuild *b, FmTensor *x)
{
  const Params *p = b->params;

  x = fm_linear (g, x, b->hidden, "in");
  x = p->activation == 0 ? fm_gelu (g, x) : p->activation == 1 ? fm_relu (g, x) : fm_silu (g, x);
  return fm_linear (g, x, b->width, "out");
}

FM_PLUGIN_DEFINE (.id = "mlp", .title = "MLP",
  .summary = "Two linear maps with a nonlinearity between, the same for every token.",
  .paper = { "Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser, Polosukhin", 2017, "1706.03762" },
  .complexity = "O(N D F)", .role = FM_ROLE_FEEDFORWARD,
  .caps = FM_CAP_BIDIRECTIONAL | FM_CAP_CAUSAL | FM_CAP_CROSS | FM_CAP_RAGGED | FM_CAP_DECODE,
  .params = params, .params_size = sizeof (Params), .build = build);
