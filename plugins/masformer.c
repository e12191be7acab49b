/* masformer.c: full attention in some layers, near tokens alone in the others.
 * Source: Zhang et al., "Efficient Long-Range Transformers: You Need to Attend More, but Not Necessarily at Every Layer", 2023,
 * arXiv:2310.12442, section 3.
 * Shapes: x [B,N,D]; q, k, v [B,H,N,d] with d = D/H.
 * Differs: which layers are full is a parameter, since the paper's placement is one of several; near is a block, a block and the
 * one before, or a window. Without a causal mask `block-prev` sees the block after, too. No parameter is new: weights of a
 * softmax model of the same size can be taken as they are. */
#include "plugin.h"

#include <math.h>

typedef struct
{
  gint64 heads;
  gint64 full;
  gint64 place;
  gint64 form;
  gint64 span;
} Params;

static const char * const places[] = { "bottom", "top", "middle", "interleaved", NULL };
enum { BOTTOM, TOP, MIDDLE, INTERLEAVED };
static const char * const forms[] = { "block-prev", "block-own", "window", NULL };
enum { BLOCK_PREV, BLOCK_OWN, WINDOW };
static const FmParam params[] = {
  FM_PARAM_INT (Params, heads, 4, 1, 1024, "heads", "Must divide the model width"),
  FM_PARAM_INT (Params, full, 1, 0, 1024, "layers", "With full attention; all where the model has fewer"),
  FM_PARAM_CHOICE (Params, place, places, "Where these layers are"),
  FM_PARAM_CHOICE (Params, form, forms, "What the others see: a block and its neighbour, a block, or a window"),
  FM_PARAM_INT (Params, span, 16, 1, 1 << 20, "tokens", "Length of a block, or reach of the window to either side"),
  FM_PARAM_END
};

enum { ATTENTION };
static const FmProbe probes[] = {
  [ATTENTION] = { "attention", "batch,head,query,key", "Softmax weights; zero where a token cannot see" },
  FM_PROBE_END
};

static gboolean
is_full (const Params *p, gint64 layer, gint64 layers)
{
  gint64 n = MIN (p->full, layers);

  switch (p->place)
    {
    case BOTTOM:
      return layer < n;
    case TOP:
      return layer >= layers - n;
    case MIDDLE:
      return layer >= (layers - n) / 2 && layer < (layers - n) / 2 + n;
    default: /* as even as whole numbers allow, the first layer among them */
      return n > 0 && (layer == 0 || layer * n / layers != (layer - 1) * n / layers);
    }
}

/* Blocks [B n,H,w,d] and, behind each other, those of neighbours that are @first to @last away: [B n,H,(..) w,d]. */
static FmTensor *
with_neighbours (FmGraph *g, FmTensor *x, gint64 B, gint64 n, gint first, gint last)
{
  gint64 H = fm_tensor_get_dim (x, 1), w = fm_tensor_get_dim (x, 2), d = fm_tensor_get_dim (x, 3);
  FmTensor *parts[3];
  guint count = 0;

  x = fm_reshape (g, x, FM_SHAPE (B, n, H, w, d));
  for (gint away = first; away <= last; away++)
    parts[count++] = fm_roll (g, x, 1, -away);
  return fm_reshape (g, fm_concat (g, parts, count, 3), FM_SHAPE (B * n, H, count * w, d));
}

/* [B,H,N,d] -> [B n,H,w,d] */
static FmTensor *
blocks (FmGraph *g, FmTensor *x, gint64 n, gint64 w)
{
  gint64 B = fm_tensor_get_dim (x, 0), H = fm_tensor_get_dim (x, 1), N = fm_tensor_get_dim (x, 2), d = fm_tensor_get_dim (x, 3);

  x = fm_reshape (g, fm_pad (g, x, 2, 0, n * w - N), FM_SHAPE (B, H, n, w, d));
  return fm_reshape (g, fm_contiguous (g, fm_transpose (g, x, 1, 2)), FM_SHAPE (B * n, H, w, d));
}

/* Own block, the one before and, unless causal, the one after: nothing else is computed. */
static FmTensor *
block_and_neighbours (FmGraph *g, const FmBuild *b, FmTensor *q, FmTensor *k, FmTensor *v, gdouble scale)
{
  const Params *p = b->params;
  gint64 B = b->batch, H = p->heads, N = b->length, w = MIN (p->span, N), n = (N + w - 1) / w, d = b->width / H;
  gint last = b->causal ? 0 : 1;
  gint64 parts = 2 + last, keys = parts * w;
  FmTensor *place, *block, *end, *seen, *y;
  FmAttentionMask mask = { .causal = FALSE };

  /* Places of the keys: those past the ends, or of a block that a roll brought round, are hidden. */
  place = fm_cast (g, fm_iota (g, keys), FM_F32);
  block = fm_mul_scalar (g, fm_add_scalar (g, fm_cast (g, fm_iota (g, n), FM_F32), -1.0), (gdouble) w);
  place = fm_add (g, fm_reshape (g, block, FM_SHAPE (1, n, 1)), fm_reshape (g, place, FM_SHAPE (1, 1, keys)));
  end = b->lengths ? fm_reshape (g, fm_cast (g, b->lengths, FM_F32), FM_SHAPE (B, 1, 1))
                   : fm_constant (g, FM_F32, FM_SHAPE (B, 1, 1), (gdouble) N);
  seen = fm_mul (g, fm_less (g, fm_constant (g, FM_F32, FM_SHAPE (1), -0.5), place), fm_less (g, place, end));
  seen = fm_reshape (g, seen, FM_SHAPE (B * n, 1, 1, keys));
  if (b->causal) /* the ends are aligned: query i of the block sees the block before and the first i + 1 of its own */
    {
      FmTensor *i = fm_reshape (g, fm_iota (g, w), FM_SHAPE (w, 1)), *j = fm_sub (g, fm_iota (g, keys),
                                                                                 fm_constant (g, FM_I32, FM_SHAPE (1), (gdouble) w));

      seen = fm_mul (g, seen, fm_reshape (g, fm_less_equal (g, j, i), FM_SHAPE (1, 1, w, keys)));
    }
  mask.bias = fm_where (g, seen, fm_constant (g, FM_F32, FM_SHAPE (1), 0.0), fm_constant (g, FM_F32, FM_SHAPE (1), -INFINITY));
  if (!b->causal)
    mask.bias = fm_expand (g, mask.bias, FM_SHAPE (B * n, 1, w, keys));
  y = fm_attention (g, "attention", blocks (g, q, n, w), with_neighbours (g, blocks (g, k, n, w), B, n, -1, last),
                    with_neighbours (g, blocks (g, v, n, w), B, n, -1, last), scale, &mask);
  y = fm_transpose (g, fm_reshape (g, y, FM_SHAPE (B, n, H, w, d)), 1, 2);
  return fm_slice (g, fm_reshape (g, fm_contiguous (g, y), FM_SHAPE (B, H, n * w, d)), 2, 0, N);
}

static FmTensor *
build (FmGraph *g, const FmBuild *b, FmTensor *x)
{
  const Params *p = b->params;
  FmAttentionMask mask = { .causal = b->causal, .key_lengths = b->lengths };
  FmTensor *q, *k, *v, *y;
  gboolean neighbours;
  gdouble scale;

  if (b->width % p->heads != 0)
    return fm_graph_fail (g, "heads", "%" G_GINT64_FORMAT " does not divide width %" G_GINT64_FORMAT, p->heads, b->width);
  scale = 1.0 / sqrt ((gdouble) (b->width / p->heads));
  if (!is_full (p, b->layer, b->layers))
    {
      mask.window = p->form == WINDOW ? p->span : 0;
      mask.block = p->form == BLOCK_OWN ? p->span : 0;
    }
  neighbours = p->form == BLOCK_PREV && !is_full (p, b->layer, b->layers) && p->span < b->length;
  q = fm_split_heads (g, fm_linear (g, x, b->width, "q"), p->heads);
  k = fm_split_heads (g, fm_linear (g, x, b->width, "k"), p->heads);
  v = fm_split_heads (g, fm_linear (g, x, b->width, "v"), p->heads);
  y = neighbours ? block_and_neighbours (g, b, q, k, v, scale) : fm_attention (g, "attention", q, k, v, scale, &mask);

  if (fm_probe_is_open (b, ATTENTION))
    {
      if (neighbours)
        {
          gint64 n = (b->length + p->span - 1) / p->span;
          FmTensor *block = fm_cast (g, fm_iota (g, n), FM_F32);
          FmTensor *far = fm_abs (g, fm_sub (g, fm_reshape (g, block, FM_SHAPE (1, n, 1)), block));

          mask.layout = fm_cast (g, fm_less (g, far, fm_constant (g, FM_F32, FM_SHAPE (1), 1.5)), FM_I32);
          mask.layout_block = p->span;
        }
      fm_probe_set (b, ATTENTION, fm_attention_map (g, q, k, scale, &mask));
    }
  return fm_linear (g, fm_merge_heads (g, y), b->width, "out");
}

FM_PLUGIN_DEFINE (.id = "masformer", .title = "MASFormer",
  .summary = "Full attention in a few layers and near tokens alone in the others: far context is gathered once and then mixed. "
             "The masks differ and nothing else, so a trained softmax model can be carried on.",
  .paper = { "Zhang, Ram, Hawkins, Zha, Zhao", 2023, "2310.12442" },
  .complexity = "O((l N + (L - l) w) N D / L)", .role = FM_ROLE_MIXER,
  .caps = FM_CAP_BIDIRECTIONAL | FM_CAP_CAUSAL | FM_CAP_RAGGED,
  .params = params, .params_size = sizeof (Params), .probes = probes, .build = build);
