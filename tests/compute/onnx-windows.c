/* onnx-windows.c: ONNX operators over windows, pictures, sequences and spectra. Theirs lie [B,C,Y,X], ours [B,Y,X,C]. */
#include "onnx-ops.h"

#include <math.h>
#include <string.h>

/* [B,C,spatial..] of one or two spatial axes as [B,Y,X,C], and back to as many axes. */
static FmTensor *
picture (Import *m, FmTensor *x)
{
  FmShape s = fm_tensor_get_shape (x);

  if (s.rank == 3)
    x = fm_reshape (m->g, x, FM_SHAPE (s.dims[0], s.dims[1], 1, s.dims[2]));
  return fm_contiguous (m->g, fm_permute (m->g, x, (const gint[]){ 0, 2, 3, 1 }));
}

static FmTensor *
theirs (Import *m, FmTensor *x, guint rank)
{
  FmShape s;

  x = fm_contiguous (m->g, fm_permute (m->g, x, (const gint[]){ 0, 3, 1, 2 }));
  s = fm_tensor_get_shape (x);
  return rank == 3 ? fm_reshape (m->g, x, FM_SHAPE (s.dims[0], s.dims[1], s.dims[3])) : x;
}

/* --- Windows ------------------------------------------------------------------------------------------------------*/

typedef struct { gint64 kernel, step, dilation, before, after; } Side;

static gint64
places (gint64 n, const Side *s)
{
  return (n + s->before + s->after - (s->kernel - 1) * s->dilation - 1) / s->step + 1;
}

/* Side @a of the node's window over @n cells; the kernel is @kernel unless the node says. */
static Side
side_of (Import *m, guint a, guint sides, gint64 n, gint64 kernel)
{
  g_autoptr(GArray) kernels = integers (m, "kernel_shape", 0), steps = integers (m, "strides", 0);
  g_autoptr(GArray) dilations = integers (m, "dilations", 0), pads = integers (m, "pads", 0);
  const char *automatic = word (m, "auto_pad", "NOTSET");
  Side s = { kernels ? AT (kernels, a) : kernel, steps ? AT (steps, a) : 1, dilations ? AT (dilations, a) : 1,
             pads ? AT (pads, a) : 0, pads ? AT (pads, a + sides) : 0 };

  if (g_str_has_prefix (automatic, "SAME")) /* as many places as steps fit; the odd cell of padding at the named end */
    {
      gint64 all = MAX (0, ((n + s.step - 1) / s.step - 1) * s.step + (s.kernel - 1) * s.dilation + 1 - n);

      s.before = g_str_has_suffix (automatic, "UPPER") ? all / 2 : all - all / 2;
      s.after = all - s.before;
    }
  if (integer (m, "ceil_mode", 0)) /* a last window that hangs over the edge */
    {
      gint64 rest = (n + s.before + s.after - (s.kernel - 1) * s.dilation - 1) % s.step;

      s.after += rest ? s.step - rest : 0;
    }
  return s;
}

/* Of a node over one or two spatial axes. @rows, @columns: the kernel where the node does not say. */
static FmConvWindow
window_of (Import *m, FmTensor *x, guint rank, gint64 rows, gint64 columns)
{
  Side down = { 1, 1, 1, 0, 0 }, across = side_of (m, rank - 3, rank - 2, fm_tensor_get_dim (x, 2), columns);

  if (rank == 4)
    down = side_of (m, 0, 2, fm_tensor_get_dim (x, 1), rows);
  return (FmConvWindow){ .rows = down.kernel, .columns = across.kernel, .row_step = down.step, .column_step = across.step,
                         .row_dilation = down.dilation, .column_dilation = across.dilation, .top = down.before,
                         .bottom = down.after, .left = across.before, .right = across.after };
}

/* Three spatial axes, without padding: the two leading ones as a picture whose channels are the last and C, then the last. */
static FmTensor *
pool_three (Import *m, FmTensor *(*pool) (FmGraph *, FmTensor *, const FmConvWindow *))
{
  FmTensor *x = in (m, 0);
  FmShape s = fm_tensor_get_shape (x);
  Side z = side_of (m, 0, 3, s.dims[2], 1), y = side_of (m, 1, 3, s.dims[3], 1), a = side_of (m, 2, 3, s.dims[4], 1);

  if (z.before || z.after || y.before || y.after || a.before || a.after)
    return uncovered (m, "padding in three dimensions");
  x = fm_contiguous (m->g, fm_permute (m->g, x, (const gint[]){ 0, 2, 3, 4, 1 })); /* [B,Z,Y,X,C] */
  x = fm_reshape (m->g, x, FM_SHAPE (s.dims[0], s.dims[2], s.dims[3], s.dims[4] * s.dims[1]));
  x = pool (m->g, x, &(FmConvWindow){ .rows = z.kernel, .columns = y.kernel, .row_step = z.step, .column_step = y.step,
                                      .row_dilation = z.dilation, .column_dilation = y.dilation });
  x = fm_reshape (m->g, x, FM_SHAPE (s.dims[0], places (s.dims[2], &z) * places (s.dims[3], &y), s.dims[4], s.dims[1]));
  x = pool (m->g, x, &(FmConvWindow){ .rows = 1, .columns = a.kernel, .column_step = a.step, .column_dilation = a.dilation });
  x = fm_reshape (m->g, x, FM_SHAPE (s.dims[0], places (s.dims[2], &z), places (s.dims[3], &y), places (s.dims[4], &a),
                                     s.dims[1]));
  return fm_permute (m->g, x, (const gint[]){ 0, 4, 1, 2, 3 });
}

static FmTensor *
op_max_pool (Import *m)
{
  guint rank = fm_tensor_get_rank (in (m, 0));
  FmTensor *x;
  FmConvWindow w;

  if (rank == 5)
    return pool_three (m, fm_max_pool);
  x = picture (m, fm_cast (m->g, in (m, 0), FM_F32));
  w = window_of (m, x, rank, 1, 1);
  return fm_cast (m->g, theirs (m, fm_max_pool (m->g, x, &w), rank), in (m, 0)->type);
}

static FmTensor *
op_average_pool (Import *m)
{
  guint rank = fm_tensor_get_rank (in (m, 0));
  FmTensor *x;
  FmConvWindow w;

  if (rank == 5)
    return pool_three (m, fm_mean_pool);
  x = picture (m, in (m, 0));
  w = window_of (m, x, rank, 1, 1);
  if (integer (m, "count_include_pad", 0)) /* cells like others, then */
    {
      x = fm_pad (m->g, fm_pad (m->g, x, 1, w.top, w.bottom), 2, w.left, w.right);
      w.top = w.bottom = w.left = w.right = 0;
    }
  /* Every cell the middle of a window: the op that pooling mixers use. */
  if (w.row_step == 1 && w.column_step == 1 && w.rows % 2 && w.columns % 2 && w.top == w.rows / 2 && w.bottom == w.top
      && w.left == w.columns / 2 && w.right == w.left)
    return theirs (m, fm_avg_pool (m->g, x, w.rows, w.columns), rank);
  return theirs (m, fm_mean_pool (m->g, x, &w), rank);
}

static FmTensor *
op_conv (Import *m)
{
  FmTensor *x = in (m, 0), *weight = in (m, 1), *bias = given (m, 2) ? in (m, 2) : NULL;
  guint rank = fm_tensor_get_rank (x);
  FmConvWindow w;

  if (rank > 4)
    return uncovered (m, "a convolution in three dimensions");
  x = picture (m, x);
  weight = picture (m, weight); /* [out,C/groups,rows,columns] as [out,rows,columns,C/groups] */
  w = window_of (m, x, rank, fm_tensor_get_dim (weight, 1), fm_tensor_get_dim (weight, 2));
  return theirs (m, fm_conv2d (m->g, x, weight, bias, &w, integer (m, "group", 1)), rank);
}

/* Padding of a transposed convolution is what is cut off; where the node says how large the result is, it follows. */
static Side
cut_of (Import *m, guint a, guint sides, gint64 n, gint64 kernel, gint64 *more)
{
  g_autoptr(GArray) sizes = integers (m, "output_shape", 0), extra = integers (m, "output_padding", 0);
  const char *automatic = word (m, "auto_pad", "NOTSET");
  Side s = side_of (m, a, sides, n, kernel);
  gint64 whole = (n - 1) * s.step + (s.kernel - 1) * s.dilation + 1;

  *more = extra ? AT (extra, a) : 0;
  if (sizes || g_str_has_prefix (automatic, "SAME"))
    {
      gint64 size = sizes ? AT (sizes, sizes->len - sides + a) : n * s.step, all = whole + *more - size;

      s.before = all < 0 ? 0 : g_str_equal (automatic, "SAME_UPPER") ? all / 2 : all - all / 2;
      s.after = all - s.before;
    }
  s.after -= *more;
  *more = MAX (0, -s.after); /* beyond all windows: zeros */
  s.after = MAX (0, s.after);
  return s;
}

static FmTensor *
op_conv_transposed (Import *m)
{
  FmTensor *x = in (m, 0), *weight = in (m, 1), *y;
  guint rank = fm_tensor_get_rank (x);
  Side down = { 1, 1, 1, 0, 0 }, across;
  gint64 lower = 0, right;

  if (rank > 4 || integer (m, "group", 1) != 1)
    return uncovered (m, "that transposed convolution");
  x = picture (m, x);
  weight = picture (m, weight); /* [C,out,rows,columns] as [C,rows,columns,out] */
  if (rank == 4)
    down = cut_of (m, 0, 2, fm_tensor_get_dim (x, 1), fm_tensor_get_dim (weight, 1), &lower);
  across = cut_of (m, rank - 3, rank - 2, fm_tensor_get_dim (x, 2), fm_tensor_get_dim (weight, 2), &right);
  y = fm_conv2d_transposed (m->g, x, weight, NULL, &(FmConvWindow){
        .row_step = down.step, .column_step = across.step, .row_dilation = down.dilation,
        .column_dilation = across.dilation, .top = down.before, .bottom = down.after, .left = across.before,
        .right = across.after });
  y = fm_pad (m->g, fm_pad (m->g, y, 1, 0, lower), 2, 0, right);
  return theirs (m, given (m, 2) ? fm_add (m->g, y, in (m, 2)) : y, rank);
}

/* --- Over the whole picture ------------------------------------------------------------------------------------------------------*/

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

/* Over channels, a window of @size around each: x / (bias + alpha / size sum x^2)^beta. */
static FmTensor *
op_lrn (Import *m)
{
  FmTensor *x = in (m, 0), *sum = NULL, *squares;
  gint64 size = integer (m, "size", 1), c = fm_tensor_get_dim (x, 1);

  squares = fm_pad (m->g, fm_square (m->g, x), 1, (size - 1) / 2, size / 2);
  for (gint64 i = 0; i < size; i++)
    sum = sum ? fm_add (m->g, sum, fm_slice (m->g, squares, 1, i, c)) : fm_slice (m->g, squares, 1, i, c);
  sum = fm_add_scalar (m->g, fm_mul_scalar (m->g, sum, real (m, "alpha", 1e-4) / (gdouble) size), real (m, "bias", 1));
  return fm_div (m->g, x, fm_pow_scalar (m->g, sum, real (m, "beta", 0.75)));
}

static FmTensor *
op_mvn (Import *m)
{
  FmTensor *x = in (m, 0);
  FmShape s = fm_tensor_get_shape (x);
  g_autoptr(GArray) axes = integers (m, "axes", 0);

  if (axes || s.rank != 4)
    return uncovered (m, "other axes than those of pictures");
  x = fm_reshape (m->g, fm_contiguous (m->g, fm_transpose (m->g, x, 0, 1)), FM_SHAPE (s.dims[1], -1));
  x = fm_layer_norm (m->g, x, NULL, NULL, 1e-9);
  return fm_transpose (m->g, fm_reshape (m->g, x, FM_SHAPE (s.dims[1], s.dims[0], s.dims[2], s.dims[3])), 0, 1);
}

/* --- Resizing and sampling ----------------------------------------------------------------------------------------*/

/* Linear: by fm_resize() where the scale is that of the sizes, else by fm_sample() at the places that the scale gives.
 * Nearest: whole times larger, by repeating. */
static FmTensor *
op_resize (Import *m)
{
  FmTensor *x = in (m, 0), *at;
  FmShape s = fm_tensor_get_shape (x);
  gboolean old = g_str_equal (m->node->op, "Upsample");
  guint scale_input = old ? 1 : 2;
  const FmOnnxTensor *scales = given (m, scale_input) ? host (m, scale_input) : NULL;
  const FmOnnxTensor *sizes = given (m, 3) ? host (m, 3) : NULL;
  const char *where = word (m, "coordinate_transformation_mode", old ? "asymmetric" : "half_pixel");
  const char *mode = word (m, "mode", "nearest");
  gboolean corners = g_str_equal (where, "align_corners"), whole = TRUE;
  gdouble scale[4];
  gint64 to[4];

  if (s.rank != 4)
    return uncovered (m, "resizing other than pictures");
  for (guint a = 0; a < 4; a++)
    {
      scale[a] = sizes && sizes->n == 4 ? sizes->values[a] / (gdouble) s.dims[a]
                 : scales && scales->n == 4 ? scales->values[a] : 0;
      to[a] = sizes && sizes->n == 4 ? (gint64) sizes->values[a] : (gint64) floor ((gdouble) s.dims[a] * scale[a]);
      whole &= scale[a] == floor (scale[a]) && scale[a] >= 1;
    }
  if (to[0] != s.dims[0] || to[1] != s.dims[1] || to[2] < 1 || to[3] < 1)
    return uncovered (m, "resizing of other axes");
  if (g_str_equal (mode, "nearest") && whole && (old || g_str_equal (where, "half_pixel"))
      && g_str_has_prefix (word (m, "nearest_mode", "round_prefer_floor"), "round"))
    return fm_repeat (m->g, fm_repeat (m->g, x, 2, (gint64) scale[2]), 3, (gint64) scale[3]);
  if (!g_str_equal (mode, "linear") || !(corners || g_str_has_suffix (where, "half_pixel")))
    return uncovered (m, "resizing %s, %s", mode, where);
  x = picture (m, x);
  if ((to[2] == 1 || to[3] == 1) && g_str_equal (where, "pytorch_half_pixel"))
    at = NULL; /* a single cell lies at 0 there */
  else if ((gdouble) s.dims[2] * scale[2] == (gdouble) to[2] && (gdouble) s.dims[3] * scale[3] == (gdouble) to[3])
    return theirs (m, fm_resize (m->g, x, to[2], to[3], corners), 4);
  {
    gint64 n = to[2] * to[3];
    g_autofree gdouble *points = g_new (gdouble, n * 2);

    for (gint64 i = 0; i < n * 2; i++)
      {
        guint a = 2 + i % 2;
        gdouble cell = (gdouble) (i % 2 ? i / 2 % to[3] : i / 2 / to[3]);
        /* With corners aligned, the length that the scale asks for, whole or not, spans the picture. */
        gdouble place = corners ? cell * (gdouble) (s.dims[a] - 1) / ((gdouble) s.dims[a] * scale[a] - 1)
                                : (cell + 0.5) / scale[a] - 0.5;

        if (g_str_equal (where, "pytorch_half_pixel") && to[a] == 1)
          place = 0;
        points[i] = CLAMP (place, 0, (gdouble) (s.dims[a] - 1));
      }
    at = numbers (m, FM_ONNX_FLOAT, FM_SHAPE (1, n, 2), points);
    at = fm_expand (m->g, at, FM_SHAPE (s.dims[0], n, 2));
    x = fm_sample (m->g, x, fm_contiguous (m->g, at));
    return theirs (m, fm_reshape (m->g, x, FM_SHAPE (s.dims[0], to[2], to[3], s.dims[1])), 4);
  }
}

/* Places (x, y) in [-1,1] as ours (row, column) in cells. */
static FmTensor *
op_grid_sample (Import *m)
{
  FmTensor *x = picture (m, in (m, 0)), *grid = in (m, 1), *place[2];
  FmShape s = fm_tensor_get_shape (grid);
  const char *mode = word (m, "mode", "bilinear"), *padding = word (m, "padding_mode", "zeros");
  gboolean corners = integer (m, "align_corners", 0) != 0;

  if (g_str_equal (mode, "bicubic") || g_str_equal (padding, "reflection"))
    return uncovered (m, "sampling %s, %s", mode, padding);
  for (guint a = 0; a < 2; a++)
    {
      gdouble n = (gdouble) fm_tensor_get_dim (x, 1 + a);

      place[a] = fm_add_scalar (m->g, fm_slice (m->g, grid, 3, 1 - a, 1), 1);
      place[a] = fm_mul_scalar (m->g, place[a], corners ? 0.5 * (n - 1) : 0.5 * n);
      place[a] = fm_add_scalar (m->g, place[a], corners ? 0 : -0.5);
      if (g_str_equal (padding, "border"))
        place[a] = fm_clamp (m->g, place[a], 0, n - 1);
      if (g_str_equal (mode, "nearest"))
        place[a] = fm_round (m->g, place[a]);
    }
  grid = fm_reshape (m->g, fm_concat (m->g, place, 2, 3), FM_SHAPE (s.dims[0], -1, 2));
  x = fm_reshape (m->g, fm_sample (m->g, x, grid), FM_SHAPE (s.dims[0], s.dims[1], s.dims[2], fm_tensor_get_dim (x, 3)));
  return theirs (m, x, 4);
}

/* --- Spectra ------------------------------------------------------------------------------------------------------*/

/* [..,1] or [..,2], real and imaginary part. */
static FmTensor *
op_dft (Import *m)
{
  FmTensor *x = in (m, 0), *re, *im = NULL, *parts[2];
  gint last = (gint) fm_tensor_get_rank (x) - 1, axis = (gint) integer (m, "axis", 1);
  FmShape shape = fm_tensor_get_shape (x);

  if (given (m, 1) || integer (m, "onesided", 0))
    return uncovered (m, "a transform of another length");
  shape.rank--;
  re = fm_reshape (m->g, fm_slice (m->g, x, last, 0, 1), shape);
  if (fm_tensor_get_dim (x, last) == 2)
    im = fm_reshape (m->g, fm_slice (m->g, x, last, 1, 1), shape);
  parts[0] = fm_fft (m->g, re, im, axis, integer (m, "inverse", 0) != 0, &parts[1]);
  return fm_stack (m->g, parts, 2, last);
}

/* Frames of a signal [B,N,1], windowed: [B,frames,half the frame + 1,2]. */
static FmTensor *
op_stft (Import *m)
{
  FmTensor *x = in (m, 0), *parts[2];
  const FmOnnxTensor *step = host (m, 1), *length = given (m, 3) ? host (m, 3) : NULL;
  gint64 n = length ? (gint64) length->values[0] : given (m, 2) ? fm_tensor_get_dim (in (m, 2), 0) : 0;
  gint64 b = fm_tensor_get_dim (x, 0);

  if (step == NULL || n == 0 || fm_tensor_get_dim (x, 2) != 1 || !integer (m, "onesided", 1))
    return uncovered (m, "that transform");
  x = fm_unfold (m->g, fm_reshape (m->g, x, FM_SHAPE (b, 1, -1, 1)), &(FmConvWindow){
        .rows = 1, .columns = n, .column_step = (gint64) step->values[0] }, 0);
  x = fm_reshape (m->g, x, FM_SHAPE (b, -1, n));
  if (given (m, 2))
    x = fm_mul (m->g, x, in (m, 2));
  parts[0] = fm_fft (m->g, x, NULL, 2, FALSE, &parts[1]);
  for (guint k = 0; k < 2; k++)
    parts[k] = fm_slice (m->g, parts[k], 2, 0, n / 2 + 1);
  return fm_stack (m->g, parts, 2, 3);
}

/* --- Sequences ----------------------------------------------------------------------------------------------------*/

/* What a step of fm_scan() is told. */
typedef struct { FmTensor *r, *bias, *peep; gint64 h; gboolean late; } Cell;

static FmTensor *
part (FmGraph *g, FmTensor *x, gint64 k, gint64 h)
{
  return fm_slice (g, x, -1, k * h, h);
}

/* tanh (W x + b + R h + c); @x has the first two. */
static FmTensor *
rnn_step (FmGraph *g, FmTensor * const *x, FmTensor **state, gpointer data)
{
  const Cell *cell = data;

  return *state = fm_tanh (g, fm_add (g, x[0], fm_affine (g, *state, cell->r, cell->bias)));
}

/* Gates z, r, h, the reset applied to the state, not to its product. */
static FmTensor *
gru_step (FmGraph *g, FmTensor * const *x, FmTensor **state, gpointer data)
{
  const Cell *cell = data;
  gint64 h = cell->h;
  FmTensor *of = fm_affine (g, *state, fm_slice (g, cell->r, 0, 0, 2 * h), fm_slice (g, cell->bias, 0, 0, 2 * h)), *n, *z, *r;

  z = fm_sigmoid (g, fm_add (g, part (g, x[0], 0, h), part (g, of, 0, h)));
  r = fm_sigmoid (g, fm_add (g, part (g, x[0], 1, h), part (g, of, 1, h)));
  n = fm_affine (g, fm_mul (g, r, *state), fm_slice (g, cell->r, 0, 2 * h, h), fm_slice (g, cell->bias, 0, 2 * h, h));
  n = fm_tanh (g, fm_add (g, part (g, x[0], 2, h), n));
  return *state = fm_add (g, fm_mul (g, z, fm_sub (g, *state, n)), n);
}

/* Gates i, o, f, c with a look at the cell: p_i, p_o, p_f. */
static FmTensor *
peephole_step (FmGraph *g, FmTensor * const *x, FmTensor **state, gpointer data)
{
  const Cell *cell = data;
  gint64 h = cell->h;
  FmTensor *of = fm_add (g, x[0], fm_affine (g, state[0], cell->r, cell->bias)), *i, *f, *o;

  i = fm_sigmoid (g, fm_add (g, part (g, of, 0, h), fm_mul (g, part (g, cell->peep, 0, h), state[1])));
  f = fm_sigmoid (g, fm_add (g, part (g, of, 2, h), fm_mul (g, part (g, cell->peep, 2, h), state[1])));
  state[1] = fm_add (g, fm_mul (g, f, state[1]), fm_mul (g, i, fm_tanh (g, part (g, of, 3, h))));
  o = fm_sigmoid (g, fm_add (g, part (g, of, 1, h), fm_mul (g, part (g, cell->peep, 1, h), state[1])));
  return state[0] = fm_mul (g, o, fm_tanh (g, state[1]));
}

/* [B,N,H] as the output that is asked for. */
static FmTensor *
sequence_output (Import *m, FmTensor *y)
{
  gint64 b = fm_tensor_get_dim (y, 0), n = fm_tensor_get_dim (y, 1), h = fm_tensor_get_dim (y, 2);
  gboolean batch_first = integer (m, "layout", 0) != 0;

  if (*(const char *) g_ptr_array_index (m->node->out, 0) == '\0') /* the last step alone */
    return fm_reshape (m->g, fm_slice (m->g, y, 1, n - 1, 1), batch_first ? FM_SHAPE (b, 1, h) : FM_SHAPE (1, b, h));
  return batch_first ? fm_reshape (m->g, y, FM_SHAPE (b, n, 1, h))
                     : fm_reshape (m->g, fm_transpose (m->g, y, 0, 1), FM_SHAPE (n, 1, b, h));
}

/* ONNX's gates z, r, h as ours r, z, n. */
static FmTensor *
gru_order (Import *m, FmTensor *x, gint64 h)
{
  FmTensor *parts[3] = { fm_slice (m->g, x, 0, h, h), fm_slice (m->g, x, 0, 0, h), fm_slice (m->g, x, 0, 2 * h, h) };

  return fm_concat (m->g, parts, 3, 0);
}

/* RNN, GRU, and LSTM with peepholes: one layer, forwards. A GRU whose reset acts on the product is fm_gru(); from a state
 * of zeros over a single step it makes no difference, and both are asked. */
static FmTensor *
op_recurrent (Import *m)
{
  gboolean gru = g_str_equal (m->node->op, "GRU"), lstm = g_str_equal (m->node->op, "LSTM");
  gint64 h = integer (m, "hidden_size", 0), gates = gru ? 3 : lstm ? 4 : 1, b, n;
  FmTensor *x = in (m, 0), *w, *bias = NULL, *state[2], *y, *zeros;
  Cell cell = { .h = h };

  if (given (m, 4) && !lstm)
    for (gint64 i = 0; host (m, 4) && i < host (m, 4)->n; i++)
      if (host (m, 4)->values[i] != fm_tensor_get_dim (x, integer (m, "layout", 0) ? 1 : 0))
        return uncovered (m, "sequences of several lengths");
  if (fm_tensor_get_dim (in (m, 1), 0) != 1 || m->why)
    return uncovered (m, "a recurrence in two directions");
  x = integer (m, "layout", 0) ? x : fm_transpose (m->g, x, 0, 1);
  b = fm_tensor_get_dim (x, 0);
  n = fm_tensor_get_dim (x, 1);
  w = fm_reshape (m->g, in (m, 1), FM_SHAPE (gates * h, -1));
  cell.r = fm_reshape (m->g, in (m, 2), FM_SHAPE (gates * h, -1));
  cell.bias = fm_constant (m->g, FM_F32, FM_SHAPE (gates * h), 0);
  if (given (m, 3))
    {
      bias = fm_reshape (m->g, fm_slice (m->g, in (m, 3), 1, 0, gates * h), FM_SHAPE (gates * h));
      cell.bias = fm_reshape (m->g, fm_slice (m->g, in (m, 3), 1, gates * h, gates * h), FM_SHAPE (gates * h));
    }
  zeros = fm_constant (m->g, FM_F32, FM_SHAPE (b, h), 0);
  state[0] = given (m, 5) ? fm_reshape (m->g, in (m, 5), FM_SHAPE (b, h)) : zeros;
  state[1] = lstm && given (m, 6) ? fm_reshape (m->g, in (m, 6), FM_SHAPE (b, h)) : zeros;
  if (lstm)
    cell.peep = fm_reshape (m->g, in (m, 7), FM_SHAPE (3 * h));
  if (gru && (integer (m, "linear_before_reset", 0) || (n == 1 && !given (m, 5))))
    y = fm_gru (m->g, fm_affine (m->g, x, gru_order (m, w, h), bias ? gru_order (m, bias, h) : NULL),
                gru_order (m, cell.r, h), gru_order (m, cell.bias, h), given (m, 5) ? state[0] : NULL, FALSE);
  else
    {
      FmTensor *of = fm_affine (m->g, x, w, bias);

      y = fm_scan (m->g, gru ? gru_step : lstm ? peephole_step : rnn_step, &of, 1, state, lstm ? 2 : 1, FALSE, &cell);
    }
  return sequence_output (m, y);
}

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
  gint64 h = integer (m, "hidden_size", 0), b;
  gboolean batch_first = integer (m, "layout", 0) != 0;
  FmTensor *x = in (m, 0), *w, *r, *bias = NULL, *y;

  if (given (m, 7))
    return op_recurrent (m);
  if (given (m, 4) || fm_tensor_get_dim (in (m, 1), 0) != 1)
    return uncovered (m, "an LSTM with lengths or two directions");
  if (!batch_first)
    x = fm_transpose (m->g, x, 0, 1);
  b = fm_tensor_get_dim (x, 0);
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
  return sequence_output (m, y);
}

/* --- The table ----------------------------------------------------------------------------------------------------*/

const FmOnnxOperator fm_onnx_windows[] = {
  { "AveragePool", op_average_pool },
  { "Conv", op_conv },
  { "ConvTranspose", op_conv_transposed },
  { "DFT", op_dft },
  { "GRU", op_recurrent },
  { "GlobalAveragePool", op_global_average_pool },
  { "GlobalMaxPool", op_global_max_pool },
  { "GridSample", op_grid_sample },
  { "LRN", op_lrn },
  { "LSTM", op_lstm },
  { "MaxPool", op_max_pool },
  { "MeanVarianceNormalization", op_mvn },
  { "RNN", op_recurrent },
  { "Resize", op_resize },
  { "STFT", op_stft },
  { "Upsample", op_resize },
  { NULL, NULL }
};
