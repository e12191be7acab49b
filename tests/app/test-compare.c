/* test-compare.c: `formarium compare`: two trained models in words and in JSON, and what is refused. */
#include "program.h"

#include <string.h>

static JsonObject *
object_of (const Run *run)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) node = json_from_string (run->out, &error);

  g_assert_no_error (error);
  return json_object_ref (json_node_get_object (node));
}

static void
assert_refused (const char *first, const char *second, const char *flag, const char *part)
{
  g_autoptr (Run) run = program ("compare", first, second, flag, NULL);

  g_assert_cmpint (run->status, ==, 2);
  g_assert_cmpstr (run->out, ==, "");
  if (strstr (run->err, part) == NULL || strchr (run->err, '\n')[1] != '\0')
    g_error ("not one sentence with “%s”: %s", part, run->err);
}

static void
test_two (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *other = place_batch (place, "other", "pooling x mlp", 1, 8, NULL);
  g_autofree char *path = g_build_filename (place->folder, "two.batch", NULL);
  g_autoptr (Run) run = NULL, more = NULL, text = NULL, json = NULL, f1 = NULL, back = NULL;
  g_autoptr (JsonObject) object = NULL, macro = NULL, reverse = NULL;
  gdouble difference;

  /* One that has learnt nothing and one that has learnt something: listops has one answer an example. */
  g_assert_true (g_file_set_contents (path, "[batch]\ntitle=two\ntask=listops\nvariants=pooling x mlp; softmax-attention x mlp\n"
                                            "layers=1\nwidth=16\nhidden=32\nbudget=steps:40\nbatch=16\nevaluate=256\n"
                                            "seeds=1\n\n[listops]\nmax_length=32\n", -1, NULL));
  run = program ("run", path, NULL);
  g_assert_cmpint (run->status, ==, 0);
  more = program ("run", other, NULL);
  g_assert_cmpint (more->status, ==, 0);

  text = program ("compare", "1", "2", NULL);
  g_assert_true (text->status == 0 || text->status == 4);
  g_assert_nonnull (strstr (text->out, "first  run 1      pooling x mlp, seed 0: test accuracy "));
  g_assert_nonnull (strstr (text->out, "Of these two trained models "));
  g_assert_nonnull (strstr (text->out, "over 256 examples (exact McNemar, "));
  g_assert_nonnull (strstr (text->out, "Of their variants this says nothing; there the seed is the unit."));
  json = program ("compare", "1", "2", "--json", NULL);
  g_assert_cmpint (json->status, ==, text->status);
  object = object_of (json);
  difference = json_object_get_double_member (object, "difference");
  g_assert_cmpint (json_object_get_int_member (object, "examples"), ==, 256);
  g_assert_cmpfloat_with_epsilon (difference * 256,
                                  json_object_get_int_member (object, "only_second")
                                    - json_object_get_int_member (object, "only_first"), 1e-9);
  g_assert_cmpint (g_str_equal (json_object_get_string_member (object, "second_is"), "undecided"), ==, json->status == 0);
  g_assert_cmpstr (json_object_get_string_member (object, "about"), ==, "these two trained models");
  back = program ("compare", "2", "1", "--json", NULL);
  reverse = object_of (back);
  g_assert_cmpfloat_with_epsilon (json_object_get_double_member (reverse, "difference"), -difference, 1e-12);
  f1 = program ("compare", "1", "2", "--metric", "f1", "--split=validation", "--json", NULL);
  macro = object_of (f1);
  g_assert_cmpstr (json_object_get_string_member (macro, "metric"), ==, "macro F1");
  g_assert_cmpstr (json_object_get_string_member (macro, "test"), ==, "paired bootstrap");

  assert_refused ("1", "1", NULL, "are one trained model");
  assert_refused ("1", "3", NULL, "are of different tasks");
  assert_refused ("1", "9", NULL, "has no run 9");
  assert_refused ("1", "two", NULL, "“two” is no run");
  assert_refused ("1", "2", "--metric=f2", "must be accuracy, loss, f1 or auc");
  assert_refused ("1", "2", "--metric=auc", "of two classes");
  assert_refused ("1", "2", "--split=train", "no outcomes of the train split");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/compare/two", test_two);
  return g_test_run ();
}
