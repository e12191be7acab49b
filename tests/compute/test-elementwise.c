/* test-elementwise.c: arithmetic with broadcasting and functions of one operand. */
#include "op-test.h"

#include <math.h>
#include <string.h>

/* --- Two operands -------------------------------------------------------------------------------------------------*/

typedef FmTensor *(*Builder) (FmGraph *g, FmTensor *a, FmTensor *b);

enum { ADD, SUB, MUL, DIV, MINIMUM, MAXIMUM, LESS, LESS_EQUAL, EQUAL };

static FmTensor *
build_binary (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  static const Builder builders[] = { fm_add, fm_sub, fm_mul, fm_div, fm_minimum, fm_maximum, fm_less, fm_less_equal,
                                      fm_equal };

  return builders[n[0]] (g, x[0], x[1]);
}

/* Element of @a that stands at index @i of a tensor of @shape, to which @a is broadcast. */
static gdouble
broadcast_value (const FmOpArray *a, const FmShape *shape, gint64 i)
{
  gint64 at = 0, scale = 1;

  for (guint axis = 0; axis < shape->rank; axis++)
    {
      guint from_last = shape->rank - 1 - axis;
      gint64 index = i % shape->dims[from_last];

      i /= shape->dims[from_last];
      if (axis < a->shape.rank)
        {
          gint64 dim = a->shape.dims[a->shape.rank - 1 - axis];

          at += (dim == 1 ? 0 : index) * scale;
          scale *= dim;
        }
    }
  return a->v[at];
}

static FmShape
broadcast_shape (const FmOpArray *a, const FmOpArray *b)
{
  FmShape shape = a->shape.rank >= b->shape.rank ? a->shape : b->shape;

  for (guint k = 1; k <= shape.rank; k++)
    {
      gint64 da = k <= a->shape.rank ? a->shape.dims[a->shape.rank - k] : 1;
      gint64 db = k <= b->shape.rank ? b->shape.dims[b->shape.rank - k] : 1;

      shape.dims[shape.rank - k] = da == 1 ? db : da;
    }
  return shape;
}

static void
reference_binary (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  fm_op_array_init (y, broadcast_shape (&x[0], &x[1]));
  for (gint64 i = 0; i < y->n; i++)
    {
      gdouble a = broadcast_value (&x[0], &y->shape, i), b = broadcast_value (&x[1], &y->shape, i);

      switch (n[0])
        {
        case ADD: y->v[i] = a + b; break;
        case SUB: y->v[i] = a - b; break;
        case MUL: y->v[i] = a * b; break;
        case DIV: y->v[i] = a / b; break;
        case MINIMUM: y->v[i] = MIN (a, b); break;
        case MAXIMUM: y->v[i] = MAX (a, b); break;
        case LESS: y->v[i] = a < b; break;
        case LESS_EQUAL: y->v[i] = a <= b; break;
        case EQUAL: y->v[i] = a == b; break;
        default: g_assert_not_reached ();
        }
    }
}

#define WHY_ONE "one rounding; gradients of a broadcast sum up to a few hundred terms of size 2"
#define F32(...) { FM_F32, FM_SHAPE (__VA_ARGS__), -2, 2, TRUE }
#define POS(...) { FM_F32, FM_SHAPE (__VA_ARGS__), 0.5, 2, TRUE }
#define I32(...) { FM_I32, FM_SHAPE (__VA_ARGS__), -3, 3 }
#define BINARY(id, kind, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { kind }, \
    .build = build_binary, .reference = reference_binary, \
    .atol = 1e-7, .rtol = 2e-7, .grad_atol = 2e-5, .grad_rtol = 2e-6, .why = WHY_ONE }

static const FmOpCase binary_cases[] = {
  BINARY ("add/same-shape", ADD, F32 (7, 33), F32 (7, 33)),
  BINARY ("add/row", ADD, F32 (5, 3, 17), F32 (17)),
  BINARY ("add/column", ADD, F32 (5, 3, 17), F32 (5, 3, 1)),
  BINARY ("add/scalar", ADD, F32 (1), F32 (9, 5)),
  BINARY ("add/outer", ADD, F32 (13, 1), F32 (1, 11)),
  BINARY ("add/middle", ADD, F32 (3, 1, 5, 1, 2), F32 (4, 1, 3, 2)),
  BINARY ("add/one", ADD, F32 (1), F32 (1)),
  BINARY ("add/threads", ADD, F32 (300, 257), F32 (257)),
  BINARY ("add/i32", ADD, I32 (5, 7), I32 (7)),
  BINARY ("sub/same-shape", SUB, F32 (7, 9), F32 (7, 9)),
  BINARY ("sub/scalar-left", SUB, F32 (1), F32 (3, 9)),
  BINARY ("sub/i32", SUB, I32 (5, 7), I32 (5, 1)),
  BINARY ("mul/row", MUL, F32 (2, 3, 19), F32 (3, 19)),
  BINARY ("mul/i32", MUL, I32 (35), I32 (1)),
  BINARY ("div/column", DIV, F32 (6, 18), POS (6, 1)),
  BINARY ("div/over-row", DIV, F32 (18), POS (6, 18)),
  BINARY ("minimum/row", MINIMUM, F32 (6, 18), F32 (18)),
  BINARY ("minimum/i32", MINIMUM, I32 (6, 18), I32 (18)),
  BINARY ("maximum/column", MAXIMUM, F32 (6, 18), F32 (6, 1)),
  BINARY ("less/row", LESS, { FM_F32, FM_SHAPE (4, 9), -1, 1 }, { FM_F32, FM_SHAPE (9), -1, 1 }),
  BINARY ("less-equal/i32", LESS_EQUAL, I32 (4, 9), I32 (1, 9)),
  BINARY ("equal/i32", EQUAL, I32 (4, 9), I32 (4, 1)),
};

/* --- One operand --------------------------------------------------------------------------------------------------*/

enum { NEG, ABS, EXP, LOG, SQRT, RSQRT, SQUARE, TANH, SIGMOID, RELU, GELU, SILU, ELU, ADD_SCALAR, MUL_SCALAR };

static FmTensor *
build_unary (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  static FmTensor *(*const builders[]) (FmGraph *, FmTensor *) = {
    fm_neg, fm_abs, fm_exp, fm_log, fm_sqrt, fm_rsqrt, fm_square, fm_tanh, fm_sigmoid, fm_relu, fm_gelu, fm_silu, fm_elu
  };

  if (n[0] == ADD_SCALAR)
    return fm_add_scalar (g, x[0], f[0]);
  return n[0] == MUL_SCALAR ? fm_mul_scalar (g, x[0], f[0]) : builders[n[0]] (g, x[0]);
}

static gdouble
unary_value (gint64 kind, gdouble x, gdouble c)
{
  switch (kind)
    {
    case NEG: return -x;
    case ABS: return fabs (x);
    case EXP: return exp (x);
    case LOG: return log (x);
    case SQRT: return sqrt (x);
    case RSQRT: return 1 / sqrt (x);
    case SQUARE: return x * x;
    case TANH: return tanh (x);
    case SIGMOID: return 1 / (1 + exp (-x));
    case RELU: return x > 0 ? x : 0;
    case GELU: return x * 0.5 * erfc (-x / sqrt (2));
    case SILU: return x / (1 + exp (-x));
    case ELU: return x > 0 ? x : expm1 (x);
    case ADD_SCALAR: return x + c;
    case MUL_SCALAR: return x * c;
    default: g_assert_not_reached ();
    }
}

static void
reference_unary (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  fm_op_array_init (y, x->shape);
  for (gint64 i = 0; i < y->n; i++)
    y->v[i] = unary_value (n[0], x->v[i], f[0]);
}

/* Zero, subnormal, smallest normal, infinity: what a logarithm must get right. */
static void
fill_log_extremes (FmOpArray *x)
{
  const gdouble special[] = { 0, 1e-40, 1.17549435e-38, 1, INFINITY, 3e38 };

  for (guint i = 0; i < G_N_ELEMENTS (special); i++)
    x->v[i] = special[i];
}

static void
fill_exp_extremes (FmOpArray *x)
{
  const gdouble special[] = { 0, -INFINITY, INFINITY, 88.7, -87.3, -95, 1e-30, -200, 300 };

  for (guint i = 0; i < G_N_ELEMENTS (special); i++)
    x->v[i] = special[i];
}

/* Away from 0, where abs, relu and elu have a kink or a jump in the second derivative. */
static void
fill_no_kink (FmOpArray *x)
{
  for (gint64 i = 0; i < x->n; i++)
    if (fabs (x->v[i]) < 1e-3)
      x->v[i] = 0.5;
}

#define UNARY(id, kind, low_, high_, fill_, a, r, ...) \
  { .name = id, .quick = TRUE, .in = { { FM_F32, FM_SHAPE (__VA_ARGS__), low_, high_, TRUE, fill_ } }, \
    .n = { kind }, .f = { 0.75 }, .build = build_unary, .reference = reference_unary, .atol = a, .rtol = r, \
    .why = "a few roundings; the bounds of math.h" }

static const FmOpCase unary_cases[] = {
  UNARY ("neg", NEG, -2, 2, NULL, 0, 1e-7, 5, 7),
  UNARY ("abs", ABS, -2, 2, fill_no_kink, 0, 1e-7, 5, 7),
  UNARY ("exp", EXP, -80, 80, NULL, 1e-38, 5e-7, 3, 117),
  UNARY ("exp/small", EXP, -3, 3, NULL, 0, 2e-7, 1, 33),
  { .name = "exp/extremes", .quick = TRUE, .in = { { FM_F32, FM_SHAPE (2, 19), -90, 88, FALSE, fill_exp_extremes } },
    .n = { EXP }, .build = build_unary, .reference = reference_unary, .atol = 2e-38, .rtol = 5e-7,
    .why = "results below 2^-126 may be flushed to zero" },
  UNARY ("log", LOG, 1e-6, 50, NULL, 2e-7, 2e-7, 3, 117),
  { .name = "log/extremes", .quick = TRUE, .in = { { FM_F32, FM_SHAPE (2, 19), 0.5, 2, FALSE, fill_log_extremes } },
    .n = { LOG }, .build = build_unary, .reference = reference_unary, .atol = 2e-7, .rtol = 2e-7,
    .why = "FM_LOGF_MAX_ERR; subnormal arguments are scaled first"  },
  UNARY ("sqrt", SQRT, 0.1, 9, NULL, 0, 4e-7, 5, 7),
  UNARY ("rsqrt", RSQRT, 0.1, 9, NULL, 0, 6e-7, 5, 7),
  UNARY ("square", SQUARE, -9, 9, NULL, 0, 2e-7, 5, 7),
  UNARY ("tanh", TANH, -3, 3, NULL, 2e-7, 5e-7, 5, 33),
  UNARY ("tanh/wide", TANH, -50, 50, NULL, 2e-7, 5e-7, 65),
  UNARY ("sigmoid", SIGMOID, -80, 80, NULL, 1e-7, 5e-7, 5, 33),
  UNARY ("relu", RELU, -2, 2, fill_no_kink, 0, 1e-7, 5, 7),
  UNARY ("gelu", GELU, -5, 5, NULL, 5e-7, 1e-6, 7, 33),
  UNARY ("gelu/wide", GELU, -80, 80, NULL, 5e-7, 1e-6, 129),
  UNARY ("gelu/threads", GELU, -5, 5, NULL, 5e-7, 1e-6, 40000),
  UNARY ("silu", SILU, -10, 10, NULL, 1e-6, 5e-7, 7, 33),
  UNARY ("elu", ELU, -5, 5, fill_no_kink, 2e-7, 2e-7, 7, 33),
  UNARY ("add-scalar", ADD_SCALAR, -5, 5, NULL, 3e-7, 1e-7, 1),
  UNARY ("mul-scalar", MUL_SCALAR, -5, 5, NULL, 0, 1e-7, 4, 1, 3, 2),
};

/* --- Second derivatives: the same cases through the gradient -----------------------------------------------------*/

/* The derivative itself as the result: what the harness then checks is the gradient of the backward op. */
static FmTensor *
build_slope (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *loss = fm_sum_all (g, build_unary (g, x, n, f)), *dx;

  fm_grad (g, loss, x, 1, &dx);
  return dx;
}

static void
reference_slope (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  fm_op_array_init (y, x->shape);
  for (gint64 i = 0; i < y->n; i++)
    {
      gdouble at = x->v[i], density = exp (-at * at / 2) / sqrt (2 * G_PI), s = 1 / (1 + exp (-at));

      switch (n[0])
        {
        case EXP: y->v[i] = exp (at); break;
        case LOG: y->v[i] = 1 / at; break;
        case SQRT: y->v[i] = 0.5 / sqrt (at); break;
        case RSQRT: y->v[i] = -0.5 / (at * sqrt (at)); break;
        case SQUARE: y->v[i] = 2 * at; break;
        case TANH: y->v[i] = 1 - tanh (at) * tanh (at); break;
        case SIGMOID: y->v[i] = s * (1 - s); break;
        case GELU: y->v[i] = 0.5 * erfc (-at / sqrt (2)) + at * density; break;
        case SILU: y->v[i] = s * (1 + at * (1 - s)); break;
        case ELU: y->v[i] = at > 0 ? 1 : exp (at); break;
        default: g_assert_not_reached ();
        }
    }
}

#define SLOPE(id, kind, low_, high_) \
  { .name = "slope/" id, .in = { { FM_F32, FM_SHAPE (3, 7), low_, high_, TRUE, fill_no_kink } }, .n = { kind }, \
    .build = build_slope, .reference = reference_slope, .atol = 1e-6, .rtol = 1e-6, \
    .no_views = TRUE, .no_vulkan = TRUE, \
    .why = "a chain of some ten roundings; no Vulkan: the ops below it have their own cases there" }

static const FmOpCase slope_cases[] = {
  SLOPE ("exp", EXP, -2, 2), SLOPE ("log", LOG, 0.5, 2), SLOPE ("sqrt", SQRT, 0.5, 2), SLOPE ("rsqrt", RSQRT, 0.5, 2),
  SLOPE ("square", SQUARE, -2, 2), SLOPE ("tanh", TANH, -2, 2), SLOPE ("sigmoid", SIGMOID, -4, 4),
  SLOPE ("gelu", GELU, -4, 4), SLOPE ("silu", SILU, -4, 4), SLOPE ("elu", ELU, -2, 2),
};

/* --- Choice, casts, one-hot ---------------------------------------------------------------------------------------*/

static FmTensor *
build_where (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_where (g, x[0], x[1], x[2]);
}

static void
reference_where (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  FmOpArray both = { broadcast_shape (&x[0], &x[1]) };

  fm_op_array_init (y, broadcast_shape (&both, &x[2]));
  for (gint64 i = 0; i < y->n; i++)
    y->v[i] = broadcast_value (&x[broadcast_value (&x[0], &y->shape, i) != 0 ? 1 : 2], &y->shape, i);
}

static void
fill_mask (FmOpArray *x)
{
  for (gint64 i = 0; i < x->n; i++)
    x->v[i] = i % 3 == 0;
}

/* Infinity where the mask does not look: neither the value nor the gradient may become NaN. */
static void
fill_infinite (FmOpArray *x)
{
  for (gint64 i = 0; i < x->n; i++)
    if (i % 3 != 0)
      x->v[i] = INFINITY;
}

static FmTensor *
build_cast (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_cast (g, x[0], n[0]);
}

static void
reference_cast (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  fm_op_array_init (y, x->shape);
  for (gint64 i = 0; i < y->n; i++)
    y->v[i] = n[0] == FM_F32 ? (float) x->v[i] : isnan (x->v[i]) ? 0 : CLAMP (trunc (x->v[i]), G_MININT32, G_MAXINT32);
}

static void
fill_cast (FmOpArray *x)
{
  const gdouble special[] = { -0.9, 0.9, 1e10, -1e10, NAN, INFINITY, -INFINITY, 2147483520 };

  for (guint i = 0; i < G_N_ELEMENTS (special); i++)
    x->v[i] = special[i];
}

static FmTensor *
build_itself (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return x[0];
}

static void
reference_itself (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  fm_op_array_init (y, x->shape);
  memcpy (y->v, x->v, x->n * sizeof *x->v);
}

static FmTensor *
build_one_hot (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_one_hot (g, x[0], n[0]);
}

static void
reference_one_hot (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  FmShape shape = x->shape;

  shape.dims[shape.rank++] = n[0];
  fm_op_array_init (y, shape);
  for (gint64 i = 0; i < x->n; i++)
    if (x->v[i] >= 0 && x->v[i] < n[0])
      y->v[i * n[0] + (gint64) x->v[i]] = 1;
}

/* Counter times constant, both made of nothing. */
static FmTensor *
build_counter (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *count = fm_mul (g, fm_iota (g, n[0]), fm_constant (g, FM_I32, FM_SHAPE (2, n[0]), 3));

  return fm_add (g, x[0], fm_mul (g, fm_cast (g, count, FM_F32), fm_constant (g, FM_F32, FM_SHAPE (1), 0.5)));
}

static void
reference_counter (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  fm_op_array_init (y, FM_SHAPE (2, n[0]));
  for (gint64 i = 0; i < y->n; i++)
    y->v[i] = x->v[0] + 1.5 * (i % n[0]);
}

static FmTensor *
build_stopped (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_add (g, x[0], fm_stop_gradient (g, x[1]));
}

#define EXACT .quick = TRUE, .atol = 0, .rtol = 0, .grad_atol = 2e-6, .grad_rtol = 1e-6, \
  .why = "nothing is rounded; gradients of a broadcast sum up to a hundred terms"

static const FmOpCase choice_cases[] = {
  { .name = "where/same-shape", .in = { { FM_F32, FM_SHAPE (5, 9), 0, 1, FALSE, fill_mask }, F32 (5, 9), F32 (5, 9) },
    .build = build_where, .reference = reference_where, EXACT },
  { .name = "where/infinite", .in = { { FM_F32, FM_SHAPE (36), 0, 1, FALSE, fill_mask },
      { FM_F32, FM_SHAPE (36), -2, 2, TRUE, fill_infinite }, F32 (1) },
    .build = build_where, .reference = reference_where, EXACT },
  { .name = "where/broadcast", .in = { { FM_F32, FM_SHAPE (5, 1), 0, 1, FALSE, fill_mask }, F32 (9), F32 (2, 1, 1) },
    .build = build_where, .reference = reference_where, EXACT },
  { .name = "where/i32", .in = { { FM_F32, FM_SHAPE (5, 9), 0, 1, FALSE, fill_mask }, I32 (5, 9), I32 (1) },
    .build = build_where, .reference = reference_where, EXACT },
  { .name = "cast/to-i32", .in = { { FM_F32, FM_SHAPE (3, 11), -40, 40, FALSE, fill_cast } }, .n = { FM_I32 },
    .build = build_cast, .reference = reference_cast, EXACT },
  /* An output that is a view is copied without a detour through f32, which has 24 bits. */
  { .name = "i32-output", .in = { { FM_I32, FM_SHAPE (3, 11), 2000000000, 2000000011 } }, .build = build_itself,
    .reference = reference_itself, EXACT },
  { .name = "cast/to-f32", .in = { { FM_I32, FM_SHAPE (3, 11), -20000000, 20000000 } }, .n = { FM_F32 },
    .build = build_cast, .reference = reference_cast, EXACT },
  { .name = "one-hot", .in = { { FM_I32, FM_SHAPE (3, 5), -1, 7 } }, .n = { 7 },
    .build = build_one_hot, .reference = reference_one_hot, EXACT },
  { .name = "iota-constant", .in = { F32 (1) }, .n = { 13 }, .build = build_counter, .reference = reference_counter,
    .quick = TRUE, .atol = 2e-6, .rtol = 1e-7, .grad_rtol = 1e-6, .why = "one rounding at size 20" },
};

/* The reference cannot express it: the value depends on the input, the gradient must be zero all the same. */
static void
test_stop_gradient (void)
{
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(FmVariables) variables = fm_variables_new (fm_op_test_cpu (1), 1);
  g_autoptr(FmProgram) program = NULL;
  g_autoptr(GError) error = NULL;
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (3)), *both[] = { x, x }, *dx;
  float values[] = { 1, 2, 3 }, out[3];

  fm_graph_output (g, "y", build_stopped (g, both, NULL, NULL));
  fm_grad (g, fm_sum_all (g, fm_mul (g, x, fm_stop_gradient (g, x))), &x, 1, &dx);
  fm_graph_output (g, "dx", dx);
  program = fm_program_new (g, fm_op_test_cpu (1), variables, &error);
  g_assert_no_error (error);
  fm_program_write (program, "x", values, sizeof values, &error);
  fm_program_run (program, &error);
  fm_program_read (program, "dx", out, sizeof out, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < 3; i++)
    g_assert_cmpfloat (out[i], ==, values[i]); /* 2 x without the stop */
  fm_program_read (program, "y", out, sizeof out, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < 3; i++)
    g_assert_cmpfloat (out[i], ==, 2 * values[i]);
}

static void
test_sum_to (void)
{
  g_autoptr(FmGraph) g = fm_graph_new ();
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (2, 3, 4, 5)), *y;
  FmShape shapes[] = { FM_SHAPE (5), FM_SHAPE (1), FM_SHAPE (3, 1, 5), FM_SHAPE (2, 1, 4, 1), FM_SHAPE (2, 3, 4, 5) };

  for (guint i = 0; i < G_N_ELEMENTS (shapes); i++)
    {
      y = fm_sum_to (g, x, shapes[i]);
      g_assert_no_error ((GError *) fm_graph_get_error (g));
      g_assert_true (fm_shape_equal (&y->shape, &shapes[i]));
    }
}

static void
test_mismatch (void)
{
  g_autoptr(FmGraph) g = fm_graph_new ();

  fm_add (g, fm_graph_input (g, "a", FM_F32, FM_SHAPE (2, 3)), fm_graph_input (g, "b", FM_F32, FM_SHAPE (4)));
  g_assert_error ((GError *) fm_graph_get_error (g), FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH);
  g_assert_nonnull (strstr (fm_graph_get_error (g)->message, "[2,3]"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fm_op_test_add ("binary", binary_cases, G_N_ELEMENTS (binary_cases));
  fm_op_test_add ("unary", unary_cases, G_N_ELEMENTS (unary_cases));
  fm_op_test_add ("unary", slope_cases, G_N_ELEMENTS (slope_cases));
  fm_op_test_add ("choice", choice_cases, G_N_ELEMENTS (choice_cases));
  g_test_add_func ("/compute/unary/stop-gradient", test_stop_gradient);
  g_test_add_func ("/compute/binary/sum-to", test_sum_to);
  g_test_add_func ("/compute/binary/mismatch", test_mismatch);
  return g_test_run ();
}
