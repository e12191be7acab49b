/* pooling-block.c: a block whose mixer averages neighbours, with group norm, layer scale and stochastic depth.
 * Source: card metaformer: "MetaFormer Is Actually What You Need for Vision", 2021, equation 5 and section 3.
 * Shapes: B pictures of Y x X cells, D channels. */
#include "models.h"

enum { B = 6, Y = 5, X = 4, D = 8, CLASSES = 5 };

static FmTensor *
norm (FmGraph *g, FmTensor *x, const char *name)
{
  FmTensor *gain, *bias;

  fm_graph_push_scope (g, "%s", name);
  gain = fm_param (g, "gain", FM_SHAPE (D), fm_init_constant (1.0));
  bias = fm_param (g, "bias", FM_SHAPE (D), fm_init_zeros ());
  fm_graph_pop_scope (g);
  return fm_group_norm (g, x, 1, gain, bias, 1e-5);
}

static FmTensor *
add_branch (FmGraph *g, FmTensor *x, FmTensor *branch, const char *name)
{
  branch = fm_mul (g, branch, fm_param (g, name, FM_SHAPE (D), fm_init_constant (0.5)));
  return fm_add (g, x, fm_stochastic_depth (g, name, branch, 0.2));
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (B, Y, X, D)), *h;
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (B));
  static const gint places[] = { 1, 2 };

  h = norm (g, x, "mixer-norm");
  x = add_branch (g, x, fm_sub (g, fm_avg_pool (g, h, 3, 3), h), "mixer-scale");
  h = fm_gelu_tanh (g, fm_linear (g, norm (g, x, "mlp-norm"), 4 * D, "up"));
  x = add_branch (g, x, fm_linear (g, h, D, "down"), "mlp-scale");
  h = fm_reshape (g, fm_mean_axes (g, x, places, 2), FM_SHAPE (B, D));
  return fm_mean_all (g, fm_cross_entropy (g, fm_linear (g, h, CLASSES, "head"), target));
}

FM_MODEL (pooling_block, .name = "pooling-block", .card = "metaformer", .build = build,
          .inputs = { { "target", 0, CLASSES - 1 } });
