/* strided-mixer.c: tokens mixed by learned matrices, one for each direction, over coarse positions; some tokens go through
 * an expert and come back; positions are bucketed by borders.
 * Source: cards token-mixing (triangular mixing), combiner (summaries of every second token, suffix sums), uoe (tokens chosen
 * by score, their results added where they came from) and yi-recipe (tiles).
 * Shapes: B, N tokens, D width, S summaries, C chosen tokens, K borders. */
#include "models.h"

enum { B = 2, N = 12, D = 10, S = N / 2, C = 3, K = 4, CLASSES = 4 };

/* Sums over the tokens up to each one, and, turned round, from each one on. */
static FmTensor *
triangular (FmGraph *g, FmTensor *x)
{
  FmTensor *w = fm_param (g, "mixing", FM_SHAPE (N, N), fm_init_normal (0.2)), *ahead, *back;

  ahead = fm_matmul (g, fm_tril (g, w, 0), x, 0);
  back = fm_matmul (g, fm_triu (g, w, 1), fm_flip (g, x, 1), 0);
  return fm_add (g, ahead, fm_flip (g, back, 1));
}

/* Every second token, less and with its neighbour, once over and repeated; and means of what follows. */
static FmTensor *
summaries (FmGraph *g, FmTensor *x)
{
  FmTensor *even = fm_slice_step (g, x, 1, 0, S, 2), *odd = fm_slice_step (g, x, 1, N - 1, S, -2), *rest, *count;

  even = fm_add (g, even, fm_mul_scalar (g, fm_flip (g, odd, 1), 0.5));
  count = fm_add_scalar (g, fm_neg (g, fm_cast (g, fm_iota (g, N), FM_F32)), N);
  rest = fm_div (g, fm_cumsum_reverse (g, x, 1, FALSE), fm_reshape (g, count, FM_SHAPE (N, 1)));
  return fm_add (g, fm_linear (g, fm_tile (g, even, 1, 2), D, "even"), fm_linear (g, fm_repeat (g, fm_slice_step (g, rest, 1, 0, S, 2),
                                                                                                1, 2), D, "rest"));
}

/* The tokens that score best, in each item of the batch. */
static FmTensor *
expert (FmGraph *g, FmTensor *x)
{
  FmTensor *scores = fm_reshape (g, fm_linear (g, x, 1, "router"), FM_SHAPE (B, N)), *index, *chosen;

  scores = fm_top_k (g, fm_sigmoid (g, scores), C, &index);
  chosen = fm_linear (g, fm_gelu (g, fm_linear (g, fm_gather (g, x, 1, index), 2 * D, "up")), D, "down");
  chosen = fm_mul (g, chosen, fm_reshape (g, scores, FM_SHAPE (B, C, 1)));
  return fm_scatter_add (g, chosen, 1, index, N);
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (B, N, D)), *bucket, *times;
  FmTensor *borders = fm_graph_input (g, "borders", FM_F32, FM_SHAPE (K));
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (B, N));

  times = fm_graph_input (g, "times", FM_F32, FM_SHAPE (B, N));
  bucket = fm_search_sorted (g, borders, times, TRUE);
  x = fm_add (g, x, fm_gather_rows (g, fm_param (g, "buckets", FM_SHAPE (K + 1, D), fm_init_normal (0.5)), bucket));
  x = fm_add (g, x, triangular (g, fm_norm (g, x, "norm1")));
  x = fm_add (g, x, summaries (g, fm_norm (g, x, "norm2")));
  x = fm_add (g, x, expert (g, fm_norm (g, x, "norm3")));
  return fm_mean_all (g, fm_cross_entropy (g, fm_linear (g, x, CLASSES, "head"), target));
}

/* Borders rise; times fall between them. */
static void
fill (const char *input, FmType type, gpointer data, gint64 n)
{
  for (gint64 i = 0; g_str_equal (input, "borders") && i < n; i++)
    ((gfloat *) data)[i] = (gfloat) (i - 1) * 0.7f;
}

FM_MODEL (strided_mixer, .name = "strided-mixer", .card = "token-mixing", .build = build, .fill = fill,
          .inputs = { { "target", 0, CLASSES - 1 } });
