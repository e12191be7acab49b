/* sinkhorn.c: matrices scaled to wanted sums of rows and columns, in logarithms, as a composition; it has no op of its
 * own. With a cost and a regularisation it is entropic transport, with square scores a soft permutation. */
#include "config.h"

#include "compute/compute-private.h"

#include <float.h>
#include <math.h>

FM_OPS (sinkhorn, NULL);

#define MOST_ITERATIONS 4096

static FmTensor *
number (FmGraph *g, gdouble value)
{
  return fm_constant (g, FM_F32, FM_SHAPE (1), value);
}

/* The logarithms of masses [..,n]: -inf for none, without a slope there. */
static FmTensor *
log_mass (FmGraph *g, FmTensor *mass)
{
  FmTensor *some = fm_greater (g, mass, number (g, 0.0));

  return fm_where (g, some, fm_log (g, fm_where (g, some, mass, number (g, 1.0))), number (g, -INFINITY));
}

/* What brings the sums of x along @axis to @wanted: its logarithm less that of the sums. Sums of nothing, -inf, count as the
 * least number instead: the result then is large and finite, and added to -inf leaves that, where inf would leave NaN. */
static FmTensor *
scale_to (FmGraph *g, FmTensor *wanted, FmTensor *x, gint axis)
{
  FmTensor *sum = fm_maximum (g, fm_log_sum_exp (g, x, axis), number (g, -FLT_MAX));

  return fm_sub (g, wanted, sum);
}

/* [..,N] as a column of [..,N,1], or [..,M] as a row [..,1,M]. */
static FmTensor *
beside (FmGraph *g, FmTensor *t, gboolean column)
{
  FmShape shape;

  if (fm_graph_failed (g))
    return g->poison;
  shape = t->shape;
  if (shape.rank >= FM_MAX_RANK)
    return fm_graph_fail (g, "sinkhorn", "has too many axes");
  shape.dims[shape.rank] = column ? 1 : shape.dims[shape.rank - 1];
  if (!column)
    shape.dims[shape.rank - 1] = 1;
  shape.rank++;
  return fm_reshape (g, t, shape);
}

static gboolean
is_mass (const FmTensor *t, gint64 n)
{
  return t == NULL || (t->type == FM_F32 && fm_tensor_get_dim (t, -1) == n);
}

/**
 * fm_sinkhorn:
 * @scores: f32 `[..,N,M]`; -inf is a pair that must not be; no NaN, no +inf
 *
 * Potentials f and g, f_i = log r_i - log sum_j e^(s_ij + g_j) and likewise for columns, in turn; the result is s + f + g.
 * Nothing but logarithms is kept, so it holds for any scores: those of regularisation 1e-3 are no harder than others.
 * Gradients flow through all iterations, by all of the operands, and keep two tensors of N M for each in memory.
 *
 * Source: Cuturi 2013, arXiv:1306.0895, algorithm 1; in logarithms as Peyré and Cuturi 2018, arXiv:1803.00567, section 4.4.
 * Error: 1e-6 times the largest score in the result, which is a logarithm. Returns: f32 `[..,N,M]`
 */
FmTensor *
fm_sinkhorn (FmGraph *g, FmTensor *scores, FmTensor *rows, FmTensor *columns, gint64 iterations)
{
  FM_REFUSE_NULL (g, "sinkhorn", scores);
  FmTensor *log_rows, *log_columns, *f = NULL, *h = NULL, *with_f = NULL;
  gint64 n, m;

  if (fm_graph_failed (g))
    return g->poison;
  n = fm_tensor_get_dim (scores, -2);
  m = fm_tensor_get_dim (scores, -1);
  if (scores->type != FM_F32 || scores->shape.rank < 2 || !is_mass (rows, n) || !is_mass (columns, m))
    {
      g_autofree char *shape = fm_shape_to_string (&scores->shape);

      return fm_graph_fail (g, "sinkhorn", "scores %s; wants f32 [..,N,M], masses f32 [..,N] and [..,M]", shape);
    }
  if (iterations < 1 || iterations > MOST_ITERATIONS)
    return fm_graph_fail (g, "sinkhorn", "%" G_GINT64_FORMAT " iterations: must be 1 to %d", iterations, MOST_ITERATIONS);
  if (rows == NULL && columns == NULL)
    rows = fm_constant (g, FM_F32, FM_SHAPE (n), 1.0);
  if (rows == NULL)
    rows = fm_mul_scalar (g, fm_sum_keep (g, columns, -1), 1.0 / (gdouble) n);
  if (columns == NULL)
    columns = fm_mul_scalar (g, fm_sum_keep (g, rows, -1), 1.0 / (gdouble) m);
  log_rows = log_mass (g, rows);
  log_columns = log_mass (g, columns);
  for (gint64 i = 0; i < iterations && !fm_graph_failed (g); i++)
    {
      f = scale_to (g, log_rows, h ? fm_add (g, scores, beside (g, h, FALSE)) : scores, -1);
      with_f = fm_add (g, scores, beside (g, f, TRUE));
      h = scale_to (g, log_columns, with_f, -2);
    }
  if (fm_graph_failed (g))
    return g->poison;
  return fm_add (g, with_f, beside (g, h, FALSE));
}
