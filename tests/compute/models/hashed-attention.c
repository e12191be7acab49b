/* hashed-attention.c: attention among tokens of one bucket, by sorting.
 * Source: card lra: Reformer, Kitaev, Kaiser, Levskaya 2020, arXiv:2001.04451, section 2: shared queries and keys are hashed
 * by random rotations, tokens sorted by bucket, each chunk of the order attends to itself and the chunk before, results go
 * back to where the tokens stood. One round of hashing.
 * Shapes: B, N tokens, D width, C tokens of a chunk, R rotations (2 R buckets). */
#include "models.h"

#include <math.h>

enum { B = 3, N = 24, D = 12, C = 6, R = 3, CLASSES = 5 };

static FmTensor *
chunks (FmGraph *g, FmTensor *x, FmTensor *order)
{
  return fm_reshape (g, fm_gather (g, x, 1, order), FM_SHAPE (B, N / C, C, D));
}

/* [B,N/C,C,D] -> [B,N/C,2C,D]: the chunk before, the last before the first, and the chunk. */
static FmTensor *
with_neighbour (FmGraph *g, FmTensor *x)
{
  FmTensor *both[] = { fm_roll (g, x, 1, 1), x };

  return fm_concat (g, both, 2, 2);
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_norm (g, fm_graph_input (g, "x", FM_F32, FM_SHAPE (B, N, D)), "norm");
  FmTensor *rotations = fm_graph_input (g, "rotations", FM_F32, FM_SHAPE (D, R));
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (B, N));
  FmTensor *qk = fm_linear_no_bias (g, x, D, "query-key"), *v = fm_linear_no_bias (g, x, D, "value");
  FmTensor *bucket, *order, *q, *k, *same, *score, *y;

  bucket = fm_hash_rotations (g, fm_stop_gradient (g, qk), rotations); /* [B,N] */
  order = fm_argsort (g, bucket, FALSE);                              /* stable: by bucket, then by place */
  q = chunks (g, qk, order);
  k = with_neighbour (g, fm_rms_norm (g, q, NULL, 1e-6));
  v = with_neighbour (g, chunks (g, v, order));

  score = fm_mul_scalar (g, fm_matmul (g, q, k, FM_TRANS_B), 1.0 / sqrt (D)); /* [B,N/C,C,2C] */
  bucket = fm_reshape (g, fm_gather (g, bucket, 1, order), FM_SHAPE (B, N / C, C, 1));
  {
    FmTensor *both[] = { fm_roll (g, bucket, 1, 1), bucket };

    same = fm_equal (g, bucket, fm_transpose (g, fm_concat (g, both, 2, 2), 2, 3));
  }
  score = fm_where (g, same, score, fm_constant (g, FM_F32, FM_SHAPE (1), -INFINITY));
  y = fm_reshape (g, fm_matmul (g, fm_softmax (g, score, 1.0), v, 0), FM_SHAPE (B, N, D));
  y = fm_gather (g, y, 1, fm_inverse_permutation (g, order));
  y = fm_linear (g, fm_add (g, x, y), CLASSES, "head");
  return fm_mean (g, fm_mean (g, fm_cross_entropy (g, y, target), 0), 0);
}

FM_MODEL (hashed_attention, .name = "hashed-attention", .card = "lra", .build = build,
          .inputs = { { "target", 0, CLASSES - 1 } });
