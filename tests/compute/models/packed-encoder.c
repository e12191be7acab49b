/* packed-encoder.c: sequences of several lengths one after the other, without padding; a second layer looks from each
 * sequence into a packed memory of its own.
 * Source: card bytetransformer (packed batches, ragged attention) and card attention-offload (parts and their merge).
 * Shapes: T tokens of all sequences, M tokens of all memories, S sequences, D width, H heads of which Hk have keys. */
#include "models.h"

enum { T = 37, M = 29, S = 4, D = 16, H = 4, HK = 2, CLASSES = 6 };

static const gint32 starts[] = { 0, 5, 5, 20, T }, memory_starts[] = { 0, 9, 12, 20, M };

static void
fill (const char *input, FmType type, gpointer data, gint64 n)
{
  if (g_str_equal (input, "starts"))
    memcpy (data, starts, sizeof starts);
  else if (g_str_equal (input, "memory-starts"))
    memcpy (data, memory_starts, sizeof memory_starts);
}

static FmTensor *
heads (FmGraph *g, FmTensor *x, gint64 n, const char *name)
{
  return fm_split_heads (g, fm_linear (g, x, D / H * n, name), n);
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (1, T, D));
  FmTensor *memory = fm_graph_input (g, "memory", FM_F32, FM_SHAPE (1, M, D));
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (1, T));
  FmAttentionMask own = { .causal = TRUE, .segments = fm_graph_input (g, "starts", FM_I32, FM_SHAPE (S + 1)) };
  FmAttentionMask cross = { .segments = own.segments,
                            .key_segments = fm_graph_input (g, "memory-starts", FM_I32, FM_SHAPE (S + 1)) };
  FmTensor *q, *y = fm_norm (g, x, "norm");
  FmAttentionPartial parts[2], all;

  y = fm_attention_core (g, heads (g, y, H, "q"), heads (g, y, HK, "k"), heads (g, y, HK, "v"), 0.5, &own);
  x = fm_add (g, x, fm_linear (g, fm_merge_heads (g, y), D, "out"));
  /* The memory and the tokens themselves, two parts of one attention. */
  y = fm_norm (g, x, "norm2");
  q = heads (g, y, H, "q2");
  parts[0] = fm_attention_partial (g, q, heads (g, memory, HK, "k2"), heads (g, memory, HK, "v2"), 0.5, &cross);
  parts[1] = fm_attention_partial (g, q, heads (g, y, HK, "k3"), heads (g, y, HK, "v3"), 0.5, &own);
  all = fm_attention_merge (g, parts, 2);
  x = fm_add (g, x, fm_linear (g, fm_merge_heads (g, fm_attention_finish (g, &all)), D, "out2"));
  return fm_mean (g, fm_reshape (g, fm_cross_entropy (g, fm_linear (g, x, CLASSES, "head"), target), FM_SHAPE (T)), 0);
}

FM_MODEL (packed_encoder, .name = "packed-encoder", .card = "bytetransformer", .build = build, .fill = fill,
          .inputs = { { "target", 0, CLASSES - 1 } });
