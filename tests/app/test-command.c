/* test-command.c: help, typos, exit statuses, and one sentence for every bad input. */
#include "program.h"

#include <glib/gstdio.h>
#include <sqlite3.h>
#include <string.h>

/* One sentence on standard error that holds @words, nothing on standard output. */
static void
assert_refused (Run *run, int status, const char *words)
{
  if (run->status != status || !strstr (run->err, words))
    g_error ("status %d (wanted %d), said: %s(wanted: %s)", run->status, status, run->err, words);
  g_assert_cmpstr (run->out, ==, "");
  g_assert_nonnull (strchr (run->err, '\n'));
}

static void
test_help (void)
{
  static const char * const names[] = { "run", "resume", "results", "claims", "report", "figure", "map", "routing", "list", "inspect", "check",
                                        "data", "store", "bench" };
  g_autoptr (Place) place = place_new ();
  g_autoptr (Run) overview = program ("--help", NULL), none = program (NULL, NULL);

  g_assert_cmpint (overview->status, ==, 0);
  g_assert_cmpint (none->status, ==, 2);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autoptr (Run) help = program (names[i], "--help", NULL);
      g_autofree char *line = g_strdup_printf ("  %s ", names[i]), *example = g_strdup_printf ("  formarium %s", names[i]);

      g_assert_nonnull (strstr (overview->out, line));
      g_assert_cmpint (help->status, ==, 0);
      g_assert_true (g_str_has_prefix (help->out, "Example:\n"));
      g_assert_nonnull (strstr (help->out, example));
    }
  g_assert_null (strstr (overview->out, "worker"));
}

static void
test_typo (void)
{
  g_autoptr (Place) place = place_new ();
  g_autoptr (Run) command = program ("rnu", NULL), flag = program ("results", "--jsno", NULL);
  g_autoptr (Run) plugin = program ("inspect", "softmax-atention", NULL), kind = program ("list", "mixer5", NULL);
  g_autoptr (Run) value = program ("report", "-o", NULL), words = program ("run", NULL);

  assert_refused (command, 2, "did you mean 'run'?");
  assert_refused (flag, 2, "did you mean '--json'?");
  assert_refused (plugin, 2, "did you mean 'softmax-attention'?");
  assert_refused (kind, 2, "did you mean 'mixers'?");
  assert_refused (value, 2, "needs a value");
  assert_refused (words, 2, "formarium run examples/first.batch");
}

/* Whoever writes a batch file finds its keys with their defaults. */
static void
test_list_keys (void)
{
  g_autoptr (Place) place = place_new ();
  g_autoptr (Run) run = program ("list", "keys", NULL);

  g_assert_cmpint (run->status, ==, 0);
  g_assert_nonnull (strstr (run->out, "cosine or linear or constant"));
  g_assert_nonnull (strstr (run->out, "accumulate"));
  g_assert_nonnull (strstr (run->out, "recompute"));
  g_assert_nonnull (strstr (run->out, "adamw or sgd"));
}

static void
test_list (void)
{
  g_autoptr (Place) place = place_new ();
  g_autoptr (Run) run = program ("list", "--json", NULL), one = program ("inspect", "switch", "--json", NULL);
  g_autoptr (JsonArray) rows = run_rows (run), found = run_rows (one);
  gboolean cpu = FALSE, mixer = FALSE, task = FALSE;

  for (guint i = 0; i < json_array_get_length (rows); i++)
    {
      JsonObject *row = json_array_get_object_element (rows, i);
      const char *id = json_object_get_string_member (row, "id"), *role = json_object_get_string_member (row, "role");

      g_assert_cmpstr (json_object_get_string_member (row, "title"), !=, "");
      cpu = cpu || (g_str_equal (id, "cpu") && g_str_equal (role, "device"));
      mixer = mixer || (g_str_equal (id, "softmax-attention") && g_str_equal (role, "mixer"));
      task = task || (g_str_equal (id, "fashion-mnist") && g_str_equal (role, "task"));
    }
  g_assert_true (cpu && mixer && task);
  g_assert_cmpuint (json_array_get_length (found), ==, 1);
  g_assert_cmpstr (json_object_get_string_member (json_array_get_object_element (found, 0), "role"), ==, "feedforward");
}

/* What the file says: test-batch.c knows all the sentences; here that they reach a person, and that nothing is left. */
static void
test_bad_batch (void)
{
  static const struct
  {
    const char *text, *words;
  } cases[] = {
    { "", "empty" },
    { "[batch]\ntitle=a\ntask=mqar\nvariants=pooling x mlp\nbudget=steps:-1\n", "steps" },
    { "[batch]\ntitle=a\ntask=mqar\nvariants=pooling x mlp\nbudget=steps:5\nseeds=0\n", "seeds" },
    { "[batch]\ntitle=a\ntask=mqar\nvariants=pooling x mlp\nbudget=steps:5\nrate=nan\n", "rate" },
    { "[batch]\ntitle=a\ntask=mqar\nvariants=pooling x mlp\nbudget=steps:100000000000000000000\n", "steps" },
    { "[batch]\ntitle=a\ntask=mqar\nvariants=pooling x mpl\nbudget=steps:5\n", "mlp" },
    { "[batch]\ntitle=a\ntask=mqar\nmixer=softmax-attention\nfeedforward=mlp\nbudget=steps:5\nwidth=30\n", "30" },
    { "[batch]\ntitle=a\ntask=mqar\nmixer=softmax-attention\nfeedforward=mlp\nbudget=steps:5\ndevice=vulkan:77\n",
      "vulkan:77" },
    { "[batch]\ntitle=a\ntask=mqar\nmixer=softmax-attention\nfeedforward=mlp\nbudget=steps:5\nbatch=64\n"
      "[mqar]\nlength=1000000\n", "available" },
  };
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = g_build_filename (place->folder, "bad.batch", NULL);
  g_autoptr (Run) missing = program ("run", "/nowhere/at.batch", NULL), folder = program ("run", "/tmp", NULL);

  assert_refused (missing, 2, "/nowhere/at.batch");
  assert_refused (folder, 2, "/tmp");
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (Run) run = NULL;

      g_assert_true (g_file_set_contents (path, cases[i].text, -1, NULL));
      run = program ("run", path, NULL);
      assert_refused (run, 2, cases[i].words);
      g_assert_false (g_file_test (place->store, G_FILE_TEST_EXISTS));
    }
}

/* The keys that others read, of a case that takes a moment; its rival is another test's affair. */
static void
test_bench (void)
{
  static const char * const keys[] = { "ours_ms", "ours_low_ms", "ours_high_ms", "gflop_per_s", "roof_share" };
  g_autoptr (Place) place = place_new ();
  g_autoptr (Run) kind = program ("bench", "steps", NULL), peer = program ("bench", "step", "--against", "tensors", NULL);
  g_autoptr (Run) setting = program ("bench", "step", "--setting", "T4", NULL);
  g_autoptr (Run) rounds = program ("bench", "step", "--rounds", "0", NULL);
  g_autoptr (Run) threads = program ("bench", "step", "--threads", "two", NULL);
  g_autoptr (Run) traces = program ("bench", "step", "--trace", "x.json", NULL);
  g_autofree char *file = g_build_filename (place->folder, "trace.json", NULL), *trace = NULL;
  g_autoptr (Run) run = program ("bench", "step", "--setting", "T3", "--rounds", "1", "--threads", "1", "--json",
                                 "--profile", "--depth", "1", "--trace", file, NULL);
  g_autoptr (Run) kept = program ("bench", "roof", "--threads", "1", "--json", NULL), list = program ("list", "devices", NULL);
  g_autoptr (JsonArray) rows = run_rows (run), roofs = run_rows (kept);
  JsonObject *row, *tree;
  gdouble share, rate, peak;

  assert_refused (kind, 2, "must be step");
  assert_refused (peer, 2, "the only peer is torch");
  assert_refused (setting, 2, "did you mean “T");
  assert_refused (rounds, 2, "from 1 on");
  assert_refused (threads, 2, "from 1 on");
  assert_refused (traces, 2, "takes one setting");

  g_assert_cmpint (run->status, ==, 0);
  g_assert_cmpuint (json_array_get_length (rows), ==, 1);
  row = json_array_get_object_element (rows, 0);
  g_assert_cmpstr (json_object_get_string_member (row, "setting"), ==, "T3");
  g_assert_cmpstr (json_object_get_string_member (row, "device"), ==, "cpu");
  g_assert_cmpint (json_object_get_int_member (row, "threads"), ==, 1);
  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    g_assert_cmpfloat (json_object_get_double_member (row, keys[i]), >, 0);
  share = json_object_get_double_member (row, "roof_share");
  rate = json_object_get_double_member (row, "gflop_per_s");
  g_assert_cmpfloat (share, <, 1.0); /* nobody is faster than the roof */
  g_assert_false (json_object_has_member (row, "ratio"));
  tree = json_object_get_object_member (row, "profile");
  g_assert_cmpuint (json_array_get_length (json_object_get_array_member (tree, "children")), ==, 3); /* phases */
  g_assert_true (g_file_get_contents (file, &trace, NULL, NULL));
  g_assert_nonnull (strstr (trace, "\"traceEvents\""));

  row = json_array_get_object_element (roofs, 0);
  peak = json_object_get_double_member (row, "peak_gflop_per_s"); /* kept at its best: no less than it was for the row */
  g_assert_cmpfloat (peak, >, 0);
  g_assert_cmpfloat (share, >=, rate / peak * 0.999);
  g_assert_cmpfloat (rate / peak, >, 1e-3); /* a busy machine is slow, not a thousand times */
  g_assert_cmpfloat (json_object_get_double_member (row, "copy_gbyte_per_s"), >, 0);
  g_assert_cmpint (list->status, ==, 0);
}

/* What a process of its own needs at T2: no more than was planned, and no byte of the arena is planned in vain. */
static void
test_bench_process (void)
{
  g_autoptr (Place) place = place_new ();
  g_autoptr (Run) run = program ("bench", "process", "--setting", "T2", "--rounds", "1", "--json", NULL);
  g_autoptr (Run) decode = program ("bench", "decode", "--setting", "decode-1024", "--rounds", "1", "--json", NULL);
  g_autoptr (JsonArray) rows = run_rows (run), tokens = run_rows (decode);
  JsonObject *memory, *start;

  g_assert_cmpint (run->status, ==, 0);
  g_assert_cmpuint (json_array_get_length (rows), ==, 2);
  memory = json_array_get_object_element (rows, 0);
  start = json_array_get_object_element (rows, 1);
  g_assert_cmpstr (json_object_get_string_member (memory, "setting"), ==, "memory-T2");
  g_assert_cmpfloat (json_object_get_double_member (memory, "touched_over_arena"), >=, 0.98);
  g_assert_cmpfloat (json_object_get_double_member (memory, "touched_over_arena"), <=, 1.0);
  g_assert_cmpfloat (json_object_get_double_member (memory, "growth_over_plan"), <=, 1.05);
  g_assert_cmpfloat (json_object_get_double_member (memory, "ours_mib"), <=, 300);
  g_assert_cmpstr (json_object_get_string_member (start, "setting"), ==, "start-T2");
  g_assert_cmpfloat (json_object_get_double_member (start, "ready_ms"), >, 0);
  g_assert_cmpfloat (json_object_get_double_member (start, "ours_ms"), >, json_object_get_double_member (start, "ready_ms"));
  g_assert_cmpint (decode->status, ==, 0);
  g_assert_cmpfloat (json_object_get_double_member (json_array_get_object_element (tokens, 0), "ours_ms"), >, 0);
}

static void
test_long (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "long", "softmax-attention x mlp", 1, 1000000000, NULL);
  g_autoptr (Run) run = program ("run", path, NULL), dry = program ("run", path, "--dry-run", NULL);

  assert_refused (run, 2, "--yes");
  g_assert_cmpint (dry->status, ==, 0);
  g_assert_false (g_file_test (place->store, G_FILE_TEST_EXISTS));
}

static void
test_bad_store (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "stored", "pooling x mlp", 1, 2, NULL);
  g_autofree char *text = g_build_filename (place->folder, "text.db", NULL);
  g_autofree char *newer = g_build_filename (place->folder, "newer.db", NULL);
  g_autofree char *below_file = g_build_filename (text, "no.db", NULL);
  g_autoptr (Run) none = program ("results", NULL), resume = program ("resume", NULL), run = NULL, later = NULL;
  g_autoptr (Run) below = NULL;
  sqlite3 *db;

  /* Nothing stored yet: a sentence, and still nothing. */
  assert_refused (none, 2, place->store);
  assert_refused (resume, 2, place->store);
  g_assert_false (g_file_test (place->store, G_FILE_TEST_EXISTS));

  g_assert_true (g_file_set_contents (text, "This is no database, only words that are long enough to be read.", -1, NULL));
  run = program ("run", path, "--store", text, NULL);
  assert_refused (run, 2, text);

  g_assert_cmpint (sqlite3_open (newer, &db), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_exec (db, "CREATE TABLE t (x); PRAGMA application_id = 1179472449; PRAGMA user_version = 99;",
                                 NULL, NULL, NULL), ==, SQLITE_OK);
  sqlite3_close (db);
  later = program ("run", path, "--store", newer, NULL);
  assert_refused (later, 2, newer);

  below = program ("run", path, "--store", below_file, NULL);
  assert_refused (below, 2, text);
}

/* Data that is not here: the cell is skipped with a word how to add it, the others run. */
static void
test_absent_data (void)
{
  g_autoptr (Place) place = place_new ();
  g_autoptr (Run) shown = program ("data", "list", NULL);

  g_assert_cmpint (shown->status, ==, 0);
  g_assert_nonnull (strstr (shown->out, "fashion-mnist"));
}

static void
test_no_vulkan (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "gpu", "pooling x mlp", 1, 2, NULL);
  g_autofree char *before = g_strdup (g_getenv ("VK_ICD_FILENAMES"));
  g_autoptr (Run) run = NULL;

  g_setenv ("VK_ICD_FILENAMES", "/nowhere/driver.json", TRUE);
  run = program ("run", path, "--device", "vulkan", NULL);
  if (before)
    g_setenv ("VK_ICD_FILENAMES", before, TRUE);
  else
    g_unsetenv ("VK_ICD_FILENAMES");
  assert_refused (run, 2, "vulkan");
  g_assert_false (g_file_test (place->store, G_FILE_TEST_EXISTS));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/command/help", test_help);
  g_test_add_func ("/command/typo", test_typo);
  g_test_add_func ("/command/list", test_list);
  g_test_add_func ("/command/list-keys", test_list_keys);
  g_test_add_func ("/command/bad-batch", test_bad_batch);
  g_test_add_func ("/command/long", test_long);
  g_test_add_func ("/command/bad-store", test_bad_store);
  g_test_add_func ("/command/data", test_absent_data);
  g_test_add_func ("/command/bench", test_bench);
  g_test_add_func ("/command/bench-process", test_bench_process);
  g_test_add_func ("/command/no-vulkan", test_no_vulkan);
  return g_test_run ();
}
