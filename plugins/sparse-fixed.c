/* sparse-fixed.c: a token sees its block and, of all blocks, the last tokens, which sum them up.
 * Source: Child et al., "Generating Long Sequences with Sparse Transformers", 2019, arXiv:1904.10509, section 4.3, the fixed
 * pattern; every head has the union of its two parts, as in Tay et al., "Long Range Arena", 2020, arXiv:2011.04006.
 * Shapes: x [B,N,D]; q, k, v [B,H,N,d] with d = D/H; of n blocks c tokens each are kept: [B,H,n c,d].
 * Differs: `first` keeps the first token of a block, too, as the released baseline does. Blocks are cut from the start; the
 * last may be short, and then keeps what it has of the places at a block's end. Both parts are attended to apart and merged
 * by their log-sum-exp, so that no score is made that the pattern leaves out. */
#include "plugin.h"

#include <math.h>

typedef struct
{
  gint64   heads;
  gint64   block;
  gint64   summary;
  gboolean first;
} Params;

static const FmParam params[] = {
  FM_PARAM_INT (Params, heads, 4, 1, 1024, "heads", "Must divide the model width"),
  FM_PARAM_INT (Params, block, 16, 1, 1 << 20, "tokens", "Length of a block; all tokens where it is longer than the text"),
  FM_PARAM_INT (Params, summary, 4, 1, 1 << 20, "tokens", "Last tokens of a block that all see; at most the block"),
  FM_PARAM_BOOL (Params, first, FALSE, "All see the first token of a block, too"),
  FM_PARAM_END
};

enum { ATTENTION };
static const FmProbe probes[] = {
  [ATTENTION] = { "attention", "batch,head,query,key", "Softmax weights; zero where a token cannot see" },
  FM_PROBE_END
};

/* Where a text of N tokens is cut. */
typedef struct
{
  gint64   size, blocks, kept; /* kept: of a block */
  gboolean first;
} Cut;

/* [..,N,w] -> [..,blocks kept,w]: what all see, in order; zeros where the text has ended. */
static FmTensor *
kept_rows (FmGraph *g, const Cut *c, FmTensor *x)
{
  gint64 B = fm_tensor_get_dim (x, 0), H = fm_tensor_get_dim (x, 1), N = fm_tensor_get_dim (x, 2), w = fm_tensor_get_dim (x, 3);
  gint64 last = c->kept - c->first;
  FmTensor *parts[2];

  x = fm_reshape (g, fm_pad (g, x, 2, 0, c->blocks * c->size - N), FM_SHAPE (B, H, c->blocks, c->size, w));
  parts[0] = fm_slice (g, x, 3, c->size - last, last);
  if (c->first)
    {
      parts[1] = parts[0];
      parts[0] = fm_slice (g, x, 3, 0, 1);
    }
  x = fm_concat (g, parts, c->first ? 2 : 1, 3);
  return fm_reshape (g, x, FM_SHAPE (B, H, c->blocks * c->kept, w));
}

/* f32 [blocks size]: the block of each place. */
static FmTensor *
block_of (FmGraph *g, const Cut *c)
{
  FmTensor *block = fm_reshape (g, fm_cast (g, fm_iota (g, c->blocks), FM_F32), FM_SHAPE (c->blocks, 1));

  return fm_reshape (g, fm_contiguous (g, fm_expand (g, block, FM_SHAPE (c->blocks, c->size))), FM_SHAPE (c->blocks * c->size));
}

/* Attention to what the other blocks keep; @place f32 [1,1,N,1]. */
static FmAttentionPartial
far (FmGraph *g, const FmBuild *b, const Cut *c, FmTensor *q, FmTensor *k, FmTensor *v, FmTensor *place, gdouble scale)
{
  gint64 N = b->length, n = c->blocks * c->kept;
  FmTensor *zero = fm_constant (g, FM_F32, FM_SHAPE (1), 0.0), *hidden = fm_constant (g, FM_F32, FM_SHAPE (1), -INFINITY);
  FmTensor *block = block_of (g, c), *of_query, *of_key, *seen, *there;
  FmAttentionMask mask = { 0 };

  of_query = fm_reshape (g, fm_slice (g, block, 0, 0, N), FM_SHAPE (N, 1));
  of_key = fm_reshape (g, kept_rows (g, c, fm_reshape (g, fm_slice (g, block, 0, 0, N), FM_SHAPE (1, 1, N, 1))),
                       FM_SHAPE (1, n));
  /* Places past the end are those of number 0 that are not the first. */
  there = fm_reshape (g, kept_rows (g, c, fm_add_scalar (g, place, 1.0)), FM_SHAPE (1, n));
  seen = b->causal ? fm_less (g, of_key, of_query) : fm_not_equal (g, of_key, of_query);
  seen = fm_mul (g, seen, fm_less (g, zero, there));
  mask.bias = fm_reshape (g, fm_where (g, seen, zero, hidden), FM_SHAPE (1, 1, N, n));
  if (b->lengths)
    {
      FmTensor *end = fm_reshape (g, fm_cast (g, b->lengths, FM_F32), FM_SHAPE (b->batch, 1));
      FmTensor *within = fm_mul (g, fm_less_equal (g, there, end), fm_less (g, zero, there));

      mask.key_lengths = fm_cast (g, fm_sum (g, within, 1), FM_I32); /* they are in order */
    }
  return fm_attention_partial (g, q, kept_rows (g, c, k), kept_rows (g, c, v), scale, &mask);
}

static FmTensor *
map (FmGraph *g, const FmBuild *b, const Cut *c, FmTensor *q, FmTensor *k, gdouble scale)
{
  gint64 N = b->length, last = c->kept - c->first;
  FmAttentionMask near = { .block = c->size }, all = { .causal = b->causal, .key_lengths = b->lengths };
  FmTensor *in_block = fm_cast (g, fm_iota (g, c->size), FM_F32), *kept, *seen;

  kept = fm_less (g, fm_constant (g, FM_F32, FM_SHAPE (1), (gdouble) (c->size - last) - 0.5), in_block);
  if (c->first)
    kept = fm_maximum (g, kept, fm_less (g, in_block, fm_constant (g, FM_F32, FM_SHAPE (1), 0.5)));
  kept = fm_slice (g, fm_tile (g, kept, 0, c->blocks), 0, 0, N);
  seen = fm_maximum (g, fm_attention_mask_tensor (g, N, N, &near), kept);
  seen = fm_mul (g, seen, fm_attention_mask_tensor (g, N, N, &all));
  return fm_masked_softmax (g, fm_matmul (g, q, k, FM_TRANS_B), seen, scale);
}

static FmTensor *
build (FmGraph *g, const FmBuild *b, FmTensor *x)
{
  const Params *p = b->params;
  FmAttentionMask near = { .causal = b->causal, .key_lengths = b->lengths };
  FmAttentionPartial parts[2];
  Cut c = { .size = MIN (p->block, b->length) };
  FmTensor *q, *k, *v, *place, *y;
  gdouble scale;

  if (b->width % p->heads != 0)
    return fm_graph_fail (g, "heads", "%" G_GINT64_FORMAT " does not divide width %" G_GINT64_FORMAT, p->heads, b->width);
  scale = 1.0 / sqrt ((gdouble) (b->width / p->heads));
  c.blocks = (b->length + c.size - 1) / c.size;
  c.first = p->first && p->summary < c.size;
  c.kept = MIN (p->summary, c.size) + c.first;

  q = fm_split_heads (g, fm_linear (g, x, b->width, "q"), p->heads);
  k = fm_split_heads (g, fm_linear (g, x, b->width, "k"), p->heads);
  v = fm_split_heads (g, fm_linear (g, x, b->width, "v"), p->heads);
  near.block = c.size;
  parts[0] = fm_attention_partial (g, q, k, v, scale, &near);
  if (c.blocks > 1)
    {
      place = fm_reshape (g, fm_cast (g, fm_iota (g, b->length), FM_F32), FM_SHAPE (1, 1, b->length, 1));
      parts[1] = far (g, b, &c, q, k, v, place, scale);
    }
  y = fm_attention_finish (g, c.blocks > 1 ? (FmAttentionPartial[]){ fm_attention_merge (g, parts, 2) } : parts);

  if (fm_probe_is_open (b, ATTENTION))
    fm_probe_set (b, ATTENTION, map (g, b, &c, q, k, scale));
  return fm_linear (g, fm_merge_heads (g, y), b->width, "out");
}

FM_PLUGIN_DEFINE (.id = "sparse-fixed", .title = "Sparse Transformer, fixed",
  .summary = "A token sees its own block and, of every other block, a few last tokens that sum it up. With blocks as long as "
             "the root of the text, cost grows with its power of one and a half.",
  .paper = { "Child, Gray, Radford, Sutskever", 2019, "1904.10509" },
  .complexity = "O(N (b + c N / b) D)", .role = FM_ROLE_MIXER,
  .caps = FM_CAP_BIDIRECTIONAL | FM_CAP_CAUSAL | FM_CAP_RAGGED,
  .params = params, .params_size = sizeof (Params), .probes = probes, .build = build);
