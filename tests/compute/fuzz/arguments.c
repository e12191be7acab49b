/* arguments.c: answers to what a generated call asks for. */
#include "builders.h"

#include <math.h>

static guint
below (FmArguments *a, guint n)
{
  return (guint) fm_random_below (&a->random, n);
}

FmTensor *
fm_argument_tensor (FmArguments *a)
{
  FmTensor *t = g_ptr_array_index (a->pool, below (a, a->pool->len));

  /* Operands often have one shape, so half of the time the next one has that of the last. */
  if (!a->nasty && a->last && below (a, 2) == 0)
    for (guint i = 0; i < 8 && !(fm_shape_equal (&t->shape, &a->last->shape) && t->type == a->last->type); i++)
      t = g_ptr_array_index (a->pool, below (a, a->pool->len));
  if (a->nasty && below (a, 6) == 0)
    return NULL;
  a->last = t;
  return t;
}

guint
fm_argument_list (FmArguments *a, FmTensor **list)
{
  guint n = below (a, FM_ARGUMENT_LIST) + 1;

  for (guint i = 0; i < n; i++)
    list[i] = fm_argument_tensor (a);
  return a->nasty && below (a, 6) == 0 ? 0 : n;
}

gint
fm_argument_axis (FmArguments *a)
{
  static const gint bad[] = { -7, 7, 99, G_MAXINT, G_MININT };
  gint rank = a->last ? (gint) a->last->shape.rank : 1;

  return a->nasty && below (a, 3) == 0 ? bad[below (a, G_N_ELEMENTS (bad))] : (gint) below (a, 2 * (guint) rank) - rank;
}

guint
fm_argument_flags (FmArguments *a)
{
  return a->nasty && below (a, 4) == 0 ? 0xFFFFFFFFu : below (a, 4);
}

guint
fm_argument_count (FmArguments *a)
{
  return below (a, (a->last ? a->last->shape.rank : 1) + 1);
}

gint64
fm_argument_size (FmArguments *a)
{
  static const gint64 bad[] = { -1, 0, -99, 1 << 20, G_MAXINT32, G_MAXINT64, G_MININT64, G_MAXINT64 / 4 };

  return a->nasty && below (a, 2) == 0 ? bad[below (a, G_N_ELEMENTS (bad))] : below (a, 5);
}

gdouble
fm_argument_real (FmArguments *a)
{
  static const gdouble bad[] = { -1, 0, 1e300, INFINITY, -INFINITY, NAN };

  return a->nasty && below (a, 2) == 0 ? bad[below (a, G_N_ELEMENTS (bad))] : 0.25 + 0.5 * fm_random_uniform (&a->random);
}

gboolean
fm_argument_truth (FmArguments *a)
{
  return below (a, 2) == 1;
}

const char *
fm_argument_name (FmArguments *a)
{
  static const char * const names[] = { "one", "two", "three", "four", "five", "six", "seven", "eight" };

  return a->nasty && below (a, 5) == 0 ? "" : names[below (a, G_N_ELEMENTS (names))];
}

FmShape
fm_argument_shape (FmArguments *a)
{
  FmShape shape = { .rank = 1 + below (a, 4) };

  if (!a->nasty && a->last && below (a, 2)) /* what reshape and expand can make of the last */
    {
      shape = a->last->shape;
      if (shape.rank > 1 && below (a, 2))
        {
          shape.rank--;
          shape.dims[shape.rank - 1] *= shape.dims[shape.rank];
        }
      return shape;
    }
  if (a->nasty && below (a, 5) == 0)
    shape.rank = below (a, 2) ? 0 : FM_MAX_RANK + 3;
  for (guint i = 0; i < MIN (shape.rank, FM_MAX_RANK); i++)
    shape.dims[i] = a->nasty ? fm_argument_size (a) : 1 + below (a, 5);
  return shape;
}

FmType
fm_argument_type (FmArguments *a)
{
  return a->nasty ? below (a, 6) : FM_F32;
}

FmInit
fm_argument_init (FmArguments *a)
{
  return fm_init_normal (fm_argument_real (a));
}

const gint *
fm_argument_axes (FmArguments *a)
{
  guint rank = a->last ? a->last->shape.rank : 1;

  for (guint i = 0; i < FM_MAX_RANK; i++)
    a->axes[i] = a->nasty && below (a, 4) == 0 ? fm_argument_axis (a) : (gint) i;
  for (guint i = rank; i-- > 1;)
    {
      guint k = below (a, i + 1);
      gint axis = a->axes[i];

      a->axes[i] = a->axes[k];
      a->axes[k] = axis;
    }
  return a->axes;
}

const gint64 *
fm_argument_sizes (FmArguments *a)
{
  for (guint i = 0; i < FM_MAX_RANK; i++)
    a->sizes[i] = fm_argument_size (a);
  return a->sizes;
}

const FmAttentionMask *
fm_argument_mask (FmArguments *a)
{
  if (below (a, 3) == 0)
    return NULL;
  a->mask = (FmAttentionMask){ .causal = below (a, 2) == 1 };
  if (below (a, 2))
    a->mask.window = fm_argument_size (a);
  if (below (a, 3) == 0)
    a->mask.block = fm_argument_size (a);
  if (a->nasty && below (a, 3) == 0)
    a->mask.key_lengths = fm_argument_tensor (a);
  if (a->nasty && below (a, 2))
    {
      FmTensor **tensors[] = { &a->mask.layout, &a->mask.segments, &a->mask.key_segments, &a->mask.distance,
                               &a->mask.bias };

      *tensors[below (a, G_N_ELEMENTS (tensors))] = fm_argument_tensor (a);
      a->mask.dilation = fm_argument_size (a);
      a->mask.globals = fm_argument_size (a);
      a->mask.layout_block = fm_argument_size (a);
    }
  return &a->mask;
}

const FmConvWindow *
fm_argument_window (FmArguments *a)
{
  gint64 *numbers = (gint64 *) &a->window;

  if (below (a, 4) == 0)
    return NULL;
  for (guint i = 0; i < sizeof a->window / sizeof *numbers; i++)
    numbers[i] = a->nasty ? fm_argument_size (a) : below (a, 3);
  return &a->window;
}
