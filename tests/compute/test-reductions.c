/* test-reductions.c: minima, NaN in extremes, log-sum-exp, moments over several axes, scans from the end, cumulative
 * maximum. Sums, maxima and cumulative sums are in test-rows.c. */
#include "op-test.h"

#include <math.h>

enum { MIN_, MAX_, ARGMIN, ARGMAX, ANY, ALL, LSE, VARIANCE, MEAN_KEEP, MAX_KEEP, MEAN_ALL, SUM_AXES, MEAN_AXES,
       CUMMAX, CUMMAX_INDEX, CUMSUM_REVERSE, CUMSUM_REVERSE_EXCLUSIVE, LSE_SLOPE, VARIANCE_SLOPE, CUMMAX_SLOPE };

/* n: kind, axis, second axis */
static FmTensor *
build (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  const gint axes[] = { (gint) n[1], (gint) n[2] };
  FmTensor *index;

  switch (n[0])
    {
    case MIN_: return fm_min (g, x[0], n[1]);
    case MAX_: return fm_max (g, x[0], n[1]);
    case ARGMIN: return fm_argmin (g, x[0], n[1]);
    case ARGMAX: return fm_argmax (g, x[0], n[1]);
    case ANY: return fm_any (g, x[0], n[1]);
    case ALL: return fm_all (g, x[0], n[1]);
    case LSE: return fm_log_sum_exp (g, x[0], n[1]);
    case VARIANCE: return fm_variance (g, x[0], n[1]);
    case MEAN_KEEP: return fm_mean_keep (g, x[0], n[1]);
    case MAX_KEEP: return fm_max_keep (g, x[0], n[1]);
    case MEAN_ALL: return fm_mean_all (g, x[0]);
    case SUM_AXES: return fm_sum_axes (g, x[0], axes, 2);
    case MEAN_AXES: return fm_mean_axes (g, x[0], axes, 2);
    case CUMMAX: return fm_cummax (g, x[0], n[1], NULL);
    case CUMMAX_INDEX:
      fm_cummax (g, x[0], n[1], &index);
      return index;
    case CUMSUM_REVERSE: return fm_cumsum_reverse (g, x[0], n[1], FALSE);
    case CUMSUM_REVERSE_EXCLUSIVE: return fm_cumsum_reverse (g, x[0], n[1], TRUE);
    default: g_assert_not_reached ();
    }
}

/* One line of the axis, @stride apart: the reduced number, or for scans the line of results into @out. */
static gdouble
line (gint64 kind, const gdouble *x, gint64 n, gint64 stride, gdouble *out)
{
  gdouble sum = 0, square = 0, low = INFINITY, high = -INFINITY, exponentials = 0, after = 0;
  gint64 low_at = -1, high_at = -1, bad = -1, zeros = 0;

  for (gint64 i = 0; i < n; i++)
    {
      gdouble v = x[i * stride];

      sum += v;
      zeros += v == 0;
      if (isnan (v) && bad < 0)
        bad = i;
      if (v < low || low_at < 0)
        low = v, low_at = i;
      if (v > high || high_at < 0)
        high = v, high_at = i;
      if (kind == CUMMAX)
        out[i * stride] = bad >= 0 ? NAN : high;
      if (kind == CUMMAX_INDEX)
        out[i * stride] = bad >= 0 ? bad : high_at;
    }
  for (gint64 i = 0; i < n; i++)
    {
      square += (x[i * stride] - sum / n) * (x[i * stride] - sum / n);
      exponentials += exp (x[i * stride] - (isinf (high) ? 0 : high));
    }
  for (gint64 i = n; i-- > 0; after += x[i * stride])
    if (kind == CUMSUM_REVERSE || kind == CUMSUM_REVERSE_EXCLUSIVE)
      out[i * stride] = after + (kind == CUMSUM_REVERSE ? x[i * stride] : 0);
  switch (kind)
    {
    case MIN_: return bad >= 0 ? NAN : low;
    case MAX_: case MAX_KEEP: return bad >= 0 ? NAN : high;
    case ARGMIN: return bad >= 0 ? bad : low_at;
    case ARGMAX: return bad >= 0 ? bad : high_at;
    case ANY: return zeros < n;
    case ALL: return zeros == 0;
    case LSE: return log (exponentials) + (isinf (high) ? 0 : high);
    case VARIANCE: return square / n;
    case MEAN_KEEP: return sum / n;
    default: return 0;
    }
}

static void
reference (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint axis = n[1] < 0 ? (gint) x->shape.rank + n[1] : n[1];
  gint64 outer = 1, inner = 1, length = x->shape.dims[axis];
  gboolean scan = n[0] >= CUMMAX, keep = n[0] == MEAN_KEEP || n[0] == MAX_KEEP;
  FmShape shape = { 0 };

  for (gint a = 0; a < (gint) x->shape.rank; a++)
    {
      if (a < axis)
        outer *= x->shape.dims[a];
      if (a > axis)
        inner *= x->shape.dims[a];
      if (a != axis || keep)
        shape.dims[shape.rank++] = a == axis ? 1 : x->shape.dims[a];
    }
  if (shape.rank == 0)
    shape = FM_SHAPE (1);
  fm_op_array_init (y, scan ? x->shape : shape);
  for (gint64 o = 0; o < outer; o++)
    for (gint64 j = 0; j < inner; j++)
      {
        const gdouble *from = x->v + o * length * inner + j;

        if (scan)
          line (n[0], from, length, inner, y->v + o * length * inner + j);
        else
          y->v[o * inner + j] = line (n[0], from, length, inner, NULL);
      }
}

static void
reference_axes (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  FmShape shape = x->shape;
  gdouble share;

  for (guint k = 1; k <= 2 && n[0] != MEAN_ALL; k++)
    shape.dims[n[k] < 0 ? (gint) shape.rank + n[k] : n[k]] = 1;
  if (n[0] == MEAN_ALL)
    shape = FM_SHAPE (1);
  fm_op_array_init (y, shape);
  share = n[0] == SUM_AXES ? 1 : (gdouble) y->n / x->n;
  for (gint64 i = 0; i < x->n; i++)
    {
      gint64 at = 0, scale = 1, rest = i;

      for (guint a = shape.rank; n[0] != MEAN_ALL && a-- > 0; rest /= x->shape.dims[a])
        {
          at += shape.dims[a] == 1 ? 0 : rest % x->shape.dims[a] * scale;
          scale *= shape.dims[a];
        }
      y->v[at] += x->v[i] * share;
    }
}

/* The derivative as the result, weighted by the second input: its gradient is the second derivative. */
static FmTensor *
build_slope (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  const gint64 kind[] = { n[0] == LSE_SLOPE ? LSE : n[0] == VARIANCE_SLOPE ? VARIANCE : CUMMAX, n[1], 0, 0 };
  FmTensor *dx;

  fm_grad (g, fm_sum_all (g, fm_mul (g, fm_square (g, build (g, x, kind, f)), x[1])), x, 1, &dx);
  return dx;
}

/* d (f^2 w) / dx over the last axis: 2 f w softmax, 2 f w 2 (x - mean) / n, sums of 2 y w where y came from. */
static void
reference_slope (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 c = x->shape.dims[x->shape.rank - 1];

  fm_op_array_init (y, x->shape);
  for (gint64 r = 0; r < x->n / c; r++)
    {
      const gdouble *in = x->v + r * c;
      gdouble v = line (n[0] == LSE_SLOPE ? LSE : VARIANCE, in, c, 1, NULL), mean = line (MEAN_KEEP, in, c, 1, NULL);
      gint64 best = 0;

      for (gint64 i = 0; i < c; i++)
        {
          if (in[i] > in[best])
            best = i;
          if (n[0] == LSE_SLOPE)
            y->v[r * c + i] = 2 * v * x[1].v[r] * exp (in[i] - v);
          else if (n[0] == VARIANCE_SLOPE)
            y->v[r * c + i] = 2 * v * x[1].v[r] * 2 * (in[i] - mean) / c;
          else
            y->v[r * c + best] += 2 * in[best] * x[1].v[r * c + i];
        }
    }
}

static void
fill_ties (FmOpArray *x)
{
  for (gint64 i = 0; i < x->n; i++)
    x->v[i] = i % 3;
}

/* NaN early, late, twice, alone in a line, and lines without. */
static void
fill_nan (FmOpArray *x)
{
  for (gint64 i = 0; i < x->n; i++)
    if (i % 97 == 5 || i % 31 == 30 || i % 133 == 132)
      x->v[i] = NAN;
}

static void
fill_zeros (FmOpArray *x)
{
  gint64 c = x->shape.dims[x->shape.rank - 1];

  for (gint64 i = 0; i < x->n; i++)
    x->v[i] = i / c == 0 ? 0 : i / c == 1 ? i % c + 1 : i / c == 2 ? i % c == c - 1 : i % 3;
}

/* Row 0 is -inf alone, row 1 has one number left, row 2 a +inf. */
static void
fill_masked (FmOpArray *x)
{
  gint64 c = x->shape.dims[x->shape.rank - 1];

  for (gint64 i = 0; i < c; i++)
    {
      x->v[i] = -INFINITY;
      if (i > 0)
        x->v[c + i] = -INFINITY;
    }
}

static void
fill_infinite (FmOpArray *x)
{
  fill_masked (x);
  x->v[2 * x->shape.dims[x->shape.rank - 1]] = INFINITY;
  x->v[3 * x->shape.dims[x->shape.rank - 1] + 1] = NAN;
}

static void
fill_offset (FmOpArray *x)
{
  for (gint64 i = 0; i < x->n; i++)
    x->v[i] += i < x->n / 2 ? 1000 : -1000;
}

#define F32(...) { FM_F32, FM_SHAPE (__VA_ARGS__), -1, 1, TRUE }
#define FILLED(fill, ...) { FM_F32, FM_SHAPE (__VA_ARGS__), -1, 1, FALSE, fill }
#define CASE(id, kind, axis, a, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { kind, axis }, .build = build, .reference = reference, \
    .atol = a, .rtol = 3e-7, .grad_atol = 1e-5, .grad_rtol = 1e-5, \
    .why = "sqrt (K) 6e-8 times 4 for a sum of K terms below 1; extremes are exact" }
#define AXES(id, kind, first, second, a, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { kind, first, second }, .build = build, \
    .reference = reference_axes, .atol = a, .rtol = 3e-7, .grad_atol = 1e-5, .grad_rtol = 1e-5, \
    .why = "sqrt (K) 6e-8 times 4 for a sum of K terms below 1" }

static const FmOpCase cases[] = {
  CASE ("min/last", MIN_, -1, 0, F32 (7, 33)),
  CASE ("min/first", MIN_, 0, 0, F32 (33, 7)),
  CASE ("min/middle", MIN_, 1, 0, F32 (3, 17, 5)),
  CASE ("min/one", MIN_, 0, 0, F32 (1)),
  CASE ("min/long", MIN_, 0, 0, F32 (700, 65)),
  CASE ("min/long-row", MIN_, 1, 0, F32 (2, 70001)),
  CASE ("argmin/last", ARGMIN, -1, 0, FILLED (NULL, 7, 133)),
  CASE ("argmin/first", ARGMIN, 0, 0, FILLED (NULL, 133, 7)),
  CASE ("argmin/ties", ARGMIN, -1, 0, FILLED (fill_ties, 5, 150)),
  CASE ("min/nan", MIN_, -1, 0, FILLED (fill_nan, 9, 133)),
  CASE ("min/nan-first", MIN_, 0, 0, FILLED (fill_nan, 19, 133)),
  CASE ("max/nan", MAX_, -1, 0, FILLED (fill_nan, 9, 133)),
  CASE ("max/nan-first", MAX_, 0, 0, FILLED (fill_nan, 19, 133)),
  CASE ("max/nan-pieces", MAX_, 1, 0, FILLED (fill_nan, 2, 70001)),
  CASE ("max/nan-long", MAX_, 0, 0, FILLED (fill_nan, 1700, 65)),
  CASE ("argmin/nan", ARGMIN, -1, 0, FILLED (fill_nan, 9, 133)),
  CASE ("argmax/nan", ARGMAX, -1, 0, FILLED (fill_nan, 9, 133)),
  CASE ("argmax/nan-first", ARGMAX, 0, 0, FILLED (fill_nan, 133, 9)),
  CASE ("max-keep", MAX_KEEP, 1, 0, F32 (3, 17, 5)),
  CASE ("mean-keep", MEAN_KEEP, 1, 3e-7, F32 (3, 17, 5)),
  CASE ("any", ANY, -1, 0, FILLED (fill_zeros, 7, 33)),
  CASE ("all", ALL, -1, 0, FILLED (fill_zeros, 7, 33)),
  CASE ("variance/last", VARIANCE, -1, 3e-7, F32 (7, 33)),
  CASE ("variance/first", VARIANCE, 0, 3e-7, F32 (33, 7)),
  CASE ("variance/one", VARIANCE, -1, 0, F32 (3, 1)),
  CASE ("log-sum-exp/last", LSE, -1, 5e-7, F32 (7, 33)),
  CASE ("log-sum-exp/first", LSE, 0, 5e-7, F32 (33, 7)),
  CASE ("log-sum-exp/middle", LSE, 1, 5e-7, F32 (3, 17, 5)),
  CASE ("log-sum-exp/vector", LSE, 0, 5e-7, F32 (300)),
  CASE ("log-sum-exp/one", LSE, -1, 5e-7, F32 (3, 1)),
  CASE ("log-sum-exp/masked", LSE, -1, 5e-7, { FM_F32, FM_SHAPE (5, 33), -3, 3, TRUE, fill_masked }),
  CASE ("log-sum-exp/infinite", LSE, -1, 5e-7, FILLED (fill_infinite, 5, 33)),
  CASE ("log-sum-exp/offset", LSE, -1, 1e-6, { FM_F32, FM_SHAPE (6, 33), -3, 3, TRUE, fill_offset }),
  CASE ("log-sum-exp/threads", LSE, -1, 5e-7, F32 (900, 130)),
  AXES ("sum-axes/outer", SUM_AXES, 0, 1, 3e-6, F32 (3, 17, 5)),
  AXES ("sum-axes/apart", SUM_AXES, 0, -1, 3e-6, F32 (3, 17, 5)),
  AXES ("sum-axes/inner", SUM_AXES, 1, 2, 3e-6, F32 (3, 17, 5, 2)),
  AXES ("mean-axes/apart", MEAN_AXES, -1, 0, 3e-7, F32 (3, 17, 5)),
  AXES ("mean-axes/one", MEAN_AXES, 0, 1, 3e-7, F32 (1, 1)),
  AXES ("mean-all", MEAN_ALL, 0, 0, 3e-7, F32 (3, 17, 5)),
  CASE ("cumsum-reverse/last", CUMSUM_REVERSE, -1, 4e-6, F32 (5, 67)),
  CASE ("cumsum-reverse/first", CUMSUM_REVERSE, 0, 4e-6, F32 (67, 5)),
  CASE ("cumsum-reverse/exclusive", CUMSUM_REVERSE_EXCLUSIVE, 1, 4e-6, F32 (3, 17, 5)),
  CASE ("cummax/last", CUMMAX, -1, 0, F32 (5, 67)),
  CASE ("cummax/first", CUMMAX, 0, 0, F32 (67, 5)),
  CASE ("cummax/middle", CUMMAX, 1, 0, F32 (3, 17, 5)),
  CASE ("cummax/wide", CUMMAX, 1, 0, F32 (2, 5, 1100)),
  CASE ("cummax/one", CUMMAX, 0, 0, F32 (1)),
  CASE ("cummax/nan", CUMMAX, -1, 0, FILLED (fill_nan, 9, 133)),
  CASE ("cummax-index/ties", CUMMAX_INDEX, -1, 0, FILLED (fill_ties, 5, 50)),
  CASE ("cummax-index/first", CUMMAX_INDEX, 0, 0, FILLED (NULL, 67, 5)),
  CASE ("cummax-index/nan", CUMMAX_INDEX, -1, 0, FILLED (fill_nan, 9, 133)),
};

#define SLOPE(id, kind, ...) \
  { .name = "slope/" id, .quick = TRUE, .in = { F32 (4, 9), { FM_F32, FM_SHAPE (__VA_ARGS__), -1, 1, TRUE } }, \
    .n = { kind, -1 }, .build = build_slope, .reference = reference_slope, .atol = 2e-6, .rtol = 2e-6, \
    .no_views = TRUE, .no_vulkan = TRUE, \
    .why = "a chain of sums of 9 terms; no Vulkan: the ops below it have their own cases there" }

static const FmOpCase slope_cases[] = {
  SLOPE ("log-sum-exp", LSE_SLOPE, 4),
  SLOPE ("variance", VARIANCE_SLOPE, 4),
  SLOPE ("cummax", CUMMAX_SLOPE, 4, 9),
};

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fm_op_test_add ("reductions", cases, G_N_ELEMENTS (cases));
  fm_op_test_add ("reductions", slope_cases, G_N_ELEMENTS (slope_cases));
  return g_test_run ();
}
