/* tiled-map.c: attention whose map is too large to keep: a viewer asks for one rectangle after the other.
 * Source: card masformer, maps recomputed by tiles over a causal window; lengths as in a padded batch.
 * Shapes: B, N tokens, D width, H heads, T side of a tile. */
#include "models.h"

#include <math.h>

enum { B = 2, N = 24, D = 12, H = 3, W = D / H, T = 7 };

static void
heads (FmGraph *g, FmTensor *x, FmTensor **q, FmTensor **k, FmTensor **v, FmAttentionMask *mask)
{
  *q = fm_split_heads (g, fm_linear (g, x, D, "q"), H);
  *k = fm_split_heads (g, fm_linear (g, x, D, "k"), H);
  *v = fm_split_heads (g, fm_linear (g, x, D, "v"), H);
  *mask = (FmAttentionMask){ .causal = TRUE, .window = 9,
                             .key_lengths = fm_graph_input (g, "lengths", FM_I32, FM_SHAPE (B)) };
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (B, N, D)), *q, *k, *v;
  FmAttentionMask mask;

  heads (g, x, &q, &k, &v, &mask);
  x = fm_linear (g, fm_merge_heads (g, fm_attention_core (g, q, k, v, 1 / sqrt (W), &mask)), D, "out");
  return fm_mse (g, x, fm_graph_input (g, "target", FM_F32, FM_SHAPE (B, N, D)));
}

static const FmModelRow row = { .name = "tiled-map", .inputs = { { "lengths", N - 6, N } } };

/* Tiles, the last of which are smaller, put together are the map; the map times the values is what attention gives. */
static void
check (FmDevice *device)
{
  g_autoptr(FmVariables) variables = fm_variables_new (device, 3);
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(FmProgram) program = NULL;
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (B, N, D)), *q, *k, *v, *rows[(N + T - 1) / T], *map;
  FmAttentionMask mask;
  g_autofree gfloat *tiles = g_new (gfloat, B * H * N * N), *want = g_new (gfloat, B * H * N * N);
  gfloat sums[B * H * N * W], core[B * H * N * W];
  g_autoptr(GError) error = NULL;

  heads (g, x, &q, &k, &v, &mask);
  for (gint64 r = 0; r < N; r += T)
    {
      FmTensor *row_tiles[(N + T - 1) / T];

      for (gint64 c = 0; c < N; c += T)
        row_tiles[c / T] = fm_attention_map_tile (g, q, k, 1 / sqrt (W), &mask, r, MIN (T, N - r), c, MIN (T, N - c));
      rows[r / T] = fm_concat (g, row_tiles, G_N_ELEMENTS (row_tiles), 3);
    }
  map = fm_concat (g, rows, G_N_ELEMENTS (rows), 2);
  fm_graph_output (g, "tiles", map);
  fm_graph_output (g, "map", fm_attention_map (g, q, k, 1 / sqrt (W), &mask));
  fm_graph_output (g, "sums", fm_contiguous (g, fm_matmul (g, map, v, 0)));
  fm_graph_output (g, "core", fm_contiguous (g, fm_attention_core (g, q, k, v, 1 / sqrt (W), &mask)));
  program = fm_model_program (&row, g, device, variables);
  fm_model_run (program, "tiles", tiles, B * H * N * N);
  fm_program_read (program, "map", want, B * H * N * N * sizeof *want, &error);
  fm_program_read (program, "sums", sums, sizeof sums, &error);
  fm_program_read (program, "core", core, sizeof core, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < B * H * N * N; i++)
    g_assert_cmpfloat (fabsf (tiles[i] - want[i]), <=, 1e-6f);
  for (guint i = 0; i < B * H * N * W; i++)
    g_assert_cmpfloat (fabsf (sums[i] - core[i]), <=, 2e-6f);
}

FM_MODEL (tiled_map, .name = "tiled-map", .card = "masformer", .build = build, .check = check,
          .inputs = { { "lengths", N - 6, N } });
