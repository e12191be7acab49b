/* onnx-movement.c: ONNX operators that move data. */
#include "onnx-ops.h"

#include <math.h>

/* --- Products -----------------------------------------------------------------------------------------------------*/

static FmTensor *
op_gemm (Import *m)
{
  FmTensor *a = in (m, 0), *b = in (m, 1), *y;

  if (integer (m, "transA", 0))
    a = fm_transpose (m->g, a, 0, 1);
  if (integer (m, "transB", 0))
    b = fm_transpose (m->g, b, 0, 1);
  y = fm_mul_scalar (m->g, fm_matmul (m->g, a, b, 0), real (m, "alpha", 1));
  return given (m, 2) ? fm_add (m->g, y, fm_mul_scalar (m->g, in (m, 2), real (m, "beta", 1))) : y;
}

/* --- Movement -----------------------------------------------------------------------------------------------------*/

static FmTensor *
op_transpose (Import *m)
{
  FmTensor *x = in (m, 0);
  g_autoptr(GArray) perm = integers (m, "perm", 0);
  gint axes[FM_MAX_RANK];

  for (guint a = 0; a < fm_tensor_get_rank (x); a++)
    axes[a] = perm ? (gint) AT (perm, a) : (gint) (fm_tensor_get_rank (x) - 1 - a);
  return fm_permute (m->g, x, axes);
}

static FmTensor *
op_reshape (Import *m)
{
  FmTensor *x = in (m, 0);
  g_autoptr(GArray) to = integers (m, NULL, 1);
  FmShape shape = { 0 };

  if (to == NULL || to->len == 0 || to->len > FM_MAX_RANK)
    return uncovered (m, "that shape");
  shape.rank = to->len;
  for (guint a = 0; a < to->len; a++)
    shape.dims[a] = AT (to, a) == 0 ? fm_tensor_get_dim (x, a) : AT (to, a);
  return fm_reshape (m->g, x, shape);
}

static FmTensor *
op_flatten (Import *m)
{
  FmTensor *x = in (m, 0);
  gint axis = axis_of (x, integer (m, "axis", 1));
  gint64 rows = 1;

  for (gint a = 0; a < axis; a++)
    rows *= fm_tensor_get_dim (x, a);
  return fm_reshape (m->g, x, FM_SHAPE (rows, fm_tensor_get_count (x) / rows));
}

static FmTensor *
op_squeeze (Import *m)
{
  FmTensor *x = in (m, 0);
  g_autoptr(GArray) axes = integers (m, "axes", 1);
  gboolean gone[FM_MAX_RANK] = { FALSE };

  for (guint i = 0; axes && i < axes->len; i++)
    gone[axis_of (x, AT (axes, i))] = TRUE;
  for (guint a = 0; axes == NULL && a < fm_tensor_get_rank (x); a++)
    gone[a] = fm_tensor_get_dim (x, a) == 1;
  return without_axes (m->g, x, gone);
}

static FmTensor *
op_unsqueeze (Import *m)
{
  FmTensor *x = in (m, 0);
  g_autoptr(GArray) axes = integers (m, "axes", 1);
  gboolean fresh[FM_MAX_RANK] = { FALSE };
  FmShape shape = { 0 };
  guint from = 0;

  if (axes == NULL || axes->len + fm_tensor_get_rank (x) > FM_MAX_RANK)
    return uncovered (m, "a rank above %d", FM_MAX_RANK);
  shape.rank = axes->len + fm_tensor_get_rank (x);
  for (guint i = 0; i < axes->len; i++)
    fresh[AT (axes, i) < 0 ? AT (axes, i) + shape.rank : AT (axes, i)] = TRUE;
  for (guint a = 0; a < shape.rank; a++)
    shape.dims[a] = fresh[a] ? 1 : fm_tensor_get_dim (x, from++);
  return fm_reshape (m->g, x, shape);
}

static FmTensor *
op_expand (Import *m)
{
  FmTensor *x = in (m, 0);
  g_autoptr(GArray) to = integers (m, NULL, 1);
  FmShape shape = { 0 }, mine = fm_tensor_get_shape (x), out;

  for (guint a = 0; to && a < MIN (to->len, FM_MAX_RANK); a++)
    shape.dims[shape.rank++] = AT (to, a);
  if (!fm_shape_broadcast (&mine, &shape, &out))
    return uncovered (m, "that shape");
  return fm_expand (m->g, x, out);
}

static FmTensor *
op_tile (Import *m)
{
  FmTensor *x = in (m, 0), *parts[64];
  g_autoptr(GArray) times = integers (m, NULL, 1);

  for (guint a = 0; times && a < times->len; a++)
    {
      for (gint64 i = 0; i < MIN (AT (times, a), 64); i++)
        parts[i] = x;
      x = fm_concat (m->g, parts, (guint) AT (times, a), a);
    }
  return x;
}

static FmTensor *
op_concat (Import *m)
{
  FmTensor *parts[16];
  guint n = m->node->in->len;

  for (guint k = 0; k < MIN (n, 16); k++)
    parts[k] = in (m, k);
  return fm_concat (m->g, parts, n, (gint) integer (m, "axis", 0));
}

static FmTensor *
op_slice (Import *m)
{
  FmTensor *x = in (m, 0);
  g_autoptr(GArray) starts = integers (m, "starts", 1), ends = integers (m, "ends", 2);
  g_autoptr(GArray) axes = integers (m, "axes", 3), steps = integers (m, "steps", 4);

  for (guint i = 0; starts && ends && i < starts->len; i++)
    {
      gint axis = axis_of (x, axes ? AT (axes, i) : i);
      gint64 n = fm_tensor_get_dim (x, axis), start = AT (starts, i), end = AT (ends, i);

      if (steps && AT (steps, i) != 1)
        {
          gint64 step = AT (steps, i), count, last = step > 0 ? n : n - 1;

          start = CLAMP (start < 0 ? start + n : start, 0, last);
          end = CLAMP (end < 0 ? end + n : end, step > 0 ? 0 : -1, n);
          count = step > 0 ? (end - start + step - 1) / step : (start - end - step - 1) / -step;
          if (count <= 0)
            return uncovered (m, "an empty slice");
          x = fm_slice_step (m->g, x, axis, start, count, step);
          continue;
        }
      start = CLAMP (start < 0 ? start + n : start, 0, n);
      end = CLAMP (end < 0 ? end + n : end, 0, n);
      if (end <= start)
        return uncovered (m, "an empty slice");
      x = fm_slice (m->g, x, axis, start, end - start);
    }
  return x;
}

static FmTensor *
op_pad (Import *m)
{
  FmTensor *x = in (m, 0), *inside;
  g_autoptr(GArray) pads = integers (m, "pads", 1);
  const FmOnnxTensor *value = given (m, 2) ? host (m, 2) : NULL;
  guint rank = fm_tensor_get_rank (x);

  if (pads == NULL)
    return uncovered (m, "padding that is computed");
  if (!g_str_equal (word (m, "mode", "constant"), "constant"))
    {
      FmPadMode mode = g_str_equal (word (m, "mode", ""), "edge") ? FM_PAD_EDGE : FM_PAD_REFLECT;

      for (guint a = 0; a < rank; a++)
        x = fm_pad_mode (m->g, x, a, AT (pads, a), AT (pads, a + rank), mode, 0);
      return x;
    }
  inside = fm_add_scalar (m->g, fm_mul_scalar (m->g, x, 0), 1);
  for (guint a = 0; a < rank; a++)
    {
      x = fm_pad (m->g, x, a, AT (pads, a), AT (pads, a + rank));
      inside = fm_pad (m->g, inside, a, AT (pads, a), AT (pads, a + rank));
    }
  return value && value->values[0] != 0 ? fm_where (m->g, inside, x, number (m, value->values[0])) : x;
}

/* Rows of axis @axis of @x; an index below zero counts from the end. */
static FmTensor *
op_gather (Import *m)
{
  FmTensor *x = in (m, 0), *index = in (m, 1), *wrapped;
  gint axis = axis_of (x, integer (m, "axis", 0)), axes[FM_MAX_RANK];
  guint n = fm_tensor_get_rank (index), rank = fm_tensor_get_rank (x), k = 0;
  FmTensor *real_index = fm_cast (m->g, index, FM_F32);

  if (rank + n - 1 > FM_MAX_RANK)
    return uncovered (m, "a rank above %d", FM_MAX_RANK);
  wrapped = fm_where (m->g, fm_less (m->g, real_index, number (m, 0)),
                      fm_add_scalar (m->g, real_index, fm_tensor_get_dim (x, axis)), real_index);
  axes[k++] = axis;
  for (guint a = 0; a < rank; a++)
    if ((gint) a != axis)
      axes[k++] = a;
  x = fm_gather_rows (m->g, fm_contiguous (m->g, fm_permute (m->g, x, axes)), fm_cast (m->g, wrapped, FM_I32));
  k = 0; /* [S,others] -> [before,S,after] */
  for (gint a = 0; a < axis; a++)
    axes[k++] = n + a;
  for (guint a = 0; a < n; a++)
    axes[k++] = a;
  for (guint a = axis + 1; a < rank; a++)
    axes[k++] = n + a - 1;
  return fm_permute (m->g, x, axes);
}

static FmTensor *
op_top_k (Import *m)
{
  FmTensor *x = in (m, 0), *index;
  const FmOnnxTensor *k = host (m, 1);
  gint axis = axis_of (x, integer (m, "axis", -1)), last = (gint) fm_tensor_get_rank (x) - 1;

  if (k == NULL)
    return uncovered (m, "a number that is computed");
  x = fm_contiguous (m->g, fm_transpose (m->g, x, axis, last));
  if (!integer (m, "largest", 1))
    return fm_transpose (m->g, fm_neg (m->g, fm_top_k (m->g, fm_neg (m->g, x), (gint64) k->values[0], &index)), axis, last);
  return fm_transpose (m->g, fm_top_k (m->g, x, (gint64) k->values[0], &index), axis, last);
}

/* Depth to space and back: reshape, permute, reshape. @crd: channels lie outside the block's cells. */
static FmTensor *
op_depth_to_space (Import *m)
{
  FmTensor *x = in (m, 0);
  gint64 s = integer (m, "blocksize", 1), b = fm_tensor_get_dim (x, 0), c = fm_tensor_get_dim (x, 1) / (s * s);
  gint64 rows = fm_tensor_get_dim (x, 2), columns = fm_tensor_get_dim (x, 3);
  gboolean crd = g_str_equal (word (m, "mode", "DCR"), "CRD");

  x = fm_reshape (m->g, x, crd ? FM_SHAPE (b, c, s, s, rows, columns) : FM_SHAPE (b, s, s, c, rows, columns));
  x = fm_permute (m->g, x, crd ? (const gint[]){ 0, 1, 4, 2, 5, 3 } : (const gint[]){ 0, 3, 4, 1, 5, 2 });
  return fm_reshape (m->g, x, FM_SHAPE (b, c, rows * s, columns * s));
}

static FmTensor *
op_space_to_depth (Import *m)
{
  FmTensor *x = in (m, 0);
  gint64 s = integer (m, "blocksize", 1), b = fm_tensor_get_dim (x, 0), c = fm_tensor_get_dim (x, 1);
  gint64 rows = fm_tensor_get_dim (x, 2) / s, columns = fm_tensor_get_dim (x, 3) / s;

  x = fm_permute (m->g, fm_reshape (m->g, x, FM_SHAPE (b, c, rows, s, columns, s)), (const gint[]){ 0, 3, 5, 1, 2, 4 });
  return fm_reshape (m->g, x, FM_SHAPE (b, s * s * c, rows, columns));
}

/* Which part of a matrix is kept follows from the two indices. */
static FmTensor *
op_trilu (Import *m)
{
  FmTensor *x = in (m, 0), *row, *column, *keep;
  const FmOnnxTensor *k = given (m, 1) ? host (m, 1) : NULL;
  gint64 n = fm_tensor_get_dim (x, -2), w = fm_tensor_get_dim (x, -1);

  row = fm_reshape (m->g, fm_cast (m->g, fm_iota (m->g, n), FM_F32), FM_SHAPE (n, 1));
  row = fm_add_scalar (m->g, row, k ? k->values[0] : 0);
  column = fm_cast (m->g, fm_iota (m->g, w), FM_F32);
  keep = integer (m, "upper", 1) ? fm_less_equal (m->g, row, column) : fm_less_equal (m->g, column, row);
  x = fm_mul (m->g, fm_cast (m->g, x, FM_F32), keep);
  return in (m, 0)->type == FM_I32 ? fm_cast (m->g, x, FM_I32) : x;
}

/* The first of the parts; the others are slices as well. */
static FmTensor *
op_split (Import *m)
{
  FmTensor *x = in (m, 0);
  gint axis = axis_of (x, integer (m, "axis", 0));
  g_autoptr(GArray) sizes = integers (m, "split", 1);
  gint64 n = fm_tensor_get_dim (x, axis), parts = m->node->out->len;

  return fm_slice (m->g, x, axis, 0, sizes ? AT (sizes, 0) : (n + parts - 1) / parts);
}

static FmTensor *
op_one_hot (Import *m)
{
  FmTensor *index = fm_cast (m->g, in (m, 0), FM_F32), *y, *off, *on;
  const FmOnnxTensor *depth = host (m, 1);
  guint rank = fm_tensor_get_rank (index);
  gint axis = (gint) integer (m, "axis", -1), axes[FM_MAX_RANK];

  if (depth == NULL || rank >= FM_MAX_RANK)
    return uncovered (m, "that depth");
  index = fm_where (m->g, fm_less (m->g, index, number (m, 0)), fm_add_scalar (m->g, index, depth->values[0]), index);
  y = fm_one_hot (m->g, fm_cast (m->g, index, FM_I32), (gint64) depth->values[0]);
  axis = axis < 0 ? axis + (gint) rank + 1 : axis;
  for (gint a = 0, from = 0; a <= (gint) rank; a++)
    axes[a] = a == axis ? (gint) rank : from++;
  off = fm_cast (m->g, fm_slice (m->g, in (m, 2), 0, 0, 1), FM_F32);
  on = fm_cast (m->g, fm_slice (m->g, in (m, 2), 0, 1, 1), FM_F32);
  return fm_add (m->g, fm_mul (m->g, fm_permute (m->g, y, axes), fm_sub (m->g, on, off)), off);
}

static FmTensor *
op_dropout (Import *m)
{
  const FmOnnxTensor *training = given (m, 2) ? host (m, 2) : NULL;
  const FmOnnxTensor *ratio = given (m, 1) ? host (m, 1) : NULL;

  return training && training->values[0] != 0 && (ratio == NULL || ratio->values[0] != 0)
         ? uncovered (m, "draws of another generator") : in (m, 0);
}

/* The number of each element of an index among those of @x, of which it names places along @axis; an index below zero
 * counts from the end. i32, flat. */
static FmTensor *
flat_index (Import *m, FmTensor *x, FmTensor *index, gint axis)
{
  FmShape shape = fm_tensor_get_shape (index), of = fm_tensor_get_shape (x);
  gint64 n = fm_tensor_get_count (index), step = 1;
  g_autofree gdouble *base = g_new0 (gdouble, n);
  FmTensor *real_index = fm_reshape (m->g, fm_cast (m->g, index, FM_F32), FM_SHAPE (n));

  for (gint64 i = 0; i < n; i++)
    {
      gint64 rest = i, stride = 1;

      for (gint a = (gint) shape.rank - 1; a >= 0; a--)
        {
          if (a != axis)
            base[i] += (gdouble) (rest % shape.dims[a] * stride);
          rest /= shape.dims[a];
          stride *= of.dims[a];
        }
    }
  for (guint a = axis + 1; a < of.rank; a++)
    step *= of.dims[a];
  real_index = fm_where (m->g, fm_less (m->g, real_index, number (m, 0)),
                         fm_add_scalar (m->g, real_index, of.dims[axis]), real_index);
  real_index = fm_mul_scalar (m->g, real_index, step);
  return fm_cast (m->g, fm_add (m->g, real_index, numbers (m, FM_ONNX_FLOAT, FM_SHAPE (n), base)), FM_I32);
}

static FmTensor *
op_gather_elements (Import *m)
{
  FmTensor *x = in (m, 0), *index = in (m, 1);

  index = flat_index (m, x, index, axis_of (x, integer (m, "axis", 0)));
  return fm_reshape (m->g, fm_gather_rows (m->g, fm_reshape (m->g, x, FM_SHAPE (-1)), index),
                     fm_tensor_get_shape (in (m, 1)));
}

static FmTensor *
op_scatter_elements (Import *m)
{
  FmTensor *x = in (m, 0), *flat = fm_reshape (m->g, x, FM_SHAPE (-1)), *index, *values;
  const char *reduction = word (m, "reduction", "none");

  index = flat_index (m, x, in (m, 1), axis_of (x, integer (m, "axis", 0)));
  values = fm_reshape (m->g, in (m, 2), FM_SHAPE (-1));
  if (g_str_equal (reduction, "add"))
    flat = fm_add (m->g, flat, fm_scatter_add_rows (m->g, values, index, fm_tensor_get_count (x)));
  else
    flat = fm_put (m->g, flat, 0, index, values);
  return fm_reshape (m->g, flat, fm_tensor_get_shape (x));
}

/* Rows by tuples of numbers: @x's leading @batch axes are the index's too, the tuple (its last axis) names the next ones.
 * @width (out): what a row has. Returns: i32, flat, a number for each tuple. */
static FmTensor *
tuple_index (Import *m, FmTensor *x, FmTensor *index, guint batch, gint64 *width)
{
  FmShape of = fm_tensor_get_shape (x);
  gint64 n = fm_tensor_get_dim (index, -1), rows = fm_tensor_get_count (index) / n, items = 1, stride;
  g_autofree gdouble *base = g_new0 (gdouble, rows), *steps = g_new0 (gdouble, n), *sizes = g_new0 (gdouble, n);
  FmTensor *real_index = fm_reshape (m->g, fm_cast (m->g, index, FM_F32), FM_SHAPE (rows, n));

  *width = 1;
  for (guint a = batch + n; a < of.rank; a++)
    *width *= of.dims[a];
  stride = 1;
  for (gint64 k = n - 1; k >= 0; k--)
    {
      steps[k] = (gdouble) stride;
      sizes[k] = (gdouble) of.dims[batch + k];
      stride *= of.dims[batch + k];
    }
  for (guint a = 0; a < batch; a++)
    items *= of.dims[a];
  for (gint64 i = 0; i < rows; i++)
    base[i] = (gdouble) (i / (rows / items) * stride);
  real_index = fm_where (m->g, fm_less (m->g, real_index, number (m, 0)),
                         fm_add (m->g, real_index, numbers (m, FM_ONNX_FLOAT, FM_SHAPE (n), sizes)), real_index);
  real_index = fm_sum (m->g, fm_mul (m->g, real_index, numbers (m, FM_ONNX_FLOAT, FM_SHAPE (n), steps)), -1);
  return fm_cast (m->g, fm_add (m->g, real_index, numbers (m, FM_ONNX_FLOAT, FM_SHAPE (rows), base)), FM_I32);
}

static FmTensor *
op_gather_nd (Import *m)
{
  FmTensor *x = in (m, 0), *index = in (m, 1), *rows;
  guint batch = (guint) integer (m, "batch_dims", 0);
  FmShape shape = fm_tensor_get_shape (index), of = fm_tensor_get_shape (x);
  gint64 width, n = shape.dims[--shape.rank];

  for (guint a = batch + n; a < of.rank; a++)
    shape.dims[shape.rank++] = of.dims[a];
  rows = tuple_index (m, x, index, batch, &width);
  return fm_reshape (m->g, fm_gather_rows (m->g, fm_reshape (m->g, x, FM_SHAPE (-1, width)), rows), shape);
}

static FmTensor *
op_scatter_nd (Import *m)
{
  FmTensor *x = in (m, 0), *rows, *values, *flat;
  const char *reduction = word (m, "reduction", "none");
  gint64 width;

  rows = tuple_index (m, x, in (m, 1), 0, &width);
  values = fm_reshape (m->g, in (m, 2), FM_SHAPE (-1, width));
  flat = fm_reshape (m->g, x, FM_SHAPE (-1, width));
  if (g_str_equal (reduction, "mul"))
    return uncovered (m, "a scatter that multiplies");
  if (g_str_equal (reduction, "add"))
    flat = fm_add (m->g, flat, fm_scatter_add_rows (m->g, values, rows, fm_tensor_get_dim (flat, 0)));
  else
    flat = fm_put (m->g, flat, 0, rows, values);
  return fm_reshape (m->g, flat, fm_tensor_get_shape (x));
}

/* The first so many of axis @time are turned round for each item of axis @batch. */
static FmTensor *
op_reverse_sequence (Import *m)
{
  FmTensor *x = in (m, 0);
  gint time = (gint) integer (m, "time_axis", 0);
  gint64 n = fm_tensor_get_dim (x, time), b = fm_tensor_get_dim (x, 1 - time);
  const FmOnnxTensor *lengths = host (m, 1);
  g_autofree gdouble *index = g_new (gdouble, n * b);

  if (lengths == NULL || fm_tensor_get_rank (x) != 2)
    return uncovered (m, "sequences of more than numbers");
  for (gint64 i = 0; i < b; i++)
    for (gint64 t = 0; t < n; t++)
      index[i * n + t] = t < lengths->values[i] ? lengths->values[i] - 1 - (gdouble) t : (gdouble) t;
  if (time == 0)
    x = fm_contiguous (m->g, fm_transpose (m->g, x, 0, 1));
  x = fm_gather (m->g, x, 1, numbers (m, FM_ONNX_INT64, FM_SHAPE (b, n), index));
  return time == 0 ? fm_transpose (m->g, x, 0, 1) : x;
}

/* What lies where a condition holds; the condition is known before running. */
static FmTensor *
op_compress (Import *m)
{
  FmTensor *x = in (m, 0);
  const FmOnnxTensor *which = host (m, 1);
  const FmOnnxAttribute *a = fm_onnx_attribute (m->node, "axis");
  gint axis = a ? axis_of (x, a->i) : 0;
  g_autoptr(GArray) index = g_array_new (FALSE, FALSE, sizeof (gdouble));

  if (a == NULL)
    x = fm_reshape (m->g, x, FM_SHAPE (-1));
  for (gint64 i = 0; which && i < MIN (which->n, fm_tensor_get_dim (x, axis)); i++)
    {
      gdouble value = (gdouble) i;

      if (which->values[i] != 0)
        g_array_append_val (index, value);
    }
  if (index->len == 0)
    return uncovered (m, "an empty choice");
  x = fm_transpose (m->g, x, 0, axis);
  x = fm_gather_rows (m->g, fm_contiguous (m->g, x),
                      numbers (m, FM_ONNX_INT64, FM_SHAPE (index->len), (gdouble *) index->data));
  return fm_transpose (m->g, x, 0, axis);
}

static FmTensor *
op_range (Import *m)
{
  const FmOnnxTensor *start = host (m, 0), *limit = host (m, 1), *delta = host (m, 2);
  gint64 n = start && limit && delta ? (gint64) ceil ((limit->values[0] - start->values[0]) / delta->values[0]) : 0;
  FmTensor *x;

  if (n <= 0)
    return uncovered (m, "an empty range");
  x = fm_mul_scalar (m->g, fm_cast (m->g, fm_iota (m->g, n), FM_F32), delta->values[0]);
  x = fm_add_scalar (m->g, x, start->values[0]);
  return fm_onnx_is_whole (start->type) ? fm_cast (m->g, x, FM_I32) : x;
}

static FmTensor *
op_eye_like (Import *m)
{
  FmTensor *x = in (m, 0), *index = fm_cast (m->g, fm_iota (m->g, fm_tensor_get_dim (x, 0)), FM_F32);
  gint64 type = integer (m, "dtype", x->type == FM_I32 ? FM_ONNX_INT32 : FM_ONNX_FLOAT);

  index = fm_cast (m->g, fm_add_scalar (m->g, index, integer (m, "k", 0)), FM_I32);
  index = fm_one_hot (m->g, index, fm_tensor_get_dim (x, 1));
  return type == FM_ONNX_INT32 ? fm_cast (m->g, index, FM_I32) : index;
}

static FmTensor *
op_constant_of_shape (Import *m)
{
  const FmOnnxTensor *shape_of_it = host (m, 0);
  const FmOnnxAttribute *value = fm_onnx_attribute (m->node, "value");
  FmShape shape = { 0 };

  if (shape_of_it == NULL || shape_of_it->n == 0 || shape_of_it->n > FM_MAX_RANK)
    return uncovered (m, "that shape");
  for (gint64 a = 0; a < shape_of_it->n; a++)
    shape.dims[shape.rank++] = (gint64) shape_of_it->values[a];
  return fm_constant (m->g, value && value->t && fm_onnx_is_whole (value->t->type) ? FM_I32 : FM_F32, shape,
                      value && value->t && value->t->values ? value->t->values[0] : 0);
}

/* --- The table ----------------------------------------------------------------------------------------------------*/

const FmOnnxOperator fm_onnx_movement[] = {
  { "Compress", op_compress },
  { "Concat", op_concat },
  { "ConstantOfShape", op_constant_of_shape },
  { "DepthToSpace", op_depth_to_space },
  { "Dropout", op_dropout },
  { "Expand", op_expand },
  { "EyeLike", op_eye_like },
  { "Flatten", op_flatten },
  { "Gather", op_gather },
  { "GatherElements", op_gather_elements },
  { "GatherND", op_gather_nd },
  { "Gemm", op_gemm },
  { "OneHot", op_one_hot },
  { "Pad", op_pad },
  { "Range", op_range },
  { "Reshape", op_reshape },
  { "ReverseSequence", op_reverse_sequence },
  { "Scatter", op_scatter_elements },
  { "ScatterElements", op_scatter_elements },
  { "ScatterND", op_scatter_nd },
  { "Slice", op_slice },
  { "SpaceToDepth", op_space_to_depth },
  { "Split", op_split },
  { "Squeeze", op_squeeze },
  { "Tile", op_tile },
  { "TopK", op_top_k },
  { "Transpose", op_transpose },
  { "Trilu", op_trilu },
  { "Unsqueeze", op_unsqueeze },
  { NULL, NULL }
};
