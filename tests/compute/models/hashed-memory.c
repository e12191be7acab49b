/* hashed-memory.c: products replaced by rows of large tables, and a recommender's sparse features.
 * Source: card memoryformer: Ding et al. 2024, arXiv:2411.12992: pieces of the token are hashed by the signs of their
 * numbers, each into a table of its own, and the rows are weighted by how sure the signs are. Card apem: embeddings of
 * sparse features, averaged over a ragged history.
 * Shapes: T tokens, D width in K pieces of S bits, P items of histories, V items. */
#include "models.h"

#include <math.h>

enum { T = 10, K = 4, S = 5, D = K * S, P = 21, V = 4000, W = 8, CLASSES = 4, BUCKETS = 1 << S };

static FmTensor *
memory (FmGraph *g, FmTensor *x)
{
  FmTensor *table = fm_param (g, "memory", FM_SHAPE (K * BUCKETS, D), fm_init_normal (0.2)), *row, *sure;

  fm_param_mark (table, FM_MARK_ROW_SPARSE, 1);
  x = fm_reshape (g, x, FM_SHAPE (T, K, S));
  row = fm_hash_signs (g, x); /* [T,K] */
  row = fm_add (g, row, fm_mul (g, fm_iota (g, K), fm_constant (g, FM_I32, FM_SHAPE (1), BUCKETS)));
  sure = fm_sigmoid (g, fm_mul_scalar (g, fm_mean (g, fm_abs (g, x), -1), 2.0));
  return fm_sum (g, fm_mul (g, fm_gather_rows (g, table, row), fm_reshape (g, sure, FM_SHAPE (T, K, 1))), 1);
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (T, D));
  FmTensor *items = fm_graph_input (g, "items", FM_I32, FM_SHAPE (P));
  FmTensor *lengths = fm_graph_input (g, "lengths", FM_I32, FM_SHAPE (T));
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (T));
  FmTensor *embedding = fm_param (g, "embedding", FM_SHAPE (V, W), fm_init_normal (0.3)), *owner, *history, *best, *parts[3];

  fm_param_mark (embedding, FM_MARK_ROW_SPARSE, 1);
  owner = fm_segment_ids (g, fm_pack_offsets (g, lengths), P);
  history = fm_gather_rows (g, embedding, items);
  best = fm_segment_max (g, history, owner, T);
  history = fm_segment_mean (g, history, owner, T);

  parts[0] = fm_add (g, x, memory (g, fm_norm (g, x, "norm")));
  parts[1] = history;
  parts[2] = best;
  x = fm_linear (g, fm_concat (g, parts, 3, -1), CLASSES, "head");
  return fm_mean (g, fm_cross_entropy (g, x, target), 0);
}

/* Lengths sum up to less than the room for items; one history is empty. */
static void
fill (const char *input, FmType type, gpointer data, gint64 n)
{
  for (gint64 i = 0; g_str_equal (input, "lengths") && i < n; i++)
    ((gint32 *) data)[i] = i % 3 == 1 ? 0 : 1 + (gint32) (i % 4);
}

FM_MODEL (hashed_memory, .name = "hashed-memory", .card = "memoryformer", .build = build, .fill = fill,
          .inputs = { { "target", 0, CLASSES - 1 }, { "items", 0, V - 1 } });
