/* landmark.c: the softmax in two levels of landmark attention, as a composition; it has no op of its own.
 *
 * Keys lie in blocks of l + 1, the last of each its landmark; the last block may be unfinished. Query i stands at key
 * i + Nk - Nq. Its upper group are the keys of its own block up to itself, landmark excepted, and the landmarks of the blocks
 * before; each earlier block is a group of its own, landmark excepted. A key weighs what its softmax says, times the share
 * of its landmark if it is in an earlier block. Both levels stay logarithms up to one exponential at the end. */
#include "config.h"

#include "compute/compute-private.h"

#include <float.h>
#include <math.h>

FM_OPS (landmark, NULL);

static FmTensor *
number (FmGraph *g, gdouble value)
{
  return fm_constant (g, FM_F32, FM_SHAPE (1), value);
}

static FmTensor *
hide (FmGraph *g, FmTensor *visible, FmTensor *x)
{
  return fm_where (g, visible, x, number (g, -INFINITY));
}

/* Log of sums along the last axis, kept, and finite where there is nothing to sum: less it, -inf stays -inf. */
static FmTensor *
log_sums (FmGraph *g, FmTensor *x)
{
  FmTensor *sums = fm_maximum (g, fm_log_sum_exp (g, x, -1), number (g, -FLT_MAX));
  FmShape shape;

  if (fm_graph_failed (g))
    return g->poison;
  shape = x->shape;
  shape.dims[shape.rank - 1] = 1;
  return fm_reshape (g, sums, shape);
}

/**
 * fm_landmark_softmax:
 * @scores: f32 `[..,Nq,Nk]`, Nk >= Nq; what lies after a query is not read
 * @scale: factor applied before the exponentials
 * @block: keys of a block with its landmark, 2 or more
 *
 * Rows sum to 1, also those of landmarks, which see what the key before them sees; a row whose visible scores are all -inf
 * gives zeros, and so does a block whose landmark is. For retrieved blocks: whole blocks, gathered in front of the rest.
 *
 * Source: Mohtashami and Jaggi 2023, arXiv:2305.16300, section 3.1. O(Nq Nk) memory. Returns: f32 `[..,Nq,Nk]`
 */
FmTensor *
fm_landmark_softmax (FmGraph *g, FmTensor *scores, gdouble scale, gint64 block)
{
  FM_REFUSE_NULL (g, "landmark softmax", scores);
  FmTensor *place, *key, *own, *earlier, *inside, *mine, *landmark, *top[2], *total, *log_weight;
  FmShape shape;
  gint64 lead, nq, nk, blocks;

  if (fm_graph_failed (g))
    return g->poison;
  nq = fm_tensor_get_dim (scores, -2);
  nk = fm_tensor_get_dim (scores, -1);
  if (scores->type != FM_F32 || scores->shape.rank < 2 || nk < nq || block < 2 || block > G_MAXINT32)
    {
      g_autofree char *s = fm_shape_to_string (&scores->shape);

      return fm_graph_fail (g, "landmark-softmax", "scores %s in blocks of %" G_GINT64_FORMAT "; wants f32 [..,Nq,Nk], not more "
                            "queries than keys, and blocks of 2 or more", s, block);
    }
  shape = scores->shape;
  lead = fm_shape_count (&shape) / (nq * nk);
  block = MIN (block, nk + 1); /* one unfinished block, however large */
  blocks = (nk + block - 1) / block;
  if (scale != 1.0)
    scores = fm_mul_scalar (g, scores, scale);
  scores = fm_reshape (g, fm_pad (g, scores, -1, 0, blocks * block - nk), FM_SHAPE (lead, nq, blocks, block));

  /* Where each query stands, [Nq,1,1], and the keys, [C,l]; numbers of blocks follow by comparing with their ends. */
  place = fm_add (g, fm_iota (g, nq), fm_constant (g, FM_I32, FM_SHAPE (1), (gdouble) (nk - nq)));
  place = fm_reshape (g, place, FM_SHAPE (nq, 1, 1));
  key = fm_slice (g, fm_reshape (g, fm_iota (g, blocks * block), FM_SHAPE (blocks, block)), 1, 0, block - 1);
  landmark = fm_slice (g, fm_reshape (g, fm_iota (g, blocks * block), FM_SHAPE (blocks, block)), 1, block - 1, 1); /* [C,1] */
  earlier = fm_less (g, landmark, place);                                              /* [Nq,C,1]: the block is behind */
  own = fm_mul (g, fm_less_equal (g, key, place), fm_sub (g, number (g, 1.0), earlier)); /* [Nq,C,l] */

  inside = fm_slice (g, scores, -1, 0, block - 1);                            /* [lead,Nq,C,l] */
  landmark = hide (g, earlier, fm_slice (g, scores, -1, block - 1, 1));       /* [lead,Nq,C,1] */
  mine = hide (g, own, inside);
  inside = hide (g, earlier, inside);
  top[0] = fm_reshape (g, mine, FM_SHAPE (lead, nq, blocks * (block - 1)));
  top[1] = fm_reshape (g, landmark, FM_SHAPE (lead, nq, blocks));
  total = fm_reshape (g, log_sums (g, fm_concat (g, top, 2, -1)), FM_SHAPE (lead, nq, 1, 1));
  /* One of the two is -inf everywhere: a key is in the query's own block or in an earlier one. */
  inside = fm_add (g, fm_sub (g, inside, log_sums (g, inside)), fm_sub (g, landmark, total));
  mine = fm_sub (g, mine, total);
  log_weight = fm_where (g, own, mine, inside);

  log_weight = fm_reshape (g, fm_pad (g, fm_exp (g, log_weight), -1, 0, 1), FM_SHAPE (lead, nq, blocks * block));
  return fm_reshape (g, fm_slice (g, log_weight, -1, 0, nk), shape);
}
