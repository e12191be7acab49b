/* conv-vision.c: a small dense-prediction network over pictures and one over a line.
 * Source: card taskexpert (convolutions 1x1, 3x3, depthwise, bilinear upsampling into a dense head); card facexformer
 * (transposed convolution); card metaformer (pooling and depthwise mixers); card git-generalist (bilinear sampling at points);
 * card polyhistor (patch merge); card icm-lora (1-D encoder and decoder); card after-survey (long convolution); card gpicl
 * (unfold); card token-mixing (Fourier mixing over tokens and width).
 * Shapes: B pictures of S x S cells with C channels; K points; N steps of a line. */
#include "models.h"

enum { B = 2, S = 8, C = 3, D = 6, K = 5, N = 12, CLASSES = 4 };

static FmTensor *
weight (FmGraph *g, const char *name, FmShape shape)
{
  return fm_param (g, name, shape, fm_init_normal (0.3));
}

static FmTensor *
pictures (FmGraph *g, FmTensor *x)
{
  const FmConvWindow same = { .top = 1, .bottom = 1, .left = 1, .right = 1 }, half = { .row_step = 2, .column_step = 2 };
  const FmConvWindow around = { .rows = 3, .columns = 3, .top = 1, .bottom = 1, .left = 1, .right = 1 };
  FmTensor *h, *low, *up, *label = fm_graph_input (g, "label", FM_I32, FM_SHAPE (B, S, S)), *at, *found;

  h = fm_gelu (g, fm_conv2d (g, x, weight (g, "in", FM_SHAPE (D, 3, 3, C)), weight (g, "in.bias", FM_SHAPE (D)), &same, 1));
  h = fm_add (g, h, fm_depthwise_conv2d (g, h, weight (g, "depthwise", FM_SHAPE (3, 3, D)), NULL, &same));
  h = fm_add (g, h, fm_sub (g, fm_mean_pool (g, h, &around), h)); /* the pooling mixer */
  low = fm_linear (g, fm_patch_merge (g, h, 2), D, "merge");      /* [B,S/2,S/2,D] */
  low = fm_add (g, low, fm_conv2d (g, low, weight (g, "grouped", FM_SHAPE (D, 3, 3, D / 2)), NULL, &same, 2));
  up = fm_add (g, fm_resize (g, low, S, S, FALSE),
               fm_conv2d_transposed (g, low, weight (g, "up", FM_SHAPE (D, 2, 2, D)), NULL, &half));
  up = fm_add (g, up, fm_resize (g, fm_max_pool (g, up, &around), S, S, TRUE));
  /* Features at points that the model moves itself. */
  at = fm_add_scalar (g, fm_mul_scalar (g, fm_sigmoid (g, fm_param (g, "points", FM_SHAPE (B, K, 2), fm_init_normal (1))), S), -0.5);
  found = fm_mean (g, fm_square (g, fm_linear (g, fm_sample (g, up, at), 1, "value")), 1);
  up = fm_conv2d (g, up, weight (g, "out", FM_SHAPE (CLASSES, 1, 1, D)), NULL, NULL, 1);
  return fm_add (g, fm_mean (g, fm_reshape (g, fm_cross_entropy (g, up, label), FM_SHAPE (-1)), 0),
                 fm_mul_scalar (g, fm_mean (g, fm_reshape (g, found, FM_SHAPE (-1)), 0), 0.1));
}

static FmTensor *
line (FmGraph *g, FmTensor *x)
{
  const FmConvWindow causal = { .left = 2 }, two = { .column_step = 2 }, neighbours = { .rows = 1, .columns = 3, .left = 2 };
  FmTensor *h = fm_conv1d (g, x, weight (g, "in", FM_SHAPE (D, 3, C)), NULL, &causal, 1), *im, *re, *patches;

  h = fm_add (g, h, fm_depthwise_conv1d (g, h, weight (g, "depthwise", FM_SHAPE (3, D)), NULL, &causal));
  h = fm_add (g, h, fm_long_conv (g, h, weight (g, "long", FM_SHAPE (N, D))));
  re = fm_fft (g, h, NULL, -1, FALSE, &im);
  re = fm_fft (g, re, im, 1, FALSE, &im); /* the real part of a transform over tokens and width */
  h = fm_norm (g, fm_add (g, h, fm_mul_scalar (g, re, 0.1)), "norm");
  patches = fm_unfold (g, fm_reshape (g, h, FM_SHAPE (B, 1, N, D)), &neighbours, 0.0);
  h = fm_add (g, h, fm_linear (g, fm_reshape (g, patches, FM_SHAPE (B, N, 3 * D)), D, "neighbours"));
  h = fm_conv1d (g, h, weight (g, "down", FM_SHAPE (D, 2, D)), NULL, &two, 1);
  h = fm_conv1d_transposed (g, fm_tanh (g, h), weight (g, "up", FM_SHAPE (D, 2, C)), NULL, &two);
  h = fm_fold (g, fm_reshape (g, h, FM_SHAPE (B, 1, N, 1, C)), 1, N, &(FmConvWindow){ .rows = 1, .columns = 1 });
  return fm_mean (g, fm_reshape (g, fm_square (g, fm_sub (g, fm_reshape (g, h, FM_SHAPE (B, N, C)), x)), FM_SHAPE (-1)), 0);
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *loss, *other;

  fm_graph_push_scope (g, "pictures");
  loss = pictures (g, fm_graph_input (g, "x", FM_F32, FM_SHAPE (B, S, S, C)));
  fm_graph_pop_scope (g);
  fm_graph_push_scope (g, "line");
  other = line (g, fm_graph_input (g, "line", FM_F32, FM_SHAPE (B, N, C)));
  fm_graph_pop_scope (g);
  return fm_add (g, loss, other);
}

FM_MODEL (conv_vision, .name = "conv-vision", .card = "taskexpert", .build = build, .rate = 3e-3,
          .inputs = { { "label", 0, CLASSES - 1 } });
