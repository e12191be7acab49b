/* test-plan.c: where intermediates lie, how many bytes of which kind they are, and how long planning takes. */
#include "config.h"

#include "compute/place.h"
#include "step-graph.h"

#include <string.h>
#include <time.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED TRUE
#else
#define SANITIZED FALSE
#endif

static FmDevice *
cpu (guint threads)
{
  g_autoptr (GError) error = NULL;
  FmDevice *device = fm_device_open ("cpu", threads, &error);

  g_assert_no_error (error);
  return device;
}

/* Seconds of this process: what other processes do at the same time does not count. */
static gdouble
cpu_seconds (void)
{
  struct timespec t;

  clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &t);
  return (gdouble) t.tv_sec + (gdouble) t.tv_nsec * 1e-9;
}

/* --- Places -------------------------------------------------------------------------------------------------------*/

static void
assert_apart (const FmBlock *blocks, guint n, guint64 arena)
{
  for (guint i = 0; i < n; i++)
    {
      g_assert_cmpuint (blocks[i].offset + blocks[i].bytes, <=, arena);
      for (guint j = 0; j < i; j++)
        if (blocks[i].first <= blocks[j].last && blocks[j].first <= blocks[i].last)
          g_assert_true (blocks[i].offset >= blocks[j].offset + blocks[j].bytes
                         || blocks[j].offset >= blocks[i].offset + blocks[i].bytes);
    }
}

static gint
earlier_first (gconstpointer a, gconstpointer b)
{
  const FmBlock *x = a, *y = b;

  return x->first < y->first ? -1 : x->first > y->first;
}

/* Random lives, from one block to more than the largest-first way takes: never two at one place, never far above what
 * lives at the worst moment. */
static void
test_random_blocks (void)
{
  static const guint sizes[] = { 0, 1, 2, 17, 300, 3000 };

  for (guint s = 0; s < G_N_ELEMENTS (sizes); s++)
    for (guint round = 0; round < 4; round++)
      {
        guint n = sizes[s], moment;
        g_autofree FmBlock *blocks = g_new0 (FmBlock, MAX (n, 1));
        guint64 peak, arena, sum = 0;
        FmRandom random;

        fm_random_init (&random, 5 + round, n);
        for (guint i = 0; i < n; i++)
          {
            blocks[i].bytes = 64 * (1 + fm_random_below (&random, round < 2 ? 4 : 1000));
            blocks[i].first = fm_random_below (&random, 2 * n);
            blocks[i].last = blocks[i].first + (guint) fm_random_below (&random, round % 2 ? 8 : n);
            blocks[i].last = MIN (2 * n, blocks[i].last);
          }
        qsort (blocks, n, sizeof *blocks, earlier_first);
        peak = fm_blocks_peak (blocks, n, 2 * n, &moment);
        for (guint i = 0; i < n; i++)
          sum += blocks[i].first <= moment && moment <= blocks[i].last ? blocks[i].bytes : 0;
        g_assert_cmpuint (sum, ==, peak);
        arena = fm_blocks_place (blocks, n, peak);
        assert_apart (blocks, n, arena);
        g_assert_cmpuint (arena, >=, peak);
        g_assert_cmpuint (arena, <=, peak + peak / 3);
      }
}

/* Lives of tensors read off the nodes alone, as a witness of the plan's own. */
static void
assert_plan_apart (FmGraph *g, const FmMemoryPlan *plan)
{
  guint n = g->tensors->len, n_blocks = 0;
  g_autofree guint *first = g_new0 (guint, n), *last = g_new0 (guint, n);
  g_autofree guint *ids = g_new (guint, n);

  for (guint k = 0; k < plan->nodes->len; k++)
    {
      FmNode *node = g_ptr_array_index (plan->nodes, k);

      for (guint i = 0; i < node->n_out; i++)
        first[node->out[i]->id] = last[node->out[i]->id] = k;
      for (guint i = 0; i < node->n_in; i++)
        if (node->in[i])
          last[node->in[i]->base->id] = k;
    }
  for (guint i = 0; i < g->outputs->len; i++)
    last[((FmTensor *) g_ptr_array_index (g->outputs, i))->base->id] = G_MAXUINT;
  for (guint i = 0; i < n; i++)
    if (plan->offset[i] != G_MAXUINT64)
      ids[n_blocks++] = i;
  for (guint x = 0; x < n_blocks; x++)
    for (guint y = 0; y < n_blocks; y++)
      {
        guint a = ids[x], b = ids[y];
        guint64 ao = plan->offset[a], bo = plan->offset[b];

        if (a == b || ao >= bo + fm_tensor_bytes (g_ptr_array_index (g->tensors, b))
            || bo >= ao + fm_tensor_bytes (g_ptr_array_index (g->tensors, a)))
          continue;
        /* They overlap: one must have died before the other came, or at the very node (in place). */
        g_assert_true (last[a] <= first[b] || last[b] <= first[a]);
      }
}

static void
test_step_apart (void)
{
  const FmStepSize * const sizes[] = { &fm_step_t1, &fm_step_t3 };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      g_autoptr (FmGraph) g = fm_step_graph (sizes[i]);
      FmMemoryPlan *plan = fm_memory_plan_new (g, FM_BACKEND_CPU, 2, 64, NULL);
      const FmPlan *bytes = &plan->bytes;

      assert_plan_apart (g, plan);
      g_assert_cmpuint (bytes->activation_bytes + bytes->gradient_bytes + bytes->workspace_bytes + bytes->hole_bytes, ==,
                        bytes->arena_bytes);
      g_assert_cmpuint (bytes->activation_bytes, >, 0);
      g_assert_cmpuint (bytes->hole_bytes, <=, bytes->arena_bytes / 50);
      g_test_message ("%s: parameters %.1f, optimizer %.1f, activations %.1f, gradients %.1f, workspace %.1f, gaps %.2f MB",
                      sizes[i]->name, bytes->parameter_bytes / 1e6, bytes->optimizer_bytes / 1e6,
                      bytes->activation_bytes / 1e6, bytes->gradient_bytes / 1e6, bytes->workspace_bytes / 1e6,
                      bytes->hole_bytes / 1e6);
      fm_memory_plan_free (plan);
    }
}

/* A result takes the place of an operand that dies there; a value that is still wanted keeps its place. */
static void
test_in_place (void)
{
  g_autoptr (FmGraph) g = fm_graph_new ();
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (64)), *kept = fm_softmax (g, x, 1.0), *second, *third;
  FmMemoryPlan *plan;

  second = fm_cumsum (g, kept, 0, FALSE); /* kept lives on */
  third = fm_softmax (g, second, 1.0);    /* second dies */
  fm_graph_output (g, "y", fm_concat (g, (FmTensor *[]){ kept, third }, 2, 0));
  plan = fm_memory_plan_new (g, FM_BACKEND_CPU, 1, 64, NULL);
  g_assert_cmpuint (plan->offset[third->id], ==, plan->offset[second->id]);
  g_assert_cmpuint (plan->offset[second->id], !=, plan->offset[kept->id]);
  g_assert_cmpuint (plan->bytes.arena_bytes, ==, (1 + 1 + 2) * 64 * 4);
  fm_memory_plan_free (plan);
}

/* --- Time ---------------------------------------------------------------------------------------------------------*/

static void
test_thousand_layers (void)
{
  FmStepSize size = { "thousand", 1000, 16, 2, 32, 1, 8, 10, FALSE };
  gdouble start = cpu_seconds (), built, planned;
  g_autoptr (FmGraph) g = fm_step_graph (&size);
  FmMemoryPlan *plan;

  built = cpu_seconds () - start;
  start = cpu_seconds ();
  plan = fm_memory_plan_new (g, FM_BACKEND_CPU, 2, 64, NULL);
  planned = cpu_seconds () - start;
  g_test_message ("1000 layers, %u nodes: built in %.0f ms, planned in %.0f ms, gaps %.1f%%", plan->nodes->len, built * 1e3,
                  planned * 1e3, 100.0 * plan->bytes.hole_bytes / plan->bytes.arena_bytes);
  g_assert_cmpuint (plan->nodes->len, >, 30000);
  g_assert_cmpuint (plan->bytes.hole_bytes, <=, plan->bytes.arena_bytes / 10);
  fm_memory_plan_free (plan);
  if (!SANITIZED)
    {
      g_assert_cmpfloat (built, <, 2.0);
      g_assert_cmpfloat (planned, <, 0.5);
    }
}

/* From nothing to a program that can run, the parameters being there: what slimming and search do hundreds of times. */
static void
test_further_program (void)
{
  FmStepSize twelve = { "12 layers", 12, 64, 4, 256, 64, 49, 10, FALSE };
  const FmStepSize * const sizes[] = { &fm_step_t3, &twelve };
  g_autoptr (FmDevice) device = cpu (2);

  for (guint s = 0; s < G_N_ELEMENTS (sizes); s++)
    {
      g_autoptr (FmVariables) variables = fm_variables_new (device, 1);
      gdouble best = G_MAXDOUBLE;

      for (guint i = 0; i < 5; i++)
        {
          g_autoptr (GError) error = NULL;
          gdouble start = cpu_seconds ();
          g_autoptr (FmGraph) g = fm_step_graph (sizes[s]);
          g_autoptr (FmProgram) program = fm_program_new (g, device, variables, &error);

          g_assert_no_error (error);
          if (i > 0)
            best = MIN (best, cpu_seconds () - start);
        }
      g_test_message ("a further program of %s: %.1f ms", sizes[s]->name, best * 1e3);
      if (!SANITIZED)
        g_assert_cmpfloat (best, <, 0.020);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/plan/random-blocks", test_random_blocks);
  g_test_add_func ("/plan/step-apart", test_step_apart);
  g_test_add_func ("/plan/in-place", test_in_place);
  g_test_add_func ("/plan/thousand-layers", test_thousand_layers);
  g_test_add_func ("/plan/further-program", test_further_program);
  return g_test_run ();
}
