/* test-movement-sort.c: sorting, rows by index along any axis, and what is made of them. */
#include "op-test.h"

#include <math.h>
#include <string.h>

#define F32(...) { FM_F32, FM_SHAPE (__VA_ARGS__), -2, 2, TRUE }
#define I32(lo, hi, ...) { FM_I32, FM_SHAPE (__VA_ARGS__), lo, hi }

/* --- Sort ---------------------------------------------------------------------------------------------------------*/

enum { VALUES, PLACES };

static FmTensor *
build_sort (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *index, *value;

  if (n[0] == PLACES)
    return fm_argsort (g, x[0], n[1]);
  value = fm_sort (g, x[0], n[1], &index);
  return value;
}

typedef struct
{
  gdouble value;
  gint64  place;
} Entry;

static gint
compare (gconstpointer a, gconstpointer b, gpointer descending)
{
  const Entry *x = a, *y = b;
  gboolean x_nan = isnan (x->value), y_nan = isnan (y->value);
  gint order = x_nan || y_nan ? x_nan - y_nan : (x->value > y->value) - (x->value < y->value);

  if (order == 0)
    return x->place < y->place ? -1 : x->place > y->place;
  return GPOINTER_TO_INT (descending) ? -order : order;
}

static void
reference_sort (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 size = x->shape.dims[x->shape.rank - 1];
  g_autofree Entry *row = g_new (Entry, size);

  fm_op_array_init (y, x->shape);
  for (gint64 r = 0; r < x->n / size; r++)
    {
      for (gint64 i = 0; i < size; i++)
        row[i] = (Entry){ x->v[r * size + i], i };
      g_qsort_with_data (row, (gint) size, sizeof *row, compare, GINT_TO_POINTER (n[1] != 0));
      for (gint64 i = 0; i < size; i++)
        y->v[r * size + i] = n[0] == PLACES ? row[i].place : row[i].value;
    }
}

static void
fill_ties (FmOpArray *a)
{
  for (gint64 i = 0; i < a->n; i++)
    a->v[i] = rint (a->v[i]) * (i % 3 ? 1 : 0) * (i % 5 ? 1 : -1); /* -0 among the zeros */
}

static void
fill_special (FmOpArray *a)
{
  static const gdouble special[] = { NAN, -INFINITY, INFINITY, -0.0, 0.0, 1e-42, -1e-42, -NAN, 3e38, -3e38, 1, 1 };

  for (gint64 i = 0; i < a->n; i++)
    a->v[i] = i % 3 ? a->v[i] : special[i / 3 % G_N_ELEMENTS (special)];
}

static void
fill_ends (FmOpArray *a)
{
  for (gint64 i = 0; i < a->n; i++)
    a->v[i] = i % 7 == 0 ? G_MININT32 : i % 7 == 1 ? G_MAXINT32 : i % 7 == 2 ? -1 : i % 7 == 3 ? 0 : a->v[i];
}

#define SORT(id, q, what, descending, draw, ...) \
  { .name = id, .quick = q, .in = { { FM_F32, FM_SHAPE (__VA_ARGS__), -2, 2, (what) == VALUES && (draw) == NULL, draw } }, \
    .n = { what, descending }, .build = build_sort, .reference = reference_sort, .grad_atol = 2e-5, .grad_rtol = 1e-6, \
    .why = "values are moved, not computed" }
#define SORT_I32(id, what, descending, draw, ...) \
  { .name = id, .quick = TRUE, .in = { { FM_I32, FM_SHAPE (__VA_ARGS__), -100000, 100000, FALSE, draw } }, \
    .n = { what, descending }, .build = build_sort, .reference = reference_sort, .why = "values are moved, not computed" }

static const FmOpCase sort_cases[] = {
  SORT ("values/one", TRUE, VALUES, 0, NULL, 1),
  SORT ("values/two", TRUE, VALUES, 0, NULL, 5, 2),
  SORT ("values/short", TRUE, VALUES, 0, NULL, 3, 7, 33),
  SORT ("values/falling", TRUE, VALUES, 1, NULL, 4, 129),
  SORT ("values/block", TRUE, VALUES, 0, NULL, 2, 1024),
  SORT ("values/over-block", TRUE, VALUES, 1, NULL, 2, 1025),
  SORT ("values/long", FALSE, VALUES, 0, NULL, 3, 5000),
  SORT ("values/threads", FALSE, VALUES, 0, NULL, 300, 70),
  SORT ("values/special", TRUE, VALUES, 0, fill_special, 3, 100),
  SORT ("values/special-falling", TRUE, VALUES, 1, fill_special, 3, 100),
  SORT ("places/one", TRUE, PLACES, 0, NULL, 3, 1),
  SORT ("places/ties", TRUE, PLACES, 0, fill_ties, 5, 60),
  SORT ("places/ties-radix", TRUE, PLACES, 0, fill_ties, 2, 700),
  SORT ("places/ties-falling", TRUE, PLACES, 1, fill_ties, 2, 700),
  SORT ("places/ties-long", FALSE, PLACES, 1, fill_ties, 2, 3000),
  SORT ("places/special", TRUE, PLACES, 0, fill_special, 2, 1500),
  SORT ("places/special-falling", TRUE, PLACES, 1, fill_special, 2, 90),
  SORT ("places/16384", FALSE, PLACES, 0, NULL, 1, 16384),
  SORT_I32 ("i32/values", VALUES, 0, NULL, 3, 77),
  SORT_I32 ("i32/places", PLACES, 0, NULL, 2, 1100),
  SORT_I32 ("i32/ends", PLACES, 0, fill_ends, 2, 50),
  SORT_I32 ("i32/ends-falling", PLACES, 1, fill_ends, 2, 200),
};

/* --- Rows by index along an axis ----------------------------------------------------------------------------------*/

enum { GATHER, SCATTER, PUT };

static FmTensor *
build_rows (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  switch (n[0])
    {
    case GATHER: return fm_gather (g, x[0], n[1], x[1]);
    case SCATTER: return fm_scatter_add (g, x[0], n[1], x[1], n[2]);
    case PUT: return fm_put (g, x[0], n[1], x[1], x[2]);
    default: g_assert_not_reached ();
    }
}

/* table [batch,rows,width], index [batch,n], x [batch,n,width]. */
static void
reference_rows (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  const FmOpArray *index = &x[1];
  FmShape shape = x->shape;
  gint64 axis = n[1] < 0 ? n[1] + shape.rank : n[1], batch = 1, each, width, rows;

  for (gint64 a = 0; a < axis; a++)
    batch *= shape.dims[a];
  each = index->n / batch;
  if (n[0] == GATHER)
    {
      rows = shape.dims[axis];
      width = x->n / batch / rows;
      shape = index->shape;
      for (guint a = axis + 1; a < x->shape.rank; a++)
        shape.dims[shape.rank++] = x->shape.dims[a];
    }
  else if (n[0] == SCATTER)
    {
      rows = n[2];
      width = x->n / index->n;
      shape.rank = axis;
      shape.dims[shape.rank++] = rows;
      for (guint a = index->shape.rank; a < x->shape.rank; a++)
        shape.dims[shape.rank++] = x->shape.dims[a];
    }
  else
    {
      rows = shape.dims[axis];
      width = x->n / batch / rows;
    }
  fm_op_array_init (y, shape);
  if (n[0] == PUT)
    memcpy (y->v, x->v, x->n * sizeof *y->v);
  for (gint64 i = 0; i < index->n; i++)
    for (gint64 j = 0; j < width; j++)
      {
        gint64 row = (gint64) index->v[i], in_table = (i / each * rows + row) * width + j, in_rows = i * width + j;

        if (row < 0 || row >= rows)
          continue;
        if (n[0] == GATHER)
          y->v[in_rows] = x->v[in_table];
        else if (n[0] == SCATTER)
          y->v[in_table] += x->v[in_rows];
        else
          y->v[in_table] = x[2].v[in_rows];
      }
}

#define ROWS(id, kind, axis, size, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { kind, axis, size }, .build = build_rows, \
    .reference = reference_rows, .atol = 3e-6, .rtol = 1e-6, .grad_atol = 3e-5, .grad_rtol = 1e-5, \
    .why = "sums of up to some 60 terms of size 2" }

static const FmOpCase row_cases[] = {
  ROWS ("gather/last", GATHER, -1, 0, F32 (4, 9), I32 (-1, 9, 4, 6)),
  ROWS ("gather/last-flat", GATHER, -1, 0, F32 (4, 9), I32 (0, 8, 4)),
  ROWS ("gather/middle", GATHER, 1, 0, F32 (3, 7, 5), I32 (-2, 8, 3, 2, 4)),
  ROWS ("gather/two-leading", GATHER, 2, 0, F32 (2, 3, 7, 5), I32 (0, 6, 2, 3, 11)),
  ROWS ("gather/one", GATHER, 0, 0, F32 (1), I32 (0, 0, 1)),
  ROWS ("gather/i32", GATHER, 1, 0, I32 (-99, 99, 3, 8), I32 (-1, 8, 3, 5)),
  ROWS ("gather/threads", GATHER, 1, 0, F32 (5, 40, 64), I32 (-1, 40, 5, 90)),
  ROWS ("scatter/last", SCATTER, 1, 6, F32 (3, 20), I32 (-1, 6, 3, 20)),
  ROWS ("scatter/middle", SCATTER, 1, 6, F32 (3, 20, 5), I32 (-1, 6, 3, 20)),
  ROWS ("scatter/deep", SCATTER, 1, 9, F32 (2, 4, 3, 2, 5), I32 (0, 8, 2, 4, 3)),
  ROWS ("scatter/one-row", SCATTER, 1, 1, F32 (2, 31, 3), I32 (0, 0, 2, 31)),
  ROWS ("scatter/threads", SCATTER, 1, 37, F32 (6, 100, 64), I32 (-1, 40, 6, 100)),
  ROWS ("scatter/many-rows", SCATTER, 0, 40000, F32 (300, 3), I32 (0, 99, 300)), /* sorted on Vulkan */
  ROWS ("scatter/many-rows-batch", SCATTER, 1, 9000, F32 (3, 200, 2), I32 (-1, 99, 3, 200)),
  ROWS ("put/first", PUT, 0, 0, F32 (9, 4), I32 (-1, 9, 5), F32 (5, 4)),
  ROWS ("put/twice", PUT, 0, 0, F32 (3, 2), I32 (0, 2, 11), F32 (11, 2)),
  ROWS ("put/last", PUT, -1, 0, F32 (3, 9), I32 (-1, 9, 3, 4), F32 (3, 4)),
  ROWS ("put/middle", PUT, 1, 0, F32 (3, 9, 5), I32 (-1, 9, 3, 2, 3), F32 (3, 2, 3, 5)),
  ROWS ("put/i32", PUT, 0, 0, I32 (0, 9, 6), I32 (0, 5, 4), I32 (50, 99, 4)),
  ROWS ("put/threads", PUT, 1, 0, F32 (8, 60, 64), I32 (-1, 60, 8, 50), F32 (8, 50, 64)),
};

/* --- Refused ------------------------------------------------------------------------------------------------------*/

static void
refused (FmTensor *(*build) (FmGraph *g, FmTensor *x, FmTensor *index), const char *part)
{
  g_autoptr(FmGraph) g = fm_graph_new ();
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (4, 6)), *index = fm_graph_input (g, "i", FM_I32, FM_SHAPE (3, 2));

  g_assert_true (build (g, x, index) == g->poison);
  g_assert_nonnull (fm_graph_get_error (g));
  if (strstr (fm_graph_get_error (g)->message, part) == NULL)
    g_error ("\"%s\" does not say \"%s\"", fm_graph_get_error (g)->message, part);
}

static FmTensor *bad_gather (FmGraph *g, FmTensor *x, FmTensor *index) { return fm_gather (g, x, 1, index); }
static FmTensor *bad_scatter (FmGraph *g, FmTensor *x, FmTensor *index) { return fm_scatter_add (g, x, 0, index, 9); }
static FmTensor *bad_rows (FmGraph *g, FmTensor *x, FmTensor *index) { return fm_scatter_add (g, index, 0, x, 0); }
static FmTensor *bad_put (FmGraph *g, FmTensor *x, FmTensor *index) { return fm_put (g, x, 0, index, x); }

static void
test_refused (void)
{
  refused (bad_gather, "[3,2] must begin with the first 1 axes of [4,6]");
  refused (bad_scatter, "first axes of x [4,6]");
  refused (bad_rows, "i32");
  refused (bad_put, "do not fit axis 0 of [4,6]");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fm_op_test_add ("sort", sort_cases, G_N_ELEMENTS (sort_cases));
  fm_op_test_add ("rows-of-axis", row_cases, G_N_ELEMENTS (row_cases));
  g_test_add_func ("/compute/movement-sort/refused", test_refused);
  return g_test_run ();
}
