/* test-mqar.c: an independent solver answers the questions; distances, splits, shortcuts and refused sizes. */
#include "data/task.h"

#include <math.h>
#include <string.h>

typedef struct { gint64 length, pairs, vocabulary; gdouble power_a; gint64 random_filler; } Params;

static FmTask *
new_task (Params p)
{
  g_autoptr (GError) error = NULL;
  FmTask *task = fm_task_new ("mqar", &p, &error);

  g_assert_no_error (error);
  return task;
}

/* Solves a row as a person would: note down the pairs, look each asked key up. */
static void
check_row (const Params *p, const gint32 *x, const gint32 *y)
{
  g_autoptr (GHashTable) value_of = g_hash_table_new (NULL, NULL);
  g_autoptr (GHashTable) values = g_hash_table_new (NULL, NULL);
  gint64 asked = 0;

  for (gint64 i = 0; i < p->pairs; i++)
    {
      gint32 key = x[2 * i], value = x[2 * i + 1];

      g_assert_true (key >= 1 && key < p->vocabulary / 2);
      g_assert_true (value >= p->vocabulary / 2 && value < p->vocabulary);
      g_assert_true (g_hash_table_insert (value_of, GINT_TO_POINTER (key), GINT_TO_POINTER (value))); /* new */
      g_assert_true (g_hash_table_add (values, GINT_TO_POINTER (value)));
    }
  for (gint64 i = 0; i < p->length; i++)
    if (y[i] >= 0)
      {
        g_assert_cmpint (i, >=, 2 * p->pairs);
        g_assert_cmpint (i % 2, ==, 0);
        g_assert_cmpint (GPOINTER_TO_INT (g_hash_table_lookup (value_of, GINT_TO_POINTER (x[i]))), ==, y[i]);
        g_assert_true (g_hash_table_remove (value_of, GINT_TO_POINTER (x[i]))); /* each key once */
        asked++;
      }
    else if (!p->random_filler && i >= 2 * p->pairs)
      g_assert_cmpint (x[i], ==, 0);
  g_assert_cmpint (asked, ==, p->pairs);
}

static void
test_answers (void)
{
  static const Params settings[] = {
    { 64, 8, 128, 0.01, 1 },
    { 512, 64, 8192, 0.01, 1 }, /* published */
    { 16, 4, 12, 0.01, 0 },     /* every slot but none to spare */
    { 4, 1, 8, 1.0, 1 },
    { 100, 3, 9, 10.0, 0 },     /* odd vocabulary, far questions */
  };

  for (guint s = 0; s < G_N_ELEMENTS (settings); s++)
    {
      g_autoptr (FmTask) task = new_task (settings[s]);
      static const char * const splits[] = { "train", "validation", "test" };

      for (guint k = 0; k < 3; k++)
        {
          g_auto (FmBatch) batch = { 0 };
          g_autoptr (GError) error = NULL;

          g_assert_true (fm_task_batch (task, splits[k], 4, 2, 32, &batch, &error));
          for (gint64 r = 0; r < 32; r++)
            check_row (&settings[s], (gint32 *) batch.inputs[0].data + r * settings[s].length,
                       (gint32 *) batch.targets[0].data + r * settings[s].length);
        }
    }
}

/* No list of pairs is in two splits, also where so few exist that chance would put some in both. */
static void
test_disjoint (void)
{
  const Params p = { 16, 2, 12, 0.01, 1 };
  static const char * const splits[] = { "train", "validation", "test" };
  g_autoptr (FmTask) task = new_task (p);
  g_autoptr (GHashTable) home = g_hash_table_new (NULL, NULL);
  guint sizes[3] = { 0 };

  for (guint k = 0; k < 3; k++)
    for (guint b = 0; b < 10; b++)
      {
        g_auto (FmBatch) batch = { 0 };

        g_assert_true (fm_task_batch (task, splits[k], 0, b, 100, &batch, NULL));
        for (gint64 r = 0; r < 100; r++)
          {
            const gint32 *x = (gint32 *) batch.inputs[0].data + r * 16;
            gpointer pairs = GINT_TO_POINTER (((x[0] * 12 + x[1]) * 12 + x[2]) * 12 + x[3]);
            gpointer before = g_hash_table_lookup (home, pairs);

            g_assert_true (before == NULL || before == GUINT_TO_POINTER (k + 1));
            sizes[k] += before == NULL;
            g_hash_table_insert (home, pairs, GUINT_TO_POINTER (k + 1));
          }
      }
  g_assert_cmpuint (sizes[0], >, 200); /* of 600 lists three quarters */
  g_assert_cmpuint (sizes[1], >, 30);
  g_assert_cmpuint (sizes[2], >, 30);
}

/* One pair, 31 slots: the first question's slot g must come with weight (g+1)^(a-1). Chi-square of the four first slots
 * and the rest, 4 degrees of freedom, 99.9999% point 33.4, over 10,000 rows; for a = 0.01 and for a uniform choice. */
static void
test_distances (void)
{
  static const gdouble exponents[] = { 0.01, 1.0 };

  for (guint e = 0; e < 2; e++)
    {
      const Params p = { 64, 1, 1024, exponents[e], 0 };
      g_autoptr (FmTask) task = new_task (p);
      gdouble weights[31], sum = 0, expected[5] = { 0 }, chi = 0;
      guint counts[5] = { 0 };

      for (guint g = 0; g < 31; g++)
        sum += weights[g] = pow (g + 1, exponents[e] - 1);
      for (guint g = 0; g < 31; g++)
        expected[MIN (g, 4)] += 1e4 * weights[g] / sum;
      for (guint b = 0; b < 100; b++)
        {
          g_auto (FmBatch) batch = { 0 };

          g_assert_true (fm_task_batch (task, "train", 1, b, 100, &batch, NULL));
          for (gint64 i = 0; i < 6400; i++)
            if (((gint32 *) batch.targets[0].data)[i] >= 0)
              counts[MIN ((i % 64 - 2) / 2, 4)]++;
        }
      for (guint c = 0; c < 5; c++)
        chi += (counts[c] - expected[c]) * (counts[c] - expected[c]) / expected[c];
      g_assert_cmpfloat (chi, <, 33.4);
    }
}

static void
test_shortcuts (void)
{
  g_autoptr (FmTask) task = new_task ((Params){ 64, 8, 128, 0.01, 1 });
  const GArray *shortcuts = fm_task_shortcuts (task, NULL);

  g_assert_cmpfloat (fm_task_get_info (task)->chance_level, ==, 1.0 / 128);
  g_assert_cmpuint (shortcuts->len, ==, 2);
  /* Each key is asked once, so the last pair's value is right exactly once in eight. */
  g_assert_cmpstr (g_array_index (shortcuts, FmTaskShortcut, 0).name, ==, "last value seen");
  g_assert_cmpfloat_with_epsilon (g_array_index (shortcuts, FmTaskShortcut, 0).accuracy, 0.125, 1e-9);
  /* 64 values: 1.56%, five standard errors of 24,000 answers 0.4 points. */
  g_assert_cmpstr (g_array_index (shortcuts, FmTaskShortcut, 1).name, ==, "most frequent value");
  g_assert_cmpfloat_with_epsilon (g_array_index (shortcuts, FmTaskShortcut, 1).accuracy, 1 / 64.0, 0.004);
  g_assert_true (fm_task_shortcuts (task, NULL) == shortcuts);
}

static void
test_example (void)
{
  const Params p = { 8, 1, 8, 0.01, 0 };
  g_autoptr (FmTask) task = new_task (p);
  g_auto (FmTaskExample) example = { 0 };
  g_autofree char *pair = NULL;

  g_assert_true (fm_task_example (task, "test", 0, &example, NULL));
  g_assert_cmpuint (g_strv_length (example.tokens), ==, 8);
  pair = g_strdup_printf ("%s = %s", example.tokens[0], example.tokens[1]);
  g_assert_true (g_str_has_suffix (example.label, pair));
  g_assert_true (example.tokens[0][0] == 'k' && example.tokens[1][0] == 'v');
}

static void
test_sizes (void)
{
  static const struct { Params p; const char *words; } cases[] = {
    { { 63, 8, 128, 0.01, 1 }, "must be even" },
    { { 64, 17, 128, 0.01, 1 }, "room for at most 16" },
    { { 64, 8, 16, 0.01, 1 }, "only 7 different keys" },
    { { 2, 1, 16, 0.01, 1 }, "must lie between" },
    { { G_MAXINT64, 1, 16, 0.01, 1 }, "must lie between" },
    { { 64, 8, 128, NAN, 1 }, "must lie between" },
  };
  g_autoptr (GError) error = NULL;
  g_autoptr (FmTask) few = new_task ((Params){ 4, 1, 4, 0.01, 1 });
  g_autoptr (FmTask) huge = new_task ((Params){ 1000000, 64, 8192, 0.01, 1 });
  g_auto (FmBatch) batch = { 0 };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_assert_null (fm_task_new ("mqar", &cases[i].p, &error));
      g_assert_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID);
      g_assert_nonnull (strstr (error->message, cases[i].words));
      g_clear_error (&error);
    }

  /* Two different lists of pairs cannot fill three splits: a sentence, not an endless search. */
  for (guint k = 0; k < 3 && error == NULL; k++)
    {
      static const char * const splits[] = { "train", "validation", "test" };
      g_auto (FmBatch) rows = { 0 };

      if (!fm_task_batch (few, splits[k], 0, 0, 4, &rows, &error))
        g_assert_nonnull (strstr (error->message, "choose a larger vocabulary"));
    }
  g_assert_error (error, FM_DATA_ERROR, FM_DATA_ERROR_INVALID);
  g_clear_error (&error);

  /* A million tokens are described at once, and one row of them is made and right. */
  g_assert_cmpint (fm_task_get_info (huge)->inputs[0].length, ==, 1000000);
  g_assert_true (fm_task_batch (huge, "test", 0, 0, 1, &batch, &error));
  check_row (fm_task_get_params (huge), batch.inputs[0].data, batch.targets[0].data);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/data/mqar/answers", test_answers);
  g_test_add_func ("/data/mqar/disjoint", test_disjoint);
  g_test_add_func ("/data/mqar/distances", test_distances);
  g_test_add_func ("/data/mqar/shortcuts", test_shortcuts);
  g_test_add_func ("/data/mqar/example", test_example);
  g_test_add_func ("/data/mqar/sizes", test_sizes);
  return g_test_run ();
}
