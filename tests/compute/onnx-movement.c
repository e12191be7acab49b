/* onnx-movement.c: ONNX operators that move data, and those over windows and sequences. */
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
        return uncovered (m, "slices with a step");
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

  if (!g_str_equal (word (m, "mode", "constant"), "constant") || pads == NULL)
    return uncovered (m, "padding by reflection or edge");
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

  if (k == NULL || !integer (m, "largest", 1))
    return uncovered (m, "the smallest");
  x = fm_contiguous (m->g, fm_transpose (m->g, x, axis, last));
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

/* --- Pooling ------------------------------------------------------------------------------------------------------*/

static FmTensor *
op_global_average_pool (Import *m)
{
  FmTensor *x = in (m, 0);
  gdouble n = (gdouble) fm_tensor_get_count (x) / (fm_tensor_get_dim (x, 0) * fm_tensor_get_dim (x, 1));

  for (guint a = 2; a < fm_tensor_get_rank (x); a++)
    x = fm_sum_keep (m->g, x, a);
  return fm_mul_scalar (m->g, x, 1 / n);
}

static FmTensor *
op_global_max_pool (Import *m)
{
  FmTensor *x = in (m, 0);

  for (guint a = 2; a < fm_tensor_get_rank (x); a++)
    x = fm_max_keep (m->g, x, a);
  return x;
}

/* --- Sequences ----------------------------------------------------------------------------------------------------*/

/* ONNX's gates i, o, f, c as ours i, f, g, o: slices of [4 H,..]. */
static FmTensor *
lstm_order (Import *m, FmTensor *x, gint64 h)
{
  FmTensor *parts[4] = { fm_slice (m->g, x, 0, 0, h), fm_slice (m->g, x, 0, 2 * h, h), fm_slice (m->g, x, 0, 3 * h, h),
                         fm_slice (m->g, x, 0, h, h) };

  return fm_concat (m->g, parts, 4, 0);
}

/* One layer, forwards. The first output: [N,1,B,H]; with layout 1 [B,N,1,H]. */
static FmTensor *
op_lstm (Import *m)
{
  gint64 h = integer (m, "hidden_size", 0), n, b;
  gboolean batch_first = integer (m, "layout", 0) != 0;
  FmTensor *x = in (m, 0), *w, *r, *bias = NULL, *y;

  if (given (m, 4) || given (m, 7) || fm_tensor_get_dim (in (m, 1), 0) != 1)
    return uncovered (m, "an LSTM with lengths, peepholes or two directions");
  if (!batch_first)
    x = fm_transpose (m->g, x, 0, 1);
  b = fm_tensor_get_dim (x, 0);
  n = fm_tensor_get_dim (x, 1);
  w = lstm_order (m, fm_reshape (m->g, in (m, 1), FM_SHAPE (4 * h, -1)), h);
  r = lstm_order (m, fm_reshape (m->g, in (m, 2), FM_SHAPE (4 * h, -1)), h);
  if (given (m, 3))
    {
      FmTensor *both = fm_reshape (m->g, in (m, 3), FM_SHAPE (8 * h));

      both = fm_add (m->g, fm_slice (m->g, both, 0, 0, 4 * h), fm_slice (m->g, both, 0, 4 * h, 4 * h));
      bias = lstm_order (m, both, h);
    }
  y = fm_lstm (m->g, fm_affine (m->g, x, w, bias), r,
               given (m, 5) ? fm_reshape (m->g, in (m, 5), FM_SHAPE (b, h)) : NULL,
               given (m, 6) ? fm_reshape (m->g, in (m, 6), FM_SHAPE (b, h)) : NULL, FALSE, NULL);
  if (*(const char *) g_ptr_array_index (m->node->out, 0) == '\0') /* the last step alone */
    return batch_first ? fm_reshape (m->g, fm_slice (m->g, y, 1, n - 1, 1), FM_SHAPE (b, 1, h))
                       : fm_reshape (m->g, fm_slice (m->g, y, 1, n - 1, 1), FM_SHAPE (1, b, h));
  return batch_first ? fm_reshape (m->g, y, FM_SHAPE (b, n, 1, h))
                     : fm_reshape (m->g, fm_transpose (m->g, y, 0, 1), FM_SHAPE (n, 1, b, h));
}

/* --- The table ----------------------------------------------------------------------------------------------------*/

const FmOnnxOperator fm_onnx_movement[] = {
  { "Concat", op_concat },
  { "DepthToSpace", op_depth_to_space },
  { "Dropout", op_dropout },
  { "Expand", op_expand },
  { "Flatten", op_flatten },
  { "Gather", op_gather },
  { "Gemm", op_gemm },
  { "GlobalAveragePool", op_global_average_pool },
  { "GlobalMaxPool", op_global_max_pool },
  { "LSTM", op_lstm },
  { "OneHot", op_one_hot },
  { "Pad", op_pad },
  { "Reshape", op_reshape },
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
