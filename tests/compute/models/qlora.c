/* qlora.c: adapters trained through weights that are stored with four bits, whose scales are stored with eight.
 * Source: card peft-survey; Dettmers et al. 2023, arXiv:2305.14314, equations 5 and 6, and section 3 for the scales. The
 * head is packed with even levels (card gpt-alt-survey).
 * Shapes: T rows, D width, F hidden width, R rank of the adapters, G inputs a group. */
#include "models.h"

enum { T = 20, D = 64, F = 96, R = 4, G = 32, CLASSES = 8 };

/* The weight that was there before, frozen; a program for inference keeps what comes out of this in states. */
static FmTensor *
packed_weight (FmGraph *g, const char *name, gint64 m, gint64 k, FmInt4 levels, FmTensor **scale)
{
  FmTensor *w = fm_param (g, name, FM_SHAPE (m, k), fm_init_normal (0.1));

  fm_param_mark (w, FM_MARK_FROZEN, 1);
  return fm_pack_int4 (g, w, G, levels, scale);
}

/* Scales less their mean as bytes with a scale of their own. */
static FmTensor *
stored_twice (FmGraph *g, FmTensor *scale)
{
  FmTensor *mean = fm_mean_all (g, scale), *step = NULL, *q;

  q = fm_quantise (g, fm_reshape (g, fm_sub (g, scale, mean), FM_SHAPE (1, -1)), &step);
  q = fm_mul (g, fm_cast (g, q, FM_F32), fm_reshape (g, step, FM_SHAPE (1, 1)));
  return fm_add (g, fm_reshape (g, q, scale->shape), mean);
}

static FmTensor *
layer (FmGraph *g, FmTensor *x, gint64 width, const char *name)
{
  FmTensor *scale, *packed, *a, *b;

  fm_graph_push_scope (g, "%s", name);
  packed = packed_weight (g, "weight", width, fm_tensor_get_dim (x, -1), FM_INT4_NORMAL, &scale);
  a = fm_param (g, "a", FM_SHAPE (R, fm_tensor_get_dim (x, -1)), fm_init_normal (0.1));
  b = fm_param (g, "b", FM_SHAPE (width, R), fm_init_normal (0.05));
  fm_graph_pop_scope (g);
  scale = fm_stop_gradient (g, stored_twice (g, scale));
  return fm_add (g, fm_affine_int4 (g, x, packed, scale, FM_INT4_NORMAL, NULL),
                 fm_affine (g, fm_affine (g, x, a, NULL), b, NULL));
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (T, D)), *scale, *head;
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (T));

  x = fm_add (g, x, layer (g, fm_gelu (g, layer (g, fm_norm (g, x, "norm"), F, "in")), D, "out"));
  head = packed_weight (g, "head", CLASSES, D, FM_INT4_EVEN, &scale);
  x = fm_affine (g, x, fm_unpack_int4 (g, head, fm_stop_gradient (g, scale), FM_INT4_EVEN), NULL);
  return fm_mean (g, fm_cross_entropy (g, x, target), 0);
}

FM_MODEL (qlora, .name = "qlora", .card = "peft-survey", .build = build, .inputs = { { "target", 0, CLASSES - 1 } });
