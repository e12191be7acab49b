/* test-bench.c: rounds in turns with a peer that always says the same, so that ratios are known; and peers that fail. */
#include "app/run/bench.h"

#include <math.h>
#include <string.h>

/* A shell that says what it is, then answers each line with @answer. */
static gboolean
compare (const char *answer, FmBenchResult *result, gdouble *flops, GError **error)
{
  const FmBenchOptions options = { .device = "cpu", .threads = 1 };
  g_autofree char *script = g_strdup_printf ("echo parrot 1.0; while read n; do %s; done", answer);
  const char * const argv[] = { "/bin/sh", "-c", script, NULL };
  g_autoptr (FmBenchCase) c = fm_bench_case_new ("T3", &options, error);

  if (c == NULL)
    return FALSE;
  *flops = fm_bench_case_get_cost (c).flops;
  return fm_bench_compare (c, argv, 5, result, error);
}

/* A step at T3 takes some milliseconds; this one claims 2 s for each. */
static void
test_ratio (void)
{
  g_auto (FmBenchResult) result = { 0 };
  g_autoptr (GError) error = NULL;
  gdouble flops;

  g_assert_true (compare ("echo 2000", &result, &flops, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (result.peer, ==, "parrot 1.0");
  g_assert_cmpfloat (result.peer_ms, ==, 2000);
  g_assert_cmpfloat (result.ours_ms, >, 0.01);
  g_assert_cmpfloat (result.ours_ms, <, 2000);
  g_assert_cmpfloat (result.ours_low_ms, <=, result.ours_ms);
  g_assert_cmpfloat (result.ours_high_ms, >=, result.ours_ms);
  g_assert_cmpfloat_with_epsilon (result.ratio * 2000, result.ours_ms, 1e-9 * result.ours_ms);
  /* With five rounds the interval is all of them. */
  g_assert_cmpfloat (result.ratio_low * 2000, <=, result.ours_low_ms);
  g_assert_cmpfloat (result.ratio_high * 2000, >=, result.ours_high_ms);
  g_assert_cmpfloat (flops, >, 1e6);
}

static void
test_failing_peers (void)
{
  static const struct { const char *answer, *words; } cases[] = {
    { "echo soon", "soon" }, { "echo -3", "above 0" }, { "echo inf", "above 0" }, { "exit 1", "ended" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_auto (FmBenchResult) result = { 0 };
      g_autoptr (GError) error = NULL;
      gdouble flops;

      g_assert_false (compare (cases[i].answer, &result, &flops, &error));
      g_assert_nonnull (error);
      if (strstr (error->message, cases[i].words) == NULL)
        g_error ("“%s” does not say “%s”", error->message, cases[i].words);
    }
}

static void
test_names (void)
{
  static const char * const kinds[] = { "step", "attention", "decode", "all" };
  const FmBenchOptions options = { .device = "cpu", .threads = 1 };
  g_autoptr (GError) error = NULL;
  guint n[G_N_ELEMENTS (kinds)];

  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++)
    n[k] = g_strv_length ((char **) fm_bench_names (kinds[k]));
  g_assert_cmpuint (n[0] + n[1] + n[2], ==, n[3]);
  g_assert_null (fm_bench_names ("steps"));
  g_assert_null (fm_bench_case_new ("T9", &options, &error));
  g_assert_nonnull (strstr (error->message, "did you mean"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/bench/ratio", test_ratio);
  g_test_add_func ("/bench/failing-peers", test_failing_peers);
  g_test_add_func ("/bench/names", test_names);
  return g_test_run ();
}
