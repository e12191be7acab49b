/* test-types.c: types of storage: casts to and from f16 and i8, variables and files of them, who refuses them. */
#include "op-test.h"

#include "compute/half.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

/* --- f16 bits -----------------------------------------------------------------------------------------------------*/

/* The nearest f16 by the definition: a multiple of the unit of the value's binade, ties to even. */
static gdouble
half_by_definition (gdouble x)
{
  int exponent;
  gdouble unit, r;

  if (isnan (x) || isinf (x) || x == 0)
    return x;
  frexp (x, &exponent); /* |x| in [2^(exponent-1), 2^exponent) */
  unit = ldexp (1, MAX (exponent - 1, -14) - 10);
  r = nearbyint (x / unit) * unit; /* the mode is to nearest even */
  return fabs (r) > 65504 ? copysign (INFINITY, x) : r;
}

static void
test_half (void)
{
  FmRandom random;

  for (guint32 h = 0; h < 65536; h++)
    {
      float value = fm_half_value ((guint16) h);
      guint16 back = fm_half_of (value);
      guint32 fraction = h & 1023, exponent = h >> 10 & 31;
      gdouble want = exponent == 31   ? (fraction ? NAN : INFINITY)
                     : exponent == 0 ? ldexp (fraction, -24)
                                     : ldexp (1024 + fraction, (int) exponent - 25);

      if (isnan (want))
        {
          g_assert_true (isnan (value));
          g_assert_true ((back & 0x7C00) == 0x7C00 && (back & 0x3FF) != 0);
          continue;
        }
      g_assert_cmpfloat (value, ==, h & 0x8000 ? -want : want);
      g_assert_cmphex (back, ==, h);
    }
  fm_random_init (&random, 1, 1);
  for (guint i = 0; i < 2000000; i++)
    {
      guint32 bits = (guint32) (fm_random_uniform (&random) * 4294967296.0);
      float x;

      if (i % 2) /* half of them where f16 has values, ties among them */
        bits = (bits & 0x80000000) | (0x33000000 + bits % 0x15000000 / 4096 * 4096);
      memcpy (&x, &bits, sizeof x);
      if (isnan (x))
        g_assert_true (isnan (fm_half_value (fm_half_of (x))));
      else
        g_assert_cmpfloat (fm_half_value (fm_half_of (x)), ==, half_by_definition (x));
    }
}

/* --- fm_cast ------------------------------------------------------------------------------------------------------*/

static FmTensor *
build_cast (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_cast (g, x[0], (FmType) n[0]);
}

static void
reference_cast (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  fm_op_array_init (y, x->shape);
  for (gint64 i = 0; i < y->n; i++)
    {
      gdouble v = x->v[i];

      y->v[i] = n[0] == FM_F16  ? half_by_definition (v)
                : n[0] == FM_I8 ? (isnan (v) ? 0 : CLAMP (trunc (v), -128, 127))
                                : v;
    }
}

/* There and back: its gradient is that of the identity, while its value is rounded. */
static FmTensor *
build_through_f16 (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_add (g, fm_mul_scalar (g, fm_cast (g, fm_cast (g, x[0], FM_F16), FM_F32), 2), x[0]);
}

static void
reference_through_f16 (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  fm_op_array_init (y, x->shape);
  for (gint64 i = 0; i < y->n; i++)
    y->v[i] = 3 * x->v[i];
}

static void
fill_special (FmOpArray *a)
{
  static const gdouble special[] = {
    0, -0.0, 65504, 65519.99, 65520, -1e9, INFINITY, -INFINITY, 5.9e-8, 2.98e-8, -1e-20, NAN, 2049, 2051, -126.6, 127.9,
    128, -129, 300, 6.1e-5
  };

  for (gint64 i = 0; i < a->n; i += 3)
    a->v[i] = special[i / 3 % G_N_ELEMENTS (special)];
}

#define CAST(id, from, to, lo, hi, special, ...) \
  { .name = id, .quick = TRUE, .in = { { from, FM_SHAPE (__VA_ARGS__), lo, hi, FALSE, special } }, .n = { to }, \
    .build = build_cast, .reference = reference_cast, .why = "exact: one rounding, done by the definition" }

static const FmOpCase cast_cases[] = {
  CAST ("to-f16/one", FM_F32, FM_F16, -1, 1, NULL, 1),
  CAST ("to-f16/odd", FM_F32, FM_F16, -100, 100, fill_special, 7, 9),
  CAST ("to-f16/long", FM_F32, FM_F16, -1, 1, fill_special, 3, 33333),
  CAST ("to-f16/rank", FM_F32, FM_F16, -1e-4, 1e-4, NULL, 3, 2, 5, 3),
  CAST ("from-f16/one", FM_F16, FM_F32, -1, 1, NULL, 1),
  CAST ("from-f16/odd", FM_F16, FM_F32, -1000, 1000, fill_special, 5, 11),
  CAST ("from-f16/long", FM_F16, FM_F32, -1, 1, NULL, 40001),
  CAST ("from-f16/to-i8", FM_F16, FM_I8, -200, 200, fill_special, 5, 11),
  CAST ("to-i8/one", FM_F32, FM_I8, -1, 1, NULL, 1),
  CAST ("to-i8/odd", FM_F32, FM_I8, -140, 140, fill_special, 7, 3, 3),
  CAST ("to-i8/long", FM_F32, FM_I8, -140, 140, fill_special, 3, 33333),
  CAST ("from-i8/one", FM_I8, FM_F32, -128, 127, NULL, 1),
  CAST ("from-i8/odd", FM_I8, FM_F32, -128, 127, NULL, 3, 3, 7),
  CAST ("from-i8/long", FM_I8, FM_F32, -128, 127, NULL, 40003),
  { .name = "through-f16", .quick = TRUE, .in = { { FM_F32, FM_SHAPE (5, 7), 0.5, 1, TRUE } },
    .build = build_through_f16, .reference = reference_through_f16, .atol = 2 * 2.5e-4, .grad_atol = 1e-5,
    .grad_rtol = 1e-5, .why = "half of f16's unit below 1, 2.4e-4, twice; the gradient is exact" },
};

/* --- Variables, files, refusals -----------------------------------------------------------------------------------*/

static void
check_variables (FmDevice *device)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(FmVariables) variables = fm_variables_new (device, 1), again = fm_variables_new (device, 2);
  g_autoptr(FmProgram) program = NULL;
  g_autofree char *folder = g_dir_make_tmp ("formarium-types-XXXXXX", &error);
  g_autofree char *file = g_build_filename (folder, "a.safetensors", NULL);
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (3, 5));
  FmTensor *half = fm_state (g, "half", FM_F16, FM_SHAPE (3, 5), fm_init_normal (1)), *byte;
  float in[15], out[15];
  guint16 halves[15];
  gint8 bytes[5], five[5];

  byte = fm_state (g, "byte", FM_I8, FM_SHAPE (5), fm_init_constant (-3));
  fm_graph_output (g, "before", fm_add (g, fm_cast (g, half, FM_F32), fm_cast (g, byte, FM_F32)));
  fm_assign (g, half, fm_cast (g, x, FM_F16));
  fm_graph_output (g, "stored", fm_cast (g, fm_slice (g, x, 0, 1, 1), FM_I8));
  program = fm_program_new (g, device, variables, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (fm_program_get_plan (program)->state_bytes, ==, 32 + 8); /* 30 and 5 bytes in whole words */
  g_assert_true (fm_variables_read (variables, "half", halves, sizeof halves, &error));
  for (guint i = 0; i < 15; i++)
    in[i] = (float) i * 1.37f - 7;
  g_assert_true (fm_program_write (program, "x", in, sizeof in, &error));
  g_assert_true (fm_program_run (program, &error));
  g_assert_true (fm_program_read (program, "before", out, sizeof out, &error));
  for (guint i = 0; i < 15; i++)
    g_assert_cmpfloat (out[i], ==, fm_half_value (halves[i]) - 3);
  g_assert_cmpfloat (fm_half_value (halves[0]), !=, fm_half_value (halves[1])); /* drawn, not zero */
  g_assert_true (fm_program_read (program, "stored", five, sizeof five, &error));
  for (guint i = 0; i < 5; i++)
    g_assert_cmpint (five[i], ==, (gint) in[5 + i]);

  g_assert_true (fm_variables_save (variables, file, FALSE, &error));
  g_assert_true (fm_variables_load (again, file, &error));
  g_assert_no_error (error);
  g_assert_true (fm_variables_read (again, "half", halves, sizeof halves, &error));
  for (guint i = 0; i < 15; i++)
    g_assert_cmphex (halves[i], ==, fm_half_of (in[i]));
  g_assert_true (fm_variables_read (again, "byte", bytes, sizeof bytes, &error));
  for (guint i = 0; i < 5; i++)
    g_assert_cmpint (bytes[i], ==, -3);
  g_assert_false (fm_variables_read (again, "byte", bytes, 8, &error)); /* five bytes, whatever its memory is */
  g_assert_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH);
  g_unlink (file);
  g_rmdir (folder);
}

static void
test_variables_cpu (void)
{
  check_variables (fm_op_test_cpu (2));
}

static void
test_variables_vulkan (void)
{
  FmDevice *device = fm_op_test_vulkan ();

  if (device)
    check_variables (device);
}

static void
test_refused (void)
{
  g_autoptr(FmGraph) g = fm_graph_new (), h = fm_graph_new (), k = fm_graph_new ();

  fm_exp (g, fm_graph_input (g, "x", FM_F16, FM_SHAPE (2)));
  g_assert_error ((GError *) fm_graph_get_error (g), FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH);
  g_assert_nonnull (strstr (fm_graph_get_error (g)->message, "not f16: fm_cast()"));
  fm_graph_output (h, "y", fm_graph_input (h, "x", FM_I8, FM_SHAPE (2)));
  g_assert_nonnull (strstr (fm_graph_get_error (h)->message, "stored as i8"));
  fm_constant (k, FM_I8, FM_SHAPE (2), 1);
  g_assert_nonnull (strstr (fm_graph_get_error (k)->message, "not i8"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/compute/types/half", test_half);
  fm_op_test_add ("cast", cast_cases, G_N_ELEMENTS (cast_cases));
  g_test_add_func ("/compute/types/variables/cpu", test_variables_cpu);
  if (!g_test_quick ())
    g_test_add_func ("/compute/types/variables/vulkan", test_variables_vulkan);
  g_test_add_func ("/compute/types/refused", test_refused);
  return g_test_run ();
}
