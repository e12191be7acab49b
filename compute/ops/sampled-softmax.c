/* sampled-softmax.c: cross-entropy over few of many classes, and the law that chooses them; compositions.
 *
 * Indices are whole numbers made of whole numbers (random.c), so that every backend draws the same; their probabilities
 * are floats. */
#include "config.h"

#include "compute/compute-private.h"

#include <math.h>

FM_OPS (sampled_softmax, NULL);

/**
 * fm_random_index_log_p:
 * @index: i32
 * @n: as of fm_random_index()
 *
 * -log n, or log (log (1 + 1 / (i + 1)) / log (n + 1)). Error: 4 roundings of the result.
 */
FmTensor *
fm_random_index_log_p (FmGraph *g, FmTensor *index, gint64 n, gboolean log_uniform)
{
  FM_REFUSE_NULL (g, "random index log p", index);
  FmTensor *i;

  if (fm_graph_failed (g))
    return g->poison;
  if (index->type != FM_I32 || n < 1 || n > 1 << 24)
    return fm_graph_fail (g, "random-index", "%" G_GINT64_FORMAT " indices: must be 1 to 2^24, and an index i32", n);
  if (!log_uniform)
    return fm_constant (g, FM_F32, index->shape, -log ((gdouble) n));
  i = fm_minimum (g, fm_maximum (g, index, fm_constant (g, FM_I32, FM_SHAPE (1), 0)),
                  fm_constant (g, FM_I32, FM_SHAPE (1), (gdouble) (n - 1)));
  i = fm_log (g, fm_log1p (g, fm_reciprocal (g, fm_add_scalar (g, fm_cast (g, i, FM_F32), 1.0))));
  return fm_add_scalar (g, i, -log (log ((gdouble) n + 1.0)));
}

/**
 * fm_sampled_softmax:
 * @positive: f32 `[T]`
 * @negative: f32 `[T,S]`; -inf leaves a sample out of a row
 *
 * -log of the target's share among itself and the samples, logits less log q. With q the law the samples were drawn from,
 * the mean of its gradients tends to that of the full cross-entropy as S grows. The samples' number, which the expected
 * counts S q would bring in, is the same for all and cancels. A sample that is drawn twice counts twice.
 *
 * Source: Jean et al. 2014, arXiv:1412.2007, section 3.1; Bengio and Senécal 2008, doi:10.1109/TNN.2007.912312.
 */
FmTensor *
fm_sampled_softmax (FmGraph *g, FmTensor *positive, FmTensor *negative, FmTensor *target, FmTensor *sampled,
                    FmTensor *log_q_positive, FmTensor *log_q_negative)
{
  FM_REFUSE_NULL (g, "sampled softmax", positive, negative, target, sampled);
  FmTensor *hit, *both[2];
  gint64 t, s;

  if (fm_graph_failed (g))
    return g->poison;
  t = fm_tensor_get_dim (negative, 0);
  s = fm_tensor_get_dim (negative, -1);
  if (positive->type != FM_F32 || negative->type != FM_F32 || target->type != FM_I32 || sampled->type != FM_I32
      || positive->shape.rank != 1 || negative->shape.rank != 2 || target->shape.rank != 1 || sampled->shape.rank != 1
      || positive->shape.dims[0] != t || target->shape.dims[0] != t || sampled->shape.dims[0] != s)
    {
      g_autofree char *shape = fm_shape_to_string (&negative->shape);

      return fm_graph_fail (g, "sampled-softmax", "negative logits %s; wants f32 [T,S], and for it f32 [T], i32 [T], i32 [S]",
                            shape);
    }
  if (log_q_positive)
    positive = fm_sub (g, positive, log_q_positive);
  if (log_q_negative)
    negative = fm_sub (g, negative, log_q_negative);
  hit = fm_equal (g, fm_reshape (g, target, FM_SHAPE (t, 1)), sampled); /* [T,S] */
  both[0] = fm_reshape (g, positive, FM_SHAPE (t, 1));
  both[1] = fm_where (g, hit, fm_constant (g, FM_F32, FM_SHAPE (1), -INFINITY), negative);
  /* The target is class 0 of these; a negative one stays negative and so outside. */
  target = fm_minimum (g, target, fm_constant (g, FM_I32, FM_SHAPE (1), 0));
  return fm_cross_entropy (g, fm_concat (g, both, 2, 1), target);
}
