/* test-losses.c: forms of softmax, losses, divergences and norms that are made of other ops. */
#include "op-test.h"

#include <math.h>
#include <string.h>

enum { MASKED, JOINT, LOG_SOFTMAX, SMOOTH, WEIGHTED, BCE, FOCAL, DICE, KL_LOGITS, SYMMETRIC, KL, JS, MSE, HUBER, COSINE,
       CONTRASTIVE, L2, GROUP };

/* n: kind, groups; f: numbers of the loss */
static FmTensor *
build (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *parts[2];

  switch (n[0])
    {
    case MASKED: return fm_masked_softmax (g, x[0], x[1], f[0]);
    case JOINT:
      fm_joint_softmax (g, x, 2, f[0], parts);
      return fm_concat (g, parts, 2, -1);
    case LOG_SOFTMAX: return fm_log_softmax (g, x[0]);
    case SMOOTH: return fm_cross_entropy_smooth (g, x[0], x[1], f[0]);
    case WEIGHTED: return fm_weighted_mean (g, x[0], x[1]);
    case BCE: return fm_binary_cross_entropy (g, x[0], x[1], f[0]);
    case FOCAL: return fm_focal_loss (g, x[0], x[1], f[0], f[1]);
    case DICE: return fm_dice_loss (g, x[0], x[1], f[0]);
    case KL_LOGITS: return fm_kl_from_logits (g, x[0], x[1]);
    case SYMMETRIC: return fm_symmetric_kl_from_logits (g, x[0], x[1]);
    case KL: return fm_kl_divergence (g, x[0], x[1]);
    case JS: return fm_js_divergence (g, x[0], x[1]);
    case MSE: return fm_mse (g, x[0], x[1]);
    case HUBER: return fm_huber (g, x[0], x[1], f[0]);
    case COSINE: return fm_cosine_similarity (g, x[0], x[1]);
    case CONTRASTIVE: return fm_contrastive_loss (g, x[0], x[1], f[0]);
    case L2: return fm_l2_normalize (g, x[0], f[0]);
    case GROUP: return fm_group_norm (g, x[0], n[1], x[1], x[2], f[0]);
    default: g_assert_not_reached ();
    }
}

/* Log-probabilities of a row in double; -inf throughout for a row of -inf. */
static void
log_probabilities (const gdouble *x, gint64 n, gdouble *y)
{
  gdouble most = -INFINITY, sum = 0;

  for (gint64 i = 0; i < n; i++)
    most = MAX (most, x[i]);
  for (gint64 i = 0; i < n; i++)
    sum += most == -INFINITY ? 0 : exp (x[i] - most);
  for (gint64 i = 0; i < n; i++)
    y[i] = most == -INFINITY ? -INFINITY : x[i] - most - log (sum);
}

static gdouble
divergence (const gdouble *p, const gdouble *q, gint64 n)
{
  gdouble sum = 0;

  for (gint64 i = 0; i < n; i++)
    sum += p[i] > 0 ? p[i] * log (p[i] / q[i]) : 0;
  return sum;
}

static FmShape
without_last (FmShape shape)
{
  if (shape.rank == 1)
    return FM_SHAPE (1);
  shape.rank--;
  return shape;
}

/* Kinds that give a row for a row. */
static void
reference_rows (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 a = x[0].shape.dims[x[0].shape.rank - 1], b = n[0] == JOINT ? x[1].shape.dims[x[1].shape.rank - 1] : 0;
  gint64 c = a + b;
  g_autofree gdouble *row = g_new (gdouble, c);
  FmShape shape = x[0].shape;

  shape.dims[shape.rank - 1] = c;
  fm_op_array_init (y, shape);
  for (gint64 r = 0; r < y->n / c; r++)
    {
      gdouble *out = y->v + r * c, square = 0;

      for (gint64 i = 0; i < c; i++)
        {
          row[i] = i < a ? x[0].v[r * a + i] : x[1].v[r * b + i - a];
          square += row[i] * row[i];
          if (n[0] == MASKED && x[1].v[(r * a + i) % x[1].n] == 0)
            row[i] = -INFINITY;
          else if (n[0] == MASKED || n[0] == JOINT)
            row[i] *= f[0];
        }
      log_probabilities (row, c, out);
      for (gint64 i = 0; i < c; i++)
        if (n[0] == L2)
          out[i] = row[i] / sqrt (square + f[0]);
        else if (n[0] != LOG_SOFTMAX)
          out[i] = exp (out[i]);
    }
}

/* Kinds that give a number for a row. */
static void
reference_numbers (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 c = x[0].shape.dims[x[0].shape.rank - 1];
  g_autofree gdouble *p = g_new (gdouble, c), *q = g_new (gdouble, c), *m = g_new (gdouble, c);

  fm_op_array_init (y, without_last (x[0].shape));
  for (gint64 r = 0; r < y->n; r++)
    {
      const gdouble *a = x[0].v + r * c, *b = n[0] == SMOOTH ? NULL : x[1].v + r * c;
      gdouble both = 0, sizes = 0, aa = 0, bb = 0;

      if (n[0] == SMOOTH)
        {
          gint64 t = x[1].v[r];

          log_probabilities (a, c, p);
          for (gint64 i = 0; i < c && t >= 0 && t < c; i++)
            y->v[r] -= p[i] * (f[0] / c + (i == t ? 1 - f[0] : 0));
          continue;
        }
      for (gint64 i = 0; i < c; i++)
        {
          both += a[i] * b[i];
          sizes += a[i] + b[i];
          aa += a[i] * a[i];
          bb += b[i] * b[i];
          p[i] = a[i];
          q[i] = b[i];
        }
      if (n[0] == KL_LOGITS || n[0] == SYMMETRIC)
        {
          log_probabilities (a, c, p);
          log_probabilities (b, c, q);
          for (gint64 i = 0; i < c; i++)
            {
              p[i] = exp (p[i]);
              q[i] = exp (q[i]);
            }
        }
      for (gint64 i = 0; i < c; i++)
        m[i] = (p[i] + q[i]) / 2;
      switch (n[0])
        {
        case DICE: y->v[r] = 1 - (2 * both + f[0]) / (sizes + f[0]); break;
        case COSINE: y->v[r] = both / sqrt (aa + 1e-12) / sqrt (bb + 1e-12); break;
        case KL_LOGITS: case KL: y->v[r] = divergence (p, q, c); break;
        case SYMMETRIC: y->v[r] = (divergence (p, q, c) + divergence (q, p, c)) / 2; break;
        case JS: y->v[r] = (divergence (p, m, c) + divergence (q, m, c)) / 2; break;
        default: g_assert_not_reached ();
        }
    }
}

/* Kinds that give a number for an element, and those that give one for all. */
static void
reference_elements (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gdouble weights = 0;

  fm_op_array_init (y, n[0] == MSE || n[0] == WEIGHTED ? FM_SHAPE (1) : x[0].shape);
  for (gint64 i = 0; i < x[0].n; i++)
    {
      gdouble a = x[0].v[i], b = x[1].v[i % x[1].n], d = fabs (a - b);
      gdouble hit = a > 0 ? log1p (exp (-a)) : log1p (exp (a)) - a, miss = hit + a, p = 1 / (1 + exp (-a));

      switch (n[0])
        {
        case MSE: y->v[0] += (a - b) * (a - b) / x[0].n; break;
        case WEIGHTED:
          y->v[0] += b != 0 ? a * b : 0;
          weights += b;
          break;
        case HUBER: y->v[i] = d <= f[0] ? d * d / 2 : f[0] * (d - f[0] / 2); break;
        case BCE: y->v[i] = f[0] * b * hit + (1 - b) * miss; break;
        case FOCAL:
          y->v[i] = (b * hit + (1 - b) * miss) * pow (b * (1 - p) + (1 - b) * p, f[1]);
          if (f[0] >= 0)
            y->v[i] *= b * f[0] + (1 - b) * (1 - f[0]);
          break;
        default: g_assert_not_reached ();
        }
    }
  if (n[0] == WEIGHTED)
    y->v[0] = weights > 0 ? y->v[0] / weights : 0;
}

static void
reference_contrastive (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 rows = x->shape.dims[0], c = x->shape.dims[1];
  g_autofree gdouble *row = g_new (gdouble, rows), *column = g_new (gdouble, rows);

  fm_op_array_init (y, FM_SHAPE (rows));
  for (gint64 r = 0; r < rows; r++)
    {
      for (gint64 s = 0; s < rows; s++)
        {
          gdouble there = 0, back = 0, rr = 0, ss = 0, tt = 0, uu = 0;

          for (gint64 i = 0; i < c; i++)
            {
              there += x[0].v[r * c + i] * x[1].v[s * c + i];
              back += x[0].v[s * c + i] * x[1].v[r * c + i];
              rr += x[0].v[r * c + i] * x[0].v[r * c + i];
              ss += x[1].v[s * c + i] * x[1].v[s * c + i];
              tt += x[0].v[s * c + i] * x[0].v[s * c + i];
              uu += x[1].v[r * c + i] * x[1].v[r * c + i];
            }
          row[s] = there / sqrt (rr * ss) / f[0];
          column[s] = back / sqrt (tt * uu) / f[0];
        }
      log_probabilities (row, rows, row);
      log_probabilities (column, rows, column);
      y->v[r] = -(row[r] + column[r]) / 2;
    }
}

static void
reference_group (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 channels = x->shape.dims[x->shape.rank - 1], each = x->n / x->shape.dims[0], size = channels / n[1];

  fm_op_array_init (y, x->shape);
  for (gint64 b = 0; b < x->shape.dims[0]; b++)
    for (gint64 k = 0; k < n[1]; k++)
      for (int pass = 0; pass < 3; pass++)
        {
          static gdouble mean, square;
          gdouble count = each / n[1];

          if (pass == 0)
            mean = square = 0;
          for (gint64 i = 0; i < each; i++)
            if (i % channels / size == k)
              {
                gdouble v = x->v[b * each + i];

                if (pass == 0)
                  mean += v / count;
                else if (pass == 1)
                  square += (v - mean) * (v - mean) / count;
                else
                  y->v[b * each + i] = (v - mean) / sqrt (square + f[0]) * x[1].v[i % channels] + x[2].v[i % channels];
              }
        }
}

/* Weights of 1 in two of three places; row 0 has none. */
static void
fill_mask (FmOpArray *x)
{
  gint64 c = x->shape.dims[x->shape.rank - 1];

  for (gint64 i = 0; i < x->n; i++)
    x->v[i] = i % 3 != 1 && (i >= c || x->n == c);
}

static void
fill_nothing (FmOpArray *x)
{
  for (gint64 i = 0; i < x->n; i++)
    x->v[i] = 0;
}

/* NaN where fill_mask() has zeros. */
static void
fill_bad (FmOpArray *x)
{
  gint64 c = x->shape.dims[x->shape.rank - 1];

  for (gint64 i = 0; i < x->n; i++)
    if (i % 3 == 1 || (i < c && x->n != c))
      x->v[i] = NAN;
}

/* Row 0 -inf alone, row 1 with one number, the rest with some -inf: as a mask would leave them. */
static void
fill_masked (FmOpArray *x)
{
  gint64 c = x->shape.dims[x->shape.rank - 1];

  for (gint64 i = 0; i < x->n; i++)
    if (i < c || (i < 2 * c && i > c) || i % c == c - 1)
      x->v[i] = -INFINITY;
}

/* The same without an empty row, for what has no meaning there. */
static void
fill_some_masked (FmOpArray *x)
{
  gint64 c = x->shape.dims[x->shape.rank - 1];

  for (gint64 i = 0; i < x->n; i++)
    if (i % c == c - 1 || (i < c && i > 1))
      x->v[i] = -INFINITY;
}

static void
fill_probabilities (FmOpArray *x)
{
  gint64 c = x->shape.dims[x->shape.rank - 1];

  for (gint64 r = 0; r < x->n / c; r++)
    {
      gdouble sum = 0;

      for (gint64 i = 0; i < c; i++)
        {
          if (i == 2 && r % 2 == 0)
            x->v[r * c + i] = 0;
          sum += x->v[r * c + i];
        }
      for (gint64 i = 0; i < c; i++)
        x->v[r * c + i] /= sum;
    }
}

static void
fill_logit_ends (FmOpArray *x)
{
  const gdouble special[] = { 0, 100, -100, 88, -88, 1e4, -1e4, 1e-6 };

  for (guint i = 0; i < G_N_ELEMENTS (special); i++)
    x->v[i] = special[i];
}

static void
fill_zero_row (FmOpArray *x)
{
  for (gint64 i = 0; i < x->shape.dims[x->shape.rank - 1]; i++)
    x->v[i] = 0;
}

static void
fill_offset (FmOpArray *x)
{
  for (gint64 i = 0; i < x->n; i++)
    x->v[i] += 1000;
}

#define F32(...) { FM_F32, FM_SHAPE (__VA_ARGS__), -3, 3, TRUE }
#define FILLED(fill, ...) { FM_F32, FM_SHAPE (__VA_ARGS__), -3, 3, TRUE, fill }
#define SHARE(...) { FM_F32, FM_SHAPE (__VA_ARGS__), 0.1, 0.9, TRUE }
#define PROBABILITY(...) { FM_F32, FM_SHAPE (__VA_ARGS__), 0.1, 1, TRUE, fill_probabilities }
#define GIVEN(fill, ...) { FM_F32, FM_SHAPE (__VA_ARGS__), -3, 3, FALSE, fill }
#define CASE(id, ref, kind, f0, f1, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { kind }, .f = { f0, f1 }, .build = build, \
    .reference = ref, .atol = 2e-6, .rtol = 3e-6, .grad_atol = 2e-5, .grad_rtol = 2e-5, .grad_step = 1e-6, \
    .grad_samples = 30, .why = "a chain of ten roundings of numbers up to 10, sums of some 30 terms" }

static const FmOpCase cases[] = {
  CASE ("masked-softmax/same", reference_rows, MASKED, 0.7, 0, F32 (4, 33), GIVEN (fill_mask, 4, 33)),
  CASE ("masked-softmax/row", reference_rows, MASKED, -0.7, 0, F32 (2, 3, 17), GIVEN (fill_mask, 17)),
  CASE ("masked-softmax/nan", reference_rows, MASKED, 1, 0, GIVEN (fill_bad, 4, 33), GIVEN (fill_mask, 4, 33)),
  CASE ("joint-softmax/two", reference_rows, JOINT, 0.7, 0, F32 (4, 33), F32 (4, 7)),
  CASE ("joint-softmax/masked", reference_rows, JOINT, 1, 0, FILLED (fill_masked, 4, 9), FILLED (fill_masked, 4, 1)),
  CASE ("log-softmax/rows", reference_rows, LOG_SOFTMAX, 0, 0, F32 (4, 33)),
  CASE ("log-softmax/vector", reference_rows, LOG_SOFTMAX, 0, 0, F32 (130)),
  CASE ("log-softmax/one", reference_rows, LOG_SOFTMAX, 0, 0, F32 (3, 1)),
  CASE ("log-softmax/offset", reference_rows, LOG_SOFTMAX, 0, 0, FILLED (fill_offset, 4, 33)),
  CASE ("log-softmax/masked", reference_rows, LOG_SOFTMAX, 0, 0, GIVEN (fill_masked, 5, 9)),
  CASE ("cross-entropy-smooth", reference_numbers, SMOOTH, 0.1, 0, F32 (21, 10), { FM_I32, FM_SHAPE (21), -1, 10 }),
  CASE ("cross-entropy-smooth/none", reference_numbers, SMOOTH, 0, 0, F32 (9, 10), { FM_I32, FM_SHAPE (9), -1, 10 }),
  CASE ("weighted-mean", reference_elements, WEIGHTED, 0, 0, F32 (5, 9), GIVEN (fill_mask, 5, 9)),
  CASE ("weighted-mean/nan", reference_elements, WEIGHTED, 0, 0, GIVEN (fill_bad, 5, 9), GIVEN (fill_mask, 5, 9)),
  CASE ("weighted-mean/nothing", reference_elements, WEIGHTED, 0, 0, F32 (45), GIVEN (fill_nothing, 45)),
  CASE ("binary-cross-entropy", reference_elements, BCE, 1, 0, F32 (5, 9), SHARE (5, 9)),
  CASE ("binary-cross-entropy/weight", reference_elements, BCE, 2.5, 0, F32 (5, 9), SHARE (9)),
  CASE ("binary-cross-entropy/ends", reference_elements, BCE, 1, 0, GIVEN (fill_logit_ends, 19), SHARE (19)),
  CASE ("focal-loss", reference_elements, FOCAL, 0.25, 2, F32 (5, 9), GIVEN (fill_mask, 5, 9)),
  CASE ("focal-loss/1.5", reference_elements, FOCAL, -1, 1.5, F32 (5, 9), SHARE (5, 9)),
  CASE ("dice-loss", reference_numbers, DICE, 1, 0, SHARE (5, 30), SHARE (5, 30)),
  CASE ("dice-loss/vector", reference_numbers, DICE, 1, 0, SHARE (30), GIVEN (fill_mask, 30)),
  CASE ("kl-from-logits", reference_numbers, KL_LOGITS, 0, 0, F32 (5, 9), F32 (5, 9)),
  CASE ("kl-from-logits/masked", reference_numbers, KL_LOGITS, 0, 0, FILLED (fill_some_masked, 5, 9),
        FILLED (fill_some_masked, 5, 9)),
  CASE ("symmetric-kl", reference_numbers, SYMMETRIC, 0, 0, F32 (5, 9), F32 (5, 9)),
  CASE ("symmetric-kl/masked", reference_numbers, SYMMETRIC, 0, 0, FILLED (fill_some_masked, 5, 9),
        FILLED (fill_some_masked, 5, 9)),
  CASE ("kl-divergence", reference_numbers, KL, 0, 0, SHARE (5, 9), SHARE (5, 9)),
  CASE ("kl-divergence/zeros", reference_numbers, KL, 0, 0,
        { FM_F32, FM_SHAPE (4, 9), 0.1, 1, FALSE, fill_probabilities },
        PROBABILITY (4, 9)),
  CASE ("js-divergence", reference_numbers, JS, 0, 0, SHARE (5, 9), SHARE (5, 9)),
  CASE ("js-divergence/zeros", reference_numbers, JS, 0, 0,
        { FM_F32, FM_SHAPE (4, 9), 0.1, 1, FALSE, fill_probabilities }, SHARE (4, 9)),
  CASE ("mse", reference_elements, MSE, 0, 0, F32 (5, 9), F32 (5, 9)),
  CASE ("huber", reference_elements, HUBER, 1.3, 0, F32 (5, 9), F32 (5, 9)),
  CASE ("cosine-similarity", reference_numbers, COSINE, 0, 0, F32 (5, 33), F32 (5, 33)),
  CASE ("cosine-similarity/zero", reference_numbers, COSINE, 0, 0, GIVEN (fill_zero_row, 3, 9), F32 (3, 9)),
  CASE ("contrastive-loss", reference_contrastive, CONTRASTIVE, 0.5, 0, F32 (7, 12), F32 (7, 12)),
  CASE ("l2-normalize", reference_rows, L2, 1e-12, 0, F32 (7, 33)),
  CASE ("l2-normalize/eps", reference_rows, L2, 0.5, 0, F32 (7, 9)),
  CASE ("l2-normalize/zero", reference_rows, L2, 1e-6, 0, GIVEN (fill_zero_row, 3, 9)),
  { .name = "group-norm/three", .quick = TRUE, .in = { F32 (2, 5, 12), F32 (12), F32 (12) }, .n = { GROUP, 3 },
    .f = { 1e-5 }, .build = build, .reference = reference_group, .atol = 5e-6, .rtol = 5e-6, .grad_atol = 5e-5,
    .grad_rtol = 5e-5, .why = "as layer norm, with parameters up to 3" },
  { .name = "group-norm/one", .quick = TRUE, .in = { F32 (3, 2, 4, 6), F32 (6), F32 (6) }, .n = { GROUP, 1 },
    .f = { 1e-5 }, .build = build, .reference = reference_group, .atol = 5e-6, .rtol = 5e-6, .grad_atol = 5e-5,
    .grad_rtol = 5e-5, .why = "as layer norm, with parameters up to 3" },
  { .name = "group-norm/each", .quick = TRUE, .in = { F32 (2, 7, 4), F32 (4), F32 (4) }, .n = { GROUP, 4 },
    .f = { 1e-5 }, .build = build, .reference = reference_group, .atol = 5e-6, .rtol = 5e-6, .grad_atol = 5e-5,
    .grad_rtol = 5e-5, .why = "as layer norm, with parameters up to 3" },
};

/* --- Batch norm: states over several runs, by hand ----------------------------------------------------------------*/

enum { B = 6, C = 3, N = 5 }; /* x [B,C,N], channels in the middle */

static void
batch_moments (const float *x, gdouble *mean, gdouble *variance)
{
  for (int c = 0; c < C; c++)
    {
      mean[c] = variance[c] = 0;
      for (int i = 0; i < B * N; i++)
        mean[c] += x[(i / N * C + c) * N + i % N] / (gdouble) (B * N);
      for (int i = 0; i < B * N; i++)
        variance[c] += pow (x[(i / N * C + c) * N + i % N] - mean[c], 2) / (B * N);
    }
}

static FmProgram *
batch_program (FmGraph *g, FmDevice *device, FmVariables *variables, gboolean training)
{
  g_autoptr(GError) error = NULL;
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (B, C, N)), *w, *y, *dx;
  FmProgram *p;

  y = fm_batch_norm (g, x, 1, "norm", 0.1, 1e-5, training);
  fm_graph_output (g, "y", y);
  /* A sum that is not flat in x, so that its gradient says something. */
  w = fm_graph_input (g, "w", FM_F32, FM_SHAPE (B, C, N));
  fm_grad (g, fm_sum_all (g, fm_mul (g, fm_square (g, y), w)), &x, 1, &dx);
  fm_graph_output (g, "dx", dx);
  p = fm_program_new (g, device, variables, &error);
  g_assert_no_error (error);
  return p;
}

/* The loss whose gradient batch_program() gives, in double, with x[at] moved by h. */
static gdouble
batch_loss (const float *x, const float *w, int at, gdouble h, const gdouble *given)
{
  gdouble sum = 0;

  for (int c = 0; c < C; c++)
    {
      gdouble mean = 0, variance = 0;

      for (int i = 0; i < B * N; i++)
        mean += (x[(i / N * C + c) * N + i % N] + ((i / N * C + c) * N + i % N == at ? h : 0)) / (B * N);
      for (int i = 0; i < B * N; i++)
        {
          int k = (i / N * C + c) * N + i % N;

          variance += pow (x[k] + (k == at ? h : 0) - mean, 2) / (B * N);
        }
      if (given)
        {
          mean = given[c];
          variance = given[C + c];
        }
      for (int i = 0; i < B * N; i++)
        {
          int k = (i / N * C + c) * N + i % N;

          sum += w[k] * pow (x[k] + (k == at ? h : 0) - mean, 2) / (variance + 1e-5);
        }
    }
  return sum;
}

static void
check_batch_norm (FmDevice *device)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(FmVariables) variables = fm_variables_new (device, 1);
  g_autoptr(FmGraph) train_graph = fm_graph_new (), use_graph = fm_graph_new ();
  g_autoptr(FmProgram) train = batch_program (train_graph, device, variables, TRUE);
  g_autoptr(FmProgram) use = batch_program (use_graph, device, variables, FALSE);
  gdouble running[2 * C] = { 0, 0, 0, 1, 1, 1 }, mean[C], variance[C];
  float x[B * C * N], w[B * C * N], y[B * C * N], dx[B * C * N], state[C];
  FmRandom random;

  fm_random_init (&random, 3, 4);
  for (int run = 0; run < 4; run++)
    {
      FmProgram *p = run < 3 ? train : use;

      for (int i = 0; i < B * C * N; i++)
        {
          x[i] = fm_random_normal (&random) * 2 + run;
          w[i] = fm_random_normal (&random);
        }
      fm_program_write (p, "x", x, sizeof x, &error);
      fm_program_write (p, "w", w, sizeof w, &error);
      fm_program_run (p, &error);
      fm_program_read (p, "y", y, sizeof y, &error);
      fm_program_read (p, "dx", dx, sizeof dx, &error);
      g_assert_no_error (error);
      batch_moments (x, mean, variance);
      for (int c = 0; c < C; c++)
        {
          if (run == 3)
            {
              mean[c] = running[c];
              variance[c] = running[C + c];
              continue;
            }
          running[c] = 0.9 * running[c] + 0.1 * mean[c];
          running[C + c] = 0.9 * running[C + c] + 0.1 * variance[c] * (B * N) / (B * N - 1.0);
        }
      for (int i = 0; i < B * C * N; i++)
        {
          int c = i / N % C;
          const gdouble *given = run == 3 ? running : NULL;
          gdouble slope = (batch_loss (x, w, i, 1e-4, given) - batch_loss (x, w, i, -1e-4, given)) / 2e-4;

          g_assert_cmpfloat_with_epsilon (y[i], (x[i] - mean[c]) / sqrt (variance[c] + 1e-5), 1e-5);
          g_assert_cmpfloat_with_epsilon (dx[i], slope, 1e-4);
        }
      fm_variables_read (variables, "norm.mean", state, sizeof state, &error);
      for (int c = 0; c < C; c++)
        g_assert_cmpfloat_with_epsilon (state[c], running[c], 1e-5);
      fm_variables_read (variables, "norm.variance", state, sizeof state, &error);
      for (int c = 0; c < C; c++)
        g_assert_cmpfloat_with_epsilon (state[c], running[C + c], 2e-5);
      g_assert_no_error (error);
    }
}

static void
test_batch_norm (void)
{
  check_batch_norm (fm_op_test_cpu (2));
}

static void
test_batch_norm_vulkan (void)
{
  FmDevice *device = fm_op_test_vulkan ();

  if (device)
    check_batch_norm (device);
}

static void
test_refusals (void)
{
  g_autoptr(FmGraph) g = fm_graph_new ();
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (4, 10));

  fm_group_norm (g, x, 3, NULL, NULL, 1e-5);
  g_assert_nonnull (fm_graph_get_error (g));
  g_assert_nonnull (strstr (fm_graph_get_error (g)->message, "divides"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fm_op_test_add ("losses", cases, G_N_ELEMENTS (cases));
  g_test_add_func ("/compute/losses/batch-norm/cpu", test_batch_norm);
  if (!g_test_quick ())
    g_test_add_func ("/compute/losses/batch-norm/vulkan", test_batch_norm_vulkan);
  g_test_add_func ("/compute/losses/refusals", test_refusals);
  return g_test_run ();
}
