/* conv3d.c: convolution of films, as a composition over pictures; it has no op of its own. */
#include "config.h"

#include "compute/compute-private.h"

FM_OPS (conv3d, NULL);

#define MOST_FRAMES 256 /* of a weight: each is built as a convolution of its own */

static gint64
or_one (gint64 n)
{
  return n == 0 ? 1 : n;
}

/* Whether the window's places lie side by side and cover the film. */
static gboolean
is_tiling (const FmFilmWindow *w, const gint64 *d, const gint64 *wd)
{
  const FmConvWindow *p = &w->picture;

  return or_one (w->frame_step) == wd[1] && or_one (p->row_step) == wd[2] && or_one (p->column_step) == wd[3]
         && or_one (w->frame_dilation) == 1 && or_one (p->row_dilation) == 1 && or_one (p->column_dilation) == 1
         && !w->before && !w->after && !p->top && !p->bottom && !p->left && !p->right && d[1] % wd[1] == 0
         && d[2] % wd[2] == 0 && d[3] % wd[3] == 0 && d[4] == wd[4];
}

/* Cubes without gaps: the cells in another order, copied once, and one product. */
static FmTensor *
tiles (FmGraph *g, FmTensor *x, FmTensor *weight, FmTensor *bias)
{
  const gint64 *d = x->shape.dims, *wd = weight->shape.dims;
  gint64 b = d[0], t = d[1] / wd[1], oy = d[2] / wd[2], ox = d[3] / wd[3], cube = wd[1] * wd[2] * wd[3] * wd[4];
  FmTensor *u = fm_reshape (g, x, FM_SHAPE (b * t, wd[1], oy, wd[2], ox, wd[3] * wd[4]));

  u = fm_reshape (g, fm_permute (g, u, (gint[]){ 0, 2, 4, 1, 3, 5 }), FM_SHAPE (b, t, oy, ox, cube));
  return fm_affine (g, u, fm_reshape (g, weight, FM_SHAPE (wd[0], cube)), bias);
}

/**
 * fm_conv3d:
 * @x: f32 `[B,T,Y,X,C]`
 * @weight: f32 `[out,frames,rows,columns,C / groups]`
 * @bias: (nullable): f32 `[out]`
 *
 * Cross-correlation. T' = (T + before + after - (frames - 1) frame_dilation - 1) / frame_step + 1, rounded down. Frame k of
 * the weight meets every frame_step'th frame from k frame_dilation on, all of them as one batch of pictures. Cubes that
 * cover the film without gaps, the patches of films, are one product.
 */
FmTensor *
fm_conv3d (FmGraph *g, FmTensor *x, FmTensor *weight, FmTensor *bias, const FmFilmWindow *window, gint64 groups)
{
  FM_REFUSE_NULL (g, "conv3d", x, weight);
  static const FmFilmWindow none = { 0 };
  const FmFilmWindow *w = window ? window : &none;
  const gint64 *d = x->shape.dims, *wd = weight->shape.dims;
  gint64 step = or_one (w->frame_step), dilation = or_one (w->frame_dilation);
  gint64 frames, room, places;
  FmTensor *y = NULL;

  if (fm_graph_failed (g))
    return g->poison;
  if (x->type != FM_F32 || weight->type != FM_F32 || x->shape.rank != 5 || weight->shape.rank != 5)
    {
      g_autofree char *sx = fm_shape_to_string (&x->shape), *sw = fm_shape_to_string (&weight->shape);

      return fm_graph_fail (g, "conv3d", "x %s, weight %s; wants f32 [B,T,Y,X,C] and [out,frames,rows,columns,C / groups]", sx,
                            sw);
    }
  frames = wd[1];
  if (step < 1 || dilation < 1 || w->before < 0 || w->after < 0 || frames > MOST_FRAMES || dilation > G_MAXINT32
      || step > G_MAXINT32 || w->before > G_MAXINT32 || w->after > G_MAXINT32 || d[1] > G_MAXINT32)
    return fm_graph_fail (g, "conv3d", "%" G_GINT64_FORMAT " frames: must be %d at most; steps and dilations 1 or more, padding 0 "
                          "or more, and all below 2^31", frames, MOST_FRAMES);
  room = d[1] + w->before + w->after - ((frames - 1) * dilation + 1);
  if (room < 0)
    return fm_graph_fail (g, "conv3d", "window of %" G_GINT64_FORMAT " frames fits nowhere in %" G_GINT64_FORMAT
                          " with their padding", frames, d[1]);
  if (groups == 1 && is_tiling (w, d, wd))
    return tiles (g, x, weight, bias);
  places = room / step + 1;
  if (w->before || w->after)
    x = fm_pad (g, x, 1, w->before, w->after);
  for (gint64 k = 0; k < frames && !fm_graph_failed (g); k++)
    {
      FmTensor *part = fm_slice_step (g, x, 1, k * dilation, places, step), *frame;

      part = fm_reshape (g, part, FM_SHAPE (d[0] * places, d[2], d[3], d[4]));
      frame = fm_reshape (g, fm_slice (g, weight, 1, k, 1), FM_SHAPE (wd[0], wd[2], wd[3], wd[4]));
      part = fm_conv2d (g, part, frame, k == 0 ? bias : NULL, &w->picture, groups);
      y = y ? fm_add (g, y, part) : part;
    }
  if (fm_graph_failed (g))
    return g->poison;
  return fm_reshape (g, y, FM_SHAPE (d[0], places, y->shape.dims[1], y->shape.dims[2], wd[0]));
}
