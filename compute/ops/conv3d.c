/* conv3d.c: convolution of films, as a composition over pictures; it has no op of its own. */
#include "config.h"

#include "compute/compute-private.h"

FM_OPS (conv3d, NULL);

#define MOST_FRAMES 256 /* of a weight: each is built as a convolution of its own */

/**
 * fm_conv3d:
 * @x: f32 `[B,T,Y,X,C]`
 * @weight: f32 `[out,frames,rows,columns,C / groups]`
 * @bias: (nullable): f32 `[out]`
 *
 * Cross-correlation. T' = (T + before + after - (frames - 1) frame_dilation - 1) / frame_step + 1, rounded down. Frame k of
 * the weight meets every frame_step'th frame from k frame_dilation on, all of them as one batch of pictures.
 */
FmTensor *
fm_conv3d (FmGraph *g, FmTensor *x, FmTensor *weight, FmTensor *bias, const FmFilmWindow *window, gint64 groups)
{
  FM_REFUSE_NULL (g, "conv3d", x, weight);
  static const FmFilmWindow none = { 0 };
  const FmFilmWindow *w = window ? window : &none;
  const gint64 *d = x->shape.dims, *wd = weight->shape.dims;
  gint64 step = w->frame_step == 0 ? 1 : w->frame_step, dilation = w->frame_dilation == 0 ? 1 : w->frame_dilation;
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
