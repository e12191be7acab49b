/* test-listops.c: an independent evaluator with a stack; lengths, splits, shortcuts and refused settings. */
#include "data/task.h"

#include <string.h>

typedef struct { gint64 max_depth, max_args; gdouble operator_probability; gint64 min_length, max_length; } Params;

enum { PAD, DIGIT_0, OP_MIN = 11, OP_MAX, OP_MED, OP_SM, CLOSE };

static FmTask *
new_task (Params p)
{
  g_autoptr (GError) error = NULL;
  FmTask *task = fm_task_new ("listops", &p, &error);

  g_assert_no_error (error);
  return task;
}

static int
compare_ints (gconstpointer a, gconstpointer b)
{
  return *(const int *) a - *(const int *) b;
}

/* Reads from left to right; operators stand on the stack as negative numbers, a closing bracket folds the stack down to
 * the nearest one by sorting the arguments. Also measures depth and the widest list. */
static int
evaluate (const gint32 *x, gint32 length, guint *deepest, guint *widest)
{
  g_autoptr (GArray) stack = g_array_new (FALSE, FALSE, sizeof (int));
  guint depth = 1;

  for (gint32 i = 0; i < length; i++)
    {
      int item;

      if (x[i] >= OP_MIN && x[i] <= OP_SM)
        {
          item = -x[i];
          depth++;
          *deepest = MAX (*deepest, depth);
        }
      else if (x[i] == CLOSE)
        {
          guint first = stack->len, n;
          int *args;
          int sum = 0;

          while (first > 0 && g_array_index (stack, int, first - 1) >= 0)
            first--;
          g_assert_cmpuint (first, >, 0);
          n = stack->len - first;
          g_assert_cmpuint (n, >=, 2);
          *widest = MAX (*widest, n);
          args = &g_array_index (stack, int, first);
          qsort (args, n, sizeof (int), compare_ints);
          for (guint k = 0; k < n; k++)
            sum += args[k];
          switch (-g_array_index (stack, int, first - 1))
            {
            case OP_MIN: item = args[0]; break;
            case OP_MAX: item = args[n - 1]; break;
            case OP_MED: item = n % 2 ? args[n / 2] : (args[n / 2 - 1] + args[n / 2]) / 2; break;
            default: item = sum % 10; break;
            }
          g_array_set_size (stack, first - 1);
          depth--;
        }
      else
        {
          g_assert_true (x[i] >= DIGIT_0 && x[i] < DIGIT_0 + 10);
          item = x[i] - DIGIT_0;
        }
      g_array_append_val (stack, item);
    }
  g_assert_cmpuint (stack->len, ==, 1);
  return g_array_index (stack, int, 0);
}

static void
check_setting (Params p, guint n_batches)
{
  static const char * const splits[] = { "train", "validation", "test" };
  g_autoptr (FmTask) task = new_task (p);
  guint deepest = 1, widest = 0;

  for (guint k = 0; k < 3; k++)
    for (guint b = 0; b < n_batches; b++)
      {
        g_auto (FmBatch) batch = { 0 };
        g_autoptr (GError) error = NULL;

        g_assert_true (fm_task_batch (task, splits[k], 1, b, 50, &batch, &error));
        for (gint64 r = 0; r < 50; r++)
          {
            const gint32 *x = (gint32 *) batch.inputs[0].data + r * p.max_length;
            gint32 length = batch.lengths[r];

            g_assert_cmpint (length, >, p.min_length);
            g_assert_cmpint (length, <, p.max_length);
            g_assert_cmpint (evaluate (x, length, &deepest, &widest), ==, ((gint32 *) batch.targets[0].data)[r]);
            for (gint64 i = length; i < p.max_length; i++)
              g_assert_cmpint (x[i], ==, PAD);
          }
      }
  g_assert_cmpuint (deepest, <=, p.max_depth);
  g_assert_cmpuint (widest, <=, p.max_args);
}

static void
test_values (void)
{
  check_setting ((Params){ 3, 10, 0.25, 12, 96 }, 40);
  check_setting ((Params){ 5, 5, 0.5, 15, 100 }, 10);
  check_setting ((Params){ 32, 64, 0.05, 50, 200 }, 4);
}

/* The published grammar; slow only in that its trees have a thousand tokens. */
static void
test_published (void)
{
  check_setting ((Params){ 10, 10, 0.25, 500, 2000 }, 2);
}

/* Every expression is in one split only and, outside training, once. In the second setting only 48,000 different
 * expressions exist (4 operators, 2 or 3 digits and one tree of two), so repeats by chance would be many. */
static void
test_disjoint (void)
{
  static const Params settings[] = { { 3, 10, 0.25, 12, 96 }, { 2, 4, 0.5, 3, 7 } };
  static const char * const splits[] = { "validation", "test", "train" };

  for (guint s = 0; s < 2; s++)
    {
      g_autoptr (FmTask) task = new_task (settings[s]);
      g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

      for (guint k = 0; k < 3; k++)
        for (guint b = 0; b < 20; b++)
          {
            g_auto (FmBatch) batch = { 0 };

            g_assert_true (fm_task_batch (task, splits[k], 8, b, 100, &batch, NULL));
            for (gint64 r = 0; r < 100; r++)
              {
                GString *text = g_string_new (NULL);

                for (gint32 i = 0; i < batch.lengths[r]; i++)
                  g_string_append_c (text, 'a' + ((gint32 *) batch.inputs[0].data)[r * settings[s].max_length + i]);
                if (k == 2)
                  g_assert_false (g_hash_table_contains (seen, text->str));
                else
                  g_assert_true (g_hash_table_add (seen, g_strdup (text->str)));
                g_string_free (text, TRUE);
              }
          }
    }
}

/* Calibrated: 35.0% by the first operator and 16.3% by the commonest answer; five standard errors of 2,000 test
 * expressions are 5.3 and 4.1 points. */
static void
test_shortcuts (void)
{
  g_autoptr (FmTask) task = fm_task_new ("listops", NULL, NULL);
  const GArray *shortcuts = fm_task_shortcuts (task, NULL);

  g_assert_cmpfloat (fm_task_get_info (task)->chance_level, ==, 0.1);
  g_assert_cmpuint (shortcuts->len, ==, 2);
  g_assert_cmpstr (g_array_index (shortcuts, FmTaskShortcut, 0).name, ==, "first operator");
  g_assert_cmpfloat_with_epsilon (g_array_index (shortcuts, FmTaskShortcut, 0).accuracy, 0.350, 0.053);
  g_assert_cmpstr (g_array_index (shortcuts, FmTaskShortcut, 1).name, ==, "most frequent answer");
  g_assert_cmpfloat_with_epsilon (g_array_index (shortcuts, FmTaskShortcut, 1).accuracy, 0.163, 0.041);
}

/* 16% of the trees have more than 12 tokens, their mean length is 24 (calibration): a wrong grammar shows here. */
static void
test_lengths (void)
{
  g_autoptr (FmTask) task = fm_task_new ("listops", NULL, NULL);
  gdouble sum = 0;

  for (guint b = 0; b < 100; b++)
    {
      g_auto (FmBatch) batch = { 0 };

      g_assert_true (fm_task_batch (task, "train", 2, b, 100, &batch, NULL));
      for (gint64 r = 0; r < 100; r++)
        sum += batch.lengths[r];
    }
  g_assert_cmpfloat_with_epsilon (sum / 10000, 24.0, 1.0);
}

static void
test_example (void)
{
  g_autoptr (FmTask) task = fm_task_new ("listops", NULL, NULL);
  g_auto (FmTaskExample) example = { 0 };
  g_auto (FmBatch) batch = { 0 };
  gint64 answer;

  g_assert_true (fm_task_example (task, "validation", 3, &example, NULL));
  g_assert_true (fm_task_batch (task, "validation", 0, 3, 1, &batch, NULL));
  g_assert_cmpuint (g_strv_length (example.tokens), ==, batch.lengths[0]);
  g_assert_true (g_str_has_prefix (example.tokens[0], "[M") || g_str_equal (example.tokens[0], "[SM"));
  g_assert_cmpstr (example.tokens[batch.lengths[0] - 1], ==, "]");
  g_assert_true (g_ascii_string_to_signed (example.label, 10, 0, 9, &answer, NULL));
  g_assert_cmpint (answer, ==, ((gint32 *) batch.targets[0].data)[0]);
}

static void
test_refused (void)
{
  static const struct { Params p; const char *words; } cases[] = {
    { { 3, 10, 0.25, 95, 96 }, "must be at least 2 below max_length" },
    { { 2, 2, 0.25, 10, 20 }, "change min_length" }, /* depth 2 and two arguments: never more than four tokens */
    { { 99, 10, 0.25, 12, 96 }, "must lie between" },
  };
  g_autoptr (FmTask) few = new_task ((Params){ 2, 2, 0.5, 3, 5 }); /* [OP d d]: 400 expressions */
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_assert_null (fm_task_new ("listops", &cases[i].p, &error));
      g_assert_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID);
      g_assert_nonnull (strstr (error->message, cases[i].words));
      g_clear_error (&error);
    }
  g_assert_false (fm_task_load (few, NULL, &error));
  g_assert_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, "allow longer ones"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/data/listops/values", test_values);
  g_test_add_func ("/data/listops/published", test_published);
  g_test_add_func ("/data/listops/disjoint", test_disjoint);
  g_test_add_func ("/data/listops/shortcuts", test_shortcuts);
  g_test_add_func ("/data/listops/lengths", test_lengths);
  g_test_add_func ("/data/listops/example", test_example);
  g_test_add_func ("/data/listops/refused", test_refused);
  return g_test_run ();
}
