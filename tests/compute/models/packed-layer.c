/* packed-layer.c: a layer over sequences of several lengths whose padding is taken out before and put back after;
 * bias, activation and residual go with the products (the plan fuses what the builders put in a row).
 * Source: card bytetransformer. Its fused add-bias, residual and norm needs no builder either: bias and residual end
 * the product, the norm is one pass over the row.
 * Shapes: B sequences of N places, T packed rows, D width, H heads, F hidden width. */
#include "models.h"

enum { B = 4, N = 9, T = 26, D = 16, H = 2, F = 24, CLASSES = 5 };

static const gint32 lengths[B] = { 9, 0, 4, 7 };

static void
fill (const char *input, FmType type, gpointer data, gint64 n)
{
  if (g_str_equal (input, "lengths"))
    memcpy (data, lengths, sizeof lengths);
}

static FmTensor *
weight (FmGraph *g, const char *name, gint64 rows, gint64 columns)
{
  return fm_param (g, name, FM_SHAPE (rows, columns), fm_init_normal (0.25));
}

static FmTensor *
bias (FmGraph *g, const char *name, gint64 n)
{
  return fm_param (g, name, FM_SHAPE (n), fm_init_normal (0.1));
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *padded = fm_graph_input (g, "x", FM_F32, FM_SHAPE (B * N, D)), *x, *h, *parts[3], *y, *real;
  FmTensor *length = fm_graph_input (g, "lengths", FM_I32, FM_SHAPE (B));
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (B, N));
  const FmAttentionMask own = { .segments = fm_pack_offsets (g, length) };

  x = fm_gather_rows (g, padded, fm_pack_index (g, length, N, T)); /* [T,D]; rows behind the last are 0 */
  h = fm_affine (g, fm_norm (g, x, "norm"), weight (g, "qkv", 3 * D, D), bias (g, "qkv.bias", 3 * D));
  fm_split (g, fm_reshape (g, h, FM_SHAPE (1, T, 3 * D)), -1, 3, parts);
  for (guint i = 0; i < 3; i++)
    parts[i] = fm_split_heads (g, parts[i], H);
  y = fm_reshape (g, fm_merge_heads (g, fm_attention_core (g, parts[0], parts[1], parts[2], 0.35, &own)),
                  FM_SHAPE (T, D));
  x = fm_add (g, fm_affine (g, y, weight (g, "out", D, D), bias (g, "out.bias", D)), x);
  h = fm_gelu (g, fm_affine (g, fm_norm (g, x, "norm2"), weight (g, "in", F, D), bias (g, "in.bias", F)));
  x = fm_add (g, fm_affine (g, h, weight (g, "down", D, F), bias (g, "down.bias", D)), x);

  y = fm_gather_rows (g, x, fm_unpack_index (g, length, N)); /* [B,N,D]; padding is 0 */
  real = fm_less (g, fm_iota (g, N), fm_reshape (g, length, FM_SHAPE (B, 1)));
  return fm_weighted_mean (g, fm_cross_entropy (g, fm_linear (g, y, CLASSES, "head"), target), real);
}

FM_MODEL (packed_layer, .name = "packed-layer", .card = "bytetransformer", .build = build, .fill = fill,
          .inputs = { { "target", 0, CLASSES - 1 } });
