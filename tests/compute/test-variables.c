/* test-variables.c: programs that share variables; variables that grow, are replaced, copied by row, or come from files of
 * other types. */
#include "config.h"

#include "checked.h"
#include "op-test.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

static FmTensor *
model (FmGraph *g, FmTensor *x, FmTensor **inside)
{
  FmTensor *h = fm_tanh (g, fm_linear (g, x, 6, "up"));

  if (inside)
    *inside = h;
  return fm_linear (g, h, 2, "down");
}

static void
set_rate (FmProgram *p, gfloat rate, gint32 step)
{
  write (p, "@rate", &rate, 4);
  write (p, "@step", &step, 4);
}

/* Train, evaluate, probe and decode run in turns; each sees what training wrote, and the cache of decode outlives the
 * runs of the others though all share one arena. */
static void
test_shared (void)
{
  g_autoptr (FmVariables) variables = fm_variables_new (fm_op_test_cpu (1), 4);
  g_autoptr (FmGraph) gt = fm_graph_new (), ge = fm_graph_new (), gp = fm_graph_new (), gd = fm_graph_new ();
  g_autoptr (FmProgram) train = NULL, evaluate = NULL, probe = NULL, decode = NULL;
  FmTensor *inside, *cache, *x = fm_graph_input (gt, "x", FM_F32, FM_SHAPE (5, 3));
  gfloat in[15], y[10], before[10] = { 0 }, h[30], weight[12], bias[2], sum[6] = { 0 }, got[6];
  guint n_paths;

  fm_train_step (gt, fm_mean (gt, fm_mean (gt, fm_square (gt, model (gt, x, NULL)), -1), 0),
                 &(FmOptimizer){ 0.9, 0.999, 1e-8 });
  fm_graph_output (ge, "y", model (ge, fm_graph_input (ge, "x", FM_F32, FM_SHAPE (5, 3)), NULL));
  model (gp, fm_graph_input (gp, "x", FM_F32, FM_SHAPE (5, 3)), &inside);
  fm_graph_output (gp, "inside", inside);
  model (gd, fm_graph_input (gd, "x", FM_F32, FM_SHAPE (1, 3)), &inside);
  cache = fm_state (gd, "cache", FM_F32, FM_SHAPE (1, 6), fm_init_zeros ());
  fm_assign (gd, cache, fm_add (gd, cache, inside));
  train = compile (gt, fm_op_test_cpu (1), variables);
  n_paths = fm_variables_paths (variables)->len;
  evaluate = compile (ge, fm_op_test_cpu (1), variables);
  probe = compile (gp, fm_op_test_cpu (1), variables);
  g_assert_cmpuint (fm_variables_paths (variables)->len, ==, n_paths); /* nothing was made twice */
  decode = compile (gd, fm_op_test_cpu (1), variables);
  for (guint i = 0; i < 15; i++)
    in[i] = cosf (i);
  write (train, "x", in, sizeof in);
  write (evaluate, "x", in, sizeof in);
  write (probe, "x", in, sizeof in);
  write (decode, "x", in, 12);

  for (gint32 step = 1; step <= 4; step++)
    {
      set_rate (train, 0.1f, step);
      run (train);
      run (evaluate);
      g_assert_true (fm_program_read (evaluate, "y", y, sizeof y, NULL));
      g_assert_cmpint (memcmp (y, before, sizeof y), !=, 0);
      memcpy (before, y, sizeof y);
      run (probe);
      g_assert_true (fm_program_read (probe, "inside", h, sizeof h, NULL));
      read_variable (variables, "down.weight", weight, sizeof weight);
      read_variable (variables, "down.bias", bias, sizeof bias);
      for (guint row = 0; row < 5; row++)
        for (guint k = 0; k < 2; k++)
          {
            gdouble dot = bias[k];

            for (guint j = 0; j < 6; j++)
              dot += (gdouble) weight[6 * k + j] * h[6 * row + j];
            g_assert_cmpfloat_with_epsilon (dot, y[2 * row + k], 1e-5);
          }
      run (decode);
      for (guint j = 0; j < 6; j++)
        sum[j] += h[j];
      read_variable (variables, "cache", got, sizeof got);
      for (guint j = 0; j < 6; j++)
        g_assert_cmpfloat_with_epsilon (got[j], sum[j], 1e-5);
    }
}

static FmProgram *
trained (FmGraph *g, FmVariables *v, gint64 rows)
{
  FmTensor *table = fm_param (g, "table", FM_SHAPE (rows, 3), fm_init_normal (1.0));
  FmTensor *x = fm_gather_rows (g, table, fm_iota (g, rows));

  fm_train_step (g, fm_sum_all (g, fm_square (g, x)), &(FmOptimizer){ 0.9, 0.999, 1e-8, .average = 0.9 });
  return compile (g, fm_op_test_cpu (1), v);
}

static void
test_grow (void)
{
  g_autoptr (FmVariables) v = fm_variables_new (fm_op_test_cpu (1), 4), fresh = fm_variables_new (fm_op_test_cpu (1), 4);
  g_autoptr (FmGraph) g = fm_graph_new (), larger = fm_graph_new (), anew = fm_graph_new ();
  g_autoptr (FmProgram) p = trained (g, v, 4), q = NULL, r = NULL;
  g_autoptr (GError) error = NULL;
  gfloat old[12], moment[12], now[18], drawn[18], zeros[6] = { 0 };

  set_rate (p, 0.1f, 1);
  run (p);
  read_variable (v, "table", old, sizeof old);
  read_variable (v, "table@v", moment, sizeof moment);
  g_assert_true (fm_variables_grow (v, "table", FM_SHAPE (6, 3), fm_init_normal (1.0), &error));
  g_assert_no_error (error);
  /* Old rows first; new ones as a table of that size would have been drawn. */
  r = trained (anew, fresh, 6);
  read_variable (fresh, "table", drawn, sizeof drawn);
  read_variable (v, "table", now, sizeof now);
  g_assert_cmpmem (now, sizeof old, old, sizeof old);
  g_assert_cmpmem (now + 12, 24, drawn + 12, 24);
  read_variable (v, "table@v", now, sizeof now);
  g_assert_cmpmem (now, sizeof moment, moment, sizeof moment);
  g_assert_cmpmem (now + 12, 24, zeros, 24);
  read_variable (v, "table@ema", now, sizeof now);
  g_assert_cmpmem (now + 12, 24, drawn + 12, 24);

  /* The program of the small table must not run: its memory has moved. */
  g_assert_false (fm_program_run (p, &error));
  g_assert_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH);
  g_clear_error (&error);
  q = trained (larger, v, 6);
  set_rate (q, 0.1f, 2);
  run (q);
  read_variable (v, "table", now, sizeof now);
  g_assert_cmpint (memcmp (now + 12, drawn + 12, 24), !=, 0);

  g_assert_false (fm_variables_grow (v, "table", FM_SHAPE (5, 4), fm_init_zeros (), &error));
  g_assert_nonnull (strstr (error->message, "cannot grow to [5,4]"));
  g_clear_error (&error);
  g_assert_false (fm_variables_grow (v, "table", FM_SHAPE (18), fm_init_zeros (), &error));
  g_clear_error (&error);
  g_assert_false (fm_variables_grow (v, "tables", FM_SHAPE (18), fm_init_zeros (), &error));
  g_clear_error (&error);
  g_assert_false (fm_variables_grow (v, "table", FM_SHAPE (G_MAXINT64 / 2, 3), fm_init_zeros (), &error));
}

/* Growth along an inner axis moves rows apart. */
static void
test_grow_inside (void)
{
  g_autoptr (FmVariables) v = fm_variables_new (fm_op_test_cpu (1), 4);
  gfloat x[12], y[3 * 3 * 5];

  for (guint i = 0; i < 12; i++)
    x[i] = (gfloat) i + 1;
  g_assert_true (fm_variables_replace (v, "x", FM_F32, FM_SHAPE (2, 2, 3), x, sizeof x, NULL));
  g_assert_true (fm_variables_grow (v, "x", FM_SHAPE (3, 3, 5), fm_init_constant (-1.0), NULL));
  read_variable (v, "x", y, sizeof y);
  for (guint a = 0; a < 3; a++)
    for (guint b = 0; b < 3; b++)
      for (guint c = 0; c < 5; c++)
        g_assert_cmpfloat (y[(a * 3 + b) * 5 + c], ==, a < 2 && b < 2 && c < 3 ? x[(a * 2 + b) * 3 + c] : -1.0f);
}

static void
test_replace (void)
{
  g_autoptr (FmVariables) v = fm_variables_new (fm_op_test_cpu (1), 4);
  g_autoptr (FmGraph) g = fm_graph_new (), smaller = fm_graph_new ();
  g_autoptr (FmProgram) p = trained (g, v, 4), q = NULL;
  g_autoptr (GError) error = NULL;
  gfloat rows[6] = { 1, 2, 3, 4, 5, 6 }, got[6];

  set_rate (p, 0.1f, 1);
  run (p);
  g_assert_false (fm_variables_replace (v, "table", FM_F32, FM_SHAPE (2, 3), rows, 20, &error));
  g_clear_error (&error);
  run (p); /* a refused change changes nothing */
  g_assert_true (fm_variables_replace (v, "table", FM_F32, FM_SHAPE (2, 3), rows, sizeof rows, &error));
  g_assert_false (fm_variables_get_shape (v, "table@m", NULL, NULL));
  g_assert_false (fm_program_run (p, &error));
  g_clear_error (&error);
  q = trained (smaller, v, 2);
  read_variable (v, "table", got, sizeof got);
  g_assert_cmpmem (got, sizeof got, rows, sizeof rows);
  read_variable (v, "table@ema", got, sizeof got); /* follows what is there, not a fresh draw */
  g_assert_cmpmem (got, sizeof got, rows, sizeof rows);
  g_assert_true (fm_variables_remove (v, "table"));
  g_assert_false (fm_variables_remove (v, "table"));
  g_assert_cmpuint (fm_variables_paths (v)->len, ==, 0);
}

static void
test_copy_rows (void)
{
  g_autoptr (FmVariables) a = fm_variables_new (fm_op_test_cpu (1), 1), b = fm_variables_new (fm_op_test_cpu (1), 1);
  g_autoptr (GError) error = NULL;
  gfloat x[8] = { 0, 1, 2, 3, 4, 5, 6, 7 }, y[6] = { 10, 11, 12, 13, 14, 15 }, got[8];
  const gint64 to[2] = { 3, 0 }, from[2] = { 0, 2 }, out[1] = { 4 }, below[1] = { -1 };

  fm_variables_replace (a, "x", FM_F32, FM_SHAPE (4, 2), x, sizeof x, NULL);
  fm_variables_replace (b, "y", FM_F32, FM_SHAPE (3, 2), y, sizeof y, NULL);
  g_assert_true (fm_variables_copy_rows (a, "x", to, b, "y", from, 2, &error));
  read_variable (a, "x", got, sizeof got);
  {
    const gfloat want[8] = { 14, 15, 2, 3, 4, 5, 10, 11 };

    g_assert_cmpmem (got, sizeof got, want, sizeof want);
  }
  /* Within one variable the rows are those from before. */
  g_assert_true (fm_variables_copy_rows (b, "y", (gint64[]){ 0, 1 }, b, "y", (gint64[]){ 1, 0 }, 2, &error));
  read_variable (b, "y", got, sizeof y);
  {
    const gfloat want[6] = { 12, 13, 10, 11, 14, 15 };

    g_assert_cmpmem (got, sizeof want, want, sizeof want);
  }
  g_assert_false (fm_variables_copy_rows (a, "x", out, b, "y", from, 1, &error));
  g_assert_nonnull (strstr (error->message, "no row 4"));
  g_clear_error (&error);
  g_assert_false (fm_variables_copy_rows (a, "x", to, b, "y", below, 1, &error));
  g_clear_error (&error);
  g_assert_false (fm_variables_copy_rows (a, "x", to, b, "z", from, 1, &error));
  g_clear_error (&error);
  fm_variables_replace (b, "wide", FM_F32, FM_SHAPE (2, 3), y, sizeof y, NULL);
  g_assert_false (fm_variables_copy_rows (a, "x", to, b, "wide", from, 1, &error));
}

/* --- Files ----------------------------------------------------------------------------------------------------------*/

static gboolean
load (FmVariables *v, const char *header, gconstpointer data, gsize bytes, GError **error)
{
  g_autofree char *dir = g_dir_make_tmp ("fm-variables-XXXXXX", NULL);
  g_autofree char *file = g_build_filename (dir, "x.safetensors", NULL);
  g_autoptr (GByteArray) all = g_byte_array_new ();
  guint64 length = strlen (header);
  gboolean ok;

  g_byte_array_append (all, (const guint8 *) &length, 8);
  g_byte_array_append (all, (const guint8 *) header, (guint) length);
  g_byte_array_append (all, data, (guint) bytes);
  g_assert_true (g_file_set_contents (file, (const char *) all->data, all->len, NULL));
  ok = fm_variables_load (v, file, error);
  g_remove (file);
  g_rmdir (dir);
  return ok;
}

/* Half widths become f32 where an f32 is wanted; one number without axes is one of [1]. */
static void
test_widths (void)
{
  static const guint16 halves[4] = { 0x3c00, 0xc000, 0x3555, 0x0001 }, bfloats[2] = { 0x3f80, 0xc049 };
  static const gfloat want[4] = { 1.0f, -2.0f, 0.333251953125f, 5.9604644775390625e-8f };
  g_autoptr (FmVariables) v = fm_variables_new (fm_op_test_cpu (1), 1);
  g_autoptr (GError) error = NULL;
  gfloat got[4], zeros[4] = { 0 };
  FmType type;
  FmShape shape;

  fm_variables_replace (v, "half", FM_F32, FM_SHAPE (2, 2), zeros, sizeof zeros, NULL);
  load (v, "{\"half\":{\"dtype\":\"F16\",\"shape\":[2,2],\"data_offsets\":[0,8]}}", halves, sizeof halves, &error);
  g_assert_no_error (error);
  read_variable (v, "half", got, sizeof got);
  g_assert_cmpmem (got, sizeof got, want, sizeof want);
  load (v, "{\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]}}", bfloats, sizeof bfloats, &error);
  g_assert_no_error (error);
  read_variable (v, "b", got, 8);
  g_assert_cmpfloat (got[0], ==, 1.0f);
  g_assert_cmpfloat (got[1], ==, -3.140625f);
  load (v, "{\"one\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", want, 4, &error);
  g_assert_no_error (error);
  g_assert_true (fm_variables_get_shape (v, "one", &type, &shape));
  g_assert_cmpint (type, ==, FM_F32);
  g_assert_cmpuint (shape.rank, ==, 1);
}

/* What a parser must not be asked to do, and what must not reach the variables. */
static void
test_hostile (void)
{
  g_autoptr (FmVariables) v = fm_variables_new (fm_op_test_cpu (1), 1);
  g_autoptr (GString) deep = g_string_new (NULL);
  const char *headers[] = {
    NULL,
    "{\"a\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[0,16]}}",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16],\"more\":[[[[[[[[[1]]]]]]]]]}}",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[-4],\"data_offsets\":[0,16]}}",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[4.0],\"data_offsets\":[0,16]}}",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,4],\"data_offsets\":[0,16]}}",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[16,0]}}",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},"
    "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}",
    "{\"a\":4}",
  };
  guint8 data[16] = { 0 };

  for (guint i = 0; i < 2000000; i++)
    g_string_append_c (deep, '[');
  headers[0] = deep->str;
  for (guint i = 0; i < G_N_ELEMENTS (headers); i++)
    {
      g_autoptr (GError) error = NULL;

      if (load (v, headers[i], data, sizeof data, &error))
        g_error ("header %u was taken", i);
      g_assert_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_FILE);
    }
  g_assert_cmpuint (fm_variables_paths (v)->len, ==, 0);
  {
    /* Brackets in names are text. */
    g_autoptr (GError) error = NULL;

    load (v, "{\"a[[[[[[[[[[\\\"[[\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}", data, sizeof data, &error);
    g_assert_no_error (error);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/variables/shared", test_shared);
  g_test_add_func ("/variables/grow", test_grow);
  g_test_add_func ("/variables/grow-inside", test_grow_inside);
  g_test_add_func ("/variables/replace", test_replace);
  g_test_add_func ("/variables/copy-rows", test_copy_rows);
  g_test_add_func ("/variables/widths", test_widths);
  g_test_add_func ("/variables/hostile", test_hostile);
  return g_test_run ();
}
