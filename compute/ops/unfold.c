/* unfold.c: every place of a sliding window as a row, and back; convolutions are products with those rows.
 *
 * unfold: x f32 [B,Y,X,C] -> [B,Y',X',rows*columns,C]: the cells under the window at each of its places; outside the
 *   picture they are f[0]. fold: the transposed: u [B,Y',X',rows*columns,C] -> [B,Y,X,C]: every cell the sum of what lies
 *   in its places. Each is the other's gradient, so every order of derivative exists. Attributes: window.h. */
#include "config.h"

#include "compute/ops/window.h"

#include <math.h>
#include <string.h>

static const FmOp unfold_op, fold_op;

/* --- Places -------------------------------------------------------------------------------------------------------*/

static gint64
or_one (gint64 n)
{
  return n == 0 ? 1 : n;
}

gboolean
fm_places_init (FmGraph *g, const char *what, const FmConvWindow *window, gint64 y, gint64 x, FmAttr *attr)
{
  static const FmConvWindow none = { 0 }; /* refused below: it has no sides */
  const FmConvWindow *w = window ? window : &none;
  FmPlaces p = { .rows = w->rows, .columns = w->columns, .row_step = or_one (w->row_step),
                 .column_step = or_one (w->column_step), .row_dilation = or_one (w->row_dilation),
                 .column_dilation = or_one (w->column_dilation), .top = w->top, .left = w->left, .y = y, .x = x };
  gint64 high, wide;

  if (p.rows < 1 || p.columns < 1 || p.row_step < 1 || p.column_step < 1 || p.row_dilation < 1 || p.column_dilation < 1
      || w->top < 0 || w->bottom < 0 || w->left < 0 || w->right < 0 || p.rows > G_MAXINT32 || p.columns > G_MAXINT32
      || p.row_dilation > G_MAXINT32 || p.column_dilation > G_MAXINT32 || w->top > G_MAXINT32 || w->bottom > G_MAXINT32
      || w->left > G_MAXINT32 || w->right > G_MAXINT32 || y > G_MAXINT32 || x > G_MAXINT32) /* sums below stay exact */
    {
      fm_graph_fail (g, what, "window of %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT ": sides, steps and dilations must be 1 or "
                     "more, padding 0 or more, and all below 2^31", w->rows, w->columns);
      return FALSE;
    }
  high = y + w->top + w->bottom - ((p.rows - 1) * p.row_dilation + 1);
  wide = x + w->left + w->right - ((p.columns - 1) * p.column_dilation + 1);
  if (high < 0 || wide < 0)
    {
      fm_graph_fail (g, what, "window of %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT " fits nowhere in %" G_GINT64_FORMAT " x %"
                     G_GINT64_FORMAT " cells with their padding", w->rows, w->columns, y, x);
      return FALSE;
    }
  p.oy = high / p.row_step + 1;
  p.ox = wide / p.column_step + 1;
  memcpy (attr->i, &p, sizeof p);
  return TRUE;
}

FmPlacesPush
fm_places_push (const FmNode *node, gint64 count, gint64 channels)
{
  const FmPlaces *p = fm_places_of (node);

  return (FmPlacesPush){
    .count = (guint32) count, .y = (guint32) p->y, .x = (guint32) p->x, .c = (guint32) channels, .oy = (guint32) p->oy,
    .ox = (guint32) p->ox, .rows = (gint32) p->rows, .columns = (gint32) p->columns, .row_step = (gint32) p->row_step,
    .column_step = (gint32) p->column_step, .row_dilation = (gint32) p->row_dilation,
    .column_dilation = (gint32) p->column_dilation, .top = (gint32) p->top, .left = (gint32) p->left,
    .pad = (float) node->attr.f[0],
  };
}

/* --- Ops ----------------------------------------------------------------------------------------------------------*/

static gboolean
unfold_infer (FmNode *node)
{
  const FmPlaces *p = fm_places_of (node);
  const gint64 *dims = node->in[0]->shape.dims;

  node->out[0]->type = FM_F32;
  node->out[0]->shape = FM_SHAPE (dims[0], p->oy, p->ox, p->rows * p->columns, dims[3]);
  return TRUE;
}

static gboolean
fold_infer (FmNode *node)
{
  const FmPlaces *p = fm_places_of (node);
  const gint64 *dims = node->in[0]->shape.dims;

  node->out[0]->type = FM_F32;
  node->out[0]->shape = FM_SHAPE (dims[0], p->y, p->x, dims[4]);
  return TRUE;
}

static void
unfold_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmAttr attr = node->attr;

  attr.f[0] = 0;
  dx[0] = fm_op1 (g, &fold_op, &attr, 1, dy[0]);
}

static void
fold_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  dx[0] = fm_op1 (g, &unfold_op, &node->attr, 1, dy[0]);
}

static void
unfold_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const FmPlaces *p = fm_places_of (node);
  gint64 c = node->in[0]->shape.dims[3], taps = p->rows * p->columns, lines = node->in[0]->shape.dims[0] * p->oy;
  float pad = (float) node->attr.f[0];

#pragma omp parallel for schedule(static) num_threads(args->threads) if (lines * p->ox * taps * c > FM_CPU_BLOCK)
  for (gint64 line = 0; line < lines; line++)
    {
      const float *picture = (const float *) args->in[0] + line / p->oy * p->y * p->x * c;
      float *out = (float *) args->out[0] + line * p->ox * taps * c;
      gint64 first = line % p->oy * p->row_step - p->top;

      for (gint64 ox = 0; ox < p->ox; ox++)
        for (gint64 i = 0; i < p->rows; i++)
          for (gint64 j = 0; j < p->columns; j++, out += c)
            {
              gint64 y = first + i * p->row_dilation, x = ox * p->column_step - p->left + j * p->column_dilation;

              if (y >= 0 && y < p->y && x >= 0 && x < p->x)
                memcpy (out, picture + (y * p->x + x) * c, sizeof *out * c);
              else
                for (gint64 k = 0; k < c; k++)
                  out[k] = pad;
            }
    }
}

/* One cell: the places whose window covers it, in the order of the window's cells. */
FM_KERNEL (void, fold_cell, (const FmPlaces *p, const float *u, gint64 y, gint64 x, gint64 c, float *out),
           (p, u, y, x, c, out))
{
  for (gint64 k = 0; k < c; k++)
    out[k] = 0.0f;
  for (gint64 i = 0; i < p->rows; i++)
    for (gint64 j = 0; j < p->columns; j++)
      {
        gint64 at_y = y + p->top - i * p->row_dilation, at_x = x + p->left - j * p->column_dilation;
        gint64 oy = at_y / p->row_step, ox = at_x / p->column_step;
        const float *from = u + ((oy * p->ox + ox) * p->rows * p->columns + i * p->columns + j) * c;

        if (at_y < 0 || at_x < 0 || at_y % p->row_step || at_x % p->column_step || oy >= p->oy || ox >= p->ox)
          continue;
#pragma omp simd
        for (gint64 k = 0; k < c; k++)
          out[k] += from[k];
      }
}

static void
fold_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const FmPlaces *p = fm_places_of (node);
  gint64 c = node->in[0]->shape.dims[4], lines = node->in[0]->shape.dims[0] * p->y;
  gint64 item = p->oy * p->ox * p->rows * p->columns * c;

#pragma omp parallel for schedule(static) num_threads(args->threads) if (lines * p->x * c > FM_CPU_BLOCK / 8)
  for (gint64 line = 0; line < lines; line++)
    for (gint64 x = 0; x < p->x; x++)
      fold_cell (p, (const float *) args->in[0] + line / p->y * item, line % p->y, x, c,
                 (float *) args->out[0] + (line * p->x + x) * c);
}

static gboolean
record (const FmNode *node, FmVulkanRecorder *recorder, const char *shader, gint64 channels, GError **error)
{
  gint64 count = fm_shape_count (&node->out[0]->shape);
  FmPlacesPush push = fm_places_push (node, count, channels);
  FmVulkanDispatch dispatch = { .shader = shader, .bind = { node->in[0], node->out[0] }, .n_bind = 2, .push = &push,
                                .push_bytes = sizeof push, .groups = ((guint64) count + 127) / 128 };

  push.offset[0] = (guint32) node->in[0]->offset;
  push.offset[1] = (guint32) node->out[0]->offset;
  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

static gboolean
unfold_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  return record (node, recorder, "unfold", node->in[0]->shape.dims[3], error);
}

static gboolean
fold_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  return record (node, recorder, "fold", node->in[0]->shape.dims[4], error);
}

static const FmOp unfold_op = {
  .name = "unfold", .n_in_min = 1, .n_in_max = 1, .n_out = 1, .infer = unfold_infer, .gradient = unfold_gradient,
  .cpu = unfold_cpu, .vulkan = unfold_vulkan,
};

static const FmOp fold_op = {
  .name = "fold", .n_in_min = 1, .n_in_max = 1, .n_out = 1, .infer = fold_infer, .gradient = fold_gradient,
  .cpu = fold_cpu, .vulkan = fold_vulkan,
};

/* --- Builders -----------------------------------------------------------------------------------------------------*/

static gboolean
is_picture (FmGraph *g, FmTensor *x, const char *what)
{
  g_autofree char *shape = NULL;

  if (fm_graph_failed (g))
    return FALSE;
  if (x->type == FM_F32 && x->shape.rank == 4)
    return TRUE;
  shape = fm_shape_to_string (&x->shape);
  fm_graph_fail (g, what, "needs f32 [B,Y,X,C], not %s", shape);
  return FALSE;
}

FmTensor *
fm_unfold (FmGraph *g, FmTensor *x, const FmConvWindow *window, gdouble pad)
{
  FM_REFUSE_NULL (g, "unfold", x);
  FmAttr attr = { .f = { pad } };

  if (!is_picture (g, x, "unfold") || !fm_places_init (g, "unfold", window, x->shape.dims[1], x->shape.dims[2], &attr))
    return g->poison;
  return fm_op1 (g, &unfold_op, &attr, 1, x);
}

FmTensor *
fm_fold (FmGraph *g, FmTensor *u, gint64 y, gint64 x, const FmConvWindow *window)
{
  FM_REFUSE_NULL (g, "fold", u);
  FmAttr attr = { 0 };
  const FmPlaces *p = (const FmPlaces *) attr.i;

  if (fm_graph_failed (g) || !fm_places_init (g, "fold", window, y, x, &attr))
    return g->poison;
  if (u->type != FM_F32 || u->shape.rank != 5 || u->shape.dims[1] != p->oy || u->shape.dims[2] != p->ox
      || u->shape.dims[3] != p->rows * p->columns)
    {
      g_autofree char *shape = fm_shape_to_string (&u->shape);

      return fm_graph_fail (g, "fold", "needs f32 [B,%" G_GINT64_FORMAT ",%" G_GINT64_FORMAT ",%" G_GINT64_FORMAT ",C], not %s",
                            p->oy, p->ox, p->rows * p->columns, shape);
    }
  return fm_op1 (g, &fold_op, &attr, 1, u);
}

/* The window of a weight [out,rows,columns,in]: its own sides, the rest from @window. */
static FmConvWindow
window_of (const FmConvWindow *window, gint64 rows, gint64 columns)
{
  FmConvWindow w = window ? *window : (FmConvWindow){ 0 };

  w.rows = rows;
  w.columns = columns;
  return w;
}

/* Whether the window's places lie side by side and cover the picture: patches. */
static gboolean
is_tiling (const FmConvWindow *w, gint64 y, gint64 x)
{
  return or_one (w->row_step) == w->rows && or_one (w->column_step) == w->columns && or_one (w->row_dilation) == 1
         && or_one (w->column_dilation) == 1 && !w->top && !w->bottom && !w->left && !w->right && y % w->rows == 0
         && x % w->columns == 0;
}

FmTensor *
fm_conv2d (FmGraph *g, FmTensor *x, FmTensor *weight, FmTensor *bias, const FmConvWindow *window, gint64 groups)
{
  FM_REFUSE_NULL (g, "conv2d", x, weight);
  const gint64 *wd = weight->shape.dims;
  gint64 b, oy, ox, taps, out, in;
  FmConvWindow w;
  FmTensor *u;

  if (!is_picture (g, x, "conv2d"))
    return g->poison;
  if (weight->type != FM_F32 || weight->shape.rank != 4 || groups < 1 || x->shape.dims[3] != wd[3] * groups || wd[0] % groups)
    {
      g_autofree char *sx = fm_shape_to_string (&x->shape), *sw = fm_shape_to_string (&weight->shape);

      return fm_graph_fail (g, "conv2d", "needs a weight [out,rows,columns,channels / groups] for %s in %" G_GINT64_FORMAT
                            " groups, not %s", sx, groups, sw);
    }
  w = window_of (window, wd[1], wd[2]);
  if (wd[1] == 1 && wd[2] == 1 && groups == 1 && w.row_step <= 1 && w.column_step <= 1 && !w.top && !w.bottom && !w.left
      && !w.right) /* every cell by itself */
    return fm_affine (g, x, fm_reshape (g, weight, FM_SHAPE (wd[0], wd[3])), bias);
  if (groups == 1 && is_tiling (&w, x->shape.dims[1], x->shape.dims[2]))
    {
      /* The cells in another order, copied once; its gradient is such a copy, too, where fm_fold() would look for the
       * places of every cell. */
      b = x->shape.dims[0];
      oy = x->shape.dims[1] / wd[1];
      ox = x->shape.dims[2] / wd[2];
      u = fm_permute (g, fm_reshape (g, x, FM_SHAPE (b, oy, wd[1], ox, wd[2] * wd[3])), (gint[]){ 0, 1, 3, 2, 4 });
      return fm_affine (g, fm_reshape (g, u, FM_SHAPE (b, oy, ox, wd[1] * wd[2] * wd[3])),
                        fm_reshape (g, weight, FM_SHAPE (wd[0], wd[1] * wd[2] * wd[3])), bias);
    }
  u = fm_unfold (g, x, &w, 0.0);
  if (fm_graph_failed (g))
    return g->poison;
  b = u->shape.dims[0];
  oy = u->shape.dims[1];
  ox = u->shape.dims[2];
  taps = u->shape.dims[3];
  out = wd[0] / groups;
  in = wd[3];
  if (groups == 1)
    return fm_affine (g, fm_reshape (g, u, FM_SHAPE (b, oy, ox, taps * in)), fm_reshape (g, weight, FM_SHAPE (out, taps * in)),
                      bias);
  /* A batched product over groups: [G,rows,taps*in] x [G,out,taps*in]^T. */
  u = fm_reshape (g, u, FM_SHAPE (b * oy * ox, taps, groups, in));
  u = fm_permute (g, u, (gint[]){ 2, 0, 1, 3 });
  u = fm_reshape (g, u, FM_SHAPE (groups, b * oy * ox, taps * in));
  u = fm_matmul (g, u, fm_reshape (g, weight, FM_SHAPE (groups, out, taps * in)), FM_TRANS_B);
  u = fm_reshape (g, fm_transpose (g, u, 0, 1), FM_SHAPE (b, oy, ox, groups * out));
  return bias ? fm_add (g, u, bias) : u;
}

FmTensor *
fm_conv1d (FmGraph *g, FmTensor *x, FmTensor *weight, FmTensor *bias, const FmConvWindow *window, gint64 groups)
{
  FM_REFUSE_NULL (g, "conv1d", x, weight);
  const gint64 *d = x->shape.dims, *wd = weight->shape.dims;
  FmTensor *y;

  if (fm_graph_failed (g))
    return g->poison;
  if (x->shape.rank != 3 || weight->shape.rank != 3)
    {
      g_autofree char *sx = fm_shape_to_string (&x->shape), *sw = fm_shape_to_string (&weight->shape);

      return fm_graph_fail (g, "conv1d", "needs x [B,N,C] and a weight [out,columns,channels / groups], not %s and %s", sx, sw);
    }
  y = fm_conv2d (g, fm_reshape (g, x, FM_SHAPE (d[0], 1, d[1], d[2])),
                 fm_reshape (g, weight, FM_SHAPE (wd[0], 1, wd[1], wd[2])), bias, window, groups);
  if (fm_graph_failed (g))
    return g->poison;
  return fm_reshape (g, y, FM_SHAPE (y->shape.dims[0], y->shape.dims[2], y->shape.dims[3]));
}

FmTensor *
fm_conv2d_transposed (FmGraph *g, FmTensor *x, FmTensor *weight, FmTensor *bias, const FmConvWindow *window)
{
  FM_REFUSE_NULL (g, "conv2d transposed", x, weight);
  const gint64 *wd = weight->shape.dims, *d = x->shape.dims;
  gint64 taps, y, columns;
  FmConvWindow w;
  FmTensor *u;

  if (!is_picture (g, x, "conv2d-transposed"))
    return g->poison;
  if (weight->type != FM_F32 || weight->shape.rank != 4 || d[3] != wd[0])
    {
      g_autofree char *sx = fm_shape_to_string (&x->shape), *sw = fm_shape_to_string (&weight->shape);

      return fm_graph_fail (g, "conv2d-transposed", "needs a weight [channels,rows,columns,out] for %s, not %s", sx, sw);
    }
  w = window_of (window, wd[1], wd[2]);
  taps = wd[1] * wd[2];
  y = (d[1] - 1) * or_one (w.row_step) + (wd[1] - 1) * or_one (w.row_dilation) + 1 - w.top - w.bottom;
  columns = (d[2] - 1) * or_one (w.column_step) + (wd[2] - 1) * or_one (w.column_dilation) + 1 - w.left - w.right;
  if (y < 1 || columns < 1)
    return fm_graph_fail (g, "conv2d-transposed", "leaves %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT
                          " cells after cutting the padding: must be 1 or more", y, columns);
  u = fm_matmul (g, fm_reshape (g, x, FM_SHAPE (d[0] * d[1] * d[2], d[3])),
                 fm_reshape (g, weight, FM_SHAPE (wd[0], taps * wd[3])), 0);
  u = fm_fold (g, fm_reshape (g, u, FM_SHAPE (d[0], d[1], d[2], taps, wd[3])), y, columns, &w);
  return bias ? fm_add (g, u, bias) : u;
}

FmTensor *
fm_conv1d_transposed (FmGraph *g, FmTensor *x, FmTensor *weight, FmTensor *bias, const FmConvWindow *window)
{
  FM_REFUSE_NULL (g, "conv1d transposed", x, weight);
  const gint64 *d = x->shape.dims, *wd = weight->shape.dims;
  FmTensor *y;

  if (fm_graph_failed (g))
    return g->poison;
  if (x->shape.rank != 3 || weight->shape.rank != 3)
    {
      g_autofree char *sx = fm_shape_to_string (&x->shape), *sw = fm_shape_to_string (&weight->shape);

      return fm_graph_fail (g, "conv1d-transposed", "needs x [B,N,C] and a weight [channels,columns,out], not %s and %s", sx, sw);
    }
  y = fm_conv2d_transposed (g, fm_reshape (g, x, FM_SHAPE (d[0], 1, d[1], d[2])),
                            fm_reshape (g, weight, FM_SHAPE (wd[0], 1, wd[1], wd[2])), bias, window);
  if (fm_graph_failed (g))
    return g->poison;
  return fm_reshape (g, y, FM_SHAPE (y->shape.dims[0], y->shape.dims[2], y->shape.dims[3]));
}

FmTensor *
fm_max_pool (FmGraph *g, FmTensor *x, const FmConvWindow *window)
{
  FM_REFUSE_NULL (g, "max pool", x);
  FmTensor *u = fm_unfold (g, x, window, -INFINITY);

  return fm_graph_failed (g) ? g->poison : fm_max (g, u, 3);
}

FmTensor *
fm_mean_pool (FmGraph *g, FmTensor *x, const FmConvWindow *window)
{
  FM_REFUSE_NULL (g, "mean pool", x);
  FmTensor *sum = fm_unfold (g, x, window, 0.0), *inside;

  if (fm_graph_failed (g))
    return g->poison;
  /* How many cells of the picture lie under the window: the same sum over ones. */
  inside = fm_unfold (g, fm_constant (g, FM_F32, FM_SHAPE (1, x->shape.dims[1], x->shape.dims[2], 1), 1.0), window, 0.0);
  return fm_div (g, fm_sum (g, sum, 3), fm_sum (g, inside, 3));
}

FmTensor *
fm_patch_merge (FmGraph *g, FmTensor *x, gint64 patch)
{
  FM_REFUSE_NULL (g, "patch merge", x);
  gint64 y, columns;
  FmTensor *p;

  if (!is_picture (g, x, "patch-merge"))
    return g->poison;
  y = x->shape.dims[1];
  columns = x->shape.dims[2];
  p = fm_patches (g, x, patch);
  if (fm_graph_failed (g))
    return g->poison;
  return fm_reshape (g, p, FM_SHAPE (x->shape.dims[0], y / patch, columns / patch, p->shape.dims[2]));
}

FM_OPS (unfold, &unfold_op, &fold_op);
