/* span-summaries.c: each token reads its own span and a summary of every span before it, under one softmax.
 * Source: card combiner: local logits and logits of span summaries, concatenated before the softmax; summaries by the largest
 * so far and by the mean. The last span of each row is partly padding.
 * Shapes: B, N tokens in S spans of W, D width. */
#include "models.h"

#include <math.h>

enum { B = 3, N = 14, W = 4, S = 4, D = 12, CLASSES = 6 };

/* f32 [n,m]: 1 where the row's number is above the column's, or also where it is equal. */
static FmTensor *
above (FmGraph *g, gint64 n, gint64 m, gboolean equal)
{
  FmTensor *row = fm_reshape (g, fm_iota (g, n), FM_SHAPE (n, 1)), *column = fm_iota (g, m);

  return equal ? fm_greater_equal (g, row, column) : fm_greater (g, row, column);
}

static FmTensor *
hide (FmGraph *g, FmTensor *visible, FmTensor *logits)
{
  return fm_where (g, visible, logits, fm_constant (g, FM_F32, FM_SHAPE (1), -INFINITY));
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (B, N, D));
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (B, N));
  FmTensor *spans = fm_reshape (g, fm_pad (g, fm_norm (g, x, "norm"), 1, 0, S * W - N), FM_SHAPE (B, S, W, D));
  FmTensor *q = fm_linear (g, spans, D, "q"), *k = fm_linear (g, spans, D, "k"), *v = fm_linear (g, spans, D, "v");
  FmTensor *summary, *logits[2], *values[2], *weights, *y;
  gdouble scale = 1.0 / sqrt (D);

  /* The largest of a span, by the running maximum's last entry, plus its mean. */
  summary = fm_slice (g, fm_cummax (g, k, 2, NULL), 2, W - 1, 1);
  summary = fm_reshape (g, fm_add (g, summary, fm_mean_keep (g, k, 2)), FM_SHAPE (B, S, D));
  values[1] = fm_reshape (g, fm_max_keep (g, v, 2), FM_SHAPE (B, 1, S, D));
  values[1] = fm_expand (g, values[1], FM_SHAPE (B, S, S, D));
  values[0] = v;

  logits[0] = hide (g, above (g, W, W, TRUE), fm_matmul (g, q, k, FM_TRANS_B));               /* [B,S,W,W] */
  logits[1] = fm_matmul (g, q, fm_reshape (g, summary, FM_SHAPE (B, 1, S, D)), FM_TRANS_B);    /* [B,S,W,S] */
  logits[1] = hide (g, fm_reshape (g, above (g, S, S, FALSE), FM_SHAPE (S, 1, S)), logits[1]);
  weights = fm_softmax (g, fm_concat (g, logits, 2, -1), scale);
  y = fm_matmul (g, weights, fm_concat (g, values, 2, 2), 0);

  y = fm_slice (g, fm_reshape (g, fm_contiguous (g, y), FM_SHAPE (B, S * W, D)), 1, 0, N);
  y = fm_add (g, x, fm_linear (g, fm_permute (g, fm_transpose (g, y, 0, 1), (const gint[]){ 1, 0, 2 }), D, "out"));
  return fm_mean_all (g, fm_cross_entropy (g, fm_linear (g, y, CLASSES, "head"), target));
}

FM_MODEL (span_summaries, .name = "span-summaries", .card = "combiner", .build = build,
          .inputs = { { "target", 0, CLASSES - 1 } });
