/* test-attention-uses.c: rotary positions, terms by distance, chosen keys, parts; and what must hold between them: decoding
 * with a cache equals the whole, packed sequences equal padded ones, second gradients. */
#include "op-test.h"

#include <math.h>
#include <string.h>

/* --- Rotary -------------------------------------------------------------------------------------------------------*/

/* n: halves, width, shape of positions (0 none, 1 [N], 2 [B,N]). f: base, scale. in: x, positions. */
static FmTensor *
build_rotary (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmRotary options = { .width = n[1], .base = f[0], .scale = f[1], .halves = n[0] != 0 };

  return fm_rotary (g, x[0], n[2] ? x[1] : NULL, &options);
}

static void
reference_rotary (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 heads = x->shape.dims[1], length = x->shape.dims[2], d = x->shape.dims[3], pairs = (n[1] ? n[1] : d) / 2;

  fm_op_array_init (y, x->shape);
  for (gint64 r = 0; r < y->n / d; r++)
    {
      gint64 i = r % length, b = r / length / heads;
      gdouble position = n[2] == 0 ? (gdouble) i : n[2] == 1 ? x[1].v[i] : x[1].v[b * length + i];

      for (gint64 c = 0; c < d; c++)
        y->v[r * d + c] = x->v[r * d + c];
      for (gint64 p = 0; p < pairs; p++)
        {
          gdouble angle = position / (f[1] > 0 ? f[1] : 1) * pow (f[0] > 0 ? f[0] : 10000, -(gdouble) p / pairs);
          gint64 first = r * d + (n[0] ? p : 2 * p), second = n[0] ? first + pairs : first + 1;

          y->v[first] = x->v[first] * cos (angle) - x->v[second] * sin (angle);
          y->v[second] = x->v[second] * cos (angle) + x->v[first] * sin (angle);
        }
    }
}

#define F32(...) { FM_F32, FM_SHAPE (__VA_ARGS__), -1, 1, TRUE }
#define FAR(...) { FM_I32, FM_SHAPE (__VA_ARGS__), -1000000, 1000000, FALSE }
#define ROTARY(id, halves, width, positions, base, scale, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { halves, width, positions }, .f = { base, scale }, \
    .build = build_rotary, .reference = reference_rotary, .atol = 1e-6, .rtol = 1e-6, \
    .why = "two products and their sum; cosines to 4e-7 however far the position" }

static const FmOpCase rotary_cases[] = {
  ROTARY ("one", 0, 0, 0, 0, 0, F32 (1, 1, 1, 2)),
  ROTARY ("neighbours", 0, 0, 0, 0, 0, F32 (2, 3, 9, 8)),
  ROTARY ("halves", 1, 0, 0, 0, 0, F32 (2, 3, 9, 34)),
  ROTARY ("part", 0, 4, 0, 100, 0, F32 (1, 2, 17, 7)),
  ROTARY ("part-halves", 1, 6, 0, 5e6, 0, F32 (1, 2, 17, 10)),
  ROTARY ("interpolated", 1, 0, 1, 0, 8, F32 (2, 2, 11, 16), FAR (11)),
  ROTARY ("far", 0, 0, 2, 0, 0, F32 (2, 2, 130, 128), FAR (2, 130)),
  ROTARY ("short-scale", 1, 0, 2, 2, 0.2, F32 (2, 2, 5, 6), FAR (2, 5)),
};

/* --- Terms by distance --------------------------------------------------------------------------------------------*/

/* n: causal, Nq, Nk, largest distance (0: alibi). in: slopes or table. */
static FmTensor *
build_terms (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  if (n[3] > 0)
    return fm_attention_buckets (g, x[0], n[1], n[2], n[0] != 0, n[3]);
  return fm_attention_alibi (g, f[0] > 0 ? NULL : x[0], fm_tensor_get_dim (x[0], 0), n[1], n[2], n[0] != 0);
}

static void
reference_terms (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 width = n[1] + n[2] - 1, heads = x->shape.dims[n[3] > 0 ? 1 : 0], all = x->shape.dims[0];

  fm_op_array_init (y, FM_SHAPE (heads, width));
  for (gint64 h = 0; h < heads; h++)
    for (gint64 t = 0; t < width; t++)
      {
        gint64 distance = t - (n[2] - 1) + (n[0] ? n[2] - n[1] : 0); /* query less key */
        gint64 buckets = n[0] ? all : all / 2, exact = buckets / 2, size, bucket;

        if (n[3] == 0)
          {
            y->v[h * width + t] = -fabs ((gdouble) distance)
                                  * (f[0] > 0 ? pow (2, -8.0 * (gdouble) (h + 1) / (gdouble) heads) : x->v[h]);
            continue;
          }
        size = n[0] ? MAX (distance, 0) : ABS (distance);
        bucket = size;
        if (size >= exact)
          bucket = MIN (buckets - 1, exact + (gint64) (log ((gdouble) size / exact) / log ((gdouble) n[3] / exact)
                                                       * (buckets - exact)));
        if (!n[0] && distance < 0)
          bucket += buckets;
        y->v[h * width + t] = x->v[bucket * heads + h];
      }
}

#define TERMS(id, causal, nq, nk, largest, alibi, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { causal, nq, nk, largest }, .f = { alibi }, \
    .build = build_terms, .reference = reference_terms, .atol = 1e-6, .rtol = 1e-6, .grad_atol = 1e-4, .grad_rtol = 1e-5, \
    .why = "entries of a table, or one product; gradients sum over up to 300 distances" }

static const FmOpCase terms_cases[] = {
  TERMS ("alibi", 1, 9, 9, 0, 1, { FM_F32, FM_SHAPE (8), -1, 1, FALSE }),
  TERMS ("alibi-odd-heads", 0, 5, 12, 0, 1, { FM_F32, FM_SHAPE (3), -1, 1, FALSE }),
  TERMS ("alibi-slopes", 1, 5, 12, 0, 0, F32 (3)),
  TERMS ("buckets", 0, 20, 20, 16, 0, F32 (12, 3)),
  TERMS ("buckets-usual", 0, 150, 170, 128, 0, F32 (32, 4)),
  TERMS ("buckets-causal", 1, 20, 40, 30, 0, F32 (8, 2)),
  TERMS ("buckets-decode", 1, 1, 200, 128, 0, F32 (32, 2)),
};

/* --- Chosen keys and parts ----------------------------------------------------------------------------------------*/

/* n: causal; 0 the chosen keys, else as many parts. in: q, k, v, index or lengths. */
static FmTensor *
build_chosen (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  if (n[1] > 0)
    return fm_attention_split (g, x[0], x[1], x[2], 0.5, x[3], (guint) n[1]);
  return fm_attention_subset (g, x[0], x[1], x[2], x[3], 0.5, n[0] != 0);
}

static void
reference_chosen (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 heads = x[0].shape.dims[1], nq = x[0].shape.dims[2], d = x[0].shape.dims[3], hk = x[1].shape.dims[1];
  gint64 nk = x[1].shape.dims[2], dv = x[2].shape.dims[3], count = n[1] > 0 ? nk : x[3].shape.dims[2];

  fm_op_array_init (y, FM_SHAPE (x[0].shape.dims[0], heads, nq, dv));
  for (gint64 row = 0; row < y->n / dv; row++)
    {
      gint64 i = row % nq, h = row / nq % heads, b = row / nq / heads, kv = b * hk + h / (heads / hk);
      gdouble sum = 0;

      for (gint64 t = 0; t < count; t++)
        {
          gint64 j = n[1] > 0 ? t : (gint64) x[3].v[kv * count + t];
          gdouble w = 0;

          if (j < 0 || j >= nk || (n[1] > 0 && j >= x[3].v[b]) || (n[0] && j > i + nk - nq))
            continue;
          for (gint64 c = 0; c < d; c++)
            w += x[0].v[row * d + c] * x[1].v[(kv * nk + j) * d + c];
          w = exp (0.5 * w);
          sum += w;
          for (gint64 c = 0; c < dv; c++)
            y->v[row * dv + c] += w * x[2].v[(kv * nk + j) * dv + c];
        }
      for (gint64 c = 0; c < dv && sum > 0; c++)
        y->v[row * dv + c] /= sum;
    }
}

#define CHOSEN(id, causal, parts, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { causal, parts }, .build = build_chosen, \
    .reference = reference_chosen, .atol = 3e-6, .rtol = 3e-6, .grad_atol = 2e-5, .grad_rtol = 2e-5, .grad_samples = 8, \
    .why = "as attention itself" }

static const FmOpCase chosen_cases[] = {
  CHOSEN ("subset", 0, 0, F32 (2, 4, 5, 8), F32 (2, 2, 12, 8), F32 (2, 2, 12, 3),
          { FM_I32, FM_SHAPE (2, 2, 6), -2, 13, FALSE }),
  CHOSEN ("subset-causal", 1, 0, F32 (2, 2, 7, 4), F32 (2, 2, 7, 4), F32 (2, 2, 7, 4),
          { FM_I32, FM_SHAPE (2, 2, 4), -1, 6, FALSE }),
  CHOSEN ("subset-one", 0, 0, F32 (1, 2, 1, 4), F32 (1, 1, 1, 4), F32 (1, 1, 1, 4),
          { FM_I32, FM_SHAPE (1, 1, 1), 0, 0, FALSE }),
  CHOSEN ("parts", 0, 4, F32 (2, 4, 3, 8), F32 (2, 2, 30, 8), F32 (2, 2, 30, 5),
          { FM_I32, FM_SHAPE (2), 0, 30, FALSE }),
  CHOSEN ("parts-decode", 0, 3, F32 (2, 4, 1, 16), F32 (2, 2, 100, 16), F32 (2, 2, 100, 16),
          { FM_I32, FM_SHAPE (2), 0, 100, FALSE }),
  /* The kernel's own parts of 512 keys. */
  CHOSEN ("long-cache", 0, 1, F32 (2, 4, 1, 16), F32 (2, 2, 1300, 16), F32 (2, 2, 1300, 16),
          { FM_I32, FM_SHAPE (2), 500, 1300, FALSE }),
  CHOSEN ("long-cache-odd", 0, 1, F32 (1, 3, 1, 7), F32 (1, 3, 530, 7), F32 (1, 3, 530, 9),
          { FM_I32, FM_SHAPE (1), 520, 530, FALSE }),
};

/* --- Linear attention ---------------------------------------------------------------------------------------------*/

/* n: causal, feature map, with lengths. f: eps. in: q, k, v, lengths. */
static FmTensor *
build_linear (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_linear_attention (g, x[0], x[1], x[2], (FmFeature) n[1], f[0], n[0] != 0, n[2] ? x[3] : NULL);
}

static gdouble
feature (gdouble x, gint64 map)
{
  return map == FM_FEATURE_ELU ? (x > 0 ? x + 1 : exp (x)) : map == FM_FEATURE_RELU ? MAX (x, 0) : x;
}

static void
reference_linear (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 heads = x[0].shape.dims[1], nq = x[0].shape.dims[2], d = x[0].shape.dims[3], nk = x[1].shape.dims[2];
  gint64 dv = x[2].shape.dims[3];

  fm_op_array_init (y, FM_SHAPE (x[0].shape.dims[0], heads, nq, dv));
  for (gint64 row = 0; row < y->n / dv; row++)
    {
      gint64 i = row % nq, pair = row / nq;
      gint64 keys = n[2] ? MIN (nk, (gint64) x[3].v[pair / heads]) : nk;
      gdouble sum = f[0];

      for (gint64 j = 0; j < (n[0] ? MIN (keys, i + 1) : keys); j++)
        {
          gdouble w = 0;

          for (gint64 c = 0; c < d; c++)
            w += feature (x[0].v[row * d + c], n[1]) * feature (x[1].v[(pair * nk + j) * d + c], n[1]);
          sum += w;
          for (gint64 c = 0; c < dv; c++)
            y->v[row * dv + c] += w * x[2].v[(pair * nk + j) * dv + c];
        }
      for (gint64 c = 0; c < dv; c++)
        y->v[row * dv + c] /= sum;
    }
}

#define POSITIVE(...) { FM_F32, FM_SHAPE (__VA_ARGS__), 0.1, 1, TRUE }
#define LINEAR(id, causal, map, lengths, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { causal, map, lengths }, .f = { 1e-3 }, \
    .build = build_linear, .reference = reference_linear, .atol = 5e-6, .rtol = 5e-6, .grad_atol = 5e-5, \
    .grad_rtol = 5e-5, .grad_samples = 6, .why = "sums of up to 600 products below 4, divided by their like" }

static const FmOpCase linear_cases[] = {
  LINEAR ("one", 0, FM_FEATURE_ELU, 0, F32 (1, 1, 1, 1), F32 (1, 1, 1, 1), F32 (1, 1, 1, 1)),
  LINEAR ("plain", 0, FM_FEATURE_ELU, 0, F32 (2, 3, 9, 5), F32 (2, 3, 9, 5), F32 (2, 3, 9, 4)),
  LINEAR ("cross", 0, FM_FEATURE_RELU, 0, POSITIVE (2, 2, 5, 8), POSITIVE (2, 2, 70, 8), F32 (2, 2, 70, 3)),
  LINEAR ("lengths", 0, FM_FEATURE_ELU, 1, F32 (3, 2, 9, 4), F32 (3, 2, 20, 4), F32 (3, 2, 20, 4),
          { FM_I32, FM_SHAPE (3), 0, 25, FALSE }),
  LINEAR ("chunks", 0, FM_FEATURE_ELU, 0, F32 (1, 2, 300, 8), F32 (1, 2, 600, 8), F32 (1, 2, 600, 8)),
  LINEAR ("causal", 1, FM_FEATURE_ELU, 0, F32 (2, 2, 9, 4), F32 (2, 2, 9, 4), F32 (2, 2, 9, 4)),
  LINEAR ("causal-none", 1, FM_FEATURE_NONE, 0, POSITIVE (1, 2, 70, 4), POSITIVE (1, 2, 70, 4), F32 (1, 2, 70, 6)),
  LINEAR ("causal-chunks", 1, FM_FEATURE_ELU, 0, F32 (1, 2, 530, 4), F32 (1, 2, 530, 4), F32 (1, 2, 530, 4)),
  LINEAR ("causal-lengths", 1, FM_FEATURE_ELU, 1, F32 (3, 1, 300, 4), F32 (3, 1, 300, 4), F32 (3, 1, 300, 4),
          { FM_I32, FM_SHAPE (3), 1, 300, FALSE }),
  LINEAR ("wide", 0, FM_FEATURE_ELU, 0, F32 (1, 1, 66, 70), F32 (1, 1, 66, 70), F32 (1, 1, 66, 65)),
};

/* --- Linear attention against its composition, with gradients of gradients --------------------------------------------*/

static FmTensor *
feature_tensor (FmGraph *g, FmTensor *x, FmFeature map)
{
  return map == FM_FEATURE_ELU ? fm_add_scalar (g, fm_elu (g, x), 1) : map == FM_FEATURE_RELU ? fm_relu (g, x) : x;
}

/* All N^2 weights, as the definition has them. */
static FmTensor *
linear_of_weights (FmGraph *g, FmTensor *q, FmTensor *k, FmTensor *v, FmFeature map, gboolean causal, FmTensor *lengths)
{
  FmAttentionMask mask = { .causal = causal, .key_lengths = lengths };
  FmTensor *w = fm_matmul (g, feature_tensor (g, q, map), feature_tensor (g, k, map), FM_TRANS_B);

  w = fm_mul (g, w, fm_attention_mask_tensor (g, fm_tensor_get_dim (q, 2), fm_tensor_get_dim (k, 2), &mask));
  return fm_div (g, fm_matmul (g, w, v, 0), fm_add_scalar (g, fm_sum_keep (g, w, -1), 1e-3));
}

static void
test_linear_slopes (void)
{
  enum { B = 2, H = 2, N = 71, D = 4, ALL = B * H * N * D };

  for (guint c = 0; c < 12; c++)
    {
      FmFeature map = (FmFeature) (c % 3);
      gboolean causal = c / 3 % 2 != 0, ragged = c / 6 != 0;
      g_autoptr(GError) error = NULL;
      g_autoptr(FmGraph) g = fm_graph_new ();
      g_autoptr(FmVariables) variables = fm_variables_new (fm_op_test_cpu (2), 1);
      g_autoptr(FmProgram) p = NULL;
      FmTensor *x[3], *lengths = ragged ? fm_graph_input (g, "lengths", FM_I32, FM_SHAPE (B)) : NULL;
      static const char * const names[] = { "q", "k", "v" };
      g_autofree float *first = g_new (float, ALL), *second = g_new (float, ALL);
      float * const of[] = { first, second };
      FmRandom random;

      for (guint i = 0; i < 3; i++)
        x[i] = fm_graph_input (g, names[i], FM_F32, FM_SHAPE (B, H, N, D));
      for (guint k = 0; k < 2; k++)
        {
          FmTensor *y = k == 0 ? fm_linear_attention (g, x[0], x[1], x[2], map, 1e-3, causal, lengths)
                               : linear_of_weights (g, x[0], x[1], x[2], map, causal, lengths), *dx[3], *sum = NULL, *ddx[3];

          fm_grad (g, fm_sum_all (g, fm_square (g, y)), x, 3, dx);
          for (guint i = 0; i < 3; i++)
            sum = sum ? fm_add (g, sum, fm_sum_all (g, fm_square (g, dx[i]))) : fm_sum_all (g, fm_square (g, dx[i]));
          fm_grad (g, sum, x, 3, ddx);
          for (guint i = 0; i < 6; i++)
            {
              g_autofree char *name = g_strdup_printf ("%u.%u", k, i);

              fm_graph_output (g, name, i < 3 ? dx[i] : ddx[i - 3]);
            }
        }
      g_assert_no_error ((GError *) fm_graph_get_error (g));
      p = fm_program_new (g, fm_op_test_cpu (2), variables, &error);
      g_assert_no_error (error);
      fm_random_init (&random, 3, c);
      for (guint i = 0; i < 3; i++)
        {
          for (guint j = 0; j < ALL; j++) /* without a map, or with half of one, weights must not come near zero */
            of[0][j] = (float) (i == 2 || map == FM_FEATURE_ELU ? 2 * fm_random_uniform (&random) - 1
                                                                : 0.3 + fm_random_uniform (&random));
          fm_program_write (p, names[i], of[0], ALL * sizeof (float), &error);
        }
      if (ragged)
        fm_program_write (p, "lengths", (const gint32[]){ N, 40 }, B * sizeof (gint32), &error);
      fm_program_run (p, &error);
      for (guint i = 0; i < 6; i++)
        {
          gdouble off = 0, norm = 0;

          for (guint k = 0; k < 2; k++)
            {
              g_autofree char *name = g_strdup_printf ("%u.%u", k, i);

              fm_program_read (p, name, of[k], ALL * sizeof (float), &error);
              g_assert_no_error (error);
            }
          for (guint j = 0; j < ALL; j++)
            {
              off += (of[0][j] - of[1][j]) * (of[0][j] - of[1][j]);
              norm += of[1][j] * of[1][j];
            }
          if (!(sqrt (off / norm) <= 2e-4)) /* of second derivatives; sums of 71 terms of both signs */
            {
              g_test_message ("map %u, causal %d, ragged %d: %s derivative by %s is off by %.2g of its norm", map, causal, ragged,
                              i < 3 ? "the first" : "the second", names[i % 3], sqrt (off / norm));
              g_test_fail ();
            }
        }
    }
}

/* --- What must hold between programs ------------------------------------------------------------------------------*/

static FmProgram *
compile (FmGraph *g, FmDevice *device, FmVariables *variables)
{
  g_autoptr(GError) error = NULL;
  FmProgram *p;

  g_assert_no_error ((GError *) fm_graph_get_error (g));
  p = fm_program_new (g, device, variables, &error);
  g_assert_no_error (error);
  return p;
}

static void
write_input (FmProgram *p, const char *name, gconstpointer data, gsize words)
{
  g_autoptr(GError) error = NULL;

  fm_program_write (p, name, data, words * 4, &error);
  g_assert_no_error (error);
}

static void
run_and_read (FmProgram *p, const char *name, float *data, gsize words)
{
  g_autoptr(GError) error = NULL;

  fm_program_run (p, &error);
  g_assert_no_error (error);
  fm_program_read (p, name, data, words * 4, &error);
  g_assert_no_error (error);
}

static float *
draw (const char *name, gint64 n)
{
  float *x = g_new (float, n);
  FmRandom random;

  fm_random_init (&random, 1, fm_hash (name));
  for (gint64 i = 0; i < n; i++)
    x[i] = (float) (fm_random_uniform (&random) * 2 - 1);
  return x;
}

static void
assert_close (const float *a, const float *b, gint64 n, gdouble bound)
{
  for (gint64 i = 0; i < n; i++)
    g_assert_cmpfloat_with_epsilon (a[i], b[i], bound);
}

/* A decoder layer with rotary positions and grouped keys, over a cache of N positions: fed a token at a time it gives what
 * the causal form gives for the whole. */
enum { LENGTH = 23, HEADS = 4, KV_HEADS = 2, HEAD = 8, WIDTH = HEADS * HEAD };

static FmTensor *
decoder (FmGraph *g, FmTensor *x, FmTensor *positions, FmTensor *at)
{
  FmRotary rotary = { .halves = TRUE };
  FmAttentionMask mask = { .causal = at == NULL };
  FmTensor *q = fm_split_heads (g, fm_linear (g, x, WIDTH, "q"), HEADS);
  FmTensor *k = fm_split_heads (g, fm_linear (g, x, KV_HEADS * HEAD, "k"), KV_HEADS);
  FmTensor *v = fm_split_heads (g, fm_linear (g, x, KV_HEADS * HEAD, "v"), KV_HEADS);

  q = fm_rotary (g, q, positions, &rotary);
  k = fm_rotary (g, k, positions, &rotary);
  if (at)
    {
      FmTensor *keys = fm_state (g, "keys", FM_F32, FM_SHAPE (1, KV_HEADS, LENGTH, HEAD), fm_init_zeros ());
      FmTensor *values = fm_state (g, "values", FM_F32, FM_SHAPE (1, KV_HEADS, LENGTH, HEAD), fm_init_zeros ());

      fm_assign_slice (g, keys, 2, at, k);
      fm_assign_slice (g, values, 2, at, v);
      k = keys;
      v = values;
      mask.key_lengths = fm_add (g, at, fm_constant (g, FM_I32, FM_SHAPE (1), 1));
    }
  return fm_linear (g, fm_merge_heads (g, fm_attention_core (g, q, k, v, 0.35, &mask)), WIDTH, "out");
}

static void
check_decode (FmDevice *device)
{
  g_autoptr(FmVariables) variables = fm_variables_new (device, 3);
  g_autoptr(FmGraph) whole = fm_graph_new ();
  g_autoptr(FmGraph) step = fm_graph_new ();
  g_autoptr(FmProgram) program = NULL;
  g_autoptr(FmProgram) decode = NULL;
  g_autofree float *x = draw ("x", LENGTH * WIDTH), *want = g_new (float, LENGTH * WIDTH);
  float got[WIDTH];
  FmTensor *at;

  fm_graph_output (whole, "y", decoder (whole, fm_graph_input (whole, "x", FM_F32, FM_SHAPE (1, LENGTH, WIDTH)), NULL,
                                        NULL));
  program = compile (whole, device, variables);
  write_input (program, "x", x, LENGTH * WIDTH);
  run_and_read (program, "y", want, LENGTH * WIDTH);

  at = fm_graph_input (step, "at", FM_I32, FM_SHAPE (1));
  fm_graph_output (step, "y", decoder (step, fm_graph_input (step, "x", FM_F32, FM_SHAPE (1, 1, WIDTH)), at, at));
  decode = compile (step, device, variables);
  for (gint32 i = 0; i < LENGTH; i++)
    {
      write_input (decode, "x", x + i * WIDTH, WIDTH);
      write_input (decode, "at", &i, 1);
      run_and_read (decode, "y", got, WIDTH);
      assert_close (got, want + i * WIDTH, WIDTH, 2e-6);
    }
}

/* Three sequences packed, and the same padded with key lengths. */
static void
check_packed (FmDevice *device)
{
  enum { S = 3, LONGEST = 70, D = 4, H = 2 };
  static const gint32 starts[S + 1] = { 0, 12, 82, 90 }, lengths[S] = { 12, 70, 8 };
  g_autoptr(FmVariables) variables = fm_variables_new (device, 3);
  g_autoptr(FmGraph) a = fm_graph_new ();
  g_autoptr(FmGraph) b = fm_graph_new ();
  g_autoptr(FmProgram) packed = NULL;
  g_autoptr(FmProgram) padded = NULL;
  g_autofree float *y = g_new (float, 3 * 90 * H * D), *z = g_new (float, 3 * S * H * LONGEST * D);
  FmTensor *x[3], *dx[3];

  for (guint form = 0; form < 2; form++)
    {
      FmGraph *g = form ? b : a;
      FmShape shape = form ? FM_SHAPE (S, H, LONGEST, D) : FM_SHAPE (1, H, starts[S], D);
      FmAttentionMask mask = { .causal = TRUE, .window = 30 };
      FmTensor *last;

      for (guint i = 0; i < 3; i++)
        x[i] = fm_graph_input (g, ((const char *[]) { "q", "k", "v" })[i], FM_F32, shape);
      if (form)
        mask.key_lengths = fm_graph_input (g, "lengths", FM_I32, FM_SHAPE (S));
      else
        mask.segments = fm_graph_input (g, "starts", FM_I32, FM_SHAPE (S + 1));
      last = fm_attention_core (g, x[0], x[1], x[2], 0.5, &mask);
      fm_graph_output (g, "y", last);
      /* Padded queries see keys of theirs; they must not count. */
      last = fm_mul (g, last, fm_graph_input (g, "weight", FM_F32, shape));
      fm_grad (g, fm_sum_all (g, fm_square (g, last)), x, 3, dx);
      fm_graph_output (g, "dk", dx[1]);
    }
  packed = compile (a, device, variables);
  padded = compile (b, device, variables);
  write_input (packed, "starts", starts, S + 1);
  write_input (padded, "lengths", lengths, S);
  for (guint i = 0; i < 4; i++)
    {
      const char *name = ((const char *[]) { "q", "k", "v", "weight" })[i];
      g_autofree float *one = draw (name, H * starts[S] * D), *all = g_new0 (float, S * H * LONGEST * D);

      for (gint64 s = 0; s < S; s++)
        for (gint64 h = 0; h < H; h++)
          memcpy (all + (s * H + h) * LONGEST * D, one + (h * starts[S] + starts[s]) * D, lengths[s] * D * sizeof *one);
      write_input (packed, name, one, H * starts[S] * D);
      write_input (padded, name, all, S * H * LONGEST * D);
    }
  for (guint i = 0; i < 2; i++)
    {
      const char *name = i ? "dk" : "y";

      run_and_read (packed, name, y, H * starts[S] * D);
      run_and_read (padded, name, z, S * H * LONGEST * D);
      for (gint64 s = 0; s < S; s++)
        for (gint64 h = 0; h < H; h++)
          assert_close (y + (h * starts[S] + starts[s]) * D, z + (s * H + h) * LONGEST * D, lengths[s] * D, 2e-6);
    }
}

/* The gradient of a norm of gradients, fused (whose backward is made unfused when it is differentiated) against
 * central differences of the fused first gradient. */
static void
check_second (FmDevice *device)
{
  enum { N = 9, D = 4, H = 4, COUNT = H * N * D };
  g_autoptr(FmVariables) variables = fm_variables_new (device, 3);
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(FmProgram) program = NULL;
  FmTensor *x[2], *dx[2], *ddx[2], *y;
  FmAttentionMask mask = { .causal = TRUE, .window = 5 };
  g_autofree float *q = draw ("q", COUNT), *k = draw ("k", COUNT / 2), *bias = draw ("d", H * (2 * N - 1));
  g_autofree float *second = g_new (float, COUNT);
  float loss, above, below;

  x[0] = fm_graph_input (g, "q", FM_F32, FM_SHAPE (1, H, N, D));
  x[1] = fm_graph_input (g, "k", FM_F32, FM_SHAPE (1, H / 2, N, D));
  mask.distance = fm_graph_input (g, "d", FM_F32, FM_SHAPE (H, 2 * N - 1));
  y = fm_attention_core (g, x[0], x[1], x[1], 0.7, &mask); /* keys are values: one tensor twice */
  fm_grad (g, fm_sum_all (g, fm_square (g, y)), x, 2, dx);
  y = fm_add (g, fm_sum_all (g, fm_square (g, dx[0])), fm_sum_all (g, fm_square (g, dx[1])));
  fm_graph_output (g, "norm", y);
  fm_grad (g, y, x, 2, ddx);
  fm_graph_output (g, "q2", ddx[0]);
  fm_graph_output (g, "k2", ddx[1]);
  program = compile (g, device, variables);
  write_input (program, "d", bias, H * (2 * N - 1));
  for (guint i = 0; i < 2; i++)
    {
      float *v = i ? k : q;
      gint64 n = i ? COUNT / 2 : COUNT;

      write_input (program, "q", q, COUNT);
      write_input (program, "k", k, COUNT / 2);
      run_and_read (program, i ? "k2" : "q2", second, n);
      run_and_read (program, "norm", &loss, 1);
      for (gint64 s = 0; s < n; s += 7)
        {
          float at = v[s];

          v[s] = at + 4e-3f;
          write_input (program, i ? "k" : "q", v, n);
          run_and_read (program, "norm", &above, 1);
          v[s] = at - 4e-3f;
          write_input (program, i ? "k" : "q", v, n);
          run_and_read (program, "norm", &below, 1);
          v[s] = at;
          /* f32 differences of a number near 30: 3e-6 over 8e-3 */
          g_assert_cmpfloat_with_epsilon (second[s], (above - below) / 8e-3, 5e-3 + 1e-4 * fabs (loss));
        }
      write_input (program, i ? "k" : "q", v, n);
    }
}

static void
on_cpu (gconstpointer check)
{
  ((void (*) (FmDevice *)) check) (fm_op_test_cpu (2));
}

static void
on_vulkan (gconstpointer check)
{
  FmDevice *device = fm_op_test_vulkan ();

  if (device)
    ((void (*) (FmDevice *)) check) (device);
}

static void
test_refused (void)
{
  static const struct { guint what; const char *says; } cases[] = {
    { 0, "even number" }, { 1, "base 0.5" }, { 2, "a layout needs" }, { 3, "a batch of 1" }, { 4, "[1 or H, Nq + Nk - 1]" },
    { 5, "do not lie inside" }, { 6, "i32 [B,Hk,K]" }, { 7, "a key a part" }, { 8, "beyond those of one step" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr(FmGraph) g = fm_graph_new ();
      FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (2, 2, 5, 6));
      FmTensor *n = fm_graph_input (g, "n", FM_I32, FM_SHAPE (3)), *t = fm_graph_input (g, "t", FM_F32, FM_SHAPE (8, 2));

      switch (cases[i].what)
        {
        case 0: fm_rotary (g, x, NULL, &(FmRotary) { .width = 3 }); break;
        case 1: fm_rotary (g, x, NULL, &(FmRotary) { .base = 0.5 }); break;
        case 2: fm_attention_core (g, x, x, x, 1, &(FmAttentionMask) { .layout_block = 4 }); break;
        case 3: fm_attention_core (g, x, x, x, 1, &(FmAttentionMask) { .segments = n }); break;
        case 4: fm_attention_core (g, x, x, x, 1, &(FmAttentionMask) { .distance = t }); break;
        case 5: fm_attention_map_tile (g, x, x, 1, NULL, 0, 6, 0, 1); break;
        case 6: fm_attention_subset (g, x, x, x, n, 1, FALSE); break;
        case 7: fm_attention_split (g, x, x, x, 1, NULL, 6); break;
        default: fm_attention_buckets (g, t, 5, 5, TRUE, 4); break;
        }
      g_assert_error ((GError *) fm_graph_get_error (g), FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH);
      g_assert_nonnull (strstr (fm_graph_get_error (g)->message, cases[i].says));
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fm_op_test_add ("rotary", rotary_cases, G_N_ELEMENTS (rotary_cases));
  fm_op_test_add ("distance-terms", terms_cases, G_N_ELEMENTS (terms_cases));
  fm_op_test_add ("attention-parts", chosen_cases, G_N_ELEMENTS (chosen_cases));
  fm_op_test_add ("linear-attention", linear_cases, G_N_ELEMENTS (linear_cases));
  g_test_add_func ("/compute/linear-attention/slopes", test_linear_slopes);
  g_test_add_func ("/compute/attention-uses/refused", test_refused);
  g_test_add_data_func ("/compute/attention-uses/decode/cpu", check_decode, on_cpu);
  g_test_add_data_func ("/compute/attention-uses/packed/cpu", check_packed, on_cpu);
  g_test_add_data_func ("/compute/attention-uses/second-gradient/cpu", check_second, on_cpu);
  if (!g_test_quick ())
    {
      g_test_add_data_func ("/compute/attention-uses/decode/vulkan", check_decode, on_vulkan);
      g_test_add_data_func ("/compute/attention-uses/packed/vulkan", check_packed, on_vulkan);
      g_test_add_data_func ("/compute/attention-uses/second-gradient/vulkan", check_second, on_vulkan);
    }
  return g_test_run ();
}
