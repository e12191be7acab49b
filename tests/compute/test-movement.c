/* test-movement.c: ops that move data: views, copies, concat, pad, rows by index, top-k, patches, pooling. */
#include "op-test.h"

#include <math.h>
#include <string.h>

#define EXACT "values are moved, not computed; a gradient is a sum of the few weights that point at an element"
#define F32(...) { FM_F32, FM_SHAPE (__VA_ARGS__), -2, 2, TRUE }
#define I32(lo, hi, ...) { FM_I32, FM_SHAPE (__VA_ARGS__), lo, hi }
#define MOVE(id, kind, with, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { kind, with }, .build = build_move, \
    .reference = reference_move, .atol = 0, .rtol = 0, .grad_atol = 2e-5, .grad_rtol = 1e-6, .why = EXACT }

/* --- Reshape, permute, slice, expand, concat, pad, heads, patches --------------------------------------------------*/

enum { RESHAPE, PERMUTE, RESHAPE_PERMUTED, SLICE, EXPAND, CONCAT, PAD, SPLIT_HEADS, MERGE_HEADS, PATCHES };

static const gint orders[][FM_MAX_RANK] = {
  { 1, 0 }, { 2, 0, 1 }, { 5, 3, 1, 0, 2, 4 }, { 0, 2, 1, 3 }, { 0, 2, 1 },
};

static const FmShape targets[] = {
  { 4, { 2, 3, -1, 7 } }, { 1, { -1 } }, { 2, { 14, -1 } }, { 6, { 1, -1, 1, 3, 1, 1 } }, { 3, { 3, 4, 5 } },
};

static FmTensor *
build_move (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  switch (n[0])
    {
    case RESHAPE: return fm_contiguous (g, fm_reshape (g, x[0], targets[n[1]]));
    case PERMUTE: return fm_contiguous (g, fm_permute (g, x[0], orders[n[1]]));
    case RESHAPE_PERMUTED: return fm_reshape (g, fm_permute (g, x[0], orders[n[1]]), FM_SHAPE (-1));
    case SLICE: return fm_contiguous (g, fm_slice (g, x[0], n[1], 1, 3));
    case EXPAND: return fm_contiguous (g, fm_expand (g, x[0], targets[n[1]]));
    case CONCAT: return fm_concat (g, x, 3, n[1]);
    case PAD: return fm_pad (g, x[0], n[1], 2, 1);
    case SPLIT_HEADS: return fm_contiguous (g, fm_split_heads (g, x[0], n[1]));
    case MERGE_HEADS: return fm_merge_heads (g, x[0]);
    case PATCHES: return fm_patches (g, x[0], n[1]);
    default: g_assert_not_reached ();
    }
}

static void
unravel (const FmShape *shape, gint64 i, gint64 *index)
{
  for (guint a = shape->rank; a-- > 0;)
    {
      index[a] = i % shape->dims[a];
      i /= shape->dims[a];
    }
}

static gint64
ravel (const FmShape *shape, const gint64 *index)
{
  gint64 i = 0;

  for (guint a = 0; a < shape->rank; a++)
    i = i * shape->dims[a] + index[a];
  return i;
}

static void
permute (const FmOpArray *x, FmOpArray *y, const gint *order)
{
  FmShape shape = x->shape;
  gint64 to[FM_MAX_RANK], from[FM_MAX_RANK];

  for (guint a = 0; a < shape.rank; a++)
    shape.dims[a] = x->shape.dims[order[a]];
  fm_op_array_init (y, shape);
  for (gint64 i = 0; i < y->n; i++)
    {
      unravel (&shape, i, to);
      for (guint a = 0; a < shape.rank; a++)
        from[order[a]] = to[a];
      y->v[i] = x->v[ravel (&x->shape, from)];
    }
}

static void
reference_move (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  static const gint heads_order[] = { 0, 2, 1, 3 }, patch_order[] = { 0, 1, 3, 2, 4, 5 };
  FmShape shape = x->shape;
  gint64 index[FM_MAX_RANK], axis = n[1] < 0 ? n[1] + shape.rank : n[1];
  FmOpArray middle;

  switch (n[0])
    {
    case RESHAPE:
      {
        gint64 known = 1;

        shape = targets[n[1]];
        for (guint a = 0; a < shape.rank; a++)
          known *= shape.dims[a] > 0 ? shape.dims[a] : 1;
        for (guint a = 0; a < shape.rank; a++)
          shape.dims[a] = shape.dims[a] > 0 ? shape.dims[a] : x->n / known;
        fm_op_array_init (y, shape);
        memcpy (y->v, x->v, y->n * sizeof *y->v);
        return;
      }
    case PERMUTE:
      permute (x, y, orders[n[1]]);
      return;
    case RESHAPE_PERMUTED:
      permute (x, y, orders[n[1]]);
      y->shape = FM_SHAPE (y->n);
      return;
    case SPLIT_HEADS:
      middle = *x;
      middle.shape = FM_SHAPE (shape.dims[0], shape.dims[1], n[1], shape.dims[2] / n[1]);
      permute (&middle, y, heads_order);
      return;
    case MERGE_HEADS:
      permute (x, y, heads_order);
      y->shape = FM_SHAPE (shape.dims[0], shape.dims[2], shape.dims[1] * shape.dims[3]);
      return;
    case PATCHES:
      middle = *x;
      middle.shape = FM_SHAPE (shape.dims[0], shape.dims[1] / n[1], n[1], shape.dims[2] / n[1], n[1], shape.dims[3]);
      permute (&middle, y, patch_order);
      y->shape = FM_SHAPE (shape.dims[0], shape.dims[1] / n[1] * (shape.dims[2] / n[1]), n[1] * n[1] * shape.dims[3]);
      return;
    case SLICE:
      shape.dims[axis] = 3;
      fm_op_array_init (y, shape);
      for (gint64 i = 0; i < y->n; i++)
        {
          unravel (&shape, i, index);
          index[axis]++;
          y->v[i] = x->v[ravel (&x->shape, index)];
        }
      return;
    case EXPAND:
      {
        guint added;

        shape = targets[n[1]];
        added = shape.rank - x->shape.rank;
        fm_op_array_init (y, shape);
        for (gint64 i = 0; i < y->n; i++)
          {
            gint64 from[FM_MAX_RANK];

            unravel (&shape, i, index);
            for (guint a = added; a < shape.rank; a++)
              from[a - added] = x->shape.dims[a - added] == 1 ? 0 : index[a];
            y->v[i] = x->v[ravel (&x->shape, from)];
          }
        return;
      }
    case CONCAT:
      shape.dims[axis] += x[1].shape.dims[axis] + x[2].shape.dims[axis];
      fm_op_array_init (y, shape);
      for (gint64 i = 0; i < y->n; i++)
        {
          guint from = 0;

          unravel (&shape, i, index);
          while (index[axis] >= x[from].shape.dims[axis])
            index[axis] -= x[from++].shape.dims[axis];
          y->v[i] = x[from].v[ravel (&x[from].shape, index)];
        }
      return;
    case PAD:
      shape.dims[axis] += 3;
      fm_op_array_init (y, shape);
      for (gint64 i = 0; i < x->n; i++)
        {
          unravel (&x->shape, i, index);
          index[axis] += 2;
          y->v[ravel (&shape, index)] = x->v[i];
        }
      return;
    default:
      g_assert_not_reached ();
    }
}

static const FmOpCase move_cases[] = {
  MOVE ("reshape/infer", RESHAPE, 0, F32 (6, 35)),
  MOVE ("reshape/flat", RESHAPE, 1, F32 (2, 1, 3, 5)),
  MOVE ("reshape/split", RESHAPE, 2, F32 (7, 2, 9)),
  MOVE ("reshape/ones", RESHAPE, 3, F32 (5, 3)),
  MOVE ("reshape/i32", RESHAPE, 0, I32 (-9, 9, 6, 35)),
  MOVE ("permute/transpose", PERMUTE, 0, F32 (37, 65)),
  MOVE ("permute/three", PERMUTE, 1, F32 (5, 18, 33)),
  MOVE ("permute/six", PERMUTE, 2, F32 (3, 4, 5, 2, 3, 2)),
  MOVE ("permute/heads", PERMUTE, 3, F32 (3, 17, 4, 16)),
  MOVE ("permute/one", PERMUTE, 0, F32 (1, 1)),
  MOVE ("permute/threads", PERMUTE, 0, F32 (300, 257)),
  MOVE ("permute/batch-threads", PERMUTE, 4, F32 (9, 80, 70)),
  MOVE ("permute/i32", PERMUTE, 0, I32 (-100, 100, 20, 35)),
  MOVE ("reshape-permuted/two", RESHAPE_PERMUTED, 0, F32 (17, 33)),
  MOVE ("reshape-permuted/three", RESHAPE_PERMUTED, 1, F32 (5, 6, 7)),
  MOVE ("slice/first", SLICE, 0, F32 (5, 4)),
  MOVE ("slice/last", SLICE, -1, F32 (4, 2, 6)),
  MOVE ("slice/i32", SLICE, 1, I32 (-5, 5, 4, 6, 2)),
  MOVE ("expand/middle", EXPAND, 4, F32 (3, 1, 5)),
  MOVE ("expand/row", EXPAND, 4, F32 (5)),
  MOVE ("expand/one", EXPAND, 4, F32 (1)),
  MOVE ("concat/first", CONCAT, 0, F32 (2, 5), F32 (1, 5), F32 (4, 5)),
  MOVE ("concat/last", CONCAT, -1, F32 (3, 2, 5), F32 (3, 2, 1), F32 (3, 2, 17)),
  MOVE ("concat/middle", CONCAT, 1, F32 (3, 2, 5), F32 (3, 1, 5), F32 (3, 7, 5)),
  MOVE ("concat/i32", CONCAT, 0, I32 (0, 9, 2), I32 (0, 9, 3), I32 (0, 9, 1)),
  MOVE ("pad/first", PAD, 0, F32 (3, 4)),
  MOVE ("pad/last", PAD, -1, F32 (3, 4, 5)),
  MOVE ("pad/middle", PAD, 1, F32 (3, 1, 5)),
  MOVE ("pad/i32", PAD, 0, I32 (1, 9, 7)),
  MOVE ("heads/split", SPLIT_HEADS, 3, F32 (2, 7, 12)),
  MOVE ("heads/split-one", SPLIT_HEADS, 1, F32 (2, 7, 5)),
  MOVE ("heads/merge", MERGE_HEADS, 0, F32 (2, 3, 7, 4)),
  MOVE ("patches/two", PATCHES, 2, F32 (2, 4, 6, 3)),
  MOVE ("patches/whole", PATCHES, 4, F32 (2, 4, 4, 1)),
  MOVE ("patches/one", PATCHES, 1, F32 (1, 3, 2, 2)),
};

/* --- Rows by index ------------------------------------------------------------------------------------------------*/

enum { GATHER, SCATTER };

static FmTensor *
build_rows (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return n[0] == GATHER ? fm_gather_rows (g, x[0], x[1]) : fm_scatter_add_rows (g, x[0], x[1], n[1]);
}

static void
reference_rows (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  const FmOpArray *index = &x[1];
  FmShape shape;
  gint64 width;

  if (n[0] == GATHER)
    {
      width = x[0].n / x[0].shape.dims[0];
      shape = index->shape;
      for (guint a = 1; a < x[0].shape.rank; a++)
        shape.dims[shape.rank++] = x[0].shape.dims[a];
      fm_op_array_init (y, shape);
      for (gint64 i = 0; i < index->n; i++)
        for (gint64 j = 0; j < width; j++)
          if (index->v[i] >= 0 && index->v[i] < x[0].shape.dims[0])
            y->v[i * width + j] = x[0].v[(gint64) index->v[i] * width + j];
      return;
    }
  width = x[0].n / index->n;
  shape = FM_SHAPE (n[1]);
  for (guint a = index->shape.rank; a < x[0].shape.rank; a++)
    shape.dims[shape.rank++] = x[0].shape.dims[a];
  fm_op_array_init (y, shape);
  for (gint64 i = 0; i < index->n; i++)
    for (gint64 j = 0; j < width; j++)
      if (index->v[i] >= 0 && index->v[i] < n[1])
        y->v[(gint64) index->v[i] * width + j] += x[0].v[i * width + j];
}

#define ROWS(id, kind, rows, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { kind, rows }, .build = build_rows, \
    .reference = reference_rows, .atol = 3e-6, .rtol = 1e-6, .grad_atol = 3e-5, .grad_rtol = 1e-5, \
    .why = "sums of up to some 60 terms of size 2" }

static const FmOpCase row_cases[] = {
  ROWS ("gather/matrix", GATHER, 0, F32 (7, 5), I32 (-2, 9, 4, 3)),
  ROWS ("gather/vector", GATHER, 0, F32 (7), I32 (0, 6, 11)),
  ROWS ("gather/deep", GATHER, 0, F32 (4, 2, 3), I32 (-1, 4, 9)),
  ROWS ("gather/i32", GATHER, 0, I32 (-99, 99, 7, 3), I32 (-2, 9, 8)),
  ROWS ("gather/threads", GATHER, 0, F32 (40, 64), I32 (-1, 40, 300)),
  ROWS ("scatter/matrix", SCATTER, 6, F32 (20, 5), I32 (-2, 7, 20)),
  ROWS ("scatter/vector", SCATTER, 3, F32 (15), I32 (0, 2, 15)),
  ROWS ("scatter/deep", SCATTER, 9, F32 (4, 3, 2, 5), I32 (0, 8, 4, 3)),
  ROWS ("scatter/one-row", SCATTER, 1, F32 (31, 3), I32 (0, 0, 31)),
  ROWS ("scatter/threads", SCATTER, 37, F32 (400, 64), I32 (-1, 40, 400)),
};

/* --- Top-k --------------------------------------------------------------------------------------------------------*/

static FmTensor *
build_top_k (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *index, *value = fm_top_k (g, x[0], n[0], &index);

  return n[1] ? index : value;
}

static void
reference_top_k (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  FmShape shape = x->shape;
  gint64 size = shape.dims[shape.rank - 1], k = n[0];

  shape.dims[shape.rank - 1] = k;
  fm_op_array_init (y, shape);
  for (gint64 row = 0; row < x->n / size; row++)
    {
      g_autofree gboolean *taken = g_new0 (gboolean, size);

      for (gint64 i = 0; i < k; i++)
        {
          gint64 best = -1;

          for (gint64 j = 0; j < size; j++)
            if (!taken[j] && (best < 0 || x->v[row * size + j] > x->v[row * size + best]))
              best = j;
          taken[best] = TRUE;
          y->v[row * k + i] = n[1] ? best : x->v[row * size + best];
        }
    }
}

/* Few different values: ties everywhere. */
static void
fill_ties (FmOpArray *a)
{
  for (gint64 i = 0; i < a->n; i++)
    a->v[i] = rint (a->v[i]);
}

#define TOP_K(id, k, which, draw, ...) \
  { .name = id, .in = { { FM_F32, FM_SHAPE (__VA_ARGS__), -2, 2, !(which) && (draw) == NULL, draw } }, \
    .n = { k, which }, .build = build_top_k, .reference = reference_top_k, .grad_atol = 2e-5, .grad_rtol = 1e-6, .why = EXACT }

static const FmOpCase top_k_cases[] = {
  TOP_K ("values/one", 1, 0, NULL, 5, 9),
  TOP_K ("index/one", 1, 1, NULL, 5, 9),
  TOP_K ("values/some", 3, 0, NULL, 4, 3, 17),
  TOP_K ("index/some", 3, 1, NULL, 4, 3, 17),
  TOP_K ("values/all", 7, 0, NULL, 3, 7),
  TOP_K ("index/ties", 4, 1, fill_ties, 6, 33),
  TOP_K ("values/ties", 4, 0, fill_ties, 6, 33),
  TOP_K ("index/sorted-ties", 40, 1, fill_ties, 3, 77),
  TOP_K ("values/sorted", 40, 0, NULL, 3, 77),
  TOP_K ("index/size-one", 1, 1, NULL, 3, 1),
  TOP_K ("index/threads", 2, 1, fill_ties, 900, 33),
  TOP_K ("index/long", 100, 1, NULL, 3, 5000),
  TOP_K ("index/long-ties", 1500, 1, fill_ties, 2, 2500),
  TOP_K ("values/long", 33, 0, NULL, 2, 2048),
};

/* --- Pooling ------------------------------------------------------------------------------------------------------*/

static FmTensor *
build_pool (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_avg_pool (g, x[0], n[0], n[1]);
}

static void
reference_pool (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  const gint64 *dims = x->shape.dims;

  fm_op_array_init (y, x->shape);
  for (gint64 b = 0; b < dims[0]; b++)
    for (gint64 r = 0; r < dims[1]; r++)
      for (gint64 c = 0; c < dims[2]; c++)
        for (gint64 k = 0; k < dims[3]; k++)
          {
            gdouble sum = 0;
            gint64 count = 0;

            for (gint64 i = r - n[0] / 2; i <= r + n[0] / 2; i++)
              for (gint64 j = c - n[1] / 2; j <= c + n[1] / 2; j++)
                if (i >= 0 && i < dims[1] && j >= 0 && j < dims[2])
                  {
                    sum += x->v[((b * dims[1] + i) * dims[2] + j) * dims[3] + k];
                    count++;
                  }
            y->v[((b * dims[1] + r) * dims[2] + c) * dims[3] + k] = sum / count;
          }
}

#define POOL(id, rows, columns, ...) \
  { .name = id, .in = { F32 (__VA_ARGS__) }, .n = { rows, columns }, .build = build_pool, .reference = reference_pool, \
    .atol = 2e-6, .rtol = 1e-6, .why = "a sum of up to 45 terms of size 2" }

static const FmOpCase pool_cases[] = {
  POOL ("three", 3, 3, 2, 7, 7, 5),
  POOL ("line", 1, 3, 2, 1, 9, 4),
  POOL ("column", 5, 1, 2, 6, 3, 3),
  POOL ("wider-than-picture", 9, 5, 1, 3, 2, 2),
  POOL ("one", 1, 1, 2, 3, 3, 1),
  POOL ("threads", 3, 3, 8, 7, 7, 64),
};

/* --- What is refused ----------------------------------------------------------------------------------------------*/

static void
refused (FmTensor *(*build) (FmGraph *g, FmTensor *x), const char *says)
{
  g_autoptr(FmGraph) g = fm_graph_new ();
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (4, 6));

  build (g, x);
  g_assert_error ((GError *) fm_graph_get_error (g), FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH);
  if (strstr (fm_graph_get_error (g)->message, says) == NULL)
    g_error ("\"%s\" does not say \"%s\"", fm_graph_get_error (g)->message, says);
}

static FmTensor *bad_reshape (FmGraph *g, FmTensor *x) { return fm_reshape (g, x, FM_SHAPE (5, 5)); }
static FmTensor *bad_infer (FmGraph *g, FmTensor *x) { return fm_reshape (g, x, FM_SHAPE (7, -1)); }
static FmTensor *bad_overflow (FmGraph *g, FmTensor *x) { return fm_reshape (g, x, FM_SHAPE (G_MAXINT64, 4)); }
static FmTensor *bad_permute (FmGraph *g, FmTensor *x) { return fm_permute (g, x, (gint[]){ 0, 0 }); }
static FmTensor *bad_slice (FmGraph *g, FmTensor *x) { return fm_slice (g, x, 1, 4, 3); }
static FmTensor *bad_expand (FmGraph *g, FmTensor *x) { return fm_expand (g, x, FM_SHAPE (8, 6)); }
static FmTensor *
bad_heads (FmGraph *g, FmTensor *x)
{
  return fm_split_heads (g, fm_reshape (g, x, FM_SHAPE (1, 4, 6)), 4);
}

static FmTensor *bad_pad (FmGraph *g, FmTensor *x) { return fm_pad (g, x, 0, -1, 0); }
static FmTensor *bad_gather (FmGraph *g, FmTensor *x) { return fm_gather_rows (g, x, x); }

static FmTensor *
bad_pool (FmGraph *g, FmTensor *x)
{
  return fm_avg_pool (g, fm_reshape (g, x, FM_SHAPE (1, 4, 6, 1)), 2, 3);
}

static FmTensor *
bad_top_k (FmGraph *g, FmTensor *x)
{
  FmTensor *index;

  return fm_top_k (g, x, 7, &index);
}

static FmTensor *
bad_concat (FmGraph *g, FmTensor *x)
{
  FmTensor *both[] = { x, fm_reshape (g, x, FM_SHAPE (6, 4)) };

  return fm_concat (g, both, 2, 0);
}

static void
test_refused (void)
{
  refused (bad_reshape, "24 elements");
  refused (bad_infer, "cannot become");
  refused (bad_overflow, "64 bits");
  refused (bad_permute, "twice");
  refused (bad_slice, "size 6");
  refused (bad_expand, "only axes of size 1");
  refused (bad_heads, "divide width 6");
  refused (bad_pad, "0 or more");
  refused (bad_gather, "i32");
  refused (bad_pool, "odd");
  refused (bad_top_k, "k = 7 of 6");
  refused (bad_concat, "differ");
}

/* Views make no copies: what the design promises as free must not show in the plan. */
static void
test_free (void)
{
  g_autoptr(FmGraph) g = fm_graph_new ();
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (2, 7, 12));

  g_assert_true (fm_split_heads (g, x, 3)->base == x);
  g_assert_true (fm_merge_heads (g, fm_split_heads (g, x, 3))->base == x);
  g_assert_true (fm_slice (g, fm_transpose (g, x, 0, 2), 1, 2, 3)->base == x);
  g_assert_true (fm_contiguous (g, x) == x);
  g_assert_true (fm_contiguous (g, fm_transpose (g, x, 0, 2))->base != x);
  g_assert_no_error ((GError *) fm_graph_get_error (g));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fm_op_test_add ("movement", move_cases, G_N_ELEMENTS (move_cases));
  fm_op_test_add ("rows", row_cases, G_N_ELEMENTS (row_cases));
  fm_op_test_add ("top-k", top_k_cases, G_N_ELEMENTS (top_k_cases));
  fm_op_test_add ("avg-pool", pool_cases, G_N_ELEMENTS (pool_cases));
  g_test_add_func ("/compute/movement/refused", test_refused);
  g_test_add_func ("/compute/movement/free", test_free);
  return g_test_run ();
}
