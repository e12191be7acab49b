/* sessions.c: the next item of a session, items known by what is said of them; few of many as rivals, drawn by a law
 * whose logarithm comes off their scores.
 * Source: card m2trec (item vectors from attributes, session encoder, sampled candidates, category head). The card
 * corrects by log q and calls its positives of the batch candidates, too; q is then not the law of the draws alone, so
 * here they are not. Items of equal attributes are no rivals, as its pitfalls ask.
 * Shapes: B sessions of up to N items, D width, S samples. */
#include "models.h"

#include <math.h>

enum { B = 6, N = 8, D = 12, S = 20, ITEMS = 60, CATEGORIES = 5, BRANDS = 7, WORDS = 30, TITLE = 3 };

typedef struct
{
  FmTensor *vector;           /* [..,D] */
  FmTensor *category, *brand; /* i32 [..] */
} Items;

static FmTensor *
embed (FmGraph *g, const char *name, gint64 rows, FmTensor *index)
{
  return fm_gather_rows (g, fm_param (g, name, FM_SHAPE (rows, D), fm_init_normal (0.5)), index);
}

/* @id i32 [n]. One brand in ten is hidden: it has a row of its own. */
static Items
items (FmGraph *g, FmTensor *id, const char *name)
{
  gint64 n = fm_tensor_get_dim (id, 0);
  FmTensor *title = fm_graph_input (g, "title", FM_I32, FM_SHAPE (ITEMS, TITLE)), *parts[3], *hidden;
  Items all;

  all.category = fm_gather_rows (g, fm_graph_input (g, "category", FM_I32, FM_SHAPE (ITEMS, 1)), id);
  all.brand = fm_gather_rows (g, fm_graph_input (g, "brand", FM_I32, FM_SHAPE (ITEMS, 1)), id);
  parts[0] = fm_reshape (g, embed (g, "categories", CATEGORIES, all.category), FM_SHAPE (n, D));
  parts[1] = fm_reshape (g, embed (g, "brands", BRANDS, all.brand), FM_SHAPE (n, D));
  parts[2] = fm_mean (g, embed (g, "words", WORDS, fm_gather_rows (g, title, id)), 1);
  hidden = fm_bernoulli (g, name, fm_constant (g, FM_F32, FM_SHAPE (n, 1), 0.1));
  parts[1] = fm_where (g, hidden, fm_param (g, "no-brand", FM_SHAPE (D), fm_init_normal (0.5)), parts[1]);
  all.vector = fm_linear (g, fm_concat (g, parts, 3, -1), D, "item");
  return all;
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *session = fm_graph_input (g, "session", FM_I32, FM_SHAPE (B, N));
  FmTensor *length = fm_graph_input (g, "length", FM_I32, FM_SHAPE (B)),
           *next = fm_graph_input (g, "next", FM_I32, FM_SHAPE (B));
  FmTensor *drawn = fm_random_index (g, "rivals", FM_SHAPE (S), ITEMS, TRUE), *x, *y, *real, *twin, *positive,
           *negative, *loss;
  Items target = items (g, next, "hide.next"), rival = items (g, drawn, "hide.rivals");
  const FmAttentionMask mask = { .key_lengths = length };

  x = fm_reshape (g, items (g, fm_reshape (g, session, FM_SHAPE (B * N)), "hide").vector, FM_SHAPE (B, N, D));
  x = fm_add (g, x, fm_param (g, "positions", FM_SHAPE (N, D), fm_init_normal (0.1)));
  y = fm_norm (g, x, "norm");
  y = fm_attention (g, "mixer", fm_split_heads (g, fm_linear (g, y, D, "q"), 2),
                    fm_split_heads (g, fm_linear (g, y, D, "k"), 2),
                    fm_split_heads (g, fm_linear (g, y, D, "v"), 2), 0.4, &mask);
  x = fm_add (g, x, fm_merge_heads (g, y));
  real = fm_reshape (g, fm_less (g, fm_iota (g, N), fm_reshape (g, length, FM_SHAPE (B, 1))), FM_SHAPE (B, N, 1));
  x = fm_div (g, fm_sum (g, fm_mul (g, x, real), 1), fm_sum (g, real, 1));
  x = fm_linear_no_bias (g, x, D, "out");

  positive = fm_sum (g, fm_mul (g, x, target.vector), -1);
  negative = fm_matmul (g, x, rival.vector, FM_TRANS_B); /* [B,S] */
  twin = fm_mul (g, fm_equal (g, target.category, fm_reshape (g, rival.category, FM_SHAPE (S))),
                 fm_equal (g, target.brand, fm_reshape (g, rival.brand, FM_SHAPE (S))));
  negative = fm_where (g, twin, fm_constant (g, FM_F32, FM_SHAPE (1), -INFINITY), negative);
  loss = fm_sampled_softmax (g, positive, negative, next, drawn, fm_random_index_log_p (g, next, ITEMS, TRUE),
                             fm_random_index_log_p (g, drawn, ITEMS, TRUE));
  loss = fm_add (g, loss, fm_cross_entropy (g, fm_linear (g, x, CATEGORIES, "category-head"),
                                            fm_reshape (g, target.category, FM_SHAPE (B))));
  return fm_mean (g, loss, 0);
}

FM_MODEL (sessions, .name = "sessions", .card = "m2trec", .build = build,
          .inputs = { { "session", 0, ITEMS - 1 }, { "next", 0, ITEMS - 1 }, { "length", 1, N },
                      { "title", 0, WORDS - 1 },
                      { "category", 0, CATEGORIES - 1 }, { "brand", 0, BRANDS - 1 } });
