/* test-rows.c: reductions, running sums, softmax, norms, cross-entropy. */
#include "op-test.h"

#include <math.h>
#include <string.h>

/* --- Reductions ---------------------------------------------------------------------------------------------------*/

enum { SUM, SUM_KEEP, MEAN, MAX_, ARGMAX, SUM_ALL, CUMSUM, CUMSUM_EXCLUSIVE };

static FmTensor *
build_reduce (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  switch (n[0])
    {
    case SUM: return fm_sum (g, x[0], n[1]);
    case SUM_KEEP: return fm_sum_keep (g, x[0], n[1]);
    case MEAN: return fm_mean (g, x[0], n[1]);
    case MAX_: return fm_max (g, x[0], n[1]);
    case ARGMAX: return fm_argmax (g, x[0], n[1]);
    case SUM_ALL: return fm_sum_all (g, x[0]);
    case CUMSUM: return fm_cumsum (g, x[0], n[1], FALSE);
    case CUMSUM_EXCLUSIVE: return fm_cumsum (g, x[0], n[1], TRUE);
    default: g_assert_not_reached ();
    }
}

static void
reference_reduce (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  FmShape shape = { 0 };
  gint64 axis = n[1] < 0 ? n[1] + x->shape.rank : n[1], outer = 1, inner = 1, length = x->shape.dims[axis];

  for (guint a = 0; a < x->shape.rank; a++)
    {
      if (a < axis)
        outer *= x->shape.dims[a];
      else if (a > axis)
        inner *= x->shape.dims[a];
      if (a != axis || n[0] == SUM_KEEP)
        shape.dims[shape.rank++] = a == axis ? 1 : x->shape.dims[a];
    }
  if (n[0] == SUM_ALL || shape.rank == 0)
    shape = FM_SHAPE (1);
  fm_op_array_init (y, n[0] >= CUMSUM ? x->shape : shape);
  for (gint64 i = 0; i < x->n && n[0] == SUM_ALL; i++)
    y->v[0] += x->v[i];
  for (gint64 o = 0; o < outer && n[0] != SUM_ALL; o++)
    for (gint64 j = 0; j < inner; j++)
      {
        gdouble sum = 0, most = -INFINITY;
        gint64 at = 0;

        for (gint64 a = 0; a < length; a++)
          {
            gint64 i = (o * length + a) * inner + j;

            if (x->v[i] > most)
              {
                most = x->v[i];
                at = a;
              }
            if (n[0] == CUMSUM_EXCLUSIVE)
              y->v[i] = sum;
            sum += x->v[i];
            if (n[0] == CUMSUM)
              y->v[i] = sum;
          }
        if (n[0] < CUMSUM)
          y->v[o * inner + j] = n[0] == MAX_ ? most : n[0] == ARGMAX ? at : n[0] == MEAN ? sum / length : sum;
      }
}

static void
fill_ties (FmOpArray *x)
{
  for (gint64 i = 0; i < x->n; i++)
    x->v[i] = i % 3;
}

#define F32(...) { FM_F32, FM_SHAPE (__VA_ARGS__), -1, 1, TRUE }
#define REDUCE(id, kind, axis, a, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { kind, axis }, .build = build_reduce, \
    .reference = reference_reduce, .atol = a, .rtol = 2e-7, .grad_atol = 1e-5, .grad_rtol = 1e-5, \
    .why = "sqrt (K) 6e-8 times 4 for a sum of K terms below 1, in pieces of partial sums; gradients up to K 6e-8" }

static const FmOpCase reduce_cases[] = {
  REDUCE ("sum/last", SUM, -1, 2e-6, F32 (7, 33)),
  REDUCE ("sum/first", SUM, 0, 2e-6, F32 (33, 7)),
  REDUCE ("sum/middle", SUM, 1, 2e-6, F32 (3, 17, 5)),
  REDUCE ("sum/one", SUM, 0, 1e-7, F32 (1)),
  REDUCE ("sum/vector", SUM, 0, 2e-6, F32 (301)),
  REDUCE ("sum/axis-of-one", SUM, 1, 1e-7, F32 (4, 1, 3)),
  REDUCE ("sum/bias", SUM, 0, 3e-5, F32 (1500, 65)),
  REDUCE ("sum/wide", SUM, 0, 2e-6, F32 (9, 2500)),
  REDUCE ("sum/long-row", SUM, 1, 1e-4, F32 (2, 70001)),
  REDUCE ("sum-keep", SUM_KEEP, -2, 2e-6, F32 (3, 17, 5)),
  REDUCE ("sum-all", SUM_ALL, 0, 5e-5, F32 (3, 113, 101)),
  REDUCE ("mean/last", MEAN, -1, 2e-7, F32 (7, 33)),
  REDUCE ("mean/first", MEAN, 0, 2e-7, F32 (129, 3)),
  REDUCE ("max/last", MAX_, -1, 0, F32 (7, 33)),
  REDUCE ("max/first", MAX_, 0, 0, F32 (33, 7)),
  REDUCE ("max/middle", MAX_, 1, 0, F32 (3, 17, 5)),
  REDUCE ("max/vector", MAX_, 0, 0, F32 (300)),
  REDUCE ("max/long", MAX_, 0, 0, F32 (700, 65)),
  REDUCE ("argmax/last", ARGMAX, -1, 0, { FM_F32, FM_SHAPE (7, 133), -1, 1 }),
  REDUCE ("argmax/first", ARGMAX, 0, 0, { FM_F32, FM_SHAPE (133, 7), -1, 1 }),
  REDUCE ("argmax/ties", ARGMAX, -1, 0, { FM_F32, FM_SHAPE (5, 150), 0, 1, FALSE, fill_ties }),
  REDUCE ("cumsum/last", CUMSUM, -1, 4e-6, F32 (5, 67)),
  REDUCE ("cumsum/first", CUMSUM, 0, 4e-6, F32 (67, 5)),
  REDUCE ("cumsum/wide", CUMSUM, 1, 4e-6, F32 (2, 5, 1100)),
  REDUCE ("cumsum-exclusive/last", CUMSUM_EXCLUSIVE, -1, 4e-6, F32 (5, 67)),
  REDUCE ("cumsum-exclusive/middle", CUMSUM_EXCLUSIVE, 1, 4e-6, F32 (3, 17, 5)),
  REDUCE ("cumsum/one", CUMSUM, 0, 1e-7, F32 (1)),
};

/* --- Softmax ------------------------------------------------------------------------------------------------------*/

static FmTensor *
build_softmax (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_softmax (g, x[0], f[0]);
}

static void
reference_softmax (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 c = x->shape.dims[x->shape.rank - 1];

  fm_op_array_init (y, x->shape);
  for (gint64 r = 0; r < x->n / c; r++)
    {
      const gdouble *in = x->v + r * c;
      gdouble most = -INFINITY, sum = 0;
      gboolean bad = FALSE;

      for (gint64 i = 0; i < c; i++)
        {
          bad |= isnan (in[i]);
          most = MAX (most, in[i] * f[0]);
        }
      for (gint64 i = 0; i < c && bad; i++)
        y->v[r * c + i] = NAN;
      if (bad || most == -INFINITY)
        continue;
      for (gint64 i = 0; i < c; i++)
        sum += exp (in[i] * f[0] - most);
      for (gint64 i = 0; i < c; i++)
        y->v[r * c + i] = exp (in[i] * f[0] - most) / sum;
    }
}

/* The derivative of softmax as the result; n[0] unused. Its gradient is that of the backward op. */
static FmTensor *
build_softmax_slope (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *loss = fm_sum_all (g, fm_mul (g, fm_softmax (g, x[0], f[0]), x[1])), *dx;

  fm_grad (g, loss, x, 1, &dx);
  return dx;
}

static void
reference_softmax_slope (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 c = x->shape.dims[x->shape.rank - 1];
  FmOpArray p = { 0 };

  reference_softmax (x, &p, n, f);
  fm_op_array_init (y, x->shape);
  for (gint64 r = 0; r < x->n / c; r++)
    for (gint64 i = 0; i < c; i++)
      for (gint64 j = 0; j < c; j++)
        y->v[r * c + i] += f[0] * x[1].v[r * c + j] * p.v[r * c + j] * ((i == j) - p.v[r * c + i]);
  g_free (p.v);
}

/* Rows 0 and 2 see nothing, row 1 sees its last key alone. */
static void
fill_masked (FmOpArray *x)
{
  gint64 c = x->shape.dims[x->shape.rank - 1];

  for (gint64 i = 0; i < c; i++)
    {
      x->v[i] = x->v[2 * c + i] = -INFINITY;
      if (i < c - 1)
        x->v[c + i] = -INFINITY;
    }
}

/* Row 0: NaN alone; row 1: NaN among -inf. A diverged run must not look like a masked one. */
static void
fill_nan (FmOpArray *x)
{
  gint64 c = x->shape.dims[x->shape.rank - 1];

  for (gint64 i = 0; i < c; i++)
    {
      x->v[i] = NAN;
      x->v[c + i] = i == 4 ? NAN : -INFINITY;
    }
}

static void
fill_offset (FmOpArray *x)
{
  for (gint64 i = 0; i < x->n; i++)
    x->v[i] += 1000;
}

#define SOFTMAX(id, scale, a, r, ...) \
  { .name = "softmax/" id, .quick = TRUE, .in = { __VA_ARGS__ }, .f = { scale }, .build = build_softmax, \
    .reference = reference_softmax, .atol = a, .rtol = r, .grad_atol = 2e-6, .grad_rtol = 1e-5, \
    .why = "FM_EXPF_MAX_ERR, the sum, and 6e-8 for each unit of |x scale|, which is rounded before the exponential" }

static const FmOpCase softmax_cases[] = {
  SOFTMAX ("odd", 1.0, 1e-7, 2e-6, { FM_F32, FM_SHAPE (7, 49), -5, 5, TRUE }),
  SOFTMAX ("scaled", 0.125, 1e-7, 2e-6, { FM_F32, FM_SHAPE (2, 3, 65), -30, 30, TRUE }),
  SOFTMAX ("negative-scale", -1.5, 1e-7, 2e-6, { FM_F32, FM_SHAPE (3, 10), -3, 3, TRUE }),
  SOFTMAX ("one", 1.0, 0, 1e-7, { FM_F32, FM_SHAPE (3, 1), -5, 5, TRUE }),
  SOFTMAX ("vector", 1.0, 1e-7, 2e-6, { FM_F32, FM_SHAPE (300), -5, 5, TRUE }),
  SOFTMAX ("masked", 1.0, 1e-7, 2e-6, { FM_F32, FM_SHAPE (4, 33), -5, 5, TRUE, fill_masked }),
  SOFTMAX ("nan", 1.0, 1e-7, 2e-6, { FM_F32, FM_SHAPE (3, 33), -5, 5, FALSE, fill_nan }),
  SOFTMAX ("extremes", 1.0, 1e-7, 2e-5, { FM_F32, FM_SHAPE (5, 33), -80, 80, TRUE }),
  SOFTMAX ("offset", 1.0, 1e-7, 2e-6, { FM_F32, FM_SHAPE (5, 33), -5, 5, TRUE, fill_offset }),
  SOFTMAX ("threads", 1.0, 1e-7, 2e-6, { FM_F32, FM_SHAPE (700, 49), -5, 5, TRUE }),
  { .name = "softmax/slope", .in = { { FM_F32, FM_SHAPE (3, 9), -2, 2, TRUE }, F32 (3, 9) }, .f = { 0.7 },
    .build = build_softmax_slope, .reference = reference_softmax_slope, .atol = 1e-6, .rtol = 1e-5, .no_views = TRUE,
    .no_vulkan = TRUE, .why = "a chain of sums of 9; no Vulkan: the ops below it have their own cases there" },
};

/* --- Norms --------------------------------------------------------------------------------------------------------*/

enum { GAIN = 1, BIAS = 2, RMS = 4 };

static FmTensor *
build_norm (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  if (n[0] & RMS)
    return fm_rms_norm (g, x[0], n[0] & GAIN ? x[1] : NULL, f[0]);
  return fm_layer_norm (g, x[0], n[0] & GAIN ? x[1] : NULL, n[0] & BIAS ? x[n[0] & GAIN ? 2 : 1] : NULL, f[0]);
}

static void
reference_norm (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 c = x->shape.dims[x->shape.rank - 1];
  const FmOpArray *gain = n[0] & GAIN ? &x[1] : NULL, *bias = n[0] & BIAS ? &x[n[0] & GAIN ? 2 : 1] : NULL;

  fm_op_array_init (y, x->shape);
  for (gint64 r = 0; r < x->n / c; r++)
    {
      const gdouble *in = x->v + r * c;
      gdouble mean = 0, square = 0;

      for (gint64 i = 0; i < c && !(n[0] & RMS); i++)
        mean += in[i] / c;
      for (gint64 i = 0; i < c; i++)
        square += (in[i] - mean) * (in[i] - mean) / c;
      for (gint64 i = 0; i < c; i++)
        y->v[r * c + i] = (in[i] - mean) / sqrt (square + f[0]) * (gain ? gain->v[i] : 1) + (bias ? bias->v[i] : 0);
    }
}

#define X(...) { FM_F32, FM_SHAPE (__VA_ARGS__), -2, 2, TRUE }
#define NORM(id, flags, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { flags }, .f = { 1e-5 }, .build = build_norm, \
    .reference = reference_norm, .atol = 2e-6, .rtol = 2e-6, .grad_atol = 3e-5, .grad_rtol = 3e-5, \
    .why = "sums of D terms of size 4 under a root; parameter gradients sum up to a thousand rows of size 4" }

static const FmOpCase norm_cases[] = {
  NORM ("layer/gain-bias", GAIN | BIAS, X (7, 33), X (33), X (33)),
  NORM ("layer/gain", GAIN, X (2, 3, 64), X (64)),
  NORM ("layer/bias", BIAS, X (5, 17), X (17)),
  NORM ("layer/plain", 0, X (5, 17)),
  NORM ("layer/vector", GAIN | BIAS, X (65), X (65), X (65)),
  NORM ("layer/threads", GAIN | BIAS, X (900, 65), X (65), X (65)),
  NORM ("rms/gain", RMS | GAIN, X (7, 33), X (33)),
  NORM ("rms/plain", RMS, X (5, 130)),
  NORM ("rms/one", RMS | GAIN, X (4, 1), X (1)),
  /* The mean is rounded to 6e-5 at this offset, so a deviation of 1 has that error, whatever the formula. */
  { .name = "layer/offset", .quick = TRUE,
    .in = { { FM_F32, FM_SHAPE (5, 33), -2, 2, TRUE, fill_offset }, X (33), X (33) },
    .n = { GAIN | BIAS }, .f = { 1e-5 }, .build = build_norm, .reference = reference_norm, .atol = 3e-4, .rtol = 1e-5,
    .grad_atol = 1e-3, .grad_rtol = 1e-4, .grad_step = 1e-7,
    .why = "the mean of values near 1000 is rounded to 6e-5, times a gain of 2" },
  /* A row of one element has no deviation: the result is the bias, and eps keeps it finite. */
  NORM ("layer/one", GAIN | BIAS, X (4, 1), X (1), X (1)),
};

/* --- Cross-entropy ------------------------------------------------------------------------------------------------*/

static FmTensor *
build_loss (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_cross_entropy (g, x[0], x[1]);
}

static void
reference_loss (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 c = x->shape.dims[x->shape.rank - 1];

  fm_op_array_init (y, x[1].shape);
  for (gint64 r = 0; r < y->n; r++)
    {
      const gdouble *in = x->v + r * c;
      gdouble most = -INFINITY, sum = 0;

      if (x[1].v[r] < 0 || x[1].v[r] >= c)
        continue;
      for (gint64 i = 0; i < c; i++)
        most = MAX (most, in[i]);
      for (gint64 i = 0; i < c; i++)
        sum += exp (in[i] - most);
      y->v[r] = log (sum) + most - in[(gint64) x[1].v[r]];
    }
}

#define LOSS(id, a, classes, low, high, fill, ...) \
  { .name = id, .quick = TRUE, \
    .in = { { FM_F32, FM_SHAPE (__VA_ARGS__, classes), low, high, TRUE, fill }, \
            { FM_I32, FM_SHAPE (__VA_ARGS__), -1, classes } }, \
    .build = build_loss, .reference = reference_loss, .atol = a, .rtol = 3e-7, .grad_atol = 1e-6, .grad_rtol = 2e-6, \
    .grad_step = 1e-7, .grad_samples = 30, \
    .why = "differences of logits of that size, then a logarithm; targets -1 and C are among them" }

static const FmOpCase loss_cases[] = {
  LOSS ("ten", 1e-6, 10, -3, 3, NULL, 37),
  LOSS ("grid", 1e-6, 33, -3, 3, NULL, 3, 5),
  LOSS ("one-class", 1e-7, 1, -3, 3, NULL, 4),
  LOSS ("extremes", 1e-5, 17, -80, 80, NULL, 21),
  LOSS ("offset", 1e-6, 10, -3, 3, fill_offset, 9),
  LOSS ("threads", 1e-6, 130, -3, 3, NULL, 400),
};

/* --- Second derivatives: the first as the result, weighted by the last input -------------------------------------*/

static FmTensor *
build_norm_slope (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *y = build_norm (g, x, n, f), *dx;

  fm_grad (g, fm_sum_all (g, fm_mul (g, y, x[n[0] & GAIN ? 2 : 1])), x, 1, &dx);
  return dx;
}

static void
reference_norm_slope (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 c = x->shape.dims[x->shape.rank - 1];
  const FmOpArray *gain = n[0] & GAIN ? &x[1] : NULL, *weight = &x[n[0] & GAIN ? 2 : 1];

  fm_op_array_init (y, x->shape);
  for (gint64 r = 0; r < x->n / c; r++)
    {
      const gdouble *in = x->v + r * c, *w = weight->v + r * c;
      gdouble mean = 0, square = 0, d;

      for (gint64 i = 0; i < c && !(n[0] & RMS); i++)
        mean += in[i] / c;
      for (gint64 i = 0; i < c; i++)
        square += (in[i] - mean) * (in[i] - mean) / c;
      d = 1 / sqrt (square + f[0]);
      for (gint64 i = 0; i < c; i++) /* from the derivatives of mean and deviation, element by element */
        for (gint64 j = 0; j < c; j++)
          {
            gdouble u = w[j] * (gain ? gain->v[j] : 1);
            gdouble centered = (i == j) - (n[0] & RMS ? 0 : 1.0 / c);

            y->v[r * c + i] += u * (d * centered - d * d * d * (in[j] - mean) * (in[i] - mean) / c);
          }
    }
}

static FmTensor *
build_loss_slope (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *dx;

  fm_grad (g, fm_sum_all (g, fm_mul (g, fm_cross_entropy (g, x[0], x[1]), x[2])), x, 1, &dx);
  return dx;
}

static void
reference_loss_slope (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  const gdouble one[] = { 1 };
  gint64 c = x->shape.dims[x->shape.rank - 1];

  reference_softmax (x, y, n, one);
  for (gint64 i = 0; i < x->n; i++)
    {
      gdouble t = x[1].v[i / c];

      y->v[i] = t < 0 || t >= c ? 0 : x[2].v[i / c] * (y->v[i] - (i % c == t));
    }
}

#define SLOPE(id, build_, reference_, flags, ...) \
  { .name = "slope/" id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { flags }, .f = { 0.1 }, .build = build_, \
    .reference = reference_, .atol = 3e-6, .rtol = 1e-5, .no_views = TRUE, .no_vulkan = TRUE, \
    .why = "a chain of sums of 9 terms; no Vulkan: the ops below it have their own cases there" }

static const FmOpCase slope_cases[] = {
  SLOPE ("layer-norm", build_norm_slope, reference_norm_slope, GAIN, X (4, 9), X (9), X (4, 9)),
  SLOPE ("layer-norm-plain", build_norm_slope, reference_norm_slope, 0, X (4, 9), X (4, 9)),
  SLOPE ("rms-norm", build_norm_slope, reference_norm_slope, RMS | GAIN, X (4, 9), X (9), X (4, 9)),
  SLOPE ("cross-entropy", build_loss_slope, reference_loss_slope, 0, X (8, 5), { FM_I32, FM_SHAPE (8), -1, 5 }, X (8)),
};

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fm_op_test_add ("reduce", reduce_cases, G_N_ELEMENTS (reduce_cases));
  fm_op_test_add ("rows", softmax_cases, G_N_ELEMENTS (softmax_cases));
  fm_op_test_add ("norm", norm_cases, G_N_ELEMENTS (norm_cases));
  fm_op_test_add ("cross-entropy", loss_cases, G_N_ELEMENTS (loss_cases));
  fm_op_test_add ("rows", slope_cases, G_N_ELEMENTS (slope_cases));
  return g_test_run ();
}
