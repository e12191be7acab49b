/* test-fusion.c: programs with fused chains against the same programs without, on random graphs of elementwise ops. */
#include "compute/fuse.h"
#include "op-test.h"

#include <math.h>
#include <string.h>

#define MAX_POOL 40

static GArray *
run (FmGraph *g, FmDevice *device, gboolean fused, guint *n_chains, guint *n_nodes)
{
  g_autoptr (FmVariables) variables = fm_variables_new (device, 3);
  g_autoptr (FmProgram) program = NULL;
  g_autoptr (GError) error = NULL;
  GArray *words = g_array_new (FALSE, TRUE, 4);

  if (!fused)
    g_setenv ("FORMARIUM_FUSION", "0", TRUE);
  program = fm_program_new (g, device, variables, &error);
  g_unsetenv ("FORMARIUM_FUSION");
  g_assert_no_error (error);
  *n_chains = program->plan->chains->len;
  *n_nodes = program->plan->nodes->len;
  for (guint i = 0; i < program->plan->inputs->len; i++)
    {
      FmTensor *t = g_ptr_array_index (program->plan->inputs, i);
      gsize n = (gsize) fm_shape_count (&t->shape);
      g_autofree gfloat *x = g_new (gfloat, n);
      FmRandom random;

      fm_random_init (&random, 7, strlen (t->name) + (guint) t->name[0]);
      for (gsize k = 0; k < n; k++)
        if (t->type == FM_F32)
          x[k] = (gfloat) fm_random_normal (&random);
        else
          ((gint32 *) x)[k] = (gint32) fm_random_below (&random, 9) - 4;
      g_assert_true (fm_program_write (program, t->name, x, n * 4, &error));
    }
  for (guint step = 0; step < 2; step++) /* the second sees what the first wrote */
    g_assert_true (fm_program_run (program, &error));
  for (guint i = 0; i < g->outputs->len; i++)
    {
      FmTensor *t = g_ptr_array_index (g->outputs, i);
      gsize n = (gsize) fm_shape_count (&t->shape), at = words->len;

      g_array_set_size (words, (guint) (at + n));
      g_assert_true (fm_program_read (program, g_ptr_array_index (g->output_names, i),
                                      &g_array_index (words, gint32, at), n * 4, &error));
      g_assert_no_error (error);
    }
  return words;
}

/* A graph of @n random elementwise ops, the last result, one in the middle and a gradient its outputs. */
static FmGraph *
random_graph (guint32 seed, guint n, FmShape shape)
{
  FmGraph *g = fm_graph_new ();
  FmTensor *pool[MAX_POOL], *x, *y, *gradient, *state, *weight;
  gint64 width = shape.dims[shape.rank - 1];
  FmShape row = FM_SHAPE (shape.dims[shape.rank - 1]), column = shape, turned = shape;
  guint used = 0;
  FmRandom random;

  fm_random_init (&random, seed, 0);
  column.dims[column.rank - 1] = 1;
  turned.dims[0] = shape.dims[shape.rank - 1];
  turned.dims[shape.rank - 1] = shape.dims[0];
  x = pool[used++] = fm_graph_input (g, "x", FM_F32, shape);
  pool[used++] = fm_graph_input (g, "other", FM_F32, shape);
  pool[used++] = fm_graph_input (g, "row", FM_F32, row);
  pool[used++] = fm_graph_input (g, "column", FM_F32, column);
  pool[used++] = fm_transpose (g, fm_graph_input (g, "turned", FM_F32, turned), 0, -1);
  pool[used++] = fm_cast (g, fm_graph_input (g, "whole", FM_I32, shape), FM_F32);
  pool[used++] = state = fm_state (g, "state", FM_F32, shape, fm_init_constant (0.25));
  weight = width > 300 || shape.rank < 2 ? NULL
                       : fm_mul_scalar (g, fm_graph_input (g, "weight", FM_F32, FM_SHAPE (width, width)), 1.0 / width);
  y = fm_add (g, x, pool[2]);
  for (guint k = 0; k < n; k++)
    {
      guint pick = (guint) fm_random_below (&random, weight ? 25 : 22);
      FmTensor *a = fm_random_below (&random, 3) ? y : pool[fm_random_below (&random, used)];
      FmTensor *b = pool[fm_random_below (&random, used)];
      FmTensor *wide = a->shape.rank > 1 && fm_tensor_get_dim (a, -1) == width ? a : x;

      switch (pick)
        {
        case 0: y = fm_neg (g, a); break;
        case 1: y = fm_abs (g, a); break;
        case 2: y = fm_exp (g, fm_tanh (g, a)); break;
        case 3: y = fm_log (g, fm_add_scalar (g, fm_square (g, a), 0.5)); break;
        case 4: y = fm_rsqrt (g, fm_add_scalar (g, fm_abs (g, a), 0.5)); break;
        case 5: y = fm_tanh (g, a); break;
        case 6: y = fm_sigmoid (g, a); break;
        case 7: y = fm_relu (g, a); break;
        case 8: y = fm_gelu (g, a); break;
        case 9: y = fm_silu (g, a); break;
        case 10: y = fm_mul_scalar (g, a, 0.75); break;
        case 11: y = fm_add (g, a, b); break;
        case 12: y = fm_sub (g, a, b); break;
        case 13: y = fm_mul (g, fm_tanh (g, a), b); break;
        case 14: y = fm_div (g, a, fm_add_scalar (g, fm_square (g, b), 1)); break;
        case 15: y = fm_minimum (g, a, b); break;
        case 16: y = fm_where (g, fm_less (g, a, b), a, fm_constant (g, FM_F32, FM_SHAPE (1), 0.125)); break;
        case 17: y = fm_mul (g, a, fm_cast (g, fm_cast (g, fm_tanh (g, b), FM_I32), FM_F32)); break;
        case 18: y = fm_add (g, fm_stop_gradient (g, a), b); break;
        case 19: y = fm_reshape (g, fm_elu (g, fm_reshape (g, fm_contiguous (g, a), FM_SHAPE (-1))), a->shape); break;
        case 20: y = fm_maximum (g, fm_constant (g, FM_F32, FM_SHAPE (1), -0.5), a); break;
        case 22: y = fm_gelu (g, fm_affine (g, wide, weight, pool[2])); break;
        case 23: y = fm_add (g, fm_matmul (g, wide, weight, FM_TRANS_B), b); break;
        case 24: y = fm_sub (g, b, fm_mul (g, pool[2], fm_affine (g, fm_relu (g, wide), weight, NULL))); break;
        default: /* a reader that is no link */
          y = fm_mul (g, a, fm_mean (g, fm_reshape (g, fm_contiguous (g, b), FM_SHAPE (-1)), 0));
        }
      pool[used < MAX_POOL ? used++ : 6 + fm_random_below (&random, MAX_POOL - 6)] = y;
      if (k == n / 2)
        {
          fm_graph_output (g, "middle", y);
          fm_assign (g, state, fm_tanh (g, fm_add (g, state, x))); /* later links must see what it wrote, earlier not */
        }
    }
  fm_graph_output (g, "last", y);
  fm_grad (g, fm_sum_all (g, fm_mul (g, y, y)), &x, 1, &gradient);
  fm_graph_output (g, "gradient", gradient);
  g_assert_no_error (fm_graph_get_error (g));
  return g;
}

static const FmShape shapes[] = {
  { 1, { 1 } }, { 2, { 3, 5 } }, { 3, { 5, 7, 33 } }, { 2, { 2, 2049 } }, { 2, { 300, 64 } }, { 2, { 1, 70001 } },
  { 2, { 600, 300 } }, /* products of several blocks across; the last one in the slow mode only */
};

static guint
count_products (FmGraph *g)
{
  FmMemoryPlan *plan = fm_memory_plan_new (g, FM_BACKEND_CPU, 2, 64, NULL);
  guint n = 0;

  for (guint i = 0; i < plan->chains->len; i++)
    n += ((FmChain *) g_ptr_array_index (plan->chains, i))->head != NULL;
  fm_memory_plan_free (plan);
  return n;
}

static void
test_cpu (void)
{
  int best = fm_op_test_level (), levels[] = { 1, 3, 4 };
  guint n_seeds = g_test_slow () ? 20 : 6, chains = 0, products = 0, saved = 0;

  for (guint32 seed = 0; seed < n_seeds; seed++)
    for (guint s = 0; s < G_N_ELEMENTS (shapes) - !g_test_slow (); s++)
      {
        g_autoptr (FmGraph) g = random_graph (seed, 4 + seed % 21, shapes[s]);

        for (guint l = 0; l < G_N_ELEMENTS (levels) && levels[l] <= best; l++)
          {
            guint n, nodes, none, all;
            g_autoptr (GArray) plain = NULL, fused = NULL, one = NULL;

            fm_cpu_level = levels[l];
            plain = run (g, fm_op_test_cpu (2), FALSE, &none, &all);
            fused = run (g, fm_op_test_cpu (2), TRUE, &n, &nodes);
            one = run (g, fm_op_test_cpu (1), TRUE, &n, &nodes);
            g_assert_cmpuint (none, ==, 0);
            chains += n;
            products += count_products (g);
            saved += all - nodes;
            for (guint i = 0; i < plain->len; i++)
              if (g_array_index (plain, guint32, i) != g_array_index (fused, guint32, i))
                g_error ("seed %u, shape %u, level %d: word %u is %08x fused, %08x alone", seed, s, levels[l], i,
                         g_array_index (fused, guint32, i), g_array_index (plain, guint32, i));
            g_assert_true (memcmp (fused->data, one->data, one->len * 4) == 0);
          }
        fm_cpu_level = best;
      }
  g_assert_cmpuint (products, >, n_seeds);
  g_test_message ("%u chains, %u nodes fewer", chains, saved);
  g_assert_cmpuint (chains, >, n_seeds * G_N_ELEMENTS (shapes));
  g_assert_cmpuint (saved, >, 2 * chains);
}

static void
test_vulkan (void)
{
  FmDevice *device = fm_op_test_vulkan ();
  guint n_seeds = g_test_slow () ? 12 : 3;

  for (guint32 seed = 0; device && seed < n_seeds; seed++)
    for (guint s = 0; s < G_N_ELEMENTS (shapes) - !g_test_slow (); s++)
      {
        g_autoptr (FmGraph) g = random_graph (seed, 4 + seed % 21, shapes[s]);
        guint n, nodes, none, all;
        g_autoptr (GArray) plain = run (g, device, FALSE, &none, &all), fused = run (g, device, TRUE, &n, &nodes);

        for (guint i = 0; i < plain->len; i++)
          {
            gfloat a = g_array_index (plain, gfloat, i), b = g_array_index (fused, gfloat, i);

            /* The same functions; a driver may contract a product and a sum that meet in one shader. */
            if (!(fabsf (a - b) <= 1e-5f + 1e-4f * fabsf (a)) && !(isnan (a) && isnan (b)) && a != b)
              g_error ("seed %u, shape %u: word %u is %g fused, %g alone", seed, s, i, b, a);
          }
      }
}

/* exp (tanh (x)) / (1 + |x|), doubled: one node, no memory but the result's; a probe in the middle costs its own. */
static void
test_memory (void)
{
  for (guint probe = 0; probe < 2; probe++)
    {
      g_autoptr (FmGraph) g = fm_graph_new ();
      FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (64, 1024)), *middle;
      guint64 tensor = 64 * 1024 * 4;
      FmMemoryPlan *plan;

      middle = fm_exp (g, fm_tanh (g, x));
      fm_graph_output (g, "y", fm_mul_scalar (g, fm_div (g, middle, fm_add_scalar (g, fm_abs (g, x), 1)), 2));
      if (probe)
        fm_graph_output (g, "probe", middle);
      plan = fm_memory_plan_new (g, FM_BACKEND_CPU, 2, 64, NULL);
      g_assert_cmpuint (plan->nodes->len, ==, 1);
      g_assert_cmpuint (plan->bytes.arena_bytes, ==, tensor * (1 + probe));
      g_assert_cmpstr (((FmNode *) g_ptr_array_index (plan->nodes, 0))->op->name, ==, "fused");
      fm_memory_plan_free (plan);
      g_setenv ("FORMARIUM_FUSION", "0", TRUE);
      plan = fm_memory_plan_new (g, FM_BACKEND_CPU, 2, 64, NULL);
      g_unsetenv ("FORMARIUM_FUSION");
      g_assert_cmpuint (plan->nodes->len, ==, 6);
      g_assert_cmpuint (plan->bytes.arena_bytes, >=, 2 * tensor);
      fm_memory_plan_free (plan);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/compute/fusion/cpu", test_cpu);
  g_test_add_func ("/compute/fusion/vulkan", test_vulkan);
  g_test_add_func ("/compute/fusion/memory", test_memory);
  return g_test_run ();
}
