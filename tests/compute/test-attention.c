/* test-attention.c: fused attention, its backward, the map and the mask. */
#include "op-test.h"

#include <math.h>
#include <string.h>

/* The matrix: every mask of `masks` on every size of `sizes`, each a case of the harness with its three witnesses and
 * gradients. Suite full takes a third of it, turning through the sizes; all of it with FORMARIUM_TEST_MATRIX=all. A case
 * finds its mask by n[0], what is built by n[1]. */
enum { CORE, MAP, MASK, TILE };

enum
{
  CAUSAL = 1, LENGTHS = 2, EDGE = 4, LAYOUT = 8, SEGMENTS = 16, KEY_SEGMENTS = 32, DISTANCE = 64, BIAS = 128,
  BY_HEAD = 256,  /* layout and terms differ between heads */
  BY_BATCH = 512, /* the bias differs between examples */
};

typedef struct
{
  const char *name;
  guint       flags;
  gint64      window, block, dilation, globals, layout_block;
} Mask;

static const Mask masks[] = {
  { "all", 0 },
  { "causal", CAUSAL },
  { "window", 0, .window = 3 },
  { "window-causal", CAUSAL, .window = 5 },
  { "window-wide", 0, .window = 40 },
  { "block", 0, .block = 7 },
  { "block-causal", CAUSAL, .block = 8 },
  { "block-wide", 0, .block = 50 },
  { "lengths", LENGTHS },
  { "lengths-causal", LENGTHS | EDGE | CAUSAL },
  { "intervals", LENGTHS | CAUSAL, .window = 4, .block = 6 },
  { "dilated", 0, .dilation = 3 },
  { "dilated-window", CAUSAL, .window = 9, .dilation = 2 },
  { "dilated-open", 0, .window = 41, .dilation = 2 },
  { "dilated-narrow", LENGTHS, .window = 2, .dilation = 3 },
  { "dilated-lengths", LENGTHS | EDGE | CAUSAL, .dilation = 4 },
  { "dilated-block", LENGTHS | CAUSAL, .block = 12, .dilation = 3 },
  { "dilated-far", CAUSAL, .dilation = 100 },
  { "dilated-uneven", 0, .block = 7, .dilation = 2 },
  { "dilated-globals", CAUSAL, .window = 6, .dilation = 2, .globals = 1 },
  { "globals", 0, .window = 3, .globals = 2 },
  { "globals-causal", CAUSAL | LENGTHS, .window = 2, .globals = 3 },
  { "layout", LAYOUT, .layout_block = 4 },
  { "layout-heads", LAYOUT | BY_HEAD | CAUSAL, .layout_block = 16 },
  { "layout-globals", LAYOUT, .globals = 1, .layout_block = 2 },
  { "segments", SEGMENTS },
  { "segments-causal", SEGMENTS | CAUSAL },
  { "segments-window", SEGMENTS | CAUSAL, .window = 2 },
  { "segments-block", SEGMENTS, .block = 3 },
  { "key-segments", SEGMENTS | KEY_SEGMENTS },
  { "key-segments-causal", SEGMENTS | KEY_SEGMENTS | CAUSAL },
  { "distance", DISTANCE },
  { "distance-heads", DISTANCE | BY_HEAD | CAUSAL },
  { "segments-distance", SEGMENTS | DISTANCE | BY_HEAD },
  { "bias", BIAS | BY_HEAD | BY_BATCH },
  { "bias-shared", BIAS | CAUSAL },
  { "bias-heads", BIAS | BY_HEAD | LENGTHS },
  { "bias-batch", BIAS | BY_BATCH, .window = 6 },
  { "everything", CAUSAL | LENGTHS | LAYOUT | DISTANCE | BIAS | BY_HEAD, .window = 20, .block = 64, .dilation = 2,
    .globals = 2, .layout_block = 8 },
};

typedef struct { const char *name; gint64 batch, heads, kv_heads, n_query, n_key, d, dv; } Size;

static const Size sizes[] = {
  { "one", 1, 1, 1, 1, 1, 1, 1 },
  { "small", 2, 3, 3, 7, 7, 5, 5 },
  { "cross", 2, 2, 2, 5, 19, 8, 3 },
  { "grouped", 2, 6, 2, 9, 9, 4, 7 },
  { "wide", 1, 2, 2, 9, 9, 67, 33 },
  { "blind", 2, 2, 2, 11, 3, 4, 4 },  /* with a causal mask the first queries see nothing */
  { "decode", 2, 4, 2, 1, 70, 16, 16 },
  { "later", 2, 2, 2, 3, 70, 4, 4 },
  { "tiles", 1, 2, 1, 130, 150, 8, 8 },
  { "many-heads", 4, 4, 4, 70, 66, 4, 4 },
};

/* Inputs after q, k and v (the map has no v, the mask none of the three), in the order of the flags. */
static FmAttentionMask
mask_of (const Mask *m, FmTensor **x)
{
  FmAttentionMask mask = { .causal = (m->flags & CAUSAL) != 0, .window = m->window, .block = m->block,
                           .dilation = m->dilation, .globals = m->globals, .layout_block = m->layout_block };

  if (m->flags & LENGTHS)
    mask.key_lengths = *x++;
  if (m->flags & SEGMENTS)
    mask.segments = *x++;
  if (m->flags & KEY_SEGMENTS)
    mask.key_segments = *x++;
  if (m->flags & LAYOUT)
    mask.layout = *x++;
  if (m->flags & DISTANCE)
    mask.distance = *x++;
  if (m->flags & BIAS)
    mask.bias = *x++;
  return mask;
}

static gdouble
scale_of (const gdouble *f, gint64 d)
{
  return f[0] != 0 ? f[0] : 1 / sqrt ((gdouble) d);
}

static FmTensor *
build_attention (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmAttentionMask mask = mask_of (&masks[n[0]], x + (n[1] == CORE ? 3 : 2));
  gdouble scale = scale_of (f, fm_tensor_get_dim (x[0], 3));
  gint64 nq = fm_tensor_get_dim (x[0], 2), nk = fm_tensor_get_dim (x[1], 2);

  if (n[1] == CORE)
    return fm_attention_core (g, x[0], x[1], x[2], scale, &mask);
  if (n[1] == MAP)
    return fm_attention_map (g, x[0], x[1], scale, &mask);
  return fm_attention_map_tile (g, x[0], x[1], scale, &mask, nq / 3, nq - nq / 3, nk / 2, nk - nk / 2);
}

static FmTensor *
build_mask (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmAttentionMask mask = mask_of (&masks[n[0]], x);

  return fm_attention_mask_tensor (g, n[2], n[3], &mask);
}

static gint64
segment_of (const FmOpArray *starts, gint64 at)
{
  for (gint64 s = 0; s + 1 < starts->n; s++)
    if (at >= starts->v[s] && at < starts->v[s + 1])
      return s;
  return -1;
}

/* From the definition of FmAttentionMask, pair by pair. @x: the inputs after q, k and v. */
static gboolean
sees (const Mask *m, const FmOpArray *x, gint64 b, gint64 h, gint64 query, gint64 key, gint64 n_query, gint64 n_key)
{
  gint64 i = query, j = key, length = n_key;

  if (m->flags & LENGTHS)
    length = (gint64) (x++)->v[b];
  if (m->flags & SEGMENTS)
    {
      const FmOpArray *own = x++, *theirs = m->flags & KEY_SEGMENTS ? x++ : own;
      gint64 s = segment_of (own, query);

      if (s < 0 || segment_of (theirs, key) != s)
        return FALSE;
      i -= (gint64) own->v[s];
      j -= (gint64) theirs->v[s];
      n_query = (gint64) (own->v[s + 1] - own->v[s]);
      n_key = (gint64) (theirs->v[s + 1] - theirs->v[s]);
    }
  if (m->flags & CAUSAL)
    i += n_key - n_query;
  if (j >= length || i < 0 || (m->flags & CAUSAL && j > i))
    return FALSE;
  if (i < m->globals || j < m->globals)
    return TRUE;
  if (m->window > 0 && ABS (i - j) > m->window)
    return FALSE;
  if (m->block > 0 && i / m->block != j / m->block)
    return FALSE;
  if (m->dilation > 0 && ABS (i - j) % m->dilation != 0)
    return FALSE;
  if (m->flags & LAYOUT)
    {
      gint64 rows = x->shape.dims[1], columns = x->shape.dims[2];

      return x->v[((x->shape.dims[0] > 1 ? h : 0) * rows + query / m->layout_block) * columns + key / m->layout_block]
             != 0;
    }
  return TRUE;
}

static gdouble
terms (const Mask *m, const FmOpArray *x, gint64 b, gint64 h, gint64 query, gint64 key, gint64 n_query, gint64 n_key)
{
  gdouble sum = 0;

  for (guint flag = LENGTHS; flag < DISTANCE; flag *= 2)
    if (m->flags & flag & (LENGTHS | LAYOUT | SEGMENTS | KEY_SEGMENTS))
      x++;
  if (m->flags & DISTANCE)
    {
      sum += x->v[(x->shape.dims[0] > 1 ? h : 0) * x->shape.dims[1] + query - key + n_key - 1];
      x++;
    }
  if (m->flags & BIAS)
    sum += x->v[(((x->shape.dims[0] > 1 ? b : 0) * x->shape.dims[1] + (x->shape.dims[1] > 1 ? h : 0)) * n_query + query)
                * n_key + key];
  return sum;
}

static void
reference_attention (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  const Mask *m = &masks[n[0]];
  const FmOpArray *q = &x[0], *k = &x[1], *v = n[1] == CORE ? &x[2] : NULL, *rest = x + (v ? 3 : 2);
  gint64 batch = q->shape.dims[0], heads = q->shape.dims[1], nq = q->shape.dims[2], d = q->shape.dims[3];
  gint64 kv_heads = k->shape.dims[1], nk = k->shape.dims[2], dv = v ? v->shape.dims[3] : nk;
  gint64 row0 = n[1] == TILE ? nq / 3 : 0, column0 = n[1] == TILE ? nk / 2 : 0, columns = nk - column0;
  gdouble scale = scale_of (f, d);
  g_autofree gdouble *w = g_new (gdouble, nk);

  fm_op_array_init (y, FM_SHAPE (batch, heads, nq - row0, v ? dv : columns));
  for (gint64 b = 0; b < batch; b++)
    for (gint64 h = 0; h < heads; h++)
      for (gint64 i = row0; i < nq; i++)
        {
          gint64 from_k = (b * kv_heads + h / (heads / kv_heads)) * nk, row = (b * heads + h) * nq + i;
          gdouble *to = y->v + ((b * heads + h) * (nq - row0) + i - row0) * (v ? dv : columns);
          gdouble max = -INFINITY, sum = 0;

          for (gint64 j = 0; j < nk; j++)
            {
              w[j] = 0;
              for (gint64 c = 0; c < d; c++)
                w[j] += q->v[row * d + c] * k->v[(from_k + j) * d + c] * scale;
              w[j] = sees (m, rest, b, h, i, j, nq, nk) ? w[j] + terms (m, rest, b, h, i, j, nq, nk) : -INFINITY;
              max = MAX (max, w[j]);
            }
          for (gint64 j = 0; j < nk; j++)
            {
              w[j] = w[j] > -INFINITY ? exp (w[j] - max) : 0;
              sum += w[j];
            }
          for (gint64 j = 0; j < nk && sum > 0; j++)
            {
              if (!v && j >= column0)
                to[j - column0] = w[j] / sum;
              for (gint64 c = 0; v && c < dv; c++)
                to[c] += w[j] / sum * v->v[(from_k + j) * dv + c];
            }
        }
}

static void
reference_mask (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  const Mask *m = &masks[n[0]];
  gint64 nq = n[2], nk = n[3], batch = m->flags & LENGTHS ? x[0].n : 1, heads = 1;

  if (m->flags & LAYOUT)
    heads = x[m->flags & LENGTHS ? 1 : 0].shape.dims[0];
  fm_op_array_init (y, FM_SHAPE (batch, heads, nq, nk));
  for (gint64 i = 0; i < y->n; i++)
    y->v[i] = sees (m, x, i / nk / nq / heads, i / nk / nq % heads, i / nk % nq, i % nk, nq, nk);
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

/* Five segments: the second is empty, and something is left over at the end. */
static void
fill_segments (FmOpArray *a)
{
  gint64 last = (gint64) a->v[0]; /* low and high of the input are the length of the sequence */

  for (gint64 i = 0; i < a->n; i++)
    a->v[i] = i < 2 ? i * last / 5 : MIN (last, (i - 1) * last / 4);
  a->v[a->n - 1] = MAX (a->v[a->n - 2], last - last / 10);
}

static void
fill_key_segments (FmOpArray *a)
{
  gint64 last = (gint64) a->v[0];

  for (gint64 i = 0; i < a->n; i++)
    a->v[i] = i * i * last / ((a->n - 1) * (a->n - 1));
}

#define WHY "scores of d products below 1, exponentials to 1.5e-7, a mean over keys; gradients sum over all queries"

static FmOpInput
floats (FmShape shape)
{
  return (FmOpInput) { FM_F32, shape, -1, 1, TRUE };
}

/* Appends the inputs of a mask; FALSE where mask and size do not go together. */
static gboolean
add_mask_inputs (FmOpInput *in, const Mask *m, const Size *s, gboolean terms_too)
{
  gint64 heads = m->flags & BY_HEAD ? s->heads : 1;

  if (m->flags & SEGMENTS && (s->batch > 1 || (!(m->flags & KEY_SEGMENTS) && s->n_query != s->n_key)))
    return FALSE;
  if (m->flags & LENGTHS)
    *in++ = (FmOpInput) { FM_I32, FM_SHAPE (s->batch), 0, s->n_key, FALSE, m->flags & EDGE ? fill_lengths : NULL };
  if (m->flags & SEGMENTS)
    *in++ = (FmOpInput) { FM_I32, FM_SHAPE (6), s->n_query, s->n_query, FALSE, fill_segments };
  if (m->flags & KEY_SEGMENTS)
    *in++ = (FmOpInput) { FM_I32, FM_SHAPE (6), s->n_key, s->n_key, FALSE, fill_key_segments };
  if (m->flags & LAYOUT)
    *in++ = (FmOpInput) { FM_I32, FM_SHAPE (heads, (s->n_query + m->layout_block - 1) / m->layout_block,
                                            (s->n_key + m->layout_block - 1) / m->layout_block), 0, 1, FALSE };
  if (m->flags & DISTANCE && terms_too)
    *in++ = floats (FM_SHAPE (heads, s->n_query + s->n_key - 1));
  if (m->flags & BIAS && terms_too)
    *in++ = floats (FM_SHAPE (m->flags & BY_BATCH ? s->batch : 1, heads, s->n_query, s->n_key));
  return TRUE;
}

/* Some segments want a batch of 1 and as many keys as queries: two sizes of their own. */
static const Size packed_sizes[] = { { "packed", 1, 4, 2, 23, 23, 4, 5 }, { "packed-tiles", 1, 2, 2, 170, 170, 4, 4 } };

static GPtrArray *made; /* FmOpCase, for the life of the program */

static void
add_matrix (void)
{
  static const char * const names[] = { "attention", "attention-map", "attention-mask", "attention-tile" };
  gboolean all = g_strcmp0 (g_getenv ("FORMARIUM_TEST_MATRIX"), "all") == 0;
  guint count = 0;

  made = g_ptr_array_new ();
  for (guint what = CORE; what <= TILE; what++)
    for (guint a = 0; a < G_N_ELEMENTS (masks); a++)
      for (guint c = 0; c < G_N_ELEMENTS (sizes) + G_N_ELEMENTS (packed_sizes); c++)
        {
          gboolean packed = c >= G_N_ELEMENTS (sizes);
          const Size *s = packed ? &packed_sizes[c - G_N_ELEMENTS (sizes)] : &sizes[c];
          const Mask *m = &masks[a];
          FmOpCase *test;
          FmOpInput *in;

          /* The map, the mask and the rectangle follow the core: a size in four is enough. */
          if ((packed && !(m->flags & SEGMENTS)) || (what != CORE && (a + c) % 4 != 0 && !packed)
              || (what == MASK && m->flags & (DISTANCE | BIAS)))
            continue;
          if (what == CORE && !packed && !all && (a + c) % 3 != 0)
            continue;
          test = g_new0 (FmOpCase, 1);
          in = test->in;
          if (what != MASK)
            {
              *in++ = floats (FM_SHAPE (s->batch, s->heads, s->n_query, s->d));
              *in++ = floats (FM_SHAPE (s->batch, s->kv_heads, s->n_key, s->d));
            }
          if (what == CORE)
            *in++ = floats (FM_SHAPE (s->batch, s->kv_heads, s->n_key, s->dv));
          if (!add_mask_inputs (in, m, s, what != MASK))
            {
              g_free (test);
              continue;
            }
          if (what == MASK && test->in[0].shape.rank == 0) /* the harness wants an input */
            test->in[0] = (FmOpInput) { FM_I32, FM_SHAPE (1), 0, 1, FALSE };
          test->name = g_strdup_printf ("%s-%s", m->name, s->name);
          /* Of the core every mask once: on a small size, or packed. */
          test->quick = count++ % 4 == 0
                        || (what == CORE && (c == 3 - a % 3 || (packed && c == G_N_ELEMENTS (sizes))));
          test->n[0] = a;
          test->n[1] = what;
          test->n[2] = s->n_query;
          test->n[3] = s->n_key;
          test->build = what == MASK ? build_mask : build_attention;
          test->reference = what == MASK ? reference_mask : reference_attention;
          test->why = what == MASK ? "0 or 1" : WHY;
          if (what != MASK)
            {
              test->atol = test->rtol = 2e-6;
              test->grad_atol = test->grad_rtol = 2e-5;
              test->grad_samples = s->n_query > 60 ? 3 : 8;
            }
          if (what == TILE)
            for (guint i = 0; i < FM_OP_TEST_MAX_IN; i++)
              test->in[i].gradient = FALSE;
          g_ptr_array_add (made, test);
          fm_op_test_add (names[what], test, 1);
        }
}

#define F32(...) { FM_F32, FM_SHAPE (__VA_ARGS__), -1, 1, TRUE }
#define LARGE(...) { FM_F32, FM_SHAPE (__VA_ARGS__), -1, 1, FALSE, fill_large }

static const FmOpCase cases[] = {
  { .name = "large-scores", .quick = TRUE, .in = { LARGE (2, 2, 9, 8), LARGE (2, 2, 70, 8), F32 (2, 2, 70, 4) },
    .build = build_attention, .reference = reference_attention, .f = { 1 }, .atol = 5e-3, .rtol = 1e-3,
    .why = "scores up to 7000 hold 5e-4 in f32, and a weight is off by as much as its score" },
  { .name = "bench", .quick = TRUE, .in = { F32 (5, 4, 49, 16), F32 (5, 4, 49, 16), F32 (5, 4, 49, 16) },
    .build = build_attention, .reference = reference_attention, .atol = 2e-6, .rtol = 2e-6, .grad_atol = 2e-5,
    .grad_rtol = 2e-5, .why = WHY },
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

  /* A second derivative through partial results is refused by name. */
  wrt = fm_graph_input (s, "p", FM_F32, FM_SHAPE (1, 1, 5, 8));
  fm_grad (s, fm_sum_all (s, fm_attention_partial (s, wrt, wrt, wrt, 1.0, NULL).m), &wrt, 1, &dx);
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
  add_matrix ();
  g_test_add_func ("/compute/attention/refused", test_refused);
  g_test_add_func ("/compute/attention/memory", test_memory);
  return g_test_run ();
}
