/* longformer.c: a window around each token, and some first tokens that see and are seen by all.
 * Source: Beltagy et al., "Longformer", 2020, arXiv:2004.05150, sections 3.1 (window, dilation, global) and 3.1's "linear
 * projections for global attention".
 * Shapes: x [B,N,D]; q, k, v [B,H,N,d] with d = D/H; of the globals likewise, q [B,H,G,d].
 * Differs: `window` is the reach to either side, where the paper's w counts both. Global tokens are the first ones, such as
 * a class token; more of them than tokens are all tokens. Projections of the globals start like the others, on their own. */
#include "plugin.h"

#include <math.h>

typedef struct
{
  gint64 heads;
  gint64 window;
  gint64 dilation;
  gint64 globals;
} Params;

static const FmParam params[] = {
  FM_PARAM_INT (Params, heads, 4, 1, 1024, "heads", "Must divide the model width"),
  FM_PARAM_INT (Params, window, 16, 1, 1 << 20, "tokens", "Reach to either side; all tokens where it is wider than the text"),
  FM_PARAM_INT (Params, dilation, 1, 1, 1 << 16, "tokens", "Only tokens at multiples of this distance; the reach grows with it"),
  FM_PARAM_INT (Params, globals, 1, 0, 1 << 16, "tokens", "First tokens that see all and are seen by all"),
  FM_PARAM_END
};

enum { ATTENTION };
static const FmProbe probes[] = {
  [ATTENTION] = { "attention", "batch,head,query,key", "Softmax weights; zero where a token cannot see" },
  FM_PROBE_END
};

static FmTensor *
heads_of (FmGraph *g, FmTensor *x, const FmBuild *b, const char *name)
{
  return fm_split_heads (g, fm_linear (g, x, b->width, name), ((const Params *) b->params)->heads);
}

/* All tokens against the globals that their window does not hold. In a mask the globals would widen every row to all keys
 * before it; so the two parts are attended to apart and merged by their log-sum-exp. */
static FmAttentionPartial
to_globals (FmGraph *g, const FmBuild *b, FmTensor *q, FmTensor *k, FmTensor *v, gint64 globals, gdouble scale)
{
  const Params *p = b->params;
  FmTensor *zero = fm_constant (g, FM_F32, FM_SHAPE (1), 0.0), *hidden = fm_constant (g, FM_F32, FM_SHAPE (1), -INFINITY);
  FmTensor *i = fm_reshape (g, fm_cast (g, fm_iota (g, b->length), FM_F32), FM_SHAPE (b->length, 1));
  FmTensor *j = fm_cast (g, fm_iota (g, globals), FM_F32), *far = fm_abs (g, fm_sub (g, i, j)), *near, *steps;
  FmAttentionMask mask = { .key_lengths = b->lengths };

  steps = fm_mul_scalar (g, far, 1.0 / (gdouble) p->dilation);
  near = fm_less (g, fm_abs (g, fm_sub (g, steps, fm_round (g, steps))),
                  fm_constant (g, FM_F32, FM_SHAPE (1), 0.25 / (gdouble) p->dilation));
  near = fm_mul (g, near, fm_less (g, far, fm_constant (g, FM_F32, FM_SHAPE (1), (gdouble) (p->window * p->dilation) + 0.5)));
  if (b->causal)
    near = fm_maximum (g, near, fm_less (g, i, j));
  mask.bias = fm_reshape (g, fm_where (g, near, hidden, zero), FM_SHAPE (1, 1, b->length, globals));
  return fm_attention_partial (g, q, fm_slice (g, k, 2, 0, globals), fm_slice (g, v, 2, 0, globals), scale, &mask);
}

/* The first rows of @all replaced by @first. */
static FmTensor *
with_first (FmGraph *g, FmTensor *first, FmTensor *all)
{
  gint64 n = fm_tensor_get_dim (first, 2), N = fm_tensor_get_dim (all, 2);
  FmTensor *parts[] = { first, n < N ? fm_slice (g, all, 2, n, N - n) : NULL };

  return fm_concat (g, parts, n < N ? 2 : 1, 2);
}

static FmTensor *
build (FmGraph *g, const FmBuild *b, FmTensor *x)
{
  const Params *p = b->params;
  gint64 globals = MIN (p->globals, b->length);
  FmAttentionMask mask = { .causal = b->causal, .window = p->window * p->dilation, .dilation = p->dilation,
                           .globals = globals, .key_lengths = b->lengths };
  FmTensor *q = NULL, *k = NULL, *v, *gq = NULL, *gk = NULL, *gv, *y = NULL, *first = NULL, *ends = NULL;
  gboolean all_global, probe = fm_probe_is_open (b, ATTENTION);
  gdouble scale;

  if (b->width % p->heads != 0)
    return fm_graph_fail (g, "heads", "%" G_GINT64_FORMAT " does not divide width %" G_GINT64_FORMAT, p->heads, b->width);
  scale = 1.0 / sqrt ((gdouble) (b->width / p->heads));
  all_global = globals == b->length;
  if (!all_global)
    {
      q = heads_of (g, x, b, "q");
      k = heads_of (g, x, b, "k");
      v = heads_of (g, x, b, "v");
      if (globals == 0)
        y = fm_attention (g, "attention", q, k, v, scale, &mask);
      else
        {
          FmAttentionMask near = { .causal = b->causal, .window = mask.window, .dilation = p->dilation,
                                   .key_lengths = b->lengths };
          FmAttentionPartial parts[] = { fm_attention_partial (g, q, k, v, scale, &near),
                                         to_globals (g, b, q, k, v, globals, scale) };

          parts[0] = fm_attention_merge (g, parts, 2);
          y = fm_attention_finish (g, parts);
        }
    }
  if (globals > 0)
    {
      FmAttentionMask all = { .key_lengths = b->lengths };

      /* Ends of queries and keys are aligned by `causal`: the first rows see the first keys, as far as they are. */
      gq = heads_of (g, fm_slice (g, x, 1, 0, globals), b, "global.q");
      gk = heads_of (g, x, b, "global.k");
      gv = heads_of (g, x, b, "global.v");
      if (b->causal)
        {
          all = (FmAttentionMask){ .causal = TRUE, .key_lengths = b->lengths };
          gk = fm_slice (g, gk, 2, 0, globals);
          gv = fm_slice (g, gv, 2, 0, globals);
        }
      first = fm_attention (g, "global", gq, gk, gv, scale, &all);
      y = all_global ? first : with_first (g, first, y);
      if (probe)
        {
          ends = fm_attention_map (g, gq, gk, scale, &all);
          ends = fm_pad (g, ends, 3, 0, b->length - fm_tensor_get_dim (ends, 3));
        }
    }
  if (probe)
    {
      FmTensor *map = all_global ? NULL : fm_attention_map (g, q, k, scale, &mask);

      fm_probe_set (b, ATTENTION, ends == NULL ? map : all_global ? ends : with_first (g, ends, map));
    }
  return fm_linear (g, fm_merge_heads (g, y), b->width, "out");
}

FM_PLUGIN_DEFINE (.id = "longformer", .title = "Longformer",
  .summary = "Each token sees a window around it and a few global tokens, which see everything through projections of their "
             "own. Cost grows with the length times the window.",
  .paper = { "Beltagy, Peters, Cohan", 2020, "2004.05150" },
  .complexity = "O(N (w + G) D)", .role = FM_ROLE_MIXER,
  .caps = FM_CAP_BIDIRECTIONAL | FM_CAP_CAUSAL | FM_CAP_RAGGED,
  .params = params, .params_size = sizeof (Params), .probes = probes, .build = build);
