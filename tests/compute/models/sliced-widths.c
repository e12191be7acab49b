/* sliced-widths.c: one set of weights, three widths in a step, the narrow ones taught by the whole.
 * Source: cards slim-mtl and simq-nas: prefix slices of every weight, a norm of its own for each width, the loss of the
 * largest on the task and of the others on its answers; card inference-survey: entries below a magnitude are masked away.
 * Shapes: B, D inputs, F hidden, C classes. */
#include "models.h"

enum { B = 12, D = 10, F = 16, C = 6 };

/* Hidden units 0 to @width - 1 alone. */
static FmTensor *
answer (FmGraph *g, FmTensor *x, gint64 width)
{
  FmTensor *up = fm_param (g, "up", FM_SHAPE (F, D), fm_init_normal (0.4));
  FmTensor *down = fm_param (g, "down", FM_SHAPE (C, F), fm_init_normal (0.3));
  FmTensor *bias = fm_param (g, "bias", FM_SHAPE (F), fm_init_zeros ()), *kept, *h;
  g_autofree char *gain = g_strdup_printf ("gain%d", (int) width), *shift = g_strdup_printf ("shift%d", (int) width);

  /* Small entries are no part of it. */
  kept = fm_greater (g, fm_abs (g, up), fm_constant (g, FM_F32, FM_SHAPE (1), 0.05));
  up = fm_mul (g, up, fm_stop_gradient (g, kept));
  h = fm_affine (g, x, fm_slice (g, up, 0, 0, width), fm_slice (g, bias, 0, 0, width));
  h = fm_layer_norm (g, h, fm_param (g, gain, FM_SHAPE (width), fm_init_constant (1)),
                     fm_param (g, shift, FM_SHAPE (width), fm_init_zeros ()), 1e-5);
  return fm_affine (g, fm_tanh (g, h), fm_slice (g, down, 1, 0, width), NULL);
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (B, D));
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (B));
  FmTensor *whole = answer (g, x, F), *loss = fm_mean (g, fm_cross_entropy (g, whole, target), 0), *teacher;

  teacher = fm_stop_gradient (g, fm_softmax (g, whole, 1.0));
  for (gint64 width = F / 4; width < F; width *= 2)
    {
      FmTensor *logits = answer (g, x, width), *logs;

      logs = fm_sub (g, logits, fm_reshape (g, fm_log_sum_exp (g, logits, -1), FM_SHAPE (B, 1)));
      loss = fm_sub (g, loss, fm_mul_scalar (g, fm_sum_all (g, fm_mul (g, teacher, logs)), 1.0 / B));
    }
  return loss;
}

FM_MODEL (sliced_widths, .name = "sliced-widths", .card = "slim-mtl", .build = build,
          .inputs = { { "target", 0, C - 1 } },
          .surrogate = "the teacher of the narrow widths is a constant for the gradient");
