/* bigbird.c: blocks of tokens see the first and the last block, their neighbours, and some others drawn at random.
 * Source: Zaheer et al., "Big Bird: Transformers for Longer Sequences", 2020, arXiv:2007.14062, section 2 (internal
 * transformer construction: global tokens are the first and last block) and appendix D (blocks).
 * Shapes: x [B,N,D]; q, k, v [B,H,N,d] with d = D/H; n blocks of b tokens; a block meets s = 5 + random blocks, so scores are
 * [b, s b] for each of the B H n blocks.
 * Differs: the text is filled up to whole blocks with tokens that nobody sees. Random blocks are drawn from (seed, path), once
 * a model and head; a block drawn twice, or that is seen already, counts once, where the paper draws until all differ. With
 * four blocks or fewer everything is seen. */
#include "plugin.h"

#include <math.h>

typedef struct
{
  gint64 heads;
  gint64 block;
  gint64 random;
} Params;

static const FmParam params[] = {
  FM_PARAM_INT (Params, heads, 4, 1, 1024, "heads", "Must divide the model width"),
  FM_PARAM_INT (Params, block, 16, 1, 1 << 20, "tokens", "Length of a block, at most the text; it is filled up to whole ones"),
  FM_PARAM_INT (Params, random, 3, 0, 64, "blocks", "Drawn for each block and head"),
  FM_PARAM_END
};

enum { ATTENTION };
static const FmProbe probes[] = {
  [ATTENTION] = { "attention", "batch,head,query,key", "Softmax weights; zero where a token cannot see" },
  FM_PROBE_END
};

#define WINDOW 3 /* blocks: one to either side */

typedef struct
{
  gint64    size, blocks, slots;
  FmTensor *index; /* i32 [H,n,slots]: blocks met by each block */
  FmTensor *valid; /* f32 [H,n,slots]: 0 where the block is no block, or met before */
} Pattern;

static FmTensor *
number (FmGraph *g, gdouble x)
{
  return fm_constant (g, FM_F32, FM_SHAPE (1), x);
}

/* Every slot that an earlier one equals is void. */
static Pattern
pattern (FmGraph *g, const Params *p, gint64 length)
{
  Pattern t = { .size = p->block, .blocks = (length + p->block - 1) / p->block, .slots = 2 + WINDOW + p->random };
  gint64 H = p->heads, n = t.blocks;
  FmShape column = FM_SHAPE (H, n, 1);
  FmTensor *own = fm_contiguous (g, fm_expand (g, fm_reshape (g, fm_cast (g, fm_iota (g, n), FM_F32), FM_SHAPE (1, n, 1)), column));
  FmTensor *slot[2 + WINDOW + 64], *valid[2 + WINDOW + 64];

  slot[0] = fm_constant (g, FM_F32, column, 0.0);
  slot[1] = fm_constant (g, FM_F32, column, (gdouble) (n - 1));
  slot[2] = own;
  slot[3] = fm_add_scalar (g, own, -1.0);
  slot[4] = fm_add_scalar (g, own, 1.0);
  if (p->random > 0)
    {
      FmTensor *drawn = fm_state (g, "random", FM_F32, FM_SHAPE (H, n, p->random), fm_init_uniform (0.5));

      drawn = fm_clamp (g, fm_floor (g, fm_mul_scalar (g, fm_add_scalar (g, drawn, 0.5), (gdouble) n)), 0.0, (gdouble) (n - 1));
      for (gint64 r = 0; r < p->random; r++)
        slot[2 + WINDOW + r] = fm_slice (g, drawn, 2, r, 1);
    }
  for (gint64 s = 0; s < t.slots; s++)
    {
      valid[s] = fm_mul (g, fm_less (g, number (g, -0.5), slot[s]), fm_less (g, slot[s], number (g, (gdouble) n - 0.5)));
      for (gint64 e = 0; e < s; e++)
        valid[s] = fm_mul (g, valid[s], fm_not_equal (g, slot[s], slot[e]));
      slot[s] = fm_clamp (g, slot[s], 0.0, (gdouble) (n - 1));
    }
  t.index = fm_cast (g, fm_concat (g, slot, (guint) t.slots, 2), FM_I32);
  t.valid = fm_concat (g, valid, (guint) t.slots, 2);
  return t;
}

/* f32 [B or 1,N filled up]: 1 where a token is. */
static FmTensor *
present (FmGraph *g, const FmBuild *b, const Pattern *t)
{
  FmTensor *place = fm_cast (g, fm_iota (g, t->blocks * t->size), FM_F32), *end = number (g, (gdouble) b->length);

  if (b->lengths)
    end = fm_reshape (g, fm_cast (g, b->lengths, FM_F32), FM_SHAPE (b->batch, 1));
  return fm_less (g, fm_reshape (g, place, FM_SHAPE (1, t->blocks * t->size)), end);
}

/* Rows of the blocks that each block meets: [B,H,N filled up,d] -> [B H n,1,slots size,d]. */
static FmTensor *
met (FmGraph *g, const Pattern *t, FmTensor *x)
{
  gint64 B = fm_tensor_get_dim (x, 0), H = fm_tensor_get_dim (x, 1), d = fm_tensor_get_dim (x, 3);
  FmTensor *index = fm_expand (g, fm_reshape (g, t->index, FM_SHAPE (1, H, t->blocks * t->slots)),
                               FM_SHAPE (B, H, t->blocks * t->slots));

  x = fm_gather (g, fm_reshape (g, x, FM_SHAPE (B, H, t->blocks, t->size * d)), 2, fm_contiguous (g, index));
  return fm_reshape (g, x, FM_SHAPE (B * H * t->blocks, 1, t->slots * t->size, d));
}

/* What is added to scores of block and met tokens, [B H n,1,size,slots size]: the same for all queries of a block. */
static FmTensor *
hidden (FmGraph *g, const FmBuild *b, const Pattern *t, gint64 H)
{
  gint64 B = b->batch, n = t->blocks, s = t->slots, w = t->size;
  FmTensor *there = fm_contiguous (g, fm_expand (g, fm_reshape (g, present (g, b, t), FM_SHAPE (b->lengths ? B : 1, 1, n * w, 1)),
                                                 FM_SHAPE (B, H, n * w, 1)));
  FmTensor *seen = fm_reshape (g, met (g, t, there), FM_SHAPE (B, H * n, s, w));

  seen = fm_mul (g, seen, fm_reshape (g, t->valid, FM_SHAPE (1, H * n, s, 1)));
  seen = fm_where (g, seen, number (g, 0.0), number (g, -INFINITY));
  return fm_expand (g, fm_reshape (g, seen, FM_SHAPE (B * H * n, 1, 1, s * w)), FM_SHAPE (B * H * n, 1, w, s * w));
}

static FmTensor *
map (FmGraph *g, const FmBuild *b, const Pattern *t, FmTensor *q, FmTensor *k, gdouble scale)
{
  gint64 H = fm_tensor_get_dim (q, 1), n = t->blocks;
  FmTensor *layout = fm_mul (g, fm_one_hot (g, t->index, n), fm_reshape (g, t->valid, FM_SHAPE (H, n, t->slots, 1)));
  FmTensor *block = fm_cast (g, fm_iota (g, n), FM_F32), *edge;
  FmAttentionMask mask = { .key_lengths = b->lengths, .layout_block = t->size };

  edge = fm_maximum (g, fm_less (g, block, number (g, 0.5)), fm_less (g, number (g, (gdouble) n - 1.5), block));
  layout = fm_maximum (g, fm_sum (g, layout, 2), fm_reshape (g, edge, FM_SHAPE (1, n, 1)));
  mask.layout = fm_cast (g, layout, FM_I32);
  return fm_attention_map (g, q, k, scale, &mask);
}

static FmTensor *
build (FmGraph *g, const FmBuild *b, FmTensor *x)
{
  const Params *p = b->params;
  gint64 B = b->batch, H = p->heads, N = b->length, size = MIN (p->block, N), n = (N + size - 1) / size, full = n * size;
  FmAttentionMask all = { .key_lengths = b->lengths };
  FmTensor *q, *k, *v, *y, *parts[3];
  Pattern t;
  gdouble scale;
  gint64 d;

  if (b->width % p->heads != 0)
    return fm_graph_fail (g, "heads", "%" G_GINT64_FORMAT " does not divide width %" G_GINT64_FORMAT, p->heads, b->width);
  d = b->width / H;
  scale = 1.0 / sqrt ((gdouble) d);
  q = fm_split_heads (g, fm_linear (g, x, b->width, "q"), H);
  k = fm_split_heads (g, fm_linear (g, x, b->width, "k"), H);
  v = fm_split_heads (g, fm_linear (g, x, b->width, "v"), H);
  if (n <= 1 + WINDOW)
    {
      y = fm_attention (g, "attention", q, k, v, scale, &all);
      if (fm_probe_is_open (b, ATTENTION))
        fm_probe_set (b, ATTENTION, fm_attention_map (g, q, k, scale, &all));
      return fm_linear (g, fm_merge_heads (g, y), b->width, "out");
    }

  t = pattern (g, p, N);
  {
    FmTensor *whole_k = fm_pad (g, k, 2, 0, full - N), *whole_v = fm_pad (g, v, 2, 0, full - N);
    FmTensor *whole_q = fm_reshape (g, fm_pad (g, q, 2, 0, full - N), FM_SHAPE (B * H * n, 1, size, d));
    FmAttentionMask some = { .bias = hidden (g, b, &t, H) };

    y = fm_attention (g, "attention", whole_q, met (g, &t, whole_k), met (g, &t, whole_v), scale, &some);
    y = fm_reshape (g, y, FM_SHAPE (B, H, full, d));
  }
  /* The first and the last block see all. */
  parts[1] = fm_slice (g, y, 2, size, full - 2 * size);
  y = fm_concat (g, (FmTensor *[]){ fm_slice (g, q, 2, 0, size), fm_slice (g, q, 2, full - size, N - (full - size)) }, 2, 2);
  y = fm_attention (g, "global", y, k, v, scale, &all);
  parts[0] = fm_slice (g, y, 2, 0, size);
  parts[2] = fm_slice (g, y, 2, size, N - (full - size));
  y = fm_concat (g, parts, 3, 2);

  if (fm_probe_is_open (b, ATTENTION))
    fm_probe_set (b, ATTENTION, map (g, b, &t, q, k, scale));
  return fm_linear (g, fm_merge_heads (g, y), b->width, "out");
}

FM_PLUGIN_DEFINE (.id = "bigbird", .title = "BigBird",
  .summary = "Blocks of tokens see the first and last block, their neighbours and a few random blocks; the first and last see "
             "all. Cost grows with the length.",
  .paper = { "Zaheer, Guruganesh, Dubey, Ainslie, Alberti, Ontanon, Pham, Ravula, Wang, Yang, Ahmed", 2020, "2007.14062" },
  .complexity = "O(N (5 + r) b D)", .role = FM_ROLE_MIXER,
  .caps = FM_CAP_BIDIRECTIONAL | FM_CAP_RAGGED,
  .params = params, .params_size = sizeof (Params), .probes = probes, .build = build);
