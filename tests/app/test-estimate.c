/* test-estimate.c: `--dry-run` before and after: every stage once, and with -m slow the time against the truth. */
#include "program.h"

#include <glib/gstdio.h>
#include <string.h>

/* Every stage once, each with its cost; what is done is not left. */
static void
test_stages (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "stages", "softmax-attention x mlp; pooling x mlp", 2, 8,
                                       "hold=parameters:1%;steps\n");
  g_autoptr (Run) dry = program ("run", path, "--dry-run", "--json", NULL), text = NULL, run = NULL, after = NULL;
  g_autoptr (JsonArray) rows = run_rows (dry), later = NULL;
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);

  g_assert_cmpint (dry->status, ==, 0);
  g_assert_cmpuint (json_array_get_length (rows), ==, 4);
  for (guint i = 0; i < 4; i++)
    {
      JsonObject *row = json_array_get_object_element (rows, i);
      JsonArray *stages = json_object_get_array_member (row, "stages");

      g_assert_cmpuint (json_array_get_length (stages), ==, 2);
      g_assert_cmpint (json_object_get_int_member (row, "parameters"), >, 0);
      g_assert_cmpint (json_object_get_int_member (row, "parameters_by_n"), >, 0);
      for (guint k = 0; k < 2; k++)
        {
          JsonObject *stage = json_array_get_object_element (stages, k);

          g_assert_true (g_hash_table_add (seen, (gpointer) json_object_get_string_member (stage, "stage")));
          g_assert_true (json_object_get_boolean_member (stage, "left"));
          g_assert_cmpfloat (json_object_get_double_member (stage, "seconds"), >, 0);
          g_assert_cmpfloat (json_object_get_double_member (stage, "flops"), >, 0);
        }
    }
  text = program ("run", path, "--dry-run", NULL);
  g_assert_cmpint (text->status, ==, 0);
  g_assert_nonnull (strstr (text->out, "measure"));
  g_assert_nonnull (strstr (text->out, "by length"));
  g_assert_nonnull (strstr (text->err, "8 stages"));

  run = program ("run", path, NULL);
  g_assert_cmpint (run->status, ==, 0);
  after = program ("run", path, "--dry-run", "--json", NULL);
  later = run_rows (after);
  for (guint i = 0; i < json_array_get_length (later); i++)
    {
      JsonArray *stages = json_object_get_array_member (json_array_get_object_element (later, i), "stages");

      for (guint k = 0; k < json_array_get_length (stages); k++)
        g_assert_false (json_object_get_boolean_member (json_array_get_object_element (stages, k), "left"));
    }
}

/* What cannot meet a hold is shown, not run, and the rest is. */
static void
test_unranked (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "unranked", "pooling x mlp; softmax-attention x mlp", 1, 8,
                                       "hold=parameters:1%\n");
  g_autoptr (Run) dry = program ("run", path, "--dry-run", NULL), run = NULL;
  g_autoptr (JsonArray) rows = NULL;

  g_assert_cmpint (dry->status, ==, 0);
  g_assert_nonnull (strstr (dry->out, "not run, not ranked: Its parameters cannot be held"));
  run = program ("run", path, "--json", NULL);
  rows = run_rows (run);
  g_assert_cmpuint (json_array_get_length (rows), ==, 2);
  for (guint i = 0; i < 2; i++)
    {
      JsonObject *row = json_array_get_object_element (rows, i);
      gboolean base = g_str_equal (json_object_get_string_member (row, "mixer"), "pooling");

      g_assert_cmpstr (json_object_get_string_member (row, "state"), ==, base ? "done" : "skipped");
      if (!base)
        g_assert_nonnull (strstr (json_object_get_string_member (row, "reason"), "cannot be held"));
    }
}

static gdouble
seconds_of (JsonArray *rows, const char *kind)
{
  gdouble sum = 0;

  for (guint i = 0; i < json_array_get_length (rows); i++)
    {
      JsonArray *stages = json_object_get_array_member (json_array_get_object_element (rows, i), "stages");

      for (guint k = 0; k < json_array_get_length (stages); k++)
        {
          JsonObject *stage = json_array_get_object_element (stages, k);

          if (g_str_equal (json_object_get_string_member (stage, "kind"), kind))
            sum += json_object_get_double_member (stage, "seconds");
        }
    }
  return sum;
}

/* The first comparison with fewer steps: the estimate made before anything ran, within a factor of 2 of the time it
 * took. Three tries: whatever else the machine does meanwhile is no fault of the estimate. */
static void
test_truth (void)
{
  g_autofree char *example = g_build_filename (g_getenv ("FORMARIUM_SOURCE_DIR"), "examples", "first.batch", NULL);
  gdouble ratio = 0;

  if (!g_test_slow ())
    {
      g_test_skip ("Takes a minute; -m slow");
      return;
    }
  for (guint attempt = 0; attempt < 3 && !(ratio > 0.5 && ratio < 2); attempt++)
    {
      g_autoptr (Place) place = place_new ();
      g_autofree char *path = g_build_filename (place->folder, "short.batch", NULL);
      g_autofree char *text = NULL;
      g_autoptr (GError) error = NULL;
      g_autoptr (GString) shorter = NULL;
      g_autoptr (Run) dry = NULL, run = NULL;
      g_autoptr (JsonArray) rows = NULL;
      gint64 start;
      gdouble estimate, truth;

      g_assert_true (g_file_get_contents (example, &text, NULL, &error));
      shorter = g_string_new (text);
      g_assert_cmpuint (g_string_replace (shorter, "steps:1000", "steps:200", 0), ==, 1);
      g_assert_cmpuint (g_string_replace (shorter, "seeds=3", "seeds=1\nevaluate=1024", 0), ==, 1);
      g_assert_true (g_file_set_contents (path, shorter->str, -1, &error));
      dry = program ("run", path, "--dry-run", "--json", NULL);
      g_assert_cmpint (dry->status, ==, 0);
      rows = run_rows (dry);
      estimate = seconds_of (rows, "train") / MIN (g_get_num_processors (), 2) + seconds_of (rows, "measure");
      start = g_get_monotonic_time ();
      run = program ("run", path, NULL);
      truth = (gdouble) (g_get_monotonic_time () - start) / 1e6;
      g_assert_cmpint (run->status, ==, 0);
      ratio = estimate / truth;
      g_test_message ("estimated %.1f s, took %.1f s", estimate, truth);
    }
  g_assert_cmpfloat (ratio, >, 0.5);
  g_assert_cmpfloat (ratio, <, 2);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/estimate/stages", test_stages);
  g_test_add_func ("/estimate/unranked", test_unranked);
  g_test_add_func ("/estimate/truth", test_truth);
  return g_test_run ();
}
