/* pooling.c: the mean of the neighbours minus the token itself, no parameters.
 * Source: Yu et al., "MetaFormer Is Actually What You Need for Vision", 2022, section 3.2, equation 4.
 * Shapes: x [B,N,D]; on a grid [B,Y,X,D], elsewhere a line [B,1,N,D].
 * Differs: the paper subtracts x because its block adds it back, as ours does; padded rows average over visible tokens
 * only, which the paper's pictures never need. Cells outside the grid are not counted. */
#include "plugin.h"

typedef struct
{
  gint64 window;
} Params;

static const FmParam params[] = {
  FM_PARAM_INT (Params, window, 3, 1, 255, "tokens", "Side of the square that is averaged; odd"),
  FM_PARAM_END
};

static FmTensor *
build (FmGraph *g, const FmBuild *b, FmTensor *x)
{
  const Params *p = b->params;
  gboolean grid = b->grid_rows > 0 && b->lengths == NULL;
  gint64 rows = grid ? b->grid_rows : 1, columns = grid ? b->grid_columns : b->length;
  gint64 high = grid ? p->window : 1;
  FmTensor *y, *visible;

  if (p->window % 2 == 0)
    return fm_graph_fail (g, "window", "%" G_GINT64_FORMAT " is even; an odd one has a middle", p->window);
  if (b->lengths)
    {
      visible = fm_less (g, fm_iota (g, b->length), fm_reshape (g, b->lengths, FM_SHAPE (b->batch, 1)));
      visible = fm_reshape (g, visible, FM_SHAPE (b->batch, b->length, 1));
      y = fm_where (g, visible, x, fm_constant (g, FM_F32, FM_SHAPE (1), 0.0));
      y = fm_avg_pool (g, fm_reshape (g, y, FM_SHAPE (b->batch, 1, b->length, b->width)), 1, p->window);
      visible = fm_avg_pool (g, fm_reshape (g, visible, FM_SHAPE (b->batch, 1, b->length, 1)), 1, p->window);
      y = fm_div (g, y, fm_maximum (g, visible, fm_constant (g, FM_F32, FM_SHAPE (1), 1e-6)));
    }
  else
    y = fm_avg_pool (g, fm_reshape (g, x, FM_SHAPE (b->batch, rows, columns, b->width)), high, p->window);
  return fm_sub (g, fm_reshape (g, y, FM_SHAPE (b->batch, b->length, b->width)), x);
}

FM_PLUGIN_DEFINE (.id = "pooling", .title = "Pooling",
  .summary = "Each token becomes the mean of its neighbours on the grid minus itself: a mixer without parameters, to "
             "ask how much of a Transformer is its attention.",
  .paper = { "Yu, Luo, Zhou, Si, Zhou, Wang, Feng, Yan", 2022, "2111.11418" },
  .complexity = "O(N D w^2)", .role = FM_ROLE_MIXER, .caps = FM_CAP_BIDIRECTIONAL | FM_CAP_RAGGED,
  .params = params, .params_size = sizeof (Params), .build = build);
