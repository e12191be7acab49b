/* simq-nas.c: a network that is trained through its int8 products: weights per output, activations by a static scale
 * measured before; a sub-network takes the first outputs of a weight. The head's weights are stored as f16.
 * Source: card simq-nas, static int8 calibration and int8 products of a sliced super-network.
 * Shapes: T rows, D width, F hidden width of the super-network, S of which are used. */
#include "models.h"

enum { T = 24, D = 16, F = 32, S = 20, CLASSES = 10 };

static FmTensor *
int8_layer (FmGraph *g, FmTensor *x, gint64 width, const char *name, gdouble calibrated)
{
  gint64 n = fm_tensor_get_dim (x, -1);
  FmTensor *weight, *bias, *scale = NULL, *x_scale = NULL;

  fm_graph_push_scope (g, "%s", name);
  weight = fm_slice (g, fm_param (g, "weight", FM_SHAPE (F, F), fm_init_normal (0.3)), 0, 0, width);
  bias = fm_param (g, "bias", FM_SHAPE (width), fm_init_zeros ());
  fm_graph_pop_scope (g);
  weight = fm_quantise (g, fm_slice (g, weight, 1, 0, n), &scale);
  if (calibrated > 0)
    x_scale = fm_constant (g, FM_F32, FM_SHAPE (1), calibrated);
  x = fm_quantise (g, x, &x_scale);
  return fm_affine_int8 (g, x, x_scale, weight, scale, bias);
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_norm (g, fm_graph_input (g, "x", FM_F32, FM_SHAPE (T, D)), "norm");
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (T));
  FmTensor *y = fm_relu (g, int8_layer (g, x, S, "in", 3.0 / 127)), *head;

  y = fm_add (g, x, int8_layer (g, y, D, "out", 0));
  head = fm_cast (g, fm_param (g, "head", FM_SHAPE (CLASSES, D), fm_init_normal (0.3)), FM_F16);
  return fm_mean (g, fm_cross_entropy (g, fm_affine_stored (g, y, head, NULL, NULL), target), 0);
}

FM_MODEL (simq_nas, .name = "simq-nas", .card = "simq-nas", .build = build, .tolerance = 5e-2,
          .inputs = { { "target", 0, CLASSES - 1 } },
          .surrogate = "rounding to int8 and f16 counts as the identity (straight-through); the tolerance: a value near "
                       "the middle of two steps may round either way on the two backends");
