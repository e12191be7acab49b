/* rows.h: for ops that work along the last axis: x seen as [rows, n], dealt to threads in groups of rows that follow
 * from the shape alone. */
#pragma once

#include "compute/compute-private.h"

FM_INLINE gint64
fm_rows_width (const FmTensor *x)
{
  return x->shape.dims[x->shape.rank - 1];
}

FM_INLINE gint64
fm_rows_count (const FmTensor *x)
{
  return fm_shape_count (&x->shape) / fm_rows_width (x);
}

FM_INLINE gint64
fm_rows_group (gint64 n)
{
  return MAX (1, FM_CPU_BLOCK / n);
}

/* The shape of @x without its last axis; [1] for a vector. */
FM_INLINE FmShape
fm_rows_shape (const FmTensor *x)
{
  FmShape shape = x->shape;

  if (shape.rank == 1)
    shape.dims[0] = 1;
  else
    shape.rank--;
  return shape;
}
