/* test-attention.c: fused attention, its backward, the map and the mask. */
#include "op-test.h"

#include <math.h>
#include <string.h>

/* n: causal + 2 * with lengths + 4 * what (0 core, 1 map); window; block. f: scale, 0 = 1 / sqrt (d).
 * in: q, k, v, key lengths. */
enum { CAUSAL = 1, LENGTHS = 2, MAP = 4 };

static FmTensor *
build_attention (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmAttentionMask mask = { .causal = (n[0] & CAUSAL) != 0, .window = n[1], .block = n[2],
                           .key_lengths = n[0] & LENGTHS ? x[n[0] & MAP ? 2 : 3] : NULL };
  gdouble scale = f[0] != 0 ? f[0] : 1 / sqrt ((gdouble) fm_tensor_get_dim (x[0], 3));

  return n[0] & MAP ? fm_attention_map (g, x[0], x[1], scale, &mask)
                    : fm_attention_core (g, x[0], x[1], x[2], scale, &mask);
}

/* From the definition of FmAttentionMask, pair by pair. */
static gboolean
sees (const gint64 *n, gint64 query, gint64 key, gint64 n_query, gint64 n_key, gint64 length)
{
  gint64 i = query + (n[0] & CAUSAL ? n_key - n_query : 0);

  if (key >= length || (n[0] & CAUSAL && key > i))
    return FALSE;
  if (n[1] > 0 && ABS (i - key) > n[1])
    return FALSE;
  return n[2] == 0 || (i >= 0 && i / n[2] == key / n[2]);
}

static void
reference_attention (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  const FmOpArray *q = &x[0], *k = &x[1], *v = n[0] & MAP ? NULL : &x[2], *lengths = n[0] & MAP ? &x[2] : &x[3];
  gint64 batch = q->shape.dims[0], heads = q->shape.dims[1], nq = q->shape.dims[2], d = q->shape.dims[3];
  gint64 kv_heads = k->shape.dims[1], nk = k->shape.dims[2], dv = v ? v->shape.dims[3] : nk;
  gdouble scale = f[0] != 0 ? f[0] : 1 / sqrt ((gdouble) d);
  g_autofree gdouble *w = g_new (gdouble, nk);

  fm_op_array_init (y, FM_SHAPE (batch, heads, nq, dv));
  for (gint64 b = 0; b < batch; b++)
    for (gint64 h = 0; h < heads; h++)
      for (gint64 i = 0; i < nq; i++)
        {
          gint64 from_k = (b * kv_heads + h / (heads / kv_heads)) * nk, row = (b * heads + h) * nq + i;
          gint64 length = n[0] & LENGTHS ? (gint64) lengths->v[b] : nk;
          gdouble max = -INFINITY, sum = 0;

          for (gint64 j = 0; j < nk; j++)
            {
              w[j] = 0;
              for (gint64 c = 0; c < d; c++)
                w[j] += q->v[row * d + c] * k->v[(from_k + j) * d + c] * scale;
              if (sees (n, i, j, nq, nk, length))
                max = MAX (max, w[j]);
            }
          for (gint64 j = 0; j < nk; j++)
            {
              w[j] = sees (n, i, j, nq, nk, length) ? exp (w[j] - max) : 0;
              sum += w[j];
            }
          for (gint64 j = 0; j < nk && sum > 0; j++)
            {
              if (!v)
                y->v[row * nk + j] = w[j] / sum;
              for (gint64 c = 0; v && c < dv; c++)
                y->v[row * dv + c] += w[j] / sum * v->v[(from_k + j) * dv + c];
            }
        }
}

/* Scores in the hundreds: only the largest counts, and exp of a difference must not overflow on the way. */
static void
fill_large (FmOpArray *a)
{
  for (gint64 i = 0; i < a->n; i++)
    a->v[i] *= 30;
}

/* 0, all, more than all. */
static void
fill_lengths (FmOpArray *a)
{
  static const gint64 values[] = { 0, 1000, 3, 1 };

  for (gint64 i = 0; i < a->n; i++)
    a->v[i] = values[i % G_N_ELEMENTS (values)];
}

#define F32(...) { FM_F32, FM_SHAPE (__VA_ARGS__), -1, 1, TRUE }
#define LARGE(...) { FM_F32, FM_SHAPE (__VA_ARGS__), -1, 1, FALSE, fill_large }
#define LEN(b) { FM_I32, FM_SHAPE (b), 0, 20, FALSE }
#define LEN_EDGE(b) { FM_I32, FM_SHAPE (b), 0, 20, FALSE, fill_lengths }
#define WHY "scores of d products below 1, exponentials to 1.5e-7, a mean over keys; gradients sum over all queries"
#define ATTENTION(id, flags, window, block, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { flags, window, block }, .build = build_attention, \
    .reference = reference_attention, .atol = 2e-6, .rtol = 2e-6, .grad_atol = 2e-5, .grad_rtol = 2e-5, \
    .grad_samples = 8, .why = WHY }

static const FmOpCase cases[] = {
  ATTENTION ("plain", 0, 0, 0, F32 (2, 3, 7, 5), F32 (2, 3, 7, 5), F32 (2, 3, 7, 5)),
  ATTENTION ("bench", 0, 0, 0, F32 (5, 4, 49, 16), F32 (5, 4, 49, 16), F32 (5, 4, 49, 16)),
  ATTENTION ("one", 0, 0, 0, F32 (1, 1, 1, 1), F32 (1, 1, 1, 1), F32 (1, 1, 1, 1)),
  ATTENTION ("cross", 0, 0, 0, F32 (2, 2, 5, 8), F32 (2, 2, 19, 8), F32 (2, 2, 19, 3)),
  ATTENTION ("grouped", 0, 0, 0, F32 (2, 6, 9, 4), F32 (2, 2, 9, 4), F32 (2, 2, 9, 7)),
  ATTENTION ("wide", 0, 0, 0, F32 (1, 2, 9, 67), F32 (1, 2, 9, 67), F32 (1, 2, 9, 33)),
  ATTENTION ("tiles", 0, 0, 0, F32 (1, 2, 130, 8), F32 (1, 2, 150, 8), F32 (1, 2, 150, 8)),
  ATTENTION ("tiles-many-heads", 0, 0, 0, F32 (4, 4, 70, 4), F32 (4, 4, 66, 4), F32 (4, 4, 66, 4)),
  ATTENTION ("causal", CAUSAL, 0, 0, F32 (2, 2, 70, 4), F32 (2, 2, 70, 4), F32 (2, 2, 70, 4)),
  ATTENTION ("causal-many-heads", CAUSAL, 0, 0, F32 (4, 4, 70, 4), F32 (4, 4, 70, 4), F32 (4, 4, 70, 4)),
  ATTENTION ("causal-later", CAUSAL, 0, 0, F32 (2, 2, 3, 4), F32 (2, 2, 11, 4), F32 (2, 2, 11, 4)),
  ATTENTION ("causal-blind", CAUSAL, 0, 0, F32 (2, 2, 11, 4), F32 (2, 2, 3, 4), F32 (2, 2, 3, 4)),
  ATTENTION ("window", 0, 3, 0, F32 (2, 2, 90, 4), F32 (2, 2, 90, 4), F32 (2, 2, 90, 4)),
  ATTENTION ("window-causal", CAUSAL, 5, 0, F32 (2, 2, 75, 4), F32 (2, 2, 75, 4), F32 (2, 2, 75, 4)),
  ATTENTION ("window-wide", 0, 40, 0, F32 (1, 2, 140, 4), F32 (1, 2, 140, 4), F32 (1, 2, 140, 4)),
  ATTENTION ("window-many-heads", 0, 2, 0, F32 (4, 4, 33, 4), F32 (4, 4, 33, 4), F32 (4, 4, 33, 4)),
  ATTENTION ("block", 0, 0, 7, F32 (2, 2, 49, 4), F32 (2, 2, 49, 4), F32 (2, 2, 49, 4)),
  ATTENTION ("block-causal", CAUSAL, 0, 8, F32 (2, 2, 45, 4), F32 (2, 2, 45, 4), F32 (2, 2, 45, 4)),
  ATTENTION ("block-wide", 0, 0, 50, F32 (1, 2, 130, 4), F32 (1, 2, 130, 4), F32 (1, 2, 130, 4)),
  ATTENTION ("lengths", LENGTHS, 0, 0, F32 (3, 2, 9, 4), F32 (3, 2, 20, 4), F32 (3, 2, 20, 4), LEN (3)),
  ATTENTION ("lengths-edge", LENGTHS, 0, 0, F32 (4, 2, 9, 4), F32 (4, 2, 9, 4), F32 (4, 2, 9, 4), LEN_EDGE (4)),
  ATTENTION ("lengths-many-heads", LENGTHS | CAUSAL, 0, 0, F32 (4, 4, 20, 4), F32 (4, 4, 20, 4), F32 (4, 4, 20, 4),
             LEN_EDGE (4)),
  ATTENTION ("all-masks", CAUSAL | LENGTHS, 4, 6, F32 (2, 2, 20, 4), F32 (2, 2, 20, 4), F32 (2, 2, 20, 4), LEN (2)),
  { .name = "large-scores", .quick = TRUE, .in = { LARGE (2, 2, 9, 8), LARGE (2, 2, 70, 8), F32 (2, 2, 70, 4) },
    .build = build_attention, .reference = reference_attention, .f = { 1 }, .atol = 5e-3, .rtol = 1e-3,
    .why = "scores up to 7000 hold 5e-4 in f32, and a weight is off by as much as its score" },
  ATTENTION ("map", MAP, 0, 0, F32 (2, 2, 7, 4), F32 (2, 2, 9, 4)),
  ATTENTION ("map-grouped", MAP, 0, 0, F32 (2, 4, 7, 4), F32 (2, 2, 9, 4)),
  ATTENTION ("map-masked", MAP | CAUSAL | LENGTHS, 4, 0, F32 (2, 2, 9, 4), F32 (2, 2, 9, 4), LEN_EDGE (2)),
};

/* n: causal, with lengths; window; block; Nq * 1000 + Nk. */
static FmTensor *
build_mask (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmAttentionMask mask = { .causal = (n[0] & CAUSAL) != 0, .window = n[1], .block = n[2],
                           .key_lengths = n[0] & LENGTHS ? x[0] : NULL };

  return fm_attention_mask_tensor (g, n[3] / 1000, n[3] % 1000, &mask);
}

static void
reference_mask (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 nq = n[3] / 1000, nk = n[3] % 1000;

  fm_op_array_init (y, FM_SHAPE (n[0] & LENGTHS ? x[0].n : 1, 1, nq, nk));
  for (gint64 i = 0; i < y->n; i++)
    y->v[i] = sees (n, i / nk % nq, i % nk, nq, nk, n[0] & LENGTHS ? (gint64) x[0].v[i / nk / nq] : nk);
}

#define MASK(id, flags, window, block, nq, nk, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { flags, window, block, (nq) * 1000 + (nk) }, \
    .build = build_mask, .reference = reference_mask, .why = "0 or 1" }

static const FmOpCase mask_cases[] = {
  MASK ("all", 0, 0, 0, 3, 5, LEN (1)),
  MASK ("causal", CAUSAL, 0, 0, 5, 9, LEN (1)),
  MASK ("causal-blind", CAUSAL, 0, 0, 9, 5, LEN (1)),
  MASK ("window", 0, 2, 0, 12, 12, LEN (1)),
  MASK ("window-causal", CAUSAL, 2, 0, 12, 12, LEN (1)),
  MASK ("block", 0, 0, 5, 12, 12, LEN (1)),
  MASK ("lengths", LENGTHS | CAUSAL, 0, 5, 8, 8, LEN_EDGE (4)),
};

static void
test_refused (void)
{
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(FmGraph) h = fm_graph_new ();
  g_autoptr(FmGraph) s = fm_graph_new ();
  FmTensor *q = fm_graph_input (g, "q", FM_F32, FM_SHAPE (1, 4, 5, 8));
  FmTensor *k = fm_graph_input (g, "k", FM_F32, FM_SHAPE (1, 3, 5, 8));
  FmTensor *p = fm_graph_input (h, "p", FM_F32, FM_SHAPE (1, 4, 5, 8)), *dx, *wrt;
  FmAttentionMask mask = { .window = -1 };

  fm_attention_core (g, q, k, k, 1.0, NULL);
  g_assert_error ((GError *) fm_graph_get_error (g), FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH);
  g_assert_nonnull (strstr (fm_graph_get_error (g)->message, "multiple of Hk"));
  fm_attention_core (h, p, p, p, 1.0, &mask);
  g_assert_error ((GError *) fm_graph_get_error (h), FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH);
  g_assert_nonnull (strstr (fm_graph_get_error (h)->message, "window of -1"));

  /* A second derivative is refused by name. */
  wrt = fm_graph_input (s, "p", FM_F32, FM_SHAPE (1, 1, 5, 8));
  fm_grad (s, fm_sum_all (s, fm_attention_core (s, wrt, wrt, wrt, 1.0, NULL)), &wrt, 1, &dx);
  g_assert_no_error ((GError *) fm_graph_get_error (s));
  fm_grad (s, fm_sum_all (s, dx), &wrt, 1, &dx);
  g_assert_error ((GError *) fm_graph_get_error (s), FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH);
  g_assert_nonnull (strstr (fm_graph_get_error (s)->message, "fm_attention_map"));
}

/* The plan of a long sequence holds no N^2 tensor, forward and backward. */
static void
test_memory (void)
{
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(GError) error = NULL;
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (1, 1, 16384, 16)), *dx;
  FmPlan plan;

  fm_grad (g, fm_sum_all (g, fm_attention_core (g, x, x, x, 0.25, NULL)), &x, 1, &dx);
  fm_graph_output (g, "dx", dx);
  fm_graph_plan (g, "cpu", &plan, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (plan.arena_bytes, <, 16 * 16384 * 16 * 4); /* N^2 would be 1 GiB */
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fm_op_test_add ("attention", cases, G_N_ELEMENTS (cases));
  fm_op_test_add ("attention-mask", mask_cases, G_N_ELEMENTS (mask_cases));
  g_test_add_func ("/compute/attention/refused", test_refused);
  g_test_add_func ("/compute/attention/memory", test_memory);
  return g_test_run ();
}
