/* test-modes.c: measure= of a batch from its file to table, JSON and CSV: a training step, a prompt, one more token. */
#include "program.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

static void
put (const char *folder, const char *name, const char *text)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (g_mkdir_with_parents (folder, 0700), ==, 0);
  g_file_set_contents (path, text, -1, &error);
  g_assert_no_error (error);
}

static JsonObject *
find_mode (JsonObject *run, const char *name)
{
  JsonArray *modes = json_object_get_array_member (run, "modes");

  for (guint i = 0; i < json_array_get_length (modes); i++)
    {
      JsonObject *mode = json_array_get_object_element (modes, i);

      if (g_str_equal (json_object_get_string_member (mode, "mode"), name))
        return mode;
    }
  g_error ("no mode %s", name);
}

static gboolean
is_missing (JsonObject *object, const char *name)
{
  return JSON_NODE_HOLDS_NULL (json_object_get_member (object, name));
}

/* What a mode says must hang together: tokens in a call over its time. */
static void
check_mode (JsonObject *run, const char *name, gdouble rows, gdouble tokens)
{
  JsonObject *mode = find_mode (run, name);
  gdouble us = json_object_get_double_member (mode, "latency_us_median");

  g_assert_true (is_missing (mode, "reason"));
  g_assert_cmpfloat (json_object_get_double_member (mode, "rows"), ==, rows);
  g_assert_cmpfloat (us, >, 0);
  g_assert_cmpfloat (json_object_get_double_member (mode, "latency_us_p95"), >=, us);
  g_assert_cmpfloat_with_epsilon (json_object_get_double_member (mode, "tokens_per_s") * us / 1e6, tokens, 1e-6 * tokens);
  g_assert_cmpfloat (json_object_get_double_member (mode, "planned_peak_bytes"), >, 1000);
  g_assert_cmpint (g_str_has_prefix (name, "prefill"), ==, !is_missing (mode, "first_token_ms"));
  g_assert_cmpint (!g_str_equal (name, "train"), ==, !is_missing (mode, "cache_bytes"));
}

/* Keys and values: layers x 2 x rows x tokens x width x 4 bytes. */
static void
check_cache (JsonObject *run, const char *name, gdouble bytes)
{
  g_assert_cmpfloat (json_object_get_double_member (find_mode (run, name), "cache_bytes"), ==, bytes);
}

static void
test_modes (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *counters = g_build_filename (place->folder, "powercap", NULL);
  g_autofree char *zone = g_build_filename (counters, "intel-rapl:0", NULL);
  g_autofree char *path = NULL, *csv_path = NULL, *csv = NULL, *other = NULL;
  g_autoptr (Run) ran = NULL, again = NULL, json = NULL, report = NULL;
  g_autoptr (JsonArray) rows = NULL;
  g_autoptr (GError) error = NULL;
  guint whole = 0;

  /* Counters that stand still: energy is read, and nothing was spent. */
  put (zone, "name", "package-0\n");
  put (zone, "energy_uj", "1000\n");
  put (zone, "max_energy_range_uj", "1000000\n");
  g_setenv ("FORMARIUM_POWERCAP", counters, TRUE);
  path = place_batch (place, "modes", "softmax-attention x mlp; local-attention x mlp; softmax-attention x switch", 1, 0,
                      "causal=true\nevaluate=64\nmeasure=forward;decode:40;prefill:40;train");
  ran = program ("run", path, NULL);
  if (ran->status != 0)
    g_error ("%d: %s\n%s", ran->status, ran->out, ran->err);
  g_assert_nonnull (strstr (ran->out, "decode:40"));
  g_assert_nonnull (strstr (ran->out, "First token, ms"));
  g_assert_nonnull (strstr (ran->out, "Energy, mJ"));
  g_assert_nonnull (strstr (ran->out, "not measured: switch cannot go on token by token"));
  g_assert_null (strstr (ran->out, "not told")); /* the processor has no heap of its own, which needs no saying */

  json = program ("results", "--json", NULL);
  rows = run_rows (json);
  g_assert_cmpuint (json_array_get_length (rows), ==, 3);
  for (guint i = 0; i < 3; i++)
    {
      JsonObject *run = json_array_get_object_element (rows, i);

      check_mode (run, "train", 8, 8 * 16);
      g_assert_cmpfloat (json_object_get_double_member (find_mode (run, "train"), "energy_joules"), ==, 0);
      if (g_str_equal (json_object_get_string_member (run, "feedforward"), "switch"))
        {
          g_assert_false (is_missing (find_mode (run, "decode:40"), "reason"));
          g_assert_true (is_missing (find_mode (run, "decode:40"), "latency_us_median"));
          continue;
        }
      check_mode (run, "prefill:40", 8, 8 * 40);
      check_mode (run, "decode:40", 8, 8);
      whole++;
    }
  g_assert_cmpuint (whole, ==, 2);
  check_cache (json_array_get_object_element (rows, 0), "prefill:40", 2.0 * 8 * 40 * 16 * 4);
  check_cache (json_array_get_object_element (rows, 1), "prefill:40", 2.0 * 8 * 9 * 16 * 4); /* its window and itself */

  csv_path = g_build_filename (place->folder, "modes.csv", NULL);
  report = program ("report", "1", "-o", csv_path, NULL);
  g_assert_cmpint (report->status, ==, 0);
  g_assert_true (g_file_get_contents (csv_path, &csv, NULL, &error));
  g_assert_nonnull (strstr (csv, ",decode_40_tokens_per_s,"));
  g_assert_nonnull (strstr (csv, ",prefill_40_first_token_ms,"));

  /* The same in another order asks for the same stages: nothing is measured again. */
  other = place_batch (place, "modes", "softmax-attention x mlp; local-attention x mlp; softmax-attention x switch", 1, 0,
                       "causal=true\nevaluate=64\nmeasure=train;prefill:40;decode:40");
  again = program ("run", other, NULL);
  g_assert_cmpint (again->status, ==, 0);
  g_assert_null (strstr (again->err, "measure done"));
  g_unsetenv ("FORMARIUM_POWERCAP");
}

/* A batch that asks for nothing gives the table and the JSON it always gave, but for one line on what a machine does not
 * tell. */
static void
test_nothing_asked (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "plain", "pooling x mlp", 1, 2, "evaluate=64");
  g_autoptr (Run) ran = NULL, json = NULL;
  g_autoptr (JsonArray) rows = NULL;
  const char *line;

  g_setenv ("FORMARIUM_POWERCAP", place->folder, TRUE);
  ran = program ("run", path, NULL);
  g_assert_cmpint (ran->status, ==, 0);
  line = strstr (ran->out, "Energy on ");
  g_assert_nonnull (line);
  g_assert_null (strstr (line + 1, "Energy on "));
  g_assert_null (strstr (ran->out, "First token"));
  json = program ("results", "--json", NULL);
  rows = run_rows (json);
  g_assert_false (json_object_has_member (json_array_get_object_element (rows, 0), "modes"));
  g_unsetenv ("FORMARIUM_POWERCAP");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/modes/asked", test_modes);
  g_test_add_func ("/modes/nothing-asked", test_nothing_asked);
  return g_test_run ();
}
