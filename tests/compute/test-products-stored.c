/* test-products-stored.c: weights stored as f16 and i8, whole-number products, quantisation. */
#include "op-test.h"

#include <math.h>
#include <string.h>

#define F32(...) { FM_F32, FM_SHAPE (__VA_ARGS__), -1, 1, TRUE }
#define HALF(...) { FM_F16, FM_SHAPE (__VA_ARGS__), -1, 1, FALSE }
#define BYTES(...) { FM_I8, FM_SHAPE (__VA_ARGS__), -127, 127, FALSE }
#define SCALE(...) { FM_F32, FM_SHAPE (__VA_ARGS__), 0.001, 0.01, TRUE }

/* Weights cannot lie permuted, so views of them are made here: n[2] rows and n[3] columns are cut off. */
static FmTensor *
part_of (FmGraph *g, FmTensor *w, const gint64 *n)
{
  w = n[2] ? fm_slice (g, w, 0, n[2], w->shape.dims[0] - n[2]) : w;
  return n[3] ? fm_slice (g, w, 1, n[3], w->shape.dims[1] - n[3]) : w;
}

/* n[0]: with a scale, n[1]: with a bias. */
static FmTensor *
build_stored (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_affine_stored (g, x[0], part_of (g, x[1], n), n[0] ? x[2] : NULL, n[1] ? x[2 + n[0]] : NULL);
}

static void
reference_stored (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 all = x[1].shape.dims[1], m = x[1].shape.dims[0] - n[2], k = all - n[3];
  FmShape shape = x[0].shape;

  shape.dims[shape.rank - 1] = m;
  fm_op_array_init (y, shape);
  for (gint64 r = 0; r < x[0].n / k; r++)
    for (gint64 j = 0; j < m; j++)
      {
        gdouble sum = 0;

        for (gint64 t = 0; t < k; t++)
          sum += x[0].v[r * k + t] * x[1].v[(j + n[2]) * all + t + n[3]];
        y->v[r * m + j] = sum * (n[0] ? x[2].v[j] : 1) + (n[1] ? x[2 + n[0]].v[j] : 0);
      }
}

#define STORED(id, numbers, size, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { UNPACK numbers }, .build = build_stored, \
    .reference = reference_stored, .atol = (size) * 6e-8 + 1e-7, .rtol = 1e-6, .grad_atol = (size) * 2e-6 + 1e-4, \
    .grad_rtol = 1e-5, .grad_samples = 6, .no_views = TRUE, \
    .why = "K products of the size of the weights, summed in f32; views of weights are cases of their own" }
#define UNPACK(...) __VA_ARGS__

static const FmOpCase stored_cases[] = {
  STORED ("f16", (0, 0), 9, F32 (7, 9), HALF (5, 9)),
  STORED ("f16/bias", (0, 1), 33, F32 (3, 2, 33), HALF (19, 33), F32 (19)),
  STORED ("f16/scale-bias", (1, 1), 33, F32 (4, 33), HALF (8, 33), SCALE (8), F32 (8)),
  STORED ("f16/one", (0, 0), 1, F32 (1, 1), HALF (1, 1)),
  STORED ("f16/row", (0, 1), 70, F32 (1, 70), HALF (130, 70), F32 (130)),
  STORED ("f16/wide", (0, 1), 20, F32 (90, 20), HALF (37, 20), F32 (37)),
  STORED ("f16/part", (0, 0, 3, 5), 40, F32 (6, 36), HALF (12, 41)),
  STORED ("i8", (1, 0), 9 * 1.3, F32 (7, 9), BYTES (5, 9), SCALE (5)),
  STORED ("i8/no-scale", (0, 0), 9 * 127, F32 (7, 9), BYTES (5, 9)),
  STORED ("i8/vector", (1, 1), 21 * 1.3, F32 (21), BYTES (6, 21), SCALE (6), F32 (6)),
  STORED ("i8/row", (1, 1), 70 * 1.3, F32 (1, 70), BYTES (130, 70), SCALE (130), F32 (130)),
  STORED ("i8/wide", (1, 1), 20 * 1.3, F32 (90, 20), BYTES (37, 20), SCALE (37), F32 (37)),
  STORED ("i8/part", (1, 0, 2, 3), 30 * 1.3, F32 (5, 31), BYTES (11, 34), SCALE (9)),
};

/* --- i8 times i8 --------------------------------------------------------------------------------------------------*/

static FmTensor *
build_int8 (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_affine_int8 (g, x[0], x[1], part_of (g, x[2], n), x[3], n[1] ? x[4] : NULL);
}

static void
reference_int8 (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 all = x[2].shape.dims[1], m = x[2].shape.dims[0] - n[2], k = all - n[3];
  FmShape shape = x[0].shape;

  shape.dims[shape.rank - 1] = m;
  fm_op_array_init (y, shape);
  for (gint64 r = 0; r < x[0].n / k; r++)
    for (gint64 j = 0; j < m; j++)
      {
        gdouble sum = 0;

        for (gint64 t = 0; t < k; t++)
          sum += x[0].v[r * k + t] * x[2].v[(j + n[2]) * all + t + n[3]];
        y->v[r * m + j] = sum * x[1].v[r] * x[3].v[j] + (n[1] ? x[4].v[j] : 0);
      }
}

#define INT8(id, numbers, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { UNPACK numbers }, .build = build_int8, \
    .reference = reference_int8, .atol = 1e-7, .rtol = 5e-7, .grad_atol = 1e-4, .grad_rtol = 1e-5, .no_views = TRUE, \
    .why = "the sum is exact up to 2^24, rounded once beyond; three roundings follow; views of weights: part" }
#define FIXED_SCALE(...) { FM_F32, FM_SHAPE (__VA_ARGS__), 0.001, 0.01, FALSE }

static const FmOpCase int8_cases[] = {
  INT8 ("int8", (0, 0), BYTES (7, 9), FIXED_SCALE (7), BYTES (5, 9), FIXED_SCALE (5)),
  INT8 ("int8/one", (0, 0), BYTES (1, 1), FIXED_SCALE (1), BYTES (1, 1), FIXED_SCALE (1)),
  INT8 ("int8/bias", (0, 1), BYTES (3, 2, 65), FIXED_SCALE (3, 2), BYTES (33, 65), FIXED_SCALE (33), F32 (33)),
  INT8 ("int8/row", (0, 1), BYTES (1, 130), FIXED_SCALE (1), BYTES (70, 130), FIXED_SCALE (70), F32 (70)),
  INT8 ("int8/blocks", (0, 1), BYTES (131, 200), FIXED_SCALE (131), BYTES (66, 200), FIXED_SCALE (66), F32 (66)),
  INT8 ("int8/long", (0, 0), BYTES (2, 3000), FIXED_SCALE (2), BYTES (3, 3000), FIXED_SCALE (3)),
  INT8 ("int8/part", (0, 0, 2, 3), BYTES (5, 31), FIXED_SCALE (5), BYTES (11, 34), FIXED_SCALE (9)),
};

/* --- Quantisation -------------------------------------------------------------------------------------------------*/

/* n[0] 0: the bytes; 1: the scales; 2: both multiplied, with a straight-through gradient. n[1]: the scale is given. */
static FmTensor *
build_quantise (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *scale = n[1] ? x[1] : NULL, *q = fm_quantise (g, x[0], &scale);
  FmShape shape = fm_tensor_get_shape (scale);

  if (n[0] == 0)
    return fm_cast (g, q, FM_F32);
  if (n[0] == 1)
    return fm_mul_scalar (g, scale, 1);
  if (x[0]->shape.rank > 1)
    shape.dims[shape.rank++] = 1;
  return fm_mul (g, fm_cast (g, q, FM_F32), fm_reshape (g, scale, shape));
}

static void
reference_quantise (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  gint64 width = x->shape.dims[x->shape.rank - 1], rows = x->n / width;
  FmShape shape = x->shape;

  if (n[0] == 1)
    {
      shape.rank = MAX (shape.rank - 1, 1);
      if (x->shape.rank == 1)
        shape.dims[0] = 1;
    }
  fm_op_array_init (y, shape);
  for (gint64 r = 0; r < rows; r++)
    {
      gdouble top = 0, scale;

      for (gint64 t = 0; t < width; t++)
        top = MAX (top, fabs (x->v[r * width + t]));
      scale = n[1] ? x[1].v[0] : top > 0 ? top / 127 : 1;
      if (n[0] == 1)
        y->v[r] = scale;
      for (gint64 t = 0; t < width && n[0] != 1; t++)
        y->v[r * width + t] = CLAMP (nearbyint (x->v[r * width + t] / scale), -127, 127) * (n[0] == 2 ? scale : 1);
    }
}

/* A third of a step away from every whole number of steps: f32 and double must round alike. */
static void
fill_away (FmOpArray *a)
{
  gint64 width = a->shape.dims[a->shape.rank - 1];

  for (gint64 i = 0; i < a->n; i++)
    {
      gdouble top = 0.5 + (gdouble) (i / width % 7);

      a->v[i] = i % width == width / 2 ? -top : top / 127 * (trunc (a->v[i] * 100) + 1.0 / 3);
      if (a->shape.dims[0] > 3 && i / width == 3)
        a->v[i] = 0;
    }
}

#define QUANTISE(id, numbers, off, ...) \
  { .name = id, .quick = TRUE, .in = { __VA_ARGS__ }, .n = { UNPACK numbers }, .build = build_quantise, \
    .reference = reference_quantise, .atol = off, .rtol = 2e-7, .why = "exact, but for the scale's own rounding" }
#define AWAY(...) { FM_F32, FM_SHAPE (__VA_ARGS__), -1, 1, FALSE, fill_away }

static const FmOpCase quantise_cases[] = {
  QUANTISE ("quantise/one", (0, 0), 0, AWAY (1)),
  QUANTISE ("quantise/row", (0, 0), 0, AWAY (19)),
  QUANTISE ("quantise/odd", (0, 0), 0, AWAY (5, 7)),
  QUANTISE ("quantise/rank", (0, 0), 0, AWAY (2, 3, 18)),
  QUANTISE ("quantise/many", (0, 0), 0, AWAY (300, 130)),
  QUANTISE ("quantise/scales", (1, 0), 0, AWAY (2, 3, 18)),
  QUANTISE ("quantise/scales-many", (1, 0), 0, AWAY (300, 130)),
  QUANTISE ("quantise/static", (0, 1), 0, AWAY (5, 33), { FM_F32, FM_SHAPE (1), 0.013, 0.0131 }),
};

/* Straight-through: the gradient of what the rounding is taken off from; zero where a given scale saturates. */
static FmTensor *
build_through (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmTensor *y = build_quantise (g, x, n, f), *dx;

  fm_grad (g, fm_sum_all (g, y), x, 1, &dx);
  return dx;
}

static void
reference_through (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  fm_op_array_init (y, x->shape);
  for (gint64 i = 0; i < y->n; i++)
    y->v[i] = !n[1] || fabs (x->v[i]) <= 127 * x[1].v[0];
}

static const FmOpCase through_cases[] = {
  { .name = "quantise/gradient", .quick = TRUE, .in = { AWAY (5, 33) }, .n = { 2 }, .build = build_through,
    .reference = reference_through, .atol = 2e-7, .why = "scale over scale" },
  { .name = "quantise/gradient-static", .quick = TRUE, .in = { AWAY (5, 33), { FM_F32, FM_SHAPE (1), 0.013, 0.0131 } },
    .n = { 2, 1 }, .build = build_through, .reference = reference_through, .atol = 2e-7, .why = "scale over scale" },
};

/* --- A network stored small, beside itself ------------------------------------------------------------------------*/

typedef enum { PLAIN, HALVES, WEIGHTS, BOTH } Kind;

static FmTensor *
layer (FmGraph *g, FmTensor *x, gint64 width, const char *name, Kind kind)
{
  gint64 n = fm_tensor_get_dim (x, -1);
  FmTensor *weight, *bias, *scale;
  FmInit init = fm_init_normal (1.0 / sqrt ((gdouble) n));

  fm_graph_push_scope (g, "%s", name);
  weight = fm_param (g, "weight", FM_SHAPE (width, n), init);
  bias = fm_param (g, "bias", FM_SHAPE (width), fm_init_normal (0.1));
  if (kind == HALVES)
    x = fm_affine_stored (g, x, fm_state (g, "half", FM_F16, FM_SHAPE (width, n), fm_init_zeros ()), NULL, bias);
  else if (kind == PLAIN)
    x = fm_affine (g, x, weight, bias);
  else
    {
      FmTensor *x_scale = NULL, *stored = fm_state (g, "byte", FM_I8, FM_SHAPE (width, n), fm_init_zeros ());

      scale = fm_state (g, "scale", FM_F32, FM_SHAPE (width), fm_init_zeros ());
      if (kind == BOTH)
        {
          x = fm_quantise (g, x, &x_scale);
          x = fm_affine_int8 (g, x, x_scale, stored, scale, bias);
        }
      else
        x = fm_affine_stored (g, x, stored, scale, bias);
    }
  fm_graph_pop_scope (g);
  return x;
}

/* A small encoder: two blocks of feed-forward with residual and norm, and a head. */
static FmTensor *
encoder (FmGraph *g, Kind kind)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (80, 48));

  for (guint i = 0; i < 2; i++)
    {
      FmTensor *h;

      fm_graph_push_scope (g, "%u", i);
      h = fm_gelu (g, layer (g, fm_rms_norm (g, x, NULL, 1e-5), 96, "in", kind));
      x = fm_add (g, x, layer (g, h, 48, "out", kind));
      fm_graph_pop_scope (g);
    }
  return layer (g, fm_rms_norm (g, x, NULL, 1e-5), 10, "head", kind);
}

/* One program that stores every weight small. */
static void
store_weights (FmGraph *g)
{
  static const struct { const char *path; gint64 m, n; } weights[] = {
    { "0.in", 96, 48 }, { "0.out", 48, 96 }, { "1.in", 96, 48 }, { "1.out", 48, 96 }, { "head", 10, 48 }
  };

  for (guint i = 0; i < G_N_ELEMENTS (weights); i++)
    {
      FmShape shape = FM_SHAPE (weights[i].m, weights[i].n);
      FmTensor *w, *scale = NULL, *q;

      fm_graph_push_scope (g, "%s", weights[i].path);
      w = fm_param (g, "weight", shape, fm_init_normal (1.0 / sqrt ((gdouble) weights[i].n)));
      q = fm_quantise (g, w, &scale);
      fm_assign (g, fm_state (g, "byte", FM_I8, shape, fm_init_zeros ()), q);
      fm_assign (g, fm_state (g, "scale", FM_F32, FM_SHAPE (weights[i].m), fm_init_zeros ()), scale);
      fm_assign (g, fm_state (g, "half", FM_F16, shape, fm_init_zeros ()), fm_cast (g, w, FM_F16));
      fm_graph_pop_scope (g);
    }
}

static void
run_encoder (FmDevice *device, FmVariables *variables, Kind kind, const float *x, float *y)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(FmProgram) program = NULL;

  fm_graph_output (g, "y", encoder (g, kind));
  program = fm_program_new (g, device, variables, &error);
  g_assert_no_error (error);
  /* Only what is stored small is there: the weights' bytes shrink to a half and to a quarter. */
  if (kind != PLAIN)
    g_assert_cmpuint (fm_program_get_plan (program)->parameter_bytes, <, 2000);
  fm_program_write (program, "x", x, 80 * 48 * sizeof *x, &error);
  fm_program_run (program, &error);
  fm_program_read (program, "y", y, 800 * sizeof *y, &error);
  g_assert_no_error (error);
}

static void
check_encoder (FmDevice *device)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(FmVariables) variables = fm_variables_new (device, 7);
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(FmProgram) store = NULL;
  static const gdouble allowed[] = { 0, 1e-3, 2e-2, 4e-2 }, least[] = { 0, 1e-5, 1e-3, 1e-3 };
  float x[80 * 48], want[800], got[800];
  FmRandom random;

  fm_random_init (&random, 3, 4);
  for (guint i = 0; i < G_N_ELEMENTS (x); i++)
    x[i] = (float) fm_random_normal (&random);
  store_weights (g);
  store = fm_program_new (g, device, variables, &error);
  g_assert_no_error (error);
  g_assert_true (fm_program_run (store, &error));
  run_encoder (device, variables, PLAIN, x, want);
  for (Kind kind = HALVES; kind <= BOTH; kind++)
    {
      gdouble difference = 0, norm = 0;

      run_encoder (device, variables, kind, x, got);
      for (guint i = 0; i < 800; i++)
        {
          difference += (got[i] - want[i]) * (got[i] - want[i]);
          norm += want[i] * want[i];
        }
      g_test_message ("kind %u: off by %.2g of the norm", kind, sqrt (difference / norm));
      g_assert_cmpfloat (sqrt (difference / norm), <, allowed[kind]);
      g_assert_cmpfloat (sqrt (difference / norm), >, least[kind]); /* it is stored small, not the weights again */
    }
}

static void
test_encoder_cpu (void)
{
  check_encoder (fm_op_test_cpu (2));
}

static void
test_encoder_vulkan (void)
{
  FmDevice *device = fm_op_test_vulkan ();

  if (device)
    check_encoder (device);
}

static void
test_refused (void)
{
  g_autoptr(FmGraph) g = fm_graph_new (), h = fm_graph_new ();

  fm_affine_stored (g, fm_graph_input (g, "x", FM_F32, FM_SHAPE (2, 3)),
                    fm_graph_input (g, "w", FM_I8, FM_SHAPE (4, 2)),
                    NULL, NULL);
  g_assert_nonnull (strstr (fm_graph_get_error (g)->message, "weight i8 [4,2]"));
  fm_affine_stored (h, fm_graph_input (h, "x", FM_F32, FM_SHAPE (2, 3)),
                    fm_transpose (h, fm_graph_input (h, "w", FM_F16, FM_SHAPE (3, 4)), 0, 1), NULL, NULL);
  g_assert_nonnull (strstr (fm_graph_get_error (h)->message, "not f16"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fm_op_test_add ("stored", stored_cases, G_N_ELEMENTS (stored_cases));
  fm_op_test_add ("stored", int8_cases, G_N_ELEMENTS (int8_cases));
  fm_op_test_add ("stored", quantise_cases, G_N_ELEMENTS (quantise_cases));
  fm_op_test_add ("stored", through_cases, G_N_ELEMENTS (through_cases));
  g_test_add_func ("/compute/stored/encoder/cpu", test_encoder_cpu);
  if (!g_test_quick ())
    g_test_add_func ("/compute/stored/encoder/vulkan", test_encoder_vulkan);
  g_test_add_func ("/compute/stored/refused", test_refused);
  return g_test_run ();
}
