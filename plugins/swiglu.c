/* swiglu.c: an MLP whose hidden layer is gated by a second linear map.
 * Source: Shazeer, "GLU Variants Improve Transformer", 2020, section 2, equation 6.
 * Shapes: x [B,N,D] -> [B,N,F'] -> [B,N,D].
 * Differs: biases as elsewhere in the skeleton (the paper has none). F' = 2F/3 as in the paper's section 3.1, so that
 * parameters equal those of the mlp; `full-width` keeps F' = F. */
#include "plugin.h"

typedef struct
{
  gint64 full_width;
} Params;

static const FmParam params[] = {
  FM_PARAM_BOOL (Params, full_width, FALSE, "Hidden width F instead of 2F/3"),
  FM_PARAM_END
};

static FmTensor *
build (FmGraph *g, const FmBuild *b, FmTensor *x)
{
  const Params *p = b->params;
  gint64 hidden = p->full_width ? b->hidden : MAX (1, (2 * b->hidden + 1) / 3);
  FmTensor *gate = fm_silu (g, fm_linear (g, x, hidden, "gate"));

  return fm_linear (g, fm_mul (g, gate, fm_linear (g, x, hidden, "in")), b->width, "out");
}

FM_PLUGIN_DEFINE (.id = "swiglu", .title = "SwiGLU",
  .summary = "An MLP whose hidden layer is multiplied by a SiLU gate made from the same input.",
  .paper = { "Shazeer", 2020, "2002.05202" },
  .complexity = "O(N D F)", .role = FM_ROLE_FEEDFORWARD,
  .caps = FM_CAP_BIDIRECTIONAL | FM_CAP_CAUSAL | FM_CAP_CROSS | FM_CAP_RAGGED | FM_CAP_DECODE,
  .params = params, .params_size = sizeof (Params), .build = build);
