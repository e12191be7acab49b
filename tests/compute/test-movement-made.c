/* test-movement-made.c: movements and indices that are made of other ops: steps, roll, repeat, padding, packing, buckets. */
#include "op-test.h"

#include <math.h>
#include <string.h>

#define F32(...) { FM_F32, FM_SHAPE (__VA_ARGS__), -2, 2, TRUE }
#define PLAIN(...) { FM_F32, FM_SHAPE (__VA_ARGS__), -2, 2 } /* without gradient */
#define I32(lo, hi, ...) { FM_I32, FM_SHAPE (__VA_ARGS__), lo, hi }

/* --- Along one axis -----------------------------------------------------------------------------------------------
 * Each of these is: element j of the axis comes from element source (j), or is a value. */

enum { STEP, FLIP, ROLL, REPEAT, TILE, VALUE, REFLECT, EDGE, CIRCULAR, SPLIT };

/* n: kind, axis, two numbers. STEP: start and step, as many as there are. */
static gint64
length_of (gint64 dim, const gint64 *n)
{
  switch (n[0])
    {
    case STEP: return n[3] > 0 ? (dim - 1 - n[2]) / n[3] + 1 : n[2] / -n[3] + 1;
    case FLIP: case ROLL: return dim;
    case REPEAT: case TILE: return dim * n[2];
    case SPLIT: return dim / n[2];
    default: return dim + n[2] + n[3];
    }
}

static gint64
source_of (gint64 j, gint64 dim, const gint64 *n)
{
  gint64 at = j - n[2]; /* for padding */

  switch (n[0])
    {
    case STEP: return n[2] + j * n[3];
    case FLIP: return dim - 1 - j;
    case ROLL: return ((j - n[2]) % dim + dim) % dim;
    case REPEAT: return j / n[2];
    case TILE: return j % dim;
    case SPLIT: return j + n[3] * (dim / n[2]);
    case VALUE: return at < 0 || at >= dim ? -1 : at;
    case REFLECT: return at < 0 ? -at : at >= dim ? 2 * (dim - 1) - at : at;
    case EDGE: return MAX (0, MIN (at, dim - 1));
    case CIRCULAR: return (at + dim) % dim;
    default: g_assert_not_reached ();
    }
}

static FmTensor *
build_axis (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *parts[8];

  switch (n[0])
    {
    case STEP: return fm_contiguous (g, fm_slice_step (g, x[0], n[1], n[2], length_of (fm_tensor_get_dim (x[0], n[1]), n), n[3]));
    case FLIP: return fm_flip (g, x[0], n[1]);
    case ROLL: return fm_contiguous (g, fm_roll (g, x[0], n[1], n[2]));
    case REPEAT: return fm_contiguous (g, fm_repeat (g, x[0], n[1], n[2]));
    case TILE: return fm_contiguous (g, fm_tile (g, x[0], n[1], n[2]));
    case VALUE: return fm_pad_mode (g, x[0], n[1], n[2], n[3], FM_PAD_VALUE, -3.0);
    case REFLECT: return fm_pad_mode (g, x[0], n[1], n[2], n[3], FM_PAD_REFLECT, 0.0);
    case EDGE: return fm_pad_mode (g, x[0], n[1], n[2], n[3], FM_PAD_EDGE, 0.0);
    case CIRCULAR: return fm_pad_mode (g, x[0], n[1], n[2], n[3], FM_PAD_CIRCULAR, 0.0);
    case SPLIT:
      fm_split (g, x[0], n[1], n[2], parts);
      return fm_contiguous (g, parts[n[3]]);
    default: g_assert_not_reached ();
    }
}

static void
reference_axis (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  FmShape shape = x->shape;
  gint64 axis = n[1] < 0 ? n[1] + shape.rank : n[1], dim = shape.dims[axis], inner = 1, to;

  for (guint a = axis + 1; a < shape.rank; a++)
    inner *= shape.dims[a];
  to = shape.dims[axis] = length_of (dim, n);
  fm_op_array_init (y, shape);
  for (gint64 i = 0; i < y->n; i++)
    {
      gint64 from = source_of (i / inner % to, dim, n);

      y->v[i] = from < 0 ? -3.0 : x->v[(i / inner / to * dim + from) * inner + i % inner];
    }
}

#define AXIS(id, kind, axis, a, b, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { kind, axis, a, b }, .build = build_axis, \
    .reference = reference_axis, .atol = 0, .rtol = 0, .grad_atol = 2e-5, .grad_rtol = 1e-6, \
    .why = "values are moved, not computed" }

static const FmOpCase axis_cases[] = {
  AXIS ("step/two", STEP, 0, 0, 2, F32 (9, 4)),
  AXIS ("step/three-last", STEP, -1, 1, 3, F32 (3, 4, 11)),
  AXIS ("step/exact", STEP, 1, 2, 2, F32 (2, 7, 3)),
  AXIS ("step/far", STEP, 0, 1, 50, F32 (9, 4)),
  AXIS ("step/back", STEP, 0, 8, -1, F32 (9, 4)),
  AXIS ("step/back-two", STEP, 1, 7, -2, F32 (3, 9, 4)),
  AXIS ("step/back-three", STEP, -1, 10, -3, F32 (2, 3, 11)),
  AXIS ("step/six-axes", STEP, 3, 4, -2, F32 (2, 1, 2, 5, 2, 3)),
  AXIS ("step/i32", STEP, 0, 5, -2, I32 (-9, 9, 7)),
  AXIS ("flip/first", FLIP, 0, 0, 0, F32 (5, 4)),
  AXIS ("flip/last", FLIP, -1, 0, 0, F32 (5, 33)),
  AXIS ("flip/one", FLIP, 0, 0, 0, F32 (1, 4)),
  AXIS ("flip/threads", FLIP, 1, 0, 0, F32 (30, 70, 40)),
  AXIS ("roll/forth", ROLL, 0, 3, 0, F32 (7, 4)),
  AXIS ("roll/back", ROLL, -1, -12, 0, F32 (3, 7)),
  AXIS ("roll/none", ROLL, 1, 14, 0, F32 (3, 7)),
  AXIS ("repeat/first", REPEAT, 0, 3, 0, F32 (4, 5)),
  AXIS ("repeat/last", REPEAT, -1, 2, 0, F32 (4, 5)),
  AXIS ("repeat/heads", REPEAT, 1, 4, 0, F32 (2, 2, 3, 5)),
  AXIS ("repeat/six-axes", REPEAT, 2, 2, 0, F32 (2, 1, 3, 2, 2, 2)),
  AXIS ("repeat/once", REPEAT, 0, 1, 0, F32 (3)),
  AXIS ("tile/first", TILE, 0, 3, 0, F32 (4, 5)),
  AXIS ("tile/middle", TILE, 1, 3, 0, F32 (2, 4, 5)),
  AXIS ("tile/i32", TILE, 0, 3, 0, I32 (-9, 9, 4)),
  AXIS ("split/first", SPLIT, 0, 3, 1, F32 (6, 4)),
  AXIS ("split/last", SPLIT, -1, 2, 1, F32 (3, 8)),
  AXIS ("pad/value", VALUE, 1, 2, 3, F32 (3, 4, 2)),
  AXIS ("pad/value-i32", VALUE, 0, 1, 2, I32 (0, 9, 5)),
  AXIS ("pad/reflect", REFLECT, 1, 3, 2, F32 (3, 4, 2)),
  AXIS ("pad/reflect-after", REFLECT, -1, 0, 4, F32 (3, 5)),
  AXIS ("pad/edge", EDGE, 0, 3, 9, F32 (4, 2)),
  AXIS ("pad/circular", CIRCULAR, 1, 4, 3, F32 (2, 4, 3)),
  AXIS ("pad/circular-some", CIRCULAR, 1, 1, 2, F32 (2, 4, 3)),
  AXIS ("pad/none", CIRCULAR, 1, 0, 0, F32 (2, 4, 3)),
};

/* --- Others -------------------------------------------------------------------------------------------------------*/

enum { STACK, TRIL, TRIU, INVERSE, IDS, OFFSETS, PACK, UNPACK, SLOTS, CHOICE, CHOSEN, TOP_P, ROTATIONS, SIGNS };

static FmTensor *
build_other (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *index, *value;

  switch (n[0])
    {
    case STACK: return fm_stack (g, x, 3, n[1]);
    case TRIL: return fm_tril (g, x[0], n[1]);
    case TRIU: return fm_triu (g, x[0], n[1]);
    case INVERSE: return fm_inverse_permutation (g, x[0]);
    case IDS: return fm_segment_ids (g, x[0], n[1]);
    case OFFSETS: return fm_pack_offsets (g, x[0]);
    case PACK: return fm_pack_index (g, x[0], n[1], n[2]);
    case UNPACK: return fm_unpack_index (g, x[0], n[1]);
    case SLOTS: return fm_expert_slots (g, x[0], n[1], n[2]);
    case CHOICE: return fm_expert_choice (g, x[0], n[1], &index);
    case CHOSEN:
      fm_expert_choice (g, x[0], n[1], &index);
      return index;
    case TOP_P:
      value = fm_top_p (g, x[0], f[0], n[1], &index);
      return value;
    case ROTATIONS: return fm_hash_rotations (g, x[0], x[1]);
    case SIGNS: return fm_hash_signs (g, x[0]);
    default: g_assert_not_reached ();
    }
}

static void
reference_other (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  FmShape shape = x->shape;
  gint64 rank = shape.rank, last = shape.dims[rank - 1], rows = rank > 1 ? shape.dims[rank - 2] : 1;

  switch (n[0])
    {
    case STACK:
      {
        gint64 axis = n[1] < 0 ? n[1] + rank + 1 : n[1], inner = 1;

        shape.rank++;
        for (gint64 a = rank; a > axis; a--)
          {
            shape.dims[a] = x->shape.dims[a - 1];
            inner *= shape.dims[a];
          }
        shape.dims[axis] = 3;
        fm_op_array_init (y, shape);
        for (gint64 i = 0; i < y->n; i++)
          y->v[i] = x[i / inner % 3].v[i / inner / 3 * inner + i % inner];
        return;
      }
    case TRIL:
    case TRIU:
      fm_op_array_init (y, shape);
      for (gint64 i = 0; i < y->n; i++)
        {
          gint64 above = i % last - i / last % rows;

          y->v[i] = (n[0] == TRIL ? above <= n[1] : above >= n[1]) ? x->v[i] : 0;
        }
      return;
    case INVERSE:
      fm_op_array_init (y, shape);
      for (gint64 i = 0; i < y->n; i++)
        y->v[i / last * last + (gint64) x->v[i]] = i % last;
      return;
    case IDS:
      fm_op_array_init (y, FM_SHAPE (n[1]));
      for (gint64 i = 0; i < y->n; i++)
        {
          y->v[i] = -1;
          for (gint64 s = 0; s < x->n; s++)
            if (x->v[s] <= i)
              y->v[i] = s;
        }
      return;
    case OFFSETS:
      fm_op_array_init (y, FM_SHAPE (x->n + 1));
      for (gint64 i = 0; i < x->n; i++)
        y->v[i + 1] = y->v[i] + x->v[i];
      return;
    case PACK:
    case UNPACK:
      {
        gint64 place = 0;

        fm_op_array_init (y, n[0] == PACK ? FM_SHAPE (n[2]) : FM_SHAPE (x->n, n[1]));
        for (gint64 i = 0; i < y->n; i++)
          y->v[i] = -1;
        for (gint64 b = 0; b < x->n; b++)
          for (gint64 i = 0; i < x->v[b]; i++, place++)
            if (n[0] == UNPACK)
              y->v[b * n[1] + i] = place;
            else if (place < n[2])
              y->v[place] = b * n[1] + i;
        return;
      }
    case SLOTS:
      {
        g_autofree gint64 *used = g_new0 (gint64, n[1]);

        fm_op_array_init (y, shape);
        for (gint64 i = 0; i < y->n; i++)
          {
            gint64 e = (gint64) x->v[i];

            y->v[i] = e >= 0 && e < n[1] && used[e] < n[2] ? e * n[2] + used[e]++ : -1;
          }
        return;
      }
    case CHOICE:
    case CHOSEN:
      fm_op_array_init (y, FM_SHAPE (last, n[1]));
      for (gint64 e = 0; e < last; e++)
        {
          g_autofree gboolean *taken = g_new0 (gboolean, rows);

          for (gint64 c = 0; c < n[1]; c++)
            {
              gint64 best = -1;

              for (gint64 t = 0; t < rows; t++)
                if (!taken[t] && (best < 0 || x->v[t * last + e] > x->v[best * last + e]))
                  best = t;
              taken[best] = TRUE;
              y->v[e * n[1] + c] = n[0] == CHOSEN ? best : x->v[best * last + e];
            }
        }
      return;
    case TOP_P:
      shape.dims[rank - 1] = n[1];
      fm_op_array_init (y, shape);
      for (gint64 row = 0; row < x->n / last; row++)
        {
          g_autofree gboolean *taken = g_new0 (gboolean, last);
          gdouble sum = 0;

          for (gint64 k = 0; k < n[1] && sum < f[0]; k++)
            {
              gint64 best = -1;

              for (gint64 i = 0; i < last; i++)
                if (!taken[i] && (best < 0 || x->v[row * last + i] > x->v[row * last + best]))
                  best = i;
              taken[best] = TRUE;
              sum += y->v[row * n[1] + k] = x->v[row * last + best];
            }
        }
      return;
    case ROTATIONS:
      {
        gint64 b = x[1].shape.dims[1];

        shape.rank--;
        fm_op_array_init (y, shape);
        for (gint64 i = 0; i < y->n; i++)
          {
            gdouble most = -INFINITY;

            for (gint64 j = 0; j < 2 * b; j++)
              {
                gdouble sum = 0;

                for (gint64 k = 0; k < last; k++)
                  sum += x->v[i * last + k] * x[1].v[k * b + j % b];
                sum = j < b ? sum : -sum;
                if (sum > most)
                  {
                    most = sum;
                    y->v[i] = j;
                  }
              }
          }
        return;
      }
    case SIGNS:
      shape.rank--;
      fm_op_array_init (y, shape);
      for (gint64 i = 0; i < y->n; i++)
        for (gint64 j = 0; j < last; j++)
          y->v[i] += x->v[i * last + j] > 0 ? ldexp (1, (int) j) : 0;
      return;
    default:
      g_assert_not_reached ();
    }
}

static void
fill_permutation (FmOpArray *a)
{
  gint64 n = a->shape.dims[a->shape.rank - 1];

  for (gint64 i = 0; i < a->n; i++)
    a->v[i] = (i % n * 7 + i / n) % n; /* 7 and n have no common factor */
}

static void
fill_offsets (FmOpArray *a)
{
  static const gdouble offsets[] = { 2, 2, 5, 9, 9, 14 };

  for (gint64 i = 0; i < a->n; i++)
    a->v[i] = offsets[i];
}

static void
fill_some_zeros (FmOpArray *a)
{
  for (gint64 i = 0; i < a->n; i += 3)
    a->v[i] = i % 2 ? 0.0 : -0.0;
}

#define OTHER(id, kind, a, b, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { kind, a, b }, .f = { 0.7 }, .build = build_other, \
    .reference = reference_other, .atol = 0, .rtol = 0, .grad_atol = 2e-5, .grad_rtol = 1e-6, \
    .why = "values are moved or counted, not rounded" }

static const FmOpCase other_cases[] = {
  OTHER ("stack/first", STACK, 0, 0, F32 (4, 5), F32 (4, 5), F32 (4, 5)),
  OTHER ("stack/middle", STACK, 1, 0, F32 (4, 5), F32 (4, 5), F32 (4, 5)),
  OTHER ("stack/last", STACK, -1, 0, F32 (4, 5), F32 (4, 5), F32 (4, 5)),
  OTHER ("tril/main", TRIL, 0, 0, F32 (2, 5, 5)),
  OTHER ("tril/above", TRIL, 2, 0, F32 (4, 7)),
  OTHER ("tril/below", TRIL, -2, 0, F32 (7, 4)),
  OTHER ("tril/none", TRIL, -9, 0, F32 (3, 4)),
  OTHER ("triu/main", TRIU, 0, 0, F32 (2, 5, 5)),
  OTHER ("triu/above", TRIU, 1, 0, F32 (4, 7)),
  OTHER ("triu/below", TRIU, -2, 0, F32 (7, 4)),
  OTHER ("triu/all", TRIU, -9, 0, F32 (3, 4)),
  OTHER ("inverse/one", INVERSE, 0, 0, { FM_I32, FM_SHAPE (11), 0, 0, FALSE, fill_permutation }),
  OTHER ("inverse/rows", INVERSE, 0, 0, { FM_I32, FM_SHAPE (3, 100), 0, 0, FALSE, fill_permutation }),
  OTHER ("segment-ids/gaps", IDS, 17, 0, { FM_I32, FM_SHAPE (6), 0, 0, FALSE, fill_offsets }),
  OTHER ("offsets/five", OFFSETS, 0, 0, I32 (0, 6, 5)),
  OTHER ("pack/room", PACK, 6, 40, I32 (0, 6, 5)),
  OTHER ("pack/short", PACK, 6, 9, I32 (1, 6, 5)),
  OTHER ("pack/one", PACK, 4, 4, I32 (0, 4, 1)),
  OTHER ("unpack/five", UNPACK, 6, 0, I32 (0, 6, 5)),
  OTHER ("slots/dropped", SLOTS, 4, 5, I32 (-1, 4, 40)),
  OTHER ("slots/room", SLOTS, 3, 40, I32 (0, 2, 40)),
  OTHER ("choice/scores", CHOICE, 3, 0, F32 (12, 4)),
  OTHER ("choice/tokens", CHOSEN, 3, 0, PLAIN (12, 4)),
  { .name = "top-p/bounded", .quick = TRUE, .in = { { FM_F32, FM_SHAPE (9, 12), 0.01, 0.2, TRUE } }, .n = { TOP_P, 6 },
    .f = { 0.7 }, .build = build_other, .reference = reference_other, .grad_atol = 2e-5, .grad_rtol = 1e-6,
    .why = "values are moved; no sum comes as near to 0.7 as a rounding" },
  OTHER ("rotations/five", ROTATIONS, 0, 0, PLAIN (3, 20, 8), PLAIN (8, 5)),
  OTHER ("signs/seven", SIGNS, 0, 0, PLAIN (4, 6, 7)),
  OTHER ("signs/zeros", SIGNS, 0, 0, { FM_F32, FM_SHAPE (5, 4), -2, 2, FALSE, fill_some_zeros }),
  OTHER ("signs/most", SIGNS, 0, 0, PLAIN (5, 24)),
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

static FmTensor *bad_step (FmGraph *g, FmTensor *x) { return fm_slice_step (g, x, 1, 5, 4, -2); }
static FmTensor *no_step (FmGraph *g, FmTensor *x) { return fm_slice_step (g, x, 1, 5, 4, 0); }
static FmTensor *bad_reflect (FmGraph *g, FmTensor *x) { return fm_pad_mode (g, x, 0, 4, 0, FM_PAD_REFLECT, 0); }
static FmTensor *bad_repeat (FmGraph *g, FmTensor *x) { return fm_repeat (g, x, 0, 0); }
static FmTensor *bad_bits (FmGraph *g, FmTensor *x) { return fm_hash_signs (g, fm_repeat (g, x, 1, 5)); }
static FmTensor *bad_search (FmGraph *g, FmTensor *x) { return fm_search_sorted (g, x, x, TRUE); }
static FmTensor *bad_slots (FmGraph *g, FmTensor *x) { return fm_expert_slots (g, fm_iota (g, 9), 1 << 20, 1 << 10); }
static FmTensor *bad_lengths (FmGraph *g, FmTensor *x) { return fm_pack_index (g, x, 4, 4); }

static FmTensor *
bad_split (FmGraph *g, FmTensor *x)
{
  FmTensor *parts[4];

  fm_split (g, x, 1, 4, parts);
  return parts[3];
}

static FmTensor *
bad_stack (FmGraph *g, FmTensor *x)
{
  FmTensor *both[] = { x, fm_transpose (g, x, 0, 1) };

  return fm_stack (g, both, 2, 0);
}

static void
test_refused (void)
{
  refused (bad_step, "in steps of -2 do not lie within axis 1 of size 6");
  refused (no_step, "leads nowhere");
  refused (bad_reflect, "0 to 3");
  refused (bad_repeat, "at least once");
  refused (bad_bits, "30 bits");
  refused (bad_search, "sorted [m]");
  refused (bad_slots, "2^24");
  refused (bad_lengths, "i32 [B]");
  refused (bad_split, "4 parts do not divide axis 1 of size 6");
  refused (bad_stack, "tensor 1 has another shape");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fm_op_test_add ("axis", axis_cases, G_N_ELEMENTS (axis_cases));
  fm_op_test_add ("made", other_cases, G_N_ELEMENTS (other_cases));
  g_test_add_func ("/compute/movement-made/refused", test_refused);
  return g_test_run ();
}
