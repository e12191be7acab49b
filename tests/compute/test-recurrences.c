/* test-recurrences.c: scans, GRU, LSTM and label chains against their definitions, step by step in double. */
#include "op-test.h"

#include <math.h>

static FmTensor *
flat (FmGraph *g, FmTensor *x)
{
  return fm_reshape (g, x, FM_SHAPE (fm_tensor_get_count (x)));
}

/* Two results as one vector: [a.., b..]. */
static FmTensor *
both (FmGraph *g, FmTensor *a, FmTensor *b)
{
  return fm_concat (g, (FmTensor *[]){ flat (g, a), flat (g, b) }, 2, 0);
}

static gdouble
sigmoid (gdouble x)
{
  return 1 / (1 + exp (-x));
}

/* --- Diagonal -----------------------------------------------------------------------------------------------------*/

/* n: reverse. */
static FmTensor *
build_linear (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_linear_scan (g, x[0], x[1], n[1] ? x[2] : NULL, n[0] != 0);
}

static void
reference_linear (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  const FmShape *shape = &x[1].shape;
  gint64 d = shape->dims[shape->rank - 1], steps = shape->dims[shape->rank - 2], outer = x[1].n / (d * steps);
  gint64 repeat = x[0].n == x[1].n ? 1 : d; /* a factor a step, for all columns */

  fm_op_array_init (y, *shape);
  for (gint64 o = 0; o < outer; o++)
    for (gint64 j = 0; j < d; j++)
      {
        gdouble h = n[1] ? x[2].v[o * d + j] : 0;

        for (gint64 i = 0; i < steps; i++)
          {
            gint64 at = (o * steps + (n[0] ? steps - 1 - i : i)) * d + j;

            y->v[at] = h = x[0].v[at / repeat] * h + x[1].v[at];
          }
      }
}

#define LINEAR(id, is_quick, reverse, b, s, w) \
  { .name = id, .quick = is_quick, .n = { reverse, 1 }, \
    .in = { { FM_F32, FM_SHAPE (b, s, w), -1, 1, TRUE }, { FM_F32, FM_SHAPE (b, s, w), -1, 1, TRUE }, \
            { FM_F32, FM_SHAPE (b, w), -1, 1, TRUE } }, \
    .build = build_linear, .reference = reference_linear, .atol = 2e-6, .rtol = 2e-6, \
    .why = "factors below 1 forget older roundings; few remain of sums up to 5" }

static const FmOpCase linear[] = {
  LINEAR ("one", TRUE, FALSE, 1, 1, 1),
  LINEAR ("forward", TRUE, FALSE, 3, 7, 5),
  LINEAR ("reverse", TRUE, TRUE, 3, 7, 5),
  LINEAR ("wide", FALSE, FALSE, 2, 5, 300),
  LINEAR ("long", FALSE, TRUE, 2, 1000, 33),
  { .name = "no-start", .n = { 0, 0 },
    .in = { { FM_F32, FM_SHAPE (2, 3, 6, 4), -1, 1, TRUE }, { FM_F32, FM_SHAPE (2, 3, 6, 4), -1, 1, TRUE } },
    .build = build_linear, .reference = reference_linear, .atol = 2e-6, .rtol = 2e-6, .why = "as above" },
  { .name = "factor-a-step", .quick = TRUE, .n = { 1, 0 },
    .in = { { FM_F32, FM_SHAPE (2, 6, 1), -1, 1, TRUE }, { FM_F32, FM_SHAPE (2, 6, 4), -1, 1, TRUE } },
    .build = build_linear, .reference = reference_linear, .atol = 2e-6, .rtol = 2e-6, .grad_atol = 5e-5,
    .grad_rtol = 5e-5, .why = "as above; the factor's gradient is a sum over columns" },
};

/* The second derivative: y = |d(sum h)/db|^2 depends on a alone; against the definition by differences. */
static FmTensor *
build_second (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *h = fm_linear_scan (g, x[0], x[1], NULL, FALSE), *db;

  fm_grad (g, fm_sum_all (g, fm_square (g, h)), &x[1], 1, &db);
  return fm_square (g, db);
}

static void
reference_second (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  FmOpArray h = { 0 };
  gint64 d = x[1].shape.dims[2], steps = x[1].shape.dims[1], outer = x[1].shape.dims[0];

  reference_linear (x, &h, (const gint64[]){ 0, 0 }, f);
  fm_op_array_init (y, x[1].shape);
  for (gint64 o = 0; o < outer; o++)
    for (gint64 j = 0; j < d; j++)
      {
        gdouble u = 0;

        for (gint64 t = steps - 1; t >= 0; t--)
          {
            gint64 at = (o * steps + t) * d + j;

            u = 2 * h.v[at] + (t + 1 < steps ? x[0].v[at + d] * u : 0);
            y->v[at] = u * u;
          }
      }
  g_free (h.v);
}

static const FmOpCase second[] = {
  { .name = "second", .quick = TRUE,
    .in = { { FM_F32, FM_SHAPE (2, 5, 3), -1, 1, TRUE }, { FM_F32, FM_SHAPE (2, 5, 3), -1, 1, TRUE } },
    .build = build_second, .reference = reference_second, .atol = 2e-5, .rtol = 1e-5, .grad_atol = 5e-4, .grad_rtol = 1e-4,
    .why = "squares of sums up to 20, a few roundings each" },
};

/* --- Matrix state -------------------------------------------------------------------------------------------------*/

/* n: has decay, has start. */
static FmTensor *
build_matrix (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *last, *y = fm_matrix_scan (g, x[0], x[1], x[2], n[0] ? x[3] : NULL, n[1] ? x[4] : NULL, &last);

  return both (g, y, last);
}

static void
reference_matrix (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  guint r = x[0].shape.rank;
  gint64 d = x[0].shape.dims[r - 1], steps = x[0].shape.dims[r - 2], dv = x[2].shape.dims[r - 1];
  gint64 heads = x[0].n / (d * steps), decays = n[0] ? x[3].shape.dims[r - 1] : 0;

  fm_op_array_init (y, FM_SHAPE (heads * (steps * dv + d * dv)));
  for (gint64 h = 0; h < heads; h++)
    {
      gdouble *state = y->v + heads * steps * dv + h * d * dv;

      for (gint64 i = 0; i < d * dv; i++)
        state[i] = n[1] ? x[4].v[h * d * dv + i] : 0;
      for (gint64 t = h * steps; t < (h + 1) * steps; t++)
        for (gint64 i = 0; i < d; i++)
          for (gint64 j = 0; j < dv; j++)
            {
              gdouble a = n[0] ? x[3].v[t * decays + (decays == 1 ? 0 : i)] : 1;

              state[i * dv + j] = a * state[i * dv + j] + x[1].v[t * d + i] * x[2].v[t * dv + j];
              y->v[t * dv + j] += x[0].v[t * d + i] * state[i * dv + j];
            }
    }
}

#define MATRIX(id, is_quick, b, s, w, wv, decays) \
  { .name = id, .quick = is_quick, .n = { 1, 1 }, \
    .in = { { FM_F32, FM_SHAPE (b, 2, s, w), -1, 1, TRUE }, { FM_F32, FM_SHAPE (b, 2, s, w), -1, 1, TRUE }, \
            { FM_F32, FM_SHAPE (b, 2, s, wv), -1, 1, TRUE }, { FM_F32, FM_SHAPE (b, 2, s, decays), 0.5, 1, TRUE }, \
            { FM_F32, FM_SHAPE (b, 2, w, wv), -1, 1, TRUE } }, \
    .build = build_matrix, .reference = reference_matrix, .atol = 2e-5, .rtol = 1e-5, .grad_atol = 3e-4, .grad_rtol = 1e-4, \
    .why = "sums of d products of states that are sums of some ten outer products" }

static const FmOpCase matrix[] = {
  MATRIX ("one", TRUE, 1, 1, 1, 1, 1),
  MATRIX ("gated", TRUE, 2, 7, 5, 3, 5),
  MATRIX ("one-decay", TRUE, 2, 7, 5, 3, 1),
  MATRIX ("square-steps", FALSE, 1, 16, 4, 4, 4),
  MATRIX ("long", FALSE, 1, 130, 9, 70, 9),
  { .name = "plain", .quick = TRUE, .n = { 0, 0 },
    .in = { { FM_F32, FM_SHAPE (3, 9, 4), -1, 1, TRUE }, { FM_F32, FM_SHAPE (3, 9, 4), -1, 1, TRUE },
            { FM_F32, FM_SHAPE (3, 9, 6), -1, 1, TRUE } },
    .build = build_matrix, .reference = reference_matrix, .atol = 2e-5, .rtol = 1e-5, .grad_atol = 3e-4, .grad_rtol = 1e-4,
    .why = "as above" },
};

/* --- GRU and LSTM -------------------------------------------------------------------------------------------------*/

/* n: reverse. */
static FmTensor *
build_gru (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_gru (g, x[0], x[1], x[2], x[3], n[0] != 0);
}

static void
reference_gru (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 b = x[0].shape.dims[0], steps = x[0].shape.dims[1], d = x[1].shape.dims[1];
  g_autofree gdouble *a = g_new (gdouble, 3 * d);

  fm_op_array_init (y, FM_SHAPE (b, steps, d));
  for (gint64 row = 0; row < b; row++)
    for (gint64 k = 0; k < steps; k++)
      {
        gint64 t = n[0] ? steps - 1 - k : k;
        const gdouble *before = k == 0 ? x[3].v + row * d : y->v + (row * steps + (n[0] ? t + 1 : t - 1)) * d;
        const gdouble *in = x[0].v + (row * steps + t) * 3 * d;

        for (gint64 i = 0; i < 3 * d; i++)
          {
            a[i] = x[2].v[i];
            for (gint64 j = 0; j < d; j++)
              a[i] += x[1].v[i * d + j] * before[j];
          }
        for (gint64 i = 0; i < d; i++)
          {
            gdouble r = sigmoid (in[i] + a[i]), z = sigmoid (in[d + i] + a[d + i]);

            y->v[(row * steps + t) * d + i] = (1 - z) * tanh (in[2 * d + i] + r * a[2 * d + i]) + z * before[i];
          }
      }
}

static FmTensor *
build_lstm (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *cells, *h = fm_lstm (g, x[0], x[1], x[2], x[3], n[0] != 0, &cells);

  return both (g, h, cells);
}

static void
reference_lstm (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 b = x[0].shape.dims[0], steps = x[0].shape.dims[1], d = x[1].shape.dims[1], half = b * steps * d;
  g_autofree gdouble *a = g_new (gdouble, 4 * d);

  fm_op_array_init (y, FM_SHAPE (2 * half));
  for (gint64 row = 0; row < b; row++)
    for (gint64 k = 0; k < steps; k++)
      {
        gint64 t = n[0] ? steps - 1 - k : k, last = (row * steps + (n[0] ? t + 1 : t - 1)) * d;
        const gdouble *before = k == 0 ? x[2].v + row * d : y->v + last;
        const gdouble *cell = k == 0 ? x[3].v + row * d : y->v + half + last;
        const gdouble *in = x[0].v + (row * steps + t) * 4 * d;

        for (gint64 i = 0; i < 4 * d; i++)
          {
            a[i] = in[i];
            for (gint64 j = 0; j < d; j++)
              a[i] += x[1].v[i * d + j] * before[j];
          }
        for (gint64 i = 0; i < d; i++)
          {
            gdouble c = sigmoid (a[d + i]) * cell[i] + sigmoid (a[i]) * tanh (a[2 * d + i]);

            y->v[half + (row * steps + t) * d + i] = c;
            y->v[(row * steps + t) * d + i] = sigmoid (a[3 * d + i]) * tanh (c);
          }
      }
}

#define GRU(id, is_quick, reverse, b, s, w) \
  { .name = id, .quick = is_quick, .n = { reverse }, \
    .in = { { FM_F32, FM_SHAPE (b, s, 3 * (w)), -1, 1, TRUE }, { FM_F32, FM_SHAPE (3 * (w), w), -.5, .5, TRUE }, \
            { FM_F32, FM_SHAPE (3 * (w)), -.5, .5, TRUE }, { FM_F32, FM_SHAPE (b, w), -1, 1, TRUE } }, \
    .build = build_gru, .reference = reference_gru, .atol = 3e-6, .rtol = 3e-6, .grad_atol = 2e-4, .grad_rtol = 1e-4, \
    .why = "gates within 3e-7, mixed over the last few steps; weight gradients sum over batch and steps" }

#define LSTM(id, is_quick, reverse, b, s, w) \
  { .name = id, .quick = is_quick, .n = { reverse }, \
    .in = { { FM_F32, FM_SHAPE (b, s, 4 * (w)), -1, 1, TRUE }, { FM_F32, FM_SHAPE (4 * (w), w), -.5, .5, TRUE }, \
            { FM_F32, FM_SHAPE (b, w), -1, 1, TRUE }, { FM_F32, FM_SHAPE (b, w), -1, 1, TRUE } }, \
    .build = build_lstm, .reference = reference_lstm, .atol = 3e-6, .rtol = 3e-6, .grad_atol = 2e-4, .grad_rtol = 1e-4, \
    .why = "as the GRU's" }

static const FmOpCase gru[] = {
  GRU ("one", TRUE, 0, 1, 1, 1), GRU ("forward", TRUE, 0, 6, 5, 3), GRU ("reverse", TRUE, 1, 3, 4, 5),
  GRU ("wide", FALSE, 0, 5, 3, 70),
};

static const FmOpCase lstm[] = {
  LSTM ("one", TRUE, 0, 1, 1, 1), LSTM ("forward", TRUE, 0, 6, 5, 3), LSTM ("reverse", TRUE, 1, 3, 4, 5),
  LSTM ("wide", FALSE, 0, 5, 3, 70),
};

/* --- Scan by steps ------------------------------------------------------------------------------------------------*/

static FmTensor *
tanh_step (FmGraph *g, FmTensor * const *x, FmTensor **state, gpointer weight)
{
  state[0] = fm_tanh (g, fm_add (g, x[0], fm_matmul (g, state[0], weight, FM_TRANS_B)));
  return state[0];
}

static FmTensor *
build_steps (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *state[1] = { x[2] };
  FmTensor *y = fm_scan (g, tanh_step, x, 1, state, 1, n[0] != 0, x[1]);

  return both (g, y, state[0]);
}

static void
reference_steps (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 b = x[0].shape.dims[0], steps = x[0].shape.dims[1], d = x[0].shape.dims[2];

  fm_op_array_init (y, FM_SHAPE (b * steps * d + b * d));
  for (gint64 row = 0; row < b; row++)
    {
      gdouble *now = y->v + b * steps * d + row * d;

      memcpy (now, x[2].v + row * d, sizeof *now * d);
      for (gint64 k = 0; k < steps; k++)
        {
          gdouble *out = y->v + (row * steps + (n[0] ? steps - 1 - k : k)) * d;

          for (gint64 i = 0; i < d; i++)
            {
              out[i] = x[0].v[(row * steps + (n[0] ? steps - 1 - k : k)) * d + i];
              for (gint64 j = 0; j < d; j++)
                out[i] += x[1].v[i * d + j] * now[j];
            }
          for (gint64 i = 0; i < d; i++)
            now[i] = out[i] = tanh (out[i]);
        }
    }
}

#define STEPS(id, is_quick, reverse, s) \
  { .name = id, .quick = is_quick, .n = { reverse }, \
    .in = { { FM_F32, FM_SHAPE (3, s, 4), -1, 1, TRUE }, { FM_F32, FM_SHAPE (4, 4), -.5, .5, TRUE }, \
            { FM_F32, FM_SHAPE (3, 4), -1, 1, TRUE } }, \
    .build = build_steps, .reference = reference_steps, .atol = 3e-6, .rtol = 3e-6, .grad_atol = 2e-4, .grad_rtol = 1e-4, \
    .why = "a tanh within 2e-7 a step, forgotten within a few" }

static const FmOpCase stepwise[] = {
  STEPS ("one", TRUE, 0, 1), STEPS ("forward", TRUE, 0, 6), STEPS ("reverse", FALSE, 1, 6), STEPS ("joined", FALSE, 0, 70),
};

/* --- Chains of labels ---------------------------------------------------------------------------------------------*/

typedef void (*ChainFunc) (gdouble score, const gint64 *labels, gint64 n, gpointer data);

/* Calls @func for each of the c^n label sequences of item @item. */
static void
for_all_chains (const FmOpArray *x, gint64 item, ChainFunc func, gpointer data)
{
  gint64 c = x[0].shape.dims[2], steps = x[0].shape.dims[1], n = CLAMP ((gint64) x[2].v[item], 1, steps), labels[16] = { 0 };

  for (;;)
    {
      gdouble score = 0;
      gint64 at = 0;

      for (gint64 t = 0; t < n; t++)
        score += x[0].v[(item * steps + t) * c + labels[t]] + (t > 0 ? x[1].v[labels[t - 1] * c + labels[t]] : 0);
      func (score, labels, n, data);
      while (at < n && ++labels[at] == c)
        labels[at++] = 0;
      if (at == n)
        return;
    }
}

static void
add_exp (gdouble score, const gint64 *labels, gint64 n, gpointer data)
{
  *(gdouble *) data += exp (score);
}

static FmTensor *
build_partition (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_crf_log_partition (g, x[0], x[1], x[2]);
}

static void
reference_partition (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  fm_op_array_init (y, FM_SHAPE (x[0].shape.dims[0]));
  for (gint64 i = 0; i < y->n; i++)
    {
      for_all_chains (x, i, add_exp, &y->v[i]);
      y->v[i] = log (y->v[i]);
    }
}

static FmTensor *
build_score (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_crf_score (g, x[0], x[1], x[3], x[2]);
}

static void
reference_score (const FmOpArray *x, FmOpArray *y, const gint64 *numbers, const gdouble *f)
{
  gint64 c = x[0].shape.dims[2], steps = x[0].shape.dims[1];

  fm_op_array_init (y, FM_SHAPE (x[0].shape.dims[0]));
  for (gint64 i = 0; i < y->n; i++)
    for (gint64 t = 0; t < (gint64) x[2].v[i]; t++)
      {
        gint64 label = (gint64) x[3].v[i * steps + t];

        y->v[i] += x[0].v[(i * steps + t) * c + label];
        if (t > 0)
          y->v[i] += x[1].v[(gint64) x[3].v[i * steps + t - 1] * c + label];
      }
}

typedef struct { gdouble score; gint64 labels[16]; } Best;

static void
keep_best (gdouble score, const gint64 *labels, gint64 n, gpointer data)
{
  Best *best = data;

  if (score > best->score)
    {
      best->score = score;
      memcpy (best->labels, labels, sizeof *labels * n);
    }
}

static FmTensor *
build_decode (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *score, *path = fm_crf_decode (g, x[0], x[1], x[2], &score);

  return both (g, fm_cast (g, path, FM_F32), score);
}

static void
reference_decode (const FmOpArray *x, FmOpArray *y, const gint64 *numbers, const gdouble *f)
{
  gint64 b = x[0].shape.dims[0], steps = x[0].shape.dims[1];

  fm_op_array_init (y, FM_SHAPE (b * steps + b));
  for (gint64 i = 0; i < b; i++)
    {
      Best best = { .score = -INFINITY };

      for_all_chains (x, i, keep_best, &best);
      for (gint64 t = 0; t < steps; t++)
        y->v[i * steps + t] = t < CLAMP ((gint64) x[2].v[i], 1, steps) ? best.labels[t] : -1;
      y->v[b * steps + i] = best.score;
    }
}

#define CHAIN(id, is_quick, what, with_gradient, b, s, c) \
  { .name = id, .quick = is_quick, \
    .in = { { FM_F32, FM_SHAPE (b, s, c), -2, 2, with_gradient }, { FM_F32, FM_SHAPE (c, c), -2, 2, with_gradient }, \
            { FM_I32, FM_SHAPE (b), 1, s, FALSE }, { FM_I32, FM_SHAPE (b, s), 0, (c) - 1, FALSE } }, \
    .build = build_##what, .reference = reference_##what, .atol = 3e-6, .rtol = 3e-6, .grad_atol = 1e-4, .grad_rtol = 1e-4, \
    .why = "sums of up to 15 terms up to 4; probabilities from differences of numbers up to 30" }

static const FmOpCase chains[] = {
  CHAIN ("partition/one", TRUE, partition, TRUE, 1, 1, 1), CHAIN ("partition/short", TRUE, partition, TRUE, 5, 4, 3),
  CHAIN ("partition/labels", FALSE, partition, TRUE, 2, 2, 70), CHAIN ("partition/long", FALSE, partition, TRUE, 2, 9, 3),
  CHAIN ("score/short", TRUE, score, TRUE, 5, 4, 3), CHAIN ("score/one", FALSE, score, TRUE, 2, 1, 3),
  CHAIN ("decode/one", FALSE, decode, FALSE, 1, 1, 1), CHAIN ("decode/short", TRUE, decode, FALSE, 5, 4, 3),
  CHAIN ("decode/labels", FALSE, decode, FALSE, 2, 2, 70), CHAIN ("decode/long", FALSE, decode, FALSE, 2, 8, 3),
};

/* Long chains: probabilities that would underflow as products; the labels' marginals still sum to 1 at every step. */
static void
test_long_chain (gconstpointer vulkan)
{
  FmDevice *device = vulkan ? fm_op_test_vulkan () : fm_op_test_cpu (2);
  g_autoptr (FmGraph) g = fm_graph_new ();
  g_autoptr (FmVariables) variables = NULL;
  g_autoptr (FmProgram) program = NULL;
  g_autoptr (GError) error = NULL;
  enum { B = 2, N = 500, C = 5 };
  static gfloat e[B][N][C], t[C][C], de[B][N][C];
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);
  FmTensor *emissions, *gradient;

  if (device == NULL)
    return;
  for (guint i = 0; i < B * N * C; i++)
    ((gfloat *) e)[i] = (gfloat) g_rand_double_range (rand, -30, 30);
  for (guint i = 0; i < C * C; i++)
    ((gfloat *) t)[i] = (gfloat) g_rand_double_range (rand, -3, 3);
  t[1][2] = -INFINITY; /* a forbidden step */
  emissions = fm_graph_input (g, "e", FM_F32, FM_SHAPE (B, N, C));
  fm_grad (g, fm_sum_all (g, fm_crf_log_partition (g, emissions, fm_graph_input (g, "t", FM_F32, FM_SHAPE (C, C)), NULL)),
           &emissions, 1, &gradient);
  fm_graph_output (g, "de", gradient);
  variables = fm_variables_new (device, 1);
  program = fm_program_new (g, device, variables, &error);
  g_assert_no_error (error);
  g_assert_true (fm_program_write (program, "e", e, sizeof e, &error));
  g_assert_true (fm_program_write (program, "t", t, sizeof t, &error));
  g_assert_true (fm_program_run (program, &error));
  g_assert_true (fm_program_read (program, "de", de, sizeof de, &error));
  for (guint b = 0; b < B; b++)
    for (guint k = 0; k < N; k++)
      {
        gdouble sum = 0;

        for (guint j = 0; j < C; j++)
          sum += de[b][k][j];
        g_assert_cmpfloat_with_epsilon (sum, 1, 1e-4); /* exponents up to 60 in f32: 4e-6 each, over a few steps */
      }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fm_op_test_add ("linear-scan", linear, G_N_ELEMENTS (linear));
  fm_op_test_add ("linear-scan", second, G_N_ELEMENTS (second));
  fm_op_test_add ("matrix-scan", matrix, G_N_ELEMENTS (matrix));
  fm_op_test_add ("gru", gru, G_N_ELEMENTS (gru));
  fm_op_test_add ("lstm", lstm, G_N_ELEMENTS (lstm));
  fm_op_test_add ("scan", stepwise, G_N_ELEMENTS (stepwise));
  fm_op_test_add ("crf", chains, G_N_ELEMENTS (chains));
  g_test_add_data_func ("/compute/crf/long/cpu", NULL, test_long_chain);
  g_test_add_data_func ("/compute/crf/long/vulkan", "vulkan", test_long_chain);
  return g_test_run ();
}
