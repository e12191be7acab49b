/* outside.c: a plugin as somebody else would write it: built by the test from the installed header alone. */
#include <plugins/plugin.h>

typedef struct
{
  gdouble share;
} Params;

static const FmParam params[] = {
  FM_PARAM_DOUBLE (Params, share, 0.5, 0.0, 1.0, NULL, "How much of the mean every token takes"),
  FM_PARAM_END
};

static FmTensor *
build (FmGraph *g, const FmBuild *b, FmTensor *x)
{
  const Params *p = b->params;
  FmTensor *mean = fm_mean (g, x, 1);

  mean = fm_reshape (g, mean, FM_SHAPE (b->batch, 1, b->width));
  return fm_add (g, fm_linear (g, x, b->width, "own"), fm_mul_scalar (g, mean, p->share));
}

FM_PLUGIN_DEFINE (.id = "outside", .title = "Mean mixing",
  .summary = "Every token takes a share of the mean of all tokens: the plainest mixer there is.",
  .paper = { "nobody", 2026, NULL }, .complexity = "O(N D^2)", .role = FM_ROLE_MIXER, .caps = FM_CAP_BIDIRECTIONAL,
  .params = params, .params_size = sizeof (Params), .build = build);
