/* modalities.c: films, series and points, each cut into tokens in its own way, through one frozen encoder.
 * Source: card meta-transformer (tokenizers, frozen shared encoder, head per task). Its point tokenizer orders points
 * by farthest distance, which is the data's part: here the first are centres.
 * Shapes: B; films [T,Y,Y,C], series [N,C], P points in space of which C4 are centres with K neighbours; D width. */
#include "models.h"

enum { B = 3, T = 4, Y = 6, C = 2, N = 10, P = 16, CENTRES = 4, K = 5, D = 12, CLASSES = 4 };

static FmTensor *
weight (FmGraph *g, const char *name, FmShape shape)
{
  return fm_param (g, name, shape, fm_init_normal (0.3));
}

static FmTensor *
film (FmGraph *g)
{
  const FmFilmWindow patch = { .picture = { .row_step = 3, .column_step = 3 }, .frame_step = 2 };
  FmTensor *x = fm_graph_input (g, "film", FM_F32, FM_SHAPE (B, T, Y, Y, C));

  x = fm_conv3d (g, x, weight (g, "film.weight", FM_SHAPE (D, 2, 3, 3, C)), weight (g, "film.bias", FM_SHAPE (D)),
                 &patch, 1);
  return fm_reshape (g, x, FM_SHAPE (B, -1, D));
}

static FmTensor *
series (FmGraph *g)
{
  FmTensor *x = fm_pad_mode (g, fm_graph_input (g, "series", FM_F32, FM_SHAPE (B, N, C)), 1, 1, 1, FM_PAD_CIRCULAR, 0);

  return fm_conv1d (g, x, weight (g, "series.weight", FM_SHAPE (D, 3, C)), NULL, NULL, 1);
}

/* Neighbours of each centre, relative to it, through a small network; the largest of each channel. */
static FmTensor *
points (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "points", FM_F32, FM_SHAPE (B, P, 3)), *centre = fm_slice (g, x, 1, 0, CENTRES),
           *index, *near;

  fm_top_k (g, fm_neg (g, fm_squared_distances (g, centre, x)), K, &index);       /* [B,CENTRES,K] */
  near = fm_sub (g, fm_gather (g, x, 1, index), fm_reshape (g, centre, FM_SHAPE (B, CENTRES, 1, 3)));
  near = fm_linear (g, fm_gelu (g, fm_linear (g, near, D, "points.in")), D, "points.out");
  return fm_max (g, near, 2);
}

static FmTensor *
encoder (FmGraph *g, FmTensor *x)
{
  FmTensor *h = fm_norm (g, x, "norm");

  h = fm_attention (g, "mixer", fm_split_heads (g, fm_linear (g, h, D, "q"), 2),
                    fm_split_heads (g, fm_linear (g, h, D, "k"), 2),
                    fm_split_heads (g, fm_linear (g, h, D, "v"), 2), 0.4, NULL);
  x = fm_add (g, x, fm_linear (g, fm_merge_heads (g, h), D, "out"));
  return fm_add (g, x, fm_linear (g, fm_gelu (g, fm_linear (g, fm_norm (g, x, "norm2"), 2 * D, "in")), D, "down"));
}

static FmTensor *
build (FmGraph *g)
{
  static const char * const names[] = { "film-label", "series-label", "points-label" };
  FmTensor *tokens[] = { film (g), series (g), points (g) }, *loss = NULL;

  for (guint m = 0; m < 3; m++)
    {
      FmTensor *label = fm_graph_input (g, names[m], FM_I32, FM_SHAPE (B)), *y, *term;

      fm_graph_push_scope (g, "encoder");
      y = encoder (g, tokens[m]);
      fm_graph_pop_scope (g);
      y = fm_linear (g, fm_mean (g, y, 1), CLASSES, names[m]);
      term = fm_mean (g, fm_cross_entropy (g, y, label), 0);
      loss = loss ? fm_add (g, loss, term) : term;
    }
  fm_graph_mark_params (g, "encoder.*", FM_MARK_FROZEN, 1);
  return loss;
}

FM_MODEL (modalities, .name = "modalities", .card = "meta-transformer", .build = build,
          .inputs = { { "film-label", 0, CLASSES - 1 }, { "series-label", 0, CLASSES - 1 },
                      { "points-label", 0, CLASSES - 1 } });
