/* local-attention.c: softmax attention that sees near tokens only.
 * Source: window: Beltagy et al., "Longformer", 2020, arXiv:2004.05150, section 3.1, without global tokens; block:
 * Tay et al., "Long Range Arena", 2021, arXiv:2011.04006, the `local` baseline.
 * Shapes: x [B,N,D]; q, k, v [B,H,N,d] with d = D/H.
 * Differs: `block` cuts runs of neighbours, where the released baseline's reshape takes every (N/b)-th position. The
 * last block may be short. `window` is the reach to either side, where Longformer's w counts both sides. */
#include "plugin.h"

#include <math.h>

typedef struct
{
  gint64 heads;
  gint64 form;
  gint64 window;
} Params;

static const char * const forms[] = { "window", "block", NULL };
enum { FORM_WINDOW, FORM_BLOCK };
static const FmParam params[] = {
  FM_PARAM_INT (Params, heads, 4, 1, 1024, "heads", "Must divide the model width"),
  FM_PARAM_CHOICE (Params, form, forms, "A window that moves with the token, or fixed blocks"),
  FM_PARAM_INT (Params, window, 8, 1, 1 << 20, "tokens", "Reach to either side, or length of a block"),
  FM_PARAM_END
};

enum { ATTENTION };
static const FmProbe probes[] = {
  [ATTENTION] = { "attention", "batch,head,query,key", "Softmax weights; zero where a token cannot see" },
  FM_PROBE_END
};

static FmTensor *
build (FmGraph *g, const FmBuild *b, FmTensor *x)
{
  const Params *p = b->params;
  FmAttentionMask mask = { .causal = b->causal, .key_lengths = b->lengths };
  gdouble scale;
  FmTensor *q, *k, *v, *y;

  if (b->width % p->heads != 0)
    return fm_graph_fail (g, "heads", "%" G_GINT64_FORMAT " does not divide width %" G_GINT64_FORMAT, p->heads, b->width);
  if (p->form == FORM_WINDOW)
    mask.window = p->window;
  else
    mask.block = p->window;
  scale = 1.0 / sqrt ((gdouble) (b->width / p->heads));

  q = fm_split_heads (g, fm_linear (g, x, b->width, "q"), p->heads);
  k = fm_split_heads (g, fm_linear (g, x, b->width, "k"), p->heads);
  v = fm_split_heads (g, fm_linear (g, x, b->width, "v"), p->heads);
  y = fm_attention_cached (g, b, "attention", q, k, v, scale, &mask);

  if (fm_probe_is_open (b, ATTENTION))
    fm_probe_set (b, ATTENTION, fm_attention_map (g, q, k, scale, &mask));
  return fm_linear (g, fm_merge_heads (g, y), b->width, "out");
}

FM_PLUGIN_DEFINE (.id = "local-attention", .title = "Local attention",
  .summary = "Softmax attention over near tokens only: a window around each token, or fixed blocks. Cost grows with "
             "the length times the window.",
  .paper = { "Beltagy, Peters, Cohan", 2020, "2004.05150" },
  .complexity = "O(N w D)", .role = FM_ROLE_MIXER,
  .caps = FM_CAP_BIDIRECTIONAL | FM_CAP_CAUSAL | FM_CAP_RAGGED | FM_CAP_DECODE,
  .params = params, .params_size = sizeof (Params), .probes = probes, .build = build);
