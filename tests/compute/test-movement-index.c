/* test-movement-index.c: data moved by numbers that are known when the program runs: slices, their assignment, roll. */
#include "op-test.h"

#include <math.h>
#include <string.h>

#define F32(...) { FM_F32, FM_SHAPE (__VA_ARGS__), -2, 2, TRUE }
#define STATE(...) { FM_F32, FM_SHAPE (__VA_ARGS__), -2, 2 } /* without gradient */
#define I32(lo, hi, ...) { FM_I32, FM_SHAPE (__VA_ARGS__), lo, hi }

/* x seen as [outer, dim, inner] around an axis. */
static void
around (const FmShape *shape, gint64 axis, gint64 *outer, gint64 *dim, gint64 *inner)
{
  *outer = *inner = 1;
  for (guint a = 0; a < shape->rank; a++)
    if (a < axis)
      *outer *= shape->dims[a];
    else if (a > axis)
      *inner *= shape->dims[a];
  *dim = shape->dims[axis];
}

/* --- Slices by a runtime position ---------------------------------------------------------------------------------*/

enum { SLICE, ROLL, ASSIGN };

static FmTensor *
build_dynamic (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *state;

  switch (n[0])
    {
    case SLICE: return fm_dynamic_slice (g, x[0], n[1], x[1], n[2]);
    case ROLL: return fm_dynamic_roll (g, x[0], n[1], x[1]);
    case ASSIGN:
      state = fm_state (g, "state", fm_tensor_get_type (x[0]), fm_tensor_get_shape (x[0]), fm_init_zeros ());
      fm_assign (g, state, x[0]);
      fm_assign_slice (g, state, n[1], x[1], x[2]);
      return fm_add (g, state, x[0]); /* read after both effects, in order */
    default: g_assert_not_reached ();
    }
}

static void
reference_dynamic (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  FmShape shape = x->shape;
  gint64 outer, dim, inner, axis = n[1] < 0 ? n[1] + shape.rank : n[1];

  around (&shape, axis, &outer, &dim, &inner);
  if (n[0] == SLICE)
    shape.dims[axis] = n[2];
  fm_op_array_init (y, shape);
  for (gint64 o = 0; o < outer; o++)
    {
      gint64 start = (gint64) x[1].v[o * x[1].n / outer];

      for (gint64 j = 0; j < dim; j++)
        for (gint64 i = 0; i < inner; i++)
          {
            gdouble v = x->v[(o * dim + j) * inner + i];

            if (n[0] == SLICE)
              {
                gint64 first = MAX (0, MIN (start, dim - n[2]));

                if (j >= first && j < first + n[2])
                  y->v[(o * n[2] + j - first) * inner + i] = v;
              }
            else if (n[0] == ROLL)
              y->v[(o * dim + ((j + start) % dim + dim) % dim) * inner + i] = v;
            else
              {
                gint64 part = x[2].shape.dims[axis], first = MAX (0, MIN (start, dim - part));
                gboolean inside = j >= first && j < first + part;

                y->v[(o * dim + j) * inner + i] = v + (inside ? x[2].v[(o * part + j - first) * inner + i] : v);
              }
          }
    }
}

#define DYNAMIC(id, kind, axis, length, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { kind, axis, length }, .build = build_dynamic, \
    .reference = reference_dynamic, .atol = 0, .rtol = 1e-7, .grad_atol = 2e-5, .grad_rtol = 1e-6, \
    .why = "values are moved; the assignment's sum rounds once" }

static void
fill_least (FmOpArray *a)
{
  for (gint64 i = 0; i < a->n; i++)
    a->v[i] = i % 2 ? G_MAXINT32 : G_MININT32;
}

static const FmOpCase dynamic_cases[] = {
  DYNAMIC ("slice/first", SLICE, 0, 3, F32 (9, 4), I32 (2, 5, 1)),
  DYNAMIC ("slice/last", SLICE, -1, 2, F32 (3, 4, 7), I32 (1, 5, 1)),
  DYNAMIC ("slice/middle", SLICE, 1, 1, F32 (3, 9, 5), I32 (0, 8, 1)),
  DYNAMIC ("slice/before", SLICE, 1, 4, F32 (2, 9, 5), I32 (-7, -1, 1)),
  DYNAMIC ("slice/beyond", SLICE, 1, 4, F32 (2, 9, 5), I32 (7, 20, 1)),
  DYNAMIC ("slice/whole", SLICE, 0, 6, F32 (6), I32 (-3, 3, 1)),
  DYNAMIC ("slice/one", SLICE, 0, 1, F32 (1), I32 (0, 3, 1)),
  DYNAMIC ("slice/each", SLICE, 2, 3, F32 (4, 2, 9, 5), I32 (-1, 9, 4)),
  DYNAMIC ("slice/i32", SLICE, 1, 4, I32 (-99, 99, 5, 9), I32 (-2, 9, 5)),
  DYNAMIC ("slice/threads", SLICE, 1, 100, F32 (40, 128, 16), I32 (0, 28, 40)),
  DYNAMIC ("slice/extremes", SLICE, 1, 2, F32 (2, 7), { FM_I32, FM_SHAPE (2), 0, 0, FALSE, fill_least }),
  DYNAMIC ("roll/first", ROLL, 0, 0, F32 (9, 4), I32 (1, 8, 1)),
  DYNAMIC ("roll/last", ROLL, -1, 0, F32 (5, 13), I32 (-40, 40, 5)),
  DYNAMIC ("roll/middle", ROLL, 1, 0, F32 (4, 7, 3), I32 (-40, 40, 4)),
  DYNAMIC ("roll/one", ROLL, 0, 0, F32 (1), I32 (-4, 4, 1)),
  DYNAMIC ("roll/i32", ROLL, 0, 0, I32 (-9, 9, 11), I32 (-30, 30, 1)),
  DYNAMIC ("roll/threads", ROLL, 1, 0, F32 (40, 128, 16), I32 (-300, 300, 40)),
  DYNAMIC ("roll/extremes", ROLL, 1, 0, F32 (2, 7), { FM_I32, FM_SHAPE (2), 0, 0, FALSE, fill_least }),
  DYNAMIC ("assign/row", ASSIGN, 1, 0, STATE (2, 9, 5), I32 (0, 8, 1), STATE (2, 1, 5)),
  DYNAMIC ("assign/beyond", ASSIGN, 0, 0, STATE (9, 5), I32 (8, 30, 1), STATE (4, 5)),
  DYNAMIC ("assign/each", ASSIGN, 2, 0, STATE (4, 3, 9, 5), I32 (-1, 9, 4), STATE (4, 3, 2, 5)),
  DYNAMIC ("assign/whole", ASSIGN, 0, 0, STATE (6), I32 (-3, 3, 1), STATE (6)),
  DYNAMIC ("assign/i32", ASSIGN, 1, 0, I32 (-9, 9, 3, 8), I32 (0, 5, 1), I32 (100, 200, 3, 2)),
  DYNAMIC ("assign/threads", ASSIGN, 1, 0, STATE (40, 128, 16), I32 (0, 28, 40), STATE (40, 100, 16)),
};

/* --- Refused ------------------------------------------------------------------------------------------------------*/

static void
refused (FmTensor *(*build) (FmGraph *g, FmTensor *x), const char *part)
{
  g_autoptr(FmGraph) g = fm_graph_new ();
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (4, 6));

  g_assert_true (build (g, x) == g->poison);
  g_assert_nonnull (fm_graph_get_error (g));
  if (strstr (fm_graph_get_error (g)->message, part) == NULL)
    g_error ("\"%s\" does not say \"%s\"", fm_graph_get_error (g)->message, part);
}

static FmTensor *
bad_length (FmGraph *g, FmTensor *x)
{
  return fm_dynamic_slice (g, x, 1, fm_graph_input (g, "at", FM_I32, FM_SHAPE (1)), 7);
}

static FmTensor *
bad_start (FmGraph *g, FmTensor *x)
{
  return fm_dynamic_slice (g, x, 0, fm_graph_input (g, "at", FM_I32, FM_SHAPE (4)), 1);
}

static FmTensor *
bad_start_type (FmGraph *g, FmTensor *x)
{
  return fm_dynamic_roll (g, x, 0, fm_constant (g, FM_F32, FM_SHAPE (1), 1));
}

static FmTensor *
bad_state (FmGraph *g, FmTensor *x)
{
  fm_assign_slice (g, x, 0, fm_graph_input (g, "at", FM_I32, FM_SHAPE (1)), x);
  return fm_neg (g, x);
}

static FmTensor *
bad_part (FmGraph *g, FmTensor *x)
{
  FmTensor *state = fm_state (g, "cache", FM_F32, FM_SHAPE (4, 5), fm_init_zeros ());

  fm_assign_slice (g, state, 0, fm_graph_input (g, "at", FM_I32, FM_SHAPE (1)), x);
  return fm_neg (g, x);
}

static void
test_refused (void)
{
  refused (bad_length, "axis 1 of size 6");
  refused (bad_start, "i32 [1]");
  refused (bad_start_type, "i32 [1]");
  refused (bad_state, "writes variables only");
  refused (bad_part, "\"cache\" is f32 [4,5]");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fm_op_test_add ("dynamic", dynamic_cases, G_N_ELEMENTS (dynamic_cases));
  g_test_add_func ("/compute/movement-index/refused", test_refused);
  return g_test_run ();
}
