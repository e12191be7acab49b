/* test-store-command.c: `formarium store` as a person types it: two machines' stores become one, labels are found again,
 * room is given back, and what cannot be done is said in one sentence with nothing changed. */
#include "program.h"

#include <glib/gstdio.h>
#include <sqlite3.h>
#include <string.h>

static void
sql_do (const char *path, const char *sql)
{
  sqlite3 *db = NULL;

  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_exec (db, sql, NULL, NULL, NULL), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_close (db), ==, SQLITE_OK);
}

static void
says (Run *run, const char *text)
{
  g_autoptr (Run) r = expect (0, run);

  if (strstr (r->out, text) == NULL)
    g_error ("no “%s” in: %s", text, r->out);
}

static void
test_commands (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *a = place_batch (place, "alpha", "pooling x mlp", 1, 20, NULL);
  g_autofree char *b = place_batch (place, "beta", "softmax-attention x mlp", 1, 20, NULL);
  g_autofree char *other = g_build_filename (place->folder, "other.db", NULL);
  g_autofree char *text = NULL, *found = NULL;
  g_autoptr (JsonArray) rows = NULL;
  g_autoptr (Run) results = NULL;

  /* Nothing is made by looking. */
  refused (program ("store", "size", NULL), "no store");
  refused (program ("store", "delete", "1", "--yes", NULL), "no store");
  g_assert_false (g_file_test (place->store, G_FILE_TEST_EXISTS));

  run_free (expect (0, program ("run", a, NULL)));
  run_free (expect (0, program ("run", b, "--store", other, NULL)));
  says (program ("store", "merge", other, NULL), "Came in: 1 batch, 1 run, 2 stages");
  says (program ("store", "merge", other, NULL), "Came in: 0 batches, 0 runs, 0 stages, 0 files");
  says (program ("store", "check", NULL), ": sound");
  results = expect (0, program ("results", "--all", NULL));
  rows = run_rows (results);
  g_assert_cmpuint (json_array_get_length (rows), ==, 2);

  run_free (expect (0, program ("store", "name", "alpha", "Windows of March", NULL)));
  run_free (expect (0, program ("store", "tag", "alpha", "paper", "draft", NULL)));
  run_free (expect (0, program ("store", "note", "--run", "2", "the fan was loud", NULL)));
  says (program ("results", "Windows of March", NULL), "Windows of March [draft paper]");
  says (program ("results", "beta", NULL), "the fan was loud");
  says (program ("results", "--find", "FAN was", NULL), "run 2  softmax-attention x mlp");
  run_free (expect (0, program ("store", "tag", "alpha", "draft", "--remove", NULL)));
  says (program ("results", "alpha", NULL), "Windows of March [paper]");

  refused (program ("store", "name", "alpha", "17", NULL), "more than a number");
  refused (program ("store", "tag", "alpha", "good", "two words", NULL), "one word"); /* and not the first alone */
  says (program ("results", "alpha", NULL), "Windows of March [paper]");
  refused (program ("store", "note", "--run", "x", "y", NULL), "--run x");
  refused (program ("store", "note", "alpha", NULL), "--remove");
  refused (program ("store", "prune", NULL), "--checkpoints");
  refused (program ("store", "size", "--yes", NULL), "has no flag");
  refused (program ("store", "merge", place->store, NULL), "this very store");
  refused (program ("store", "shrink", NULL), "must be");

  says (program ("store", "prune", "--checkpoints", "--dry-run", NULL), "2 checkpoints");
  says (program ("store", "prune", "--checkpoints", NULL), "2 checkpoints");
  says (program ("store", "prune", "--checkpoints", NULL), "0 checkpoints");
  says (program ("store", "check", NULL), ": sound");

  run_free (expect (0, program ("store", "delete", "beta", "--dry-run", NULL)));
  says (program ("store", "size", NULL), "beta");
  run_free (expect (0, program ("store", "delete", "beta", "--yes", NULL)));
  g_clear_pointer (&results, run_free);
  results = expect (0, program ("store", "size", NULL));
  g_assert_null (strstr (results->out, "beta"));
  g_assert_nonnull (strstr (results->out, "alpha"));

  /* From the future: refused wherever it is named, and not touched. */
  sql_do (other, "PRAGMA user_version = 99");
  g_assert_true (g_file_get_contents (other, &text, NULL, NULL));
  refused (program ("store", "merge", other, NULL), "schema version 99");
  refused (program ("results", "--store", other, NULL), "schema version 99");
  refused (program ("run", a, "--store", other, NULL), "schema version 99");
  g_assert_true (g_file_get_contents (other, &found, NULL, NULL));
  g_assert_cmpint (memcmp (text, found, 4096), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/store-command/all", test_commands);
  return g_test_run ();
}
