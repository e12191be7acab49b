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
  { .name = id, .in = { __VA_ARGS__ }, .n = { kind }, .build = build_binary, .reference = reference_binary, \
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
  g_test_add_func ("/compute/binary/sum-to", test_sum_to);
  g_test_add_func ("/compute/binary/mismatch", test_mismatch);
  return g_test_run ();
}
