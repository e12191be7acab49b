/* test-base.c: parameters, names, random streams and checked sizes. */
#include "base/base.h"

#include <math.h>
#include <string.h>

typedef struct
{
  gint64  heads;
  gdouble drop_rate;
  gint64  form;
  gint64  causal;
} Values;

static const char * const forms[] = { "window", "block", NULL };
static const FmParam rows[] = {
  FM_PARAM_INT (Values, heads, 4, 1, 64, "heads", "Heads"),
  FM_PARAM_DOUBLE (Values, drop_rate, 0.125, 0.0, 0.5, NULL, "Rate"),
  FM_PARAM_CHOICE (Values, form, forms, "Form"),
  FM_PARAM_BOOL (Values, causal, 0, "Causal"),
  FM_PARAM_END
};

static void
test_params_read (void)
{
  Values v;
  g_autofree char *all = NULL, *one = NULL, *nine = NULL;

  fm_params_set_defaults (rows, &v);
  all = fm_params_to_string (rows, &v);
  g_assert_cmpstr (all, ==, "heads=4 drop_rate=0.125 form=window causal=false");

  g_assert_true (fm_params_set (rows, &v, "heads", "64", NULL));
  g_assert_true (fm_params_set (rows, &v, "drop-rate", "0.1", NULL));
  g_assert_true (fm_params_set (rows, &v, "form", "block", NULL));
  g_assert_true (fm_params_set (rows, &v, "causal", "yes", NULL));
  g_assert_cmpint (v.heads, ==, 64);
  g_assert_cmpfloat (v.drop_rate, ==, 0.1);
  g_assert_cmpint (v.form, ==, 1);
  g_assert_cmpint (v.causal, ==, 1);

  one = fm_params_get (rows, &v, "drop-rate");
  g_assert_cmpstr (one, ==, "0.1");
  v.drop_rate = 0.2345678;
  nine = fm_params_get (rows, &v, "drop_rate");
  g_assert_cmpstr (nine, ==, "0.2345678");
  g_assert_null (fm_params_get (rows, &v, "rate"));
  g_assert_true (fm_params_find (rows, "drop-rate") == &rows[1]);
  g_assert_null (fm_params_find (NULL, "heads"));
}

/* Whatever fm_params_get() writes, fm_params_set() reads back to the same bits, awkward numbers included. */
static void
test_params_round_trip (void)
{
  static const gdouble numbers[] = { 0.0, 0.5, 0.1, 1e-6, 1e-300, 1.0 / 3.0, 0.1 + 0.2 };

  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    {
      Values v = { 0 }, w = { 0 };
      g_autofree char *text = NULL;

      v.drop_rate = numbers[i];
      text = fm_params_get (rows, &v, "drop_rate");
      g_assert_true (fm_params_set (rows, &w, "drop_rate", text, NULL));
      g_assert_cmpfloat (w.drop_rate, ==, numbers[i]);
    }
}

static void
test_params_refuse (void)
{
  static const struct { const char *name, *text, *words; } cases[] = {
    { "heads", "0", "between 1 and 64" },
    { "heads", "65", "between 1 and 64" },
    { "heads", "2.5", "whole number" },
    { "heads", "", "whole number" },
    { "heads", "4x", "whole number" },
    { "heads", "nan", "whole number" },
    { "heads", "inf", "whole number" },
    { "heads", "1e20", "between 1 and 64" },
    { "heads", "-9223372036854775809", "between 1 and 64" },
    { "drop_rate", "0.51", "between 0 and 0.5" },
    { "drop_rate", "NaN", "number" },
    { "drop_rate", "1e999", "number" },
    { "form", "Block", "one of window, block" },
    { "causal", "maybe", "true or false" },
    { "head", "3", "did you mean “heads”" },
    { "zzz", "3", "there are: heads, drop_rate, form, causal" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      Values v, before;
      g_autoptr (GError) error = NULL;

      fm_params_set_defaults (rows, &v);
      before = v;
      g_assert_false (fm_params_set (rows, &v, cases[i].name, cases[i].text, &error));
      g_assert_error (error, FM_BASE_ERROR, FM_BASE_ERROR_PARAM);
      g_assert_nonnull (strstr (error->message, cases[i].words));
      g_assert_cmpmem (&v, sizeof v, &before, sizeof before);
    }
}

static void
test_nearest (void)
{
  static const char * const names[] = { "softmax-attention", "linear-attention", "local-attention", "pooling", NULL };

  g_assert_cmpstr (fm_nearest_name ("softmax-atention", names), ==, "softmax-attention");
  g_assert_cmpstr (fm_nearest_name ("polling", names), ==, "pooling");
  g_assert_cmpstr (fm_nearest_name ("opoling", names), ==, "pooling");
  g_assert_cmpstr (fm_nearest_name ("local", names), ==, "local-attention");
  g_assert_cmpstr (fm_nearest_name ("POOLING", names), ==, "pooling");
  g_assert_null (fm_nearest_name ("convolution", names));
  g_assert_null (fm_nearest_name ("", names));
  g_assert_null (fm_nearest_name ("x", NULL));
}

/* Known answers of Random123 1.14, tests/kat_vectors, rows `philox4x32 10`; the words of its counter and key are
 * there in the order that the two 64-bit halves hold here, lowest first. */
static void
test_philox (void)
{
  static const struct { guint32 counter[4], key[2], answer[4]; } cases[] = {
    { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
    { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff }, { 0xffffffff, 0xffffffff },
      { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
    { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 }, { 0xa4093822, 0x299f31d0 },
      { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      guint32 out[4];

      fm_philox (cases[i].key[0] | (guint64) cases[i].key[1] << 32,
                 cases[i].counter[0] | (guint64) cases[i].counter[1] << 32,
                 cases[i].counter[2] | (guint64) cases[i].counter[3] << 32, out);
      g_assert_cmpmem (out, sizeof out, cases[i].answer, sizeof cases[i].answer);
    }
}

static void
test_streams (void)
{
  FmRandom a, b, c;
  guint same = 0;

  fm_random_init (&a, 1, 2);
  fm_random_init (&b, 1, 2);
  fm_random_init (&c, 1, 3);
  for (guint i = 0; i < 1000; i++)
    {
      guint32 x = fm_random_uint32 (&a);

      g_assert_cmpuint (x, ==, fm_random_uint32 (&b));
      same += x == fm_random_uint32 (&c);
    }
  g_assert_cmpuint (same, <=, 1); /* expected 2e-7 */
}

/* Chi-square of 7 cells over 70,000 draws: 6 degrees of freedom, 99.9999% point 38.3. And a bound of 3/4 of 2^64, where
 * taking x mod n would give the lower third of the range half of the draws instead of a third. */
static void
test_below (void)
{
  const guint64 n = (guint64) 3 << 62;
  FmRandom r;
  guint counts[7] = { 0 }, low = 0;
  gdouble chi = 0;

  fm_random_init (&r, 7, 0);
  for (guint i = 0; i < 70000; i++)
    counts[fm_random_below (&r, 7)]++;
  for (guint i = 0; i < 7; i++)
    chi += (counts[i] - 1e4) * (counts[i] - 1e4) / 1e4;
  g_assert_cmpfloat (chi, <, 38.3);

  for (guint i = 0; i < 30000; i++)
    {
      guint64 x = fm_random_below (&r, n);

      g_assert_cmpuint (x, <, n);
      low += x < n / 3;
    }
  g_assert_cmpuint (low, >, 9600); /* 10,000, five standard deviations of 82 */
  g_assert_cmpuint (low, <, 10400);
  for (guint i = 0; i < 100; i++)
    g_assert_cmpuint (fm_random_below (&r, 1), ==, 0);
}

static void
test_moments (void)
{
  enum { N = 200000 };
  FmRandom r;
  gdouble u = 0, uu = 0, z = 0, zz = 0, zzzz = 0;

  fm_random_init (&r, 11, 5);
  for (guint i = 0; i < N; i++)
    {
      gdouble x = fm_random_uniform (&r), y = fm_random_normal (&r);

      g_assert_true (x >= 0 && x < 1);
      g_assert_true (isfinite (y));
      u += x;
      uu += x * x;
      z += y;
      zz += y * y;
      zzzz += y * y * y * y;
    }
  /* Five standard errors: of x 0.289, x^2 0.298, z 1, z^2 1.41, z^4 9.8, each over sqrt(N). */
  g_assert_cmpfloat (fabs (u / N - 1 / 2.0), <, 5 * 0.289 / sqrt (N));
  g_assert_cmpfloat (fabs (uu / N - 1 / 3.0), <, 5 * 0.298 / sqrt (N));
  g_assert_cmpfloat (fabs (z / N), <, 5 * 1.0 / sqrt (N));
  g_assert_cmpfloat (fabs (zz / N - 1), <, 5 * 1.41 / sqrt (N));
  g_assert_cmpfloat (fabs (zzzz / N - 3), <, 5 * 9.8 / sqrt (N));
}

static void
test_hash (void)
{
  /* FNV-1a of "" and "a" (its authors' test vectors), then splitmix64's finaliser done by hand in Python. */
  g_assert_cmphex (fm_hash (""), ==, G_GUINT64_CONSTANT (0xf52a15e9a9b5e89b));
  g_assert_cmphex (fm_hash ("a"), ==, G_GUINT64_CONSTANT (0x02c0bdbf481420f8));
  g_assert_cmphex (fm_hash ("ab"), !=, fm_hash ("ba"));
}

static void
test_sizes (void)
{
  const gint64 fits[] = { 3, 4, 5 }, too_much[] = { G_MAXINT64, 4 }, negative[] = { -1 }, none[] = { 0, G_MAXINT64 };
  gsize product = 1;

  g_assert_true (fm_size_product (fits, 3, &product));
  g_assert_cmpuint (product, ==, 60);
  g_assert_true (fm_size_product (fits, 0, &product));
  g_assert_cmpuint (product, ==, 1);
  g_assert_true (fm_size_product (none, 2, &product));
  g_assert_cmpuint (product, ==, 0);
  g_assert_false (fm_size_product (too_much, 2, &product));
  g_assert_false (fm_size_product (negative, 1, &product));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/params/read", test_params_read);
  g_test_add_func ("/base/params/round-trip", test_params_round_trip);
  g_test_add_func ("/base/params/refuse", test_params_refuse);
  g_test_add_func ("/base/nearest-name", test_nearest);
  g_test_add_func ("/base/random/philox-known-answers", test_philox);
  g_test_add_func ("/base/random/streams", test_streams);
  g_test_add_func ("/base/random/below", test_below);
  g_test_add_func ("/base/random/moments", test_moments);
  g_test_add_func ("/base/hash", test_hash);
  g_test_add_func ("/base/sizes", test_sizes);
  return g_test_run ();
}
