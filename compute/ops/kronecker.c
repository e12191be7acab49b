/* kronecker.c: products with structured matrices, as compositions; it has no op of its own. */
#include "config.h"

#include "compute/compute-private.h"

FM_OPS (kronecker, NULL);

FmTensor *
fm_block_diagonal (FmGraph *g, FmTensor *x, FmTensor *blocks)
{
  FM_REFUSE_NULL (g, "block diagonal", x, blocks);
  FmShape shape;
  gint64 groups, k, m;
  FmTensor *y;

  if (fm_graph_failed (g))
    return g->poison;
  shape = x->shape;
  if (x->type != FM_F32 || blocks->type != FM_F32 || blocks->shape.rank != 3
      || shape.dims[shape.rank - 1] != blocks->shape.dims[0] * blocks->shape.dims[1])
    {
      g_autofree char *sx = fm_shape_to_string (&x->shape), *sb = fm_shape_to_string (&blocks->shape);

      return fm_graph_fail (g, "block-diagonal", "x %s, blocks %s; wants f32 [..,G k] and [G,k,m]", sx, sb);
    }
  groups = blocks->shape.dims[0];
  k = blocks->shape.dims[1];
  m = blocks->shape.dims[2];
  /* The groups lead as a batch; each reads its columns where they lie. */
  y = fm_transpose (g, fm_reshape (g, x, FM_SHAPE (-1, groups, k)), 0, 1); /* [G,T,k] */
  y = fm_transpose (g, fm_matmul (g, y, blocks, 0), 0, 1);                 /* [T,G,m] */
  shape.dims[shape.rank - 1] = groups * m;
  return fm_reshape (g, y, shape);
}

/* With x as a matrix X [p,q], (A (x) B) x is A X B^T. Each factor meets all rows in one product, so that its gradient
 * is one, too. */
FmTensor *
fm_kronecker (FmGraph *g, FmTensor *x, FmTensor *a, FmTensor *b)
{
  FM_REFUSE_NULL (g, "kronecker", x, a, b);
  FmShape shape;
  gint64 p, q, r, s;
  FmTensor *y;

  if (fm_graph_failed (g))
    return g->poison;
  shape = x->shape;
  if (a->type != FM_F32 || b->type != FM_F32 || x->type != FM_F32 || a->shape.rank != 2 || b->shape.rank != 2
      || shape.dims[shape.rank - 1] != a->shape.dims[1] * b->shape.dims[1])
    {
      g_autofree char *sx = fm_shape_to_string (&x->shape), *sa = fm_shape_to_string (&a->shape);
      g_autofree char *sb = fm_shape_to_string (&b->shape);

      return fm_graph_fail (g, "kronecker", "x %s, A %s, B %s; wants f32 [..,p q], [r,p] and [s,q]", sx, sa, sb);
    }
  r = a->shape.dims[0];
  p = a->shape.dims[1];
  s = b->shape.dims[0];
  q = b->shape.dims[1];
  y = fm_matmul (g, fm_reshape (g, x, FM_SHAPE (-1, q)), b, FM_TRANS_B);                        /* [T p,s] */
  y = fm_contiguous (g, fm_transpose (g, fm_reshape (g, y, FM_SHAPE (-1, p, s)), -2, -1));      /* [T,s,p] */
  y = fm_matmul (g, fm_reshape (g, y, FM_SHAPE (-1, p)), a, FM_TRANS_B);                        /* [T s,r] */
  y = fm_transpose (g, fm_reshape (g, y, FM_SHAPE (-1, s, r)), -2, -1);                         /* [T,r,s] */
  shape.dims[shape.rank - 1] = r * s;
  return fm_reshape (g, y, shape);
}
