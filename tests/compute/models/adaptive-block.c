/* adaptive-block.c: a block that a time steers, trained to match a flow.
 * Source: card ic-lora: adaptive norm by time, low-rank additions to frozen projections, the flow-matching loss, and a
 * masked overwrite of what is given. The time's sines and cosines as in card facexformer.
 * Shapes: B, N tokens, D width, R rank. */
#include "models.h"

#include <math.h>

enum { B = 4, N = 9, D = 16, H = 2, R = 3, WAVES = 6 };

/* Sines and cosines of the time at WAVES frequencies. */
static FmTensor *
embed_time (FmGraph *g, FmTensor *time)
{
  FmTensor *angle, *parts[2];

  angle = fm_exp (g, fm_mul_scalar (g, fm_cast (g, fm_iota (g, WAVES), FM_F32), log (100.0) / WAVES));
  angle = fm_mul (g, fm_reshape (g, time, FM_SHAPE (B, 1)), angle);
  parts[0] = fm_sin (g, angle);
  parts[1] = fm_cos (g, angle);
  return fm_concat (g, parts, 2, -1);
}

/* A frozen projection and what is learned beside it. */
static FmTensor *
low_rank (FmGraph *g, FmTensor *x, const char *name)
{
  FmTensor *frozen, *y;

  fm_graph_push_scope (g, "%s", name);
  frozen = fm_param (g, "frozen", FM_SHAPE (D, D), fm_init_normal (0.25));
  fm_param_mark (frozen, FM_MARK_FROZEN, 1);
  y = fm_affine (g, x, frozen, NULL);
  y = fm_add (g, y, fm_linear_no_bias (g, fm_linear_no_bias (g, x, R, "down"), D, "up"));
  fm_graph_pop_scope (g);
  return y;
}

static FmTensor *
modulate (FmGraph *g, FmTensor *x, FmTensor *steer, const char *name)
{
  FmTensor *both = fm_reshape (g, fm_linear (g, steer, 2 * D, name), FM_SHAPE (B, 1, 2 * D));

  x = fm_mul (g, fm_layer_norm (g, x, NULL, NULL, 1e-6), fm_add_scalar (g, fm_slice (g, both, -1, 0, D), 1.0));
  return fm_add (g, x, fm_slice (g, both, -1, D, D));
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *clean = fm_graph_input (g, "clean", FM_F32, FM_SHAPE (B, N, D));
  FmTensor *noise = fm_graph_input (g, "noise", FM_F32, FM_SHAPE (B, N, D));
  FmTensor *time = fm_graph_input (g, "time", FM_F32, FM_SHAPE (B));
  FmTensor *given = fm_graph_input (g, "given", FM_F32, FM_SHAPE (B, N, 1));
  FmTensor *t = fm_reshape (g, time, FM_SHAPE (B, 1, 1)), *steer, *x, *h, *q, *k, *v, *error;

  given = fm_less (g, given, fm_constant (g, FM_F32, FM_SHAPE (1), -0.5));
  x = fm_add (g, fm_mul (g, clean, t), fm_mul (g, noise, fm_add_scalar (g, fm_neg (g, t), 1.0)));
  x = fm_where (g, given, clean, x); /* what is given stays as it is */

  steer = fm_silu (g, fm_linear (g, embed_time (g, time), D, "time"));
  h = modulate (g, x, steer, "steer1");
  q = fm_split_heads (g, low_rank (g, h, "q"), H);
  k = fm_split_heads (g, low_rank (g, h, "k"), H);
  v = fm_split_heads (g, low_rank (g, h, "v"), H);
  x = fm_add (g, x, fm_merge_heads (g, fm_attention (g, "core", q, k, v, 1.0 / sqrt (D / H), NULL)));
  h = modulate (g, x, steer, "steer2");
  x = fm_add (g, x, fm_linear (g, fm_gelu_tanh (g, fm_linear (g, h, 2 * D, "up")), D, "down"));

  error = fm_sub (g, x, fm_sub (g, clean, noise));
  error = fm_mul (g, fm_square (g, error), fm_sub (g, fm_constant (g, FM_F32, FM_SHAPE (1), 1.0), given));
  return fm_mean_all (g, error);
}

FM_MODEL (adaptive_block, .name = "adaptive-block", .card = "ic-lora", .build = build, .inputs = { { "time", 0, 1 } });
