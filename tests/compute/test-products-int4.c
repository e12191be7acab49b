/* test-products-int4.c: weights of four bits: packing, unpacking, products over them. */
#include "op-test.h"

#include <math.h>
#include <string.h>

#define F32(...) { FM_F32, FM_SHAPE (__VA_ARGS__), -1, 1, TRUE }
#define CODES(...) { FM_I8, FM_SHAPE (__VA_ARGS__), -128, 127, FALSE }
#define SCALE(...) { FM_F32, FM_SHAPE (__VA_ARGS__), 0.02, 0.2, TRUE }

/* From the definition in appendix E of the paper: its own quantile function, halving an interval of erf. */
static gdouble
quantile (gdouble p)
{
  gdouble low = -10, high = 10;

  for (guint i = 0; i < 100; i++)
    {
      gdouble middle = 0.5 * (low + high);

      *(0.5 * (1 + erf (middle / sqrt (2))) < p ? &low : &high) = middle;
    }
  return low;
}

static gdouble
level (FmInt4 levels, guint code)
{
  const gdouble h = 1 - (1.0 / 32 + 1.0 / 30) / 2;

  if (levels == FM_INT4_EVEN)
    return (gdouble) code - 8;
  if (code <= 7)
    return -quantile (h + (0.5 - h) * code / 7) / quantile (h);
  return quantile (h + (0.5 - h) * (15 - code) / 8) / quantile (h);
}

/* The code of input @t in a row of @packed. */
static guint
code_at (const gdouble *packed, gint64 t)
{
  guint byte = (guint) (gint) packed[t / 32 * 16 + t % 16] & 255;

  return t % 32 < 16 ? byte & 15 : byte >> 4;
}

/* n[1] rows are cut off the packed weight and its scales, which makes views of them. */
static FmTensor *
part_of (FmGraph *g, FmTensor *x, const gint64 *n)
{
  return n[1] ? fm_slice (g, x, 0, n[1], x->shape.dims[0] - n[1]) : x;
}

/* --- Products and unpacking; n[0]: levels, n[2]: with a bias -------------------------------------------------------*/

static FmTensor *
build_affine (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_affine_int4 (g, x[0], part_of (g, x[1], n), part_of (g, x[2], n), (FmInt4) n[0], n[2] ? x[3] : NULL);
}

static void
reference_affine (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 m = x[1].shape.dims[0] - n[1], k = x[1].shape.dims[1] * 2, groups = x[2].shape.dims[1];
  FmShape shape = x[0].shape;
  gdouble table[16];

  for (guint code = 0; code < 16; code++)
    table[code] = level ((FmInt4) n[0], code);
  shape.dims[shape.rank - 1] = m;
  fm_op_array_init (y, shape);
  for (gint64 r = 0; r < x[0].n / k; r++)
    for (gint64 j = 0; j < m; j++)
      {
        gdouble sum = n[2] ? x[3].v[j] : 0;

        for (gint64 t = 0; t < k; t++)
          sum += x[0].v[r * k + t] * table[code_at (x[1].v + (j + n[1]) * (k / 2), t)]
                 * x[2].v[(j + n[1]) * groups + t / (k / groups)];
        y->v[r * m + j] = sum;
      }
}

static FmTensor *
build_unpack (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_unpack_int4 (g, part_of (g, x[0], n), part_of (g, x[1], n), (FmInt4) n[0]);
}

static void
reference_unpack (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 m = x[0].shape.dims[0] - n[1], k = x[0].shape.dims[1] * 2, groups = x[1].shape.dims[1];

  fm_op_array_init (y, FM_SHAPE (m, k));
  for (gint64 j = 0; j < m; j++)
    for (gint64 t = 0; t < k; t++)
      y->v[j * k + t] = level ((FmInt4) n[0], code_at (x[0].v + (j + n[1]) * (k / 2), t))
                        * x[1].v[(j + n[1]) * groups + t / (k / groups)];
}

/* Scaled levels are at most 1.6 (even) or 0.2 (normal). */
#define AFFINE(id, size, numbers, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { UNPACK numbers }, .build = build_affine, \
    .reference = reference_affine, .atol = (size) * 6e-8 + 1e-7, .rtol = 1e-6, .grad_atol = (size) * 2e-6 + 1e-4, \
    .grad_rtol = 1e-5, .grad_samples = 6, .no_views = TRUE, \
    .why = "K products of the size of the weights, summed in f32; views of weights are cases of their own" }
#define UNPACKED(id, numbers, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { UNPACK numbers }, .build = build_unpack, \
    .reference = reference_unpack, .atol = 2e-8, .rtol = 2e-7, .grad_atol = 1e-4, .no_views = TRUE, \
    .why = "a level of nine digits and one product; gradients sum a group" }
#define UNPACK(...) __VA_ARGS__

static const FmOpCase affine_cases[] = {
  AFFINE ("affine", 32 * 1.6, (0), F32 (7, 32), CODES (5, 16), SCALE (5, 1)),
  AFFINE ("affine/normal", 32 * 0.2, (1), F32 (7, 32), CODES (5, 16), SCALE (5, 1)),
  AFFINE ("affine/vector", 64 * 1.6, (0, 0, 1), F32 (64), CODES (3, 32), SCALE (3, 2), F32 (3)),
  AFFINE ("affine/groups", 96 * 0.2, (1, 0, 1), F32 (2, 2, 96), CODES (13, 48), SCALE (13, 3), F32 (13)),
  AFFINE ("affine/group-64", 128 * 1.6, (0), F32 (5, 128), CODES (9, 64), SCALE (9, 2)),
  AFFINE ("affine/group-128", 256 * 0.2, (1), F32 (8, 256), CODES (17, 128), SCALE (17, 2)),
  AFFINE ("affine/row", 256 * 1.6, (0, 0, 1), F32 (1, 256), CODES (131, 128), SCALE (131, 4), F32 (131)),
  AFFINE ("affine/wide", 64 * 0.2, (1, 0, 1), F32 (90, 64), CODES (37, 32), SCALE (37, 2), F32 (37)),
  AFFINE ("affine/part", 64 * 1.6, (0, 3), F32 (6, 64), CODES (12, 32), SCALE (12, 2)),
  AFFINE ("affine/part-wide", 64 * 1.6, (0, 2), F32 (75, 64), CODES (12, 32), SCALE (12, 1)),
};

static const FmOpCase unpack_cases[] = {
  UNPACKED ("unpack", (0), CODES (5, 16), SCALE (5, 1)),
  UNPACKED ("unpack/normal", (1), CODES (4, 48), SCALE (4, 3)),
  UNPACKED ("unpack/many", (1), CODES (260, 64), SCALE (260, 1)),
  UNPACKED ("unpack/part", (0, 3), CODES (9, 64), SCALE (9, 2)),
};

/* --- Packing; n[0]: levels, n[1]: group, n[2]: 0 the bytes, 1 the scales, 2 unpacked again --------------------------*/

static FmTensor *
build_pack (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *scale, *packed = fm_pack_int4 (g, x[0], n[1], (FmInt4) n[0], &scale);

  return n[2] == 0 ? fm_cast (g, packed, FM_F32) : n[2] == 1 ? fm_mul_scalar (g, scale, 1)
                   : fm_unpack_int4 (g, packed, scale, (FmInt4) n[0]);
}

static void
reference_pack (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 m = x->shape.dims[0], k = x->shape.dims[1], group = n[1];
  g_autofree guint *codes = g_new (guint, x->n);
  g_autofree gdouble *scales = g_new (gdouble, x->n / group);
  gdouble table[16];

  for (guint code = 0; code < 16; code++)
    table[code] = level ((FmInt4) n[0], code);
  for (gint64 s = 0; s < x->n / group; s++)
    {
      gdouble top = 0;

      for (gint64 i = s * group; i < (s + 1) * group; i++)
        top = MAX (top, fabs (x->v[i]));
      scales[s] = top > 0 ? top / table[15] : 1;
      for (gint64 i = s * group; i < (s + 1) * group; i++)
        {
          codes[i] = 0;
          for (guint code = 1; code < 16; code++)
            if (fabs (x->v[i] / scales[s] - table[code]) < fabs (x->v[i] / scales[s] - table[codes[i]]))
              codes[i] = code;
        }
    }
  fm_op_array_init (y, n[2] == 0 ? FM_SHAPE (m, k / 2) : n[2] == 1 ? FM_SHAPE (m, k / group) : FM_SHAPE (m, k));
  for (gint64 i = 0; i < y->n; i++)
    if (n[2] == 0)
      {
        gint64 t = i / 16 * 32 + i % 16; /* rows are whole blocks of 32 */

        y->v[i] = (gint8) (codes[t] | codes[t + 16] << 4);
      }
    else
      y->v[i] = n[2] == 1 ? scales[i] : table[codes[i]] * scales[i / group];
}

/* Every number lies within a third of the distance from a level to its neighbour: f32 and double choose alike. Groups of
 * 32 or more have one of the top level each; the fourth row is all zeros. Works for both kinds of levels, by @which. */
static void
fill_near (FmOpArray *a, FmInt4 which)
{
  gint64 k = a->shape.dims[a->shape.rank - 1];

  for (gint64 i = 0; i < a->n; i++)
    {
      guint code = (guint) ((a->v[i] + 1) * 7.2) + 1; /* 1 to 15 */
      gdouble at = level (which, code), gap = MIN (code < 15 ? level (which, code + 1) - at : 1, at - level (which, code - 1));
      gdouble top = 0.5 + (gdouble) (i / 32 % 7) / 3;

      a->v[i] = i % 32 == 11 ? (i / 32 % 2 ? -top : top)
                             : top / level (which, 15) * CLAMP (at + gap / 3 * sin ((gdouble) i), -level (which, 15) * 0.99,
                                                                level (which, 15) * 0.99);
      if (a->shape.dims[0] > 3 && i / k == 3)
        a->v[i] = 0;
    }
}

static void
fill_even (FmOpArray *a)
{
  fill_near (a, FM_INT4_EVEN);
}

static void
fill_normal (FmOpArray *a)
{
  fill_near (a, FM_INT4_NORMAL);
}

#define PACK(id, numbers, off, fill, ...) \
  { .name = id, .quick = TRUE, .in = { { FM_F32, FM_SHAPE (__VA_ARGS__), -1, 1, FALSE, fill } }, \
    .n = { UNPACK numbers }, .build = build_pack, .reference = reference_pack, .atol = off, .rtol = 3e-7, \
    .why = "codes exact; a scale is rounded once, its product with a level again" }

static const FmOpCase pack_cases[] = {
  PACK ("pack", (0, 32, 0), 0, fill_even, 5, 32),
  PACK ("pack/normal", (1, 32, 0), 0, fill_normal, 5, 96),
  PACK ("pack/many", (1, 32, 0), 0, fill_normal, 300, 64),
  PACK ("pack/scales", (0, 32, 1), 0, fill_even, 5, 96),
  PACK ("pack/scales-normal", (1, 32, 1), 0, fill_normal, 70, 64),
  PACK ("pack/round", (0, 32, 2), 2e-8, fill_even, 5, 64),
  PACK ("pack/round-normal", (1, 32, 2), 2e-8, fill_normal, 9, 64),
};

/* --- By hand ------------------------------------------------------------------------------------------------------*/

/* Groups of 64 and 128 share one scale; NaN is the level 0 and spoils no neighbour. */
static void
test_groups (void)
{
  enum { M = 3, K = 128 };

  for (gint64 group = 32; group <= 128; group *= 2)
    for (FmInt4 which = FM_INT4_EVEN; which <= FM_INT4_NORMAL; which++)
      {
        g_autoptr(GError) error = NULL;
        g_autoptr(FmGraph) g = fm_graph_new ();
        g_autoptr(FmVariables) variables = fm_variables_new (fm_op_test_cpu (2), 1);
        g_autoptr(FmProgram) program = NULL;
        FmTensor *scale, *packed = fm_pack_int4 (g, fm_graph_input (g, "w", FM_F32, FM_SHAPE (M, K)), group, which, &scale);
        float w[M * K], got[M * K];
        gdouble widest = which == FM_INT4_EVEN ? 0.5 / 7 : 0.5 * 0.3039;
        FmRandom random;

        fm_random_init (&random, 5, 6);
        for (guint i = 0; i < M * K; i++)
          w[i] = (float) (2 * fm_random_uniform (&random) - 1);
        w[7] = NAN;
        fm_graph_output (g, "y", fm_unpack_int4 (g, packed, scale, which));
        program = fm_program_new (g, fm_op_test_cpu (2), variables, &error);
        g_assert_no_error (error);
        fm_program_write (program, "w", w, sizeof w, &error);
        fm_program_run (program, &error);
        fm_program_read (program, "y", got, sizeof got, &error);
        g_assert_no_error (error);
        g_assert_cmpfloat (got[7], ==, 0);
        for (gint64 i = 0; i < M * K; i++)
          {
            float top = 0;

            for (gint64 t = i / group * group; t < (i / group + 1) * group; t++)
              top = fabsf (w[t]) > top ? fabsf (w[t]) : top;
            if (i != 7)
              g_assert_cmpfloat (fabsf (got[i] - w[i]), <=, top * widest * 1.0001);
          }
      }
}

static void
check_refused (FmTensor *(*build) (FmGraph *g), const char *words)
{
  g_autoptr(FmGraph) g = fm_graph_new ();

  g_assert_true (build (g) == g->poison);
  g_assert_nonnull (strstr (fm_graph_get_error (g)->message, words));
}

static FmTensor *
wrong_group (FmGraph *g)
{
  FmTensor *scale;

  return fm_pack_int4 (g, fm_graph_input (g, "w", FM_F32, FM_SHAPE (4, 96)), 64, FM_INT4_EVEN, &scale);
}

static FmTensor *
wrong_scale (FmGraph *g)
{
  return fm_unpack_int4 (g, fm_graph_input (g, "w", FM_I8, FM_SHAPE (4, 48)), fm_graph_input (g, "s", FM_F32, FM_SHAPE (4, 2)),
                         FM_INT4_EVEN); /* groups of 48 */
}

static FmTensor *
wrong_x (FmGraph *g)
{
  return fm_affine_int4 (g, fm_graph_input (g, "x", FM_F32, FM_SHAPE (2, 48)), fm_graph_input (g, "w", FM_I8, FM_SHAPE (4, 48)),
                         fm_graph_input (g, "s", FM_F32, FM_SHAPE (4, 1)), FM_INT4_EVEN, NULL);
}

static FmTensor *
through_codes (FmGraph *g)
{
  FmTensor *w = fm_param (g, "w", FM_SHAPE (4, 32), fm_init_normal (1)), *scale, *dw;
  FmTensor *packed = fm_pack_int4 (g, w, 32, FM_INT4_EVEN, &scale);

  fm_grad (g, fm_sum_all (g, fm_unpack_int4 (g, packed, scale, FM_INT4_EVEN)), &w, 1, &dw);
  return g->poison;
}

static void
test_refused (void)
{
  check_refused (wrong_group, "f32 [4,96] in groups of 64");
  check_refused (wrong_scale, "packed i8 [4,48], scale f32 [4,2]");
  check_refused (wrong_x, "x f32 [2,48]");
  check_refused (through_codes, "pack-int4");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fm_op_test_add ("int4", affine_cases, G_N_ELEMENTS (affine_cases));
  fm_op_test_add ("int4", unpack_cases, G_N_ELEMENTS (unpack_cases));
  fm_op_test_add ("int4", pack_cases, G_N_ELEMENTS (pack_cases));
  g_test_add_func ("/compute/int4/groups", test_groups);
  g_test_add_func ("/compute/int4/refused", test_refused);
  return g_test_run ();
}
