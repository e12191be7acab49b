/* buckets.c: indices that are computed: permutations, segments, packed batches, places at experts, buckets of a hash. All are
 * compositions; counts are taken in f32, which is exact up to 2^24. */
#include "config.h"

#include "compute/compute-private.h"

#define MOST_COUNTED (1 << 24)

static FmTensor *
i32 (FmGraph *g, gint64 value)
{
  return fm_constant (g, FM_I32, FM_SHAPE (1), (gdouble) value);
}

FmTensor *
fm_inverse_permutation (FmGraph *g, FmTensor *index)
{
  FM_REFUSE_NULL (g, "inverse permutation", index);
  if (!fm_graph_failed (g) && index->type != FM_I32)
    return fm_graph_fail (g, "inverse-permutation", "the index must be i32");
  return fm_argsort (g, index, FALSE);
}

/* --- Segments and packed batches ----------------------------------------------------------------------------------*/

FmTensor *
fm_segment_mean (FmGraph *g, FmTensor *x, FmTensor *index, gint64 segments)
{
  FM_REFUSE_NULL (g, "segment mean", x, index);
  FmTensor *sum = fm_scatter_add_rows (g, x, index, segments), *count;
  FmShape shape;

  if (fm_graph_failed (g))
    return g->poison;
  count = fm_scatter_add_rows (g, fm_constant (g, FM_F32, index->shape, 1.0), index, segments);
  shape = sum->shape;
  for (guint a = 1; a < shape.rank; a++)
    shape.dims[a] = 1;
  count = fm_maximum (g, count, fm_constant (g, FM_F32, FM_SHAPE (1), 1.0));
  return fm_div (g, sum, fm_reshape (g, count, shape));
}

FmTensor *
fm_segment_ids (FmGraph *g, FmTensor *offsets, gint64 n)
{
  FM_REFUSE_NULL (g, "segment ids", offsets);
  return fm_sub (g, fm_search_sorted (g, offsets, fm_iota (g, n), TRUE), i32 (g, 1));
}

FmTensor *
fm_pack_offsets (FmGraph *g, FmTensor *lengths)
{
  FmTensor *parts[2];

  FM_REFUSE_NULL (g, "pack", lengths);
  if (lengths->type != FM_I32 || lengths->shape.rank != 1)
    return fm_graph_fail (g, "pack", "wants lengths as i32 [B]");
  parts[0] = i32 (g, 0);
  parts[1] = fm_cast (g, fm_cumsum (g, fm_cast (g, lengths, FM_F32), 0, FALSE), FM_I32);
  return fm_concat (g, parts, 2, 0);
}

FmTensor *
fm_pack_index (FmGraph *g, FmTensor *lengths, gint64 n, gint64 capacity)
{
  FmTensor *offsets = fm_pack_offsets (g, lengths), *place, *item, *index;
  gint64 batch;

  if (fm_graph_failed (g))
    return g->poison;
  batch = lengths->shape.dims[0];
  if (n < 1 || capacity < 1 || capacity > MOST_COUNTED || n > MOST_COUNTED / batch)
    return fm_graph_fail (g, "pack", "%" G_GINT64_FORMAT " rows of %" G_GINT64_FORMAT " into %" G_GINT64_FORMAT
                          "; wants 1 to 2^24 of both", batch, n, capacity);
  place = fm_iota (g, capacity);
  item = fm_segment_ids (g, offsets, capacity);
  index = fm_add (g, fm_mul (g, item, i32 (g, n)), fm_sub (g, place, fm_gather_rows (g, offsets, item)));
  return fm_where (g, fm_less (g, item, i32 (g, batch)), index, i32 (g, -1));
}

FmTensor *
fm_unpack_index (FmGraph *g, FmTensor *lengths, gint64 n)
{
  FmTensor *offsets = fm_pack_offsets (g, lengths), *place;
  gint64 batch;

  if (fm_graph_failed (g))
    return g->poison;
  batch = lengths->shape.dims[0];
  if (n < 1 || n > MOST_COUNTED / batch)
    return fm_graph_fail (g, "pack", "%" G_GINT64_FORMAT " rows of %" G_GINT64_FORMAT "; wants 1 to 2^24", batch, n);
  place = fm_iota (g, n);
  offsets = fm_reshape (g, fm_slice (g, offsets, 0, 0, batch), FM_SHAPE (batch, 1));
  return fm_where (g, fm_less (g, place, fm_reshape (g, lengths, FM_SHAPE (batch, 1))), fm_add (g, offsets, place),
                   i32 (g, -1));
}

/* --- Experts ------------------------------------------------------------------------------------------------------*/

FmTensor *
fm_expert_slots (FmGraph *g, FmTensor *expert, gint64 experts, gint64 capacity)
{
  FM_REFUSE_NULL (g, "expert slots", expert);
  FmTensor *sent, *place, *slot, *kept;
  gint64 n;

  if (fm_graph_failed (g))
    return g->poison;
  if (expert->type != FM_I32 || expert->shape.rank != 1)
    return fm_graph_fail (g, "expert-slots", "wants the experts as i32 [T]");
  n = expert->shape.dims[0];
  if (experts < 1 || capacity < 1 || capacity > MOST_COUNTED / experts || n > MOST_COUNTED)
    return fm_graph_fail (g, "expert-slots", "%" G_GINT64_FORMAT " experts of %" G_GINT64_FORMAT " slots; wants 1 to 2^24 "
                          "in all", experts, capacity);
  sent = fm_one_hot (g, expert, experts); /* [T,E] */
  place = fm_sum (g, fm_mul (g, sent, fm_cumsum (g, sent, 0, TRUE)), -1);
  kept = fm_mul (g, fm_less (g, place, fm_constant (g, FM_F32, FM_SHAPE (1), (gdouble) capacity)), fm_sum (g, sent, -1));
  slot = fm_add (g, fm_mul (g, expert, i32 (g, capacity)), fm_cast (g, place, FM_I32));
  return fm_where (g, kept, slot, i32 (g, -1));
}

FmTensor *
fm_expert_choice (FmGraph *g, FmTensor *scores, gint64 capacity, FmTensor **token)
{
  if (token)
    *token = g->poison;
  FM_REFUSE_NULL (g, "expert choice", scores);
  if (!fm_graph_failed (g) && scores->shape.rank != 2)
    {
      *token = g->poison;
      return fm_graph_fail (g, "expert-choice", "wants scores as [T,E]");
    }
  return fm_top_k (g, fm_transpose (g, scores, 0, 1), capacity, token);
}

FmTensor *
fm_top_p (FmGraph *g, FmTensor *probs, gdouble p, gint64 most, FmTensor **index)
{
  if (index)
    *index = g->poison;
  FM_REFUSE_NULL (g, "top p", probs);
  FmTensor *top = fm_top_k (g, probs, most, index), *kept;

  kept = fm_less (g, fm_cumsum (g, top, -1, TRUE), fm_constant (g, FM_F32, FM_SHAPE (1), p));
  return fm_mul (g, top, kept);
}

/* --- Hashes -------------------------------------------------------------------------------------------------------*/

FmTensor *
fm_hash_rotations (FmGraph *g, FmTensor *x, FmTensor *rotations)
{
  FM_REFUSE_NULL (g, "hash rotations", x, rotations);
  FmTensor *both[2];

  both[0] = fm_matmul (g, x, rotations, 0);
  both[1] = fm_neg (g, both[0]);
  return fm_argmax (g, fm_concat (g, both, 2, -1), -1);
}

FmTensor *
fm_hash_signs (FmGraph *g, FmTensor *x)
{
  FM_REFUSE_NULL (g, "hash signs", x);
  FmTensor *weight;
  gint64 bits;

  if (fm_graph_failed (g))
    return g->poison;
  bits = x->shape.rank < 1 ? 0 : x->shape.dims[x->shape.rank - 1];
  if (bits < 1 || bits > 24)
    return fm_graph_fail (g, "hash-signs", "%" G_GINT64_FORMAT " bits; takes 1 to 24", bits);
  /* 2^j, exactly: by doubling a constant, where exp() would be near it only. */
  {
    g_autofree FmTensor **powers = g_new (FmTensor *, bits);

    for (gint64 j = 0; j < bits; j++)
      powers[j] = fm_constant (g, FM_F32, FM_SHAPE (1), (gdouble) (1 << j));
    weight = fm_concat (g, powers, (guint) bits, 0);
  }
  return fm_cast (g, fm_sum (g, fm_mul (g, fm_less (g, fm_constant (g, FM_F32, FM_SHAPE (1), 0.0), x), weight), -1), FM_I32);
}
