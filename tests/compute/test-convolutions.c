/* test-convolutions.c: unfold, fold, convolutions, pooling, resizing, sampling and the Fourier transform against their
 * definitions in double. */
#include "op-test.h"

#include <math.h>

/* Windows by number, for n[0] of a case; sides are the weight's where there is one. */
static const FmConvWindow windows[] = {
  { .rows = 1, .columns = 1 },
  { .rows = 3, .columns = 3, .top = 1, .bottom = 1, .left = 1, .right = 1 },
  { .rows = 3, .columns = 2, .row_step = 2, .column_step = 3, .top = 1, .right = 2 },
  { .rows = 2, .columns = 3, .row_dilation = 2, .column_dilation = 2, .bottom = 1, .left = 3, .right = 1 },
  { .rows = 1, .columns = 4, .left = 3 },
  { .rows = 2, .columns = 3, .row_step = 2, .column_step = 3 },
};

static gint64
or_one (gint64 n)
{
  return n ? n : 1;
}

static gint64
places (gint64 size, gint64 before, gint64 after, gint64 window, gint64 step, gint64 dilation)
{
  return (size + before + after - (window - 1) * or_one (dilation) - 1) / or_one (step) + 1;
}

/* The cell under tap (i, j) of place (oy, ox), or -1. */
static gint64
cell_of (const FmConvWindow *w, gint64 y, gint64 x, gint64 oy, gint64 ox, gint64 i, gint64 j)
{
  gint64 r = oy * or_one (w->row_step) - w->top + i * or_one (w->row_dilation);
  gint64 c = ox * or_one (w->column_step) - w->left + j * or_one (w->column_dilation);

  return r >= 0 && r < y && c >= 0 && c < x ? r * x + c : -1;
}

/* --- Unfold and fold ----------------------------------------------------------------------------------------------*/

static FmTensor *
build_unfold (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_unfold (g, x[0], &windows[n[0]], f[0]);
}

static void
reference_unfold (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  const gint64 *d = x[0].shape.dims;
  const FmConvWindow *w = &windows[n[0]];
  gint64 oy = places (d[1], w->top, w->bottom, w->rows, w->row_step, w->row_dilation), at = 0;
  gint64 ox = places (d[2], w->left, w->right, w->columns, w->column_step, w->column_dilation);

  fm_op_array_init (y, FM_SHAPE (d[0], oy, ox, w->rows * w->columns, d[3]));
  for (gint64 b = 0; b < d[0]; b++)
    for (gint64 place = 0; place < oy * ox; place++)
      for (gint64 tap = 0; tap < w->rows * w->columns; tap++)
        {
          gint64 cell = cell_of (w, d[1], d[2], place / ox, place % ox, tap / w->columns, tap % w->columns);

          for (gint64 k = 0; k < d[3]; k++)
            y->v[at++] = cell < 0 ? f[0] : x[0].v[(b * d[1] * d[2] + cell) * d[3] + k];
        }
}

/* n: window, y, x. */
static FmTensor *
build_fold (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_fold (g, x[0], n[1], n[2], &windows[n[0]]);
}

static void
reference_fold (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  const gint64 *d = x[0].shape.dims;
  const FmConvWindow *w = &windows[n[0]];

  fm_op_array_init (y, FM_SHAPE (d[0], n[1], n[2], d[4]));
  for (gint64 b = 0; b < d[0]; b++)
    for (gint64 place = 0; place < d[1] * d[2]; place++)
      for (gint64 tap = 0; tap < d[3]; tap++)
        {
          gint64 cell = cell_of (w, n[1], n[2], place / d[2], place % d[2], tap / w->columns, tap % w->columns);

          for (gint64 k = 0; k < d[4] && cell >= 0; k++)
            y->v[(b * n[1] * n[2] + cell) * d[4] + k] += x[0].v[((b * d[1] * d[2] + place) * d[3] + tap) * d[4] + k];
        }
}

#define UNFOLD(id, is_quick, window, padding, ...) \
  { .name = "unfold/" id, .quick = is_quick, .n = { window }, .f = { padding }, \
    .in = { { FM_F32, FM_SHAPE (__VA_ARGS__), -2, 2, TRUE } }, .build = build_unfold, .reference = reference_unfold, \
    .atol = 0, .rtol = 1e-7, .grad_atol = 1e-5, .grad_rtol = 1e-5, .why = "copies; gradients are sums of some cells" }

#define FOLD(id, is_quick, window, y, x, ...) \
  { .name = "fold/" id, .quick = is_quick, .n = { window, y, x }, \
    .in = { { FM_F32, FM_SHAPE (__VA_ARGS__), -2, 2, TRUE } }, .build = build_fold, .reference = reference_fold, \
    .atol = 2e-6, .rtol = 1e-6, .why = "sums of up to 9 numbers" }

static const FmOpCase folds[] = {
  UNFOLD ("cell", TRUE, 0, 0, 2, 1, 1, 1),
  UNFOLD ("same", TRUE, 1, 0, 2, 4, 5, 3),
  UNFOLD ("steps", TRUE, 2, 1.5, 2, 5, 7, 3),
  UNFOLD ("dilated", TRUE, 3, -1, 1, 4, 6, 2),
  UNFOLD ("line", FALSE, 4, 0, 3, 1, 9, 5),
  UNFOLD ("large", FALSE, 1, 0, 3, 17, 19, 33),
  FOLD ("same", TRUE, 1, 4, 5, 2, 4, 5, 9, 3),
  FOLD ("steps", TRUE, 2, 5, 7, 2, 2, 3, 6, 3),
  FOLD ("dilated", FALSE, 3, 4, 6, 1, 3, 6, 6, 2),
  FOLD ("large", FALSE, 1, 17, 19, 2, 17, 19, 9, 8),
};

/* --- Convolutions -------------------------------------------------------------------------------------------------*/

/* n: window, groups. */
static FmTensor *
build_conv (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_conv2d (g, x[0], x[1], x[2], &windows[n[0]], n[1]);
}

static void
reference_conv (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  const gint64 *d = x[0].shape.dims, *wd = x[1].shape.dims;
  const FmConvWindow *w = &windows[n[0]];
  gint64 oy = places (d[1], w->top, w->bottom, wd[1], w->row_step, w->row_dilation), at = 0;
  gint64 ox = places (d[2], w->left, w->right, wd[2], w->column_step, w->column_dilation);

  fm_op_array_init (y, FM_SHAPE (d[0], oy, ox, wd[0]));
  for (gint64 b = 0; b < d[0]; b++)
    for (gint64 place = 0; place < oy * ox; place++)
      for (gint64 out = 0; out < wd[0]; out++, at++)
        {
          gint64 first = out / (wd[0] / n[1]) * wd[3]; /* channel of the group */

          y->v[at] = x[2].v[out];
          for (gint64 tap = 0; tap < wd[1] * wd[2]; tap++)
            {
              gint64 cell = cell_of (w, d[1], d[2], place / ox, place % ox, tap / wd[2], tap % wd[2]);

              for (gint64 k = 0; k < wd[3] && cell >= 0; k++)
                y->v[at] += x[1].v[(out * wd[1] * wd[2] + tap) * wd[3] + k]
                            * x[0].v[(b * d[1] * d[2] + cell) * d[3] + first + k];
            }
        }
}

static FmTensor *
build_transposed (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_conv2d_transposed (g, x[0], x[1], x[2], &windows[n[0]]);
}

static void
reference_transposed (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  const gint64 *d = x[0].shape.dims, *wd = x[1].shape.dims;
  const FmConvWindow *w = &windows[n[0]];
  gint64 rows = (d[1] - 1) * or_one (w->row_step) + (wd[1] - 1) * or_one (w->row_dilation) + 1 - w->top - w->bottom;
  gint64 columns = (d[2] - 1) * or_one (w->column_step) + (wd[2] - 1) * or_one (w->column_dilation) + 1 - w->left - w->right;

  fm_op_array_init (y, FM_SHAPE (d[0], rows, columns, wd[3]));
  for (gint64 i = 0; i < y->n; i++)
    y->v[i] = x[2].v[i % wd[3]];
  for (gint64 b = 0; b < d[0]; b++)
    for (gint64 place = 0; place < d[1] * d[2]; place++)
      for (gint64 tap = 0; tap < wd[1] * wd[2]; tap++)
        {
          gint64 cell = cell_of (w, rows, columns, place / d[2], place % d[2], tap / wd[2], tap % wd[2]);

          for (gint64 k = 0; k < d[3] && cell >= 0; k++)
            for (gint64 out = 0; out < wd[3]; out++)
              y->v[(b * rows * columns + cell) * wd[3] + out] += x[0].v[(b * d[1] * d[2] + place) * d[3] + k]
                                                                * x[1].v[(k * wd[1] * wd[2] + tap) * wd[3] + out];
        }
}

static FmTensor *
build_depthwise (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_depthwise_conv2d (g, x[0], x[1], x[2], &windows[n[0]]);
}

static void
reference_depthwise (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  const gint64 *d = x[0].shape.dims, *wd = x[1].shape.dims;
  const FmConvWindow *w = &windows[n[0]];
  gint64 oy = places (d[1], w->top, w->bottom, wd[0], w->row_step, w->row_dilation);
  gint64 ox = places (d[2], w->left, w->right, wd[1], w->column_step, w->column_dilation);

  fm_op_array_init (y, FM_SHAPE (d[0], oy, ox, d[3]));
  for (gint64 i = 0; i < y->n; i++)
    {
      gint64 k = i % d[3], place = i / d[3] % (oy * ox), b = i / (d[3] * oy * ox);

      y->v[i] = x[2].v[k];
      for (gint64 tap = 0; tap < wd[0] * wd[1]; tap++)
        {
          gint64 cell = cell_of (w, d[1], d[2], place / ox, place % ox, tap / wd[1], tap % wd[1]);

          if (cell >= 0)
            y->v[i] += x[1].v[tap * d[3] + k] * x[0].v[(b * d[1] * d[2] + cell) * d[3] + k];
        }
    }
}

/* Twice differentiated: the gradients of |d(sum of squares) / dx|^2. */
static FmTensor *
build_depthwise_second (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *y = fm_depthwise_conv2d (g, x[0], x[1], NULL, &windows[n[0]]), *dx[2];

  fm_grad (g, fm_sum_all (g, fm_square (g, y)), x, 2, dx);
  return fm_concat (g, (FmTensor *[]){ fm_reshape (g, dx[0], FM_SHAPE (-1)), fm_reshape (g, dx[1], FM_SHAPE (-1)) }, 2, 0);
}

static void
reference_depthwise_second (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  const gint64 *d = x[0].shape.dims, *wd = x[1].shape.dims;
  const FmConvWindow *w = &windows[n[0]];
  FmOpArray in[3] = { x[0], x[1] }, out = { 0 };
  gint64 ox = places (d[2], w->left, w->right, wd[1], w->column_step, w->column_dilation);

  fm_op_array_init (&in[2], FM_SHAPE (d[3]));
  reference_depthwise (in, &out, n, f);
  fm_op_array_init (y, FM_SHAPE (x[0].n + x[1].n));
  for (gint64 i = 0; i < out.n; i++)
    {
      gint64 k = i % d[3], place = i / d[3] % (out.n / d[0] / d[3]), b = i / (out.n / d[0]);

      for (gint64 tap = 0; tap < wd[0] * wd[1]; tap++)
        {
          gint64 cell = cell_of (w, d[1], d[2], place / ox, place % ox, tap / wd[1], tap % wd[1]);

          if (cell < 0)
            continue;
          y->v[(b * d[1] * d[2] + cell) * d[3] + k] += 2 * out.v[i] * x[1].v[tap * d[3] + k];
          y->v[x[0].n + tap * d[3] + k] += 2 * out.v[i] * x[0].v[(b * d[1] * d[2] + cell) * d[3] + k];
        }
    }
  g_free (in[2].v);
  g_free (out.v);
}

/* 1-D: the causal window of four over [B,N,C]. n: which builder. */
static FmTensor *
build_line (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return n[0] == 0 ? fm_conv1d (g, x[0], x[1], x[2], &windows[4], 1)
         : n[0] == 1 ? fm_depthwise_conv1d (g, x[0], x[1], x[2], &windows[4])
                     : fm_conv1d_transposed (g, x[0], x[1], x[2], &windows[0]);
}

static void
reference_line (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  FmOpArray in[3] = { x[0], x[1], x[2] };
  gint64 *d = in[0].shape.dims, *wd = in[1].shape.dims;
  FmShape shape;

  in[0].shape = FM_SHAPE (d[0], 1, d[1], d[2]);
  in[1].shape = n[0] == 1 ? FM_SHAPE (1, wd[0], wd[1]) : FM_SHAPE (wd[0], 1, wd[1], wd[2]);
  if (n[0] == 0)
    reference_conv (in, y, (const gint64[]){ 4, 1 }, f);
  else if (n[0] == 1)
    reference_depthwise (in, y, (const gint64[]){ 4 }, f);
  else
    reference_transposed (in, y, (const gint64[]){ 0 }, f);
  shape = FM_SHAPE (y->shape.dims[0], y->shape.dims[2], y->shape.dims[3]);
  y->shape = shape;
}

/* Films: n: window of the picture, of the time, groups. */
static const FmFilmWindow films[] = {
  { .picture = { 0 } },
  { .before = 2, .after = 1, .frame_step = 2 },
  { .frame_step = 3, .frame_dilation = 2, .after = 3 },
  { .frame_step = 2 },
};

static FmFilmWindow
film_window (const gint64 *n)
{
  FmFilmWindow w = films[n[1]];

  w.picture = windows[n[0]];
  return w;
}

static FmTensor *
build_film (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmFilmWindow w = film_window (n);

  return fm_conv3d (g, x[0], x[1], x[2], &w, n[2]);
}

static void
reference_film (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  const gint64 *d = x[0].shape.dims, *wd = x[1].shape.dims;
  const FmFilmWindow w = film_window (n);
  gint64 ot = places (d[1], w.before, w.after, wd[1], w.frame_step, w.frame_dilation);
  gint64 oy = places (d[2], w.picture.top, w.picture.bottom, wd[2], w.picture.row_step, w.picture.row_dilation);
  gint64 ox = places (d[3], w.picture.left, w.picture.right, wd[3], w.picture.column_step, w.picture.column_dilation);

  fm_op_array_init (y, FM_SHAPE (d[0], ot, oy, ox, wd[0]));
  for (gint64 i = 0; i < y->n; i++)
    {
      gint64 o = i % wd[0], at_x = i / wd[0] % ox, at_y = i / wd[0] / ox % oy, at_t = i / wd[0] / ox / oy % ot;
      gint64 b = i / wd[0] / ox / oy / ot, first = o / (wd[0] / n[2]) * wd[4];

      y->v[i] = x[2].v[o];
      for (gint64 k = 0; k < wd[1]; k++)
        for (gint64 tap = 0; tap < wd[2] * wd[3]; tap++)
          {
            gint64 t = at_t * or_one (w.frame_step) + k * or_one (w.frame_dilation) - w.before;
            gint64 cell = cell_of (&w.picture, d[2], d[3], at_y, at_x, tap / wd[3], tap % wd[3]);

            for (gint64 c = 0; t >= 0 && t < d[1] && cell >= 0 && c < wd[4]; c++)
              y->v[i] += x[0].v[((b * d[1] + t) * d[2] * d[3] + cell) * d[4] + first + c]
                         * x[1].v[((o * wd[1] + k) * wd[2] * wd[3] + tap) * wd[4] + c];
          }
    }
}

#define WHY "sums of up to 40 products of numbers up to 2"
#define CONV(id, is_quick, window, groups, b, y, x, in_channels, out_channels, r, s) \
  { .name = "conv2d/" id, .quick = is_quick, .n = { window, groups }, \
    .in = { { FM_F32, FM_SHAPE (b, y, x, in_channels), -1, 1, TRUE }, \
            { FM_F32, FM_SHAPE (out_channels, r, s, (in_channels) / (groups)), -1, 1, TRUE }, \
            { FM_F32, FM_SHAPE (out_channels), -1, 1, TRUE } }, \
    .build = build_conv, .reference = reference_conv, .atol = 5e-6, .rtol = 5e-6, .grad_atol = 2e-4, .grad_rtol = 1e-4, \
    .why = WHY }
#define TRANSPOSED(id, is_quick, window, b, y, x, in_channels, out_channels, r, s) \
  { .name = "transposed/" id, .quick = is_quick, .n = { window }, \
    .in = { { FM_F32, FM_SHAPE (b, y, x, in_channels), -1, 1, TRUE }, \
            { FM_F32, FM_SHAPE (in_channels, r, s, out_channels), -1, 1, TRUE }, \
            { FM_F32, FM_SHAPE (out_channels), -1, 1, TRUE } }, \
    .build = build_transposed, .reference = reference_transposed, .atol = 5e-6, .rtol = 5e-6, .grad_atol = 2e-4, \
    .grad_rtol = 1e-4, .why = WHY }
#define DEPTHWISE(id, is_quick, what, window, b, y, x, c, r, s) \
  { .name = "depthwise/" id, .quick = is_quick, .n = { window }, \
    .in = { { FM_F32, FM_SHAPE (b, y, x, c), -1, 1, TRUE }, { FM_F32, FM_SHAPE (r, s, c), -1, 1, TRUE }, \
            { FM_F32, FM_SHAPE (c), -1, 1, TRUE } }, \
    .build = build_##what, .reference = reference_##what, .atol = 5e-6, .rtol = 5e-6, .grad_atol = 3e-4, .grad_rtol = 1e-4, \
    .why = WHY }

#define FILM(id, is_quick, window, time, groups, b, t, y, x, in_channels, out_channels, frames, r, s) \
  { .name = "conv3d/" id, .quick = is_quick, .n = { window, time, groups }, \
    .in = { { FM_F32, FM_SHAPE (b, t, y, x, in_channels), -1, 1, TRUE }, \
            { FM_F32, FM_SHAPE (out_channels, frames, r, s, (in_channels) / (groups)), -1, 1, TRUE }, \
            { FM_F32, FM_SHAPE (out_channels), -1, 1, TRUE } }, \
    .build = build_film, .reference = reference_film, .atol = 1e-5, .rtol = 5e-6, .grad_atol = 4e-4, .grad_rtol = 1e-4, \
    .why = WHY }

static const FmOpCase convolutions[] = {
  CONV ("one", TRUE, 0, 1, 1, 1, 1, 1, 1, 1, 1), CONV ("pointwise", TRUE, 0, 1, 2, 3, 4, 5, 6, 1, 1),
  CONV ("same", TRUE, 1, 1, 2, 4, 5, 3, 4, 3, 3), CONV ("steps", TRUE, 2, 1, 2, 5, 7, 3, 4, 3, 2),
  CONV ("dilated", FALSE, 3, 1, 1, 4, 6, 2, 3, 2, 3), CONV ("groups", TRUE, 1, 2, 2, 4, 3, 4, 6, 3, 3),
  CONV ("patches", TRUE, 5, 1, 2, 4, 9, 3, 4, 2, 3), CONV ("patches-and-rest", FALSE, 5, 1, 2, 5, 7, 3, 4, 2, 3),
  CONV ("large", FALSE, 1, 1, 2, 13, 11, 17, 19, 3, 3),
  TRANSPOSED ("one", TRUE, 0, 1, 1, 1, 1, 1, 1, 1), TRANSPOSED ("steps", TRUE, 2, 2, 3, 4, 3, 4, 3, 2),
  TRANSPOSED ("same", FALSE, 1, 2, 4, 5, 3, 4, 3, 3), TRANSPOSED ("dilated", FALSE, 3, 1, 4, 6, 2, 3, 2, 3),
  DEPTHWISE ("same", TRUE, depthwise, 1, 2, 4, 5, 3, 3, 3), DEPTHWISE ("steps", TRUE, depthwise, 2, 2, 5, 7, 3, 3, 2),
  DEPTHWISE ("dilated", FALSE, depthwise, 3, 1, 4, 6, 2, 2, 3), DEPTHWISE ("large", FALSE, depthwise, 1, 2, 15, 17, 40, 3, 3),
  { .name = "depthwise/second", .quick = TRUE, .n = { 2 },
    .in = { { FM_F32, FM_SHAPE (2, 5, 7, 3), -1, 1, TRUE }, { FM_F32, FM_SHAPE (3, 2, 3), -1, 1, TRUE } },
    .build = build_depthwise_second, .reference = reference_depthwise_second, .atol = 5e-5, .rtol = 1e-5,
    .grad_atol = 1e-3, .grad_rtol = 1e-4, .why = "sums of some hundred products" },
  FILM ("one", TRUE, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1), FILM ("frames", TRUE, 0, 0, 1, 2, 5, 2, 3, 2, 3, 3, 1, 1),
  FILM ("steps", TRUE, 2, 1, 1, 2, 5, 3, 5, 2, 3, 4, 3, 2), FILM ("dilated", TRUE, 3, 2, 1, 1, 6, 4, 5, 2, 3, 3, 2, 3),
  FILM ("patches", TRUE, 5, 3, 1, 2, 4, 4, 6, 3, 4, 2, 2, 3), FILM ("rest", FALSE, 5, 3, 1, 2, 5, 4, 6, 3, 4, 2, 2, 3),
  FILM ("groups", FALSE, 1, 1, 2, 2, 4, 3, 4, 4, 6, 2, 3, 3),
  { .name = "conv1d/causal", .quick = TRUE, .n = { 0 },
    .in = { { FM_F32, FM_SHAPE (2, 9, 3), -1, 1, TRUE }, { FM_F32, FM_SHAPE (5, 4, 3), -1, 1, TRUE },
            { FM_F32, FM_SHAPE (5), -1, 1, TRUE } },
    .build = build_line, .reference = reference_line, .atol = 5e-6, .rtol = 5e-6, .grad_atol = 2e-4, .grad_rtol = 1e-4,
    .why = WHY },
  { .name = "conv1d/depthwise", .quick = TRUE, .n = { 1 },
    .in = { { FM_F32, FM_SHAPE (2, 9, 3), -1, 1, TRUE }, { FM_F32, FM_SHAPE (4, 3), -1, 1, TRUE },
            { FM_F32, FM_SHAPE (3), -1, 1, TRUE } },
    .build = build_line, .reference = reference_line, .atol = 5e-6, .rtol = 5e-6, .grad_atol = 2e-4, .grad_rtol = 1e-4,
    .why = WHY },
  { .name = "conv1d/transposed", .n = { 2 },
    .in = { { FM_F32, FM_SHAPE (2, 9, 3), -1, 1, TRUE }, { FM_F32, FM_SHAPE (3, 4, 5), -1, 1, TRUE },
            { FM_F32, FM_SHAPE (5), -1, 1, TRUE } },
    .build = build_line, .reference = reference_line, .atol = 5e-6, .rtol = 5e-6, .grad_atol = 2e-4, .grad_rtol = 1e-4,
    .why = WHY },
};

/* --- Pooling ------------------------------------------------------------------------------------------------------*/

/* n: window, 1 for the mean. */
static FmTensor *
build_pool (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return n[1] ? fm_mean_pool (g, x[0], &windows[n[0]]) : fm_max_pool (g, x[0], &windows[n[0]]);
}

static void
reference_pool (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  const gint64 *d = x[0].shape.dims;
  const FmConvWindow *w = &windows[n[0]];
  gint64 oy = places (d[1], w->top, w->bottom, w->rows, w->row_step, w->row_dilation);
  gint64 ox = places (d[2], w->left, w->right, w->columns, w->column_step, w->column_dilation);

  fm_op_array_init (y, FM_SHAPE (d[0], oy, ox, d[3]));
  for (gint64 i = 0; i < y->n; i++)
    {
      gint64 k = i % d[3], place = i / d[3] % (oy * ox), b = i / (d[3] * oy * ox), count = 0;
      gdouble most = -INFINITY, sum = 0;

      for (gint64 tap = 0; tap < w->rows * w->columns; tap++)
        {
          gint64 cell = cell_of (w, d[1], d[2], place / ox, place % ox, tap / w->columns, tap % w->columns);

          if (cell < 0)
            continue;
          most = MAX (most, x[0].v[(b * d[1] * d[2] + cell) * d[3] + k]);
          sum += x[0].v[(b * d[1] * d[2] + cell) * d[3] + k];
          count++;
        }
      y->v[i] = n[1] ? sum / count : most;
    }
}

#define POOL(id, is_quick, window, mean, ...) \
  { .name = "pool/" id, .quick = is_quick, .n = { window, mean }, \
    .in = { { FM_F32, FM_SHAPE (__VA_ARGS__), -2, 2, TRUE } }, .build = build_pool, .reference = reference_pool, \
    .atol = 1e-6, .rtol = 1e-6, .grad_atol = 1e-5, .grad_rtol = 1e-5, .why = "sums of up to 9 numbers" }

static const FmOpCase pools[] = {
  POOL ("max/same", TRUE, 1, 0, 2, 4, 5, 3), POOL ("max/steps", FALSE, 2, 0, 2, 5, 7, 3),
  POOL ("mean/same", TRUE, 1, 1, 2, 4, 5, 3), POOL ("mean/steps", FALSE, 2, 1, 2, 5, 7, 3),
};

/* --- Resizing and sampling ----------------------------------------------------------------------------------------*/

/* Mixes the four cells around (row, column); outside: zero. */
static gdouble
mixed (const FmOpArray *x, gint64 b, gint64 k, gdouble row, gdouble column)
{
  const gint64 *d = x->shape.dims;
  gdouble sum = 0;

  for (gint64 r = 0; r < d[1]; r++)
    for (gint64 c = 0; c < d[2]; c++)
      sum += MAX (0, 1 - fabs (row - r)) * MAX (0, 1 - fabs (column - c)) * x->v[((b * d[1] + r) * d[2] + c) * d[3] + k];
  return sum;
}

/* n: rows, columns, corners aligned. */
static FmTensor *
build_resize (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_resize (g, x[0], n[0], n[1], n[2] != 0);
}

static gdouble
source (gint64 at, gint64 from, gint64 to, gboolean corners)
{
  gdouble s = corners ? (to > 1 ? (gdouble) at * (from - 1) / (to - 1) : 0) : (at + 0.5) * from / to - 0.5;

  return CLAMP (s, 0, from - 1);
}

static void
reference_resize (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  const gint64 *d = x[0].shape.dims;

  fm_op_array_init (y, FM_SHAPE (d[0], n[0], n[1], d[3]));
  for (gint64 i = 0; i < y->n; i++)
    y->v[i] = mixed (&x[0], i / (n[0] * n[1] * d[3]), i % d[3], source (i / (n[1] * d[3]) % n[0], d[1], n[0], n[2]),
                     source (i / d[3] % n[1], d[2], n[1], n[2]));
}

static FmTensor *
build_sample (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_sample (g, x[0], x[1]);
}

static void
reference_sample (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  const gint64 *d = x[0].shape.dims;
  gint64 points = x[1].shape.dims[1];

  fm_op_array_init (y, FM_SHAPE (d[0], points, d[3]));
  for (gint64 i = 0; i < y->n; i++)
    {
      gint64 point = i / d[3];

      y->v[i] = mixed (&x[0], point / points, i % d[3], x[1].v[2 * point], x[1].v[2 * point + 1]);
    }
}

/* Away from whole numbers, where the slope jumps. */
static void
fill_points (FmOpArray *x)
{
  for (gint64 i = 0; i < x->n; i++)
    if (fabs (x->v[i] - round (x->v[i])) < 0.01)
      x->v[i] += 0.1;
  x->v[0] = -50.5; /* far outside */
}

#define RESIZE(id, is_quick, rows, columns, corners, ...) \
  { .name = "resize/" id, .quick = is_quick, .n = { rows, columns, corners }, \
    .in = { { FM_F32, FM_SHAPE (__VA_ARGS__), -2, 2, TRUE } }, .build = build_resize, .reference = reference_resize, \
    .atol = 5e-6, .rtol = 2e-6, .grad_atol = 1e-4, .grad_rtol = 1e-5, \
    .why = "places to within 1e-6 of a cell, differences of cells up to 4" }

static const FmOpCase resizes[] = {
  RESIZE ("up", TRUE, 7, 10, 0, 2, 3, 4, 3), RESIZE ("down", TRUE, 2, 3, 0, 2, 5, 7, 3),
  RESIZE ("corners", TRUE, 7, 9, 1, 2, 3, 4, 3), RESIZE ("one", FALSE, 4, 4, 0, 1, 1, 1, 2),
  RESIZE ("to-one", FALSE, 1, 1, 1, 1, 4, 5, 2), RESIZE ("rows-alone", FALSE, 9, 5, 0, 2, 4, 5, 2),
  { .name = "sample/points", .quick = TRUE,
    .in = { { FM_F32, FM_SHAPE (2, 4, 5, 3), -2, 2, TRUE }, { FM_F32, FM_SHAPE (2, 9, 2), -1.8, 5.8, TRUE, fill_points } },
    .build = build_sample, .reference = reference_sample, .atol = 5e-6, .rtol = 2e-6, .grad_atol = 1e-4, .grad_rtol = 1e-5,
    .why = "as resize" },
};

/* --- Fourier transform --------------------------------------------------------------------------------------------*/

/* n: axis, inverse, has an imaginary part. */
static FmTensor *
build_fft (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *im, *re = fm_fft (g, x[0], n[2] ? x[1] : NULL, (gint) n[0], n[1] != 0, &im);

  return fm_concat (g, (FmTensor *[]){ fm_reshape (g, re, FM_SHAPE (-1)), fm_reshape (g, im, FM_SHAPE (-1)) }, 2, 0);
}

static void
reference_fft (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  const FmShape *shape = &x[0].shape;
  gint64 axis = n[0] < 0 ? n[0] + (gint64) shape->rank : n[0], size = shape->dims[axis], inner = 1;

  for (guint a = (guint) axis + 1; a < shape->rank; a++)
    inner *= shape->dims[a];
  fm_op_array_init (y, FM_SHAPE (2 * x[0].n));
  for (gint64 i = 0; i < x[0].n; i++)
    {
      gint64 k = i / inner % size, first = i - k * inner;

      for (gint64 t = 0; t < size; t++)
        {
          gdouble angle = (n[1] ? 2 : -2) * G_PI * (gdouble) (k * t % size) / (gdouble) size;
          gdouble re = x[0].v[first + t * inner], im = n[2] ? x[1].v[first + t * inner] : 0, by = n[1] ? 1.0 / size : 1.0;

          y->v[i] += by * (re * cos (angle) - im * sin (angle));
          y->v[x[0].n + i] += by * (re * sin (angle) + im * cos (angle));
        }
    }
}

static FmTensor *
build_long (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_long_conv (g, x[0], x[1]);
}

static void
reference_long (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  const gint64 *d = x[0].shape.dims;

  fm_op_array_init (y, x[0].shape);
  for (gint64 i = 0; i < y->n; i++)
    {
      gint64 k = i % d[2], t = i / d[2] % d[1];

      for (gint64 s = 0; s <= MIN (t, x[1].shape.dims[0] - 1); s++)
        y->v[i] += x[1].v[s * d[2] + k] * x[0].v[i - s * d[2]];
    }
}

#define FFT(id, is_quick, axis, inverse, complex, ...) \
  { .name = "fft/" id, .quick = is_quick, .n = { axis, inverse, complex }, \
    .in = { { FM_F32, FM_SHAPE (__VA_ARGS__), -1, 1, TRUE }, { FM_F32, FM_SHAPE (__VA_ARGS__), -1, 1, complex } }, \
    .build = build_fft, .reference = reference_fft, .atol = 2e-5, .rtol = 2e-6, .grad_atol = 3e-4, .grad_rtol = 1e-4, \
    .why = "log N roundings of sums up to sqrt N; by products N of them" }

static const FmOpCase transforms[] = {
  FFT ("one", TRUE, 0, 0, 1, 1), FFT ("two", FALSE, 0, 0, 1, 2), FFT ("vector", TRUE, 0, 0, 1, 16),
  FFT ("columns", TRUE, 1, 0, 1, 2, 8, 5), FFT ("inverse", TRUE, 1, 1, 1, 2, 8, 5), FFT ("real", TRUE, 1, 0, 0, 2, 16, 3),
  FFT ("last", TRUE, -1, 0, 1, 3, 2, 8), FFT ("first", FALSE, 0, 1, 1, 4, 3, 5), FFT ("any", TRUE, 1, 0, 1, 2, 7, 3),
  FFT ("any-inverse", FALSE, -1, 1, 1, 3, 12), FFT ("wide", FALSE, 1, 0, 1, 2, 4, 70), FFT ("long", FALSE, 1, 0, 1, 2, 1024, 3),
  FFT ("any-long", FALSE, 1, 0, 0, 1, 49, 4),
  { .name = "long-conv/short", .quick = TRUE,
    .in = { { FM_F32, FM_SHAPE (2, 9, 3), -1, 1, TRUE }, { FM_F32, FM_SHAPE (5, 3), -1, 1, TRUE } },
    .build = build_long, .reference = reference_long, .atol = 5e-6, .rtol = 5e-6, .grad_atol = 1e-4, .grad_rtol = 1e-4,
    .why = "as fft; sums of 5 products" },
  { .name = "long-conv/full",
    .in = { { FM_F32, FM_SHAPE (1, 100, 2), -1, 1, TRUE }, { FM_F32, FM_SHAPE (120, 2), -1, 1, TRUE } },
    .build = build_long, .reference = reference_long, .atol = 2e-5, .rtol = 5e-6, .grad_atol = 3e-4, .grad_rtol = 1e-4,
    .why = "as fft; sums of 100 products" },
};

static void
test_refused (void)
{
  struct { FmConvWindow window; const char *words; } bad[] = {
    { { .rows = 0, .columns = 3 }, "must be 1 or more" },
    { { .rows = 3, .columns = 3, .left = -1 }, "padding 0 or more" },
    { { .rows = 9, .columns = 1, .top = 2 }, "fits nowhere in 4 x 5 cells" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (FmGraph) g = fm_graph_new ();

      fm_unfold (g, fm_graph_input (g, "x", FM_F32, FM_SHAPE (1, 4, 5, 2)), &bad[i].window, 0);
      g_assert_nonnull (fm_graph_get_error (g));
      g_assert_nonnull (strstr (fm_graph_get_error (g)->message, bad[i].words));
    }
  {
    g_autoptr (FmGraph) g = fm_graph_new ();
    FmTensor *im;

    fm_fft (g, fm_graph_input (g, "x", FM_F32, FM_SHAPE (5000)), NULL, 0, FALSE, &im);
    g_assert_nonnull (strstr (fm_graph_get_error (g)->message, "must be a power of two"));
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fm_op_test_add ("windows", folds, G_N_ELEMENTS (folds));
  fm_op_test_add ("convolutions", convolutions, G_N_ELEMENTS (convolutions));
  fm_op_test_add ("windows", pools, G_N_ELEMENTS (pools));
  fm_op_test_add ("pictures", resizes, G_N_ELEMENTS (resizes));
  fm_op_test_add ("fourier", transforms, G_N_ELEMENTS (transforms));
  g_test_add_func ("/compute/windows/refused", test_refused);
  return g_test_run ();
}
