/* test-claims-command.c: `formarium claims`: run, list, keep, and what differs. */
#include "program.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

static char *
claim_file (Place *place, const char *expect)
{
  g_autofree char *path = place_batch (place, "claim", "softmax-attention x mlp; linear-attention x mlp", 2, 2, "");
  g_autofree char *text = NULL, *all = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (g_file_get_contents (path, &text, NULL, &error));
  all = g_strconcat (text, "\n[paper]\ncitation=Somebody, 2020\nsays=It works.\n\n[expect]\nscale=toy\n", expect, "\n# the end\n",
                     NULL);
  g_assert_true (g_file_set_contents (path, all, -1, &error));
  return g_steal_pointer (&path);
}

static char *
text_of (const char *path)
{
  char *text = NULL;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  return text;
}

static void
replace (const char *path, const char *old, const char *new)
{
  g_autofree char *text = text_of (path);
  g_auto (GStrv) parts = g_strsplit (text, old, 2);
  g_autofree char *changed = g_strjoinv (new, parts);

  g_assert_cmpuint (g_strv_length (parts), ==, 2);
  g_assert_true (g_file_set_contents (path, changed, -1, NULL));
}

static void
assert_refused (const Run *run, const char *words)
{
  if (run->status != 2 || *run->out != '\0' || strstr (run->err, words) == NULL)
    g_error ("status %d, said: %s%s(wanted: %s)", run->status, run->out, run->err, words);
}

/* What is counted is the same on every machine, so the verdict of two steps of training is known. */
static void
test_all (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = claim_file (place, "1=parameters(linear-attention) <= parameters(softmax-attention)");
  g_autofree char *before = text_of (path), *kept = NULL, *expected = NULL, *after = NULL;
  g_autoptr (Run) none = program ("claims", path, NULL), ran = NULL, here = NULL, keep = NULL, same = NULL, differs = NULL;
  g_autoptr (Run) json = NULL, results = NULL, changed = NULL, again = NULL;
  g_autoptr (JsonArray) rows = NULL;
  g_auto (GStrv) parts = NULL;

  g_assert_cmpint (none->status, ==, 0);
  g_assert_nonnull (strstr (none->out, "· claim: not run here; kept: none yet"));
  g_assert_false (g_file_test (place->store, G_FILE_TEST_EXISTS)); /* asking makes no store */

  ran = program ("claims", "run", path, NULL);
  g_assert_cmpint (ran->status, ==, 0);
  g_assert_nonnull (strstr (ran->out, "Claim: reproduced. What was expected is reproduced."));
  here = program ("claims", path, NULL);
  g_assert_cmpint (here->status, ==, 0);
  g_assert_nonnull (strstr (here->out, "✓ claim: reproduced here (batch 1); kept: none yet"));
  g_assert_nonnull (strstr (here->out, "It works."));
  g_assert_nonnull (strstr (here->out, "Scale here  toy"));
  results = program ("results", NULL);
  g_assert_nonnull (strstr (results->out, "Claim: reproduced."));

  keep = program ("claims", "--keep", path, NULL);
  g_assert_cmpint (keep->status, ==, 0);
  parts = g_strsplit (before, "\n# the end", 2);
  expected = g_strconcat (parts[0], "\nverdict=reproduced\n# the end", parts[1], NULL);
  kept = text_of (path);
  g_assert_cmpstr (kept, ==, expected);
  same = program ("claims", path, NULL);
  g_assert_cmpint (same->status, ==, 0);

  replace (path, "verdict=reproduced", "verdict=not reproduced");
  differs = program ("claims", path, NULL);
  g_assert_cmpint (differs->status, ==, 4);
  g_assert_nonnull (strstr (differs->out, "kept: not reproduced; DIFFERENT"));
  json = program ("claims", "--json", path, NULL);
  g_assert_cmpint (json->status, ==, 4);
  rows = run_rows (json);
  g_assert_cmpuint (json_array_get_length (rows), ==, 1);
  {
    JsonObject *row = json_array_get_object_element (rows, 0);
    JsonObject *finding = json_array_get_object_element (json_object_get_array_member (row, "expectations"), 0);

    g_assert_true (json_object_get_boolean_member (row, "different"));
    g_assert_cmpstr (json_object_get_string_member (row, "kept"), ==, "not reproduced");
    g_assert_cmpstr (json_object_get_string_member (row, "here"), ==, "reproduced");
    g_assert_cmpfloat (json_object_get_double_member (finding, "value"), ==, 1);
    g_assert_cmpstr (json_object_get_string_member (finding, "verdict"), ==, "reproduced");
  }

  /* Another expectation on the same runs was made after they were seen. */
  replace (path, "<=", ">=");
  after = text_of (path);
  changed = program ("claims", "--keep", path, NULL);
  assert_refused (changed, "was started expecting 1: parameters(linear-attention) <=");
  again = program ("run", path, NULL);
  assert_refused (again, "what is expected stands before the runs");
  g_free (kept);
  kept = text_of (path);
  g_assert_cmpstr (kept, ==, after);
}

/* Plugins that were built anew make other stages; what the store found before is still what it found, and it is said. */
static void
test_other_build (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = claim_file (place, "1=parameters(linear-attention) <= parameters(softmax-attention)");
  g_autofree char *plugins = g_strdup (g_getenv ("FORMARIUM_PLUGIN_PATH")), *mine = g_build_filename (place->folder, "plugins", NULL);
  g_autoptr (Run) ran = program ("run", path, NULL), before = NULL, after = NULL, edited = NULL;
  g_autoptr (GDir) dir = g_dir_open (plugins, 0, NULL);
  const char *name;

  g_assert_cmpint (ran->status, ==, 0);
  before = program ("claims", path, NULL);
  g_assert_nonnull (strstr (before->out, "reproduced here (batch 1);"));
  g_assert_cmpint (g_mkdir (mine, 0700), ==, 0);
  while ((name = g_dir_read_name (dir)) != NULL)
    if (g_str_has_suffix (name, ".so"))
      {
        g_autofree char *from = g_build_filename (plugins, name, NULL), *to = g_build_filename (mine, name, NULL), *bytes = NULL;
        gsize length;

        g_assert_true (g_file_get_contents (from, &bytes, &length, NULL));
        /* The zero byte behind what was read: an object file with something after its end works as before. */
        g_assert_true (g_file_set_contents (to, bytes, (gssize) length + 1, NULL));
      }
  g_setenv ("FORMARIUM_PLUGIN_PATH", mine, TRUE);
  after = program ("claims", path, NULL);
  g_assert_cmpint (after->status, ==, 0);
  g_assert_nonnull (strstr (after->out, "reproduced here (batch 1, by plugins of another build);"));
  replace (path, "steps:2", "steps:3");
  edited = program ("claims", path, NULL);
  g_assert_nonnull (strstr (edited->out, "not run here"));
  g_setenv ("FORMARIUM_PLUGIN_PATH", plugins, TRUE);
}

static void
test_wrong (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = claim_file (place, "1=parameters(linear) <= parameters(softmax-attention)");
  g_autofree char *plain = place_batch (place, "plain", "softmax-attention x mlp", 1, 2, "");
  g_autofree char *store = g_build_filename (place->folder, "none.db", NULL);
  g_autoptr (Run) id = program ("claims", "linear-atention", NULL), unknown = program ("claims", "qqqqqqqq", NULL);
  g_autoptr (Run) file = program ("claims", "/none/such.batch", NULL), batch = program ("claims", plain, NULL);
  g_autoptr (Run) name = program ("claims", path, NULL), run = program ("run", path, NULL);
  g_autoptr (Run) nothing = program ("claims", "run", NULL), absent = program ("claims", "--store", store, plain, NULL);

  assert_refused (id, "There is no claim “linear-atention”; did you mean “linear-attention”?");
  assert_refused (unknown, "There is no claim “qqqqqqqq”; there are ");
  assert_refused (file, "There is no batch file /none/such.batch");
  assert_refused (batch, "has no section [expect], so it claims nothing");
  assert_refused (name, "[expect] 1: there is no variant “linear” in this batch");
  assert_refused (run, "[expect] 1: there is no variant “linear” in this batch");
  assert_refused (nothing, "'claims run' takes one claim");
  g_assert_cmpint (absent->status, ==, 2);
  g_assert_false (g_file_test (place->store, G_FILE_TEST_EXISTS));
}

/* A shipped claim whose plugin is missing is named, and the others are shown. */
static void
test_missing_plugin (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *plugins = g_strdup (g_getenv ("FORMARIUM_PLUGIN_PATH"));
  g_autofree char *mine = g_build_filename (place->folder, "plugins", NULL);
  g_autoptr (GDir) dir = g_dir_open (plugins, 0, NULL);
  g_autoptr (Run) all = NULL, one = NULL;
  const char *name;

  g_assert_cmpint (g_mkdir (mine, 0700), ==, 0);
  while ((name = g_dir_read_name (dir)) != NULL)
    if (g_str_has_suffix (name, ".so") && !g_str_equal (name, "switch.so"))
      {
        g_autofree char *from = g_build_filename (plugins, name, NULL), *to = g_build_filename (mine, name, NULL);

        g_assert_cmpint (symlink (from, to), ==, 0);
      }
  g_setenv ("FORMARIUM_PLUGIN_PATH", mine, TRUE);
  all = program ("claims", NULL);
  one = program ("claims", "switch", NULL);
  g_setenv ("FORMARIUM_PLUGIN_PATH", plugins, TRUE);
  g_assert_cmpint (all->status, ==, 2);
  g_assert_nonnull (strstr (all->err, "switch.batch"));
  g_assert_nonnull (strstr (all->out, "linear-attention: not run here"));
  assert_refused (one, "switch.batch");
}

/* Those that come with the program can be planned here, and a fresh store contradicts none. */
static void
test_shipped (void)
{
  g_autoptr (Place) place = place_new ();
  g_autoptr (Run) all = program ("claims", NULL), json = program ("claims", "--json", NULL);
  g_autoptr (JsonArray) rows = NULL;

  g_assert_cmpint (all->status, ==, 0);
  g_assert_nonnull (strstr (all->out, "linear-attention: not run here"));
  g_assert_nonnull (strstr (all->out, "arXiv:2006.16236"));
  g_assert_nonnull (strstr (all->out, "Scale here  toy"));
  rows = run_rows (json);
  g_assert_cmpuint (json_array_get_length (rows), >=, 11);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/claims-command/all", test_all);
  g_test_add_func ("/claims-command/other-build", test_other_build);
  g_test_add_func ("/claims-command/wrong", test_wrong);
  g_test_add_func ("/claims-command/missing-plugin", test_missing_plugin);
  g_test_add_func ("/claims-command/shipped", test_shipped);
  return g_test_run ();
}
