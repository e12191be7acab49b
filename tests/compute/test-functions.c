/* test-functions.c: functions of one and two operands beyond arithmetic: their values, slopes and second slopes, what
 * they do at the ends of their domain, rounding with a borrowed gradient. */
#include "op-test.h"

#include <math.h>

/* --- One operand: value, slope and second slope from one list ----------------------------------------------------*/

enum { RECIPROCAL, ERF, GELU_TANH, SOFTPLUS, LEAKY_RELU, SIN, COS, LOG1P, EXPM1, LOG1MEXP, LOG_SIGMOID, ELU, FLOOR,
       CEIL, ROUND, SIGN, CLAMP_, POW_SCALAR };

static FmTensor *
build (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  switch (n[0])
    {
    case RECIPROCAL: return fm_reciprocal (g, x[0]);
    case ERF: return fm_erf (g, x[0]);
    case GELU_TANH: return fm_gelu_tanh (g, x[0]);
    case SOFTPLUS: return fm_softplus (g, x[0]);
    case LEAKY_RELU: return fm_leaky_relu (g, x[0], f[0]);
    case SIN: return fm_sin (g, x[0]);
    case COS: return fm_cos (g, x[0]);
    case LOG1P: return fm_log1p (g, x[0]);
    case EXPM1: return fm_expm1 (g, x[0]);
    case LOG1MEXP: return fm_log1mexp (g, x[0]);
    case LOG_SIGMOID: return fm_log_sigmoid (g, x[0]);
    case ELU: return fm_elu_alpha (g, x[0], f[0]);
    case FLOOR: return fm_floor (g, x[0]);
    case CEIL: return fm_ceil (g, x[0]);
    case ROUND: return fm_round (g, x[0]);
    case SIGN: return fm_sign (g, x[0]);
    case CLAMP_: return fm_clamp (g, x[0], -f[0], f[0]);
    case POW_SCALAR: return fm_pow_scalar (g, x[0], f[0]);
    default: g_assert_not_reached ();
    }
}

static gdouble
value (gint64 kind, gdouble x, gdouble c)
{
  gdouble t;

  switch (kind)
    {
    case RECIPROCAL: return 1 / x;
    case ERF: return erf (x);
    case GELU_TANH:
      t = tanh (sqrt (2 / G_PI) * (x + 0.044715 * x * x * x));
      return 0.5 * x * (1 + t);
    case SOFTPLUS: return x > 0 ? x + log1p (exp (-x)) : log1p (exp (x));
    case LEAKY_RELU: return x < 0 ? c * x : x;
    case SIN: return sin (x);
    case COS: return cos (x);
    case LOG1P: return log1p (x);
    case EXPM1: return expm1 (x);
    case LOG1MEXP: return x > -0.5 ? log (-expm1 (x)) : log1p (-exp (x));
    case LOG_SIGMOID: return x < 0 ? x - log1p (exp (x)) : -log1p (exp (-x));
    case ELU: return x > 0 ? x : c * expm1 (x);
    case FLOOR: return floor (x);
    case CEIL: return ceil (x);
    case ROUND: return nearbyint (x);
    case SIGN: return isnan (x) ? NAN : (x > 0) - (x < 0);
    case CLAMP_: return isnan (x) ? NAN : CLAMP (x, -c, c);
    case POW_SCALAR: return pow (x, c);
    default: g_assert_not_reached ();
    }
}

static void
reference (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  fm_op_array_init (y, x->shape);
  for (gint64 i = 0; i < y->n; i++)
    y->v[i] = value (n[0], x->v[i], f[0]);
}

/* The derivative by central differences of fourth order: good to 1e-10 relative in double. */
static gdouble
slope (gint64 kind, gdouble x, gdouble c)
{
  gdouble h = 1e-3 * MAX (fabs (x), 0.1);
  gdouble near = value (kind, x + h, c) - value (kind, x - h, c);
  gdouble far = value (kind, x + 2 * h, c) - value (kind, x - 2 * h, c);

  return (8 * near - far) / (12 * h);
}

/* The derivative as the result, so that the harness's gradient is the second derivative. */
static FmTensor *
build_slope (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *dx;

  fm_grad (g, fm_sum_all (g, build (g, x, n, f)), x, 1, &dx);
  return dx;
}

static void
reference_slope (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  fm_op_array_init (y, x->shape);
  for (gint64 i = 0; i < y->n; i++)
    y->v[i] = slope (n[0], x->v[i], f[0]);
}

/* The gradient of the sum of squared slopes is 2 f' f'': one number made of both. */
static FmTensor *
build_penalty (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_sum_all (g, fm_square (g, build_slope (g, x, n, f)));
}

static void
reference_penalty (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  fm_op_array_init (y, FM_SHAPE (1));
  for (gint64 i = 0; i < x->n; i++)
    y->v[0] += slope (n[0], x->v[i], f[0]) * slope (n[0], x->v[i], f[0]);
}

static void
fill_no_kink (FmOpArray *x)
{
  for (gint64 i = 0; i < x->n; i++)
    if (fabs (x->v[i]) < 0.05 || fabs (fabs (x->v[i]) - 0.75) < 0.01)
      x->v[i] = 0.5;
}

/* Near 0, where a naive form loses everything. */
static void
fill_tiny (FmOpArray *x)
{
  const gdouble sizes[] = { 1e-1, 1e-2, 1e-3, 1e-5, 1e-8, 1e-20 };

  for (gint64 i = 0; i < x->n; i++)
    x->v[i] = (x->v[i] < 0 ? -1 : 1) * sizes[i % G_N_ELEMENTS (sizes)];
}

static void
fill_extremes (FmOpArray *x)
{
  const gdouble special[] = { 0, -INFINITY, INFINITY, NAN, 1e-30, -1e-30, 300, -300, 1, -1, 3e38, -3e38 };

  for (guint i = 0; i < G_N_ELEMENTS (special); i++)
    x->v[i] = special[i];
}

static void
fill_negative_extremes (FmOpArray *x)
{
  const gdouble special[] = { 0, -INFINITY, NAN, -1e-30, -300, -1, -0.6931472, -0.69, -0.7, -3e38 };

  for (guint i = 0; i < G_N_ELEMENTS (special); i++)
    x->v[i] = special[i];
}

/* Halves, whose rounding is to even, and numbers that have no fraction. */
static void
fill_halves (FmOpArray *x)
{
  const gdouble special[] = { 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0, 8388609, -8388609, 16777216, NAN, INFINITY,
                              0.49999997 };

  for (guint i = 0; i < G_N_ELEMENTS (special); i++)
    x->v[i] = special[i];
}

#define CASE(id, kind, low_, high_, fill_, c, a, r, ...) \
  { .name = id, .quick = TRUE, .in = { { FM_F32, FM_SHAPE (__VA_ARGS__), low_, high_, TRUE, fill_ } }, \
    .n = { kind }, .f = { c }, .build = build, .reference = reference, .atol = a, .rtol = r, .grad_atol = 2e-6, \
    .grad_rtol = 5e-6, .why = "the bound in math.h and one or two roundings; gradients: a chain of five" }
/* Values alone: at a kink, or where a step of the difference is longer than a wave. */
#define VALUE(id, kind, low_, high_, fill_, a, r, ...) \
  { .name = id, .quick = TRUE, .in = { { FM_F32, FM_SHAPE (__VA_ARGS__), low_, high_, FALSE, fill_ } }, \
    .n = { kind }, .f = { 0.25 }, .build = build, .reference = reference, .atol = a, .rtol = r, \
    .why = "the bound in math.h; results below 2^-126 may be flushed to zero" }

static const FmOpCase unary_cases[] = {
  CASE ("reciprocal", RECIPROCAL, 0.3, 4, NULL, 0, 0, 2e-7, 5, 7),
  CASE ("erf", ERF, -5, 5, NULL, 0, 0, 4e-7, 7, 133),
  CASE ("erf/tiny", ERF, -1, 1, fill_tiny, 0, 0, 4e-7, 41),
  CASE ("gelu-tanh", GELU_TANH, -5, 5, NULL, 0, 3e-7, 2e-6, 7, 33),
  CASE ("gelu-tanh/wide", GELU_TANH, -60, 60, NULL, 0, 3e-7, 2e-6, 129),
  CASE ("softplus", SOFTPLUS, -20, 20, NULL, 0, 0, 6e-7, 7, 33),
  CASE ("softplus/threads", SOFTPLUS, -5, 5, NULL, 0, 0, 6e-7, 40000),
  CASE ("leaky-relu", LEAKY_RELU, -2, 2, fill_no_kink, 0.1, 0, 1e-7, 7, 33),
  CASE ("sin", SIN, -10, 10, NULL, 0, 2e-7, 2e-7, 7, 133),
  VALUE ("sin/wide", SIN, -1e5, 1e5, NULL, 3e-7, 0, 1201),
  CASE ("sin/tiny", SIN, -1, 1, fill_tiny, 0, 0, 2e-7, 41),
  CASE ("cos", COS, -10, 10, NULL, 0, 2e-7, 2e-7, 7, 133),
  VALUE ("cos/wide", COS, -1e5, 1e5, NULL, 3e-7, 0, 1201),
  CASE ("log1p", LOG1P, -0.9, 5, NULL, 0, 0, 4e-7, 7, 33),
  CASE ("log1p/tiny", LOG1P, -1, 1, fill_tiny, 0, 0, 4e-7, 41),
  CASE ("expm1", EXPM1, -5, 5, NULL, 0, 0, 5e-7, 7, 33),
  CASE ("expm1/tiny", EXPM1, -1, 1, fill_tiny, 0, 0, 4e-7, 41),
  CASE ("log1mexp", LOG1MEXP, -20, -0.01, NULL, 0, 3e-7, 5e-7, 7, 33),
  CASE ("log-sigmoid", LOG_SIGMOID, -20, 20, NULL, 0, 0, 6e-7, 7, 33),
  CASE ("elu-alpha", ELU, -5, 5, fill_no_kink, 0.4, 0, 5e-7, 7, 33),
  VALUE ("elu-alpha/tiny", ELU, -1, 1, fill_tiny, 0, 5e-7, 41),
  CASE ("clamp", CLAMP_, -2, 2, fill_no_kink, 0.75, 0, 0, 7, 33),
  CASE ("pow-scalar/2.5", POW_SCALAR, 0.1, 4, NULL, 2.5, 0, 1e-6, 7, 33),
  CASE ("pow-scalar/cube", POW_SCALAR, -3, 3, fill_no_kink, 3, 0, 2e-6, 7, 33),
  CASE ("pow-scalar/-4", POW_SCALAR, -3, -0.5, NULL, -4, 0, 2e-6, 7, 33),
  CASE ("pow-scalar/square", POW_SCALAR, -3, 3, NULL, 2, 0, 2e-7, 7, 33),
  CASE ("pow-scalar/root", POW_SCALAR, 0.5, 3, NULL, 0.5, 0, 3e-7, 7, 33),
  CASE ("pow-scalar/-0.5", POW_SCALAR, 0.5, 3, NULL, -0.5, 0, 3e-7, 7, 33),
  CASE ("pow-scalar/one", POW_SCALAR, -3, 3, NULL, 1, 0, 0, 7, 33),
  VALUE ("erf/extremes", ERF, -2, 0, fill_extremes, 0, 4e-7, 2, 19),
  VALUE ("gelu-tanh/extremes", GELU_TANH, -2, 0, fill_negative_extremes, 3e-7, 2e-6, 2, 19),
  VALUE ("softplus/extremes", SOFTPLUS, -2, 0, fill_extremes, 2e-38, 6e-7, 2, 19),
  VALUE ("log1p/extremes", LOG1P, -2, 0, fill_extremes, 0, 4e-7, 2, 19),
  VALUE ("expm1/extremes", EXPM1, -2, 0, fill_extremes, 0, 5e-7, 2, 19),
  VALUE ("log1mexp/extremes", LOG1MEXP, -2, 0, fill_negative_extremes, 1e-6, 5e-7, 2, 19),
  VALUE ("log-sigmoid/extremes", LOG_SIGMOID, -2, 0, fill_extremes, 2e-38, 6e-7, 2, 19),
  VALUE ("elu-alpha/extremes", ELU, -2, 0, fill_extremes, 0, 5e-7, 2, 19),
  VALUE ("leaky-relu/extremes", LEAKY_RELU, -2, 0, fill_extremes, 0, 1e-7, 2, 19),
  VALUE ("reciprocal/extremes", RECIPROCAL, -2, 0, fill_extremes, 2e-38, 2e-7, 2, 19),
  VALUE ("clamp/extremes", CLAMP_, -2, 0, fill_extremes, 0, 0, 2, 19),
  VALUE ("sign/extremes", SIGN, -2, 0, fill_extremes, 0, 0, 2, 19),
  CASE ("floor/flat", FLOOR, 1.05, 1.45, NULL, 0, 0, 0, 7, 33),
  CASE ("ceil/flat", CEIL, 1.05, 1.45, NULL, 0, 0, 0, 7, 33),
  CASE ("round/flat", ROUND, 1.05, 1.45, NULL, 0, 0, 0, 7, 33),
  CASE ("sign/flat", SIGN, 1.05, 1.45, NULL, 0, 0, 0, 7, 33),
  VALUE ("floor/extremes", FLOOR, -2, 0, fill_halves, 0, 0, 2, 19),
  VALUE ("ceil/extremes", CEIL, -2, 0, fill_halves, 0, 0, 2, 19),
  VALUE ("round/extremes", ROUND, -2, 0, fill_halves, 0, 0, 2, 19),
};

#define SLOPE(id, kind, low_, high_, c) \
  { .name = "slope/" id, .in = { { FM_F32, FM_SHAPE (3, 7), low_, high_, TRUE, fill_no_kink } }, .n = { kind }, \
    .f = { c }, .build = build_slope, .reference = reference_slope, .atol = 1e-6, .rtol = 2e-6, .grad_atol = 1e-5, \
    .grad_rtol = 1e-5, .grad_step = 1e-4, .why = "a chain of ten roundings; the reference is a difference itself" }, \
  { .name = "penalty/" id, .in = { { FM_F32, FM_SHAPE (3, 7), low_, high_, TRUE, fill_no_kink } }, .n = { kind }, \
    .f = { c }, .build = build_penalty, .reference = reference_penalty, .atol = 1e-6, .rtol = 5e-6, .grad_atol = 2e-5, \
    .grad_rtol = 2e-5, .grad_step = 1e-4, .no_views = TRUE, .no_vulkan = TRUE, \
    .why = "a sum of 21 squares of the above; no Vulkan and no views: the slope has them" }

static const FmOpCase slope_cases[] = {
  SLOPE ("reciprocal", RECIPROCAL, 0.6, 3, 0), SLOPE ("erf", ERF, -2, 2, 0), SLOPE ("gelu-tanh", GELU_TANH, -3, 3, 0),
  SLOPE ("softplus", SOFTPLUS, -6, 6, 0), SLOPE ("leaky-relu", LEAKY_RELU, -2, 2, 0.1), SLOPE ("sin", SIN, -4, 4, 0),
  SLOPE ("cos", COS, -4, 4, 0), SLOPE ("log1p", LOG1P, -0.5, 3, 0), SLOPE ("expm1", EXPM1, -2, 2, 0),
  SLOPE ("log1mexp", LOG1MEXP, -4, -0.5, 0), SLOPE ("log-sigmoid", LOG_SIGMOID, -6, 6, 0),
  SLOPE ("elu-alpha", ELU, -3, 3, 0.4), SLOPE ("pow-scalar", POW_SCALAR, 0.5, 3, 2.5),
};

/* --- Two operands -------------------------------------------------------------------------------------------------*/

enum { POW, MINIMUM, MAXIMUM, GREATER, GREATER_EQUAL, NOT_EQUAL };

static FmTensor *
build_binary (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  static FmTensor *(*const builders[]) (FmGraph *, FmTensor *, FmTensor *) = {
    fm_pow, fm_minimum, fm_maximum, fm_greater, fm_greater_equal, fm_not_equal
  };

  return builders[n[0]] (g, x[0], x[1]);
}

/* The second operand is a row of the first's last axis, or of its shape. */
static void
reference_binary (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  fm_op_array_init (y, x->shape);
  for (gint64 i = 0; i < y->n; i++)
    {
      gdouble a = x[0].v[i], b = x[1].v[i % x[1].n];
      gboolean bad = isnan (a) || isnan (b);

      switch (n[0])
        {
        case POW: y->v[i] = pow (a, b); break;
        case MINIMUM: y->v[i] = bad ? NAN : MIN (a, b); break;
        case MAXIMUM: y->v[i] = bad ? NAN : MAX (a, b); break;
        case GREATER: y->v[i] = a > b; break;
        case GREATER_EQUAL: y->v[i] = a >= b; break;
        case NOT_EQUAL: y->v[i] = a != b; break;
        default: g_assert_not_reached ();
        }
    }
}

static void
fill_exponents (FmOpArray *x)
{
  const gdouble special[] = { 0, 1, 2, -1, 3, -2, 0.5, 4 };

  for (gint64 i = 0; i < x->n; i++)
    x->v[i] = special[i % G_N_ELEMENTS (special)];
}

static void
fill_bases (FmOpArray *x)
{
  const gdouble special[] = { 0, -2, 1, 3, -1.5, INFINITY, NAN, -0.5, 1e-20 };

  for (gint64 i = 0; i < x->n; i++)
    x->v[i] = special[i % G_N_ELEMENTS (special)];
}

static void
fill_some_nan (FmOpArray *x)
{
  for (gint64 i = 0; i < x->n; i += x->n > 20 ? 3 : 4)
    x->v[i] = NAN;
}

#define F32(...) { FM_F32, FM_SHAPE (__VA_ARGS__), -2, 2, TRUE }
#define I32(...) { FM_I32, FM_SHAPE (__VA_ARGS__), -3, 3 }
#define PAIR(id, kind, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { kind }, .build = build_binary, \
    .reference = reference_binary, .atol = 0, .rtol = 0, .grad_atol = 1e-6, .grad_rtol = 2e-6, \
    .why = "nothing is rounded; gradients sum up to nine terms" }
#define POWER(id, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { POW }, .build = build_binary, \
    .reference = reference_binary, .atol = 1e-37, .rtol = 2e-6, .grad_atol = 2e-5, .grad_rtol = 1e-5, \
    .why = "FM_POWF_MAX_ERR for |y log x| below 10; gradients sum up to nine terms" }

static const FmOpCase binary_cases[] = {
  POWER ("pow/same-shape", { FM_F32, FM_SHAPE (7, 33), 0.1, 4, TRUE }, F32 (7, 33)),
  POWER ("pow/row", { FM_F32, FM_SHAPE (9, 17), 0.1, 4, TRUE }, F32 (17)),
  POWER ("pow/one", { FM_F32, FM_SHAPE (1), 0.1, 4, TRUE }, F32 (1)),
  POWER ("pow/special", { FM_F32, FM_SHAPE (9, 8), -2, 2, FALSE, fill_bases },
         { FM_F32, FM_SHAPE (8), -2, 2, FALSE, fill_exponents }),
  PAIR ("minimum/nan", MINIMUM, { FM_F32, FM_SHAPE (9, 17), -2, 2, FALSE, fill_some_nan },
        { FM_F32, FM_SHAPE (17), -2, 2, FALSE, fill_some_nan }),
  PAIR ("maximum/nan", MAXIMUM, { FM_F32, FM_SHAPE (9, 17), -2, 2, FALSE, fill_some_nan },
        { FM_F32, FM_SHAPE (17), -2, 2, FALSE, fill_some_nan }),
  PAIR ("greater/row", GREATER, { FM_F32, FM_SHAPE (9, 17), -2, 2, FALSE, fill_some_nan },
        { FM_F32, FM_SHAPE (17), -2, 2, FALSE }),
  PAIR ("greater/i32", GREATER, I32 (9, 17), I32 (17)),
  PAIR ("greater-equal/i32", GREATER_EQUAL, I32 (9, 17), I32 (9, 17)),
  PAIR ("not-equal/i32", NOT_EQUAL, I32 (9, 17), I32 (17)),
  PAIR ("not-equal/nan", NOT_EQUAL, { FM_F32, FM_SHAPE (9, 17), -2, 2, FALSE, fill_some_nan },
        { FM_F32, FM_SHAPE (9, 17), -2, 2, FALSE, fill_some_nan }),
};

/* --- A step with a borrowed gradient ------------------------------------------------------------------------------*/

static FmTensor *
build_straight (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_mul (g, fm_straight_through (g, fm_round (g, x[0]), fm_tanh (g, x[0])), x[1]);
}

/* The gradient alone: what arrives at x is x1 times the slope of tanh, while the value is that of round. */
static FmTensor *
build_straight_slope (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *dx;

  fm_grad (g, fm_sum_all (g, build_straight (g, x, n, f)), x, 1, &dx);
  return dx;
}

static void
reference_straight (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  fm_op_array_init (y, x->shape);
  for (gint64 i = 0; i < y->n; i++)
    y->v[i] = (n[0] ? 1 - tanh (x[0].v[i]) * tanh (x[0].v[i]) : nearbyint (x[0].v[i])) * x[1].v[i];
}

static const FmOpCase straight_cases[] = {
  { .name = "straight-through/value", .quick = TRUE, .in = { { FM_F32, FM_SHAPE (5, 9), -3, 3 }, F32 (5, 9) },
    .build = build_straight, .reference = reference_straight, .atol = 0, .rtol = 1e-7, .grad_rtol = 1e-6,
    .grad_atol = 1e-6, .why = "one product of the step itself, to the bit" },
  { .name = "straight-through/slope", .quick = TRUE, .in = { { FM_F32, FM_SHAPE (5, 9), -3, 3 }, F32 (5, 9) },
    .n = { 1 }, .build = build_straight_slope, .reference = reference_straight, .atol = 1e-6, .rtol = 1e-6,
    .why = "the slope of tanh, a chain of five" },
};

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fm_op_test_add ("functions", unary_cases, G_N_ELEMENTS (unary_cases));
  fm_op_test_add ("functions", slope_cases, G_N_ELEMENTS (slope_cases));
  fm_op_test_add ("functions", binary_cases, G_N_ELEMENTS (binary_cases));
  fm_op_test_add ("functions", straight_cases, G_N_ELEMENTS (straight_cases));
  return g_test_run ();
}
