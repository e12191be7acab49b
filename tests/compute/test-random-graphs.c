/* test-random-graphs.c: every builder of compute.h and ops.h with arguments drawn at random.
 *
 * bad-arguments: NULL, wrong types, impossible sizes and axes: a graph fails with one sentence that names the op, or goes
 * on; nothing aborts. graphs: valid draws make graphs of a dozen nodes. Run with 1 thread and 2, with chains fused and
 * not, they give the same bits; Vulkan agrees by norms; gradients exist or are refused by the name of an op, and so do
 * gradients of gradients. A draw is valid when the builder takes it on a graph of its own with operands of those shapes. */
#include "config.h"

#include "fuzz/builders.h"
#include "op-test.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- Bad arguments ------------------------------------------------------------------------------------------------*/

static void
fill_nasty_pool (FmGraph *g, GPtrArray *pool)
{
  static const struct { const char *name; FmType type; FmShape shape; } rows[] = {
    { "number", FM_F32, { 1, { 1 } } },          { "row", FM_F32, { 1, { 3 } } },
    { "matrix", FM_F32, { 2, { 2, 3 } } },       { "cube", FM_F32, { 3, { 2, 3, 4 } } },
    { "heads", FM_F32, { 4, { 2, 3, 4, 6 } } },  { "six", FM_F32, { 6, { 1, 2, 1, 2, 1, 3 } } },
    { "whole", FM_I32, { 1, { 3 } } },           { "wholes", FM_I32, { 2, { 2, 3 } } },
    { "half", FM_F16, { 2, { 2, 3 } } },         { "byte", FM_I8, { 2, { 2, 3 } } },
    { "huge", FM_F32, { 2, { 1 << 20, 1 << 20 } } },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    g_ptr_array_add (pool, fm_graph_input (g, rows[i].name, rows[i].type, rows[i].shape));
}

/* (nullable): what is wrong with a message. */
static const char *
message_fault (const char *message, const char *builder)
{
  static const struct { const char *builder, *word; } aliases[] = { /* what they are made of */
    { "fm_variance", "mean" }, { "fm_tile", "repeat" }, { "fm_tril", "triangle" }, { "fm_triu", "triangle" },
    { "fm_unpack_index", "pack" }, { "fm_conv1d", "conv2d" }, { "fm_conv1d_transposed", "conv2d" },
    { "fm_depthwise_conv1d", "depthwise" },
  };
  g_autofree char *plain = g_strdup (builder + strlen ("fm_")), *hyphens = g_strdelimit (g_strdup (plain), "_", '-');
  g_autofree char *spaces = g_strdelimit (g_strdup (plain), "_", ' ');
  g_auto(GStrv) words = NULL;

  if (g_str_has_prefix (builder, "fm_linear") && strstr (message, "width")) /* by the name that the caller gave */
    return NULL;
  if (strlen (message) < 12 || strlen (message) > 300)
    return "is no sentence";
  if (strchr (message, '\n') != NULL)
    return "has more than one line";
  if (strstr (message, plain) || strstr (message, hyphens) || strstr (message, spaces))
    return NULL;
  words = g_strsplit (plain, "_", -1); /* "mean axis 7 does not exist" of fm_mean_keep () */
  for (guint i = 0; words[i] != NULL; i++)
    if (strlen (words[i]) > 2 && strstr (message, words[i]))
      return NULL;
  for (guint i = 0; i < G_N_ELEMENTS (aliases); i++)
    if (g_str_equal (builder, aliases[i].builder) && strstr (message, aliases[i].word))
      return NULL;
  for (const FmOp * const *op = fm_ops_list (); *op != NULL; op++)
    if (strstr (message, (*op)->name))
      return NULL;
  return "names no op";
}

typedef struct
{
  guint tries, refused; /* of the builder at hand */
  char  fault[400];
} Report;

static void
try_builder (const FmBuilder *b, guint n, Report *report)
{
  for (report->tries = 0; report->tries < n; report->tries++)
    {
      FmGraph *g = fm_graph_new ();
      GPtrArray *pool = g_ptr_array_new ();
      FmArguments a = { .pool = pool, .nasty = TRUE };
      FmTensor *y;

      fm_random_init (&a.random, report->tries, fm_hash (b->name));
      fill_nasty_pool (g, pool);
      y = b->call (g, &a);
      if (fm_graph_failed (g))
        {
          const char *fault = message_fault (g->error->message, b->name);

          report->refused++;
          if (fault && report->fault[0] == '\0')
            g_snprintf (report->fault, sizeof report->fault, "%s: “%s”", fault, g->error->message);
        }
      else if (y == NULL)
        g_snprintf (report->fault, sizeof report->fault, "gives NULL and no reason");
      else
        {
          FmPlan plan;
          FmCost cost;

          fm_graph_output (g, "y", y);
          fm_graph_plan (g, "cpu", &plan, &cost, NULL);
        }
      g_ptr_array_unref (pool);
      fm_graph_free (g);
    }
}

/* Each builder in a process of its own, so that a crash is a finding like others. */
static void
test_bad_arguments (void)
{
  guint n = g_test_quick () ? 60 : 600, builders = 0, refused = 0;
  Report *report = mmap (NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

  g_assert_true (report != MAP_FAILED);
  for (const FmBuilder *b = fm_builders; b->name != NULL; b++, builders++)
    {
      int status = 0;
      pid_t child;

      memset (report, 0, sizeof *report);
      child = fork ();
      g_assert_cmpint (child, >=, 0);
      if (child == 0)
        {
          alarm (120);
          try_builder (b, n, report);
          _exit (0);
        }
      g_assert_cmpint (waitpid (child, &status, 0), ==, child);
      if (!WIFEXITED (status) || WEXITSTATUS (status) != 0)
        {
          g_test_message ("%s crashes or hangs (status %d) on draw %u", b->name, status, report->tries);
          g_test_fail ();
        }
      else if (report->fault[0] != '\0')
        {
          g_test_message ("%s: its message %s", b->name, report->fault);
          g_test_fail ();
        }
      refused += report->refused;
    }
  munmap (report, sizeof *report);
  for (guint i = 0; fm_builders_unknown[i] != NULL; i++)
    g_test_message ("not called: %s", fm_builders_unknown[i]);
  g_test_message ("%u builders, %u draws each, %u refused", builders, n, refused);
}

/* --- Random graphs ------------------------------------------------------------------------------------------------*/

/* Results that jump where an operand changes by a rounding: they are fed with inputs alone, the same on every device. */
static gboolean
jumps (const char *name)
{
  static const char * const names[] = { "fm_less", "fm_less_equal", "fm_greater", "fm_greater_equal", "fm_equal",
                                        "fm_not_equal", "fm_where", "fm_floor", "fm_ceil", "fm_round", "fm_sign",
                                        "fm_any", "fm_all", NULL };

  return g_strv_contains (names, name);
}

/* Not for graphs of this kind: variables by name would meet in one shape or another, random draws want a seed. */
static gboolean
unsuitable (const char *name)
{
  static const char * const names[] = { "fm_uniform", "fm_dropout", "fm_linear", "fm_linear_no_bias", "fm_norm", "fm_at",
                                        "fm_normal", "fm_gumbel", "fm_bernoulli", "fm_batch_norm", NULL };

  return g_strv_contains (names, name) || strstr (name, "dropout") || strstr (name, "permutation");
}

#define LARGEST 20000 /* elements */

typedef struct
{
  FmGraph   *g;
  GPtrArray *pool, *leaves; /* FmTensor */
  GString   *story;         /* names of builders */
} Random;

static void
add_leaf (Random *r, FmType type, FmShape shape)
{
  g_autofree char *name = g_strdup_printf ("x%u", r->leaves->len);
  FmTensor *t = fm_graph_input (r->g, name, type, shape);

  g_ptr_array_add (r->leaves, t);
  g_ptr_array_add (r->pool, t);
}

/* Would @b take what @a is about to draw? On a graph of its own, with inputs in the place of the pool. */
static gboolean
takes (const FmBuilder *b, const FmArguments *a)
{
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(GPtrArray) pool = g_ptr_array_new ();
  FmArguments copy = *a;
  FmTensor *y;

  for (guint i = 0; i < a->pool->len; i++)
    {
      FmTensor *t = g_ptr_array_index (a->pool, i);
      g_autofree char *name = g_strdup_printf ("p%u", i);

      g_ptr_array_add (pool, fm_graph_input (g, name, t->type, t->shape));
    }
  copy.pool = pool;
  y = b->call (g, &copy);
  return !fm_graph_failed (g) && y->type == FM_F32 && fm_shape_count (&y->shape) <= LARGEST
         && fm_shape_count (&y->shape) > 0 && y->node != NULL;
}

static Random *
random_new (guint seed, guint n_nodes)
{
  static const FmShape shapes[] = { { 2, { 3, 4 } }, { 2, { 4, 4 } }, { 3, { 2, 3, 4 } }, { 4, { 2, 4, 3, 4 } },
                                    { 1, { 4 } }, { 1, { 4 } } };
  Random *r = g_new0 (Random, 1);
  FmArguments a = { .nasty = FALSE };
  guint n_builders = 0;

  r->g = fm_graph_new ();
  r->pool = g_ptr_array_new ();
  r->leaves = g_ptr_array_new ();
  r->story = g_string_new (NULL);
  fm_random_init (&a.random, seed, 77);
  while (fm_builders[n_builders].name != NULL)
    n_builders++;
  for (guint i = 0; i < G_N_ELEMENTS (shapes); i++)
    add_leaf (r, FM_F32, shapes[i]);
  add_leaf (r, FM_F32, FM_SHAPE (1 + (gint64) fm_random_below (&a.random, 70), 2 + (gint64) fm_random_below (&a.random, 33)));
  add_leaf (r, FM_I32, FM_SHAPE (3));
  add_leaf (r, FM_I32, FM_SHAPE (2, 3));
  for (guint tries = 0, made = 0; made < n_nodes && tries < 100000; tries++)
    {
      const FmBuilder *b = &fm_builders[fm_random_below (&a.random, n_builders)];
      FmTensor *y;

      if (unsuitable (b->name))
        continue;
      a.pool = jumps (b->name) ? r->leaves : r->pool;
      for (guint draw = 0; draw < 40; draw++)
        {
          a.last = NULL;
          if (takes (b, &a))
            {
              y = b->call (r->g, &a);
              /* Into (0,1), so that logarithms and powers of what follows stay numbers. */
              g_ptr_array_add (r->pool, fm_sigmoid (r->g, y));
              g_string_append_printf (r->story, " %s", b->name + strlen ("fm_"));
              made++;
              break;
            }
          fm_random_uint32 (&a.random);
        }
    }
  g_assert_no_error (r->g->error);
  return r;
}

static void
random_free (Random *r)
{
  fm_graph_free (r->g);
  g_ptr_array_unref (r->pool);
  g_ptr_array_unref (r->leaves);
  g_string_free (r->story, TRUE);
  g_free (r);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Random, random_free)

/* Gradients of the sum of all results by all real inputs. Refused for want of a gradient: FALSE, after checking that the
 * message names an op that has none. */
static gboolean
add_gradients (Random *r, FmTensor *loss, const char *prefix, FmTensor **dx)
{
  FmTensor *wrt[16] = { NULL };
  guint n = 0;

  for (guint i = 0; i < r->leaves->len; i++)
    if (((FmTensor *) g_ptr_array_index (r->leaves, i))->type == FM_F32)
      wrt[n++] = g_ptr_array_index (r->leaves, i);
  fm_grad (r->g, loss, wrt, n, dx);
  if (fm_graph_failed (r->g))
    {
      gboolean named = FALSE;

      for (const FmOp * const *op = fm_ops_list (); *op != NULL; op++)
        named |= (*op)->gradient == NULL && strstr (r->g->error->message, (*op)->name) && strstr (r->g->error->message,
                                                                                                  "has no gradient");
      if (!named)
        {
          g_test_message ("%s: the gradient is refused without reason: %s", r->story->str, r->g->error->message);
          g_test_fail ();
        }
      return FALSE;
    }
  for (guint i = 0; i < n; i++)
    {
      g_autofree char *name = g_strdup_printf ("%s%u", prefix, i);

      fm_graph_output (r->g, name, dx[i]);
    }
  dx[n] = NULL;
  return TRUE;
}

/* The same graph to the same depth: 0 results, 1 gradients, 2 gradients of gradients; NULL when refused. */
static Random *
random_graph (guint seed, guint n_nodes, guint depth)
{
  g_autoptr(Random) r = random_new (seed, n_nodes);
  FmTensor *loss = NULL, *dx[17];

  for (guint i = r->leaves->len; i < r->pool->len; i++)
    {
      FmTensor *t = g_ptr_array_index (r->pool, i);
      g_autofree char *name = g_strdup_printf ("y%u", i);

      fm_graph_output (r->g, name, t);
      t = fm_mul_scalar (r->g, fm_sum_all (r->g, t), 1.0 / fm_tensor_get_count (t));
      loss = loss ? fm_add (r->g, loss, t) : t;
    }
  if (depth >= 1 && !add_gradients (r, loss, "d", dx))
    return NULL;
  if (depth >= 2)
    {
      FmTensor *sum = NULL;

      for (guint i = 0; dx[i] != NULL; i++)
        {
          FmTensor *t = fm_sum_all (r->g, fm_square (r->g, dx[i]));

          sum = sum ? fm_add (r->g, sum, t) : t;
        }
      if (!add_gradients (r, sum, "dd", dx))
        return NULL;
    }
  g_assert_no_error (r->g->error);
  return g_steal_pointer (&r);
}

/* (transfer full): all outputs, one after the other. */
static GArray *
run (Random *r, FmDevice *device, gboolean fused)
{
  g_autoptr(FmVariables) variables = fm_variables_new (device, 1);
  g_autoptr(FmProgram) p = NULL;
  g_autoptr(GError) error = NULL;
  GArray *out = g_array_new (FALSE, TRUE, sizeof (gfloat));

  if (!fused)
    g_setenv ("FORMARIUM_FUSION", "0", TRUE);
  p = fm_program_new (r->g, device, variables, &error);
  g_unsetenv ("FORMARIUM_FUSION");
  if (error)
    g_test_message ("%s", r->story->str);
  g_assert_no_error (error);
  for (guint i = 0; i < p->plan->inputs->len; i++)
    {
      FmTensor *t = g_ptr_array_index (p->plan->inputs, i);
      gint64 n = fm_shape_count (&t->shape);
      g_autofree gfloat *real = g_new (gfloat, n);
      FmRandom random;

      fm_random_init (&random, 5, fm_hash (t->name));
      for (gint64 j = 0; j < n; j++)
        if (t->type == FM_I32)
          ((gint32 *) real)[j] = (gint32) fm_random_below (&random, 3);
        else
          real[j] = (gfloat) (0.1 + 0.9 * fm_random_uniform (&random));
      fm_program_write (p, t->name, real, (gsize) n * 4, &error);
      g_assert_no_error (error);
    }
  fm_program_run (p, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < r->g->outputs->len; i++)
    {
      FmTensor *t = g_ptr_array_index (r->g->outputs, i);
      gint64 n = fm_shape_count (&t->shape);
      guint start = out->len;

      g_array_set_size (out, start + n);
      fm_program_read (p, g_ptr_array_index (r->g->output_names, i), &g_array_index (out, gfloat, start), (gsize) n * 4,
                       &error);
      g_assert_no_error (error);
    }
  return out;
}

static void
differ (const Random *r, guint seed, const char *what, const GArray *a, const GArray *b)
{
  guint i = 0;
  g_autofree char *where = NULL;

  /* A NaN has no number: its sign is that of whichever operand an instruction took it from. (Read as f32, a whole number of
   * that pattern, about -2^22 or beyond 2^30, does not occur among the indices drawn here.) */
  while (i < a->len && (memcmp (&g_array_index (a, guint32, i), &g_array_index (b, guint32, i), 4) == 0
                        || (isnan (g_array_index (a, gfloat, i)) && isnan (g_array_index (b, gfloat, i)))))
    i++;
  if (i == a->len)
    return;
  g_test_message ("seed %u: %s: element %u of %u is %.9g and %.9g; made of%s", seed, what, i, a->len,
                  g_array_index (a, gfloat, i), g_array_index (b, gfloat, i), r->story->str);
  g_test_fail ();
}

/* Output by output: norm of the difference against norm, plus an absolute part for what is nearly nothing. */
static void
compare_devices (const Random *r, guint seed, const GArray *a, const GArray *b)
{
  guint at = 0;

  for (guint i = 0; i < r->g->outputs->len; i++)
    {
      gint64 n = fm_shape_count (&((FmTensor *) g_ptr_array_index (r->g->outputs, i))->shape);
      gdouble difference = 0, norm = 0;

      for (gint64 j = 0; j < n; j++, at++)
        {
          gdouble x = g_array_index (a, gfloat, at), y = g_array_index (b, gfloat, at);

          if (!isfinite (x) && !isfinite (y))
            continue;
          difference += (x - y) * (x - y);
          norm += x * x;
        }
      if (!(sqrt (difference) <= 1e-3 * sqrt (norm) + 1e-5 * sqrt ((gdouble) n)))
        {
          g_test_message ("seed %u: Vulkan's %s, of norm %g, differs by %g; made of%s", seed,
                          (char *) g_ptr_array_index (r->g->output_names, i), sqrt (norm), sqrt (difference),
                          r->story->str);
          g_test_fail ();
        }
    }
}

static void
test_graphs (void)
{
  guint seeds = g_test_quick () ? 12 : 24, refused[3] = { 0 };
  FmDevice *vulkan = g_test_quick () ? NULL : fm_op_test_vulkan ();
  g_autoptr(GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint seed = 1; seed <= seeds; seed++)
    for (guint depth = 0; depth <= 2; depth++)
      {
        g_autoptr(Random) r = random_graph (seed, 14, depth);
        g_autoptr(GArray) one = NULL, two = NULL, apart = NULL, other = NULL;

        if (r == NULL)
          {
            refused[depth]++;
            continue;
          }
        for (guint k = 0; k < r->g->nodes->len; k++)
          g_hash_table_add (seen, (gpointer) ((FmNode *) g_ptr_array_index (r->g->nodes, k))->op->name);
        one = run (r, fm_op_test_cpu (1), TRUE);
        two = run (r, fm_op_test_cpu (2), TRUE);
        apart = run (r, fm_op_test_cpu (2), FALSE);
        differ (r, seed, "1 thread and 2", one, two);
        differ (r, seed, "fused and not", two, apart);
        /* Second gradients pile up roundings until no bound means anything. */
        if (vulkan && depth < 2)
          {
            other = run (r, vulkan, TRUE);
            compare_devices (r, seed, two, other);
          }
      }
  g_test_message ("%u graphs; gradients refused %u times, second gradients %u times; %u kinds of op", seeds, refused[1],
                  refused[2], g_hash_table_size (seen));
  g_assert_cmpuint (refused[0], ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/compute/fuzz/bad-arguments", test_bad_arguments);
  g_test_add_func ("/compute/fuzz/graphs", test_graphs);
  return g_test_run ();
}
