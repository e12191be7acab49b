/* generated-weights.c: a variational autoencoder over flat weights, conditioned on a task's vector.
 * Source: card icm-lora: "In-Context Meta LoRA Generation", 2025, stage C; noise by Kingma and Welling 2013.
 * Shapes: B vectors, W weights in each, C width of the condition, H hidden width, Z latent width. */
#include "models.h"

enum { B = 16, W = 24, C = 4, H = 12, Z = 5 };

static FmTensor *
hidden (FmGraph *g, FmTensor *a, FmTensor *b, const char *name)
{
  FmTensor *parts[] = { a, b }, *h = fm_linear (g, fm_concat (g, parts, 2, -1), H, name);

  fm_graph_push_scope (g, "%s", name);
  h = fm_leaky_relu (g, fm_batch_norm (g, h, -1, "norm", 0.1, 1e-5, TRUE), 0.2);
  fm_graph_pop_scope (g);
  return h;
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *w = fm_graph_input (g, "w", FM_F32, FM_SHAPE (B, W)), *c = fm_graph_input (g, "c", FM_F32, FM_SHAPE (B, C));
  FmTensor *e = hidden (g, w, c, "encoder"), *mean = fm_linear (g, e, Z, "mean"), *spread, *z, *kl, *made;
  FmTensor *log_variance = fm_clamp (g, fm_linear (g, e, Z, "log-variance"), -6, 6);

  spread = fm_exp (g, fm_mul_scalar (g, log_variance, 0.5));
  z = fm_add (g, mean, fm_mul (g, spread, fm_normal (g, "noise", FM_SHAPE (B, Z))));
  made = fm_linear (g, hidden (g, z, c, "decoder"), W, "out");
  /* -1/2 sum (1 + log s^2 - m^2 - s^2) */
  kl = fm_sub (g, fm_add (g, fm_square (g, mean), fm_expm1 (g, log_variance)), log_variance);
  kl = fm_mul_scalar (g, fm_mean_all (g, fm_sum (g, kl, -1)), 0.5 * 0.005);
  return fm_add (g, fm_mse (g, made, w), kl);
}

FM_MODEL (generated_weights, .name = "generated-weights", .card = "icm-lora", .build = build);
